/* ringwheel: the switch.  Options, then core/node_run. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	       "docs/configuration.md describes every key of the configuration.\n\n"
	       "Parameters (section parameters { } of the configuration), with default, range and unit:\n\n",
	       usage);
	for (unsigned i = 0; i < parameter_count; i++) {
		const struct parameter_info *p = &parameter_infos[i];
		char min[16];

		printf("  %s = %s", p->name, p->default_text);
		if (p->kind == PARAMETER_U32)
			printf("  (%s..%u %s)", parameter_min_text(p, min), p->max, p->unit);
		else if (p->kind == PARAMETER_BOOL)
			printf("  (on, off)");
		else
			printf("  (%s, each %g..%g)", p->unit, p->min / 1000.0, p->max / 1000.0);
		printf("\n      %s\n", p->text);
	}
}

/* What somebody typed, or let a program type: a terminal must not obey it. */
static void put_safely(const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, stderr);
}

/* optopt is the letter; of a long option, nothing, and the text stands before optind. */
static void tell_unknown_option(char **argv)
{
	char letter[] = { '-', (char)optopt, '\0' };

	fputs("ringwheel: there is no option ", stderr);
	put_safely(optopt ? letter : argv[optind - 1]);
	fputs("; --help shows what there is\n", stderr);
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
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:tVh", long_options, NULL)) != -1) {
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
		case ':':
			fprintf(stderr, "ringwheel: -%c needs a file; --help shows what there is\n", optopt);
			*ret_status = WRONG_USAGE;
			return false;
		default:
			tell_unknown_option(argv);
			*ret_status = WRONG_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		fputs("ringwheel: unexpected argument \"", stderr);
		put_safely(argv[optind]);
		fputs("\"; --help shows what there is\n", stderr);
		*ret_status = WRONG_USAGE;
		return false;
	}
	return true;
}

/* Whoever writes to a descriptor of these must not meet a database or a socket there. */
static void open_standard_streams(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
}

/* What the node answers waits until it does; a closed pipe and a limit of the file size are errors like others. */
static void take_signals(bool wait)
{
	static const int waiting[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < sizeof waiting / sizeof waiting[0]; i++)
		sigaddset(&set, waiting[i]);
	sigprocmask(wait ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static bool was_asked_to_stop(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* The status, or another if what was printed did not arrive. */
static int after_printing(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fputs("ringwheel: the output could not be written\n", stderr);
	return NOT_STARTED;
}

/* What the build asks of the machine (the top meson.build): better told than met as an illegal instruction. */
static bool cpu_suffices(void)
{
#ifdef __x86_64__
	return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#else
	return true;
#endif
}

static void warn(void *context, const char *sentence)
{
	(void)context;
	fputs("warning: ", stderr);
	put_safely(sentence);
	fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *config;
	char error[512] = "";
	int status;

	if (!cpu_suffices()) {
		fputs("ringwheel: this build needs a processor of level x86-64-v2 (SSSE3, SSE4.2, POPCNT)\n", stderr);
		return NOT_STARTED;
	}
	take_signals(true);
	open_standard_streams();
	if (!read_options(argc, argv, &options, &status))
		return after_printing(status);
	if (options.check)
		take_signals(false); /* no node will answer them */
	if (config_load(options.config, &config, error) < 0) {
		fprintf(stderr, "%s\n", error);
		return WRONG_USAGE;
	}
	if (options.check) {
		config_warnings(config, warn, NULL);
		printf("%s: the configuration is good\n", options.config ? options.config : "embedded defaults");
		config_free(config);
		return after_printing(STOPPED);
	}
	if (was_asked_to_stop()) {
		config_free(config);
		return STOPPED;
	}
	log_open();
	int r = node_run(config, error);
	if (r < 0)
		fprintf(stderr, "ringwheel: %s\n", error);
	return r < 0 ? NOT_STARTED : r > 0 ? CDRS_MISSING : STOPPED;
}
