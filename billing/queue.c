/* The ring between one worker and the billing thread.
 *
 * Positions count bytes and never wrap (2^64); a position's place in the ring is its low bits.  All are multiples of 8,
 * so there is room for a record's size wherever one begins.  A record that would straddle the end begins anew at the
 * start, and SKIP stands where it would have begun.
 *
 *   tail <= a consumer's position <= head <= tail + capacity
 *
 * The producer's store of `head` publishes the record and the count before it; the consumer's store of `tail` gives the
 * bytes back.  Each of the two owns one cache line, which the other only reads. */
#include "billing/queue.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#define SKIP       UINT32_MAX
#define CACHE_LINE 64

struct cdr_queue {
	alignas(CACHE_LINE) _Atomic uint64_t head; /* the producer's: end of what is published */
	_Atomic uint64_t pushed;                   /* records ever published */
	alignas(CACHE_LINE) _Atomic uint64_t tail; /* the consumer's: start of what is kept */
	_Atomic uint64_t released;                 /* records ever given back */
	alignas(CACHE_LINE) uint64_t capacity;     /* bytes in the ring, a power of two */
	alignas(CACHE_LINE) uint8_t ring[];
};

static_assert(CDR_BYTES_MAX < SKIP, "no record looks like a skip");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the positions are lock-free, in a mapping shared by processes too");

static uint8_t *place(const struct cdr_queue *q, uint64_t position)
{
	assert(position % 8 == 0);
	return (uint8_t *)q->ring + (position & (q->capacity - 1));
}

static uint64_t until_end(const struct cdr_queue *q, uint64_t position)
{
	return q->capacity - (position & (q->capacity - 1));
}

static uint64_t footprint(size_t record_size)
{
	return (sizeof(uint32_t) + record_size + 7) & ~UINT64_C(7);
}

static uint32_t size_at(const struct cdr_queue *q, uint64_t position)
{
	uint32_t size;
	memcpy(&size, place(q, position), sizeof(size));
	return size;
}

static void set_size_at(struct cdr_queue *q, uint64_t position, uint32_t size)
{
	memcpy(place(q, position), &size, sizeof(size));
}

size_t cdr_queue_header_bytes(void)
{
	return sizeof(struct cdr_queue);
}

struct cdr_queue *cdr_queue_init(void *memory, size_t size)
{
	struct cdr_queue *q = memory;

	assert((uintptr_t)memory % CACHE_LINE == 0);
	assert(size > sizeof(*q) + 8);
	q->capacity = size - sizeof(*q);
	assert((q->capacity & (q->capacity - 1)) == 0);
	assert(atomic_load(&q->head) == 0 && atomic_load(&q->tail) == 0);
	return q;
}

/* ---- producer ---- */

bool cdr_queue_push(struct cdr_queue *q, const struct cdr *cdr)
{
	const size_t size = cdr_encoded_size(cdr);
	const uint64_t needed = footprint(size);
	const uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	const uint64_t skipped = needed > until_end(q, head) ? until_end(q, head) : 0;

	if (skipped + needed > cdr_queue_free(q))
		return false;
	if (skipped != 0)
		set_size_at(q, head, SKIP);

	const uint64_t start = head + skipped;
	const size_t encoded = cdr_encode(cdr, place(q, start) + sizeof(uint32_t), size);
	assert(encoded == size);
	set_size_at(q, start, (uint32_t)encoded);

	const uint64_t pushed = atomic_load_explicit(&q->pushed, memory_order_relaxed);
	atomic_store_explicit(&q->pushed, pushed + 1, memory_order_relaxed);
	atomic_store_explicit(&q->head, start + needed, memory_order_release);
	return true;
}

size_t cdr_queue_free(const struct cdr_queue *q)
{
	const uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	const uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);

	assert(head - tail <= q->capacity);
	return q->capacity - (head - tail);
}

uint64_t cdr_queue_depth(const struct cdr_queue *q)
{
	/* In this order: what is seen released is then seen pushed, and the difference is never negative. */
	const uint64_t released = atomic_load_explicit(&q->released, memory_order_acquire);
	const uint64_t pushed = atomic_load_explicit(&q->pushed, memory_order_relaxed);

	assert(released <= pushed);
	return pushed - released;
}

uint64_t cdr_queue_pushed(const struct cdr_queue *q)
{
	return atomic_load_explicit(&q->pushed, memory_order_relaxed);
}

/* ---- consumer ---- */

uint64_t cdr_queue_begin(const struct cdr_queue *q)
{
	return atomic_load_explicit(&q->tail, memory_order_relaxed);
}

bool cdr_queue_next(const struct cdr_queue *q, uint64_t *position, const uint8_t **ret_record, size_t *ret_size)
{
	const uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
	uint64_t at = *position;

	assert(head - at <= q->capacity);
	if (at == head)
		return false;
	if (size_at(q, at) == SKIP)
		at += until_end(q, at);

	const uint32_t size = size_at(q, at);
	assert(size <= CDR_BYTES_MAX && footprint(size) <= until_end(q, at) && footprint(size) <= head - at);
	*ret_record = place(q, at) + sizeof(uint32_t);
	*ret_size = size;
	*position = at + footprint(size);
	return true;
}

void cdr_queue_release(struct cdr_queue *q, uint64_t position)
{
	uint64_t at = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint64_t released = atomic_load_explicit(&q->released, memory_order_relaxed);
	const uint8_t *record;
	size_t size;

	while (at != position && cdr_queue_next(q, &at, &record, &size))
		released++;
	assert(at == position);
	atomic_store_explicit(&q->released, released, memory_order_release);
	atomic_store_explicit(&q->tail, position, memory_order_release);
}
