/* See reader.h.  Every option is a libconfuse pointer whose parse function keeps the text and the line of the moment.
 */
#include "core/config/reader.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/file.h"
#include "core/config/scan.h"

#define SEEN       (1 << 24) /* a flag of ours on an option: assigned before */
#define BLOCK_SIZE (256u << 10)

/* ---- memory: taken in blocks, given back as a whole ---- */

struct reader_memory {
	struct reader_memory *next;
	size_t used, size;
	max_align_t room[];
};

/* Aligned for pointers; NULL: no memory. */
static void *take(struct reader *r, size_t size)
{
	struct reader_memory *block = r->memory;

	size = (size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	if (!block || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = malloc(sizeof *block + room);
		if (!block)
			return NULL;
		*block = (struct reader_memory){ .next = r->memory, .size = room };
		r->memory = block;
	}
	void *taken = (char *)block->room + block->used;
	block->used += size;
	return taken;
}

/* ---- errors ---- */

static void note(struct reader *r, unsigned line, const char *format, va_list arguments)
{
	if (r->error[0])
		return;
	int used = snprintf(r->error, READER_ERROR_MAX, "%.300s:%u: ", r->file, line);

	vsnprintf(r->error + used, READER_ERROR_MAX - (size_t)used, format, arguments);
	for (char *c = r->error; *c; c++) /* one line, whatever the file has quoted */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

int reader_refuse(struct reader *r, unsigned line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note(r, line, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- the grammar ---- */

/* libconfuse calls back without context; one thread at a time reads. */
static struct reader *reading;

static void note_syntax(cfg_t *section, const char *format, va_list arguments)
{
	note(reading, (unsigned)section->line + reading->line_offset, format, arguments);
}

static int keep_setting(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	if (option->flags & SEEN && option->nvalues == 1) {
		cfg_error(section, "'%s' stands here a second time", option->name);
		return -1;
	}
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			cfg_error(section, "the value of '%s' has a line break or control character", option->name);
			return -1;
		}
	struct setting *setting = take(reading, sizeof *setting + strlen(value) + 1);
	if (!setting)
		return -1;
	setting->line = (unsigned)section->line + reading->line_offset;
	strcpy(setting->text, value);
	option->flags |= SEEN;
	*(void **)result = setting;
	return 0;
}

#define KEYS_MAX 64 /* of a section, and the end of the list */

/* The options of a kind of section, as libconfuse wants them. */
static void fill_options(enum section_kind kind, cfg_opt_t options[static KEYS_MAX])
{
	const struct section_form *form = &section_forms[kind];

	assert(form->key_count < KEYS_MAX);
	for (unsigned i = 0; i < form->key_count; i++)
		options[i] = (cfg_opt_t){ .name = form->keys[i].name,
					  .type = CFGT_PTR,
					  .flags = form->keys[i].list ? CFGF_LIST : CFGF_NONE,
					  .parsecb = keep_setting };
	options[form->key_count] = (cfg_opt_t)CFG_END();
}

/* Borrows nothing: libconfuse copies what it is given. */
static cfg_t *make_grammar(const char *file)
{
	cfg_opt_t top[KEYS_MAX + SECTION_KINDS], keys[SECTION_KINDS][KEYS_MAX];
	unsigned end = section_forms[SECTION_NODE].key_count;

	fill_options(SECTION_NODE, top);
	for (unsigned k = SECTION_NODE + 1; k < SECTION_KINDS; k++) {
		cfg_flag_t flags = CFGF_MULTI | (section_forms[k].titled ? CFGF_TITLE : CFGF_NONE);

		fill_options(k, keys[k]);
		top[end++] = (cfg_opt_t)CFG_SEC(section_forms[k].name, keys[k], flags);
	}
	top[end] = (cfg_opt_t)CFG_END();
	cfg_t *root = cfg_init(top, CFGF_NONE);
	if (root)
		root->filename = strdup(file);
	if (!root || !root->filename) {
		if (root)
			cfg_free(root);
		return NULL;
	}
	cfg_set_error_function(root, note_syntax);
	return root;
}

/* ---- what libconfuse found ---- */

static int compare_sections(const void *a, const void *b)
{
	const struct section *x = a, *y = b;

	return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->title, y->title);
}

/* Titles are looked for in a tree, since there may be as many gateways as one likes. */
static int enter_title(struct reader *r, const struct section *section)
{
	const struct section *const *node = tsearch(section, &r->titles, compare_sections);

	if (!node)
		return -ENOMEM;
	if (*node == section)
		return 0;
	return reader_refuse(r, section->line, "%s: duplicate title '%.70s', which line %u has already",
			     section_forms[section->kind].name, section->title, (*node)->line);
}

static int append_section(struct reader *r, const struct section *section)
{
	enum section_kind kind = section->kind;

	if (r->counts[kind] == r->rooms[kind]) {
		uint32_t room = r->rooms[kind] ? 2 * r->rooms[kind] : 16;
		const struct section **sections =
			room > r->rooms[kind] ? realloc(r->sections[kind], room * sizeof(void *)) : NULL;

		if (!sections)
			return -ENOMEM;
		r->sections[kind] = sections;
		r->rooms[kind] = room;
	}
	r->sections[kind][r->counts[kind]++] = section;
	return 0;
}

/* Copies the way to the settings, which are in our memory already. */
static int keep_section(struct reader *r, enum section_kind kind, cfg_t *found, unsigned line)
{
	const struct section_form *form = &section_forms[kind];
	const char *title = form->titled ? cfg_title(found) : "";
	struct section *section = take(r, sizeof *section + form->key_count * sizeof section->settings[0]);
	char *copy = take(r, strlen(title) + 1);

	if (!section || !copy)
		return -ENOMEM;
	section->kind = kind;
	section->ordinal = r->counts[kind];
	section->line = line;
	section->title = strcpy(copy, title);
	for (unsigned i = 0; i < form->key_count; i++) {
		cfg_opt_t *option = &found->opts[i];
		struct settings *settings = &section->settings[i];

		assert(strcmp(option->name, form->keys[i].name) == 0);
		settings->count = option->nvalues;
		settings->at = take(r, option->nvalues * sizeof settings->at[0]);
		if (option->nvalues && !settings->at)
			return -ENOMEM;
		for (uint32_t v = 0; v < settings->count; v++)
			settings->at[v] = option->values[v]->ptr;
	}
	int result = form->titled ? enter_title(r, section) : 0;
	return result < 0 ? result : append_section(r, section);
}

/* Takes the sections of a piece out of libconfuse, at most one. */
static int keep_sections(struct reader *r, unsigned line)
{
	int result = 0;

	for (unsigned k = SECTION_NODE + 1; k < SECTION_KINDS && result == 0; k++) {
		cfg_opt_t *option = cfg_getopt(r->root, section_forms[k].name);

		for (unsigned i = 0; i < cfg_opt_size(option) && result == 0; i++)
			result = keep_section(r, k, cfg_opt_getnsec(option, i), line);
		cfg_free_value(option);
	}
	return result;
}

static int parse_piece(struct reader *r, char *text, const struct piece *piece)
{
	FILE *stream = piece->size ? fmemopen(text + piece->start, piece->size, "r") : NULL;

	if (!stream)
		return piece->size ? -ENOMEM : 0;
	r->line_offset = piece->line - 1;
	int result = cfg_parse_fp(r->root, stream) == CFG_SUCCESS ? 0 : -EINVAL;
	fclose(stream);
	if (result < 0 && !r->error[0])
		return -ENOMEM; /* of all that fails it alone says nothing */
	return result < 0 ? result : keep_sections(r, piece->open_line);
}

static int parse(struct reader *r, char *text)
{
	struct scan scan;
	int result = scan_text(text, &scan);

	if (result == -EINVAL)
		reader_refuse(r, scan.wrong_line, "%s", scan.wrong);
	r->end_line = scan.end_line;
	if (result == 0 && !(r->root = make_grammar(r->file)))
		result = -ENOMEM;
	reading = r;
	for (uint32_t i = 0; i < scan.count && result == 0; i++)
		result = parse_piece(r, text, &scan.pieces[i]);
	reading = NULL;
	if (result == 0 && scan.unclosed)
		result = reader_refuse(r, scan.unclosed, "the section that begins here is never closed");
	if (result == 0)
		result = keep_section(r, SECTION_NODE, r->root, 1);
	if (r->root)
		cfg_free(r->root);
	r->root = NULL;
	scan_free(&scan);
	if (result == -ENOMEM)
		snprintf(r->error, READER_ERROR_MAX, "%.300s: out of memory", r->file);
	return result;
}

int reader_open(struct reader *r, const char *file, const char *text, char error[static READER_ERROR_MAX])
{
	char *copy = NULL, reason[FILE_REASON_MAX] = "cannot open: out of memory";
	int result = 0;

	*r = (struct reader){ .file = file, .error = error };
	error[0] = '\0';
	if (!text)
		result = file_read(file, &copy, reason);
	else if (!(copy = strdup(text)))
		result = -ENOMEM;
	if (result < 0)
		snprintf(error, READER_ERROR_MAX, "%.300s: %s", file, reason);
	else
		result = parse(r, copy);
	free(copy);
	if (result < 0)
		reader_close(r);
	return result;
}

static void leave(void *section)
{
	(void)section; /* the memory's */
}

void reader_close(struct reader *r)
{
	tdestroy(r->titles, leave);
	r->titles = NULL;
	for (unsigned k = 0; k < SECTION_KINDS; k++) {
		free(r->sections[k]);
		r->sections[k] = NULL;
		r->counts[k] = r->rooms[k] = 0;
	}
	while (r->memory) {
		struct reader_memory *block = r->memory;

		r->memory = block->next;
		free(block);
	}
}

/* ---- questions ---- */

uint32_t reader_count(const struct reader *r, enum section_kind kind)
{
	return r->counts[kind];
}

const struct section *reader_section(const struct reader *r, enum section_kind kind, uint32_t index)
{
	assert(index < r->counts[kind]);
	return r->sections[kind][index];
}

const struct section *reader_find(const struct reader *r, enum section_kind kind, const char *title)
{
	struct section wanted = { .kind = kind, .title = title };
	const struct section *const *node = tfind(&wanted, &r->titles, compare_sections);

	return node ? *node : NULL;
}

static const struct key *key_of(const struct section *section, const char *key)
{
	int index = key_find(section->kind, key);

	assert(index >= 0); /* a key that the table lacks */
	return &section_forms[section->kind].keys[index];
}

const struct settings *reader_settings(const struct section *section, const char *key)
{
	return &section->settings[key_of(section, key) - section_forms[section->kind].keys];
}

const struct setting *reader_setting(const struct section *section, const char *key, uint32_t index)
{
	const struct settings *settings = reader_settings(section, key);

	return index < settings->count ? settings->at[index] : NULL;
}

unsigned reader_line(const struct section *section, const char *key)
{
	const struct setting *setting = reader_setting(section, key, 0);

	return setting ? setting->line : section->line;
}

/* The value, or the default where the key is absent; *ret_setting is NULL then. */
static const char *value_text(const struct section *section, const struct key *key, const struct setting **ret_setting)
{
	*ret_setting = reader_setting(section, key->name, 0);
	return *ret_setting ? (*ret_setting)->text : key->default_text;
}

int reader_number(struct reader *r, const struct section *section, const char *name, uint32_t *value)
{
	const struct key *key = key_of(section, name);
	const struct setting *setting;
	const char *text = value_text(section, key, &setting);
	size_t digits = strspn(text, "0123456789");
	unsigned long long number = strtoull(text, NULL, 10); /* the largest there is where it overflows */

	if (digits == 0 || text[digits])
		return !setting ? 0
				: reader_refuse(r, setting->line, "%s: '%.60s' is not a whole number (allowed: %u..%u)",
						name, text, key->min, key->max);
	if (setting && (number < key->min || number > key->max))
		return reader_refuse(r, setting->line, "%s: '%.60s' is not allowed: %u..%u", name, text, key->min,
				     key->max);
	*value = (uint32_t)number;
	return 0;
}

int reader_switch(struct reader *r, const struct section *section, const char *name, bool *value)
{
	const struct setting *setting;
	const char *text = value_text(section, key_of(section, name), &setting);

	if (parameter_read_switch(text, value) || !setting)
		return 0;
	return reader_refuse(r, setting->line, "%s: '%.60s' is neither on nor off", name, text);
}

int reader_word(struct reader *r, const struct section *section, const char *name, unsigned *ret_index)
{
	const struct key *key = key_of(section, name);
	const struct setting *setting;
	const char *text = value_text(section, key, &setting);
	char range[KEY_RANGE_MAX];
	int index = key_word_find(key, text);

	if (index < 0 && setting)
		return reader_refuse(r, setting->line, "%s: '%.60s' is not allowed: %s", name, text,
				     key_range(key, range));
	if (index >= 0)
		*ret_index = (unsigned)index;
	return 0;
}

int reader_text(struct reader *r, const struct section *section, const char *key, char *value, size_t size)
{
	const struct setting *setting = reader_setting(section, key, 0);

	if (!setting)
		return 0;
	if (strlen(setting->text) >= size)
		return reader_refuse(r, setting->line, "%s: longer than %zu characters", key, size - 1);
	strcpy(value, setting->text);
	return 0;
}

int reader_name(struct reader *r, unsigned line, const char *what, const char *name, char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strlen(name);

	if (length == 0)
		return reader_refuse(r, line, "%s: a name is missing", what);
	if (length > CONFIG_NAME_MAX)
		return reader_refuse(r, line, "%s: a name is at most %d characters long", what, CONFIG_NAME_MAX);
	if (strspn(name, allowed) < length)
		return reader_refuse(r, line, "%s: '%.70s' is no name (letters, digits, '-', '_' and '.')", what, name);
	strcpy(value, name);
	return 0;
}
