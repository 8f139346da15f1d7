/* A node that changes under its calls: another configuration, drain.  Spec 2 (a reload never touches calls that are
 * up), 3 (node.drain), 5 (parameters change for calls that start after the change). */
#include "calls.h"

#include "core/call/state.h"

#define MG  "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
#define RG1 "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n"
#define RG2 "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 }\n"
#define RG1_OF(lines)                                                                                                  \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} capacity = " #lines " }\n"
#define OTHERS                                                                                                         \
	"mapping_gateway \"other-mg\" { address = {\"10.1.0.0/16\"} }\n"                                               \
	"routing_gateway \"other-rg\" { address = \"10.2.0.3:5060\" prefix = {\"99\"} }\n"

/* Calls of every state lose both their gateways: each goes its way, and its CDR has the names of then. */
Test(reload, calls_go_on_without_their_gateways)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2, .gateways = MG RG1);
	struct sim_call *up =
		sim_call_now(sim, .answers = { { .ring_ns = 1, .final_ns = SIM_S } }, .steps = { HANGS_UP(60) });
	struct sim_call *up_too =
		sim_call_now(sim, .answers = { { .ring_ns = 1, .final_ns = SIM_S } }, .steps = { CALLEE_HANGS_UP(60) });
	struct sim_call *ringing = sim_call_now(sim, .answers = { { .ring_ns = SIM_S, .final_ns = 10 * SIM_S } },
						.steps = { HANGS_UP(30) });
	struct sim_call *trying = sim_call_now(sim, .answers = { { .ring_ns = 5 * SIM_S, .final_ns = 6 * SIM_S } },
					       .steps = { HANGS_UP(30) });
	struct sim_call *silent = sim_call_now(sim, .answers = { { .silent = true } });
	struct sim_call *cancelled =
		sim_call_now(sim, .cancel_ns = 6 * SIM_S, .answers = { { .ring_ns = 1, .never = true } });
	sim_run(sim, 3 * SIM_S);
	node_configure(sim, NULL, OTHERS);
	sim_run(sim, 100 * SIM_S);
	assert_reason(up, normal);
	assert_reason(up_too, normal);
	assert_reason(ringing, normal);
	assert_reason(trying, normal);
	assert_reason(silent, timeout_invite);
	assert_reason(cancelled, cancelled);
	for (unsigned i = 0; i < sim->call_count; i++) {
		cr_assert_str_eq(gateway_name(gateway_id(GATEWAY_MAPPING, "mg")), "mg");
		const struct cdr *cdr = cdr_of(sim->by_serial[i]);
		cr_assert(strncmp(cdr->mapping_gateway.at, "mg", cdr->mapping_gateway.size) == 0 &&
				  cdr->mapping_gateway.size == 2,
			  "mapping gateway %.*s", (int)cdr->mapping_gateway.size, cdr->mapping_gateway.at);
		cr_assert(cdr->routing_gateway.size == 3 && memcmp(cdr->routing_gateway.at, "rg1", 3) == 0,
			  "routing gateway %.*s", (int)cdr->routing_gateway.size, cdr->routing_gateway.at);
	}
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "rg1"), 0, "its lines are given back all the same");
	cr_assert_eq(node_lines(sim, GATEWAY_MAPPING, "mg"), 0);
	finish(sim);
}

/* The answer of a gateway's home shard comes when the gateway is gone: no line is kept, and each call ends. */
Test(reload, a_gateway_may_go_while_its_line_is_asked_for)
{
	for (unsigned shards = 2; shards <= 4; shards++) {
		struct sim *sim = sim_new(.seed = SEED + shards, .shards = shards, .gateways = MG RG1_OF(8),
					  .note_jitter_ns = 400 * SIM_MS);
		for (unsigned i = 0; i < 30; i++)
			sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
		sim_run(sim, 100 * SIM_MS);
		node_configure(sim, NULL, OTHERS);
		sim_run(sim, 60 * SIM_S);
		cr_assert_eq(sim->cdr_count, 30);
		cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "rg1"), 0);
		finish(sim);
	}
}

/* The next call sees the new configuration; one in set-up goes on with the gateways there are now. */
Test(reload, the_next_attempt_takes_the_new_configuration)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	struct sim_call *early = sim_call_now(sim, .answers = { { .final_ns = 5 * SIM_S, .code = 503 }, ANSWERS },
					      .steps = { HANGS_UP(10) });
	sim_run(sim, SIM_S);
	node_configure(sim, NULL, MG RG1 RG2);
	sim_run(sim, 60 * SIM_S);
	assert_reason(early, normal);
	cr_assert_eq(cdr_of(early)->attempts_count, 2);
	node_configure(sim, NULL, MG);
	struct sim_call *late = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, SIM_S);
	assert_reason(late, no_route);
	finish(sim);
}

/* Lines are counted by name: those in use count on after a reload, and the new limit holds for new calls. */
Test(reload, lines_of_a_gateway_that_stays_are_counted_on)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 3, .gateways = MG RG1_OF(8));
	for (unsigned i = 0; i < 5; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(20) });
	sim_run(sim, 5 * SIM_S);
	node_configure(sim, NULL, OTHERS);
	sim_run(sim, SIM_S);
	node_configure(sim, NULL, MG RG1_OF(6));
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "rg1"), 5, "of one that went and came back, too");
	for (unsigned i = 0; i < 3; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 5 * SIM_S);
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "rg1"), 6);
	cr_assert_eq(node_stat(sim, calls_active), 6);
	sim_run(sim, 60 * SIM_S);
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "rg1"), 0);
	finish(sim);
}

/* SS_SIP_NO_TIMER_REINVITE_INTERVAL and RW_MAX_CALL_DURATION of the moment in which a call began. */
Test(reload, parameters_change_for_calls_that_start_afterwards)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1, .parameters = "RW_MAX_CALL_DURATION = 30");
	struct sim_call *before = sim_call_now(sim, .answers = { { .final_ns = SIM_S } });
	sim_run(sim, 3 * SIM_S);
	node_configure(sim, "RW_MAX_CALL_DURATION = 10", NULL);
	struct sim_call *after = sim_call_now(sim, .answers = { { .final_ns = SIM_S } });
	sim_run(sim, 60 * SIM_S);
	assert_reason(before, max_duration);
	assert_reason(after, max_duration);
	cr_assert_eq(cdr_of(before)->hold_ms / 1000, 30);
	cr_assert_eq(cdr_of(after)->hold_ms / 1000, 10);
	finish(sim);
}

/* node.drain: calls of every state go on, new ones get 503 with Retry-After. */
Test(drain, takes_no_new_calls_and_ends_none)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2);
	struct sim_call *up =
		sim_call_now(sim, .answers = { { .ring_ns = 1, .final_ns = SIM_S } }, .steps = { HANGS_UP(60) });
	struct sim_call *ringing = sim_call_now(sim, .answers = { { .ring_ns = SIM_S, .final_ns = 10 * SIM_S } },
						.steps = { HANGS_UP(30) });
	struct command drain = { .kind = COMMAND_DRAIN };
	sim_run(sim, 3 * SIM_S);
	for (unsigned i = 0; i < sim->shard_count; i++)
		cr_assert_not(shard_drained(sim->shards[i].shard), "nobody asked");
	node_command(sim, &drain);
	struct sim_call *late = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(late, OUT_A, "503 INVITE"), 1);
	cr_assert_eq(late->cdr_count, 0);
	cr_assert_eq(node_stat(sim, calls_active) + node_stat(sim, calls_setup), 2);
	cr_assert_not(shard_drained(sim->shards[0].shard) && shard_drained(sim->shards[1].shard));
	sim_run(sim, 100 * SIM_S);
	assert_reason(up, normal);
	assert_reason(ringing, normal);
	cr_assert(shard_drained(sim->shards[0].shard) && shard_drained(sim->shards[1].shard));
	cr_assert_not(node_stopped(sim));
	finish(sim);
}
