/* Every key of the configuration file: one row in keys.c is its name, what may stand there, default, unit and meaning.
 * The reader's grammar and checks, and the reference docs/configuration.md, come from it; the rows of section
 * parameters from PARAMETER_TABLE.  Spec 2.  */
#ifndef RW_CORE_CONFIG_KEYS_H
#define RW_CORE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config/config.h"

#define CONFIG_RATE_MAX          1000000u /* calls a second */
#define CONFIG_PRIORITY_MAX      1000000u
#define CONFIG_DURATION_MAX_S    604800u
#define CONFIG_SYNC_MS_MAX       1000u
#define CONFIG_SEGMENT_MB_MIN    4u
#define CONFIG_SEGMENT_MB_MAX    1024u
#define CONFIG_CONNECTIONS_MAX   100000u
#define CONFIG_MESSAGE_BYTES_MIN 1024u
#define CONFIG_MESSAGE_BYTES_MAX 16384u

enum section_kind {
	SECTION_NODE, /* what stands outside all sections */
	SECTION_LISTEN,
	SECTION_PARAMETERS,
	SECTION_MAPPING,
	SECTION_ROUTING,
	SECTION_KINDS
};

enum key_kind {
	KEY_NUMBER, /* decimal, min..max */
	KEY_SWITCH, /* on or off */
	KEY_WORD,   /* one of `words` */
	KEY_TEXT    /* anything else: `form` says what, `allowed` of which kind */
};

struct key {
	const char *name;
	const char *default_text; /* as it would stand in the file, or in words where it is none of the values */
	const char *unit;
	const char *text;
	enum key_kind kind;
	bool list; /* {"a", "b"} or "a" */
	uint32_t min, max;
	const char *const *words; /* NULL behind the last */
	const char *form, *allowed;
};

struct section_form {
	const char *name; /* "" of the node's own keys */
	bool titled;      /* listen "main" { } */
	const struct key *keys;
	unsigned key_count;
	const char *text;    /* what the section is for, one sentence */
	const char *example; /* commented, a part of a configuration that is good as a whole */
};

extern const struct section_form section_forms[SECTION_KINDS];

/* The index of a key in its section's rows, -1: there is none of that name. */
int key_find(enum section_kind kind, const char *name);

/* The word that stands for a value of a KEY_WORD: the n-th one. */
const char *key_word(enum section_kind kind, const char *name, unsigned value);
/* The place of a word among those of a key, -1: not allowed. */
int key_word_find(const struct key *key, const char *word);

#define KEY_RANGE_MAX 160
/* What is allowed, as errors and the reference show it: "0..100", "on, off", "from, to". */
const char *key_range(const struct key *key, char text[static KEY_RANGE_MAX]);

#endif
