/* Connections of a worker, against real sockets on the loopback: framing as it comes, limits, peers that do not read,
 * connections that are opened, lost and opened again.  A plain program, so that it runs under the sanitizers; exit
 * status 77, skipped, where io_uring is not permitted. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/net/listener.h"
#include "core/net/stream.h"
#include "core/net/uring.h"
#include "tests/core/net/somewhere.h"

enum { SKIPPED = 77, PATIENCE_MS = 10000, ROOM = 1 << 20, SHARD = 5 };

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

static struct config *config;
static struct listeners *listeners;
static struct uring uring;
static struct streams streams;
static struct connection_count *count;
static struct shard_stats stats;
static int wake_fd;
static uint64_t later_ns; /* time that did not pass */

/* What came, and what was told. */
static unsigned messages, cuts, losses;
static uint64_t lost_shards;
static uint32_t lost_connection;
static struct flow last_from;
static char last[64];

/* Every message is answered with its own bytes, unless it says that it wants none. */
static void take_message(void *context, const struct flow *from, int64_t stamp_ns, struct bytes message, bool cut)
{
	struct flow to = *from;

	(void)context;
	check(stamp_ns != 0, "no receive stamp");
	messages++;
	cuts += cut;
	last_from = *from;
	snprintf(last, sizeof last, "%.*s", (int)message.size, message.at);
	to.pinned = true;
	if (!memmem(message.at, message.size, "silent", 6))
		streams_send(&streams, SHARD, &to, message);
}

static void take_lost(void *context, uint32_t connection, uint32_t generation, uint64_t shards)
{
	(void)context;
	(void)generation;
	lost_connection = connection;
	losses++;
	lost_shards |= shards;
}

/* A shard that has no room for more than these. */
static unsigned taken_max = UINT_MAX;

static bool has_room(void *context)
{
	(void)context;
	return messages < taken_max;
}

static void take_event(void *context, const struct uring_stream_event *e)
{
	streams_event(context, e);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec + later_ns;
}

/* One turn of a worker. */
static void turn(void)
{
	streams_turn(&streams, config, now_ns());
	streams_resume(&streams);
	uring_handle(&uring, NULL, take_event, NULL, &streams);
	streams_flush(&streams);
	if (!uring_submit(&uring))
		uring_wait(&uring, 1000000);
}

static void turns(unsigned n)
{
	while (n-- > 0)
		turn();
}

static void until(bool (*done)(void), const char *what)
{
	for (unsigned i = 0; i < PATIENCE_MS; i++) {
		if (done())
			return;
		turn();
	}
	check(false, "%s: it does not come about", what);
}

/* Every connection was looked at once. */
static void pass(uint64_t seconds)
{
	later_ns += seconds * 1000000000;
	for (unsigned i = 0; i < 20; i++) {
		streams_turn(&streams, config, now_ns());
		streams_look(&streams);
		turn();
	}
}

static const struct config *load(uint16_t port)
{
	char path[] = "/tmp/ringwheel-stream-XXXXXX", error[512];
	int fd = mkstemp(path);

	check(fd >= 0, "no file");
	config_free(config);
	dprintf(fd,
		"max_connections = 20\nmax_connections_per_source = 4\nmax_message = 4096\n"
		"listen \"main\" { transport = \"tcp\" address = \"127.0.0.1\" port = %u }\n"
		"mapping_gateway \"known\" { address = \"127.0.0.1\" }\n",
		port);
	close(fd);
	check(config_load(path, &config, error) == 0, "%s", error);
	unlink(path);
	return config;
}

static void start(void)
{
	char error[256] = "";

	listeners = listen_somewhere(1, load);
	count = calloc(1, sizeof *count);
	wake_fd = eventfd(0, EFD_CLOEXEC);
	check(count && wake_fd >= 0, "no memory");
	int r = uring_open(&uring, listeners_of(listeners, 0), 1, 1, wake_fd, error);
	if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
		fprintf(stderr, "skipped: %s\n", error);
		exit(SKIPPED);
	}
	check(r == 0, "%s", error);
	const struct streams_settings settings = {
		.uring = &uring,
		.count = count,
		.stats = &stats,
		.connections_max = 20,
		.k0 = 3,
		.k1 = 4,
		.message = take_message,
		.lost = take_lost,
		.room = has_room,
	};
	check(streams_create(&streams, &settings) == 0, "no memory");
	streams_turn(&streams, config, now_ns());
}

static bool nobody_is_there(void)
{
	return streams.pool.used == 0;
}

/* Between tests: everybody has gone, and nothing is left of them. */
static void settle(void)
{
	until(nobody_is_there, "an end of all connections");
	check(streams.partials.used == 0 && streams.blocks.used == 0 && streams.queued == 0 && streams.awaited == 0,
	      "something is left");
	check(count->all == 0 && count->strangers == 0, "they are counted still");
	for (unsigned i = 0; i < CONNECTION_CELLS; i++)
		check(count->cells[i] == 0, "a source is counted still");
	messages = cuts = losses = 0;
	lost_shards = 0;
}

/* The same where not all had answers. */
static void settle_unanswered(void)
{
	turns(20);
	pass(3);
	settle();
}

/* ---- peers ---- */

static int call(const char *from)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct sockaddr_storage to;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	inet_pton(AF_INET, from, &sa.sin_addr);
	unsigned size = address_to_sockaddr(&config->listens[0].address, &to);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0, "no socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	check(connect(fd, (struct sockaddr *)&to, size) == 0, "cannot connect: %s", strerror(errno));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void say(int fd, const char *text, size_t size)
{
	check(write(fd, text, size) == (ssize_t)size, "cannot write");
}

/* All that comes until there is so much, or the end. */
static size_t hear(int fd, char *room, size_t size, bool *ret_ended)
{
	size_t got = 0;

	*ret_ended = false;
	for (unsigned i = 0; i < PATIENCE_MS && got < size && !*ret_ended; i++) {
		ssize_t n = read(fd, room + got, size - got);

		if (n > 0)
			got += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			*ret_ended = true;
		turn();
	}
	return got;
}

static void expect(int fd, const char *text, size_t size)
{
	static char room[ROOM];
	bool ended;
	size_t got = hear(fd, room, size, &ended);

	check(got == size && memcmp(room, text, size) == 0, "%zu bytes came and not these %zu: %.*s", got, size,
	      (int)(size < 200 ? size : 200), text);
}

static void expect_end(int fd, const char *why)
{
	bool ended;
	char c;

	check(hear(fd, &c, 1, &ended) == 0 && ended, "the connection stands: %s", why);
	close(fd);
}

#define MESSAGE "MESSAGE sip:a SIP/2.0\r\nContent-Length: 5\r\n\r\nhello"
#define SIZE    (sizeof MESSAGE - 1)

/* ---- tests ---- */

static void test_segments(void)
{
	static char many[ROOM], answer[ROOM];
	int fd = call("127.0.0.1");

	for (size_t i = 0; i < SIZE; i++) {
		say(fd, &MESSAGE[i], 1);
		turns(2);
	}
	expect(fd, MESSAGE, SIZE);
	check(messages == 1 && streams.partials.used == 0, "byte by byte");
	for (unsigned n = 0; n < 1000; n++)
		memcpy(many + n * SIZE, MESSAGE, SIZE);
	say(fd, many, 1000 * SIZE);
	expect(fd, many, 1000 * SIZE);
	check(messages == 1001, "%u messages", messages);
	say(fd, "\r\n\r\n", 4);
	expect(fd, "\r\n", 2);
	/* A ping in pieces, between messages and within a segment of them. */
	snprintf(many, sizeof many, "%s\r\n\r\n%s", MESSAGE, MESSAGE);
	snprintf(answer, sizeof answer, "%s\r\n%s", MESSAGE, MESSAGE);
	for (size_t cut = 1; cut < strlen(many); cut++) {
		say(fd, many, cut);
		turns(1);
		say(fd, many + cut, strlen(many) - cut);
		expect(fd, answer, strlen(answer));
	}
	close(fd);
	settle();
}

#define SILENT "SIP/2.0 200 silent\r\nContent-Length: 0\r\n\r\n"

/* Two that never pause leave buffers to a third: who had none of a turn is the first of the next. */
static void test_blasters(void)
{
	static char many[ROOM / (sizeof SILENT - 1) * (sizeof SILENT - 1)], got[SIZE];
	int blasters[2] = { call("127.0.0.2"), call("127.0.0.3") }, fd = call("127.0.0.1");
	size_t at[2] = { 0 }, size = 0;

	for (size_t i = 0; i < sizeof many; i += sizeof SILENT - 1)
		memcpy(many + i, SILENT, sizeof SILENT - 1);
	for (unsigned i = 0; i < 400 && size < SIZE; i++) {
		for (unsigned b = 0; b < 2; b++) {
			for (ssize_t n; (n = write(blasters[b], many + at[b], sizeof many - at[b])) > 0;)
				at[b] = (at[b] + (size_t)n) % sizeof many;
			check(errno == EAGAIN, "cannot write: %s", strerror(errno));
		}
		if (i == 200)
			say(fd, MESSAGE, SIZE);
		turn();
		ssize_t n = read(fd, got + size, SIZE - size);
		size += n > 0 ? (size_t)n : 0;
	}
	check(size == SIZE, "%zu bytes of an answer, beside %u messages", size, messages);
	for (unsigned b = 0; b < 2; b++)
		close(blasters[b]);
	close(fd);
	settle();
}

static void test_ends_of_framing(void)
{
	static const char unbounded[] = "MESSAGE sip:a SIP/2.0\r\nX: y\r\n\r\n";
	static const char large[] = "MESSAGE sip:a SIP/2.0\r\nl: 4096\r\n\r\n";
	char endless[5000];
	int fd = call("127.0.0.1");

	say(fd, unbounded, sizeof unbounded - 1);
	say(fd, MESSAGE, SIZE);
	expect(fd, unbounded, sizeof unbounded - 1); /* its answer still comes */
	expect_end(fd, "no Content-Length");
	check(messages == 1 && cuts == 0, "what follows was read");
	fd = call("127.0.0.1");
	say(fd, large, sizeof large - 1);
	expect(fd, large, sizeof large - 1);
	expect_end(fd, "too large");
	check(cuts == 1, "not cut");
	fd = call("127.0.0.1");
	memset(endless, 'a', sizeof endless);
	say(fd, endless, sizeof endless);
	expect(fd, endless, 4096);
	expect_end(fd, "an endless line");
	fd = call("127.0.0.1");
	say(fd, "\x16\x03\x01", 3);
	expect_end(fd, "no SIP");
	check(stats.connections_unreadable == 4, "%lu unreadable", (unsigned long)stats.connections_unreadable);
	settle();
}

static void test_limits(void)
{
	int known[4], strangers[10];
	uint64_t refused = stats.connections_refused;

	for (unsigned i = 0; i < 4; i++) {
		known[i] = call("127.0.0.1");
		say(known[i], MESSAGE, SIZE);
		expect(known[i], MESSAGE, SIZE);
	}
	expect_end(call("127.0.0.1"), "a fifth of one source");
	check(stats.connections_refused == refused + 1, "not counted");
	for (unsigned i = 0; i < 10; i++) { /* half of max_connections */
		char from[16];

		snprintf(from, sizeof from, "127.0.0.%u", 10 + i);
		strangers[i] = call(from);
		say(strangers[i], MESSAGE, SIZE);
		expect(strangers[i], MESSAGE, SIZE);
	}
	expect_end(call("127.0.0.9"), "an eleventh stranger");
	close(known[0]);
	for (unsigned i = 0; i < 100 && streams.pool.used > 13; i++)
		turn();
	known[0] = call("127.0.0.1");
	say(known[0], MESSAGE, SIZE);
	expect(known[0], MESSAGE, SIZE);
	check(stats.connections == 14, "the gauge says %lu", (unsigned long)stats.connections);
	for (unsigned i = 0; i < 4; i++)
		close(known[i]);
	for (unsigned i = 0; i < 10; i++)
		close(strangers[i]);
	settle();
}

static void test_time(void)
{
	int talks = call("127.0.0.1"), silent = call("127.0.0.1"), halts = call("127.0.0.1");

	say(talks, MESSAGE, SIZE);
	expect(talks, MESSAGE, SIZE);
	say(halts, MESSAGE, SIZE);
	expect(halts, MESSAGE, SIZE);
	pass(25);
	say(talks, "\r\n\r\n", 4);
	expect(talks, "\r\n", 2);
	say(halts, MESSAGE, 7);
	turns(10);
	check(stats.connections == 3, "too early");
	pass(6);
	expect_end(silent, "not a word in 30 s");
	pass(30);
	expect_end(halts, "a message takes longer than 32 s");
	pass(530);
	check(stats.connections == 1, "too early");
	pass(70);
	expect_end(talks, "idle");
	check(stats.connections_idle == 2, "%lu idle", (unsigned long)stats.connections_idle);
	settle();
}

/* A peer that does not read, and one beside it that does. */
static void test_unread(void)
{
	static char many[64 * 1024];
	int deaf = call("127.0.0.1"), other = call("127.0.0.1"), small = 4096;
	uint64_t before = stats.connections_unread;

	setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	for (size_t at = 0; at + SIZE <= sizeof many; at += SIZE)
		memcpy(many + at, MESSAGE, SIZE);
	const size_t size = sizeof many / SIZE * SIZE;
	size_t rest = 0;
	for (unsigned i = 0; i < 20000 && stats.connections_unread == before; i++) {
		ssize_t n = write(deaf, many + rest, size - rest);

		if (n > 0)
			rest = (rest + (size_t)n) % size;
		else if (n < 0 && errno != EAGAIN)
			break;
		turn();
		if (i % 50 == 0) {
			say(other, MESSAGE, SIZE);
			expect(other, MESSAGE, SIZE);
		}
	}
	check(stats.connections_unread == before + 1, "it goes on and on");
	turns(10);
	check(streams.queued == 0, "%lu bytes are kept for it", (unsigned long)streams.queued);
	close(deaf);
	close(other);
	settle();
	/* And one whose answers are few: by time. */
	deaf = call("127.0.0.1");
	setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	rest = 0;
	for (unsigned i = 0; i < 200000 && streams.queued < 200 * 1024; i++) {
		const size_t part = size - rest < 200 * SIZE ? size - rest : 200 * SIZE;
		ssize_t n = write(deaf, many + rest, part);

		rest = n > 0 ? (rest + (size_t)n) % size : rest;
		turn();
	}
	turns(50);
	check(streams.queued >= 200 * 1024, "it reads after all");
	check(streams.awaited == 1, "%u are awaited", streams.awaited);
	pass(1);
	check(stats.connections == 1, "too early");
	pass(11);
	turns(10);
	check(stats.connections == 0 && stats.connections_unread == before + 2, "it is waited for");
	close(deaf);
	settle();
}

/* A stranger that does not read has one block at most, and its pings add nothing; it is not worth more. */
static void test_deaf_stranger(void)
{
	static char many[4000];
	int deaf = call("127.0.0.10"), known = call("127.0.0.1"), small = 4096;
	const uint64_t lost = streams.lost;
	size_t rest = 0;

	setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	for (size_t at = 0; at + SIZE <= sizeof many; at += SIZE)
		memcpy(many + at, MESSAGE, SIZE);
	const size_t size = sizeof many / SIZE * SIZE;
	for (unsigned i = 0; i < 200000 && streams.lost == lost; i++) {
		ssize_t n = write(deaf, many + rest, size - rest);

		rest = n > 0 ? (rest + (size_t)n) % size : rest;
		turn();
		check(streams.blocks.used <= 1, "%u blocks for a stranger", streams.blocks.used);
	}
	check(streams.lost > lost, "it is answered for ever");
	check(stats.connections == 2, "it is cut");
	check(streams.awaited == 0, "a stop waits for it");
	turns(20);
	const uint64_t queued = streams.queued;
	say(deaf, many + rest, size - rest);
	for (unsigned i = 0; i < 50; i++) {
		say(deaf, "\r\n\r\n", 4);
		turn();
	}
	turns(20);
	check(streams.queued <= queued + SIZE, "pings are answered behind %lu bytes", (unsigned long)queued);
	say(known, MESSAGE, SIZE);
	expect(known, MESSAGE, SIZE);
	close(deaf);
	close(known);
	settle_unanswered();
}

static void test_many_pings(void)
{
	char pings[2000 + SIZE];
	int fd = call("127.0.0.1");

	for (size_t i = 0; i < 2000; i++)
		pings[i] = "\r\n"[i % 2];
	memcpy(pings + 2000, MESSAGE, SIZE);
	say(fd, pings, sizeof pings);
	expect(fd, "\r\n" MESSAGE, 2 + SIZE);
	close(fd);
	settle();
}

/* Where blocks are short a message is refused; its connection is not to blame. */
static void test_no_blocks(void)
{
	static uint32_t taken[4096];
	unsigned n = 0;
	int known = call("127.0.0.1"), stranger = call("127.0.0.10");
	const uint64_t lost = streams.lost;

	while (buffers_free(&streams.blocks) > streams.blocks.count / 2 - 1)
		taken[n++] = buffer_take(&streams.blocks);
	say(stranger, MESSAGE, SIZE);
	turns(20);
	check(streams.lost == lost + 1, "half of them are not kept from strangers");
	say(known, MESSAGE, SIZE);
	expect(known, MESSAGE, SIZE);
	while (buffers_free(&streams.blocks) > 0)
		taken[n++] = buffer_take(&streams.blocks);
	say(known, MESSAGE, SIZE);
	turns(20);
	check(streams.lost == lost + 2 && stats.connections == 2, "%lu connections stand",
	      (unsigned long)stats.connections);
	while (n > 0)
		buffer_give(&streams.blocks, taken[--n]);
	say(known, MESSAGE, SIZE);
	expect(known, MESSAGE, SIZE);
	say(stranger, MESSAGE, SIZE);
	expect(stranger, MESSAGE, SIZE);
	close(known);
	close(stranger);
	settle_unanswered();
}

/* While blocks are short, the connection with the most of them goes, and not one that reads its own. */
static void test_few_blocks(void)
{
	static uint32_t taken[4096];
	static char many[64 * 1024 / SIZE * SIZE];
	int deaf = call("127.0.0.1"), known = call("127.0.0.1"), small = 4096;
	const uint64_t before = stats.connections_unread;
	size_t rest = 0;
	unsigned n = 0;

	setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	for (size_t at = 0; at < sizeof many; at += SIZE)
		memcpy(many + at, MESSAGE, SIZE);
	for (unsigned i = 0; i < 200000 && streams.queued < 200 * 1024; i++) {
		const size_t part = sizeof many - rest < 200 * SIZE ? sizeof many - rest : 200 * SIZE;
		ssize_t r = write(deaf, many + rest, part);

		rest = r > 0 ? (rest + (size_t)r) % sizeof many : rest;
		turn();
	}
	check(streams.queued >= 200 * 1024, "it reads after all");
	turns(50);
	while (buffers_free(&streams.blocks) > streams.blocks.count / 4 - 6)
		taken[n++] = buffer_take(&streams.blocks);
	for (unsigned i = 0; i < 4; i++) {
		say(known, many, sizeof many);
		expect(known, many, sizeof many);
	}
	check(stats.connections_unread == before + 1 && stats.connections == 1, "who reads is cut");
	while (n > 0)
		buffer_give(&streams.blocks, taken[--n]);
	close(deaf);
	close(known);
	settle_unanswered();
}

/* Where a shard has no room the connection waits, with whatever has come, and nothing is lost; others go on as soon as
 * there is room for theirs, and the peer that has ended meanwhile still has its answers. */
static void test_waiting(void)
{
	static char many[ROOM], answer[ROOM];
	int fd = call("127.0.0.1"), other = call("127.0.0.1");
	bool ended;

	for (unsigned n = 0; n < 5000; n++)
		memcpy(many + n * SIZE, MESSAGE, SIZE);
	taken_max = 10;
	size_t sent = 0, got = 0;
	for (unsigned i = 0; i < 300; i++) {
		ssize_t n = write(fd, many + sent, 5000 * SIZE - sent);

		sent += n > 0 ? (size_t)n : 0;
		turn();
	}
	check(messages == 10, "%u messages for 10", messages);
	check(streams_wait(&streams), "nobody waits");
	say(other, MESSAGE, SIZE);
	turns(20);
	check(messages == 10, "%u messages for 10", messages);
	while (got < 5000 * SIZE) {
		ssize_t n = sent < 5000 * SIZE ? write(fd, many + sent, 5000 * SIZE - sent) : 0;

		sent += n > 0 ? (size_t)n : 0;
		if (sent == 5000 * SIZE && taken_max < 5000)
			shutdown(fd, SHUT_WR);
		taken_max += 7;
		got += hear(fd, answer + got, 7 * SIZE, &ended);
		check(!ended || got == 5000 * SIZE, "it ended after %zu", got);
	}
	check(memcmp(many, answer, got) == 0, "other answers");
	taken_max = UINT_MAX;
	expect(other, MESSAGE, SIZE);
	expect_end(fd, "both have ended it");
	close(other);
	settle();
	/* It goes while it waits. */
	fd = call("127.0.0.1");
	taken_max = 0;
	say(fd, MESSAGE MESSAGE, 2 * SIZE);
	turns(20);
	const struct linger none = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(fd);
	turns(20);
	taken_max = UINT_MAX;
	settle();
}

/* Who has waited longest goes first, and all who wait before what comes anew. */
static void test_waiting_in_turn(void)
{
	int fds[3];

	taken_max = 0;
	for (unsigned i = 0; i < 3; i++) {
		char text[] = "silent0 sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n";

		text[6] = (char)('0' + i);
		fds[i] = call("127.0.0.1");
		say(fds[i], text, sizeof text - 1);
		if (i < 2) /* the last is read in the turn that has room */
			turns(10);
	}
	for (unsigned i = 0; i < 3; i++) {
		taken_max++;
		turns(i < 2 ? 1 : 10);
		check(messages == i + 1 && last[6] == (char)('0' + i), "%.7s is number %u", last, i);
	}
	taken_max = UINT_MAX;
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	settle_unanswered();
}

/* ---- connections that are opened ---- */

static int listen_at(struct address *ret_address)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	check(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 10) == 0, "no socket");
	getsockname(fd, (struct sockaddr *)&sa, &size);
	address_from_sockaddr((struct sockaddr *)&sa, ret_address);
	return fd;
}

static int accept_at(int listening)
{
	int fd = -1;

	for (unsigned i = 0; i < PATIENCE_MS && fd < 0; i++) {
		turn();
		fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	check(fd >= 0, "nobody came");
	return fd;
}

static bool was_lost(void)
{
	return losses > 0;
}

static struct flow to_peer(const struct address *peer)
{
	return (struct flow){ .peer = *peer, .transport = TRANSPORT_TCP };
}

static void send_message(const struct flow *to)
{
	check(streams_send(&streams, SHARD, to, BYTES(MESSAGE)), "not taken");
}

/* One connection to an address, whatever is sent there; and another one when that has ended. */
static void test_opened(void)
{
	struct address address;
	int listening = listen_at(&address), peer;
	struct flow flow = to_peer(&address);

	streams_connect(&streams, &flow, true);
	check(flow.connection != 0, "none was opened");
	for (unsigned i = 0; i < 3; i++)
		send_message(&(struct flow){ .peer = address, .transport = TRANSPORT_TCP });
	send_message(&flow);
	peer = accept_at(listening);
	expect(peer, MESSAGE MESSAGE MESSAGE MESSAGE, 4 * SIZE);
	check(stats.connections == 1, "%lu connections", (unsigned long)stats.connections);
	say(peer, MESSAGE, SIZE); /* what comes on it is taken, and answered on it */
	expect(peer, MESSAGE, SIZE);
	check(last_from.connection == flow.connection && last_from.connection_generation == flow.connection_generation,
	      "it came from elsewhere");

	const struct linger none = { .l_onoff = 1 };
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(peer); /* a reset */
	until(was_lost, "an end of the connection");
	check(losses == 1 && lost_shards == UINT64_C(1) << SHARD, "told of otherwise");
	check(!streams_send(&streams, SHARD,
			    &(struct flow){ .peer = address,
					    .transport = TRANSPORT_TCP,
					    .connection = flow.connection,
					    .connection_generation = flow.connection_generation,
					    .pinned = true },
			    BYTES(MESSAGE)),
	      "pinned to a connection that has ended");
	send_message(&flow); /* names the one that has ended */
	peer = accept_at(listening);
	expect(peer, MESSAGE, SIZE);
	close(peer);
	close(listening);
	settle();
}

/* A named connection stands for its host: a Contact names the port that its owner listens on, if at all. */
static void test_named(void)
{
	struct address address;
	int fd = call("127.0.0.1"), listening = listen_at(&address);

	say(fd, MESSAGE, SIZE);
	expect(fd, MESSAGE, SIZE);
	struct flow flow = last_from;
	flow.peer.port = address.port;
	send_message(&flow);
	expect(fd, MESSAGE, SIZE);
	check(stats.connections == 1, "another one was opened");
	close(fd); /* a question is open: it is told of */
	until(was_lost, "an end of the connection");
	send_message(&flow);
	fd = accept_at(listening);
	expect(fd, MESSAGE, SIZE);
	close(fd);
	close(listening);
	settle();
}

/* Nobody listens there; and one that never answers. */
static void test_failed(void)
{
	struct address address;
	uint64_t failed = stats.connections_failed;
	int listening = listen_at(&address);

	close(listening);
	struct flow flow = to_peer(&address);
	send_message(&flow);
	until(was_lost, "a refusal");
	check(stats.connections_failed == failed + 1, "not counted");
	settle();
	/* Nobody waits for what a response has gone with: shards are not asked to look. */
	check(streams_send(&streams, SHARD, &flow, BYTES("SIP/2.0 486 Busy Here\r\n\r\n")), "not taken");
	turns(20);
	check(stats.connections_failed == failed + 2 && losses == 0, "a lost response is told");
	settle();
	check(address_read_host(bytes_of("127.0.0.1"), &address), "no address");
	address.port = 1;
	flow.peer.port = 0;
	check(!streams_send(&streams, SHARD, &flow, BYTES(MESSAGE)), "there is no port 0");
	/* A backlog that is full does not answer. */
	listening = listen_at(&address);
	check(listen(listening, 0) == 0, "no backlog");
	int waiting[4];
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&address, &sa);
	for (unsigned i = 0; i < 4; i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		int r = connect(waiting[i], (struct sockaddr *)&sa, size);
		(void)r;
	}
	usleep(10000);
	flow = to_peer(&address);
	send_message(&flow);
	turns(20);
	check(losses == 0 && stats.connections == 1, "not under way");
	check(streams.queued == SIZE, "%lu bytes wait", (unsigned long)streams.queued);
	flow.repeated = true;
	send_message(&flow);
	check(streams.queued == SIZE, "what waits still is put there again");
	flow.repeated = false;
	send_message(&flow);
	check(streams.queued == 2 * SIZE, "%lu bytes wait", (unsigned long)streams.queued);
	pass(5);
	turns(10);
	check(losses == 1 && stats.connections == 0, "it is waited for");
	for (unsigned i = 0; i < 4; i++)
		close(waiting[i]);
	close(listening);
	settle();
}

#define INVITE "INVITE sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"
#define BYE    "BYE sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"

/* Who has refused a connection is asked for none by calls for a second; what ends one may try, and tells that the peer
 * is there again. */
static void test_refused_for_a_while(void)
{
	struct address address, other;
	int listening = listen_at(&address), peer;

	close(listening);
	const struct flow flow = to_peer(&address);
	struct flow named = flow;
	check(streams_send(&streams, SHARD, &flow, BYTES(INVITE)), "not taken");
	until(was_lost, "a refusal");
	turns(10);
	const uint64_t opened = stats.connections_opened;
	streams_connect(&streams, &named, true);
	check(named.connection == 0, "a connection for a call");
	check(!streams_send(&streams, SHARD, &flow, BYTES(INVITE)), "taken");
	check(stats.connections_opened == opened, "another connection for a call");
	/* What has to go there goes by one that it knows, and hears of its end. */
	losses = 0;
	streams_connect(&streams, &named, false);
	check(named.connection != 0, "none for the end of a call");
	check(streams_send(&streams, SHARD, &named, BYTES(BYE)), "not taken");
	check(stats.connections_opened == opened + 1, "%lu were opened for it",
	      (unsigned long)(stats.connections_opened - opened));
	until(was_lost, "a refusal");
	check(lost_connection == named.connection, "of another one");
	turns(10);
	listening = listen_at(&other);
	named = to_peer(&other);
	streams_connect(&streams, &named, true);
	check(named.connection != 0, "another peer is to blame, too");
	close(accept_at(listening));
	close(listening);
	pass(2);
	check(streams_send(&streams, SHARD, &flow, BYTES(INVITE)), "for more than a second");
	until(nobody_is_there, "a refusal");
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage sa;
	unsigned size = address_to_sockaddr(&address, &sa);
	check(bind(listening, (struct sockaddr *)&sa, size) == 0 && listen(listening, 10) == 0, "no socket");
	check(!streams_send(&streams, SHARD, &flow, BYTES(INVITE)), "taken");
	check(streams_send(&streams, SHARD, &flow, BYTES(BYE)), "the end of a call is refused");
	peer = accept_at(listening);
	expect(peer, BYE, sizeof BYE - 1);
	close(peer);
	until(nobody_is_there, "the end");
	check(streams_send(&streams, SHARD, &flow, BYTES(INVITE)), "the peer is there again");
	peer = accept_at(listening);
	expect(peer, INVITE, sizeof INVITE - 1);
	close(peer);
	close(listening);
	settle();
}

/* The peer sends its request, ends its direction, and still hears the answer. */
static void test_half_closed(void)
{
	int fd = call("127.0.0.1");

	say(fd, MESSAGE, SIZE);
	shutdown(fd, SHUT_WR);
	expect(fd, MESSAGE, SIZE);
	expect_end(fd, "both have ended it");
	settle();
}

#define REQUEST "silent sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"
#define TRYING  "SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n"
#define OK      "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"

/* Two requests and the end of the peer's direction, which was read. */
static int half_closed(struct flow *ret_flow)
{
	int fd = call("127.0.0.1");

	say(fd, REQUEST REQUEST, 2 * strlen(REQUEST));
	shutdown(fd, SHUT_WR);
	turns(20);
	check(messages == 2 && stats.connections == 1, "nobody waits for the answers");
	*ret_flow = last_from;
	return fd;
}

/* The answers are another shard's, and come after the end: the last one, or two seconds, ends the connection. */
static void test_half_closed_before_the_answer(void)
{
	struct flow flow;
	int fd = half_closed(&flow);

	check(streams_send(&streams, SHARD, &flow, BYTES(TRYING)), "not taken");
	expect(fd, TRYING, strlen(TRYING));
	turns(20);
	check(stats.connections == 1, "the other answer is owed");
	check(streams_send(&streams, SHARD, &flow, BYTES(OK)), "not taken");
	expect(fd, OK, strlen(OK));
	expect_end(fd, "both have ended it");
	settle();

	fd = half_closed(&flow);
	pass(1);
	check(stats.connections == 1, "too early");
	pass(2);
	expect_end(fd, "there is no answer");
	settle();
}

/* Nobody would answer a request on it: those that went by it are told of at once, others have another connection. */
static void test_half_closed_takes_no_requests(void)
{
	struct address address;
	struct flow flow, named;
	int fd = call("127.0.0.1"), listening = listen_at(&address), peer;

	say(fd, REQUEST, strlen(REQUEST));
	turns(20);
	send_message(&last_from);
	expect(fd, MESSAGE, SIZE);
	shutdown(fd, SHUT_WR);
	until(was_lost, "the end of who was asked");
	check(stats.connections == 1, "the answer is owed");
	flow = named = last_from;
	named.peer.port = address.port;
	streams_connect(&streams, &named, true);
	check(named.connection != 0 && named.connection != flow.connection, "one that nobody answers on");
	send_message(&named);
	peer = accept_at(listening);
	expect(peer, MESSAGE, SIZE);
	close(peer);
	check(streams_send(&streams, SHARD, &flow, BYTES(OK)), "not taken");
	expect(fd, OK, strlen(OK));
	expect_end(fd, "both have ended it");
	close(listening);
	settle();
}

/* One that we opened, likewise. */
static void test_opened_and_half_closed(void)
{
	struct address address;
	int listening = listen_at(&address), first, second;
	struct flow flow = to_peer(&address), other = flow;

	streams_connect(&streams, &flow, true);
	first = accept_at(listening);
	say(first, REQUEST, strlen(REQUEST));
	shutdown(first, SHUT_WR);
	turns(20);
	check(messages == 1 && stats.connections == 1, "the answer is owed");
	streams_connect(&streams, &other, true);
	check(other.connection != 0 && other.connection != flow.connection, "one that nobody answers on");
	second = accept_at(listening);
	check(streams_send(&streams, SHARD, &flow, BYTES(OK)), "not taken");
	expect(first, OK, strlen(OK));
	expect_end(first, "both have ended it");
	close(second);
	close(listening);
	settle();
}

int main(void)
{
	log_set_level(LOG_ERROR);
	start();
	test_segments();
	test_blasters();
	test_ends_of_framing();
	test_limits();
	test_time();
	test_unread();
	test_deaf_stranger();
	test_many_pings();
	test_no_blocks();
	test_few_blocks();
	test_waiting();
	test_waiting_in_turn();
	test_opened();
	test_named();
	test_failed();
	test_refused_for_a_while();
	test_half_closed();
	test_half_closed_before_the_answer();
	test_half_closed_takes_no_requests();
	test_opened_and_half_closed();
	int open = call("127.0.0.1"); /* one is there at the end */
	say(open, MESSAGE, SIZE);
	expect(open, MESSAGE, SIZE);
	uring_close(&uring);
	streams_destroy(&streams);
	listeners_close(listeners);
	config_free(config);
	free(count);
	close(wake_fd);
	close(open);
	return 0;
}
