/* Plays a careless world to one shard: shard_mutate COUNT SEED.
 *
 * Sends COUNT datagrams: INVITEs, answers to what the shard sent, requests inside the dialogs it made, replays, and
 * mutated forms of all of these, from gateways and strangers, over virtual time.  Checks that the shard's tables stay
 * whole, that each call leaves exactly one record, and that nothing is left of it all in the end.  Nothing here may
 * come from a clock or a generator other than SEED, so a failure is replayed by its command. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/shard.h"
#include "sip/build.h"
#include "sip/message.h"

#define KEPT        256 /* messages remembered, sent and received */
#define MESSAGE_MAX 4096
#define SECOND_NS   UINT64_C(1000000000)

struct kept {
	size_t size;
	char bytes[MESSAGE_MAX];
};

static struct kept sent[KEPT], received[KEPT];
static unsigned sent_count, received_count;
static uint64_t records, random_state;
static char room[65536];

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((random_state >> 32) * limit) >> 32);
}

static void keep(struct kept *ring, unsigned *count, const char *bytes, size_t size)
{
	struct kept *slot = &ring[(*count)++ % KEPT];
	slot->size = size < MESSAGE_MAX ? size : MESSAGE_MAX;
	memcpy(slot->bytes, bytes, slot->size);
}

/* ---- the edge ---- */

static char *edge_lend(void *context, size_t size)
{
	(void)context;
	assert(size <= sizeof room);
	return random_below(500) ? room : NULL;
}

static void edge_send(void *context, const struct flow *to, char *at, size_t size)
{
	(void)context;
	assert(to->peer.family == 4 && at == room);
	keep(sent, &sent_count, at, size);
}

static void edge_unlend(void *context, char *at)
{
	(void)context;
	assert(at == room);
}

static bool edge_hand_over(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram)
{
	(void)context, (void)shard, (void)arrival, (void)from, (void)datagram;
	abort(); /* there is one shard */
}

static void edge_post(void *context, unsigned shard, const struct note *note)
{
	(void)context, (void)shard, (void)note;
	abort();
}

static bool edge_cdr(void *context, const struct cdr *cdr)
{
	(void)context;
	assert(cdr->end_us >= cdr->start_us && cdr->hold_ms >= 0 && cdr->end_reason < CDR_END_REASON_COUNT);
	if (!random_below(10))
		return false; /* the queue is full for a moment */
	records++;
	return true;
}

static bool edge_cdr_room(void *context)
{
	(void)context;
	return true;
}

static void edge_log(void *context, int level, const char *line)
{
	(void)context, (void)level, (void)line;
}

/* ---- the world ---- */

static const struct kept *any(const struct kept *ring, unsigned count)
{
	unsigned held = count < KEPT ? count : KEPT;
	return held ? &ring[random_below(held)] : NULL;
}

static const char *const bodies[] = { "", "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\n",
				      "v=0\r\no=b 2 2 IN IP4 192.0.2.2\r\n" };

static void finish(struct builder *b)
{
	const char *body = bodies[random_below(3)];
	if (*body)
		build_text(b, "Content-Type: application/sdp\r\n");
	build_body(b, bytes_of(body));
}

static void make_invite(struct builder *b, unsigned n)
{
	char head[512];
	int size =
		snprintf(head, sizeof head,
			 "INVITE sip:+88%u@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK%u;rport\r\n"
			 "Max-Forwards: %u\r\nFrom: <sip:%u@192.0.2.1>;tag=f%u\r\nTo: <sip:88@192.0.2.9>\r\n"
			 "Call-ID: c%u@192.0.2.1\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.1:5070>\r\n%s",
			 n, n, random_below(20), n, n, n,
			 random_below(4) ? "" : "Record-Route: <sip:192.0.2.3;lr>, <sip:192.0.2.4>\r\n");
	static const char *const reliable[] = { "", "", "Supported: 100rel\r\n", "Require: 100rel\r\n" };
	build_bytes(b, (struct bytes){ head, (uint32_t)size });
	build_bytes(b, bytes_of(reliable[random_below(4)]));
	finish(b);
}

static void make_response(struct builder *b, const struct sip_message *m)
{
	static const unsigned codes[] = { 100, 180, 183, 183, 180, 181, 200, 200, 200, 202, 302,
					  401, 404, 408, 422, 481, 486, 487, 491, 503, 603 };
	static const char *const tags[] = { "r1", "r1", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "" };
	struct address source = { .family = 4, .port = 5060, .ip = { 192, 0, 2, 9 } };
	build_status_line(b, codes[random_below(sizeof codes / sizeof *codes)], BYTES_NONE);
	build_response_head(b, m, &source, bytes_of(tags[random_below(10)]), random_below(3) == 0);
	if (random_below(5))
		build_text(b, "Contact: <sip:b@192.0.2.2>\r\n");
	if (!random_below(8))
		build_text(b, "Retry-After: 3\r\n");
	if (!random_below(3)) {
		build_text(b, "Require: 100rel\r\nRSeq: ");
		build_number(b, 1 + random_below(4));
		build_text(b, "\r\n");
	}
	finish(b);
}

/* A request of the caller inside the dialog that a response of the shard speaks of. */
static void make_dialog_request(struct builder *b, const struct sip_message *m, bool towards_caller)
{
	static const enum sip_method methods[] = { SIP_ACK,    SIP_ACK,    SIP_ACK,    SIP_BYE,     SIP_BYE,
						   SIP_INVITE, SIP_UPDATE, SIP_INFO,   SIP_CANCEL,  SIP_PRACK,
						   SIP_PRACK,  SIP_PRACK,  SIP_UPDATE, SIP_MESSAGE, SIP_NOTIFY,
						   SIP_REFER,  SIP_OPTIONS };
	enum sip_method method = methods[random_below(sizeof methods / sizeof *methods)];
	struct bytes name = sip_method_name(method);
	bool same = method == SIP_ACK || method == SIP_CANCEL;
	build_bytes(b, name);
	build_text(b, " sip:x@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=");
	if (same && m->via.branch.size && random_below(2))
		build_bytes(b, m->via.branch);
	else
		build_text(b, "z9hG4bKd");
	build_number(b, same ? 0 : random_below(100000));
	build_text(b, ";rport\r\nMax-Forwards: 70\r\n");
	build_header(b, "From: ", sip_header(m, towards_caller ? SIP_H_TO : SIP_H_FROM));
	if (towards_caller && !m->to.tag.size && random_below(2))
		b->at -= 2, build_text(b, ";tag=r1\r\n");
	build_header(b, "To: ", sip_header(m, towards_caller ? SIP_H_FROM : SIP_H_TO));
	build_header(b, "Call-ID: ", m->call_id);
	build_text(b, "CSeq: ");
	build_number(b, same ? m->cseq : m->cseq + random_below(5));
	build_text(b, " ");
	build_bytes(b, name);
	build_text(b, "\r\nContact: <sip:n@192.0.2.5:5060>\r\n");
	if (method == SIP_PRACK && random_below(4)) { /* mostly of the response that it follows on */
		build_text(b, "RAck: ");
		build_bytes(b, sip_header(m, SIP_H_RSEQ));
		build_text(b, " 1 INVITE\r\n");
	}
	finish(b);
}

static size_t mutate(char *bytes, size_t size)
{
	for (unsigned n = random_below(4); n-- && size > 2;) {
		size_t at = random_below((uint32_t)size), length = random_below(12);
		if (at + length > size)
			length = size - at;
		switch (random_below(4)) {
		case 0:
			bytes[at] = (char)random_below(256);
			break;
		case 1: /* cut out */
			memmove(bytes + at, bytes + at + length, size - at - length);
			size -= length;
			break;
		case 2: /* repeat */
			if (size + length > MESSAGE_MAX)
				break;
			memmove(bytes + at + length, bytes + at, size - at);
			size += length;
			break;
		default:
			size = random_below(20) ? size : at;
		}
	}
	return size;
}

static size_t next_datagram(char *out, char *scratch, unsigned n)
{
	static struct sip_message m;
	struct sip_refusal refusal;
	struct builder b;
	const struct kept *last = any(sent, sent_count);
	unsigned kind = random_below(100);
	build_begin(&b, out, MESSAGE_MAX);
	if (last && kind < 75 &&
	    sip_message_read((struct bytes){ last->bytes, (uint32_t)last->size }, scratch, &m, &refusal) ==
		    SIP_READ_OK) {
		if (m.is_request && kind < 45)
			make_response(&b, &m);
		else
			make_dialog_request(&b, &m, m.is_request);
	} else if (received_count && kind < 80) {
		const struct kept *again = any(received, received_count);
		build_bytes(&b, (struct bytes){ again->bytes, (uint32_t)again->size });
	} else {
		make_invite(&b, random_below(3) ? n : random_below(n + 1));
	}
	size_t size = build_size(&b);
	keep(received, &received_count, out, size);
	return random_below(3) ? size : mutate(out, size);
}

static struct config *make_config(void)
{
	char path[] = "shard_mutate.XXXXXX", error[512];
	struct config *config;
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file)
		return NULL;
	fputs("listen \"main\" { address = \"192.0.2.9\" }\n"
	      "mapping_gateway \"m\" { address = {\"192.0.2.0/24\"} capacity = 40 }\n"
	      "routing_gateway \"r1\" { address = \"192.0.2.2\" prefix = {\"88\"} priority = 1 capacity = 20 }\n"
	      "routing_gateway \"r2\" { address = \"192.0.2.3\" prefix = {\"88\"} priority = 2 max_duration = 30 }\n"
	      "parameters { RW_SIP_T1 = 100 SS_SIP_RESEND_INTERVAL = \"0.1,0.2,0.4\" SS_SIP_NO_TIMER_REINVITE_INTERVAL "
	      "= 60\n"
	      "SS_GATEWAY_SWITCH_UNTIL_CONNECT = on }\n",
	      file);
	fclose(file);
	int status = config_load(path, &config, error);
	remove(path);
	if (status)
		fprintf(stderr, "%s\n", error);
	return status ? NULL : config;
}

static void feed(struct shard *s, uint64_t now_ns, const char *bytes, size_t size)
{
	struct flow from = { .peer = { .family = 4, .port = (uint16_t)(5060 + random_below(3)), .ip = { 192, 0, 2 } } };
	from.peer.ip[3] = (uint8_t)(1 + random_below(4));
	if (!random_below(50))
		from.peer.ip[0] = 10; /* a stranger */
	struct arrival arrival = { .now_ns = now_ns, .real_us = (int64_t)(now_ns / 1000) };
	char *exact = malloc(size ? size : 1); /* the address sanitizer sees a read past its end */
	memcpy(exact, bytes, size);
	shard_datagram(s, &arrival, &from, (struct bytes){ exact, (uint32_t)size }, false);
	free(exact);
}

static void advance(struct shard *s, uint64_t now_ns)
{
	while (shard_advance(s, now_ns, 100))
		;
}

static int check_end(struct shard *s, const struct shard_stats *stats)
{
	shard_check(s);
	shard_publish_stats(s);
	printf("%llu calls, %llu answered, %llu records, %llu datagrams bad, %llu by the library, %llu timers\n",
	       (unsigned long long)stats->calls_attempted, (unsigned long long)stats->calls_answered,
	       (unsigned long long)records, (unsigned long long)stats->datagrams_bad,
	       (unsigned long long)stats->parsed_by_library, (unsigned long long)stats->timers_fired);
	if (records != stats->calls_attempted || stats->cdr_queued != records)
		return fprintf(stderr, "calls and records differ\n"), 1;
	if (stats->pool_call_used || stats->pool_leg_used || stats->pool_attempt_used || stats->pool_transaction_used ||
	    stats->pool_body_used || stats->pool_text_used || stats->pool_tombstone_used || stats->timers_armed ||
	    stats->calls_active || stats->calls_setup)
		return fprintf(stderr, "something is left\n"), 1;
	return 0;
}

int main(int argc, char **argv)
{
	static struct shard_stats stats;
	static const uint8_t secret[32] = { 1, 2, 3 };
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct config *config = make_config();
	struct tally *book = tally_reserve();
	struct quality_book *quality = quality_reserve();
	struct shard *s;
	uint64_t now_ns = 1000 * SECOND_NS;
	struct shard_settings settings = {
		.config = config,
		.edge = { .lend = edge_lend,
			  .send = edge_send,
			  .unlend = edge_unlend,
			  .hand_over = edge_hand_over,
			  .post = edge_post,
			  .cdr = edge_cdr,
			  .cdr_room = edge_cdr_room,
			  .log = edge_log },
		.stats = &stats,
		.tallies = { &book, 1 },
		.qualities = { &quality, 1 },
		.secret = secret,
		.shard_count = 1,
		.boot = 1,
		.calls_max = 200,
		.seed = random_state,
		.now_ns = now_ns,
	};
	if (!config || !book || !quality || shard_create(&settings, &s))
		return 2;
	char *scratch = malloc(SIP_SCRATCH_BYTES), *out = malloc(MESSAGE_MAX);
	for (unsigned n = 0; n < count; n++) {
		size_t size = next_datagram(out, scratch, n);
		feed(s, now_ns, out, size);
		now_ns += random_below(100) ? random_below(50) * UINT64_C(1000000) : random_below(40) * SECOND_NS;
		advance(s, now_ns);
		if (n % 64 == 0)
			shard_check(s);
	}
	for (unsigned i = 0; i < 1000; i++) /* all peers are silent now */
		advance(s, now_ns += SECOND_NS);
	int failed = check_end(s, &stats);
	if (failed)
		fprintf(stderr, "replay: shard_mutate %u %s\n", count, argc > 2 ? argv[2] : "1");
	shard_destroy(s);
	tally_release(book);
	quality_release(quality);
	config_free(config);
	free(scratch);
	free(out);
	return failed;
}
