/* Room to build datagrams in until the kernel has copied them: a stack of bytes that is emptied as a whole.
 *
 * It can be emptied as soon as everything lent from it was submitted: a send is asked for with MSG_DONTWAIT, which
 * io_uring carries out or refuses during the submission itself, so nothing points into it afterwards.  One lend at a
 * time. */
#ifndef RW_CORE_NET_SENDBUF_H
#define RW_CORE_NET_SENDBUF_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct sendbuf {
	char *memory; /* aligned to 16; borrowed */
	size_t size;
	size_t used; /* given to the kernel or about to be; a multiple of 16 */
	size_t lent; /* bytes lent above `used`, 0: none */
};

static inline void sendbuf_init(struct sendbuf *b, void *memory, size_t size)
{
	*b = (struct sendbuf){ .memory = memory, .size = size };
}

static inline size_t sendbuf_free(const struct sendbuf *b)
{
	return b->size - b->used;
}

/* Lends `size` bytes, aligned to 16; NULL: no room. */
static inline char *sendbuf_lend(struct sendbuf *b, size_t size)
{
	assert(b->lent == 0 && size > 0);
	if (size > sendbuf_free(b))
		return NULL;
	b->lent = size;
	return b->memory + b->used;
}

/* Keeps the first `size` bytes of what was lent. */
static inline void sendbuf_keep(struct sendbuf *b, size_t size)
{
	assert(size > 0 && size <= b->lent);
	b->lent = 0;
	b->used += (size + 15) & ~(size_t)15;
	if (b->used > b->size)
		b->used = b->size;
}

static inline void sendbuf_unlend(struct sendbuf *b)
{
	assert(b->lent > 0);
	b->lent = 0;
}

/* Everything kept was taken by the kernel. */
static inline void sendbuf_reset(struct sendbuf *b)
{
	assert(b->lent == 0);
	b->used = 0;
}

#endif
