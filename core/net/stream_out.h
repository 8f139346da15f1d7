/* What goes out on a connection: put behind the rest, sent by one operation at a time.  Private to the parts of
 * stream.h. */
#ifndef RW_CORE_NET_STREAM_OUT_H
#define RW_CORE_NET_STREAM_OUT_H

#include "core/net/stream_table.h"

#define STREAM_BLOCKS 1024 /* 16 MiB; half of them are kept from strangers, who have one each */

/* No gateway's, by today's configuration; for how it was counted see `stranger`. */
bool stream_is_strange(struct streams *s, struct stream *stream);

/* Takes a copy.  false: there is no room, or it takes no messages; one for which too much waits is cut, not one that
 * suffers for others. */
bool stream_put(struct streams *s, struct stream *stream, struct bytes bytes);

/* At the end of a turn: what waits goes to the ring, unless something is under way. */
void stream_send_next(struct streams *s, struct stream *stream);
/* The ring tells what has become of it: so many bytes, or a negative errno. */
void stream_sent(struct streams *s, struct stream *stream, int result);

#endif
