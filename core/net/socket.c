#include "core/net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	UNACKNOWLEDGED_MS = 30000, /* what was sent, or a closed window: the connection breaks */
	KEEPALIVE_IDLE_S = 60,     /* the kernel asks whether a peer that is silent is still there */
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_COUNT = 3,
};

int socket_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int socket_set_tos(int fd, int family, uint32_t tos)
{
	return family == AF_INET6 ? socket_set(fd, IPPROTO_IPV6, IPV6_TCLASS, (int)tos)
				  : socket_set(fd, IPPROTO_IP, IP_TOS, (int)tos);
}

int socket_set_stream(int fd)
{
	const struct {
		int level, option, value;
	} options[] = {
		{ SOL_SOCKET, SO_TIMESTAMPNS, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < sizeof options / sizeof options[0]; i++)
		r = socket_set(fd, options[i].level, options[i].option, options[i].value);
	return r;
}

/* The kernel chooses the port when the peer is known, so that one port serves connections to many. */
static int bind_host(int fd, const struct listen_config *listen)
{
	struct address host = listen->address;
	struct sockaddr_storage sa;

	host.port = 0;
	const unsigned size = address_to_sockaddr(&host, &sa);
	const int r = socket_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (r < 0)
		return r;
	return bind(fd, (const struct sockaddr *)&sa, size) < 0 ? -errno : 0;
}

int socket_open_stream(const struct listen_config *listen, uint32_t tos, int *ret_fd)
{
	const int family = listen->address.family == 6 ? AF_INET6 : AF_INET;
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	int r = socket_set_stream(fd);
	if (r == 0)
		r = socket_set_tos(fd, family, tos);
	if (r == 0)
		r = bind_host(fd, listen);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
