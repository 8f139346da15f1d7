#include "core/net/stream_end.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define REFUSED_NS UINT64_C(1000000000) /* a peer that was not there is not tried again for a call */

enum { LOG_LINES_PER_SECOND = 10 };

void stream_tell(struct streams *s, int level, const struct address *peer, const char *format, ...)
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

static void count_end(struct streams *s, const struct stream *stream, enum stream_end_reason why, int error)
{
	struct shard_stats *stats = s->settings.stats;

	switch (why) {
	case END_PEER:
		return;
	case END_LOST:
		stream_tell(s, LOG_INFO, &stream->peer, "connection_lost reason=\"%s\"", strerror(error));
		return;
	case END_FAILED:
		stat_add(&stats->connections_failed, 1);
		stream_tell(s, LOG_NOTICE, &stream->peer, "connection_failed reason=\"%s\"", strerror(error));
		return;
	case END_IDLE:
		stat_add(&stats->connections_idle, 1);
		return;
	case END_UNREADABLE:
		stat_add(&stats->connections_unreadable, 1);
		stream_tell(s, LOG_INFO, &stream->peer, "connection_closed reason=\"what came could not be read\"");
		return;
	case END_UNREAD:
		stat_add(&stats->connections_unread, 1);
		stream_tell(s, LOG_NOTICE, &stream->peer, "connection_closed reason=\"the peer does not read\"");
		return;
	}
}

void stream_end(struct streams *s, struct stream *stream, enum stream_end_reason why, int error)
{
	const bool connecting = stream->state == STREAM_CONNECTING;

	if (stream->state == STREAM_ENDED)
		return;
	if (stream_takes(stream)) {
		count_end(s, stream, why, error);
		if (stream->outgoing)
			stream_forget_peer(s, stream);
	}
	stream->state = STREAM_ENDED;
	if (why == END_FAILED)
		stream_remember_refusal(s, stream, s->now_ns + REFUSED_NS);
	if (connecting && stream->operations > 0)
		uring_cancel(s->settings.uring, URING_CONNECTED, stream_index(s, stream), stream->slot.generation);
	else if (!connecting)
		shutdown(stream->fd, SHUT_RDWR);
	stream_touch(s, stream);
}

void stream_begin_close(struct streams *s, struct stream *stream, enum stream_end_reason why)
{
	if (stream->state != STREAM_OPEN)
		return;
	count_end(s, stream, why, 0);
	if (stream->outgoing)
		stream_forget_peer(s, stream);
	stream->state = STREAM_CLOSING;
	stream->mark_ns = s->now_ns;
	stream_drop_partial(s, stream);
	stream_touch(s, stream);
}

void stream_cut(struct streams *s, struct stream *stream, enum stream_end_reason why)
{
	const struct linger none = { .l_onoff = 1 };

	setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	stream_end(s, stream, why, ETIMEDOUT);
}
