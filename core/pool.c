#include "core/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static bool take_at_once;

void memory_take_at_once(bool on)
{
	take_at_once = on;
}

void *memory_reserve_sparse(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void *memory_reserve(size_t size)
{
	void *memory = memory_reserve_sparse(size);
	if (!memory)
		return NULL;
	if (size >= 4u << 20)
		(void)madvise(memory, size, MADV_HUGEPAGE); /* a wish: pages of 4 KiB work as well */
	if (take_at_once && madvise(memory, size, MADV_POPULATE_WRITE) < 0) {
		munmap(memory, size);
		return NULL;
	}
	*(volatile char *)memory = 0; /* the first calls do not wait for the first pages */
	return memory;
}

void memory_release(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

int pool_create(struct pool *p, uint32_t size, uint32_t item_size)
{
	assert(size > 0 && size < POOL_NONE && item_size >= sizeof(struct slot) && item_size % 8 == 0);
	*p = (struct pool){ .item_size = item_size, .size = size, .free_first = POOL_NONE, .free_last = POOL_NONE };
	p->items = memory_reserve((size_t)size * item_size);
	return p->items ? 0 : -ENOMEM;
}

void pool_destroy(struct pool *p)
{
	memory_release(p->items, (size_t)p->size * p->item_size);
	*p = (struct pool){ 0 };
}

static struct slot *slot_at(const struct pool *p, uint32_t index)
{
	return pool_at(p, index);
}

uint32_t pool_take(struct pool *p)
{
	uint32_t index;
	if (p->fresh < p->size && p->free_count < POOL_REUSE_AFTER) {
		index = p->fresh++;
	} else if (p->free_count) {
		index = p->free_first;
		p->free_first = slot_at(p, index)->next_free;
		if (--p->free_count == 0)
			p->free_last = POOL_NONE;
	} else {
		return POOL_NONE;
	}
	struct slot *slot = slot_at(p, index);
	assert(!slot->used);
	slot->used = 1;
	p->used++;
	memset(slot + 1, 0, p->item_size - sizeof *slot);
	return index;
}

void pool_give(struct pool *p, uint32_t index)
{
	struct slot *slot = slot_at(p, index);
	assert(slot->used && p->used > 0);
	slot->used = 0;
	slot->generation = (slot->generation + 1) & POOL_GENERATION_MAX;
	slot->next_free = POOL_NONE;
	if (p->free_count++ == 0)
		p->free_first = index;
	else
		slot_at(p, p->free_last)->next_free = index;
	p->free_last = index;
	p->used--;
}

void *pool_find(const struct pool *p, uint32_t index, uint32_t generation)
{
	if (index >= p->fresh)
		return NULL;
	struct slot *slot = slot_at(p, index);
	return slot->used && slot->generation == generation ? slot : NULL;
}

uint32_t pool_next_used(const struct pool *p, uint32_t index)
{
	for (; index < p->fresh; index++)
		if (slot_at(p, index)->used)
			return index;
	return POOL_NONE;
}

void pool_check(const struct pool *p)
{
	uint32_t used = 0, free = 0;
	for (uint32_t i = 0; i < p->fresh; i++)
		used += slot_at(p, i)->used;
	assert(used == p->used);
	for (uint32_t i = p->free_first; i != POOL_NONE; i = slot_at(p, i)->next_free) {
		assert(!slot_at(p, i)->used);
		free++;
	}
	assert(free == p->free_count && used + free == p->fresh && p->fresh <= p->size);
}
