/* Writing CDRs: one prepared INSERT, one transaction a batch.  The columns are those of columns.h; the schema's steps
 * are spelled out below because they describe what is on disk and never change.
 *
 * The table keeps its rows in the order of writing and cdr_id has an index of its own.  Calls end in another order than
 * they began, so rows kept in the order of cdr_id would be written all over the file: measured with identifiers in
 * random order, that is half the rows a second (in order, four fifths). */
#include "billing/store.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/columns.h"
#include "billing/utf8.h"

#define BATCH_BUSY_MS 50 /* whoever writes a batch tries again on its own */

static const char *const steps[] = {
	"CREATE TABLE cdr ("
	"  cdr_id TEXT NOT NULL PRIMARY KEY, node TEXT NOT NULL, shard INTEGER NOT NULL,"
	"  mapping_gateway TEXT NOT NULL, routing_gateway TEXT NOT NULL,"
	"  account TEXT NOT NULL, vendor_account TEXT NOT NULL,"
	"  caller_in TEXT NOT NULL, callee_in TEXT NOT NULL, caller_out TEXT NOT NULL, callee_out TEXT NOT NULL,"
	"  source_address TEXT NOT NULL, destination_address TEXT NOT NULL,"
	"  call_id_a TEXT NOT NULL, call_id_b TEXT NOT NULL,"
	"  start_us INTEGER NOT NULL, ringing_us INTEGER NOT NULL,"
	"  connect_us INTEGER NOT NULL, end_us INTEGER NOT NULL,"
	"  pdd_ms INTEGER NOT NULL, hold_ms INTEGER NOT NULL, billed_s INTEGER NOT NULL,"
	"  end_side TEXT NOT NULL, end_reason TEXT NOT NULL, sip_code INTEGER NOT NULL, q850 INTEGER NOT NULL,"
	"  attempts TEXT NOT NULL, session_timer TEXT NOT NULL,"
	"  refreshes_sent INTEGER NOT NULL, refreshes_confirmed INTEGER NOT NULL, last_confirmed_us INTEGER NOT NULL,"
	"  rate_prefix TEXT NOT NULL, rate TEXT NOT NULL, fee TEXT NOT NULL, cost TEXT NOT NULL,"
	"  recovered INTEGER NOT NULL);"
	"CREATE INDEX cdr_start_us ON cdr (start_us);",
};

const struct database_schema cdr_schema = { .steps = steps, .version = sizeof(steps) / sizeof(steps[0]) };

#define MARK_FIRST(name, type) "?"
#define MARK_NEXT(name, type)  ", ?"
#define INSERT_SQL                                                                                                     \
	"INSERT INTO cdr (" CDR_COLUMN_NAMES                                                                           \
	") VALUES (" CDR_COLUMNS(MARK_FIRST, MARK_NEXT) ")"                                                            \
							" ON CONFLICT (cdr_id) DO NOTHING"

/* Touches the roots of the table and of its index: a database that lost its end is found out at the start. */
#define PROBE_SQL "SELECT " CDR_COLUMN_NAMES " FROM cdr ORDER BY start_us DESC LIMIT 1"

struct cdr_store {
	sqlite3 *db;
	sqlite3_stmt *insert, *begin, *commit, *rollback;
	char *path;
	struct database_log log;
	char error[DATABASE_ERROR_BYTES]; /* of the last call that failed */
};

static int fail(struct cdr_store *store, int code)
{
	return database_explain(store->db, store->path, code, store->error);
}

/* ---- opening ---- */

static int prepare(struct cdr_store *store)
{
	const struct {
		sqlite3_stmt **statement;
		const char *sql;
	} wanted[] = {
		{ &store->insert, INSERT_SQL },
		{ &store->begin, "BEGIN IMMEDIATE" },
		{ &store->commit, "COMMIT" },
		{ &store->rollback, "ROLLBACK" },
	};

	int code = sqlite3_exec(store->db, PROBE_SQL, NULL, NULL, NULL);
	for (size_t i = 0; code == SQLITE_OK && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		code = sqlite3_prepare_v3(store->db, wanted[i].sql, -1, SQLITE_PREPARE_PERSISTENT, wanted[i].statement,
					  NULL);
	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(store->db, BATCH_BUSY_MS);
	database_log_note(store->path, &store->log); /* the probe has opened it */
	return code == SQLITE_OK ? 0 : fail(store, code);
}

int cdr_store_open(const char *path, struct cdr_store **ret_store, const char **ret_error)
{
	static _Thread_local char error[DATABASE_ERROR_BYTES];
	struct cdr_store *store = calloc(1, sizeof(*store));
	int result = -ENOMEM;

	*ret_error = "out of memory";
	if (store == NULL)
		return result;
	store->path = strdup(path);
	if (store->path != NULL) {
		result = database_open(path, &cdr_schema, &store->db, store->error);
		if (result == 0)
			result = prepare(store);
		memcpy(error, store->error, sizeof(error));
		*ret_error = error;
	}
	if (result < 0) {
		cdr_store_close(store);
		return result;
	}
	*ret_store = store;
	return 0;
}

void cdr_store_close(struct cdr_store *store)
{
	if (store == NULL)
		return;
	sqlite3_finalize(store->insert);
	sqlite3_finalize(store->begin);
	sqlite3_finalize(store->commit);
	sqlite3_finalize(store->rollback);
	database_close(store->db);
	free(store->path);
	free(store);
}

int cdr_store_sync_commits(struct cdr_store *store)
{
	const int code = sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(store, code);
}

const char *cdr_store_error(const struct cdr_store *store)
{
	return store->error;
}

/* ---- transactions ---- */

static int run(struct cdr_store *store, sqlite3_stmt *statement)
{
	const int code = sqlite3_step(statement);
	const int result = code == SQLITE_DONE ? 0 : fail(store, code);

	sqlite3_reset(statement);
	return result;
}

bool cdr_store_is_stale(struct cdr_store *store)
{
	return database_is_moved(store->db) || database_log_is_gone(store->path, &store->log);
}

int cdr_store_begin(struct cdr_store *store)
{
	assert(sqlite3_get_autocommit(store->db));
	if (cdr_store_is_stale(store)) {
		snprintf(store->error, sizeof(store->error), "%s: it or its log was moved or deleted while in use",
			 store->path);
		return -ESTALE;
	}
	return run(store, store->begin);
}

int cdr_store_commit(struct cdr_store *store)
{
	return run(store, store->commit);
}

void cdr_store_rollback(struct cdr_store *store)
{
	/* Some errors (full disk, I/O) have ended the transaction already. */
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_step(store->rollback);
	sqlite3_reset(store->rollback);
}

/* ---- one row ---- */

/* Binds a text that stays where it is until the row is written, cut and cleaned. */
static int bind_text(struct cdr_store *store, enum cdr_column column, struct cdr_text text)
{
	char clean[CDR_TEXT_MAX];
	const size_t size = text.size < CDR_TEXT_MAX ? text.size : CDR_TEXT_MAX;

	if (size == 0)
		return sqlite3_bind_text(store->insert, (int)column + 1, "", 0, SQLITE_STATIC);
	if (utf8_good(text.at, size) == size)
		return sqlite3_bind_text(store->insert, (int)column + 1, text.at, (int)size, SQLITE_STATIC);
	utf8_copy(clean, text.at, size);
	return sqlite3_bind_text(store->insert, (int)column + 1, clean, (int)size, SQLITE_TRANSIENT);
}

static int bind_name(struct cdr_store *store, enum cdr_column column, const char *name)
{
	return sqlite3_bind_text(store->insert, (int)column + 1, name, -1, SQLITE_STATIC);
}

static json_t *attempt_to_json(const struct cdr_attempt *attempt)
{
	char gateway[CDR_GATEWAY_MAX];
	const size_t size = attempt->gateway.size < sizeof(gateway) ? attempt->gateway.size : sizeof(gateway);

	if (size != 0)
		utf8_copy(gateway, attempt->gateway.at, size);
	return json_pack("{s:o, s:i, s:I}", "gateway", json_stringn(gateway, size), "code", (int)attempt->code, "ms",
			 (json_int_t)attempt->ms);
}

/* [{"gateway": "vendor-a", "code": 503, "ms": 120}, ...] */
static int bind_attempts(struct cdr_store *store, const struct cdr *cdr)
{
	char *text = NULL;

	if (cdr->attempts_count == 0)
		return bind_name(store, COLUMN_attempts, "[]");

	json_t *list = json_array();
	bool complete = list != NULL;
	for (uint32_t i = 0; complete && i < cdr->attempts_count; i++)
		complete = json_array_append_new(list, attempt_to_json(&cdr->attempts[i])) == 0;
	if (complete)
		text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	if (text == NULL)
		return SQLITE_NOMEM;
	return sqlite3_bind_text(store->insert, COLUMN_attempts + 1, text, -1, free);
}

static int bind_row(struct cdr_store *store, const struct cdr *cdr)
{
	static const char *const timers[] = {
		[0] = "none",
		[CDR_TIMER_A] = "a",
		[CDR_TIMER_B] = "b",
		[CDR_TIMER_A | CDR_TIMER_B] = "a+b",
	};
	const struct cdr_text id = { .at = cdr->cdr_id, .size = CDR_ID_SIZE };
	int code = bind_text(store, COLUMN_cdr_id, id);

#define TEXT(name) code = code != SQLITE_OK ? code : bind_text(store, COLUMN_##name, cdr->name)
#define NUMBER(name)                                                                                                   \
	code = code != SQLITE_OK ? code : sqlite3_bind_int64(store->insert, COLUMN_##name + 1, (sqlite3_int64)cdr->name)
#define NAME(column, name) code = code != SQLITE_OK ? code : bind_name(store, COLUMN_##column, name)
	TEXT(node);
	NUMBER(shard);
	TEXT(mapping_gateway);
	TEXT(routing_gateway);
	TEXT(account);
	TEXT(vendor_account);
	TEXT(caller_in);
	TEXT(callee_in);
	TEXT(caller_out);
	TEXT(callee_out);
	TEXT(source_address);
	TEXT(destination_address);
	TEXT(call_id_a);
	TEXT(call_id_b);
	NUMBER(start_us);
	NUMBER(ringing_us);
	NUMBER(connect_us);
	NUMBER(end_us);
	NUMBER(pdd_ms);
	NUMBER(hold_ms);
	NUMBER(billed_s);
	NAME(end_side, cdr_side_name(cdr->end_side));
	NAME(end_reason, cdr_end_reason_name(cdr->end_reason));
	NUMBER(sip_code);
	NUMBER(q850);
	NAME(session_timer, timers[cdr->session_timer]);
	NUMBER(refreshes_sent);
	NUMBER(refreshes_confirmed);
	NUMBER(last_confirmed_us);
	TEXT(rate_prefix);
	TEXT(rate);
	TEXT(fee);
	TEXT(cost);
	NUMBER(recovered);
#undef NAME
#undef NUMBER
#undef TEXT
	return code != SQLITE_OK ? code : bind_attempts(store, cdr);
}

int cdr_store_add(struct cdr_store *store, const struct cdr *cdr)
{
	if (cdr->end_side >= CDR_SIDE_COUNT || cdr->end_reason >= CDR_END_REASON_COUNT ||
	    cdr->session_timer > (CDR_TIMER_A | CDR_TIMER_B)) {
		snprintf(store->error, sizeof(store->error), "a record holds values that have no name");
		return -EINVAL;
	}
	/* Outside of a transaction each row would wait for the disk, and a failed batch would be half written. */
	assert(!sqlite3_get_autocommit(store->db));
	const int code = bind_row(store, cdr);
	return code == SQLITE_OK ? run(store, store->insert) : fail(store, code);
}
