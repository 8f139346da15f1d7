/* A plain program for the sanitizer set-ups: a shard is made again and again, each time with one more allocation
 * granted before the first that fails, until it is there.  Every failure is -ENOMEM, and leaves nothing reserved.  The
 * linker puts the functions here before the system's (--wrap). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/shard.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);

static unsigned granted = UINT32_MAX;
static size_t mapped; /* bytes */

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

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (!grant()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mapped += size;
	return __real_mmap64(at, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t size)
{
	mapped -= size;
	return __real_munmap(at, size);
}

static void say(void *context, int level, const char *line)
{
	(void)context;
	(void)level;
	(void)line;
}

int main(void)
{
	static const uint8_t secret[32];
	char error[512];
	struct config *config;
	struct shard_stats stats;
	struct shard *shard = NULL;
	int result = config_load(NULL, &config, error);

	if (result < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	struct tally *tally = tally_reserve();
	struct quality_book *quality = quality_reserve();
	struct shard_settings settings = { .config = config,
					   .edge = { .log = say },
					   .stats = &stats,
					   .tallies = { &tally, 1 },
					   .qualities = { &quality, 1 },
					   .secret = secret,
					   .shard_count = 1,
					   .boot = 1,
					   .calls_max = 100,
					   .seed = 1,
					   .now_ns = 1 };
	size_t before = mapped;
	unsigned allocations = 0;
	for (result = -ENOMEM; result == -ENOMEM && mapped == before; allocations++) {
		memset(&stats, 0, sizeof stats);
		granted = allocations;
		result = shard_create(&settings, &shard);
		granted = UINT32_MAX;
	}
	printf("%u allocations\n", allocations - 1);
	if (result < 0 || allocations < 20) {
		fprintf(stderr, "after %u allocations: %d, %zu bytes are left\n", allocations - 1, result,
			mapped - before);
		return 1;
	}
	shard_check(shard);
	shard_destroy(shard);
	if (mapped != before) {
		fprintf(stderr, "%zu bytes are left of a whole one\n", mapped - before);
		return 1;
	}
	tally_release(tally);
	quality_release(quality);
	config_free(config);
	return 0;
}
