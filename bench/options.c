#include "bench/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>

#include "bench/bench.h"

/* What getopt_long() returns: a row's place behind these. */
enum { JSON = 1, SMOKE, HELP, ROWS };

static void help_row(const char *name, const char *argument, const char *text)
{
	char option[64];

	snprintf(option, sizeof option, "--%s %s", name, argument);
	printf("  %-16s %s\n", option, text);
}

static void help(const char *name, const struct bench_options *o)
{
	printf("usage: rwbench %s [OPTIONS]\n\n%s\n\n", name, o->about);
	for (unsigned i = 0; i < o->count; i++)
		help_row(o->rows[i].name, o->rows[i].argument, o->rows[i].text);
	help_row("json", "", "print one object, for programs");
	help_row("smoke", "", "everything small: does it work at all?");
	help_row("help", "", "this text");
	printf("\nExit status: 0; 1 if %s, or something was refused; 2 wrong usage.\n", o->fails);
}

static bool read_row(const struct bench_option *row, const char *text, void *settings)
{
	void *at = (char *)settings + row->at;

	if (row->kind == BENCH_NUMBER)
		return bench_number(row->name, text, row->min, row->max, at);
	*(const char **)at = text;
	return true;
}

static void list(const struct bench_options *o, struct option *ret_list)
{
	assert(o->count <= BENCH_OPTIONS_MAX);
	for (unsigned i = 0; i < o->count; i++)
		*ret_list++ = (struct option){ o->rows[i].name, required_argument, NULL, ROWS + (int)i };
	*ret_list++ = (struct option){ "json", no_argument, NULL, JSON };
	*ret_list++ = (struct option){ "smoke", no_argument, NULL, SMOKE };
	*ret_list++ = (struct option){ "help", no_argument, NULL, HELP };
	*ret_list = (struct option){ NULL, 0, NULL, 0 };
}

int bench_options_read(int argc, char **argv, const struct bench_options *o, void *settings)
{
	struct option options[BENCH_OPTIONS_MAX + 4];
	bool good = true;
	int option;

	list(o, options);
	while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option >= ROWS && option < ROWS + (int)o->count) {
			good = read_row(&o->rows[option - ROWS], optarg, settings);
		} else if (option == JSON) {
			*(bool *)((char *)settings + o->json) = true;
		} else if (option == SMOKE) {
			o->make_small(settings);
		} else if (option == HELP || option == 'h') {
			help(argv[0], o);
			return BENCH_DONE;
		} else {
			good = false;
		}
	}
	if (good && optind == argc)
		return -1;
	fprintf(stderr, "rwbench %s --help lists the options\n", argv[0]);
	return BENCH_USAGE;
}
