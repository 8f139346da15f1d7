/* What a former process has left: the records of its journal, and those that still lay in its queues when it ended, put
 * together call by call (spec 9, 10; design, rule 7).
 *
 * Every record counts once: one that is in the journal and in a queue too (it was written but not yet released) is
 * known by boot, lane and serial.  What only the queues hold is appended to the journal, so that from then on it is all
 * there is.
 *
 * Of calls that are not over there is left: the latest LIVE and the latest CHANGE of each part.  Of calls that ended
 * within 64*T1: which legs are still to hear BYE.  CDRs are not kept here: whoever applies them follows the journal. */
#ifndef RW_BILLING_RECOVERY_H
#define RW_BILLING_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/journal.h"
#include "billing/queue.h"

struct recovery;

struct recovered_bytes {
	const uint8_t *at; /* NULL: none; behind the struct record_call_head */
	size_t size;
	uint8_t version;
};

struct recovered_call {
	char cdr_id[CDR_ID_SIZE];
	uint16_t bucket;
	struct recovered_bytes live;
	struct recovered_bytes changes[RECORD_CHANGE_PARTS];
	bool ended;       /* its CDR is written: all that is left is to send BYE to the legs in `byes` */
	uint8_t byes;     /* bit 0: the caller, bit 1: the callee */
	int64_t ended_us; /* end_us of its CDR */
};

struct recovery_report {
	uint64_t records, cdrs;  /* in the journal, the queues' included */
	uint64_t from_queues;    /* records that only the queues held */
	uint64_t calls, closing; /* that are not over; that have legs to end */
	uint64_t damaged;        /* places in the journal before its tail */
	uint64_t damaged_bytes;
	journal_position damaged_at; /* the first of them */
	uint64_t torn_bytes;         /* of the tail */
	uint64_t queues_refused;     /* of another start of the machine, or damaged: not believed */
	uint64_t unreadable;         /* records that are whole, but that this program cannot make sense of */
};

/* 64*T1 at the largest RW_SIP_T1: so long after its end a call's legs are still told of it. */
#define RECOVERY_CLOSING_US (64 * INT64_C(2000000))

/* Collects: `scan` is for journal_open(); if that fails the recovery is used up. */
int recovery_create(struct recovery **ret_recovery);
void recovery_free(struct recovery *r);
struct journal_scan recovery_scan(struct recovery *r);

/* After journal_open(): the queues of former workers, one after the other, of which those of this start of the machine
 * are believed; `q` is NULL where record_queue_attach() found a damaged one, which is counted.  What only the queue
 * holds is appended to the journal under the boot, lane and serial that it has, and synced.  0: the queue is not needed
 * any more (it is not released, its memory can go); or a negative errno: then it still is, and nothing is wrong with
 * trying again, now or at the next start. */
int recovery_take_queue(struct recovery *r, struct journal *j, struct record_queue *q,
			const struct record_queue_owner *owner, uint64_t machine);

/* After the last queue, before anything is appended for this start: the number that it is to have.  That is `boot`, or,
 * where records are there of that number or of a later one (the numbers go round), the first one behind all of them: a
 * number used again would make this start's records those that were seen before. */
uint16_t recovery_boot(const struct recovery *r, uint16_t boot);

/* Puts the calls in order; calls that ended longer than RECOVERY_CLOSING_US before now_us are forgotten.  0 or -ENOMEM.
 */
int recovery_finish(struct recovery *r, int64_t now_us, struct recovery_report *ret_report);

/* Calls by number, 0 to recovery_count() - 1, in the order of their cdr_id; any thread.  Bytes are lent
 * until the next call with the same `loans`, or recovery_free().  false: what is needed of this call cannot be read any
 * more. */
uint64_t recovery_count(const struct recovery *r);
uint16_t recovery_bucket(const struct recovery *r, uint64_t index);
bool recovery_call(const struct recovery *r, struct journal *j, uint64_t index, struct journal_loans *loans,
		   struct recovered_call *ret_call);

#endif
