#include "core/net/stream_in.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/net/start_line.h"
#include "core/net/stream_end.h"
#include "core/net/stream_out.h"
#include "sip/message.h"

static_assert(SIP_MESSAGE_BYTES_MAX % 16 == 0, "a buffer holds the largest message");

/* ---- messages ---- */

static struct flow flow_of(const struct streams *s, const struct stream *stream)
{
	return (struct flow){ .peer = stream->peer,
			      .listener = stream->listener,
			      .transport = TRANSPORT_TCP,
			      .connection = stream_connection(s, stream),
			      .connection_generation = stream->slot.generation };
}

/* The message may end the connection: nothing of it is given back before the turn's end. */
static void pass_on(struct streams *s, struct stream *stream, int64_t stamp_ns, struct bytes message, bool is_cut)
{
	const struct flow flow = flow_of(s, stream);

	s->messages_in++;
	if (stream->asked > 0 && start_is_final_response(message))
		stream->asked--;
	stream->owed += start_is_question(message);
	s->settings.message(s->settings.context, &flow, stamp_ns, message, is_cut);
}

/* RFC 5626 4.4.1.  One answer stands for all pings that were read at once; who pings and does not read gets none. */
static void answer_ping(struct streams *s, struct stream *stream)
{
	if (stream->ponged || (stream->outbox.size > 0 && stream_is_strange(s, stream)))
		return;
	stream->ponged = true;
	stream_put(s, stream, BYTES("\r\n"));
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
		stream_begin_close(s, stream, END_UNREADABLE);
		return;
	case FRAMING_GARBAGE:
		stream_end(s, stream, END_UNREADABLE, 0);
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
		stream_drop_partial(s, stream);
		assert(size >= had);
		bytes.at += size - had;
		bytes.size -= size - had;
	}
	return bytes;
}

/* ---- bytes ---- */

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
		uring_cancel(s->settings.uring, URING_RECEIVED, stream_index(s, stream), stream->slot.generation);
	stream_wait(s, stream);
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

void stream_receive(struct streams *s, struct stream *stream)
{
	if (stream->receiving || stream->ended || stream->waits || stream->state == STREAM_ENDED)
		return;
	stream->receiving =
		uring_receive(s->settings.uring, stream->fd, stream_index(s, stream), stream->slot.generation);
	stream->operations += stream->receiving;
	if (!stream->receiving)
		stream_end(s, stream, END_LOST, EBUSY);
}

/* The peer will send no more.  Answers that are under way to it still go out, and those that other shards, or their
 * peers, have yet to give are waited for. */
static void peer_ended(struct streams *s, struct stream *stream)
{
	stream->ended = true;
	if (stream->waits && stream->state == STREAM_OPEN)
		return; /* what it said before comes first */
	if (stream->state == STREAM_OPEN && stream->owed > 0) {
		stream_drop_partial(s, stream);
		stream->mute_ns = s->now_ns;
		return;
	}
	if (stream->state == STREAM_OPEN && stream->outbox.size > 0)
		stream_begin_close(s, stream, END_PEER);
	else if (stream->state != STREAM_CLOSING || stream->outbox.size == 0)
		stream_end(s, stream, END_PEER, 0);
}

void stream_received(struct streams *s, struct stream *stream, const struct uring_stream_event *e)
{
	if (!e->more) {
		stream->receiving = false;
		stream->operations--;
	}
	if (e->result == -ENOBUFS) /* others have the buffers: the next ones are for those that had none of these */
		stream_touch_first(s, stream);
	else
		stream_touch(s, stream);
	if (e->bytes.size > 0) {
		receive_bytes(s, stream, e);
	} else if (e->result >= 0) {
		peer_ended(s, stream);
	} else if (e->result != -ENOBUFS && e->result != -EINTR && e->result != -ECANCELED) {
		stream_end(s, stream, END_LOST, -e->result);
	}
}

/* ---- what has waited ---- */

/* false: there is no room for all of it. */
static bool take_held(struct streams *s, struct stream *stream)
{
	while (stream->held_first != URING_STREAM_BUFFERS && stream->state == STREAM_OPEN) {
		struct held *held = &s->held[stream->held_first];

		stream->ponged = false;
		held->bytes = take_bytes(s, stream, held->stamp_ns, held->bytes);
		if (held->bytes.size > 0 && stream->state == STREAM_OPEN)
			return false;
		stream_drop_first_held(s, stream);
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
		stream_stop_waiting(s, stream);
		stream_touch(s, stream);
		if (stream->ended)
			peer_ended(s, stream);
	}
}
