/* The records of a shard: call, leg, transaction, body.  Flat: they name each other by index into their pools
 * (POOL_NONE: none), and keep texts by handle into the shard's text store (design, rule 5). */
#ifndef RW_CORE_CALL_RECORDS_H
#define RW_CORE_CALL_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "core/config/config.h"
#include "core/flow.h"
#include "core/pool.h"
#include "sip/message.h"
#include "sip/session_timer.h"
#include "sip/transaction.h"
#include "timers/wheel.h"

/* What an entry on the wheel is embedded in. */
enum wheel_kind { WHEEL_CALL, WHEEL_TRANSACTION, WHEEL_ATTEMPT, WHEEL_LEG };

/* ---- call: both legs, from the INVITE to its CDR ---- */

enum call_state {
	CALL_ASKING,   /* admission: waiting for leave to use the MG's line, or an RG's */
	CALL_TRYING,   /* an attempt is under way, nothing heard but 100 */
	CALL_RINGING,  /* a provisional response was relayed */
	CALL_ANSWERED, /* the 200 went to the caller, its ACK has not come */
	CALL_UP,
	CALL_STATES
};

enum call_text {
	CALL_CALLER_IN, /* user part of From as received */
	CALL_CALLEE_IN, /* user part of the request-URI as received */
	CALL_CALLER_OUT,
	CALL_CALLEE_OUT, /* what routing looks up: without + and visual separators */
	CALL_TEXTS
};

/* What admission is asked for while a call is CALL_ASKING. */
enum line_kind { LINE_NONE, LINE_MAPPING, LINE_ROUTING };

struct call {
	struct slot slot;
	struct wheel_entry timer; /* the earliest deadline of the call: set-up, pending admission, caps */
	uint32_t caller_leg;
	uint32_t callee_leg;             /* the winning one; POOL_NONE until answered */
	uint32_t attempt;                /* under way; POOL_NONE when there is none */
	uint32_t invite;                 /* server transaction of the caller's INVITE; POOL_NONE once it is over */
	uint32_t texts;                  /* packed, CALL_TEXTS */
	uint32_t attempt_log;            /* text: struct cdr_attempt_note[] of the attempts that have ended */
	uint32_t mapping_id, routing_id; /* names of gateways; routing_id of the last attempt */
	uint32_t sequence;               /* in the cdr_id */
	struct address source;           /* of the INVITE */
	struct address destination;      /* of the last attempt */
	uint32_t callee_slot, callee_generation; /* leg of the last attempt: its Call-ID; POOL_NONE: no attempt yet */
	uint16_t bucket;

	int64_t start_us;        /* INVITE in, realtime */
	uint64_t start_ns;       /* the same, monotonic: all other moments are durations from here */
	uint64_t ringing_ns;     /* first 18x; 0: none */
	uint64_t first_reply_ns; /* first 18x or final from the callee's side; 0: none */
	uint64_t connect_ns;     /* 200 in; 0: not answered */
	int64_t connect_us;
	uint64_t setup_ends_ns; /* RW_SETUP_MAX; 0: none */
	uint64_t ask_ends_ns;   /* admission must have answered by then; 0: nothing asked */
	uint64_t ends_ns;       /* the smallest cap of an answered call; 0: none */
	uint8_t ends_reason;    /* enum cdr_end_reason of that cap */

	uint8_t state;        /* enum call_state */
	uint8_t asked;        /* enum line_kind: what CALL_ASKING waits for */
	uint8_t max_forwards; /* to send on */
	uint16_t last_code;   /* final code of the latest failed attempt, 0: none or silence */
	uint8_t last_reason;  /* enum cdr_end_reason of that attempt */
	uint16_t last_q850;
	bool rang;                /* 180 was relayed (or any 18x but 183) */
	bool mapping_line : 1;    /* holds a line of the MG */
	bool routing_line : 1;    /* answered: holds the line of the RG that its attempt held */
	bool last_silent : 1;     /* the latest attempt failed without a response */
	bool offer_in_invite : 1; /* else delayed offer: the callee's 200 carries it, the caller's ACK the answer */
	bool early_sdp : 1;       /* a provisional response with SDP was relayed */
	bool over : 1;            /* has ended; in shard.over_calls until the input under way is done with */
	uint8_t attempts_count;   /* made so far, at most 255 */
	struct session_timer_rules rules; /* parameters, as they were when the call started */
	uint32_t probe_interval_s;
	uint32_t refreshes_sent, refreshes_confirmed; /* both legs */
	uint64_t last_confirmed_ns;                   /* latest proof of life of either leg; 0: not answered yet */
	int64_t last_confirmed_us;
	uint32_t no_timer_cap_s, max_duration_s; /* 0: none */
	uint32_t callee_max_duration_s;          /* of the RG under way */

	const struct mapping_gateway *mapping;           /* set-up only */
	const struct routing_gateway *const *candidates; /* set-up only: lent by the configuration */
	uint32_t candidate_count, candidate_next;
	uint32_t over_next;
};

/* An ended attempt in call.attempt_log. */
struct attempt_note {
	uint32_t routing_id;
	uint32_t ms;
	uint32_t code;
};

/* ---- leg: one dialog ---- */

enum leg_side { LEG_CALLER, LEG_CALLEE };

enum leg_state {
	LEG_EARLY, /* its INVITE has no final response */
	LEG_UP,    /* 2xx sent or received */
	LEG_ENDED, /* BYE sent or received, or the INVITE failed: only transactions are left */
};

struct leg {
	struct slot slot;
	uint32_t call;         /* POOL_NONE once the call has ended: the leg waits for its transactions */
	uint32_t transactions; /* first of its list */
	uint32_t transaction_count;
	uint32_t texts;           /* packed dialog (sip/dialog.h) */
	uint32_t body_in;         /* last session body from the peer; POOL_NONE: none */
	uint32_t body_out;        /* last session body sent to the peer */
	uint32_t ack_cseq;        /* of our latest ACK for a 2xx, which may be asked for again */
	uint32_t ack_body;        /* what it carried; POOL_NONE: nothing */
	uint32_t local_cseq;      /* of our latest request */
	uint32_t remote_cseq;     /* of the peer's latest request, valid when has_remote_cseq */
	uint32_t invite_cseq;     /* of our latest INVITE */
	uint32_t remote_tag_hash; /* of the peer's tag; 0 none yet */
	uint16_t boot;            /* the start of the node that minted its token */
	uint16_t bucket;
	uint16_t branch_sequence; /* of the next client transaction */
	uint8_t side;             /* enum leg_side */
	uint8_t state;            /* enum leg_state */
	bool has_remote_cseq : 1;
	bool ack_wanted : 1;    /* delayed offer: the 2xx of our INVITE waits for its ACK */
	bool bye_after_ack : 1; /* caller: BYE goes out after its ACK or 64*T1 */
	bool fork : 1;          /* made of another branch's 2xx, to end it */
	bool over : 1;          /* in shard.over_legs */
	uint32_t bye_reason;    /* text: value of the Reason header for bye_after_ack; TEXT_NONE */
	uint32_t over_next;
	bool peer_updates : 1;   /* its Allow lists UPDATE */
	bool no_update : 1;      /* but it refused one: refresh by re-INVITE */
	bool probe_open : 1;     /* the latest OPTIONS has no answer yet */
	bool probe_answered : 1; /* one was answered before */
	uint8_t probes_silent;   /* running */
	uint8_t tries_422;       /* of the refresh under way */
	bool last_waits : 1;     /* the last refresh, at the end of the window, waits for another offer */
	bool holds : 1;          /* a request of its peer may wait for the other leg (core/call/offer.h) */
	uint32_t refresh;        /* transaction of the refresh under way; POOL_NONE */
	uint64_t probe_due_ns;   /* 0: no probing */
	struct session_timer session;
	uint64_t offer_due_ns;    /* the peer has yet to hear of the other side's session; UINT64_MAX: when the leg is
				   * free; 0: it has */
	struct wheel_entry timer; /* the earliest of session.due_ns, probe_due_ns and offer_due_ns */
	struct flow flow;         /* where the peer's last message in this dialog came from */
};

/* ---- attempt: one INVITE towards one RG ---- */

/* The newest state's timer runs its full time; a repeated provisional does not restart it. */
enum attempt_waiting { WAIT_INVITE, WAIT_TRYING, WAIT_PROGRESS, WAIT_PROGRESS_SDP, WAIT_RINGING, WAIT_STATES };

struct attempt {
	struct slot slot;
	struct wheel_entry timer; /* waiting on the RG (spec 6) */
	uint32_t call;
	uint32_t leg;
	uint32_t invite; /* client transaction */
	const struct routing_gateway *routing;
	uint64_t started_ns;
	uint64_t wait_ends_ns[WAIT_STATES]; /* of each state it was in: each runs once; 0: not yet */
	uint8_t waiting;                    /* enum attempt_waiting */
	uint8_t tries_422;                  /* INVITEs repeated with a larger interval */
	bool line : 1;                      /* holds a line of the RG */
};

/* ---- transaction ---- */

/* Whom a transaction tells. */
enum transaction_role {
	ROLE_SETUP,   /* the INVITE that makes the dialog */
	ROLE_RELAY,   /* a request inside the dialog that the other leg sees as well */
	ROLE_REFRESH, /* a session refresh of ours */
	ROLE_OFFER,   /* a re-INVITE of ours that tells one side what a refresh of the other brought */
	ROLE_PROBE,   /* OPTIONS on a leg without session timer */
	ROLE_LOCAL,   /* answered by us, or sent by us with nobody waiting for the answer: BYE, CANCEL */
};

struct transaction {
	struct slot slot;
	struct wheel_entry timer; /* the earlier of the two below */
	uint64_t resend_at_ns;    /* 0: none */
	uint64_t ends_at_ns;      /* 0: none */
	uint64_t key;             /* server: what a retransmission is found by (core/call/table.h) */
	uint32_t chain;           /* in the table */
	uint32_t next;            /* on the leg */
	uint32_t leg;
	uint32_t peer; /* ROLE_RELAY: its transaction on the other leg */
	uint32_t peer_generation;
	uint32_t head;         /* text; server: Via to CSeq of every response; INVITE client: packed To and
				* request-URI as sent, for its CANCEL and ACK */
	uint32_t message;      /* text: last message sent, for retransmission */
	uint32_t passed_lines; /* server, text: headers that are passed on, of a request that is held */
	uint32_t contact;      /* server, text: Contact URI of the request, taken as remote target with the 2xx */
	uint32_t offer;        /* body of the request, POOL_NONE: none */
	struct session_timer_offer session; /* server, INVITE and UPDATE: what the 2xx will say of session timers */
	uint32_t cseq;
	uint32_t branch_hash;     /* server: of the topmost branch */
	uint16_t branch_sequence; /* client */
	uint16_t status;          /* server: last one sent */
	uint8_t kind;             /* enum transaction_kind */
	uint8_t state;            /* enum transaction_state */
	uint8_t method;           /* enum sip_method */
	uint8_t role;             /* enum transaction_role */
	uint8_t resends;
	uint8_t tries_422; /* ROLE_RELAY: sent again so often with a larger interval */
	bool in_table : 1;
	bool over : 1;           /* in shard.over_transactions, chained by `chain` */
	bool claim : 1;          /* ROLE_REFRESH: names us the refresher */
	bool cancelled : 1;      /* INVITE: a CANCEL came (server) or was sent (client) */
	bool cancel_wanted : 1;  /* INVITE client: CANCEL goes out with the first provisional response (RFC 3261 9.1) */
	bool ack_has_answer : 1; /* INVITE server: 2xx carries an offer of the other side, the ACK its answer */
	bool held : 1;           /* server: waits, or waited, for the other leg before it is passed on */
	uint8_t max_forwards;    /* server, ROLE_RELAY: to pass on */
	struct flow flow;        /* server: where responses go; client: where the request went */
};

/* ---- body: a session description, identical ones shared ---- */

struct body {
	struct slot slot;
	uint32_t references;
	uint32_t chain;
	uint32_t text;      /* content header lines, then the bytes */
	uint32_t head_size; /* of the content header lines */
	uint32_t unused;
	uint64_t hash;
};

#endif
