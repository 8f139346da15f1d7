/* A shard's memory, reserved once and given back piece by piece; and the few helpers of state.h that every module
 * needs. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/call/admission.h"
#include "core/call/bank.h"
#include "core/call/carry.h"
#include "core/call/check.h"
#include "core/call/choice.h"
#include "core/call/exchange.h"
#include "core/call/facts.h"
#include "core/call/home.h"
#include "core/call/leg.h"
#include "core/call/purse.h"
#include "core/call/rest.h"
#include "core/call/room.h"
#include "core/call/stranger.h"
#include "core/config/rewrite.h"
#include "core/siphash.h"

#define LEG_SPARE         16384u /* attempts under way and legs that wait for their transactions */
#define TRANSACTION_SPARE 65536u
#define TOMBSTONES_MIN    65536u
#define TEXT_SPARE_BYTES  (UINT64_C(64) << 20)
#define TEXT_CALL_BYTES   4096u /* both dialogs, numbers, two session bodies, kept messages */

static int create_tables(struct shard *s, uint32_t calls)
{
	uint32_t heads = 1024;
	int error;
	while (heads < calls && heads < 1u << 28)
		heads <<= 1;
	s->body_head_mask = heads - 1;
	s->bodies_max = 2 * calls + LEG_SPARE;
	s->backlog_size = (uint64_t)calls * BACKLOG_RECORD_MAX + 2 * CDR_BYTES_MAX;
	s->body_heads = memory_reserve((size_t)heads * sizeof *s->body_heads);
	s->leases = memory_reserve_sparse(LINES_MAX * sizeof *s->leases);
	s->limits = memory_reserve_sparse(LINES_MAX * sizeof *s->limits);
	s->homes = memory_reserve_sparse(home_bytes_all(s->shard_count));
	s->purses = memory_reserve_sparse(LINES_MAX * sizeof *s->purses);
	s->banks = memory_reserve_sparse(bank_bytes_all(s->shard_count));
	s->rests = memory_reserve_sparse(LINES_MAX * sizeof *s->rests);
	s->backlog = memory_reserve(s->backlog_size);
	s->memo = calloc(1, sizeof *s->memo);
	s->scratch = malloc(SIP_SCRATCH_BYTES);
	s->work = malloc(DATAGRAM_MAX);
	s->spare = malloc(DATAGRAM_MAX);
	s->rewrites = rewrite_room_create();
	s->ranking = choice_reserve();
	s->carry = carry_create(s->machine);
	s->strangers = malloc(sizeof *s->strangers);
	if (!s->body_heads || !s->leases || !s->limits || !s->homes || !s->purses || !s->banks || !s->rests ||
	    !s->backlog || !s->memo || !s->scratch || !s->work || !s->spare || !s->rewrites || !s->ranking ||
	    !s->carry || !s->strangers)
		return -ENOMEM;
	s->carry->key = carry_key_print(s);
	strangers_init(s->strangers, siphash13(s->key.k0, s->key.k1, "stranger 0", 10),
		       siphash13(s->key.k0, s->key.k1, "stranger 1", 10));
	s->memo->tokens[0].leg = s->memo->tokens[1].leg = POOL_NONE;
	uint64_t k0 = siphash13(s->key.k0, s->key.k1, "table 0", 7), k1 = siphash13(s->key.k0, s->key.k1, "table 1", 7);
	if ((error = table_create(&s->table, &s->transactions, 4 * calls + TOMBSTONES_MIN, k0, k1)))
		return error;
	return text_store_create(&s->texts, (uint64_t)calls * TEXT_CALL_BYTES + TEXT_SPARE_BYTES);
}

static int create_pools(struct shard *s, uint32_t calls)
{
	const struct {
		struct pool *pool;
		uint32_t size, item;
	} pools[] = {
		{ &s->calls, calls, sizeof(struct call) },
		{ &s->setups, calls, sizeof(struct setup) },
		{ &s->legs, 2 * calls + LEG_SPARE, sizeof(struct leg) },
		{ &s->attempts, calls, sizeof(struct attempt) },
		{ &s->transactions, 2 * calls + TRANSACTION_SPARE, sizeof(struct transaction) },
		{ &s->charges, calls, sizeof(struct charge) },
		{ &s->checks, CHECKS_MAX, sizeof(struct check) },
	};
	for (unsigned i = 0; i < sizeof pools / sizeof *pools; i++) {
		int error = pool_create(pools[i].pool, pools[i].size, pools[i].item);
		if (error)
			return error;
	}
	return create_tables(s, calls);
}

int shard_create(const struct shard_settings *settings, struct shard **ret_shard)
{
	struct shard *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	assert(settings->calls_max > 0 && settings->calls_max <= CONFIG_CALLS_MAX_MAX);
	s->config = settings->config;
	s->edge = settings->edge;
	s->stats = settings->stats;
	s->tallies = settings->tallies;
	s->tally = settings->tallies.books[settings->shard];
	s->qualities = settings->qualities;
	s->quality = settings->qualities.books[settings->shard];
	s->shard = settings->shard;
	s->shard_count = settings->shard_count;
	s->boot = settings->boot;
	s->calls_max = settings->calls_max;
	s->generation_of_all = settings->config->generation;
	for (unsigned i = 0; i < settings->shard_count; i++)
		s->generations[i] = s->generation_of_all;
	s->transaction_reserve = (2 * settings->calls_max + TRANSACTION_SPARE) / 16;
	s->random = settings->seed;
	s->now.now_ns = s->clock_ns = settings->now_ns;
	s->now.real_us = settings->now_us;
	s->machine = settings->machine;
	s->over_transactions = s->over_legs = s->over_calls = s->streamed = s->moved_leg = POOL_NONE;
	ident_key_init(&s->key, settings->secret, settings->config->node);
	wheel_init(&s->wheel, settings->now_ns);
	s->room = settings->calls_max;
	int error = create_pools(s, room_slots(settings->calls_max, settings->shard_count));
	if (error) {
		shard_destroy(s);
		return error;
	}
	shard_take_config(s);
	admission_begin(s);
	bank_configured(s);
	shard_publish_stats(s);
	*ret_shard = s;
	return 0;
}

void shard_destroy(struct shard *s)
{
	if (!s)
		return;
	carry_destroy(s);
	pool_destroy(&s->calls);
	pool_destroy(&s->setups);
	pool_destroy(&s->legs);
	pool_destroy(&s->attempts);
	pool_destroy(&s->transactions);
	pool_destroy(&s->charges);
	pool_destroy(&s->checks);
	table_destroy(&s->table);
	text_store_destroy(&s->texts);
	memory_release(s->body_heads, ((size_t)s->body_head_mask + 1) * sizeof *s->body_heads);
	memory_release(s->leases, LINES_MAX * sizeof *s->leases);
	memory_release(s->limits, LINES_MAX * sizeof *s->limits);
	memory_release(s->homes, home_bytes_all(s->shard_count));
	memory_release(s->purses, LINES_MAX * sizeof *s->purses);
	memory_release(s->banks, bank_bytes_all(s->shard_count));
	choice_release(s->ranking);
	memory_release(s->rests, LINES_MAX * sizeof *s->rests);
	memory_release(s->backlog, s->backlog_size);
	free(s->memo);
	free(s->scratch);
	free(s->work);
	free(s->spare);
	free(s->strangers);
	rewrite_room_free(s->rewrites);
	free(s);
}

/* ---- helpers of state.h ---- */

void shard_take_config(struct shard *s)
{
	const struct parameters *p = &s->config->parameters;
	quality_configure(s->quality, p->SS_GATEWAY_QUALITY_RESERVE_TIME,
			  p->SS_GATEWAY_QUALITY_CALCULATE ? p->SS_GATEWAY_QUALITY_RESERVE_SEPARATE : 0);
	check_configure(s);
	strangers_configure(s->strangers, p->RW_UNAUTHORIZED_RATE, p->RW_UNAUTHORIZED_RATE_ALL, s->shard_count);
}

uint64_t shard_random(struct shard *s)
{
	uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void shard_log(struct shard *s, int level, const char *format, ...)
{
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	s->edge.log(s->edge.context, level, line);
}

void datagram_begin(struct shard *s, struct builder *b)
{
	char *room = s->edge.lend(s->edge.context, DATAGRAM_MAX);
	build_begin(b, room ? room : s->spare, DATAGRAM_MAX);
}

bool datagram_send(struct shard *s, struct builder *b, const struct flow *to)
{
	s->unsent = b->start == s->spare;
	if (s->unsent)
		; /* the edge has counted what it could not lend */
	else if (b->overflow)
		s->edge.unlend(s->edge.context, b->start);
	else
		s->edge.send(s->edge.context, to, b->start, build_size(b));
	return !b->overflow;
}

void datagram_drop(struct shard *s, struct builder *b)
{
	if (b->start != s->spare)
		s->edge.unlend(s->edge.context, b->start);
}

void shard_settle(struct shard *s)
{
	s->moved_leg = POOL_NONE;
	carry_settle(s);
	choice_forget(s->ranking);
	while (s->over_transactions != POOL_NONE) {
		struct transaction *tx = transaction_at(s, s->over_transactions);
		s->over_transactions = tx->chain;
		exchange_give(s, tx);
	}
	while (s->over_legs != POOL_NONE) {
		struct leg *leg = leg_at(s, s->over_legs);
		s->over_legs = leg->slot.next_free;
		leg_give(s, leg);
	}
	while (s->over_calls != POOL_NONE) {
		struct call *call = call_at(s, s->over_calls);
		s->over_calls = call->slot.next_free;
		facts_give(s, call);
		pool_give(&s->calls, call_index(s, call));
	}
}
