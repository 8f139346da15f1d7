/* Sees every datagram that reaches the node and every one it sends, before the network does anything to it, and every
 * CDR, and holds them against RFC 3261 and the virtual truth.  A check that fails goes to sim_fail(). */
#ifndef RW_TESTS_SIM_WATCH_H
#define RW_TESTS_SIM_WATCH_H

#include "tests/sim/peer.h"
#include "tests/sim/sim.h"

struct watch;

struct watch *watch_create(struct sim *sim);
/* source, at: the host's address, or another port of the proxy in front of it. */
void watch_in(struct sim *sim, struct host *from, const struct address *source, struct bytes datagram, bool damaged);
void watch_out(struct sim *sim, const struct host *to, const struct address *at, struct bytes datagram);
void watch_lost(struct sim *sim, struct bytes datagram, bool to_node);
/* One that came while the node was down. */
void watch_unheard(struct sim *sim, struct bytes datagram);
/* One that is about to be damaged on its way to the node. */
void watch_damaged(struct sim *sim, struct bytes datagram);
/* The node was killed: what it has forgotten it is not held to. */
void watch_killed(struct sim *sim);
void watch_cdr(struct sim *sim, struct sim_cdr *record);
void watch_check_end(struct sim *sim);

/* ---- what tests ask ---- */

enum way { IN_A, OUT_A, IN_B, OUT_B }; /* to or from the node, on the caller's or the callee's side */

/* How often this was seen: "INVITE", "BYE", "200 INVITE"; retransmissions not counted, or only they. */
unsigned sim_seen(const struct sim_call *call, enum way way, const char *what);
unsigned sim_seen_again(const struct sim_call *call, enum way way, const char *what);
/* When the n-th of them was (0: the first, repetitions counted too); 0: not that often. */
uint64_t sim_seen_ns(const struct sim_call *call, enum way way, const char *what, unsigned n);

#endif
