/* The load generator of the crash test: places calls through a switch that is killed and started again under it, plays
 * both peers, and writes down what they know of each call.
 *
 *   crash_load --node 127.0.0.1:5060 --callers HOST:PORT --callees HOST:PORT --truth FILE [--rate N] [--hold MIN:MAX]
 *              [--t1 MS] [--expires S] [--patience S] [--seed N] [--calls N] [--plain]
 *
 * Told on its standard input, a line each, answers with a line:
 *
 *   count              count PLACED SETTLED UP
 *   quiet              places no more calls
 *   hangup SECONDS     all who would hang up later do within so long
 *   probe N            asks after N random calls (calls_probe());  probed ...
 *   probed             probed ASKED ANSWERED REFUSED FIRST_US LAST_US    (CLOCK_MONOTONIC)
 *   end                writes the truth and ends                                                       */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/calls.h"

#define BATCH      256 /* datagrams read before deadlines are looked at again */
#define SOCKET_BUF (64 << 20)

struct load {
	struct calls_settings settings;
	struct sockaddr_in node;
	int sockets[SIDES];
	struct calls *calls;
	const char *truth_path;
	double rate;
	uint32_t calls_max; /* 0: no limit */
	uint64_t started_ns;
	bool quiet, ended;
	char line[128];
	size_t line_size;
};

static uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * CALLS_S + (uint64_t)now.tv_nsec;
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "crash_load: %s: %s\n", what, why);
	exit(2);
}

static struct sockaddr_in read_address(const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char host[64];
	unsigned port;
	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
		fail(text, "not an address with port");
	address.sin_port = htons((uint16_t)port);
	return address;
}

static int open_socket(const char *text)
{
	struct sockaddr_in address = read_address(text);
	int size = SOCKET_BUF, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address))
		fail(text, strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

static struct sending send_datagram(void *context, enum side side, const char *at, size_t size)
{
	const struct load *l = context;
	struct sending sent = { .before_ns = clock_ns() };
	(void)!sendto(l->sockets[side], at, size, MSG_DONTWAIT, (const struct sockaddr *)(const void *)&l->node,
		      sizeof l->node);
	sent.after_ns = clock_ns();
	return sent;
}

/* ---- what it is told ---- */

static void say_probe(const struct load *l)
{
	struct probe_result r = calls_probed(l->calls);
	printf("probed %u %u %u %" PRIu64 " %" PRIu64 "\n", r.asked, r.answered, r.refused, r.first_ns / 1000,
	       r.last_ns / 1000);
}

static void command(struct load *l, const char *line)
{
	unsigned count;
	double seconds;
	if (!strcmp(line, "count")) {
		struct calls_counts n = calls_count(l->calls);
		printf("count %u %u %u\n", n.placed, n.settled, n.up);
	} else if (!strcmp(line, "quiet")) {
		l->quiet = true;
		printf("quiet\n");
	} else if (sscanf(line, "hangup %lf", &seconds) == 1) {
		calls_hang_up(l->calls, clock_ns(), (uint64_t)(seconds * 1e9));
		printf("hangup\n");
	} else if (sscanf(line, "probe %u", &count) == 1) {
		calls_probe(l->calls, clock_ns(), count);
		say_probe(l);
	} else if (!strcmp(line, "probed")) {
		say_probe(l);
	} else if (!strcmp(line, "end")) {
		l->ended = true;
	} else {
		printf("unknown %s\n", line);
	}
	fflush(stdout);
}

static void read_commands(struct load *l)
{
	ssize_t size = read(STDIN_FILENO, l->line + l->line_size, sizeof l->line - l->line_size - 1);
	if (size <= 0) {
		l->ended = size == 0 || errno != EAGAIN; /* whoever started it is gone */
		return;
	}
	l->line_size += (size_t)size;
	l->line[l->line_size] = '\0';
	for (char *end; (end = strchr(l->line, '\n'));) {
		*end = '\0';
		command(l, l->line);
		l->line_size -= (size_t)(end + 1 - l->line);
		memmove(l->line, end + 1, l->line_size + 1);
	}
	if (l->line_size == sizeof l->line - 1)
		l->line_size = 0;
}

/* ---- the loop ---- */

static bool read_datagrams(struct load *l, enum side side)
{
	static char datagram[65536];
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t size = recv(l->sockets[side], datagram, sizeof datagram, 0);
		if (size < 0)
			return false;
		calls_datagram(l->calls, clock_ns(), side, datagram, (size_t)size);
	}
	return true;
}

/* When the next call is to be placed. */
static uint64_t place_ns(const struct load *l)
{
	uint32_t placed = calls_count(l->calls).placed;
	if (l->quiet || l->rate <= 0 || (l->calls_max && placed >= l->calls_max))
		return UINT64_MAX;
	return l->started_ns + (uint64_t)((double)placed / l->rate * 1e9);
}

static void place_due(struct load *l)
{
	for (uint64_t now_ns = clock_ns(); place_ns(l) <= now_ns;)
		calls_place(l->calls, now_ns);
}

static int wait_ms(const struct load *l)
{
	uint64_t now_ns = clock_ns(), next_ns = calls_next_ns(l->calls), place = place_ns(l);
	next_ns = place < next_ns ? place : next_ns;
	if (next_ns <= now_ns)
		return 0;
	uint64_t ms = (next_ns - now_ns + CALLS_MS - 1) / CALLS_MS;
	return ms > 1000 ? 1000 : (int)ms;
}

static void run(struct load *l)
{
	struct pollfd polls[] = { { .fd = l->sockets[CALLER], .events = POLLIN },
				  { .fd = l->sockets[CALLEE], .events = POLLIN },
				  { .fd = STDIN_FILENO, .events = POLLIN } };
	l->started_ns = clock_ns();
	while (!l->ended) {
		poll(polls, 3, wait_ms(l));
		if (polls[CALLER].revents)
			read_datagrams(l, CALLER);
		if (polls[CALLEE].revents)
			read_datagrams(l, CALLEE);
		if (polls[2].revents)
			read_commands(l);
		place_due(l);
		calls_advance(l->calls, clock_ns());
	}
}

static void write_truth(const struct load *l)
{
	FILE *out = fopen(l->truth_path, "w");
	if (!out)
		fail(l->truth_path, strerror(errno));
	calls_write_truth(l->calls, out);
	if (fclose(out))
		fail(l->truth_path, strerror(errno));
}

static void read_options(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "node", 1, NULL, 'n' },  { "callers", 1, NULL, 'a' }, { "callees", 1, NULL, 'b' },
		{ "truth", 1, NULL, 't' }, { "rate", 1, NULL, 'r' },    { "hold", 1, NULL, 'h' },
		{ "t1", 1, NULL, '1' },    { "expires", 1, NULL, 'e' }, { "patience", 1, NULL, 'p' },
		{ "seed", 1, NULL, 's' },  { "calls", 1, NULL, 'c' },   { "plain", 0, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	double low, high;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'n':
			l->settings.node = optarg;
			l->node = read_address(optarg);
			break;
		case 'a':
			l->settings.peers[CALLER] = optarg;
			break;
		case 'b':
			l->settings.peers[CALLEE] = optarg;
			break;
		case 't':
			l->truth_path = optarg;
			break;
		case 'r':
			l->rate = strtod(optarg, NULL);
			break;
		case 'h':
			if (sscanf(optarg, "%lf:%lf", &low, &high) != 2 || low < 0 || high < low)
				fail("--hold", "MIN:MAX in seconds");
			l->settings.hold_min_ns = (uint64_t)(low * 1e9);
			l->settings.hold_max_ns = (uint64_t)(high * 1e9);
			break;
		case '1':
			l->settings.t1_ns = strtoul(optarg, NULL, 10) * CALLS_MS;
			break;
		case 'e':
			l->settings.expires_s = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			l->settings.patience_ns = strtoul(optarg, NULL, 10) * CALLS_S;
			break;
		case 's':
			l->settings.seed = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			l->calls_max = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			l->settings.plain = true;
			break;
		default:
			exit(2);
		}
	}
	if (!l->settings.node || !l->settings.peers[CALLER] || !l->settings.peers[CALLEE] || !l->truth_path)
		fail("options", "--node, --callers, --callees and --truth are needed");
}

int main(int argc, char **argv)
{
	struct load l = { .settings = { .t1_ns = 500 * CALLS_MS,
					.hold_min_ns = CALLS_S / 5,
					.hold_max_ns = 20 * CALLS_S,
					.patience_ns = 20 * CALLS_S,
					.expires_s = 12,
					.seed = 1 },
			  .rate = 300 };
	read_options(&l, argc, argv);
	for (enum side side = CALLER; side < SIDES; side++)
		l.sockets[side] = open_socket(l.settings.peers[side]);
	l.settings.send = send_datagram;
	l.settings.context = &l;
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	l.calls = calls_create(&l.settings);
	printf("ready\n");
	fflush(stdout);
	run(&l);
	write_truth(&l);
	calls_free(l.calls);
	return 0;
}
