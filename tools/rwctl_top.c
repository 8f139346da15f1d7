/* Draws with plain ANSI sequences; rates are the difference of two samples over the time between them. */
#include "tools/rwctl_top.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tools/rwctl_show.h"
#include "tools/rwctl_table.h"

#define HOME_AND_CLEAR "\033[H\033[J"
#define CURSOR_HIDE    "\033[?25l"
#define CURSOR_SHOW    "\033[?25h"

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double rate(const json_t *now, const json_t *before, const char *name, double seconds)
{
	if (before == NULL || seconds <= 0)
		return 0;
	return (double)(json_integer_value(json_object_get(now, name)) -
			json_integer_value(json_object_get(before, name))) /
	       seconds;
}

static json_int_t figure(const json_t *stats, const char *name)
{
	return json_integer_value(json_object_get(stats, name));
}

static void draw(const json_t *info, const json_t *now, const json_t *before, double seconds)
{
	static const char *const rates[] = { "calls_attempted", "calls_answered", "calls_failed",
					     "datagrams_in",    "datagrams_out",  "datagrams_bad",
					     "cdr_written",     "retransmits_in", "refresh_sent" };
	char up[FORMAT_MAX], clock[FORMAT_MAX];
	format_duration(figure(info, "uptime_s") * 1000, up);
	format_time((json_int_t)time(NULL) * 1000000, clock);
	fputs(HOME_AND_CLEAR, stdout);
	print_safely(json_string_value(json_object_get(info, "node")), stdout);
	printf("  up %s  %.19s   q: quit\n\ncalls up %lld, being set up %lld\n\n", up, clock,
	       (long long)figure(now, "calls_active"), (long long)figure(now, "calls_setup"));
	struct table *t = table_create("EACH SECOND|>NOW|>SINCE START");
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		char text[FORMAT_MAX];
		snprintf(text, sizeof text, "%.0f", rate(now, before, rates[i], seconds));
		table_text(t, rates[i]);
		table_text(t, text);
		table_number(t, figure(now, rates[i]));
	}
	table_print(t, stdout);
	fputc('\n', stdout);
	show_shards(now, stdout);
	fflush(stdout);
}

/* Waits for the rest of the second.  false: the operator has had enough. */
static bool wait_second(bool keys, double until_s)
{
	while (!interrupted) {
		double left_s = until_s - now_s();
		if (left_s <= 0)
			return true;
		struct pollfd input = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
		char key;
		if (poll(&input, 1, (int)(left_s * 1000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			keys = false;
		else if (key == 'q' || key == 'Q')
			return false;
	}
	return false;
}

static bool run(struct client *c, bool as_json, bool keys, char error[static CLIENT_ERROR_SIZE])
{
	json_t *before = NULL;
	double before_s = 0;
	bool answered = true;
	for (bool on = true; on;) {
		json_t *info = client_call(c, "node.info", NULL, error);
		json_t *now = info != NULL ? client_call(c, "stats", NULL, error) : NULL;
		double sampled_s = now_s();
		answered = now != NULL;
		if (answered && as_json) {
			json_dumpf(now, stdout, JSON_COMPACT);
			fputc('\n', stdout);
			fflush(stdout);
		} else if (answered) {
			draw(info, now, before, sampled_s - before_s);
		}
		json_decref(info);
		json_decref(before);
		before = now;
		before_s = sampled_s;
		on = answered && !ferror(stdout) && wait_second(keys, sampled_s + 1);
	}
	json_decref(before);
	return answered || interrupted;
}

bool top_run(struct client *c, bool as_json, char error[static CLIENT_ERROR_SIZE])
{
	struct termios saved;
	struct sigaction action = { .sa_handler = interrupt };
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	bool keys = !as_json && tcgetattr(STDIN_FILENO, &saved) == 0;
	bool drawing = !as_json && isatty(STDOUT_FILENO);
	if (keys) {
		struct termios raw = saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* keys at once; Ctrl-C stays a signal */
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	if (drawing)
		fputs(CURSOR_HIDE, stdout);
	bool good = run(c, as_json, keys, error);
	if (drawing)
		fputs(CURSOR_SHOW, stdout);
	fflush(stdout);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	return good;
}
