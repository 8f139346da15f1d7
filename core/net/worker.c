/* A worker's loop: see the header. */
#include "core/net/worker.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/net/worker_edge.h"
#include "core/steer.h"

enum {
	DEADLINES_PER_TURN = 1000,
	HANDED_OVER_PER_TURN = 512, /* of one mailbox */
	FIRST_PORTIONS = 64,        /* so many of them before the first turn: a whole mailbox of notes */
};

#define SENDS_TELL_NS   UINT64_C(10000000000)
#define NOTES_WAIT_NS   UINT64_C(1000000)    /* the longest sleep while a note waits for room in a mailbox */
#define LAST_WORDS_NS   UINT64_C(1000000000) /* from the shard's end on, for what waits on connections */
#define LEAVE_NS        UINT64_C(500000000)  /* the same after the last turn */
#define PARTING_NS      UINT64_C(100000000)  /* of it, for the peers' ends of connections */
#define LEAVE_WAIT_NS   UINT64_C(1000000)
#define CAUGHT_UP_TURNS 3 /* without a datagram: what waited in the sockets at the start has been read */

/* What comes in. */

/* Within a turn. */
static void read_clock_again(struct worker *w)
{
	const struct clock_reading reading = clock_read();

	clock_turn(&w->clock, reading.now_ns, clock_real_ns(&reading, clock_known_ns(&w->clock)));
}

static void take_datagram(void *context, const struct received *r)
{
	struct worker *w = context;
	struct flow from = { .listener = (uint16_t)r->listener, .transport = TRANSPORT_UDP };
	struct arrival arrival;

	address_from_sockaddr(r->peer, &from.peer);
	if (clock_is_outrun(&w->clock, r->stamp_ns))
		read_clock_again(w);
	clock_arrival(&w->clock, r->stamp_ns, &arrival);
	shard_datagram(w->shard, &arrival, &from, r->datagram, r->truncated);
}

/* The same for a message of a connection; cut: it is only the beginning of one. */
static void take_message(void *context, const struct flow *from, int64_t stamp_ns, struct bytes message, bool cut)
{
	struct worker *w = context;
	struct arrival arrival;

	if (w->leaving)
		return;
	if (clock_is_outrun(&w->clock, stamp_ns))
		read_clock_again(w);
	clock_arrival(&w->clock, stamp_ns, &arrival);
	shard_datagram(w->shard, &arrival, from, message, cut);
}

/* A message that another shard has no room for stays on its connection. */
static bool has_room(void *context)
{
	const struct worker *w = context;

	return !w->crowded;
}

/* All of them in each turn: what fills one may have been of any kind. */
static void look_at_crowds(struct worker *w)
{
	w->crowded = false;
	if (!w->has_streams)
		return;
	for (unsigned i = 0; i < w->settings->workers; i++)
		w->crowded |= w->out[i] && mailbox_is_crowded(w->out[i]);
}

static void take_stream_event(void *context, const struct uring_stream_event *e)
{
	struct worker *w = context;

	streams_event(&w->streams, e);
}

/* Every shard whose requests went by it hears of it. */
static void tell_lost(void *context, uint32_t connection, uint32_t generation, uint64_t shards)
{
	struct worker *w = context;
	const struct note note = { .kind = NOTE_CONNECTION_LOST, .from = w->index, .a = connection, .b = generation };

	for (unsigned i = 0; i < w->settings->workers && !w->leaving; i++) {
		if (!(shards >> i & 1))
			continue;
		if (i == w->index)
			shard_connection_lost(w->shard, clock_tell(&w->clock), connection, generation);
		else
			mailbox_post(w->out[i], &note);
	}
}

static void take_refused(void *context, struct bytes datagram)
{
	struct worker *w = context;

	shard_undeliverable(w->shard, clock_tell(&w->clock), datagram);
}

/* Of that shard. */
static bool take_mailbox(struct worker *w, unsigned shard)
{
	struct mailbox *in = w->in[shard];
	struct mailbox_item item;
	unsigned taken = 0;

	while (taken < HANDED_OVER_PER_TURN && mailbox_next(in, &item)) {
		taken++;
		if (item.is_note) {
			shard_note(w->shard, clock_tell(&w->clock), &item.note);
			continue;
		}
		if (item.is_outgoing) {
			if (w->has_streams && !streams_send(&w->streams, shard, &item.from, item.datagram))
				mailbox_push_refused(w->out[shard], item.datagram);
			continue;
		}
		if (item.is_refused) {
			shard_undeliverable(w->shard, clock_tell(&w->clock), item.datagram);
			continue;
		}
		if (clock_is_outrun_by(&w->clock, &item.arrival))
			read_clock_again(w);
		clock_handed_over(&w->clock, &item.arrival);
		shard_datagram_handed_over(w->shard, &item.arrival, &item.from, item.datagram);
	}
	mailbox_release(in);
	return taken == HANDED_OVER_PER_TURN;
}

/* true: some are left. */
static bool take_mailboxes(struct worker *w)
{
	bool left = false;

	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->in[i])
			left |= take_mailbox(w, i);
	return left;
}

static void complete(struct worker *w, struct command *command)
{
	if (command_list_give(w->completed, command))
		eventfd_write(w->completion_fd, 1);
}

/* A portion of each command that is not done. */
static void run_commands(struct worker *w)
{
	struct command *new = command_list_take(&w->submitted);

	*w->running_end = new;
	for (; new; new = new->next) {
		w->drain_asked |= new->kind == COMMAND_DRAIN;
		w->stop_asked |= new->kind == COMMAND_STOP;
		w->running_end = &new->next;
	}
	struct command **at = &w->running;
	while (*at) {
		struct command *command = *at;

		if (!shard_command(w->shard, clock_tell(&w->clock), command)) {
			at = &command->next;
			continue;
		}
		*at = command->next;
		complete(w, command);
	}
	w->running_end = at;
}

/* A checkpoint that is wanted; what is on the disk by now. */
static void look_at_journal(struct worker *w)
{
	const struct intake *intake = w->settings->intake;

	if (!intake)
		return;
	const uint64_t checkpoint = intake_checkpoint(intake);
	if (checkpoint != w->checkpoint) {
		w->checkpoint = checkpoint;
		shard_checkpoint(w->shard, checkpoint);
	}
	if (!w->settings->answer_after_sync)
		return;
	const uint64_t synced = intake_synced(intake, w->index);
	if (synced != w->synced) {
		w->synced = synced;
		shard_synced(w->shard, clock_tell(&w->clock), synced);
	}
}

/* Once; the control thread looks at the flags when its descriptor is readable. */
static void tell_once(struct worker *w, _Atomic bool *flag)
{
	if (atomic_load_explicit(flag, memory_order_relaxed))
		return;
	atomic_store_explicit(flag, true, memory_order_release);
	eventfd_write(w->completion_fd, 1);
}

/* The last BYEs have not gone out yet, or not to the worker whose connection takes them. */
static bool messages_wait(const struct worker *w)
{
	if (!w->has_streams)
		return false;
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i] && mailbox_waiting(w->out[i]) > 0)
			return true;
	return w->streams.awaited > 0;
}

/* A peer that does not read is not waited for any longer. */
static bool has_said_all(struct worker *w)
{
	if (!shard_stopped(w->shard))
		return false;
	if (w->silent_ns == 0) {
		w->silent_ns = w->clock.now_ns;
		atomic_store_explicit(&w->silent, true, memory_order_release);
	}
	return !messages_wait(w) || w->clock.now_ns - w->silent_ns >= LAST_WORDS_NS;
}

static void tell_ends(struct worker *w)
{
	if (w->drain_asked && shard_drained(w->shard))
		tell_once(w, &w->drained);
	if (w->stop_asked && has_said_all(w))
		tell_once(w, &w->stopped);
}

/* What goes out. */

static void ring_doorbells(struct worker *w)
{
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i] && mailbox_flush(w->out[i]) && doorbell_needed(&w->workers[i].doorbell))
			uring_ring(&w->uring, atomic_load_explicit(&w->workers[i].ring_fd, memory_order_relaxed));
}

/* For room in a mailbox, like connections whose messages do. */
static bool notes_wait(const struct worker *w)
{
	if (w->has_streams && streams_wait(&w->streams))
		return true;
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i] && mailbox_waiting(w->out[i]) > 0)
			return true;
	return false;
}

static void count_datagrams(struct worker *w, unsigned received)
{
	w->received += received;
	stat_set(&w->stats->datagrams_in, w->received + w->streams.messages_in);
	stat_set(&w->stats->datagrams_out, w->uring.sent + w->streams.messages_out);
	stat_set(&w->stats->datagrams_lost, w->uring.lost + w->streams.lost);
	stat_set(&w->stats->sends_refused, w->uring.refused_sends);
	stat_set(&w->stats->sends_busy, w->uring.busy_sends);
	stat_set(&w->stats->receives_paused, w->uring.starved);
}

/* SIP sends again, or the call goes elsewhere; the operator hears of it, but not of each. */
static void tell_failed_sends(struct worker *w, uint64_t now_ns)
{
	uint64_t failed = w->uring.refused_sends + w->uring.busy_sends;

	if (failed == w->sends_told || now_ns < w->sends_tell_ns)
		return;
	log_printf(LOG_WARNING, "event=sends_failed shard=%u datagrams=%llu latest=\"%s\"", w->index,
		   (unsigned long long)(failed - w->sends_told), strerror(w->uring.send_error));
	w->sends_told = failed;
	w->sends_tell_ns = now_ns + SENDS_TELL_NS;
}

/* The submission that has just ended carried them out. */
static void measure_relayed(struct worker *w, uint64_t now_ns)
{
	for (unsigned i = 0; i < w->relayed_count; i++)
		histogram_add(&w->stats->relay_us, (now_ns - w->relayed_ns[i]) / 1000);
	w->relayed_count = 0;
}

static void tell_turn(struct worker *w)
{
	shard_turn(w->shard, w->clock.now_ns, inflow_permille(&w->inflow, w->clock.now_ns, w->slept), w->slept);
	w->slept = false;
}

static void publish_inflow(struct worker *w)
{
	uint64_t asked, taken;

	shard_demand(w->shard, &asked, &taken);
	inflow_publish(&w->inflow, w->clock.now_ns, asked, taken, w->stats);
}

static void publish(struct worker *w, uint64_t now_ns)
{
	uint64_t busy_ns = 0, period_ns = 0;

	w->busy_ns[w->busy_slot] = w->busy_now_ns;
	w->period_ns[w->busy_slot] = now_ns - w->period_from_ns;
	w->busy_slot = (w->busy_slot + 1) % WORKER_BUSY_SLOTS;
	w->busy_now_ns = 0;
	w->period_from_ns = now_ns;
	w->publish_ns = now_ns + WORKER_PUBLISH_NS;
	for (unsigned i = 0; i < WORKER_BUSY_SLOTS; i++) {
		busy_ns += w->busy_ns[i];
		period_ns += w->period_ns[i];
	}
	stat_set(&w->stats->loop_busy_ratio, period_ns > 0 ? busy_ns * 1000 / period_ns : 0);
	shard_publish_stats(w->shard);
	publish_inflow(w);
	tell_failed_sends(w, now_ns);
	worker_edge_look(w);
	uring_retry(&w->uring);
	if (w->has_streams)
		streams_look(&w->streams);
}

/* A push that came before the doorbell said so is seen by the look, one after it rings. */
static bool mailboxes_empty(const struct worker *w)
{
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->in[i] && !mailbox_empty(w->in[i]))
			return false;
	return true;
}

static void sleep_until(struct worker *w, uint64_t now_ns)
{
	uint64_t until_ns = shard_next_ns(w->shard);

	if (until_ns > w->publish_ns)
		until_ns = w->publish_ns;
	if (notes_wait(w) && until_ns > now_ns + NOTES_WAIT_NS)
		until_ns = now_ns + NOTES_WAIT_NS;
	if (until_ns <= now_ns)
		return;
	doorbell_sleep(&w->doorbell);
	snapshot_leave(); /* the shard looks at nothing before the next turn has seen to its configuration */
	if (mailboxes_empty(w)) {
		uring_wait(&w->uring, until_ns - now_ns);
		w->slept = true;
	}
	snapshot_enter();
	doorbell_awake(&w->doorbell);
}

/* The turn before has looked at the configuration for the last time; this one takes the newest.  By its generation: the
 * memory of one that was freed may be that of the next. */
static void take_configuration(struct worker *w)
{
	snapshot_pass();
	const struct config *config = snapshot_config(w->settings->snapshot);

	if (w->has_streams)
		streams_turn(&w->streams, config, w->clock.now_ns);
	if (config->generation == w->generation)
		return;
	shard_configure(w->shard, config);
	w->generation = config->generation;
}

/* What waited in the sockets has been read, for all that the rings say: here, and by those who hand over what is for
 * this shard.  Then the clock need not wait for it any more from the next turn on. */
static void catch_up(struct worker *w, unsigned received)
{
	bool all = true;

	w->empty_turns = received ? 0 : w->empty_turns + 1;
	if (w->empty_turns >= CAUGHT_UP_TURNS)
		atomic_store_explicit(&w->caught_up, true, memory_order_release);
	for (unsigned i = 0; i < w->settings->workers; i++)
		all = all && atomic_load_explicit(&w->workers[i].caught_up, memory_order_acquire);
	clock_wait(&w->clock, !all || !mailboxes_empty(w));
}

static void turn(struct worker *w)
{
	const struct clock_reading reading = clock_read();
	const uint64_t begin_ns = reading.now_ns;

	clock_turn(&w->clock, begin_ns, clock_real_ns(&reading, clock_known_ns(&w->clock)));
	take_configuration(w);
	tell_turn(w);
	look_at_crowds(w);
	if (w->has_streams)
		streams_resume(&w->streams);
	unsigned received = uring_handle(&w->uring, take_datagram, take_stream_event, take_refused, w);
	bool left = take_mailboxes(w);
	run_commands(w);
	look_at_journal(w);
	w->more = shard_advance(w->shard, clock_tell(&w->clock), DEADLINES_PER_TURN);
	if (w->clock.behind)
		catch_up(w, received);
	if (w->has_streams)
		streams_flush(&w->streams);
	ring_doorbells(w);
	bool completed = uring_submit(&w->uring);
	count_datagrams(w, received);
	tell_ends(w);

	uint64_t end_ns = clock_read_ns(CLOCK_MONOTONIC);
	w->busy_now_ns += end_ns - begin_ns;
	histogram_add(&w->stats->loop_us, (end_ns - begin_ns) / 1000);
	measure_relayed(w, end_ns);
	if (end_ns >= w->publish_ns)
		publish(w, end_ns);
	if (!completed && !left && !w->more && !w->running && !w->clock.behind)
		sleep_until(w, end_ns);
}

/* ---- after the last turn ---- */

static void drop_datagram(void *context, const struct received *r)
{
	(void)context;
	(void)r;
}

static void take_last_messages(struct worker *w, unsigned shard)
{
	struct mailbox_item item;

	while (mailbox_next(w->in[shard], &item))
		if (item.is_outgoing)
			streams_send(&w->streams, shard, &item.from, item.datagram);
	mailbox_release(w->in[shard]);
}

/* Only connections, and nothing of it comes to the shard. */
static void leaving_turn(struct worker *w, const struct config *config, uint64_t now_ns)
{
	streams_turn(&w->streams, config, now_ns);
	uring_handle(&w->uring, drop_datagram, take_stream_event, NULL, w);
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->in[i])
			take_last_messages(w, i);
	streams_flush(&w->streams);
	ring_doorbells(w);
	if (!uring_submit(&w->uring))
		uring_wait(&w->uring, LEAVE_WAIT_NS);
}

/* What shards have sent last goes out by whichever worker's connection, and peers have a moment to read it and to end
 * their connections themselves. */
static void leave(struct worker *w)
{
	const struct config *config = snapshot_config(w->settings->snapshot);
	uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC), until_ns = now_ns + LEAVE_NS;

	w->leaving = true;
	do {
		leaving_turn(w, config, now_ns);
		now_ns = clock_read_ns(CLOCK_MONOTONIC);
	} while ((messages_wait(w) || !mailboxes_empty(w)) && now_ns < until_ns);
	streams_leave(&w->streams);
	for (until_ns = now_ns + PARTING_NS; w->streams.pool.used > 0 && now_ns < until_ns;
	     now_ns = clock_read_ns(CLOCK_MONOTONIC))
		leaving_turn(w, config, now_ns);
}

/* The thread. */

static void pin(struct worker *w)
{
	char name[16];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)w->cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		log_printf(LOG_WARNING, "event=worker_not_pinned shard=%u cpu=%d reason=\"%s\"", w->index, w->cpu,
			   strerror(errno));
	snprintf(name, sizeof name, "rw-shard-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1UL); /* deadlines are met to the millisecond: no help from the kernel in being late */
}

/* To begin with: the shards fill by hash, not evenly, and those that have room left give of it (core/call/room.h). */
static uint32_t share_of_calls(const struct worker *w)
{
	uint32_t workers = w->settings->workers;
	uint32_t share = w->settings->calls_max / workers + (w->index < w->settings->calls_max % workers);

	return share > 0 ? share : 1;
}

static int make_shard(struct worker *w)
{
	const struct config *config = snapshot_config(w->settings->snapshot);
	struct shard_settings settings = {
		.config = config,
		.edge = worker_edge(w),
		.stats = w->stats,
		.tallies = w->settings->tallies,
		.qualities = w->settings->qualities,
		.secret = w->settings->secret,
		.shard = (uint16_t)w->index,
		.shard_count = (uint16_t)w->settings->workers,
		.boot = w->settings->boot,
		.calls_max = share_of_calls(w),
		.seed = w->seed,
		.now_ns = clock_tell(&w->clock),
		.now_us = w->clock.real_ns / 1000,
		.machine = w->settings->machine,
	};
	w->generation = config->generation;
	return shard_create(&settings, &w->shard);
}

/* Those of its buckets: how many workers there were before makes no difference. */
static void take_up_calls(struct worker *w)
{
	const struct recovery *recovery = w->settings->recovery;
	struct journal_loans loans = { 0 };
	struct recovered_call call;

	if (!recovery)
		return;
	for (uint64_t i = 0; i < recovery_count(recovery); i++) {
		if (steer_worker(recovery_bucket(recovery, i), w->settings->workers) != w->index)
			continue;
		enum restore_result result = RESTORE_LEFT;
		if (recovery_call(recovery, w->settings->journal, i, &loans, &call))
			result = shard_restore(w->shard, &call, w->settings->close_calls);
		w->calls_left += result == RESTORE_LEFT;
		w->calls_ended += result == RESTORE_ENDED && !call.ended;
	}
	journal_free_loans(&loans);
	shard_restored(w->shard);
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i])
			mailbox_flush(w->out[i]);
}

/* All workers have taken up theirs: what those calls have of lines and credit is known before the first datagram.  The
 * others are at work, so datagrams come too; and the configuration that the shard was made with may be gone. */
static void hear_of_calls(struct worker *w)
{
	take_configuration(w);
	for (unsigned i = 0; i < FIRST_PORTIONS && take_mailboxes(w); i++)
		;
}

/* Room for more of the node's connections than this worker's share: the kernel spreads them by hash. */
static uint32_t connections_max(const struct worker *w, const struct config *config)
{
	const uint32_t all = config->connections_max, workers = w->settings->workers;
	const uint32_t share = all / workers * 2 + 256;

	return workers == 1 || share > all ? all : share;
}

static int make_streams(struct worker *w, const struct config *config)
{
	const struct streams_settings settings = {
		.uring = &w->uring,
		.count = w->connection_count,
		.stats = w->stats,
		.worker = w->index,
		.connections_max = connections_max(w, config),
		.k0 = w->connection_count->k0,
		.k1 = w->connection_count->k1,
		.message = take_message,
		.lost = tell_lost,
		.room = has_room,
		.context = w,
	};
	int r = streams_create(&w->streams, &settings);

	w->has_streams = r == 0;
	if (r == 0) /* calls that are taken up may have something to say before the first turn */
		streams_turn(&w->streams, config, clock_read_ns(CLOCK_MONOTONIC));
	return r;
}

static uint64_t listening_sockets(const struct config *config)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < config->listen_count; i++)
		if (config->listens[i].transport != TRANSPORT_UDP)
			bits |= UINT64_C(1) << i;
	return bits;
}

static int open_uring(struct worker *w, char error[static 256])
{
	const struct config *config = snapshot_config(w->settings->snapshot);
	const struct listeners *listeners = w->settings->listeners;
	const uint64_t listening = listening_sockets(config);
	int r = listening ? make_streams(w, config) : 0;

	if (r < 0) {
		snprintf(error, 256, "cannot reserve the memory of max_connections (%u): %s", config->connections_max,
			 strerror(-r));
		return r;
	}
	const int *sockets = listeners_of(listeners, w->index);
	const unsigned count = listeners_count(listeners);
	r = uring_open(&w->uring, sockets, count, listening, w->wake_fd, error);
	if (r < 0 && w->has_streams)
		streams_destroy(&w->streams);
	return r;
}

static void close_uring(struct worker *w)
{
	uring_close(&w->uring);
	if (w->has_streams)
		streams_destroy(&w->streams);
}

static void open_inflow(struct worker *w)
{
	const struct config *config = snapshot_config(w->settings->snapshot);
	const struct listeners *listeners = w->settings->listeners;
	struct steer_key key;

	steer_key_init(&key, w->settings->secret, config->node);
	inflow_open(&w->inflow, listeners_of(listeners, w->index), listeners_count(listeners),
		    listening_sockets(config), key.marker);
	explicit_bzero(&key, sizeof key);
}

static int begin(struct worker *w, char error[static 256])
{
	w->stats = &w->settings->stats[w->index];
	int r = open_uring(w, error);

	if (r < 0)
		return r;
	atomic_store(&w->ring_fd, uring_fd(&w->uring));
	w->running_end = &w->running;
	w->period_from_ns = clock_read_ns(CLOCK_MONOTONIC);
	w->publish_ns = w->period_from_ns + WORKER_PUBLISH_NS;
	/* The shard begins with the sockets: a BYE that came while it was being made ends its call then, not later. */
	clock_turn(&w->clock, w->settings->listening_ns, w->settings->listening_real_ns);
	clock_tell(&w->clock);
	w->clock.behind = true;
	r = make_shard(w);
	if (r < 0) {
		snprintf(error, 256, "cannot reserve the memory of shard %u for %u calls: %s", w->index,
			 share_of_calls(w), strerror(-r));
		close_uring(w);
		return r;
	}
	open_inflow(w);
	take_up_calls(w);
	return 0;
}

void *worker_main(void *worker)
{
	struct worker *w = worker;
	char error[256] = "";

	pin(w);
	int r = begin(w, error);
	snapshot_join();
	w->ready(w, r, error);
	snapshot_enter();
	if (r == 0)
		hear_of_calls(w);
	while (r == 0 && !atomic_load_explicit(&w->end, memory_order_relaxed))
		turn(w);
	if (r == 0 && w->has_streams)
		leave(w);
	snapshot_quit();
	if (r < 0)
		return NULL;
	uring_submit(&w->uring);
	shard_destroy(w->shard);
	inflow_close(&w->inflow);
	close_uring(w);
	return NULL;
}
