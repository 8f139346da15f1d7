#include "billing/prefix_lines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_BYTES ((size_t)2 << 20)

static_assert(sizeof(struct prefix_line) == 64, "a line of the table is a line of the cache");

/* A table that fills several huge pages asks for them: with pages of 4 KiB each access waits for the page table too. */
static void *lines_memory(size_t bytes)
{
	size_t page = bytes >= HUGE_BYTES ? HUGE_BYTES : sizeof(struct prefix_line);
	void *memory;

	bytes = (bytes + page - 1) / page * page;
	memory = aligned_alloc(page, bytes);
	if (!memory)
		return NULL;
	if (page == HUGE_BYTES)
		(void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish */
	return memset(memory, 0, bytes);
}

int prefix_lines_create(struct prefix_lines *l, uint32_t words)
{
	l->count = words / (PREFIX_LINE_SLOTS / 2) + 1;
	l->lines = lines_memory(((size_t)l->count + PREFIX_LINES_FAR - 1) * sizeof *l->lines);
	return l->lines ? 0 : -ENOMEM;
}

void prefix_lines_destroy(struct prefix_lines *l)
{
	free(l->lines);
	*l = (struct prefix_lines){ 0 };
}

bool prefix_lines_put(struct prefix_lines *l, uint64_t word, struct prefix_list list)
{
	struct prefix_line *line = prefix_lines_at(l, word);

	assert(word != 0 && list.count <= PREFIX_LIST_MAX);
	for (unsigned far = 0; far < PREFIX_LINES_FAR; far++, line++) {
		for (unsigned i = 0; i < PREFIX_LINE_SLOTS; i++)
			if (line->slots[i].word == 0) {
				line->slots[i] =
					(struct prefix_slot){ word, list.first, list.count & PREFIX_LIST_MAX, false };
				return true;
			}
		line->slots[PREFIX_LINE_SLOTS - 1].further = true;
	}
	return false;
}
