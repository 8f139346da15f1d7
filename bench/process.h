/* What a process uses, from /proc: CPU time of each thread, and memory. */
#ifndef RW_BENCH_PROCESS_H
#define RW_BENCH_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_THREADS_MAX = 64 };

struct process_thread {
	pid_t id;
	char name[16];
	uint64_t cpu_ns;  /* on a core */
	uint64_t wait_ns; /* ready to run, but others were running */
};

struct process_usage {
	uint64_t at_ns;              /* CLOCK_MONOTONIC */
	uint64_t user_ns, system_ns; /* of the whole process, ended threads too; in steps of a clock tick */
	uint64_t cpu_ns;             /* of the threads that there are, exact where the kernel keeps schedstat */
	unsigned threads;
	struct process_thread thread[PROCESS_THREADS_MAX];
};

/* false: there is no such process, or it may not be looked at. */
bool process_read(pid_t pid, struct process_usage *ret_usage);

/* What was used between two looks: threads that were there at both. */
void process_difference(const struct process_usage *from, const struct process_usage *to,
			struct process_usage *ret_usage);

/* The thread that used most; NULL: there is none. */
const struct process_thread *process_busiest(const struct process_usage *usage);

/* Proportional set size (smaps_rollup): its memory, what is shared counted in parts.  0: cannot be read. */
uint64_t process_pss_bytes(pid_t pid);

/* Pins a process to a core; false: it may not be. */
bool process_pin(pid_t pid, int cpu);

/* A new object: microseconds of CPU for each of `count` things, under that name, the whole and its threads. */
json_t *process_json(const struct process_usage *usage, const char *name, uint64_t count);

#endif
