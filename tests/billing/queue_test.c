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
	return (4 + size + 7) / 8 * 8;
}

static void push(struct cdr_queue *q, uint64_t number, size_t size)
{
	const struct cdr cdr = sample_cdr_of_size(number, size);
	cr_assert(cdr_queue_push(q, &cdr));
}

/* Takes the next record, which must be this one. */
static void expect(struct cdr_queue *q, uint64_t *position, uint64_t number, size_t size)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;
	const uint8_t *record;
	size_t record_size;

	cr_assert(cdr_queue_next(q, position, &record, &record_size));
	cr_assert_eq(record_size, size);
	cr_assert(cdr_decode(record, record_size, &cdr, attempts));
	cr_assert_eq(sample_number(&cdr), number);
	cr_assert(sample_is_intact(&cdr, size));
}

static void expect_end(struct cdr_queue *q, uint64_t position)
{
	const uint8_t *record;
	size_t size;

	cr_assert_not(cdr_queue_next(q, &position, &record, &size));
}

Test(queue, is_empty_when_made)
{
	struct cdr_queue *q = sample_queue(CAPACITY);

	cr_assert_eq(cdr_queue_free(q), CAPACITY);
	cr_assert_eq(cdr_queue_depth(q), 0);
	cr_assert_eq(cdr_queue_pushed(q), 0);
	expect_end(q, cdr_queue_begin(q));
	free(q);
}

Test(queue, gives_records_in_order_and_room_back_only_on_release)
{
	struct cdr_queue *q = sample_queue(CAPACITY);

	for (uint64_t i = 0; i < 5; i++)
		push(q, i, 300 + i);
	const size_t free_bytes = cdr_queue_free(q);
	cr_assert_eq(free_bytes, CAPACITY - footprint(300) - 4 * footprint(304));
	for (int round = 0; round < 2; round++) { /* a batch that failed is read again */
		uint64_t position = cdr_queue_begin(q);
		for (uint64_t i = 0; i < 5; i++)
			expect(q, &position, i, 300 + i);
		expect_end(q, position);
		cr_assert_eq(cdr_queue_free(q), free_bytes);
		cr_assert_eq(cdr_queue_depth(q), 5);
	}

	uint64_t position = cdr_queue_begin(q);
	expect(q, &position, 0, 300);
	expect(q, &position, 1, 301);
	cdr_queue_release(q, position);
	cr_assert_eq(cdr_queue_depth(q), 3);
	cr_assert_eq(cdr_queue_pushed(q), 5);
	position = cdr_queue_begin(q);
	expect(q, &position, 2, 302);
	free(q);
}

/* From every place of the ring, records of many sizes fill it, are refused when there is no room, and come out whole.
 */
Test(queue, wraps_at_every_offset)
{
	const size_t smallest = cdr_encoded_size(&empty);
	const size_t first = footprint(smallest) - 4;

	for (size_t offset = first; offset + 4 <= CAPACITY; offset += 8) {
		for (size_t size = smallest; size < 2 * smallest; size += 23) {
			struct cdr_queue *q = sample_queue(CAPACITY);
			uint64_t position = cdr_queue_begin(q), pushed = 0;

			push(q, 0, offset);
			expect(q, &position, 0, offset);
			cdr_queue_release(q, position);
			for (;; pushed++) {
				const struct cdr cdr = sample_cdr_of_size(pushed, size + pushed % 11);
				const size_t free_bytes = cdr_queue_free(q);
				if (cdr_queue_push(q, &cdr))
					continue;
				cr_assert_lt(free_bytes, 2 * (size + 11 + 8), "promised by the header");
				cr_assert_eq(cdr_queue_free(q), free_bytes);
				break;
			}
			cr_assert_geq(pushed, CAPACITY / (size + 20) - 2);
			for (uint64_t i = 0; i < pushed; i++)
				expect(q, &position, i, size + i % 11);
			expect_end(q, position);
			cdr_queue_release(q, position);
			cr_assert_eq(cdr_queue_free(q), CAPACITY);
			cr_assert_eq(cdr_queue_depth(q), 0);
			free(q);
		}
	}
}

Test(queue, fills_to_the_last_byte)
{
	struct cdr_queue *q = sample_queue(CAPACITY);
	uint64_t position = cdr_queue_begin(q);

	for (uint64_t i = 0; i < 8; i++)
		push(q, i, CAPACITY / 8 - 4);
	cr_assert_eq(cdr_queue_free(q), 0);
	cr_assert_not(cdr_queue_push(q, &empty));
	cr_assert_eq(cdr_queue_pushed(q), 8);
	expect(q, &position, 0, CAPACITY / 8 - 4);
	cdr_queue_release(q, position);
	push(q, 8, CAPACITY / 8 - 4);
	for (uint64_t i = 1; i < 9; i++)
		expect(q, &position, i, CAPACITY / 8 - 4);
	expect_end(q, position);
	free(q);
}

Test(queue, carries_the_largest_record_between_many_small_ones)
{
	struct cdr_queue *q = sample_queue(4 * CDR_BYTES_MAX);
	const size_t largest = cdr_encoded_size(&empty) + 15 * CDR_TEXT_MAX;
	uint64_t position = cdr_queue_begin(q);

	for (uint64_t i = 0; i < 500; i++) {
		const size_t size = i % 3 == 0 ? largest : 200 + i;
		push(q, i, size);
		expect(q, &position, i, size);
		cdr_queue_release(q, position);
	}
	cr_assert_eq(cdr_queue_depth(q), 0);
	cr_assert_eq(cdr_queue_pushed(q), 500);
	free(q);
}

/* Any mixture of pushing, reading and releasing keeps order, contents and counts. */
Test(queue, random_use_agrees_with_a_list)
{
	struct cdr_queue *q = sample_queue(CAPACITY);
	const size_t smallest = cdr_encoded_size(&empty);
	static size_t sizes[200000];
	uint64_t pushed = 0, read = 0, released = 0, position = cdr_queue_begin(q);

	srandom(7);
	for (int step = 0; step < 200000; step++) {
		switch (random() % 5) {
		case 0:
		case 1:
			sizes[pushed] = smallest + (size_t)random() % 600;
			const struct cdr cdr = sample_cdr_of_size(pushed, sizes[pushed]);
			pushed += cdr_queue_push(q, &cdr);
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
				cdr_queue_release(q, position);
				released = read;
			} else {
				position = cdr_queue_begin(q);
				read = released;
			}
		}
		cr_assert_eq(cdr_queue_depth(q), pushed - released);
		cr_assert_eq(cdr_queue_pushed(q), pushed);
	}
	cr_assert_gt(pushed, 10000);
	free(q);
}
