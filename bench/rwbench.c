/* rwbench: what this machine and this switch can do.  One row a measurement, one file each. */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text;
};

static const struct subcommand subcommands[] = {
	{ "cdr", bench_cdr, "records through queue and writer into SQLite: rows a second, latency, bytes" },
	{ "cps", bench_cps, "calls a second through a switch: a rate, a ramp, or the highest without failure" },
	{ "flood", bench_flood, "calls beside a flood of garbage and unauthorised requests: none may fail" },
	{ "hold", bench_hold, "many calls kept up: refreshes, their lateness, CPU time and memory of the switch" },
	{ "journal", bench_journal,
	  "records into the journal: records a second, CPU time, the time of a sync, reading back" },
	{ "limit", bench_limit, "the floor: a process that only forwards the same datagrams" },
	{ "overload", bench_overload,
	  "more calls than a switch carries: what it still completes, and what of live ones" },
	{ "parse", bench_parse, "reading messages: the in-place reader, and the library beside it" },
	{ "pdd", bench_pdd, "delay from INVITE in to INVITE out, of a switch and of the forwarder in turns" },
	{ "rates", bench_rates, "rates by dialled number: building the table, one look-up" },
	{ "route", bench_route, "gateways by dialled number: building the table, one look-up" },
	{ "shard", bench_shard, "the call logic without a network: CPU time of each message and of a call" },
	{ "timers", bench_timers, "the timing wheel: cost of an operation, longest advance, lateness" },
};

#define SUBCOMMANDS (sizeof subcommands / sizeof subcommands[0])

static void help(FILE *out)
{
	fputs("usage: rwbench MEASUREMENT [OPTIONS]\n\n", out);
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		fprintf(out, "  %-10s%s\n", subcommands[i].name, subcommands[i].text);
	fputs("\nrwbench MEASUREMENT --help lists its options.\n", out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		help(stdout);
		return BENCH_DONE;
	}
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		if (strcmp(name, subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "rwbench: there is no measurement \"%s\"\n", name);
	help(stderr);
	return BENCH_USAGE;
}
