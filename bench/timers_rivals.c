/* The wheel and the heap behind one interface, the records they arm, and how long. */
#include <errno.h>
#include <stdlib.h>

#include "bench/timers.h"

static_assert(offsetof(struct deadline, wheel) == 0 && offsetof(struct deadline, heap) == 0,
	      "an entry is its deadline");

/* ---- records ---- */

int records_create(struct records *r, size_t count, uint64_t bytes, bool huge)
{
	*r = (struct records){ .memory = bench_memory(count * bytes, huge), .count = count, .bytes = bytes };
	if (!r->memory)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		*record_at(r, i) = (struct deadline){ .due_ns = 0 };
	return 0;
}

void records_destroy(struct records *r)
{
	bench_memory_free(r->memory, r->count * r->bytes);
	r->memory = NULL;
}

uint32_t *records_order(const struct records *r, struct bench_random *random)
{
	uint32_t *order = malloc(r->count * sizeof *order);

	for (size_t i = 0; order && i < r->count; i++) {
		size_t other = bench_random_below(random, i + 1);

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
	return order;
}

/* ---- the mix: a busy shard's deadlines ---- */

static const struct {
	unsigned percent;
	uint64_t from_ms, to_ms;
} mix[] = {
	{ 10, 500, 32000 },      /* T1 to 64*T1: transactions, waiting on a gateway */
	{ 70, 32000, 600000 },   /* refreshes, ends of session intervals */
	{ 20, 600000, 7200000 }, /* caps */
};

const char mix_text[] = "10 % of 0.5 to 32 s, 70 % of 32 to 600 s, 20 % of 600 to 7200 s";

unsigned mix_draw(struct bench_random *random)
{
	uint64_t percent = bench_random_below(random, 100);
	unsigned length = 0;

	while (percent >= mix[length].percent)
		percent -= mix[length++].percent;
	return length;
}

uint64_t mix_length_ns(struct bench_random *random, unsigned length)
{
	uint64_t from_ns = mix[length].from_ms * 1000000, to_ns = mix[length].to_ms * 1000000;

	return from_ns + bench_random_below(random, to_ns - from_ns);
}

/* ---- the wheel ---- */

static void *wheel_create(uint64_t now_ns, size_t count_max, bool huge)
{
	struct wheel *w = malloc(sizeof *w);

	(void)count_max;
	(void)huge;
	if (w)
		wheel_init(w, now_ns);
	return w;
}

static void wheel_arm_deadline(void *w, struct deadline *d, uint64_t due_ns)
{
	d->due_ns = due_ns;
	wheel_arm(w, &d->wheel, due_ns);
}

static void wheel_cancel_deadline(void *w, struct deadline *d)
{
	wheel_cancel(w, &d->wheel);
}

static void wheel_advance_to(void *w, uint64_t now_ns)
{
	wheel_advance(w, now_ns);
}

static struct deadline *wheel_pop_deadline(void *w, uint64_t now_ns)
{
	(void)now_ns;
	return (struct deadline *)wheel_pop(w);
}

static uint64_t wheel_next(const void *w)
{
	return wheel_next_ns(w);
}

/* ---- the heap ---- */

static void *heap_create(uint64_t now_ns, size_t count_max, bool huge)
{
	struct heap *h = malloc(sizeof *h);
	struct heap_node *node = bench_memory((count_max + 1) * sizeof *node, huge);

	(void)now_ns;
	if (!h || !node) {
		bench_memory_free(node, (count_max + 1) * sizeof *node);
		free(h);
		return NULL;
	}
	heap_init(h, node, count_max);
	return h;
}

static void heap_destroy(void *heap)
{
	struct heap *h = heap;

	bench_memory_free(h->node, (h->count_max + 1) * sizeof *h->node);
	free(h);
}

static void heap_arm_deadline(void *h, struct deadline *d, uint64_t due_ns)
{
	d->due_ns = due_ns;
	heap_arm(h, &d->heap, due_ns);
}

static void heap_cancel_deadline(void *h, struct deadline *d)
{
	heap_cancel(h, &d->heap);
}

static void heap_advance(void *h, uint64_t now_ns)
{
	(void)h;
	(void)now_ns;
}

static struct deadline *heap_pop_deadline(void *h, uint64_t now_ns)
{
	return (struct deadline *)heap_pop(h, now_ns);
}

static uint64_t heap_next(const void *h)
{
	return heap_next_ns(h);
}

const struct timers rivals[RIVALS] = {
	[WHEEL] = { "wheel", wheel_create, free, wheel_arm_deadline, wheel_cancel_deadline, wheel_advance_to,
		    wheel_pop_deadline, wheel_next },
	[HEAP] = { "heap", heap_create, heap_destroy, heap_arm_deadline, heap_cancel_deadline, heap_advance,
		   heap_pop_deadline, heap_next },
};
