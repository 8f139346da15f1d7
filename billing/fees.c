#include "billing/fees.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/cdr.h"
#include "billing/ledger.h"

struct fee {
	char cdr_id[CDR_ID_SIZE + 1];
	int64_t fee_e8;
};

struct fees {
	struct fee *list; /* in order of their cdr_id */
	size_t count, size;
};

static struct fee *one_more(struct fees *f)
{
	if (f->count == f->size) {
		const size_t size = f->size > 0 ? 2 * f->size : 64;
		struct fee *list = reallocarray(f->list, size, sizeof(*list));
		if (list == NULL)
			return NULL;
		f->list = list;
		f->size = size;
	}
	return &f->list[f->count++];
}

/* A result of SQLite. */
static int read_all(sqlite3_stmt *statement, struct fees *f)
{
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct fee *fee = one_more(f);
		if (fee == NULL)
			return SQLITE_NOMEM;
		snprintf(fee->cdr_id, sizeof(fee->cdr_id), "%s", (const char *)sqlite3_column_text(statement, 0));
		fee->fee_e8 = sqlite3_column_int64(statement, 1);
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The bounds in the terms of cdr_id, which begins with start_us. */
static int read_some(sqlite3 *db, const struct cdr_filter *filter, struct fees *f)
{
	char from[CDR_ID_SIZE + 1] = "", to[CDR_ID_SIZE + 1] = "~"; /* behind all digits */
	sqlite3_stmt *statement;

	if (filter->since_us > 0)
		snprintf(from, sizeof(from), "%0*" PRIx64, CDR_ID_START_DIGITS, (uint64_t)filter->since_us);
	if (filter->until_us > 0 && filter->until_us >> (4 * CDR_ID_START_DIGITS) == 0)
		snprintf(to, sizeof(to), "%0*" PRIx64, CDR_ID_START_DIGITS, (uint64_t)filter->until_us);
	int code = sqlite3_prepare_v2(db,
				      "SELECT cdr_id, fee_e8 FROM corrections WHERE cdr_id >= ?1 AND cdr_id < ?2"
				      " ORDER BY cdr_id",
				      -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(statement, 1, from, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(statement, 2, to, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = read_all(statement, f);
	sqlite3_finalize(statement);
	return code;
}

int fees_load(const char *path, const struct cdr_filter *filter, struct fees **ret_fees,
	      char error[static CDR_READ_ERROR_BYTES])
{
	struct fees *f = calloc(1, sizeof(*f));
	sqlite3 *db;

	if (f == NULL) {
		snprintf(error, CDR_READ_ERROR_BYTES, "no memory for corrected fees");
		return -ENOMEM;
	}
	int result = database_open_read(path, &ledger_schema, &db, error);
	if (result == 0) {
		const int code = read_some(db, filter, f);
		if (code != SQLITE_OK)
			result = database_explain(db, path, code, error);
		sqlite3_close(db);
	} else if (result == -ENOENT) {
		result = 0;
	}
	if (result < 0)
		fees_free(f);
	else
		*ret_fees = f;
	return result;
}

void fees_free(struct fees *f)
{
	if (f == NULL)
		return;
	free(f->list);
	free(f);
}

static int by_id(const void *cdr_id, const void *fee)
{
	return strcmp(cdr_id, ((const struct fee *)fee)->cdr_id);
}

bool fees_find(const struct fees *f, const char *cdr_id, int64_t *ret_fee_e8)
{
	const struct fee *fee =
		f != NULL && f->count > 0 ? bsearch(cdr_id, f->list, f->count, sizeof(*f->list), by_id) : NULL;

	if (fee != NULL)
		*ret_fee_e8 = fee->fee_e8;
	return fee != NULL;
}

size_t fees_count(const struct fees *f)
{
	return f != NULL ? f->count : 0;
}

const char *fees_at(const struct fees *f, size_t index, int64_t *ret_fee_e8)
{
	assert(index < f->count);
	*ret_fee_e8 = f->list[index].fee_e8;
	return f->list[index].cdr_id;
}
