/* Any text as a configuration: it is refused with one line that names the file, or it loads, and then its own text
 * gives the same configuration again; whatever it says of sources and routes can be looked up.  What follows a NUL is
 * "NAME VALUE" of a parameter that is set in what was loaded. */
#include "core/config/config.h"

#include <string.h>

#include "core/config/parameters.h"
#include "tests/fuzz/file.h"
#include "tests/fuzz/fuzz.h"

static struct config *load(const void *text, size_t size)
{
	struct config *c = NULL;
	char error[512];
	const char *path = fuzz_file(0, text, size);
	int result = config_load(path, &c, error);

	fuzz_expect((result == 0) == (error[0] == '\0'), "what is refused has a reason");
	fuzz_expect(!strchr(error, '\n'), "a reason is one line");
	fuzz_expect(result == 0 || strncmp(error, path, strlen(path)) == 0, "a reason names the file");
	fuzz_expect((result == 0) == (c != NULL), "what is refused gives nothing");
	return c;
}

static void ignore(void *context, const char *sentence)
{
	(void)context;
	fuzz_expect(!strchr(sentence, '\n'), "a warning is one line");
}

static void look_up(const struct config *c)
{
	static const char *const numbers[] = { "", "8801", "44*#", "x" };
	struct address from = { .family = 4, .port = 5060, .ip = { 10, 0, 0, 1 } };

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		const struct routing_gateway *const *list;
		uint32_t below = CONFIG_PREFIX_MAX + 1, length;

		config_source_find(c, &from, 0, bytes_of(numbers[i]));
		while (config_route_find(c, bytes_of(numbers[i]), below, &list, &length)) {
			fuzz_expect(length < below && length <= strlen(numbers[i]), "a shorter prefix follows");
			below = length;
		}
	}
	config_source_known(c, &from);
	config_warnings(c, ignore, NULL);
}

static void set_parameter(const struct config *c, const char *bytes, size_t size)
{
	char text[256], error[256], *value;
	struct config *other = NULL;

	if (size >= sizeof text)
		return;
	memcpy(text, bytes, size);
	text[size] = '\0';
	value = strchr(text, ' ');
	if (!value)
		return;
	*value++ = '\0';
	fuzz_expect((config_with_parameter(c, text, value, &other, error) == 0) == (other != NULL),
		    "a parameter is set, or nothing is given");
	config_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *nul = size ? memchr(bytes, '\0', size) : NULL;
	struct config *c = load(bytes, nul ? (size_t)(nul - bytes) : size), *again;
	char *text, *text_again;

	if (!c)
		return 0;
	look_up(c);
	if (nul)
		set_parameter(c, (const char *)nul + 1, size - (size_t)(nul - bytes) - 1);
	text = config_text(c);
	again = text ? load(text, strlen(text)) : NULL;
	text_again = again ? config_text(again) : NULL;
	fuzz_expect(text_again && strcmp(text, text_again) == 0, "the text gives the same configuration");
	free(text);
	free(text_again);
	config_free(c);
	config_free(again);
	return 0;
}
