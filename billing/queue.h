/* One worker's way to the billing thread: records in a ring of bytes, one producer and one consumer, no lock.
 *
 * The memory is given by the caller and holds nothing but the header and the records, so it may be a file-backed
 * mapping: a record is in the page cache in the moment it is pushed, and outlives the process (design, rule 7).
 * Positions are acquire/release; each record is { u32 size, u32 kind, bytes, padding to 8 }.
 *
 * Whenever the consumer has taken everything the producer goes back to the start of the ring, so that a quiet queue
 * touches little of its memory.  */
#ifndef RW_BILLING_QUEUE_H
#define RW_BILLING_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/record.h"

struct record_queue; /* lives at the start of the memory it was given */

/* Whose queue it is: told again by record_queue_attach(). */
struct record_queue_owner {
	/* The start of the machine: after another one a mapping's content means nothing.  0: any, it was settled. */
	uint64_t machine;
	uint16_t boot; /* start of the node */
	uint16_t lane; /* shard */
};

/* `memory` is zeroed and 64-byte aligned, `size` a power of two plus record_queue_header_bytes().  A record does not
 * straddle the end of the ring, so one of n bytes is sure to fit while 2 * (n + 16) bytes are free: give each queue
 * several times 2 * RECORD_BYTES_MAX. */
struct record_queue *record_queue_init(void *memory, size_t size, struct record_queue_owner owner);
size_t record_queue_header_bytes(void);

/* The queue that a former process left in `memory` (64-byte aligned, `size` as it was given to init), for reading what
 * it still holds.  NULL: no queue, or a damaged one: every byte is checked before it is believed. */
struct record_queue *record_queue_attach(void *memory, size_t size, struct record_queue_owner *ret_owner);

/* What it holds is good for any start of the machine, for all of it is on the disk; the rest of its life nobody pushes.
 */
void record_queue_settle(struct record_queue *q);

/* Producer (the worker): lends room for a payload of at most `size` bytes, 8-byte aligned; NULL: no room.  Nothing
 * happens until it is published with its size and kind; one that is not is simply lent again. */
uint8_t *record_queue_lend(struct record_queue *q, size_t size);
void record_queue_publish(struct record_queue *q, enum record_kind kind, size_t size);
/* Lends, encodes, publishes.  false: no room; nothing was written. */
bool record_queue_push(struct record_queue *q, const struct cdr *cdr);
/* Producer: bytes still free.  A shard stops taking new calls when this runs low. */
size_t record_queue_free(const struct record_queue *q);
/* Any thread: records pushed and not yet released, and records ever pushed. */
uint64_t record_queue_depth(const struct record_queue *q);
uint64_t record_queue_pushed(const struct record_queue *q);

/* A record as the consumer sees it. */
struct queued_record {
	enum record_kind kind;
	uint64_t serial; /* counts the records of this queue from 0 */
	const uint8_t *at;
	size_t size;
};
struct queue_position {
	uint64_t at;     /* bytes */
	uint64_t serial; /* of the next record */
};

/* Consumer (the billing thread).  Lends the record at *position and moves *position past it; false: no more.  The bytes
 * stay until record_queue_release(q, position) gives them back, so a batch is released only once stored. */
struct queue_position record_queue_begin(const struct record_queue *q);
bool record_queue_next(const struct record_queue *q, struct queue_position *position, struct queued_record *ret_record);
void record_queue_release(struct record_queue *q, struct queue_position position);

#endif
