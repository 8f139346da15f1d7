/* core/steer and core/siphash: the function that names the bucket of a Call-ID, and so the shard of a call. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/siphash.h"
#include "core/steer.h"

static const uint8_t SECRET[32] = { 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2, 3, 5, 3, 6 };

static struct steer_key key_of(const char *node)
{
	struct steer_key key;

	steer_key_init(&key, SECRET, node);
	return key;
}

/* A Call-ID of ours: the prefix that was minted and 25 more characters. */
static void mint(const struct steer_key *key, unsigned bucket, char call_id[33])
{
	steer_mint(key, bucket, call_id);
	memset(call_id + STEER_PREFIX_SIZE, 'z', STEER_MINTED_SIZE - STEER_PREFIX_SIZE);
	call_id[STEER_MINTED_SIZE] = 0;
}

/* The values that CPython 3.11 computes for hash(bytes) with a zero key (PYTHONHASHSEED=0). */
Test(siphash13, agrees_with_another_implementation)
{
	uint8_t bytes[128];

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	cr_assert_eq(siphash13(0, 0, "a", 1), UINT64_C(0x407448d2b89b1813));
	cr_assert_eq(siphash13(0, 0, "abcdefgh", 8), UINT64_C(0x3f7b849c0b8e35ea));
	cr_assert_eq(siphash13(0, 0, "callid-1@192.0.2.1", 18), UINT64_C(0x19625a0919cc8374));
	cr_assert_eq(siphash13(0, 0, bytes, sizeof bytes), UINT64_C(0x6488077d8be5b7b5));
}

Test(siphash13, depends_on_each_half_of_the_key)
{
	uint64_t hash = siphash13(1, 2, "call", 4);

	cr_assert_neq(hash, siphash13(1, 3, "call", 4));
	cr_assert_neq(hash, siphash13(0, 2, "call", 4));
}

Test(steer, every_bucket_that_is_minted_is_read_back)
{
	struct steer_key key = key_of("node1");
	char call_id[33];

	for (unsigned bucket = 0; bucket < STEER_BUCKETS; bucket++) {
		mint(&key, bucket, call_id);
		cr_assert_eq(steer_bucket(&key, bytes_of(call_id)), bucket);
	}
}

/* What is not exactly of our form is hashed like any other: another length, another marker, a foreign character, a
 * number past the last bucket. */
Test(steer, what_only_resembles_ours_is_hashed)
{
	struct steer_key key = key_of("node1");
	static const struct {
		unsigned at;
		char c;
	} changes[] = {
		{ 0, '-' }, { 3, 'A' }, { 4, 'e' }, { 4, '7' }, { 4, '8' }, { 5, '1' }, { 5, 'A' }, { 6, '@' }
	};
	char call_id[34];

	for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		mint(&key, 99, call_id);
		call_id[changes[i].at] = changes[i].c;
		cr_expect_eq(steer_bucket(&key, bytes_of(call_id)),
			     siphash13(key.k0, key.k1, call_id, STEER_MINTED_SIZE) & (STEER_BUCKETS - 1));
	}
	mint(&key, 99, call_id);
	cr_expect_eq(steer_bucket(&key, (struct bytes){ call_id, 31 }),
		     siphash13(key.k0, key.k1, call_id, 31) & (STEER_BUCKETS - 1));
	call_id[32] = 'z';
	cr_expect_eq(steer_bucket(&key, (struct bytes){ call_id, 33 }),
		     siphash13(key.k0, key.k1, call_id, 33) & (STEER_BUCKETS - 1));
}

Test(steer, only_the_first_128_bytes_of_a_foreign_call_id_count)
{
	struct steer_key key = key_of("node1");
	char a[200], b[200];

	memset(a, 'a', sizeof a);
	memcpy(b, a, sizeof b);
	b[128] = 'b';
	cr_assert_eq(steer_bucket(&key, (struct bytes){ a, 200 }), steer_bucket(&key, (struct bytes){ b, 200 }));
	cr_assert_eq(steer_bucket(&key, (struct bytes){ a, 128 }), steer_bucket(&key, (struct bytes){ a, 200 }));
	b[127] = 'b';
	cr_assert_neq(steer_bucket(&key, (struct bytes){ a, 200 }), steer_bucket(&key, (struct bytes){ b, 200 }));
}

Test(steer, an_empty_call_id_has_a_bucket_too)
{
	struct steer_key key = key_of("node1");

	cr_assert_lt(steer_bucket(&key, BYTES_NONE), STEER_BUCKETS);
}

/* Nobody who knows one node can aim at a shard of another: names and secrets change keys and marker. */
Test(steer, the_key_depends_on_secret_and_node)
{
	uint8_t other[32];
	struct steer_key a = key_of("node1"), b = key_of("node2"), again = key_of("node1"), c;

	memcpy(other, SECRET, sizeof other);
	other[15] ^= 1;
	steer_key_init(&c, other, "node1");
	cr_assert_arr_eq(a.marker, again.marker, STEER_MARKER_SIZE);
	cr_assert_eq(a.k0, again.k0);
	cr_assert_eq(a.k1, again.k1);
	cr_assert(a.k0 != b.k0 && a.k1 != b.k1 && memcmp(a.marker, b.marker, STEER_MARKER_SIZE) != 0);
	cr_assert(a.k0 != c.k0 && a.k1 != c.k1 && memcmp(a.marker, c.marker, STEER_MARKER_SIZE) != 0);
	for (unsigned i = 0; i < STEER_MARKER_SIZE; i++)
		cr_assert_not_null(strchr(STEER_ALPHABET, a.marker[i]));
}

/* One busy trunk counts its Call-IDs up; its calls still fall evenly into the buckets.  Chi-squared with 4095 degrees
 * of freedom: 4095 +- 90; six times that is never reached by an even spread. */
Test(steer, counted_call_ids_of_one_trunk_spread_evenly)
{
	enum { CALLS = 409600, EXPECTED = CALLS / STEER_BUCKETS };
	static unsigned counts[STEER_BUCKETS];
	struct steer_key key = key_of("node1");
	double chi_squared = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		char call_id[64];

		snprintf(call_id, sizeof call_id, "%u@192.0.2.1", 1000000 + i);
		counts[steer_bucket(&key, bytes_of(call_id))]++;
	}
	for (unsigned i = 0; i < STEER_BUCKETS; i++) {
		double difference = (double)counts[i] - EXPECTED;

		chi_squared += difference * difference / EXPECTED;
	}
	cr_assert_lt(chi_squared, 4095 + 540);
	cr_assert_gt(chi_squared, 4095 - 540);
}

Test(steer, each_worker_owns_an_equal_share_of_the_buckets)
{
	for (unsigned workers = 1; workers <= 64; workers++) {
		unsigned counts[64] = { 0 }, last = 0;

		for (unsigned bucket = 0; bucket < STEER_BUCKETS; bucket++) {
			unsigned worker = steer_worker(bucket, workers);

			cr_assert(worker < workers && worker >= last);
			last = worker;
			counts[worker]++;
		}
		for (unsigned i = 0; i < workers; i++)
			cr_assert(counts[i] >= STEER_BUCKETS / workers && counts[i] <= STEER_BUCKETS / workers + 1);
	}
}
