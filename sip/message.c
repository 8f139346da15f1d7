/* The order of the two readers, and what is looked up in a message.  RFC 3261 7, 20, 21; RFC 5626 3.5. */
#include "sip/message.h"

#include <assert.h>

#include "sip/library.h"
#include "sip/reader.h"
#include "sip/syntax.h"

/* RFC 5389 6: two zero bits and, after type and length, the magic cookie. */
static bool is_stun(struct bytes datagram)
{
	return datagram.size >= 20 && ((uint8_t)datagram.at[0] & 0xc0) == 0 &&
	       memcmp(datagram.at + 4, "\x21\x12\xa4\x42", 4) == 0;
}

static bool is_keepalive(struct bytes datagram)
{
	for (uint32_t i = 0; i < datagram.size; i++)
		if (datagram.at[i] != '\r' && datagram.at[i] != '\n' && datagram.at[i] != '\0')
			return is_stun(datagram);
	return true;
}

/* Too large to be taken, but the sender of a request that can be answered is told so. */
static enum sip_read_result read_oversize(struct bytes datagram, char *scratch, struct sip_message *m,
					  struct sip_refusal *ret_refusal)
{
	enum sip_read_result result;

	if (datagram.size > UINT16_MAX)
		datagram.size = UINT16_MAX;
	result = sip_reader_read(datagram, scratch, m, ret_refusal);
	sip_refuse(SIP_BAD_TOO_LARGE, ret_refusal);
	return (result == SIP_READ_OK || result == SIP_READ_BAD) && m->is_request ? SIP_READ_BAD : SIP_READ_GARBAGE;
}

enum sip_read_result sip_message_read(struct bytes datagram, char *scratch, struct sip_message *ret_message,
				      struct sip_refusal *ret_refusal)
{
	enum sip_read_result result;

	assert(datagram.size == 0 || datagram.at);
	if (is_keepalive(datagram))
		return SIP_READ_KEEPALIVE;
	if (datagram.size > SIP_MESSAGE_BYTES_MAX)
		return read_oversize(datagram, scratch, ret_message, ret_refusal);
	result = sip_reader_read(datagram, scratch, ret_message, ret_refusal);
	if (result == SIP_READ_DECLINED)
		result = sip_library_read(datagram, scratch, ret_message, ret_refusal);
	return result;
}

const struct sip_header *sip_header_next(const struct sip_message *m, const struct sip_header *h)
{
	const struct sip_header *end = m->header + m->header_count;

	for (const struct sip_header *next = h + 1; next < end; next++)
		if (next->id == h->id)
			return next;
	return NULL;
}

#define METHOD(name) [SIP_##name] = { #name, sizeof(#name) - 1 }

static const struct bytes method_names[SIP_METHODS] = {
	METHOD(INVITE),  METHOD(ACK),       METHOD(CANCEL),  METHOD(BYE),      METHOD(OPTIONS),
	METHOD(UPDATE),  METHOD(INFO),      METHOD(PRACK),   METHOD(REFER),    METHOD(NOTIFY),
	METHOD(MESSAGE), METHOD(SUBSCRIBE), METHOD(PUBLISH), METHOD(REGISTER),
};

enum sip_method sip_method_of(struct bytes token)
{
	for (enum sip_method method = SIP_METHOD_UNKNOWN + 1; method < SIP_METHODS; method++)
		if (bytes_equal(token, method_names[method]))
			return method;
	return SIP_METHOD_UNKNOWN;
}

struct bytes sip_method_name(enum sip_method method)
{
	assert(method < SIP_METHODS);
	return method_names[method];
}

/* RFC 3261 21, RFC 3262, 3265, 3329, 3903, 4028, 4412, 4474, 5360, 5393, 5839, 6086, 6228, 6442, 8197, 8599, 8688. */
const char *sip_reason_phrase(unsigned status)
{
	static const struct {
		uint16_t status;
		const char *phrase;
	} phrases[] = {
		{ 100, "Trying" },
		{ 180, "Ringing" },
		{ 181, "Call Is Being Forwarded" },
		{ 182, "Queued" },
		{ 183, "Session Progress" },
		{ 199, "Early Dialog Terminated" },
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 204, "No Notification" },
		{ 300, "Multiple Choices" },
		{ 301, "Moved Permanently" },
		{ 302, "Moved Temporarily" },
		{ 305, "Use Proxy" },
		{ 380, "Alternative Service" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 407, "Proxy Authentication Required" },
		{ 408, "Request Timeout" },
		{ 410, "Gone" },
		{ 412, "Conditional Request Failed" },
		{ 413, "Request Entity Too Large" },
		{ 414, "Request-URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Unsupported URI Scheme" },
		{ 417, "Unknown Resource-Priority" },
		{ 420, "Bad Extension" },
		{ 421, "Extension Required" },
		{ 422, "Session Interval Too Small" },
		{ 423, "Interval Too Brief" },
		{ 424, "Bad Location Information" },
		{ 425, "Bad Alert Message" },
		{ 428, "Use Identity Header" },
		{ 429, "Provide Referrer Identity" },
		{ 430, "Flow Failed" },
		{ 433, "Anonymity Disallowed" },
		{ 436, "Bad Identity Info" },
		{ 437, "Unsupported Credential" },
		{ 438, "Invalid Identity Header" },
		{ 439, "First Hop Lacks Outbound Support" },
		{ 440, "Max-Breadth Exceeded" },
		{ 469, "Bad Info Package" },
		{ 470, "Consent Needed" },
		{ 480, "Temporarily Unavailable" },
		{ 481, "Call/Transaction Does Not Exist" },
		{ 482, "Loop Detected" },
		{ 483, "Too Many Hops" },
		{ 484, "Address Incomplete" },
		{ 485, "Ambiguous" },
		{ 486, "Busy Here" },
		{ 487, "Request Terminated" },
		{ 488, "Not Acceptable Here" },
		{ 489, "Bad Event" },
		{ 491, "Request Pending" },
		{ 493, "Undecipherable" },
		{ 494, "Security Agreement Required" },
		{ 500, "Server Internal Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Server Time-out" },
		{ 505, "Version Not Supported" },
		{ 513, "Message Too Large" },
		{ 555, "Push Notification Service Not Supported" },
		{ 580, "Precondition Failure" },
		{ 600, "Busy Everywhere" },
		{ 603, "Decline" },
		{ 604, "Does Not Exist Anywhere" },
		{ 606, "Not Acceptable" },
		{ 607, "Unwanted" },
		{ 608, "Rejected" },
	};

	for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}
