/* Accounts and rates over the control socket (spec 3, 10), against a node without workers whose orders are carried out
 * on a real database. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "billing/ledger.h"
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

TestSuite(accounts_control, .init = setup, .fini = teardown);

static json_t *call(const char *method, const char *params)
{
	char request[4096];
	snprintf(request, sizeof request, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method,
		 params);
	json_t *reply = fake_ask(node, request);
	cr_assert_not_null(reply, "%s", request);
	return reply;
}

static json_t *result_of(const char *method, const char *params)
{
	json_t *reply = call(method, params);
	json_t *result = json_incref(json_object_get(reply, "result"));
	cr_assert_not_null(result, "%s %s: %s", method, params, json_dumps(reply, 0));
	json_decref(reply);
	return result;
}

static void do_it(const char *method, const char *params)
{
	json_decref(result_of(method, params));
}

static void expect_error(const char *method, const char *params, int code, const char *words)
{
	json_t *reply = call(method, params);
	const json_t *error = json_object_get(reply, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	cr_assert_eq(json_integer_value(json_object_get(error, "code")), code, "%s", json_dumps(reply, 0));
	cr_assert_not_null(strstr(message, words), "'%s' does not say '%s'", message, words);
	json_decref(reply);
}

static void expect_text(const json_t *object, const char *name, const char *text)
{
	const char *value = json_string_value(json_object_get(object, name));
	cr_assert_not_null(value, "%s: %s", name, json_dumps(object, 0));
	cr_assert_str_eq(value, text, "%s is '%s'", name, value);
}

static void expect_number(const json_t *object, const char *name, json_int_t number)
{
	cr_assert_eq(json_integer_value(json_object_get(object, name)), number, "%s: %s", name, json_dumps(object, 0));
}

static const char *file(const char *text)
{
	static char path[300];
	snprintf(path, sizeof path, "%s/rates.csv", node->directory);
	FILE *out = fopen(path, "w");
	fputs(text, out);
	fclose(out);
	return path;
}

static void import(const char *table, const char *text)
{
	char params[600];
	snprintf(params, sizeof params, "{\"table\":\"%s\",\"file\":\"%s\"}", table, file(text));
	do_it("rates.import", params);
}

/* ---- accounts ---- */

Test(accounts_control, an_account_is_added_changed_locked_and_listed)
{
	json_t *rows = result_of("accounts.list", "{}");
	cr_assert_eq(json_array_size(rows), 0);
	json_decref(rows);
	import("retail", "prefix,rate_per_minute\n44,1\n");
	do_it("accounts.add",
	      "{\"name\":\"acme\",\"currency\":\"EUR\",\"overdraft\":\"12.5\",\"rate_table\":\"retail\","
	      "\"bill_until\":\"last_confirmed\"}");
	rows = result_of("accounts.list", "{\"name\":\"acme\"}");
	const json_t *row = json_array_get(rows, 0);
	expect_text(row, "name", "acme");
	expect_text(row, "currency", "EUR");
	expect_text(row, "balance", "0.00");
	expect_text(row, "overdraft", "12.50");
	expect_text(row, "rate_table", "retail");
	expect_text(row, "bill_until", "last_confirmed");
	cr_assert(json_is_false(json_object_get(row, "locked")));
	json_decref(rows);
	do_it("accounts.lock", "{\"name\":\"acme\"}");
	do_it("accounts.set", "{\"name\":\"acme\",\"overdraft\":\"unlimited\",\"rate_table\":\"\"}");
	rows = result_of("accounts.list", "{}");
	row = json_array_get(rows, 0);
	cr_assert(json_is_true(json_object_get(row, "locked")));
	expect_text(row, "overdraft", "unlimited");
	expect_text(row, "rate_table", "");
	expect_text(row, "currency", "EUR");
	json_decref(rows);
	do_it("accounts.unlock", "{\"name\":\"acme\"}");
	rows = result_of("accounts.list", "{}");
	cr_assert(json_is_false(json_object_get(json_array_get(rows, 0), "locked")));
	json_decref(rows);
}

Test(accounts_control, refusals_say_what_is_wrong)
{
	do_it("accounts.add", "{\"name\":\"acme\"}");
	expect_error("accounts.add", "{\"name\":\"acme\"}", -32602, "already");
	expect_error("accounts.add", "{\"name\":\"a b\"}", -32602, "no name of an account");
	expect_error("accounts.add", "{\"name\":\"b\",\"overdraft\":\"-1\"}", -32602, "0 or more");
	expect_error("accounts.add", "{\"name\":\"b\",\"overdraft\":\"1,5\"}", -32602, "'overdraft' must be an amount");
	expect_error("accounts.add", "{\"name\":\"b\",\"overdraft\":5}", -32602, "overdraft");
	expect_error("accounts.add", "{\"name\":\"b\",\"bill_until\":\"never\"}", -32602, "last_confirmed");
	expect_error("accounts.add", "{\"name\":\"b\",\"rate_table\":\"x\"}", -32001, "import it first");
	expect_error("accounts.add", "{}", -32602, "name");
	expect_error("accounts.set", "{\"name\":\"acme\"}", -32602, "Nothing is to be set");
	expect_error("accounts.set", "{\"name\":\"b\",\"currency\":\"EUR\"}", -32001, "there is no account 'b'");
	expect_error("accounts.lock", "{\"name\":\"b\"}", -32001, "there is no account 'b'");
	expect_error("accounts.list", "{\"name\":\"b\"}", -32001, "no account 'b'");
	expect_error("accounts.ledger", "{\"name\":\"b\"}", -32001, "no account 'b'");
	expect_error("accounts.topup", "{\"name\":\"b\",\"amount\":\"1\"}", -32001, "no account 'b'");
	expect_error("accounts.topup", "{\"name\":\"acme\",\"amount\":\"0\"}", -32602, "other than 0");
	expect_error("accounts.topup", "{\"name\":\"acme\",\"amount\":\"1.123456789\"}", -32602, "8 decimals");
	expect_error("cdr.adjust", "{\"cdr_id\":\"1\",\"fee\":\"1\"}", -32602, "cdr_id");
	expect_error("cdr.adjust", "{\"cdr_id\":\"00000000000000000000000000000000\",\"fee\":\"1\"}", -32001,
		     "there is no call");
}

Test(accounts_control, topups_are_answered_with_the_balance_and_stand_in_the_ledger)
{
	do_it("accounts.add", "{\"name\":\"acme\"}");
	json_t *result = result_of("accounts.topup",
				   "{\"name\":\"acme\",\"amount\":\"12.345\",\"reason\":\"wire\",\"who\":\"alice\"}");
	expect_text(result, "balance", "12.345");
	json_decref(result);
	result = result_of("accounts.topup", "{\"name\":\"acme\",\"amount\":\"-2\"}");
	expect_text(result, "balance", "10.345");
	json_decref(result);
	json_t *rows = result_of("accounts.ledger", "{\"name\":\"acme\",\"limit\":10}");
	cr_assert_eq(json_array_size(rows), 2);
	const json_t *row = json_array_get(rows, 1);
	expect_text(row, "kind", "topup");
	expect_text(row, "amount", "12.345");
	expect_text(row, "balance", "12.345");
	expect_text(row, "who", "alice");
	expect_text(row, "reason", "wire");
	char uid[32];
	snprintf(uid, sizeof uid, "uid %u", (unsigned)getuid());
	expect_text(json_array_get(rows, 0), "who", uid);
	json_decref(rows);
}

/* A running call goes by the new balance when the answer comes: the home shard (id modulo shards) was told before. */
Test(accounts_control, a_topup_is_told_to_the_accounts_home_shard_before_it_is_answered)
{
	do_it("accounts.add", "{\"name\":\"acme\"}");
	node->credit_account = 2 + 7 * FAKE_SHARDS;
	int fd = fake_connect(node);
	const char *request =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"accounts.topup\",\"params\":{\"name\":\"acme\","
		"\"amount\":\"3\"}}\n";
	node->hold = true;
	fake_send(node, fd, request, strlen(request));
	cr_assert_null(fake_line(node, fd));
	fake_release_changes(node);
	fake_pump(node);
	cr_assert_not_null(node->held, "no shard was told");
	cr_assert_eq(node->held->kind, COMMAND_CREDIT);
	cr_assert_eq(node->held->shard, 2);
	cr_assert_eq(node->held->account_id, node->credit_account);
	cr_assert_eq(node->held->amount_e8, 300000000);
	cr_assert_eq(node->held->generation, node->config.generation, "of which configuration");
	cr_assert_null(fake_line(node, fd), "answered too early");
	fake_release(node);
	char *line = fake_line(node, fd);
	cr_assert_not_null(line);
	cr_assert_not_null(strstr(line, "\"balance\": \"3.00\"") ? line : strstr(line, "\"balance\":\"3.00\""));
	free(line);
	close(fd);
}

/* Who asked has gone: the shard is told all the same, and nothing is freed twice. */
Test(accounts_control, a_topup_whose_connection_has_gone_still_reaches_the_shard)
{
	do_it("accounts.add", "{\"name\":\"acme\"}");
	node->credit_account = 1;
	int fd = fake_connect(node);
	const char *request =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"accounts.topup\",\"params\":{\"name\":\"acme\","
		"\"amount\":\"3\"}}\n";
	node->hold = true;
	fake_send(node, fd, request, strlen(request));
	close(fd);
	fake_pump(node);
	fake_release_changes(node);
	fake_pump(node);
	cr_assert_not_null(node->held, "no shard was told");
	fake_release(node);
	fake_pump(node);
}

/* ---- rates ---- */

Test(accounts_control, rates_are_imported_listed_looked_up_exported_and_deleted)
{
	char params[700];
	import("t", "prefix,name,rate_per_minute,first_increment_s\n44,UK,0.0125,60\n447,\"UK, mobile\",0.02,1\n");
	json_t *result = result_of("rates.list", "{}");
	const json_t *row = json_array_get(result, 0);
	expect_text(row, "table", "t");
	expect_number(row, "rates", 2);
	expect_number(row, "accounts", 0);
	json_decref(result);
	result = result_of("rates.list", "{\"table\":\"t\",\"prefix\":\"447\"}");
	cr_assert_eq(json_array_size(result), 1);
	expect_text(json_array_get(result, 0), "name", "UK, mobile");
	json_decref(result);
	do_it("accounts.add", "{\"name\":\"acme\",\"rate_table\":\"t\"}");
	const char *const asked[] = { "{\"table\":\"t\",\"number\":\"4479001\"}",
				      "{\"account\":\"acme\",\"number\":\"+4479001\"}" };
	for (size_t i = 0; i < 2; i++) {
		result = result_of("rates.lookup", asked[i]);
		expect_text(result, "table", "t");
		expect_text(result, "prefix", "447");
		expect_text(result, "rate_per_minute", "0.02");
		expect_number(result, "first_increment_s", 1);
		json_decref(result);
	}
	result = result_of("rates.export", "{\"table\":\"t\"}");
	cr_assert_not_null(
		strstr(json_string_value(json_object_get(result, "text")), "\r\n447,\"UK, mobile\",0.02,0,1,"));
	json_decref(result);
	snprintf(params, sizeof params, "{\"table\":\"t\",\"file\":\"%s/rates.csv\"}", node->directory);
	result = result_of("rates.export", params);
	expect_number(result, "rates", 2);
	json_decref(result);
	result = result_of("rates.import", params);
	expect_number(result, "rates", 2);
	expect_number(result, "was", 2);
	json_decref(result);
	expect_error("rates.delete", "{\"table\":\"t\"}", -32006, "1 account has the rate table");
	do_it("accounts.set", "{\"name\":\"acme\",\"rate_table\":\"\"}");
	result = result_of("rates.delete", "{\"table\":\"t\"}");
	expect_number(result, "was", 2);
	json_decref(result);
}

Test(accounts_control, bad_rows_are_told_by_their_lines)
{
	char params[700];
	snprintf(params, sizeof params, "{\"table\":\"t\",\"file\":\"%s\"}",
		 file("prefix,rate_per_minute\n44,1\nx,2\n44,3\n45,\n"));
	expect_error("rates.import", params, -32602, "3 bad rows, nothing was imported\nline 3: prefix: 'x'");
	expect_error("rates.import", params, -32602, "\nline 4: prefix '44' with the same effective_from");
	expect_error("rates.import", params, -32602, "\nline 5: rate_per_minute: it is missing");
	json_t *result = result_of("rates.list", "{}");
	cr_assert_eq(json_array_size(result), 0);
	json_decref(result);
}

Test(accounts_control, twenty_long_reasons_fit_into_the_answer)
{
	char text[16384] = "prefix,name,rate_per_minute\n", params[700];
	for (unsigned i = 0; i < 25; i++) {
		size_t size = strlen(text);
		memset(text + size, 'x', 400);
		snprintf(text + size + 400, sizeof text - size - 400, ",,1\n");
	}
	snprintf(params, sizeof params, "{\"table\":\"t\",\"file\":\"%s\"}", file(text));
	expect_error("rates.import", params, -32602, "\nline 21: prefix");
	expect_error("rates.import", params, -32602, "\nand 5 more");
}

Test(accounts_control, rates_refusals)
{
	expect_error("rates.import", "{\"table\":\"t\",\"file\":\"rates.csv\"}", -32602, "absolute path");
	expect_error("rates.import", "{\"table\":\"t\",\"file\":\"/nowhere/x\"}", -32001, "/nowhere/x: No such file");
	expect_error("rates.export", "{\"table\":\"t\"}", -32001, "no rate table 't'");
	expect_error("rates.list", "{\"table\":\"t\"}", -32001, "no rate table 't'");
	expect_error("rates.delete", "{\"table\":\"t\"}", -32001, "no rate table 't'");
	expect_error("rates.lookup", "{\"number\":\"44\"}", -32602, "Either 'table' or 'account'");
	expect_error("rates.lookup", "{\"table\":\"t\",\"number\":\"4x\"}", -32602, "digits");
	expect_error("rates.lookup", "{\"table\":\"t\",\"number\":\"44\"}", -32001, "no rate table 't'");
	expect_error("rates.lookup", "{\"account\":\"a\",\"number\":\"44\"}", -32001, "");
}

/* It was done, but the node goes on with what it had: the operator must know both. */
Test(accounts_control, what_could_not_be_put_in_force_is_an_error)
{
	node->refusal = "it is done, but could not be put in force";
	expect_error("accounts.add", "{\"name\":\"acme\"}", -32005, "could not be put in force");
}
