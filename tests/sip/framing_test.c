/* Messages on a stream: RFC 3261 7.5, 18.3, 20.14; RFC 5626 4.4.1.  Every stream is cut at all places, and into single
 * bytes, and comes to the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/framing.h"

enum { MAX = 400, ROOM = 8192 };

/* What came out of a stream, a line each. */
struct story {
	char text[ROOM];
	size_t size;
	bool broken;
	char kept[ROOM]; /* bytes of the message under way */
	uint32_t kept_size;
	struct framing framing;
};

static void note(struct story *s, const char *what, struct bytes bytes)
{
	s->size += (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, "%s %u %.10s...%.*s\n", what,
				    bytes.size, bytes.size >= 10 ? bytes.at : "", bytes.size ? 1 : 0,
				    bytes.size ? bytes.at + bytes.size - 1 : "");
	cr_assert_lt(s->size, sizeof s->text);
}

/* As a connection does it: what is not whole is kept, in memory that ends where it does. */
static void feed(struct story *s, struct bytes more)
{
	while (!s->broken && (more.size > 0)) {
		const uint32_t had = s->kept_size, all = had + more.size;
		char *whole = malloc(all);
		uint32_t size;

		memcpy(whole, s->kept, had);
		memcpy(whole + had, more.at, more.size);
		const enum framing_result result = framing_next(&s->framing, (struct bytes){ whole, all }, MAX, &size);
		const struct bytes frame = { whole, size };

		cr_assert_leq(size, all);
		if (result == FRAMING_MORE) {
			cr_assert_eq(size, 0);
			cr_assert_eq(s->framing.looked > 0, all > 0);
			memcpy(s->kept, whole, all);
			s->kept_size = all;
			free(whole);
			return;
		}
		if (result == FRAMING_MESSAGE)
			note(s, "message", frame);
		if (result == FRAMING_PING)
			note(s, "ping", BYTES_NONE);
		if (result == FRAMING_UNBOUNDED)
			note(s, "unbounded", frame);
		if (result == FRAMING_TOO_LARGE)
			note(s, "too large", BYTES_NONE);
		if (result == FRAMING_GARBAGE)
			note(s, "garbage", BYTES_NONE);
		s->broken = result >= FRAMING_UNBOUNDED;
		s->kept_size = 0;
		if (!s->broken) {
			cr_assert_geq(size, had);
			more.at += size - had;
			more.size -= size - had;
		}
		free(whole);
	}
}

static void expect(const char *stream, const char *story)
{
	const uint32_t size = (uint32_t)strlen(stream);
	struct story *s = calloc(1, sizeof *s);

	for (uint32_t first = 0; first <= size; first++)
		for (uint32_t second = first; second <= size; second += second == first || size < 300 ? 1 : 37) {
			memset(s, 0, sizeof *s);
			feed(s, (struct bytes){ stream, first });
			feed(s, (struct bytes){ stream + first, second - first });
			feed(s, (struct bytes){ stream + second, size - second });
			cr_assert_str_eq(s->text, story, "cut at %u and %u of \"%s\":\n%sinstead of\n%s", first, second,
					 stream, s->text, story);
		}
	memset(s, 0, sizeof *s);
	for (uint32_t i = 0; i < size; i++)
		feed(s, (struct bytes){ stream + i, 1 });
	cr_assert_str_eq(s->text, story, "byte by byte: %s", s->text);
	free(s);
}

#define MESSAGE "INVITE sip:a SIP/2.0\r\nVia: x\r\nContent-Length: 5\r\n\r\nhello"

Test(rfc3261_18_3, content_length_says_where_a_message_ends)
{
	expect(MESSAGE, "message 56 INVITE sip...o\n");
	expect(MESSAGE MESSAGE, "message 56 INVITE sip...o\nmessage 56 INVITE sip...o\n");
	expect(MESSAGE "INVITE sip:b SIP/2.0\r\nl: 0\r\n\r\n" MESSAGE,
	       "message 56 INVITE sip...o\nmessage 30 INVITE sip...\n\nmessage 56 INVITE sip...o\n");
	expect("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "message 37 SIP/2.0 20...\n\n");
}

/* A body may hold what looks like the end of a header section, or like a message. */
Test(rfc3261_18_3, a_body_is_not_looked_into)
{
	expect("MESSAGE a SIP/2.0\r\nl:9\r\n\r\n\r\n\r\nl: 5z" MESSAGE,
	       "message 35 MESSAGE a ...z\nmessage 56 INVITE sip...o\n");
	expect("MESSAGE a SIP/2.0\r\nl: 56\r\n\r\n" MESSAGE, "message 84 MESSAGE a ...o\n");
}

/* RFC 3261 7.3.1: white space, case, folding, compact form. */
Test(rfc3261_7_3_1, content_length_is_found_in_all_its_forms)
{
	static const char *const forms[] = {
		"Content-Length: 2", "content-length:2", "CONTENT-LENGTH : 2",          "l:2",
		"L \t:  2 \t",       "l:\r\n 2",         "Content-Length:\r\n\t\r\n 2", "l: 002",
		"l:2\r\nl: 2",
	};

	for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		char stream[200], story[100];

		snprintf(stream, sizeof stream, "INVITE sip:a SIP/2.0\r\n%s\r\nVia: x\r\n\r\nxy", forms[i]);
		snprintf(story, sizeof story, "message %zu INVITE sip...y\n", strlen(stream));
		expect(stream, story);
	}
	/* Not of this line: a folded one before it. */
	expect("INVITE sip:a SIP/2.0\r\nSubject: x\r\n l: 7\r\nl: 1\r\n\r\nz", "message 50 INVITE sip...z\n");
}

Test(rfc3261_18_3, without_a_usable_content_length_the_end_is_unknown)
{
	static const char *const forms[] = { "Via: x",       "l: x",   "l: -1",
					     "l:",           "l: 1 2", "l: 99999999999",
					     "l: 1\r\nl: 2", "ll: 1",  "Content-Length 4" };

	for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		char stream[200], story[100];

		snprintf(stream, sizeof stream, "INVITE sip:a SIP/2.0\r\n%s\r\n\r\n", forms[i]);
		snprintf(story, sizeof story, "unbounded %zu INVITE sip...\n\n", strlen(stream));
		strcat(stream, MESSAGE);
		expect(stream, story);
	}
}

/* RFC 5626 4.4.1; RFC 3261 7.5: line ends before a message are no part of it. */
Test(rfc5626_4_4_1, a_double_crlf_is_a_ping)
{
	expect("\r\n\r\n", "ping 0 ...\n");
	expect("\r\n\r\n\r\n\r\n", "ping 0 ...\nping 0 ...\n");
	expect("\r\n", "");
	expect("\r\n" MESSAGE "\r\n" MESSAGE "\r\n", "message 56 INVITE sip...o\nmessage 56 INVITE sip...o\n");
	expect(MESSAGE "\r\n\r\n" MESSAGE, "message 56 INVITE sip...o\nping 0 ...\nmessage 56 INVITE sip...o\n");
	expect("\n\n\r\r\n\r\n" MESSAGE, "ping 0 ...\nmessage 56 INVITE sip...o\n");
	expect("\r\n\n\r\n" MESSAGE "\r\n\r\n", "message 56 INVITE sip...o\nping 0 ...\n");
}

Test(spec_11, a_message_above_the_limit_is_too_large)
{
	char stream[2 * MAX + 100];

	snprintf(stream, sizeof stream, "INVITE sip:a SIP/2.0\r\nl: %d\r\n\r\n", MAX);
	expect(stream, "too large 0 ...\n");
	snprintf(stream, sizeof stream, "INVITE sip:a SIP/2.0\r\nl: 4294967295\r\n\r\n");
	expect(stream, "too large 0 ...\n");
	/* A header section that does not end: once as much has come as may. */
	snprintf(stream, sizeof stream, "INVITE sip:a SIP/2.0\r\nX: %0*d", MAX - 25 - 1, 0);
	expect(stream, "");
	strcat(stream, "0");
	expect(stream, "too large 0 ...\n");
	/* The largest that passes. */
	snprintf(stream, sizeof stream, "INVITE sip:a SIP/2.0\r\nl: %d\r\n\r\n%0*d", MAX - 32, MAX - 32, 0);
	expect(stream, "message 400 INVITE sip...0\n");
}

Test(spec_11, what_is_not_sip_is_known_by_its_first_byte)
{
	expect("\x16\x03\x01\x02", "garbage 0 ...\n");
	expect(" INVITE sip:a SIP/2.0\r\n", "garbage 0 ...\n");
	expect(MESSAGE "\x80", "message 56 INVITE sip...o\ngarbage 0 ...\n");
}

/* A long message byte by byte: each is looked at once, or a limit of time would fall. */
Test(spec_11, single_bytes_cost_no_more_than_their_number)
{
	enum { SIZE = 4 * 1024 * 1024 };
	char *stream = malloc(SIZE);
	struct framing f = { 0 };
	uint32_t size;

	memset(stream, 'a', SIZE);
	for (uint32_t i = 1; i < SIZE; i++)
		cr_assert_eq(framing_next(&f, (struct bytes){ stream, i }, UINT32_MAX, &size), FRAMING_MORE);
	free(stream);
}
