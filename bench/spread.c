/* A value's step: its position of the highest bit, and the SPREAD_BITS bits after it. */
#include "bench/spread.h"

#include <assert.h>

#define SUB_COUNT (UINT64_C(1) << SPREAD_BITS)

static unsigned step_of(uint64_t ns)
{
	if (ns < SUB_COUNT)
		return (unsigned)ns;
	unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - SPREAD_BITS;
	return ((shift + 1) << SPREAD_BITS) + (unsigned)(ns >> shift & (SUB_COUNT - 1));
}

/* The largest value of the step. */
static uint64_t step_last(unsigned step)
{
	if (step < SUB_COUNT)
		return step;
	unsigned shift = (step >> SPREAD_BITS) - 1;
	uint64_t first = (SUB_COUNT + (step & (SUB_COUNT - 1))) << shift;
	return first + ((UINT64_C(1) << shift) - 1);
}

void spread_add(struct spread *s, uint64_t ns)
{
	unsigned step = step_of(ns);

	assert(step < SPREAD_STEPS);
	s->step[step]++;
	s->count++;
	s->sum_ns += ns;
	if (ns > s->max_ns)
		s->max_ns = ns;
}

void spread_merge(struct spread *s, const struct spread *other)
{
	s->count += other->count;
	s->sum_ns += other->sum_ns;
	if (other->max_ns > s->max_ns)
		s->max_ns = other->max_ns;
	for (unsigned i = 0; i < SPREAD_STEPS; i++)
		s->step[i] += other->step[i];
}

void spread_subtract(struct spread *s, const struct spread *earlier)
{
	s->count -= earlier->count;
	s->sum_ns -= earlier->sum_ns;
	for (unsigned i = 0; i < SPREAD_STEPS; i++)
		s->step[i] -= earlier->step[i];
}

uint64_t spread_quantile(const struct spread *s, double share)
{
	double exact = share * (double)s->count;
	uint64_t wanted = (uint64_t)exact, seen = 0;

	if ((double)wanted < exact || wanted == 0)
		wanted++;
	for (unsigned i = 0; i < SPREAD_STEPS; i++) {
		seen += s->step[i];
		if (seen >= wanted)
			return step_last(i) < s->max_ns ? step_last(i) : s->max_ns;
	}
	return s->max_ns;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

json_t *spread_json(const struct spread *s)
{
	return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "count", (json_int_t)s->count, "p50_us",
			 us(spread_quantile(s, 0.5)), "p90_us", us(spread_quantile(s, 0.9)), "p99_us",
			 us(spread_quantile(s, 0.99)), "p999_us", us(spread_quantile(s, 0.999)), "max_us",
			 us(s->max_ns));
}
