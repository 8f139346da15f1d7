/* Lines of gateways, and what happens at a limit: new calls are refused, live ones unharmed.  Spec 4, 11; design,
 * rule 6. */
#include "calls.h"

#include <stdio.h>

#include "core/call/state.h"

static unsigned count_of(const struct sim *sim, enum way way, const char *what)
{
	unsigned n = 0;
	for (unsigned i = 0; i < sim->call_count; i++)
		n += sim_seen(sim->by_serial[i], way, what) > 0;
	return n;
}

static unsigned ended_as(const struct sim *sim, enum cdr_end_reason reason)
{
	unsigned n = 0;
	for (const struct sim_cdr *record = sim->cdrs; record; record = record->next)
		n += record->cdr.end_reason == reason;
	return n;
}

/* Both steering ways, one shard and several: the line of a gateway has one home that all ask. */
static void check_capacity(const char *gateways, enum gateway_kind kind, const char *name, unsigned lines)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim *sim =
			sim_new(.seed = SEED + shards, .shards = shards, .mailbox = shards & 1, .gateways = gateways);
		for (unsigned i = 0; i < 40; i++)
			sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
		sim_run(sim, 5 * SIM_S);
		cr_assert_eq(node_lines(sim, kind, name), lines);
		cr_assert_eq(node_stat(sim, calls_active), lines);
		cr_assert_eq(count_of(sim, OUT_A, "503 INVITE"), 40 - lines);
		cr_assert_eq(ended_as(sim, CDR_END_capacity), 40 - lines);
		sim_run(sim, 20 * SIM_S);
		cr_assert_eq(node_lines(sim, kind, name), 0);
		for (unsigned i = 0; i < lines; i++) /* and all of them can be had again */
			sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
		sim_run(sim, 5 * SIM_S);
		cr_assert_eq(node_stat(sim, calls_active), lines);
		finish(sim);
	}
}

Test(capacity, of_a_mapping_gateway_is_exact_over_all_shards)
{
	check_capacity("mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} capacity = 7 }\n"
		       "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n",
		       GATEWAY_MAPPING, "mg", 7);
}

Test(capacity, of_a_routing_gateway_is_exact_over_all_shards)
{
	check_capacity("mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
		       "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} capacity = 5 }\n",
		       GATEWAY_ROUTING, "rg1", 5);
}

/* A full gateway is skipped: no attempt, no switch. */
Test(capacity, a_full_gateway_is_skipped)
{
	struct sim *sim =
		sim_new(.seed = SEED, .shards = 2, .parameters = "SS_GATEWAY_SWITCH_LIMIT = 1",
			.gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
				    "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} "
				    "priority = 1 capacity = 3 }\n"
				    "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} "
				    "priority = 2 }\n");
	for (unsigned i = 0; i < 10; i++)
		sim_call_now(sim, .answers = { ANSWERS, ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 5 * SIM_S);
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "rg1"), 3);
	cr_assert_eq(node_stat(sim, calls_active), 10);
	sim_run(sim, 20 * SIM_S);
	for (const struct sim_cdr *record = sim->cdrs; record; record = record->next)
		cr_assert_eq(record->cdr.attempts_count, 1);
	finish(sim);
}

/* The caller's 503 names the cause and not a time: one full gateway must not rest a whole trunk. */
Test(capacity, a_503_has_a_cause_and_no_retry_after)
{
	struct sim *sim =
		sim_new(.seed = SEED,
			.gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} capacity = 1 }\n"
				    "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n");
	struct sim_call *first = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(3) });
	sim_run(sim, SIM_S);
	struct sim_call *second = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(second, OUT_A, "503 INVITE"), 1);
	cr_assert_eq(sim->counts.refused_full, 0); /* the simulation counts those with Retry-After */
	cr_assert_eq(cdr_of(second)->q850, 34);
	assert_reason(second, capacity);
	assert_reason(first, normal);
	finish(sim);
}

/* All call slots are taken: 503 with Retry-After and no record; the calls that are up are hung up, offered, and
 * refreshed as ever. */
Test(limits, without_a_call_slot_new_calls_are_refused)
{
	struct sim *sim = sim_new(.seed = SEED, .calls_max = 3);
	for (unsigned i = 0; i < 3; i++)
		sim_call_now(
			sim, .answers = { ANSWERS },
			.steps = { { STEP_REINVITE, i & 1, 2 * SIM_S }, { STEP_INFO, true, 3 * SIM_S }, HANGS_UP(10) });
	sim_run(sim, SIM_S);
	for (unsigned i = 0; i < 5; i++)
		sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.refused_full, 5);
	cr_assert_eq(node_stat(sim, invites_rejected_overload), 5);
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(ended_as(sim, CDR_END_normal), 3);
	cr_assert_eq(sim->cdr_count, 3);
	struct sim_call *late = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(1) });
	sim_run(sim, 10 * SIM_S);
	assert_reason(late, normal);
	finish(sim);
}

static void place(struct sim *sim, void *context)
{
	(void)context;
	sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(60) });
}

/* max_calls: calls fall to shards unevenly, but the node is full when it is full, but for one call of each. */
Test(limits, room_for_calls_is_found_on_whichever_shard_has_it)
{
	for (unsigned shards = 2; shards <= 4; shards++) {
		unsigned share = 200 / shards;
		struct sim *sim = sim_new(.seed = SEED + shards, .shards = shards, .calls_max = share);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned i = 0; i < 300; i++)
				sim_at(sim, sim->now_ns + i * 10 * SIM_MS, place, NULL);
			sim_run(sim, 10 * SIM_S);
			cr_assert_leq(node_stat(sim, calls_active), share * shards);
			cr_assert_geq(node_stat(sim, calls_active), share * shards - (shards - 1));
			sim_run(sim, 70 * SIM_S);
		}
		cr_assert_gt(node_stat(sim, room_asks), 0);
		cr_assert_eq(node_stat(sim, pool_call_size), share * shards);
		finish(sim);
	}
}

/* The billing thread does not keep up for a minute: nothing is lost, nothing comes twice, and each is as it should be.
 */
Test(limits, records_wait_for_room_in_the_queue)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2);
	for (unsigned i = 0; i < 100; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(1 + i % 20) });
	sim_run(sim, 2500 * SIM_MS); /* they are up, and written down as such */
	sim->refuse_cdrs = true;
	sim_run(sim, 60 * SIM_S);
	cr_assert_eq(sim->cdr_count, 0);
	cr_assert_eq(node_stat(sim, cdr_waiting), 100);
	cr_assert_eq(node_stat(sim, calls_active), 0);
	sim->refuse_cdrs = false;
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->cdr_count, 100);
	cr_assert_eq(ended_as(sim, CDR_END_normal), 100);
	finish(sim);
}

/* Before records could be lost new calls are refused; those under way go on to their end. */
Test(limits, without_room_for_records_new_calls_are_refused)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *before = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, SIM_S);
	sim->no_cdr_room = true;
	struct sim_call *meanwhile = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(meanwhile, OUT_A, "503 INVITE"), 1);
	cr_assert_eq(meanwhile->cdr_count, 0);
	assert_reason(before, normal);
	sim->no_cdr_room = false;
	struct sim_call *after = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	assert_reason(after, normal);
	finish(sim);
}

/* No send buffer for a while, at each moment of a call: what is repeated makes up for it. */
Test(limits, without_send_buffers_for_a_while_calls_go_on)
{
	for (uint64_t at_ms = 0; at_ms < 8000; at_ms += 50) {
		struct sim *sim = sim_new(.seed = SEED);
		struct sim_call *call = sim_call_now(
			sim, .answers = { ANSWERS },
			.steps = { { STEP_REINVITE, false, SIM_S }, { STEP_UPDATE, true, 2 * SIM_S }, HANGS_UP(4) });
		sim_run(sim, at_ms * SIM_MS);
		sim->refuse_lends = true;
		sim_run(sim, 700 * SIM_MS);
		sim->refuse_lends = false;
		sim_run(sim, 30 * SIM_S);
		cr_assert_eq(call->cdr_count, 1, "at %llu ms", (unsigned long long)at_ms);
		assert_reason(call, normal);
		finish(sim);
	}
}

/* The n-th datagram finds no send buffer, for each n of a call. */
Test(limits, any_one_datagram_may_find_no_send_buffer)
{
	for (unsigned n = 0; n < 24; n++) {
		struct sim *sim = sim_new(.seed = SEED);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS },
						     .steps = { { STEP_REINVITE, false, SIM_S }, HANGS_UP(4) });
		unsigned sent = 0, seen = 0;
		while (sim_step(sim, sim->now_ns + 20 * SIM_S) && sent < n) {
			for (; seen < call->log_count; seen++)
				sent += call->log[seen].out;
		}
		sim->refuse_lends = true;
		uint64_t refused = sim->counts.lends_refused;
		while (sim->counts.lends_refused == refused && sim_step(sim, sim->now_ns + 20 * SIM_S))
			;
		sim->refuse_lends = false;
		sim_run(sim, 60 * SIM_S);
		assert_reason(call, normal);
		finish(sim);
	}
}

/* A partition in the middle of a call: both sides are heard again before anyone gives up. */
Test(limits, a_partition_of_ten_seconds_ends_no_call)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(
		sim, .answers = { ANSWERS },
		.steps = { { STEP_REINVITE, false, 3 * SIM_S }, { STEP_INFO, true, 4 * SIM_S }, HANGS_UP(40) });
	sim_run(sim, 4 * SIM_S);
	for (unsigned i = 0; i < sim->host_count; i++)
		sim->hosts[i].to_node.down = sim->hosts[i].from_node.down = true;
	sim_run(sim, 10 * SIM_S);
	for (unsigned i = 0; i < sim->host_count; i++)
		sim->hosts[i].to_node.down = sim->hosts[i].from_node.down = false;
	sim_run(sim, 60 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 2);
	assert_reason(call, normal);
	finish(sim);
}

/* Nothing is left of the pool but what BYE and CANCEL may have: a call in set-up that wants another transaction for its
 * callee, after a refusal or after a 422, ends with 503. */
Test(limits, without_a_transaction_there_is_no_other_attempt)
{
	static const struct answer answers[] = {
		{ .code = 500, .final_ns = 2 * SIM_S },
		{ .code = 422, .final_ns = 2 * SIM_S, .headers = "Min-SE: 700\r\n" },
	};
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = sim_new(.seed = SEED);
		struct shard *s = sim->shards[0].shard;
		uint32_t reserve = s->transaction_reserve;
		struct sim_call *call = sim_call_now(sim, .answers = { answers[i], ANSWERS });
		sim_run(sim, SIM_S);
		s->transaction_reserve = s->transactions.size;
		sim_run(sim, 5 * SIM_S);
		cr_assert_eq(sim_seen(call, OUT_A, "503 INVITE"), 1);
		cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 1);
		cr_assert_eq(sim->counts.refused_rate, 1, "row %u",
			     i); /* the simulation counts those with Retry-After */
		assert_reason(call, overload);
		s->transaction_reserve = reserve;
		finish(sim);
	}
}
