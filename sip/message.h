/* A SIP message seen in place: views into the datagram, no copy.  RFC 3261 7, 18.3, 25.
 *
 * Two readers fill the same view.  The in-place reader (sip/reader) takes the forms that gateways send; anything else
 * it declines, and the library (sip/library, sofia-sip) rewrites the message into a plain form in the caller's scratch
 * buffer, which the in-place reader then reads.  sip_message_read() is that order; nothing else calls the two. */
#ifndef RW_SIP_MESSAGE_H
#define RW_SIP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/bytes.h"

#define SIP_MESSAGE_BYTES_MAX 16384 /* a larger datagram is refused (513) */
#define SIP_HEADERS_MAX       128   /* header lines; more: 400 (never handed to the library) */
#define SIP_LIST_MAX          32    /* elements in one comma list that the library may see */

enum sip_method {
	SIP_METHOD_UNKNOWN,
	SIP_INVITE,
	SIP_ACK,
	SIP_CANCEL,
	SIP_BYE,
	SIP_OPTIONS,
	SIP_UPDATE,
	SIP_INFO,
	SIP_PRACK,
	SIP_REFER,
	SIP_NOTIFY,
	SIP_MESSAGE,
	SIP_SUBSCRIBE,
	SIP_PUBLISH,
	SIP_REGISTER,
	SIP_METHODS
};

/* Headers the switch reads.  Compact forms are folded into these when read. */
enum sip_header_id {
	SIP_H_OTHER,
	SIP_H_VIA,
	SIP_H_FROM,
	SIP_H_TO,
	SIP_H_CALL_ID,
	SIP_H_CSEQ,
	SIP_H_MAX_FORWARDS,
	SIP_H_CONTACT,
	SIP_H_CONTENT_LENGTH,
	SIP_H_CONTENT_TYPE,
	SIP_H_CONTENT_DISPOSITION,
	SIP_H_CONTENT_ENCODING,
	SIP_H_CONTENT_LANGUAGE,
	SIP_H_MIME_VERSION,
	SIP_H_ROUTE,
	SIP_H_RECORD_ROUTE,
	SIP_H_REQUIRE,
	SIP_H_PROXY_REQUIRE,
	SIP_H_SUPPORTED,
	SIP_H_UNSUPPORTED,
	SIP_H_ALLOW,
	SIP_H_ACCEPT,
	SIP_H_SESSION_EXPIRES,
	SIP_H_MIN_SE,
	SIP_H_REASON,
	SIP_H_RETRY_AFTER,
	SIP_H_RSEQ,
	SIP_H_RACK,
	SIP_H_P_ASSERTED_IDENTITY,
	SIP_H_P_PREFERRED_IDENTITY,
	SIP_H_REMOTE_PARTY_ID,
	SIP_H_PRIVACY,
	SIP_H_DIVERSION,
	SIP_H_AUTHORIZATION,
	SIP_H_PROXY_AUTHORIZATION,
	SIP_H_WWW_AUTHENTICATE,
	SIP_H_PROXY_AUTHENTICATE,
	SIP_H_REFER_TO,
	SIP_H_REFERRED_BY,
	SIP_H_REPLACES,
	SIP_H_EVENT,
	SIP_H_SUBSCRIPTION_STATE,
	SIP_H_INFO_PACKAGE,
	SIP_H_TIMESTAMP,
	SIP_H_EXPIRES,
	SIP_H_USER_AGENT,
	SIP_H_WARNING,
	SIP_HEADER_IDS
};

struct sip_header {
	uint32_t name_at; /* offset in message.text */
	uint32_t value_at;
	uint16_t name_size;
	uint16_t value_size; /* without surrounding white space */
	uint16_t id;         /* enum sip_header_id */
	uint16_t unused;
};

/* name-addr or addr-spec with its header parameters: From, To, Contact, Route (RFC 3261 20.10). */
struct sip_name_address {
	struct bytes whole;   /* this one element, display name to last parameter */
	struct bytes uri;     /* without the angle brackets */
	struct bytes tag;     /* value of the tag parameter, empty if none */
	struct bytes display; /* as written, quotes too; empty if none */
};

/* sip:user:password@host:port;uri-parameters?headers (RFC 3261 19.1.1); user also holds the number of a tel: URI. */
struct sip_uri {
	struct bytes scheme;     /* "sip", "sips", "tel", ... as written */
	struct bytes user;       /* as written, escapes kept; empty if none */
	struct bytes host;       /* IPv6 reference with its brackets; empty for tel: */
	struct bytes parameters; /* after the first ';', empty if none */
	struct bytes headers;    /* after '?', empty if none */
	uint16_t port;           /* 0 if none */
	bool is_sip;             /* sip or sips */
};

/* One Via value (RFC 3261 20.42). */
struct sip_via {
	struct bytes whole;     /* this one element */
	struct bytes transport; /* "UDP" as written */
	struct bytes host;
	struct bytes branch;   /* empty if none */
	struct bytes received; /* empty if none */
	uint16_t port;         /* 0 if none */
	bool has_rport;        /* an rport parameter, with or without value */
	struct bytes rport;    /* as written where it stands, from ';' to the end of the parameter; empty if none */
};

struct sip_message {
	struct bytes text; /* what all views point into: the datagram, or the scratch buffer after the library */
	bool is_request;
	bool by_library;        /* the in-place reader declined it */
	enum sip_method method; /* of the request, or of the CSeq of a response */
	struct bytes method_text;
	struct bytes request_uri; /* requests */
	struct bytes reason;      /* responses; may be empty */
	uint16_t status;          /* responses: 100..699 */

	uint32_t cseq;
	struct bytes call_id;
	struct sip_via via; /* the topmost value */
	struct sip_name_address from;
	struct sip_name_address to;
	struct sip_name_address contact; /* the first; whole.size == 0 if there is none or it is "*" */
	struct bytes content_type;
	struct bytes body;    /* Content-Length bytes, or the rest of the datagram without that header */
	int32_t max_forwards; /* -1: no such header */

	uint32_t first[SIP_HEADER_IDS]; /* 1 + index of the first header line of each kind, 0: none */
	uint32_t header_count;
	struct sip_header header[SIP_HEADERS_MAX];
};

enum sip_read_result {
	SIP_READ_OK,
	SIP_READ_DECLINED,  /* in-place reader only: legal perhaps, but not one of its forms */
	SIP_READ_BAD,       /* malformed, but enough of a request was read to answer: ret_status and views are set */
	SIP_READ_GARBAGE,   /* nothing to answer: not SIP, a response that cannot be trusted, or no usable Via */
	SIP_READ_KEEPALIVE, /* only CR, LF or NUL bytes, or a STUN packet: RFC 5626 3.5 */
};

/* Why a message was refused; each has its own counter. */
enum sip_bad {
	SIP_BAD_NONE,
	SIP_BAD_START_LINE,
	SIP_BAD_VERSION,        /* 505 */
	SIP_BAD_HEADER,         /* syntax of a header that must be read */
	SIP_BAD_MISSING,        /* Via, From, To, Call-ID or CSeq is missing */
	SIP_BAD_TWICE,          /* one of those that may stand once stands twice */
	SIP_BAD_CSEQ,           /* out of range, or another method than the request's */
	SIP_BAD_CONTENT_LENGTH, /* unreadable, or more than the datagram holds */
	SIP_BAD_TOO_MANY,       /* header lines, or elements in a list */
	SIP_BAD_TOO_LARGE,      /* 513 */
	SIP_BAD_KINDS
};

struct sip_refusal {
	enum sip_bad why;
	uint16_t status;    /* 400, 505 or 513: what to answer after SIP_READ_BAD */
	const char *reason; /* the reason phrase to send: a literal */
};

#define SIP_SCRATCH_BYTES (4 * SIP_MESSAGE_BYTES_MAX)

/* Reads one datagram.  `scratch` (SIP_SCRATCH_BYTES) is borrowed for as long as the views are used, as is the datagram.
 * After SIP_READ_BAD at least via, from, to, call_id and cseq are readable views (possibly empty but for via and
 * call_id), so that an answer can be built; a From or To that cannot be read is still lent as `whole`.  After
 * SIP_READ_OK the URIs of the request line, From, To and Contact are known to be readable.  After SIP_READ_KEEPALIVE
 * the message is not written. Never allocates but inside the library. */
enum sip_read_result sip_message_read(struct bytes datagram, char *scratch, struct sip_message *ret_message,
				      struct sip_refusal *ret_refusal);

static inline struct bytes sip_header_value(const struct sip_message *m, const struct sip_header *h)
{
	return (struct bytes){ m->text.at + h->value_at, h->value_size };
}

static inline struct bytes sip_header_name(const struct sip_message *m, const struct sip_header *h)
{
	return (struct bytes){ m->text.at + h->name_at, h->name_size };
}

/* The first header line of a kind, NULL if there is none. */
static inline const struct sip_header *sip_header_first(const struct sip_message *m, enum sip_header_id id)
{
	return m->first[id] ? &m->header[m->first[id] - 1] : NULL;
}

/* The next header line of the same kind, NULL if there is none. */
const struct sip_header *sip_header_next(const struct sip_message *m, const struct sip_header *h);

/* The value of the first header line of a kind, empty if there is none. */
static inline struct bytes sip_header(const struct sip_message *m, enum sip_header_id id)
{
	const struct sip_header *h = sip_header_first(m, id);
	return h ? sip_header_value(m, h) : BYTES_NONE;
}

/* Walks comma-separated elements of one header value: sets *ret_element and shortens *rest; commas inside quotes and
 * angle brackets do not count.  false: no more.  Empty elements are skipped. */
bool sip_list_next(struct bytes *rest, struct bytes *ret_element);

/* Whether a comma list of tokens, over all header lines of this kind, holds the token (without case). */
bool sip_list_has(const struct sip_message *m, enum sip_header_id id, struct bytes token);

/* The value of a ;name=value parameter in a parameter list (what follows the first ';' of an element, or a URI's
 * parameters).  true if it is there; *ret_value is empty for a parameter without value; quotes are kept. */
bool sip_parameter(struct bytes parameters, struct bytes name, struct bytes *ret_value);

/* What follows the value proper of "value;a=b;c": from after the first ';' outside quotes and angle brackets. */
struct bytes sip_parameters_of(struct bytes element);

bool sip_read_name_address(struct bytes element, struct sip_name_address *ret_address);
bool sip_read_uri(struct bytes uri, struct sip_uri *ret_uri);
bool sip_read_via(struct bytes element, struct sip_via *ret_via);
/* Decimal digits only, no sign; false on overflow of 32 bits or an empty string. */
bool sip_read_number(struct bytes digits, uint32_t *ret_number);

enum sip_method sip_method_of(struct bytes token); /* case-sensitive (RFC 3261 7.1) */
struct bytes sip_method_name(enum sip_method method);
const char *sip_reason_phrase(unsigned status); /* the RFC's words, "Unknown" for others */

#endif
