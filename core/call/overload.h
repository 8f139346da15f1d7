/* What a shard does with INVITEs that it has no time for (core/call/shed.h says which): an answer made of the request
 * alone, or nothing.  No record of a call, no look-up of numbers or gateways. */
#ifndef RW_CORE_CALL_OVERLOAD_H
#define RW_CORE_CALL_OVERLOAD_H

#include "core/call/state.h"

/* The INVITE of a new call that is under way.  True: it was shed.  Of strangers nothing is answered meanwhile. */
bool overload_sheds(struct shard *s, const struct sip_message *m, const struct flow *from);

/* 503 with Retry-After: 1.  Stateless: nothing waits for its ACK. */
void overload_refuse(struct shard *s, const struct sip_message *m, const struct flow *from);

#endif
