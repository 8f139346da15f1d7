/* The delay line: in order, not early, and through the growth of its ring. */
#include "bench/line.h"

#include <criterion/criterion.h>

#define DELAY_NS UINT64_C(500)

Test(line, nothing_comes_out_before_its_delay)
{
	struct line l;
	struct line_entry e;

	line_init(&l, DELAY_NS);
	cr_assert_eq(line_next_ns(&l), UINT64_MAX);
	cr_assert(line_put(&l, 1000, 7, 3));
	cr_assert_eq(line_next_ns(&l), 1000 + DELAY_NS);
	cr_assert_not(line_take(&l, 999 + DELAY_NS, &e));
	cr_assert(line_take(&l, 1000 + DELAY_NS, &e));
	cr_assert(e.slot == 7 && e.note == 3);
	cr_assert_not(line_take(&l, UINT64_MAX, &e));
	line_destroy(&l);
}

/* Its ring wraps around and grows while entries wait in it. */
Test(line, thousands_come_out_in_the_order_they_went_in)
{
	struct line l;
	struct line_entry e;
	uint32_t in = 0, out = 0;

	line_init(&l, DELAY_NS);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 100 + round * 10; i++, in++)
			if (!line_put(&l, in, in, round))
				cr_assert(false, "no memory");
		for (unsigned i = 0; i < 90 + round * 5; i++, out++)
			if (!line_take(&l, UINT64_MAX, &e) || e.slot != out)
				cr_assert(false, "entry %u is not the next", out);
	}
	while (line_take(&l, UINT64_MAX, &e))
		if (e.slot != out++)
			cr_assert(false, "entry %u is not the next", out);
	cr_assert_eq(out, in);
	line_destroy(&l);
}

Test(line, a_cleared_line_is_empty)
{
	struct line l;
	struct line_entry e;

	line_init(&l, DELAY_NS);
	for (unsigned i = 0; i < 100; i++)
		cr_assert(line_put(&l, i, i, 0));
	line_clear(&l);
	cr_assert_not(line_take(&l, UINT64_MAX, &e));
	cr_assert_eq(line_next_ns(&l), UINT64_MAX);
	line_destroy(&l);
}
