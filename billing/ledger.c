/* The schema of ringwheel.db, and the sink that charges calls: see ledger.h.
 *
 * The sink keeps the accounts in memory, sorted by name, and reads them again whenever another connection has changed
 * the database: it looks at PRAGMA data_version when it has the write lock, so what it knows is true until it commits.
 * What a batch comes to is added up by account, so that each balance is written once a batch. */
#include "billing/ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/money.h"
#include "billing/statement.h"

/* An import of rates has the lock for a second or two; a sink that waits in vain is asked again. */
#define SINK_BUSY_MS 1000

/* The steps are spelled out because they describe what is on disk and never change.  9223372036854775807 is
 * OVERDRAFT_UNLIMITED and a time without bound.  A charge is found again by ledger_charge (by whoever
 * asks with its WHERE as a term).  OR rather than IN: measured with two rows a call, IN takes half as much time again.
 */
static const char *const steps[] = {
	"CREATE TABLE rate_tables ("
	"  id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),"
	"  rows INTEGER NOT NULL, imported_us INTEGER NOT NULL);"
	"CREATE TABLE rates ("
	"  rate_table INTEGER NOT NULL,"
	"  prefix TEXT NOT NULL CHECK (prefix NOT GLOB '*[^0-9]*' AND length(prefix) <= 31),"
	"  name TEXT NOT NULL, rate_per_minute_e8 INTEGER NOT NULL CHECK (rate_per_minute_e8 >= 0),"
	"  connect_fee_e8 INTEGER NOT NULL CHECK (connect_fee_e8 >= 0),"
	"  first_increment_s INTEGER NOT NULL, next_increment_s INTEGER NOT NULL, grace_s INTEGER NOT NULL,"
	"  effective_from_us INTEGER NOT NULL, effective_to_us INTEGER NOT NULL,"
	"  PRIMARY KEY (rate_table, prefix, effective_from_us)) WITHOUT ROWID;"
	"CREATE TABLE accounts ("
	"  id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),"
	"  currency TEXT NOT NULL CHECK (length(currency) <= 7), balance_e8 INTEGER NOT NULL"
	"  CHECK (typeof(balance_e8) = 'integer'), overdraft_e8 INTEGER NOT NULL CHECK (overdraft_e8 >= 0),"
	"  rate_table INTEGER NOT NULL, locked INTEGER NOT NULL CHECK (locked IN (0, 1)),"
	"  bill_until TEXT NOT NULL CHECK (bill_until IN ('teardown', 'last_confirmed')), created_us INTEGER NOT NULL);"
	"CREATE TABLE ledger ("
	"  id INTEGER NOT NULL PRIMARY KEY, when_us INTEGER NOT NULL, account INTEGER NOT NULL,"
	"  kind TEXT NOT NULL CHECK (kind = 'charge' OR kind = 'cost' OR kind = 'topup' OR kind = 'adjust'),"
	"  amount_e8 INTEGER NOT NULL,"
	"  cdr_id TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL);"
	"CREATE UNIQUE INDEX ledger_charge ON ledger (cdr_id, account, kind) WHERE kind = 'charge' OR kind = 'cost';"
	"CREATE INDEX ledger_account ON ledger (account);"
	"CREATE TABLE corrections ("
	"  cdr_id TEXT NOT NULL PRIMARY KEY, account INTEGER NOT NULL, original_e8 INTEGER NOT NULL,"
	"  fee_e8 INTEGER NOT NULL, when_us INTEGER NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE applied ("
	"  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), journal INTEGER NOT NULL, position INTEGER NOT NULL);"
	"INSERT INTO applied VALUES (1, 0, 0);",
};

const struct database_schema ledger_schema = { steps, sizeof(steps) / sizeof(steps[0]) };

/* ---- the sink ---- */

struct book {
	char name[ACCOUNT_NAME_MAX + 1];
	int64_t id;         /* of its row */
	int64_t balance_e8; /* as it is in the database */
	int64_t moved_e8;   /* in this batch */
};

struct ledger_sink {
	char *path;
	sqlite3 *db;
	bool opened; /* once at least */
	struct database_log log;
	sqlite3_stmt *begin, *commit, *rollback, *version, *insert, *balance, *applied;
	struct book *books; /* by name */
	size_t book_count, book_max;
	int64_t books_version; /* data_version they were read at; -1: they are not known */
	char error[SINK_ERROR_BYTES];
};

static_assert(SINK_ERROR_BYTES == DATABASE_ERROR_BYTES, "a sentence fits");

static int fail(struct ledger_sink *l, int code)
{
	return database_explain(l->db, l->path, code, l->error);
}

static int run(struct ledger_sink *l, sqlite3_stmt *statement)
{
	const int code = sqlite3_step(statement);
	const int result = code == SQLITE_DONE ? 0 : fail(l, code);

	sqlite3_reset(statement);
	return result;
}

static int prepare(struct ledger_sink *l)
{
	const struct {
		sqlite3_stmt **statement;
		const char *sql;
	} wanted[] = {
		{ &l->begin, "BEGIN IMMEDIATE" },
		{ &l->commit, "COMMIT" },
		{ &l->rollback, "ROLLBACK" },
		{ &l->version, "PRAGMA data_version" },
		{ &l->insert, "INSERT INTO ledger (when_us, account, kind, amount_e8, cdr_id, who, reason)"
			      " VALUES (?1, ?2, ?3, ?4, ?5, '', '') ON CONFLICT DO NOTHING" },
		{ &l->balance, "UPDATE accounts SET balance_e8 = ?2 WHERE id = ?1" },
		{ &l->applied, "UPDATE applied SET journal = ?1, position = ?2" },
	};
	int code = sqlite3_exec(l->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);

	for (size_t i = 0; code == SQLITE_OK && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		code = sqlite3_prepare_v3(l->db, wanted[i].sql, -1, SQLITE_PREPARE_PERSISTENT, wanted[i].statement,
					  NULL);
	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(l->db, SINK_BUSY_MS);
	return code == SQLITE_OK ? 0 : fail(l, code);
}

/* Also makes sure that the log is there before it is noted. */
static int read_position(struct ledger_sink *l, struct sink_position *ret_position)
{
	sqlite3_stmt *statement;
	int code = statement_prepare(l->db, &statement, "SELECT journal, position FROM applied", "");

	if (code == SQLITE_OK) {
		code = sqlite3_step(statement);
		if (code == SQLITE_ROW)
			*ret_position = (struct sink_position){
				.journal = (uint64_t)sqlite3_column_int64(statement, 0),
				.position = (uint64_t)sqlite3_column_int64(statement, 1),
			};
		code = statement_end(statement, code);
	}
	database_log_note(l->path, &l->log);
	return code == SQLITE_OK ? 0 : fail(l, code);
}

static void sink_close(void *context)
{
	struct ledger_sink *l = context;
	sqlite3_stmt **statements[] = { &l->begin,  &l->commit,  &l->rollback, &l->version,
					&l->insert, &l->balance, &l->applied };

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		sqlite3_finalize(*statements[i]);
		*statements[i] = NULL;
	}
	database_close(l->db);
	l->db = NULL;
}

static int sink_open(void *context, struct sink_position *ret_position, char error[static SINK_ERROR_BYTES])
{
	struct ledger_sink *l = context;

	assert(l->db == NULL);
	l->books_version = -1;
	/* A new one in place of one that was moved away would have no accounts, and charge nobody. */
	if (l->opened && access(l->path, F_OK) < 0) {
		snprintf(error, SINK_ERROR_BYTES, "%.180s: it was moved or deleted, put it back", l->path);
		return -ENOENT;
	}
	int result = database_open(l->path, &ledger_schema, &l->db, l->error);
	if (result == 0)
		result = prepare(l);
	if (result == 0)
		result = read_position(l, ret_position);
	if (result < 0) {
		memcpy(error, l->error, sizeof(l->error));
		sink_close(l);
	}
	l->opened |= result == 0;
	return result;
}

/* ---- accounts ---- */

static int add_book(struct ledger_sink *l, sqlite3_stmt *row)
{
	if (l->book_count == l->book_max) {
		size_t max = l->book_max != 0 ? 2 * l->book_max : 64;
		struct book *books = realloc(l->books, max * sizeof(*books));

		if (books == NULL)
			return SQLITE_NOMEM;
		l->books = books;
		l->book_max = max;
	}
	struct book *book = &l->books[l->book_count++];
	*book = (struct book){ .id = sqlite3_column_int64(row, 0), .balance_e8 = sqlite3_column_int64(row, 2) };
	snprintf(book->name, sizeof(book->name), "%s", statement_text(row, 1));
	return SQLITE_OK;
}

static int read_books(struct ledger_sink *l)
{
	sqlite3_stmt *statement;
	int code = statement_prepare(l->db, &statement, "SELECT id, name, balance_e8 FROM accounts ORDER BY name", "");

	l->book_count = 0;
	if (code != SQLITE_OK)
		return fail(l, code);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		const int added = add_book(l, statement);
		if (added != SQLITE_OK) {
			code = added;
			break;
		}
	}
	code = statement_end(statement, code);
	return code == SQLITE_OK ? 0 : fail(l, code);
}

/* With the write lock. */
static int renew_books(struct ledger_sink *l)
{
	int code = sqlite3_step(l->version);
	const int64_t version = code == SQLITE_ROW ? sqlite3_column_int64(l->version, 0) : -1;

	sqlite3_reset(l->version);
	if (code != SQLITE_ROW)
		return fail(l, code);
	if (version == l->books_version) {
		for (size_t i = 0; i < l->book_count; i++)
			l->books[i].moved_e8 = 0;
		return 0;
	}
	const int result = read_books(l);
	l->books_version = result == 0 ? version : -1;
	return result;
}

/* Names are compared as SQLite sorts them: by bytes. */
static int compare_name(const void *key, const void *book)
{
	const struct cdr_text *text = key;
	const char *name = ((const struct book *)book)->name;
	const size_t size = strlen(name);
	const int order = memcmp(text->at, name, text->size < size ? text->size : size);

	return order != 0 ? order : (text->size > size) - (text->size < size);
}

static struct book *find_book(const struct ledger_sink *l, struct cdr_text name)
{
	if (name.size == 0 || l->book_count == 0)
		return NULL;
	return bsearch(&name, l->books, l->book_count, sizeof(*l->books), compare_name);
}

/* ---- rows ---- */

static int64_t add_saturated(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return b > 0 ? INT64_MAX : INT64_MIN;
}

static int insert_row(struct ledger_sink *l, struct book *book, const struct cdr *cdr, const char *kind,
		      int64_t amount_e8)
{
	int code = sqlite3_bind_int64(l->insert, 1, cdr->end_us);

	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(l->insert, 2, book->id);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(l->insert, 3, kind, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(l->insert, 4, amount_e8);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(l->insert, 5, cdr->cdr_id, CDR_ID_SIZE, SQLITE_STATIC);
	if (code != SQLITE_OK)
		return fail(l, code);
	const int result = run(l, l->insert);
	if (result == 0 && sqlite3_changes(l->db) > 0) /* else it was there */
		book->moved_e8 = add_saturated(book->moved_e8, amount_e8);
	return result;
}

static int move(struct ledger_sink *l, const struct cdr *cdr, struct cdr_text account, const char *kind,
		int64_t amount_e8)
{
	struct book *book = find_book(l, account);

	if (book == NULL || (amount_e8 == 0 && cdr->connect_us == 0))
		return 0;
	return insert_row(l, book, cdr, kind, amount_e8);
}

/* "" is nothing.  false: it is no amount. */
static bool read_amount(struct cdr_text text, int64_t *ret_e8)
{
	*ret_e8 = 0;
	return text.size == 0 || money_parse(text.at, text.size, ret_e8);
}

static int sink_add(void *context, const struct cdr *cdr)
{
	struct ledger_sink *l = context;
	int64_t fee_e8, cost_e8;
	int result = 0;

	assert(!sqlite3_get_autocommit(l->db));
	if (!read_amount(cdr->fee, &fee_e8) || !read_amount(cdr->cost, &cost_e8)) {
		snprintf(l->error, sizeof(l->error), "%.*s: its fee or cost is no amount", CDR_ID_SIZE, cdr->cdr_id);
		return -EINVAL;
	}
	if (cdr->fee.size > 0)
		result = move(l, cdr, cdr->account, "charge", -fee_e8);
	if (result == 0 && cdr->cost.size > 0)
		result = move(l, cdr, cdr->vendor_account, "cost", cost_e8);
	return result;
}

/* ---- transactions ---- */

static bool sink_stale(void *context)
{
	struct ledger_sink *l = context;

	return database_is_moved(l->db) || database_log_is_gone(l->path, &l->log);
}

static void sink_rollback(void *context)
{
	struct ledger_sink *l = context;

	/* Some errors (full disk, I/O) have ended the transaction already. */
	if (!sqlite3_get_autocommit(l->db))
		sqlite3_step(l->rollback);
	sqlite3_reset(l->rollback);
}

static int sink_begin(void *context)
{
	struct ledger_sink *l = context;

	if (sink_stale(l)) {
		snprintf(l->error, sizeof(l->error), "%.180s: it or its log was moved or deleted while in use",
			 l->path);
		return -ESTALE;
	}
	int result = run(l, l->begin);
	if (result < 0)
		return result;
	result = renew_books(l);
	if (result < 0)
		sink_rollback(l);
	return result;
}

static int write_balances(struct ledger_sink *l)
{
	int result = 0;

	for (size_t i = 0; i < l->book_count && result == 0; i++) {
		const struct book *book = &l->books[i];

		if (book->moved_e8 == 0)
			continue;
		sqlite3_bind_int64(l->balance, 1, book->id);
		sqlite3_bind_int64(l->balance, 2, add_saturated(book->balance_e8, book->moved_e8));
		result = run(l, l->balance);
	}
	return result;
}

static int sink_commit(void *context, const struct sink_position *position)
{
	struct ledger_sink *l = context;
	int result = write_balances(l);

	if (result == 0) {
		sqlite3_bind_int64(l->applied, 1, (sqlite3_int64)position->journal);
		sqlite3_bind_int64(l->applied, 2, (sqlite3_int64)position->position);
		result = run(l, l->applied);
	}
	if (result == 0)
		result = run(l, l->commit);
	for (size_t i = 0; result == 0 && i < l->book_count; i++) {
		l->books[i].balance_e8 = add_saturated(l->books[i].balance_e8, l->books[i].moved_e8);
		l->books[i].moved_e8 = 0;
	}
	return result;
}

static bool sink_reopen(void *context, int failure)
{
	(void)context;
	return failure == -ESTALE || failure == -EIO || failure == -EBADMSG;
}

static const char *sink_error(void *context)
{
	return ((const struct ledger_sink *)context)->error;
}

int ledger_sink_create(const char *path, struct sink *ret_sink)
{
	struct ledger_sink *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->path = strdup(path);
	if (l == NULL || l->path == NULL) {
		free(l);
		return -ENOMEM;
	}
	*ret_sink = (struct sink){
		.name = "ledger",
		.context = l,
		.open = sink_open,
		.begin = sink_begin,
		.add = sink_add,
		.commit = sink_commit,
		.rollback = sink_rollback,
		.reopen = sink_reopen,
		.error = sink_error,
		.stale = sink_stale,
		.close = sink_close,
	};
	return 0;
}

void ledger_sink_free(struct sink *sink)
{
	struct ledger_sink *l = sink->context;

	assert(l->db == NULL);
	free(l->books);
	free(l->path);
	free(l);
}
