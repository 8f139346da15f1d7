/* Databases that cannot be opened or used, and the words that say so. */
#include "billing/database.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/billing/sample.h"
#include "tests/billing/store_steps.h"

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	for (int i = 0; i < 1000; i++)
		fputs(text, file);
	fclose(file);
}

Test(database, a_file_that_is_no_database_is_refused_and_left_alone)
{
	const char *path = sample_path("cdr.db");
	char error[256];
	struct stat before, after;

	write_file(path, "not a database. ");
	cr_assert_eq(stat(path, &before), 0);
	cr_assert_not_null(strstr(refusal(path, -EBADMSG), "cdr.db: file is not a database: the file is damaged"));
	cr_assert_eq(list_refusal(path, error), -EBADMSG);
	cr_assert_eq(stat(path, &after), 0);
	cr_assert_eq(before.st_size, after.st_size);
}

Test(database, a_database_that_lost_its_end_is_refused)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr cdrs[200];

	for (size_t i = 0; i < 200; i++)
		cdrs[i] = sample_cdr(i);
	add_all(store, cdrs, 200);
	cdr_store_close(store);
	cr_assert_eq(truncate(path, 2 * 8192), 0);
	cr_assert_not_null(strstr(refusal(path, -EBADMSG), "damaged"));
}

Test(database, a_database_with_a_table_of_another_shape_is_refused)
{
	const char *path = sample_path("cdr.db");

	raw_run(path, "CREATE TABLE cdr (id); PRAGMA user_version = 1");
	cr_assert_not_null(strstr(refusal(path, -EIO), "no such column"));
	cr_assert_not_null(strstr(refusal(path, -EIO), "move it away or restore it"));
	raw_run(path, "PRAGMA user_version = 0");
	cr_assert_not_null(strstr(refusal(path, -EIO), "already exists"));
	cr_assert_str_eq(raw_query(path, "PRAGMA user_version"), "0");
}

Test(database, a_database_of_a_newer_program_is_refused_and_left_alone)
{
	const char *path = sample_path("cdr.db");
	char error[256];

	cdr_store_close(open_store(path));
	raw_run(path, "PRAGMA user_version = 4");
	cr_assert_not_null(strstr(refusal(path, -EPROTONOSUPPORT), "schema version 4, this program knows up to 3"));
	cr_assert_not_null(strstr(refusal(path, -EPROTONOSUPPORT), "run that one, or move the file away"));
	cr_assert_eq(list_refusal(path, error), -EPROTONOSUPPORT);
	cr_assert_not_null(strstr(error, "newer"));
	cr_assert_str_eq(raw_query(path, "PRAGMA user_version"), "4");
}

Test(database, a_path_that_cannot_be_is_refused_by_name)
{
	cr_assert_not_null(strstr(refusal(sample_path("missing/cdr.db"), -ENOENT), "missing/cdr.db"));
	cr_assert_not_null(strstr(refusal(sample_directory(), -EINVAL), "is not a regular file, move it away"));
}

/* As nobody: root may write everywhere. */
Test(database, what_may_only_be_read_is_refused_for_writing_and_listed)
{
	const char *path = sample_path("cdr.db");
	const struct cdr cdr = sample_cdr(1);
	struct cdr_store *store = open_store(path);

	add_one(store, &cdr);
	cdr_store_close(store);
	cr_assert_eq(chmod(sample_directory(), 0755), 0);
	cr_assert_eq(chmod(path, 0444), 0);
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	else
		cr_assert_eq(chmod(sample_directory(), 0555), 0);
	cr_assert_not_null(strstr(refusal(path, -EROFS), "Read-only"));
	cr_assert_not_null(strstr(refusal(sample_path("new.db"), -EACCES), "new.db: Permission denied"));
	if (getuid() == 0)
		cr_assert_eq(seteuid(0), 0);
	cr_assert_eq(chmod(sample_directory(), 0755), 0);
	struct listing l = list(path, (struct cdr_filter){ 0 });
	cr_assert_eq(l.count, 1);
	json_decref(l.first);
}

Test(database, a_locked_database_is_busy_and_taken_again_later)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	const struct cdr cdr = sample_cdr(1);
	sqlite3 *other = raw_open(path);

	cr_assert_eq(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(cdr_store_begin(store), -EBUSY);
	cr_assert_not_null(strstr(cdr_store_error(store), "another process holds it"));
	sqlite3_close(other);
	add_one(store, &cdr);
	cdr_store_close(store);
}

/* The operator moves the file away: what was stored is in it, and nothing more is written where nobody will look. */
Test(database, a_database_that_was_moved_is_noticed_and_whole)
{
	const char *path = sample_path("cdr.db"), *moved = sample_path("old.db");
	struct cdr_store *store = open_store(path);
	const struct cdr one = sample_cdr(1), two = sample_cdr(2);

	add_one(store, &one);
	cr_assert_eq(rename(path, moved), 0);
	cr_assert_eq(cdr_store_begin(store), -ESTALE);
	cr_assert_not_null(strstr(cdr_store_error(store), "was moved or deleted"));
	cdr_store_close(store);
	store = open_store(path);
	add_one(store, &two);
	cdr_store_close(store);
	cr_assert_str_eq(raw_query(moved, "SELECT group_concat(start_us % 10) FROM cdr"), "1");
	cr_assert_str_eq(raw_query(path, "SELECT group_concat(start_us % 10) FROM cdr"), "2");
}

/* The steps that are missing are taken in order and keep what is there; one that fails leaves the version before it. */
Test(database, a_schema_grows_step_by_step_or_stays)
{
	static const char *const steps[] = {
		"CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (7)",
		"ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 8",
		"UPDATE t SET b = 9; SELECT no_such_function()",
	};
	const char *path = sample_path("grown.db");
	char error[DATABASE_ERROR_BYTES];
	sqlite3 *db;

	for (int version = 1; version <= 2; version++) {
		const struct database_schema schema = { .steps = steps, .version = version };
		cr_assert_eq(database_open(path, &schema, &db, error), 0, "%s", error);
		database_close(db);
	}
	cr_assert_str_eq(raw_query(path, "SELECT a || ' ' || b FROM t"), "7 8");
	const struct database_schema broken = { .steps = steps, .version = 3 };
	cr_assert_eq(database_open(path, &broken, &db, error), -EIO);
	cr_assert_not_null(strstr(error, "no_such_function"));
	cr_assert_str_eq(raw_query(path, "SELECT a || ' ' || b FROM t"), "7 8");
	cr_assert_str_eq(raw_query(path, "PRAGMA user_version"), "2");
}

/* The first version had an index by start_us; its databases lose it when they are opened, and nothing else. */
Test(database, version_1_is_migrated_and_lists_as_before)
{
	const char *path = sample_path("cdr.db");
	const struct cdr cdrs[2] = { sample_cdr(1), sample_cdr(2) };
	struct cdr_store *store = open_store(path);

	add_one(store, &cdrs[0]);
	cdr_store_close(store);
	raw_run(path, "CREATE INDEX cdr_start_us ON cdr (start_us); DROP TABLE applied; PRAGMA user_version = 1");
	struct listing l = list(path, (struct cdr_filter){ .since_us = cdrs[0].start_us });
	cr_assert_eq(l.count, 1, "read before the switch was started");
	json_decref(l.first);
	store = open_store(path);
	add_one(store, &cdrs[1]);
	cdr_store_close(store);
	cr_assert_str_eq(raw_query(path, "PRAGMA user_version"), "3");
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'cdr_start_us'"), "0");
	l = list(path, (struct cdr_filter){ .since_us = cdrs[0].start_us });
	cr_assert_eq(l.count, 2);
	json_decref(l.first);
	cr_assert_str_eq(raw_query(path, "PRAGMA integrity_check"), "ok");
}

/* Databases of other page sizes stay as they are and go on. */
Test(database, pages_of_a_new_file_have_8192_bytes_and_those_of_an_old_one_what_they_had)
{
	const char *path = sample_path("cdr.db"), *old = sample_path("old.db");
	const struct cdr cdr = sample_cdr(1);

	cdr_store_close(open_store(path));
	cr_assert_str_eq(raw_query(path, "PRAGMA page_size"), "8192");
	raw_run(old, "PRAGMA page_size = 4096; CREATE TABLE other (a)");
	struct cdr_store *store = open_store(old);
	add_one(store, &cdr);
	cdr_store_close(store);
	cr_assert_str_eq(raw_query(old, "PRAGMA page_size"), "4096");
	cr_assert_str_eq(raw_query(old, "SELECT count(*) FROM cdr"), "1");
}
