/* What the C functions say to the lines of rating_golden_test.py, which come on the standard input:
 *
 *   rate TABLE PREFIX RATE CONNECT_FEE FIRST_S NEXT_S GRACE_S FROM_US TO_US     all of them first; PREFIX "-" is ""
 *   call TABLE NUMBER AT_US HOLD_MS HOLD_PRECISION_MS FREE_S FEE_DECIMALS       is answered "PREFIX RATE BILLED_S FEE"
 *
 * A call without rate is answered "none". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/money.h"
#include "billing/rating.h"
#include "billing/tariff.h"

#define TABLES_MAX 64

__attribute__((noreturn)) static void give_up(const char *what)
{
	fprintf(stderr, "rating_golden: %s\n", what);
	exit(1);
}

static int64_t money(const char *text)
{
	int64_t e8;

	if (!money_parse(text, strlen(text), &e8))
		give_up(text);
	return e8;
}

static void add_rate(struct tariff_builder *b, uint32_t *table_count, const char *line)
{
	struct rate rate = { 0 };
	char prefix[64], price[64], connect_fee[64];
	uint32_t table, added;

	if (sscanf(line, "rate %" SCNu32 " %63s %63s %63s %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNd64 " %" SCNd64,
		   &table, prefix, price, connect_fee, &rate.terms.first_s, &rate.terms.next_s, &rate.terms.grace_s,
		   &rate.from_us, &rate.to_us) != 9)
		give_up(line);
	for (; *table_count <= table && table < TABLES_MAX; ++*table_count) {
		char name[16];

		snprintf(name, sizeof name, "%" PRIu32, *table_count);
		if (tariff_add_table(b, name, &added) < 0)
			give_up(line);
	}
	rate.prefix = prefix;
	rate.prefix_size = strcmp(prefix, "-") == 0 ? 0 : (uint32_t)strlen(prefix);
	rate.terms.rate_e8 = money(price);
	rate.terms.connect_fee_e8 = money(connect_fee);
	if (tariff_add_rate(b, table, &rate) < 0)
		give_up(line);
}

static void answer_call(const struct tariff *t, const char *line)
{
	struct rating_rules rules;
	struct rate rate;
	char number[64], price[MONEY_TEXT_MAX], fee[MONEY_TEXT_MAX];
	uint64_t hold_ms;
	uint32_t table;
	int64_t at_us;

	if (sscanf(line, "call %" SCNu32 " %63s %" SCNd64 " %" SCNu64 " %" SCNu16 " %" SCNu16 " %" SCNu8, &table,
		   number, &at_us, &hold_ms, &rules.hold_precision_ms, &rules.free_s, &rules.fee_decimals) != 7)
		give_up(line);
	if (!tariff_rate(t, table, number, strlen(number), at_us, &rate)) {
		puts("none");
		return;
	}
	uint64_t billed_s = rating_billed_s(&rate.terms, &rules, hold_ms);
	money_write_short(rate.terms.rate_e8, 0, price);
	money_write(rating_fee_e8(&rate.terms, &rules, billed_s), rules.fee_decimals, fee);
	printf("%s%.*s %s %" PRIu64 " %s\n", rate.prefix_size ? "" : "-", (int)rate.prefix_size, rate.prefix, price,
	       billed_s, fee);
}

int main(void)
{
	struct tariff_builder *b;
	struct tariff *t = NULL;
	uint32_t table_count = 0;
	char line[512];

	if (tariff_begin(&b) < 0)
		give_up("no memory");
	while (fgets(line, sizeof line, stdin)) {
		if (strncmp(line, "rate ", 5) == 0 && !t)
			add_rate(b, &table_count, line);
		else if (!t && tariff_finish(b, &t) < 0)
			give_up("tariff_finish");
		if (t)
			answer_call(t, line);
	}
	tariff_free(t);
	return 0;
}
