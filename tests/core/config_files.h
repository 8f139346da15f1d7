/* Configuration files for tests: written to a scratch directory of the process, loaded, and removed again.  */
#ifndef RW_TESTS_CORE_CONFIG_FILES_H
#define RW_TESTS_CORE_CONFIG_FILES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config/config.h"

static char scratch[] = "/tmp/ringwheel-config-XXXXXX";

static inline const char *scratch_path(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", scratch, name);
	return p;
}

static inline void scratch_open(void)
{
	cr_assert_not_null(mkdtemp(scratch));
}

static inline void scratch_close(void)
{
	unlink(scratch_path("rw.conf"));
	unlink(scratch_path("prefixes.txt"));
	rmdir(scratch);
}

static inline void write_file(const char *name, const char *text, size_t size)
{
	FILE *out = fopen(scratch_path(name), "w");

	cr_assert_not_null(out);
	cr_assert_eq(fwrite(text, 1, size, out), size);
	cr_assert_eq(fclose(out), 0);
}

static inline struct config *load_text(const char *text)
{
	struct config *c = NULL;
	char error[512];

	write_file("rw.conf", text, strlen(text));
	int result = config_load(scratch_path("rw.conf"), &c, error);
	cr_assert_eq(result, 0, "%s", error);
	cr_assert_str_empty(error);
	return c;
}

static inline struct address address_of(const char *host, uint16_t port)
{
	struct address a;

	cr_assert(address_read_host(bytes_of(host), &a));
	a.port = port;
	return a;
}

#endif
