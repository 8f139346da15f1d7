/* Mailboxes between workers: see the header. */
#include "core/net/mailbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum kind { SKIPPED = 1, DATAGRAM, NOTE };

struct record {
	uint32_t kind;
	uint32_t size; /* of what follows, without padding */
};

struct datagram_head {
	struct arrival arrival;
	struct flow from;
};

enum { NOTES_RESERVE = 64 * 1024 };

static_assert(sizeof(struct record) == 8, "records stay aligned to 8");
static_assert(sizeof(struct datagram_head) % 8 == 0, "no hole between head and bytes");
static_assert(NOTES_RESERVE < MAILBOX_SIZE_MIN, "datagrams have room");

struct mailbox {
	/* the producer's */
	_Alignas(64) _Atomic uint64_t pushed;
	uint64_t taken_seen;  /* `taken` when last looked at */
	uint64_t flushed;     /* `pushed` at the last flush */
	struct note *waiting; /* notes without room, first in first out from waiting_first */
	uint32_t waiting_first, waiting_count, waiting_room;

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

bool mailbox_push_datagram(struct mailbox *m, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram)
{
	struct datagram_head head = { *arrival, *from };
	uint64_t pushed;
	uint8_t *at = claim(m, DATAGRAM, sizeof head + datagram.size, NOTES_RESERVE, &pushed);

	if (!at)
		return false;
	memcpy(at, &head, sizeof head);
	if (datagram.size > 0)
		memcpy(at + sizeof head, datagram.at, datagram.size);
	publish(m, pushed);
	return true;
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
	uint64_t pushed = atomic_load_explicit(&m->pushed, memory_order_relaxed);
	if (pushed == m->flushed)
		return false;
	m->flushed = pushed;
	atomic_store(&m->pushed, pushed); /* in one order with the doorbell */
	return true;
}

uint32_t mailbox_waiting(const struct mailbox *m)
{
	return m->waiting_count;
}

static void read_datagram(const uint8_t *at, uint32_t size, struct mailbox_item *ret_item)
{
	struct datagram_head head;

	assert(size >= sizeof head);
	memcpy(&head, at, sizeof head);
	ret_item->is_note = false;
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
			read_datagram(at, record.size, ret_item);
			return true;
		case NOTE:
			assert(record.size == sizeof ret_item->note);
			ret_item->is_note = true;
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
