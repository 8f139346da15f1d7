#include "billing/money.h"

#include <assert.h>
#include <string.h>

static const uint64_t units[MONEY_DECIMALS + 1] = { 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1 };

static uint64_t magnitude_of(int64_t e8)
{
	return e8 < 0 ? -(uint64_t)e8 : (uint64_t)e8;
}

/* Of a magnitude, in units of the last decimal. */
static uint64_t rounded_units(uint64_t magnitude, unsigned decimals)
{
	uint64_t unit = units[decimals];

	return magnitude / unit + (magnitude % unit * 2 >= unit);
}

/* ---- reading ---- */

/* Takes digits off the front, at most `most` of them, and puts them behind those of a number, which does not get far
 * above MONEY_MAX. */
static bool take_digits(const char **text, const char *end, unsigned most, uint64_t *number, unsigned *ret_count)
{
	unsigned count = 0;

	for (; *text < end && **text >= '0' && **text <= '9'; ++*text, count++) {
		if (count == most || *number > MONEY_MAX / 10)
			return false;
		*number = *number * 10 + (uint64_t)(**text - '0');
	}
	*ret_count = count;
	return count > 0;
}

bool money_parse(const char *text, size_t size, int64_t *ret_e8)
{
	const char *end;
	bool negative = false;
	uint64_t number = 0;
	unsigned count, decimals = 0;

	if (size == 0)
		return false;
	end = text + size;
	if (*text == '+' || *text == '-')
		negative = *text++ == '-';
	if (!take_digits(&text, end, UINT32_MAX, &number, &count))
		return false;
	if (text < end && *text == '.') {
		text++;
		if (!take_digits(&text, end, MONEY_DECIMALS, &number, &decimals))
			return false;
	}
	if (text != end || number > MONEY_MAX / units[decimals])
		return false;
	number *= units[decimals];
	*ret_e8 = negative ? -(int64_t)number : (int64_t)number;
	return true;
}

/* ---- writing ---- */

size_t money_write(int64_t e8, unsigned decimals, char out[static MONEY_TEXT_MAX])
{
	char reversed[MONEY_TEXT_MAX];
	size_t count = 0, size = 0;

	assert(decimals <= MONEY_DECIMALS);
	uint64_t number = rounded_units(magnitude_of(e8), decimals);
	bool negative = e8 < 0 && number > 0; /* what rounds to nothing has no sign */
	for (unsigned place = 0; place <= decimals || number > 0; place++, number /= 10) {
		if (place == decimals && decimals > 0)
			reversed[count++] = '.';
		reversed[count++] = (char)('0' + number % 10);
	}
	if (negative)
		out[size++] = '-';
	while (count > 0)
		out[size++] = reversed[--count];
	out[size] = '\0';
	assert(size < MONEY_TEXT_MAX);
	return size;
}

size_t money_write_short(int64_t e8, unsigned least, char out[static MONEY_TEXT_MAX])
{
	unsigned decimals = MONEY_DECIMALS;

	assert(least <= MONEY_DECIMALS);
	while (decimals > least && magnitude_of(e8) % units[decimals - 1] == 0)
		decimals--;
	return money_write(e8, decimals, out);
}

/* ---- rounding ---- */

int64_t money_round(int64_t e8, unsigned decimals)
{
	assert(decimals <= MONEY_DECIMALS);
	uint64_t number = rounded_units(magnitude_of(e8), decimals), most = (uint64_t)INT64_MAX / units[decimals];

	if (number > most)
		return e8 < 0 ? INT64_MIN : INT64_MAX;
	number *= units[decimals];
	return e8 < 0 ? -(int64_t)number : (int64_t)number;
}
