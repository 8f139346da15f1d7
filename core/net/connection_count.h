/* How many connections the node has, and each source address of them: the limits are the node's, not a worker's,
 * because the kernel spreads connections by hash and not evenly.  Any worker takes and gives back; connections are made
 * and ended beside the path of a call, so a read-modify-write is no harm here.
 *
 * Sources are counted in cells by a keyed hash: two that share a cell share its limit, nobody can choose with whom, and
 * with the cells there are that is rare.  An IPv6 source is its /64.  Connections that the node opens itself count in
 * cells of their own: a peer that names ever other ports to answer to would have it open as many. */
#ifndef RW_CORE_NET_CONNECTION_COUNT_H
#define RW_CORE_NET_CONNECTION_COUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sip/address.h"

#define CONNECTION_CELLS 65536

struct connection_count {
	uint64_t k0, k1; /* of the hash */
	_Atomic uint32_t all, strangers;
	_Atomic uint32_t cells[CONNECTION_CELLS];
};

struct connection_limits {
	uint32_t all;        /* of the node; strangers, which are no gateway's address, have half of it */
	uint32_t per_source; /* 0: no limit */
};

#define CONNECTION_OURS_MIN 64 /* to one address, whatever the limit: one for each worker that there can be */

enum connection_kind { CONNECTION_OF_GATEWAY, CONNECTION_OF_STRANGER, CONNECTION_OURS };

enum connection_leave { CONNECTION_GRANTED, CONNECTION_NODE_FULL, CONNECTION_STRANGERS_FULL, CONNECTION_SOURCE_FULL };

/* Counts one in, if there is room for it. */
enum connection_leave connection_count_in(struct connection_count *c, const struct connection_limits *limits,
					  const struct address *peer, enum connection_kind kind);
/* The same peer and kind as it was counted in with. */
void connection_count_out(struct connection_count *c, const struct address *peer, enum connection_kind kind);

/* Why not, for the log. */
const char *connection_leave_text(enum connection_leave leave);

#endif
