/* Drives one shard in virtual time, and is its edge.  See shard.h. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/shard.h"
#include "billing/queue.h"
#include "core/shard.h"

#define OUT_BYTES     (8u << 20)
#define OUT_MAX       (4 * SHARD_BATCH_MAX)
#define QUEUE_RING    (UINT64_C(64) << 20)
#define DUE_A_TURN    256 /* deadlines before what they sent is answered */
#define BEGIN_NS      (UINT64_C(1000) * BENCH_SECOND_NS)
#define BEGIN_US      INT64_C(1700000000000000)
#define LIVE_WEIGHED  10000   /* with fewer, what is there for all outweighs them */
#define CALLS_OVER    65536   /* room beyond `live`: the batch, and calls that wait for their transactions */
#define CALLS_MAX_MIN 1000000 /* as a node has by default: its tables are as long and its tombstones as many */

struct sent {
	struct bytes text;
	bool to_caller;
};

struct bench {
	const struct shard_run_settings *settings;
	struct config *config;
	struct shard *shard;
	struct shard_stats stats;
	struct tally *tally;
	struct quality_book *quality;
	uint64_t now_ns, clock_ns; /* virtual time; what asking for the CPU time takes */
	uint64_t step_ns[STEPS], peers_ns, peers_from_ns;
	uint64_t bytes_in, bytes_out;

	/* edge: what was sent since the last drain() */
	char *out;
	size_t out_used;
	struct sent *sent;
	unsigned sent_count;

	void *queue_memory;
	struct record_queue *queue;
	uint64_t cdrs, cdr_bytes, record_bytes;

	struct peer_call *live; /* in no order */
	uint32_t live_count;
	uint64_t numbers; /* calls so far */
	struct bench_random random;
	struct peer_call batch[SHARD_BATCH_MAX];
	struct sent invites[SHARD_BATCH_MAX], answers[SHARD_BATCH_MAX]; /* of the batch, as the switch sent them */
	char *in;                                                       /* PEER_MESSAGE_MAX for each of a batch */
	struct bytes in_text[OUT_MAX];
	bool in_caller[OUT_MAX]; /* from the caller; otherwise from the callee */

	uint64_t ended, refreshes, unexpected;
	bool show;
};

const char *const shard_step_names[STEPS] = {
	[STEP_INVITE] = "INVITE",
	[STEP_TRYING] = "100",
	[STEP_RINGING] = "180",
	[STEP_ANSWER] = "200",
	[STEP_ACK] = "ACK",
	[STEP_BYE] = "BYE",
	[STEP_BYE_ANSWER] = "BYE 200",
	[STEP_REFRESH] = "refresh 200",
	[STEP_DEADLINES] = "timers",
};

static const char configuration[] = "node = \"bench\"\n"
				    "listen \"main\" { address = \"10.0.0.1\" port = 5060 }\n"
				    "mapping_gateway \"customer\" { address = {\"10.1.0.0/16\"} }\n"
				    "routing_gateway \"vendor\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n";

/* ---- the edge: keeps what is sent until it is drained, and counts ---- */

static char *edge_lend(void *context, size_t size)
{
	struct bench *b = context;

	return OUT_BYTES - b->out_used >= size && b->sent_count < OUT_MAX ? b->out + b->out_used : NULL;
}

static void edge_send(void *context, const struct flow *to, char *at, size_t size)
{
	struct bench *b = context;

	b->sent[b->sent_count++] = (struct sent){ { at, (uint32_t)size }, to->peer.ip[1] == 1 };
	b->out_used += size;
}

static void edge_unlend(void *context, char *at)
{
	(void)context;
	(void)at;
}

static bool edge_hand_over(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram)
{
	(void)context, (void)shard, (void)arrival, (void)from, (void)datagram;
	return false; /* there is one shard */
}

static void edge_post(void *context, unsigned shard, const struct note *note)
{
	(void)context, (void)shard, (void)note;
}

static bool edge_cdr(void *context, const struct cdr *cdr)
{
	struct bench *b = context;

	return record_queue_push(b->queue, cdr);
}

static uint8_t *edge_record_lend(void *context, size_t size)
{
	struct bench *b = context;

	return record_queue_lend(b->queue, size);
}

static void edge_record(void *context, enum record_kind kind, size_t size)
{
	struct bench *b = context;

	record_queue_publish(b->queue, kind, size);
}

static bool edge_cdr_room(void *context)
{
	struct bench *b = context;

	return record_queue_free(b->queue) > QUEUE_RING / 2;
}

static void edge_log(void *context, int level, const char *line)
{
	struct bench *b = context;

	if (level > 4)
		return;
	if (b->unexpected++ < 10)
		fprintf(stderr, "rwbench: shard: %s\n", line);
}

/* ---- clock: whose time it is ---- */

static uint64_t since_ns(const struct bench *b, uint64_t from_ns)
{
	uint64_t ns = bench_cpu_ns() - from_ns;

	return ns > b->clock_ns ? ns - b->clock_ns : 0;
}

static uint64_t clock_cost_ns(void)
{
	enum { TIMES = 1000 };
	uint64_t from_ns = bench_cpu_ns();

	for (int i = 1; i < TIMES; i++)
		(void)bench_cpu_ns();
	return (bench_cpu_ns() - from_ns) / TIMES;
}

/* From here on the shard works; what was before was the peers. */
static uint64_t shard_begins(struct bench *b)
{
	b->peers_ns += since_ns(b, b->peers_from_ns);
	return bench_cpu_ns();
}

static void shard_ends(struct bench *b, enum shard_step step, uint64_t from_ns)
{
	b->step_ns[step] += since_ns(b, from_ns);
	b->peers_from_ns = bench_cpu_ns();
}

/* ---- messages ---- */

static void show(const char *from, struct bytes text)
{
	printf("---- %s, %u bytes\n%.*s\n", from, text.size, (int)text.size, text.at);
}

static void drain(struct bench *b)
{
	b->sent_count = 0;
	b->out_used = 0;
}

/* Hands the first `count` of `in` to the shard.  What it sends is in `sent` then. */
static void feed(struct bench *b, enum shard_step step, unsigned count)
{
	static const struct address caller = { .family = 4, .port = 5060, .ip = { 10, 1, 0, 1 } },
				    callee = { .family = 4, .port = 5060, .ip = { 10, 2, 0, 1 } };
	const struct flow from_caller = { .peer = caller, .transport = TRANSPORT_UDP };
	const struct flow from_callee = { .peer = callee, .transport = TRANSPORT_UDP };
	struct arrival arrival = { b->now_ns, BEGIN_US + (int64_t)((b->now_ns - BEGIN_NS) / 1000) };
	uint64_t from_ns = shard_begins(b);

	for (unsigned i = 0; i < count; i++)
		shard_datagram(b->shard, &arrival, b->in_caller[i] ? &from_caller : &from_callee, b->in_text[i], false);
	shard_ends(b, step, from_ns);
	for (unsigned i = 0; i < count; i++)
		b->bytes_in += b->in_text[i].size;
	for (unsigned i = 0; i < b->sent_count; i++)
		b->bytes_out += b->sent[i].text.size;
	if (!b->show)
		return;
	for (unsigned i = 0; i < count; i++)
		show(b->in_caller[i] ? "caller to switch" : "callee to switch", b->in_text[i]);
	for (unsigned i = 0; i < b->sent_count; i++)
		show(b->sent[i].to_caller ? "switch to caller" : "switch to callee", b->sent[i].text);
}

static char *room_in(struct bench *b, unsigned i)
{
	return b->in + (size_t)i * PEER_MESSAGE_MAX;
}

static void put_in(struct bench *b, unsigned i, uint32_t size, bool from_caller)
{
	assert(size <= PEER_MESSAGE_MAX);
	b->in_text[i] = (struct bytes){ room_in(b, i), size };
	b->in_caller[i] = from_caller;
}

static bool begins(struct bytes text, const char *with)
{
	size_t size = strlen(with);

	return text.size > size && memcmp(text.at, with, size) == 0;
}

/* Of what was sent: the messages that begin so, at most `count`, in order into `ret_sent`.  Any number but `count` is
 * unexpected. */
static void expect(struct bench *b, const char *with, bool to_caller, unsigned count, struct sent *ret_sent)
{
	unsigned found = 0;

	for (unsigned i = 0; i < b->sent_count; i++) {
		if (b->sent[i].to_caller != to_caller || !begins(b->sent[i].text, with))
			continue;
		if (found < count && ret_sent)
			ret_sent[found] = b->sent[i];
		found++;
	}
	b->unexpected += found > count ? found - count : count - found;
}

static void expect_number(struct bench *b, unsigned count)
{
	b->unexpected += b->sent_count > count ? b->sent_count - count : count - b->sent_count;
}

/* ---- a batch of calls ---- */

/* The callee's answers; the INVITEs stay where they are until the last. */
static void answer_invites(struct bench *b, enum shard_step step, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put_in(b, i, peer_answer(b->invites[i].text, step, false, room_in(b, i)), false);
	b->sent_count = 0;
	feed(b, step, count);
}

/* The callee gets its ACK as soon as it has answered: the offer was in the INVITE. */
static void learn_answers(struct bench *b, unsigned count)
{
	expect(b, "ACK ", false, count, NULL);
	expect(b, "SIP/2.0 200", true, count, b->answers);
	expect_number(b, 2 * count);
	for (unsigned i = 0; b->unexpected == 0 && i < count; i++)
		b->unexpected += !peer_learn(&b->batch[i], b->answers[i].text);
}

static void set_up(struct bench *b, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		b->batch[i] = (struct peer_call){ .number = b->numbers++ };
		put_in(b, i, peer_invite(&b->batch[i], room_in(b, i)), true);
	}
	feed(b, STEP_INVITE, count);
	expect(b, "SIP/2.0 100", true, count, NULL);
	expect(b, "INVITE ", false, count, b->invites);
	expect_number(b, 2 * count);
	if (b->unexpected)
		return;
	answer_invites(b, STEP_TRYING, count);
	expect_number(b, 0);
	answer_invites(b, STEP_RINGING, count);
	expect(b, "SIP/2.0 180", true, count, NULL);
	expect_number(b, count);
	answer_invites(b, STEP_ANSWER, count);
	learn_answers(b, count);
	drain(b);
	for (unsigned i = 0; i < count; i++)
		put_in(b, i, peer_ack(&b->batch[i], room_in(b, i)), true);
	feed(b, STEP_ACK, count);
	expect_number(b, 0);
	drain(b);
	memcpy(b->live + b->live_count, b->batch, count * sizeof b->batch[0]);
	b->live_count += count;
}

/* Any of those that are up: calls do not end in the order in which they began. */
static void hang_up(struct bench *b, unsigned count)
{
	unsigned answers = 0;

	for (unsigned i = 0; i < count; i++) {
		uint32_t index = (uint32_t)bench_random_below(&b->random, b->live_count);

		put_in(b, i, peer_bye(&b->live[index], room_in(b, i)), true);
		b->live[index] = b->live[--b->live_count];
	}
	feed(b, STEP_BYE, count);
	expect(b, "BYE ", false, count, NULL);
	for (unsigned i = 0; i < b->sent_count && answers < count; i++) {
		if (b->sent[i].to_caller)
			continue;
		put_in(b, answers, peer_answer(b->sent[i].text, STEP_BYE_ANSWER, false, room_in(b, answers)), false);
		answers++;
	}
	unsigned sent = b->sent_count;
	drain(b);
	feed(b, STEP_BYE_ANSWER, answers);
	b->unexpected += sent + b->sent_count != 2 * count; /* the caller's 200 comes with one or the other */
	drain(b);
	b->ended += count;
}

/* ---- time, and what it brings ---- */

static void answer_refreshes(struct bench *b)
{
	unsigned answers = 0;

	for (unsigned i = 0; i < b->sent_count; i++) {
		bool caller = b->sent[i].to_caller;

		if (!begins(b->sent[i].text, "UPDATE ") || answers == SHARD_BATCH_MAX) {
			b->unexpected++;
			continue;
		}
		put_in(b, answers, peer_answer(b->sent[i].text, STEP_REFRESH, caller, room_in(b, answers)), caller);
		answers++;
	}
	drain(b);
	if (answers == 0)
		return;
	feed(b, STEP_REFRESH, answers);
	expect_number(b, 0);
	drain(b);
	b->refreshes += answers;
}

static void pass_time(struct bench *b, uint64_t ns)
{
	bool more;

	b->now_ns += ns;
	do {
		uint64_t from_ns = shard_begins(b);

		more = shard_advance(b->shard, b->now_ns, DUE_A_TURN);
		shard_ends(b, STEP_DEADLINES, from_ns);
		answer_refreshes(b);
	} while (more);
}

static void throw_cdrs_away(struct bench *b)
{
	struct queue_position position = record_queue_begin(b->queue);
	struct queued_record record;
	struct cdr cdr;
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];

	while (record_queue_next(b->queue, &position, &record)) {
		if (record.kind != RECORD_CDR) {
			b->record_bytes += record.size;
			continue;
		}
		b->cdrs++;
		b->cdr_bytes += record.size;
		b->unexpected +=
			!cdr_decode(record.at, record.size, &cdr, attempts) || cdr.end_reason != CDR_END_normal;
	}
	record_queue_release(b->queue, position);
}

/* `count` calls come, and as many go. */
static void turn(struct bench *b, unsigned count)
{
	uint64_t ns = count * BENCH_SECOND_NS / b->settings->rate;

	set_up(b, count);
	pass_time(b, ns / 2);
	hang_up(b, count);
	throw_cdrs_away(b);
	pass_time(b, ns - ns / 2);
}

/* false: something went another way than planned, and figures would mean nothing. */
static bool run_calls(struct bench *b, uint64_t calls)
{
	for (uint64_t left = calls; left > 0 && b->unexpected == 0;) {
		unsigned count = left < b->settings->batch ? (unsigned)left : b->settings->batch;

		turn(b, count);
		left -= count;
	}
	return b->unexpected == 0;
}

static void fill(struct bench *b)
{
	while (b->live_count < b->settings->live && b->unexpected == 0) {
		uint32_t left = b->settings->live - b->live_count;
		unsigned count = left < b->settings->batch ? left : b->settings->batch;

		set_up(b, count);
		throw_cdrs_away(b);
		pass_time(b, count * BENCH_SECOND_NS / b->settings->rate);
	}
}

/* ---- beginning and end ---- */

static int load_config(struct config **ret_config)
{
	char path[] = "/tmp/rwbench-XXXXXX", error[512];
	int fd = mkstemp(path), r = fd < 0 ? -errno : 0;

	if (r == 0 && write(fd, configuration, sizeof configuration - 1) != sizeof configuration - 1)
		r = -EIO;
	if (r == 0 && (r = config_load(path, ret_config, error)) < 0)
		fprintf(stderr, "rwbench: %s\n", error);
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	return r;
}

static uint32_t calls_max(uint32_t live)
{
	return live + CALLS_OVER > CALLS_MAX_MIN ? live + CALLS_OVER : CALLS_MAX_MIN;
}

static int make_shard(struct bench *b)
{
	static const uint8_t secret[32] = { 1, 2, 3 };

	b->tally = tally_reserve();
	b->quality = quality_reserve();
	struct shard_settings settings = { .config = b->config,
					   .edge = { .context = b,
						     .lend = edge_lend,
						     .send = edge_send,
						     .unlend = edge_unlend,
						     .hand_over = edge_hand_over,
						     .post = edge_post,
						     .cdr = edge_cdr,
						     .record_lend = b->settings->records ? edge_record_lend : NULL,
						     .record = b->settings->records ? edge_record : NULL,
						     .cdr_room = edge_cdr_room,
						     .log = edge_log },
					   .stats = &b->stats,
					   .tallies = { &b->tally, 1 },
					   .qualities = { &b->quality, 1 },
					   .secret = secret,
					   .shard_count = 1,
					   .boot = 1,
					   .calls_max = calls_max(b->settings->live),
					   .seed = b->settings->peer.seed,
					   .now_ns = BEGIN_NS };

	return b->tally && b->quality ? shard_create(&settings, &b->shard) : -ENOMEM;
}

/* Touched, so that the first round does not pay for the pages and the growth of the process is the shard's. */
static void *touched(size_t bytes)
{
	void *memory = bench_memory(bytes, true);

	if (memory)
		memset(memory, 1, bytes);
	return memory;
}

static size_t queue_bytes(void)
{
	return QUEUE_RING + record_queue_header_bytes();
}

static size_t live_bytes(const struct shard_run_settings *s)
{
	return ((size_t)s->live + s->batch) * sizeof(struct peer_call);
}

static int begin(struct bench *b)
{
	int r = load_config(&b->config);

	if (r < 0)
		return r;
	b->out = touched(OUT_BYTES);
	b->sent = touched(OUT_MAX * sizeof *b->sent);
	b->in = touched((size_t)SHARD_BATCH_MAX * PEER_MESSAGE_MAX);
	b->live = touched(live_bytes(b->settings));
	b->queue_memory = touched(queue_bytes());
	if (!b->out || !b->sent || !b->in || !b->live || !b->queue_memory)
		return -ENOMEM;
	memset(b->queue_memory, 0, queue_bytes());
	b->queue = record_queue_init(b->queue_memory, queue_bytes(), (struct record_queue_owner){ 0 });
	b->clock_ns = clock_cost_ns();
	b->now_ns = BEGIN_NS;
	b->random.state = b->settings->peer.seed;
	b->show = b->settings->show;
	peer_init(&b->settings->peer);
	return make_shard(b);
}

static void end(struct bench *b)
{
	shard_destroy(b->shard);
	tally_release(b->tally);
	quality_release(b->quality);
	if (b->config)
		config_free(b->config);
	bench_memory_free(b->out, OUT_BYTES);
	bench_memory_free(b->sent, OUT_MAX * sizeof *b->sent);
	bench_memory_free(b->in, (size_t)SHARD_BATCH_MAX * PEER_MESSAGE_MAX);
	bench_memory_free(b->live, live_bytes(b->settings));
	bench_memory_free(b->queue_memory, queue_bytes());
	free(b);
}

/* ---- figures ---- */

/* What the edge itself takes: that much of every datagram sent is not the shard's. */
static double edge_cost_ns(struct bench *b)
{
	enum { TIMES = 1000000 };
	struct flow to = { .peer = { .ip = { 10, 1 } } };
	uint64_t from_ns = bench_cpu_ns();

	for (unsigned i = 0; i < TIMES; i++) {
		char *(*volatile lend)(void *, size_t) = edge_lend;
		void (*volatile send)(void *, const struct flow *, char *, size_t) = edge_send;

		send(b, &to, lend(b, 65536), 500);
		if (i % 64 == 63)
			drain(b);
	}
	drain(b);
	return (double)since_ns(b, from_ns) / TIMES;
}

static void zero_sums(struct bench *b)
{
	memset(b->step_ns, 0, sizeof b->step_ns);
	b->peers_ns = b->bytes_in = b->bytes_out = b->refreshes = 0;
	b->peers_from_ns = bench_cpu_ns();
}

static void measure_rounds(struct bench *b, struct shard_result *result)
{
	unsigned rounds = b->settings->rounds;
	double step_ns[STEPS][rounds], call_ns[rounds], peers_ns[rounds], calls = (double)b->settings->calls;

	memset(step_ns, 0, sizeof step_ns);
	for (unsigned i = 0; i < rounds; i++) {
		bench_progress("%u live: round %u of %u", b->settings->live, i + 1, rounds);
		zero_sums(b);
		if (!run_calls(b, b->settings->calls))
			return;
		call_ns[i] = 0;
		for (unsigned j = 0; j < STEPS; j++) {
			step_ns[j][i] = (double)b->step_ns[j] / calls;
			call_ns[i] += step_ns[j][i];
		}
		peers_ns[i] = (double)b->peers_ns / calls;
	}
	for (unsigned j = 0; j < STEPS; j++)
		result->step_ns[j] = bench_median(step_ns[j], rounds);
	result->call_ns = bench_median(call_ns, rounds);
	result->peers_ns = bench_median(peers_ns, rounds);
	result->refreshes = (double)b->refreshes / calls;
	result->bytes_in = (double)b->bytes_in / calls;
	result->bytes_out = (double)b->bytes_out / calls;
}

int shard_measure(const struct shard_run_settings *settings, struct shard_result *ret_result)
{
	struct bench *b = calloc(1, sizeof *b);

	if (!b)
		return -ENOMEM;
	b->settings = settings;
	*ret_result = (struct shard_result){ 0 };
	int r = begin(b);
	if (r < 0) {
		end(b);
		return r;
	}
	if (b->show) {
		run_calls(b, 1);
		b->show = false;
	}
	bench_progress("%u live: bringing them up", settings->live);
	uint64_t pss_bytes = machine_pss_bytes();
	fill(b);
	uint64_t pss_full_bytes = machine_pss_bytes();
	bench_progress("%u live: coming and going", settings->live);
	if (run_calls(b, settings->warm))
		measure_rounds(b, ret_result);
	if (settings->live >= LIVE_WEIGHED && pss_full_bytes > pss_bytes)
		ret_result->live_bytes = (double)(pss_full_bytes - pss_bytes) / settings->live;
	shard_publish_stats(b->shard);
	ret_result->tombstones = b->stats.pool_tombstone_used;
	ret_result->edge_ns = edge_cost_ns(b);
	ret_result->calls = b->ended;
	ret_result->cdrs = b->cdrs;
	ret_result->cdr_bytes = b->cdrs ? (double)b->cdr_bytes / (double)b->cdrs : 0;
	ret_result->record_bytes = b->ended ? (double)b->record_bytes / (double)b->ended : 0;
	ret_result->unexpected = b->unexpected;
	end(b);
	return 0;
}
