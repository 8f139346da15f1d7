/* All workers of the node: one pinned thread each, with its shard, its ring and a mailbox to every other.  The control
 * thread starts and ends them and gives them commands. */
#ifndef RW_CORE_NET_CREW_H
#define RW_CORE_NET_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/intake.h"
#include "billing/queue.h"
#include "billing/recovery.h"
#include "core/command.h"
#include "core/config/config.h"
#include "core/net/listener.h"
#include "core/quality.h"
#include "core/snapshot.h"
#include "core/stats.h"
#include "core/tally.h"

struct crew;

/* Cores this process may use; at least 1. */
unsigned crew_usable_cores(void);

struct crew_settings {                   /* everything is borrowed until crew_stop() */
	const struct snapshot *snapshot; /* every worker is a reader of it while its thread runs */
	const struct listeners *listeners;
	unsigned workers;
	const uint8_t *secret; /* 32 bytes */
	uint16_t boot;
	uint32_t calls_max;                     /* of the node: each shard gets its share, at least 1 */
	struct shard_stats *stats;              /* one a worker */
	struct tallies tallies;                 /* the same */
	struct quality_books qualities;         /* the same */
	struct record_queue *const *cdr_queues; /* one a worker */
	size_t cdr_queue_bytes;                 /* what one holds */
	uint64_t machine;                       /* this start of the machine */
	uint64_t listening_ns;       /* CLOCK_MONOTONIC and CLOCK_REALTIME, read before the sockets were opened: what */
	int64_t listening_real_ns;   /* waits in them while calls are taken up came in later, and is given its time */
	const struct intake *intake; /* where the journal stands; NULL: there is none */
	bool answer_after_sync;      /* shards are told what is on the disk: see crew_wake() */
	/* Calls of a former process, which each worker takes up (those of its buckets) before its first datagram;
	 * needed until crew_start() returns.  NULL: none. */
	const struct recovery *recovery;
	struct journal *journal;
	bool close_calls; /* they are ended, not carried on */
};

/* Starts every thread, makes every ring and shard, then lets all go.  0, or a negative errno and a sentence in `error`.
 */
int crew_start(const struct crew_settings *settings, struct crew **ret_crew, char error[static 256]);
/* Calls of a former process that no worker could take up (core/shard.h). */
void crew_not_taken_up(const struct crew *c, uint64_t *ret_left, uint64_t *ret_ended);
/* Ends the threads where they are and frees everything. */
void crew_stop(struct crew *c);

/* Any thread: a worker turns its loop at once: what is on the disk has moved. */
void crew_wake(struct crew *c, unsigned shard);

/* Control thread: gives a command to a worker (never fails), and takes back those that are done. */
void crew_submit(struct crew *c, unsigned shard, struct command *command);
int crew_completion_fd(const struct crew *c);
struct command *crew_completed(struct crew *c);

/* Whether no shard has a call left after COMMAND_DRAIN.  The completion descriptor becomes readable for it. */
bool crew_drained(const struct crew *c);

/* Whether every shard has nothing left to do after COMMAND_STOP, and what they sent last has gone; a peer that does not
 * read is waited for a second at most.  The completion descriptor becomes readable for it. */
bool crew_stopped(const struct crew *c);
/* The same, whatever has gone: all calls have ended and their CDRs are queued. */
bool crew_silent(const struct crew *c);

#endif
