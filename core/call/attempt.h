/* One INVITE towards one routing gateway, as long as it is under way. */
#ifndef RW_CORE_CALL_ATTEMPT_H
#define RW_CORE_CALL_ATTEMPT_H

#include "core/call/state.h"

/* Sends it to one of the RG's addresses; the RG has given leave (admission_ask()), and the call counts on it.  false:
 * no room for it; the line is still the caller's. */
bool attempt_begin(struct shard *s, struct call *call, const struct routing_gateway *routing, uint32_t address);

/* A response to its INVITE that the transaction passes on; the leg may have been abandoned (its call is POOL_NONE). */
void attempt_response(struct shard *s, struct leg *leg, struct transaction *invite, const struct sip_message *m);
/* Its INVITE could not even be sent: the machine has no way to that gateway. */
void attempt_undeliverable(struct shard *s, struct leg *leg, struct transaction *invite);
/* No response at all (Timer B). */
void attempt_timeout(struct shard *s, struct leg *leg);
/* Its wait is over (spec 6). */
void attempt_due(struct shard *s, struct attempt *attempt);

/* Lets go of the attempt under way: CANCEL as RFC 3261 9.1 allows; `code` goes into the CDR's list. */
void attempt_abandon(struct shard *s, struct call *call, uint16_t code);

#endif
