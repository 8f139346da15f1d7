/* What the billing thread does in a turn, without the thread and without a clock: records out of the workers' queues,
 * into the journal, onto the disk, and only then back to the queues as room.
 *
 * It also knows what of the journal is still needed.  A checkpoint is a number that it raises and that the shards look
 * at; when the journal holds the RECORD_CHECKPOINT_END of that number from every lane, nothing before the first of
 * their BEGINs is needed to go on with calls.
 *
 * One thread calls all but the functions that read what is published; those any thread may call. */
#ifndef RW_BILLING_INTAKE_H
#define RW_BILLING_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/journal.h"
#include "billing/queue.h"

#define INTAKE_TURN_BYTES (16u << 20) /* of payload that one turn takes: what comes after waits for the next sync */

struct intake;

struct intake_settings {
	struct journal *journal;
	struct record_queue *const *queues; /* lane by lane; borrowed, like the journal, until free */
	unsigned queue_count;
	uint32_t segment_bytes; /* of the journal; 0: JOURNAL_SEGMENT_BYTES */
};

/* 0 or -ENOMEM.  The first checkpoint is asked for from the beginning. */
int intake_create(const struct intake_settings *settings, struct intake **ret_intake);
void intake_free(struct intake *i);

/* Appends what the queues hold.  0; -ENOSPC, -EIO: the journal takes no more, and the rest waits in its queues. */
int intake_gather(struct intake *i);
/* Something was appended that is not on the disk yet. */
bool intake_wants_sync(const struct intake *i);
/* The last gather left records behind because the turn was full. */
bool intake_was_full(const struct intake *i);
/* Waits for the disk, and then gives the room back.  0, or a negative errno: everything stays where it is, nothing more
 * is gathered, and the next sync writes it anew. */
int intake_sync(struct intake *i);
/* The last sync that went well had records of this lane. */
bool intake_has_moved(const struct intake *i, unsigned lane);

/* When all that was gathered is on the disk: has the disk say so (journal_settle()).  0, or a negative errno: nothing
 * is lost, but the journal may have failed. */
int intake_settle(struct intake *i);

/* Now and then: settles once nothing has come for a second, reserves segments if some are missing, asks for a
 * checkpoint if the journal has grown enough, deletes what neither calls nor stores need: `applied` is the least of
 * what all sinks have applied.  Also publishes the journal's size. */
void intake_tend(struct intake *i, uint64_t now_ns, journal_position applied);

/* Records that are in the queues. */
uint64_t intake_waiting(const struct intake *i);

/* ---- published ---- */

/* Records of a lane that are on the disk: every serial below it. */
uint64_t intake_synced(const struct intake *i, unsigned lane);
/* CDRs among them, since the start. */
uint64_t intake_synced_cdrs(const struct intake *i, unsigned lane);
/* New calls may come: the journal has not failed and has room for what those that are up still have to say. */
bool intake_is_taking(const struct intake *i);
/* The checkpoint that is wanted: a shard that has not written one of this number begins it. */
uint64_t intake_checkpoint(const struct intake *i);
/* From now on nothing is deleted: some calls could not be taken up, and the journal is all that knows them. */
void intake_hold(struct intake *i);

struct intake_figures {
	uint64_t records;     /* on the disk, since the start */
	uint64_t syncs;       /* that went well */
	uint64_t bytes;       /* journal_bytes() */
	uint64_t checkpoints; /* that were completed */
	bool failed;          /* journal_has_failed() */
};
struct intake_figures intake_figures(const struct intake *i);

#endif
