/* Calls over some starts of a node whose disk fails, in which every start ends with a crash: of the process, which
 * leaves the queues, or of the machine, which does not.  What recovery says of each call is compared with a model:
 *
 *   after the process died     every record that was ever pushed counts, also if the start after it died as well
 *   after the machine crashed  every record counts that a sync has confirmed
 *
 * A plain program, so that it runs under the sanitizers.  recovery_faults [SEEDS [FIRST]] */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/recovery.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

static struct journal_loans loans;

#define SEGMENT   (8 * RECORD_BYTES_MAX)
#define STARTS    5
#define LANES     2
#define CALLS_MAX 2000
#define CAPACITY  (UINT64_C(1) << 18)
#define NOW_US    (INT64_C(1700000000) * 1000000)

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "seed %" PRIu64 ", line %d: %s\n", seed, __LINE__, #condition);                \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static uint64_t seed;

/* ---- the model ---- */

struct call {
	uint32_t live, changes[RECORD_CHANGE_PARTS]; /* mark of the latest record; 0: none */
	uint64_t said; /* records of its lane up to its latest one, in this start; 0: it has said nothing */
	bool ended, uncertain;
	uint8_t byes, closed;
};

struct lane {
	void *memory;
	struct record_queue *queue;
	struct record_queue_owner owner;
	uint64_t confirmed; /* so many of its records are on the disk */
};

struct world {
	uint64_t random, machine;
	struct memory_disk *disk;
	struct journal *journal;
	struct recovery *recovery;
	struct lane lanes[LANES];
	struct call calls[CALLS_MAX];
	unsigned call_count;
	uint32_t marks;
	uint16_t boot;
};

static struct {
	uint64_t calls, closing, from_queues, retried, uncertain;
} seen;

static uint64_t draw(struct world *w)
{
	uint64_t x = w->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

/* ---- a shard ---- */

static uint8_t bytes[CDR_BYTES_MAX];

static bool push(struct world *w, unsigned call, enum record_kind kind, size_t size)
{
	struct lane *lane = &w->lanes[call % LANES];
	uint8_t *at = record_queue_lend(lane->queue, size);

	if (at == NULL)
		return false;
	memcpy(at, bytes, size);
	w->calls[call].said = record_queue_pushed(lane->queue) + 1;
	record_queue_publish(lane->queue, kind, size);
	return true;
}

/* Its payload is a mark, and as many bytes as the mark says. */
static size_t call_record(unsigned call, uint8_t part, uint32_t mark)
{
	const struct cdr cdr = sample_cdr(call);
	struct record_call_head head = { .bucket = (uint16_t)call, .part = part, .version = 1 };
	const size_t size = sizeof(mark) + mark * 13 % 900;

	memcpy(head.cdr_id, cdr.cdr_id, CDR_ID_SIZE);
	memset(bytes, (int)(mark & 0xff), sizeof(head) + size);
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), &mark, sizeof(mark));
	return sizeof(head) + size;
}

static void answer(struct world *w, unsigned call)
{
	if (push(w, call, RECORD_LIVE, call_record(call, 0, ++w->marks))) {
		memset(w->calls[call].changes, 0, sizeof(w->calls[call].changes));
		w->calls[call].live = w->marks;
	}
}

static void change(struct world *w, unsigned call)
{
	const uint8_t part = (uint8_t)(draw(w) % RECORD_CHANGE_PARTS);

	if (push(w, call, RECORD_CHANGE, call_record(call, part, ++w->marks)))
		w->calls[call].changes[part] = w->marks;
}

static void end(struct world *w, unsigned call)
{
	static const uint8_t byes[] = { 2, 1, 3 };
	struct cdr cdr = sample_cdr(call);

	cdr.end_side = (uint8_t)(draw(w) % CDR_SIDE_COUNT);
	cdr.end_us = NOW_US;
	if (push(w, call, RECORD_CDR, cdr_encode(&cdr, bytes, sizeof(bytes)))) {
		w->calls[call].ended = true;
		w->calls[call].byes = byes[cdr.end_side];
	}
}

static void close_leg(struct world *w, unsigned call)
{
	const uint8_t leg = (uint8_t)(draw(w) % 2);

	if (push(w, call, RECORD_CLOSED, call_record(call, leg, ++w->marks)))
		w->calls[call].closed |= (uint8_t)(1u << leg);
}

static void work(struct world *w)
{
	const unsigned call = w->call_count > 0 ? (unsigned)(draw(w) % w->call_count) : 0;
	struct call *c = &w->calls[call];

	if (w->call_count == 0 || draw(w) % 5 == 0) {
		if (w->call_count < CALLS_MAX)
			answer(w, w->call_count++);
	} else if (c->live == 0) {
		answer(w, call);
	} else if (c->ended) {
		close_leg(w, call);
	} else {
		switch (draw(w) % 6) {
		case 0:
			answer(w, call); /* a checkpoint */
			break;
		case 1:
		case 2:
			end(w, call);
			break;
		default:
			change(w, call);
		}
	}
}

/* ---- the billing thread ---- */

struct batch {
	struct queue_position position[LANES]; /* up to where records are in the journal */
};

static void begin_batch(struct world *w, struct batch *batch)
{
	for (unsigned i = 0; i < LANES; i++)
		batch->position[i] = record_queue_begin(w->lanes[i].queue);
}

static void collect(struct world *w, struct batch *batch)
{
	struct queued_record record;

	for (uint16_t i = 0; i < LANES; i++) {
		struct queue_position next = batch->position[i];

		while (record_queue_next(w->lanes[i].queue, &next, &record)) {
			if (journal_append(w->journal, record.kind, i, record.serial, record.at, record.size) < 0)
				break;
			batch->position[i] = next;
		}
	}
	if (journal_sync(w->journal) < 0)
		return;
	for (unsigned i = 0; i < LANES; i++) {
		record_queue_release(w->lanes[i].queue, batch->position[i]);
		w->lanes[i].confirmed = batch->position[i].serial;
	}
}

/* ---- what is left ---- */

static void expect_mark(struct recovered_bytes found, uint32_t mark)
{
	uint32_t is;

	REQUIRE((found.at == NULL) == (mark == 0));
	if (mark == 0)
		return;
	REQUIRE(found.version == 1 && found.size == sizeof(mark) + mark * 13 % 900);
	memcpy(&is, found.at, sizeof(is));
	REQUIRE(is == mark);
	for (size_t i = sizeof(mark); i < found.size; i++)
		REQUIRE(found.at[i] == (mark & 0xff));
}

static bool is_left(const struct call *c)
{
	return c->live != 0 && (!c->ended || (c->byes & ~c->closed) != 0);
}

static void compare(struct world *w)
{
	struct recovered_call r;
	uint64_t left = 0, certain = 0;

	for (uint64_t i = 0; i < recovery_count(w->recovery); i++) {
		REQUIRE(recovery_call(w->recovery, w->journal, i, &loans, &r));
		REQUIRE(r.bucket < w->call_count);
		const struct call *c = &w->calls[r.bucket];
		const struct cdr cdr = sample_cdr(r.bucket);

		REQUIRE(memcmp(r.cdr_id, cdr.cdr_id, CDR_ID_SIZE) == 0);
		if (c->uncertain)
			continue;
		certain++;
		REQUIRE(is_left(c));
		expect_mark(r.live, c->live);
		for (unsigned part = 0; part < RECORD_CHANGE_PARTS; part++)
			expect_mark(r.changes[part], c->changes[part]);
		REQUIRE(r.ended == c->ended && r.byes == (c->byes & (uint8_t)~c->closed));
		seen.calls += !r.ended;
		seen.closing += r.ended;
	}
	for (unsigned i = 0; i < w->call_count; i++)
		left += !w->calls[i].uncertain && is_left(&w->calls[i]);
	REQUIRE(left == certain);
}

/* ---- starts and crashes ---- */

static void crash(struct world *w, bool machine)
{
	recovery_free(w->recovery);
	journal_close(w->journal);
	w->recovery = NULL;
	w->journal = NULL;
	memory_disk_crash(w->disk, machine);
	if (!machine)
		return;
	w->machine++;
	for (unsigned i = 0; i < w->call_count; i++) {
		struct call *c = &w->calls[i];

		if (c->said <= w->lanes[i % LANES].confirmed)
			continue;
		seen.uncertain += !c->uncertain;
		c->uncertain = true;
	}
}

/* Journal and queues; whatever fails, the queues stay for another try. */
static int take_over(struct world *w)
{
	const struct journal_settings settings = {
		.disk = memory_disk_interface(w->disk), .segment_bytes = SEGMENT, .boot = ++w->boot, .new_id = 1
	};
	char error[JOURNAL_ERROR_BYTES];
	struct recovery_report report;

	REQUIRE(recovery_create(&w->recovery) == 0);
	const struct journal_scan scan = recovery_scan(w->recovery);
	int r = journal_open(&settings, &scan, &w->journal, error);
	for (unsigned i = 0; r == 0 && i < LANES && w->lanes[i].memory != NULL; i++) {
		struct lane *lane = &w->lanes[i];
		struct record_queue *q =
			record_queue_attach(lane->memory, record_queue_header_bytes() + CAPACITY, &lane->owner);

		REQUIRE(q != NULL);
		r = recovery_take_queue(w->recovery, w->journal, q, &lane->owner, w->machine);
	}
	if (r < 0)
		return r;
	REQUIRE(recovery_finish(w->recovery, NOW_US, &report) == 0);
	REQUIRE(report.damaged == 0 && report.unreadable == 0);
	seen.from_queues += report.from_queues;
	return 0;
}

static void new_queues(struct world *w)
{
	const size_t size = record_queue_header_bytes() + CAPACITY;

	for (uint16_t i = 0; i < LANES; i++) {
		struct lane *lane = &w->lanes[i];

		free(lane->memory);
		REQUIRE(posix_memalign(&lane->memory, 64, size) == 0);
		memset(lane->memory, 0, size);
		lane->owner = (struct record_queue_owner){ .machine = w->machine, .boot = w->boot, .lane = i };
		lane->queue = record_queue_init(lane->memory, size, lane->owner);
		lane->confirmed = 0;
	}
	for (unsigned i = 0; i < w->call_count; i++)
		w->calls[i].said = 0;
}

static void start(struct world *w)
{
	while (draw(w) % 3 == 0) { /* it dies while it starts */
		memory_disk_die(w->disk, 1 + draw(w) % 8);
		const int r = take_over(w);

		REQUIRE(r == 0 || memory_disk_is_dead(w->disk));
		if (!memory_disk_is_dead(w->disk)) /* reading too */
			compare(w);
		seen.retried++;
		crash(w, false);
	}
	REQUIRE(take_over(w) == 0);
	compare(w);
	journal_forget_scanned(w->journal);
	new_queues(w);
}

static void live_on(struct world *w)
{
	const struct memory_faults faults = { .write_eio = 500, .sync_eio = 500, .create_full = 1000 };
	struct batch batch;

	if (draw(w) % 2 == 0)
		memory_disk_set_faults(w->disk, faults);
	if (draw(w) % 2 == 0)
		memory_disk_die(w->disk, 1 + draw(w) % 30);
	begin_batch(w, &batch);
	for (uint64_t steps = draw(w) % 400; steps > 0; steps--) {
		if (draw(w) % 10 != 0)
			work(w);
		else if (draw(w) % 4 != 0)
			collect(w, &batch);
		else
			journal_reserve(w->journal);
	}
}

static void run(uint64_t with_seed)
{
	struct world *w = calloc(1, sizeof(*w));

	seed = with_seed;
	w->random = seed;
	w->machine = 1;
	w->disk = memory_disk_create(draw(w));
	for (unsigned i = 0; i < STARTS; i++) {
		start(w);
		live_on(w);
		crash(w, draw(w) % 3 == 0);
	}
	start(w);
	crash(w, false);
	memory_disk_free(w->disk);
	for (unsigned i = 0; i < LANES; i++)
		free(w->lanes[i].memory);
	free(w);
}

int main(int argc, char **argv)
{
	const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
	const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	for (uint64_t i = first; i < first + seeds; i++)
		run(i);
	printf("%" PRIu64 " seeds: %" PRIu64 " calls went on, %" PRIu64 " had legs to end; %" PRIu64
	       " records only in queues, %" PRIu64 " starts that died, %" PRIu64 " calls uncertain\n",
	       seeds, seen.calls, seen.closing, seen.from_queues, seen.retried, seen.uncertain);
	return seeds >= 100 && (seen.calls == 0 || seen.closing == 0 || seen.from_queues == 0 || seen.retried == 0 ||
				seen.uncertain == 0);
}
