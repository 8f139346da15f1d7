/* Characters of one kind, sixteen at a time: RFC 3261 25.1.  The kinds are spelled out here, and every length, place
 * and neighbourhood is tried, in memory that ends where the text does. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "sip/span.h"

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define TOKEN ALNUM "-.+_!%*`'~"
#define URI   ALNUM "-.+_!*`'~[]#$&()/;=?\\^{|},"

static const struct {
	enum sip_span_kind kind;
	const char *has;
} kinds[] = {
	{ SIP_SPAN_TOKEN, TOKEN },        { SIP_SPAN_VALUE, TOKEN "[]:/" }, { SIP_SPAN_HOST, ALNUM "-._" },
	{ SIP_SPAN_URI_PLAIN, URI "@:" }, { SIP_SPAN_USER_PLAIN, URI },
};

static bool belongs(unsigned i, int c)
{
	return c != 0 && c < 0x80 && strchr(kinds[i].has, c) != NULL;
}

Test(rfc3261_25_1, each_kind_has_its_characters_and_no_others)
{
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		for (int c = 0; c < 256; c++) {
			char text = (char)c;

			cr_assert_eq(sip_span_has(text, kinds[i].kind), belongs(i, c), "kind %u, 0x%02x", i, c);
			cr_assert_eq(sip_span(&text, &text + 1, kinds[i].kind) == &text + 1, belongs(i, c),
				     "kind %u, 0x%02x", i, c);
		}
	for (int c = 0; c < 256; c++)
		cr_assert_eq(sip_span_has((char)c, SIP_SPAN_LIST), c < 0x80 && c != ',' && c != '"' && c != '<');
}

/* Every byte at every place of texts up to 40 long. */
Test(rfc3261_25_1, a_span_ends_at_the_first_other_character)
{
	for (size_t size = 0; size <= 40; size++) {
		char *text = malloc(size ? size : 1);

		for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
			memset(text, 'x', size);
			cr_assert_eq(sip_span(text, text + size, kinds[i].kind), text + size, "%zu", size);
			for (size_t at = 0; at < size; at++)
				for (int c = 0; c < 256; c++) {
					const char *expected = text + (belongs(i, c) ? size : at);

					memset(text, 'x', size);
					text[at] = (char)c;
					cr_assert_eq(sip_span(text, text + size, kinds[i].kind), expected,
						     "kind %u, 0x%02x at %zu of %zu", i, c, at, size);
				}
		}
		free(text);
	}
}
