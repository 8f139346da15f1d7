/* core/net/surplus.bpf.c, by messages through a socket that it is attached to: what an overloaded worker need not read
 * is dropped, all else arrives.  A plain program: exit status 77, skipped, where loading BPF programs is not permitted
 * or not built in. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/receive_queue.h"
#include "core/net/surplus_bpf.h"

enum { SKIPPED = 77, SENT = 4000 };

#define MARKER "q2zx"

static int receiver, sender;

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

static void open_sockets(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof at;
	int bytes = 1 << 20;

	receiver = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	sender = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	check(receiver >= 0 && sender >= 0, "no sockets");
	check(bind(receiver, (const struct sockaddr *)&at, sizeof at) == 0, "cannot bind");
	check(getsockname(receiver, (struct sockaddr *)&at, &size) == 0, "no name");
	check(connect(sender, (const struct sockaddr *)&at, sizeof at) == 0, "cannot connect");
}

/* On the loopback what was sent is there, or dropped, when send() returns. */
static bool arrives(const char *text)
{
	char got[4096];

	check(send(sender, text, strlen(text), 0) == (ssize_t)strlen(text), "cannot send");
	ssize_t size = recv(receiver, got, sizeof got, 0);
	check(size < 0 || (size == (ssize_t)strlen(text) && memcmp(got, text, (size_t)size) == 0), "cut or changed");
	return size >= 0;
}

static const char *with_to(const char *start, const char *to, unsigned filling)
{
	static char text[4096];

	snprintf(text, sizeof text,
		 "%s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1%0*d\r\nFrom: <sip:a@b>;tag=" MARKER
		 "\r\nTo: %s\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\n\r\n",
		 start, (int)filling, 0, to);
	return text;
}

/* To tags: of a refusal of ours, of our dialogs, of others. */
static void acks_to_refusals_are_dropped(struct surplus_bpf *s)
{
	static const struct {
		const char *start, *to;
		bool arrives;
	} cases[] = {
		{ "ACK sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;tag=" MARKER "-0123456789abcdef", false },
		{ "ACK sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;x==" MARKER "-0123456789abcdef", false },
		{ "ACK tel:8801", "<tel:8801>;tag=" MARKER "-0123456789abcdef", false },
		{ "ACK sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;tag=" MARKER "abcdefghijklmnopqrstuvwxyz23", true },
		{ "ACK sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;tag=" MARKER, true },
		{ "ACK sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;tag=zzzz-0123456789abcdef", true },
		{ "ACK sip:" MARKER "aaa@192.0.2.9", "<sip:8801@192.0.2.9>;tag=" MARKER "-0123456789abcdef", true },
		{ "BYE sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;tag=" MARKER "-0123456789abcdef", true },
		{ "ACKS sip:8801@192.0.2.9", "<sip:8801@192.0.2.9>;tag=" MARKER "-0123456789abcdef", true },
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned filling = 1; filling < 70; filling++)
			check(arrives(with_to(cases[i].start, cases[i].to, filling)) == cases[i].arrives,
			      "case %u, filled by %u", i, filling);
	check(surplus_bpf_acks(s) == 3 * 69, "%llu counted", (unsigned long long)surplus_bpf_acks(s));
}

static void all_else_arrives(void)
{
	static const char *const texts[] = {
		"\r\n\r\n",
		"x",
		"ACK ",
		"INVITE sip:",
		"SIP/2.0 200 OK\r\n\r\n",
		"INVITE sip:8801@192.0.2.9 SIP/2.0\r\n\r\n",
	};
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
		check(arrives(texts[i]), "\"%s\"", texts[i]);
}

/* The share that was set, and none of what belongs to calls that are up. */
static void surplus_invites_are_dropped(struct surplus_bpf *s)
{
	static const char *const kept[] = {
		"INVITE sip:" MARKER "aaabbbbbbbbbbbbbbbbbbbbbbbbb@192.0.2.9 SIP/2.0\r\n\r\n",
		"INVITES sip:1@192.0.2.9 SIP/2.0\r\n",
		"BYE sip:8801@192.0.2.9 SIP/2.0\r\n\r\n",
		"CANCEL sip:8801@192.0.2.9 SIP/2.0\r\n\r\n",
		"ACK sip:8801@192.0.2.9 SIP/2.0\r\n\r\n",
		"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n",
	};
	unsigned arrived = 0;

	surplus_bpf_let_in(s, 0);
	for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
		check(arrives(kept[i]), "\"%s\"", kept[i]);
	surplus_bpf_let_in(s, SURPLUS_ALL / 4);
	for (unsigned i = 0; i < SENT; i++)
		arrived += arrives("INVITE sip:8801@192.0.2.9 SIP/2.0\r\n\r\n");
	check(arrived > SENT / 5 && arrived < SENT * 3 / 10, "%u of %u arrived", arrived, SENT);
	check(surplus_bpf_dropped(s) == SENT - arrived, "%llu counted", (unsigned long long)surplus_bpf_dropped(s));
	surplus_bpf_let_in(s, SURPLUS_ALL);
	check(arrives("INVITE sip:8801@192.0.2.9 SIP/2.0\r\n\r\n"), "one that is to be let in");
}

/* How full it is, and what did not fit. */
static void receive_queue_is_seen(void)
{
	struct receive_queues q;
	char text[1000] = "INVITE sip:8801@192.0.2.9 SIP/2.0\r\n", got[1000];

	receive_queues_look(&receiver, 1, &q);
	uint32_t drops = q.drops;
	check(q.permille == 0, "an empty queue is %u permille full", q.permille);
	for (unsigned i = 0; i < 100; i++)
		send(sender, text, sizeof text, 0);
	receive_queues_look(&receiver, 1, &q);
	check(q.permille > 20 && q.permille < 900 && q.drops == drops, "%u permille, %u drops", q.permille, q.drops);
	for (unsigned i = 0; i < 5000; i++)
		send(sender, text, sizeof text, 0);
	receive_queues_look(&receiver, 1, &q);
	check(q.permille > 900 && q.drops - drops > 1000, "%u permille, %u drops", q.permille, q.drops);
	while (recv(receiver, got, sizeof got, 0) > 0)
		;
	receive_queues_look(&receiver, 1, &q);
	check(q.permille == 0, "%u permille left", q.permille);
	receive_queues_look(&(int){ -1 }, 1, &q);
	check(q.permille == 0 && q.drops == 0, "a socket that is none");
}

int main(void)
{
	struct surplus_bpf *s;

	open_sockets();
	receive_queue_is_seen();
	int r = surplus_bpf_load(MARKER, &s);
	if (r == -EPERM || r == -EACCES || r == -ENOTSUP) {
		fprintf(stderr, "skipped: %s\n", strerror(-r));
		return SKIPPED;
	}
	check(r == 0, "cannot load it: %s", strerror(-r));
	check(surplus_bpf_attach(s, &receiver, 1) == 0, "cannot attach it");
	all_else_arrives();
	acks_to_refusals_are_dropped(s);
	surplus_invites_are_dropped(s);
	surplus_bpf_let_in(s, 0);
	surplus_bpf_detach(s, &receiver, 1);
	check(arrives("INVITE sip:8801@192.0.2.9 SIP/2.0\r\n\r\n"), "after it was taken off");
	surplus_bpf_free(s);
	return 0;
}
