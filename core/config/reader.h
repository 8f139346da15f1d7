/* The configuration file as libconfuse reads it: every value kept as text with its line, so that whoever finds it wrong
 * can say where it stands.  Which keys there are in which section, keys.h says.
 *
 * libconfuse sees one section at a time (scan.h), what it found is copied and given back at once.  It keeps global
 * state, so one thread at a time may read a configuration; which one does not matter.  */
#ifndef RW_CORE_CONFIG_READER_H
#define RW_CORE_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config/keys.h"

#define READER_ERROR_MAX 512

/* One value as it stands in the file. */
struct setting {
	unsigned line;
	char text[];
};

/* The values of one key, in their order. */
struct settings {
	const struct setting **at;
	uint32_t count; /* 0: the key does not stand in the section, or with an empty list */
};

struct section {
	enum section_kind kind;
	uint32_t ordinal; /* among those of its kind, from 0 */
	unsigned line;    /* on which it opens */
	const char *title;
	struct settings settings[]; /* by the key's index in section_forms[kind].keys */
};

struct reader_memory;
struct cfg_t;

struct reader {
	const char *file; /* as errors name it */
	char *error;      /* READER_ERROR_MAX; "" until something is wrong, then the first error stays */
	const struct section **sections[SECTION_KINDS];
	uint32_t counts[SECTION_KINDS], rooms[SECTION_KINDS];
	unsigned end_line;            /* the last line of the file */
	void *titles;                 /* tsearch(3): sections by kind and title */
	struct reader_memory *memory; /* of sections and settings */
	unsigned line_offset;         /* lines before the piece that libconfuse is at */
	struct cfg_t *root;           /* NULL but while reading */
};

/* Reads the file, or the text if there is one.  0, or a negative errno with the reason in `error` (not yet to be
 * closed). */
int reader_open(struct reader *r, const char *file, const char *text, char error[static READER_ERROR_MAX]);
void reader_close(struct reader *r); /* lent sections, settings and titles end here */

/* Notes "file:line: sentence" unless an error is noted already.  Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int reader_refuse(struct reader *r, unsigned line, const char *format, ...);

/* How many sections of a kind there are (SECTION_NODE: one), and the index-th. */
uint32_t reader_count(const struct reader *r, enum section_kind kind);
const struct section *reader_section(const struct reader *r, enum section_kind kind, uint32_t index);
/* The section of a title; NULL: there is none. */
const struct section *reader_find(const struct reader *r, enum section_kind kind, const char *title);

/* The values of a key. */
const struct settings *reader_settings(const struct section *section, const char *key);
/* The index-th of them, NULL: there are not that many. */
const struct setting *reader_setting(const struct section *section, const char *key, uint32_t index);
/* The line of a key, or of its section where the key is absent. */
unsigned reader_line(const struct section *section, const char *key);

/* Each takes range and default from the key's row; where the key is absent and its default is none of the values, the
 * value stays as it was.  0, or -EINVAL with the error noted. */
int reader_number(struct reader *r, const struct section *section, const char *key, uint32_t *value);
int reader_switch(struct reader *r, const struct section *section, const char *key, bool *value);
int reader_word(struct reader *r, const struct section *section, const char *key, unsigned *ret_index);
/* A text as it stands; absent: untouched. */
int reader_text(struct reader *r, const struct section *section, const char *key, char *value, size_t size);
/* A name of ours: 1 to CONFIG_NAME_MAX letters, digits, '-', '_' and '.'. */
int reader_name(struct reader *r, unsigned line, const char *what, const char *name, char *value);

#endif
