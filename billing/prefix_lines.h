/* Prefixes of numbers that fit a word of 64 bits, each with a list of whatever belongs to it (rates here, routing
 * gateways in core/config/routes.h): a hash table whose lines are lines of the processor's cache, so that a prefix is
 * there or not there for one access to memory.
 *
 * A word holds up to 16 characters out of digits, * and #, the first one topmost, four bits each.  No character is 0,
 * so that words of different length differ, and 0 is no word.
 *
 * An entry stands in the line that its word's hash names or, if that is full, in the first free slot of the next ones;
 * a line remembers whether anything went past it, so that who finds nothing in a full line mostly need not wait for the
 * next.  There are half as many entries as slots.  Nobody looks further than PREFIX_LINES_FAR lines, so words that were
 * made up to meet in one line cost no more than that; those that find no room have to stand elsewhere. */
#ifndef RW_BILLING_PREFIX_LINES_H
#define RW_BILLING_PREFIX_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREFIX_WORD_MAX   16 /* characters */
#define PREFIX_LINE_SLOTS 4
#define PREFIX_LINES_FAR  16
#define PREFIX_LIST_MAX   (UINT32_MAX >> 1) /* entries */

/* What belongs to one prefix: where in the table of all lists. */
struct prefix_list {
	uint32_t first, count;
};

struct prefix_slot {
	uint64_t word; /* 0: free, and so are the later ones of the line */
	uint32_t list_first, list_count : 31;
	uint32_t further : 1; /* of the last slot: something stands in a later line because this one is full */
};

struct prefix_line {
	_Alignas(64) struct prefix_slot slots[PREFIX_LINE_SLOTS];
};

struct prefix_lines {
	struct prefix_line *lines; /* PREFIX_LINES_FAR - 1 more than `count`: the last ones overflow into those */
	uint32_t count;
};

/* Room for so many words.  0 or -ENOMEM. */
int prefix_lines_create(struct prefix_lines *l, uint32_t words);
void prefix_lines_destroy(struct prefix_lines *l);

/* Enters a word that is not there yet.  false: the lines where it may stand are full. */
bool prefix_lines_put(struct prefix_lines *l, uint64_t word, struct prefix_list list);

/* The word of a prefix: one character more at its end.  0: the character has no code. */
static inline uint64_t prefix_word_next(uint64_t word, char c)
{
	static const uint8_t codes[256] = { ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
					    ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10, ['*'] = 11, ['#'] = 12 };
	uint8_t code = codes[(uint8_t)c];

	return code ? word << 4 | code : 0;
}

/* How many characters a word has. */
static inline uint32_t prefix_word_length(uint64_t word)
{
	return word ? (67u - (uint32_t)__builtin_clzll(word)) / 4 : 0;
}

/* The line where a word is to be looked for first. */
static inline struct prefix_line *prefix_lines_at(const struct prefix_lines *l, uint64_t word)
{
	word = (word ^ word >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	word = (word ^ word >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return l->lines + ((word >> 32) * l->count >> 32);
}

/* The slot of the word, from its line on; NULL: the word is not there. */
static inline const struct prefix_slot *prefix_lines_find(const struct prefix_line *line, uint64_t word)
{
	for (unsigned far = 0; far < PREFIX_LINES_FAR; far++, line++) {
		for (unsigned i = 0; i < PREFIX_LINE_SLOTS; i++)
			if (line->slots[i].word == word)
				return &line->slots[i];
		if (!line->slots[PREFIX_LINE_SLOTS - 1].further)
			break;
	}
	return NULL;
}

#endif
