#include "core/call/home.h"

#include <assert.h>

#include "core/call/admission.h"

#define PORTION_MAX 64u
#define NO_LIMIT    UINT32_MAX

static_assert(CONFIG_WORKERS_MAX <= 64, "shards are bits of 64");

/* Of one account. */
static size_t home_bytes(unsigned shard_count)
{
	size_t size = sizeof(struct home) + shard_count * sizeof(uint32_t);
	return (size + 7) & ~(size_t)7;
}

size_t home_bytes_all(unsigned shard_count)
{
	return (LINES_MAX / shard_count + 1) * home_bytes(shard_count);
}

struct home *home_of(const struct shard *s, uint32_t gateway_id)
{
	assert(gateway_id < LINES_MAX && home_is_here(s, gateway_id));
	return (struct home *)(void *)(s->homes + gateway_id / s->shard_count * home_bytes(s->shard_count));
}

static uint64_t bit(unsigned shard)
{
	return UINT64_C(1) << shard;
}

uint32_t home_portion(const struct shard *s, uint32_t limit)
{
	uint32_t portion = limit / (4u * s->shard_count);
	if (limit <= 4u * s->shard_count)
		return 0;
	return portion < PORTION_MAX ? portion : PORTION_MAX;
}

/* ---- what is left ---- */

static uint32_t lines_left(const struct home *h, const struct gateway_limits *limits)
{
	if (!limits->capacity)
		return NO_LIMIT;
	return limits->capacity > h->out ? limits->capacity - h->out : 0;
}

static uint32_t starts_left(const struct shard *s, const struct home *h, const struct gateway_limits *limits)
{
	if (!limits->rate_limit)
		return NO_LIMIT;
	if (s->now.now_ns >= h->second_ends_ns)
		return limits->rate_limit; /* another second may begin */
	return limits->rate_limit > h->spent ? limits->rate_limit - h->spent : 0;
}

/* Whether a shard's calls need lines: other shards say so when they ask, as their configuration may be another. */
static bool needs_lines(const struct shard *s, const struct home *h, const struct gateway_limits *limits,
			unsigned shard)
{
	return shard == s->shard ? limits->capacity > 0 : h->with_lines & bit(shard);
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t left_for(const struct shard *s, const struct home *h, const struct gateway_limits *limits,
			 bool with_lines)
{
	uint32_t starts = starts_left(s, h, limits);
	return with_lines ? least(starts, lines_left(h, limits)) : starts;
}

static void take(struct shard *s, struct home *h, const struct gateway_limits *limits, bool with_lines, uint32_t n)
{
	if (with_lines)
		h->out += n;
	if (!limits->rate_limit)
		return;
	if (s->now.now_ns >= h->second_ends_ns) {
		h->second_ends_ns = s->now.now_ns + seconds_ns(1);
		h->spent = 0;
	}
	h->spent += n;
}

/* What a shard gets over and above: only while there is plenty, and nothing that it is just giving back. */
static uint32_t to_lend(const struct shard *s, const struct home *h, const struct gateway_limits *limits,
			unsigned shard, bool with_lines)
{
	uint32_t lend = NO_LIMIT, share = 2u * s->shard_count;
	if (shard == s->shard || h->waiting || (h->recalled & bit(shard)) || (limits->capacity && !with_lines))
		return 0;
	if (limits->capacity)
		lend = least(home_portion(s, limits->capacity), lines_left(h, limits) / share);
	if (limits->rate_limit)
		lend = least(lend, least(home_portion(s, limits->rate_limit), starts_left(s, h, limits) / share));
	return lend == NO_LIMIT ? 0 : lend;
}

/* ---- answers ---- */

static void answer(struct shard *s, unsigned to, const struct limit_answer *answer)
{
	struct note note = limit_answer_note(s->shard, answer);
	s->edge.post(s->edge.context, to, &note);
}

static void grant(struct shard *s, uint32_t id, struct home *h, const struct gateway_limits *limits, unsigned shard,
		  uint32_t n)
{
	bool with_lines = needs_lines(s, h, limits, shard);
	h->wanted[shard] -= n;
	h->waiting -= n;
	take(s, h, limits, with_lines, n);
	uint32_t lent = to_lend(s, h, limits, shard, with_lines);
	if (lent) {
		take(s, h, limits, with_lines, lent);
		h->lenders |= bit(shard);
	}
	if (shard == s->shard) {
		admission_own_answer(s, id, LINE_GRANTED);
		return;
	}
	answer(s, shard,
	       &(struct limit_answer){ .gateway_id = id,
				       .granted = (uint16_t)n,
				       .lent = (uint16_t)lent,
				       .with_lines = with_lines,
				       .capacity = limits->capacity,
				       .second_ends_ns = limits->rate_limit ? h->second_ends_ns : 0 });
}

static void refuse(struct shard *s, uint32_t id, struct home *h, const struct gateway_limits *limits, unsigned shard,
		   uint32_t n)
{
	bool by_rate = starts_left(s, h, limits) == 0;
	h->wanted[shard] -= n;
	h->waiting -= n;
	if (shard == s->shard) {
		admission_own_answer(s, id, by_rate ? LINE_TOO_FAST : LINE_FULL);
		return;
	}
	answer(s, shard,
	       &(struct limit_answer){
		       .gateway_id = id, .refused = (uint16_t)n, .by_rate = by_rate, .capacity = limits->capacity });
}

/* The next shard that waits and, if so asked, can be served; shard_count: none. */
static unsigned next_waiting(const struct shard *s, const struct home *h, const struct gateway_limits *limits,
			     bool can_be_served)
{
	for (unsigned i = 0; i < s->shard_count; i++) {
		unsigned shard = (h->turn + i) % s->shard_count;
		if (h->wanted[shard] && (!can_be_served || left_for(s, h, limits, needs_lines(s, h, limits, shard))))
			return shard;
	}
	return s->shard_count;
}

static void recall(struct shard *s, uint32_t id, struct home *h)
{
	struct note note = { .kind = NOTE_RECALL, .from = s->shard, .a = id };
	uint64_t ask = h->lenders & ~h->recalled;
	h->recalled = h->lenders;
	for (; ask; ask &= ask - 1) {
		stat_add(&s->stats->limit_recalls, 1);
		s->edge.post(s->edge.context, (unsigned)__builtin_ctzll(ask), &note);
	}
}

/* Those who wait are refused when the notes of this turn, or of the next as well, have been read. */
static void refuse_later(struct shard *s, uint32_t id, struct home *h, uint32_t turns)
{
	if (h->refusing)
		return;
	h->refusing = true;
	h->refuse_after = s->home_turns + turns;
	h->next_refusal = s->refusals;
	s->refusals = id;
}

/* Answers one of those that wait; false: nobody can be answered now.  A call of this shard that is answered may end at
 * once and give back a line, so nothing is remembered from one to the next. */
static bool serve_one(struct shard *s, uint32_t id, struct home *h, bool may_refuse)
{
	struct gateway_limits limits = config_limits(s->config, id);
	unsigned shard = next_waiting(s, h, &limits, true);
	if (shard < s->shard_count) {
		uint32_t left = left_for(s, h, &limits, needs_lines(s, h, &limits, shard));
		h->turn = (uint16_t)((shard + 1) % s->shard_count);
		grant(s, id, h, &limits, shard, shard == s->shard ? 1 : least(h->wanted[shard], left));
		return true;
	}
	if (h->lenders) {
		recall(s, id, h);
		return false;
	}
	if (!may_refuse && s->shard_count > 1) {
		refuse_later(s, id, h, 1);
		return false;
	}
	shard = next_waiting(s, h, &limits, false);
	refuse(s, id, h, &limits, shard, shard == s->shard ? 1 : h->wanted[shard]);
	return true;
}

/* Whether all shards have said what calls they have up. */
static bool is_settled(const struct shard *s, const struct home *h)
{
	return s->generation_of_all >= h->since;
}

static void serve(struct shard *s, uint32_t id, struct home *h, bool may_refuse)
{
	if (h->serving || !is_settled(s, h))
		return;
	h->serving = true;
	while (h->waiting && serve_one(s, id, h, may_refuse))
		;
	h->serving = false;
}

/* ---- what comes in ---- */

enum home_answer home_ask_own(struct shard *s, uint32_t id)
{
	struct home *h = home_of(s, id);
	struct gateway_limits limits = config_limits(s->config, id);
	bool with_lines = limits.capacity > 0;
	if (!h->waiting && is_settled(s, h)) {
		if (left_for(s, h, &limits, with_lines)) {
			take(s, h, &limits, with_lines, 1);
			return HOME_GRANTS;
		}
		if (!h->lenders && s->shard_count == 1)
			return starts_left(s, h, &limits) ? HOME_REFUSES_LINE : HOME_REFUSES_START;
		if (h->lenders)
			recall(s, id, h);
		else
			refuse_later(s, id, h, 0);
	}
	h->wanted[s->shard]++;
	h->waiting++;
	return HOME_WAITS;
}

void home_forget_own(struct shard *s, uint32_t id)
{
	struct home *h = home_of(s, id);
	assert(h->wanted[s->shard] > 0 && h->waiting > 0);
	h->wanted[s->shard]--;
	h->waiting--;
}

void home_asked(struct shard *s, unsigned from, const struct limit_ask *ask)
{
	struct home *h = home_of(s, ask->gateway_id);
	assert(!h->wanted[from]);
	if (!h->waiting)
		h->refuse_after = s->home_turns + 1; /* should it still be due for those who waited before */
	h->with_lines = ask->with_lines ? h->with_lines | bit(from) : h->with_lines & ~bit(from);
	h->wanted[from] += ask->calls;
	h->waiting += ask->calls;
	serve(s, ask->gateway_id, h, false);
}

void home_returned(struct shard *s, unsigned from, const struct limit_return *back, bool recalled)
{
	struct home *h = home_of(s, back->gateway_id);
	assert(h->out >= back->lines);
	h->out -= back->lines;
	if (back->starts && back->second_ends_ns == h->second_ends_ns && h->spent >= back->starts)
		h->spent -= back->starts;
	if (recalled) {
		assert(h->recalled & bit(from));
		h->recalled &= ~bit(from);
		h->lenders &= ~bit(from);
	}
	serve(s, back->gateway_id, h, false);
}

void home_generation_reached(struct shard *s)
{
	uint32_t end = s->config->gateway_end;
	for (uint32_t id = s->shard; id < end && id < LINES_MAX; id += s->shard_count)
		if (home_of(s, id)->waiting)
			serve(s, id, home_of(s, id), false);
}

void home_refuse_due(struct shard *s)
{
	uint32_t next = s->refusals;
	s->refusals = 0;
	s->home_turns++;
	while (next) {
		uint32_t id = next;
		struct home *h = home_of(s, id);
		uint32_t turns = h->refuse_after - s->home_turns + 1;
		next = h->next_refusal;
		h->refusing = false;
		if (turns)
			refuse_later(s, id, h, turns - 1);
		else
			serve(s, id, h, true);
	}
}
