/* The log: one line an event, key=value, to stderr in a single write(2), so lines of several threads never mix.
 *
 * It never waits: a line that stderr cannot take at once (a full pipe, a terminal that was stopped) is dropped, and the
 * next one that can be written is preceded by one that says how many were.
 *
 * Under systemd (JOURNAL_STREAM names our stderr) a line begins with the level as <N>; else with its time and level. */
#ifndef RW_CORE_LOG_H
#define RW_CORE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* As syslog's; 0 and 1 are known too, though nothing here is an emergency. */
enum log_level { LOG_CRITICAL = 2, LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

#define LOG_LINE_MAX 2048 /* a longer line is cut */

/* Looks once where stderr goes.  Before any thread; without it lines carry time and level. */
void log_open(void);

/* What is less urgent than this level is not written: LOG_DEBUG, everything, at first.  Any thread. */
void log_set_level(int level);
int log_get_level(void);
/* "critical" to "debug"; of a name, or of a figure as text, the level, -1: there is none such that can be set. */
const char *log_level_name(int level);
int log_level_of(const char *text);

/* Whether a line of this level would be written. */
bool log_wanted(int level);

/* `line` has no newline; control characters in it are printed as '?', so nobody forges a line. */
void log_line(int level, const char *line);
__attribute__((format(printf, 2, 3))) void log_printf(int level, const char *format, ...);

/* A place in the code that a stranger's packets can make speak: zero-initialised, any thread. */
struct log_site {
	_Atomic uint64_t second;     /* CLOCK_MONOTONIC, of the count below */
	_Atomic uint32_t count;      /* lines wanted in that second */
	_Atomic uint32_t suppressed; /* lines not written since the last one that was */
};

/* Whether one more line may be written in this second; then *ret_suppressed says how many were not before it. */
bool log_limited(struct log_site *site, unsigned per_second, uint64_t now_ns, uint32_t *ret_suppressed);

#endif
