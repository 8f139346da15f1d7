/* Steering by Call-ID: see the header. */
#include "core/steer.h"

#include <assert.h>

#include "core/siphash.h"

static uint64_t derive(const uint8_t secret[static 32], const char *label, const char *node)
{
	char text[128];
	size_t label_size = strlen(label) + 1; /* the NUL parts label and name */
	size_t node_size = strlen(node);

	assert(label_size + node_size <= sizeof text);
	memcpy(text, label, label_size);
	memcpy(text + label_size, node, node_size);
	return siphash13(siphash_load(secret, 8), siphash_load(secret + 8, 8), text, label_size + node_size);
}

void steer_key_init(struct steer_key *key, const uint8_t secret[static 32], const char *node)
{
	uint64_t marker = derive(secret, "steer marker", node);

	key->k0 = derive(secret, "steer k0", node);
	key->k1 = derive(secret, "steer k1", node);
	for (unsigned i = 0; i < STEER_MARKER_SIZE; i++)
		key->marker[i] = STEER_ALPHABET[marker >> (5 * i) & 31];
}

/* -1: not in the alphabet. */
static int digit(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= '2' && c <= '7')
		return c - '2' + 26;
	return -1;
}

bool steer_is_minted(const struct steer_key *key, struct bytes call_id)
{
	return call_id.size == STEER_MINTED_SIZE && memcmp(call_id.at, key->marker, STEER_MARKER_SIZE) == 0;
}

unsigned steer_bucket(const struct steer_key *key, struct bytes call_id)
{
	if (steer_is_minted(key, call_id)) {
		int upper = digit(call_id.at[4]), middle = digit(call_id.at[5]), lower = digit(call_id.at[6]);

		/* A first digit of 4 or more is past the last bucket: not ours after all. */
		if (upper >= 0 && upper < 4 && middle >= 0 && lower >= 0)
			return (unsigned)(upper << 10 | middle << 5 | lower);
	}
	size_t size = call_id.size < STEER_HASHED_MAX ? call_id.size : STEER_HASHED_MAX;
	return (unsigned)(siphash13(key->k0, key->k1, call_id.at, size) & (STEER_BUCKETS - 1));
}

void steer_mint(const struct steer_key *key, unsigned bucket, char prefix[static STEER_PREFIX_SIZE])
{
	assert(bucket < STEER_BUCKETS);
	memcpy(prefix, key->marker, STEER_MARKER_SIZE);
	prefix[4] = STEER_ALPHABET[bucket >> 10];
	prefix[5] = STEER_ALPHABET[bucket >> 5 & 31];
	prefix[6] = STEER_ALPHABET[bucket & 31];
}
