/* What one shard counts of each gateway, by gateway id.  One shard writes, every thread reads (relaxed): shards weigh
 * gateways against each other by it, the control socket shows it.  Nothing is ever decided exactly by these figures;
 * capacity is (core/call/admission.h).  */
#ifndef RW_CORE_TALLY_H
#define RW_CORE_TALLY_H

#include <stdint.h>

#include "core/config/config.h"
#include "core/stats.h"

#define TALLY_GATEWAYS_MAX GATEWAY_IDS_MAX

struct tally {
	uint64_t calls;    /* now, in set-up or answered: of an MG from its admission, of an RG from its attempt */
	uint64_t attempts; /* so far: calls admitted of an MG, attempts made of an RG */
	uint64_t answered; /* of those */
	uint64_t rests_until_ns; /* RG: a Retry-After has all its addresses rest until then, of the common clock; the
				  * same in the book of every shard */
};

/* The books of all shards, by shard; each has TALLY_GATEWAYS_MAX entries, which take no memory until they are used. */
struct tallies {
	struct tally *const *books;
	unsigned shard_count;
};

/* Memory for one shard's book; NULL: the machine refuses.  tally_release() gives it back. */
struct tally *tally_reserve(void);
void tally_release(struct tally *book);

/* Sums over all shards. */
uint64_t tally_calls(const struct tallies *t, uint32_t gateway_id);
uint64_t tally_attempts(const struct tallies *t, uint32_t gateway_id);
uint64_t tally_answered(const struct tallies *t, uint32_t gateway_id);

#endif
