/* A call from its INVITE to the caller's ACK: admission, attempts one after another, provisional and final responses.
 */
#ifndef RW_CORE_CALL_SETUP_H
#define RW_CORE_CALL_SETUP_H

#include "core/call/admission.h"
#include "core/call/state.h"

/* A new INVITE, checked as far as it can be without state. */
void setup_invite(struct shard *s, const struct sip_message *m, const struct flow *from);

/* The answer to an admission_ask() that was LINE_PENDING; asked: for which line, setup.asked_id: of whom. */
void setup_line_answered(struct shard *s, struct call *call, enum line_kind asked, enum line_answer answer);

/* The answer to a charge_admit() that was CHARGE_PENDING. */
void setup_credit_answered(struct shard *s, struct call *call, bool granted);

/* The smallest cap of an answered call: again when the caller's timer comes or goes. */
void setup_arm_caps(struct shard *s, struct call *call);
/* The same, and neither armed nor, where it is past already, put off to this moment. */
void setup_take_caps(const struct shard *s, struct call *call);
/* Arms the call's timer for the earliest of its deadlines; its entry came due. */
void setup_arm(struct shard *s, struct call *call);
void setup_due(struct shard *s, struct call *call);

/* From the attempt under way.  early: the dialog that it is of, NULL: none; asked: it came reliably. */
void setup_provisional(struct shard *s, struct call *call, const struct sip_message *m, const struct early *early,
		       bool asked);
void setup_answered(struct shard *s, struct call *call, struct leg *callee, const struct transaction *asked,
		    const struct sip_message *m);
/* Its record is on the disk (answer_after_sync), or the PRACK has come: the 200 goes out. */
void setup_release(struct shard *s, struct call *call);
/* It has not, and the caller still has to be told; then its CANCEL comes in time, and whatever else ends the call. */
static inline bool setup_is_held(const struct shard *s, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	return call->held || (setup && setup->answer_waits);
}
/* The lines of that 200 but for its head and its session. */
void setup_build_answer(const struct shard *s, struct builder *b, const struct leg *caller,
			const struct transaction *invite);
/* Until its ACK: whether it has none, since the caller had it by a reliable response. */
bool setup_answer_is_bare(const struct shard *s, const struct leg *leg);
/* How an attempt has failed, and where; its line of the RG is the call's, to keep or to give back. */
struct attempt_failure {
	uint32_t routing_id, address;
	bool address_failed; /* silent, not reached, or 503: another address of that RG may do better */
	uint16_t code;       /* final code; 0: a timer has ended it */
	uint16_t q850;
	enum cdr_end_reason reason;
	struct bytes reason_header; /* value of its Reason header, empty: none */
};
void setup_attempt_failed(struct shard *s, struct call *call, const struct attempt_failure *failure);

/* From the caller. */
/* CANCEL before the final response, or crossing our 200: then the caller, who does not want the call, still has to ACK
 * it, and gets a BYE; the record says cancelled and not connected (spec 9).  `reason`: the caller's Reason values,
 * which our CANCEL passes on (RFC 3326 2); empty: none. */
void setup_cancelled(struct shard *s, struct call *call, struct bytes reason);
void setup_acked(struct shard *s, struct call *call, const struct sip_message *m);
/* Its 200 was never ACKed. */
void setup_ack_missing(struct shard *s, struct call *call);

#endif
