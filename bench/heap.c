/* Sifting moves a hole, not a pair: one store a level. */
#include "bench/heap.h"

#include <assert.h>

static void put(struct heap *h, size_t place, struct heap_node node)
{
	h->node[place] = node;
	node.entry->place = place;
}

static void sift_up(struct heap *h, size_t place, struct heap_node node)
{
	while (place > 1 && h->node[place / 2].deadline_ns > node.deadline_ns) {
		put(h, place, h->node[place / 2]);
		place /= 2;
	}
	put(h, place, node);
}

static void sift_down(struct heap *h, size_t place, struct heap_node node)
{
	for (;;) {
		size_t child = place * 2;

		if (child > h->count)
			break;
		if (child < h->count && h->node[child + 1].deadline_ns < h->node[child].deadline_ns)
			child++;
		if (h->node[child].deadline_ns >= node.deadline_ns)
			break;
		put(h, place, h->node[child]);
		place = child;
	}
	put(h, place, node);
}

static void place_anew(struct heap *h, size_t place, struct heap_node node)
{
	if (place > 1 && h->node[place / 2].deadline_ns > node.deadline_ns)
		sift_up(h, place, node);
	else
		sift_down(h, place, node);
}

void heap_init(struct heap *h, struct heap_node *node, size_t count_max)
{
	*h = (struct heap){ .node = node, .count_max = count_max };
}

void heap_arm(struct heap *h, struct heap_entry *e, uint64_t deadline_ns)
{
	struct heap_node node = { deadline_ns, e };

	if (e->place) {
		place_anew(h, e->place, node);
		return;
	}
	assert(h->count < h->count_max);
	sift_up(h, ++h->count, node);
}

void heap_cancel(struct heap *h, struct heap_entry *e)
{
	size_t place = e->place;

	if (!place)
		return;
	assert(place <= h->count && h->node[place].entry == e);
	e->place = 0;
	struct heap_node last = h->node[h->count--];
	if (last.entry != e)
		place_anew(h, place, last);
}

struct heap_entry *heap_pop(struct heap *h, uint64_t now_ns)
{
	if (heap_next_ns(h) > now_ns)
		return NULL;
	struct heap_entry *e = h->node[1].entry;
	heap_cancel(h, e);
	return e;
}

uint64_t heap_next_ns(const struct heap *h)
{
	return h->count > 0 ? h->node[1].deadline_ns : UINT64_MAX;
}
