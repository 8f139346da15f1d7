#include "tests/crash/agenda.h"

#include <stdio.h>
#include <stdlib.h>

static void grow(struct agenda *a)
{
	a->room = a->room ? 2 * a->room : 4096;
	a->heap = realloc(a->heap, a->room * sizeof *a->heap);
	if (!a->heap) {
		fprintf(stderr, "load: out of memory\n");
		exit(2);
	}
}

void agenda_add(struct agenda *a, struct moment moment)
{
	if (a->count == a->room)
		grow(a);
	uint32_t at = a->count++;
	while (at && a->heap[(at - 1) / 2].at_ns > moment.at_ns) {
		a->heap[at] = a->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	a->heap[at] = moment;
}

bool agenda_take(struct agenda *a, uint64_t now_ns, struct moment *ret_moment)
{
	if (!a->count || a->heap[0].at_ns > now_ns)
		return false;
	*ret_moment = a->heap[0];
	struct moment last = a->heap[--a->count];
	uint32_t at = 0;
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= a->count)
			break;
		child += child + 1 < a->count && a->heap[child + 1].at_ns < a->heap[child].at_ns;
		if (a->heap[child].at_ns >= last.at_ns)
			break;
		a->heap[at] = a->heap[child];
		at = child;
	}
	a->heap[at] = last;
	return true;
}

uint64_t agenda_next_ns(const struct agenda *a)
{
	return a->count ? a->heap[0].at_ns : UINT64_MAX;
}

void agenda_free(struct agenda *a)
{
	free(a->heap);
	*a = (struct agenda){ 0 };
}
