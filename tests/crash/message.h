/* SIP as the load generator reads and writes it: what the switch sends, CRLF, one header a line (RFC 3261 7).  Written
 * without sip/, so that a mistake there does not hide itself here. */
#ifndef RW_TESTS_CRASH_MESSAGE_H
#define RW_TESTS_CRASH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX 4096

/* A view into a datagram. */
struct text {
	const char *at;
	size_t size;
};

/* For "%.*s". */
#define SHOW(text) (int)(text).size, (text).at

enum method { INVITE, ACK, BYE, CANCEL, UPDATE, OPTIONS, METHOD_OTHER };
extern const char *const method_names[];

struct message {
	bool is_request;
	unsigned status;
	enum method method; /* of the request, or of what is answered */
	uint32_t cseq;
	struct text uri;                                /* of a request */
	struct text from_tag, to_tag;                   /* size 0: none */
	struct text vias, from, to, call_id, cseq_line; /* vias, and from on: whole header lines with their CRLF */
	struct text call_id_value;
	struct text contact; /* the URI alone */
	uint32_t expires_s;  /* Session-Expires; 0: none */
	char refresher;      /* 'c' uac, 's' uas, 0 not named */
	bool has_body;
};

/* false: not a message with the headers that each must have. */
bool message_read(const char *at, size_t size, struct message *ret_message);

/* A message under construction. */
struct page {
	char text[MESSAGE_MAX];
	size_t size;
};

void page_add(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Content-Type and Content-Length, the empty line, the body ("" none). */
void page_end(struct page *p, const char *sdp);

#endif
