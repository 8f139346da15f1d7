/* CDRs in SQLite: data_dir/cdr.db, table `cdr` with the columns of spec 9, nothing NULL.  Rows are written in batches,
 * a batch in one transaction; a cdr_id that is already there is left as it is (a batch may be tried again after an
 * error).  Table `applied` has one row: how far in which journal the rows go. */
#ifndef RW_BILLING_STORE_H
#define RW_BILLING_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/sink.h"

struct cdr_store;

/* Opens or makes the database (WAL, synchronous=NORMAL), creates or migrates the schema (PRAGMA user_version).
 * 0 or a negative errno (-EBADMSG: damaged, -EPROTONOSUPPORT: written by a newer program, -EROFS: only readable);
 * *ret_error says why in a sentence (a static or store-owned text, valid until the next call). */
int cdr_store_open(const char *path, struct cdr_store **ret_store, const char **ret_error);
void cdr_store_close(struct cdr_store *store);
/* From now on a commit returns only when its rows would outlast a power failure. */
int cdr_store_sync_commits(struct cdr_store *store);

/* The file or its log was moved or deleted: nobody else sees what is written to it.  Close it, which saves what can be
 * saved, and open a new one. */
bool cdr_store_is_stale(struct cdr_store *store);

/* begin, add..., commit.  A record's texts must stay as they are until the commit or the rollback: rows go to SQLite
 * some at a time (the record itself and its attempts are copied).  Any failure: rollback, and the whole batch is given
 * again later.  -EINVAL from add: this record holds values without a name (the caller counts and skips it; the batch
 * goes on). -ESTALE from begin: it is stale.  Texts are cut to CDR_TEXT_MAX; NUL and bytes that are no UTF-8 are stored
 * as '?'. */
int cdr_store_begin(struct cdr_store *store);
int cdr_store_add(struct cdr_store *store, const struct cdr *cdr);
int cdr_store_commit(struct cdr_store *store);
void cdr_store_rollback(struct cdr_store *store);
const char *cdr_store_error(const struct cdr_store *store);

/* How far in the journal the rows go; zeroes: nothing was said yet. */
int cdr_store_position(struct cdr_store *store, struct sink_position *ret_position);
/* The same from the commit under way on; between begin and commit. */
int cdr_store_set_position(struct cdr_store *store, const struct sink_position *position);

/* All that as a sink, named "sqlite", whose commits outlast a power failure.  A database that was moved away or deleted
 * is made anew, and gets what the journal still holds.  0 or -ENOMEM. */
int cdr_sink_create(const char *path, struct sink *ret_sink);
void cdr_sink_free(struct sink *sink);

/* Reading, with its own read-only connection (`path` as above).  Each row is handed to `row` as column names and texts,
 * newest first.  since_us 0: no lower bound; account/gateway NULL or "": any (gateway matches either kind).
 * 0 or a negative errno, -ENOENT when there is no database yet. */
struct cdr_filter {
	uint32_t limit;   /* rows; 0: 100, never more than 100000 */
	int64_t since_us; /* start_us at or after this */
	const char *account;
	const char *gateway;
};
enum cdr_column_type { CDR_COLUMN_INTEGER, CDR_COLUMN_TEXT, CDR_COLUMN_JSON };
struct cdr_value {
	const char *name;
	enum cdr_column_type type;
	int64_t integer;
	const char *text; /* terminated; valid inside the callback */
};
typedef void cdr_row_fn(void *context, const struct cdr_value *values, unsigned count);
int cdr_store_list(const char *path, const struct cdr_filter *filter, cdr_row_fn *row, void *context,
		   char error[static 256]);

#endif
