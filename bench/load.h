/* The load generator: both ends of calls through a switch, in one thread on one io_uring.
 *
 * The caller's end (load_caller.c) starts calls at a rate, evenly spaced, and ends them; the callee's end
 * (load_callee.c) rings and answers.  A call is known on the caller's side by the Call-ID and tag that name its slot,
 * on the callee's by the number dialled, and then by our To tag: whatever the switch changes on the way.
 *
 * Messages of a plain call, seven on each side: INVITE, 100, 180, 200, ACK, BYE, 200.  As UAs do, requests and the 200
 * to an INVITE are sent again when nothing comes back. */
#ifndef RW_BENCH_LOAD_H
#define RW_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"
#include "bench/line.h"
#include "bench/load_peers.h"
#include "bench/load_reader.h"
#include "bench/load_ring.h"
#include "bench/load_text.h"
#include "bench/spread.h"
#include "sip/address.h"

enum { LOAD_LOCAL_MAX = 16, LOAD_RESENDS_MAX = 10, LOAD_CODES = 700, LOAD_KEPT_MAX = 4000 };

struct load_settings {
	struct address target; /* the switch */
	struct address caller[LOAD_LOCAL_MAX], callee[LOAD_LOCAL_MAX];
	unsigned caller_count, callee_count;
	bool outbound;   /* requests inside a dialog go to the target too, whatever Contact and Record-Route say */
	char prefix[16]; /* of the number dialled, before the twelve digits that name the call */

	uint64_t ring_ns, answer_ns, hold_ns; /* INVITE to 180, 180 to 200, 200 to BYE; UINT64_MAX: no BYE */
	uint64_t ring_out_ns;                 /* 180 to 480, when nobody answers */
	uint64_t t1_ns;
	double failed, cancelled, unanswered; /* percent of all calls */
	bool timer;                           /* ends support session timers */
	bool no_update;                       /* they do not take UPDATE: refreshes are re-INVITEs */
	uint32_t session_expires_s;
	bool no_sdp;

	uint32_t calls_max; /* at a time; at least that many are in memory */
	uint64_t seed;
};

/* What becomes of a call if the switch does its part. */
enum load_plan { PLAN_ANSWER, PLAN_BUSY, PLAN_CANCEL, PLAN_NO_ANSWER, PLAN_KEEP /* until load_caller_bye() */ };

enum caller_state {
	CALLER_IDLE,
	CALLER_CALLING,    /* INVITE sent, nothing heard */
	CALLER_PROCEEDING, /* a provisional response came */
	CALLER_CANCELLING, /* CANCEL sent */
	CALLER_CANCELLED,  /* and answered; 487 to come */
	CALLER_ANSWERED,
	CALLER_ENDING, /* BYE sent */
	CALLER_OVER,
};

enum callee_state {
	CALLEE_IDLE,
	CALLEE_TRYING,
	CALLEE_RINGING,
	CALLEE_ANSWERED, /* 200 sent, ACK to come */
	CALLEE_REFUSED,  /* a failure sent, ACK to come */
	CALLEE_CONFIRMED,
	CALLEE_OVER,
};

struct load_call {
	uint32_t generation;
	uint8_t caller, callee, plan;
	uint8_t caller_tries, callee_tries;
	bool resent : 1;   /* something had to be sent again */
	bool counted : 1;  /* among the failed */
	bool measured : 1; /* ringing was */
	uint16_t refused;  /* the callee's failure code */
	uint32_t peer;     /* what the caller knows of the switch */
	uint32_t kept;     /* what the callee answers with */
	union {
		struct { /* until the caller has the answer */
			uint64_t invite_ns, answer_ns;
		};
		struct {                       /* from then on, of the caller's leg and of the callee's */
			uint32_t confirmed[2]; /* when we sent or received the latest 2xx, in ticks; of the caller's
						* leg when BYE was sent */
			uint16_t refreshes[2]; /* for whoever counts them */
		};
	};
};

/* Ticks since load_open(): they last for five days. */
#define LOAD_TICK_NS UINT64_C(100000)

/* The callee's side of a call being set up: what its responses repeat of the INVITE. */
struct load_kept {
	struct load_address to;
	uint16_t socket, size;
	uint16_t session_size; /* of the Session-Expires to answer with, after the text; 0: none */
	char text[LOAD_KEPT_MAX];
};

#define LOAD_PROMPT_NS UINT64_C(500000000)

struct load_counts {
	uint64_t attempted, answered;
	uint64_t confirmed;           /* the callee has the ACK */
	uint64_t completed;           /* ended as planned, on both sides */
	uint64_t failed;              /* all that did not */
	uint64_t refused[LOAD_CODES]; /* of these, by the response to INVITE or BYE */
	uint64_t timeouts;            /* no final response, or no ACK */
	uint64_t lost;                /* ended by the switch */
	uint64_t left;                /* one side was never ended */
	uint64_t full;                /* not attempted: all calls that may be up were up */
	uint64_t invites_resent, byes_resent, answers_resent, cancels_resent;
	uint64_t calls_resent; /* calls with any of these */
	uint64_t repeated;     /* messages the switch sent again */
	uint64_t strays;       /* messages of no call that we know */
	uint64_t refreshes_caller, refreshes_callee;
	uint64_t crossed;     /* CANCEL and 200 */
	uint64_t byes_prompt; /* answered within LOAD_PROMPT_NS of when they were first sent */
};

/* Lines of equal delay. */
enum load_line_kind {
	LINE_RING,
	LINE_ANSWER,
	LINE_RING_OUT,
	LINE_HOLD,
	LINE_RESEND_1,
	LINE_RESEND_2,
	LINE_RESEND_4,
	LINE_RESEND_8,
	LINE_LEFT, /* the other side of a call should have ended by now */
	LINES,
};

struct load;

/* Told of a re-INVITE or UPDATE, before it is answered; at_ns: when the kernel received it. */
typedef void load_refresh_fn(void *context, struct load_call *c, bool callee, uint64_t at_ns,
			     const struct load_message *m);

struct load {
	struct load_settings settings;
	struct load_ring ring;
	int sockets[2 * LOAD_LOCAL_MAX];
	struct line line[LINES];
	struct load_peers peers;
	struct bench_random random;
	char run[9]; /* of eight hexadecimal digits: tells this run's calls from another's */

	struct load_call *call;
	uint32_t slots, used; /* and of them, ever used */
	uint32_t *idle;       /* slots to be used again, the one that waited longest first */
	uint32_t idle_first, idle_count;
	uint32_t active;
	struct load_kept *kept;
	uint32_t *kept_free, kept_used, kept_free_count, kept_max;

	/* messages, per local address */
	struct load_template invite[LOAD_LOCAL_MAX], cancel[LOAD_LOCAL_MAX], refused_ack[LOAD_LOCAL_MAX];
	struct load_template in_dialog[LOAD_LOCAL_MAX];
	struct load_template trying, refusal, ringing[LOAD_LOCAL_MAX], answer[LOAD_LOCAL_MAX], answer_body;
	struct load_template session[2]; /* description, of the caller and of the callee */
	char contact[2 * LOAD_LOCAL_MAX][80];
	struct load_address target, latest_address;
	char latest_host[64]; /* whose address is latest_address */
	uint32_t latest_host_size;

	/* starting calls */
	double rate;                         /* a second; 0: none */
	uint64_t rate_from_ns, rate_started; /* when the rate was set, calls started since */
	uint64_t starts_max;                 /* calls that are started at all */
	bool keep;                           /* they are PLAN_KEEP */

	uint64_t opened_ns;
	uint64_t now_ns;        /* CLOCK_MONOTONIC of this turn */
	uint64_t turn_max_ns;   /* the longest turn */
	uint64_t real_ahead_ns; /* CLOCK_REALTIME less that */
	struct load_counts counts;
	struct spread ringing_delay; /* INVITE to 180 or the like, less our own delays */
	struct spread answer_delay;  /* our 200 to the 200 that comes out */
	struct spread bye_delay;     /* BYE to the response to it */
	struct spread late;          /* a call started, less when it was due */
	/* INVITE in to INVITE out: sent, to the receive stamp; only if asked for */
	bool measure_invites;
	uint32_t sent_slot[256];
	unsigned sent_count;
	struct spread invite_delay;

	load_refresh_fn *refresh;
	void *refresh_context;
};

/* 0, or a negative errno and a sentence in `error`. */
int load_open(struct load *l, const struct load_settings *settings, char error[static 256]);
void load_close(struct load *l);

/* From now on. */
void load_set_rate(struct load *l, double rate);
/* One turn: what came, what is due, what is to be started; then sleeps until there is more, at most until until_ns. */
void load_turn(struct load *l, uint64_t until_ns);
/* Forgets all calls that are up; what still comes of them is stray. */
void load_abandon(struct load *l);
/* No new calls, until none is up; false: some still are at until_ns. */
bool load_drain(struct load *l, uint64_t until_ns);
/* Counts and spreads begin anew. */
void load_reset_counts(struct load *l);

/* ---- for its parts: load_caller.c, load_callee.c ---- */

static inline unsigned load_caller_of(const struct load *l, uint32_t slot)
{
	return slot % l->settings.caller_count;
}

/* NULL: there is no such call any more. */
static inline struct load_call *load_find(struct load *l, uint32_t slot, uint32_t generation)
{
	return slot < l->used && l->call[slot].generation == generation ? &l->call[slot] : NULL;
}

static inline uint32_t load_tick(const struct load *l, uint64_t ns)
{
	return (uint32_t)((ns - l->opened_ns) / LOAD_TICK_NS);
}

/* For what an entry of a line is, beside the use of the slot that it is for. */
enum load_note { NOTE_INVITE, NOTE_CANCEL, NOTE_BYE, NOTE_CALLEE, NOTE_CALL };
enum { NOTE_BITS = 3 };
void load_put(struct load *l, enum load_line_kind line, uint32_t slot, enum load_note note);
/* The next resend after `tries`; false: it is over (64*T1). */
bool load_put_resend(struct load *l, uint32_t slot, enum load_note note, unsigned tries);

void load_caller_start(struct load *l, uint32_t slot);
void load_caller_response(struct load *l, const struct load_message *m);
void load_caller_due(struct load *l, uint32_t slot, enum load_line_kind line, enum load_note note);
void load_caller_bye(struct load *l, uint32_t slot);
void load_callee_invite(struct load *l, const struct load_datagram *d, const struct load_message *m);
void load_callee_ack(struct load *l, const struct load_message *m);
void load_callee_cancel(struct load *l, const struct load_datagram *d, const struct load_message *m);
void load_callee_ended(struct load *l, uint32_t slot);
void load_callee_due(struct load *l, uint32_t slot, enum load_line_kind line);
/* Our tag in a To: false: it is none of ours. */
bool load_read_tag(const struct load *l, struct bytes tag, uint32_t *ret_slot, uint32_t *ret_generation,
		   bool *ret_callee);
/* A response without a session: all of it is in the request. */
void load_answer(struct load *l, const struct load_datagram *d, const struct load_message *m, const char *status);
/* 200 to a re-INVITE or UPDATE: with the Session-Expires asked for, and our session description as it always was. */
void load_answer_refresh(struct load *l, const struct load_datagram *d, const struct load_message *m, uint32_t slot,
			 uint32_t generation, bool callee);
/* Writes the messages that are known beforehand.  false: they do not fit. */
bool load_write_ahead(struct load *l);

/* One side has come to its end; the slot is free when both have. */
void load_side_over(struct load *l, uint32_t slot);
void load_failed(struct load *l, struct load_call *c, uint64_t *kind);
static inline void load_resent(struct load *l, struct load_call *c, uint64_t *kind)
{
	(*kind)++;
	l->counts.calls_resent += !c->resent;
	c->resent = true;
}

#endif
