#include "tests/billing/faulty_disk.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* SQLite's own methods of one kind of file with two of them replaced; a file points to `changed`. */
struct methods {
	sqlite3_io_methods changed;
	const sqlite3_io_methods *base;
};

static struct methods kinds[8];
static unsigned kind_count;
static sqlite3_vfs *base_vfs;
static sqlite3_vfs faulty_vfs;
static _Atomic uint64_t writes, fails_from = UINT64_MAX;
static _Atomic int fails_with;

static int result_of_write(void)
{
	return ++writes >= fails_from ? fails_with : SQLITE_OK;
}

static const sqlite3_io_methods *base_of(sqlite3_file *file)
{
	return ((const struct methods *)file->pMethods)->base;
}

static int faulty_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at)
{
	const int code = result_of_write();
	return code != SQLITE_OK ? code : base_of(file)->xWrite(file, from, size, at);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
	const int code = result_of_write();
	return code != SQLITE_OK ? code : base_of(file)->xSync(file, flags);
}

static int faulty_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
	(void)vfs;
	const int code = base_vfs->xOpen(base_vfs, name, file, flags, ret_flags);
	if (code != SQLITE_OK || file->pMethods == NULL)
		return code;

	unsigned kind = 0;
	while (kind < kind_count && kinds[kind].base != file->pMethods)
		kind++;
	if (kind == kind_count) {
		assert(kind_count < sizeof(kinds) / sizeof(kinds[0]));
		kinds[kind_count++] = (struct methods){ .changed = *file->pMethods, .base = file->pMethods };
		kinds[kind].changed.xWrite = faulty_write;
		kinds[kind].changed.xSync = faulty_sync;
	}
	file->pMethods = &kinds[kind].changed;
	return SQLITE_OK;
}

void faulty_disk_install(void)
{
	assert(base_vfs == NULL);
	base_vfs = sqlite3_vfs_find(NULL);
	faulty_vfs = *base_vfs;
	faulty_vfs.zName = "faulty";
	faulty_vfs.xOpen = faulty_open;
	const int code = sqlite3_vfs_register(&faulty_vfs, 1);
	assert(code == SQLITE_OK);
	(void)code;
}

void faulty_disk_fail(uint64_t nth, int code)
{
	fails_with = code;
	fails_from = writes + nth;
}

void faulty_disk_heal(void)
{
	fails_from = UINT64_MAX;
}

uint64_t faulty_disk_writes(void)
{
	return writes;
}
