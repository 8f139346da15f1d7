/* Scripted calls that together reach what a node does with calls: set-up, failover, forks, offers in both directions,
 * refreshes, probes, every end, credit, limits, reloads, restarts, the stop.  The same each time: for whoever runs them
 * again and again with one thing changed (sim_starve.c). */
#ifndef RW_TESTS_SIM_SCENARIOS_H
#define RW_TESTS_SIM_SCENARIOS_H

#include "tests/sim/peer.h"

/* clang-format off */
#define SCENARIOS(X) \
	X(calls)   /* two shards, limits and credit, a reload */ \
	X(offers)  /* offers, requests and refreshes inside dialogs */ \
	X(carried) /* the node is killed and comes back, twice */ \
	X(closed)  /* likewise, and ends what was up */ \
	X(synced)  /* answers wait for the disk */ \
	X(stopped) /* a stop in the middle, and what is checked by OPTIONS */ \
	X(kept)    /* a stop that keeps calls, and another start */
/* clang-format on */

enum scenario {
#define X(name) SCENARIO_##name,
	SCENARIOS(X)
#undef X
		SCENARIO_COUNT
};

const char *scenario_name(enum scenario scenario);

/* A simulation in which all of it is going to happen: sim_finish() runs it.  starved: sim_settings.starved. */
struct sim *scenario_create(enum scenario scenario, bool starved);
/* By then everything has happened that is going to, but for what peers and timers end by themselves. */
uint64_t scenario_end_ns(const struct sim *sim);
/* Whether the node takes calls to the end. */
bool scenario_goes_on(enum scenario scenario);
/* Whether each call may be held against another run: nobody has killed the node meanwhile. */
bool scenario_is_exact(enum scenario scenario);

#endif
