/* What the generator reads of a message. */
#include "bench/load_reader.h"

#include <criterion/criterion.h>
#include <string.h>

#define END "\r\n"

static void is(struct bytes b, const char *text)
{
	cr_assert(b.size == strlen(text) && memcmp(b.at, text, b.size) == 0, "\"%.*s\" is not \"%s\"", (int)b.size,
		  b.at, text);
}

Test(load_reader, a_request)
{
	struct load_message m;

	cr_assert(load_read(BYTES("INVITE sip:1@a:5 SIP/2.0" END "Via: one" END "v: two" END "f: me" END
				  "t: <sip:x;tag=no>;p=1 ; TAG=yes;q" END "i:  id@h " END "CSeq: 17 INVITE" END
				  "m: \"x\" <sip:c@d;e>;f" END "Session-Expires: 600;refresher=uas" END
				  "Record-Route: <sip:p;lr>" END "c: application/sdp" END END "v=0" END),
			    &m));
	cr_assert(m.status == 0 && m.method == LOAD_INVITE && m.cseq == 17);
	cr_assert(m.via_count == 2 && m.record_route_count == 1);
	is(m.uri, "sip:1@a:5");
	is(m.via[1], "v: two" END);
	is(m.from, "f: me" END);
	is(m.to_tag, "yes");
	is(m.call_id_value, "id@h");
	is(m.contact, "sip:c@d;e");
	is(m.session_expires, "600;refresher=uas");
	is(m.content_type, "c: application/sdp" END);
	is(m.body, "v=0" END);
}

Test(load_reader, a_response_has_the_method_of_its_cseq)
{
	struct load_message m;

	cr_assert(load_read(BYTES("SIP/2.0 200 OK" END "Via: v" END "From: f" END "To: sip:x@y;tag=t" END
				  "Call-ID: i" END "CSeq: 2 BYE" END END),
			    &m));
	cr_assert(m.status == 200 && m.method == LOAD_BYE);
	is(m.to_tag, "t");
	cr_assert_eq(m.contact.size, 0u);
	cr_assert_eq(m.body.size, 0u);
}

/* RFC 3261 8.1.1: without these nothing can be answered. */
Test(load_reader, a_message_without_what_all_need_is_refused)
{
	static const char *const lines[] = { "Via: v" END, "From: f" END, "To: t" END, "Call-ID: i" END,
					     "CSeq: 1 ACK" END };
	struct load_message m;

	for (unsigned left_out = 0; left_out <= 5; left_out++) {
		char text[200] = "ACK sip:x SIP/2.0" END;

		for (unsigned i = 0; i < 5; i++)
			if (i != left_out)
				strcat(text, lines[i]);
		strcat(text, END);
		cr_assert_eq(load_read(bytes_of(text), &m), left_out == 5);
	}
}

Test(load_reader, what_is_no_message_is_refused)
{
	static const char *const texts[] = {
		"", "\r\n\r\n", "INVITE" END, "INVITE sip:x" END END, "SIP/2.0 99 x" END END, "SIP/2.0 700 x" END END
	};
	struct load_message m;

	for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
		cr_assert_not(load_read(bytes_of(texts[i]), &m), "%s", texts[i]);
}

Test(load_reader, uris)
{
	struct bytes user, host;

	load_read_uri(BYTES("sip:123@1.2.3.4:5;transport=udp"), &user, &host);
	is(user, "123");
	is(host, "1.2.3.4:5");
	load_read_uri(BYTES("sip:[::1]:5060>"), &user, &host);
	cr_assert_eq(user.size, 0u);
}
