#include "core/call/choice.h"

#include <string.h>

#include "core/call/check.h"
#include "core/call/price.h"
#include "core/call/rest.h"
#include "sip/pack.h"

/* ---- candidates: one list a prefix ---- */

struct level {
	struct bytes number;
	const struct mapping_gateway *mapping;
	const struct routing_gateway *const *list; /* by priority, then name */
	uint32_t count;
	uint32_t length; /* of the prefix; before the first level CONFIG_PREFIX_MAX + 1 */
	bool last;       /* no shorter prefix follows */
	bool customer_asked;
	struct price customer; /* what the number costs the customer; looked up when a gateway has to earn something */
};

/* Figures and prices are looked up only where they decide. */
struct candidate {
	const struct routing_gateway *rg;
	uint64_t turn; /* ranked: place in its prefix' list, those of shorter prefixes behind */
	bool weighed, vendor_asked;
	struct price vendor;
	struct quality_asr asr; /* only of a mapping gateway that sorts by it */
	uint64_t calls, attempts;
};

static void begin_levels(const struct shard *s, const struct call *call, struct level *level)
{
	struct bytes numbers[CALL_NUMBERS];
	pack_read(text_get(&s->texts, setup_of(s, call)->numbers), numbers, CALL_NUMBERS);
	*level = (struct level){ .number = numbers[CALL_CALLEE],
				 .mapping = config_mapping(s->config, call->mapping_id),
				 .length = CONFIG_PREFIX_MAX + 1 };
	level->last = !level->mapping;
}

/* prefix_mode: the mapping gateway's word, else that of any gateway of the prefix, which may be the node's. */
static bool goes_on(const struct config *c, const struct level *level)
{
	if (level->mapping->prefix_mode != PREFIX_INHERIT)
		return level->mapping->prefix_mode == PREFIX_CONTINUE;
	for (uint32_t i = 0; i < level->count; i++) {
		enum prefix_mode own = level->list[i]->prefix_mode;
		if ((own == PREFIX_INHERIT ? c->prefix_mode : own) == PREFIX_CONTINUE)
			return true;
	}
	return false;
}

/* The next shorter prefix that gateways have; false: there is none, or it does not count. */
static bool next_level(const struct shard *s, struct level *level)
{
	if (level->last || level->length == 0)
		return false;
	level->count = config_route_find(s->config, level->number, level->length, &level->list, &level->length);
	if (level->count == 0)
		return false;
	level->last = !goes_on(s->config, level);
	return true;
}

/* ---- who may be tried ---- */

/* Ids in ascending order; those of a text lie anywhere. */
static uint32_t id_at(const void *ids, uint32_t place)
{
	uint32_t id;
	memcpy(&id, (const char *)ids + place * sizeof id, sizeof id);
	return id;
}

/* The place of the first that is not smaller: where `id` stands, or belongs. */
static uint32_t place_of(const void *ids, uint32_t count, uint32_t id)
{
	uint32_t from = 0, end = count;
	while (from < end) {
		uint32_t middle = from + (end - from) / 2;
		if (id_at(ids, middle) < id)
			from = middle + 1;
		else
			end = middle;
	}
	return from;
}

static bool has_id(const void *ids, uint32_t count, uint32_t id)
{
	uint32_t place = place_of(ids, count, id);
	return place < count && id_at(ids, place) == id;
}

static bool is_allowed(const struct mapping_gateway *mapping, uint32_t routing_id)
{
	return (!mapping->allow || has_id(mapping->allow, mapping->allow_count, routing_id)) &&
	       !has_id(mapping->deny, mapping->deny_count, routing_id);
}

static bool is_struck(const struct shard *s, const struct setup *setup, uint32_t routing_id)
{
	struct bytes struck = text_get(&s->texts, setup->struck);
	return has_id(struck.at, struck.size / (uint32_t)sizeof routing_id, routing_id);
}

static struct price vendor_price(const struct shard *s, const struct level *level, struct candidate *c)
{
	if (!c->vendor_asked)
		c->vendor = price_of(s, c->rg->vendor_account_id, level->number);
	c->vendor_asked = true;
	return c->vendor;
}

static struct price customer_price(const struct shard *s, struct level *level)
{
	if (!level->customer_asked)
		level->customer = price_of(s, level->mapping->account_id, level->number);
	level->customer_asked = true;
	return level->customer;
}

/* max_price, min_profit_percent. */
static bool is_worth_it(const struct shard *s, struct level *level, struct candidate *c)
{
	struct price customer = { PRICE_NONE, "" };
	if (!price_matters(c->rg))
		return true;
	if (c->rg->min_profit_percent)
		customer = customer_price(s, level);
	return price_allows(c->rg, vendor_price(s, level, c), customer);
}

static bool is_usable(const struct shard *s, const struct setup *setup, struct level *level, struct candidate *c)
{
	uint32_t id = c->rg->id;
	return is_allowed(level->mapping, id) && !is_struck(s, setup, id) && !check_all_down(s, id) &&
	       !rest_is_resting(s, id) && is_worth_it(s, level, c);
}

/* ---- who is preferred ---- */

static bool sorts_by(const struct mapping_gateway *mapping, enum sort_policy policy)
{
	return memchr(mapping->sort, (int)policy, mapping->sort_count) != NULL;
}

/* Only where there are two to choose from. */
static void weigh(const struct shard *s, const struct level *level, struct candidate *c)
{
	if (c->weighed)
		return;
	c->weighed = true;
	c->calls = tally_calls(&s->tallies, c->rg->id);
	c->attempts = tally_attempts(&s->tallies, c->rg->id);
	if (sorts_by(level->mapping, SORT_ASR))
		c->asr = quality_glance(&s->qualities, s->shard, s->now.now_ns, c->rg->id);
	if (c->rg->least_cost || sorts_by(level->mapping, SORT_PRICE))
		(void)vendor_price(s, level, c);
}

/* The sign of a - b. */
static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The one with the larger share is the smaller: it comes first. */
static int compare_asr(struct quality_asr a, struct quality_asr b)
{
	if (!a.attempts)
		a.answered = a.attempts = 1;
	if (!b.attempts)
		b.answered = b.attempts = 1;
	return compare(b.answered * a.attempts, a.answered * b.attempts);
}

/* calls/capacity, 0 being endless: of two finite ones exactly, by multiplication.  One call is a share of an endless
 * capacity that is above none and below that of one call in any other. */
static int compare_load(const struct candidate *a, const struct candidate *b)
{
	uint64_t capacity_a = a->rg->capacity, capacity_b = b->rg->capacity;
	if (capacity_a && capacity_b)
		return compare(a->calls * capacity_b, b->calls * capacity_a);
	if (capacity_a && a->calls)
		return 1;
	if (capacity_b && b->calls)
		return -1;
	return compare(a->calls, b->calls);
}

/* An unknown one is more than any. */
static int compare_prices(struct price a, struct price b)
{
	return compare((uint64_t)a.rate_e8, (uint64_t)b.rate_e8);
}

/* Those without least_cost stand behind, with those whose price is unknown: else who comes before whom could go round
 * in a circle. */
static int compare_cost(const struct candidate *a, const struct candidate *b)
{
	static const struct price none = { PRICE_NONE, "" };
	return compare_prices(a->rg->least_cost ? a->vendor : none, b->rg->least_cost ? b->vendor : none);
}

static int compare_policy(enum sort_policy policy, const struct candidate *a, const struct candidate *b)
{
	switch (policy) {
	case SORT_ASR:
		return compare_asr(a->asr, b->asr);
	case SORT_PRICE:
		return compare_prices(a->vendor, b->vendor);
	}
	return 0;
}

static bool is_better(const struct mapping_gateway *mapping, const struct candidate *a, const struct candidate *b)
{
	int order = 0;
	for (unsigned i = 0; order == 0 && i < mapping->sort_count; i++)
		order = compare_policy((enum sort_policy)mapping->sort[i], a, b);
	if (order == 0)
		order = compare_cost(a, b);
	if (order == 0)
		order = compare_load(a, b);
	if (order == 0)
		order = compare(a->attempts, b->attempts);
	return order < 0;
}

/* The best one of a list; only those of the first priority that has a usable one are weighed. */
static const struct routing_gateway *best_of(const struct shard *s, const struct setup *setup, struct level *level)
{
	struct candidate best = { 0 };
	for (uint32_t i = 0; i < level->count; i++) {
		struct candidate other = { .rg = level->list[i] };
		if (best.rg && other.rg->priority != best.rg->priority)
			break;
		if (!is_usable(s, setup, level, &other))
			continue;
		if (best.rg) {
			weigh(s, level, &best);
			weigh(s, level, &other);
		}
		if (!best.rg || is_better(level->mapping, &other, &best))
			best = other;
	}
	return best.rg;
}

static const struct routing_gateway *look(const struct shard *s, const struct call *call)
{
	struct level level;
	const struct routing_gateway *best = NULL;
	for (begin_levels(s, call, &level); !best && next_level(s, &level);)
		best = best_of(s, setup_of(s, call), &level);
	return best;
}

/* ---- one after another ---- */

/* A call that finds many gateways full in one input would look at all of them for each: after some looks they are put
 * into a heap once, as they stand, and taken from it.  Good for that call and that input. */
struct ranking {
	const struct call *owner; /* NULL: none */
	uint32_t looks;
	bool ranked;
	uint32_t count;
	struct candidate heap[LINES_MAX];
};

#define LOOKS_MAX 8

static bool comes_first(const struct mapping_gateway *mapping, const struct candidate *a, const struct candidate *b)
{
	bool same_list = a->turn >> 32 == b->turn >> 32;
	if (same_list && a->rg->priority == b->rg->priority) {
		if (is_better(mapping, a, b))
			return true;
		if (is_better(mapping, b, a))
			return false;
	}
	return a->turn < b->turn;
}

static void sift_down(const struct mapping_gateway *mapping, struct ranking *r, uint32_t at)
{
	struct candidate moved = r->heap[at];
	for (uint32_t child; (child = 2 * at + 1) < r->count; at = child) {
		if (child + 1 < r->count && comes_first(mapping, &r->heap[child + 1], &r->heap[child]))
			child++;
		if (!comes_first(mapping, &r->heap[child], &moved))
			break;
		r->heap[at] = r->heap[child];
	}
	r->heap[at] = moved;
}

static void rank(const struct shard *s, const struct call *call, struct ranking *r)
{
	struct level level;
	uint64_t list = 0;
	r->ranked = true;
	r->count = 0;
	for (begin_levels(s, call, &level); next_level(s, &level); list++)
		for (uint32_t i = 0; i < level.count && r->count < LINES_MAX; i++) {
			struct candidate *c = &r->heap[r->count];
			*c = (struct candidate){ .rg = level.list[i], .turn = list << 32 | i };
			if (!is_usable(s, setup_of(s, call), &level, c))
				continue;
			weigh(s, &level, c);
			r->count++;
		}
	for (uint32_t i = r->count / 2; i-- > 0;)
		sift_down(level.mapping, r, i);
}

static const struct routing_gateway *first_ranked(const struct shard *s, const struct call *call, struct ranking *r)
{
	const struct mapping_gateway *mapping = config_mapping(s->config, call->mapping_id);
	while (r->count && is_struck(s, setup_of(s, call), r->heap[0].rg->id)) {
		r->heap[0] = r->heap[--r->count];
		if (r->count)
			sift_down(mapping, r, 0);
	}
	return r->count ? r->heap[0].rg : NULL;
}

const struct routing_gateway *choice_next(const struct shard *s, const struct call *call)
{
	struct ranking *r = s->ranking;
	if (r->owner != call) {
		r->owner = call;
		r->looks = 0;
		r->ranked = false;
	}
	if (!r->ranked && ++r->looks <= LOOKS_MAX)
		return look(s, call);
	if (!r->ranked)
		rank(s, call, r);
	return first_ranked(s, call, r);
}

struct ranking *choice_reserve(void)
{
	return memory_reserve_sparse(sizeof(struct ranking));
}

void choice_release(struct ranking *ranking)
{
	memory_release(ranking, sizeof *ranking);
}

void choice_forget(struct ranking *ranking)
{
	ranking->owner = NULL;
}

bool choice_exists(const struct shard *s, const struct call *call)
{
	struct level level;
	for (begin_levels(s, call, &level); next_level(s, &level);)
		for (uint32_t i = 0; i < level.count; i++)
			if (is_allowed(level.mapping, level.list[i]->id))
				return true;
	return false;
}

bool choice_strike(struct shard *s, struct call *call, uint32_t routing_id)
{
	struct setup *setup = setup_of(s, call);
	struct bytes old = text_get(&s->texts, setup->struck);
	uint32_t size = (uint32_t)sizeof routing_id;
	uint32_t before = place_of(old.at, old.size / size, routing_id) * size;
	uint32_t text = text_take(&s->texts, old.size + size);
	if (text == TEXT_NONE)
		return false;
	char *at = text_at(&s->texts, text);
	if (before)
		memcpy(at, old.at, before);
	memcpy(at + before, &routing_id, size);
	if (old.size > before)
		memcpy(at + before + size, old.at + before, old.size - before);
	text_give(&s->texts, setup->struck);
	setup->struck = text;
	return true;
}
