/* A record of a live call, whole or damaged, put before a shard: it takes up what it likes of it, lives through the
 * deadlines that came with it, stops, and must be empty then.  A crash, an assert or a leak is the failure. */
#ifndef RW_TESTS_FUZZ_RECORD_TAKE_H
#define RW_TESTS_FUZZ_RECORD_TAKE_H

#include "billing/recovery.h"
#include "tests/sim/sim.h"

/* A simulated node with calls in all the states that are written down (keep_each() of tests/sim/keep.h). */
struct sim *record_node(uint64_t seed);

/* Whether a shard of a later start of that node takes the call up. */
bool record_take(struct sim *sim, const struct recovered_call *call);

#endif
