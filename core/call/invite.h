/* An INVITE outside any dialog (RFC 3261 8.2, 16.3; spec 4): it is refused, or begins a call. */
#ifndef RW_CORE_CALL_INVITE_H
#define RW_CORE_CALL_INVITE_H

#include "core/call/state.h"

/* `from`: where it came from; a source that no mapping gateway has is a stranger. */
void invite_received(struct shard *s, const struct sip_message *m, const struct flow *from);

#endif
