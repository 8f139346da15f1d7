/* Accounts in ringwheel.db: see accounts.h.  Each change is one transaction that begins with the write lock, so what it
 * has read is still true when it commits. */
#include "billing/accounts.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/columns.h"
#include "billing/ledger.h"
#include "billing/money.h"
#include "billing/operation.h"
#include "billing/statement.h"

static const char *const bill_until_words[] = {
	[BILL_UNTIL_TEARDOWN] = "teardown",
	[BILL_UNTIL_LAST_CONFIRMED] = "last_confirmed",
};

bool account_name_is_good(const char *name)
{
	const size_t length = strlen(name);

	return length > 0 && length <= ACCOUNT_NAME_MAX && strspn(name, ACCOUNT_NAME_CHARS) == length;
}

static int bad_name(struct operation *o, const char *what, const char *name)
{
	return operation_refuse(o, -EINVAL, "'%.70s' is no name of %s (letters, digits, '-', '_' and '.', at most %d)",
				name, what, ACCOUNT_NAME_MAX);
}

/* ---- rows ---- */

struct found_account {
	int64_t id, balance_e8;
};

static int find_account(struct operation *o, const char *name, struct found_account *ret_account)
{
	sqlite3_stmt *statement;
	int code =
		statement_prepare(o->db, &statement, "SELECT id, balance_e8 FROM accounts WHERE name = ?1", "t", name);

	if (code != SQLITE_OK)
		return operation_explain(o, code);
	code = sqlite3_step(statement);
	const bool found = code == SQLITE_ROW;
	if (found)
		*ret_account = (struct found_account){ .id = sqlite3_column_int64(statement, 0),
						       .balance_e8 = sqlite3_column_int64(statement, 1) };
	code = statement_end(statement, code);
	if (code != SQLITE_OK)
		return operation_explain(o, code);
	return found ? 0 : operation_refuse(o, -ENOENT, "there is no account '%.64s'", name);
}

/* The row's number of a table; 0 for "". */
static int find_table(struct operation *o, const char *name, int64_t *ret_id)
{
	*ret_id = 0;
	if (name[0] == '\0')
		return 0;
	int result = operation_number(o, ret_id, "SELECT id FROM rate_tables WHERE name = ?1", name);
	if (result == -ENOENT)
		return operation_refuse(o, result, "there is no rate table '%.64s'; import it first", name);
	return result;
}

/* ---- adding and changing ---- */

static bool currency_is_good(const char *currency)
{
	for (const char *at = currency; *at != '\0'; at++)
		if (!isascii((unsigned char)*at) || !isalnum((unsigned char)*at))
			return false;
	return true;
}

static int check_order(struct operation *o, const struct account_order *order)
{
	if (!account_name_is_good(order->name))
		return bad_name(o, "an account", order->name);
	if (!currency_is_good(order->currency))
		return operation_refuse(o, -EINVAL, "'%.8s' is no currency (letters and digits)", order->currency);
	if (order->overdraft_e8 < 0 || (order->overdraft_e8 > MONEY_MAX && order->overdraft_e8 != OVERDRAFT_UNLIMITED))
		return operation_refuse(o, -ERANGE, "the overdraft must be 0 or more, or unlimited");
	return 0;
}

static int insert_account(struct operation *o, const struct account_order *order, int64_t now_us)
{
	int64_t table, known;
	int result = operation_number(o, &known, "SELECT id FROM accounts WHERE name = ?1", order->name);

	if (result == 0)
		return operation_refuse(o, -EEXIST, "there is an account '%s' already", order->name);
	if (result != -ENOENT)
		return result;
	result = find_table(o, order->table, &table);
	if (result < 0)
		return result;
	return operation_run(o,
			     "INSERT INTO accounts (name, currency, balance_e8, overdraft_e8, rate_table, locked,"
			     " bill_until, created_us) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7)",
			     "ttiiiti", order->name, order->currency, order->overdraft_e8, table,
			     (int64_t)order->locked, bill_until_words[order->bill_until], now_us);
}

int account_add(const char *path, const struct account_order *order, int64_t now_us,
		char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	int result = operation_begin(&o, path, error);

	if (result == 0)
		result = check_order(&o, order);
	if (result == 0)
		result = insert_account(&o, order, now_us);
	return operation_end(&o, result);
}

static int update_account(struct operation *o, const struct account_order *order)
{
	struct found_account account;
	int64_t table;
	int result = find_account(o, order->name, &account);

	if (result == 0 && order->given & ACCOUNT_CURRENCY)
		result = operation_run(o, "UPDATE accounts SET currency = ?2 WHERE id = ?1", "it", account.id,
				       order->currency);
	if (result == 0 && order->given & ACCOUNT_OVERDRAFT)
		result = operation_run(o, "UPDATE accounts SET overdraft_e8 = ?2 WHERE id = ?1", "ii", account.id,
				       order->overdraft_e8);
	if (result == 0 && order->given & ACCOUNT_TABLE && (result = find_table(o, order->table, &table)) == 0)
		result = operation_run(o, "UPDATE accounts SET rate_table = ?2 WHERE id = ?1", "ii", account.id, table);
	if (result == 0 && order->given & ACCOUNT_LOCKED)
		result = operation_run(o, "UPDATE accounts SET locked = ?2 WHERE id = ?1", "ii", account.id,
				       (int64_t)order->locked);
	if (result == 0 && order->given & ACCOUNT_BILL_UNTIL)
		result = operation_run(o, "UPDATE accounts SET bill_until = ?2 WHERE id = ?1", "it", account.id,
				       bill_until_words[order->bill_until]);
	return result;
}

int account_set(const char *path, const struct account_order *order, char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	int result = operation_begin(&o, path, error);

	if (result == 0)
		result = check_order(&o, order);
	if (result == 0)
		result = update_account(&o, order);
	return operation_end(&o, result);
}

/* ---- moving balances ---- */

static int move(struct operation *o, const struct found_account *account, const char *kind, int64_t amount_e8,
		const char *cdr_id, const struct ledger_note *note, int64_t *ret_balance_e8)
{
	int64_t balance_e8;

	if (__builtin_add_overflow(account->balance_e8, amount_e8, &balance_e8) || balance_e8 > MONEY_MAX ||
	    balance_e8 < -MONEY_MAX)
		return operation_refuse(o, -ERANGE, "the balance would be too large");
	int result =
		operation_run(o,
			      "INSERT INTO ledger (when_us, account, kind, amount_e8, cdr_id, who, reason)"
			      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			      "iitittt", note->when_us, account->id, kind, amount_e8, cdr_id, note->who, note->reason);
	if (result == 0)
		result = operation_run(o, "UPDATE accounts SET balance_e8 = ?2 WHERE id = ?1", "ii", account->id,
				       balance_e8);
	*ret_balance_e8 = balance_e8;
	return result;
}

static int check_note(struct operation *o, const struct ledger_note *note)
{
	if (strlen(note->who) > LEDGER_WHO_MAX || strlen(note->reason) > LEDGER_REASON_MAX)
		return operation_refuse(o, -EINVAL, "a name has at most %d characters, a reason %d", LEDGER_WHO_MAX,
					LEDGER_REASON_MAX);
	return 0;
}

int account_topup(const char *path, const char *name, int64_t amount_e8, const struct ledger_note *note,
		  int64_t *ret_balance_e8, char error[static DATABASE_ERROR_BYTES])
{
	struct found_account account;
	struct operation o;
	int result = operation_begin(&o, path, error);

	if (result == 0)
		result = check_note(&o, note);
	if (result == 0 && (amount_e8 == 0 || amount_e8 > MONEY_MAX || amount_e8 < -MONEY_MAX))
		result = operation_refuse(&o, -ERANGE, "an amount other than 0 is needed");
	if (result == 0)
		result = find_account(&o, name, &account);
	if (result == 0)
		result = move(&o, &account, "topup", amount_e8, "", note, ret_balance_e8);
	return operation_end(&o, result);
}

/* ---- correcting a fee ---- */

/* What the last correction says; -ENOENT: there is none. */
static int find_correction(struct operation *o, const char *cdr_id, struct fee_correction *c)
{
	int result = operation_number(o, &c->before_e8, "SELECT fee_e8 FROM corrections WHERE cdr_id = ?1", cdr_id);

	if (result == 0)
		result = operation_number(o, &c->original_e8, "SELECT original_e8 FROM corrections WHERE cdr_id = ?1",
					  cdr_id);
	if (result == 0)
		result = operation_text(o, c->account, sizeof(c->account),
					"SELECT a.name FROM corrections c JOIN accounts a ON a.id = c.account"
					" WHERE cdr_id = ?1",
					cdr_id);
	return result;
}

/* What the ledger has charged; -ENOENT: nothing (yet). */
static int find_charge(struct operation *o, const char *cdr_id, struct fee_correction *c)
{
	int64_t amount_e8 = 0;
	int result =
		operation_number(o, &amount_e8,
				 "SELECT amount_e8 FROM ledger WHERE cdr_id = ?1 AND (kind = 'charge' OR kind = 'cost')"
				 " AND kind = 'charge'",
				 cdr_id);

	c->original_e8 = c->before_e8 = -amount_e8;
	if (result == 0)
		result = operation_text(o, c->account, sizeof(c->account),
					"SELECT a.name FROM ledger l JOIN accounts a ON a.id = l.account"
					" WHERE cdr_id = ?1 AND (kind = 'charge' OR kind = 'cost') AND kind = 'charge'",
					cdr_id);
	return result;
}

/* What the record itself says: of a call that cost nothing, or that the ledger has not come to yet. */
static int find_record(struct operation *o, const char *cdr_path, const char *cdr_id, struct fee_correction *c)
{
	char fee[MONEY_TEXT_MAX + 1] = "";
	struct operation cdrs;
	int result = operation_look(&cdrs, cdr_path, &cdr_schema, o->error);

	if (result == 0)
		result = operation_text(&cdrs, c->account, sizeof(c->account),
					"SELECT account FROM cdr WHERE cdr_id = ?1", cdr_id);
	if (result == 0)
		result = operation_text(&cdrs, fee, sizeof(fee), "SELECT fee FROM cdr WHERE cdr_id = ?1", cdr_id);
	result = operation_end(&cdrs, result);
	if (result == -ENOENT)
		return operation_refuse(o, result, "there is no call with the cdr_id '%.40s' that was charged", cdr_id);
	if (result == 0 && c->account[0] == '\0')
		return operation_refuse(o, -ENOENT, "the call has no account");
	if (result == 0 && fee[0] != '\0' && !money_parse(fee, strlen(fee), &c->original_e8))
		return operation_refuse(o, -EINVAL, "the fee of the call, '%.24s', is no amount", fee);
	c->before_e8 = c->original_e8;
	return result;
}

static int find_fee(struct operation *o, const char *cdr_path, const char *cdr_id, struct fee_correction *c)
{
	int result = find_correction(o, cdr_id, c);

	if (result == -ENOENT)
		result = find_charge(o, cdr_id, c);
	if (result == -ENOENT)
		result = find_record(o, cdr_path, cdr_id, c);
	return result;
}

static int correct(struct operation *o, const char *cdr_id, const struct ledger_note *note, struct fee_correction *c)
{
	struct found_account account;
	int result = find_account(o, c->account, &account);

	if (result < 0)
		return result;
	c->moved_e8 = c->before_e8 - c->fee_e8; /* both are 0 to MONEY_MAX */
	result = move(o, &account, "adjust", c->moved_e8, cdr_id, note, &c->balance_e8);
	if (result < 0)
		return result;
	return operation_run(o,
			     "INSERT INTO corrections (cdr_id, account, original_e8, fee_e8, when_us, who, reason)"
			     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (cdr_id) DO UPDATE SET"
			     " fee_e8 = excluded.fee_e8, when_us = excluded.when_us, who = excluded.who,"
			     " reason = excluded.reason",
			     "tiiiitt", cdr_id, account.id, c->original_e8, c->fee_e8, note->when_us, note->who,
			     note->reason);
}

int account_adjust(const char *path, const char *cdr_path, const char *cdr_id, int64_t fee_e8,
		   const struct ledger_note *note, struct fee_correction *ret_correction,
		   char error[static DATABASE_ERROR_BYTES])
{
	struct fee_correction c = { .fee_e8 = fee_e8 };
	struct operation o;
	int result = operation_begin(&o, path, error);

	if (result == 0)
		result = check_note(&o, note);
	if (result == 0 && (fee_e8 < 0 || fee_e8 > MONEY_MAX))
		result = operation_refuse(&o, -ERANGE, "a fee is 0 or more");
	if (result == 0 && strlen(cdr_id) != CDR_ID_SIZE)
		result = operation_refuse(&o, -EINVAL, "a cdr_id has %d characters", CDR_ID_SIZE);
	if (result == 0)
		result = find_fee(&o, cdr_path, cdr_id, &c);
	if (result == 0)
		result = correct(&o, cdr_id, note, &c);
	*ret_correction = c;
	return operation_end(&o, result);
}

/* ---- reading ---- */

static void hand_account(sqlite3_stmt *s, void (*row)(void *context, const struct account_row *row), void *context)
{
	const struct account_row account = {
		.name = statement_text(s, 0),
		.currency = statement_text(s, 1),
		.table = statement_text(s, 2),
		.balance_e8 = sqlite3_column_int64(s, 3),
		.overdraft_e8 = sqlite3_column_int64(s, 4),
		.locked = sqlite3_column_int(s, 5) != 0,
		.bill_until = strcmp(statement_text(s, 6), bill_until_words[BILL_UNTIL_LAST_CONFIRMED]) == 0
				      ? BILL_UNTIL_LAST_CONFIRMED
				      : BILL_UNTIL_TEARDOWN,
	};

	row(context, &account);
}

int accounts_list(const char *path, const char *name, void (*row)(void *context, const struct account_row *row),
		  void *context, char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	sqlite3_stmt *statement;
	int result = operation_look(&o, path, &ledger_schema, error);

	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return operation_end(&o, result);
	int code = statement_prepare(
		o.db, &statement,
		"SELECT a.name, a.currency, coalesce(t.name, ''), a.balance_e8, a.overdraft_e8,"
		" a.locked, a.bill_until FROM accounts a LEFT JOIN rate_tables t ON t.id = a.rate_table"
		" WHERE ?1 = '' OR a.name = ?1 ORDER BY a.name",
		"t", name);
	if (code == SQLITE_OK) {
		while ((code = sqlite3_step(statement)) == SQLITE_ROW)
			hand_account(statement, row, context);
		code = statement_end(statement, code);
	}
	return operation_end(&o, code == SQLITE_OK ? 0 : operation_explain(&o, code));
}

static int hand_entries(struct operation *o, const struct found_account *account, uint32_t limit,
			void (*row)(void *context, const struct ledger_row *row), void *context)
{
	sqlite3_stmt *s;
	int64_t balance_e8 = account->balance_e8;
	int code = statement_prepare(o->db, &s,
				     "SELECT id, when_us, kind, amount_e8, cdr_id, who, reason FROM ledger"
				     " WHERE account = ?1 ORDER BY id DESC LIMIT ?2",
				     "ii", account->id, (int64_t)limit);

	if (code != SQLITE_OK)
		return operation_explain(o, code);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		const struct ledger_row entry = {
			.id = sqlite3_column_int64(s, 0),
			.when_us = sqlite3_column_int64(s, 1),
			.kind = statement_text(s, 2),
			.amount_e8 = sqlite3_column_int64(s, 3),
			.balance_e8 = balance_e8,
			.cdr_id = statement_text(s, 4),
			.who = statement_text(s, 5),
			.reason = statement_text(s, 6),
		};

		row(context, &entry);
		balance_e8 -= entry.amount_e8;
	}
	code = statement_end(s, code);
	return code == SQLITE_OK ? 0 : operation_explain(o, code);
}

int account_ledger(const char *path, const char *name, uint32_t limit,
		   void (*row)(void *context, const struct ledger_row *row), void *context,
		   char error[static DATABASE_ERROR_BYTES])
{
	struct found_account account;
	struct operation o;
	int result = operation_look(&o, path, &ledger_schema, error);

	if (result == -ENOENT) {
		snprintf(error, DATABASE_ERROR_BYTES, "there is no account '%.64s'", name);
		return result;
	}
	if (result == 0)
		result = find_account(&o, name, &account);
	if (result == 0)
		result = hand_entries(&o, &account, limit, row, context);
	return operation_end(&o, result);
}
