/* What others may see of a shard: its gauges, and the checker that tests and the simulation call. */
#include <assert.h>
#include <stdlib.h>

#include "core/call/admission.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/check.h"
#include "core/call/home.h"
#include "core/call/leg.h"
#include "core/call/offer.h"
#include "core/call/relay.h"
#include "core/call/state.h"

void shard_publish_stats(struct shard *s)
{
	struct shard_stats *st = s->stats;
	stat_set(&st->timers_armed, s->wheel.armed);
	stat_set(&st->queue_age_us, s->shed.longest_ns / 1000);
	s->shed.longest_ns = 0;
	stat_set(&st->cdr_waiting, s->backlog_count);
	stat_set(&st->pool_call_used, s->calls.used);
	stat_set(&st->pool_call_size, s->room);
	stat_set(&st->pool_leg_used, s->legs.used);
	stat_set(&st->pool_leg_size, s->legs.size);
	stat_set(&st->pool_attempt_used, s->attempts.used);
	stat_set(&st->pool_attempt_size, s->attempts.size);
	stat_set(&st->pool_transaction_used, s->transactions.used);
	stat_set(&st->pool_transaction_size, s->transactions.size);
	stat_set(&st->pool_charge_used, s->charges.used);
	stat_set(&st->pool_charge_size, s->charges.size);
	stat_set(&st->pool_body_used, s->bodies_used);
	stat_set(&st->pool_body_size, s->bodies_max);
	stat_set(&st->pool_tombstone_used, table_buried(&s->table));
	stat_set(&st->pool_tombstone_size, s->table.tombstone_size);
	stat_set(&st->pool_text_used, s->texts.used_bytes);
	stat_set(&st->pool_text_size, (uint64_t)s->texts.page_count * TEXT_PAGE);
}

static uint64_t earliest(const uint64_t *times, unsigned count)
{
	uint64_t at = UINT64_MAX;
	for (unsigned i = 0; i < count; i++)
		if (times[i] && times[i] < at)
			at = times[i];
	return at;
}

/* A record is on the wheel if, and only if, it waits for a moment (UINT64_MAX: it does not), and for that moment. */
static unsigned check_timer(const struct wheel_entry *timer, uint64_t at_ns)
{
	assert(wheel_armed(timer) == (at_ns != UINT64_MAX));
	if (!wheel_armed(timer))
		return 0;
	uint64_t tick = at_ns / WHEEL_TICK_NS + (at_ns % WHEEL_TICK_NS != 0);
	assert(wheel_deadline_ns(timer) == tick * WHEEL_TICK_NS);
	return 1;
}

/* Nothing is armed but what the records wait for. */
static void check_timers(const struct shard *s)
{
	uint64_t armed = 0;
	for (uint32_t i = pool_next_used(&s->calls, 0); i != POOL_NONE; i = pool_next_used(&s->calls, i + 1)) {
		const struct call *c = call_at(s, i);
		const struct setup *setup = setup_of(s, c);
		uint64_t times[] = { c->ends_ns,
				     setup ? setup->ends_ns : 0,
				     setup ? setup->ask_ends_ns : 0,
				     setup ? setup->rseq_resend_ns : 0,
				     setup ? setup->rseq_ends_ns : 0,
				     c->whole_waits ? carry_turn_ends_ns(s, c) : 0 };
		armed += check_timer(&c->timer, earliest(times, 6));
	}
	for (uint32_t i = pool_next_used(&s->legs, 0); i != POOL_NONE; i = pool_next_used(&s->legs, i + 1)) {
		const struct leg *l = leg_at(s, i);
		uint64_t times[] = { l->session.due_ns, l->probe_due_ns, l->offer_due_ns };
		armed += check_timer(&l->timer, l->call == POOL_NONE ? UINT64_MAX : earliest(times, 3));
	}
	for (uint32_t i = pool_next_used(&s->attempts, 0); i != POOL_NONE; i = pool_next_used(&s->attempts, i + 1)) {
		const struct attempt *a = attempt_at(s, i);
		armed += check_timer(&a->timer, a->wait_ends_ns[a->waiting]);
	}
	for (uint32_t i = pool_next_used(&s->transactions, 0); i != POOL_NONE;
	     i = pool_next_used(&s->transactions, i + 1)) {
		const struct transaction *tx = transaction_at(s, i);
		armed += check_timer(&tx->timer, earliest((uint64_t[]){ tx->resend_at_ns, tx->ends_at_ns }, 2));
	}
	armed += check_inspect(s) + charge_check(s);
	assert(armed == s->wheel.armed);
}

/* A request waits only for a leg that is taken, and is found when that is free. */
static void check_held(const struct shard *s, const struct leg *leg)
{
	unsigned held = 0;
	for (uint32_t t = leg->transactions; t != POOL_NONE; t = transaction_at(s, t)->next)
		held += offer_is_held(transaction_at(s, t));
	assert(held <= 1 && (!held || (leg->holds && leg->call != POOL_NONE)));
	if (!held)
		return;
	const struct leg *other = relay_other_leg(s, call_at(s, leg->call), leg);
	assert(!other || (offer_open(s, other, NULL) & OPEN_OFFERS)); /* none: its gateway has failed */
}

static void check_legs(const struct shard *s)
{
	uint32_t transactions = 0;
	for (uint32_t i = pool_next_used(&s->legs, 0); i != POOL_NONE; i = pool_next_used(&s->legs, i + 1)) {
		const struct leg *leg = leg_at(s, i);
		bool closing = leg->state == LEG_UP && carry_is_carried(s, leg); /* carry_close_later() */
		assert(leg->call != POOL_NONE || leg->transactions != POOL_NONE || closing);
		assert(leg->call == POOL_NONE || call_at(s, leg->call)->slot.used);
		struct ident id = leg_ident(s, leg);
		assert(leg_find(s, &id) == leg);
		assert(!leg->tagged || (leg->side == LEG_CALLER && leg_edition(s, leg)));
		for (uint32_t t = leg->transactions; t != POOL_NONE; t = transaction_at(s, t)->next) {
			const struct transaction *tx = transaction_at(s, t);
			assert(tx->slot.used && tx->leg == i && !tx->over && tx->state != TRANSACTION_NONE);
			/* One that nothing will ever end is a leak. */
			assert(wheel_armed(&tx->timer) || leg->call != POOL_NONE);
			transactions++;
		}
		check_held(s, leg);
	}
	assert(transactions == s->transactions.used);
}

static bool is_streamed(const struct transaction *tx)
{
	return (tx->kind == CLIENT || tx->kind == INVITE_CLIENT) && flow_is_reliable(&tx->flow);
}

static void check_streamed(const struct shard *s)
{
	uint32_t listed = 0, streamed = 0, previous = POOL_NONE;
	for (uint32_t i = s->streamed; i != POOL_NONE; i = transaction_at(s, i)->stream_next, listed++) {
		assert(transaction_at(s, i)->slot.used && is_streamed(transaction_at(s, i)));
		assert(transaction_at(s, i)->stream_previous == previous);
		previous = i;
	}
	for (uint32_t i = pool_next_used(&s->transactions, 0); i != POOL_NONE;
	     i = pool_next_used(&s->transactions, i + 1))
		streamed += is_streamed(transaction_at(s, i));
	assert(listed == streamed);
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
		const struct setup *kept = setup_of(s, call);
		assert(!attempt || (attempt->call == i && attempt->address < ROUTING_ADDRESSES_MAX));
		assert(!kept || kept->switches <= kept->attempts_count);
		assert((call->setup != POOL_NONE) == (call->facts == TEXT_NONE) &&
		       (call->setup != POOL_NONE || call->state == CALL_UP));
		assert(!call->whole_waits || call->changed & 1u << CARRY_WHOLE);
		records += call->setup != POOL_NONE;
		*(call->connect_ns ? &active : &setup) += 1;
	}
	assert(records == s->setups.used && active == s->stats->calls_active && setup == s->stats->calls_setup);
}

/* What the records say of each gateway: calls that count on it, calls that wait for it. */
struct uses {
	uint32_t calls, waiting;
};

static void count_uses(const struct shard *s, struct uses *uses)
{
	for (uint32_t i = pool_next_used(&s->calls, 0); i != POOL_NONE; i = pool_next_used(&s->calls, i + 1)) {
		const struct call *call = call_at(s, i);
		const struct setup *setup = setup_of(s, call);
		const struct attempt *attempt = attempt_under_way(s, call);
		uses[call->mapping_id].calls += call->mapping_line;
		uses[call->routing_id].calls += call->routing_line;
		if (attempt)
			uses[attempt->routing_id].calls++;
		if (setup && setup->asked != LINE_NONE && setup->asked != LINE_CREDIT)
			uses[setup->asked_id].waiting++;
	}
}

static void check_queue(const struct shard *s, uint32_t id, const struct lease *lease, uint32_t waiting)
{
	uint32_t seen = 0, previous = 0;
	for (uint32_t link = lease->first; link; seen++) {
		const struct setup *setup = setup_of(s, call_at(s, link - 1));
		assert(setup && setup->asked != LINE_NONE && setup->asked_id == id && setup->ask_previous == previous);
		previous = link;
		link = setup->ask_next;
	}
	assert(previous == lease->last && seen == lease->waiting && seen == waiting);
}

/* Nobody waits that will not get an answer, and nothing is kept that the home could not have back. */
static void check_account(const struct shard *s, uint32_t id, const struct lease *lease)
{
	const struct home *h = home_of(s, id);
	uint32_t waiting = 0;
	for (unsigned i = 0; i < s->shard_count; i++)
		waiting += h->wanted[i];
	assert(waiting == h->waiting && h->wanted[s->shard] == lease->waiting);
	assert(!h->serving && !(h->recalled & ~h->lenders));
	assert(!waiting || h->recalled || h->refusing || s->generation_of_all < h->since);
	assert(!lease->idle && !lease->starts && !lease->lends && !lease->asked);
}

static void check_limits(const struct shard *s)
{
	uint32_t end = gateway_id_end(); /* calls outlive their gateways */
	assert((s->calls.used <= s->room || s->carry->taken) && s->room <= s->calls.size);
	struct uses *uses = calloc(end, sizeof *uses);
	assert(uses);
	count_uses(s, uses);
	for (uint32_t id = 1; id < end; id++) {
		const struct lease *lease = admission_lease(s, id);
		assert(stat_get(&s->tally[id].calls) == uses[id].calls);
		check_queue(s, id, lease, uses[id].waiting);
		if (home_is_here(s, id))
			check_account(s, id, lease);
		else
			assert((!lease->waiting || lease->asked) && (lease->lends || !(lease->idle | lease->starts)));
	}
	free(uses);
}

void shard_check(const struct shard *s)
{
	assert(s->over_transactions == POOL_NONE && s->over_legs == POOL_NONE && s->over_calls == POOL_NONE);
	pool_check(&s->calls);
	pool_check(&s->setups);
	pool_check(&s->legs);
	pool_check(&s->attempts);
	pool_check(&s->transactions);
	pool_check(&s->checks);
	assert(s->bodies_used <= s->bodies_max);
	text_check(&s->texts);
	table_check(&s->table);
	wheel_check(&s->wheel);
	check_legs(s);
	check_streamed(s);
	check_calls(s);
	carry_check(s);
	check_timers(s);
	check_limits(s);
}
