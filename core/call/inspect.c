/* What others may see of a shard: its gauges, and the checker that tests and the simulation call. */
#include <assert.h>

#include "core/call/state.h"

void shard_publish_stats(struct shard *s)
{
	struct shard_stats *st = s->stats;
	stat_set(&st->timers_armed, s->wheel.armed);
	stat_set(&st->cdr_waiting, s->backlog_count);
	stat_set(&st->pool_call_used, s->calls.used);
	stat_set(&st->pool_call_size, s->calls_max);
	stat_set(&st->pool_leg_used, s->legs.used);
	stat_set(&st->pool_leg_size, s->legs.size);
	stat_set(&st->pool_attempt_used, s->attempts.used);
	stat_set(&st->pool_attempt_size, s->attempts.size);
	stat_set(&st->pool_transaction_used, s->transactions.used);
	stat_set(&st->pool_transaction_size, s->transactions.size);
	stat_set(&st->pool_body_used, s->bodies_used);
	stat_set(&st->pool_body_size, s->bodies_max);
	stat_set(&st->pool_tombstone_used, table_buried(&s->table));
	stat_set(&st->pool_tombstone_size, s->table.tombstone_size);
	stat_set(&st->pool_text_used, s->texts.used_bytes);
	stat_set(&st->pool_text_size, (uint64_t)s->texts.page_count * TEXT_PAGE);
}

static void check_legs(const struct shard *s)
{
	uint32_t transactions = 0;
	for (uint32_t i = pool_next_used(&s->legs, 0); i != POOL_NONE; i = pool_next_used(&s->legs, i + 1)) {
		const struct leg *leg = leg_at(s, i);
		assert(leg->call != POOL_NONE || leg->transactions != POOL_NONE);
		assert(leg->call == POOL_NONE || call_at(s, leg->call)->slot.used);
		for (uint32_t t = leg->transactions; t != POOL_NONE; t = transaction_at(s, t)->next) {
			const struct transaction *tx = transaction_at(s, t);
			assert(tx->slot.used && tx->leg == i && !tx->over && tx->state != TRANSACTION_NONE);
			/* One that nothing will ever end is a leak. */
			assert(wheel_armed(&tx->timer) || leg->call != POOL_NONE);
			transactions++;
		}
	}
	assert(transactions == s->transactions.used);
}

static void check_calls(const struct shard *s)
{
	uint64_t active = 0, setup = 0;
	uint32_t records = 0;
	for (uint32_t i = pool_next_used(&s->calls, 0); i != POOL_NONE; i = pool_next_used(&s->calls, i + 1)) {
		const struct call *call = call_at(s, i);
		assert(!call->over && leg_at(s, call->caller_leg)->call == i);
		assert((call->connect_ns != 0) == (call->callee_leg != POOL_NONE));
		assert(call->callee_leg == POOL_NONE || leg_at(s, call->callee_leg)->call == i);
		const struct attempt *attempt = attempt_under_way(s, call);
		assert(!attempt || attempt->call == i);
		assert((call->setup != POOL_NONE) == (call->facts == TEXT_NONE) &&
		       (call->setup != POOL_NONE || call->state == CALL_UP));
		records += call->setup != POOL_NONE;
		*(call->connect_ns ? &active : &setup) += 1;
	}
	assert(records == s->setups.used && active == s->stats->calls_active && setup == s->stats->calls_setup);
}

void shard_check(const struct shard *s)
{
	assert(s->over_transactions == POOL_NONE && s->over_legs == POOL_NONE && s->over_calls == POOL_NONE);
	pool_check(&s->calls);
	pool_check(&s->setups);
	pool_check(&s->legs);
	pool_check(&s->attempts);
	pool_check(&s->transactions);
	assert(s->bodies_used <= s->bodies_max);
	text_check(&s->texts);
	table_check(&s->table);
	wheel_check(&s->wheel);
	check_legs(s);
	check_calls(s);
}
