/* Tables of aligned columns on a terminal, and the forms in which figures stand in them.
 *
 * Texts may come from anybody's SIP message: control characters are shown as '?', so that none reaches the terminal. */
#ifndef RW_TOOLS_RWCTL_TABLE_H
#define RW_TOOLS_RWCTL_TABLE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#define FORMAT_MAX 40 /* bytes of a formatted figure, with its NUL */

struct table;

/* Headings separated by '|'; one that begins with '>' is a column of figures, aligned to the right. */
struct table *table_create(const char *headings);
/* The next cell, row by row. */
void table_text(struct table *t, const char *text);
void table_number(struct table *t, json_int_t number);
void table_json(struct table *t, const json_t *value); /* "-" for nothing */
void table_time(struct table *t, json_int_t time_us);  /* local time with milliseconds; "-" for 0 */
void table_duration(struct table *t, json_int_t duration_ms);
/* Leaves a column out. */
void table_hide(struct table *t, unsigned column);
/* Prints all rows and frees the table. */
void table_print(struct table *t, FILE *out);
/* The same; where it goes to a terminal that is too narrow, columns are left out in the order of `drop` (indices, ended
 * by UINT_MAX) until the rest fits. */
void table_print_fitting(struct table *t, FILE *out, const unsigned *drop);

void format_time(json_int_t time_us, char text[static FORMAT_MAX]);
/* "0.250s", "59.999s", "2m05s", "1h02m03s", "3d04h05m". */
void format_duration(json_int_t duration_ms, char text[static FORMAT_MAX]);
/* A text on its own, safe for a terminal. */
void print_safely(const char *text, FILE *out);

#endif
