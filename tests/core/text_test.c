/* Room for texts: every size, the limit, pages that go back, and random use against a model. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/text.h"

static struct text_store make(uint64_t bytes)
{
	struct text_store t;
	cr_assert_eq(text_store_create(&t, bytes), 0);
	return t;
}

static char letter(uint32_t size, uint32_t i)
{
	return (char)(size * 31 + i * 7);
}

/* Every size there is, each text whole beside its neighbours. */
Test(text, keeps_every_size)
{
	struct text_store t = make(UINT64_C(1) << 30);
	uint32_t *handles = calloc(TEXT_BYTES_MAX + 1, sizeof *handles);
	char *text = malloc(TEXT_BYTES_MAX);
	for (uint32_t size = 0; size <= TEXT_BYTES_MAX; size += size < 600 ? 1 : 37) {
		for (uint32_t i = 0; i < size; i++)
			text[i] = letter(size, i);
		handles[size] = text_put(&t, (struct bytes){ text, size });
		cr_assert_neq(handles[size], TEXT_NONE, "%u bytes", size);
	}
	text_check(&t);
	for (uint32_t size = 0; size <= TEXT_BYTES_MAX; size++) {
		if (!handles[size])
			continue;
		struct bytes kept = text_get(&t, handles[size]);
		cr_assert_eq(kept.size, size);
		for (uint32_t i = 0; i < size; i++)
			cr_assert(kept.at[i] == letter(size, i), "byte %u of %u", i, size);
		text_give(&t, handles[size]);
	}
	cr_assert_eq(t.used_bytes, 0);
	text_check(&t);
	free(text);
	free(handles);
	text_store_destroy(&t);
}

Test(text, nothing_and_too_much)
{
	struct text_store t = make(TEXT_PAGE);
	cr_assert_eq(text_take(&t, TEXT_BYTES_MAX + 1), TEXT_NONE);
	cr_assert_eq(text_take(&t, UINT32_MAX), TEXT_NONE);
	cr_assert_eq(text_get(&t, TEXT_NONE).size, 0);
	text_give(&t, TEXT_NONE);
	uint32_t largest = text_take(&t, TEXT_BYTES_MAX);
	cr_assert_neq(largest, TEXT_NONE);
	cr_assert_eq(text_size(&t, largest), TEXT_BYTES_MAX);
	text_store_destroy(&t);
}

/* A full arena refuses; a page that is empty again serves any other size. */
Test(text, an_empty_page_goes_back_to_all_sizes)
{
	struct text_store t = make(2 * TEXT_PAGE);
	uint32_t handles[2 * TEXT_PAGE / 32], count = 0, handle;
	while ((handle = text_take(&t, 20)) != TEXT_NONE)
		handles[count++] = handle;
	cr_assert_eq(count, 2 * TEXT_PAGE / 32);
	cr_assert_eq(text_take(&t, 1000), TEXT_NONE);
	for (uint32_t i = 0; i < count / 2; i++)
		text_give(&t, handles[i]);
	cr_assert_neq(text_take(&t, 1000), TEXT_NONE);
	cr_assert_eq(text_take(&t, 20), TEXT_NONE);
	text_give(&t, handles[count - 1]);
	cr_assert_eq(text_take(&t, 20), handles[count - 1]);
	text_check(&t);
	text_store_destroy(&t);
}

/* 200,000 random steps against a table of what should be there. */
Test(text, random_use_against_a_model)
{
	enum { SLOTS = 500 };
	struct text_store t = make(8 * TEXT_PAGE);
	uint32_t handles[SLOTS] = { 0 }, sizes[SLOTS] = { 0 }, refused = 0;
	uint64_t random = 88172645463325252u;
	for (unsigned step = 0; step < 200000; step++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint32_t slot = (uint32_t)(random >> 8) % SLOTS;
		if (handles[slot]) {
			struct bytes kept = text_get(&t, handles[slot]);
			cr_assert_eq(kept.size, sizes[slot]);
			if (kept.size)
				cr_assert(kept.at[0] == (char)slot && kept.at[kept.size - 1] == (char)slot);
			text_give(&t, handles[slot]);
			handles[slot] = 0;
			continue;
		}
		sizes[slot] = (uint32_t)(random >> 40) % ((random & 7) ? 500 : TEXT_BYTES_MAX);
		handles[slot] = text_take(&t, sizes[slot]);
		refused += !handles[slot];
		if (handles[slot])
			memset(text_at(&t, handles[slot]), (int)slot, sizes[slot]);
		if (step % 1000 == 0)
			text_check(&t);
	}
	cr_assert_gt(refused, 0, "the arena was never full");
	for (unsigned i = 0; i < SLOTS; i++)
		text_give(&t, handles[i]);
	cr_assert_eq(t.used_count, 0);
	cr_assert_eq(t.used_bytes, 0);
	text_check(&t);
	text_store_destroy(&t);
}
