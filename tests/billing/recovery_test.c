/* What is left of calls after a former process: journal and queues put together.  Calls are named by a number, their
 * payloads say which record they are of. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/recovery.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

static struct journal_loans loans;

#define SEGMENT  (32 * RECORD_BYTES_MAX)
#define MACHINE  77
#define NOW_US   (INT64_C(1700000000) * 1000000)
#define CAPACITY (UINT64_C(1) << 20)

/* ---- a node that writes and ends ---- */

struct node {
	struct memory_disk *disk;
	struct journal *journal;
	struct recovery *recovery;
	struct recovery_report report;
	uint64_t serials[4]; /* of each lane */
	uint16_t boot;
};

static void open_node(struct node *n)
{
	const struct journal_settings settings = { .disk = memory_disk_interface(n->disk),
						   .segment_bytes = SEGMENT,
						   .boot = ++n->boot,
						   .machine = MACHINE,
						   .new_id = 5 };
	char error[JOURNAL_ERROR_BYTES];

	cr_assert_eq(recovery_create(&n->recovery), 0);
	const struct journal_scan scan = recovery_scan(n->recovery);
	cr_assert_eq(journal_open(&settings, &scan, &n->journal, error), 0, "%s", error);
	memset(n->serials, 0, sizeof(n->serials));
}

static struct node new_node(void)
{
	struct node n = { .disk = memory_disk_create(1) };

	open_node(&n);
	cr_assert_eq(recovery_finish(n.recovery, NOW_US, &n.report), 0);
	return n;
}

static void close_node(struct node *n)
{
	recovery_free(n->recovery);
	journal_close(n->journal);
	memory_disk_crash(n->disk, true);
}

static void finish(struct node *n)
{
	cr_assert_eq(recovery_finish(n->recovery, NOW_US, &n->report), 0);
}

static void restart(struct node *n)
{
	close_node(n);
	open_node(n);
	finish(n);
}

static void free_node(struct node *n)
{
	close_node(n);
	memory_disk_free(n->disk);
}

/* ---- records ---- */

static size_t call_record(uint8_t *to, unsigned call, uint8_t part, const char *text)
{
	struct record_call_head head = { .bucket = (uint16_t)(call % 4096), .part = part, .version = 3 };
	const struct cdr cdr = sample_cdr(call);

	memcpy(head.cdr_id, cdr.cdr_id, CDR_ID_SIZE);
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), text, strlen(text));
	return sizeof(head) + strlen(text);
}

static size_t cdr_record(uint8_t *to, unsigned call, enum cdr_side side, int64_t end_us)
{
	struct cdr cdr = sample_cdr(call);

	cdr.end_side = (uint8_t)side;
	cdr.end_us = end_us;
	return cdr_encode(&cdr, to, CDR_BYTES_MAX);
}

static void append(struct node *n, uint16_t lane, enum record_kind kind, const uint8_t *at, size_t size)
{
	cr_assert_eq(journal_append(n->journal, kind, lane, n->serials[lane]++, at, size), 0);
	cr_assert_eq(journal_sync(n->journal), 0);
}

static void live(struct node *n, unsigned call, const char *text)
{
	uint8_t bytes[256];

	append(n, (uint16_t)(call % 4), RECORD_LIVE, bytes, call_record(bytes, call, 0, text));
}

static void change(struct node *n, unsigned call, uint8_t part, const char *text)
{
	uint8_t bytes[256];

	append(n, (uint16_t)(call % 4), RECORD_CHANGE, bytes, call_record(bytes, call, part, text));
}

static void closed(struct node *n, unsigned call, uint8_t leg)
{
	uint8_t bytes[256];

	append(n, (uint16_t)(call % 4), RECORD_CLOSED, bytes, call_record(bytes, call, leg, ""));
}

static void ended(struct node *n, unsigned call, enum cdr_side side, int64_t end_us)
{
	static uint8_t bytes[CDR_BYTES_MAX];

	append(n, (uint16_t)(call % 4), RECORD_CDR, bytes, cdr_record(bytes, call, side, end_us));
}

/* ---- what is left ---- */

static bool is_call(const struct recovered_call *c, unsigned call)
{
	const struct cdr cdr = sample_cdr(call);

	return memcmp(c->cdr_id, cdr.cdr_id, CDR_ID_SIZE) == 0;
}

static struct recovered_call expect_call(struct node *n, unsigned call)
{
	struct recovered_call c;

	for (uint64_t i = 0; i < recovery_count(n->recovery); i++) {
		cr_assert(recovery_call(n->recovery, n->journal, i, &loans, &c));
		if (!is_call(&c, call))
			continue;
		cr_assert_eq(c.bucket, call % 4096);
		cr_assert_eq(recovery_bucket(n->recovery, i), c.bucket);
		return c;
	}
	cr_assert_fail("call %u is not there", call);
	return c;
}

static void expect_bytes(struct recovered_bytes bytes, const char *text)
{
	if (text == NULL) {
		cr_assert_null(bytes.at);
		return;
	}
	cr_assert_not_null(bytes.at);
	cr_assert_eq(bytes.size, strlen(text));
	cr_assert_eq(bytes.version, 3);
	cr_assert_eq(memcmp(bytes.at, text, bytes.size), 0);
}

Test(recovery, an_answered_call_is_left_with_its_latest_changes)
{
	struct node n = new_node();

	live(&n, 1, "one");
	live(&n, 2, "two");
	change(&n, 1, 0, "a");
	change(&n, 1, 3, "b");
	change(&n, 1, 0, "c");
	change(&n, 9, 0, "of a call without LIVE");
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 2);
	struct recovered_call c = expect_call(&n, 1);
	cr_assert_not(c.ended);
	expect_bytes(c.live, "one");
	expect_bytes(c.changes[0], "c");
	expect_bytes(c.changes[3], "b");
	expect_bytes(c.changes[1], NULL);
	expect_bytes(expect_call(&n, 2).live, "two");
	cr_assert_eq(n.report.calls, 2);
	cr_assert_eq(n.report.closing, 0);
	cr_assert_eq(n.report.records, 6);
	free_node(&n);
}

/* As a checkpoint does. */
Test(recovery, a_live_record_replaces_all_before_it)
{
	struct node n = new_node();

	live(&n, 1, "old");
	change(&n, 1, 0, "old change");
	live(&n, 1, "new");
	change(&n, 1, 1, "new change");
	restart(&n);
	const struct recovered_call c = expect_call(&n, 1);
	expect_bytes(c.live, "new");
	expect_bytes(c.changes[0], NULL);
	expect_bytes(c.changes[1], "new change");
	free_node(&n);
}

Test(recovery, the_legs_of_the_side_that_did_not_end_a_call_are_to_hear_bye)
{
	static const struct {
		enum cdr_side side;
		uint8_t byes;
	} cases[] = { { CDR_SIDE_CALLER, 2 }, { CDR_SIDE_CALLEE, 1 }, { CDR_SIDE_SWITCH, 3 } };
	struct node n = new_node();

	for (unsigned i = 0; i < 3; i++) {
		live(&n, i, "x");
		ended(&n, i, cases[i].side, NOW_US - 1000000);
	}
	restart(&n);
	cr_assert_eq(n.report.calls, 0);
	cr_assert_eq(n.report.closing, 3);
	cr_assert_eq(n.report.cdrs, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct recovered_call c = expect_call(&n, i);

		cr_assert(c.ended);
		cr_assert_eq(c.byes, cases[i].byes);
		cr_assert_eq(c.ended_us, NOW_US - 1000000);
		expect_bytes(c.live, "x");
	}
	free_node(&n);
}

static void ended_as(struct node *n, unsigned call, enum cdr_side side, enum cdr_end_reason reason, int64_t end_us,
		     bool recovered)
{
	uint8_t bytes[CDR_BYTES_MAX];
	struct cdr cdr = sample_cdr(call);

	cdr.end_side = (uint8_t)side;
	cdr.end_reason = (uint8_t)reason;
	cdr.end_us = end_us;
	cdr.sip_code = 200;
	cdr.recovered = recovered;
	append(n, (uint16_t)(call % 4), RECORD_CDR, bytes, cdr_encode(&cdr, bytes, sizeof(bytes)));
}

/* Its CANCEL crossed the 200: it gets a BYE after its ACK (RFC 3261 15), which may not have come. */
Test(recovery, a_caller_whose_cancel_crossed_the_200_hears_bye)
{
	struct node n = new_node();

	live(&n, 1, "x");
	ended_as(&n, 1, CDR_SIDE_CALLER, CDR_END_cancelled, NOW_US, false);
	restart(&n);
	cr_assert_eq(expect_call(&n, 1).byes, 3);
	free_node(&n);
}

/* A call that a start finds to be over ended while the node was down, or at its last proof of life; that its legs have
 * not heard so may be since a moment ago. */
Test(recovery, a_call_that_a_start_found_over_is_told_by_the_next_one)
{
	struct node n = new_node();

	live(&n, 1, "x");
	ended_as(&n, 1, CDR_SIDE_SWITCH, CDR_END_session_timeout, NOW_US - 10 * RECOVERY_CLOSING_US, true);
	restart(&n);
	cr_assert_eq(expect_call(&n, 1).byes, 3);
	closed(&n, 1, 0);
	closed(&n, 1, 1);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 0);
	free_node(&n);
}

/* answer_after_sync: the 200 was held back, and the call ended meanwhile. */
Test(recovery, a_caller_that_never_had_its_200_hears_no_bye)
{
	static const enum cdr_side sides[] = { CDR_SIDE_CALLER, CDR_SIDE_CALLEE, CDR_SIDE_SWITCH };
	struct node n = new_node();

	for (unsigned i = 0; i < 3; i++) {
		uint8_t bytes[CDR_BYTES_MAX];
		struct cdr cdr = sample_cdr(i);

		live(&n, i, "x");
		cdr.end_side = (uint8_t)sides[i];
		cdr.end_us = NOW_US;
		cdr.connect_us = 0;
		cdr.sip_code = 480;
		append(&n, (uint16_t)(i % 4), RECORD_CDR, bytes, cdr_encode(&cdr, bytes, sizeof(bytes)));
	}
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 2);
	cr_assert_eq(expect_call(&n, 0).byes, 2);
	cr_assert_eq(expect_call(&n, 2).byes, 2);
	free_node(&n);
}

Test(recovery, a_leg_that_is_closed_hears_no_bye)
{
	struct node n = new_node();

	for (unsigned i = 0; i < 3; i++) {
		live(&n, i, "x");
		ended(&n, i, CDR_SIDE_SWITCH, NOW_US);
	}
	closed(&n, 0, 0);
	closed(&n, 1, 1);
	closed(&n, 2, 0);
	closed(&n, 2, 1);
	closed(&n, 3, 1);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 2);
	cr_assert_eq(expect_call(&n, 0).byes, 2);
	cr_assert_eq(expect_call(&n, 1).byes, 1);
	free_node(&n);
}

Test(recovery, a_call_that_was_never_answered_leaves_nothing)
{
	struct node n = new_node();

	ended(&n, 1, CDR_SIDE_SWITCH, NOW_US);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 0);
	cr_assert_eq(n.report.cdrs, 1);
	free_node(&n);
}

/* 64*T1: nobody waits for a BYE any more. */
Test(recovery, a_call_that_ended_long_ago_is_forgotten)
{
	struct node n = new_node();

	live(&n, 1, "x");
	ended(&n, 1, CDR_SIDE_SWITCH, NOW_US - RECOVERY_CLOSING_US - 1);
	live(&n, 2, "x");
	ended(&n, 2, CDR_SIDE_SWITCH, NOW_US - RECOVERY_CLOSING_US);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 1);
	expect_call(&n, 2);
	free_node(&n);
}

Test(recovery, a_call_that_has_ended_does_not_come_back)
{
	struct node n = new_node();

	live(&n, 1, "x");
	ended(&n, 1, CDR_SIDE_CALLER, NOW_US);
	live(&n, 1, "again");
	ended(&n, 1, CDR_SIDE_SWITCH, NOW_US);
	restart(&n);
	const struct recovered_call c = expect_call(&n, 1);
	cr_assert(c.ended);
	cr_assert_eq(c.byes, 2);
	expect_bytes(c.live, "x");
	free_node(&n);
}

Test(recovery, what_cannot_be_understood_is_counted)
{
	struct node n = new_node();
	uint8_t bytes[256] = { 0 };

	append(&n, 0, RECORD_LIVE, bytes, sizeof(struct record_call_head) - 1);
	append(&n, 0, RECORD_CDR, bytes, 100);
	live(&n, 1, "x");
	change(&n, 1, RECORD_CHANGE_PARTS, "a part of a later version");
	append(&n, 0, RECORD_CHECKPOINT_BEGIN, bytes, 8);
	restart(&n);
	cr_assert_eq(n.report.unreadable, 3);
	cr_assert_eq(recovery_count(n.recovery), 1);
	free_node(&n);
}

Test(recovery, many_calls_in_order_of_their_ids_and_in_little_memory)
{
	enum { CALLS = 30000 };
	struct node n = new_node();
	struct recovered_call last, c;

	for (unsigned i = 0; i < CALLS; i++) {
		const unsigned call = i * 7919u % CALLS;
		uint8_t bytes[256];

		cr_assert_eq(journal_append(n.journal, RECORD_LIVE, 0, i, bytes, call_record(bytes, call, 0, "x")), 0);
		if (i % 1000 == 0)
			cr_assert_eq(journal_sync(n.journal), 0);
	}
	cr_assert_eq(journal_sync(n.journal), 0);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), CALLS);
	for (uint64_t i = 0; i < CALLS; i++) {
		cr_assert(recovery_call(n.recovery, n.journal, i, &loans, &c));
		cr_assert(i == 0 || memcmp(last.cdr_id, c.cdr_id, CDR_ID_SIZE) < 0);
		expect_bytes(c.live, "x");
		last = c;
	}
	free_node(&n);
}

/* A journal that holds the records of days, since a store was away: what is over takes no memory. */
Test(recovery, calls_that_are_over_make_room_for_others)
{
	enum { CALLS = 40000 };
	struct node n = new_node();
	static uint8_t bytes[CDR_BYTES_MAX];
	uint64_t serial = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		const int64_t end_us = NOW_US - INT64_C(1000000) * (CALLS - i);

		cr_assert_eq(journal_append(n.journal, RECORD_LIVE, 0, serial++, bytes, call_record(bytes, i, 0, "x")),
			     0);
		cr_assert_eq(journal_append(n.journal, RECORD_CDR, 0, serial++, bytes,
					    cdr_record(bytes, i, CDR_SIDE_SWITCH, end_us)),
			     0);
		if (i % 200 == 0)
			cr_assert_eq(journal_sync(n.journal), 0);
	}
	cr_assert_eq(journal_sync(n.journal), 0);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), RECOVERY_CLOSING_US / 1000000);
	free_node(&n);
}

/* ---- queues ---- */

static struct record_queue *make_queue(uint16_t boot, uint16_t lane)
{
	const size_t size = record_queue_header_bytes() + CAPACITY;
	void *memory = NULL;

	cr_assert_eq(posix_memalign(&memory, 64, size), 0);
	memset(memory, 0, size);
	return record_queue_init(memory, size,
				 (struct record_queue_owner){ .machine = MACHINE, .boot = boot, .lane = lane });
}

static void push(struct record_queue *q, enum record_kind kind, const uint8_t *bytes, size_t size)
{
	uint8_t *at = record_queue_lend(q, size);

	cr_assert_not_null(at);
	memcpy(at, bytes, size);
	record_queue_publish(q, kind, size);
}

/* As the billing thread does: into the journal, and out of the queue only if `release`. */
static void journal_queue(struct node *n, struct record_queue *q, unsigned count, bool release)
{
	struct queue_position position = record_queue_begin(q);
	struct queued_record record;

	for (; count > 0 && record_queue_next(q, &position, &record); count--)
		cr_assert_eq(journal_append(n->journal, record.kind, 1, record.serial, record.at, record.size), 0);
	cr_assert_eq(journal_sync(n->journal), 0);
	if (release)
		record_queue_release(q, position);
}

static void take_queue(struct node *n, struct record_queue *q, uint16_t boot)
{
	const struct record_queue_owner owner = { .machine = MACHINE, .boot = boot, .lane = 1 };

	cr_assert_eq(recovery_take_queue(n->recovery, n->journal, q, &owner, MACHINE), 0);
}

/* LIVE of 1, LIVE of 2, CHANGE of 1, CDR of 2. */
static struct record_queue *full_queue(uint16_t boot)
{
	struct record_queue *q = make_queue(boot, 1);
	static uint8_t bytes[CDR_BYTES_MAX];

	push(q, RECORD_LIVE, bytes, call_record(bytes, 1, 0, "one"));
	push(q, RECORD_LIVE, bytes, call_record(bytes, 2, 0, "two"));
	push(q, RECORD_CHANGE, bytes, call_record(bytes, 1, 2, "changed"));
	push(q, RECORD_CDR, bytes, cdr_record(bytes, 2, CDR_SIDE_CALLER, NOW_US));
	return q;
}

static void expect_full_queue(struct node *n)
{
	const struct recovered_call c = expect_call(n, 1);

	expect_bytes(c.live, "one");
	expect_bytes(c.changes[2], "changed");
	cr_assert_eq(expect_call(n, 2).byes, 2);
	cr_assert_eq(recovery_count(n->recovery), 2);
	cr_assert_eq(n->report.cdrs, 1);
	cr_assert_eq(n->report.records, 4);
}

/* However many of its records were journaled, and released or not, each counts once; and from then on the journal has
 * them all. */
Test(recovery, what_lay_in_a_queue_is_put_behind_the_journal_once)
{
	for (unsigned journaled = 0; journaled <= 4; journaled++)
		for (int release = 0; release < 2; release++) {
			struct node n = new_node();
			struct record_queue *q = full_queue(1);

			journal_queue(&n, q, journaled, release);
			close_node(&n);
			open_node(&n);
			take_queue(&n, q, 1);
			take_queue(&n, q, 1); /* nothing is left of it */
			finish(&n);
			cr_assert_eq(n.report.from_queues, 4 - journaled);
			expect_full_queue(&n);
			free(q);

			restart(&n);
			cr_assert_eq(n.report.from_queues, 0);
			expect_full_queue(&n);
			free_node(&n);
		}
}

/* Serials begin anew with each start: those of the queue keep their own start's number. */
Test(recovery, records_of_the_next_start_are_not_taken_for_those_of_the_queue)
{
	struct node n = new_node();
	struct record_queue *q = full_queue(1);

	close_node(&n);
	open_node(&n);
	take_queue(&n, q, 1);
	finish(&n);
	n.serials[1] = 0;
	live(&n, 5, "five");
	live(&n, 9, "nine");
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), 4);
	expect_bytes(expect_call(&n, 5).live, "five");
	expect_bytes(expect_call(&n, 9).live, "nine");
	free(q);
	free_node(&n);
}

Test(recovery, a_queue_of_another_start_of_the_machine_is_not_believed)
{
	struct node n = new_node();
	struct record_queue *q = full_queue(1);
	const struct record_queue_owner owner = { .machine = MACHINE + 1, .boot = 1, .lane = 1 };

	close_node(&n);
	open_node(&n);
	cr_assert_eq(recovery_take_queue(n.recovery, n.journal, q, &owner, MACHINE), 0);
	cr_assert_eq(recovery_take_queue(n.recovery, n.journal, NULL, NULL, MACHINE), 0);
	finish(&n);
	cr_assert_eq(n.report.queues_refused, 2);
	cr_assert_eq(n.report.records, 0);
	cr_assert_eq(recovery_count(n.recovery), 0);
	free(q);
	free_node(&n);
}

/* What an orderly stop left behind is on the disk: it holds for any start of the machine. */
Test(recovery, a_settled_queue_of_another_start_of_the_machine_is_believed)
{
	struct node n = new_node();
	struct record_queue *q = full_queue(1);
	const struct record_queue_owner owner = { .machine = 0, .boot = 1, .lane = 1 };

	close_node(&n);
	open_node(&n);
	cr_assert_eq(recovery_take_queue(n.recovery, n.journal, q, &owner, MACHINE), 0);
	finish(&n);
	cr_assert_eq(n.report.queues_refused, 0);
	cr_assert_gt(n.report.from_queues, 0);
	free(q);
	free_node(&n);
}

static uint16_t numbered(struct node *n, uint16_t boot)
{
	return recovery_boot(n->recovery, boot);
}

Test(recovery, a_start_is_numbered_behind_all_whose_records_are_there)
{
	struct node n = new_node();
	struct record_queue *q;

	cr_assert_eq(numbered(&n, 1), 1);
	cr_assert_eq(numbered(&n, 65535), 65535, "there are no records");
	n.boot = 699;
	restart(&n);
	live(&n, 1, "one");
	close_node(&n);
	open_node(&n);
	cr_assert_eq(numbered(&n, 701), 701);
	cr_assert_eq(numbered(&n, 30000), 30000);
	cr_assert_eq(numbered(&n, 700), 701, "its own serials would count as seen");
	cr_assert_eq(numbered(&n, 1), 701, "its calls may be of any start before");
	/* What lies in a queue alone counts as well. */
	q = full_queue(701);
	take_queue(&n, q, 701);
	cr_assert_eq(numbered(&n, 701), 702);
	cr_assert_eq(numbered(&n, 702), 702);
	free(q);
	free_node(&n);
}

Test(recovery, a_number_that_comes_round_is_passed_over_while_its_records_are_there)
{
	struct node n = new_node();

	live(&n, 1, "of start 1");
	n.boot = UINT16_MAX - 1;
	restart(&n);
	live(&n, 2, "of start 65535");
	n.boot = 0;
	restart(&n);
	cr_assert_eq(numbered(&n, 1), 2);
	cr_assert_eq(numbered(&n, UINT16_MAX), 2);
	cr_assert_eq(numbered(&n, 3), 3);
	free_node(&n);
}

/* The disk refuses: the queue is still needed, and taking it again does no harm. */
Test(recovery, a_queue_that_the_disk_did_not_take_is_taken_again)
{
	struct node n = new_node();
	struct record_queue *q = full_queue(1);
	const struct record_queue_owner owner = { .machine = MACHINE, .boot = 1, .lane = 1 };

	close_node(&n);
	open_node(&n);
	memory_disk_set_faults(n.disk, (struct memory_faults){ .sync_eio = 10000 });
	cr_assert_eq(recovery_take_queue(n.recovery, n.journal, q, &owner, MACHINE), -EIO);
	memory_disk_set_faults(n.disk, (struct memory_faults){ 0 });
	take_queue(&n, q, 1);
	finish(&n);
	expect_full_queue(&n);
	restart(&n);
	expect_full_queue(&n);
	free(q);
	free_node(&n);
}

Test(recovery, damage_and_torn_tails_are_told_apart)
{
	struct node n = new_node();
	uint64_t size;

	live(&n, 1, "one");
	live(&n, 2, "two");
	live(&n, 3, "three");
	const char *name = memory_disk_name(n.disk, 0, &size);
	const uint8_t *bytes = memory_disk_bytes(n.disk, name);
	const uint8_t *second = memmem(bytes, size, "two", 3), *third = memmem(bytes, size, "three", 5);
	close_node(&n);
	memory_disk_damage(n.disk, name, (uint64_t)(second - bytes), "TWO", 3);
	memory_disk_damage(n.disk, name, (uint64_t)(third - bytes), "THREE", 5);
	open_node(&n);
	finish(&n);
	cr_assert_eq(recovery_count(n.recovery), 1);
	expect_call(&n, 1);
	cr_assert_eq(n.report.damaged, 1);
	cr_assert_eq(n.report.damaged_bytes, 32 + 40 + 8);
	cr_assert_eq((uint32_t)n.report.damaged_at, (uint64_t)(second - bytes) - 40 - 32);
	cr_assert_eq(n.report.damaged_at >> 32, 1);
	cr_assert_geq(n.report.torn_bytes, 32 + 40 + 5);
	free_node(&n);
}

/* A page that could be read when the journal was opened, and cannot when its calls are made again: they are left for
 * another start, all others are there; the next start finds the same place damaged. */
Test(recovery, a_page_that_the_disk_cannot_read_keeps_no_other_call_from_coming_back)
{
	enum { CALLS = 60 };
	struct node n = new_node();
	struct recovered_call c;
	unsigned missing = 0;

	for (unsigned i = 0; i < CALLS; i++)
		live(&n, i, "a call");
	cr_assert_eq(journal_settle(n.journal), 0);
	restart(&n);
	cr_assert_eq(recovery_count(n.recovery), CALLS);
	memory_disk_unreadable(n.disk, memory_disk_name(n.disk, 0, NULL), 4096, 4096);
	for (uint64_t i = 0; i < CALLS; i++)
		missing += !recovery_call(n.recovery, n.journal, i, &loans, &c);
	cr_assert(missing > 0 && missing < CALLS / 2, "%u", missing);
	close_node(&n);

	memory_disk_unreadable(n.disk, memory_disk_name(n.disk, 0, NULL), 4096, 4096);
	open_node(&n);
	finish(&n);
	cr_assert_eq(recovery_count(n.recovery), CALLS - missing);
	cr_assert_eq(n.report.records, CALLS - missing);
	cr_assert_eq(n.report.damaged, 1);
	for (uint64_t i = 0; i < CALLS - missing; i++)
		cr_assert(recovery_call(n.recovery, n.journal, i, &loans, &c));
	free_node(&n);
}
