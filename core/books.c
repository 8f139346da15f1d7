/* See books.h.  Start: the journal is read, what lies in the queues of a former process is appended to it, and what
 * an earlier version has left; then come the queues, feeders and the billing thread of this process. */
#include "core/books.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "billing/feeder.h"
#include "billing/files.h"
#include "billing/ledger.h"
#include "billing/left.h"
#include "billing/postgresql.h"
#include "billing/store.h"
#include "billing/writer.h"
#include "core/log.h"
#include "core/net/clock.h"
#include "core/queue_files.h"

#define PATH_MAX_BYTES (4096 + 32)
#define LEFT_LANE      UINT16_MAX /* of what an earlier version left: no worker's */
#define DAMAGES_TOLD   100        /* of a journal, one line each */
#define MIB            (1024u * 1024u)

struct outlet {
	struct sink sink; /* without a context: not made */
	void (*free)(struct sink *sink);
	void (*hurry)(const struct sink *sink, unsigned wait_ms); /* before a stop; NULL: it waits for nobody */
	bool must_open; /* at the start, or there is none; else it is tried again while the node runs */
	struct feeder *feeder;
};

struct books {
	unsigned workers;
	uint64_t machine;
	uint16_t boot;
	uint32_t segment_bytes;
	char journal_path[PATH_MAX_BYTES], store_path[PATH_MAX_BYTES], files_path[PATH_MAX_BYTES],
		ledger_path[PATH_MAX_BYTES], left_path[PATH_MAX_BYTES];
	struct journal_disk disk;
	bool disk_is_open;
	struct journal *journal;
	struct recovery *recovery;
	struct journal_scan recovery_scan;
	unsigned damages_told;
	struct queue_files queues;
	struct billing_writer *writer;
	unsigned outlet_count;
	struct outlet outlets[BOOKS_SINKS_MAX]; /* the store is the first */
	void (*synced)(void *context, unsigned shard);
	void *context;
	struct histogram sync_us; /* the billing thread writes it */
};

static int fail(const char *what, int result, char error[static 512])
{
	snprintf(error, 512, "%.300s: %s", what, strerror(-result));
	return result;
}

/* ---- what a former process has left ---- */

static int scan_record(void *context, const struct journal_record *record)
{
	struct books *b = context;

	return b->recovery_scan.record(b->recovery_scan.context, record);
}

/* A torn tail is what a crash leaves; a disk that cannot read it is told of all the same. */
static void tell_damage(void *context, const struct journal_damage *damage)
{
	struct books *b = context;

	if ((damage->tail && damage->unread == 0) || ++b->damages_told > DAMAGES_TOLD)
		return;
	log_printf(LOG_ERROR,
		   "event=journal_damaged segment=%" PRIu64 " offset=%" PRIu64 " bytes=%" PRIu64 " unread=%" PRIu32,
		   damage->from >> 32, damage->from & UINT32_MAX, damage->to - damage->from, damage->unread);
}

static void scan_damage(void *context, const struct journal_damage *damage)
{
	struct books *b = context;

	if (b->recovery_scan.damage)
		b->recovery_scan.damage(b->recovery_scan.context, damage);
	tell_damage(b, damage);
}

static int open_journal(struct books *b, const struct books_settings *settings, char error[static 512])
{
	struct journal_settings journal = {
		.segment_bytes = b->segment_bytes,
		.boot = settings->boot,
		.machine = settings->machine,
		.now_ns = clock_read_ns(CLOCK_MONOTONIC),
		.now_us = (int64_t)(clock_read_ns(CLOCK_REALTIME) / 1000),
	};
	const struct journal_scan scan = { .context = b, .record = scan_record, .damage = scan_damage };
	int result = recovery_create(&b->recovery);

	if (result < 0)
		return fail("the journal", result, error);
	b->recovery_scan = recovery_scan(b->recovery);
	if (getrandom(&journal.new_id, sizeof journal.new_id, 0) != (ssize_t)sizeof journal.new_id)
		return fail("random bytes", -EIO, error);
	journal.new_id |= 1; /* 0 is no journal */
	result = journal_uring_open(b->journal_path, &b->disk, error);
	if (result < 0)
		return result;
	b->disk_is_open = true;
	journal.disk = b->disk;
	char why[JOURNAL_ERROR_BYTES] = "";
	result = journal_open(&journal, &scan, &b->journal, why);
	if (result < 0)
		snprintf(error, 512, "%.200s: %s", b->journal_path, why);
	else if (settings->boot > 1 && journal_id(b->journal) == journal.new_id)
		log_line(
			LOG_WARNING,
			"event=journal_begun_anew reason=\"there was none: calls and CDRs that only it had are lost\"");
	return result;
}

static int take_queue(void *context, struct record_queue *queue, const struct record_queue_owner *owner)
{
	struct books *b = context;

	return recovery_take_queue(b->recovery, b->journal, queue, owner, b->machine);
}

static int take_queues(struct books *b, int data_dir_fd, char error[static 512])
{
	const struct queue_taker taker = { .context = b, .take = take_queue };
	unsigned refused;
	int result = queue_files_take_left(data_dir_fd, &taker, &refused);

	if (refused > 0)
		log_printf(LOG_ERROR, "event=queues_damaged count=%u kept_as=queue.N.refused", refused);
	return result < 0 ? fail("the queues of the former process", result, error) : 0;
}

/* data_dir/boot was lost, or is an old one: this start's records would be taken for those of a former one. */
static void number_start(struct books *b, uint16_t counted)
{
	b->boot = recovery_boot(b->recovery, counted);
	if (b->boot == counted)
		return;
	journal_set_boot(b->journal, b->boot);
	log_printf(LOG_WARNING,
		   "event=boot_number_used number=%u taken=%u reason=\"the journal has records of that start or of "
		   "later ones\"",
		   counted, b->boot);
}

struct left_import {
	struct journal *journal;
	uint64_t serial;
};

static int take_left(void *context, const uint8_t *record, size_t size)
{
	struct left_import *import = context;

	return journal_append(import->journal, RECORD_CDR, LEFT_LANE, import->serial++, record, size);
}

static int sync_left(void *context)
{
	struct left_import *import = context;

	return import->serial > 0 ? journal_sync(import->journal) : 0;
}

/* What cannot be read or taken is no reason not to start: it stays where it is. */
static void import_left(const struct books *b)
{
	struct left_import import = { .journal = b->journal };
	const struct cdr_left_taker taker = { .context = &import, .take = take_left, .sync = sync_left };
	struct cdr_left_report report;
	char error[256];

	if (cdr_left_import(b->left_path, &taker, &report, error) < 0)
		log_printf(LOG_ERROR, "event=cdrs_left_not_imported file=\"%s\" reason=\"%s\"", b->left_path, error);
	else if (report.damaged > 0)
		log_printf(LOG_ERROR, "event=cdrs_left_damaged imported=%" PRIu64 " damaged=%" PRIu64 " file=\"%s\"",
			   report.imported, report.damaged, report.kept);
	else if (report.imported > 0)
		log_printf(LOG_NOTICE, "event=cdrs_left_imported count=%" PRIu64, report.imported);
}

static void tell_recovered(const struct recovery_report *report)
{
	if (report->damaged > 0)
		log_printf(LOG_ERROR, "event=journal_damages places=%" PRIu64 " bytes=%" PRIu64, report->damaged,
			   report->damaged_bytes);
	if (report->torn_bytes > 0)
		log_printf(LOG_NOTICE, "event=journal_tail_torn bytes=%" PRIu64, report->torn_bytes);
	if (report->queues_refused > 0)
		log_printf(LOG_WARNING,
			   "event=queues_not_believed count=%" PRIu64 " reason=\"the machine was restarted\"",
			   report->queues_refused);
	if (report->unreadable > 0)
		log_printf(LOG_ERROR, "event=records_unreadable count=%" PRIu64, report->unreadable);
	if (report->records > 0)
		log_printf(LOG_NOTICE,
			   "event=recovered calls=%" PRIu64 " closing=%" PRIu64 " cdrs=%" PRIu64
			   " from_queues=%" PRIu64,
			   report->calls, report->closing, report->cdrs, report->from_queues);
}

static int recover(struct books *b, const struct books_settings *settings, char error[static 512])
{
	struct recovery_report report;
	int result = open_journal(b, settings, error);

	if (result == 0)
		result = take_queues(b, settings->data_dir_fd, error);
	if (result < 0)
		return result;
	number_start(b, settings->boot);
	import_left(b);
	result = recovery_finish(b->recovery, (int64_t)(clock_read_ns(CLOCK_REALTIME) / 1000), &report);
	if (result < 0)
		return fail("the calls in the journal", result, error);
	tell_recovered(&report);
	return 0;
}

/* ---- where CDRs go ---- */

static struct outlet *add_outlet(struct books *b, bool must_open, void (*free_sink)(struct sink *sink))
{
	struct outlet *outlet = &b->outlets[b->outlet_count++];

	assert(b->outlet_count <= BOOKS_SINKS_MAX);
	outlet->must_open = must_open;
	outlet->free = free_sink;
	return outlet;
}

/* A server that is away is no reason not to take calls: the journal keeps their CDRs. */
static int make_server_outlet(struct books *b, const struct config *config, char error[static 512])
{
	struct outlet *outlet = add_outlet(b, false, postgresql_sink_free);
	char reason[SINK_ERROR_BYTES];

	outlet->hurry = postgresql_sink_hurry;
	const int result = postgresql_sink_create(config->cdr_store, config->node, &outlet->sink, reason);
	if (result < 0)
		snprintf(error, 512, "cdr_store: %s", reason);
	return result;
}

static int make_outlets(struct books *b, const struct config *config, char error[static 512])
{
	int result;

	if (config->cdr_store[0] == '\0')
		result = cdr_sink_create(b->store_path, &add_outlet(b, true, cdr_sink_free)->sink);
	else if ((result = make_server_outlet(b, config, error)) < 0)
		return result;
	if (result == 0)
		result = ledger_sink_create(b->ledger_path, &add_outlet(b, true, ledger_sink_free)->sink);
	if (result == 0 && config->cdr_files)
		result = files_sink_create(b->files_path, &add_outlet(b, true, files_sink_free)->sink);
	return result < 0 ? fail("stores", result, error) : 0;
}

/* Where it was deleted nobody is charged any more, and calls go on. */
static void look_for_ledger(const struct books *b, uint16_t boot)
{
	if (boot > 1 && access(b->ledger_path, F_OK) < 0)
		log_line(LOG_WARNING, "event=ledger_begun_anew file=" LEDGER_FILE
				      " reason=\"there was none: no accounts, no balances, no rates\"");
}

/* Balances are known before the first call is taken or taken up: what a former process has not charged is charged now.
 */
static int catch_up(struct books *b, char error[static 512])
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < b->outlet_count; i++)
		if (b->outlets[i].free == ledger_sink_free)
			result = feeder_catch_up(b->journal, &b->outlets[i].sink, log_line, error);
	return result;
}

static int start_feeders(struct books *b, char error[static 512])
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < b->outlet_count; i++) {
		struct outlet *outlet = &b->outlets[i];
		result = feeder_start(b->journal, &outlet->sink, outlet->must_open, log_line, &outlet->feeder, error);
	}
	return result;
}

/* The least that any of them has: what stands before it nobody needs any more. */
static journal_position applied_everywhere(void *context)
{
	const struct books *b = context;
	journal_position least = feeder_applied(b->outlets[0].feeder);

	for (unsigned i = 1; i < b->outlet_count; i++) {
		const journal_position applied = feeder_applied(b->outlets[i].feeder);
		if (applied < least)
			least = applied;
	}
	return least;
}

/* ---- the billing thread ---- */

static void took(void *context, uint64_t sync_us)
{
	histogram_add(&((struct books *)context)->sync_us, sync_us);
}

static void synced(void *context, unsigned shard)
{
	struct books *b = context;

	b->synced(b->context, shard);
}

static int start_writer(struct books *b, uint32_t sync_ms, char error[static 512])
{
	const struct billing_writer_settings settings = {
		.intake = { .journal = b->journal,
			    .queues = b->queues.queues,
			    .queue_count = b->workers,
			    .segment_bytes = b->segment_bytes },
		.sync_ms = sync_ms,
		.log = log_line,
		.applied = applied_everywhere,
		.synced = b->synced ? synced : NULL,
		.took = took,
		.context = b,
	};
	const int result = billing_writer_start(&settings, &b->writer);

	return result < 0 ? fail("the billing thread", result, error) : 0;
}

/* ---- opening and closing ---- */

static void name_paths(struct books *b, const char *data_dir)
{
	snprintf(b->journal_path, sizeof b->journal_path, "%s/journal", data_dir);
	snprintf(b->store_path, sizeof b->store_path, "%s/cdr.db", data_dir);
	snprintf(b->ledger_path, sizeof b->ledger_path, "%s/" LEDGER_FILE, data_dir);
	snprintf(b->files_path, sizeof b->files_path, "%s/cdr", data_dir);
	snprintf(b->left_path, sizeof b->left_path, "%s/cdr.left", data_dir);
}

static int open_all(struct books *b, const struct books_settings *settings, char error[static 512])
{
	int result = recover(b, settings, error);

	if (result == 0) {
		const struct record_queue_owner owner = { .machine = settings->machine, .boot = b->boot };
		result = queue_files_make(settings->data_dir_fd, settings->workers, settings->queue_bytes, owner,
					  &b->queues);
		if (result < 0)
			return fail("the workers' queues in data_dir", result, error);
	}
	look_for_ledger(b, settings->boot);
	if (result == 0)
		result = make_outlets(b, settings->config, error);
	if (result == 0)
		result = catch_up(b, error);
	if (result == 0)
		result = start_feeders(b, error);
	if (result == 0)
		result = start_writer(b, settings->config->journal_sync_ms, error);
	return result;
}

int books_open(const struct books_settings *settings, struct books **ret_books, char error[static 512])
{
	struct books *b = calloc(1, sizeof *b);

	if (!b)
		return fail("books", -ENOMEM, error);
	b->workers = settings->workers;
	b->machine = settings->machine;
	b->segment_bytes = settings->config->journal_segment_mb * MIB;
	b->synced = settings->synced;
	b->context = settings->context;
	name_paths(b, settings->config->data_dir);
	const int result = open_all(b, settings, error);
	if (result < 0) {
		books_close(b, 0);
		return result;
	}
	*ret_books = b;
	return 0;
}

void books_taken_up(struct books *b, uint64_t left, uint64_t ended)
{
	if (ended > 0)
		log_printf(LOG_ERROR,
			   "event=calls_lost count=%" PRIu64 " cdrs=node_crash reason=\"no room, or records that make "
			   "no sense: nobody hears a BYE\"",
			   ended);
	if (left > 0) {
		billing_writer_hold(b->writer);
		log_printf(LOG_ERROR,
			   "event=calls_not_taken_up count=%" PRIu64 " journal=kept reason=\"records of another "
			   "version, or that cannot be read: a start that can take them up will\"",
			   left);
	}
	recovery_free(b->recovery);
	b->recovery = NULL;
	journal_tell_unlent(b->journal, b, tell_damage);
	journal_forget_scanned(b->journal);
}

static bool close_outlets(struct books *b, uint64_t by_ns)
{
	bool all = true;

	for (unsigned i = 0; i < b->outlet_count; i++) {
		struct outlet *outlet = &b->outlets[i];
		const uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC);
		const unsigned wait_ms = by_ns > now_ns ? (unsigned)((by_ns - now_ns) / 1000000) : 0;

		if (outlet->feeder && outlet->hurry)
			outlet->hurry(&outlet->sink, wait_ms);
		if (outlet->feeder)
			all &= feeder_stop(outlet->feeder, wait_ms) == 0;
		if (outlet->sink.context)
			outlet->free(&outlet->sink);
	}
	return all;
}

bool books_close(struct books *b, uint64_t by_ns)
{
	const uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC);
	bool all = true;

	if (b->writer)
		all = billing_writer_stop(b->writer, by_ns > now_ns ? (unsigned)((by_ns - now_ns) / 1000000) : 0) == 0;
	all &= close_outlets(b, by_ns);
	if (b->queues.queues)
		queue_files_close(&b->queues);
	if (b->recovery)
		recovery_free(b->recovery);
	if (b->journal)
		journal_close(b->journal);
	if (b->disk_is_open)
		journal_uring_close(&b->disk);
	free(b);
	return all;
}

/* ---- for the others ---- */

uint16_t books_boot(const struct books *b)
{
	return b->boot;
}

struct record_queue *const *books_queues(const struct books *b)
{
	return b->queues.queues;
}

const struct intake *books_intake(const struct books *b)
{
	return billing_writer_intake(b->writer);
}

struct journal *books_journal(const struct books *b)
{
	return b->journal;
}

const struct recovery *books_recovery(const struct books *b)
{
	return b->recovery;
}

uint64_t books_written(const struct books *b, unsigned shard)
{
	return feeder_written(b->outlets[0].feeder, shard);
}

/* What a sink has is read first: then it is never ahead of the journal. */
static struct books_sink sink_figures(const struct books *b, const struct outlet *outlet)
{
	struct feeder_status status;
	uint64_t written = 0, synced_cdrs = 0;

	feeder_status(outlet->feeder, &status);
	for (unsigned i = 0; i < b->workers; i++)
		written += feeder_written(outlet->feeder, i);
	for (unsigned i = 0; i < b->workers; i++)
		synced_cdrs += intake_synced_cdrs(books_intake(b), i);
	return (struct books_sink){ .name = outlet->sink.name,
				    .failing = status.failing,
				    .failures = status.failures,
				    .written = status.written,
				    .lag = synced_cdrs > written ? synced_cdrs - written : 0 };
}

void books_figures(const struct books *b, struct books_figures *ret_figures)
{
	ret_figures->journal = intake_figures(books_intake(b));
	ret_figures->taking = intake_is_taking(books_intake(b));
	ret_figures->sync_us = (struct histogram){ 0 };
	histogram_merge(&ret_figures->sync_us, &b->sync_us);
	ret_figures->sink_count = b->outlet_count;
	for (unsigned i = 0; i < b->outlet_count; i++)
		ret_figures->sinks[i] = sink_figures(b, &b->outlets[i]);
}
