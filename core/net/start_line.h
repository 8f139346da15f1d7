/* What a message is, by its first bytes: for who passes messages on and does not read them. */
#ifndef RW_CORE_NET_START_LINE_H
#define RW_CORE_NET_START_LINE_H

#include <stdbool.h>
#include <string.h>

#include "sip/bytes.h"

static inline bool start_is_response(struct bytes message)
{
	return message.size > 11 && memcmp(message.at, "SIP/2.0 ", 8) == 0;
}

static inline bool start_is_final_response(struct bytes message)
{
	return start_is_response(message) && message.at[8] >= '2';
}

/* A request that has an answer. */
static inline bool start_is_question(struct bytes message)
{
	return message.size > 8 && memcmp(message.at, "SIP/2.0 ", 8) != 0 && memcmp(message.at, "ACK ", 4) != 0;
}

static inline bool start_is_invite(struct bytes message)
{
	return message.size > 7 && memcmp(message.at, "INVITE ", 7) == 0;
}

#endif
