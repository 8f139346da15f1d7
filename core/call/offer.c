#include "core/call/offer.h"

#include <assert.h>

#include "core/call/body.h"
#include "core/call/early.h"
#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "core/call/refresh.h"
#include "core/call/relay.h"
#include "core/call/reply.h"

#define RETRY_422_MAX 3                    /* of one request */
#define NO_ROOM_NS    UINT64_C(1000000000) /* no transaction for an offer of ours: look again then */

/* ---- what is open ---- */

static unsigned open_of(const struct shard *s, const struct leg *leg, const struct transaction *tx)
{
	bool invite = tx->method == SIP_INVITE;
	bool ours = tx->kind == CLIENT || tx->kind == INVITE_CLIENT;
	if (tx->over)
		return 0;
	if (tx->method == SIP_PRACK && exchange_is_open(tx))
		return ours ? OPEN_PRACK : tx->offer != POOL_NONE ? OPEN_PEERS : 0;
	if (!invite && tx->method != SIP_UPDATE)
		return 0;
	if (tx->role == ROLE_SETUP && leg->state == LEG_EARLY && early_is_settled(s, leg))
		return 0; /* its offer has its answer */
	if (tx->kind == INVITE_SERVER && tx->state == TRANSACTION_ACCEPTED)
		return OPEN_UNACKED;
	if (tx->kind == INVITE_SERVER && tx->state == TRANSACTION_COMPLETED)
		return OPEN_FAILED;
	if (!exchange_is_open(tx))
		return 0;
	if (!ours)
		return OPEN_PEERS;
	/* A peer that has accepted a later INVITE has none before that open (14.2). */
	if (invite && tx->cseq <= leg->ack_cseq)
		return 0;
	if (tx->role == ROLE_REFRESH)
		return invite ? OPEN_REFRESH : OPEN_REFRESH_UPDATE;
	return OPEN_OURS;
}

unsigned offer_open(const struct shard *s, const struct leg *leg, const struct transaction *except)
{
	unsigned open = leg->ack_wanted ? OPEN_OURS : 0;
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next)
		if (transaction_at(s, i) != except)
			open |= open_of(s, leg, transaction_at(s, i));
	return open;
}

uint64_t offer_glare_wait_ns(struct shard *s, const struct leg *leg)
{
	uint64_t steps = leg->side == LEG_CALLEE ? 210 + shard_random(s) % 191 : shard_random(s) % 201;
	return steps * UINT64_C(10000000);
}

/* ---- requests that wait ---- */

static uint64_t hold_max_ns(const struct shard *s, const struct transaction *tx)
{
	return exchange_64t1_ns(s) / (tx->kind == INVITE_SERVER ? 1 : 8);
}

bool offer_is_held(const struct transaction *tx)
{
	return tx->held && exchange_is_open(tx);
}

uint64_t offer_held_since_ns(const struct shard *s, const struct transaction *tx)
{
	assert(offer_is_held(tx) && tx->ends_at_ns);
	return tx->ends_at_ns - hold_max_ns(s, tx);
}

void offer_hold(struct shard *s, struct leg *leg, struct transaction *tx)
{
	assert(tx->kind == INVITE_SERVER || tx->kind == SERVER);
	tx->held = true;
	leg->holds = true;
	exchange_end_at(s, tx, s->now.now_ns + hold_max_ns(s, tx));
}

void offer_hold_due(struct shard *s, struct transaction *tx)
{
	if (s->now.now_ns < tx->ends_at_ns)
		exchange_end_at(s, tx, tx->ends_at_ns);
	else if (tx->kind == INVITE_SERVER)
		exchange_reply(s, tx, 491, BYTES_NONE);
	else
		relay_reply_busy(s, tx);
}

static struct transaction *find_held(const struct shard *s, const struct leg *leg)
{
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next)
		if (offer_is_held(transaction_at(s, i)))
			return transaction_at(s, i);
	return NULL;
}

static void release(struct shard *s, struct leg *leg, const struct leg *other)
{
	struct transaction *tx = find_held(s, leg);
	if (tx && (offer_open(s, other, NULL) & OPEN_OFFERS))
		return;
	leg->holds = false;
	if (tx)
		relay_pass_held(s, leg, tx);
}

/* ---- telling one side what a refresh of the other brought ---- */

static void send_offer(struct shard *s, struct leg *leg, uint32_t body, unsigned tries_422)
{
	struct builder b;
	struct transaction *tx = leg_request(s, leg, SIP_INVITE, ROLE_OFFER, 70, &b);
	if (!tx) {
		leg->offer_due_ns = s->now.now_ns + NO_ROOM_NS;
		refresh_arm(s, leg);
		return;
	}
	tx->tries_422 = (uint8_t)tries_422;
	tx->offer = body_share(s, body);
	leg_build_contact(s, &b, leg);
	build_text(&b, ALLOW_LINE);
	refresh_build_request(s, &b, leg, tx);
	body_build(s, &b, body);
	exchange_send(s, tx, &b);
}

static void tell(struct shard *s, struct leg *leg)
{
	const struct leg *other = relay_other_leg(s, call_at(s, leg->call), leg);
	bool told =
		other->body_in == POOL_NONE || other->body_in == leg->body_out; /* by an offer of that side itself */
	bool busy = (offer_open(s, leg, NULL) & OPEN_OFFERS) != 0;
	leg->offer_due_ns = busy && !told ? UINT64_MAX : 0;
	if (!told && !busy)
		send_offer(s, leg, other->body_in, 0);
	refresh_arm(s, leg);
}

void offer_tell_other(struct shard *s, struct leg *leg)
{
	struct leg *other = relay_other_leg(s, call_at(s, leg->call), leg);
	if (other)
		tell(s, other);
}

void offer_tell_due(struct shard *s, struct leg *leg)
{
	if (leg->offer_due_ns && leg->offer_due_ns <= s->now.now_ns)
		tell(s, leg);
}

void offer_refused(struct shard *s, struct leg *leg, const struct transaction *tx, const struct sip_message *m)
{
	struct session_timer_headers headers;
	session_timer_read(m, &headers);
	if (m->status == 491) {
		leg->offer_due_ns = s->now.now_ns + offer_glare_wait_ns(s, leg);
		refresh_arm(s, leg);
	} else if (m->status == 422 && tx->tries_422 < RETRY_422_MAX &&
		   session_timer_too_small(&leg->session, &headers)) {
		send_offer(s, leg, tx->offer, tx->tries_422 + 1u);
	}
}

/* ---- when something ended ---- */

void offer_settle(struct shard *s, struct call *call)
{
	struct leg *caller = leg_at(s, call->caller_leg), *legs[2] = { caller, relay_other_leg(s, call, caller) };
	for (unsigned i = 0; i < 2 && legs[1]; i++)
		if (legs[i]->holds)
			release(s, legs[i], legs[!i]);
	for (unsigned i = 0; i < 2 && legs[1]; i++)
		if (legs[i]->offer_due_ns == UINT64_MAX)
			tell(s, legs[i]);
	for (unsigned i = 0; i < 2 && legs[1]; i++)
		if (legs[i]->last_waits)
			refresh_settle(s, legs[i]);
}
