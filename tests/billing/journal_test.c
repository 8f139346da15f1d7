/* The journal on a disk in memory and on a real one.  Records say their own number: record n has serial n, lane n % 3
 * and a payload that follows from n. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/journal.h"
#include "billing/journal_format.h"
#include "tests/billing/memory_disk.h"
#include "tests/billing/sample.h"

static struct journal_loans loans;

#define SEGMENT (4 * RECORD_BYTES_MAX)
#define ID      UINT64_C(0x1122334455667788)

/* ---- records ---- */

static size_t size_of(uint64_t n)
{
	return n % 7 == 3 ? 0 : 10 + n * 37 % 90;
}

static void fill(uint8_t *to, uint64_t n, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(n * 31 + i);
}

static int append_sized(struct journal *j, uint64_t n, size_t size)
{
	static uint8_t bytes[RECORD_BYTES_MAX];

	fill(bytes, n, size);
	return journal_append(j, RECORD_CDR, (uint16_t)(n % 3), n, bytes, size);
}

static void append(struct journal *j, uint64_t n)
{
	cr_assert_eq(append_sized(j, n, size_of(n)), 0);
}

static void append_group(struct journal *j, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++)
		append(j, n);
	cr_assert_eq(journal_sync(j), 0);
}

static void expect_record(const struct journal_record *record, uint64_t n, size_t size)
{
	static uint8_t bytes[RECORD_BYTES_MAX];

	fill(bytes, n, size);
	cr_assert_eq(record->serial, n, "%lu, not %lu", record->serial, n);
	cr_assert_eq(record->kind, RECORD_CDR);
	cr_assert_eq(record->lane, n % 3);
	cr_assert_eq(record->size, size);
	cr_assert_eq(memcmp(record->at, bytes, size), 0);
}

/* ---- opening ---- */

#define SEEN_MAX 4096

struct seen {
	struct journal_record records[SEEN_MAX]; /* without their bytes */
	unsigned count, damages;
	struct journal_damage damage[64];
	int refuse; /* the result of the callback */
};

static int see_record(void *context, const struct journal_record *record)
{
	struct seen *s = context;

	if (s->refuse < 0)
		return s->refuse;
	cr_assert_lt(s->count, SEEN_MAX);
	s->records[s->count++] = *record;
	return 0;
}

static void see_damage(void *context, const struct journal_damage *damage)
{
	struct seen *s = context;

	cr_assert_lt(s->damages, 64);
	s->damage[s->damages++] = *damage;
}

static char error[JOURNAL_ERROR_BYTES];

static int try_open(struct journal_disk disk, uint16_t boot, struct seen *seen, struct journal **ret_journal)
{
	const struct journal_settings settings = { .disk = disk,
						   .segment_bytes = SEGMENT,
						   .boot = boot,
						   .machine = 1,
						   .now_ns = 5,
						   .now_us = 6,
						   .new_id = ID };
	const struct journal_scan scan = { .context = seen, .record = see_record, .damage = see_damage };

	if (seen != NULL)
		seen->count = seen->damages = 0;
	return journal_open(&settings, seen != NULL ? &scan : NULL, ret_journal, error);
}

static struct journal *open_disk(struct journal_disk disk, uint16_t boot, struct seen *seen)
{
	struct journal *j;

	cr_assert_eq(try_open(disk, boot, seen, &j), 0, "%s", error);
	journal_check(j);
	return j;
}

static struct journal *open_memory(struct memory_disk *d, uint16_t boot, struct seen *seen)
{
	return open_disk(memory_disk_interface(d), boot, seen);
}

static void crash(struct memory_disk *d, struct journal *j)
{
	journal_close(j);
	cr_assert_eq(memory_disk_open_files(d), 0);
	memory_disk_crash(d, true);
}

static struct seen *new_seen(void)
{
	return calloc(1, sizeof(struct seen));
}

static void expect_serials(const struct seen *s, uint64_t from, uint64_t to)
{
	cr_assert_eq(s->count, to - from, "%u", s->count);
	for (uint64_t n = from; n < to; n++)
		cr_assert_eq(s->records[n - from].serial, n);
}

/* ---- what it is for ---- */

Test(journal, records_are_read_back_in_order_after_a_restart)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, seen);
	size_t size;

	cr_assert_eq(seen->count, 0);
	cr_assert_eq(journal_id(j), ID);
	append_group(j, 0, 10);
	append_group(j, 10, 11);
	cr_assert_eq(journal_sync(j), 0); /* nothing to do */
	append_group(j, 11, 50);
	crash(d, j);

	j = open_memory(d, 2, seen);
	expect_serials(seen, 0, 50);
	cr_assert_eq(seen->damages, 0);
	for (uint64_t n = 0; n < 50; n++) {
		struct journal_record *record = &seen->records[n];

		cr_assert_eq(record->boot, 1);
		record->at = journal_lend(j, record->position, &loans, &size);
		cr_assert_not_null(record->at);
		cr_assert_eq(size, record->size);
		expect_record(record, n, size_of(n));
	}
	append_group(j, 50, 60);
	crash(d, j);
	j = open_memory(d, 3, seen);
	expect_serials(seen, 0, 60);
	cr_assert_eq(seen->records[59].boot, 2);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, lends_nothing_that_is_no_scanned_record)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);
	size_t size;

	append_group(j, 0, 3);
	cr_assert_null(journal_lend(j, journal_at(1, 2 * JOURNAL_OWN_BYTES), &loans, &size));
	crash(d, j);
	j = open_memory(d, 2, seen);
	const journal_position first = seen->records[0].position;
	const uint8_t *lent = journal_lend(j, first, &loans, &size);
	cr_assert_not_null(lent);
	cr_assert_neq(journal_lend(j, first, &loans, &size), lent);
	journal_take_back(&loans);
	cr_assert_eq(journal_lend(j, first, &loans, &size), lent); /* the room is there again */
	cr_assert_null(journal_lend(j, first + 8, &loans, &size));
	cr_assert_null(journal_lend(j, seen->records[2].next, &loans, &size));
	cr_assert_null(journal_lend(j, journal_at(999, 8), &loans, &size));
	journal_forget_scanned(j);
	memory_disk_damage(d, memory_disk_name(d, 0, NULL), journal_offset(first) + 40, "damage", 6);
	cr_assert_null(journal_lend(j, first, &loans, &size));
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, goes_on_over_many_segments)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);

	for (uint64_t n = 0; n < 60; n++) {
		cr_assert_eq(append_sized(j, n, 40000 + 8 * n), 0);
		if (n % 3 == 2)
			cr_assert_eq(journal_sync(j), 0);
		journal_check(j);
		cr_assert_geq(journal_room(j), SEGMENT / 2);
	}
	cr_assert_eq(journal_sync(j), 0);
	cr_assert_geq(journal_segment(journal_synced(j)), 10);
	cr_assert_eq(journal_bytes(j),
		     (journal_segment(journal_synced(j)) + JOURNAL_SPARE_SEGMENTS) * (uint64_t)SEGMENT);
	crash(d, j);
	j = open_memory(d, 2, seen);
	expect_serials(seen, 0, 60);
	cr_assert_eq(seen->damages, 0);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, takes_the_largest_record_and_the_smallest)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);

	for (uint64_t n = 0; n < 40; n++) {
		cr_assert_eq(append_sized(j, n, n % 2 == 0 ? RECORD_BYTES_MAX : 0), 0);
		cr_assert_eq(journal_sync(j), 0);
	}
	crash(d, j);
	j = open_memory(d, 2, seen);
	expect_serials(seen, 0, 40);
	cr_assert_eq(seen->records[38].size, RECORD_BYTES_MAX);
	cr_assert_eq(seen->records[39].size, 0);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

/* ---- damage ---- */

/* A journal of one segment: three groups of four records; *ret_promise is where the last one begins. */
static struct memory_disk *small_journal(struct seen *seen, bool settled, journal_position *ret_promise,
					 size_t *ret_end)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);

	append_group(j, 0, 4);
	append_group(j, 4, 8);
	*ret_promise = journal_synced(j);
	append_group(j, 8, 12);
	if (settled) {
		cr_assert_eq(journal_settle(j), 0);
		const journal_position synced = journal_synced(j);
		cr_assert_eq(journal_settle(j), 0); /* it says so already */
		cr_assert_eq(journal_synced(j), synced);
	}
	*ret_end = journal_offset(journal_synced(j));
	crash(d, j);
	struct memory_disk *copy = memory_disk_copy(d);
	j = open_memory(copy, 2, seen);
	expect_serials(seen, 0, 12);
	journal_close(j);
	memory_disk_free(copy);
	return d;
}

/* All records but those that begin before `to` and end after `from`. */
static void expect_all_but(const struct seen *whole, const struct seen *s, uint32_t from, uint32_t to)
{
	unsigned at = 0;

	for (unsigned i = 0; i < whole->count; i++) {
		const struct journal_record *record = &whole->records[i];

		if (journal_offset(record->position) < to && journal_offset(record->next) > from)
			continue;
		cr_assert_lt(at, s->count, "flip at %u: record %u is missing", from, i);
		cr_assert_eq(s->records[at].serial, record->serial);
		cr_assert_eq(s->records[at].position, record->position);
		at++;
	}
	cr_assert_eq(at, s->count);
}

Test(journal, a_flip_of_any_bit_loses_one_record_and_is_told, .timeout = 120)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	journal_position promise;
	size_t end;
	struct memory_disk *d = small_journal(whole, true, &promise, &end);
	const char *name = memory_disk_name(d, 0, NULL);

	for (uint32_t at = 0; at < end; at++) {
		struct memory_disk *copy = memory_disk_copy(d);
		const uint8_t flipped = memory_disk_bytes(d, name)[at] ^ (uint8_t)(1u << at % 8);

		memory_disk_damage(copy, name, at, &flipped, 1);
		struct journal *j = open_memory(copy, 2, seen);
		cr_assert_eq(journal_id(j), ID);
		expect_all_but(whole, seen, at, at + 1);
		cr_assert_eq(seen->damages, 1);
		const struct journal_damage *damage = &seen->damage[0];
		cr_assert(journal_offset(damage->from) <= at && at < journal_offset(damage->to));
		cr_assert_leq(damage->to - damage->from, JOURNAL_FOOTPRINT(100));
		cr_assert_eq(damage->tail, at >= end - JOURNAL_OWN_BYTES, "at %u", at);
		journal_close(j);
		memory_disk_free(copy);
	}
	memory_disk_free(d);
	free(whole);
	free(seen);
}

/* The last group, cut at every byte: nothing before it is touched, of it what is whole is read, and no cut is damage.
 */
Test(journal, a_tail_that_is_torn_at_any_byte_is_no_damage, .timeout = 120)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	static const uint8_t zeroes[4096];
	journal_position promise;
	size_t end;
	struct memory_disk *d = small_journal(whole, false, &promise, &end);
	const char *name = memory_disk_name(d, 0, NULL);

	for (size_t cut = journal_offset(promise); cut < end; cut++)
		for (int shorter = 0; shorter < 2; shorter++) {
			struct memory_disk *copy = memory_disk_copy(d);

			if (shorter)
				memory_disk_truncate(copy, name, cut);
			else
				memory_disk_damage(copy, name, cut, zeroes, end - cut);
			struct journal *j = open_memory(copy, 2, seen);
			unsigned expected = 0;
			while (expected < 12 && journal_offset(whole->records[expected].next) <= cut)
				expected++;
			cr_assert_geq(expected, 8);
			/* Its payload may end where only zeroes follow. */
			cr_assert(seen->count == expected || (!shorter && seen->count == expected + 1));
			for (unsigned i = 0; i < seen->damages; i++)
				cr_assert(seen->damage[i].tail);
			append_group(j, 12, 13);
			crash(copy, j);

			j = open_memory(copy, 3, seen); /* and it is not told of again */
			cr_assert_eq(seen->damages, 0);
			cr_assert_eq(seen->records[seen->count - 1].serial, 12);
			journal_close(j);
			memory_disk_free(copy);
		}
	memory_disk_free(d);
	free(whole);
	free(seen);
}

/* The last group is the tail, as long as nothing says that it was on the disk: it counts up to the first gap, and what
 * is behind it does not come back. */
Test(journal, a_tail_counts_up_to_its_first_gap, .timeout = 120)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	journal_position promise;
	size_t end;
	struct memory_disk *d = small_journal(whole, false, &promise, &end);
	const char *name = memory_disk_name(d, 0, NULL);

	for (uint32_t at = journal_offset(promise); at < end; at++) {
		struct memory_disk *copy = memory_disk_copy(d);
		const uint8_t flipped = memory_disk_bytes(d, name)[at] ^ (uint8_t)(1u << at % 8);
		unsigned expected = 0;

		while (expected < 12 && journal_offset(whole->records[expected].next) <= at)
			expected++;
		if (at < journal_offset(promise) + JOURNAL_OWN_BYTES)
			expected = 8; /* nothing says any more that this is a group */
		memory_disk_damage(copy, name, at, &flipped, 1);
		struct journal *j = open_memory(copy, 2, seen);
		expect_serials(seen, 0, expected);
		cr_assert(seen->damages == 1 || seen->damages == 2);
		for (unsigned i = 0; i < seen->damages; i++)
			cr_assert(seen->damage[i].tail);
		append(j, 20);
		cr_assert_eq(journal_settle(j), 0);
		crash(copy, j);

		j = open_memory(copy, 3, seen);
		cr_assert_eq(seen->damages, 0);
		cr_assert_eq(seen->count, expected + 1);
		cr_assert_eq(seen->records[expected].serial, 20);
		journal_close(j);
		memory_disk_free(copy);
	}
	memory_disk_free(d);
	free(whole);
	free(seen);
}

/* Three segments of large records; serials 0 to 9. */
static struct memory_disk *large_journal(struct seen *whole)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);

	for (uint64_t n = 0; n < 10; n++) {
		cr_assert_eq(append_sized(j, n, 60000), 0);
		cr_assert_eq(journal_sync(j), 0);
	}
	crash(d, j);
	j = open_memory(d, 2, whole);
	expect_serials(whole, 0, 10);
	crash(d, j);
	return d;
}

Test(journal, a_segment_that_is_missing_is_damage)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	struct memory_disk *d = large_journal(whole);

	memory_disk_remove(d, memory_disk_name(d, 1, NULL));
	struct journal *j = open_memory(d, 3, seen);
	cr_assert_eq(seen->damages, 1);
	cr_assert_eq(seen->damage[0].from, journal_at(2, 0));
	cr_assert_eq(seen->damage[0].to, journal_at(2, SEGMENT));
	cr_assert_not(seen->damage[0].tail);
	unsigned found = 0;
	for (unsigned i = 0; i < 10; i++)
		if (journal_segment(whole->records[i].position) != 2)
			cr_assert_eq(seen->records[found++].serial, i);
	cr_assert_eq(found, seen->count);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
	free(seen);
}

Test(journal, a_segment_that_was_cut_is_damage_up_to_where_its_records_ended)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	struct memory_disk *d = large_journal(whole);
	const struct journal_record *cut = &whole->records[1];

	cr_assert_eq(journal_segment(cut->position), 1);
	memory_disk_truncate(d, memory_disk_name(d, 0, NULL), journal_offset(cut->position) + 1000);
	struct journal *j = open_memory(d, 3, seen);
	cr_assert_eq(seen->damages, 1);
	cr_assert_leq(seen->damage[0].from, cut->position);
	cr_assert_not(seen->damage[0].tail);
	cr_assert_eq(journal_segment(seen->damage[0].to), 1);
	cr_assert_eq(seen->records[0].serial, 0);
	for (unsigned i = 0; i < 10; i++)
		if (journal_segment(whole->records[i].position) > 1) {
			cr_assert_eq(seen->records[1].serial, i);
			break;
		}
	journal_close(j);
	memory_disk_free(d);
	free(whole);
	free(seen);
}

Test(journal, what_the_disk_cannot_read_is_damage_and_the_rest_is_read)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	struct memory_disk *d = large_journal(whole);
	const struct journal_record *bad = &whole->records[1];

	memory_disk_unreadable(d, memory_disk_name(d, 0, NULL), journal_offset(bad->position) + 8192, 100);
	struct journal *j = open_memory(d, 3, seen);
	cr_assert_eq(seen->damages, 1);
	cr_assert_eq(seen->damage[0].from, bad->position);
	cr_assert_eq(seen->damage[0].to, bad->next);
	cr_assert_eq(seen->count, 9);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
	free(seen);
}

/* ---- what the disk cannot read ---- */

static bool touches(const struct journal_record *record, journal_position from, journal_position to)
{
	return record->position < to && record->next > from;
}

/* Nothing but the records that have bytes between the two positions is missing, and none is there twice. */
static void expect_all_but_those_between(const struct seen *whole, const struct seen *seen, journal_position from,
					 journal_position to)
{
	unsigned found = 0;

	for (unsigned i = 0; i < whole->count; i++)
		if (!touches(&whole->records[i], from, to))
			cr_assert_eq(seen->records[found++].serial, whole->records[i].serial);
	cr_assert_eq(found, seen->count);
}

/* All that was scanned is lent, but for the records that have bytes between the two positions. */
static void expect_lent_but_those_between(struct journal *j, const struct seen *seen, journal_position from,
					  journal_position to)
{
	for (unsigned i = 0; i < seen->count; i++) {
		struct journal_record record = seen->records[i];
		size_t size = 0;

		record.at = journal_lend(j, record.position, &loans, &size);
		cr_assert_eq(record.at == NULL, touches(&record, from, to), "record %u", i);
		if (record.at != NULL)
			expect_record(&record, record.serial, size);
	}
}

/* Each record with bytes between the two positions, in a page, is told as unread, and no other. */
static void expect_told(const struct seen *whole, const struct seen *unlent, journal_position from, journal_position to)
{
	unsigned told = 0;

	for (unsigned i = 0; i < whole->count; i++) {
		if (!touches(&whole->records[i], from, to))
			continue;
		cr_assert_lt(told, unlent->damages);
		cr_assert_eq(unlent->damage[told].from, whole->records[i].position);
		cr_assert_leq(unlent->damage[told].to, whole->records[i].next);
		cr_assert(unlent->damage[told].unread > 0 && unlent->damage[told].unread <= to - from);
		told++;
	}
	cr_assert_eq(told, unlent->damages);
	cr_assert_gt(told, 0);
}

/* The page at `at` of a segment cannot be read: by who lends what was scanned, and by the next start. */
static void lose_a_page(struct memory_disk *d, const struct seen *whole, uint32_t segment, uint32_t at)
{
	const journal_position from = journal_at(segment, at / 4096 * 4096), to = from + 4096;
	const char *name = memory_disk_name(d, segment - 1, NULL);
	struct seen *seen = new_seen(), *unlent = new_seen();
	struct journal *j = open_memory(d, 3, seen);

	expect_serials(seen, 0, whole->count);
	memory_disk_unreadable(d, name, journal_offset(from), 4096);
	expect_lent_but_those_between(j, seen, from, to);
	journal_tell_unlent(j, unlent, see_damage);
	expect_told(whole, unlent, from, to);
	const unsigned told = unlent->damages;
	crash(d, j);

	memory_disk_unreadable(d, name, journal_offset(from), 4096);
	j = open_memory(d, 4, seen);
	expect_all_but_those_between(whole, seen, from, to);
	cr_assert_eq(seen->damages, 1);
	cr_assert(seen->damage[0].from <= journal_at(segment, at) && seen->damage[0].to > journal_at(segment, at));
	cr_assert(seen->damage[0].unread > 0 && seen->damage[0].unread <= 4096);
	cr_assert_not(seen->damage[0].tail);
	expect_lent_but_those_between(j, seen, 0, 0);
	journal_tell_unlent(j, unlent, see_damage);
	cr_assert_eq(unlent->damages, told); /* no more */
	journal_close(j);
	free(seen);
	free(unlent);
}

Test(journal, tells_of_a_segment_that_cannot_be_opened_to_be_lent)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen(), *unlent = new_seen();
	struct journal *j = open_memory(d, 1, NULL);
	size_t size;

	append_group(j, 0, 3);
	crash(d, j);
	j = open_memory(d, 2, seen);
	memory_disk_set_faults(d, (struct memory_faults){ .open_eio = 10000 });
	cr_assert_null(journal_lend(j, seen->records[1].position, &loans, &size));
	memory_disk_set_faults(d, (struct memory_faults){ 0 });
	journal_tell_unlent(j, unlent, see_damage);
	cr_assert_eq(unlent->damages, 1);
	cr_assert_eq(unlent->damage[0].from, seen->records[1].position);
	cr_assert_gt(unlent->damage[0].unread, 0);
	cr_assert_not_null(journal_lend(j, seen->records[1].position, &loans, &size));
	journal_close(j);
	memory_disk_free(d);
	free(seen);
	free(unlent);
}

/* Where each segment begins (its head, too), in the middle of it, and where its records end. */
Test(journal, a_page_that_the_disk_cannot_read_loses_the_records_in_it)
{
	struct seen *whole = new_seen();
	struct memory_disk *d = large_journal(whole);

	for (uint32_t segment = 1; segment <= 3; segment++) {
		const struct journal_record *first = NULL, *last = NULL;

		for (unsigned i = 0; i < whole->count; i++)
			if (journal_segment(whole->records[i].position) == segment) {
				first = first == NULL ? &whole->records[i] : first;
				last = &whole->records[i];
			}
		const uint32_t places[] = { 0, journal_offset(first->next) - 20000, journal_offset(last->next) - 1 };
		for (unsigned i = 0; i < 3; i++) {
			struct memory_disk *copy = memory_disk_copy(d);

			lose_a_page(copy, whole, segment, places[i]);
			memory_disk_free(copy);
		}
	}
	memory_disk_free(d);
	free(whole);
}

/* What was synced last is a tail, of which nothing was promised; that the disk cannot read it is told all the same, and
 * that bytes beside it are merely bad is not taken for it. */
Test(journal, a_tail_that_the_disk_cannot_read_is_told_as_such)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *whole = new_seen(), *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);

	for (uint64_t n = 0; n < 3; n++) {
		cr_assert_eq(append_sized(j, n, 20000), 0);
		cr_assert_eq(journal_sync(j), 0);
	}
	crash(d, j);
	struct memory_disk *copy = memory_disk_copy(d);
	j = open_memory(copy, 2, whole);
	expect_serials(whole, 0, 3);
	crash(copy, j);
	memory_disk_free(copy);

	const char *name = memory_disk_name(d, 0, NULL);
	memory_disk_damage(d, name, journal_offset(whole->records[0].position) + 5000, "damage", 6);
	memory_disk_unreadable(d, name, journal_offset(whole->records[2].next) - 1, 1);
	j = open_memory(d, 2, seen);
	cr_assert_eq(seen->count, 1);
	cr_assert_eq(seen->records[0].serial, 1);
	cr_assert_eq(seen->damages, 2);
	cr_assert(!seen->damage[0].tail && seen->damage[0].unread == 0);
	cr_assert(seen->damage[1].tail && seen->damage[1].unread > 0 && seen->damage[1].unread <= 4096);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
	free(seen);
}

/* The disk reads it another time: what was behind the last record that it could read is not taken for void. */
Test(journal, what_the_disk_could_not_read_at_one_start_is_there_at_the_next)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	journal_position promise;
	size_t end;
	struct memory_disk *d = small_journal(whole, false, &promise, &end);
	uint64_t n = 12;
	struct journal *j;

	memory_disk_unreadable(d, memory_disk_name(d, 0, NULL), 0, end);
	cr_assert_eq(try_open(memory_disk_interface(d), 2, seen, &j), -EIO);
	memory_disk_crash(d, false);
	/* A head of 4 KiB, and all groups behind it. */
	j = open_memory(d, 2, NULL);
	for (; journal_offset(journal_synced(j)) < 20000; n++)
		append_group(j, n, n + 1);
	end = journal_offset(journal_synced(j));
	crash(d, j);
	memory_disk_unreadable(d, memory_disk_name(d, 1, NULL), 4096, end - 4096);
	j = open_memory(d, 3, seen);
	cr_assert(seen->count > 12 && seen->count < n);
	cr_assert_eq(seen->damages, 1);
	append_group(j, n, n + 1);
	crash(d, j);
	j = open_memory(d, 4, seen);
	expect_serials(seen, 0, n + 1);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
	free(seen);
}

/* A sector of zeroes where a segment begins: its later groups say what its head said. */
Test(journal, a_segment_without_its_first_sector_is_read)
{
	struct seen *whole = new_seen(), *seen = new_seen();
	struct memory_disk *d = large_journal(whole);
	static const uint8_t zeroes[512];

	for (unsigned i = 0; i < 3; i++)
		memory_disk_damage(d, memory_disk_name(d, i, NULL), 0, zeroes, sizeof(zeroes));
	struct journal *j = open_memory(d, 3, seen);
	cr_assert_eq(journal_id(j), ID);
	cr_assert_eq(seen->damages, 3);
	unsigned lost = 0;
	for (unsigned i = 0; i < 10; i++)
		lost += journal_offset(whole->records[i].position) < sizeof(zeroes);
	cr_assert_eq(seen->count, 10 - lost);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
	free(seen);
}

Test(journal, garbage_is_no_journal_and_no_obstacle)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal_disk disk = memory_disk_interface(d);
	struct seen *seen = new_seen();
	uint8_t garbage[20000];
	int file;

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)(i * 7 + i / 256);
	cr_assert_eq(disk.create(disk.context, "0000000007.journal", SEGMENT, &file), 0);
	disk.close(disk.context, file);
	cr_assert_eq(disk.create(disk.context, "0000000003.journal", 0, &file), 0);
	disk.close(disk.context, file);
	cr_assert_eq(disk.create(disk.context, "notes.txt", 100, &file), 0);
	disk.close(disk.context, file);
	memory_disk_damage(d, "0000000007.journal", 0, garbage, sizeof(garbage));
	struct journal *j = open_memory(d, 1, seen);
	cr_assert_eq(seen->count, 0);
	cr_assert_eq(seen->damages, 1);
	cr_assert_not(seen->damage[0].tail);
	append_group(j, 0, 5);
	crash(d, j);
	j = open_memory(d, 2, seen);
	expect_serials(seen, 0, 5);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, a_newer_journal_is_refused_and_left_alone)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_facts facts = { .id = ID, .version = JOURNAL_VERSION + 1 };
	uint8_t bytes[JOURNAL_OWN_BYTES];

	append_group(j, 0, 5);
	crash(d, j);
	journal_put_facts(bytes, RECORD_SEGMENT, 1, 0, &facts, journal_at(1, 0));
	memory_disk_damage(d, memory_disk_name(d, 0, NULL), 0, bytes, sizeof(bytes));
	const unsigned files = memory_disk_files(d);
	cr_assert_eq(try_open(memory_disk_interface(d), 2, NULL, &j), -EPROTONOSUPPORT);
	cr_assert_not_null(strstr(error, "newer"));
	cr_assert_eq(memory_disk_files(d), files);
	cr_assert_eq(memory_disk_open_files(d), 0);
	memory_disk_free(d);
}

/* Files of a node that is no more were copied beside this one's.  Whichever has the higher number: neither is made
 * void. */
Test(journal, a_segment_of_another_journal_refuses_the_start_until_it_is_taken_away)
{
	static const char *const aliens[] = { "0000000003.journal", "0000000009.journal" };
	struct memory_disk *d = memory_disk_create(1);
	struct journal_disk disk = memory_disk_interface(d);
	struct seen *seen = new_seen();
	const struct journal_facts facts = { .id = 42, .version = JOURNAL_VERSION };
	uint8_t bytes[JOURNAL_OWN_BYTES];
	int file;

	cr_assert_eq(disk.create(disk.context, "0000000004.journal", SEGMENT, &file), 0);
	disk.close(disk.context, file);
	struct journal *j = open_memory(d, 1, NULL);
	append_group(j, 0, 5);
	crash(d, j);
	for (uint16_t i = 0; i < 2; i++) {
		const uint32_t number = (uint32_t)strtoul(aliens[i], NULL, 10);

		cr_assert_eq(disk.create(disk.context, aliens[i], SEGMENT, &file), 0);
		disk.close(disk.context, file);
		journal_put_facts(bytes, RECORD_SEGMENT, 1, 0, &facts, journal_at(number, 0));
		memory_disk_damage(d, aliens[i], 0, bytes, sizeof(bytes));
		const unsigned files = memory_disk_files(d);
		for (int tries = 0; tries < 2; tries++)
			cr_assert_eq(try_open(disk, 2, seen, &j), -EINVAL);
		cr_assert_not_null(strstr(error, i == 0 ? "segments 3 and 5" : "segments 5 and 9"), "%s", error);
		cr_assert_not_null(strstr(error, "42"), "%s", error);
		cr_assert_not_null(strstr(error, "1234605616436508552"), "%s", error);
		cr_assert_eq(seen->count, 0);
		cr_assert_eq(memory_disk_files(d), files);
		cr_assert_eq(memory_disk_open_files(d), 0);
		memory_disk_remove(d, aliens[i]);
	}
	j = open_memory(d, 3, seen);
	expect_serials(seen, 0, 5);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, a_scan_that_is_ended_ends_the_opening)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);

	append_group(j, 0, 5);
	crash(d, j);
	seen->refuse = -ENOMEM;
	cr_assert_eq(try_open(memory_disk_interface(d), 2, seen, &j), -ENOMEM);
	cr_assert_eq(memory_disk_open_files(d), 0);
	memory_disk_free(d);
	free(seen);
}

/* ---- a disk that is full, or fails ---- */

Test(journal, a_full_disk_leaves_the_room_that_was_reserved)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);
	uint64_t n = 0;

	memory_disk_limit(d, 3 * SEGMENT);
	for (;; n++) {
		const uint64_t room = journal_room(j);
		const int r = append_sized(j, n, 20000);

		if (r < 0) {
			cr_assert_eq(r, -ENOSPC);
			cr_assert_lt(room, 20032);
			break;
		}
		cr_assert_eq(journal_sync(j), 0); /* what was taken always finds its place */
		journal_check(j);
	}
	cr_assert_geq(n * 20032, 3 * (SEGMENT - RECORD_BYTES_MAX - 20032 - 1000));
	cr_assert_eq(journal_reserve(j), -ENOSPC);
	cr_assert_not(journal_has_failed(j));
	memory_disk_limit(d, 5 * SEGMENT);
	cr_assert_eq(journal_reserve(j), 0);
	cr_assert_geq(journal_room(j), SEGMENT);
	cr_assert_eq(append_sized(j, n, 20000), 0);
	cr_assert_eq(journal_sync(j), 0);
	journal_close(j);
	memory_disk_free(d);
}

Test(journal, opens_on_a_disk_with_room_for_one_segment_only)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j;

	memory_disk_limit(d, SEGMENT - 1);
	cr_assert_eq(try_open(memory_disk_interface(d), 1, NULL, &j), -ENOSPC);
	memory_disk_limit(d, SEGMENT);
	j = open_memory(d, 1, NULL);
	cr_assert_lt(journal_room(j), SEGMENT);
	append_group(j, 0, 3);
	journal_close(j);
	memory_disk_free(d);
}

Test(journal, what_a_failed_sync_did_not_confirm_is_written_anew_into_a_fresh_segment)
{
	for (int of_write = 0; of_write < 2; of_write++) {
		struct memory_disk *d = memory_disk_create(3);
		struct seen *seen = new_seen();
		struct journal *j = open_memory(d, 1, NULL);

		append_group(j, 0, 5);
		const journal_position synced = journal_synced(j);
		for (uint64_t n = 5; n < 9; n++)
			append(j, n);
		memory_disk_set_faults(d, of_write ? (struct memory_faults){ .write_eio = 10000 }
						   : (struct memory_faults){ .sync_eio = 10000 });
		cr_assert_eq(journal_sync(j), -EIO);
		cr_assert(journal_has_failed(j));
		cr_assert_eq(journal_synced(j), synced);
		append(j, 9);
		for (int i = 0; i < 5; i++)
			cr_assert_eq(journal_sync(j), -EIO);
		cr_assert_leq(journal_bytes(j), 4 * (uint64_t)SEGMENT); /* it does not fill the disk with its tries */
		memory_disk_set_faults(d, (struct memory_faults){ 0 });
		cr_assert_eq(journal_sync(j), 0);
		cr_assert_gt(journal_segment(journal_synced(j)), journal_segment(synced));
		cr_assert(journal_has_failed(j));
		journal_check(j);
		crash(d, j);
		j = open_memory(d, 2, seen);
		expect_serials(seen, 0, 10);
		for (unsigned i = 0; i < seen->damages; i++)
			cr_assert(seen->damage[i].tail);
		cr_assert_not(journal_has_failed(j));
		journal_close(j);
		memory_disk_free(d);
		free(seen);
	}
}

/* ---- readers ---- */

static void expect_next(struct journal_reader *r, uint64_t n, size_t size)
{
	struct journal_record record;

	cr_assert_eq(journal_reader_next(r, &record), 1);
	expect_record(&record, n, size);
	cr_assert_eq(journal_reader_position(r), record.next);
}

static void expect_none(struct journal_reader *r)
{
	struct journal_record record;

	cr_assert_eq(journal_reader_next(r, &record), 0);
}

static struct journal_reader *open_reader(struct journal *j, journal_position from)
{
	struct journal_reader *r;

	cr_assert_eq(journal_reader_open(j, from, &r), 0);
	return r;
}

Test(journal_reader, sees_what_is_synced_and_nothing_else)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_reader *r = open_reader(j, JOURNAL_START);

	expect_none(r);
	append(j, 0);
	expect_none(r);
	cr_assert_eq(journal_sync(j), 0);
	expect_next(r, 0, size_of(0));
	expect_none(r);
	const journal_position after_first = journal_reader_position(r);
	append_group(j, 1, 30);
	for (uint64_t n = 1; n < 30; n++)
		expect_next(r, n, size_of(n));
	expect_none(r);
	journal_reader_seek(r, after_first);
	expect_next(r, 1, size_of(1));
	journal_reader_seek(r, JOURNAL_START);
	expect_next(r, 0, size_of(0));
	journal_reader_close(r);
	crash(d, j);

	/* Another process goes on where this one was. */
	j = open_memory(d, 2, NULL);
	r = open_reader(j, after_first);
	append_group(j, 30, 32);
	for (uint64_t n = 1; n < 32; n++)
		expect_next(r, n, size_of(n));
	expect_none(r);
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
}

Test(journal_reader, goes_from_segment_to_segment_over_failures)
{
	struct memory_disk *d = memory_disk_create(4);
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	uint64_t synced = 0;

	for (uint64_t n = 0; n < 100; n++) {
		cr_assert_eq(append_sized(j, n, 1000 + n * 100), 0);
		if (n % 10 == 5)
			memory_disk_set_faults(d, (struct memory_faults){ .sync_eio = 10000 });
		if (n % 5 == 0 && journal_sync(j) == 0)
			synced = n + 1;
		memory_disk_set_faults(d, (struct memory_faults){ 0 });
		if (n % 20 == 19) {
			for (uint64_t i = n - 19; i < n; i++) {
				if (i >= synced) {
					cr_assert_eq(journal_sync(j), 0);
					synced = n + 1;
				}
				expect_next(r, i, 1000 + i * 100);
			}
			cr_assert_eq(journal_sync(j), 0);
			expect_next(r, n, 1000 + n * 100);
			expect_none(r);
		}
	}
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
}

Test(journal_reader, tells_of_damage_and_goes_on_behind_it)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *whole = new_seen();
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_record record;

	append_group(j, 0, 20);
	crash(d, j);
	j = open_memory(d, 2, whole);
	memory_disk_damage(d, memory_disk_name(d, 0, NULL), journal_offset(whole->records[4].position) + 33, "x", 1);
	memory_disk_damage(d, memory_disk_name(d, 0, NULL), journal_offset(whole->records[5].position), "x", 1);
	memory_disk_damage(d, memory_disk_name(d, 0, NULL), journal_offset(whole->records[19].position), "x", 1);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	for (uint64_t n = 0; n < 4; n++)
		expect_next(r, n, size_of(n));
	cr_assert_eq(journal_reader_next(r, &record), -EBADMSG);
	cr_assert_eq(record.position, whole->records[4].position);
	cr_assert_eq(record.next, whole->records[6].position);
	for (uint64_t n = 6; n < 19; n++)
		expect_next(r, n, size_of(n));
	cr_assert_eq(journal_reader_next(r, &record), -EBADMSG);
	cr_assert_eq(record.next, whole->records[19].next);
	expect_none(r);
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
}

Test(journal_reader, tries_again_what_the_disk_did_not_read)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	struct journal_record record;

	append_group(j, 0, 2);
	memory_disk_set_faults(d, (struct memory_faults){ .open_eio = 10000 });
	cr_assert_eq(journal_reader_next(r, &record), -EIO);
	memory_disk_set_faults(d, (struct memory_faults){ .read_eio = 10000 });
	cr_assert_eq(journal_reader_next(r, &record), -EIO);
	memory_disk_set_faults(d, (struct memory_faults){ 0 });
	expect_next(r, 0, size_of(0));
	expect_next(r, 1, size_of(1));
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
}

/* ---- what the disk cannot read ---- */

Test(journal_reader, leaves_out_what_the_disk_could_not_read_at_the_start_either)
{
	struct seen *whole = new_seen();
	struct memory_disk *d = large_journal(whole);
	const struct journal_record *bad = &whole->records[1];
	struct journal_record record;

	memory_disk_unreadable(d, memory_disk_name(d, 0, NULL), journal_offset(bad->position) + 8192, 100);
	struct journal *j = open_memory(d, 3, NULL);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	expect_next(r, 0, 60000);
	cr_assert_eq(journal_reader_next(r, &record), -EBADMSG);
	cr_assert_eq(record.position, bad->position);
	cr_assert_eq(record.next, bad->next);
	for (uint64_t n = 2; n < 10; n++)
		expect_next(r, n, 60000);
	expect_none(r);

	memory_disk_unreadable(d, memory_disk_name(d, 0, NULL), 0, 0); /* it can read it by now */
	journal_reader_seek(r, bad->position);
	expect_next(r, 1, 60000);
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
}

/* A disk that is away for a moment: a store that took it for damage would be without these calls for good. */
Test(journal_reader, tries_again_what_the_disk_could_read_at_the_start)
{
	struct seen *whole = new_seen();
	struct memory_disk *d = large_journal(whole);
	struct journal_record record;

	memory_disk_unreadable(d, memory_disk_name(d, 0, NULL), journal_offset(whole->records[1].position) + 8192, 100);
	struct journal *j = open_memory(d, 3, NULL);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	memory_disk_set_faults(d, (struct memory_faults){ .open_eio = 10000 });
	cr_assert_eq(journal_reader_next(r, &record), -EIO);
	memory_disk_set_faults(d, (struct memory_faults){ .read_eio = 10000 });
	cr_assert_eq(journal_reader_next(r, &record), -EIO);
	memory_disk_set_faults(d, (struct memory_faults){ 0 });
	expect_next(r, 0, 60000);
	cr_assert_eq(journal_reader_next(r, &record), -EBADMSG);
	memory_disk_unreadable(d, memory_disk_name(d, 1, NULL), 0, 100);
	do
		cr_assert_neq(journal_reader_next(r, &record), -EBADMSG);
	while (journal_segment(journal_reader_position(r)) == 1);
	cr_assert_eq(journal_reader_next(r, &record), -EIO);
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
	free(whole);
}

Test(journal_reader, leaves_out_a_last_segment_that_the_disk_cannot_open)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_record record;

	append_group(j, 0, 10);
	journal_close(j);
	j = open_memory(d, 2, NULL);
	append_group(j, 10, 20);
	journal_close(j);
	memory_disk_unreadable(d, "0000000004.journal", 0, UINT64_MAX);
	j = open_memory(d, 3, seen);
	expect_serials(seen, 0, 10);
	append_group(j, 20, 30);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	for (uint64_t n = 0; n < 10; n++)
		expect_next(r, n, size_of(n));
	cr_assert_eq(journal_reader_next(r, &record), -EBADMSG);
	cr_assert_eq(journal_segment(record.position), 4);
	for (uint64_t n = 20; n < 30; n++)
		expect_next(r, n, size_of(n));
	expect_none(r);
	journal_reader_close(r);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

/* ---- dropping ---- */

/* Seven segments of three records each. */
static void fill_segments(struct journal *j)
{
	for (uint64_t n = 0; n < 21; n++) {
		cr_assert_eq(append_sized(j, n, RECORD_BYTES_MAX), 0);
		cr_assert_eq(journal_sync(j), 0);
	}
	cr_assert_eq(journal_segment(journal_synced(j)), 7);
}

Test(journal, drops_what_ends_before_a_position_once_it_was_closed_long_enough)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);

	fill_segments(j);
	const uint64_t bytes = journal_bytes(j);
	cr_assert_eq(journal_drop_before(j, journal_at(3, 8), 1000, 64), 0); /* found closed now */
	cr_assert_eq(journal_bytes(j), bytes);
	cr_assert_eq(journal_drop_before(j, journal_at(3, 8), 1063, 64), 0);
	cr_assert_eq(journal_bytes(j), bytes);
	cr_assert_eq(journal_drop_before(j, journal_at(3, 8), 1064, 64), 0);
	cr_assert_eq(journal_bytes(j), bytes - 2 * SEGMENT);
	journal_check(j);
	cr_assert_eq(journal_drop_before(j, UINT64_MAX, 2000, 64), 0); /* never the one under way */
	cr_assert_eq(journal_bytes(j), 3 * SEGMENT);
	crash(d, j);
	j = open_memory(d, 2, seen);
	expect_serials(seen, 18, 21);
	cr_assert_eq(seen->damages, 0);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, a_reader_in_a_dropped_segment_finishes_it_and_is_told_of_the_others)
{
	struct memory_disk *d = memory_disk_create(1);
	struct journal *j = open_memory(d, 1, NULL);
	struct journal_reader *r = open_reader(j, JOURNAL_START), *late;
	struct journal_record record;

	fill_segments(j);
	expect_next(r, 0, RECORD_BYTES_MAX);
	cr_assert_eq(journal_drop_before(j, journal_at(3, 8), 1, 0), 0);
	expect_next(r, 1, RECORD_BYTES_MAX);
	expect_next(r, 2, RECORD_BYTES_MAX);
	cr_assert_eq(journal_reader_next(r, &record), -EBADMSG);
	cr_assert_eq(journal_segment(record.position), 2);
	for (uint64_t n = 6; n < 21; n++)
		expect_next(r, n, RECORD_BYTES_MAX);
	expect_none(r);
	late = open_reader(j, JOURNAL_START); /* this one asks for what is there */
	expect_next(late, 6, RECORD_BYTES_MAX);
	journal_reader_close(r);
	journal_reader_close(late);
	journal_close(j);
	memory_disk_free(d);
}

/* ---- starts that come to nothing ---- */

Test(journal, starts_that_append_nothing_take_no_room)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);

	append_group(j, 0, 10);
	append_group(j, 10, 20);
	journal_close(j);
	for (uint16_t boot = 2; boot < 12; boot++) {
		j = open_memory(d, boot, seen);
		expect_serials(seen, 0, 20);
		cr_assert_eq(seen->damages, 0);
		/* What has records, cut to them; this start's, and two spare ones. */
		cr_assert_eq(journal_bytes(j), 3 * SEGMENT + 4096, "%lu", journal_bytes(j));
		journal_close(j);
	}
	j = open_memory(d, 12, seen);
	struct journal_reader *r = open_reader(j, JOURNAL_START);
	append_group(j, 20, 30);
	for (uint64_t n = 0; n < 30; n++)
		expect_next(r, n, size_of(n));
	expect_none(r);
	journal_reader_close(r);
	journal_close(j);
	j = open_memory(d, 13, seen);
	expect_serials(seen, 0, 30);
	cr_assert_eq(seen->damages, 0);
	journal_close(j);
	memory_disk_free(d);
	free(seen);
}

Test(journal, starts_that_append_nothing_forget_neither_damage_nor_what_is_void)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();
	struct journal *j = open_memory(d, 1, NULL);
	static const uint8_t bad[64] = { 1, 2, 3 };

	for (uint64_t n = 0; n < 4; n++)
		append_group(j, 10 * n, 10 * n + 10);
	const uint32_t end = (uint32_t)journal_synced(j);
	cr_assert_eq(journal_settle(j), 0);
	journal_close(j);
	j = open_memory(d, 2, seen); /* says where the records of the first segment end */
	journal_close(j);
	memory_disk_damage(d, "0000000001.journal", end - 24, bad, 24);
	for (uint16_t boot = 3; boot < 8; boot++) {
		j = open_memory(d, boot, seen);
		expect_serials(seen, 0, 39);
		cr_assert_eq(seen->damages, 1);
		cr_assert_not(seen->damage[0].tail);
		cr_assert_eq(journal_bytes(j), 3 * SEGMENT + 4096, "%lu", journal_bytes(j));
		journal_close(j);
	}
	memory_disk_free(d);
	free(seen);
}

/* A node that dies again and again, and never lives long enough to drop a segment. */
Test(journal, starts_that_append_little_take_little_room)
{
	struct memory_disk *d = memory_disk_create(1);
	struct seen *seen = new_seen();

	for (uint16_t boot = 1; boot <= 20; boot++) {
		struct journal *j = open_memory(d, boot, seen);

		expect_serials(seen, 0, 10 * (boot - 1u));
		cr_assert_eq(seen->damages, 0);
		cr_assert_eq(journal_bytes(j), 3 * SEGMENT + (boot - 1u) * 4096, "%lu", journal_bytes(j));
		append_group(j, 10 * (boot - 1u), 10u * boot);
		journal_check(j);
		journal_close(j);
	}
	memory_disk_free(d);
	free(seen);
}

/* ---- a real disk ---- */

Test(journal_uring, keeps_records_in_files)
{
	const char *path = sample_path("journal");
	struct seen *seen = new_seen();
	struct journal_disk disk;
	size_t size;

	for (uint16_t boot = 1; boot <= 4; boot++) {
		cr_assert_eq(journal_uring_open(path, &disk, error), 0, "%s", error);
		struct journal *j = open_disk(disk, boot, seen);
		expect_serials(seen, 0, 100 * (boot - 1u));
		cr_assert_eq(seen->damages, 0);
		for (unsigned i = 0; i < seen->count; i++) {
			seen->records[i].at = journal_lend(j, seen->records[i].position, &loans, &size);
			cr_assert_not_null(seen->records[i].at);
			expect_record(&seen->records[i], i, 5000 + i);
		}
		struct journal_reader *r = open_reader(j, JOURNAL_START);
		for (uint64_t n = 100 * (boot - 1u); n < 100u * boot; n++) {
			cr_assert_eq(append_sized(j, n, 5000 + n), 0);
			if (n % 7 == 0)
				cr_assert_eq(journal_sync(j), 0);
		}
		cr_assert_eq(journal_sync(j), 0);
		for (uint64_t n = 0; n < 100u * boot; n++)
			expect_next(r, n, 5000 + n);
		expect_none(r);
		journal_reader_close(r);
		if (boot == 4) {
			cr_assert_eq(journal_drop_before(j, UINT64_MAX, 10, 0), 0);
			cr_assert_eq(journal_bytes(j), 3 * SEGMENT);
			for (unsigned n = 1; n < 20; n++) {
				char name[JOURNAL_NAME_BYTES];

				snprintf(name, sizeof(name), "%010u.journal", n);
				disk.remove(disk.context, name);
			}
		}
		journal_close(j);
		journal_uring_close(&disk);
	}
	rmdir(path);
	free(seen);
}

/* A page that is not there any more is as one that the disk cannot read: through a mapping, SIGBUS. */
Test(journal_uring, lends_what_is_left_of_a_file_that_loses_its_end)
{
	const char *path = sample_path("journal");
	struct seen *seen = new_seen();
	struct journal_disk disk;
	char name[4096];

	cr_assert_eq(journal_uring_open(path, &disk, error), 0, "%s", error);
	struct journal *j = open_disk(disk, 1, NULL);
	for (uint64_t n = 0; n < 10; n++)
		cr_assert_eq(append_sized(j, n, 5000), 0);
	cr_assert_eq(journal_settle(j), 0);
	journal_close(j);
	j = open_disk(disk, 2, seen);
	expect_serials(seen, 0, 10);
	expect_lent_but_those_between(j, &(struct seen){ .count = 1, .records = { seen->records[0] } }, 0, 0);
	snprintf(name, sizeof(name), "%s/0000000001.journal", path);
	cr_assert_eq(truncate(name, 16384), 0);
	expect_lent_but_those_between(j, seen, journal_at(1, 16384), journal_at(2, 0));
	journal_close(j);
	for (unsigned n = 1; n < 6; n++) {
		snprintf(name, sizeof(name), "%s/%010u.journal", path, n);
		unlink(name);
	}
	journal_uring_close(&disk);
	rmdir(path);
	free(seen);
}

Test(journal_uring, says_what_is_wrong_with_a_directory)
{
	struct journal_disk disk;

	cr_assert_eq(journal_uring_open("/proc/journal", &disk, error), -ENOENT);
	cr_assert_not_null(strstr(error, "/proc/journal"));
	cr_assert_eq(journal_uring_open("/dev/null", &disk, error), -ENOTDIR);
}
