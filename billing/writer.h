/* The billing thread: takes the workers' records into the journal, in time (billing/intake.h says how).
 *
 * It looks into the queues every sync_ms / 2, so that a record is on the disk about sync_ms after it was pushed; a push
 * costs a worker no system call, and a turn that finds nothing costs this thread one look at each queue.
 *
 * A journal whose disk did not confirm a sync has failed until the next start: no new calls, the log says so once, and
 * what calls still have to say is written on, into segments of their own.  A disk that is full is not a failure: new
 * calls are taken again when there is room. */
#ifndef RW_BILLING_WRITER_H
#define RW_BILLING_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/feeder.h"
#include "billing/intake.h"

struct billing_writer;

struct billing_writer_settings {
	struct intake_settings intake;
	uint32_t sync_ms;
	billing_log_fn *log; /* NULL: nobody listens */

	/* Called by the thread with `context`; each may be NULL.  What all sinks have applied (NULL: the journal is
	 * never cut); records of a lane are on the disk; a sync has taken so long. */
	journal_position (*applied)(void *context);
	void (*synced)(void *context, unsigned lane);
	void (*took)(void *context, uint64_t sync_us);
	void *context;
};

/* Starts the thread.  0 or a negative errno. */
int billing_writer_start(const struct billing_writer_settings *settings, struct billing_writer **ret_writer);

/* For what it publishes. */
const struct intake *billing_writer_intake(const struct billing_writer *w);
/* intake_hold(). */
void billing_writer_hold(struct billing_writer *w);

/* Takes all that is queued (nobody pushes any more) onto the disk, tries at most `wait_ms` against a disk that refuses,
 * and ends the thread.  Returns how many records are still in their queues. */
uint64_t billing_writer_stop(struct billing_writer *w, unsigned wait_ms);

#endif
