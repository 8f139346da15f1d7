/* The options of the measurements that make calls: one table for all of them, from which reading and --help come. */
#ifndef RW_BENCH_LOAD_OPTIONS_H
#define RW_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/load.h"

/* Whose option it is: bits. */
enum load_bench {
	FOR_CPS = 1,
	FOR_HOLD = 2,
	FOR_PDD = 4,
	FOR_LIMIT = 8,
	FOR_FLOOD = 16,
	FOR_OVERLOAD = 32,
	FOR_ALL = 63
};

enum { LOAD_RATES_MAX = 16 };

struct load_options {
	struct load_settings load;
	uint64_t local_count, callee_local_count; /* ports from the ones given */
	int cpu, switch_cpu;                      /* -1: not pinned */
	int64_t pid;                              /* of the switch; 0: not known */
	const char *switch_path;                  /* start it ourselves; NULL: it runs */
	bool floor;                               /* the forwarder instead of a switch, or beside it */
	bool json, smoke;
	const char *plot;

	double rate, ramp_to;
	double rates[LOAD_RATES_MAX];
	unsigned rates_count;
	uint64_t run_ns;
	bool find;
	double find_max, find_step; /* rates; the last step as a share */
	double resent_max;          /* percent of calls that may need a retransmission */
	uint64_t rounds;
	uint64_t calls;
	uint64_t find_ns;  /* of one step of finding, where run_ns is something else */
	uint64_t burden;   /* percent of the switch's core that something else takes */
	double end_rate;   /* BYEs a second; 0: calls are left when the time is over */
	const char *stats; /* the switch's control socket, NULL: not known */
	uint32_t segments, workers;
	double flood; /* datagrams of strangers a second */
	struct address stranger[LOAD_LOCAL_MAX];
	unsigned stranger_count;
	bool garbage;
};

/* `options` holds the defaults.  -1: go on; otherwise the exit status. */
int load_options_read(int argc, char **argv, enum load_bench bench, const char *text, struct load_options *options);

/* What they all begin with. */
void load_options_init(struct load_options *o);

#endif
