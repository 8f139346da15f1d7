#include "billing/query.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "billing/columns.h"
#include "billing/database.h"

#define STEPS_A_LOOK 10000 /* instructions of SQLite between two looks at the clock: some 100 us */

static_assert(CDR_READ_ERROR_BYTES >= DATABASE_ERROR_BYTES, "");

/* Anything but 0 ends the statement. */
static int look(void *context)
{
	const struct query *q = context;
	struct timespec now;

	if (q->limits == NULL || q->limits->give_up_ns == NULL)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec >= atomic_load(q->limits->give_up_ns);
}

static int fail(const struct query *q, int code)
{
	if ((code & 0xff) == SQLITE_INTERRUPT) {
		snprintf(q->error, CDR_READ_ERROR_BYTES, "it takes too long");
		return -ETIMEDOUT;
	}
	return database_explain(q->db, q->path, code, q->error);
}

int query_open(struct query *q, const char *sql, const struct cdr_filter *filter, const char *rest)
{
	struct where where;
	char text[4096];

	q->db = NULL;
	q->statement = NULL;
	const int result = database_open_read(q->path, &cdr_schema, &q->db, q->error);
	if (result < 0)
		return result;
	sqlite3_progress_handler(q->db, STEPS_A_LOOK, look, q);
	where_make(filter, WHERE_SQLITE, &where);
	const int size = snprintf(text, sizeof(text), "%s%s%s", sql, where.sql, rest);
	assert(size > 0 && (size_t)size < sizeof(text));
	int code = sqlite3_prepare_v2(q->db, text, size, &q->statement, NULL);
	for (int i = 0; code == SQLITE_OK && i < where.count; i++)
		code = sqlite3_bind_text(q->statement, i + 1, where.texts[i], -1, SQLITE_STATIC);
	return code == SQLITE_OK ? 0 : fail(q, code);
}

int query_step(struct query *q)
{
	const int code = sqlite3_step(q->statement);

	return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : fail(q, code);
}

const char *query_text(const struct query *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q->statement, column);

	return text != NULL ? text : "";
}

int64_t query_integer(const struct query *q, int column)
{
	return sqlite3_column_int64(q->statement, column);
}

void query_close(struct query *q)
{
	sqlite3_finalize(q->statement);
	sqlite3_close(q->db);
}
