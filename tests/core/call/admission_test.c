/* Capacity and rate_limit of gateways over several shards, and through configurations that change.  What holds at every
 * moment of every run is checked by tests/sim/limits.c; what is asked here is what comes of it.  Spec 4, 6. */
#include "calls.h"

#include "core/call/state.h"
#include "tests/sim/traffic.h"

#define MG(more) "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " more " }\n"
#define RG(more) "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} " more " }\n"
#define RG2      "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 9 }\n"

static unsigned count_of(const struct sim *sim, enum way way, const char *what)
{
	unsigned n = 0;
	for (unsigned i = 0; i < sim->call_count; i++)
		n += sim_seen(sim->by_serial[i], way, what) > 0;
	return n;
}

static unsigned ended_with(const struct sim *sim, enum cdr_end_reason reason, unsigned q850)
{
	unsigned n = 0;
	for (const struct sim_cdr *record = sim->cdrs; record; record = record->next)
		n += record->cdr.end_reason == reason && record->cdr.q850 == q850;
	return n;
}

static void place(struct sim *sim, void *context)
{
	(void)context;
	sim->planned--;
	sim_call_now(sim, .answers = { ANSWERS, ANSWERS, ANSWERS }, .steps = { HANGS_UP(60) });
}

/* So many calls, one after another, and then a moment of rest. */
static void place_calls(struct sim *sim, unsigned calls, uint64_t over_ns)
{
	sim->planned += calls;
	for (unsigned i = 0; i < calls; i++)
		sim_at(sim, sim->now_ns + i * over_ns / calls, place, NULL);
	sim_run(sim, over_ns + 5 * SIM_S);
}

static uint32_t calls_on(const struct sim *sim, enum gateway_kind kind)
{
	return node_lines(sim, kind, kind == GATEWAY_MAPPING ? "mg" : "rg1");
}

/* ---- capacity ---- */

/* Large enough to be lent: each line is found, wherever it is, and most calls ask nobody. */
static void fill_up(const char *gateways, enum gateway_kind kind, unsigned capacity)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED + shards, .shards = shards, .gateways = gateways);
		place_calls(sim, capacity + 40, 2 * SIM_S);
		cr_assert_eq(calls_on(sim, kind), capacity);
		cr_assert_eq(count_of(sim, OUT_A, "503 INVITE"), 40);
		cr_assert_lt(node_stat(sim, limit_asks), shards > 1 ? capacity / 2 + 40 : 1);
		sim_run(sim, 100 * SIM_S);
		cr_assert_eq(calls_on(sim, kind), 0);
		place_calls(sim, capacity + 1, SIM_S);
		cr_assert_eq(calls_on(sim, kind), capacity);
		finish(sim);
	}
}

Test(capacity, of_a_large_mapping_gateway_is_lent_and_exact)
{
	fill_up(MG("capacity = 200") RG(""), GATEWAY_MAPPING, 200);
}

Test(capacity, of_a_large_routing_gateway_is_lent_and_exact)
{
	fill_up(MG("") RG("capacity = 200"), GATEWAY_ROUTING, 200);
}

/* At most 4 times the shards: nothing is lent. */
Test(capacity, of_a_small_gateway_is_asked_for_each_time)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 4, .gateways = MG("capacity = 16") RG(""));
	place_calls(sim, 40, SIM_S);
	cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 16);
	cr_assert_eq(node_stat(sim, limit_recalls), 0);
	finish(sim);
}

/* Lines that calls gave back stay with their shard until another needs them: then they are recalled. */
Test(capacity, idle_lines_are_recalled_for_whoever_asks)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 4, .gateways = MG("capacity = 64") RG(""));
	for (unsigned i = 0; i < 20; i++) {
		place_calls(sim, 64, 2 * SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 64, "round %u", i);
		sim_run(sim, 70 * SIM_S);
	}
	cr_assert_gt(node_stat(sim, limit_recalls), 0);
	cr_assert_eq(node_stat(sim, refused_capacity), 0);
	finish(sim);
}

/* The caller gives up while its shard waits for an answer: its line goes to somebody else. */
Test(capacity, a_call_that_ends_while_it_asks_leaves_no_line_behind)
{
	for (unsigned late_ms = 0; late_ms < 300; late_ms += 10) {
		struct sim *sim = sim_new(.seed = SEED + late_ms, .shards = 4, .note_jitter_ns = 200 * SIM_MS,
					  .gateways = MG("capacity = 18") RG("capacity = 17"));
		for (unsigned i = 0; i < 30; i++)
			sim_call_now(sim, .answers = { ANSWERS }, .cancel_ns = late_ms * SIM_MS + 1);
		place_calls(sim, 30, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_ROUTING), 17);
		finish(sim);
	}
}

/* A shard says nothing for long: its calls are refused, another gateway is tried, and what it says later is made good.
 */
Test(capacity, a_shard_that_is_stuck_is_not_waited_for)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 4, .note_jitter_ns = 30 * SIM_S,
				  .gateways = MG("") RG("capacity = 5") RG2);
	place_calls(sim, 40, 10 * SIM_S);
	sim_run(sim, 20 * SIM_S);
	cr_assert_gt(node_stat(sim, limit_silences), 0);
	cr_assert_eq(node_stat(sim, calls_answered), 40);
	finish(sim);
}

/* ---- rate_limit ---- */

/* VOS3000: 20 INVITEs in a second at a limit of 10, 10 pass; and another 10 in the next. */
Test(rate_limit, of_a_mapping_gateway_refuses_with_retry_after)
{
	for (unsigned shards = 1; shards <= 4; shards += 3) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards, .mailbox = true,
					  .gateways = MG("rate_limit = 10") RG(""));
		for (unsigned second = 1; second <= 3; second++) {
			place_calls(sim, 20, 900 * SIM_MS);
			cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 10 * second);
			cr_assert_eq(sim->counts.refused_rate, 10 * second);
			cr_assert_eq(ended_with(sim, CDR_END_capacity, 42), 10 * second);
			cr_assert_eq(node_stat(sim, refused_rate), 10 * second);
		}
		finish(sim);
	}
}

/* Skipped as one that is full is: no attempt, no switch, and no Retry-After. */
Test(rate_limit, of_a_routing_gateway_is_skipped)
{
	for (unsigned shards = 1; shards <= 4; shards += 3) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards, .parameters = "SS_GATEWAY_SWITCH_LIMIT = 1",
					  .gateways = MG("") RG("rate_limit = 10") RG2);
		place_calls(sim, 20, 900 * SIM_MS);
		cr_assert_eq(calls_on(sim, GATEWAY_ROUTING), 10);
		cr_assert_eq(node_stat(sim, calls_active), 20);
		cr_assert_eq(node_stat(sim, skipped_rate), 10);
		sim_run(sim, 100 * SIM_S);
		for (const struct sim_cdr *record = sim->cdrs; record; record = record->next)
			cr_assert_eq(record->cdr.attempts_count, 1);
		finish(sim);

		sim = sim_new(.seed = SEED, .shards = shards, .gateways = MG("") RG("rate_limit = 10"));
		place_calls(sim, 20, 900 * SIM_MS);
		cr_assert_eq(ended_with(sim, CDR_END_capacity, 34), 10);
		cr_assert_eq(sim->counts.refused_rate, 0);
		finish(sim);
	}
}

/* Lent like lines: all of a second are found, wherever they are, and most calls ask nobody. */
Test(rate_limit, a_large_one_is_lent_and_exact)
{
	for (unsigned shards = 2; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards, .gateways = MG("rate_limit = 120") RG(""));
		for (unsigned second = 1; second <= 3; second++) {
			place_calls(sim, 150, 990 * SIM_MS);
			cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 120 * second);
			cr_assert_eq(node_stat(sim, refused_rate), 30 * second);
		}
		cr_assert_lt(node_stat(sim, limit_asks), 3 * (60 + 30));
		finish(sim);
	}
}

/* At most so many in any second that begins with a call. */
Test(rate_limit, lets_so_many_pass_in_each_second)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 4, .gateways = MG("rate_limit = 25") RG(""));
	place_calls(sim, 2000, 40 * SIM_S);
	cr_assert_geq(node_stat(sim, calls_answered), 39 * 25);
	cr_assert_leq(node_stat(sim, calls_answered), 41 * 25);
	finish(sim);
}

/* First the rate, then the capacity; and a call that finds no line leaves its start to another. */
Test(rate_limit, comes_before_the_capacity)
{
	for (unsigned shards = 1; shards <= 4; shards += 3) {
		struct sim *sim =
			sim_new(.seed = SEED, .shards = shards, .gateways = MG("rate_limit = 5 capacity = 3") RG(""));
		place_calls(sim, 20, 100 * SIM_MS);
		cr_assert_eq(ended_with(sim, CDR_END_capacity, 34), 17);
		finish(sim);

		sim = sim_new(.seed = SEED, .shards = shards, .gateways = MG("rate_limit = 3 capacity = 5") RG(""));
		place_calls(sim, 20, 100 * SIM_MS);
		cr_assert_eq(ended_with(sim, CDR_END_capacity, 42), 17);
		finish(sim);
	}
}

/* ---- reload ---- */

#define TO(text) node_reload(sim, (text), 300 * SIM_MS), sim_run(sim, 8 * SIM_S)

/* Smaller than what is in use: those calls stay, and no other comes before enough have ended. */
Test(reload, a_capacity_below_what_is_in_use_refuses)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards, .gateways = MG("capacity = 100") RG(""));
		place_calls(sim, 60, SIM_S);
		TO(MG("capacity = 40") RG(""));
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 60);
		place_calls(sim, 10, SIM_S);
		cr_assert_eq(node_stat(sim, refused_capacity), 10);
		sim_run(sim, 60 * SIM_S);
		place_calls(sim, 50, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 40);
		TO(MG("capacity = 70") RG(""));
		place_calls(sim, 50, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 70);
		finish(sim);
	}
}

/* A capacity that is new counts the calls that are up already. */
Test(reload, a_gateway_that_gets_a_capacity_counts_its_calls)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards, .gateways = MG("") RG(""));
		place_calls(sim, 30, SIM_S);
		TO(MG("capacity = 40") RG("capacity = 35"));
		place_calls(sim, 30, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_ROUTING), 35);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 35);
		finish(sim);
	}
}

Test(reload, a_gateway_that_loses_its_capacity_asks_no_more)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards, .gateways = MG("capacity = 20") RG(""));
		place_calls(sim, 30, SIM_S);
		TO(MG("") RG(""));
		uint64_t asks = node_stat(sim, limit_asks);
		place_calls(sim, 30, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 50);
		cr_assert_eq(node_stat(sim, limit_asks), asks);
		TO(MG("capacity = 55") RG(""));
		place_calls(sim, 30, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 55);
		finish(sim);
	}
}

/* Its calls stay up, and count when it is there again. */
Test(reload, a_gateway_that_vanishes_keeps_its_calls)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED, .shards = shards,
					  .gateways = MG("capacity = 50") RG("capacity = 30") RG2);
		place_calls(sim, 40, SIM_S);
		TO(MG("capacity = 50") RG2);
		cr_assert_eq(calls_on(sim, GATEWAY_ROUTING), 30);
		place_calls(sim, 5, SIM_S);
		TO(MG("capacity = 50") RG("capacity = 32") RG2);
		place_calls(sim, 10, SIM_S);
		cr_assert_eq(calls_on(sim, GATEWAY_ROUTING), 32);
		cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 50);
		TO(RG("capacity = 32") RG2);
		cr_assert_eq(node_stat(sim, calls_active), 50);
		finish(sim);
	}
}

Test(reload, a_rate_limit_comes_and_goes)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 4, .gateways = MG("") RG(""));
	place_calls(sim, 20, SIM_S);
	TO(MG("rate_limit = 7") RG(""));
	place_calls(sim, 20, 900 * SIM_MS);
	cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 27);
	TO(MG("") RG(""));
	place_calls(sim, 20, SIM_S);
	cr_assert_eq(calls_on(sim, GATEWAY_MAPPING), 47);
	finish(sim);
}

/* ---- many calls of every kind ---- */

static const char *const four_gateways[] = {
	/* a small and a large one of each kind */
	"mapping_gateway \"mg1\" { address = {\"10.1.0.1\"} capacity = 7 }\n"
	"mapping_gateway \"mg2\" { address = {\"10.1.0.0/16\"} capacity = 230 rate_limit = 9 }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 capacity = 5 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 capacity = 90 }\n",
	"mapping_gateway \"mg1\" { address = {\"10.1.0.1\"} capacity = 90 }\n"
	"mapping_gateway \"mg2\" { address = {\"10.1.0.0/16\"} capacity = 120 }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 capacity = 70 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 1 rate_limit = 5 }\n",
	"mapping_gateway \"mg1\" { address = {\"10.1.0.1\"} rate_limit = 3 }\n"
	"mapping_gateway \"mg2\" { address = {\"10.1.0.0/16\"} }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 7 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 1 capacity = 190 }\n",
};

static void run_random(unsigned calls, uint64_t seed, unsigned shards, uint64_t note_jitter_ns, unsigned reloads)
{
	struct sim *sim =
		sim_new(.seed = seed, .shards = shards, .mailbox = seed & 1, .calls_max = 4096,
			.note_jitter_ns = note_jitter_ns, .gateways = four_gateways[0],
			.link = { .delay_ns = 20 * SIM_MS, .jitter_ns = 50 * SIM_MS, .loss_ppm = 20000 },
			.parameters =
				"SS_GATEWAY_SWITCH_UNTIL_CONNECT = on\nSS_SIP_NO_TIMER_REINVITE_INTERVAL = 300\n");
	uint64_t span_ns = calls * 80 * SIM_MS, begin_ns = sim->now_ns;
	for (unsigned i = 0; i < calls; i++)
		traffic_place_at(sim, begin_ns + sim_below(sim, SIM_TRAFFIC, span_ns));
	for (unsigned i = 1; i <= reloads; i++) {
		sim_run_until(sim, begin_ns + i * span_ns / (reloads + 1));
		node_reload(sim, four_gateways[sim_below(sim, SIM_TRAFFIC, 3)], 2 * SIM_S);
	}
	sim_run_until(sim, begin_ns + span_ns);
	cr_assert_eq(sim->call_count, calls);
	cr_expect_gt(node_stat(sim, refused_capacity) + node_stat(sim, skipped_capacity), calls / 20);
	cr_expect_gt(node_stat(sim, refused_rate) + node_stat(sim, skipped_rate), 0);
	if (shards > 1)
		cr_expect_gt(node_stat(sim, limit_recalls), 0);
	finish(sim);
}

Test(capacity, of_four_gateways_holds_for_10000_random_calls_on_2_shards, .timeout = 300)
{
	run_random(10000, SEED, 2, 0, 0);
}

Test(capacity, holds_for_random_calls_while_notes_are_late, .timeout = 300)
{
	for (unsigned shards = 1; shards <= 4; shards++)
		run_random(1000, SEED + shards, shards, 400 * SIM_MS, 0);
}

Test(reload, limits_hold_for_random_calls_while_configurations_change, .timeout = 300)
{
	for (unsigned seed = 1; seed <= 12; seed++)
		run_random(500, SEED + seed, 1 + seed % 4, seed & 4 ? 400 * SIM_MS : 0, 12);
}
