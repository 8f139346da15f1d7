/* Answers that need no state: made of the request alone, the same every time (RFC 3261 8.2.7). */
#ifndef RW_CORE_CALL_REPLY_H
#define RW_CORE_CALL_REPLY_H

#include "core/call/state.h"

#define ALLOW_VALUE    "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY, MESSAGE"
#define ALLOW_LINE     "Allow: " ALLOW_VALUE "\r\n"
#define SUPPORTED_LINE "Supported: timer, 100rel\r\n"
#define ACCEPT_LINE    "Accept: application/sdp, multipart/mixed\r\n"

/* `headers` are whole lines; a To without tag gets one made of the request by a keyed hash. */
void reply(struct shard *s, const struct sip_message *m, const struct flow *from, unsigned status, struct bytes reason,
	   struct bytes headers);

/* The same with this To tag. */
void reply_with_tag(struct shard *s, const struct sip_message *m, const struct flow *from, unsigned status,
		    struct bytes reason, struct bytes tag, struct bytes headers);

/* The same with this To tag and no headers. */
void reply_tagged(struct shard *s, const struct sip_message *m, const struct flow *from, unsigned status,
		  struct bytes tag);

/* The lines of an answer inside a dialog that are the same whenever it is given; empty: none. */
struct bytes reply_lines(enum sip_method method, unsigned status);

/* A request whose transaction is over, answered as it was then (an INVITE that was answered 2xx is absorbed). */
void reply_from_tombstone(struct shard *s, const struct sip_message *m, const struct flow *from,
			  const struct tombstone *tombstone);

/* A CANCEL whose INVITE is over: 200 with the tag of the INVITE's answer, and no effect (RFC 3261 9.2). */
void reply_late_cancel(struct shard *s, const struct sip_message *m, const struct flow *from,
		       const struct tombstone *invite);

/* A request that cannot be served whoever sent it: unsupported extensions (420; `timer`, `reliable`: timer and 100rel
 * are supported), bodies (415), URI scheme (416).  True: it was answered. */
bool reply_unsupported(struct shard *s, const struct sip_message *m, const struct flow *from, bool timer,
		       bool reliable);

#endif
