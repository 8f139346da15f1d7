/* A feeder: one thread that follows the journal and gives its CDRs to one sink, in batches.
 *
 * A sink that fails loses nothing: the journal keeps what it has not committed, the batch is tried again with a growing
 * pause (up to 1 s), and feeder_status() says so.  Nobody wakes a feeder: it looks every FEEDER_BATCH_MS, and an idle
 * one touches no disk.  */
#ifndef RW_BILLING_FEEDER_H
#define RW_BILLING_FEEDER_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/journal.h"
#include "billing/sink.h"

#define FEEDER_BATCH_MAX   10000      /* CDRs of one commit */
#define FEEDER_BATCH_BYTES (8u << 20) /* likewise, as they stand in the journal */
#define FEEDER_BATCH_MS    100        /* or what has come within */
#define FEEDER_LANES       256        /* that feeder_written() tells apart */

struct feeder;

struct feeder_status {
	uint64_t written;    /* CDRs committed by this process */
	uint64_t failures;   /* batches that had to be tried again */
	uint64_t unreadable; /* records skipped */
	journal_position applied;
	bool failing; /* the last try failed */
	char error[SINK_ERROR_BYTES];
};

typedef void billing_log_fn(int level, const char *line); /* level as syslog's; line without newline */

/* Opens the sink and starts the thread; both are borrowed until stop.  A sink that cannot be opened is tried again by
 * the thread unless `must_open`: then a negative errno and a sentence.  log: NULL: nobody listens. */
int feeder_start(struct journal *journal, const struct sink *sink, bool must_open, billing_log_fn *log,
		 struct feeder **ret_feeder, char error[static SINK_ERROR_BYTES]);

void feeder_status(const struct feeder *f, struct feeder_status *ret_status);
/* CDRs committed, by lane (shard), of those that stand behind what the journal held when the feeder was started, each
 * counted once: statistic cdr_written. */
uint64_t feeder_written(const struct feeder *f, unsigned lane);
/* Everything before it is in the sink; JOURNAL_START while the sink was never open. */
journal_position feeder_applied(const struct feeder *f);

/* Works until everything synced is committed, for at most wait_ms while the sink fails; ends the thread, closes the
 * sink.  Returns how many CDRs are left in the journal for the next start. */
uint64_t feeder_stop(struct feeder *f, unsigned wait_ms);

/* Gives a sink all that the journal holds, in the calling thread, and closes it again: before the first call, where
 * what it has must be known (the ledger).  Records that cannot be read are skipped and told, as the thread does: it
 * will not see them again.  0 or a negative errno with a sentence. */
int feeder_catch_up(struct journal *journal, const struct sink *sink, billing_log_fn *log,
		    char error[static SINK_ERROR_BYTES]);

#endif
