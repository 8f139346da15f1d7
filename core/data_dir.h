/* What the data directory keeps from one start to the next, and that only one node uses it.
 *
 *   .       locked (flock) while a node runs: it cannot be taken for a file that a dead one has left
 *   lock    the same, for earlier versions, which know only that one
 *   secret  32 random bytes, mode 0600: the key of every identifier we put on the wire
 *   boot    the number of this start in decimal, 1..65535, then 1 again; where it was lost, or is an old one, the
 *           journal knows a better one (core/books.h) */
#ifndef RW_CORE_DATA_DIR_H
#define RW_CORE_DATA_DIR_H

#include <stdint.h>

struct data_dir {
	int fd; /* the directory */
	int lock_fd;
	uint16_t boot;
	uint8_t secret[32];
};

/* Makes the directory (mode 0750) and what is missing in it, locks it and counts this start.  0, or a negative errno
 * (-EBUSY: another node runs in it) and a sentence in `error`. */
int data_dir_open(const char *path, struct data_dir *ret_dir, char error[static 512]);
/* This start has another number.  0, or a negative errno and a sentence. */
int data_dir_set_boot(struct data_dir *d, const char *path, uint16_t boot, char error[static 512]);
void data_dir_close(struct data_dir *d);

#endif
