/* One worker's io_uring, made and used by that thread alone: datagrams in and out, the doorbell of the mailboxes, an
 * eventfd of the control thread, and sleep.
 *
 * In:  one multishot recvmsg a socket into a ring of provided buffers shared by all; a buffer goes back once its
 * datagram was handled.  Names and receive stamps stand before the payload. Out: a datagram is built in a sendbuf and
 * queued as one send each; all of them are submitted once a turn (earlier if the queue or the sendbuf is full).  A send
 * that the kernel cannot take at once is lost and counted; one it refuses for good (no route, not permitted) is told.
 *
 * Needs Linux 6.1: IORING_SETUP_DEFER_TASKRUN, multishot recvmsg, sends with an address. */
#ifndef RW_CORE_NET_URING_H
#define RW_CORE_NET_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/net/sendbuf.h"
#include "sip/address.h"
#include "sip/bytes.h"

#define URING_SOCKETS_MAX 64

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffer_ring;
	char *buffers;
	unsigned returned;    /* buffers given back in this turn and not yet shown to the kernel */
	struct msghdr layout; /* of what multishot recvmsg writes */
	struct sendbuf sendbuf;
	char *memory; /* of buffer ring, buffers and sendbuf */
	unsigned socket_count;
	uint64_t rearm;       /* bit by socket: its multishot has ended */
	uint64_t rearm_later; /* the same, but it failed: not at once */
	bool wake_armed;
	uint64_t wake_count;                /* what the eventfd's read leaves */
	uint64_t sent, lost;                /* datagrams given to the kernel, and of these refused */
	uint64_t refused_sends, busy_sends; /* of the lost ones: for good, and for want of room at that moment */
	uint64_t starved;                   /* times that receiving paused: all buffers were in use */
	int send_error;                     /* errno of the latest send that failed, 0: none */

	/* what was refused for good, copied before the sendbuf was used again: { u32 size, bytes } each */
	char *refused;
	size_t refused_used;
	unsigned looked; /* completions up to this one were looked at for them */
	uint32_t round;  /* of the sendbuf, counted at each reset: which sends' bytes are still there */
};

struct received {
	unsigned listener;
	const struct sockaddr *peer;
	int64_t stamp_ns; /* CLOCK_REALTIME, 0: none */
	struct bytes datagram;
	bool truncated;
};

/* Everything in `r` is lent until the function returns. */
typedef void uring_datagram_fn(void *context, const struct received *r);

/* Sockets and eventfd are borrowed until uring_close().  0, or a negative errno and a sentence in `error`. */
int uring_open(struct uring *u, const int *sockets, unsigned socket_count, int wake_fd, char error[static 256]);
void uring_close(struct uring *u);

/* What was to be sent; lent until the function returns. */
typedef void uring_refused_fn(void *context, struct bytes datagram);

/* Handles all that has completed; returns how many datagrams came.  `refused` may be NULL. */
unsigned uring_handle(struct uring *u, uring_datagram_fn *datagram, uring_refused_fn *refused, void *context);

/* As lend, send and unlend of struct edge.  lend is NULL only for a size no datagram can have or if the kernel takes
 * nothing any more. */
char *uring_lend(struct uring *u, size_t size);
void uring_send(struct uring *u, unsigned listener, const struct address *to, char *at, size_t size);
void uring_unlend(struct uring *u);

/* Queues a wake-up of the worker whose ring has this descriptor. */
void uring_ring(struct uring *u, int ring_fd);
static inline int uring_fd(const struct uring *u)
{
	return u->ring.ring_fd;
}

/* Submits what is queued, and lets the kernel complete what it can, without waiting.  true: something has completed. */
bool uring_submit(struct uring *u);
/* Sleeps until something completes, at most so long. */
void uring_wait(struct uring *u, uint64_t ns);
/* Once in a while: starts receiving again where it failed. */
void uring_retry(struct uring *u);

#endif
