/* One worker's way to the billing thread: encoded records in a ring of bytes, one producer and one consumer, no lock.
 *
 * The memory is given by the caller and holds nothing but the header and the records, so that it may later be a
 * file-backed mapping that outlives the process.  Positions are acquire/release; each record is
 * { u32 size, bytes, padding to 8 }. */
#ifndef RW_BILLING_QUEUE_H
#define RW_BILLING_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/cdr.h"

struct cdr_queue; /* lives at the start of the memory it was given */

/* `memory` is zeroed and 64-byte aligned, `size` a power of two plus cdr_queue_header_bytes().  A record does not
 * straddle the end of the ring, so one of n bytes is sure to fit while 2 * (n + 8) bytes are free: give each queue
 * several times 2 * CDR_BYTES_MAX. */
struct cdr_queue *cdr_queue_init(void *memory, size_t size);
size_t cdr_queue_header_bytes(void);

/* Producer (the worker).  false: no room; nothing was written. */
bool cdr_queue_push(struct cdr_queue *q, const struct cdr *cdr);
/* Producer: bytes still free.  A shard stops taking new calls when this runs low. */
size_t cdr_queue_free(const struct cdr_queue *q);
/* Any thread: records pushed and not yet released, and records ever pushed. */
uint64_t cdr_queue_depth(const struct cdr_queue *q);
uint64_t cdr_queue_pushed(const struct cdr_queue *q);

/* Consumer (the billing thread).  Lends the record after the `*position`-th byte and moves *position past it; false: no
 * more.  The bytes stay until cdr_queue_release(q, position) gives them back, so a batch is released only once stored.
 */
uint64_t cdr_queue_begin(const struct cdr_queue *q);
bool cdr_queue_next(const struct cdr_queue *q, uint64_t *position, const uint8_t **ret_record, size_t *ret_size);
void cdr_queue_release(struct cdr_queue *q, uint64_t position);

#endif
