/* What the journal asks of a disk: one directory of files.  billing/journal_uring.c implements it with io_uring,
 * tests/billing and tests/sim with a disk in memory that fails, tears and forgets as they wish.
 *
 * All return 0 or a negative errno; writes are never short (an implementation goes on after a short one).  list,
 * create, remove, cut and write_and_sync are called by one thread at a time; the others by any. */
#ifndef RW_BILLING_JOURNAL_DISK_H
#define RW_BILLING_JOURNAL_DISK_H

#include <stddef.h>
#include <stdint.h>

#define JOURNAL_NAME_BYTES 32

struct journal_disk {
	void *context;

	/* Calls `name` for each file of the directory, in any order. */
	int (*list)(void *context, void (*name)(void *to, const char *name, uint64_t size), void *to);
	/* Makes a file, reserves `size` bytes of zeroes for it, and syncs it and the directory.  -ENOSPC: nothing is
	 * left behind. */
	int (*create)(void *context, const char *name, uint64_t size, int *ret_file);
	int (*open)(void *context, const char *name, int *ret_file); /* for reading */
	void (*close)(void *context, int file);
	int (*remove)(void *context, const char *name); /* and syncs the directory */

	/* Reads up to `size` bytes; *ret_size is less only at the end of the file. */
	int (*read)(void *context, int file, uint64_t offset, void *to, size_t size, size_t *ret_size);
	/* Writes, then waits until the file's data is on the disk (one submission where there is a ring).  A failure
	 * says nothing of what was written: the caller does not ask again for the same bytes in the same file.  With
	 * size 0 it only waits for what an earlier process wrote, and `file` may be one that was opened for reading. */
	int (*write_and_sync)(void *context, int file, uint64_t offset, const void *from, size_t size);

	/* Where the file's data ends: what is behind was reserved and never written, and is zeroes.  NULL: nobody
	 * knows; all of it is read then. */
	int (*data_end)(void *context, int file, uint64_t *ret_end);
	/* Makes a file shorter, to give back what was reserved for it; whether the disk knows that yet makes no
	 * difference.  NULL: files keep their size. */
	int (*cut)(void *context, const char *name, uint64_t size);
};

/* The directory at `path`, made (mode 0750) if it is not there.  0 or a negative errno with a sentence. */
int journal_uring_open(const char *path, struct journal_disk *ret_disk, char error[static 256]);
void journal_uring_close(struct journal_disk *disk);

#endif
