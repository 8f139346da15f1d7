/* Sums of CDRs: exact money, groups, figures, bounds. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/fees.h"
#include "billing/grouping.h"
#include "billing/ledger.h"
#include "billing/money.h"
#include "billing/sums.h"
#include "tests/billing/sample.h"
#include "tests/billing/store_steps.h"

#define DAY_US INT64_C(86400000000)

static struct sums *sum_up(const char *path, struct cdr_filter filter, const struct cdr_grouping *grouping)
{
	struct sums *sums = sums_create();
	char error[CDR_READ_ERROR_BYTES] = "";

	cr_assert_eq(cdr_store_sums(path, &filter, grouping, NULL, sums, error), 0, "%s", error);
	sums_sort(sums);
	return sums;
}

/* "key attempts answered fee" of each group, in a static text. */
static const char *groups_of(const char *path, struct cdr_filter filter, const struct cdr_grouping *grouping)
{
	static char text[2048];
	struct sums *sums = sum_up(path, filter, grouping);
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sums_count(sums); i++) {
		const char *key;
		char fee[MONEY_SUM_TEXT_MAX];
		const struct sum *s = sums_at(sums, i, &key);
		money_sum_write(s->fee_e8, fee);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %lu %lu %s", i > 0 ? ", " : "", key,
					 (unsigned long)s->attempts, (unsigned long)s->answered, fee);
	}
	sums_free(sums);
	return text;
}

static const char *groups(const char *path, struct cdr_filter filter, enum cdr_group by, int32_t utc_offset_s)
{
	return groups_of(path, filter, &(struct cdr_grouping){ .by = by, .utc_offset_s = utc_offset_s });
}

#define ANY ((struct cdr_filter){ 0 })

/* ---- money ---- */

Test(sums, money_is_written_with_the_decimals_it_needs_and_at_least_two)
{
	static const struct {
		const char *text, *shown;
	} cases[] = { { "", "0.00" },
		      { "0", "0.00" },
		      { "1", "1.00" },
		      { "-1.5", "-1.50" },
		      { "0.00000001", "0.00000001" },
		      { "-0.00000001", "-0.00000001" },
		      { "0.123", "0.123" },
		      { "0.10000000", "0.10" },
		      { "12345678901.12345678", "12345678901.12345678" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char shown[MONEY_SUM_TEXT_MAX];
		money_sum e8;
		cr_assert(money_sum_read(cases[i].text, &e8), "%s", cases[i].text);
		cr_assert_eq(money_sum_write(e8, shown), strlen(shown));
		cr_assert_str_eq(shown, cases[i].shown);
	}
	static const char *const wrong[] = { "x", "1.2.3", "1,5", " 1", "0.123456789", "nan" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		money_sum e8;
		cr_assert_not(money_sum_read(wrong[i], &e8), "%s", wrong[i]);
	}
}

/* Ten sums of the largest amount there is pass 64 bits. */
Test(sums, money_adds_up_past_64_bits)
{
	struct sums *sums = sums_create();
	char shown[MONEY_SUM_TEXT_MAX];

	for (int i = 0; i < 10; i++)
		cr_assert_eq(sums_add(sums, "a", 1, &(struct sum){ .fee_e8 = MONEY_MAX, .cost_e8 = -MONEY_MAX }), 0);
	const struct sum total = sums_total(sums);
	money_sum_write(total.fee_e8, shown);
	cr_assert_str_eq(shown, "230584300921.3693951");
	money_sum_write(total.cost_e8, shown);
	cr_assert_eq(shown[0], '-');
	sums_free(sums);
}

/* ---- groups ---- */

Test(sums, groups_are_in_order_and_bounded)
{
	const struct sum one = { .attempts = 1 };
	struct sums *sums = sums_create();
	char key[300];

	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < SUMS_GROUPS_MAX; i++) {
			const int size = snprintf(key, sizeof(key), "%u", i * 7919 % SUMS_GROUPS_MAX);
			cr_assert_eq(sums_add(sums, key, (size_t)size, &one), 0);
		}
	cr_assert_eq(sums_add(sums, "one more", 8, &one), -E2BIG);
	cr_assert_eq(sums_add(sums, "77", 2, &one), 0, "those that are there go on");
	sums_sort(sums);
	cr_assert_eq(sums_count(sums), SUMS_GROUPS_MAX);
	const char *before = "", *name;
	for (size_t i = 0; i < sums_count(sums); i++) {
		const struct sum *s = sums_at(sums, i, &name);
		cr_assert_eq(s->attempts, strcmp(name, "77") == 0 ? 3 : 2);
		cr_assert_lt(strcmp(before, name), 0);
		before = name;
	}
	cr_assert_eq(sums_total(sums).attempts, 2 * SUMS_GROUPS_MAX + 1);
	sums_free(sums);

	sums = sums_create();
	memset(key, 'k', sizeof(key));
	sums_add(sums, key, sizeof(key), &one);
	sums_sort(sums);
	sums_at(sums, 0, &name);
	cr_assert_eq(strlen(name), SUMS_KEY_MAX);
	sums_free(sums);
}

Test(sums, days_and_hours_are_local_ones)
{
	const int64_t start_us = INT64_C(1700000000000000); /* 2023-11-14 22:13:20 UTC */
	static const struct {
		enum cdr_group by;
		int32_t offset_s;
		const char *name;
	} cases[] = { { CDR_GROUP_day, 0, "2023-11-14" },           { CDR_GROUP_day, 7200, "2023-11-15" },
		      { CDR_GROUP_day, -86400, "2023-11-13" },      { CDR_GROUP_hour, 0, "2023-11-14 22:00" },
		      { CDR_GROUP_hour, 3600, "2023-11-14 23:00" }, { CDR_GROUP_hour, 20700, "2023-11-15 03:00" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cdr_grouping grouping = { .by = cases[i].by, .utc_offset_s = cases[i].offset_s };
		char name[GROUPING_KEY_MAX];
		grouping_write(&grouping, grouping_span_of(&grouping, start_us), name);
		cr_assert_str_eq(name, cases[i].name);
	}
	const struct cdr_grouping day = { .by = CDR_GROUP_day };
	cr_assert_eq(grouping_span_of(&day, -1), -1);
}

/* ---- of a store ---- */

/* Of two customers, three days; the fourth call is not answered, the fifth was tried at nobody. */
static const char *store_five(void)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	static const char *const fees[] = { "0.1", "0.2", "0.00000001", "", "" };
	struct cdr cdrs[5];

	for (unsigned i = 0; i < 5; i++) {
		cdrs[i] = sample_cdr_at(i, INT64_C(1700000000000000) + i / 2 * DAY_US + i);
		cdrs[i].account = sample_text(i < 3 ? "big" : "small");
		cdrs[i].fee = sample_text(fees[i]);
		cdrs[i].cost = sample_text(i < 3 ? "0.3" : "");
		cdrs[i].hold_ms = 1000 * (int64_t)(i + 1) + 1;
		cdrs[i].pdd_ms = 100 * (int64_t)(i + 1);
	}
	for (unsigned i = 3; i < 5; i++)
		cdrs[i].connect_us = cdrs[i].hold_ms = cdrs[i].billed_s = 0;
	cdrs[3].routing_gateway = sample_text("vendor-a");
	cdrs[4].ringing_us = 0;
	cdrs[4].routing_gateway = sample_text("");
	cdrs[4].attempts_count = 0;
	cdrs[4].end_reason = CDR_END_capacity;
	add_all(store, cdrs, 5);
	cdr_store_close(store);
	return path;
}

Test(sums, spec_3_sums_of_calls)
{
	const char *path = store_five();

	struct sums *all = sum_up(path, ANY, &(struct cdr_grouping){ .by = CDR_GROUP_all });
	const char *key;
	const struct sum *s = sums_at(all, 0, &key);
	cr_assert(sums_count(all) == 1 && strcmp(key, "all") == 0);
	cr_assert(s->attempts == 5 && s->answered == 3 && s->rang == 4);
	cr_assert_eq(s->pdd_ms, 100 + 200 + 300 + 400, "of those that rang");
	cr_assert_eq(s->hold_ms, 1001 + 2001 + 3001);
	cr_assert_eq(s->billed_s, 180);
	cr_assert(s->fee_e8 == 30000001 && s->cost_e8 == 90000000);
	sums_free(all);

	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_account, 0), "big 3 3 0.30000001, small 2 0 0.00");
	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_gateway, 0), "customer-a 5 3 0.30000001");
	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_prefix, 0), "49 5 3 0.30000001");
	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_reason, 0), "capacity 1 0 0.00, normal 4 3 0.30000001");
	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_day, 0),
			 "2023-11-14 2 2 0.30, 2023-11-15 2 1 0.00000001, 2023-11-16 1 0 0.00");
	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_hour, 3600),
			 "2023-11-14 23:00 2 2 0.30, 2023-11-15 23:00 2 1 0.00000001, 2023-11-16 23:00 1 0 0.00");
	cr_assert_str_eq(groups(path, (struct cdr_filter){ .account = "big", .until_us = 1700000000000001 },
				CDR_GROUP_account, 0),
			 "big 1 1 0.10");
	cr_assert_str_eq(groups(path, (struct cdr_filter){ .answered = CDR_ANSWERED_NOT }, CDR_GROUP_account, 0),
			 "small 2 0 0.00");
	cr_assert_str_eq(groups(path, (struct cdr_filter){ .account = "none" }, CDR_GROUP_all, 0), "");
}

/* A vendor whose every attempt failed over to another has attempts and an ASR of 0; the calls are the other's. */
Test(sums, an_attempt_counts_for_the_vendor_it_was_made_at)
{
	const char *path = store_five();

	cr_assert_str_eq(groups(path, ANY, CDR_GROUP_vendor, 0), "vendor-a 4 0 0.00, vendor-b 4 3 0.30000001");
}

/* A corrected fee counts in place of the record's own, in every group; one outside of the bounds is not even read. */
Test(sums, corrected_fees_are_what_is_added)
{
	const char *path = store_five(), *ledger = sample_path("ringwheel.db");
	char error[CDR_READ_ERROR_BYTES] = "";
	struct fees *fees;
	sqlite3 *db;

	cr_assert_eq(fees_load(ledger, &ANY, &fees, error), 0, "no database, no corrections: %s", error);
	cr_assert_eq(fees_count(fees), 0);
	fees_free(fees);
	cr_assert_eq(database_open(ledger, &ledger_schema, &db, error), 0, "%s", error);
	database_close(db);
	for (unsigned i = 0; i < 5; i += 2) {
		const struct cdr cdr = sample_cdr_at(i, INT64_C(1700000000000000) + i / 2 * DAY_US + i);
		char sql[256];
		snprintf(sql, sizeof(sql), "INSERT INTO corrections VALUES ('%.32s', 1, 0, %u, 0, '', '')", cdr.cdr_id,
			 100000000 * (i + 1));
		raw_run(ledger, sql);
	}
	cr_assert_eq(fees_load(ledger, &ANY, &fees, error), 0, "%s", error);
	cr_assert_eq(fees_count(fees), 3);
	cr_assert_str_eq(groups_of(path, ANY, &(struct cdr_grouping){ .by = CDR_GROUP_account, .fees = fees }),
			 "big 3 3 4.20, small 2 0 5.00");
	cr_assert_str_eq(groups_of(path, ANY, &(struct cdr_grouping){ .by = CDR_GROUP_vendor, .fees = fees }),
			 "vendor-a 4 0 0.00, vendor-b 4 3 4.20", "a call that was offered to nobody is nobody's");
	fees_free(fees);
	const struct cdr_filter day = { .since_us = 1700000000000000 + DAY_US,
					.until_us = 1700000000000000 + 2 * DAY_US };
	cr_assert_eq(fees_load(ledger, &day, &fees, error), 0, "%s", error);
	cr_assert_eq(fees_count(fees), 1);
	int64_t fee_e8;
	cr_assert(fees_find(fees, fees_at(fees, 0, &fee_e8), &fee_e8) && fee_e8 == 300000000);
	cr_assert_not(fees_find(fees, "none", &fee_e8));
	cr_assert_not(fees_find(NULL, "none", &fee_e8));
	fees_free(fees);
}

Test(sums, an_amount_that_is_none_is_told_and_not_left_out)
{
	const struct cdr_filter any = { 0 };
	const struct cdr_grouping grouping = { .by = CDR_GROUP_all };
	const char *path = store_five();
	struct sums *sums = sums_create();
	char error[CDR_READ_ERROR_BYTES];

	raw_run(path, "UPDATE cdr SET fee = '1,50' WHERE fee = '0.2'");
	cr_assert_eq(cdr_store_sums(path, &any, &grouping, NULL, sums, error), -EBADMSG);
	cr_assert_not_null(strstr(error, "the fee '1,50'"), "%s", error);
	sums_free(sums);
}

Test(sums, what_takes_too_long_is_given_up)
{
	static const _Atomic int64_t past = 1;
	const struct cdr_limits limits = { .give_up_ns = &past };
	const struct cdr_filter any = { .account = "nobody" };
	const struct cdr_grouping grouping = { .by = CDR_GROUP_all };
	const char *path = store_five();
	struct sums *sums = sums_create();
	struct listing l = { 0 };
	char error[CDR_READ_ERROR_BYTES];

	raw_run(path,
		"CREATE TEMP TABLE more AS SELECT * FROM cdr LIMIT 1;"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
		"INSERT INTO cdr SELECT printf('x%031d', i), m.node, m.shard, m.mapping_gateway, m.routing_gateway,"
		"m.account, m.vendor_account, '', '', '', '', '', '', '', '', i, 0, 0, 0, 0, 0, 0, '', '', 0, 0, '[]',"
		"'', 0, 0, 0, '', '', '', '', 0 FROM n, more AS m");
	cr_assert_eq(cdr_store_sums(path, &any, &grouping, &limits, sums, error), -ETIMEDOUT);
	cr_assert_str_eq(error, "it takes too long");
	cr_assert_eq(cdr_store_list(path, &any, &limits, NULL, &l, error), -ETIMEDOUT);
	sums_free(sums);
}

Test(sums, groups_have_names)
{
	for (int i = 0; i < CDR_GROUP_COUNT; i++)
		cr_assert_eq(cdr_group_find(cdr_group_name((enum cdr_group)i)), i);
	cr_assert_eq(cdr_group_find("colour"), -1);
}
