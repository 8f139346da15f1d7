/* What a stop of an earlier version left over: see left.h. */
#include "billing/left.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "billing/cdr.h"

#define MARK       UINT32_C(0x3154464c) /* "LFT1" */
#define HEAD_BYTES 16

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* FNV-1a: damage, not malice. */
static uint64_t checksum(const uint8_t *bytes, size_t size)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* Renames and removals last only once the directory is synced. */
static int sync_directory(const char *path)
{
	char copy[4096];

	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	strcpy(copy, path);
	const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	const int result = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return result;
}

/* ---- importing ---- */

struct reading {
	const uint8_t *bytes;
	size_t size, at;
	uint64_t damaged;
};

/* The next whole record; what stands before it and is none counts as one damage. */
static bool next_record(struct reading *r, const uint8_t **ret_record, size_t *ret_size)
{
	bool damage = false;

	while (r->at < r->size) {
		const uint8_t *head = r->bytes + r->at;
		const size_t left = r->size - r->at;

		if (left >= HEAD_BYTES && get_u32(head) == MARK && get_u32(head + 4) <= left - HEAD_BYTES &&
		    get_u32(head + 4) <= CDR_BYTES_MAX) {
			const size_t size = get_u32(head + 4);
			const uint64_t sum = get_u32(head + 8) | (uint64_t)get_u32(head + 12) << 32;

			if (checksum(head + HEAD_BYTES, size) == sum) {
				r->damaged += damage;
				r->at += HEAD_BYTES + size;
				*ret_record = head + HEAD_BYTES;
				*ret_size = size;
				return true;
			}
		}
		damage = true;
		r->at++;
	}
	r->damaged += damage;
	return false;
}

static int import_records(struct reading *r, const struct cdr_left_taker *taker, uint64_t *imported)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	const uint8_t *record;
	struct cdr cdr;
	size_t size, unsynced = 0;
	int result = 0;

	while (result == 0 && next_record(r, &record, &size)) {
		if (!cdr_decode(record, size, &cdr, attempts)) {
			r->damaged++;
			continue;
		}
		result = taker->take(taker->context, record, size);
		*imported += result == 0;
		unsynced += size;
		if (result == 0 && unsynced >= LEFT_SYNC_BYTES) {
			result = taker->sync(taker->context);
			unsynced = 0;
		}
	}
	return result == 0 ? taker->sync(taker->context) : result;
}

/* The first name that nothing has yet. */
static int put_aside(const char *path, char kept[static 4096])
{
	for (unsigned n = 1; n < 10000; n++) {
		if (snprintf(kept, 4096, "%s.damaged.%u", path, n) >= 4096)
			return -ENAMETOOLONG;
		if (link(path, kept) == 0)
			return unlink(path) < 0 ? -errno : 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int map_file(const char *path, struct reading *ret_reading)
{
	struct stat status;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	void *bytes = NULL;
	int result = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		result = -errno;
	else if (!S_ISREG(status.st_mode))
		result = -EINVAL;
	else if (status.st_size > 0 &&
		 (bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
		result = -errno;
	close(fd);
	if (result == 0)
		*ret_reading = (struct reading){ .bytes = bytes, .size = (size_t)status.st_size };
	return result;
}

static int fail(const char *path, int result, char error[static 256])
{
	snprintf(error, 256, "%.200s: %s", path, strerror(-result));
	return result;
}

int cdr_left_import(const char *path, const struct cdr_left_taker *taker, struct cdr_left_report *ret_report,
		    char error[static 256])
{
	struct reading r;
	int result = map_file(path, &r);

	*ret_report = (struct cdr_left_report){ .kept = "" };
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return fail(path, result, error);
	result = import_records(&r, taker, &ret_report->imported);
	if (r.size > 0)
		munmap((void *)(uintptr_t)r.bytes, r.size);
	if (result < 0)
		return fail(path, result, error);
	ret_report->damaged = r.damaged;
	if (r.damaged > 0)
		result = put_aside(path, ret_report->kept);
	else if (unlink(path) < 0)
		result = -errno;
	if (result == 0)
		result = sync_directory(path);
	return result < 0 ? fail(path, result, error) : 0;
}
