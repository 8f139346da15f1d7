/* Bytes on the control socket: every line that is not blank is answered, requests with what JSON-RPC 2.0 asks for; when
 * the peer has gone nothing is left of it.  The node is a fake one; orders about accounts and rates, which would be
 * carried out on a database and on files, are told what came of them (order_carry_out() is wrapped).
 *
 * The first byte: bit 0, the shards answer late; bit 1, so do orders; bit 2, orders fail; bits 4 to 7, where the bytes
 * are cut in two. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "billing/order.h"
#include "core/control/internal.h"
#include "tests/core/fake_node.h"
#include "tests/fuzz/fuzz.h"

int __wrap_order_carry_out(const struct order *order, const char *path, int64_t now_us, struct order_outcome *o);

static bool orders_fail;

int __wrap_order_carry_out(const struct order *order, const char *path, int64_t now_us, struct order_outcome *o)
{
	(void)order, (void)path, (void)now_us;
	memset(o, 0, sizeof *o);
	o->result = orders_fail ? -EINVAL : 0;
	if (orders_fail)
		snprintf(o->error, sizeof o->error, "it is not to be");
	else
		o->moved_e8 = 5;
	return o->result;
}

static struct node *make_node(void)
{
	struct node *node = fake_node_create();
	for (unsigned i = 0; i < 12; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	return node;
}

static void reset(struct node *node, unsigned how)
{
	parameters_defaults(&node->config.parameters);
	node->config.generation = 1;
	node->stopped = node->draining = false;
	node->hold = how & 1;
	node->credit_account = how & 2 ? 1 : 0;
	orders_fail = how & 4;
	for (unsigned i = 0; i < node->call_count; i++)
		node->calls[i].hung_up = false;
}

static void check_reply(const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error"), *version = json_object_get(reply, "jsonrpc");
	fuzz_expect(json_is_string(version) && strcmp(json_string_value(version), "2.0") == 0,
		    "a reply is JSON-RPC 2.0");
	fuzz_expect(json_object_get(reply, "id") != NULL, "a reply has an id");
	fuzz_expect(!error == !!json_object_get(reply, "result"), "a reply has a result or an error");
	fuzz_expect(!error || (json_is_integer(json_object_get(error, "code")) &&
			       json_string_length(json_object_get(error, "message")) > 0),
		    "an error has a code and a sentence");
}

static void check_line(const char *line)
{
	json_t *reply = json_loads(line, 0, NULL);
	fuzz_expect(reply != NULL, "a line of the switch is JSON");
	if (json_is_array(reply))
		for (size_t i = 0; i < json_array_size(reply); i++)
			check_reply(json_array_get(reply, i));
	else
		check_reply(reply);
	json_decref(reply);
}

static void ask(struct node *node, const uint8_t *bytes, size_t size, size_t cut)
{
	char *line;
	int fd = fake_connect(node);
	fuzz_expect(fd >= 0, "there is a connection");
	cut = cut < size ? cut : size;
	if (fake_send(node, fd, bytes, cut) && fake_send(node, fd, bytes + cut, size - cut)) {
		shutdown(fd, SHUT_WR);
		for (;;) {
			fake_release(node);
			fake_pump(node);
			line = fake_line(node, fd);
			if (!line)
				break;
			check_line(line);
			free(line);
		}
		fuzz_expect(fake_closed(node, fd), "the switch closes when its peer asks nothing more");
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct node *node;
	struct fuzz_input in = { bytes, bytes + size };
	unsigned how = fuzz_byte(&in);

	if (!node)
		node = make_node();
	reset(node, how);
	ask(node, in.at, (size_t)(in.end - in.at), (how >> 4) * 7);
	fake_release(node);
	fake_pump(node);
	fuzz_expect(node->control->connection_count == 0 && node->control->job_count == 0 &&
			    node->control->change_count == 0 && node->control->output_bytes == 0,
		    "nothing is left of a connection");
	return 0;
}
