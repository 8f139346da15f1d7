/* The in-place reader: see reader.h.
 *
 * A defect does not end the pass: the lines after it are still recorded, so that an answer can carry the Vias, From,
 * To, Call-ID and CSeq.  Control characters may stand in a header only inside quotes behind a backslash; a line with
 * others is recorded with an empty value, so no answer carries them on. */
#include "sip/reader.h"

#include <assert.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "sip/fold.h"
#include "sip/names.h"
#include "sip/span.h"
#include "sip/syntax.h"

void sip_refuse(enum sip_bad why, struct sip_refusal *ret_refusal)
{
	static const struct sip_refusal refusals[SIP_BAD_KINDS] = {
		[SIP_BAD_NONE] = { SIP_BAD_NONE, 0, "" },
		[SIP_BAD_START_LINE] = { SIP_BAD_START_LINE, 400, "Bad Request-Line" },
		[SIP_BAD_VERSION] = { SIP_BAD_VERSION, 505, "Version Not Supported" },
		[SIP_BAD_HEADER] = { SIP_BAD_HEADER, 400, "Bad Header Field" },
		[SIP_BAD_MISSING] = { SIP_BAD_MISSING, 400, "Missing Header Field" },
		[SIP_BAD_TWICE] = { SIP_BAD_TWICE, 400, "Repeated Header Field" },
		[SIP_BAD_CSEQ] = { SIP_BAD_CSEQ, 400, "Bad CSeq" },
		[SIP_BAD_CONTENT_LENGTH] = { SIP_BAD_CONTENT_LENGTH, 400, "Bad Content-Length" },
		[SIP_BAD_TOO_MANY] = { SIP_BAD_TOO_MANY, 400, "Too Many Header Fields" },
		[SIP_BAD_TOO_LARGE] = { SIP_BAD_TOO_LARGE, 513, "Message Too Large" },
	};

	assert(why < SIP_BAD_KINDS);
	*ret_refusal = refusals[why];
}

#define BIT(id) (UINT64_C(1) << (id))

/* What may stand once (RFC 3261 7.3.1, 20; RFC 3262 7; RFC 3515 2.1; RFC 3891 6.1).  Not Session-Expires and Min-SE: a
 * 2xx that has one of them twice is not to be lost, and sip/session_timer refuses the requests. */
static const uint64_t once_only = BIT(SIP_H_FROM) | BIT(SIP_H_TO) | BIT(SIP_H_CALL_ID) | BIT(SIP_H_CSEQ) |
				  BIT(SIP_H_MAX_FORWARDS) | BIT(SIP_H_CONTENT_LENGTH) | BIT(SIP_H_CONTENT_TYPE) |
				  BIT(SIP_H_CONTENT_DISPOSITION) | BIT(SIP_H_RSEQ) | BIT(SIP_H_RACK) |
				  BIT(SIP_H_REFER_TO) | BIT(SIP_H_REPLACES);
static_assert(SIP_HEADER_IDS <= 64, "once_only is one word");

struct reader {
	struct sip_message *m;
	const char *start, *end; /* of the text */
	const char *body;        /* after the empty line; NULL: there is none */
	enum sip_bad why;        /* the first defect */
	bool declined;
	bool folded; /* met a folded line: nothing was read but the lines before it */
};

static void fail(struct reader *r, enum sip_bad why)
{
	if (r->why == SIP_BAD_NONE)
		r->why = why;
}

#if defined(__SSE2__)

/* One bit for each of the 16 bytes at `at`. */
static inline unsigned find_controls(const char *at)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)at);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes));
}

static inline unsigned find_colons(const char *at)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)at), _mm_set1_epi8(':')));
}

#define STEP         16
#define FIRST(found) __builtin_ctz(found)

#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/* One bit in each of the 8 bytes at `at`: the lowest is right, and what a borrow makes of later ones does not matter.
 */
static inline uint64_t find_controls(const char *at)
{
	uint64_t word = sip_load8(at);

	return (word - 0x20 * SIP_EACH_BYTE) & ~word & 0x80 * SIP_EACH_BYTE;
}

static inline uint64_t find_colons(const char *at)
{
	uint64_t word = sip_load8(at) ^ ':' * SIP_EACH_BYTE;

	return (word - SIP_EACH_BYTE) & ~word & 0x80 * SIP_EACH_BYTE;
}

#define STEP         8
#define FIRST(found) (__builtin_ctzll(found) >> 3)

#else
#error "the searches expect a little-endian machine"
#endif

/* The first byte below 0x20 at or after `at`, or the end. */
static inline const char *next_control(const char *at, const char *end)
{
	for (; end - at >= STEP; at += STEP)
		if (find_controls(at))
			return at + FIRST(find_controls(at));
	while (at < end && (uint8_t)*at >= 0x20)
		at++;
	return at;
}

/* The first colon at or after `at`, or the end. */
static inline const char *next_colon(const char *at, const char *end)
{
	for (; end - at >= STEP; at += STEP)
		if (find_colons(at))
			return at + FIRST(find_colons(at));
	while (at < end && *at != ':')
		at++;
	return at;
}

/* The CRLF that ends this line, NULL if the text ends first.  *ret_controls: others than HTAB stand before it. */
static inline const char *line_end(const char *at, const char *end, bool *ret_controls)
{
	bool controls = false;

	for (at = next_control(at, end); at < end; at = next_control(at + 1, end)) {
		if (*at == '\r' && end - at >= 2 && at[1] == '\n') {
			*ret_controls = controls;
			return at;
		}
		controls |= *at != '\t';
	}
	return NULL;
}

/* Whether every control character is the second of a quoted-pair in quotes; CR and LF may not be even that. */
static bool controls_are_quoted(const char *at, const char *end)
{
	bool quoted = false;

	for (; at < end; at++) {
		if (*at == '\r' || *at == '\n')
			return false;
		if ((uint8_t)*at < 0x20 && *at != '\t')
			return false;
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '\\' && quoted && at + 1 < end && at[1] != '\r' && at[1] != '\n')
			at++;
	}
	return !quoted;
}

/* Records one header line [at, end). */
static void read_line(struct reader *r, const char *at, const char *end, bool controls)
{
	struct sip_message *m = r->m;
	const char *limit = r->end - end > STEP ? end + STEP : r->end; /* so that short lines go by whole steps, too */
	const char *colon = next_colon(at, limit), *name_end = colon, *value;
	enum sip_header_id id;

	while (name_end > at && sip_is(name_end[-1], SIP_C_SPACE))
		name_end--;
	if (name_end == at || colon >= end) {
		fail(r, SIP_BAD_HEADER);
		return;
	}
	if (r->end - at >= SIP_NAME_BYTES)
		id = sip_name_lookup(at, (uint32_t)(name_end - at));
	else
		id = sip_header_id_of(sip_between(at, name_end));
	if ((id == SIP_H_OTHER || controls) && sip_span(at, name_end, SIP_SPAN_TOKEN) != name_end) {
		fail(r, SIP_BAD_HEADER);
		return;
	}
	value = sip_skip(colon + 1, end, SIP_C_SPACE);
	while (end > value && sip_is(end[-1], SIP_C_SPACE))
		end--;
	if (controls && !controls_are_quoted(value, end)) {
		fail(r, SIP_BAD_HEADER);
		end = value;
	}
	m->header[m->header_count++] = (struct sip_header){
		.name_at = (uint32_t)(at - r->start),
		.value_at = (uint32_t)(value - r->start),
		.name_size = (uint16_t)(name_end - at),
		.value_size = (uint16_t)(end - value),
		.id = (uint16_t)id,
	};
	if (m->first[id] == 0)
		m->first[id] = m->header_count;
	else if (once_only & BIT(id))
		fail(r, SIP_BAD_TWICE);
}

/* Reads the header lines up to the empty one and sets the body's start. */
static void read_lines(struct reader *r, const char *lines)
{
	const char *at = lines;

	while (r->end - at < 2 || at[0] != '\r' || at[1] != '\n') {
		bool controls;
		const char *end = line_end(at, r->end, &controls);

		if (!end) { /* the empty line is missing */
			fail(r, SIP_BAD_HEADER);
			return;
		}
		if (sip_is(*at, SIP_C_SPACE) && at > lines) { /* the start line cannot be folded */
			r->folded = true;
			return;
		}
		if (r->m->header_count == SIP_HEADERS_MAX) {
			fail(r, SIP_BAD_TOO_MANY);
			return;
		}
		read_line(r, at, end, controls);
		at = end + 2;
	}
	r->body = at + 2;
}

static bool is_version(struct bytes text)
{
	return text.size == 7 && bytes_equal_nocase(text, BYTES("SIP/2.0"));
}

/* "SIP/2.0 200 OK"; the space before an empty reason phrase may be missing. */
static void read_status_line(struct reader *r, const char *at, const char *end)
{
	struct sip_message *m = r->m;
	uint32_t status;

	if (end - at < 11 || !is_version(sip_between(at, at + 7)) || at[7] != ' ' ||
	    !sip_read_number(sip_between(at + 8, at + 11), &status) || status < 100 || status > 699 ||
	    (end - at > 11 && at[11] != ' ')) {
		fail(r, SIP_BAD_START_LINE);
		return;
	}
	m->status = (uint16_t)status;
	m->reason = end - at > 12 ? sip_between(at + 12, end) : BYTES_NONE;
}

/* Another version than ours, as opposed to no version at all. */
static bool is_other_version(struct bytes text)
{
	const char *at = text.at + 4, *end = text.at + text.size, *dot;

	if (text.size < 7 || !bytes_equal_nocase(sip_between(text.at, at), BYTES("SIP/")))
		return false;
	dot = sip_skip(at, end, SIP_C_DIGIT);
	return dot > at && dot < end - 1 && *dot == '.' && sip_skip(dot + 1, end, SIP_C_DIGIT) == end;
}

/* "INVITE sip:bob@example.com SIP/2.0", one space each.  `space` is the first. */
static void read_request_line(struct reader *r, const char *at, const char *space, const char *end)
{
	struct sip_message *m = r->m;
	const char *uri_end = memchr(space + 1, ' ', (size_t)(end - space - 1));
	struct sip_uri uri;

	m->is_request = true;
	m->method_text = sip_between(at, space);
	m->method = sip_method_of(m->method_text);
	if (!uri_end) {
		fail(r, SIP_BAD_START_LINE);
		return;
	}
	m->request_uri = sip_between(space + 1, uri_end);
	if (!is_version(sip_between(uri_end + 1, end)))
		fail(r, is_other_version(sip_between(uri_end + 1, end)) ? SIP_BAD_VERSION : SIP_BAD_START_LINE);
	if (!sip_read_uri(m->request_uri, &uri) || (uri.is_sip && uri.headers.at)) /* no headers here: 19.1.1 */
		fail(r, SIP_BAD_START_LINE);
}

/* Returns the first header line, NULL if this is not SIP. */
static const char *read_start_line(struct reader *r)
{
	const char *at = r->start, *end, *space;
	bool controls;

	while (r->end - at >= 2 && at[0] == '\r' && at[1] == '\n') /* 7.5 */
		at += 2;
	end = line_end(at, r->end, &controls);
	if (!end)
		return NULL;
	space = sip_skip(at, end, SIP_C_TOKEN);
	if (space == at || space == end)
		return NULL;
	if (*space == ' ')
		read_request_line(r, at, space, end);
	else if (space - at == 3 && bytes_equal_nocase(sip_between(at, space + 1), BYTES("SIP/")))
		read_status_line(r, at, end);
	else
		return NULL;
	if (controls)
		fail(r, SIP_BAD_START_LINE);
	return end + 2;
}

/* The two without which nothing can be answered. */
static bool read_identity(struct reader *r)
{
	struct sip_message *m = r->m;
	struct bytes rest = sip_header(m, SIP_H_VIA), element;

	if (!sip_list_next(&rest, &element) || !sip_read_via(element, &m->via)) {
		fail(r, m->first[SIP_H_VIA] ? SIP_BAD_HEADER : SIP_BAD_MISSING);
		return false;
	}
	m->call_id = sip_header(m, SIP_H_CALL_ID);
	if (m->call_id.size == 0) {
		fail(r, SIP_BAD_MISSING);
		return false;
	}
	if (memchr(m->call_id.at, ' ', m->call_id.size) ||
	    next_control(m->call_id.at, sip_end(m->call_id)) != sip_end(m->call_id))
		fail(r, SIP_BAD_HEADER);
	return true;
}

/* From and To.  A bad one is still lent as a whole, for the answer. */
static void read_party(struct reader *r, enum sip_header_id id, struct sip_name_address *party)
{
	struct bytes value = sip_header(r->m, id);
	enum sip_read_result result;

	if (value.size == 0) {
		fail(r, r->m->first[id] ? SIP_BAD_HEADER : SIP_BAD_MISSING);
		return;
	}
	result = sip_judge_name_address(value, party);
	if (result == SIP_READ_OK)
		return;
	party->whole = value;
	if (result == SIP_READ_DECLINED)
		r->declined = true;
	else
		fail(r, SIP_BAD_HEADER);
}

static void read_cseq(struct reader *r)
{
	struct sip_message *m = r->m;
	struct bytes value = sip_header(m, SIP_H_CSEQ), method;
	const char *end = sip_end(value);
	const char *digits_end = sip_skip(value.at, end, SIP_C_DIGIT);
	const char *at = sip_skip(digits_end, end, SIP_C_SPACE);
	uint32_t number;

	if (!m->first[SIP_H_CSEQ]) {
		fail(r, SIP_BAD_MISSING);
		return;
	}
	method = sip_between(at, end);
	if (at == digits_end || at == end || sip_skip(at, end, SIP_C_TOKEN) != end ||
	    !sip_read_number(sip_between(value.at, digits_end), &number) || number > INT32_MAX) { /* 8.1.1.5 */
		fail(r, SIP_BAD_CSEQ);
		return;
	}
	m->cseq = number;
	if (m->is_request) {
		if (!bytes_equal(method, m->method_text))
			fail(r, SIP_BAD_CSEQ);
	} else {
		m->method_text = method;
		m->method = sip_method_of(method);
	}
}

/* A number too large is no smaller than the largest that can be: RFC 4475 3.1.2.4. */
static void read_max_forwards(struct reader *r)
{
	struct bytes value = sip_header(r->m, SIP_H_MAX_FORWARDS);
	uint32_t number = UINT8_MAX;

	if (!r->m->first[SIP_H_MAX_FORWARDS])
		return;
	if (value.size == 0 || sip_skip(value.at, sip_end(value), SIP_C_DIGIT) != sip_end(value)) {
		fail(r, SIP_BAD_HEADER);
		return;
	}
	if (!sip_read_number(value, &number) || number > UINT8_MAX)
		number = UINT8_MAX;
	r->m->max_forwards = (int32_t)number;
}

static void read_contact(struct reader *r)
{
	struct bytes rest = sip_header(r->m, SIP_H_CONTACT), element;
	enum sip_read_result result;

	if (!r->m->first[SIP_H_CONTACT])
		return;
	if (!sip_list_next(&rest, &element)) {
		fail(r, SIP_BAD_HEADER);
		return;
	}
	if (bytes_equal(element, BYTES("*")))
		return;
	result = sip_judge_name_address(element, &r->m->contact);
	if (result == SIP_READ_DECLINED)
		r->declined = true;
	else if (result != SIP_READ_OK)
		fail(r, SIP_BAD_HEADER);
}

/* 18.3: over UDP the rest of the datagram without Content-Length, else that many bytes of it. */
static void read_body(struct reader *r)
{
	struct sip_message *m = r->m;
	uint32_t size, rest;

	if (!r->body)
		return;
	rest = (uint32_t)(r->end - r->body);
	size = rest;
	if (m->first[SIP_H_CONTENT_LENGTH] &&
	    (!sip_read_number(sip_header(m, SIP_H_CONTENT_LENGTH), &size) || size > rest)) {
		fail(r, SIP_BAD_CONTENT_LENGTH);
		return;
	}
	m->body = (struct bytes){ r->body, size };
}

/* Everything but the header table, which is written as it is filled. */
static void clear(struct sip_message *m, struct bytes text)
{
	m->text = text;
	m->is_request = m->by_library = false;
	m->method = SIP_METHOD_UNKNOWN;
	m->method_text = m->request_uri = m->reason = BYTES_NONE;
	m->status = 0;
	m->cseq = 0;
	m->call_id = m->content_type = m->body = BYTES_NONE;
	m->via = (struct sip_via){ 0 };
	m->from = m->to = m->contact = (struct sip_name_address){ 0 };
	m->max_forwards = -1;
	memset(m->first, 0, sizeof m->first);
	m->header_count = 0;
}

/* As sip_reader_read().  *ret_folded, with SIP_READ_DECLINED: because of a folded line. */
static enum sip_read_result read_once(struct bytes text, struct sip_message *ret_message,
				      struct sip_refusal *ret_refusal, bool *ret_folded)
{
	struct reader r = { .m = ret_message, .start = text.at, .end = text.at + text.size };
	const char *lines;
	bool answerable;

	*ret_folded = false;
	clear(ret_message, text);
	sip_refuse(SIP_BAD_START_LINE, ret_refusal);
	lines = read_start_line(&r);
	if (!lines)
		return SIP_READ_GARBAGE;
	read_lines(&r, lines);
	if (r.folded) {
		*ret_folded = true;
		return SIP_READ_DECLINED;
	}

	answerable = read_identity(&r) && ret_message->is_request;
	read_party(&r, SIP_H_FROM, &ret_message->from);
	read_party(&r, SIP_H_TO, &ret_message->to);
	read_cseq(&r);
	read_max_forwards(&r);
	read_contact(&r);
	ret_message->content_type = sip_header(ret_message, SIP_H_CONTENT_TYPE);
	read_body(&r);

	sip_refuse(r.why, ret_refusal);
	if (r.why != SIP_BAD_NONE)
		return answerable ? SIP_READ_BAD : SIP_READ_GARBAGE;
	return r.declined ? SIP_READ_DECLINED : SIP_READ_OK;
}

enum sip_read_result sip_reader_read(struct bytes text, char *scratch, struct sip_message *ret_message,
				     struct sip_refusal *ret_refusal)
{
	enum sip_read_result result;
	struct bytes copy;
	bool folded;

	assert(text.size <= UINT16_MAX);
	result = read_once(text, ret_message, ret_refusal, &folded);
	if (folded && scratch && sip_unfold(text, scratch, &copy))
		result = read_once(copy, ret_message, ret_refusal, &folded);
	return result;
}
