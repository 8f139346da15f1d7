#include "core/net/outbox.h"

#include <assert.h>

struct block {
	uint32_t next; /* BUFFER_NONE: the last */
	uint16_t used; /* bytes put in */
	uint16_t sent; /* of these */
	char bytes[];
};

#define ROOM ((uint32_t)(OUTBOX_BLOCK_BYTES - sizeof(struct block)))
static_assert(OUTBOX_BLOCK_BYTES <= UINT16_MAX, "places in a block");

static uint32_t room_in_last(const struct outbox *o, const struct buffers *blocks)
{
	if (o->last == BUFFER_NONE)
		return 0;
	const struct block *last = buffer_at(blocks, o->last);
	return ROOM - last->used;
}

static void add_block(struct outbox *o, struct buffers *blocks)
{
	const uint32_t index = buffer_take(blocks);

	assert(index != BUFFER_NONE);
	struct block *block = buffer_at(blocks, index);
	block->next = BUFFER_NONE;
	block->used = block->sent = 0;
	if (o->last == BUFFER_NONE)
		o->first = index;
	else
		((struct block *)buffer_at(blocks, o->last))->next = index;
	o->last = index;
}

uint32_t outbox_needs(const struct outbox *o, const struct buffers *blocks, uint32_t size)
{
	const uint32_t room = room_in_last(o, blocks);

	return size > room ? (size - room + ROOM - 1) / ROOM : 0;
}

bool outbox_add(struct outbox *o, struct buffers *blocks, struct bytes bytes)
{
	uint32_t room = room_in_last(o, blocks);

	if (outbox_needs(o, blocks, bytes.size) > buffers_free(blocks))
		return false;
	o->size += bytes.size;
	while (bytes.size > 0) {
		if (room == 0)
			add_block(o, blocks);
		struct block *last = buffer_at(blocks, o->last);
		room = ROOM - last->used;
		const uint32_t part = bytes.size < room ? bytes.size : room;
		memcpy(last->bytes + last->used, bytes.at, part);
		last->used = (uint16_t)(last->used + part);
		bytes.at += part;
		bytes.size -= part;
		room -= part;
	}
	return true;
}

struct bytes outbox_next(const struct outbox *o, const struct buffers *blocks)
{
	if (o->size == 0)
		return BYTES_NONE;
	const struct block *first = buffer_at(blocks, o->first);
	return (struct bytes){ first->bytes + first->sent, (uint32_t)(first->used - first->sent) };
}

static void drop_first(struct outbox *o, struct buffers *blocks)
{
	const struct block *first = buffer_at(blocks, o->first);
	const uint32_t index = o->first;

	o->first = first->next;
	if (o->first == BUFFER_NONE)
		o->last = BUFFER_NONE;
	buffer_give(blocks, index);
}

void outbox_sent(struct outbox *o, struct buffers *blocks, uint32_t size)
{
	struct block *first = buffer_at(blocks, o->first);

	assert(size <= (uint32_t)(first->used - first->sent) && size <= o->size);
	first->sent = (uint16_t)(first->sent + size);
	o->size -= size;
	if (first->sent == first->used)
		drop_first(o, blocks);
}

void outbox_clear(struct outbox *o, struct buffers *blocks)
{
	while (o->first != BUFFER_NONE)
		drop_first(o, blocks);
	o->size = 0;
}
