/* Spec 10: rate tables by longest prefix and newest effective date, and accounts.  Random tables are held against a
 * walk through all their rows.  */
#include "billing/tariff.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "billing/prefix_lines.h"

#define NEVER  INT64_MIN
#define ALWAYS INT64_MAX

static struct tariff_builder *begin(uint32_t tables)
{
	struct tariff_builder *b;
	uint32_t table;
	char name[24];

	cr_assert_eq(tariff_begin(&b), 0);
	for (uint32_t i = 0; i < tables; i++) {
		snprintf(name, sizeof name, "table %u", i);
		cr_assert_eq(tariff_add_table(b, name, &table), 0);
		cr_assert_eq(table, i);
	}
	return b;
}

static int add(struct tariff_builder *b, uint32_t table, const char *prefix, int64_t rate_e8, int64_t from_us,
	       int64_t to_us)
{
	return tariff_add_rate(b, table,
			       &(struct rate){ .prefix = prefix,
					       .prefix_size = (uint32_t)strlen(prefix),
					       .terms = { .rate_e8 = rate_e8, .first_s = 60, .next_s = 6 },
					       .from_us = from_us,
					       .to_us = to_us });
}

static struct tariff *finish(struct tariff_builder *b)
{
	struct tariff *t;

	cr_assert_eq(tariff_finish(b, &t), 0);
	return t;
}

/* The rate of a number, -1: none. */
static int64_t rate_of(const struct tariff *t, uint32_t table, const char *number, int64_t at_us)
{
	struct rate rate;

	return tariff_rate(t, table, number, strlen(number), at_us, &rate) ? rate.terms.rate_e8 : -1;
}

Test(spec_10_rates, longest_prefix_counts)
{
	struct tariff_builder *b = begin(2);
	struct rate rate;

	cr_assert_eq(add(b, 0, "44", 1, NEVER, ALWAYS), 0);
	cr_assert_eq(add(b, 0, "447", 2, NEVER, ALWAYS), 0);
	cr_assert_eq(add(b, 0, "4478901234567890123456789012345", 3, NEVER, ALWAYS), 0);
	cr_assert_eq(add(b, 0, "44789012345678901", 4, NEVER, ALWAYS), 0);
	cr_assert_eq(add(b, 1, "", 5, NEVER, ALWAYS), 0);
	cr_assert_eq(add(b, 1, "0", 6, NEVER, ALWAYS), 0);
	struct tariff *t = finish(b);

	cr_assert_eq(rate_of(t, 0, "4", 0), -1);
	cr_assert_eq(rate_of(t, 0, "44", 0), 1);
	cr_assert_eq(rate_of(t, 0, "448", 0), 1);
	cr_assert_eq(rate_of(t, 0, "44789", 0), 2);
	cr_assert_eq(rate_of(t, 0, "4478901234567890", 0), 2);
	cr_assert_eq(rate_of(t, 0, "44789012345678901", 0), 4);
	cr_assert_eq(rate_of(t, 0, "447890123456789019", 0), 4);
	cr_assert_eq(rate_of(t, 0, "44789012345678901234567890123456789", 0), 3);
	cr_assert_eq(rate_of(t, 0, "44x", 0), 1, "a number may have something else behind its digits");
	cr_assert_eq(rate_of(t, 0, "x44", 0), -1);
	cr_assert_eq(rate_of(t, 0, "", 0), -1);
	cr_assert_eq(rate_of(t, 1, "", 0), 5);
	cr_assert_eq(rate_of(t, 1, "44", 0), 5);
	cr_assert_eq(rate_of(t, 1, "044", 0), 6);
	cr_assert_eq(rate_of(t, 2, "044", 0), -1, "no such table");
	cr_assert_eq(rate_of(t, TARIFF_NO_TABLE, "044", 0), -1);
	cr_assert_eq(rate_of(NULL, 0, "044", 0), -1);

	const char *number = "447123456";
	cr_assert(tariff_rate(t, 0, number, 9, 0, &rate));
	cr_assert(rate.prefix == number && rate.prefix_size == 3 && rate.terms.first_s == 60 && rate.terms.next_s == 6);
	cr_assert(tariff_rate(t, 0, number, 2, 0, &rate) && rate.prefix_size == 2,
		  "only so much of the number is read");
	tariff_free(t);
}

Test(spec_10_rates, newest_effective_date_counts_and_shorter_prefixes_fill_the_gaps)
{
	struct tariff_builder *b = begin(1);

	cr_assert_eq(add(b, 0, "49", 1, NEVER, ALWAYS), 0);
	cr_assert_eq(add(b, 0, "491", 2, 100, 200), 0);
	cr_assert_eq(add(b, 0, "491", 3, 150, 160), 0);
	cr_assert_eq(add(b, 0, "491", 4, 300, ALWAYS), 0);
	cr_assert_eq(add(b, 0, "491", 5, 250, 250), 0, "never");
	cr_assert_eq(add(b, 0, "49111111111111111111", 6, 120, 130), 0);
	cr_assert_eq(add(b, 0, "491111111111111111111", 7, 125, 126), 0);
	struct tariff *t = finish(b);

	static const struct {
		int64_t at_us, rate_e8;
	} expected[] = { { INT64_MIN, 1 }, { 99, 1 },  { 100, 2 }, { 149, 2 }, { 150, 3 },          { 159, 3 },
			 { 160, 2 },       { 199, 2 }, { 200, 1 }, { 250, 1 }, { 299, 1 },          { 300, 4 },
			 { 1000000, 4 },   { 119, 2 }, { 120, 2 }, { 300, 4 }, { INT64_MAX - 1, 4 } };
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		cr_assert_eq(rate_of(t, 0, "491", expected[i].at_us), expected[i].rate_e8);
	cr_assert_eq(rate_of(t, 0, "491111111111111111111", 119), 2);
	cr_assert_eq(rate_of(t, 0, "491111111111111111111", 120), 6);
	cr_assert_eq(rate_of(t, 0, "491111111111111111111", 125), 7);
	cr_assert_eq(rate_of(t, 0, "491111111111111111111", 126), 6);
	cr_assert_eq(rate_of(t, 0, "491111111111111111111", 130), 2);
	tariff_free(t);
}

/* ---- what is refused ---- */

Test(spec_10_rates, refuses_what_is_no_rate)
{
	struct tariff_builder *b = begin(1);
	struct rate negative = { .prefix = "1", .prefix_size = 1, .terms = { .rate_e8 = -1 } };
	uint32_t table = 77;

	cr_assert_eq(add(b, 1, "1", 1, NEVER, ALWAYS), -EINVAL, "no such table");
	cr_assert_eq(add(b, 0, "+1", 1, NEVER, ALWAYS), -EINVAL);
	cr_assert_eq(add(b, 0, "1*", 1, NEVER, ALWAYS), -EINVAL);
	cr_assert_eq(add(b, 0, "12345678901234567890123456789012", 1, NEVER, ALWAYS), -EINVAL);
	cr_assert_eq(tariff_add_rate(b, 0, &negative), -EINVAL);
	negative.terms = (struct rate_terms){ .connect_fee_e8 = -1 };
	cr_assert_eq(tariff_add_rate(b, 0, &negative), -EINVAL);
	cr_assert_eq(tariff_add_table(b, "table 0", &table), -EEXIST);
	cr_assert_eq(table, 77);
	cr_assert_eq(add(b, 0, "1", 1, NEVER, ALWAYS), 0);
	struct tariff *t = finish(b);
	cr_assert_eq(rate_of(t, 0, "1234567890123456789012345678901234567890", 0), 1);
	tariff_free(t);
}

static int finish_with_twice(const char *prefix, int64_t from_us)
{
	struct tariff_builder *b = begin(1);
	struct tariff *t;

	cr_assert_eq(add(b, 0, prefix, 1, 100, 200), 0);
	cr_assert_eq(add(b, 0, "7", 2, 100, 200), 0);
	cr_assert_eq(add(b, 0, prefix, 3, from_us, 300), 0);
	int r = tariff_finish(b, &t);
	if (r == 0)
		tariff_free(t);
	return r;
}

Test(spec_10_rates, refuses_the_same_prefix_and_date_twice)
{
	cr_assert_eq(finish_with_twice("44", 100), -EEXIST);
	cr_assert_eq(finish_with_twice("", 100), -EEXIST);
	cr_assert_eq(finish_with_twice("12345678901234567890", 100), -EEXIST);
	cr_assert_eq(finish_with_twice("44", 101), 0);
	cr_assert_eq(finish_with_twice("12345678901234567890", 99), 0);
}

/* ---- against all rows ---- */

struct row {
	char prefix[RATE_PREFIX_MAX + 1];
	int64_t rate_e8, from_us, to_us;
};

static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)((state >> 33) % below);
}

/* Few digits, so that prefixes meet. */
static void draw_digits(char *at, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		at[i] = "1112"[draw(4)];
	at[size] = '\0';
}

static int64_t slow_rate_of(const struct row *rows, uint32_t count, const char *number, int64_t at_us)
{
	const struct row *best = NULL;

	for (uint32_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		size_t size = strlen(row->prefix), best_size = best ? strlen(best->prefix) : 0;

		if (strncmp(number, row->prefix, size) != 0 || at_us < row->from_us || at_us >= row->to_us)
			continue;
		if (!best || size > best_size || (size == best_size && row->from_us > best->from_us))
			best = row;
	}
	return best ? best->rate_e8 : -1;
}

static bool is_new(const struct row *rows, uint32_t count, const struct row *row)
{
	for (uint32_t i = 0; i < count; i++)
		if (rows[i].from_us == row->from_us && strcmp(rows[i].prefix, row->prefix) == 0)
			return false;
	return true;
}

static uint32_t draw_rows(struct row *rows, uint32_t most, uint32_t length_max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < most; i++) {
		struct row *row = &rows[count];

		draw_digits(row->prefix, draw(length_max + 1));
		row->rate_e8 = draw(5);
		row->from_us = draw(3) ? draw(10) : NEVER;
		row->to_us = draw(3) ? draw(12) : ALWAYS;
		count += is_new(rows, count, row);
	}
	return count;
}

Test(spec_10_rates, random_tables_agree_with_all_their_rows)
{
	enum { MOST = 300, TABLES = 3 };
	static const uint32_t lengths[TABLES] = { 5, 20, RATE_PREFIX_MAX };
	struct row rows[TABLES][MOST];
	uint32_t count[TABLES];

	for (int round = 0; round < 30; round++) {
		struct tariff_builder *b = begin(TABLES);

		for (uint32_t table = 0; table < TABLES; table++) {
			count[table] = draw_rows(rows[table], 1 + draw(MOST), lengths[table]);
			for (uint32_t i = 0; i < count[table]; i++)
				cr_assert_eq(add(b, table, rows[table][i].prefix, rows[table][i].rate_e8,
						 rows[table][i].from_us, rows[table][i].to_us),
					     0);
		}
		struct tariff *t = finish(b);
		for (int i = 0; i < 2000; i++) {
			uint32_t table = draw(TABLES);
			char number[48];
			int64_t at_us = (int64_t)draw(16) - 2;

			if (draw(2))
				draw_digits(number, draw(40));
			else
				strcpy(number, rows[table][draw(count[table])].prefix);
			cr_assert_eq(rate_of(t, table, number, at_us),
				     slow_rate_of(rows[table], count[table], number, at_us));
		}
		tariff_free(t);
	}
}

/* Prefixes that were made up to stand in the same few lines: what finds no room there is found all the same. */
Test(spec_10_rates, prefixes_that_meet_in_one_line)
{
	enum { PREFIXES = 300 };
	struct prefix_lines lines;
	struct tariff_builder *b = begin(1);
	char prefix[PREFIXES][16];
	uint32_t made = 0;

	cr_assert_eq(prefix_lines_create(&lines, PREFIXES), 0); /* as large as the table's will be */
	for (uint32_t i = 1; made < PREFIXES; i++) {
		uint64_t word = 0;

		snprintf(prefix[made], sizeof prefix[made], "%u", i);
		for (const char *at = prefix[made]; *at; at++)
			word = prefix_word_next(word, *at);
		if (prefix_lines_at(&lines, word) != &lines.lines[7])
			continue;
		cr_assert_eq(add(b, 0, prefix[made], i, NEVER, ALWAYS), 0);
		made++;
	}
	prefix_lines_destroy(&lines);
	struct tariff *t = finish(b);
	for (uint32_t i = 0; i < PREFIXES; i++) {
		char number[32];
		struct rate rate;
		int size = snprintf(number, sizeof number, "%sx", prefix[i]);

		cr_assert(tariff_rate(t, 0, number, (size_t)size, 0, &rate));
		cr_assert_eq(rate.prefix_size, (uint32_t)size - 1);
		cr_assert_eq((unsigned long)rate.terms.rate_e8, strtoul(prefix[i], NULL, 10));
	}
	tariff_free(t);
}

/* ---- accounts ---- */

static struct account account_of(const char *name, uint32_t id, uint32_t table)
{
	struct account account = { .id = id, .table = table, .balance_e8 = (int64_t)id * 10 };

	strcpy(account.name, name);
	return account;
}

Test(spec_10_accounts, found_by_id_and_in_order_of_names)
{
	struct tariff_builder *b = begin(1);
	struct account first = account_of("b", 7, 0), second = account_of("a", ACCOUNT_ID_MAX, TARIFF_NO_TABLE);

	cr_assert_eq(tariff_add_account(b, &first), 0);
	cr_assert_eq(tariff_add_account(b, &second), 0);
	struct tariff *t = finish(b);

	cr_assert_eq(tariff_account_count(t), 2);
	cr_assert_str_eq(tariff_account_at(t, 0)->name, "a");
	cr_assert_str_eq(tariff_account_at(t, 1)->name, "b");
	cr_assert_eq(tariff_account(t, 7)->balance_e8, 70);
	cr_assert_eq(tariff_account(t, ACCOUNT_ID_MAX), tariff_account_at(t, 0));
	cr_assert_null(tariff_account(t, 0));
	cr_assert_null(tariff_account(t, 8));
	cr_assert_null(tariff_account(t, UINT32_MAX));
	cr_assert_null(tariff_account(NULL, 7));
	cr_assert_eq(tariff_account_count(NULL), 0);
	tariff_free(t);
}

static int finish_with_accounts(struct account x, struct account y)
{
	struct tariff_builder *b = begin(1);
	struct tariff *t;

	cr_assert_eq(tariff_add_account(b, &x), 0);
	cr_assert_eq(tariff_add_account(b, &y), 0);
	int r = tariff_finish(b, &t);
	if (r == 0)
		tariff_free(t);
	return r;
}

Test(spec_10_accounts, refuses_what_does_not_fit_together)
{
	struct tariff_builder *b = begin(0);
	struct account none = account_of("a", 0, TARIFF_NO_TABLE), large = account_of("a", ACCOUNT_ID_MAX + 1, 0);

	cr_assert_eq(tariff_add_account(b, &none), -EINVAL);
	cr_assert_eq(tariff_add_account(b, &large), -EINVAL);
	tariff_abandon(b);
	tariff_abandon(NULL);
	cr_assert_eq(finish_with_accounts(account_of("a", 1, 0), account_of("b", 2, 0)), 0);
	cr_assert_eq(finish_with_accounts(account_of("a", 1, 0), account_of("b", 1, 0)), -EEXIST);
	cr_assert_eq(finish_with_accounts(account_of("a", 1, 0), account_of("a", 2, 0)), -EEXIST);
	cr_assert_eq(finish_with_accounts(account_of("a", 1, 0), account_of("b", 2, 1)), -EINVAL);
}

Test(spec_10_rates, nothing_at_all)
{
	struct tariff *t = finish(begin(0));

	cr_assert_eq(rate_of(t, 0, "1", 0), -1);
	cr_assert_null(tariff_account(t, 1));
	tariff_free(t);
	t = finish(begin(1));
	cr_assert_eq(rate_of(t, 0, "1", 0), -1);
	tariff_free(t);
	tariff_free(NULL);
}
