/* How connections begin, those of peers and our own, and which one a message takes.  Private to the parts of
 * stream.h. */
#ifndef RW_CORE_NET_STREAM_OPEN_H
#define RW_CORE_NET_STREAM_OPEN_H

#include "core/net/stream_table.h"

/* Somebody has come to a listening socket; or could not, for want of descriptors or memory. */
void stream_accepted(struct streams *s, unsigned listener, int fd);
void stream_not_accepted(struct streams *s, unsigned listener, int error);

/* What has become of one that was opened: 0 or a negative errno. */
void stream_connected(struct streams *s, struct stream *stream, int result);

/* The connection that a message takes (see stream.h), opened if need be; NULL: none is to be had.  answer: to a request
 * that came before.  patient: a peer that has refused a moment ago is not asked again; each refusal costs a look at all
 * transactions of the shards, and calls can go elsewhere. */
struct stream *stream_find_or_open(struct streams *s, const struct flow *to, bool answer, bool patient);

#endif
