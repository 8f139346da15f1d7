/* Session bodies as the shard keeps them: whatever a message carries is sent on byte for byte, with the lines that
 * describe it; identical ones are one; nothing is left when all were given back.
 *
 * The input: operations, each a byte (what, which of eight places) and, to keep one, a message's header lines and body:
 * two sizes and their bytes.  RFC 3261 7.4, 20.11 to 20.15. */
#include "core/call/body.h"

#include <string.h>

#include "core/pool.h"
#include "tests/fuzz/fuzz.h"

#define PLACES   8
#define TEXT_MAX 4096

struct place {
	uint32_t body; /* POOL_NONE: empty */
	size_t size;
	char built[TEXT_MAX]; /* what it must look like when it is sent */
};

static struct shard s;
static struct place places[PLACES];

static void begin(void)
{
	memset(&s, 0, sizeof s);
	if (text_store_create(&s.texts, 1u << 20))
		abort();
	s.body_heads = calloc(2, sizeof *s.body_heads); /* all in two chains */
	s.body_head_mask = 1;
	s.bodies_max = PLACES - 2; /* at times there is no room */
	s.work = malloc(DATAGRAM_MAX);
	if (!s.body_heads || !s.work)
		abort();
	for (unsigned i = 0; i < PLACES; i++)
		places[i].body = POOL_NONE;
}

static void end(void)
{
	for (unsigned i = 0; i < PLACES; i++)
		body_drop(&s, places[i].body);
	fuzz_expect(s.bodies_used == 0 && s.texts.used_count == 0, "nothing is left");
	text_store_destroy(&s.texts);
	free(s.body_heads);
	free(s.work);
}

/* false: it is no message. */
static bool read_message(struct fuzz_input *in, struct sip_message *ret_message)
{
	static const char head[] = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z\r\nFrom: <sip:a@h>;tag=1\r\n"
				   "To: <sip:b@h>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n";
	static char text[TEXT_MAX], scratch[SIP_SCRATCH_BYTES];
	struct sip_refusal refusal;
	const uint8_t *lines, *body;
	size_t lines_size = fuzz_bytes(in, fuzz_byte(in), &lines), body_size = fuzz_bytes(in, fuzz_byte(in), &body);
	size_t size = sizeof head - 1;

	memcpy(text, head, size);
	memcpy(text + size, lines, lines_size);
	size += lines_size;
	memcpy(text + size, "\r\n\r\n", 4);
	size += 4;
	memcpy(text + size, body, body_size);
	return sip_message_read((struct bytes){ text, (uint32_t)(size + body_size) }, scratch, ret_message, &refusal) ==
	       SIP_READ_OK;
}

static void write_message(struct builder *b, const struct sip_message *m, char room[static TEXT_MAX])
{
	build_begin(b, room, TEXT_MAX);
	body_build_from(b, m);
	fuzz_expect(!b->overflow, "it is no longer than it came");
}

static void check(const struct place *place)
{
	char room[TEXT_MAX];
	struct builder b;

	if (place->body == POOL_NONE)
		return;
	build_begin(&b, room, sizeof room);
	body_build(&s, &b, place->body);
	fuzz_expect(!b.overflow && build_size(&b) == place->size && memcmp(room, place->built, place->size) == 0,
		    "a body is sent as it came");
}

static void keep(struct place *place, struct fuzz_input *in)
{
	static struct sip_message m;
	struct builder b;
	uint32_t body;

	if (!read_message(in, &m))
		return;
	body = body_keep(&s, &m);
	fuzz_expect(m.body.size || body == POOL_NONE, "no body is none");
	body_replace(&s, &place->body, body);
	if (body == POOL_NONE)
		return;
	fuzz_expect(body_equals(&s, body, &m), "a body equals what it was kept of");
	write_message(&b, &m, place->built);
	place->size = build_size(&b);
}

static void share(struct place *place, const struct place *with)
{
	if (place == with)
		return;
	body_replace(&s, &place->body, body_share(&s, with->body));
	place->size = with->size;
	memcpy(place->built, with->built, with->size);
}

/* Written down and put back, as a record of a live call does it. */
static void put_back(struct place *place)
{
	char head[TEXT_MAX], content[TEXT_MAX];
	struct body_parts parts;

	if (place->body == POOL_NONE)
		return;
	parts = body_parts(&s, place->body);
	if (parts.head.size)
		memcpy(head, parts.head.at, parts.head.size);
	memcpy(content, parts.content.at, parts.content.size);
	parts.head.at = head;
	parts.content.at = content;
	body_replace(&s, &place->body, body_put(&s, &parts));
}

static void check_all(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		check(&places[i]);
		for (unsigned k = 0; k < i; k++)
			if (places[i].body != POOL_NONE && places[k].body != POOL_NONE)
				fuzz_expect((places[i].body == places[k].body) ==
						    (places[i].size == places[k].size &&
						     memcmp(places[i].built, places[k].built, places[i].size) == 0),
					    "identical bodies are one, others are not");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input in = { bytes, bytes + size };

	begin();
	while (in.at < in.end) {
		unsigned what = fuzz_byte(&in);
		struct place *place = &places[what % PLACES];

		if (what < 0x80)
			keep(place, &in);
		else if (what < 0xa0)
			body_replace(&s, &place->body, POOL_NONE);
		else if (what < 0xd0)
			share(place, &places[what / PLACES % PLACES]);
		else
			put_back(place);
		check_all();
	}
	end();
	return 0;
}
