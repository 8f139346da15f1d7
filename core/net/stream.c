/* A worker's connections: see the header. */
#include "core/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/outbox.h"
#include "core/net/socket.h"
#include "core/siphash.h"
#include "sip/framing.h"
#include "sip/message.h"

#define SECONDS(n) ((n)*UINT64_C(1000000000))

/* Times are held to a second: streams_look(). */
#define CONNECT_NS SECONDS(4)  /* a peer that takes longer is not there: the call goes on to the next gateway */
#define STUCK_NS   SECONDS(10) /* nothing of what waits was taken */
#define MESSAGE_NS SECONDS(32) /* from its first byte to its last: 64*T1 */
#define SILENT_NS  SECONDS(30) /* until the first whole message */
#define REFUSED_NS SECONDS(1)  /* a peer that was not there is not tried again for a call */
#define LINGER_NS  SECONDS(2)  /* between our end of a connection and the peer's, and the other way round */

enum {
	OUTBOX_MAX = 1024 * 1024,     /* what may wait for one peer */
	OUTBOX_SHORT_MAX = 32 * 1024, /* while three quarters of all blocks are in use */
	BLOCKS = 1024,                /* 16 MiB; half of them are kept from strangers, who have one each */
	LOOKS_A_SECOND = 10,
	READ_OFF_MAX = 4, /* times */
	READ_OFF_BYTES = 1024 * 1024,
	LOG_LINES_PER_SECOND = 10,
};

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_CLOSING, /* nothing is read or added any more; what waits is sent, then the peer's end is waited for */
	STREAM_ENDED,   /* the ring has yet to tell of its operations */
};

enum stream_end {
	END_PEER,       /* the peer has ended it */
	END_LOST,       /* it broke */
	END_FAILED,     /* it did not come about */
	END_IDLE,       /* nothing came or went for long */
	END_UNREADABLE, /* what came could not be told apart */
	END_UNREAD,     /* the peer does not read */
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

static_assert(SIP_MESSAGE_BYTES_MAX % 16 == 0, "a buffer holds the largest message");
static_assert(CONNECTIONS_MAX < 1u << CONNECTION_INDEX_BITS, "an index and a worker in one word");

/* ---- names ---- */

static struct stream *stream_at(const struct streams *s, uint32_t index)
{
	return pool_at(&s->pool, index);
}

static uint32_t index_of(const struct streams *s, const struct stream *stream)
{
	return pool_index(&s->pool, stream);
}

static uint32_t connection_of(const struct streams *s, const struct stream *stream)
{
	return (uint32_t)s->settings.worker << CONNECTION_INDEX_BITS | (index_of(s, stream) + 1);
}

static struct stream *named(const struct streams *s, const struct flow *flow)
{
	const uint32_t place = flow->connection & ((1u << CONNECTION_INDEX_BITS) - 1);

	if (place == 0 || connection_worker(flow->connection) != s->settings.worker)
		return NULL;
	return pool_find(&s->pool, place - 1, flow->connection_generation);
}

/* Messages for it may be put into its outbox. */
static bool takes(const struct stream *stream)
{
	return stream->state == STREAM_CONNECTING || stream->state == STREAM_OPEN;
}

/* The peer has ended its direction, and what it had said was read: it may hear answers, and gives none. */
static bool is_mute(const struct stream *stream)
{
	return stream->ended && !stream->waits;
}

static uint64_t hash_of(const struct streams *s, const struct address *peer, unsigned listener)
{
	struct address key = *peer;

	key.unused = (uint8_t)listener;
	return siphash13(s->settings.k0, s->settings.k1, &key, sizeof key);
}

static uint32_t *head_of(const struct streams *s, const struct address *peer, unsigned listener)
{
	return &s->heads[hash_of(s, peer, listener) & s->head_mask];
}

/* Two that share a place take it from one another: then one of them is tried sooner. */
static void remember_refusal(struct streams *s, const struct stream *stream, uint64_t until_ns)
{
	s->refusals[hash_of(s, &stream->peer, stream->listener) % STREAMS_REFUSALS] =
		(struct refusal){ stream->peer, stream->listener, until_ns };
}

static bool has_refused(const struct streams *s, const struct address *peer, unsigned listener)
{
	const struct refusal *r = &s->refusals[hash_of(s, peer, listener) % STREAMS_REFUSALS];

	return r->until_ns > s->now_ns && r->listener == listener && address_equal(&r->peer, peer);
}

static struct stream *opened_to(const struct streams *s, const struct address *peer, unsigned listener)
{
	for (uint32_t i = *head_of(s, peer, listener); i != POOL_NONE; i = stream_at(s, i)->chain) {
		struct stream *stream = stream_at(s, i);

		if (stream->listener == listener && !stream->ended && address_equal(&stream->peer, peer))
			return stream;
	}
	return NULL;
}

static void forget_peer(struct streams *s, struct stream *stream)
{
	uint32_t *at = head_of(s, &stream->peer, stream->listener);

	while (*at != index_of(s, stream))
		at = &stream_at(s, *at)->chain;
	*at = stream->chain;
}

/* First in, first out: `link` is where a stream keeps the next one of that list. */
static uint32_t *link_of(const struct streams *s, uint32_t index, size_t link)
{
	return (uint32_t *)((char *)stream_at(s, index) + link);
}

static void append(struct streams *s, struct stream_list *list, struct stream *stream, size_t link)
{
	const uint32_t index = index_of(s, stream);

	*link_of(s, index, link) = POOL_NONE;
	if (list->first == POOL_NONE)
		list->first = index;
	else
		*link_of(s, list->last, link) = index;
	list->last = index;
}

static void touch(struct streams *s, struct stream *stream)
{
	if (stream->touched)
		return;
	stream->touched = true;
	append(s, &s->touched, stream, offsetof(struct stream, next_touched));
}

/* ---- beginning and end ---- */

static struct connection_limits limits_of(const struct streams *s)
{
	return (struct connection_limits){ s->config->connections_max, s->config->connections_per_source };
}

__attribute__((format(printf, 4, 5))) static void tell(struct streams *s, int level, const struct address *peer,
						       const char *format, ...)
{
	char address[ADDRESS_TEXT_MAX], text[160];
	uint32_t suppressed;
	va_list arguments;

	if (!log_wanted(level) || !log_limited(&s->log_site, LOG_LINES_PER_SECOND, s->now_ns, &suppressed))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	address_write(peer, address);
	if (suppressed > 0)
		log_printf(LOG_NOTICE, "event=log_lines_suppressed about=connections shard=%u lines=%u",
			   s->settings.worker, suppressed);
	log_printf(level, "event=%s peer=%s", text, address);
}

static struct stream *take(struct streams *s, int fd, const struct address *peer, unsigned listener)
{
	const uint32_t index = pool_take(&s->pool);

	if (index == POOL_NONE)
		return NULL;
	struct stream *stream = stream_at(s, index);
	stream->fd = fd;
	stream->peer = *peer;
	stream->listener = (uint16_t)listener;
	stream->partial = BUFFER_NONE;
	stream->held_first = stream->held_last = URING_STREAM_BUFFERS;
	outbox_init(&stream->outbox);
	stream->opened_ns = stream->active_ns = stream->mark_ns = s->now_ns;
	stat_set(&s->settings.stats->connections, s->pool.used);
	return stream;
}

static void drop_partial(struct streams *s, struct stream *stream)
{
	if (stream->partial != BUFFER_NONE)
		buffer_give(&s->partials, stream->partial);
	stream->partial = BUFFER_NONE;
	stream->partial_size = 0;
}

static void drop_first_held(struct streams *s, struct stream *stream)
{
	const unsigned buffer = stream->held_first;

	stream->held_first = s->held[buffer].next;
	uring_give_back(s->settings.uring, buffer);
}

/* The list knows it no more. */
static void stop_waiting(struct streams *s, struct stream *stream)
{
	uint32_t *at = &s->waiting.first, before = POOL_NONE;

	while (stream->held_first != URING_STREAM_BUFFERS)
		drop_first_held(s, stream);
	if (!stream->waits)
		return;
	stream->waits = false;
	while (*at != index_of(s, stream)) {
		before = *at;
		at = &stream_at(s, *at)->next_waiting;
	}
	*at = stream->next_waiting;
	if (s->waiting.last == index_of(s, stream))
		s->waiting.last = before;
}

static void await(struct streams *s, struct stream *stream, bool awaited)
{
	if (stream->awaited == awaited)
		return;
	stream->awaited = awaited;
	s->awaited += awaited ? 1 : UINT32_MAX;
}

static void let_go(struct streams *s, struct stream *stream)
{
	close(stream->fd);
	await(s, stream, false);
	drop_partial(s, stream);
	stop_waiting(s, stream);
	s->queued -= stream->outbox.size;
	outbox_clear(&stream->outbox, &s->blocks);
	connection_count_out(s->settings.count, stream->outgoing ? NULL : &stream->peer, stream->stranger);
	pool_give(&s->pool, index_of(s, stream));
	stat_set(&s->settings.stats->connections, s->pool.used);
}

static void count_end(struct streams *s, const struct stream *stream, enum stream_end why, int error)
{
	struct shard_stats *stats = s->settings.stats;

	switch (why) {
	case END_PEER:
		return;
	case END_LOST:
		tell(s, LOG_INFO, &stream->peer, "connection_lost reason=\"%s\"", strerror(error));
		return;
	case END_FAILED:
		stat_add(&stats->connections_failed, 1);
		tell(s, LOG_NOTICE, &stream->peer, "connection_failed reason=\"%s\"", strerror(error));
		return;
	case END_IDLE:
		stat_add(&stats->connections_idle, 1);
		return;
	case END_UNREADABLE:
		stat_add(&stats->connections_unreadable, 1);
		tell(s, LOG_INFO, &stream->peer, "connection_closed reason=\"what came could not be read\"");
		return;
	case END_UNREAD:
		stat_add(&stats->connections_unread, 1);
		tell(s, LOG_NOTICE, &stream->peer, "connection_closed reason=\"the peer does not read\"");
		return;
	}
}

/* Its descriptor stays until the ring has told of all its operations, which end by this. */
static void end(struct streams *s, struct stream *stream, enum stream_end why, int error)
{
	const bool connecting = stream->state == STREAM_CONNECTING;

	if (stream->state == STREAM_ENDED)
		return;
	if (takes(stream)) {
		count_end(s, stream, why, error);
		if (stream->outgoing)
			forget_peer(s, stream);
	}
	stream->state = STREAM_ENDED;
	if (why == END_FAILED)
		remember_refusal(s, stream, s->now_ns + REFUSED_NS);
	if (connecting && stream->operations > 0)
		uring_cancel(s->settings.uring, URING_CONNECTED, index_of(s, stream), stream->slot.generation);
	else if (!connecting)
		shutdown(stream->fd, SHUT_RDWR);
	touch(s, stream);
}

/* What waits still goes out. */
static void begin_close(struct streams *s, struct stream *stream, enum stream_end why)
{
	if (stream->state != STREAM_OPEN)
		return;
	count_end(s, stream, why, 0);
	if (stream->outgoing)
		forget_peer(s, stream);
	stream->state = STREAM_CLOSING;
	stream->mark_ns = s->now_ns;
	drop_partial(s, stream);
	touch(s, stream);
}

/* A peer that stops here has its memory taken away at once, not when the kernel loses patience. */
static void cut(struct streams *s, struct stream *stream, enum stream_end why)
{
	const struct linger none = { .l_onoff = 1 };

	setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	end(s, stream, why, ETIMEDOUT);
}

/* ---- in ---- */

static struct flow flow_of(const struct streams *s, const struct stream *stream)
{
	return (struct flow){ .peer = stream->peer,
			      .listener = stream->listener,
			      .transport = TRANSPORT_TCP,
			      .connection = connection_of(s, stream),
			      .connection_generation = stream->slot.generation };
}

static bool is_response(struct bytes message)
{
	return message.size > 11 && memcmp(message.at, "SIP/2.0 ", 8) == 0;
}

static bool is_final_response(struct bytes message)
{
	return is_response(message) && message.at[8] >= '2';
}

static bool is_question(struct bytes message)
{
	return message.size > 8 && memcmp(message.at, "SIP/2.0 ", 8) != 0 && memcmp(message.at, "ACK ", 4) != 0;
}

/* The message may end the connection: nothing of it is given back before the turn's end. */
static void pass_on(struct streams *s, struct stream *stream, int64_t stamp_ns, struct bytes message, bool is_cut)
{
	const struct flow flow = flow_of(s, stream);

	s->messages_in++;
	if (stream->asked > 0 && is_final_response(message))
		stream->asked--;
	stream->owed += is_question(message);
	s->settings.message(s->settings.context, &flow, stamp_ns, message, is_cut);
}

static bool put(struct streams *s, struct stream *stream, struct bytes bytes);
static bool is_strange(struct streams *s, struct stream *stream);

/* RFC 5626 4.4.1.  One answer stands for all pings that were read at once; who pings and does not read gets none. */
static void answer_ping(struct streams *s, struct stream *stream)
{
	if (stream->ponged || (stream->outbox.size > 0 && is_strange(s, stream)))
		return;
	stream->ponged = true;
	put(s, stream, BYTES("\r\n"));
}

static void take_frame(struct streams *s, struct stream *stream, int64_t stamp_ns, enum framing_result result,
		       struct bytes frame)
{
	switch (result) {
	case FRAMING_MORE:
	case FRAMING_SKIPPED:
		return;
	case FRAMING_PING:
		answer_ping(s, stream);
		return;
	case FRAMING_MESSAGE:
		stream->spoke = true;
		pass_on(s, stream, stamp_ns, frame, false);
		return;
	case FRAMING_UNBOUNDED:
	case FRAMING_TOO_LARGE:
		pass_on(s, stream, stamp_ns, frame, result == FRAMING_TOO_LARGE);
		begin_close(s, stream, END_UNREADABLE);
		return;
	case FRAMING_GARBAGE:
		end(s, stream, END_UNREADABLE, 0);
		return;
	}
}

/* Puts what has come behind what there is of the message, as far as a message can be long. */
static struct bytes add_partial(struct streams *s, struct stream *stream, struct bytes bytes)
{
	char *at = buffer_at(&s->partials, stream->partial);
	const uint32_t room = SIP_MESSAGE_BYTES_MAX - stream->partial_size;
	const uint32_t part = bytes.size < room ? bytes.size : room;

	memcpy(at + stream->partial_size, bytes.at, part);
	return (struct bytes){ at, stream->partial_size + part };
}

/* A buffer for each connection there can be is reserved. */
static void keep_partial(struct streams *s, struct stream *stream, struct bytes bytes)
{
	if (stream->partial == BUFFER_NONE) {
		stream->partial = buffer_take(&s->partials);
		assert(stream->partial != BUFFER_NONE && bytes.size <= SIP_MESSAGE_BYTES_MAX);
		memcpy(buffer_at(&s->partials, stream->partial), bytes.at, bytes.size);
		stream->partial_ns = s->now_ns;
	}
	stream->partial_size = bytes.size;
}

/* Returns what is left where there is no room to pass on what is in it. */
static struct bytes take_bytes(struct streams *s, struct stream *stream, int64_t stamp_ns, struct bytes bytes)
{
	while (bytes.size > 0 && stream->state == STREAM_OPEN && s->settings.room(s->settings.context)) {
		const uint32_t had = stream->partial_size;
		struct bytes whole = had > 0 ? add_partial(s, stream, bytes) : bytes;
		uint32_t size;
		const enum framing_result result =
			framing_next(&stream->framing, whole, s->config->message_bytes_max, &size);

		if (result == FRAMING_MORE) {
			keep_partial(s, stream, whole);
			return BYTES_NONE;
		}
		take_frame(s, stream, stamp_ns, result, (struct bytes){ whole.at, size });
		if (stream->state != STREAM_OPEN)
			return BYTES_NONE;
		drop_partial(s, stream);
		assert(size >= had);
		bytes.at += size - had;
		bytes.size -= size - had;
	}
	return bytes;
}

/* Bytes wait in their buffer, behind those that do so already. */
static void hold(struct streams *s, struct stream *stream, const struct uring_stream_event *e, struct bytes left)
{
	*e->keep = true;
	s->held[e->buffer] = (struct held){ left, e->stamp_ns, URING_STREAM_BUFFERS };
	if (stream->held_first == URING_STREAM_BUFFERS)
		stream->held_first = e->buffer;
	else
		s->held[stream->held_last].next = e->buffer;
	stream->held_last = e->buffer;
	if (stream->waits)
		return;
	if (stream->receiving) /* or it would take the buffers of all others */
		uring_cancel(s->settings.uring, URING_RECEIVED, index_of(s, stream), stream->slot.generation);
	stream->waits = true;
	append(s, &s->waiting, stream, offsetof(struct stream, next_waiting));
}

static void receive_bytes(struct streams *s, struct stream *stream, const struct uring_stream_event *e)
{
	struct bytes left = e->bytes;

	if (stream->state != STREAM_OPEN)
		return;
	stream->active_ns = s->now_ns;
	stream->ponged = false;
	if (!stream->waits)
		left = take_bytes(s, stream, e->stamp_ns, left);
	if (left.size > 0 && stream->state == STREAM_OPEN)
		hold(s, stream, e, left);
}

static void receive(struct streams *s, struct stream *stream)
{
	if (stream->receiving || stream->ended || stream->waits || stream->state == STREAM_ENDED)
		return;
	stream->receiving = uring_receive(s->settings.uring, stream->fd, index_of(s, stream), stream->slot.generation);
	stream->operations += stream->receiving;
	if (!stream->receiving)
		end(s, stream, END_LOST, EBUSY);
}

/* The peer will send no more.  Answers that are under way to it still go out, and those that other shards, or their
 * peers, have yet to give are waited for. */
static void peer_ended(struct streams *s, struct stream *stream)
{
	stream->ended = true;
	if (stream->waits && stream->state == STREAM_OPEN)
		return; /* what it said before comes first */
	if (stream->state == STREAM_OPEN && stream->owed > 0) {
		drop_partial(s, stream);
		stream->mute_ns = s->now_ns;
		return;
	}
	if (stream->state == STREAM_OPEN && stream->outbox.size > 0)
		begin_close(s, stream, END_PEER);
	else if (stream->state != STREAM_CLOSING || stream->outbox.size == 0)
		end(s, stream, END_PEER, 0);
}

static void received(struct streams *s, struct stream *stream, const struct uring_stream_event *e)
{
	if (!e->more) {
		stream->receiving = false;
		stream->operations--;
	}
	touch(s, stream);
	if (e->bytes.size > 0) {
		receive_bytes(s, stream, e);
	} else if (e->result >= 0) {
		peer_ended(s, stream);
	} else if (e->result != -ENOBUFS && e->result != -EINTR && e->result != -ECANCELED) {
		end(s, stream, END_LOST, -e->result);
	}
}

/* false: there is no room for all of it. */
static bool take_held(struct streams *s, struct stream *stream)
{
	while (stream->held_first != URING_STREAM_BUFFERS && stream->state == STREAM_OPEN) {
		struct held *held = &s->held[stream->held_first];

		stream->ponged = false;
		held->bytes = take_bytes(s, stream, held->stamp_ns, held->bytes);
		if (held->bytes.size > 0 && stream->state == STREAM_OPEN)
			return false;
		drop_first_held(s, stream);
	}
	return true;
}

void streams_resume(struct streams *s)
{
	uint32_t next;

	for (uint32_t i = s->waiting.first; i != POOL_NONE && s->settings.room(s->settings.context); i = next) {
		struct stream *stream = stream_at(s, i);

		next = stream->next_waiting;
		if (!take_held(s, stream))
			return;
		stop_waiting(s, stream);
		touch(s, stream);
		if (stream->ended)
			peer_ended(s, stream);
	}
}

/* ---- who comes ---- */

static void refuse(struct streams *s, int fd, const struct address *peer, const char *why)
{
	close(fd);
	stat_add(&s->settings.stats->connections_refused, 1);
	tell(s, LOG_NOTICE, peer, "connection_refused reason=\"%s\"", why);
}

/* For want of descriptors or memory. */
static void not_accepted(struct streams *s, unsigned listener, int error)
{
	stat_add(&s->settings.stats->connections_refused, 1);
	tell(s, LOG_WARNING, &s->config->listens[listener].address, "connection_not_accepted reason=\"%s\"",
	     strerror(error));
}

static void accepted(struct streams *s, unsigned listener, int fd)
{
	const struct connection_limits limits = limits_of(s);
	struct sockaddr_storage sa;
	socklen_t size = sizeof sa;
	struct address peer;

	if (getpeername(fd, (struct sockaddr *)&sa, &size) < 0) {
		close(fd); /* it has gone again */
		return;
	}
	address_from_sockaddr((const struct sockaddr *)&sa, &peer);
	const bool stranger = !config_source_known(s->config, &peer);
	const enum connection_leave leave = connection_count_in(s->settings.count, &limits, &peer, stranger);
	if (leave != CONNECTION_GRANTED) {
		refuse(s, fd, &peer, connection_leave_text(leave));
		return;
	}
	struct stream *stream = take(s, fd, &peer, listener);
	if (!stream) {
		connection_count_out(s->settings.count, &peer, stranger);
		refuse(s, fd, &peer, "this worker's share of max_connections is used up");
		return;
	}
	stream->stranger = stream->strange = stranger;
	stream->judged = s->config->generation;
	stream->state = STREAM_OPEN;
	stat_add(&s->settings.stats->connections_accepted, 1);
	receive(s, stream);
}

/* ---- whom we call upon ---- */

/* NULL: none is to be had, which the log tells. */
static struct stream *open_to(struct streams *s, const struct address *peer, unsigned listener)
{
	const struct listen_config *listen = &s->config->listens[listener];
	const struct connection_limits limits = limits_of(s);
	struct sockaddr_storage sa;
	int fd = -1;

	if (connection_count_in(s->settings.count, &limits, NULL, false) != CONNECTION_GRANTED) {
		tell(s, LOG_WARNING, peer, "connection_failed reason=\"max_connections is reached\"");
		return NULL;
	}
	int r = socket_open_stream(listen, s->config->parameters.SS_QOS_SIGNAL, &fd);
	struct stream *stream = r == 0 ? take(s, fd, peer, listener) : NULL;
	if (!stream) {
		tell(s, LOG_WARNING, peer, "connection_failed reason=\"%s\"", strerror(r < 0 ? -r : ENOBUFS));
		if (fd >= 0)
			close(fd);
		connection_count_out(s->settings.count, NULL, false);
		return NULL;
	}
	const unsigned size = address_to_sockaddr(peer, &sa);
	assert(size <= sizeof stream->to);
	memcpy(&stream->to, &sa, size);
	stream->outgoing = true;
	stream->state = STREAM_CONNECTING;
	uint32_t *head = head_of(s, peer, listener);
	stream->chain = *head;
	*head = index_of(s, stream);
	stat_add(&s->settings.stats->connections_opened, 1);
	if (uring_connect(s->settings.uring, fd, index_of(s, stream), stream->slot.generation, &stream->to.any, size))
		stream->operations++;
	else
		end(s, stream, END_FAILED, EBUSY);
	return stream;
}

static void connected(struct streams *s, struct stream *stream, int result)
{
	stream->operations--;
	touch(s, stream);
	if (stream->state != STREAM_CONNECTING)
		return;
	if (result < 0) {
		end(s, stream, END_FAILED, -result);
		return;
	}
	stream->state = STREAM_OPEN;
	stream->active_ns = s->now_ns;
	if (has_refused(s, &stream->peer, stream->listener))
		remember_refusal(s, stream, 0);
	receive(s, stream);
}

/* ---- out ---- */

/* By today's configuration; for how it was counted see `stranger`. */
static bool is_strange(struct streams *s, struct stream *stream)
{
	if (stream->outgoing)
		return false;
	if (stream->judged != s->config->generation) {
		stream->judged = s->config->generation;
		stream->strange = !config_source_known(s->config, &stream->peer);
	}
	return stream->strange;
}

static bool has_room_for_stranger(const struct streams *s, const struct stream *stream, uint32_t size)
{
	const uint32_t blocks = outbox_needs(&stream->outbox, &s->blocks, size);

	return blocks == 0 || (blocks == 1 && stream->outbox.size == 0 && buffers_free(&s->blocks) >= BLOCKS / 2);
}

/* A connection is cut for what waits on it, not for what others have taken. */
static bool put(struct streams *s, struct stream *stream, struct bytes bytes)
{
	const bool is_short = buffers_free(&s->blocks) < BLOCKS / 4;
	const uint32_t max = is_short ? OUTBOX_SHORT_MAX : OUTBOX_MAX;

	if (!takes(stream))
		return false;
	if (is_strange(s, stream) && !has_room_for_stranger(s, stream, bytes.size))
		return false;
	if (stream->outbox.size + bytes.size > max || !outbox_add(&stream->outbox, &s->blocks, bytes)) {
		if (stream->outbox.size > OUTBOX_SHORT_MAX)
			cut(s, stream, END_UNREAD);
		return false;
	}
	s->queued += bytes.size;
	stream->active_ns = s->now_ns;
	touch(s, stream);
	return true;
}

/* answer: to a request that came before. */
static struct stream *find(struct streams *s, const struct flow *to, bool answer)
{
	struct stream *stream = named(s, to);

	if (stream && takes(stream) && (answer || !stream->ended) &&
	    (to->pinned || address_same_host(&stream->peer, &to->peer)))
		return stream;
	return to->pinned ? NULL : opened_to(s, &to->peer, to->listener);
}

/* patient: a peer that has refused a moment ago is not asked again.  Each refusal costs a look at all transactions of
 * the shards, and calls can go elsewhere. */
static struct stream *find_or_open(struct streams *s, const struct flow *to, bool answer, bool patient)
{
	struct stream *stream = find(s, to, answer);

	if (stream || to->pinned)
		return stream;
	if (s->config->listens[to->listener].address.family != to->peer.family || to->peer.port == 0)
		return NULL;
	if (patient && has_refused(s, &to->peer, to->listener))
		return NULL;
	return open_to(s, &to->peer, to->listener);
}

void streams_connect(struct streams *s, struct flow *to, bool patient)
{
	if (to->connection != 0 && connection_worker(to->connection) != s->settings.worker)
		return;
	const struct stream *stream = find_or_open(s, to, false, patient);
	to->connection = stream ? connection_of(s, stream) : 0;
	to->connection_generation = stream ? stream->slot.generation : 0;
}

static bool is_invite(struct bytes message)
{
	return message.size > 7 && memcmp(message.at, "INVITE ", 7) == 0;
}

/* What comes behind a 100 is no longer owed: it may take as long as a telephone rings, and has other ways. */
static bool is_first_answer(const struct flow *to, struct bytes message)
{
	return to->pinned || is_final_response(message) ||
	       (is_response(message) && memcmp(message.at + 8, "100", 3) == 0);
}

bool streams_send(struct streams *s, unsigned shard, const struct flow *to, struct bytes message)
{
	struct stream *stream = find_or_open(s, to, to->pinned || is_response(message), is_invite(message));

	if (stream && to->repeated && takes(stream) && stream->outbox.size > 0)
		return true;
	if (!stream || !put(s, stream, message)) {
		s->lost++;
		return false;
	}
	if (!is_strange(s, stream))
		await(s, stream, true);
	stream->shards |= UINT64_C(1) << shard;
	stream->asked += is_question(message);
	if (stream->owed > 0 && is_first_answer(to, message))
		stream->owed--;
	s->messages_out++;
	return true;
}

static void send_next(struct streams *s, struct stream *stream)
{
	const struct bytes next = outbox_next(&stream->outbox, &s->blocks);

	if (stream->sending || next.size == 0 || (stream->state != STREAM_OPEN && stream->state != STREAM_CLOSING))
		return;
	if (!uring_send_bytes(s->settings.uring, stream->fd, index_of(s, stream), stream->slot.generation, next)) {
		end(s, stream, END_LOST, EBUSY);
		return;
	}
	stream->sending = true;
	stream->operations++;
	if (stream->state == STREAM_OPEN)
		stream->mark_ns = s->now_ns;
}

static void sent(struct streams *s, struct stream *stream, int result)
{
	stream->sending = false;
	stream->operations--;
	touch(s, stream);
	if (stream->state == STREAM_ENDED)
		return;
	if (result > 0) {
		outbox_sent(&stream->outbox, &s->blocks, (uint32_t)result);
		s->queued -= (uint32_t)result;
		if (stream->outbox.size == 0)
			await(s, stream, false);
	} else if (result != -EINTR && result != -EAGAIN) {
		end(s, stream, END_LOST, result < 0 ? -result : EPIPE);
	}
}

/* ---- the turn ---- */

void streams_turn(struct streams *s, const struct config *config, uint64_t now_ns)
{
	s->config = config;
	s->now_ns = now_ns;
}

void streams_event(struct streams *s, const struct uring_stream_event *e)
{
	if (e->kind == URING_ACCEPTED) {
		if (e->result >= 0)
			accepted(s, e->listener, e->result);
		else if (e->result != -ECONNABORTED && e->result != -EINTR)
			not_accepted(s, e->listener, -e->result);
		return;
	}
	struct stream *stream = pool_find(&s->pool, e->index, e->generation);
	assert(stream && stream->operations > 0);
	if (e->kind == URING_RECEIVED)
		received(s, stream, e);
	else if (e->kind == URING_SENT)
		sent(s, stream, e->result);
	else
		connected(s, stream, e->result);
}

/* Once: whoever waits for an answer on it waits in vain.  Of one that a peer has opened only if there was a question.
 */
static void tell_lost(struct streams *s, struct stream *stream)
{
	if (stream->told || (takes(stream) && !is_mute(stream)))
		return;
	stream->told = true;
	if (stream->shards && (stream->outgoing || stream->asked > 0))
		s->settings.lost(s->settings.context, connection_of(s, stream), stream->slot.generation,
				 stream->shards);
}

static void close_answered(struct streams *s, struct stream *stream)
{
	if (stream->state == STREAM_OPEN && is_mute(stream) && stream->owed == 0)
		begin_close(s, stream, END_PEER);
}

/* Ours has gone; then the peer's end, or LINGER_NS, closes it.  Closed at once, what the peer still sends would have
 * the kernel take the answer away from it. */
static void close_half(struct streams *s, struct stream *stream)
{
	if (stream->state != STREAM_CLOSING || stream->outbox.size > 0 || stream->half)
		return;
	stream->half = true;
	shutdown(stream->fd, SHUT_WR);
	if (stream->ended)
		end(s, stream, END_PEER, 0);
}

/* It may end by any of this, and is touched until all is done: or it would stand in the list again as it goes. */
static void settle(struct streams *s, struct stream *stream)
{
	close_answered(s, stream);
	send_next(s, stream);
	close_half(s, stream);
	if (stream->state == STREAM_OPEN || stream->state == STREAM_CLOSING)
		receive(s, stream);
	tell_lost(s, stream);
	stream->touched = false;
	if (stream->state == STREAM_ENDED && stream->operations == 0)
		let_go(s, stream);
}

void streams_flush(struct streams *s)
{
	uring_streams_show_buffers(s->settings.uring); /* before it is received into them */
	while (s->touched.first != POOL_NONE) {
		struct stream *stream = stream_at(s, s->touched.first);

		s->touched.first = stream->next_touched;
		settle(s, stream);
	}
}

void streams_leave(struct streams *s)
{
	for (uint32_t i = pool_next_used(&s->pool, 0); i != POOL_NONE; i = pool_next_used(&s->pool, i + 1)) {
		struct stream *stream = stream_at(s, i);

		if (stream->state == STREAM_OPEN)
			begin_close(s, stream, END_PEER);
		else if (stream->state == STREAM_CONNECTING)
			end(s, stream, END_PEER, 0);
	}
}

/* ---- time ---- */

static bool passed(const struct streams *s, uint64_t since_ns, uint64_t wait_ns)
{
	return s->now_ns > since_ns && s->now_ns - since_ns >= wait_ns;
}

static void look_at_open(struct streams *s, struct stream *stream)
{
	const uint64_t idle_ns = SECONDS(s->config->connection_idle_s);
	const bool silent = !stream->outgoing && !stream->spoke;

	if (is_mute(stream) && passed(s, stream->mute_ns, LINGER_NS))
		begin_close(s, stream, END_PEER);
	else if (stream->sending && passed(s, stream->mark_ns, STUCK_NS))
		cut(s, stream, END_UNREAD);
	else if (stream->partial != BUFFER_NONE && passed(s, stream->partial_ns, MESSAGE_NS))
		cut(s, stream, END_UNREADABLE);
	else if (passed(s, stream->active_ns, idle_ns) || (silent && passed(s, stream->opened_ns, SILENT_NS)))
		end(s, stream, END_IDLE, 0);
}

static void look_at(struct streams *s, struct stream *stream)
{
	switch ((enum stream_state)stream->state) {
	case STREAM_CONNECTING:
		if (passed(s, stream->mark_ns, CONNECT_NS))
			end(s, stream, END_FAILED, ETIMEDOUT);
		return;
	case STREAM_OPEN:
		look_at_open(s, stream);
		return;
	case STREAM_CLOSING:
		if (passed(s, stream->mark_ns, LINGER_NS))
			end(s, stream, END_PEER, 0);
		return;
	case STREAM_ENDED:
		return;
	}
}

void streams_look(struct streams *s)
{
	const uint32_t share = s->pool.fresh / LOOKS_A_SECOND + 1;

	for (uint32_t i = 0; i < share && s->pool.used > 0; i++, s->cursor++) {
		if (s->cursor >= s->pool.fresh)
			s->cursor = 0;
		struct stream *stream = stream_at(s, s->cursor);
		if (stream->slot.used)
			look_at(s, stream);
	}
}

/* ---- memory ---- */

int streams_create(struct streams *s, const struct streams_settings *settings)
{
	uint32_t heads = 64;

	assert(settings->connections_max > 0 && settings->connections_max <= CONNECTIONS_MAX);
	while (heads < settings->connections_max)
		heads *= 2;
	*s = (struct streams){
		.settings = *settings, .head_mask = heads - 1, .waiting.first = POOL_NONE, .touched.first = POOL_NONE
	};
	s->heads = malloc(heads * sizeof *s->heads);
	if (!s->heads)
		return -ENOMEM;
	for (uint32_t i = 0; i < heads; i++)
		s->heads[i] = POOL_NONE;
	int r = pool_create(&s->pool, settings->connections_max, sizeof(struct stream));
	if (r == 0)
		r = buffers_create(&s->partials, settings->connections_max, SIP_MESSAGE_BYTES_MAX);
	if (r == 0)
		r = buffers_create(&s->blocks, BLOCKS, OUTBOX_BLOCK_BYTES);
	if (r < 0)
		streams_destroy(s);
	return r;
}

/* Closed with bytes unread, the kernel would reset it, and the peer lose what it has not read yet. */
static void read_off_and_close(int fd)
{
	for (unsigned i = 0; i < READ_OFF_MAX && recv(fd, NULL, READ_OFF_BYTES, MSG_DONTWAIT | MSG_TRUNC) > 0; i++)
		;
	close(fd);
}

void streams_destroy(struct streams *s)
{
	for (uint32_t i = pool_next_used(&s->pool, 0); i != POOL_NONE; i = pool_next_used(&s->pool, i + 1))
		read_off_and_close(stream_at(s, i)->fd);
	pool_destroy(&s->pool);
	buffers_destroy(&s->partials);
	buffers_destroy(&s->blocks);
	free(s->heads);
	s->heads = NULL;
}
