/* Single values: lists, parameters, URIs, name-addr, Via.  RFC 3261 7.3.1, 19.1, 20.10, 20.42, 25.1; RFC 5118. */
#include "reading.h"

static void assert_elements(const char *value, const char *const *expected, size_t count)
{
	struct bytes rest = bytes_of(value), element;

	for (size_t i = 0; i < count; i++) {
		cr_assert(sip_list_next(&rest, &element), "%s: element %zu", value, i);
		assert_text(element, expected[i]);
	}
	cr_assert_not(sip_list_next(&rest, &element), "%s", value);
}

#define LIST(value, ...)                                                                                               \
	assert_elements(value, (const char *const[]){ __VA_ARGS__ },                                                   \
			sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

Test(rfc3261_7_3_1, list_is_split_at_commas_outside_quotes_and_brackets)
{
	LIST("a", "a");
	LIST(" a ,\tb,c ", "a", "b", "c");
	LIST("<sip:a,b@c>;x=\"1,2\",\"d,\\\",e\" <sip:f>", "<sip:a,b@c>;x=\"1,2\"", "\"d,\\\",e\" <sip:f>");
	LIST(",, a,,b,", "a", "b");
	LIST("\"never closed, really", "\"never closed, really");
	LIST("<never closed, really", "<never closed, really");
	assert_elements("", NULL, 0);
	assert_elements(" ,, ", NULL, 0);
}

Test(rfc3261_7_3_1, parameter_is_found_by_name_without_case)
{
	struct bytes list = bytes_of("lr;Tag = \"x;y\" ; EXPIRES=60;empty=;expires=9"), value;

	cr_assert(sip_parameter(list, BYTES("expires"), &value));
	assert_text(value, "60");
	cr_assert(sip_parameter(list, BYTES("tag"), &value));
	assert_text(value, "\"x;y\"");
	cr_assert(sip_parameter(list, BYTES("lr"), &value));
	cr_assert_eq(value.size, 0);
	cr_assert(sip_parameter(list, BYTES("Empty"), &value));
	cr_assert_eq(value.size, 0);
	cr_assert_not(sip_parameter(list, BYTES("y"), &value));
	cr_assert_not(sip_parameter(list, BYTES("expire"), &value));
	cr_assert_not(sip_parameter(BYTES_NONE, BYTES("lr"), &value));
}

Test(rfc3261_7_3_1, parameters_follow_the_value_proper)
{
	assert_text(sip_parameters_of(BYTES("1800;refresher=uac")), "refresher=uac");
	assert_text(sip_parameters_of(BYTES("\"a;b\" <sip:c;lr>;tag=1;x")), "tag=1;x");
	cr_assert_eq(sip_parameters_of(BYTES("<sip:c;lr>")).size, 0);
	cr_assert_eq(sip_parameters_of(BYTES_NONE).size, 0);
}

Test(rfc3261_25_1, number_is_digits_of_32_bits)
{
	uint32_t number = 5;

	cr_assert(sip_read_number(BYTES("0"), &number));
	cr_assert_eq(number, 0);
	cr_assert(sip_read_number(BYTES("0004294967295"), &number));
	cr_assert_eq(number, UINT32_MAX);
	cr_assert_not(sip_read_number(BYTES("4294967296"), &number));
	cr_assert_not(sip_read_number(BYTES("18446744073709551616"), &number));
	cr_assert_not(sip_read_number(BYTES("99999999999999999999999999999999"), &number));
	cr_assert_not(sip_read_number(BYTES(""), &number));
	cr_assert_not(sip_read_number(BYTES("-1"), &number));
	cr_assert_not(sip_read_number(BYTES("+1"), &number));
	cr_assert_not(sip_read_number(BYTES(" 1"), &number));
	cr_assert_not(sip_read_number(BYTES("1a"), &number));
	cr_assert_eq(number, UINT32_MAX, "nothing is written on failure");
}

Test(rfc3261_19_1_1, uri_is_taken_apart)
{
	static const struct {
		const char *text, *scheme, *user, *host;
		unsigned port;
		const char *parameters, *headers;
	} cases[] = {
		{ "sip:a@b", "sip", "a", "b", 0, "", "" },
		{ "SIPS:b", "SIPS", "", "b", 0, "", "" },
		{ "sip:a:pass@b.example:5061;transport=udp;lr?x=y&z=w", "sip", "a", "b.example", 5061,
		  "transport=udp;lr", "x=y&z=w" },
		{ "sip:a@[2001:db8::10:5070]", "sip", "a", "[2001:db8::10:5070]", 0, "", "" },
		{ "sip:[2001:db8::10]:5070", "sip", "", "[2001:db8::10]", 5070, "", "" },
		{ "sip:user;par=u%40example.net@example.com", "sip", "user;par=u%40example.net", "example.com", 0, "",
		  "" },
		{ "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@e",
		  "sip", "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", "e", 0, "", "" },
		{ "sip:b?x=y", "sip", "", "b", 0, "", "x=y" },
		{ "sip:*67#@my_host", "sip", "*67#", "my_host", 0, "", "" },
		{ "sip:@b", "sip", "", "b", 0, "", "" },
		{ "tel:+1-303;phone-context=b", "tel", "+1-303", "", 0, "phone-context=b", "" },
		{ "urn:service:sos", "urn", "", "", 0, "", "" },
		{ "soap.beep://192.0.2.103:3002", "soap.beep", "", "", 0, "", "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_uri uri;

		cr_assert(sip_read_uri(bytes_of(cases[i].text), &uri), "%s", cases[i].text);
		assert_text(uri.scheme, cases[i].scheme);
		assert_text(uri.user, cases[i].user);
		assert_text(uri.host, cases[i].host);
		assert_text(uri.parameters, cases[i].parameters);
		assert_text(uri.headers, cases[i].headers);
		cr_assert_eq(uri.port, cases[i].port, "%s", cases[i].text);
		cr_assert_eq(uri.is_sip, uri.scheme.size < 5 && (uri.scheme.at[0] | 0x20) == 's', "%s", cases[i].text);
	}
}

Test(rfc3261_19_1_1, uri_that_could_mean_two_things_is_refused)
{
	static const char *const wrong[] = {
		"",           "sip",         "sip:",           ":a",
		"1sip:a",     "sip:a@",      "sip:a@b@c",      "sip:2001:db8::10",
		"sip:a@b:",   "sip:a@b:0",   "sip:a@b:65536",  "sip:a@b:5060x",
		"sip:a@[::1", "sip:a@[]",    "sip:a@[::g]",    "sip:a b@c",
		"sip:a@b c",  "sip:a@b;<x>", "sip:\"a\"@b",    "sip:%4g@b",
		"sip:a@b%41", "sip:a@b;%",   "tel:",           "<sip:a@b>",
		" sip:a@b",   "sip:a@b ",    "sip:\xc3\xa9@b", "sip:a%41#@b",
	};
	struct sip_uri uri;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		cr_assert_not(sip_read_uri(bytes_of(wrong[i]), &uri), "%s", wrong[i]);
}

Test(rfc3261_20_10, name_address_is_taken_apart)
{
	static const struct {
		const char *text, *uri, *tag, *display;
	} cases[] = {
		{ "<sip:a@b>", "sip:a@b", "", "" },
		{ "sip:a@b", "sip:a@b", "", "" },
		{ "sip:a@b;tag=1", "sip:a@b", "1", "" },
		{ "sip:a@b ; x ; TAG = 1", "sip:a@b", "1", "" },
		{ "tel:+1;tag=1", "tel:+1", "1", "" },
		{ "\"A \\\" <B>\" <sip:a@b;lr?x=y>;x=\";tag=3\";tag=2", "sip:a@b;lr?x=y", "2", "\"A \\\" <B>\"" },
		{ "\"A\"<sip:a@b>", "sip:a@b", "", "\"A\"" },
		{ "A. G.  Bell <sip:a@b> ;tag=a48s", "sip:a@b", "a48s", "A. G.  Bell" },
		{ "Anonymous<sip:c8oqz84zk7z@privacy.org>;tag=x", "sip:c8oqz84zk7z@privacy.org", "x", "Anonymous" },
		{ "<http://www.example.com>;tag=3", "http://www.example.com", "3", "" },
		{ "<sip:a@b>;received=[2001:db8::1];tag=_token~1'+`*%!-.", "sip:a@b", "_token~1'+`*%!-.", "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_name_address address;

		cr_assert(sip_read_name_address(bytes_of(cases[i].text), &address), "%s", cases[i].text);
		assert_text(address.whole, cases[i].text);
		assert_text(address.uri, cases[i].uri);
		assert_text(address.tag, cases[i].tag);
		assert_text(address.display, cases[i].display);
	}
}

Test(rfc3261_20_10, broken_name_address_is_refused)
{
	static const char *const wrong[] = {
		"",
		"   ",
		"<>",
		"<sip:a@b",
		"\"A <sip:a@b>",
		"\"A\" sip:a@b",
		"< sip:a@b >",
		"sip:a@b?x=y",
		"sip:a,b@c",
		"<sip:a@b>;;tag=1",
		"<sip:a@b>;",
		"<sip:a@b>;tag",
		"<sip:a@b>;tag=",
		"<sip:a@b>;tag=\"1\"",
		"<sip:a@b>;tag=1;tag=2",
		"<sip:a@b> tag=1",
		"<sip:a@b>x",
		"<sip:a@b>, <sip:c>",
		"alan@example.com",
		"<alan>",
		"Bell, A <sip:a@b>",
		"a@b <sip:a@b>",
		"<sip:a@b>;x=\"1",
		"<sip:a@b>;x=y=z",
		"*",
		"\"A\" \"B\" <sip:a>",
	};
	struct sip_name_address address;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		cr_assert_not(sip_read_name_address(bytes_of(wrong[i]), &address), "%s", wrong[i]);
}

Test(rfc3261_20_42, via_is_taken_apart)
{
	static const struct {
		const char *text, *transport, *host;
		unsigned port;
		const char *branch, *received, *rport;
	} cases[] = {
		{ "SIP/2.0/UDP h", "UDP", "h", 0, "", "", NULL },
		{ "SIP/2.0/udp h:5060;branch=z9hG4bK1", "udp", "h", 5060, "z9hG4bK1", "", NULL },
		{ "SIP / 2.0 / TCP  h : 5061 ; Branch = x ;rport ; received=192.0.2.1", "TCP", "h", 5061, "x",
		  "192.0.2.1", ";rport" },
		{ "SIP/2.0/UDP [2001:db8::9]:6050;received=[2001:db8::9:255];rport=5;branch=z", "UDP", "[2001:db8::9]",
		  6050, "z", "[2001:db8::9:255]", ";rport=5" },
		{ "SIP/2.0/UDP [::1];received=2001:db8::9:255", "UDP", "[::1]", 0, "", "2001:db8::9:255", NULL },
		{ "SIP/2.0/UNKNOWN t4.example.com;hidden;ttl=1;maddr=h2", "UNKNOWN", "t4.example.com", 0, "", "",
		  NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_via via;

		cr_assert(sip_read_via(bytes_of(cases[i].text), &via), "%s", cases[i].text);
		assert_text(via.whole, cases[i].text);
		assert_text(via.transport, cases[i].transport);
		assert_text(via.host, cases[i].host);
		assert_text(via.branch, cases[i].branch);
		assert_text(via.received, cases[i].received);
		cr_assert_eq(via.port, cases[i].port);
		cr_assert_eq(via.has_rport, cases[i].rport != NULL);
		if (cases[i].rport)
			assert_text(via.rport, cases[i].rport);
	}
}

Test(rfc3261_20_42, broken_via_is_refused)
{
	static const char *const wrong[] = {
		"",
		"SIP/2.0/UDP",
		"SIP/2.0/UDP ",
		"SIP/2.0 h",
		"SIP/2.0/UDPh",
		"HTTP/1.1/UDP h",
		"SIP/2.0/UDP h:",
		"SIP/2.0/UDP h:0",
		"SIP/2.0/UDP h:65536",
		"SIP/2.0/UDP ::1",
		"SIP/2.0/UDP h;;",
		"SIP/2.0/UDP h;branch",
		"SIP/2.0/UDP h;branch=",
		"SIP/2.0/UDP h;branch=1;branch=2",
		"SIP/2.0/UDP h;rport;rport",
		"SIP/2.0/UDP h i",
		"SIP/2.0/UDP h;a=\"b",
		"SIP/2.0/UDP h;received=",
		"SIP/2.0/UDP h;branch=\"1\"",
		"SIP//UDP h",
	};
	struct sip_via via;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		cr_assert_not(sip_read_via(bytes_of(wrong[i]), &via), "%s", wrong[i]);
}

Test(rfc3261_7_1, methods_are_known_by_their_exact_names)
{
	for (enum sip_method method = SIP_METHOD_UNKNOWN + 1; method < SIP_METHODS; method++)
		cr_assert_eq(sip_method_of(sip_method_name(method)), method);
	assert_text(sip_method_name(SIP_SUBSCRIBE), "SUBSCRIBE");
	cr_assert_eq(sip_method_name(SIP_METHOD_UNKNOWN).size, 0);
	cr_assert_eq(sip_method_of(BYTES("invite")), SIP_METHOD_UNKNOWN);
	cr_assert_eq(sip_method_of(BYTES("INVITES")), SIP_METHOD_UNKNOWN);
	cr_assert_eq(sip_method_of(BYTES_NONE), SIP_METHOD_UNKNOWN);
}

Test(rfc3261_21, reason_phrases_are_the_rfc_s)
{
	cr_assert_str_eq(sip_reason_phrase(100), "Trying");
	cr_assert_str_eq(sip_reason_phrase(422), "Session Interval Too Small");
	cr_assert_str_eq(sip_reason_phrase(481), "Call/Transaction Does Not Exist");
	cr_assert_str_eq(sip_reason_phrase(606), "Not Acceptable");
	cr_assert_str_eq(sip_reason_phrase(299), "Unknown");
	cr_assert_str_eq(sip_reason_phrase(0), "Unknown");
}
