/* A plain program for the sanitizer set-ups: a node starts on a journal and a queue that another one has left, works a
 * while and ends, again and again, each time with one more allocation granted before the one that fails; all before and
 * after it are granted.  Whatever is refused says -ENOMEM, leaves nothing behind, and is then asked for once more: in
 * the end everything is known that the other node has left, and is in the journal.  The linker puts the functions here
 * before the allocator's (--wrap); what the disk in memory takes does not count. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/recovery.h"
#include "tests/billing/failing_memory.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

static struct journal_loans loans;

#define SEGMENT  (8 * RECORD_BYTES_MAX)
#define MACHINE  7
#define NOW_US   (INT64_C(1700000000) * 1000000)
#define CALLS    3000 /* more than the slots that recovery begins with are for */
#define ENDED    1500 /* of them, long ago */
#define QUEUED   1000
#define CAPACITY (UINT64_C(1) << 18)
#define APPENDED 100 /* more than a megabyte, which is what the journal has for waiting records at first */

static unsigned turn;

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "allocation %u, line %d: %s\n", turn, __LINE__, #condition);                   \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

/* ---- what another node has left ---- */

static size_t live_record(unsigned call, uint8_t *to)
{
	const struct cdr cdr = sample_cdr(call);
	struct record_call_head head = { .bucket = (uint16_t)call, .version = 1 };
	const uint32_t mark = call * 7 + 1;

	memcpy(head.cdr_id, cdr.cdr_id, CDR_ID_SIZE);
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), &mark, sizeof(mark));
	return sizeof(head) + sizeof(mark);
}

static struct journal_settings settings_of(struct memory_disk *d, uint16_t boot)
{
	return (struct journal_settings){
		.disk = quiet_disk(d), .segment_bytes = SEGMENT, .boot = boot, .machine = MACHINE, .new_id = 5
	};
}

static void leave_journal(struct memory_disk *d)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	const struct journal_settings settings = settings_of(d, 1);
	struct journal *j;
	char error[JOURNAL_ERROR_BYTES];
	uint64_t serial = 0;

	REQUIRE(journal_open(&settings, NULL, &j, error) == 0);
	for (unsigned call = 0; call < CALLS - QUEUED; call++) {
		size_t size = live_record(call, bytes);
		REQUIRE(journal_append(j, RECORD_LIVE, 0, serial++, bytes, size) == 0);
		if (call < ENDED) {
			struct cdr cdr = sample_cdr(call);
			cdr.end_us = NOW_US - 10 * RECOVERY_CLOSING_US + call;
			size = cdr_encode(&cdr, bytes, sizeof(bytes));
			REQUIRE(journal_append(j, RECORD_CDR, 0, serial++, bytes, size) == 0);
		}
		REQUIRE(call % 64 || journal_sync(j) == 0);
	}
	struct cdr latest = sample_cdr(CALLS); /* after which the others are long over */
	latest.end_us = NOW_US;
	REQUIRE(journal_append(j, RECORD_CDR, 0, serial, bytes, cdr_encode(&latest, bytes, sizeof(bytes))) == 0);
	REQUIRE(journal_settle(j) == 0);
	journal_close(j);
}

static struct record_queue *leave_queue(void *ring)
{
	uint8_t bytes[256];
	const struct record_queue_owner owner = { .machine = MACHINE, .boot = 1, .lane = 1 };
	struct record_queue *q = record_queue_init(ring, record_queue_header_bytes() + CAPACITY, owner);

	for (unsigned call = CALLS - QUEUED; call < CALLS; call++) {
		const size_t size = live_record(call, bytes);
		uint8_t *at = record_queue_lend(q, size);
		REQUIRE(at != NULL);
		memcpy(at, bytes, size);
		record_queue_publish(q, RECORD_LIVE, size);
	}
	return q;
}

/* ---- a start, and some work ---- */

/* What was refused for want of memory is done with the second time. */
static int again(int result)
{
	REQUIRE(result == 0 || (result == -ENOMEM && memory.asked >= memory.failing && memory.failing > 0));
	return result;
}

static void open_all(struct memory_disk *d, struct recovery **ret_recovery, struct journal **ret_journal)
{
	const struct journal_settings settings = settings_of(d, 2);
	const unsigned open_before = memory_disk_open_files(d);
	char error[JOURNAL_ERROR_BYTES] = "";

	for (;;) {
		const uint64_t live_before = memory.live;
		while (again(recovery_create(ret_recovery)) < 0)
			REQUIRE(memory.live == live_before);
		const struct journal_scan scan = recovery_scan(*ret_recovery);
		const int r = again(journal_open(&settings, &scan, ret_journal, error));
		if (r == 0)
			return;
		recovery_free(*ret_recovery);
		REQUIRE(error[0] != '\0' && memory.live == live_before && memory_disk_open_files(d) == open_before);
	}
}

static void check_calls(const struct recovery *r, struct journal *j)
{
	REQUIRE(recovery_count(r) == CALLS - ENDED);
	for (unsigned i = 0; i < CALLS - ENDED; i++) {
		struct recovered_call call;
		uint32_t mark;

		while (!recovery_call(r, j, i, &loans, &call)) /* no memory to lend it from */
			REQUIRE(memory.asked >= memory.failing && memory.failing > 0);
		REQUIRE(!call.ended && call.live.size == sizeof(mark));
		memcpy(&mark, call.live.at, sizeof(mark));
		REQUIRE(mark == (i + ENDED) * 7 + 1 && call.bucket == (uint16_t)(i + ENDED));
	}
	journal_free_loans(&loans);
}

/* Larger than what is reserved for waiting records, so that there has to be more. */
static void append_some(struct journal *j)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	const struct cdr cdr = sample_cdr_of_size(9, 12000);
	const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));

	REQUIRE(size > 0);
	for (unsigned i = 0; i < APPENDED; i++) {
		while (again(journal_append(j, RECORD_CDR, 0, i, bytes, size)) < 0)
			journal_check(j);
		if (i == 94 || i + 1 == APPENDED)
			REQUIRE(again(journal_sync(j)) == 0 || journal_sync(j) == 0);
		while (again(journal_reserve(j)) < 0)
			journal_check(j);
	}
	journal_check(j);
	REQUIRE(!journal_has_failed(j));
}

static uint64_t read_cdrs(struct journal *j)
{
	struct journal_reader *reader;
	struct journal_record record;
	uint64_t cdrs = 0;

	while (again(journal_reader_open(j, JOURNAL_START, &reader)) < 0)
		;
	for (int r; (r = journal_reader_next(reader, &record)) != 0;) {
		REQUIRE(r == 1 || r == -EBADMSG || again(r) < 0);
		cdrs += r == 1 && record.kind == RECORD_CDR;
	}
	journal_reader_close(reader);
	return cdrs;
}

static void start_and_work(struct memory_disk *d, struct record_queue *q)
{
	const struct record_queue_owner owner = { .machine = MACHINE, .boot = 1, .lane = 1 };
	struct recovery_report report;
	struct recovery *r;
	struct journal *j;
	const uint64_t live_before = memory.live;

	open_all(d, &r, &j);
	while (again(recovery_take_queue(r, j, q, &owner, MACHINE)) < 0)
		;
	while (again(recovery_finish(r, NOW_US, &report)) < 0)
		;
	REQUIRE(report.calls == CALLS - ENDED && report.damaged == 0 && report.unreadable == 0);
	check_calls(r, j);
	append_some(j);
	REQUIRE(read_cdrs(j) == ENDED + 1 + APPENDED);
	recovery_free(r);
	journal_close(j);
	REQUIRE(memory.live == live_before);
}

/* Most of them are copies of what the queue held, one like the other: of those only some fail. */
static unsigned next(unsigned before)
{
	return before < 40 || before + 40 > memory.asked ? before + 1 : before + 9;
}

int main(void)
{
	struct memory_disk *left = memory_disk_create(1);
	const size_t size = record_queue_header_bytes() + CAPACITY;
	void *ring = NULL;

	memory.outside++;
	leave_journal(left);
	REQUIRE(posix_memalign(&ring, 64, size) == 0);
	memset(ring, 0, size);
	struct record_queue *q = leave_queue(ring);
	for (turn = 0; turn == 0 || memory.asked >= turn; turn = next(turn)) { /* 0: nothing fails */
		struct memory_disk *d = memory_disk_copy(left);
		memory.failing = turn;
		memory.asked = 0;
		memory.outside--;
		start_and_work(d, q);
		memory.outside++;
		memory_disk_free(d);
		if (turn == 0)
			printf("%u allocations\n", memory.asked);
	}
	memory_disk_free(left);
	free(ring);
	return turn > 15 ? 0 : 1;
}
