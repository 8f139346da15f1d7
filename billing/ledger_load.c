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
	uint64_t stamp;      /* of the rates */
	bool for_accounts;   /* the rates are there already */
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

static int note_table(struct loading *l, int64_t id)
{
	int64_t *ids = realloc(l->table_ids, (l->table_count + 1) * sizeof(*ids));

	if (ids == NULL)
		return refuse(l, -ENOMEM, "rate table", "");
	l->table_ids = ids;
	ids[l->table_count++] = id;
	return 0;
}

static int add_table(struct loading *l, sqlite3_stmt *row)
{
	uint32_t number;
	int result = tariff_add_table(l->builder, statement_text(row, 1), &number);

	if (result < 0)
		return refuse(l, result, "rate table", statement_text(row, 1));
	return note_table(l, sqlite3_column_int64(row, 0));
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

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* Never 0. */
static int mix_table(struct loading *l, sqlite3_stmt *row)
{
	const char *name = statement_text(row, 1);

	l->stamp = mix(l->stamp, (uint64_t)sqlite3_column_int64(row, 0));
	for (const char *at = name; *at != '\0'; at++)
		l->stamp = mix(l->stamp, (uint8_t)*at);
	l->stamp = mix(l->stamp, (uint64_t)sqlite3_column_int64(row, 2));
	l->stamp = mix(l->stamp, (uint64_t)sqlite3_column_int64(row, 3)) | 1;
	return l->for_accounts ? note_table(l, sqlite3_column_int64(row, 0)) : add_table(l, row);
}

#define TABLES_SQL "SELECT id, name, rows, imported_us FROM rate_tables ORDER BY id"
#define ACCOUNTS_SQL                                                                                                   \
	"SELECT name, currency, balance_e8, overdraft_e8, rate_table, locked, bill_until FROM accounts ORDER BY name"
#define RATES_SQL                                                                                                      \
	"SELECT rate_table, prefix, rate_per_minute_e8, connect_fee_e8, first_increment_s, next_increment_s, grace_s," \
	" effective_from_us, effective_to_us FROM rates"

/* All in one transaction.  rates_stamp: as ledger_load_accounts() has it; 0: the rates, too. */
static int load_all(struct loading *l, uint64_t rates_stamp)
{
	int code = sqlite3_exec(l->db, "BEGIN", NULL, NULL, NULL);
	int result = code == SQLITE_OK ? 0 : explain(l, code);

	l->for_accounts = rates_stamp != 0;
	if (result == 0)
		result = each(l, TABLES_SQL, mix_table);
	if (result == 0 && l->for_accounts && l->stamp != rates_stamp)
		return -ESTALE;
	tariff_stamp_rates(l->builder, l->stamp);
	if (result == 0 && !l->for_accounts)
		result = each(l, RATES_SQL, add_rate);
	if (result == 0)
		result = each(l, ACCOUNTS_SQL, add_account);
	return result;
}

static int load(const char *path, uint32_t (*account_id)(const char *name), uint64_t rates_stamp,
		struct tariff_builder **ret_builder, char error[static DATABASE_ERROR_BYTES])
{
	struct loading l = { .path = path, .account_id = account_id, .error = error, .stamp = 1 };
	int result = database_open_read(path, &ledger_schema, &l.db, error);
	const bool none = result == -ENOENT;

	if (none && rates_stamp != 0)
		return -ESTALE;
	if (result < 0 && !none)
		return result;
	result = tariff_begin(&l.builder);
	if (result < 0)
		refuse(&l, result, "the rates", "");
	else if (!none)
		result = load_all(&l, rates_stamp);
	sqlite3_close(l.db);
	free(l.table_ids);
	if (result < 0)
		tariff_abandon(l.builder);
	else
		*ret_builder = l.builder;
	return result;
}

int ledger_load(const char *path, uint32_t (*account_id)(const char *name), struct tariff **ret_tariff,
		char error[static DATABASE_ERROR_BYTES])
{
	struct tariff_builder *builder;
	int result = load(path, account_id, 0, &builder, error);

	if (result < 0)
		return result;
	result = tariff_finish(builder, ret_tariff);
	if (result < 0)
		snprintf(error, DATABASE_ERROR_BYTES, "%.180s: its rates cannot be taken: %s", path, strerror(-result));
	return result;
}

int ledger_load_accounts(const char *path, uint32_t (*account_id)(const char *name), uint64_t rates_stamp,
			 struct tariff_builder **ret_builder, char error[static DATABASE_ERROR_BYTES])
{
	return rates_stamp != 0 ? load(path, account_id, rates_stamp, ret_builder, error) : -ESTALE;
}
