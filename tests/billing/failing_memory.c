#include "tests/billing/failing_memory.h"

#include <stdlib.h>

struct failing_memory memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *at);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *at);

bool memory_grants(void)
{
	return memory.outside > 0 || ++memory.asked != memory.failing;
}

static void *counted(void *at)
{
	memory.live += at != NULL && memory.outside == 0;
	return at;
}

void *__wrap_malloc(size_t size)
{
	return memory_grants() ? counted(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return memory_grants() ? counted(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	if (!memory_grants())
		return NULL;
	void *new = __real_realloc(old, size);
	memory.live += new != NULL &&old == NULL &&memory.outside == 0;
	return new;
}

char *__wrap_strdup(const char *text)
{
	return memory_grants() ? counted(__real_strdup(text)) : NULL;
}

void __wrap_free(void *at)
{
	memory.live -= at != NULL && memory.outside == 0;
	__real_free(at);
}

/* ---- a disk whose own memory does not count ---- */

static struct journal_disk disk;

static int list(void *context, void (*name)(void *to, const char *name, uint64_t size), void *to)
{
	return disk.list(context, name, to); /* what it calls is the journal's */
}

static int create(void *context, const char *name, uint64_t size, int *ret_file)
{
	memory.outside++;
	int r = disk.create(context, name, size, ret_file);
	memory.outside--;
	return r;
}

static int open_file(void *context, const char *name, int *ret_file)
{
	memory.outside++;
	int r = disk.open(context, name, ret_file);
	memory.outside--;
	return r;
}

static void close_file(void *context, int file)
{
	memory.outside++;
	disk.close(context, file);
	memory.outside--;
}

static int remove_file(void *context, const char *name)
{
	memory.outside++;
	int r = disk.remove(context, name);
	memory.outside--;
	return r;
}

static int read_file(void *context, int file, uint64_t offset, void *to, size_t size, size_t *ret_size)
{
	memory.outside++;
	int r = disk.read(context, file, offset, to, size, ret_size);
	memory.outside--;
	return r;
}

static int write_and_sync(void *context, int file, uint64_t offset, const void *from, size_t size)
{
	memory.outside++;
	int r = disk.write_and_sync(context, file, offset, from, size);
	memory.outside--;
	return r;
}

struct journal_disk quiet_disk(struct memory_disk *d)
{
	disk = memory_disk_interface(d);
	return (struct journal_disk){ .context = disk.context,
				      .list = list,
				      .create = create,
				      .open = open_file,
				      .close = close_file,
				      .remove = remove_file,
				      .read = read_file,
				      .write_and_sync = write_and_sync };
}
