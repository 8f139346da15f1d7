/* How a measured time is spread: counted in steps of 1/64 of the value (below 64 ns: of one nanosecond), so that
 * millions of them take no memory and a percentile is exact to 1.6 %.  Smallest, largest and sum are exact. */
#ifndef RW_BENCH_SPREAD_H
#define RW_BENCH_SPREAD_H

#include <jansson.h>
#include <stdint.h>

#define SPREAD_BITS  6
#define SPREAD_STEPS ((64 - SPREAD_BITS + 1) << SPREAD_BITS)

struct spread {
	uint64_t count, sum_ns, max_ns;
	uint64_t step[SPREAD_STEPS];
};

void spread_add(struct spread *s, uint64_t ns);

/* Adds all of another. */
void spread_merge(struct spread *s, const struct spread *other);

/* Takes away what an earlier state of the same spread held; max_ns stays. */
void spread_subtract(struct spread *s, const struct spread *earlier);

/* The value that `share` (0 to 1) of all do not exceed; never above the largest.  0 when there are none. */
uint64_t spread_quantile(const struct spread *s, double share);

/* A new object: count, p50, p90, p99, p999 and max, in microseconds. */
json_t *spread_json(const struct spread *s);

#endif
