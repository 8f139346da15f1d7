/* core/net/clock: receive stamps by the wall clock become times by the monotonic one (design, Money and time). */
#include <criterion/criterion.h>

#include "core/net/clock.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static const int64_t REAL_NS = INT64_C(1700000000) * 1000000000;

static struct clock c;
static struct arrival a;

static void init(void)
{
	c = (struct clock){ 0 };
	clock_turn(&c, 1000 * S, REAL_NS);
}

TestSuite(clock, .init = init);

Test(clock, a_stamp_is_carried_over_by_its_age)
{
	clock_arrival(&c, REAL_NS - 3 * (int64_t)MS, &a);
	cr_assert_eq(a.now_ns, 1000 * S - 3 * MS);
	cr_assert_eq(a.real_us, REAL_NS / 1000 - 3000);
}

Test(clock, no_stamp_is_now)
{
	clock_arrival(&c, 0, &a);
	cr_assert_eq(a.now_ns, 1000 * S);
	cr_assert_eq(a.real_us, REAL_NS / 1000);
}

/* The wall clock was set back or forth between stamp and turn: durations do not change, the record says what the kernel
 * stamped. */
Test(clock, a_step_of_the_wall_clock_does_not_matter)
{
	clock_arrival(&c, REAL_NS + 3600 * (int64_t)S, &a);
	cr_assert_eq(a.now_ns, 1000 * S);
	cr_assert_eq(a.real_us, REAL_NS / 1000 + INT64_C(3600000000));
	init();
	clock_arrival(&c, REAL_NS - 3600 * (int64_t)S, &a);
	cr_assert_eq(a.now_ns, 1000 * S);
}

Test(clock, five_seconds_is_the_oldest_stamp_believed)
{
	clock_arrival(&c, REAL_NS - CLOCK_STAMP_AGE_MAX_NS, &a);
	cr_assert_eq(a.now_ns, 995 * S);
	init();
	clock_arrival(&c, REAL_NS - CLOCK_STAMP_AGE_MAX_NS - 1, &a);
	cr_assert_eq(a.now_ns, 1000 * S);
}

Test(clock, never_runs_backwards)
{
	clock_arrival(&c, REAL_NS - 2 * (int64_t)MS, &a);
	clock_arrival(&c, REAL_NS - 5 * (int64_t)MS, &a);
	cr_assert_eq(a.now_ns, 1000 * S - 2 * MS);
	cr_assert_eq(clock_tell(&c), 1000 * S);
	clock_turn(&c, 1000 * S + 10, REAL_NS + 10);
	clock_arrival(&c, REAL_NS - (int64_t)MS, &a); /* waited in the socket while the deadlines ran */
	cr_assert_eq(a.now_ns, 1000 * S);
}

/* What came before the shard was ready ends calls at its own time; then time goes on as ever. */
Test(clock, time_waits_for_what_came_before)
{
	clock_tell(&c);
	c.behind = true;
	clock_turn(&c, 1002 * S, REAL_NS + 2 * (int64_t)S);
	cr_assert_eq(clock_tell(&c), 1000 * S);
	clock_arrival(&c, REAL_NS + (int64_t)S, &a);
	cr_assert_eq(a.now_ns, 1001 * S);
	cr_assert_eq(clock_tell(&c), 1001 * S);
	c.behind = false;
	cr_assert_eq(clock_tell(&c), 1002 * S);
}

/* Another worker's turn may have begun later than ours, or long ago. */
Test(clock, an_arrival_of_another_shard_is_fitted_in)
{
	a = (struct arrival){ .now_ns = 1000 * S + 7, .real_us = 42 };
	clock_handed_over(&c, &a);
	cr_assert_eq(a.now_ns, 1000 * S);
	cr_assert_eq(a.real_us, 42);
	a.now_ns = 999 * S;
	clock_handed_over(&c, &a);
	cr_assert_eq(a.now_ns, 1000 * S);
}
