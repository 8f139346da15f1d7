/* Prefixes of a routing gateway: listed, and of its prefix file.  */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/file.h"
#include "core/config/load.h"

/* Prefixes while they are gathered: the text grows, so offsets stand for pointers until the end. */
struct prefix_list {
	char *text;
	size_t used, size;
	size_t *offsets;
	uint32_t count, room;
};

static bool is_prefix_character(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*' || c == '#' ||
	       c == '_';
}

const char *check_prefix(const char *prefix, size_t length)
{
	if (length > CONFIG_PREFIX_MAX)
		return "is longer than 63 characters";
	if (length > 0 && prefix[0] == '+')
		return "begins with +, but numbers are looked up without it";
	for (size_t i = 0; i < length; i++)
		if (!is_prefix_character(prefix[i]))
			return "is no prefix (digits, letters, '*', '#' and '_')";
	return NULL;
}

static int add_prefix(struct prefix_list *list, const char *prefix, size_t length)
{
	if (list->used + length + 1 > list->size) {
		size_t size = list->size ? 2 * list->size : 256;
		char *text = realloc(list->text, size);

		if (!text)
			return -ENOMEM;
		list->text = text;
		list->size = size;
	}
	if (list->count == list->room) {
		uint32_t room = list->room ? 2 * list->room : 16;
		size_t *offsets = room > list->room ? realloc(list->offsets, room * sizeof *offsets) : NULL;

		if (!offsets)
			return -ENOMEM;
		list->offsets = offsets;
		list->room = room;
	}
	list->offsets[list->count++] = list->used;
	memcpy(list->text + list->used, prefix, length);
	list->used += length;
	list->text[list->used++] = '\0';
	return 0;
}
static_assert(CONFIG_PREFIX_MAX < 256, "a doubled text has room for one more prefix");

/* Hands the gathered prefixes to the gateway. */
static int give_prefixes(struct prefix_list *list, struct routing_gateway *gateway)
{
	gateway->prefixes = calloc((size_t)list->count + 1, sizeof *gateway->prefixes);
	if (!gateway->prefixes)
		return -ENOMEM;
	for (uint32_t i = 0; i < list->count; i++)
		gateway->prefixes[i] = list->text + list->offsets[i];
	gateway->prefix_count = list->count;
	gateway->prefix_text = list->text;
	list->text = NULL;
	return 0;
}

/* One line of a prefix file: a prefix, "" for any, nothing; # behind a blank or at the start begins a comment. */
static int add_prefix_line(struct loading *l, struct prefix_list *list, const char *file, unsigned number,
			   const char *line)
{
	struct reader in_file = { .file = file, .error = l->reader.error };
	line += strspn(line, " \t");
	size_t length = strcspn(line, " \t\r");
	const char *rest = line + length + strspn(line + length, " \t\r");

	if (length == 0 || line[0] == '#')
		return 0;
	if (*rest && *rest != '#')
		return reader_refuse(&in_file, number, "one prefix a line, not '%.60s'", rest);
	if (length == 2 && memcmp(line, "\"\"", 2) == 0)
		length = 0;
	const char *wrong = check_prefix(line, length);
	if (wrong)
		return reader_refuse(&in_file, number, "'%.*s' %s", length > 70 ? 70 : (int)length, line, wrong);
	return add_prefix(list, line, length);
}

static int read_prefix_file(struct loading *l, const struct setting *setting, struct prefix_list *list,
			    const char *file)
{
	char *text, reason[FILE_REASON_MAX];
	int result = file_read(file, &text, reason);

	if (result < 0)
		return reader_refuse(&l->reader, setting->line, "prefix_file: %.200s: %s", file, reason);
	char *line = text;
	for (unsigned number = 1; line && result == 0; number++) {
		char *end = strchr(line, '\n');

		if (end)
			*end = '\0';
		result = add_prefix_line(l, list, file, number, line);
		line = end ? end + 1 : NULL;
	}
	free(text);
	return result;
}

static int gather_prefixes(struct loading *l, const struct section *section, struct routing_gateway *gateway,
			   struct prefix_list *list)
{
	const struct settings *listed = reader_settings(section, "prefix");
	const struct setting *file = reader_setting(section, "prefix_file", 0);
	char path[4096];
	int result = 0;

	for (uint32_t i = 0; i < listed->count && result == 0; i++) {
		const struct setting *setting = listed->at[i];
		const char *wrong = check_prefix(setting->text, strlen(setting->text));

		if (wrong)
			return reader_refuse(&l->reader, setting->line, "prefix: '%.70s' %s", setting->text, wrong);
		result = add_prefix(list, setting->text, strlen(setting->text));
	}
	bool from_file = file && file->text[0];
	if (result == 0 && list->count == 0 && !from_file)
		result = add_prefix(list, "", 0);
	gateway->prefix_listed = list->count;
	if (result < 0 || !from_file)
		return result;
	if ((result = load_path(l, file->line, "prefix_file", file->text, path)) < 0)
		return result;
	gateway->prefix_file = strdup(path);
	return gateway->prefix_file ? read_prefix_file(l, file, list, path) : -ENOMEM;
}

int load_prefixes(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	struct prefix_list list = { 0 };
	int result = gather_prefixes(l, section, gateway, &list);

	if (result == 0)
		result = give_prefixes(&list, gateway);
	free(list.offsets);
	free(list.text);
	return result;
}
