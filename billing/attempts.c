#include "billing/attempts.h"

#include <string.h>

#include "billing/utf8.h"

#define PUT(at, text) put((at), (text), sizeof(text) - 1)

static char *put(char *at, const char *text, size_t size)
{
	memcpy(at, text, size);
	return at + size;
}

static char *put_number(char *at, uint32_t number)
{
	char digits[10];
	size_t first = sizeof(digits);

	do
		digits[--first] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	return put(at, digits + first, sizeof(digits) - first);
}

/* RFC 8259 7: what must be escaped is. */
static char *put_character(char *at, char character)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char byte = (unsigned char)character;

	if (byte < 0x20) {
		at = PUT(at, "\\u00");
		*at++ = hex[byte >> 4];
		*at++ = hex[byte & 15];
		return at;
	}
	if (byte == '"' || byte == '\\')
		*at++ = '\\';
	*at++ = character;
	return at;
}

static char *put_name(char *at, struct cdr_text name)
{
	char clean[CDR_GATEWAY_MAX];
	const size_t size = name.size < sizeof(clean) ? name.size : sizeof(clean);

	if (size != 0)
		utf8_copy(clean, name.at, size);
	for (size_t i = 0; i < size; i++)
		at = put_character(at, clean[i]);
	return at;
}

size_t attempts_write(const struct cdr_attempt *attempts, size_t count, char out[static ATTEMPTS_TEXT_MAX])
{
	char *at = out;

	if (count > CDR_ATTEMPTS_MAX)
		count = CDR_ATTEMPTS_MAX;
	*at++ = '[';
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*at++ = ',';
		at = PUT(at, "{\"gateway\":\"");
		at = put_name(at, attempts[i].gateway);
		at = PUT(at, "\",\"code\":");
		at = put_number(at, attempts[i].code);
		at = PUT(at, ",\"ms\":");
		at = put_number(at, attempts[i].ms);
		*at++ = '}';
	}
	*at++ = ']';
	return (size_t)(at - out);
}
