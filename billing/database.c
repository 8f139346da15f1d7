/* Opening, migrating and closing: see database.h. */
#include "billing/database.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_BUSY_MS    1000       /* another process may be reading, or making a backup */
#define CACHE_KIB       "16384"    /* keeps the upper pages of the indices of some ten million rows */
#define PAGE_BYTES      "8192"     /* of a new file: half as many writes as with SQLite's 4096 */
#define WAL_BYTES_LIMIT "67108864" /* a log that grew while someone read is cut back to this */

int database_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

int database_explain(sqlite3 *db, const char *path, int code, char error[static DATABASE_ERROR_BYTES])
{
	const int result = database_errno(code);
	const char *advice = "";

	assert(result < 0);
	if (result == -EBADMSG)
		advice = ": the file is damaged or not a database of this program, move it away or restore it";
	else if ((code & 0xff) == SQLITE_ERROR)
		advice = ": its tables are not those of this program, move it away or restore it";
	else if (result == -EBUSY)
		advice = ": another process holds it";
	else if (result == -EROFS || result == -EACCES)
		advice = ": the file and its directory must be writable";
	snprintf(error, DATABASE_ERROR_BYTES, "%s: %s%s", path, sqlite3_errmsg(db), advice);
	return result;
}

static int explain_errno(const char *path, int negative_errno, char error[static DATABASE_ERROR_BYTES])
{
	snprintf(error, DATABASE_ERROR_BYTES, "%s: %s", path, strerror(-negative_errno));
	return negative_errno;
}

/* The first column of the first row as a number; a result of SQLite. */
static int query_number(sqlite3 *db, const char *sql, int *ret_number)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_number = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Only a file that is not there yet is touched: closing a descriptor of one that some connection of this process has
 * open would drop that connection's locks. */
static int make_file(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	close(fd);
	return 0;
}

/* ---- schema ---- */

static int check_version(const char *path, int version, const struct database_schema *schema,
			 char error[static DATABASE_ERROR_BYTES])
{
	if (version >= 0 && version <= schema->version)
		return 0;
	snprintf(
		error, DATABASE_ERROR_BYTES,
		"%s: has schema version %d, this program knows up to %d: it was written by a newer ringwheel; run that "
		"one, or move the file away",
		path, version, schema->version);
	return -EPROTONOSUPPORT;
}

/* Takes one step, in a transaction that the caller has begun. */
static int take_step(sqlite3 *db, const struct database_schema *schema, int version)
{
	char sql[64];
	const int code = sqlite3_exec(db, schema->steps[version], NULL, NULL, NULL);

	if (code != SQLITE_OK)
		return code;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version + 1);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int migrate(sqlite3 *db, const char *path, const struct database_schema *schema,
		   char error[static DATABASE_ERROR_BYTES])
{
	for (;;) {
		int version = 0;
		/* The lock comes first: two processes that start at once must not both take a step. */
		int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
		if (code == SQLITE_OK)
			code = query_number(db, "PRAGMA user_version", &version);
		if (code != SQLITE_OK)
			return database_explain(db, path, code, error);

		const int result = check_version(path, version, schema, error);
		if (result < 0)
			return result;
		if (version == schema->version) {
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
			return 0;
		}
		code = take_step(db, schema, version);
		if (code == SQLITE_OK)
			code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
		if (code != SQLITE_OK)
			return database_explain(db, path, code, error);
	}
}

/* ---- opening and closing ---- */

static int connect_to(const char *path, int flags, sqlite3 **ret_db, char error[static DATABASE_ERROR_BYTES])
{
	sqlite3 *db = NULL;
	int code = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (db == NULL)
		return explain_errno(path, -ENOMEM, error);
	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(db, OPEN_BUSY_MS);
	if (code == SQLITE_OK) {
		*ret_db = db;
		return 0;
	}
	const int result = database_explain(db, path, code, error);
	sqlite3_close(db);
	return result;
}

static int is_wal(void *ret_wal, int count, char **values, char **names)
{
	(void)names;
	*(bool *)ret_wal = count == 1 && values[0] != NULL && strcmp(values[0], "wal") == 0;
	return 0;
}

static int set_up(sqlite3 *db, const char *path, char error[static DATABASE_ERROR_BYTES])
{
	bool wal = false;

	if (sqlite3_db_readonly(db, "main") == 1)
		return explain_errno(path, -EROFS, error);
	/* The size of a page has a say until the first one is written. */
	int code = sqlite3_exec(db, "PRAGMA page_size = " PAGE_BYTES "; PRAGMA journal_mode = WAL", is_wal, &wal, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db,
				    "PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF"
				    "; PRAGMA cache_size = -" CACHE_KIB
				    "; PRAGMA journal_size_limit = " WAL_BYTES_LIMIT,
				    NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return database_explain(db, path, code, error);
	if (!wal) {
		snprintf(error, DATABASE_ERROR_BYTES,
			 "%s: this file system cannot hold a database with a write-ahead log", path);
		return -EOPNOTSUPP;
	}
	return 0;
}

int database_open(const char *path, const struct database_schema *schema, sqlite3 **ret_db,
		  char error[static DATABASE_ERROR_BYTES])
{
	struct stat status;
	sqlite3 *db;
	int result = make_file(path);

	if (result < 0)
		return explain_errno(path, result, error);
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
		snprintf(error, DATABASE_ERROR_BYTES, "%s: is not a regular file, move it away", path);
		return -EINVAL;
	}
	result = connect_to(path, SQLITE_OPEN_READWRITE, &db, error);
	if (result < 0)
		return result;
	result = set_up(db, path, error);
	if (result == 0)
		result = migrate(db, path, schema, error);
	if (result < 0) {
		sqlite3_close(db);
		return result;
	}
	*ret_db = db;
	return 0;
}

int database_open_read(const char *path, const struct database_schema *schema, sqlite3 **ret_db,
		       char error[static DATABASE_ERROR_BYTES])
{
	sqlite3 *db;
	int version = 0;

	if (access(path, F_OK) < 0)
		return explain_errno(path, -errno, error);
	int result = connect_to(path, SQLITE_OPEN_READONLY, &db, error);
	if (result < 0)
		return result;

	const int code = query_number(db, "PRAGMA user_version", &version);
	if (code != SQLITE_OK)
		result = database_explain(db, path, code, error);
	else if (version == 0)
		result = explain_errno(path, -ENOENT, error);
	else
		result = check_version(path, version, schema, error);
	if (result < 0) {
		sqlite3_close(db);
		return result;
	}
	*ret_db = db;
	return 0;
}

int database_is_moved(sqlite3 *db)
{
	int moved = 0;

	sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved;
}

static bool stat_log(const char *path, struct stat *ret_status)
{
	char log[4096 + 16];

	return snprintf(log, sizeof(log), "%s-wal", path) < (int)sizeof(log) && stat(log, ret_status) == 0;
}

void database_log_note(const char *path, struct database_log *ret_log)
{
	struct stat status;

	*ret_log = (struct database_log){ 0 };
	if (stat_log(path, &status))
		*ret_log = (struct database_log){ .device = status.st_dev, .inode = status.st_ino };
}

bool database_log_is_gone(const char *path, const struct database_log *log)
{
	struct stat status;

	return log->inode != 0 &&
	       (!stat_log(path, &status) || status.st_dev != log->device || status.st_ino != log->inode);
}

void database_close(sqlite3 *db)
{
	if (db == NULL)
		return;
	/* SQLite itself leaves the log of a moved file alone, and that of a file which others have open; whoever makes
	 * a new one in its place deletes it. */
	sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	const int code = sqlite3_close(db);
	assert(code == SQLITE_OK);
	(void)code;
}
