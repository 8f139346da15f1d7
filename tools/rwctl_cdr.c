/* rwctl cdr: records and sums of records as tables that fit the terminal, or as CSV.  (A record is corrected by
 * `cdr adjust`, which is a command of two words: rwctl_words.h.) */
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "billing/columns.h"
#include "tools/rwctl_show.h"
#include "tools/rwctl_table.h"

static json_int_t integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value != NULL ? value : "";
}

/* ---- money: decimal texts, the points of a column under one another ---- */

static unsigned decimals_of(const char *amount)
{
	const char *point = strchr(amount, '.');
	return point != NULL ? (unsigned)strlen(point + 1) : 0;
}

static unsigned most_decimals(const json_t *rows, const char *name, unsigned least)
{
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)rows, index, row)
	{
		unsigned decimals = decimals_of(text(row, name));
		least = decimals > least ? decimals : least;
	}
	return least;
}

/* "-" for no amount at all: the call had no account. */
static void add_money(struct table *t, const json_t *row, const char *name, unsigned decimals)
{
	const char *amount = text(row, name);
	char padded[80];
	unsigned missing = decimals - decimals_of(amount);
	if (amount[0] == '\0' || strlen(amount) + missing + 2 > sizeof padded || missing > decimals) {
		table_text(t, amount);
		return;
	}
	char *end = stpcpy(padded, amount);
	if (missing > 0 && strchr(amount, '.') == NULL)
		*end++ = '.';
	memset(end, '0', missing);
	end[missing] = '\0';
	table_text(t, padded);
}

/* ---- records ---- */

enum { WAS = 12 }; /* the column of fees before they were corrected */

void show_cdrs(const json_t *result, FILE *out)
{
	/* What is left out first where the terminal is too narrow; the start, both numbers and the id stay. */
	static const unsigned drop[] = { 14, 10, 2, 13, 9, 12, 11, 7, 4, 3, 8, 1, UINT_MAX };
	struct table *t = table_create("START|>DURATION|>PDD|FROM|TO|CALLER|CALLEE|>CODE|REASON|ENDED BY|ACCOUNT|>FEE|"
				       ">WAS|>COST|TIMER|CDR ID");
	unsigned cost_decimals = most_decimals(result, "cost", 0);
	unsigned fee_decimals = most_decimals(result, "fee_original", most_decimals(result, "fee", 0));
	bool corrected = false;
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		table_time(t, integer(row, "start_us"));
		table_duration(t, integer(row, "hold_ms"));
		table_duration(t, integer(row, "pdd_ms"));
		table_text(t, text(row, "mapping_gateway"));
		table_text(t, text(row, "routing_gateway"));
		table_text(t, text(row, "caller_in"));
		table_text(t, text(row, "callee_in"));
		table_number(t, integer(row, "sip_code"));
		table_text(t, text(row, "end_reason"));
		table_text(t, text(row, "end_side"));
		table_text(t, text(row, "account"));
		add_money(t, row, "fee", fee_decimals);
		add_money(t, row, "fee_original", fee_decimals);
		corrected = corrected || text(row, "fee_original")[0] != '\0';
		add_money(t, row, "cost", cost_decimals);
		table_text(t, text(row, "session_timer"));
		table_text(t, text(row, "cdr_id"));
	}
	if (!corrected)
		table_hide(t, WAS);
	table_print_fitting(t, out, drop);
}

/* ---- sums ---- */

static void add_real(struct table *t, const json_t *row, const char *name, int decimals)
{
	const json_t *value = json_object_get(row, name);
	char figure[FORMAT_MAX] = "";
	if (json_is_number(value))
		snprintf(figure, sizeof figure, "%.*f", decimals, json_number_value(value));
	table_text(t, figure);
}

static void add_sum(struct table *t, const char *name, const json_t *sum, const unsigned decimals[3])
{
	table_text(t, name);
	table_number(t, integer(sum, "attempts"));
	table_number(t, integer(sum, "answered"));
	add_real(t, sum, "asr", 1);
	add_real(t, sum, "acd_s", 1);
	add_real(t, sum, "pdd_ms", 0);
	add_real(t, sum, "minutes", 2);
	add_real(t, sum, "billed_minutes", 2);
	add_money(t, sum, "fee", decimals[0]);
	add_money(t, sum, "cost", decimals[1]);
	add_money(t, sum, "profit", decimals[2]);
}

void show_sums(const json_t *result, FILE *out)
{
	static const char *const amounts[] = { "fee", "cost", "profit" };
	static const unsigned drop[] = { 5, 7, 2, 9, 4, 10, UINT_MAX };
	const json_t *rows = json_object_get(result, "rows"), *total = json_object_get(result, "total");
	const char *by = text(result, "by");
	char headings[200];
	unsigned decimals[3];
	for (int i = 0; i < 3; i++)
		decimals[i] = most_decimals(rows, amounts[i], decimals_of(text(total, amounts[i])));
	snprintf(headings, sizeof headings,
		 "%.20s|>ATTEMPTS|>ANSWERED|>ASR %%|>ACD S|>PDD MS|>MINUTES|>BILLED|>FEE|>COST|>PROFIT", by);
	for (char *at = headings; *at != '|'; at++)
		*at = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
	struct table *t = table_create(headings);
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)rows, index, row)
	{
		if (strcmp(by, "all") != 0)
			add_sum(t, text(row, by), row, decimals);
	}
	add_sum(t, "TOTAL", total, decimals);
	table_print_fitting(t, out, drop);
}

/* ---- CSV ---- */

static void put_csv(const char *field, FILE *out)
{
	if (strpbrk(field, ",\"\r\n") == NULL) {
		fputs(field, out);
		return;
	}
	fputc('"', out);
	for (; *field != '\0'; field++) {
		if (*field == '"')
			fputc('"', out);
		fputc(*field, out);
	}
	fputc('"', out);
}

static void put_value(const json_t *value, FILE *out)
{
	if (json_is_null(value))
		return;
	char *dumped = json_is_string(value)
			       ? NULL
			       : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
	put_csv(dumped != NULL ? dumped : json_string_value(value), out);
	free(dumped);
}

/* The names of a row, behind what stands there. */
static void put_names(const json_t *row, const char *before, FILE *out)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)row, name, value)
	{
		fprintf(out, "%s%s", before, name);
		before = ",";
	}
	fputs("\r\n", out);
}

/* The heading is that of the rows; where there are none, the names that this version knows. */
static void put_heading(const json_t *rows, const char *known, FILE *out)
{
	if (json_array_size(rows) > 0)
		put_names(json_array_get(rows, 0), "", out);
	else
		fprintf(out, "%s\r\n", known);
}

static void put_rows(const json_t *rows, FILE *out)
{
	size_t index;
	json_t *row, *value;
	json_array_foreach((json_t *)(uintptr_t)rows, index, row)
	{
		const char *name, *before = "";
		json_object_foreach(row, name, value)
		{
			fputs(before, out);
			put_value(value, out);
			before = ",";
		}
		fputs("\r\n", out);
	}
}

#define NAME_FIRST(name, type) #name
#define NAME_NEXT(name, type)  "," #name

void show_cdrs_csv(const json_t *result, FILE *out)
{
	put_heading(result, CDR_COLUMNS(NAME_FIRST, NAME_NEXT) ",fee_original", out);
	put_rows(result, out);
}

void show_calls_csv(const json_t *result, FILE *out)
{
	put_heading(result,
		    "cdr_id,state,mapping_gateway,routing_gateway,caller_in,callee_in,call_id_a,call_id_b,start_us,"
		    "connect_us,age_s,session_timer,next_deadline_s,shard",
		    out);
	put_rows(result, out);
}

/* A group has its name and the figures of the total. */
void show_sums_csv(const json_t *result, FILE *out)
{
	fputs(text(result, "by"), out);
	put_names(json_object_get(result, "total"), ",", out);
	put_rows(json_object_get(result, "rows"), out);
}
