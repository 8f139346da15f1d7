/* Responses to an INVITE of ours whose transaction is over: what Completed and Accepted would do with them (RFC 3261
 * 17.1.1.2, RFC 6026 7.2, RFC 3261 13.2.2.4), made of the leg or of the response itself. */
#ifndef RW_CORE_CALL_LATE_H
#define RW_CORE_CALL_LATE_H

#include "core/call/state.h"

/* ACK for a failure response, with the branch of the INVITE (17.1.1.3).  tx and leg may be NULL. */
void late_ack_failure(struct shard *s, const struct leg *leg, const struct transaction *tx, const struct sip_message *m,
		      const struct flow *from);

/* A final response to an INVITE that has no transaction any more.  leg: the one its branch names, or NULL. */
void late_invite_response(struct shard *s, struct leg *leg, const struct ident *id, const struct sip_message *m,
			  const struct flow *from);

/* A 2xx to an INVITE of ours was taken: when it comes again after its leg has gone it gets an ACK and no second BYE. */
void late_remember(struct shard *s, const struct sip_message *m);

/* The same of a 2xx that a former process took, as the leg has it. */
void late_remember_leg(struct shard *s, const struct leg *callee);

/* Ends the dialog that a 2xx from another branch of a fork has made: ACK, then BYE.  invited: the leg that its branch
 * names, or NULL. */
void late_end_fork(struct shard *s, const struct leg *invited, const struct ident *id, const struct sip_message *m,
		   const struct flow *from);

#endif
