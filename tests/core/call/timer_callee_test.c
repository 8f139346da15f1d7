/* Session timers with the callee: what our INVITE asks for, 422, and what its 2xx makes of the timer.  RFC 4028 7, 8;
 * spec 5 "Callee leg"; the rows A01 to A09 and F01 to F05 are those of the collected odd headers. */
#include "script.h"

#include <string.h>

#define GATEWAYS(mapping, routing)                                                                                     \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " mapping " }\n"                                         \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} " routing " }\n"

static void check_invite(const char *parameters, const char *caller, const char *session, const char *min_se)
{
	struct duel *d = duel_up(.parameters = parameters, .invite = caller);
	const struct heard *invite = nth(&d->b, "INVITE", 0);
	assert_header(invite, "Supported", "timer");
	assert_header(invite, "Session-Expires", session);
	assert_header(invite, "Min-SE", min_se);
	over(d);
}

/* max(TTL, MIN), whatever the caller asked for. */
Test(rfc4028_7_1, our_invite_asks_for_the_ttl_with_us_as_refresher)
{
	check_invite(NULL, NULL, "600;refresher=uac", "90");
	check_invite(NULL, CALLER_TIMED("Session-Expires: 4000;refresher=uac\nMin-SE: 300"), "600;refresher=uac", "90");
	check_invite("SS_SIP_SESSION_TTL = 86400", NULL, "86400;refresher=uac", "90");
	check_invite("SS_SIP_SESSION_TTL = 90", NULL, "90;refresher=uac", "90");
	check_invite("RW_SIP_MIN_SE = 1\nSS_SIP_SESSION_TTL = 1", NULL, "1;refresher=uac", "1");
	check_invite("RW_SIP_MIN_SE = 86400\nSS_SIP_SESSION_TTL = 86400", NULL, "86400;refresher=uac", "86400");
}

static void assert_next_try(const struct heard *before, const struct heard *after, const char *min_se)
{
	char session[40];
	unsigned asked = 600;
	sscanf(min_se, "%u", &asked);
	snprintf(session, sizeof session, "%u;refresher=uac", asked > 600 ? asked : 600);
	cr_assert(after, "no new INVITE");
	cr_assert(bytes_equal(before->w.call_id, after->w.call_id));
	cr_assert(bytes_equal(before->w.from_tag, after->w.from_tag));
	cr_assert_eq(after->w.to_tag.size, 0);
	cr_assert_eq(after->w.cseq, before->w.cseq + 1);
	cr_assert_not(bytes_equal(before->w.branch, after->w.branch));
	cr_assert(bytes_equal(before->w.body, after->w.body));
	assert_header(after, "Min-SE", min_se);
	assert_header(after, "Session-Expires", session);
}

/* F01; known bug 33. */
Test(rfc4028_7_3, F01_bug_33_422_is_followed_by_a_new_transaction_with_its_min_se)
{
	struct duel *d = duel_up(.first = { "422 Min-SE: 700", CALLEE_TIMED("Session-Expires: 700;refresher=uac") });
	assert_next_try(nth(&d->b, "INVITE", 0), nth(&d->b, "INVITE", 1), "700");
	cr_assert_eq(count(&d->b, "ACK"), 2); /* one of the 422, one of the 200 */
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	answers(&d->b.update, "200");
	run_until(d, d->up_ns + 351 * SIM_S);
	assert_segment(refresh(&d->b, 0), d->up_ns, 700, 2, 1);
	assert_header(refresh(&d->b, 0), "Session-Expires", "700;refresher=uac");
	assert_header(refresh(&d->b, 0), "Min-SE", "700");
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->attempts_count, 1, "a repeat after 422 is the same attempt");
	cr_assert_eq(cdr_of(d->call)->attempts[0].code, 200);
	over(d);
}

/* F05: the largest seen each time, three times at most. */
Test(rfc4028_7_3, F05_a_chain_of_422_has_three_more_tries)
{
	struct duel *d = duel_up(.first = { "422 Min-SE: 600", "422 Min-SE: 900", "422 Min-SE: 1200",
					    CALLEE_TIMED("Session-Expires: 1200;refresher=uac") });
	static const char *const min_se[] = { "600", "900", "1200" };
	for (unsigned i = 0; i < 3; i++)
		assert_next_try(nth(&d->b, "INVITE", i), nth(&d->b, "INVITE", i + 1), min_se[i]);
	over(d);
}

static void check_422_fails(const char *const *first, unsigned invites, const char *gateways)
{
	struct plan plan = { .gateways = gateways };
	for (unsigned i = 0; first[i]; i++)
		plan.first[i] = first[i];
	struct duel *d = script_call(&plan);
	cr_assert_eq(count(&d->b, "INVITE"), invites, "%u INVITEs after %s", count(&d->b, "INVITE"), first[0]);
	cr_assert(nth(&d->a, "503 INVITE", 0), "the caller sees no 503");
	cr_assert_eq(count(&d->a, "422 INVITE"), 0);
	cr_assert_eq(cdr_of(d->call)->sip_code, 503);
	cr_assert_eq(cdr_of(d->call)->end_reason, CDR_END_rejected);
	cr_assert_eq(cdr_of(d->call)->attempts_count, 1);
	cr_assert_eq(cdr_of(d->call)->attempts[0].code, 422);
	over(d);
}
#define CHECK_422_FAILS(invites, ...) check_422_fails((const char *const[]){ __VA_ARGS__, NULL }, invites, NULL)

/* F02, F03, F04: without a Min-SE above the largest seen and at most 86400 nothing is gained by asking again. */
Test(rfc4028_6, F02_F03_F04_a_useless_422_fails_the_attempt_and_the_caller_gets_503)
{
	CHECK_422_FAILS(1, "422");
	CHECK_422_FAILS(1, "422 Min-SE: 60");
	CHECK_422_FAILS(1, "422 Min-SE: 90");
	CHECK_422_FAILS(1, "422 Min-SE: 86401");
	CHECK_422_FAILS(1, "422 Min-SE: 86400000");
	CHECK_422_FAILS(1, "422 Min-SE: 4294967296");
	CHECK_422_FAILS(1, "422 Min-SE: soon");
	CHECK_422_FAILS(2, "422 Min-SE: 700", "422 Min-SE: 700");
	CHECK_422_FAILS(2, "422 Min-SE: 700", "422 Min-SE: 650");
	CHECK_422_FAILS(4, "422 Min-SE: 601", "422 Min-SE: 602", "422 Min-SE: 603", "422 Min-SE: 604", "200");
}

Test(rfc4028_6, the_largest_min_se_that_is_followed_is_86400)
{
	struct duel *d = duel_up(.first = { "422 Min-SE: 86400", "200" });
	assert_header(nth(&d->b, "INVITE", 1), "Session-Expires", "86400;refresher=uac");
	over(d);
}

/* known bug 32. */
Test(timer_off, bug_32_a_422_of_that_gateway_fails_cleanly)
{
	static const char *const first[] = { "422 Min-SE: 700", NULL };
	check_422_fails(first, 1, GATEWAYS("", "timer = off"));
}

Test(timer_off, the_callee_is_treated_as_one_without_timers)
{
	struct duel *d = duel_up(.gateways = GATEWAYS("", "timer = off"), .invite = CALLER_TIMED(""),
				 .ok = CALLEE_TIMED("Session-Expires: 100;refresher=uas"));
	const struct heard *invite = nth(&d->b, "INVITE", 0);
	assert_header(invite, "Supported", "");
	assert_header(invite, "Session-Expires", "");
	assert_header(invite, "Min-SE", "");
	run_until(d, d->up_ns + 2000 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 0);
	cr_assert_gt(refreshes(&d->a), 0);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A);
	over(d);
}

/* ---- what a 2xx makes of it ---- */

struct answer_row {
	const char *id, *ok;
	uint32_t refresh_s;  /* a refresh is due before the end of this many seconds and after nine tenths; 0: none */
	uint32_t probe_s;    /* or the first one after exactly this */
	uint32_t interval_s; /* of a callee that falls silent; 0: no timer */
};

static void check_answer(const struct answer_row *row)
{
	struct duel *d = duel_up(.parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0", .ok = row->ok);
	d->b.gone = true;
	const struct heard *first = NULL;
	run_until(d, d->up_ns + (row->refresh_s + row->probe_s) * SIM_S + 3 * SIM_MS);
	first = refresh(&d->b, 0);
	cr_assert_eq(first != NULL, row->refresh_s || row->probe_s, "%s: a refresh or not", row->id);
	if (row->refresh_s)
		cr_assert_geq(first->at_ns, d->up_ns + row->refresh_s * 900 * SIM_MS, "%s: too early", row->id);
	else if (row->probe_s)
		assert_after(first->at_ns, d->up_ns, row->probe_s * SIM_S);
	if (row->interval_s) {
		assert_expires(d, d->up_ns + row->interval_s * SIM_S);
		cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_B, "%s", row->id);
	} else {
		run(d, 90000 * SIM_S);
		cr_assert_eq(refreshes(&d->b), 0, "%s", row->id);
		hang_up(d);
		cr_assert_eq(cdr_of(d->call)->session_timer, 0, "%s", row->id);
	}
	over(d);
}

#define ALLOWS "200 Allow: INVITE, ACK, BYE, UPDATE\n"

Test(rfc4028_7_2, each_form_of_the_callees_2xx_has_its_timer)
{
	static const struct answer_row rows[] = {
		{ "A01", ALLOWS "Require: timer\nSession-Expires: 120;refresher=uac", 60, 0, 120 },
		{ "A02", ALLOWS "Require: timer\nSession-Expires: 120;refresher=uas", 0, 80, 120 },
		{ "A03", ALLOWS "Session-Expires: 120", 60, 0, 120 },
		{ "A03, another word", ALLOWS "Session-Expires: 120;refresher=proxy", 60, 0, 120 },
		{ "A04", ALLOWS "Session-Expires: 60;refresher=uac", 30, 0, 90 },
		{ "A04, less than 30", ALLOWS "Session-Expires: 4;refresher=uac", 15, 0, 90 },
		{ "A05", ALLOWS "Session-Expires: 0;refresher=uac", 0, 0, 0 },
		{ "A05, text", ALLOWS "Session-Expires: soon;refresher=uac", 0, 0, 0 },
		{ "A05, sign", ALLOWS "Session-Expires: -1;refresher=uac", 0, 0, 0 },
		{ "A06", ALLOWS "Session-Expires: 7200;refresher=uac", 300, 0, 600 },
		{ "A06, 2^32", ALLOWS "Session-Expires: 4294967296;refresher=uac", 300, 0, 600 },
		{ "A07", ALLOWS "Require: timer", 0, 0, 0 },
		{ "A08", ALLOWS, 0, 0, 0 },
		{ "compact", ALLOWS "x: 120;refresher=uas", 0, 80, 120 },
		{ "two", ALLOWS "Session-Expires: 120;refresher=uac\nSession-Expires: 300", 60, 0, 120 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_answer(&rows[i]);
}

/* A09; known bug 19: what a 183 says of timers is nothing. */
Test(rfc4028_7_2, A09_bug_19_only_the_2xx_counts_after_an_early_dialog)
{
	struct duel *d = duel_up(.progress = "183 Session-Expires: 120;refresher=uac",
				 .ok = CALLEE_TIMED("Session-Expires: 300;refresher=uas"), .rings_ns = 70 * SIM_S);
	d->b.gone = true;
	run_until(d, d->up_ns + 236 * SIM_S - 1);
	cr_assert_eq(refreshes(&d->b), 0);
	run(d, 3 * SIM_MS);
	cr_assert_eq(refreshes(&d->b), 1);
	assert_expires(d, d->up_ns + 300 * SIM_S);
	over(d);
}

/* A02: as written there, and what was agreed is not overtaken: the probe says that we refresh from now on. */
Test(rfc4028_7_2, A02_a_silent_refresher_is_probed_and_then_hung_up)
{
	struct duel *d = duel_up(.ok = CALLEE_TIMED("Session-Expires: 120;refresher=uas"));
	d->b.gone = true;
	run_until(d, d->up_ns + 81 * SIM_S);
	assert_header(refresh(&d->b, 0), "Session-Expires", "120;refresher=uac");
	assert_expires(d, d->up_ns + 120 * SIM_S);
	over(d);
}

/* known bug 5: an interval below the Min-SE that we sent: the call stays, for as long as that peer answers. */
Test(rfc4028_9, bug_5_A04_a_callee_below_the_minimum_keeps_its_call)
{
	struct duel *d = duel_up(.ok = CALLEE_TIMED("Session-Expires: 60;refresher=uac"));
	answers(&d->b.update, "200 Session-Expires: 60;refresher=uac");
	run_until(d, d->up_ns + 3000 * SIM_S);
	unsigned sent = refreshes(&d->b);
	cr_assert(sent >= 100 && sent <= 111, "%u refreshes in 3000 s", sent);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, sent);
	over(d);
}

/* known bug 26: the peer's 200 names us: we refresh. */
Test(rfc4028_10, bug_26_we_refresh_when_the_2xx_names_us)
{
	struct duel *d = duel_up(.ok = CALLEE_TIMED("Session-Expires: 200;refresher=uac"));
	answers(&d->b.update, "200 Session-Expires: 200;refresher=uac");
	run_until(d, d->up_ns + 2000 * SIM_S);
	cr_assert_geq(refreshes(&d->b), 20);
	over(d);
}

/* known bug 14: the callee refreshes every 1800 s: nothing happens after 120 s, nor before its time is up. */
Test(SS_SIP_SESSION_TTL, bug_14_a_long_interval_of_the_callee_is_kept)
{
	struct duel *d = duel_up(.parameters = "SS_SIP_SESSION_TTL = 1800\nSS_SIP_NO_TIMER_REINVITE_INTERVAL = 0",
				 .ok = CALLEE_TIMED("Session-Expires: 1800;refresher=uas"));
	for (unsigned i = 1; i <= 5; i++) {
		run_until(d, d->up_ns + i * 900 * SIM_S);
		say(&d->b, "UPDATE", "Supported: timer\nSession-Expires: 1800;refresher=uac\n", BYTES_NONE);
	}
	run(d, SIM_S);
	cr_assert_eq(refreshes(&d->b), 0);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	over(d);
}
