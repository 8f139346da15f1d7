/* A plain program, for the sanitizers: clients that come, go, send right and wrong requests in pieces, read or do not,
 * while the shards answer at once, late or after their client has gone.  All from one seed.
 * Usage: control_fuzz [ROUNDS [SEED]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/internal.h"
#include "tests/core/fake_node.h"

#define CLIENTS 20

static const char *const lines[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.info\"}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"stats\"}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"stats.prometheus\"}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"calls.list\",\"params\":{\"limit\":7,\"gateway\":\"vendor\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"method\":\"calls.list\"}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"calls.show\",\"params\":{\"call_id\":\"b3\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"calls.show\",\"params\":{\"call_id\":\"same\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"calls.hangup\",\"params\":{\"call_id\":\"b4\"}}\n",
	"[{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"calls.list\"},{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"config."
	"show\"},5]\n",
	"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"parameters.get\"}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"parameters.set\",\"params\":{\"name\":\"RW_SIP_T1\",\"value\":"
	"\"5\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":11,\"method\":\"gateways.list\",\"params\":{\"\\ud83d\\ude00\":[[[{}]]]}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"cdr.list\",\"params\":{\"limit\":1,\"account\":\"\xc3\xa9\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":16,\"method\":\"cdr.sums\",\"params\":{\"by\":\"day\",\"utc_offset_s\":-3600,"
	"\"until\":17,\"number\":\"+1\",\"answered\":true,\"end_reason\":\"normal\",\"cdr_id\":\"00\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":13,\"method\":\"node.stop\",\"params\":{\"keep_calls\":true}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":14,\"method\":\"config.reload\"}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":15,\"method\":\"node.drain\",\"params\":{\"timeout_s\":5}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":16,\"method\":\"log.level\",\"params\":{\"level\":\"notice\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":18,\"method\":\"accounts.list\",\"params\":{\"name\":\"acme\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":19,\"method\":\"rates.lookup\",\"params\":{\"table\":\"t\",\"number\":\"44\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":20,\"method\":\"accounts.topup\",\"params\":{\"name\":\"a\",\"amount\":\"x\"}}\n",
	"{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"parameters.set\",\"params\":{\"name\":\"RW_SIP_T1\",\"value\":200}"
	"}\n",
};

static unsigned short state[3];

static unsigned draw(unsigned below)
{
	return (unsigned)nrand48(state) % below;
}

/* A line, perhaps with bytes changed and its end cut off. */
static void say(int fd)
{
	char bytes[512];
	const char *line = lines[draw(sizeof lines / sizeof lines[0])];
	size_t size = strlen(line);
	memcpy(bytes, line, size);
	if (draw(3) == 0)
		for (unsigned changes = draw(4); changes > 0; changes--)
			bytes[draw((unsigned)size)] = (char)draw(256);
	if (draw(4) == 0)
		size = draw((unsigned)size + 1);
	ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL); /* what does not fit is cut, too */
	(void)sent;
}

static void listen_to(int fd)
{
	char bytes[65536];
	for (unsigned reads = draw(4); reads > 0; reads--)
		if (recv(fd, bytes, sizeof bytes, 0) <= 0)
			return;
}

static void act(struct node *node, int *fd)
{
	switch (*fd < 0 ? 0 : draw(24)) {
	case 0:
		if (*fd < 0)
			*fd = fake_connect(node);
		break;
	case 1:
		close(*fd);
		*fd = -1;
		break;
	case 2:
		shutdown(*fd, SHUT_WR);
		break;
	case 3:
		node->hold = !node->hold;
		break;
	case 4:
	case 5:
		fake_release(node);
		break;
	case 6:
		fake_pump(node);
		break;
	case 7:
	case 8:
	case 9:
		listen_to(*fd);
		break;
	default:
		say(*fd);
	}
}

static int failed(const char *what)
{
	fprintf(stderr, "control_fuzz: %s\n", what);
	return 1;
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
	long seed = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
	state[0] = (unsigned short)seed;
	state[1] = (unsigned short)(seed >> 16);
	struct node *node = fake_node_create();
	int fds[CLIENTS];
	memset(fds, -1, sizeof fds);
	for (unsigned i = 0; i < 40; i++) {
		struct call_row *row = fake_call_add(node, i % FAKE_SHARDS, i);
		if (i % 10 == 0)
			strcpy(row->call_id_a, "same");
		row->caller_in[draw(4)] = (char)draw(256);
	}
	for (long round = 0; round < rounds; round++) {
		act(node, &fds[draw(CLIENTS)]);
		if (draw(500) == 0)
			for (unsigned i = 0; i < node->call_count; i++)
				node->calls[i].hung_up = false;
		if (draw(5000) == 0) { /* a restart with commands under way */
			char error[256];
			control_close(node->control);
			node->held = node->done = NULL;
			if (control_open(node, &node->control, error) < 0)
				return failed(error);
		}
	}
	fake_release(node);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	fake_pump(node);
	if (node->control->connection_count != 0 || node->control->job_count != 0 || node->control->output_bytes != 0)
		return failed("connections or jobs are left behind");
	fake_node_destroy(node);
	printf("%ld rounds, seed %ld\n", rounds, seed);
	return 0;
}
