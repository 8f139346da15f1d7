/* Offers in a dialog, one at a time: what goes in and out of the node on one leg is held against RFC
 * 3261 13.2.2.4, 14.1, 14.2 and RFC 3311 5.1, 5.2, from the messages alone. */
#ifndef RW_TESTS_SIM_OFFERS_H
#define RW_TESTS_SIM_OFFERS_H

#include "tests/sim/peer.h"

struct offers;

/* Of one leg; lives as long as the simulation. */
struct offers *offers_new(struct sim *sim, struct sim_call *call);

/* Since when nothing is open, or was before the latest request; UINT64_MAX: something is. */
uint64_t offers_free_ns(const struct offers *offers, bool before_latest);

/* First copies of requests; all responses.  `in`: to the node. */
void offers_request(struct sim *sim, struct offers *offers, const struct wire *w, bool in);
void offers_response(struct sim *sim, struct offers *offers, const struct wire *w, bool in);
/* An ACK that is owed by now was sent.  Called before whatever happens next on the leg, and at the end. */
void offers_check(struct sim *sim, struct offers *offers);

#endif
