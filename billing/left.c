/* What a stop left over: see left.h. */
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

#include "billing/store.h"

#define MARK       UINT32_C(0x3154464c) /* "LFT1" */
#define HEAD_BYTES 16
#define BATCH      10000

static void put_u32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

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

/* ---- saving ---- */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

static int save_record(int fd, const uint8_t *record, size_t size)
{
	uint8_t bytes[HEAD_BYTES + CDR_BYTES_MAX];
	const uint64_t sum = checksum(record, size);

	assert(size <= CDR_BYTES_MAX);
	put_u32(bytes, MARK);
	put_u32(bytes + 4, (uint32_t)size);
	put_u32(bytes + 8, (uint32_t)sum);
	put_u32(bytes + 12, (uint32_t)(sum >> 32));
	memcpy(bytes + HEAD_BYTES, record, size);
	return write_all(fd, bytes, HEAD_BYTES + size);
}

/* A record that was written in part is cut off again. */
static int save_queue(int fd, const struct record_queue *q, off_t *end, uint64_t *count)
{
	struct queue_position position = record_queue_begin(q);
	struct queued_record record;

	while (record_queue_next(q, &position, &record)) {
		if (record.kind != RECORD_CDR)
			continue;
		const int result = save_record(fd, record.at, record.size);

		if (result < 0) {
			/* Where even that fails, the reader of the file knows what a cut record is. */
			const int cut = ftruncate(fd, *end);
			(void)cut;
			return result;
		}
		*end += (off_t)(HEAD_BYTES + record.size);
		(*count)++;
	}
	return 0;
}

int cdr_left_save(const char *path, struct record_queue *const *queues, unsigned queue_count, uint64_t *ret_count)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	uint64_t count = 0;
	int result = 0;

	*ret_count = 0;
	if (fd < 0)
		return -errno;
	off_t end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		result = -errno;
	for (unsigned i = 0; result == 0 && i < queue_count; i++)
		result = save_queue(fd, queues[i], &end, &count);
	if (fsync(fd) < 0) {
		result = -errno; /* nobody knows what is there */
		count = 0;
	}
	close(fd);
	const int synced = sync_directory(path);
	*ret_count = count;
	return result < 0 ? result : synced;
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

/* One transaction.  *ret_more: the file goes on after it. */
static int import_batch(struct reading *r, struct cdr_store *store, uint64_t *imported, bool *ret_more)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	const uint8_t *record;
	uint64_t taken = 0;
	struct cdr cdr;
	size_t size;
	int result = cdr_store_begin(store);

	if (result < 0)
		return result;
	*ret_more = false;
	for (unsigned i = 0; result == 0 && i < BATCH && (*ret_more = next_record(r, &record, &size)); i++) {
		result = cdr_decode(record, size, &cdr, attempts) ? cdr_store_add(store, &cdr) : -EINVAL;
		if (result == 0)
			taken++;
		if (result == -EINVAL) {
			r->damaged++;
			result = 0;
		}
	}
	if (result == 0)
		result = cdr_store_commit(store);
	if (result < 0)
		cdr_store_rollback(store);
	else
		*imported += taken;
	return result;
}

static int import_bytes(struct reading *r, const char *database_path, uint64_t *imported, char error[static 256])
{
	const char *why = "out of memory";
	struct cdr_store *store;
	bool more = true;
	int result = cdr_store_open(database_path, &store, &why);

	if (result < 0) {
		snprintf(error, 256, "%s", why);
		return result;
	}
	result = cdr_store_sync_commits(store);
	while (result == 0 && more)
		result = import_batch(r, store, imported, &more);
	if (result < 0)
		snprintf(error, 256, "%s", cdr_store_error(store));
	cdr_store_close(store);
	return result;
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

int cdr_left_import(const char *path, const char *database_path, struct cdr_left_report *ret_report,
		    char error[static 256])
{
	struct reading r;
	int result = map_file(path, &r);

	*ret_report = (struct cdr_left_report){ .kept = "" };
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return fail(path, result, error);
	result = import_bytes(&r, database_path, &ret_report->imported, error);
	if (r.size > 0)
		munmap((void *)(uintptr_t)r.bytes, r.size);
	if (result < 0)
		return result;
	ret_report->damaged = r.damaged;
	if (r.damaged > 0)
		result = put_aside(path, ret_report->kept);
	else if (unlink(path) < 0)
		result = -errno;
	if (result == 0)
		result = sync_directory(path);
	return result < 0 ? fail(path, result, error) : 0;
}
