/* Where one message ends on a stream and the next begins: by Content-Length alone (RFC 3261 18.3, 20.14), with
 * keep-alives between them (RFC 5626 4.4.1).
 *
 * Pure: the owner keeps the bytes of a message until it is whole, in one piece, and shows them again with what has come
 * since.  However the stream is cut, each byte is looked at once for where the header section ends, and the result is
 * the same. */
#ifndef RW_SIP_FRAMING_H
#define RW_SIP_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/bytes.h"

struct framing {         /* zeroes: between messages */
	uint32_t looked; /* bytes of the message in which its header section is known not to end; 0: none has begun */
	uint32_t size;   /* of the whole message; 0: its header section goes on */
	uint8_t breaks;  /* between messages: how much of CRLFCRLF has come, 0 to 3 */
};

enum framing_result {
	FRAMING_MORE,      /* nothing yet: the message goes on, or there is none */
	FRAMING_SKIPPED,   /* *ret_size bytes that are no message: line ends between messages */
	FRAMING_PING,      /* the same, and a CRLF is the answer */
	FRAMING_MESSAGE,   /* *ret_size bytes are one message */
	FRAMING_UNBOUNDED, /* *ret_size bytes are the header section of a message whose end nobody knows: Content-Length
			    * is missing, unreadable, or said twice in two ways */
	FRAMING_TOO_LARGE, /* *ret_size bytes are the beginning of a message above the limit */
	FRAMING_GARBAGE,   /* this is not SIP */
};

/* Looks at `stream`, all bytes from the start of the message under way, or from where the last result has ended.  After
 * FRAMING_MORE call again with the same bytes and more behind them (nothing is to be kept while `looked` is 0); after
 * the last three the stream cannot be read any further.  max: bytes of the largest message. */
enum framing_result framing_next(struct framing *f, struct bytes stream, uint32_t max, uint32_t *ret_size);

#endif
