/* rwbench timers: what its parts share.  Private to bench/timers*.c.
 *
 * Two measurements.  Cost: arm, cancel, re-arm and fire, the wheel beside a binary heap behind one interface, in
 * virtual time.  Loop: the wheel driven in real time the way a worker drives it, how long an advance takes and how late
 * deadlines fire. */
#ifndef RW_BENCH_TIMERS_H
#define RW_BENCH_TIMERS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bench.h"
#include "bench/heap.h"
#include "bench/spread.h"
#include "timers/wheel.h"

#define CACHE_LINE 64

/* ---- what is armed ---- */

/* An entry is embedded in a record of its owner, so it has a cache line to itself, at the least. */
struct deadline {
	union {
		struct wheel_entry wheel; /* both first: an entry is its deadline */
		struct heap_entry heap;
	};
	uint64_t due_ns; /* as armed, not rounded */
	unsigned length; /* which row of the mix it is armed from */
};

static_assert(sizeof(struct deadline) <= CACHE_LINE, "one line a deadline");

struct records {
	char *memory;
	size_t count;
	uint64_t bytes; /* of one; a multiple of CACHE_LINE */
};

static inline struct deadline *record_at(const struct records *r, size_t i)
{
	return (struct deadline *)(void *)(r->memory + i * r->bytes);
}

/* 0 or -ENOMEM.  The pages are touched: the first use of none is measured. */
int records_create(struct records *r, size_t count, uint64_t bytes, bool huge);
void records_destroy(struct records *r);

/* A permutation of all records, for free(): neighbours on a list are not neighbours in memory, as in a switch whose
 * calls end in any order.  NULL: no memory. */
uint32_t *records_order(const struct records *r, struct bench_random *random);

/* ---- mixed lengths ---- */

/* Which row a new deadline is of, and a length from that row. */
unsigned mix_draw(struct bench_random *random);
uint64_t mix_length_ns(struct bench_random *random, unsigned length);
/* The rows in words. */
extern const char mix_text[];

/* ---- the rivals ---- */

struct timers {
	const char *name;
	void *(*create)(uint64_t now_ns, size_t count_max, bool huge); /* NULL: no memory */
	void (*destroy)(void *timers);
	void (*arm)(void *timers, struct deadline *d, uint64_t due_ns); /* or re-arm */
	void (*cancel)(void *timers, struct deadline *d);
	void (*advance)(void *timers, uint64_t now_ns);
	struct deadline *(*pop)(void *timers, uint64_t now_ns); /* NULL: nothing is due */
	uint64_t (*next_ns)(const void *timers);                /* UINT64_MAX: nothing is armed */
};

enum { WHEEL, HEAP, RIVALS };
extern const struct timers rivals[RIVALS];

/* ---- measurement 1 ---- */

struct cost { /* nanoseconds of CPU time an operation */
	double arm, cancel, rearm;
	double fire; /* from armed to popped: all wake-ups and all moves between levels on the way */
};

struct cost_settings {
	size_t armed;
	unsigned rounds; /* the rivals take turns; the result is the median */
	uint64_t seed, record_bytes;
	bool huge;
};

struct cost_result {
	struct cost cost[RIVALS];
	uint64_t too_late; /* by more than LATE_NS */
	uint64_t early;    /* fired before their time */
	uint64_t lost;     /* never fired */
};

/* 0 or -ENOMEM. */
int cost_measure(const struct cost_settings *settings, struct cost_result *ret_result);

/* ---- measurement 2 ---- */

#define ADVANCE_LONG_NS 1000000  /* no advance may take as long */
#define LATE_NS         10000000 /* 99.9 % of all firings are to be in time by this measure */

struct loop_settings {
	size_t armed;      /* kept: what fires is armed again from its row */
	uint64_t run_ns;   /* real time */
	uint64_t stall_ns; /* at the end the wheel is told that so much time has passed at once */
	uint64_t seed, record_bytes;
	bool huge;
	int cpu; /* to be pinned to; -1: wherever the kernel likes */
};

struct advances { /* duration of each wheel_advance() */
	struct spread wall, cpu;
	uint64_t wall_long, cpu_long; /* of ADVANCE_LONG_NS and more */
	uint64_t longest_moved;       /* entries moved by the longest of all by CPU time */
};

struct loop_result {
	struct advances on_time;  /* during the run */
	struct advances behind;   /* after the stall, until it has caught up */
	struct spread late;       /* wall clock when popped, less the deadline as armed */
	uint64_t too_late;        /* by more than LATE_NS */
	uint64_t early;           /* popped in a turn whose time was before the deadline */
	uint64_t moved;           /* between levels, during the run */
	uint64_t run_ns, busy_ns; /* wall, and of it on a core */
	uint64_t stolen_ns;       /* from all cores by the hypervisor, in steps of 10 ms */
	long preempted;           /* involuntary context switches */
};

/* 0 or negative errno. */
int loop_measure(const struct loop_settings *settings, struct loop_result *ret_result);

#endif
