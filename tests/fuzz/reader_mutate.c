/* Mutates messages and reads them: reader_mutate COUNT SEED [DIRECTORY...].
 *
 * Takes its own messages and all files of the directories, cuts, splices and overwrites them at random, and checks of
 * each that the readers keep their promises: every view lies in the text, the refusal fits the result, the numbers are
 * in range, a message taken in place is taken with the same values by sofia-sip, and an answer can be built after
 * SIP_READ_BAD.  Each mutant lies in a block of its exact size, so that the address sanitizer sees a read past its end.
 * Exits with 1 at the first broken promise and prints the message. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/library.h"
#include "sip/message.h"
#include "sip/reader.h"

#define SEEDS_MAX   1024
#define MUTANT_MAX  20000
#define PIECE_COUNT (sizeof pieces / sizeof pieces[0])

static const char *const own[] = {
	"INVITE sip:+13035552222@198.51.100.20:5060;user=phone SIP/2.0\r\n"
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-1;rport, SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK-0\r\n"
	"Max-Forwards: 70\r\n"
	"Contact: \"A, B\" <sip:+13035551111@192.0.2.10:5060;transport=udp>;expires=3\r\n"
	"To: <sip:+13035552222@198.51.100.20:5060;user=phone>\r\n"
	"From: \"Alice \\\"A\\\" Example\" <sip:+13035551111@192.0.2.10;user=phone>;tag=5f3a\r\n"
	"Call-ID: 8a7b6c5d@192.0.2.10\r\n"
	"CSeq: 1 INVITE\r\n"
	"Supported: timer, 100rel\r\n"
	"Session-Expires: 1800;refresher=uac\r\n"
	"Content-Type: application/sdp\r\n"
	"Content-Length: 5\r\n"
	"\r\n"
	"v=0\r\n",
	"SIP/2.0 183 Session Progress\r\n"
	"v: SIP/2.0/UDP 192.0.2.10;received=198.51.100.1;rport=5060;branch=z9hG4bK-1\r\n"
	"f: <sip:a@example.com>;tag=1\r\n"
	"t: \"B\" <sip:b@example.com>;tag=2\r\n"
	"i: x\r\n"
	"CSeq: 2147483647 INVITE\r\n"
	"m: <sip:b@192.0.2.20>\r\n"
	"l: 0\r\n"
	"\r\n",
	"BYE sip:a@192.0.2.10 SIP/2.0\r\n"
	"Via : SIP / 2.0 / UDP\r\n"
	"  192.0.2.20 ; branch = z9hG4bK-2\r\n"
	"From: John (sales) <sip:b@example.com> ; tag = 2\r\n"
	"To:\r\n"
	"\tsip:a@example.com;tag=1\r\n"
	"Call-ID: x\r\n"
	"CSeq: 0007\r\n"
	" BYE\r\n"
	"Max-Forwards: 0\r\n"
	"Reason: Q.850;cause=16;text=\"Normal\"\r\n"
	"\r\n",
	"ACK sip:b@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-3\r\nFrom: sip:a@b;tag=1\r\n"
	"To: sip:c@d;tag=2\r\nCall-ID: x\r\nCSeq: 1 ACK\r\n\r\n",
	"CANCEL sip:b@192.0.2.20 SIP/2.0\r\nv:SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-1\r\nf:<sip:a@b>;tag=1\r\n"
	"t:<sip:c@d>\r\ni:x\r\nCSeq:1 CANCEL\r\nl:0\r\n\r\n",
	"OPTIONS sip:192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;rport\r\nFrom: \"\" <sip:a@b>;tag=1\r\n"
	"To: <sip:c@[2001:db8::1]:5060>\r\nCall-ID: x\r\nCSeq: 99 OPTIONS\r\nAccept: */*\r\n\r\n",
	"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nMax-Forwards: 255\r\nFrom: <tel:+1>\r\nTo: "
	"<tel:+1>\r\n"
	"Call-ID: x\r\nCSeq: 1 REGISTER\r\nContact: *\r\nExpires: 0\r\n\r\n",
	"SIP/2.0 100 \r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 "
	"UPDATE\r\n\r\n",
	"SIP/2.0 422 Session Interval Too Small\r\nVia: SIP/2.0/UDP h;branch=z\r\nFrom: <sip:a@b>;tag=1\r\n"
	"To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nMin-SE: 600\r\nContent-Length: 0\r\n\r\n",
	"MESSAGE sip:%41b%20c@d SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:%61@b>\r\nTo: <sip:c@d?x=%41>\r\nCall-ID: "
	"x\r\n"
	"CSeq: 1 MESSAGE\r\nContent-Type: multipart/mixed;boundary=x\r\nContent-Length: 3\r\n\r\n\r\n\r\n",
	"NOTIFY tel:+1;phone-context=b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: \"NUL \\\001\" <sip:a@b>\r\nTo: "
	"<sip:c@d>\r\n"
	"Call-ID: x\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\nX-Unknown: ;;,,\"\r\n\r\n",
	"PRACK sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: J\303\251r\303\264me <sip:a@b>;tag=1\r\nTo: "
	"<sip:c@d>;tag=2\r\n"
	"Call-ID: x\r\nCSeq: 2 PRACK\r\nRAck: 1 1 INVITE\r\n\r\n",
};

/* What a mutation likes to put in. */
static const char *const pieces[] = {
	"\r\n",
	"\r\n ",
	"\r",
	"\n",
	"\"",
	"\\",
	"<",
	">",
	",",
	";",
	";;",
	"=",
	":",
	"@",
	"%",
	"/",
	"[",
	"]",
	" ",
	"\t",
	"\xff",
	"\xc3\xa9",
	";tag=x",
	";branch=z9hG4bK",
	";rport",
	"4294967296",
	"2147483648",
	"-1",
	"SIP/2.0",
	"SIP/3.0",
	"*",
	"Via: ",
	"\r\nv: ",
	"\r\nTo: x",
	"\r\nCSeq: 1 BYE",
	"\r\nContent-Length: 99999",
	"\r\nl: 1",
	"sip:",
	"tel:+1",
	"\r\n\r\n",
	"?a=b",
	"(",
};

static struct bytes seeds[SEEDS_MAX];
static uint32_t seed_count;
static uint64_t state;

static uint32_t random_below(uint32_t limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((state >> 32) * limit) >> 32);
}

static void add_seed(const char *at, size_t size)
{
	char *copy = malloc(size + 1);

	if (!copy || seed_count == SEEDS_MAX || size > MUTANT_MAX / 2) {
		free(copy);
		return;
	}
	memcpy(copy, at, size);
	seeds[seed_count++] = (struct bytes){ copy, (uint32_t)size };
}

static void add_directory(const char *path)
{
	static char text[1 << 16];
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char name[4096];
		FILE *file;

		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(name, "rb");
		if (file) {
			add_seed(text, fread(text, 1, sizeof text, file));
			fclose(file);
		}
	}
	if (directory)
		closedir(directory);
}

/* Replaces `cut` bytes at `at` by others. */
static uint32_t splice(char *text, uint32_t size, uint32_t at, uint32_t cut, struct bytes put)
{
	if (at > size)
		at = size;
	if (cut > size - at)
		cut = size - at;
	if (size - cut + put.size > MUTANT_MAX)
		return size;
	memmove(text + at + put.size, text + at + cut, size - at - cut);
	if (put.size)
		memcpy(text + at, put.at, put.size);
	return size - cut + put.size;
}

static uint32_t mutate(char *text, uint32_t size)
{
	static const char bytes[] = { 0x00, 0x0a, 0x20, (char)0xff, 0x0d, 0x09, 0x3b, 0x2c };
	uint32_t at = size ? random_below(size) : 0, cut;

	switch (random_below(6)) {
	case 0: /* one byte to one of the usual suspects */
		if (size)
			text[at] = bytes[random_below(sizeof bytes)];
		return size;
	case 1: /* one bit */
		if (size)
			text[at] = (char)(text[at] ^ (1 << random_below(8)));
		return size;
	case 2:
		return splice(text, size, at, random_below(8), BYTES_NONE);
	case 3:
		cut = random_below(2);
		return splice(text, size, at, cut, bytes_of(pieces[random_below(PIECE_COUNT)]));
	case 4: { /* a part of another message */
		struct bytes other = seeds[random_below(seed_count)];
		uint32_t from = other.size ? random_below(other.size) : 0;
		uint32_t length = random_below(other.size - from < 80 ? other.size - from + 1 : 80);

		return splice(text, size, at, length, (struct bytes){ other.at + from, length });
	}
	default:
		return random_below(20) ? size : at; /* cut off, now and then */
	}
}

static struct bytes current;
static unsigned long by_library; /* taken so */

static void fail(const char *promise)
{
	fprintf(stderr, "reader_mutate: %s\n", promise);
	fwrite(current.at, 1, current.size, stderr);
	exit(1);
}

static void expect(bool kept, const char *promise)
{
	if (!kept)
		fail(promise);
}

static void expect_inside(struct bytes view, struct bytes text)
{
	expect(view.size == 0 || (view.at >= text.at && view.at + view.size <= text.at + text.size),
	       "a view lies outside");
}

static void check_views(const struct sip_message *m)
{
	const struct bytes views[] = { m->method_text, m->request_uri, m->reason,   m->call_id,     m->content_type,
				       m->body,        m->via.whole,   m->via.host, m->via.branch,  m->via.received,
				       m->via.rport,   m->from.whole,  m->from.uri, m->from.tag,    m->from.display,
				       m->to.whole,    m->to.uri,      m->to.tag,   m->contact.uri, m->contact.whole };

	for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
		expect_inside(views[i], m->text);
	expect(m->header_count <= SIP_HEADERS_MAX, "too many headers were recorded");
	for (uint32_t i = 0; i < m->header_count; i++) {
		struct bytes value = sip_header_value(m, &m->header[i]), rest = value, element, ignored;

		expect_inside(sip_header_name(m, &m->header[i]), m->text);
		expect_inside(value, m->text);
		expect(!value.size || !memchr(value.at, '\n', value.size), "a line end stands in a value");
		while (sip_list_next(&rest, &element))
			sip_parameter(sip_parameters_of(element), BYTES("tag"), &ignored);
	}
	for (uint32_t id = 0; id < SIP_HEADER_IDS; id++)
		expect(m->first[id] <= m->header_count, "an index lies outside the table");
}

static void check_taken(const struct sip_message *m)
{
	struct sip_uri uri;

	expect(m->via.host.size && m->call_id.size && m->from.uri.size && m->to.uri.size,
	       "a mandatory header is empty");
	expect(m->cseq <= INT32_MAX && m->max_forwards >= -1 && m->max_forwards <= 255, "a number is out of range");
	expect(sip_read_uri(m->from.uri, &uri) && sip_read_uri(m->to.uri, &uri), "a URI cannot be read again");
	if (m->is_request)
		expect(sip_read_uri(m->request_uri, &uri) && m->method_text.size, "the request line cannot be read");
	else
		expect(m->status >= 100 && m->status <= 699, "the status is out of range");
	if (m->contact.whole.size)
		expect(sip_read_uri(m->contact.uri, &uri), "the Contact cannot be read again");
}

/* sofia-sip reads C strings, cannot read some methods that it does not know (those that begin as a known one does, or
 * have a + or a `), and looks into URIs of other schemes. */
static bool library_can_read(const struct sip_message *m)
{
	size_t size = m->body.at ? (size_t)(m->body.at - m->text.at) : m->text.size;
	struct sip_uri uri = { .is_sip = !m->is_request };

	if (m->is_request)
		sip_read_uri(m->request_uri, &uri);
	return uri.is_sip && !memchr(m->text.at, '\0', size) && m->method != SIP_METHOD_UNKNOWN;
}

static enum sip_read_result check(struct bytes text, char *scratch)
{
	static struct sip_message m;
	struct sip_refusal refusal = { 0 };
	enum sip_read_result result = sip_message_read(text, scratch, &m, &refusal);

	switch (result) {
	case SIP_READ_OK:
		check_views(&m);
		check_taken(&m);
		by_library += m.by_library;
		expect(refusal.why == SIP_BAD_NONE, "a message was taken and refused");
		if (!m.by_library && library_can_read(&m))
			expect(sip_library_agrees(text, &m), "the readers disagree");
		break;
	case SIP_READ_BAD:
		check_views(&m);
		expect(m.is_request && m.via.host.size && m.call_id.size, "nothing to answer");
		expect(refusal.status == 400 || refusal.status == 505 || refusal.status == 513,
		       "no status to answer with");
		expect(refusal.why != SIP_BAD_NONE && refusal.reason[0], "refused for no reason");
		break;
	case SIP_READ_GARBAGE:
		expect(refusal.why != SIP_BAD_NONE, "dropped for no reason");
		break;
	case SIP_READ_KEEPALIVE:
		break;
	default:
		fail("no result");
	}
	return result;
}

/* Checks a copy in a block of its exact size. */
static enum sip_read_result check_exact(struct bytes text)
{
	static char scratch[SIP_SCRATCH_BYTES];
	char *exact = malloc(text.size ? text.size : 1);
	enum sip_read_result result;

	if (!exact)
		exit(2);
	memcpy(exact, text.at, text.size);
	current = (struct bytes){ exact, text.size };
	result = check(current, scratch);
	free(exact);
	return result;
}

/* Every beginning of a message, and every byte of it overwritten. */
static void check_all_of(struct bytes seed)
{
	static const char bytes[] = { 0x00, 0x0a, 0x20, (char)0xff };
	static char text[MUTANT_MAX];

	for (uint32_t size = 0; size < seed.size; size++)
		check_exact((struct bytes){ seed.at, size });
	for (uint32_t at = 0; at < seed.size; at++) {
		memcpy(text, seed.at, seed.size);
		for (size_t i = 0; i < sizeof bytes; i++) {
			text[at] = bytes[i];
			check_exact((struct bytes){ text, seed.size });
		}
	}
}

int main(int argc, char **argv)
{
	static char text[MUTANT_MAX];
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000, results[5] = { 0 };

	state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		add_seed(own[i], strlen(own[i]));
	for (uint32_t i = 0; i < seed_count; i++)
		check_all_of(seeds[i]);
	for (int i = 3; i < argc; i++)
		add_directory(argv[i]);
	by_library = 0;

	for (unsigned long i = 0; i < count; i++) {
		struct bytes seed = seeds[random_below(seed_count)];
		uint32_t size = seed.size;

		memcpy(text, seed.at, size);
		for (uint32_t times = 1 + random_below(4); times; times--)
			size = mutate(text, size);
		results[check_exact((struct bytes){ text, size })]++;
	}
	printf("%lu mutants of %u messages: %lu taken (%lu by the library), %lu refused, %lu dropped, %lu keepalives\n",
	       count, seed_count, results[SIP_READ_OK], by_library, results[SIP_READ_BAD], results[SIP_READ_GARBAGE],
	       results[SIP_READ_KEEPALIVE]);
	for (uint32_t i = 0; i < seed_count; i++)
		free((char *)(uintptr_t)seeds[i].at);
	return 0;
}
