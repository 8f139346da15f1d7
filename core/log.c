/* The log: see the header. */
#include "core/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool to_journal;
static int log_fd = STDERR_FILENO;
static _Atomic int level_max = LOG_DEBUG; /* what is above is not written */
static _Atomic uint32_t dropped;          /* lines since the last one that was written */

static_assert(LOG_LINE_MAX + 96 <= PIPE_BUF, "a pipe takes a line whole or not at all");

/* Others share stderr's open file, so it is not made non-blocking: a pipe or a terminal is opened a second time.  Where
 * that is refused a look before each write has to do. */
static void open_without_waiting(const struct stat *st)
{
	if (log_fd != STDERR_FILENO || (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode)))
		return;
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		log_fd = fd;
}

void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	/* The variable is inherited by children whose stderr may go elsewhere: believed only if it names this stream.
	 */
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	to_journal =
		stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && st.st_dev == device && st.st_ino == inode;
	open_without_waiting(&st);
}

void log_set_level(int level)
{
	assert(level >= LOG_CRITICAL && level <= LOG_DEBUG);
	atomic_store_explicit(&level_max, level, memory_order_relaxed);
}

int log_get_level(void)
{
	return atomic_load_explicit(&level_max, memory_order_relaxed);
}

bool log_wanted(int level)
{
	return level <= log_get_level();
}

const char *log_level_name(int level)
{
	static const char *const names[] = { "emergency", "alert",  "critical", "error",
					     "warning",   "notice", "info",     "debug" };
	return level >= 0 && level < LOG_DEBUG ? names[level] : names[LOG_DEBUG];
}

int log_level_of(const char *text)
{
	for (int level = LOG_CRITICAL; level <= LOG_DEBUG; level++)
		if (strcmp(text, log_level_name(level)) == 0 || (text[0] == '0' + level && text[1] == '\0'))
			return level;
	return -1;
}

static size_t write_prefix(char *text, size_t size, int level)
{
	struct timespec now;
	struct tm tm;
	int n;

	if (to_journal) {
		n = snprintf(text, size, "<%d>", level);
		return (size_t)n;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = snprintf(text, size, "time=%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ level=%s ", tm.tm_year + 1900,
		     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000,
		     log_level_name(level));
	return (size_t)n;
}

/* false: it would have to wait.  A log that cannot be written at all is no reason to stop, and there is nobody to tell.
 */
static bool write_now(const char *text, size_t size)
{
	struct pollfd stream = { .fd = log_fd, .events = POLLOUT };

	if (poll(&stream, 1, 0) == 0)
		return false;
	return write(log_fd, text, size) >= 0 || errno != EAGAIN;
}

static bool write_line(int level, const char *line)
{
	char text[LOG_LINE_MAX + 96];
	size_t at = write_prefix(text, 96, level), size = strnlen(line, LOG_LINE_MAX - 1);

	for (size_t i = 0; i < size; i++)
		text[at++] = (unsigned char)line[i] < ' ' || line[i] == 0x7f ? '?' : line[i];
	text[at++] = '\n';
	return write_now(text, at);
}

static void tell_dropped(void)
{
	char line[64];
	uint32_t lines = atomic_exchange_explicit(&dropped, 0, memory_order_relaxed);

	if (lines == 0)
		return;
	snprintf(line, sizeof line, "event=log_lines_dropped lines=%" PRIu32, lines);
	if (!write_line(LOG_WARNING, line))
		atomic_fetch_add_explicit(&dropped, lines, memory_order_relaxed);
}

void log_line(int level, const char *line)
{
	if (!log_wanted(level))
		return;
	if (atomic_load_explicit(&dropped, memory_order_relaxed) > 0)
		tell_dropped();
	if (!write_line(level, line))
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
}

void log_printf(int level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list arguments;

	if (!log_wanted(level))
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	log_line(level, line);
}

/* Threads that race at the turn of a second may let a line too many through; none is needed for more. */
bool log_limited(struct log_site *site, unsigned per_second, uint64_t now_ns, uint32_t *ret_suppressed)
{
	uint64_t second = now_ns / 1000000000;

	if (atomic_load_explicit(&site->second, memory_order_relaxed) != second) {
		atomic_store_explicit(&site->second, second, memory_order_relaxed);
		atomic_store_explicit(&site->count, 0, memory_order_relaxed);
	}
	if (atomic_fetch_add_explicit(&site->count, 1, memory_order_relaxed) >= per_second) {
		atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
		return false;
	}
	*ret_suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
	return true;
}
