/* Records: what a worker hands to the billing thread, and what the journal keeps.  A record has a kind and a payload of
 * bytes; every payload is self-contained, versioned and little-endian, so that the next version of the program can read
 * it (design, rules 5 and 7).
 *
 * A call's records come from one shard in this order, which queue and journal keep:
 *
 *   LIVE                 it is answered: all that is needed to go on with it
 *   CHANGE, LIVE         what has become of it since; a LIVE replaces everything before it
 *   CDR                  it has ended
 *   CLOSED               a leg that was to hear BYE has answered it, or will not
 *
 * A call that was never answered has a CDR alone.  */
#ifndef RW_BILLING_RECORD_H
#define RW_BILLING_RECORD_H

#include <stdint.h>

#include "billing/cdr.h"

/* Stored: only ever append. */
enum record_kind {
	RECORD_NONE, /* never stored */

	/* Of a call. */
	RECORD_CDR,    /* cdr_encode() (billing/cdr.h) */
	RECORD_LIVE,   /* struct record_call_head, then what core/call/carry.h writes */
	RECORD_CHANGE, /* struct record_call_head with `part`, then likewise; the latest of each part counts */
	RECORD_CLOSED, /* struct record_call_head; `part` is the leg: 0 the caller's, 1 the callee's */

	/* Of a shard: every call that was live at the BEGIN has a LIVE, or its CDR, between BEGIN and END; so what
	 * stands before the BEGIN of all shards is not needed to go on with calls.  Payload: u64, the number of the
	 * checkpoint. */
	RECORD_CHECKPOINT_BEGIN,
	RECORD_CHECKPOINT_END,

	/* The journal's own (billing/journal.h). */
	RECORD_SEGMENT,
	RECORD_SYNC,

	RECORD_KINDS
};

#define RECORD_CHANGE_PARTS 8

/* Stored as it is: 40 bytes, all of them given. */
struct record_call_head {
	char cdr_id[CDR_ID_SIZE]; /* the call */
	uint16_t bucket;          /* which shard it belongs to after a restart (core/steer.h) */
	uint8_t part;             /* by kind, see above */
	uint8_t version;          /* of what follows */
	uint32_t unused;          /* 0 */
};

_Static_assert(sizeof(struct record_call_head) == CDR_ID_SIZE + 8, "no padding");

/* The largest payload: a live call with two session descriptions of 16 KiB. */
#define RECORD_BYTES_MAX 65536u

#endif
