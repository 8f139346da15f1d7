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

#include "core/steer.h"

enum {
	DEADLINES_PER_TURN = 1000,
	HANDED_OVER_PER_TURN = 512, /* of one mailbox */
	FIRST_PORTIONS = 64,        /* so many of them before the first turn: a whole mailbox of notes */
	LOG_LINES_PER_SECOND = 1000,
};

#define NOTES_WAIT_NS   UINT64_C(1000000) /* the longest sleep while a note waits for room in a mailbox */
#define CAUGHT_UP_TURNS 3 /* without a datagram: what waited in the sockets at the start has been read */

bool command_list_give(struct command_list *list, struct command *command)
{
	struct command *newest = atomic_load_explicit(&list->newest, memory_order_relaxed);

	do
		command->next = newest;
	while (!atomic_compare_exchange_weak_explicit(&list->newest, &newest, command, memory_order_release,
						      memory_order_relaxed));
	return newest == NULL;
}

struct command *command_list_take(struct command_list *list)
{
	if (!atomic_load_explicit(&list->newest, memory_order_relaxed))
		return NULL;
	struct command *newest = atomic_exchange_explicit(&list->newest, NULL, memory_order_acquire);
	struct command *oldest = NULL;

	while (newest) {
		struct command *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

/* The shard's edge. */

static char *edge_lend(void *context, size_t size)
{
	struct worker *w = context;
	char *at = uring_lend(&w->uring, size);

	if (!at)
		w->uring.lost++;
	return at;
}

static void edge_send(void *context, const struct flow *to, char *at, size_t size)
{
	struct worker *w = context;

	uring_send(&w->uring, to->listener, &to->peer, at, size);
}

static void edge_unlend(void *context, char *at)
{
	struct worker *w = context;

	(void)at;
	uring_unlend(&w->uring);
}

static bool edge_hand_over(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram)
{
	struct worker *w = context;

	assert(shard < w->settings->workers && shard != w->index);
	if (!mailbox_push_datagram(w->out[shard], arrival, from, datagram)) {
		w->uring.lost++;
		return false;
	}
	stat_add(&w->stats->datagrams_handed_over, 1);
	return true;
}

static void edge_post(void *context, unsigned shard, const struct note *note)
{
	struct worker *w = context;

	assert(shard < w->settings->workers && shard != w->index);
	mailbox_post(w->out[shard], note);
}

static bool edge_cdr(void *context, const struct cdr *cdr)
{
	struct worker *w = context;

	return record_queue_push(w->settings->cdr_queues[w->index], cdr);
}

static uint8_t *edge_record_lend(void *context, size_t size)
{
	struct worker *w = context;

	return record_queue_lend(w->settings->cdr_queues[w->index], size);
}

static void edge_record(void *context, enum record_kind kind, size_t size)
{
	struct worker *w = context;

	record_queue_publish(w->settings->cdr_queues[w->index], kind, size);
}

static bool journal_takes(const struct worker *w)
{
	return !w->settings->intake || intake_is_taking(w->settings->intake);
}

static bool edge_record_calm(void *context)
{
	struct worker *w = context;

	return record_queue_free(w->settings->cdr_queues[w->index]) >= w->settings->cdr_queue_bytes / 8 * 7;
}

/* Ended calls keep their records until there is room, so the queue need not hold all that are up: half of it free means
 * that the billing thread keeps pace. */
static bool edge_cdr_room(void *context)
{
	struct worker *w = context;
	const struct record_queue *queue = w->settings->cdr_queues[w->index];
	const bool taking = journal_takes(w);

	if (taking && record_queue_free(queue) >= w->settings->cdr_queue_bytes / 2)
		return true;
	if (!w->no_cdr_room)
		log_printf(LOG_ERROR, "event=new_calls_refused shard=%u records_waiting=%llu reason=\"%s\"", w->index,
			   (unsigned long long)record_queue_depth(queue),
			   taking ? "the journal does not keep pace" : "the journal takes no more");
	w->no_cdr_room = true;
	return false;
}

/* Told with some room to spare, or a queue that stays half full would be told of over and over. */
static void tell_cdr_room(struct worker *w)
{
	if (!w->no_cdr_room || !journal_takes(w) ||
	    record_queue_free(w->settings->cdr_queues[w->index]) < w->settings->cdr_queue_bytes / 4 * 3)
		return;
	w->no_cdr_room = false;
	log_printf(LOG_NOTICE, "event=new_calls_taken_again shard=%u", w->index);
}

static void edge_relayed(void *context, uint64_t in_ns)
{
	struct worker *w = context;

	if (w->relayed_count < WORKER_RELAYED_MAX)
		w->relayed_ns[w->relayed_count++] = in_ns;
}

static void edge_log(void *context, int level, const char *line)
{
	struct worker *w = context;
	uint32_t suppressed;

	if (!log_wanted(level))
		return; /* nor counted against the limit */
	if (!log_limited(&w->log_site, LOG_LINES_PER_SECOND, w->clock.now_ns, &suppressed))
		return;
	if (suppressed > 0)
		log_printf(LOG_WARNING, "event=log_lines_suppressed shard=%u lines=%u", w->index, suppressed);
	log_line(level, line);
}

/* What comes in. */

/* Within a turn. */
static void read_clock_again(struct worker *w)
{
	const struct clock_reading reading = clock_read();

	clock_turn(&w->clock, reading.now_ns, clock_real_ns(&reading, w->clock.real_ns - (int64_t)w->clock.now_ns));
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

static void take_refused(void *context, struct bytes datagram)
{
	struct worker *w = context;

	shard_undeliverable(w->shard, clock_tell(&w->clock), datagram);
}

static bool take_mailbox(struct worker *w, struct mailbox *in)
{
	struct mailbox_item item;
	unsigned taken = 0;

	while (taken < HANDED_OVER_PER_TURN && mailbox_next(in, &item)) {
		taken++;
		if (item.is_note) {
			shard_note(w->shard, clock_tell(&w->clock), &item.note);
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
			left |= take_mailbox(w, w->in[i]);
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

static void tell_ends(struct worker *w)
{
	if (w->drain_asked && shard_drained(w->shard))
		tell_once(w, &w->drained);
	if (w->stop_asked && shard_stopped(w->shard))
		tell_once(w, &w->stopped);
}

/* What goes out. */

static void ring_doorbells(struct worker *w)
{
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i] && mailbox_flush(w->out[i]) && doorbell_needed(&w->workers[i].doorbell))
			uring_ring(&w->uring, atomic_load_explicit(&w->workers[i].ring_fd, memory_order_relaxed));
}

static bool notes_wait(const struct worker *w)
{
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i] && mailbox_waiting(w->out[i]) > 0)
			return true;
	return false;
}

static void count_datagrams(struct worker *w, unsigned received)
{
	if (received > 0)
		stat_add(&w->stats->datagrams_in, received);
	stat_set(&w->stats->datagrams_out, w->uring.sent);
	stat_set(&w->stats->datagrams_lost, w->uring.lost);
}

/* The submission that has just ended carried them out. */
static void measure_relayed(struct worker *w, uint64_t now_ns)
{
	for (unsigned i = 0; i < w->relayed_count; i++)
		histogram_add(&w->stats->relay_us, (now_ns - w->relayed_ns[i]) / 1000);
	w->relayed_count = 0;
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
	tell_cdr_room(w);
	uring_retry(&w->uring);
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
	if (mailboxes_empty(w))
		uring_wait(&w->uring, until_ns - now_ns);
	snapshot_enter();
	doorbell_awake(&w->doorbell);
}

/* The turn before has looked at the configuration for the last time; this one takes the newest.  By its generation: the
 * memory of one that was freed may be that of the next. */
static void take_configuration(struct worker *w)
{
	snapshot_pass();
	const struct config *config = snapshot_config(w->settings->snapshot);

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
	w->clock.behind = !all || !mailboxes_empty(w);
}

static void turn(struct worker *w)
{
	const struct clock_reading reading = clock_read();
	const uint64_t begin_ns = reading.now_ns;

	clock_turn(&w->clock, begin_ns, clock_real_ns(&reading, w->clock.real_ns - (int64_t)w->clock.now_ns));
	take_configuration(w);
	unsigned received = uring_handle(&w->uring, take_datagram, take_refused, w);
	bool left = take_mailboxes(w);
	run_commands(w);
	look_at_journal(w);
	w->more = shard_advance(w->shard, clock_tell(&w->clock), DEADLINES_PER_TURN);
	if (w->clock.behind)
		catch_up(w, received);
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
		.edge = {
			.context = w,
			.lend = edge_lend,
			.send = edge_send,
			.unlend = edge_unlend,
			.hand_over = edge_hand_over,
			.post = edge_post,
			.cdr = edge_cdr,
			.record_lend = edge_record_lend,
			.record = edge_record,
			.record_calm = edge_record_calm,
			.cdr_room = edge_cdr_room,
			.relayed = edge_relayed,
			.log = edge_log,
		},
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
	struct recovered_call call;

	if (!recovery)
		return;
	for (uint64_t i = 0; i < recovery_count(recovery); i++) {
		if (steer_worker(recovery_bucket(recovery, i), w->settings->workers) != w->index)
			continue;
		enum restore_result result = RESTORE_LEFT;
		if (recovery_call(recovery, w->settings->journal, i, &call))
			result = shard_restore(w->shard, &call, w->settings->close_calls);
		w->calls_left += result == RESTORE_LEFT;
		w->calls_ended += result == RESTORE_ENDED && !call.ended;
	}
	shard_restored(w->shard);
	for (unsigned i = 0; i < w->settings->workers; i++)
		if (w->out[i])
			mailbox_flush(w->out[i]);
}

/* All workers have taken up theirs: what those calls have of lines and credit is known before the first datagram. */
static void hear_of_calls(struct worker *w)
{
	for (unsigned i = 0; i < FIRST_PORTIONS && take_mailboxes(w); i++)
		;
}

static int begin(struct worker *w, char error[static 256])
{
	const struct listeners *listeners = w->settings->listeners;
	int r = uring_open(&w->uring, listeners_of(listeners, w->index), listeners_count(listeners), w->wake_fd, error);

	if (r < 0)
		return r;
	atomic_store(&w->ring_fd, uring_fd(&w->uring));
	w->running_end = &w->running;
	w->stats = &w->settings->stats[w->index];
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
		uring_close(&w->uring);
		return r;
	}
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
	snapshot_quit();
	if (r < 0)
		return NULL;
	uring_submit(&w->uring);
	shard_destroy(w->shard);
	uring_close(&w->uring);
	return NULL;
}
