/* The ring of records between a worker and the billing thread. */
#include "billing/queue.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/billing/sample.h"

#define CAPACITY 4096

static struct cdr empty;

/* Bytes that a record of this size takes in the ring. */
static size_t footprint(size_t size)
{
	return (8 + size + 7) / 8 * 8;
}

static void push(struct record_queue *q, uint64_t number, size_t size)
{
	const struct cdr cdr = sample_cdr_of_size(number, size);
	cr_assert(record_queue_push(q, &cdr));
}

/* Takes the next record, which must be this one. */
static void expect(struct record_queue *q, struct queue_position *position, uint64_t number, size_t size)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;
	struct queued_record record;

	cr_assert(record_queue_next(q, position, &record));
	cr_assert_eq(record.size, size);
	cr_assert_eq(record.kind, RECORD_CDR);
	cr_assert(cdr_decode(record.at, record.size, &cdr, attempts));
	cr_assert_eq(sample_number(&cdr), number);
	cr_assert(sample_is_intact(&cdr, size));
}

static void expect_end(struct record_queue *q, struct queue_position position)
{
	struct queued_record record;

	cr_assert_not(record_queue_next(q, &position, &record));
}

Test(queue, is_empty_when_made)
{
	struct record_queue *q = sample_queue(CAPACITY);

	cr_assert_eq(record_queue_free(q), CAPACITY);
	cr_assert_eq(record_queue_depth(q), 0);
	cr_assert_eq(record_queue_pushed(q), 0);
	expect_end(q, record_queue_begin(q));
	free(q);
}

Test(queue, gives_records_in_order_and_room_back_only_on_release)
{
	struct record_queue *q = sample_queue(CAPACITY);

	for (uint64_t i = 0; i < 5; i++)
		push(q, i, 300 + i);
	const size_t free_bytes = record_queue_free(q);
	cr_assert_eq(free_bytes, CAPACITY - footprint(300) - 4 * footprint(304));
	for (int round = 0; round < 2; round++) { /* a batch that failed is read again */
		struct queue_position position = record_queue_begin(q);
		for (uint64_t i = 0; i < 5; i++)
			expect(q, &position, i, 300 + i);
		expect_end(q, position);
		cr_assert_eq(record_queue_free(q), free_bytes);
		cr_assert_eq(record_queue_depth(q), 5);
	}

	struct queue_position position = record_queue_begin(q);
	expect(q, &position, 0, 300);
	expect(q, &position, 1, 301);
	record_queue_release(q, position);
	cr_assert_eq(record_queue_depth(q), 3);
	cr_assert_eq(record_queue_pushed(q), 5);
	position = record_queue_begin(q);
	expect(q, &position, 2, 302);
	free(q);
}

/* From every place of the ring, records of many sizes fill it, are refused when there is no room, and come out whole.
 */
Test(queue, wraps_at_every_offset)
{
	const size_t smallest = cdr_encoded_size(&empty);
	const size_t first = footprint(smallest) - 8;

	for (size_t offset = first; offset + 8 <= CAPACITY; offset += 8) {
		for (size_t size = smallest; size < 2 * smallest; size += 23) {
			struct record_queue *q = sample_queue(CAPACITY);
			struct queue_position position = record_queue_begin(q);
			uint64_t pushed = 0;

			push(q, 0, offset);
			expect(q, &position, 0, offset);
			record_queue_release(q, position);
			for (;; pushed++) {
				const struct cdr cdr = sample_cdr_of_size(pushed, size + pushed % 11);
				const size_t free_bytes = record_queue_free(q);
				if (record_queue_push(q, &cdr))
					continue;
				cr_assert_lt(free_bytes, 2 * (size + 11 + 16), "promised by the header");
				cr_assert_eq(record_queue_free(q), free_bytes);
				break;
			}
			cr_assert_geq(pushed, CAPACITY / (size + 24) - 2);
			for (uint64_t i = 0; i < pushed; i++)
				expect(q, &position, i, size + i % 11);
			expect_end(q, position);
			record_queue_release(q, position);
			cr_assert_eq(record_queue_free(q), CAPACITY);
			cr_assert_eq(record_queue_depth(q), 0);
			free(q);
		}
	}
}

Test(queue, fills_to_the_last_byte)
{
	struct record_queue *q = sample_queue(CAPACITY);
	struct queue_position position = record_queue_begin(q);

	for (uint64_t i = 0; i < 8; i++)
		push(q, i, CAPACITY / 8 - 8);
	cr_assert_eq(record_queue_free(q), 0);
	cr_assert_not(record_queue_push(q, &empty));
	cr_assert_eq(record_queue_pushed(q), 8);
	expect(q, &position, 0, CAPACITY / 8 - 8);
	record_queue_release(q, position);
	push(q, 8, CAPACITY / 8 - 8);
	for (uint64_t i = 1; i < 9; i++)
		expect(q, &position, i, CAPACITY / 8 - 8);
	expect_end(q, position);
	free(q);
}

Test(queue, carries_the_largest_record_between_many_small_ones)
{
	struct record_queue *q = sample_queue(4 * CDR_BYTES_MAX);
	const size_t largest = cdr_encoded_size(&empty) + 15 * CDR_TEXT_MAX;
	struct queue_position position = record_queue_begin(q);

	for (uint64_t i = 0; i < 500; i++) {
		const size_t size = i % 3 == 0 ? largest : 200 + i;
		push(q, i, size);
		expect(q, &position, i, size);
		record_queue_release(q, position);
	}
	cr_assert_eq(record_queue_depth(q), 0);
	cr_assert_eq(record_queue_pushed(q), 500);
	free(q);
}

/* Any mixture of pushing, reading and releasing keeps order, contents and counts. */
Test(queue, random_use_agrees_with_a_list)
{
	struct record_queue *q = sample_queue(CAPACITY);
	const size_t smallest = cdr_encoded_size(&empty);
	static size_t sizes[200000];
	uint64_t pushed = 0, read = 0, released = 0;
	struct queue_position position = record_queue_begin(q);

	srandom(7);
	for (int step = 0; step < 200000; step++) {
		switch (random() % 5) {
		case 0:
		case 1:
			sizes[pushed] = smallest + (size_t)random() % 600;
			const struct cdr cdr = sample_cdr_of_size(pushed, sizes[pushed]);
			pushed += record_queue_push(q, &cdr);
			break;
		case 2:
		case 3:
			if (read < pushed)
				expect(q, &position, read, sizes[read]), read++;
			else
				expect_end(q, position);
			break;
		default:
			if (random() % 2 == 0) {
				record_queue_release(q, position);
				released = read;
			} else {
				position = record_queue_begin(q);
				read = released;
			}
		}
		cr_assert_eq(record_queue_depth(q), pushed - released);
		cr_assert_eq(record_queue_pushed(q), pushed);
	}
	cr_assert_gt(pushed, 10000);
	free(q);
}

/* The next record goes to the start again, whoever reads it: the pages behind are not touched. */
Test(queue, goes_back_to_the_start_when_it_is_empty)
{
	struct record_queue *q = sample_queue(1 << 20);
	struct queue_position position = record_queue_begin(q);
	const uint8_t *start = record_queue_lend(q, 100), *last = start;

	for (uint64_t i = 0; i < 1000; i++) {
		push(q, 2 * i, 700);
		push(q, 2 * i + 1, 900);
		expect(q, &position, 2 * i, 700);
		expect(q, &position, 2 * i + 1, 900);
		record_queue_release(q, position);
		const uint8_t *at = record_queue_lend(q, 100);
		cr_assert_lt(at - start, 65536 + 2000);
		last = at > last ? at : last;
	}
	cr_assert_gt(last - start, 60000);
	cr_assert_eq(record_queue_free(q), 1 << 20);
	free(q);
}

/* ---- what a process leaves behind ---- */

static struct record_queue *attach(struct record_queue *q, size_t capacity)
{
	struct record_queue_owner owner;

	return record_queue_attach(q, record_queue_header_bytes() + capacity, &owner);
}

/* Whenever the process ended, what was pushed and not released is there, with the serials that it had. */
Test(queue, another_process_finds_what_was_pushed_and_not_released)
{
	struct record_queue *q = sample_queue(CAPACITY);
	const size_t bytes = record_queue_header_bytes() + CAPACITY;
	struct queue_position position = record_queue_begin(q);
	uint64_t pushed = 0, released = 0;
	void *memory;

	cr_assert_eq(posix_memalign(&memory, 64, bytes), 0);
	srandom(11);
	for (int step = 0; step < 20000; step++) {
		const struct cdr cdr = sample_cdr_of_size(pushed, 300 + pushed % 200);
		if (random() % 2 == 0)
			pushed += record_queue_push(q, &cdr);
		else if (released < pushed)
			expect(q, &position, released, 300 + released % 200), released++;
		if (random() % 3 != 0)
			continue;
		record_queue_release(q, position);

		memcpy(memory, q, bytes);
		struct record_queue *left = attach(memory, CAPACITY);
		cr_assert_not_null(left);
		struct queue_position at = record_queue_begin(left);
		cr_assert_eq(at.serial, released);
		for (uint64_t i = released; i < pushed; i++)
			expect(left, &at, i, 300 + i % 200);
		expect_end(left, at);
	}
	cr_assert_gt(pushed, 5000);
	free(memory);
	free(q);
}

/* Every word of the head and of the records, set to something else: refused, or still a row of records. */
Test(queue, damage_is_refused_and_never_followed)
{
	const size_t bytes = record_queue_header_bytes() + CAPACITY;
	struct record_queue *q = sample_queue(CAPACITY);
	unsigned refused = 0;
	void *memory;

	cr_assert_eq(posix_memalign(&memory, 64, bytes), 0);
	for (uint64_t i = 0; i < 6; i++)
		push(q, i, 400 + i);
	for (size_t at = 0; at < bytes; at += 4) {
		static const uint32_t words[] = { 0, 1, 8, 4096, 0x7fffffff, 0xfffffff8, 0xffffffff };
		for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
			memcpy(memory, q, bytes);
			memcpy((char *)memory + at, &words[w], 4);
			struct record_queue *left = attach(memory, CAPACITY);
			if (left == NULL) {
				refused++;
				continue;
			}
			struct queue_position position = record_queue_begin(left);
			struct queued_record record;
			while (record_queue_next(left, &position, &record))
				cr_assert_leq((size_t)(record.at - (uint8_t *)memory) + record.size, bytes);
		}
	}
	cr_assert_gt(refused, 50);
	cr_assert_null(record_queue_attach(memory, 100, &(struct record_queue_owner){ 0 }));
	free(memory);
	free(q);
}
