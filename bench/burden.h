/* A process that takes a share of a core from whoever else runs there, as a measurement that must make a program slower
 * than the one that drives it needs it.  It competes at the same priority, so it gets its share where the other one
 * would take no more than the rest, and at most half. */
#ifndef RW_BENCH_BURDEN_H
#define RW_BENCH_BURDEN_H

#include <sys/types.h>

/* On that core.  It ends with this program.  Negative errno: there is none. */
pid_t burden_start(int cpu, unsigned percent);
void burden_stop(pid_t burden);

#endif
