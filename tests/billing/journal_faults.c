/* The journal's promise on a disk that fails, tears and forgets: for each seed some starts of a node, each with faults
 * of its own and an end of its own (the process dies in the middle of a request, or the machine does, or neither).
 *
 * Whatever happened, the next start reads every record whose sync returned 0, in order, exactly once and unchanged; of
 * the others it reads some, and those it does not read never come back.  A reader that follows sees the same.  Then
 * some bytes are damaged: all other records are still read, and the damage is told.
 *
 * A plain program, so that it runs under the sanitizers.  journal_faults [SEEDS [FIRST]] */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/journal.h"
#include "billing/journal_format.h"
#include "tests/billing/memory_disk.h"

static struct journal_loans loans;

#define SEGMENT (4 * RECORD_BYTES_MAX)
#define STARTS  6
#define ID      UINT64_C(0x6a6f75726e616c21)

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "seed %" PRIu64 ", line %d: %s\n", seed, __LINE__, #condition);                \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static uint64_t seed;

/* ---- the model ---- */

struct made {
	uint64_t serial; /* unique */
	uint16_t lane, boot;
	enum record_kind kind;
	size_t size;
	bool promised;             /* a sync of it returned 0, or a start has read it */
	bool spared;               /* in segments that may have been dropped */
	journal_position position; /* where the reader saw it */
};

struct world {
	uint64_t random;
	struct memory_disk *disk;
	struct journal *journal;
	struct journal_reader *reader;
	struct made *made;
	size_t made_count, made_room;
	size_t scanned;       /* of `made`, by the scan under way */
	size_t read;          /* by the reader */
	bool faulty, limited; /* something may fail */
	bool damaged;         /* bytes were damaged on purpose, and this record is in them: */
	uint64_t damaged_serial;
	unsigned damages;
	uint64_t serials;
};

/* What the runs have met, to see that they meet it. */
static struct {
	uint64_t records, lost, failed_syncs, rewritten, full, torn_tails, damages, refused, dropped;
} seen;

static uint64_t draw(struct world *w)
{
	uint64_t x = w->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

static void fill(uint8_t *to, size_t size, uint64_t serial)
{
	uint64_t x = serial * UINT64_C(0x9e3779b97f4a7c15) ^ seed;

	for (size_t i = 0; i < size; i++) {
		if (i % 8 == 0)
			x = (x ^ x >> 29) * UINT64_C(0xd6e8feb86659fd93);
		to[i] = (uint8_t)(x >> 8 * (i % 8));
	}
	if (serial % 5 == 0) /* records end in zeroes too */
		memset(to + size / 2, 0, size - size / 2);
}

static bool is_made(const struct made *m, const struct journal_record *record)
{
	static uint8_t bytes[RECORD_BYTES_MAX];

	if (m->serial != record->serial)
		return false;
	fill(bytes, m->size, m->serial);
	REQUIRE(m->lane == record->lane && m->boot == record->boot && m->kind == record->kind);
	REQUIRE(m->size == record->size && memcmp(bytes, record->at, m->size) == 0);
	return true;
}

/* ---- reading ---- */

static int take_scanned(void *context, const struct journal_record *record)
{
	struct world *w = context;

	REQUIRE(record->position % 8 == 0 && record->next > record->position);
	while (w->scanned < w->made_count && !is_made(&w->made[w->scanned], record)) {
		const struct made *m = &w->made[w->scanned];

		REQUIRE(!m->promised || m->spared || (w->damaged && m->serial == w->damaged_serial));
		if (w->damaged)
			w->scanned++; /* kept for what is checked later */
		else {
			seen.lost++;
			w->made_count--;
			memmove(&w->made[w->scanned], &w->made[w->scanned + 1],
				(w->made_count - w->scanned) * sizeof(*w->made));
		}
	}
	REQUIRE(w->scanned < w->made_count); /* it was made, and not told yet, and not lost before */
	w->made[w->scanned].position = record->position;
	w->scanned++;
	return 0;
}

static void take_damage(void *context, const struct journal_damage *damage)
{
	struct world *w = context;

	REQUIRE(damage->from < damage->to);
	REQUIRE(damage->tail || w->damaged);
	seen.torn_tails += damage->tail;
	for (size_t i = 0; w->damaged && i < w->made_count; i++) {
		const struct made *m = &w->made[i];

		if (m->serial != w->damaged_serial)
			continue;
		if (damage->from <= m->position && damage->to > m->position) {
			w->damages++;
			REQUIRE(!damage->tail);
		}
	}
}

static int open_journal(struct world *w, uint16_t boot)
{
	const struct journal_settings settings = { .disk = memory_disk_interface(w->disk),
						   .segment_bytes = SEGMENT,
						   .boot = boot,
						   .now_ns = 1,
						   .new_id = ID };
	const struct journal_scan scan = { .context = w, .record = take_scanned, .damage = take_damage };
	char error[JOURNAL_ERROR_BYTES] = "";

	w->scanned = 0;
	const int r = journal_open(&settings, &scan, &w->journal, error);
	REQUIRE(r == 0 || (error[0] != '\0' && memory_disk_open_files(w->disk) == 0));
	return r;
}

/* What was not read is gone; what was read counts from now on. */
static void settle(struct world *w)
{
	for (size_t i = w->scanned; i < w->made_count; i++) {
		REQUIRE(!w->made[i].promised || w->made[i].spared);
		seen.lost++;
	}
	w->made_count = w->scanned;
	for (size_t i = 0; i < w->made_count; i++)
		w->made[i].promised = true;
	journal_check(w->journal);
	REQUIRE(journal_id(w->journal) == ID);
}

static void check_loans(struct world *w)
{
	static uint8_t bytes[RECORD_BYTES_MAX];
	size_t size;

	for (int i = 0; i < 5 && w->made_count > 0; i++) {
		const struct made *m = &w->made[draw(w) % w->made_count];
		const uint8_t *at = journal_lend(w->journal, m->position, &loans, &size);

		fill(bytes, m->size, m->serial);
		REQUIRE(at != NULL && size == m->size && memcmp(at, bytes, size) == 0);
	}
	if (draw(w) % 2 == 0)
		journal_take_back(&loans);
	if (draw(w) % 2 == 0)
		journal_forget_scanned(w->journal);
}

/* ---- a run ---- */

static void follow(struct world *w, uint64_t most)
{
	struct journal_record record;
	int r = 1;

	while (most-- > 0 && (r = journal_reader_next(w->reader, &record)) != 0) {
		if (r < 0)
			break;
		REQUIRE(w->read < w->made_count && is_made(&w->made[w->read], &record));
		w->made[w->read++].position = record.position;
		REQUIRE(record.next <= journal_synced(w->journal));
		REQUIRE(journal_reader_position(w->reader) == record.next);
	}
	REQUIRE(r >= 0 || (w->faulty && r != -EBADMSG));
}

static void append(struct world *w)
{
	static uint8_t bytes[RECORD_BYTES_MAX];
	const uint64_t shape = draw(w) % 20;
	struct made m = { .serial = w->serials++, .lane = (uint16_t)(draw(w) % 4), .boot = (uint16_t)(draw(w) % 3) };

	m.kind = (enum record_kind)(RECORD_CDR + draw(w) % 6);
	m.size = shape == 0 ? draw(w) % (RECORD_BYTES_MAX + 1) : shape == 1 ? draw(w) % 9 : draw(w) % 3000;
	fill(bytes, m.size, m.serial);
	const uint64_t room = journal_room(w->journal);
	const int r = journal_append_of(w->journal, m.boot, m.kind, m.lane, m.serial, bytes, m.size);
	REQUIRE(r == 0 || (r == -ENOSPC && room < JOURNAL_FOOTPRINT(m.size)));
	if (r < 0) {
		seen.full++;
		return;
	}
	if (w->made_count == w->made_room) {
		w->made_room = 2 * w->made_room + 64;
		w->made = realloc(w->made, w->made_room * sizeof(*w->made));
	}
	w->made[w->made_count++] = m;
	seen.records++;
}

static void sync(struct world *w)
{
	const bool failed = journal_has_failed(w->journal);
	const int r = journal_sync(w->journal);

	if (r < 0) {
		REQUIRE(w->faulty || w->limited);
		seen.failed_syncs++;
		return;
	}
	seen.rewritten += failed;
	for (size_t i = 0; i < w->made_count; i++)
		w->made[i].promised = true;
}

static void drop(struct world *w)
{
	if (w->read == 0)
		return;
	const size_t kept = draw(w) % w->read;
	const journal_position position = w->made[kept].position;
	const uint64_t bytes = journal_bytes(w->journal);
	const int r = journal_drop_before(w->journal, position, 100, 0);

	REQUIRE(r == 0 || w->faulty);
	seen.dropped += journal_bytes(w->journal) < bytes;
	for (size_t i = 0; i < kept; i++)
		w->made[i].spared = true;
}

static void step(struct world *w)
{
	switch (draw(w) % 16) {
	case 0 ... 3:
		sync(w);
		break;
	case 4:
		follow(w, draw(w) % 20);
		break;
	case 5:
		if (draw(w) % 4 == 0)
			drop(w);
		break;
	case 6: {
		const int r = journal_reserve(w->journal);
		REQUIRE(r == 0 || w->faulty || w->limited);
		break;
	}
	default:
		append(w);
	}
	journal_check(w->journal);
}

static void choose_faults(struct world *w)
{
	const struct memory_faults rare = {
		.write_eio = 300, .sync_eio = 300, .create_eio = 500, .create_full = 1000, .remove_eio = 1000
	};
	const struct memory_faults often = { .write_eio = 3000, .sync_eio = 2000, .create_full = 3000 };
	const uint64_t kind = draw(w) % 8;

	w->faulty = w->limited = false;
	if (kind == 0 || kind == 1) {
		memory_disk_set_faults(w->disk, kind == 0 ? rare : often);
		w->faulty = true;
	} else if (kind == 2) {
		memory_disk_limit(w->disk, SEGMENT * (4 + draw(w) % 6));
		w->limited = true;
	} else if (kind == 3) {
		memory_disk_set_faults(w->disk, (struct memory_faults){ .read_eio = 500, .open_eio = 500 });
		w->faulty = true;
	}
	if (draw(w) % 2 == 0) {
		memory_disk_die(w->disk, 1 + draw(w) % 40);
		w->faulty = true;
	}
}

static void crash(struct world *w)
{
	const bool machine = draw(w) % 2 == 0;

	journal_reader_close(w->reader);
	journal_close(w->journal);
	w->reader = NULL;
	w->journal = NULL;
	REQUIRE(memory_disk_open_files(w->disk) == 0);
	memory_disk_crash(w->disk, machine);
	memory_disk_limit(w->disk, 0);
	w->faulty = w->limited = false;
}

/* Reading is never made to fail while the journal is opened: what cannot be read then is damage, and told as such. */
static void start(struct world *w, uint16_t boot)
{
	if (draw(w) % 4 == 0) { /* it dies while it starts */
		memory_disk_die(w->disk, 1 + draw(w) % 6);
		w->faulty = true;
		if (open_journal(w, boot) == 0)
			settle(w);
		else
			seen.refused++;
		crash(w);
	}
	REQUIRE(open_journal(w, boot) == 0);
	settle(w);
	check_loans(w);
	w->read = 0;
	REQUIRE(journal_reader_open(w->journal, JOURNAL_START, &w->reader) == 0);
}

static void damage_something(struct world *w)
{
	uint8_t bytes[64];
	const size_t index = draw(w) % w->made_count;
	const struct made *m = &w->made[index];
	const size_t footprint = JOURNAL_FOOTPRINT(m->size), at = draw(w) % footprint;
	const size_t size = 1 + draw(w) % (footprint - at < sizeof(bytes) ? footprint - at : sizeof(bytes));
	char name[JOURNAL_NAME_BYTES];

	snprintf(name, sizeof(name), "%010u.journal", journal_segment(m->position));
	memcpy(bytes, memory_disk_bytes(w->disk, name) + journal_offset(m->position) + at, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] ^= (uint8_t)(1 + draw(w) % 255);
	memory_disk_damage(w->disk, name, journal_offset(m->position) + at, bytes, size);
	w->damaged = true;
	w->damaged_serial = m->serial;
	REQUIRE(open_journal(w, 99) == 0);
	for (size_t i = w->scanned; i < w->made_count; i++)
		REQUIRE(w->made[i].serial == w->damaged_serial);
	REQUIRE(w->damages == 1);
	seen.damages++;
	crash(w);
}

static void run(uint64_t with_seed)
{
	struct world w = { .random = with_seed };

	seed = with_seed;
	w.disk = memory_disk_create(draw(&w));
	for (uint16_t boot = 1; boot <= STARTS; boot++) {
		start(&w, boot);
		choose_faults(&w);
		for (uint64_t steps = draw(&w) % 300; steps > 0 && !memory_disk_is_dead(w.disk); steps--)
			step(&w);
		if (!w.faulty && !w.limited) {
			sync(&w);
			follow(&w, UINT64_MAX);
			REQUIRE(w.read == w.made_count);
		}
		crash(&w);
	}
	start(&w, STARTS + 1);
	follow(&w, UINT64_MAX);
	REQUIRE(w.read == w.made_count);
	crash(&w);
	if (w.made_count > 0)
		damage_something(&w);
	memory_disk_free(w.disk);
	free(w.made);
}

int main(int argc, char **argv)
{
	const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	for (uint64_t i = first; i < first + seeds; i++)
		run(i);
	printf("%" PRIu64 " seeds: %" PRIu64 " records, %" PRIu64 " lost that were not synced; %" PRIu64
	       " syncs failed, %" PRIu64 " succeeded after that; %" PRIu64 " found no room; %" PRIu64
	       " torn tails, %" PRIu64 " damages, %" PRIu64 " starts refused, %" PRIu64 " times something dropped\n",
	       seeds, seen.records, seen.lost, seen.failed_syncs, seen.rewritten, seen.full, seen.torn_tails,
	       seen.damages, seen.refused, seen.dropped);
	return seeds >= 300 && (seen.lost == 0 || seen.rewritten == 0 || seen.full == 0 || seen.torn_tails == 0 ||
				seen.damages == 0 || seen.refused == 0 || seen.dropped == 0);
}
