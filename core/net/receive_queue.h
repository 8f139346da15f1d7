/* How full the kernel's receive queues of a worker's sockets are, and what did not fit. */
#ifndef RW_CORE_NET_RECEIVE_QUEUE_H
#define RW_CORE_NET_RECEIVE_QUEUE_H

#include <stdint.h>

struct receive_queues {
	unsigned permille; /* of the fullest, of the bytes that it may hold */
	uint32_t drops;    /* by all of them since they were made, modulo 2^32 */
};

/* Looks at each; one that cannot be looked at counts as empty.  A system call a socket. */
void receive_queues_look(const int *sockets, unsigned count, struct receive_queues *ret_queues);

#endif
