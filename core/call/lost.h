/* What becomes of requests whose connection has ended before their answer came: RFC 3261 8.1.3.1, 17.1.4, 18.4.  To a
 * gateway it is as if nothing had been deliverable there (a datagram would have brought an ICMP error), so an INVITE
 * goes on to the next one; a request inside a dialog is asked once more by another connection, where the peer, should
 * it have heard it before, takes it for a retransmission. */
#ifndef RW_CORE_CALL_LOST_H
#define RW_CORE_CALL_LOST_H

#include "core/call/state.h"

void lost_connection(struct shard *s, uint32_t connection, uint32_t generation);

#endif
