/* One thing that is done with a database of the data directory from beginning to end: a connection, a transaction, a
 * sentence if it fails.  Results are 0 or negative errnos, each with the sentence in `error`. */
#ifndef RW_BILLING_OPERATION_H
#define RW_BILLING_OPERATION_H

#include <stddef.h>
#include <stdint.h>

#include "billing/database.h"

struct operation {
	sqlite3 *db;
	const char *path;
	char *error; /* DATABASE_ERROR_BYTES, the caller's */
};

/* Opens ringwheel.db (made if it is not there) and takes its write lock; what is committed outlasts a power failure.
 * After a failure operation_end() is still due. */
int operation_begin(struct operation *o, const char *path, char error[static DATABASE_ERROR_BYTES]);
/* Opens for reading, all of it as it is at this moment.  -ENOENT without a sentence worth reading: there is none. */
int operation_look(struct operation *o, const char *path, const struct database_schema *schema,
		   char error[static DATABASE_ERROR_BYTES]);
/* Commits if `result` is 0, else takes everything back; closes.  Returns `result`, or what the commit failed of. */
int operation_end(struct operation *o, int result);

/* Says why, and returns `result`. */
int operation_refuse(struct operation *o, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));
int operation_explain(struct operation *o, int code);

/* As statement_run(). */
int operation_run(struct operation *o, const char *sql, const char *types, ...);
/* The first column of the first row of a SELECT with the text ?1.  -ENOENT, without a sentence: no row. */
int operation_number(struct operation *o, int64_t *ret_number, const char *sql, const char *text);
int operation_text(struct operation *o, char *ret_text, size_t size, const char *sql, const char *text);

#endif
