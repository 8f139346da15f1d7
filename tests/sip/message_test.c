/* Whole messages: what is taken in place, what through the library, and each kind of refusal.  RFC 3261
 * 7, 8.1.1, 18.3, 20. */
#include "reading.h"

#define HEADERS VIA FROM TO CALL_ID CSEQ

static void assert_refused(const char *text, enum sip_bad why, unsigned status)
{
	cr_assert_eq(read_text(text), SIP_READ_BAD, "%s", text);
	cr_assert_eq(refusal.why, why, "%d: %s", refusal.why, text);
	cr_assert_eq(refusal.status, status, "%s", text);
	cr_assert(refusal.reason[0]);
	cr_assert(message.is_request && message.via.host.size && message.call_id.size);
}

static void assert_dropped(const char *text, enum sip_bad why)
{
	cr_assert_eq(read_text(text), SIP_READ_GARBAGE, "%s", text);
	cr_assert_eq(refusal.why, why, "%d: %s", refusal.why, text);
}

static void assert_taken(const char *text, bool by_library)
{
	cr_assert_eq(read_text(text), SIP_READ_OK, "%d: %s", refusal.why, text);
	cr_assert_eq(message.by_library, by_library, "%s", text);
}

Test(rfc3261_7, invite_is_read_in_place)
{
	const char *text =
		INVITE VIA FROM TO CALL_ID CSEQ "Max-Forwards: 70\r\n"
						"Contact: <sip:+13035551111@192.0.2.10:5062>, <sip:second>\r\n"
						"Supported: timer, 100rel\r\n"
						"X-Thing: kept; as, \"it\" is\r\n"
						"Supported: replaces\r\n"
						"Content-Type: application/sdp\r\n"
						"Content-Length: 5\r\n" END "v=0\r\n";
	const struct sip_header *h;

	assert_taken(text, false);
	cr_assert(message.is_request);
	cr_assert_eq(message.text.at, text);
	cr_assert_eq(message.method, SIP_INVITE);
	assert_text(message.method_text, "INVITE");
	assert_text(message.request_uri, "sip:+13035552222@198.51.100.20:5060");
	assert_text(message.via.host, "192.0.2.10");
	cr_assert_eq(message.via.port, 5062);
	assert_text(message.via.branch, "z9hG4bK-1");
	cr_assert(message.via.has_rport);
	assert_text(message.from.display, "\"Alice\"");
	assert_text(message.from.uri, "sip:+13035551111@192.0.2.10;user=phone");
	assert_text(message.from.tag, "a1");
	assert_text(message.to.uri, "sip:+13035552222@198.51.100.20");
	cr_assert_eq(message.to.tag.size, 0);
	assert_text(message.call_id, "8a7b@192.0.2.10");
	cr_assert_eq(message.cseq, 7);
	cr_assert_eq(message.max_forwards, 70);
	assert_text(message.contact.uri, "sip:+13035551111@192.0.2.10:5062");
	assert_text(message.content_type, "application/sdp");
	assert_text(message.body, "v=0\r\n");

	cr_assert_eq(message.header_count, 12);
	cr_assert(sip_list_has(&message, SIP_H_SUPPORTED, BYTES("TIMER")));
	cr_assert(sip_list_has(&message, SIP_H_SUPPORTED, BYTES("replaces")));
	cr_assert_not(sip_list_has(&message, SIP_H_SUPPORTED, BYTES("time")));
	cr_assert_not(sip_list_has(&message, SIP_H_REQUIRE, BYTES("timer")));
	h = sip_header_first(&message, SIP_H_SUPPORTED);
	assert_text(sip_header_value(&message, h), "timer, 100rel");
	h = sip_header_next(&message, h);
	assert_text(sip_header_value(&message, h), "replaces");
	cr_assert_null(sip_header_next(&message, h));
	cr_assert_null(sip_header_first(&message, SIP_H_ROUTE));
	cr_assert_eq(sip_header(&message, SIP_H_ROUTE).size, 0);
	assert_text(sip_header_name(&message, &message.header[8]), "X-Thing");
	assert_text(sip_header_value(&message, &message.header[8]), "kept; as, \"it\" is");
}

Test(rfc3261_7_2, response_is_read_in_place)
{
	assert_taken("SIP/2.0 183 Session Progress\r\n" HEADERS "Content-Length: 0\r\n" END, false);
	cr_assert_not(message.is_request);
	cr_assert_eq(message.status, 183);
	assert_text(message.reason, "Session Progress");
	cr_assert_eq(message.method, SIP_INVITE);
	cr_assert_eq(message.cseq, 7);
	assert_taken("sip/2.0 100 \r\n" HEADERS END, false);
	cr_assert_eq(message.reason.size, 0);
	assert_taken("SIP/2.0 699\r\n" HEADERS END, false);
	cr_assert_eq(message.status, 699);
}

Test(rfc3261_7_3_1, names_are_compact_and_of_any_case_with_odd_spacing)
{
	assert_taken("BYE sip:b SIP/2.0\r\n"
		     "v:SIP/2.0/UDP h ; branch = z9hG4bK9\r\n"
		     "F \t: sip:a@b ;tag=1\r\n"
		     "t:\t\"B\"<sip:b>;tag=2  \r\n"
		     "I:x\r\n"
		     "cSEQ: 0009 \t BYE\r\n"
		     "mAX-fORWARDS : 0068\r\n"
		     "m: <sip:c>\r\n"
		     "c: text/plain\r\n"
		     "k:\r\n"
		     "x: 90\r\n"
		     "L: 2\r\n" END "hello",
		     false);
	assert_text(message.via.branch, "z9hG4bK9");
	assert_text(message.from.tag, "1");
	assert_text(message.to.tag, "2");
	assert_text(message.call_id, "x");
	cr_assert_eq(message.cseq, 9);
	cr_assert_eq(message.max_forwards, 68);
	assert_text(message.contact.uri, "sip:c");
	assert_text(message.content_type, "text/plain");
	assert_text(message.body, "he");
	assert_text(sip_header(&message, SIP_H_SESSION_EXPIRES), "90");
	cr_assert_not_null(sip_header_first(&message, SIP_H_SUPPORTED));
	cr_assert_eq(sip_header(&message, SIP_H_SUPPORTED).size, 0);
}

Test(rfc3261_7_3_3, every_known_name_has_its_own_kind)
{
	static const char *const names[SIP_HEADER_IDS] = {
		[SIP_H_CONTENT_DISPOSITION] = "Content-Disposition",
		[SIP_H_CONTENT_ENCODING] = "Content-Encoding",
		[SIP_H_CONTENT_LANGUAGE] = "Content-Language",
		[SIP_H_MIME_VERSION] = "MIME-Version",
		[SIP_H_ROUTE] = "Route",
		[SIP_H_RECORD_ROUTE] = "Record-Route",
		[SIP_H_REQUIRE] = "Require",
		[SIP_H_PROXY_REQUIRE] = "Proxy-Require",
		[SIP_H_SUPPORTED] = "Supported",
		[SIP_H_UNSUPPORTED] = "Unsupported",
		[SIP_H_ALLOW] = "Allow",
		[SIP_H_ACCEPT] = "Accept",
		[SIP_H_SESSION_EXPIRES] = "Session-Expires",
		[SIP_H_MIN_SE] = "Min-SE",
		[SIP_H_REASON] = "Reason",
		[SIP_H_RETRY_AFTER] = "Retry-After",
		[SIP_H_RSEQ] = "RSeq",
		[SIP_H_RACK] = "RAck",
		[SIP_H_P_ASSERTED_IDENTITY] = "P-Asserted-Identity",
		[SIP_H_P_PREFERRED_IDENTITY] = "P-Preferred-Identity",
		[SIP_H_REMOTE_PARTY_ID] = "Remote-Party-ID",
		[SIP_H_PRIVACY] = "Privacy",
		[SIP_H_DIVERSION] = "Diversion",
		[SIP_H_AUTHORIZATION] = "Authorization",
		[SIP_H_PROXY_AUTHORIZATION] = "Proxy-Authorization",
		[SIP_H_WWW_AUTHENTICATE] = "WWW-Authenticate",
		[SIP_H_PROXY_AUTHENTICATE] = "Proxy-Authenticate",
		[SIP_H_REFER_TO] = "Refer-To",
		[SIP_H_REFERRED_BY] = "Referred-By",
		[SIP_H_REPLACES] = "Replaces",
		[SIP_H_EVENT] = "Event",
		[SIP_H_SUBSCRIPTION_STATE] = "Subscription-State",
		[SIP_H_INFO_PACKAGE] = "Info-Package",
		[SIP_H_TIMESTAMP] = "Timestamp",
		[SIP_H_EXPIRES] = "Expires",
		[SIP_H_USER_AGENT] = "User-Agent",
		[SIP_H_WARNING] = "Warning",
	};
	static const char *const unknown[] = { "Subject", "s", "u", "Rout", "Routes", "Z", "Content-Typo", "Call_ID" };
	char text[4096];
	int size = snprintf(text, sizeof text, INVITE HEADERS);
	uint32_t index = 5;

	for (int id = 0; id < SIP_HEADER_IDS; id++)
		if (names[id])
			size += snprintf(text + size, sizeof text - (size_t)size, "%s: %d\r\n", names[id], id);
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
		size += snprintf(text + size, sizeof text - (size_t)size, "%s: 0\r\n", unknown[i]);
	snprintf(text + size, sizeof text - (size_t)size, END);
	assert_taken(text, false);
	for (; index < message.header_count; index++) {
		char expected[8];

		snprintf(expected, sizeof expected, "%u", message.header[index].id);
		assert_text(sip_header_value(&message, &message.header[index]), expected);
	}
}

Test(rfc3261_18_3, body_is_what_content_length_says_or_the_rest)
{
	assert_taken(INVITE HEADERS END "all of it", false);
	assert_text(message.body, "all of it");
	assert_taken(INVITE HEADERS "Content-Length: 3\r\n" END "allINVITE sip:x SIP/2.0\r\n", false);
	assert_text(message.body, "all");
	assert_taken(INVITE HEADERS "Content-Length: 0\r\n" END "all", false);
	cr_assert_eq(message.body.size, 0);
	assert_refused(INVITE HEADERS "Content-Length: 4\r\n" END "all", SIP_BAD_CONTENT_LENGTH, 400);
	assert_refused(INVITE HEADERS "Content-Length: -1\r\n" END "all", SIP_BAD_CONTENT_LENGTH, 400);
	assert_refused(INVITE HEADERS "Content-Length: 4294967298\r\n" END "all", SIP_BAD_CONTENT_LENGTH, 400);
	assert_refused(INVITE HEADERS "Content-Length:\r\n" END "all", SIP_BAD_CONTENT_LENGTH, 400);
	assert_dropped("SIP/2.0 200 OK\r\n" HEADERS "Content-Length: 4\r\n" END "all", SIP_BAD_CONTENT_LENGTH);
}

Test(rfc3261_18_3, body_may_hold_any_octets)
{
	static const char text[] = INVITE HEADERS "Content-Length: 6\r\n" END "\0\r\n\r\n\n";

	cr_assert_eq(read_bytes((struct bytes){ text, sizeof text - 1 }), SIP_READ_OK);
	cr_assert_eq(message.body.size, 6);
}

Test(rfc2543, request_without_the_newer_headers_is_taken)
{
	assert_taken(
		"INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a>\r\nTo: sip:b\r\nCall-ID: x\r\n" CSEQ END,
		false);
	cr_assert_eq(message.via.branch.size, 0);
	cr_assert_eq(message.from.tag.size, 0);
	cr_assert_eq(message.max_forwards, -1);
	cr_assert_eq(message.contact.whole.size, 0);
}

Test(rfc3261_7_5, empty_lines_before_the_start_line_are_skipped)
{
	assert_taken("\r\n\r\n" INVITE HEADERS END, false);
	assert_taken("\r\n\r\nBYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP\r\n h\r\n" FROM TO CALL_ID "CSeq: 1 BYE\r\n" END,
		     false);
}

Test(rfc3261_10_2_2, contact_star_is_no_address)
{
	assert_taken(INVITE HEADERS "Contact: *\r\n" END, false);
	cr_assert_eq(message.contact.whole.size, 0);
	cr_assert_not_null(sip_header_first(&message, SIP_H_CONTACT));
	assert_refused(INVITE HEADERS "Contact: \r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS "Contact: joe@example.org\r\n" END, SIP_BAD_HEADER, 400);
}

Test(rfc3261_7_3_1, folded_lines_are_read_from_a_copy_without_folds)
{
	assert_taken(INVITE "Via: SIP / 2.0\r\n / UDP  192.0.2.2;branch=390skdjuw,\r\n\tSIP/2.0/TCP h2\r\n"
			    "v: SIP/2.0/UDP h3\r\n"
			    "FROM   : \"A \\\\\\\"\"       <sip:a@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n"
			    "To:\r\n <sip:b@example.com>\r\n" CALL_ID "CSeq: 0009\r\n  INVITE\r\n"
			    "X-Unknown: ;;,,;\r\n   more\r\n"
			    "Content-Length   : 4\r\n" END "a\r\n b",
		     false);
	cr_assert(message.text.at == read_scratch);
	assert_text(message.via.host, "192.0.2.2");
	assert_text(message.via.branch, "390skdjuw");
	assert_text(sip_header(&message, SIP_H_VIA), "SIP / 2.0 / UDP  192.0.2.2;branch=390skdjuw, SIP/2.0/TCP h2");
	assert_text(message.from.tag, "98asjd8");
	assert_text(message.from.display, "\"A \\\\\\\"\"");
	assert_text(message.to.uri, "sip:b@example.com");
	cr_assert_eq(message.cseq, 9);
	assert_text(sip_header_value(&message, &message.header[6]), ";;,,; more");
	assert_text(message.body, "a\r\n ");
}

/* The empty line ends the header lines, whatever the body begins with. */
Test(rfc3261_7_3_1, body_that_begins_with_a_space_is_no_folded_line)
{
	assert_taken(INVITE HEADERS "Subject: a\r\n b\r\n" END " c\r\n d", false);
	assert_text(message.body, " c\r\n d");
	assert_taken(INVITE VIA "From: a@b <sip:a@b>;tag=1\r\n" TO CALL_ID CSEQ "Subject: a\r\n\tb\r\n" END "\tc",
		     true);
	assert_text(message.body, "\tc");
}

Test(rfc3261_7_3_1, start_line_cannot_be_folded)
{
	assert_refused("INVITE sip:b\r\n SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused(INVITE " x: y\r\n" HEADERS END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE " x: y\r\n" HEADERS "Subject: a\r\n b\r\n" END, SIP_BAD_HEADER, 400);
}

/* LWS has one CRLF at most (25.1): the library may know what it means. */
Test(rfc3261_7_3_1, fold_of_white_space_alone_is_not_taken_in_place)
{
	assert_taken(INVITE HEADERS "Subject: a\r\n \r\n" END, true);
	assert_text(sip_header_value(&message, &message.header[5]), "a");
	assert_refused(INVITE VIA FROM TO "Call-ID: a\r\n b\r\n" CSEQ END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE VIA FROM TO CALL_ID "CSeq: 8\r\n \r\n INVITE\r\n" END, SIP_BAD_HEADER, 400);
}

Test(rfc3261_25_1, display_name_gets_its_quotes_from_the_library)
{
	assert_taken(INVITE VIA "From: J\xc3\xa9r\xc3\xb4me (\\home) <sip:a@b>;tag=1\r\n" TO CALL_ID CSEQ
				"Contact: a@b <sip:c>\r\n" END,
		     true);
	assert_text(message.from.display, "\"J\xc3\xa9r\xc3\xb4me (\\\\home)\"");
	assert_text(message.from.uri, "sip:a@b");
	assert_text(message.from.tag, "1");
	assert_text(message.contact.uri, "sip:c");
	assert_refused(INVITE VIA "From: Bell, Alexander <sip:a@b>;tag=1\r\n" TO CALL_ID CSEQ END, SIP_BAD_HEADER, 400);
}

/* What it keeps of the second one is no complaint, and has no name to look at. */
Test(library, header_that_stands_twice_is_no_complaint)
{
	static const char *const twice[] = { "Date: Wed, 04 Apr 2001 17:38:38 GMT\r\n", "Expires: 4000000000\r\n",
					     "Timestamp: 1.5 2\r\n", "Priority: normal\r\n", "MIME-Version: 1.0\r\n" };
	char text[2048];

	for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
		snprintf(text, sizeof text, "%s%s%s", INVITE VIA "From: a@b <sip:a@b>;tag=1\r\n" TO CALL_ID CSEQ,
			 twice[i], twice[i]);
		strcat(text, "Contact: a@c <sip:c>\r\n" END);
		assert_taken(text, true);
	}
}

/* The library parses lists by recursion and appends by walking: it sees no list longer than SIP_LIST_MAX. */
Test(library, long_lists_are_refused_before_it)
{
	static char text[SIP_MESSAGE_BYTES_MAX];

	for (int elements = SIP_LIST_MAX; elements <= SIP_LIST_MAX + 1; elements++) {
		for (int by_line = 0; by_line < 3; by_line++) {
			static const char *const first[] = { "Route: <sip:a>", "Route: <sip:a>", "Z: b" };
			static const char *const more[] = { ",<sip:a>", "\r\nRoute: <sip:a>", "\r\nz: b" };
			int size = snprintf(text, sizeof text, INVITE HEADERS "Contact: a@b <sip:c>\r\n%s",
					    first[by_line]);

			for (int i = 1; i < elements; i++)
				size += snprintf(text + size, sizeof text - (size_t)size, "%s", more[by_line]);
			snprintf(text + size, sizeof text - (size_t)size, "\r\n\r\n");
			if (elements <= SIP_LIST_MAX)
				assert_taken(text, true);
			else
				assert_refused(text, SIP_BAD_TOO_MANY, 400);
		}
	}
}

Test(rfc3261_7_3, too_many_header_lines_are_refused)
{
	static char text[SIP_MESSAGE_BYTES_MAX];

	for (int lines = SIP_HEADERS_MAX; lines <= SIP_HEADERS_MAX + 1; lines++) {
		int size = snprintf(text, sizeof text, INVITE HEADERS);

		for (int i = 5; i < lines; i++)
			size += snprintf(text + size, sizeof text - (size_t)size, "X-%d: y\r\n", i);
		snprintf(text + size, sizeof text - (size_t)size, END);
		if (lines <= SIP_HEADERS_MAX)
			assert_taken(text, false);
		else
			assert_refused(text, SIP_BAD_TOO_MANY, 400);
	}
}

Test(rfc3261_21_5_14, large_datagram_is_refused_with_513)
{
	static char text[70000];
	int size = snprintf(text, sizeof text, INVITE HEADERS END);

	memset(text + size, 'x', sizeof text - (size_t)size);
	cr_assert_eq(read_bytes((struct bytes){ text, SIP_MESSAGE_BYTES_MAX }), SIP_READ_OK);
	cr_assert_eq(read_bytes((struct bytes){ text, SIP_MESSAGE_BYTES_MAX + 1 }), SIP_READ_BAD);
	cr_assert_eq(refusal.why, SIP_BAD_TOO_LARGE);
	cr_assert_eq(refusal.status, 513);
	assert_text(message.call_id, "8a7b@192.0.2.10");
	cr_assert_eq(read_bytes((struct bytes){ text, sizeof text }), SIP_READ_BAD);
	memset(text, 'x', sizeof text);
	cr_assert_eq(read_bytes((struct bytes){ text, sizeof text }), SIP_READ_GARBAGE);
	cr_assert_eq(refusal.why, SIP_BAD_TOO_LARGE);
}

Test(rfc3261_7_1, bad_request_line_is_refused)
{
	assert_refused("INVITE  sip:b SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b  SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b SIP/2.0 \r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE <sip:b> SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b; lr SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b?Route=%3Csip:c%3E SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:2001:db8::10 SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE b SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b HTTP/1.1\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_refused("INVITE sip:b SIP/7.0\r\n" HEADERS END, SIP_BAD_VERSION, 505);
	assert_refused("INVITE sip:b SIP/2.00\r\n" HEADERS END, SIP_BAD_VERSION, 505);
	assert_refused("INVITE sip:b SIP/2.x\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_taken("INVITE name:b sip/2.0\r\n" HEADERS END, false);
}

Test(rfc3261_7_2, bad_status_line_is_dropped)
{
	assert_dropped("SIP/2.0 99 Low\r\n" HEADERS END, SIP_BAD_START_LINE);
	assert_dropped("SIP/2.0 099 Low\r\n" HEADERS END, SIP_BAD_START_LINE);
	assert_dropped("SIP/2.0 700 High\r\n" HEADERS END, SIP_BAD_START_LINE);
	assert_dropped("SIP/2.0 4294967301 better not\r\n" HEADERS END, SIP_BAD_START_LINE);
	assert_dropped("SIP/3.0 200 OK\r\n" HEADERS END, SIP_BAD_START_LINE);
	assert_dropped("SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE);
	assert_dropped("SIP/2.0  200 OK\r\n" HEADERS END, SIP_BAD_START_LINE);
}

Test(rfc3261_8_1_1, missing_header_is_refused_or_dropped)
{
	assert_refused(INVITE VIA TO CALL_ID CSEQ END, SIP_BAD_MISSING, 400);
	assert_refused(INVITE VIA FROM CALL_ID CSEQ END, SIP_BAD_MISSING, 400);
	assert_refused(INVITE VIA FROM TO CALL_ID END, SIP_BAD_MISSING, 400);
	assert_dropped(INVITE FROM TO CALL_ID CSEQ END, SIP_BAD_MISSING);
	assert_dropped(INVITE VIA FROM TO CSEQ END, SIP_BAD_MISSING);
	assert_dropped("SIP/2.0 200 OK\r\n" VIA TO CALL_ID CSEQ END, SIP_BAD_MISSING);
	assert_dropped("SIP/2.0 200 OK\r\n" VIA FROM TO CALL_ID END, SIP_BAD_MISSING);
}

Test(rfc3261_7_3_1, header_that_may_stand_once_is_refused_twice)
{
	static const char *const twice[] = { FROM,
					     TO,
					     CALL_ID,
					     CSEQ,
					     "Max-Forwards: 70\r\n",
					     "l: 0\r\n",
					     "c: a/b\r\n",
					     "RSeq: 1\r\n",
					     "RAck: 1 1 INVITE\r\n",
					     "Replaces: x\r\n" };
	char text[1024];

	for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
		snprintf(text, sizeof text, INVITE HEADERS "%s%s" END, i < 4 ? "" : twice[i], twice[i]);
		assert_refused(text, SIP_BAD_TWICE, 400);
	}
	assert_taken(INVITE VIA HEADERS "Route: <sip:a>\r\nRoute: <sip:b>\r\n" END, false);
}

/* A 2xx that was dropped would leave a call behind; sip/session_timer judges the requests. */
Test(rfc4028_4, repeated_session_expires_and_min_se_are_taken)
{
	assert_taken("SIP/2.0 200 OK\r\n" HEADERS "Session-Expires: 1800\r\nx: 120\r\n" END, false);
	assert_taken("SIP/2.0 422 Session Interval Too Small\r\n" HEADERS "Min-SE: 600\r\nMin-SE: 90\r\n" END, false);
	assert_taken(INVITE HEADERS "x: 1800\r\nx: 1800\r\nMin-SE: 90\r\nMin-SE: 90\r\n" END, false);
}

Test(rfc3261_8_1_1_5, bad_cseq_is_refused)
{
	static const char *const wrong[] = {
		"2147483648 INVITE", "4294967296 INVITE", "7 OPTIONS",  "7 invite", "7", "INVITE",
		"7INVITE",           "-7 INVITE",         "7 INVITE x", ""
	};
	char text[1024];

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(text, sizeof text, INVITE VIA FROM TO CALL_ID "CSeq: %s\r\n" END, wrong[i]);
		assert_refused(text, SIP_BAD_CSEQ, 400);
	}
	assert_dropped("SIP/2.0 200 OK\r\n" VIA FROM TO CALL_ID "CSeq: 2147483648 INVITE\r\n" END, SIP_BAD_CSEQ);
	assert_taken(INVITE VIA FROM TO CALL_ID "CSeq: 2147483647 INVITE\r\n" END, false);
	cr_assert_eq(message.cseq, INT32_MAX);
}

Test(rfc3261_20_22, max_forwards_too_large_is_the_largest)
{
	assert_taken(INVITE HEADERS "Max-Forwards: 300\r\n" END, false);
	cr_assert_eq(message.max_forwards, 255);
	assert_taken(INVITE HEADERS "Max-Forwards: 99999999999999\r\n" END, false);
	cr_assert_eq(message.max_forwards, 255);
	assert_refused(INVITE HEADERS "Max-Forwards: -1\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS "Max-Forwards:\r\n" END, SIP_BAD_HEADER, 400);
}

Test(rfc3261_8_2, bad_request_lends_what_the_answer_needs)
{
	assert_refused(INVITE VIA "Via: SIP/2.0/UDP second\r\n" FROM "To: \"never closed <sip:b>\r\n" CALL_ID CSEQ END,
		       SIP_BAD_HEADER, 400);
	assert_text(message.via.host, "192.0.2.10");
	cr_assert_not_null(sip_header_next(&message, sip_header_first(&message, SIP_H_VIA)));
	assert_text(message.from.tag, "a1");
	assert_text(message.to.whole, "\"never closed <sip:b>");
	cr_assert_eq(message.to.uri.size, 0);
	assert_text(message.call_id, "8a7b@192.0.2.10");
	assert_text(sip_header(&message, SIP_H_CSEQ), "7 INVITE");
	assert_dropped(INVITE "Via: SIP/2.0/UDP h;;,;,,\r\n" FROM TO CALL_ID CSEQ END, SIP_BAD_HEADER);
}

Test(rfc3261_7_3, line_that_is_no_header_is_refused)
{
	assert_refused(INVITE HEADERS "no colon\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS ": no name\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS "two words: x\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS "Call-ID two: x\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS, SIP_BAD_HEADER, 400); /* no empty line */
	assert_refused(INVITE HEADERS "X: y", SIP_BAD_HEADER, 400);
	assert_refused(INVITE VIA FROM TO "Call-ID: a b\r\n" CSEQ END, SIP_BAD_HEADER, 400);
}

Test(rfc3261_25_1, control_characters_are_refused_but_in_a_quoted_pair)
{
	static const char legal[] = INVITE VIA FROM "To: \"BEL:\\\a NUL:\\\0 DEL:\\\x7f\" <sip:b>\r\n" CALL_ID CSEQ END;
	static const char bare[] = INVITE HEADERS "X: a\0b\r\n" END;
	static const char folded[] = INVITE VIA FROM "To: \"NUL:\\\0\"\r\n <sip:b>\r\n" CALL_ID CSEQ END;

	cr_assert_eq(read_bytes((struct bytes){ legal, sizeof legal - 1 }), SIP_READ_OK);
	cr_assert_eq(message.to.display.size, strlen("\"BEL:x1 NUL:x2 DEL:x3\""));
	cr_assert_eq(read_bytes((struct bytes){ bare, sizeof bare - 1 }), SIP_READ_BAD);
	cr_assert_eq(read_bytes((struct bytes){ folded, sizeof folded - 1 }), SIP_READ_OK, "in a folded line, too");
	assert_refused(INVITE HEADERS "X: a\rb\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS "X: a\nb\r\n" END, SIP_BAD_HEADER, 400);
	cr_assert_eq(sip_header_value(&message, &message.header[5]).size, 0, "what may not be answered is not lent");
	assert_refused(INVITE HEADERS "X: \"a\\\nb\"\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused(INVITE HEADERS "X: \"a\ab\"\r\n" END, SIP_BAD_HEADER, 400);
	assert_refused("INVITE sip:b\a SIP/2.0\r\n" HEADERS END, SIP_BAD_START_LINE, 400);
	assert_taken(INVITE HEADERS "X: a\tb\r\n" END, false);
	assert_dropped(INVITE VIA FROM TO "Call-ID: a\nX: b\r\n" CSEQ END, SIP_BAD_HEADER);
}

/* Nothing is on the wire with bare line feeds: the whole would be one line. */
Test(rfc3261_7, bare_line_feeds_do_not_end_lines)
{
	cr_assert_eq(read_text("INVITE sip:b SIP/2.0\nVia: SIP/2.0/UDP h\nFrom: <sip:a>\nTo: <sip:b>\nCall-ID: x\n"
			       "CSeq: 1 INVITE\n\n"),
		     SIP_READ_GARBAGE);
}

Test(rfc3261_7, what_is_not_sip_is_dropped)
{
	static const char *const noise[] = {
		"x",
		"hello\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		" INVITE sip:b SIP/2.0\r\n\r\n",
		"\r\n\r\nx",
		"SIP",
		"SIP/",
		"INVITE",
		"INVITE ",
		"\x16\x03\x01\x02",
		"INVITE sip:alan@jasomi.com\r\nTO : alan@jasomi.com\r\nFoobar roobar\r\n\r\n"
	};

	for (size_t i = 0; i < sizeof noise / sizeof noise[0]; i++)
		cr_assert_eq(read_text(noise[i]), SIP_READ_GARBAGE, "%s", noise[i]);
}

Test(rfc5626_3_5, keepalives_are_told_apart)
{
	static const char stun[20] = { 0, 1, 0, 0, 0x21, 0x12, (char)0xa4, 0x42 };
	static const char not_stun[20] = { 0, 1, 0, 0, 0x21, 0x12, (char)0xa4, 0x43 };

	cr_assert_eq(read_text("\r\n\r\n"), SIP_READ_KEEPALIVE);
	cr_assert_eq(read_text("\r\n"), SIP_READ_KEEPALIVE);
	cr_assert_eq(read_bytes(BYTES("\0\0\0\0")), SIP_READ_KEEPALIVE);
	cr_assert_eq(read_bytes(BYTES_NONE), SIP_READ_KEEPALIVE);
	cr_assert_eq(read_bytes((struct bytes){ stun, sizeof stun }), SIP_READ_KEEPALIVE);
	cr_assert_eq(read_bytes((struct bytes){ stun, sizeof stun - 1 }), SIP_READ_GARBAGE);
	cr_assert_eq(read_bytes((struct bytes){ not_stun, sizeof not_stun }), SIP_READ_GARBAGE);
}
