/* The table of a worker's connections: by name, by peer, and in the lists that a turn goes through.  Private to the
 * parts of stream.h. */
#ifndef RW_CORE_NET_STREAM_TABLE_H
#define RW_CORE_NET_STREAM_TABLE_H

#include <netinet/in.h>

#include "core/net/outbox.h"
#include "core/net/stream.h"
#include "sip/framing.h"

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,    /* with `ended`, when all is read: takes answers alone */
	STREAM_CLOSING, /* nothing is read or added any more; what waits is sent, then the peer's end is waited for */
	STREAM_ENDED,   /* the ring has yet to tell of its operations */
};

struct stream {
	struct slot slot;
	int fd;
	uint8_t state;     /* enum stream_state */
	bool outgoing : 1; /* opened by us, so others may find it by its peer */
	bool stranger : 1; /* counted as one */
	bool strange : 1;  /* it is one, by the configuration `judged` */
	bool receiving : 1;
	bool sending : 1;
	bool half : 1;  /* CLOSING: we have ended our direction */
	bool ended : 1; /* the peer has ended its own */
	bool told : 1;  /* that requests may be lost */
	bool spoke : 1; /* a whole message has come */
	bool waits : 1; /* in the list of those; has held bytes */
	bool touched : 1;
	bool awaited : 1; /* counted as one whose messages have to go before a stop is over */
	bool ponged : 1;  /* a ping in the buffer that is being read was answered */
	uint16_t listener;
	uint32_t judged;     /* a generation */
	uint32_t operations; /* under way in the ring */
	uint32_t next_touched, next_waiting;
	uint32_t held_first, held_last; /* buffers of the ring; URING_STREAM_BUFFERS: none */
	uint32_t chain;                 /* of those with such a peer */
	struct address peer;
	struct framing framing;
	uint32_t partial; /* buffer; BUFFER_NONE */
	uint32_t partial_size;
	uint32_t asked; /* requests that went without their final answer having come, more or less */
	uint32_t owed;  /* requests that came without any answer having gone, more or less */
	struct outbox outbox;
	uint64_t shards; /* whose messages it has taken: bit by index */
	uint64_t opened_ns;
	uint64_t active_ns;  /* bytes came or were put into the outbox */
	uint64_t mark_ns;    /* CONNECTING, CLOSING: since when; sending: of the latest progress */
	uint64_t partial_ns; /* the message under way has begun */
	uint64_t mute_ns;    /* since when the peer only waits for answers */
	union {
		struct sockaddr any;
		struct sockaddr_in6 six;
	} to; /* CONNECTING: for the ring */
};

static inline struct stream *stream_at(const struct streams *s, uint32_t index)
{
	return pool_at(&s->pool, index);
}

static inline uint32_t stream_index(const struct streams *s, const struct stream *stream)
{
	return pool_index(&s->pool, stream);
}

/* As flows name it, beside its generation. */
static inline uint32_t stream_connection(const struct streams *s, const struct stream *stream)
{
	return (uint32_t)s->settings.worker << CONNECTION_INDEX_BITS | (stream_index(s, stream) + 1);
}

/* Messages for it may be put into its outbox. */
static inline bool stream_takes(const struct stream *stream)
{
	return stream->state == STREAM_CONNECTING || stream->state == STREAM_OPEN;
}

/* The peer has ended its direction, and what it had said was read: it may hear answers, and gives none. */
static inline bool stream_is_mute(const struct stream *stream)
{
	return stream->ended && !stream->waits;
}

/* A place in the table, which has its descriptor from then on; NULL: there is none left.  stream_let_go() closes it
 * and gives back all that it holds: nothing of it is under way in the ring any more. */
struct stream *stream_take(struct streams *s, int fd, const struct address *peer, unsigned listener);
void stream_let_go(struct streams *s, struct stream *stream);

/* The one that a flow names; NULL: it has gone. */
struct stream *stream_named(const struct streams *s, const struct flow *flow);

/* Those that were opened are found by whom they lead to; NULL: there is none that takes requests. */
struct stream *stream_opened_to(const struct streams *s, const struct address *peer, unsigned listener);
void stream_remember_peer(struct streams *s, struct stream *stream);
void stream_forget_peer(struct streams *s, struct stream *stream);

/* A peer to which none came about.  Two that share a place take it from one another: then one of them is tried sooner.
 */
void stream_remember_refusal(struct streams *s, const struct stream *stream, uint64_t until_ns);
bool stream_has_refused(const struct streams *s, const struct address *peer, unsigned listener);

/* The end of the turn has something to do with it. */
void stream_touch(struct streams *s, struct stream *stream);
/* The same before all that were touched until now. */
void stream_touch_first(struct streams *s, struct stream *stream);
/* It holds bytes until there is room for what is in them; it does no more, and what it held is given back. */
void stream_wait(struct streams *s, struct stream *stream);
void stream_stop_waiting(struct streams *s, struct stream *stream);
void stream_drop_first_held(struct streams *s, struct stream *stream);
/* The message that is not whole is dropped. */
void stream_drop_partial(struct streams *s, struct stream *stream);
/* Messages wait on it that have to go before a stop is over, or no longer. */
void stream_await(struct streams *s, struct stream *stream, bool awaited);

#endif
