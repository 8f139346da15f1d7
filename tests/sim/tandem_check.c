/* What must hold of the two records of a call and of the leg between the nodes, when all is over. */
#include "tests/sim/session.h"
#include "tests/sim/tandem.h"

#define CHANGES_A_CLAIM 3 /* two refreshes that cross leave two refreshers for a window, and then one again */
#define SLACK_MS        2

struct ends {
	const struct tandem *t;
	const struct tandem_call *call;
	const struct cdr *near, *far;
	bool caller_dead, callee_dead;
	int64_t apart_ms; /* how far the two nodes may see one moment from each other */
};

static void fail(const struct ends *e, const char *check, const char *what, long long is, long long should)
{
	sim_fail(e->t->sims[NEAR], e->call->calls[NEAR], check, "%s: %lld, it should be %lld", what, is, should);
}

static const struct parameters *rules(const struct tandem *t, enum tandem_side side)
{
	return &t->sims[side]->config->parameters;
}

/* Each datagram between the nodes arrives, and in its time. */
static bool is_sure(const struct tandem *t)
{
	return !t->settings.inner.loss_ppm && !t->outages && !t->parted_ns;
}

static int64_t network_ms(const struct tandem *t)
{
	const struct link *link = &t->gates[NEAR].host->from_node;
	int64_t way_ms = (int64_t)((link->delay_ns + link->jitter_ns) / SIM_MS) + 1;
	return 2 * way_ms + SLACK_MS + (is_sure(t) ? 0 : (int64_t)(SIM_64T1 / SIM_MS));
}

static bool callee_died(const struct sim_call *call)
{
	bool dead = false;
	for (const struct ua *ua = call->callees; ua; ua = ua->next_of_call)
		dead |= peer_is_broken(ua);
	return dead;
}

/* ---- how it ended ---- */

/* A dead end is found by its session timer, or by an offer of the other end that is passed on to it.  Of a live one a
 * 481 to a refresh may overtake its BYE, which check_kept() tells from one that came out of nowhere. */
static void check_reason(const struct ends *e, enum tandem_side side, const struct cdr *cdr, bool peer_dead)
{
	enum cdr_end_reason should = peer_dead ? CDR_END_session_timeout : CDR_END_normal;
	bool lost = cdr->end_reason == CDR_END_dialog_lost && (!peer_dead || !e->call->idle);
	bool unacked = cdr->end_reason == CDR_END_ack_missing && peer_dead; /* it died between a 200 and its ACK */
	if (cdr->end_reason != should && !lost && !unacked)
		sim_fail(e->t->sims[side], e->call->calls[side], "tandem-reason", "%s, it should be %s",
			 cdr_end_reason_name(cdr->end_reason), cdr_end_reason_name(should));
}

static void check_sides(const struct ends *e)
{
	const struct script *script = &e->call->calls[NEAR]->script;
	unsigned byes = 0;
	for (unsigned i = 0; i < SCRIPT_STEPS; i++)
		byes += script->steps[i].kind == STEP_BYE;
	if (e->caller_dead && e->far->end_side != CDR_SIDE_CALLER)
		fail(e, "tandem-side", "end_side of the far node", e->far->end_side, CDR_SIDE_CALLER);
	else if (e->callee_dead && e->near->end_side != CDR_SIDE_CALLEE)
		fail(e, "tandem-side", "end_side of the near node", e->near->end_side, CDR_SIDE_CALLEE);
	else if (!e->caller_dead && !e->callee_dead && byes == 1 && e->near->end_side != e->far->end_side)
		fail(e, "tandem-side", "end_side of the far node", e->far->end_side, e->near->end_side);
}

/* It lasts until an end says BYE. */
static void check_kept(const struct ends *e)
{
	const struct script *script = &e->call->calls[NEAR]->script;
	int64_t least_ms = INT64_MAX;
	for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
		int64_t at_ms = (int64_t)(script->steps[i].at_ns / SIM_MS);
		if (script->steps[i].kind == STEP_BYE && at_ms < least_ms)
			least_ms = at_ms;
	}
	if (least_ms != INT64_MAX && e->near->hold_ms + e->apart_ms < least_ms)
		fail(e, "tandem-call-is-kept", "hold_ms", (long long)e->near->hold_ms, (long long)least_ms);
}

static void check_hold(const struct ends *e)
{
	int64_t apart_ms = e->near->hold_ms - e->far->hold_ms;
	if (apart_ms > e->apart_ms || apart_ms < -e->apart_ms)
		fail(e, "tandem-hold", "hold_ms of the far node", (long long)e->far->hold_ms,
		     (long long)e->near->hold_ms);
}

/* The nodes parted in mid call: each of them finds out. */
static void check_parting(const struct ends *e, enum tandem_side side, const struct cdr *cdr, bool peer_dead)
{
	const struct session_truth *truth = e->call->calls[side]->truth;
	const struct session_leg *leg = tandem_leg(e->call, side);
	uint64_t parted_ns = e->t->parted_ns;
	if (!truth || !leg || truth->connect_ns > parted_ns || leg->loose)
		return;
	uint64_t end_ns = truth->connect_ns + (uint64_t)(cdr->end_us - cdr->connect_us) * SIM_US;
	uint64_t grace_ns = rules(e->t, side)->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP * SIM_S;
	/* What had left may have come later than that. */
	uint64_t last_ns = parted_ns + leg->interval_s * SIM_S + grace_ns + (uint64_t)network_ms(e->t) * SIM_MS;
	if (!leg->interval_s || end_ns > last_ns)
		sim_fail(e->t->sims[side], e->call->calls[side], "tandem-parting-is-found",
			 "the end came %lld ms after the parting, not %lld", (long long)(end_ns - parted_ns) / 1000000,
			 (long long)(last_ns - parted_ns) / 1000000);
	/* The parting came between a 200 and its ACK. */
	bool unacked = cdr->end_reason == CDR_END_ack_missing &&
		       end_ns <= parted_ns + SIM_64T1 + (uint64_t)network_ms(e->t) * SIM_MS;
	if (e->call->idle && !peer_dead && !unacked && cdr->end_reason != CDR_END_session_timeout &&
	    cdr->end_reason != CDR_END_normal)
		sim_fail(e->t->sims[side], e->call->calls[side], "tandem-reason", "%s",
			 cdr_end_reason_name(cdr->end_reason));
}

/* ---- the leg between ---- */

static void check_refreshers(const struct ends *e)
{
	const struct tandem_call *call = e->call;
	unsigned claims = call->claims[NEAR] + call->claims[FAR];
	if (call->changes > CHANGES_A_CLAIM * claims)
		fail(e, "tandem-one-refresher", "changes of the refresher", call->changes, CHANGES_A_CLAIM * claims);
	if (!call->idle)
		return;
	if (call->passed_on)
		fail(e, "tandem-refreshes-stay-on-their-leg", "refreshes of an end that the next node saw",
		     call->passed_on, 0);
	if (claims && is_sure(e->t))
		fail(e, "tandem-compliant-refresher-is-not-overtaken", "claims", claims, 0);
	if (call->refused_491 && !claims)
		fail(e, "tandem-no-491", "491s between the nodes", call->refused_491, 0);
}

/* Both have agreed to the same, and in each window there was a refresh. */
static void check_windows(const struct ends *e)
{
	const struct session_leg *near = tandem_leg(e->call, NEAR), *far = tandem_leg(e->call, FAR);
	if (!near || !far || near->loose || far->loose || !e->call->idle || !is_sure(e->t))
		return;
	if (!near->interval_s || near->interval_s != far->interval_s)
		fail(e, "tandem-interval", "the interval that the far node has", far->interval_s, near->interval_s);
	else if (near->we_refresh == far->we_refresh)
		fail(e, "tandem-one-refresher", "nodes that refresh", near->we_refresh + far->we_refresh, 1);
	else if (e->call->confirmed[NEAR] + e->call->confirmed[FAR] + 1 < e->near->hold_ms / 1000 / near->interval_s)
		fail(e, "tandem-each-window-is-refreshed", "refreshes confirmed",
		     e->call->confirmed[NEAR] + e->call->confirmed[FAR],
		     (long long)(e->near->hold_ms / 1000 / near->interval_s));
}

/* ---- all of it ---- */

static void check_answered(const struct ends *e)
{
	if (e->t->parted_ns) {
		check_parting(e, NEAR, e->near, e->caller_dead);
		if (!e->t->far_dead)
			check_parting(e, FAR, e->far, e->callee_dead);
		return;
	}
	check_reason(e, NEAR, e->near, e->caller_dead);
	check_reason(e, FAR, e->far, e->callee_dead);
	check_sides(e);
	check_hold(e);
	if (!e->caller_dead && !e->callee_dead)
		check_kept(e);
	check_refreshers(e);
	check_windows(e);
}

void tandem_check_call(const struct tandem *t, const struct tandem_call *call)
{
	const struct sim_call *near = call->calls[NEAR], *far = call->calls[FAR];
	struct ends e = { .t = t,
			  .call = call,
			  .near = near->cdr ? &near->cdr->cdr : NULL,
			  .far = far->cdr ? &far->cdr->cdr : NULL,
			  .caller_dead = peer_is_broken(near->caller),
			  .callee_dead = callee_died(far),
			  .apart_ms = network_ms(t) };
	bool answered[] = { e.near && e.near->connect_us, e.far && e.far->connect_us };
	if (near->cdr_count > 1 || far->cdr_count > 1 || (answered[NEAR] && !e.far))
		fail(&e, "tandem-one-cdr-a-node", "CDRs of the far node", far->cdr_count, 1);
	else if (answered[NEAR] != answered[FAR] && is_sure(t))
		fail(&e, "tandem-both-answered", "answered at the far node", answered[FAR], answered[NEAR]);
	else if (answered[NEAR] && answered[FAR])
		check_answered(&e);
}
