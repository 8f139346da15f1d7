/* What a node is made of, for those who put it together (core/node_open.c) and run it (core/node.c).
 *
 * Start: what can fail without harm first; then the books, with what a former process has left; the workers, which take
 * its calls up before their first datagram, last, and then the thread that may bring another configuration.  Stop:
 * shards refuse new calls and end the live ones (or keep them for the next start), that thread and the workers end,
 * then the control socket, then the books are closed: every record is in the journal and every CDR in its store. */
#ifndef RW_CORE_NODE_PARTS_H
#define RW_CORE_NODE_PARTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/books.h"
#include "core/change.h"
#include "core/command.h"
#include "core/control/control.h"
#include "core/data_dir.h"
#include "core/loader.h"
#include "core/net/crew.h"
#include "core/net/listener.h"
#include "core/node.h"
#include "core/quality.h"
#include "core/snapshot.h"
#include "core/tally.h"

/* One of them is being carried out, the other one waits. */
#define HUPS 2

struct node {
	struct snapshot snapshot;
	struct data_dir data;
	unsigned workers;
	bool bpf;
	bool draining, stopping, keeping;
	uint64_t drain_by_ns; /* UINT64_MAX: however long it takes */
	bool cdrs_missing;    /* not all of them are in the store at the end */
	uint64_t stop_by_ns, write_by_ns;
	uint64_t started_ns;
	uint64_t listening_ns; /* both clocks when the sockets were opened */
	int64_t listening_real_ns;
	int64_t started_us;
	char database[4096 + 8];
	uint64_t machine;
	struct shard_stats *stats; /* one a worker */
	struct tally **tallies;    /* the same */
	struct quality_book **qualities;
	size_t queue_bytes; /* of each worker's way to the journal */
	struct listeners *listeners;
	struct books *books;
	struct control *control;
	struct crew *crew;
	/* The billing thread wakes workers, from before they are there until after they have gone. */
	pthread_mutex_t awake_lock;
	struct crew *awake; /* NULL: nobody to wake */
	struct loader *loader;
	struct change hups[HUPS]; /* reloads asked for by SIGHUP */
	bool hup_given[HUPS];
	struct command *stop_commands; /* one a worker */
	int signal_fd;
	int stamp_fd; /* a socket that only keeps the kernel stamping datagrams */
};

/* Starts all of it.  0, or a negative errno and a sentence. */
int node_open(struct node *n, char error[static 512]);

/* In whatever state the start left off. */
void node_close(struct node *n);

#endif
