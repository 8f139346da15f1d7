/* Accounts over the control socket.  Lists are read from the database by the control thread; what changes something
 * goes to the loading thread.  A balance is the database's: the fee of a call that has ended is in it within a second.
 */
#include <stdio.h>
#include <string.h>

#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/orders.h"
#include "core/control/text.h"

#define LEDGER_ROWS_DEFAULT 100

#define NAME_FIELD                                                                                                     \
	{                                                                                                              \
		.name = "name", .kind = FIELD_TEXT, .required = true, .min = 1, .max = ACCOUNT_NAME_MAX                \
	}
#define WHO_FIELD                                                                                                      \
	{                                                                                                              \
		.name = "who", .kind = FIELD_TEXT, .max = LEDGER_WHO_MAX                                               \
	}
#define REASON_FIELD                                                                                                   \
	{                                                                                                              \
		.name = "reason", .kind = FIELD_TEXT, .max = LEDGER_REASON_MAX                                         \
	}

const struct field accounts_list_fields[] = {
	{ .name = "name", .kind = FIELD_TEXT, .min = 1, .max = ACCOUNT_NAME_MAX },
	{ .name = NULL },
};

const struct field account_add_fields[] = {
	NAME_FIELD,
	{ .name = "currency", .kind = FIELD_TEXT, .min = 0, .max = CURRENCY_MAX },
	{ .name = "overdraft", .kind = FIELD_TEXT, .min = 1, .max = 30 },
	{ .name = "rate_table", .kind = FIELD_TEXT, .min = 0, .max = RATE_TABLE_MAX },
	{ .name = "bill_until", .kind = FIELD_TEXT, .min = 1, .max = 20 },
	{ .name = NULL },
};

const struct field account_topup_fields[] = {
	NAME_FIELD,       { .name = "amount", .kind = FIELD_TEXT, .required = true, .min = 1, .max = 30 },
	REASON_FIELD,     WHO_FIELD,
	{ .name = NULL },
};

const struct field account_name_fields[] = {
	NAME_FIELD,
	{ .name = NULL },
};

const struct field account_ledger_fields[] = {
	NAME_FIELD,
	{ .name = "limit", .kind = FIELD_INTEGER, .min = 1, .max = 10000 },
	{ .name = NULL },
};

const struct field cdr_adjust_fields[] = {
	{ .name = "cdr_id", .kind = FIELD_TEXT, .required = true, .min = CDR_ID_SIZE, .max = CDR_ID_SIZE },
	{ .name = "fee", .kind = FIELD_TEXT, .required = true, .min = 1, .max = 30 },
	REASON_FIELD,
	WHO_FIELD,
	{ .name = NULL },
};

/* ---- lists ---- */

static json_t *overdraft_json(int64_t overdraft_e8)
{
	return overdraft_e8 == OVERDRAFT_UNLIMITED ? json_string("unlimited") : amount_json(overdraft_e8);
}

static void add_account(void *context, const struct account_row *row)
{
	json_t *account =
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:s}", "name", json_text_terminated(row->name), "currency",
			  json_text_terminated(row->currency), "balance", amount_json(row->balance_e8), "overdraft",
			  overdraft_json(row->overdraft_e8), "rate_table", json_text_terminated(row->table), "locked",
			  (int)row->locked, "bill_until",
			  row->bill_until == BILL_UNTIL_LAST_CONFIRMED ? "last_confirmed" : "teardown");
	json_array_append_new(context, account);
}

void method_accounts_list(struct request *r)
{
	char path[LEDGER_PATH_BYTES], error[DATABASE_ERROR_BYTES] = "";
	const char *name = request_text(r, "name");
	json_t *rows = json_array();
	write_ledger_path(r, path);
	int result = accounts_list(path, name, add_account, rows, error);
	if (result == 0 && (name[0] == '\0' || json_array_size(rows) > 0)) {
		request_result(r, rows);
		return;
	}
	json_decref(rows);
	if (result == 0)
		request_error(r, RPC_NOT_FOUND, "There is no account '%.64s'.", name);
	else
		read_failed(r, result, error);
}

static void add_entry(void *context, const struct ledger_row *row)
{
	json_t *entry = json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)row->id, "when_us",
				  (json_int_t)row->when_us, "kind", row->kind, "amount", amount_json(row->amount_e8),
				  "balance", amount_json(row->balance_e8), "cdr_id", json_text_terminated(row->cdr_id),
				  "who", json_text_terminated(row->who), "reason", json_text_terminated(row->reason));
	json_array_append_new(context, entry);
}

void method_accounts_ledger(struct request *r)
{
	char path[LEDGER_PATH_BYTES], error[DATABASE_ERROR_BYTES] = "";
	json_t *rows = json_array();
	write_ledger_path(r, path);
	int result = account_ledger(path, request_text(r, "name"),
				    (uint32_t)request_integer(r, "limit", LEDGER_ROWS_DEFAULT), add_entry, rows, error);
	if (result == 0) {
		request_result(r, rows);
		return;
	}
	json_decref(rows);
	read_failed(r, result, error);
}

/* ---- add, set, lock, unlock ---- */

static void finish_account(struct request *r, const struct change *c)
{
	if (!order_failed(r, c))
		request_result(r, json_pack("{s:o, s:I}", "name", json_text_terminated(c->order.account.name),
					    "generation", (json_int_t)c->generation));
}

static bool read_overdraft(struct request *r, int64_t *ret_e8)
{
	if (strcmp(request_text(r, "overdraft"), "unlimited") == 0) {
		*ret_e8 = OVERDRAFT_UNLIMITED;
		return true;
	}
	return amount_read(r, "overdraft", ret_e8);
}

static bool read_bill_until(struct request *r, enum bill_until *ret_bill_until)
{
	const char *text = request_text(r, "bill_until");
	*ret_bill_until = strcmp(text, "last_confirmed") == 0 ? BILL_UNTIL_LAST_CONFIRMED : BILL_UNTIL_TEARDOWN;
	if (*ret_bill_until == BILL_UNTIL_LAST_CONFIRMED || strcmp(text, "teardown") == 0)
		return true;
	request_error(r, RPC_INVALID_PARAMS, "'bill_until' must be teardown or last_confirmed.");
	return false;
}

/* false: the request has been ended. */
static bool read_account(struct request *r, struct account_order *account)
{
	const struct {
		const char *name;
		enum account_field field;
	} fields[] = {
		{ "currency", ACCOUNT_CURRENCY },
		{ "overdraft", ACCOUNT_OVERDRAFT },
		{ "rate_table", ACCOUNT_TABLE },
		{ "bill_until", ACCOUNT_BILL_UNTIL },
	};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (json_is_string(json_object_get(r->params, fields[i].name)))
			account->given |= fields[i].field;
	snprintf(account->name, sizeof account->name, "%s", request_text(r, "name"));
	snprintf(account->currency, sizeof account->currency, "%s", request_text(r, "currency"));
	snprintf(account->table, sizeof account->table, "%s", request_text(r, "rate_table"));
	return (!(account->given & ACCOUNT_OVERDRAFT) || read_overdraft(r, &account->overdraft_e8)) &&
	       (!(account->given & ACCOUNT_BILL_UNTIL) || read_bill_until(r, &account->bill_until));
}

static void ask_account(struct request *r, enum order_kind kind, const struct account_order *account)
{
	struct change *change = order_create(r, kind, finish_account);
	if (change == NULL)
		return;
	change->order.account = *account;
	change_submit(r, change);
}

void method_accounts_add(struct request *r)
{
	struct account_order account = { .given = 0 };
	if (read_account(r, &account))
		ask_account(r, ORDER_ACCOUNT_ADD, &account);
}

void method_accounts_set(struct request *r)
{
	struct account_order account = { .given = 0 };
	if (!read_account(r, &account))
		return;
	if (account.given == 0)
		request_error(r, RPC_INVALID_PARAMS,
			      "Nothing is to be set: give currency, overdraft, rate_table or bill_until.");
	else
		ask_account(r, ORDER_ACCOUNT_SET, &account);
}

static void set_lock(struct request *r, bool locked)
{
	struct account_order account = { .given = ACCOUNT_LOCKED, .locked = locked };
	snprintf(account.name, sizeof account.name, "%s", request_text(r, "name"));
	ask_account(r, ORDER_ACCOUNT_SET, &account);
}

void method_accounts_lock(struct request *r)
{
	set_lock(r, true);
}

void method_accounts_unlock(struct request *r)
{
	set_lock(r, false);
}

/* ---- topup, adjust ---- */

static void finish_topup(struct request *r, const struct change *c)
{
	if (!order_failed(r, c))
		request_result(r, json_pack("{s:o, s:o, s:o}", "name", json_text_terminated(c->outcome.account),
					    "amount", amount_json(c->outcome.moved_e8), "balance",
					    amount_json(c->outcome.balance_e8)));
}

void method_accounts_topup(struct request *r)
{
	int64_t amount_e8;
	if (!amount_read(r, "amount", &amount_e8))
		return;
	struct change *change = order_create(r, ORDER_ACCOUNT_TOPUP, finish_topup);
	if (change == NULL)
		return;
	snprintf(change->order.account.name, sizeof change->order.account.name, "%s", request_text(r, "name"));
	change->order.amount_e8 = amount_e8;
	order_sign(r, &change->order);
	change_submit(r, change);
}

static void finish_adjust(struct request *r, const struct change *c)
{
	const struct fee_correction *f = &c->outcome.correction;
	if (!order_failed(r, c))
		request_result(r,
			       json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "cdr_id", c->order.cdr_id, "account",
					 json_text_terminated(f->account), "original_fee", amount_json(f->original_e8),
					 "was", amount_json(f->before_e8), "fee", amount_json(f->fee_e8), "moved",
					 amount_json(f->moved_e8), "balance", amount_json(f->balance_e8)));
}

void method_cdr_adjust(struct request *r)
{
	int64_t fee_e8;
	if (!amount_read(r, "fee", &fee_e8))
		return;
	struct change *change = order_create(r, ORDER_CDR_ADJUST, finish_adjust);
	if (change == NULL)
		return;
	snprintf(change->order.cdr_id, sizeof change->order.cdr_id, "%s", request_text(r, "cdr_id"));
	snprintf(change->order.cdr_path, sizeof change->order.cdr_path, "%s", node_database_path(r->control->node));
	change->order.amount_e8 = fee_e8;
	order_sign(r, &change->order);
	change_submit(r, change);
}
