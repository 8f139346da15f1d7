/* Messages written ahead: see the header. */
#include "bench/load_text.h"

#include <string.h>

enum place { PLACE_ID, PLACE_NUMBER, PLACE_SLOT, PLACE_STEP };

static const struct {
	const char *word;
	unsigned size;
} places[] = {
	[PLACE_ID] = { "{id}", LOAD_ID_SIZE },
	[PLACE_NUMBER] = { "{number}", LOAD_NUMBER_SIZE },
	[PLACE_SLOT] = { "{slot}", LOAD_SLOT_SIZE },
	[PLACE_STEP] = { "{step}", 1 },
};

static void write_hex(char *at, uint32_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 4)
		at[i] = "0123456789abcdef"[value & 15];
}

static void write_digits(char *at, unsigned digits, uint32_t value)
{
	while (digits-- > 0) {
		at[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

void load_name_set(struct load_name *name, uint32_t slot, uint32_t generation)
{
	write_hex(name->id, slot);
	write_hex(name->id + 8, generation);
	write_digits(name->number, 8, slot);
	write_digits(name->number + 8, 4, generation % LOAD_GENERATION_REST);
}

static bool read_hex(const char *at, uint32_t *ret_value)
{
	uint32_t value = 0;

	for (int i = 0; i < 8; i++) {
		unsigned digit = (unsigned char)at[i] - (unsigned)'0', letter = (unsigned char)at[i] - (unsigned)'a';

		if (digit > 9 && letter > 5)
			return false;
		value = value << 4 | (digit <= 9 ? digit : letter + 10);
	}
	*ret_value = value;
	return true;
}

bool load_name_read_id(const char *text, size_t size, uint32_t *ret_slot, uint32_t *ret_generation)
{
	return size >= LOAD_ID_SIZE && read_hex(text, ret_slot) && read_hex(text + 8, ret_generation);
}

bool load_name_read_number(const char *text, size_t size, uint32_t *ret_slot, uint32_t *ret_generation_rest)
{
	uint64_t value = 0;

	if (size < LOAD_NUMBER_SIZE)
		return false;
	for (int i = 0; i < LOAD_NUMBER_SIZE; i++) {
		unsigned digit = (unsigned char)text[i] - (unsigned)'0';

		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*ret_slot = (uint32_t)(value / LOAD_GENERATION_REST);
	*ret_generation_rest = (uint32_t)(value % LOAD_GENERATION_REST);
	return true;
}

/* The place that begins here; -1: none. */
static int place_at(const char *source)
{
	for (int i = PLACE_ID; i <= PLACE_STEP; i++)
		if (strncmp(source, places[i].word, strlen(places[i].word)) == 0)
			return i;
	return -1;
}

bool load_template_set(struct load_template *t, const char *source)
{
	t->size = t->places = 0;
	while (*source) {
		int kind = *source == '{' ? place_at(source) : -1;
		unsigned size = kind < 0 ? 1 : places[kind].size;

		if (t->size + size > LOAD_TEMPLATE_MAX || (kind >= 0 && t->places == LOAD_PLACES_MAX))
			return false;
		if (kind < 0) {
			t->text[t->size] = *source++;
		} else {
			memset(t->text + t->size, '0', size);
			t->place[t->places].at = t->size;
			t->place[t->places++].kind = (uint8_t)kind;
			source += strlen(places[kind].word);
		}
		t->size = (uint16_t)(t->size + size);
	}
	return true;
}

char *load_template_write(const struct load_template *t, const struct load_name *name, char *at)
{
	memcpy(at, t->text, t->size);
	for (unsigned i = 0; i < t->places; i++) {
		char *place = at + t->place[i].at;

		switch (t->place[i].kind) {
		case PLACE_ID:
			memcpy(place, name->id, LOAD_ID_SIZE);
			break;
		case PLACE_NUMBER:
			memcpy(place, name->number, LOAD_NUMBER_SIZE);
			break;
		case PLACE_SLOT:
			memcpy(place, name->number, LOAD_SLOT_SIZE);
			break;
		default:
			*place = name->step;
			break;
		}
	}
	return at + t->size;
}

char *load_write_number(char *at, uint32_t n)
{
	char digits[10];
	unsigned count = 0;

	do
		digits[count++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}
