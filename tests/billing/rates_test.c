/* Rate tables in the database: replaced as a whole or not at all, and found as the switch finds them. */
#include "billing/rates.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/ledger.h"
#include "billing/money.h"
#include "tests/billing/ledger_steps.h"
#include "tests/billing/sample.h"

static char error[256];
static struct rates_import report;
static char *told;

static int import(const char *table, const char *text)
{
	const char *path = sample_path("rates.csv");
	FILE *out = fopen(path, "w");

	fputs(text, out);
	fclose(out);
	free(told);
	return rates_import(ledger_path(), table, path, 123, &report, &told, error);
}

static char *content(const char *path)
{
	static char text[65536];
	FILE *in = fopen(path, "r");

	cr_assert_not_null(in, "%s", path);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	return text;
}

static char listed[1024];

static void list_table(void *context, const struct rate_table_row *row)
{
	(void)context;
	snprintf(listed + strlen(listed), sizeof(listed) - strlen(listed), "%s %llu %llu %lld;", row->name,
		 (unsigned long long)row->rows, (unsigned long long)row->accounts, (long long)row->imported_us);
}

static const char *tables(void)
{
	listed[0] = '\0';
	cr_assert_eq(rates_list(ledger_path(), list_table, NULL, error), 0, "%s", error);
	return listed;
}

Test(rates, an_import_replaces_the_table_as_a_whole)
{
	cr_assert_str_eq(tables(), "");
	cr_assert_eq(import("t", "prefix,rate_per_minute\n44,1\n45,2\n"), 0, "%s", error);
	cr_assert_eq(report.rows, 2);
	cr_assert_eq(report.before, 0);
	cr_assert_eq(import("u", "prefix,rate_per_minute\n1,1\n"), 0, "%s", error);
	cr_assert_eq(import("t", "prefix,rate_per_minute\n46,3\n"), 0, "%s", error);
	cr_assert_eq(report.before, 2);
	cr_assert_str_eq(tables(), "t 1 0 123;u 1 0 123;");
	cr_assert_eq(number_of("SELECT count(*) FROM rates"), 2);
}

/* What an export that failed, or a wrong filter, leaves: every call of the accounts that have the table would be
 * refused. */
Test(rates, a_file_without_rates_changes_nothing)
{
	static const char *const files[] = { "prefix,rate_per_minute\n", "prefix,rate_per_minute\n\n\n",
					     "prefix,rate_per_minute" };

	cr_assert_eq(import("t", "prefix,rate_per_minute\n44,1\n"), 0, "%s", error);
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cr_assert_eq(import("t", files[i]), -EINVAL);
		cr_assert_not_null(strstr(error, "rates.csv: no rates in it; use rates delete"), "%s", error);
		cr_assert_null(told);
		cr_assert_eq(import("new", files[i]), -EINVAL);
	}
	cr_assert_str_eq(tables(), "t 1 0 123;");
	cr_assert_eq(number_of("SELECT prefix FROM rates"), 44);
	cr_assert_eq(import("t", ""), -EINVAL);
	cr_assert_eq(report.faults, 1, "the header is missing");
}

Test(rates, a_file_with_bad_rows_changes_nothing_and_each_is_told)
{
	cr_assert_eq(import("t", "prefix,rate_per_minute\n44,1\n"), 0, "%s", error);
	cr_assert_eq(import("t", "prefix,rate_per_minute\n45,1\nx,1\n46,\n"), -EINVAL);
	cr_assert_eq(report.faults, 2);
	cr_assert_not_null(
		strstr(told, "rates.csv: 2 bad rows, nothing was imported\nline 3: prefix: 'x' is not digits"), "%s",
		told);
	cr_assert_not_null(strstr(told, "\nline 4: rate_per_minute: it is missing"), "%s", told);
	cr_assert_str_eq(tables(), "t 1 0 123;");
	cr_assert_eq(number_of("SELECT prefix FROM rates"), 44);
	cr_assert_eq(import("new", "prefix,rate_per_minute\nx,1\n"), -EINVAL);
	cr_assert_str_eq(tables(), "t 1 0 123;", "a table was made for it");
}

Test(rates, files_and_names_that_cannot_be)
{
	cr_assert_eq(rates_import(ledger_path(), "t", "/nowhere/rates.csv", 1, &report, &told, error), -ENOENT);
	cr_assert_not_null(strstr(error, "/nowhere/rates.csv: No such file"));
	cr_assert_eq(rates_import(ledger_path(), "t", "/dev/zero", 1, &report, &told, error), -EINVAL);
	cr_assert_not_null(strstr(error, "not a regular file"));
	cr_assert_eq(rates_import(ledger_path(), "t", "/tmp", 1, &report, &told, error), -EINVAL);
	cr_assert_eq(import("a b", "prefix,rate_per_minute\n"), -EINVAL);
	cr_assert_eq(import("", "prefix,rate_per_minute\n"), -EINVAL);
}

Test(rates, an_export_imports_to_the_same)
{
	const char *file = sample_path("out.csv");
	uint64_t rows;
	char *text, first[4096];

	cr_assert_eq(import("t", "prefix,name,rate_per_minute,effective_from\n45,\"x, "
				 "\"\"y\"\"\",0.125,\n44,,1,2030-01-01\n44,,2,\n"),
		     0, "%s", error);
	cr_assert_eq(rates_export(ledger_path(), "t", file, &rows, error), 0, "%s", error);
	cr_assert_eq(rows, 3);
	snprintf(first, sizeof(first), "%.4000s", content(file));
	cr_assert_eq(rates_import(ledger_path(), "again", file, 1, &report, &told, error), 0, "%s", error);
	cr_assert_eq(rates_export_text(ledger_path(), "again", &rows, &text, error), 0, "%s", error);
	cr_assert_str_eq(text, first);
	cr_assert_str_eq(first, "prefix,name,rate_per_minute,connect_fee,first_increment_s,next_increment_s,grace_s,"
				"effective_from,effective_to\r\n"
				"44,,2,0,1,1,0,,\r\n44,,1,0,1,1,0,2030-01-01T00:00:00Z,\r\n"
				"45,\"x, \"\"y\"\"\",0.125,0,1,1,0,,\r\n");
	free(text);
}

Test(rates, an_export_replaces_only_regular_files_and_only_by_a_whole_one)
{
	const char *file = sample_path("out.csv");
	uint64_t rows;
	char *text;

	cr_assert_eq(rates_export(ledger_path(), "t", file, &rows, error), -ENOENT);
	cr_assert_str_eq(error, "there is no rate table 't'");
	cr_assert_eq(import("u", "prefix,rate_per_minute\n1,1\n"), 0, "%s", error);
	cr_assert_eq(rates_export(ledger_path(), "t", file, &rows, error), -ENOENT);
	cr_assert_neq(access(file, F_OK), 0);
	cr_assert_eq(rates_export(ledger_path(), "u", "/dev/null", &rows, error), -EEXIST);
	cr_assert_eq(rates_export(ledger_path(), "u", "/nowhere/x.csv", &rows, error), -ENOENT);
	cr_assert_eq(rates_export_text(ledger_path(), "t", &rows, &text, error), -ENOENT);
}

Test(rates, a_table_that_an_account_has_is_not_deleted)
{
	struct account_order order = { .name = "a", .given = ACCOUNT_TABLE, .table = "t" };
	uint64_t rows;

	cr_assert_eq(import("t", "prefix,rate_per_minute\n44,1\n45,1\n"), 0, "%s", error);
	cr_assert_eq(account_add(ledger_path(), &order, 1, error), 0, "%s", error);
	cr_assert_str_eq(tables(), "t 2 1 123;");
	cr_assert_eq(rates_delete(ledger_path(), "t", &rows, error), -EBUSY);
	cr_assert_str_eq(error, "1 account has the rate table 't'; give it another one first");
	order.table[0] = '\0';
	cr_assert_eq(account_set(ledger_path(), &order, error), 0, "%s", error);
	cr_assert_eq(rates_delete(ledger_path(), "t", &rows, error), 0, "%s", error);
	cr_assert_eq(rows, 2);
	cr_assert_eq(number_of("SELECT count(*) FROM rates"), 0);
	cr_assert_eq(rates_delete(ledger_path(), "t", &rows, error), -ENOENT);
}

static void take_prefix(void *context, const struct rate_line *row)
{
	(void)context;
	snprintf(listed + strlen(listed), sizeof(listed) - strlen(listed), "%.*s ", (int)row->prefix_size, row->prefix);
}

Test(rates, rows_are_listed_by_the_beginning_of_their_prefix)
{
	cr_assert_eq(import("t", "prefix,rate_per_minute\n,1\n4,1\n44,1\n449,1\n45,1\n5,1\n"), 0, "%s", error);
	listed[0] = '\0';
	cr_assert_eq(rates_rows(ledger_path(), "t", "44", 10, take_prefix, NULL, error), 0, "%s", error);
	cr_assert_str_eq(listed, "44 449 ");
	listed[0] = '\0';
	cr_assert_eq(rates_rows(ledger_path(), "t", "", 3, take_prefix, NULL, error), 0, "%s", error);
	cr_assert_str_eq(listed, " 4 44 ");
	cr_assert_eq(rates_rows(ledger_path(), "u", "", 3, take_prefix, NULL, error), -ENOENT);
}

/* ---- look-up ---- */

static struct rate_line found;
static char found_prefix[40], found_table[80];

static void take_rate(void *context, const char *table, const struct rate_line *row)
{
	(void)context;
	found = *row;
	snprintf(found_prefix, sizeof(found_prefix), "%.*s", (int)row->prefix_size, row->prefix);
	snprintf(found_table, sizeof(found_table), "%s", table);
}

static uint32_t id_of(const char *name)
{
	return (uint32_t)name[0];
}

/* Longest prefix, then the newest effective date: the same rate as tariff_rate() gives a call. */
Test(rates, a_look_up_finds_what_a_call_would_be_charged)
{
	struct account_order order = { .name = "a", .given = ACCOUNT_TABLE, .table = "t" };
	static char text[40000];
	size_t size = (size_t)snprintf(text, sizeof(text), "prefix,rate_per_minute,effective_from,effective_to\n");
	struct tariff *tariff;
	unsigned hits = 0;

	srand(3);
	for (unsigned i = 0; i < 400; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size,
					 "%u,0.%u,20%02u-%02u-%02uT00:%02u:%02u,20%02u-01-01\n",
					 1u + (unsigned)rand() % 300u, i + 1, 30 + i % 7, 1 + i % 12, 1 + i % 28,
					 i / 60, i % 60, 38 + i % 3);
	cr_assert_eq(import("t", text), 0, "%s", told ? told : error);
	cr_assert_eq(account_add(ledger_path(), &order, 1, error), 0, "%s", error);
	cr_assert_eq(ledger_load(ledger_path(), id_of, &tariff, error), 0, "%s", error);
	const struct account *account = tariff_account(tariff, 'a');
	for (unsigned i = 0; i < 1500; i++) {
		char number[16];
		int64_t at_us = (INT64_C(1890000000) + (int64_t)(rand() % 300000000)) * 1000000;
		struct rate rate;

		snprintf(number, sizeof(number), "%u", 1u + (unsigned)rand() % 3000u);
		bool called = tariff_rate(tariff, account->table, number, strlen(number), at_us, &rate);
		int result = rates_lookup(ledger_path(), "", "a", number, at_us, take_rate, NULL, error);
		cr_assert_eq(result, called ? 0 : -ENOENT, "%s: %s", number, error);
		if (!called)
			continue;
		hits++;
		cr_assert_eq(found.terms.rate_e8, rate.terms.rate_e8, "%s", number);
		cr_assert_eq(found.from_us, rate.from_us);
		cr_assert_eq(strlen(found_prefix), rate.prefix_size);
		cr_assert_str_eq(found_table, "t");
	}
	cr_assert_gt(hits, 300);
	tariff_free(tariff);
}

Test(rates, a_look_up_says_what_is_missing)
{
	add_account("bare");
	cr_assert_eq(import("t", "prefix,rate_per_minute\n44,1\n"), 0, "%s", error);
	cr_assert_eq(rates_lookup(ledger_path(), "t", "", "1", 5, take_rate, NULL, error), -ENOENT);
	cr_assert_str_eq(error, "rate table 't' has no rate for 1 at that time");
	cr_assert_eq(rates_lookup(ledger_path(), "u", "", "1", 5, take_rate, NULL, error), -ENOENT);
	cr_assert_str_eq(error, "there is no rate table 'u'");
	cr_assert_eq(rates_lookup(ledger_path(), "", "b", "1", 5, take_rate, NULL, error), -ENOENT);
	cr_assert_str_eq(error, "there is no account 'b'");
	cr_assert_eq(rates_lookup(ledger_path(), "", "bare", "1", 5, take_rate, NULL, error), -ENOENT);
	cr_assert_str_eq(error, "account 'bare' has no rate table");
}
