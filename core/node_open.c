/* Puts a node together and takes it apart: see core/node_parts.h. */
#include "core/node_parts.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/machine.h"
#include "core/net/clock.h"
#include "core/net/steer_bpf.h"
#include "core/pool.h"
#include "core/steer.h"

#define CDR_QUEUE_BYTES_MIN (16u * 1024 * 1024)
#define CDR_QUEUE_BYTES_MAX (128u * 1024 * 1024)
#define CALL_BYTES          1536 /* about, of a shard's memory */
#define DESCRIPTORS_SPARE   1024 /* for all but connections */
#define CDR_BYTES_PER_CALL  256  /* of a shard's limit: a quarter of its calls may end in one burst */

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

static int open_all(struct node *n, char error[static 512])
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

int node_open(struct node *n, char error[static 512])
{
	int r = open_all(n, error);

	if (r == 0)
		tell_started(n);
	return r;
}

void node_close(struct node *n)
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
