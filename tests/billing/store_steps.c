#include "tests/billing/store_steps.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Spec 9, in its order. */
const char *const spec_columns[SPEC_COLUMN_COUNT] = {
	"cdr_id",
	"node",
	"shard",
	"mapping_gateway",
	"routing_gateway",
	"account",
	"vendor_account",
	"caller_in",
	"callee_in",
	"caller_out",
	"callee_out",
	"source_address",
	"destination_address",
	"call_id_a",
	"call_id_b",
	"start_us",
	"ringing_us",
	"connect_us",
	"end_us",
	"pdd_ms",
	"hold_ms",
	"billed_s",
	"end_side",
	"end_reason",
	"sip_code",
	"q850",
	"attempts",
	"session_timer",
	"refreshes_sent",
	"refreshes_confirmed",
	"last_confirmed_us",
	"rate_prefix",
	"rate",
	"fee",
	"cost",
	"recovered",
};

struct cdr_store *open_store(const char *path)
{
	struct cdr_store *store;
	const char *error;

	cr_assert_eq(cdr_store_open(path, &store, &error), 0, "%s", error);
	return store;
}

/* The words of a refusal. */
const char *refusal(const char *path, int expected)
{
	struct cdr_store *store = NULL;
	const char *error = NULL;
	const int result = cdr_store_open(path, &store, &error);

	cr_assert_eq(result, expected, "%d: %s", result, error);
	cr_assert_null(store);
	return error;
}

void add_all(struct cdr_store *store, const struct cdr *cdrs, size_t count)
{
	cr_assert_eq(cdr_store_begin(store), 0);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(cdr_store_add(store, &cdrs[i]), 0, "%s", cdr_store_error(store));
	cr_assert_eq(cdr_store_commit(store), 0);
}

void add_one(struct cdr_store *store, const struct cdr *cdr)
{
	add_all(store, cdr, 1);
}

sqlite3 *raw_open(const char *path)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

void raw_run(const char *path, const char *sql)
{
	sqlite3 *db = raw_open(path);

	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* The first value of a query made by a stranger, as text. */
const char *raw_query(const char *path, const char *sql)
{
	static char text[4096];
	sqlite3 *db = raw_open(path);
	sqlite3_stmt *statement;

	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	snprintf(text, sizeof(text), "%s", (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return text;
}

static void keep_row(void *context, const struct cdr_value *values, unsigned count)
{
	struct listing *l = context;

	if (count != SPEC_COLUMN_COUNT)
		l->wrong = true;
	if (l->count == 0)
		l->first = json_object();
	for (unsigned i = 0; i < count && !l->wrong; i++) {
		l->wrong = strcmp(values[i].name, spec_columns[i]) != 0;
		if (l->count != 0)
			continue;
		json_t *value = values[i].type == CDR_COLUMN_INTEGER ? json_integer(values[i].integer)
				: values[i].type == CDR_COLUMN_TEXT  ? json_string(values[i].text)
								     : json_loads(values[i].text, 0, NULL);
		l->wrong |= json_object_set_new(l->first, values[i].name, value) != 0;
	}
	if (l->count < 16)
		snprintf(l->ids[l->count], sizeof(l->ids[0]), "%s", values[0].text);
	l->count++;
}

struct listing list(const char *path, struct cdr_filter filter)
{
	struct listing l = { 0 };
	char error[256] = "";

	cr_assert_eq(cdr_store_list(path, &filter, NULL, keep_row, &l, error), 0, "%s", error);
	cr_assert_not(l.wrong);
	return l;
}

int list_refusal(const char *path, char error[static 256])
{
	const struct cdr_filter any = { 0 };
	struct listing l = { 0 };
	const int result = cdr_store_list(path, &any, NULL, keep_row, &l, error);

	cr_assert_eq(l.count, 0);
	return result;
}

const char *first_text(const struct listing *l, const char *name)
{
	return json_string_value(json_object_get(l->first, name));
}

int64_t first_integer(const struct listing *l, const char *name)
{
	const json_t *value = json_object_get(l->first, name);

	cr_assert(json_is_integer(value), "%s", name);
	return json_integer_value(value);
}
