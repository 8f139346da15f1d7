/* Refreshing a leg: when, with what, and what each answer does.  RFC 4028 7.4, 10; RFC 3261 14.1; spec 5 "When
 * Ringwheel refreshes". */
#include "script.h"

#include <string.h>

/* A callee with a timer, which we refresh; the caller has none and no cap. */
#define CALLEE(interval) .ok = CALLEE_TIMED("Session-Expires: " interval ";refresher=uac")
#define NO_CAP           "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n"
#define SHORT            NO_CAP "RW_SIP_MIN_SE = 1\n"

static void until_refresh(struct duel *d, const struct party *party, unsigned n)
{
	for (uint64_t end_ns = d->sim->now_ns + 3600 * SIM_S; !refresh(party, n) && sim_step(d->sim, end_ns);)
		;
	cr_assert(refresh(party, n), "refresh %u was not sent", n);
}

/* ---- when ---- */

/* N - 1 refreshes in a window, each in the last tenth of its segment; as nobody answers, each replaces the one before.
 */
Test(SS_SIP_SESSION_UPDATE_SEGMENT, refreshes_are_due_at_the_end_of_each_segment_but_the_last)
{
	for (unsigned segments = 2; segments <= 10; segments++) {
		char parameters[128];
		snprintf(parameters, sizeof parameters, SHORT "SS_SIP_SESSION_UPDATE_SEGMENT = %u", segments);
		struct duel *d = duel_up(.parameters = parameters, CALLEE("60"));
		d->b.gone = true;
		run_until(d, d->up_ns + 60 * SIM_S - 1);
		for (unsigned k = 1; k < segments; k++)
			assert_segment(refresh(&d->b, k - 1), d->up_ns, 60, segments, k);
		cr_assert_eq(refreshes(&d->b), segments - 1);
		assert_expires(d, d->up_ns + 60 * SIM_S);
		cr_assert_eq(cdr_of(d->call)->refreshes_sent, segments - 1);
		cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 0);
		over(d);
	}
}

/* Both legs by themselves, window after window from the arrival of each 2xx. */
Test(rfc4028_10, a_2xx_begins_the_window_anew_from_its_arrival)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300"), CALLEE("600"));
	uint64_t a_ns = d->up_ns, b_ns = d->up_ns;
	answers(&d->a.update, "200 Session-Expires: 300;refresher=uac");
	answers(&d->b.update, TIMED_200);
	d->a.answer_ns = 3 * SIM_S;
	run_until(d, d->up_ns + 3300 * SIM_S);
	for (unsigned i = 0; i < 20; i++) {
		assert_segment(refresh(&d->a, i), a_ns, 300, 2, 1);
		a_ns = refresh(&d->a, i)->replied_ns;
	}
	for (unsigned i = 0; i < 10; i++) {
		assert_segment(refresh(&d->b, i), b_ns, 600, 2, 1);
		b_ns = refresh(&d->b, i)->replied_ns;
	}
	unsigned sent = refreshes(&d->a) + refreshes(&d->b);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->refreshes_sent, sent);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, sent);
	over(d);
}

/* "also one without Session-Expires": A10. */
Test(rfc4028_7_2, A10_a_bare_2xx_confirms_and_the_timer_goes_on)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("200"));
	answers(&d->b.update, "200");
	uint64_t confirmed_ns = d->up_ns;
	run_until(d, d->up_ns + 1000 * SIM_S);
	for (unsigned i = 0; i < 9; i++) {
		assert_segment(refresh(&d->b, i), confirmed_ns, 200, 2, 1);
		confirmed_ns = refresh(&d->b, i)->replied_ns;
	}
	d->b.gone = true;
	unsigned n = refreshes(&d->b);
	confirmed_ns = refresh(&d->b, n - 1)->replied_ns;
	assert_expires(d, confirmed_ns + 200 * SIM_S);
	assert_last_confirmed(d, confirmed_ns);
	over(d);
}

/* "drawn per leg and window, so that calls set up together do not come as one burst" (known bug 22: never outside). */
Test(spec_5, due_points_are_spread_over_the_last_tenth)
{
	struct plan plan = { .invite = CALLER_TIMED("Session-Expires: 600"), CALLEE("600") };
	struct duel *all[200];
	unsigned slices[10] = { 0 }, same = 0;
	all[0] = script_call(&plan);
	for (unsigned i = 1; i < 200; i++)
		all[i] = script_call_in(all[0]->sim, &plan);
	run(all[0], 310 * SIM_S);
	for (unsigned i = 0; i < 200; i++) {
		const struct heard *a = refresh(&all[i]->a, 0), *b = refresh(&all[i]->b, 0);
		assert_segment(a, all[i]->up_ns, 600, 2, 1);
		assert_segment(b, all[i]->up_ns, 600, 2, 1);
		slices[(a->at_ns - all[i]->up_ns - 270 * SIM_S) / (3 * SIM_S + SIM_MS)]++;
		same += a->at_ns == b->at_ns;
	}
	for (unsigned i = 0; i < 10; i++)
		cr_assert(slices[i] >= 5 && slices[i] <= 45, "%u of 200 in slice %u", slices[i], i);
	cr_assert_lt(same, 3);
	run(all[0], 300 * SIM_S);
	unsigned alike = 0;
	for (unsigned i = 0; i < 200; i++) {
		const struct heard *first = refresh(&all[i]->a, 0), *second = refresh(&all[i]->a, 1);
		cr_assert(second);
		alike += second->at_ns - first->replied_ns == first->at_ns - all[i]->up_ns;
	}
	cr_assert_lt(alike, 3);
	for (unsigned i = 1; i < 200; i++)
		say(&all[i]->a, "BYE", NULL, BYTES_NONE);
	over(all[0]);
}

/* ---- with what ---- */

static void check_update(const struct heard *heard, const char *session)
{
	cr_assert(wire_is(heard->w.method, "UPDATE"));
	cr_assert_eq(heard->w.body.size, 0);
	assert_header(heard, "Content-Type", "");
	assert_header(heard, "Supported", "timer");
	assert_header(heard, "Session-Expires", session);
	assert_header(heard, "Min-SE", "90");
}

/* known bug 15. */
Test(rfc4028_7_4, bug_15_a_peer_with_update_gets_one_without_body)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300"), CALLEE("400"));
	run_until(d, d->up_ns + 201 * SIM_S);
	check_update(refresh(&d->a, 0), "300;refresher=uac");
	check_update(refresh(&d->b, 0), "400;refresher=uac");
	over(d);
}

/* known bug 6: no Allow, or one without UPDATE: re-INVITE with the session as it is, o= line and all, and an ACK. */
Test(rfc4028_7_4, bug_6_a_peer_without_update_gets_a_reinvite_with_its_last_session)
{
	struct duel *d = duel_up(.invite = "Supported: timer\nSession-Expires: 300\nAllow: INVITE, ACK, CANCEL, BYE",
				 .ok = "200 Require: timer\nSession-Expires: 400;refresher=uac");
	const struct heard *answer = nth(&d->a, "200 INVITE", 0), *offer = nth(&d->b, "INVITE", 0);
	answers(&d->a.invite, "200 Session-Expires: 300;refresher=uac");
	answers(&d->b.invite, "200 Session-Expires: 400;refresher=uac");
	run_until(d, d->up_ns + 3000 * SIM_S);
	cr_assert_eq(count(&d->a, "UPDATE") + count(&d->b, "UPDATE"), 0);
	cr_assert_geq(refreshes(&d->a), 20);
	for (unsigned i = 0; i < 20; i++)
		cr_assert(bytes_equal(refresh(&d->a, i)->w.body, answer->w.body), "refresh %u of the caller", i);
	cr_assert_geq(refreshes(&d->b), 15);
	for (unsigned i = 0; i < 15; i++)
		cr_assert(bytes_equal(refresh(&d->b, i)->w.body, offer->w.body), "refresh %u of the callee", i);
	assert_header(refresh(&d->b, 14), "Session-Expires", "400;refresher=uac");
	cr_assert_eq(count(&d->a, "ACK"), refreshes(&d->a));
	cr_assert_eq(count(&d->b, "ACK"), 1 + refreshes(&d->b));
	over(d);
}

/* known bug 21: after hold and resume the refresh has what was said last, in that version. */
Test(rfc4028_7_4, bug_21_a_refresh_after_a_changed_session_has_the_new_one)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = "200 Require: timer\nSession-Expires: 400;refresher=uac");
	for (unsigned i = 0; i < 2; i++) {
		run(d, 10 * SIM_S);
		say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	}
	run(d, SIM_S);
	cr_assert_eq(count(&d->b, "INVITE"), 3);
	struct bytes last = nth(&d->b, "INVITE", 2)->w.body;
	cr_assert_not(bytes_equal(last, nth(&d->b, "INVITE", 0)->w.body));
	run(d, 210 * SIM_S);
	cr_assert_eq(count(&d->b, "INVITE"), 4);
	cr_assert(bytes_equal(nth(&d->b, "INVITE", 3)->w.body, last));
	over(d);
}

/* A target that the peer moved with a re-INVITE or an UPDATE, or with the 2xx to a refresh (known bug 28: the ACK goes
 * there as well). */
Test(rfc3261_12_2, bug_28_refresh_and_ack_follow_a_moved_target)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = "200 Require: timer\nSession-Expires: 200;refresher=uac");
	char uri[96];
	d->b.contact = 1;
	say(&d->b, "INVITE", "Supported: timer\n", new_sdp(&d->b));
	run(d, SIM_S);
	until_refresh(d, &d->b, 0);
	snprintf(uri, sizeof uri, "sip:%s-1@%s", d->b.ua->local_tag, d->b.host->name);
	cr_assert(wire_is(refresh(&d->b, 0)->w.uri, uri), "%.*s", TEXT(refresh(&d->b, 0)->w.uri));
	run(d, SIM_S);
	d->b.contact = 2;
	say(&d->b, "UPDATE", "Supported: timer\n", BYTES_NONE);
	run(d, SIM_S);
	d->b.contact = 3; /* with the answer to the refresh */
	until_refresh(d, &d->b, 1);
	snprintf(uri, sizeof uri, "sip:%s-2@%s", d->b.ua->local_tag, d->b.host->name);
	cr_assert(wire_is(refresh(&d->b, 1)->w.uri, uri));
	run(d, SIM_S);
	snprintf(uri, sizeof uri, "sip:%s-3@%s", d->b.ua->local_tag, d->b.host->name);
	unsigned acks = count(&d->b, "ACK");
	cr_assert_eq(acks, 3);
	cr_assert(wire_is(nth(&d->b, "ACK", acks - 1)->w.uri, uri));
	until_refresh(d, &d->b, 2);
	cr_assert(wire_is(refresh(&d->b, 2)->w.uri, uri));
	over(d);
}

/* Spec 4: the 2xx to our re-INVITE has another session: the other leg is offered it. */
Test(spec_4, another_session_in_the_answer_to_a_refresh_is_offered_to_the_other_leg)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = "200 Require: timer\nSession-Expires: 200;refresher=uac");
	d->b.ua->session++;
	until_refresh(d, &d->b, 0);
	run(d, SIM_S);
	cr_assert_eq(refreshes(&d->a), 1);
	struct bytes want = sdp(&d->b);
	cr_assert(bytes_equal(refresh(&d->a, 0)->w.body, want));
	cr_assert_eq(count(&d->a, "ACK"), 1);
	over(d);
}

/* ---- failures ---- */

struct retry {
	const char *parameters, *interval, *answer;
	uint64_t after_ns;
};

/* Tried again and again until the window ends, and the call is up until then (known bug 4). */
static void check_retry(const struct retry *row)
{
	char ok[160];
	snprintf(ok, sizeof ok, CALLEE_TIMED("Session-Expires: %s;refresher=uac"), row->interval);
	struct duel *d = duel_up(.parameters = row->parameters, .ok = ok);
	unsigned interval_s = 0;
	sscanf(row->interval, "%u", &interval_s);
	answers(&d->b.update, row->answer);
	run_until(d, d->up_ns + interval_s * SIM_S - 1);
	unsigned n = refreshes(&d->b), should = 1;
	assert_segment(refresh(&d->b, 0), d->up_ns, interval_s, 2, 1);
	for (unsigned i = 1; i < n; i++)
		assert_after(refresh(&d->b, i)->at_ns, refresh(&d->b, i - 1)->replied_ns, row->after_ns);
	while (refresh(&d->b, 0)->at_ns + should * (row->after_ns + 3 * SIM_MS) < d->up_ns + interval_s * SIM_S)
		should++;
	cr_assert(n == should || n == should + 1, "%s: %u tries, not %u", row->answer, n, should);
	assert_expires(d, d->up_ns + interval_s * SIM_S);
	assert_last_confirmed(d, d->up_ns);
	cr_assert_eq(cdr_of(d->call)->refreshes_sent, n);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 0);
	over(d);
}

Test(spec_5, bug_4_a_failed_refresh_is_tried_again_until_the_window_ends)
{
	static const struct retry rows[] = {
		{ NO_CAP, "600", "500", 30 * SIM_S },
		{ NO_CAP, "600", "503", 30 * SIM_S },
		{ NO_CAP, "600", "400", 30 * SIM_S },
		{ NO_CAP, "600", "403", 30 * SIM_S },
		{ NO_CAP, "600", "404", 30 * SIM_S },
		{ NO_CAP, "600", "420 Unsupported: timer", 30 * SIM_S },
		{ NO_CAP, "600", "480", 30 * SIM_S },
		{ NO_CAP, "600", "302 Contact: <sip:nobody@10.2.0.9>", 30 * SIM_S },
		{ NO_CAP, "600", "401 WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"", 30 * SIM_S },
		{ NO_CAP, "600", "407 Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"", 30 * SIM_S },
		{ NO_CAP, "600", "504", 30 * SIM_S },
		{ NO_CAP, "600", "603", 30 * SIM_S },
		{ NO_CAP, "600", "503 Retry-After: 7", 7 * SIM_S },
		{ NO_CAP, "600", "500 Retry-After: 18 (soon);duration=3", 18 * SIM_S },
		{ NO_CAP, "600", "503 Retry-After: 100", 30 * SIM_S },
		{ NO_CAP, "600", "503 Retry-After: 1", SIM_S },
		{ NO_CAP, "600", "503 Retry-After: soon", 30 * SIM_S },
		{ NO_CAP, "200", "500", 20 * SIM_S },
		{ SHORT, "20", "500", 2 * SIM_S },
		{ SHORT, "5", "500", SIM_S },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_retry(&rows[i]);
}

/* One success in between, and the window is whole again. */
Test(spec_5, a_retry_that_succeeds_begins_the_window_anew)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("600"));
	answers(&d->b.update, "500", "503 Retry-After: 3", "200");
	run_until(d, d->up_ns + 340 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 3);
	uint64_t confirmed_ns = refresh(&d->b, 2)->replied_ns;
	run_until(d, confirmed_ns + 301 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 4);
	assert_segment(refresh(&d->b, 3), confirmed_ns, 600, 2, 1);
	over(d);
}

/* "or at the next boundary, whichever is first": a tenth of the interval, and a boundary before that. */
Test(spec_5, a_failed_refresh_is_tried_again_at_the_next_boundary_at_the_latest)
{
	struct duel *d = duel_up(.parameters = SHORT "SS_SIP_SESSION_UPDATE_SEGMENT = 10", CALLEE("5"));
	answers(&d->b.update, "500");
	run_until(d, d->up_ns + 5 * SIM_S - 1);
	cr_assert_eq(refreshes(&d->b), 9); /* after 1 s each it would be 5 */
	for (unsigned k = 1; k < 10; k++)
		assert_segment(refresh(&d->b, k - 1), d->up_ns, 5, 10, k);
	assert_expires(d, d->up_ns + 5 * SIM_S);
	over(d);
}

/* "No answer" is 64*T1. */
static void check_silence(const char *parameters, uint64_t t1_64_ns)
{
	struct duel *d = duel_up(.parameters = parameters, CALLEE("600"));
	answers(&d->b.update, "-");
	run_until(d, d->up_ns + 600 * SIM_S - 1);
	assert_segment(refresh(&d->b, 0), d->up_ns, 600, 2, 1);
	for (unsigned i = 1; i < refreshes(&d->b); i++) {
		uint64_t apart_ns = refresh(&d->b, i)->at_ns - refresh(&d->b, i - 1)->at_ns;
		cr_assert(apart_ns >= t1_64_ns + 30 * SIM_S && apart_ns <= t1_64_ns + 30 * SIM_S + 2 * SIM_MS,
			  "%llu ms", (unsigned long long)(apart_ns / SIM_MS));
	}
	unsigned n = refreshes(&d->b);
	cr_assert_geq(n, 4);
	cr_assert_geq(refresh(&d->b, 0)->again, 3);
	assert_expires(d, d->up_ns + 600 * SIM_S);
	cr_assert_eq(cdr_of(d->call)->refreshes_sent, n, "retransmissions are no tries");
	over(d);
}

Test(RW_SIP_T1, no_answer_to_a_refresh_is_64_times_it)
{
	check_silence(NO_CAP, SIM_64T1);
	check_silence(NO_CAP "RW_SIP_T1 = 100", 6400 * SIM_MS);
	check_silence(NO_CAP "RW_SIP_T1 = 1000", 64 * SIM_S);
}

/* 405, 501, 488 to UPDATE: a re-INVITE at once, and no UPDATE any more. */
Test(spec_5, an_update_that_is_refused_becomes_a_reinvite_for_good)
{
	static const char *const codes[] = { "405 Allow: INVITE, ACK, BYE", "501", "488" };
	for (unsigned i = 0; i < 3; i++) {
		struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("200"));
		answers(&d->b.update, codes[i]);
		answers(&d->b.invite, "200 Allow: INVITE, ACK, BYE, UPDATE\nSession-Expires: 200;refresher=uac");
		run_until(d, d->up_ns + 1000 * SIM_S);
		cr_assert_eq(count(&d->b, "UPDATE"), 1);
		assert_after(refresh(&d->b, 1)->at_ns, refresh(&d->b, 0)->replied_ns, 0);
		cr_assert(bytes_equal(refresh(&d->b, 1)->w.body, nth(&d->b, "INVITE", 0)->w.body));
		uint64_t confirmed_ns = refresh(&d->b, 1)->replied_ns;
		for (unsigned n = 2; n < 9; n++) {
			assert_segment(refresh(&d->b, n), confirmed_ns, 200, 2, 1);
			confirmed_ns = refresh(&d->b, n)->replied_ns;
		}
		over(d);
	}
}

/* The same answers to a re-INVITE are failures like others. */
Test(spec_5, a_reinvite_that_is_refused_is_tried_again)
{
	static const char *const codes[] = { "405", "501", "488" };
	for (unsigned i = 0; i < 3; i++) {
		struct duel *d =
			duel_up(.parameters = NO_CAP, .ok = "200 Require: timer\nSession-Expires: 200;refresher=uac");
		answers(&d->b.invite, codes[i], "200");
		run_until(d, d->up_ns + 130 * SIM_S);
		cr_assert_eq(refreshes(&d->b), 2);
		assert_after(refresh(&d->b, 1)->at_ns, refresh(&d->b, 0)->replied_ns, 20 * SIM_S);
		over(d);
	}
}

/* F06: at once in the same dialog; the call and its old expiry are as they were. */
Test(rfc4028_7_3, F06_422_to_a_refresh_is_tried_again_with_its_min_se)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("200"));
	answers(&d->b.update, "422 Min-SE: 600", "500");
	run_until(d, d->up_ns + 101 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 2);
	assert_after(refresh(&d->b, 1)->at_ns, refresh(&d->b, 0)->replied_ns, 0);
	assert_header(refresh(&d->b, 1), "Session-Expires", "600;refresher=uac");
	assert_header(refresh(&d->b, 1), "Min-SE", "600");
	assert_expires(d, d->up_ns + 200 * SIM_S);
	over(d);
}

Test(rfc4028_7_3, F06_the_larger_interval_holds_from_the_2xx_on)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("200"));
	answers(&d->b.update, "422 Min-SE: 600", "200 Session-Expires: 600;refresher=uac");
	run_until(d, d->up_ns + 101 * SIM_S);
	uint64_t confirmed_ns = refresh(&d->b, 1)->replied_ns;
	run_until(d, confirmed_ns + 301 * SIM_S);
	assert_segment(refresh(&d->b, 2), confirmed_ns, 600, 2, 1);
	over(d);
}

/* "bounded as above": three times, each larger; then, or when it names nothing larger, the rule of all failures. */
Test(spec_5, repeated_422_to_a_refresh_is_bounded)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("600"));
	answers(&d->b.update, "422 Min-SE: 601", "422 Min-SE: 602", "422 Min-SE: 603", "422 Min-SE: 604", "200");
	run_until(d, d->up_ns + 301 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 4);
	run(d, 30 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 5);
	assert_after(refresh(&d->b, 4)->at_ns, refresh(&d->b, 3)->replied_ns, 30 * SIM_S);
	over(d);
}

Test(spec_5, a_useless_422_to_a_refresh_is_a_failure)
{
	static const char *const useless[] = { "422", "422 Min-SE: 90", "422 Min-SE: 86401", "422 Min-SE: 4294967296" };
	for (unsigned i = 0; i < 4; i++)
		check_retry(&(struct retry){ NO_CAP, "600", useless[i], 30 * SIM_S });
}

/* RFC 3261 14.1; known bug 25: 2.1 to 4 s where we made the Call-ID, 0 to 2 s where not, in steps of 10 ms. */
Test(rfc3261_14_1, bug_25_491_is_waited_out_at_random)
{
	uint64_t least[2] = { UINT64_MAX, UINT64_MAX }, most[2] = { 0, 0 };
	for (unsigned seed = 1; seed <= 60; seed++) {
		struct duel *d = duel_up(.seed = seed, .invite = CALLER_TIMED("Session-Expires: 200"), CALLEE("200"));
		answers(&d->a.update, "491", "200");
		answers(&d->b.update, "491", "200");
		run_until(d, d->up_ns + 106 * SIM_S);
		const struct party *parties[] = { &d->a, &d->b };
		for (unsigned i = 0; i < 2; i++) {
			uint64_t wait_ns = refresh(parties[i], 1)->at_ns - refresh(parties[i], 0)->replied_ns;
			cr_assert_eq(refreshes(parties[i]), 2);
			cr_assert_leq(wait_ns % (10 * SIM_MS), SIM_MS);
			least[i] = wait_ns < least[i] ? wait_ns : least[i];
			most[i] = wait_ns > most[i] ? wait_ns : most[i];
		}
		over(d);
	}
	cr_assert(least[0] < 300 * SIM_MS && most[0] > 1700 * SIM_MS && most[0] <= 2001 * SIM_MS);
	cr_assert(least[1] >= 2100 * SIM_MS && least[1] < 2400 * SIM_MS && most[1] > 3700 * SIM_MS &&
		  most[1] <= 4001 * SIM_MS);
}

/* 408 or 481: the dialog is gone, the call ends now (known bug 67). */
Test(rfc3261_12_2_1_2, bug_67_408_or_481_to_a_refresh_ends_the_call_now)
{
	static const char *const codes[] = { "408", "481" };
	for (unsigned i = 0; i < 4; i++) {
		bool callee = i & 1, invite = i & 2;
		struct duel *d = duel_up(.parameters = NO_CAP,
					 .invite = callee   ? NULL
						   : invite ? "Supported: timer\nSession-Expires: 600"
							    : CALLER_TIMED("Session-Expires: 600"),
					 .ok = !callee  ? "200"
					       : invite ? "200 Session-Expires: 600;refresher=uac"
							: CALLEE_TIMED("Session-Expires: 600;refresher=uac"));
		struct party *peer = callee ? &d->b : &d->a;
		answers(&peer->update, codes[i / 2]);
		answers(&peer->invite, codes[i / 2]);
		until_refresh(d, peer, 0);
		run(d, SIM_S);
		uint64_t lost_ns = refresh(peer, 0)->replied_ns;
		cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 2);
		assert_after(nth(&d->a, "BYE", 0)->at_ns, lost_ns, 0);
		assert_after(nth(&d->b, "BYE", 0)->at_ns, lost_ns, 0);
		assert_reason(d->call, dialog_lost);
		cr_assert_eq(cdr_of(d->call)->end_side, callee ? CDR_SIDE_CALLEE : CDR_SIDE_CALLER);
		cr_assert_eq(cdr_of(d->call)->hold_ms, (int64_t)((lost_ns - d->up_ns) / SIM_MS));
		assert_last_confirmed(d, d->up_ns);
		over(d);
	}
}

/* ---- one at a time ---- */

/* A new try replaces the pending one, which is sent no more; a late 2xx to that one still confirms. */
Test(spec_5, a_late_2xx_to_a_replaced_refresh_confirms)
{
	struct duel *d = duel_up(.parameters = SHORT "SS_SIP_SESSION_UPDATE_SEGMENT = 4", CALLEE("40"));
	d->b.answer_ns = 12 * SIM_S;
	until_refresh(d, &d->b, 1);
	unsigned again = refresh(&d->b, 0)->again;
	uint64_t first_ns = refresh(&d->b, 0)->at_ns + 12 * SIM_S + 2 * WAY_NS;
	run_until(d, first_ns + SIM_S);
	cr_assert_eq(refresh(&d->b, 0)->again, again, "the replaced one is still sent");
	cr_assert_gt(refresh(&d->b, 1)->again, 0);
	cr_assert_eq(refreshes(&d->b), 2);
	d->b.gone = true; /* the second answer does not come any more */
	run_until(d, first_ns + 10 * SIM_S + SIM_MS);
	assert_segment(refresh(&d->b, 2), first_ns, 40, 4, 1);
	assert_expires(d, first_ns + 40 * SIM_S);
	assert_last_confirmed(d, first_ns);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 1);
	over(d);
}

/* The same with a re-INVITE: its ACK is owed as well. */
Test(spec_5, a_late_2xx_to_a_replaced_reinvite_is_acknowledged_and_confirms)
{
	struct duel *d = duel_up(.parameters = SHORT "SS_SIP_SESSION_UPDATE_SEGMENT = 4",
				 .ok = "200 Session-Expires: 40;refresher=uac");
	d->b.answer_ns = 12 * SIM_S;
	until_refresh(d, &d->b, 1);
	uint64_t first_ns = refresh(&d->b, 0)->at_ns + 12 * SIM_S + 2 * WAY_NS;
	run_until(d, first_ns + SIM_S);
	cr_assert_eq(count(&d->b, "ACK"), 2);
	cr_assert_eq(nth(&d->b, "ACK", 1)->w.cseq, refresh(&d->b, 0)->w.cseq);
	d->b.gone = true;
	assert_expires(d, first_ns + 40 * SIM_S);
	over(d);
}

/* ---- collisions ---- */

/* A refresh that falls due while a re-INVITE is passed on to that leg does not cross it; its 2xx confirms. */
Test(rfc3261_14_1, a_refresh_does_not_cross_a_relayed_reinvite)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("200"));
	run_until(d, d->up_ns + 85 * SIM_S);
	d->b.answer_ns = 30 * SIM_S;
	say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, 29 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 1, "the relayed one alone");
	run(d, 2 * SIM_S);
	uint64_t confirmed_ns = refresh(&d->b, 0)->replied_ns;
	cr_assert(confirmed_ns);
	run_until(d, confirmed_ns + 101 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 2);
	assert_segment(refresh(&d->b, 1), confirmed_ns, 200, 2, 1);
	over(d);
}

/* known bugs 4, 22: a person takes longer over a relayed re-INVITE than the window is.  An UPDATE has no offer, and
 * shows that the peer lives. */
Test(rfc3311_5_1, bug_4_a_window_does_not_end_under_an_open_reinvite)
{
	struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("90"));
	run_until(d, d->up_ns + 40 * SIM_S);
	d->b.trying = true;
	d->b.answer_ns = 100 * SIM_S;
	const struct said *invite = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	d->b.answer_ns = 0;
	run_until(d, d->up_ns + 66 * SIM_S);
	cr_assert_eq(count(&d->b, "UPDATE"), 0, "too early");
	run_until(d, d->up_ns + 135 * SIM_S);
	cr_assert_geq(count(&d->b, "UPDATE"), 1);
	cr_assert_eq(d->call->cdr_count, 0);
	run(d, 10 * SIM_S);
	cr_assert_eq(status_of(invite), 200);
	over(d);
}

/* known bug 30: an offer that comes while a refresh of ours is open on that leg gets 491. */
Test(rfc3311_5_2, bug_30_an_offer_while_our_refresh_is_open_gets_491)
{
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d =
			duel_up(.parameters = NO_CAP, .ok = i ? "200 Session-Expires: 200;refresher=uac"
							      : CALLEE_TIMED("Session-Expires: 200;refresher=uac"));
		d->b.answer_ns = 5 * SIM_S;
		until_refresh(d, &d->b, 0);
		const struct said *invite = say(&d->b, "INVITE", "Supported: timer\n", new_sdp(&d->b));
		run(d, SIM_S);
		cr_assert_eq(status_of(invite), 491);
		const struct said *update = say(&d->b, "UPDATE", "Supported: timer\n", new_sdp(&d->b));
		run(d, SIM_S);
		cr_assert_eq(status_of(update), 491);
		run(d, 10 * SIM_S);
		over(d);
	}
}

/* The 2xx to a request that was passed on made the peer the refresher while our UPDATE was open: that this is refused
 * now is no reason to refresh at once. */
Test(rfc4028_10, a_refresh_that_fails_after_the_roles_were_swapped_is_not_repeated)
{
	static const char *const refusals[] = { "405", "422 Min-SE: 700", "503 Retry-After: 1", "491" };
	for (unsigned i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct duel *d = duel_up(.parameters = NO_CAP, CALLEE("200"));
		answers(&d->b.update, refusals[i]);
		answers(&d->b.invite, "200 Require: timer\nSession-Expires: 200;refresher=uas");
		d->b.answer_ns = 2 * SIM_S;
		until_refresh(d, &d->b, 0);
		d->b.answer_ns = 0;
		const struct said *invite = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
		run(d, 60 * SIM_S);
		cr_assert_eq(status_of(invite), 200);
		cr_assert_eq(refreshes(&d->b), 2, "the refused one, and that which was passed on");
		over(d);
	}
}

/* Both sides refresh at once.  UPDATEs without body do not mind each other; of INVITEs each side refuses the other's,
 * and the call lives by the next ones. */
Test(rfc3261_14_1, a_refresh_of_the_peer_crosses_ours)
{
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d =
			duel_up(.parameters = NO_CAP, .ok = i ? "200 Session-Expires: 200;refresher=uac"
							      : CALLEE_TIMED("Session-Expires: 200;refresher=uac"));
		answers(&d->b.invite, "491", "200");
		d->b.answer_ns = 50 * SIM_MS;
		until_refresh(d, &d->b, 0);
		const struct said *theirs =
			say(&d->b, i ? "INVITE" : "UPDATE", "Supported: timer\nSession-Expires: 200;refresher=uas\n",
			    i ? sdp(&d->b) : BYTES_NONE);
		run(d, 10 * SIM_S);
		cr_assert_eq(status_of(theirs), i ? 491 : 200);
		cr_assert_eq(refreshes(&d->b), 1 + i);
		uint64_t confirmed_ns = i ? refresh(&d->b, 1)->replied_ns : refresh(&d->b, 0)->replied_ns;
		if (i)
			cr_assert_geq(refresh(&d->b, 1)->at_ns, refresh(&d->b, 0)->replied_ns + 2100 * SIM_MS);
		d->b.gone = true;
		assert_expires(d, confirmed_ns + 200 * SIM_S);
		over(d);
	}
}

/* A BYE of the peer while a refresh is open: answered, and nothing more comes (known bugs 11 and 31). */
Test(rfc3261_15_1_2, bug_11_31_a_bye_while_a_refresh_is_open_ends_everything)
{
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d =
			duel_up(.parameters = NO_CAP, .ok = i ? "200 Session-Expires: 200;refresher=uac"
							      : CALLEE_TIMED("Session-Expires: 200;refresher=uac"));
		answers(&d->b.update, "481");
		answers(&d->b.invite, "481");
		d->b.answer_ns = 50 * SIM_MS;
		until_refresh(d, &d->b, 0);
		const struct said *bye = say(&d->b, "BYE", NULL, BYTES_NONE);
		run(d, 600 * SIM_S);
		cr_assert_eq(status_of(bye), 200);
		cr_assert_eq(count(&d->a, "BYE"), 1);
		cr_assert_eq(count(&d->b, "BYE"), 0);
		cr_assert_eq(refreshes(&d->b), 1);
		cr_assert_eq(count(&d->b, "ACK"), 1 + i);
		assert_reason(d->call, normal);
		cr_assert_eq(cdr_of(d->call)->end_side, CDR_SIDE_CALLEE);
		over(d);
	}
}

/* A2xx to our re-INVITE after the BYE: its ACK is owed, nothing else. */
Test(rfc3261_15_1_2, a_2xx_to_a_refresh_after_the_bye_gets_its_ack_alone)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = "200 Session-Expires: 200;refresher=uac");
	d->b.answer_ns = 2 * SIM_S;
	until_refresh(d, &d->b, 0);
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, 600 * SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	cr_assert_eq(count(&d->b, "ACK"), 2);
	cr_assert_eq(refreshes(&d->b), 1);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 0);
	over(d);
}
