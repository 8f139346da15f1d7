/* Numbers in URIs.  RFC 3261 19.1.1, 19.1.6; RFC 3966 5.1.1; spec 7. */
#include <criterion/criterion.h>

#include "core/call/number.h"

static void assert_number(const char *uri, const char *received, const char *routed)
{
	char room[NUMBER_MAX], plain_room[NUMBER_MAX];
	struct bytes number = number_of_uri(bytes_of(uri), room);
	cr_assert(bytes_equal(number, bytes_of(received)), "%s: received %.*s", uri, (int)number.size, number.at);
	struct bytes plain = number_plain(number, plain_room);
	cr_assert(bytes_equal(plain, bytes_of(routed)), "%s: routed %.*s", uri, (int)plain.size, plain.at);
}

Test(number, what_is_received_and_what_is_routed)
{
	assert_number("sip:8801711000000@10.0.0.1", "8801711000000", "8801711000000");
	assert_number("sip:+8801711000000@10.0.0.1:5060;user=phone", "+8801711000000", "8801711000000");
	assert_number("sip:+1-303-555.1111@10.0.0.1", "+1-303-555.1111", "13035551111");
	assert_number("sip:(030)123@10.0.0.1", "(030)123", "030123");
	assert_number("sip:%2B4930123@10.0.0.1", "+4930123", "4930123");
	assert_number("sip:%2b49%330@10.0.0.1", "+4930", "4930");
	assert_number("sip:123;phone-context=+49@10.0.0.1", "123", "123");
	assert_number("sip:123:password@10.0.0.1", "123", "123");
	assert_number("sip:*21#@10.0.0.1", "*21#", "*21#");
	assert_number("tel:+49-30-123", "+49-30-123", "4930123");
	assert_number("sip:10.0.0.1", "", "");
}

/* A name is no telephone number: it is looked up as it stands. */
Test(number, a_name_keeps_its_characters)
{
	assert_number("sip:first.last@10.0.0.1", "first.last", "first.last");
	assert_number("sip:a+b@10.0.0.1", "a+b", "a+b");
	assert_number("sip:-.-@10.0.0.1", "-.-", "-.-");
}

Test(number, a_uri_that_cannot_be_read_has_none)
{
	assert_number("sip:12%3@10.0.0.1", "", "");
	assert_number("", "", "");
}

Test(number, plain_in_place)
{
	char room[NUMBER_MAX];
	struct bytes number = number_of_uri(BYTES("sip:+1-2-3@h"), room);
	number = number_plain(number, room);
	cr_assert(bytes_equal(number, BYTES("123")));
}

/* Longer than any number: cut, never more than the room. */
Test(number, a_long_user_part_stays_within_its_room)
{
	char uri[600] = "sip:", room[NUMBER_MAX + 8];
	memset(room, 'x', sizeof room);
	memset(uri + 4, '7', 500);
	memcpy(uri + 504, "@h", 3);
	struct bytes number = number_of_uri(bytes_of(uri), room);
	cr_assert_leq(number.size, NUMBER_MAX);
	cr_assert_eq(room[NUMBER_MAX], 'x');
}
