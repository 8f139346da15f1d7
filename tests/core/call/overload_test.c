/* A shard whose worker does not keep pace: new calls are refused cheaply, calls that there are go on.  Spec 11. */
#include "calls.h"

#include <string.h>

#include "core/call/state.h"

#define ALL     1000 /* so full a queue that no new call is taken */
#define MOST    780  /* three in ten are taken, all others answered */
#define NOTHING 0

static struct shard *shard_of(struct sim *sim)
{
	return sim->shards[0].shard;
}

/* The queue stands that full until something else is said. */
static void press(struct sim *sim, unsigned permille)
{
	sim->pressed = true;
	sim->queue_permille = permille;
	for (unsigned i = 0; i <= 2 * SHED_STANDS_NS / SIM_MS; i++) {
		shard_turn(shard_of(sim), node_clock_ns(sim), permille, false);
		sim_run(sim, SIM_MS);
	}
	cr_assert_eq(node_stat(sim, overloaded), permille >= SHED_BEGIN_PERMILLE);
}

static uint64_t shed(struct sim *sim)
{
	return node_stat(sim, invites_rejected_overload) + node_stat(sim, invites_dropped_overload);
}

static unsigned ended_as(const struct sim *sim, enum cdr_end_reason reason)
{
	unsigned n = 0;
	for (const struct sim_cdr *record = sim->cdrs; record; record = record->next)
		n += record->cdr.end_reason == reason;
	return n;
}

/* re-INVITE, UPDATE, INFO and BYE of either side, refreshes of the node and their answers. */
Test(spec11_overload, a_call_that_is_up_goes_on_and_ends)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_SESSION_TTL = 90");
	struct timer_script timer = { .on = true, .updates = true };
	struct sim_call *calls[10];
	for (unsigned i = 0; i < 10; i++)
		calls[i] = sim_call_now(sim, .answers = { ANSWERS }, .timers = { timer, timer },
					.steps = { { STEP_REINVITE, i & 1, 5 * SIM_S },
						   { STEP_UPDATE, !(i & 1), 6 * SIM_S },
						   { STEP_INFO, i & 1, 7 * SIM_S },
						   { STEP_BYE, i & 1, (200 + i) * SIM_S } });
	sim_run(sim, 4 * SIM_S);
	cr_assert_eq(node_stat(sim, calls_active), 10);
	press(sim, ALL);
	sim_run(sim, 300 * SIM_S);
	cr_assert_eq(ended_as(sim, CDR_END_normal), 10);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert_geq(cdr_of(calls[i])->refreshes_confirmed, 4);
		cr_assert_eq(cdr_of(calls[i])->refreshes_confirmed, cdr_of(calls[i])->refreshes_sent);
	}
	cr_assert_eq(shed(sim), 0);
	finish(sim);
}

/* Its 100 is lost: the repeated INVITE is no new call. */
Test(spec11_overload, a_repeated_invite_of_a_call_in_set_up_is_not_refused)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { { .ring_ns = 3 * SIM_S, .final_ns = 5 * SIM_S } },
					     .steps = { HANGS_UP(10) });
	call->caller->host->from_node.down = true;
	sim_run(sim, 100 * SIM_MS);
	cr_assert_eq(node_stat(sim, calls_setup), 1);
	press(sim, ALL);
	sim_run(sim, 700 * SIM_MS);
	call->caller->host->from_node.down = false;
	sim_run(sim, 30 * SIM_S);
	cr_assert_geq(sim_seen_again(call, IN_A, "INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "503 INVITE"), 0);
	cr_assert_eq(shed(sim), 0);
	assert_reason(call, normal);
	finish(sim);
}

Test(spec11_overload, a_call_in_set_up_is_answered_or_cancelled)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *answered = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	struct sim_call *cancelled =
		sim_call_now(sim, .cancel_ns = 2 * SIM_S, .answers = { { .ring_ns = 1, .never = true } });
	sim_run(sim, 200 * SIM_MS);
	press(sim, ALL);
	sim_run(sim, 30 * SIM_S);
	assert_reason(answered, normal);
	assert_reason(cancelled, cancelled);
	cr_assert_eq(shed(sim), 0);
	finish(sim);
}

/* 503 with Retry-After, no record, no call; whoever is taken is served as ever. */
Test(spec11_overload, a_share_of_new_calls_is_taken_and_the_rest_answered_503)
{
	struct sim *sim = sim_new(.seed = SEED);
	press(sim, MOST);
	for (unsigned i = 0; i < 400; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 60 * SIM_S);
	uint64_t refused = node_stat(sim, invites_rejected_overload);
	cr_assert(refused > 240 && refused < 320, "%lu of 400", refused);
	cr_assert_eq(sim->counts.refused_full, refused); /* the simulation counts those with Retry-After */
	cr_assert_eq(node_stat(sim, invites_dropped_overload), 0);
	cr_assert_eq(ended_as(sim, CDR_END_normal), 400 - refused);
	cr_assert_eq(sim->cdr_count, 400 - refused);
	finish(sim);
}

Test(spec11_overload, nobody_is_refused_any_more_when_nothing_waits)
{
	struct sim *sim = sim_new(.seed = SEED);
	press(sim, ALL);
	cr_assert(strstr(sim->last_log, "event=overload_begins"));
	sim->queue_permille = NOTHING;
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 30 * SIM_S);
	assert_reason(call, normal);
	cr_assert_eq(node_stat(sim, overloaded), 0);
	cr_assert(strstr(sim->last_log, "event=overload_ends"));
	finish(sim);
}

/* Overloads that come and go are told once in ten seconds. */
Test(spec11_overload, the_log_is_not_flooded)
{
	struct sim *sim = sim_new(.seed = SEED);
	unsigned lines = sim->log_lines;
	for (unsigned i = 0; i < 5; i++) {
		press(sim, ALL);
		for (unsigned n = 0; n <= SHED_CALM_NS / SIM_MS + 1; n++) {
			shard_turn(shard_of(sim), node_clock_ns(sim), NOTHING, true);
			sim_run(sim, SIM_MS);
		}
		cr_assert_eq(node_stat(sim, overloaded), 0);
	}
	cr_assert_eq(sim->log_lines - lines, 2);
	finish(sim);
}

/* Older than T1 when it is read, no overload: the repetition behind it is taken. */
Test(spec11_overload, an_invite_older_than_half_a_second_is_left_to_its_repetition)
{
	struct sim *sim = sim_new(.seed = SEED);
	sim->pressed = true;
	sim->waited_ns = SHED_STALE_NS;
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 100 * SIM_MS);
	cr_assert_eq(node_stat(sim, invites_dropped_overload), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "100 INVITE"), 0);
	sim->waited_ns = 0;
	sim_run(sim, 30 * SIM_S);
	assert_reason(call, normal);
	sim_destroy(sim); /* whose checks have the first INVITE as the beginning of the call */
}

/* A BYE, however old. */
Test(spec11_overload, a_bye_is_answered_however_long_it_has_waited)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 10 * SIM_S);
	sim->pressed = true;
	sim->waited_ns = 3 * SIM_S;
	sim->queue_permille = ALL;
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "200 BYE"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* From no known gateway: not even the 403 meanwhile. */
Test(spec11_overload, strangers_hear_nothing)
{
	struct sim *sim =
		sim_new(.seed = SEED,
			.gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.1\"} }\n"
				    "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n");
	press(sim, SHED_BEGIN_PERMILLE);
	struct sim_call *stranger = sim_call_now(sim, .caller = 1, .answers = { ANSWERS });
	struct sim_call *customer = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 400 * SIM_MS);
	cr_assert_eq(sim_seen(stranger, OUT_A, "403 INVITE"), 0);
	cr_assert_eq(node_stat(sim, invites_dropped_overload), 1);
	sim_run(sim, 60 * SIM_S);
	assert_reason(customer, normal);
	sim_destroy(sim);
}
