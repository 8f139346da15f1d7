/* A process that takes a share of a core from whoever else runs there, as a measurement that must make a program slower
 * than the one that drives it needs it.  It goes first (SCHED_FIFO), so that what is left is the same core at any load,
 * only slower.  Without leave for that it competes: then it gets no more than the other one leaves, and half at most.
 */
#ifndef RW_BENCH_BURDEN_H
#define RW_BENCH_BURDEN_H

#include <sys/types.h>

/* On that core.  It ends with this program.  Negative errno: there is none. */
pid_t burden_start(int cpu, unsigned percent);
void burden_stop(pid_t burden);

#endif
