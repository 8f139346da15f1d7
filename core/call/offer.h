/* Offers inside a dialog, one at a time.  RFC 3261 14.1, 14.2; RFC 3311 5.1, 5.2; RFC 3264 4.
 *
 * One question, offer_open(), says what is open on a leg; whoever is about to send or take an offer goes by its answer:
 *
 *                            the peer offers on this leg    its offer is to go out    we refresh     we tell
 *   the peer's offer         500                            491 to its sender         wait           wait
 *   2xx of ours, no ACK yet  500                            hold                      wait           wait
 *   an offer of ours         491                            hold                      wait           wait
 *   failure, no ACK yet      taken                          hold                      wait           wait
 *   our re-INVITE (refresh)  491                            hold                      replaces it    wait
 *   our UPDATE (refresh)     491                            goes out                  replaces it    goes out
 *   our PRACK                taken                          hold
 *
 * In the last quarter of its window a refresh by UPDATE waits for nothing: it has no offer (RFC 3311 5.1).  One that
 * changes who refreshes waits on, as what is open says the roles as well.
 *
 * The last line is of an early dialog: what overtook the PRACK would have it refused as out of order (12.2.2).  An
 * offer in the INVITE, or in a reliable response to it, is open until it has its answer (core/call/early.h).
 *
 * To hold a request is to keep its server transaction as it is (an INVITE has its 100, an UPDATE is silent), with the
 * body and the lines that are passed on, until nothing is open any more on the leg it is for; then it goes out.  What
 * ends while it waits - CANCEL, BYE, the call - answers it as it would answer one that was passed on. */
#ifndef RW_CORE_CALL_OFFER_H
#define RW_CORE_CALL_OFFER_H

#include "core/call/state.h"

enum offer_open {
	OPEN_PEERS = 1 << 0,          /* INVITE, or UPDATE or PRACK with an offer, of the peer: no final response yet */
	OPEN_UNACKED = 1 << 1,        /* INVITE of the peer: our 2xx has no ACK yet */
	OPEN_OURS = 1 << 2,           /* INVITE, or UPDATE with a body, of ours; or our ACK is to bring the answer */
	OPEN_REFRESH = 1 << 3,        /* a re-INVITE of ours that refreshes, replaced ones too */
	OPEN_REFRESH_UPDATE = 1 << 4, /* an UPDATE that refreshes: it has no offer */
	OPEN_FAILED = 1 << 5, /* INVITE of the peer: our failure response has no ACK yet (14.1: not confirmed) */
	OPEN_PRACK = 1 << 6,  /* PRACK of ours: no answer yet */
};

/* Of one leg, but for `except` (NULL: nothing): 0, or enum offer_open. */
unsigned offer_open(const struct shard *s, const struct leg *leg, const struct transaction *except);
/* No offer of ours may go out into these. */
#define OPEN_OFFERS (OPEN_OTHERS | OPEN_REFRESH | OPEN_PRACK)
/* The same but for a refresh, which a new one replaces. */
#define OPEN_OTHERS (OPEN_PEERS | OPEN_UNACKED | OPEN_OURS | OPEN_FAILED)
/* 491, and not 500, to an offer of the peer. */
#define OPEN_GLARE (OPEN_OURS | OPEN_REFRESH | OPEN_REFRESH_UPDATE)

/* The peer's INVITE, UPDATE or PRACK waits for the other leg, at most 64*T1 (INVITE: then 491) or 8*T1 (then 500 with
 * Retry-After, long before its sender gives it up).  What is to go out is in tx->offer and tx->passed_lines. */
void offer_hold(struct shard *s, struct leg *leg, struct transaction *tx);
bool offer_is_held(const struct transaction *tx);
/* When it came. */
uint64_t offer_held_since_ns(const struct shard *s, const struct transaction *tx);
/* Its entry on the wheel came due. */
void offer_hold_due(struct shard *s, struct transaction *tx);

/* Something ended on a leg of the call: what waited for that goes out.  For shard_settle(). */
void offer_settle(struct shard *s, struct call *call);

/* The 2xx to a refresh of ours described another session than before (leg->body_in): the other leg is offered it, now
 * or as soon as it is free (spec 4). */
void offer_tell_other(struct shard *s, struct leg *leg);
/* leg->offer_due_ns has come: told again after a 491. */
void offer_tell_due(struct shard *s, struct leg *leg);
/* A failure response to such an offer (ROLE_OFFER). */
void offer_refused(struct shard *s, struct leg *leg, const struct transaction *tx, const struct sip_message *m);

/* After a 491: 2.1 to 4 s for whoever made the Call-ID, 0 to 2 s for the other, in steps of 10 ms (14.1). */
uint64_t offer_glare_wait_ns(struct shard *s, const struct leg *leg);

#endif
