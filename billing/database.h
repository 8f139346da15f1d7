/* Opening a SQLite database of the data directory: WAL, a schema that grows by numbered steps (PRAGMA user_version),
 * and failures told as a negative errno with a sentence a person can act on. */
#ifndef RW_BILLING_DATABASE_H
#define RW_BILLING_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <sys/types.h>

#define DATABASE_ERROR_BYTES 256

/* Step n takes a database of version n to n + 1, in one transaction.  A step that was released never changes: a later
 * schema is one more step. */
struct database_schema {
	const char *const *steps;
	int version; /* how many steps there are */
};

/* Opens for reading and writing, makes the file (mode 0640) when there is none, and brings its schema up to date.  A
 * connection for one thread at a time.  -EBADMSG: damaged or no database; -EPROTONOSUPPORT: of a newer program. */
int database_open(const char *path, const struct database_schema *schema, sqlite3 **ret_db,
		  char error[static DATABASE_ERROR_BYTES]);

/* Opens for reading only.  -ENOENT: there is none yet, or none with a schema. */
int database_open_read(const char *path, const struct database_schema *schema, sqlite3 **ret_db,
		       char error[static DATABASE_ERROR_BYTES]);

/* Closes, and leaves nothing behind in the log of a file that was moved away, or in a log that was itself. */
void database_close(sqlite3 *db);

/* The write-ahead log as a connection has it open.  Whoever deletes it while it is in use takes every row since the
 * last checkpoint with it, unless this process, which still has it, writes them to the database in time. */
struct database_log {
	dev_t device;
	ino_t inode; /* 0: there was none */
};
void database_log_note(const char *path, struct database_log *ret_log);
bool database_log_is_gone(const char *path, const struct database_log *log);

/* Was the file moved or deleted since it was opened?  Then what is written now would not be found again. */
int database_is_moved(sqlite3 *db);

/* The negative errno closest to a result of SQLite. */
int database_errno(int code);

/* Says what the connection's last call failed of; returns database_errno(code). */
int database_explain(sqlite3 *db, const char *path, int code, char error[static DATABASE_ERROR_BYTES]);

#endif
