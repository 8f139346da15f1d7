/* The names of the headers that the switch reads: see names.h. */
#include "sip/names.h"

/* Perfect for the names below: two names in one place would be two initialisers of it, which the compilers report. */
#define NAME(text, first, last, what) [SIP_NAME_HASH(first, last, sizeof(text) - 1)] = { text, sizeof(text) - 1, what }

const struct sip_known_name sip_known_names[256] = {
	NAME("via", 'v', 'a', SIP_H_VIA),
	NAME("v", 'v', 'v', SIP_H_VIA),
	NAME("from", 'f', 'm', SIP_H_FROM),
	NAME("f", 'f', 'f', SIP_H_FROM),
	NAME("to", 't', 'o', SIP_H_TO),
	NAME("t", 't', 't', SIP_H_TO),
	NAME("call-id", 'c', 'd', SIP_H_CALL_ID),
	NAME("i", 'i', 'i', SIP_H_CALL_ID),
	NAME("cseq", 'c', 'q', SIP_H_CSEQ),
	NAME("max-forwards", 'm', 's', SIP_H_MAX_FORWARDS),
	NAME("contact", 'c', 't', SIP_H_CONTACT),
	NAME("m", 'm', 'm', SIP_H_CONTACT),
	NAME("content-length", 'c', 'h', SIP_H_CONTENT_LENGTH),
	NAME("l", 'l', 'l', SIP_H_CONTENT_LENGTH),
	NAME("content-type", 'c', 'e', SIP_H_CONTENT_TYPE),
	NAME("c", 'c', 'c', SIP_H_CONTENT_TYPE),
	NAME("content-disposition", 'c', 'n', SIP_H_CONTENT_DISPOSITION),
	NAME("content-encoding", 'c', 'g', SIP_H_CONTENT_ENCODING),
	NAME("e", 'e', 'e', SIP_H_CONTENT_ENCODING),
	NAME("content-language", 'c', 'e', SIP_H_CONTENT_LANGUAGE),
	NAME("mime-version", 'm', 'n', SIP_H_MIME_VERSION),
	NAME("route", 'r', 'e', SIP_H_ROUTE),
	NAME("record-route", 'r', 'e', SIP_H_RECORD_ROUTE),
	NAME("require", 'r', 'e', SIP_H_REQUIRE),
	NAME("proxy-require", 'p', 'e', SIP_H_PROXY_REQUIRE),
	NAME("supported", 's', 'd', SIP_H_SUPPORTED),
	NAME("k", 'k', 'k', SIP_H_SUPPORTED),
	NAME("unsupported", 'u', 'd', SIP_H_UNSUPPORTED),
	NAME("allow", 'a', 'w', SIP_H_ALLOW),
	NAME("accept", 'a', 't', SIP_H_ACCEPT),
	NAME("session-expires", 's', 's', SIP_H_SESSION_EXPIRES),
	NAME("x", 'x', 'x', SIP_H_SESSION_EXPIRES),
	NAME("min-se", 'm', 'e', SIP_H_MIN_SE),
	NAME("reason", 'r', 'n', SIP_H_REASON),
	NAME("retry-after", 'r', 'r', SIP_H_RETRY_AFTER),
	NAME("rseq", 'r', 'q', SIP_H_RSEQ),
	NAME("rack", 'r', 'k', SIP_H_RACK),
	NAME("p-asserted-identity", 'p', 'y', SIP_H_P_ASSERTED_IDENTITY),
	NAME("p-preferred-identity", 'p', 'y', SIP_H_P_PREFERRED_IDENTITY),
	NAME("remote-party-id", 'r', 'd', SIP_H_REMOTE_PARTY_ID),
	NAME("privacy", 'p', 'y', SIP_H_PRIVACY),
	NAME("diversion", 'd', 'n', SIP_H_DIVERSION),
	NAME("authorization", 'a', 'n', SIP_H_AUTHORIZATION),
	NAME("proxy-authorization", 'p', 'n', SIP_H_PROXY_AUTHORIZATION),
	NAME("www-authenticate", 'w', 'e', SIP_H_WWW_AUTHENTICATE),
	NAME("proxy-authenticate", 'p', 'e', SIP_H_PROXY_AUTHENTICATE),
	NAME("refer-to", 'r', 'o', SIP_H_REFER_TO),
	NAME("r", 'r', 'r', SIP_H_REFER_TO),
	NAME("referred-by", 'r', 'y', SIP_H_REFERRED_BY),
	NAME("b", 'b', 'b', SIP_H_REFERRED_BY),
	NAME("replaces", 'r', 's', SIP_H_REPLACES),
	NAME("event", 'e', 't', SIP_H_EVENT),
	NAME("o", 'o', 'o', SIP_H_EVENT),
	NAME("subscription-state", 's', 'e', SIP_H_SUBSCRIPTION_STATE),
	NAME("info-package", 'i', 'e', SIP_H_INFO_PACKAGE),
	NAME("timestamp", 't', 'p', SIP_H_TIMESTAMP),
	NAME("expires", 'e', 's', SIP_H_EXPIRES),
	NAME("user-agent", 'u', 't', SIP_H_USER_AGENT),
	NAME("warning", 'w', 'g', SIP_H_WARNING),
};

enum sip_header_id sip_header_id_of(struct bytes name)
{
	char copy[SIP_NAME_BYTES] = { 0 };

	if (name.size == 0 || name.size > sizeof copy)
		return SIP_H_OTHER;
	memcpy(copy, name.at, name.size);
	return sip_name_lookup(copy, name.size);
}
