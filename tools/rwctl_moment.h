/* Times as people write them on a command line. */
#ifndef RW_TOOLS_RWCTL_MOMENT_H
#define RW_TOOLS_RWCTL_MOMENT_H

#include <jansson.h>
#include <stdbool.h>

/* A whole number; *ret_end is behind it. */
bool read_integer(const char *text, json_int_t *ret_value, const char **ret_end);

/* 90, 90s, 15m, 2h, 7d. */
bool read_span_s(const char *text, json_int_t *ret_s);

/* A local time ("2030-01-31", "2030-01-31 18:00", also with seconds or with a T), today, yesterday (their beginnings),
 * now, a span ago (1h or -1h), or microseconds since 1970 (14 digits or more). */
bool read_moment_us(const char *text, json_int_t *ret_us);

/* How far local time is ahead of UTC at a moment (0: now). */
json_int_t utc_offset_s(json_int_t at_us);

#endif
