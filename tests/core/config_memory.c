/* A plain program for the sanitizer set-ups: a good configuration is loaded again and again, each time with one more
 * allocation granted before the first that fails, until it loads.  Every failure is -ENOMEM with a sentence, and leaves
 * nothing allocated.  The linker puts the functions here before the allocator's (--wrap). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_names.h"
#include "core/config/config.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned granted = UINT32_MAX;

static bool grant(void)
{
	if (granted == 0)
		return false;
	granted--;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return grant() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return grant() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return grant() ? __real_realloc(old, size) : NULL;
}

static const char text[] =
	"node = n\nlisten \"four\" { address = 192.0.2.1 }\nlisten \"six\" { address = \"2001:db8::1\" }\n"
	"mapping_gateway \"m\" { address = {\"10.0.0.1\", \"10.0.0.0/8\"} account = \"a\" allow = {\"r\", \"s\"} deny "
	"= t\n"
	"  rewrite_caller = {\"0 -> 44\", \"^1 -> 2\"} failed_reason_map = \"5xx -> 503\" }\n"
	"routing_gateway \"r\" { address = {\"10.0.0.9\", \"both.example\"} prefix = {\"880\", \"44\"} stop_codes = "
	"404 }\n"
	"routing_gateway \"s\" { address = \"six.example\" rewrite_callee = \"00 ->\" account = v }\n"
	"routing_gateway \"t\" { address = \"four.example\" }\n";

static int fail(const char *what, unsigned allocations, int result, const char *error)
{
	fprintf(stderr, "%s after %u allocations: %d, %s\n", what, allocations, result, error);
	return 1;
}

int main(void)
{
	char path[] = "/tmp/ringwheel-memory-XXXXXX", error[512];
	int descriptor = mkstemp(path), result = -ENOMEM, status = 0;
	unsigned allocations = 0;
	struct config *c = NULL;

	if (descriptor < 0 || write(descriptor, text, sizeof text - 1) != sizeof text - 1 || close(descriptor) != 0)
		return fail("no file", 0, errno, path);
	for (; result < 0 && status == 0; allocations++) {
		granted = allocations;
		result = config_load(path, &c, error);
		granted = UINT32_MAX;
		if (result < 0 && (result != -ENOMEM || !error[0] || c))
			status = fail("not refused as it should be", allocations, result, error);
	}
	if (status == 0 && allocations < 20)
		status = fail("hardly anything was allocated", allocations, result, error);
	for (unsigned i = 0; status == 0 && i < 2; i++) { /* a parameter more, without memory and with it */
		struct config *next = NULL;
		char reason[256];

		granted = i ? UINT32_MAX : 0;
		int expected = i ? 0 : -ENOMEM;
		result = config_with_parameter(c, "RW_SIP_T1", "200", &next, reason);
		granted = UINT32_MAX;
		if (result != expected || !next != (result < 0))
			status = fail("config_with_parameter", i, result, reason);
		config_free(next);
	}
	config_free(c);
	unlink(path);
	printf("%u allocations\n", allocations - 1);
	return status;
}
