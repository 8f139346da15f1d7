/* Spec 6, sentence by sentence: what goes on to the next gateway and what ends with it, To tags over a switch, late
 * responses of attempts that were given up.  Every combination: switching_table_test.c; rests and several addresses:
 * rest_test.c. */
#include "calls.h"

#include <string.h>
#include <unistd.h>

#include "core/call/state.h"
#include "core/call/switching.h"

#define ON_AND_ON "SS_GATEWAY_SWITCH_UNTIL_CONNECT = on\nSS_SIP_STOP_SWITCH_AFTER_SDP = off\n"

#define RINGS_OUT(code_)                                                                                               \
	{                                                                                                              \
		.ring_ns = 100 * SIM_MS, .final_ns = SIM_S, .code = (code_)                                            \
	}

static struct bytes bytes_of_text(struct cdr_text text)
{
	return (struct bytes){ text.at, text.size };
}

/* ---- To tags ---- */

/* The tag of what the caller hears last, without the dialog's other parts. */
static const char *tag_heard(const struct sim_call *call)
{
	const char *tag = strstr(call->caller->early_remote, ";tag=");
	cr_assert(tag);
	return tag + 5;
}

static void copy_tag(const struct sim_call *call, char tag[static 80])
{
	snprintf(tag, 80, "%s", tag_heard(call));
}

/* RFC 3261 12.1.1: each gateway that rings is an early dialog of its own; the call that is up has the tag of the last.
 * Both sides speak in it: the peers of the simulation hold the node to its tags. */
Test(rfc3261_12_1_1, each_gateway_that_rings_is_another_early_dialog)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = ON_AND_ON);
	struct sim_call *call = sim_call_now(
		sim,
		.answers = { RINGS_OUT(500), { .progress_ns = 100 * SIM_MS, .final_ns = SIM_S, .code = 500 }, ANSWERS },
		.steps = { { STEP_REINVITE, true, SIM_S }, { STEP_INFO, false, 2 * SIM_S }, CALLEE_HANGS_UP(5) });
	char tags[3][80];
	for (unsigned i = 0; i < 3; i++) {
		sim_run(sim, i == 2 ? 500 * SIM_MS : 900 * SIM_MS);
		copy_tag(call, tags[i]);
	}
	cr_assert_eq(strlen(tags[0]), IDENT_SIZE);
	cr_assert_eq(strlen(tags[1]), IDENT_SIZE + 1);
	cr_assert_eq(strncmp(tags[0], tags[1], IDENT_SIZE), 0, "the tag leads home no more");
	cr_assert_eq(strncmp(tags[1], tags[2], IDENT_SIZE), 0);
	cr_assert_str_neq(tags[1], tags[2]);
	sim_run(sim, 20 * SIM_S);
	cr_assert_str_eq(call->caller->remote_tag, tags[2]);
	cr_assert_eq(sim_seen(call, OUT_A, "INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "BYE"), 1);
	cr_assert_eq(sim->counts.editions, 2);
	assert_reason(call, normal);
	finish(sim);
}

/* Nothing was heard of the first gateway but 100: the tag is the first one. */
Test(rfc3261_12_1_1, a_switch_that_the_caller_has_not_heard_of_changes_no_tag)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = ON_AND_ON);
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .final_ns = SIM_S, .code = 500 }, ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(strlen(call->caller->remote_tag), IDENT_SIZE);
	cr_assert_eq(sim->counts.editions, 0);
	finish(sim);
}

/* The final failure after a switch has the new tag, also when a tombstone gives it; the 180 that is repeated before the
 * next gateway speaks has the tag that it had. */
Test(rfc3261_17_2_1, what_is_sent_again_has_the_tag_that_it_had)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = ON_AND_ON, .gateways = NULL);
	struct sim_call *call =
		sim_call_now(sim, .answers = { RINGS_OUT(500),
					       { .no_trying = true, .final_ns = 3 * SIM_S, .code = 404 },
					       { .final_ns = 10 * SIM_MS, .code = 480 } });
	sim_run(sim, 1500 * SIM_MS);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text);
	sim_run(sim, 500 * SIM_MS);
	cr_assert_eq(sim_seen(call, OUT_A, "180 INVITE"), 2);
	cr_assert_eq(strlen(tag_heard(call)), IDENT_SIZE, "a 180 that is sent again has another tag");
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "480 INVITE"), 1);
	const char *tag = strstr(call->caller->remote, ";tag=");
	cr_assert(tag && strlen(tag + 5) == IDENT_SIZE + 1, "%s", call->caller->remote);
	peer_send_raw(sim, &sim->hosts[0], call->caller->invite->text);
	sim_run(sim, SIM_S); /* the watch compares the tags */
	cr_assert_eq(sim_seen_again(call, OUT_A, "480 INVITE"), 1);
	finish(sim);
}

/* A request in the caller's dialog, with a To of the test's. */
static void send_in_dialog(struct sim *sim, const struct sim_call *call, const char *method, unsigned cseq,
			   const char *branch, const char *to, const char *target)
{
	const struct ua *ua = call->caller;
	struct page *page = sim_alloc(sim, sizeof *page);
	page_add(page, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", method, target,
		 ua->host->name, branch);
	page_add(page, "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n", ua->local, ua->local_tag, to,
		 ua->call_id, cseq, method);
	page_end(page, "", BYTES_NONE);
	peer_send_raw(sim, ua->host, page_bytes(page));
}

struct early_pair {
	struct sim *sim;
	struct sim_call *call;
	char remote[256], target[256]; /* of the early dialog that was given up */
};

/* The first gateway rang and failed, the second one rings. */
static void begin_second_ringing(struct early_pair *e)
{
	e->sim = sim_new(.seed = SEED, .parameters = ON_AND_ON);
	e->call =
		sim_call_now(e->sim, .answers = { RINGS_OUT(500), { .ring_ns = 100 * SIM_MS, .final_ns = 4 * SIM_S } },
			     .steps = { HANGS_UP(5) });
	sim_run(e->sim, 500 * SIM_MS);
	memcpy(e->remote, e->call->caller->early_remote, sizeof e->remote);
	memcpy(e->target, e->call->caller->early_target, sizeof e->target);
	sim_run(e->sim, SIM_S);
	cr_assert_eq(sim_seen(e->call, OUT_A, "180 INVITE"), 2);
}

/* BYE of an early dialog ends that one only (RFC 3261 15): it is no more, and the call goes on. */
Test(rfc3261_12_2_2, a_request_in_the_early_dialog_that_was_given_up_gets_481)
{
	struct early_pair e;
	begin_second_ringing(&e);
	send_in_dialog(e.sim, e.call, "BYE", 2, "z9hG4bK-old", e.remote, e.target);
	sim_run(e.sim, 100 * SIM_MS);
	cr_assert_eq(sim_seen(e.call, OUT_A, "481 BYE"), 1);
	cr_assert_eq(sim_seen(e.call, OUT_B, "CANCEL"), 0);
	sim_run(e.sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(e.call, OUT_A, "200 INVITE"), 1);
	assert_reason(e.call, normal);
	finish(e.sim);
}

Test(rfc3261_15, a_bye_in_the_newest_early_dialog_ends_the_call)
{
	struct early_pair e;
	begin_second_ringing(&e);
	const struct ua *ua = e.call->caller;
	send_in_dialog(e.sim, e.call, "BYE", 2, "z9hG4bK-new", ua->early_remote, ua->early_target);
	sim_run(e.sim, 100 * SIM_MS);
	cr_assert_eq(sim_seen(e.call, OUT_A, "200 BYE"), 1);
	cr_assert_eq(sim_seen(e.call, OUT_B, "CANCEL"), 1);
	assert_reason(e.call, cancelled);
	finish(e.sim);
}

/* Some put the tag that they have heard into it. */
Test(rfc3261_9_2, a_cancel_is_of_the_invite_whatever_its_tag)
{
	struct early_pair e;
	begin_second_ringing(&e);
	const struct ua *ua = e.call->caller;
	send_in_dialog(e.sim, e.call, "CANCEL", ua->invite->cseq, ua->invite->branch, e.remote, ua->target);
	sim_run(e.sim, 100 * SIM_MS);
	cr_assert_eq(sim_seen(e.call, OUT_A, "200 CANCEL"), 1);
	cr_assert_eq(sim_seen(e.call, OUT_A, "487 INVITE"), 1);
	assert_reason(e.call, cancelled);
	finish(e.sim);
}

/* ---- late responses ---- */

/* The first says 180 after its time, the second 200, the third takes the call: CANCEL for one, ACK and BYE for the
 * other, and the call is not touched. */
Test(spec_6, late_responses_of_two_attempts_at_once)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_TIMEOUT_INVITE = 2");
	struct sim_call *call = sim_call_now(sim,
					     .answers = { { .no_trying = true, .ring_ns = 5 * SIM_S, .never = true },
							  { .no_trying = true, .final_ns = 3 * SIM_S },
							  { .final_ns = 3 * SIM_S } },
					     .steps = { HANGS_UP(20) });
	sim_run(sim, 4500 * SIM_MS);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 3);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 0); /* none has said anything */
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 0);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	cr_assert_eq(sim_seen(call, IN_B, "487 INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "180 INVITE"), 0); /* nor does the caller hear of it */
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	cr_assert_eq(call->cdr_count, 0);
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(cdr_of(call)->attempts_count, 3);
	cr_assert_eq(cdr_of(call)->attempts[0].code, 0);
	cr_assert_eq(cdr_of(call)->attempts[1].code, 0);
	assert_reason(call, normal);
	finish(sim);
}

/* A CANCEL and a 200 that cross, from a gateway that forks: each 200 has its ACK and BYE. */
Test(spec_6, late_200s_of_a_fork_that_was_cancelled)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = ON_AND_ON "SS_SIP_TIMEOUT_RINGING = 2");
	struct sim_call *call = sim_call_now(
		sim, .answers = { { .ring_ns = SIM_MS, .final_ns = 2500 * SIM_MS, .deaf = true, .forks = 2 }, ANSWERS },
		.steps = { HANGS_UP(10) });
	sim_run(sim, 4 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 3);
	cr_assert_eq(call->cdr_count, 0);
	sim_run(sim, 30 * SIM_S);
	assert_reason(call, normal);
	finish(sim);
}

/* The failure that comes after its time gets its ACK, and changes nothing. */
Test(spec_6, a_late_failure_is_acknowledged)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_TIMEOUT_INVITE = 2");
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .no_trying = true, .final_ns = 3 * SIM_S, .code = 603 }, ANSWERS },
			     .steps = { HANGS_UP(10) });
	sim_run(sim, 3500 * SIM_MS);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK"), 1);
	sim_run(sim, 30 * SIM_S);
	cr_assert_eq(cdr_of(call)->attempts[0].code, 0);
	assert_reason(call, normal);
	finish(sim);
}

/* ---- what the caller gets ---- */

/* The record has what was sent, the list of attempts what was said. */
Test(failed_reason_map, is_for_the_caller_alone)
{
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} "
						  "failed_reason_map = {\"503 -> 480\"} }\n"
						  "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" "
						  "stop_codes = {\"480\"} }\n"
						  "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" }\n");
	struct sim_call *call = sim_call_now(sim, .answers = { { .code = 503 }, { .code = 503 } });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "480 INVITE"), 1);
	cr_assert_eq(cdr_of(call)->attempts_count, 2); /* 503 -> 480 does not make it a stop code */
	cr_assert_eq(cdr_of(call)->sip_code, 480);
	cr_assert_eq(cdr_of(call)->attempts[1].code, 503);
	assert_reason(call, rejected);
	finish(sim);
}

/* Set-up that ends as a whole, too; but not what no gateway has said. */
Test(failed_reason_map, is_for_the_end_of_set_up_too)
{
	static const struct {
		const char *number;
		unsigned code;
	} rows[] = { { NULL, 504 }, { "4930123", 404 } };
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = sim_new(.seed = SEED, .parameters = "RW_SETUP_MAX = 5",
					  .gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} "
						      "failed_reason_map = {\"404 -> 480\", \"408 -> 504\"} }\n"
						      "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" "
						      "prefix = {\"880\"} }\n");
		struct sim_call *call = sim_call_now(sim, .number = rows[i].number, .answers = { { .silent = true } });
		sim_run(sim, 10 * SIM_S);
		cr_assert_eq(cdr_of(call)->sip_code, rows[i].code, "%u", cdr_of(call)->sip_code);
		finish(sim);
	}
}

/* `no_answer` is the word of the gateway that rang: here the second one did not. */
Test(spec_9, no_answer_is_of_the_gateway_that_rang)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = ON_AND_ON);
	struct answer refuses = { .code = 480 };
	struct sim_call *call = sim_call_now(sim, .answers = { RINGS_OUT(500), refuses, refuses });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(cdr_of(call)->sip_code, 480);
	assert_reason(call, rejected);
	finish(sim);
}

/* The next gateway was full after all: the caller gets what the first one had said, with its cause. */
Test(spec_6, when_none_is_left_the_caller_gets_the_last_code_and_cause)
{
	struct sim *sim = sim_new(.seed = SEED,
				  .gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
					      "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" priority = 1 }\n"
					      "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" priority = 2 "
					      "capacity = 1 }\n");
	struct sim_call *first = sim_call_now(sim, .answers = { { .code = 500 }, ANSWERS }, .steps = { HANGS_UP(30) });
	sim_run(sim, 5 * SIM_S);
	struct sim_call *second = sim_call_now(
		sim, .answers = { { .code = 500, .headers = "Reason: Q.850;cause=42;text=\"congestion\"\r\n" } });
	sim_run(sim, 2 * SIM_S);
	cr_assert_eq(cdr_of(second)->sip_code, 500);
	cr_assert_eq(cdr_of(second)->q850, 42);
	cr_assert_eq(cdr_of(second)->attempts_count, 1);
	sim_run(sim, 60 * SIM_S);
	assert_reason(first, normal);
	finish(sim);
}

/* ---- configurations that change while a call is set up ---- */

#define THREE_GATEWAYS                                                                                                 \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"                                                     \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" priority = 1 %s }\n"                                    \
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" priority = 2 }\n"                                       \
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" priority = 3 }\n"

/* Waits, the limit and the stops stay those of the call's start. */
Test(spec_5, parameters_of_a_call_in_set_up_do_not_change)
{
	char gateways[512];
	snprintf(gateways, sizeof gateways, THREE_GATEWAYS, "");
	struct sim *sim = sim_new(.seed = SEED, .gateways = gateways,
				  .parameters = "SS_GATEWAY_SWITCH_UNTIL_CONNECT = on\nSS_SIP_TIMEOUT_TRYING = 5\n"
						"SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY = off");
	struct answer trying = { .final_ns = 4 * SIM_S, .code = 486 };
	struct sim_call *call =
		sim_call_now(sim, .answers = { RINGS_OUT(486), trying, ANSWERS }, .steps = { HANGS_UP(2) });
	sim_run(sim, 500 * SIM_MS);
	node_configure(sim,
		       "SS_GATEWAY_SWITCH_LIMIT = 1\nSS_GATEWAY_SWITCH_UNTIL_CONNECT = off\n"
		       "SS_SIP_TIMEOUT_TRYING = 2\nSS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY = on",
		       gateways);
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(cdr_of(call)->attempts_count, 3);
	cr_assert_eq(cdr_of(call)->attempts[1].code, 486);
	assert_reason(call, normal);
	finish(sim);
}

/* Its stop codes have gone with it: the parameters decide, and what is left is tried. */
Test(spec_6, a_gateway_that_a_reload_has_taken_away_stops_nothing)
{
	char gateways[512];
	snprintf(gateways, sizeof gateways, THREE_GATEWAYS, "stop_codes = {\"404\"}");
	for (unsigned taken = 0; taken < 2; taken++) {
		struct sim *sim = sim_new(.seed = SEED, .gateways = gateways);
		struct sim_call *call = sim_call_now(sim, .answers = { { .final_ns = SIM_S, .code = 404 }, ANSWERS },
						     .steps = { HANGS_UP(2) });
		sim_run(sim, 500 * SIM_MS);
		if (taken)
			node_configure(sim, "",
				       "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
				       "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" priority = 2 }\n");
		sim_run(sim, 20 * SIM_S);
		cr_assert_eq(cdr_of(call)->attempts_count, taken ? 2 : 1);
		cr_assert(bytes_equal(bytes_of_text(cdr_of(call)->attempts[0].gateway), BYTES("rg1")));
		finish(sim);
	}
}

/* ---- the decision by itself ---- */

static enum switching_verdict decide(enum switching_step step, const struct switching_case *c)
{
	return switching_decide(c, step);
}
#define DECIDE(step, ...) decide((step), &(struct switching_case){ __VA_ARGS__ })

/* Which rule it was that stopped the search, and that none does so at a step that it is not for. */
Test(switching_decide, names_the_rule)
{
	struct code_range range = { 500, 502 };
	struct routing_gateway stops = { .stop_codes = &range, .stop_code_count = 1 }, ignores = { .ignore_6xx = true };
	struct switching_rules strict = { .stop_after_user_busy = true, .stop_after_sdp = true },
			       two = { .switch_limit = 2 };
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 503), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 486), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .rules = strict, .code = 486), SWITCH_STOP_BUSY);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .rules = strict, .code = 600), SWITCH_STOP_BUSY);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 603), SWITCH_STOP_DECLINED);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 603, .routing = &stops), SWITCH_STOP_DECLINED);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 603, .routing = &ignores), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 499, .routing = &stops), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 500, .routing = &stops), SWITCH_STOP_CODE);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 502, .routing = &stops), SWITCH_STOP_CODE);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 503, .routing = &stops), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .code = 0, .routing = &stops), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .rules = two, .switches = 1), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .rules = two, .switches = 2), SWITCH_STOP_LIMIT);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .rang = true), SWITCH_STOP_RANG);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .early_sdp = true), SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_GATEWAY, .rules = strict, .early_sdp = true), SWITCH_STOP_SDP);
	cr_assert_eq(DECIDE(SWITCH_ADDRESS, .code = 500), SWITCH_STOP_ADDRESS);
	cr_assert_eq(DECIDE(SWITCH_ADDRESS, .code = 503, .address_failed = true, .rules = two, .switches = 2),
		     SWITCH_ON);
	cr_assert_eq(DECIDE(SWITCH_ADDRESS, .address_failed = true, .rang = true), SWITCH_STOP_RANG);
	cr_assert_eq(DECIDE(SWITCH_ADDRESS, .address_failed = true, .rules = strict, .early_sdp = true),
		     SWITCH_STOP_SDP);
}
