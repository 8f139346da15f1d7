/* The control socket's connections: lines in pieces and in heaps, peers that vanish, do not read, send anything. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/control/internal.h"
#include "core/control/text.h"
#include "tests/core/fake_node.h"

#define LIST  "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"calls.list\"}\n"
#define DRAIN "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"node.drain\"}\n"
#define PLAIN "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"gateways.list\"}\n"

static struct node *node;

static void setup(void)
{
	node = fake_node_create();
}

static void teardown(void)
{
	fake_node_destroy(node);
}

TestSuite(control_socket, .init = setup, .fini = teardown);

static void send_text(int fd, const char *text)
{
	cr_assert(fake_send(node, fd, text, strlen(text)));
}

static void send_request(int fd, const char *format, int id)
{
	char line[128];
	snprintf(line, sizeof line, format, id);
	send_text(fd, line);
}

/* The id of the next reply; -1: there is none. */
static int next_id(int fd)
{
	char *line = fake_line(node, fd);
	if (line == NULL)
		return -1;
	json_t *reply = json_loads(line, 0, NULL);
	cr_assert_not_null(reply, "%s", line);
	int id = (int)json_integer_value(json_object_get(reply, "id"));
	json_decref(reply);
	free(line);
	return id;
}

Test(control_socket, pipelined_requests_are_answered_in_order)
{
	fake_call_add(node, 0, 1);
	int fd = fake_connect(node);
	static char lines[300 * 64];
	size_t size = 0;
	for (int i = 0; i < 300; i++)
		size += (size_t)snprintf(lines + size, sizeof lines - size, i % 2 ? LIST : PLAIN, i);
	cr_assert_eq(send(fd, lines, size, 0), (ssize_t)size);
	for (int i = 0; i < 300; i++)
		cr_assert_eq(next_id(fd), i);
	close(fd);
}

/* What comes behind a request that waits for the shards waits too, and other connections do not. */
Test(control_socket, a_waiting_request_delays_only_its_own_connection)
{
	int waits = fake_connect(node), other = fake_connect(node);
	node->hold = true;
	send_request(waits, LIST, 1);
	send_request(waits, PLAIN, 2);
	send_request(other, PLAIN, 3);
	cr_assert_eq(next_id(other), 3);
	cr_assert_eq(next_id(waits), -1);
	fake_release(node);
	cr_assert_eq(next_id(waits), 1);
	cr_assert_eq(next_id(waits), 2);
	close(waits);
	close(other);
}

/* An INVITE that comes after the answer is refused, whichever shard it is of. */
Test(control_socket, node_drain_is_answered_when_no_shard_takes_calls)
{
	int fd = fake_connect(node);
	node->hold = true;
	send_request(fd, DRAIN, 1);
	cr_assert_eq(node->submitted, FAKE_SHARDS);
	cr_assert_eq(next_id(fd), -1);
	fake_release(node);
	cr_assert_eq(next_id(fd), 1);
	close(fd);
}

Test(control_socket, a_line_may_come_byte_by_byte)
{
	static const char line[] = "  {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"gateways.list\"}\r\n";
	int fd = fake_connect(node);
	send_text(fd, "\r\n\n   \n"); /* blank lines are nothing */
	for (size_t i = 0; i < strlen(line); i++) {
		cr_assert_eq(next_id(fd), -1);
		cr_assert(fake_send(node, fd, line + i, 1));
	}
	cr_assert_eq(next_id(fd), 5);
	close(fd);
}

Test(control_socket, the_last_line_needs_no_newline_when_the_peer_has_said_all)
{
	int fd = fake_connect(node);
	send_request(fd, PLAIN, 1);
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"calls.list\"}");
	shutdown(fd, SHUT_WR);
	cr_assert_eq(next_id(fd), 1);
	cr_assert_eq(next_id(fd), 2);
	cr_assert(fake_closed(node, fd));
	close(fd);
	cr_assert_eq(node->control->connection_count, 0);
}

/* `echo ... | nc -UN`: the peer has gone before the line is read; it is carried out all the same. */
Test(control_socket, a_notification_from_a_peer_that_closed_at_once_is_carried_out)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"calls.hangup\",\"params\":{\"call_id\":\"b1\"}}";
	fake_call_add(node, 1, 1);
	int fd = fake_connect(node);
	cr_assert_eq(send(fd, line, strlen(line), 0), (ssize_t)strlen(line));
	close(fd);
	fake_pump(node);
	cr_assert(node->calls[0].hung_up);
	cr_assert_eq(node->control->connection_count, 0);
}

Test(control_socket, a_connection_that_vanishes_leaves_its_commands_safe)
{
	fake_call_add(node, 0, 1);
	node->hold = true;
	int fd = fake_connect(node), other = fake_connect(node);
	send_request(fd, LIST, 1);
	cr_assert_eq(node->control->job_count, 1);
	close(fd);
	fake_pump(node);
	send_request(other, PLAIN, 2);
	cr_assert_eq(next_id(other), 2);
	cr_assert_eq(node->control->job_count, 1, "the shards still hold its commands");
	fake_release(node);
	fake_pump(node);
	cr_assert_eq(node->control->job_count, 0);
	cr_assert_eq(node->control->connection_count, 1);
	close(other);
}

Test(control_socket, closing_frees_what_is_under_way)
{
	fake_call_add(node, 0, 1);
	node->hold = true;
	int fd = fake_connect(node);
	send_request(fd, LIST, 1);
	send_text(fd, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.list\"}]\n");
	cr_assert_eq(node->control->job_count, 1);
	control_close(node->control);
	node->held = NULL; /* freed */
	char error[256];
	cr_assert_eq(control_open(node, &node->control, error), 0);
	close(fd);
}

Test(control_socket, too_many_questions_to_the_shards_are_refused)
{
	int fds[CONTROL_JOBS_MAX + 1];
	node->hold = true;
	for (int i = 0; i <= CONTROL_JOBS_MAX; i++) {
		fds[i] = fake_connect(node);
		send_request(fds[i], LIST, i);
	}
	char *line = fake_line(node, fds[CONTROL_JOBS_MAX]);
	cr_assert_not_null(strstr(line, "-32004"));
	free(line);
	fake_release(node);
	for (int i = 0; i < CONTROL_JOBS_MAX; i++)
		cr_assert_eq(next_id(fds[i]), i);
	for (int i = 0; i <= CONTROL_JOBS_MAX; i++)
		close(fds[i]);
}

/* A line of 1 MiB is taken, one byte more is refused and the connection closed. */
Test(control_socket, a_line_longer_than_1_mib_is_refused)
{
	char *line = malloc(CONNECTION_LINE_MAX + 2);
	memset(line, ' ', CONNECTION_LINE_MAX);
	snprintf(line, 128, PLAIN, 6);
	*strchr(line, '\n') = ' ';
	*strchr(line, '\0') = ' ';
	line[CONNECTION_LINE_MAX] = '\n';
	int fd = fake_connect(node);
	cr_assert(fake_send(node, fd, line, CONNECTION_LINE_MAX + 1));
	cr_assert_eq(next_id(fd), 6);
	line[CONNECTION_LINE_MAX] = ' ';
	line[CONNECTION_LINE_MAX + 1] = '\n';
	fake_send(node, fd, line, CONNECTION_LINE_MAX + 2);
	char *reply = fake_line(node, fd);
	cr_assert_not_null(reply);
	cr_assert_not_null(strstr(reply, "-32600"));
	cr_assert_not_null(strstr(reply, "1 MiB"));
	cr_assert(fake_closed(node, fd));
	free(reply);
	free(line);
	close(fd);
	fake_pump(node);
	cr_assert_eq(node->control->connection_count, 0);
}

/* The peer that sends on does not fail at it and finds the reason; one that never ends is cut off. */
Test(control_socket, what_follows_a_line_too_long_is_read_away_within_a_bound)
{
	static char bytes[CONNECTION_LINE_MAX * 2];
	memset(bytes, 'x', sizeof bytes);
	int fd = fake_connect(node);
	cr_assert(fake_send(node, fd, bytes, sizeof bytes));
	char *reply = fake_line(node, fd);
	cr_assert_not_null(strstr(reply, "1 MiB"));
	free(reply);
	bool cut = false;
	for (int i = 0; i < 8 && !cut; i++)
		cut = !fake_send(node, fd, bytes, sizeof bytes);
	cr_assert(cut);
	cr_assert_eq(node->control->connection_count, 0);
	close(fd);
}

/* A reader that does not read is closed once 64 MiB wait for it; another connection notices nothing. */
Test(control_socket, a_reader_that_does_not_read_is_closed)
{
	for (unsigned i = 0; i < FAKE_CALLS_MAX; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	int slow = fake_connect(node), other = fake_connect(node);
	char line[128];
	int sent = 0;
	snprintf(line, sizeof line,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.list\",\"params\":{\"limit\":200}}\n");
	while (sent < 10000 && fake_send(node, slow, line, strlen(line)))
		sent++;
	cr_assert_lt(sent, 10000);
	cr_assert_gt(sent, 200, "not before 64 MiB");
	send_request(other, PLAIN, 3);
	cr_assert_eq(next_id(other), 3);
	cr_assert_eq(node->control->connection_count, 1);
	cr_assert_eq(node->control->output_bytes, 0);
	close(slow);
	close(other);
}

/* One that reads late gets everything. */
Test(control_socket, a_slow_reader_gets_all_replies)
{
	for (unsigned i = 0; i < FAKE_CALLS_MAX; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	int fd = fake_connect(node);
	for (int i = 0; i < 100; i++)
		send_request(fd, LIST, i);
	cr_assert_gt(node->control->output_bytes, 1000000);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(next_id(fd), i);
	cr_assert_eq(node->control->output_bytes, 0);
	close(fd);
}

/* Seeded garbage: random bytes, and requests with bytes changed, cut and doubled.  The socket still answers after. */
Test(control_socket, any_bytes_do_no_harm)
{
	static const char seed_line[] =
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.list\",\"params\":{\"limit\":5,"
		"\"gateway\":\"\\u00e9\"}},{\"jsonrpc\":\"2.0\",\"method\":\"config.show\"}]\n";
	unsigned short random[3] = { 1, 2, 3 };
	fake_call_add(node, 0, 1);
	for (int round = 0; round < 2000; round++) {
		char bytes[512];
		size_t size = sizeof seed_line - 1;
		memcpy(bytes, seed_line, size);
		if (round % 4 == 0) {
			size = (size_t)(nrand48(random) % (long)sizeof bytes);
			for (size_t i = 0; i < size; i++)
				bytes[i] = (char)nrand48(random);
		}
		for (long changes = nrand48(random) % 4; changes > 0 && size > 0; changes--)
			bytes[(size_t)nrand48(random) % size] = (char)nrand48(random);
		int fd = fake_connect(node);
		fake_send(node, fd, bytes, size);
		fake_send(node, fd, "\n", 1);
		close(fd);
	}
	fake_pump(node);
	cr_assert_eq(node->control->connection_count, 0);
	cr_assert_eq(node->control->job_count, 0);
	json_t *reply = fake_ask(node, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateways.list\"}");
	cr_assert_not_null(json_object_get(reply, "result"));
	json_decref(reply);
}

Test(control_socket, deep_nesting_is_an_error_and_no_more)
{
	char *line = malloc(CONNECTION_LINE_MAX);
	memset(line, '[', CONNECTION_LINE_MAX - 1);
	line[CONNECTION_LINE_MAX - 1] = '\n';
	int fd = fake_connect(node);
	cr_assert(fake_send(node, fd, line, CONNECTION_LINE_MAX));
	char *reply = fake_line(node, fd);
	cr_assert_not_null(strstr(reply, "-32700"));
	free(reply);
	free(line);
	close(fd);
}

static void allow_descriptors(rlim_t count)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

Test(control_socket, connection_1001_takes_the_place_of_the_one_idle_longest)
{
	static int fds[CONTROL_CONNECTIONS_MAX + 1];
	allow_descriptors(2100);
	for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
		cr_assert_geq(fds[i] = fake_connect(node), 0);
	send_request(fds[0], PLAIN, 1); /* so the second one is idle longest */
	cr_assert_eq(next_id(fds[0]), 1);
	fds[CONTROL_CONNECTIONS_MAX] = fake_connect(node);
	send_request(fds[CONTROL_CONNECTIONS_MAX], PLAIN, 2);
	cr_assert_eq(next_id(fds[CONTROL_CONNECTIONS_MAX]), 2);
	cr_assert(fake_closed(node, fds[1]));
	send_request(fds[0], PLAIN, 3);
	cr_assert_eq(next_id(fds[0]), 3);
	cr_assert_eq(node->control->connection_count, CONTROL_CONNECTIONS_MAX);
}

/* Whoever is in the middle of a batch is not idle. */
Test(control_socket, connection_1001_is_turned_away_with_a_reason_while_all_are_busy)
{
	static int fds[CONTROL_CONNECTIONS_MAX + 1];
	allow_descriptors(2100);
	for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
		cr_assert_geq(fds[i] = fake_connect(node), 0);
	for (struct connection *n = node->control->connections; n != NULL; n = n->next) {
		n->batch = json_array();
		json_array_append_new(n->batch, json_null());
	}
	fds[CONTROL_CONNECTIONS_MAX] = fake_connect(node);
	char *line = fake_line(node, fds[CONTROL_CONNECTIONS_MAX]);
	cr_assert_not_null(line);
	cr_assert_not_null(strstr(line, "1000 connections"));
	free(line);
	cr_assert(fake_closed(node, fds[CONTROL_CONNECTIONS_MAX]));
	close(fds[1]);
	fake_pump(node);
	int again = fake_connect(node);
	send_request(again, PLAIN, 2);
	cr_assert_eq(next_id(again), 2);
}

/* Out of descriptors: the loop has nothing to do until the pause is over, and then the connection is served. */
Test(control_socket, emfile_pauses_accepting_instead_of_spinning, .timeout = 20)
{
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), fill;
	int spare = dup(client);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "%.100s", node->config.control);
	allow_descriptors(64);
	while ((fill = dup(client)) >= 0)
		;
	cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	fake_pump(node); /* returns only if nothing is readable any more */
	cr_assert_eq(node->control->connection_count, 0);
	close(spare);
	struct pollfd waiting = { .fd = control_fd(node->control), .events = POLLIN };
	cr_assert_eq(poll(&waiting, 1, 10000), 1);
	fake_pump(node);
	send_request(client, PLAIN, 4);
	cr_assert_eq(next_id(client), 4);
}

Test(control_socket, the_socket_is_for_owner_and_group_and_goes_away)
{
	struct stat status;
	cr_assert_eq(stat(node->config.control, &status), 0);
	cr_assert(S_ISSOCK(status.st_mode));
	cr_assert_eq(status.st_mode & 0777, 0660);
	control_close(node->control);
	cr_assert_neq(stat(node->config.control, &status), 0);
	char error[256];
	cr_assert_eq(control_open(node, &node->control, error), 0);
}

Test(control_socket, a_live_socket_is_an_error)
{
	struct control *second = NULL;
	char error[256] = "";
	cr_assert_eq(control_open(node, &second, error), -EADDRINUSE);
	cr_assert_not_null(strstr(error, "another process"));
	cr_assert_null(second);
	int fd = fake_connect(node);
	send_request(fd, PLAIN, 1);
	cr_assert_eq(next_id(fd), 1);
	close(fd);
}

Test(control_socket, a_stale_socket_is_replaced_and_a_file_is_not)
{
	struct control *second = NULL;
	char error[256] = "";
	control_close(node->control);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "%.100s", node->config.control);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd); /* never listened: nobody is there */
	cr_assert_eq(control_open(node, &node->control, error), 0, "%s", error);
	char *socket_path = strdup(node->config.control);
	snprintf(node->config.control, sizeof node->config.control, "%s/cdr.db", node->directory);
	fd = open(node->config.control, O_CREAT | O_WRONLY, 0600);
	close(fd);
	cr_assert_eq(control_open(node, &second, error), -EEXIST);
	cr_assert_eq(access(node->config.control, F_OK), 0);
	memset(node->config.control, 'x', 200);
	node->config.control[200] = '\0';
	cr_assert_eq(control_open(node, &second, error), -ENAMETOOLONG);
	strcpy(node->config.control, socket_path);
	free(socket_path);
}

static void compare(const char *bytes, size_t size)
{
	size_t good = 0;
	unsigned length;
	while (good < size && (length = utf8_length(bytes + good, size - good)) > 0)
		good += length;
	json_t *taken = json_stringn(bytes, size);
	if ((taken != NULL) != (good == size))
		cr_assert_fail("%02x %02x %02x", bytes[0] & 0xff, bytes[1] & 0xff, bytes[2] & 0xff);
	json_decref(taken);
}

/* Sequences of three bytes, the first two walked whole where they matter, and of four bytes: what we call UTF-8, the
 * JSON library takes, and nothing else. */
Test(control_text, rfc3629_4_agrees_with_the_json_library)
{
	for (unsigned value = 0; value < 1u << 24; value += value >> 16 >= 0xc0 ? 1 : 251)
		compare((const char[]){ (char)(value >> 16), (char)(value >> 8), (char)value }, 3);
	for (unsigned value = 0; value < 1u << 16; value++) {
		compare((const char[]){ (char)(value >> 8), (char)value, (char)0x80, (char)0xbf }, 4);
		compare((const char[]){ (char)(value >> 8), (char)value, (char)0xbf, (char)0x41 }, 4);
	}
}
