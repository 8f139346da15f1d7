/* core/net/mailbox: what one worker passes to another (design, rule 4). */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/net/mailbox.h"

static struct mailbox *m;

static void make(void)
{
	m = mailbox_create(MAILBOX_SIZE_MIN);
	cr_assert_not_null(m);
}

static void destroy(void)
{
	mailbox_destroy(m);
}

TestSuite(mailbox, .init = make, .fini = destroy);

static const struct arrival ARRIVAL = { .now_ns = 12345, .real_us = 67890 };
static const struct flow FLOW = { .peer = { .family = 4, .port = 5060, .ip = { 192, 0, 2, 1 } }, .listener = 3 };

/* A datagram whose every byte follows from its number. */
static bool push(unsigned number, uint32_t size)
{
	char bytes[20000];

	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (char)(number + i);
	return mailbox_push_datagram(m, &ARRIVAL, &FLOW, (struct bytes){ bytes, size });
}

static void expect(unsigned number, uint32_t size)
{
	struct mailbox_item item;

	cr_assert(mailbox_next(m, &item));
	cr_assert(!item.is_note);
	cr_assert_eq(item.datagram.size, size);
	cr_assert_eq(item.arrival.now_ns, ARRIVAL.now_ns);
	cr_assert_eq(item.arrival.real_us, ARRIVAL.real_us);
	cr_assert(memcmp(&item.from, &FLOW, sizeof FLOW) == 0);
	for (uint32_t i = 0; i < size; i++)
		cr_assert_eq(item.datagram.at[i], (char)(number + i));
}

static void expect_note(uint64_t number)
{
	struct mailbox_item item;

	cr_assert(mailbox_next(m, &item));
	cr_assert(item.is_note);
	cr_assert_eq(item.note.kind, 7);
	cr_assert_eq(item.note.a, number);
}

static void post(uint64_t number)
{
	mailbox_post(m, &(struct note){ .kind = 7, .from = 1, .a = number });
}

Test(mailbox, an_empty_one_has_nothing)
{
	struct mailbox_item item;

	cr_assert(mailbox_empty(m));
	cr_assert(!mailbox_next(m, &item));
	cr_assert(!mailbox_flush(m));
}

Test(mailbox, datagrams_and_notes_come_out_in_order)
{
	cr_assert(push(1, 500));
	post(2);
	cr_assert(push(3, 0));
	cr_assert(push(4, 16384));
	cr_assert(!mailbox_empty(m));
	expect(1, 500);
	expect_note(2);
	expect(3, 0);
	expect(4, 16384);
	cr_assert(mailbox_empty(m));
}

/* All sizes from 0 to 1200 and many laps of the ring: every place of a wrap is met. */
Test(mailbox, survives_many_laps_with_all_sizes)
{
	for (unsigned number = 0; number < 6000; number++) {
		cr_assert(push(number, number % 1201));
		cr_assert(push(number + 1, (number * 7) % 1201));
		expect(number, number % 1201);
		expect(number + 1, (number * 7) % 1201);
		mailbox_release(m);
	}
}

Test(mailbox, refuses_a_datagram_without_room_and_takes_it_after_release)
{
	unsigned pushed = 0;

	while (push(pushed, 1000))
		pushed++;
	cr_assert_gt(pushed, 32);
	for (unsigned number = 0; number < pushed; number++)
		expect(number, 1000);
	cr_assert(!push(0, 1000), "what is lent is not overwritten");
	mailbox_release(m);
	cr_assert(push(99, 1000));
	expect(99, 1000);
}

/* A flood of datagrams leaves room for notes. */
Test(mailbox, a_flood_of_datagrams_does_not_delay_notes)
{
	while (push(0, 1000))
		;
	for (unsigned number = 0; number < 1000; number++)
		post(number);
	cr_assert_eq(mailbox_waiting(m), 0);
}

/* Ten times as many notes as the ring holds: none is lost, none overtakes another. */
Test(mailbox, notes_are_never_lost_and_stay_in_order)
{
	enum { NOTES = 30000 };
	struct mailbox_item item;
	uint64_t expected = 0, posted = 0;

	while (posted < NOTES)
		post(posted++);
	cr_assert_gt(mailbox_waiting(m), 0);
	while (expected < NOTES) {
		mailbox_flush(m);
		while (mailbox_next(m, &item)) {
			cr_assert(item.is_note && item.note.a == expected);
			expected++;
			if (expected % 7 == 0 && posted < NOTES + 1000)
				post(posted++);
		}
		mailbox_release(m);
	}
	while (expected < posted) {
		mailbox_flush(m);
		while (mailbox_next(m, &item))
			cr_assert(item.is_note && item.note.a == expected++);
		mailbox_release(m);
	}
	cr_assert_eq(mailbox_waiting(m), 0);
}

Test(mailbox, flush_tells_whether_there_is_something_new)
{
	cr_assert(push(1, 10));
	cr_assert(mailbox_flush(m));
	cr_assert(!mailbox_flush(m));
	post(1);
	cr_assert(mailbox_flush(m));
}

Test(doorbell, is_needed_once_by_a_sleeper_and_never_by_one_awake)
{
	struct doorbell bell = { 0 };

	cr_assert(!doorbell_needed(&bell));
	doorbell_sleep(&bell);
	cr_assert(doorbell_needed(&bell));
	cr_assert(!doorbell_needed(&bell), "one ring is enough");
	doorbell_sleep(&bell);
	doorbell_awake(&bell);
	cr_assert(!doorbell_needed(&bell));
}

/* Messages for a connection of the other worker keep their place among the rest. */
Test(mailbox, outgoing_messages_are_told_apart)
{
	struct mailbox_item item;

	cr_assert(push(1, 100));
	cr_assert(mailbox_push_outgoing(m, &FLOW, BYTES("SIP/2.0 200 OK\r\n\r\n")));
	post(5);
	cr_assert(push(2, 10));
	expect(1, 100);
	cr_assert(mailbox_next(m, &item));
	cr_assert(item.is_outgoing && !item.is_note);
	cr_assert(bytes_equal(item.datagram, BYTES("SIP/2.0 200 OK\r\n\r\n")));
	cr_assert(memcmp(&item.from, &FLOW, sizeof FLOW) == 0);
	expect_note(5);
	cr_assert(mailbox_next(m, &item));
	cr_assert(!item.is_outgoing && item.datagram.size == 10);
}

/* One that no connection took goes back to where it came from. */
Test(mailbox, refused_messages_are_told_apart)
{
	struct mailbox_item item;

	cr_assert(mailbox_push_refused(m, BYTES("BYE sip:a SIP/2.0\r\n\r\n")));
	post(5);
	cr_assert(push(1, 100));
	cr_assert(mailbox_next(m, &item));
	cr_assert(item.is_refused && !item.is_outgoing && !item.is_note);
	cr_assert(bytes_equal(item.datagram, BYTES("BYE sip:a SIP/2.0\r\n\r\n")));
	expect_note(5);
	expect(1, 100);
	while (mailbox_push_refused(m, BYTES("BYE sip:a SIP/2.0\r\n\r\n")))
		;
	post(6); /* which has room still */
	while (mailbox_next(m, &item) && !item.is_note)
		;
	cr_assert(item.is_note && !item.is_refused);
}

/* Nobody sends them again: they wait for room, in their order, up to a bound. */
Test(mailbox, outgoing_messages_wait_for_room)
{
	char bytes[1000];
	uint32_t pushed = 0, got = 0;
	struct mailbox_item item;

	memset(bytes, 'x', sizeof bytes);
	do
		memcpy(bytes, &pushed, sizeof pushed);
	while (mailbox_push_outgoing(m, &FLOW, (struct bytes){ bytes, sizeof bytes }) && ++pushed);
	cr_assert_gt(pushed, MAILBOX_OUTGOING_WAITING_MAX / 1200);
	cr_assert_gt(mailbox_waiting(m), 0);
	for (bool more = true; more;) {
		mailbox_flush(m);
		for (more = false; mailbox_next(m, &item); more = true) {
			cr_assert(item.is_outgoing && item.datagram.size == sizeof bytes);
			cr_assert_eq(memcmp(item.datagram.at, &got, sizeof got), 0, "%u", got);
			cr_assert(memcmp(&item.from, &FLOW, sizeof FLOW) == 0);
			got++;
		}
		mailbox_release(m);
		if (got == 1000) /* the room of those that have gone is used again */
			break;
	}
	cr_assert_eq(got, pushed);
	cr_assert_eq(mailbox_waiting(m), 0);
	for (unsigned i = 0; i < 20000; i++) { /* always some that wait */
		memcpy(bytes, &pushed, sizeof pushed);
		cr_assert(mailbox_push_outgoing(m, &FLOW, (struct bytes){ bytes, sizeof bytes }));
		pushed++;
		if (i < 200)
			continue;
		mailbox_flush(m);
		cr_assert(mailbox_next(m, &item));
		cr_assert_eq(memcmp(item.datagram.at, &got, sizeof got), 0, "%u", got);
		got++;
		mailbox_release(m);
	}
	cr_assert_gt(mailbox_waiting(m), 50);
}

/* While the store is full and little of it goes, messages are refused; they do not each move all of it. */
Test(mailbox, a_full_store_is_not_moved_for_each_message)
{
	char bytes[1000] = { 0 };
	const struct bytes message = { bytes, sizeof bytes };
	struct mailbox_item item;
	unsigned taken = 0;

	while (mailbox_push_outgoing(m, &FLOW, message))
		;
	const uint32_t waiting = mailbox_waiting(m);
	do {
		cr_assert(mailbox_next(m, &item));
		mailbox_release(m);
		mailbox_flush(m);
		taken++;
	} while (!mailbox_push_outgoing(m, &FLOW, message));
	cr_assert_geq(taken, waiting / 5, "moved for %u of %u", taken, waiting);
	cr_assert_leq(taken, waiting / 3, "not moved for %u of %u", taken, waiting);
}

/* As long as it says that it is not crowded, the largest datagram finds room. */
Test(mailbox, one_that_is_not_crowded_takes_the_largest)
{
	unsigned pushed = 0, taken = 0;

	for (unsigned i = 0; i < 5000; i++) {
		while (!mailbox_is_crowded(m)) {
			cr_assert(push(pushed, pushed % 5 ? pushed * 7 % 3000 : 16384));
			pushed++;
		}
		expect(taken, taken % 5 ? taken * 7 % 3000 : 16384);
		taken++;
		mailbox_release(m);
	}
}
