/* The torture messages of RFC 4475 and RFC 5118 and the JAIN-SIP collection, at the level of the parser.
 *
 * They lie outside the project, in RW_TORTURE_DIR (by default ../shared/torture beside the source tree); where they are
 * not, these tests are skipped. */
#include "reading.h"

#include "sip/library.h"

static char text[1 << 16];

static const char *torture_directory(void)
{
	const char *given = getenv("RW_TORTURE_DIR");

	return given ? given : RW_SOURCE_ROOT "/../shared/torture";
}

/* Reads a file into `text`.  false: it is not there. */
static bool load(const char *name, struct bytes *ret_text)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", torture_directory(), name);
	file = fopen(path, "rb");
	if (!file)
		return false;
	*ret_text = (struct bytes){ text, (uint32_t)fread(text, 1, sizeof text, file) };
	fclose(file);
	return true;
}

static void skip_without(const char *name)
{
	struct bytes ignored;

	if (!load(name, &ignored))
		cr_skip_test("%s/%s is not there", torture_directory(), name);
}

struct expectation {
	const char *file;
	enum sip_read_result result;
	unsigned status; /* after SIP_READ_BAD */
	bool by_library;
};

static void assert_all(const char *directory, const struct expectation *e, size_t count)
{
	for (; count; count--, e++) {
		char name[256];
		struct bytes datagram;
		enum sip_read_result result;

		snprintf(name, sizeof name, "%s/%s", directory, e->file);
		cr_assert(load(name, &datagram), "%s is missing", name);
		result = read_bytes(datagram);
		cr_expect_eq(result, e->result, "%s: %d (%d) instead of %d", name, result, refusal.why, e->result);
		if (result == SIP_READ_BAD)
			cr_expect_eq(refusal.status, e->status, "%s: %u", name, refusal.status);
		if (result != SIP_READ_GARBAGE)
			cr_expect_eq(message.by_library, e->by_library, "%s: by_library %d", name, message.by_library);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(rfc4475, messages_get_the_verdicts_of_their_index)
{
	static const struct expectation expectations[] = {
		{ "wsinv.dat", SIP_READ_OK, 0, false },         { "intmeth.dat", SIP_READ_OK, 0, false },
		{ "esc01.dat", SIP_READ_OK, 0, false },         { "escnull.dat", SIP_READ_OK, 0, false },
		{ "esc02.dat", SIP_READ_OK, 0, false },         { "lwsdisp.dat", SIP_READ_OK, 0, false },
		{ "longreq.dat", SIP_READ_OK, 0, false },       { "dblreq.dat", SIP_READ_OK, 0, false },
		{ "semiuri.dat", SIP_READ_OK, 0, false },       { "transports.dat", SIP_READ_OK, 0, false },
		{ "mpart01.dat", SIP_READ_OK, 0, false },       { "unreason.dat", SIP_READ_OK, 0, false },
		{ "noreason.dat", SIP_READ_OK, 0, false },      { "badinv01.dat", SIP_READ_GARBAGE, 0, false },
		{ "clerr.dat", SIP_READ_BAD, 400, false },      { "ncl.dat", SIP_READ_BAD, 400, false },
		{ "scalar02.dat", SIP_READ_BAD, 400, false },   { "scalarlg.dat", SIP_READ_GARBAGE, 0, false },
		{ "quotbal.dat", SIP_READ_BAD, 400, false },    { "ltgtruri.dat", SIP_READ_BAD, 400, false },
		{ "lwsruri.dat", SIP_READ_BAD, 400, false },    { "lwsstart.dat", SIP_READ_BAD, 400, false },
		{ "trws.dat", SIP_READ_BAD, 400, false },       { "escruri.dat", SIP_READ_BAD, 400, false },
		{ "baddate.dat", SIP_READ_OK, 0, false },       { "regbadct.dat", SIP_READ_BAD, 400, false },
		{ "badaspec.dat", SIP_READ_BAD, 400, false },   { "baddn.dat", SIP_READ_BAD, 400, false },
		{ "badvers.dat", SIP_READ_BAD, 505, false },    { "mismatch01.dat", SIP_READ_BAD, 400, false },
		{ "mismatch02.dat", SIP_READ_BAD, 400, false }, { "bigcode.dat", SIP_READ_GARBAGE, 0, false },
		{ "badbranch.dat", SIP_READ_OK, 0, false },     { "insuf.dat", SIP_READ_GARBAGE, 0, false },
		{ "unkscm.dat", SIP_READ_OK, 0, false },        { "novelsc.dat", SIP_READ_OK, 0, false },
		{ "unksm2.dat", SIP_READ_OK, 0, false },        { "bext01.dat", SIP_READ_OK, 0, false },
		{ "invut.dat", SIP_READ_OK, 0, false },         { "regaut01.dat", SIP_READ_OK, 0, false },
		{ "multi01.dat", SIP_READ_BAD, 400, false },    { "mcl01.dat", SIP_READ_BAD, 400, false },
		{ "bcast.dat", SIP_READ_OK, 0, false },         { "zeromf.dat", SIP_READ_OK, 0, false },
		{ "cparam01.dat", SIP_READ_OK, 0, false },      { "cparam02.dat", SIP_READ_OK, 0, false },
		{ "regescrt.dat", SIP_READ_OK, 0, false },      { "sdp01.dat", SIP_READ_OK, 0, false },
		{ "inv2543.dat", SIP_READ_OK, 0, false },       { "test.dat", SIP_READ_GARBAGE, 0, false },
	};

	skip_without("rfc4475/wsinv.dat");
	assert_all("rfc4475", expectations, COUNT(expectations));
}

Test(rfc4475, messages_with_their_transport_made_udp_get_the_same)
{
	static const struct expectation expectations[] = {
		{ "baddn.dat", SIP_READ_BAD, 400, false },      { "bext01.dat", SIP_READ_OK, 0, false },
		{ "esc02.dat", SIP_READ_OK, 0, false },         { "intmeth.dat", SIP_READ_OK, 0, false },
		{ "longreq.dat", SIP_READ_OK, 0, false },       { "novelsc.dat", SIP_READ_OK, 0, false },
		{ "regaut01.dat", SIP_READ_OK, 0, false },      { "scalar02.dat", SIP_READ_BAD, 400, false },
		{ "scalarlg.dat", SIP_READ_GARBAGE, 0, false }, { "trws.dat", SIP_READ_BAD, 400, false },
		{ "unkscm.dat", SIP_READ_OK, 0, false },
	};

	skip_without("rfc4475-udp/baddn.dat");
	assert_all("rfc4475-udp", expectations, COUNT(expectations));
}

Test(rfc5118, messages_get_the_verdicts_of_their_index)
{
	static const struct expectation expectations[] = {
		{ "ipv6-good.dat", SIP_READ_OK, 0, false },
		{ "ipv6-bad.dat", SIP_READ_BAD, 400, false },
		{ "port-ambiguous.dat", SIP_READ_OK, 0, false },
		{ "port-unambiguous.dat", SIP_READ_OK, 0, false },
		{ "via-received-param-with-delim.dat", SIP_READ_OK, 0, false },
		{ "via-received-param-no-delim.dat", SIP_READ_OK, 0, false },
		{ "ipv6-in-sdp.dat", SIP_READ_OK, 0, false },
		{ "mult-ip-in-header.dat", SIP_READ_OK, 0, false },
		{ "mult-ip-in-sdp.dat", SIP_READ_OK, 0, false },
		{ "ipv4-mapped-ipv6.dat", SIP_READ_OK, 0, false },
		{ "ipv6-bug-abnf-3-colons.dat", SIP_READ_OK, 0, false },
		{ "ipv6-correct-abnf-2-colons.dat", SIP_READ_OK, 0, false },
	};

	skip_without("rfc5118-wire/ipv6-good.dat");
	assert_all("rfc5118-wire", expectations, COUNT(expectations));
}

static void take(const char *name)
{
	struct bytes datagram;

	skip_without(name);
	cr_assert(load(name, &datagram));
	cr_assert_eq(read_bytes(datagram), SIP_READ_OK, "%s", name);
}

static unsigned count_elements(enum sip_header_id id)
{
	unsigned count = 0;

	for (const struct sip_header *h = sip_header_first(&message, id); h; h = sip_header_next(&message, h)) {
		struct bytes rest = sip_header_value(&message, h), element;

		while (sip_list_next(&rest, &element))
			count++;
	}
	return count;
}

Test(rfc4475_3_1_1_1, tortuous_invite_keeps_its_values)
{
	const struct sip_header *h;

	take("rfc4475/wsinv.dat");
	assert_text(message.request_uri, "sip:vivekg@chair-dnrc.example.com;unknownparam");
	assert_text(message.to.uri, "sip:vivekg@chair-dnrc.example.com");
	assert_text(message.to.tag, "1918181833n");
	assert_text(message.from.uri, "sip:jdrosen@example.com");
	assert_text(message.from.tag, "98asjd8");
	assert_text(message.from.display, "\"J Rosenberg \\\\\\\"\"");
	assert_text(message.call_id, "wsinv.ndaksdj@192.0.2.1");
	assert_text(message.via.host, "192.0.2.2");
	assert_text(message.via.branch, "390skdjuw");
	assert_text(message.contact.uri, "sip:jdrosen@example.com");
	cr_assert_eq(message.cseq, 9);
	cr_assert_eq(message.max_forwards, 68);
	cr_assert_eq(message.body.size, 150);
	cr_assert_eq(count_elements(SIP_H_VIA), 3);
	for (h = message.header; !bytes_equal(sip_header_name(&message, h), BYTES("NewFangledHeader")); h++)
		cr_assert_lt(h - message.header, message.header_count);
	assert_text(sip_header_value(&message, h), "newfangled value continued newfangled value");
	assert_text(sip_header_value(&message, h + 1), ";;,,;;,;");
}

Test(rfc4475_3_1_1_2, wide_range_of_characters_is_kept)
{
	static const char display[] = "\"BEL:\\\a NUL:\\\0 DEL:\\\x7f\"";

	take("rfc4475/intmeth.dat");
	cr_assert_eq(message.method, SIP_METHOD_UNKNOWN);
	assert_text(message.method_text, "!interesting-Method0123456789_*+`.%indeed'~");
	cr_assert(bytes_equal(message.to.display, (struct bytes){ display, sizeof display - 1 }));
	assert_text(message.from.tag, "_token~1'+`*%!-.");
	cr_assert_eq(message.cseq, 139122385);
}

Test(rfc4475_3_1_1_7, long_values_are_kept)
{
	take("rfc4475/longreq.dat");
	cr_assert_eq(count_elements(SIP_H_VIA), 34);
	cr_assert_gt(message.from.tag.size, 100);
	cr_assert_gt(message.call_id.size, 100);
	assert_text(message.via.host, "sip33.example.com");
}

Test(rfc4475_3_1_1_8, what_follows_the_body_is_not_read)
{
	take("rfc4475/dblreq.dat");
	cr_assert_eq(message.method, SIP_REGISTER);
	cr_assert_eq(message.body.size, 0);
}

Test(rfc4475_3_1_1_11, binary_body_is_framed_by_its_length)
{
	take("rfc4475/mpart01.dat");
	cr_assert_eq(message.body.size, 553);
	cr_assert_not_null(memchr(message.body.at, '\0', message.body.size));
}

Test(rfc5118_4_3, port_stands_outside_the_brackets)
{
	struct sip_uri uri;

	take("rfc5118-wire/port-ambiguous.dat");
	cr_assert(sip_read_uri(message.request_uri, &uri));
	assert_text(uri.host, "[2001:db8::10:5070]");
	cr_assert_eq(uri.port, 0);
	take("rfc5118-wire/port-unambiguous.dat");
	cr_assert(sip_read_uri(message.request_uri, &uri));
	assert_text(uri.host, "[2001:db8::10]");
	cr_assert_eq(uri.port, 5070);
}

/* One valid message of four in this collection has folded lines.  The library should see next to none of them, and
 * nothing valid should be lost but what lacks a mandatory header. */
Test(jsip, valid_messages_are_taken_nearly_all_in_place)
{
	unsigned valid = 0, taken = 0, in_place = 0;
	char path[4096], line[8192];
	FILE *index;

	skip_without("seeds/jsip/INDEX.tsv");
	snprintf(path, sizeof path, "%s/seeds/jsip/INDEX.tsv", torture_directory());
	index = fopen(path, "r");
	cr_assert_not_null(index);
	while (fgets(line, sizeof line, index)) {
		char name[64], path_of[128], error[16];
		struct bytes datagram;

		if (sscanf(line, "%63[^\t]\t%*[^\t]\t%15[^\t]", name, error) != 2 || strcmp(error, "no") != 0)
			continue;
		snprintf(path_of, sizeof path_of, "seeds/jsip/%s", name);
		cr_assert(load(path_of, &datagram));
		valid++;
		if (read_bytes(datagram) != SIP_READ_OK) {
			cr_log_info("%s: not taken (%d)", name, refusal.why);
			continue;
		}
		taken++;
		in_place += !message.by_library;
		if (!message.by_library)
			cr_expect(sip_library_agrees(datagram, &message), "%s: the readers disagree", name);
	}
	fclose(index);
	cr_log_info("%u valid: %u taken, %u in place", valid, taken, in_place);
	cr_assert_gt(valid, 300);
	cr_assert_geq(taken * 100, valid * 97);
	cr_assert_geq(in_place * 100, valid * 95);
}

Test(abnf, every_generated_sip_uri_is_read)
{
	char path[4096], line[8192];
	struct sip_uri uri;
	unsigned lines = 0;
	FILE *file;

	skip_without("abnf/sip-uri.txt");
	snprintf(path, sizeof path, "%s/abnf/sip-uri.txt", torture_directory());
	file = fopen(path, "r");
	cr_assert_not_null(file);
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\r\n")] = '\0';
		cr_expect(sip_read_uri(bytes_of(line), &uri) && uri.host.size, "%s", line);
		lines++;
	}
	fclose(file);
	cr_assert_eq(lines, 1000);
}
