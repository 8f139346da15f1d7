/* The syntax of single values: addresses, URIs, Via, parameters, lists.  RFC 3261 19.1, 20.10, 20.42, 25.1.
 *
 * Everything works on views and looks at each byte about once; nothing is copied, unescaped or repaired.  What the
 * grammar does not allow is refused, but for what real gateways get wrong without harm: '_' in host names, '#' and
 * other visible characters in the user part, '/' in parameter values.  White space may stand around ';', '=', '/' and
 * ':' wherever the grammar has SWS. */
#include "sip/syntax.h"

#include "sip/span.h"

#define ALNUM (SIP_C_TOKEN | SIP_C_SCHEME | SIP_C_HOST | SIP_C_URI | SIP_C_DISPLAY | SIP_C_VALUE)
#define MARK  (SIP_C_TOKEN | SIP_C_URI | SIP_C_DISPLAY | SIP_C_VALUE)

const uint8_t sip_characters[256] = {
	['a' ... 'z'] = ALNUM,
	['A' ... 'Z'] = ALNUM,
	['0' ... '9'] = ALNUM | SIP_C_DIGIT,
	['-'] = MARK | SIP_C_SCHEME | SIP_C_HOST,
	['.'] = MARK | SIP_C_SCHEME | SIP_C_HOST,
	['+'] = MARK | SIP_C_SCHEME,
	['_'] = MARK | SIP_C_HOST,
	['!'] = MARK,
	['%'] = MARK,
	['*'] = MARK,
	['`'] = MARK,
	['\''] = MARK,
	['~'] = MARK,
	['['] = SIP_C_URI | SIP_C_VALUE,
	[']'] = SIP_C_URI | SIP_C_VALUE,
	[':'] = SIP_C_URI | SIP_C_VALUE,
	['#'] = SIP_C_URI,
	['$'] = SIP_C_URI,
	['&'] = SIP_C_URI,
	['('] = SIP_C_URI,
	[')'] = SIP_C_URI,
	[','] = SIP_C_URI,
	['/'] = SIP_C_URI | SIP_C_VALUE,
	[';'] = SIP_C_URI,
	['='] = SIP_C_URI,
	['?'] = SIP_C_URI,
	['@'] = SIP_C_URI,
	['\\'] = SIP_C_URI,
	['^'] = SIP_C_URI,
	['{'] = SIP_C_URI,
	['|'] = SIP_C_URI,
	['}'] = SIP_C_URI,
	[' '] = SIP_C_SPACE | SIP_C_DISPLAY,
	['\t'] = SIP_C_SPACE | SIP_C_DISPLAY,
};

struct bytes sip_trim(struct bytes text)
{
	const char *end = sip_end(text);
	const char *at = sip_skip(text.at, end, SIP_C_SPACE);

	while (end > at && sip_is(end[-1], SIP_C_SPACE))
		end--;
	return sip_between(at, end);
}

const char *sip_quoted_end(const char *at, const char *end)
{
	const char *quote = memchr(at + 1, '"', (size_t)(end - at - 1));

	if (!quote || quote[-1] != '\\')
		return quote ? quote + 1 : NULL;
	for (at++; at < end; at++) { /* with a backslash near, one by one */
		if (*at == '"')
			return at + 1;
		if (*at == '\\')
			at++;
	}
	return NULL;
}

/* The first such character outside quotes and angle brackets, or the end. */
static const char *find_outside(const char *at, const char *end, char wanted)
{
	if (at == end || !memchr(at, wanted, (size_t)(end - at)))
		return end;
	while (at < end) {
		char c = *at;

		if (c == wanted)
			return at;
		if (c == '"' || c == '<') {
			const char *after = c == '"' ? sip_quoted_end(at, end) : memchr(at, '>', (size_t)(end - at));

			if (!after)
				return end;
			at = c == '"' ? after : after + 1;
		} else {
			at++;
		}
	}
	return end;
}

bool sip_list_next(struct bytes *rest, struct bytes *ret_element)
{
	const char *at = rest->at, *end = sip_end(*rest);

	while (at < end) {
		const char *comma = find_outside(at, end, ',');
		struct bytes element = sip_trim(sip_between(at, comma));

		at = comma < end ? comma + 1 : end;
		if (element.size) {
			*rest = sip_between(at, end);
			*ret_element = element;
			return true;
		}
	}
	*rest = sip_between(end, end);
	return false;
}

/* Whether one element of the list is the token. */
static bool list_has(struct bytes list, struct bytes token)
{
	const char *at = list.at, *end = sip_end(list);

	while ((at = sip_skip(at, end, SIP_C_SPACE)) < end) {
		const char *stop = sip_span(at, end, SIP_SPAN_TOKEN), *next = sip_skip(stop, end, SIP_C_SPACE);

		if (next < end && *next != ',') /* more than a token */
			next = find_outside(at, end, ',');
		else if (bytes_equal_nocase(sip_between(at, stop), token))
			return true;
		at = next < end ? next + 1 : end;
	}
	return false;
}

bool sip_list_has(const struct sip_message *m, enum sip_header_id id, struct bytes token)
{
	for (const struct sip_header *h = sip_header_first(m, id); h; h = sip_header_next(m, h))
		if (list_has(sip_header_value(m, h), token))
			return true;
	return false;
}

struct bytes sip_parameters_of(struct bytes element)
{
	const char *end = sip_end(element);
	const char *semicolon = find_outside(element.at, end, ';');

	return semicolon < end ? sip_between(semicolon + 1, end) : sip_between(end, end);
}

bool sip_parameter(struct bytes parameters, struct bytes name, struct bytes *ret_value)
{
	const char *at = parameters.at, *end = sip_end(parameters);

	while (at < end) {
		const char *stop = find_outside(at, end, ';');
		const char *equals = memchr(at, '=', (size_t)(stop - at));

		if (bytes_equal_nocase(sip_trim(sip_between(at, equals ? equals : stop)), name)) {
			*ret_value = equals ? sip_trim(sip_between(equals + 1, stop)) : BYTES_NONE;
			return true;
		}
		at = stop < end ? stop + 1 : end;
	}
	return false;
}

bool sip_read_number(struct bytes digits, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (digits.size == 0)
		return false;
	for (uint32_t i = 0; i < digits.size; i++) {
		if (!sip_is(digits.at[i], SIP_C_DIGIT))
			return false;
		number = number * 10 + (uint64_t)(digits.at[i] - '0');
		if (number > UINT32_MAX)
			return false;
	}
	*ret_number = (uint32_t)number;
	return true;
}

struct parameter {
	struct bytes whole; /* from the ';' */
	struct bytes name;
	struct bytes value; /* empty if there is none */
};

/* `at` is at a ';'.  Returns where the next ';' or the end is, NULL if this is no generic-param. */
static const char *read_parameter(const char *at, const char *end, struct parameter *ret_parameter)
{
	const char *name = sip_skip(at + 1, end, SIP_C_SPACE);
	const char *stop = sip_span(name, end, SIP_SPAN_TOKEN);
	const char *next = sip_skip(stop, end, SIP_C_SPACE);

	if (stop == name)
		return NULL;
	ret_parameter->name = sip_between(name, stop);
	ret_parameter->value = BYTES_NONE;
	if (next < end && *next == '=') {
		const char *value = sip_skip(next + 1, end, SIP_C_SPACE);

		if (value < end && *value == '"')
			stop = sip_quoted_end(value, end);
		else
			stop = sip_span(value, end, SIP_SPAN_VALUE);
		if (!stop || stop == value)
			return NULL;
		ret_parameter->value = sip_between(value, stop);
		next = sip_skip(stop, end, SIP_C_SPACE);
	}
	ret_parameter->whole = sip_between(at, stop);
	return next == end || *next == ';' ? next : NULL;
}

static bool is_quoted(struct bytes value)
{
	return value.size && value.at[0] == '"';
}

/* Reads from the first ';' to the end of an address; only the tag is kept. */
static bool read_address_parameters(const char *at, const char *end, struct bytes *ret_tag)
{
	struct bytes tag = BYTES_NONE;

	while (at < end) {
		struct parameter p;

		if (*at != ';' || !(at = read_parameter(at, end, &p)))
			return false;
		if (!bytes_equal_nocase(p.name, BYTES("tag")))
			continue;
		if (tag.size || !p.value.size || is_quoted(p.value)) /* two tags, or one that no peer could match */
			return false;
		tag = p.value;
	}
	*ret_tag = tag;
	return true;
}

/* Where a display name without quotes ends at a '<', NULL if there is no such '<'.  *ret_plain: it needs no quotes. */
static const char *display_end(const char *at, const char *end, bool *ret_plain)
{
	const char *stop = sip_skip(at, end, SIP_C_DISPLAY);

	*ret_plain = stop < end && *stop == '<';
	while (stop < end && *stop != '<' && *stop != ';' && *stop != '"' && *stop != '>' && *stop != ',')
		stop++;
	return stop < end && *stop == '<' ? stop : NULL;
}

/* The digits of a port.  Returns what follows them, NULL if they are none, or no port. */
static const char *read_port(const char *at, const char *end, uint16_t *ret_port)
{
	const char *start = at;
	uint32_t port = 0;

	for (; at < end && *at >= '0' && *at <= '9' && port <= UINT16_MAX; at++)
		port = port * 10 + (uint32_t)(*at - '0');
	if (at == start || port == 0 || port > UINT16_MAX)
		return NULL;
	*ret_port = (uint16_t)port;
	return at;
}

/* "<sip:user@host:port>;tag=value", what nearly all gateways write: each part looked at once.  false: something else,
 * good or bad. */
static bool read_plain_address(struct bytes whole, struct sip_name_address *ret_address)
{
	const char *at = whole.at, *end = sip_end(whole), *host, *close, *tag;
	uint16_t port;

	if (whole.size < 8 || memcmp(at, "<sip:", 5) != 0)
		return false;
	host = sip_span(at + 5, end, SIP_SPAN_USER_PLAIN);
	host = host < end && *host == '@' ? host + 1 : at + 5;
	close = sip_span(host, end, SIP_SPAN_HOST);
	if (close == host || close == end)
		return false;
	if (*close == ':' && !(close = read_port(close + 1, end, &port)))
		return false;
	if (close == end || *close != '>')
		return false;
	tag = close + 1;
	if (tag < end) {
		if (end - tag <= 5 || memcmp(tag, ";tag=", 5) != 0 || sip_span(tag + 5, end, SIP_SPAN_VALUE) != end)
			return false;
		tag += 5;
	}
	ret_address->whole = whole;
	ret_address->uri = sip_between(at + 1, close);
	ret_address->tag = sip_between(tag, end);
	ret_address->display = BYTES_NONE;
	return true;
}

enum sip_read_result sip_judge_name_address(struct bytes element, struct sip_name_address *ret_address)
{
	struct bytes whole = sip_trim(element);
	const char *at = whole.at, *end = sip_end(whole), *bracket;
	struct sip_name_address address = { .whole = whole };
	struct sip_uri uri;
	bool plain = true;

	if (read_plain_address(whole, ret_address))
		return SIP_READ_OK;
	if (whole.size && *at == '"') {
		const char *after = sip_quoted_end(at, end);

		if (!after)
			return SIP_READ_BAD;
		address.display = sip_between(at, after);
		bracket = sip_skip(after, end, SIP_C_SPACE);
		if (bracket == end || *bracket != '<')
			return SIP_READ_BAD;
	} else {
		bracket = whole.size && *at == '<' ? at : display_end(at, end, &plain);
		if (bracket > at)
			address.display = sip_trim(sip_between(at, bracket));
	}

	if (bracket) {
		const char *close = memchr(bracket, '>', (size_t)(end - bracket));

		if (!close)
			return SIP_READ_BAD;
		address.uri = sip_between(bracket + 1, close);
		at = sip_skip(close + 1, end, SIP_C_SPACE);
	} else { /* addr-spec: what follows a ';' belongs to the header, and '?' and ',' may not stand (20.10) */
		const char *stop = at;

		while (stop < end && *stop != ';' && sip_is(*stop, SIP_C_URI))
			stop++;
		address.uri = sip_between(at, stop);
		at = sip_skip(stop, end, SIP_C_SPACE);
		if (memchr(address.uri.at, '?', address.uri.size) || memchr(address.uri.at, ',', address.uri.size))
			return SIP_READ_BAD;
	}
	if (!sip_read_uri(address.uri, &uri) || !read_address_parameters(at, end, &address.tag))
		return SIP_READ_BAD;
	if (!plain && bracket)
		return SIP_READ_DECLINED;
	*ret_address = address;
	return SIP_READ_OK;
}

bool sip_read_name_address(struct bytes element, struct sip_name_address *ret_address)
{
	return sip_judge_name_address(element, ret_address) == SIP_READ_OK;
}

static bool is_hex(char c)
{
	return sip_is(c, SIP_C_DIGIT) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* A host name, an IPv4 address, or an IPv6 reference in brackets.  Returns what follows it, NULL if it is none. */
static const char *read_host(const char *at, const char *end, struct bytes *ret_host)
{
	const char *stop;

	if (at < end && *at == '[') {
		for (stop = at + 1; stop < end && *stop != ']'; stop++)
			if (!is_hex(*stop) && *stop != ':' && *stop != '.')
				return NULL;
		if (stop == end || stop == at + 1)
			return NULL;
		stop++;
	} else {
		stop = sip_span(at, end, SIP_SPAN_HOST);
		if (stop == at)
			return NULL;
	}
	*ret_host = sip_between(at, stop);
	return stop;
}

/* Whether these are characters of a URI, every '%' beginning an escape.  Where there is an escape, none of `illegal`
 * may stand: peers that do not know the difference may write such characters as they are, those that do write both
 * ways. */
static bool all_uri(const char *at, const char *end, struct bytes illegal)
{
	const char *start = at;
	bool escapes = false;

	for (at = sip_span(at, end, SIP_SPAN_URI_PLAIN); at < end && sip_is(*at, SIP_C_URI); at++) {
		if (*at != '%')
			continue;
		escapes = true;
		if (end - at < 3 || !is_hex(at[1]) || !is_hex(at[2]))
			return false;
	}
	if (at < end)
		return false;
	for (at = start; escapes && illegal.size && at < end; at++)
		if (memchr(illegal.at, *at, illegal.size))
			return false;
	return true;
}

static const struct bytes user_illegal = BYTES("#[\\]^`{|}");
static const struct bytes password_illegal = BYTES("#/:;?[\\]^`{|}");
static const struct bytes parameters_illegal = BYTES("\\^|");

/* What follows "sip:" or "sips:".  The one '@' of a SIP URI ends its user part: elsewhere it must be escaped. */
static bool read_sip_uri(const char *at, const char *end, struct sip_uri *uri)
{
	const char *user_end = sip_span(at, end, SIP_SPAN_USER_PLAIN);

	if (user_end < end && *user_end == '@') { /* nothing in it that needs a closer look */
		uri->user = sip_between(at, user_end);
		at = user_end + 1;
	} else if (user_end < end && (user_end = memchr(user_end, '@', (size_t)(end - user_end)))) {
		const char *colon = memchr(at, ':', (size_t)(user_end - at));

		uri->user = sip_between(at, colon ? colon : user_end);
		if (colon == at || !all_uri(at, uri->user.at + uri->user.size, user_illegal) ||
		    (colon && !all_uri(colon + 1, user_end, password_illegal)))
			return false;
		at = user_end + 1;
	}
	at = read_host(at, end, &uri->host);
	if (at && at < end && *at == ':')
		at = read_port(at + 1, end, &uri->port);
	if (!at)
		return false;
	if (at < end && (memchr(at, '@', (size_t)(end - at)) || !all_uri(at, end, parameters_illegal)))
		return false;
	if (at < end && *at == ';') {
		const char *question = memchr(at, '?', (size_t)(end - at));

		uri->parameters = sip_between(at + 1, question ? question : end);
		at = question ? question : end;
	}
	if (at < end && *at == '?') {
		uri->headers = sip_between(at + 1, end);
		at = end;
	}
	return at == end;
}

/* A URI of another scheme; `at` is after the colon. */
static bool read_other_uri(const char *at, const char *end, struct sip_uri *uri)
{
	const char *semicolon;

	if (at == end || !all_uri(at, end, BYTES_NONE))
		return false;
	if (!bytes_equal_nocase(uri->scheme, BYTES("tel")))
		return true;
	semicolon = memchr(at, ';', (size_t)(end - at));
	uri->user = sip_between(at, semicolon ? semicolon : end);
	if (semicolon)
		uri->parameters = sip_between(semicolon + 1, end);
	return uri->user.size > 0;
}

bool sip_read_uri(struct bytes text, struct sip_uri *ret_uri)
{
	const char *end = sip_end(text);
	bool plain = text.size > 4 && memcmp(text.at, "sip:", 4) == 0;
	const char *colon = plain ? text.at + 3 : sip_skip(text.at, end, SIP_C_SCHEME);
	struct sip_uri uri = { .scheme = sip_between(text.at, colon), .is_sip = plain };
	char first = text.size ? bytes_lower(*text.at) : '\0';

	if (plain) {
		if (!read_sip_uri(colon + 1, end, &uri))
			return false;
		*ret_uri = uri;
		return true;
	}
	if (first < 'a' || first > 'z' || colon == end || *colon != ':')
		return false;
	uri.is_sip = bytes_equal_nocase(uri.scheme, BYTES("sip")) || bytes_equal_nocase(uri.scheme, BYTES("sips"));
	if (uri.is_sip ? !read_sip_uri(colon + 1, end, &uri) : !read_other_uri(colon + 1, end, &uri))
		return false;
	*ret_uri = uri;
	return true;
}

/* "SIP / 2.0 / UDP": returns what follows the transport, NULL if this is not it. */
static const char *read_sent_protocol(const char *at, const char *end, struct bytes *ret_transport)
{
	for (int part = 0; part < 3; part++) {
		const char *token = sip_skip(at, end, SIP_C_SPACE);

		at = sip_skip(token, end, SIP_C_TOKEN);
		if (at == token)
			return NULL;
		*ret_transport = sip_between(token, at);
		if (part == 0 && !bytes_equal_nocase(*ret_transport, BYTES("SIP")))
			return NULL;
		if (part < 2) {
			at = sip_skip(at, end, SIP_C_SPACE);
			if (at == end || *at != '/')
				return NULL;
			at++;
		}
	}
	return at;
}

static bool read_via_parameters(const char *at, const char *end, struct sip_via *via)
{
	while (at < end) {
		struct parameter p;
		struct bytes *value = NULL;

		if (*at != ';' || !(at = read_parameter(at, end, &p)))
			return false;
		if (p.name.size == 5 && bytes_equal_nocase(p.name, BYTES("rport"))) {
			if (via->has_rport)
				return false;
			via->has_rport = true;
			via->rport = p.whole;
		} else if (p.name.size == 6 && bytes_equal_nocase(p.name, BYTES("branch"))) {
			value = &via->branch;
		} else if (p.name.size == 8 && bytes_equal_nocase(p.name, BYTES("received"))) {
			value = &via->received;
		}
		if (value) {
			if (value->size || !p.value.size || is_quoted(p.value))
				return false;
			*value = p.value;
		}
	}
	return true;
}

/* A parameter that begins with `name`, '=' included: its value; NULL: it is another one, or not so plain. */
static const char *read_plain_value(const char *at, const char *end, struct bytes name, struct bytes *ret_value)
{
	const char *value = at + name.size, *stop;

	if ((size_t)(end - at) <= name.size || memcmp(at, name.at, name.size) != 0 || ret_value->size)
		return NULL;
	stop = sip_span(value, end, SIP_SPAN_VALUE);
	*ret_value = sip_between(value, stop);
	return stop > value ? stop : NULL;
}

/* "SIP/2.0/UDP host:port;branch=...;rport", each part looked at once.  false: something else, good or bad. */
static bool read_plain_via(struct bytes whole, struct sip_via *ret_via)
{
	const char *at, *end = sip_end(whole), *stop;
	struct sip_via via = { .whole = whole };

	if (whole.size <= 12 || memcmp(whole.at, "SIP/2.0/UDP ", 12) != 0)
		return false;
	via.transport = (struct bytes){ whole.at + 8, 3 };
	at = whole.at + 12;
	stop = sip_span(at, end, SIP_SPAN_HOST);
	via.host = sip_between(at, stop);
	if (stop == at || (stop < end && *stop == ':' && !(stop = read_port(stop + 1, end, &via.port))))
		return false;
	for (at = stop; at < end; at = stop) {
		if (*at != ';')
			return false;
		if ((stop = read_plain_value(at + 1, end, BYTES("branch="), &via.branch)) ||
		    (stop = read_plain_value(at + 1, end, BYTES("received="), &via.received)))
			continue;
		if (end - at < 6 || memcmp(at, ";rport", 6) != 0 || via.has_rport)
			return false;
		via.has_rport = true;
		stop = at + 6;
		if (stop < end && *stop == '=') {
			const char *value = stop + 1;

			stop = sip_skip(value, end, SIP_C_DIGIT);
			if (stop == value)
				return false;
		}
		via.rport = sip_between(at, stop);
	}
	*ret_via = via;
	return true;
}

bool sip_read_via(struct bytes element, struct sip_via *ret_via)
{
	struct bytes whole = sip_trim(element);
	const char *end = sip_end(whole), *at, *host;
	struct sip_via via = { .whole = whole };

	if (read_plain_via(whole, ret_via))
		return true;
	at = read_sent_protocol(whole.at, end, &via.transport);
	if (!at)
		return false;
	host = sip_skip(at, end, SIP_C_SPACE);
	if (host == at)
		return false;
	at = read_host(host, end, &via.host);
	if (!at)
		return false;
	at = sip_skip(at, end, SIP_C_SPACE);
	if (at < end && *at == ':') {
		at = read_port(sip_skip(at + 1, end, SIP_C_SPACE), end, &via.port);
		if (!at)
			return false;
		at = sip_skip(at, end, SIP_C_SPACE);
	}
	if (!read_via_parameters(at, end, &via))
		return false;
	*ret_via = via;
	return true;
}
