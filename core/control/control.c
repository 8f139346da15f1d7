/* The listening socket and the loop.  One epoll instance holds the listener, the connections, an eventfd that says that
 * connections have requests left to carry out, and a timer that resumes accepting after the process ran out of
 * descriptors. */
#include "core/control/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/control/changes.h"
#include "core/control/internal.h"
#include "core/control/methods.h"

#define BACKLOG        128
#define ACCEPTS_A_TURN 64
#define EVENTS_A_TURN  64
#define ACCEPT_PAUSE_S 1

static int fail(char error[static 256], int result, const char *what, const char *path)
{
	snprintf(error, 256, "control socket %.180s: %s: %s", path, what, strerror(-result));
	return result;
}

static int set_address(const char *path, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	size_t length = strlen(path);
	if (length >= sizeof ret_address->sun_path)
		return -ENAMETOOLONG;
	memcpy(ret_address->sun_path, path, length + 1);
	return 0;
}

/* -EADDRINUSE: its process lives; -EEXIST: it is no socket. */
static int find_owner(const struct sockaddr_un *address, bool *ret_stale)
{
	struct stat status;
	*ret_stale = false;
	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int result = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : -errno;
	close(fd);
	*ret_stale = result == -ECONNREFUSED;
	if (*ret_stale)
		return 0;
	return result == 0 || result == -EAGAIN ? -EADDRINUSE : result;
}

/* *ret_stale: a dead process has left its socket there. */
static int check(const char *path, struct sockaddr_un *ret_address, bool *ret_stale, char error[static 256])
{
	int result = set_address(path, ret_address);
	if (result < 0)
		return fail(error, result, "the path may have 107 bytes", path);
	result = find_owner(ret_address, ret_stale);
	if (result < 0)
		return fail(error, result,
			    result == -EADDRINUSE ? "another process answers on it"
			    : result == -EEXIST   ? "the path holds something that is no socket"
						  : "cannot replace it",
			    path);
	return 0;
}

int control_check(const char *path, char error[static 256])
{
	struct sockaddr_un address;
	bool stale;
	return check(path, &address, &stale, error);
}

static int listen_on(struct control *c, const char *path, char error[static 256])
{
	struct sockaddr_un address;
	bool stale;
	int result = check(path, &address, &stale, error);
	if (result < 0)
		return result;
	if (stale && unlink(address.sun_path) < 0)
		return fail(error, -errno, "cannot replace it", path);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listen_fd < 0)
		return fail(error, -errno, "socket", path);
	/* The mode is set before the path exists, so that nobody slips in; what the umask took is given back after. */
	struct stat status;
	if (fchmod(c->listen_fd, 0660) < 0 || bind(c->listen_fd, (struct sockaddr *)&address, sizeof address) < 0)
		return fail(error, -errno, "cannot create it", path);
	memcpy(c->path, address.sun_path, sizeof c->path);
	if (chmod(c->path, 0660) < 0 || stat(c->path, &status) < 0 || listen(c->listen_fd, BACKLOG) < 0)
		return fail(error, -errno, "cannot listen on it", path);
	c->device = status.st_dev;
	c->inode = status.st_ino;
	return 0;
}

static int watch(struct control *c, int fd, void *tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };
	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_all(struct control *c, char error[static 256])
{
	const char *path = node_config(c->node)->control;
	int result = listen_on(c, path, error);
	if (result < 0)
		return result;
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->report_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->pause_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->epoll_fd < 0 || c->wake_fd < 0 || c->report_fd < 0 || c->pause_fd < 0)
		return fail(error, -errno, "epoll", path);
	if ((result = watch(c, c->listen_fd, &c->listen_fd)) < 0 || (result = watch(c, c->wake_fd, &c->wake_fd)) < 0 ||
	    (result = watch(c, c->report_fd, &c->report_fd)) < 0 || (result = watch(c, c->pause_fd, &c->pause_fd)) < 0)
		return fail(error, result, "epoll", path);
	return 0;
}

int control_open(struct node *node, struct control **ret_control, char error[static 256])
{
	struct control *c = calloc(1, sizeof *c);
	if (c == NULL)
		return fail(error, -ENOMEM, "open", node_config(node)->control);
	c->node = node;
	c->listen_fd = c->epoll_fd = c->wake_fd = c->report_fd = c->pause_fd = -1;
	int result = open_all(c, error);
	if (result < 0)
		control_close(c);
	else
		*ret_control = c;
	return result;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void control_close(struct control *c)
{
	while (c->connections != NULL)
		connection_destroy(c->connections);
	calls_jobs_free(c);
	change_jobs_free(c);
	reports_free(c);
	assert(c->connection_count == 0 && c->job_count == 0 && c->change_count == 0 && c->report_count == 0 &&
	       c->output_bytes == 0);
	struct stat status; /* a later process may have put its own there */
	if (c->inode != 0 && stat(c->path, &status) == 0 && status.st_dev == c->device && status.st_ino == c->inode)
		unlink(c->path);
	close_fd(c->listen_fd);
	close_fd(c->epoll_fd);
	close_fd(c->wake_fd);
	close_fd(c->report_fd);
	close_fd(c->pause_fd);
	free(c);
}

int control_fd(const struct control *c)
{
	return c->epoll_fd;
}

static void wake(struct control *c)
{
	uint64_t one = 1;
	ssize_t written = write(c->wake_fd, &one, sizeof one);
	(void)written; /* it fails only when it is awake already */
}

void control_make_ready(struct control *c, struct connection *n)
{
	if (n->ready)
		return;
	n->ready = true;
	n->ready_next = NULL;
	if (c->ready_first == NULL) {
		c->ready_first = n;
		wake(c);
	} else {
		c->ready_last->ready_next = n;
	}
	c->ready_last = n;
}

void control_forget_ready(struct control *c, struct connection *n)
{
	if (!n->ready)
		return;
	n->ready = false;
	struct connection *before = NULL;
	for (struct connection *at = c->ready_first; at != n; at = at->ready_next)
		before = at;
	if (before != NULL)
		before->ready_next = n->ready_next;
	else
		c->ready_first = n->ready_next;
	if (c->ready_last == n)
		c->ready_last = before;
}

/* Runs each connection that is ready now once; those that have more to do are ready for the next turn. */
static void run_ready(struct control *c)
{
	size_t count = 0;
	for (struct connection *n = c->ready_first; n != NULL; n = n->ready_next)
		count++;
	for (; count > 0; count--) {
		struct connection *n = c->ready_first;
		control_forget_ready(c, n);
		connection_run(n);
	}
}

static void listen_watch(struct control *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = &c->listen_fd };
	epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, c->listen_fd, &event);
}

/* No descriptor or memory for another connection: a listener that stays readable would be asked in a tight loop. */
static void pause_accepting(struct control *c)
{
	struct itimerspec pause = { .it_value.tv_sec = ACCEPT_PAUSE_S };
	if (timerfd_settime(c->pause_fd, 0, &pause, NULL) == 0)
		listen_watch(c, 0);
}

static void turn_away(int fd)
{
	json_t *reply = rpc_error_reply(NULL, RPC_BUSY,
					"The control socket has its limit of 1000 connections, none of them idle.");
	char *line = json_dumps(reply, JSON_COMPACT);
	if (line != NULL && send(fd, line, strlen(line), MSG_NOSIGNAL) > 0)
		send(fd, "\n", 1, MSG_NOSIGNAL);
	free(line);
	json_decref(reply);
	close(fd);
}

/* Whoever left a thousand connections open does not lock the others out.  false: none of them is idle. */
static bool make_room(struct control *c)
{
	struct connection *longest = NULL;
	for (struct connection *n = c->connections; n != NULL; n = n->next)
		if (connection_is_idle(n) && (longest == NULL || n->active < longest->active))
			longest = n;
	if (longest == NULL)
		return false;
	connection_destroy(longest);
	return true;
}

static void accept_some(struct control *c)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN)
				pause_accepting(c);
			return;
		}
		if (c->connection_count >= CONTROL_CONNECTIONS_MAX && !make_room(c)) {
			turn_away(fd);
		} else if (connection_open(c, fd) < 0) {
			pause_accepting(c);
			return;
		}
	}
}

/* Takes the count off an eventfd or timerfd. */
static void drain(int fd)
{
	uint64_t count;
	ssize_t size = read(fd, &count, sizeof count);
	(void)size;
}

void control_handle(struct control *c)
{
	struct epoll_event events[EVENTS_A_TURN];
	int count = epoll_wait(c->epoll_fd, events, EVENTS_A_TURN, 0);
	bool knocked = false, reported = false;
	for (int i = 0; i < count; i++) {
		void *tag = events[i].data.ptr;
		if (tag == &c->listen_fd) {
			knocked = true;
		} else if (tag == &c->wake_fd) {
			drain(c->wake_fd);
		} else if (tag == &c->report_fd) {
			drain(c->report_fd);
			reported = true;
		} else if (tag == &c->pause_fd) {
			drain(c->pause_fd);
			listen_watch(c, EPOLLIN);
		} else {
			connection_event(tag, events[i].events);
		}
	}
	if (reported)
		reports_done(c);
	if (knocked)
		accept_some(c); /* may free a connection, so only after their events */
	run_ready(c);
	if (c->ready_first != NULL)
		wake(c);
}

void control_command_done(struct control *c, struct command *command)
{
	assert(command->owner == c);
	if (command->kind == COMMAND_CREDIT)
		change_credit_done(command);
	else
		calls_command_done(command);
}
