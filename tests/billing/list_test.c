/* Listing CDRs: order, filters, bounds. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/billing/sample.h"
#include "tests/billing/store_steps.h"

static void expect_ids(const char *path, struct cdr_filter filter, const unsigned *numbers, unsigned count)
{
	struct listing l = list(path, filter);

	cr_assert_eq(l.count, count);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(strtoul(l.ids[i] + CDR_ID_SIZE - 8, NULL, 16), numbers[i], "row %u", i);
	json_decref(l.first);
}

#define EXPECT(filter, ...)                                                                                            \
	expect_ids(path, (struct cdr_filter)filter, (const unsigned[]){ __VA_ARGS__ },                                 \
		   sizeof((const unsigned[]){ __VA_ARGS__ }) / sizeof(unsigned))
#define WHERE(...)                                                                                                     \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}

Test(list, spec_3_listing_is_newest_first_and_filtered)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr cdrs[5];

	for (unsigned i = 0; i < 5; i++) {
		cdrs[i] = sample_cdr_at(i, i == 3 ? 1002 : 1000 + i); /* the same time: the larger cdr_id first */
		cdrs[i].account = sample_text(i % 2 == 0 ? "even" : "odd");
		cdrs[i].mapping_gateway = sample_text(i < 3 ? "low" : "high");
		cdrs[i].routing_gateway = sample_text(i == 4 ? "low" : "vendor");
	}
	add_all(store, cdrs, 5);

	EXPECT(WHERE(0), 4, 3, 2, 1, 0);
	EXPECT(WHERE(.limit = 2), 4, 3);
	EXPECT(WHERE(.since_us = 1002), 4, 3, 2);
	EXPECT(WHERE(.account = "odd"), 3, 1);
	EXPECT(WHERE(.account = "", .gateway = ""), 4, 3, 2, 1, 0);
	EXPECT(WHERE(.gateway = "low"), 4, 2, 1, 0);
	EXPECT(WHERE(.gateway = "low", .account = "even", .since_us = 1001), 4, 2);
	EXPECT(WHERE(.gateway = "low", .account = "even", .limit = 1), 4);
	cr_assert_eq(list(path, (struct cdr_filter){ .gateway = "even" }).count, 0);
	cr_assert_eq(list(path, (struct cdr_filter){ .account = "' OR 1 --" }).count, 0);
	cdr_store_close(store);
}

Test(list, each_filter_leaves_what_it_names)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	static const char *const callers[] = { "+49301", "49302", "anonymous", "+50" };
	static const char *const callees[] = { "+1", "+44%_", "4930", "" };
	struct cdr cdrs[4];

	for (unsigned i = 0; i < 4; i++) {
		cdrs[i] = sample_cdr_at(i, 1000 + i);
		cdrs[i].caller_in = sample_text(callers[i]);
		cdrs[i].callee_in = sample_text(callees[i]);
		cdrs[i].hold_ms = 1000 * (int64_t)i;
		cdrs[i].connect_us = i == 0 ? 0 : 2000;
		cdrs[i].end_reason = i == 0 ? CDR_END_no_answer : CDR_END_normal;
	}
	add_all(store, cdrs, 4);
	char ids[4][CDR_ID_SIZE + 1];
	for (unsigned i = 0; i < 4; i++)
		snprintf(ids[i], sizeof(ids[i]), "%.32s", cdrs[i].cdr_id);

	EXPECT(WHERE(.until_us = 1002), 1, 0);
	EXPECT(WHERE(.since_us = 1001, .until_us = 1003), 2, 1);
	EXPECT(WHERE(.until_us = INT64_MAX), 3, 2, 1, 0);
	EXPECT(WHERE(.number = "4930"), 2, 1, 0);
	EXPECT(WHERE(.number = "+4930"), 2, 1, 0);
	EXPECT(WHERE(.number = "+"), 3, 2, 1, 0);
	EXPECT(WHERE(.number = "44%_"), 1);
	EXPECT(WHERE(.number = "anon"), 2);
	EXPECT(WHERE(.end_reason = "no_answer"), 0);
	EXPECT(WHERE(.answered = CDR_ANSWERED_ONLY), 3, 2, 1);
	EXPECT(WHERE(.answered = CDR_ANSWERED_NOT), 0);
	EXPECT(WHERE(.min_hold_ms = 2000), 3, 2);
	EXPECT(WHERE(.cdr_id = ids[2]), 2);
	EXPECT(WHERE(.before = ids[2]), 1, 0);
	EXPECT(WHERE(.before = ids[2], .limit = 1, .answered = CDR_ANSWERED_ONLY), 1);
	EXPECT(WHERE(.since_us = 1001, .until_us = 1004, .account = "customer-a", .gateway = "vendor-b", .number = "50",
		     .end_reason = "normal", .answered = CDR_ANSWERED_ONLY, .min_hold_ms = 3000, .cdr_id = ids[3]),
	       3);
	cr_assert_eq(list(path, (struct cdr_filter){ .number = "44_" }).count, 0, "no pattern");
	cr_assert_eq(list(path, (struct cdr_filter){ .cdr_id = "x" }).count, 0);
	cr_assert_eq(list(path, (struct cdr_filter){ .until_us = 1000 }).count, 0);
	cdr_store_close(store);
}

/* Every bound there can be, also those that 14 hex digits cannot hold. */
Test(list, since_keeps_what_started_at_or_after_it)
{
	static const int64_t starts[] = { 0, 1, 15, 16, INT64_C(1700000000000000), INT64_C(0xffffffffffffff) };
	static const struct {
		int64_t since_us;
		unsigned count;
	} bounds[] = { { INT64_MIN, 6 },
		       { -1, 6 },
		       { 0, 6 },
		       { 1, 5 },
		       { 2, 4 },
		       { 16, 3 },
		       { 17, 2 },
		       { INT64_C(1700000000000000), 2 },
		       { INT64_C(1700000000000001), 1 },
		       { INT64_C(0xffffffffffffff), 1 },
		       { INT64_C(0x100000000000000), 0 },
		       { INT64_MAX, 0 } };
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr cdrs[6];

	for (unsigned i = 0; i < 6; i++)
		cdrs[i] = sample_cdr_at(5 - i, starts[i]);
	add_all(store, cdrs, 6);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct listing l = list(path, (struct cdr_filter){ .since_us = bounds[i].since_us });
		cr_assert_eq(l.count, bounds[i].count, "bound %zu", i);
		json_decref(l.first);
	}
	EXPECT(WHERE(0), 0, 1, 2, 3, 4, 5);
	cdr_store_close(store);
}

Test(list, a_listing_is_bounded)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	const struct cdr cdr = sample_cdr(1);

	add_one(store, &cdr);
	raw_run(path,
		"CREATE TEMP TABLE more AS SELECT * FROM cdr;"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100001)"
		"INSERT INTO cdr SELECT printf('x%031d', i), m.node, m.shard, m.mapping_gateway, m.routing_gateway,"
		"m.account, m.vendor_account, '', '', '', '', '', '', '', '', i, 0, 0, 0, 0, 0, 0, '', '', 0, 0, '[]',"
		"'', 0, 0, 0, '', '', '', '', 0 FROM n, more AS m");
	const struct {
		uint32_t limit, rows;
	} limits[] = { { 0, 100 }, { 101, 101 }, { 100000, 100000 }, { UINT32_MAX, 100000 } };
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct listing l = list(path, (struct cdr_filter){ .limit = limits[i].limit });
		cr_assert_eq(l.count, limits[i].rows);
		json_decref(l.first);
	}
	cdr_store_close(store);
}

Test(list, listing_without_a_database_says_that_there_is_none)
{
	char error[256] = "";

	cr_assert_eq(list_refusal(sample_path("none.db"), error), -ENOENT);
	cr_assert_not_null(strstr(error, "none.db"));
	cr_assert_eq(access(sample_path("none.db"), F_OK), -1, "reading makes no file");
	close(open(sample_path("empty.db"), O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(list_refusal(sample_path("empty.db"), error), -ENOENT);
}
