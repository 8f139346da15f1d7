/* Records that a stop could not give to the store, in a file of their own (data_dir/cdr.left) until the next start.
 *
 * The file is a row of { u32 mark, u32 size, u64 checksum, the encoded record }, little-endian; records are appended
 * and synced.  Importing is exactly once by cdr_id: the file goes only when its records are on the disk of the store,
 * and one that is imported twice changes nothing. */
#ifndef RW_BILLING_LEFT_H
#define RW_BILLING_LEFT_H

#include <stdint.h>

#include "billing/queue.h"

/* Appends what the queues still hold, and keeps in the file what it could take before something failed.  0 or a
 * negative errno; *ret_count is the number of records that are in the file now, in both cases. */
int cdr_left_save(const char *path, struct record_queue *const *queues, unsigned queue_count, uint64_t *ret_count);

struct cdr_left_report {
	uint64_t imported; /* records that are in the store now, those that were there before included */
	uint64_t damaged;  /* places in the file that hold no record */
	char kept[4096];   /* where a damaged file stands now, "": there is none */
};

/* Takes the file's records into the store, then removes the file; one with damage is renamed to PATH.damaged.N instead.
 * 0 (also when there is no file), or a negative errno and a sentence: then the file is as it was. */
int cdr_left_import(const char *path, const char *database_path, struct cdr_left_report *ret_report,
		    char error[static 256]);

#endif
