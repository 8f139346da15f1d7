/* What one worker passes to another: a ring of bytes with one producer and one consumer, no lock, no read-modify-write
 * (design, rules 1 and 4).  Positions are bytes ever written and read; a record is { u32 kind, u32 size, bytes, padding
 * to 8 } and never wraps: the rest of the ring before a wrap is a record of its own that is skipped.
 *
 * A datagram that finds no room is refused (SIP retransmits); a note is kept by the producer until there is room, and
 * so is a message for a connection, within a bound, since nobody would send it again.  A part of the ring is kept for
 * notes, so that a flood of datagrams does not delay them.
 *
 * The doorbell: the consumer says that it is about to sleep, then looks once more into its mailboxes; the producer
 * publishes, then looks whether the consumer sleeps.  Both orders are sequentially consistent, so one of the two sees
 * the other, and a consumer that is awake is never rung. */
#ifndef RW_CORE_NET_MAILBOX_H
#define RW_CORE_NET_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/edge.h"
#include "core/flow.h"
#include "sip/bytes.h"

#define MAILBOX_SIZE_MIN (128 * 1024)

struct mailbox;

/* `size` is a power of two, MAILBOX_SIZE_MIN at least; touched on use.  NULL: no memory. */
struct mailbox *mailbox_create(size_t size);
void mailbox_destroy(struct mailbox *m);

/* Producer.  false: no room, nothing was written. */
bool mailbox_push_datagram(struct mailbox *m, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram);
/* Producer.  A message for a connection of the consumer.  What the ring cannot take waits for mailbox_flush(), in
 * order; false: so much waits that it is lost. */
#define MAILBOX_OUTGOING_WAITING_MAX (4u << 20) /* bytes; may be a quarter less */
bool mailbox_push_outgoing(struct mailbox *m, const struct flow *to, struct bytes message);
/* Producer.  A message that the consumer had pushed as outgoing goes back: no connection took it.  false: no room, and
 * its sender finds out by its timers. */
bool mailbox_push_refused(struct mailbox *m, struct bytes message);
/* Producer: so much is in the ring that messages which can wait where they are should.  As long as it is not, a
 * datagram of any size that there is finds room. */
bool mailbox_is_crowded(struct mailbox *m);
/* Producer.  Never fails and never loses: what the ring cannot take waits for mailbox_flush(). */
void mailbox_post(struct mailbox *m, const struct note *note);
/* Producer, once a turn: moves waiting notes into the ring.  true: something was pushed since the last flush, so the
 * consumer may have to be rung. */
bool mailbox_flush(struct mailbox *m);
/* Producer: notes, and messages for connections, that still wait for room. */
uint32_t mailbox_waiting(const struct mailbox *m);

struct mailbox_item {
	bool is_note;
	bool is_outgoing; /* a message for the peer of the flow below */
	bool is_refused;  /* a message of the consumer's own that no connection took */
	struct note note;
	struct arrival arrival; /* of a datagram, and the two below */
	struct flow from;
	struct bytes datagram;
};

/* Consumer.  Lends the next item until the next call of mailbox_next() or mailbox_release(); false: none. */
bool mailbox_next(struct mailbox *m, struct mailbox_item *ret_item);
/* Consumer: gives the room of all items taken back to the producer. */
void mailbox_release(struct mailbox *m);
/* Consumer: for the last look before sleep. */
bool mailbox_empty(const struct mailbox *m);

/* On a cache line of its own: written by the sleeper, read by all who might ring. */
struct doorbell {
	_Alignas(64) _Atomic uint32_t asleep;
};

static inline void doorbell_sleep(struct doorbell *d)
{
	atomic_store(&d->asleep, 1);
}

static inline void doorbell_awake(struct doorbell *d)
{
	atomic_store_explicit(&d->asleep, 0, memory_order_relaxed);
}

/* After mailbox_flush() was true: whether the owner must be rung.  The next producer then need not (two at once may).
 */
static inline bool doorbell_needed(struct doorbell *d)
{
	if (atomic_load(&d->asleep) == 0)
		return false;
	atomic_store_explicit(&d->asleep, 0, memory_order_relaxed);
	return true;
}

#endif
