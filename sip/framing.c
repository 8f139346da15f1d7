#include "sip/framing.h"

#include <assert.h>

#include "sip/syntax.h"

#define EMPTY_LINE "\r\n\r\n"

/* How far CRLFCRLF has come with this byte. */
static uint8_t next_break(uint8_t breaks, char c)
{
	if (c == EMPTY_LINE[breaks])
		return (uint8_t)(breaks + 1);
	return c == '\r' ? 1 : 0;
}

/* Line ends before a message: 7.5, and the ping of RFC 5626. */
static enum framing_result between(struct framing *f, struct bytes stream, uint32_t *ret_size)
{
	uint32_t size = 0;

	while (size < stream.size && (stream.at[size] == '\r' || stream.at[size] == '\n')) {
		f->breaks = next_break(f->breaks, stream.at[size++]);
		if (f->breaks < 4)
			continue;
		f->breaks = 0;
		*ret_size = size;
		return FRAMING_PING;
	}
	*ret_size = size;
	return size > 0 ? FRAMING_SKIPPED : FRAMING_MORE;
}

/* The end of a header field: its lines go on while the next begins with white space (7.3.1).  `end` is that of the
 * header section, whose last line end closes every field. */
static const char *field_end(const char *at, const char *end)
{
	for (;;) {
		at = memmem(at, (size_t)(end - at), "\r\n", 2);
		if (!at)
			return end;
		at += 2;
		if (at == end || !sip_is(*at, SIP_C_SPACE))
			return at;
	}
}

static struct bytes trim(const char *at, const char *end)
{
	while (at < end && (sip_is(*at, SIP_C_SPACE) || *at == '\r' || *at == '\n'))
		at++;
	while (at < end && (sip_is(end[-1], SIP_C_SPACE) || end[-1] == '\r' || end[-1] == '\n'))
		end--;
	return sip_between(at, end);
}

/* The value of a field if it is Content-Length. */
static bool is_content_length(const char *at, const char *end, struct bytes *ret_value)
{
	const char *colon = memchr(at, ':', (size_t)(end - at));

	if (!colon)
		return false;
	const struct bytes name = trim(at, colon);
	*ret_value = trim(colon + 1, end);
	return bytes_equal_nocase(name, BYTES("Content-Length")) || bytes_equal_nocase(name, BYTES("l"));
}

/* What all Content-Length fields of a header section agree upon.  false: there is none, or no such thing. */
static bool read_length(struct bytes head, uint32_t *ret_length)
{
	const char *end = head.at + head.size - 2; /* without the empty line */
	bool found = false;

	for (const char *at = head.at, *next; at < end; at = next) {
		struct bytes value;
		uint32_t length;

		next = field_end(at, end);
		if (!is_content_length(at, next, &value))
			continue;
		if (!sip_read_number(value, &length) || (found && length != *ret_length))
			return false;
		*ret_length = length;
		found = true;
	}
	return found;
}

/* The size of the header section, its empty line included; 0: it goes on. */
static uint32_t find_head(struct framing *f, struct bytes stream)
{
	uint32_t from = f->looked > 3 ? f->looked - 3 : 0;
	const char *found = memmem(stream.at + from, stream.size - from, EMPTY_LINE, 4);

	f->looked = stream.size;
	return found ? (uint32_t)(found - stream.at) + 4 : 0;
}

/* The message is told of, as it is; the next begins behind it. */
static enum framing_result finish(struct framing *f, enum framing_result result, uint32_t size, uint32_t *ret_size)
{
	*f = (struct framing){ 0 };
	*ret_size = size;
	return result;
}

enum framing_result framing_next(struct framing *f, struct bytes stream, uint32_t max, uint32_t *ret_size)
{
	uint32_t length = 0;

	assert(stream.size >= f->looked);
	*ret_size = 0;
	if (stream.size == 0)
		return FRAMING_MORE;
	if (f->looked == 0) {
		if (stream.at[0] == '\r' || stream.at[0] == '\n')
			return between(f, stream, ret_size);
		f->breaks = 0;
		if (!sip_is(stream.at[0], SIP_C_TOKEN))
			return FRAMING_GARBAGE;
	}
	if (f->size == 0) {
		const uint32_t head = find_head(f, stream);

		if (head == 0)
			return stream.size < max ? FRAMING_MORE : finish(f, FRAMING_TOO_LARGE, max, ret_size);
		if (head > max)
			return finish(f, FRAMING_TOO_LARGE, max, ret_size);
		if (!read_length((struct bytes){ stream.at, head }, &length))
			return finish(f, FRAMING_UNBOUNDED, head, ret_size);
		if (length > max - head)
			return finish(f, FRAMING_TOO_LARGE, head, ret_size);
		f->size = head + length;
	}
	if (stream.size < f->size)
		return FRAMING_MORE;
	return finish(f, FRAMING_MESSAGE, f->size, ret_size);
}
