/* Provisional responses to the caller, and reliable ones among them.  RFC 3262 3, 5; RFC 3261 13.3.1.1.
 *
 * One goes out reliably if the caller's INVITE requires that of each, or if it supports it and the callee sent its own
 * reliably.  Until it has its PRACK it is sent again after T1, 2*T1, 4*T1 and so on; after 64*T1 the caller gets 504.
 * What the callee says meanwhile waits, merged into one response: the newest status, the newest session.  So does the
 * 200, always (RFC 3262 asks for it only where a session is in the response): a PRACK that came after it would find
 * nothing, and its 481 would end the caller's dialog.
 *
 * To the caller our leg is one dialog for all branches of a callee's fork, and it is passed on the latest session.  But
 * once it has one branch's session by a reliable response, that was the answer to its offer, and it would have to
 * ignore another one in the same dialog: the other branch's comes with another To tag, as from a fork, and the 200 with
 * that of the branch that has answered. */
#ifndef RW_CORE_CALL_RELIABLE_H
#define RW_CORE_CALL_RELIABLE_H

#include "core/call/state.h"

/* What the INVITE says; on: its gateway has reliable responses. */
void reliable_read(struct setup *setup, const struct sip_message *m, bool on);

/* The callee's provisional response goes to the caller.  early: its dialog, NULL: none; asked: it came reliably. */
void reliable_pass(struct shard *s, struct call *call, const struct sip_message *m, const struct early *early,
		   bool asked);

/* The callee's 2xx came in this early dialog of the attempt (NULL: none is known): the caller will see it in the dialog
 * in which it has heard of that. */
void reliable_answered(struct shard *s, struct call *call, const struct sip_message *m, struct early *early);

/* An attempt has failed: what waited of it is not sent any more. */
void reliable_attempt_over(struct shard *s, struct call *call);
/* The next attempt begins: what the caller hears from now on is of another dialog. */
void reliable_begin_edition(struct shard *s, struct call *call);

/* One has no PRACK yet. */
static inline bool reliable_waits(const struct setup *setup)
{
	return setup->rseq_ends_ns != 0;
}

/* The earlier of its deadlines, UINT64_MAX: none; and when it has come. */
uint64_t reliable_next_ns(const struct setup *setup);
void reliable_due(struct shard *s, struct call *call);

/* A PRACK. */
void reliable_prack(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m);

#endif
