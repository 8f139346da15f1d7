/* How connections end, and who is told.  Private to the parts of stream.h. */
#ifndef RW_CORE_NET_STREAM_END_H
#define RW_CORE_NET_STREAM_END_H

#include "core/net/stream_table.h"

enum stream_end_reason {
	END_PEER,       /* the peer has ended it */
	END_LOST,       /* it broke */
	END_FAILED,     /* it did not come about */
	END_IDLE,       /* nothing came or went for long */
	END_UNREADABLE, /* what came could not be told apart */
	END_UNREAD,     /* the peer does not read */
};

/* One event about a peer into the log, which takes some a second and counts the others. */
__attribute__((format(printf, 4, 5))) void stream_tell(struct streams *s, int level, const struct address *peer,
						       const char *format, ...);

/* At once; error: an errno, for the log.  Its descriptor stays until the ring has told of all its operations, which
 * end by this. */
void stream_end(struct streams *s, struct stream *stream, enum stream_end_reason why, int error);
/* What waits still goes out. */
void stream_begin_close(struct streams *s, struct stream *stream, enum stream_end_reason why);
/* A peer that stops here has its memory taken away at once, not when the kernel loses patience. */
void stream_cut(struct streams *s, struct stream *stream, enum stream_end_reason why);

#endif
