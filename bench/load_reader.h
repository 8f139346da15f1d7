/* Finds in a SIP message what an end of a load generator needs, and nothing else: a pass over its lines, no copy.  What
 * it does not know it passes over; folded lines are not put together. */
#ifndef RW_BENCH_LOAD_READER_H
#define RW_BENCH_LOAD_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/bytes.h"

enum { LOAD_VIAS_MAX = 8, LOAD_ROUTES_MAX = 8 };

enum load_method {
	LOAD_INVITE,
	LOAD_ACK,
	LOAD_BYE,
	LOAD_CANCEL,
	LOAD_UPDATE,
	LOAD_OPTIONS,
	LOAD_OTHER,
};

struct load_message {
	unsigned status;         /* 0: a request */
	enum load_method method; /* of a response, the one in CSeq */
	uint32_t cseq;
	struct bytes uri;                /* Request-URI */
	struct bytes via[LOAD_VIAS_MAX]; /* lines, with name and line end */
	struct bytes record_route[LOAD_ROUTES_MAX];
	unsigned via_count, record_route_count;
	struct bytes from, to, call_id, cseq_line; /* lines, with name and line end */
	struct bytes call_id_value, to_value;
	struct bytes to_tag, contact; /* contact: the URI of the first */
	struct bytes session_expires;
	struct bytes content_type; /* a line */
	struct bytes body;
};

/* false: it has no start line, or lacks one of Via, From, To, Call-ID and CSeq. */
bool load_read(struct bytes datagram, struct load_message *ret_message);

/* The URI's user and "host:port" parts; either may be empty. */
void load_read_uri(struct bytes uri, struct bytes *ret_user, struct bytes *ret_host_port);

/* The value without its name, as "To: " or "t:", and without white space around it. */
struct bytes load_value(struct bytes line);

#endif
