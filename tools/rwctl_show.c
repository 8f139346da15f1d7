/* Tables: what an operator looks for first stands first; --json has the rest. */
#include "tools/rwctl_show.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/rwctl_table.h"

static json_int_t integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* Rows of the named fields. */
static void add_fields(struct table *t, const json_t *row, const char *const *names)
{
	for (; *names != NULL; names++)
		table_json(t, json_object_get(row, *names));
}

#define FIELDS(t, row, ...) add_fields((t), (row), (const char *const[]){ __VA_ARGS__, NULL })

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* The first of a list, and how many more there are: "192.0.2.1:5060 +1". */
static void add_first(struct table *t, const json_t *list)
{
	char text[320];
	const char *first = json_string_value(json_array_get(list, 0));
	size_t more = json_array_size(list) > 1 ? json_array_size(list) - 1 : 0;
	snprintf(text, sizeof text, more > 0 ? "%.280s +%zu" : "%.280s", first != NULL ? first : "", more);
	table_text(t, text);
}

/* "-" for null: nothing is known. */
static void add_real(struct table *t, const json_t *value, int decimals)
{
	char text[FORMAT_MAX] = "";
	if (json_is_number(value))
		snprintf(text, sizeof text, "%.*f", decimals, json_number_value(value));
	table_text(t, text);
}

/* "-" for 0: no limit. */
static void add_limit(struct table *t, json_int_t limit)
{
	if (limit > 0)
		table_number(t, limit);
	else
		table_text(t, "");
}

/* A figure by the unit that its name ends in; in a readable form it needs the unit no more.  false: it has none. */
static bool add_with_unit(struct table *t, const char *name, json_int_t value)
{
	const char *unit = ends_with(name, "_us") ? "_us" : ends_with(name, "_s") ? "_s" : NULL;
	char label[64];
	if (unit == NULL || strlen(name) >= sizeof label)
		return false;
	strcpy(label, name);
	label[strlen(name) - strlen(unit)] = '\0';
	table_text(t, label);
	if (strcmp(unit, "_us") == 0)
		table_time(t, value);
	else
		table_duration(t, value < 0 ? -1 : value * 1000);
	return true;
}

static void show_object(const json_t *object, FILE *out)
{
	struct table *t = table_create("FIELD|VALUE");
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (json_is_integer(value) && add_with_unit(t, name, json_integer_value(value)))
			continue;
		table_text(t, name);
		if (json_is_boolean(value))
			table_text(t, json_is_true(value) ? "yes" : "no");
		else
			table_json(t, value);
	}
	table_print(t, out);
}

void show_info(const json_t *result, FILE *out)
{
	json_t *flat = json_copy((json_t *)(uintptr_t)result); /* the listeners on lines of their own */
	json_t *listen = json_object_get(result, "listen");
	json_object_del(flat, "listen");
	size_t index;
	json_t *l;
	json_array_foreach(listen, index, l)
	{
		json_t *name = json_sprintf("listen %s", json_string_value(json_object_get(l, "name")));
		json_object_set_new(flat, json_string_value(name),
				    json_sprintf("%s %s", json_string_value(json_object_get(l, "transport")),
						 json_string_value(json_object_get(l, "address"))));
		json_decref(name);
	}
	show_object(flat, out);
	json_decref(flat);
}

/* Where CDRs go. */
static void show_stores(const json_t *stores, FILE *out)
{
	struct table *t = table_create("STORE|>WRITTEN|>LAG|>FAILING|>FAILURES");
	size_t index;
	json_t *store;
	json_array_foreach((json_t *)(uintptr_t)stores, index, store)
		FIELDS(t, store, "store", "written", "lag", "failing", "failures");
	table_print(t, out);
}

void show_stats(const json_t *result, FILE *out)
{
	struct table *figures = table_create("STATISTIC|>NODE");
	struct table *histograms = table_create("HISTOGRAM|>COUNT|>MEAN|>P50|>P99|>P99.9|>MAX");
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)result, name, value)
	{
		if (json_is_array(value))
			continue;
		struct table *t = json_is_object(value) ? histograms : figures;
		table_text(t, name);
		if (!json_is_object(value)) {
			table_json(t, value);
			continue;
		}
		json_int_t count = integer(value, "count");
		table_number(t, count);
		table_number(t, count > 0 ? integer(value, "sum") / count : 0);
		FIELDS(t, value, "p50", "p99", "p999", "max");
	}
	table_print(figures, out);
	fputc('\n', out);
	table_print(histograms, out);
	fputc('\n', out);
	show_stores(json_object_get(result, "stores"), out);
}

void show_shards(const json_t *result, FILE *out)
{
	struct table *t = table_create(">SHARD|>ACTIVE|>SETUP|>ATTEMPTED|>ANSWERED|>FAILED|>IN|>OUT|>BAD|>OVER|>TIMERS|"
				       ">CDRS|>BUSY %|>LOOP P99 US|>RELAY P99 US|>LATE P99 US");
	size_t index;
	json_t *shard;
	json_array_foreach(json_object_get(result, "shards"), index, shard)
	{
		FIELDS(t, shard, "shard", "calls_active", "calls_setup", "calls_attempted", "calls_answered",
		       "calls_failed", "datagrams_in", "datagrams_out", "datagrams_bad", "datagrams_handed_over",
		       "timers_armed", "cdr_written");
		char busy[FORMAT_MAX];
		snprintf(busy, sizeof busy, "%.1f", 100 * json_number_value(json_object_get(shard, "loop_busy_ratio")));
		table_text(t, busy);
		table_number(t, integer(json_object_get(shard, "loop_us"), "p99"));
		table_number(t, integer(json_object_get(shard, "relay_us"), "p99"));
		table_number(t, integer(json_object_get(shard, "timer_lateness_us"), "p99"));
	}
	table_print(t, out);
}

void show_calls(const json_t *result, FILE *out)
{
	struct table *t = table_create("CDR ID|STATE|FROM|TO|CALLER|CALLEE|START|>AGE|TIMER|>NEXT DEADLINE|>SHARD");
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		json_int_t next_s = integer(row, "next_deadline_s");
		FIELDS(t, row, "cdr_id", "state", "mapping_gateway", "routing_gateway", "caller_in", "callee_in");
		table_time(t, integer(row, "start_us"));
		table_duration(t, integer(row, "age_s") * 1000);
		table_json(t, json_object_get(row, "session_timer"));
		table_duration(t, next_s < 0 ? -1 : next_s * 1000);
		table_json(t, json_object_get(row, "shard"));
	}
	table_print(t, out);
}

void show_call(const json_t *result, FILE *out)
{
	show_object(result, out);
}

void show_hangup(const json_t *result, FILE *out)
{
	print_safely(json_string_value(json_object_get(result, "cdr_id")), out);
	fputs(" is being hung up\n", out);
}

void show_stop(const json_t *result, FILE *out)
{
	fputs(json_is_true(json_object_get(result, "keep_calls"))
		      ? "the node is stopping: live calls are left to the next start\n"
		      : "the node is stopping: live calls get their BYEs\n",
	      out);
}

void show_reload(const json_t *result, FILE *out)
{
	fprintf(out,
		"configuration %lld is in force: %lld mapping gateways, %lld routing gateways, %lld prefixes, read in "
		"%lld "
		"ms\n",
		integer(result, "generation"), integer(result, "mapping_gateways"), integer(result, "routing_gateways"),
		integer(result, "prefixes"), integer(result, "ms"));
	size_t index;
	json_t *warning;
	json_array_foreach(json_object_get(result, "warnings"), index, warning)
	{
		fputs("warning: ", out);
		print_safely(json_string_value(warning), out);
		putc('\n', out);
	}
}

void show_parameter_set(const json_t *result, FILE *out)
{
	struct table *t = table_create("NAME|VALUE|WAS");
	FIELDS(t, result, "name", "value", "was");
	table_print(t, out);
}

void show_drain(const json_t *result, FILE *out)
{
	json_int_t timeout_s = integer(result, "timeout_s");
	fprintf(out, "the node takes no new calls and stops when the %lld that it has are over",
		integer(result, "calls"));
	if (timeout_s > 0)
		fprintf(out, ", after %lld s at the latest", timeout_s);
	fputs("\n", out);
}

void show_log(const json_t *result, FILE *out)
{
	const char *level = json_string_value(json_object_get(result, "level"));
	fprintf(out, "%s\n", level ? level : "-");
}

void show_parameters(const json_t *result, FILE *out)
{
	struct table *t = table_create("NAME|VALUE|DEFAULT|RANGE|UNIT|TEXT");
	json_t *rows = json_is_array(result) ? json_incref((json_t *)(uintptr_t)result) : json_pack("[O]", result);
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		FIELDS(t, row, "name", "value", "default", "range", "unit", "text");
	}
	json_decref(rows);
	table_print(t, out);
}

void show_gateways(const json_t *result, FILE *out)
{
	struct table *t = table_create("NAME|KIND|STATE|>CALLS|>CAPACITY|>ATTEMPTS|>ASR %|>ACD S|>PDD MS|ADDRESSES");
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		FIELDS(t, row, "name", "kind", "state", "calls");
		add_limit(t, integer(row, "capacity"));
		FIELDS(t, row, "attempts");
		add_real(t, json_object_get(row, "asr"), 1);
		add_real(t, json_object_get(row, "acd_s"), 1);
		add_real(t, json_object_get(row, "pdd_ms"), 0);
		add_first(t, json_object_get(row, "addresses"));
	}
	table_print(t, out);
}

void show_cdrs(const json_t *result, FILE *out)
{
	struct table *t = table_create("START|>DURATION|>PDD|FROM|TO|CALLER|CALLEE|>CODE|REASON|ENDED BY|TIMER|CDR ID");
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		table_time(t, integer(row, "start_us"));
		table_duration(t, integer(row, "hold_ms"));
		table_duration(t, integer(row, "pdd_ms"));
		FIELDS(t, row, "mapping_gateway", "routing_gateway", "caller_in", "callee_in", "sip_code", "end_reason",
		       "end_side", "session_timer", "cdr_id");
	}
	table_print(t, out);
}

static void put_csv(const char *text, FILE *out)
{
	if (strpbrk(text, ",\"\r\n") == NULL) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

void show_cdrs_csv(const json_t *result, FILE *out)
{
	size_t index;
	json_t *row, *value;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		const char *name;
		bool first = true;
		if (index == 0) {
			json_object_foreach(row, name, value)
			{
				fprintf(out, "%s%s", first ? "" : ",", name);
				first = false;
			}
			fputs("\r\n", out);
			first = true;
		}
		json_object_foreach(row, name, value)
		{
			char *dumped = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
			fputs(first ? "" : ",", out);
			put_csv(dumped != NULL ? dumped : json_string_value(value), out);
			free(dumped);
			first = false;
		}
		fputs("\r\n", out);
	}
}
