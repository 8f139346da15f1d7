/* The head of a request inside a dialog, route sets, and where they lead.  RFC 3261 12.1, 12.2.1.1, 16.12.1.1. */
#include "reading.h"
#include "sip/dialog.h"

static char room[4096];

static struct bytes request_between(const char *local, const char *tag, const char *target, const char *routes)
{
	struct dialog dialog = { .text = {
					 [DIALOG_LOCAL] = bytes_of(local),
					 [DIALOG_REMOTE] = BYTES("<sip:peer@h>;tag=r"),
					 [DIALOG_TARGET] = bytes_of(target),
					 [DIALOG_ROUTES] = bytes_of(routes),
				 } };
	struct dialog_request request = { .method = BYTES("BYE"),
					  .call_id = BYTES("c"),
					  .local_tag = bytes_of(tag),
					  .transport = BYTES("UDP"),
					  .sent_by = BYTES("192.0.2.1:5060"),
					  .branch = BYTES("z9hG4bKb"),
					  .cseq = 3,
					  .max_forwards = 70 };
	struct builder b;
	build_begin(&b, room, sizeof room);
	dialog_build_request(&b, &dialog, &request);
	cr_assert_not(b.overflow);
	return (struct bytes){ room, (uint32_t)build_size(&b) };
}

static struct bytes request_from(const char *local, const char *tag, const char *routes)
{
	return request_between(local, tag, "sip:peer@192.0.2.9:5070", routes);
}

static struct bytes request_to(const char *target, const char *routes)
{
	return request_between("<sip:us@h>;tag=l", "", target, routes);
}

static struct bytes request_of(const char *routes)
{
	return request_from("<sip:us@h>;tag=l", "", routes);
}

#define VIA_OURS "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKb;rport\r\nMax-Forwards: 70\r\n"
#define REST     "From: <sip:us@h>;tag=l\r\nTo: <sip:peer@h>;tag=r\r\nCall-ID: c\r\nCSeq: 3 BYE\r\n"

Test(rfc3261_12_2_1_1, without_routes_the_target_is_the_request_uri)
{
	assert_text(request_of(""), "BYE sip:peer@192.0.2.9:5070 SIP/2.0\r\n" VIA_OURS REST);
}

/* A tag that the owner writes anew goes behind what else the header field says. */
Test(rfc3261_12_2_1_1, the_local_tag_may_be_given_apart)
{
	assert_text(request_from("<sip:us@h>", "l", ""), "BYE sip:peer@192.0.2.9:5070 SIP/2.0\r\n" VIA_OURS REST);
	assert_text(request_from("\"Us\" <sip:us@h>;x=y", "l", ""),
		    "BYE sip:peer@192.0.2.9:5070 SIP/2.0\r\n" VIA_OURS "From: \"Us\" <sip:us@h>;x=y;tag=l\r\n"
		    "To: <sip:peer@h>;tag=r\r\nCall-ID: c\r\nCSeq: 3 BYE\r\n");
}

Test(rfc3261_12_2_1_1, a_loose_router_leaves_the_target_in_the_request_uri)
{
	assert_text(request_of("<sip:p1;lr>, <sip:p2;lr>"),
		    "BYE sip:peer@192.0.2.9:5070 SIP/2.0\r\n" VIA_OURS "Route: <sip:p1;lr>, <sip:p2;lr>\r\n" REST);
}

static void assert_request_uri(const char *routes, const char *uri)
{
	char line[256];
	snprintf(line, sizeof line, "BYE %s SIP/2.0\r\n", uri);
	struct bytes request = request_of(routes);
	cr_assert(request.size > strlen(line) && memcmp(request.at, line, strlen(line)) == 0, "%.*s", (int)request.size,
		  request.at);
}

/* 19.1.1, table 1: headers and a method may stand in a route, but not in a request line. */
Test(rfc3261_19_1_1, a_request_uri_has_no_headers_and_no_method)
{
	assert_request_uri("<sip:p1;x?a=b>", "sip:p1;x");
	assert_request_uri("<sip:p1;method=INVITE>", "sip:p1");
	assert_request_uri("<sip:p1;METHOD=INVITE;transport=udp>", "sip:p1;transport=udp");
	assert_request_uri("<sip:p1;x;method;y=methods?method=x>", "sip:p1;x;y=methods");
	assert_request_uri("<sip:u;method=1@p1:5080;y>", "sip:u;method=1@p1:5080;y"); /* of the user part */
	assert_request_uri("<sip:u?x@p1>", "sip:u?x@p1");
	assert_request_uri("<sip:p1?>", "sip:p1");
	assert_request_uri("<sip:p1;>", "sip:p1;");
	assert_request_uri("<sip:[2001:db8::1]:5060;maddr=192.0.2.1>", "sip:[2001:db8::1]:5060;maddr=192.0.2.1");
}

static struct bytes first_line(struct bytes text)
{
	const char *end = memchr(text.at, '\r', text.size);
	return (struct bytes){ text.at, (uint32_t)(end - text.at) };
}

/* RFC 3261 19.1.1, table 1: headers and the method parameter of a Contact or a Record-Route are not for request-URIs.
 */
Test(rfc3261_12_2_1_1, what_a_request_uri_may_not_have_is_taken_out)
{
	static const char *const cases[][2] = {
		{ "sip:a@h", "sip:a@h" },
		{ "sip:a@h;x=y?Subject=hello", "sip:a@h;x=y" },
		{ "sip:a@h?Subject=hello", "sip:a@h" },
		{ "sip:a@h;method=INVITE", "sip:a@h" },
		{ "sip:a@h;x=y;method=INVITE;ob?Subject=hello", "sip:a@h;x=y;ob" },
		{ "sip:who?@h;transport=udp", "sip:who?@h;transport=udp" },
		{ "sip:method=x@h:5070;lr", "sip:method=x@h:5070;lr" },
		{ "tel:+4930?method=1", "tel:+4930?method=1" },
	};
	char wanted[100];
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(wanted, sizeof wanted, "BYE %s SIP/2.0", cases[i][1]);
		assert_text(first_line(request_to(cases[i][0], "")), wanted);
	}
	assert_text(first_line(request_of("<sip:p1;method=BYE?a=b>, <sip:p2;lr>")), "BYE sip:p1 SIP/2.0");
}

/* A strict router takes the request-URI, and the target goes to the end of the Route. */
Test(rfc3261_12_2_1_1, a_strict_router_takes_the_request_uri)
{
	assert_text(request_of("<sip:p1>, <sip:p2;lr>"),
		    "BYE sip:p1 SIP/2.0\r\n" VIA_OURS "Route: <sip:p2;lr>, <sip:peer@192.0.2.9:5070>\r\n" REST);
	assert_text(request_of("<sip:p1>"),
		    "BYE sip:p1 SIP/2.0\r\n" VIA_OURS "Route: <sip:peer@192.0.2.9:5070>\r\n" REST);
}

Test(rfc3261_12_1, the_route_set_is_in_order_for_the_uas_and_reversed_for_the_uac)
{
	struct builder b;
	cr_assert_eq(read_text(INVITE VIA FROM TO CALL_ID CSEQ
			       "Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>, \"x, y\" <sip:p3;lr>\r\n" END),
		     SIP_READ_OK);
	build_begin(&b, room, sizeof room);
	dialog_build_routes(&b, &message, false);
	struct bytes built = { room, (uint32_t)build_size(&b) };
	assert_text(built, "<sip:p1;lr>, <sip:p2;lr>, \"x, y\" <sip:p3;lr>");
	build_begin(&b, room, sizeof room);
	dialog_build_routes(&b, &message, true);
	built.size = (uint32_t)build_size(&b);
	assert_text(built, "\"x, y\" <sip:p3;lr>, <sip:p2;lr>, <sip:p1;lr>");
	cr_assert_eq(read_text(INVITE VIA FROM TO CALL_ID CSEQ END), SIP_READ_OK);
	build_begin(&b, room, sizeof room);
	dialog_build_routes(&b, &message, true);
	cr_assert_eq(build_size(&b), 0);
}

Test(rfc3261_12_2_1_1, the_next_hop_is_the_first_route_or_the_target)
{
	struct dialog dialog = { .text = { [DIALOG_TARGET] = BYTES("sip:peer@192.0.2.9") } };
	assert_text(dialog_next_hop(&dialog), "sip:peer@192.0.2.9");
	dialog.text[DIALOG_ROUTES] = BYTES("<sip:192.0.2.5:5070;lr>, <sip:p2;lr>");
	assert_text(dialog_next_hop(&dialog), "sip:192.0.2.5:5070;lr");
}

static void assert_address(const char *uri, const char *expected)
{
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	bool is_address = sip_uri_address(bytes_of(uri), &address);
	cr_assert_eq(is_address, expected != NULL, "%s", uri);
	if (!is_address)
		return;
	address_write(&address, text);
	cr_assert_str_eq(text, expected);
}

/* A host name is nobody's address: no worker waits for DNS. */
Test(rfc3261_19_1, where_a_uri_points)
{
	assert_address("sip:a@192.0.2.9", "192.0.2.9:5060");
	assert_address("sip:192.0.2.9:5070;lr", "192.0.2.9:5070");
	assert_address("sip:a@[2001:db8::1]:5062", "[2001:db8::1]:5062");
	assert_address("sip:a@host.example;maddr=192.0.2.7", "192.0.2.7:5060");
	assert_address("sip:a@host.example", NULL);
	assert_address("tel:+4930", NULL);
	assert_address("", NULL);
}
