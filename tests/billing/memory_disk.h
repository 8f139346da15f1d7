/* A disk in memory for the journal (billing/journal_disk.h), which fails, tears and forgets by a seed.
 *
 * Each file has what the machine sees and what is on the disk.  They differ in blocks of 512 bytes that were written
 * and not synced: a machine that crashes keeps of each of them what was there before, what was written last, or the
 * begin- ning of that.  A sync that fails leaves some of the blocks on the disk and forgets the others, and what is
 * read afterwards is what the disk has.  Any thread may use it. */
#ifndef RW_TESTS_BILLING_MEMORY_DISK_H
#define RW_TESTS_BILLING_MEMORY_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/journal_disk.h"

struct memory_disk;

struct memory_disk *memory_disk_create(uint64_t seed);
/* Another disk with the same files, none open, in their present state. */
struct memory_disk *memory_disk_copy(const struct memory_disk *d);
void memory_disk_free(struct memory_disk *d);

struct journal_disk memory_disk_interface(struct memory_disk *d);

/* ---- faults ---- */

/* How many of 10,000 requests of each kind fail. */
struct memory_faults {
	unsigned write_eio;   /* with anything written, and synced, of it */
	unsigned sync_eio;    /* all was written; anything of it is on the disk */
	unsigned create_eio;  /* nothing is left behind, */
	unsigned create_full; /* -ENOSPC: nor here */
	unsigned remove_eio;  /* it may be gone nevertheless */
	unsigned open_eio, read_eio;
};

void memory_disk_set_faults(struct memory_disk *d, struct memory_faults faults);
/* All files together are at most so large; creating more is -ENOSPC.  0: no limit. */
void memory_disk_limit(struct memory_disk *d, uint64_t bytes);
/* The process dies in the `nth` request that changes something (1: the next): it is done in part, it and all others
 * return -EIO until the next crash.  0: it does not. */
void memory_disk_die(struct memory_disk *d, uint64_t nth);
bool memory_disk_is_dead(const struct memory_disk *d);

/* The process is gone: no file is open any more, no fault is set.  With the machine: unsynced blocks are kept or lost,
 * each as the seed has it. */
void memory_disk_crash(struct memory_disk *d, bool machine);

/* ---- damage ---- */

unsigned memory_disk_files(const struct memory_disk *d);
/* In the order of their names. */
const char *memory_disk_name(const struct memory_disk *d, unsigned index, uint64_t *ret_size);
/* What is there now, on the disk and in the machine. */
const uint8_t *memory_disk_bytes(const struct memory_disk *d, const char *name);
void memory_disk_damage(struct memory_disk *d, const char *name, uint64_t offset, const void *bytes, size_t size);
void memory_disk_truncate(struct memory_disk *d, const char *name, uint64_t size);
void memory_disk_remove(struct memory_disk *d, const char *name);
/* Reads of these bytes fail until the next crash; if they reach beyond the file, it cannot be opened either. */
void memory_disk_unreadable(struct memory_disk *d, const char *name, uint64_t offset, uint64_t size);

/* Files that are open now. */
unsigned memory_disk_open_files(const struct memory_disk *d);

#endif
