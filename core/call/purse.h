/* What a shard holds of the credit of an account, and the calls of the shard that wait for some; asked for at the
 * account's bank (bank.h).
 *
 * Idle is what the bank has lent and no call has.  While an ask is open nothing is idle: it went back before the ask
 * did, so that the bank decides on all there is.  At the bank's own shard nothing is idle, ever. */
#ifndef RW_CORE_CALL_PURSE_H
#define RW_CORE_CALL_PURSE_H

#include "core/call/credit_note.h"
#include "core/call/state.h"

/* By account id.  Zeroes are an account that was never used. */
struct purse {
	int64_t idle_e8;
	int64_t asked_least_e8, asked_want_e8; /* of the ask that is open */
	uint32_t first, last;                  /* charges that wait, as index + 1, in order of their asking */
	uint16_t turn;                         /* of the latest ask */
	bool asked;                            /* it is open */
	bool asked_refusable;
	bool lends; /* what comes back may stay: the bank will recall it */
};

struct purse *purse_of(const struct shard *s, uint32_t account_id);

/* At once, if there is enough here: the most, or the least where there is not plenty.  What it took; 0: wait for it. */
int64_t purse_take(struct shard *s, uint32_t account_id, int64_t least_e8, int64_t most_e8);
/* Whether calls may take for some time ahead, rather than increment by increment. */
bool purse_has_plenty(const struct shard *s, uint32_t account_id, int64_t amount_e8);

/* Puts a charge with least_e8 and most_e8 into the queue; charge_granted() or charge_refused() says what came of it,
 * maybe before this returns.  refusable: of a new call. */
void purse_wait(struct shard *s, struct charge *charge);
/* It waits no longer. */
void purse_forget(struct shard *s, struct charge *charge);

/* A call has ended: what was reserved for it, and what it cost of that, or more; below zero: what it has earned. */
void purse_settle(struct shard *s, uint32_t account_id, int64_t reserved_e8, int64_t fee_e8);
/* Taken, whether there is so much or not. */
void purse_force(struct shard *s, uint32_t account_id, int64_t amount_e8);

void purse_answered(struct shard *s, const struct credit_answer *answer);
/* All notes of credit_note.h. */
void purse_note(struct shard *s, const struct note *note);

/* Asserts: nobody waits for whom nothing is asked, nothing is kept that the bank could not have back. */
void purse_check(const struct shard *s);

#endif
