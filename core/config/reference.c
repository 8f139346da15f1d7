/* Prints the reference of the configuration, docs/configuration.md, from the rows of keys.c and parameters.h.  The
 * build runs it; tests/core/reference_test.py holds what it prints against the copy that is committed.  */
#include <stdio.h>
#include <string.h>

#include "core/config/keys.h"

static const char introduction[] =
	"# Configuration\n"
	"\n"
	"<!-- Made by the build from core/config/keys.c and core/config/parameters.h. Not to be edited here:\n"
	"     ninja -C build core/config/configuration.md && cp build/core/config/configuration.md docs/ -->\n"
	"\n"
	"`ringwheel -c FILE` runs with a file, `ringwheel -c FILE -t` checks it: whatever is wrong is told as "
	"`file:line: "
	"reason`, with\n"
	"exit status 2. Everything has a default but one `listen` section and the addresses of gateways. SIGHUP or "
	"`rwctl "
	"reload`\n"
	"reads the file again: the whole of it comes into force or none of it, and calls that are up go on. `listen` "
	"sections, `node`,\n"
	"`data_dir`, `control`, `workers`, `max_calls`, `max_connections`, `prefault`, `steering`, `journal_sync_ms`,\n"
	"`journal_segment_mb`, `answer_after_sync`, `cdr_store` and `cdr_files` only a restart can change: a reload "
	"that would is refused.\n"
	"\n"
	"Values stand behind `=`, in quotes where they hold blanks or special characters; inside double quotes a "
	"backslash "
	"is written `\\\\`,\n"
	"and `${NAME}` is a variable of the environment, which has to be set, or `${NAME:-default}`. A list is "
	"`{\"a\", \"b\"}`, or one value without braces. "
	"Comments "
	"begin with `#` or\n"
	"`//`, or stand between `/*` and `*/`. Sections may come in any order and, but `parameters`, need different "
	"titles; `parameters`\n"
	"may stand several times. A relative path starts at the directory of the file.\n";

/* Between two bars of a table. */
static void put_cell(const char *text)
{
	for (; *text; text++) {
		if (*text == '|' || *text == '\\' || *text == '*' || *text == '_')
			putchar('\\');
		putchar(*text);
	}
}

static void put_code(const char *text)
{
	if (*text)
		printf("`%s`", text);
}

static void put_cells(const char *type, const char *default_text, const char *range, const char *unit, const char *text)
{
	printf(" | %s | ", type);
	put_cell(default_text);
	printf(" | ");
	put_cell(range);
	printf(" | %s | ", unit);
	put_cell(text);
	puts(" |");
}

static const char *type_of(const struct key *key)
{
	switch (key->kind) {
	case KEY_NUMBER:
		return "number";
	case KEY_SWITCH:
		return "switch";
	case KEY_WORD:
		return "word";
	case KEY_TEXT:
		break;
	}
	return key->form;
}

static void put_keys(const struct section_form *form)
{
	for (unsigned i = 0; i < form->key_count; i++) {
		const struct key *key = &form->keys[i];
		char range[KEY_RANGE_MAX], type[80];

		snprintf(type, sizeof type, key->list ? "list: %s" : "%s", type_of(key));
		printf("| ");
		put_code(key->name);
		put_cells(type, key->default_text, key_range(key, range), key->unit, key->text);
	}
}

static void put_parameters(void)
{
	static const char *const types[] = {
		[PARAMETER_U32] = "number", [PARAMETER_BOOL] = "switch", [PARAMETER_WAITS] = "list in one string"
	};

	for (unsigned i = 0; i < parameter_count; i++) {
		const struct parameter_info *info = &parameter_infos[i];
		char min[16], range[64] = "on, off";

		if (info->kind == PARAMETER_U32)
			snprintf(range, sizeof range, "%s..%u", parameter_min_text(info, min), info->max);
		if (info->kind == PARAMETER_WAITS)
			snprintf(range, sizeof range, "1 to %d waits of %g..%g", PARAMETER_WAITS_MAX,
				 info->min / 1000.0, info->max / 1000.0);
		printf("| ");
		put_code(info->name);
		put_cells(types[info->kind], info->default_text, range,
			  info->kind == PARAMETER_WAITS ? "s" : info->unit, info->text);
	}
}

static void put_example(const char *text)
{
	printf("\n```\n%s```\n", text);
}

int main(void)
{
	fputs(introduction, stdout);
	for (unsigned k = 0; k < SECTION_KINDS; k++) {
		const struct section_form *form = &section_forms[k];

		if (k == SECTION_NODE)
			puts("\n## The node");
		else
			printf("\n## `%s%s { }`\n", form->name, form->titled ? " \"NAME\"" : "");
		printf("\n%s\n\n| key | type | default | allowed | unit | meaning |\n| --- | --- | --- | --- | --- | "
		       "--- |\n",
		       form->text);
		if (k == SECTION_PARAMETERS)
			put_parameters();
		else
			put_keys(form);
		put_example(form->example);
	}
	return ferror(stdout) || fflush(stdout) != 0;
}
