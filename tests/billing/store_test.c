/* CDRs in SQLite: the table of spec 9, what goes in and how often, and which bytes of a text. */
#include "billing/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/billing/faulty_disk.h"
#include "tests/billing/sample.h"
#include "tests/billing/store_steps.h"

/* ---- the table ---- */

Test(store, spec_9_table_has_exactly_these_columns_in_this_order_and_none_is_null)
{
	const char *path = sample_path("cdr.db");
	cdr_store_close(open_store(path));

	sqlite3 *db = raw_open(path);
	sqlite3_stmt *s;
	size_t i = 0;
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT name, \"notnull\" FROM pragma_table_info('cdr')", -1, &s, NULL), 0);
	for (; sqlite3_step(s) == SQLITE_ROW; i++) {
		cr_assert_lt(i, SPEC_COLUMN_COUNT);
		cr_assert_str_eq((const char *)sqlite3_column_text(s, 0), spec_columns[i]);
		cr_assert_eq(sqlite3_column_int(s, 1), 1, "%s", spec_columns[i]);
	}
	cr_assert_eq(i, SPEC_COLUMN_COUNT);
	sqlite3_finalize(s);
	sqlite3_close(db);
	cr_assert_str_eq(raw_query(path, "PRAGMA journal_mode"), "wal");
	cr_assert_str_eq(raw_query(path, "PRAGMA user_version"), "3");
	cr_assert_str_eq(raw_query(path, "SELECT group_concat(name) FROM pragma_index_list('cdr')"),
			 "sqlite_autoindex_cdr_1");
}

Test(store, only_the_owner_and_the_group_may_read_the_file)
{
	const char *path = sample_path("cdr.db");
	struct stat st;

	umask(0);
	cdr_store_close(open_store(path));
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0640);
}

Test(store, spec_9_a_row_holds_what_the_record_held)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	const struct cdr cdr = sample_cdr(255);

	add_one(store, &cdr);
	struct listing l = list(path, (struct cdr_filter){ 0 });
	cr_assert_eq(l.count, 1);
	cr_assert_str_eq(first_text(&l, "cdr_id"), "060a24181e40ff-0000-000-000000ff");
#define TEXT(name)   cr_assert_str_eq(first_text(&l, #name), cdr.name.at)
#define NUMBER(name) cr_assert_eq(first_integer(&l, #name), (int64_t)cdr.name, #name)
	TEXT(node);
	TEXT(mapping_gateway);
	TEXT(routing_gateway);
	TEXT(account);
	TEXT(vendor_account);
	TEXT(caller_in);
	TEXT(callee_in);
	TEXT(caller_out);
	TEXT(callee_out);
	TEXT(source_address);
	TEXT(destination_address);
	TEXT(call_id_a);
	TEXT(call_id_b);
	TEXT(rate_prefix);
	TEXT(rate);
	TEXT(fee);
	TEXT(cost);
	NUMBER(shard);
	NUMBER(start_us);
	NUMBER(ringing_us);
	NUMBER(connect_us);
	NUMBER(end_us);
	NUMBER(pdd_ms);
	NUMBER(hold_ms);
	NUMBER(billed_s);
	NUMBER(sip_code);
	NUMBER(q850);
	NUMBER(refreshes_sent);
	NUMBER(refreshes_confirmed);
	NUMBER(last_confirmed_us);
	NUMBER(recovered);
#undef NUMBER
#undef TEXT
	cr_assert_str_eq(first_text(&l, "end_side"), "callee");
	cr_assert_str_eq(first_text(&l, "end_reason"), "normal");
	cr_assert_str_eq(first_text(&l, "session_timer"), "a+b");
	char *attempts = json_dumps(json_object_get(l.first, "attempts"), JSON_COMPACT);
	cr_assert_str_eq(attempts, "[{\"gateway\":\"vendor-a\",\"code\":503,\"ms\":120},"
				   "{\"gateway\":\"vendor-b\",\"code\":200,\"ms\":4321}]");
	free(attempts);
	json_decref(l.first);
	cdr_store_close(store);
}

Test(store, spec_9_an_empty_record_has_zeros_and_empty_texts_and_no_null)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr cdr = { 0 };

	memset(cdr.cdr_id, '0', sizeof(cdr.cdr_id));
	add_one(store, &cdr);
	sqlite3 *db = raw_open(path);
	sqlite3_stmt *s;
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT * FROM cdr", -1, &s, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_step(s), SQLITE_ROW);
	for (int i = 0; i < (int)SPEC_COLUMN_COUNT; i++) {
		const int type = sqlite3_column_type(s, i);
		cr_assert(type == SQLITE_INTEGER || type == SQLITE_TEXT, "%s", spec_columns[i]);
	}
	sqlite3_finalize(s);
	sqlite3_close(db);

	struct listing l = list(path, (struct cdr_filter){ 0 });
	cr_assert_str_eq(first_text(&l, "session_timer"), "none");
	cr_assert_str_eq(first_text(&l, "call_id_a"), "");
	cr_assert_eq(json_array_size(json_object_get(l.first, "attempts")), 0);
	cr_assert(json_is_array(json_object_get(l.first, "attempts")));
	json_decref(l.first);
	cdr_store_close(store);
}

Test(store, spec_9_session_timer_names_the_legs_that_had_one)
{
	static const char *const names[] = { "none", "a", "b", "a+b" };
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);

	for (uint8_t bits = 0; bits < 4; bits++) {
		struct cdr cdr = sample_cdr(bits);
		cdr.session_timer = bits;
		add_one(store, &cdr);
		struct listing l = list(path, (struct cdr_filter){ .limit = 1 });
		cr_assert_str_eq(first_text(&l, "session_timer"), names[bits]);
		json_decref(l.first);
	}
	cdr_store_close(store);
}

/* ---- exactly once ---- */

Test(store, a_batch_given_again_adds_nothing_and_changes_nothing)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr cdrs[3] = { sample_cdr(1), sample_cdr(2), sample_cdr(3) };

	add_all(store, cdrs, 2);
	cdrs[0].sip_code = 999;
	add_all(store, cdrs, 3);
	add_all(store, cdrs, 3);
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr"), "3");
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr WHERE sip_code = 200"), "3");
	cdr_store_close(store);
}

/* Rows go to SQLite some at a time: batches of every size around that number are whole, each row with its own values,
 * and what is there already, before the batch or in it, stays. */
Test(store, batches_of_every_size_hold_each_record_once_and_as_it_was)
{
	static const char *const reasons[] = { "normal", "cancelled", "no_route", "rejected", "no_answer" };
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	uint64_t n = 0;

	for (unsigned size = 0; size <= 100; size++) {
		cr_assert_eq(cdr_store_begin(store), 0);
		for (unsigned i = 0; i < size; i++, n++) {
			const struct cdr_attempt attempt = { .gateway = sample_text("g"), .ms = (uint32_t)n };
			struct cdr cdr = sample_cdr(n);
			cdr.sip_code = (uint16_t)(n % 7);
			cdr.end_reason = (uint8_t)(n % 5);
			cdr.account = sample_text(n % 3 == 0 ? "" : "account");
			cdr.attempts = &attempt;
			cdr.attempts_count = n % 2;
			cr_assert_eq(cdr_store_add(store, &cdr), 0);
			cdr.hold_ms = 1;
			if (n % 4 == 0)
				cr_assert_eq(cdr_store_add(store, &cdr), 0);
		}
		cr_assert_eq(cdr_store_commit(store), 0);
	}
	cdr_store_close(store);
	sqlite3 *db = raw_open(path);
	sqlite3_stmt *s;
	cr_assert_eq(sqlite3_prepare_v2(db,
					"SELECT start_us - 1700000000000000, sip_code, end_reason, account, attempts,"
					" hold_ms FROM cdr ORDER BY rowid",
					-1, &s, NULL),
		     SQLITE_OK);
	for (uint64_t i = 0; i < n; i++) {
		char attempts[64] = "[]";
		if (i % 2 == 1)
			snprintf(attempts, sizeof(attempts), "[{\"gateway\":\"g\",\"code\":0,\"ms\":%u}]", (unsigned)i);
		cr_assert_eq(sqlite3_step(s), SQLITE_ROW);
		cr_assert_eq((uint64_t)sqlite3_column_int64(s, 0), i);
		cr_assert_eq((uint64_t)sqlite3_column_int64(s, 1), i % 7);
		cr_assert_str_eq((const char *)sqlite3_column_text(s, 2), reasons[i % 5]);
		cr_assert_str_eq((const char *)sqlite3_column_text(s, 3), i % 3 == 0 ? "" : "account");
		cr_assert_str_eq((const char *)sqlite3_column_text(s, 4), attempts);
		cr_assert_eq(sqlite3_column_int(s, 5), 60000);
	}
	cr_assert_eq(sqlite3_step(s), SQLITE_DONE);
	sqlite3_finalize(s);
	sqlite3_close(db);
}

/* The longest lists there are: 64 names of which every character is escaped. */
Test(store, rfc8259_the_longest_lists_of_attempts_are_stored_whole)
{
	static char name[CDR_GATEWAY_MAX];
	static struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr cdrs[40];

	memset(name, 1, sizeof(name));
	for (size_t i = 0; i < CDR_ATTEMPTS_MAX; i++)
		attempts[i] = (struct cdr_attempt){ { name, sizeof(name) }, UINT16_MAX, UINT32_MAX };
	for (uint64_t i = 0; i < 40; i++) {
		cdrs[i] = sample_cdr(i);
		cdrs[i].attempts = attempts;
		cdrs[i].attempts_count = CDR_ATTEMPTS_MAX;
	}
	add_all(store, cdrs, 40);
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr WHERE json_array_length(attempts) = 64"
					 " AND length(attempts ->> '$[63].gateway') = 192"
					 " AND attempts ->> '$[63].ms' = 4294967295"),
			 "40");
	cdr_store_close(store);
}

Test(store, a_batch_rolled_back_leaves_nothing_and_can_be_given_again)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	const struct cdr cdr = sample_cdr(1);

	cr_assert_eq(cdr_store_begin(store), 0);
	cr_assert_eq(cdr_store_add(store, &cdr), 0);
	cdr_store_rollback(store);
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr"), "0");
	cdr_store_rollback(store); /* harmless without a transaction */
	add_one(store, &cdr);
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr"), "1");
	cdr_store_close(store);
}

Test(store, rows_outlive_closing_and_a_reader_beside_the_writer_sees_whole_batches)
{
	const char *path = sample_path("cdr.db");
	const struct cdr one = sample_cdr(1), two = sample_cdr(2);
	struct cdr_store *store = open_store(path);

	add_one(store, &one);
	cdr_store_close(store);
	store = open_store(path);
	cr_assert_eq(cdr_store_begin(store), 0);
	cr_assert_eq(cdr_store_add(store, &two), 0);
	struct listing l = list(path, (struct cdr_filter){ 0 });
	cr_assert_eq(l.count, 1);
	json_decref(l.first);
	cr_assert_eq(cdr_store_commit(store), 0);
	l = list(path, (struct cdr_filter){ 0 });
	cr_assert_eq(l.count, 2);
	json_decref(l.first);
	cdr_store_close(store);
}

Test(store, a_record_with_values_without_a_name_is_refused_alone)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	struct cdr bad[3] = { sample_cdr(1), sample_cdr(2), sample_cdr(3) };
	const struct cdr good = sample_cdr(4);

	bad[0].end_side = CDR_SIDE_COUNT;
	bad[1].end_reason = CDR_END_REASON_COUNT;
	bad[2].session_timer = 4;
	cr_assert_eq(cdr_store_begin(store), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cdr_store_add(store, &bad[i]), -EINVAL);
	cr_assert_eq(cdr_store_add(store, &good), 0);
	cr_assert_eq(cdr_store_commit(store), 0);
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr"), "1");
	cdr_store_close(store);
}

/* A batch is given to a disk that fails at its first write, then at its second and so on, until one goes through. After
 * each failure the disk is well again and the same batch is given once more: each record is there once. */
static void fail_at_every_write(int code, int expected)
{
	const char *path = sample_path("cdr.db");
	uint64_t n = 1;
	bool failed = true;

	faulty_disk_install();
	struct cdr_store *store = open_store(path);
	for (; failed; n++) {
		struct cdr batch[40];
		int result = cdr_store_begin(store);

		cr_assert_eq(result, 0);
		faulty_disk_fail(n, code);
		for (uint64_t i = 0; i < 40; i++) {
			batch[i] = sample_cdr_of_size(n * 1000 + i, 6000);
			if (result == 0)
				result = cdr_store_add(store, &batch[i]);
		}
		if (result == 0)
			result = cdr_store_commit(store);
		failed = result != 0;
		if (failed) {
			cr_assert_eq(result, expected, "%s", cdr_store_error(store));
			cdr_store_rollback(store);
		}
		faulty_disk_heal();
		add_all(store, batch, 40);
	}
	cr_assert_gt(n, 50, "the disk was written to %d times", (int)n);
	cdr_store_close(store);
	char wanted[32];
	snprintf(wanted, sizeof(wanted), "%d", (int)(n - 1) * 40);
	cr_assert_str_eq(raw_query(path, "SELECT count(DISTINCT cdr_id) FROM cdr"), wanted);
	cr_assert_str_eq(raw_query(path, "SELECT count(*) FROM cdr"), wanted);
	cr_assert_str_eq(raw_query(path, "PRAGMA integrity_check"), "ok");
}

Test(store, spec_11_a_disk_that_is_full_at_any_write_loses_and_doubles_nothing)
{
	fail_at_every_write(SQLITE_FULL, -ENOSPC);
}

Test(store, a_disk_that_fails_at_any_write_loses_and_doubles_nothing)
{
	fail_at_every_write(SQLITE_IOERR_WRITE, -EIO);
}

/* ---- texts from the wire ---- */

Test(store, rfc3629_bytes_that_are_no_utf8_and_nul_are_stored_as_question_marks)
{
	static const struct {
		const char *in;
		size_t size;
		const char *out;
	} texts[] = {
		{ "plain", 5, "plain" },
		{ "a\0b", 3, "a?b" },
		{ "\0", 1, "?" },
		{ "\xff\xfe", 2, "??" },
		{ "J\xc3\xbcrgen", 7, "J\xc3\xbcrgen" },
		{ "J\xfcrgen", 6, "J?rgen" },
		{ "\xe2\x82\xac", 3, "\xe2\x82\xac" },
		{ "\xe2\x82", 2, "??" }, /* cut short */
		{ "\xe2\x82z", 3, "??z" },
		{ "\xc0\xaf", 2, "??" },           /* overlong */
		{ "\xe0\x9f\xbf", 3, "???" },      /* overlong */
		{ "\xf0\x8f\xbf\xbf", 4, "????" }, /* overlong */
		{ "\xed\xa0\x80", 3, "???" },      /* surrogate */
		{ "\xed\x9f\xbf", 3, "\xed\x9f\xbf" },
		{ "\xf0\x9f\x93\x9e", 4, "\xf0\x9f\x93\x9e" },
		{ "\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf" },
		{ "\xf4\x90\x80\x80", 4, "????" }, /* past U+10FFFF */
		{ "\xf0\x9f\x93z", 4, "???z" },
		{ "\x80", 1, "?" },
		{ "\"\\\r\n\t\x01", 6, "\"\\\r\n\t\x01" },
	};
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct cdr cdr = sample_cdr(i);
		const struct cdr_attempt attempt = { .gateway = { texts[i].in, (uint32_t)texts[i].size } };
		cdr.call_id_a = attempt.gateway;
		cdr.attempts = &attempt;
		cdr.attempts_count = 1;
		add_one(store, &cdr);
		struct listing l = list(path, (struct cdr_filter){ .limit = 1 });
		json_t *stored = json_array_get(json_object_get(l.first, "attempts"), 0);
		cr_assert_str_eq(first_text(&l, "call_id_a"), texts[i].out, "text %zu", i);
		cr_assert_str_eq(json_string_value(json_object_get(stored, "gateway")), texts[i].out, "text %zu", i);
		json_decref(l.first);
	}
	cdr_store_close(store);
}

Test(store, random_bytes_in_texts_never_break_the_listing)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	unsigned char noise[CDR_TEXT_MAX + 100];

	srandom(11);
	for (uint64_t n = 0; n < 200; n++) {
		const struct cdr_attempt attempt = { .gateway = { (char *)noise, CDR_GATEWAY_MAX + 50 } };
		struct cdr cdr = sample_cdr(n);
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (unsigned char)random();
		cdr.caller_in = (struct cdr_text){ (char *)noise, (uint32_t)random() % sizeof(noise) };
		cdr.attempts = &attempt;
		cdr.attempts_count = 1;
		add_one(store, &cdr);
		struct listing l = list(path, (struct cdr_filter){ .limit = 1 });
		cr_assert_not_null(first_text(&l, "caller_in"));
		cr_assert_eq(strlen(first_text(&l, "caller_in")),
			     cdr.caller_in.size < CDR_TEXT_MAX ? cdr.caller_in.size : CDR_TEXT_MAX);
		cr_assert(json_is_array(json_object_get(l.first, "attempts")));
		json_decref(l.first);
	}
	cdr_store_close(store);
}

/* The position comes and goes with the rows. */
Test(store, a_position_is_committed_with_its_rows)
{
	const char *path = sample_path("cdr.db");
	struct cdr_store *store = open_store(path);
	const struct cdr one = sample_cdr(1);
	const struct sink_position first = { .journal = UINT64_MAX, .position = UINT64_C(0xfedcba9876543210) };
	const struct sink_position second = { .journal = 1, .position = 2 };
	struct sink_position position;

	cr_assert_eq(cdr_store_position(store, &position), 0);
	cr_assert(position.journal == 0 && position.position == 0);
	cr_assert_eq(cdr_store_begin(store), 0);
	cr_assert_eq(cdr_store_add(store, &one), 0);
	cr_assert_eq(cdr_store_set_position(store, &first), 0);
	cr_assert_eq(cdr_store_commit(store), 0);
	cr_assert_eq(cdr_store_begin(store), 0);
	cr_assert_eq(cdr_store_set_position(store, &second), 0);
	cdr_store_rollback(store);
	cdr_store_close(store);
	store = open_store(path);
	cr_assert_eq(cdr_store_position(store, &position), 0);
	cr_assert(position.journal == first.journal && position.position == first.position);
	cdr_store_close(store);
}
