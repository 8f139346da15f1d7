/* Private to sip/: the in-place reader.  RFC 3261 7, 18.3, 20, 25.
 *
 * One pass over the header section finds the lines, knows the names and records them; then only the headers that every
 * message is judged by are read: the top Via, From, To, Call-ID, CSeq, Max-Forwards, Content-Length and the first
 * Contact. The forms it takes are those that gateways send.  A message with folded lines is read from a copy without
 * them (sip/fold.h).  It declines what it is not certain of: display names that should stand in quotes. */
#ifndef RW_SIP_READER_H
#define RW_SIP_READER_H

#include "sip/message.h"

/* Any result but SIP_READ_KEEPALIVE.  `scratch` has room for text.size bytes and is borrowed as long as the views are
 * used, as the text is; NULL: folded lines are declined.  After SIP_READ_OK the request URI and the URIs of From, To
 * and Contact are known to be readable by sip_read_uri().  ret_message and ret_refusal are written in every case;
 * by_library is false. */
enum sip_read_result sip_reader_read(struct bytes text, char *scratch, struct sip_message *ret_message,
				     struct sip_refusal *ret_refusal);

/* Fills in the refusal of a kind: its status and its reason phrase. */
void sip_refuse(enum sip_bad why, struct sip_refusal *ret_refusal);

#endif
