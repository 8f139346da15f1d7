/* The billing thread and its intake: what was pushed is on the disk of the journal in time and leaves its queue only
 * then, whatever that disk does. */
#include "billing/writer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

#define SEGMENT_BYTES (512U << 10)
#define CAPACITY      (4U << 20)
#define LANES         3
#define LONG_NS       UINT64_C(1000000000000)

static struct memory_disk *disk;
static struct journal *journal;
static struct record_queue *queues[LANES];
static struct intake *intake; /* NULL: a thread has it */

static int no_record(void *context, const struct journal_record *record)
{
	(void)context;
	(void)record;
	return 0;
}

static void set_up(void)
{
	disk = memory_disk_create(1);
	const struct journal_settings settings = { .disk = memory_disk_interface(disk),
						   .segment_bytes = SEGMENT_BYTES,
						   .boot = 1,
						   .machine = 1,
						   .now_ns = 1,
						   .new_id = 99 };
	const struct journal_scan scan = { .record = no_record };
	char error[JOURNAL_ERROR_BYTES] = "";

	cr_assert_eq(journal_open(&settings, &scan, &journal, error), 0, "%s", error);
	for (unsigned i = 0; i < LANES; i++)
		queues[i] = sample_queue(CAPACITY);
}

static void tear_down(void)
{
	intake_free(intake);
	journal_close(journal);
	memory_disk_free(disk);
	for (unsigned i = 0; i < LANES; i++)
		free(queues[i]);
}

TestSuite(intake, .init = set_up, .fini = tear_down);
TestSuite(writer, .init = set_up, .fini = tear_down);

static struct intake_settings intake_settings(void)
{
	return (struct intake_settings){
		.journal = journal, .queues = queues, .queue_count = LANES, .segment_bytes = SEGMENT_BYTES
	};
}

static void make_intake(void)
{
	const struct intake_settings settings = intake_settings();

	cr_assert_eq(intake_create(&settings, &intake), 0);
}

static void push(unsigned lane, uint64_t first, uint64_t count)
{
	for (uint64_t n = first; n < first + count; n++) {
		const struct cdr cdr = sample_cdr(n);
		cr_assert(record_queue_push(queues[lane], &cdr));
	}
}

static void push_kind(unsigned lane, enum record_kind kind, uint64_t number)
{
	uint8_t *at = record_queue_lend(queues[lane], sizeof(number));

	cr_assert_not_null(at);
	memcpy(at, &number, sizeof(number));
	record_queue_publish(queues[lane], kind, sizeof(number));
}

/* The CDRs of the journal from the beginning: 0 .. count - 1, each once and, lane by lane, in the order of serials. */
static void expect_journal(uint64_t count)
{
	static bool seen[100000];
	uint64_t next[LANES] = { 0 }, found = 0;
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct journal_record record;
	struct journal_reader *reader;
	struct cdr cdr;
	int result;

	memset(seen, 0, sizeof(seen));
	cr_assert_eq(journal_reader_open(journal, JOURNAL_START, &reader), 0);
	while ((result = journal_reader_next(reader, &record)) == 1) {
		cr_assert_eq(record.serial, next[record.lane]++);
		if (record.kind != RECORD_CDR)
			continue;
		cr_assert(cdr_decode(record.at, record.size, &cdr, attempts));
		cr_assert_not(seen[sample_number(&cdr)]);
		seen[sample_number(&cdr)] = true;
		found++;
	}
	cr_assert_eq(result, 0);
	journal_reader_close(reader);
	cr_assert_eq(found, count);
	for (uint64_t n = 0; n < count; n++)
		cr_assert(seen[n]);
}

static unsigned records_left, damages_left;

static int count_record(void *context, const struct journal_record *record)
{
	(void)context;
	(void)record;
	records_left++;
	return 0;
}

static void count_damage(void *context, const struct journal_damage *damage)
{
	(void)context;
	cr_assert_not(damage->tail, "it was on the disk");
	damages_left++;
}

/* What the next start finds of `count` records when the first one of the last group, the `nth`, is damaged: all others.
 */
static void expect_damage_costs_one_record(unsigned count, unsigned nth)
{
	const struct journal_settings settings = { .disk = memory_disk_interface(disk),
						   .segment_bytes = SEGMENT_BYTES,
						   .boot = 2,
						   .machine = 1,
						   .new_id = 99 };
	const struct journal_scan scan = { .record = count_record, .damage = count_damage };
	char error[JOURNAL_ERROR_BYTES] = "";
	struct journal_record record;
	struct journal_reader *reader;

	cr_assert_eq(journal_reader_open(journal, JOURNAL_START, &reader), 0);
	for (unsigned i = 0; i <= nth; i++)
		cr_assert_eq(journal_reader_next(reader, &record), 1);
	journal_reader_close(reader);
	memory_disk_damage(disk, memory_disk_name(disk, 0, NULL), (record.position & UINT32_MAX) + 40, "damage", 6);
	journal_close(journal);
	cr_assert_eq(journal_open(&settings, &scan, &journal, error), 0, "%s", error);
	cr_assert_eq(records_left, count - 1, "%u", records_left);
	cr_assert_eq(damages_left, 1);
}

static int turn(void)
{
	const int result = intake_gather(intake);

	if (intake_wants_sync(intake)) {
		const int synced = intake_sync(intake);
		return synced < 0 ? synced : result;
	}
	return result;
}

Test(intake, a_record_leaves_its_queue_when_the_disk_has_it)
{
	make_intake();
	push(0, 0, 100);
	push(2, 100, 50);
	cr_assert_eq(intake_gather(intake), 0);
	cr_assert_eq(record_queue_depth(queues[0]), 100);
	cr_assert_eq(intake_synced(intake, 0), 0);
	cr_assert(intake_wants_sync(intake));
	cr_assert_eq(intake_sync(intake), 0);
	cr_assert_eq(record_queue_depth(queues[0]) + record_queue_depth(queues[2]), 0);
	cr_assert(intake_synced(intake, 0) == 100 && intake_synced(intake, 1) == 0 && intake_synced(intake, 2) == 50);
	cr_assert(intake_has_moved(intake, 0) && !intake_has_moved(intake, 1) && intake_has_moved(intake, 2));
	push(1, 150, 7);
	cr_assert_eq(turn(), 0);
	cr_assert(!intake_has_moved(intake, 0) && intake_has_moved(intake, 1));
	cr_assert_eq(intake_synced_cdrs(intake, 1), 7);
	cr_assert_eq(intake_figures(intake).records, 157);
	cr_assert_eq(intake_figures(intake).syncs, 2);
	expect_journal(157);
}

Test(intake, an_idle_turn_asks_nothing_of_the_disk)
{
	make_intake();
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(intake_gather(intake), 0);
		cr_assert_not(intake_wants_sync(intake));
	}
}

/* Until something says that the last group was on the disk it counts as a tail, which ends at its first gap. */
Test(intake, what_was_synced_last_is_settled_when_nothing_came_for_a_second)
{
	uint64_t now_ns = LONG_NS;

	make_intake();
	push(0, 0, 10);
	cr_assert_eq(turn(), 0);
	push(1, 10, 10);
	cr_assert_eq(turn(), 0);
	const journal_position synced = journal_synced(journal);
	for (int i = 0; i < 10; i++, now_ns += UINT64_C(100000000)) {
		intake_tend(intake, now_ns, JOURNAL_START);
		cr_assert_eq(journal_synced(journal), synced, "not yet");
	}
	intake_tend(intake, now_ns, JOURNAL_START);
	const journal_position settled = journal_synced(journal);
	cr_assert_gt(settled, synced);
	for (int i = 0; i < 100; i++, now_ns += UINT64_C(100000000))
		intake_tend(intake, now_ns, JOURNAL_START);
	cr_assert_eq(journal_synced(journal), settled, "once");
	intake_free(intake);
	intake = NULL;
	expect_damage_costs_one_record(20, 10);
}

Test(intake, what_is_not_idle_is_not_settled)
{
	uint64_t now_ns = LONG_NS;

	make_intake();
	for (uint64_t n = 0; n < 20; n++, now_ns += UINT64_C(900000000)) {
		intake_tend(intake, now_ns, JOURNAL_START);
		push(0, n, 1);
		cr_assert_eq(turn(), 0);
		const journal_position synced = journal_synced(journal);
		intake_tend(intake, now_ns, JOURNAL_START);
		intake_tend(intake, now_ns + UINT64_C(900000000), JOURNAL_START);
		cr_assert_eq(journal_synced(journal), synced);
	}
}

/* As any other sync. */
Test(intake, a_settling_that_fails_refuses_new_calls_and_loses_nothing)
{
	uint64_t now_ns = LONG_NS;

	make_intake();
	push(0, 0, 10);
	cr_assert_eq(turn(), 0);
	memory_disk_set_faults(disk, (struct memory_faults){ .sync_eio = 10000 });
	cr_assert_eq(intake_settle(intake), -EIO);
	cr_assert_not(intake_is_taking(intake));
	cr_assert(intake_figures(intake).failed);
	for (int i = 0; i < 30; i++, now_ns += UINT64_C(100000000))
		intake_tend(intake, now_ns, JOURNAL_START);
	memory_disk_set_faults(disk, (struct memory_faults){ 0 });
	push(1, 10, 10);
	cr_assert_eq(turn(), 0);
	cr_assert_eq(intake_waiting(intake), 0);
	cr_assert_eq(intake_settle(intake), 0);
	expect_journal(20);
}

/* Design, rule 7, and spec 11: what the disk did not confirm is written anew and once. */
Test(intake, a_sync_that_fails_refuses_new_calls_and_loses_nothing)
{
	uint64_t n = 0;

	make_intake();
	cr_assert(intake_is_taking(intake));
	push(0, n, 10);
	n += 10;
	cr_assert_eq(turn(), 0);
	for (int round = 0; round < 5; round++) {
		memory_disk_set_faults(disk, (struct memory_faults){ .write_eio = 5000, .sync_eio = 5000 });
		push((unsigned)round % LANES, n, 20);
		n += 20;
		while (turn() == 0) {
			push(1, n, 1);
			n++;
		}
		const uint64_t waiting = intake_waiting(intake);
		cr_assert_gt(waiting, 0);
		push(2, n, 5);
		n += 5;
		cr_assert_eq(intake_gather(intake), 0, "nothing more until the disk has what it was given");
		memory_disk_set_faults(disk, (struct memory_faults){ 0 });
		cr_assert_eq(turn(), 0);
		cr_assert_eq(turn(), 0);
		cr_assert_eq(intake_waiting(intake), 0);
		cr_assert_not(intake_is_taking(intake), "not before the next start");
		cr_assert(intake_figures(intake).failed);
	}
	expect_journal(n);
}

/* Spec 11, full disk. */
Test(intake, spec_11_a_full_disk_refuses_new_calls_until_there_is_room)
{
	uint64_t n = 0;

	make_intake();
	memory_disk_limit(disk, journal_bytes(journal));
	while (intake_is_taking(intake)) {
		push(0, n, 50);
		n += 50;
		cr_assert_eq(turn(), 0);
		intake_tend(intake, LONG_NS, JOURNAL_START);
	}
	while (turn() == 0) { /* what calls that are up have to say: more than will ever fit */
		push(0, n, 50);
		n += 50;
		intake_tend(intake, LONG_NS, JOURNAL_START);
	}
	cr_assert_gt(intake_waiting(intake), 0);
	cr_assert_not(intake_figures(intake).failed);
	memory_disk_limit(disk, 0);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert(intake_is_taking(intake));
	while (intake_waiting(intake) > 0)
		cr_assert_eq(turn(), 0);
	expect_journal(n);
}

Test(intake, a_turn_takes_so_much_and_the_rest_waits_for_the_next)
{
	const struct journal_settings settings = {
		.disk = memory_disk_interface(disk), .segment_bytes = 32 << 20, .boot = 1, .machine = 1, .new_id = 99
	};
	const struct journal_scan scan = { .record = no_record };
	const uint64_t records = INTAKE_TURN_BYTES / RECORD_BYTES_MAX * 3 / 2;
	char error[JOURNAL_ERROR_BYTES] = "";

	journal_close(journal);
	cr_assert_eq(journal_open(&settings, &scan, &journal, error), 0, "%s", error);
	free(queues[0]);
	queues[0] = sample_queue(32U << 20);
	make_intake();
	for (uint64_t n = 0; n < records; n++) {
		memset(record_queue_lend(queues[0], RECORD_BYTES_MAX), 1, RECORD_BYTES_MAX);
		record_queue_publish(queues[0], RECORD_LIVE, RECORD_BYTES_MAX);
	}
	cr_assert_eq(turn(), 0);
	cr_assert(intake_was_full(intake));
	cr_assert_eq(intake_waiting(intake), records / 3);
	cr_assert_eq(turn(), 0);
	cr_assert_not(intake_was_full(intake));
	cr_assert_eq(intake_waiting(intake), 0);
}

/* ---- checkpoints ---- */

static void checkpoint(unsigned lane, uint64_t number)
{
	push_kind(lane, RECORD_CHECKPOINT_BEGIN, number);
	push_kind(lane, RECORD_LIVE, 0);
	push_kind(lane, RECORD_CHECKPOINT_END, number);
}

/* Fills a segment and the next one's beginning. */
static void fill_segments(unsigned count, uint64_t *n)
{
	const uint64_t until = (journal_synced(journal) >> 32) + count;

	while (journal_synced(journal) >> 32 < until) {
		push(0, *n, 20);
		*n += 20;
		cr_assert_eq(turn(), 0);
	}
}

static uint64_t first_position(void)
{
	struct journal_record record;
	struct journal_reader *reader;

	cr_assert_eq(journal_reader_open(journal, JOURNAL_START, &reader), 0);
	cr_assert_eq(journal_reader_next(reader, &record), 1);
	journal_reader_close(reader);
	return record.position >> 32;
}

Test(intake, what_is_before_a_checkpoint_of_all_lanes_and_in_all_stores_is_dropped)
{
	uint64_t n = 0, now_ns = LONG_NS;

	make_intake();
	cr_assert_eq(intake_checkpoint(intake), 1, "from the beginning");
	fill_segments(3, &n);
	checkpoint(0, 1);
	checkpoint(1, 1);
	cr_assert_eq(turn(), 0);
	const journal_position all = journal_synced(journal);
	intake_tend(intake, now_ns, all);
	now_ns += LONG_NS;
	intake_tend(intake, now_ns, all);
	cr_assert_eq(first_position(), 1, "a lane's is missing");
	cr_assert_eq(intake_figures(intake).checkpoints, 0);

	checkpoint(2, 1);
	cr_assert_eq(turn(), 0);
	cr_assert_eq(intake_figures(intake).checkpoints, 1);
	now_ns += LONG_NS;
	intake_tend(intake, now_ns, (journal_position)2 << 32);
	cr_assert_eq(first_position(), 1, "it has only just been complete");
	now_ns += LONG_NS;
	intake_tend(intake, now_ns, (journal_position)2 << 32);
	cr_assert_eq(first_position(), 2, "a store has not got further");
	now_ns += LONG_NS;
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), all >> 32, "that of the first BEGIN");
}

/* 64 * T1 at its largest: the BYE of a call that has ended may still be on its way. */
Test(intake, a_segment_that_was_just_closed_is_kept_a_while)
{
	uint64_t n = 0, now_ns = LONG_NS;

	make_intake();
	fill_segments(3, &n);
	for (unsigned lane = 0; lane < LANES; lane++)
		checkpoint(lane, 1);
	cr_assert_eq(turn(), 0);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), 1);
	now_ns += UINT64_C(127000000000);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), 1);
	now_ns += UINT64_C(2000000000);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_gt(first_position(), 1);
}

/* A call that ended between BEGIN and its own LIVE has only the old one, and needs it while its BYE is under way. */
Test(intake, what_a_checkpoint_replaces_is_kept_a_while)
{
	uint64_t n = 0, now_ns = LONG_NS;

	make_intake();
	fill_segments(3, &n);
	intake_tend(intake, now_ns, journal_synced(journal));
	now_ns += LONG_NS;
	for (unsigned lane = 0; lane < LANES; lane++)
		checkpoint(lane, 1);
	cr_assert_eq(turn(), 0);
	const journal_position first = journal_synced(journal);
	intake_tend(intake, now_ns, journal_synced(journal));
	now_ns += UINT64_C(127000000000);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), 1);
	fill_segments(3, &n);
	for (unsigned lane = 0; lane < LANES; lane++) /* another one does not make the first younger */
		checkpoint(lane, 2);
	cr_assert_eq(turn(), 0);
	cr_assert_eq(intake_figures(intake).checkpoints, 2);
	now_ns += UINT64_C(2000000000);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), first >> 32);
	now_ns += UINT64_C(127000000000);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), first >> 32);
	now_ns += UINT64_C(2000000000);
	intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_gt(first_position(), first >> 32);
}

Test(intake, a_journal_that_is_held_is_not_cut)
{
	uint64_t n = 0;

	make_intake();
	intake_hold(intake);
	fill_segments(3, &n);
	for (unsigned lane = 0; lane < LANES; lane++)
		checkpoint(lane, 1);
	cr_assert_eq(turn(), 0);
	for (uint64_t now_ns = LONG_NS; now_ns < 4 * LONG_NS; now_ns += LONG_NS)
		intake_tend(intake, now_ns, journal_synced(journal));
	cr_assert_eq(first_position(), 1);
}

Test(intake, the_next_checkpoint_is_wanted_when_the_journal_has_grown_by_two_segments)
{
	uint64_t n = 0;

	make_intake();
	fill_segments(3, &n);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 1, "not before the last one is complete");
	for (unsigned lane = 0; lane < LANES; lane++)
		checkpoint(lane, 1);
	cr_assert_eq(turn(), 0);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 2);
	for (unsigned lane = 0; lane < LANES; lane++)
		checkpoint(lane, 2);
	cr_assert_eq(turn(), 0);
	fill_segments(1, &n);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 2);
	fill_segments(2, &n);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 3);
}

/* A checkpoint of many live calls is not written again and again. */
Test(intake, a_large_checkpoint_is_repeated_only_after_twice_its_size)
{
	uint64_t n = 0;

	make_intake();
	push_kind(0, RECORD_CHECKPOINT_BEGIN, 1);
	fill_segments(3, &n); /* between BEGIN and END */
	push_kind(0, RECORD_CHECKPOINT_END, 1);
	for (unsigned lane = 1; lane < LANES; lane++)
		checkpoint(lane, 1);
	cr_assert_eq(turn(), 0);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 1);
	fill_segments(2, &n);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 1);
	fill_segments(3, &n);
	intake_tend(intake, LONG_NS, JOURNAL_START);
	cr_assert_eq(intake_checkpoint(intake), 2);
}

/* ---- the thread ---- */

static _Atomic unsigned errors_logged, notices_logged, criticals_logged, woken[LANES], times_taken;

static void count_line(int level, const char *line)
{
	(void)line;
	if (level == LOG_ERR)
		errors_logged++;
	if (level == LOG_NOTICE)
		notices_logged++;
	if (level == LOG_CRIT)
		criticals_logged++;
}

static void count_synced(void *context, unsigned lane)
{
	(void)context;
	woken[lane]++;
}

static void count_took(void *context, uint64_t sync_us)
{
	(void)context;
	(void)sync_us;
	times_taken++;
}

static struct billing_writer *start(void)
{
	const struct billing_writer_settings settings = { .intake = intake_settings(),
							  .sync_ms = 20,
							  .log = count_line,
							  .synced = count_synced,
							  .took = count_took };
	struct billing_writer *w;

	cr_assert_eq(billing_writer_start(&settings, &w), 0);
	return w;
}

/* Waits, ten seconds at most, for what another thread does. */
#define WAIT_FOR(condition)                                                                                            \
	do {                                                                                                           \
		int tries = 0;                                                                                         \
		for (; tries < 2000 && !(condition); tries++)                                                          \
			usleep(5000);                                                                                  \
		cr_assert_lt(tries, 2000, "never came: " #condition);                                                  \
	} while (0)

Test(writer, what_is_pushed_is_synced_and_those_who_wait_are_woken)
{
	struct billing_writer *w = start();

	push(1, 0, 100);
	WAIT_FOR(intake_synced(billing_writer_intake(w), 1) == 100);
	WAIT_FOR(woken[1] > 0);
	cr_assert_eq(woken[0], 0);
	cr_assert_eq(record_queue_depth(queues[1]), 0);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	cr_assert_gt(times_taken, 0);
	cr_assert_eq(errors_logged + notices_logged + criticals_logged, 0);
	expect_journal(100);
}

Test(writer, stop_takes_all_that_is_queued)
{
	push(0, 0, 3000);
	push(2, 3000, 3000);
	struct billing_writer *w = start();
	while (billing_writer_stop(w, 2000) != 0) /* more than the spare segments hold at once */
		w = start();
	expect_journal(6000);
}

Test(writer, stop_settles_what_was_synced_last)
{
	struct billing_writer *w = start();

	push(0, 0, 10);
	WAIT_FOR(intake_waiting(billing_writer_intake(w)) == 0);
	push(0, 10, 10);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_damage_costs_one_record(20, 10);
}

Test(writer, a_disk_that_does_not_confirm_is_told_once_and_stop_tells_what_is_left)
{
	struct billing_writer *w = start();

	memory_disk_set_faults(disk, (struct memory_faults){ .sync_eio = 10000 });
	push(0, 0, 10);
	WAIT_FOR(criticals_logged == 1);
	usleep(100000);
	cr_assert_not(intake_is_taking(billing_writer_intake(w)));
	cr_assert_eq(criticals_logged, 1);
	cr_assert_eq(billing_writer_stop(w, 100), 10);
	cr_assert_eq(criticals_logged, 2);
	cr_assert_eq(record_queue_depth(queues[0]), 10);
}

Test(writer, a_disk_that_fails_for_a_while_delays_only)
{
	struct billing_writer *w = start();

	memory_disk_set_faults(disk, (struct memory_faults){ .sync_eio = 10000 });
	push(0, 0, 10);
	WAIT_FOR(criticals_logged == 1);
	push(1, 10, 10);
	memory_disk_set_faults(disk, (struct memory_faults){ 0 });
	WAIT_FOR(intake_waiting(billing_writer_intake(w)) == 0);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	expect_journal(20);
}

Test(writer, a_full_disk_is_told_and_so_is_its_end)
{
	struct billing_writer *w = start();
	uint64_t n = 0;

	memory_disk_limit(disk, 1);
	while (errors_logged == 0) {
		push(0, n, 20);
		n += 20;
		usleep(20000);
	}
	cr_assert_not(intake_is_taking(billing_writer_intake(w)));
	memory_disk_limit(disk, 0);
	WAIT_FOR(notices_logged == 1);
	WAIT_FOR(intake_waiting(billing_writer_intake(w)) == 0);
	cr_assert_eq(billing_writer_stop(w, 0), 0);
	cr_assert_eq(errors_logged, 1);
	cr_assert_eq(criticals_logged, 0);
	expect_journal(n);
}

Test(writer, signals_are_left_to_the_other_threads)
{
	struct billing_writer *w = start();
	sigset_t usr1, pending, mask;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	cr_assert_eq(pthread_sigmask(SIG_BLOCK, &usr1, &mask), 0);
	cr_assert_not(sigismember(&mask, SIGTERM), "the starter's own mask is as it was");
	cr_assert_eq(kill(getpid(), SIGUSR1), 0); /* its default ends the process, in whichever thread */
	push(0, 0, 1);
	WAIT_FOR(intake_synced(billing_writer_intake(w), 0) == 1);
	cr_assert_eq(sigpending(&pending), 0);
	cr_assert(sigismember(&pending, SIGUSR1));
	cr_assert_eq(billing_writer_stop(w, 0), 0);
}
