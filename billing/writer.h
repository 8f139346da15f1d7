/* The billing thread: takes records out of the workers' queues and writes them to the store in batches.
 *
 * A store that fails (locked, disk full) loses nothing: records stay in their queues, the batch is tried again with a
 * growing pause (up to 1 s), and billing_writer_status() says so.  A database that was moved away or deleted under the
 * writer is made anew.  A batch is at most BILLING_BATCH_MAX records or what has
 * come within BILLING_BATCH_MS. */
#ifndef RW_BILLING_WRITER_H
#define RW_BILLING_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/queue.h"

#define BILLING_BATCH_MAX 10000
#define BILLING_BATCH_MS  100

struct billing_writer;

struct billing_status {
	uint64_t failures;   /* batches that had to be tried again */
	uint64_t unreadable; /* records skipped because they could not be decoded: damaged memory */
	bool failing;        /* the last try failed */
	char error[256];     /* its reason */
};

typedef void billing_log_fn(int level, const char *line); /* level as syslog's; line without newline */

/* Opens the store and starts the thread.  The queues (one a shard) are borrowed until stop.  0 or a negative errno and
 * a sentence in `error`. */
int billing_writer_start(const char *database_path, struct record_queue *const *queues, unsigned queue_count,
			 billing_log_fn *log, struct billing_writer **ret_writer, char error[static 256]);

/* Records of shard `shard` that are committed. */
uint64_t billing_writer_written(const struct billing_writer *w, unsigned shard);
void billing_writer_status(const struct billing_writer *w, struct billing_status *ret_status);

/* Writes all that is queued (nobody pushes any more), tries at most `wait_ms` against a failing store, ends the thread
 * and closes the store.
 * Returns the number of records that could not be written (their queues still hold them). */
uint64_t billing_writer_stop(struct billing_writer *w, unsigned wait_ms);

#endif
