/* What a dialog remembers of itself in text form, packed into one piece, and the head of a request inside it.
 * RFC 3261 12.  Pure: the owner stores the packed piece, the CSeq numbers and where the peer is. */
#ifndef RW_SIP_DIALOG_H
#define RW_SIP_DIALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/build.h"
#include "sip/bytes.h"
#include "sip/message.h"

enum dialog_text {
	DIALOG_CALL_ID, /* empty: the owner minted it and can write it anew */
	DIALOG_LOCAL,   /* value of our From/To header; without tag where the owner can write that anew */
	DIALOG_REMOTE,  /* value of the peer's, tag included once it has one */
	DIALOG_TARGET,  /* remote target: the URI of the peer's Contact */
	DIALOG_ROUTES,  /* route set: comma list of name-addrs, first hop first */
	DIALOG_TEXTS
};

/* Kept as one piece: sip/pack.h, DIALOG_TEXTS texts. */
struct dialog {
	struct bytes text[DIALOG_TEXTS]; /* views into a packed piece, or into whatever is to be packed */
};

/* Writes the route set that a message with Record-Route makes: as it stands for the UAS (12.1.1), reversed for the UAC
 * (12.1.2).  Nothing is written without Record-Route; more than SIP_LIST_MAX
 * overflow. */
void dialog_build_routes(struct builder *b, const struct sip_message *m, bool reversed);

struct dialog_request {
	struct bytes method;
	struct bytes call_id;   /* the dialog's */
	struct bytes local_tag; /* empty: DIALOG_LOCAL has it */
	struct bytes transport; /* "UDP" */
	struct bytes sent_by;   /* host:port for Via */
	struct bytes branch;
	uint32_t cseq;
	uint32_t max_forwards;
};

/* Request line, Via, Max-Forwards, Route, From, To, Call-ID, CSeq (12.2.1.1; strict routers as well). */
void dialog_build_request(struct builder *b, const struct dialog *d, const struct dialog_request *r);

/* The URI a request goes to first: that of the first route, else the remote target. */
struct bytes dialog_next_hop(const struct dialog *d);

/* Where a URI points if its host is an address: port 5060 if none is given.  false: a host name, or not SIP. */
bool sip_uri_address(struct bytes uri, struct address *ret_address);

#endif
