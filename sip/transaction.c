#include "sip/transaction.h"

#include <assert.h>

/* A row: what happens in a state upon an event. */
#define STEP(next_state, ...)                                                                                          \
	{                                                                                                              \
		1, TRANSACTION_##next_state, (uint16_t)(__VA_ARGS__)                                                   \
	}

static const struct transaction_step table[TRANSACTION_KINDS][TRANSACTION_STATES][TRANSACTION_EVENTS] = {
	/* RFC 3261 17.1.1.2 figure 5.  Timer B ends Calling; after a 1xx the routing timers of the call decide how long
	 * to wait.  A final response ends the transaction: what Completed (Timer D) and Accepted (Timer M, RFC 6026 7.2)
	 * would do with a late one needs nothing of the transaction, because our branch in it names the leg, and an ACK is
	 * made of the leg or of the response itself; core/call/late.c does so for as long as such responses come. */
	[INVITE_CLIENT] = {
		[TRANSACTION_NONE] = {
			[EVENT_BEGIN]   = STEP(CALLING, ACT_SEND | ACT_SPACE | ACT_END_64T1),
		},
		[TRANSACTION_CALLING] = {
			[EVENT_1XX]     = STEP(PROCEEDING, ACT_TELL | ACT_STOP_SPACE | ACT_STOP_END | ACT_DROP),
			[EVENT_2XX]     = STEP(NONE, ACT_TELL),
			[EVENT_300_699] = STEP(NONE, ACT_ACK | ACT_TELL),
			[EVENT_RESEND]  = STEP(CALLING, ACT_RESEND | ACT_SPACE), /* A */
			[EVENT_END]     = STEP(NONE, ACT_TELL_TIMEOUT),          /* B */
		},
		[TRANSACTION_PROCEEDING] = {
			[EVENT_1XX]     = STEP(PROCEEDING, ACT_TELL),
			[EVENT_2XX]     = STEP(NONE, ACT_TELL),
			[EVENT_300_699] = STEP(NONE, ACT_ACK | ACT_TELL),
			[EVENT_END]     = STEP(NONE, ACT_TELL_TIMEOUT), /* armed by the user, as after a CANCEL (9.1) */
		},
	},
	/* RFC 3261 17.1.2.2 figure 6. */
	[CLIENT] = {
		[TRANSACTION_NONE] = {
			[EVENT_BEGIN]   = STEP(CALLING, ACT_SEND | ACT_SPACE | ACT_END_64T1),
		},
		[TRANSACTION_CALLING] = {
			[EVENT_1XX]     = STEP(PROCEEDING, 0),
			[EVENT_2XX]     = STEP(NONE, ACT_TELL),
			[EVENT_300_699] = STEP(NONE, ACT_TELL),
			[EVENT_RESEND]  = STEP(CALLING, ACT_RESEND | ACT_SPACE), /* E */
			[EVENT_END]     = STEP(NONE, ACT_TELL_TIMEOUT),          /* F */
		},
		[TRANSACTION_PROCEEDING] = {
			[EVENT_1XX]     = STEP(PROCEEDING, 0),
			[EVENT_2XX]     = STEP(NONE, ACT_TELL),
			[EVENT_300_699] = STEP(NONE, ACT_TELL),
			[EVENT_RESEND]  = STEP(PROCEEDING, ACT_RESEND | ACT_SPACE),
			[EVENT_END]     = STEP(NONE, ACT_TELL_TIMEOUT),
		},
		/* Completed (Timer K) only absorbs further responses: one that finds no transaction is dropped as well, so
		 * the final response ends the transaction. */
	},
	/* RFC 3261 17.2.1 figure 7, with Accepted from RFC 6026 7.1.  The spacing and the lack of an ACK after a 2xx are
	 * the user's (13.3.1.4); they are rows here because they are the same two timers. */
	[INVITE_SERVER] = {
		[TRANSACTION_NONE] = {
			[EVENT_BEGIN]   = STEP(PROCEEDING, 0),
		},
		[TRANSACTION_PROCEEDING] = {
			[EVENT_REQUEST] = STEP(PROCEEDING, ACT_RESEND | ACT_COUNT_RETRANSMIT),
			[EVENT_1XX]     = STEP(PROCEEDING, ACT_SEND),
			[EVENT_2XX]     = STEP(ACCEPTED, ACT_SEND | ACT_SPACE | ACT_END_64T1),
			[EVENT_300_699] = STEP(COMPLETED, ACT_SEND | ACT_SPACE | ACT_END_64T1), /* G, H */
		},
		[TRANSACTION_ACCEPTED] = {
			[EVENT_REQUEST] = STEP(ACCEPTED, ACT_COUNT_RETRANSMIT),
			[EVENT_RESEND]  = STEP(ACCEPTED, ACT_RESEND | ACT_SPACE),
			[EVENT_ACK]     = STEP(NONE, ACT_TELL),
			[EVENT_END]     = STEP(NONE, ACT_TELL_TIMEOUT),
		},
		[TRANSACTION_COMPLETED] = {
			[EVENT_REQUEST] = STEP(COMPLETED, ACT_RESEND | ACT_COUNT_RETRANSMIT),
			[EVENT_RESEND]  = STEP(COMPLETED, ACT_RESEND | ACT_SPACE), /* G */
			[EVENT_ACK]     = STEP(NONE, 0),
			[EVENT_END]     = STEP(NONE, 0), /* H: no ACK came; the call has long ended */
		},
		/* Confirmed absorbs what is late (Timers I and L): a tombstone does that, see core/call/table.h. */
	},
	/* RFC 3261 17.2.2 figure 8. */
	[SERVER] = {
		[TRANSACTION_NONE] = {
			[EVENT_BEGIN]   = STEP(CALLING, 0),
		},
		[TRANSACTION_CALLING] = {
			[EVENT_REQUEST] = STEP(CALLING, ACT_COUNT_RETRANSMIT),
			[EVENT_1XX]     = STEP(PROCEEDING, ACT_SEND),
			[EVENT_2XX]     = STEP(COMPLETED, ACT_SEND | ACT_END_64T1), /* J */
			[EVENT_300_699] = STEP(COMPLETED, ACT_SEND | ACT_END_64T1),
		},
		[TRANSACTION_PROCEEDING] = {
			[EVENT_REQUEST] = STEP(PROCEEDING, ACT_RESEND | ACT_COUNT_RETRANSMIT),
			[EVENT_1XX]     = STEP(PROCEEDING, ACT_SEND),
			[EVENT_2XX]     = STEP(COMPLETED, ACT_SEND | ACT_END_64T1),
			[EVENT_300_699] = STEP(COMPLETED, ACT_SEND | ACT_END_64T1),
		},
		[TRANSACTION_COMPLETED] = {
			[EVENT_REQUEST] = STEP(COMPLETED, ACT_RESEND | ACT_COUNT_RETRANSMIT),
			[EVENT_RESEND]  = STEP(COMPLETED, ACT_RESEND | ACT_SPACE), /* what found no room to be sent */
			[EVENT_END]     = STEP(NONE, 0), /* J */
		},
	},
};

const struct transaction_step *transaction_step(enum transaction_kind kind, enum transaction_state state,
						enum transaction_event event)
{
	assert(kind < TRANSACTION_KINDS && state < TRANSACTION_STATES && event < TRANSACTION_EVENTS);
	return &table[kind][state][event];
}
