/* The four transaction state machines of RFC 3261 17, with RFC 6026, as tables: state and event in, next state and what
 * to do out.  Pure: whoever owns the transaction sends, arms and stores.
 *
 * Timers: every transaction has at most one spacing of retransmissions (A, E, G and the spacing of a 2xx, RFC 3261
 * 13.3.1.4) and one end (B, F, H, J, and the wait for the ACK of a 2xx), so two deadlines and one entry on the wheel.
 */
#ifndef RW_SIP_TRANSACTION_H
#define RW_SIP_TRANSACTION_H

#include <stdint.h>

enum transaction_kind { INVITE_CLIENT, CLIENT, INVITE_SERVER, SERVER, TRANSACTION_KINDS };

enum transaction_state {
	TRANSACTION_NONE,    /* terminated, or not begun */
	TRANSACTION_CALLING, /* INVITE client; for the others: Trying */
	TRANSACTION_PROCEEDING,
	TRANSACTION_ACCEPTED, /* RFC 6026 7.1: INVITE server, a 2xx was sent and its ACK has not come */
	TRANSACTION_COMPLETED,
	TRANSACTION_STATES
};

enum transaction_event {
	EVENT_BEGIN,   /* request sent (client) or received (server) */
	EVENT_REQUEST, /* server: the request again */
	EVENT_ACK,     /* INVITE server */
	EVENT_1XX,     /* client: received; server: the user sends one */
	EVENT_2XX,
	EVENT_300_699,
	EVENT_RESEND, /* the spacing timer */
	EVENT_END,    /* the end timer */
	TRANSACTION_EVENTS
};

enum transaction_act {
	ACT_SEND = 1 << 0,              /* the message of the event for the first time; kept for retransmission */
	ACT_RESEND = 1 << 1,            /* what is kept, once more */
	ACT_ACK = 1 << 2,               /* INVITE client: ACK a final response that is not 2xx (17.1.1.3) */
	ACT_TELL = 1 << 3,              /* pass the response, or for a server the ACK, to the transaction user */
	ACT_TELL_TIMEOUT = 1 << 4,      /* B, F: no answer; INVITE server: no ACK to the 2xx */
	ACT_SPACE = 1 << 5,             /* arm the spacing timer: its first wait, or the next after EVENT_RESEND */
	ACT_STOP_SPACE = 1 << 6,        /* no more retransmissions */
	ACT_END_64T1 = 1 << 7,          /* arm the end: 64*T1 from now (B, F, H, J; 2xx without ACK) */
	ACT_STOP_END = 1 << 8,          /* no end: the user's own timers apply */
	ACT_DROP = 1 << 9,              /* what is kept may go */
	ACT_COUNT_RETRANSMIT = 1 << 10, /* an incoming retransmission */
};

struct transaction_step {
	uint8_t expected; /* 0: not expected in this state; counted and ignored */
	uint8_t next;     /* enum transaction_state */
	uint16_t acts;    /* enum transaction_act */
};

/* Over UDP.  A reliable transport leaves out ACT_SPACE but in TRANSACTION_ACCEPTED and for what found no room to be
 * sent, and Timer J.  A transaction whose next state is TRANSACTION_NONE is over. */
const struct transaction_step *transaction_step(enum transaction_kind kind, enum transaction_state state,
						enum transaction_event event);

#endif
