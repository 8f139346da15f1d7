/* Rates as CSV (spec 10; RFC 4180): what is read, every kind of bad row by its line, and back again. */
#include "billing/rates_csv.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                                           \
	"prefix,name,rate_per_minute,connect_fee,first_increment_s,next_increment_s,grace_s,effective_from,effective_" \
	"to\n"

static struct rates_csv csv;

static void read_text(const char *text)
{
	rates_csv_free(&csv);
	cr_assert_eq(rates_csv_read(strdup(text), strlen(text), &csv), 0);
}

/* One bad row, and what is said of it. */
static void expect_fault(const char *text, uint32_t line, const char *words)
{
	read_text(text);
	cr_assert_eq(csv.fault_count, 1, "%s: %llu faults", text, (unsigned long long)csv.fault_count);
	cr_assert_eq(csv.faults[0].line, line, "%s: line %u", text, csv.faults[0].line);
	cr_assert_not_null(strstr(csv.faults[0].reason, words), "'%s' does not say '%s'", csv.faults[0].reason, words);
}

static void expect_good(const char *text, uint32_t rows)
{
	read_text(text);
	cr_assert_eq(csv.fault_count, 0, "%s: line %u: %s", text, csv.faults[0].line, csv.faults[0].reason);
	cr_assert_eq(csv.count, rows);
}

static bool is(const char *at, uint32_t size, const char *text)
{
	return size == strlen(text) && memcmp(at, text, size) == 0;
}

Test(rates_csv, all_columns)
{
	expect_good(HEAD "4420,\"UK, \"\"London\"\"\",0.0125,0.5,60,6,3,2030-01-01,2031-01-31T18:30:15.25Z\n", 1);
	const struct rate_line *row = csv.rows;
	cr_assert(is(row->prefix, row->prefix_size, "4420"));
	cr_assert(is(row->name, row->name_size, "UK, \"London\""));
	cr_assert_eq(row->terms.rate_e8, 1250000);
	cr_assert_eq(row->terms.connect_fee_e8, 50000000);
	cr_assert_eq(row->terms.first_s, 60);
	cr_assert_eq(row->terms.next_s, 6);
	cr_assert_eq(row->terms.grace_s, 3);
	cr_assert_eq(row->from_us, INT64_C(1893456000000000));
	cr_assert_eq(row->to_us, INT64_C(1927650615250000));
	cr_assert_eq(row->line, 2);
}

Test(rates_csv, empty_fields_have_their_defaults)
{
	expect_good(HEAD "44,,1,,,,,,\n,,2,,,,,,\n", 2);
	const struct rate_line *any = &csv.rows[0], *row = &csv.rows[1];
	cr_assert_eq(any->prefix_size, 0);
	cr_assert_eq(row->name_size, 0);
	cr_assert_eq(row->terms.connect_fee_e8, 0);
	cr_assert_eq(row->terms.first_s, 1);
	cr_assert_eq(row->terms.next_s, 1);
	cr_assert_eq(row->terms.grace_s, 0);
	cr_assert_eq(row->from_us, INT64_MIN);
	cr_assert_eq(row->to_us, INT64_MAX);
}

Test(rates_csv, columns_stand_in_any_order_and_only_two_must_be_there)
{
	expect_good("rate_per_minute,prefix\n0.5,44\n0.25,1", 2);
	cr_assert(is(csv.rows[0].prefix, csv.rows[0].prefix_size, "1"));
	cr_assert_eq(csv.rows[0].terms.rate_e8, 25000000);
	expect_fault("name,rate_per_minute\nUK,1\n", 1, "at least the columns");
	expect_fault("prefix,prefix,rate_per_minute\n1,1,1\n", 1, "prefix twice");
	expect_fault("prefix,rate\n1,1\n", 1, "unknown column 'rate'");
	expect_fault("44,0.01\n45,0.02\n", 1, "unknown column '44'");
	expect_fault("", 1, "unknown column");
}

Test(rates_csv, rfc4180_line_ends_empty_lines_and_a_mark_of_utf8)
{
	expect_good("\xef\xbb\xbfprefix,rate_per_minute\r\n44,1\r\n\r\n45,2\n\n46,3\r", 3);
	cr_assert_eq(csv.rows[1].line, 4);
	cr_assert_eq(csv.rows[2].terms.rate_e8, 300000000);
	expect_good("prefix,name,rate_per_minute\n1,\"two\nlines\",1\n2,,1\n", 2);
	cr_assert(is(csv.rows[0].name, csv.rows[0].name_size, "two\nlines"));
	cr_assert_eq(csv.rows[1].line, 4);
	expect_good("\"prefix\",\"rate_per_minute\"\n\"44\",\"1\"\n", 1);
}

Test(rates_csv, rfc4180_quotes_that_are_wrong)
{
	expect_fault("prefix,rate_per_minute\n4\"4,1\n45,1\n", 2, "in the middle");
	expect_fault("prefix,rate_per_minute\n\"44\"5,1\n45,1\n", 2, "behind a closing quote");
	expect_fault("prefix,rate_per_minute\n45,1\n\"44,1\n46,1\n", 3, "not closed");
}

Test(rates_csv, rows_with_too_few_or_too_many_fields)
{
	expect_fault("prefix,rate_per_minute\n44\n", 2, "1 fields, the header has 2");
	expect_fault("prefix,rate_per_minute\n44,1,\n", 2, "3 fields");
	expect_fault(HEAD "44,,1,,,,,,,,,,,,,,,,,,,\n", 2, "fields, the header has 9");
}

Test(rates_csv, values_that_are_wrong)
{
	expect_fault(HEAD "+44,,1,,,,,,\n", 2, "prefix: '+44' is not digits only");
	expect_fault(HEAD "44 ,,1,,,,,,\n", 2, "digits only");
	expect_fault(HEAD "12345678901234567890123456789012,,1,,,,,,\n", 2, "longer than 31 digits");
	expect_fault(HEAD "44,\xff,1,,,,,,\n", 2, "name: '?' is not UTF-8");
	expect_fault(HEAD "44,,,,,,,,\n", 2, "rate_per_minute: it is missing");
	expect_fault(HEAD "44,,-1,,,,,,\n", 2, "rate_per_minute: '-1' is no amount");
	expect_fault(HEAD "44,,1.123456789,,,,,,\n", 2, "no amount");
	expect_fault(HEAD "44,,\"1,5\",,,,,,\n", 2, "rate_per_minute: '1,5' is no amount");
	expect_fault(HEAD "44,,1e3,,,,,,\n", 2, "no amount");
	expect_fault(HEAD "44,,1,free,,,,,\n", 2, "connect_fee: 'free' is no amount");
	expect_fault(HEAD "44,,1,,6.5,,,,\n", 2, "first_increment_s: '6.5' is no number of seconds");
	expect_fault(HEAD "44,,1,,,86401,,,\n", 2, "next_increment_s: '86401'");
	expect_fault(HEAD "44,,1,,,,99999999999,,\n", 2, "grace_s");
	expect_fault(HEAD "44,,1,,,,,2030-02-30,\n", 2, "effective_from: '2030-02-30' is no date");
	expect_fault(HEAD "44,,1,,,,,,01/02/2030\n", 2, "effective_to");
	expect_fault(HEAD "44,,1,,,,,2030-01-02,2030-01-02\n", 2, "not after effective_from");
}

Test(rates_csv, the_same_prefix_and_date_twice_is_the_later_lines_fault)
{
	expect_fault("prefix,rate_per_minute\n44,1\n45,1\n44,2\n", 4, "stands in line 2 already");
	expect_good("prefix,rate_per_minute,effective_from\n44,1,\n44,2,2030-01-01\n44,3,2029-01-01\n", 3);
	cr_assert_eq(csv.rows[1].terms.rate_e8, 300000000, "sorted by date");
}

Test(rates_csv, every_bad_row_is_counted_and_the_first_twenty_are_kept_in_their_order)
{
	char text[8192];
	size_t size = (size_t)snprintf(text, sizeof(text), "prefix,rate_per_minute\n9,1\n9,1\n");

	for (unsigned i = 0; i < 100; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, i % 2 ? "x%u,1\n" : "%u,1\n", i + 100);
	read_text(text);
	cr_assert_eq(csv.fault_count, 51);
	cr_assert_eq(csv.faults[0].line, 3, "that of the line that stands there twice comes first");
	for (unsigned i = 1; i < RATES_CSV_FAULTS; i++)
		cr_assert_eq(csv.faults[i].line, 5 + 2 * (i - 1));
}

Test(rates_csv, dates_in_all_their_forms)
{
	const struct {
		const char *text;
		int64_t us;
	} good[] = {
		{ "1970-01-01", 0 },
		{ "2030-01-31T18:00", INT64_C(1896112800000000) },
		{ "2030-01-31 18:00", INT64_C(1896112800000000) },
		{ "2030-01-31T18:00:00", INT64_C(1896112800000000) },
		{ "2030-01-31T18:00:00Z", INT64_C(1896112800000000) },
		{ "2030-01-31T18:00:00.5Z", INT64_C(1896112800500000) },
		{ "2030-01-31T18:00:00.000001", INT64_C(1896112800000001) },
		{ "2028-02-29", INT64_C(1835395200000000) },
	};
	const char *const bad[] = { "",
				    "2030",
				    "2030-1-1",
				    "1969-12-31",
				    "2030-13-01",
				    "2030-00-10",
				    "2030-01-01T",
				    "2030-01-01T24:00",
				    "2030-01-01T10:60",
				    "2030-01-01T10:00:00.",
				    "2030-01-01T10:00:00.0000001",
				    "2030-01-01T10:00+02:00",
				    "2030-01-01Z",
				    "2029-02-29" };
	int64_t us;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert(rate_time_read(good[i].text, strlen(good[i].text), &us), "%s", good[i].text);
		cr_assert_eq(us, good[i].us, "%s: %lld", good[i].text, (long long)us);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(rate_time_read(bad[i], strlen(bad[i]), &us), "%s", bad[i]);
}

Test(rates_csv, what_is_written_reads_as_the_same)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct rates_csv first;

	read_text(HEAD ",\"any\",1,,,,,,\n44,\"a "
		       "\"\"b\"\",\r\nc\",0.00000001,12,60,6,3,2030-01-01,2031-01-01T00:00:00.000001\n"
		       "44,plain,0,,0,0,,,2030-01-01\n");
	cr_assert_eq(csv.fault_count, 0);
	first = csv;
	csv = (struct rates_csv){ .rows = NULL };
	rates_csv_write_head(out);
	for (uint32_t i = 0; i < first.count; i++)
		rates_csv_write_row(out, &first.rows[i]);
	cr_assert_eq(fclose(out), 0);
	read_text(text);
	cr_assert_eq(csv.fault_count, 0, "%s", csv.faults[0].reason);
	cr_assert_eq(csv.count, first.count);
	for (uint32_t i = 0; i < csv.count; i++) {
		const struct rate_line *a = &first.rows[i], *b = &csv.rows[i];

		cr_assert(a->prefix_size == b->prefix_size && memcmp(a->prefix, b->prefix, a->prefix_size) == 0);
		cr_assert(a->name_size == b->name_size && memcmp(a->name, b->name, a->name_size) == 0);
		cr_assert_eq(memcmp(&a->terms, &b->terms, sizeof(a->terms)), 0);
		cr_assert(a->from_us == b->from_us && a->to_us == b->to_us);
	}
	rates_csv_free(&first);
	free(text);
}
