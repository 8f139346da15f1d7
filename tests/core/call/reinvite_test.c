/* Relayed offers that have no answer yet: a re-INVITE for whose answer somebody thinks (Timer C, RFC 3261 16.6 point
 * 11, 16.7 point 2, 16.8), and the next try after a 422 (RFC 4028 7.3). */
#include "script.h"

#define NO_CAP  "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n"
#define TIMER_C (181 * SIM_S)
/* A callee whose intervals are negotiated. */
#define TIMED "200 Require: timer\nSession-Expires: 600;refresher=uac"

/* ---- Timer C ---- */

/* The caller's re-INVITE has reached the callee, which says what the test says. */
struct asked {
	struct duel *d;
	const struct said *said;
	struct heard *heard;
};

static struct asked ask(void)
{
	struct asked asked = { .d = duel_up(.parameters = NO_CAP) };
	struct duel *d = asked.d;
	answers(&d->b.invite, "-");
	asked.said = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	asked.heard = nth(&d->b, "INVITE", 1);
	cr_assert(asked.heard);
	return asked;
}

/* Sent now; when it reaches the node. */
static uint64_t ring(const struct asked *asked, const char *answer)
{
	say_answer(&asked->d->b, asked->heard, answer);
	return asked->heard->replied_ns;
}

static void assert_up(const struct duel *d)
{
	cr_assert_eq(d->call->cdr_count, 0);
	cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 0);
}

/* 16.7 point 2: each provisional response sets Timer C anew. */
Test(rfc3261_16_7, a_reinvite_that_rings_on_is_waited_for)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	for (unsigned i = 0; i < 6; i++) {
		ring(&asked, i % 2 ? "183" : "180");
		run(d, 100 * SIM_S);
		cr_assert_lt(status_of(asked.said), 200);
	}
	cr_assert_eq(count(&d->b, "CANCEL"), 0);
	ring(&asked, "200");
	run(d, SIM_S);
	cr_assert_eq(status_of(asked.said), 200);
	assert_up(d);
	over(d);
}

/* The call has ended meanwhile: a peer that rings on keeps nothing of it. */
Test(rfc3261_16_7, a_reinvite_of_a_call_that_is_over_is_not_waited_for)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	ring(&asked, "180");
	run(d, SIM_S);
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	for (unsigned i = 0; i < 10; i++) {
		ring(&asked, "183");
		run(d, 20 * SIM_S);
	}
	cr_assert_eq(node_stat(d->sim, pool_leg_used), 0);
	cr_assert_eq(node_stat(d->sim, pool_transaction_used), 0);
	over(d);
}

/* 16.8: it fires, and the request is cancelled; what comes of that is the asker's answer, and the call goes on. */
Test(rfc3261_16_8, a_reinvite_without_news_is_cancelled)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	ring(&asked, "180");
	run(d, 100 * SIM_S);
	uint64_t last_ns = ring(&asked, "180");
	run(d, TIMER_C + SIM_S);
	cr_assert_eq(count(&d->b, "CANCEL"), 1);
	assert_after(nth(&d->b, "CANCEL", 0)->at_ns, last_ns, TIMER_C);
	cr_assert_lt(status_of(asked.said), 200);
	ring(&asked, "487");
	run(d, SIM_S);
	cr_assert_eq(status_of(asked.said), 487);
	run(d, 300 * SIM_S);
	assert_up(d);
	over(d);
}

/* 16.7 point 2: not by a 100. */
Test(rfc3261_16_7, a_100_does_not_set_timer_c_anew)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	uint64_t first_ns = ring(&asked, "100");
	run(d, 100 * SIM_S);
	ring(&asked, "100");
	run(d, 100 * SIM_S);
	cr_assert_eq(count(&d->b, "CANCEL"), 1);
	assert_after(nth(&d->b, "CANCEL", 0)->at_ns, first_ns, TIMER_C);
	ring(&asked, "487");
	run(d, SIM_S);
	assert_up(d);
	over(d);
}

/* 13.2.2.4: the 2xx was faster than our CANCEL, and stands. */
Test(rfc3261_9_1, a_2xx_that_crosses_the_cancel_is_passed_on)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	ring(&asked, "180");
	run(d, TIMER_C + SIM_S);
	cr_assert_eq(count(&d->b, "CANCEL"), 1);
	ring(&asked, "200");
	run(d, SIM_S);
	cr_assert_eq(status_of(asked.said), 200);
	cr_assert_eq(count(&d->b, "ACK"), 2);
	assert_up(d);
	over(d);
}

/* 16.8, 9.1: nothing comes of the CANCEL for 64*T1, as if a 408 had: that is a dialog that is no more (12.2.1.2). */
Test(rfc3261_16_8, silence_after_the_cancel_is_a_408)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	answers(&d->b.other, "-");
	uint64_t last_ns = ring(&asked, "180");
	run(d, TIMER_C + SIM_64T1 - SIM_S);
	cr_assert_lt(status_of(asked.said), 200);
	assert_up(d);
	run(d, 2 * SIM_S);
	cr_assert_eq(status_of(asked.said), 408);
	assert_after(asked.said->last->at_ns, last_ns, TIMER_C + SIM_64T1);
	assert_reason(d->call, dialog_lost);
	cr_assert_eq(count(&d->a, "BYE"), 1);
	over(d);
}

/* 9.1: one that its asker has cancelled gains no time by ringing on, and its end is not the call's. */
Test(rfc3261_9_1, a_cancelled_reinvite_that_rings_on_has_64t1)
{
	struct asked asked = ask();
	struct duel *d = asked.d;
	ring(&asked, "180");
	run(d, SIM_S);
	say_cancel(&d->a, asked.said);
	run(d, SIM_S);
	uint64_t cancelled_ns = nth(&d->b, "CANCEL", 0)->at_ns;
	for (unsigned i = 0; i < 4; i++) {
		ring(&asked, "180");
		run(d, 8 * SIM_S);
	}
	cr_assert_eq(status_of(asked.said), 487);
	assert_after(asked.said->last->at_ns, cancelled_ns, SIM_64T1);
	run(d, 300 * SIM_S);
	cr_assert_eq(count(&d->b, "CANCEL"), 1);
	assert_up(d);
	over(d);
}

/* ---- 422 ---- */

#define WHY "SIP;cause=200;text=\"hold\""

/* Both tries of a request, that bring the same: all that is passed on, and as many hops. */
static void assert_same(const struct heard *first, const struct heard *second)
{
	cr_assert(first && second);
	cr_assert_eq(second->at_ns, first->replied_ns);
	cr_assert(bytes_equal(first->w.body, second->w.body));
	assert_header(first, "Reason", WHY);
	assert_header(second, "Reason", WHY);
	assert_header(first, "Max-Forwards", "19");
	assert_header(second, "Max-Forwards", "19");
	assert_header(second, "Min-SE", "700");
}

/* 422 to the try with that number, counted from the call's beginning; the next one is the same request. */
static void refuse_once(struct duel *d, struct manner *manner, const char *method, unsigned first)
{
	answers(manner, "422 Min-SE: 700", "200 Require: timer\nSession-Expires: 700;refresher=uac");
	d->a.max_forwards = 20;
	const struct said *said = say(&d->a, method, "Reason: " WHY "\n", new_sdp(&d->a));
	run(d, 2 * SIM_S);
	assert_same(nth(&d->b, method, first), nth(&d->b, method, first + 1));
	cr_assert_eq(status_of(said), 200);
	over(d);
}

Test(rfc4028_7_3, a_relayed_invite_after_422_is_the_same_request)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = TIMED);
	refuse_once(d, &d->b.invite, "INVITE", 1);
}

Test(rfc4028_7_3, a_relayed_update_after_422_is_the_same_request)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = TIMED);
	refuse_once(d, &d->b.update, "UPDATE", 0);
}

/* RFC 4320 4.2: the asker's Timer F runs on through all tries; it hears before that. */
Test(rfc4320_4_2, an_update_after_422_has_the_time_of_the_first)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = TIMED);
	answers(&d->b.update, "422 Min-SE: 700", "422 Min-SE: 800", "-");
	d->b.answer_ns = 5 * SIM_S;
	const struct said *update = say(&d->a, "UPDATE", NULL, new_sdp(&d->a));
	run(d, 31 * SIM_S);
	cr_assert_eq(count(&d->b, "UPDATE"), 3);
	cr_assert_eq(status_of(update), 500);
	assert_after(update->last->at_ns, update->at_ns, 30 * SIM_S);
	over(d);
}
