/* Two threads on one queue; a plain program, so that it runs under the thread sanitizer.  Every record arrives once, in
 * order and whole, through a ring that is small enough to be full most of the time.  Exit status 1: it did not. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "billing/queue.h"
#include "tests/billing/sample.h"

#define RECORDS  50000
#define CAPACITY 8192
#define BATCH    7
#define SIZE(n)  (200 + (n)*37 % 900)

static void *produce(void *argument)
{
	struct record_queue *q = argument;

	for (uint64_t n = 0; n < RECORDS; n++) {
		const struct cdr cdr = sample_cdr_of_size(n, SIZE(n));
		while (!record_queue_push(q, &cdr))
			sched_yield();
	}
	return NULL;
}

static bool is_expected(const uint8_t *record, size_t size, uint64_t n)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;

	return size == SIZE(n) && cdr_decode(record, size, &cdr, attempts) && sample_number(&cdr) == n &&
	       sample_is_intact(&cdr, size);
}

static bool consume(struct record_queue *q)
{
	struct queue_position position = record_queue_begin(q);
	struct queued_record record;

	for (uint64_t n = 0; n < RECORDS;) {
		const uint64_t before = n;
		while (n < before + BATCH && record_queue_next(q, &position, &record))
			if (!is_expected(record.at, record.size, n++) || record.serial != n - 1) {
				fprintf(stderr, "record %" PRIu64 " is not what was pushed\n", n - 1);
				return false;
			}
		if (record_queue_depth(q) > RECORDS || record_queue_pushed(q) < n)
			return false;
		record_queue_release(q, position);
		if (n == before)
			sched_yield();
	}
	return true;
}

int main(void)
{
	struct record_queue *q = sample_queue(CAPACITY);
	pthread_t producer;

	if (pthread_create(&producer, NULL, produce, q) != 0)
		return 1;
	if (!consume(q))
		return 1;
	pthread_join(producer, NULL);
	if (record_queue_depth(q) != 0 || record_queue_free(q) != CAPACITY || record_queue_pushed(q) != RECORDS)
		return 1;
	free(q);
	return 0;
}
