#include "core/net/stream_table.h"

#include <assert.h>
#include <stddef.h>
#include <unistd.h>

#include "core/siphash.h"

static_assert(CONNECTIONS_MAX < 1u << CONNECTION_INDEX_BITS, "an index and a worker in one word");

/* ---- by name ---- */

struct stream *stream_named(const struct streams *s, const struct flow *flow)
{
	const uint32_t place = flow->connection & ((1u << CONNECTION_INDEX_BITS) - 1);

	if (place == 0 || connection_worker(flow->connection) != s->settings.worker)
		return NULL;
	return pool_find(&s->pool, place - 1, flow->connection_generation);
}

/* ---- by peer ---- */

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

void stream_remember_refusal(struct streams *s, const struct stream *stream, uint64_t until_ns)
{
	s->refusals[hash_of(s, &stream->peer, stream->listener) % STREAMS_REFUSALS] =
		(struct refusal){ stream->peer, stream->listener, until_ns };
}

bool stream_has_refused(const struct streams *s, const struct address *peer, unsigned listener)
{
	const struct refusal *r = &s->refusals[hash_of(s, peer, listener) % STREAMS_REFUSALS];

	return r->until_ns > s->now_ns && r->listener == listener && address_equal(&r->peer, peer);
}

struct stream *stream_opened_to(const struct streams *s, const struct address *peer, unsigned listener)
{
	for (uint32_t i = *head_of(s, peer, listener); i != POOL_NONE; i = stream_at(s, i)->chain) {
		struct stream *stream = stream_at(s, i);

		if (stream->listener == listener && !stream->ended && address_equal(&stream->peer, peer))
			return stream;
	}
	return NULL;
}

void stream_remember_peer(struct streams *s, struct stream *stream)
{
	uint32_t *head = head_of(s, &stream->peer, stream->listener);

	stream->chain = *head;
	*head = stream_index(s, stream);
}

void stream_forget_peer(struct streams *s, struct stream *stream)
{
	uint32_t *at = head_of(s, &stream->peer, stream->listener);

	while (*at != stream_index(s, stream))
		at = &stream_at(s, *at)->chain;
	*at = stream->chain;
}

/* ---- lists ---- */

/* First in, first out: `link` is where a stream keeps the next one of that list. */
static uint32_t *link_of(const struct streams *s, uint32_t index, size_t link)
{
	return (uint32_t *)((char *)stream_at(s, index) + link);
}

static void append(struct streams *s, struct stream_list *list, struct stream *stream, size_t link)
{
	const uint32_t index = stream_index(s, stream);

	*link_of(s, index, link) = POOL_NONE;
	if (list->first == POOL_NONE)
		list->first = index;
	else
		*link_of(s, list->last, link) = index;
	list->last = index;
}

void stream_touch(struct streams *s, struct stream *stream)
{
	if (stream->touched)
		return;
	stream->touched = true;
	append(s, &s->touched, stream, offsetof(struct stream, next_touched));
}

void stream_touch_first(struct streams *s, struct stream *stream)
{
	if (stream->touched)
		return;
	stream->touched = true;
	stream->next_touched = s->touched.first;
	s->touched.first = stream_index(s, stream);
	if (stream->next_touched == POOL_NONE)
		s->touched.last = s->touched.first;
}

void stream_wait(struct streams *s, struct stream *stream)
{
	stream->waits = true;
	append(s, &s->waiting, stream, offsetof(struct stream, next_waiting));
}

void stream_drop_first_held(struct streams *s, struct stream *stream)
{
	const unsigned buffer = stream->held_first;

	stream->held_first = s->held[buffer].next;
	uring_give_back(s->settings.uring, buffer);
}

void stream_stop_waiting(struct streams *s, struct stream *stream)
{
	uint32_t *at = &s->waiting.first, before = POOL_NONE;

	while (stream->held_first != URING_STREAM_BUFFERS)
		stream_drop_first_held(s, stream);
	if (!stream->waits)
		return;
	stream->waits = false;
	while (*at != stream_index(s, stream)) {
		before = *at;
		at = &stream_at(s, *at)->next_waiting;
	}
	*at = stream->next_waiting;
	if (s->waiting.last == stream_index(s, stream))
		s->waiting.last = before;
}

void stream_await(struct streams *s, struct stream *stream, bool awaited)
{
	if (stream->awaited == awaited)
		return;
	stream->awaited = awaited;
	s->awaited += awaited ? 1 : UINT32_MAX;
}

/* ---- beginning and end ---- */

struct stream *stream_take(struct streams *s, int fd, const struct address *peer, unsigned listener)
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

void stream_drop_partial(struct streams *s, struct stream *stream)
{
	if (stream->partial != BUFFER_NONE)
		buffer_give(&s->partials, stream->partial);
	stream->partial = BUFFER_NONE;
	stream->partial_size = 0;
}

void stream_let_go(struct streams *s, struct stream *stream)
{
	close(stream->fd);
	stream_await(s, stream, false);
	stream_drop_partial(s, stream);
	stream_stop_waiting(s, stream);
	s->queued -= stream->outbox.size;
	outbox_clear(&stream->outbox, &s->blocks);
	connection_count_out(s->settings.count, &stream->peer,
			     stream->outgoing   ? CONNECTION_OURS
			     : stream->stranger ? CONNECTION_OF_STRANGER
						: CONNECTION_OF_GATEWAY);
	pool_give(&s->pool, stream_index(s, stream));
	stat_set(&s->settings.stats->connections, s->pool.used);
}
