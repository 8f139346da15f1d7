/* Early dialogs: forks of a routing gateway, and UPDATE before the answer.  RFC 3261 12.1, 13.2.2.4; RFC 3262 4;
 * RFC 3311 5.  Spec 4. */
#include "core/call/state.h"
#include "early.h"

static const char *to_tag(const struct heard *heard)
{
	const char *tag = strstr(header(heard, "To"), ";tag=");
	cr_assert(tag, "no To tag");
	return tag;
}

/* The callee of this branch asks something. */
static struct said *branch_says(struct duel *d, const char *tag, const char *method, uint32_t cseq, const char *body)
{
	char own[sizeof d->b.ua->local_tag];
	memcpy(own, d->b.ua->local_tag, sizeof own);
	snprintf(d->b.ua->local_tag, sizeof d->b.ua->local_tag, "%s", tag);
	struct said *said = say_numbered(&d->b, method, cseq, NULL, body ? bytes_of(body) : BYTES_NONE);
	memcpy(d->b.ua->local_tag, own, sizeof own);
	run(d, 10 * SIM_MS);
	return said;
}

/* ---- forks ---- */

Test(rfc3262_4, each_branch_of_a_fork_has_its_own_numbers)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180 " RELIABLE "10", "one", NULL);
	callee_says(d, "180 " RELIABLE "2000", "two", NULL);
	callee_says(d, "181 " RELIABLE "11", "one", NULL);
	callee_says(d, "181 " RELIABLE "2001", "two", NULL);
	callee_says(d, "181 " RELIABLE "2001", "two", NULL); /* again */
	static const char *const racks[] = { "10 1 INVITE", "2000 1 INVITE", "11 1 INVITE", "2001 1 INVITE" };
	cr_assert_eq(count(&d->b, "PRACK"), 4);
	for (unsigned i = 0; i < 4; i++) {
		struct heard *heard = nth(&d->b, "PRACK", i);
		assert_header(heard, "RAck", racks[i]);
		cr_assert_str_eq(to_tag(heard), i % 2 ? ";tag=two" : ";tag=one");
		cr_assert(strstr(header(heard, "CSeq"), "PRACK"));
		char contact[32];
		snprintf(contact, sizeof contact, "sip:%s-0@10.2.0.1:5060", i % 2 ? "two" : "one");
		cr_assert(wire_is(heard->w.uri, contact), "PRACK to %.*s", TEXT(heard->w.uri));
	}
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	prack(d, nth(&d->a, "181 INVITE", 0), NULL);
	callee_says(d, "200", "two", "answer");
	cr_assert_str_eq(to_tag(nth(&d->b, "ACK", 0)), ";tag=two");
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_str_eq(to_tag(nth(&d->b, "BYE", 0)), ";tag=two");
	assert_reason(d->call, normal);
	over(d);
}

/* To a caller without 100rel our leg is one dialog, and the latest early media are passed on in it. */
Test(rfc3261_12_1, a_fork_is_one_dialog_to_the_caller)
{
	struct duel *d = duel_ringing(.invite = "Supported: timer\n");
	callee_says(d, "183", "one", "media of one");
	callee_says(d, "183", "two", "media of two");
	assert_body(nth(&d->a, "183 INVITE", 0), "media of one");
	assert_body(nth(&d->a, "183 INVITE", 1), "media of two");
	callee_says(d, "200", "one", "answer of one");
	assert_body(nth(&d->a, "200 INVITE", 0), "answer of one");
	cr_assert_str_eq(to_tag(nth(&d->a, "183 INVITE", 0)), to_tag(nth(&d->a, "183 INVITE", 1)));
	cr_assert_str_eq(to_tag(nth(&d->a, "183 INVITE", 0)), to_tag(nth(&d->a, "200 INVITE", 0)));
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	over(d);
}

/* A reliable answer stands in its dialog: the session of another branch is of another one, and the 200 of that which
 * has answered (RFC 3261 13.2.1: "MUST ignore any session descriptions in subsequent responses"). */
Test(rfc3261_13_2_1, a_reliable_session_of_another_branch_is_another_dialog_to_the_caller)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	struct heard *one = nth(&d->a, "183 INVITE", 0), *two, *ok;
	prack(d, one, NULL);
	callee_says(d, "183 " RELIABLE "1", "two", "answer of two");
	two = nth(&d->a, "183 INVITE", 1);
	assert_body(two, "answer of two");
	cr_assert_str_neq(to_tag(one), to_tag(two));
	cr_assert_eq(strtoul(header(two, "RSeq"), NULL, 10), strtoul(header(one, "RSeq"), NULL, 10) + 1);
	cr_assert_eq(status_of(prack(d, two, NULL)), 200);
	callee_says(d, "180 " RELIABLE "2", "one", "answer of one"); /* which the caller has */
	cr_assert_str_eq(to_tag(nth(&d->a, "180 INVITE", 0)), to_tag(two));
	cr_assert_eq(nth(&d->a, "180 INVITE", 0)->w.body.size, 0);
	prack(d, nth(&d->a, "180 INVITE", 0), NULL);
	callee_says(d, "200", "one", NULL);
	ok = nth(&d->a, "200 INVITE", 0);
	cr_assert_str_eq(to_tag(ok), to_tag(one));
	cr_assert_eq(ok->w.body.size, 0);
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_str_eq(to_tag(nth(&d->b, "BYE", 0)), ";tag=one");
	assert_reason(d->call, normal);
	over(d);
}

Test(rfc3261_13_2_1, the_200_of_a_branch_not_heard_of_is_of_a_new_dialog)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	callee_says(d, "200", "two", "answer of two");
	cr_assert_str_neq(to_tag(nth(&d->a, "200 INVITE", 0)), to_tag(nth(&d->a, "183 INVITE", 0)));
	assert_body(nth(&d->a, "200 INVITE", 0), "answer of two");
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_str_eq(to_tag(nth(&d->b, "BYE", 0)), ";tag=two");
	over(d);
}

/* RFC 3262 5: the answer in a PRACK is to the offer of its branch; that of the one that answers has its own, in the
 * ACK. */
Test(rfc3262_5, an_answer_is_not_that_to_the_offer_of_another_branch)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
	callee_says(d, "183 " RELIABLE "1", "one", "offer of one");
	callee_says(d, "200", "two", "offer of two");
	cr_assert_eq(count(&d->a, "200 INVITE"), 0);
	cr_assert_eq(status_of(prack(d, nth(&d->a, "183 INVITE", 0), "answer to one")), 200);
	assert_body(nth(&d->a, "200 INVITE", 0), "offer of two");
	cr_assert_eq(count(&d->b, "ACK"), 1);
	cr_assert_not(has(nth(&d->b, "ACK", 0), "answer to one"));
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	over(d);
}

/* The same branch's 200 overtakes that answer, and repeats the offer or does not. */
Test(rfc3262_5, the_answer_to_a_branch_that_has_answered_is_in_its_ack)
{
	static const char *const bodies[] = { NULL, "offer of one" };
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
		callee_says(d, "183 " RELIABLE "1", "one", "offer of one");
		callee_says(d, "200", "one", bodies[i]);
		prack(d, nth(&d->a, "183 INVITE", 0), "answer to one");
		assert_body(nth(&d->b, "ACK", 0), "answer to one");
		cr_assert_eq(nth(&d->a, "200 INVITE", 0)->w.body.size, 0);
		d->b.gone = true;
		say(&d->a, "BYE", NULL, BYTES_NONE);
		run(d, SIM_S);
		over(d);
	}
}

/* What the caller says next is of a dialog that it has just heard of, or of one where it has said something before. */
static void caller_counts_from(struct duel *d, uint32_t cseq)
{
	d->a.ua->cseq_out = cseq;
}

/* "... in the CSeq of the request that created the dialog": the second one's first request has the number of that of
 * the first. */
Test(rfc3261_12_1_2, the_caller_counts_on_from_the_invite_in_each_early_dialog)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	struct said *first = prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	cr_assert_eq(status_of(first), 200);
	callee_says(d, "183 " RELIABLE "1", "two", "answer of two");
	caller_counts_from(d, 1);
	struct said *second = prack(d, nth(&d->a, "183 INVITE", 1), NULL);
	cr_assert_eq(second->cseq, first->cseq);
	cr_assert_eq(status_of(second), 200);
	say_again(&d->a, second);
	say_again(&d->a, first);
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(first), 200);
	cr_assert_eq(status_of(second), 200);
	callee_says(d, "200", "one", NULL);
	say_again(&d->a, first);
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(first), 200);
	struct said *old = say_numbered(&d->a, "OPTIONS", 2, NULL, BYTES_NONE);
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(old), 500);
	caller_counts_from(d, 2);
	d->b.gone = true;
	struct said *bye = say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(bye), 200);
	assert_reason(d->call, normal);
	over(d);
}

Test(rfc3261_12_1_2, a_bye_in_the_dialog_of_a_branch_that_only_answered)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	callee_says(d, "200", "two", "answer of two");
	caller_counts_from(d, 1);
	d->b.gone = true;
	struct said *bye = say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(bye->cseq, 2);
	cr_assert_eq(status_of(bye), 200);
	assert_reason(d->call, normal);
	over(d);
}

/* An UPDATE waits in the dialog of one branch, and another one answers. */
Test(rfc3311_5_2, an_update_in_a_dialog_that_is_left)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	d->b.answer_ns = 2 * SIM_S;
	callee_says(d, "183 " RELIABLE "1", "two", "answer of two");
	prack(d, nth(&d->a, "183 INVITE", 1), NULL);
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(said), 0);
	callee_says(d, "200", "one", NULL);
	cr_assert_eq(status_of(said), 500);
	say_again(&d->a, said);
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(said), 500);
	cr_assert_eq(said->last->again, 1, "with its Retry-After");
	cr_assert_eq(count(&d->b, "UPDATE"), 0);
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	over(d);
}

/* One went out to a branch that is silent, and another one answers. */
Test(rfc3311_5_2, an_update_that_a_branch_never_answers_ends_no_call_of_another)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	answers(&d->b.update, "-");
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->b, "UPDATE"), 1);
	callee_says(d, "200", "two", "answer of two");
	cr_assert_eq(status_of(said), 500);
	unsigned sent = nth(&d->b, "UPDATE", 0)->again;
	run(d, 2 * SIM_64T1);
	cr_assert_eq(nth(&d->b, "UPDATE", 0)->again, sent);
	cr_assert_eq(d->call->cdr_count, 0);
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	assert_reason(d->call, normal);
	over(d);
}

/* The caller's answer to it is of a dialog that is no more. */
Test(rfc3311_5_2, an_update_to_the_caller_in_a_dialog_that_is_left_ends_no_call)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer of one");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	answers(&d->a.update, "-");
	struct said *said = branch_says(d, "one", "UPDATE", 101, "second offer");
	cr_assert_eq(count(&d->a, "UPDATE"), 1);
	callee_says(d, "200", "two", "answer of two");
	cr_assert_eq(status_of(said), 500);
	run(d, 2 * SIM_64T1);
	cr_assert_eq(count(&d->a, "BYE"), 0);
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	assert_reason(d->call, normal);
	over(d);
}

/* More branches than are remembered: each can still win. */
Test(rfc3261_13_2_2_4, a_fork_of_many_branches)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	char tag[16], answer[200];
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 20; i++) {
			snprintf(tag, sizeof tag, "branch-%u", i);
			snprintf(answer, sizeof answer, "%u %s%u", 180 + round, i % 2 ? "X-RSeq: " : RELIABLE,
				 100 + round);
			callee_says(d, answer, tag, i % 3 ? NULL : "media");
			unsigned heard = count(&d->a, "180 INVITE") + count(&d->a, "181 INVITE");
			struct heard *last = nth(&d->a, "181 INVITE", 0)
						     ? nth(&d->a, "181 INVITE", count(&d->a, "181 INVITE") - 1)
						     : nth(&d->a, "180 INVITE", count(&d->a, "180 INVITE") - 1);
			if (heard && has(last, "\r\nRSeq: "))
				prack(d, last, NULL);
		}
	run(d, SIM_S);
	callee_says(d, "200", "branch-1", "answer");
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	callee_says(d, "200", "branch-2", "answer"); /* too late */
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), 2);
	over(d);
}

/* Each callee counts its own requests. */
Test(rfc3261_12_2_2, requests_of_the_branches_of_a_fork)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "180", "one", NULL);
	callee_says(d, "180", "two", NULL);
	cr_assert_eq(status_of(branch_says(d, "one", "INFO", 500, "x")), 480);
	cr_assert_eq(status_of(branch_says(d, "two", "INFO", 7, "x")), 480);
	cr_assert_eq(status_of(branch_says(d, "two", "UPDATE", 8, NULL)), 200);
	cr_assert_eq(status_of(branch_says(d, "one", "OPTIONS", 499, NULL)), 500);
	cr_assert_eq(status_of(branch_says(d, "one", "OPTIONS", 501, NULL)), 200);
	cr_assert_eq(status_of(branch_says(d, "one", "BYE", 502, NULL)), 481);
	cr_assert_eq(status_of(branch_says(d, "three", "OPTIONS", 1, NULL)), 481);
	caller_cancels(d);
	over(d);
}

/* ---- the next gateway ---- */

/* The first gateway has said something reliably, and failed before the PRACK. */
static struct duel *left_by_the_first(void)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_STOP_SWITCH_AFTER_SDP = off\n");
	struct duel *d = script_call_in(sim, &(struct plan){ .invite = SUPPORTS, .first = { "-" } });
	run(d, 100 * SIM_MS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	callee_says(d, "500", NULL, NULL);
	return d;
}

/* What the first gateway said reliably has its PRACK when the second one is asked already. */
Test(rfc3262_3, a_prack_that_crosses_the_switch_to_another_gateway)
{
	struct duel *d = left_by_the_first();
	struct heard *progress = nth(&d->a, "183 INVITE", 0);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	callee_says(d, "180 " RELIABLE "1", NULL, NULL);
	cr_assert_eq(count(&d->a, "180 INVITE"), 0, "it waits");
	cr_assert_eq(status_of(prack(d, progress, NULL)), 200);
	cr_assert_eq(count(&d->a, "180 INVITE"), 1);
	cr_assert_str_neq(to_tag(nth(&d->a, "180 INVITE", 0)), to_tag(progress));
	caller_counts_from(d, 1);
	cr_assert_eq(status_of(prack(d, nth(&d->a, "180 INVITE", 0), NULL)), 200);
	callee_says(d, "200", NULL, "answer of the second");
	cr_assert_str_eq(to_tag(nth(&d->a, "200 INVITE", 0)), to_tag(nth(&d->a, "180 INVITE", 0)));
	assert_body(nth(&d->a, "200 INVITE", 0), "answer of the second");
	over(d);
}

/* The count of that dialog is not kept any more; a PRACK that comes on ever new branches makes no chain all the same.
 */
Test(rfc3262_3, pracks_of_a_dialog_that_was_left_are_bounded)
{
	struct duel *d = left_by_the_first();
	struct heard *progress = nth(&d->a, "183 INVITE", 0);
	const struct table *table = &d->sim->shards[0].shard->table;
	uint32_t before = table_buried(table);
	cr_assert_eq(status_of(prack(d, progress, NULL)), 200);
	for (unsigned i = 0; i < 40; i++) {
		caller_counts_from(d, 1);
		prack(d, progress, NULL);
	}
	cr_assert_leq(table_buried(table) - before, TABLE_KEY_MAX);
	caller_counts_from(d, 1);
	callee_says(d, "200", NULL, "answer of the second");
	over(d);
}

/* RFC 4028 7.3: the INVITE that follows a 422 begins a new dialog with the callee, so its session is of a new one to
 * the caller: to what was answered reliably there is no other answer. */
Test(rfc3261_13_2_1, the_session_after_a_422_is_another_dialog_to_the_caller)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	struct heard *first = nth(&d->a, "183 INVITE", 0), *second;
	prack(d, first, NULL);
	callee_says(d, "422 Min-SE: 3600", NULL, NULL);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	callee_says(d, "183 " RELIABLE "1", NULL, "another answer");
	second = nth(&d->a, "183 INVITE", 1);
	assert_body(second, "another answer");
	cr_assert_str_neq(to_tag(second), to_tag(first));
	caller_counts_from(d, 1);
	cr_assert_eq(status_of(prack(d, second, NULL)), 200);
	callee_says(d, "200", NULL, NULL);
	cr_assert_str_eq(to_tag(nth(&d->a, "200 INVITE", 0)), to_tag(second));
	over(d);
}

/* It has requests of its own, which are counted from anew (RFC 3261 12.1.2). */
Test(rfc3261_12_2_2, the_callee_counts_anew_in_the_dialog_after_a_422)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183", "one", NULL);
	cr_assert_eq(status_of(branch_says(d, "one", "UPDATE", 50, NULL)), 200);
	callee_says(d, "422 Min-SE: 3600", "one", NULL);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	callee_says(d, "200", "two", "answer");
	cr_assert_eq(status_of(branch_says(d, "two", "BYE", 1, NULL)), 200);
	run(d, SIM_S);
	assert_reason(d->call, normal);
	over(d);
}

/* SS_GATEWAY_SWITCH_UNTIL_CONNECT: what stops switching is that the caller has heard the ringing, not that it waits
 * for the PRACK of what went before. */
Test(rfc3262_3, a_ringing_that_was_not_heard_stops_no_switching)
{
	for (unsigned heard = 0; heard < 2; heard++) {
		struct sim *sim = sim_new(.seed = SEED);
		struct duel *d = script_call_in(sim, &(struct plan){ .invite = SUPPORTS, .first = { "-" } });
		run(d, 100 * SIM_MS);
		callee_says(d, "183 " RELIABLE "1", NULL, NULL);
		callee_says(d, "180 " RELIABLE "2", NULL, NULL);
		if (heard)
			prack(d, nth(&d->a, "183 INVITE", 0), NULL);
		cr_assert_eq(count(&d->a, "180 INVITE"), heard);
		callee_says(d, "500", NULL, NULL);
		cr_assert_eq(count(&d->b, "INVITE"), heard ? 1 : 2);
		if (!heard)
			caller_cancels(d);
		over(d);
	}
}

/* ---- UPDATE before the answer ---- */

/* The offer of the INVITE has its answer, on both legs. */
static struct duel *settled(void)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	cr_assert(strstr(header(nth(&d->a, "183 INVITE", 0), "Allow"), "UPDATE"));
	return d;
}

Test(rfc3311_5_1, an_offer_of_the_caller_before_the_answer)
{
	struct duel *d = settled();
	d->b.other_sdp = "second answer";
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	assert_body(nth(&d->b, "UPDATE", 0), "second offer");
	assert_header(nth(&d->b, "UPDATE", 0), "Session-Expires", "");
	cr_assert_eq(status_of(said), 200);
	assert_body(said->last, "second answer");
	callee_says(d, "200", NULL, NULL);
	cr_assert_eq(nth(&d->a, "200 INVITE", 0)->w.body.size, 0);
	over(d);
}

/* What an UPDATE has changed is of its own early dialog: the next INVITE has the offer of the caller's INVITE. */
static struct duel *held_before_the_answer(void)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_STOP_SWITCH_AFTER_SDP = off\n");
	struct duel *d = script_call_in(sim, &(struct plan){ .invite = SUPPORTS, .first = { "-" } });
	run(d, 100 * SIM_MS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	d->b.other_sdp = "held answer";
	say(&d->a, "UPDATE", NULL, BYTES("held"));
	run(d, 10 * SIM_MS);
	assert_body(nth(&d->b, "UPDATE", 0), "held");
	return d;
}

Test(rfc3311_5_1, the_next_gateway_is_offered_what_the_invite_offered)
{
	struct duel *d = held_before_the_answer();
	callee_says(d, "500", "one", NULL);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	cr_assert(bytes_equal(nth(&d->b, "INVITE", 1)->w.body, nth(&d->b, "INVITE", 0)->w.body));
	callee_says(d, "200", NULL, "answer of the second");
	over(d);
}

Test(rfc3311_5_1, the_invite_after_a_422_offers_what_the_first_one_did)
{
	struct duel *d = held_before_the_answer();
	callee_says(d, "422 Min-SE: 3600", "one", NULL);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	cr_assert(bytes_equal(nth(&d->b, "INVITE", 1)->w.body, nth(&d->b, "INVITE", 0)->w.body));
	callee_says(d, "200", NULL, "another answer");
	over(d);
}

/* The callee that asked has the caller's answer, which is no offer. */
Test(rfc3311_5_1, the_next_gateway_is_not_offered_an_answer)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_STOP_SWITCH_AFTER_SDP = off\n");
	struct duel *d = script_call_in(sim, &(struct plan){ .invite = SUPPORTS, .first = { "-" } });
	run(d, 100 * SIM_MS);
	callee_says(d, "183 " RELIABLE "1", "one", "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	d->a.other_sdp = "answer of the caller";
	branch_says(d, "one", "UPDATE", 101, "offer of the callee");
	run(d, 10 * SIM_MS);
	assert_body(nth(&d->a, "UPDATE", 0), "offer of the callee");
	callee_says(d, "500", "one", NULL);
	cr_assert(bytes_equal(nth(&d->b, "INVITE", 1)->w.body, nth(&d->b, "INVITE", 0)->w.body));
	callee_says(d, "200", NULL, "answer of the second");
	over(d);
}

/* Another branch of the fork answers: its session is of the INVITE's offer on both legs, whatever the first one heard
 * since.  So a refresh repeats that, and the caller's hold is news. */
Test(rfc3311_5_1, the_branch_that_answers_has_the_offer_of_the_invite)
{
	struct duel *d = held_before_the_answer();
	callee_says(d, "200 Require: timer\nSession-Expires: 600;refresher=uac", "two", "answer of two");
	d->b.other_sdp = "answer of two";
	struct bytes offer = nth(&d->b, "INVITE", 0)->w.body;
	snprintf(d->b.ua->local_tag, sizeof d->b.ua->local_tag, "two");
	run(d, 310 * SIM_S);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	cr_assert(bytes_equal(nth(&d->b, "INVITE", 1)->w.body, offer));
	d->b.other_sdp = "held by two";
	struct said *hold = say(&d->a, "INVITE", NULL, BYTES("held"));
	run(d, SIM_S);
	assert_body(nth(&d->b, "INVITE", 2), "held");
	assert_body(hold->last, "held by two");
	over(d);
}

Test(rfc3311_5_1, an_offer_of_the_callee_before_the_answer)
{
	struct duel *d = settled();
	d->a.other_sdp = "second answer";
	struct said *said = say(&d->b, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	assert_body(nth(&d->a, "UPDATE", 0), "second offer");
	cr_assert_eq(status_of(said), 200);
	assert_body(said->last, "second answer");
	callee_says(d, "200", NULL, NULL);
	over(d);
}

/* What was agreed upon with it is the session of the call: a re-INVITE with the same is answered here. */
Test(rfc3311_5_1, its_session_is_that_of_the_call)
{
	struct duel *d = settled();
	d->b.other_sdp = "second answer";
	say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	callee_says(d, "200", NULL, NULL);
	struct said *same = say(&d->a, "INVITE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(same), 200);
	assert_body(same->last, "second answer");
	cr_assert_eq(count(&d->b, "INVITE"), 1);
	d->b.other_sdp = NULL;
	over(d);
}

Test(rfc3311_5_2, offers_before_the_first_has_its_answer)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	struct said *of_caller = say(&d->a, "UPDATE", NULL, BYTES("offer")),
		    *of_callee = say(&d->b, "UPDATE", NULL, BYTES("offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(of_caller), 500);
	cr_assert_str_neq(header(of_caller->last, "Retry-After"), "");
	cr_assert_eq(status_of(of_callee), 491);
	caller_cancels(d);
	over(d);
}

/* The other way about in a call without an offer in its INVITE. */
Test(rfc3311_5_2, offers_before_the_answer_in_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS, .delayed_offer = true);
	callee_says(d, "183 " RELIABLE "1", NULL, "offer");
	struct said *of_caller = say(&d->a, "UPDATE", NULL, BYTES("other")),
		    *of_callee = say(&d->b, "UPDATE", NULL, BYTES("other"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(of_caller), 491);
	cr_assert_eq(status_of(of_callee), 500);
	prack(d, nth(&d->a, "183 INVITE", 0), "answer");
	d->b.other_sdp = "second answer";
	of_caller = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(of_caller), 200);
	callee_says(d, "200", NULL, NULL);
	over(d);
}

Test(rfc3311_5_2, updates_that_cross_before_the_answer)
{
	struct duel *d = settled();
	answers(&d->a.update, "491");
	answers(&d->b.update, "491");
	struct said *of_caller = say(&d->a, "UPDATE", NULL, BYTES("offer a")),
		    *of_callee = say(&d->b, "UPDATE", NULL, BYTES("offer b"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(of_caller), 491);
	cr_assert_eq(status_of(of_callee), 491);
	caller_cancels(d);
	over(d);
}

/* One that is still open when its gateway fails, or the call ends. */
Test(rfc3311_5_2, an_update_whose_gateway_fails_gets_an_answer)
{
	struct duel *d = settled();
	answers(&d->a.update, "-");
	answers(&d->b.update, "-");
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->b, "UPDATE"), 1);
	callee_says(d, "503", NULL, NULL);
	cr_assert_eq(status_of(said), 500);
	cr_assert_eq(count(&d->a, "503 INVITE"), 1);
	over(d);
}

Test(rfc3311_5_2, an_update_of_the_callee_is_answered_when_the_caller_cancels)
{
	struct duel *d = settled();
	answers(&d->a.update, "-");
	struct said *said = say(&d->b, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->a, "UPDATE"), 1);
	caller_cancels(d);
	cr_assert_eq(status_of(said), 487);
	assert_reason(d->call, cancelled);
	over(d);
}

/* It is one dialog of many that is lost: the call goes on. */
Test(rfc3311_5_2, a_481_before_the_answer_ends_no_call)
{
	struct duel *d = settled();
	answers(&d->b.update, "481");
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(said), 500);
	callee_says(d, "200", NULL, NULL);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	over(d);
}

/* The answer comes while it is under way. */
Test(rfc3311_5_1, the_200_overtakes_the_answer_to_an_update)
{
	struct duel *d = settled();
	d->b.answer_ns = SIM_S;
	d->b.other_sdp = "second answer";
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	callee_says(d, "200", NULL, NULL);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	run(d, 2 * SIM_S);
	cr_assert_eq(status_of(said), 200);
	assert_body(said->last, "second answer");
	d->b.answer_ns = 0;
	d->b.other_sdp = NULL;
	over(d);
}

/* The dialog in which it was asked ends with the INVITE that a 422 refuses. */
Test(rfc3311_5_2, an_update_whose_invite_is_sent_anew_gets_an_answer)
{
	struct duel *d = settled();
	d->b.answer_ns = SIM_S;
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->b, "UPDATE"), 1);
	callee_says(d, "422 Min-SE: 3600", NULL, NULL);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	cr_assert_eq(status_of(said), 500);
	callee_says(d, "180", NULL, NULL);
	run(d, 2 * SIM_S);
	d->b.answer_ns = 0;
	caller_cancels(d);
	over(d);
}

/* Another branch of the fork is heard of while an UPDATE is under way: what was agreed upon is of the branch that was
 * asked, or has asked, and of no other.  The callee's re-INVITE with it says nothing new. */
static void assert_agreed(struct duel *d, const char *of_callee, const char *of_caller)
{
	callee_says(d, "200", NULL, NULL);
	struct said *same = say(&d->b, "INVITE", NULL, bytes_of(of_callee));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(same), 200);
	assert_body(same->last, of_caller);
	cr_assert_eq(count(&d->a, "INVITE"), 0);
	d->a.other_sdp = d->b.other_sdp = NULL;
	over(d);
}

Test(rfc3311_5_1, the_answer_to_an_update_is_of_the_branch_that_was_asked)
{
	struct duel *d = settled();
	d->b.answer_ns = SIM_S;
	d->b.other_sdp = "second answer";
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	callee_says(d, "180", "two", NULL);
	run(d, 2 * SIM_S);
	cr_assert_eq(status_of(said), 200);
	d->b.answer_ns = 0;
	assert_agreed(d, "second answer", "second offer");
}

Test(rfc3311_5_1, the_answer_to_an_update_is_of_the_branch_that_has_asked)
{
	struct duel *d = settled();
	d->a.answer_ns = SIM_S;
	d->a.other_sdp = "second answer";
	struct said *said = say(&d->b, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	callee_says(d, "180", "two", NULL);
	run(d, 2 * SIM_S);
	cr_assert_eq(status_of(said), 200);
	d->a.answer_ns = 0;
	assert_agreed(d, "second offer", "second answer");
}

/* Nor does its answer say anything of the timers that were agreed upon with that 200. */
Test(rfc4028_9, an_update_from_before_the_answer_leaves_the_session_timers)
{
	static const char timed[] = "200 Require: timer\nSession-Expires: 600;refresher=uac";
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_ringing(.invite = SUPPORTS "Supported: timer\nSession-Expires: 600\n");
		callee_says(d, "183 " RELIABLE "1", NULL, "answer");
		prack(d, nth(&d->a, "183 INVITE", 0), NULL);
		struct party *asker = i ? &d->b : &d->a, *other = i ? &d->a : &d->b;
		answers(&other->update, timed);
		other->answer_ns = SIM_S;
		struct said *said = say(asker, "UPDATE", NULL, BYTES("second offer"));
		run(d, 10 * SIM_MS);
		callee_says(d, timed, NULL, NULL);
		cr_assert_eq(status_of(said), 0);
		run(d, 2 * SIM_S);
		cr_assert_eq(status_of(said), 200);
		other->answer_ns = 0;
		hang_up(d);
		cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A | CDR_TIMER_B, "timers %u of the %s",
			     cdr_of(d->call)->session_timer, i ? "callee's" : "caller's");
		over(d);
	}
}

/* One that had to wait, and went out only then. */
Test(rfc4028_9, an_update_held_from_before_the_answer_leaves_the_session_timers)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS "Supported: timer\nSession-Expires: 600\n");
	d->b.answer_ns = SIM_S;
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->b, "UPDATE"), 0);
	answers(&d->b.update, "200 Require: timer\nSession-Expires: 600;refresher=uac");
	callee_says(d, "200 Require: timer\nSession-Expires: 600;refresher=uac", NULL, NULL);
	run(d, 3 * SIM_S);
	cr_assert_eq(count(&d->b, "UPDATE"), 1);
	cr_assert_eq(status_of(said), 200);
	d->b.answer_ns = 0;
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A | CDR_TIMER_B);
	over(d);
}

/* It may not overtake our PRACK, which the callee would then refuse as out of order (RFC 3261 12.2.2). */
Test(rfc3311_5_1, an_update_waits_for_the_answer_to_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	d->b.answer_ns = SIM_S;
	d->b.other_sdp = "second answer";
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	struct said *said = say(&d->a, "UPDATE", NULL, BYTES("second offer"));
	run(d, 500 * SIM_MS);
	cr_assert_eq(count(&d->b, "UPDATE"), 0);
	run(d, 600 * SIM_MS);
	cr_assert_eq(count(&d->b, "UPDATE"), 1);
	run(d, SIM_S);
	cr_assert_eq(status_of(said), 200);
	assert_body(said->last, "second answer");
	d->b.answer_ns = 0;
	d->b.other_sdp = NULL;
	callee_says(d, "200", NULL, NULL);
	over(d);
}

/* So does an offer in the caller's PRACK; and if the gateway fails first, it is told to try again. */
Test(rfc3262_5, an_offer_in_the_prack_waits_for_the_answer_to_ours)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	d->b.answer_ns = 20 * SIM_S;
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	struct said *said = prack(d, nth(&d->a, "183 INVITE", 0), "second offer");
	run(d, SIM_S);
	cr_assert_eq(status_of(said), 0);
	cr_assert_eq(count(&d->b, "UPDATE"), 0);
	callee_says(d, "503", NULL, NULL);
	run(d, SIM_S);
	cr_assert_eq(count(&d->a, "503 INVITE"), 1);
	cr_assert_neq(status_of(said), 0);
	run(d, SIM_64T1);
	over(d);
}

/* The callee has answered, the caller has yet to hear of it. */
Test(rfc3262_3, requests_of_the_callee_while_the_200_waits_for_the_prack)
{
	struct duel *d = duel_ringing(.invite = SUPPORTS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	callee_says(d, "200", NULL, "answer");
	struct said *info = say(&d->b, "INFO", NULL, BYTES("x")), *offer = say(&d->b, "INVITE", NULL, BYTES("offer"));
	struct said *update = say(&d->b, "UPDATE", NULL, BYTES_NONE);
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(info), 480);
	cr_assert_eq(status_of(offer), 500);
	cr_assert_eq(status_of(update), 200);
	cr_assert_eq(count(&d->a, "INFO") + count(&d->a, "INVITE"), 0);
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	info = say(&d->b, "INFO", NULL, BYTES("x"));
	run(d, 10 * SIM_MS);
	cr_assert_eq(status_of(info), 200);
	over(d);
}
