/* Strangers: see the header. */
#include "bench/strangers.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/process.h"

enum {
	BATCH = 64,
	GARBAGE = 5, /* from here on kinds are no SIP */
	KINDS = GARBAGE + 4,
	MESSAGE_MAX = 4096,
	ANSWER_MAX = 4096,
	ID_SIZE = 16,
	LISTEN_MS = 200, /* after the last datagram */
	BUFFER_BYTES = 4 * 1024 * 1024,
};

#define TICK_NS UINT64_C(500000)

struct message {
	size_t size;
	size_t id_at[3]; /* where ID_SIZE hexadecimal digits change with each datagram; 0: nowhere */
	char text[MESSAGE_MAX];
};

struct shared {
	struct strangers_counts counts;
	_Atomic bool stop;
};

struct strangers {
	struct shared *shared;
	pid_t pid;
};

/* ---- what they say ---- */

#define ID "0000000000000000"

/* Method, what follows To, method. */
static const char request_form[] = "%s sip:0044123456@192.0.2.1 SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP 203.0.113.9:5062;branch=z9hG4bK" ID ";rport\r\n"
				   "Max-Forwards: 70\r\n"
				   "From: \"sip\" <sip:100@1.1.1.1>;tag=" ID "\r\n"
				   "To: \"sip\" <sip:100@1.1.1.1>%s\r\n"
				   "Call-ID: " ID "@203.0.113.9\r\n"
				   "CSeq: 1 %s\r\n"
				   "Contact: <sip:100@203.0.113.9:5062>\r\n"
				   "User-Agent: friendly-scanner\r\n"
				   "Accept: application/sdp\r\n"
				   "Content-Length: 0\r\n"
				   "\r\n";

static void note_ids(struct message *m)
{
	unsigned n = 0;

	for (char *at = m->text; n < 3 && (at = memmem(at, m->size - (size_t)(at - m->text), ID, ID_SIZE));
	     at += ID_SIZE)
		m->id_at[n++] = (size_t)(at - m->text);
}

static void make_request(struct message *m, const char *method, const char *to_tag)
{
	m->size = (size_t)snprintf(m->text, sizeof m->text, request_form, method, to_tag, method);
	note_ids(m);
}

static void make_vias(struct message *m)
{
	int at = snprintf(m->text, sizeof m->text, "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\n");

	for (unsigned i = 0; i < 30; i++)
		at += snprintf(m->text + at, sizeof m->text - (size_t)at,
			       "v: SIP/2.0/UDP 203.0.113.%u;branch=z9hG4bK" ID "\r\n", i);
	at += snprintf(m->text + at, sizeof m->text - (size_t)at,
		       "f: <sip:a@b>;tag=1\r\nt: <sip:a@b>\r\ni: " ID "\r\nCSeq: 1 OPTIONS\r\n\r\n");
	m->size = (size_t)at;
	note_ids(m);
}

static void make_noise(struct message *m, size_t size, struct bench_random *random)
{
	m->size = size;
	for (size_t i = 0; i < size; i++)
		m->text[i] = (char)bench_random(random);
}

static void make_all(struct message *all, struct bench_random *random)
{
	make_request(&all[0], "INVITE", "");
	make_request(&all[1], "REGISTER", "");
	make_request(&all[2], "OPTIONS", "");
	make_request(&all[3], "BYE", ";tag=nobody");
	make_vias(&all[4]);
	make_request(&all[GARBAGE], "INVITE", "");
	all[GARBAGE].size = all[GARBAGE].size * 2 / 3; /* cut */
	make_request(&all[GARBAGE + 1], "INVITE INVITE", "");
	make_noise(&all[GARBAGE + 2], 400, random);
	make_noise(&all[GARBAGE + 3], 40, random);
}

/* ---- the process ---- */

struct flood {
	const struct strangers_settings *settings;
	struct shared *shared;
	struct bench_random random;
	int socket[STRANGERS_SOURCES_MAX];
	struct message message[KINDS];
	char text[BATCH][MESSAGE_MAX];
	struct iovec vector[BATCH];
	struct mmsghdr header[BATCH];
	char answer[ANSWER_MAX];
	uint64_t serial;
};

static int open_socket(const struct address *from, const struct address *to)
{
	struct sockaddr_storage local, remote;
	unsigned local_size = address_to_sockaddr(from, &local), remote_size = address_to_sockaddr(to, &remote);
	int size = BUFFER_BYTES, fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if (bind(fd, (struct sockaddr *)&local, local_size) == 0 &&
	    connect(fd, (struct sockaddr *)&remote, remote_size) == 0)
		return fd;
	int r = -errno;
	close(fd);
	return r;
}

static void write_id(char *at, uint64_t serial)
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < ID_SIZE; i++, serial >>= 4)
		at[i] = hex[serial & 15];
}

static void prepare(struct flood *f, unsigned slot)
{
	unsigned first = f->settings->garbage ? GARBAGE : 0;
	const struct message *m = &f->message[first + bench_random_below(&f->random, KINDS - first)];
	struct strangers_counts *c = &f->shared->counts;

	memcpy(f->text[slot], m->text, m->size);
	for (unsigned i = 0; i < 3; i++)
		if (m->id_at[i] > 0)
			write_id(f->text[slot] + m->id_at[i], f->serial);
	f->serial += UINT64_C(0x9e3779b97f4a7c15);
	f->vector[slot] = (struct iovec){ f->text[slot], m->size };
	f->header[slot].msg_hdr = (struct msghdr){ .msg_iov = &f->vector[slot], .msg_iovlen = 1 };
	c->sent_bytes += m->size;
	if (m->size > c->largest_sent)
		c->largest_sent = m->size;
}

static void send_batch(struct flood *f, unsigned count)
{
	int fd = f->socket[bench_random_below(&f->random, f->settings->source_count)];

	for (unsigned i = 0; i < count; i++)
		prepare(f, i);
	int sent = sendmmsg(fd, f->header, count, MSG_DONTWAIT);
	f->shared->counts.sent += sent > 0 ? (unsigned)sent : 0;
	f->shared->counts.unsent += count - (sent > 0 ? (unsigned)sent : 0);
}

static void hear(struct flood *f)
{
	struct strangers_counts *c = &f->shared->counts;

	for (unsigned i = 0; i < f->settings->source_count; i++) {
		ssize_t size;

		while ((size = recv(f->socket[i], f->answer, sizeof f->answer, MSG_DONTWAIT | MSG_TRUNC)) > 0) {
			c->answers++;
			c->answers_bytes += (size_t)size;
			if ((size_t)size > c->largest_answer)
				c->largest_answer = (size_t)size;
		}
	}
}

static void send_due(struct flood *f, uint64_t elapsed_ns)
{
	const struct strangers_counts *c = &f->shared->counts;
	uint64_t wanted = (uint64_t)((double)elapsed_ns * f->settings->rate / 1e9), done = c->sent + c->unsent;

	while (done < wanted) {
		unsigned count = wanted - done < BATCH ? (unsigned)(wanted - done) : BATCH;

		send_batch(f, count);
		done += count;
	}
}

static void flood(struct flood *f)
{
	struct strangers_counts *c = &f->shared->counts;
	uint64_t begin_ns = bench_wall_ns();
	const struct timespec tick = { .tv_nsec = (long)TICK_NS };

	while (!atomic_load(&f->shared->stop)) {
		send_due(f, bench_wall_ns() - begin_ns);
		hear(f);
		nanosleep(&tick, NULL);
	}
	c->run_ns = bench_wall_ns() - begin_ns;
	c->cpu_ns = bench_cpu_ns();
	usleep(LISTEN_MS * 1000);
	hear(f);
}

static int run(const struct strangers_settings *settings, struct shared *shared)
{
	struct flood *f = calloc(1, sizeof *f);

	if (!f)
		return 1;
	f->settings = settings;
	f->shared = shared;
	f->random.state = settings->seed;
	for (unsigned i = 0; i < settings->source_count; i++) {
		char text[ADDRESS_TEXT_MAX];

		f->socket[i] = open_socket(&settings->source[i], &settings->target);
		if (f->socket[i] >= 0)
			continue;
		address_write(&settings->source[i], text);
		fprintf(stderr, "rwbench: strangers cannot use %s: %s\n", text, strerror(-f->socket[i]));
		return 1;
	}
	if (settings->cpu >= 0)
		process_pin(0, settings->cpu);
	prctl(PR_SET_TIMERSLACK, 1UL);
	make_all(f->message, &f->random);
	flood(f);
	return 0;
}

struct strangers *strangers_start(const struct strangers_settings *settings)
{
	struct strangers *s = calloc(1, sizeof *s);
	pid_t parent = getpid();

	if (!s)
		return NULL;
	s->shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s->pid = s->shared == MAP_FAILED ? -1 : fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "strangers");
		_exit(getppid() == parent ? run(settings, s->shared) : 1);
	}
	if (s->pid > 0)
		return s;
	fprintf(stderr, "rwbench: strangers cannot be started: %s\n", strerror(errno));
	free(s);
	return NULL;
}

void strangers_stop(struct strangers *s, struct strangers_counts *ret_counts)
{
	atomic_store(&s->shared->stop, true);
	waitpid(s->pid, NULL, 0);
	*ret_counts = s->shared->counts;
	munmap(s->shared, sizeof *s->shared);
	free(s);
}
