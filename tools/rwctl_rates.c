/* Rate tables: their commands, and what comes back as people want to read it. */
#include <string.h>

#include "tools/rwctl_table.h"
#include "tools/rwctl_words.h"

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value != NULL ? value : "";
}

static json_int_t integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void add_rate(struct table *t, const json_t *row)
{
	table_text(t, text(row, "prefix"));
	table_text(t, text(row, "name"));
	table_text(t, text(row, "rate_per_minute"));
	table_text(t, text(row, "connect_fee"));
	table_number(t, integer(row, "first_increment_s"));
	table_number(t, integer(row, "next_increment_s"));
	table_number(t, integer(row, "grace_s"));
	table_text(t, text(row, "effective_from"));
	table_text(t, text(row, "effective_to"));
}

#define RATE_COLUMNS "PREFIX|NAME|>RATE/MIN|>CONNECT|>FIRST S|>NEXT S|>GRACE S|FROM|TO"

static void show_rates(const json_t *rows, FILE *out)
{
	struct table *t = table_create(RATE_COLUMNS);
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)rows, index, row)
	{
		add_rate(t, row);
	}
	table_print(t, out);
}

static void show_tables(const json_t *result, FILE *out)
{
	struct table *t = table_create("TABLE|>RATES|>ACCOUNTS|IMPORTED");
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		table_text(t, text(row, "table"));
		table_number(t, integer(row, "rates"));
		table_number(t, integer(row, "accounts"));
		table_time(t, integer(row, "imported_us"));
	}
	table_print(t, out);
}

static void show_lookup(const json_t *result, FILE *out)
{
	struct table *t = table_create("TABLE|" RATE_COLUMNS);
	table_text(t, text(result, "table"));
	add_rate(t, result);
	table_print(t, out);
}

static void show_import(const json_t *result, FILE *out)
{
	fprintf(out, "rate table %s has %lld rates now (before: %lld), read in %lld ms\n", text(result, "table"),
		integer(result, "rates"), integer(result, "was"), integer(result, "ms"));
}

static void show_export(const json_t *result, FILE *out)
{
	if (json_object_get(result, "text") != NULL) {
		fputs(text(result, "text"), out);
		return;
	}
	fprintf(out, "%lld rates are in ", integer(result, "rates"));
	print_safely(text(result, "file"), out);
	fputc('\n', out);
}

static void show_delete(const json_t *result, FILE *out)
{
	fprintf(out, "rate table %s is gone, with its %lld rates\n", text(result, "table"), integer(result, "was"));
}

const struct words rates_words[] = {
	{ "rates", "list", "rates.list", show_tables, 0, { 0 }, 0, false, "rates list", "rate tables" },
	{ "rates",
	  "list",
	  "rates.list",
	  show_rates,
	  WORDS_PREFIX | WORDS_LIMIT,
	  { "table" },
	  1,
	  false,
	  "rates list TABLE [--prefix DIGITS] [--limit N]",
	  "the rows of one" },
	{ "rates",
	  "lookup",
	  "rates.lookup",
	  show_lookup,
	  WORDS_ACCOUNT | WORDS_AT,
	  { "table", "number" },
	  2,
	  false,
	  "rates lookup TABLE NUMBER | --account NAME NUMBER [--at TIME]",
	  "the rate of a number" },
	{ "rates",
	  "import",
	  "rates.import",
	  show_import,
	  0,
	  { "table", "file" },
	  2,
	  false,
	  "rates import TABLE FILE",
	  "replace a table by a CSV file, all of it or nothing" },
	{ "rates",
	  "export",
	  "rates.export",
	  show_export,
	  0,
	  { "table", "file" },
	  1,
	  false,
	  "rates export TABLE [FILE]",
	  "a table as CSV" },
	{ "rates",
	  "delete",
	  "rates.delete",
	  show_delete,
	  0,
	  { "table" },
	  1,
	  false,
	  "rates delete TABLE",
	  "a table that no account has" },
	{ .first = NULL },
};
