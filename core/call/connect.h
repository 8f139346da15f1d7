/* A call from the first response of its callee to the ACK of its caller: provisional responses, the answer, what holds
 * it back. */
#ifndef RW_CORE_CALL_CONNECT_H
#define RW_CORE_CALL_CONNECT_H

#include "core/call/state.h"

/* From the attempt under way.  early: the dialog that it is of, NULL: none; asked: it came reliably. */
void connect_provisional(struct shard *s, struct call *call, const struct sip_message *m, const struct early *early,
			 bool asked);
void connect_answered(struct shard *s, struct call *call, struct leg *callee, const struct transaction *asked,
		      const struct sip_message *m);
/* Its record is on the disk (answer_after_sync), or the PRACK has come: the 200 goes out. */
void connect_release(struct shard *s, struct call *call);
/* It has not, and the caller still has to be told; then its CANCEL comes in time, and whatever else ends the call. */
static inline bool connect_is_held(const struct shard *s, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	return call->held || (setup && setup->answer_waits);
}
/* The lines of that 200 but for its head and its session. */
void connect_build_answer(const struct shard *s, struct builder *b, const struct leg *caller,
			  const struct transaction *invite);
/* Until its ACK: whether it has none, since the caller had it by a reliable response. */
bool connect_answer_is_bare(const struct shard *s, const struct leg *leg);

/* From the caller. */
void connect_acked(struct shard *s, struct call *call, const struct sip_message *m);
/* Its 200 was never ACKed. */
void connect_ack_missing(struct shard *s, struct call *call);

#endif
