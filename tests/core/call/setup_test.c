/* Calls from the INVITE to the ACK.  RFC 3261 8, 9, 13, 17; spec 4 and 6. */
#include "calls.h"

#include <stdio.h>
#include <string.h>

#include "core/call/state.h"

/* The first simulated call: each message once, and its record. */
Test(rfc3261_13, a_call_from_invite_to_bye)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 60 * SIM_S);
	static const struct {
		enum way way;
		const char *what;
	} once[] = { { IN_A, "INVITE" },      { OUT_A, "100 INVITE" }, { OUT_B, "INVITE" },    { IN_B, "100 INVITE" },
		     { IN_B, "180 INVITE" },  { OUT_A, "180 INVITE" }, { IN_B, "200 INVITE" }, { OUT_B, "ACK" },
		     { OUT_A, "200 INVITE" }, { IN_A, "ACK" },         { IN_A, "BYE" },        { OUT_A, "200 BYE" },
		     { OUT_B, "BYE" },        { IN_B, "200 BYE" } };
	for (unsigned i = 0; i < sizeof once / sizeof *once; i++)
		cr_assert_eq(sim_seen(call, once[i].way, once[i].what), 1, "%s", once[i].what);
	cr_assert_eq(call->log_count, sizeof once / sizeof *once, "%u messages", call->log_count);
	cr_assert_eq(cdr_of(call)->hold_ms, 10002); /* the 200 goes to the caller, ten seconds, the BYE comes */
	cr_assert_eq(cdr_of(call)->end_side, CDR_SIDE_CALLER);
	assert_reason(call, normal);
	finish(sim);
}

/* RFC 3261 13.3.1.4: the caller takes ten seconds to its ACK. */
Test(rfc3261_13_3_1_4, two_hundred_is_repeated_until_its_ack)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .ack_delay_ns = 10 * SIM_S, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 15 * SIM_S);
	uint64_t first_ns = sim_seen_ns(call, OUT_A, "200 INVITE", 0);
	static const uint64_t at_ms[] = { 500, 1500, 3500, 7500 };
	for (unsigned i = 0; i < 4; i++)
		assert_after(sim_seen_ns(call, OUT_A, "200 INVITE", i + 1), first_ns, at_ms[i] * SIM_MS);
	cr_assert_eq(sim_seen_again(call, OUT_A, "200 INVITE"), 4);
	finish(sim);
}

Test(rfc3261_13_3_1_4, without_ack_both_legs_end_after_64_t1)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .no_ack = true, .answers = { ANSWERS });
	sim_run(sim, 60 * SIM_S);
	uint64_t answered_ns = sim_seen_ns(call, OUT_A, "200 INVITE", 0);
	assert_after(sim_seen_ns(call, OUT_A, "BYE", 0), answered_ns, SIM_64T1);
	assert_after(sim_seen_ns(call, OUT_B, "BYE", 0), answered_ns, SIM_64T1);
	assert_reason(call, ack_missing);
	finish(sim);
}

/* RW_SIP_T1 moves the end with it. */
Test(rfc3261_13_3_1_4, t1_is_a_parameter)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "RW_SIP_T1 = 100");
	struct sim_call *call = sim_call_now(sim, .no_ack = true, .answers = { ANSWERS });
	sim_run(sim, 8 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 0);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	sim_destroy(sim);
}

/* The callee says nothing for three seconds; the caller gives up after one. */
Test(rfc3261_9_1, cancel_waits_for_a_provisional_response)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .cancel_ns = SIM_S,
					     .answers = { { .no_trying = true, .ring_ns = 3 * SIM_S, .never = true } });
	sim_run(sim, 2 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "200 CANCEL"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "487 INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 0);
	cr_assert_eq(sim_seen_again(call, OUT_B, "INVITE"), 1); /* not asked again after the CANCEL */
	sim_run(sim, 2 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	cr_assert_eq(sim_seen(call, IN_B, "487 INVITE"), 1);
	assert_reason(call, cancelled);
	finish(sim);
}

Test(rfc3261_9_1, a_silent_callee_is_never_sent_a_cancel)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .cancel_ns = SIM_S, .answers = { { .silent = true } });
	sim_run(sim, 100 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 0);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 1); /* and no other gateway is tried */
	finish(sim);
}

/* The callee answers although it was cancelled. */
Test(rfc3261_9_1, a_200_after_cancel_is_acked_and_hung_up)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .cancel_ns = SIM_S,
					     .answers = { { .ring_ns = 1, .final_ns = 3 * SIM_S, .deaf = true } });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 0);
	cr_assert_eq(cdr_of(call)->hold_ms, 0);
	assert_reason(call, cancelled);
	finish(sim);
}

/* Spec 9: CANCEL crossing the 200: cancelled, not connected; the caller gets its BYE after its ACK. */
Test(rfc3261_9_2, a_cancel_that_crosses_the_200)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .cancel_ns = 2 * SIM_S + 2 * SIM_MS + SIM_MS / 2, .answers = { ANSWERS });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "200 CANCEL"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "487 INVITE"), 0);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	cr_assert_eq(cdr_of(call)->connect_us, 0);
	cr_assert_eq(sim->counts.crossed_cancels, 1);
	assert_reason(call, cancelled);
	finish(sim);
}

/* 17.1.1.2 with SS_SIP_RESEND_INTERVAL: 0.2, 0.6, and the last wait again and again. */
Test(rfc3261_17_1_1_2, an_invite_is_repeated_at_the_waits_of_the_parameter)
{
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = ONE_GATEWAY, .parameters = "SS_SIP_RESEND_INTERVAL = \"0.2,0.6,3\"");
	struct sim_call *call = sim_call_now(sim, .answers = { { .silent = true } });
	sim_run(sim, 60 * SIM_S);
	uint64_t first_ns = sim_seen_ns(call, OUT_B, "INVITE", 0);
	static const uint64_t at_ms[] = { 200, 800, 3800, 6800, 9800 };
	for (unsigned i = 0; i < 5; i++)
		assert_after(sim_seen_ns(call, OUT_B, "INVITE", i + 1), first_ns, at_ms[i] * SIM_MS);
	cr_assert_eq(sim_seen_again(call, OUT_B, "INVITE"), 5); /* SS_SIP_TIMEOUT_INVITE: 10 s */
	finish(sim);
}

/* RFC 6026 7.1: an INVITE that comes again after its 200, before and after the ACK, makes no call and gets no answer.
 */
Test(rfc6026_7_1, a_repeated_invite_is_absorbed_after_the_200)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .ack_delay_ns = 200 * SIM_MS, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 2100 * SIM_MS);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, IN_A, "ACK"), 1);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text);
	sim_run(sim, 10 * SIM_S);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text); /* the call is over by now */
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen_again(call, IN_A, "INVITE"), 3);
	cr_assert_eq(sim_seen_again(call, OUT_A, "200 INVITE"), 0);
	cr_assert_eq(sim_seen_again(call, OUT_A, "100 INVITE"), 0);
	cr_assert_eq(node_stat(sim, calls_attempted), 1);
	finish(sim);
}

/* Before the answer it gets the latest provisional response again (17.2.1). */
Test(rfc3261_17_2_1, a_repeated_invite_gets_the_latest_provisional_response)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 50 * SIM_MS);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "100 INVITE"), 2);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text);
	sim_run(sim, SIM_S / 2);
	cr_assert_eq(sim_seen(call, OUT_A, "180 INVITE"), 2);
	finish(sim);
}

/* A copy of a message with a part replaced by another of the same size. */
static struct bytes changed(struct sim *sim, struct bytes text, const char *from, const char *to)
{
	char *copy = sim_alloc(sim, text.size + 1);
	memcpy(copy, text.at, text.size);
	char *at = strstr(copy, from);
	cr_assert(at && strlen(from) == strlen(to));
	memcpy(at, to, strlen(to));
	return (struct bytes){ copy, text.size };
}

/* The same INVITE on two ways through a forking proxy: the branches differ. */
Test(rfc3261_8_2_2_2, a_merged_request_gets_482)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	struct bytes merged = changed(sim, call->caller->invite->text, "branch=z9hG4bK-s", "branch=z9hG4bK-m");
	sim_run(sim, SIM_S);
	peer_send_raw(sim, &sim->hosts[0], merged);
	sim_run(sim, SIM_S / 2);
	cr_assert_eq(sim_seen(call, OUT_A, "482 INVITE"), 1);
	cr_assert_eq(node_stat(sim, calls_attempted), 1);
	sim_run(sim, 20 * SIM_S);
	assert_reason(call, normal);
	finish(sim);
}

/* Delayed offer: the callee's ACK waits for the caller's and carries its SDP. */
Test(rfc3261_13_2_2_4, a_delayed_offer_is_answered_by_the_ack)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .delayed_offer = true, .ack_delay_ns = 300 * SIM_MS,
					     .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen_ns(call, OUT_B, "ACK", 0), sim_seen_ns(call, IN_A, "ACK", 0));
	assert_reason(call, normal);
	finish(sim);
}

/* Three 200s of a forking gateway: the first wins, the others get one ACK and one BYE each. */
Test(rfc3261_13_2_2_4, further_200s_of_a_fork_are_acked_and_hung_up)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .final_ns = SIM_S, .forks = 2 } }, .steps = { HANGS_UP(5) });
	sim_run(sim, 4 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 2);
	cr_assert_eq(sim_seen(call, OUT_A, "BYE"), 0);
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 3);
	assert_reason(call, normal);
	finish(sim);
}

/* Nothing is left to send a BYE with: the 2xx has no ACK either, and comes again. */
Test(rfc3261_13_2_2_4, a_200_of_a_fork_that_cannot_be_ended_is_not_acked)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct shard *s = sim->shards[0].shard;
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .final_ns = SIM_S, .forks = 1 } }, .steps = { HANGS_UP(20) });
	s->forks = UINT16_MAX;
	sim_run(sim, 3 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK"), 1);
	s->forks = 0;
	sim_run(sim, 5 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK"), 2);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	sim_run(sim, 20 * SIM_S);
	assert_reason(call, normal);
	finish(sim);
}

/* Spec 6: on to the next gateway. */
Test(switching, a_503_goes_on_to_the_next_gateway)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .final_ns = SIM_S, .code = 503 }, ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	const struct cdr *cdr = cdr_of(call);
	cr_assert_eq(cdr->attempts_count, 2);
	cr_assert_eq(cdr->attempts[0].code, 503);
	cr_assert_eq(cdr->attempts[0].ms, 1002);
	cr_assert_eq(cdr->attempts[1].code, 200);
	cr_assert_eq(sim_seen(call, OUT_A, "503 INVITE"), 0);
	cr_assert(bytes_equal((struct bytes){ cdr->routing_gateway.at, cdr->routing_gateway.size }, BYTES("rg2")));
	assert_reason(call, normal);
	finish(sim);
}

Test(switching, silence_goes_on_to_the_next_gateway_after_timeout_invite)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_TIMEOUT_INVITE = 7");
	struct sim_call *call = sim_call_now(sim, .answers = { { .silent = true }, ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 30 * SIM_S);
	uint64_t started_ns = sim_seen_ns(call, OUT_B, "INVITE", 0), next_ns = 0;
	for (unsigned i = 1; !next_ns && sim_seen_ns(call, OUT_B, "INVITE", i); i++)
		if (sim_seen_ns(call, OUT_B, "INVITE", i) >= started_ns + 7 * SIM_S)
			next_ns = sim_seen_ns(call, OUT_B, "INVITE", i);
	assert_after(next_ns, started_ns, 7 * SIM_S);
	cr_assert_eq(cdr_of(call)->attempts[0].code, 0);
	cr_assert_eq(cdr_of(call)->attempts[1].code, 200);
	finish(sim);
}

/* What ends the search although gateways are left. */
Test(switching, busy_ringing_and_declined_end_the_search)
{
	static const struct {
		const char *parameters;
		struct answer answer;
		unsigned attempts;
	} rows[] = {
		{ "", { .code = 486 }, 1 },
		{ "SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY = off", { .code = 486 }, 2 },
		{ "", { .code = 600 }, 1 },
		{ "", { .code = 603 }, 1 },
		{ "", { .code = 604 }, 1 },
		{ "", { .code = 606 }, 1 },
		{ "", { .code = 404 }, 2 },
		{ "", { .ring_ns = 1, .final_ns = SIM_S, .code = 500 }, 1 },
		{ "SS_GATEWAY_SWITCH_UNTIL_CONNECT = on", { .ring_ns = 1, .final_ns = SIM_S, .code = 500 }, 2 },
		{ "", { .progress_ns = 1, .final_ns = SIM_S, .code = 500 }, 1 },
		{ "SS_SIP_STOP_SWITCH_AFTER_SDP = off", { .progress_ns = 1, .final_ns = SIM_S, .code = 500 }, 2 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sim *sim = sim_new(.seed = SEED, .parameters = rows[i].parameters);
		struct sim_call *call =
			sim_call_now(sim, .answers = { rows[i].answer, ANSWERS }, .steps = { HANGS_UP(1) });
		sim_run(sim, 30 * SIM_S);
		cr_assert_eq(cdr_of(call)->attempts_count, rows[i].attempts, "row %u: %u attempts", i,
			     cdr_of(call)->attempts_count);
		finish(sim);
	}
}

Test(switching, the_limit_counts_switches)
{
	static const struct answer refuses = { .code = 500 };
	for (unsigned limit = 0; limit < 3; limit++) {
		char parameters[64];
		snprintf(parameters, sizeof parameters, "SS_GATEWAY_SWITCH_LIMIT = %u", limit);
		struct sim *sim = sim_new(.seed = SEED, .parameters = parameters);
		struct sim_call *call = sim_call_now(sim, .answers = { refuses, refuses, refuses });
		sim_run(sim, 30 * SIM_S);
		cr_assert_eq(cdr_of(call)->attempts_count, limit ? limit + 1 : 3); /* 0: none */
		finish(sim);
	}
}

/* A number without route: refused, with a record. */
Test(routing, a_number_without_route_gets_404)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .number = "4930123");
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "404 INVITE"), 1);
	cr_assert_eq(cdr_of(call)->sip_code, 404);
	assert_reason(call, no_route);
	finish(sim);
}

/* What is refused before it is a call makes no record. */
Test(rfc3261_8_2_2_3, an_unknown_extension_gets_420)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .headers = "Require: 100rel, precondition\r\n");
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "420 INVITE"), 1);
	cr_assert_eq(sim->cdr_count, 0);
	finish(sim);
}
