/* The state of a shard, shared by the modules of core/call and by nothing else.  Who does what:
 *
 *   shard.c      what comes in, to whom it goes
 *   memory.c     all memory, reserved once; the helpers below
 *   inspect.c    gauges, and the checker of all invariants
 *   reply.c      answers that need no state, refusals
 *   shed.c       which INVITEs are taken while the worker does not keep pace
 *   overload.c   and what the others get
 *   stranger.c   what comes from no gateway, and how much of it
 *   setup.c      a call from its INVITE to the caller's ACK
 *   reliable.c   provisional responses to the caller, reliable ones (RFC 3262) too
 *   attempt.c    one INVITE towards one routing gateway
 *   early.c      its early dialogs, several where the gateway forks
 *   prack.c      its reliable provisional responses, and their PRACK
 *   switching.c  whether there is a next one, when one has failed
 *   choice.c     which routing gateway comes next
 *   number.c     who calls and whom: as received, for routing, as sent
 *   identity.c   P-Asserted-Identity and Privacy
 *   rest.c       those that have asked for a rest
 *   admission.c  leave of gateways with limits; what a shard holds of them
 *   room.c       the node's max_calls, shared out among the shards
 *   home.c       the account of a gateway's limits, at its home shard
 *   charge*.c    what a call costs, and for how long its credit lasts
 *   purse.c      what a shard holds of an account's credit
 *   bank.c       the credit of an account, at its home shard
 *   check.c      which routing gateways are online
 *   relay.c      requests inside a dialog
 *   offer.c      one offer at a time on a leg; what waits for that
 *   refresh.c    session timers and probes
 *   ending.c     how a call ends, and its CDR
 *   facts.c      what only the CDR needs of a call
 *   late.c       responses whose transaction is over
 *   lost.c       requests whose connection has ended
 *   carry*.c     calls that outlive the process
 *   leg.c        a dialog: its texts, its requests
 *   exchange.c   transactions: what the state machines of sip/transaction ask for
 *   body.c       session bodies, shared
 *   table.c      what an initial INVITE or a retransmission is found by
 *   command.c    what the control thread asks for                                                                    */
#ifndef RW_CORE_CALL_STATE_H
#define RW_CORE_CALL_STATE_H

#include "core/call/records.h"
#include "core/call/shed.h"
#include "core/call/table.h"
#include "core/edge.h"
#include "core/ident.h"
#include "core/shard.h"
#include "core/text.h"
#include "sip/build.h"
#include "sip/dialog.h"
#include "sip/message.h"
#include "timers/wheel.h"

/* The header part of a request may be so long (513): then whatever is built of it and a relayed body fits DATAGRAM_MAX,
 * and can be kept for retransmission. */
#define HEADERS_MAX  8192
#define DATAGRAM_MAX (SIP_MESSAGE_BYTES_MAX + HEADERS_MAX + 4096)
#define LINES_MAX    TALLY_GATEWAYS_MAX /* by gateway id */
#define NUMBER_MAX   128                /* characters of a number; a longer one has no route */

/* What was worked out of the message under way and is asked for more than once. */
struct memo {
	struct token_memo { /* by enum leg_side: the token of a leg, which is Call-ID, tag, branch and Contact */
		uint32_t leg, generation; /* POOL_NONE: none */
		uint16_t boot, bucket;
		char token[IDENT_SIZE];
	} tokens[2];
	uint64_t key; /* table_key() of the message with its own method */
	bool has_key;
	uint16_t bucket; /* of its Call-ID */
	bool stranger;   /* it came from no gateway (core/call/stranger.h) */
	bool paid;       /* and counts against the rate of its source */
	uint32_t came_bytes;
};

struct carry;
struct lease;
struct purse;
struct ranking;
struct rest;
struct strangers;

struct shard {
	const struct config *config;
	struct edge edge;
	struct shard_stats *stats;
	struct tallies tallies;
	struct tally *tally; /* this shard's book */
	struct quality_books qualities;
	struct quality_book *quality; /* this shard's book */
	struct ident_key key;
	uint16_t shard, shard_count;
	uint16_t boot;
	uint64_t machine;             /* its start */
	uint32_t calls_max;           /* its share of the node's */
	uint32_t room;                /* it may have so many calls now (core/call/room.h) */
	bool room_asked;              /* for more of it */
	uint64_t room_ask_ns;         /* not again before that */
	uint32_t transaction_reserve; /* kept free for BYE and CANCEL: calls that are up can always be ended */
	uint32_t forks;               /* legs made to end forks */
	uint64_t random;              /* state of the shard's own generator */
	struct arrival now;           /* of the input under way; never runs backwards */
	uint64_t came_ns;             /* when the datagram under way came, which may be before `now`; 0: none is */
	uint64_t clock_ns;            /* when it was now.real_us */
	uint32_t sequence;            /* calls so far: part of a cdr_id */

	struct pool calls, setups, legs, attempts, transactions, charges, checks;
	struct text_store texts;
	struct table table;
	struct wheel wheel;
	uint32_t *body_heads; /* chains of bodies by hash: handles, TEXT_NONE at the end */
	uint32_t body_head_mask;
	uint32_t bodies_used, bodies_max;
	struct lease *leases; /* by gateway id: what it holds of lines and starts (core/call/admission.h) */
	struct gateway_limits
		*limits;      /* by gateway id, as the configuration in force has them: what the next one changes */
	char *homes;          /* accounts of the gateways whose home is this shard (core/call/home.h) */
	struct purse *purses; /* by account id: what it holds of its credit (core/call/purse.h) */
	char *banks;          /* credit of the accounts whose home is this shard (core/call/bank.h) */
	uint32_t refusals;    /* gateway id: first of a chain, 0: none (core/call/home.h) */
	uint32_t home_turns;  /* calls of home_refuse_due() */
	uint32_t generations[CONFIG_WORKERS_MAX]; /* of the configuration, by shard, as they have said */
	uint32_t generation_of_all;               /* the least of them */
	struct ranking *ranking;                  /* of the call under way (core/call/choice.h) */
	struct rest *rests;                       /* by gateway id (core/call/rest.h) */
	struct carry *carry;                      /* (core/call/carry.h) */
	struct strangers *strangers;              /* (core/call/stranger.h) */

	/* Encoded CDRs that the queue had no room for: a ring of bytes that can hold those of all calls. */
#define BACKLOG_RECORD_MAX 4096u /* bytes of one, with its size */
	uint8_t *backlog;
	uint64_t backlog_size, backlog_first, backlog_last;
	uint32_t backlog_count;

	struct rewrite_room *rewrites; /* for the number rules of all gateways */
	uint32_t rewrites_noted; /* generation of the configuration of which it was said that a pattern takes long */

	struct shed shed;      /* which INVITEs are taken */
	uint64_t shed_told_ns; /* when the log last had that an overload begins; 0: never */
	bool shed_told;        /* its end is to be told, too */

	bool draining; /* no new calls */
	bool stopping;
	bool keeping;          /* calls that are up are left to the next process */
	uint32_t stop_cursor;  /* next call slot to end */
	uint64_t stop_next_ns; /* when the next portion is due */

	/* What ended during the input under way: still valid memory until shard_settle(), so that nobody who is told of
	 * an end has to care who else holds the record. */
	uint32_t over_transactions, over_legs, over_calls;
	uint32_t streamed;  /* client transactions on connections, the latest first (core/call/lost.h) */
	uint32_t moved_leg; /* its peer's new target, below, found no room: what is sent in this input goes there;
			       POOL_NONE */
	struct bytes moved_to;

	struct memo *memo;
	char *scratch;              /* SIP_SCRATCH_BYTES for the reader */
	char *work;                 /* DATAGRAM_MAX: texts and bodies while they are put together */
	char *spare;                /* DATAGRAM_MAX: built into when the edge has no room, and thrown away */
	bool unsent;                /* the latest datagram was */
	struct sip_message message; /* the one under way */
};

/* ---- small helpers that every module needs ---- */

static inline struct call *call_at(const struct shard *s, uint32_t index)
{
	return index == POOL_NONE ? NULL : pool_at(&s->calls, index);
}

/* NULL: set-up is over. */
static inline struct setup *setup_of(const struct shard *s, const struct call *call)
{
	return call->setup == POOL_NONE ? NULL : pool_at(&s->setups, call->setup);
}

static inline struct leg *leg_at(const struct shard *s, uint32_t index)
{
	return index == POOL_NONE ? NULL : pool_at(&s->legs, index);
}

static inline struct attempt *attempt_at(const struct shard *s, uint32_t index)
{
	return index == POOL_NONE ? NULL : pool_at(&s->attempts, index);
}

/* NULL: none. */
static inline struct attempt *attempt_under_way(const struct shard *s, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	return setup ? attempt_at(s, setup->attempt) : NULL;
}

static inline struct transaction *transaction_at(const struct shard *s, uint32_t index)
{
	return index == POOL_NONE ? NULL : pool_at(&s->transactions, index);
}

static inline uint32_t call_index(const struct shard *s, const struct call *c)
{
	return pool_index(&s->calls, c);
}

static inline uint32_t leg_index(const struct shard *s, const struct leg *l)
{
	return pool_index(&s->legs, l);
}

static inline uint32_t transaction_index(const struct shard *s, const struct transaction *tx)
{
	return pool_index(&s->transactions, tx);
}

static inline uint64_t seconds_ns(uint64_t seconds)
{
	return seconds * UINT64_C(1000000000);
}

static inline uint64_t milliseconds_ns(uint64_t milliseconds)
{
	return milliseconds * UINT64_C(1000000);
}

/* Of a call that was carried over a start of the machine, moments that are past may lie before the clock's zero: they
 * are counted modulo 2^64, and compared by this.  A distance is a difference all the same. */
static inline bool is_before(uint64_t a_ns, uint64_t b_ns)
{
	return (int64_t)(a_ns - b_ns) < 0;
}

/* The moment of what is under way, for records: a datagram came when the kernel took it, even if one that came later
 * was read before it, or deadlines were looked at; but not before what it follows. */
static inline uint64_t shard_came_ns(const struct shard *s, uint64_t follows_ns)
{
	if (!s->came_ns)
		return s->now.now_ns;
	return is_before(follows_ns, s->came_ns) ? s->came_ns : follows_ns;
}

static inline const struct listen_config *listen_of(const struct shard *s, const struct flow *flow)
{
	return &s->config->listens[flow->listener];
}

/* From a listener to an address. */
static inline struct flow flow_to(const struct shard *s, const struct address *peer, uint16_t listener)
{
	return (struct flow){ .peer = *peer,
			      .listener = listener,
			      .transport = (uint8_t)s->config->listens[listener].transport };
}

/* What a retransmission of the message under way is found by. */
static inline uint64_t message_key(const struct shard *s)
{
	if (!s->memo->has_key) {
		s->memo->key = table_key(&s->table, &s->message, s->message.method);
		s->memo->has_key = true;
	}
	return s->memo->key;
}

/* Follows a new shard.config. */
void shard_take_config(struct shard *s);

/* Gives back what ended during the input. */
void shard_settle(struct shard *s);

/* The shard's own random numbers (splitmix64 from the seed). */
uint64_t shard_random(struct shard *s);

/* One event, key=value, formatted. */
void shard_log(struct shard *s, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Lends room for one datagram; what cannot be lent is built into the spare room and goes nowhere. */
void datagram_begin(struct shard *s, struct builder *b);
/* Sends it; an overflowed one is dropped and counted.  Returns whether the builder holds a whole message. */
bool datagram_send(struct shard *s, struct builder *b, const struct flow *to);
/* Gives the room back instead. */
void datagram_drop(struct shard *s, struct builder *b);

#endif
