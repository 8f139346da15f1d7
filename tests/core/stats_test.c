/* core/stats: the histograms behind timer_lateness_us, loop_us, pdd_us and relay_us. */
#include <criterion/criterion.h>

#include "core/stats.h"

static struct histogram h, other;

Test(histogram, an_empty_one_has_no_quantiles)
{
	cr_assert_eq(histogram_quantile(&h, 500), 0);
	cr_assert_eq(histogram_quantile(&h, 1000), 0);
}

Test(histogram, values_up_to_fifteen_are_exact)
{
	for (uint64_t value = 0; value < 16; value++)
		histogram_add(&h, value);
	cr_assert_eq(h.count, 16);
	cr_assert_eq(h.sum, 120);
	cr_assert_eq(h.max, 15);
	cr_assert_eq(histogram_quantile(&h, 500), 7);
	cr_assert_eq(histogram_quantile(&h, 1000), 15);
	cr_assert_eq(histogram_quantile(&h, 0), 0);
}

/* The quantile of a single value is never below it and at most 6.25 % above; a second, larger value keeps the maximum
 * from cutting it. */
Test(histogram, a_value_is_known_within_one_sixteenth)
{
	for (unsigned bit = 4; bit < 34; bit++) {
		for (unsigned step = 0; step < 64; step++) {
			uint64_t value = (UINT64_C(1) << bit) + (((UINT64_C(1) << bit) * step) >> 6);
			struct histogram one = { 0 };

			histogram_add(&one, value);
			histogram_add(&one, UINT64_C(1) << 40);
			uint64_t seen = histogram_quantile(&one, 500);
			cr_assert(seen >= value && seen - value <= value / 16, "%lu seen as %lu", value, seen);
		}
	}
}

Test(histogram, buckets_grow_with_their_values)
{
	uint64_t last = 0;

	for (uint64_t value = 0; value < 100000; value++) {
		struct histogram one = { 0 };

		histogram_add(&one, value);
		histogram_add(&one, UINT64_C(1) << 40);
		uint64_t seen = histogram_quantile(&one, 500);
		cr_assert_geq(seen, last);
		last = seen;
	}
}

Test(histogram, a_quantile_never_exceeds_the_maximum)
{
	histogram_add(&h, 1000);
	cr_assert_eq(histogram_quantile(&h, 999), 1000);
	histogram_add(&h, UINT64_MAX);
	cr_assert_eq(histogram_quantile(&h, 1000), UINT64_MAX);
}

Test(histogram, the_tail_is_found_by_rank)
{
	for (unsigned i = 0; i < 999; i++)
		histogram_add(&h, 3);
	histogram_add(&h, 12);
	cr_assert_eq(histogram_quantile(&h, 999), 3);
	cr_assert_eq(histogram_quantile(&h, 1000), 12);
	histogram_add(&h, 12);
	cr_assert_eq(histogram_quantile(&h, 999), 12);
}

Test(histogram, merging_adds_counts_and_keeps_the_larger_maximum)
{
	histogram_add(&h, 5);
	histogram_add(&h, 900);
	histogram_add(&other, 7);
	histogram_merge(&h, &other);
	cr_assert_eq(h.count, 3);
	cr_assert_eq(h.sum, 912);
	cr_assert_eq(h.max, 900);
	cr_assert_eq(histogram_quantile(&h, 500), 7);
	cr_assert_eq(other.count, 1);
}
