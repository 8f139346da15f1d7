/* The node that dies: see mortal.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/quality.h"
#include "core/steer.h"
#include "core/tally.h"
#include "tests/sim/mortal.h"

#define NODE_ADDRESS "10.0.0.1"
#define TURN_NS      (10 * MORTAL_MS)
#define PAUSE_NS     (100 * MORTAL_MS) /* after a sync that failed */
#define MAIL_NS      (50 * UINT64_C(1000))
#define START_AGAIN  MORTAL_S /* after a start that the disk refused */

static uint64_t world_to_clock(const struct world *w, uint64_t world_ns)
{
	return world_ns - w->machine_ns;
}

/* ---- death ---- */

static void trace(const struct world *w, const char *what, unsigned long long number)
{
	if (w->settings.trace)
		printf("%12.6f  %s %llu\n", (double)w->now_ns / 1e9, what, number);
}

static void keep_queue(struct world *w, const struct mortal_shard *shard)
{
	size_t size = w->queue_bytes + record_queue_header_bytes();
	struct left_queue *left = &w->left[w->left_count++];
	assert(w->left_count <= sizeof w->left / sizeof *w->left);
	left->memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
	left->size = size;
	assert(left->memory);
	memcpy(left->memory, shard->queue_memory, size);
}

void node_die(struct world *w, enum death death)
{
	struct node *n = w->node;
	if (!n || n->dying)
		return;
	trace(w, death == PROCESS_DEATH ? "the process dies: start" : "the machine dies: start", n->boot);
	n->dying = death;
	w->disk.dead = true;
	w->counts.deaths_in_input += n->in_input;
	w->counts.deaths_in_sync += n->in_sync;
	w->counts.deaths_at_start += n->starting;
	if (death == PROCESS_DEATH)
		w->counts.process_deaths++;
	else
		w->counts.machine_deaths++;
	for (unsigned i = 0; i < n->shard_count; i++)
		if (n->shards[i].queue)
			keep_queue(w, &n->shards[i]);
	if (!w->outage_count || w->outages[w->outage_count - 1].to_ns)
		w->outages[w->outage_count++] = (struct outage){ .from_ns = w->now_ns, .kept_ns = w->now_ns };
	if (death == MACHINE_DEATH && w->kept_ns < w->outages[w->outage_count - 1].kept_ns)
		w->outages[w->outage_count - 1].kept_ns = w->kept_ns;
	assert(w->outage_count < sizeof w->outages / sizeof *w->outages);
}

static void free_node(struct world *w)
{
	struct node *n = w->node;
	sink_close(w, true);
	for (unsigned i = 0; i < n->shard_count; i++) {
		struct mortal_shard *shard = &n->shards[i];
		free(shard->lent);
		if (shard->shard)
			shard_destroy(shard->shard);
		free(shard->queue_memory);
		tally_release(n->tallies[i]);
		quality_release(n->qualities[i]);
	}
	if (n->intake)
		intake_free(n->intake);
	if (n->journal)
		journal_close(n->journal);
	config_free(n->config);
	free(n);
	w->node = NULL;
}

static void start_due(struct world *w, void *context)
{
	(void)context;
	if (!w->node)
		node_start(w);
}

void node_bury(struct world *w)
{
	enum death death = w->node->dying;
	uint64_t down_ns = world_below(w, 2 * MORTAL_S);
	free_node(w);
	if (death == MACHINE_DEATH) {
		sink_machine_died(w);
		disk_crash(&w->disk);
		w->machine = world_below(w, UINT64_MAX) | 1;
		down_ns += world_below(w, 3) ? 0 : world_below(w, 20 * MORTAL_S);
		w->machine_ns = w->now_ns + down_ns - world_below(w, down_ns + 1);
	}
	w->disk.dead = false;
	world_at(w, w->now_ns + down_ns, start_due, NULL);
}

/* Between any two things that it does. */
static bool still_alive(struct mortal_shard *shard)
{
	struct node *n = shard->world->node;
	if (!n->dying && n->die_at_action && !--n->die_at_action)
		node_die(shard->world, PROCESS_DEATH);
	return !n->dying;
}

/* ---- the edge ---- */

static char *lend(void *context, size_t size)
{
	struct mortal_shard *shard = context;
	assert(!shard->lent);
	shard->lent = malloc(size);
	assert(shard->lent);
	return shard->lent;
}

static void unlend(void *context, char *at)
{
	struct mortal_shard *shard = context;
	assert(at == shard->lent);
	free(shard->lent);
	shard->lent = NULL;
}

static void send(void *context, const struct flow *to, char *at, size_t size)
{
	struct mortal_shard *shard = context;
	if (still_alive(shard))
		world_from_node(shard->world, &to->peer, (struct bytes){ at, (uint32_t)size });
	unlend(context, at);
}

struct mail {
	uint16_t boot;
	unsigned to;
	bool is_note;
	struct note note;
	struct arrival arrival;
	struct flow from;
	struct bytes datagram;
	char bytes[];
};

static void deliver(struct world *w, void *context)
{
	struct mail *mail = context;
	struct node *n = w->node;
	if (n && !n->dying && n->boot == mail->boot) {
		struct shard *shard = n->shards[mail->to].shard;
		n->in_input = true;
		if (mail->is_note)
			shard_note(shard, world_clock_ns(w), &mail->note);
		else
			shard_datagram_handed_over(shard, &mail->arrival, &mail->from, mail->datagram);
		n->in_input = false;
	}
	free(mail);
}

void node_forget_event(void (*fn)(struct world *w, void *context), void *context)
{
	if (fn == deliver)
		free(context);
}

static struct mail *new_mail(const struct mortal_shard *shard, unsigned to, size_t size)
{
	struct mail *mail = calloc(1, sizeof *mail + size);
	assert(mail && to < shard->world->node->shard_count);
	mail->boot = shard->world->node->boot;
	mail->to = to;
	return mail;
}

static bool hand_over(void *context, unsigned to, const struct arrival *arrival, const struct flow *from,
		      struct bytes datagram)
{
	struct mortal_shard *shard = context;
	struct mail *mail = new_mail(shard, to, datagram.size);
	memcpy(mail->bytes, datagram.at, datagram.size);
	mail->arrival = *arrival;
	mail->from = *from;
	mail->datagram = (struct bytes){ mail->bytes, datagram.size };
	world_at(shard->world, shard->world->now_ns + MAIL_NS, deliver, mail);
	return true;
}

static void post(void *context, unsigned to, const struct note *note)
{
	struct mortal_shard *shard = context;
	struct mail *mail = new_mail(shard, to, 0);
	mail->is_note = true;
	mail->note = *note;
	world_at(shard->world, shard->world->now_ns + MAIL_NS, deliver, mail);
}

static bool push_cdr(void *context, const struct cdr *cdr)
{
	struct mortal_shard *shard = context;
	if (still_alive(shard))
		return record_queue_push(shard->queue, cdr);
	return true;
}

static uint8_t *record_lend(void *context, size_t size)
{
	struct mortal_shard *shard = context;
	return record_queue_lend(shard->queue, size);
}

/* What a dying process pushes was never pushed: its queues were looked at before. */
static void record(void *context, enum record_kind kind, size_t size)
{
	struct mortal_shard *shard = context;
	still_alive(shard);
	record_queue_publish(shard->queue, kind, size);
}

static bool cdr_room(void *context)
{
	struct mortal_shard *shard = context;
	const struct node *n = shard->world->node;
	return record_queue_free(shard->queue) >= shard->world->queue_bytes / 2 &&
	       (!n->intake || intake_is_taking(n->intake));
}

static void say(void *context, int level, const char *line)
{
	struct mortal_shard *shard = context;
	if (shard->world->settings.trace)
		printf("%12.6f  shard %u: %s\n", (double)shard->world->now_ns / 1e9, shard->index, line);
	if (level <= 3)
		world_fail(shard->world, "log", "%s", line);
}

/* ---- beginning ---- */

static struct config *load_config(const struct world *w)
{
	char error[512], path[] = "/tmp/ringwheel-sim-XXXXXX";
	struct config *config;
	int fd = mkstemp(path);
	assert(fd >= 0);
	dprintf(fd, "node = \"sim\"\nlisten \"main\" { address = \"" NODE_ADDRESS "\" port = 5060 }\n"
		    "parameters { SS_SIP_SESSION_TTL = 12 RW_SIP_MIN_SE = 4 RW_NO_TIMER_PROBE_INTERVAL = 30 }\n"
		    "mapping_gateway \"callers\" { address = {\"10.1.0.1:5060\"} capacity = 100000 }\n"
		    "routing_gateway \"callees\" { address = \"10.2.0.1:5060\" prefix = {\"\"} capacity = 100000 }\n");
	close(fd);
	int result = config_load(path, &config, error);
	unlink(path);
	if (result < 0) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	config->answer_after_sync = w->answer_after_sync;
	config->on_restart = w->close_calls ? RESTART_CLOSE : RESTART_RESUME;
	return config;
}

static void create_queue(struct world *w, struct mortal_shard *shard)
{
	size_t size = w->queue_bytes + record_queue_header_bytes();
	struct record_queue_owner owner = { w->machine, w->node->boot, (uint16_t)shard->index };
	shard->queue_memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
	assert(shard->queue_memory);
	memset(shard->queue_memory, 0, size);
	shard->queue = record_queue_init(shard->queue_memory, size, owner);
}

static void create_shard(struct world *w, struct mortal_shard *shard)
{
	struct node *n = w->node;
	struct shard_settings settings = {
		.config = n->config,
		.edge = { .context = shard,
			  .lend = lend,
			  .send = send,
			  .unlend = unlend,
			  .hand_over = hand_over,
			  .post = post,
			  .cdr = push_cdr,
			  .record_lend = record_lend,
			  .record = record,
			  .cdr_room = cdr_room,
			  .log = say },
		.stats = &shard->stats,
		.tallies = { n->tallies, n->shard_count },
		.qualities = { n->qualities, n->shard_count },
		.secret = w->secret,
		.shard = (uint16_t)shard->index,
		.shard_count = (uint16_t)n->shard_count,
		.boot = n->boot,
		.calls_max = MORTAL_CALLS_MAX,
		.seed = w->settings.seed * 1000 + n->boot * 10u + shard->index,
		.now_ns = world_clock_ns(w),
		.now_us = world_real_us(w),
		.machine = w->machine,
	};
	int error = shard_create(&settings, &shard->shard);
	assert(!error);
}

static void release_left(struct world *w)
{
	for (unsigned i = 0; i < w->left_count; i++)
		free(w->left[i].memory);
	w->left_count = 0;
}

/* What former processes have left in their queues: those of another start of the machine are refused. */
static int take_queues(struct world *w, struct recovery *r)
{
	for (unsigned i = 0; i < w->left_count; i++) {
		struct record_queue_owner owner;
		struct record_queue *q = record_queue_attach(w->left[i].memory, w->left[i].size, &owner);
		if (!q) {
			world_fail(w, "queue", "a queue that a process left is not believed");
			continue;
		}
		int result = recovery_take_queue(r, w->node->journal, q, &owner, w->machine);
		if (result < 0)
			return result;
	}
	return 0;
}

static void note_damage(struct world *w, const struct recovery_report *report)
{
	w->counts.from_queues += report->from_queues;
	w->counts.recovered_cdrs += report->cdrs;
	w->counts.torn_bytes += report->torn_bytes;
	w->counts.closing += report->closing;
	if (report->damaged && !w->disk.failures)
		world_fail(w, "damage", "%llu places, the first at %llx, and the disk never failed",
			   (unsigned long long)report->damaged, (unsigned long long)report->damaged_at);
}

static void restore(struct world *w, struct recovery *r)
{
	struct node *n = w->node;
	struct journal_loans loans = { 0 };
	struct recovered_call call;
	for (uint64_t i = 0; i < recovery_count(r); i++) {
		unsigned shard = steer_worker(recovery_bucket(r, i), n->shard_count);
		if (!recovery_call(r, n->journal, i, &loans, &call)) {
			if (!w->disk.unreadable_ppm)
				world_fail(w, "restore", "a recovered call cannot be read");
			n->not_taken_up++;
			continue;
		}
		if (shard_restore(n->shards[shard].shard, &call, w->close_calls) != RESTORE_TAKEN)
			world_fail(w, "restore", "a call was not taken up: %.32s", call.cdr_id);
		w->counts.carried += !call.ended;
	}
	journal_free_loans(&loans);
	for (unsigned i = 0; i < n->shard_count; i++)
		shard_restored(n->shards[i].shard);
}

static void turn_due(struct world *w, void *context);

/* 0, or the disk's refusal: the process ends, and is started again later. */
static int open_journal(struct world *w, struct recovery *r, struct recovery_report *ret_report)
{
	struct node *n = w->node;
	char error[JOURNAL_ERROR_BYTES];
	struct journal_settings settings = { .disk = disk_interface(&w->disk),
					     .segment_bytes = MORTAL_SEGMENT,
					     .boot = n->boot,
					     .machine = w->machine,
					     .now_ns = world_clock_ns(w),
					     .now_us = world_real_us(w),
					     .new_id = w->settings.seed | 1 };
	struct journal_scan scan = recovery_scan(r);
	int result = journal_open(&settings, &scan, &n->journal, error);
	if (result < 0) {
		n->journal = NULL;
		return result;
	}
	result = take_queues(w, r);
	if (result == 0)
		recovery_finish(r, world_real_us(w), ret_report);
	return result;
}

static void serve(struct world *w, struct recovery *r)
{
	struct node *n = w->node;
	struct record_queue *queues[MORTAL_SHARDS_MAX];
	for (unsigned i = 0; i < n->shard_count; i++) {
		create_queue(w, &n->shards[i]);
		create_shard(w, &n->shards[i]);
		queues[i] = n->shards[i].queue;
	}
	restore(w, r);
	if (n->dying)
		return;
	struct intake_settings settings = { n->journal, queues, n->shard_count, MORTAL_SEGMENT };
	int result = intake_create(&settings, &n->intake);
	assert(!result);
	if (n->not_taken_up) {
		intake_hold(n->intake);
		w->neglected = true;
		w->counts.not_taken_up += n->not_taken_up;
	}
	sink_open(w);
	if (w->outage_count)
		w->outages[w->outage_count - 1].to_ns = w->now_ns;
	trace(w, "it serves: start", n->boot);
	world_at(w, w->now_ns + TURN_NS, turn_due, NULL);
}

void node_start(struct world *w)
{
	struct node *n = calloc(1, sizeof *n);
	struct recovery *r;
	struct recovery_report report;
	assert(n && !w->node);
	w->node = n;
	n->boot = ++w->boots;
	n->starting = true;
	n->config = load_config(w);
	n->shard_count = w->varies_shards ? 1 + (unsigned)world_below(w, MORTAL_SHARDS_MAX) : w->shards;
	for (unsigned i = 0; i < n->shard_count; i++) {
		n->shards[i].world = w;
		n->shards[i].index = i;
		n->tallies[i] = tally_reserve();
		n->qualities[i] = quality_reserve();
	}
	int result = recovery_create(&r);
	assert(!result);
	result = open_journal(w, r, &report);
	if (result == 0 && !n->dying) {
		/* The queues of this start take the place of the others only now: a death before it finds the others.
		 */
		note_damage(w, &report);
		release_left(w);
		serve(w, r);
	}
	if (!n->dying && result == 0)
		journal_forget_scanned(n->journal);
	recovery_free(r);
	n->starting = false;
	if (result < 0 && !n->dying) {
		w->counts.starts_refused++;
		trace(w, "the disk refuses: start", n->boot);
		free_node(w);
		world_at(w, w->now_ns + START_AGAIN, start_due, NULL);
	}
}

/* ---- living ---- */

static unsigned arrival_shard(struct world *w, struct bytes datagram)
{
	/* As steering by mailbox has it: any shard may get it, and hands it over. */
	(void)datagram;
	return (unsigned)world_below(w, w->node->shard_count);
}

void node_datagram(struct world *w, const struct address *from, struct bytes datagram)
{
	struct node *n = w->node;
	struct arrival arrival = { .now_ns = world_clock_ns(w), .real_us = world_real_us(w) };
	struct flow flow = { .peer = *from, .transport = TRANSPORT_UDP };
	n->in_input = true;
	shard_datagram(n->shards[arrival_shard(w, datagram)].shard, &arrival, &flow, datagram, false);
	n->in_input = false;
}

uint64_t node_next_ns(const struct world *w)
{
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; w->node && !w->node->dying && i < w->node->shard_count; i++) {
		const struct shard *shard = w->node->shards[i].shard;
		uint64_t at = shard ? shard_next_ns(shard) : UINT64_MAX;
		if (at != UINT64_MAX && at + w->machine_ns < next)
			next = at + w->machine_ns;
	}
	return next;
}

void node_advance(struct world *w)
{
	struct node *n = w->node;
	for (unsigned i = 0; n && i < n->shard_count; i++) {
		if (n->dying || !n->shards[i].shard)
			return;
		if (shard_next_ns(n->shards[i].shard) > world_to_clock(w, w->now_ns))
			continue;
		n->in_input = true;
		shard_advance(n->shards[i].shard, world_clock_ns(w), 1000);
		n->in_input = false;
	}
}

static void tell_shards(struct world *w)
{
	struct node *n = w->node;
	uint64_t checkpoint = intake_checkpoint(n->intake);
	for (unsigned i = 0; i < n->shard_count && !n->dying; i++) {
		struct mortal_shard *shard = &n->shards[i];
		if (checkpoint != shard->checkpoint)
			shard_checkpoint(shard->shard, checkpoint);
		shard->checkpoint = checkpoint;
		if (w->answer_after_sync)
			shard_synced(shard->shard, world_clock_ns(w), intake_synced(n->intake, i));
	}
}

void node_turn(struct world *w)
{
	struct node *n = w->node;
	uint64_t gathered_ns = w->now_ns;
	int result = 0;
	intake_gather(n->intake);
	if (intake_wants_sync(n->intake)) {
		n->in_sync = true;
		result = intake_sync(n->intake);
		n->in_sync = false;
	}
	if (n->dying)
		return;
	if (result == 0)
		w->kept_ns = gathered_ns;
	sink_watch(w);
	n->in_sync = true;
	intake_tend(n->intake, world_clock_ns(w), w->sink.journal == journal_id(n->journal) ? w->sink.position : 0);
	n->in_sync = false;
	if (n->dying)
		return;
	n->in_input = true;
	tell_shards(w);
	n->in_input = false;
	world_at(w, w->now_ns + (result < 0 ? PAUSE_NS : TURN_NS), turn_due, (void *)(uintptr_t)n->boot);
}

static void turn_due(struct world *w, void *context)
{
	struct node *n = w->node;
	if (n && n->intake && !n->dying && (!context || n->boot == (uint16_t)(uintptr_t)context))
		node_turn(w);
}

/* ---- looking at it ---- */

void node_check(const struct world *w)
{
	for (unsigned i = 0; w->node && !w->node->dying && i < w->node->shard_count; i++)
		if (w->node->shards[i].shard)
			shard_check(w->node->shards[i].shard);
}

uint64_t node_stat_at(const struct world *w, size_t offset)
{
	uint64_t sum = 0;
	for (unsigned i = 0; w->node && i < w->node->shard_count; i++) {
		shard_publish_stats(w->node->shards[i].shard);
		sum += *(const uint64_t *)(const void *)((const char *)&w->node->shards[i].stats + offset);
	}
	return sum;
}

void node_check_empty(struct world *w)
{
	static const struct {
		const char *name;
		size_t offset;
	} gauges[] = {
#define GAUGE(name) { #name, offsetof(struct shard_stats, name) }
		GAUGE(calls_active),          GAUGE(calls_setup),    GAUGE(timers_armed),
		GAUGE(pool_call_used),        GAUGE(pool_leg_used),  GAUGE(pool_attempt_used),
		GAUGE(pool_transaction_used), GAUGE(pool_body_used), GAUGE(pool_tombstone_used),
		GAUGE(pool_text_used),
#undef GAUGE
	};
	for (unsigned i = 0; i < sizeof gauges / sizeof *gauges; i++) {
		uint64_t value = node_stat_at(w, gauges[i].offset);
		if (value)
			world_fail(w, "leak", "%s is %llu at the end", gauges[i].name, (unsigned long long)value);
	}
}
