/* Routing gateways that rest: a 503 with Retry-After says that no call is wanted for a while (RFC 3261 21.5.4).  Each
 * shard keeps the moments by gateway id, and tells the others by a note what it was told; the clock is the same for
 * all.
 *
 * It is the address that rests, by its place in the gateway's list.  A gateway with several is skipped when all of them
 * rest.  A reload that changes a list leaves the rest with the place, for RW_RETRY_AFTER_MAX at most. */
#ifndef RW_CORE_CALL_REST_H
#define RW_CORE_CALL_REST_H

#include "core/call/state.h"

/* Apart from those of core/call/admission.h.  a: gateway id, and above its 32 bits the place of the address; b: until
 * when, nanoseconds of the common clock. */
#define NOTE_REST 64u

/* By gateway id and place: tenths of a second of the clock, rounded up; 0: never.  One shard writes, others may read.
 */
struct rest {
	uint32_t until_ds[ROUTING_ADDRESSES_MAX];
};

/* A 503 came from that address: it rests for its Retry-After, if it has one, and at most RW_RETRY_AFTER_MAX; a rest
 * that is longer already stands. */
void rest_begin(struct shard *s, uint32_t routing_id, uint32_t address, const struct sip_message *m);
/* Another shard has seen one. */
void rest_note(struct shard *s, const struct note *note);

/* Whether none of its addresses is to be tried now, as all of them rest or are down; a gateway that the configuration
 * has no more does not rest. */
bool rest_is_resting(const struct shard *s, uint32_t routing_id);
/* The place of the first address from `from` on that neither rests nor is down (check.h); address_count: there is none.
 */
uint32_t rest_next_awake(const struct shard *s, const struct routing_gateway *routing, uint32_t from);

/* Until when an address rests, or did rest: 0 never.  For any thread. */
uint64_t rest_until_ns(const struct shard *s, uint32_t routing_id, uint32_t address);

#endif
