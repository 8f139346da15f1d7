/* Several texts in one piece of memory. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "sip/pack.h"

Test(pack, texts_read_back)
{
	struct bytes texts[4] = { BYTES("one"), BYTES_NONE, BYTES("three\0with a NUL"), BYTES("4") }, read[4];
	uint32_t size = pack_size(texts, 4);
	cr_assert_eq(size, 8 + 3 + 0 + 16 + 1);
	char packed[64];
	memset(packed, 'x', sizeof packed);
	pack_write(texts, 4, packed);
	cr_assert_eq(packed[size], 'x');
	pack_read((struct bytes){ packed, size }, read, 4);
	for (unsigned i = 0; i < 4; i++)
		cr_assert(bytes_equal(texts[i], read[i]), "text %u", i);
}

/* Sizes are little-endian on disk, whatever the machine. */
Test(pack, the_form_is_fixed)
{
	char *longer = calloc(1, 0x1234), packed[2 + 0x1234];
	struct bytes text = { longer, 0x1234 };
	pack_write(&text, 1, packed);
	cr_assert_eq((unsigned char)packed[0], 0x34);
	cr_assert_eq((unsigned char)packed[1], 0x12);
	free(longer);
}

Test(pack, the_longest_text_and_one_byte_more)
{
	char *longest = calloc(1, UINT16_MAX + 1u), *packed = malloc(2 + UINT16_MAX);
	struct bytes text = { longest, UINT16_MAX }, read;
	cr_assert_eq(pack_size(&text, 1), 2 + UINT16_MAX);
	pack_write(&text, 1, packed);
	pack_read((struct bytes){ packed, 2 + UINT16_MAX }, &read, 1);
	cr_assert_eq(read.size, UINT16_MAX);
	text.size = UINT16_MAX + 1u;
	cr_assert_eq(pack_size(&text, 1), 0);
	free(packed);
	free(longest);
}
