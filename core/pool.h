/* A pool of equal records with one owner, addressed by index.  All memory is reserved at creation and touched on use.
 * Slots are reused first-in first-out, and only once some have gathered, so that an identifier that named the former
 * record stays wrong for long; the generation then still tells the two apart. */
#ifndef RW_CORE_POOL_H
#define RW_CORE_POOL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_NONE           UINT32_MAX
#define POOL_GENERATION_MAX 0xffffffu /* 24 bits: what an identifier on the wire has room for */
#define POOL_REUSE_AFTER    1024u     /* free slots that gather before the oldest is taken again */

/* The first member of every pooled record. */
struct slot {
	uint32_t next_free;       /* while free; its owner's while in use */
	uint32_t generation : 24; /* counts up when the slot is given back */
	uint32_t used : 1;
	uint32_t unused : 7;
};

struct pool {
	char *items;
	uint32_t item_size;
	uint32_t size; /* slots */
	uint32_t used;
	uint32_t fresh; /* slots from here on were never taken */
	uint32_t free_count;
	uint32_t free_first, free_last;
};

/* 0 or -ENOMEM. */
int pool_create(struct pool *p, uint32_t size, uint32_t item_size);
void pool_destroy(struct pool *p);

/* Takes a slot, zeroed but for its struct slot; POOL_NONE: all are in use (an ordinary answer). */
uint32_t pool_take(struct pool *p);
void pool_give(struct pool *p, uint32_t index);

/* How many more could be taken. */
static inline uint32_t pool_free(const struct pool *p)
{
	return p->size - p->used;
}

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	assert(index < p->fresh);
	return p->items + (size_t)index * p->item_size;
}

/* The record if this very incarnation of the slot is in use, else NULL. */
void *pool_find(const struct pool *p, uint32_t index, uint32_t generation);

/* The index of a record of this pool. */
static inline uint32_t pool_index(const struct pool *p, const void *item)
{
	return (uint32_t)((size_t)((const char *)item - p->items) / p->item_size);
}

/* The next slot in use at or after `index`, POOL_NONE if there is none: for slow walks. */
uint32_t pool_next_used(const struct pool *p, uint32_t index);

void pool_check(const struct pool *p);

/* Reserves zeroed memory that takes no room until touched; NULL when the machine refuses. */
void *memory_reserve(size_t size);
/* The same for a table of which little will ever be used: never taken at once. */
void *memory_reserve_sparse(size_t size);
/* From now on what is reserved is taken at once, so that no call waits for the kernel to find and clear its pages
 * (prefault = on); a machine that has less refuses then.  For the whole process, before the first shard. */
void memory_take_at_once(bool on);
void memory_release(void *memory, size_t size);

#endif
