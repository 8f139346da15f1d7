/* A growing buffer whose capacity doubles, so that appending byte by byte costs a constant time each. */
#include "core/control/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN  4096
#define CAPACITY_KEPT 65536 /* an empty buffer keeps no more than this */

char *buffer_reserve(struct buffer *b, size_t size)
{
	if (b->capacity - b->end >= size && b->at != NULL)
		return b->at + b->end;
	if (b->start > 0 && b->start >= buffer_size(b)) {
		memmove(b->at, b->at + b->start, buffer_size(b));
		b->end -= b->start;
		b->start = 0;
		if (b->capacity - b->end >= size)
			return b->at + b->end;
	}
	size_t capacity = b->capacity < CAPACITY_MIN ? CAPACITY_MIN : b->capacity;
	while (capacity - b->end < size)
		capacity *= 2;
	char *at = realloc(b->at, capacity);
	if (at == NULL)
		return NULL;
	b->at = at;
	b->capacity = capacity;
	return b->at + b->end;
}

void buffer_commit(struct buffer *b, size_t size)
{
	assert(size <= b->capacity - b->end);
	b->end += size;
}

bool buffer_append(struct buffer *b, const void *bytes, size_t size)
{
	char *at = buffer_reserve(b, size);
	if (at == NULL)
		return false;
	memcpy(at, bytes, size);
	buffer_commit(b, size);
	return true;
}

void buffer_consume(struct buffer *b, size_t size)
{
	assert(size <= buffer_size(b));
	b->start += size;
	if (b->start < b->end)
		return;
	b->start = b->end = 0;
	if (b->capacity > CAPACITY_KEPT)
		buffer_free(b);
}

void buffer_free(struct buffer *b)
{
	free(b->at);
	*b = (struct buffer){ .at = NULL };
}
