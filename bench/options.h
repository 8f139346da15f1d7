/* The options of a measurement that reads a few numbers: a row each, from which reading and --help come.  (Those that
 * make calls have a table together: load_options.h.)  --json, --smoke and --help every one has. */
#ifndef RW_BENCH_OPTIONS_H
#define RW_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bench_option_kind {
	BENCH_TEXT,   /* const char * */
	BENCH_NUMBER, /* uint64_t, `min` to `max` */
};

struct bench_option {
	const char *name;
	enum bench_option_kind kind;
	size_t at; /* in the settings */
	uint64_t min, max;
	const char *argument, *text;
};

#define BENCH_OPTIONS_MAX 16

struct bench_options {
	const char *about; /* what is measured: lines */
	const char *fails; /* when the exit status is 1 */
	const struct bench_option *rows;
	unsigned count;
	size_t json; /* bool, in the settings */
	void (*make_small)(void *settings);
};

/* `settings` holds the defaults; argv[0] is the subcommand's name.  -1: go on; otherwise the exit status. */
int bench_options_read(int argc, char **argv, const struct bench_options *options, void *settings);

#endif
