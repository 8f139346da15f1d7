/* The journal: everything that must outlive the machine, in the order in which it happened (design, rule 7; spec 9,
 * 11).
 *
 * A directory of segments, `NNNNNNNNNN.journal`, numbered from 1, each of a fixed size that is reserved on the disk
 * before it is used.  One thread appends and syncs; any number of readers follow, each with a position of its own.
 *
 *   segment   = RECORD_SEGMENT record, then records, then zeroes
 *   record    = head of 32 bytes { u32 mark, u32 payload size, u64 checksum, u16 kind, u16 lane, u16 boot, u16 0,
 *               u64 serial }, payload, zeroes up to a multiple of 8; never across the end of a segment
 *   checksum  = XXH3 over the head's other fields and the payload, seeded by the journal's id and the record's
 * position: what an earlier use of the same blocks left behind is no record here
 *
 * A RECORD_SYNC says up to which position everything was on the disk when it was written.  Damage before the highest
 * such position is damage and is reported with its place; behind it, it is the tail of a machine that stopped in mid
 * write.
 *
 * A position is (segment << 32 | offset).  It names the first byte of a record, or the end of the last one.  */
#ifndef RW_BILLING_JOURNAL_H
#define RW_BILLING_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/journal_disk.h"
#include "billing/record.h"

typedef uint64_t journal_position;

#define JOURNAL_START          ((journal_position)0)
#define JOURNAL_SEGMENT_BYTES  (64u << 20) /* the default size of a segment */
#define JOURNAL_SPARE_SEGMENTS 2           /* reserved ahead: what live calls still have to say fits in them */
#define JOURNAL_ERROR_BYTES    256

struct journal;

struct journal_record {
	enum record_kind kind;
	uint16_t lane, boot;
	uint64_t serial; /* of its queue, in that boot */
	const uint8_t *at;
	size_t size;
	journal_position position, next; /* where it stands, and where the next one does */
};

struct journal_settings {
	struct journal_disk disk; /* the directory */
	uint32_t segment_bytes;   /* a multiple of 4096, at least 4 * RECORD_BYTES_MAX; 0: JOURNAL_SEGMENT_BYTES */
	uint16_t boot;            /* this start of the node */
	uint64_t machine;         /* this start of the machine, and what its clocks said: kept with each segment */
	uint64_t now_ns;
	int64_t now_us;
	uint64_t new_id; /* random: the id of a journal that does not exist yet */
};

/* ---- reading what is there, before appending ---- */

struct journal_damage {
	journal_position from, to; /* bytes that hold no record */
	bool tail;                 /* never synced: nothing was promised of it */
};

struct journal_scan {
	void *context;
	/* Every good record in order; its bytes are lent until the journal is closed (`journal_lend()` finds them again
	 * by position).  A negative errno ends the scan. */
	int (*record)(void *context, const struct journal_record *record);
	void (*damage)(void *context, const struct journal_damage *damage);
};

/* Opens the journal of a directory, or makes one; reads all of it through `scan`.  Appending begins in a new segment:
 * an old one is never written to again.  0 or a negative errno with a sentence (-EPROTONOSUPPORT: written by a newer
 * program; -ENOSPC: no room for the spare segments). */
int journal_open(const struct journal_settings *settings, const struct journal_scan *scan, struct journal **ret_journal,
		 char error[static JOURNAL_ERROR_BYTES]);
/* Does not sync. */
void journal_close(struct journal *j);

/* Random, made with the journal: positions of another id mean nothing. */
uint64_t journal_id(const struct journal *j);

/* Lends the payload of a record that the scan told of; NULL: it cannot be read any more. */
const uint8_t *journal_lend(struct journal *j, journal_position position, size_t *ret_size);
/* No more lending: gives back what the scan keeps. */
void journal_forget_scanned(struct journal *j);

/* ---- appending: one thread ---- */

/* Puts a record behind the others, in memory.  0; -ENOSPC: no segment is left (say no more new calls long before:
 * journal_room()); -EIO: the journal has failed. */
int journal_append(struct journal *j, enum record_kind kind, uint16_t lane, uint64_t serial, const uint8_t *payload,
		   size_t size);

/* Writes what was appended and waits until it is on the disk.  0, or a negative errno: the disk did not confirm.  What
 * was not confirmed is never asked for again in place: it is written anew into a fresh segment by the next sync, and
 * journal_has_failed() is true from now on. */
int journal_sync(struct journal *j);
bool journal_has_failed(const struct journal *j);

/* Any thread: the end of what is on the disk. */
journal_position journal_synced(const struct journal *j);

/* Bytes that can still be appended in segments that are reserved; when this is less than one segment no new calls are
 * taken. */
uint64_t journal_room(const struct journal *j);

/* Tries to reserve spare segments, if some are missing (the disk was full). */
int journal_reserve(struct journal *j);

/* Segments that end before this position are not needed any more and are deleted, but none that was closed less than
 * `keep_ns` ago. */
int journal_drop_before(struct journal *j, journal_position position, uint64_t now_ns, uint64_t keep_ns);

uint64_t journal_bytes(const struct journal *j); /* on the disk, spare segments included */
/* Asserts every invariant; for tests. */
void journal_check(const struct journal *j);

/* ---- following: each reader in a thread of its own ---- */

struct journal_reader;

/* Begins at the first record at or after `from`.  The journal outlives its readers. */
int journal_reader_open(struct journal *j, journal_position from, struct journal_reader **ret_reader);
void journal_reader_close(struct journal_reader *r);
/* The next record that is on the disk, lent until the next call: 1; 0: none yet; -EBADMSG: no record here, *ret_record
 * has position and next, and the reader goes on behind it; another negative errno: the disk could not be read. */
int journal_reader_next(struct journal_reader *r, struct journal_record *ret_record);
/* Goes back or forth. */
void journal_reader_seek(struct journal_reader *r, journal_position to);

#endif
