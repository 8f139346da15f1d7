/* One worker: a pinned thread that drives one shard.  Private to core/net; the crew makes and ends it.
 *
 * A turn of its loop: the configuration if there is a new one, how far it is behind, all datagrams that came, the
 * mailboxes, a portion of each command, what the journal says, the deadlines that are due, what goes out on
 * connections, the doorbells, one submission.  It sleeps only when a submission completed nothing and nothing is left
 * over. */
#ifndef RW_CORE_NET_WORKER_H
#define RW_CORE_NET_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/log.h"
#include "core/net/clock.h"
#include "core/net/command_list.h"
#include "core/net/crew.h"
#include "core/net/inflow.h"
#include "core/net/mailbox.h"
#include "core/net/stream.h"
#include "core/net/uring.h"
#include "core/shard.h"

#define WORKER_BUSY_SLOTS  10  /* loop_busy_ratio covers so many periods of WORKER_PUBLISH_NS */
#define WORKER_RELAYED_MAX 512 /* INVITEs of one turn whose way through is measured */
#define WORKER_PUBLISH_NS  UINT64_C(100000000)

struct worker {
	struct doorbell doorbell; /* first: on a line of its own */
	_Atomic int ring_fd;      /* of its ring, for the others' doorbells */
	_Atomic bool end;         /* set by the control thread */
	_Atomic bool drained;     /* its shard takes no calls and has none */
	_Atomic bool silent;      /* its shard has nothing left to do */
	_Atomic bool stopped;     /* and what it sent last has gone, or is not waited for any longer */
	_Atomic bool caught_up;   /* what waited in its sockets at the start is read, or in the others' mailboxes */

	/* set by the crew before the thread starts */
	_Alignas(64) const struct crew_settings *settings;
	unsigned index;
	int cpu;
	uint64_t seed;
	struct worker *workers;                    /* all of them */
	struct mailbox **in, **out;                /* by the other's index; NULL at its own */
	struct command_list submitted;             /* control thread to worker */
	struct command_list *completed;            /* workers to control thread */
	int wake_fd, completion_fd;                /* eventfds */
	struct connection_count *connection_count; /* of the node */
	pthread_t thread;
	void (*ready)(struct worker *w, int r, const char *error); /* called once by the thread; waits for the others */

	/* the thread's */
	struct uring uring;
	struct streams streams; /* where there is a listening socket */
	bool has_streams;
	bool leaving; /* the last turn is over */
	bool crowded; /* a mailbox has little room: connections wait with their messages */
	struct clock clock;
	unsigned empty_turns; /* running, while the clock is behind: turns that brought no datagram */
	struct shard *shard;
	uint32_t generation; /* of the configuration that the shard has */
	struct shard_stats *stats;
	uint64_t received;                      /* datagrams */
	struct command *running, **running_end; /* commands that are not done yet, in turn */
	bool drain_asked, stop_asked;
	uint64_t silent_ns;               /* since when `silent`, 0: not yet */
	uint64_t checkpoint;              /* the last one that the shard was asked for */
	uint64_t synced;                  /* what the shard was last told to be on the disk */
	uint64_t calls_left, calls_ended; /* of a former process, that were not taken up (core/shard.h) */
	bool more;                        /* deadlines are left over from the last turn */
	bool slept;                       /* since the last turn */
	struct inflow inflow;
	uint64_t publish_ns;
	uint64_t busy_ns[WORKER_BUSY_SLOTS], period_ns[WORKER_BUSY_SLOTS];
	uint64_t busy_now_ns, period_from_ns;
	unsigned busy_slot;
	struct log_site log_site;
	uint64_t sends_told, sends_tell_ns; /* failed sends of which the log has told; not again before that */
	bool no_cdr_room;                   /* new calls are refused for want of it, and the log has told */
	unsigned relayed_count;
	uint64_t relayed_ns[WORKER_RELAYED_MAX]; /* when the INVITEs that go out in this turn came in */
};

/* The thread's function; `worker` is a struct worker. */
void *worker_main(void *worker);

#endif
