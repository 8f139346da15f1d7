/* Numbers in URIs.  RFC 3261 19.1.1, 19.1.6; RFC 3966 5.1.1; spec 7. */
#include <criterion/criterion.h>
#include <stdio.h>

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
	assert_number("sip:+44abc@10.0.0.1", "+44abc", "44abc"); /* but no leading + is ever looked up */
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

/* ---- which header ---- */

#define INVITE(uri, to, from, lines)                                                                                   \
	"INVITE " uri " SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nTo: " to "\r\nFrom: " from             \
	";tag=1\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n" lines "\r\n"

static void assert_received(const char *text, enum caller_source caller_from, enum callee_source callee_from,
			    const char *caller, const char *callee, const char *looked_up)
{
	static struct sip_message m;
	static char scratch[SIP_SCRATCH_BYTES];
	struct sip_refusal refusal;
	struct numbers n;
	const struct mapping_gateway mapping = { .caller_from = caller_from, .callee_from = callee_from };
	cr_assert_eq(sip_message_read(bytes_of(text), scratch, &m, &refusal), SIP_READ_OK, "%s", text);
	numbers_dialled(&n, &m);
	numbers_received(&n, &m, &mapping);
	const struct {
		enum call_number which;
		const char *wanted;
	} all[] = { { CALL_CALLER_IN, caller }, { CALL_CALLEE_IN, callee }, { CALL_CALLEE, looked_up } };
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		cr_assert(bytes_equal(n.at[all[i].which], bytes_of(all[i].wanted)), "%s\n%.*s, not %s", text,
			  (int)n.at[all[i].which].size, n.at[all[i].which].at, all[i].wanted);
}

static void assert_caller(const char *lines, enum caller_source caller_from, const char *caller)
{
	char text[1024];
	snprintf(text, sizeof text, INVITE("sip:1@h", "<sip:2@h>", "<sip:+3@h>", "%s"), lines);
	assert_received(text, caller_from, CALLEE_REQUEST_URI, caller, "1", "1");
}

#define ASSERTED(value)  "P-Asserted-Identity: " value "\r\n"
#define PREFERRED(value) "P-Preferred-Identity: " value "\r\n"
#define PARTY(value)     "Remote-Party-ID: " value "\r\n"

Test(caller_from, each_header)
{
	static const char lines[] = ASSERTED("<sip:5@h>") PREFERRED("<sip:6@h>") PARTY("<sip:7@h>;party=calling");
	assert_caller(lines, CALLER_FROM, "+3");
	assert_caller(lines, CALLER_P_ASSERTED_IDENTITY, "5");
	assert_caller(lines, CALLER_P_PREFERRED_IDENTITY, "6");
	assert_caller(lines, CALLER_REMOTE_PARTY_ID, "7");
}

/* RFC 3325 9.1: a sip and a tel URI, in one header or two; the first one counts. */
Test(caller_from, forms_of_the_header)
{
	assert_caller(ASSERTED("sip:5@h"), CALLER_P_ASSERTED_IDENTITY, "5");
	assert_caller(ASSERTED("<tel:+5-5;phone-context=x>"), CALLER_P_ASSERTED_IDENTITY, "+5-5");
	assert_caller(ASSERTED("tel:+55"), CALLER_P_ASSERTED_IDENTITY, "+55");
	assert_caller(ASSERTED("\"A <1>, B\" <sip:%2b5:pw@h;user=phone>"), CALLER_P_ASSERTED_IDENTITY, "+5");
	assert_caller(ASSERTED("<sip:5@h>, <tel:6>"), CALLER_P_ASSERTED_IDENTITY, "5");
	assert_caller(ASSERTED("<sip:5@h>") ASSERTED("<tel:6>"), CALLER_P_ASSERTED_IDENTITY, "5");
	assert_caller(ASSERTED("\r\n <sip:5@h>"), CALLER_P_ASSERTED_IDENTITY, "5"); /* a folded line */
	assert_caller(PARTY("<sip:5@h>;party=calling;privacy=full;screen=yes"), CALLER_REMOTE_PARTY_ID, "5");
}

/* What is wrong with a display name is no reason to take another number. */
Test(caller_from, a_display_name_without_quotes)
{
	assert_caller(ASSERTED("J\xc3\xb6rg (home) <sip:5@h>"), CALLER_P_ASSERTED_IDENTITY, "5");
	assert_caller(ASSERTED("a/b@c <sip:5@h>;x=y"), CALLER_P_ASSERTED_IDENTITY, "5");
}

Test(caller_from, what_is_missing_or_unreadable_leaves_from)
{
	static const char *const bad[] = {
		"",
		PREFERRED("<sip:6@h>"),
		ASSERTED(""),
		ASSERTED(","),
		ASSERTED("<sip:5@h"),
		ASSERTED("\"x <sip:5@h>"),
		ASSERTED("<sip:@>"),
		ASSERTED("<sip:5%zz@h>"),
		ASSERTED("5"),
		ASSERTED("<sip:h>"), /* no number */
		ASSERTED("<>"),
	};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_caller(bad[i], CALLER_P_ASSERTED_IDENTITY, "+3");
}

Test(callee_from, to)
{
	assert_received(INVITE("sip:+1@h", "<sip:+2-2@h>", "<sip:3@h>", ""), CALLER_FROM, CALLEE_TO, "3", "+2-2", "22");
	assert_received(INVITE("sip:+1@h", "\"x\" <tel:+2-2>", "<sip:3@h>", ""), CALLER_FROM, CALLEE_TO, "3", "+2-2",
			"22");
	assert_received(INVITE("sip:+1@h", "<sip:+2-2@h>", "<sip:3@h>", ""), CALLER_FROM, CALLEE_REQUEST_URI, "3", "+1",
			"1");
	/* no number in it */
	assert_received(INVITE("sip:+1@h", "<sip:h>", "<sip:3@h>", ""), CALLER_FROM, CALLEE_TO, "3", "+1", "1");
}
