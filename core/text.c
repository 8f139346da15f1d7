#include "core/text.h"

#include <assert.h>
#include <errno.h>

#include "core/pool.h"

/* A handle is the offset of the piece in the arena / 16, plus 1.  A piece starts with the size of the text. */
#define UNIT      16u
#define ARENA_MAX ((UINT64_C(1) << 32) * UNIT - TEXT_PAGE) /* what handles can name */
#define FINE_MAX  512u                                     /* classes of all multiples of a unit up to here */

struct piece {
	uint32_t size;
	uint32_t next_free; /* while free: as text_page.free_first */
};

#define PIECE_HEAD ((uint32_t)sizeof(uint32_t))

static const uint16_t class_bytes[TEXT_CLASSES] = {
	16,   32,   48,   64,   80,   96,   112,  128,  144,  160,  176,  192,  208,   224,   240,   256,   272,   288,
	304,  320,  336,  352,  368,  384,  400,  416,  432,  448,  464,  480,  496,   512,   640,   768,   896,   1024,
	1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 16384, 20480, 28672,
};

static_assert(TEXT_BYTES_MAX + PIECE_HEAD <= 28672, "the largest class holds the largest text");

static unsigned class_of(uint32_t bytes)
{
	if (bytes <= FINE_MAX)
		return (bytes - 1) / UNIT;
	unsigned class = FINE_MAX / UNIT;
	while (class_bytes[class] < bytes)
		class ++;
	return class;
}

int text_store_create(struct text_store *t, uint64_t bytes)
{
	if (bytes > ARENA_MAX)
		bytes = ARENA_MAX;
	*t = (struct text_store){ .page_count = (uint32_t)((bytes + TEXT_PAGE - 1) / TEXT_PAGE) };
	t->empty_first = POOL_NONE;
	for (unsigned i = 0; i < TEXT_CLASSES; i++)
		t->with_room[i] = POOL_NONE;
	t->arena = memory_reserve((size_t)t->page_count * TEXT_PAGE);
	t->pages = memory_reserve((size_t)t->page_count * sizeof *t->pages);
	if (t->arena && t->pages)
		return 0;
	text_store_destroy(t);
	return -ENOMEM;
}

void text_store_destroy(struct text_store *t)
{
	memory_release(t->arena, (size_t)t->page_count * TEXT_PAGE);
	memory_release(t->pages, (size_t)t->page_count * sizeof *t->pages);
	*t = (struct text_store){ 0 };
}

static struct piece *piece_at(const struct text_store *t, uint32_t handle)
{
	assert(handle != TEXT_NONE);
	return (struct piece *)(void *)(t->arena + (size_t)(handle - 1) * UNIT);
}

static uint32_t page_of(uint32_t handle)
{
	return (handle - 1) / (TEXT_PAGE / UNIT);
}

static void list_page(struct text_store *t, uint32_t index)
{
	struct text_page *page = &t->pages[index];
	page->prev = POOL_NONE;
	page->next = t->with_room[page->class];
	if (page->next != POOL_NONE)
		t->pages[page->next].prev = index;
	t->with_room[page->class] = index;
	page->listed = 1;
}

static void unlist_page(struct text_store *t, uint32_t index)
{
	struct text_page *page = &t->pages[index];
	if (page->prev == POOL_NONE)
		t->with_room[page->class] = page->next;
	else
		t->pages[page->prev].next = page->next;
	if (page->next != POOL_NONE)
		t->pages[page->next].prev = page->prev;
	page->listed = 0;
}

/* An empty page, cut anew for a class; POOL_NONE: the arena is full. */
static uint32_t take_page(struct text_store *t, unsigned class)
{
	uint32_t index = t->empty_first;
	if (index != POOL_NONE)
		t->empty_first = t->pages[index].next;
	else if (t->fresh < t->page_count)
		index = t->fresh++;
	else
		return POOL_NONE;
	t->used_pages++;
	t->pages[index] = (struct text_page){ .class = (uint8_t) class };
	list_page(t, index);
	return index;
}

uint32_t text_take(struct text_store *t, uint32_t size)
{
	if (size > TEXT_BYTES_MAX)
		return TEXT_NONE;
	unsigned class = class_of(size + PIECE_HEAD);
	uint32_t index = t->with_room[class];
	if (index == POOL_NONE && (index = take_page(t, class)) == POOL_NONE)
		return TEXT_NONE;
	struct text_page *page = &t->pages[index];
	uint32_t bytes = class_bytes[class], first = index * (TEXT_PAGE / UNIT), handle;
	if (page->free_first) {
		handle = first + page->free_first;
		page->free_first = piece_at(t, handle)->next_free;
	} else {
		handle = first + page->cut++ * (bytes / UNIT) + 1;
	}
	page->used++;
	if (!page->free_first && (page->cut + 1u) * bytes > TEXT_PAGE)
		unlist_page(t, index);
	piece_at(t, handle)->size = size;
	t->used_bytes += bytes;
	t->used_count++;
	return handle;
}

uint32_t text_put(struct text_store *t, struct bytes bytes)
{
	uint32_t handle = text_take(t, bytes.size);
	if (handle != TEXT_NONE && bytes.size)
		memcpy(text_at(t, handle), bytes.at, bytes.size);
	return handle;
}

void text_give(struct text_store *t, uint32_t handle)
{
	if (handle == TEXT_NONE)
		return;
	uint32_t index = page_of(handle);
	struct text_page *page = &t->pages[index];
	struct piece *piece = piece_at(t, handle);
	assert(page->used > 0 && piece->size <= TEXT_BYTES_MAX);
	piece->size = UINT32_MAX; /* a second give trips the assert above */
	piece->next_free = page->free_first;
	page->free_first = handle - index * (TEXT_PAGE / UNIT);
	t->used_bytes -= class_bytes[page->class];
	t->used_count--;
	if (--page->used == 0) {
		if (page->listed)
			unlist_page(t, index);
		page->next = t->empty_first;
		t->empty_first = index;
		t->used_pages--;
	} else if (!page->listed) {
		list_page(t, index);
	}
}

char *text_at(const struct text_store *t, uint32_t handle)
{
	return (char *)piece_at(t, handle) + PIECE_HEAD;
}

uint32_t text_size(const struct text_store *t, uint32_t handle)
{
	return piece_at(t, handle)->size;
}

struct bytes text_get(const struct text_store *t, uint32_t handle)
{
	if (handle == TEXT_NONE)
		return BYTES_NONE;
	return (struct bytes){ text_at(t, handle), text_size(t, handle) };
}

void text_check(const struct text_store *t)
{
	uint64_t bytes = 0;
	uint32_t count = 0, empty = 0;
	for (uint32_t i = 0; i < t->fresh; i++) {
		const struct text_page *page = &t->pages[i];
		bytes += (uint64_t)page->used * class_bytes[page->class];
		count += page->used;
		assert((uint32_t)page->cut * class_bytes[page->class] <= TEXT_PAGE && page->used <= page->cut);
		empty += page->used == 0;
	}
	assert(bytes == t->used_bytes && count == t->used_count && empty + t->used_pages == t->fresh);
	for (uint32_t i = t->empty_first; i != POOL_NONE; i = t->pages[i].next)
		empty--;
	assert(empty == 0);
}
