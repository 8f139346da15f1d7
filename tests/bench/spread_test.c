/* Percentiles of many values in little memory, against the values themselves. */
#include "bench/spread.h"

#include "bench/bench.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { VALUES = 20000 };

static struct spread *new_spread(void)
{
	struct spread *s = calloc(1, sizeof *s);

	cr_assert(s);
	return s;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

Test(spread, percentiles_are_exact_to_a_sixty_fourth)
{
	static const double shares[] = { 0, 0.001, 0.5, 0.9, 0.99, 0.999, 1 };
	static uint64_t values[VALUES];
	struct spread *s = new_spread();
	struct bench_random random = { 1 };

	for (unsigned i = 0; i < VALUES; i++) {
		values[i] = bench_random(&random) >> bench_random_below(&random, 64);
		spread_add(s, values[i]);
	}
	qsort(values, VALUES, sizeof values[0], compare);
	for (unsigned i = 0; i < sizeof shares / sizeof shares[0]; i++) {
		unsigned rank = (unsigned)(shares[i] * VALUES);
		uint64_t exact = values[rank > 0 ? rank - 1 : 0], got = spread_quantile(s, shares[i]);

		cr_assert(got >= exact && got - exact <= exact >> SPREAD_BITS, "%g: %llu, not %llu", shares[i],
			  (unsigned long long)got, (unsigned long long)exact);
	}
	cr_assert_eq(spread_quantile(s, 1), values[VALUES - 1]);
	free(s);
}

Test(spread, none_is_zero)
{
	struct spread *s = new_spread();

	cr_assert_eq(spread_quantile(s, 0.5), 0u);
	free(s);
}

Test(spread, what_was_added_since_is_the_difference_and_the_sum_is_all)
{
	struct spread *all = new_spread(), *earlier = new_spread(), *later = new_spread();

	spread_add(all, 1000);
	*earlier = *all;
	spread_add(all, 50);
	spread_add(all, 60);
	*later = *all;
	spread_subtract(later, earlier);
	cr_assert(later->count == 2 && later->sum_ns == 110);
	cr_assert_eq(spread_quantile(later, 0.5), 50u);
	spread_merge(later, earlier);
	cr_assert(later->count == 3 && later->sum_ns == 1110 && later->max_ns == 1000);
	cr_assert_eq(spread_quantile(later, 0.5), spread_quantile(all, 0.5));
	free(all);
	free(earlier);
	free(later);
}
