/* Bytes that wait for a connection: what goes in comes out, and the store has all its blocks back. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/net/outbox.h"

enum { BLOCKS = 6 };

static struct buffers blocks;
static struct outbox o;
static uint32_t put, got; /* bytes so far: each follows from its place */

static void make(void)
{
	cr_assert_eq(buffers_create(&blocks, BLOCKS, OUTBOX_BLOCK_BYTES), 0);
	outbox_init(&o);
	put = got = 0;
}

static void destroy(void)
{
	buffers_destroy(&blocks);
}

TestSuite(outbox, .init = make, .fini = destroy);

static char byte_at(uint32_t place)
{
	return (char)(place * 31 + place / 251);
}

static bool add(uint32_t size)
{
	char *bytes = malloc(size);

	for (uint32_t i = 0; i < size; i++)
		bytes[i] = byte_at(put + i);
	bool added = outbox_add(&o, &blocks, (struct bytes){ bytes, size });
	free(bytes);
	if (added)
		put += size;
	return added;
}

/* Sends at most so much of what goes next. */
static void sent(uint32_t most)
{
	struct bytes next = outbox_next(&o, &blocks);
	const uint32_t size = next.size < most ? next.size : most;

	for (uint32_t i = 0; i < size; i++)
		cr_assert_eq(next.at[i], byte_at(got + i));
	outbox_sent(&o, &blocks, size);
	got += size;
}

Test(outbox, bytes_come_out_in_their_order)
{
	srand(7);
	for (unsigned i = 0; i < 20000; i++) {
		if (rand() % 2 && !add((uint32_t)(rand() % 3000) + 1))
			cr_assert_geq(blocks.used, BLOCKS - 1);
		while (o.size > 0 && rand() % 3)
			sent((uint32_t)(rand() % 5000) + 1);
		cr_assert_eq(o.size, put - got);
		cr_assert_leq(blocks.used, BLOCKS);
		cr_assert_eq(blocks.used == 0, o.size == 0);
	}
	while (o.size > 0)
		sent(UINT32_MAX);
	cr_assert_eq(blocks.used, 0);
	cr_assert_gt(got, 1000000);
}

Test(outbox, what_does_not_fit_is_not_put_at_all)
{
	cr_assert(add(OUTBOX_BLOCK_BYTES * (BLOCKS - 1)));
	const uint32_t size = o.size, used = blocks.used;
	cr_assert_not(add(2 * OUTBOX_BLOCK_BYTES));
	cr_assert_eq(o.size, size);
	cr_assert_eq(blocks.used, used);
	while (o.size > 0)
		sent(1000);
	cr_assert_eq(got, put);
}

/* The ring still reads what it was shown. */
Test(outbox, what_is_shown_stays_where_it_is)
{
	cr_assert(add(100));
	const char *at = outbox_next(&o, &blocks).at;
	cr_assert(add(3 * OUTBOX_BLOCK_BYTES));
	cr_assert_eq(outbox_next(&o, &blocks).at, at);
	cr_assert_gt(outbox_next(&o, &blocks).size, 100);
	outbox_clear(&o, &blocks);
	cr_assert_eq(blocks.used, 0);
	cr_assert_eq(outbox_next(&o, &blocks).size, 0);
}
