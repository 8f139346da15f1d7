/* Writing CDRs: one prepared INSERT, one transaction a batch.  The columns are those of columns.h; the schema's steps
 * are spelled out below because they describe what is on disk and never change.
 *
 * The table keeps its rows in the order of writing and cdr_id has an index of its own.  Calls end in another order than
 * they began, so rows kept in the order of cdr_id would be written all over the file: measured with identifiers in
 * random order, that is half the rows a second (in order, four fifths). */
#include "billing/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/attempts.h"
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
	"DROP INDEX IF EXISTS cdr_start_us;", /* cdr_id begins with start_us: its own index sorts by time too */
	("CREATE TABLE applied (only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),"
	 "  journal INTEGER NOT NULL, position INTEGER NOT NULL);"),
};

const struct database_schema cdr_schema = { .steps = steps, .version = sizeof(steps) / sizeof(steps[0]) };

/* One INSERT of many rows costs a sixth less than as many INSERTs: opening the table, the way in and out of SQLite and
 * four allocations come once.  Nothing but a failure of the whole batch stops one, so OR FAIL spares the copies of
 * pages with which SQLite could undo a part. */
#define ROWS_MAX               32
#define INSERT_HEAD            "INSERT OR FAIL INTO cdr (" CDR_COLUMN_NAMES ") VALUES "
#define INSERT_TAIL            " ON CONFLICT (cdr_id) DO NOTHING"
#define MARK_FIRST(name, type) "(?"
#define MARK_NEXT(name, type)  ", ?"
#define ROW_MARKS              CDR_COLUMNS(MARK_FIRST, MARK_NEXT) ")"

/* Touches the roots of the table and of its index: a database that lost its end is found out at the start. */
#define PROBE_SQL "SELECT " CDR_COLUMN_NAMES " FROM cdr ORDER BY cdr_id DESC LIMIT 1"

#define POSITION_SQL "SELECT journal, position FROM applied"
/* Numbers of 64 bits, kept as what SQLite has: the same bits with a sign. */
#define SET_POSITION_SQL                                                                                               \
	"INSERT INTO applied (only, journal, position) VALUES (1, ?, ?)"                                               \
	" ON CONFLICT (only) DO UPDATE SET journal = excluded.journal, position = excluded.position"

/* What is bound to a column and was so for the last row too: bindings outlive the step. */
struct bound {
	bool number_known;
	sqlite3_int64 number;
	const char *constant; /* NULL: the text of one record */
};

struct insert {
	sqlite3_stmt *statement;
	unsigned rows;
	struct bound bound[ROWS_MAX * CDR_COLUMN_COUNT];
};

/* A record that was added and is not yet given to SQLite; its texts are still its owner's, but for those of the
 * attempts. */
struct pending {
	struct cdr cdr;
	const char *attempts;
	size_t attempts_size;
};

struct cdr_store {
	sqlite3 *db;
	sqlite3_stmt *begin, *commit, *rollback, *set_position;
	struct insert one, many;
	char *path;
	struct database_log log;
	struct pending pending[ROWS_MAX];
	unsigned pending_count;
	size_t attempts_used;
	char attempts[2 * ATTEMPTS_TEXT_MAX]; /* of those pending */
	char error[DATABASE_ERROR_BYTES];     /* of the last call that failed */
};

/* Compared by address. */
static const char empty[] = "", no_attempts[] = "[]";

static int fail(struct cdr_store *store, int code)
{
	return database_explain(store->db, store->path, code, store->error);
}

/* ---- opening ---- */

static int prepare_statement(struct cdr_store *store, const char *sql, sqlite3_stmt **ret_statement)
{
	return sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);
}

static int prepare_insert(struct cdr_store *store, struct insert *insert, unsigned rows)
{
	static const char head[] = INSERT_HEAD, row[] = ROW_MARKS, next_row[] = ", " ROW_MARKS, tail[] = INSERT_TAIL;
	char sql[sizeof(head) + ROWS_MAX * sizeof(next_row) + sizeof(tail)];
	char *at = stpcpy(stpcpy(sql, head), row);

	for (unsigned i = 1; i < rows; i++)
		at = stpcpy(at, next_row);
	stpcpy(at, tail);
	insert->rows = rows;
	return prepare_statement(store, sql, &insert->statement);
}

static int prepare(struct cdr_store *store)
{
	const struct {
		sqlite3_stmt **statement;
		const char *sql;
	} wanted[] = {
		{ &store->begin, "BEGIN IMMEDIATE" },
		{ &store->commit, "COMMIT" },
		{ &store->rollback, "ROLLBACK" },
		{ &store->set_position, SET_POSITION_SQL },
	};

	int code = sqlite3_exec(store->db, PROBE_SQL, NULL, NULL, NULL);
	for (size_t i = 0; code == SQLITE_OK && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		code = prepare_statement(store, wanted[i].sql, wanted[i].statement);
	if (code == SQLITE_OK)
		code = prepare_insert(store, &store->one, 1);
	if (code == SQLITE_OK)
		code = prepare_insert(store, &store->many, ROWS_MAX);
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
	sqlite3_finalize(store->one.statement);
	sqlite3_finalize(store->many.statement);
	sqlite3_finalize(store->begin);
	sqlite3_finalize(store->commit);
	sqlite3_finalize(store->rollback);
	sqlite3_finalize(store->set_position);
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

static int run(struct cdr_store *store, sqlite3_stmt *statement)
{
	const int code = sqlite3_step(statement);
	const int result = code == SQLITE_DONE ? 0 : fail(store, code);

	sqlite3_reset(statement);
	return result;
}

/* ---- rows ---- */

/* One row of a statement that is being bound. */
struct row {
	struct insert *insert;
	unsigned first; /* its first column among those of the statement */
};

static int bind_number(struct row row, enum cdr_column column, sqlite3_int64 number)
{
	const unsigned at = row.first + column;
	struct bound *bound = &row.insert->bound[at];

	if (bound->number_known && bound->number == number)
		return SQLITE_OK;
	*bound = (struct bound){ .number_known = true, .number = number };
	return sqlite3_bind_int64(row.insert->statement, (int)at + 1, number);
}

/* A text that lives as long as the program. */
static int bind_constant(struct row row, enum cdr_column column, const char *text)
{
	const unsigned at = row.first + column;
	struct bound *bound = &row.insert->bound[at];

	if (bound->constant == text)
		return SQLITE_OK;
	bound->constant = text;
	return sqlite3_bind_text(row.insert->statement, (int)at + 1, text, -1, SQLITE_STATIC);
}

/* A text that stays where it is until the statement has run and needs no cleaning. */
static int bind_own(struct row row, enum cdr_column column, const char *text, size_t size)
{
	const unsigned at = row.first + column;

	row.insert->bound[at].constant = NULL;
	return sqlite3_bind_text(row.insert->statement, (int)at + 1, text, (int)size, SQLITE_STATIC);
}

/* The same, cut and cleaned. */
static int bind_text(struct row row, enum cdr_column column, struct cdr_text text)
{
	const unsigned at = row.first + column;
	const size_t size = text.size < CDR_TEXT_MAX ? text.size : CDR_TEXT_MAX;
	char clean[CDR_TEXT_MAX];

	if (size == 0)
		return bind_constant(row, column, empty);
	if (utf8_good(text.at, size) == size)
		return bind_own(row, column, text.at, size);
	row.insert->bound[at].constant = NULL;
	utf8_copy(clean, text.at, size);
	return sqlite3_bind_text(row.insert->statement, (int)at + 1, clean, (int)size, SQLITE_TRANSIENT);
}

static int bind_row(struct row row, const struct pending *pending)
{
	static const char *const timers[] = {
		[0] = "none",
		[CDR_TIMER_A] = "a",
		[CDR_TIMER_B] = "b",
		[CDR_TIMER_A | CDR_TIMER_B] = "a+b",
	};
	const struct cdr *cdr = &pending->cdr;
	const struct cdr_text id = { .at = cdr->cdr_id, .size = CDR_ID_SIZE };
	int code = bind_text(row, COLUMN_cdr_id, id);

#define BIND(call)         code = code != SQLITE_OK ? code : (call)
#define TEXT(name)         BIND(bind_text(row, COLUMN_##name, cdr->name))
#define NUMBER(name)       BIND(bind_number(row, COLUMN_##name, (sqlite3_int64)cdr->name))
#define NAME(column, name) BIND(bind_constant(row, COLUMN_##column, name))
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
	if (pending->attempts_size == 0)
		NAME(attempts, no_attempts);
	else
		BIND(bind_own(row, COLUMN_attempts, pending->attempts, pending->attempts_size));
#undef NAME
#undef NUMBER
#undef TEXT
#undef BIND
	return code;
}

/* Gives pending[first] and as many after it as the statement takes to SQLite. */
static int insert_pending(struct cdr_store *store, struct insert *insert, unsigned first)
{
	for (unsigned i = 0; i < insert->rows; i++) {
		const struct row row = { .insert = insert, .first = i * CDR_COLUMN_COUNT };
		const int code = bind_row(row, &store->pending[first + i]);
		if (code != SQLITE_OK)
			return fail(store, code);
	}
	return run(store, insert->statement);
}

static int flush(struct cdr_store *store)
{
	int result = 0;

	if (store->pending_count == store->many.rows)
		result = insert_pending(store, &store->many, 0);
	else
		for (unsigned i = 0; result == 0 && i < store->pending_count; i++)
			result = insert_pending(store, &store->one, i);
	store->pending_count = 0;
	store->attempts_used = 0;
	return result;
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
	struct pending *pending = &store->pending[store->pending_count++];
	pending->cdr = *cdr;
	pending->attempts = store->attempts + store->attempts_used;
	pending->attempts_size = 0;
	if (cdr->attempts_count != 0)
		pending->attempts_size =
			attempts_write(cdr->attempts, cdr->attempts_count, store->attempts + store->attempts_used);
	store->attempts_used += pending->attempts_size;
	if (store->pending_count < ROWS_MAX && store->attempts_used <= ATTEMPTS_TEXT_MAX)
		return 0;
	return flush(store);
}

/* ---- transactions ---- */

bool cdr_store_is_stale(struct cdr_store *store)
{
	return database_is_moved(store->db) || database_log_is_gone(store->path, &store->log);
}

int cdr_store_begin(struct cdr_store *store)
{
	assert(sqlite3_get_autocommit(store->db) && store->pending_count == 0);
	if (cdr_store_is_stale(store)) {
		snprintf(store->error, sizeof(store->error), "%s: it or its log was moved or deleted while in use",
			 store->path);
		return -ESTALE;
	}
	return run(store, store->begin);
}

int cdr_store_commit(struct cdr_store *store)
{
	const int result = flush(store);

	return result == 0 ? run(store, store->commit) : result;
}

void cdr_store_rollback(struct cdr_store *store)
{
	store->pending_count = 0;
	store->attempts_used = 0;
	/* Some errors (full disk, I/O) have ended the transaction already. */
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_step(store->rollback);
	sqlite3_reset(store->rollback);
}

/* ---- how far the rows go ---- */

int cdr_store_position(struct cdr_store *store, struct sink_position *ret_position)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(store->db, POSITION_SQL, -1, &statement, NULL);

	*ret_position = (struct sink_position){ 0 };
	if (code != SQLITE_OK)
		return fail(store, code);
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		ret_position->journal = (uint64_t)sqlite3_column_int64(statement, 0);
		ret_position->position = (uint64_t)sqlite3_column_int64(statement, 1);
	}
	const int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : fail(store, code);
	sqlite3_finalize(statement);
	return result;
}

int cdr_store_set_position(struct cdr_store *store, const struct sink_position *position)
{
	assert(!sqlite3_get_autocommit(store->db));
	sqlite3_bind_int64(store->set_position, 1, (sqlite3_int64)position->journal);
	sqlite3_bind_int64(store->set_position, 2, (sqlite3_int64)position->position);
	return run(store, store->set_position);
}

/* ---- as a sink ---- */

struct cdr_sink {
	struct cdr_store *store; /* NULL: not open */
	char path[];
};

static int sink_open(void *context, struct sink_position *ret_position, char error[static SINK_ERROR_BYTES])
{
	struct cdr_sink *sink = context;
	const char *why = "";
	int result = cdr_store_open(sink->path, &sink->store, &why);

	if (result < 0) {
		snprintf(error, SINK_ERROR_BYTES, "%s", why);
		return result;
	}
	/* The journal forgets what was committed, so a commit must not wait for a later checkpoint of the log. */
	result = cdr_store_sync_commits(sink->store);
	if (result == 0)
		result = cdr_store_position(sink->store, ret_position);
	if (result < 0) {
		snprintf(error, SINK_ERROR_BYTES, "%s", cdr_store_error(sink->store));
		cdr_store_close(sink->store);
		sink->store = NULL;
	}
	return result;
}

static int sink_begin(void *context)
{
	return cdr_store_begin(((struct cdr_sink *)context)->store);
}

static int sink_add(void *context, const struct cdr *cdr)
{
	return cdr_store_add(((struct cdr_sink *)context)->store, cdr);
}

static int sink_commit(void *context, const struct sink_position *position)
{
	struct cdr_store *store = ((struct cdr_sink *)context)->store;
	const int result = cdr_store_set_position(store, position);

	return result == 0 ? cdr_store_commit(store) : result;
}

static void sink_rollback(void *context)
{
	cdr_store_rollback(((struct cdr_sink *)context)->store);
}

/* A connection that failed in another way may go on failing though its file is well again. */
static bool sink_reopen(void *context, int failure)
{
	(void)context;
	return failure != -EBUSY && failure != -ENOSPC && failure != -ENOMEM;
}

static const char *sink_error(void *context)
{
	return cdr_store_error(((struct cdr_sink *)context)->store);
}

static bool sink_stale(void *context)
{
	return cdr_store_is_stale(((struct cdr_sink *)context)->store);
}

static void sink_close(void *context)
{
	struct cdr_sink *sink = context;

	cdr_store_close(sink->store);
	sink->store = NULL;
}

int cdr_sink_create(const char *path, struct sink *ret_sink)
{
	struct cdr_sink *sink = calloc(1, sizeof(*sink) + strlen(path) + 1);

	if (sink == NULL)
		return -ENOMEM;
	strcpy(sink->path, path);
	*ret_sink = (struct sink){ .name = "sqlite",
				   .context = sink,
				   .open = sink_open,
				   .begin = sink_begin,
				   .add = sink_add,
				   .commit = sink_commit,
				   .rollback = sink_rollback,
				   .reopen = sink_reopen,
				   .error = sink_error,
				   .stale = sink_stale,
				   .close = sink_close };
	return 0;
}

void cdr_sink_free(struct sink *sink)
{
	struct cdr_sink *own = sink->context;

	if (own == NULL)
		return;
	assert(own->store == NULL);
	free(own);
	sink->context = NULL;
}
