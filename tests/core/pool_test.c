/* Pools of equal records: limits, order of reuse, generations. */
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "core/pool.h"

struct record {
	struct slot slot;
	uint64_t value;
};

static struct pool make(uint32_t size)
{
	struct pool p;
	cr_assert_eq(pool_create(&p, size, sizeof(struct record)), 0);
	return p;
}

Test(pool, takes_up_to_its_size_and_no_more)
{
	struct pool p = make(5);
	for (uint32_t i = 0; i < 5; i++) {
		cr_assert_eq(pool_free(&p), 5 - i);
		cr_assert_eq(pool_take(&p), i);
	}
	cr_assert_eq(pool_take(&p), POOL_NONE);
	pool_give(&p, 3);
	cr_assert_eq(pool_take(&p), 3);
	cr_assert_eq(pool_take(&p), POOL_NONE);
	pool_check(&p);
	pool_destroy(&p);
}

Test(pool, a_record_is_zeroed_when_taken)
{
	struct pool p = make(1);
	struct record *record = pool_at(&p, pool_take(&p));
	record->value = 7;
	pool_give(&p, 0);
	cr_assert_eq(pool_take(&p), 0);
	cr_assert_eq(record->value, 0);
	pool_destroy(&p);
}

/* An identifier of a record that is gone finds nothing, also when its slot is in use again. */
Test(pool, a_stale_generation_finds_nothing)
{
	struct pool p = make(1);
	struct record *record = pool_at(&p, pool_take(&p));
	uint32_t generation = record->slot.generation;
	cr_assert_eq(pool_find(&p, 0, generation), record);
	pool_give(&p, 0);
	cr_assert_null(pool_find(&p, 0, generation));
	pool_take(&p);
	cr_assert_null(pool_find(&p, 0, generation));
	cr_assert_eq(pool_find(&p, 0, generation + 1), record);
	cr_assert_null(pool_find(&p, 1, 0));
	cr_assert_null(pool_find(&p, POOL_NONE, 0));
	pool_destroy(&p);
}

Test(pool, generations_wrap_within_what_an_identifier_has_room_for)
{
	struct pool p = make(1);
	struct record *record = pool_at(&p, pool_take(&p));
	record->slot.generation = POOL_GENERATION_MAX;
	pool_give(&p, 0);
	pool_take(&p);
	cr_assert_eq(record->slot.generation, 0);
	cr_assert_not_null(pool_find(&p, 0, 0));
	pool_destroy(&p);
}

/* Slots come back first-in first-out, and only once some have gathered. */
Test(pool, slots_are_reused_late_and_in_order)
{
	struct pool p = make(3 * POOL_REUSE_AFTER);
	for (uint32_t i = 0; i < POOL_REUSE_AFTER; i++) {
		cr_assert_eq(pool_take(&p), i);
		pool_give(&p, i);
	}
	for (uint32_t i = 0; i < POOL_REUSE_AFTER; i++) {
		uint32_t index = pool_take(&p);
		cr_assert_eq(index, i);
		pool_give(&p, index);
	}
	cr_assert_eq(p.fresh, POOL_REUSE_AFTER);
	pool_check(&p);
	pool_destroy(&p);
}

/* prefault = on: every page is there before the first record is taken (mincore says so); otherwise it comes with use.
 */
Test(pool, memory_is_taken_on_use_or_at_once)
{
	enum { BYTES = 2 << 20 };
	unsigned char resident[BYTES / 4096];
	for (unsigned at_once = 0; at_once < 2; at_once++) {
		unsigned pages = 0;
		memory_take_at_once(at_once);
		char *memory = memory_reserve(BYTES);
		cr_assert(memory && mincore(memory, BYTES, resident) == 0);
		for (unsigned i = 0; i < BYTES / 4096; i++)
			pages += resident[i] & 1;
		cr_assert(at_once ? pages == BYTES / 4096 : pages < BYTES / 4096, "%u pages", pages);
		memory_release(memory, BYTES);
	}
}

Test(pool, walks_what_is_in_use)
{
	struct pool p = make(8);
	for (unsigned i = 0; i < 8; i++)
		pool_take(&p);
	for (uint32_t i = 0; i < 8; i += 2)
		pool_give(&p, i);
	uint32_t seen = 0;
	for (uint32_t i = pool_next_used(&p, 0); i != POOL_NONE; i = pool_next_used(&p, i + 1))
		seen |= 1u << i;
	cr_assert_eq(seen, 0xaa);
	cr_assert_eq(pool_index(&p, pool_at(&p, 5)), 5);
	pool_destroy(&p);
}
