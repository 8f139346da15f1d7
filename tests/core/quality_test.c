/* Live quality of routing gateways: SS_GATEWAY_QUALITY_RESERVE_TIME in SS_GATEWAY_QUALITY_RESERVE_SEPARATE slices. */
#include "core/quality.h"

#include <criterion/criterion.h>

#define S UINT64_C(1000000000)

#define GATEWAY 7
/* Just behind the beginning of a slice of ten minutes. */
#define BEGIN (1200 * S)

static struct quality_book *books[2];
static const struct quality_books all = { books, 2 };

static void setup(void)
{
	for (unsigned i = 0; i < 2; i++) {
		books[i] = quality_reserve();
		quality_configure(books[i], 3600, 6);
	}
}

static void teardown(void)
{
	for (unsigned i = 0; i < 2; i++)
		quality_release(books[i]);
}

TestSuite(quality, .init = setup, .fini = teardown);

static void attempts(unsigned book, uint64_t at_ns, unsigned count, unsigned answered)
{
	for (unsigned i = 0; i < count; i++)
		quality_attempt(books[book], at_ns, GATEWAY, i < answered);
}

static void expect(uint64_t at_ns, uint64_t tried, uint64_t answered)
{
	struct quality q;
	quality_read(&all, at_ns, GATEWAY, &q);
	cr_assert_eq(q.attempts, tried, "%llu attempts at %llu s", (unsigned long long)q.attempts,
		     (unsigned long long)(at_ns / S));
	cr_assert_eq(q.answered, answered, "%llu answered at %llu s", (unsigned long long)q.answered,
		     (unsigned long long)(at_ns / S));
}

Test(quality, known_results_of_all_shards_add_up)
{
	struct quality q;
	attempts(0, BEGIN, 8, 3);
	attempts(1, BEGIN + S, 2, 2);
	quality_attempt(books[1], BEGIN, GATEWAY + 1, true);
	quality_reply(books[0], BEGIN, GATEWAY, 1500 * (S / 1000));
	quality_reply(books[1], BEGIN, GATEWAY, 500 * (S / 1000));
	quality_end(books[0], BEGIN + 60 * S, GATEWAY, 60 * S);
	quality_end(books[1], BEGIN + 61 * S, GATEWAY, 30 * S);
	quality_read(&all, BEGIN + 61 * S, GATEWAY, &q);
	cr_assert_eq(q.attempts, 10);
	cr_assert_eq(q.answered, 5);
	cr_assert_eq(q.replied, 2);
	cr_assert_eq(q.pdd_ms, 2000);
	cr_assert_eq(q.ended, 2);
	cr_assert_eq(q.hold_ms, 90000);
}

/* One attempt in the first slice, two in the second, ..., six in the sixth; then a slice after the other goes. */
Test(quality, reserve_separate_the_oldest_slice_drops_out_whole)
{
	for (unsigned i = 0; i < 6; i++)
		attempts(0, BEGIN + i * 600 * S, i + 1, 1);
	expect(BEGIN + 3599 * S, 1 + 2 + 3 + 4 + 5 + 6, 6);
	expect(BEGIN + 3600 * S - 1, 21, 6);
	expect(BEGIN + 3600 * S, 20, 5);
	expect(BEGIN + 4200 * S - 1, 20, 5);
	expect(BEGIN + 4200 * S, 18, 4);
	expect(BEGIN + 6599 * S, 6, 1);
	expect(BEGIN + 6600 * S, 0, 0);
}

/* The slot of a slice that dropped out is used again, by the other shard it is not: that one has heard nothing since.
 */
Test(quality, reserve_time_what_is_older_is_not_seen)
{
	attempts(0, BEGIN, 3, 3);
	attempts(1, BEGIN, 5, 5);
	attempts(0, BEGIN + 3600 * S, 1, 0);
	expect(BEGIN + 3600 * S, 1, 0);
	expect(BEGIN + 360000 * S, 0, 0);
}

Test(quality, reserve_time_another_window_begins_anew)
{
	attempts(0, BEGIN, 3, 3);
	quality_configure(books[0], 3600, 6);
	expect(BEGIN, 3, 3);
	quality_configure(books[0], 7200, 12); /* of the same slices */
	expect(BEGIN, 0, 0);
	attempts(0, BEGIN, 1, 1);
	expect(BEGIN, 1, 1);
	quality_configure(books[0], 3600, 6); /* and back */
	expect(BEGIN, 0, 0);
}

Test(quality, calculate_off_keeps_nothing)
{
	attempts(0, BEGIN, 3, 3);
	quality_configure(books[0], 3600, 0);
	expect(BEGIN, 0, 0);
	attempts(0, BEGIN, 3, 3);
	quality_end(books[0], BEGIN, GATEWAY, S);
	quality_reply(books[0], BEGIN, GATEWAY, S);
	expect(BEGIN, 0, 0);
	cr_assert_eq(quality_glance(&all, 0, BEGIN, GATEWAY).attempts, 0);
	quality_configure(books[0], 3600, 6);
	expect(BEGIN, 0, 0);
}

/* The range of the parameters: one slice, and the most and shortest ones. */
Test(quality, reserve_separate_bounds)
{
	quality_configure(books[0], 60, 1);
	attempts(0, BEGIN, 2, 1);
	expect(BEGIN + 60 * S - 1, 2, 1);
	expect(BEGIN + 60 * S, 0, 0);
	quality_configure(books[0], 60, QUALITY_SLICES_MAX);
	for (unsigned i = 0; i < QUALITY_SLICES_MAX; i++)
		attempts(0, BEGIN + i * S, 1, 1);
	expect(BEGIN + 59 * S, 60, 60);
	expect(BEGIN + 60 * S, 59, 59);
	expect(BEGIN + 118 * S, 1, 1);
	expect(BEGIN + 119 * S, 0, 0);
}

/* What a call looks at is a second old at most. */
Test(quality, a_glance_is_a_second_old_at_most)
{
	attempts(0, BEGIN, 4, 1);
	cr_assert_eq(quality_glance(&all, 1, BEGIN, GATEWAY).attempts, 4);
	attempts(0, BEGIN, 4, 1);
	cr_assert_eq(quality_glance(&all, 1, BEGIN + S - 1, GATEWAY).attempts, 4);
	cr_assert_eq(quality_glance(&all, 1, BEGIN + S, GATEWAY).attempts, 8);
	cr_assert_eq(quality_glance(&all, 1, BEGIN + S, GATEWAY).answered, 2);
	cr_assert_eq(quality_glance(&all, 0, BEGIN + 9 * S, GATEWAY).answered, 2);
}

/* Of more gateways than there is room for, the first keep what they have. */
Test(quality, gateways_beyond_the_limit_have_none)
{
	attempts(0, BEGIN, 1, 1);
	for (uint32_t id = 1000; id < 1000 + QUALITY_GATEWAYS_MAX; id++)
		quality_attempt(books[0], BEGIN, id, true);
	struct quality q;
	quality_read(&all, BEGIN, 1000 + QUALITY_GATEWAYS_MAX - 1, &q);
	cr_assert_eq(q.attempts, 0);
	quality_read(&all, BEGIN, 1000 + QUALITY_GATEWAYS_MAX - 2, &q);
	cr_assert_eq(q.attempts, 1);
	expect(BEGIN, 1, 1);
}

/* The home of a gateway says whether it is down; the addresses mean something in one configuration only. */
Test(quality, online_single_addresses_hold_for_their_configuration)
{
	quality_set_online(books[GATEWAY % 2], GATEWAY, QUALITY_CHECKED | QUALITY_DOWN | 3, 41);
	cr_assert_eq(quality_online(&all, GATEWAY, 41), QUALITY_CHECKED | QUALITY_DOWN | 3);
	cr_assert_eq(quality_online(&all, GATEWAY, 42), QUALITY_CHECKED | QUALITY_DOWN);
	cr_assert_eq(quality_online(&all, GATEWAY + 1, 41), 0);
	quality_set_online(books[GATEWAY % 2], GATEWAY, QUALITY_CHECKED, 42);
	cr_assert_eq(quality_online(&all, GATEWAY, 42), QUALITY_CHECKED);
}
