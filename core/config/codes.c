/* See codes.h.  */
#include "core/config/codes.h"

#include <stdio.h>
#include <string.h>

/* A code is three digits, the first of which is 3 to 6.  NULL, or behind it. */
static const char *read_code(const char *at, uint16_t *ret_code)
{
	for (unsigned i = 0; i < 3; i++)
		if (at[i] < '0' || at[i] > '9')
			return NULL;
	if (at[0] < '3' || at[0] > '6')
		return NULL;
	*ret_code = (uint16_t)((at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0'));
	return at + 3;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* NULL, or behind the codes. */
static const char *read_range(const char *at, struct code_range *ret_range)
{
	if (at[0] >= '3' && at[0] <= '6' && (at[1] == 'x' || at[1] == 'X') && at[2] == at[1]) {
		uint16_t first = (uint16_t)((at[0] - '0') * 100);

		*ret_range = (struct code_range){ first, (uint16_t)(first + 99) };
		return at + 3;
	}
	at = read_code(at, &ret_range->first);
	if (!at)
		return NULL;
	ret_range->last = ret_range->first;
	if (*skip_blanks(at) != '-' || skip_blanks(at)[1] == '>')
		return at;
	return read_code(skip_blanks(skip_blanks(at) + 1), &ret_range->last);
}

const char *codes_read(const char *text, struct code_range *ret_range)
{
	struct code_range range;
	const char *rest = read_range(skip_blanks(text), &range);

	if (!rest || *skip_blanks(rest))
		return "not a code within 300..699, a range as 480-489 or a class as 5xx";
	if (range.last < range.first)
		return "the range ends before it begins";
	*ret_range = range;
	return NULL;
}

void codes_write(uint16_t first, uint16_t last, char text[static CODES_TEXT_MAX])
{
	if (first == last)
		snprintf(text, CODES_TEXT_MAX, "%u", first);
	else
		snprintf(text, CODES_TEXT_MAX, "%u-%u", first, last);
}

const char *reason_rule_read(const char *text, struct reason_rule *ret_rule)
{
	struct code_range from;
	const char *at = read_range(skip_blanks(text), &from);
	uint16_t to;

	if (!at)
		return "it does not begin with a code within 300..699, a range as 500-599 or a class as 5xx";
	at = skip_blanks(at);
	if (at[0] != '-' || at[1] != '>')
		return "not a rule as in \"503 -> 480\"";
	at = read_code(skip_blanks(at + 2), &to);
	if (!at || *skip_blanks(at) || to < 400)
		return "what stands behind -> is not a code within 400..699";
	if (from.last < from.first)
		return "the range ends before it begins";
	*ret_rule = (struct reason_rule){ from.first, from.last, to };
	return NULL;
}

void reason_rule_write(const struct reason_rule *rule, char text[static CODES_TEXT_MAX])
{
	char from[CODES_TEXT_MAX];

	codes_write(rule->from_first, rule->from_last, from);
	snprintf(text, CODES_TEXT_MAX, "%.8s -> %u", from, rule->to);
}
