/* Bytes that wait: appended at the end, taken from the front.  Holds what a connection sent and was not read yet, and
 * what it is still to be sent. */
#ifndef RW_CORE_CONTROL_BUFFER_H
#define RW_CORE_CONTROL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *at;        /* NULL while there is no room reserved */
	size_t start;    /* first byte that waits */
	size_t end;      /* one past the last */
	size_t capacity; /* bytes reserved */
};

static inline size_t buffer_size(const struct buffer *b)
{
	return b->end - b->start;
}

static inline char *buffer_front(const struct buffer *b)
{
	return b->at + b->start;
}

/* Makes room for `size` more bytes and lends the place; buffer_commit() says how many were put there.  NULL: no memory,
 * nothing has changed. */
char *buffer_reserve(struct buffer *b, size_t size);
void buffer_commit(struct buffer *b, size_t size);

/* false: no memory, nothing has changed. */
bool buffer_append(struct buffer *b, const void *bytes, size_t size);

/* Takes bytes off the front; an empty buffer gives large memory back. */
void buffer_consume(struct buffer *b, size_t size);
void buffer_free(struct buffer *b);

#endif
