/* What an initial INVITE, its CANCEL and the retransmission of any request are found by: a keyed hash of Call-ID, From
 * tag, CSeq number and method.  It leads to a server transaction, or to the tombstone of one that is over.
 *
 * A tombstone is all that an ended server transaction leaves for 64*T1: enough to build the same answer again from the
 * retransmitted request.  Tombstones all live equally long, so they are a queue in the order of their ends: of chunks
 * that are taken and given back, so that the memory touched is that of the most there ever were at a time, and not all
 * that may be needed at the highest rate. */
#ifndef RW_CORE_CALL_TABLE_H
#define RW_CORE_CALL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/call/records.h"

struct tombstone {
	uint64_t key;
	uint32_t chain;
	uint32_t branch_hash;
	uint32_t leg_slot; /* with generation, boot and edition: the tag we gave, as it was in the To of the answer */
	uint32_t leg_generation : 24;
	uint32_t method : 8; /* enum sip_method */
	uint32_t expires_ds; /* tenths of a second of the shard's clock, wraps */
	uint16_t boot;
	uint16_t status : 10; /* final response given; after an INVITE 200: absorb */
	uint16_t edition : 6; /* of that tag */
};

_Static_assert(sizeof(struct tombstone) == 32, "at most 32 bytes a server transaction");

struct table {
	uint32_t *heads; /* of chains; handle + 1, 0: empty */
	uint32_t head_mask;
	uint64_t k0, k1;
	struct pool *transactions; /* borrowed */
	struct tombstone *tombstones;
	uint32_t tombstone_size;  /* a power of two */
	uint32_t tombstone_first; /* counts up, and so do chunks */
	uint32_t tombstone_last;
	uint32_t *chunks;       /* which chunk of memory is the n-th of the queue: a ring */
	uint32_t *spare_chunks; /* a stack of those that were given back */
	uint32_t spare_count;
	uint32_t chunk_fresh; /* chunks from here on were never used */
};

int table_create(struct table *t, struct pool *transactions, uint32_t tombstones, uint64_t k0, uint64_t k1);
void table_destroy(struct table *t);

/* The key of a request; ACK and CANCEL have that of their INVITE when asked for with that method. */
uint64_t table_key(const struct table *t, const struct sip_message *m, enum sip_method method);
uint32_t table_hash32(const struct table *t, struct bytes text); /* never 0 */

struct table_hit {
	struct transaction *transaction; /* or */
	struct tombstone *tombstone;
};
/* The latest of a key; that of one branch (0: any), as requests of several early dialogs may have the same key, and the
 * INVITEs of a sequential fork have.  false: neither. */
bool table_find_branch(const struct table *t, uint64_t key, uint32_t branch_hash, struct table_hit *ret_hit);
bool table_find(const struct table *t, uint64_t key, struct table_hit *ret_hit);

/* Whoever repeats Call-ID, From tag and CSeq with ever new branches makes a chain, and each look-up walks all of it. */
#define TABLE_KEY_MAX 8
/* Whether as many of one key are remembered as may be: then no other is to be taken. */
bool table_is_crowded(const struct table *t, uint64_t key);

void table_add(struct table *t, struct transaction *tx);
void table_remove(struct table *t, struct transaction *tx);

/* Buries: `end_ns` must not be before that of an earlier one by more than the parameters' change (else it goes early).
 * When the ring is full the oldest goes. */
void table_bury(struct table *t, const struct tombstone *tombstone, uint64_t end_ns);
/* Removes the tombstones whose time is over. */
void table_expire(struct table *t, uint64_t now_ns);
/* When table_expire() has something to do, UINT64_MAX: nothing buried. */
uint64_t table_next_ns(const struct table *t, uint64_t now_ns);
static inline uint32_t table_buried(const struct table *t)
{
	return t->tombstone_last - t->tombstone_first;
}

void table_check(const struct table *t);

#endif
