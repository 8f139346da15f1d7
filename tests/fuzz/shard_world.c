/* The edge of the shards under fuzz, and the promises: see shard_world.h. */
#include "tests/fuzz/shard_world.h"

#include <assert.h>
#include <string.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/call/bank.h"
#include "core/call/purse.h"
#include "core/siphash.h"
#include "sip/message.h"
#include "tests/fuzz/file.h"
#include "tests/fuzz/fuzz.h"

#define T1_64_NS     (64 * 100 * WORLD_MS) /* RW_SIP_T1 = 100 */
#define SPINNING_MAX 20000                 /* turns without time moving on */
#define SILENCE_NS   (UINT64_C(3600) * WORLD_S)

struct world_mail {
	unsigned to;
	bool is_note;
	struct note note;
	struct arrival arrival;
	struct flow from;
	size_t size;
	char bytes[];
};

/* The edge knows its shard by this. */
struct edge_context {
	struct world *world;
	unsigned shard;
	char *lent;
	uint8_t *record;
};

static struct edge_context contexts[WORLD_SHARDS];
static struct config *configs[2];

/* ---- what is kept ---- */

void world_keep(struct world_texts *texts, const char *bytes, size_t size)
{
	struct world_text *text = &texts->at[texts->count++ % WORLD_KEPT];
	text->size = size < WORLD_TEXT_MAX ? size : WORLD_TEXT_MAX;
	if (text->size)
		memcpy(text->bytes, bytes, text->size);
}

const struct world_text *world_text(const struct world_texts *texts, unsigned age)
{
	unsigned held = texts->count < WORLD_KEPT ? texts->count : WORLD_KEPT;
	return held ? &texts->at[(texts->count - 1 - age % held) % WORLD_KEPT] : NULL;
}

/* ---- promises about what is sent ---- */

static const struct sip_message *read_own(const char *bytes, size_t size, enum sip_read_result *ret_result)
{
	static char scratch[SIP_SCRATCH_BYTES];
	static struct sip_message m;
	struct sip_refusal refusal;
	*ret_result = sip_message_read((struct bytes){ bytes, (uint32_t)size }, scratch, &m, &refusal);
	return &m;
}

static uint64_t transaction_of(const struct sip_message *m)
{
	char text[1024];
	int size = snprintf(text, sizeof text, "%.*s %.*s %.*s %u %d", (int)m->via.branch.size, m->via.branch.at,
			    (int)m->call_id.size, m->call_id.at, (int)m->from.tag.size, m->from.tag.at, m->cseq,
			    (int)m->method);
	return siphash13(1, 2, text, size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

static uint64_t tag_of(const struct sip_message *m)
{
	return siphash13(1, 2, m->to.tag.at, m->to.tag.size);
}

/* For 64*T1 after its first 2xx: then the transaction is forgotten, and the same INVITE is a new call.  One in another
 * dialog, with the same branch all the same, has an answer of its own. */
static void check_accepted(struct world *w, const struct sip_message *m, uint64_t transaction)
{
	unsigned status = m->status;
	unsigned room = sizeof w->accepted / sizeof *w->accepted;
	for (unsigned i = 0; i < w->accepted_count && i < room; i++) {
		if (w->accepted[i].transaction != transaction || w->accepted[i].until_ns <= w->now_ns)
			continue;
		fuzz_expect(status < 300 || (status == 481 && w->accepted[i].tag != tag_of(m)),
			    "an INVITE that was accepted does not fail");
		return;
	}
	if (status >= 300)
		return;
	struct world_accepted *a = &w->accepted[w->accepted_count++ % room];
	*a = (struct world_accepted){ transaction, tag_of(m), w->now_ns + T1_64_NS };
}

static void check_final(struct world *w, const struct sip_message *m)
{
	uint64_t transaction = transaction_of(m);
	struct world_arrival *a = w->arrival;
	for (unsigned i = 0; a && i < a->final_count; i++)
		fuzz_expect(a->finals[i] != transaction, "a request gets one final response");
	if (a && a->final_count < sizeof a->finals / sizeof *a->finals)
		a->finals[a->final_count++] = transaction;
	if (m->method == SIP_INVITE)
		check_accepted(w, m, transaction);
}

static void check_sent(struct world *w, const struct flow *to, const char *bytes, size_t size)
{
	enum sip_read_result result;
	const struct sip_message *m = read_own(bytes, size, &result);
	bool refuses_text = !m->is_request && (m->status == 400 || m->status == 505 || m->status == 513);
	fuzz_expect(size > 0 && to->peer.family == 4 && to->peer.port && to->transport == TRANSPORT_UDP,
		    "what is sent goes somewhere");
	fuzz_expect(refuses_text || (result == SIP_READ_OK && !m->by_library), "what is sent can be read in place");
	struct world_arrival *a = w->arrival;
	if (a && address_same_host(&a->from->peer, &to->peer) && (refuses_text || !m->is_request)) {
		a->answers++;
		fuzz_expect(!a->bounded || (a->answers == 1 && size <= a->size + WORLD_MORE_BYTES),
			    "a stranger gets one short answer");
	}
	/* What cannot be read may look like a request that was answered before. */
	if (result == SIP_READ_OK && !m->is_request && m->status >= 200 && !refuses_text)
		check_final(w, m);
}

/* ---- the edge ---- */

static char *lend(void *context, size_t size)
{
	struct edge_context *c = context;
	assert(!c->lent && size <= 65536);
	if (c->world->lends_refused) {
		c->world->lends_refused--;
		return NULL;
	}
	c->lent = malloc(size);
	assert(c->lent);
	return c->lent;
}

static void unlend(void *context, char *at)
{
	struct edge_context *c = context;
	assert(at == c->lent);
	free(at);
	c->lent = NULL;
}

static void send_datagram(void *context, const struct flow *to, char *at, size_t size)
{
	struct edge_context *c = context;
	assert(at == c->lent);
	check_sent(c->world, to, at, size);
	world_keep(&c->world->sent, at, size);
	unlend(context, at);
}

/* false: the mailbox is full. */
static bool put_mail(struct edge_context *c, unsigned to, const struct world_mail *head, const char *bytes, size_t size)
{
	struct world *w = c->world;
	assert(to < w->shard_count && to != c->shard);
	if (w->mail_count == WORLD_MAIL_MAX)
		return false;
	struct world_mail *mail = malloc(sizeof *mail + size);
	assert(mail);
	*mail = *head;
	mail->to = to;
	mail->size = size;
	if (size)
		memcpy(mail->bytes, bytes, size);
	w->mail[w->mail_count++] = mail;
	return true;
}

static bool hand_over(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
		      struct bytes datagram)
{
	struct edge_context *c = context;
	struct world_mail head = { .arrival = *arrival, .from = *from };
	if (c->world->mail_count > WORLD_MAIL_MAX / 2)
		return false;
	return put_mail(c, shard, &head, datagram.at, datagram.size);
}

static void post(void *context, unsigned shard, const struct note *note)
{
	struct world_mail head = { .is_note = true, .note = *note };
	bool put = put_mail(context, shard, &head, NULL, 0);
	fuzz_expect(put, "notes do not pile up");
}

static bool cdr(void *context, const struct cdr *record)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	static struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct edge_context *c = context;
	struct world *w = c->world;
	struct cdr again;
	if (w->cdrs_refused) {
		w->cdrs_refused--;
		return false;
	}
	size_t size = cdr_encode(record, bytes, sizeof bytes);
	fuzz_expect(size && cdr_decode(bytes, size, &again, attempts), "a CDR can be written and read");
	fuzz_expect(record->end_us >= record->start_us && record->hold_ms >= 0 &&
			    record->end_reason < CDR_END_REASON_COUNT,
		    "a CDR makes sense");
	for (unsigned i = 0; i < w->cdr_count && i < WORLD_CDRS_MAX; i++)
		fuzz_expect(memcmp(w->cdr_ids[i], again.cdr_id, CDR_ID_SIZE) != 0, "a call has one CDR");
	if (w->cdr_count < WORLD_CDRS_MAX)
		memcpy(w->cdr_ids[w->cdr_count], again.cdr_id, CDR_ID_SIZE);
	w->cdr_count++;
	w->answered_count += record->connect_us != 0;
	return true;
}

static uint8_t *record_lend(void *context, size_t size)
{
	struct edge_context *c = context;
	assert(size <= RECORD_BYTES_MAX);
	if (c->world->cdrs_refused)
		return NULL;
	free(c->record);
	c->record = malloc(size);
	assert(c->record);
	return c->record;
}

static void record(void *context, enum record_kind kind, size_t size)
{
	struct edge_context *c = context;
	fuzz_expect(c->record && size <= RECORD_BYTES_MAX && kind < RECORD_KINDS, "a record has room");
	free(c->record);
	c->record = NULL;
}

static bool record_calm(void *context)
{
	const struct edge_context *c = context;
	return !c->world->no_cdr_room;
}

static bool cdr_room(void *context)
{
	const struct edge_context *c = context;
	return !c->world->no_cdr_room;
}

static void say(void *context, int level, const char *line)
{
	(void)context;
	fuzz_expect(level >= 4, "no error is logged");
	fuzz_expect(!strpbrk(line, "\r\n"), "an event is one line");
}

/* ---- beginning ---- */

static const char *const config_texts[2] = {
	"node = \"fuzz\"\nlisten \"main\" { address = \"192.0.2.9\" }\n"
	"mapping_gateway \"m\" { address = {\"192.0.2.0/24\"} capacity = 5 }\n"
	"routing_gateway \"r1\" { address = \"192.0.2.2\" prefix = {\"88\"} priority = 1 capacity = 2 }\n"
	"routing_gateway \"r2\" { address = \"192.0.2.3\" prefix = {\"88\"} priority = 2 max_duration = 30 }\n"
	"parameters { RW_SIP_T1 = 100 SS_SIP_RESEND_INTERVAL = \"0.1,0.2,0.4\" SS_SIP_NO_TIMER_REINVITE_INTERVAL = 60\n"
	"RW_SIP_MIN_SE = 30 SS_SIP_SESSION_TTL = 90 SS_GATEWAY_SWITCH_UNTIL_CONNECT = on }\n",

	"node = \"fuzz\"\nlisten \"main\" { address = \"192.0.2.9\" }\n"
	"mapping_gateway \"m\" { address = {\"192.0.2.0/25\"} rate_limit = 50 caller_from = \"p-asserted-identity\"\n"
	"  account = \"customer\" sort = {\"asr\", \"price\"} }\n"
	"routing_gateway \"r1\" { address = \"192.0.2.2\" prefix = {\"88\", \"\"} tech_prefix = \"9\" timer = off\n"
	"  account = \"vendor\" }\n"
	"routing_gateway \"r3\" { address = {\"192.0.2.3\", \"192.0.2.4:5061\"} prefix = {\"881\"} timeout_invite = 3 "
	"}\n"
	"parameters { RW_SIP_T1 = 100 SS_SIP_NO_TIMER_REINVITE_INTERVAL = 600 SS_REPLY_UNAUTHORIZED = off\n"
	"RW_MAX_CALL_DURATION = 3000 RW_NO_TIMER_PROBE_INTERVAL = 30 SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = 5 }\n",
};

static uint32_t account_id(const char *name)
{
	return gateway_id(GATEWAY_ACCOUNT, name);
}

static void add_account(struct tariff_builder *b, const char *name, uint32_t table, int64_t balance_e8)
{
	struct account account = {
		.id = account_id(name), .table = table, .balance_e8 = balance_e8, .currency = "EUR"
	};
	snprintf(account.name, sizeof account.name, "%s", name);
	if (tariff_add_account(b, &account))
		abort();
}

/* 0.60 a minute by the second, of which the customer has for some minutes; the vendor takes 0.30 by the minute. */
static struct tariff *make_tariff(void)
{
	const struct rate price = { .prefix = "8",
				    .prefix_size = 1,
				    .terms = { .rate_e8 = 60 * MONEY_ONE / 100, .first_s = 1, .next_s = 1 },
				    .from_us = INT64_MIN,
				    .to_us = INT64_MAX };
	const struct rate cost = { .prefix = "",
				   .terms = { .rate_e8 = 30 * MONEY_ONE / 100, .first_s = 60, .next_s = 60 },
				   .from_us = INT64_MIN,
				   .to_us = INT64_MAX };
	struct tariff_builder *b;
	struct tariff *tariff;
	uint32_t prices, costs;
	if (tariff_begin(&b) || tariff_add_table(b, "prices", &prices) || tariff_add_table(b, "costs", &costs) ||
	    tariff_add_rate(b, prices, &price) || tariff_add_rate(b, costs, &cost))
		abort();
	add_account(b, "customer", prices, 2 * MONEY_ONE);
	add_account(b, "vendor", costs, 0);
	if (tariff_finish(b, &tariff))
		abort();
	return tariff;
}

/* The second one has accounts and rates. */
static const struct config *config_of(unsigned which)
{
	char error[512];
	which %= 2;
	if (!configs[which] &&
	    config_load(fuzz_file(0, config_texts[which], strlen(config_texts[which])), &configs[which], error) < 0) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	if (which == 1 && !configs[1]->tariff && config_take_tariff(configs[1], make_tariff()))
		abort();
	return configs[which];
}

static void make_shard(struct world *w, unsigned i, unsigned settings, uint64_t seed)
{
	static const uint8_t secret[32] = { 1, 2, 3 };
	bool records = settings & WORLD_RECORDS;
	struct shard_settings s = {
		.config = config_of(settings & WORLD_SECOND_CONFIG ? 1 : 0),
		.edge = { .context = &contexts[i],
			  .lend = lend,
			  .send = send_datagram,
			  .unlend = unlend,
			  .hand_over = hand_over,
			  .post = post,
			  .cdr = cdr,
			  .record_lend = records ? record_lend : NULL,
			  .record = records ? record : NULL,
			  .record_calm = record_calm,
			  .cdr_room = cdr_room,
			  .log = say },
		.stats = &w->stats[i],
		.tallies = { w->tallies, w->shard_count },
		.qualities = { w->qualities, w->shard_count },
		.secret = secret,
		.shard = (uint16_t)i,
		.shard_count = (uint16_t)w->shard_count,
		.boot = 1,
		.calls_max = WORLD_CALLS,
		.seed = seed + i,
		.now_ns = w->now_ns,
		.now_us = (int64_t)(w->now_ns / 1000),
		.machine = 1,
	};
	contexts[i] = (struct edge_context){ .world = w, .shard = i };
	if (shard_create(&s, &w->shards[i]))
		abort();
}

void world_begin(struct world *w, unsigned settings, uint64_t seed)
{
	memset(w, 0, offsetof(struct world, sent));
	w->sent.count = w->received.count = 0;
	memset((char *)w + offsetof(struct world, mail_count), 0, sizeof *w - offsetof(struct world, mail_count));
	w->now_ns = 1000 * WORLD_S;
	w->shard_count = settings & WORLD_TWO_SHARDS ? 2 : 1;
	for (unsigned i = 0; i < w->shard_count; i++) {
		w->tallies[i] = tally_reserve();
		w->qualities[i] = quality_reserve();
		assert(w->tallies[i] && w->qualities[i]);
	}
	for (unsigned i = 0; i < w->shard_count; i++)
		make_shard(w, i, settings, seed);
}

/* ---- what goes on ---- */

void world_deliver(struct world *w)
{
	for (unsigned turns = 0; w->mail_count && !w->mail_held; turns++) {
		struct world_mail *mail = w->mail[0];
		fuzz_expect(turns < SPINNING_MAX, "notes come to an end");
		memmove(w->mail, w->mail + 1, --w->mail_count * sizeof *w->mail);
		if (mail->is_note)
			shard_note(w->shards[mail->to], w->now_ns, &mail->note);
		else
			shard_datagram_handed_over(w->shards[mail->to], &mail->arrival, &mail->from,
						   (struct bytes){ mail->bytes, (uint32_t)mail->size });
		free(mail);
	}
}

static uint64_t next_ns(const struct world *w)
{
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < w->shard_count; i++)
		if (shard_next_ns(w->shards[i]) < next)
			next = shard_next_ns(w->shards[i]);
	return next;
}

static void advance(struct world *w)
{
	for (unsigned i = 0; i < w->shard_count; i++)
		shard_advance(w->shards[i], w->now_ns, 100);
	world_deliver(w);
}

void world_pass(struct world *w, uint64_t for_ns)
{
	uint64_t until_ns = w->now_ns + for_ns, next;
	unsigned turns = 0;
	while ((next = next_ns(w)) <= until_ns) {
		turns = next > w->now_ns ? 0 : turns + 1;
		fuzz_expect(turns < SPINNING_MAX, "time does not stand still");
		w->now_ns = next > w->now_ns ? next : w->now_ns;
		advance(w);
	}
	w->now_ns = until_ns;
	advance(w);
}

/* A request without a dialog from a source that is no gateway, or something that cannot be read. */
static bool is_bounded(const struct address *from, const char *bytes, size_t size)
{
	enum sip_read_result result;
	const struct sip_message *m = read_own(bytes, size, &result);
	bool stranger = from->ip[0] != 192;
	return result != SIP_READ_OK || (stranger && m->is_request && !m->to.tag.size);
}

void world_datagram(struct world *w, unsigned shard, const struct address *from, const char *bytes, size_t size,
		    bool truncated)
{
	char *exact = malloc(size ? size : 1); /* the address sanitizer sees a read past its end */
	struct flow flow = { .peer = *from };
	struct arrival arrival = { .now_ns = w->now_ns, .real_us = (int64_t)(w->now_ns / 1000) };
	struct world_arrival looked_at = { .from = &flow, .size = size, .bounded = is_bounded(from, bytes, size) };
	assert(exact);
	if (size)
		memcpy(exact, bytes, size);
	w->arrival = &looked_at;
	shard_datagram(w->shards[shard % w->shard_count], &arrival, &flow, (struct bytes){ exact, (uint32_t)size },
		       truncated);
	w->arrival = NULL;
	free(exact);
	world_deliver(w);
}

void world_configure(struct world *w, unsigned which)
{
	for (unsigned i = 0; i < w->shard_count; i++)
		shard_configure(w->shards[i], config_of(which));
	world_deliver(w);
}

void world_command(struct world *w, unsigned shard, struct command *command)
{
	command->shard = shard % w->shard_count;
	for (unsigned turns = 0; !shard_command(w->shards[command->shard], w->now_ns, command); turns++)
		fuzz_expect(turns < SPINNING_MAX, "a command comes to an end");
	world_deliver(w);
}

void world_top_up(struct world *w)
{
	uint32_t id = account_id("customer");
	struct command command = {
		.kind = COMMAND_CREDIT, .account_id = id, .amount_e8 = MONEY_ONE, .generation = UINT32_MAX
	};
	world_command(w, id % w->shard_count, &command);
}

void world_checkpoint(struct world *w)
{
	for (unsigned i = 0; i < w->shard_count; i++)
		shard_checkpoint(w->shards[i], 1);
	world_pass(w, WORLD_MS);
}

/* ---- the end ---- */

static void fall_silent(struct world *w)
{
	world_pass(w, SILENCE_NS);
	fuzz_expect(next_ns(w) == UINT64_MAX, "nothing is armed when all has ended");
}

static void stop(struct world *w)
{
	for (unsigned i = 0; i < w->shard_count; i++) {
		struct command command = { .kind = COMMAND_STOP };
		world_command(w, i, &command);
	}
	world_pass(w, 5 * T1_64_NS);
	for (unsigned i = 0; i < w->shard_count; i++)
		fuzz_expect(shard_stopped(w->shards[i]), "a node that was told to stop stops");
}

/* What a bank has given out lies idle in the purses of the shards. */
static void check_credit(const struct world *w, uint32_t id)
{
	int64_t idle_e8 = 0;
	for (unsigned i = 0; i < w->shard_count; i++)
		idle_e8 += purse_of(w->shards[i], id)->idle_e8;
	fuzz_expect(bank_of(w->shards[id % w->shard_count], id)->out_e8 == idle_e8, "no credit is lost");
}

static void check_empty(struct world *w)
{
	uint64_t attempted = 0, answered = 0;
	for (unsigned i = 0; i < w->shard_count; i++) {
		const struct shard_stats *stats = &w->stats[i];
		shard_check(w->shards[i]);
		shard_publish_stats(w->shards[i]);
		attempted += stats->calls_attempted;
		answered += stats->calls_answered;
		fuzz_expect(!stats->calls_active && !stats->calls_setup && !stats->pool_call_used, "no call is left");
		fuzz_expect(!stats->pool_leg_used && !stats->pool_attempt_used && !stats->pool_transaction_used,
			    "no leg and no transaction is left");
		fuzz_expect(!stats->pool_body_used && !stats->pool_text_used, "no text is left");
		fuzz_expect(!stats->pool_tombstone_used && !stats->timers_armed, "no tombstone and no timer is left");
	}
	check_credit(w, account_id("customer"));
	check_credit(w, account_id("vendor"));
	fuzz_expect(attempted == w->cdr_count, "as many CDRs as calls");
	/* Fewer only by those whose CANCEL crossed the 200: they count as not connected. */
	fuzz_expect(answered >= w->answered_count, "no CDR with a connect time but of calls that were answered");
}

void world_end(struct world *w, unsigned settings)
{
	w->mail_held = w->no_cdr_room = false;
	w->lends_refused = w->cdrs_refused = 0;
	world_deliver(w);
	if (settings & WORLD_STOPPED)
		stop(w);
	else
		fall_silent(w);
	check_empty(w);
	for (unsigned i = 0; i < w->shard_count; i++)
		shard_destroy(w->shards[i]);
	for (unsigned i = 0; i < w->shard_count; i++) {
		free(contexts[i].record);
		contexts[i].record = NULL;
		tally_release(w->tallies[i]);
		quality_release(w->qualities[i]);
	}
}
