/* Feeding one sink, without a thread and without a clock: what feeder.c does again and again.
 *
 * A batch is collected from the journal into memory of its own and then given to the sink.  One that failed is kept and
 * given again; opening the sink anew drops it and goes back to where the sink says that it is. */
#ifndef RW_BILLING_FEEDING_H
#define RW_BILLING_FEEDING_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/journal.h"
#include "billing/sink.h"

struct feeding;

/* Both are borrowed until free.  0 or -ENOMEM. */
int feeding_create(struct journal *journal, const struct sink *sink, struct feeding **ret_feeding);
/* Closes the sink. */
void feeding_free(struct feeding *f);

/* Opens the sink.  0, or a negative errno and feeding_error(). */
int feeding_open(struct feeding *f);
void feeding_close(struct feeding *f);
bool feeding_is_open(const struct feeding *f);
/* The sink says that what is given to it would be lost: close it. */
bool feeding_is_stale(struct feeding *f);

/* Collects a batch, unless one is kept, and gives it to the (open) sink.  `*ret_count` CDRs were committed, 0: there
 * was nothing.  A negative errno and feeding_error(): nothing was; the sink is closed if it wants to be opened anew. */
int feeding_step(struct feeding *f, unsigned *ret_count);

/* A step gave as much as a batch can hold: there is more. */
bool feeding_was_full(const struct feeding *f);

/* The CDRs of the batch that was committed last: in which lane and where each stood. */
struct fed_record {
	uint16_t lane;
	journal_position position;
};
struct fed_record feeding_record(const struct feeding *f, unsigned index);

/* Everything before it is in the sink; JOURNAL_START: it was never open. */
journal_position feeding_applied(const struct feeding *f);
/* Records without a CDR in them and damaged places, in what was committed. */
uint64_t feeding_unreadable(const struct feeding *f);
const char *feeding_error(const struct feeding *f);

/* CDRs that are on the disk and not in the sink. */
uint64_t feeding_left(struct feeding *f);

#endif
