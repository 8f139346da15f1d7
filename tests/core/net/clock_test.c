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

/* It came 6 ms before the turn, which finds the wall clock set meanwhile by so much. */
static void assert_age_kept(int64_t set_by_ns)
{
	const int64_t stamp_ns = REAL_NS + 4 * (int64_t)MS;
	init();
	clock_turn(&c, 1000 * S + 10 * MS, REAL_NS + 10 * (int64_t)MS + set_by_ns);
	clock_arrival(&c, stamp_ns, &a);
	cr_assert_eq(a.now_ns, 1000 * S + 4 * MS, "stamped before it was set by %lld", (long long)set_by_ns);
	cr_assert_eq(a.real_us, stamp_ns / 1000);
	clock_arrival(&c, stamp_ns + set_by_ns, &a);
	cr_assert_eq(a.now_ns, 1000 * S + 4 * MS, "stamped after it was set by %lld", (long long)set_by_ns);
	cr_assert_eq(a.real_us, (stamp_ns + set_by_ns) / 1000);
	/* The next turn reads what one of the sockets still had, and what is new. */
	clock_turn(&c, 1000 * S + 20 * MS, REAL_NS + 20 * (int64_t)MS + set_by_ns);
	clock_arrival(&c, stamp_ns, &a);
	cr_assert_eq(a.now_ns, 1000 * S + 4 * MS);
	clock_arrival(&c, stamp_ns + set_by_ns + 15 * (int64_t)MS, &a);
	cr_assert_eq(a.now_ns, 1000 * S + 19 * MS);
}

Test(clock, a_step_between_stamp_and_turn_changes_no_age)
{
	static const int64_t steps[] = { 20 * (int64_t)MS, (int64_t)S, 3 * (int64_t)S, 3600 * (int64_t)S };
	for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
		assert_age_kept(steps[i]);
		assert_age_kept(-steps[i]);
	}
}

/* A backlog that is older than the turn before, and a step behind it. */
Test(clock, what_waited_when_the_clock_was_set_keeps_its_age)
{
	clock_turn(&c, 1000 * S + 10 * MS, REAL_NS + 10 * (int64_t)MS - 3 * (int64_t)S);
	clock_arrival(&c, REAL_NS - 2 * (int64_t)S, &a);
	cr_assert_eq(a.now_ns, 998 * S);
	init();
	clock_turn(&c, 1000 * S + 10 * MS, REAL_NS + 10 * (int64_t)MS + 3 * (int64_t)S);
	clock_arrival(&c, REAL_NS - 2 * (int64_t)S, &a);
	cr_assert_eq(a.now_ns, 998 * S);
}

/* A turn that is late is no step, nor is a clock that is slewed meanwhile: what waited has its age. */
Test(clock, a_stall_is_no_step)
{
	for (int sign = -1; sign <= 1; sign++) {
		const int64_t slewed_ns = sign * 4 * (int64_t)S / 2000; /* 500 ppm */
		init();
		clock_turn(&c, 1004 * S, REAL_NS + 4 * (int64_t)S + slewed_ns);
		clock_arrival(&c, REAL_NS + (int64_t)S + slewed_ns, &a);
		cr_assert_eq(a.now_ns, 1001 * S);
		clock_arrival(&c, REAL_NS - (int64_t)S / 2 + slewed_ns, &a);
		cr_assert_eq(a.now_ns, 1000 * S - S / 2);
	}
}

/* Of a stall and a step in it that cannot be told apart the later time counts, and never one that is yet to come. */
Test(clock, what_may_be_of_either_side_of_a_step_is_the_younger)
{
	clock_turn(&c, 1004 * S, REAL_NS + 4 * (int64_t)S + (int64_t)S);
	clock_arrival(&c, REAL_NS + 3 * (int64_t)S, &a);
	cr_assert_eq(a.now_ns, 1003 * S);
	clock_arrival(&c, REAL_NS + 5 * (int64_t)S - (int64_t)MS, &a);
	cr_assert_eq(a.now_ns, 1004 * S - MS);
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
	c.behind = true;
	clock_arrival(&c, REAL_NS - 2 * (int64_t)MS, &a);
	clock_arrival(&c, REAL_NS - 5 * (int64_t)MS, &a);
	cr_assert_eq(clock_tell(&c), 1000 * S - 2 * MS);
	c.behind = false;
	cr_assert_eq(clock_tell(&c), 1000 * S);
	clock_turn(&c, 1000 * S + 10, REAL_NS + 10);
	clock_arrival(&c, REAL_NS - (int64_t)MS, &a); /* waited in the socket while the deadlines ran */
	cr_assert_eq(c.told_ns, 1000 * S);
}

/* Another socket's later datagram may have been read first: each has its own time. */
Test(clock, an_arrival_keeps_its_own_time)
{
	clock_arrival(&c, REAL_NS - 2 * (int64_t)MS, &a);
	clock_arrival(&c, REAL_NS - 80 * (int64_t)MS, &a);
	cr_assert_eq(a.now_ns, 1000 * S - 80 * MS);
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

/* A worker that is flooded from its start on never has an empty turn; the time of the others goes on all the same. */
Test(clock, nothing_keeps_it_behind_for_long)
{
	c.behind = true;
	const uint64_t first_ns = c.now_ns;
	for (uint64_t after_ns = 0; after_ns < CLOCK_BEHIND_MAX_NS; after_ns += 100 * MS) {
		clock_turn(&c, first_ns + after_ns, REAL_NS + (int64_t)after_ns);
		clock_tell(&c);
		clock_wait(&c, true);
		cr_assert(c.behind);
	}
	cr_assert_leq(c.told_ns, first_ns);
	clock_turn(&c, first_ns + CLOCK_BEHIND_MAX_NS, REAL_NS + (int64_t)CLOCK_BEHIND_MAX_NS);
	clock_wait(&c, true);
	cr_assert(!c.behind);
	cr_assert_eq(clock_tell(&c), c.now_ns);
	init();
	c.behind = true;
	clock_wait(&c, false);
	cr_assert(!c.behind, "there is nothing to wait for");
}

/* What came behind the turn's readings would count as having come with them: they are taken anew. */
Test(clock, a_turn_that_a_datagram_has_outrun_is_known)
{
	cr_assert_not(clock_is_outrun(&c, 0));
	cr_assert_not(clock_is_outrun(&c, REAL_NS));
	cr_assert(clock_is_outrun(&c, REAL_NS + 1));
	a = (struct arrival){ .now_ns = 1000 * S };
	cr_assert_not(clock_is_outrun_by(&c, &a));
	a.now_ns++;
	cr_assert(clock_is_outrun_by(&c, &a));
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
	cr_assert_eq(a.now_ns, 999 * S);
	cr_assert_eq(clock_tell(&c), 1000 * S);
}

/* ---- reading them ---- */

#define OFFSET_NS (REAL_NS - (int64_t)(1000 * S))

/* The wall clock was read so long after the first reading of the other one, which was read again so much later. */
static struct clock_reading reading(uint64_t at_ns, int64_t offset_ns, uint64_t real_after_ns, uint64_t again_after_ns)
{
	return clock_bounds(at_ns, (int64_t)(at_ns + real_after_ns) + offset_ns,
			    at_ns + real_after_ns + again_after_ns);
}

Test(clock, a_close_reading_counts)
{
	struct clock_reading r = reading(1000 * S, OFFSET_NS, 40, 40);
	cr_assert_eq(clock_real_ns(&r, 0), (int64_t)r.now_ns + OFFSET_NS);
	cr_assert_eq(clock_real_ns(&r, OFFSET_NS + 35), (int64_t)r.now_ns + OFFSET_NS, "slewing is followed");
}

/* Whichever of the two gaps the core was lost in. */
Test(clock, a_reading_that_was_torn_apart_changes_nothing)
{
	struct clock_reading r = reading(1000 * S, OFFSET_NS, 8 * MS, 40);
	cr_assert_eq(clock_real_ns(&r, OFFSET_NS), (int64_t)r.now_ns + OFFSET_NS);
	r = reading(1000 * S, OFFSET_NS, 40, 8 * MS);
	cr_assert_eq(clock_real_ns(&r, OFFSET_NS), (int64_t)r.now_ns + OFFSET_NS);
}

Test(clock, a_step_of_the_wall_clock_is_followed)
{
	const int64_t set_ns = OFFSET_NS + 20 * (int64_t)MS;
	struct clock_reading r = reading(1000 * S, set_ns, 40, 40);
	cr_assert_eq(clock_real_ns(&r, OFFSET_NS), (int64_t)r.now_ns + set_ns);
	r = reading(1000 * S, set_ns, 4 * MS, 4 * MS);
	cr_assert_eq(clock_real_ns(&r, OFFSET_NS), (int64_t)r.now_ns + set_ns, "as well as can be known");
}

Test(clock, the_closest_of_some_readings_counts)
{
	struct clock_reading r = reading(1000 * S, OFFSET_NS, 3 * MS, 40);
	struct clock_reading close = reading(1001 * S, OFFSET_NS, 40, 40), torn = reading(1002 * S, OFFSET_NS, 40, MS);
	clock_add_reading(&r, &close);
	cr_assert(clock_is_close(&r));
	clock_add_reading(&r, &torn);
	cr_assert(clock_is_close(&r));
	cr_assert_eq(r.now_ns, torn.now_ns);
	cr_assert_eq(clock_real_ns(&r, 0), (int64_t)torn.now_ns + OFFSET_NS);
	struct clock_reading set = reading(1003 * S, OFFSET_NS + (int64_t)S, 2 * MS, 2 * MS);
	clock_add_reading(&r, &set);
	cr_assert_eq(clock_real_ns(&r, 0), (int64_t)set.now_ns + OFFSET_NS + (int64_t)S);
}

Test(clock, readings_go_on)
{
	struct clock_reading first = clock_read(), second = clock_read();
	cr_assert_leq(first.now_ns, second.now_ns);
	cr_assert_leq(first.least_ns, first.most_ns);
}
