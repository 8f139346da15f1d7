/* Private to sip/: what the readers and the value helpers share.  RFC 3261 25.1.
 *
 * Character classes by table, and the reading of one value that says not only whether but how it failed. */
#ifndef RW_SIP_SYNTAX_H
#define RW_SIP_SYNTAX_H

#include "sip/message.h"

enum {
	SIP_C_TOKEN = 1 << 0,   /* token */
	SIP_C_SPACE = 1 << 1,   /* SP, HTAB */
	SIP_C_DIGIT = 1 << 2,   /* 0-9 */
	SIP_C_SCHEME = 1 << 3,  /* of a URI, after its first letter */
	SIP_C_HOST = 1 << 4,    /* host name or IPv4 address; '_' is not legal but seen */
	SIP_C_URI = 1 << 5,     /* anywhere in a URI: visible, and none of <>" */
	SIP_C_DISPLAY = 1 << 6, /* display name without quotes: tokens and white space */
	SIP_C_VALUE = 1 << 7,   /* parameter value without quotes: token or host, IPv6 too, and '/' */
};

extern const uint8_t sip_characters[256];

static inline bool sip_is(char c, unsigned classes)
{
	return (sip_characters[(uint8_t)c] & classes) != 0;
}

/* The first character at or after `at` that is in none of the classes. */
static inline const char *sip_skip(const char *at, const char *end, unsigned classes)
{
	while (at < end && sip_is(*at, classes))
		at++;
	return at;
}

static inline struct bytes sip_between(const char *at, const char *end)
{
	return (struct bytes){ at, (uint32_t)(end - at) };
}

/* Where a view ends; adding nothing to a null pointer is not defined. */
static inline const char *sip_end(struct bytes text)
{
	return text.size ? text.at + text.size : text.at;
}

/* Without white space on either side. */
struct bytes sip_trim(struct bytes text);

/* `at` is at the opening quote.  Returns what follows the closing one, NULL if there is none. */
const char *sip_quoted_end(const char *at, const char *end);

/* One element of From, To, Contact, Route ...: SIP_READ_OK, SIP_READ_BAD, or SIP_READ_DECLINED when only a display name
 * that should stand in quotes is at fault.  ret_address is written in the first case alone. */
enum sip_read_result sip_judge_name_address(struct bytes element, struct sip_name_address *ret_address);

#endif
