/* The early dialogs of an attempt, one for each To tag in its provisional responses: a routing gateway that forks has
 * several.  RFC 3261 12.1, 13.2.2.4.
 *
 * The leg of the attempt is one of them at a time, the one in use: its texts, its sessions and its peer's CSeq are
 * swapped when a message of another one comes, so that whatever works on a leg works on each of them.  The 2xx picks
 * the one that stays; the others are forgotten with the attempt, and a 2xx of theirs is ended (core/call/late.h).
 *
 * Our own requests in them are numbered by one counter, and share the token: to each branch that looks as if some had
 * been lost (RFC 3261 12.2.2 has that in order). */
#ifndef RW_CORE_CALL_EARLY_H
#define RW_CORE_CALL_EARLY_H

#include "core/call/state.h"

/* A provisional response, or the 2xx, with a To tag: its dialog is now in use, with what the response says of it.
 * NULL: no room, all is as before. */
struct early *early_take(struct shard *s, struct attempt *attempt, struct leg *leg, const struct sip_message *m);

/* A request of the peer with this From tag: its early dialog, if there is one, is now in use. */
bool early_find(struct shard *s, struct leg *leg, struct bytes tag);

/* NULL for EARLY_NONE; and the other way about. */
struct early *early_at(const struct shard *s, struct attempt *attempt, uint8_t index);
uint8_t early_index(const struct shard *s, const struct attempt *attempt, const struct early *early);
void early_use(struct shard *s, struct attempt *attempt, struct leg *leg, uint8_t index);

/* Whether the caller was told a session of any of them reliably. */
bool early_was_told(const struct shard *s, struct attempt *attempt);
/* Forgets all but what the leg has: the attempt is over, or its INVITE is sent anew. */
void early_forget(struct shard *s, struct attempt *attempt);

/* Whether, before the answer, the first offer and answer have been exchanged end to end in the dialogs of this leg that
 * are in force, so that UPDATE may bring the next (RFC 3311 5.1). */
bool early_is_settled(const struct shard *s, const struct leg *leg);

#endif
