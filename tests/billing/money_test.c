/* Design, "Money and time": amounts as decimal text and back, exactly.  */
#include "billing/money.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool reads_as(const char *text, int64_t expected)
{
	int64_t e8 = -12345;

	return money_parse(text, strlen(text), &e8) && e8 == expected;
}

static bool is_refused(const char *text)
{
	int64_t e8 = -12345;

	return !money_parse(text, strlen(text), &e8) && e8 == -12345;
}

Test(money, reads_decimals)
{
	cr_assert(reads_as("0", 0));
	cr_assert(reads_as("-0.00", 0));
	cr_assert(reads_as("1", MONEY_ONE));
	cr_assert(reads_as("+1.5", 150000000));
	cr_assert(reads_as("-0.00000001", -1));
	cr_assert(reads_as("0.00000001", 1));
	cr_assert(reads_as("0001.10", 110000000));
	cr_assert(reads_as("000000000000000000000000000000000000001", MONEY_ONE));
	cr_assert(reads_as("12.34567891", 1234567891));
}

Test(money, refuses_what_is_no_amount)
{
	static const char *const texts[] = { "",     "-",           "+",   ".",           ".5",
					     "5.",   "1.123456789", "1,5", "1e3",         " 1",
					     "1 ",   "--1",         "+-1", "0x10",        "1.2.",
					     "1.-2", "1.2.3",       "nan", "1.00000000 ", "99999999999999999999" };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		cr_assert(is_refused(texts[i]), "\"%s\"", texts[i]);
	int64_t e8 = 7;
	cr_assert(!money_parse("1\0002", 3, &e8) && e8 == 7, "a NUL is no digit");
	cr_assert(money_parse("12x", 2, &e8) && e8 == 12 * MONEY_ONE, "what is behind the text is not looked at");
	cr_assert(!money_parse(NULL, 0, &e8));
}

/* MONEY_MAX = 2305843009213693951. */
Test(money, refuses_what_is_too_large)
{
	cr_assert(reads_as("23058430092.13693951", MONEY_MAX));
	cr_assert(reads_as("-23058430092.13693951", -MONEY_MAX));
	cr_assert(is_refused("23058430092.13693952"));
	cr_assert(is_refused("23058430093"));
	cr_assert(is_refused("230584300921"));
	cr_assert(is_refused("-18446744073709551616"));
	cr_assert(is_refused("184467440737.09551616"), "2^64 of the smallest unit");
}

static bool writes_as(int64_t e8, unsigned decimals, const char *expected)
{
	char out[MONEY_TEXT_MAX];
	size_t size = money_write(e8, decimals, out);

	return size == strlen(out) && strcmp(out, expected) == 0;
}

Test(money, writes_and_rounds_half_away_from_zero)
{
	cr_assert(writes_as(0, 0, "0"));
	cr_assert(writes_as(0, 2, "0.00"));
	cr_assert(writes_as(123456789, 8, "1.23456789"));
	cr_assert(writes_as(123456789, 4, "1.2346"));
	cr_assert(writes_as(-123456789, 4, "-1.2346"));
	cr_assert(writes_as(50000000, 0, "1"));
	cr_assert(writes_as(49999999, 0, "0"));
	cr_assert(writes_as(-50000000, 0, "-1"));
	cr_assert(writes_as(-400000, 2, "0.00"), "nothing has no sign");
	cr_assert(writes_as(-500000, 2, "-0.01"));
	cr_assert(writes_as(999999999, 2, "10.00"));
	cr_assert(writes_as(5, 7, "0.0000001"));
	cr_assert(writes_as(INT64_MAX, 8, "92233720368.54775807"));
	cr_assert(writes_as(INT64_MIN, 8, "-92233720368.54775808"));
	cr_assert(writes_as(INT64_MAX, 0, "92233720369"));
	cr_assert(writes_as(INT64_MIN, 1, "-92233720368.5"));
}

static bool writes_short_as(int64_t e8, unsigned least, const char *expected)
{
	char out[MONEY_TEXT_MAX];
	size_t size = money_write_short(e8, least, out);

	return size == strlen(out) && strcmp(out, expected) == 0;
}

Test(money, writes_as_few_decimals_as_say_it_all)
{
	cr_assert(writes_short_as(0, 0, "0"));
	cr_assert(writes_short_as(0, 2, "0.00"));
	cr_assert(writes_short_as(MONEY_ONE, 0, "1"));
	cr_assert(writes_short_as(10 * MONEY_ONE, 0, "10"));
	cr_assert(writes_short_as(150000000, 0, "1.5"));
	cr_assert(writes_short_as(150000000, 2, "1.50"));
	cr_assert(writes_short_as(150000001, 2, "1.50000001"));
	cr_assert(writes_short_as(-1, 0, "-0.00000001"));
	cr_assert(writes_short_as(INT64_MIN, 0, "-92233720368.54775808"));
}

Test(money, rounds_to_decimals)
{
	cr_assert_eq(money_round(123456789, 8), 123456789);
	cr_assert_eq(money_round(123456789, 2), 123000000);
	cr_assert_eq(money_round(123500000, 2), 124000000);
	cr_assert_eq(money_round(-123500000, 2), -124000000);
	cr_assert_eq(money_round(-123499999, 2), -123000000);
	cr_assert_eq(money_round(49999999, 0), 0);
	cr_assert_eq(money_round(INT64_MAX, 8), INT64_MAX);
	cr_assert_eq(money_round(INT64_MAX, 0), INT64_MAX, "what does not fit");
	cr_assert_eq(money_round(INT64_MIN, 8), INT64_MIN);
	cr_assert_eq(money_round(INT64_MIN, 0), INT64_MIN);
}

/* What was written with all decimals is read as the same amount; rounding and writing agree. */
Test(money, text_keeps_every_amount)
{
	uint64_t state = 1;

	for (int i = 0; i < 200000; i++) {
		char out[MONEY_TEXT_MAX], rounded[MONEY_TEXT_MAX];
		int64_t e8, read;

		state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		e8 = (int64_t)(state >> (2 + state % 53)) % MONEY_MAX * (i % 2 ? 1 : -1);
		cr_assert(money_parse(out, money_write_short(e8, (unsigned)i % 9, out), &read) && read == e8,
			  "%" PRId64, e8);
		for (unsigned decimals = 0; decimals <= MONEY_DECIMALS; decimals++) {
			money_write(e8, decimals, out);
			money_write(money_round(e8, decimals), decimals, rounded);
			cr_assert_str_eq(out, rounded);
		}
	}
}
