#include "core/call/table.h"

#include <assert.h>
#include <errno.h>

#include "core/siphash.h"

/* A handle in a chain: index of a transaction, or of a tombstone with the top bit. */
#define TOMBSTONE  0x80000000u
#define DECISECOND UINT64_C(100000000)

int table_create(struct table *t, struct pool *transactions, uint32_t tombstones, uint64_t k0, uint64_t k1)
{
	uint32_t size = 1024;
	while (size < tombstones && size < 1u << 30)
		size <<= 1;
	uint32_t heads = size;
	*t = (struct table){
		.k0 = k0, .k1 = k1, .transactions = transactions, .tombstone_size = size, .head_mask = heads - 1
	};
	t->heads = memory_reserve((size_t)heads * sizeof *t->heads);
	t->tombstones = memory_reserve((size_t)size * sizeof *t->tombstones);
	if (t->heads && t->tombstones)
		return 0;
	table_destroy(t);
	return -ENOMEM;
}

void table_destroy(struct table *t)
{
	memory_release(t->heads, ((size_t)t->head_mask + 1) * sizeof *t->heads);
	memory_release(t->tombstones, (size_t)t->tombstone_size * sizeof *t->tombstones);
	*t = (struct table){ 0 };
}

static uint64_t hash_text(const struct table *t, uint64_t seed, struct bytes text)
{
	return siphash13(t->k0 ^ seed, t->k1, text.at, text.size);
}

uint32_t table_hash32(const struct table *t, struct bytes text)
{
	uint32_t hash = (uint32_t)hash_text(t, 0, text);
	return hash ? hash : 1;
}

uint64_t table_key(const struct table *t, const struct sip_message *m, enum sip_method method)
{
	uint64_t words[3] = { hash_text(t, 1, m->call_id), hash_text(t, 2, m->from.tag),
			      (uint64_t)m->cseq << 8 | (unsigned)method };
	if (method == SIP_METHOD_UNKNOWN)
		words[2] ^= hash_text(t, 3, m->method_text) << 40;
	return siphash13(t->k0, t->k1, words, sizeof words);
}

static uint32_t *head_of(const struct table *t, uint64_t key)
{
	return &t->heads[(uint32_t)key & t->head_mask];
}

static struct tombstone *tombstone_at(const struct table *t, uint32_t count)
{
	return &t->tombstones[count & (t->tombstone_size - 1)];
}

static uint32_t *chain_of(const struct table *t, uint32_t handle)
{
	if (handle & TOMBSTONE)
		return &tombstone_at(t, handle & ~TOMBSTONE)->chain;
	return &((struct transaction *)pool_at(t->transactions, handle))->chain;
}

bool table_find(const struct table *t, uint64_t key, struct table_hit *ret_hit)
{
	for (uint32_t link = *head_of(t, key); link; link = *chain_of(t, link - 1)) {
		uint32_t handle = link - 1;
		if (handle & TOMBSTONE) {
			struct tombstone *tombstone = tombstone_at(t, handle & ~TOMBSTONE);
			if (tombstone->key == key) {
				*ret_hit = (struct table_hit){ .tombstone = tombstone };
				return true;
			}
		} else {
			struct transaction *tx = pool_at(t->transactions, handle);
			if (tx->key == key) {
				*ret_hit = (struct table_hit){ .transaction = tx };
				return true;
			}
		}
	}
	return false;
}

static void link_handle(struct table *t, uint64_t key, uint32_t handle)
{
	uint32_t *head = head_of(t, key);
	*chain_of(t, handle) = *head;
	*head = handle + 1;
}

static void unlink_handle(struct table *t, uint64_t key, uint32_t handle)
{
	uint32_t *link = head_of(t, key);
	while (*link != handle + 1) {
		assert(*link);
		link = chain_of(t, *link - 1);
	}
	*link = *chain_of(t, handle);
}

void table_add(struct table *t, struct transaction *tx)
{
	assert(!tx->in_table);
	tx->in_table = true;
	link_handle(t, tx->key, pool_index(t->transactions, tx));
}

void table_remove(struct table *t, struct transaction *tx)
{
	assert(tx->in_table);
	tx->in_table = false;
	unlink_handle(t, tx->key, pool_index(t->transactions, tx));
}

static void remove_oldest(struct table *t)
{
	uint32_t index = t->tombstone_first & (t->tombstone_size - 1);
	unlink_handle(t, t->tombstones[index].key, index | TOMBSTONE);
	t->tombstone_first++;
}

void table_bury(struct table *t, const struct tombstone *tombstone, uint64_t end_ns)
{
	if (table_buried(t) == t->tombstone_size)
		remove_oldest(t);
	uint32_t index = t->tombstone_last++ & (t->tombstone_size - 1);
	t->tombstones[index] = *tombstone;
	t->tombstones[index].expires_ds = (uint32_t)(end_ns / DECISECOND);
	link_handle(t, tombstone->key, index | TOMBSTONE);
}

/* Ages wrap after 13 years; what counts is the distance. */
static bool is_over(const struct tombstone *tombstone, uint64_t now_ns)
{
	return (int32_t)((uint32_t)(now_ns / DECISECOND) - tombstone->expires_ds) > 0;
}

void table_expire(struct table *t, uint64_t now_ns)
{
	while (table_buried(t) && is_over(tombstone_at(t, t->tombstone_first), now_ns))
		remove_oldest(t);
}

uint64_t table_next_ns(const struct table *t, uint64_t now_ns)
{
	if (!table_buried(t))
		return UINT64_MAX;
	int32_t left = (int32_t)(tombstone_at(t, t->tombstone_first)->expires_ds - (uint32_t)(now_ns / DECISECOND));
	if (left < 0)
		return now_ns;
	return (now_ns / DECISECOND + (uint64_t)left + 1) * DECISECOND;
}

void table_check(const struct table *t)
{
	uint32_t tombstones = 0;
	for (uint32_t h = 0; h <= t->head_mask; h++)
		for (uint32_t link = t->heads[h]; link; link = *chain_of(t, link - 1)) {
			uint32_t handle = link - 1;
			if (handle & TOMBSTONE) {
				uint32_t age = ((handle & ~TOMBSTONE) - t->tombstone_first) & (t->tombstone_size - 1);
				assert(age < table_buried(t));
				tombstones++;
			} else {
				const struct transaction *tx = pool_at(t->transactions, handle);
				assert(tx->slot.used && tx->in_table && ((uint32_t)tx->key & t->head_mask) == h);
			}
		}
	assert(tombstones == table_buried(t));
}
