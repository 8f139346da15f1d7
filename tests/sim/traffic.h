/* Random traffic: what a run is like, and what each of its calls does, all from the seed. */
#ifndef RW_TESTS_SIM_TRAFFIC_H
#define RW_TESTS_SIM_TRAFFIC_H

#include "tests/sim/peer.h"

/* The settings of a seed: shards, steering, links. */
void traffic_settings(uint64_t seed, struct sim_settings *ret_settings);

/* Three seeds of four are about session timers (traffic_timers.c): parameters and gateways of such a run, until the
 * next call of this; and a call. */
void traffic_timer_settings(uint64_t dice, struct sim_settings *settings);
void traffic_draw_timer_script(struct sim *sim, struct script *script);

/* Places `calls` calls over some virtual minutes, with noise and faults between them; does not wait for their end. */
void traffic_schedule(struct sim *sim, unsigned calls);

/* After that: the node is killed so often while they are placed, and comes back each time. */
void traffic_kill(struct sim *sim, unsigned times);

/* The same run on connections; and, after traffic_schedule(), their ends. */
void traffic_reliable(struct sim_settings *settings);
void traffic_cut(struct sim *sim, unsigned cuts);

/* One of them, at that time: what a call does is drawn then. */
void traffic_place_at(struct sim *sim, uint64_t at_ns);

#endif
