/* Proxies between a peer and the node.  RFC 3261 16; 12.1, 12.2.1.1 and 18.2.2 for what the node must make of them.
 *
 * They are not hosts of their own: what passes through them is changed on its way, as they would change it together.
 * To the node, requests have their Vias and, for an INVITE, their Record-Routes; its own requests must be addressed as
 * the route set says that the dialog began with, whatever a later INVITE of the dialog records.  The peer knows nothing
 * of it.  All names below count the proxies from the node: the first one is that it speaks with. */
#ifndef RW_TESTS_SIM_PROXY_H
#define RW_TESTS_SIM_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/address.h"
#include "sip/bytes.h"
#include "tests/sim/wire.h"

#define PROXIES_MAX 3
#define PROXY_PORTS 8 /* 5060 and on: all of them are the first proxy's */

struct sim;
struct host;
struct ua;
struct script;

/* On one side of a call; zeroes: none. */
struct proxies {
	uint8_t count;
	uint8_t strict; /* bits by proxy: no lr */
	bool named;     /* the first one's Record-Route has a host name */
	bool doubled;   /* the first one records two interfaces */
	bool moves;     /* it sends from another port each time */
	bool no_rport;  /* and does not ask for answers there */
};

/* Draws them for both sides of a call that is about to be placed; from the seed and the number of the call alone. */
void proxy_draw(const struct sim *sim, struct script *script);

/* What the peer sends, on its way to the node. */
void proxy_send(const struct ua *ua, struct bytes text);

/* Adds the Record-Routes to a response of the peer to an INVITE; `initial`: of the one that made the dialog. */
void proxy_add_record_routes(const struct ua *ua, struct page *p, bool initial);

/* Holds a request of the node inside the dialog against its route set; w->uri is then the remote target again. */
void proxy_take_request(struct ua *ua, struct wire *w);

#endif
