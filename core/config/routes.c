/* See routes.h.  The table is filled in two walks over the gateways in their order of preference: the first counts how
 * many gateways each distinct prefix has, the second writes them, so that each list is sorted by itself.  */
#include "core/config/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct prefix_entry {
	const char *prefix;
	uint32_t list_first; /* in lists */
	uint32_t list_count;
	uint32_t length;
};

struct prefix_slot {
	uint32_t tag;     /* upper half of the hash: spares most visits to the entry */
	uint32_t ordinal; /* of the entry, counted from 1; 0: free */
};

struct route_table {
	struct prefix_slot *slots; /* a power of two, at most half full */
	struct prefix_entry *entries;
	const struct routing_gateway **lists;
	uint64_t lengths; /* bit n: there is a prefix of n characters */
	uint32_t slot_mask;
	uint32_t entry_count;
};

#define HASH_START 0x51ed270b4d2a3c97u

static_assert(CONFIG_PREFIX_MAX < 64, "lengths are bits of one word");

static uint64_t hash_next(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 0x9e3779b97f4a7c15u;
}

static uint64_t hash_done(uint64_t hash)
{
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
	return hash ^ hash >> 29;
}

static struct prefix_slot *find_slot(const struct route_table *t, uint64_t hash, const char *prefix, uint32_t length)
{
	uint32_t tag = (uint32_t)(hash >> 32);

	for (uint32_t i = (uint32_t)hash & t->slot_mask;; i = (i + 1) & t->slot_mask) {
		struct prefix_slot *slot = &t->slots[i];

		if (slot->ordinal == 0)
			return slot;
		const struct prefix_entry *entry = &t->entries[slot->ordinal - 1];
		if (slot->tag == tag && entry->length == length &&
		    (length == 0 || memcmp(entry->prefix, prefix, length) == 0))
			return slot;
	}
}

/* The entry of a prefix, made if it is new. */
static struct prefix_entry *enter_prefix(struct route_table *t, const char *prefix)
{
	uint32_t length = 0;
	uint64_t hash = HASH_START;

	for (; prefix[length]; length++)
		hash = hash_next(hash, prefix[length]);
	assert(length <= CONFIG_PREFIX_MAX);
	hash = hash_done(hash);

	struct prefix_slot *slot = find_slot(t, hash, prefix, length);
	if (slot->ordinal == 0) {
		t->entries[t->entry_count++] = (struct prefix_entry){ .prefix = prefix, .length = length };
		*slot = (struct prefix_slot){ (uint32_t)(hash >> 32), t->entry_count };
		t->lengths |= UINT64_C(1) << length;
	}
	return &t->entries[slot->ordinal - 1];
}

static int compare_preference(const void *a, const void *b)
{
	const struct routing_gateway *x = *(const struct routing_gateway *const *)a;
	const struct routing_gateway *y = *(const struct routing_gateway *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void fill_lists(struct route_table *t, const struct routing_gateway **ordered, uint32_t gateway_count)
{
	for (uint32_t g = 0; g < gateway_count; g++)
		for (uint32_t i = 0; i < ordered[g]->prefix_count; i++)
			enter_prefix(t, ordered[g]->prefixes[i])->list_count++;

	uint32_t first = 0;
	for (uint32_t i = 0; i < t->entry_count; i++) {
		t->entries[i].list_first = first;
		first += t->entries[i].list_count;
		t->entries[i].list_count = 0;
	}
	for (uint32_t g = 0; g < gateway_count; g++)
		for (uint32_t i = 0; i < ordered[g]->prefix_count; i++) {
			struct prefix_entry *entry = enter_prefix(t, ordered[g]->prefixes[i]);
			const struct routing_gateway **list = t->lists + entry->list_first;

			if (entry->list_count > 0 && list[entry->list_count - 1] == ordered[g])
				continue; /* it names the prefix twice */
			list[entry->list_count++] = ordered[g];
		}
}

int routes_build(const struct routing_gateway *gateways, uint32_t gateway_count, struct route_table **ret_table)
{
	uint64_t pairs = 0, slots = 2;

	for (uint32_t g = 0; g < gateway_count; g++)
		pairs += gateways[g].prefix_count;
	while (slots < 2 * (pairs + 1))
		slots *= 2;
	if (slots > UINT64_C(1) << 32)
		return -ENOMEM;

	struct route_table *t = calloc(1, sizeof *t);
	const struct routing_gateway **ordered = calloc(gateway_count + 1, sizeof(void *));
	if (t) {
		t->slot_mask = (uint32_t)(slots - 1);
		t->slots = calloc(slots, sizeof *t->slots);
		t->entries = calloc(pairs + 1, sizeof *t->entries);
		t->lists = calloc(pairs + 1, sizeof(void *));
	}
	if (!t || !ordered || !t->slots || !t->entries || !t->lists) {
		free(ordered);
		routes_free(t);
		return -ENOMEM;
	}
	for (uint32_t g = 0; g < gateway_count; g++)
		ordered[g] = &gateways[g];
	qsort(ordered, gateway_count, sizeof(void *), compare_preference);
	fill_lists(t, ordered, gateway_count);
	free(ordered);
	*ret_table = t;
	return 0;
}

void routes_free(struct route_table *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t->entries);
	free(t->lists);
	free(t);
}

uint32_t routes_find(const struct route_table *t, struct bytes number, const struct routing_gateway *const **ret_list)
{
	uint64_t hashes[CONFIG_PREFIX_MAX + 1];
	uint64_t hash = HASH_START, lengths = 0;

	for (uint32_t length = 0; length <= CONFIG_PREFIX_MAX; length++) {
		if (t->lengths >> length & 1) {
			hashes[length] = hash_done(hash);
			__builtin_prefetch(&t->slots[(uint32_t)hashes[length] & t->slot_mask]);
			lengths |= UINT64_C(1) << length;
		}
		if (length >= number.size || t->lengths >> length == 0)
			break;
		hash = hash_next(hash, number.at[length]);
	}
	while (lengths) {
		uint32_t length = 63u - (uint32_t)__builtin_clzll(lengths);
		const struct prefix_slot *slot = find_slot(t, hashes[length], number.at, length);

		if (slot->ordinal) {
			const struct prefix_entry *entry = &t->entries[slot->ordinal - 1];

			*ret_list = t->lists + entry->list_first;
			return entry->list_count;
		}
		lengths &= ~(UINT64_C(1) << length);
	}
	*ret_list = NULL;
	return 0;
}

uint32_t routes_prefix_count(const struct route_table *t)
{
	return t->entry_count;
}
