/* Spec 6, the switch decision: every combination of its parameters, of a gateway's and a customer's rules, of what the
 * caller has heard, and of how the attempts fail, as a call in the simulation, held against an oracle that was written
 * from the specification and shares nothing with core/call/switching.c. */
#include "calls.h"

#include <string.h>

enum heard { NOTHING, PROGRESS, MEDIA, RINGING, RINGING_AND_MEDIA, HEARD };

/* How both of the first two gateways fail; the third one answers. */
enum failure { BY_CODE, BY_TIMER, WITHOUT_A_WORD, BY_CANCEL };

struct parameters_of {
	unsigned limit;
	bool until_connect, stop_after_user_busy, stop_after_sdp;
};

struct rules_of {
	bool stop_codes, ignore_6xx, map;
};

struct combination {
	struct parameters_of p;
	struct rules_of r;
	enum heard heard;
	enum failure failure;
	unsigned code;
};

struct expected {
	unsigned attempts, code; /* made; for the caller */
	enum cdr_end_reason reason;
};

static const uint16_t codes[] = { 300, 302, 380, 400, 401, 403, 404, 407, 408, 410, 415, 421, 422,
				  480, 481, 482, 483, 484, 486, 487, 488, 491, 494, 500, 502, 503,
				  504, 513, 580, 599, 600, 603, 604, 605, 606, 607, 608, 699 };

/* ---- the oracle ---- */

static bool rang(enum heard heard)
{
	return heard == RINGING || heard == RINGING_AND_MEDIA;
}

static bool had_media(enum heard heard)
{
	return heard == MEDIA || heard == RINGING_AND_MEDIA;
}

/* "A failed attempt goes on to the next RG unless: ..." */
static bool goes_on(const struct combination *c, unsigned switches)
{
	unsigned code = c->failure == BY_CODE ? c->code : 0;
	if (c->failure == BY_CANCEL)
		return false;
	if (c->p.limit > 0 && switches == c->p.limit)
		return false;
	if (c->r.stop_codes && (code == 404 || (code >= 480 && code <= 484) || code == 503 || code == 604))
		return false;
	switch (code) {
	case 486:
	case 600:
		if (c->p.stop_after_user_busy)
			return false;
		break;
	case 603:
	case 604:
	case 606:
		if (!c->r.ignore_6xx)
			return false;
		break;
	}
	if (had_media(c->heard) && c->p.stop_after_sdp)
		return false;
	if (rang(c->heard) && !c->p.until_connect)
		return false;
	return true;
}

static unsigned replaced(unsigned code)
{
	return code == 486 ? 480 : code == 401 ? 403 : code == 408 ? 504 : code >= 500 && code <= 599 ? 500 : 0;
}

/* "the last final code (408 after silence, 480 after ringing out), through the MG's failed_reason_map" */
static unsigned final_code(const struct combination *c)
{
	unsigned code = c->failure == BY_CODE ? c->code : c->failure == BY_TIMER && c->heard == RINGING ? 480 : 408;
	bool hidden = code < 400 || code == 401 || code == 407 || code == 421 || code == 422 || code == 494;
	if (c->failure == BY_CANCEL)
		return 487;
	if (c->r.map && replaced(code))
		return replaced(code);
	if (hidden && c->r.map)
		return replaced(503);
	return hidden ? 503 : code;
}

static enum cdr_end_reason reason_of(const struct combination *c)
{
	static const enum cdr_end_reason timers[HEARD] = { CDR_END_timeout_trying, CDR_END_timeout_progress,
							   CDR_END_timeout_progress, CDR_END_timeout_ringing,
							   CDR_END_timeout_progress };
	switch (c->failure) {
	case BY_CODE:
		return rang(c->heard) && (c->code == 408 || c->code == 480) ? CDR_END_no_answer : CDR_END_rejected;
	case BY_TIMER:
		return timers[c->heard];
	case WITHOUT_A_WORD:
		return CDR_END_timeout_invite;
	case BY_CANCEL:
		return CDR_END_cancelled;
	}
	return CDR_END_normal;
}

static struct expected expect(const struct combination *c)
{
	for (unsigned attempts = 1; attempts <= 2; attempts++)
		if (!goes_on(c, attempts - 1))
			return (struct expected){ attempts, final_code(c), reason_of(c) };
	return (struct expected){ 3, 200, CDR_END_normal };
}

/* ---- the calls ---- */

static struct answer answer_of(const struct combination *c)
{
	struct answer answer = { .final_ns = SIM_S, .code = c->code };
	if (rang(c->heard))
		answer.ring_ns = 100 * SIM_MS;
	if (c->heard == PROGRESS || had_media(c->heard))
		answer.progress_ns = 200 * SIM_MS;
	answer.progress_bare = c->heard == PROGRESS;
	answer.never = c->failure == BY_TIMER || c->failure == BY_CANCEL;
	answer.silent = c->failure == WITHOUT_A_WORD;
	return answer;
}

static struct sim_call *place(struct sim *sim, const struct combination *c)
{
	struct answer fails = answer_of(c);
	return sim_call_now(sim, .cancel_ns = c->failure == BY_CANCEL ? 600 * SIM_MS : 0,
			    .answers = { fails, fails, { .final_ns = 10 * SIM_MS } }, .steps = { HANGS_UP(1) });
}

static void check(const struct sim *sim, const struct sim_call *call, const struct combination *c)
{
	struct expected e = expect(c);
	const struct cdr *cdr = cdr_of(call);
	bool good = cdr->attempts_count == e.attempts && cdr->sip_code == e.code && cdr->end_reason == e.reason;
	for (unsigned i = 0; i < e.attempts && good; i++)
		good = cdr->attempts[i].code == (i == 2 ? 200 : c->failure == BY_CODE ? c->code : 0);
	if (!good)
		sim_print_call(sim, call, stderr);
	cr_assert(
		good,
		"limit %u, until_connect %u, busy %u, sdp %u; stop_codes %u, ignore_6xx %u, map %u; heard %u, failure "
		"%u, code %u: %u attempts, code %u, %s; it should be %u, %u, %s",
		c->p.limit, c->p.until_connect, c->p.stop_after_user_busy, c->p.stop_after_sdp, c->r.stop_codes,
		c->r.ignore_6xx, c->r.map, c->heard, c->failure, c->code, cdr->attempts_count, cdr->sip_code,
		cdr_end_reason_name(cdr->end_reason), e.attempts, e.code, cdr_end_reason_name(e.reason));
}

#define CALLS_MAX (HEARD * (sizeof codes / sizeof *codes + 2) + 1)

static unsigned gather(const struct parameters_of *p, const struct rules_of *r, struct combination *list)
{
	unsigned count = 0;
	for (enum heard heard = 0; heard < HEARD; heard++) {
		for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
			list[count++] = (struct combination){ *p, *r, heard, BY_CODE, codes[i] };
		list[count++] = (struct combination){ *p, *r, heard, BY_TIMER, 0 };
		list[count++] = (struct combination){ *p, *r, heard, BY_CANCEL, 0 };
	}
	list[count++] = (struct combination){ *p, *r, NOTHING, WITHOUT_A_WORD, 0 };
	return count;
}

/* All calls under one configuration, at the same time. */
static void check_all(const struct parameters_of *p, const struct rules_of *r)
{
	static struct combination list[CALLS_MAX];
	static struct sim_call *calls[CALLS_MAX];
	char parameters[512], gateways[1200];
	const char *stops = r->stop_codes ? "stop_codes = {\"404\", \"480-484\", \"503\", \"604\"}" : "";
	int at = snprintf(gateways, sizeof gateways, "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} %s }\n",
			  r->map ? "failed_reason_map = {\"486 -> 480\", \"401 -> 403\", \"408 -> 504\", "
				   "\"500-599 -> 500\"}"
				 : "");
	snprintf(parameters, sizeof parameters,
		 "SS_GATEWAY_SWITCH_LIMIT = %u\nSS_GATEWAY_SWITCH_UNTIL_CONNECT = %s\n"
		 "SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY = %s\nSS_SIP_STOP_SWITCH_AFTER_SDP = %s\n"
		 "SS_SIP_TIMEOUT_INVITE = 2\nSS_SIP_TIMEOUT_TRYING = 3\nSS_SIP_TIMEOUT_SESSION_PROGRESS = 2\n"
		 "SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP = 3\nSS_SIP_TIMEOUT_RINGING = 2",
		 p->limit, p->until_connect ? "on" : "off", p->stop_after_user_busy ? "on" : "off",
		 p->stop_after_sdp ? "on" : "off");
	for (unsigned i = 1; i <= 3; i++)
		at += snprintf(
			gateways + at, sizeof gateways - (size_t)at,
			"routing_gateway \"rg%u\" { address = \"10.2.0.%u:5060\" prefix = {\"880\"} priority = %u "
			"ignore_6xx = %s %s }\n",
			i, i, i, r->ignore_6xx ? "on" : "off", stops);
	struct sim *sim = sim_new(.seed = SEED, .parameters = parameters, .gateways = gateways);
	unsigned count = gather(p, r, list);
	for (unsigned i = 0; i < count; i++)
		calls[i] = place(sim, &list[i]);
	sim_run(sim, 20 * SIM_S);
	for (unsigned i = 0; i < count; i++)
		check(sim, calls[i], &list[i]);
	finish(sim);
}

static void check_rules(bool stop_codes, bool ignore_6xx)
{
	for (unsigned bits = 0; bits < 48; bits++) {
		struct parameters_of p = { bits / 16, bits & 1, bits & 2, bits & 4 };
		struct rules_of r = { stop_codes, ignore_6xx, bits & 8 };
		check_all(&p, &r);
	}
}

Test(spec_6, each_combination_without_rules_of_the_gateway)
{
	check_rules(false, false);
}

Test(spec_6, each_combination_with_stop_codes)
{
	check_rules(true, false);
}

Test(spec_6, each_combination_with_ignore_6xx)
{
	check_rules(false, true);
}

Test(spec_6, each_combination_with_stop_codes_and_ignore_6xx)
{
	check_rules(true, true);
}
