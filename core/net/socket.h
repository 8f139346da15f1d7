/* Options of the node's sockets. */
#ifndef RW_CORE_NET_SOCKET_H
#define RW_CORE_NET_SOCKET_H

#include <stdint.h>

#include "core/config/config.h"

/* Each: 0 or a negative errno. */
int socket_set(int fd, int level, int option, int value);
/* The TOS byte (IPv6: traffic class) of what is sent from now on; family: AF_INET or AF_INET6. */
int socket_set_tos(int fd, int family, uint32_t tos);
/* Of a TCP socket; one that is accepted inherits them: nothing waits for more to be sent, the kernel's receive stamps,
 * and an end of connections whose peer is silently gone. */
int socket_set_stream(int fd);
/* A TCP socket that will connect from the listener's address. */
int socket_open_stream(const struct listen_config *listen, uint32_t tos, int *ret_fd);

#endif
