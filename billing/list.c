/* Listing CDRs for people and programs: a connection of its own that reads beside the writer and never blocks it. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "billing/columns.h"
#include "billing/store.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     100000

/* Walks the index of cdr_id backwards, which is by time, so the newest rows cost what they are worth, however many
 * there are.  ?5 is where a walk for ?1 ends. */
#define LIST_SQL                                                                                                       \
	"SELECT " CDR_COLUMN_NAMES " FROM cdr WHERE cdr_id >= ?5 AND start_us >= ?1 AND (?2 = '' OR account = ?2)"     \
	" AND (?3 = '' OR mapping_gateway = ?3 OR routing_gateway = ?3)"                                               \
	" ORDER BY cdr_id DESC LIMIT ?4"

static const struct {
	const char *name;
	enum cdr_column_type type;
} columns[] = {
#define COLUMN(name, type) { #name, CDR_COLUMN_##type },
	CDR_COLUMNS(COLUMN, COLUMN)
#undef COLUMN
};

static const char *text_or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* No row that started at or after `since_us` has a smaller cdr_id than this.  (Times that 14 digits cannot hold are in
 * no row.) */
static int bind_least_id(sqlite3_stmt *statement, int64_t since_us)
{
	char id[CDR_ID_SIZE + 1] = "";

	if (since_us > 0)
		snprintf(id, sizeof(id), "%0*" PRIx64, CDR_ID_START_DIGITS, (uint64_t)since_us);
	return sqlite3_bind_text(statement, 5, id, -1, SQLITE_TRANSIENT);
}

static int bind_filter(sqlite3_stmt *statement, const struct cdr_filter *filter)
{
	const int64_t since_us = filter->since_us != 0 ? filter->since_us : INT64_MIN;
	uint32_t limit = filter->limit != 0 ? filter->limit : LIMIT_DEFAULT;

	if (limit > LIMIT_MAX)
		limit = LIMIT_MAX;
	int code = sqlite3_bind_int64(statement, 1, since_us);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(statement, 2, text_or_empty(filter->account), -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(statement, 3, text_or_empty(filter->gateway), -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, 4, limit);
	if (code == SQLITE_OK)
		code = bind_least_id(statement, since_us);
	return code;
}

static void hand_out(sqlite3_stmt *statement, cdr_row_fn *row, void *context)
{
	struct cdr_value values[CDR_COLUMN_COUNT];

	for (int i = 0; i < CDR_COLUMN_COUNT; i++) {
		values[i] = (struct cdr_value){ .name = columns[i].name, .type = columns[i].type, .text = "" };
		if (columns[i].type == CDR_COLUMN_INTEGER)
			values[i].integer = sqlite3_column_int64(statement, i);
		else
			values[i].text = text_or_empty((const char *)sqlite3_column_text(statement, i));
	}
	row(context, values, CDR_COLUMN_COUNT);
}

int cdr_store_list(const char *path, const struct cdr_filter *filter, cdr_row_fn *row, void *context,
		   char error[static 256])
{
	sqlite3 *db;
	sqlite3_stmt *statement = NULL;

	const int opened = database_open_read(path, &cdr_schema, &db, error);
	if (opened < 0)
		return opened;

	int code = sqlite3_prepare_v2(db, LIST_SQL, -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = bind_filter(statement, filter);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(statement);
		if (code == SQLITE_ROW)
			hand_out(statement, row, context);
	}
	const int result = code == SQLITE_DONE ? 0 : database_explain(db, path, code, error);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return result;
}
