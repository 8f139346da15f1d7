/* A delay line: see the header. */
#include "bench/line.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 1024 };

void line_init(struct line *l, uint64_t delay_ns)
{
	*l = (struct line){ .delay_ns = delay_ns };
}

void line_destroy(struct line *l)
{
	free(l->entry);
	l->entry = NULL;
}

void line_clear(struct line *l)
{
	l->count = 0;
}

/* Doubled; what lay around the end of the ring is in a row again. */
static bool grow(struct line *l)
{
	size_t room = l->room > 0 ? l->room * 2 : ROOM_FIRST, to_end = l->room - l->first;
	struct line_entry *entry = malloc(room * sizeof *entry);

	if (!entry)
		return false;
	if (l->room > 0) {
		memcpy(entry, l->entry + l->first, to_end * sizeof *entry);
		memcpy(entry + to_end, l->entry, l->first * sizeof *entry);
	}
	free(l->entry);
	l->entry = entry;
	l->room = room;
	l->first = 0;
	return true;
}

bool line_put(struct line *l, uint64_t now_ns, uint32_t slot, uint32_t note)
{
	if (l->count == l->room && !grow(l))
		return false;
	l->entry[(l->first + l->count++) & (l->room - 1)] =
		(struct line_entry){ .due_ns = now_ns + l->delay_ns, .slot = slot, .note = note };
	return true;
}

bool line_take(struct line *l, uint64_t now_ns, struct line_entry *ret_entry)
{
	if (l->count == 0 || line_next_ns(l) > now_ns)
		return false;
	*ret_entry = l->entry[l->first];
	l->first = (l->first + 1) & (l->room - 1);
	l->count--;
	return true;
}
