/* Requests inside a dialog: relayed to the other leg, or answered here.  RFC 3261 12.2.2, 14, 15; RFC 3311. */
#ifndef RW_CORE_CALL_RELAY_H
#define RW_CORE_CALL_RELAY_H

#include "core/call/state.h"

/* A request (neither ACK nor CANCEL) on a leg of ours, not seen before. */
void relay_request(struct shard *s, struct leg *leg, const struct sip_message *m, const struct flow *from);

/* A response to a request that was relayed. */
void relay_response(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m);
void relay_timeout(struct shard *s, struct leg *leg, struct transaction *tx);
/* Its entry on the wheel came due: whether it was Timer C (RFC 3261 16.8) of a relayed re-INVITE, which goes on then,
 * as one that is cancelled. */
bool relay_overdue(struct shard *s, struct leg *leg, struct transaction *tx);

/* A PRACK that brings an offer: the other side sees it as an UPDATE, because its own PRACK went out before. */
void relay_prack_offer(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m);
/* The attempt of that leg is over, or the caller goes on in another early dialog: what was relayed to or from those of
 * the leg gets its answer. */
void relay_early_over(struct shard *s, struct leg *leg);

/* ACK to, or no ACK to, the 2xx of a relayed re-INVITE. */
void relay_acked(struct shard *s, struct leg *leg, struct transaction *invite, const struct sip_message *m);
void relay_ack_missing(struct shard *s, struct leg *leg);

/* The leg on the other side of the call, or of the attempt under way; NULL before there is one. */
struct leg *relay_other_leg(const struct shard *s, const struct call *call, const struct leg *leg);
/* The peer says, or shows, that the dialog is no more: the call ends (RFC 3261 12.2.1.2). */
void relay_dialog_lost(struct shard *s, struct leg *leg);

/* 500 with a Retry-After of 0 to 10 s (RFC 3261 14.2, RFC 3311 5.2). */
void relay_reply_busy(struct shard *s, struct transaction *tx);
/* A request that was held goes out now (core/call/offer.h). */
void relay_pass_held(struct shard *s, struct leg *leg, struct transaction *tx);

/* CANCEL of a re-INVITE, and its Reason values (empty: none), which are passed on. */
void relay_cancelled(struct shard *s, struct transaction *invite, struct bytes reason);

#endif
