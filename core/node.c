/* The node at work: what others may ask of it, signals, the control socket, the end.
 *
 * The main thread is a reader of the configuration like the workers, inside while it handles what poll() told. */
#include "core/node.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/log.h"
#include "core/net/clock.h"
#include "core/node_parts.h"
#include "core/node_run.h"

#define STOP_WAIT_NS    UINT64_C(8500000000) /* of the 10 s that a stop may take */
#define STOP_KEEPING_NS UINT64_C(2000000000) /* calls that are kept need not end, those in set-up are refused */
#define STOP_INSIST_NS  UINT64_C(1000000000) /* a second signal sooner is the same wish, come twice */
#define STOP_WRITE_NS   UINT64_C(9500000000) /* the same for a store that fails; one that works is waited for */

const struct config *node_config(const struct node *n)
{
	return snapshot_config(&n->snapshot);
}

unsigned node_shard_count(const struct node *n)
{
	return n->workers;
}

uint16_t node_boot(const struct node *n)
{
	return n->data.boot;
}

int64_t node_started_us(const struct node *n)
{
	return n->started_us;
}

uint64_t node_uptime_s(const struct node *n)
{
	return (clock_read_ns(CLOCK_MONOTONIC) - n->started_ns) / 1000000000;
}

bool node_steering_by_bpf(const struct node *n)
{
	return n->bpf;
}

bool node_stopping(const struct node *n)
{
	return n->stopping;
}

const char *node_database_path(const struct node *n)
{
	return n->database;
}

void node_shard_stats(const struct node *n, unsigned shard, struct shard_stats *ret_stats)
{
	static_assert(sizeof *ret_stats % sizeof(uint64_t) == 0, "nothing but counters");
	const uint64_t *from = (const uint64_t *)&n->stats[shard];
	uint64_t *to = (uint64_t *)ret_stats;

	for (size_t i = 0; i < sizeof *ret_stats / sizeof *to; i++)
		to[i] = stat_get(&from[i]);
	/* Read after what was queued, so it may be ahead of it. */
	ret_stats->cdr_written = books_written(n->books, shard);
	if (ret_stats->cdr_queued > ret_stats->cdr_written)
		ret_stats->cdr_waiting += ret_stats->cdr_queued - ret_stats->cdr_written;
}

uint64_t node_now_ns(const struct node *n)
{
	(void)n;
	return clock_read_ns(CLOCK_MONOTONIC);
}

struct tallies node_tallies(const struct node *n)
{
	return (struct tallies){ n->tallies, n->workers };
}

struct quality_books node_qualities(const struct node *n)
{
	return (struct quality_books){ n->qualities, n->workers };
}

void node_books(const struct node *n, struct books_figures *ret_figures)
{
	books_figures(n->books, ret_figures);
}

void node_submit(struct node *n, unsigned shard, struct command *command)
{
	crew_submit(n->crew, shard, command);
}

int node_completion_fd(const struct node *n)
{
	return crew_completion_fd(n->crew);
}

struct command *node_completed(struct node *n)
{
	struct command *command;

	do
		command = crew_completed(n->crew);
	while (command && command->owner == n); /* a stop command of ours */
	return command;
}

void node_change(struct node *n, struct change *change)
{
	loader_give(n->loader, change);
}

void node_drain(struct node *n, uint32_t timeout_s)
{
	n->drain_by_ns = timeout_s > 0 ? clock_read_ns(CLOCK_MONOTONIC) + timeout_s * UINT64_C(1000000000) : UINT64_MAX;
	log_printf(LOG_NOTICE, "event=draining timeout_s=%u", timeout_s);
	n->draining = true;
}

bool node_draining(const struct node *n)
{
	return n->draining;
}

uint32_t node_drain_left_s(const struct node *n)
{
	uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC);

	if (!n->draining || n->drain_by_ns == UINT64_MAX || n->drain_by_ns <= now_ns)
		return 0;
	return (uint32_t)((n->drain_by_ns - now_ns + 999999999) / 1000000000);
}

void node_stop(struct node *n, bool keep_calls)
{
	if (n->stopping)
		return;
	n->stopping = true;
	n->keeping = keep_calls;
	n->stop_by_ns = clock_read_ns(CLOCK_MONOTONIC) + (keep_calls ? STOP_KEEPING_NS : STOP_WAIT_NS);
	n->write_by_ns = clock_read_ns(CLOCK_MONOTONIC) + STOP_WRITE_NS;
	for (unsigned i = 0; i < n->workers; i++) {
		n->stop_commands[i] = (struct command){ .kind = COMMAND_STOP, .keep_calls = keep_calls, .owner = n };
		node_submit(n, i, &n->stop_commands[i]);
	}
	log_printf(LOG_NOTICE, "event=stopping%s", keep_calls ? " calls=kept" : "");
}

static void handle_changes(struct node *n)
{
	struct change *change;

	while ((change = loader_done(n->loader))) {
		if (change->owner != n) {
			control_change_done(n->control, change);
			continue;
		}
		free(change->warnings);
		n->hup_given[change - n->hups] = false;
	}
}

/* A place for one more, -1: both are taken. */
static int free_hup(const struct node *n)
{
	for (int i = 0; i < HUPS; i++)
		if (!n->hup_given[i])
			return i;
	return -1;
}

/* What has not begun yet will read what the signal is about. */
static bool hup_waits(const struct node *n)
{
	for (unsigned i = 0; i < HUPS; i++)
		if (n->hup_given[i] && !atomic_load_explicit(&n->hups[i].begun, memory_order_relaxed))
			return true;
	return false;
}

static void reload(struct node *n)
{
	int hup;

	if (hup_waits(n))
		return;
	while ((hup = free_hup(n)) < 0)
		handle_changes(n); /* both have begun, so one of them is done */
	n->hup_given[hup] = true;
	n->hups[hup] = (struct change){ .kind = CHANGE_RELOAD, .owner = n };
	node_change(n, &n->hups[hup]);
}

/* A terminal's Ctrl-C reaches the switch and the script that started it, which passes it on. */
static bool asked_again(const struct node *n)
{
	uint64_t wait_ns = n->keeping ? STOP_KEEPING_NS : STOP_WAIT_NS;

	return clock_read_ns(CLOCK_MONOTONIC) + wait_ns >= n->stop_by_ns + STOP_INSIST_NS;
}

static void handle_signals(struct node *n)
{
	struct signalfd_siginfo info;

	while (read(n->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			if (n->stopping && asked_again(n))
				n->stop_by_ns = 0; /* no more patience with calls, but with their CDRs */
			node_stop(n, false);
			break;
		case SIGHUP:
			reload(n);
			break;
		default:
			break; /* SIGUSR1: stderr needs no reopening */
		}
	}
}

static void handle_completions(struct node *n)
{
	struct command *command;

	while ((command = node_completed(n)))
		control_command_done(n->control, command);
}

static bool stop_is_over(struct node *n)
{
	if (!n->stopping)
		return false;
	if (crew_stopped(n->crew))
		return true;
	if (clock_read_ns(CLOCK_MONOTONIC) < n->stop_by_ns)
		return false;
	const bool ended = crew_silent(n->crew);
	log_printf(LOG_WARNING, "event=stop_not_awaited reason=\"%s\"",
		   ended ? "messages were still waiting for their peers" : "calls were still ending");
	n->cdrs_missing |= !ended;
	return true;
}

static void end_drain(struct node *n)
{
	if (!n->draining || n->stopping)
		return;
	if (crew_drained(n->crew))
		log_line(LOG_NOTICE, "event=drained");
	else if (clock_read_ns(CLOCK_MONOTONIC) >= n->drain_by_ns)
		log_line(LOG_WARNING, "event=drain_timeout reason=\"calls were still up\"");
	else
		return;
	node_stop(n, false);
}

static int wait_ms(const struct node *n)
{
	uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC);

	if (n->stopping)
		return 100;
	if (!n->draining || n->drain_by_ns == UINT64_MAX)
		return -1;
	uint64_t left_ms = n->drain_by_ns > now_ns ? (n->drain_by_ns - now_ns) / 1000000 + 1 : 0;
	return left_ms < 60000 ? (int)left_ms : 60000;
}

static void serve(struct node *n)
{
	struct pollfd fds[] = {
		{ .fd = n->signal_fd, .events = POLLIN },
		{ .fd = node_completion_fd(n), .events = POLLIN },
		{ .fd = loader_fd(n->loader), .events = POLLIN },
		{ .fd = control_fd(n->control), .events = POLLIN },
	};

	while (!stop_is_over(n)) {
		int ready = poll(fds, sizeof fds / sizeof fds[0], wait_ms(n));

		snapshot_enter();
		if (ready > 0 && fds[0].revents)
			handle_signals(n);
		if (ready > 0 && fds[1].revents)
			handle_completions(n);
		if (ready > 0 && fds[2].revents)
			handle_changes(n);
		if (ready > 0 && fds[3].revents)
			control_handle(n->control);
		end_drain(n);
		snapshot_leave();
	}
	snapshot_enter();
	handle_completions(n); /* who asked for the drain that is over has its answer */
	snapshot_leave();
}

int node_run(struct config *config, char error[static 512])
{
	struct node n = {
		.data = { .fd = -1, .lock_fd = -1 },
		.workers = config->workers > 0 ? config->workers : crew_usable_cores(),
		.started_ns = clock_read_ns(CLOCK_MONOTONIC),
		.started_us = (int64_t)(clock_read_ns(CLOCK_REALTIME) / 1000),
		.signal_fd = -1,
		.stamp_fd = -1,
		.awake_lock = PTHREAD_MUTEX_INITIALIZER,
	};

	snapshot_init(&n.snapshot, config);
	snapshot_join();
	if (n.workers > CONFIG_WORKERS_MAX)
		n.workers = CONFIG_WORKERS_MAX;
	int r = node_open(&n, error);
	if (r == 0)
		serve(&n);
	node_close(&n);
	snapshot_quit();
	snapshot_free(&n.snapshot);
	if (r == 0)
		log_line(LOG_NOTICE, "event=stopped");
	return r == 0 && n.cdrs_missing ? 1 : r;
}
