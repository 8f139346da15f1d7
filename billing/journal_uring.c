/* A directory of real files.  Writing goes through a ring of its own: the write and, linked to it, fdatasync, in one
 * submission and one wait.  Everything else is an ordinary system call. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "billing/journal_disk.h"

#define ENTRIES     4
#define WRITE_BYTES (1u << 30) /* of one request */

struct uring_disk {
	struct io_uring ring;
	int directory;
};

/* ---- names ---- */

static int list(void *context, void (*name)(void *to, const char *name, uint64_t size), void *to)
{
	const struct uring_disk *d = context;
	const int copy = openat(d->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	struct stat st;
	int r = 0;

	if (stream == NULL) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
		if (fstatat(d->directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = -errno;
		else if (S_ISREG(st.st_mode) && strlen(entry->d_name) < JOURNAL_NAME_BYTES)
			name(to, entry->d_name, (uint64_t)st.st_size);
	}
	if (r == 0)
		r = -errno;
	closedir(stream);
	return r;
}

static int sync_directory(const struct uring_disk *d)
{
	return fsync(d->directory) < 0 ? -errno : 0;
}

static int remove_file(void *context, const char *name)
{
	const struct uring_disk *d = context;

	return unlinkat(d->directory, name, 0) < 0 ? -errno : sync_directory(d);
}

static int reserve(int file, uint64_t size)
{
	int r;

	do
		r = posix_fallocate(file, 0, (off_t)size);
	while (r == EINTR);
	if (r == 0 && fsync(file) < 0)
		r = errno;
	return -r;
}

static int create(void *context, const char *name, uint64_t size, int *ret_file)
{
	const struct uring_disk *d = context;
	const int file = openat(d->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (file < 0)
		return -errno;
	int r = reserve(file, size);
	if (r == 0)
		r = sync_directory(d);
	if (r < 0) {
		close(file);
		remove_file(context, name);
		return r;
	}
	*ret_file = file;
	return 0;
}

static int open_file(void *context, const char *name, int *ret_file)
{
	const struct uring_disk *d = context;
	const int file = openat(d->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (file < 0)
		return -errno;
	*ret_file = file;
	return 0;
}

static void close_file(void *context, int file)
{
	(void)context;
	close(file);
}

/* ---- reading ---- */

static int read_file(void *context, int file, uint64_t offset, void *to, size_t size, size_t *ret_size)
{
	size_t done = 0;

	(void)context;
	while (done < size) {
		const ssize_t got = pread(file, (char *)to + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*ret_size = done;
	return 0;
}

static int data_end(void *context, int file, uint64_t *ret_end)
{
	off_t end = 0, data;

	(void)context;
	while ((data = lseek(file, end, SEEK_DATA)) >= 0) {
		const off_t hole = lseek(file, data, SEEK_HOLE);

		if (hole <= data)
			return -EIO; /* it is being changed, or the file system does not mean it */
		end = hole;
	}
	if (errno != ENXIO)
		return -errno;
	*ret_end = (uint64_t)end;
	return 0;
}

static int cut(void *context, const char *name, uint64_t size)
{
	const struct uring_disk *d = context;
	const int file = openat(d->directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (file < 0)
		return -errno;
	const int r = ftruncate(file, (off_t)size) < 0 ? -errno : 0;
	close(file);
	return r;
}

/* ---- writing ---- */

enum { WRITE, SYNC };

/* Both requests have been answered when it returns, whatever their results. */
static int submit_and_wait(struct uring_disk *d, unsigned count, int results[static 2])
{
	struct io_uring_cqe *cqe;
	int r;

	do
		r = io_uring_submit(&d->ring);
	while (r == -EINTR || r == -EAGAIN || r == -EBUSY);
	if (r < 0)
		return r;
	while (count > 0) {
		r = io_uring_wait_cqe(&d->ring, &cqe);
		if (r == -EINTR)
			continue;
		if (r < 0)
			return r;
		results[io_uring_cqe_get_data64(cqe)] = cqe->res;
		io_uring_cqe_seen(&d->ring, cqe);
		count--;
	}
	return 0;
}

/* One write with its fdatasync; *ret_written may be short, and then nothing is synced. */
static int write_once(struct uring_disk *d, int file, uint64_t offset, const void *from, size_t size,
		      size_t *ret_written)
{
	int results[2] = { 0, -ECANCELED };
	unsigned count = 1;
	struct io_uring_sqe *sqe;

	if (size > 0) {
		sqe = io_uring_get_sqe(&d->ring);
		io_uring_prep_write(sqe, file, from, (unsigned)size, offset);
		io_uring_sqe_set_data64(sqe, WRITE);
		sqe->flags |= IOSQE_IO_LINK;
		count++;
	}
	sqe = io_uring_get_sqe(&d->ring);
	io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data64(sqe, SYNC);
	const int r = submit_and_wait(d, count, results);
	if (r < 0)
		return r;
	if (results[WRITE] < 0 && results[WRITE] != -EINTR && results[WRITE] != -EAGAIN)
		return results[WRITE];
	*ret_written = results[WRITE] > 0 ? (size_t)results[WRITE] : 0;
	if (*ret_written < size)
		return results[WRITE] == 0 ? -EIO : 0;
	return results[SYNC];
}

static int write_and_sync(void *context, int file, uint64_t offset, const void *from, size_t size)
{
	struct uring_disk *d = context;
	size_t done = 0;
	int r;

	do {
		const size_t wanted = size - done < WRITE_BYTES ? size - done : WRITE_BYTES;
		size_t written = 0;

		r = write_once(d, file, offset + done, done > 0 ? (const char *)from + done : from, wanted, &written);
		done += written;
	} while (r == 0 && done < size);
	/* The kernel calls pages clean that it failed to write.  Who reads them afterwards is to see what the disk has.
	 */
	if (r < 0)
		posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	return r;
}

/* ---- the directory ---- */

static int refuse(struct uring_disk *d, char error[static 256], const char *what, int r)
{
	snprintf(error, 256, "%s: %s", what, strerror(-r));
	if (d != NULL && d->directory >= 0)
		close(d->directory);
	free(d);
	return r;
}

int journal_uring_open(const char *path, struct journal_disk *ret_disk, char error[static 256])
{
	struct uring_disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return refuse(NULL, error, path, -ENOMEM);
	d->directory = -1;
	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return refuse(d, error, path, -errno);
	d->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->directory < 0)
		return refuse(d, error, path, -errno);
	const int r = io_uring_queue_init(ENTRIES, &d->ring, 0);
	if (r < 0)
		return refuse(d, error, "io_uring", r);
	*ret_disk = (struct journal_disk){ .context = d,
					   .list = list,
					   .create = create,
					   .open = open_file,
					   .close = close_file,
					   .remove = remove_file,
					   .read = read_file,
					   .write_and_sync = write_and_sync,
					   .data_end = data_end,
					   .cut = cut };
	return 0;
}

void journal_uring_close(struct journal_disk *disk)
{
	struct uring_disk *d = disk->context;

	if (d == NULL)
		return;
	io_uring_queue_exit(&d->ring);
	close(d->directory);
	free(d);
	*disk = (struct journal_disk){ 0 };
}
