/* Who a call is said to be from beside its From: P-Asserted-Identity and Privacy.  RFC 3323 4.2, RFC 3325 7, 9; spec 4.
 *
 * Nothing of them passes from leg to leg but by the routing gateway's p_asserted_identity and privacy.  An identity
 * that the caller wants kept private goes only where Privacy goes as well, and then From says nothing of it. */
#ifndef RW_CORE_CALL_IDENTITY_H
#define RW_CORE_CALL_IDENTITY_H

#include "core/call/state.h"

/* What of the caller's INVITE is kept until the call is answered: a text, TEXT_NONE if it says nothing.  false: there
 * is no room for what it says, and without it the call must not go out. */
bool identity_keep(struct shard *s, const struct sip_message *invite, uint32_t *ret_text);

/* Whether From has to be anonymous towards this gateway: the number is in P-Asserted-Identity, and to be kept there. */
bool identity_is_hidden(const struct shard *s, const struct setup *setup, const struct routing_gateway *routing);

/* The lines of the INVITE to this gateway, whose leg it is. */
void identity_build(const struct shard *s, struct builder *b, const struct leg *callee, const struct setup *setup,
		    const struct routing_gateway *routing);

#endif
