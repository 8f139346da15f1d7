/* Records that a stop of an earlier version could not give to its store, in a file of their own (data_dir/cdr.left).
 * What takes them now is the journal.
 *
 * The file is a row of { u32 mark, u32 size, u64 checksum, the encoded record }, little-endian.  It goes only when its
 * records are on the disk elsewhere; one that is imported twice changes nothing, for every store knows its cdr_ids (but
 * the files by the hour, files.h). */
#ifndef RW_BILLING_LEFT_H
#define RW_BILLING_LEFT_H

#include <stddef.h>
#include <stdint.h>

struct cdr_left_report {
	uint64_t imported; /* records that were taken */
	uint64_t damaged;  /* places in the file that hold no record */
	char kept[4096];   /* where a damaged file stands now, "": there is none */
};

#define LEFT_SYNC_BYTES (4u << 20) /* as much as the smallest journal surely takes */

struct cdr_left_taker {
	void *context;
	int (*take)(void *context, const uint8_t *record, size_t size); /* an encoded CDR */
	int (*sync)(void *context); /* what was taken is on the disk; asked every LEFT_SYNC_BYTES, and at the end */
};

/* Gives the file's records to `taker`, then removes the file; one with damage is renamed to PATH.damaged.N instead.
 * 0 (also when there is no file), or a negative errno and a sentence: then the file is as it was. */
int cdr_left_import(const char *path, const struct cdr_left_taker *taker, struct cdr_left_report *ret_report,
		    char error[static 256]);

#endif
