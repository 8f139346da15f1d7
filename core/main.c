/* ringwheel: the switch.  Options, then core/node_run. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config.h"
#include "core/log.h"
#include "core/node.h"
#include "core/node_run.h"

/* Exit status. */
enum { STOPPED = 0, NOT_STARTED = 1, CDRS_MISSING = 1, WRONG_USAGE = 2 };

static const char usage[] = "usage: ringwheel [-c FILE] [-t] [-V] [--help]\n";

static void print_help(void)
{
	printf("%s\n"
	       "  -c FILE  run with this configuration; without it, with the embedded defaults\n"
	       "  -t       check the configuration and exit\n"
	       "  -V       print the version and exit\n"
	       "  --help   print this and exit\n\n"
	       "Parameters (section parameters { } of the configuration), with default, range and unit:\n\n",
	       usage);
	for (unsigned i = 0; i < parameter_count; i++) {
		const struct parameter_info *p = &parameter_infos[i];

		printf("  %s = %s", p->name, p->default_text);
		if (p->kind == PARAMETER_U32)
			printf("  (%u..%u %s)", p->min, p->max, p->unit);
		else if (p->kind == PARAMETER_BOOL)
			printf("  (on, off)");
		else
			printf("  (%s, each %g..%g)", p->unit, p->min / 1000.0, p->max / 1000.0);
		printf("\n      %s\n", p->text);
	}
}

struct options {
	const char *config;
	bool check;
};

/* true: run; false: *ret_status is the exit status. */
static bool read_options(int argc, char **argv, struct options *ret_options, int *ret_status)
{
	static const struct option long_options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	int c;

	*ret_options = (struct options){ 0 };
	while ((c = getopt_long(argc, argv, "c:tVh", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret_options->config = optarg;
			break;
		case 't':
			ret_options->check = true;
			break;
		case 'V':
			printf("%s\n", RW_VERSION_TEXT);
			*ret_status = STOPPED;
			return false;
		case 'h':
			print_help();
			*ret_status = STOPPED;
			return false;
		default: /* getopt has said what is wrong */
			fputs(usage, stderr);
			*ret_status = WRONG_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ringwheel: unexpected argument \"%s\"\n%s", argv[optind], usage);
		*ret_status = WRONG_USAGE;
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *config;
	char error[512] = "";
	int status;

	if (!read_options(argc, argv, &options, &status))
		return status;
	if (config_load(options.config, &config, error) < 0) {
		fprintf(stderr, "%s\n", error);
		return WRONG_USAGE;
	}
	if (options.check) {
		printf("%s: the configuration is good\n", options.config ? options.config : "embedded defaults");
		config_free(config);
		return STOPPED;
	}
	log_open();
	int r = node_run(config, error);
	if (r < 0)
		fprintf(stderr, "ringwheel: %s\n", error);
	config_free(config);
	return r < 0 ? NOT_STARTED : r > 0 ? CDRS_MISSING : STOPPED;
}
