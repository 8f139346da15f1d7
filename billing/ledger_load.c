/* Accounts and rates for the configuration, in one read transaction, so that they fit together: see ledger.h.  */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/ledger.h"
#include "billing/statement.h"

struct loading {
	sqlite3 *db;
	const char *path;
	struct tariff_builder *builder;
	uint32_t (*account_id)(const char *name);
	int64_t *table_ids; /* of their rows, ascending; the index is the tariff's number */
	uint32_t table_count;
	uint32_t table_last; /* that a rate was added to */
	char *error;
};

static int explain(struct loading *l, int code)
{
	return database_explain(l->db, l->path, code, l->error);
}

/* What the tables do not forbid, or somebody wrote there in spite of them. */
static int refuse(struct loading *l, int result, const char *what, const char *name)
{
	snprintf(l->error, DATABASE_ERROR_BYTES, "%.120s: %s '%.64s': %s", l->path, what, name, strerror(-result));
	return result;
}

static int add_table(struct loading *l, sqlite3_stmt *row)
{
	int64_t *ids = realloc(l->table_ids, (l->table_count + 1) * sizeof(*ids));
	uint32_t number;

	if (ids == NULL)
		return refuse(l, -ENOMEM, "rate table", statement_text(row, 1));
	l->table_ids = ids;
	int result = tariff_add_table(l->builder, statement_text(row, 1), &number);
	if (result < 0)
		return refuse(l, result, "rate table", statement_text(row, 1));
	ids[l->table_count++] = sqlite3_column_int64(row, 0);
	return 0;
}

static int compare_ids(const void *key, const void *id)
{
	const int64_t a = *(const int64_t *)key, b = *(const int64_t *)id;

	return (a > b) - (a < b);
}

static uint32_t table_number(const struct loading *l, int64_t id)
{
	const int64_t *found =
		l->table_count > 0 ? bsearch(&id, l->table_ids, l->table_count, sizeof(id), compare_ids) : NULL;

	return found != NULL ? (uint32_t)(found - l->table_ids) : TARIFF_NO_TABLE;
}

static uint32_t seconds(sqlite3_stmt *row, int column)
{
	const int64_t value = sqlite3_column_int64(row, column);

	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int add_rate(struct loading *l, sqlite3_stmt *row)
{
	const int64_t id = sqlite3_column_int64(row, 0);
	const struct rate rate = {
		.prefix = statement_text(row, 1),
		.prefix_size = (uint32_t)sqlite3_column_bytes(row, 1),
		.terms = { .rate_e8 = sqlite3_column_int64(row, 2),
			   .connect_fee_e8 = sqlite3_column_int64(row, 3),
			   .first_s = seconds(row, 4),
			   .next_s = seconds(row, 5),
			   .grace_s = seconds(row, 6) },
		.from_us = sqlite3_column_int64(row, 7),
		.to_us = sqlite3_column_int64(row, 8),
	};

	if (l->table_last >= l->table_count || l->table_ids[l->table_last] != id)
		l->table_last = table_number(l, id);
	if (l->table_last == TARIFF_NO_TABLE)
		return 0; /* of no table: nobody can ask for it */
	const int result = tariff_add_rate(l->builder, l->table_last, &rate);
	return result < 0 ? refuse(l, result, "rate of prefix", statement_text(row, 1)) : 0;
}

static int add_account(struct loading *l, sqlite3_stmt *row)
{
	struct account account = {
		.balance_e8 = sqlite3_column_int64(row, 2),
		.overdraft_e8 = sqlite3_column_int64(row, 3),
		.table = table_number(l, sqlite3_column_int64(row, 4)),
		.locked = sqlite3_column_int(row, 5) != 0,
		.bill_until = strcmp(statement_text(row, 6), "last_confirmed") == 0 ? BILL_UNTIL_LAST_CONFIRMED
										    : BILL_UNTIL_TEARDOWN,
	};

	snprintf(account.name, sizeof(account.name), "%s", statement_text(row, 0));
	snprintf(account.currency, sizeof(account.currency), "%s", statement_text(row, 1));
	account.id = l->account_id(account.name);
	int result = account.id != 0 ? tariff_add_account(l->builder, &account) : -ENOSPC;
	return result < 0 ? refuse(l, result, "account", account.name) : 0;
}

static int each(struct loading *l, const char *sql, int (*add)(struct loading *l, sqlite3_stmt *row))
{
	sqlite3_stmt *statement;
	int code = statement_prepare(l->db, &statement, sql, ""), result = 0;

	if (code != SQLITE_OK)
		return explain(l, code);
	while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
		result = add(l, statement);
	code = statement_end(statement, code);
	if (result == 0 && code != SQLITE_OK)
		result = explain(l, code);
	return result;
}

static int load_all(struct loading *l)
{
	int code = sqlite3_exec(l->db, "BEGIN", NULL, NULL, NULL);
	int result = code == SQLITE_OK ? 0 : explain(l, code);

	if (result == 0)
		result = each(l, "SELECT id, name FROM rate_tables ORDER BY id", add_table);
	if (result == 0)
		result = each(l,
			      "SELECT rate_table, prefix, rate_per_minute_e8, connect_fee_e8, first_increment_s,"
			      " next_increment_s, grace_s, effective_from_us, effective_to_us FROM rates",
			      add_rate);
	if (result == 0)
		result = each(l,
			      "SELECT name, currency, balance_e8, overdraft_e8, rate_table, locked, bill_until"
			      " FROM accounts ORDER BY name",
			      add_account);
	return result;
}

int ledger_load(const char *path, uint32_t (*account_id)(const char *name), struct tariff **ret_tariff,
		char error[static DATABASE_ERROR_BYTES])
{
	struct loading l = { .path = path, .account_id = account_id, .error = error };
	int result = database_open_read(path, &ledger_schema, &l.db, error);
	const bool none = result == -ENOENT;

	if (result < 0 && !none)
		return result;
	result = tariff_begin(&l.builder);
	if (result == 0 && !none)
		result = load_all(&l);
	else if (result < 0)
		refuse(&l, result, "the rates", "");
	sqlite3_close(l.db);
	free(l.table_ids);
	if (result < 0) {
		if (l.builder != NULL)
			tariff_abandon(l.builder);
		return result;
	}
	result = tariff_finish(l.builder, ret_tariff);
	return result < 0 ? refuse(&l, result, "the rates", "") : 0;
}
