/* Random calls through two nodes.  Their peers go by RFC 4028, more or less eagerly, so that every call must be kept
 * until an end hangs up: what may end it besides is that an end, or the far node, dies. */
#include "tests/sim/tandem.h"

#define PERCENT 10000u

static uint64_t below(struct sim *sim, uint64_t n)
{
	return sim_below(sim, SIM_TRAFFIC, n);
}

static bool chance(struct sim *sim, unsigned percent)
{
	return sim_chance(sim, SIM_TRAFFIC, percent * PERCENT);
}

static unsigned between(struct sim *sim, uint64_t least, uint64_t most)
{
	return (unsigned)(least + below(sim, most - least + 1));
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

/* Of one node; in one of three runs the far one's least is above what the near one asks for. */
static void write_parameters(uint64_t *dice, enum tandem_side side, char *text, size_t size)
{
	static const unsigned intervals[] = { 90, 90, 120, 180, 300, 600, 900, 1800 };
	unsigned ttl_s = next(dice) % 2 ? intervals[next(dice) % 8] : pick(dice, 90, 900);
	unsigned min_s = 90;
	if (next(dice) % 3 == 0)
		min_s = side == NEAR ? pick(dice, 90, ttl_s) : pick(dice, 90, 1000);
	snprintf(text, size,
		 "SS_SIP_SESSION_TTL = %u\nSS_SIP_SESSION_UPDATE_SEGMENT = %u\nRW_SIP_MIN_SE = %u\n"
		 "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = %u\nSS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n",
		 ttl_s > min_s ? ttl_s : min_s, next(dice) % 3 ? pick(dice, 2, 4) : pick(dice, 5, 10), min_s,
		 next(dice) % 2 ? pick(dice, 1, 60) : 0);
}

static struct link draw_link(uint64_t *dice)
{
	struct link link = { .delay_ns = pick(dice, 1, 60) * SIM_MS };
	switch (next(dice) % 4) {
	case 0:
		break; /* a good network */
	case 1:
		link.jitter_ns = pick(dice, 0, 200) * SIM_MS; /* reorders */
		break;
	case 2:
		link.loss_ppm = pick(dice, 1, 10) * PERCENT;
		link.jitter_ns = pick(dice, 0, 20) * SIM_MS;
		break;
	case 3:
		link.loss_ppm = pick(dice, 0, 5) * PERCENT;
		link.duplicate_ppm = pick(dice, 1, 10) * PERCENT;
		link.jitter_ns = pick(dice, 0, 150) * SIM_MS;
		break;
	}
	return link;
}

static struct tandem *draw_tandem(uint64_t seed)
{
	char parameters[2][400];
	uint64_t dice = seed * UINT64_C(0x2545f4914f6cdd1d) + 17;
	struct tandem_settings settings = { .seed = seed, .outer = draw_link(&dice), .inner = draw_link(&dice) };
	for (enum tandem_side side = NEAR; side <= FAR; side++) {
		write_parameters(&dice, side, parameters[side], sizeof parameters[side]);
		settings.parameters[side] = parameters[side];
		settings.shards[side] = pick(&dice, 1, 3);
		settings.mailbox[side] = next(&dice) % 2;
	}
	settings.no_update = next(&dice) % 4 == 0;
	return tandem_create(&settings);
}

/* ---- a call ---- */

static uint32_t longest_s(const struct tandem *t)
{
	uint32_t longest = 0;
	for (enum tandem_side side = NEAR; side <= FAR; side++) {
		const struct parameters *p = &t->sims[side]->config->parameters;
		longest = p->SS_SIP_SESSION_TTL > longest ? p->SS_SIP_SESSION_TTL : longest;
	}
	return longest;
}

static void draw_timer(struct sim *sim, const struct parameters *p, bool caller, struct timer_script *timer)
{
	static const char refreshers[] = { 0, 'c', 's' };
	timer->on = true;
	timer->updates = chance(sim, 60);
	timer->refresher = refreshers[below(sim, 3)];
	timer->stubborn = chance(sim, 15);
	timer->idle = chance(sim, 10);
	timer->swaps = chance(sim, 10);
	timer->moves = chance(sim, 10);
	timer->update_code = chance(sim, 10) ? 405 : 0;
	timer->guards = !timer->idle && chance(sim, 40);
	if (chance(sim, 60))
		timer->interval_s = between(sim, p->RW_SIP_MIN_SE, 2 * p->SS_SIP_SESSION_TTL);
	if (!caller && chance(sim, 15))
		timer->min_se_s = between(sim, 90, 2 * p->SS_SIP_SESSION_TTL);
}

static void draw_script(struct tandem *t, struct script *script)
{
	static const uint8_t offers[] = { STEP_REINVITE, STEP_REINVITE_SAME, STEP_UPDATE, STEP_INFO };
	struct sim *sim = t->sims[NEAR];
	uint64_t interval_ns = longest_s(t) * SIM_S, end_ns = interval_ns / 2 + below(sim, 4 * interval_ns);
	unsigned n = 0;
	bool dies = chance(sim, 12);
	if (chance(sim, 40))
		end_ns = (10 * 1000 + below(sim, 2000)) * interval_ns / 1000;
	*script = (struct script){ .caller = (unsigned)below(sim, SIM_CALLERS) };
	if (dies || chance(sim, 80))
		draw_timer(sim, &t->sims[NEAR]->config->parameters, true, &script->timers[0]);
	if (dies || chance(sim, 80))
		draw_timer(sim, &t->sims[FAR]->config->parameters, false, &script->timers[1]);
	for (unsigned i = 0; i < SIM_CALLEES; i++) {
		script->answers[i].ring_ns = chance(sim, 50) ? below(sim, 2000) * SIM_MS : 0;
		script->answers[i].final_ns = below(sim, 3000) * SIM_MS;
	}
	script->answers[0].code = chance(sim, 10) ? 503 : 0;
	if (dies) {
		script->steps[n++] = (struct step){ STEP_DIE, chance(sim, 50), below(sim, end_ns) };
		return;
	}
	if (chance(sim, 15))
		for (uint64_t count = 1 + below(sim, 3); count; count--)
			script->steps[n++] = (struct step){ offers[below(sim, sizeof offers)], chance(sim, 50),
							    SIM_S + below(sim, end_ns) };
	script->steps[n++] = (struct step){ STEP_BYE, chance(sim, 50), end_ns };
}

static void place(struct sim *sim, void *context)
{
	struct tandem *t = context;
	struct script script;
	sim->planned--;
	draw_script(t, &script);
	tandem_place(t, &script);
}

/* ---- faults between the nodes ---- */

static void mend(struct sim *sim, void *context)
{
	(void)sim;
	tandem_cut(context, false);
}

static void cut(struct sim *sim, void *context)
{
	tandem_cut(context, true);
	sim_at(sim, sim->now_ns + SIM_S + below(sim, 19 * SIM_S), mend, context);
}

static void part(struct sim *sim, void *context)
{
	if (chance(sim, 50))
		tandem_far_dies(context);
	else
		tandem_part(context);
}

static void clock_jumps(struct sim *sim, void *context)
{
	struct tandem *t = context;
	sim_step_clock(t->sims[chance(sim, 50) ? NEAR : FAR], (int64_t)below(sim, 7200000000) - INT64_C(3600000000));
}

struct tandem *tandem_random(uint64_t seed, unsigned calls)
{
	struct tandem *t = draw_tandem(seed);
	struct sim *sim = t->sims[NEAR];
	uint64_t begin_ns = sim->now_ns, span_ns = 4 * longest_s(t) * SIM_S;
	sim->planned += calls;
	for (unsigned i = 0; i < calls; i++)
		sim_at(sim, begin_ns + below(sim, span_ns), place, t);
	if (chance(sim, 15))
		sim_at(sim, begin_ns + below(sim, 2 * span_ns), part, t);
	else if (chance(sim, 25))
		for (unsigned i = 1 + (unsigned)below(sim, 3); i; i--) /* far enough from each other */
			sim_at(sim, begin_ns + i * span_ns / 2 + below(sim, span_ns / 4), cut, t);
	if (chance(sim, 20))
		sim_at(sim, begin_ns + below(sim, span_ns), clock_jumps, t);
	tandem_finish(t);
	return t;
}
