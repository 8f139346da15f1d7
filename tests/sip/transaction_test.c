/* The transaction tables against the figures of RFC 3261 17 and RFC 6026 7, cell by cell: what is not listed here must
 * not be expected there. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "sip/transaction.h"

struct cell {
	enum transaction_state state;
	enum transaction_event event;
	enum transaction_state next;
	unsigned acts;
};

#define NONE       TRANSACTION_NONE
#define CALLING    TRANSACTION_CALLING
#define PROCEEDING TRANSACTION_PROCEEDING
#define ACCEPTED   TRANSACTION_ACCEPTED
#define COMPLETED  TRANSACTION_COMPLETED

static void check(enum transaction_kind kind, const struct cell *cells, unsigned count)
{
	unsigned expected = 0;
	for (unsigned state = 0; state < TRANSACTION_STATES; state++)
		for (unsigned event = 0; event < TRANSACTION_EVENTS; event++)
			expected += transaction_step(kind, state, event)->expected;
	cr_assert_eq(expected, count, "%u cells, the figure has %u", expected, count);
	for (unsigned i = 0; i < count; i++) {
		const struct transaction_step *step = transaction_step(kind, cells[i].state, cells[i].event);
		cr_assert(step->expected, "cell %u: state %d, event %d", i, cells[i].state, cells[i].event);
		cr_assert_eq(step->next, cells[i].next, "cell %u: goes to %u", i, step->next);
		cr_assert_eq(step->acts, cells[i].acts, "cell %u: does %#x, not %#x", i, step->acts, cells[i].acts);
	}
}

#define CHECK(kind, cells) check((kind), (cells), sizeof(cells) / sizeof *(cells))

/* Figure 5.  What Completed and Accepted do needs no transaction (core/call/late.h), so a final response ends it. */
Test(rfc3261_17_1_1_2, invite_client)
{
	static const struct cell figure[] = {
		{ NONE, EVENT_BEGIN, CALLING, ACT_SEND | ACT_SPACE | ACT_END_64T1 },
		{ CALLING, EVENT_RESEND, CALLING, ACT_RESEND | ACT_SPACE }, /* Timer A */
		{ CALLING, EVENT_END, NONE, ACT_TELL_TIMEOUT },             /* Timer B */
		{ CALLING, EVENT_1XX, PROCEEDING, ACT_TELL | ACT_STOP_SPACE | ACT_STOP_END | ACT_DROP },
		{ CALLING, EVENT_2XX, NONE, ACT_TELL },
		{ CALLING, EVENT_300_699, NONE, ACT_ACK | ACT_TELL },
		{ PROCEEDING, EVENT_1XX, PROCEEDING, ACT_TELL },
		{ PROCEEDING, EVENT_2XX, NONE, ACT_TELL },
		{ PROCEEDING, EVENT_300_699, NONE, ACT_ACK | ACT_TELL },
		{ PROCEEDING, EVENT_END, NONE, ACT_TELL_TIMEOUT }, /* the user's: 64*T1 after a CANCEL (9.1) */
	};
	CHECK(INVITE_CLIENT, figure);
}

/* Figure 6.  A request is repeated in Proceeding as well (Timer E). */
Test(rfc3261_17_1_2_2, client)
{
	static const struct cell figure[] = {
		{ NONE, EVENT_BEGIN, CALLING, ACT_SEND | ACT_SPACE | ACT_END_64T1 },
		{ CALLING, EVENT_RESEND, CALLING, ACT_RESEND | ACT_SPACE },
		{ CALLING, EVENT_END, NONE, ACT_TELL_TIMEOUT }, /* Timer F */
		{ CALLING, EVENT_1XX, PROCEEDING, 0 },
		{ CALLING, EVENT_2XX, NONE, ACT_TELL },
		{ CALLING, EVENT_300_699, NONE, ACT_TELL },
		{ PROCEEDING, EVENT_1XX, PROCEEDING, 0 },
		{ PROCEEDING, EVENT_2XX, NONE, ACT_TELL },
		{ PROCEEDING, EVENT_300_699, NONE, ACT_TELL },
		{ PROCEEDING, EVENT_RESEND, PROCEEDING, ACT_RESEND | ACT_SPACE },
		{ PROCEEDING, EVENT_END, NONE, ACT_TELL_TIMEOUT },
	};
	CHECK(CLIENT, figure);
}

/* Figure 7, with Accepted of RFC 6026 7.1; the 2xx is repeated until its ACK (13.3.1.4). */
Test(rfc3261_17_2_1, invite_server)
{
	static const struct cell figure[] = {
		{ NONE, EVENT_BEGIN, PROCEEDING, 0 },
		{ PROCEEDING, EVENT_REQUEST, PROCEEDING, ACT_RESEND | ACT_COUNT_RETRANSMIT },
		{ PROCEEDING, EVENT_1XX, PROCEEDING, ACT_SEND },
		{ PROCEEDING, EVENT_2XX, ACCEPTED, ACT_SEND | ACT_SPACE | ACT_END_64T1 },
		{ PROCEEDING, EVENT_300_699, COMPLETED, ACT_SEND | ACT_SPACE | ACT_END_64T1 },
		{ ACCEPTED, EVENT_REQUEST, ACCEPTED, ACT_COUNT_RETRANSMIT }, /* absorbed */
		{ ACCEPTED, EVENT_RESEND, ACCEPTED, ACT_RESEND | ACT_SPACE },
		{ ACCEPTED, EVENT_ACK, NONE, ACT_TELL },
		{ ACCEPTED, EVENT_END, NONE, ACT_TELL_TIMEOUT },
		{ COMPLETED, EVENT_REQUEST, COMPLETED, ACT_RESEND | ACT_COUNT_RETRANSMIT },
		{ COMPLETED, EVENT_RESEND, COMPLETED, ACT_RESEND | ACT_SPACE }, /* Timer G */
		{ COMPLETED, EVENT_ACK, NONE, 0 },
		{ COMPLETED, EVENT_END, NONE, 0 }, /* Timer H */
	};
	CHECK(INVITE_SERVER, figure);
}

/* Figure 8. */
Test(rfc3261_17_2_2, server)
{
	static const struct cell figure[] = {
		{ NONE, EVENT_BEGIN, CALLING, 0 },
		{ CALLING, EVENT_REQUEST, CALLING, ACT_COUNT_RETRANSMIT },
		{ CALLING, EVENT_1XX, PROCEEDING, ACT_SEND },
		{ CALLING, EVENT_2XX, COMPLETED, ACT_SEND | ACT_END_64T1 },
		{ CALLING, EVENT_300_699, COMPLETED, ACT_SEND | ACT_END_64T1 },
		{ PROCEEDING, EVENT_REQUEST, PROCEEDING, ACT_RESEND | ACT_COUNT_RETRANSMIT },
		{ PROCEEDING, EVENT_1XX, PROCEEDING, ACT_SEND },
		{ PROCEEDING, EVENT_2XX, COMPLETED, ACT_SEND | ACT_END_64T1 },
		{ PROCEEDING, EVENT_300_699, COMPLETED, ACT_SEND | ACT_END_64T1 },
		{ COMPLETED, EVENT_REQUEST, COMPLETED, ACT_RESEND | ACT_COUNT_RETRANSMIT },
		{ COMPLETED, EVENT_RESEND, COMPLETED, ACT_RESEND | ACT_SPACE }, /* what found no room to be sent */
		{ COMPLETED, EVENT_END, NONE, 0 },                              /* Timer J */
	};
	CHECK(SERVER, figure);
}

/* A cell that is not expected does nothing at all. */
Test(rfc3261_17, an_unexpected_event_changes_nothing)
{
	for (unsigned kind = 0; kind < TRANSACTION_KINDS; kind++)
		for (unsigned state = 0; state < TRANSACTION_STATES; state++)
			for (unsigned event = 0; event < TRANSACTION_EVENTS; event++) {
				const struct transaction_step *step = transaction_step(kind, state, event);
				cr_assert(step->expected || (!step->acts && !step->next));
			}
}
