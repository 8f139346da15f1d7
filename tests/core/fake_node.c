/* See fake_node.h.  Everything happens in the test's own thread, so the order of events is the test's. */
#include "tests/core/fake_node.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "billing/ledger.h"
#include "core/control/internal.h"

static struct source sources[] = {
	{ { .family = 4, .ip = { 127, 0, 0, 0 } }, 8 },
	{ { .family = 4, .port = 5070, .ip = { 192, 0, 2, 1 } }, 32 },
};
static struct mapping_gateway mappings[] = {
	{ .name = "customer",
	  .id = FAKE_CUSTOMER,
	  .sources = sources,
	  .source_count = 2,
	  .capacity = 10,
	  .account = "acct",
	  .timer = true },
};
static char *prefixes[] = { (char *)"880", (char *)"" };
static struct routing_gateway routings[] = {
	{ .name = "vendor",
	  .id = FAKE_VENDOR,
	  .addresses = { { .family = 4, .port = 5080, .ip = { 127, 0, 0, 1 } } },
	  .address_count = 1,
	  .prefixes = prefixes,
	  .prefix_count = 2,
	  .prefix_listed = 2,
	  .priority = 1,
	  .capacity = 500 },
};
static struct listen_config listens[] = {
	{ .name = "main",
	  .address = { .family = 4, .port = 5060, .ip = { 127, 0, 0, 1 } },
	  .host_port = "127.0.0.1:5060" },
};

const struct config *node_config(const struct node *n)
{
	return &n->config;
}

unsigned node_shard_count(const struct node *n)
{
	(void)n;
	return FAKE_SHARDS;
}

uint16_t node_boot(const struct node *n)
{
	(void)n;
	return 7;
}

int64_t node_started_us(const struct node *n)
{
	(void)n;
	return 1700000000000000;
}

uint64_t node_uptime_s(const struct node *n)
{
	(void)n;
	return 3661;
}

bool node_steering_by_bpf(const struct node *n)
{
	(void)n;
	return false;
}

bool node_stopping(const struct node *n)
{
	return n->stopped;
}

const char *node_database_path(const struct node *n)
{
	return n->database;
}

void node_shard_stats(const struct node *n, unsigned shard, struct shard_stats *ret_stats)
{
	*ret_stats = n->stats[shard];
}

uint64_t node_now_ns(const struct node *n)
{
	return n->now_ns;
}

struct tallies node_tallies(const struct node *n)
{
	return (struct tallies){ n->tallies, FAKE_SHARDS };
}

struct quality_books node_qualities(const struct node *n)
{
	return (struct quality_books){ n->qualities, FAKE_SHARDS };
}

void node_books(const struct node *n, struct books_figures *ret_figures)
{
	*ret_figures = n->books;
}

int node_completion_fd(const struct node *n)
{
	return n->completion_fd;
}

bool node_draining(const struct node *n)
{
	return n->draining;
}

uint32_t node_drain_left_s(const struct node *n)
{
	return n->drain_timeout_s;
}

void node_drain(struct node *n, uint32_t timeout_s)
{
	n->draining = true;
	n->drain_timeout_s = timeout_s;
}

static void change_parameter(struct node *n, struct change *change)
{
	struct parameters *p = &n->config.parameters;
	int index = parameter_find(change->name);
	parameter_text(p, index, change->was, sizeof change->was);
	change->result = parameter_set(p, change->name, change->value, change->error);
	parameter_text(p, index, change->value, sizeof change->value);
}

static void reload(struct node *n, struct change *change)
{
	if (n->refusal != NULL) {
		change->result = -EINVAL;
		snprintf(change->error, sizeof change->error, "%s", n->refusal);
		return;
	}
	change->mapping_gateways = 1;
	change->routing_gateways = 2;
	change->prefixes = 3;
	change->ms = 4;
	change->warnings = n->warnings != NULL ? strdup(n->warnings) : NULL;
}

/* On a database of its own, at once. */
static void carry_out_order(struct node *n, struct change *change)
{
	char path[300];
	snprintf(path, sizeof path, "%s/" LEDGER_FILE, n->directory);
	order_carry_out(&change->order, path, 1700000000000000, &change->outcome);
	change->result = change->outcome.result;
	snprintf(change->error, sizeof change->error, "%s", change->outcome.error);
	if (change->result == 0 && change->outcome.moved_e8 != 0)
		change->credit_account = n->credit_account;
	if (change->result == 0 && n->refusal != NULL) {
		change->result = -EIO;
		snprintf(change->error, sizeof change->error, "%s", n->refusal);
	}
}

static void make_change(struct node *n, struct change *change)
{
	if (change->kind == CHANGE_PARAMETER)
		change_parameter(n, change);
	else if (change->kind == CHANGE_ORDER)
		carry_out_order(n, change);
	else
		reload(n, change);
	if (change->result == 0)
		change->generation = ++n->config.generation;
	change->next = n->changes_done;
	n->changes_done = change;
	eventfd_write(n->completion_fd, 1);
}

void node_change(struct node *n, struct change *change)
{
	n->change_count++;
	if (!n->hold) {
		make_change(n, change);
		return;
	}
	change->next = n->changes_held;
	n->changes_held = change;
}

void node_stop(struct node *n, bool keep_calls)
{
	n->stopped = true;
	n->kept_calls = keep_calls;
}

static bool row_wanted(const struct command *command, const struct fake_call *call)
{
	const struct call_row *row = &call->row;
	if (call->hung_up || row->shard != command->shard)
		return false;
	if (command->kind != COMMAND_CALLS_LIST)
		return strcmp(row->cdr_id, command->id) == 0 ||
		       (command->kind == COMMAND_CALLS_FIND &&
			(strcmp(row->call_id_a, command->id) == 0 || strcmp(row->call_id_b, command->id) == 0));
	size_t number = strlen(command->number);
	return strcmp(row->cdr_id, command->id) > 0 &&
	       (command->gateway[0] == '\0' || strcmp(row->mapping_gateway, command->gateway) == 0) &&
	       (strncmp(row->caller_in, command->number, number) == 0 ||
		strncmp(row->callee_in, command->number, number) == 0) &&
	       row->age_s >= command->older_than_s;
}

static void carry_out(struct node *n, struct command *command)
{
	for (unsigned i = 0; i < n->call_count && command->row_count < command->row_max; i++) {
		if (!row_wanted(command, &n->calls[i]))
			continue;
		command->rows[command->row_count++] = n->calls[i].row;
		n->calls[i].hung_up = command->kind == COMMAND_CALLS_HANGUP;
	}
	command->next = NULL;
	if (n->done == NULL)
		n->done = command;
	else
		n->done_last->next = command;
	n->done_last = command;
	eventfd_write(n->completion_fd, 1);
}

void node_submit(struct node *n, unsigned shard, struct command *command)
{
	assert(command->shard == shard && shard < FAKE_SHARDS);
	n->submitted++;
	if (!n->hold) {
		carry_out(n, command);
		return;
	}
	command->next = n->held;
	n->held = command;
}

struct command *node_completed(struct node *n)
{
	struct command *command = n->done;
	if (command != NULL)
		n->done = command->next;
	return command;
}

void fake_release(struct node *n)
{
	n->hold = false;
	while (n->held != NULL) {
		struct command *command = n->held;
		n->held = command->next;
		carry_out(n, command);
	}
	fake_release_changes(n);
}

void fake_release_changes(struct node *n)
{
	while (n->changes_held != NULL) {
		struct change *change = n->changes_held;
		n->changes_held = change->next;
		make_change(n, change);
	}
}

struct node *fake_node_create(void)
{
	struct node *n = calloc(1, sizeof *n);
	assert(n != NULL);
	strcpy(n->directory, "/tmp/ringwheel-test-XXXXXX");
	if (mkdtemp(n->directory) == NULL)
		abort();
	n->completion_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->now_ns = UINT64_C(3661000000000);
	for (unsigned i = 0; i < FAKE_SHARDS; i++) {
		n->tallies[i] = tally_reserve();
		n->qualities[i] = quality_reserve();
		assert(n->tallies[i] != NULL && n->qualities[i] != NULL);
	}
	n->config.generation = 1;
	n->books.sink_count = 1;
	n->books.sinks[0].name = "sqlite";
	strcpy(n->config.node, "node1");
	snprintf(n->config.control, sizeof n->config.control, "%s/control.sock", n->directory);
	snprintf(n->config.data_dir, sizeof n->config.data_dir, "%s", n->directory);
	snprintf(n->database, sizeof n->database, "%s/cdr.db", n->directory);
	n->config.calls_max = 1000;
	n->config.listens = listens;
	n->config.listen_count = 1;
	n->config.mappings = mappings;
	n->config.mapping_count = 1;
	n->config.routings = routings;
	n->config.routing_count = 1;
	parameters_defaults(&n->config.parameters);
	char error[256] = "";
	if (control_open(n, &n->control, error) < 0) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	return n;
}

void fake_node_destroy(struct node *n)
{
	static const char *const files[] = { "", "-wal", "-shm" };
	control_close(n->control);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char path[300];
		snprintf(path, sizeof path, "%s%s", n->database, files[i]);
		unlink(path);
		snprintf(path, sizeof path, "%s/" LEDGER_FILE "%s", n->directory, files[i]);
		unlink(path);
		snprintf(path, sizeof path, "%s/rates.csv", n->directory);
		unlink(path);
	}
	for (unsigned i = 0; i < FAKE_SHARDS; i++) {
		tally_release(n->tallies[i]);
		quality_release(n->qualities[i]);
	}
	rmdir(n->directory);
	close(n->completion_fd);
	free(n);
}

struct call_row *fake_call_add(struct node *n, unsigned shard, unsigned index)
{
	assert(n->call_count < FAKE_CALLS_MAX);
	struct call_row *row = &n->calls[n->call_count++].row;
	snprintf(row->cdr_id, sizeof row->cdr_id, "%032u", index);
	snprintf(row->state, sizeof row->state, "up");
	snprintf(row->mapping_gateway, sizeof row->mapping_gateway, index % 2 ? "customer" : "other");
	snprintf(row->routing_gateway, sizeof row->routing_gateway, "vendor");
	snprintf(row->caller_in, sizeof row->caller_in, "+44%u", index);
	snprintf(row->callee_in, sizeof row->callee_in, "880%u", index);
	snprintf(row->call_id_a, sizeof row->call_id_a, "a%u@host", index);
	snprintf(row->call_id_b, sizeof row->call_id_b, "b%u", index);
	snprintf(row->session_timer, sizeof row->session_timer, "a+b");
	snprintf(row->source_address, sizeof row->source_address, "127.0.0.1:5070");
	row->start_us = 1700000000000000 + (int64_t)index * 1000000;
	row->connect_us = row->start_us + 500000;
	row->age_s = 1000 - index;
	row->next_deadline_s = 150;
	row->attempts = 1;
	row->shard = (uint16_t)shard;
	return row;
}

void fake_pump(struct node *n)
{
	for (int quiet = 0; quiet < 2;) {
		struct pollfd waiting[] = { { .fd = control_fd(n->control), .events = POLLIN },
					    { .fd = n->completion_fd, .events = POLLIN } };
		/* What is read from the store comes from another thread. */
		if (poll(waiting, 2, n->control->report_count > 0 ? 5000 : 0) <= 0) {
			quiet++;
			continue;
		}
		quiet = 0;
		eventfd_t count;
		struct command *command;
		eventfd_read(n->completion_fd, &count);
		while ((command = node_completed(n)) != NULL)
			control_command_done(n->control, command);
		while (n->changes_done != NULL) {
			struct change *change = n->changes_done;
			n->changes_done = change->next;
			control_change_done(n->control, change);
		}
		control_handle(n->control);
	}
}

int fake_connect(struct node *n)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "%.100s", n->config.control);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		close(fd);
		return -1;
	}
	fake_pump(n);
	return fd;
}

bool fake_send(struct node *n, int fd, const void *bytes, size_t size)
{
	for (const char *at = bytes; size > 0;) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent > 0) {
			at += sent;
			size -= (size_t)sent;
		} else {
			fake_pump(n);
		}
	}
	fake_pump(n);
	return true;
}

char *fake_line(struct node *n, int fd)
{
	char *line = NULL;
	size_t size = 0, capacity = 0;
	for (int tries = 0; tries < 3;) {
		if (size + 1 >= capacity) {
			capacity = capacity * 2 + 4096;
			line = realloc(line, capacity);
			assert(line != NULL);
		}
		/* Looks first, so that nothing behind the newline is taken. */
		ssize_t seen = recv(fd, line + size, capacity - size - 1, MSG_PEEK);
		if (seen <= 0) {
			if (seen == 0 || errno != EAGAIN)
				break;
			fake_pump(n);
			tries++;
			continue;
		}
		tries = 0;
		char *newline = memchr(line + size, '\n', (size_t)seen);
		size_t take = newline != NULL ? (size_t)(newline - (line + size)) + 1 : (size_t)seen;
		ssize_t taken = recv(fd, line + size, take, 0);
		assert(taken == (ssize_t)take);
		size += (size_t)taken;
		if (newline != NULL) {
			line[size - 1] = '\0';
			return line;
		}
	}
	free(line);
	return NULL;
}

bool fake_closed(struct node *n, int fd)
{
	char byte;
	fake_pump(n);
	ssize_t size = recv(fd, &byte, 1, 0);
	return size == 0 || (size < 0 && errno == ECONNRESET);
}

json_t *fake_ask(struct node *n, const char *request)
{
	int fd = fake_connect(n);
	assert(fd >= 0);
	fake_send(n, fd, request, strlen(request));
	fake_send(n, fd, "\n", 1);
	char *line = fake_line(n, fd);
	close(fd);
	fake_pump(n);
	json_t *reply = line != NULL ? json_loads(line, 0, NULL) : NULL;
	free(line);
	return reply;
}
