/* Strangers beside a measurement: a process of its own that sends garbage, scanners' requests and cut messages to the
 * switch at a rate, from addresses that are no gateway's, and counts what comes back.  With sendmmsg(), as its cores
 * are those of the switch. */
#ifndef RW_BENCH_STRANGERS_H
#define RW_BENCH_STRANGERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sip/address.h"

enum { STRANGERS_SOURCES_MAX = 16 };

struct strangers_settings {
	struct address target;
	struct address source[STRANGERS_SOURCES_MAX];
	unsigned source_count;
	double rate;  /* datagrams a second, all sources together */
	bool garbage; /* nothing but what is no SIP */
	uint64_t seed;
	int cpu; /* -1: not pinned */
};

/* Written by that process, read by anybody. */
struct strangers_counts {
	uint64_t sent, sent_bytes;
	uint64_t unsent; /* refused by our own kernel */
	uint64_t answers, answers_bytes;
	uint64_t largest_answer, largest_sent;
	uint64_t run_ns, cpu_ns;
};

struct strangers;

/* NULL: the reason is on stderr. */
struct strangers *strangers_start(const struct strangers_settings *settings);
/* Ends them, and waits a moment for what still comes back. */
void strangers_stop(struct strangers *s, struct strangers_counts *ret_counts);

#endif
