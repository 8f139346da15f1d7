/* A worker's io_uring: see the header. */
#include "core/net/uring.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
	SUBMIT_ENTRIES = 1024,
	COMPLETE_ENTRIES = 4096,
	BUFFERS = 512, /* a turn handles at most so many datagrams; the rest stays in the sockets */
	BUFFER_GROUP = 0,
	BUFFER_BYTES = 17 * 1024, /* 16 KiB, the largest message, and name, stamp and a bit: a larger one is seen cut */
	SENDBUF_BYTES = 1024 * 1024,
	REFUSED_BYTES = 256 * 1024, /* of one turn; what is more is only counted */
	DATAGRAM_BYTES_MAX = 65507,
	NAME_BYTES = 32,
};

/* Kinds of completions, the low byte of user_data.  Above it the socket, or, of a send, where its bytes are: 16 bits of
 * their place in the sendbuf (in units of 16), 16 of their size, 24 of the sendbuf's round. */
enum { ON_DATAGRAM = 1, ON_SEND, ON_WAKE, ON_RUNG, ON_RING_SENT };

#define CONTROL_BYTES     CMSG_SPACE(sizeof(struct timespec))
#define BUFFER_RING_BYTES (BUFFERS * sizeof(struct io_uring_buf))
#define MEMORY_BYTES      (BUFFER_RING_BYTES + BUFFERS * BUFFER_BYTES + SENDBUF_BYTES + REFUSED_BYTES)
#define ROUND_MASK        0xffffffu

static_assert((BUFFERS & (BUFFERS - 1)) == 0, "a ring");
static_assert(NAME_BYTES % 16 == 0 && NAME_BYTES >= sizeof(struct sockaddr_in6), "room for a peer");
static_assert(SENDBUF_BYTES / 16 <= 65536 && DATAGRAM_BYTES_MAX < 65536, "a send's bytes in its user_data");
static_assert(COMPLETE_ENTRIES >= BUFFERS + SUBMIT_ENTRIES, "one turn's completions do not overflow");

static const char *explain(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return "not permitted (kernel.io_uring_disabled, a container's seccomp profile?)";
	case ENOSYS:
		return "the kernel has none";
	case EINVAL:
		return "the kernel is too old: Linux 6.1 or newer is needed";
	case ENOMEM:
		return "no memory may be locked (RLIMIT_MEMLOCK)";
	default:
		return strerror(error);
	}
}

static int fail(const char *what, int r, char error[static 256])
{
	snprintf(error, 256, "io_uring: %s: %s", what, explain(-r));
	return r;
}

/* A slot to fill; when the queue is full it is submitted.  NULL: the kernel takes nothing. */
static struct io_uring_sqe *slot(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

static bool arm_datagrams(struct uring *u, unsigned socket)
{
	struct io_uring_sqe *sqe = slot(u);

	if (!sqe)
		return false;
	io_uring_prep_recvmsg_multishot(sqe, (int)socket, &u->layout, 0);
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	sqe->user_data = (uint64_t)socket << 8 | ON_DATAGRAM;
	return true;
}

static bool arm_wake(struct uring *u)
{
	struct io_uring_sqe *sqe = slot(u);

	if (!sqe)
		return false;
	io_uring_prep_read(sqe, (int)u->socket_count, &u->wake_count, sizeof u->wake_count, 0);
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = ON_WAKE;
	return true;
}

static void arm_all(struct uring *u)
{
	while (u->rearm) {
		unsigned socket = (unsigned)__builtin_ctzll(u->rearm);

		if (!arm_datagrams(u, socket))
			return;
		u->rearm &= u->rearm - 1;
	}
	if (!u->wake_armed)
		u->wake_armed = arm_wake(u);
}

static void return_buffer(struct uring *u, unsigned id)
{
	io_uring_buf_ring_add(u->buffer_ring, u->buffers + (size_t)id * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)id,
			      BUFFERS - 1, (int)u->returned++);
}

static void show_buffers(struct uring *u)
{
	if (u->returned > 0)
		io_uring_buf_ring_advance(u->buffer_ring, (int)u->returned);
	u->returned = 0;
}

static int open_buffers(struct uring *u)
{
	u->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (u->memory == MAP_FAILED) {
		u->memory = NULL;
		return -ENOMEM;
	}
	u->buffer_ring = (struct io_uring_buf_ring *)u->memory;
	u->buffers = u->memory + BUFFER_RING_BYTES;
	sendbuf_init(&u->sendbuf, u->buffers + BUFFERS * BUFFER_BYTES, SENDBUF_BYTES);
	u->refused = u->sendbuf.memory + SENDBUF_BYTES;
	struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)u->buffer_ring,
		.ring_entries = BUFFERS,
		.bgid = BUFFER_GROUP,
	};
	int r = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (r < 0)
		return r;
	io_uring_buf_ring_init(u->buffer_ring);
	for (unsigned id = 0; id < BUFFERS; id++)
		return_buffer(u, id);
	show_buffers(u);
	return 0;
}

static int open_ring(struct uring *u)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_CQSIZE,
		.cq_entries = COMPLETE_ENTRIES,
	};
	return io_uring_queue_init_params(SUBMIT_ENTRIES, &u->ring, &params);
}

static int open_files(struct uring *u, const int *sockets, int wake_fd)
{
	int files[URING_SOCKETS_MAX + 1];

	memcpy(files, sockets, u->socket_count * sizeof files[0]);
	files[u->socket_count] = wake_fd;
	return io_uring_register_files(&u->ring, files, u->socket_count + 1);
}

int uring_open(struct uring *u, const int *sockets, unsigned socket_count, int wake_fd, char error[static 256])
{
	assert(socket_count > 0 && socket_count <= URING_SOCKETS_MAX);
	memset(u, 0, sizeof *u);
	u->socket_count = socket_count;
	u->layout = (struct msghdr){ .msg_namelen = NAME_BYTES, .msg_controllen = CONTROL_BYTES };
	int r = open_ring(u);
	if (r < 0)
		return fail("cannot make a ring", r, error);
	if (!(u->ring.features & IORING_FEAT_CQE_SKIP) || !(u->ring.features & IORING_FEAT_EXT_ARG))
		r = fail("the ring lacks what the switch needs", -EINVAL, error);
	if (r == 0 && (r = open_buffers(u)) < 0)
		fail("cannot give the ring its buffers", r, error);
	if (r == 0 && (r = open_files(u, sockets, wake_fd)) < 0)
		fail("cannot give the ring its sockets", r, error);
	if (r < 0) {
		uring_close(u);
		return r;
	}
	io_uring_register_ring_fd(&u->ring); /* saves a look-up a system call; nothing is lost where it fails */
	u->rearm = socket_count == 64 ? UINT64_MAX : (UINT64_C(1) << socket_count) - 1;
	arm_all(u);
	uring_submit(u);
	return 0;
}

/* The kernel takes a ring apart some time after its descriptor was closed, and keeps the sockets, with their port,
 * until then: so what still receives is ended first, and the sockets are given back. */
static void give_back_sockets(struct uring *u)
{
	struct io_uring_sync_cancel_reg all = {
		.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
		.timeout = { .tv_sec = 1 },
	};

	io_uring_register_sync_cancel(&u->ring, &all);
	io_uring_submit_and_get_events(&u->ring);
	io_uring_unregister_files(&u->ring);
}

void uring_close(struct uring *u)
{
	give_back_sockets(u);
	io_uring_queue_exit(&u->ring);
	if (u->memory)
		munmap(u->memory, MEMORY_BYTES);
	u->memory = NULL;
}

static int64_t stamp_ns(struct uring *u, struct io_uring_recvmsg_out *out)
{
	struct cmsghdr *c = io_uring_recvmsg_cmsg_firsthdr(out, &u->layout);

	for (; c; c = io_uring_recvmsg_cmsg_nexthdr(out, &u->layout, c)) {
		struct timespec ts;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof ts);
		return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	}
	return 0;
}

static bool handle_datagram(struct uring *u, const struct io_uring_cqe *cqe, uring_datagram_fn *datagram, void *context)
{
	unsigned socket = (unsigned)(cqe->user_data >> 8);
	bool handled = false;

	/* It ends when no buffer is left, and after an empty datagram; any other error is not tried again at once. */
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		u->starved += cqe->res == -ENOBUFS;
		if (cqe->res >= 0 || cqe->res == -ENOBUFS)
			u->rearm |= UINT64_C(1) << socket;
		else
			u->rearm_later |= UINT64_C(1) << socket;
	}
	if (!(cqe->flags & IORING_CQE_F_BUFFER))
		return false;
	unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	char *buffer = u->buffers + (size_t)id * BUFFER_BYTES;
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(buffer, cqe->res, &u->layout);
	if (out) {
		struct received r = {
			.listener = socket,
			.peer = io_uring_recvmsg_name(out),
			.stamp_ns = stamp_ns(u, out),
			.datagram = { io_uring_recvmsg_payload(out, &u->layout),
				      io_uring_recvmsg_payload_length(out, cqe->res, &u->layout) },
			.truncated = (out->flags & MSG_TRUNC) != 0,
		};
		datagram(context, &r);
		handled = true;
	}
	return_buffer(u, id);
	return handled;
}

/* Whatever is tried again would fail again: nobody is told so by a router, it is known here. */
static bool is_refusal(int error)
{
	switch (error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
	case EMSGSIZE:
	case EPERM:
	case EACCES:
	case EINVAL:
		return true;
	default:
		return false;
	}
}

/* Successes are not reported. */
static void count_failed_send(struct uring *u, int error)
{
	u->lost++;
	if (error <= 0)
		return; /* a part of it went out, which a datagram has not */
	u->send_error = error;
	if (is_refusal(error))
		u->refused_sends++;
	else
		u->busy_sends++;
}

/* What a sender of a doorbell hears only when it failed: the receiver wakes by itself a little later. */
static bool handle_one(struct uring *u, const struct io_uring_cqe *cqe, uring_datagram_fn *datagram, void *context)
{
	switch (cqe->user_data & 0xff) {
	case ON_DATAGRAM:
		return handle_datagram(u, cqe, datagram, context);
	case ON_SEND:
		count_failed_send(u, -cqe->res);
		return false;
	case ON_WAKE:
		u->wake_armed = false;
		return false;
	default:
		return false;
	}
}

static void keep_refused(struct uring *u, uint64_t user_data)
{
	const char *at = u->sendbuf.memory + (size_t)(user_data >> 8 & 0xffff) * 16;
	uint32_t size = (uint32_t)(user_data >> 24 & 0xffff);

	if ((user_data >> 40 & ROUND_MASK) != (u->round & ROUND_MASK) ||
	    u->refused_used + sizeof size + size > REFUSED_BYTES)
		return;
	memcpy(u->refused + u->refused_used, &size, sizeof size);
	memcpy(u->refused + u->refused_used + sizeof size, at, size);
	u->refused_used += sizeof size + size;
}

/* Looks through what completed since the last look, and leaves it to uring_handle(): before the sendbuf is reset. */
static void look_for_refused(struct uring *u)
{
	unsigned tail = io_uring_smp_load_acquire(u->ring.cq.ktail);

	for (; u->looked != tail; u->looked++) {
		const struct io_uring_cqe *cqe = &u->ring.cq.cqes[u->looked & u->ring.cq.ring_mask];

		if ((cqe->user_data & 0xff) == ON_SEND && cqe->res < 0 && is_refusal(-cqe->res))
			keep_refused(u, cqe->user_data);
	}
}

/* What is sent meanwhile may be refused too, and is added behind. */
static void tell_refused(struct uring *u, uring_refused_fn *refused, void *context)
{
	size_t at = 0;

	while (at < u->refused_used) {
		uint32_t size;

		memcpy(&size, u->refused + at, sizeof size);
		if (refused)
			refused(context, (struct bytes){ u->refused + at + sizeof size, size });
		at += sizeof size + size;
	}
	u->refused_used = 0;
}

unsigned uring_handle(struct uring *u, uring_datagram_fn *datagram, uring_refused_fn *refused, void *context)
{
	unsigned head, seen = 0, handled = 0;
	struct io_uring_cqe *cqe;

	tell_refused(u, refused, context);
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		seen++;
		handled += handle_one(u, cqe, datagram, context);
	}
	look_for_refused(u); /* the entries are given back now */
	io_uring_cq_advance(&u->ring, seen);
	show_buffers(u);
	arm_all(u);
	return handled;
}

/* The kernel has taken or refused all that is in it. */
static void empty_sendbuf(struct uring *u)
{
	look_for_refused(u);
	sendbuf_reset(&u->sendbuf);
	u->round++;
}

/* Empties the sendbuf by submitting; a partial submission leaves it as it is. */
static bool flush(struct uring *u)
{
	io_uring_submit(&u->ring);
	if (io_uring_sq_ready(&u->ring) > 0)
		return false;
	empty_sendbuf(u);
	return true;
}

char *uring_lend(struct uring *u, size_t size)
{
	size_t need = NAME_BYTES + size;

	if (size == 0 || size > DATAGRAM_BYTES_MAX)
		return NULL;
	if (need > sendbuf_free(&u->sendbuf) || io_uring_sq_space_left(&u->ring) == 0)
		if (!flush(u))
			return NULL;
	return sendbuf_lend(&u->sendbuf, need) + NAME_BYTES;
}

void uring_send(struct uring *u, unsigned listener, const struct address *to, char *at, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct sockaddr_storage sa;
	unsigned sa_size = address_to_sockaddr(to, &sa);

	assert(sqe && listener < u->socket_count); /* lend() saw to it */
	assert(sa_size <= NAME_BYTES);
	memcpy(at - NAME_BYTES, &sa, sa_size);
	sendbuf_keep(&u->sendbuf, NAME_BYTES + size);
	/* MSG_DONTWAIT: done or refused within the submission, see sendbuf.h. */
	io_uring_prep_send(sqe, (int)listener, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	sqe->addr2 = (uint64_t)(uintptr_t)(at - NAME_BYTES);
	sqe->addr_len = (uint16_t)sa_size;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = ON_SEND | (uint64_t)(at - u->sendbuf.memory) / 16 << 8 | (uint64_t)size << 24 |
			 (uint64_t)(u->round & ROUND_MASK) << 40;
	u->sent++;
}

void uring_unlend(struct uring *u)
{
	sendbuf_unlend(&u->sendbuf);
}

void uring_ring(struct uring *u, int ring_fd)
{
	struct io_uring_sqe *sqe = slot(u);

	if (!sqe)
		return; /* the other one looks by itself a little later */
	io_uring_prep_msg_ring(sqe, ring_fd, 0, ON_RUNG, 0);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = ON_RING_SENT;
}

bool uring_submit(struct uring *u)
{
	io_uring_submit_and_get_events(&u->ring);
	if (io_uring_sq_ready(&u->ring) == 0)
		empty_sendbuf(u);
	return io_uring_cq_ready(&u->ring) > 0;
}

void uring_wait(struct uring *u, uint64_t ns)
{
	struct __kernel_timespec ts = { .tv_sec = (long long)(ns / 1000000000),
					.tv_nsec = (long long)(ns % 1000000000) };
	struct io_uring_cqe *cqe;

	io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

void uring_retry(struct uring *u)
{
	u->rearm |= u->rearm_later;
	u->rearm_later = 0;
	arm_all(u);
}
