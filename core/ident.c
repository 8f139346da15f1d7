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

static int digit(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

void ident_write(const struct ident_key *key, const struct ident *id, char token[static IDENT_SIZE])
{
	assert(id->generation < 1u << 24 && id->bucket < STEER_BUCKETS);
	steer_mint(&key->steer, id->bucket, token);
	uint128 value = id->slot;
	value = value << 16 | id->boot;
	value = value << 24 | id->generation;
	value = value << CHECK_BITS | check_of(key, id);
	for (unsigned i = IDENT_SIZE; i-- > STEER_PREFIX_SIZE; value >>= 5)
		token[i] = STEER_ALPHABET[(unsigned)value & 31];
}

bool ident_read(const struct ident_key *key, struct bytes token, struct ident *ret_id)
{
	if (token.size != IDENT_SIZE || memcmp(token.at, key->steer.marker, STEER_MARKER_SIZE) != 0)
		return false;
	uint128 value = 0;
	unsigned bucket = 0;
	for (unsigned i = STEER_MARKER_SIZE; i < IDENT_SIZE; i++) {
		int d = digit(token.at[i]);
		if (d < 0)
			return false;
		if (i < STEER_PREFIX_SIZE)
			bucket = bucket << 5 | (unsigned)d;
		else
			value = value << 5 | (unsigned)d;
	}
	if (bucket >= STEER_BUCKETS)
		return false;
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

static const char cookie[7] = { 'z', '9', 'h', 'G', '4', 'b', 'K' }; /* RFC 3261 8.1.1.7 */

void ident_write_branch(const struct ident_key *key, const struct ident *id, uint16_t sequence,
			char branch[static BRANCH_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	memcpy(branch, cookie, sizeof cookie);
	ident_write(key, id, branch + sizeof cookie);
	for (unsigned i = 0; i < 4; i++)
		branch[BRANCH_SIZE - 1 - i] = hex[sequence >> (4 * i) & 15];
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
