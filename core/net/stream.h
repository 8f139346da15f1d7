/* One worker's connections (SIP over TCP: RFC 3261 18, RFC 5626 4.4.1), on its ring; made and used by that thread
 * alone.  A connection belongs to the worker whose listening socket it came to, or that opened it; messages of calls of
 * other shards pass between the two through the mailbox, as datagrams do.
 *
 * In:  what the kernel brings is framed where it lies (sip/framing); only of a message that is not whole yet a copy is
 * kept, in one buffer.
 * Where the shard that a message belongs to has no room for it, its connection waits: the bytes stay where the kernel
 * has put them, and in the end in the peer, as nobody would send them again. Out: messages are put behind one another
 * into blocks, and once a turn one send of each connection goes to the ring, the next when that has completed: messages
 * that go to one peer in the same turn leave together.  A peer that does not read fills its queue and loses its
 * connection; nobody waits for it.  A stranger's queue is one block, and half of all blocks are kept from strangers;
 * what finds no block is refused, and its connection stands.
 *
 * Which connection a message takes: the one that its flow names, if that still stands and leads to the same host; else
 * one that was opened before to that address; else one that is opened for it (18.1.1, 18.2.2); not for a call
 * within a second after that peer refused one.
 *
 * A peer that has ended its direction behind a request still has its first answer, for which it is waited two seconds;
 * other requests go to it by other connections.
 *
 * A connection that has ended stays in the table until the ring has told of all its operations. */
#ifndef RW_CORE_NET_STREAM_H
#define RW_CORE_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config/config.h"
#include "core/flow.h"
#include "core/log.h"
#include "core/net/buffers.h"
#include "core/net/connection_count.h"
#include "core/net/uring.h"
#include "core/pool.h"
#include "core/stats.h"

/* flow.connection: the worker above, the place in its table below, counted from 1. */
#define CONNECTION_INDEX_BITS 24
#define CONNECTIONS_MAX       100000u

static inline unsigned connection_worker(uint32_t connection)
{
	return connection >> CONNECTION_INDEX_BITS;
}

/* One message, or the beginning of one that is too large (cut); lent until the function returns. */
typedef void stream_message_fn(void *context, const struct flow *from, int64_t stamp_ns, struct bytes message,
			       bool cut);
/* A connection has ended: requests of these shards (bit by index) may have gone with it. */
typedef void stream_lost_fn(void *context, uint32_t connection, uint32_t generation, uint64_t shards);

/* Whether a message can be passed on, whatever shard it is for. */
typedef bool stream_room_fn(void *context);

struct streams_settings { /* everything is borrowed */
	struct uring *uring;
	struct connection_count *count; /* of the node */
	struct shard_stats *stats;
	unsigned worker;
	uint32_t connections_max; /* of this worker */
	uint64_t k0, k1;          /* of hashes of addresses */
	stream_message_fn *message;
	stream_lost_fn *lost;
	stream_room_fn *room;
	void *context;
};

/* Bytes of a connection that waits, in a buffer of the ring's; by that buffer. */
struct held {
	struct bytes bytes;
	int64_t stamp_ns;
	unsigned next; /* of the same connection; URING_STREAM_BUFFERS: none */
};

/* A peer to which a connection did not come about. */
struct refusal {
	struct address peer;
	uint16_t listener;
	uint64_t until_ns; /* no INVITE opens another before that */
};

#define STREAMS_REFUSALS 64

struct stream_list {          /* first in, first out; in the order in which they came to be in it */
	uint32_t first, last; /* POOL_NONE: it is empty, whatever is last */
};

struct streams {
	struct streams_settings settings;
	const struct config *config; /* of this turn */
	uint64_t now_ns;             /* likewise */
	struct pool pool;            /* of struct stream */
	struct buffers partials;     /* messages that are not whole yet, one a connection at most */
	struct buffers blocks;       /* of bytes to be sent */
	uint32_t *heads;             /* connections that were opened, by a hash of where to; POOL_NONE */
	uint32_t head_mask;
	struct held held[URING_STREAM_BUFFERS];
	struct stream_list waiting;                /* the connections that wait */
	struct stream_list touched;                /* those that the end of the turn has something to do with */
	struct refusal refusals[STREAMS_REFUSALS]; /* by a hash of where to */
	uint32_t cursor;                           /* of streams_look() */
	uint64_t queued;                           /* bytes, of all */
	uint32_t awaited; /* connections, not counting strangers', on which messages of shards wait */
	uint64_t lost;    /* messages that no connection took */
	uint64_t messages_in, messages_out;
	struct log_site log_site;
};

/* Reserves all memory.  0 or -ENOMEM. */
int streams_create(struct streams *s, const struct streams_settings *settings);
/* After uring_close(): nothing is under way any more. */
void streams_destroy(struct streams *s);

/* At the beginning of a turn. */
void streams_turn(struct streams *s, const struct config *config, uint64_t now_ns);
/* The ring's uring_stream_fn; context: the struct streams. */
void streams_event(struct streams *s, const struct uring_stream_event *e);
/* Those that wait go on as far as there is room now, the one that has waited longest first; before uring_handle(), or
 * what comes anew would take it. */
void streams_resume(struct streams *s);
static inline bool streams_wait(const struct streams *s)
{
	return s->waiting.first != POOL_NONE;
}
/* At the end of a turn: sends, tells of connections that have ended, and lets them go. */
void streams_flush(struct streams *s);
/* Nothing is taken or sent any more: each connection ends our direction once what waits there has gone, and goes with
 * the peer's; streams_flush() goes on as before. */
void streams_leave(struct streams *s);
/* Ten times a second: idle, stuck and half-open connections, all of them within a second. */
void streams_look(struct streams *s);

/* Names in `to` the connection that takes what is sent there now; it names none when none could be opened, or when it
 * is patient: to a peer that has refused one within the last second. */
void streams_connect(struct streams *s, struct flow *to, bool patient);
/* Takes a copy of a message of that shard.  false: no connection takes it. */
bool streams_send(struct streams *s, unsigned shard, const struct flow *to, struct bytes message);

#endif
