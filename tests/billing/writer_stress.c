/* Two workers' queues, the billing thread, and someone who keeps asking; a plain program, so that it runs under the
 * thread and address sanitizers.  The database is locked now and then.  Exit status 1: not every record was stored
 * once. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "billing/list.h"
#include "billing/store.h"
#include "billing/writer.h"
#include "tests/billing/sample.h"

#define WORKERS  2
#define RECORDS  3000
#define CAPACITY (1U << 17)
#define LOCKS    4

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

/* What a control thread does meanwhile, and a stranger who holds the database. */
static void disturb(const char *path, struct billing_writer *w, struct worker *workers)
{
	for (int i = 0; i < LOCKS; i++) {
		struct billing_status status;
		sqlite3 *db;

		sqlite3_open(path, &db);
		sqlite3_busy_timeout(db, 1000);
		sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
		for (int asked = 0; asked < 20; asked++) {
			billing_writer_status(w, &status);
			for (unsigned s = 0; s < WORKERS; s++)
				if (billing_writer_written(w, s) + record_queue_depth(workers[s].queue) > 2 * RECORDS)
					abort();
			usleep(2000);
		}
		sqlite3_close(db);
		usleep(20000);
	}
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
	if (cdr_store_list(path, &filter, NULL, count_row, &rows, error) != 0 || rows != WORKERS * RECORDS) {
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
	struct billing_writer *w;
	char error[256];

	for (unsigned i = 0; i < WORKERS; i++) {
		queues[i] = sample_queue(CAPACITY);
		workers[i] = (struct worker){ .queue = queues[i], .first = i * RECORDS };
	}
	if (billing_writer_start(path, queues, WORKERS, NULL, &w, error) < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (unsigned i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 1;
	disturb(path, w, workers);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	const uint64_t left = billing_writer_stop(w, 10000);
	for (unsigned i = 0; i < WORKERS; i++)
		free(queues[i]);
	if (left != 0) {
		fprintf(stderr, "%" PRIu64 " records left\n", left);
		return 1;
	}
	return all_stored(path) ? 0 : 1;
}
