/* Bytes to lines to requests, and replies to bytes.  See connection.h for the rules. */
#include "core/control/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/rpc.h"

#define READ_SIZE       65536
#define READS_A_TURN    4 /* so that one busy peer delays the others little */
#define REQUESTS_A_TURN 16
#define REAL_DIGITS     10 /* 0.1 is to stand there as such */

static void let_go(struct connection *n)
{
	if (n->gone)
		return;
	n->gone = true;
	close(n->fd); /* epoll forgets it */
	n->fd = -1;
	n->control->output_bytes -= buffer_size(&n->output);
	buffer_free(&n->output);
	if (n->request != NULL && n->request->report != NULL)
		report_job_hurry(n->request->report);
	control_make_ready(n->control, n);
}

static void watch(struct connection *n)
{
	uint32_t events = 0;
	if (!n->input_ended && (n->refused || buffer_size(&n->input) <= CONNECTION_LINE_MAX))
		events |= EPOLLIN;
	if (buffer_size(&n->output) > 0)
		events |= EPOLLOUT;
	if (n->gone || events == n->events)
		return;
	struct epoll_event event = { .events = events, .data.ptr = n };
	if (epoll_ctl(n->control->epoll_fd, EPOLL_CTL_MOD, n->fd, &event) < 0)
		let_go(n);
	n->events = events;
}

int connection_open(struct control *c, int fd)
{
	struct connection *n = calloc(1, sizeof *n);
	if (n == NULL) {
		close(fd);
		return -ENOMEM;
	}
	n->control = c;
	n->fd = fd;
	n->events = EPOLLIN;
	n->active = ++c->activity;
	struct epoll_event event = { .events = n->events, .data.ptr = n };
	if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int result = -errno;
		close(fd);
		free(n);
		return result;
	}
	n->next = c->connections;
	if (n->next != NULL)
		n->next->previous = n;
	c->connections = n;
	c->connection_count++;
	return 0;
}

void connection_destroy(struct connection *n)
{
	struct control *c = n->control;
	if (n->request != NULL)
		request_drop(n->request);
	control_forget_ready(c, n);
	if (n->fd >= 0)
		close(n->fd);
	json_decref(n->batch);
	c->output_bytes -= buffer_size(&n->output);
	buffer_free(&n->input);
	buffer_free(&n->output);
	if (n->previous != NULL)
		n->previous->next = n->next;
	else
		c->connections = n->next;
	if (n->next != NULL)
		n->next->previous = n->previous;
	c->connection_count--;
	free(n);
}

/* Whoever is still sending would fail at that if the socket were closed, and not look for the reason. */
static void read_away(struct connection *n)
{
	char away[READ_SIZE];
	for (int i = 0; i < READS_A_TURN && !n->input_ended && !n->gone; i++) {
		ssize_t size = recv(n->fd, away, sizeof away, 0);
		if (size > 0)
			n->drained += (size_t)size;
		if (size == 0 || n->drained > CONNECTION_DRAIN_MAX)
			n->input_ended = true;
		else if (size < 0 && errno == EAGAIN)
			return;
		else if (size < 0 && errno != EINTR)
			let_go(n);
	}
}

static void receive(struct connection *n)
{
	n->active = ++n->control->activity;
	if (n->refused) {
		read_away(n);
		return;
	}
	for (int i = 0; i < READS_A_TURN; i++) {
		if (n->input_ended || buffer_size(&n->input) > CONNECTION_LINE_MAX)
			return;
		char *at = buffer_reserve(&n->input, READ_SIZE);
		if (at == NULL) {
			let_go(n);
			return;
		}
		ssize_t size = recv(n->fd, at, READ_SIZE, 0);
		if (size > 0) {
			buffer_commit(&n->input, (size_t)size);
			continue;
		}
		if (size == 0)
			n->input_ended = true;
		else if (errno == EINTR)
			continue;
		else if (errno != EAGAIN)
			let_go(n);
		return;
	}
}

static void transmit(struct connection *n)
{
	while (!n->gone && buffer_size(&n->output) > 0) {
		ssize_t size = send(n->fd, buffer_front(&n->output), buffer_size(&n->output), MSG_NOSIGNAL);
		if (size >= 0) {
			buffer_consume(&n->output, (size_t)size);
			n->control->output_bytes -= (size_t)size;
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			let_go(n);
		}
	}
}

void connection_event(struct connection *n, uint32_t events)
{
	if (n->gone)
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(n);
	if (events & EPOLLOUT)
		transmit(n);
	if (events & (EPOLLHUP | EPOLLERR)) /* closed both ways: nobody is there to read an answer */
		let_go(n);
	control_make_ready(n->control, n);
}

/* Takes the next line off the input; a last one needs no newline.  false: there is none (yet). */
static bool next_line(struct connection *n, const char **ret_line, size_t *ret_size, size_t *ret_taken)
{
	size_t size = buffer_size(&n->input);
	if (size == 0 || n->refused)
		return false;
	char *front = buffer_front(&n->input);
	char *newline = memchr(front + n->input_scanned, '\n', size - n->input_scanned);
	size_t line = newline != NULL ? (size_t)(newline - front) : size;
	n->input_scanned = line;
	if (newline == NULL && line <= CONNECTION_LINE_MAX && !n->input_ended && !n->gone)
		return false;
	*ret_line = front;
	*ret_size = line;
	*ret_taken = newline != NULL ? line + 1 : line;
	return true;
}

static bool is_blank(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

static bool append(struct connection *n, const char *bytes, size_t size)
{
	if (n->gone)
		return false;
	if (!buffer_append(&n->output, bytes, size)) {
		let_go(n);
		return false;
	}
	n->control->output_bytes += size;
	return true;
}

static int append_json(const char *bytes, size_t size, void *context)
{
	return append(context, bytes, size) ? 0 : -1;
}

void connection_reply(struct connection *n, const json_t *reply)
{
	if (n->batch != NULL)
		append(n, n->batch_replies++ == 0 ? "[" : ",", 1);
	if (json_dump_callback(reply, append_json, n, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) < 0)
		let_go(n); /* no memory for it: half a reply is none */
	if (n->batch == NULL)
		append(n, "\n", 1);
	transmit(n);
	if (buffer_size(&n->output) > CONNECTION_OUTPUT_MAX || n->control->output_bytes > CONTROL_OUTPUT_MAX)
		let_go(n);
}

/* Carries out the next request, if there is one that can be. */
static bool step(struct connection *n)
{
	if (n->request != NULL)
		return false;
	if (n->batch != NULL) {
		if (n->batch_next < json_array_size(n->batch)) {
			rpc_request(n, json_array_get(n->batch, n->batch_next++));
			return true;
		}
		json_decref(n->batch);
		n->batch = NULL;
		if (n->batch_replies > 0)
			append(n, "]\n", 2);
		return true;
	}
	const char *line;
	size_t size, taken;
	if (!next_line(n, &line, &size, &taken))
		return false;
	if (size > CONNECTION_LINE_MAX) {
		n->refused = true;
		rpc_line_too_long(n);
		buffer_free(&n->input);
		n->input_scanned = 0;
		return true;
	}
	json_t *value = NULL;
	bool blank = is_blank(line, size);
	if (!blank)
		value = rpc_read(n, line, size);
	buffer_consume(&n->input, taken);
	n->input_scanned = 0;
	if (!json_is_array(value)) {
		if (value != NULL)
			rpc_request(n, value);
		json_decref(value);
		return true;
	}
	n->batch = value;
	n->batch_next = n->batch_replies = 0;
	return true;
}

bool connection_is_idle(const struct connection *n)
{
	return !n->ready && n->request == NULL && n->batch == NULL && buffer_size(&n->output) == 0;
}

void connection_run(struct connection *n)
{
	int left = REQUESTS_A_TURN;
	while (left > 0 && step(n))
		left--;
	transmit(n);
	if (n->refused && !n->said_last && !n->gone && buffer_size(&n->output) == 0) {
		n->said_last = true;
		shutdown(n->fd, SHUT_WR);
	}
	if (left == 0) {
		control_make_ready(n->control, n);
	} else if (n->request == NULL && (n->gone || (n->input_ended && buffer_size(&n->output) == 0))) {
		connection_destroy(n);
		return;
	}
	watch(n);
}
