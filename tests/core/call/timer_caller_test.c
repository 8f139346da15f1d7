/* Session timers with the caller: what its INVITE is answered with, and when the timer starts.  RFC 4028 4, 5, 6, 9;
 * spec 5 "Caller leg"; the rows R01 to R34 are those of the collected odd headers. */
#include "script.h"

#include <string.h>

#define GATEWAYS(mapping, routing)                                                                                     \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " mapping " }\n"                                         \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} " routing " }\n"

struct row {
	const char *id, *lines;
	unsigned status;
	const char *session; /* Session-Expires of the 2xx */
	bool required;       /* Require: timer in it */
};

static void check_row(const struct row *row, const char *parameters)
{
	struct duel *d = duel(.parameters = parameters, .invite = row->lines);
	char name[24];
	snprintf(name, sizeof name, "%u INVITE", row->status);
	const struct heard *final = nth(&d->a, name, 0);
	cr_assert(final, "%s: no %s", row->id, name);
	if (row->status >= 300) {
		cr_assert_null(d->b.ua, "%s: an attempt was made", row->id);
		cr_assert_eq(d->sim->cdr_count, 0, "%s: a record of no call", row->id);
		cr_assert_str_eq(header(final, "Min-SE"), row->status == 422 ? row->session : "", "%s: Min-SE %s",
				 row->id, header(final, "Min-SE"));
		over(d);
		return;
	}
	cr_assert_str_eq(header(final, "Session-Expires"), row->session, "%s: Session-Expires: %s", row->id,
			 header(final, "Session-Expires"));
	cr_assert_str_eq(header(final, "Require"), row->required ? "timer" : "", "%s: Require: %s", row->id,
			 header(final, "Require"));
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->session_timer, *row->session ? CDR_TIMER_A : 0, "%s", row->id);
	over(d);
}

/* The usual parameters: 600 s at most, 90 s at least. */
Test(rfc4028_9, what_each_form_of_the_callers_headers_is_answered)
{
	static const struct row rows[] = {
		{ "R01", "Supported: timer\nSession-Expires: 1800", 200, "600;refresher=uas", true },
		{ "R02", "Supported: timer\nSession-Expires: 1800;refresher=uac", 200, "600;refresher=uac", true },
		{ "R03", "Supported: timer\nSession-Expires: 1800;refresher=uas", 200, "600;refresher=uas", true },
		{ "R04", "k: timer\nx: 1800;refresher=uac", 200, "600;refresher=uac", true },
		{ "R05", "SUPPORTED: 100rel , TIMER\nsEsSiOn-ExPiReS : 1800 ; ReFrEsHeR = UaC", 200,
		  "600;refresher=uac", true },
		{ "R06", "Supported: timer\nSession-Expires: 1800;foo=bar;refresher=uas;baz", 200, "600;refresher=uas",
		  true },
		{ "R07", "Supported: timer\nSession-Expires:\n 1800;\n\trefresher=uac", 200, "600;refresher=uac",
		  true },
		{ "R08", "Supported: timer\nSession-Expires: 0000300", 200, "300;refresher=uas", true },
		{ "R09", "Supported: replaces\nSupported: timer\nSession-Expires: 1800", 200, "600;refresher=uas",
		  true },
		{ "R10", "Supported: xtimer, timer2\nSession-Expires: 1800", 200, "600;refresher=uas", false },
		{ "R11", "Supported: timer\nSession-Expires: 4294967295", 200, "600;refresher=uas", true },
		{ "R12", "Supported: timer\nSession-Expires: 4294967296", 200, "600;refresher=uas", true },
		{ "R13", "Supported: timer\nSession-Expires: 18446744073709551616", 200, "600;refresher=uas", true },
		{ "R14", "Supported: timer\nSession-Expires: -1", 400, NULL, false },
		{ "R15", "Supported: timer\nSession-Expires:", 400, NULL, false },
		{ "R16", "Supported: timer\nSession-Expires: 1800s", 400, NULL, false },
		{ "R17", "Supported: timer\nSession-Expires: 1800;refresher=", 200, "600;refresher=uas", true },
		{ "R18", "Supported: timer\nSession-Expires: 1800;refresher=proxy", 200, "600;refresher=uas", true },
		{ "R20", "Supported: timer\nSession-Expires: 1800\nSession-Expires: 120", 400, NULL, false },
		{ "R21", "Supported: timer\nSession-Expires: 1800, 120", 400, NULL, false },
		{ "R22", "Supported: timer\nSession-Expires: 89", 422, "90", false },
		{ "R23", "Supported: timer\nSession-Expires: 0", 422, "90", false },
		{ "R24", "Supported: timer\nSession-Expires: 90", 200, "90;refresher=uas", true },
		{ "R25", "Supported: timer\nSession-Expires: 3600\nMin-SE: 3600", 200, "3600;refresher=uas", true },
		{ "R26", "Supported: timer\nSession-Expires: 1800\nMin-SE: 3600", 200, "3600;refresher=uas", true },
		{ "R27", "Supported: timer\nMin-SE: 3600", 200, "3600;refresher=uas", true },
		{ "R28", "Supported: timer\nSession-Expires: 1800\nMin-SE: 120;foo=bar", 200, "600;refresher=uas",
		  true },
		{ "R29", "Supported: timer\nSession-Expires: 1800\nMin-SE: 0", 200, "600;refresher=uas", true },
		{ "R30", "Session-Expires: 1800", 200, "600;refresher=uas", false },
		{ "R31", "Session-Expires: 30", 200, "90;refresher=uas", false },
		{ "R32", "Session-Expires: 1800;refresher=uac", 200, "600;refresher=uas", false },
		{ "R33", "Require: timer\nSupported: timer\nSession-Expires: 1800", 200, "600;refresher=uas", true },
		{ "R33, Require alone", "Require: timer\nSession-Expires: 1800", 200, "600;refresher=uas", true },
		{ "R34", "Supported: timer", 200, "600;refresher=uas", true },
		{ "nothing", NULL, 200, "", false },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i], NULL);
}

/* Refreshing twice over is decided one way, and the same for both: what the 2xx says is what is done. */
Test(rfc3261_7_3_1, R19_a_doubled_refresher_is_refused_or_decided)
{
	struct duel *d = duel(.invite = CALLER_TIMED("Session-Expires: 300;refresher=uac;refresher=uas"));
	const struct heard *ok = nth(&d->a, "200 INVITE", 0);
	if (!ok) {
		cr_assert(nth(&d->a, "400 INVITE", 0));
		over(d);
		return;
	}
	bool ours = strcmp(header(ok, "Session-Expires"), "300;refresher=uas") == 0;
	if (!ours)
		assert_header(ok, "Session-Expires", "300;refresher=uac");
	run_until(d, d->up_ns + 151 * SIM_S);
	cr_assert_eq(refreshes(&d->a), ours);
	over(d);
}

/* torture/session-timer, the matrix: minimum 101 s, preferred 199 s. */
Test(rfc4028_9, interval_follows_the_matrix_of_min_se_and_session_expires)
{
	static const struct {
		uint32_t min_se, asked; /* 0: not said */
		unsigned status;
		const char *session;
	} rows[] = {
		{ 0, 0, 200, "199;refresher=uas" },
		{ 90, 0, 200, "199;refresher=uas" },
		{ 150, 0, 200, "199;refresher=uas" },
		{ 240, 0, 200, "240;refresher=uas" },
		{ 0, 100, 422, "101" },
		{ 90, 100, 422, "101" },
		{ 0, 150, 200, "150;refresher=uas" },
		{ 90, 150, 200, "150;refresher=uas" },
		{ 140, 150, 200, "150;refresher=uas" },
		{ 0, 250, 200, "199;refresher=uas" },
		{ 90, 250, 200, "199;refresher=uas" },
		{ 150, 250, 200, "199;refresher=uas" },
		{ 240, 250, 200, "240;refresher=uas" },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		char lines[128], min_se[32] = "", asked[40] = "", id[24];
		if (rows[i].min_se)
			snprintf(min_se, sizeof min_se, "Min-SE: %u\n", rows[i].min_se);
		if (rows[i].asked)
			snprintf(asked, sizeof asked, "Session-Expires: %u\n", rows[i].asked);
		snprintf(lines, sizeof lines, "Supported: timer\n%s%s", min_se, asked);
		snprintf(id, sizeof id, "row %u", i);
		check_row(&(struct row){ id, lines, rows[i].status, rows[i].session, rows[i].status == 200 },
			  "RW_SIP_MIN_SE = 101\nSS_SIP_SESSION_TTL = 199");
	}
}

/* "The caller supports timers if timer is in Supported or Require, or, as VOS3000 has it, if Session-Expires is
 * present": then the cap of calls without timers is not for it. */
Test(spec_5, a_caller_with_any_sign_of_timers_is_not_capped)
{
	static const char *const signs[] = { "Supported: timer", "Require: timer", "Session-Expires: 300" };
	for (unsigned i = 0; i < 3; i++) {
		struct duel *d = duel_up(.parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 1000", .invite = signs[i]);
		run_until(d, d->up_ns + 3000 * SIM_S);
		cr_assert_eq(count(&d->a, "BYE"), 0, "%s", signs[i]);
		cr_assert_gt(refreshes(&d->a), 4);
		over(d);
	}
}

/* One header must not do away with every proof of life: a window of years is no timer. */
Test(spec_5, a_caller_whose_min_se_is_beyond_a_day_is_capped)
{
	static const char *const lines[] = { CALLER_TIMED("Min-SE: 4294967295"),
					     CALLER_TIMED("Session-Expires: 1800;refresher=uac\nMin-SE: 86400000") };
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_up(.parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 1000", .invite = lines[i]);
		assert_header(nth(&d->a, "200 INVITE", 0), "Session-Expires", "");
		assert_header(nth(&d->a, "200 INVITE", 0), "Require", "");
		assert_ends(d, d->up_ns + 1000 * SIM_S, CDR_END_no_timer_cap);
		cr_assert_eq(cdr_of(d->call)->session_timer, 0);
		over(d);
	}
}

/* RFC 4028 9: a value below the minimum without the tag counts as the minimum, also for the timer itself. */
Test(rfc4028_8_1, R31_a_small_value_without_the_tag_runs_as_the_minimum)
{
	struct duel *d = duel_up(.invite = "Session-Expires: 30");
	d->a.gone = true;
	run_until(d, d->up_ns + 46 * SIM_S);
	assert_segment(refresh(&d->a, 0), d->up_ns, 90, 2, 1);
	assert_expires(d, d->up_ns + 90 * SIM_S);
	over(d);
}

/* known bug 13: 90 asked, 90 is the minimum: no built-in 120. */
Test(RW_SIP_MIN_SE, bug_13_its_own_value_is_accepted)
{
	check_row(&(struct row){ "90", "Supported: timer\nSession-Expires: 90\nMin-SE: 90", 200, "90;refresher=uas",
				 true },
		  NULL);
	check_row(&(struct row){ "45", "Supported: timer\nSession-Expires: 45", 200, "45;refresher=uas", true },
		  "RW_SIP_MIN_SE = 45");
	check_row(&(struct row){ "44", "Supported: timer\nSession-Expires: 44", 422, "45", false },
		  "RW_SIP_MIN_SE = 45");
	check_row(&(struct row){ "1", "Supported: timer\nSession-Expires: 1", 200, "1;refresher=uas", true },
		  "RW_SIP_MIN_SE = 1");
	check_row(&(struct row){ "86399", "Supported: timer\nSession-Expires: 86399", 422, "86400", false },
		  "RW_SIP_MIN_SE = 86400\nSS_SIP_SESSION_TTL = 86400");
}

Test(SS_SIP_SESSION_TTL, is_what_the_2xx_says_unless_less_was_asked)
{
	check_row(&(struct row){ "90", "Supported: timer\nSession-Expires: 1800", 200, "90;refresher=uas", true },
		  "SS_SIP_SESSION_TTL = 90");
	check_row(
		&(struct row){ "86400", "Supported: timer\nSession-Expires: 100000", 200, "86400;refresher=uas", true },
		"SS_SIP_SESSION_TTL = 86400");
	check_row(&(struct row){ "less", "Supported: timer\nSession-Expires: 700", 200, "700;refresher=uas", true },
		  "SS_SIP_SESSION_TTL = 86400");
	check_row(&(struct row){ "none", "Supported: timer", 200, "1234;refresher=uas", true },
		  "SS_SIP_SESSION_TTL = 1234");
}

/* "The timer starts with the 2xx, never with a request or a 1xx" (known bug 34). */
Test(rfc4028_9, the_timer_starts_with_the_2xx)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 90"), .rings_ns = 80 * SIM_S,
				 .progress = "180 Session-Expires: 90;refresher=uac");
	d->a.gone = true;
	run_until(d, d->up_ns + 46 * SIM_S);
	cr_assert_eq(refreshes(&d->a), 1);
	assert_segment(refresh(&d->a, 0), d->up_ns, 90, 2, 1);
	assert_expires(d, d->up_ns + 90 * SIM_S);
	over(d);
}

/* The caller named itself: we leave the refreshing to it. */
Test(rfc4028_9, a_caller_that_refreshes_is_not_refreshed)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300;refresher=uac"));
	run_until(d, d->up_ns + 235 * SIM_S);
	cr_assert_eq(refreshes(&d->a), 0);
	over(d);
}

/* timer = off: a caller without timers, whatever it says; what it requires is not there. */
Test(timer_off, the_caller_is_treated_as_one_without_timers)
{
	struct duel *d = duel_up(.gateways = GATEWAYS("timer = off", ""),
				 .parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 1000",
				 .invite = CALLER_TIMED("Session-Expires: 30;refresher=uas"),
				 .ok = CALLEE_TIMED("Session-Expires: 600;refresher=uac"));
	const struct heard *ok = nth(&d->a, "200 INVITE", 0);
	assert_header(ok, "Session-Expires", "");
	assert_header(ok, "Require", "");
	answers(&d->b.update, TIMED_200);
	assert_ends(d, d->up_ns + 1000 * SIM_S, CDR_END_no_timer_cap);
	cr_assert_eq(refreshes(&d->a), 0);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_B);
	over(d);
}

Test(timer_off, a_caller_that_requires_timers_gets_420)
{
	struct duel *d = duel(.gateways = GATEWAYS("timer = off", ""), .invite = "Require: timer");
	assert_header(nth(&d->a, "420 INVITE", 0), "Unsupported", "timer");
	cr_assert_null(d->b.ua);
	over(d);
}

/* known bug 23: each leg has its own interval and refresher, and a 422 on one is not seen on the other. */
Test(rfc4028_9, bug_23_each_leg_negotiates_by_itself)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 300;refresher=uac"),
				 .first = { "422 Min-SE: 700", CALLEE_TIMED("Session-Expires: 650;refresher=uac") });
	assert_header(nth(&d->a, "200 INVITE", 0), "Session-Expires", "300;refresher=uac");
	cr_assert_eq(count(&d->a, "422 INVITE"), 0);
	answers(&d->b.update, "200 Session-Expires: 650;refresher=uac");
	for (unsigned i = 1; i < 6; i++) {
		run_until(d, d->up_ns + i * 140 * SIM_S);
		say(&d->a, "UPDATE", "Supported: timer\nSession-Expires: 300;refresher=uac\n", BYTES_NONE);
	}
	run(d, SIM_S);
	cr_assert_eq(refreshes(&d->a), 0);
	cr_assert_eq(refreshes(&d->b), 2);
	assert_segment(refresh(&d->b, 0), d->up_ns, 650, 2, 1);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A | CDR_TIMER_B);
	cr_assert_eq(cdr_of(d->call)->refreshes_sent, 2);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 2);
	over(d);
}
