/* The ring between one worker and the billing thread.
 *
 * Positions count bytes and never wrap (2^64); a position's place in the ring is the low bits of its distance to
 * `base`.  All are multiples of 8, so there is room for a record's head wherever one begins.  A record that would
 * straddle the end begins anew at the start, and SKIP stands where it would have begun.
 *
 *   tail <= a consumer's position <= head <= tail + capacity
 *
 * The producer's store of `head` publishes the record and the count before it; the consumer's store of `tail` gives the
 * bytes back.  Each of the two owns one cache line, which the other only reads.  `base` is the position whose place is
 * the start of the ring: the producer moves it when nothing is in the queue, so that it goes back there.  A process
 * that dies between the stores of a pair leaves a count that is one behind its position, so a reader of its queue goes
 * by the positions: the count of records up to `tail` is stored before `tail` itself, with the position that it belongs
 * to. */
#include "billing/queue.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#define MAGIC        UINT64_C(0x3130515244524d52) /* of this layout */
#define SKIP         UINT32_MAX
#define CACHE_LINE   64
#define HEAD_BYTES   (2 * sizeof(uint32_t))
#define REWIND_BYTES 65536 /* an empty queue goes back to the start from here on */

/* How many records were given back up to a position.  Two of them, written in turn: one is always whole. */
struct released {
	_Atomic uint64_t at, serial;
};

struct record_queue {
	alignas(CACHE_LINE) _Atomic uint64_t head; /* the producer's: end of what is published */
	_Atomic uint64_t pushed;                   /* records ever published */
	_Atomic uint64_t base;                     /* 0 at first */
	alignas(CACHE_LINE) _Atomic uint64_t tail; /* the consumer's: start of what is kept */
	_Atomic uint64_t released;                 /* records ever given back */
	struct released marks[2];                  /* the same, for whoever finds the queue later */
	alignas(CACHE_LINE) uint64_t capacity;     /* bytes in the ring, a power of two */
	uint64_t lent;                             /* the producer's: where the room lent begins */
	uint64_t magic;
	struct record_queue_owner owner;
	alignas(CACHE_LINE) uint8_t ring[];
};

static_assert(RECORD_BYTES_MAX < SKIP, "no record looks like a skip");
static_assert(CDR_BYTES_MAX <= RECORD_BYTES_MAX, "a CDR is a record");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the positions are lock-free, in a mapping shared by processes too");

static uint64_t offset_of(const struct record_queue *q, uint64_t position)
{
	return (position - atomic_load_explicit(&q->base, memory_order_relaxed)) & (q->capacity - 1);
}

static uint8_t *place(const struct record_queue *q, uint64_t position)
{
	assert(position % 8 == 0);
	return (uint8_t *)q->ring + offset_of(q, position);
}

static uint64_t until_end(const struct record_queue *q, uint64_t position)
{
	return q->capacity - offset_of(q, position);
}

static uint64_t footprint(size_t payload_size)
{
	return (HEAD_BYTES + payload_size + 7) & ~UINT64_C(7);
}

static uint32_t word_at(const struct record_queue *q, uint64_t position, size_t offset)
{
	uint32_t word;
	memcpy(&word, place(q, position) + offset, sizeof(word));
	return word;
}

static uint32_t size_at(const struct record_queue *q, uint64_t position)
{
	return word_at(q, position, 0);
}

static uint32_t kind_at(const struct record_queue *q, uint64_t position)
{
	return word_at(q, position, sizeof(uint32_t));
}

static void set_head_at(struct record_queue *q, uint64_t position, uint32_t size, uint32_t kind)
{
	memcpy(place(q, position), &size, sizeof(size));
	memcpy(place(q, position) + sizeof(size), &kind, sizeof(kind));
}

size_t record_queue_header_bytes(void)
{
	return sizeof(struct record_queue);
}

struct record_queue *record_queue_init(void *memory, size_t size, struct record_queue_owner owner)
{
	struct record_queue *q = memory;

	assert((uintptr_t)memory % CACHE_LINE == 0);
	assert(size > sizeof(*q) + 8);
	q->capacity = size - sizeof(*q);
	assert((q->capacity & (q->capacity - 1)) == 0);
	assert(atomic_load(&q->head) == 0 && atomic_load(&q->tail) == 0);
	q->owner = owner;
	atomic_thread_fence(memory_order_release);
	q->magic = MAGIC;
	return q;
}

/* ---- producer ---- */

uint8_t *record_queue_lend(struct record_queue *q, size_t size)
{
	const uint64_t needed = footprint(size);
	const uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	const uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);

	assert(size <= RECORD_BYTES_MAX);
	if (head == tail && offset_of(q, head) >= REWIND_BYTES)
		atomic_store_explicit(&q->base, head, memory_order_relaxed); /* published with the next head */
	const uint64_t skipped = needed > until_end(q, head) ? until_end(q, head) : 0;
	if (skipped + needed > q->capacity - (head - tail))
		return NULL;
	if (skipped != 0)
		set_head_at(q, head, SKIP, 0);
	q->lent = head + skipped;
	return place(q, q->lent) + HEAD_BYTES;
}

void record_queue_publish(struct record_queue *q, enum record_kind kind, size_t size)
{
	const uint64_t pushed = atomic_load_explicit(&q->pushed, memory_order_relaxed);

	set_head_at(q, q->lent, (uint32_t)size, kind);
	atomic_store_explicit(&q->pushed, pushed + 1, memory_order_relaxed);
	atomic_store_explicit(&q->head, q->lent + footprint(size), memory_order_release);
}

bool record_queue_push(struct record_queue *q, const struct cdr *cdr)
{
	const size_t size = cdr_encoded_size(cdr);
	uint8_t *at = record_queue_lend(q, size);

	if (at == NULL)
		return false;
	const size_t encoded = cdr_encode(cdr, at, size);
	assert(encoded == size);
	record_queue_publish(q, RECORD_CDR, encoded);
	return true;
}

size_t record_queue_free(const struct record_queue *q)
{
	const uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	const uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);

	assert(head - tail <= q->capacity);
	return q->capacity - (head - tail);
}

uint64_t record_queue_depth(const struct record_queue *q)
{
	const uint64_t released = atomic_load_explicit(&q->released, memory_order_acquire);
	const uint64_t pushed = atomic_load_explicit(&q->pushed, memory_order_relaxed);

	assert(released <= pushed);
	return pushed - released;
}

uint64_t record_queue_pushed(const struct record_queue *q)
{
	return atomic_load_explicit(&q->pushed, memory_order_relaxed);
}

/* ---- consumer ---- */

struct queue_position record_queue_begin(const struct record_queue *q)
{
	return (struct queue_position){ .at = atomic_load_explicit(&q->tail, memory_order_relaxed),
					.serial = atomic_load_explicit(&q->released, memory_order_relaxed) };
}

bool record_queue_next(const struct record_queue *q, struct queue_position *position, struct queued_record *ret_record)
{
	const uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
	uint64_t at = position->at;

	assert(head - at <= q->capacity);
	if (at == head)
		return false;
	if (size_at(q, at) == SKIP)
		at += until_end(q, at);

	const uint32_t size = size_at(q, at);
	assert(size <= RECORD_BYTES_MAX && footprint(size) <= until_end(q, at) && footprint(size) <= head - at);
	ret_record->kind = (enum record_kind)kind_at(q, at);
	ret_record->serial = position->serial++;
	ret_record->at = place(q, at) + HEAD_BYTES;
	ret_record->size = size;
	position->at = at + footprint(size);
	return true;
}

void record_queue_release(struct record_queue *q, struct queue_position position)
{
	const uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	const uint64_t released = atomic_load_explicit(&q->released, memory_order_relaxed);
	/* The one that does not belong to the tail of now. */
	struct released *mark = &q->marks[atomic_load_explicit(&q->marks[0].at, memory_order_relaxed) == tail];

	assert(position.serial >= released && position.at - tail <= q->capacity);
	if (position.at == tail)
		return;
	atomic_store_explicit(&mark->at, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&mark->serial, position.serial, memory_order_release);
	atomic_store_explicit(&mark->at, position.at, memory_order_release);
	atomic_store_explicit(&q->released, position.serial, memory_order_release);
	atomic_store_explicit(&q->tail, position.at, memory_order_release);
}

/* ---- one that a former process has left ---- */

/* Counts the records from the tail to the head; false: something that no producer has written. */
static bool count_records(const struct record_queue *q, uint64_t tail, uint64_t head, uint64_t *ret_count)
{
	uint64_t at = tail, count = 0;

	while (at != head) {
		if (size_at(q, at) == SKIP) {
			if (until_end(q, at) >= head - at)
				return false;
			at += until_end(q, at);
		}
		const uint64_t size = size_at(q, at), kind = kind_at(q, at);
		if (size > RECORD_BYTES_MAX || footprint(size) > until_end(q, at) || footprint(size) > head - at ||
		    kind == RECORD_NONE || kind >= RECORD_KINDS)
			return false;
		at += footprint(size);
		count++;
	}
	*ret_count = count;
	return true;
}

void record_queue_settle(struct record_queue *q)
{
	q->owner.machine = 0;
}

struct record_queue *record_queue_attach(void *memory, size_t size, struct record_queue_owner *ret_owner)
{
	struct record_queue *q = memory;
	uint64_t released = UINT64_MAX, count;

	assert((uintptr_t)memory % CACHE_LINE == 0);
	if (size <= sizeof(*q) || q->magic != MAGIC || q->capacity != size - sizeof(*q) ||
	    (q->capacity & (q->capacity - 1)) != 0)
		return NULL;
	const uint64_t head = atomic_load(&q->head), tail = atomic_load(&q->tail);
	if (head % 8 != 0 || tail % 8 != 0 || atomic_load(&q->base) % 8 != 0 || head - tail > q->capacity)
		return NULL;
	for (unsigned i = 0; i < 2; i++)
		if (atomic_load(&q->marks[i].at) == tail)
			released = atomic_load(&q->marks[i].serial);
	if (tail == 0)
		released = 0;
	if (released == UINT64_MAX || !count_records(q, tail, head, &count))
		return NULL;
	atomic_store(&q->released, released);
	atomic_store(&q->pushed, released + count);
	*ret_owner = q->owner;
	return q;
}
