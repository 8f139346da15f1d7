/* Strangers: how much of what comes from no gateway is read and answered, and that gateways and calls do not notice.
 * Spec 4 and 11; RW_UNAUTHORIZED_RATE, RW_UNAUTHORIZED_RATE_ALL.
 *
 * One shard of which the test is the edge: it counts what is sent, and to whom. */
#include "core/call/stranger.h"

#include "tests/core/config_files.h"

#define SECOND      UINT64_C(1000000000)
#define MESSAGE_MAX 20000

/* ---- the rates, without a shard ---- */

static struct strangers *limits(uint32_t rate, uint32_t rate_all, uint32_t shards)
{
	struct strangers *t = malloc(sizeof *t);
	cr_assert_not_null(t);
	strangers_init(t, 1, 2);
	strangers_configure(t, rate, rate_all, shards);
	return t;
}

/* How many of `count` requests at one moment are taken. */
static unsigned taken(struct strangers *t, const char *host, uint64_t now_ns, unsigned count)
{
	struct address source = address_of(host, 5060);
	unsigned n = 0;
	while (count--)
		n += strangers_take(t, &source, now_ns) == STRANGER_TAKEN;
	return n;
}

Test(RW_UNAUTHORIZED_RATE, a_seconds_worth_at_once_then_the_rate)
{
	struct strangers *t = limits(10, 0, 1);
	cr_assert_eq(taken(t, "198.51.100.1", 100 * SECOND, 1000), 11);
	cr_assert_eq(taken(t, "198.51.100.1", 100 * SECOND + SECOND / 20, 1000), 0);
	cr_assert_eq(taken(t, "198.51.100.1", 101 * SECOND, 1000), 10);
	unsigned sum = 0;
	for (unsigned i = 1; i <= 10000; i++)
		sum += taken(t, "198.51.100.1", 101 * SECOND + i * (SECOND / 1000), 5);
	cr_assert_eq(sum, 100, "%u in ten seconds", sum);
	cr_assert_eq(taken(t, "198.51.100.1", 1000 * SECOND, 1000), 11, "a pause earns no more than a second's worth");
	free(t);
}

Test(RW_UNAUTHORIZED_RATE, other_sources_are_not_touched)
{
	struct strangers *t = limits(10, 0, 1);
	char host[32];
	unsigned silenced = 0;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(host, sizeof host, "203.0.113.%u", i);
		taken(t, host, 100 * SECOND, 1000);
	}
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(host, sizeof host, "198.51.%u.%u", 100 + i / 250, i % 250);
		silenced += taken(t, host, 100 * SECOND, 1) == 0;
	}
	cr_assert_leq(silenced, 2, "%u of 1000", silenced);
	free(t);
}

/* A port is no other source, nor is another address of the same IPv6 /64. */
Test(RW_UNAUTHORIZED_RATE, a_source_is_an_ipv4_address_or_an_ipv6_64)
{
	struct strangers *t = limits(10, 0, 1);
	struct address source = address_of("198.51.100.1", 1);
	unsigned n = 0;
	for (unsigned port = 1; port < 100; port++, source.port = (uint16_t)port)
		n += strangers_take(t, &source, SECOND) == STRANGER_TAKEN;
	cr_assert_eq(n, 11);
	cr_assert_eq(taken(t, "2001:db8:1:2::1", SECOND, 100), 11);
	cr_assert_eq(taken(t, "2001:db8:1:2:ffff::9", SECOND, 100), 0);
	cr_assert_eq(taken(t, "2001:db8:1:3::1", SECOND, 100), 11);
	free(t);
}

Test(RW_UNAUTHORIZED_RATE_ALL, bounds_any_number_of_sources)
{
	struct strangers *t = limits(10, 50, 1);
	char host[32];
	unsigned n = 0;
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(host, sizeof host, "%u.%u.%u.1", 1 + i % 200, i / 200 % 250, i / 50000);
		n += taken(t, host, 100 * SECOND + i, 1);
	}
	cr_assert_eq(n, 51);
	cr_assert_eq(strangers_take(t, &(struct address){ .family = 4, .ip = { 250 } }, 100 * SECOND),
		     STRANGER_OVER_ALL);
	free(t);
}

/* Each of a source's Call-IDs may lead to another shard. */
Test(RW_UNAUTHORIZED_RATE, every_shard_allows_its_share)
{
	unsigned sum = 0;
	for (unsigned shard = 0; shard < 4; shard++) {
		struct strangers *t = limits(40, 0, 4);
		for (unsigned i = 0; i < 1000; i++)
			sum += taken(t, "198.51.100.1", 100 * SECOND + i * SECOND / 100, 3);
		free(t);
	}
	cr_assert(sum >= 400 && sum <= 400 + 44, "%u in ten seconds", sum);
}

Test(RW_UNAUTHORIZED_RATE, zero_is_no_limit)
{
	struct strangers *t = limits(0, 0, 1);
	cr_assert_eq(taken(t, "198.51.100.1", SECOND, 100000), 100000);
	strangers_configure(t, 10, 0, 1); /* and a reload begins with nothing owed */
	cr_assert_eq(taken(t, "198.51.100.1", SECOND, 1000), 11);
	free(t);
}

/* ---- tokens ---- */

static void find_token(const struct ident_key *key, const char *text, size_t size, bool expected)
{
	char *exact = malloc(size ? size : 1);
	memcpy(exact, text, size);
	cr_assert_eq(stranger_holds_token(key, (struct bytes){ exact, (uint32_t)size }), expected, "%.*s", (int)size,
		     text);
	free(exact);
}

Test(strangers, a_token_is_found_wherever_it_stands_and_only_whole)
{
	static const uint8_t secret[32] = { 7 };
	struct ident_key key, other;
	struct ident id = { .slot = 5, .generation = 6, .boot = 1, .bucket = 77 };
	char token[IDENT_SIZE], text[2 * STRANGER_SEARCHED];
	ident_key_init(&key, secret, "a");
	ident_key_init(&other, (const uint8_t[32]){ 8 }, "a");
	ident_write(&key, &id, token);
	for (unsigned before = 0; before < 600; before += 37) {
		memset(text, 'x', sizeof text);
		memcpy(text + before, token, sizeof token);
		find_token(&key, text, before + IDENT_SIZE, true);
		find_token(&key, text, before + IDENT_SIZE + 100, true);
		find_token(&key, text, before + IDENT_SIZE - 1, false);
		find_token(&other, text, before + IDENT_SIZE, false);
	}
	find_token(&key, "", 0, false);
	memset(text, 'x', sizeof text);
	memcpy(text + STRANGER_SEARCHED - IDENT_SIZE, token, sizeof token);
	find_token(&key, text, sizeof text, true);
	memset(text, 'x', sizeof text);
	memcpy(text + STRANGER_SEARCHED - IDENT_SIZE + 1, token, sizeof token);
	find_token(&key, text, sizeof text, false);
	memset(text, 'a', sizeof text);
	for (unsigned i = 0; i < 3; i++)
		memcpy(text + 40 * i, token, IDENT_SIZE - 1); /* forged */
	find_token(&key, text, 200, false);
	memcpy(text + 150, token, IDENT_SIZE);
	find_token(&key, text, 200, true);
	for (unsigned i = 0; i < 200; i++)
		memcpy(text + 4 * i, token, 4); /* markers and nothing else: the search gives up */
	memcpy(text + 800, token, IDENT_SIZE);
	find_token(&key, text, 1000, false);
}

/* ---- a shard ---- */

struct stand {
	struct config *config;
	struct tally *book;
	struct quality_book *quality;
	struct shard_stats stats;
	struct shard *shard;
	uint64_t now_ns;
	unsigned sent, to_strangers, cdrs, lines;
	size_t last_size, invite_size;
	char last[70000], invite[70000];
	char line[600];
};

static struct stand stand;

static char *edge_lend(void *context, size_t size)
{
	static char room[70000];
	(void)context;
	cr_assert_leq(size, sizeof room);
	return room;
}

static void edge_send(void *context, const struct flow *to, char *at, size_t size)
{
	struct stand *t = context;
	t->sent++;
	t->to_strangers += to->peer.ip[0] != 10;
	memcpy(t->last, at, size);
	t->last_size = size;
	if (memcmp(at, "INVITE", 6) == 0) {
		memcpy(t->invite, at, size);
		t->invite_size = size;
	}
}

static void edge_unlend(void *context, char *at)
{
	(void)context, (void)at;
}

static bool edge_cdr(void *context, const struct cdr *cdr)
{
	struct stand *t = context;
	t->cdrs += cdr->end_reason == CDR_END_unauthorized;
	return true;
}

static bool edge_cdr_room(void *context)
{
	(void)context;
	return true;
}

static void edge_log(void *context, int level, const char *line)
{
	struct stand *t = context;
	(void)level;
	t->lines++;
	snprintf(t->line, sizeof t->line, "%s", line);
}

static struct config *make_config(const char *customer, const char *parameters)
{
	char text[2000];
	snprintf(text, sizeof text,
		 "listen \"main\" { address = \"10.0.0.1\" }\n"
		 "mapping_gateway \"m\" { address = \"%s\" }\n"
		 "routing_gateway \"r\" { address = \"10.2.0.1\" prefix = \"88\" }\n"
		 "parameters { %s }\n",
		 customer, parameters);
	memcpy(scratch + sizeof scratch - 7, "XXXXXX", 6); /* it is named anew each time */
	scratch_open();
	struct config *config = load_text(text);
	scratch_close();
	return config;
}

static void begin(const char *parameters)
{
	static const uint8_t secret[32] = { 1 };
	struct stand *t = &stand;
	*t = (struct stand){ .config = make_config("10.1.0.1", parameters), .now_ns = 1000 * SECOND };
	t->book = tally_reserve();
	t->quality = quality_reserve();
	struct shard_settings settings = {
		.config = t->config,
		.edge = { .context = t,
			  .lend = edge_lend,
			  .send = edge_send,
			  .unlend = edge_unlend,
			  .cdr = edge_cdr,
			  .cdr_room = edge_cdr_room,
			  .log = edge_log },
		.stats = &t->stats,
		.tallies = { &t->book, 1 },
		.qualities = { &t->quality, 1 },
		.secret = secret,
		.shard_count = 1,
		.boot = 1,
		.calls_max = 100,
		.seed = 1,
		.now_ns = t->now_ns,
	};
	cr_assert_eq(shard_create(&settings, &t->shard), 0);
}

static void end(void)
{
	shard_check(stand.shard);
	shard_destroy(stand.shard);
	tally_release(stand.book);
	quality_release(stand.quality);
	config_free(stand.config);
}

static void feed_bytes(const char *host, const char *text, size_t size)
{
	struct flow from = { .peer = address_of(host, 5060) };
	struct arrival arrival = { .now_ns = stand.now_ns, .real_us = (int64_t)(stand.now_ns / 1000) };
	char *exact = malloc(size ? size : 1);
	memcpy(exact, text, size);
	shard_datagram(stand.shard, &arrival, &from, (struct bytes){ exact, (uint32_t)size }, false);
	free(exact);
}

static void feed(const char *host, const char *text)
{
	feed_bytes(host, text, strlen(text));
}

static unsigned serial;

/* `vias` below the topmost are in one comma list, which an answer unfolds. */
static const char *request(const char *method, unsigned vias, const char *more)
{
	static char text[MESSAGE_MAX];
	int at = snprintf(text, sizeof text, "%s sip:8801@a SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bK%u", method,
			  ++serial);
	for (unsigned i = 0; i < vias; i++)
		at += snprintf(text + at, sizeof text - (size_t)at, ",SIP/2.0/UDP h");
	snprintf(text + at, sizeof text - (size_t)at,
		 "\r\nf:<sip:a@b>;tag=1\r\nt:<sip:a@b>\r\ni:c%u\r\nCSeq:1 %s\r\n%s\r\n", serial, method, more);
	return text;
}

static bool last_is(const char *begin_of)
{
	return strncmp(stand.last, begin_of, strlen(begin_of)) == 0;
}

Test(spec_11_strangers, a_scanner_costs_no_call_slot_no_record_and_no_log_flood)
{
	static const char *const methods[] = { "INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE" };
	begin("RW_UNAUTHORIZED_RATE = 40");
	for (unsigned i = 0; i < 20000; i++) {
		feed("198.51.100.1", request(methods[i / 50 % 4], 0, "User-Agent: friendly-scanner\r\n"));
		if (i % 100 == 0) {
			cr_assert(!shard_advance(stand.shard, stand.now_ns, 1000));
			shard_check(stand.shard);
		}
		stand.now_ns += SECOND / 2000;
	}
	const struct shard_stats *stats = &stand.stats;
	cr_assert(stand.sent >= 400 && stand.sent <= 442, "%u answers in ten seconds", stand.sent);
	cr_assert_eq(stand.sent, stand.to_strangers);
	cr_assert_eq(stats->calls_attempted, 0);
	cr_assert_eq(stand.cdrs, 0);
	cr_assert_leq(stand.lines, 2, "%u lines", stand.lines);
	cr_assert_not_null(strstr(stand.line, "event=strangers_dropped latest=198.51.100.1:5060"), "%s", stand.line);
	cr_assert_eq(stats->strangers_dropped, 20000 - stand.sent);
	uint64_t kinds[] = { stats->invites_unauthorized, stats->registers_unauthorized, stats->options_unauthorized,
			     stats->others_unauthorized };
	for (unsigned i = 0; i < 4; i++)
		cr_assert(kinds[i] > 50, "%s: %llu", methods[i], (unsigned long long)kinds[i]);
	cr_assert_eq(kinds[0] + kinds[1] + kinds[2] + kinds[3], stand.sent);
	shard_publish_stats(stand.shard);
	cr_assert_eq(stats->pool_call_used + stats->pool_transaction_used + stats->pool_tombstone_used, 0);
	end();
}

Test(spec_11_strangers, gateways_are_not_limited_whatever_strangers_do)
{
	begin("RW_UNAUTHORIZED_RATE = 1 RW_UNAUTHORIZED_RATE_ALL = 1");
	for (unsigned i = 0; i < 100; i++)
		feed("198.51.100.1", request("OPTIONS", 0, ""));
	stand.sent = 0;
	for (unsigned i = 0; i < 1000; i++) {
		feed("10.1.0.1", request("OPTIONS", 0, ""));
		feed("10.2.0.1", request("OPTIONS", 0, ""));
		feed("10.1.0.1", request("BYE", 0, ""));
	}
	cr_assert_eq(stand.sent, 3000);
	end();
}

/* The peer's tag and the rest of the header are as in the INVITE that the shard has sent. */
static void answer_invite(const char *host, const char *status)
{
	char text[70000], *at = text, *line = stand.invite, *next;
	stand.invite[stand.invite_size] = '\0';
	at += sprintf(at, "SIP/2.0 %s\r\n", status);
	for (; (next = strstr(line, "\r\n")) && next != line; line = next + 2)
		if (strncmp(line, "Via:", 4) == 0 || strncmp(line, "From:", 5) == 0 ||
		    strncmp(line, "Call-ID:", 8) == 0 || strncmp(line, "CSeq:", 5) == 0)
			at += sprintf(at, "%.*s\r\n", (int)(next - line), line);
		else if (strncmp(line, "To:", 3) == 0)
			at += sprintf(at, "%.*s;tag=r\r\n", (int)(next - line), line);
	sprintf(at, "Contact: <sip:r@10.2.0.1>\r\nContent-Length: 0\r\n\r\n");
	feed(host, text);
}

/* Spec 4: the identifiers' check protects what is inside a dialog, not the source. */
Test(spec_4_strangers, messages_of_a_call_pass_from_any_source_at_any_rate)
{
	begin("RW_UNAUTHORIZED_RATE = 1 RW_UNAUTHORIZED_RATE_ALL = 1");
	feed("10.1.0.1", request("INVITE", 0, "m:<sip:a@10.1.0.1>\r\n"));
	cr_assert_gt(stand.invite_size, 0);
	for (unsigned i = 0; i < 100; i++)
		feed("198.51.100.1", request("OPTIONS", 0, ""));
	answer_invite("198.51.100.1", "180 Ringing");
	cr_assert(last_is("SIP/2.0 180 "), "%s", stand.last);
	answer_invite("198.51.100.1", "486 Busy Here");
	cr_assert(last_is("SIP/2.0 486 "), "%s", stand.last);
	shard_destroy(stand.shard);
	config_free(stand.config);
}

/* A token that is valid and of nothing that there is: read, but its answer counts. */
Test(spec_11_strangers, answers_to_dialogs_that_are_over_are_limited)
{
	begin("RW_UNAUTHORIZED_RATE = 10");
	struct ident id = { .slot = 3, .generation = 9, .boot = 1 };
	char token[IDENT_SIZE], text[1000];
	ident_write(&stand.shard->key, &id, token);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof text,
			 "BYE sip:a SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bK%u\r\nf:<sip:a@b>;tag=1\r\n"
			 "t:<sip:a@b>;tag=%.*s\r\ni:c\r\nCSeq:%u BYE\r\n\r\n",
			 i, IDENT_SIZE, token, i + 1);
		feed("198.51.100.1", text);
		cr_assert(i > 0 || last_is("SIP/2.0 481 "), "%s", stand.last);
	}
	cr_assert_eq(stand.sent, 11);
	end();
}

static void feed_failure(const char *host, const char *token, unsigned target_size)
{
	char text[8000];
	snprintf(text, sizeof text,
		 "SIP/2.0 400 x\r\nv:SIP/2.0/UDP h;branch=z9hG4bK%.*s0001\r\nf:<sip:a@b>;tag=%.*s\r\n"
		 "t:<sip:%0*u@b>;tag=x\r\ni:c\r\nCSeq:1 INVITE\r\n\r\n",
		 IDENT_SIZE, token, IDENT_SIZE, token, (int)target_size, 0);
	feed(host, text);
}

/* Whoever holds a token of a call that is over cannot have us send ACKs to where they like, at any rate, nor larger
 * ones. */
Test(spec_11_strangers, acks_to_failures_of_no_leg_are_limited_and_no_amplifier)
{
	begin("RW_UNAUTHORIZED_RATE = 10");
	struct ident id = { .slot = 3, .generation = 9, .boot = 1 };
	char token[IDENT_SIZE];
	ident_write(&stand.shard->key, &id, token);
	feed_failure("10.2.0.1", token, 2000);
	cr_assert_eq(stand.sent, 0, "%s", stand.last);
	feed_failure("10.2.0.1", token, 1);
	cr_assert_eq(stand.sent, 1);
	cr_assert(last_is("ACK "), "%s", stand.last);
	for (unsigned i = 0; i < 1000; i++)
		feed_failure("198.51.100.1", token, 1);
	cr_assert_eq(stand.sent, 1 + 11);
	cr_assert_eq(stand.stats.datagrams_unmatched, 1000 - 11);
	end();
}

Test(SS_REPLY_UNAUTHORIZED, off_is_silence_to_all_that_a_stranger_says)
{
	begin("SS_REPLY_UNAUTHORIZED = off");
	feed("198.51.100.1", request("INVITE", 0, ""));
	feed("198.51.100.1", request("OPTIONS", 0, ""));
	feed("198.51.100.1", request("BYE", 0, ""));
	feed("198.51.100.1", request("CANCEL", 0, ""));
	feed("198.51.100.1", request("INVITE", 0, "Content-Length: 700\r\n"));
	feed("198.51.100.1", "SIP/2.0 200 OK\r\n\r\n");
	cr_assert_eq(stand.sent, 0, "%s", stand.last);
	cr_assert_eq(stand.stats.invites_unauthorized, 1);
	end();
}

static const char *padded(unsigned size)
{
	static char more[MESSAGE_MAX];
	snprintf(more, sizeof more, "X: %0*u\r\n", (int)size, 0);
	return more;
}

/* Reflection to a forged source: never two answers, and never much more than was sent. */
Test(spec_11_strangers, an_answer_is_one_and_at_most_300_bytes_longer)
{
	static const struct {
		const char *method, *more;
		unsigned padding;
	} rows[] = {
		{ "INVITE", "", 0 },
		{ "INVITE", "Require: a, b, c, d\r\n", 0 },
		{ "INVITE", "Content-Length: 99\r\n", 0 },
		{ "INVITE", "Content-Length: x\r\n", 0 },
		{ "INVITE", "CSeq: 2 INVITE\r\n", 0 },
		{ "INVITE", NULL, 9000 },
		{ "REGISTER", "", 0 },
		{ "OPTIONS", "", 0 },
		{ "SUBSCRIBE", "Event: x\r\n", 0 },
		{ "BYE", "", 0 },
		{ "CANCEL", "", 0 },
		{ "NONSENSE", "", 0 },
		{ "ACK", "", 0 },
	};
	begin("RW_UNAUTHORIZED_RATE = 0 RW_UNAUTHORIZED_RATE_ALL = 0");
	unsigned answered = 0;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		for (unsigned vias = 0; vias < 40; vias++) {
			const char *text =
				request(rows[i].method, vias, rows[i].more ? rows[i].more : padded(rows[i].padding));
			stand.sent = 0;
			feed("198.51.100.1", text);
			cr_assert_leq(stand.sent, 1);
			cr_assert(!stand.sent || stand.last_size <= strlen(text) + 300, "%zu bytes for %zu: %s",
				  stand.last_size, strlen(text), text);
			answered += stand.sent;
		}
	cr_assert(answered > 200, "%u", answered);
	end();
}

/* A source that is a gateway's, but of no mapping gateway, is answered each time; the records are bounded all the same.
 */
Test(SERVER_BILLING_RECORD_ILLEGAL_CALL, writes_a_bounded_number_of_records)
{
	begin("SERVER_BILLING_RECORD_ILLEGAL_CALL = on");
	for (unsigned i = 0; i < 5000; i++)
		feed("10.2.0.1", request("INVITE", 0, ""));
	cr_assert_eq(stand.sent, 5000);
	cr_assert_eq(stand.cdrs, 1001);
	cr_assert_eq(stand.stats.cdr_illegal_skipped, 5000 - stand.cdrs);
	for (unsigned i = 0; i < 5000; i++) {
		stand.now_ns += SECOND / 1000;
		feed("10.2.0.1", request("INVITE", 0, ""));
	}
	cr_assert_eq(stand.cdrs, 1501, "%u", stand.cdrs);
	end();
}

Test(SERVER_BILLING_RECORD_ILLEGAL_CALL, records_only_what_was_read_of_a_stranger)
{
	begin("SERVER_BILLING_RECORD_ILLEGAL_CALL = on RW_UNAUTHORIZED_RATE = 10");
	for (unsigned i = 0; i < 500; i++)
		feed("198.51.100.1", request("INVITE", 0, ""));
	cr_assert_eq(stand.cdrs, 11);
	end();
}

/* The shard that it came to has let it in; there is one limit, not two. */
Test(strangers, what_was_handed_over_is_let_in)
{
	begin("RW_UNAUTHORIZED_RATE = 1");
	feed("198.51.100.1", request("OPTIONS", 0, ""));
	feed("198.51.100.1", request("OPTIONS", 0, ""));
	feed("198.51.100.1", request("OPTIONS", 0, ""));
	cr_assert_eq(stand.sent, 2);
	struct flow from = { .peer = address_of("198.51.100.1", 5060) };
	struct arrival arrival = { .now_ns = stand.now_ns, .real_us = 1 };
	for (unsigned i = 0; i < 10; i++)
		shard_datagram_handed_over(stand.shard, &arrival, &from, bytes_of(request("OPTIONS", 0, "")));
	cr_assert_eq(stand.sent, 12);
	end();
}

static void reload(const char *customer)
{
	struct config *config = make_config(customer, "RW_UNAUTHORIZED_RATE = 1 RW_UNAUTHORIZED_RATE_ALL = 1");
	shard_configure(stand.shard, config);
	config_free(stand.config);
	stand.config = config;
}

static unsigned answers_to(const char *host, unsigned count)
{
	stand.sent = 0;
	while (count--)
		feed(host, request("OPTIONS", 0, ""));
	return stand.sent;
}

Test(spec_4_strangers, a_reload_says_anew_who_is_one)
{
	begin("");
	cr_assert_eq(answers_to("10.1.0.1", 300), 300);
	reload("10.1.0.2");
	cr_assert_eq(answers_to("10.1.0.1", 300), 2);
	cr_assert_eq(answers_to("10.1.0.2", 300), 300);
	reload("10.1.0.1");
	cr_assert_eq(answers_to("10.1.0.1", 300), 300);
	cr_assert_eq(answers_to("10.1.0.2", 300), 0);
	end();
}
