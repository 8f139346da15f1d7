/* The load generator's io_uring: see the header. */
#include "bench/load_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	SUBMIT_ENTRIES = 2048,
	NAME_BYTES = 32,
	SOCKET_BUFFER_BYTES = 16 * 1024 * 1024,
	TOS = 0xa0, /* SS_QOS_SIGNAL of the switch */
	BUFFER_BYTES = LOAD_DATAGRAM_MAX + 256,
	SEND_BYTES = 1024 * 1024,
	/* The kernel takes the rings of an ended process apart later, and its ports are free only then. */
	BIND_TRIES = 50,
	BIND_AGAIN_US = 20000,
	ON_SEND = UINT8_MAX, /* user_data of a send; of a receive it is the socket */
};

#define CONTROL_BYTES CMSG_SPACE(sizeof(struct timespec))

void load_address_set(struct load_address *a, const struct address *address)
{
	struct sockaddr_storage sa;

	memset(a, 0, sizeof *a);
	a->size = address_to_sockaddr(address, &sa);
	memcpy(&a->in6, &sa, a->size);
}

int load_socket(const struct address *address)
{
	struct load_address a;
	int on = 1, tos = TOS, size = SOCKET_BUFFER_BYTES;

	load_address_set(&a, address);
	int fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
	if (a.sa.sa_family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	for (unsigned i = 0; i < BIND_TRIES; i++) {
		if (bind(fd, &a.sa, a.size) == 0)
			return fd;
		if (errno != EADDRINUSE)
			break;
		usleep(BIND_AGAIN_US);
	}
	int r = -errno;
	close(fd);
	return r;
}

static struct io_uring_sqe *slot(struct load_ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	while (!sqe) {
		load_ring_submit(r);
		sqe = io_uring_get_sqe(&r->ring);
	}
	return sqe;
}

static void arm(struct load_ring *r)
{
	for (; r->rearm; r->rearm &= r->rearm - 1) {
		unsigned socket = (unsigned)__builtin_ctzll(r->rearm);
		struct io_uring_sqe *sqe = slot(r);

		io_uring_prep_recvmsg_multishot(sqe, (int)socket, &r->layout, 0);
		sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
		sqe->buf_group = 0;
		sqe->user_data = socket;
	}
}

static void give_back(struct load_ring *r, unsigned id)
{
	io_uring_buf_ring_add(r->buffer_ring, r->buffers + (size_t)id * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)id,
			      (int)r->buffers_count - 1, (int)r->returned++);
}

/* What lies in them has been sent on. */
static void show_buffers(struct load_ring *r)
{
	if (r->returned > 0)
		io_uring_buf_ring_advance(r->buffer_ring, (int)r->returned);
	r->returned = 0;
}

static size_t memory_bytes(unsigned buffers_count)
{
	return buffers_count * (sizeof(struct io_uring_buf) + BUFFER_BYTES) + SEND_BYTES;
}

static int open_buffers(struct load_ring *r)
{
	r->memory = mmap(NULL, memory_bytes(r->buffers_count), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (r->memory == MAP_FAILED) {
		r->memory = NULL;
		return -ENOMEM;
	}
	r->buffer_ring = (struct io_uring_buf_ring *)(void *)r->memory;
	r->buffers = r->memory + r->buffers_count * sizeof(struct io_uring_buf);
	r->sends = r->buffers + (size_t)r->buffers_count * BUFFER_BYTES;
	struct io_uring_buf_reg reg = { .ring_addr = (uint64_t)(uintptr_t)r->buffer_ring,
					.ring_entries = r->buffers_count };
	int error = io_uring_register_buf_ring(&r->ring, &reg, 0);
	if (error < 0)
		return error;
	io_uring_buf_ring_init(r->buffer_ring);
	for (unsigned id = 0; id < r->buffers_count; id++)
		give_back(r, id);
	show_buffers(r);
	return 0;
}

int load_ring_open(struct load_ring *r, const int *sockets, unsigned socket_count, unsigned buffers_count)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 4 * SUBMIT_ENTRIES,
	};

	*r = (struct load_ring){ .socket_count = socket_count, .buffers_count = buffers_count };
	r->layout = (struct msghdr){ .msg_namelen = NAME_BYTES, .msg_controllen = CONTROL_BYTES };
	int error = io_uring_queue_init_params(SUBMIT_ENTRIES, &r->ring, &params);
	if (error < 0)
		return error;
	error = open_buffers(r);
	if (error == 0)
		error = io_uring_register_files(&r->ring, sockets, socket_count);
	if (error < 0) {
		load_ring_close(r);
		return error;
	}
	io_uring_register_ring_fd(&r->ring);
	r->rearm = (UINT64_C(1) << socket_count) - 1;
	arm(r);
	load_ring_submit(r);
	return 0;
}

/* The kernel keeps the sockets, with their ports, until the receives have ended. */
void load_ring_close(struct load_ring *r)
{
	struct io_uring_sync_cancel_reg all = { .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
						.timeout = { .tv_sec = 1 } };

	io_uring_register_sync_cancel(&r->ring, &all);
	io_uring_submit_and_get_events(&r->ring);
	io_uring_unregister_files(&r->ring);
	io_uring_queue_exit(&r->ring);
	if (r->memory)
		munmap(r->memory, memory_bytes(r->buffers_count));
	r->memory = NULL;
}

char *load_ring_room(struct load_ring *r)
{
	if (r->sends_used + NAME_BYTES + LOAD_DATAGRAM_MAX > SEND_BYTES || io_uring_sq_space_left(&r->ring) == 0)
		load_ring_submit(r);
	return r->sends + r->sends_used + NAME_BYTES;
}

void load_ring_send(struct load_ring *r, unsigned socket, const struct load_address *to, const char *at, size_t size)
{
	struct io_uring_sqe *sqe = slot(r);
	char *name = r->sends + r->sends_used;

	memcpy(name, &to->in6, sizeof to->in6);
	r->sends_used += NAME_BYTES;
	if (at == name + NAME_BYTES)
		r->sends_used += (size + 63) & ~(size_t)63;
	/* MSG_DONTWAIT: done or refused within the submission, so the bytes are free after it. */
	io_uring_prep_send(sqe, (int)socket, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	sqe->addr2 = (uint64_t)(uintptr_t)name;
	sqe->addr_len = (uint16_t)to->size;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = ON_SEND;
	r->sent++;
}

static int64_t stamp_ns(struct io_uring_recvmsg_out *out, struct msghdr *layout)
{
	struct cmsghdr *c = io_uring_recvmsg_cmsg_firsthdr(out, layout);
	struct timespec ts;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
		return 0;
	memcpy(&ts, CMSG_DATA(c), sizeof ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void hand_over(struct load_ring *r, const struct io_uring_cqe *cqe, load_datagram_fn *fn, void *context)
{
	unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	char *buffer = r->buffers + (size_t)id * BUFFER_BYTES;
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(buffer, cqe->res, &r->layout);

	if (out && !(out->flags & MSG_TRUNC)) {
		struct load_datagram d = {
			.socket = (unsigned)cqe->user_data,
			.stamp_ns = stamp_ns(out, &r->layout),
			.bytes = { io_uring_recvmsg_payload(out, &r->layout),
				   io_uring_recvmsg_payload_length(out, cqe->res, &r->layout) },
		};
		d.from.size = out->namelen <= sizeof d.from.in6 ? out->namelen : sizeof d.from.in6;
		memcpy(&d.from.in6, io_uring_recvmsg_name(out), sizeof d.from.in6);
		r->received++;
		fn(context, &d);
	} else {
		r->cut++;
	}
	give_back(r, id);
}

unsigned load_ring_receive(struct load_ring *r, load_datagram_fn *fn, void *context)
{
	unsigned ready = io_uring_cq_ready(&r->ring), handled = 0;

	/* By number, not by look: a submission of fn() may add completions, which wait for the next turn. */
	for (unsigned i = 0; i < ready; i++) {
		struct io_uring_cqe cqe = r->ring.cq.cqes[(*r->ring.cq.khead) & r->ring.cq.ring_mask];

		io_uring_cq_advance(&r->ring, 1);
		if (cqe.user_data == ON_SEND) {
			r->lost++;
			continue;
		}
		if (!(cqe.flags & IORING_CQE_F_MORE))
			r->rearm |= UINT64_C(1) << cqe.user_data;
		if (cqe.flags & IORING_CQE_F_BUFFER) {
			hand_over(r, &cqe, fn, context);
			handled++;
		}
	}
	return handled;
}

/* Whatever was queued has been taken or refused; the receives need the buffers that were given back. */
static void submitted(struct load_ring *r)
{
	r->sends_used = 0;
	show_buffers(r);
}

void load_ring_submit(struct load_ring *r)
{
	do
		io_uring_submit_and_get_events(&r->ring);
	while (io_uring_sq_ready(&r->ring) > 0);
	submitted(r);
	arm(r);
}

void load_ring_wait(struct load_ring *r, uint64_t ns)
{
	struct __kernel_timespec ts = { .tv_sec = (long long)(ns / 1000000000),
					.tv_nsec = (long long)(ns % 1000000000) };
	struct io_uring_cqe *cqe;

	if (r->returned > 0 && load_ring_queued(r) == 0)
		show_buffers(r);
	arm(r);
	io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &ts, NULL);
	if (load_ring_queued(r) == 0)
		submitted(r);
}
