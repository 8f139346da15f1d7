/* Random traffic with session timers: long calls, peers of every kind, and parameters from all of their ranges. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/traffic.h"

static uint64_t below(struct sim *sim, uint64_t n)
{
	return sim_below(sim, SIM_TRAFFIC, n);
}

static bool chance(struct sim *sim, unsigned percent)
{
	return sim_chance(sim, SIM_TRAFFIC, percent * 10000);
}

static uint32_t between(struct sim *sim, uint64_t least, uint64_t most)
{
	return (uint32_t)(least + below(sim, most > least ? most - least + 1 : 1));
}

/* ---- a run ---- */

static uint64_t next(uint64_t *dice)
{
	uint64_t x = *dice += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return (x ^ x >> 27) >> 8;
}

static unsigned pick(uint64_t *dice, unsigned least, unsigned most)
{
	return least + (unsigned)(next(dice) % (most - least + 1));
}

static void write_gateways(uint64_t *dice, char *text, size_t size)
{
	static const char *const switches[] = { "", "", "", "", "", "", "", "", "timer = off", "timer = off" };
	static const char *const limits[] = { "", "", "", "", "max_duration = 240", "max_duration = 3000" };
	int at = snprintf(text, size, "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} %s %s }\n",
			  switches[next(dice) % 10], limits[next(dice) % 6]);
	for (unsigned i = 1; i <= SIM_CALLEES; i++)
		at += snprintf(
			text + at, size - (size_t)at,
			"routing_gateway \"rg%u\" { address = \"10.2.0.%u:5060\" prefix = {\"880\"} priority = %u "
			"%s %s }\n",
			i, i, i, switches[next(dice) % 10], limits[next(dice) % 6]);
}

void traffic_timer_settings(uint64_t dice, struct sim_settings *settings)
{
	static char parameters[600], gateways[1000];
	static const unsigned intervals[] = { 90, 90, 120, 180, 300, 600, 900, 1800 };
	unsigned ttl_s = next(&dice) % 4 ? intervals[next(&dice) % 8] : pick(&dice, 90, 1800);
	unsigned min_s = next(&dice) % 4 ? 90 : pick(&dice, 90, ttl_s);
	unsigned grace_s = next(&dice) % 2 ? pick(&dice, 1, 60) : 0;
	unsigned cap_s = next(&dice) % 8 ? pick(&dice, 60, 4000) : 7200;
	unsigned probe_s = next(&dice) % 2 ? pick(&dice, 20, 300) : 0;
	unsigned longest_s = next(&dice) % 3 ? pick(&dice, 3000, 20000) : pick(&dice, 60, 1500);
	snprintf(parameters, sizeof parameters,
		 "SS_SIP_SESSION_TTL = %u\nSS_SIP_SESSION_UPDATE_SEGMENT = %u\nRW_SIP_MIN_SE = %u\n"
		 "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = %u\nSS_SIP_NO_TIMER_REINVITE_INTERVAL = %u\n"
		 "RW_NO_TIMER_PROBE_INTERVAL = %u\nRW_MAX_CALL_DURATION = %u\n",
		 ttl_s, next(&dice) % 3 ? pick(&dice, 2, 4) : pick(&dice, 5, 10), min_s, grace_s,
		 next(&dice) % 10 ? cap_s : 0, probe_s, longest_s);
	write_gateways(&dice, gateways, sizeof gateways);
	settings->parameters = parameters;
	settings->gateways = gateways;
}

/* ---- a peer ---- */

static enum odd_answer draw_odd(struct sim *sim, unsigned percent)
{
	return chance(sim, percent) ? (enum odd_answer)(1 + below(sim, ODD_NO_REFRESHER)) : ODD_NONE;
}

static void draw_answers(struct sim *sim, const struct parameters *p, struct timer_script *t)
{
	static const uint16_t failures[] = { 503, 500, 503, 500, 491, 491, 488, 401, 403, 408, 481 };
	static const uint16_t refusals[] = { 405, 501, 488 };
	t->odd = draw_odd(sim, 8);
	t->later = draw_odd(sim, 6);
	t->yes = chance(sim, 4);
	t->moves = chance(sim, 15);
	t->update_code = chance(sim, 15) ? refusals[below(sim, 3)] : 0;
	t->cross_at_refresh = chance(sim, 8) ? 1 + (unsigned)below(sim, 3) : 0;
	t->bye_at_refresh = chance(sim, 6) ? 1 + (unsigned)below(sim, 3) : 0;
	t->sleep_at_refresh =
		p->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP > 10 && chance(sim, 8) ? 1 + (unsigned)below(sim, 2) : 0;
	t->raised_s = chance(sim, 6) ? p->SS_SIP_SESSION_TTL + between(sim, 1, 300) : 0;
	if (chance(sim, 20)) {
		t->failure = failures[below(sim, sizeof failures / sizeof *failures)];
		t->failure_percent = chance(sim, 10) ? 100 : between(sim, 5, 60);
	}
}

static void draw_timer(struct sim *sim, bool caller, struct timer_script *t)
{
	const struct parameters *p = &sim->config->parameters;
	uint32_t min_s = p->RW_SIP_MIN_SE, ttl_s = p->SS_SIP_SESSION_TTL;
	static const char refreshers[] = { 0, 'c', 's' };
	t->no_options = chance(sim, 40);
	if (chance(sim, 20))
		return; /* it knows nothing of timers */
	t->bare = caller && chance(sim, 6);
	t->on = !t->bare;
	t->updates = chance(sim, 60);
	t->refresher = refreshers[below(sim, 3)];
	t->stubborn = chance(sim, 20);
	t->idle = chance(sim, 12);
	t->swaps = chance(sim, 15);
	t->small_s = chance(sim, 8) && min_s > 30 ? between(sim, 1, min_s - 1) : 0;
	draw_answers(sim, p, t);
	t->guards = t->on && !t->odd && !t->later && !t->yes && chance(sim, 40);
	if (caller) {
		t->interval_s = chance(sim, 15)  ? 0
				: chance(sim, 5) ? between(sim, 0, min_s - 1)
						 : between(sim, 90, 2000);
		t->min_se_s = chance(sim, 30) ? between(sim, 60, 500) : 0;
	} else {
		t->interval_s = chance(sim, 50) ? 0 : between(sim, 90, ttl_s);
		t->min_se_s = chance(sim, 15) ? between(sim, ttl_s / 2, 2 * ttl_s) : 0;
	}
}

/* ---- a call ---- */

static uint64_t draw_end(struct sim *sim, const struct sim_settings *settings)
{
	const struct parameters *p = &sim->config->parameters;
	uint64_t segment_ns = p->SS_SIP_SESSION_TTL * SIM_S / p->SS_SIP_SESSION_UPDATE_SEGMENT;
	const uint32_t moments[] = { p->SS_SIP_SESSION_TTL, p->SS_SIP_NO_TIMER_REINVITE_INTERVAL,
				     p->RW_MAX_CALL_DURATION,
				     p->SS_SIP_SESSION_TTL + p->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP };
	if (chance(sim, 25))
		return SIM_S + below(sim, 60 * SIM_S);
	if (chance(sim, 8)) { /* to the millisecond at a deadline */
		uint64_t at_ns = moments[below(sim, 4)] * SIM_S;
		return at_ns > 2 * settings->link.delay_ns ? at_ns - 2 * settings->link.delay_ns : at_ns;
	}
	return SIM_S + below(sim, (chance(sim, 25) ? 30 : 8) * segment_ns);
}

static unsigned draw_faults(struct sim *sim, struct script *script, unsigned n, uint64_t end_ns)
{
	static const uint8_t kinds[] = { STEP_DIE,   STEP_DIE,   STEP_DEAF,   STEP_MUTE, STEP_SLEEP,
					 STEP_SLEEP, STEP_SLEEP, STEP_REBOOT, STEP_FLOOD };
	const struct parameters *p = &sim->config->parameters;
	if (!chance(sim, 30))
		return n;
	enum step_kind kind = kinds[below(sim, sizeof kinds)];
	uint64_t at_ns = below(sim, end_ns);
	script->steps[n++] = (struct step){ kind, chance(sim, 50), at_ns };
	if (chance(sim, 20)) {
		bool by_callee = !script->steps[n - 1].by_callee;
		script->steps[n++] = (struct step){ kind, by_callee, at_ns + below(sim, SIM_S) };
	}
	script->sleep_ns = between(sim, p->SS_SIP_SESSION_TTL / 4, p->SS_SIP_SESSION_TTL + 60) * SIM_S;
	return n;
}

void traffic_draw_timer_script(struct sim *sim, struct script *script)
{
	static const uint8_t kinds[] = { STEP_REINVITE, STEP_REINVITE_SAME,   STEP_REINVITE_EMPTY,
					 STEP_UPDATE,   STEP_REINVITE_CANCEL, STEP_REINVITE_TWICE,
					 STEP_INFO };
	uint64_t end_ns = draw_end(sim, &sim->settings);
	unsigned n = 0;
	*script = (struct script){ .caller = (unsigned)below(sim, SIM_CALLERS) };
	draw_timer(sim, true, &script->timers[0]);
	draw_timer(sim, false, &script->timers[1]);
	script->delayed_offer = chance(sim, 8);
	script->reinvite_ns = chance(sim, 20) ? below(sim, 3000) * SIM_MS : 0;
	script->reinvite_code = chance(sim, 5) ? 488 : 0;
	for (unsigned i = 0; i < SIM_CALLEES; i++) {
		script->answers[i].ring_ns = chance(sim, 50) ? below(sim, 2000) * SIM_MS : 0;
		script->answers[i].final_ns = below(sim, 3000) * SIM_MS;
		script->answers[i].code = chance(sim, 8) ? 503 : 0;
	}
	if (chance(sim, 15))
		for (uint64_t count = 1 + below(sim, 3); count; count--)
			script->steps[n++] = (struct step){ kinds[below(sim, sizeof kinds)], chance(sim, 50),
							    100 * SIM_MS + below(sim, end_ns) };
	n = draw_faults(sim, script, n, end_ns);
	if (chance(sim, 8))
		return; /* a deadline ends it */
	script->steps[n++] = (struct step){ STEP_BYE, chance(sim, 50), end_ns };
	if (chance(sim, 20)) {
		script->steps[n] = script->steps[n - 1];
		script->steps[n++].by_callee ^= true;
	}
}
