/* How a record of the journal looks in a segment: written, checked, searched for.  billing/journal.h has the layout of
 * a record; this is the payload that RECORD_SEGMENT and RECORD_SYNC have in common, little-endian:
 *
 *   u64 id | u32 version | u32 segment_bytes | u64 promise | u64 previous_end | u64 machine | u64 now_ns | i64 now_us
 *
 * It names the journal's id, under which its own checksum is good: so the id of a journal is found as long as one of
 * all its segments and groups is whole. */
#ifndef RW_BILLING_JOURNAL_FORMAT_H
#define RW_BILLING_JOURNAL_FORMAT_H

#include "billing/journal.h"

#define JOURNAL_VERSION     1 /* of segments and records; what a record carries has versions of its own */
#define JOURNAL_HEAD_BYTES  32
#define JOURNAL_FACTS_BYTES 56
#define JOURNAL_OWN_BYTES   (JOURNAL_HEAD_BYTES + JOURNAL_FACTS_BYTES) /* a RECORD_SEGMENT or RECORD_SYNC */

/* Bytes that a record takes, and the most that one does. */
#define JOURNAL_FOOTPRINT(payload_bytes) (((size_t)(payload_bytes) + JOURNAL_HEAD_BYTES + 7) & ~(size_t)7)
#define JOURNAL_FOOTPRINT_MAX            JOURNAL_FOOTPRINT(RECORD_BYTES_MAX)

struct journal_facts {
	uint64_t id;
	uint32_t version, segment_bytes;
	journal_position promise;      /* everything before it was on the disk */
	journal_position previous_end; /* the end of the last record before this segment; what lies between is void */
	uint64_t machine, now_ns;      /* struct journal_settings, of the process that wrote it */
	int64_t now_us;
};

static inline journal_position journal_at(uint32_t segment, uint32_t offset)
{
	return (journal_position)segment << 32 | offset;
}

static inline uint32_t journal_segment(journal_position position)
{
	return (uint32_t)(position >> 32);
}

static inline uint32_t journal_offset(journal_position position)
{
	return (uint32_t)position;
}

/* Writes the head, all but the checksum, and the zeroes behind the payload; the payload's bytes are put in between by
 * the caller, who then says journal_seal() once the position is known. */
void journal_put_head(uint8_t *at, enum record_kind kind, uint16_t boot, uint16_t lane, uint64_t serial, size_t size);
void journal_seal(uint8_t *at, uint64_t id, journal_position position);
/* A whole record of the journal's own, sealed: JOURNAL_OWN_BYTES. */
void journal_put_facts(uint8_t *at, enum record_kind kind, uint16_t boot, uint64_t serial,
		       const struct journal_facts *facts, journal_position position);

/* What the head at `at` says it takes (at least JOURNAL_HEAD_BYTES can be read); 0: no head. */
size_t journal_claimed(const uint8_t *at);
/* Is there a record at this position, within the `available` bytes at `at`?  It borrows them. */
bool journal_get(const uint8_t *at, size_t available, uint64_t id, journal_position position,
		 struct journal_record *ret_record);
/* The payload of a good record of the journal's own. */
void journal_read_facts(const struct journal_record *record, struct journal_facts *ret_facts);
/* A record of the journal's own at this position, good under the id that it names itself. */
bool journal_get_facts(const uint8_t *at, size_t available, journal_position position, struct journal_facts *ret_facts);

#endif
