/* What a shard asks of the world around it.  core/net implements it with io_uring, tests/sim with a virtual network and
 * clock; the shard knows nothing else of the outside (design, rule 2).  Calls return at once and never re-enter the
 * shard. */
#ifndef RW_CORE_EDGE_H
#define RW_CORE_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/record.h"
#include "core/flow.h"
#include "sip/bytes.h"

struct command;

/* A small message from one shard to another: questions and answers about limits that span shards. */
struct note {
	uint32_t kind;    /* enum note_kind of core/call/limit_note.h, or NOTE_REST */
	uint32_t from;    /* shard */
	uint64_t a, b, c; /* meaning by kind */
};

/* Levels as syslog's: 3 error, 4 warning, 5 notice, 6 info, 7 debug. */
struct edge {
	void *context;

	/* Lends room to build one datagram of up to `size` bytes; NULL: no room now (the edge counts it as lost; the
	 * shard goes on, and SIP retransmits).  Each lend is followed by send() or by unlend() before the next lend. */
	char *(*lend)(void *context, size_t size);
	void (*send)(void *context, const struct flow *to, char *at, size_t size);
	void (*unlend)(void *context, char *at);

	/* Names in the flow of a request that begins a transaction on a stream the connection that will take it, which
	 * is opened if need be; none: there is none to be had.  patient: none is opened to a peer that has refused one
	 * a moment ago, as the call can go elsewhere.  NULL: there are no streams. */
	void (*connect)(void *context, struct flow *to, bool patient);

	/* Passes a datagram that belongs to another shard on to it, bytes copied.  false: its mailbox is full (dropped
	 * and counted; SIP retransmits). */
	bool (*hand_over)(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
			  struct bytes datagram);

	/* Delivers a note to a shard (never this one).  Never lost: the edge keeps what the mailbox cannot take yet. */
	void (*post)(void *context, unsigned shard, const struct note *note);

	/* Queues a finished record.  false: no room; the call is kept and it is tried again. */
	bool (*cdr)(void *context, const struct cdr *cdr);
	/* Lends room in the same queue for another record's payload of at most `size` bytes, 8-byte aligned; NULL: no
	 * room.  record() publishes it with its kind and size: from then on it outlives the process.  Both NULL: nobody
	 * keeps such records. */
	uint8_t *(*record_lend)(void *context, size_t size);
	void (*record)(void *context, enum record_kind kind, size_t size);
	/* Whether little waits in that queue, so that records which are not urgent may be added.  NULL: always. */
	bool (*record_calm)(void *context);
	/* Whether the queue has room for the records of the calls that are up and some more: else no new calls. */
	bool (*cdr_room)(void *context);

	/* The INVITE of a call that came in at `in_ns` goes out with the datagrams being sent now: the edge, which has
	 * a clock, puts the difference into the histogram relay_us.  NULL: not measured. */
	void (*relayed)(void *context, uint64_t in_ns);

	/* One event, key=value, no newline. */
	void (*log)(void *context, int level, const char *line);
};

#endif
