/* Online check: OPTIONS outside a dialog to every address of a routing gateway with options_check, from its home shard
 * (gateway id modulo shards), once every SS_SIP_OPTIONS_CHECK_PERIOD.  RFC 3261 11.
 *
 * Any final response proves an address alive, 4xx to 6xx as well: somebody there speaks SIP.  An address is down after
 * two silent periods running and back with the first answer; a gateway is down while all its addresses are.  Each
 * gateway has a moment of its own in the period, drawn at random, so that the checks of many are no burst.
 *
 * What was found stands in the home shard's book (core/quality.h), where all shards and the control thread read it.  */
#ifndef RW_CORE_CALL_CHECK_H
#define RW_CORE_CALL_CHECK_H

#include "core/call/state.h"

#define CHECKS_MAX 16384 /* gateways under check of one shard; further ones count as online */

/* Begins the checks that a new configuration (shard.config) asks for and ends the others; what is known of a gateway's
 * addresses that stay is kept. */
void check_configure(struct shard *s);

/* The entry of a gateway on the wheel came due. */
void check_due(struct shard *s, struct check *check);
/* A final response to an OPTIONS of ours (ROLE_CHECK). */
void check_answered(struct shard *s, const struct transaction *options);

/* Whether the gateway is down: all its addresses are. */
bool check_all_down(const struct shard *s, uint32_t routing_id);
/* Whether this one of them is, by its place in routing_gateway.addresses. */
bool check_is_down(const struct shard *s, uint32_t routing_id, unsigned address);

/* For shard_check(): asserts what holds of all checks; returns how many entries they have on the wheel. */
unsigned check_inspect(const struct shard *s);

#endif
