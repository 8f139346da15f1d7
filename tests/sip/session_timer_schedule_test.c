/* Session timers: when refreshes, retries, probes and the end fall due.  RFC 4028 7.4, 10, and the four parameters.
 * Time moves because the test moves it. */
#include <criterion/criterion.h>

#include "sip/session_timer.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define S(s)     ((s)*UINT64_C(1000000000))
#define NEVER    UINT64_MAX
#define SEEDS    300

static const struct session_timer_headers silent_2xx;

static uint64_t seed;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct session_timer_rules rules_of(uint32_t ttl_s, unsigned segments, uint32_t grace_s)
{
	return session_timer_rules(ttl_s, 1, grace_s, segments);
}

/* A leg that a 2xx started at now_ns, we or the peer refreshing. */
static struct session_timer started(const struct session_timer_rules *rules, uint32_t interval_s, bool we_refresh,
				    uint64_t now_ns)
{
	struct session_timer t;
	struct session_timer_offer offer = { .interval_s = interval_s, .min_se_s = 1, .we_refresh = we_refresh };

	session_timer_init(&t, true, rules);
	session_timer_answered(&t, rules, &offer, now_ns, next_random());
	return t;
}

static enum session_timer_act due_at(struct session_timer *t, const struct session_timer_rules *rules, uint64_t now_ns)
{
	enum session_timer_act act = session_timer_due(t, rules, now_ns, next_random());

	cr_assert(session_timer_check(t));
	return act;
}

/* Moves to the next act, and asserts that nothing comes a moment earlier. */
static enum session_timer_act next_act(struct session_timer *t, const struct session_timer_rules *rules,
				       uint64_t *ret_now_ns)
{
	struct session_timer before = *t;

	cr_assert_neq(t->due_ns, NEVER);
	*ret_now_ns = t->due_ns;
	cr_assert_eq(due_at(t, rules, *ret_now_ns - 1), SESSION_ACT_NONE);
	cr_assert_eq(memcmp(t, &before, sizeof before), 0, "nothing changes before its time");
	return due_at(t, rules, *ret_now_ns);
}

static void confirm(struct session_timer *t, const struct session_timer_rules *rules, uint64_t now_ns)
{
	session_timer_confirmed(t, rules, &silent_2xx, session_timer_asks_s(t, rules), false, false, now_ns,
				next_random());
	cr_assert(session_timer_check(t));
}

/* Nobody answers: N - 1 refreshes, each in the last tenth of its segment, then the end. */
static void assert_silent_window(uint32_t interval_s, unsigned segments, uint64_t start_ns)
{
	struct session_timer_rules rules = rules_of(interval_s, segments, 0);
	struct session_timer t = started(&rules, interval_s, true, start_ns);
	uint64_t now_ns, last_ns = start_ns;

	for (unsigned k = 1; k < segments; k++) {
		uint64_t boundary_ns = start_ns + S(interval_s) / segments * k;
		uint64_t tenth_ns = S(interval_s) / segments / 10;

		cr_assert_eq(t.wait, SESSION_REFRESH);
		cr_assert_eq(t.segment, k);
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
		cr_assert(now_ns > last_ns);
		cr_assert(now_ns <= boundary_ns && now_ns >= boundary_ns - tenth_ns, "%u/%u of %u: %lu", k, segments,
			  interval_s, (unsigned long)now_ns);
		last_ns = now_ns;
	}
	cr_assert_eq(t.wait, SESSION_EXPIRY);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_HANG_UP);
	cr_assert_eq(now_ns, start_ns + S(interval_s));
	cr_assert_eq(t.wait, SESSION_IDLE);
	cr_assert_eq(due_at(&t, &rules, NEVER), SESSION_ACT_NONE);
}

Test(SS_SIP_SESSION_UPDATE_SEGMENT, refreshes_fall_into_the_last_tenth_of_each_segment)
{
	static const uint32_t intervals_s[] = { 1, 7, 90, 600, 1800, 86400, 4294967295 };

	for (seed = 0; seed < SEEDS * UINT64_C(1000000007); seed += UINT64_C(1000000007))
		for (unsigned segments = 2; segments <= 10; segments++) {
			uint64_t kept = seed;

			assert_silent_window(intervals_s[seed % COUNT(intervals_s)], segments, seed % 3 ? seed : 0);
			seed = kept;
		}
}

Test(SS_SIP_SESSION_UPDATE_SEGMENT, no_interval_wraps_at_any_time_of_the_clock)
{
	for (unsigned segments = 2; segments <= 10; segments++) {
		assert_silent_window(4294967295, segments, UINT64_MAX / 2);
		assert_silent_window(86400, segments, UINT64_MAX / 2);
	}
}

Test(spread, covers_the_tenth_evenly_and_by_the_random_number_alone)
{
	unsigned tenths[10] = { 0 };

	cr_assert_eq(session_timer_spread_ns(S(300), 0), 0);
	cr_assert_eq(session_timer_spread_ns(S(300), S(30)), S(30));
	cr_assert_eq(session_timer_spread_ns(S(300), S(30) + 1), 0);
	cr_assert_eq(session_timer_spread_ns(0, UINT64_MAX), 0);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t spread_ns = session_timer_spread_ns(S(300), next_random());

		cr_assert_leq(spread_ns, S(30));
		tenths[spread_ns * 10 / (S(30) + 1)]++;
	}
	for (unsigned i = 0; i < 10; i++)
		cr_assert(tenths[i] > 800 && tenths[i] < 1200, "%u", tenths[i]);
}

/* Each window is drawn anew, so that calls set up together drift apart. */
Test(spread, differs_from_window_to_window)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, true, 0);
	uint64_t first_ns = t.due_ns, now_ns = 0;
	unsigned same = 0;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t start_ns = now_ns;

		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
		same += now_ns - start_ns == first_ns;
		confirm(&t, &rules, now_ns);
	}
	cr_assert_leq(same, 2);
}

/* ---- confirmation ---- */

Test(rfc4028_10, confirmation_starts_the_window_anew_from_its_arrival)
{
	struct session_timer_rules rules = rules_of(600, 4, 0);
	struct session_timer t = started(&rules, 600, true, S(1));
	uint64_t now_ns;

	for (unsigned i = 0; i < 3; i++)
		next_act(&t, &rules, &now_ns);
	cr_assert_eq(t.wait, SESSION_EXPIRY);
	confirm(&t, &rules, S(600)); /* of whichever try it was */
	cr_assert_eq(session_timer_expires_ns(&t), S(1200));
	cr_assert_eq(t.segment, 1);
	cr_assert(t.due_ns > S(600 + 134) && t.due_ns <= S(600 + 150));
}

Test(rfc4028_10, confirmation_told_late_does_not_move_the_window_back)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, true, S(100));

	confirm(&t, &rules, S(90));
	cr_assert_eq(session_timer_expires_ns(&t), S(700));
}

/* SS_SIP_SESSION_TTL 600, 2 segments, ten hours of a peer that answers: never an end, and one refresh a window. */
Test(rfc4028_10, answered_refreshes_go_on_for_good)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, true, 0);
	uint64_t now_ns = 0;
	unsigned refreshes = 0;

	for (; now_ns < S(36000); refreshes++) {
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
		confirm(&t, &rules, now_ns + S(1) / 100);
	}
	cr_assert(refreshes >= 120 && refreshes <= 134, "%u", refreshes);
}

/* ---- a refresh that fails ---- */

Test(spec_5_retry, next_try_comes_at_the_earliest_of_its_three_times)
{
	static const struct {
		uint32_t interval_s, retry_after_s, wait_s;
	} rows[] = {
		{ 100, 0, 10 }, { 600, 0, 30 },  { 86400, 0, 30 },      { 5, 0, 1 },
		{ 10, 0, 1 },   { 100, 3, 3 },   { 100, 10, 10 },       { 100, 4294967295, 10 },
		{ 600, 1, 1 },  { 600, 31, 30 }, { 4294967295, 0, 30 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct session_timer_rules rules = rules_of(rows[i].interval_s, 2, 0);
		struct session_timer t = started(&rules, rows[i].interval_s, true, 0);
		uint64_t now_ns, tried_ns;

		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
		session_timer_refresh_failed(&t, rows[i].retry_after_s, now_ns + 5);
		cr_assert(session_timer_check(&t));
		cr_assert_eq(next_act(&t, &rules, &tried_ns), SESSION_ACT_REFRESH);
		cr_assert_eq(tried_ns, now_ns + 5 + S((uint64_t)rows[i].wait_s), "row %zu", i);
		cr_assert_eq(t.wait, SESSION_EXPIRY);
	}
}

/* Interval 20 s in 10 parts: the tenth of 2 s is due before the 2 s of the retry rule. */
Test(spec_5_retry, next_boundary_comes_first)
{
	struct session_timer_rules rules = rules_of(20, 10, 0);
	struct session_timer t = started(&rules, 20, true, 0);
	uint64_t now_ns, planned_ns;

	next_act(&t, &rules, &now_ns);
	planned_ns = t.due_ns;
	session_timer_refresh_failed(&t, 0, now_ns + S(1));
	cr_assert_eq(t.due_ns, planned_ns);
	cr_assert_eq(t.segment, 2);
	session_timer_refresh_failed(&t, 1, S(3) / 2 + S(1));
	cr_assert(t.due_ns <= S(7) / 2 && t.due_ns <= planned_ns);
}

/* Every try fails, at once or without an answer: the tries end with the window, and none comes after it. */
Test(spec_5_retry, tries_go_on_until_the_window_ends)
{
	for (unsigned segments = 2; segments <= 10; segments++)
		for (seed = 1; seed <= 100; seed++) {
			uint64_t kept = seed, now_ns = 0, last_ns = 0;
			uint32_t interval_s = (uint32_t[]){ 10, 90, 600 }[seed % 3];
			struct session_timer_rules rules = rules_of(interval_s, segments, 0);
			struct session_timer t = started(&rules, interval_s, true, 0);
			unsigned tries = 0;
			enum session_timer_act act;

			while ((act = next_act(&t, &rules, &now_ns)) == SESSION_ACT_REFRESH) {
				cr_assert(now_ns > last_ns && now_ns < S(interval_s));
				last_ns = now_ns;
				tries++;
				if (next_random() % 2)
					session_timer_refresh_failed(&t, 0, now_ns + S(1) / 50);
			}
			cr_assert_eq(act, SESSION_ACT_HANG_UP);
			cr_assert_eq(now_ns, S(interval_s));
			cr_assert_geq(tries, segments - 1);
			seed = kept;
		}
}

/* 600 s in 2 parts, refused from 300 s on: every 30 s once more. */
Test(spec_5_retry, refused_refresh_is_tried_every_30_s)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, true, 0);
	uint64_t now_ns;
	unsigned tries = 0;

	while (next_act(&t, &rules, &now_ns) == SESSION_ACT_REFRESH) {
		session_timer_refresh_failed(&t, 0, now_ns);
		tries++;
	}
	cr_assert(tries == 10 || tries == 11, "%u", tries);
	cr_assert_eq(now_ns, S(600));
}

/* A try that falls into the tenth of a later segment is that segment's refresh: not two within a moment. */
Test(spec_5_retry, try_in_the_tenth_of_a_segment_stands_for_it)
{
	struct session_timer_rules rules = rules_of(600, 4, 0);
	struct session_timer t;
	uint64_t now_ns;

	do {
		t = started(&rules, 600, true, 0);
		next_act(&t, &rules, &now_ns);
		cr_assert_eq(t.segment, 2);
	} while (t.due_ns < S(299));
	session_timer_refresh_failed(&t, 1, S(290));
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
	cr_assert_eq(now_ns, S(291));
	cr_assert_eq(t.segment, 3);
	session_timer_refresh_failed(&t, 1, S(300));
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
	cr_assert_eq(t.segment, 3, "a try before the tenth leaves it to come");
	cr_assert(t.due_ns >= S(435) && t.due_ns <= S(450));
}

Test(spec_5_retry, failure_says_nothing_to_a_leg_that_does_not_refresh)
{
	struct session_timer_rules rules = rules_of(600, 2, 5);
	struct session_timer t = started(&rules, 600, false, 0), before = t;
	uint64_t now_ns;

	session_timer_refresh_failed(&t, 1, S(1));
	session_timer_retry_in(&t, S(1), S(1));
	cr_assert_eq(memcmp(&t, &before, sizeof t), 0, "the peer took over while it was pending");
	session_timer_init(&t, true, &rules);
	session_timer_refresh_failed(&t, 1, S(1));
	session_timer_retry_in(&t, S(1), S(1));
	cr_assert_eq(t.due_ns, NEVER);
	t = started(&rules, 600, true, 0);
	next_act(&t, &rules, &now_ns);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_LAST_REFRESH);
	session_timer_refresh_failed(&t, 1, now_ns);
	session_timer_retry_in(&t, S(1), now_ns);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_HANG_UP, "the last one is the last");
}

Test(rfc3261_14_1, glare_waits_its_time_and_the_window_still_ends)
{
	struct session_timer_rules rules = rules_of(600, 10, 0);
	struct session_timer t = started(&rules, 600, true, 0);
	uint64_t now_ns;

	next_act(&t, &rules, &now_ns);
	session_timer_retry_in(&t, S(4), S(119)); /* past the boundary at 120 s, too */
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
	cr_assert_eq(now_ns, S(123));
	cr_assert_eq(t.segment, 3);
	session_timer_retry_in(&t, 0, S(125));
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
	cr_assert_eq(now_ns, S(125));
	session_timer_retry_in(&t, S(4), S(596));
	cr_assert_eq(t.wait, SESSION_EXPIRY);
	session_timer_retry_in(&t, UINT64_MAX, S(601));
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_HANG_UP);
	cr_assert_eq(now_ns, S(600));
}

/* Of two tries one is confirmed, and the other meets glare in the same moment. */
Test(rfc3261_14_1, glare_at_the_moment_of_a_confirmation)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, true, S(1));
	uint64_t now_ns;

	confirm(&t, &rules, S(290));
	session_timer_retry_in(&t, 0, S(290));
	cr_assert_eq(due_at(&t, &rules, S(290)), SESSION_ACT_REFRESH);
	session_timer_retry_in(&t, 0, S(289));
	cr_assert_eq(due_at(&t, &rules, S(290)), SESSION_ACT_REFRESH);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
	cr_assert(now_ns >= S(290 + 270) && now_ns <= S(290 + 300));
}

/* ---- the peer refreshes ---- */

Test(rfc4028_10, silent_refresher_is_probed_and_replaced)
{
	static const struct {
		uint32_t interval_s, probe_s;
	} rows[] = { { 600, 536 },
		     { 192, 128 },
		     { 193, 129 },
		     { 90, 60 },
		     { 3, 2 },
		     { 86400, 86336 },
		     { 4294967295, 4294967231 } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct session_timer_rules rules = rules_of(600, 2, 0);
		struct session_timer t = started(&rules, rows[i].interval_s, false, S(50));
		uint64_t now_ns;

		cr_assert_eq(t.wait, SESSION_PROBE);
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_CLAIM);
		cr_assert_eq(now_ns, S(UINT64_C(50) + rows[i].probe_s), "%u", rows[i].interval_s);
		cr_assert(t.we_refresh);
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_HANG_UP);
		cr_assert_eq(now_ns, S(UINT64_C(50) + rows[i].interval_s));
	}
}

Test(rfc4028_10, probe_is_tried_again_and_its_2xx_makes_us_refresh)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, false, 0);
	uint64_t now_ns;

	next_act(&t, &rules, &now_ns);
	session_timer_refresh_failed(&t, 0, S(537));
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
	cr_assert_eq(now_ns, S(567));
	confirm(&t, &rules, S(568));
	cr_assert(t.we_refresh);
	cr_assert_eq(t.wait, SESSION_REFRESH);
	cr_assert(t.due_ns >= S(568 + 270) && t.due_ns <= S(568 + 300));
}

/* What was not sent claims nothing: a confirmation finds the peer the refresher that it was. */
Test(rfc4028_10, probe_that_could_not_be_sent_leaves_the_roles_as_they_are)
{
	struct session_timer_rules rules = rules_of(600, 2, 0);
	struct session_timer t = started(&rules, 600, false, 0);
	uint64_t now_ns;

	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_CLAIM);
	session_timer_postpone_probe(&t, S(1) / 2, now_ns);
	cr_assert(session_timer_check(&t) && !t.we_refresh);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_CLAIM);
	cr_assert_eq(now_ns, S(536) + S(1) / 2);
	session_timer_postpone_probe(&t, S(1) / 2, now_ns);
	confirm(&t, &rules, S(537));
	cr_assert(!t.we_refresh);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_CLAIM);
	cr_assert_eq(now_ns, S(537 + 536));
	session_timer_postpone_probe(&t, S(100), now_ns);
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_CLAIM, "a moment before the end at the latest");
	session_timer_postpone_probe(&t, S(1), now_ns);
	cr_assert_eq(due_at(&t, &rules, S(537 + 600)), SESSION_ACT_HANG_UP);
}

/* Interval 90 s in 10 parts: after the probe at 60 s the boundaries of 63, 72 and 81 s are ours. */
Test(rfc4028_10, probe_is_followed_at_the_next_boundaries)
{
	struct session_timer_rules rules = rules_of(90, 10, 0);
	struct session_timer t = started(&rules, 90, false, 0);
	uint64_t now_ns;

	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_CLAIM);
	for (unsigned k = 7; k < 10; k++) {
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_REFRESH);
		cr_assert(now_ns <= S(9) * k && now_ns >= S(9) * k - S(9) / 10);
	}
	cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_HANG_UP);
}

/* A peer that refreshes at half, or as late as RFC 4028 10 lets the other side wait for it, is left alone. */
Test(rfc4028_10, compliant_refresher_is_never_overtaken)
{
	struct session_timer_rules rules = rules_of(600, 10, 0);
	struct session_timer_offer offer = { .interval_s = 600, .min_se_s = 1, .peer_has_tag = true };
	struct session_timer t = started(&rules, 600, false, 0);

	for (uint64_t now_ns = S(300); now_ns < S(36000); now_ns += S(300)) {
		cr_assert_eq(due_at(&t, &rules, now_ns), SESSION_ACT_NONE);
		session_timer_answered(&t, &rules, &offer, now_ns, next_random());
		cr_assert_eq(t.due_ns, now_ns + S(536));
	}
}

/* ---- the end ---- */

Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, last_refresh_and_then_the_end)
{
	static const uint32_t graces_s[] = { 1, 5, 60 };

	for (size_t i = 0; i < COUNT(graces_s); i++) {
		struct session_timer_rules rules = rules_of(600, 2, graces_s[i]);
		struct session_timer t = started(&rules, 600, i % 2, 0);
		uint64_t now_ns;

		next_act(&t, &rules, &now_ns);
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_LAST_REFRESH);
		cr_assert_eq(now_ns, S(600));
		cr_assert_eq(t.wait, SESSION_GRACE);
		cr_assert_eq(session_timer_expires_ns(&t), S(600));
		cr_assert_eq(next_act(&t, &rules, &now_ns), SESSION_ACT_HANG_UP);
		cr_assert_eq(now_ns, S(UINT64_C(600) + graces_s[i]));
		cr_assert_eq(t.due_ns, NEVER);
	}
}

Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, confirmation_in_the_grace_saves_the_call)
{
	struct session_timer_rules rules = rules_of(600, 2, 5);
	struct session_timer t = started(&rules, 600, true, 0);
	uint64_t now_ns;

	next_act(&t, &rules, &now_ns);
	next_act(&t, &rules, &now_ns);
	confirm(&t, &rules, S(604));
	cr_assert_eq(t.wait, SESSION_REFRESH);
	cr_assert_eq(session_timer_expires_ns(&t), S(1204));
}

/* The loop was held up past the end of the window: one act, not the whole row of them. */
Test(rfc4028_10, late_loop_goes_straight_to_the_end)
{
	struct session_timer_rules rules = rules_of(600, 10, 0);
	struct session_timer t = started(&rules, 600, true, 0);

	cr_assert_eq(due_at(&t, &rules, S(601)), SESSION_ACT_HANG_UP);
	t = started(&rules, 600, false, 0);
	cr_assert_eq(due_at(&t, &rules, S(600)), SESSION_ACT_HANG_UP);
	rules.grace_s = 1;
	t = started(&rules, 600, false, 0);
	cr_assert_eq(due_at(&t, &rules, S(600)), SESSION_ACT_LAST_REFRESH);
	t = started(&rules, 600, true, 0);
	cr_assert_eq(due_at(&t, &rules, S(170)), SESSION_ACT_REFRESH, "one for two segments");
	cr_assert_eq(t.segment, 3);
}

Test(rfc4028_10, leg_without_a_timer_never_falls_due)
{
	struct session_timer_rules rules = rules_of(600, 2, 5);
	struct session_timer t;

	session_timer_init(&t, true, &rules);
	confirm(&t, &rules, S(1));
	cr_assert_eq(t.due_ns, NEVER);
	cr_assert_eq(session_timer_expires_ns(&t), NEVER);
	cr_assert_eq(due_at(&t, &rules, NEVER), SESSION_ACT_NONE);
}

/* ---- any order of events ---- */

static struct session_timer_headers any_headers(void)
{
	static const uint32_t values_s[] = { 0, 1, 29, 30, 60, 89, 90, 600, 86400, 4294967295 };
	struct session_timer_headers h = {
		.supported = next_random() % 2,
		.has_interval = next_random() % 2,
		.has_min_se = next_random() % 4 == 0,
		.refresher = next_random() % 3,
	};

	if (h.has_interval)
		h.interval_s = values_s[next_random() % COUNT(values_s)];
	if (h.has_min_se)
		h.min_se_s = values_s[next_random() % COUNT(values_s)];
	return h;
}

static void any_event(struct session_timer *t, const struct session_timer_rules *rules, uint64_t now_ns)
{
	struct session_timer_headers headers = any_headers();
	struct session_timer_offer offer;

	switch (next_random() % 5) {
	case 0:
		if (session_timer_judge(t, rules, &headers) != SESSION_ACCEPT)
			return;
		session_timer_answer(t, rules, &headers, true, &offer);
		session_timer_answered(t, rules, &offer, now_ns, next_random());
		return;
	case 1:
		session_timer_confirmed(t, rules, &headers, session_timer_asks_s(t, rules), next_random() % 8 == 0,
					next_random() % 4 == 0, now_ns, next_random());
		return;
	case 2:
		session_timer_too_small(t, &headers);
		return;
	case 3:
		session_timer_refresh_failed(t, next_random() % 2 ? 0 : headers.interval_s, now_ns);
		return;
	default:
		session_timer_retry_in(t, S(next_random() % 4000) / 1000, now_ns);
	}
}

/* Whatever comes, a leg with a timer always has something due, never past its window and grace, and is hung up at the
 * end of the one or the other and at no other time. */
Test(rfc4028_10, any_order_of_events_keeps_the_deadline)
{
	for (unsigned run = 0; run < SEEDS; run++) {
		struct session_timer_rules rules = { .ttl_s = 600, .min_se_s = 90 };
		struct session_timer t;
		uint64_t now_ns = 0;

		seed = run;
		rules.segments = (uint8_t)(2 + run % 9);
		rules.grace_s = run % 3 ? 0 : 5;
		session_timer_init(&t, run % 20 != 0, &rules);
		for (unsigned i = 0; i < 300 && now_ns < S(UINT64_C(4294967295)); i++) {
			uint64_t expires_ns = session_timer_expires_ns(&t);

			if (next_random() % 2 || t.due_ns == NEVER) {
				any_event(&t, &rules, now_ns - next_random() % (now_ns < S(1) ? now_ns + 1 : S(1)));
			} else {
				now_ns = now_ns > t.due_ns ? now_ns : t.due_ns;
				if (due_at(&t, &rules, now_ns) == SESSION_ACT_HANG_UP) {
					cr_assert_geq(now_ns, expires_ns + S(rules.grace_s));
					session_timer_init(&t, true, &rules);
				}
			}
			cr_assert(session_timer_check(&t), "seed %u, event %u", run, i);
			cr_assert_eq(t.due_ns == NEVER, t.interval_s == 0);
			if (t.interval_s)
				cr_assert_leq(t.due_ns, session_timer_expires_ns(&t) + S(rules.grace_s));
		}
	}
}
