/* The journal: everything that must outlive the machine, in the order in which it happened (design, rule 7; spec 9,
 * 11).
 *
 * A directory of segments, `NNNNNNNNNN.journal`, numbered from 1, each of a fixed size that is reserved on the disk
 * before it is used.  One thread appends and syncs; any number of readers follow, each with a position of its own.
 *
 *   segment   = RECORD_SEGMENT record, then groups, then zeroes
 *   group     = RECORD_SYNC record, then the records of one sync
 *   record    = head of 32 bytes { u32 mark, u32 payload size, u64 checksum, u16 kind, u16 lane, u16 boot, u16 0,
 *               u64 serial }, payload, zeroes up to a multiple of 8; never across the end of a segment
 *   checksum  = XXH3 over all the rest of the record, seeded by the journal's id and the record's position: what an
 *               earlier use of the same blocks left behind is no record here
 *
 * RECORD_SEGMENT and RECORD_SYNC have one payload (billing/journal_format.h), so that either stands in for the other
 * where one is damaged.  It says up to which position everything was on the disk when it was written, and where the
 * records before this segment end: what stands between there and here (a group that the disk did not confirm and that
 * was written anew, a reserved segment that was never begun) is void.
 *
 * Damage before the highest position that was on the disk is damage and is reported with its place, and what stands
 * behind it is read.  Behind that position is the tail of a machine that stopped in mid write: it counts up to the
 * first gap, so that the records of a shard have none, and its queue goes on where they end.  The group that was synced
 * last is part of the tail for whoever reads it: the next one, or journal_settle(), says that it was on the disk.
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
	uint32_t segment_bytes;   /* a multiple of 4096, 4 * RECORD_BYTES_MAX to 1 GiB; 0: JOURNAL_SEGMENT_BYTES */
	uint16_t boot;            /* this start of the node */
	uint64_t machine;         /* this start of the machine, and what its clocks said: kept with each segment */
	uint64_t now_ns;
	int64_t now_us;
	uint64_t new_id; /* random, not 0: the id of a journal that does not exist yet */
};

/* ---- reading what is there, before appending ---- */

struct journal_damage {
	journal_position from, to; /* bytes of one segment that hold no record */
	bool tail;                 /* never synced: nothing was promised of it */
	uint32_t unread;           /* bytes of it that the disk could not read (EIO); 0: it read all */
};

struct journal_scan {
	void *context;
	/* Every good record in order, but for the journal's own; its bytes are lent for the time of the call
	 * (`journal_lend()` finds them again by position).  A negative errno ends the scan. */
	int (*record)(void *context, const struct journal_record *record);
	/* Then every damage in order; NULL: nobody listens. */
	void (*damage)(void *context, const struct journal_damage *damage);
};

/* Opens the journal of a directory, or makes one; reads all of it through `scan` (NULL: nobody listens), and what an
 * earlier process had not synced is synced.  Appending begins in a new segment: an old one is never written to again.
 * 0 or a negative errno with a sentence (-EPROTONOSUPPORT: written by a newer program; -EINVAL: segments of two
 * journals; -ENOSPC: no room for a single segment; spare ones that are missing are journal_reserve()'s matter). */
int journal_open(const struct journal_settings *settings, const struct journal_scan *scan, struct journal **ret_journal,
		 char error[static JOURNAL_ERROR_BYTES]);
/* Does not sync. */
void journal_close(struct journal *j);

/* Random, made with the journal: positions of another id mean nothing. */
uint64_t journal_id(const struct journal *j);

/* Memory that records are lent in: one thread's, zeroed before its first use. */
struct journal_loans {
	struct journal_chunk *chunk;
};
/* Lends the payload of a record that the scan told of, until the next journal_take_back(); NULL: there is no memory for
 * it (another try may have it), or it cannot be read any more.  Any thread, until journal_forget_scanned(). */
const uint8_t *journal_lend(struct journal *j, journal_position position, struct journal_loans *loans,
			    size_t *ret_size);
/* All that was lent; some of its memory is kept for what is lent next. */
void journal_take_back(struct journal_loans *loans);
/* The same, and nothing is kept. */
void journal_free_loans(struct journal_loans *loans);
/* Tells of each record that was asked for and that the disk could not read, although it could when it was scanned; of
 * its head alone where that is what cannot be read.  Until journal_forget_scanned(); any thread. */
void journal_tell_unlent(struct journal *j, void *context,
			 void (*damage)(void *context, const struct journal_damage *damage));
/* No more lending: gives back what the scan keeps, not what was lent. */
void journal_forget_scanned(struct journal *j);

/* ---- appending: one thread ---- */

/* This start has another number than it was opened with: what is appended from now on is of that one. */
void journal_set_boot(struct journal *j, uint16_t boot);
/* Puts a record behind the others, in memory.  0; -ENOSPC: no segment is left (say no more new calls long before:
 * journal_room()); -ENOMEM.  After a failed sync it goes on: live calls still have an end to tell. */
int journal_append(struct journal *j, enum record_kind kind, uint16_t lane, uint64_t serial, const uint8_t *payload,
		   size_t size);
/* The same for a record of an earlier start of the node, from a queue that it left. */
int journal_append_of(struct journal *j, uint16_t boot, enum record_kind kind, uint16_t lane, uint64_t serial,
		      const uint8_t *payload, size_t size);

/* Writes what was appended and waits until it is on the disk.  0 (all that was ever appended is), or a negative errno:
 * the disk did not confirm.  What was not confirmed is never asked for again in place: the journal keeps it, the next
 * sync writes it anew into a fresh segment, and journal_has_failed() is true from now on.  Leave a pause before that.
 */
int journal_sync(struct journal *j);
/* The same, and has the disk say that all of it was there: when the node stops, and when there was nothing to write for
 * a second or so.  Nothing is written if it says so already. */
int journal_settle(struct journal *j);
/* Any thread. */
bool journal_has_failed(const struct journal *j);

/* Any thread: the end of what is on the disk. */
journal_position journal_synced(const struct journal *j);

/* Any thread: bytes that can still be appended in segments that are reserved, each record rounded up and with its head
 * of 32; when this is less than one segment no new calls are taken. */
uint64_t journal_room(const struct journal *j);

/* Tries to reserve spare segments, if some are missing (the disk was full): call it now and then.  The sync that takes
 * one tries once by itself. */
int journal_reserve(struct journal *j);

/* Segments that end before this position are not needed any more and are deleted, oldest first, but none that was
 * closed less than `keep_ns` ago.  The journal reads no clock: a segment counts as closed from the first call that
 * finds it so (those of an earlier process: from journal_open()), so call this every few seconds. */
int journal_drop_before(struct journal *j, journal_position position, uint64_t now_ns, uint64_t keep_ns);

uint64_t journal_bytes(const struct journal *j); /* on the disk, spare segments included; any thread */
/* Asserts every invariant; for tests. */
void journal_check(const struct journal *j);

/* ---- following: each reader in a thread of its own ---- */

struct journal_reader;

/* Begins at the first record at or after `from`.  The journal outlives its readers. */
int journal_reader_open(struct journal *j, journal_position from, struct journal_reader **ret_reader);
void journal_reader_close(struct journal_reader *r);
/* The next record that is on the disk, the journal's own left out, lent until the next call: 1; 0: none yet; -EBADMSG:
 * no record here (damage, a gap in the tail that an earlier process left, what the disk could not read when the journal
 * was opened and still cannot, or a segment that was dropped before it was read), *ret_record has position and next,
 * and the reader goes on behind it; another negative errno: the disk could not be read, and the next call tries again.
 */
int journal_reader_next(struct journal_reader *r, struct journal_record *ret_record);
/* Everything before it was told, or is none of this reader's business: where to go on another time. */
journal_position journal_reader_position(const struct journal_reader *r);
/* Goes back or forth, to the first record at or after `to` that is still there. */
void journal_reader_seek(struct journal_reader *r, journal_position to);

#endif
