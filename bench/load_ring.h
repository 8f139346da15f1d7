/* The load generator's io_uring: a multishot receive on each socket into a ring of provided buffers, sends queued and
 * handed over once a turn.  The switch's own ring (core/net/uring.h) is not used: a bench that shares code with what it
 * measures shares its mistakes.
 *
 * A received datagram stays readable until the next load_ring_submit() or load_ring_wait(), and may be sent on from
 * where it lies. */
#ifndef RW_BENCH_LOAD_RING_H
#define RW_BENCH_LOAD_RING_H

#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/address.h"
#include "sip/bytes.h"

#define LOAD_DATAGRAM_MAX 4096 /* more is cut */
#define LOAD_SOCKETS_MAX  32

/* A socket address as the kernel wants it. */
struct load_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	uint32_t size;
};

struct load_ring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffer_ring;
	char *buffers, *sends, *memory;
	unsigned buffers_count, returned;
	size_t sends_used;
	struct msghdr layout; /* of what multishot recvmsg writes */
	unsigned socket_count;
	uint64_t rearm;          /* bit by socket: its multishot has ended */
	uint64_t received, sent; /* datagrams */
	uint64_t lost;           /* sends that the kernel refused */
	uint64_t cut;            /* received datagrams that were longer than the buffer */
};

struct load_datagram {
	unsigned socket;
	struct load_address from;
	int64_t stamp_ns; /* CLOCK_REALTIME when the kernel received it, 0: none */
	struct bytes bytes;
};

typedef void load_datagram_fn(void *context, const struct load_datagram *d);

void load_address_set(struct load_address *a, const struct address *address);

/* A UDP socket with the options of the switch's listeners: receive stamps, TOS, large buffers.  The descriptor, or a
 * negative errno. */
int load_socket(const struct address *address);

/* Sockets are borrowed until load_ring_close().  buffers_count is a power of two.  0 or a negative errno. */
int load_ring_open(struct load_ring *r, const int *sockets, unsigned socket_count, unsigned buffers_count);
void load_ring_close(struct load_ring *r);

/* Room for LOAD_DATAGRAM_MAX bytes, to be sent or not.  Submits what is queued if there is no more. */
char *load_ring_room(struct load_ring *r);
/* Queues what was written into the room lent last, or a received datagram that is still readable; `to` is copied. */
void load_ring_send(struct load_ring *r, unsigned socket, const struct load_address *to, const char *at, size_t size);

/* Hands over all that has completed; returns the number of datagrams. */
unsigned load_ring_receive(struct load_ring *r, load_datagram_fn *fn, void *context);

/* Submits what is queued and lets the kernel complete what it can. */
void load_ring_submit(struct load_ring *r);
/* Submits and sleeps until something completes, at most so long. */
void load_ring_wait(struct load_ring *r, uint64_t ns);
static inline bool load_ring_ready(const struct load_ring *r)
{
	return io_uring_cq_ready(&r->ring) > 0;
}
static inline unsigned load_ring_queued(const struct load_ring *r)
{
	return io_uring_sq_ready(&r->ring);
}

#endif
