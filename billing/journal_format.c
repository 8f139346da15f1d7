/* The layout of records: see the header. */
#include "billing/journal_format.h"

#include <assert.h>
#include <endian.h>
#include <string.h>
#include <xxhash.h>

#define MARK UINT32_C(0x314c4e4a) /* "JNL1" */

enum {
	MARK_AT = 0,
	SIZE_AT = 4,
	CHECKSUM_AT = 8,
	KIND_AT = 16,
	LANE_AT = 18,
	BOOT_AT = 20,
	UNUSED_AT = 22,
	SERIAL_AT = 24
};

static_assert(SERIAL_AT + 8 == JOURNAL_HEAD_BYTES, "the head's size");
static_assert(JOURNAL_OWN_BYTES == JOURNAL_FOOTPRINT(JOURNAL_FACTS_BYTES), "no zeroes behind");
static_assert(RECORD_KINDS <= UINT16_MAX, "kinds fit their field");

static void put16(uint8_t *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static void put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static uint16_t get16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

/* What stands before the checksum goes into its seed, so that the rest is hashed in one piece. */
static uint64_t checksum(const uint8_t *at, size_t footprint, uint64_t id, journal_position position)
{
	const uint64_t seed = id ^ position * UINT64_C(0x9e3779b97f4a7c15) ^ get64(at) * UINT64_C(0xd6e8feb86659fd93);

	return XXH3_64bits_withSeed(at + KIND_AT, footprint - KIND_AT, seed);
}

void journal_put_head(uint8_t *at, enum record_kind kind, uint16_t boot, uint16_t lane, uint64_t serial, size_t size)
{
	const size_t end = JOURNAL_HEAD_BYTES + size;

	assert(size <= RECORD_BYTES_MAX && kind != RECORD_NONE);
	put32(at + MARK_AT, MARK);
	put32(at + SIZE_AT, (uint32_t)size);
	put64(at + CHECKSUM_AT, 0);
	put16(at + KIND_AT, (uint16_t)kind);
	put16(at + LANE_AT, lane);
	put16(at + BOOT_AT, boot);
	put16(at + UNUSED_AT, 0);
	put64(at + SERIAL_AT, serial);
	memset(at + end, 0, JOURNAL_FOOTPRINT(size) - end);
}

void journal_seal(uint8_t *at, uint64_t id, journal_position position)
{
	assert(position % 8 == 0);
	put64(at + CHECKSUM_AT, checksum(at, journal_claimed(at), id, position));
}

void journal_put_facts(uint8_t *at, enum record_kind kind, uint16_t boot, uint64_t serial,
		       const struct journal_facts *facts, journal_position position)
{
	uint8_t *payload = at + JOURNAL_HEAD_BYTES;

	assert(kind == RECORD_SEGMENT || kind == RECORD_SYNC);
	journal_put_head(at, kind, boot, 0, serial, JOURNAL_FACTS_BYTES);
	put64(payload, facts->id);
	put32(payload + 8, facts->version);
	put32(payload + 12, facts->segment_bytes);
	put64(payload + 16, facts->promise);
	put64(payload + 24, facts->previous_end);
	put64(payload + 32, facts->machine);
	put64(payload + 40, facts->now_ns);
	put64(payload + 48, (uint64_t)facts->now_us);
	journal_seal(at, facts->id, position);
}

size_t journal_claimed(const uint8_t *at)
{
	const uint32_t size = get32(at + SIZE_AT);

	return get32(at + MARK_AT) == MARK && size <= RECORD_BYTES_MAX ? JOURNAL_FOOTPRINT(size) : 0;
}

bool journal_get(const uint8_t *at, size_t available, uint64_t id, journal_position position,
		 struct journal_record *ret_record)
{
	const size_t footprint = available >= JOURNAL_HEAD_BYTES ? journal_claimed(at) : 0;

	if (footprint == 0 || footprint > available || get64(at + CHECKSUM_AT) != checksum(at, footprint, id, position))
		return false;
	*ret_record = (struct journal_record){ .kind = (enum record_kind)get16(at + KIND_AT),
					       .lane = get16(at + LANE_AT),
					       .boot = get16(at + BOOT_AT),
					       .serial = get64(at + SERIAL_AT),
					       .at = at + JOURNAL_HEAD_BYTES,
					       .size = get32(at + SIZE_AT),
					       .position = position,
					       .next = position + footprint };
	return true;
}

void journal_read_facts(const struct journal_record *record, struct journal_facts *ret_facts)
{
	const uint8_t *payload = record->at;

	assert(record->size >= JOURNAL_FACTS_BYTES);
	*ret_facts = (struct journal_facts){ .id = get64(payload),
					     .version = get32(payload + 8),
					     .segment_bytes = get32(payload + 12),
					     .promise = get64(payload + 16),
					     .previous_end = get64(payload + 24),
					     .machine = get64(payload + 32),
					     .now_ns = get64(payload + 40),
					     .now_us = (int64_t)get64(payload + 48) };
}

bool journal_get_facts(const uint8_t *at, size_t available, journal_position position, struct journal_facts *ret_facts)
{
	struct journal_record record;

	if (available < JOURNAL_OWN_BYTES || journal_claimed(at) < JOURNAL_OWN_BYTES)
		return false;
	const uint16_t kind = get16(at + KIND_AT);
	if ((kind != RECORD_SEGMENT && kind != RECORD_SYNC) ||
	    !journal_get(at, available, get64(at + JOURNAL_HEAD_BYTES), position, &record))
		return false;
	journal_read_facts(&record, ret_facts);
	return true;
}
