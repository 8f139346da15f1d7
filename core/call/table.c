#include "core/call/table.h"

#include <assert.h>
#include <errno.h>

#include "core/siphash.h"

/* A handle in a chain: index of a transaction, or of a tombstone with the top bit. */
#define TOMBSTONE  0x80000000u
#define DECISECOND UINT64_C(100000000)
#define CHUNK      1024u /* tombstones */

/* The chunks of a queue that is full span one more than it fills; their ring has room for twice as many. */
static uint32_t chunks_of(uint32_t tombstones)
{
	return tombstones / CHUNK + 1;
}

static uint32_t chunk_ring(uint32_t tombstones)
{
	return 2 * (tombstones / CHUNK);
}

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
	t->tombstones = memory_reserve((size_t)chunks_of(size) * CHUNK * sizeof *t->tombstones);
	t->chunks = memory_reserve(chunk_ring(size) * sizeof *t->chunks);
	t->spare_chunks = memory_reserve(chunks_of(size) * sizeof *t->spare_chunks);
	if (t->heads && t->tombstones && t->chunks && t->spare_chunks)
		return 0;
	table_destroy(t);
	return -ENOMEM;
}

void table_destroy(struct table *t)
{
	memory_release(t->heads, ((size_t)t->head_mask + 1) * sizeof *t->heads);
	memory_release(t->tombstones, (size_t)chunks_of(t->tombstone_size) * CHUNK * sizeof *t->tombstones);
	memory_release(t->chunks, chunk_ring(t->tombstone_size) * sizeof *t->chunks);
	memory_release(t->spare_chunks, chunks_of(t->tombstone_size) * sizeof *t->spare_chunks);
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

static uint32_t *chunk_at(const struct table *t, uint32_t count)
{
	return &t->chunks[count / CHUNK & (chunk_ring(t->tombstone_size) - 1)];
}

/* Where in memory the tombstone is that was buried as the count-th. */
static uint32_t place_of(const struct table *t, uint32_t count)
{
	return *chunk_at(t, count) * CHUNK + count % CHUNK;
}

static struct tombstone *oldest(const struct table *t)
{
	return &t->tombstones[place_of(t, t->tombstone_first)];
}

static uint32_t *chain_of(const struct table *t, uint32_t handle)
{
	if (handle & TOMBSTONE)
		return &t->tombstones[handle & ~TOMBSTONE].chain;
	return &((struct transaction *)pool_at(t->transactions, handle))->chain;
}

bool table_find_branch(const struct table *t, uint64_t key, uint32_t branch_hash, struct table_hit *ret_hit)
{
	for (uint32_t link = *head_of(t, key); link; link = *chain_of(t, link - 1)) {
		uint32_t handle = link - 1;
		if (handle & TOMBSTONE) {
			struct tombstone *tombstone = &t->tombstones[handle & ~TOMBSTONE];
			if (tombstone->key == key && (!branch_hash || tombstone->branch_hash == branch_hash)) {
				*ret_hit = (struct table_hit){ .tombstone = tombstone };
				return true;
			}
		} else {
			struct transaction *tx = pool_at(t->transactions, handle);
			if (tx->key == key && (!branch_hash || tx->branch_hash == branch_hash)) {
				*ret_hit = (struct table_hit){ .transaction = tx };
				return true;
			}
		}
	}
	return false;
}

bool table_find(const struct table *t, uint64_t key, struct table_hit *ret_hit)
{
	return table_find_branch(t, key, 0, ret_hit);
}

static uint64_t key_of(const struct table *t, uint32_t handle)
{
	if (handle & TOMBSTONE)
		return t->tombstones[handle & ~TOMBSTONE].key;
	return ((const struct transaction *)pool_at(t->transactions, handle))->key;
}

bool table_is_crowded(const struct table *t, uint64_t key)
{
	unsigned count = 0;
	for (uint32_t link = *head_of(t, key); link && count < TABLE_KEY_MAX; link = *chain_of(t, link - 1))
		count += key_of(t, link - 1) == key;
	return count == TABLE_KEY_MAX;
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
	uint32_t place = place_of(t, t->tombstone_first), chunk = *chunk_at(t, t->tombstone_first);
	unlink_handle(t, t->tombstones[place].key, place | TOMBSTONE);
	if (++t->tombstone_first % CHUNK == 0)
		t->spare_chunks[t->spare_count++] = chunk;
}

void table_bury(struct table *t, const struct tombstone *tombstone, uint64_t end_ns)
{
	if (table_buried(t) == t->tombstone_size)
		remove_oldest(t);
	if (t->tombstone_last % CHUNK == 0)
		*chunk_at(t, t->tombstone_last) = t->spare_count ? t->spare_chunks[--t->spare_count] : t->chunk_fresh++;
	uint32_t place = place_of(t, t->tombstone_last++);
	t->tombstones[place] = *tombstone;
	t->tombstones[place].expires_ds = (uint32_t)(end_ns / DECISECOND);
	link_handle(t, tombstone->key, place | TOMBSTONE);
}

/* Ages wrap after 13 years; what counts is the distance. */
static bool is_over(const struct tombstone *tombstone, uint64_t now_ns)
{
	return (int32_t)((uint32_t)(now_ns / DECISECOND) - tombstone->expires_ds) > 0;
}

void table_expire(struct table *t, uint64_t now_ns)
{
	while (table_buried(t) && is_over(oldest(t), now_ns))
		remove_oldest(t);
}

uint64_t table_next_ns(const struct table *t, uint64_t now_ns)
{
	if (!table_buried(t))
		return UINT64_MAX;
	int32_t left = (int32_t)(oldest(t)->expires_ds - (uint32_t)(now_ns / DECISECOND));
	if (left < 0)
		return now_ns;
	return (now_ns / DECISECOND + (uint64_t)left + 1) * DECISECOND;
}

/* Which one of the queue is in this place; the size of the queue: none. */
static uint32_t age_of(const struct table *t, uint32_t place)
{
	uint32_t first = t->tombstone_first - t->tombstone_first % CHUNK;
	for (uint32_t at = 0; at < t->tombstone_last - first; at += CHUNK)
		if (*chunk_at(t, first + at) == place / CHUNK)
			return first + at + place % CHUNK - t->tombstone_first;
	return table_buried(t);
}

void table_check(const struct table *t)
{
	uint32_t tombstones = 0;
	for (uint32_t h = 0; h <= t->head_mask; h++)
		for (uint32_t link = t->heads[h]; link; link = *chain_of(t, link - 1)) {
			uint32_t handle = link - 1;
			if (handle & TOMBSTONE) {
				assert(age_of(t, handle & ~TOMBSTONE) < table_buried(t));
				tombstones++;
			} else {
				const struct transaction *tx = pool_at(t->transactions, handle);
				assert(tx->slot.used && tx->in_table && ((uint32_t)tx->key & t->head_mask) == h);
			}
		}
	assert(tombstones == table_buried(t));
	assert(t->spare_count <= t->chunk_fresh && t->chunk_fresh <= chunks_of(t->tombstone_size));
}
