/* Feeders: every CDR of the journal is in the database once, whatever that does in between. */
#include "billing/feeder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "billing/store.h"
#include "tests/billing/faulty_disk.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

#define SEGMENT_BYTES (1U << 20)
#define PATH          sample_path("cdr.db")

static struct memory_disk *disk;
static struct journal *journal;
static struct sink sink;
static uint64_t serials[FEEDER_LANES];

static int no_record(void *context, const struct journal_record *record)
{
	(void)context;
	(void)record;
	return 0;
}

static void open_journal(void)
{
	const struct journal_settings settings = { .disk = memory_disk_interface(disk),
						   .segment_bytes = SEGMENT_BYTES,
						   .boot = 1,
						   .machine = 1,
						   .new_id = 99 };
	const struct journal_scan scan = { .record = no_record };
	char error[JOURNAL_ERROR_BYTES] = "";

	cr_assert_eq(journal_open(&settings, &scan, &journal, error), 0, "%s", error);
}

static void set_up(void)
{
	disk = memory_disk_create(1);
	open_journal();
	cr_assert_eq(cdr_sink_create(PATH, &sink), 0);
}

static void tear_down(void)
{
	cdr_sink_free(&sink);
	journal_close(journal);
	memory_disk_free(disk);
}

TestSuite(feeder, .init = set_up, .fini = tear_down);

static _Atomic unsigned errors_logged, notices_logged, criticals_logged;

static void count_line(int level, const char *line)
{
	cr_assert_eq(strncmp(line, "event=cdr", 9), 0);
	if (level == LOG_ERR)
		errors_logged++;
	if (level == LOG_NOTICE)
		notices_logged++;
	if (level == LOG_CRIT)
		criticals_logged++;
}

static struct feeder *start(void)
{
	struct feeder *f;
	char error[SINK_ERROR_BYTES] = "";

	cr_assert_eq(feeder_start(journal, &sink, true, count_line, &f, error), 0, "%s", error);
	return f;
}

/* Onto the disk of the journal, and with each a record that is no CDR. */
static void push(unsigned lane, uint64_t first, uint64_t count)
{
	static uint8_t bytes[CDR_BYTES_MAX];

	for (uint64_t n = first; n < first + count; n++) {
		const struct cdr cdr = sample_cdr(n);
		const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));
		cr_assert_eq(journal_append(journal, RECORD_CDR, (uint16_t)lane, serials[lane]++, bytes, size), 0);
		cr_assert_eq(journal_append(journal, RECORD_LIVE, (uint16_t)lane, serials[lane]++, bytes, 80), 0);
		if (n % 256 == 255)
			cr_assert_eq(journal_sync(journal), 0);
	}
	cr_assert_eq(journal_sync(journal), 0);
}

static struct feeder_status status_of(const struct feeder *f)
{
	struct feeder_status status;

	feeder_status(f, &status);
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

Test(feeder, writes_the_records_of_every_lane_and_counts_them_by_shard)
{
	struct feeder *f = start();

	push(0, 0, 100);
	push(2, 100, 50);
	WAIT_FOR(feeder_written(f, 0) == 100 && feeder_written(f, 2) == 50);
	cr_assert_eq(feeder_written(f, 1), 0);
	push(1, 150, 7);
	WAIT_FOR(feeder_written(f, 1) == 7);
	expect_stored(157);
	const struct feeder_status status = status_of(f);
	cr_assert_not(status.failing);
	cr_assert_eq(status.failures, 0);
	cr_assert_eq(status.unreadable, 0);
	cr_assert_eq(feeder_stop(f, 0), 0);
	cr_assert_eq(errors_logged + notices_logged + criticals_logged, 0);
}

Test(feeder, stop_writes_all_that_is_synced_in_as_many_batches_as_it_takes)
{

	push(0, 0, FEEDER_BATCH_MAX + 1);
	push(1, FEEDER_BATCH_MAX + 1, FEEDER_BATCH_MAX + 1);
	struct feeder *f = start();
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(2 * (FEEDER_BATCH_MAX + 1));
}

/* Spec 11, database locked. */
Test(feeder, spec_11_a_locked_database_only_delays)
{
	struct feeder *f = start();
	sqlite3 *other = lock_database();

	push(0, 0, 20);
	WAIT_FOR(status_of(f).failures >= 2);
	cr_assert(status_of(f).failing);
	cr_assert_not_null(strstr(status_of(f).error, "locked"));
	cr_assert_eq(feeder_written(f, 0), 0);
	push(0, 20, 20);
	sqlite3_close(other);
	WAIT_FOR(feeder_written(f, 0) == 40);
	cr_assert_not(status_of(f).failing);
	cr_assert_str_empty(status_of(f).error);
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(40);
	cr_assert_eq(errors_logged, 1, "once, not at every try");
	cr_assert_eq(notices_logged, 1);
}

/* A disk near its limit fails every other batch: two lines a minute say so, not two a second. */
Test(feeder, a_store_that_comes_and_goes_is_told_once_a_minute)
{
	struct feeder *f = start();

	for (uint64_t round = 1; round <= 4; round++) {
		sqlite3 *other = lock_database();
		const uint64_t failures = status_of(f).failures;

		push(0, 10 * (round - 1), 10);
		WAIT_FOR(status_of(f).failures > failures);
		sqlite3_close(other);
		WAIT_FOR(feeder_written(f, 0) == 10 * round);
	}
	cr_assert_eq(feeder_stop(f, 0), 0);
	cr_assert_eq(errors_logged, 1);
	cr_assert_eq(notices_logged, 1);
}

Test(feeder, stop_tells_what_could_not_be_written_and_the_next_writer_writes_it)
{
	struct feeder *f = start();

	push(0, 0, 5);
	WAIT_FOR(feeder_written(f, 0) == 5);
	sqlite3 *other = lock_database();
	push(0, 5, 5);
	push(1, 10, 3);
	cr_assert_eq(feeder_stop(f, 200), 8);
	cr_assert_eq(errors_logged, 2, "that it fails, and what is left");
	sqlite3_close(other);

	f = start();
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(13);
}

/* Spec 11, full disk. */
Test(feeder, spec_11_a_full_disk_loses_nothing_and_the_status_says_so)
{
	uint64_t n = 0;

	faulty_disk_install();
	struct feeder *f = start();
	for (uint64_t round = 1; round <= 8; round++) {
		faulty_disk_fail(round * round,
				 SQLITE_FULL); /* at the start, in the middle and at the end of a batch */
		while (!status_of(f).failing) {
			push(0, n, 100);
			n += 100;
			WAIT_FOR(status_of(f).failing || feeder_applied(f) == journal_synced(journal));
		}
		cr_assert_not_null(strstr(status_of(f).error, "full"));
		cr_assert_lt(feeder_applied(f), journal_synced(journal));
		faulty_disk_heal();
		WAIT_FOR(feeder_applied(f) == journal_synced(journal) && !status_of(f).failing);
	}
	cr_assert_eq(feeder_written(f, 0), n);
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored((int64_t)n);
}

/* A limit of the file size is met with a signal that would end the process, were it not blocked in the thread; and
 * after such an error the connection is made anew. */
Test(feeder, a_file_that_may_not_grow_loses_nothing_and_kills_nobody)
{
	struct feeder *f = start();
	struct rlimit before, limited;

	push(0, 0, 10);
	WAIT_FOR(feeder_written(f, 0) == 10);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limited = before;
	limited.rlim_cur = 64 * 1024;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limited), 0);
	push(0, 10, 500);
	WAIT_FOR(status_of(f).failures >= 3);
	cr_assert_eq(feeder_written(f, 0), 10);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	WAIT_FOR(feeder_written(f, 0) == 510);
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(510);
}

Test(feeder, a_machine_without_memory_loses_nothing)
{
	struct feeder *f = start();

	push(0, 0, 10);
	WAIT_FOR(feeder_written(f, 0) == 10);
	sqlite3_hard_heap_limit64(sqlite3_memory_used() + 16 * 1024);
	push(0, 10, 500);
	WAIT_FOR(status_of(f).failures >= 3);
	cr_assert_not_null(strstr(status_of(f).error, "memory"));
	cr_assert_eq(feeder_written(f, 0), 10);
	sqlite3_hard_heap_limit64(0);
	WAIT_FOR(feeder_written(f, 0) == 510);
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(510);
}

/* The new one gets what the journal still holds: rows that are in both are known by their cdr_id. */
Test(feeder, a_database_moved_away_is_made_anew_and_no_record_is_missing)
{
	const char *moved = sample_path("old.db");
	struct feeder *f = start();

	push(0, 0, 10);
	WAIT_FOR(feeder_written(f, 0) == 10);
	cr_assert_eq(rename(PATH, moved), 0);
	push(0, 10, 20);
	WAIT_FOR(feeder_written(f, 0) == 30);
	cr_assert_eq(feeder_stop(f, 0), 0);
	cr_assert_eq(query(moved, "SELECT count(*) FROM cdr"), 10);
	cr_assert_eq(query(PATH, "SELECT count(*) FROM cdr"), 30);
}

/* Seen by another connection while the writer still runs: not only a proper end saves the rows. */
Test(feeder, a_log_deleted_while_it_is_in_use_costs_no_record)
{
	const char *log = sample_path("cdr.db-wal"), *index = sample_path("cdr.db-shm");
	struct feeder *f = start();

	push(0, 0, 10);
	WAIT_FOR(feeder_written(f, 0) == 10);
	cr_assert_eq(unlink(log), 0);
	push(0, 10, 20);
	WAIT_FOR(feeder_written(f, 0) == 30);
	expect_stored(30);
	cr_assert_eq(unlink(log), 0);
	WAIT_FOR(access(index, F_OK) < 0); /* idle: closed */
	expect_stored(30);
	push(0, 30, 10);
	WAIT_FOR(feeder_written(f, 0) == 40);
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(40);
}

Test(feeder, a_record_that_cannot_be_read_is_counted_and_the_others_are_written)
{
	static const uint8_t no_cdr[64] = { 0xff, 0xff }; /* a version that nobody knows */

	push(0, 0, 1);
	cr_assert_eq(journal_append(journal, RECORD_CDR, 0, serials[0]++, no_cdr, sizeof(no_cdr)), 0);
	push(0, 1, 1);
	struct feeder *f = start();
	WAIT_FOR(status_of(f).written == 3 && status_of(f).unreadable == 1);
	cr_assert_eq(criticals_logged, 1);
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(2);
}

Test(feeder, signals_are_left_to_the_other_threads)
{
	struct feeder *f = start();
	sigset_t usr1, pending, mask;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	cr_assert_eq(pthread_sigmask(SIG_BLOCK, &usr1, &mask), 0);
	cr_assert_not(sigismember(&mask, SIGTERM), "the starter's own mask is as it was");
	cr_assert_eq(kill(getpid(), SIGUSR1), 0); /* its default ends the process, in whichever thread */
	push(0, 0, 1);
	WAIT_FOR(feeder_written(f, 0) == 1);
	cr_assert_eq(sigpending(&pending), 0);
	cr_assert(sigismember(&pending, SIGUSR1));
	cr_assert_eq(feeder_stop(f, 0), 0);
}

Test(feeder, a_database_that_cannot_be_opened_is_told_at_the_start)
{
	struct feeder *f = NULL;
	struct sink other;
	char error[SINK_ERROR_BYTES] = "";

	cr_assert_eq(cdr_sink_create(sample_path("missing/cdr.db"), &other), 0);
	cr_assert_eq(feeder_start(journal, &other, true, NULL, &f, error), -ENOENT);
	cr_assert_not_null(strstr(error, "missing/cdr.db: No such file or directory"));
	cr_assert_null(f);
	cdr_sink_free(&other);
}

/* A server that is away when the node starts. */
Test(feeder, a_sink_that_need_not_be_there_is_opened_when_it_is)
{
	const char *path = sample_path("later"), *database = sample_path("later/cdr.db");
	struct feeder *f;
	struct sink other;
	char error[SINK_ERROR_BYTES] = "";

	cr_assert_eq(cdr_sink_create(database, &other), 0);
	cr_assert_eq(feeder_start(journal, &other, false, count_line, &f, error), 0);
	push(0, 0, 10);
	WAIT_FOR(status_of(f).failing);
	cr_assert_eq(feeder_applied(f), JOURNAL_START);
	cr_assert_eq(mkdir(path, 0700), 0);
	WAIT_FOR(feeder_written(f, 0) == 10);
	cr_assert_eq(feeder_stop(f, 0), 0);
	cr_assert_eq(query(database, "SELECT count(*) FROM cdr"), 10);
	cdr_sink_free(&other);
	cr_assert_eq(unlink(database), 0);
	cr_assert_eq(rmdir(path), 0);
}

/* What was committed is not read again, and what was not is: the sink's own word counts. */
Test(feeder, the_next_process_goes_on_where_the_sink_says)
{
	struct feeder *f = start();

	push(0, 0, 100);
	WAIT_FOR(feeder_written(f, 0) == 100);
	cr_assert_eq(feeder_stop(f, 0), 0);
	push(0, 100, 50);
	journal_close(journal);
	open_journal();
	f = start();
	WAIT_FOR(status_of(f).applied == journal_synced(journal));
	cr_assert_eq(status_of(f).written, 50);
	cr_assert_eq(feeder_written(f, 0), 0, "those of a former process are not this one's");
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(150);
}

/* A position of another journal means nothing; what is in the database is known by its cdr_id. */
Test(feeder, another_journal_is_read_from_its_start)
{
	struct feeder *f = start();

	push(0, 0, 100);
	cr_assert_eq(feeder_stop(f, 0), 0);
	query(PATH, "UPDATE applied SET journal = 7 RETURNING 0");
	push(0, 100, 1);
	f = start();
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(101);
}

/* The journal's last segments were lost, or an old copy was brought back. */
Test(feeder, a_position_that_the_journal_has_not_reached_hides_nothing)
{
	struct feeder *f = start();

	push(0, 0, 10);
	cr_assert_eq(feeder_stop(f, 0), 0);
	query(PATH, "UPDATE applied SET position = position * 1000 RETURNING 0");
	push(0, 10, 10);
	f = start();
	cr_assert_eq(feeder_stop(f, 0), 0);
	expect_stored(20);
}

Test(feeder, records_of_the_other_kinds_cost_no_commit)
{
	struct feeder *f = start();

	push(0, 0, 1);
	WAIT_FOR(feeder_written(f, 0) == 1);
	const int64_t position = query(PATH, "SELECT position FROM applied");
	for (int i = 0; i < 100; i++)
		cr_assert_eq(journal_append(journal, RECORD_LIVE, 0, serials[0]++, (const uint8_t *)"live", 4), 0);
	cr_assert_eq(journal_sync(journal), 0);
	WAIT_FOR(feeder_applied(f) == journal_synced(journal));
	cr_assert_eq(query(PATH, "SELECT position FROM applied"), position);
	cr_assert_eq(feeder_stop(f, 0), 0);
}

/* After a power failure the disk answers EIO for the sector that was being written, at this start and at all later
 * ones.
 */
Test(feeder, a_sector_that_no_start_can_read_keeps_a_store_from_nothing_else)
{
	char error[SINK_ERROR_BYTES] = "";

	push(0, 0, 100);
	const uint64_t end = journal_synced(journal) & UINT32_MAX;
	journal_close(journal);
	memory_disk_unreadable(disk, memory_disk_name(disk, 0, NULL), end - 512, 512);
	open_journal();
	cr_assert_eq(feeder_catch_up(journal, &sink, count_line, error), 0, "%s", error);
	cr_assert_eq(criticals_logged, 1, "cdr_unreadable");
	const int64_t stored = query(PATH, "SELECT count(*) FROM cdr");
	cr_assert(stored >= 80 && stored < 100, "%ld", (long)stored);
	expect_stored(stored);
	push(0, (uint64_t)stored, 10);
	cr_assert_eq(feeder_catch_up(journal, &sink, count_line, error), 0, "%s", error);
	expect_stored(stored + 10);
	cr_assert_eq(criticals_logged, 1);
}

/* The head of a later segment says where the one before it ends: what a start cannot read before that end is a store's
 * once the disk reads it, or it is told that nobody can. */
static void catch_up_after_a_fault_of_the_first_segment(size_t from, size_t bytes, bool heals)
{
	char error[SINK_ERROR_BYTES] = "";

	push(0, 0, 100);
	const uint64_t end = journal_synced(journal) & UINT32_MAX;
	const uint64_t at = from < end ? end - from : 0;
	journal_close(journal);
	open_journal();
	push(0, 100, 10);
	journal_close(journal);
	memory_disk_unreadable(disk, memory_disk_name(disk, 0, NULL), at, bytes);
	open_journal();
	if (heals)
		memory_disk_unreadable(disk, memory_disk_name(disk, 0, NULL), 0, 0);
	cr_assert_eq(feeder_catch_up(journal, &sink, count_line, error), 0, "%s", error);
	cr_assert_eq(criticals_logged, heals ? 0 : 1, "cdr_unreadable: %d", criticals_logged);
	const int64_t stored = query(PATH, "SELECT count(*) FROM cdr");
	cr_assert(heals ? stored == 110 : stored >= 10 && stored < 110, "%ld", (long)stored);
}

Test(feeder, the_unreadable_end_of_a_segment_is_told)
{
	catch_up_after_a_fault_of_the_first_segment(512, 512, false);
}

Test(feeder, the_unreadable_end_of_a_segment_that_the_disk_reads_later)
{
	catch_up_after_a_fault_of_the_first_segment(512, 512, true);
}

Test(feeder, a_segment_that_could_not_be_opened_and_can_later)
{
	catch_up_after_a_fault_of_the_first_segment(UINT32_MAX, UINT32_MAX, true);
}

Test(feeder, catching_up_gives_everything_before_it_returns)
{
	char error[SINK_ERROR_BYTES] = "";

	push(0, 0, 3 * FEEDER_BATCH_MAX / 2);
	cr_assert_eq(feeder_catch_up(journal, &sink, NULL, error), 0, "%s", error);
	expect_stored(3 * FEEDER_BATCH_MAX / 2);
	sqlite3 *other = lock_database();
	push(0, 3 * FEEDER_BATCH_MAX / 2, 1);
	cr_assert_eq(feeder_catch_up(journal, &sink, NULL, error), -EBUSY);
	cr_assert_not_null(strstr(error, "another process holds it"), "%s", error);
	sqlite3_close(other);
}
