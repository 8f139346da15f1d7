/* How calls end.  RFC 3261 9, 12.2.2, 15; spec 4 and 9. */
#include "calls.h"

#include <stdio.h>
#include <string.h>

/* RFC 3261 15: the callee hangs up before the caller's ACK: its BYE is answered at once, the caller's waits. */
Test(rfc3261_15, the_caller_gets_no_bye_before_its_ack)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .ack_delay_ns = 5 * SIM_S, .answers = { ANSWERS }, .steps = { CALLEE_HANGS_UP(1) });
	sim_run(sim, 20 * SIM_S);
	assert_after(sim_seen_ns(call, OUT_B, "200 BYE", 0), sim_seen_ns(call, IN_B, "BYE", 0), 0);
	assert_after(sim_seen_ns(call, OUT_A, "BYE", 0), sim_seen_ns(call, IN_A, "ACK", 0), 0);
	cr_assert_eq(cdr_of(call)->hold_ms, 1002); /* to the callee's BYE, not to ours */
	cr_assert_eq(cdr_of(call)->end_side, CDR_SIDE_CALLEE);
	finish(sim);
}

Test(rfc3261_15, without_ack_the_bye_goes_out_after_64_t1)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .no_ack = true, .answers = { ANSWERS }, .steps = { CALLEE_HANGS_UP(1) });
	sim_run(sim, 60 * SIM_S);
	assert_after(sim_seen_ns(call, OUT_A, "BYE", 0), sim_seen_ns(call, OUT_A, "200 INVITE", 0), SIM_64T1);
	assert_reason(call, normal);
	finish(sim);
}

/* A worker that is late reads what others have handed over after datagrams that came later: each call has ended when
 * its BYE came. */
Test(design_money_and_time, a_bye_counts_from_when_it_came)
{
	enum { CALLS = 20 };
	struct sim *sim = sim_new(.seed = SEED, .shards = 2, .mailbox = true);
	struct sim_call *calls[CALLS];
	for (unsigned i = 0; i < CALLS; i++) {
		calls[i] = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
		sim_run(sim, 10 * SIM_MS);
	}
	sim_run(sim, 4 * SIM_S);
	sim->settings.mail_wait_ns = 80 * SIM_MS;
	sim_run(sim, 20 * SIM_S);
	cr_assert_gt(sim->counts.handed_over, CALLS);
	for (unsigned i = 0; i < CALLS; i++) {
		cr_assert_geq(cdr_of(calls[i])->hold_ms, 5000);
		cr_assert_leq(cdr_of(calls[i])->hold_ms, 5005, "%ld", cdr_of(calls[i])->hold_ms);
	}
	finish(sim);
}

/* BYEs from both sides at the same moment: one record, each BYE answered. */
Test(rfc3261_15, byes_cross)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5), CALLEE_HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(call, IN_A, "BYE"), 1);
	cr_assert_eq(sim_seen(call, IN_B, "BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "200 BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "200 BYE") + sim_seen(call, OUT_B, "481 BYE"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* The caller gives up a ringing call with BYE in place of CANCEL. */
Test(rfc3261_15, an_early_bye_of_the_caller_cancels)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .cancel_ns = SIM_S, .early_bye = true, .answers = { ANSWERS });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "200 BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "487 INVITE"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	assert_reason(call, cancelled);
	finish(sim);
}

/* The BYE crosses the 200, and the 200 is lost: it is sent until the ACK although the call has ended. */
Test(rfc3261_15, a_200_that_crossed_the_bye_is_sent_until_its_ack)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .cancel_ns = 2 * SIM_S + 2 * SIM_MS + SIM_MS / 2, .early_bye = true,
					     .answers = { ANSWERS });
	sim_run(sim, 2 * SIM_S + 2 * SIM_MS + SIM_MS / 4);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 0);
	sim->hosts[0].from_node.loss_ppm = 1000000;
	sim_run(sim, SIM_MS);
	sim->hosts[0].from_node.loss_ppm = 0;
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 1);
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen_again(call, OUT_A, "200 INVITE"), 1);
	cr_assert_eq(sim_seen(call, IN_A, "ACK"), 1);
	finish(sim);
}

static struct bytes sent_text(const struct ua *ua, const char *method)
{
	for (const struct sent *sent = ua->sent; sent; sent = sent->next)
		if (strcmp(sent->method, method) == 0)
			return sent->text;
	cr_assert_fail("no %s was sent", method);
	return BYTES_NONE;
}

/* 17.2.2 and the tombstone: the BYE that comes again gets its 200 for 64*T1, and 481 when nobody remembers. */
Test(rfc3261_17_2_2, a_repeated_bye_is_answered_the_same_long_after_the_call)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(node_stat(sim, pool_leg_used), 0);
	for (unsigned i = 0; i < 3; i++) {
		peer_send_raw(sim, &sim->hosts[0], sent_text(call->caller, "BYE"));
		sim_run(sim, SIM_S);
	}
	cr_assert_eq(sim_seen_again(call, OUT_A, "200 BYE"), 3);
	assert_good(sim);
	sim_run(sim, 40 * SIM_S);
	cr_assert_eq(node_stat(sim, pool_tombstone_used), 0);
	peer_send_raw(sim, &sim->hosts[0], sent_text(call->caller, "BYE"));
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen_again(call, OUT_A, "481 BYE"), 1);
	cr_assert_eq(sim->cdr_count, 1);
	sim_destroy(sim);
}

/* The 200 of the winner comes again when its leg has gone: an ACK, and no second BYE. */
Test(rfc3261_13_2_2_4, a_200_that_comes_again_after_the_call_gets_an_ack_and_no_bye)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(1) });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(node_stat(sim, pool_leg_used), 0);
	const struct taken *invite = call->callees->taken;
	while (strcmp(invite->method, "INVITE") != 0)
		invite = invite->next;
	peer_send_raw(sim, call->callees->host, invite->response);
	sim_run(sim, 2 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK") + sim_seen_again(call, OUT_B, "ACK"), 2);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	finish(sim);
}

/* 12.2.2: a request with a lower CSeq than the last gets 500 and is not passed on. */
Test(rfc3261_12_2_2, a_request_out_of_order_gets_500)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call =
		sim_call_now(sim, .answers = { ANSWERS },
			     .steps = { { STEP_INFO, false, SIM_S }, { STEP_INFO, false, 2 * SIM_S }, HANGS_UP(20) });
	sim_run(sim, 6 * SIM_S);
	struct bytes text = sent_text(call->caller, "INFO"); /* CSeq 3; as if 2 had not been seen before */
	char *copy = sim_alloc(sim, text.size + 1);
	memcpy(copy, text.at, text.size);
	memcpy(strstr(copy, "branch=z9hG4bK-s"), "branch=z9hG4bK-o", 16);
	memcpy(strstr(copy, "CSeq: 3"), "CSeq: 2", 7);
	peer_send_raw(sim, &sim->hosts[0], (struct bytes){ copy, text.size });
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "500 INFO"), 1, "the first INFO had CSeq 2, but another branch");
	memcpy(strstr(copy, "CSeq: 2"), "CSeq: 1", 7);
	peer_send_raw(sim, &sim->hosts[0], (struct bytes){ copy, text.size });
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "500 INFO") + sim_seen_again(call, OUT_A, "500 INFO"), 2);
	cr_assert_eq(sim_seen(call, OUT_B, "INFO"), 2);
	sim_run(sim, 30 * SIM_S);
	assert_reason(call, normal);
	sim_destroy(sim);
}

/* A request for a dialog that never was. */
Test(rfc3261_12_2_2, a_request_of_an_unknown_dialog_gets_481)
{
	static const char bye[] =
		"BYE sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bK-u;rport\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: unknown\r\nCSeq: 1 BYE\r\n"
		"Content-Length: 0\r\n\r\n";
	struct sim *sim = sim_new(.seed = SEED);
	peer_send_raw(sim, &sim->hosts[0], BYTES(bye));
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.messages, 2);
	cr_assert_eq(node_stat(sim, pool_transaction_used), 0);
	finish(sim);
}

/* 12.2.1.2: 481 from a peer to a request that we passed on ends the call. */
Test(rfc3261_12_2_1_2, a_peer_that_has_lost_the_dialog_ends_the_call)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { { STEP_INFO, true, SIM_S } });
	sim_run(sim, 2500 * SIM_MS);
	call->caller->state = UA_ENDED; /* it forgets the dialog without a word: a reboot */
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(call, IN_A, "481 INFO"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE") + sim_seen(call, IN_B, "BYE"), 2);
	assert_reason(call, dialog_lost);
	finish(sim);
}

/* The same before the caller's ACK means that the request overtook the 200. */
Test(rfc3261_12_2_1_2, a_request_that_overtook_the_200_does_not_end_the_call)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { { .final_ns = SIM_S } },
					     .steps = { { STEP_INFO, true, 300 * SIM_MS }, HANGS_UP(5) });
	sim->hosts[0].from_node.loss_ppm = 1000000; /* the first 200 is lost */
	sim_run(sim, SIM_S + 100 * SIM_MS);
	cr_assert_eq(sim_seen(call, OUT_A, "200 INVITE"), 1);
	sim->hosts[0].from_node.loss_ppm = 0;
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(call, IN_A, "481 INFO"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "500 INFO"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* The operator ends one call among others, by the name that a list of calls gave. */
Test(operator, hangup_ends_the_call_that_was_named)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct call_row row[3] = { 0 };
	struct sim_call *first = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(30) });
	struct sim_call *second = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(30) });
	sim_run(sim, 5 * SIM_S);
	struct command list = { .kind = COMMAND_CALLS_LIST, .rows = row, .row_max = 3 };
	node_command(sim, &list);
	cr_assert_eq(list.row_count, 2);
	struct command hangup = { .kind = COMMAND_CALLS_HANGUP };
	snprintf(hangup.id, sizeof hangup.id, "%s", row[strcmp(row[0].call_id_a, first->call_id) == 0 ? 0 : 1].cdr_id);
	node_command(sim, &hangup);
	cr_assert_eq(hangup.row_count, 1);
	sim_run(sim, SIM_S);
	assert_reason(first, operator_hangup);
	cr_assert_eq(cdr_of(first)->hold_ms, 2997); /* answered after 2 s and three ways */
	cr_assert_eq(sim_seen(first, OUT_A, "BYE"), 1);
	cr_assert_eq(sim_seen(first, OUT_B, "BYE"), 1);
	cr_assert_eq(second->cdr_count, 0);
	sim_run(sim, 60 * SIM_S);
	assert_reason(second, normal);
	finish(sim);
}

/* The next page of a list begins behind the last cdr_id of the page before: calls that came into the slots of others,
 * or that ended meanwhile, move none of the rest. */
Test(operator, pages_of_a_list_are_in_the_order_of_cdr_ids)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned i = 0; i < 8; i++) { /* every second one makes room for a later one */
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(i % 2 ? 20 : 500) });
		sim_run(sim, SIM_S / 10);
	}
	sim_run(sim, 60 * SIM_S);
	for (unsigned i = 0; i < 9; i++) {
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(500) });
		sim_run(sim, SIM_S / 10);
	}
	sim_run(sim, 10 * SIM_S);
	struct call_row all[20] = { 0 }, page[3] = { 0 };
	struct command list = { .kind = COMMAND_CALLS_LIST, .rows = all, .row_max = 20 };
	node_command(sim, &list);
	cr_assert_eq(list.row_count, 13);
	char after[CDR_ID_SIZE + 1] = "";
	for (unsigned seen = 0; seen < 13;) {
		list = (struct command){ .kind = COMMAND_CALLS_LIST, .rows = page, .row_max = 3 };
		strcpy(list.id, after);
		node_command(sim, &list);
		cr_assert_eq(list.row_count, seen < 12 ? 3 : 1);
		for (unsigned i = 0; i < list.row_count; i++) {
			unsigned lower = 0;
			for (unsigned k = 0; k < 13; k++)
				lower += strcmp(all[k].cdr_id, page[i].cdr_id) < 0;
			cr_assert(lower >= seen && lower < seen + 3, "the %u. is in a page from %u on", lower, seen);
			if (strcmp(page[i].cdr_id, after) > 0)
				strcpy(after, page[i].cdr_id);
		}
		seen += list.row_count;
		struct command hangup = { .kind = COMMAND_CALLS_HANGUP };
		strcpy(hangup.id, after);
		node_command(sim, &hangup);
		sim_run(sim, SIM_S);
	}
	finish(sim);
}

/* SIGTERM: calls of every state end with their records, new ones are refused. */
Test(stop, ends_calls_of_every_state)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2);
	struct sim_call *up = sim_call_now(sim, .answers = { { .final_ns = SIM_S } });
	struct sim_call *unacknowledged = sim_call_now(sim, .no_ack = true, .answers = { { .final_ns = SIM_S } });
	struct sim_call *ringing = sim_call_now(sim, .answers = { { .ring_ns = SIM_S, .never = true } });
	struct sim_call *silent = sim_call_now(sim, .answers = { { .silent = true } });
	sim_run(sim, 3 * SIM_S);
	struct command stop = { .kind = COMMAND_STOP };
	node_command(sim, &stop);
	cr_assert_not(node_stopped(sim));
	sim_run(sim, 100 * SIM_MS);
	cr_assert(node_stopped(sim));
	assert_reason(up, node_shutdown);
	assert_reason(unacknowledged, node_shutdown);
	assert_reason(ringing, node_shutdown);
	assert_reason(silent, node_shutdown);
	cr_assert_eq(cdr_of(ringing)->sip_code, 503);
	cr_assert_eq(sim_seen(up, OUT_A, "BYE"), 1);
	cr_assert_eq(sim_seen(ringing, OUT_A, "503 INVITE"), 1);
	cr_assert_eq(sim_seen(ringing, OUT_B, "CANCEL"), 1);
	struct sim_call *late = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(late, OUT_A, "503 INVITE"), 1);
	cr_assert_eq(late->cdr_count, 0);
	finish(sim);
}

/* Its CANCEL goes out before the first response, which then comes, and nothing after it: the INVITE is over all the
 * same, 64*T1 after the CANCEL (RFC 3261 9.1). */
Test(stop, an_early_cancel_ends_an_invite_whose_final_response_is_lost)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(
		sim,
		.answers = { { .no_trying = true, .ring_ns = 1500 * SIM_MS, .final_ns = 60 * SIM_S, .deaf = true } });
	sim_run(sim, SIM_S);
	struct command stop = { .kind = COMMAND_STOP };
	node_command(sim, &stop);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "CANCEL"), 1);
	cr_assert_geq(sim_seen(call, IN_B, "180 INVITE"), 1);
	for (unsigned i = 0; i < sim->host_count; i++)
		sim->hosts[i].to_node.down = true;
	call->excused = true;
	sim_run(sim, 70 * SIM_S);
	cr_assert_eq(node_stat(sim, pool_leg_used), 0);
	cr_assert_eq(cdr_of(call)->end_reason, CDR_END_node_shutdown);
	sim_destroy(sim);
}

/* A large number of them in portions: paced, all within the time that spec 2 allows. */
Test(stop, is_paced)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned i = 0; i < 500; i++)
		sim_call_now(sim, .answers = { { .final_ns = SIM_S } });
	sim_run(sim, 3 * SIM_S);
	cr_assert_eq(node_stat(sim, calls_active), 500);
	struct command stop = { .kind = COMMAND_STOP };
	node_command(sim, &stop);
	sim_run(sim, 10 * SIM_MS);
	cr_assert_gt(node_stat(sim, calls_active), 200);
	sim_run(sim, 20 * SIM_MS);
	cr_assert(node_stopped(sim));
	cr_assert_eq(sim->cdr_count, 500);
	finish(sim);
}

/* A step of the wall clock changes no duration. */
Test(clock, a_step_of_the_wall_clock_changes_no_duration)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
	sim_run(sim, 5 * SIM_S);
	sim_step_clock(sim, -3600 * INT64_C(1000000));
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(cdr_of(call)->hold_ms, 10002);
	cr_assert_eq(cdr_of(call)->end_us, cdr_of(call)->connect_us + 10002000);
	finish(sim);
}
