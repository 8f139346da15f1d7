/* What an initial INVITE or a retransmission is found by, and tombstones.  RFC 3261 8.2.2.2, 17.2.3; design, rule 5. */
#include <criterion/criterion.h>

#include "core/call/table.h"

#define SECOND UINT64_C(1000000000)

static struct pool transactions;
static struct table table;

static void begin(uint32_t tombstones)
{
	cr_assert_eq(pool_create(&transactions, 64, sizeof(struct transaction)), 0);
	cr_assert_eq(table_create(&table, &transactions, tombstones, 1, 2), 0);
}

static void end(void)
{
	table_check(&table);
	table_destroy(&table);
	pool_destroy(&transactions);
}

static uint64_t key_of(const char *call_id, const char *tag, uint32_t cseq, enum sip_method method)
{
	struct sip_message m = { .call_id = bytes_of(call_id), .from = { .tag = bytes_of(tag) }, .cseq = cseq };
	return table_key(&table, &m, method);
}

Test(table, the_key_is_of_call_id_tag_cseq_and_method)
{
	begin(16);
	uint64_t key = key_of("a", "b", 1, SIP_INVITE);
	cr_assert_eq(key, key_of("a", "b", 1, SIP_INVITE));
	cr_assert_neq(key, key_of("b", "a", 1, SIP_INVITE));
	cr_assert_neq(key, key_of("ab", "", 1, SIP_INVITE));
	cr_assert_neq(key, key_of("a", "c", 1, SIP_INVITE));
	cr_assert_neq(key, key_of("a", "b", 2, SIP_INVITE));
	cr_assert_neq(key, key_of("a", "b", 1, SIP_BYE));
	end();
}

Test(table, an_unknown_method_is_known_by_its_name)
{
	begin(16);
	struct sip_message one = { .method_text = BYTES("FOO") }, other = { .method_text = BYTES("BAR") };
	cr_assert_neq(table_key(&table, &one, SIP_METHOD_UNKNOWN), table_key(&table, &other, SIP_METHOD_UNKNOWN));
	end();
}

Test(table, finds_a_transaction_until_it_is_removed)
{
	struct table_hit hit;
	begin(16);
	struct transaction *one = pool_at(&transactions, pool_take(&transactions)),
			   *other = pool_at(&transactions, pool_take(&transactions));
	one->key = 5;
	other->key = 5 + ((uint64_t)table.head_mask + 1); /* the same chain */
	table_add(&table, one);
	table_add(&table, other);
	cr_assert(table_find(&table, one->key, &hit) && hit.transaction == one && !hit.tombstone);
	cr_assert(table_find(&table, other->key, &hit) && hit.transaction == other);
	table_check(&table);
	table_remove(&table, one);
	cr_assert_not(table_find(&table, one->key, &hit));
	cr_assert(table_find(&table, other->key, &hit));
	table_remove(&table, other);
	end();
}

/* Requests of several early dialogs may have one key. */
Test(table, finds_that_of_a_branch_among_those_of_a_key)
{
	struct table_hit hit;
	begin(16);
	for (uint32_t branch = 1; branch <= 3; branch++) {
		struct tombstone tombstone = { .key = 99, .branch_hash = branch, .status = (200 + branch) & 0x3ff };
		table_bury(&table, &tombstone, 32 * SECOND);
	}
	for (uint32_t branch = 1; branch <= 3; branch++)
		cr_assert(table_find_branch(&table, 99, branch, &hit) && hit.tombstone->status == 200 + branch);
	cr_assert_not(table_find_branch(&table, 99, 4, &hit));
	cr_assert(table_find_branch(&table, 99, 0, &hit) && hit.tombstone->branch_hash == 3);
	end();
}

/* Transactions and tombstones of one key count, those of another in the same chain do not. */
Test(table, a_key_is_crowded_by_as_many_as_may_be)
{
	begin(16);
	struct transaction *tx = pool_at(&transactions, pool_take(&transactions));
	tx->key = 99;
	table_add(&table, tx);
	for (uint32_t branch = 1; branch < TABLE_KEY_MAX; branch++) {
		struct tombstone tombstone = { .key = 99, .branch_hash = branch }, other = tombstone;
		other.key += (uint64_t)table.head_mask + 1;
		cr_assert_not(table_is_crowded(&table, 99));
		table_bury(&table, &other, 32 * SECOND);
		table_bury(&table, &tombstone, 32 * SECOND);
	}
	cr_assert(table_is_crowded(&table, 99));
	cr_assert_not(table_is_crowded(&table, 99 + (uint64_t)table.head_mask + 1));
	table_remove(&table, tx);
	cr_assert_not(table_is_crowded(&table, 99));
	end();
}

/* A tombstone is kept until its time and gone a tenth of a second later; table_next_ns() says when. */
Test(table, a_tombstone_lives_until_its_time)
{
	struct table_hit hit;
	begin(16);
	struct tombstone tombstone = { .key = 99, .status = 486 };
	table_bury(&table, &tombstone, 32 * SECOND);
	cr_assert_eq(table_buried(&table), 1);
	table_expire(&table, 32 * SECOND);
	cr_assert(table_find(&table, 99, &hit) && hit.tombstone && hit.tombstone->status == 486);
	uint64_t next_ns = table_next_ns(&table, 32 * SECOND);
	cr_assert(next_ns > 32 * SECOND && next_ns <= 32 * SECOND + SECOND / 10);
	table_expire(&table, next_ns);
	cr_assert_not(table_find(&table, 99, &hit));
	cr_assert_eq(table_next_ns(&table, next_ns), UINT64_MAX);
	end();
}

/* The age is kept in 32 bits: it wraps after 13 years and the distance still counts. */
Test(table, ages_wrap)
{
	struct table_hit hit;
	uint64_t wrap_ns = (UINT64_C(1) << 32) * (SECOND / 10);
	begin(16);
	struct tombstone tombstone = { .key = 7 };
	table_bury(&table, &tombstone, wrap_ns + 10 * SECOND);
	table_expire(&table, wrap_ns - 10 * SECOND);
	cr_assert(table_find(&table, 7, &hit));
	table_expire(&table, wrap_ns + 9 * SECOND);
	cr_assert(table_find(&table, 7, &hit));
	table_expire(&table, wrap_ns + 11 * SECOND);
	cr_assert_not(table_find(&table, 7, &hit));
	end();
}

/* When the ring is full the oldest goes; the chains stay whole. */
Test(table, a_full_ring_lets_the_oldest_go)
{
	struct table_hit hit;
	begin(16);
	uint32_t size = table.tombstone_size;
	for (uint64_t key = 0; key < 3 * size; key++) {
		struct tombstone tombstone = { .key = key % 5 + key * 1000 };
		table_bury(&table, &tombstone, 32 * SECOND);
	}
	cr_assert_eq(table_buried(&table), size);
	table_check(&table);
	for (uint64_t key = 0; key < 3 * size; key++)
		cr_assert_eq(table_find(&table, key % 5 + key * 1000, &hit), key >= 2 * size);
	end();
}

/* However many were buried in all, memory is touched for those that there are at a time. */
Test(table, chunks_are_used_again)
{
	struct table_hit hit;
	uint64_t key = 0;
	begin(1u << 20);
	for (uint64_t second = 0; second < 3000; second++) {
		for (unsigned i = 0; i < 100; i++) {
			struct tombstone tombstone = { .key = ++key };
			table_bury(&table, &tombstone, (second + 32) * SECOND);
		}
		table_expire(&table, second * SECOND);
		cr_assert(table_find(&table, key, &hit) && hit.tombstone->key == key);
		cr_assert_eq(table_find(&table, key - 3200, &hit), second >= 32);
		if (second % 100 == 0)
			table_check(&table);
	}
	cr_assert_leq(table_buried(&table), 3400);
	cr_assert_leq(table.chunk_fresh, 5);
	table_expire(&table, 4000 * SECOND);
	cr_assert_eq(table_buried(&table), 0);
	end();
}

Test(table, a_hash_is_never_zero_and_tells_texts_apart)
{
	begin(16);
	cr_assert_neq(table_hash32(&table, BYTES_NONE), 0);
	cr_assert_neq(table_hash32(&table, BYTES("a")), table_hash32(&table, BYTES("b")));
	end();
}
