/* What a worker gives its shard to reach the world by (core/edge.h).  Private to the worker. */
#ifndef RW_CORE_NET_WORKER_EDGE_H
#define RW_CORE_NET_WORKER_EDGE_H

#include "core/edge.h"
#include "core/net/worker.h"

/* Good for as long as the worker is. */
struct edge worker_edge(struct worker *w);

/* From time to time: whether the records of new calls have room again, which the log tells. */
void worker_edge_look(struct worker *w);

#endif
