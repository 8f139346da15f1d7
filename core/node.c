/* The node: puts data directory, sockets, steering, books, control socket and workers together, waits for signals and
 * for the control socket, and takes everything apart again.
 *
 * Start: what can fail without harm first; then the books, with what a former process has left; the workers, which take
 * its calls up before their first datagram, last, and then the thread that may bring another configuration.  Stop:
 * shards refuse new calls and end the live ones (or keep them for the next start), that thread and the workers end,
 * then the control socket, then the books are closed: every record is in the journal and every CDR in its store.
 *
 * The main thread is a reader of the configuration like the workers, inside while it handles what poll() told. */
#include "core/node.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "billing/queue.h"
#include "core/books.h"
#include "core/control/control.h"
#include "core/data_dir.h"
#include "core/loader.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/net/clock.h"
#include "core/net/crew.h"
#include "core/net/listener.h"
#include "core/net/steer_bpf.h"
#include "core/node_run.h"
#include "core/pool.h"
#include "core/quality.h"
#include "core/snapshot.h"
#include "core/steer.h"
#include "core/tally.h"

#define STOP_WAIT_NS        UINT64_C(8500000000) /* of the 10 s that a stop may take */
#define STOP_KEEPING_NS     UINT64_C(2000000000) /* calls that are kept need not end, those in set-up are refused */
#define STOP_INSIST_NS      UINT64_C(1000000000) /* a second signal sooner is the same wish, come twice */
#define STOP_WRITE_NS       UINT64_C(9500000000) /* the same for a store that fails; one that works is waited for */
#define CDR_QUEUE_BYTES_MIN (16u * 1024 * 1024)
#define CDR_QUEUE_BYTES_MAX (128u * 1024 * 1024)
#define CALL_BYTES          1536 /* about, of a shard's memory */
#define DESCRIPTORS_SPARE   1024 /* for all but connections */
#define CDR_BYTES_PER_CALL  256  /* of a shard's limit: a quarter of its calls may end in one burst */

/* One of them is being carried out, the other one waits. */
#define HUPS 2

struct node {
	struct snapshot snapshot;
	struct data_dir data;
	unsigned workers;
	bool bpf;
	bool draining, stopping, keeping;
	uint64_t drain_by_ns; /* UINT64_MAX: however long it takes */
	bool cdrs_missing;    /* not all of them are in the store at the end */
	uint64_t stop_by_ns, write_by_ns;
	uint64_t started_ns;
	uint64_t listening_ns; /* both clocks when the sockets were opened */
	int64_t listening_real_ns;
	int64_t started_us;
	char database[4096 + 8];
	uint64_t machine;
	struct shard_stats *stats; /* one a worker */
	struct tally **tallies;    /* the same */
	struct quality_book **qualities;
	size_t queue_bytes; /* of each worker's way to the journal */
	struct listeners *listeners;
	struct books *books;
	struct control *control;
	struct crew *crew;
	/* The billing thread wakes workers, from before they are there until after they have gone. */
	pthread_mutex_t awake_lock;
	struct crew *awake; /* NULL: nobody to wake */
	struct loader *loader;
	struct change hups[HUPS]; /* reloads asked for by SIGHUP */
	bool hup_given[HUPS];
	struct command *stop_commands; /* one a worker */
	int signal_fd;
	int stamp_fd; /* a socket that only keeps the kernel stamping datagrams */
};

/* core/node.h */

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

/* Start. */

static int open_signals(struct node *n)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	n->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return n->signal_fd < 0 ? -errno : 0;
}

static size_t power_of_two_from(size_t size)
{
	size_t power = 1;

	while (power < size)
		power *= 2;
	return power;
}

static uint32_t calls_max_of_shard(const struct node *n)
{
	return node_config(n)->calls_max / n->workers + 1;
}

static int make_memory(struct node *n)
{
	size_t size = power_of_two_from((size_t)calls_max_of_shard(n) * CDR_BYTES_PER_CALL);

	if (size < CDR_QUEUE_BYTES_MIN)
		size = CDR_QUEUE_BYTES_MIN;
	if (size > CDR_QUEUE_BYTES_MAX)
		size = CDR_QUEUE_BYTES_MAX;
	n->queue_bytes = size;
	n->stats = calloc(n->workers, sizeof *n->stats);
	n->tallies = calloc(n->workers, sizeof(struct tally *));
	n->qualities = calloc(n->workers, sizeof(struct quality_book *));
	n->stop_commands = calloc(n->workers, sizeof *n->stop_commands);
	if (!n->stats || !n->tallies || !n->qualities || !n->stop_commands)
		return -ENOMEM;
	for (unsigned i = 0; i < n->workers; i++) {
		n->tallies[i] = tally_reserve();
		n->qualities[i] = quality_reserve();
		if (!n->tallies[i] || !n->qualities[i])
			return -ENOMEM;
	}
	return 0;
}

/* Before the sockets are opened: what comes in the tenths of a second that loading takes would have to be handed
 * over. */
static int load_steering(const struct node *n, struct steer_bpf **ret_steer, char error[static 256])
{
	struct steer_key key;

	steer_key_init(&key, n->data.secret, node_config(n)->node);
	int r = steer_bpf_load(&key, n->workers, ret_steer, error);
	explicit_bzero(&key, sizeof key);
	return r;
}

static int open_sockets(struct node *n, char error[static 256])
{
	const struct clock_reading reading = clock_read();

	n->listening_ns = reading.now_ns;
	n->listening_real_ns = clock_real_ns(&reading, reading.least_ns);
	return listeners_open(node_config(n), n->workers, &n->listeners, error);
}

static int attach_steering(const struct node *n, const struct steer_bpf *steer, char error[static 256])
{
	int r = 0;

	/* A connection is one worker's; which calls its messages are of is not known when it comes. */
	for (unsigned i = 0; r == 0 && i < listeners_count(n->listeners); i++)
		if (node_config(n)->listens[i].transport == TRANSPORT_UDP)
			r = steer_bpf_attach(steer, listeners_of(n->listeners, 0)[i], error);
	return r;
}

/* With the program or without it the result is the same; without it the workers pass datagrams on. */
static int open_steered_sockets(struct node *n, char error[static 256])
{
	enum steering steering = node_config(n)->steering;
	bool wanted = steering == STEERING_BPF || (steering == STEERING_AUTO && n->workers > 1);
	struct steer_bpf *steer = NULL;
	char reason[256] = "";
	int loaded = wanted ? load_steering(n, &steer, reason) : 0;
	int r = open_sockets(n, error);

	if (steer && r == 0)
		loaded = attach_steering(n, steer, reason);
	n->bpf = steer && loaded == 0;
	steer_bpf_free(steer);
	if (r < 0 || loaded == 0)
		return r;
	if (steering == STEERING_BPF) {
		snprintf(error, 256, "%s", reason);
		return loaded;
	}
	log_printf(LOG_NOTICE, "event=steering by=mailbox reason=\"%s\"", reason);
	return 0;
}

/* In the billing thread. */
static void wake(void *context, unsigned shard)
{
	struct node *n = context;

	pthread_mutex_lock(&n->awake_lock);
	if (n->awake)
		crew_wake(n->awake, shard);
	pthread_mutex_unlock(&n->awake_lock);
}

static void set_awake(struct node *n, struct crew *crew)
{
	pthread_mutex_lock(&n->awake_lock);
	n->awake = crew;
	pthread_mutex_unlock(&n->awake_lock);
	for (unsigned i = 0; crew && i < n->workers; i++)
		crew_wake(crew, i); /* for what was on the disk before */
}

static int open_crew(struct node *n, char error[static 256])
{
	const struct crew_settings settings = {
		.snapshot = &n->snapshot,
		.listeners = n->listeners,
		.workers = n->workers,
		.secret = n->data.secret,
		.boot = n->data.boot,
		.calls_max = node_config(n)->calls_max,
		.stats = n->stats,
		.tallies = node_tallies(n),
		.qualities = node_qualities(n),
		.cdr_queues = books_queues(n->books),
		.cdr_queue_bytes = n->queue_bytes,
		.machine = n->machine,
		.listening_ns = n->listening_ns,
		.listening_real_ns = n->listening_real_ns,
		.intake = books_intake(n->books),
		.answer_after_sync = node_config(n)->answer_after_sync,
		.recovery = books_recovery(n->books),
		.journal = books_journal(n->books),
		.close_calls = node_config(n)->on_restart == RESTART_CLOSE,
	};
	uint64_t left, ended;
	memory_take_at_once(node_config(n)->prefault);
	int r = crew_start(&settings, &n->crew, error);
	if (r < 0)
		return r;
	crew_not_taken_up(n->crew, &left, &ended);
	books_taken_up(n->books, left, ended);
	set_awake(n, n->crew);
	return 0;
}

static void raise_memlock(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK,
		  &unlimited); /* needed only by kernels that count ring memory; refused without rights */
}

/* A connection is a descriptor, two for a moment. */
static void raise_descriptors(const struct config *config)
{
	struct rlimit limit;
	const rlim_t wanted = (rlim_t)config->connections_max + DESCRIPTORS_SPARE;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max; /* without rights as far as it goes: what is more is refused */
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_books(struct node *n, char error[static 512])
{
	const struct books_settings settings = {
		.config = node_config(n),
		.data_dir_fd = n->data.fd,
		.workers = n->workers,
		.boot = n->data.boot,
		.machine = n->machine,
		.queue_bytes = n->queue_bytes,
		.synced = node_config(n)->answer_after_sync ? wake : NULL,
		.context = n,
	};
	const int r = books_open(&settings, &n->books, error);

	/* Nobody has used the number yet but for the head of the journal's segment. */
	return r < 0 ? r : data_dir_set_boot(&n->data, node_config(n)->data_dir, books_boot(n->books), error);
}

/* No worker has the configuration yet. */
static int open_accounts(struct node *n, char error[static 256])
{
	return loader_read_tariff(atomic_load_explicit(&n->snapshot.config, memory_order_relaxed), error);
}

/* The kernel begins to stamp what comes in a little after the first socket has asked for it, and until then it stamps
 * what is read: a BYE that waited while the journal was read would be as late as that took.  So this one asks before
 * there is a listener. */
static void begin_stamps(struct node *n)
{
	const int on = 1;

	n->stamp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->stamp_fd >= 0)
		setsockopt(n->stamp_fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on); /* without it: as late as said */
}

static int start(struct node *n, char error[static 512])
{
	const struct config *config = node_config(n);

	begin_stamps(n);
	int r = data_dir_open(config->data_dir, &n->data, error);

	if (r < 0)
		return r;
	snprintf(n->database, sizeof n->database, "%s/cdr.db", config->data_dir);
	raise_memlock();
	raise_descriptors(config);
	r = open_signals(n);
	if (r == 0)
		r = machine_start(&n->machine);
	if (r == 0)
		r = make_memory(n);
	if (r < 0) {
		snprintf(error, 512, "cannot start: %s", strerror(-r));
		return r;
	}
	r = control_check(config->control, error);
	if (r == 0)
		r = open_steered_sockets(n, error);
	if (r == 0)
		r = open_books(n, error);
	if (r == 0)
		r = open_accounts(n, error);
	if (r == 0)
		r = control_open(n, &n->control, error);
	if (r == 0)
		r = open_crew(n, error);
	if (r == 0)
		r = loader_start(&n->snapshot, n->listeners, &n->loader, error);
	return r;
}

/* Memory is reserved, not taken (unless prefault is on), so the start does not fail for it; the calls would. */
static void warn_of_memory(const struct config *config)
{
	uint64_t needed = (uint64_t)config->calls_max * CALL_BYTES;
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	if (needed > machine)
		log_printf(LOG_WARNING, "event=max_calls_exceed_memory max_calls=%u needed_mib=%llu machine_mib=%llu",
			   config->calls_max, (unsigned long long)(needed >> 20), (unsigned long long)(machine >> 20));
}

static void warn(void *context, const char *sentence)
{
	(void)context;
	log_printf(LOG_WARNING, "event=configuration_warning text=\"%s\"", sentence);
}

static void tell_started(const struct node *n)
{
	const struct config *config = node_config(n);

	config_warnings(config, warn, NULL);
	warn_of_memory(config);
	for (uint32_t i = 0; i < config->listen_count; i++) {
		char address[ADDRESS_TEXT_MAX];

		address_write(&config->listens[i].address, address);
		log_printf(LOG_NOTICE, "event=listening listen=\"%s\" transport=%s address=%s", config->listens[i].name,
			   transport_name(config->listens[i].transport), address);
	}
	log_printf(LOG_NOTICE,
		   "event=started version=%s node=\"%s\" boot=%u workers=%u steering=%s max_calls=%u pid=%d",
		   RW_VERSION, config->node, n->data.boot, n->workers, n->bpf ? "bpf" : "mailbox", config->calls_max,
		   (int)getpid());
}

/* Run. */

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
	handle_completions(n); /* who asked for the drain that is over has its answer */
}

/* Stop, in whatever state the start left off. */

static void close_all(struct node *n)
{
	if (n->loader)
		loader_stop(n->loader);
	set_awake(n, NULL);
	if (n->crew)
		crew_stop(n->crew);
	if (n->control)
		control_close(n->control);
	if (n->books && !books_close(n->books, n->write_by_ns))
		n->cdrs_missing = true;
	listeners_close(n->listeners);
	if (n->stamp_fd >= 0)
		close(n->stamp_fd);
	if (n->signal_fd >= 0)
		close(n->signal_fd);
	data_dir_close(&n->data);
	for (unsigned i = 0; n->tallies && i < n->workers; i++)
		tally_release(n->tallies[i]);
	for (unsigned i = 0; n->qualities && i < n->workers; i++)
		quality_release(n->qualities[i]);
	free(n->tallies);
	free(n->qualities);
	free(n->stop_commands);
	free(n->stats);
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
	int r = start(&n, error);
	if (r == 0) {
		tell_started(&n);
		serve(&n);
	}
	close_all(&n);
	snapshot_quit();
	snapshot_free(&n.snapshot);
	if (r == 0)
		log_line(LOG_NOTICE, "event=stopped");
	return r == 0 && n.cdrs_missing ? 1 : r;
}
