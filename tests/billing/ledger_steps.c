#include "tests/billing/ledger_steps.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/billing/sample.h"

const char *ledger_path(void)
{
	return sample_path("ringwheel.db");
}

void add_account(const char *name)
{
	struct account_order order = { .given = 0 };
	char error[256] = "";

	snprintf(order.name, sizeof(order.name), "%s", name);
	cr_assert_eq(account_add(ledger_path(), &order, 1, error), 0, "%s", error);
}

void topup(const char *name, int64_t amount_e8)
{
	const struct ledger_note note = { .when_us = 5, .who = "tester", .reason = "" };
	char error[256] = "";
	int64_t balance_e8;

	cr_assert_eq(account_topup(ledger_path(), name, amount_e8, &note, &balance_e8, error), 0, "%s", error);
}

int64_t number_of(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *statement;

	cr_assert_eq(sqlite3_open_v2(ledger_path(), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW, "%s", sql);
	int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

void raw(const char *sql)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open_v2(ledger_path(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

int64_t balance_of(const char *name)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "SELECT balance_e8 FROM accounts WHERE name = '%s'", name);
	return number_of(sql);
}

int64_t ledger_sum_of(const char *name)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT coalesce(sum(amount_e8), 0) FROM ledger WHERE account ="
		 " (SELECT id FROM accounts WHERE name = '%s')",
		 name);
	return number_of(sql);
}

struct cdr charged_cdr(uint64_t number, const char *account, const char *fee, const char *vendor, const char *cost)
{
	struct cdr cdr = sample_cdr(number);

	cdr.connect_us = cdr.start_us + 1;
	cdr.account = sample_text(account);
	cdr.fee = sample_text(fee);
	cdr.vendor_account = sample_text(vendor);
	cdr.cost = sample_text(cost);
	return cdr;
}

struct opened_sink open_sink(void)
{
	struct opened_sink s;
	char error[SINK_ERROR_BYTES] = "";

	cr_assert_eq(ledger_sink_create(ledger_path(), &s.sink), 0);
	cr_assert_eq(s.sink.open(s.sink.context, &s.position, error), 0, "%s", error);
	return s;
}

void close_sink(struct opened_sink *s)
{
	s->sink.close(s->sink.context);
	ledger_sink_free(&s->sink);
}

void apply(struct opened_sink *s, const struct cdr *cdrs, unsigned count, uint64_t position)
{
	const struct sink_position to = { .journal = 77, .position = position };
	void *context = s->sink.context;

	cr_assert_eq(s->sink.begin(context), 0, "%s", s->sink.error(context));
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(s->sink.add(context, &cdrs[i]), 0, "%s", s->sink.error(context));
	cr_assert_eq(s->sink.commit(context, &to), 0, "%s", s->sink.error(context));
}
