/* A table of open addressing over the keys, which are few beside the records.  It grows while it is more than half
 * full. */
#include "billing/sums.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "billing/money.h"

#define SLOTS_FIRST 256 /* a power of two */

struct group {
	uint64_t hash;
	char *key; /* NULL: free */
	size_t key_size;
	struct sum sum;
};

struct sums {
	struct group *slots;
	size_t slot_count, count;
	struct group *last; /* records of one group often come together */
	bool sorted;        /* the first `count` slots are the groups, in order */
};

struct sums *sums_create(void)
{
	struct sums *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->slots = calloc(SLOTS_FIRST, sizeof(*s->slots));
	s->slot_count = SLOTS_FIRST;
	if (s->slots != NULL)
		return s;
	free(s);
	return NULL;
}

void sums_free(struct sums *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->slot_count; i++)
		free(s->slots[i].key);
	free(s->slots);
	free(s);
}

static bool is_key(const struct group *g, uint64_t hash, const char *key, size_t size)
{
	return g->hash == hash && g->key_size == size && memcmp(g->key, key, size) == 0;
}

/* Its slot, or the free one where it belongs. */
static struct group *find(struct group *slots, size_t slot_count, uint64_t hash, const char *key, size_t size)
{
	size_t at = hash & (slot_count - 1);

	while (slots[at].key != NULL && !is_key(&slots[at], hash, key, size))
		at = (at + 1) & (slot_count - 1);
	return &slots[at];
}

static int grow(struct sums *s)
{
	const size_t wider = 2 * s->slot_count;
	struct group *slots = calloc(wider, sizeof(*slots));

	if (slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->slot_count; i++) {
		const struct group *g = &s->slots[i];
		if (g->key != NULL)
			*find(slots, wider, g->hash, g->key, g->key_size) = *g;
	}
	free(s->slots);
	s->slots = slots;
	s->slot_count = wider;
	s->last = NULL;
	return 0;
}

static int make(struct sums *s, struct group *g, uint64_t hash, const char *key, size_t size)
{
	if (s->count >= SUMS_GROUPS_MAX)
		return -E2BIG;
	char *copy = malloc(size + 1);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, key, size);
	copy[size] = '\0';
	*g = (struct group){ .hash = hash, .key = copy, .key_size = size };
	s->count++;
	return 0;
}

static void add(struct sum *to, const struct sum *sum)
{
	to->attempts += sum->attempts;
	to->answered += sum->answered;
	to->rang += sum->rang;
	to->pdd_ms += sum->pdd_ms;
	to->hold_ms += sum->hold_ms;
	to->billed_s += sum->billed_s;
	to->fee_e8 += sum->fee_e8;
	to->cost_e8 += sum->cost_e8;
}

int sums_add(struct sums *s, const char *key, size_t key_size, const struct sum *sum)
{
	assert(!s->sorted);
	if (key_size > SUMS_KEY_MAX)
		key_size = SUMS_KEY_MAX;
	struct group *g = s->last;
	if (g == NULL || g->key_size != key_size || memcmp(g->key, key, key_size) != 0) {
		if (2 * (s->count + 1) > s->slot_count && grow(s) < 0)
			return -ENOMEM;
		const uint64_t hash = XXH3_64bits(key, key_size);
		g = find(s->slots, s->slot_count, hash, key, key_size);
		if (g->key == NULL) {
			const int made = make(s, g, hash, key, key_size);
			if (made < 0)
				return made;
		}
		s->last = g;
	}
	add(&g->sum, sum);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return strcmp(x->key, y->key);
}

void sums_sort(struct sums *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->slot_count; i++) {
		if (s->slots[i].key == NULL)
			continue;
		const struct group moved = s->slots[i];
		s->slots[i].key = NULL;
		s->slots[kept++] = moved;
	}
	assert(kept == s->count);
	qsort(s->slots, s->count, sizeof(*s->slots), by_key);
	s->sorted = true;
}

size_t sums_count(const struct sums *s)
{
	return s->count;
}

const struct sum *sums_at(const struct sums *s, size_t index, const char **ret_key)
{
	assert(s->sorted && index < s->count);
	*ret_key = s->slots[index].key;
	return &s->slots[index].sum;
}

struct sum sums_total(const struct sums *s)
{
	struct sum total = { 0 };

	for (size_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].key != NULL)
			add(&total, &s->slots[i].sum);
	return total;
}

/* ---- money ---- */

bool money_sum_read(const char *text, money_sum *ret_e8)
{
	int64_t e8 = 0;

	if (text[0] != '\0' && !money_parse(text, strlen(text), &e8))
		return false;
	*ret_e8 = e8;
	return true;
}

size_t money_sum_write(money_sum e8, char out[static MONEY_SUM_TEXT_MAX])
{
	unsigned __int128 left = e8 < 0 ? -(unsigned __int128)e8 : (unsigned __int128)e8;
	char digits[MONEY_SUM_TEXT_MAX];
	size_t count = 0, used = 0, decimals = MONEY_DECIMALS;

	while (left > 0 || count <= MONEY_DECIMALS) {
		digits[count++] = (char)('0' + (int)(left % 10));
		left /= 10;
	}
	while (decimals > 2 && digits[MONEY_DECIMALS - decimals] == '0')
		decimals--;
	if (e8 < 0)
		out[used++] = '-';
	for (size_t i = count; i > MONEY_DECIMALS - decimals; i--) {
		if (i == MONEY_DECIMALS)
			out[used++] = '.';
		out[used++] = digits[i - 1];
	}
	out[used] = '\0';
	return used;
}
