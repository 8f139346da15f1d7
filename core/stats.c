/* Histograms of the statistics.  A value up to 15 has a bucket of its own; above, bucket 16 * (e - 3) + s holds the
 * values whose highest bit is e and whose next four bits are s, and the last bucket everything from 2^35 - 2^30 on. */
#include "core/stats.h"

#include <stdbool.h>

enum { STEP_BITS = 4, STEPS = 1 << STEP_BITS };

static unsigned bucket_of(uint64_t value)
{
	if (value < STEPS)
		return (unsigned)value;
	unsigned highest = 63 - (unsigned)__builtin_clzll(value);
	unsigned step = (unsigned)(value >> (highest - STEP_BITS)) & (STEPS - 1);
	unsigned bucket = (highest - STEP_BITS + 1) * STEPS + step;
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
	if (bucket < STEPS)
		return bucket;
	unsigned shift = bucket / STEPS - 1;
	return ((uint64_t)(STEPS + bucket % STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	stat_add(&h->bucket[bucket_of(value)], 1);
	stat_add(&h->sum, value);
	stat_add(&h->count, 1);
	if (value > stat_get(&h->max))
		stat_set(&h->max, value);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	uint64_t max = stat_get(&from->max);

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->bucket[i] += stat_get(&from->bucket[i]);
	into->count += stat_get(&from->count);
	into->sum += stat_get(&from->sum);
	if (max > into->max)
		into->max = max;
}

/* A copy taken while the writer adds may hold a bucket more or less than its count, so the buckets are counted anew. */
uint64_t histogram_quantile(const struct histogram *h, unsigned permille)
{
	uint64_t total = 0, seen = 0, max = stat_get(&h->max);

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += stat_get(&h->bucket[i]);
	if (total == 0)
		return 0;
	uint64_t rank = (uint64_t)(((unsigned __int128)total * permille + 999) / 1000);
	if (rank == 0)
		rank = 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += stat_get(&h->bucket[i]);
		if (seen >= rank)
			return bucket_top(i) < max ? bucket_top(i) : max;
	}
	return max;
}
