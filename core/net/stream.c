/* A worker's connections: see the header.  Here the turn, time and memory; the parts: stream_table.c (what there is),
 * stream_open.c (how one begins, and which one a message takes), stream_in.c, stream_out.c, stream_end.c. */
#include "core/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/start_line.h"
#include "core/net/stream_end.h"
#include "core/net/stream_in.h"
#include "core/net/stream_open.h"
#include "core/net/stream_out.h"
#include "core/net/stream_table.h"
#include "sip/message.h"

#define SECONDS(n) ((n)*UINT64_C(1000000000))

/* Times are held to a second: streams_look(). */
#define CONNECT_NS SECONDS(4)  /* a peer that takes longer is not there: the call goes on to the next gateway */
#define STUCK_NS   SECONDS(10) /* nothing of what waits was taken */
#define MESSAGE_NS SECONDS(32) /* from its first byte to its last: 64*T1 */
#define SILENT_NS  SECONDS(30) /* until the first whole message */
#define LINGER_NS  SECONDS(2)  /* between our end of a connection and the peer's, and the other way round */

enum {
	LOOKS_A_SECOND = 10,
	READ_OFF_MAX = 4, /* times */
	READ_OFF_BYTES = 1024 * 1024,
};

/* ---- out ---- */

void streams_connect(struct streams *s, struct flow *to, bool patient)
{
	if (to->connection != 0 && connection_worker(to->connection) != s->settings.worker)
		return;
	const struct stream *stream = stream_find_or_open(s, to, false, patient);
	to->connection = stream ? stream_connection(s, stream) : 0;
	to->connection_generation = stream ? stream->slot.generation : 0;
}

/* What comes behind a 100 is no longer owed: it may take as long as a telephone rings, and has other ways. */
static bool is_first_answer(const struct flow *to, struct bytes message)
{
	return to->pinned || start_is_final_response(message) ||
	       (start_is_response(message) && memcmp(message.at + 8, "100", 3) == 0);
}

bool streams_send(struct streams *s, unsigned shard, const struct flow *to, struct bytes message)
{
	struct stream *stream =
		stream_find_or_open(s, to, to->pinned || start_is_response(message), start_is_invite(message));

	if (stream && to->repeated && stream_takes(stream) && stream->outbox.size > 0)
		return true;
	if (!stream || !stream_put(s, stream, message)) {
		s->lost++;
		return false;
	}
	if (!stream_is_strange(s, stream))
		stream_await(s, stream, true);
	if (start_is_question(message)) { /* nothing else is waited for when it is lost */
		stream->shards |= UINT64_C(1) << shard;
		stream->asked++;
	}
	if (stream->owed > 0 && is_first_answer(to, message))
		stream->owed--;
	s->messages_out++;
	return true;
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
			stream_accepted(s, e->listener, e->result);
		else if (e->result != -ECONNABORTED && e->result != -EINTR)
			stream_not_accepted(s, e->listener, -e->result);
		return;
	}
	struct stream *stream = pool_find(&s->pool, e->index, e->generation);
	assert(stream && stream->operations > 0);
	if (e->kind == URING_RECEIVED)
		stream_received(s, stream, e);
	else if (e->kind == URING_SENT)
		stream_sent(s, stream, e->result);
	else
		stream_connected(s, stream, e->result);
}

/* Once: whoever waits for an answer on it waits in vain.  Of one that a peer has opened only if there was a question.
 */
static void tell_lost(struct streams *s, struct stream *stream)
{
	if (stream->told || (stream_takes(stream) && !stream_is_mute(stream)))
		return;
	stream->told = true;
	if (stream->shards && (stream->outgoing || stream->asked > 0))
		s->settings.lost(s->settings.context, stream_connection(s, stream), stream->slot.generation,
				 stream->shards);
}

static void close_answered(struct streams *s, struct stream *stream)
{
	if (stream->state == STREAM_OPEN && stream_is_mute(stream) && stream->owed == 0)
		stream_begin_close(s, stream, END_PEER);
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
		stream_end(s, stream, END_PEER, 0);
}

/* It may end by any of this, and is touched until all is done: or it would stand in the list again as it goes. */
static void settle(struct streams *s, struct stream *stream)
{
	close_answered(s, stream);
	stream_send_next(s, stream);
	close_half(s, stream);
	if (stream->state == STREAM_OPEN || stream->state == STREAM_CLOSING)
		stream_receive(s, stream);
	tell_lost(s, stream);
	stream->touched = false;
	if (stream->state == STREAM_ENDED && stream->operations == 0)
		stream_let_go(s, stream);
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
			stream_begin_close(s, stream, END_PEER);
		else if (stream->state == STREAM_CONNECTING)
			stream_end(s, stream, END_PEER, 0);
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

	if (stream_is_mute(stream) && passed(s, stream->mute_ns, LINGER_NS))
		stream_begin_close(s, stream, END_PEER);
	else if (stream->sending && passed(s, stream->mark_ns, STUCK_NS))
		stream_cut(s, stream, END_UNREAD);
	else if (stream->partial != BUFFER_NONE && passed(s, stream->partial_ns, MESSAGE_NS))
		stream_cut(s, stream, END_UNREADABLE);
	else if (passed(s, stream->active_ns, idle_ns) || (silent && passed(s, stream->opened_ns, SILENT_NS)))
		stream_end(s, stream, END_IDLE, 0);
}

static void look_at(struct streams *s, struct stream *stream)
{
	switch ((enum stream_state)stream->state) {
	case STREAM_CONNECTING:
		if (passed(s, stream->mark_ns, CONNECT_NS))
			stream_end(s, stream, END_FAILED, ETIMEDOUT);
		return;
	case STREAM_OPEN:
		look_at_open(s, stream);
		return;
	case STREAM_CLOSING:
		if (passed(s, stream->mark_ns, LINGER_NS))
			stream_end(s, stream, END_PEER, 0);
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
		r = buffers_create(&s->blocks, STREAM_BLOCKS, OUTBOX_BLOCK_BYTES);
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
