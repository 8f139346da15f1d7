/* A prefix file, and numbers looked up in it: what is found is what a walk over all prefixes finds.  Behind a NUL stand
 * the numbers, one a line. */
#include "core/config/routes.h"

#include <string.h>

#include "tests/fuzz/file.h"
#include "tests/fuzz/fuzz.h"

#define NUMBERS_MAX 64

static struct config *load(const void *prefixes, size_t size)
{
	char text[512], error[512];
	struct config *c = NULL;
	const char *file = fuzz_file(1, prefixes, size);
	int length =
		snprintf(text, sizeof text,
			 "listen \"main\" { address = \"192.0.2.1\" }\n"
			 "routing_gateway \"a\" { address = \"192.0.2.2\" prefix = {\"88\", \"4\"} priority = 2\n"
			 "  prefix_file = \"%s\" }\n"
			 "routing_gateway \"b\" { address = \"192.0.2.3\" prefix = {\"8\", \"12345678901234567\"} }\n",
			 file);

	if (config_load(fuzz_file(0, text, (size_t)length), &c, error) < 0)
		fuzz_expect(error[0] && !strchr(error, '\n'), "what is refused has a reason of one line");
	return c;
}

/* The length of the number's longest prefix of fewer than `below` characters, and how many gateways have it. */
static uint32_t walk(const struct config *c, struct bytes number, uint32_t below, uint32_t *ret_length)
{
	uint32_t count = 0, longest = 0;

	for (uint32_t i = 0; i < c->routing_count; i++) {
		const struct routing_gateway *r = &c->routings[i];
		bool counted = false; /* a prefix may stand there twice */

		for (uint32_t p = 0; p < r->prefix_count; p++) {
			uint32_t length = (uint32_t)strlen(r->prefixes[p]);

			if (length >= below || length > number.size || memcmp(r->prefixes[p], number.at, length) != 0 ||
			    (count && length < longest))
				continue;
			if (length > longest)
				count = 0, counted = false;
			longest = length;
			count += !counted;
			counted = true;
		}
	}
	*ret_length = count ? longest : 0;
	return count;
}

static void look_up(const struct config *c, struct bytes number)
{
	uint32_t below = CONFIG_PREFIX_MAX + 1, count, length, expected, expected_length;
	const struct routing_gateway *const *list;

	do {
		count = config_route_find(c, number, below, &list, &length);
		expected = walk(c, number, below, &expected_length);
		fuzz_expect(count == expected && length == expected_length,
			    "the longest prefix is found, with all gateways that have it");
		below = length;
	} while (count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *nul = size ? memchr(bytes, '\0', size) : NULL, *end = bytes + size;
	struct config *c = load(bytes, nul ? (size_t)(nul - bytes) : size);

	if (!c)
		return 0;
	for (unsigned i = 0; nul && nul < end && i < NUMBERS_MAX; i++) {
		const char *number = (const char *)nul + 1;
		const uint8_t *newline = memchr(number, '\n', (size_t)(end - nul - 1));

		nul = newline ? newline : end;
		look_up(c, (struct bytes){ number, (uint32_t)((const char *)nul - number) });
	}
	config_free(c);
	return 0;
}
