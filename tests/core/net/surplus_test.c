/* core/net/surplus.h: how many INVITEs are let in, period by period. */
#include <criterion/criterion.h>

#include "core/net/surplus.h"

/* What a worker has to decide on and takes in a tenth of a second, when so many are offered and it can take so many. */
static void pass(struct surplus *s, uint64_t offered, uint64_t takes, unsigned periods)
{
	while (periods--) {
		uint64_t asked = offered * s->share / SURPLUS_ALL;
		surplus_period(s, asked, asked < takes ? asked : takes);
	}
}

Test(surplus, nothing_is_dropped_of_what_can_be_answered)
{
	struct surplus s;
	surplus_init(&s);
	pass(&s, 1000, 1000, 100);
	pass(&s, 1000 * SURPLUS_TIMES, 1000, 100);
	pass(&s, 0, 1000, 100);
	cr_assert_eq(s.share, SURPLUS_ALL);
}

Test(surplus, so_many_times_what_is_taken_are_let_in)
{
	struct surplus s;
	surplus_init(&s);
	pass(&s, 4000 * SURPLUS_TIMES, 1000, 30);
	cr_assert_float_eq((double)s.share / SURPLUS_ALL, 0.25, 0.01);
}

/* What is dropped comes again: not for a moment's sake. */
Test(surplus, it_begins_after_a_second)
{
	struct surplus s;
	surplus_init(&s);
	for (unsigned i = 0; i < 10; i++) {
		pass(&s, 100000, 0, SURPLUS_PERIODS - 1);
		cr_assert_eq(s.share, SURPLUS_ALL);
		pass(&s, 1000, 1000, 1);
	}
	pass(&s, 100000, 0, SURPLUS_PERIODS);
	cr_assert_lt(s.share, SURPLUS_ALL);
}

Test(surplus, it_is_over_soon_after_the_surplus)
{
	struct surplus s, other;
	surplus_init(&s);
	pass(&s, 64000 * SURPLUS_TIMES, 1000, 40);
	cr_assert_lt(s.share, SURPLUS_ALL / 32);
	other = s;
	pass(&s, 100, 1000, 8);
	cr_assert_eq(s.share, SURPLUS_ALL);
	pass(&other, 0, 1000, 8);
	cr_assert_eq(other.share, SURPLUS_ALL);
}

/* Where nothing at all is taken some are let in all the same: else nobody would find out that it could be. */
Test(surplus, some_are_always_let_in)
{
	struct surplus s;
	surplus_init(&s);
	pass(&s, 1000000, 0, 1000);
	cr_assert_geq(s.share, SURPLUS_FEWEST);
}
