/* Connections on a worker's ring: see uring.h.
 *
 * In:  one multishot accept a listening socket; of each connection one multishot recvmsg, for the kernel's receive
 * stamps, into a ring of provided buffers of their own, so that what connections bring does not take those of
 * datagrams. Out: one send at a time of what the owner holds until it is told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "core/net/uring.h"

enum {
	BUFFERS = URING_STREAM_BUFFERS, /* what does not find one stays in its socket, and the next turn takes it */
	BUFFER_GROUP = 1,
	BUFFER_BYTES =
		4 * 1024 + 128, /* and the stamp; so a turn takes 256 KiB, and datagrams and deadlines do not wait */
};

#define CONTROL_BYTES     CMSG_SPACE(sizeof(struct timespec))
#define BUFFER_RING_BYTES (BUFFERS * sizeof(struct io_uring_buf))
#define MEMORY_BYTES      (BUFFER_RING_BYTES + BUFFERS * BUFFER_BYTES)
#define NAME_MASK         0xffffffu

static_assert((BUFFERS & (BUFFERS - 1)) == 0, "a ring");

static void return_buffer(struct uring *u, unsigned id)
{
	struct uring_streams *streams = &u->streams;

	io_uring_buf_ring_add(streams->buffer_ring, streams->buffers + (size_t)id * BUFFER_BYTES, BUFFER_BYTES,
			      (unsigned short)id, BUFFERS - 1, (int)streams->returned++);
}

void uring_streams_show_buffers(struct uring *u)
{
	if (u->streams.returned > 0)
		io_uring_buf_ring_advance(u->streams.buffer_ring, (int)u->streams.returned);
	u->streams.returned = 0;
}

int uring_streams_open(struct uring *u)
{
	struct uring_streams *streams = &u->streams;
	void *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	streams->memory = memory;
	streams->buffer_ring = memory;
	streams->buffers = streams->memory + BUFFER_RING_BYTES;
	streams->layout = (struct msghdr){ .msg_controllen = CONTROL_BYTES };
	struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)streams->buffer_ring,
		.ring_entries = BUFFERS,
		.bgid = BUFFER_GROUP,
	};
	int r = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (r < 0)
		return r;
	io_uring_buf_ring_init(streams->buffer_ring);
	for (unsigned id = 0; id < BUFFERS; id++)
		return_buffer(u, id);
	uring_streams_show_buffers(u);
	return 0;
}

void uring_streams_close(struct uring *u)
{
	if (u->streams.memory)
		munmap(u->streams.memory, MEMORY_BYTES);
	u->streams.memory = NULL;
}

/* ---- asking ---- */

bool uring_arm_accept(struct uring *u, unsigned socket)
{
	struct io_uring_sqe *sqe = uring_slot(u);

	if (!sqe)
		return false;
	io_uring_prep_multishot_accept(sqe, (int)socket, NULL, NULL, SOCK_CLOEXEC);
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = (uint64_t)socket << 8 | URING_ON_ACCEPT;
	return true;
}

static uint64_t name_of(enum uring_stream_kind kind, uint32_t index, uint32_t generation)
{
	return (uint64_t)(URING_ON_STREAM + kind) | (uint64_t)(index & NAME_MASK) << 8 |
	       (uint64_t)(generation & NAME_MASK) << 32;
}

bool uring_receive(struct uring *u, int fd, uint32_t index, uint32_t generation)
{
	struct io_uring_sqe *sqe = uring_slot(u);

	if (!sqe)
		return false;
	io_uring_prep_recvmsg_multishot(sqe, fd, &u->streams.layout, 0);
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	sqe->user_data = name_of(URING_RECEIVED, index, generation);
	return true;
}

bool uring_send_bytes(struct uring *u, int fd, uint32_t index, uint32_t generation, struct bytes bytes)
{
	struct io_uring_sqe *sqe = uring_slot(u);

	if (!sqe)
		return false;
	io_uring_prep_send(sqe, fd, bytes.at, bytes.size, MSG_NOSIGNAL);
	sqe->user_data = name_of(URING_SENT, index, generation);
	return true;
}

bool uring_connect(struct uring *u, int fd, uint32_t index, uint32_t generation, const struct sockaddr *to,
		   unsigned to_size)
{
	struct io_uring_sqe *sqe = uring_slot(u);

	if (!sqe)
		return false;
	io_uring_prep_connect(sqe, fd, to, to_size);
	sqe->user_data = name_of(URING_CONNECTED, index, generation);
	return true;
}

void uring_cancel(struct uring *u, enum uring_stream_kind kind, uint32_t index, uint32_t generation)
{
	struct io_uring_sqe *sqe = uring_slot(u);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, name_of(kind, index, generation), 0);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = URING_ON_RING_SENT; /* whether there was anything to cancel does not matter */
}

/* ---- what came of it ---- */

static void handle_accept(struct uring *u, const struct io_uring_cqe *cqe, uring_stream_fn *stream, void *context)
{
	const unsigned socket = (unsigned)(cqe->user_data >> 8);
	const struct uring_stream_event e = { .kind = URING_ACCEPTED, .listener = socket, .result = cqe->res };

	/* A peer that has gone already, or a full completion queue, ends it for this turn; want of descriptors or
	 * memory for longer. */
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		if (cqe->res >= 0 || cqe->res == -ECONNABORTED || cqe->res == -EINTR)
			u->rearm |= UINT64_C(1) << socket;
		else
			u->rearm_later |= UINT64_C(1) << socket;
	}
	stream(context, &e);
}

/* The kernel leaves a head in front of the bytes, also when there are none because the peer has ended. */
static void take_received(struct uring *u, char *buffer, struct uring_stream_event *e)
{
	struct msghdr *layout = &u->streams.layout;
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(buffer, e->result, layout);

	if (!out)
		return;
	e->stamp_ns = uring_stamp_ns(out, layout);
	e->bytes.at = io_uring_recvmsg_payload(out, layout);
	e->bytes.size = io_uring_recvmsg_payload_length(out, e->result, layout);
}

void uring_streams_handle(struct uring *u, const struct io_uring_cqe *cqe, uring_stream_fn *stream, void *context)
{
	const unsigned kind = cqe->user_data & 0xff;

	if (kind == URING_ON_ACCEPT)
		handle_accept(u, cqe, stream, context);
	if (kind < URING_ON_STREAM || kind > URING_ON_STREAM + URING_CONNECTED)
		return;
	struct uring_stream_event e = {
		.kind = (enum uring_stream_kind)(kind - URING_ON_STREAM),
		.index = (uint32_t)(cqe->user_data >> 8) & NAME_MASK,
		.generation = (uint32_t)(cqe->user_data >> 32) & NAME_MASK,
		.result = cqe->res,
		.more = (cqe->flags & IORING_CQE_F_MORE) != 0,
	};
	const bool has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
	bool keep = false;
	e.keep = &keep;
	e.buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	if (has_buffer && e.result >= 0)
		take_received(u, u->streams.buffers + (size_t)e.buffer * BUFFER_BYTES, &e);
	stream(context, &e);
	if (has_buffer && !keep)
		return_buffer(u, e.buffer);
}

void uring_give_back(struct uring *u, unsigned buffer)
{
	return_buffer(u, buffer);
}
