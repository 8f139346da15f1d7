/* What a stop left over is stored by the next start, exactly once. */
#include "billing/left.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/billing/sample.h"

#define CAPACITY (1U << 20)

static char file[256], database[256], error[256];
static struct cdr_left_report report;

static void name_files(void)
{
	snprintf(file, sizeof(file), "%s", sample_path("cdr.left"));
	snprintf(database, sizeof(database), "%s", sample_path("cdr.db"));
}

TestSuite(left, .init = name_files);

static void push(struct record_queue *q, uint64_t first, uint64_t count)
{
	for (uint64_t n = first; n < first + count; n++) {
		const struct cdr cdr = sample_cdr(n);
		cr_assert(record_queue_push(q, &cdr));
	}
}

static void save(uint64_t first, uint64_t count)
{
	struct record_queue *q = sample_queue(CAPACITY);
	uint64_t saved;

	push(q, first, count);
	cr_assert_eq(cdr_left_save(file, &q, 1, &saved), 0);
	cr_assert_eq(saved, count);
	free(q);
}

static int64_t stored(void)
{
	sqlite3 *db;
	sqlite3_stmt *statement;

	cr_assert_eq(sqlite3_open(database, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM cdr", -1, &statement, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	const int64_t value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

static off_t file_size(const char *path)
{
	struct stat status;

	cr_assert_eq(stat(path, &status), 0, "%s", path);
	return status.st_size;
}

static void invert_byte(off_t at)
{
	uint8_t byte;
	const int fd = open(file, O_RDWR);

	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte = (uint8_t)~byte;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

Test(left, every_queue_is_saved_and_stored_and_the_file_goes)
{
	struct record_queue *queues[] = { sample_queue(CAPACITY), sample_queue(CAPACITY) };
	uint64_t saved;

	push(queues[0], 0, 20);
	push(queues[1], 20, 5);
	cr_assert_eq(cdr_left_save(file, queues, 2, &saved), 0);
	cr_assert_eq(saved, 25);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0, "%s", error);
	cr_assert_eq(report.imported, 25);
	cr_assert_eq(report.damaged, 0);
	cr_assert_eq(stored(), 25);
	cr_assert_eq(access(file, F_OK), -1);
	free(queues[0]);
	free(queues[1]);
}

Test(left, no_file_is_nothing_to_do)
{
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(report.imported + report.damaged, 0);
	cr_assert_eq(access(database, F_OK), -1, "not even the database is touched");
}

Test(left, a_second_stop_adds_to_the_file_and_a_record_stored_before_is_stored_once)
{
	save(0, 10);
	save(5, 10);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(stored(), 15);
	save(0, 15); /* as after a crash between the commit and the removal */
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(stored(), 15);
	cr_assert_eq(access(file, F_OK), -1);
}

Test(left, more_than_one_batch_is_stored)
{
	struct record_queue *q = sample_queue(16U << 20);
	uint64_t saved;

	push(q, 0, 20000);
	cr_assert_eq(cdr_left_save(file, &q, 1, &saved), 0);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(stored(), 20000);
	free(q);
}

Test(left, a_store_that_is_held_leaves_the_file_as_it_was)
{
	sqlite3 *other;

	save(0, 3);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	save(3, 3);
	const off_t size = file_size(file);
	cr_assert_eq(sqlite3_open(database, &other), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(cdr_left_import(file, database, &report, error), -EBUSY);
	cr_assert_not_null(strstr(error, "another process holds it"), "%s", error);
	sqlite3_close(other);
	cr_assert_eq(file_size(file), size);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(stored(), 6);
}

/* Each byte of the file wrong in turn costs at most the record it belongs to, and the file is kept. */
Test(left, a_wrong_byte_costs_one_record_and_the_file_is_kept)
{
	save(0, 3);
	const off_t size = file_size(file);
	for (off_t at = 0; at < size; at += 7) {
		invert_byte(at);
		cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
		cr_assert_eq(report.damaged, 1, "byte %ld", (long)at);
		cr_assert_eq(report.imported, 2, "byte %ld", (long)at);
		cr_assert_eq(access(file, F_OK), -1);
		cr_assert_eq(file_size(report.kept), size);
		cr_assert_eq(rename(report.kept, file), 0);
		invert_byte(at);
	}
	cr_assert_eq(stored(), 3);
}

Test(left, a_file_cut_anywhere_loses_only_its_last_record)
{
	save(0, 2);
	const off_t size = file_size(file);
	cr_assert_eq(truncate(file, size - 1), 0);
	save(2, 1); /* appended behind the cut one */
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(report.imported, 2);
	cr_assert_eq(report.damaged, 1);
	cr_assert_not_null(strstr(report.kept, "cdr.left.damaged.1"));
	save(3, 1);
	invert_byte(0);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_not_null(strstr(report.kept, "cdr.left.damaged.2"), "an earlier one is not overwritten");
}

Test(left, a_full_disk_keeps_what_it_could_take_and_says_how_many)
{
	struct record_queue *q = sample_queue(CAPACITY);
	struct rlimit limited = { 4096, RLIM_INFINITY };
	uint64_t saved;

	signal(SIGXFSZ, SIG_IGN);
	push(q, 0, 100);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limited), 0);
	cr_assert_eq(cdr_left_save(file, &q, 1, &saved), -EFBIG);
	limited.rlim_cur = RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limited), 0);
	cr_assert(saved > 0 && saved < 100);
	cr_assert_eq(cdr_left_import(file, database, &report, error), 0);
	cr_assert_eq(report.imported, saved);
	cr_assert_eq(report.damaged, 0, "no half record is left");
	free(q);
}
