#include "core/net/receive_queue.h"

#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

void receive_queues_look(const int *sockets, unsigned count, struct receive_queues *ret_queues)
{
	*ret_queues = (struct receive_queues){ 0 };
	for (unsigned i = 0; i < count; i++) {
		uint32_t memory[SK_MEMINFO_VARS] = { 0 };
		socklen_t size = sizeof memory;

		if (getsockopt(sockets[i], SOL_SOCKET, SO_MEMINFO, memory, &size) < 0 || memory[SK_MEMINFO_RCVBUF] == 0)
			continue;
		unsigned permille =
			(unsigned)((uint64_t)memory[SK_MEMINFO_RMEM_ALLOC] * 1000 / memory[SK_MEMINFO_RCVBUF]);
		if (permille > ret_queues->permille)
			ret_queues->permille = permille;
		ret_queues->drops += memory[SK_MEMINFO_DROPS];
	}
}
