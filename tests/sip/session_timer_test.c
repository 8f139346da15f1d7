/* Session timers: what is read from a message, what is answered and asked, and what a 2xx brings into force.
 * RFC 4028 4 to 9, and the parameters that bound it. */
#include "reading.h"
#include "sip/session_timer.h"

#define HEADERS  VIA FROM TO CALL_ID CSEQ
#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define S(s)     ((s)*UINT64_C(1000000000))
#define NEVER    UINT64_MAX
#define RANDOM   UINT64_C(0x9e3779b97f4a7c15)

static const struct session_timer_rules rules_600 = { .ttl_s = 600, .min_se_s = 90, .segments = 2 };

/* Lines: header lines with their CRLF. */
static struct session_timer_headers read_headers(const char *start_line, const char *lines)
{
	static char text[4096];
	struct session_timer_headers headers;

	snprintf(text, sizeof text, "%s" HEADERS "%s" END, start_line, lines);
	cr_assert_eq(read_text(text), SIP_READ_OK, "%s", text);
	session_timer_read(&message, &headers);
	return headers;
}

static struct session_timer_headers request(const char *lines)
{
	return read_headers(INVITE, lines);
}

static struct session_timer_headers ok(const char *lines)
{
	return read_headers("SIP/2.0 200 OK\r\n", lines);
}

static struct session_timer_headers too_small(const char *lines)
{
	return read_headers("SIP/2.0 422 Session Interval Too Small\r\n", lines);
}

static struct session_timer leg(const struct session_timer_rules *rules)
{
	struct session_timer t;

	session_timer_init(&t, true, rules);
	cr_assert(session_timer_check(&t));
	return t;
}

static const char *answer_lines(const struct session_timer *t, const struct session_timer_offer *offer)
{
	static char text[256];
	struct builder b;

	build_begin(&b, text, sizeof text - 1);
	session_timer_build_answer(&b, t, offer);
	cr_assert_not(b.overflow);
	*b.at = '\0';
	return text;
}

static const char *request_lines(const struct session_timer *t, const struct session_timer_rules *rules, bool claim)
{
	static char text[256];
	struct builder b;

	build_begin(&b, text, sizeof text - 1);
	session_timer_build_request(&b, t, rules, claim);
	cr_assert_not(b.overflow);
	*b.at = '\0';
	return text;
}

/* Judges, answers with 2xx at now_ns and starts the timer. */
static struct session_timer_offer answer(struct session_timer *t, const struct session_timer_rules *rules,
					 const char *lines, bool in_dialog, uint64_t now_ns)
{
	struct session_timer_headers headers = request(lines);
	struct session_timer_offer offer;

	cr_assert_eq(session_timer_judge(t, rules, &headers), SESSION_ACCEPT, "%s", lines);
	session_timer_answer(t, rules, &headers, in_dialog, &offer);
	session_timer_answered(t, rules, &offer, now_ns, RANDOM);
	return offer;
}

static void confirm(struct session_timer *t, const struct session_timer_rules *rules, const char *lines, bool initial,
		    bool claimed, uint64_t now_ns)
{
	struct session_timer_headers headers = ok(lines);

	uint32_t first_s = rules->ttl_s > t->min_se_s ? rules->ttl_s : t->min_se_s;
	session_timer_confirmed(t, rules, &headers, initial ? first_s : session_timer_asks_s(t, rules), initial,
				claimed, now_ns, RANDOM);
	cr_assert(session_timer_check(t), "%s", lines);
}

#define TAG "Supported: timer\r\n"

/* What a caller may send, with 90 s the minimum and 1800 s the preferred interval. */
static const struct caller_row {
	const char *id, *lines;
	enum session_timer_verdict verdict;
	uint32_t interval_s;
	bool we_refresh, require;
} caller_rows[] = {
	{ "R01", TAG "Session-Expires: 1800\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R02", TAG "Session-Expires: 1800;refresher=uac\r\n", SESSION_ACCEPT, 1800, false, true },
	{ "R03", TAG "Session-Expires: 1800;refresher=uas\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R04", "k: timer\r\nx: 1800;refresher=uac\r\n", SESSION_ACCEPT, 1800, false, true },
	{ "R05", "SUPPORTED: 100rel , TIMER\r\nsEsSiOn-ExPiReS : 1800 ; ReFrEsHeR = UaC\r\n", SESSION_ACCEPT, 1800,
	  false, true },
	{ "R06", TAG "Session-Expires: 1800;foo=bar;refresher=uas;baz\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R07", TAG "Session-Expires:\r\n 1800;\r\n\trefresher=uac\r\n", SESSION_ACCEPT, 1800, false, true },
	{ "R08", TAG "Session-Expires: 0001800\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R09", "Supported: replaces\r\n" TAG "Session-Expires: 1800\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R10", "Supported: xtimer, timer2\r\nSession-Expires: 1800\r\n", SESSION_ACCEPT, 1800, true, false },
	{ "R11", TAG "Session-Expires: 4294967295\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R12", TAG "Session-Expires: 4294967296\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R13", TAG "Session-Expires: 18446744073709551616\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R14", TAG "Session-Expires: -1\r\n", SESSION_MALFORMED, 0, false, false },
	{ "R15", TAG "Session-Expires:\r\n", SESSION_MALFORMED, 0, false, false },
	{ "R16", TAG "Session-Expires: 1800s\r\n", SESSION_MALFORMED, 0, false, false },
	{ "R17", TAG "Session-Expires: 1800;refresher=\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R18", TAG "Session-Expires: 1800;refresher=proxy\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R19", TAG "Session-Expires: 1800;refresher=uac;refresher=uas\r\n", SESSION_ACCEPT, 1800, false, true },
	{ "R20", TAG "Session-Expires: 1800\r\nSession-Expires: 120\r\n", SESSION_MALFORMED, 0, false, false },
	{ "R21", TAG "Session-Expires: 1800, 120\r\n", SESSION_MALFORMED, 0, false, false },
	{ "R22", TAG "Session-Expires: 89\r\n", SESSION_TOO_SMALL, 0, false, false },
	{ "R23", TAG "Session-Expires: 0\r\n", SESSION_TOO_SMALL, 0, false, false },
	{ "R24", TAG "Session-Expires: 90\r\n", SESSION_ACCEPT, 90, true, true },
	{ "R25", TAG "Session-Expires: 3600\r\nMin-SE: 3600\r\n", SESSION_ACCEPT, 3600, true, true },
	{ "R26", TAG "Session-Expires: 1800\r\nMin-SE: 3600\r\n", SESSION_ACCEPT, 3600, true, true },
	{ "R27", TAG "Min-SE: 3600\r\n", SESSION_ACCEPT, 3600, true, true },
	{ "R28", TAG "Session-Expires: 1800\r\nMin-SE: 120;foo=bar\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R29", TAG "Session-Expires: 1800\r\nMin-SE: 0\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R30", "Session-Expires: 1800\r\n", SESSION_ACCEPT, 1800, true, false },
	{ "R31", "Session-Expires: 30\r\n", SESSION_ACCEPT, 90, true, false },
	{ "R32", "Session-Expires: 1800;refresher=uac\r\n", SESSION_ACCEPT, 1800, true, false },
	{ "R33", "Require: timer\r\n" TAG "Session-Expires: 1800\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "R34", TAG, SESSION_ACCEPT, 1800, true, true },
	{ "Require alone is support", "Require: timer\r\nSession-Expires: 100;refresher=uac\r\n", SESSION_ACCEPT, 100,
	  false, true },
	{ "neither", "Supported: replaces\r\n", SESSION_ACCEPT, 0, true, false },
	{ "Min-SE alone is no support", "Min-SE: 120\r\n", SESSION_ACCEPT, 0, true, false },
	{ "zero without the tag", "Session-Expires: 0\r\n", SESSION_ACCEPT, 90, true, false },
	{ "zero and Min-SE without the tag", "Session-Expires: 0\r\nMin-SE: 100\r\n", SESSION_ACCEPT, 100, true,
	  false },
	{ "unreadable without the tag", "Session-Expires: soon\r\n", SESSION_MALFORMED, 0, false, false },
	{ "plus", TAG "Session-Expires: +1800\r\n", SESSION_MALFORMED, 0, false, false },
	{ "parameters alone", TAG "Session-Expires: ;refresher=uac\r\n", SESSION_MALFORMED, 0, false, false },
	{ "two words", TAG "Session-Expires: 1800 120\r\n", SESSION_MALFORMED, 0, false, false },
	{ "nothing after the semicolon", TAG "Session-Expires: 1800;\r\n", SESSION_ACCEPT, 1800, true, true },
	{ "compact and long", TAG "x: 1800\r\nSession-Expires: 1800\r\n", SESSION_MALFORMED, 0, false, false },
	{ "Min-SE unreadable", TAG "Session-Expires: 1800\r\nMin-SE: -1\r\n", SESSION_MALFORMED, 0, false, false },
	{ "Min-SE twice", TAG "Session-Expires: 1800\r\nMin-SE: 90\r\nMin-SE: 90\r\n", SESSION_MALFORMED, 0, false,
	  false },
	{ "the largest Min-SE", TAG "Session-Expires: 90\r\nMin-SE: 86400\r\n", SESSION_ACCEPT, 86400, true, true },
	{ "Min-SE beyond it", TAG "Session-Expires: 1800;refresher=uac\r\nMin-SE: 86401\r\n", SESSION_ACCEPT, 0, true,
	  false },
	{ "Min-SE in milliseconds", TAG "Min-SE: 86400000\r\n", SESSION_ACCEPT, 0, true, false },
	{ "Min-SE past 32 bits", TAG "Session-Expires: 90\r\nMin-SE: 18446744073709551616\r\n", SESSION_ACCEPT, 0, true,
	  false },
};

Test(rfc4028_9, each_form_of_the_callers_headers_has_its_answer)
{
	static const struct session_timer_rules rules = { .ttl_s = 1800, .min_se_s = 90, .segments = 2 };

	for (size_t i = 0; i < COUNT(caller_rows); i++) {
		const struct caller_row *row = &caller_rows[i];
		struct session_timer t = leg(&rules);
		struct session_timer_headers headers = request(row->lines);
		struct session_timer_offer offer;
		char expected[256];

		cr_expect_eq(session_timer_judge(&t, &rules, &headers), row->verdict, "%s", row->id);
		if (row->verdict != SESSION_ACCEPT)
			continue;
		session_timer_answer(&t, &rules, &headers, false, &offer);
		if (row->interval_s)
			snprintf(expected, sizeof expected, TAG "%sSession-Expires: %u;refresher=%s\r\n",
				 row->require ? "Require: timer\r\n" : "", row->interval_s,
				 row->we_refresh ? "uas" : "uac");
		else
			snprintf(expected, sizeof expected, TAG);
		cr_expect_str_eq(answer_lines(&t, &offer), expected, "%s: %s", row->id, answer_lines(&t, &offer));
		cr_expect_eq(t.wait, SESSION_IDLE, "%s: the request starts nothing", row->id);
		session_timer_answered(&t, &rules, &offer, S(7), RANDOM);
		cr_expect(session_timer_check(&t), "%s", row->id);
		cr_expect_eq(t.interval_s, row->interval_s, "%s", row->id);
		cr_expect_eq(t.we_refresh, row->we_refresh, "%s", row->id);
		cr_expect_eq(session_timer_expires_ns(&t), row->interval_s ? S(UINT64_C(7) + row->interval_s) : NEVER,
			     "%s", row->id);
	}
}

/* A UAS with a minimum of 101 s that prefers 199 s; 0: the header is not there. */
Test(rfc4028_9, interval_follows_the_matrix_of_min_se_and_session_expires)
{
	static const struct session_timer_rules rules = { .ttl_s = 199, .min_se_s = 101, .segments = 2 };
	static const struct {
		unsigned min_se_s, asked_s, answered_s; /* answered_s 0: 422 */
	} matrix[] = {
		{ 0, 0, 199 },    { 90, 0, 199 },    { 150, 0, 199 },   { 240, 0, 240 },   { 0, 100, 0 },
		{ 90, 100, 0 },   { 0, 150, 150 },   { 90, 150, 150 },  { 140, 150, 150 }, { 0, 250, 199 },
		{ 90, 250, 199 }, { 150, 250, 199 }, { 240, 250, 240 },
	};

	for (size_t i = 0; i < COUNT(matrix); i++) {
		struct session_timer t = leg(&rules);
		struct session_timer_headers headers;
		struct session_timer_offer offer;
		char lines[128] = TAG;

		if (matrix[i].min_se_s)
			snprintf(lines + strlen(lines), 40, "Min-SE: %u\r\n", matrix[i].min_se_s);
		if (matrix[i].asked_s)
			snprintf(lines + strlen(lines), 40, "Session-Expires: %u\r\n", matrix[i].asked_s);
		headers = request(lines);
		cr_expect_eq(session_timer_judge(&t, &rules, &headers),
			     matrix[i].answered_s ? SESSION_ACCEPT : SESSION_TOO_SMALL, "%s", lines);
		session_timer_answer(&t, &rules, &headers, false, &offer);
		if (matrix[i].answered_s)
			cr_expect_eq(offer.interval_s, matrix[i].answered_s, "%s: %u", lines, offer.interval_s);
	}
}

Test(rfc4028_9, request_in_a_dialog_names_the_refresher_or_keeps_it)
{
	struct session_timer t = leg(&rules_600);

	answer(&t, &rules_600, TAG "Session-Expires: 600;refresher=uac\r\n", false, S(0));
	cr_assert_not(t.we_refresh);
	answer(&t, &rules_600, TAG "Session-Expires: 600\r\n", true, S(100));
	cr_assert_not(t.we_refresh, "the peer refreshed so far");
	answer(&t, &rules_600, TAG "Session-Expires: 600;refresher=uas\r\n", true, S(200));
	cr_assert(t.we_refresh, "roles may swap");
	answer(&t, &rules_600, TAG "Session-Expires: 600;refresher=someone\r\n", true, S(300));
	cr_assert(t.we_refresh, "we refreshed so far");
	answer(&t, &rules_600, TAG, true, S(350));
	cr_assert(t.we_refresh);
	answer(&t, &rules_600, TAG "Session-Expires: 120;refresher=uac\r\n", true, S(400));
	cr_assert_not(t.we_refresh);
	cr_assert_eq(session_timer_expires_ns(&t), S(520));
	cr_assert_eq(t.wait, SESSION_PROBE);
}

/* uac and uas are seen from the sender of the request: a callee that refreshes itself says uac, and so does our 2xx. */
Test(rfc4028_9, callee_that_refreshes_is_the_uac_of_its_request)
{
	struct session_timer t = leg(&rules_600);
	struct session_timer_offer offer;

	confirm(&t, &rules_600, "Session-Expires: 600;refresher=uas\r\n", true, false, S(0));
	cr_assert_not(t.we_refresh);
	offer = answer(&t, &rules_600, TAG "Session-Expires: 600\r\n", true, S(290));
	cr_assert_str_eq(answer_lines(&t, &offer), TAG "Require: timer\r\nSession-Expires: 600;refresher=uac\r\n");
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 600;refresher=uas\r\nMin-SE: 90\r\n");
}

Test(rfc4028_9, small_interval_in_a_dialog_is_refused_and_moves_nothing)
{
	struct session_timer t = leg(&rules_600), before;
	struct session_timer_headers headers;

	answer(&t, &rules_600, TAG "Session-Expires: 600\r\n", false, S(0));
	before = t;
	headers = request(TAG "Session-Expires: 30\r\n");
	cr_assert_eq(session_timer_judge(&t, &rules_600, &headers), SESSION_TOO_SMALL);
	headers = request(TAG "Session-Expires: 600\r\nSession-Expires: 600\r\n");
	cr_assert_eq(session_timer_judge(&t, &rules_600, &headers), SESSION_MALFORMED);
	cr_assert_eq(memcmp(&t, &before, sizeof t), 0);
}

/* A re-INVITE that forgot all about timers proves life, but does not make a call that nobody watches. */
Test(rfc4028_9, request_without_timers_in_a_dialog_makes_us_the_refresher)
{
	struct session_timer t = leg(&rules_600);
	struct session_timer_offer offer;

	answer(&t, &rules_600, TAG "Session-Expires: 120;refresher=uac\r\n", false, S(0));
	offer = answer(&t, &rules_600, "", true, S(50));
	cr_assert_str_eq(answer_lines(&t, &offer), TAG "Session-Expires: 120;refresher=uas\r\n");
	cr_assert(t.we_refresh && !t.peer_has_tag);
	cr_assert_eq(session_timer_expires_ns(&t), S(170));

	t = leg(&rules_600);
	offer = answer(&t, &rules_600, "", false, S(0));
	offer = answer(&t, &rules_600, "", true, S(50));
	cr_assert_eq(offer.interval_s, 0, "there was no timer to keep");
	cr_assert_eq(t.confirmed_at_ns, S(50));
	answer(&t, &rules_600, TAG, true, S(60));
	cr_assert_eq(session_timer_expires_ns(&t), S(660), "the same rules as for the first request");
}

/* As one that says nothing: else the next 86,400,000 s would need no proof of life. */
Test(rfc4028_9, min_se_beyond_a_day_does_not_stretch_a_timer_that_runs)
{
	struct session_timer t = leg(&rules_600);

	answer(&t, &rules_600, TAG "Session-Expires: 120;refresher=uac\r\n", false, S(0));
	answer(&t, &rules_600, TAG "Session-Expires: 300;refresher=uac\r\nMin-SE: 86400000\r\n", true, S(50));
	cr_assert_eq(session_timer_expires_ns(&t), S(170));
	cr_assert(t.we_refresh);
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 120;refresher=uac\r\nMin-SE: 90\r\n");
}

Test(rfc4028_7_4, largest_min_se_seen_is_carried_on)
{
	struct session_timer t = leg(&rules_600);

	answer(&t, &rules_600, TAG "Session-Expires: 1000\r\nMin-SE: 900\r\n", false, S(0));
	cr_assert_eq(t.interval_s, 900);
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 900;refresher=uac\r\nMin-SE: 900\r\n");
	answer(&t, &rules_600, TAG "Session-Expires: 120\r\nMin-SE: 100\r\n", true, S(10));
	cr_assert_eq(t.interval_s, 120);
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 900;refresher=uac\r\nMin-SE: 900\r\n");
	answer(&t, &rules_600, TAG, true, S(20));
	cr_assert_eq(t.interval_s, 900, "nothing asked: not below what it named before");
}

/* ---- as UAC ---- */

Test(rfc4028_7_1, first_request_asks_for_the_ttl_with_us_as_refresher)
{
	static const struct session_timer_rules low = { .ttl_s = 60, .min_se_s = 90, .segments = 2 };
	struct session_timer t = leg(&rules_600);

	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 600;refresher=uac\r\nMin-SE: 90\r\n");
	t = leg(&low);
	cr_assert_str_eq(request_lines(&t, &low, false), TAG "Session-Expires: 90;refresher=uac\r\nMin-SE: 90\r\n");
}

/* What a callee may answer to 600;refresher=uac, with 90 s the minimum. */
static const struct callee_row {
	const char *id, *lines;
	uint32_t interval_s, first_boundary_s; /* 0: we do not refresh */
	bool we_refresh;
} callee_rows[] = {
	{ "A01", "Require: timer\r\nSession-Expires: 120;refresher=uac\r\n", 120, 60, true },
	{ "A02", "Require: timer\r\nSession-Expires: 120;refresher=uas\r\n", 120, 0, false },
	{ "A03", "Session-Expires: 120\r\n", 120, 60, true },
	{ "A04", "Session-Expires: 60;refresher=uac\r\n", 90, 30, true },
	{ "A05", "Session-Expires: 0;refresher=uac\r\n", 0, 0, true },
	{ "A06", "Session-Expires: 7200;refresher=uac\r\n", 600, 300, true },
	{ "A07", "Require: timer\r\n", 0, 0, true },
	{ "A08", "", 0, 0, true },
	{ "unknown refresher", "Session-Expires: 120;refresher=proxy\r\n", 120, 60, true },
	{ "unreadable", "Session-Expires: soon;refresher=uac\r\n", 0, 0, true },
	{ "empty", "Session-Expires:\r\n", 0, 0, true },
	{ "negative", "Session-Expires: -120;refresher=uac\r\n", 0, 0, true },
	{ "a list", "Session-Expires: 120, 300;refresher=uac\r\n", 0, 0, true },
	{ "zero and uas", "Session-Expires: 0;refresher=uas\r\n", 0, 0, true },
	{ "past 32 bits", "Session-Expires: 4294967296;refresher=uac\r\n", 600, 300, true },
	{ "past 64 bits", "Session-Expires: 18446744073709551616;refresher=uas\r\n", 600, 0, false },
	{ "twice: the first", "Session-Expires: 120;refresher=uac\r\nx: 300;refresher=uas\r\n", 120, 60, true },
	{ "twice: the readable", "Session-Expires: ;refresher=uac\r\nx: 300;refresher=uas\r\n", 300, 0, false },
	{ "an unreadable Min-SE says nothing", "Session-Expires: 120;refresher=uac\r\nMin-SE: x\r\n", 120, 60, true },
	{ "one second", "Session-Expires: 1;refresher=uac\r\n", 90, 15, true },
	{ "89 s", "Session-Expires: 89;refresher=uac\r\n", 90, 44, true },
	{ "89 s and uas", "Session-Expires: 89;refresher=uas\r\n", 90, 0, false },
	{ "90 s", "Session-Expires: 90;refresher=uac\r\n", 90, 45, true },
};

Test(rfc4028_7_2, each_form_of_the_callees_headers_has_its_effect)
{
	for (size_t i = 0; i < COUNT(callee_rows); i++) {
		const struct callee_row *row = &callee_rows[i];
		struct session_timer t = leg(&rules_600);

		confirm(&t, &rules_600, row->lines, true, false, S(1000));
		cr_expect_eq(t.interval_s, row->interval_s, "%s: %u", row->id, t.interval_s);
		cr_expect_eq(t.we_refresh, row->we_refresh, "%s", row->id);
		cr_expect_eq(t.confirmed_at_ns, S(1000), "%s", row->id);
		if (row->interval_s == 0) {
			cr_expect_eq(t.wait, SESSION_IDLE, "%s", row->id);
		} else if (row->we_refresh) {
			uint64_t boundary = S(UINT64_C(1000) + row->first_boundary_s);

			if (row->interval_s == 90 && row->first_boundary_s == 44)
				boundary += S(1) / 2;
			cr_expect_eq(t.wait, SESSION_REFRESH, "%s", row->id);
			cr_expect(t.due_ns <= boundary && t.due_ns >= boundary - (boundary - S(1000)) / 10, "%s",
				  row->id);
		} else {
			cr_expect_eq(t.wait, SESSION_PROBE, "%s", row->id);
		}
	}
}

Test(rfc4028_7_2, A09_only_the_2xx_counts)
{
	struct session_timer t = leg(&rules_600);

	read_headers("SIP/2.0 183 Session Progress\r\n", "Session-Expires: 120;refresher=uac\r\n");
	cr_assert_eq(t.wait, SESSION_IDLE, "reading starts nothing");
	confirm(&t, &rules_600, "Session-Expires: 300;refresher=uas\r\n", true, false, S(5));
	cr_assert_eq(session_timer_expires_ns(&t), S(305));
	cr_assert_not(t.we_refresh);
}

/* RFC 4028 7.2 would end the timer here; a 2xx that is silent about it confirms instead, and the window starts anew. */
Test(rfc4028_7_2, A10_2xx_to_a_refresh_confirms_without_session_expires)
{
	struct session_timer t = leg(&rules_600);

	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uac\r\n", true, false, S(0));
	confirm(&t, &rules_600, "", false, false, S(60));
	cr_assert(t.we_refresh);
	cr_assert_eq(session_timer_expires_ns(&t), S(180));
	cr_assert_eq(t.wait, SESSION_REFRESH);

	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uas\r\n", false, false, S(100));
	confirm(&t, &rules_600, "", false, false, S(130));
	cr_assert_not(t.we_refresh, "the same roles");
	cr_assert_eq(session_timer_expires_ns(&t), S(250));

	confirm(&t, &rules_600, "Session-Expires: 60;refresher=uac\r\n", false, false, S(200));
	confirm(&t, &rules_600, "", false, false, S(230));
	cr_assert_eq(session_timer_expires_ns(&t), S(320));
	cr_assert_leq(t.due_ns, S(260), "and still refreshed as often");
}

Test(rfc4028_7_2, zero_in_a_2xx_ends_the_timer_in_mid_dialog)
{
	struct session_timer t = leg(&rules_600);

	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uac\r\n", true, false, S(0));
	confirm(&t, &rules_600, "Session-Expires: 0\r\n", false, false, S(60));
	cr_assert_eq(t.wait, SESSION_IDLE);
	cr_assert_eq(session_timer_expires_ns(&t), NEVER);
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 600;refresher=uac\r\nMin-SE: 90\r\n");
	confirm(&t, &rules_600, "Session-Expires: 300;refresher=uac\r\n", false, false, S(90));
	cr_assert_eq(session_timer_expires_ns(&t), S(390), "a later 2xx brings it back");
}

Test(rfc4028_7_2, A11_2xx_to_a_refresh_swaps_the_roles)
{
	struct session_timer t = leg(&rules_600);

	confirm(&t, &rules_600, "Session-Expires: 300;refresher=uac\r\n", true, false, S(0));
	cr_assert_eq(t.wait, SESSION_REFRESH);
	confirm(&t, &rules_600, "Session-Expires: 300;refresher=uas\r\n", false, false, S(150));
	cr_assert_eq(t.wait, SESSION_PROBE);
	cr_assert_eq(t.due_ns, S(150 + 300 - 64));
}

/* Whatever an UPDATE before the answer has led to. */
Test(rfc4028_7_2, initial_2xx_decides_by_itself)
{
	struct session_timer t = leg(&rules_600);

	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uas\r\n", false, false, S(0));
	confirm(&t, &rules_600, "Session-Expires: 600\r\n", true, false, S(1));
	cr_assert_eq(session_timer_expires_ns(&t), S(601));
	confirm(&t, &rules_600, "", true, false, S(2));
	cr_assert_eq(t.wait, SESSION_IDLE);
}

/* Who claimed to refresh goes on to, even if the peer names itself against table 2 of section 9. */
Test(rfc4028_9, claim_holds_whatever_the_2xx_names)
{
	struct session_timer t = leg(&rules_600);

	confirm(&t, &rules_600, "Session-Expires: 300;refresher=uas\r\n", true, false, S(0));
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 300;refresher=uas\r\nMin-SE: 90\r\n");
	cr_assert_str_eq(request_lines(&t, &rules_600, true),
			 TAG "Session-Expires: 300;refresher=uac\r\nMin-SE: 90\r\n");
	confirm(&t, &rules_600, "Session-Expires: 300;refresher=uas\r\n", false, true, S(236));
	cr_assert(t.we_refresh);
	cr_assert_eq(t.wait, SESSION_REFRESH);
}

Test(rfc4028_9, refresh_asks_for_the_interval_in_force)
{
	struct session_timer t = leg(&rules_600);

	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uac\r\n", true, false, S(0));
	cr_assert_eq(session_timer_asks_s(&t, &rules_600), 120);
	confirm(&t, &rules_600, "Session-Expires: 600;refresher=uac\r\n", false, false, S(60));
	cr_assert_eq(t.interval_s, 120, "not above what was asked");
	confirm(&t, &rules_600, "Session-Expires: 60;refresher=uac\r\n", false, false, S(60));
	cr_assert_eq(session_timer_asks_s(&t, &rules_600), 90, "the minimum");
}

/* An INVITE that asked for 600 is answered after an UPDATE that crossed it brought a shorter interval. */
Test(rfc4028_9, what_a_2xx_may_grant_is_what_its_own_request_asked_for)
{
	struct session_timer t = leg(&rules_600);
	struct session_timer_headers headers = ok("Session-Expires: 600;refresher=uac\r\n");

	confirm(&t, &rules_600, "Session-Expires: 600;refresher=uac\r\n", true, false, S(0));
	uint32_t asked_s = session_timer_asks_s(&t, &rules_600);
	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uac\r\n", false, false, S(60));
	session_timer_confirmed(&t, &rules_600, &headers, asked_s, false, false, S(61), RANDOM);
	cr_assert_eq(t.interval_s, 600);
}

Test(RW_SIP_MIN_SE, laboratory_minimum_bounds_what_a_2xx_names)
{
	static const struct session_timer_rules lab = { .ttl_s = 4, .min_se_s = 4, .segments = 4 };
	struct session_timer t = leg(&lab);

	confirm(&t, &lab, "Session-Expires: 2;refresher=uac\r\n", true, false, S(0));
	cr_assert_eq(session_timer_expires_ns(&t), S(4));
	cr_assert(t.due_ns <= S(2) && t.due_ns >= S(2) * 9 / 10, "half of 4 s, with any number of segments");
	confirm(&t, &lab, "Session-Expires: 4;refresher=uac\r\n", false, false, S(2));
	cr_assert_leq(t.due_ns, S(3), "a quarter");
}

/* ---- 422 ---- */

Test(rfc4028_7_3, F01_422_is_followed_with_its_min_se)
{
	struct session_timer t = leg(&rules_600);
	struct session_timer_headers headers = too_small("Min-SE: 700\r\n");

	cr_assert(session_timer_too_small(&t, &headers));
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 700;refresher=uac\r\nMin-SE: 700\r\n");
	t = leg(&rules_600);
	headers = too_small("Min-SE: 600\r\n");
	cr_assert(session_timer_too_small(&t, &headers));
	cr_assert_str_eq(request_lines(&t, &rules_600, false),
			 TAG "Session-Expires: 600;refresher=uac\r\nMin-SE: 600\r\n");
}

Test(rfc4028_6, F02_F03_F04_422_without_a_larger_min_se_is_final)
{
	static const char *const useless[] = { "",
					       "Min-SE: 60\r\n",
					       "Min-SE: 90\r\n",
					       "Min-SE: 86401\r\n",
					       "Min-SE: 86400000\r\n",
					       "Min-SE: 4294967296\r\n",
					       "Min-SE: -600\r\n",
					       "Min-SE: 600, 700\r\n",
					       "Min-SE:\r\n",
					       "Session-Expires: 600\r\n" };

	for (size_t i = 0; i < COUNT(useless); i++) {
		struct session_timer t = leg(&rules_600);
		struct session_timer_headers headers = too_small(useless[i]);

		cr_expect_not(session_timer_too_small(&t, &headers), "%s", useless[i]);
		cr_expect_eq(t.min_se_s, 90, "%s", useless[i]);
	}
}

Test(rfc4028_7_3, F05_chain_of_422_uses_the_largest_seen)
{
	static const char *const chain[] = { "Min-SE: 600\r\n", "Min-SE: 900\r\n", "Min-SE: 1200\r\n",
					     "Min-SE: 86400\r\n" };
	static const uint32_t asks[] = { 600, 900, 1200, 86400 };
	struct session_timer t = leg(&rules_600);
	struct session_timer_headers headers;

	for (size_t i = 0; i < COUNT(chain); i++) {
		headers = too_small(chain[i]);
		cr_assert(session_timer_too_small(&t, &headers));
		cr_assert_eq(session_timer_asks_s(&t, &rules_600), asks[i]);
	}
	headers = too_small("Min-SE: 900\r\n");
	cr_assert_not(session_timer_too_small(&t, &headers), "no way back");
	cr_assert_eq(t.min_se_s, 86400);
}

Test(rfc4028_7_3, F06_422_to_a_refresh_leaves_the_window_as_it_is)
{
	struct session_timer t = leg(&rules_600), before;
	struct session_timer_headers headers = too_small("Min-SE: 600\r\nMin-SE: 90\r\n");

	confirm(&t, &rules_600, "Session-Expires: 120;refresher=uac\r\n", true, false, S(0));
	before = t;
	cr_assert(session_timer_too_small(&t, &headers));
	cr_assert_eq(session_timer_asks_s(&t, &rules_600), 600);
	before.min_se_s = 600;
	cr_assert_eq(memcmp(&t, &before, sizeof t), 0);
	confirm(&t, &rules_600, "Session-Expires: 600;refresher=uac\r\n", false, false, S(60));
	cr_assert_eq(session_timer_expires_ns(&t), S(660));
}

/* ---- the switch on a gateway ---- */

Test(timer_off, peer_is_treated_as_one_without_timers)
{
	struct session_timer t;
	struct session_timer_headers headers = request(TAG "Session-Expires: 1\r\nSession-Expires: x\r\n");
	struct session_timer_offer offer;

	session_timer_init(&t, false, &rules_600);
	cr_assert_eq(session_timer_judge(&t, &rules_600, &headers), SESSION_ACCEPT);
	session_timer_answer(&t, &rules_600, &headers, false, &offer);
	cr_assert_str_eq(answer_lines(&t, &offer), "");
	session_timer_answered(&t, &rules_600, &offer, S(1), RANDOM);
	cr_assert_eq(t.wait, SESSION_IDLE);
	cr_assert_str_eq(request_lines(&t, &rules_600, true), "");
	confirm(&t, &rules_600, "Session-Expires: 600;refresher=uas\r\n", true, true, S(2));
	confirm(&t, &rules_600, "Session-Expires: 600;refresher=uac\r\n", false, false, S(3));
	cr_assert_eq(t.wait, SESSION_IDLE);
	cr_assert_eq(t.confirmed_at_ns, S(3), "a proof of life all the same");
	headers = too_small("Min-SE: 600\r\n");
	cr_assert_not(session_timer_too_small(&t, &headers));
}
