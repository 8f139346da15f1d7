/* Two threads, one mailbox and its doorbell: whatever was pushed comes out whole, in order, and no wake-up is missed. A
 * plain program, to be run under the thread sanitizer as well.  The sleep is a semaphore that only the doorbell posts:
 * a missed ring hangs, and the test times out. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/net/mailbox.h"

enum { ITEMS = 200000, BATCH = 5 };

static struct mailbox *m;
static struct doorbell doorbell;
static sem_t rung;
static unsigned rings;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "mailbox_stress: %s\n", what);
	exit(1);
}

static void ring(void)
{
	if (mailbox_flush(m) && doorbell_needed(&doorbell)) {
		rings++;
		sem_post(&rung);
	}
}

/* Every third item is a note; datagrams that are refused are pushed again. */
static void *produce(void *unused)
{
	char bytes[1500];

	for (unsigned i = 0; i < ITEMS; i++) {
		struct arrival arrival = { .now_ns = i };
		struct flow from = { .connection = i };
		uint32_t size = i * 31 % sizeof bytes;

		if (i % 3 == 0) {
			mailbox_post(m, &(struct note){ .a = i });
		} else {
			memset(bytes, (int)(i & 127), size);
			while (!mailbox_push_datagram(m, &arrival, &from, (struct bytes){ bytes, size }))
				ring();
		}
		if (i % BATCH == 0)
			ring();
	}
	do
		ring();
	while (mailbox_waiting(m) > 0);
	return unused;
}

static unsigned take(unsigned *datagrams, unsigned *notes)
{
	struct mailbox_item item;
	unsigned taken = 0;

	for (; mailbox_next(m, &item); taken++) {
		if (item.is_note) {
			check(item.note.a == *notes, "a note is lost or out of order");
			*notes += 3;
			continue;
		}
		unsigned i = item.from.connection;
		check(i == *datagrams && item.arrival.now_ns == i, "a datagram is lost or out of order");
		check(item.datagram.size == i * 31 % 1500, "wrong size");
		for (uint32_t at = 0; at < item.datagram.size; at++)
			check(item.datagram.at[at] == (char)(i & 127), "wrong bytes");
		*datagrams += *datagrams % 3 == 2 ? 2 : 1;
	}
	mailbox_release(m);
	return taken;
}

int main(void)
{
	unsigned datagrams = 1, notes = 0, taken = 0, sleeps = 0;
	pthread_t producer;

	m = mailbox_create(MAILBOX_SIZE_MIN);
	check(m != NULL, "no memory");
	sem_init(&rung, 0, 0);
	pthread_create(&producer, NULL, produce, NULL);
	while (taken < ITEMS) {
		taken += take(&datagrams, &notes);
		if (taken == ITEMS)
			break;
		doorbell_sleep(&doorbell);
		if (mailbox_empty(m)) {
			sleeps++;
			sem_wait(&rung);
		}
		doorbell_awake(&doorbell);
	}
	pthread_join(producer, NULL);
	check(mailbox_empty(m), "something is left");
	mailbox_destroy(m);
	printf("%u items, %u sleeps, %u rings\n", taken, sleeps, rings);
	return 0;
}
