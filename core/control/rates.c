/* Rate tables over the control socket: lists and look-ups are read from the database by the control thread; what takes
 * longer, or changes something, goes to the loading thread. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "billing/money.h"
#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/orders.h"
#include "core/control/text.h"

#define ROWS_DEFAULT 100

#define TABLE_FIELD                                                                                                    \
	{                                                                                                              \
		.name = "table", .kind = FIELD_TEXT, .required = true, .min = 1, .max = RATE_TABLE_MAX                 \
	}

const struct field rates_table_fields[] = {
	TABLE_FIELD,
	{ .name = NULL },
};

const struct field rates_import_fields[] = {
	TABLE_FIELD,
	{ .name = "file", .kind = FIELD_TEXT, .required = true, .min = 1, .max = ORDER_PATH_MAX },
	{ .name = NULL },
};

const struct field rates_file_fields[] = {
	TABLE_FIELD,
	{ .name = "file", .kind = FIELD_TEXT, .min = 0, .max = ORDER_PATH_MAX },
	{ .name = NULL },
};

const struct field rates_list_fields[] = {
	{ .name = "table", .kind = FIELD_TEXT, .min = 0, .max = RATE_TABLE_MAX },
	{ .name = "prefix", .kind = FIELD_TEXT, .min = 0, .max = RATE_PREFIX_MAX },
	{ .name = "limit", .kind = FIELD_INTEGER, .min = 1, .max = 10000 },
	{ .name = NULL },
};

const struct field rates_lookup_fields[] = {
	{ .name = "table", .kind = FIELD_TEXT, .min = 0, .max = RATE_TABLE_MAX },
	{ .name = "account", .kind = FIELD_TEXT, .min = 0, .max = ACCOUNT_NAME_MAX },
	{ .name = "number", .kind = FIELD_TEXT, .required = true, .min = 1, .max = 64 },
	{ .name = "at", .kind = FIELD_INTEGER, .min = 0, .max = INT64_MAX },
	{ .name = NULL },
};

/* ---- lists ---- */

static json_t *price_json(int64_t e8)
{
	char text[MONEY_TEXT_MAX];
	money_write_short(e8, 0, text);
	return json_string(text);
}

static json_t *rate_json(const struct rate_line *row)
{
	char from[RATE_TIME_TEXT_BYTES], to[RATE_TIME_TEXT_BYTES];
	rate_time_write(row->from_us, from);
	rate_time_write(row->to_us, to);
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s, s:s}", "prefix",
			 json_text(row->prefix, row->prefix_size), "name", json_text(row->name, row->name_size),
			 "rate_per_minute", price_json(row->terms.rate_e8), "connect_fee",
			 price_json(row->terms.connect_fee_e8), "first_increment_s", (json_int_t)row->terms.first_s,
			 "next_increment_s", (json_int_t)row->terms.next_s, "grace_s", (json_int_t)row->terms.grace_s,
			 "effective_from", from, "effective_to", to);
}

static void add_rate(void *context, const struct rate_line *row)
{
	json_array_append_new(context, rate_json(row));
}

static void add_table(void *context, const struct rate_table_row *row)
{
	json_array_append_new(context, json_pack("{s:o, s:I, s:I, s:I}", "table", json_text_terminated(row->name),
						 "rates", (json_int_t)row->rows, "accounts", (json_int_t)row->accounts,
						 "imported_us", (json_int_t)row->imported_us));
}

void method_rates_list(struct request *r)
{
	char path[LEDGER_PATH_BYTES], error[DATABASE_ERROR_BYTES] = "";
	const char *table = request_text(r, "table");
	json_t *rows = json_array();
	int result;
	write_ledger_path(r, path);
	if (table[0] == '\0')
		result = rates_list(path, add_table, rows, error);
	else
		result = rates_rows(path, table, request_text(r, "prefix"),
				    (uint32_t)request_integer(r, "limit", ROWS_DEFAULT), add_rate, rows, error);
	if (result == 0) {
		request_result(r, rows);
		return;
	}
	json_decref(rows);
	read_failed(r, result, error);
}

static void take_rate(void *context, const char *table, const struct rate_line *row)
{
	json_t *rate = rate_json(row);
	json_object_set_new(rate, "table", json_text_terminated(table));
	*(json_t **)context = rate;
}

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void method_rates_lookup(struct request *r)
{
	char path[LEDGER_PATH_BYTES], error[DATABASE_ERROR_BYTES] = "";
	const char *table = request_text(r, "table"), *account = request_text(r, "account");
	const char *number = request_text(r, "number");
	json_t *rate = NULL;
	number += number[0] == '+';
	if ((table[0] == '\0') == (account[0] == '\0')) {
		request_error(r, RPC_INVALID_PARAMS, "Either 'table' or 'account' must be given.");
		return;
	}
	if (number[0] == '\0' || strspn(number, "0123456789") < strlen(number)) {
		request_error(r, RPC_INVALID_PARAMS, "'number' must be digits, with or without a leading +.");
		return;
	}
	write_ledger_path(r, path);
	int result =
		rates_lookup(path, table, account, number, request_integer(r, "at", now_us()), take_rate, &rate, error);
	if (result == 0)
		request_result(r, rate);
	else
		read_failed(r, result, error);
}

/* ---- import, export, delete ---- */

static void finish_import(struct request *r, const struct change *c)
{
	if (!order_failed(r, c))
		request_result(r, json_pack("{s:s, s:I, s:I, s:I, s:I}", "table", c->order.table, "rates",
					    (json_int_t)c->outcome.rows, "was", (json_int_t)c->outcome.rows_before,
					    "generation", (json_int_t)c->generation, "ms", (json_int_t)c->ms));
}

static void finish_export(struct request *r, const struct change *c)
{
	if (order_failed(r, c))
		return;
	json_t *result = json_pack("{s:s, s:I}", "table", c->order.table, "rates", (json_int_t)c->outcome.rows);
	if (c->outcome.text != NULL)
		json_object_set_new(result, "text", json_text_terminated(c->outcome.text));
	else
		json_object_set_new(result, "file", json_text_terminated(c->order.file));
	request_result(r, result);
}

static void finish_delete(struct request *r, const struct change *c)
{
	if (!order_failed(r, c))
		request_result(
			r, json_pack("{s:s, s:I}", "table", c->order.table, "was", (json_int_t)c->outcome.rows_before));
}

static void ask(struct request *r, enum order_kind kind, const char *file,
		void (*finish)(struct request *r, const struct change *change))
{
	if (file[0] != '\0' && file[0] != '/') {
		request_error(r, RPC_INVALID_PARAMS, "'file' must be an absolute path, which the switch can reach.");
		return;
	}
	struct change *change = order_create(r, kind, finish);
	if (change == NULL)
		return;
	snprintf(change->order.table, sizeof change->order.table, "%s", request_text(r, "table"));
	snprintf(change->order.file, sizeof change->order.file, "%s", file);
	change_submit(r, change);
}

void method_rates_import(struct request *r)
{
	ask(r, ORDER_RATES_IMPORT, request_text(r, "file"), finish_import);
}

void method_rates_export(struct request *r)
{
	ask(r, ORDER_RATES_EXPORT, request_text(r, "file"), finish_export);
}

void method_rates_delete(struct request *r)
{
	ask(r, ORDER_RATES_DELETE, "", finish_delete);
}
