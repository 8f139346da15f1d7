/* Leave of a gateway for a call: a line while it is up, and a start, of which a rate limit allows so many a second.
 * Every call that is admitted counts on its gateways (core/tally.h), whether they have limits or not; only what is
 * limited is asked for, first the rate, then the capacity (spec 4, 7).
 *
 * The count of a limited gateway is kept by one shard, its home (home.h).  A shard takes what the home has lent it;
 * where that is nothing its calls wait (CALL_ASKING) in a queue for each gateway, and one note asks for all of them.
 * Exact, without a lock.
 *
 * A lease is what a shard holds of a gateway: `idle` lines and `starts` that no call uses, and the calls that wait.  A
 * line that a call gives back stays idle here while the home lends; else it goes home at once. */
#ifndef RW_CORE_CALL_ADMISSION_H
#define RW_CORE_CALL_ADMISSION_H

#include "core/call/state.h"

/* By gateway id.  Zeroes are a gateway that was never used. */
struct lease {
	uint64_t second_ends_ns; /* starts are good before that */
	uint32_t idle, starts;   /* lent by the home, and not used */
	uint32_t first, last;    /* calls that wait, as index + 1, in order of their asking */
	uint32_t waiting;        /* how many */
	uint32_t asked;          /* the home has yet to answer so many; some may have ended meanwhile */
	uint32_t turn,
		asked_turn; /* of the next call that asks; calls of earlier turns than asked_turn are asked for */
	bool lends;         /* what is given back may stay: the home will recall it */
};

enum line_answer {
	LINE_GRANTED,
	LINE_FULL,     /* no line is free */
	LINE_TOO_FAST, /* no start is left in this second */
	LINE_PENDING,  /* setup_line_answered() brings the answer */
};

/* Asks a gateway's leave for a call.  Granted: the call counts until admission_free(). */
enum line_answer admission_ask(struct shard *s, struct call *call, enum line_kind kind, uint32_t gateway_id);
/* The call, or its attempt, counts no more. */
void admission_free(struct shard *s, uint32_t gateway_id);
/* The call waits no longer: it has ended, or nobody answers it. */
void admission_forget(struct shard *s, struct call *call);

void admission_note(struct shard *s, const struct note *note);
/* s->config is the first one, or has come in place of another, which is not looked at any more. */
void admission_begin(struct shard *s);
void admission_configured(struct shard *s);
/* Calls were carried over, here or to other shards: each tells the homes how many it has before they answer anybody. */
void admission_restored(struct shard *s);

/* From home.c: the answer for the first of this shard's own calls that wait for a line of it. */
void admission_own_answer(struct shard *s, uint32_t gateway_id, enum line_answer answer);

struct lease *admission_lease(const struct shard *s, uint32_t gateway_id);

#endif
