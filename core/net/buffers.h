/* Equal pieces of memory, reserved as a whole and touched on use; the last one given back is the first to be taken
 * again, so no more is ever touched than was in use at a time. */
#ifndef RW_CORE_NET_BUFFERS_H
#define RW_CORE_NET_BUFFERS_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/pool.h"

#define BUFFER_NONE UINT32_MAX

struct buffers {
	char *memory;
	size_t size; /* of one; a multiple of 16 */
	uint32_t count, used;
	uint32_t fresh; /* from here on they were never taken */
	uint32_t given; /* the last one given back, which names the one before it; BUFFER_NONE */
};

/* 0 or -ENOMEM. */
static inline int buffers_create(struct buffers *b, uint32_t count, size_t size)
{
	*b = (struct buffers){
		.memory = memory_reserve_sparse(count * size), .size = size, .count = count, .given = BUFFER_NONE
	};
	return b->memory ? 0 : -ENOMEM;
}

static inline void buffers_destroy(struct buffers *b)
{
	if (b->memory)
		memory_release(b->memory, b->count * b->size);
	b->memory = NULL;
}

static inline void *buffer_at(const struct buffers *b, uint32_t index)
{
	assert(index < b->fresh);
	return b->memory + index * b->size;
}

static inline uint32_t buffers_free(const struct buffers *b)
{
	return b->count - b->used;
}

/* What is in it is not zeroed.  BUFFER_NONE: all are in use. */
static inline uint32_t buffer_take(struct buffers *b)
{
	uint32_t index = b->given;

	if (b->used == b->count)
		return BUFFER_NONE;
	b->used++;
	if (index == BUFFER_NONE)
		return b->fresh++;
	memcpy(&b->given, buffer_at(b, index), sizeof b->given);
	return index;
}

static inline void buffer_give(struct buffers *b, uint32_t index)
{
	assert(b->used > 0);
	memcpy(buffer_at(b, index), &b->given, sizeof b->given);
	b->given = index;
	b->used--;
}

#endif
