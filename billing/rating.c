/* See rating.h.  Amounts before rounding are counts of sixtieths of 10^-8: what a second at a rate of 10^-8 a minute
 * costs.  So nothing is rounded twice.  */
#include "billing/rating.h"

#include <assert.h>

#include "billing/money.h"

#define SIXTY 60u

typedef unsigned __int128 wide; /* a rate times seconds, at most 2^63 * 2^64, and a connect fee */

static uint64_t smallest_saturated(wide number, uint64_t most)
{
	return number > most ? most : (uint64_t)number;
}

static uint64_t first_of(const struct rate_terms *terms)
{
	return terms->first_s ? terms->first_s : 1;
}

static uint64_t next_of(const struct rate_terms *terms)
{
	return terms->next_s ? terms->next_s : 1;
}

/* ---- seconds ---- */

uint64_t rating_billed_s(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t hold_ms)
{
	uint64_t s = hold_ms / 1000, rest_ms = hold_ms % 1000, first = first_of(terms), next = next_of(terms);

	assert(rules->hold_precision_ms < 1000);
	s += rest_ms > 0 && rest_ms >= rules->hold_precision_ms;
	if (s <= terms->grace_s || s <= rules->free_s)
		return 0;
	s -= rules->free_s;
	if (s <= first)
		return first;
	return first + (s - first + next - 1) / next * next;
}

uint64_t rating_covers_ms(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t billed_s)
{
	uint64_t first = first_of(terms), next = next_of(terms);
	wide s = rules->free_s;

	if (billed_s >= first)
		s += first + (billed_s - first) / next * next;
	if (s < terms->grace_s)
		s = terms->grace_s;
	return smallest_saturated(s * 1000, UINT64_MAX);
}

uint64_t rating_next_billed_s(const struct rate_terms *terms, uint64_t billed_s)
{
	uint64_t first = first_of(terms), next = next_of(terms);

	if (billed_s < first)
		return first;
	return smallest_saturated((wide)first + (wide)((billed_s - first) / next + 1) * next, UINT64_MAX);
}

/* ---- money ---- */

static wide sixtieths(const struct rate_terms *terms, uint64_t billed_s)
{
	assert(terms->rate_e8 >= 0 && terms->connect_fee_e8 >= 0);
	if (billed_s == 0)
		return 0;
	return (wide)(uint64_t)terms->connect_fee_e8 * SIXTY + (wide)(uint64_t)terms->rate_e8 * billed_s;
}

int64_t rating_fee_e8(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t billed_s)
{
	uint64_t unit = 1;

	assert(rules->fee_decimals <= MONEY_DECIMALS);
	for (unsigned i = rules->fee_decimals; i < MONEY_DECIMALS; i++)
		unit *= 10;
	wide units = (sixtieths(terms, billed_s) + SIXTY / 2 * unit) / (SIXTY * unit);
	return (int64_t)smallest_saturated(units * unit, INT64_MAX);
}

int64_t rating_charge_e8(const struct rate_terms *terms, uint64_t billed_s)
{
	return (int64_t)smallest_saturated((sixtieths(terms, billed_s) + SIXTY - 1) / SIXTY, INT64_MAX);
}

uint64_t rating_billed_s_for(const struct rate_terms *terms, int64_t credit_e8)
{
	uint64_t first = first_of(terms), next = next_of(terms);

	if (credit_e8 == INT64_MAX)
		return UINT64_MAX;
	if (rating_charge_e8(terms, first) > credit_e8)
		return 0;
	if (terms->rate_e8 == 0)
		return UINT64_MAX;
	wide left = (wide)(uint64_t)(credit_e8 - terms->connect_fee_e8) * SIXTY;
	uint64_t s = smallest_saturated(left / (uint64_t)terms->rate_e8, UINT64_MAX);
	return s == UINT64_MAX ? s : first + (s - first) / next * next;
}
