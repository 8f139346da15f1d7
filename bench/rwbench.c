/* rwbench: what this machine and this switch can do.  One row a measurement, one file each. */
#include "bench/bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text;
};

static const struct subcommand subcommands[] = {
	{ "cdr", bench_cdr, "records through queue and writer into SQLite: rows a second, latency, bytes" },
	{ "cps", bench_cps, "calls a second through a switch: a rate, a ramp, or the highest without failure" },
	{ "hold", bench_hold, "many calls kept up: refreshes, their lateness, CPU time and memory of the switch" },
	{ "limit", bench_limit, "the floor: a process that only forwards the same datagrams" },
	{ "parse", bench_parse, "reading messages: the in-place reader, and the library beside it" },
	{ "pdd", bench_pdd, "delay from INVITE in to INVITE out, of a switch and of the forwarder in turns" },
	{ "route", bench_route, "gateways by dialled number: building the table, one look-up" },
	{ "shard", bench_shard, "the call logic without a network: CPU time of each message and of a call" },
	{ "timers", bench_timers, "the timing wheel: cost of an operation, longest advance, lateness" },
};

#define SUBCOMMANDS (sizeof subcommands / sizeof subcommands[0])

bool bench_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > max) {
		fprintf(stderr, "rwbench: --%s: a number from %llu to %llu, not \"%s\"\n", option,
			(unsigned long long)min, (unsigned long long)max, text);
		return false;
	}
	*ret_value = value;
	return true;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof values[0], compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

bool bench_address(struct bytes text, uint16_t port, struct address *ret_address)
{
	const char *end = text.at + text.size, *colon = memrchr(text.at, ':', text.size);
	unsigned number = 0;

	if (colon && (memchr(text.at, ':', (size_t)(colon - text.at)) ? colon > text.at && colon[-1] == ']' : true)) {
		for (const char *c = colon + 1; c < end; c++) {
			if (*c < '0' || *c > '9' || (number = number * 10 + (unsigned)(*c - '0')) > UINT16_MAX)
				return false;
		}
		text.size = (uint32_t)(colon - text.at);
		port = (uint16_t)number;
	}
	if (!address_read_host(text, ret_address))
		return false;
	ret_address->port = port;
	return true;
}

void *bench_memory(uint64_t bytes, bool huge)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	(void)madvise(memory, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* a kernel may have neither */
	return memory;
}

void bench_memory_free(void *memory, uint64_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

void bench_progress(const char *format, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fflush(stderr);
}

void bench_progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

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
