/* Lines of gateways with a capacity.  The count of a gateway is kept by one shard, its home (gateway id modulo shards);
 * a call of another shard asks it with a note and waits (CALL_ASKING).  Exact, without a lock. */
#ifndef RW_CORE_CALL_ADMISSION_H
#define RW_CORE_CALL_ADMISSION_H

#include "core/call/state.h"

enum note_kind {
	NOTE_LINE_ASK,     /* a: gateway id, b: capacity, c: call slot and generation */
	NOTE_LINE_GRANTED, /* a: gateway id, c as asked */
	NOTE_LINE_REFUSED,
	NOTE_LINE_FREE, /* a: gateway id */
};

enum line_answer { LINE_GRANTED, LINE_REFUSED, LINE_PENDING };

/* Asks for a line on behalf of a call.  LINE_PENDING: call.asked is set, and the answer comes as a note. */
enum line_answer admission_ask(struct shard *s, struct call *call, enum line_kind kind, uint32_t gateway_id,
			       uint32_t capacity);
void admission_free(struct shard *s, uint32_t gateway_id);
void admission_note(struct shard *s, const struct note *note);

#endif
