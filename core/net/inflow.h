/* What waits in the kernel for a worker: how full the receive queues of its sockets are, what did not fit, and the
 * filter that drops surplus INVITEs there for as long as the worker is offered more than it can even refuse
 * (surplus.h).
 *
 * Only sockets of datagrams: connections have their own bounds. */
#ifndef RW_CORE_NET_INFLOW_H
#define RW_CORE_NET_INFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config/config.h"
#include "core/net/receive_queue.h"
#include "core/net/surplus.h"
#include "core/stats.h"

struct inflow {
	int sockets[CONFIG_LISTENS_MAX]; /* lent */
	unsigned socket_count;
	struct receive_queues queues; /* as of the last look */
	uint32_t drops_before;        /* at the look before that */
	uint64_t drops;               /* by the queues, and by what was attached to them */
	unsigned permille_max;        /* since it was last published */
	uint64_t look_ns;             /* when the next look is due */
	struct surplus_bpf *filter;   /* NULL: there is none, and the worker refuses what it can */
	bool filter_attached;
	struct surplus surplus;
	uint64_t asked, taken; /* INVITEs, as the shard last said (shard_demand()) */
};

/* `streams`: bit i, socket i is one of connections.  `marker`: of the node's tokens (core/steer.h). */
void inflow_open(struct inflow *in, const int *sockets, unsigned count, uint64_t streams, const char marker[static 4]);
void inflow_close(struct inflow *in);

/* How full the fullest queue is, as of a moment ago.  Whoever has just slept had nothing to read; a look costs a system
 * call a socket. */
unsigned inflow_permille(struct inflow *in, uint64_t now_ns, bool slept);

/* Ends a period of a tenth of a second: what the queues were and dropped, and how many INVITEs are let in during the
 * next, by those that the shard had to decide on and those it took, both since it was made. */
void inflow_publish(struct inflow *in, uint64_t now_ns, uint64_t asked, uint64_t taken, struct shard_stats *stats);

#endif
