/* The billing thread: everything pushed is stored once, whatever the database does in between. */
#include "billing/writer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include "tests/billing/faulty_disk.h"
#include "tests/billing/sample.h"

#define CAPACITY (1U << 20)
#define PATH     sample_path("cdr.db")

static struct record_queue *queues_made[4];

static struct record_queue *new_queue(size_t capacity)
{
	for (size_t i = 0;; i++) {
		cr_assert_lt(i, sizeof(queues_made) / sizeof(queues_made[0]));
		if (queues_made[i] == NULL)
			return queues_made[i] = sample_queue(capacity);
	}
}

static void free_queues(void)
{
	for (size_t i = 0; i < sizeof(queues_made) / sizeof(queues_made[0]); i++)
		free(queues_made[i]);
}

TestSuite(writer, .fini = free_queues);

static _Atomic unsigned errors_logged, notices_logged, criticals_logged;

static void count_line(int level, const char *line)
{
	cr_assert_eq(strncmp(line, "event=cdr_", 10), 0);
	if (level == LOG_ERR)
		errors_logged++;
	if (level == LOG_NOTICE)
		notices_logged++;
	if (level == LOG_CRIT)
		criticals_logged++;
}

static struct billing_writer *start(struct record_queue *const *queues, unsigned count)
{
	struct billing_writer *w;
	char error[256] = "";

	cr_assert_eq(billing_writer_start(PATH, queues, count, count_line, &w, error), 0, "%s", error);
	return w;
}

static void push(struct record_queue *q, uint64_t first, uint64_t count)
{
	for (uint64_t n = first; n < first + count; n++) {
		const struct cdr cdr = sample_cdr(n);
		cr_assert(record_queue_push(q, &cdr));
	}
}

static struct billing_status status_of(const struct billing_writer *w)
{
	struct billing_status status;

	billing_writer_status(w, &status);
	return status;
}

/* Waits, ten seconds at most, for what another thread does. */
#define WAIT_FOR(condition)                                                                                            \
	do {                                                                                                           \
		int tries = 0;                                                                                         \
		for (; tries < 2000 && !(condition); tries++)                                                          \
			usleep(5000);                                                                                  \
		cr_assert_lt(tries, 2000, "never came: " #condition);                                                  \
	} while (0)

static int64_t query(const char *path, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *statement;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000); /* the writer may be reopening it */
	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	const int64_t value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

/* The records 0 .. count - 1, each once. */
static void expect_stored(int64_t count)
{
	cr_assert_eq(query(PATH, "SELECT count(*) FROM cdr"), count);
	cr_assert_eq(query(PATH, "SELECT count(DISTINCT start_us) FROM cdr"), count);
	cr_assert_eq(query(PATH, "SELECT max(start_us) - min(start_us) + 1 FROM cdr"), count);
}

static sqlite3 *lock_database(void)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(PATH, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

Test(writer, writes_the_records_of_every_queue_and_counts_them_by_shard)
{
	struct record_queue *queues[] = { new_queue(CAPACITY), new_queue(CAPACITY), new_queue(CAPACITY) };
	struct billing_writer *w = start(queues, 3);

	push(queues[0], 0, 100);
	push(queues[2], 100, 50);
	WAIT_FOR(billing_writer_written(w, 0) == 100 && billing_writer_written(w, 2) == 50);
	cr_assert_eq(billing_writer_written(w, 1), 0);
	push(queues[1], 150, 7);
	WAIT_FOR(billing_writer_written(w, 1) == 7 && record_queue_free(queues[1]) == CAPACITY);
	expect_stored(157);
	const struct billing_status status = status_of(w);
	cr_assert_not(status.failing);
	cr_assert_eq(status.failures, 0);
	cr_assert_eq(status.unreadable, 0);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	cr_assert_eq(errors_logged + notices_logged + criticals_logged, 0);
}

Test(writer, stop_writes_all_that_is_queued_in_as_many_batches_as_it_takes)
{
	struct record_queue *queues[] = { new_queue(16U << 20), new_queue(16U << 20) };

	push(queues[0], 0, BILLING_BATCH_MAX + 1);
	push(queues[1], BILLING_BATCH_MAX + 1, BILLING_BATCH_MAX + 1);
	struct billing_writer *w = start(queues, 2);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(2 * (BILLING_BATCH_MAX + 1));
	cr_assert_eq(record_queue_depth(queues[0]) + record_queue_depth(queues[1]), 0);
}

/* Spec 11, database locked. */
Test(writer, spec_11_a_locked_database_only_delays)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);
	sqlite3 *other = lock_database();

	push(q, 0, 20);
	WAIT_FOR(status_of(w).failures >= 2);
	cr_assert(status_of(w).failing);
	cr_assert_not_null(strstr(status_of(w).error, "locked"));
	cr_assert_eq(billing_writer_written(w, 0), 0);
	cr_assert_eq(record_queue_depth(q), 20);
	push(q, 20, 20);
	sqlite3_close(other);
	WAIT_FOR(billing_writer_written(w, 0) == 40);
	cr_assert_not(status_of(w).failing);
	cr_assert_str_empty(status_of(w).error);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(40);
	cr_assert_eq(errors_logged, 1, "once, not at every try");
	cr_assert_eq(notices_logged, 1);
}

/* A disk near its limit fails every other batch: two lines a minute say so, not two a second. */
Test(writer, a_store_that_comes_and_goes_is_told_once_a_minute)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);

	for (uint64_t round = 1; round <= 4; round++) {
		sqlite3 *other = lock_database();
		const uint64_t failures = status_of(w).failures;

		push(q, 10 * (round - 1), 10);
		WAIT_FOR(status_of(w).failures > failures);
		sqlite3_close(other);
		WAIT_FOR(billing_writer_written(w, 0) == 10 * round);
	}
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	cr_assert_eq(errors_logged, 1);
	cr_assert_eq(notices_logged, 1);
}

Test(writer, stop_tells_what_could_not_be_written_and_the_next_writer_writes_it)
{
	struct record_queue *queues[] = { new_queue(CAPACITY), new_queue(CAPACITY) };
	struct billing_writer *w = start(queues, 2);

	push(queues[0], 0, 5);
	WAIT_FOR(billing_writer_written(w, 0) == 5);
	sqlite3 *other = lock_database();
	push(queues[0], 5, 5);
	push(queues[1], 10, 3);
	cr_assert_eq(billing_writer_stop(w, 200), 8);
	cr_assert_eq(criticals_logged, 1);
	cr_assert_eq(record_queue_depth(queues[0]), 5);
	cr_assert_eq(record_queue_depth(queues[1]), 3);
	sqlite3_close(other);

	w = start(queues, 2);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(13);
}

/* Spec 11, full disk. */
Test(writer, spec_11_a_full_disk_loses_nothing_and_the_status_says_so)
{
	struct record_queue *q = new_queue(CAPACITY);
	uint64_t n = 0;

	faulty_disk_install();
	struct billing_writer *w = start(&q, 1);
	for (uint64_t round = 1; round <= 8; round++) {
		faulty_disk_fail(round * round,
				 SQLITE_FULL); /* at the start, in the middle and at the end of a batch */
		while (!status_of(w).failing) {
			push(q, n, 100);
			n += 100;
			WAIT_FOR(status_of(w).failing || record_queue_depth(q) == 0);
		}
		cr_assert_not_null(strstr(status_of(w).error, "full"));
		cr_assert_gt(record_queue_depth(q), 0);
		faulty_disk_heal();
		WAIT_FOR(record_queue_depth(q) == 0 && !status_of(w).failing);
	}
	cr_assert_eq(billing_writer_written(w, 0), n);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored((int64_t)n);
}

/* A limit of the file size is met with a signal that would end the process, were it not blocked in the thread; and
 * after such an error the connection is made anew. */
Test(writer, a_file_that_may_not_grow_loses_nothing_and_kills_nobody)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);
	struct rlimit before, limited;

	push(q, 0, 10);
	WAIT_FOR(billing_writer_written(w, 0) == 10);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limited = before;
	limited.rlim_cur = 64 * 1024;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limited), 0);
	push(q, 10, 500);
	WAIT_FOR(status_of(w).failures >= 3);
	cr_assert_eq(record_queue_depth(q), 500);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	WAIT_FOR(billing_writer_written(w, 0) == 510);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(510);
}

Test(writer, a_machine_without_memory_loses_nothing)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);

	push(q, 0, 10);
	WAIT_FOR(billing_writer_written(w, 0) == 10);
	sqlite3_hard_heap_limit64(sqlite3_memory_used() + 16 * 1024);
	push(q, 10, 500);
	WAIT_FOR(status_of(w).failures >= 3);
	cr_assert_not_null(strstr(status_of(w).error, "memory"));
	cr_assert_eq(record_queue_depth(q), 500);
	sqlite3_hard_heap_limit64(0);
	WAIT_FOR(billing_writer_written(w, 0) == 510);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(510);
}

Test(writer, a_database_moved_away_is_made_anew_and_no_record_is_missing)
{
	const char *moved = sample_path("old.db");
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);

	push(q, 0, 10);
	WAIT_FOR(billing_writer_written(w, 0) == 10);
	cr_assert_eq(rename(PATH, moved), 0);
	push(q, 10, 20);
	WAIT_FOR(billing_writer_written(w, 0) == 30);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	cr_assert_eq(query(moved, "SELECT count(*) FROM cdr"), 10);
	cr_assert_eq(query(PATH, "SELECT count(*) FROM cdr"), 20);
}

/* Seen by another connection while the writer still runs: not only a proper end saves the rows. */
Test(writer, a_log_deleted_while_it_is_in_use_costs_no_record)
{
	const char *log = sample_path("cdr.db-wal"), *index = sample_path("cdr.db-shm");
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);

	push(q, 0, 10);
	WAIT_FOR(billing_writer_written(w, 0) == 10);
	cr_assert_eq(unlink(log), 0);
	push(q, 10, 20);
	WAIT_FOR(billing_writer_written(w, 0) == 30);
	expect_stored(30);
	cr_assert_eq(unlink(log), 0);
	WAIT_FOR(access(index, F_OK) < 0); /* idle: closed */
	expect_stored(30);
	push(q, 30, 10);
	WAIT_FOR(billing_writer_written(w, 0) == 40);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(40);
}

Test(writer, a_record_that_cannot_be_read_is_counted_and_the_others_are_written)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct queue_position position = record_queue_begin(q);
	struct queued_record record;

	push(q, 0, 3);
	cr_assert(record_queue_next(q, &position, &record));
	((uint8_t *)record.at)[1] = 0xff; /* a version that nobody knows */
	struct billing_writer *w = start(&q, 1);
	WAIT_FOR(billing_writer_written(w, 0) == 2 && record_queue_depth(q) == 0);
	WAIT_FOR(status_of(w).unreadable == 1);
	cr_assert_eq(criticals_logged, 1);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_stored(2);
}

Test(writer, signals_are_left_to_the_other_threads)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = start(&q, 1);
	sigset_t usr1, pending, mask;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	cr_assert_eq(pthread_sigmask(SIG_BLOCK, &usr1, &mask), 0);
	cr_assert_not(sigismember(&mask, SIGTERM), "the starter's own mask is as it was");
	cr_assert_eq(kill(getpid(), SIGUSR1), 0); /* its default ends the process, in whichever thread */
	push(q, 0, 1);
	WAIT_FOR(billing_writer_written(w, 0) == 1);
	cr_assert_eq(sigpending(&pending), 0);
	cr_assert(sigismember(&pending, SIGUSR1));
	cr_assert_eq(billing_writer_stop(w, 0), 0);
}

Test(writer, a_database_that_cannot_be_opened_is_told_at_the_start)
{
	struct record_queue *q = new_queue(CAPACITY);
	struct billing_writer *w = NULL;
	char error[256] = "";

	cr_assert_eq(billing_writer_start(sample_path("missing/cdr.db"), &q, 1, NULL, &w, error), -ENOENT);
	cr_assert_not_null(strstr(error, "missing/cdr.db: No such file or directory"));
	cr_assert_null(w);
}
