/* Any sequence of inputs to the shards of a node: datagrams of gateways and strangers, time, commands, another
 * configuration, notes and handed-over datagrams that take their time, an edge that has no room.  What must hold is
 * said in shard_world.h.
 *
 * The input: one byte of settings (WORLD_*), one of a seed, then records, each a byte of kind, one of host, and what
 * the kind takes.  Bit 7 of the kind: the datagram is mutated. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shard_messages.h"
#include "tests/fuzz/shard_world.h"

#define RECORDS_MAX 400
#define CHECKED     64 /* records between two checks of all tables */

enum kind {
	KIND_INITIAL,
	KIND_ANSWER,
	KIND_ANSWER_AGAIN, /* twice as likely */
	KIND_IN_DIALOG,
	KIND_IN_DIALOG_AGAIN,
	KIND_TEXT,
	KIND_REPLAY,
	KIND_TIME,
	KIND_COMMAND,
	KIND_CONFIGURE,
	KIND_EDGE,
	KIND_UNDELIVERABLE,
	KIND_TRUNCATED,
	KIND_MAIL,
	KINDS
};

static struct world world;

/* Of 192.0.2.1 to 4; bit 7: a stranger. */
static struct address host_of(unsigned byte)
{
	struct address host = { .family = 4, .port = (uint16_t)(5060 + (byte >> 2 & 3)), .ip = { 192, 0, 2 } };
	host.ip[3] = (uint8_t)(1 + (byte & 3));
	if (byte & 0x80)
		host.ip[0] = 10;
	return host;
}

static void build_replay(struct builder *b, struct fuzz_input *in)
{
	const struct world_text *text = world_text(&world.received, fuzz_byte(in));
	if (text)
		build_bytes(b, (struct bytes){ text->bytes, (uint32_t)text->size });
}

static void datagram(struct fuzz_input *in, unsigned kind, unsigned host, bool mutated)
{
	static char text[WORLD_TEXT_MAX];
	struct builder b;
	struct address from = host_of(host);
	build_begin(&b, text, sizeof text);
	if (kind == KIND_INITIAL)
		messages_initial(&b, in);
	else if (kind <= KIND_ANSWER_AGAIN)
		messages_answer(&b, in, &world);
	else if (kind <= KIND_IN_DIALOG_AGAIN)
		messages_in_dialog(&b, in, &world);
	else if (kind == KIND_REPLAY)
		build_replay(&b, in);
	else
		messages_text(&b, in, &world);
	size_t size = b.overflow ? sizeof text / 2 : build_size(&b);
	if (mutated)
		size = messages_mutate(text, size, sizeof text, in);
	world_keep(&world.received, text, size);
	world_datagram(&world, host >> 6 & 1, &from, text, size, kind == KIND_TRUNCATED);
}

static void pass(struct fuzz_input *in)
{
	static const uint64_t steps_ns[] = { WORLD_MS,     20 * WORLD_MS, 100 * WORLD_MS, 500 * WORLD_MS,
					     WORLD_S,      4 * WORLD_S,   7 * WORLD_S,    30 * WORLD_S,
					     40 * WORLD_S, 90 * WORLD_S,  600 * WORLD_S,  0 };
	world_pass(&world, steps_ns[fuzz_byte(in) % (sizeof steps_ns / sizeof *steps_ns)]);
}

static void command(struct fuzz_input *in)
{
	static const enum command_kind kinds[] = { COMMAND_CALLS_LIST, COMMAND_CALLS_HANGUP, COMMAND_CALLS_FIND,
						   COMMAND_DRAIN };
	unsigned choice = fuzz_byte(in);
	struct command c = { .kind = kinds[choice & 3], .rows = world.rows, .row_max = 4 };
	if (choice >= 0xfe) {
		choice == 0xff ? world_top_up(&world) : world_checkpoint(&world);
		return;
	}
	if (c.kind != COMMAND_CALLS_LIST && world.row_count)
		snprintf(c.id, sizeof c.id, "%s", world.rows[(choice >> 2 & 3) % world.row_count].cdr_id);
	if (c.kind == COMMAND_CALLS_LIST && choice & 0x40)
		snprintf(c.number, sizeof c.number, "88");
	if (c.kind == COMMAND_DRAIN && choice & 0x7c) /* rarely: nothing is taken afterwards */
		return;
	world_command(&world, choice >> 7, &c);
	if (c.kind == COMMAND_CALLS_LIST)
		world.row_count = c.row_count;
}

static void trouble(struct fuzz_input *in)
{
	unsigned choice = fuzz_byte(in), count = choice >> 2;
	switch (choice & 3) {
	case 0:
		world.lends_refused = count % 16;
		break;
	case 1:
		world.cdrs_refused = count % 16;
		break;
	case 2:
		world.no_cdr_room = count & 1;
		break;
	default:
		world.mail_held = count & 1;
	}
}

static void undeliverable(struct fuzz_input *in)
{
	const struct world_text *text = world_text(&world.sent, fuzz_byte(in));
	if (!text)
		return;
	for (unsigned i = 0; i < world.shard_count; i++)
		shard_undeliverable(world.shards[i], world.now_ns, (struct bytes){ text->bytes, (uint32_t)text->size });
	world_deliver(&world);
}

static void record(struct fuzz_input *in)
{
	unsigned byte = fuzz_byte(in), kind = (byte & 0x7f) % KINDS, host = fuzz_byte(in);
	switch (kind) {
	case KIND_TIME:
		pass(in);
		break;
	case KIND_COMMAND:
		command(in);
		break;
	case KIND_CONFIGURE:
		world_configure(&world, host);
		break;
	case KIND_EDGE:
		trouble(in);
		break;
	case KIND_UNDELIVERABLE:
		undeliverable(in);
		break;
	case KIND_MAIL:
		world.mail_held = false;
		world_deliver(&world);
		break;
	default:
		datagram(in, kind, host, byte & 0x80);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input in = { bytes, bytes + size };
	unsigned settings = fuzz_byte(&in);
	uint64_t seed = fuzz_byte(&in);

	fuzz_small_pages();
	world_begin(&world, settings, seed);
	for (unsigned n = 0; n < RECORDS_MAX && in.at < in.end; n++) {
		record(&in);
		if (n % CHECKED == CHECKED - 1)
			for (unsigned i = 0; i < world.shard_count; i++)
				shard_check(world.shards[i]);
	}
	world_end(&world, settings);
	return 0;
}
