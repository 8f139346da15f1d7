/* Which routing gateway a call tries next (spec 7).
 *
 * The candidates are the gateways of the longest prefix of the number, and where prefix_mode says so those of shorter
 * ones behind them.  The first one that
 *
 *   - the mapping gateway may use (allow, deny),
 *   - this call has not tried, nor found full (struck off),
 *   - that has an address which is neither down (core/call/check.h) nor at rest (core/call/rest.h)
 *   - and whose price is no obstacle (max_price, min_profit_percent; core/call/price.h)
 *
 * is preferred in this order: the longer prefix; the smaller priority; the policies of the mapping gateway (sort); the
 * lower price among those with least_cost, the others behind them; the smaller share of its capacity in use; the fewer
 * attempts so far; the name.
 *
 * A gateway without capacity counts as one of endless capacity: by the share in use it stands before every other that
 * has calls, and two such ones compare by their calls.  By asr the larger share of answered attempts wins, and a
 * gateway of which nothing is known in the window counts as answering all, or it would never get the calls to show what
 * it is worth.  By price, one of which no price is known, for want of an account or a rate, is dearer than all others.
 *
 * Nothing is kept of the configuration between two attempts but the ids of the gateways that were tried or skipped:
 * each time the candidates are looked up anew, in the configuration of the moment, so that a reload in mid set-up
 * leaves no pointer behind.  A mapping gateway that a reload took away may use none any more.  */
#ifndef RW_CORE_CALL_CHOICE_H
#define RW_CORE_CALL_CHOICE_H

#include "core/call/state.h"

/* Whether any routing gateway that the mapping gateway may use serves the call's number, be it up or down, full or
 * free, cheap or dear. */
bool choice_exists(const struct shard *s, const struct call *call);

/* The best candidate; NULL: none is left.  Lent until the configuration changes, which it does only between two
 * inputs. */
const struct routing_gateway *choice_next(const struct shard *s, const struct call *call);

/* Strikes a gateway off for this call: it was tried, or had no line free.  false: no room to keep that, so the call
 * must not look for another one. */
bool choice_strike(struct shard *s, struct call *call, uint32_t routing_id);

/* What choosing keeps of one input of the shard; NULL: the machine refuses the memory. */
struct ranking *choice_reserve(void);
void choice_release(struct ranking *ranking);
/* The input is over. */
void choice_forget(struct ranking *ranking);

#endif
