/* See queue_files.h.  A file is deleted and made anew, never used again: a process that dies in between leaves one that
 * is all zeroes, which is no queue and holds nothing. */
#include "core/queue_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX      "queue."
#define REFUSED     ".refused"
#define REFUSED_MAX 1000 /* of a name */
#define NAME_SIZE   48

static void name_of(unsigned lane, char name[static NAME_SIZE])
{
	snprintf(name, NAME_SIZE, PREFIX "%u", lane);
}

/* ---- this process's ---- */

static int make_one(int dir_fd, const char *name, size_t bytes, void **ret_memory)
{
	const int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *memory = MAP_FAILED;

	if (fd < 0)
		return -errno;
	int result = -posix_fallocate(fd, 0, (off_t)bytes);
	if (result == 0) {
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		result = memory == MAP_FAILED ? -errno : 0;
	}
	close(fd);
	if (result < 0)
		unlinkat(dir_fd, name, 0);
	else
		*ret_memory = memory;
	return result;
}

int queue_files_make(int dir_fd, unsigned count, size_t ring_bytes, struct record_queue_owner owner,
		     struct queue_files *ret_files)
{
	struct queue_files files = { .dir_fd = dir_fd, .bytes = ring_bytes + record_queue_header_bytes() };
	int result = 0;

	files.queues = calloc(count, sizeof(struct record_queue *));
	if (!files.queues)
		return -ENOMEM;
	for (unsigned i = 0; result == 0 && i < count; i++) {
		char name[NAME_SIZE];
		void *memory = NULL;

		name_of(i, name);
		result = make_one(dir_fd, name, files.bytes, &memory);
		if (result < 0)
			break;
		owner.lane = (uint16_t)i;
		files.queues[i] = record_queue_init(memory, files.bytes, owner);
		files.count++;
	}
	if (result < 0) {
		queue_files_close(&files);
		return result;
	}
	*ret_files = files;
	return 0;
}

void queue_files_close(struct queue_files *files)
{
	for (unsigned i = 0; i < files->count; i++) {
		const bool empty = record_queue_depth(files->queues[i]) == 0;
		char name[NAME_SIZE];

		if (!empty && msync(files->queues[i], files->bytes, MS_SYNC) == 0) {
			record_queue_settle(files->queues[i]);
			msync(files->queues[i], files->bytes, MS_SYNC);
		}
		munmap(files->queues[i], files->bytes);
		name_of(i, name);
		if (empty)
			unlinkat(files->dir_fd, name, 0);
	}
	free(files->queues);
	*files = (struct queue_files){ .dir_fd = -1 };
}

/* ---- a former process's ---- */

static bool is_queue_name(const char *name)
{
	const size_t prefix = sizeof(PREFIX) - 1, size = strlen(name);

	return size > prefix && size < NAME_SIZE - sizeof(REFUSED) && strncmp(name, PREFIX, prefix) == 0 &&
	       strspn(name + prefix, "0123456789") == size - prefix;
}

/* It was made, and nothing was ever written to it. */
static bool is_blank(const uint8_t *bytes, size_t size)
{
	const size_t look = record_queue_header_bytes() < size ? record_queue_header_bytes() : size;

	for (size_t i = 0; i < look; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* What was put aside before stays as it is, be it a directory. */
static int refuse(int dir_fd, const char *name, unsigned *refused)
{
	char aside[NAME_SIZE + 16];

	++*refused;
	snprintf(aside, sizeof aside, "%s" REFUSED, name);
	for (unsigned n = 2; faccessat(dir_fd, aside, F_OK, AT_SYMLINK_NOFOLLOW) == 0; n++) {
		if (n > REFUSED_MAX)
			return -EEXIST;
		snprintf(aside, sizeof aside, "%s" REFUSED ".%u", name, n);
	}
	return renameat(dir_fd, name, dir_fd, aside) < 0 ? -errno : 0;
}

/* Looked at in a mapping of its own: the file stays as it was until it is deleted. */
static int take_mapped(int dir_fd, const char *name, uint8_t *memory, size_t size, const struct queue_taker *taker,
		       unsigned *refused)
{
	struct record_queue_owner owner;
	struct record_queue *queue = record_queue_attach(memory, size, &owner);

	if (!queue && !is_blank(memory, size))
		return refuse(dir_fd, name, refused);
	const int result = queue ? taker->take(taker->context, queue, &owner) : 0;
	if (result < 0)
		return result;
	return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
}

static int take_one(int dir_fd, const char *name, const struct queue_taker *taker, unsigned *refused)
{
	struct stat status;
	const int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return refuse(dir_fd, name, refused);
	}
	const size_t size = (size_t)status.st_size;
	void *memory = size > 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) : NULL;
	close(fd);
	if (memory == MAP_FAILED)
		return -errno;
	if (!memory)
		return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
	const int result = take_mapped(dir_fd, name, memory, size, taker, refused);
	munmap(memory, size);
	return result;
}

int queue_files_take_left(int dir_fd, const struct queue_taker *taker, unsigned *ret_refused)
{
	const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	*ret_refused = 0;
	if (!directory) {
		result = -errno;
		if (fd >= 0)
			close(fd);
		return result;
	}
	while (result == 0 && (entry = readdir(directory)) != NULL)
		if (is_queue_name(entry->d_name))
			result = take_one(dir_fd, entry->d_name, taker, ret_refused);
	closedir(directory);
	return result;
}
