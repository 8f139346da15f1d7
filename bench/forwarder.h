/* The floor: a process that receives datagrams and sends each one on, and does nothing else.  With the caller's end on
 * one side and the callee's on the other it handles the 14 messages of a call, 7 in and 7 out, of the sizes that they
 * have: what no switch can beat.  The same socket options, ring set-up and batching as a switch may have; bytes leave
 * from where they were received. */
#ifndef RW_BENCH_FORWARDER_H
#define RW_BENCH_FORWARDER_H

#include <sys/types.h>

#include "sip/address.h"

struct forwarder_settings {
	struct address listen;
	struct address caller, callee; /* what comes from the callee's address goes to the caller's, all else to the
					  callee's */
	int cpu;                       /* to be pinned to, -1: not */
};

/* The process, which ends with its parent; or a negative errno. */
pid_t forwarder_start(const struct forwarder_settings *settings);
void forwarder_stop(pid_t pid);

#endif
