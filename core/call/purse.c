#include "core/call/purse.h"

#include <assert.h>

#include "billing/money.h"
#include "core/call/bank.h"
#include "core/call/charge.h"

struct purse *purse_of(const struct shard *s, uint32_t account_id)
{
	assert(account_id > 0 && account_id < LINES_MAX);
	return &s->purses[account_id];
}

/* ---- the queue of charges that wait ---- */

static void enqueue(struct shard *s, struct purse *p, struct charge *charge)
{
	uint32_t link = pool_index(&s->charges, charge) + 1;
	assert(!charge->waits && charge->least_e8 > 0 && charge->least_e8 <= charge->most_e8);
	charge->waits = true;
	charge->ask_turn = (uint16_t)(p->turn + 1);
	charge->previous = p->last;
	charge->next = 0;
	if (p->last)
		charge_at(s, p->last)->next = link;
	else
		p->first = link;
	p->last = link;
}

static void dequeue(struct shard *s, struct purse *p, struct charge *charge)
{
	assert(charge->waits);
	charge->waits = false;
	if (charge->previous)
		charge_at(s, charge->previous)->next = charge->next;
	else
		p->first = charge->next;
	if (charge->next)
		charge_at(s, charge->next)->previous = charge->previous;
	else
		p->last = charge->previous;
}

/* ---- to the bank ---- */

static void send_return(struct shard *s, const struct credit_return *back)
{
	if (bank_is_here(s, back->account_id)) {
		bank_returned(s, s->shard, back);
		return;
	}
	struct note note = credit_return_note(s->shard, back);
	s->edge.post(s->edge.context, bank_shard(s, back->account_id), &note);
}

static void give_idle(struct shard *s, uint32_t account_id, struct purse *p)
{
	struct credit_return back = { .account_id = account_id, .released_e8 = p->idle_e8 };
	p->idle_e8 = 0;
	if (back.released_e8)
		send_return(s, &back);
}

static void send_ask(struct shard *s, uint32_t account_id, struct purse *p)
{
	struct credit_ask ask = { .account_id = account_id,
				  .turn = ++p->turn,
				  .refusable = p->asked_refusable,
				  .least_e8 = p->asked_least_e8,
				  .want_e8 = p->asked_want_e8 };
	p->asked = ask.want_e8 > 0;
	if (bank_is_here(s, account_id)) {
		bank_asked(s, s->shard, &ask);
		return;
	}
	struct note note = credit_ask_note(s->shard, &ask);
	stat_add(&s->stats->credit_asks, 1);
	s->edge.post(s->edge.context, bank_shard(s, account_id), &note);
}

static void ask_for(struct purse *p, const struct charge *charge)
{
	if (charge->least_e8 < p->asked_least_e8)
		p->asked_least_e8 = charge->least_e8;
	p->asked_want_e8 =
		p->asked_want_e8 < MONEY_MAX - charge->most_e8 ? p->asked_want_e8 + charge->most_e8 : MONEY_MAX;
	p->asked_refusable |= charge_is_new(charge);
}

/* For all that wait; none: it takes back what it has asked. */
static void ask(struct shard *s, uint32_t account_id, struct purse *p)
{
	give_idle(s, account_id, p);
	p->asked_least_e8 = p->first ? INT64_MAX : 0;
	p->asked_want_e8 = 0;
	p->asked_refusable = false;
	for (const struct charge *charge = charge_at(s, p->first); charge; charge = charge_at(s, charge->next))
		ask_for(p, charge);
	send_ask(s, account_id, p);
}

/* ---- what calls want ---- */

bool purse_has_plenty(const struct shard *s, uint32_t account_id, int64_t amount_e8)
{
	if (bank_is_here(s, account_id))
		return bank_has_plenty(s, account_id, amount_e8);
	return purse_of(s, account_id)->lends;
}

int64_t purse_take(struct shard *s, uint32_t account_id, int64_t least_e8, int64_t most_e8)
{
	assert(least_e8 > 0 && least_e8 <= most_e8);
	if (bank_is_here(s, account_id))
		return bank_take_own(s, account_id, least_e8, most_e8);
	struct purse *p = purse_of(s, account_id);
	if (p->idle_e8 < most_e8)
		return 0;
	p->idle_e8 -= most_e8;
	return most_e8;
}

void purse_wait(struct shard *s, struct charge *charge)
{
	struct purse *p = purse_of(s, charge->account_id);
	enqueue(s, p, charge);
	if (!p->asked) {
		ask(s, charge->account_id, p);
	} else if (charge->least_e8 < p->asked_least_e8 || (charge_is_new(charge) && !p->asked_refusable)) {
		ask_for(p, charge); /* else it is asked for when the open ask is answered */
		send_ask(s, charge->account_id, p);
	}
}

void purse_forget(struct shard *s, struct charge *charge)
{
	struct purse *p = purse_of(s, charge->account_id);
	dequeue(s, p, charge);
	if (!p->first && p->asked)
		ask(s, charge->account_id, p);
}

void purse_settle(struct shard *s, uint32_t account_id, int64_t reserved_e8, int64_t fee_e8)
{
	struct purse *p = purse_of(s, account_id);
	struct credit_return back = { .account_id = account_id, .spent_e8 = fee_e8, .released_e8 = reserved_e8 };
	if (p->lends && !p->asked && fee_e8 >= 0 && reserved_e8 > fee_e8) {
		p->idle_e8 += reserved_e8 - fee_e8;
		back.released_e8 = fee_e8;
	}
	if (back.spent_e8 || back.released_e8)
		send_return(s, &back);
}

void purse_force(struct shard *s, uint32_t account_id, int64_t amount_e8)
{
	struct credit_return taken = { .account_id = account_id, .released_e8 = -amount_e8 };
	if (amount_e8)
		send_return(s, &taken);
}

/* ---- answers ---- */

/* A call that gets some may end at once, but no other that waits does. */
static void serve(struct shard *s, struct purse *p)
{
	uint32_t next;
	for (uint32_t link = p->first; link && p->idle_e8 > 0; link = next) {
		struct charge *charge = charge_at(s, link);
		next = charge->next;
		if (charge->least_e8 > p->idle_e8)
			continue;
		dequeue(s, p, charge);
		p->idle_e8 -= charge_take(s, charge, p->idle_e8);
		charge_granted(s, charge);
	}
}

static void refuse(struct shard *s, struct purse *p, uint16_t turn)
{
	uint32_t next;
	for (uint32_t link = p->first; link; link = next) {
		struct charge *charge = charge_at(s, link);
		next = charge->next;
		if (!charge_is_new(charge) || (int16_t)(charge->ask_turn - turn) > 0)
			continue;
		dequeue(s, p, charge);
		charge_refused(s, charge);
	}
}

void purse_answered(struct shard *s, const struct credit_answer *answer)
{
	struct purse *p = purse_of(s, answer->account_id);
	if (answer->turn == p->turn)
		p->asked = false;
	p->lends |= answer->lends;
	p->idle_e8 += answer->amount_e8;
	serve(s, p);
	if (answer->refused)
		refuse(s, p, answer->turn);
	if (p->first ? !p->asked : p->asked)
		ask(s, answer->account_id, p);
	else if (p->asked || !p->lends)
		give_idle(s, answer->account_id, p);
}

static void recalled(struct shard *s, uint32_t account_id, unsigned home)
{
	struct purse *p = purse_of(s, account_id);
	struct credit_return back = { .account_id = account_id, .recalled = true, .released_e8 = p->idle_e8 };
	struct note note = credit_return_note(s->shard, &back);
	p->idle_e8 = 0;
	p->lends = false;
	s->edge.post(s->edge.context, home, &note);
}

void purse_note(struct shard *s, const struct note *note)
{
	struct credit_ask asked = credit_ask_of(note);
	struct credit_answer answer = credit_answer_of(note);
	struct credit_return back = credit_return_of(note);
	switch ((enum credit_note_kind)note->kind) {
	case NOTE_CREDIT_ASK:
		bank_asked(s, note->from, &asked);
		break;
	case NOTE_CREDIT_ANSWER:
		purse_answered(s, &answer);
		break;
	case NOTE_CREDIT_RECALL:
		recalled(s, (uint32_t)note->a, note->from);
		break;
	case NOTE_CREDIT_RETURN:
		bank_returned(s, note->from, &back);
		break;
	}
}

/* ---- the checker ---- */

static void check_queue(const struct shard *s, uint32_t account_id, const struct purse *p)
{
	uint32_t previous = 0;
	for (uint32_t link = p->first; link;) {
		const struct charge *charge = charge_at(s, link);
		assert(charge->slot.used && charge->waits && charge->account_id == account_id);
		assert(charge->previous == previous);
		previous = link;
		link = charge->next;
	}
	assert(p->last == previous);
}

void purse_check(const struct shard *s)
{
	for (uint32_t id = 1; id < gateway_id_end() && id < LINES_MAX; id++) {
		const struct purse *p = purse_of(s, id);
		check_queue(s, id, p);
		assert(p->asked == (p->first != 0));
		assert(p->idle_e8 >= 0 && (!p->idle_e8 || (p->lends && !p->asked && !bank_is_here(s, id))));
		assert(!bank_is_here(s, id) || (p->asked == (bank_of(s, id)->asks[s->shard].want_e8 > 0) && !p->lends));
	}
}
