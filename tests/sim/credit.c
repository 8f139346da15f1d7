#include "tests/sim/credit.h"

#include <assert.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/call/bank.h"
#include "core/call/charge.h"
#include "core/call/purse.h"

#define ACCOUNTS_MAX 4096 /* ids of a process */

struct credit {
	int64_t on_way[ACCOUNTS_MAX]; /* negative: taken by a shard, and the bank has yet to hear of it */
	unsigned notes[ACCOUNTS_MAX]; /* on their way */
};

struct credit *credit_create(struct sim *sim)
{
	return sim_alloc(sim, sizeof(struct credit));
}

void credit_note(struct sim *sim, const struct note *note, bool sent)
{
	if (!credit_note_is(note))
		return;
	uint32_t id = (uint32_t)note->a;
	assert(id < ACCOUNTS_MAX);
	sim->credit->notes[id] += sent ? 1u : -1u;
	sim->credit->on_way[id] += sent ? credit_note_amount(note) : -credit_note_amount(note);
}

static const struct bank *bank_anywhere(const struct sim *sim, uint32_t id)
{
	const struct shard *home = sim->shards[id % sim->shard_count].shard;
	return bank_of(home, id);
}

static void add_reserved(const struct shard *s, int64_t *held)
{
	for (uint32_t i = pool_next_used(&s->charges, 0); i != POOL_NONE; i = pool_next_used(&s->charges, i + 1)) {
		const struct charge *charge = pool_at(&s->charges, i);
		assert(charge->account_id < ACCOUNTS_MAX);
		held[charge->account_id] += charge->reserved_e8;
	}
}

void credit_check(struct sim *sim)
{
	int64_t held[ACCOUNTS_MAX] = { 0 };
	for (unsigned i = 0; i < sim->shard_count; i++)
		add_reserved(sim->shards[i].shard, held);
	for (uint32_t id = 1; id < gateway_id_end() && id < ACCOUNTS_MAX; id++) {
		const struct bank *b = bank_anywhere(sim, id);
		held[id] += sim->credit->on_way[id];
		for (unsigned i = 0; i < sim->shard_count; i++)
			held[id] += purse_of(sim->shards[i].shard, id)->idle_e8;
		if (held[id] != b->out_e8)
			sim_fail(sim, NULL, "credit-lost", "account %s: %lld are held, the bank gave out %lld",
				 gateway_name(id), (long long)held[id], (long long)b->out_e8);
	}
}

void credit_check_empty(struct sim *sim)
{
	credit_check(sim);
	for (uint32_t id = 1; id < gateway_id_end() && id < ACCOUNTS_MAX; id++) {
		int64_t idle = 0;
		for (unsigned i = 0; i < sim->shard_count; i++)
			idle += purse_of(sim->shards[i].shard, id)->idle_e8;
		if (bank_anywhere(sim, id)->out_e8 != idle)
			sim_fail(sim, NULL, "leak", "%lld of the credit of account %s is out at the end",
				 (long long)(bank_anywhere(sim, id)->out_e8 - idle), gateway_name(id));
	}
}

int64_t credit_balance_e8(const struct sim *sim, uint32_t account_id)
{
	return bank_anywhere(sim, account_id)->balance_e8;
}

int64_t credit_left_e8(const struct sim *sim, uint32_t account_id)
{
	const struct bank *b = bank_anywhere(sim, account_id);
	int64_t left = b->overdraft_e8 == OVERDRAFT_UNLIMITED ? MONEY_MAX : b->balance_e8 + b->overdraft_e8 - b->out_e8;
	for (unsigned i = 0; i < sim->shard_count; i++)
		left += purse_of(sim->shards[i].shard, account_id)->idle_e8;
	return left;
}

bool credit_is_moving(const struct sim *sim, uint32_t account_id)
{
	return sim->credit->notes[account_id] > 0;
}
