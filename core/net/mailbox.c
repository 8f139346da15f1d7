/* Mailboxes between workers: see the header. */
#include "core/net/mailbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum kind { SKIPPED = 1, DATAGRAM, OUTGOING, REFUSED, NOTE };

struct record {
	uint32_t kind;
	uint32_t size; /* of what follows, without padding */
};

struct datagram_head {
	struct arrival arrival;
	struct flow from;
};

/* A message for a connection while it waits for room. */
struct outgoing {
	struct flow to;
	uint32_t size;
};

enum {
	NOTES_RESERVE = 64 * 1024,
	CROWDED_PART = 8,                /* of the ring, in use */
	LARGEST_BYTES = 16 * 1024 + 256, /* of a datagram that is taken, with its head */
};

static_assert(sizeof(struct record) == 8, "records stay aligned to 8");
static_assert(sizeof(struct datagram_head) % 8 == 0, "no hole between head and bytes");
static_assert(NOTES_RESERVE < MAILBOX_SIZE_MIN, "datagrams have room");
static_assert(MAILBOX_SIZE_MIN / CROWDED_PART + 2 * LARGEST_BYTES + NOTES_RESERVE <= MAILBOX_SIZE_MIN,
	      "and the largest one, where a wrap skips as much, as long as it is not crowded");

struct mailbox {
	/* the producer's */
	_Alignas(64) _Atomic uint64_t pushed;
	uint64_t taken_seen;  /* `taken` when last looked at */
	uint64_t flushed;     /* `pushed` at the last flush */
	struct note *waiting; /* notes without room, first in first out from waiting_first */
	uint32_t waiting_first, waiting_count, waiting_room;
	uint8_t *outgoing; /* messages without room: { struct datagram_head, bytes, padding to 8 } each; NULL: there
			      were none yet */
	uint32_t outgoing_first, outgoing_end, outgoing_count;

	/* the consumer's */
	_Alignas(64) _Atomic uint64_t taken;
	uint64_t at;          /* read so far; `taken` follows on release */
	uint64_t pushed_seen; /* `pushed` when last looked at */

	/* nobody writes */
	_Alignas(64) size_t size;
	uint8_t *ring;
};

struct mailbox *mailbox_create(size_t size)
{
	assert(size >= MAILBOX_SIZE_MIN && (size & (size - 1)) == 0);
	struct mailbox *m = aligned_alloc(64, sizeof *m);

	if (!m)
		return NULL;
	memset(m, 0, sizeof *m);
	m->size = size;
	m->ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->ring == MAP_FAILED) {
		free(m);
		return NULL;
	}
	return m;
}

void mailbox_destroy(struct mailbox *m)
{
	if (!m)
		return;
	munmap(m->ring, m->size);
	if (m->outgoing)
		munmap(m->outgoing, MAILBOX_OUTGOING_WAITING_MAX);
	free(m->waiting);
	free(m);
}

static size_t padded(size_t size)
{
	return sizeof(struct record) + ((size + 7) & ~(size_t)7);
}

/* Room for one record of `size` bytes that leaves `reserve` free; NULL: none.  Becomes visible with publish(). */
static uint8_t *claim(struct mailbox *m, enum kind kind, size_t size, size_t reserve, uint64_t *ret_pushed)
{
	uint64_t pushed = atomic_load_explicit(&m->pushed, memory_order_relaxed);
	size_t need = padded(size), at = pushed & (m->size - 1);
	size_t skip = m->size - at < need ? m->size - at : 0;

	if (pushed + skip + need + reserve - m->taken_seen > m->size) {
		m->taken_seen = atomic_load_explicit(&m->taken, memory_order_acquire);
		if (pushed + skip + need + reserve - m->taken_seen > m->size)
			return NULL;
	}
	if (skip > 0) {
		memcpy(m->ring + at, &(struct record){ SKIPPED, (uint32_t)(skip - sizeof(struct record)) },
		       sizeof(struct record));
		at = 0;
	}
	memcpy(m->ring + at, &(struct record){ kind, (uint32_t)size }, sizeof(struct record));
	*ret_pushed = pushed + skip + need;
	return m->ring + at + sizeof(struct record);
}

static void publish(struct mailbox *m, uint64_t pushed)
{
	atomic_store_explicit(&m->pushed, pushed, memory_order_release);
}

static bool push_message(struct mailbox *m, enum kind kind, const struct arrival *arrival, const struct flow *flow,
			 struct bytes datagram)
{
	struct datagram_head head = { *arrival, *flow };
	uint64_t pushed;
	uint8_t *at = claim(m, kind, sizeof head + datagram.size, NOTES_RESERVE, &pushed);

	if (!at)
		return false;
	memcpy(at, &head, sizeof head);
	if (datagram.size > 0)
		memcpy(at + sizeof head, datagram.at, datagram.size);
	publish(m, pushed);
	return true;
}

bool mailbox_push_datagram(struct mailbox *m, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram)
{
	return push_message(m, DATAGRAM, arrival, from, datagram);
}

bool mailbox_push_refused(struct mailbox *m, struct bytes message)
{
	return push_message(m, REFUSED, &(struct arrival){ 0 }, &(struct flow){ 0 }, message);
}

static bool push_outgoing(struct mailbox *m, const struct flow *to, struct bytes message)
{
	return push_message(m, OUTGOING, &(struct arrival){ 0 }, to, message);
}

/* What has gone makes room at the front: once it is worth moving the rest, not for each message. */
static bool close_up(struct mailbox *m)
{
	if (m->outgoing_first < MAILBOX_OUTGOING_WAITING_MAX / 4)
		return false;
	memmove(m->outgoing, m->outgoing + m->outgoing_first, m->outgoing_end - m->outgoing_first);
	m->outgoing_end -= m->outgoing_first;
	m->outgoing_first = 0;
	return true;
}

static bool keep_outgoing(struct mailbox *m, const struct flow *to, struct bytes message)
{
	const struct outgoing head = { *to, message.size };
	const size_t need = (sizeof head + message.size + 7) & ~(size_t)7;

	if (!m->outgoing) { /* reserved when it happens first: it hardly ever does, and there are many mailboxes */
		void *memory = mmap(NULL, MAILBOX_OUTGOING_WAITING_MAX, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		m->outgoing = memory == MAP_FAILED ? NULL : memory;
	}
	if (!m->outgoing || (m->outgoing_end + need > MAILBOX_OUTGOING_WAITING_MAX && !close_up(m)))
		return false;
	memcpy(m->outgoing + m->outgoing_end, &head, sizeof head);
	memcpy(m->outgoing + m->outgoing_end + sizeof head, message.at, message.size);
	m->outgoing_end += (uint32_t)need;
	m->outgoing_count++;
	return true;
}

bool mailbox_push_outgoing(struct mailbox *m, const struct flow *to, struct bytes message)
{
	if (m->outgoing_count == 0 && push_outgoing(m, to, message))
		return true;
	return keep_outgoing(m, to, message);
}

static void flush_outgoing(struct mailbox *m)
{
	while (m->outgoing_count > 0) {
		const uint8_t *at = m->outgoing + m->outgoing_first;
		struct outgoing head;

		memcpy(&head, at, sizeof head);
		if (!push_outgoing(m, &head.to, (struct bytes){ (const char *)at + sizeof head, head.size }))
			return;
		m->outgoing_first += (uint32_t)((sizeof head + head.size + 7) & ~(size_t)7);
		m->outgoing_count--;
	}
	m->outgoing_first = m->outgoing_end = 0;
}

bool mailbox_is_crowded(struct mailbox *m)
{
	const uint64_t pushed = atomic_load_explicit(&m->pushed, memory_order_relaxed);

	if (pushed - m->taken_seen <= m->size / CROWDED_PART)
		return false;
	m->taken_seen = atomic_load_explicit(&m->taken, memory_order_acquire);
	return pushed - m->taken_seen > m->size / CROWDED_PART;
}

static bool push_note(struct mailbox *m, const struct note *note)
{
	uint64_t pushed;
	uint8_t *at = claim(m, NOTE, sizeof *note, 0, &pushed);

	if (!at)
		return false;
	memcpy(at, note, sizeof *note);
	publish(m, pushed);
	return true;
}

/* Notes answer one another, so few wait at a time: 1300 fit in the ring's reserve before the first one comes here. */
static void keep_waiting(struct mailbox *m, const struct note *note)
{
	if (m->waiting_first + m->waiting_count == m->waiting_room) {
		if (m->waiting_first > 0) {
			memmove(m->waiting, m->waiting + m->waiting_first, m->waiting_count * sizeof *m->waiting);
			m->waiting_first = 0;
		} else {
			m->waiting_room = m->waiting_room > 0 ? m->waiting_room * 2 : 64;
			m->waiting = reallocarray(m->waiting, m->waiting_room, sizeof *m->waiting);
			if (!m->waiting)
				abort(); /* a lost note would be a limit that leaks for ever */
		}
	}
	m->waiting[m->waiting_first + m->waiting_count++] = *note;
}

void mailbox_post(struct mailbox *m, const struct note *note)
{
	if (m->waiting_count > 0 || !push_note(m, note))
		keep_waiting(m, note);
}

bool mailbox_flush(struct mailbox *m)
{
	while (m->waiting_count > 0 && push_note(m, &m->waiting[m->waiting_first])) {
		m->waiting_first++;
		m->waiting_count--;
	}
	if (m->waiting_count == 0)
		m->waiting_first = 0;
	flush_outgoing(m);
	uint64_t pushed = atomic_load_explicit(&m->pushed, memory_order_relaxed);
	if (pushed == m->flushed)
		return false;
	m->flushed = pushed;
	atomic_store(&m->pushed, pushed); /* in one order with the doorbell */
	return true;
}

uint32_t mailbox_waiting(const struct mailbox *m)
{
	return m->waiting_count + m->outgoing_count;
}

static void read_message(const uint8_t *at, uint32_t size, enum kind kind, struct mailbox_item *ret_item)
{
	struct datagram_head head;

	assert(size >= sizeof head);
	memcpy(&head, at, sizeof head);
	ret_item->is_note = false;
	ret_item->is_outgoing = kind == OUTGOING;
	ret_item->is_refused = kind == REFUSED;
	ret_item->arrival = head.arrival;
	ret_item->from = head.from;
	ret_item->datagram = (struct bytes){ (const char *)at + sizeof head, (uint32_t)(size - sizeof head) };
}

bool mailbox_next(struct mailbox *m, struct mailbox_item *ret_item)
{
	for (;;) {
		struct record record;

		if (m->at == m->pushed_seen) {
			m->pushed_seen = atomic_load_explicit(&m->pushed, memory_order_acquire);
			if (m->at == m->pushed_seen)
				return false;
		}
		const uint8_t *at = m->ring + (m->at & (m->size - 1));
		memcpy(&record, at, sizeof record);
		m->at += padded(record.size);
		assert(m->at <= m->pushed_seen);
		at += sizeof record;
		switch ((enum kind)record.kind) {
		case SKIPPED:
			continue;
		case DATAGRAM:
		case OUTGOING:
		case REFUSED:
			read_message(at, record.size, (enum kind)record.kind, ret_item);
			return true;
		case NOTE:
			assert(record.size == sizeof ret_item->note);
			ret_item->is_note = true;
			ret_item->is_outgoing = ret_item->is_refused = false;
			memcpy(&ret_item->note, at, sizeof ret_item->note);
			return true;
		}
		assert(false && "a record that nobody wrote");
	}
}

void mailbox_release(struct mailbox *m)
{
	if (atomic_load_explicit(&m->taken, memory_order_relaxed) != m->at)
		atomic_store_explicit(&m->taken, m->at, memory_order_release);
}

bool mailbox_empty(const struct mailbox *m)
{
	return atomic_load(&m->pushed) == m->at;
}
