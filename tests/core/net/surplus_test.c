/* core/net/surplus.h: how many INVITEs are let in, period by period. */
#include <criterion/criterion.h>

#include "core/net/surplus.h"

/* What a worker has to decide on and takes in a tenth of a second, when so many are offered and it can take so many. */
static uint32_t settle(uint32_t share, uint64_t offered, uint64_t takes, unsigned periods)
{
	while (periods--) {
		uint64_t asked = offered * share / SURPLUS_ALL;
		share = surplus_share(share, asked, asked < takes ? asked : takes);
	}
	return share;
}

Test(surplus, nothing_is_dropped_of_what_can_be_answered)
{
	cr_assert_eq(settle(SURPLUS_ALL, 1000, 1000, 10), SURPLUS_ALL);
	cr_assert_eq(settle(SURPLUS_ALL, 1000 * SURPLUS_TIMES, 1000, 10), SURPLUS_ALL);
	cr_assert_eq(surplus_share(SURPLUS_ALL, 0, 0), SURPLUS_ALL);
}

Test(surplus, so_many_times_what_is_taken_are_let_in)
{
	uint32_t share = settle(SURPLUS_ALL, 4000 * SURPLUS_TIMES, 1000, 20);
	cr_assert_float_eq((double)share / SURPLUS_ALL, 0.25, 0.01);
}

Test(surplus, it_is_over_soon_after_the_surplus)
{
	uint32_t share = settle(SURPLUS_ALL, 64000 * SURPLUS_TIMES, 1000, 20);
	cr_assert_lt(share, SURPLUS_ALL / 32);
	cr_assert_eq(settle(share, 100, 1000, 8), SURPLUS_ALL);
	cr_assert_eq(settle(share, 0, 1000, 8), SURPLUS_ALL);
}

/* Where nothing at all is taken some are let in all the same: else nobody would find out that it could be. */
Test(surplus, some_are_always_let_in)
{
	uint32_t share = settle(SURPLUS_ALL, 1000000, 0, 1000);
	cr_assert_geq(share, SURPLUS_FEWEST);
}
