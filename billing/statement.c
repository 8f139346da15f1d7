/* SQL in a line: see statement.h. */
#include "billing/statement.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "billing/utf8.h"

static int bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	size_t size = strlen(text);

	if (utf8_good(text, size) == size)
		return sqlite3_bind_text(statement, at, text, (int)size, SQLITE_TRANSIENT);
	char *clean = malloc(size);
	if (clean == NULL)
		return SQLITE_NOMEM;
	utf8_copy(clean, text, size);
	return sqlite3_bind_text(statement, at, clean, (int)size, free);
}

static int bind_all(sqlite3_stmt *statement, const char *types, va_list values)
{
	int code = SQLITE_OK;

	for (int at = 1; *types != '\0' && code == SQLITE_OK; at++, types++) {
		assert(*types == 'i' || *types == 't');
		if (*types == 'i')
			code = sqlite3_bind_int64(statement, at, va_arg(values, int64_t));
		else
			code = bind_text(statement, at, va_arg(values, const char *));
	}
	return code;
}

static int prepare(sqlite3 *db, sqlite3_stmt **ret_statement, const char *sql, const char *types, va_list values)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = bind_all(statement, types, values);
	if (code == SQLITE_OK)
		*ret_statement = statement;
	else
		sqlite3_finalize(statement);
	return code;
}

int statement_prepare(sqlite3 *db, sqlite3_stmt **ret_statement, const char *sql, const char *types, ...)
{
	va_list values;

	va_start(values, types);
	int code = prepare(db, ret_statement, sql, types, values);
	va_end(values);
	return code;
}

int statement_end(sqlite3_stmt *statement, int code)
{
	sqlite3_finalize(statement);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int statement_vrun(sqlite3 *db, const char *sql, const char *types, va_list values)
{
	sqlite3_stmt *statement;
	const int code = prepare(db, &statement, sql, types, values);

	return code == SQLITE_OK ? statement_end(statement, sqlite3_step(statement)) : code;
}

int statement_run(sqlite3 *db, const char *sql, const char *types, ...)
{
	va_list values;

	va_start(values, types);
	const int code = statement_vrun(db, sql, types, values);
	va_end(values);
	return code;
}

const char *statement_text(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text != NULL ? text : "";
}
