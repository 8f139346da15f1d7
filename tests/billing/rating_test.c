/* Spec 10: seconds and fees.  Single values here; many, against decimal arithmetic, in rating_golden_test.py; what
 * prepaid deadlines ask for is held against rating_billed_s() over random terms.  */
#include "billing/rating.h"

#include <criterion/criterion.h>
#include <inttypes.h>

#include "billing/money.h"

static const struct rating_rules usual = { 50, 0, 2 };

Test(spec_10_billed_s, HOLD_TIME_PRECISION_decides_about_the_rest)
{
	const struct rate_terms each = { .rate_e8 = MONEY_ONE, .first_s = 1, .next_s = 1 };

	cr_assert_eq(rating_billed_s(&each, &usual, 0), 0);
	cr_assert_eq(rating_billed_s(&each, &usual, 49), 0);
	cr_assert_eq(rating_billed_s(&each, &usual, 50), 1);
	cr_assert_eq(rating_billed_s(&each, &usual, 10049), 10);
	cr_assert_eq(rating_billed_s(&each, &usual, 10050), 11);
	cr_assert_eq(rating_billed_s(&each, &(struct rating_rules){ 0, 0, 2 }, 10000), 10);
	cr_assert_eq(rating_billed_s(&each, &(struct rating_rules){ 0, 0, 2 }, 10001), 11);
	cr_assert_eq(rating_billed_s(&each, &(struct rating_rules){ 999, 0, 2 }, 10998), 10);
	cr_assert_eq(rating_billed_s(&each, &(struct rating_rules){ 999, 0, 2 }, 10999), 11);
}

Test(spec_10_billed_s, increments_grace_and_FREE_TIME)
{
	const struct rate_terms terms = { .rate_e8 = MONEY_ONE, .first_s = 30, .next_s = 6, .grace_s = 3 };
	const struct rating_rules free_10 = { 50, 10, 2 };

	cr_assert_eq(rating_billed_s(&terms, &usual, 3049), 0);
	cr_assert_eq(rating_billed_s(&terms, &usual, 3050), 30);
	cr_assert_eq(rating_billed_s(&terms, &usual, 30049), 30);
	cr_assert_eq(rating_billed_s(&terms, &usual, 30050), 36);
	cr_assert_eq(rating_billed_s(&terms, &usual, 36049), 36);
	cr_assert_eq(rating_billed_s(&terms, &usual, 36050), 42);
	cr_assert_eq(rating_billed_s(&terms, &free_10, 10049), 0);
	cr_assert_eq(rating_billed_s(&terms, &free_10, 10050), 30);
	cr_assert_eq(rating_billed_s(&terms, &free_10, 41000), 36);
}

/* Grace is compared with the whole call, not with what free time leaves of it. */
Test(spec_10_billed_s, grace_comes_before_FREE_TIME)
{
	const struct rate_terms terms = { .rate_e8 = MONEY_ONE, .first_s = 1, .next_s = 1, .grace_s = 20 };
	const struct rating_rules free_15 = { 50, 15, 2 };

	cr_assert_eq(rating_billed_s(&terms, &free_15, 20000), 0);
	cr_assert_eq(rating_billed_s(&terms, &free_15, 21000), 6);
}

Test(spec_10_billed_s, increments_of_nothing_are_seconds)
{
	const struct rate_terms none = { .rate_e8 = MONEY_ONE };

	cr_assert_eq(rating_billed_s(&none, &usual, 7000), 7);
	cr_assert_eq(rating_next_billed_s(&none, 7), 8);
}

Test(spec_10_billed_s, holds_of_any_length)
{
	const struct rate_terms terms = { INT64_MAX, INT64_MAX, UINT32_MAX, UINT32_MAX, 0 };
	uint64_t s = rating_billed_s(&terms, &usual, UINT64_MAX);

	cr_assert_eq(s % UINT32_MAX, 0);
	cr_assert_geq(s, UINT64_MAX / 1000);
	cr_assert_eq(rating_fee_e8(&terms, &usual, s), INT64_MAX);
	cr_assert_eq(rating_fee_e8(&terms, &usual, UINT64_MAX), INT64_MAX);
	cr_assert_eq(rating_charge_e8(&terms, UINT64_MAX), INT64_MAX);
}

Test(spec_10_fee, connect_fee_only_of_what_is_billed)
{
	const struct rate_terms terms = { 60000000, 5000000, 1, 1, 0 }; /* 0.60 a minute, 0.05 */

	cr_assert_eq(rating_fee_e8(&terms, &usual, 0), 0);
	cr_assert_eq(rating_fee_e8(&terms, &usual, 1), 6000000);
	cr_assert_eq(rating_fee_e8(&terms, &usual, 60), 65000000);
	cr_assert_eq(rating_charge_e8(&terms, 0), 0);
	cr_assert_eq(rating_charge_e8(&terms, 60), 65000000);
}

/* 0.00499999999... is not a half, although it is one when it is first rounded to eight decimals. */
Test(spec_10_fee, FEE_PRECISION_rounds_once)
{
	const struct rate_terms terms = { 29999999, 0, 1, 1, 0 };

	cr_assert_eq(rating_fee_e8(&terms, &usual, 1), 0, "0.29999999 / 60");
	cr_assert_eq(rating_fee_e8(&(struct rate_terms){ 30000000, 0, 1, 1, 0 }, &usual, 1), 1000000);
	cr_assert_eq(rating_fee_e8(&terms, &(struct rating_rules){ 50, 0, 8 }, 1), 500000);
	cr_assert_eq(rating_charge_e8(&terms, 1), 500000);
	cr_assert_eq(rating_fee_e8(&(struct rate_terms){ 29, 0, 1, 1, 0 }, &(struct rating_rules){ 50, 0, 8 }, 1), 0);
	cr_assert_eq(rating_fee_e8(&(struct rate_terms){ 30, 0, 1, 1, 0 }, &(struct rating_rules){ 50, 0, 8 }, 1), 1);
	cr_assert_eq(rating_charge_e8(&(struct rate_terms){ 1, 0, 1, 1, 0 }, 1), 1, "not rounded down");
}

/* ---- what deadlines by balance ask for ---- */

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (state >> 33) % below;
}

static void draw_terms(struct rate_terms *terms, struct rating_rules *rules)
{
	*terms = (struct rate_terms){ .rate_e8 = (int64_t)draw(draw(2) ? 3000000000 : 100),
				      .connect_fee_e8 = (int64_t)draw(draw(2) ? 100000000 : 1),
				      .first_s = (uint32_t)draw(draw(3) ? 4 : 90),
				      .next_s = (uint32_t)draw(draw(3) ? 4 : 90),
				      .grace_s = (uint32_t)draw(draw(2) ? 1 : 40) };
	*rules = (struct rating_rules){ (uint16_t)draw(1000), (uint16_t)draw(draw(2) ? 1 : 60), (uint8_t)draw(9) };
}

/* Of whole seconds it is the last one that is billed no more, whatever the precision. */
Test(spec_10_deadlines, covers_ms_is_the_longest_hold_of_whole_seconds)
{
	struct rate_terms terms;
	struct rating_rules rules;

	for (int i = 0; i < 300000; i++) {
		draw_terms(&terms, &rules);
		uint64_t billed = draw(300), ms = rating_covers_ms(&terms, &rules, billed);

		cr_assert_eq(ms % 1000, 0);
		cr_assert_leq(rating_billed_s(&terms, &rules, ms), billed);
		cr_assert_gt(rating_billed_s(&terms, &rules, ms + 1000), billed);
		if (rules.hold_precision_ms > 1) /* cut off a little late */
			cr_assert_leq(rating_billed_s(&terms, &rules, ms + rules.hold_precision_ms - 1u), billed);
		cr_assert_gt(rating_billed_s(&terms, &rules, ms + 999), billed);
	}
}

/* Every hold is billed one of 0, next(0), next(next(0)) and so on, and each of them is what some hold is billed. */
Test(spec_10_deadlines, next_billed_s_is_one_increment_more)
{
	struct rate_terms terms;
	struct rating_rules rules;

	for (int i = 0; i < 3000; i++) {
		uint64_t billed = 0;

		draw_terms(&terms, &rules);
		for (uint64_t s = 0; s < 300; s++) {
			uint64_t now = rating_billed_s(&terms, &rules, 1000 * s);

			if (now != billed && terms.grace_s <= rules.free_s)
				cr_assert_eq(now, rating_next_billed_s(&terms, billed));
			while (billed < now)
				billed = rating_next_billed_s(&terms, billed);
			cr_assert_eq(now, billed);
		}
		uint64_t between = draw(500), next = rating_next_billed_s(&terms, between);
		cr_assert_gt(next, between);
		cr_assert_eq(rating_billed_s(&terms, &(struct rating_rules){ 0 }, 1000 * (next + terms.grace_s)) >=
				     next,
			     true);
	}
}

Test(spec_10_deadlines, billed_s_for_is_as_much_as_the_credit_pays)
{
	struct rate_terms terms;
	struct rating_rules rules;

	for (int i = 0; i < 300000; i++) {
		draw_terms(&terms, &rules);
		int64_t credit = (int64_t)draw(draw(2) ? 20000000000 : 100000000) - (draw(9) ? 0 : 5000000);
		uint64_t s = rating_billed_s_for(&terms, credit), more = rating_next_billed_s(&terms, s);

		if (s == UINT64_MAX) {
			cr_assert_eq(terms.rate_e8, 0);
			cr_assert_leq(terms.connect_fee_e8, credit);
			continue;
		}
		if (s > 0)
			cr_assert_leq(rating_charge_e8(&terms, s), credit);
		cr_assert_gt(rating_charge_e8(&terms, more), credit, "%" PRIu64 " s for %" PRId64, s, credit);
		/* It is a value of rating_billed_s(). */
		cr_assert_eq(s ? rating_billed_s(&terms, &(struct rating_rules){ 0 }, 1000 * s) : 0,
			     s > terms.grace_s ? s : 0);
	}
}

/* The charge is the fee, rounded up at the last decimal. */
Test(spec_10_deadlines, charge_is_never_below_the_exact_fee)
{
	struct rate_terms terms;
	struct rating_rules rules;

	for (int i = 0; i < 300000; i++) {
		draw_terms(&terms, &rules);
		rules.fee_decimals = 8;
		uint64_t s = draw(10000);
		int64_t more = rating_charge_e8(&terms, s) - rating_fee_e8(&terms, &rules, s);

		cr_assert(more == 0 || more == 1);
	}
}

Test(spec_10_deadlines, no_bound)
{
	const struct rate_terms free_of_charge = { .rate_e8 = 0, .first_s = 60, .next_s = 60 };
	const struct rate_terms fee_only = { .rate_e8 = 0, .connect_fee_e8 = 10, .first_s = 60, .next_s = 60 };
	const struct rate_terms cheap = { .rate_e8 = 1, .first_s = 60, .next_s = 60 };

	cr_assert_eq(rating_covers_ms(&cheap, &usual, UINT64_MAX), UINT64_MAX);
	cr_assert_eq(rating_covers_ms(&cheap, &usual, UINT64_MAX / 1000 + 60), UINT64_MAX);
	cr_assert_eq(rating_billed_s_for(&free_of_charge, 0), UINT64_MAX);
	cr_assert_eq(rating_billed_s_for(&free_of_charge, -1), 0);
	cr_assert_eq(rating_billed_s_for(&fee_only, 9), 0);
	cr_assert_eq(rating_billed_s_for(&fee_only, 10), UINT64_MAX);
	cr_assert_eq(rating_billed_s_for(&cheap, INT64_MAX), UINT64_MAX, "unlimited");
	cr_assert_eq(rating_billed_s_for(&cheap, INT64_MAX - 1), UINT64_MAX, "more seconds than there are numbers");
	cr_assert_eq(rating_next_billed_s(&cheap, UINT64_MAX), UINT64_MAX);
	cr_assert_eq(rating_next_billed_s(&cheap, UINT64_MAX - 1), UINT64_MAX);
}
