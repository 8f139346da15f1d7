/* UTF-8 by the table of RFC 3629 4: the second byte's range depends on the first, the others are 80..BF. */
#include "core/control/text.h"

#include <stdlib.h>
#include <string.h>

unsigned utf8_length(const char *bytes, size_t size)
{
	const unsigned char *at = (const unsigned char *)bytes;
	if (size == 0)
		return 0;
	if (at[0] < 0x80)
		return 1;
	unsigned length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	if (at[0] < 0xc2 || at[0] > 0xf4 || size < length)
		return 0;
	unsigned char low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
	if (at[1] < low || at[1] > high)
		return 0;
	for (unsigned i = 2; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

json_t *json_text(const char *bytes, size_t size)
{
	size_t good = 0;
	while (good < size) {
		unsigned length = utf8_length(bytes + good, size - good);
		if (length == 0)
			break;
		good += length;
	}
	if (good == size)
		return json_stringn_nocheck(bytes, size);
	char *copy = malloc(size);
	if (copy == NULL)
		return NULL;
	memcpy(copy, bytes, size);
	while (good < size) {
		unsigned length = utf8_length(copy + good, size - good);
		if (length == 0)
			copy[good] = '?';
		good += length == 0 ? 1 : length;
	}
	json_t *text = json_stringn_nocheck(copy, size);
	free(copy);
	return text;
}

json_t *json_text_terminated(const char *text)
{
	return json_text(text, strlen(text));
}
