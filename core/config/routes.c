/* See routes.h.  Building: every pair of a prefix and a gateway, the gateways counted in their order of preference, is
 * sorted by prefix, then gateway; so the pairs of one prefix lie together, in the order of its list.  */
#include "core/config/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "billing/prefix_lines.h"
#include "billing/prefix_rest.h"

struct route_table {
	const struct routing_gateway **lists;
	struct prefix_lines lines;
	struct prefix_rest rest;
	struct prefix_list any; /* of the empty prefix */
	uint32_t lengths;       /* bit n: a word of n characters stands in the lines */
	bool rest_has_words;    /* any number may find something in the rest */
	uint32_t prefix_count;
};

static_assert(PREFIX_WORD_MAX < 32, "lengths of words are bits of 32");

/* ---- building ---- */

struct pair {
	uint64_t word;  /* 0: the prefix is empty or fits no word */
	uint32_t rank;  /* of the gateway, in order of preference */
	uint32_t index; /* of the prefix among the gateway's */
};

/* Gateways in order of preference; all pairs, and room to sort them. */
struct building {
	const struct routing_gateway **ordered;
	struct pair *pairs, *spare;
	uint32_t gateway_count, pair_count;
};

static const char *prefix_of(const struct building *b, const struct pair *p)
{
	return b->ordered[p->rank]->prefixes[p->index];
}

static uint64_t word_of(const char *prefix)
{
	uint64_t word = 0;

	for (unsigned i = 0; prefix[i]; i++)
		if (i == PREFIX_WORD_MAX || (word = prefix_word_next(word, prefix[i])) == 0)
			return 0;
	return word;
}

static int compare_preference(const void *a, const void *b)
{
	const struct routing_gateway *x = *(const struct routing_gateway *const *)a;
	const struct routing_gateway *y = *(const struct routing_gateway *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void make_pairs(struct building *b)
{
	struct pair *pair = b->pairs;

	qsort(b->ordered, b->gateway_count, sizeof *b->ordered, compare_preference);
	for (uint32_t rank = 0; rank < b->gateway_count; rank++)
		for (uint32_t i = 0; i < b->ordered[rank]->prefix_count; i++)
			*pair++ = (struct pair){ word_of(b->ordered[rank]->prefixes[i]), rank, i };
}

/* By word, byte for byte from the lowest on; pairs of the same word stay in their order, which is that of rank. */
static void sort_by_word(struct building *b)
{
	for (unsigned shift = 0; shift < 64; shift += 8) {
		uint32_t ends[256] = { 0 }, end = 0;

		for (uint32_t i = 0; i < b->pair_count; i++)
			ends[b->pairs[i].word >> shift & 0xff]++;
		if (ends[b->pairs[0].word >> shift & 0xff] == b->pair_count)
			continue;
		for (unsigned byte = 0; byte < 256; byte++) {
			uint32_t count = ends[byte];

			ends[byte] = end; /* where the next one goes */
			end += count;
		}
		for (uint32_t i = 0; i < b->pair_count; i++)
			b->spare[ends[b->pairs[i].word >> shift & 0xff]++] = b->pairs[i];

		struct pair *sorted = b->spare;
		b->spare = b->pairs;
		b->pairs = sorted;
	}
}

static int compare_texts(const void *x, const void *y, void *building)
{
	const struct pair *p = x, *q = y;
	int difference = strcmp(prefix_of(building, p), prefix_of(building, q));

	return difference ? difference : (p->rank > q->rank) - (p->rank < q->rank);
}

/* By prefix, then rank: words by their value, what has no word before them. */
static void sort_pairs(struct building *b)
{
	uint32_t wordless = 0;

	if (b->pair_count == 0)
		return;
	sort_by_word(b);
	while (wordless < b->pair_count && b->pairs[wordless].word == 0)
		wordless++;
	if (wordless)
		qsort_r(b->pairs, wordless, sizeof *b->pairs, compare_texts, b);
}

static bool same_prefix(const struct building *b, const struct pair *p, const struct pair *q)
{
	return p->word == q->word && (p->word || strcmp(prefix_of(b, p), prefix_of(b, q)) == 0);
}

static uint32_t count_prefixes(const struct building *b)
{
	uint32_t distinct = b->pair_count > 0;

	for (uint32_t i = 1; i < b->pair_count; i++)
		distinct += !same_prefix(b, &b->pairs[i - 1], &b->pairs[i]);
	return distinct;
}

/* The text of a prefix lies anywhere: it is not asked for where the word tells as much. */
static int enter_prefix(struct route_table *t, const struct building *b, const struct pair *pair,
			struct prefix_list list)
{
	if (pair->word && prefix_lines_put(&t->lines, pair->word, list)) {
		t->lengths |= UINT32_C(1) << prefix_word_length(pair->word);
		return 0;
	}
	const char *prefix = prefix_of(b, pair);
	if (*prefix == '\0') {
		t->any = list;
		return 0;
	}
	t->rest_has_words |= pair->word != 0;
	return prefix_rest_put(&t->rest, prefix, list);
}

/* The sorted pairs, prefix by prefix. */
static int enter_all(struct route_table *t, const struct building *b)
{
	uint32_t end = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < b->pair_count;) {
		const struct pair *pair = &b->pairs[i], *first = pair;
		struct prefix_list list = { end, 0 };

		for (; i < b->pair_count && same_prefix(b, first, pair); i++, pair++)
			if (pair == first || pair->rank != pair[-1].rank) /* else it names the prefix twice */
				t->lists[list.first + list.count++] = b->ordered[pair->rank];
		end += list.count;
		r = enter_prefix(t, b, first, list);
	}
	prefix_rest_finish(&t->rest);
	return r;
}

static int fill(struct route_table *t, struct building *b)
{
	make_pairs(b);
	sort_pairs(b);
	t->prefix_count = count_prefixes(b);
	int r = prefix_lines_create(&t->lines, t->prefix_count);
	return r < 0 ? r : enter_all(t, b);
}

static void building_free(struct building *b)
{
	free(b->ordered);
	free(b->pairs);
	free(b->spare);
}

static int building_start(struct building *b, const struct routing_gateway *gateways, uint32_t gateway_count)
{
	uint64_t count = 0;

	for (uint32_t g = 0; g < gateway_count; g++)
		count += gateways[g].prefix_count;
	if (count > PREFIX_LIST_MAX)
		return -ENOMEM;
	*b = (struct building){ .gateway_count = gateway_count, .pair_count = (uint32_t)count };
	b->ordered = malloc(((size_t)gateway_count + 1) * sizeof *b->ordered);
	b->pairs = malloc((count + 1) * sizeof *b->pairs);
	b->spare = malloc((count + 1) * sizeof *b->spare);
	if (!b->ordered || !b->pairs || !b->spare) {
		building_free(b);
		return -ENOMEM;
	}
	for (uint32_t g = 0; g < gateway_count; g++)
		b->ordered[g] = &gateways[g];
	return 0;
}

int routes_build(const struct routing_gateway *gateways, uint32_t gateway_count, struct route_table **ret_table)
{
	struct building b;
	int r = building_start(&b, gateways, gateway_count);

	if (r < 0)
		return r;
	struct route_table *t = calloc(1, sizeof *t);
	if (t)
		t->lists = malloc(((size_t)b.pair_count + 1) * sizeof *t->lists);
	r = t && t->lists ? fill(t, &b) : -ENOMEM;
	building_free(&b);
	if (r < 0)
		routes_free(t);
	else
		*ret_table = t;
	return r;
}

void routes_free(struct route_table *t)
{
	if (!t)
		return;
	prefix_lines_destroy(&t->lines);
	prefix_rest_destroy(&t->rest);
	free(t->lists);
	free(t);
}

uint32_t routes_prefix_count(const struct route_table *t)
{
	return t->prefix_count;
}

/* ---- looking up ---- */

/* The words of one number. */
struct words {
	uint64_t word[PREFIX_WORD_MAX + 1]; /* by length */
	const struct prefix_line *line[PREFIX_WORD_MAX + 1];
	uint32_t lengths; /* bit n: there may be one of n characters */
	bool all;         /* nothing of the number is left that fits no word */
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The words of fewer than `below` characters, and memory asked for their lines. */
static void read_words(const struct route_table *t, struct bytes number, uint32_t below, struct words *w)
{
	uint32_t size = below ? smaller(number.size, below - 1) : 0, length = 0;
	uint64_t word = 0;

	w->lengths = 0;
	while (length < smaller(size, PREFIX_WORD_MAX) && (word = prefix_word_next(word, number.at[length])) != 0) {
		length++;
		if (t->lengths >> length & 1) {
			w->word[length] = word;
			w->line[length] = prefix_lines_at(&t->lines, word);
			__builtin_prefetch(w->line[length]);
			w->lengths |= UINT32_C(1) << length;
		}
	}
	w->all = length == size;
}

static uint32_t give(const struct route_table *t, struct prefix_list list, uint32_t length,
		     const struct routing_gateway *const **ret_list, uint32_t *ret_length)
{
	*ret_list = list.count ? t->lists + list.first : NULL;
	*ret_length = list.count ? length : 0;
	return list.count;
}

uint32_t routes_find(const struct route_table *t, struct bytes number, uint32_t below,
		     const struct routing_gateway *const **ret_list, uint32_t *ret_length)
{
	const struct prefix_rest_entry *other = NULL;
	struct words w;

	read_words(t, number, below, &w);
	if (t->rest.count && (t->rest_has_words || !w.all))
		other = prefix_rest_find(&t->rest, number.at, number.size, below);
	while (w.lengths) {
		uint32_t length = 31u - (uint32_t)__builtin_clz(w.lengths);
		const struct prefix_slot *slot;

		if (other && other->length > length)
			break;
		if ((slot = prefix_lines_find(w.line[length], w.word[length])))
			return give(t, (struct prefix_list){ slot->list_first, slot->list_count }, length, ret_list,
				    ret_length);
		w.lengths &= ~(UINT32_C(1) << length);
	}
	if (other)
		return give(t, other->list, other->length, ret_list, ret_length);
	return give(t, below ? t->any : (struct prefix_list){ 0 }, 0, ret_list, ret_length);
}
