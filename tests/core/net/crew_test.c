/* core/net: the workers, their rings, mailboxes and commands, around a shard that echoes.  A plain program, so that it
 * runs under the sanitizers; exit status 77, skipped, where io_uring is not permitted. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/net/clock.h"
#include "core/net/crew.h"
#include "core/shard.h"
#include "tests/core/net/somewhere.h"

enum { SKIPPED = 77, WORKERS = 3, PEERS = 16, ROUNDS = 50, NOTES = 20000, LARGEST = 17200, CALLS_MAX = 3 * 100 + 2 };
enum { RESTORED = 2 }; /* a kind of note */

static void check(bool ok, const char *format, ...)
{
	va_list arguments;

	if (ok)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

static void wait_until(_Atomic uint64_t *value, uint64_t least, const char *what)
{
	for (unsigned tries = 0; atomic_load(value) < least; tries++) {
		check(tries < 10000, "%s: %lu of %lu", what, (unsigned long)atomic_load(value), (unsigned long)least);
		usleep(1000);
	}
}

/* The shard: answers every datagram with its own bytes.  The first character says which shard it belongs to; 'n' makes
 * it send notes to the next shard, whose last one is answered to all; 'u' is sent to where there is no way. */
struct shard {
	struct shard_settings settings;
	const struct config *config;
	uint64_t now_ns;  /* of the latest input */
	uint64_t turn_ns; /* of the worker's latest turn */
	uint64_t deadline_ns;
	uint64_t notes_seen;
	unsigned restored_seen; /* shards of which it was told what their restored calls have */
	bool drained, stopped;
	struct flow unreachable_from; /* who sent the latest 'u' */
};

static _Atomic uint64_t configured[WORKERS]; /* the newest generation each has */
static _Atomic uint64_t calls_max_shared, notes_in_order, deadlines, truncated_seen;

static _Thread_local bool is_late; /* this thread's first turn is held back */
static _Atomic uint64_t late_may_go_on;

int shard_create(const struct shard_settings *settings, struct shard **ret_shard)
{
	struct shard *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	is_late = settings->shard == WORKERS - 1;
	s->settings = *settings;
	s->config = settings->config;
	atomic_fetch_add(&calls_max_shared, settings->calls_max);
	s->now_ns = settings->now_ns;
	s->deadline_ns = settings->now_ns + 1000000;
	*ret_shard = s;
	return 0;
}

void shard_destroy(struct shard *s)
{
	free(s);
}

void __real_snapshot_enter(void);
void __wrap_snapshot_enter(void);

/* The last worker is ready, and has not looked at the configuration since. */
void __wrap_snapshot_enter(void)
{
	if (is_late)
		wait_until(&late_may_go_on, 1, "the first turn");
	is_late = false;
	__real_snapshot_enter();
}

static void see_time(struct shard *s, uint64_t now_ns)
{
	check(now_ns >= s->now_ns, "time ran backwards by %lu ns", (unsigned long)(s->now_ns - now_ns));
	s->now_ns = now_ns;
}

/* Of two sockets, or two workers, the later datagram may be read first; none comes from the future. */
static void see_arrival(struct shard *s, const struct arrival *arrival)
{
	check(arrival->now_ns <= clock_read_ns(CLOCK_MONOTONIC), "a datagram of the future");
	if (arrival->now_ns > s->now_ns)
		s->now_ns = arrival->now_ns;
}

static void echo(struct shard *s, const struct flow *to, struct bytes datagram)
{
	const struct edge *e = &s->settings.edge;
	struct flow back = *to;

	back.pinned = flow_is_reliable(to);                      /* an answer */
	check(s->config->listen_count == 3, "no configuration"); /* nor one that was freed: the address sanitizer */
	char *at = e->lend(e->context, 20000);

	check(at != NULL, "no room to send");
	e->unlend(e->context, at);
	at = e->lend(e->context, datagram.size);
	check(at != NULL, "no room to send");
	memcpy(at, datagram.at, datagram.size);
	e->send(e->context, &back, at, datagram.size);
}

static void send_notes(struct shard *s)
{
	unsigned to = (s->settings.shard + 1u) % WORKERS;

	for (uint64_t i = 0; i < NOTES; i++)
		s->settings.edge.post(s->settings.edge.context, to,
				      &(struct note){ .kind = 1, .from = s->settings.shard, .a = i });
}

#define BUSY      "0busy"
#define MEANWHILE "0meanwhile"

static _Atomic uint64_t meanwhile_ns; /* those were sent after this */

/* "0busy" takes shard 0 long; what came meanwhile has come meanwhile, and not when that turn began. */
static void look_at_arrival(const struct arrival *arrival, struct bytes datagram)
{
	if (bytes_equal(datagram, BYTES(BUSY)))
		usleep(40000);
	else if (datagram.size > 5 && memcmp(datagram.at + 1, "hold ", 5) == 0)
		usleep(100000);
	else if (bytes_equal(datagram, BYTES(MEANWHILE)))
		check(arrival->now_ns + 2000000 >= atomic_load(&meanwhile_ns), "it came %ld us before it was sent",
		      (long)(atomic_load(&meanwhile_ns) - arrival->now_ns) / 1000);
}

/* What came by a connection of that worker last. */
static struct flow stream_from[WORKERS];
static _Atomic uint64_t streams_seen, floods_seen;

enum {
	FLOOD = 512,
	FLOOD_BYTES = 2000,
	BEHIND_FLOOD = 40
}; /* more than a mailbox holds, and less than may wait for one peer */

static const struct flow *stream_of(unsigned worker)
{
	check(atomic_load(&streams_seen) > 0, "it has none"); /* and so what that worker has written */
	return &stream_from[worker];
}

static void send_on(struct shard *s, const struct flow *to, char fill, size_t size)
{
	const struct edge *e = &s->settings.edge;
	char *at = e->lend(e->context, size);

	check(at != NULL, "no room to send");
	memset(at, fill, size);
	e->send(e->context, to, at, size);
}

/* "f2": on the connection of worker 2; "g2": a quarter of it. */
static void flood(struct shard *s, struct bytes datagram)
{
	for (unsigned i = 0; i < (datagram.at[0] == 'f' ? FLOOD : FLOOD / 4); i++)
		send_on(s, stream_of((unsigned)(datagram.at[1] - '0')), 'F', FLOOD_BYTES);
	atomic_fetch_add(&floods_seen, 1);
}

/* From a loopback address there is no way to another host. */
static void send_nowhere(struct shard *s, const struct flow *from, struct bytes datagram)
{
	struct flow nowhere = *from;

	s->unreachable_from = *from;
	check(address_read_host(bytes_of("192.0.2.1"), &nowhere.peer), "no address");
	nowhere.peer.port = 9;
	echo(s, &nowhere, datagram);
}

/* "p2": on the connection of worker 2, which has ended, and on no other. */
static void send_pinned(struct shard *s, const struct flow *from, struct bytes datagram)
{
	struct flow gone = *stream_of((unsigned)(datagram.at[1] - '0'));

	gone.pinned = true;
	s->unreachable_from = *from;
	echo(s, &gone, datagram);
}

/* Each turn is told before all else that it does with the shard. */
void shard_turn(struct shard *s, uint64_t now_ns, unsigned queue_permille, bool slept)
{
	(void)slept;
	check(now_ns >= s->turn_ns, "a turn before the last one");
	check(queue_permille <= 1100, "a queue much fuller than full");
	s->turn_ns = now_ns;
}

void shard_demand(const struct shard *s, uint64_t *ret_asked, uint64_t *ret_taken)
{
	(void)s;
	*ret_asked = *ret_taken = 0;
}

void shard_datagram(struct shard *s, const struct arrival *arrival, const struct flow *from, struct bytes datagram,
		    bool truncated)
{
	see_arrival(s, arrival);
	check(s->restored_seen == WORKERS - 1, "a datagram before the others' restored calls");
	if (truncated) {
		atomic_fetch_add(&truncated_seen, 1);
		return;
	}
	if (datagram.size == 0)
		return;
	if (datagram.at[0] == 'c') {
		stream_from[s->settings.shard] = *from;
		atomic_fetch_add(&streams_seen, 1 + s->settings.shard);
		return;
	}
	unsigned owner = (unsigned)(datagram.at[0] - '0');
	if (datagram.at[0] == 'n')
		send_notes(s);
	else if (datagram.at[0] == 'u')
		send_nowhere(s, from, datagram);
	else if (datagram.at[0] == 'p')
		send_pinned(s, from, datagram);
	else if (datagram.at[0] == 'f' || datagram.at[0] == 'g')
		flood(s, datagram);
	else if (owner < WORKERS && owner != s->settings.shard)
		check(s->settings.edge.hand_over(s->settings.edge.context, owner, arrival, from, datagram),
		      "mailbox full");
	else {
		look_at_arrival(arrival, datagram);
		echo(s, from, datagram);
	}
}

void shard_undeliverable(struct shard *s, uint64_t now_ns, struct bytes datagram)
{
	see_time(s, now_ns);
	if (datagram.at[0] == 'F')
		return; /* its peer does not read */
	check(datagram.at[0] == 'u' || datagram.at[0] == 'p', "another datagram was refused");
	echo(s, &s->unreachable_from, datagram);
}

void shard_connection_lost(struct shard *s, uint64_t now_ns, uint32_t connection, uint32_t generation)
{
	(void)connection;
	(void)generation;
	see_time(s, now_ns);
}

void shard_datagram_handed_over(struct shard *s, const struct arrival *arrival, const struct flow *from,
				struct bytes datagram)
{
	see_arrival(s, arrival);
	check(datagram.at[0] - '0' == s->settings.shard, "handed to the wrong shard");
	look_at_arrival(arrival, datagram);
	echo(s, from, datagram);
}

bool shard_advance(struct shard *s, uint64_t now_ns, unsigned limit)
{
	(void)limit;
	see_time(s, now_ns);
	if (now_ns < s->deadline_ns)
		return false;
	atomic_fetch_add(&deadlines, 1);
	s->deadline_ns = now_ns + 1000000;
	return false;
}

uint64_t shard_next_ns(const struct shard *s)
{
	return s->deadline_ns;
}

void shard_note(struct shard *s, uint64_t now_ns, const struct note *note)
{
	see_time(s, now_ns);
	if (note->kind == RESTORED) {
		s->restored_seen++;
		return;
	}
	if (note->kind == NOTE_CONNECTION_LOST)
		return;
	check(note->a == s->notes_seen++, "a note is lost or out of order");
	atomic_fetch_add(&notes_in_order, 1);
}

/* The last message of all: that worker sends it by a connection of another, which is busy until it has to end. */
static _Atomic bool last_words;
static _Atomic uint64_t words_said;
static unsigned last_from, last_by;
enum { LAST_BYTES = 2000 };

static void say_last_words(struct shard *s)
{
	if (s->settings.shard == last_from) {
		usleep(20000); /* the other has begun */
		send_on(s, stream_of(last_by), 'L', LAST_BYTES);
		atomic_store(&words_said, 1);
	}
	if (s->settings.shard == last_by) {
		for (unsigned tries = 0; atomic_load(&words_said) == 0 && tries < 5000; tries++)
			usleep(1000);
		usleep(100000);
	}
}

/* Done at the third portion. */
bool shard_command(struct shard *s, uint64_t now_ns, struct command *command)
{
	see_time(s, now_ns);
	if (atomic_load(&last_words) && command->cursor == 0)
		say_last_words(s);
	check(command->shard == s->settings.shard, "a command of another shard");
	if (command->kind == COMMAND_DRAIN)
		s->drained = true;
	if (command->kind == COMMAND_STOP)
		s->stopped = true;
	return ++command->cursor == 3;
}

void shard_configure(struct shard *s, const struct config *new)
{
	check(new->generation > atomic_load(&configured[s->settings.shard]), "no newer one");
	s->config = new;
	atomic_store(&configured[s->settings.shard], new->generation);
}

bool shard_drained(const struct shard *s)
{
	return s->drained;
}

bool shard_stopped(const struct shard *s)
{
	return s->stopped;
}

enum restore_result shard_restore(struct shard *s, const struct recovered_call *call, bool close)
{
	(void)s;
	(void)call;
	(void)close;
	return RESTORE_TAKEN;
}

/* The last is late: the others wait for it. */
void shard_restored(struct shard *s)
{
	if (s->settings.shard == WORKERS - 1)
		usleep(20000);
	for (unsigned to = 0; to < WORKERS; to++)
		if (to != s->settings.shard)
			s->settings.edge.post(s->settings.edge.context, to,
					      &(struct note){ .kind = RESTORED, .from = s->settings.shard });
}

void shard_checkpoint(struct shard *s, uint64_t number)
{
	(void)s;
	(void)number;
}

void shard_synced(struct shard *s, uint64_t now_ns, uint64_t serial_end)
{
	see_time(s, now_ns);
	(void)serial_end;
}

void shard_publish_stats(struct shard *s)
{
	stat_set(&s->settings.stats->timers_armed, 1);
}

/* The world around. */

static struct config config; /* for the listeners */
static struct config *loaded;
static struct snapshot snapshot;
static struct listen_config *listens; /* two of datagrams, one of connections */
static struct listeners *listeners;
static struct shard_stats stats[WORKERS];
static struct record_queue *queues[WORKERS];
static const uint8_t secret[32];
static struct recovery *recovery; /* of no calls */
static struct crew *crew;

static const struct config *load(uint16_t port)
{
	char path[] = "/tmp/ringwheel-crew-XXXXXX", error[512];
	int fd = mkstemp(path);

	check(fd >= 0, "no file");
	config_free(loaded);
	dprintf(fd,
		"max_message = 16384\n"
		"listen \"four\" { transport = \"udp\" address = \"127.0.0.1\" port = %u }\n"
		"listen \"six\" { transport = \"udp\" address = \"::1\" port = %u }\n"
		"listen \"stream\" { transport = \"tcp\" address = \"127.0.0.1\" port = %u }\n"
		"mapping_gateway \"known\" { address = \"127.0.0.1\" }\n",
		port, port, port);
	close(fd);
	check(config_load(path, &loaded, error) == 0, "%s", error);
	unlink(path);
	config = *loaded;
	config.generation = 0;
	listens = loaded->listens;
	return &config;
}

/* A block of its own, so that a reader of one that was freed is seen. */
static struct config *another_config(void)
{
	struct config *c = malloc(sizeof *c);

	check(c != NULL, "no memory");
	*c = config;
	c->generation = ++config.generation;
	return c;
}

static void start(void)
{
	const size_t size = 1 << 20;
	struct crew_settings settings = {
		.snapshot = &snapshot,
		.listeners = listeners,
		.workers = WORKERS,
		.secret = secret,
		.boot = 1,
		.calls_max = CALLS_MAX,
		.listening_ns = clock_read_ns(CLOCK_MONOTONIC),
		.listening_real_ns = (int64_t)clock_read_ns(CLOCK_REALTIME),
		.stats = stats,
		.cdr_queues = queues,
		.cdr_queue_bytes = size,
		.recovery = recovery,
	};
	char error[256];

	for (unsigned i = 0; i < WORKERS; i++) {
		void *memory = mmap(NULL, size + record_queue_header_bytes(), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(memory != MAP_FAILED, "no memory");
		queues[i] =
			record_queue_init(memory, size + record_queue_header_bytes(), (struct record_queue_owner){ 0 });
	}
	snapshot_init(&snapshot, another_config());
	int r = crew_start(&settings, &crew, error);
	if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
		fprintf(stderr, "skipped: %s\n", error);
		exit(SKIPPED);
	}
	check(r == 0, "%s", error);
}

static int peer(unsigned listener)
{
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&listens[listener].address, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
	int buffer = 4 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
	check(fd >= 0 && connect(fd, (struct sockaddr *)&sa, size) == 0, "no peer");
	return fd;
}

static void expect_echo(int fd, const char *sent, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static char text[70000];

	check(poll(&p, 1, 5000) == 1, "no echo of %zu bytes", size);
	check(recv(fd, text, sizeof text, 0) == (ssize_t)size && memcmp(text, sent, size) == 0,
	      "another echo of %zu bytes", size);
}

typedef size_t make_datagram(unsigned n, char *text);

/* Those of a burst, in any order: where a queue of the kernel is full for a moment, the next one may overtake. */
static void expect_echoes(int fd, unsigned count, make_datagram *make)
{
	static char got[70000], wanted[70000];
	bool *seen = calloc(count, sizeof *seen);

	check(seen != NULL, "no memory");
	for (unsigned i = 0; i < count; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		unsigned n = 0;

		check(poll(&p, 1, 5000) == 1, "%u echoes of %u", i, count);
		ssize_t size = recv(fd, got, sizeof got, 0);
		while (n < count &&
		       (seen[n] || (ssize_t)make(n, wanted) != size || memcmp(got, wanted, (size_t)size) != 0))
			n++;
		check(n < count, "an echo of nothing, or a second one");
		seen[n] = true;
	}
	free(seen);
}

static uint64_t total(size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += stat_get((const uint64_t *)((const char *)&stats[i] + offset));
	return sum;
}

#define TOTAL(name) total(offsetof(struct shard_stats, name))

/* The first turn of a worker is late: others have handed it datagrams, and the configuration that its shard was made
 * with has been replaced and freed. */
static void a_configuration_changes_before_the_first_turn(void)
{
	const char text[] = { '0' + WORKERS - 1, 'x' };
	int fds[PEERS];

	for (unsigned i = 0; i < PEERS; i++) {
		fds[i] = peer(i % 2);
		check(send(fds[i], text, sizeof text, 0) == sizeof text, "cannot send");
	}
	for (unsigned tries = 0; TOTAL(datagrams_handed_over) == 0; tries++) {
		check(tries < 5000, "nothing was handed over");
		usleep(1000);
	}
	struct config *former = snapshot_replace(&snapshot, another_config());
	explicit_bzero(former, sizeof *former);
	free(former);
	atomic_store(&late_may_go_on, 1);
	for (unsigned i = 0; i < PEERS; i++) {
		expect_echo(fds[i], text, sizeof text);
		close(fds[i]);
	}
}

/* Each shard's datagrams come back whatever worker they reach, over both address families. */
static void every_datagram_is_echoed(void)
{
	int fds[PEERS];
	char text[WORKERS][64];

	for (unsigned i = 0; i < PEERS; i++)
		fds[i] = peer(i % 2);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned owner = 0; owner < WORKERS; owner++) {
			int size = snprintf(text[owner], sizeof text[owner], "%u round %u", owner, round);

			for (unsigned i = 0; i < PEERS; i++)
				check(send(fds[i], text[owner], (size_t)size, 0) == size, "cannot send");
			for (unsigned i = 0; i < PEERS; i++)
				expect_echo(fds[i], text[owner], (size_t)size);
		}
	}
	for (unsigned i = 0; i < PEERS; i++)
		close(fds[i]);
	check(TOTAL(datagrams_handed_over) > 0, "nothing was handed over");
	check(TOTAL(datagrams_lost) == 0, "something was lost");
}

static void what_comes_during_a_long_turn_keeps_its_time(void)
{
	int fds[PEERS];

	for (unsigned i = 0; i < PEERS; i++)
		fds[i] = peer(i % 2);
	check(send(fds[0], BUSY, sizeof BUSY - 1, 0) > 0, "cannot send");
	usleep(20000);
	atomic_store(&meanwhile_ns, clock_read_ns(CLOCK_MONOTONIC));
	for (unsigned i = 1; i < PEERS; i++)
		check(send(fds[i], MEANWHILE, sizeof MEANWHILE - 1, 0) > 0, "cannot send");
	expect_echo(fds[0], BUSY, sizeof BUSY - 1);
	for (unsigned i = 1; i < PEERS; i++)
		expect_echo(fds[i], MEANWHILE, sizeof MEANWHILE - 1);
	for (unsigned i = 0; i < PEERS; i++)
		close(fds[i]);
}

static void send_burst(int fd, unsigned count, make_datagram *make)
{
	static char text[70000];

	for (unsigned n = 0; n < count; n++) {
		size_t size = make(n, text);

		check(send(fd, text, size, 0) == (ssize_t)size, "cannot send");
	}
}

static size_t make_numbered(unsigned n, char *text)
{
	return (size_t)sprintf(text, "x burst %u", n);
}

/* More at once than there are receive buffers and submission entries. */
static void a_burst_larger_than_all_buffers_is_echoed(void)
{
	enum { BURST = 2000 };
	int fd = peer(0);

	send_burst(fd, BURST, make_numbered);
	expect_echoes(fd, BURST, make_numbered);
	close(fd);
}

static size_t make_without_way(unsigned n, char *text)
{
	enum { SIZE = 16000 };

	memset(text, 'a' + (int)n, SIZE);
	text[0] = 'u';
	return SIZE;
}

/* A datagram without a way is lost and counted, and its shard is told with all its bytes. */
static void what_has_no_way_comes_back_to_the_shard_whole(void)
{
	enum { BURST = 8 };
	int fd = peer(0);
	uint64_t lost = TOTAL(datagrams_lost);

	send_burst(fd, BURST, make_without_way);
	expect_echoes(fd, BURST, make_without_way);
	for (unsigned tries = 0; TOTAL(datagrams_lost) < lost + BURST; tries++) {
		check(tries < 5000, "not counted");
		usleep(1000);
	}
	close(fd);
}

static void sizes_from_nothing_to_the_largest(void)
{
	static char text[65000];
	int fd = peer(0);

	memset(text, 'x', sizeof text);
	check(send(fd, text, 0, 0) == 0, "cannot send");
	for (size_t size = 1; size <= LARGEST; size = size * 2 < LARGEST ? size * 2 : size + LARGEST / 2) {
		check(send(fd, text, size, 0) == (ssize_t)size, "cannot send");
		expect_echo(fd, text, size);
	}
	check(send(fd, text, LARGEST, 0) == LARGEST, "cannot send");
	expect_echo(fd, text, LARGEST);
	check(send(fd, text, sizeof text, 0) == (ssize_t)sizeof text, "cannot send");
	check(send(fd, text, 1, 0) == 1, "cannot send");
	expect_echo(fd, text, 1);
	check(truncated_seen == 1, "a cut datagram was not seen as one");
	close(fd);
}

/* More notes than a mailbox holds, from a worker that has nothing else to do afterwards. */
static void notes_arrive_although_the_mailbox_is_full(void)
{
	int fd = peer(0);

	check(send(fd, "n", 1, 0) == 1, "cannot send");
	wait_until(&notes_in_order, NOTES, "notes");
	close(fd);
}

static void deadlines_fire_without_traffic(void)
{
	wait_until(&deadlines, atomic_load(&deadlines) + 300, "deadlines");
}

static void take_back(unsigned count)
{
	struct pollfd p = { .fd = crew_completion_fd(crew), .events = POLLIN };

	while (count > 0) {
		struct command *command = crew_completed(crew);

		if (!command) {
			check(poll(&p, 1, 5000) == 1, "a command did not come back");
			continue;
		}
		check(command->cursor == 3, "a command came back unfinished");
		count--;
	}
}

static void commands_come_back_when_done(void)
{
	enum { COMMANDS = 300 };
	static struct command commands[COMMANDS];

	for (unsigned i = 0; i < COMMANDS; i++) {
		commands[i] = (struct command){ .kind = COMMAND_CALLS_LIST };
		crew_submit(crew, i % WORKERS, &commands[i]);
	}
	take_back(COMMANDS);
}

/* Workers that are at work and workers that sleep; all have the newest one when they do something. */
static void configurations_change_under_traffic(void)
{
	enum { CHANGES = 300 };
	int fd = peer(0);
	char text[WORKERS][32];

	for (unsigned i = 0; i < CHANGES; i++) {
		for (unsigned owner = 0; owner < WORKERS; owner++) {
			int size = snprintf(text[owner], sizeof text[owner], "%u change %u", owner, i);

			check(send(fd, text[owner], (size_t)size, 0) == size, "cannot send");
		}
		free(snapshot_replace(&snapshot, another_config()));
		for (unsigned owner = 0; owner < WORKERS; owner++) {
			struct pollfd p = { .fd = fd, .events = POLLIN };
			char echoed[64];

			check(poll(&p, 1, 5000) == 1 && recv(fd, echoed, sizeof echoed, 0) > 0, "no echo");
		}
	}
	for (unsigned i = 0; i < WORKERS; i++)
		wait_until(&configured[i], config.generation, "generation");
	close(fd);
}

static int tos_of_echo(int fd, bool six)
{
	char text[16], room[256];
	struct iovec iov = { text, sizeof text };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	check(send(fd, "0", 1, 0) == 1 && poll(&p, 1, 5000) == 1 && recvmsg(fd, &m, 0) == 1, "no echo");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		int value;

		if (!six && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			return *(unsigned char *)CMSG_DATA(c);
		if (six && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			return memcpy(&value, CMSG_DATA(c), sizeof value), value;
	}
	return -1;
}

/* SS_QOS_SIGNAL, of a switch that is running. */
static void the_tos_byte_changes_on_every_socket(void)
{
	static const int values[] = { 0xa0, 0x68, 0 };
	const int on = 1;
	int four = peer(0), six = peer(1);

	check(setsockopt(four, IPPROTO_IP, IP_RECVTOS, &on, sizeof on) == 0, "no IP_RECVTOS");
	check(setsockopt(six, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on) == 0, "no IPV6_RECVTCLASS");
	for (unsigned i = 0; i < 3; i++) {
		check(listeners_set_tos(listeners, (uint32_t)values[i]) == 0, "not set");
		int seen_four = tos_of_echo(four, false), seen_six = tos_of_echo(six, true);

		check(seen_four == values[i] && seen_six == values[i], "TOS 0x%x and 0x%x, not 0x%x", seen_four,
		      seen_six, values[i]);
	}
	close(four);
	close(six);
}

/* ---- connections ---- */

#define REST " sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"

static int stream_peer(void)
{
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&listens[2].address, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM, 0);

	check(fd >= 0 && connect(fd, (struct sockaddr *)&sa, size) == 0, "no peer");
	return fd;
}

static void say(int fd, const char *text)
{
	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "cannot write");
}

/* One connection of each of the first two workers that get one; the kernel chooses. */
static void connect_two(int fds[2], unsigned workers[2])
{
	unsigned have = 0;

	for (unsigned tries = 0; have < 2; tries++) {
		const uint64_t before = atomic_load(&streams_seen);

		check(tries < 200, "all connections are one worker's");
		fds[have] = stream_peer();
		say(fds[have], "c" REST);
		wait_until(&streams_seen, before + 1, "a connection");
		workers[have] = (unsigned)(atomic_load(&streams_seen) - before - 1);
		if (have == 0 || workers[1] != workers[0])
			have++;
		else
			close(fds[have]);
	}
}

static void expect_bytes(int fd, const char *what, size_t size, char first)
{
	static char text[16384];
	bool begun = false;

	for (ssize_t n; size > 0; size -= (size_t)n) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		check(poll(&p, 1, 5000) == 1, "%s: %zu bytes are missing", what, size);
		n = read(fd, text, size < sizeof text ? size : sizeof text);
		check(n > 0, "%s: %zu bytes are missing at the end", what, size);
		check(begun || text[0] == first, "%s: another message", what);
		begun = true;
	}
}

/* What one worker sends by another's connections may fill the mailbox between them: a message that comes on a
 * connection meanwhile waits there until it can be handed over. */
static void what_finds_the_mailbox_full_of_messages_waits(void)
{
	unsigned workers[2];
	int fds[2];
	char text[4000];

	connect_two(fds, workers);
	snprintf(text, sizeof text, "%uhold" REST, workers[1]);
	say(fds[1], text);
	usleep(20000);
	int size = snprintf(text, sizeof text, "f%u" REST, workers[1]);
	for (unsigned i = 0; i < BEHIND_FLOOD; i++)
		size += snprintf(text + size, sizeof text - (size_t)size, "%u" REST, workers[1]);
	say(fds[0], text);
	expect_bytes(fds[1], "the held one", strlen("0hold" REST), (char)('0' + workers[1]));
	expect_bytes(fds[1], "the flood", (size_t)FLOOD * FLOOD_BYTES, 'F');
	expect_bytes(fds[0], "what waited", BEHIND_FLOOD * strlen("0" REST), (char)('0' + workers[1]));
	close(fds[0]);
	close(fds[1]);
}

/* A message for a connection of another worker that has ended meanwhile: the shard is told as it is of its own. */
static void what_another_workers_connection_does_not_take_comes_back(void)
{
	unsigned workers[2];
	int fds[2];
	char text[200];

	const struct linger none = { .l_onoff = 1 };

	connect_two(fds, workers);
	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(fds[1]); /* a reset: the message that it had sent has no answer */
	usleep(50000);
	int size = snprintf(text, sizeof text, "p%u" REST, workers[1]);
	say(fds[0], text);
	expect_bytes(fds[0], "what was refused", (size_t)size, 'p');
	close(fds[0]);
}

/* Whichever shard a request is for: the answer of another one comes when its worker has seen the end. */
static void a_peer_that_half_closes_is_answered_by_every_shard(void)
{
	const struct timeval patience = { .tv_sec = 5 };
	unsigned workers[2];
	int fds[2];
	char text[100], c;

	connect_two(fds, workers);
	for (unsigned i = 0; i < 2; i++) {
		int size = snprintf(text, sizeof text, "%uhold" REST, workers[1]);

		setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		say(fds[i], text);
		shutdown(fds[i], SHUT_WR);
		expect_bytes(fds[i], "the answer", (size_t)size, text[0]);
		check(read(fds[i], &c, 1) == 0, "it has no end");
		close(fds[i]);
	}
}

static void drain_is_told(void)
{
	static struct command commands[WORKERS];
	struct pollfd p = { .fd = crew_completion_fd(crew), .events = POLLIN };

	check(!crew_drained(crew), "drained too early");
	for (unsigned i = 0; i < WORKERS; i++) {
		commands[i] = (struct command){ .kind = COMMAND_DRAIN };
		crew_submit(crew, i, &commands[i]);
	}
	take_back(WORKERS);
	while (!crew_drained(crew)) {
		check(poll(&p, 1, 5000) == 1, "nobody told that the shards are drained");
		check(crew_completed(crew) == NULL, "a command too many");
	}
	check(!crew_stopped(crew) && !crew_silent(crew), "drained is not stopped");
}

/* It does not read, and has so many quarters of a flood; until it is cut, which *ret_quarters says when it was. */
static int deaf_peer(unsigned quarters, unsigned *ret_quarters)
{
	const uint64_t before = atomic_load(&streams_seen), cut = TOTAL(connections_unread);
	int small = 4096, fd = stream_peer();
	char text[100];

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	say(fd, "c" REST);
	wait_until(&streams_seen, before + 1, "a connection");
	snprintf(text, sizeof text, "g%u" REST, (unsigned)(atomic_load(&streams_seen) - before - 1));
	for (*ret_quarters = 0; *ret_quarters < quarters && TOTAL(connections_unread) == cut; ++*ret_quarters) {
		const uint64_t floods = atomic_load(&floods_seen);

		say(fd, text);
		wait_until(&floods_seen, floods + 1, "a flood");
		usleep(10000);
	}
	return fd;
}

/* Messages wait for it: the stop comes about nevertheless. */
static int keep_waiting(void)
{
	unsigned quarters, given;

	close(deaf_peer(100, &quarters));
	check(quarters > 4 && quarters < 100, "cut after %u", quarters);
	const uint64_t cut = TOTAL(connections_unread);
	int fd = deaf_peer(quarters - 2, &given);
	check(TOTAL(connections_unread) == cut, "cut earlier than another");
	return fd;
}

static void stop_is_told(void)
{
	static struct command commands[WORKERS];
	struct pollfd p = { .fd = crew_completion_fd(crew), .events = POLLIN };

	check(!crew_stopped(crew), "stopped too early");
	for (unsigned i = 0; i < WORKERS; i++) {
		commands[i] = (struct command){ .kind = COMMAND_STOP };
		crew_submit(crew, i, &commands[i]);
	}
	take_back(WORKERS);
	while (!crew_stopped(crew)) {
		check(poll(&p, 1, 3000) == 1, "nobody told that the shards have stopped");
		check(crew_completed(crew) == NULL, "a command too many");
	}
	check(crew_silent(crew), "stopped, and something is left to do");
}

/* A worker that has to end sends what others have given it, and closes no connection with bytes unread: the peer would
 * lose what it has not read itself. */
static void the_last_words_go_out(void)
{
	static struct command commands[WORKERS];
	unsigned workers[2];
	int fds[2];
	char c;

	connect_two(fds, workers);
	last_from = workers[0];
	last_by = workers[1];
	atomic_store(&last_words, true);
	for (unsigned i = 0; i < WORKERS; i++) {
		commands[i] = (struct command){ .kind = COMMAND_STOP };
		crew_submit(crew, i, &commands[i]);
	}
	say(fds[1], "1" REST "0" REST "2" REST);
	wait_until(&words_said, 1, "the last message");
	usleep(10000);
	crew_stop(crew);
	expect_bytes(fds[1], "the last message", LAST_BYTES, 'L');
	check(read(fds[1], &c, 1) == 0, "it has no end");
	check(read(fds[0], &c, 1) == 0, "it has no end");
	close(fds[0]);
	close(fds[1]);
}

/* They wait in the sockets while shards take up calls: shard_datagram() checks what these are told first. */
static void send_ahead(void)
{
	for (unsigned i = 0; i < 64; i++) {
		int fd = peer(i % 2);

		check(send(fd, "x", 1, 0) == 1, "cannot send");
		close(fd);
	}
}

/* The next start finds the port free. */
static void the_port_is_free_at_once(void)
{
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&listens[0].address, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM, 0);

	check(bind(fd, (struct sockaddr *)&sa, size) == 0, "the port is still in use");
	close(fd);
}

int main(void)
{
	log_open();
	listeners = listen_somewhere(WORKERS, load);
	check(recovery_create(&recovery) == 0 && recovery_finish(recovery, 1, &(struct recovery_report){ 0 }) == 0,
	      "no memory");
	send_ahead();
	start();
	recovery_free(recovery);
	check(calls_max_shared == CALLS_MAX, "the shards may have %lu calls", (unsigned long)calls_max_shared);
	a_configuration_changes_before_the_first_turn();
	every_datagram_is_echoed();
	what_comes_during_a_long_turn_keeps_its_time();
	a_burst_larger_than_all_buffers_is_echoed();
	what_has_no_way_comes_back_to_the_shard_whole();
	sizes_from_nothing_to_the_largest();
	notes_arrive_although_the_mailbox_is_full();
	deadlines_fire_without_traffic();
	commands_come_back_when_done();
	configurations_change_under_traffic();
	the_tos_byte_changes_on_every_socket();
	what_finds_the_mailbox_full_of_messages_waits();
	what_another_workers_connection_does_not_take_comes_back();
	a_peer_that_half_closes_is_answered_by_every_shard();
	drain_is_told();
	int deaf = keep_waiting();
	stop_is_told();
	close(deaf);
	check(TOTAL(datagrams_in) >= PEERS * ROUNDS * WORKERS && TOTAL(datagrams_out) >= PEERS * ROUNDS * WORKERS,
	      "datagrams were not counted");
	the_last_words_go_out();
	free(snapshot_replace(&snapshot, NULL));
	listeners_close(listeners);
	the_port_is_free_at_once();
	config_free(loaded);
	for (unsigned i = 0; i < WORKERS; i++)
		munmap(queues[i], (1 << 20) + record_queue_header_bytes());
	return 0;
}
