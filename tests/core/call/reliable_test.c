/* Reliable provisional responses on each leg.  RFC 3262 3, 4, 5; spec 4. */
#include "early.h"

#include "core/call/state.h"

/* ---- what goes on reliably ---- */

Test(rfc3262_3, a_reliable_183_is_one_to_a_caller_that_supports_it)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	cr_assert(has(nth(&d->b, "INVITE", 0), "\r\nSupported: 100rel\r\n"));
	callee_says(d, "183 " RELIABLE "7001", NULL, "answer");
	struct heard *to_callee = nth(&d->b, "PRACK", 0), *progress = nth(&d->a, "183 INVITE", 0);
	assert_header(to_callee, "RAck", "7001 1 INVITE");
	assert_header(to_callee, "CSeq", "2 PRACK");
	assert_header(progress, "Require", "100rel");
	assert_body(progress, "answer");
	cr_assert(strtoul(header(progress, "RSeq"), NULL, 10) > 0);
	cr_assert_str_neq(header(progress, "RSeq"), "7001", "each leg has its own numbers");
	struct said *said = prack(d, progress, NULL);
	cr_assert_eq(status_of(said), 200);
	callee_says(d, "200", NULL, NULL);
	struct heard *ok = nth(&d->a, "200 INVITE", 0);
	cr_assert(ok, "not answered");
	cr_assert_eq(ok->w.body.size, 0, "the caller has the answer already (RFC 3261 13.2.1)");
	run(d, 40 * SIM_S);
	cr_assert_eq(progress->again, 0);
	cr_assert_eq(to_callee->again, 0);
	over(d);
}

Test(rfc3262_3, a_caller_without_100rel_gets_none)
{
	struct duel *d = duel_ringing(.invite = "Supported: timer\n");
	cr_assert_not(has(nth(&d->b, "INVITE", 0), "100rel"));
	callee_says(d, "183", NULL, "answer");
	assert_header(nth(&d->a, "183 INVITE", 0), "Require", "");
	assert_header(nth(&d->a, "183 INVITE", 0), "RSeq", "");
	callee_says(d, "200", NULL, "answer");
	over(d);
}

Test(rfc3262_3, what_the_callee_did_not_send_reliably_is_not_reliable_to_a_caller_that_supports_it)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180", NULL, NULL);
	assert_header(nth(&d->a, "180 INVITE", 0), "RSeq", "");
	callee_says(d, "200", NULL, "answer");
	assert_body(nth(&d->a, "200 INVITE", 0), "answer");
	over(d);
}

/* 3: "MUST send any non-100 provisional response reliably". */
Test(rfc3262_3, a_caller_that_requires_it_gets_every_one_reliably)
{
	struct duel *d = duel_ringing(.invite = REQUIRES);
	cr_assert_eq(count(&d->a, "420 INVITE"), 0);
	callee_says(d, "180", NULL, NULL);
	struct heard *ringing = nth(&d->a, "180 INVITE", 0);
	assert_header(ringing, "Require", "100rel");
	cr_assert_eq(status_of(prack(d, ringing, NULL)), 200);
	callee_says(d, "183", NULL, "answer");
	struct heard *progress = nth(&d->a, "183 INVITE", 0);
	cr_assert_eq(strtoul(header(progress, "RSeq"), NULL, 10), strtoul(header(ringing, "RSeq"), NULL, 10) + 1);
	prack(d, progress, NULL);
	cr_assert_eq(count(&d->b, "PRACK"), 0);
	callee_says(d, "200", NULL, "answer");
	over(d);
}

/* The session of a 183 that a caller without 100rel had belongs into the 200, too. */
Test(rfc3261_13_2_1, a_200_brings_the_session_that_the_callee_sent_early)
{
	struct duel *d = duel_ringing(.invite = "Supported: timer\n");
	callee_says(d, "183 " RELIABLE "5", NULL, "answer");
	assert_header(nth(&d->b, "PRACK", 0), "RAck", "5 1 INVITE");
	callee_says(d, "200", NULL, NULL);
	assert_body(nth(&d->a, "200 INVITE", 0), "answer");
	over(d);
}

/* ---- until its PRACK ---- */

Test(rfc3262_3, it_is_repeated_after_t1_doubling_and_given_up_after_64_t1)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	struct heard *progress = nth(&d->a, "183 INVITE", 0);
	static const uint64_t at_ms[] = { 500, 1500, 3500, 7500, 15500, 31500 };
	for (unsigned i = 0; i < 6; i++) {
		run_until(d, progress->at_ns + at_ms[i] * SIM_MS - 1);
		cr_assert_eq(progress->again, i);
		run_until(d, progress->at_ns + at_ms[i] * SIM_MS + 3 * SIM_MS);
		cr_assert_eq(progress->again, i + 1);
	}
	run_until(d, progress->at_ns + SIM_64T1 - 1);
	cr_assert_eq(count(&d->a, "504 INVITE"), 0);
	run(d, 4 * SIM_MS);
	cr_assert_eq(count(&d->a, "504 INVITE"), 1);
	cr_assert_eq(count(&d->b, "CANCEL"), 1);
	callee_says(d, "487", NULL, NULL);
	assert_reason(d->call, ack_missing);
	cr_assert_eq(cdr_of(d->call)->sip_code, 504);
	over(d);
}

Test(rfc3262_3, a_prack_is_found_by_its_rack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	struct heard *ringing = nth(&d->a, "180 INVITE", 0);
	unsigned long rseq = strtoul(header(ringing, "RSeq"), NULL, 10);
	const struct {
		const char *format;
		unsigned long rseq;
		unsigned status;
	} rows[] = { { "RAck: %lu 1 INVITE\n", rseq + 1, 481 }, { "RAck: %lu 2 INVITE\n", rseq, 481 },
		     { "RAck: %lu 1 UPDATE\n", rseq, 481 },     { "RAck: %lu 1\n", rseq, 400 },
		     { "RAck: -%lu 1 INVITE\n", rseq, 400 },    { "X-%lu: none\n", rseq, 400 },
		     { "RAck: %lu  1\t INVITE\n", rseq, 200 },  { "RAck: %lu 1 INVITE\n", rseq, 481 } };
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		char lines[64];
		snprintf(lines, sizeof lines, rows[i].format, rows[i].rseq);
		struct said *said = say(&d->a, "PRACK", lines, BYTES_NONE);
		run(d, 10 * SIM_MS);
		cr_assert_eq(status_of(said), rows[i].status, "%s: %u", lines, status_of(said));
		say_again(&d->a, said); /* the same once more */
		run(d, 10 * SIM_MS);
		cr_assert_eq(status_of(said), rows[i].status);
	}
	run(d, 10 * SIM_S);
	cr_assert_leq(ringing->again, 1);
	caller_cancels(d);
	over(d);
}

Test(rfc3262_3, a_prack_of_the_callee_has_nothing_to_acknowledge)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	struct said *said = say(&d->b, "PRACK", "RAck: 1 1 INVITE\n", BYTES_NONE);
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(said), 481);
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	callee_says(d, "200", NULL, "answer");
	said = prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	cr_assert_eq(status_of(said), 481);
	over(d);
}

/* "MUST NOT send a 2xx until those provisional responses are acknowledged"; and what comes meanwhile is one response.
 */
Test(rfc3262_3, the_200_waits_for_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	callee_says(d, "200", NULL, "answer");
	cr_assert_eq(count(&d->b, "ACK"), 1);
	run(d, 2 * SIM_S);
	cr_assert_eq(count(&d->a, "200 INVITE"), 0);
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	assert_body(nth(&d->a, "200 INVITE", 0), "answer");
	over(d);
}

Test(rfc3262_3, without_its_prack_an_answered_call_is_refused_and_hung_up)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	callee_says(d, "200", NULL, "answer");
	run(d, SIM_64T1);
	cr_assert_eq(count(&d->a, "200 INVITE"), 0);
	cr_assert_eq(count(&d->a, "504 INVITE"), 1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	cr_assert_eq(cdr_of(d->call)->connect_us, 0);
	assert_reason(d->call, ack_missing);
	over(d);
}

Test(rfc3261_9_2, a_cancel_while_the_200_waits_for_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	callee_says(d, "200", NULL, "answer");
	run(d, 5 * SIM_S);
	d->b.gone = false;
	struct said *invite = d->a.said;
	say_cancel(&d->a, invite);
	run(d, SIM_S);
	cr_assert_eq(count(&d->a, "487 INVITE"), 1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	assert_reason(d->call, cancelled);
	over(d);
}

/* Whichever comes last. */
Test(answer_after_sync, the_200_waits_for_the_disk_and_for_the_prack)
{
	for (unsigned disk_first = 0; disk_first < 2; disk_first++) {
		struct duel *d = duel_ringing(.invite = SUPPORTS);
		d->sim->config->answer_after_sync = true;
		callee_says(d, "183 " RELIABLE "1", NULL, "answer");
		callee_says(d, "200", NULL, "answer");
		for (unsigned i = 0; i < 2; i++) {
			run(d, 10 * SIM_MS);
			cr_assert_eq(count(&d->a, "200 INVITE"), 0);
			if (i == disk_first)
				prack(d, nth(&d->a, "183 INVITE", 0), NULL);
			else
				shard_synced(d->sim->shards[0].shard, node_clock_ns(d->sim), 1);
		}
		run(d, 100 * SIM_MS);
		cr_assert_eq(count(&d->a, "200 INVITE"), 1);
		over(d);
	}
}

/* "it MUST be prepared to process PRACK requests for those outstanding responses": of a call that has failed. */
Test(rfc3262_3, a_prack_that_crosses_the_final_response)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	struct heard *ringing = nth(&d->a, "180 INVITE", 0);
	char lines[64];
	snprintf(lines, sizeof lines, "RAck: %s 1 INVITE\n", header(ringing, "RSeq"));
	say_response(d, "486", NULL, BYTES_NONE);
	run(d, SIM_MS + SIM_MS / 2); /* it is on its way to the caller */
	struct said *said = say(&d->a, "PRACK", lines, BYTES_NONE);
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->a, "486 INVITE"), 1);
	cr_assert_eq(status_of(said), 200);
	over(d);
}

/* The newest status and the newest session, when the caller is slow to acknowledge. */
Test(rfc3262_3, what_the_callee_says_meanwhile_waits_as_one_response)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	callee_says(d, "183 " RELIABLE "2", NULL, "answer");
	callee_says(d, "180 " RELIABLE "3", NULL, NULL);
	cr_assert_eq(count(&d->b, "PRACK"), 3);
	cr_assert_eq(count(&d->a, "180 INVITE"), 1);
	cr_assert_eq(count(&d->a, "183 INVITE"), 0);
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	cr_assert_eq(count(&d->a, "180 INVITE"), 2);
	assert_body(nth(&d->a, "180 INVITE", 1), "answer");
	prack(d, nth(&d->a, "180 INVITE", 1), NULL);
	callee_says(d, "200", NULL, NULL);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	over(d);
}

/* ---- those of the callee ---- */

Test(rfc3262_4, each_is_acknowledged_once_and_in_order)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "900", NULL, NULL);
	callee_says(d, "180 " RELIABLE "900", NULL, NULL); /* again */
	cr_assert_eq(count(&d->b, "PRACK"), 1);
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	callee_says(d, "183 " RELIABLE "902", NULL, "too early");
	cr_assert_eq(count(&d->b, "PRACK"), 1);
	cr_assert_eq(count(&d->a, "183 INVITE"), 0);
	callee_says(d, "183 " RELIABLE "901", NULL, "answer");
	callee_says(d, "181 " RELIABLE "902", NULL, NULL);
	cr_assert_eq(count(&d->b, "PRACK"), 3);
	assert_header(nth(&d->b, "PRACK", 1), "RAck", "901 1 INVITE");
	assert_header(nth(&d->b, "PRACK", 2), "RAck", "902 1 INVITE");
	assert_body(nth(&d->a, "183 INVITE", 0), "answer");
	caller_cancels(d);
	over(d);
}

/* known bug 48. */
Test(rfc3261_12_2_1_1, bug_48_the_bye_is_numbered_after_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	callee_says(d, "200", NULL, "answer");
	hang_up(d);
	assert_header(nth(&d->b, "PRACK", 0), "CSeq", "2 PRACK");
	assert_header(nth(&d->b, "ACK", 0), "CSeq", "1 ACK");
	assert_header(nth(&d->b, "BYE", 0), "CSeq", "3 BYE");
	over(d);
}

Test(rfc3262_4, a_prack_is_repeated_until_its_answer)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	answers(&d->b.other, "-");
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	run(d, 4 * SIM_S);
	cr_assert_eq(count(&d->b, "PRACK"), 1);
	cr_assert_eq(nth(&d->b, "PRACK", 0)->again, 3);
	caller_cancels(d);
	run(d, SIM_64T1);
	over(d);
}

/* A gateway that numbers each repetition anew, or forks without end, and answers none. */
Test(rfc3262_4, few_pracks_wait_for_their_answer)
{
	struct duel *d = duel_ringing(.invite = "Supported: timer\n");
	char answer[200], tag[16];
	answers(&d->b.other, "-");
	for (unsigned i = 0; i < 20; i++) {
		snprintf(answer, sizeof answer, "180 " RELIABLE "%u", 1 + (i < 12 ? i : 0));
		snprintf(tag, sizeof tag, "branch-%u", i < 12 ? 0 : i);
		callee_says(d, answer, tag, NULL);
	}
	cr_assert_eq(count(&d->b, "PRACK"), 8);
	run(d, SIM_64T1);
	answers(&d->b.other, "200");
	callee_says(d, "180 " RELIABLE "9", "branch-0", NULL);
	cr_assert_eq(count(&d->b, "PRACK"), 9);
	assert_header(nth(&d->b, "PRACK", 8), "RAck", "9 1 INVITE");
	caller_cancels(d);
	over(d);
}

/* ---- offers ---- */

/* The INVITE has none: the callee's is in its 183, the answer in the caller's PRACK. */
Test(rfc3262_5, an_offer_in_the_183_has_its_answer_in_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
	callee_says(d, "183 " RELIABLE "70", NULL, "offer");
	struct heard *progress = nth(&d->a, "183 INVITE", 0);
	assert_body(progress, "offer");
	run(d, SIM_S);
	callee_says(d, "183 " RELIABLE "70", NULL, "offer"); /* again: the answer is not here yet */
	cr_assert_eq(count(&d->b, "PRACK"), 0);
	cr_assert_eq(status_of(prack(d, progress, "answer")), 200);
	assert_header(nth(&d->b, "PRACK", 0), "RAck", "70 1 INVITE");
	assert_body(nth(&d->b, "PRACK", 0), "answer");
	callee_says(d, "200", NULL, NULL);
	cr_assert_eq(nth(&d->a, "200 INVITE", 0)->w.body.size, 0);
	cr_assert_eq(count(&d->b, "ACK"), 1);
	cr_assert_eq(nth(&d->b, "ACK", 0)->w.body.size, 0);
	over(d);
}

/* A 200 without session that could not be kept is made anew as it was. */
Test(rfc3262_5, a_bare_200_that_was_not_kept)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	struct shard *s = d->sim->shards[0].shard;
	d->a.no_ack = true;
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	callee_says(d, "200", NULL, NULL);
	struct heard *ok = nth(&d->a, "200 INVITE", 0);
	cr_assert_eq(ok->w.body.size, 0);
	struct call *call = call_at(s, pool_next_used(&s->calls, 0));
	struct transaction *invite = transaction_at(s, setup_of(s, call)->invite);
	text_give(&s->texts, invite->message);
	invite->message = TEXT_NONE;
	run(d, SIM_S);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	cr_assert_geq(ok->again, 1);
	d->a.no_ack = false;
	run(d, 2 * SIM_S);
	over(d);
}

/* RFC 4028 7.3: the answer to the offer of an early dialog is not the offer of the INVITE that follows a 422. */
Test(rfc3262_5, an_invite_after_422_has_no_answer_of_before)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
	callee_says(d, "183 " RELIABLE "70", NULL, "offer");
	prack(d, nth(&d->a, "183 INVITE", 0), "answer");
	assert_body(nth(&d->b, "PRACK", 0), "answer");
	callee_says(d, "422 Min-SE: 700", NULL, NULL);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	cr_assert_eq(nth(&d->b, "INVITE", 1)->w.body.size, 0);
	callee_says(d, "200", NULL, "another offer");
	assert_body(nth(&d->a, "200 INVITE", 0), "another offer");
	over(d);
}

/* The answer is owed until it can be sent: the caller's next PRACK has it. */
Test(rfc3262_5, an_answer_for_which_there_is_no_transaction)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
	struct shard *s = d->sim->shards[0].shard;
	uint32_t reserve = s->transaction_reserve;
	callee_says(d, "183 " RELIABLE "70", NULL, "offer");
	struct heard *progress = nth(&d->a, "183 INVITE", 0);
	s->transaction_reserve = pool_free(&s->transactions) - 1; /* one is left, for the caller's PRACK */
	cr_assert_eq(status_of(prack(d, progress, "answer")), 503);
	cr_assert_eq(count(&d->b, "PRACK"), 0);
	s->transaction_reserve = reserve;
	run(d, SIM_S);
	cr_assert_geq(progress->again, 1, "it waits for its PRACK still");
	cr_assert_eq(status_of(prack(d, progress, "answer")), 200);
	assert_header(nth(&d->b, "PRACK", 0), "RAck", "70 1 INVITE");
	assert_body(nth(&d->b, "PRACK", 0), "answer");
	callee_says(d, "200", NULL, NULL);
	over(d);
}

/* In the PRACK to the callee, or in the ACK if that has answered already. */
Test(rfc3262_5, an_answer_that_cannot_be_kept)
{
	for (unsigned answered = 0; answered < 2; answered++) {
		struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
		struct shard *s = d->sim->shards[0].shard;
		uint32_t bodies_max = s->bodies_max;
		callee_says(d, "183 " RELIABLE "70", NULL, "offer");
		if (answered)
			callee_says(d, "200", NULL, NULL);
		s->bodies_max = s->bodies_used;
		cr_assert_eq(status_of(prack(d, nth(&d->a, "183 INVITE", 0), "answer")), 200);
		assert_body(nth(&d->b, answered ? "ACK" : "PRACK", 0), "answer");
		s->bodies_max = bodies_max;
		if (!answered)
			callee_says(d, "200", NULL, NULL);
		over(d);
	}
}

/* Without reliable responses on both legs the offer is in the 200, and a 183 has no more than a preview of it. */
Test(rfc3262_5, a_preview_of_the_offer_is_not_sent_reliably)
{
	struct duel *d = duel_ringing(.invite = REQUIRES, .delayed_offer = true);
	callee_says(d, "183", NULL, "preview");
	cr_assert_eq(nth(&d->a, "183 INVITE", 0)->w.body.size, 0);
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	callee_says(d, "200", NULL, "offer");
	assert_body(nth(&d->a, "200 INVITE", 0), "offer");
	over(d);
}

/* The caller offers anew in its PRACK: to the callee, which had its own PRACK at once, that is an UPDATE. */
Test(rfc3262_5, an_offer_in_the_prack_goes_on_as_an_update)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	d->b.other_sdp = "second answer";
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	struct said *said = prack(d, nth(&d->a, "183 INVITE", 0), "second offer");
	assert_body(nth(&d->b, "UPDATE", 0), "second offer");
	cr_assert_eq(status_of(said), 200);
	assert_body(said->last, "second answer");
	answers(&d->b.update, "501");
	callee_says(d, "180 " RELIABLE "2", NULL, NULL);
	said = prack(d, nth(&d->a, "180 INVITE", 0), "third offer");
	cr_assert_eq(status_of(said), 488);
	d->b.other_sdp = NULL;
	callee_says(d, "200", NULL, NULL);
	over(d);
}

/* ---- switched off ---- */

Test(reliable_off, a_routing_gateway_without_is_not_offered_it)
{
	struct duel *d =
		duel_ringing(.invite = SUPPORTS, .gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
							     "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" "
							     "prefix = {\"880\"} reliable = off }\n");
	cr_assert_not(has(nth(&d->b, "INVITE", 0), "100rel"));
	callee_says(d, "183", NULL, "answer");
	assert_header(nth(&d->a, "183 INVITE", 0), "RSeq", "");
	callee_says(d, "200", NULL, "answer");
	over(d);
}

#define MG_WITHOUT                                                                                                     \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} reliable = off }\n"                                      \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n"

Test(reliable_off, a_mapping_gateway_without_gets_420_if_it_requires_it)
{
	struct duel *d = duel(.invite = REQUIRES, .gateways = MG_WITHOUT);
	cr_assert_eq(count(&d->a, "420 INVITE"), 1);
	assert_header(nth(&d->a, "420 INVITE", 0), "Unsupported", "100rel");
	over(d);
}

Test(reliable_off, a_mapping_gateway_without_is_one_that_does_not_know_it)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS, .gateways = MG_WITHOUT);
	cr_assert_not(has(nth(&d->b, "INVITE", 0), "100rel"));
	callee_says(d, "200", NULL, "answer");
	over(d);
}

/* ---- inside the dialog ---- */

/* Provisional responses to a re-INVITE need not be sent, and reliable ones are not. */
Test(rfc3262_3, a_reinvite_that_requires_them_gets_no_provisional_response)
{
	struct duel *d = duel_up(.invite = SUPPORTS);
	answers(&d->b.invite, "180");
	struct said *said = say(&d->a, "INVITE", "Require: 100rel\n", new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(said), 100);
	cr_assert_eq(count(&d->a, "180 INVITE"), 0);
	say_cancel(&d->a, said);
	run(d, SIM_S);
	d->b.gone = false;
	run(d, 300 * SIM_S);
	over(d);
}
