/* A call until it is answered: admission, attempts one after another, its deadlines.  What begins it: invite.h; what
 * comes of it: connect.h. */
#ifndef RW_CORE_CALL_SETUP_H
#define RW_CORE_CALL_SETUP_H

#include "core/call/admission.h"
#include "core/call/state.h"

/* Reason values of our own refusals. */
#define CIRCUIT_LINE    "Q.850;cause=34;text=\"No circuit available\""
#define CONGESTION_LINE "Q.850;cause=42;text=\"Switching equipment congestion\""

/* A new call asks its MG for a line, its account for credit, and goes to the first RG that has a line. */
void setup_begin(struct shard *s, struct call *call);

/* The longest that it may be up, 0: no limit: the smallest of those that there are. */
static inline void setup_bound_duration(struct call *call, uint32_t seconds)
{
	if (seconds && (!call->max_duration_s || seconds < call->max_duration_s))
		call->max_duration_s = DURATION(seconds);
}

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

/* CANCEL before the final response, or crossing our 200: then the caller, who does not want the call, still has to ACK
 * it, and gets a BYE; the record says cancelled and not connected (spec 9).  `reason`: the caller's Reason values,
 * which our CANCEL passes on (RFC 3326 2); empty: none. */
void setup_cancelled(struct shard *s, struct call *call, struct bytes reason);

#endif
