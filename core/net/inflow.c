/* What waits in the kernel: see the header. */
#include "core/net/inflow.h"

#include <stddef.h>

#define LOOK_NS UINT64_C(1000000) /* between two looks at a receive queue */

void inflow_open(struct inflow *in, const int *sockets, unsigned count, uint64_t streams, const char marker[static 4])
{
	*in = (struct inflow){ 0 };
	for (unsigned i = 0; i < count; i++)
		if (!(streams >> i & 1))
			in->sockets[in->socket_count++] = sockets[i];
	surplus_init(&in->surplus);
	if (surplus_bpf_load(marker, &in->filter) < 0)
		in->filter = NULL;
}

/* The filter is attached for as long as it has anything to drop. */
static void attach(struct inflow *in, bool wanted)
{
	if (wanted)
		wanted = surplus_bpf_attach(in->filter, in->sockets, in->socket_count) == 0;
	else
		surplus_bpf_detach(in->filter, in->sockets, in->socket_count);
	in->filter_attached = wanted;
}

void inflow_close(struct inflow *in)
{
	if (in->filter_attached)
		attach(in, false);
	surplus_bpf_free(in->filter);
}

static void look(struct inflow *in, uint64_t now_ns)
{
	receive_queues_look(in->sockets, in->socket_count, &in->queues);
	in->drops += in->queues.drops - in->drops_before;
	in->drops_before = in->queues.drops;
	if (in->queues.permille > in->permille_max)
		in->permille_max = in->queues.permille;
	in->look_ns = now_ns + in->socket_count * LOOK_NS;
}

unsigned inflow_permille(struct inflow *in, uint64_t now_ns, bool slept)
{
	if (slept)
		in->queues.permille = 0;
	else if (now_ns >= in->look_ns)
		look(in, now_ns);
	return in->queues.permille;
}

/* The period that ends. */
static void let_in(struct inflow *in, uint64_t asked, uint64_t taken, bool overloaded)
{
	if (!in->filter)
		return;
	surplus_period(&in->surplus, asked - in->asked, taken - in->taken);
	in->asked = asked;
	in->taken = taken;
	surplus_bpf_let_in(in->filter, in->surplus.share);
	bool wanted = in->surplus.share < SURPLUS_ALL || overloaded;
	if (wanted != in->filter_attached)
		attach(in, wanted);
}

void inflow_publish(struct inflow *in, uint64_t now_ns, uint64_t asked, uint64_t taken, struct shard_stats *stats)
{
	stat_set(&stats->queue_permille, in->permille_max);
	in->permille_max = 0;
	look(in, now_ns);
	uint64_t invites = in->filter ? surplus_bpf_dropped(in->filter) : 0;
	uint64_t unread =
		invites + (in->filter ? surplus_bpf_acks(in->filter) : 0); /* the kernel counts them in, too */
	stat_set(&stats->invites_dropped_kernel, invites);
	stat_set(&stats->queue_drops, in->drops > unread ? in->drops - unread : 0);
	let_in(in, asked, taken, stat_get(&stats->overloaded) > 0);
}
