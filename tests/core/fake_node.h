/* A node without workers: the functions of core/node.h over tables that a test fills in.  Commands come back at once,
 * or, while `hold` is set, when the test lets them go; the same holds for changes of the configuration.  With it, a
 * control socket and a client of it in one thread. */
#ifndef RW_TESTS_CORE_FAKE_NODE_H
#define RW_TESTS_CORE_FAKE_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/control/control.h"
#include "core/node.h"

#define FAKE_SHARDS    3
#define FAKE_CALLS_MAX 10200
#define FAKE_CUSTOMER  1 /* ids of the two gateways */
#define FAKE_VENDOR    2

struct fake_call {
	struct call_row row;
	bool hung_up;
};

struct node {
	struct config config;
	struct shard_stats stats[FAKE_SHARDS];
	struct tally *tallies[FAKE_SHARDS];
	struct quality_book *qualities[FAKE_SHARDS];
	uint64_t now_ns;
	struct fake_call calls[FAKE_CALLS_MAX];
	unsigned call_count;
	char database[256];
	bool stopped, kept_calls;
	bool hold;
	struct command *held; /* given to a shard, not carried out yet */
	struct command *done, *done_last;
	unsigned submitted;
	struct change *changes_held, *changes_done; /* the newest first: tests give few */
	unsigned change_count;
	const char *refusal;     /* what a reload or an order comes to; NULL: it is taken */
	const char *warnings;    /* a sentence a line, NULL: none */
	uint32_t credit_account; /* what is told of the movement of a balance; 0: nobody is */
	bool draining;
	uint32_t drain_timeout_s;
	struct books_figures books;
	int completion_fd;
	char directory[64]; /* of the socket and the database; removed in the end */
	struct control *control;
};

struct node *fake_node_create(void);
void fake_node_destroy(struct node *n);

/* A call on a shard, with its numbers and names made from `index`.  A list that is cut has those that came first. */
struct call_row *fake_call_add(struct node *n, unsigned shard, unsigned index);
/* Carries out what is held. */
void fake_release(struct node *n);
/* Of that only the changes; commands are held on. */
void fake_release_changes(struct node *n);

/* Turns the loop until nothing moves any more. */
void fake_pump(struct node *n);

/* A non-blocking client socket. */
int fake_connect(struct node *n);
/* Sends all of it, turning the loop when the socket is full; false: the peer has closed. */
bool fake_send(struct node *n, int fd, const void *bytes, size_t size);
/* The next line without its newline; NULL: the peer has closed, or has nothing to say.  The caller frees it. */
char *fake_line(struct node *n, int fd);
/* Whether the peer has closed and all was read. */
bool fake_closed(struct node *n, int fd);

/* One request on a connection of its own: the whole reply. */
json_t *fake_ask(struct node *n, const char *request);

#endif
