/* What comes in on a connection: framed where it lies and passed on, or kept until there is room; and the peer's end.
 * streams_resume() of stream.h is here as well.  Private to the parts of stream.h. */
#ifndef RW_CORE_NET_STREAM_IN_H
#define RW_CORE_NET_STREAM_IN_H

#include "core/net/stream_table.h"

/* Has the ring receive on it, if it does not and is to. */
void stream_receive(struct streams *s, struct stream *stream);
/* The ring has. */
void stream_received(struct streams *s, struct stream *stream, const struct uring_stream_event *e);

#endif
