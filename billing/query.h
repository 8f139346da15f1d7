/* A statement that reads a SQLite database and is given up when its time is over. */
#ifndef RW_BILLING_QUERY_H
#define RW_BILLING_QUERY_H

#include <sqlite3.h>

#include "billing/list.h"
#include "billing/where.h"

struct query {
	const char *path; /* this and the next two are set by the caller */
	const struct cdr_limits *limits;
	char *error; /* CDR_READ_ERROR_BYTES */
	sqlite3 *db;
	sqlite3_stmt *statement;
};

/* Opens and prepares: `sql` up to its WHERE, that of the filter, and what comes behind it.  0, or a negative errno and
 * a sentence; query_close() in both cases. */
int query_open(struct query *q, const char *sql, const struct cdr_filter *filter, const char *rest);
/* 1: a row; 0: there is none left; a negative errno and a sentence. */
int query_step(struct query *q);
const char *query_text(const struct query *q, int column);
int64_t query_integer(const struct query *q, int column);
void query_close(struct query *q);

#endif
