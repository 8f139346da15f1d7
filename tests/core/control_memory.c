/* A plain program for the sanitizer set-ups: each method of the control socket is asked again and again, each time with
 * one more allocation granted before the one that fails, or before none is granted any more.  Whoever asked gets a
 * whole reply, or finds the connection closed; the others are served as before, and nothing is left behind.  The linker
 * puts the functions here before the allocator's (--wrap), and jansson is told to ask them, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/control/internal.h"
#include "tests/core/fake_node.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
json_t *__real_json_loadb(const char *bytes, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *bytes, size_t size, size_t flags, json_error_t *error);
void __real_control_handle(struct control *c);
void __wrap_control_handle(struct control *c);
void __real_control_command_done(struct control *c, struct command *command);
void __wrap_control_command_done(struct control *c, struct command *command);
void __real_control_change_done(struct control *c, struct change *change);
void __wrap_control_change_done(struct control *c, struct change *change);

#define ALLOCATIONS_MAX 100000

static unsigned failing; /* the allocation that fails, from 1 on; 0: none does */
static unsigned asked;
static bool for_ever; /* and all after it */
static bool inside;   /* the control socket's turn, not the client's */

static bool grant(void)
{
	if (!inside || !failing)
		return true;
	asked++;
	return for_ever ? asked < failing : asked != failing;
}

void *__wrap_malloc(size_t size)
{
	return grant() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return grant() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return grant() ? __real_realloc(old, size) : NULL;
}

/* Of jansson's own only writing is asked: its parser (2.14) frees what it never had when its first allocation fails. */
json_t *__wrap_json_loadb(const char *bytes, size_t size, size_t flags, json_error_t *error)
{
	bool was_inside = inside;
	inside = false;
	json_t *value = __real_json_loadb(bytes, size, flags, error);
	inside = was_inside;
	return value;
}

void __wrap_control_handle(struct control *c)
{
	inside = true;
	__real_control_handle(c);
	inside = false;
}

void __wrap_control_command_done(struct control *c, struct command *command)
{
	inside = true;
	__real_control_command_done(c, command);
	inside = false;
}

void __wrap_control_change_done(struct control *c, struct change *change)
{
	inside = true;
	__real_control_change_done(c, change);
	inside = false;
}

static const char *const lines[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.info\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats.prometheus\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.list\",\"params\":{\"limit\":7,\"gateway\":\"vendor\"}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.show\",\"params\":{\"call_id\":\"b3\"}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.hangup\",\"params\":{\"call_id\":\"b4\"}}",
	"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"calls.list\"},{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"config."
	"show\"},5]",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"parameters.get\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"parameters.set\",\"params\":{\"name\":\"RW_SIP_T1\",\"value\":200}"
	"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateways.list\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"config.show\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"config.reload\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"log.level\",\"params\":{\"level\":\"notice\"}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"accounts.topup\",\"params\":{\"name\":\"a\",\"amount\":\"x\"}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no.such\",\"params\":{\"a\":[1,2,{}]}}",
	"not JSON",
};

static unsigned failures;

static void fail(const char *what, const char *line)
{
	fprintf(stderr, "control_memory: %s, allocation %u%s, %s\n", what, failing, for_ever ? " and on" : "", line);
	failures++;
}

/* A whole reply, or none and a closed connection. */
static void check_reply(struct node *n, int fd, const char *request)
{
	char *line = fake_line(n, fd);
	json_t *reply = line ? json_loads(line, 0, NULL) : NULL;
	if (line && !json_is_object(reply) && !json_is_array(reply))
		fail("half a reply", request);
	if (!line && !fake_closed(n, fd))
		fail("no reply, and not closed", request);
	json_decref(reply);
	free(line);
}

static void check_served(struct node *n, const char *request)
{
	json_t *reply = fake_ask(n, lines[0]);
	if (!json_is_object(json_object_get(reply, "result")))
		fail("nobody is served any more", request);
	json_decref(reply);
	if (n->control->connection_count || n->control->job_count || n->control->change_count ||
	    n->control->output_bytes)
		fail("something is left behind", request);
}

/* Whether that allocation was reached. */
static bool try_line(struct node *n, const char *request, unsigned nth, bool and_on)
{
	int fd = fake_connect(n);
	for_ever = and_on;
	asked = 0;
	failing = nth;
	fake_send(n, fd, request, strlen(request));
	fake_send(n, fd, "\n", 1);
	bool reached = asked >= nth;
	failing = 0;
	check_reply(n, fd, request);
	close(fd);
	fake_pump(n);
	check_served(n, request);
	return reached;
}

int main(void)
{
	unsigned runs = 0;
	json_set_alloc_funcs(malloc, free);
	struct node *n = fake_node_create();
	for (unsigned i = 0; i < 12; i++)
		fake_call_add(n, i % FAKE_SHARDS, i);
	for (unsigned i = 0; i < sizeof lines / sizeof *lines && !failures; i++)
		for (unsigned and_on = 0; and_on < 2; and_on++)
			for (unsigned nth = 1; nth < ALLOCATIONS_MAX && try_line(n, lines[i], nth, and_on) && !failures;
			     nth++)
				runs++;
	fake_node_destroy(n);
	printf("%u runs\n", runs);
	return failures > 0 || runs < 500;
}
