/* The methods of the control socket (spec 3) and JSON-RPC 2.0's rules, against a node without workers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "billing/store.h"
#include "core/control/internal.h"
#include "tests/core/fake_node.h"

static struct node *node;

static void setup(void)
{
	node = fake_node_create();
}

static void teardown(void)
{
	fake_node_destroy(node);
}

TestSuite(control, .init = setup, .fini = teardown);

static json_t *call(const char *method, const char *params)
{
	char request[2048];
	snprintf(request, sizeof request, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method,
		 params);
	json_t *reply = fake_ask(node, request);
	cr_assert_not_null(reply, "%s", request);
	cr_assert_str_eq(json_string_value(json_object_get(reply, "jsonrpc")), "2.0");
	cr_assert_eq(json_integer_value(json_object_get(reply, "id")), 1);
	return reply;
}

static json_t *result_of(const char *method, const char *params)
{
	json_t *reply = call(method, params);
	json_t *result = json_object_get(reply, "result");
	cr_assert_not_null(result, "%s %s: %s", method, params, json_dumps(reply, 0));
	cr_assert_null(json_object_get(reply, "error"));
	json_incref(result);
	json_decref(reply);
	return result;
}

/* The sentence, and the code checked. */
static const char *error_of(const json_t *reply, int code)
{
	const json_t *error = json_object_get(reply, "error");
	cr_assert_null(json_object_get(reply, "result"));
	cr_assert_eq(json_integer_value(json_object_get(error, "code")), code, "%s", json_dumps(reply, 0));
	return json_string_value(json_object_get(error, "message"));
}

static void expect_error(const char *method, const char *params, int code, const char *words)
{
	json_t *reply = call(method, params);
	const char *message = error_of(reply, code);
	cr_assert_not_null(strstr(message, words), "'%s' does not say '%s'", message, words);
	json_decref(reply);
}

static json_int_t number(const json_t *object, const char *name)
{
	cr_assert(json_is_integer(json_object_get(object, name)), "%s", name);
	return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
	cr_assert(json_is_string(json_object_get(object, name)), "%s", name);
	return json_string_value(json_object_get(object, name));
}

Test(control, node_info_tells_version_node_uptime_pid_workers_and_addresses)
{
	json_t *info = result_of("node.info", "{}");
	cr_assert_str_eq(text(info, "node"), "node1");
	cr_assert_str_eq(text(info, "version"), RW_VERSION);
	cr_assert_eq(number(info, "pid"), getpid());
	cr_assert_eq(number(info, "workers"), FAKE_SHARDS);
	cr_assert_eq(number(info, "uptime_s"), 3661);
	cr_assert_str_eq(text(info, "steering"), "mailbox");
	const json_t *listen = json_array_get(json_object_get(info, "listen"), 0);
	cr_assert_str_eq(text(listen, "address"), "127.0.0.1:5060");
	cr_assert_str_eq(text(listen, "transport"), "udp");
	json_decref(info);
}

/* Counters and gauges add up, histograms are merged, the busy ratio is the mean of the shards'. */
Test(control, stats_are_totals_and_one_object_a_shard)
{
	for (unsigned i = 0; i < FAKE_SHARDS; i++) {
		node->stats[i].calls_active = 10 + i;
		node->stats[i].cdr_written = 100;
		node->stats[i].loop_busy_ratio = 100 * (i + 1);
		for (unsigned k = 0; k < 100; k++)
			histogram_add(&node->stats[i].relay_us, i == 2 ? 8 : 2);
	}
	node->books.sink_count = 2;
	node->books.sinks[0] = (struct books_sink){ .name = "sqlite", .failing = true, .failures = 42, .lag = 7 };
	node->books.sinks[1] = (struct books_sink){ .name = "files", .written = 9 };
	node->books.journal = (struct intake_figures){ .records = 11, .syncs = 5, .bytes = 1 << 28, .failed = true };
	histogram_add(&node->books.sync_us, 8);
	json_t *stats = result_of("stats", "{}");
	cr_assert_eq(number(stats, "cdr_store_failing"), 1);
	cr_assert_eq(number(stats, "cdr_store_failures"), 42);
	cr_assert_eq(number(stats, "journal_records"), 11);
	cr_assert_eq(number(stats, "journal_syncs"), 5);
	cr_assert_eq(number(stats, "journal_bytes"), 1 << 28);
	cr_assert_eq(number(stats, "journal_failed"), 1);
	cr_assert_eq(number(stats, "journal_taking"), 0);
	cr_assert_eq(number(json_object_get(stats, "journal_sync_us"), "max"), 8);
	const json_t *stores = json_object_get(stats, "stores");
	cr_assert_eq(json_array_size(stores), 2);
	cr_assert_str_eq(text(json_array_get(stores, 0), "store"), "sqlite");
	cr_assert_eq(number(json_array_get(stores, 0), "lag"), 7);
	cr_assert_eq(number(json_array_get(stores, 1), "written"), 9);
	cr_assert_eq(number(stats, "calls_active"), 33);
	cr_assert_eq(number(stats, "cdr_written"), 300);
	cr_assert_float_eq(json_real_value(json_object_get(stats, "loop_busy_ratio")), 0.2, 1e-9);
	const json_t *relay = json_object_get(stats, "relay_us");
	cr_assert_eq(number(relay, "count"), 300);
	cr_assert_eq(number(relay, "sum"), 200 * 2 + 100 * 8);
	cr_assert_eq(number(relay, "p50"), 2);
	cr_assert_eq(number(relay, "p99"), 8);
	cr_assert_eq(number(relay, "p999"), 8);
	cr_assert_eq(number(relay, "max"), 8);
	const json_t *shards = json_object_get(stats, "shards");
	cr_assert_eq(json_array_size(shards), FAKE_SHARDS);
	for (unsigned i = 0; i < FAKE_SHARDS; i++) {
		const json_t *shard = json_array_get(shards, i);
		cr_assert_eq(number(shard, "shard"), i);
		cr_assert_eq(number(shard, "calls_active"), 10 + i);
		cr_assert_eq(json_object_size(shard), json_object_size(stats) - 10,
			     "the same names, shard for shards, no journal and no stores");
	}
	json_decref(stats);
}

Test(control, stats_prometheus_has_help_type_and_a_sample_a_shard)
{
	node->stats[1].calls_active = 12;
	node->stats[1].loop_busy_ratio = 250;
	node->books.sinks[0].failing = true;
	node->books.sinks[0].lag = 3;
	histogram_add(&node->books.sync_us, 8);
	histogram_add(&node->stats[0].loop_us, 5);
	json_t *result = result_of("stats.prometheus", "{}");
	const char *out = text(result, "text");
	static const char *const lines[] = {
		"# HELP ringwheel_calls_active Calls answered and not ended\n# TYPE ringwheel_calls_active gauge\n",
		"\nringwheel_calls_active{node=\"node1\",shard=\"1\"} 12\n",
		"\n# TYPE ringwheel_datagrams_in counter\n",
		"\nringwheel_loop_busy_ratio{node=\"node1\",shard=\"1\"} 0.250\n",
		"\n# TYPE ringwheel_loop_us summary\n",
		"\nringwheel_loop_us{node=\"node1\",shard=\"0\",quantile=\"0.99\"} 5\n",
		"\nringwheel_loop_us_sum{node=\"node1\",shard=\"0\"} 5\n",
		"\n# TYPE ringwheel_cdr_store_failing gauge\nringwheel_cdr_store_failing{node=\"node1\"} 1\n",
		"\nringwheel_loop_us_count{node=\"node1\",shard=\"0\"} 1\n",
		"\n# TYPE ringwheel_journal_sync_us summary\n",
		"\nringwheel_journal_sync_us{node=\"node1\",quantile=\"0.5\"} 8\n",
		"\nringwheel_journal_sync_us_count{node=\"node1\"} 1\n",
		"\n# TYPE ringwheel_store_lag gauge\nringwheel_store_lag{node=\"node1\",store=\"sqlite\"} 3\n",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		cr_assert_not_null(strstr(out, lines[i]), "missing: %s", lines[i]);
	cr_assert_eq(out[strlen(out) - 1], '\n');
	json_decref(result);
}

Test(control, stats_prometheus_escapes_the_label)
{
	strcpy(node->config.node, "a\"b\\c");
	json_t *result = result_of("stats.prometheus", "{}");
	cr_assert_not_null(
		strstr(text(result, "text"), "ringwheel_calls_active{node=\"a\\\"b\\\\c\",shard=\"0\"} 0\n"));
	json_decref(result);
}

Test(control, calls_list_rows_have_the_columns_of_the_specification_in_order)
{
	static const char *const columns[] = { "cdr_id",          "state",      "mapping_gateway", "routing_gateway",
					       "caller_in",       "callee_in",  "call_id_a",       "call_id_b",
					       "start_us",        "connect_us", "age_s",           "session_timer",
					       "next_deadline_s", "shard" };
	fake_call_add(node, 1, 5);
	json_t *rows = result_of("calls.list", "{}");
	cr_assert_eq(json_array_size(rows), 1);
	const char *name;
	json_t *value;
	size_t i = 0;
	json_object_foreach(json_array_get(rows, 0), name, value)
	{
		cr_assert(i < sizeof columns / sizeof columns[0]);
		cr_assert_str_eq(name, columns[i]);
		i++;
	}
	cr_assert_eq(i, sizeof columns / sizeof columns[0]);
	cr_assert_str_eq(text(json_array_get(rows, 0), "caller_in"), "+445");
	cr_assert_eq(number(json_array_get(rows, 0), "shard"), 1);
	json_decref(rows);
}

/* The limit holds for all shards together, and the oldest calls come first whichever shard has them. */
Test(control, calls_list_is_sorted_by_start_and_cut_at_limit)
{
	for (unsigned i = 150; i > 0; i--)
		fake_call_add(node, i % FAKE_SHARDS, i);
	json_t *rows = result_of("calls.list", "{}");
	cr_assert_eq(json_array_size(rows), 100, "the default");
	for (size_t i = 1; i < json_array_size(rows); i++)
		cr_assert_lt(number(json_array_get(rows, i - 1), "start_us"),
			     number(json_array_get(rows, i), "start_us"));
	json_decref(rows);
	rows = result_of("calls.list", "{\"limit\":2}");
	cr_assert_eq(json_array_size(rows), 2);
	json_decref(rows);
	rows = result_of("calls.list", "{\"limit\":10000}");
	cr_assert_eq(json_array_size(rows), 150);
	cr_assert_eq(number(json_array_get(rows, 0), "age_s"), 999);
	json_decref(rows);
}

/* `after` is the last cdr_id of the page before, whether that call is still there or not. */
Test(control, calls_list_goes_on_after_a_call)
{
	for (unsigned i = 1; i <= 10; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	char params[100], expected[40];
	const char *after = "";
	json_t *page = NULL;
	for (unsigned i = 1; i <= 10; i += 4) {
		snprintf(params, sizeof params, "{\"limit\":4,\"after\":\"%s\"}", after);
		json_t *next = result_of("calls.list", params);
		json_decref(page);
		page = next;
		cr_assert_eq(json_array_size(page), i < 9 ? 4 : 2);
		for (unsigned k = 0; k < json_array_size(page); k++) {
			snprintf(expected, sizeof expected, "%032u", i + k);
			after = text(json_array_get(page, k), "cdr_id");
			cr_assert_str_eq(after, expected);
		}
		if (i + 3 <= 10)
			node->calls[i + 2].hung_up = true;
	}
	json_decref(page);
}

Test(control, calls_list_passes_the_filters_on)
{
	for (unsigned i = 1; i <= 6; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	json_t *rows = result_of("calls.list", "{\"gateway\":\"customer\"}");
	cr_assert_eq(json_array_size(rows), 3);
	json_decref(rows);
	rows = result_of("calls.list", "{\"number\":\"8804\"}");
	cr_assert_eq(json_array_size(rows), 1);
	json_decref(rows);
	rows = result_of("calls.list", "{\"older_than_s\":998}");
	cr_assert_eq(json_array_size(rows), 2);
	json_decref(rows);
}

/* What stands in a row came over the wire: every byte that is not UTF-8 becomes '?'. */
Test(control, calls_list_takes_rows_with_any_bytes)
{
	struct call_row *row = fake_call_add(node, 0, 1);
	strcpy(row->caller_in, "a\xff"
			       "b\xc3(\xed\xa0\x80\"\\\x01\xc3\xa9");
	memset(row->call_id_b, 'x', sizeof row->call_id_b); /* to the last byte, no NUL */
	json_t *rows = result_of("calls.list", "{}");
	cr_assert_str_eq(text(json_array_get(rows, 0), "caller_in"), "a?b?(???\"\\\x01\xc3\xa9");
	cr_assert_eq(strlen(text(json_array_get(rows, 0), "call_id_b")), sizeof row->call_id_b);
	json_decref(rows);
}

Test(control, calls_show_finds_by_cdr_id_and_by_either_call_id)
{
	static const char *const names[] = { "00000000000000000000000000000002", "a2@host", "b2" };
	for (unsigned i = 1; i <= 3; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	for (size_t i = 0; i < 3; i++) {
		char params[128];
		snprintf(params, sizeof params, "{\"call_id\":\"%s\"}", names[i]);
		json_t *shown = result_of("calls.show", params);
		cr_assert_str_eq(text(shown, "cdr_id"), names[0]);
		cr_assert_str_eq(text(shown, "source_address"), "127.0.0.1:5070");
		cr_assert_eq(number(shown, "attempts"), 1);
		json_decref(shown);
	}
	expect_error("calls.show", "{\"call_id\":\"nobody\"}", -32001, "nobody");
}

Test(control, calls_show_refuses_a_call_id_that_two_calls_have)
{
	strcpy(fake_call_add(node, 0, 1)->call_id_a, "same");
	strcpy(fake_call_add(node, 2, 2)->call_id_a, "same");
	expect_error("calls.show", "{\"call_id\":\"same\"}", -32002,
		     "00000000000000000000000000000001, 00000000000000000000000000000002.");
	expect_error("calls.hangup", "{\"call_id\":\"same\"}", -32002, "Several calls");
	cr_assert_not(node->calls[0].hung_up || node->calls[1].hung_up);
}

Test(control, calls_hangup_ends_that_call_and_no_other)
{
	for (unsigned i = 1; i <= 3; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	json_t *result = result_of("calls.hangup", "{\"call_id\":\"a2@host\"}");
	cr_assert_str_eq(text(result, "cdr_id"), "00000000000000000000000000000002");
	json_decref(result);
	cr_assert(node->calls[1].hung_up);
	cr_assert_not(node->calls[0].hung_up || node->calls[2].hung_up);
	expect_error("calls.hangup", "{\"call_id\":\"a2@host\"}", -32001, "a2@host");
}

/* The call ends by itself between the two questions. */
Test(control, calls_hangup_of_a_call_that_just_ended_is_not_found)
{
	static const char request[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.hangup\",\"params\":{\"call_id\":\"b1\"}}\n";
	fake_call_add(node, 1, 1);
	node->hold = true;
	int fd = fake_connect(node);
	cr_assert(fake_send(node, fd, request, strlen(request)));
	cr_assert_eq(node->submitted, FAKE_SHARDS);
	fake_release(node);
	node->hold = true;
	fake_pump(node);
	cr_assert_eq(node->submitted, FAKE_SHARDS + 1);
	node->calls[0].hung_up = true;
	fake_release(node);
	char *line = fake_line(node, fd);
	cr_assert_not_null(strstr(line, "-32001"));
	free(line);
	close(fd);
}

Test(control, parameters_get_one_and_all)
{
	node->config.parameters.SS_SIP_SESSION_TTL = 1800;
	json_t *row = result_of("parameters.get", "{\"name\":\"SS_SIP_SESSION_TTL\"}");
	cr_assert_eq(number(row, "value"), 1800);
	cr_assert_eq(number(row, "default"), 600);
	cr_assert_str_eq(text(row, "range"), "RW_SIP_MIN_SE..86400");
	cr_assert_str_eq(text(row, "unit"), "s");
	cr_assert_gt(strlen(text(row, "text")), 10);
	json_decref(row);
	row = result_of("parameters.get", "{\"name\":\"SS_REPLY_UNAUTHORIZED\"}");
	cr_assert(json_is_true(json_object_get(row, "value")));
	json_decref(row);
	row = result_of("parameters.get", "{\"name\":\"SS_QOS_SIGNAL\"}");
	cr_assert_eq(number(row, "value"), 0xa0);
	json_decref(row);
	row = result_of("parameters.get", "{\"name\":\"SS_SIP_RESEND_INTERVAL\"}");
	cr_assert_str_eq(text(row, "value"), "0.5,1,2,4,4,4,4,4,4,4");
	cr_assert_str_eq(text(row, "range"), "1 to 20 waits of 0.05..60");
	json_decref(row);
	json_t *rows = result_of("parameters.get", "{}");
	cr_assert_eq(json_array_size(rows), parameter_count);
	json_decref(rows);
	expect_error("parameters.get", "{\"name\":\"NO_SUCH\"}", -32602, "NO_SUCH");
}

/* Spec 3: {name, value}, the value as the configuration has it or as JSON has it. */
Test(control, parameters_set_says_the_old_value_and_the_new_one)
{
	json_t *result = result_of("parameters.set", "{\"name\":\"SS_SIP_SESSION_TTL\",\"value\":90}");
	cr_assert_eq(number(result, "value"), 90);
	cr_assert_eq(number(result, "was"), 600);
	cr_assert_eq(number(result, "generation"), 2);
	cr_assert_str_eq(text(result, "name"), "SS_SIP_SESSION_TTL");
	json_decref(result);
	cr_assert_eq(node->config.parameters.SS_SIP_SESSION_TTL, 90);

	result = result_of("parameters.set", "{\"name\":\"SS_QOS_SIGNAL\",\"value\":\"0x68\"}");
	cr_assert_eq(number(result, "value"), 0x68);
	json_decref(result);
	result = result_of("parameters.set", "{\"name\":\"SS_REPLY_UNAUTHORIZED\",\"value\":false}");
	cr_assert(json_is_false(json_object_get(result, "value")));
	cr_assert(json_is_true(json_object_get(result, "was")));
	json_decref(result);
	result = result_of("parameters.set", "{\"name\":\"SS_SIP_RESEND_INTERVAL\",\"value\":0.25}");
	cr_assert_str_eq(text(result, "value"), "0.25");
	json_decref(result);
}

Test(control, parameters_set_refuses_what_is_no_parameter_or_no_value)
{
	expect_error("parameters.set", "{\"name\":\"NO_SUCH\",\"value\":90}", -32602, "NO_SUCH");
	expect_error("parameters.set", "{\"name\":\"SS_SIP_SESSION_TTL\",\"value\":[90]}", -32602, "must be a number");
	cr_assert_eq(node->change_count, 0);
	expect_error("parameters.set", "{\"name\":\"SS_SIP_SESSION_TTL\",\"value\":100000}", -32602, "86400");
	expect_error("parameters.set", "{\"name\":\"SS_SIP_SESSION_TTL\",\"value\":true}", -32602, "whole number");
	cr_assert_eq(node->config.parameters.SS_SIP_SESSION_TTL, 600);
}

Test(control, config_reload_says_what_is_in_force_with_the_warnings)
{
	node->warnings = "first\nsecond\n";
	json_t *result = result_of("config.reload", "{}");
	cr_assert_eq(number(result, "generation"), 2);
	cr_assert_eq(number(result, "mapping_gateways"), 1);
	cr_assert_eq(number(result, "routing_gateways"), 2);
	cr_assert_eq(number(result, "prefixes"), 3);
	cr_assert_eq(number(result, "ms"), 4);
	const json_t *warnings = json_object_get(result, "warnings");
	cr_assert_eq(json_array_size(warnings), 2);
	cr_assert_str_eq(json_string_value(json_array_get(warnings, 1)), "second");
	json_decref(result);
	node->warnings = NULL;
	result = result_of("config.reload", "{}");
	cr_assert_eq(json_array_size(json_object_get(result, "warnings")), 0);
	json_decref(result);
}

Test(control, config_reload_says_why_it_was_refused)
{
	node->refusal = "ringwheel.conf:3: no such option 'capasity'";
	expect_error("config.reload", "{}", -32006, "ringwheel.conf:3: no such option");
	cr_assert_eq(node->config.generation, 1);
}

/* A load takes seconds: others are answered meanwhile, and who asked may be gone when it is done. */
Test(control, config_reload_under_way_holds_up_nobody)
{
	static const char reload[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"config.reload\"}\n";
	node->hold = true;
	int stays = fake_connect(node), goes = fake_connect(node);
	cr_assert(fake_send(node, stays, reload, strlen(reload)));
	cr_assert(fake_send(node, goes, reload, strlen(reload)));
	json_decref(result_of("node.info", "{}"));
	cr_assert_null(fake_line(node, stays));
	close(goes);
	fake_pump(node);
	fake_release(node);
	char *line = fake_line(node, stays);
	cr_assert_not_null(strstr(line, "\"prefixes\":3"), "%s", line);
	free(line);
	close(stays);
}

Test(control, changes_under_way_have_a_bound_and_are_freed_in_the_end)
{
	static const char reload[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"config.reload\"}\n";
	node->hold = true;
	for (int i = 0; i < 64; i++) {
		int fd = fake_connect(node);
		cr_assert(fake_send(node, fd, reload, strlen(reload)));
		close(fd);
	}
	expect_error("config.reload", "{}", -32004, "under way");
	cr_assert_eq(node->change_count, 64);
}

Test(control, node_drain_says_how_many_calls_it_waits_for)
{
	node->stats[0].calls_active = 2;
	node->stats[2].calls_setup = 1;
	json_t *result = result_of("node.drain", "{\"timeout_s\":10}");
	cr_assert_eq(number(result, "calls"), 3);
	cr_assert_eq(number(result, "timeout_s"), 10);
	json_decref(result);
	cr_assert(node->draining);
	json_t *info = result_of("node.info", "{}");
	cr_assert(json_is_true(json_object_get(info, "draining")));
	cr_assert_eq(number(info, "drain_left_s"), 10);
	json_decref(info);
	json_decref(result_of("node.drain", "{}"));
	cr_assert_eq(node->drain_timeout_s, 0);
	node->stopped = true;
	expect_error("node.drain", "{}", -32006, "stopping");
}

Test(control, log_level_is_shown_and_set_by_name_or_figure)
{
	json_t *result = result_of("log.level", "{}");
	cr_assert_str_eq(text(result, "level"), "debug");
	json_decref(result);
	result = result_of("log.level", "{\"level\":\"warning\"}");
	cr_assert_str_eq(text(result, "level"), "warning");
	cr_assert_str_eq(text(result, "was"), "debug");
	json_decref(result);
	result = result_of("log.level", "{\"level\":6}");
	cr_assert_str_eq(text(result, "level"), "info");
	json_decref(result);
	expect_error("log.level", "{\"level\":\"loud\"}", -32602, "critical, error");
	expect_error("log.level", "{\"level\":8}", -32602, "debug");
	expect_error("log.level", "{\"level\":true}", -32602, "debug");
	result = result_of("log.level", "{\"level\":null}");
	cr_assert_str_eq(text(result, "level"), "info");
	json_decref(result);
}

Test(control, config_show_gives_the_text)
{
	json_t *result = result_of("config.show", "{}");
	cr_assert_not_null(strstr(text(result, "text"), "node1"));
	json_decref(result);
}

Test(control, gateways_list_has_both_kinds)
{
	json_t *rows = result_of("gateways.list", "{}");
	cr_assert_eq(json_array_size(rows), 2);
	const json_t *mapping = json_array_get(rows, 0), *routing = json_array_get(rows, 1);
	cr_assert_str_eq(text(mapping, "name"), "customer");
	cr_assert_str_eq(text(mapping, "kind"), "mapping");
	cr_assert_eq(number(mapping, "capacity"), 10);
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(mapping, "addresses"), 0)), "127.0.0.0/8");
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(mapping, "addresses"), 1)), "192.0.2.1:5070");
	cr_assert_str_eq(text(routing, "kind"), "routing");
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(routing, "addresses"), 0)), "127.0.0.1:5080");
	cr_assert_eq(json_array_size(json_object_get(routing, "prefixes")), 2);
	json_decref(rows);
}

/* Figures of all shards, and nothing where nothing is known. */
Test(control, gateways_list_tells_what_is_known_of_a_gateway)
{
	json_t *rows = result_of("gateways.list", "{}");
	const json_t *vendor = json_array_get(rows, 1);
	cr_assert_str_eq(text(vendor, "state"), "up");
	cr_assert(json_is_null(json_object_get(vendor, "asr")) && json_is_null(json_object_get(vendor, "acd_s")) &&
		  json_is_null(json_object_get(vendor, "pdd_ms")));
	cr_assert_eq(number(vendor, "free_lines"), 500);
	cr_assert_eq(json_array_size(json_object_get(vendor, "addresses_down")), 0);
	json_decref(rows);

	for (unsigned i = 0; i < FAKE_SHARDS; i++) {
		node->tallies[i][FAKE_CUSTOMER] = (struct tally){ .calls = 4 + i, .attempts = 100, .answered = 50 };
		node->tallies[i][FAKE_VENDOR] = (struct tally){ .calls = 1, .attempts = 30 + i, .answered = 20 };
		quality_configure(node->qualities[i], 3600, 6);
		quality_attempt(node->qualities[i], node->now_ns, FAKE_VENDOR, i > 0);
		quality_end(node->qualities[i], node->now_ns, FAKE_VENDOR, (i + 1) * UINT64_C(10250000000));
		quality_reply(node->qualities[i], node->now_ns, FAKE_VENDOR, (i + 1) * UINT64_C(100000000));
	}
	quality_set_online(node->qualities[FAKE_VENDOR % FAKE_SHARDS], FAKE_VENDOR, QUALITY_CHECKED | QUALITY_DOWN | 1,
			   node->config.generation);
	rows = result_of("gateways.list", "{}");
	const json_t *customer = json_array_get(rows, 0);
	vendor = json_array_get(rows, 1);
	cr_assert_eq(number(customer, "calls"), 15);
	cr_assert_eq(number(customer, "free_lines"), 0); /* more than its capacity: a reload made that smaller */
	cr_assert_eq(number(customer, "attempts"), 300);
	cr_assert_eq(number(customer, "answered"), 150);
	cr_assert_str_eq(text(customer, "state"), "up");
	cr_assert_str_eq(text(vendor, "state"), "down");
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(vendor, "addresses_down"), 0)),
			 "127.0.0.1:5080");
	cr_assert_eq(number(vendor, "calls"), 3);
	cr_assert_eq(number(vendor, "free_lines"), 497);
	cr_assert_eq(number(vendor, "attempts"), 93);
	cr_assert_eq(number(vendor, "window_attempts"), 3);
	cr_assert_eq(number(vendor, "window_answered"), 2);
	cr_assert_float_eq(json_number_value(json_object_get(vendor, "asr")), 66.7, 1e-9);
	cr_assert_float_eq(json_number_value(json_object_get(vendor, "acd_s")), 20.5, 1e-9);
	cr_assert_float_eq(json_number_value(json_object_get(vendor, "pdd_ms")), 200, 1e-9);
	json_decref(rows);
}

/* Every key of a gateway's section can be seen. */
Test(control, gateways_list_has_the_keys_of_routing)
{
	static uint32_t allowed[] = { FAKE_VENDOR };
	static struct reason_rule reasons[] = { { 503, 503, 480 }, { 500, 599, 503 } };
	static struct code_range codes[] = { { 404, 404 }, { 480, 489 } };
	static struct mapping_gateway mapping;
	static struct routing_gateway routing;
	mapping = node->config.mappings[0];
	routing = node->config.routings[0];
	cr_assert_eq(gateway_id(GATEWAY_MAPPING, "customer"), FAKE_CUSTOMER);
	cr_assert_eq(gateway_id(GATEWAY_ROUTING, "vendor"), FAKE_VENDOR);
	mapping.allow = mapping.deny = allowed;
	mapping.allow_count = mapping.deny_count = 1;
	mapping.reasons = reasons;
	mapping.reason_count = 2;
	mapping.sort_count = 2;
	mapping.sort[0] = SORT_PRICE;
	mapping.sort[1] = SORT_ASR;
	mapping.prefix_mode = PREFIX_CONTINUE;
	mapping.caller_from = CALLER_P_ASSERTED_IDENTITY;
	mapping.callee_from = CALLEE_TO;
	mapping.rate_limit = 20;
	routing.addresses[1] = (struct address){ .family = 4, .port = 5081, .ip = { 127, 0, 0, 1 } };
	routing.address_count = 2;
	routing.stop_codes = codes;
	routing.stop_code_count = 2;
	routing.options_check = true;
	routing.least_cost = true;
	routing.min_profit_percent = 15;
	routing.max_price_e8 = 1250000;
	strcpy(routing.tech_prefix, "#31#");
	routing.capacity = 0;
	node->config.mappings = &mapping;
	node->config.routings = &routing;
	json_t *rows = result_of("gateways.list", "{}");
	static const char *const wanted[] = {
		"\"allow\":[\"vendor\"]",
		"\"deny\":[\"vendor\"]",
		"\"sort\":[\"price\",\"asr\"]",
		"\"failed_reason_map\":[\"503 -> 480\",\"500-599 -> 503\"]",
		"\"prefix_mode\":\"continue\"",
		"\"caller_from\":\"p-asserted-identity\"",
		"\"callee_from\":\"to\"",
		"\"rate_limit\":20",
		"\"addresses\":[\"127.0.0.1:5080\",\"127.0.0.1:5081\"]",
		"\"stop_codes\":[\"404\",\"480-489\"]",
		"\"options_check\":true",
		"\"least_cost\":true",
		"\"min_profit_percent\":15",
		"\"max_price\":\"0.0125\"",
		"\"tech_prefix\":\"#31#\"",
		"\"free_lines\":null",
		"\"prefix_mode\":\"inherit\"",
	};
	char *text = json_dumps(rows, JSON_COMPACT);
	for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++)
		cr_assert_not_null(strstr(text, wanted[i]), "%s in %s", wanted[i], text);
	free(text);
	json_decref(rows);
}

static void store_records(unsigned count)
{
	struct cdr_store *store;
	const char *error = "";
	cr_assert_eq(cdr_store_open(node->database, &store, &error), 0, "%s", error);
	cr_assert_eq(cdr_store_begin(store), 0);
	for (unsigned i = 0; i < count; i++) {
		static const struct cdr_attempt attempt = { .gateway = { "vendor", 6 }, .code = 200, .ms = 20 };
		struct cdr cdr = { .node = { "node1", 5 },
				   .mapping_gateway = { "customer", 8 },
				   .routing_gateway = { i % 2 ? "vendor" : "other", i % 2 ? 6 : 5 },
				   .caller_in = { "\xff,\"", 3 },
				   .start_us = 1700000000000000 + i,
				   .hold_ms = 65000,
				   .attempts = &attempt,
				   .attempts_count = 1 };
		char id[CDR_ID_SIZE + 1];
		snprintf(id, sizeof id, "%014llx%018u", 1700000000000000ull + i, i);
		memcpy(cdr.cdr_id, id, CDR_ID_SIZE);
		cr_assert_eq(cdr_store_add(store, &cdr), 0);
	}
	cr_assert_eq(cdr_store_commit(store), 0);
	cdr_store_close(store);
}

Test(control, cdr_list_is_newest_first_and_filtered)
{
	store_records(150);
	json_t *rows = result_of("cdr.list", "{}");
	cr_assert_eq(json_array_size(rows), 100);
	const json_t *row = json_array_get(rows, 0);
	cr_assert_eq(number(row, "start_us"), 1700000000000149);
	cr_assert_str_eq(text(json_array_get(json_object_get(row, "attempts"), 0), "gateway"), "vendor");
	json_decref(rows);
	rows = result_of("cdr.list", "{\"limit\":3}");
	cr_assert_eq(json_array_size(rows), 3);
	json_decref(rows);
	rows = result_of("cdr.list", "{\"since\":1700000000000140,\"gateway\":\"vendor\"}");
	cr_assert_eq(json_array_size(rows), 5);
	json_decref(rows);
}

Test(control, cdr_list_has_filters_and_pages)
{
	static const struct {
		const char *params;
		unsigned count;
	} cases[] = {
		{ "{\"until\":1700000000000010}", 10 },
		{ "{\"since\":1700000000000010,\"until\":1700000000000013}", 3 },
		{ "{\"answered\":true}", 0 },
		{ "{\"answered\":false,\"limit\":7}", 7 },
		{ "{\"end_reason\":\"normal\",\"min_hold_ms\":65000}", 100 },
		{ "{\"end_reason\":\"no_route\"}", 0 },
		{ "{\"cdr_id\":\"060a24181e4000000000000000000000\"}", 1 },
		{ "{\"before\":\"060a24181e4005000000000000000005\"}", 5 },
		{ "{\"number\":\"?,\\\"\",\"limit\":1000}", 150 },
	};
	store_records(150);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *rows = result_of("cdr.list", cases[i].params);
		cr_assert_eq(json_array_size(rows), cases[i].count, "%s: %zu", cases[i].params, json_array_size(rows));
		json_decref(rows);
	}
	expect_error("cdr.list", "{\"end_reason\":\"bad mood\"}", -32602,
		     "no end_reason 'bad mood'; there are: normal, ");
	expect_error("cdr.list", "{\"answered\":1}", -32602, "true or false");
}

Test(control, cdr_sums_are_groups_and_a_total)
{
	store_records(150);
	json_t *sums = result_of("cdr.sums", "{\"by\":\"vendor\"}");
	const json_t *rows = json_object_get(sums, "rows"), *total = json_object_get(sums, "total");
	cr_assert_str_eq(text(sums, "by"), "vendor");
	cr_assert_eq(json_array_size(rows), 2);
	cr_assert_str_eq(text(json_array_get(rows, 0), "vendor"), "other");
	cr_assert_eq(number(json_array_get(rows, 1), "attempts"), 150);
	cr_assert_eq(number(total, "attempts"), 150);
	cr_assert_eq(number(total, "hold_ms"), 150 * 65000);
	cr_assert_str_eq(text(total, "profit"), "0.00");
	cr_assert(json_real_value(json_object_get(total, "minutes")) == 162.5);
	cr_assert(json_is_null(json_object_get(total, "acd_s")), "of no call");
	json_decref(sums);
	sums = result_of("cdr.sums", "{\"by\":\"hour\",\"utc_offset_s\":7200,\"until\":1700000000000010}");
	rows = json_object_get(sums, "rows");
	cr_assert_str_eq(text(json_array_get(rows, 0), "hour"), "2023-11-15 00:00");
	cr_assert_eq(number(json_array_get(rows, 0), "attempts"), 10);
	json_decref(sums);
	expect_error("cdr.sums", "{\"by\":\"colour\"}", -32602,
		     "all, account, gateway, vendor, prefix, reason, day, hour");
	expect_error("cdr.sums", "{}", -32602, "'by' is missing");
}

Test(control, cdr_sums_without_a_database_are_nothing)
{
	json_t *sums = result_of("cdr.sums", "{\"by\":\"account\"}");
	cr_assert_eq(json_array_size(json_object_get(sums, "rows")), 0);
	cr_assert_eq(number(json_object_get(sums, "total"), "attempts"), 0);
	json_decref(sums);
}

/* Whoever asks and goes takes his question with him; the others get their answers. */
Test(control, reports_are_bounded_and_end_with_their_connection)
{
	store_records(10);
	int fds[CONTROL_REPORTS_MAX + 1];
	for (unsigned i = 0; i <= CONTROL_REPORTS_MAX; i++)
		fds[i] = fake_connect(node);
	static const char ask[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"cdr.sums\",\"params\":{\"by\":\"day\"}}\n";
	for (unsigned i = 0; i <= CONTROL_REPORTS_MAX; i++)
		cr_assert_eq(send(fds[i], ask, sizeof ask - 1, 0), sizeof ask - 1);
	control_handle(
		node->control); /* takes all of them before any is done or not: an answer, or busy, but each one */
	close(fds[0]);
	unsigned answers = 0;
	for (unsigned i = 1; i <= CONTROL_REPORTS_MAX; i++) {
		char *line = fake_line(node, fds[i]);
		cr_assert_not_null(line);
		answers += strstr(line, "\"total\"") != NULL || strstr(line, "Too many lists and sums") != NULL;
		free(line);
		close(fds[i]);
	}
	cr_assert_eq(answers, CONTROL_REPORTS_MAX);
	fake_pump(node);
	cr_assert_eq(node->control->report_count, 0);
}

/* A PostgreSQL that is not there: the reason, without the password. */
Test(control, cdr_list_from_a_server_that_is_away_says_so)
{
	strcpy(node->config.cdr_store, "postgresql://switch:s3cret@127.0.0.1:1/cdr");
	json_t *reply = fake_ask(node, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"cdr.list\"}");
	const char *message = json_string_value(json_object_get(json_object_get(reply, "error"), "message"));
	cr_assert_not_null(message);
	cr_assert_not_null(strstr(message, "Connection refused"), "%s", message);
	cr_assert_null(strstr(message, "s3cret"));
	json_decref(reply);
}

Test(control, cdr_list_without_a_database_is_empty)
{
	json_t *rows = result_of("cdr.list", "{}");
	cr_assert(json_is_array(rows) && json_array_size(rows) == 0);
	json_decref(rows);
}

Test(control, cdr_list_of_a_broken_database_says_why)
{
	FILE *file = fopen(node->database, "w");
	cr_assert_not_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	expect_error("cdr.list", "{}", -32005, "database");
}

Test(control, node_stop_ends_calls_unless_they_are_to_be_kept)
{
	json_decref(result_of("node.stop", "{}"));
	cr_assert(node->stopped && !node->kept_calls);
	json_decref(result_of("node.stop", "{\"keep_calls\":true}"));
	cr_assert(node->kept_calls);
	json_decref(result_of("node.stop", "{\"keep_calls\":false}"));
	cr_assert_not(node->kept_calls);
}

Test(control, an_unknown_method_is_named)
{
	expect_error("no.such.method", "{}", -32601, "no.such.method");
}

Test(control, wrong_parameters_are_named_with_what_is_allowed)
{
	static const struct {
		const char *method, *params, *words;
	} wrong[] = {
		{ "calls.list", "{\"limit\":0}", "'limit' must be an integer from 1 to 10000" },
		{ "calls.list", "{\"limit\":10001}", "'limit' must be an integer from 1 to 10000" },
		{ "calls.list", "{\"limit\":\"5\"}", "'limit' must be an integer" },
		{ "calls.list", "{\"limit\":1.5}", "'limit' must be an integer" },
		{ "calls.list", "{\"older_than_s\":-1}", "'older_than_s'" },
		{ "calls.list", "{\"gateway\":5}", "'gateway' must be a string" },
		{ "calls.list", "{\"gatway\":\"x\"}", "'gatway'; there are: limit, gateway, number, older_than_s" },
		{ "calls.list", "[5]", "by name" },
		{ "calls.show", "{}", "'call_id' is missing" },
		{ "calls.show", "{\"call_id\":\"\"}", "'call_id' must be a string of 1 to 255 bytes" },
		{ "calls.hangup", "{\"call_id\":null}", "'call_id' is missing" },
		{ "node.stop", "{\"keep_calls\":1}", "'keep_calls' must be true or false" },
		{ "node.info", "{\"x\":1}", "node.info has no parameters" },
		{ "parameters.set", "{\"name\":\"SS_SIP_SESSION_TTL\"}", "'value' is missing" },
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect_error(wrong[i].method, wrong[i].params, -32602, wrong[i].words);
	cr_assert_eq(node->submitted, 0);
	cr_assert_not(node->stopped);
	char params[400];
	snprintf(params, sizeof params, "{\"call_id\":\"%0256d\"}", 1);
	expect_error("calls.show", params, -32602, "255");
	snprintf(params, sizeof params, "{\"gateway\":\"%064d\"}", 1);
	expect_error("calls.list", params, -32602, "63");
}

Test(control, null_and_empty_parameters_are_none)
{
	json_decref(result_of("calls.list", "{\"limit\":null}"));
	json_decref(result_of("node.info", "[]"));
}

/* JSON-RPC 2.0, 4 and 5: what is no request is answered with the id it had, if that could be read. */
Test(control, jsonrpc_5_1_what_is_no_request)
{
	static const struct {
		const char *line;
		int code;
		const char *id; /* as JSON */
	} bad[] = {
		{ "{", -32700, "null" },
		{ "hello", -32700, "null" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"} x", -32700, "null" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":99999999999999999999,\"method\":\"stats\"}", -32700, "null" },
		{ "1", -32600, "null" },
		{ "\"stats\"", -32600, "null" },
		{ "null", -32600, "null" },
		{ "[]", -32600, "null" },
		{ "{}", -32600, "null" },
		{ "{\"id\":7,\"method\":\"stats\"}", -32600, "7" },
		{ "{\"jsonrpc\":2.0,\"id\":7,\"method\":\"stats\"}", -32600, "7" },
		{ "{\"jsonrpc\":\"1.0\",\"id\":\"x\",\"method\":\"stats\"}", -32600, "\"x\"" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7}", -32600, "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":5}", -32600, "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":[7],\"method\":\"stats\"}", -32600, "null" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"stats\",\"params\":5}", -32600, "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"stats\\u0000\"}", -32700, "null" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json_t *reply = fake_ask(node, bad[i].line);
		cr_assert_not_null(reply, "%s", bad[i].line);
		cr_assert_gt(strlen(error_of(reply, bad[i].code)), 10);
		char *id = json_dumps(json_object_get(reply, "id"), JSON_ENCODE_ANY);
		cr_assert_str_eq(id, bad[i].id, "%s", bad[i].line);
		free(id);
		json_decref(reply);
	}
}

Test(control, jsonrpc_4_ids_come_back_as_they_were)
{
	static const char *const ids[] = { "\"a\\\"b\"", "0", "-5", "1.5", "null" };
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		char request[128];
		snprintf(request, sizeof request, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"gateways.list\"}",
			 ids[i]);
		json_t *reply = fake_ask(node, request);
		char *id = json_dumps(json_object_get(reply, "id"), JSON_ENCODE_ANY);
		cr_assert_str_eq(id, ids[i]);
		cr_assert_not_null(json_object_get(reply, "result"));
		free(id);
		json_decref(reply);
	}
}

/* JSON-RPC 2.0, 4.1: no id, no reply, whatever is wrong with it; but it is carried out. */
Test(control, jsonrpc_4_1_notifications_get_no_reply)
{
	static const char lines[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"node.info\"}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"calls.list\",\"params\":{\"limit\":0}}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"calls.hangup\",\"params\":{\"call_id\":\"b1\"}}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"gateways.list\",\"id\":42}\n";
	fake_call_add(node, 0, 1);
	int fd = fake_connect(node);
	cr_assert(fake_send(node, fd, lines, strlen(lines)));
	char *line = fake_line(node, fd);
	cr_assert_not_null(strstr(line, "\"id\":42"));
	cr_assert_null(fake_line(node, fd));
	cr_assert(node->calls[0].hung_up);
	free(line);
	close(fd);
}

/* JSON-RPC 2.0, 6, with requests that the shards answer among them. */
Test(control, jsonrpc_6_a_batch_is_answered_with_one_array)
{
	fake_call_add(node, 0, 1);
	json_t *replies = fake_ask(
		node, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.list\"},{\"jsonrpc\":\"2.0\",\"method\":"
		      "\"stats\"},1,[],"
		      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"calls.show\",\"params\":{\"call_id\":\"b1\"}},"
		      "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"no.such\"}]");
	cr_assert(json_is_array(replies));
	cr_assert_eq(json_array_size(replies), 5);
	cr_assert_eq(json_array_size(json_object_get(json_array_get(replies, 0), "result")), 1);
	error_of(json_array_get(replies, 1), -32600);
	error_of(json_array_get(replies, 2), -32600);
	cr_assert_eq(number(json_array_get(replies, 3), "id"), 2);
	cr_assert_not_null(json_object_get(json_array_get(replies, 3), "result"));
	error_of(json_array_get(replies, 4), -32601);
	json_decref(replies);
}

Test(control, jsonrpc_6_a_batch_of_notifications_gets_nothing)
{
	static const char lines[] =
		"[{\"jsonrpc\":\"2.0\",\"method\":\"stats\"},{\"jsonrpc\":\"2.0\",\"method\":\"calls.list\"}]\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"gateways.list\",\"id\":42}\n";
	int fd = fake_connect(node);
	cr_assert(fake_send(node, fd, lines, strlen(lines)));
	char *line = fake_line(node, fd);
	cr_assert_eq(line[0], '{');
	cr_assert_not_null(strstr(line, "\"id\":42"));
	free(line);
	close(fd);
}
