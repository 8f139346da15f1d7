/* The ledger behind a journal: it catches up before the first call and follows it from then on, and each call is
 * charged once, also by another journal that has the same calls. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "billing/feeder.h"
#include "billing/money.h"
#include "tests/billing/ledger_steps.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

static struct memory_disk *disk;
static struct journal *journal;
static struct sink sink;
static uint64_t serial;

static int no_record(void *context, const struct journal_record *record)
{
	(void)context;
	(void)record;
	return 0;
}

static void open_journal(uint64_t id)
{
	const struct journal_settings settings = {
		.disk = memory_disk_interface(disk), .segment_bytes = 1u << 20, .boot = 1, .machine = 1, .new_id = id
	};
	const struct journal_scan scan = { .record = no_record };
	char error[JOURNAL_ERROR_BYTES] = "";

	cr_assert_eq(journal_open(&settings, &scan, &journal, error), 0, "%s", error);
}

static void set_up(void)
{
	disk = memory_disk_create(1);
	open_journal(99);
	add_account("a");
	add_account("v");
	cr_assert_eq(ledger_sink_create(ledger_path(), &sink), 0);
}

static void tear_down(void)
{
	ledger_sink_free(&sink);
	journal_close(journal);
	memory_disk_free(disk);
}

TestSuite(ledger_journal, .init = set_up, .fini = tear_down);

/* Each costs the customer 2 and us 1. */
static void push(uint64_t first, uint64_t count)
{
	static uint8_t bytes[CDR_BYTES_MAX];

	for (uint64_t n = first; n < first + count; n++) {
		const struct cdr cdr = charged_cdr(n, "a", "2", "v", "1");
		const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));

		cr_assert_eq(journal_append(journal, RECORD_CDR, 0, serial++, bytes, size), 0);
	}
	cr_assert_eq(journal_sync(journal), 0);
}

static void catch_up(void)
{
	char error[SINK_ERROR_BYTES] = "";

	cr_assert_eq(feeder_catch_up(journal, &sink, NULL, error), 0, "%s", error);
}

static void expect_charged(uint64_t calls)
{
	cr_assert_eq(balance_of("a"), -2 * (int64_t)calls * MONEY_ONE, "%lld", (long long)balance_of("a"));
	cr_assert_eq(balance_of("v"), (int64_t)calls * MONEY_ONE);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger"), 2 * (int64_t)calls);
}

Test(ledger_journal, what_a_former_process_left_is_charged_before_the_first_call)
{
	push(0, 100);
	catch_up();
	expect_charged(100);
	catch_up();
	expect_charged(100);
	push(100, 50);
	catch_up();
	expect_charged(150);
}

Test(ledger_journal, calls_that_end_are_charged_by_the_feeder)
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	struct feeder *feeder;
	char error[SINK_ERROR_BYTES] = "";

	push(0, 10);
	catch_up();
	cr_assert_eq(feeder_start(journal, &sink, true, NULL, &feeder, error), 0, "%s", error);
	push(10, 500);
	for (unsigned tries = 0; number_of("SELECT count(*) FROM ledger") < 1020; tries++) {
		cr_assert_lt(tries, 1000, "not within ten seconds");
		nanosleep(&moment, NULL);
	}
	expect_charged(510);
	topup("a", 7 * MONEY_ONE);
	push(510, 1);
	cr_assert_eq(feeder_stop(feeder, 1000), 0);
	cr_assert_eq(balance_of("a"), (7 - 2 * 511) * MONEY_ONE);
	cr_assert_eq(ledger_sum_of("a"), balance_of("a"));
}

/* A journal that was lost and filled again from other records: its positions mean nothing, its calls are known. */
Test(ledger_journal, another_journal_with_the_same_calls_charges_none_again)
{
	push(0, 300);
	catch_up();
	journal_close(journal);
	memory_disk_free(disk);
	disk = memory_disk_create(2);
	open_journal(77);
	push(100, 300);
	catch_up();
	expect_charged(400);
}

static char told[512];

static void note_line(int level, const char *line)
{
	(void)level;
	snprintf(told, sizeof(told), "%s", line);
}

/* Nobody sees it again: who looks for its money has to read of it. */
Test(ledger_journal, a_record_that_cannot_be_charged_is_told)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	const struct cdr bad = charged_cdr(1, "a", "a lot", "v", "1");
	char error[SINK_ERROR_BYTES] = "";

	push(0, 1);
	cr_assert_eq(journal_append(journal, RECORD_CDR, 0, serial++, bytes, cdr_encode(&bad, bytes, sizeof(bytes))),
		     0);
	push(2, 1);
	cr_assert_eq(feeder_catch_up(journal, &sink, note_line, error), 0, "%s", error);
	cr_assert_str_eq(told, "event=cdr_unreadable store=ledger count=1");
	expect_charged(2);
}

/* The ledger is put back from a backup: it goes on from there. */
Test(ledger_journal, an_older_ledger_charges_what_it_has_not_yet)
{
	push(0, 100);
	catch_up();
	raw("DELETE FROM ledger WHERE id > 100; UPDATE applied SET position = 0;"
	    "UPDATE accounts SET balance_e8 = (SELECT coalesce(sum(amount_e8), 0) FROM ledger WHERE account ="
	    " accounts.id)");
	catch_up();
	expect_charged(100);
}
