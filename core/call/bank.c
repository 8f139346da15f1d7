#include "core/call/bank.h"

#include <assert.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/call/purse.h"

#define LEND_TIMES  8 /* a shard that asks while there is plenty gets so many times more, */
#define LEND_SHARE  4 /* of what its share would be at most such a part */
#define PLENTY_LEFT 8 /* there is plenty if every shard could have so many times more */

static_assert(CONFIG_WORKERS_MAX <= 64, "shards are bits of 64");

static size_t bank_bytes(unsigned shard_count)
{
	return sizeof(struct bank) + shard_count * sizeof(struct bank_ask);
}

size_t bank_bytes_all(unsigned shard_count)
{
	return (LINES_MAX / shard_count + 1) * bank_bytes(shard_count);
}

struct bank *bank_of(const struct shard *s, uint32_t account_id)
{
	assert(account_id < LINES_MAX && bank_is_here(s, account_id));
	return (struct bank *)(void *)(s->banks + account_id / s->shard_count * bank_bytes(s->shard_count));
}

static uint64_t bit(unsigned shard)
{
	return UINT64_C(1) << shard;
}

/* ---- what is there ---- */

static int64_t free_e8(const struct bank *b)
{
	if (b->overdraft_e8 == OVERDRAFT_UNLIMITED)
		return MONEY_MAX;
	__int128 left = (__int128)b->balance_e8 + b->overdraft_e8 - b->out_e8; /* of a ledger that holds anything */
	return left > MONEY_MAX ? MONEY_MAX : left < -MONEY_MAX ? -MONEY_MAX : (int64_t)left;
}

/* Up to here an amount is small beside what is free. */
static int64_t plenty_e8(const struct shard *s, const struct bank *b)
{
	return free_e8(b) / (PLENTY_LEFT * s->shard_count);
}

static bool is_plenty(const struct shard *s, const struct bank *b, int64_t amount_e8)
{
	return plenty_e8(s, b) >= amount_e8;
}

bool bank_has_plenty(const struct shard *s, uint32_t account_id, int64_t amount_e8)
{
	const struct bank *b = bank_of(s, account_id);
	return b->open && is_plenty(s, b, amount_e8);
}

static bool somebody_waits(const struct shard *s, const struct bank *b)
{
	for (unsigned i = 0; i < s->shard_count; i++)
		if (b->asks[i].want_e8)
			return true;
	return false;
}

int64_t bank_take_own(struct shard *s, uint32_t account_id, int64_t least_e8, int64_t most_e8)
{
	struct bank *b = bank_of(s, account_id);
	if (!b->open || free_e8(b) < least_e8 || somebody_waits(s, b))
		return 0;
	int64_t amount = is_plenty(s, b, most_e8) ? most_e8 : least_e8;
	b->out_e8 += amount;
	return amount;
}

/* ---- answers ---- */

static void answer(struct shard *s, unsigned to, const struct credit_answer *answer)
{
	if (to == s->shard) {
		purse_answered(s, answer);
		return;
	}
	struct note note = credit_answer_note(s->shard, answer);
	s->edge.post(s->edge.context, to, &note);
}

/* Over and above what is granted: only while nobody else waits, and nothing that the shard is just giving back. */
static int64_t to_lend(const struct shard *s, const struct bank *b, unsigned shard, int64_t want_e8)
{
	int64_t share = free_e8(b) / (LEND_SHARE * s->shard_count);
	if (shard == s->shard || b->recalled & bit(shard) || b->overdraft_e8 == OVERDRAFT_UNLIMITED ||
	    !is_plenty(s, b, want_e8) || somebody_waits(s, b))
		return 0;
	return want_e8 > share / LEND_TIMES ? share : LEND_TIMES * want_e8;
}

/* A shard that once had plenty asks for portions of ten seconds.  Of what is scarce it gets the least that helps
 * anybody, and asks again for the rest: else one call would have what the others need for their next increments. */
static int64_t part_of(const struct shard *s, const struct bank *b, const struct bank_ask *ask)
{
	int64_t part = plenty_e8(s, b);
	if (part < ask->least_e8)
		part = ask->least_e8;
	return part < ask->want_e8 ? part : ask->want_e8;
}

static void grant(struct shard *s, uint32_t account_id, struct bank *b, unsigned shard)
{
	struct bank_ask ask = b->asks[shard];
	int64_t amount = part_of(s, b, &ask);
	b->asks[shard].want_e8 = 0;
	b->out_e8 += amount;
	int64_t lent = to_lend(s, b, shard, ask.want_e8);
	b->out_e8 += lent;
	if (shard != s->shard && (lent || amount < ask.want_e8)) /* of less than it wants it may not need all */
		b->lenders |= bit(shard);
	answer(s, shard,
	       &(struct credit_answer){
		       .account_id = account_id, .turn = ask.turn, .lends = lent > 0, .amount_e8 = amount + lent });
}

static void refuse(struct shard *s, uint32_t account_id, struct bank *b, unsigned shard)
{
	b->asks[shard].want_e8 = 0;
	answer(s, shard,
	       &(struct credit_answer){ .account_id = account_id, .turn = b->asks[shard].turn, .refused = true });
}

static void recall(struct shard *s, uint32_t account_id, struct bank *b)
{
	struct note note = { .kind = NOTE_CREDIT_RECALL, .from = s->shard, .a = account_id };
	uint64_t ask = b->lenders & ~b->recalled;
	b->recalled = b->lenders;
	for (; ask; ask &= ask - 1) {
		stat_add(&s->stats->credit_recalls, 1);
		s->edge.post(s->edge.context, (unsigned)__builtin_ctzll(ask), &note);
	}
}

enum wish { WISH_SERVED, WISH_REFUSED };

/* The next shard that can be served; or that can be told that it cannot.  shard_count: none. */
static unsigned next_shard(const struct shard *s, const struct bank *b, enum wish wish)
{
	for (unsigned i = 0; i < s->shard_count; i++) {
		unsigned shard = (b->turn + i) % s->shard_count;
		const struct bank_ask *ask = &b->asks[shard];
		if (ask->want_e8 && (wish == WISH_SERVED ? free_e8(b) >= ask->least_e8 : ask->refusable))
			return shard;
	}
	return s->shard_count;
}

/* Answers one shard; false: nobody can be answered now.  A call of this shard that is answered may end at once, and ask
 * or give back something by that, so nothing is remembered from one to the next. */
static bool serve_one(struct shard *s, uint32_t account_id, struct bank *b)
{
	unsigned shard = next_shard(s, b, WISH_SERVED);
	if (shard < s->shard_count) {
		b->turn = (uint16_t)((shard + 1) % s->shard_count);
		grant(s, account_id, b, shard);
		return true;
	}
	if (!somebody_waits(s, b))
		return false;
	if (b->lenders) {
		recall(s, account_id, b);
		return false;
	}
	shard = next_shard(s, b, WISH_REFUSED);
	if (shard < s->shard_count)
		refuse(s, account_id, b, shard);
	return shard < s->shard_count;
}

static void serve(struct shard *s, uint32_t account_id, struct bank *b)
{
	if (b->serving || !b->open)
		return;
	b->serving = true;
	while (serve_one(s, account_id, b))
		;
	if (free_e8(b) < 0) /* lowered, or a forced debit: what is idle is not there any more */
		recall(s, account_id, b);
	b->serving = false;
}

/* ---- what comes in ---- */

static void move(int64_t *balance_e8, int64_t by_e8)
{
	if (__builtin_add_overflow(*balance_e8, by_e8, balance_e8)) /* as the ledger does */
		*balance_e8 = by_e8 > 0 ? INT64_MAX : INT64_MIN;
}

void bank_asked(struct shard *s, unsigned from, const struct credit_ask *ask)
{
	struct bank *b = bank_of(s, ask->account_id);
	assert(ask->want_e8 >= 0 && (!ask->want_e8 || (ask->least_e8 > 0 && ask->least_e8 <= ask->want_e8)));
	b->asks[from] = (struct bank_ask){
		.least_e8 = ask->least_e8, .want_e8 = ask->want_e8, .turn = ask->turn, .refusable = ask->refusable
	};
	serve(s, ask->account_id, b);
}

void bank_returned(struct shard *s, unsigned from, const struct credit_return *back)
{
	struct bank *b = bank_of(s, back->account_id);
	move(&b->balance_e8, -back->spent_e8);
	b->out_e8 -= back->released_e8;
	if (back->recalled) {
		assert(b->recalled & bit(from));
		b->recalled &= ~bit(from);
		b->lenders &= ~bit(from);
	}
	serve(s, back->account_id, b);
}

void bank_credit(struct shard *s, uint32_t account_id, int64_t amount_e8, uint32_t generation)
{
	if (!account_id || account_id >= LINES_MAX || !bank_is_here(s, account_id))
		return;
	struct bank *b = bank_of(s, account_id);
	if (!b->open || b->tariff_generation > generation)
		return;
	move(&b->balance_e8, amount_e8);
	serve(s, account_id, b);
}

void bank_configured(struct shard *s)
{
	uint32_t count = s->config->tariff ? tariff_account_count(s->config->tariff) : 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct account *account = tariff_account_at(s->config->tariff, i);
		if (account->id >= LINES_MAX || !bank_is_here(s, account->id))
			continue;
		struct bank *b = bank_of(s, account->id);
		if (!b->open) { /* a shard that has the tariff already may have told of fees */
			move(&b->balance_e8, account->balance_e8);
			b->tariff_generation = s->config->tariff_generation;
		}
		b->overdraft_e8 = account->overdraft_e8;
		b->open = true;
		serve(s, account->id, b);
	}
}

/* ---- the checker ---- */

void bank_check(const struct shard *s)
{
	for (uint32_t id = s->shard; id < gateway_id_end() && id < LINES_MAX; id += s->shard_count) {
		const struct bank *b = bank_of(s, id);
		assert(!b->serving && !(b->recalled & ~b->lenders));
		if (!b->open)
			continue;
		assert(next_shard(s, b, WISH_SERVED) == s->shard_count);
		assert(!somebody_waits(s, b) || b->recalled == b->lenders);
		assert(b->lenders || next_shard(s, b, WISH_REFUSED) == s->shard_count);
	}
}
