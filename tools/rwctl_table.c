/* Cells are kept until all are known, then printed with the width of the widest in their column. */
#include "tools/rwctl_table.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MAX 24

struct table {
	unsigned columns;
	bool right[COLUMNS_MAX], hidden[COLUMNS_MAX];
	size_t width[COLUMNS_MAX];
	char **cells; /* the headings are the first row */
	size_t count, capacity;
};

static void *must(void *memory)
{
	if (memory == NULL) {
		fputs("rwctl: no memory\n", stderr);
		exit(1);
	}
	return memory;
}

/* C0, DEL and C1 (U+0080 to U+009F); the texts are UTF-8, as all JSON is. */
static unsigned control_length(const unsigned char *at)
{
	if (at[0] < 0x20 || at[0] == 0x7f)
		return 1;
	return at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f ? 2 : 0;
}

static void make_safe(char *text)
{
	char *to = text;
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
		unsigned skip = control_length(at);
		*to++ = skip > 0 ? '?' : (char)*at;
		at += skip > 0 ? skip : 1;
	}
	*to = '\0';
}

static size_t characters(const char *text)
{
	size_t count = 0;
	for (; *text != '\0'; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void add(struct table *t, char *cell)
{
	make_safe(cell);
	if (t->count == t->capacity) {
		t->capacity = t->capacity == 0 ? 256 : 2 * t->capacity;
		t->cells = must(realloc(t->cells, t->capacity * sizeof *t->cells));
	}
	size_t *width = &t->width[t->count % t->columns];
	if (*width < characters(cell))
		*width = characters(cell);
	t->cells[t->count++] = cell;
}

struct table *table_create(const char *headings)
{
	struct table *t = must(calloc(1, sizeof *t));
	t->columns = 1;
	for (const char *at = headings; *at != '\0'; at++)
		t->columns += *at == '|';
	assert(t->columns <= COLUMNS_MAX);
	for (unsigned i = 0; i < t->columns; i++) {
		t->right[i] = *headings == '>';
		headings += t->right[i];
		size_t length = strcspn(headings, "|");
		add(t, must(strndup(headings, length)));
		headings += length + (headings[length] == '|');
	}
	return t;
}

void table_text(struct table *t, const char *text)
{
	add(t, must(strdup(text[0] != '\0' ? text : "-")));
}

void table_number(struct table *t, json_int_t number)
{
	char text[FORMAT_MAX];
	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, number);
	table_text(t, text);
}

void table_json(struct table *t, const json_t *value)
{
	if (json_is_string(value))
		table_text(t, json_string_value(value));
	else if (json_is_boolean(value))
		table_text(t, json_is_true(value) ? "on" : "off");
	else if (value == NULL || json_is_null(value))
		table_text(t, "-");
	else
		add(t, must(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6))));
}

void table_time(struct table *t, json_int_t time_us)
{
	char text[FORMAT_MAX];
	format_time(time_us, text);
	table_text(t, text);
}

void table_duration(struct table *t, json_int_t duration_ms)
{
	char text[FORMAT_MAX];
	format_duration(duration_ms, text);
	table_text(t, text);
}

void table_hide(struct table *t, unsigned column)
{
	assert(column < t->columns);
	t->hidden[column] = true;
}

static void print_cell(const struct table *t, size_t cell, FILE *out)
{
	unsigned column = (unsigned)(cell % t->columns);
	bool last = true;
	for (unsigned i = column + 1; i < t->columns; i++)
		last = last && t->hidden[i];
	int padding = (int)(t->width[column] - characters(t->cells[cell]));
	if (t->right[column])
		fprintf(out, "%*s%s", padding, "", t->cells[cell]);
	else
		fprintf(out, "%s%*s", t->cells[cell], last ? 0 : padding, "");
	fputs(last ? "\n" : "  ", out);
}

void table_print(struct table *t, FILE *out)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!t->hidden[i % t->columns])
			print_cell(t, i, out);
		free(t->cells[i]);
	}
	free(t->cells);
	free(t);
}

static size_t width_of(const struct table *t)
{
	size_t width = 0;
	for (unsigned i = 0; i < t->columns; i++)
		if (!t->hidden[i])
			width += t->width[i] + (width > 0 ? 2 : 0);
	return width;
}

void table_print_fitting(struct table *t, FILE *out, const unsigned *drop)
{
	struct winsize size = { 0 };
	bool narrow = isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
	for (; narrow && *drop != UINT_MAX && width_of(t) > size.ws_col; drop++)
		table_hide(t, *drop);
	table_print(t, out);
}

void format_time(json_int_t time_us, char text[static FORMAT_MAX])
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm local;
	if (time_us <= 0 || localtime_r(&seconds, &local) == NULL) {
		strcpy(text, "-");
		return;
	}
	size_t used = strftime(text, FORMAT_MAX, "%Y-%m-%d %H:%M:%S", &local);
	snprintf(text + used, FORMAT_MAX - used, ".%03d", (int)(time_us / 1000 % 1000));
}

void format_duration(json_int_t duration_ms, char text[static FORMAT_MAX])
{
	long long s = duration_ms / 1000;
	if (duration_ms < 0)
		strcpy(text, "-");
	else if (s < 60)
		snprintf(text, FORMAT_MAX, "%lld.%03llds", s, (long long)duration_ms % 1000);
	else if (s < 3600)
		snprintf(text, FORMAT_MAX, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, FORMAT_MAX, "%lldh%02lldm%02llds", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(text, FORMAT_MAX, "%lldd%02lldh%02lldm", s / 86400, s / 3600 % 24, s / 60 % 60);
}

void print_safely(const char *text, FILE *out)
{
	char *copy = must(strdup(text));
	make_safe(copy);
	fputs(copy, out);
	free(copy);
}
