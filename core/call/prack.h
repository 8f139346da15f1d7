/* Reliable provisional responses of a routing gateway, and the PRACKs that we owe it.  RFC 3262 4.
 *
 * Each is acknowledged as soon as it has come, but for one that brings the offer of a call without an offer in its
 * INVITE: the answer is in the caller's PRACK, which is waited for (core/call/reliable.h). */
#ifndef RW_CORE_CALL_PRACK_H
#define RW_CORE_CALL_PRACK_H

#include "core/call/state.h"

/* Whether a response to an INVITE is a reliable provisional one, and its number. */
bool prack_is_wanted(const struct sip_message *m, uint32_t *ret_rseq);

/* Takes a reliable response of the early dialog in use: acknowledges it, or notes that this is owed.  false: it came
 * before, or out of order, or there is no room to acknowledge it, or too many PRACKs of the leg have no answer yet: as
 * if it had not come. */
bool prack_take(struct shard *s, const struct setup *setup, struct leg *leg, struct early *early,
		const struct sip_message *m, uint32_t rseq);

/* The one that is owed, with the answer that the caller's PRACK has, if any.  false: no room, it is owed still. */
bool prack_answer(struct shard *s, struct leg *leg, struct early *early, const struct sip_message *answer);

/* The RAck header of a PRACK (7.2); false: there is none, or it cannot be read. */
struct prack_rack {
	uint32_t rseq, cseq;
	struct bytes method;
};
bool prack_read_rack(const struct sip_message *m, struct prack_rack *ret_rack);

#endif
