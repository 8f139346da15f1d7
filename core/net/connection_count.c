#include "core/net/connection_count.h"

#include <assert.h>
#include <stddef.h>

#include "core/siphash.h"

enum { IPV6_SOURCE_BYTES = 8 };

static _Atomic uint32_t *cell_of(struct connection_count *c, const struct address *peer, enum connection_kind kind)
{
	const size_t size = peer->family == 6 ? IPV6_SOURCE_BYTES : 4;
	const uint64_t k1 = kind == CONNECTION_OURS ? ~c->k1 : c->k1;

	return &c->cells[siphash13(c->k0, k1, peer->ip, size) % CONNECTION_CELLS];
}

/* false: the limit is reached, and nothing was counted. */
static bool count_up(_Atomic uint32_t *counter, uint32_t limit)
{
	if (atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) < limit)
		return true;
	atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
	return false;
}

static void count_down(_Atomic uint32_t *counter)
{
	const uint32_t before = atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
}

enum connection_leave connection_count_in(struct connection_count *c, const struct connection_limits *limits,
					  const struct address *peer, enum connection_kind kind)
{
	const bool stranger = kind == CONNECTION_OF_STRANGER;
	uint32_t per_source = limits->per_source > 0 ? limits->per_source : UINT32_MAX;

	if (kind == CONNECTION_OURS && per_source < CONNECTION_OURS_MIN)
		per_source = CONNECTION_OURS_MIN;
	if (!count_up(&c->all, limits->all))
		return CONNECTION_NODE_FULL;
	if (stranger && !count_up(&c->strangers, (limits->all + 1) / 2)) {
		count_down(&c->all);
		return CONNECTION_STRANGERS_FULL;
	}
	if (!count_up(cell_of(c, peer, kind), per_source)) {
		if (stranger)
			count_down(&c->strangers);
		count_down(&c->all);
		return CONNECTION_SOURCE_FULL;
	}
	return CONNECTION_GRANTED;
}

void connection_count_out(struct connection_count *c, const struct address *peer, enum connection_kind kind)
{
	count_down(cell_of(c, peer, kind));
	if (kind == CONNECTION_OF_STRANGER)
		count_down(&c->strangers);
	count_down(&c->all);
}

const char *connection_leave_text(enum connection_leave leave)
{
	static const char *const texts[] = {
		[CONNECTION_GRANTED] = "granted",
		[CONNECTION_NODE_FULL] = "max_connections is reached",
		[CONNECTION_STRANGERS_FULL] = "half of max_connections is taken by addresses of no gateway",
		[CONNECTION_SOURCE_FULL] = "max_connections_per_source is reached",
	};

	return texts[leave];
}
