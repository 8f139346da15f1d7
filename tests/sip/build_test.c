/* Building messages.  RFC 3261 8.2.6.2, 18.2.1, 25.1; RFC 3581 4. */
#include "reading.h"
#include "sip/build.h"

static char room[4096];

static struct builder begin(size_t size)
{
	struct builder b;
	build_begin(&b, room, size);
	return b;
}

#define assert_built(b, expected)                                                                                      \
	do {                                                                                                           \
		cr_assert_not((b).overflow);                                                                           \
		struct bytes built = { (b).start, (uint32_t)build_size(&(b)) };                                        \
		assert_text(built, expected);                                                                          \
	} while (0)

Test(build, numbers)
{
	struct builder b = begin(sizeof room);
	build_number(&b, 0);
	build_text(&b, " ");
	build_number(&b, 10);
	build_text(&b, " ");
	build_number(&b, UINT32_MAX);
	assert_built(b, "0 10 4294967295");
}

/* Room that ends in the middle of each part: overflow, and never a byte too far. */
Test(build, what_does_not_fit_overflows)
{
	for (size_t size = 0; size < 64; size++) {
		memset(room, 'x', sizeof room);
		struct builder b = begin(size);
		build_status_line(&b, 486, BYTES_NONE);
		build_body(&b, BYTES("12345678"));
		cr_assert_eq(b.overflow, size < 23 + 19 + 2 + 8, "%zu bytes", size);
		cr_assert_leq(build_size(&b), size);
		cr_assert_eq(room[size], 'x');
	}
}

Test(rfc3261_7_2, a_status_line_has_the_words_of_the_rfc_unless_told_others)
{
	struct builder b = begin(sizeof room);
	build_status_line(&b, 486, BYTES_NONE);
	build_status_line(&b, 482, BYTES("Merged Request"));
	assert_built(b, "SIP/2.0 486 Busy Here\r\nSIP/2.0 482 Merged Request\r\n");
}

Test(rfc3261_25_1, a_user_is_escaped_where_it_must_be)
{
	struct builder b = begin(sizeof room);
	build_user(&b, BYTES("+49-30;x=1/a b@c%\"<>#\x80"));
	assert_built(b, "+49-30;x=1/a%20b%40c%25%22%3C%3E%23%80");
}

static void assert_head(const char *request, const char *source, uint16_t port, const char *tag, bool record_route,
			const char *expected)
{
	struct address from;
	struct builder b = begin(sizeof room);
	cr_assert_eq(read_text(request), SIP_READ_OK, "%s", request);
	cr_assert(address_read_host(bytes_of(source), &from));
	from.port = port;
	build_response_head(&b, &message, &from, bytes_of(tag), record_route);
	assert_built(b, expected);
}

#define REST "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 7 INVITE\r\n"
#define BACK "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=t\r\nCall-ID: x\r\nCSeq: 7 INVITE\r\n"
#define LINE "INVITE sip:c@d SIP/2.0\r\n"

Test(rfc3581_4, rport_and_received_are_filled_in)
{
	assert_head(LINE "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1;rport\r\n" REST END, "192.0.2.1", 6000, "t",
		    false, "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1;rport=6000;received=192.0.2.1\r\n" BACK);
}

Test(rfc3261_18_2_1, received_is_added_when_the_source_is_another)
{
	assert_head(LINE "Via: SIP/2.0/UDP host.example;branch=z9hG4bK1\r\n" REST END, "192.0.2.1", 5060, "t", false,
		    "Via: SIP/2.0/UDP host.example;branch=z9hG4bK1;received=192.0.2.1\r\n" BACK);
	assert_head(LINE "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n" REST END, "192.0.2.1", 5060, "t", false,
		    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n" BACK);
	assert_head(LINE "Via: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1\r\n" REST END, "2001:db8::2", 5060, "t", false,
		    "Via: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1;received=2001:db8::2\r\n" BACK);
}

/* Several Vias, on one line or more, in their order; only the topmost is touched. */
Test(rfc3261_8_2_6_2, all_vias_are_repeated_in_order)
{
	assert_head(LINE "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2\r\n"
			 "Via: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bK3;rport\r\n" REST END,
		    "192.0.2.1", 5060, "t", false,
		    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport=5060;received=192.0.2.1, "
		    "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2\r\n"
		    "Via: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bK3;rport\r\n" BACK);
}

#define TOP "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"

Test(rfc3261_12_1_1, record_routes_are_repeated_when_a_dialog_is_made)
{
	static const char request[] =
		LINE TOP "Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>, <sip:p3;lr>\r\n" REST END;
	assert_head(request, "192.0.2.1", 5060, "t", true,
		    TOP "Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>, <sip:p3;lr>\r\n" BACK);
	assert_head(request, "192.0.2.1", 5060, "t", false, TOP BACK);
}

Test(rfc3261_8_2_6_2, a_to_with_a_tag_keeps_it)
{
	static const char rest[] = "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=own\r\nCall-ID: x\r\nCSeq: 7 INVITE\r\n";
	char request[512], expected[512];
	snprintf(request, sizeof request, LINE TOP "%s\r\n", rest);
	snprintf(expected, sizeof expected, TOP "%s", rest);
	assert_head(request, "192.0.2.1", 5060, "t", false, expected);
	assert_head(LINE TOP REST END, "192.0.2.1", 5060, "", false, TOP REST);
}

Test(rfc3261_20, a_body_brings_the_headers_that_describe_it)
{
	struct builder b = begin(sizeof room);
	cr_assert_eq(read_text(LINE TOP REST "Content-Type: application/sdp\r\nContent-Disposition: session\r\n"
					     "Content-Length: 4\r\n\r\nv=0\n"),
		     SIP_READ_OK);
	build_content_headers(&b, &message);
	build_body(&b, message.body);
	assert_built(b,
		     "Content-Type: application/sdp\r\nContent-Disposition: session\r\nContent-Length: 4\r\n\r\nv=0\n");
	cr_assert_eq(read_text(LINE TOP REST "Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n"),
		     SIP_READ_OK);
	b = begin(sizeof room);
	build_content_headers(&b, &message);
	build_body(&b, message.body);
	assert_built(b, "Content-Length: 0\r\n\r\n");
}

static void assert_timestamp(const char *stamp, uint64_t waited_ns, const char *expected)
{
	struct builder b = begin(sizeof room);
	build_timestamp(&b, bytes_of(stamp), waited_ns);
	assert_built(b, expected);
}

/* 20.38: the value as it came, and a delay in seconds where there was one. */
Test(rfc3261_20_38, a_timestamp_is_repeated_with_its_delay)
{
	assert_timestamp("54", 0, "Timestamp: 54\r\n");
	assert_timestamp("54.21 1.5", 999999, "Timestamp: 54.21 1.5\r\n");
	assert_timestamp("54.21", 1000000, "Timestamp: 54.21 0.001\r\n");
	assert_timestamp("54.21 \t 1.5", 62 * UINT64_C(1000000000) + 70000000, "Timestamp: 54.21 62.070\r\n");
	assert_timestamp("", 5000000000, "");
}
