/* Well-formed UTF-8 by the table of RFC 3629 4: no overlong forms, no surrogates, nothing past U+10FFFF. */
#include "billing/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_tail(unsigned char byte)
{
	return byte >= 0x80 && byte <= 0xbf;
}

/* The second byte is what bars overlong forms (E0, F0), surrogates (ED) and numbers too large (F4). */
static bool second_fits(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0 && second <= 0xbf;
	case 0xed:
		return second >= 0x80 && second <= 0x9f;
	case 0xf0:
		return second >= 0x90 && second <= 0xbf;
	case 0xf4:
		return second >= 0x80 && second <= 0x8f;
	default:
		return is_tail(second);
	}
}

/* Bytes of the character at `at`, 0 if it is none. */
static size_t character(const unsigned char *at, size_t left)
{
	const unsigned char first = at[0];
	size_t size;

	if (first < 0x80)
		return first != 0;
	if (first >= 0xc2 && first <= 0xdf)
		size = 2;
	else if (first >= 0xe0 && first <= 0xef)
		size = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		size = 4;
	else
		return 0;
	if (left < size || !second_fits(first, at[1]))
		return 0;
	for (size_t i = 2; i < size; i++)
		if (!is_tail(at[i]))
			return 0;
	return size;
}

/* Are the eight bytes at `at` ASCII without NUL?  The subtraction sets the highest bit of the lowest byte that is 0,
 * and reaches beyond a byte only from one that is. */
static bool is_plain_word(const unsigned char *at)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highest = UINT64_C(0x8080808080808080);
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return ((word | (word - ones)) & highest) == 0;
}

/* Bytes from the start that are seen to be ASCII at a glance: all, or a multiple of eight. */
static size_t plain_start(const unsigned char *bytes, size_t size)
{
	size_t at = 0;

	while (size - at >= 8) {
		if (!is_plain_word(bytes + at))
			return at;
		at += 8;
	}
	/* The last word overlaps the one before it. */
	return size >= 8 && is_plain_word(bytes + size - 8) ? size : at;
}

size_t utf8_good(const char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t at = plain_start(bytes, size);

	while (at < size) {
		const size_t step = character(bytes + at, size - at);
		if (step == 0)
			break;
		at += step;
	}
	return at;
}

void utf8_copy(char *out, const char *text, size_t size)
{
	size_t at = 0;

	while (at < size) {
		const size_t good = utf8_good(text + at, size - at);
		memcpy(out + at, text + at, good);
		at += good;
		if (at < size)
			out[at++] = '?';
	}
}
