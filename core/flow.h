/* Where a message came from or goes to: not a bare address, so that TCP, TLS and several listeners change nothing
 * inside.  The local address is the listener's. */
#ifndef RW_CORE_FLOW_H
#define RW_CORE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/address.h"
#include "sip/bytes.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS };

/* On a stream, a message goes by the connection that its flow names as long as that stands and leads to the peer's
 * host; else by another one to the peer, which the edge opens if there is none. */
struct flow {
	struct address peer;
	uint16_t listener;              /* index in config.listens */
	uint8_t transport;              /* enum transport */
	bool pinned : 1;                /* by that connection or not at all */
	bool repeated : 1;              /* on a stream: not needed as long as what went before still waits to be sent */
	uint32_t connection;            /* the edge's name for it; 0: none, and for UDP */
	uint32_t connection_generation; /* 0 for UDP */
};

/* RFC 3261 17: transactions on a reliable transport do not retransmit. */
static inline bool flow_is_reliable(const struct flow *flow)
{
	return flow->transport != TRANSPORT_UDP;
}

/* As Via writes it (18.1.1). */
static inline struct bytes flow_via(const struct flow *flow)
{
	return flow->transport == TRANSPORT_UDP ? BYTES("UDP") : BYTES("TCP");
}

/* As the configuration, URIs and the log write it. */
static inline const char *transport_name(enum transport transport)
{
	static const char *const names[] = { "udp", "tcp", "tls" };

	return names[transport];
}

/* When a message came in, by both clocks.  The kernel's receive stamp, translated once on arrival. */
struct arrival {
	uint64_t now_ns; /* CLOCK_MONOTONIC: for deadlines and durations; may be before that of an input that was read
			  * earlier, from another socket or by another worker */
	int64_t real_us; /* CLOCK_REALTIME, microseconds since 1970: for what a CDR prints */
};

#endif
