/* How a call ends: its CDR first, then what each leg still has to hear.  The one place that writes records. */
#ifndef RW_CORE_CALL_ENDING_H
#define RW_CORE_CALL_ENDING_H

#include "core/call/state.h"

struct ending {
	enum cdr_end_reason reason;
	enum cdr_side side;
	uint16_t sip_code;          /* final code for the caller of a call that was not answered */
	uint16_t q850;              /* 0: mapped from the code */
	struct bytes reason_header; /* value of the Reason header towards whoever is told; empty: none */
	bool retry_after;           /* the final code comes with Retry-After: 1 */
	bool not_connected;         /* the record is of a call that was not answered, although it was for a moment */
	uint64_t at_ns;             /* when it ended: arrival of the message, or the deadline; 0: now */
};

/* Ends the call: queues the record, answers or hangs up what is open, gives lines back.  The records stay readable
 * until shard_settle().  A second call for the same call does nothing. */
void call_end(struct shard *s, struct call *call, const struct ending *ending);

/* The name of a call, made when its INVITE came; CDR_ID_SIZE characters, not terminated. */
void ending_write_id(int64_t start_us, unsigned boot, unsigned shard, uint32_t sequence, char id[static CDR_ID_SIZE]);
void call_cdr_id(const struct shard *s, const struct call *call, char id[static CDR_ID_SIZE]);

/* All values of a message's Reason header, one of each protocol (RFC 3326 2): a view of the only line, or a list
 * written into `room`, without those that do not fit.  Empty: it has none. */
#define REASON_MAX 512
struct bytes ending_reason(const struct sip_message *m, char room[static REASON_MAX]);

/* The cause among such values, 0: none. */
uint16_t ending_q850(struct bytes reason);

/* An INVITE that never became a call, if SERVER_BILLING_RECORD_ILLEGAL_CALL asks for a record of it. */
void ending_record_refused(struct shard *s, const struct sip_message *m, const struct flow *from,
			   enum cdr_end_reason reason, uint16_t sip_code);

/* Of a call that never was one of the shard's, into the queue.  false: no room. */
bool ending_submit_now(struct shard *s, const struct cdr *cdr);

/* Records that waited for room in the queue. */
void ending_flush_backlog(struct shard *s);

#endif
