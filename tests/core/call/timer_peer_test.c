/* Refreshes of the peer, the probe that takes over from a silent one, and what confirms in both directions.  RFC 4028
 * 7.4, 8, 9, 10; RFC 3311; spec 5 "When the peer refreshes", "In both directions"; the rows D01 to D07 and A11 are
 * those of the collected odd headers. */
#include "script.h"

#include <string.h>

#define NO_CAP "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n"
/* The callee refreshes; a caller without timers. */
#define PEER(interval) .ok = CALLEE_TIMED("Session-Expires: " interval ";refresher=uas")
#define OURS(interval) .ok = CALLEE_TIMED("Session-Expires: " interval ";refresher=uac")
#define TIMER          "Supported: timer\n"

/* The node's own probe comes at that time and not before. */
static void assert_probed(struct duel *d, const struct party *party, uint64_t at_ns)
{
	unsigned before = refreshes(party);
	run_until(d, at_ns - 1);
	cr_assert_eq(refreshes(party), before, "overtaken");
	run_until(d, at_ns + 3 * SIM_MS);
	cr_assert_eq(refreshes(party), before + 1, "not probed");
	assert_after(refresh(party, before)->at_ns, at_ns, 0);
}

/* D01; known bug 10: an UPDATE without body is answered here, and the expiry moves. */
Test(rfc4028_9, D01_bug_10_update_of_the_peer_confirms)
{
	struct duel *d = duel_up(.parameters = NO_CAP, PEER("300"));
	run_until(d, d->up_ns + 50 * SIM_S);
	const struct said *update = say(&d->b, "UPDATE", TIMER "Session-Expires: 120;refresher=uac\n", BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	cr_assert_eq(update->last->w.body.size, 0);
	assert_header(update->last, "Session-Expires", "120;refresher=uac");
	assert_header(update->last, "Require", "timer");
	cr_assert_eq(refreshes(&d->a), 0, "passed on");
	d->b.gone = true;
	assert_probed(d, &d->b, update->at_ns + 80 * SIM_S);
	assert_expires(d, update->at_ns + 120 * SIM_S);
	assert_last_confirmed(d, update->at_ns);
	over(d);
}

/* D02; known bug 20: the same for a re-INVITE that changes nothing; its answer is the unchanged one. */
Test(rfc4028_7_4, D02_bug_20_reinvite_with_the_same_session_confirms)
{
	struct duel *d = duel_up(.parameters = NO_CAP, PEER("300"));
	run_until(d, d->up_ns + 50 * SIM_S);
	const struct said *invite = say(&d->b, "INVITE", TIMER "Session-Expires: 120;refresher=uac\n", sdp(&d->b));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	cr_assert(bytes_equal(invite->last->w.body, nth(&d->b, "INVITE", 0)->w.body));
	assert_header(invite->last, "Session-Expires", "120;refresher=uac");
	cr_assert_eq(refreshes(&d->a), 0, "passed on");
	d->b.gone = true;
	assert_expires(d, invite->at_ns + 120 * SIM_S);
	over(d);
}

/* D03: without SDP the other leg is asked for an offer; the ACK has the answer, and the 2xx has confirmed. */
Test(rfc3261_14_2, D03_reinvite_without_sdp_is_passed_on_and_confirms)
{
	struct duel *d = duel_up(.parameters = NO_CAP, PEER("300"));
	run_until(d, d->up_ns + 50 * SIM_S);
	const struct said *invite = say(&d->b, "INVITE", TIMER "Session-Expires: 120;refresher=uac\n", BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	cr_assert_eq(count(&d->a, "INVITE"), 1);
	cr_assert_eq(nth(&d->a, "INVITE", 0)->w.body.size, 0);
	struct bytes offer = sdp(&d->a);
	cr_assert(bytes_equal(invite->last->w.body, offer));
	assert_header(invite->last, "Session-Expires", "120;refresher=uac");
	d->b.gone = true;
	assert_expires(d, nth(&d->a, "INVITE", 0)->replied_ns + 120 * SIM_S);
	over(d);
}

/* D04: 422, and the old timer goes on. */
Test(rfc4028_9, D04_an_interval_below_the_minimum_is_refused_in_the_dialog_too)
{
	struct duel *d = duel_up(.parameters = NO_CAP, PEER("300"));
	run_until(d, d->up_ns + 50 * SIM_S);
	const struct said *update = say(&d->b, "UPDATE", TIMER "Session-Expires: 30\n", BYTES_NONE);
	const struct said *invite = say(&d->b, "INVITE", TIMER "Session-Expires: 89\n", new_sdp(&d->b));
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 422);
	assert_header(update->last, "Min-SE", "90");
	cr_assert_eq(status_of(invite), 422);
	assert_header(invite->last, "Min-SE", "90");
	cr_assert_eq(refreshes(&d->a), 0, "passed on");
	d->b.gone = true;
	assert_expires(d, d->up_ns + 300 * SIM_S);
	assert_last_confirmed(d, d->up_ns);
	over(d);
}

/* D05: out of order. */
Test(rfc3261_12_2_2, D05_an_old_cseq_gets_500_and_moves_nothing)
{
	struct duel *d = duel_up(.parameters = NO_CAP, PEER("300"));
	run(d, SIM_S);
	say(&d->b, "OPTIONS", NULL, BYTES_NONE);
	run_until(d, d->up_ns + 50 * SIM_S);
	const struct said *update = say_numbered(&d->b, "UPDATE", d->b.ua->cseq_out - 1,
						 TIMER "Session-Expires: 120;refresher=uac\n", BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 500);
	d->b.gone = true;
	assert_expires(d, d->up_ns + 300 * SIM_S);
	over(d);
}

/* D06; spec 5: "INFO, OPTIONS and the like do not." */
Test(rfc4028_3, D06_info_options_and_message_do_not_confirm)
{
	struct duel *d = duel_up(.parameters = NO_CAP, PEER("300"));
	for (unsigned i = 1; i <= 10; i++) {
		run_until(d, d->up_ns + i * 15 * SIM_S);
		say(&d->b, "OPTIONS", TIMER "Session-Expires: 120;refresher=uac\n", BYTES_NONE);
		say(&d->b, "INFO", TIMER "Session-Expires: 120;refresher=uac\n", BYTES("Signal=1\r\n"));
		say(&d->a, "MESSAGE", NULL, BYTES("hello")); /* and its 200 comes from the callee */
	}
	run(d, SIM_S);
	cr_assert_eq(count(&d->b, "200 INFO"), 10);
	cr_assert_eq(count(&d->a, "200 MESSAGE"), 10);
	d->b.gone = true;
	assert_probed(d, &d->b, d->up_ns + 236 * SIM_S);
	assert_expires(d, d->up_ns + 300 * SIM_S);
	assert_last_confirmed(d, d->up_ns);
	over(d);
}

/* D07; known bugs 9 and 34: a re-INVITE that is refused is no refresh, on neither leg. */
Test(rfc4028_10, D07_bug_9_34_a_refused_reinvite_does_not_confirm)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 400;refresher=uac"), PEER("300"));
	run_until(d, d->up_ns + 150 * SIM_S);
	answers(&d->a.invite, "488");
	const struct said *invite = say(&d->b, "INVITE", TIMER "Session-Expires: 600;refresher=uac\n", new_sdp(&d->b));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 488);
	d->a.gone = d->b.gone = true;
	assert_expires(d, d->up_ns + 300 * SIM_S);
	assert_last_confirmed(d, d->up_ns);
	over(d);
}

Test(rfc4028_10, bug_9_nothing_comes_after_a_refused_reinvite_and_a_bye)
{
	struct duel *d = duel_up(.parameters = NO_CAP, OURS("300"));
	answers(&d->b.invite, "488");
	say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	hang_up(d);
	unsigned messages = d->call->log_count;
	run(d, 2000 * SIM_S);
	cr_assert_eq(d->call->log_count, messages);
	over(d);
}

/* ---- who refreshes ---- */

struct role {
	const char *before, *lines, *answer;
	bool ours; /* after it we refresh */
};

/* Known bugs 2, 12, 16 and 18: uac and uas are those of this request, whoever called; without a name it is who it
 * was. */
static void check_role(const struct role *row, unsigned i)
{
	char ok[160];
	snprintf(ok, sizeof ok, CALLEE_TIMED("Session-Expires: 300;refresher=%s"), row->before);
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = ok);
	run_until(d, d->up_ns + 50 * SIM_S);
	const struct said *update = say(&d->b, "UPDATE", row->lines, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	cr_assert_str_eq(header(update->last, "Session-Expires"), row->answer, "row %u: %s", i,
			 header(update->last, "Session-Expires"));
	answers(&d->b.update, "200 Session-Expires: 300;refresher=uac");
	if (row->ours) {
		run_until(d, update->at_ns + 151 * SIM_S);
		cr_assert_eq(refreshes(&d->b), 1, "row %u", i);
		assert_header(refresh(&d->b, 0), "Session-Expires", "300;refresher=uac");
		assert_segment(refresh(&d->b, 0), update->at_ns, 300, 2, 1);
		run(d, 310 * SIM_S); /* the second and third time as well */
		cr_assert_geq(refreshes(&d->b), 3, "row %u", i);
	} else {
		assert_probed(d, &d->b, update->at_ns + 236 * SIM_S);
	}
	over(d);
}

Test(rfc4028_9, bug_2_12_16_18_the_answer_names_the_refresher_of_this_request)
{
	static const struct role rows[] = {
		{ "uas", TIMER "Session-Expires: 300;refresher=uac\n", "300;refresher=uac", false },
		{ "uas", TIMER "Session-Expires: 300;refresher=uas\n", "300;refresher=uas", true },
		{ "uac", TIMER "Session-Expires: 300;refresher=uac\n", "300;refresher=uac", false },
		{ "uac", TIMER "Session-Expires: 300;refresher=uas\n", "300;refresher=uas", true },
		{ "uas", TIMER "Session-Expires: 300\n", "300;refresher=uac", false },
		{ "uac", TIMER "Session-Expires: 300\n", "300;refresher=uas", true },
		{ "uas", TIMER "Session-Expires: 300;refresher=proxy\n", "300;refresher=uac", false },
		{ "uas", "Session-Expires: 300;refresher=uac\n", "300;refresher=uas", true }, /* no tag */
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_role(&rows[i], i);
}

/* A11: the answer to our refresh gives the role to the peer: one timer, and it is the other. */
Test(rfc4028_7_2, A11_a_2xx_to_a_refresh_swaps_the_roles)
{
	struct duel *d = duel_up(.parameters = NO_CAP, OURS("300"));
	answers(&d->b.update, "200 Require: timer\nSession-Expires: 300;refresher=uas", "200");
	run_until(d, d->up_ns + 151 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 1);
	uint64_t confirmed_ns = refresh(&d->b, 0)->replied_ns;
	assert_probed(d, &d->b, confirmed_ns + 236 * SIM_S);
	over(d);
}

/* known bug 12: the peer's re-INVITE gives the role to us. */
Test(rfc4028_7_4, bug_12_a_reinvite_that_changes_the_refresher_is_answered)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300;refresher=uac"), .ok = "200");
	run_until(d, d->up_ns + 100 * SIM_S);
	const struct said *invite = say(&d->a, "INVITE", TIMER "Session-Expires: 300;refresher=uas\n", new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	assert_header(invite->last, "Session-Expires", "300;refresher=uas");
	uint64_t confirmed_ns = refresh(&d->b, 0)->replied_ns;
	run_until(d, confirmed_ns + 151 * SIM_S);
	assert_segment(refresh(&d->a, 0), confirmed_ns, 300, 2, 1);
	over(d);
}

/* ---- the probe ---- */

/* At interval - min(64 s, interval/3): it names us the refresher, and so it stays. */
static void check_probe(const char *parameters, const char *ok, uint64_t interval_s, uint64_t after_ns)
{
	struct duel *d = duel_up(.parameters = parameters, .ok = ok);
	char session[40];
	snprintf(session, sizeof session, "%llu;refresher=uac", (unsigned long long)interval_s);
	answers(&d->b.update, "200");
	assert_probed(d, &d->b, d->up_ns + after_ns);
	assert_header(refresh(&d->b, 0), "Session-Expires", session);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t confirmed_ns = refresh(&d->b, i)->replied_ns;
		run_until(d, confirmed_ns + interval_s * SIM_S / 2 + 3 * SIM_MS);
		assert_segment(refresh(&d->b, i + 1), confirmed_ns, interval_s, 2, 1);
		assert_header(refresh(&d->b, i + 1), "Session-Expires", session);
	}
	over(d);
}

Test(rfc4028_10, a_silent_refresher_is_probed_and_relieved)
{
	check_probe(NO_CAP, CALLEE_TIMED("Session-Expires: 600;refresher=uas"), 600, 536 * SIM_S);
	check_probe(NO_CAP, CALLEE_TIMED("Session-Expires: 192;refresher=uas"), 192, 128 * SIM_S);
	check_probe(NO_CAP, CALLEE_TIMED("Session-Expires: 120;refresher=uas"), 120, 80 * SIM_S);
	check_probe(NO_CAP, CALLEE_TIMED("Session-Expires: 90;refresher=uas"), 90, 60 * SIM_S);
	check_probe(NO_CAP "RW_SIP_MIN_SE = 1", CALLEE_TIMED("Session-Expires: 3;refresher=uas"), 3, 2 * SIM_S);
}

/* The caller too; and a late refresh of it after the probe is welcome all the same. */
Test(rfc4028_10, a_sloppy_caller_keeps_its_call)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300;refresher=uac"));
	answers(&d->a.update, "500");
	assert_probed(d, &d->a, d->up_ns + 236 * SIM_S);
	run_until(d, d->up_ns + 290 * SIM_S);
	const struct said *update = say(&d->a, "UPDATE", TIMER "Session-Expires: 300;refresher=uac\n", BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	run_until(d, update->at_ns + 235 * SIM_S);
	cr_assert_eq(count(&d->a, "BYE"), 0);
	over(d);
}

/* An INVITE that is passed on is open when the probe is due, and its 2xx confirms: nothing was claimed. */
Test(rfc4028_10, a_probe_that_was_not_sent_leaves_the_roles_as_they_are)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .invite = CALLER_TIMED("Session-Expires: 300;refresher=uac"));
	run_until(d, d->up_ns + 230 * SIM_S);
	d->a.answer_ns = 20 * SIM_S;
	say(&d->b, "INVITE", NULL, new_sdp(&d->b));
	run(d, 25 * SIM_S);
	cr_assert_eq(refreshes(&d->a), 1, "the one that was passed on");
	assert_header(refresh(&d->a, 0), "Session-Expires", "300;refresher=uas");
	uint64_t confirmed_ns = refresh(&d->a, 0)->replied_ns;
	d->a.answer_ns = 0;
	run_until(d, confirmed_ns + 235 * SIM_S);
	cr_assert_eq(refreshes(&d->a), 1);
	run(d, 2 * SIM_S);
	assert_after(refresh(&d->a, 1)->at_ns, confirmed_ns, 236 * SIM_S);
	over(d);
}

/* "a compliant peer is never overtaken": it refreshes at half the interval, or as late as RFC 4028 10 lets it. */
Test(rfc4028_10, a_compliant_refresher_is_never_overtaken)
{
	static const unsigned intervals[] = { 90, 120, 300, 600 };
	for (unsigned i = 0; i < 4; i++) {
		char ok[160], lines[96];
		unsigned late_s = intervals[i] - (intervals[i] / 3 < 64 ? intervals[i] / 3 : 64) - 1;
		snprintf(ok, sizeof ok, CALLEE_TIMED("Session-Expires: %u;refresher=uas"), intervals[i]);
		snprintf(lines, sizeof lines, TIMER "Session-Expires: %u;refresher=uac\n", intervals[i]);
		struct duel *d = duel_up(.parameters = NO_CAP, .ok = ok);
		for (unsigned n = 0; n < 12; n++) {
			run(d, (n & 1 ? intervals[i] / 2 : late_s) * SIM_S);
			say(&d->b, "UPDATE", lines, BYTES_NONE);
		}
		run(d, SIM_S);
		cr_assert_eq(refreshes(&d->b), 0, "of %u s", intervals[i]);
		hang_up(d);
		cr_assert_eq(cdr_of(d->call)->refreshes_sent, 0);
		over(d);
	}
}

/* ---- both directions ---- */

static void assert_timed(const struct heard *heard, const char *session)
{
	assert_header(heard, "Supported", "timer");
	assert_header(heard, "Session-Expires", session);
	assert_header(heard, "Min-SE", "90");
}

/* "every re-INVITE and UPDATE that Ringwheel sends, its own or relayed": with the refresher now in force. */
Test(spec_5, every_reinvite_and_update_carries_the_timer_in_force)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 400;refresher=uac"), OURS("300"));
	say(&d->a, "INVITE", TIMER "Session-Expires: 400;refresher=uac\n", new_sdp(&d->a));
	run(d, SIM_S);
	say(&d->b, "INVITE", TIMER "Session-Expires: 300;refresher=uas\n", new_sdp(&d->b));
	run(d, SIM_S);
	say(&d->a, "UPDATE", TIMER "Session-Expires: 400;refresher=uac\n", new_sdp(&d->a));
	run(d, SIM_S);
	say(&d->b, "UPDATE", TIMER "Session-Expires: 300;refresher=uas\n", new_sdp(&d->b));
	run(d, SIM_S);
	assert_timed(nth(&d->b, "INVITE", 1), "300;refresher=uac");
	assert_timed(nth(&d->b, "UPDATE", 0), "300;refresher=uac");
	assert_timed(nth(&d->a, "INVITE", 0), "400;refresher=uas");
	assert_timed(nth(&d->a, "UPDATE", 0), "400;refresher=uas");
	over(d);
}

/* To a leg without a timer: it is offered one (known bug 7: and if its 2xx agrees, that is the one timer). */
Test(rfc4028_7_4, bug_7_a_2xx_to_a_relayed_reinvite_sets_the_timer)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = "200 Allow: INVITE, ACK, BYE, UPDATE");
	run_until(d, d->up_ns + 50 * SIM_S);
	answers(&d->b.invite, "200 Require: timer\nSession-Expires: 200;refresher=uac");
	say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	assert_timed(nth(&d->b, "INVITE", 1), "600;refresher=uac");
	uint64_t confirmed_ns = refresh(&d->b, 0)->replied_ns;
	d->b.gone = true;
	run_until(d, confirmed_ns + 101 * SIM_S);
	assert_segment(refresh(&d->b, 1), confirmed_ns, 200, 2, 1);
	assert_expires(d, confirmed_ns + 200 * SIM_S);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_B);
	over(d);
}

/* "a 2xx in either direction confirms": a relayed re-INVITE and a relayed UPDATE prove both legs alive. */
Test(spec_5, a_relayed_offer_that_is_answered_confirms_both_legs)
{
	static const char *const methods[] = { "INVITE", "UPDATE" };
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300;refresher=uac"), OURS("300"));
		run_until(d, d->up_ns + 100 * SIM_S);
		const struct said *offer =
			say(&d->a, methods[i], TIMER "Session-Expires: 300;refresher=uac\n", new_sdp(&d->a));
		run(d, SIM_S);
		cr_assert_eq(status_of(offer), 200);
		uint64_t confirmed_ns = refresh(&d->b, 0)->replied_ns;
		d->a.gone = d->b.gone = true;
		run_until(d, confirmed_ns + 237 * SIM_S);
		cr_assert_eq(refreshes(&d->a), 1);
		assert_after(refresh(&d->a, 0)->at_ns, confirmed_ns, 236 * SIM_S); /* the caller's */
		assert_segment(refresh(&d->b, 1), confirmed_ns, 300, 2, 1);        /* the callee's */
		assert_expires(d, confirmed_ns + 300 * SIM_S);
		assert_last_confirmed(d, confirmed_ns);
		over(d);
	}
}

/* known bug 1: a hold that is answered 422 by the other side: asked again there with the larger value; whoever held
 * does not see it, and the call stays. */
Test(rfc4028_7_3, bug_1_a_422_to_a_relayed_reinvite_is_tried_again_on_that_leg)
{
	static const char *const methods[] = { "INVITE", "UPDATE" };
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_up(.parameters = NO_CAP, OURS("300"));
		answers(i ? &d->b.update : &d->b.invite, "422 Min-SE: 700",
			"200 Require: timer\nSession-Expires: 700;refresher=uac");
		const struct said *hold = say(&d->a, methods[i], NULL, new_sdp(&d->a));
		run(d, SIM_S);
		cr_assert_eq(refreshes(&d->b), 2);
		assert_header(refresh(&d->b, 1), "Session-Expires", "700;refresher=uac");
		assert_header(refresh(&d->b, 1), "Min-SE", "700");
		cr_assert(bytes_equal(refresh(&d->b, 1)->w.body, refresh(&d->b, 0)->w.body));
		cr_assert_eq(status_of(hold), 200, "%u", status_of(hold));
		over(d);
	}
}

/* A 422 that names nothing larger is not for whoever asked: its interval was not the one refused. */
Test(rfc4028_6, a_useless_422_to_a_relayed_reinvite_is_a_refusal)
{
	struct duel *d = duel_up(.parameters = NO_CAP, OURS("300"));
	answers(&d->b.invite, "422 Min-SE: 90");
	const struct said *hold = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(refreshes(&d->b), 1);
	cr_assert_eq(status_of(hold), 488);
	answers(&d->b.invite, "422 Min-SE: 601", "422 Min-SE: 602", "422 Min-SE: 603", "422 Min-SE: 604", "200");
	hold = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(refreshes(&d->b), 5);
	cr_assert_eq(status_of(hold), 488);
	over(d);
}

/* known bug 24: before the callee has answered an UPDATE gets a final answer, and starts no timer. */
Test(rfc3311_5_2, bug_24_an_update_in_the_early_dialog_gets_a_final_answer)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY);
	struct duel *d = script_call_in(sim, &(struct plan){ .invite = CALLER_TIMED("Session-Expires: 90"),
							     .progress = "183",
							     .rings_ns = 60 * SIM_S });
	run(d, SIM_S);
	const struct said *offer = say(&d->a, "UPDATE", TIMER, new_sdp(&d->a));
	const struct said *bare = say(&d->a, "UPDATE", TIMER "Session-Expires: 90\n", BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(offer), 500);
	cr_assert_eq(status_of(bare), 200);
	run(d, 60 * SIM_S);
	cr_assert_gt(d->up_ns, 0);
	cr_assert_eq(refreshes(&d->a), 0);
	d->a.gone = true;
	assert_expires(d, d->up_ns + 90 * SIM_S);
	over(d);
}

/* known bug 27: the peer refreshes by UPDATE although its own Allow does not list it: accepted. */
Test(rfc3311_5_2, bug_27_an_update_of_a_peer_that_lists_none_is_accepted)
{
	struct duel *d = duel_up(.parameters = NO_CAP, .ok = "200 Allow: INVITE, ACK, BYE\nRequire: timer\n"
							     "Session-Expires: 300;refresher=uas");
	const struct said *update = say(&d->b, "UPDATE", TIMER "Session-Expires: 300;refresher=uac\n", BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	cr_assert(strstr(header(update->last, "Allow"), "UPDATE"));
	over(d);
}
