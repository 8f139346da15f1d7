/* The books of a node: the journal with what a former process has left in it, the workers' queues, the billing thread,
 * and a feeder for each place where CDRs go.  The control thread opens them before the workers start and closes them
 * when these have ended (design, rule 7; spec 9, 11).
 *
 *   data_dir/journal/    the journal (billing/journal.h)
 *   data_dir/queue.N     the queue of worker N (core/queue_files.h)
 *   data_dir/ringwheel.db  accounts, which calls are charged to (billing/ledger.h)
 *   data_dir/cdr.db      CDRs in SQLite, unless cdr_store names a PostgreSQL
 *   data_dir/cdr/        CDRs as files by the hour, with cdr_files = on
 *   data_dir/cdr.left    CDRs that an earlier version left behind: the journal takes them */
#ifndef RW_CORE_BOOKS_H
#define RW_CORE_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/intake.h"
#include "billing/journal.h"
#include "billing/queue.h"
#include "billing/recovery.h"
#include "core/config/config.h"
#include "core/stats.h"

struct books;

struct books_settings {
	const struct config *config; /* borrowed until books_open() returns */
	int data_dir_fd;             /* borrowed until books_close() */
	unsigned workers;
	uint16_t boot;      /* as data_dir counts; books_boot() is what it is then */
	uint64_t machine;   /* core/machine.h */
	size_t queue_bytes; /* of each worker's ring, a power of two */
	/* Called by the billing thread: records of a shard are on the disk.  NULL: nobody waits for that. */
	void (*synced)(void *context, unsigned shard);
	void *context;
};

/* 0, or a negative errno and a sentence in `error`. */
int books_open(const struct books_settings *settings, struct books **ret_books, char error[static 512]);

/* The number of this start: another one than in the settings where what a former process has left is of that number or
 * of later ones. */
uint16_t books_boot(const struct books *b);

/* For the workers. */
struct record_queue *const *books_queues(const struct books *b);
const struct intake *books_intake(const struct books *b);
struct journal *books_journal(const struct books *b);
/* What is to be taken up, until books_taken_up(). */
const struct recovery *books_recovery(const struct books *b);

/* The workers have taken up what was left, but for `left` calls, for which the journal keeps everything until a start
 * that can, and for `ended` ones, that have ended with a CDR and no BYE. */
void books_taken_up(struct books *b, uint64_t left, uint64_t ended);

/* CDRs of a shard that are committed to the store. */
uint64_t books_written(const struct books *b, unsigned shard);

#define BOOKS_SINKS_MAX 4
struct books_sink {
	const char *name;
	bool failing;
	uint64_t failures; /* tries so far */
	uint64_t written;  /* CDRs committed since the start */
	uint64_t lag;      /* CDRs of this process that it has not committed yet */
};
struct books_figures {
	struct intake_figures journal;
	bool taking; /* new calls, for the journal's part */
	struct histogram sync_us;
	unsigned sink_count;
	struct books_sink sinks[BOOKS_SINKS_MAX]; /* the store is the first */
};
void books_figures(const struct books *b, struct books_figures *ret_figures);

/* Takes all that is queued into the journal and from there into every sink, tries at most until `by_ns`
 * (CLOCK_MONOTONIC) where one refuses, and closes everything.  true: every CDR is everywhere; false: some are left for
 * the next start, which the log has told. */
bool books_close(struct books *b, uint64_t by_ns);

#endif
