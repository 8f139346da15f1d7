/* SQL in a line, for what is asked seldom: prepare, bind, step and finalize in one call.  Results are SQLite's. */
#ifndef RW_BILLING_STATEMENT_H
#define RW_BILLING_STATEMENT_H

#include <sqlite3.h>
#include <stdarg.h>

/* Prepares, and binds ?1, ?2, ... by `types`: 'i' an int64_t, 't' a terminated text (copied; bytes that are no UTF-8
 * become '?').  SQLITE_OK; else nothing is left to finalize. */
int statement_prepare(sqlite3 *db, sqlite3_stmt **ret_statement, const char *sql, const char *types, ...);

/* Runs a statement without rows to its end; SQLITE_OK. */
int statement_run(sqlite3 *db, const char *sql, const char *types, ...);
int statement_vrun(sqlite3 *db, const char *sql, const char *types, va_list values);

/* Finalizes one that was stepped: SQLITE_OK after its last row or a row, else the code. */
int statement_end(sqlite3_stmt *statement, int code);

/* A column that is never NULL. */
const char *statement_text(sqlite3_stmt *statement, int column);

#endif
