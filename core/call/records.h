/* The records of a shard: call, set-up, leg, attempt, transaction, body.  Flat: they name each other by index into
 * their pools (POOL_NONE: none), and keep texts by handle into the shard's text store (design, rule 5).
 *
 * A call that is up has a call, two legs, three texts (its facts, a dialog a leg), and a body for each session
 * description: what each message touches stands first in them, what only set-up needs is in a record that the caller's
 * ACK gives back.  docs/architecture.md adds it up. */
#ifndef RW_CORE_CALL_RECORDS_H
#define RW_CORE_CALL_RECORDS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/rating.h"
#include "core/call/switching.h"
#include "core/config/config.h"
#include "core/flow.h"
#include "core/pool.h"
#include "sip/message.h"
#include "sip/session_timer.h"
#include "sip/transaction.h"
#include "timers/wheel.h"

/* What an entry on the wheel is embedded in. */
enum wheel_kind { WHEEL_CALL, WHEEL_TRANSACTION, WHEEL_ATTEMPT, WHEEL_LEG, WHEEL_CHECK, WHEEL_CHARGE };

/* ---- call: both legs, from the INVITE to its CDR ---- */

enum call_state {
	CALL_ASKING,   /* admission: waiting for leave to use the MG's line, or an RG's */
	CALL_TRYING,   /* an attempt is under way, nothing heard but 100 */
	CALL_RINGING,  /* a provisional response was relayed */
	CALL_ANSWERED, /* the 200 went to the caller, its ACK has not come */
	CALL_UP,
	CALL_STATES
};

/* No duration that is configured is above 604800 s. */
#define DURATION_BITS 20
#define DURATION(s)   ((s) & ((1u << DURATION_BITS) - 1))

struct call {
	struct slot slot;         /* next_free chains shard.over_calls */
	struct wheel_entry timer; /* the earliest deadline of the call: set-up, pending admission, caps, whole_waits */
	uint32_t caller_leg;
	uint32_t callee_leg;              /* the winning one; POOL_NONE until answered */
	uint32_t setup;                   /* POOL_NONE once the caller's ACK has come */
	uint32_t facts;                   /* text (core/call/facts.h); TEXT_NONE until then */
	uint32_t mapping_id, routing_id;  /* names of gateways; routing_id of the last attempt, 0: none yet */
	struct session_timer_rules rules; /* parameters, as they were when the call started */

	uint64_t start_ns;                            /* INVITE in, monotonic */
	int64_t start_us;                             /* the same, realtime: with `sequence` the cdr_id */
	uint64_t connect_ns;                          /* 200 in; 0: not answered */
	uint64_t ends_ns;                             /* the smallest cap of an answered call; 0: none */
	int64_t last_confirmed_us;                    /* latest proof of life of either leg; 0: not answered yet */
	uint32_t refreshes_sent, refreshes_confirmed; /* both legs */
	uint32_t sequence;
	uint32_t no_timer_cap_s : DURATION_BITS; /* 0: none */
	uint32_t ends_reason : 8;                /* enum cdr_end_reason of the smallest cap */
	uint32_t state : 4;                      /* enum call_state */
	uint32_t max_duration_s
	    : DURATION_BITS;      /* of the node, the MG and the RG that answered, the smallest; 0: none */
	uint32_t whole_turn : 12; /* of its latest whole record for a change (core/call/carry.h); 0: none */
	uint32_t probe_interval_s : DURATION_BITS;
	uint32_t changed : 4;      /* bits by enum carry_part: noted, and not written yet (core/call/carry.h) */
	uint32_t whole_waits : 1;  /* the next whole record waits until that turn is over */
	uint32_t mapping_line : 1; /* admitted: it counts on the MG */
	uint32_t routing_line : 1; /* answered: it counts on the RG, as its attempt did */
	uint32_t recovered : 1;    /* carried over from a former process */
	uint32_t journaled : 1;    /* a RECORD_LIVE of it is out: changes are worth a record too */
	uint32_t over : 1;         /* has ended; in shard.over_calls until the input under way is done with */
	uint32_t held : 1;         /* its 200 waits until its RECORD_LIVE is on the disk */
	uint32_t closing : 1;      /* carried over and ended before: on carry.closing until its BYEs are due */
};

static_assert(sizeof(struct call) == 128, "two cache lines: see the table in docs/architecture.md");

/* ---- set-up: what a call needs until the caller's ACK, and not afterwards ---- */

enum call_number {
	CALL_CALLER_IN, /* as received, in From or what the MG's caller_from names */
	CALL_CALLEE_IN, /* as received, in the request-URI or what the MG's callee_from names */
	CALL_CALLER, /* as the MG's rules leave them: what routing looks up and each RG's own rules begin with; the */
	CALL_CALLEE, /* callee's is without + and visual separators */
	CALL_CALLER_OUT, /* as sent with the last attempt */
	CALL_CALLEE_OUT,
	CALL_NUMBERS
};

/* What admission is asked for while a call is CALL_ASKING: a line, or the credit of the customer's account (charge.h).
 */
enum line_kind { LINE_NONE, LINE_MAPPING, LINE_ROUTING, LINE_CREDIT };

/* The waiting states of an attempt: the newest state's timer runs its full time; a repeated provisional does not
 * restart it. */
enum attempt_waiting { WAIT_INVITE, WAIT_TRYING, WAIT_PROGRESS, WAIT_PROGRESS_SDP, WAIT_RINGING, WAIT_STATES };

/* What the caller's INVITE says of reliable provisional responses. */
enum reliable { RELIABLE_NOT, RELIABLE_SUPPORTED, RELIABLE_REQUIRED };

struct setup {
	struct slot slot;
	uint32_t attempt; /* under way; POOL_NONE when there is none */
	uint32_t invite;  /* server transaction of the caller's INVITE; POOL_NONE once it is over */
	uint32_t account_id, vendor_account_id; /* names; 0: none */
	uint32_t struck;                        /* text: ids of RGs that are not tried (again), ascending */
	uint32_t charge;                        /* as index + 1; 0: none; then in the facts */
	uint32_t identity;                      /* text: P-Asserted-Identity and Privacy (core/call/identity.h) */
	uint32_t offer;                         /* body of the caller's INVITE, for ours; POOL_NONE: none.  The leg's
						 * changes with an UPDATE in an early dialog */
	uint32_t asked_id;                      /* gateway or account whose leave CALL_ASKING waits for */
	uint32_t ask_next, ask_previous;        /* calls that wait for the same, as index + 1; 0: none; call.held: for
						 * the disk */
	uint32_t ask_turn;                      /* its place among all that ever waited for it; call.held: the low
						 * bits of its record's serial */
	uint32_t callee_max_duration_s;         /* of the RG under way; 0: none */
	uint64_t ends_ns;                       /* RW_SETUP_MAX; 0: none */
	uint64_t ask_ends_ns;                   /* admission must have answered by then; 0: nothing asked */
	uint8_t asked;                          /* enum line_kind: what CALL_ASKING waits for */
	uint8_t max_forwards;                   /* to send on */
	uint8_t last_reason;                    /* enum cdr_end_reason of the latest failed attempt */
	uint16_t last_code;                     /* final code of it, 0: silence */
	uint16_t last_q850;
	uint16_t wait_s[WAIT_STATES]; /* SS_SIP_TIMEOUT_*, as they were when the call started */
	struct switching_rules rules; /* likewise */
	uint8_t switches;             /* made so far, at most 255 */
	bool rang : 1;                /* 180 was relayed (or any 18x but 183) */
	bool early_sdp : 1;           /* a provisional response with SDP was relayed */
	bool early_dialog : 1;        /* a provisional response was relayed with the tag that is in force */
	bool offer_in_invite : 1;     /* else delayed offer: the callee's 200 carries it, the caller's ACK the answer;
				       * or a reliable provisional response, and its PRACK */

	/* Provisional responses to the caller (core/call/reliable.h). */
	uint8_t reliable;               /* enum reliable */
	uint8_t edition;                /* the highest of the tags that it was shown (core/call/leg.h) */
	uint8_t rseq_resends;           /* of the one that waits for its PRACK */
	bool rseq_offers : 1;           /* that one has an offer, and its PRACK will have the answer */
	bool has_next : 1;              /* one more waits until it has its PRACK: */
	bool next_asked : 1;            /* the callee sent it reliably */
	bool answer_waits : 1;          /* so does the 200 */
	bool bare_answer : 1;           /* the 200 has no session: the caller has it, by a reliable response */
	bool answered_by_prack : 1;     /* the callee's offer, which then needs no answer in an ACK */
	uint8_t next_early, rseq_early; /* early dialog of the attempt that they come from, EARLY_NONE: none */
	uint16_t next_status;
	uint32_t next_body;
	uint32_t rseq;                         /* of the latest reliable one; 0: none yet */
	uint64_t rseq_resend_ns, rseq_ends_ns; /* it is sent again, or given up; 0: it has its PRACK */

	/* For the CDR. */
	uint8_t attempts_count;                  /* made so far, at most 255 */
	uint32_t numbers;                        /* text: packed, CALL_NUMBERS */
	uint32_t attempt_log;                    /* text: struct attempt_note[] of the attempts that have ended */
	uint32_t callee_slot, callee_generation; /* leg of the last attempt: its Call-ID */
	uint64_t ringing_ns;                     /* first 18x; 0: none */
	uint64_t first_reply_ns;                 /* first 18x or final from the callee's side; 0: none */
	int64_t connect_us;                      /* 200 in, realtime; 0: not answered */
	struct address source;                   /* of the INVITE */
	struct address destination;              /* of the last attempt */
};

/* An ended attempt in setup.attempt_log. */
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
	struct slot slot;         /* next_free chains shard.over_legs */
	uint32_t call;            /* POOL_NONE once the call has ended: the leg waits for its transactions */
	uint32_t transactions;    /* first of its list */
	uint32_t texts;           /* packed dialog (sip/dialog.h) */
	uint32_t remote_tag_hash; /* of the peer's tag; 0 none yet */
	uint32_t local_cseq;      /* of our latest request */
	uint32_t remote_cseq;     /* of the peer's latest request, valid when has_remote_cseq */
	uint32_t invite_cseq;     /* of our latest INVITE */
	uint32_t body_in;         /* last session body from the peer; POOL_NONE: none */
	uint32_t body_out;        /* last session body sent to the peer */
	uint32_t ack_cseq;        /* of our latest ACK for a 2xx, which may be asked for again */
	uint32_t ack_body;        /* what it carried; POOL_NONE: nothing */
	uint32_t refresh;         /* transaction of the refresh under way; POOL_NONE */
	uint16_t boot;            /* the start of the node that minted its token */
	uint16_t branch_sequence; /* of the next client transaction */
	uint32_t bucket : 12;
	uint32_t side : 1;  /* enum leg_side */
	uint32_t state : 2; /* enum leg_state */
	uint32_t has_remote_cseq : 1;
	uint32_t ack_wanted : 1;     /* delayed offer: the 2xx of our INVITE waits for its ACK */
	uint32_t bye_after_ack : 1;  /* caller: BYE goes out after its ACK or 64*T1 */
	uint32_t fork : 1;           /* made of another branch's 2xx, to end it */
	uint32_t over : 1;           /* in shard.over_legs */
	uint32_t peer_updates : 1;   /* its Allow lists UPDATE */
	uint32_t no_update : 1;      /* but it refused one: refresh by re-INVITE */
	uint32_t probe_open : 1;     /* the latest OPTIONS has no answer yet */
	uint32_t probe_answered : 1; /* one was answered before */
	uint32_t probes_silent : 2;  /* running */
	uint32_t tries_422 : 2;      /* of the refresh under way */
	uint32_t last_waits : 1;     /* the last refresh, at the end of the window, waits for another offer */
	uint32_t holds : 1;          /* a request of its peer may wait for the other leg (core/call/offer.h) */
	uint32_t tagged : 1;         /* DIALOG_LOCAL has its tag, which is of a later edition than the token alone */
	uint32_t closes : 1;         /* its call has ended, and when it goes a RECORD_CLOSED says so */

	struct flow flow;         /* where the peer's last message in this dialog came from */
	struct wheel_entry timer; /* the earliest of session.due_ns, probe_due_ns and offer_due_ns */
	union {
		uint64_t probe_due_ns;  /* 0: no probing */
		int64_t ended_start_us; /* closes: of its call */
	};
	struct session_timer session;
	union {
		uint64_t offer_due_ns; /* the peer has yet to hear of the other side's session; UINT64_MAX: when the leg
					* is free; 0: it has */
		uint32_t ended_sequence; /* closes: of its call */
	};
};

static_assert(sizeof(struct leg) == 168, "see the table in docs/architecture.md");

/* ---- attempt: one INVITE towards one RG ---- */

/* An early dialog of an attempt (core/call/early.h).  The texts, session bodies and CSeq of the one in use are those of
 * the attempt's leg. */
struct early {
	uint32_t tag_hash;          /* of the peer's tag */
	uint32_t texts;             /* as leg.texts */
	uint32_t body_in, body_out; /* as of the leg */
	uint32_t remote_cseq;
	uint32_t rseq;        /* of the latest reliable response; 0: none yet */
	uint32_t owed_rseq;   /* of the one whose offer the caller has yet to answer, by its PRACK; 0: none */
	uint32_t caller_cseq; /* told, and left for another: of the caller's latest request in it */
	uint8_t edition;      /* told: tag that the caller knows this dialog by */
	bool has_remote_cseq : 1;
	bool answered : 1; /* its session came reliably */
	bool told : 1;     /* and went so to the caller */
	bool settled : 1;  /* offer and answer have been exchanged end to end: either side may make the next offer */
};

#define EARLY_MAX  6 /* of one attempt; another branch of a fork takes the place of one that nobody looks at */
#define EARLY_NONE UINT8_MAX

struct attempt {
	struct slot slot;
	struct wheel_entry timer; /* waiting on the RG (spec 6) */
	uint32_t call;
	uint32_t leg;
	uint32_t invite; /* client transaction */
	uint32_t routing_id;
	uint16_t wait_s[WAIT_STATES]; /* how long it waits in each state: the RG's own or the global parameters */
	uint64_t started_ns;
	uint64_t wait_ends_ns[WAIT_STATES]; /* of each state it was in: each runs once; 0: not yet */
	uint8_t waiting;                    /* enum attempt_waiting */
	uint8_t tries_422;                  /* INVITEs repeated with a larger interval */
	uint8_t address;                    /* which of the RG's */
	bool rang : 1;                      /* 18x but 183 came */
	bool replied : 1;                   /* an 18x or a final response came */
	bool reliable : 1;                  /* its INVITE offers 100rel */
	uint8_t early_count;
	uint8_t early_used;  /* the one that is the leg's; EARLY_NONE */
	uint8_t early_heard; /* the one that the caller has heard of last; EARLY_NONE */
	struct early early;  /* the first; the others: */
	uint32_t earlies;    /* text: struct early[EARLY_MAX - 1], once there is a second */
};

/* ---- charge: what a call with an account costs (core/call/charge.h) ---- */

struct charge {
	struct slot slot;
	struct wheel_entry timer; /* when to look for more credit, or to end the call */
	uint64_t ends_ns;         /* what is reserved lasts so long, of an answered call; UINT64_MAX: for ever */
	uint32_t call;
	uint32_t account_id;     /* the customer's; 0: no customer's account, the vendor's alone */
	uint32_t next, previous; /* charges that wait for credit of the same account, as index + 1; 0: none */
	int64_t reserved_e8;     /* of the account's credit, for this call */
	union {
		int64_t least_e8; /* while it waits: more of it that is of use */
		int64_t cost_e8;  /* once the call has ended, the vendor's */
	};
	int64_t most_e8; /* while it waits: more of it that it would take */
	int64_t fee_e8;  /* once the call has ended */
	uint64_t paid_s; /* billed seconds that are reserved for; UINT64_MAX: any */
	struct rate_terms customer, vendor;
	struct rating_rules rules;
	uint16_t ask_turn;  /* the first ask (credit_note.h) that is for it, too */
	uint8_t prefix[16]; /* that the customer's rate is of: two digits a byte, the first in the upper half */
	uint8_t prefix_size;
	uint8_t bill_until : 4;        /* enum bill_until: of the customer's account; */
	uint8_t vendor_bill_until : 4; /* of the vendor's, for the cost */
	bool has_customer : 1;         /* its terms are in force */
	bool has_vendor : 1;
	bool waits : 1;     /* in the purse's queue */
	bool unlimited : 1; /* the account's overdraft is: credit was not looked at */
	bool asks_late : 1; /* what is reserved has ended already: ends_ns is how long the answer is waited for */
};

static_assert(sizeof(struct charge) == 192, "three cache lines: see docs/architecture.md");

/* ---- check: is a routing gateway online (core/call/check.h) ---- */

struct check {
	struct slot slot;
	struct wheel_entry timer;
	uint64_t due_ns;   /* of the next OPTIONS; UINT64_MAX: none any more, the node is stopping */
	uint64_t asked_ns; /* when the last one went out; 0: none yet */
	uint64_t period_ns;
	uint32_t routing_id;
	uint32_t address_count;
	struct address addresses[ROUTING_ADDRESSES_MAX]; /* as the configuration in force has them */
	/* By address, a bit each. */
	uint8_t open;   /* the last OPTIONS has no answer yet */
	uint8_t silent; /* nor had the one before */
	uint8_t down;
	bool drawn; /* its moment in the period */
};

/* ---- transaction ---- */

/* Whom a transaction tells. */
enum transaction_role {
	ROLE_SETUP,   /* the INVITE that makes the dialog */
	ROLE_RELAY,   /* a request inside the dialog that the other leg sees as well */
	ROLE_REFRESH, /* a session refresh of ours */
	ROLE_OFFER,   /* a re-INVITE of ours that tells one side what a refresh of the other brought */
	ROLE_PROBE,   /* OPTIONS on a leg without session timer */
	ROLE_CHECK,   /* OPTIONS to a routing gateway, outside a dialog */
	ROLE_LOCAL,   /* answered by us, or sent by us with nobody waiting for the answer: BYE, CANCEL */
};

struct transaction {
	struct slot slot;
	struct wheel_entry timer; /* the earlier of the two below */
	uint64_t resend_at_ns;    /* 0: none */
	uint64_t ends_at_ns;      /* 0: none */
	union {
		uint64_t key; /* server: what a retransmission is found by (core/call/table.h) */
		struct {      /* client: its neighbours in shard.streamed */
			uint32_t stream_next, stream_previous;
		};
	};
	uint32_t chain; /* in the table */
	uint32_t next;  /* on the leg */
	uint32_t leg;
	uint32_t peer; /* ROLE_RELAY: its transaction on the other leg; ROLE_CHECK: the struct check */
	union {
		uint32_t peer_generation;
		uint32_t rseq; /* caller's INVITE: of a response whose PRACK may follow on the final one; 0: none */
	};
	uint32_t head;         /* text; server: Via to CSeq of every response; INVITE client: packed To and
				* request-URI as sent, for its CANCEL and ACK */
	uint32_t message;      /* text: last message sent, for retransmission */
	uint32_t contact;      /* server, text: Contact URI of the request, taken as remote target with the 2xx */
	uint32_t passed_lines; /* server, text: headers that are passed on with an offer, now, later or again */
	uint32_t reason;       /* INVITE, text: Reason values; of the caller's, for the BYE that waits for its ACK; of
				* ours, for its CANCEL */
	uint32_t offer;        /* body of the request, POOL_NONE: none */
	struct session_timer_offer session; /* INVITE and UPDATE, of session timers: server: what the 2xx will say;
					     * client: interval_s is what it asks for */
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
	bool no_provisional : 1; /* INVITE server, inside a dialog: it would want them reliable, and gets none */
	union {
		uint8_t max_forwards; /* server, ROLE_RELAY: to pass on */
		uint8_t early;        /* client, ROLE_RELAY: early dialog of the attempt that it is of; EARLY_NONE: it
				       * was sent after the answer */
	};
	struct flow flow; /* server: where responses go; client: where the request went */
};

/* ---- body: a session description, identical ones shared ---- */

/* A text that begins so; the header lines that describe the content follow, and the content.  Named by its handle, or
 * POOL_NONE. */
struct body {
	uint32_t references;
	uint32_t chain; /* the next with such a hash; TEXT_NONE: none */
	uint32_t hash;  /* of the content */
	uint16_t head_size;
	bool plain; /* the header lines are "Content-Type: application/sdp" alone, and are not stored */
	uint8_t unused;
};

#endif
