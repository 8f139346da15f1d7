/* Bytes that wait to be sent on one connection: a list of blocks from a store that many share.  What is being sent
 * stays where it is while more is put behind it. */
#ifndef RW_CORE_NET_OUTBOX_H
#define RW_CORE_NET_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/net/buffers.h"
#include "sip/bytes.h"

#define OUTBOX_BLOCK_BYTES 16384 /* of which its head takes some */

struct outbox {
	uint32_t first, last; /* blocks; BUFFER_NONE: nothing waits */
	uint32_t size;        /* bytes */
};

static inline void outbox_init(struct outbox *o)
{
	*o = (struct outbox){ BUFFER_NONE, BUFFER_NONE, 0 };
}

/* How many blocks of the store so many bytes more would take. */
uint32_t outbox_needs(const struct outbox *o, const struct buffers *blocks, uint32_t size);
/* Puts all of it behind the rest.  false: the store has too few blocks; nothing was put. */
bool outbox_add(struct outbox *o, struct buffers *blocks, struct bytes bytes);
/* What goes next, in one piece; lent until outbox_sent() or outbox_clear(). */
struct bytes outbox_next(const struct outbox *o, const struct buffers *blocks);
/* So much of it has gone. */
void outbox_sent(struct outbox *o, struct buffers *blocks, uint32_t size);
/* Gives all blocks back. */
void outbox_clear(struct outbox *o, struct buffers *blocks);

#endif
