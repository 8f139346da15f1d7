/* The wheel's rival: a binary heap of deadlines.  Arm, cancel and pop are O(log n), the next deadline O(1).
 *
 * Intrusive as the wheel is: the owner embeds a struct heap_entry, which knows its place, so that cancelling needs no
 * search.  Deadlines lie in the heap's own array beside the pointer: comparing touches no record, moving does. */
#ifndef RW_BENCH_HEAP_H
#define RW_BENCH_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_entry {
	size_t place; /* in the array; 0: not armed */
};

struct heap_node {
	uint64_t deadline_ns;
	struct heap_entry *entry;
};

struct heap {
	struct heap_node *node; /* from 1; a parent is at half the place of its children and not later than they are */
	size_t count, count_max;
};

/* The array is the caller's, of count_max + 1 nodes. */
void heap_init(struct heap *h, struct heap_node *node, size_t count_max);

/* Arms or re-arms. */
void heap_arm(struct heap *h, struct heap_entry *e, uint64_t deadline_ns);

/* Cancels; nothing happens if it is not armed. */
void heap_cancel(struct heap *h, struct heap_entry *e);

/* Takes the first deadline off the heap if it is not later than now_ns; NULL: none. */
struct heap_entry *heap_pop(struct heap *h, uint64_t now_ns);

/* The first deadline; UINT64_MAX: none. */
uint64_t heap_next_ns(const struct heap *h);

#endif
