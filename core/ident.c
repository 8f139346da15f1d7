#include "core/ident.h"

#include <assert.h>

#include "core/siphash.h"

#define CHECK_BITS 53
#define CHECK_MASK ((UINT64_C(1) << CHECK_BITS) - 1)

typedef unsigned __int128 uint128;

void ident_key_init(struct ident_key *key, const uint8_t secret[static 32], const char *node)
{
	steer_key_init(&key->steer, secret, node);
	/* The second half of the secret: the steering key, which the BPF program also holds, tells nothing of this one.
	 */
	key->k0 = siphash_load(secret + 16, 8);
	key->k1 = siphash_load(secret + 24, 8);
}

static uint64_t check_of(const struct ident_key *key, const struct ident *id)
{
	uint64_t words[2] = { (uint64_t)id->slot << 32 | (uint64_t)id->boot << 16 | id->bucket, id->generation };
	return siphash13(key->k0, key->k1, words, sizeof words) & CHECK_MASK;
}

/* What follows the prefix is 25 digits of 5 bits, worked on in parts of 64 bits: one digit, then twice 12. */
#define PART_DIGITS 12
#define PART_BITS   (5 * PART_DIGITS)
#define PART_MASK   ((UINT64_C(1) << PART_BITS) - 1)

static_assert(IDENT_SIZE == STEER_PREFIX_SIZE + 1 + 2 * PART_DIGITS, "one digit and two parts");

/* The alphabet backwards, counted from 1; 0: not in it. */
static const uint8_t digits[256] = {
	['a'] = 1,  ['b'] = 2,  ['c'] = 3,  ['d'] = 4,  ['e'] = 5,  ['f'] = 6,  ['g'] = 7,  ['h'] = 8,
	['i'] = 9,  ['j'] = 10, ['k'] = 11, ['l'] = 12, ['m'] = 13, ['n'] = 14, ['o'] = 15, ['p'] = 16,
	['q'] = 17, ['r'] = 18, ['s'] = 19, ['t'] = 20, ['u'] = 21, ['v'] = 22, ['w'] = 23, ['x'] = 24,
	['y'] = 25, ['z'] = 26, ['2'] = 27, ['3'] = 28, ['4'] = 29, ['5'] = 30, ['6'] = 31, ['7'] = 32,
};

/* Above 31 if the character is no digit. */
static inline unsigned digit(char c)
{
	return digits[(uint8_t)c] - 1u;
}

static inline void write_part(uint64_t part, char *at)
{
	for (unsigned i = 0; i < PART_DIGITS; i++)
		at[i] = STEER_ALPHABET[part >> (5 * (PART_DIGITS - 1 - i)) & 31];
}

/* *seen collects the bits of all digits. */
static inline uint64_t read_part(const char *at, unsigned *seen)
{
	uint64_t part = 0;
	for (unsigned i = 0; i < PART_DIGITS; i++) {
		unsigned d = digit(at[i]);
		*seen |= d;
		part |= (uint64_t)(d & 31) << (5 * (PART_DIGITS - 1 - i));
	}
	return part;
}

void ident_write(const struct ident_key *key, const struct ident *id, char token[static IDENT_SIZE])
{
	assert(id->generation < 1u << 24 && id->bucket < STEER_BUCKETS);
	steer_mint(&key->steer, id->bucket, token);
	uint128 value = id->slot;
	value = value << 16 | id->boot;
	value = value << 24 | id->generation;
	value = value << CHECK_BITS | check_of(key, id);
	token[STEER_PREFIX_SIZE] = STEER_ALPHABET[(unsigned)(value >> (2 * PART_BITS))];
	write_part((uint64_t)(value >> PART_BITS) & PART_MASK, token + STEER_PREFIX_SIZE + 1);
	write_part((uint64_t)value & PART_MASK, token + STEER_PREFIX_SIZE + 1 + PART_DIGITS);
}

bool ident_read(const struct ident_key *key, struct bytes token, struct ident *ret_id)
{
	if (token.size != IDENT_SIZE || memcmp(token.at, key->steer.marker, STEER_MARKER_SIZE) != 0)
		return false;
	unsigned bucket = 0, seen = 0;
	for (unsigned i = STEER_MARKER_SIZE; i < STEER_PREFIX_SIZE; i++) {
		unsigned d = digit(token.at[i]);
		seen |= d;
		bucket = bucket << 5 | (d & 31);
	}
	const char *at = token.at + STEER_PREFIX_SIZE;
	unsigned top = digit(*at);
	uint64_t upper = read_part(at + 1, &seen), lower = read_part(at + 1 + PART_DIGITS, &seen);
	if ((seen | top) > 31 || bucket >= STEER_BUCKETS)
		return false;
	uint128 value = (uint128)top << (2 * PART_BITS) | (uint128)upper << PART_BITS | lower;
	uint64_t check = (uint64_t)value & CHECK_MASK;
	value >>= CHECK_BITS;
	struct ident id = {
		.generation = (uint32_t)value & 0xffffff,
		.boot = (uint16_t)(value >> 24),
		.slot = (uint32_t)(value >> 40),
		.bucket = (uint16_t)bucket,
	};
	if (check != check_of(key, &id))
		return false;
	*ret_id = id;
	return true;
}

uint32_t ident_make_tag(struct bytes token, unsigned edition, char tag[static TAG_SIZE_MAX])
{
	assert(edition <= EDITION_MAX);
	memcpy(tag, token.at, IDENT_SIZE);
	if (edition)
		tag[IDENT_SIZE] = STEER_ALPHABET[edition];
	return edition ? IDENT_SIZE + 1 : IDENT_SIZE;
}

/* 0: it has none; above EDITION_MAX: it is no tag of ours. */
static unsigned edition_of(struct bytes tag)
{
	if (tag.size == IDENT_SIZE)
		return 0;
	unsigned edition = tag.size == IDENT_SIZE + 1 ? digit(tag.at[IDENT_SIZE]) : 0;
	return edition ? edition : EDITION_MAX + 1;
}

bool ident_read_tag(const struct ident_key *key, struct bytes tag, struct ident *ret_id, unsigned *ret_edition)
{
	unsigned edition = edition_of(tag);
	if (edition > EDITION_MAX || !ident_read(key, ident_of_tag(tag), ret_id))
		return false;
	*ret_edition = edition;
	return true;
}

bool ident_is_tag_of(struct bytes tag, struct bytes token)
{
	return edition_of(tag) <= EDITION_MAX && bytes_equal(ident_of_tag(tag), token);
}

static const char cookie[7] = { 'z', '9', 'h', 'G', '4', 'b', 'K' }; /* RFC 3261 8.1.1.7 */

void ident_make_branch(struct bytes token, uint16_t sequence, char branch[static BRANCH_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	memcpy(branch, cookie, sizeof cookie);
	memcpy(branch + sizeof cookie, token.at, IDENT_SIZE);
	for (unsigned i = 0; i < 4; i++)
		branch[BRANCH_SIZE - 1 - i] = hex[sequence >> (4 * i) & 15];
}

void ident_write_branch(const struct ident_key *key, const struct ident *id, uint16_t sequence,
			char branch[static BRANCH_SIZE])
{
	char token[IDENT_SIZE];
	ident_write(key, id, token);
	ident_make_branch((struct bytes){ token, IDENT_SIZE }, sequence, branch);
}

bool ident_read_branch(const struct ident_key *key, struct bytes branch, struct ident *ret_id, uint16_t *ret_sequence)
{
	if (branch.size != BRANCH_SIZE || memcmp(branch.at, cookie, sizeof cookie) != 0)
		return false;
	unsigned sequence = 0;
	for (unsigned i = BRANCH_SIZE - 4; i < BRANCH_SIZE; i++) {
		char c = branch.at[i];
		unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
			     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
						    : 16;
		if (d > 15)
			return false;
		sequence = sequence << 4 | d;
	}
	if (!ident_read(key, (struct bytes){ branch.at + sizeof cookie, IDENT_SIZE }, ret_id))
		return false;
	*ret_sequence = (uint16_t)sequence;
	return true;
}
