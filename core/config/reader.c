/* See reader.h.  Every option is a libconfuse pointer whose parse function keeps the text and the line of the moment. A
 * section's own first line is not to be had from libconfuse, but defaults are read when a section opens: the hidden
 * option OPENED has one, and its setting therefore holds that line.  */
#include "core/config/reader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config/config.h"

#define OPENED        "section opened" /* no bare word, so it cannot be meant by accident */
#define SEEN          (1 << 24)        /* a flag of ours on an option: assigned before */
#define FILE_SIZE_MAX (256u << 20)

static int keep_setting(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	if (option->flags & SEEN && strcmp(option->name, OPENED) == 0) {
		cfg_error(section, "no such option '%s'", OPENED);
		return -1;
	}
	if (option->flags & SEEN && option->nvalues == 1) {
		cfg_error(section, "'%s' stands here a second time", option->name);
		return -1;
	}
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			cfg_error(section, "the value of '%s' has a line break or control character", option->name);
			return -1;
		}
	struct setting *setting = malloc(sizeof *setting + strlen(value) + 1);
	if (!setting)
		return -1;
	setting->line = (unsigned)section->line;
	strcpy(setting->text, value);
	option->flags |= SEEN;
	*(void **)result = setting;
	return 0;
}

#define KEY(name)  CFG_PTR_CB(name, NULL, CFGF_NONE, keep_setting, free)
#define LIST(name) CFG_PTR_LIST_CB(name, NULL, CFGF_NONE, keep_setting, free)
#define LINE_KEPT  CFG_PTR_CB(OPENED, "here", CFGF_NONE, keep_setting, free)
#define TITLED     (CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)

/* Which keys there are. */
static cfg_opt_t listen_keys[] = {
	LINE_KEPT, KEY("transport"), KEY("address"), KEY("port"), KEY("advertise"), CFG_END()
};

static cfg_opt_t parameter_keys[] = { LINE_KEPT,
#define X(name, type, def, min, max, unit, text) KEY(#name),
				      PARAMETER_TABLE(X)
#undef X
					      CFG_END() };

static cfg_opt_t mapping_keys[] = { LINE_KEPT,           LIST("address"),      KEY("capacity"),
				    KEY("account"),      KEY("listen"),        KEY("timer"),
				    KEY("max_duration"), KEY("callee_prefix"), CFG_END() };

static cfg_opt_t routing_keys[] = { LINE_KEPT,
				    KEY("address"),
				    LIST("prefix"),
				    KEY("prefix_file"),
				    KEY("priority"),
				    KEY("capacity"),
				    KEY("listen"),
				    KEY("timer"),
				    KEY("max_duration"),
				    KEY("account"),
				    KEY("timeout_invite"),
				    KEY("timeout_trying"),
				    KEY("timeout_session_progress"),
				    KEY("timeout_session_progress_sdp"),
				    KEY("timeout_ringing"),
				    CFG_END() };

static cfg_opt_t top_keys[] = { KEY("node"),
				KEY("data_dir"),
				KEY("workers"),
				KEY("max_calls"),
				KEY("prefault"),
				KEY("steering"),
				KEY("control"),
				CFG_SEC("listen", listen_keys, TITLED),
				CFG_SEC("parameters", parameter_keys, CFGF_MULTI),
				CFG_SEC("mapping_gateway", mapping_keys, TITLED),
				CFG_SEC("routing_gateway", routing_keys, TITLED),
				CFG_END() };

/* libconfuse hands its errors to a function without context; reading is the control thread's alone. */
static struct reader *reading;

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

static void note_syntax(cfg_t *section, const char *format, va_list arguments)
{
	note(reading, (unsigned)section->line, format, arguments);
}

int reader_refuse(struct reader *r, unsigned line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note(r, line, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int refuse_file(const char *file, int error_number, char error[static READER_ERROR_MAX])
{
	snprintf(error, READER_ERROR_MAX, "%.300s: cannot open: %s", file, strerror(error_number));
	return -error_number;
}

/* The whole file, terminated.  libconfuse would end the process where reading fails half way. */
static int read_file(const char *file, char **ret_text, char error[static READER_ERROR_MAX])
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO without a writer is not waited for */
	struct stat status;

	if (fd < 0)
		return refuse_file(file, errno, error);
	int result = fstat(fd, &status) < 0 ? errno : 0;
	if (!result && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
		close(fd);
		snprintf(error, READER_ERROR_MAX, "%.300s: is not a regular file", file);
		return -EINVAL;
	}
	if (!result && S_ISDIR(status.st_mode))
		result = EISDIR;
	else if (!result && status.st_size > FILE_SIZE_MAX)
		result = EFBIG;
	FILE *stream = result ? NULL : fdopen(fd, "r");
	if (!stream) {
		int failure = result ? result : errno;

		close(fd);
		return refuse_file(file, failure, error);
	}
	size_t size = result ? 0 : (size_t)status.st_size;
	char *text = malloc(size + 1);
	if (!result && !text)
		result = ENOMEM;
	if (!result && (fread(text, 1, size, stream) != size || ferror(stream)))
		result = EIO;
	fclose(stream);
	if (result) {
		free(text);
		return refuse_file(file, result, error);
	}
	text[size] = '\0';
	for (char *nul = text; (nul = memchr(nul, '\0', size - (size_t)(nul - text)));)
		*nul = 1; /* refused where it stands */
	*ret_text = text;
	return 0;
}

/* Where the scanner that blanks comments is. */
struct blanking {
	char *at;
	unsigned line;
	unsigned depth;     /* open braces */
	unsigned open_line; /* of the outermost open one */
};

static void blank(struct blanking *b)
{
	if (*b->at == '\n')
		b->line++;
	else if (*b->at != '\r')
		*b->at = ' ';
	b->at++;
}

/* Moves behind a quoted string; false: it does not end. */
static bool pass_string(struct blanking *b)
{
	char quote = *b->at++;

	for (; *b->at && *b->at != quote; b->at++) {
		if (*b->at == '\\' && b->at[1])
			b->at++;
		b->line += *b->at == '\n';
	}
	if (!*b->at)
		return false;
	b->at++;
	return true;
}

static bool blank_block(struct blanking *b)
{
	while (*b->at && (b->at[0] != '*' || b->at[1] != '/'))
		blank(b);
	if (!*b->at)
		return false;
	blank(b);
	blank(b);
	return true;
}

/* Replaces comments by blanks and leaves every line where it is.  The last brace that stays open is looked for only
 * after the syntax was found right. */
static int blank_comments(struct reader *r, char *text, unsigned *ret_open_line)
{
	struct blanking b = { text, 1, 0, 0 };
	bool word = false; /* inside an unquoted word, where // is no comment */

	while (*b.at) {
		unsigned line = b.line;
		char c = *b.at;

		if (c == '"' || c == '\'') {
			if (!pass_string(&b))
				return reader_refuse(r, line, "the quotation mark here is never closed");
			word = false;
		} else if (c == '#' || (c == '/' && b.at[1] == '/' && !word)) {
			while (*b.at && *b.at != '\n')
				blank(&b);
		} else if (c == '/' && b.at[1] == '*') {
			blank(&b);
			blank(&b);
			if (!blank_block(&b))
				return reader_refuse(r, line, "the comment that begins here is never closed");
			word = false;
		} else {
			if (c == '{' && b.depth++ == 0)
				b.open_line = line;
			if (c == '}' && b.depth > 0)
				b.depth--;
			b.line += c == '\n';
			word = !strchr(" \t\r\n={}(),+", c);
			b.at++;
		}
	}
	*ret_open_line = b.depth ? b.open_line : 0;
	return 0;
}

static int parse(struct reader *r, char *text)
{
	unsigned open_line = 0;
	int result = blank_comments(r, text, &open_line);

	if (result < 0)
		return result;
	FILE *stream = fmemopen(text, strlen(text), "r");
	r->root = cfg_init(top_keys, CFGF_NONE);
	if (r->root)
		r->root->filename = strdup(r->file);
	if (!stream || !r->root || !r->root->filename) {
		result = -ENOMEM;
	} else {
		cfg_set_error_function(r->root, note_syntax);
		reading = r;
		result = cfg_parse_fp(r->root, stream) == CFG_SUCCESS ? 0 : -EINVAL;
		reading = NULL;
	}
	if (stream)
		fclose(stream);
	if (result == 0 && open_line)
		return reader_refuse(r, open_line, "the section that begins here is never closed");
	if (result < 0 && !r->error[0]) {
		snprintf(r->error, READER_ERROR_MAX, "%.300s: out of memory", r->file);
		return -ENOMEM;
	}
	return result;
}

int reader_open(struct reader *r, const char *file, const char *text, char error[static READER_ERROR_MAX])
{
	char *copy = NULL;
	int result = 0;

	*r = (struct reader){ .file = file, .error = error };
	error[0] = '\0';
	if (!text)
		result = read_file(file, &copy, error);
	else if (!(copy = strdup(text)))
		result = refuse_file(file, ENOMEM, error);
	if (result == 0)
		result = parse(r, copy);
	free(copy);
	if (result < 0)
		reader_close(r);
	return result;
}

void reader_close(struct reader *r)
{
	if (r->root)
		cfg_free(r->root);
	r->root = NULL;
}

const struct setting *reader_setting(cfg_t *section, const char *key, unsigned index)
{
	cfg_opt_t *option = cfg_getopt(section, key);

	assert(option); /* a key that the grammar lacks */
	return index < cfg_opt_size(option) ? cfg_opt_getnptr(option, index) : NULL;
}

unsigned reader_section_line(cfg_t *section)
{
	return reader_setting(section, OPENED, 0)->line;
}

unsigned reader_line(cfg_t *section, const char *key)
{
	const struct setting *setting = reader_setting(section, key, 0);

	return setting ? setting->line : reader_section_line(section);
}

int reader_number(struct reader *r, cfg_t *section, const char *key, uint32_t min, uint32_t max, uint32_t *value)
{
	const struct setting *setting = reader_setting(section, key, 0);

	if (!setting)
		return 0;
	size_t digits = strspn(setting->text, "0123456789");
	unsigned long long number = strtoull(setting->text, NULL, 10); /* the largest there is where it overflows */

	if (digits == 0 || setting->text[digits])
		return reader_refuse(r, setting->line, "%s: '%.60s' is not a whole number (allowed: %u..%u)", key,
				     setting->text, min, max);
	if (number < min || number > max)
		return reader_refuse(r, setting->line, "%s: '%.60s' is not allowed: %u..%u", key, setting->text, min,
				     max);
	*value = (uint32_t)number;
	return 0;
}

int reader_switch(struct reader *r, cfg_t *section, const char *key, bool *value)
{
	const struct setting *setting = reader_setting(section, key, 0);

	if (!setting || parameter_read_switch(setting->text, value))
		return 0;
	return reader_refuse(r, setting->line, "%s: '%.60s' is neither on nor off", key, setting->text);
}

int reader_text(struct reader *r, cfg_t *section, const char *key, char *value, size_t size)
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
