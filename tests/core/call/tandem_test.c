/* Two switches in a row (known bug 17), each with parameters of its own: the leg between them has one refresher, and
 * what becomes of it becomes known on both sides.  RFC 4028; spec 5. */
#include "calls.h"
#include "tests/sim/session.h"
#include "tests/sim/tandem.h"

#define NO_CAP     "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n"
#define TTL(s)     "SS_SIP_SESSION_TTL = " #s "\n"
#define SEGMENT(n) "SS_SIP_SESSION_UPDATE_SEGMENT = " #n "\n"
#define GRACE(s)   "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = " #s "\n"
#define MIN_SE(s)  "RW_SIP_MIN_SE = " #s "\n"
#define TIMED                                                                                                          \
	{                                                                                                              \
		.on = true, .updates = true                                                                            \
	}
#define QUICK                                                                                                          \
	{                                                                                                              \
		{                                                                                                      \
			.ring_ns = 100 * SIM_MS, .final_ns = SIM_S                                                     \
		}                                                                                                      \
	}

static void finish_tandem(struct tandem *t)
{
	tandem_finish(t);
	if (tandem_failed(t))
		tandem_print_failure(t, stderr);
	const struct sim *failed = t->sims[t->sims[NEAR]->failed ? NEAR : FAR];
	cr_assert_not(tandem_failed(t), "%s: %s", failed->failure_check, failed->failure);
}

static const struct cdr *record(const struct tandem_call *call, enum tandem_side side)
{
	return cdr_of(call->calls[side]);
}

/* ---- one refresher ---- */

struct pair {
	const char *near, *far; /* parameters */
	uint32_t interval_s;    /* that the two agree to */
	unsigned too_small;     /* 422s until then */
	bool no_update;
};

/* A call of ten intervals and a bit, and who refreshed the leg between. */
static void check_pair(const struct pair *pair, bool callee_hangs_up, struct link inner)
{
	struct tandem *t = tandem_new(.seed = SEED, .parameters = { pair->near, pair->far }, .inner = inner,
				      .no_update = pair->no_update);
	const struct script script = {
		.timers = { TIMED, TIMED },
		.answers = QUICK,
		.steps = { { STEP_BYE, callee_hangs_up, (10 * pair->interval_s + 7) * SIM_S } },
	};
	const struct tandem_call *call = tandem_place(t, &script);
	finish_tandem(t);
	cr_assert_eq(tandem_leg(call, NEAR)->interval_s, pair->interval_s);
	cr_assert_eq(tandem_leg(call, FAR)->interval_s, pair->interval_s);
	cr_assert_geq(call->confirmed[NEAR], 10);
	cr_assert_eq(call->refreshes[FAR], 0, "%u refreshes of the far node", call->refreshes[FAR]);
	cr_assert_eq(call->reinvites, pair->no_update ? call->refreshes[NEAR] : 0);
	cr_assert_eq(call->changes, 0);
	cr_assert_eq(call->refused_491, 0);
	cr_assert_eq(call->too_small, pair->too_small);
	for (enum tandem_side side = NEAR; side <= FAR; side++) {
		const struct cdr *cdr = record(call, side);
		cr_assert_eq(cdr->end_reason, CDR_END_normal);
		cr_assert_eq(cdr->end_side, callee_hangs_up ? CDR_SIDE_CALLEE : CDR_SIDE_CALLER);
		cr_assert_geq(cdr->hold_ms, (int64_t)pair->interval_s * 10000);
		cr_assert_leq(cdr->refreshes_sent, cdr->refreshes_confirmed + 1, "more than the one that the BYE met");
	}
	tandem_destroy(t);
}

static const struct pair pairs[] = {
	{ .near = NO_CAP, .far = "", .interval_s = 600 },
	{ .near = NO_CAP, .far = "", .interval_s = 600, .no_update = true },
	{ .near = NO_CAP TTL(90), .far = TTL(1800), .interval_s = 90 },
	{ .near = NO_CAP TTL(1800), .far = TTL(90), .interval_s = 90 },
	{ .near = NO_CAP TTL(300) SEGMENT(10), .far = TTL(240) GRACE(60), .interval_s = 240 },
	{ .near = NO_CAP TTL(180) GRACE(30), .far = TTL(200) SEGMENT(10), .interval_s = 180, .no_update = true },
	{ .near = NO_CAP TTL(120) SEGMENT(3) MIN_SE(100), .far = TTL(90), .interval_s = 100 },
};

Test(rfc4028_10, bug_17_two_switches_in_a_row_keep_one_refresher_a_leg)
{
	for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++)
		for (unsigned by_callee = 0; by_callee < 2; by_callee++)
			check_pair(&pairs[i], by_callee, (struct link){ .delay_ns = 30 * SIM_MS });
}

/* Latency beyond T1 has everything sent twice, and nobody taken for silent. */
Test(rfc4028_10, bug_17_nor_does_a_slow_network_between_them_make_two)
{
	for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++)
		check_pair(
			&pairs[i], i % 2,
			(struct link){ .delay_ns = 700 * SIM_MS, .jitter_ns = 400 * SIM_MS, .duplicate_ppm = 200000 });
}

/* The far node's minimum is above what the near one asks for: one 422, and from then on both know. */
Test(rfc4028_7_3, the_next_switch_may_raise_the_interval)
{
	static const struct pair raised[] = {
		{ .near = NO_CAP TTL(90), .far = TTL(400) MIN_SE(300), .interval_s = 300, .too_small = 1 },
		{ .near = NO_CAP TTL(200) SEGMENT(4),
		  .far = TTL(250) MIN_SE(250),
		  .interval_s = 250,
		  .too_small = 1,
		  .no_update = true },
	};
	for (unsigned i = 0; i < sizeof raised / sizeof *raised; i++)
		check_pair(&raised[i], i % 2, (struct link){ .delay_ns = 5 * SIM_MS });
}

/* One in five is lost: a refresh has ten tries or so in each window, and the call lasts until an end hangs up. */
Test(rfc4028_10, bug_17_a_call_through_two_switches_outlasts_losses)
{
	unsigned confirmed = 0;
	for (unsigned i = 0; i < 40; i++) {
		struct tandem *t =
			tandem_new(.seed = SEED + i, .parameters = { NO_CAP TTL(90), TTL(90) SEGMENT(3) },
				   .no_update = i % 2,
				   .inner = { .delay_ns = 20 * SIM_MS, .jitter_ns = 100 * SIM_MS, .loss_ppm = 200000 });
		const struct script script = { .timers = { TIMED, TIMED },
					       .answers = QUICK,
					       .steps = { { STEP_BYE, i % 3 == 0, 1000 * SIM_S } } };
		const struct tandem_call *call = tandem_place(t, &script);
		finish_tandem(t);
		cr_assert_eq(record(call, NEAR)->end_reason, CDR_END_normal);
		cr_assert_eq(record(call, FAR)->end_reason, CDR_END_normal);
		confirmed += call->confirmed[NEAR] + call->confirmed[FAR];
		tandem_destroy(t);
	}
	cr_assert_geq(confirmed, 40 * 10);
}

/* ---- somebody is gone ---- */

static uint64_t end_ns(const struct tandem_call *call, enum tandem_side side)
{
	const struct cdr *cdr = record(call, side);
	return call->calls[side]->truth->connect_ns + (uint64_t)(cdr->end_us - cdr->connect_us) * SIM_US;
}

/* A call that is up, in which an end falls silent after 100 s. */
static struct tandem_call *silent_end(struct tandem *t, bool callee)
{
	const struct script script = { .timers = { TIMED, TIMED },
				       .answers = QUICK,
				       .steps = { { STEP_DIE, callee, 100 * SIM_S } } };
	return tandem_place(t, &script);
}

static void check_silent_end(bool callee, bool no_update)
{
	struct tandem *t =
		tandem_new(.seed = SEED, .parameters = { NO_CAP TTL(300) GRACE(20), TTL(200) }, .no_update = no_update);
	const struct tandem_call *call = silent_end(t, callee);
	uint64_t begun_ns = tandem_now_ns(t);
	finish_tandem(t);
	enum tandem_side beside = callee ? FAR : NEAR, beyond = callee ? NEAR : FAR;
	uint64_t window_ns = (callee ? 200 : 320) * SIM_S, found_ns = end_ns(call, beside);
	cr_assert_eq(record(call, beside)->end_reason, CDR_END_session_timeout);
	cr_assert_eq(record(call, beside)->end_side, CDR_SIDE_SWITCH);
	cr_assert_eq(record(call, beyond)->end_reason, CDR_END_normal);
	cr_assert_eq(record(call, beyond)->end_side, callee ? CDR_SIDE_CALLEE : CDR_SIDE_CALLER);
	cr_assert(found_ns > begun_ns + 100 * SIM_S && found_ns <= begun_ns + 102 * SIM_S + window_ns, "after %llu s",
		  (unsigned long long)((found_ns - begun_ns) / SIM_S));
	cr_assert(end_ns(call, beyond) >= found_ns && end_ns(call, beyond) <= found_ns + 2 * SIM_MS);
	tandem_destroy(t);
}

Test(spec_5, the_switch_beside_a_silent_end_finds_out_and_tells_the_other)
{
	for (unsigned i = 0; i < 4; i++)
		check_silent_end(i & 1, i & 2);
}

Test(spec_5, a_switch_that_falls_silent_is_found_out_by_the_one_before_it)
{
	struct tandem *t = tandem_new(.seed = SEED, .parameters = { NO_CAP TTL(180) GRACE(15), "" });
	const struct script script = { .timers = { TIMED, TIMED }, .answers = QUICK };
	const struct tandem_call *call = tandem_place(t, &script);
	tandem_run(t, 500 * SIM_S);
	uint64_t died_ns = tandem_now_ns(t);
	tandem_far_dies(t);
	finish_tandem(t);
	cr_assert_eq(record(call, NEAR)->end_reason, CDR_END_session_timeout);
	cr_assert_eq(sim_seen(call->calls[NEAR], OUT_A, "BYE"), 1);
	cr_assert(end_ns(call, NEAR) > died_ns && end_ns(call, NEAR) <= died_ns + 195 * SIM_S);
	tandem_destroy(t);
}

/* Each side by its own window: the near one refreshed, the far one waited for it. */
Test(spec_5, two_switches_that_part_end_the_call_on_both_sides)
{
	struct tandem *t = tandem_new(.seed = SEED, .parameters = { NO_CAP TTL(180), GRACE(40) });
	const struct script script = { .timers = { TIMED, TIMED }, .answers = QUICK };
	const struct tandem_call *call = tandem_place(t, &script);
	tandem_run(t, 500 * SIM_S);
	uint64_t parted_ns = tandem_now_ns(t);
	tandem_part(t);
	finish_tandem(t);
	for (enum tandem_side side = NEAR; side <= FAR; side++) {
		uint64_t last_ns = parted_ns + (side == NEAR ? 180 : 220) * SIM_S;
		cr_assert_eq(record(call, side)->end_reason, CDR_END_session_timeout);
		cr_assert(end_ns(call, side) > parted_ns && end_ns(call, side) <= last_ns);
		cr_assert_eq(sim_seen(call->calls[side], side == NEAR ? OUT_A : OUT_B, "BYE"), 1);
	}
	tandem_destroy(t);
}

/* Whenever it comes, 25 s without the other node are made good within a window of 90 s. */
Test(spec_5, two_switches_that_find_each_other_again_keep_the_call)
{
	for (unsigned i = 0; i < 30; i++) {
		struct tandem *t = tandem_new(.seed = SEED + i, .parameters = { NO_CAP TTL(90), GRACE(10) });
		const struct script script = { .timers = { TIMED, TIMED },
					       .answers = QUICK,
					       .steps = { { STEP_BYE, i & 1, 900 * SIM_S } } };
		const struct tandem_call *call = tandem_place(t, &script);
		tandem_run(t, (100 + 3 * i) * SIM_S);
		tandem_cut(t, true);
		tandem_run(t, 25 * SIM_S);
		tandem_cut(t, false);
		finish_tandem(t);
		cr_assert_eq(record(call, NEAR)->end_reason, CDR_END_normal);
		tandem_destroy(t);
	}
}

/* The callee's new session is offered to a caller that is gone: the near node says so 32 s later, when the far one has
 * just given its offer up, and hangs up.  Whichever comes first: the ACK of the 408 goes to where the offer went. */
Test(rfc3261_17_1_1_3, the_failure_of_an_offer_that_was_given_up_is_acked_as_it_was_sent)
{
	for (unsigned i = 0; i < 10; i++) {
		struct tandem *t = tandem_new(.seed = SEED + i, .parameters = { NO_CAP TTL(1800), TTL(300) });
		const struct script script = { .timers = { TIMED, { .on = true, .moves = true, .update_code = 405 } },
					       .answers = QUICK,
					       .steps = { { STEP_DIE, false, 10 * SIM_S } } };
		const struct tandem_call *call = tandem_place(t, &script);
		while (!sim_seen(call->calls[FAR], IN_A, "100 INVITE"))
			tandem_run(t, 100 * SIM_MS);
		t->gates[NEAR].host->from_node.delay_ns = 50 * SIM_MS;
		t->gates[NEAR].host->from_node.jitter_ns = 200 * SIM_MS;
		finish_tandem(t);
		cr_assert_eq(sim_seen(call->calls[FAR], OUT_A, "CANCEL"), 1);
		cr_assert_eq(sim_seen(call->calls[FAR], IN_A, "408 INVITE"), 1);
		cr_assert_eq(record(call, NEAR)->end_reason, CDR_END_dialog_lost);
		tandem_destroy(t);
	}
}
