/* core/net/uring: what a worker sees when its buffers run out, and when the kernel refuses to send.  A plain program,
 * so that it runs under the sanitizers; exit status 77, skipped, where io_uring is not permitted or sockets are small.
 */
#include "core/net/uring.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SKIPPED = 77, COUNT = 2000, TURNS_MAX = 100000, ROOM_BYTES = 8 * 1024 * 1024 };

struct world {
	struct uring uring;
	int socket, peer, wake;
	struct address address; /* of the socket */
	unsigned seen;          /* datagrams, in order */
	unsigned refused;
	char refused_text[64];
};

static void check(bool ok, const char *format, ...)
{
	va_list arguments;

	if (ok)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static int open_socket(struct address *ret_address)
{
	struct address any = { .family = 4, .ip = { 127, 0, 0, 1 } };
	struct sockaddr_storage sa;
	socklen_t size = address_to_sockaddr(&any, &sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = ROOM_BYTES;

	check(fd >= 0 && bind(fd, (struct sockaddr *)&sa, size) == 0, "a socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	getsockname(fd, (struct sockaddr *)&sa, &size);
	address_from_sockaddr((struct sockaddr *)&sa, ret_address);
	return fd;
}

static void begin(struct world *w)
{
	char error[256] = "";
	struct address peer;
	int room = 0;
	socklen_t size = sizeof room;

	memset(w, 0, sizeof *w);
	w->socket = open_socket(&w->address);
	w->peer = open_socket(&peer);
	w->wake = eventfd(0, EFD_CLOEXEC);
	getsockopt(w->socket, SOL_SOCKET, SO_RCVBUF, &room, &size);
	int r = uring_open(&w->uring, &w->socket, 1, w->wake, error);
	if (r < 0 || room < ROOM_BYTES) {
		fprintf(stderr, "skipped: %s\n", r < 0 ? error : "sockets are small here");
		exit(SKIPPED);
	}
}

static void end(struct world *w)
{
	uring_close(&w->uring);
	close(w->socket);
	close(w->peer);
	close(w->wake);
}

static void take(void *context, const struct received *r)
{
	struct world *w = context;
	uint32_t number;

	check(r->datagram.size == sizeof number && !r->truncated, "%u bytes", r->datagram.size);
	memcpy(&number, r->datagram.at, sizeof number);
	check(number == w->seen, "number %u in place of %u", number, w->seen);
	w->seen++;
}

static void note_refused(void *context, struct bytes datagram)
{
	struct world *w = context;

	w->refused++;
	snprintf(w->refused_text, sizeof w->refused_text, "%.*s", (int)datagram.size, datagram.at);
}

/* A worker that submits and does not look: the kernel takes every buffer, and stops.  Then all of it is there. */
static void test_buffers_run_out(void)
{
	struct world w;
	struct sockaddr_storage sa;

	begin(&w);
	unsigned size = address_to_sockaddr(&w.address, &sa);
	for (uint32_t i = 0; i < COUNT; i++)
		check(sendto(w.peer, &i, sizeof i, 0, (struct sockaddr *)&sa, size) == sizeof i, "%s", strerror(errno));
	for (unsigned i = 0; i < COUNT; i++)
		uring_submit(&w.uring);
	check(w.seen == 0, "handled by itself");
	for (unsigned turns = 0; w.seen < COUNT; turns++) {
		check(turns < TURNS_MAX, "%u of %d came", w.seen, COUNT);
		uring_handle(&w.uring, take, note_refused, &w);
		uring_submit(&w.uring);
	}
	check(w.uring.starved > 0, "%d datagrams did not take all buffers", COUNT);
	check(w.uring.lost == 0, "%llu lost", (unsigned long long)w.uring.lost);
	end(&w);
}

static void send_to(struct world *w, const struct address *to, const char *text)
{
	char *at = uring_lend(&w->uring, 100);

	check(at != NULL, "no room to send");
	memcpy(at, text, strlen(text));
	uring_send(&w->uring, 0, to, at, strlen(text));
	uring_submit(&w->uring);
	for (unsigned i = 0; i < 3; i++) {
		uring_handle(&w->uring, take, note_refused, w);
		uring_submit(&w->uring);
	}
}

/* A broadcast address is not permitted without asking for it; the one in between goes out all the same. */
static void test_refused_sends_are_counted_and_told(void)
{
	const struct address broadcast = { .family = 4, .port = 9, .ip = { 255, 255, 255, 255 } };
	struct world w;
	uint32_t zero = 0;

	begin(&w);
	send_to(&w, &broadcast, "one");
	check(w.refused == 1 && strcmp(w.refused_text, "one") == 0, "%u: %s", w.refused, w.refused_text);
	check(w.uring.refused_sends == 1 && w.uring.busy_sends == 0 && w.uring.lost == 1, "counted otherwise");
	check(w.uring.send_error == EACCES, "%s", strerror(w.uring.send_error));
	char *at = uring_lend(&w.uring, sizeof zero);
	memcpy(at, &zero, sizeof zero);
	uring_send(&w.uring, 0, &w.address, at, sizeof zero);
	for (unsigned turns = 0; w.seen == 0; turns++) {
		check(turns < TURNS_MAX, "nothing came");
		uring_submit(&w.uring);
		uring_handle(&w.uring, take, note_refused, &w);
	}
	send_to(&w, &broadcast, "two");
	check(w.refused == 2 && strcmp(w.refused_text, "two") == 0, "%u: %s", w.refused, w.refused_text);
	check(w.uring.refused_sends == 2 && w.uring.sent == 3, "counted otherwise");
	end(&w);
}

int main(void)
{
	test_buffers_run_out();
	test_refused_sends_are_counted_and_told();
	puts("ok");
	return 0;
}
