/* Listeners' sockets: see the header. */
#include "core/net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/net/socket.h"

/* What the kernel may keep for a socket that its worker has no time for: about a fifth of a second of three times what
 * a worker carries, the most that ever waits before calls are shed (core/call/shed.h). */
enum { SOCKET_BUFFER_BYTES = 32 * 1024 * 1024 };

enum { IN_USE_TRIES = 20, IN_USE_PAUSE_NS = 50000000 };

/* Connections that wait for a worker; the kernel cuts it at net.core.somaxconn. */
enum { BACKLOG = 4096 };

struct listeners {
	unsigned count, workers;
	int fd[]; /* worker * count + listener, -1: not open */
};

/* The kernel cuts what an unprivileged process asks for at net.core.rmem_max and wmem_max: that is no error. */
static void set_buffers(int fd)
{
	int size = SOCKET_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static int set_options(int fd, int family, uint32_t tos)
{
	int r = socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);

	if (r == 0)
		r = socket_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	if (r == 0 && family == AF_INET6)
		r = socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = socket_set_tos(fd, family, tos);
	return r;
}

static int type_of(const struct listen_config *listen)
{
	return (listen->transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
}

/* Buffers of connections are the kernel's to size, by what each is worth. */
static int finish_one(const struct listen_config *config, int fd, const struct sockaddr *sa, unsigned size)
{
	const bool stream = config->transport != TRANSPORT_UDP;
	int r = 0;

	if (stream) { /* connections of a former process may linger on the port */
		r = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (r == 0)
			r = socket_set_stream(fd);
	} else {
		set_buffers(fd);
	}
	if (r == 0 && bind(fd, sa, size) < 0)
		r = -errno;
	if (r == 0 && stream && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r;
}

static int open_one(const struct listen_config *listen, uint32_t tos, int *ret_fd)
{
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&listen->address, &sa);
	int fd = socket(sa.ss_family, type_of(listen), 0);

	if (fd < 0)
		return -errno;
	int r = set_options(fd, sa.ss_family, tos);
	if (r == 0)
		r = finish_one(listen, fd, (const struct sockaddr *)&sa, size);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* SO_REUSEPORT would let a second switch of the same user join our group unseen: a socket without it tells. */
static int try_alone(const struct listen_config *listen)
{
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&listen->address, &sa);
	int fd = socket(sa.ss_family, type_of(listen), 0);

	if (fd < 0)
		return -errno;
	int r = sa.ss_family == AF_INET6 ? socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) : 0;
	if (r == 0 && listen->transport != TRANSPORT_UDP)
		r = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && bind(fd, (const struct sockaddr *)&sa, size) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* The kernel may hold the sockets of a switch that was killed a moment ago (its ring is taken apart in the background).
 */
static int check_unused(const struct listen_config *listen)
{
	const struct timespec pause = { .tv_nsec = IN_USE_PAUSE_NS };
	int r = try_alone(listen);

	for (unsigned tries = 0; r == -EADDRINUSE && tries < IN_USE_TRIES; tries++) {
		nanosleep(&pause, NULL);
		r = try_alone(listen);
	}
	return r;
}

static int open_listener(struct listeners *l, const struct config *config, unsigned listener)
{
	const struct listen_config *listen = &config->listens[listener];
	int r = check_unused(listen);

	for (unsigned worker = 0; r == 0 && worker < l->workers; worker++)
		r = open_one(listen, config->parameters.SS_QOS_SIGNAL, &l->fd[worker * l->count + listener]);
	return r;
}

int listeners_open(const struct config *config, unsigned workers, struct listeners **ret_listeners,
		   char error[static 256])
{
	struct listeners *l = malloc(sizeof *l + (size_t)workers * config->listen_count * sizeof l->fd[0]);

	if (!l) {
		snprintf(error, 256, "no memory for the sockets");
		return -ENOMEM;
	}
	l->count = config->listen_count;
	l->workers = workers;
	for (unsigned i = 0; i < workers * l->count; i++)
		l->fd[i] = -1;
	for (unsigned listener = 0; listener < l->count; listener++) {
		char address[ADDRESS_TEXT_MAX];
		int r = open_listener(l, config, listener);

		if (r == 0)
			continue;
		address_write(&config->listens[listener].address, address);
		snprintf(error, 256, "cannot listen on %s (listen \"%s\"): %s", address, config->listens[listener].name,
			 strerror(-r));
		listeners_close(l);
		return r;
	}
	*ret_listeners = l;
	return 0;
}

void listeners_close(struct listeners *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->workers * l->count; i++)
		if (l->fd[i] >= 0)
			close(l->fd[i]);
	free(l);
}

int listeners_set_tos(const struct listeners *l, uint32_t tos)
{
	int result = 0;

	for (unsigned i = 0; i < l->workers * l->count; i++) {
		struct sockaddr_storage sa;
		socklen_t size = sizeof sa;
		int r = getsockname(l->fd[i], (struct sockaddr *)&sa, &size) < 0
				? -errno
				: socket_set_tos(l->fd[i], sa.ss_family, tos);

		if (result == 0)
			result = r;
	}
	return result;
}

unsigned listeners_count(const struct listeners *l)
{
	return l->count;
}

const int *listeners_of(const struct listeners *l, unsigned worker)
{
	return &l->fd[worker * l->count];
}
