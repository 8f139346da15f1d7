/* SIP as plain text, read and written without sip/: a mistake there must not hide itself in the peers of the
 * simulation. Reads what the node and the peers themselves write: CRLF, no folding, full or compact header names. */
#ifndef RW_TESTS_SIM_WIRE_H
#define RW_TESTS_SIM_WIRE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/bytes.h"

#define WIRE_MAX      8192 /* the longest message a peer writes */
#define WIRE_LIST_MAX 8    /* Vias, and so on, that are looked at */

struct wire {
	struct bytes text;
	bool is_request;
	unsigned status;
	struct bytes method; /* of the request line, or of CSeq */
	struct bytes uri;
	struct bytes via, branch;                                                              /* topmost */
	struct bytes vias[WIRE_LIST_MAX], routes[WIRE_LIST_MAX], record_routes[WIRE_LIST_MAX]; /* routes: URIs */
	unsigned via_count, route_count, record_count;                                         /* how many there are */
	struct bytes from, from_tag, to, to_tag, call_id, cseq_line;
	uint32_t cseq;
	struct bytes contact; /* the URI alone */
	struct bytes reason, retry_after, allow, require, content_type;
	uint32_t max_forwards;
	bool timer_tag, timer_required; /* timer in Supported or Require; in Require */
	bool has_interval, has_min_se;
	uint32_t interval_s, min_se_s; /* Session-Expires and Min-SE; 0: not a number */
	char refresher;                /* of Session-Expires: 'c' uac, 's' uas, 0 none */
	bool lists_update;             /* in Allow */
	bool reliable_tag, reliable;   /* 100rel in Supported or Require; in Require */
	uint32_t rseq;                 /* 0: none */
	struct bytes rack;
	struct bytes body;
};

/* false: not a whole SIP message with the headers that each must have. */
bool wire_read(struct bytes datagram, struct wire *ret_wire);

bool wire_is(struct bytes text, const char *what);
static inline bool wire_method_is(const struct wire *w, const char *method)
{
	return wire_is(w->method, method);
}

/* Whether a comma list has the element. */
bool wire_list_has(struct bytes list, const char *element);

/* ;name=value of a header value: false if it is not there. */
bool wire_parameter(struct bytes value, const char *name, struct bytes *ret_value);

/* A message under construction. */
struct page {
	char text[WIRE_MAX];
	size_t size;
};

void page_add(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Content-Type for a body that is not empty, Content-Length, the empty line, the body. */
void page_end(struct page *p, const char *type, struct bytes body);
static inline struct bytes page_bytes(const struct page *p)
{
	return (struct bytes){ p->text, (uint32_t)p->size };
}

/* For "%.*s". */
#define TEXT(bytes) (int)(bytes).size, (bytes).at

#endif
