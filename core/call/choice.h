/* Which routing gateway a call tries next (spec 7).
 *
 * Nothing is kept of the configuration between two attempts but the ids of the gateways that were tried or skipped:
 * each time the candidates are looked up anew, in the configuration of the moment, so that a reload in mid set-up
 * leaves no pointer behind.  */
#ifndef RW_CORE_CALL_CHOICE_H
#define RW_CORE_CALL_CHOICE_H

#include "core/call/state.h"

/* Whether any routing gateway serves the call's number at all. */
bool choice_exists(const struct shard *s, const struct call *call);

/* The best candidate that is not struck off and does not rest; NULL: none is left.  Lent until the configuration
 * changes, which it does only between two inputs. */
const struct routing_gateway *choice_next(const struct shard *s, const struct call *call);

/* Strikes a gateway off for this call: it was tried, or had no line free.  false: no room to keep that, so the call
 * must not look for another one. */
bool choice_strike(struct shard *s, struct call *call, uint32_t routing_id);

#endif
