/* Names of calls and the messages written ahead. */
#include "bench/load_text.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint32_t slots[] = { 0, 1, 9999999, 10000000, LOAD_SLOTS_MAX - 1 };
static const uint32_t generations[] = { 0, 1, 9999, 10000, 0x1fffffff };

Test(load_text, a_name_is_read_as_it_was_written)
{
	for (unsigned i = 0; i < sizeof slots / sizeof slots[0]; i++)
		for (unsigned j = 0; j < sizeof generations / sizeof generations[0]; j++) {
			struct load_name name;
			uint32_t slot, generation;

			load_name_set(&name, slots[i], generations[j]);
			cr_assert(load_name_read_id(name.id, LOAD_ID_SIZE, &slot, &generation));
			cr_assert(slot == slots[i] && generation == generations[j]);
			cr_assert(load_name_read_number(name.number, LOAD_NUMBER_SIZE, &slot, &generation));
			cr_assert(slot == slots[i] && generation == generations[j] % LOAD_GENERATION_REST);
		}
}

Test(load_text, what_is_no_name_is_not_read_as_one)
{
	uint32_t slot, generation;

	cr_assert_not(load_name_read_id("0000000000000000", 15, &slot, &generation));
	cr_assert_not(load_name_read_id("000000000000000g", 16, &slot, &generation));
	cr_assert_not(load_name_read_id("000000000000000A", 16, &slot, &generation));
	cr_assert_not(load_name_read_number("00000000000", 11, &slot, &generation));
	cr_assert_not(load_name_read_number("00000000000a", 12, &slot, &generation));
}

Test(load_text, places_are_filled_in_and_the_rest_is_left)
{
	struct load_template t;
	struct load_name name = { .step = 'b' };
	char text[LOAD_TEMPLATE_MAX];

	load_name_set(&name, 42, 7);
	cr_assert(load_template_set(&t, "{id}, {number}, {slot}{step} {other} {"));
	char *end = load_template_write(&t, &name, text);
	cr_assert_eq(end - text, t.size);
	*end = '\0';
	cr_assert_str_eq(text, "0000002a00000007, 000000420007, 00000042b {other} {");
}

/* Two calls differ in their places only, so a template's size is that of each message. */
Test(load_text, a_template_has_one_size_whatever_it_is_filled_with)
{
	struct load_template t;
	struct load_name name = { .step = 'i' };
	char one[LOAD_TEMPLATE_MAX], other[LOAD_TEMPLATE_MAX];

	cr_assert(load_template_set(&t, "o={slot} {slot}\r\n"));
	load_name_set(&name, 1, 0);
	char *one_end = load_template_write(&t, &name, one);
	load_name_set(&name, LOAD_SLOTS_MAX - 1, 0);
	char *other_end = load_template_write(&t, &name, other);
	cr_assert_eq(one_end - one, other_end - other);
	cr_assert_neq(memcmp(one, other, t.size), 0);
}

Test(load_text, what_does_not_fit_is_refused)
{
	struct load_template t;
	static char source[LOAD_TEMPLATE_MAX + 2];

	memset(source, 'x', sizeof source - 1);
	cr_assert_not(load_template_set(&t, source));
	source[LOAD_TEMPLATE_MAX] = '\0';
	cr_assert(load_template_set(&t, source));
	memcpy(source + LOAD_TEMPLATE_MAX - 4, "{id}", 5);
	cr_assert_not(load_template_set(&t, source));
	source[0] = '\0';
	for (unsigned i = 0; i <= LOAD_PLACES_MAX; i++)
		strcat(source, "{step}");
	cr_assert_not(load_template_set(&t, source));
}

Test(load_text, numbers)
{
	char text[12];

	*load_write_number(text, 0) = '\0';
	cr_assert_str_eq(text, "0");
	*load_write_number(text, UINT32_MAX) = '\0';
	cr_assert_str_eq(text, "4294967295");
}
