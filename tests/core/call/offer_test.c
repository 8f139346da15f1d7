/* One offer at a time on a leg, and requests that wait until the other leg is free.  RFC 3261 14.1, 14.2; RFC 3311 5.1,
 * 5.2; core/call/offer.h. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

#include "core/call/state.h"

#define NO_CAP "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n"
/* A callee that we refresh with INVITEs; the caller has no timer. */
#define BY_INVITE "200 Require: timer\nSession-Expires: 200;refresher=uac"
#define A_MOMENT  (5 * SIM_MS)

static void until_refresh(struct duel *d, const struct party *party)
{
	for (uint64_t end_ns = d->sim->now_ns + 3600 * SIM_S; !refresh(party, 0) && sim_step(d->sim, end_ns);)
		;
	cr_assert(refresh(party, 0));
}

/* The callee has our refresh, and answers it after a while. */
static struct duel *refreshing(const char *ok, uint64_t answer_ns)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = ok);
	d->b.answer_ns = answer_ns;
	until_refresh(d, &d->b);
	run(d, A_MOMENT);
	return d;
}

static const struct heard *only_relayed(const struct party *party, const char *method, struct bytes body)
{
	const struct heard *found = NULL;
	for (const struct heard *h = party->heard; h; h = h->next) {
		if (strcmp(h->name, method) != 0 || !bytes_equal(h->w.body, body))
			continue;
		cr_assert_null(found, "%s passed on twice", method);
		found = h;
	}
	return found;
}

/* 14.1: it goes out in the moment in which our refresh has its answer and ACK. */
Test(rfc3261_14_1, an_invite_waits_for_a_refresh_on_the_other_leg)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", "Reason: SIP;cause=200;text=\"hold\"\n", offer);
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 100);
	cr_assert_null(only_relayed(&d->b, "INVITE", offer));
	run(d, 3 * SIM_S);
	const struct heard *relayed = only_relayed(&d->b, "INVITE", offer);
	cr_assert(relayed);
	cr_assert_eq(relayed->at_ns, refresh(&d->b, 0)->replied_ns);
	assert_header(relayed, "Reason", "SIP;cause=200;text=\"hold\"");
	assert_header(relayed, "Max-Forwards", "69");
	cr_assert_eq(nth(&d->b, "ACK", 1)->at_ns, relayed->at_ns);
	run(d, 3 * SIM_S);
	cr_assert_eq(status_of(invite), 200);
	cr_assert(bytes_equal(invite->last->w.body, sdp(&d->b)));
	over(d);
}

/* RFC 3311 5.1: the same with an UPDATE. */
Test(rfc3311_5_1, an_update_with_an_offer_waits_for_a_refresh_on_the_other_leg)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *update = say(&d->a, "UPDATE", NULL, offer);
	run(d, 2 * SIM_S);
	cr_assert_null(update->last);
	cr_assert_null(only_relayed(&d->b, "UPDATE", offer));
	run(d, 5 * SIM_S);
	cr_assert_eq(only_relayed(&d->b, "UPDATE", offer)->at_ns, refresh(&d->b, 0)->replied_ns);
	cr_assert_eq(status_of(update), 200);
	over(d);
}

/* But not so long that its sender would give it up: 8*T1, then 500 with Retry-After. */
Test(rfc3311_5_2, an_update_waits_for_four_seconds_at_most)
{
	struct duel *d = refreshing(BY_INVITE, 20 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *update = say(&d->a, "UPDATE", NULL, offer);
	run(d, 5 * SIM_S);
	cr_assert_eq(status_of(update), 500);
	assert_after(update->last->at_ns, update->at_ns, 4 * SIM_S);
	cr_assert_leq(strtoul(header(update->last, "Retry-After"), NULL, 10), 10);
	cr_assert_neq(*header(update->last, "Retry-After"), '\0');
	run(d, 20 * SIM_S);
	cr_assert_null(only_relayed(&d->b, "UPDATE", offer));
	over(d);
}

/* The time that an UPDATE has waited counts: a silent peer is told of after 60*T1 of it all. */
Test(rfc4320_4_2, the_sender_of_an_update_that_waited_hears_before_its_timer_f)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	answers(&d->b.update, "-");
	const struct said *update = say(&d->a, "UPDATE", NULL, new_sdp(&d->a));
	run(d, 31 * SIM_S);
	cr_assert_eq(status_of(update), 500);
	assert_after(update->last->at_ns, update->at_ns, 30 * SIM_S);
	over(d);
}

/* The refresh fails, or has no answer: what waits goes out then. */
Test(rfc3261_14_1, an_invite_that_waits_goes_out_when_the_refresh_failed)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = BY_INVITE);
	answers(&d->b.invite, "503", "200");
	d->b.answer_ns = SIM_S;
	until_refresh(d, &d->b);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	run(d, 3 * SIM_S);
	cr_assert_eq(only_relayed(&d->b, "INVITE", offer)->at_ns, refresh(&d->b, 0)->replied_ns);
	cr_assert_eq(status_of(invite), 200);
	over(d);
}

Test(rfc3261_14_1, an_invite_that_waits_goes_out_when_the_refresh_had_no_answer)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = BY_INVITE);
	answers(&d->b.invite, "-", "200");
	until_refresh(d, &d->b);
	run(d, 10 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	run(d, 30 * SIM_S);
	assert_after(only_relayed(&d->b, "INVITE", offer)->at_ns, refresh(&d->b, 0)->at_ns, SIM_64T1);
	cr_assert_eq(status_of(invite), 200);
	over(d);
}

/* 481 to the refresh: the call ends, and with it what waits. */
Test(rfc3261_12_2_1_2, an_invite_that_waits_ends_with_the_call)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = BY_INVITE);
	answers(&d->b.invite, "481");
	d->b.answer_ns = SIM_S;
	until_refresh(d, &d->b);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	run(d, 3 * SIM_S);
	cr_assert_eq(status_of(invite), 487);
	cr_assert_null(only_relayed(&d->b, "INVITE", offer));
	cr_assert_eq(cdr_of(d->call)->end_reason, CDR_END_dialog_lost);
	over(d);
}

/* Refresh after refresh is replaced and none is answered: 64*T1, then 491. */
Test(rfc3261_14_1, an_invite_waits_for_64_t1_at_most)
{
	struct duel *d = duel_up(.parameters = NO_CAP "RW_SIP_MIN_SE = 1\nSS_SIP_SESSION_UPDATE_SEGMENT = 10",
				 .ok = "200 Require: timer\nSession-Expires: 60;refresher=uac");
	answers(&d->b.invite, "-");
	until_refresh(d, &d->b);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	run(d, 33 * SIM_S);
	cr_assert_eq(status_of(invite), 491);
	assert_after(invite->last->at_ns, invite->at_ns, SIM_64T1);
	cr_assert_null(only_relayed(&d->b, "INVITE", offer));
	over(d);
}

/* No room for its body: 503, and what else was to be kept is not (the checks at the end count the texts). */
Test(rfc3261_14_1, a_request_that_cannot_be_kept_leaves_nothing)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct shard *s = d->sim->shards[0].shard;
	uint32_t bodies_max = s->bodies_max;
	s->bodies_max = s->bodies_used;
	const struct said *invite = say(&d->a, "INVITE", "Reason: SIP;cause=200;text=\"hold\"\n", new_sdp(&d->a));
	run(d, A_MOMENT);
	cr_assert_eq(status_of(invite), 503);
	s->bodies_max = bodies_max;
	run(d, 5 * SIM_S);
	over(d);
}

/* 17.2.1: the 100 again, and nothing else. */
Test(rfc3261_17_2_1, a_request_that_waits_is_repeated)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	for (unsigned i = 0; i < 3; i++) {
		run(d, 500 * SIM_MS);
		say_again(&d->a, invite);
	}
	run(d, A_MOMENT);
	cr_assert_eq(nth(&d->a, "100 INVITE", 1)->again, 3, "the first 100 is that of the set-up");
	run(d, 10 * SIM_S);
	cr_assert(only_relayed(&d->b, "INVITE", offer));
	cr_assert_eq(status_of(invite), 200);
	over(d);
}

/* 9.2: 487 at once; the next one goes its way. */
Test(rfc3261_9_2, a_request_that_waits_is_cancelled)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	run(d, SIM_S);
	const struct said *cancel = say_cancel(&d->a, invite);
	run(d, A_MOMENT);
	cr_assert_eq(status_of(cancel), 200);
	cr_assert_eq(status_of(invite), 487);
	run(d, 5 * SIM_S);
	cr_assert_null(only_relayed(&d->b, "INVITE", offer));
	struct bytes next = new_sdp(&d->a);
	const struct said *again = say(&d->a, "INVITE", NULL, next);
	run(d, 5 * SIM_S);
	cr_assert(only_relayed(&d->b, "INVITE", next));
	cr_assert_eq(status_of(again), 200);
	over(d);
}

/* 15.1.2: a BYE of either side while a request waits. */
Test(rfc3261_15_1_2, a_bye_ends_what_waits)
{
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
		struct bytes offer = new_sdp(&d->a);
		const struct said *request = say(&d->a, i ? "UPDATE" : "INVITE", NULL, offer);
		run(d, SIM_S);
		const struct said *bye = say(i ? &d->b : &d->a, "BYE", NULL, BYTES_NONE);
		run(d, SIM_S);
		cr_assert_eq(status_of(bye), 200);
		cr_assert_eq(status_of(request), 487);
		run(d, 10 * SIM_S);
		cr_assert_null(only_relayed(&d->b, "INVITE", offer));
		cr_assert_null(only_relayed(&d->b, "UPDATE", offer));
		cr_assert_eq(cdr_of(d->call)->end_reason, CDR_END_normal);
		over(d);
	}
}

/* Of the two that meet, the peer whose leg is busy with our refresh hears 491; the other one waits. */
Test(rfc3261_14_2, an_offer_from_the_leg_that_is_waited_for_gets_491)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	const struct said *ours = say(&d->a, "INVITE", NULL, offer);
	const struct said *theirs = say(&d->b, "INVITE", NULL, new_sdp(&d->b));
	const struct said *second = say(&d->a, "UPDATE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(theirs), 491);
	cr_assert_eq(status_of(second), 500, "RFC 3311 5.2: the INVITE before it is not answered");
	run(d, 10 * SIM_S);
	cr_assert_eq(status_of(ours), 200);
	over(d);
}

/* An UPDATE without body is no offer: nothing waits for it. */
Test(rfc3311_5_1, an_invite_does_not_wait_for_an_update_without_body)
{
	struct duel *d = refreshing(CALLEE_TIMED("Session-Expires: 200;refresher=uac"), 3 * SIM_S);
	struct bytes offer = new_sdp(&d->a);
	cr_assert_str_eq(refresh(&d->b, 0)->name, "UPDATE");
	const struct said *invite = say(&d->a, "INVITE", NULL, offer);
	run(d, SIM_S);
	cr_assert_eq(only_relayed(&d->b, "INVITE", offer)->at_ns, invite->at_ns);
	run(d, 10 * SIM_S);
	cr_assert_eq(status_of(invite), 200);
	over(d);
}

/* 14.1: an INVITE of the peer whose 2xx, or failure response, has no ACK yet is in the way too. */
Test(rfc3261_14_1, an_invite_waits_for_an_ack_on_the_other_leg)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .ack_delay_ns = 5 * SIM_S,
					     .steps = { { STEP_REINVITE, true, SIM_S }, HANGS_UP(20) });
	sim_run(sim, 40 * SIM_S);
	uint64_t asked_ns = sim_seen_ns(call, IN_B, "INVITE", 0), acked_ns = sim_seen_ns(call, IN_A, "ACK", 0);
	cr_assert_lt(asked_ns + 3 * SIM_S, acked_ns);
	cr_assert_eq(sim_seen_ns(call, OUT_A, "INVITE", 0), acked_ns);
	cr_assert_eq(sim_seen(call, OUT_B, "200 INVITE"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* ---- what a refresh of one side brought, told to the other (spec 4) ---- */

Test(rfc3261_14_1, a_new_session_is_told_again_after_491)
{
	for (unsigned by = 0; by < 8; by++) {
		struct duel *d = duel_up(.parameters = NO_CAP, .ok = BY_INVITE, .seed = by + 1);
		answers(&d->a.invite, "491", "200");
		d->b.ua->session++;
		until_refresh(d, &d->b);
		run(d, 3 * SIM_S);
		cr_assert_eq(refreshes(&d->a), 2);
		uint64_t waited_ns = refresh(&d->a, 1)->at_ns - refresh(&d->a, 0)->replied_ns;
		cr_assert_leq(waited_ns, 2 * SIM_S + SIM_MS, "the caller made that Call-ID");
		cr_assert(bytes_equal(refresh(&d->a, 1)->w.body, sdp(&d->b)));
		run(d, 10 * SIM_S);
		cr_assert_eq(refreshes(&d->a), 2);
		over(d);
	}
}

/* All transactions are taken, but for those that end calls: the other side is told when there is one. */
Test(limits, a_new_session_is_told_when_there_is_a_transaction_for_it)
{
	struct duel *d = refreshing(BY_INVITE, 3 * SIM_S);
	struct shard *s = d->sim->shards[0].shard;
	uint32_t reserve = s->transaction_reserve;
	d->b.ua->session++;
	s->transaction_reserve = s->transactions.size;
	run(d, 5 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 1);
	cr_assert_eq(refreshes(&d->a), 0);
	s->transaction_reserve = reserve;
	run(d, SIM_S);
	cr_assert(only_relayed(&d->a, "INVITE", sdp(&d->b)));
	over(d);
}

Test(rfc4028_7_3, a_new_session_is_told_again_with_a_larger_interval)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = BY_INVITE,
				 .invite = "Supported: timer\nSession-Expires: 600;refresher=uac\n");
	answers(&d->a.invite, "422 Min-SE: 700", "200");
	d->b.ua->session++;
	until_refresh(d, &d->b);
	run(d, SIM_S);
	cr_assert_eq(refreshes(&d->a), 2);
	cr_assert_eq(refresh(&d->a, 1)->at_ns, refresh(&d->a, 0)->replied_ns);
	assert_header(refresh(&d->a, 1), "Min-SE", "700");
	over(d);
}

/* The caller's leg has a refresh of its own under way when the callee's brings a new session: told when that is over.
 */
Test(rfc3261_14_1, a_new_session_waits_for_a_refresh_of_the_other_leg)
{
	unsigned met = 0;
	for (unsigned seed = 1; seed < 9; seed++) {
		struct duel *d = duel_up(.parameters = NO_CAP, .ok = BY_INVITE, .seed = seed,
					 .invite = "Supported: timer\nSession-Expires: 200;refresher=uas\n");
		d->b.ua->session++;
		d->a.answer_ns = 15 * SIM_S;
		until_refresh(d, &d->b);
		uint64_t told_from_ns = d->sim->now_ns;
		bool waits = refresh(&d->a, 0) != NULL;
		run(d, 40 * SIM_S);
		const struct heard *told = only_relayed(&d->a, "INVITE", sdp(&d->b));
		cr_assert(told && told->at_ns >= told_from_ns);
		if (waits)
			cr_assert_eq(told->at_ns, refresh(&d->a, 0)->replied_ns);
		met += waits;
		over(d);
	}
	cr_assert_gt(met, 0);
}
