/* What the subcommands of rwbench share: one file each, one row each in the table of rwbench.c.
 *
 * A subcommand reads its own options, does its measurement, prints a table for people or, with --json, one object for
 * programs, and returns an exit status.  What it prints names the machine, the seed and the units. */
#ifndef RW_BENCH_BENCH_H
#define RW_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "sip/address.h"
#include "sip/bytes.h"

enum bench_exit {
	BENCH_DONE = 0,
	BENCH_FAILED = 1, /* what was measured broke a promise, or could not be measured; the reason is on stderr */
	BENCH_USAGE = 2,
};

#define BENCH_SECOND_NS UINT64_C(1000000000)

/* argv[0] is the subcommand's name. */
int bench_cdr(int argc, char **argv);
int bench_cps(int argc, char **argv);
int bench_flood(int argc, char **argv);
int bench_hold(int argc, char **argv);
int bench_journal(int argc, char **argv);
int bench_limit(int argc, char **argv);
int bench_overload(int argc, char **argv);
int bench_parse(int argc, char **argv);
int bench_pdd(int argc, char **argv);
int bench_rates(int argc, char **argv);
int bench_route(int argc, char **argv);
int bench_shard(int argc, char **argv);
int bench_timers(int argc, char **argv);

/* ---- clocks ---- */

static inline uint64_t bench_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * BENCH_SECOND_NS + (uint64_t)ts.tv_nsec;
}

static inline uint64_t bench_wall_ns(void)
{
	return bench_clock_ns(CLOCK_MONOTONIC);
}

/* Time this thread was on a core: what wall clock shows on top of it was somebody else's. */
static inline uint64_t bench_cpu_ns(void)
{
	return bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- random numbers: the same ones from the same seed, on every machine ---- */

struct bench_random {
	uint64_t state;
};

/* A Weyl sequence, mixed by two rounds of multiply and shift. */
static inline uint64_t bench_random(struct bench_random *r)
{
	uint64_t x = r->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

/* 0 .. below - 1; below is small against 2^64, so the bias does not matter. */
static inline uint64_t bench_random_below(struct bench_random *r, uint64_t below)
{
	return bench_random(r) % below;
}

/* ---- helpers ---- */

/* A whole decimal number of at least `min` and at most `max`; otherwise false, and the reason is on stderr. */
bool bench_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Sorts them.  At least one. */
double bench_median(double *values, unsigned count);

/* "192.0.2.1:5060", "[2001:db8::1]:5060", or the host alone, with that port.  false: it is none of these. */
bool bench_address(struct bytes text, uint16_t port, struct address *ret_address);

/* Memory for `bytes`, zero, with huge pages asked for or refused.  NULL: there is none. */
void *bench_memory(uint64_t bytes, bool huge);
void bench_memory_free(void *memory, uint64_t bytes);

/* What it is doing now, on stderr, if people are watching. */
__attribute__((format(printf, 1, 2))) void bench_progress(const char *format, ...);
void bench_progress_end(void);

#endif
