/* Room for texts of any length up to 28 KiB: strings of a call, bodies, messages kept for retransmission.  One arena a
 * shard, reserved at creation, cut into pages of 64 KiB, each page into pieces of one size class; an empty page goes
 * back to all classes.  A text is named by a 32-bit handle, 0 being none.  No system allocation, bounded, constant
 * time. */
#ifndef RW_CORE_TEXT_H
#define RW_CORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "sip/bytes.h"

#define TEXT_NONE      0u
#define TEXT_BYTES_MAX 28668u
#define TEXT_CLASSES   53
#define TEXT_PAGE      65536u

struct text_page {
	uint32_t free_first; /* offset of the first free piece in the page / 16 + 1; 0: none */
	uint32_t prev, next; /* pages of the same class that have room; in the list of empty pages only next */
	uint16_t used;       /* pieces in use */
	uint16_t cut;        /* pieces ever cut from it */
	uint8_t class;
	uint8_t listed; /* in its class' list */
};

struct text_store {
	char *arena;
	struct text_page *pages;
	uint32_t page_count;
	uint32_t used_pages;
	uint32_t fresh;                   /* pages from here on were never used */
	uint32_t empty_first;             /* pages without a class */
	uint32_t with_room[TEXT_CLASSES]; /* first page of the class with a free piece */
	uint64_t used_bytes;              /* in pieces in use, rounded up to their class */
	uint32_t used_count;
};

int text_store_create(struct text_store *t, uint64_t bytes);
void text_store_destroy(struct text_store *t);

/* Room for `size` bytes, not zeroed; TEXT_NONE: the arena is full or size is above TEXT_BYTES_MAX. */
uint32_t text_take(struct text_store *t, uint32_t size);
uint32_t text_put(struct text_store *t, struct bytes bytes);
/* Gives a text back; nothing happens for TEXT_NONE. */
void text_give(struct text_store *t, uint32_t handle);

char *text_at(const struct text_store *t, uint32_t handle);
uint32_t text_size(const struct text_store *t, uint32_t handle);
/* Lends the text; empty for TEXT_NONE. */
struct bytes text_get(const struct text_store *t, uint32_t handle);

/* Whether less than a sixteenth of the arena is left: then what is there is for the calls that are up. */
static inline bool text_is_low(const struct text_store *t)
{
	return t->page_count - t->used_pages < t->page_count / 16;
}

void text_check(const struct text_store *t);

#endif
