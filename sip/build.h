/* Builds a SIP message from its start to its end in room that the caller lends.  Nothing is allocated; a message that
 * does not fit sets `overflow`, and what was written is to be thrown away. */
#ifndef RW_SIP_BUILD_H
#define RW_SIP_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sip/address.h"
#include "sip/bytes.h"
#include "sip/message.h"

struct builder {
	char *start;
	char *at;
	char *end;
	bool overflow;
};

static inline void build_begin(struct builder *b, char *room, size_t size)
{
	*b = (struct builder){ .start = room, .at = room, .end = room + size };
}

static inline size_t build_size(const struct builder *b)
{
	return (size_t)(b->at - b->start);
}

static inline void build_bytes(struct builder *b, struct bytes bytes)
{
	if ((size_t)(b->end - b->at) < bytes.size) {
		b->overflow = true;
		return;
	}
	if (bytes.size)
		memcpy(b->at, bytes.at, bytes.size);
	b->at += bytes.size;
}

/* A string literal. */
#define build_text(b, literal) build_bytes((b), BYTES(literal))

void build_number(struct builder *b, uint32_t number);

/* "Name: value\r\n"; name is a literal with colon and space. */
#define build_header(b, name, value)                                                                                   \
	do {                                                                                                           \
		build_text((b), name);                                                                                 \
		build_bytes((b), (value));                                                                             \
		build_text((b), "\r\n");                                                                               \
	} while (0)

/* "SIP/2.0 486 Busy Here\r\n"; an empty reason: the RFC's words. */
void build_status_line(struct builder *b, unsigned status, struct bytes reason);

/* What every response repeats of its request (RFC 3261 8.2.6.2): all Vias in order, with received and rport put into
 * the topmost (RFC 3581 4), From, To with `to_tag` added unless To has one or to_tag is empty, Call-ID, CSeq, and for a
 * request that makes a dialog its Record-Routes. */
void build_response_head(struct builder *b, const struct sip_message *request, const struct address *source,
			 struct bytes to_tag, bool with_record_route);

/* The Timestamp line of a 100 (RFC 3261 8.2.6.1, 20.38): the request's value, and behind it how long the request has
 * waited here in seconds, from a millisecond on.  Nothing for an empty value. */
void build_timestamp(struct builder *b, struct bytes stamp, uint64_t waited_ns);

/* The lines that describe a body (Content-Type and its kin), as the message has them. */
void build_content_headers(struct builder *b, const struct sip_message *m);

/* "Content-Length: n\r\n\r\n" and the body. */
void build_body(struct builder *b, struct bytes body);

/* The user part of a URI, escaped where RFC 3261 25.1 asks for it. */
void build_user(struct builder *b, struct bytes user);

#endif
