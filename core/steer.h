/* Which shard a datagram belongs to (design, rule 4): its Call-ID falls into one of 4096 buckets, and a bucket belongs
 * to a worker.
 *
 * A Call-ID that this node minted says its bucket: exactly 32 characters of lower case base32 (RFC 4648 6), of which
 *
 *   0..3   marker: who minted it (20 bits of the node's key; the same over a restart)
 *   4..6   bucket: 15 bits, the first character holds the upper five; always below 4096
 *   7..31  whatever the shard puts there
 *
 * Every other Call-ID is hashed with a key of the node, so nobody outside can aim at one shard.  The BPF program
 * core/net/steer.bpf.c computes the very same function; STEER_HASHED_MAX bounds its work. */
#ifndef RW_CORE_STEER_H
#define RW_CORE_STEER_H

#include <stdint.h>

#define STEER_BUCKETS     4096
#define STEER_MINTED_SIZE 32 /* characters of a Call-ID of ours */
#define STEER_MARKER_SIZE 4
#define STEER_PREFIX_SIZE 7   /* marker and bucket */
#define STEER_HASHED_MAX  128 /* bytes of a foreign Call-ID that count */

#define STEER_ALPHABET "abcdefghijklmnopqrstuvwxyz234567"

struct steer_key {
	uint64_t k0, k1; /* of SipHash-1-3 over foreign Call-IDs */
	char marker[STEER_MARKER_SIZE];
};

/* The worker that owns a bucket: equal shares, consecutive buckets. */
static inline unsigned steer_worker(unsigned bucket, unsigned workers)
{
	return bucket * workers / STEER_BUCKETS;
}

#ifndef __bpf__
#include "sip/bytes.h"

/* From the node's secret and name: two nodes that share a secret mint different markers. */
void steer_key_init(struct steer_key *key, const uint8_t secret[static 32], const char *node);

/* 0..4095. */
unsigned steer_bucket(const struct steer_key *key, struct bytes call_id);

/* Whether a Call-ID has the form of ours: then it says its bucket. */
bool steer_is_minted(const struct steer_key *key, struct bytes call_id);

/* The first STEER_PREFIX_SIZE characters of a Call-ID that leads to `bucket`; not terminated. */
void steer_mint(const struct steer_key *key, unsigned bucket, char prefix[static STEER_PREFIX_SIZE]);

#endif

#endif
