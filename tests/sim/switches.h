/* Attempts of a call one after another, as spec 6 has them, held against what the watch sees: which gateway or address
 * may be tried after which failure, who rests, the To tags that the caller sees, what the CDR lists. */
#ifndef RW_TESTS_SIM_SWITCHES_H
#define RW_TESTS_SIM_SWITCHES_H

#include "tests/sim/peer.h"

struct switches;

/* The gateway that has this address; NULL: none. */
const struct routing_gateway *switches_routing(const struct sim *sim, const struct host *host);

/* Of a call, made when it is first asked for; NULL: of no call. */
struct switches *switches_of(struct sim *sim, struct sim_call *call);

/* The caller's INVITE, its CANCEL, and what the node answers the INVITE. */
void switches_invite_in(const struct sim *sim, struct switches *s, const struct wire *w);
void switches_cancel_in(struct switches *s);
void switches_response_out(struct sim *sim, struct switches *s, const struct wire *w);

/* Towards a gateway: INVITEs (each one is told), CANCELs, and what comes back to an INVITE. */
void switches_invite_out(struct sim *sim, struct switches *s, const struct host *to, const struct wire *w);
void switches_cancel_out(struct switches *s, const struct wire *w);
void switches_response_in(struct sim *sim, struct switches *s, struct host *from, const struct wire *w);

void switches_cdr(struct sim *sim, struct switches *s, const struct cdr *cdr);

#endif
