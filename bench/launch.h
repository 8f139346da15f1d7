/* A Ringwheel of one's own for a measurement: a configuration made for it, a directory of its own for its data, pinned,
 * and stopped by its process id.  It ends with this program; only the directory is left if this program is killed. */
#ifndef RW_BENCH_LAUNCH_H
#define RW_BENCH_LAUNCH_H

#include <stdint.h>
#include <sys/types.h>

#include "sip/address.h"

struct launch_settings {
	const char *path; /* of the program */
	struct address listen;
	const struct address *caller, *callee; /* mapping and routing gateways */
	unsigned caller_count, callee_count;
	unsigned workers;
	uint32_t calls_max, session_ttl_s;
	int cpu; /* the first of as many cores as there are workers, -1: not pinned */
};

struct launch {
	pid_t pid;
	char directory[64]; /* its data is in data/, what it says in log */
};

/* Returns when it listens.  0, or -1 and a sentence in `error`; then there is nothing to stop. */
int launch_start(const struct launch_settings *settings, struct launch *ret_launch, char error[static 256]);
void launch_stop(struct launch *l);

#endif
