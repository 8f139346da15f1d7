/* Rate tables in ringwheel.db (ledger.h): a table is replaced as a whole, from a file.  Errors as in accounts.h.  */
#ifndef RW_BILLING_RATES_H
#define RW_BILLING_RATES_H

#include <stdint.h>
#include <stdio.h>

#include "billing/accounts.h"
#include "billing/rates_csv.h"

struct rates_import {
	uint64_t rows;   /* in the table now */
	uint64_t before; /* that it had */
	uint64_t faults; /* bad rows: then nothing was changed */
};

/* Replaces all rows of a table, which is made if it is not there, by those of a CSV file, in one transaction.
 * -EINVAL: no row at all; or bad rows: *ret_text names the first of them, a line each (malloc'ed, the caller frees it;
 * NULL without). */
int rates_import(const char *path, const char *table, const char *file, int64_t now_us, struct rates_import *ret_import,
		 char **ret_text, char error[static DATABASE_ERROR_BYTES]);

/* Writes a table as CSV into a new file, which then takes the name `file` (mode 0640); only a regular file is
 * replaced. */
int rates_export(const char *path, const char *table, const char *file, uint64_t *ret_rows,
		 char error[static DATABASE_ERROR_BYTES]);
/* The same as a text (malloc'ed) of at most RATES_TEXT_MAX bytes; -EFBIG: larger. */
#define RATES_TEXT_MAX (16u << 20)
int rates_export_text(const char *path, const char *table, uint64_t *ret_rows, char **ret_text,
		      char error[static DATABASE_ERROR_BYTES]);

/* -EBUSY: accounts use it. */
int rates_delete(const char *path, const char *table, uint64_t *ret_rows, char error[static DATABASE_ERROR_BYTES]);

struct rate_table_row {
	const char *name; /* lent */
	uint64_t rows, accounts;
	int64_t imported_us;
};
/* In order of their names; a database that is not there has none. */
int rates_list(const char *path, void (*row)(void *context, const struct rate_table_row *row), void *context,
	       char error[static DATABASE_ERROR_BYTES]);
/* The rows of one table in order of their prefixes, those that begin with `prefix`, at most `limit`. */
int rates_rows(const char *path, const char *table, const char *prefix, uint32_t limit,
	       void (*row)(void *context, const struct rate_line *row), void *context,
	       char error[static DATABASE_ERROR_BYTES]);

/* The rate of a number (digits) at a time, as tariff_rate() finds it.  The table is named, or an account whose it is.
 * -ENOENT with a sentence: no such table or account, or none has a rate in effect. */
int rates_lookup(const char *path, const char *table, const char *account, const char *number, int64_t at_us,
		 void (*row)(void *context, const char *table, const struct rate_line *row), void *context,
		 char error[static DATABASE_ERROR_BYTES]);

#endif
