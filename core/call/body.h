/* Session bodies (SDP and whatever else an INVITE carries), kept with the header lines that describe them; identical
 * ones are one record.  POOL_NONE stands for no body. */
#ifndef RW_CORE_CALL_BODY_H
#define RW_CORE_CALL_BODY_H

#include "core/call/state.h"

/* Keeps the body of a message: one reference.  POOL_NONE if it has none, or if there is no room (counted as no body:
 * the message itself was still relayed). */
uint32_t body_keep(struct shard *s, const struct sip_message *m);
uint32_t body_share(struct shard *s, uint32_t body); /* one reference more; returns body */
void body_drop(struct shard *s, uint32_t body);
/* Puts `body` (its reference is taken) where another was kept, which is dropped. */
void body_replace(struct shard *s, uint32_t *kept, uint32_t body);

/* Content headers, Content-Length and the bytes; for POOL_NONE "Content-Length: 0". */
void body_build(const struct shard *s, struct builder *b, uint32_t body);
/* The same straight from a message. */
void body_build_from(struct builder *b, const struct sip_message *m);

/* What a body is made of, for whoever writes it down; views into it. */
struct body_parts {
	bool plain; /* "Content-Type: application/sdp" alone; `head` is empty then */
	struct bytes head, content;
};
struct body_parts body_parts(const struct shard *s, uint32_t body);
/* Keeps a body that was written down: one reference, as body_keep(). */
uint32_t body_put(struct shard *s, const struct body_parts *parts);

/* Whether a message's body is byte for byte this one. */
bool body_equals(const struct shard *s, uint32_t body, const struct sip_message *m);

#endif
