#include "core/tally.h"

#include "core/pool.h"

#define BOOK_BYTES ((size_t)TALLY_GATEWAYS_MAX * sizeof(struct tally))

struct tally *tally_reserve(void)
{
	return memory_reserve_sparse(BOOK_BYTES);
}

void tally_release(struct tally *book)
{
	memory_release(book, BOOK_BYTES);
}

uint64_t tally_calls(const struct tallies *t, uint32_t gateway_id)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < t->shard_count; i++)
		sum += stat_get(&t->books[i][gateway_id].calls);
	return sum;
}

uint64_t tally_attempts(const struct tallies *t, uint32_t gateway_id)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < t->shard_count; i++)
		sum += stat_get(&t->books[i][gateway_id].attempts);
	return sum;
}

uint64_t tally_answered(const struct tallies *t, uint32_t gateway_id)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < t->shard_count; i++)
		sum += stat_get(&t->books[i][gateway_id].answered);
	return sum;
}
