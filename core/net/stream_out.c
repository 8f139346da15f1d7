#include "core/net/stream_out.h"

#include <errno.h>

#include "core/net/stream_end.h"

enum {
	OUTBOX_MAX = 1024 * 1024,     /* what may wait for one peer */
	OUTBOX_SHORT_MAX = 32 * 1024, /* surely, while three quarters of all blocks are in use */
};

bool stream_is_strange(struct streams *s, struct stream *stream)
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

	return blocks == 0 ||
	       (blocks == 1 && stream->outbox.size == 0 && buffers_free(&s->blocks) >= STREAM_BLOCKS / 2);
}

static bool is_short(uint64_t free_blocks)
{
	return free_blocks < STREAM_BLOCKS / 4;
}

/* Blocks are short: whoever has the most of them makes room, and not who speaks next.  Those of a connection that was
 * cut are free in a moment.  false: nobody has more than this one. */
static bool others_make_room(struct streams *s, const struct stream *stream)
{
	uint64_t coming = 0; /* bytes */
	struct stream *most = NULL;

	for (uint32_t i = pool_next_used(&s->pool, 0); i != POOL_NONE; i = pool_next_used(&s->pool, i + 1)) {
		struct stream *other = stream_at(s, i);

		if (other->state == STREAM_ENDED)
			coming += other->outbox.size;
		else if (!most || other->outbox.size > most->outbox.size)
			most = other;
	}
	if (!is_short(buffers_free(&s->blocks) + coming / OUTBOX_BLOCK_BYTES))
		return true;
	if (!most || most->outbox.size <= stream->outbox.size)
		return false;
	stream_cut(s, most, END_UNREAD);
	return true;
}

bool stream_put(struct streams *s, struct stream *stream, struct bytes bytes)
{
	const uint32_t size = stream->outbox.size + bytes.size;

	if (!stream_takes(stream))
		return false;
	if (stream_is_strange(s, stream) && !has_room_for_stranger(s, stream, bytes.size))
		return false;
	const bool fits = size <= OUTBOX_MAX && (size <= OUTBOX_SHORT_MAX || !is_short(buffers_free(&s->blocks)) ||
						 others_make_room(s, stream));
	if (!fits || !outbox_add(&stream->outbox, &s->blocks, bytes)) {
		if (!(fits && others_make_room(s, stream)) && stream->outbox.size > OUTBOX_SHORT_MAX)
			stream_cut(s, stream, END_UNREAD);
		return false;
	}
	s->queued += bytes.size;
	stream->active_ns = s->now_ns;
	stream_touch(s, stream);
	return true;
}

void stream_send_next(struct streams *s, struct stream *stream)
{
	const struct bytes next = outbox_next(&stream->outbox, &s->blocks);

	if (stream->sending || next.size == 0 || (stream->state != STREAM_OPEN && stream->state != STREAM_CLOSING))
		return;
	if (!uring_send_bytes(s->settings.uring, stream->fd, stream_index(s, stream), stream->slot.generation, next)) {
		stream_end(s, stream, END_LOST, EBUSY);
		return;
	}
	stream->sending = true;
	stream->operations++;
	if (stream->state == STREAM_OPEN)
		stream->mark_ns = s->now_ns;
}

void stream_sent(struct streams *s, struct stream *stream, int result)
{
	stream->sending = false;
	stream->operations--;
	stream_touch(s, stream);
	if (stream->state == STREAM_ENDED)
		return;
	if (result > 0) {
		outbox_sent(&stream->outbox, &s->blocks, (uint32_t)result);
		s->queued -= (uint32_t)result;
		if (stream->outbox.size == 0)
			stream_await(s, stream, false);
	} else if (result != -EINTR && result != -EAGAIN) {
		stream_end(s, stream, END_LOST, result < 0 ? -result : EPIPE);
	}
}
