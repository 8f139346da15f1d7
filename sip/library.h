/* Private to sip/: the hand-over to sofia-sip of what the in-place reader declined.
 *
 * The message is rewritten into a plain form: a display name that should stand in quotes gets them, and folded lines
 * become one; everything else stays byte for byte, and in order.  The in-place reader reads that form, and sofia-sip
 * parses the message as it came: only what both take, with the same values, is taken. */
#ifndef RW_SIP_LIBRARY_H
#define RW_SIP_LIBRARY_H

#include "sip/message.h"

/* Reads what the in-place reader declined: never SIP_READ_DECLINED.  At most SIP_MESSAGE_BYTES_MAX bytes.  The views
 * point into scratch (SIP_SCRATCH_BYTES); all that the library allocates is freed before this returns. */
enum sip_read_result sip_library_read(struct bytes text, char *scratch, struct sip_message *ret_message,
				      struct sip_refusal *ret_refusal);

/* Whether sofia-sip takes all that the in-place reader reads of this text, and finds the values that stand in m.  Not
 * for messages that it cannot read at all: those with NUL in a header, '+' or '`' in the method, or a Request-URI of
 * another scheme that it dislikes. */
bool sip_library_agrees(struct bytes text, const struct sip_message *m);

#endif
