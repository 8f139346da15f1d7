/* core/log: a stderr that takes nothing stops nobody. */
#include "core/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reader, stderr_before;
static char text[1 << 17];

static void stderr_to_pipe(void)
{
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	stderr_before = dup(STDERR_FILENO);
	cr_assert_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
}

static void stderr_back(void)
{
	dup2(stderr_before, STDERR_FILENO);
}

TestSuite(log, .init = stderr_to_pipe, .fini = stderr_back, .timeout = 20);

static const char *read_some(void)
{
	ssize_t size = read(reader, text, sizeof text - 1);

	cr_assert_gt(size, 0);
	text[size] = '\0';
	return text;
}

static unsigned lines_in(const char *at)
{
	unsigned lines = 0;

	for (; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static void fill_then_read(void)
{
	char line[1000];
	unsigned dropped = 0;

	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	for (unsigned i = 0; i < 500; i++)
		log_line(LOG_ERROR, line); /* eight times what a pipe holds */
	unsigned written = lines_in(read_some());
	cr_assert(written > 0 && written < 500);
	log_line(LOG_NOTICE, "event=again");
	const char *found = strstr(read_some(), "event=log_lines_dropped lines=");
	cr_assert_not_null(found);
	cr_assert_eq(sscanf(found, "event=log_lines_dropped lines=%u", &dropped), 1);
	cr_assert_eq(dropped, 500 - written);
	cr_assert_not_null(strstr(found, "event=again\n"));
	log_line(LOG_NOTICE, "event=well");
	cr_assert_null(strstr(read_some(), "dropped"), "told once");
}

Test(log, a_full_pipe_drops_lines_and_then_says_how_many)
{
	log_open();
	fill_then_read();
	cr_assert_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0, "others share it");
}

Test(log, so_it_does_where_stderr_cannot_be_opened_again)
{
	fill_then_read(); /* without log_open() there is only the look before the write */
}

Test(log, a_pipe_without_reader_is_ignored)
{
	signal(SIGPIPE, SIG_IGN);
	log_open();
	close(reader);
	for (unsigned i = 0; i < 3; i++)
		log_line(LOG_ERROR, "event=nobody");
}

/* Spec 3, log.level. */
Test(log, what_is_less_urgent_than_the_level_is_not_written)
{
	log_open();
	cr_assert_eq(log_level_of("warning"), LOG_WARNING);
	cr_assert_eq(log_level_of("7"), LOG_DEBUG);
	cr_assert_eq(log_level_of("alert"), -1, "then the switch would be silent about its failures");
	cr_assert_eq(log_level_of("1"), -1);
	cr_assert_eq(log_level_of("44"), -1);
	cr_assert_eq(log_level_of(""), -1);
	log_set_level(LOG_WARNING);
	cr_assert(log_wanted(LOG_WARNING) && !log_wanted(LOG_NOTICE));
	log_line(LOG_NOTICE, "event=one");
	log_printf(LOG_NOTICE, "event=%s", "two");
	log_line(LOG_WARNING, "event=three");
	log_printf(LOG_ERROR, "event=%s", "four");
	read_some();
	cr_assert_null(strstr(text, "event=one"));
	cr_assert_null(strstr(text, "event=two"));
	cr_assert_not_null(strstr(text, "event=three\n"));
	cr_assert_not_null(strstr(text, "event=four\n"));
	log_set_level(LOG_DEBUG);
}

Test(log, every_level_of_syslog_has_its_name)
{
	static const char *const names[] = { "emergency", "alert",  "critical", "error",
					     "warning",   "notice", "info",     "debug" };
	char wanted[64];

	unsetenv("JOURNAL_STREAM");
	log_open();
	for (int level = 0; level <= LOG_DEBUG; level++) {
		log_line(level, "event=x\033");
		snprintf(wanted, sizeof wanted, " level=%s event=x?\n", names[level]);
		cr_assert_not_null(strstr(read_some(), wanted), "%s", text);
	}
}
