/* What the subcommands share: see the header. */
#include "bench/bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
