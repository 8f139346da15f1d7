/* Requests inside a dialog.  RFC 3261 12, 14; RFC 3311; spec 4. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>

struct exchange {
	enum step_kind step;
	const char *method;
	bool passed_on; /* else we answer it */
};

static const struct exchange exchanges[] = {
	{ STEP_REINVITE, "INVITE", true },       { STEP_REINVITE_SAME, "INVITE", false },
	{ STEP_REINVITE_EMPTY, "INVITE", true }, { STEP_UPDATE, "UPDATE", true },
	{ STEP_UPDATE_EMPTY, "UPDATE", false },  { STEP_INFO, "INFO", true },
	{ STEP_MESSAGE, "MESSAGE", true },       { STEP_OPTIONS, "OPTIONS", false },
};

static void check_exchange(const struct exchange *exchange, bool by_callee)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS },
					     .steps = { { exchange->step, by_callee, SIM_S }, HANGS_UP(5) });
	char ok[32];
	snprintf(ok, sizeof ok, "200 %s", exchange->method);
	sim_run(sim, 20 * SIM_S);
	unsigned initial = strcmp(exchange->method, "INVITE") == 0; /* has been seen on both sides before */
	enum way in = by_callee ? IN_B : IN_A, back = by_callee ? OUT_B : OUT_A, out = by_callee ? OUT_A : OUT_B;
	unsigned before_in = initial && in == IN_A, before_out = initial && out == OUT_B;
	cr_assert_eq(sim_seen(call, in, exchange->method), before_in + 1);
	cr_assert_eq(sim_seen(call, back, ok), before_in + 1, "%s to the %s", ok, by_callee ? "callee" : "caller");
	cr_assert_eq(sim_seen(call, out, exchange->method), before_out + exchange->passed_on, "%s by the %s",
		     exchange->method, by_callee ? "callee" : "caller");
	assert_reason(call, normal);
	finish(sim);
}

/* What changes the session goes to the other side; what changes nothing is answered here. */
Test(spec_4, requests_of_the_caller)
{
	for (unsigned i = 0; i < sizeof exchanges / sizeof *exchanges; i++)
		check_exchange(&exchanges[i], false);
}

Test(spec_4, requests_of_the_callee)
{
	for (unsigned i = 0; i < sizeof exchanges / sizeof *exchanges; i++)
		check_exchange(&exchanges[i], true);
}

/* 14.1: both sides offer at once; each gets 491, waits and offers again, and both offers come through. */
Test(rfc3261_14_1, glare_of_both_sides)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(
		sim, .answers = { ANSWERS },
		.steps = { { STEP_REINVITE, false, SIM_S }, { STEP_REINVITE, true, SIM_S }, HANGS_UP(30) });
	sim_run(sim, 20 * SIM_S);
	cr_assert_gt(sim->counts.glares, 0);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 2); /* with the one of the set-up */
	cr_assert_eq(sim_seen(call, OUT_B, "200 INVITE"), 1);
	sim_run(sim, 20 * SIM_S);
	assert_reason(call, normal);
	finish(sim);
}

/* 14.2: a second INVITE while the first has no final response: 500 with a Retry-After of 0 to 10 s; the first is
 * unharmed. */
Test(rfc3261_14_2, a_second_invite_while_one_is_open_gets_500)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .reinvite_ns = 2 * SIM_S,
					     .steps = { { STEP_REINVITE, false, SIM_S }, HANGS_UP(10) });
	sim_run(sim, 3500 * SIM_MS);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 2);
	struct sent *first = call->caller->invite;
	struct sent *second = peer_request(call->caller, "INVITE", session_of(call->caller), NULL, STEP_NONE);
	second->retried = true;
	sim_run(sim, SIM_S);
	cr_assert_eq(second->status, 500);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 2);
	cr_assert_lt(first->status, 200);
	sim_run(sim, 3 * SIM_S);
	cr_assert_eq(first->status, 200);
	sim_run(sim, 20 * SIM_S);
	assert_reason(call, normal);
	finish(sim);
}

/* 14.2: also while the 2xx to the first has no ACK. */
Test(rfc3261_14_2, a_second_invite_before_the_ack_gets_500)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .ack_delay_ns = 2 * SIM_S, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 2500 * SIM_MS);
	struct sent *second = peer_request(call->caller, "INVITE", session_of(call->caller), NULL, STEP_NONE);
	second->retried = true;
	sim_run(sim, SIM_S);
	cr_assert_eq(second->status, 500);
	sim_run(sim, 20 * SIM_S);
	assert_reason(call, normal);
	finish(sim);
}

/* An offer that the other side refuses changes nothing, and the call goes on. */
Test(rfc3261_14_1, a_refused_offer_leaves_the_call_up)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .reinvite_code = 488,
					     .steps = { { STEP_REINVITE, false, SIM_S }, HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "488 INVITE"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* CANCEL of a re-INVITE is passed on, and the 487 comes back. */
Test(rfc3261_9_1, cancel_of_an_invite_in_the_dialog)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .reinvite_ns = 5 * SIM_S,
					     .steps = { { STEP_REINVITE_CANCEL, false, SIM_S }, HANGS_UP(10) });
	sim_run(sim, 30 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "487 INVITE"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* 9.2: a CANCEL that comes again when its INVITE is long over is answered as it was. */
Test(rfc3261_9_2, a_repeated_cancel_gets_the_same_answer)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .reinvite_ns = 5 * SIM_S,
					     .steps = { { STEP_REINVITE_CANCEL, false, SIM_S }, HANGS_UP(10) });
	sim_run(sim, 10 * SIM_S);
	for (const struct sent *sent = call->caller->sent; sent; sent = sent->next)
		if (strcmp(sent->method, "CANCEL") == 0)
			peer_send_raw(sim, &sim->hosts[0], sent->text);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen_again(call, OUT_A, "200 CANCEL"), 1);
	finish(sim);
}

/* A re-INVITE that was cancelled before it was heard of does not end the call, nor hit the next one. */
Test(rfc3261_9_1, a_cancel_that_waits_is_of_one_invite)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .reinvite_ns = SIM_S,
					     .steps = { { STEP_REINVITE_CANCEL, false, SIM_S },
							{ STEP_REINVITE, false, 50 * SIM_S },
							HANGS_UP(60) });
	sim_run(sim, 2500 * SIM_MS);
	struct link *link = &sim->hosts[SIM_CALLERS].from_node;
	link->down = true; /* the re-INVITE does not reach the callee */
	sim_run(sim, 5 * SIM_S);
	link->down = false;
	cr_assert_eq(sim_seen(call, OUT_A, "200 CANCEL"), 1);
	sim_run(sim, 100 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 0);
	cr_assert_eq(sim_seen(call, OUT_A, "487 INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 2);
	assert_reason(call, normal);
	finish(sim);
}

/* 12.2.1.2: the Contact of a re-INVITE is where the next request goes (the peers look at each request-URI). */
Test(rfc3261_12_2_1_2, the_target_moves_with_the_contact)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .answers = { ANSWERS },
			     .steps = { { STEP_REINVITE, true, SIM_S }, { STEP_INFO, false, 3 * SIM_S }, HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	struct wire info;
	const struct taken *taken = call->callees->taken;
	while (strcmp(taken->method, "INFO") != 0)
		taken = taken->next;
	cr_assert(wire_read(taken->request, &info));
	cr_assert_eq(call->callees->contact, 1);
	cr_assert_eq(memcmp(strchr(info.uri.at, '@') - 2, "-1@", 3), 0, "to %.*s", TEXT(info.uri));
	finish(sim);
}

/* A repeated 200 to a re-INVITE without SDP gets the ACK again, with the answer that it had. */
Test(rfc3261_13_2_2_4, the_ack_is_repeated_as_it_was)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS },
					     .steps = { { STEP_REINVITE_EMPTY, false, SIM_S }, HANGS_UP(10) });
	sim_run(sim, 5 * SIM_S);
	const struct taken *taken = call->callees->taken;
	while (strcmp(taken->method, "INVITE") != 0)
		taken = taken->next;
	peer_send_raw(sim, call->callees->host, taken->response);
	for (; taken->next; taken = taken->next)
		;
	peer_send_raw(sim, call->callees->host, taken->response); /* that of the set-up as well */
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen_again(call, OUT_B, "ACK"), 2); /* the simulation compares them with the first */
	finish(sim);
}
