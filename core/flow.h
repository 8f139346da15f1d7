/* Where a message came from or goes to: not a bare address, so that TCP, TLS and several listeners change nothing
 * inside.  The local address is the listener's (or, later, the connection's). */
#ifndef RW_CORE_FLOW_H
#define RW_CORE_FLOW_H

#include <stdint.h>

#include "sip/address.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS };

struct flow {
	struct address peer;
	uint16_t listener; /* index in config.listens */
	uint8_t transport; /* enum transport */
	uint8_t unused;
	uint32_t connection;            /* 0 for UDP */
	uint32_t connection_generation; /* 0 for UDP */
};

/* When a message came in, by both clocks.  The kernel's receive stamp, translated once on arrival. */
struct arrival {
	uint64_t now_ns; /* CLOCK_MONOTONIC: for deadlines and durations; may be before that of an input that was read
			  * earlier, from another socket or by another worker */
	int64_t real_us; /* CLOCK_REALTIME, microseconds since 1970: for what a CDR prints */
};

#endif
