/* The configuration file as libconfuse reads it: every value kept as text with its line, so that whoever finds it wrong
 * can say where it stands.  The grammar, which keys there are in which section, is in reader.c.
 *
 * libconfuse 3.3 counts a line too many for each comment, refuses comments inside lists and takes a section that is
 * never closed for complete.  So comments are blanked before it sees the text, and brackets are counted here.
 * It keeps global state: only the control thread reads configurations.  */
#ifndef RW_CORE_CONFIG_READER_H
#define RW_CORE_CONFIG_READER_H

#include <confuse.h>
#include <stdbool.h>
#include <stdint.h>

#define READER_ERROR_MAX 512

/* One value as it stands in the file. */
struct setting {
	unsigned line;
	char text[];
};

struct reader {
	const char *file; /* as errors name it */
	char *error;      /* READER_ERROR_MAX; "" until something is wrong, then the first error stays */
	cfg_t *root;
};

/* Reads the file, or the text if there is one.  0, or a negative errno with the reason in `error` (not yet to be
 * closed). */
int reader_open(struct reader *r, const char *file, const char *text, char error[static READER_ERROR_MAX]);
void reader_close(struct reader *r);

/* Notes "file:line: sentence" unless an error is noted already.  Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int reader_refuse(struct reader *r, unsigned line, const char *format, ...);

/* The index-th value of a key, NULL: it does not stand in the section. */
const struct setting *reader_setting(cfg_t *section, const char *key, unsigned index);
/* The line on which a section opens. */
unsigned reader_section_line(cfg_t *section);
/* The line of a key, or of its section where the key is absent. */
unsigned reader_line(cfg_t *section, const char *key);

/* Each leaves its value untouched where the key is absent.  0, or -EINVAL with the error noted. */
int reader_number(struct reader *r, cfg_t *section, const char *key, uint32_t min, uint32_t max, uint32_t *value);
int reader_switch(struct reader *r, cfg_t *section, const char *key, bool *value);
int reader_text(struct reader *r, cfg_t *section, const char *key, char *value, size_t size);
/* A name of ours: 1 to CONFIG_NAME_MAX letters, digits, '-', '_' and '.'. */
int reader_name(struct reader *r, unsigned line, const char *what, const char *name, char *value);

#endif
