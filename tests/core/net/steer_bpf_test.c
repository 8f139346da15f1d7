/* core/net/steer.bpf.c computes the function of core/steer.c, and the kernel hands each datagram to the worker it
 * names. A plain program: exit status 77, skipped, where loading BPF programs is not permitted or not built in. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef RW_STEER_BPF
#include <bpf/bpf.h>
#endif

#include "core/net/listener.h"
#include "core/net/steer_bpf.h"
#include "tests/core/net/somewhere.h"

enum { SKIPPED = 77, MESSAGES = 20000, SENT = 2000, WORKERS = 7 };

static const uint8_t SECRET[32] = { 1, 2, 3 };
static struct steer_key key;
static uint64_t seed = 20;

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % below;
}

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

/* A third are of our form, and a fifth of these damaged; the others have 1 to 200 characters. */
static void make_call_id(unsigned number, char call_id[256])
{
	unsigned size = 1 + draw(200);

	for (unsigned i = 0; i < size; i++)
		call_id[i] = (char)('!' + draw(90));
	call_id[size] = 0;
	if (number % 3 != 0)
		return;
	steer_mint(&key, draw(STEER_BUCKETS), call_id);
	for (unsigned i = STEER_PREFIX_SIZE; i < STEER_MINTED_SIZE; i++)
		call_id[i] = STEER_ALPHABET[draw(32)];
	call_id[STEER_MINTED_SIZE] = 0;
	if (number % 5 == 0)
		call_id[draw(STEER_PREFIX_SIZE)] = (char)('!' + draw(90));
}

/* Names, white space and position vary; lines that resemble Call-ID stand before it. */
static unsigned make_message(unsigned number, const char *call_id, char *text, size_t size)
{
	static const char *const names[] = { "Call-ID: ", "i:", "CALL-ID \t:  ", "call-id:", "I : " };
	static const char *const before[] = { "",
					      "Call-Info: <x>\r\n",
					      "Call-IDs: no\r\n",
					      "Subject: a\r\n i: folded\r\n",
					      "Call-I: no\r\nIi: no\r\nID: no\r\n",
					      "X:\r\n" };
	static const char *const after[] = { "\r\n", " \r\n", "\t \r\n", "\n" };

	return (unsigned)snprintf(
		text, size, "INVITE sip:1@192.0.2.1 SIP/2.0\r\n%sVia: %*s\r\n%s%s%sTo: x\r\ni: second\r\n\r\nv=0\r\n",
		before[number % 6], (int)draw(2000), "x", names[number % 5], call_id, after[number % 4]);
}

#ifdef RW_STEER_BPF

static unsigned run(const struct steer_bpf *steer, const char *message, unsigned size)
{
	char frame[8192] = { 0 }; /* a test run takes off an Ethernet header */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = size + 14, .repeat = 1);

	memcpy(frame + 14, message, size);
	check(bpf_prog_test_run_opts(steer_bpf_fd(steer), &opts) == 0, "the test run failed");
	return opts.retval;
}

static struct steer_bpf *load(unsigned workers)
{
	struct steer_bpf *steer;
	char error[256];
	int r = steer_bpf_load(&key, workers, &steer, error);

	if (r == -EPERM || r == -EACCES) {
		fprintf(stderr, "skipped: %s\n", error);
		exit(SKIPPED);
	}
	check(r == 0, "%s", error);
	return steer;
}

/* As many workers as buckets: the answer is the bucket. */
static void same_bucket_as_in_c(void)
{
	struct steer_bpf *steer = load(STEER_BUCKETS);

	for (unsigned number = 0; number < MESSAGES; number++) {
		char call_id[256], message[4096];

		make_call_id(number, call_id);
		unsigned size = make_message(number, call_id, message, sizeof message);
		unsigned seen = run(steer, message, size), expected = steer_bucket(&key, bytes_of(call_id));
		check(seen == expected, "Call-ID %s is in bucket %u, the program says %u", call_id, expected, seen);
	}
	steer_bpf_free(steer);
}

/* These go where the kernel's hash sends them. */
static void what_it_cannot_find_it_leaves_to_the_kernel(void)
{
	static const char *const messages[] = {
		"x",
		"\r\n\r\n",
		"OPTIONS sip:x SIP/2.0\r\nTo: y\r\n\r\ni: in the body\r\n",
		"OPTIONS sip:x SIP/2.0\r\nCall-ID:\r\n folded\r\n\r\n",
		"OPTIONS sip:x SIP/2.0\r\nCall-ID: never ends",
		"OPTIONS sip:x SIP/2.0\r\nCall-ID:  \r\n\r\n",
	};
	struct steer_bpf *steer = load(WORKERS);

	for (unsigned i = 0; i < sizeof messages / sizeof messages[0]; i++)
		check(run(steer, messages[i], (unsigned)strlen(messages[i])) == UINT32_MAX, "message %u was steered",
		      i);
	steer_bpf_free(steer);
}

static struct listen_config listen_config = { .name = "test" };

static const struct config *on_port(uint16_t port)
{
	static struct config config = { .listens = &listen_config, .listen_count = 1 };

	listen_config.address.port = port;
	return &config;
}

/* Which worker's socket has it; each has at most one datagram at a time. */
static unsigned receive(const struct listeners *listeners, struct bytes expected)
{
	struct pollfd fds[WORKERS];
	char text[8192];

	for (unsigned i = 0; i < WORKERS; i++)
		fds[i] = (struct pollfd){ .fd = listeners_of(listeners, i)[0], .events = POLLIN };
	check(poll(fds, WORKERS, 5000) == 1, "the datagram did not arrive once");
	for (unsigned i = 0; i < WORKERS; i++) {
		if (!fds[i].revents)
			continue;
		ssize_t size = recv(fds[i].fd, text, sizeof text, 0);
		check(size == (ssize_t)expected.size && memcmp(text, expected.at, expected.size) == 0,
		      "another datagram");
		return i;
	}
	return WORKERS;
}

/* The kernel's hash knows addresses only, so whatever the Call-ID, these reach one worker. */
static void a_call_id_past_4_kib_is_left_to_the_kernel(const struct listeners *listeners, int fd,
						       const struct sockaddr_storage *sa, unsigned sa_size)
{
	unsigned first = WORKERS;

	for (unsigned number = 0; number < 50; number++) {
		char message[6000];
		int size = snprintf(message, sizeof message, "OPTIONS sip:x SIP/2.0\r\nX: %*s\r\nCall-ID: %u\r\n\r\n",
				    4100, "x", number);

		check(sendto(fd, message, (size_t)size, 0, (const struct sockaddr *)sa, sa_size) == size,
		      "cannot send");
		unsigned seen = receive(listeners, (struct bytes){ message, (unsigned)size });
		check(first == WORKERS || seen == first, "a Call-ID past 4 KiB was steered");
		first = seen;
	}
}

/* Real sockets: a socket's index in its group is its worker's, and the program sees the payload from its first byte. */
static void the_kernel_hands_it_to_the_worker(const char *host)
{
	address_read_host(bytes_of(host), &listen_config.address);
	struct listeners *listeners = listen_somewhere(WORKERS, on_port);
	struct steer_bpf *steer = load(WORKERS);
	struct sockaddr_storage sa;
	unsigned sa_size = address_to_sockaddr(&listen_config.address, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
	char error[256];

	check(steer_bpf_attach(steer, listeners_of(listeners, 0)[0], error) == 0, "%s", error);
	steer_bpf_free(steer); /* the group keeps it */
	for (unsigned number = 0; number < SENT; number++) {
		char call_id[256], message[4096];

		make_call_id(number, call_id);
		unsigned size = make_message(number, call_id, message, sizeof message);
		check(sendto(fd, message, size, 0, (struct sockaddr *)&sa, sa_size) == (ssize_t)size, "cannot send");
		unsigned seen = receive(listeners, (struct bytes){ message, size });
		check(seen == steer_worker(steer_bucket(&key, bytes_of(call_id)), WORKERS), "it reached worker %u",
		      seen);
	}
	a_call_id_past_4_kib_is_left_to_the_kernel(listeners, fd, &sa, sa_size);
	close(fd);
	listeners_close(listeners);
}

int main(void)
{
	steer_key_init(&key, SECRET, "node1");
	same_bucket_as_in_c();
	what_it_cannot_find_it_leaves_to_the_kernel();
	the_kernel_hands_it_to_the_worker("127.0.0.1");
	the_kernel_hands_it_to_the_worker("::1");
	return 0;
}

#else

int main(void)
{
	(void)key;
	(void)SECRET;
	(void)make_call_id;
	(void)make_message;
	(void)check;
	return SKIPPED;
}

#endif
