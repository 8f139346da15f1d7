/* The data directory: see the header.  A file is replaced by writing another, syncing it, renaming it and syncing the
 * directory, so a crash at any point leaves the old one or the new one. */
#include "core/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, const char *name, int r, const char *reason, char error[static 512])
{
	snprintf(error, 512, "%.300s%s%s: %.190s", path, *name ? "/" : "", name, reason);
	return r;
}

static int fail_errno(const char *path, const char *name, int r, char error[static 512])
{
	return fail(path, name, r, strerror(-r), error);
}

static int write_all(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The directory is locked, so what is left of the temporary file is of a start that died. */
static int replace_file(int dir_fd, const char *name, const void *bytes, size_t size)
{
	char temporary[32];

	snprintf(temporary, sizeof temporary, "%s.new", name);
	if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, bytes, size);
	close(fd);
	if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = -errno;
	if (r == 0 && fsync(dir_fd) < 0)
		r = -errno;
	return r;
}

/* Reads at most `size` bytes of a small file; *ret_stat tells how large it really is. */
static int read_file(int dir_fd, const char *name, void *bytes, size_t size, struct stat *ret_stat)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	ssize_t n = fstat(fd, ret_stat) < 0 ? -1 : read(fd, bytes, size);
	int r = n < 0 ? -errno : (int)n;
	close(fd);
	return r;
}

static int open_secret(struct data_dir *d, const char *path, char error[static 512])
{
	struct stat st;
	int r = read_file(d->fd, "secret", d->secret, sizeof d->secret, &st);

	if (r == -ENOENT) {
		if (getrandom(d->secret, sizeof d->secret, 0) != (ssize_t)sizeof d->secret)
			return fail(path, "secret", -EIO, "the kernel gives no random bytes", error);
		r = replace_file(d->fd, "secret", d->secret, sizeof d->secret);
		return r < 0 ? fail_errno(path, "secret", r, error) : 0;
	}
	if (r < 0)
		return fail_errno(path, "secret", r, error);
	if (!S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof d->secret || r != (int)sizeof d->secret)
		return fail(path, "secret", -EINVAL,
			    "is not a file of 32 bytes; a copy of the right one is needed, "
			    "or remove it and lose the calls of earlier starts",
			    error);
	if (st.st_mode & 077)
		return fail(path, "secret", -EPERM, "others may read it; its mode must be 0600", error);
	return 0;
}

static int write_boot(struct data_dir *d, const char *path, uint16_t boot, char error[static 512])
{
	char text[16];
	const int size = snprintf(text, sizeof text, "%u\n", boot);
	const int r = replace_file(d->fd, "boot", text, (size_t)size);

	d->boot = boot;
	return r < 0 ? fail_errno(path, "boot", r, error) : 0;
}

static int count_boot(struct data_dir *d, const char *path, char error[static 512])
{
	char text[16] = "";
	struct stat st;
	unsigned long last = 0;
	int r = read_file(d->fd, "boot", text, sizeof text - 1, &st);

	if (r < 0 && r != -ENOENT)
		return fail_errno(path, "boot", r, error);
	if (r >= 0) {
		char *end;

		last = strtoul(text, &end, 10);
		if (text[0] < '0' || text[0] > '9' || strcmp(end, "\n") != 0 || last == 0 || last > UINT16_MAX)
			return fail(path, "boot", -EINVAL,
				    "is not a number from 1 to 65535 and a newline; write the last start's number "
				    "(boot= in its log) into it, or a number not used lately",
				    error);
	}
	return write_boot(d, path, last == UINT16_MAX ? 1 : (uint16_t)(last + 1), error);
}

static int lock(int fd, const char *path, const char *name, char error[static 512])
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return fail(path, "", -EBUSY, "another ringwheel runs with this data directory", error);
	return fail_errno(path, name, -errno, error);
}

static int open_locked(struct data_dir *d, const char *path, char error[static 512])
{
	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return fail_errno(path, "", -errno, error);
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return fail_errno(path, "", -errno, error);
	const int r = lock(d->fd, path, "", error);
	if (r < 0)
		return r;
	d->lock_fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0)
		return fail_errno(path, "lock", -errno, error);
	return lock(d->lock_fd, path, "lock", error);
}

int data_dir_open(const char *path, struct data_dir *ret_dir, char error[static 512])
{
	struct data_dir d = { .fd = -1, .lock_fd = -1 };
	int r = open_locked(&d, path, error);

	if (r == 0)
		r = open_secret(&d, path, error);
	if (r == 0)
		r = count_boot(&d, path, error);
	if (r < 0) {
		data_dir_close(&d);
		return r;
	}
	*ret_dir = d;
	return 0;
}

int data_dir_set_boot(struct data_dir *d, const char *path, uint16_t boot, char error[static 512])
{
	return boot == d->boot ? 0 : write_boot(d, path, boot, error);
}

void data_dir_close(struct data_dir *d)
{
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = d->lock_fd = -1;
	explicit_bzero(d->secret, sizeof d->secret);
}
