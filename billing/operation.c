/* One transaction from beginning to end: see operation.h. */
#include "billing/operation.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "billing/ledger.h"
#include "billing/statement.h"

#define LOCK_WAIT_MS 10000 /* others hold it for a batch of charges, or while they import */

int operation_begin(struct operation *o, const char *path, char error[static DATABASE_ERROR_BYTES])
{
	*o = (struct operation){ .path = path, .error = error };
	int result = database_open(path, &ledger_schema, &o->db, error);

	if (result < 0)
		return result;
	sqlite3_busy_timeout(o->db, LOCK_WAIT_MS);
	const int code = sqlite3_exec(o->db, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : operation_explain(o, code);
}

int operation_look(struct operation *o, const char *path, const struct database_schema *schema,
		   char error[static DATABASE_ERROR_BYTES])
{
	*o = (struct operation){ .path = path, .error = error };
	int result = database_open_read(path, schema, &o->db, error);

	if (result < 0)
		return result;
	const int code = sqlite3_exec(o->db, "BEGIN", NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : operation_explain(o, code);
}

int operation_end(struct operation *o, int result)
{
	if (o->db == NULL)
		return result;
	if (result == 0) {
		const int code = sqlite3_exec(o->db, "COMMIT", NULL, NULL, NULL);
		if (code != SQLITE_OK)
			result = operation_explain(o, code);
	}
	if (!sqlite3_get_autocommit(o->db))
		sqlite3_exec(o->db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(o->db); /* not database_close(): a checkpoint is the charging thread's, which has it open */
	o->db = NULL;
	return result;
}

int operation_refuse(struct operation *o, int result, const char *format, ...)
{
	va_list values;

	assert(result < 0);
	va_start(values, format);
	vsnprintf(o->error, DATABASE_ERROR_BYTES, format, values);
	va_end(values);
	return result;
}

int operation_explain(struct operation *o, int code)
{
	return database_explain(o->db, o->path, code, o->error);
}

static int done(struct operation *o, int code)
{
	return code == SQLITE_OK ? 0 : operation_explain(o, code);
}

int operation_run(struct operation *o, const char *sql, const char *types, ...)
{
	va_list values;

	va_start(values, types);
	const int code = statement_vrun(o->db, sql, types, values);
	va_end(values);
	return done(o, code);
}

int operation_number(struct operation *o, int64_t *ret_number, const char *sql, const char *text)
{
	sqlite3_stmt *statement;
	int code = statement_prepare(o->db, &statement, sql, "t", text);

	if (code != SQLITE_OK)
		return operation_explain(o, code);
	code = sqlite3_step(statement);
	const bool found = code == SQLITE_ROW;
	if (found)
		*ret_number = sqlite3_column_int64(statement, 0);
	const int result = done(o, statement_end(statement, code));
	return result == 0 && !found ? -ENOENT : result;
}

int operation_text(struct operation *o, char *ret_text, size_t size, const char *sql, const char *text)
{
	sqlite3_stmt *statement;
	int code = statement_prepare(o->db, &statement, sql, "t", text);

	if (code != SQLITE_OK)
		return operation_explain(o, code);
	code = sqlite3_step(statement);
	const bool found = code == SQLITE_ROW;
	if (found)
		snprintf(ret_text, size, "%s", statement_text(statement, 0));
	const int result = done(o, statement_end(statement, code));
	return result == 0 && !found ? -ENOENT : result;
}
