/* Spec 7: prefixes as words, in a table that says where each may stand.  */
#include "billing/prefix_lines.h"

#include <criterion/criterion.h>
#include <stdio.h>

static uint64_t word_of(const char *text)
{
	uint64_t word = 0;

	for (; *text; text++)
		if ((word = prefix_word_next(word, *text)) == 0)
			return 0;
	return word;
}

static const struct prefix_slot *find(const struct prefix_lines *l, uint64_t word)
{
	return prefix_lines_find(prefix_lines_at(l, word), word);
}

Test(spec_7_prefix_lines, words_differ_and_know_their_length)
{
	cr_assert_neq(word_of("0"), word_of("00"));
	cr_assert_neq(word_of("*"), word_of("#"));
	cr_assert_eq(prefix_word_length(0), 0);
	cr_assert_eq(prefix_word_length(word_of("0")), 1);
	cr_assert_eq(prefix_word_length(word_of("9*#")), 3);
	cr_assert_eq(prefix_word_length(word_of("0123456789*#0123")), PREFIX_WORD_MAX);
	cr_assert_eq(prefix_word_length(word_of("################")), PREFIX_WORD_MAX);
	for (unsigned c = 0; c < 256; c++)
		cr_assert_eq(prefix_word_next(0, (char)c) != 0, c && strchr("0123456789*#", (int)c) != NULL);
}

/* Half full as they are meant to be, all find room and each is found; what was never entered is not. */
Test(spec_7_prefix_lines, every_word_is_found)
{
	enum { WORDS = 200000 };
	struct prefix_lines lines;
	char text[32];

	cr_assert_eq(prefix_lines_create(&lines, WORDS), 0);
	for (uint32_t i = 0; i < WORDS; i++) {
		snprintf(text, sizeof text, "%u", 7 * i);
		cr_assert(prefix_lines_put(&lines, word_of(text), (struct prefix_list){ i, i % 5 }));
	}
	for (uint32_t i = 0; i < 7 * WORDS; i++) {
		snprintf(text, sizeof text, "%u", i);
		const struct prefix_slot *slot = find(&lines, word_of(text));
		cr_assert_eq(slot != NULL, i % 7 == 0);
		if (slot)
			cr_assert(slot->list_first == i / 7 && slot->list_count == i / 7 % 5);
	}
	prefix_lines_destroy(&lines);
}

/* A table for one word has no more lines than one look-up may visit. */
Test(spec_7_prefix_lines, full_lines_refuse_and_lose_nothing)
{
	struct prefix_lines lines;
	const uint32_t most = PREFIX_LINES_FAR * PREFIX_LINE_SLOTS;

	cr_assert_eq(prefix_lines_create(&lines, 1), 0);
	for (uint32_t i = 0; i < most; i++)
		cr_assert(prefix_lines_put(&lines, 1 + i, (struct prefix_list){ i, PREFIX_LIST_MAX }));
	cr_assert_not(prefix_lines_put(&lines, 1 + most, (struct prefix_list){ 0, 1 }));
	for (uint32_t i = 0; i < most; i++) {
		cr_assert_eq(find(&lines, 1 + i)->list_first, i);
		cr_assert_eq(find(&lines, 1 + i)->list_count, PREFIX_LIST_MAX);
	}
	cr_assert_null(find(&lines, 1 + most));
	prefix_lines_destroy(&lines);
}
