/* Peers behind proxies: route sets in both directions, where requests and answers go.  RFC 3261 12.1, 12.2.1.1, 18.2.2;
 * RFC 3581.  The proxies themselves hold every message against that (tests/sim/proxy.h); here every kind is met. */
#include "calls.h"

/* Whatever there is inside a dialog, from both sides. */
#define EVERYTHING                                                                                                     \
	{ STEP_REINVITE, false, SIM_S }, { STEP_REINVITE, true, 2 * SIM_S }, { STEP_UPDATE, false, 3 * SIM_S },        \
		{ STEP_UPDATE, true, 4 * SIM_S }, { STEP_INFO, false, 5 * SIM_S }, { STEP_INFO, true, 6 * SIM_S },     \
	{                                                                                                              \
		STEP_REINVITE_CANCEL, true, 7 * SIM_S                                                                  \
	}

static void place(struct sim *sim, unsigned side, struct proxies proxies, bool callee_hangs_up)
{
	struct script script = { .answers = { ANSWERS },
				 .reinvite_ns = 300 * SIM_MS,
				 .steps = { EVERYTHING, { STEP_BYE, callee_hangs_up, 12 * SIM_S } } };
	script.proxies[side] = proxies;
	sim_place(sim, &script);
}

/* Runs them all and tells how many requests followed a route set. */
static void all_are_routed(struct sim *sim)
{
	sim_run(sim, 20 * SIM_S);
	for (const struct sim_call *call = sim->calls; call; call = call->next) {
		const struct script *script = &call->script;
		assert_reason(call, normal);
		cr_assert(sim_seen(call, script->proxies[0].count ? OUT_A : OUT_B, "INVITE"));
	}
	cr_assert_geq(sim->counts.routed, 4 * sim->call_count);
	finish(sim);
}

Test(rfc3261_12_2_1_1, requests_follow_every_kind_of_route_set)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned side = 0; side < 2; side++)
		for (uint8_t count = 1; count <= PROXIES_MAX; count++)
			for (uint8_t strict = 0; strict < 1 << count; strict++)
				for (unsigned first = 0; first < 4; first++)
					place(sim, side,
					      (struct proxies){ .count = count,
								.strict = strict,
								.named = first & 1,
								.doubled = first & 2 },
					      strict & 1);
	all_are_routed(sim);
}

Test(rfc3581_4, answers_go_where_the_request_came_from)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned kind = 0; kind < 32; kind++)
		place(sim, kind & 1,
		      (struct proxies){ .count = (uint8_t)(1 + (kind >> 1 & 1)),
					.moves = true,
					.no_rport = kind >> 2 & 1,
					.named = kind >> 3 & 1,
					.strict = kind >> 4 & 1 },
		      kind & 2);
	all_are_routed(sim);
}

/* An INVITE that is repeated after a 422 goes to the gateway, wherever that answer came from. */
Test(rfc4028_7_3, an_invite_after_422_goes_to_the_gateway)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned kind = 0; kind < 16; kind++) {
		struct script script = { .answers = { ANSWERS }, .steps = { HANGS_UP(5) } };
		script.timers[1] = (struct timer_script){ .on = true, .min_se_s = 700 };
		script.proxies[1] = (struct proxies){ .count = 1, .moves = true };
		sim_place(sim, &script);
	}
	sim_run(sim, 20 * SIM_S);
	for (const struct sim_call *call = sim->calls; call; call = call->next) {
		assert_reason(call, normal);
		cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 2);
	}
	finish(sim);
}

/* The losers of a fork are ended by their own route sets. */
Test(rfc3261_13_2_2_4, a_fork_behind_proxies_is_ended_by_its_route_set)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (uint8_t kind = 0; kind < 8; kind++) {
		struct script script = { .answers = { { .ring_ns = SIM_MS, .final_ns = SIM_S, .forks = 2 } },
					 .steps = { HANGS_UP(5) } };
		script.proxies[1] = (struct proxies){ .count = 2, .strict = kind & 3, .doubled = kind >> 2 };
		sim_place(sim, &script);
	}
	sim_run(sim, 20 * SIM_S);
	for (const struct sim_call *call = sim->calls; call; call = call->next)
		cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 3);
	finish(sim);
}

/* Refreshes and what ends a call whose peer has died are the switch's own: they have the route set of their leg. */
Test(rfc4028_10, refreshes_and_the_last_bye_follow_the_route_set)
{
	struct sim *sim = sim_new(.seed = SEED, .sessions = true);
	for (unsigned kind = 0; kind < 8; kind++) {
		struct script script = { .answers = { ANSWERS },
					 .timers = { { .on = true, .interval_s = 600, .updates = kind & 1 },
						     { .on = true, .updates = kind & 1 } },
					 .steps = { { STEP_DIE, kind >> 1 & 1, 400 * SIM_S } } };
		script.proxies[0] = (struct proxies){ .count = 2, .strict = kind >> 2 & 1 };
		script.proxies[1] = (struct proxies){ .count = 1, .strict = kind >> 2 & 1, .doubled = true };
		sim_place(sim, &script);
	}
	sim_run(sim, 1500 * SIM_S);
	for (const struct sim_call *call = sim->calls; call; call = call->next) {
		assert_reason(call, session_timeout);
		cr_assert_geq(cdr_of(call)->refreshes_confirmed, 2);
	}
	finish(sim);
}

/* The route sets are among what another process carries on with, of either address family. */
Test(rfc3261_12, route_sets_outlive_the_process)
{
	for (unsigned six = 0; six < 2; six++) {
		struct sim *sim = sim_new(.seed = SEED, .six = { six, six });
		for (unsigned kind = 0; kind < 8; kind++) {
			struct script script = { .answers = { ANSWERS },
						 .steps = { { STEP_INFO, false, 20 * SIM_S },
							    { STEP_INFO, true, 21 * SIM_S },
							    { STEP_BYE, kind & 1, 30 * SIM_S } } };
			script.proxies[0] = script.proxies[1] =
				(struct proxies){ .count = 2, .strict = (uint8_t)(kind >> 1) };
			sim_place(sim, &script);
		}
		sim_run(sim, 10 * SIM_S);
		node_kill(sim);
		sim_run(sim, SIM_S);
		cr_assert_eq(node_restart(sim, &(struct sim_restart){ 0 }), 0);
		uint64_t before = sim->counts.routed;
		sim_run(sim, 40 * SIM_S);
		cr_assert_geq(sim->counts.routed - before, 3 * 8u);
		finish(sim);
	}
}

static bool is_text(struct cdr_text text, const char *what)
{
	return wire_is((struct bytes){ text.at, text.size }, what);
}

/* Either leg, or both, by IPv6: a leg's addresses are its own. */
Test(spec_4, ipv6_on_either_leg)
{
	for (unsigned kind = 1; kind < 4; kind++) {
		struct sim *sim = sim_new(.seed = SEED, .six = { kind & 1, kind >> 1 });
		place(sim, 0, (struct proxies){ 0 }, kind & 1);
		place(sim, 0, (struct proxies){ .count = 2, .doubled = true }, false);
		place(sim, 1, (struct proxies){ .count = 1, .strict = 1, .named = true }, true);
		sim_run(sim, 20 * SIM_S);
		for (const struct sim_call *call = sim->calls; call; call = call->next) {
			const struct cdr *cdr = cdr_of(call);
			assert_reason(call, normal);
			cr_assert(is_text(cdr->source_address, kind & 1 ? "[fd00:1::1]:5060" : "10.1.0.1:5060"));
			cr_assert(is_text(cdr->destination_address, kind >> 1 ? "[fd00:2::1]:5060" : "10.2.0.1:5060"));
		}
		finish(sim);
	}
}

/* An answer that comes to another listener, of the other address family, does not turn its leg to where that leg's own
 * listener cannot send. */
Test(spec_4, an_answer_to_another_listener_does_not_move_the_leg)
{
	struct sim *sim = sim_new(.seed = SEED, .six = { true, false });
	struct script script = { .answers = { ANSWERS },
				 .steps = { { STEP_INFO, false, 3 * SIM_S }, { STEP_BYE, false, 6 * SIM_S } } };
	script.proxies[1] = (struct proxies){ .count = 1, .named = true };
	struct sim_call *call = sim_place(sim, &script);
	sim_run(sim, 4 * SIM_S);
	sim->hosts[0].to_node.delay_ns = SIM_US; /* faster than the callee's */
	const struct taken *info = NULL;
	while (!info && sim_step(sim, UINT64_MAX - 1))
		info = strcmp(call->callees->taken->method, "INFO") == 0 ? call->callees->taken : NULL;
	peer_send_raw(sim, &sim->hosts[0], info->response);
	sim_run(sim, SIM_MS / 2);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INFO"), 1);
	finish(sim);
}

/* The answer to a re-INVITE that crosses the BYE moves the target; its ACK goes there. */
Test(rfc3261_12_2_1_2, the_ack_of_an_answer_behind_the_end_goes_to_its_contact)
{
	const uint64_t answer_ns = SIM_S + 2 * WAY_NS + 20 * SIM_MS + 2 * SIM_S; /* from the callee's ACK */
	for (unsigned strict = 0; strict < 2; strict++) {
		struct sim *sim = sim_new(.seed = SEED);
		struct script script = { .answers = { ANSWERS },
					 .reinvite_ns = 2 * SIM_S,
					 .steps = { { STEP_REINVITE, true, SIM_S },
						    { STEP_BYE, true, answer_ns - WAY_NS / 2 } } };
		script.proxies[0] = (struct proxies){ .count = 1, .strict = (uint8_t)strict };
		struct sim_call *call = sim_place(sim, &script);
		sim_run(sim, 5 * SIM_S);
		call->caller->contact++;
		sim_run(sim, SIM_S);
		cr_assert_gt(sim_seen_ns(call, IN_A, "200 INVITE", 0), sim_seen_ns(call, OUT_A, "BYE", 0));
		finish(sim);
	}
}
