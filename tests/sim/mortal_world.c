/* Time, network, peers, and what befalls the node: see mortal.h. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/mortal.h"

#define WALL_US      INT64_C(1700000000000000)
#define DELAY_NS     MORTAL_MS
#define JITTER_NS    (4 * MORTAL_MS)
#define CHECK_EVERY  64
#define ENOUGH_NS    (900 * MORTAL_S) /* after the last call was placed all are over long ago */
#define SETTLE_NS    (130 * MORTAL_S) /* 4 * 64*T1: the node forgets what it must still know of ended calls */
#define SINK_EVERY   (200 * MORTAL_MS)
#define NODE_TEXT    "10.0.0.1:5060"
#define CALLERS_TEXT "10.1.0.1:5060"
#define CALLEES_TEXT "10.2.0.1:5060"

struct mortal_event {
	uint64_t at_ns, sequence;
	void (*fn)(struct world *w, void *context);
	void *context;
};

void world_fail(struct world *w, const char *check, const char *format, ...)
{
	va_list arguments;
	int size;
	if (w->failed)
		return;
	w->failed = true;
	size = snprintf(w->failure, sizeof w->failure, "%s at %.6f: ", check, (double)w->now_ns / 1e9);
	va_start(arguments, format);
	vsnprintf(w->failure + size, sizeof w->failure - (size_t)size, format, arguments);
	va_end(arguments);
}

/* ---- chance ---- */

uint64_t world_below(struct world *w, uint64_t below)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return below ? (z ^ z >> 31) % below : 0;
}

bool world_chance(struct world *w, uint32_t ppm)
{
	return ppm && world_below(w, 1000000) < ppm;
}

/* ---- time ---- */

uint64_t world_clock_ns(const struct world *w)
{
	return w->now_ns - w->machine_ns;
}

int64_t world_real_us(const struct world *w)
{
	return WALL_US + (int64_t)(w->now_ns / 1000);
}

static bool is_earlier(const struct mortal_event *a, const struct mortal_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

void world_at(struct world *w, uint64_t at_ns, void (*fn)(struct world *w, void *context), void *context)
{
	struct mortal_event event = { at_ns < w->now_ns ? w->now_ns : at_ns, w->event_sequence++, fn, context };
	if (w->event_count == w->event_room) {
		w->event_room = w->event_room ? 2 * w->event_room : 256;
		w->events = realloc(w->events, w->event_room * sizeof *w->events);
		assert(w->events);
	}
	uint32_t i = w->event_count++;
	for (; i && is_earlier(&event, &w->events[(i - 1) / 2]); i = (i - 1) / 2)
		w->events[i] = w->events[(i - 1) / 2];
	w->events[i] = event;
}

static struct mortal_event take_event(struct world *w)
{
	struct mortal_event first = w->events[0], last = w->events[--w->event_count];
	uint32_t i = 0, child;
	while ((child = 2 * i + 1) < w->event_count) {
		if (child + 1 < w->event_count && is_earlier(&w->events[child + 1], &w->events[child]))
			child++;
		if (!is_earlier(&w->events[child], &last))
			break;
		w->events[i] = w->events[child];
		i = child;
	}
	w->events[i] = last;
	return first;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The next thing, if it is not later than that.  false: nothing is, and it is until_ns now. */
static bool step(struct world *w, uint64_t until_ns)
{
	uint64_t event_ns = w->event_count ? w->events[0].at_ns : UINT64_MAX;
	uint64_t next_ns = least(least(event_ns, calls_next_ns(w->calls)), node_next_ns(w));
	if (next_ns > until_ns) {
		w->now_ns = until_ns > w->now_ns ? until_ns : w->now_ns;
		return false;
	}
	w->now_ns = next_ns > w->now_ns ? next_ns : w->now_ns;
	if (event_ns <= w->now_ns) {
		struct mortal_event event = take_event(w);
		event.fn(w, event.context);
	}
	calls_advance(w->calls, w->now_ns);
	node_advance(w);
	if (++w->steps % CHECK_EVERY == 0)
		node_check(w);
	return true;
}

bool world_pass(struct world *w, uint64_t for_ns)
{
	uint64_t until_ns = w->now_ns + for_ns;
	while (!w->node->dying && step(w, until_ns))
		;
	return !w->node->dying;
}

static void run_until(struct world *w, uint64_t until_ns)
{
	for (bool more = true; more;) {
		more = step(w, until_ns);
		if (w->node && w->node->dying)
			node_bury(w);
	}
}

/* ---- network ---- */

struct packet {
	bool to_node;
	enum side side; /* that sent it, or gets it */
	uint32_t size;
	char bytes[];
};

static void arrive(struct world *w, void *context)
{
	static const struct address addresses[] = {
		[CALLER] = { .family = 4, .ip = { 10, 1, 0, 1 }, .port = 5060 },
		[CALLEE] = { .family = 4, .ip = { 10, 2, 0, 1 }, .port = 5060 },
	};
	struct packet *packet = context;
	struct node *n = w->node;
	if (!packet->to_node)
		calls_datagram(w->calls, w->now_ns, packet->side, packet->bytes, packet->size);
	else if (n && !n->dying && !n->starting) /* else nobody has the port */
		node_datagram(w, &addresses[packet->side], (struct bytes){ packet->bytes, packet->size });
	free(packet);
}

/* First line, direction and place. */
static void trace_packet(const struct world *w, bool to_node, enum side side, const char *at, size_t size, bool lost)
{
	struct message m;
	if (!w->settings.trace || !message_read(at, size, &m))
		return;
	printf("%12.6f  %c %s %.*s%s %u %s\n", (double)w->now_ns / 1e9, "ab"[side], to_node ? "->" : "<-",
	       (int)(m.is_request ? 0 : 12), at, m.is_request ? method_names[m.method] : "", m.cseq,
	       lost ? "lost" : "");
	printf("              %.*s  %.*s  %.*s\n", SHOW(m.call_id_value), SHOW(m.from_tag), SHOW(m.to_tag));
}

static void post_packet(struct world *w, bool to_node, enum side side, const char *at, size_t size)
{
	bool lost = world_chance(w, w->loss_ppm);
	trace_packet(w, to_node, side, at, size, lost);
	if (lost)
		return;
	struct packet *packet = malloc(sizeof *packet + size);
	assert(packet);
	*packet = (struct packet){ to_node, side, (uint32_t)size };
	memcpy(packet->bytes, at, size);
	world_at(w, w->now_ns + DELAY_NS + world_below(w, JITTER_NS), arrive, packet);
}

static struct sending send_to_node(void *context, enum side side, const char *at, size_t size)
{
	struct world *w = context;
	post_packet(w, true, side, at, size);
	return (struct sending){ w->now_ns, w->now_ns };
}

void world_from_node(struct world *w, const struct address *to, struct bytes datagram)
{
	assert(to->ip[0] == 10 && (to->ip[1] == 1 || to->ip[1] == 2));
	enum side side = to->ip[1] == 1 ? CALLER : CALLEE;
	if (side == CALLER)
		sink_see_sent(w, datagram);
	post_packet(w, false, side, datagram.at, datagram.size);
}

/* ---- what befalls it ---- */

static void process_dies(struct world *w, void *context)
{
	(void)context;
	node_die(w, PROCESS_DEATH);
}

static void machine_dies(struct world *w, void *context)
{
	(void)context;
	node_die(w, MACHINE_DEATH);
}

static void dies_in_input(struct world *w, void *context)
{
	(void)context;
	if (w->node)
		w->node->die_at_action = 1 + world_below(w, 40);
}

static void end_troubles(struct world *w, void *context)
{
	(void)context;
	w->quiet = true;
	w->disk.capacity = UINT64_MAX;
	w->disk.failing_ppm = w->disk.unreadable_ppm = 0;
	w->disk.sync_ns = MORTAL_MS;
	w->disk.sync_more_ns = 2 * MORTAL_MS;
}

static void disk_slows(struct world *w, void *context)
{
	(void)context;
	w->disk.sync_ns = 20 * MORTAL_MS;
	w->disk.sync_more_ns = world_below(w, 3 * MORTAL_S);
}

static void disk_fails(struct world *w, void *context)
{
	(void)context;
	w->disk.failing_ppm = (uint32_t)world_below(w, 2) ? 1000000 : 200000;
	w->disk.unreadable_ppm = (uint32_t)world_below(w, 2) * 20000;
}

static void disk_fills(struct world *w, void *context)
{
	uint64_t used = 0;
	(void)context;
	for (unsigned i = 0; i < w->disk.file_count; i++)
		used += w->disk.files[i].name[0] ? w->disk.files[i].size : 0;
	w->disk.capacity = used + world_below(w, 4) * MORTAL_SEGMENT;
}

static void disk_recovers(struct world *w, void *context)
{
	(void)context;
	bool was_quiet = w->quiet;
	end_troubles(w, NULL);
	w->quiet = was_quiet;
}

static void draw_troubles(struct world *w, uint64_t for_ns)
{
	static void (*const troubles[])(struct world * w, void *context) = { disk_slows, disk_fails, disk_fills };
	uint64_t begin_ns = w->now_ns;
	unsigned kinds = (unsigned)world_below(w, 8), deaths = (unsigned)world_below(w, 6);
	for (unsigned kind = 0; kind < 3; kind++) {
		if (!(kinds & 1u << kind))
			continue;
		uint64_t at_ns = begin_ns + world_below(w, for_ns);
		world_at(w, at_ns, troubles[kind], NULL);
		world_at(w, at_ns + world_below(w, for_ns / 2), disk_recovers, NULL);
	}
	for (unsigned i = 0; i < deaths; i++) {
		uint64_t at_ns = begin_ns + world_below(w, for_ns), die = world_below(w, 10);
		world_at(w, at_ns, die < 2 ? machine_dies : die < 6 ? process_dies : dies_in_input, NULL);
		if (world_below(w, 3) == 0) /* while it recovers, or soon after */
			world_at(w, at_ns + world_below(w, 3 * MORTAL_S), process_dies, NULL);
	}
	world_at(w, begin_ns + for_ns, end_troubles, NULL);
}

/* ---- the whole ---- */

static void place(struct world *w, void *context)
{
	(void)context;
	calls_place(w->calls, w->now_ns);
}

static void sink_due(struct world *w, void *context)
{
	(void)context;
	sink_turn(w);
	world_at(w, w->now_ns + world_below(w, SINK_EVERY), sink_due, NULL);
}

static bool is_over(struct world *w)
{
	struct calls_counts counts = calls_count(w->calls);
	if (w->quiet && w->node && !w->node->dying && w->node->not_taken_up)
		world_at(w, w->now_ns, process_dies, NULL); /* an operator who reads the log starts it again */
	return w->quiet && w->node && !w->node->dying && w->node->intake && counts.placed == w->settings.calls &&
	       counts.settled == counts.placed && !node_stat_at(w, offsetof(struct shard_stats, calls_active)) &&
	       !node_stat_at(w, offsetof(struct shard_stats, calls_setup));
}

static void count(struct world *w)
{
	w->counts.calls = calls_count(w->calls).placed;
	w->counts.syncs = w->disk.syncs;
	w->counts.failed_writes = w->disk.failures;
	w->counts.refused_space = w->disk.refusals;
	w->counts.virtual_seconds = w->now_ns / MORTAL_S - 1000;
	if (w->node && w->node->intake)
		w->counts.checkpoints = intake_figures(w->node->intake).checkpoints;
}

void world_run(struct world *w)
{
	/* Some are so long that segments of the journal are dropped. */
	bool is_long = world_below(w, 6) == 0;
	uint64_t for_ns = (is_long ? 200 : 10) * MORTAL_S + world_below(w, (is_long ? 200 : 50) * MORTAL_S);
	assert(w->settings.calls <= MORTAL_CALLS_MAX);
	node_start(w);
	for (unsigned i = 0; i < w->settings.calls; i++)
		world_at(w, w->now_ns + world_below(w, for_ns), place, NULL);
	draw_troubles(w, for_ns + 10 * MORTAL_S);
	world_at(w, w->now_ns, sink_due, NULL);
	run_until(w, w->now_ns + for_ns);
	uint64_t enough_ns = w->now_ns + ENOUGH_NS;
	while (!is_over(w) && w->now_ns < enough_ns)
		run_until(w, w->now_ns + MORTAL_S);
	if (!is_over(w))
		world_fail(w, "end",
			   "of %u calls %u are over for their peers; for the node %llu are up, %llu in set-up",
			   calls_count(w->calls).placed, calls_count(w->calls).settled,
			   (unsigned long long)node_stat_at(w, offsetof(struct shard_stats, calls_active)),
			   (unsigned long long)node_stat_at(w, offsetof(struct shard_stats, calls_setup)));
	run_until(w, w->now_ns + SETTLE_NS);
	node_check(w);
	node_check_empty(w);
	sink_check_end(w);
	count(w);
}

static bool wait_for_disk(void *context, uint64_t for_ns)
{
	return world_pass(context, for_ns);
}

struct world *world_create(const struct world_settings *settings)
{
	struct world *w = calloc(1, sizeof *w);
	assert(w);
	w->settings = *settings;
	w->random = settings->seed * 2 + 1;
	w->now_ns = 1000 * MORTAL_S;
	w->machine = world_below(w, UINT64_MAX) | 1;
	disk_init(&w->disk, world_below(w, UINT64_MAX));
	w->disk.wait = wait_for_disk;
	w->disk.context = w;
	w->disk.sync_ns = MORTAL_MS;
	w->disk.sync_more_ns = 2 * MORTAL_MS;
	w->shards = 1 + (unsigned)world_below(w, MORTAL_SHARDS_MAX);
	w->varies_shards = world_below(w, 2);
	w->answer_after_sync = world_below(w, 3) == 0;
	w->close_calls = world_below(w, 5) == 0;
	w->loss_ppm = world_below(w, 2) ? (uint32_t)world_below(w, 20000) : 0;
	w->queue_bytes = (size_t)(1u << 20) << world_below(w, 3);
	for (unsigned i = 0; i < sizeof w->secret; i++)
		w->secret[i] = (uint8_t)world_below(w, 256);
	w->calls = calls_create(&(struct calls_settings){ .node = NODE_TEXT,
							  .peers = { CALLERS_TEXT, CALLEES_TEXT },
							  .send = send_to_node,
							  .context = w,
							  .t1_ns = 500 * MORTAL_MS,
							  .hold_min_ns = MORTAL_S / 5,
							  .hold_max_ns = 20 * MORTAL_S,
							  .patience_ns = 40 * MORTAL_S,
							  .expires_s = 12,
							  .seed = settings->seed });
	return w;
}

void world_destroy(struct world *w)
{
	if (w->node) {
		node_die(w, PROCESS_DEATH);
		node_bury(w);
	}
	while (w->event_count) {
		struct mortal_event event = take_event(w);
		/* What is on its way belongs to it; all else is the world's. */
		if (event.fn == arrive)
			free(event.context);
		else
			node_forget_event(event.fn, event.context);
	}
	for (unsigned i = 0; i < w->left_count; i++)
		free(w->left[i].memory);
	free(w->events);
	calls_free(w->calls);
	disk_free(&w->disk);
	free(w);
}
