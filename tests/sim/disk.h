/* A disk in memory for the journal (billing/journal_disk.h) that takes its time, fails, fills up and forgets, all from
 * one random number.
 *
 * Each file has what the kernel holds of it and what has reached the disk, in blocks of 512 bytes.  A process that dies
 * loses nothing that it wrote; a machine that dies keeps of the blocks that were not synced what chance leaves: none,
 * all, or some of them, the later ones perhaps and not the earlier.  What a failed sync should have written never
 * reaches the disk by a later one (as a kernel does that has told of the failure once). */
#ifndef RW_TESTS_SIM_DISK_H
#define RW_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/journal_disk.h"

#define DISK_FILES_MAX 512

struct disk_file {
	char name[JOURNAL_NAME_BYTES]; /* "": none */
	uint64_t size;
	uint8_t *cached, *durable;
	uint8_t *dirty; /* a byte a block: enum block_state */
};

struct disk {
	struct disk_file files[DISK_FILES_MAX];
	unsigned file_count;
	uint64_t random;

	/* ---- set by whoever owns it, at any time ---- */
	uint64_t capacity;              /* bytes of all files */
	uint64_t sync_ns, sync_more_ns; /* how long a sync takes: at least, and up to so much more */
	uint32_t failing_ppm;           /* writes and syncs that fail */
	uint32_t unreadable_ppm;        /* reads that do */
	bool dead;                      /* whoever calls has died: nothing happens any more */
	/* Time goes by while a sync waits.  false: the caller has died meanwhile. */
	bool (*wait)(void *context, uint64_t for_ns);
	void *context;

	uint64_t syncs, failures, unread; /* that failed: writes and syncs, reads */
	uint64_t refusals;                /* for want of space */
};

void disk_init(struct disk *d, uint64_t seed);
void disk_free(struct disk *d);
struct journal_disk disk_interface(struct disk *d);

/* The machine stops: what is not durable is gone. */
void disk_crash(struct disk *d);

#endif
