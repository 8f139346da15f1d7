/* Two workers' queues, the billing thread, a feeder, and someone who keeps asking; a plain program, so that it runs
 * under the thread and address sanitizers.  The database is locked and the journal's disk fails now and then.  Exit
 * status 1: not every record was stored once. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "billing/store.h"
#include "billing/writer.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

#define WORKERS  2
#define RECORDS  3000
#define CAPACITY (1U << 17)
#define LOCKS    4

#define SEGMENT_BYTES (512U << 10)

struct worker {
	pthread_t thread;
	struct record_queue *queue;
	uint64_t first;
};

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (uint64_t n = worker->first; n < worker->first + RECORDS; n++) {
		const struct cdr cdr = sample_cdr(n);
		while (!record_queue_push(worker->queue, &cdr))
			usleep(1000);
	}
	return NULL;
}

struct books {
	struct memory_disk *disk;
	struct journal *journal;
	struct sink sink;
	struct feeder *feeder;
	struct billing_writer *writer;
};

/* What a control thread does meanwhile, a stranger who holds the database, and a disk that does not confirm. */
static void disturb(const char *path, struct books *b)
{
	const struct intake *intake = billing_writer_intake(b->writer);

	for (int i = 0; i < LOCKS; i++) {
		struct feeder_status status;
		sqlite3 *db;

		sqlite3_open(path, &db);
		sqlite3_busy_timeout(db, 1000);
		sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
		memory_disk_set_faults(b->disk, (struct memory_faults){ .sync_eio = 3000, .write_eio = 3000 });
		for (int asked = 0; asked < 20; asked++) {
			feeder_status(b->feeder, &status);
			if (intake_figures(intake).records > WORKERS * RECORDS ||
			    intake_waiting(intake) > WORKERS * RECORDS)
				abort();
			for (unsigned lane = 0; lane < WORKERS; lane++)
				if (feeder_written(b->feeder, lane) > RECORDS || intake_synced(intake, lane) > RECORDS)
					abort();
			usleep(2000);
		}
		memory_disk_set_faults(b->disk, (struct memory_faults){ 0 });
		sqlite3_close(db);
		usleep(20000);
	}
}

static journal_position applied(void *context)
{
	return feeder_applied(((struct books *)context)->feeder);
}

static int no_record(void *context, const struct journal_record *record)
{
	(void)context;
	(void)record;
	return 0;
}

static int open_books(struct books *b, const char *path, struct record_queue *const *queues, char error[static 256])
{
	b->disk = memory_disk_create(1);
	const struct journal_settings journal = { .disk = memory_disk_interface(b->disk),
						  .segment_bytes = SEGMENT_BYTES,
						  .boot = 1,
						  .machine = 1,
						  .now_ns = 1,
						  .new_id = 1 };
	const struct journal_scan scan = { .record = no_record };
	int result = journal_open(&journal, &scan, &b->journal, error);

	if (result == 0)
		result = cdr_sink_create(path, &b->sink);
	if (result == 0)
		result = feeder_start(b->journal, &b->sink, true, NULL, &b->feeder, error);
	if (result < 0)
		return result;
	const struct billing_writer_settings writer = { .intake = { .journal = b->journal,
								    .queues = queues,
								    .queue_count = WORKERS,
								    .segment_bytes = SEGMENT_BYTES },
							.sync_ms = 20,
							.applied = applied,
							.context = b };
	return billing_writer_start(&writer, &b->writer);
}

/* How many records did not get through. */
static uint64_t close_books(struct books *b)
{
	uint64_t left = billing_writer_stop(b->writer, 10000);

	left += feeder_stop(b->feeder, 10000);
	cdr_sink_free(&b->sink);
	journal_check(b->journal);
	journal_close(b->journal);
	memory_disk_free(b->disk);
	return left;
}

static void count_row(void *context, const struct cdr_value *values, unsigned count)
{
	(void)values;
	(void)count;
	++*(unsigned *)context;
}

static bool all_stored(const char *path)
{
	const struct cdr_filter filter = { .limit = 100000 };
	char error[256] = "";
	unsigned rows = 0;

	/* cdr_id is the table's key: as many rows as records means each of them once. */
	if (cdr_store_list(path, &filter, count_row, &rows, error) != 0 || rows != WORKERS * RECORDS) {
		fprintf(stderr, "%u rows of %u %s\n", rows, WORKERS * RECORDS, error);
		return false;
	}
	return true;
}

int main(void)
{
	const char *path = sample_path("cdr.db");
	struct worker workers[WORKERS];
	struct record_queue *queues[WORKERS];
	struct books books = { 0 };
	char error[256] = "";

	for (unsigned i = 0; i < WORKERS; i++) {
		queues[i] = sample_queue(CAPACITY);
		workers[i] = (struct worker){ .queue = queues[i], .first = i * RECORDS };
	}
	if (open_books(&books, path, queues, error) < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (unsigned i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 1;
	disturb(path, &books);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	const uint64_t left = close_books(&books);
	for (unsigned i = 0; i < WORKERS; i++)
		free(queues[i]);
	if (left != 0) {
		fprintf(stderr, "%" PRIu64 " records left\n", left);
		return 1;
	}
	return all_stored(path) ? 0 : 1;
}
