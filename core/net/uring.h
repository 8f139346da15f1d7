/* One worker's io_uring, made and used by that thread alone: datagrams in and out, connections (uring_stream.c), the
 * doorbell of the mailboxes, an eventfd of the control thread, and sleep.
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

/* What connections receive into; NULL: there are none. */
struct uring_streams {
	struct io_uring_buf_ring *buffer_ring;
	char *buffers;
	char *memory;
	unsigned returned;    /* as of struct uring */
	struct msghdr layout; /* likewise; there is no name */
};

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffer_ring;
	char *buffers;
	unsigned returned;    /* buffers given back in this turn and not yet shown to the kernel */
	struct msghdr layout; /* of what multishot recvmsg writes */
	struct sendbuf sendbuf;
	char *memory; /* of buffer ring, buffers and sendbuf */
	struct uring_streams streams;
	unsigned socket_count;
	uint64_t accepting;   /* bit by socket: it listens for connections */
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

/* What has become of an operation of a connection. */
enum uring_stream_kind { URING_ACCEPTED, URING_RECEIVED, URING_SENT, URING_CONNECTED };

struct uring_stream_event {
	enum uring_stream_kind kind;
	unsigned listener;          /* URING_ACCEPTED: the socket */
	uint32_t index, generation; /* else: as it was asked for */
	int result;         /* URING_ACCEPTED: the descriptor, to be closed by whom is told; URING_SENT: how many bytes;
			     * or a negative errno */
	bool more;          /* URING_RECEIVED: there will be others; false: that was the end of the operation */
	struct bytes bytes; /* URING_RECEIVED without error: none: the peer will send no more */
	int64_t stamp_ns;   /* CLOCK_REALTIME, 0: none */
	unsigned buffer;    /* that they are in, below URING_STREAM_BUFFERS */
	bool *keep;         /* set: the buffer is lent until uring_give_back() */
};

#define URING_STREAM_BUFFERS 64

/* What is in `e` is lent until the function returns. */
typedef void uring_stream_fn(void *context, const struct uring_stream_event *e);

/* Sockets and eventfd are borrowed until uring_close().  accepting: bit by socket, it is a listening one.  0, or a
 * negative errno and a sentence in `error`. */
int uring_open(struct uring *u, const int *sockets, unsigned socket_count, uint64_t accepting, int wake_fd,
	       char error[static 256]);
void uring_close(struct uring *u);

/* What was to be sent; lent until the function returns. */
typedef void uring_refused_fn(void *context, struct bytes datagram);

/* Handles all that has completed; returns how many datagrams came.  `refused` may be NULL, and `stream` where no socket
 * is a listening one. */
unsigned uring_handle(struct uring *u, uring_datagram_fn *datagram, uring_stream_fn *stream, uring_refused_fn *refused,
		      void *context);

/* As lend, send and unlend of struct edge.  lend is NULL only for a size no datagram can have or if the kernel takes
 * nothing any more. */
char *uring_lend(struct uring *u, size_t size);
void uring_send(struct uring *u, unsigned listener, const struct address *to, char *at, size_t size);
void uring_unlend(struct uring *u);

/* Has it told as refused at the next uring_handle(), as if the kernel had refused it. */
void uring_refuse(struct uring *u, struct bytes datagram);

/* Operations of a connection, each told of with its index and generation (24 bits each); what they are given is
 * borrowed until then.  false: the kernel takes nothing any more.  uring_receive() goes on by itself,
 * uring_send_bytes() waits until the kernel has taken some. */
bool uring_receive(struct uring *u, int fd, uint32_t index, uint32_t generation);
bool uring_send_bytes(struct uring *u, int fd, uint32_t index, uint32_t generation, struct bytes bytes);
bool uring_connect(struct uring *u, int fd, uint32_t index, uint32_t generation, const struct sockaddr *to,
		   unsigned to_size);
/* A buffer that was kept.  What connections bring stays in their sockets while there is none. */
void uring_give_back(struct uring *u, unsigned buffer);
/* It is told of as cancelled (-ECANCELED), unless it has completed by then. */
void uring_cancel(struct uring *u, enum uring_stream_kind kind, uint32_t index, uint32_t generation);

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

/* ---- between uring.c and uring_stream.c ---- */

/* Kinds of completions, the low byte of user_data.  Above it the socket; of a send, where its bytes are: 16 bits of
 * their place in the sendbuf (in units of 16), 16 of their size, 24 of the sendbuf's round; of a connection, 24 bits of
 * its index and 24 of its generation. */
enum {
	URING_ON_DATAGRAM = 1,
	URING_ON_SEND,
	URING_ON_WAKE,
	URING_ON_RUNG,
	URING_ON_RING_SENT,
	URING_ON_ACCEPT,
	URING_ON_STREAM, /* and enum uring_stream_kind */
};

/* A slot to fill; when the queue is full it is submitted.  NULL: the kernel takes nothing. */
struct io_uring_sqe *uring_slot(struct uring *u);
/* The kernel's receive stamp of a message that was received with this layout; 0: none. */
int64_t uring_stamp_ns(struct io_uring_recvmsg_out *out, struct msghdr *layout);

int uring_streams_open(struct uring *u);
void uring_streams_close(struct uring *u);
bool uring_arm_accept(struct uring *u, unsigned socket);
void uring_streams_handle(struct uring *u, const struct io_uring_cqe *cqe, uring_stream_fn *stream, void *context);
void uring_streams_show_buffers(struct uring *u);

#endif
