#include "core/net/stream_open.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/socket.h"
#include "core/net/stream_end.h"
#include "core/net/stream_in.h"

static struct connection_limits limits_of(const struct streams *s)
{
	return (struct connection_limits){ s->config->connections_max, s->config->connections_per_source };
}

/* ---- who comes ---- */

static void refuse(struct streams *s, int fd, const struct address *peer, const char *why)
{
	close(fd);
	stat_add(&s->settings.stats->connections_refused, 1);
	stream_tell(s, LOG_NOTICE, peer, "connection_refused reason=\"%s\"", why);
}

void stream_not_accepted(struct streams *s, unsigned listener, int error)
{
	stat_add(&s->settings.stats->connections_refused, 1);
	stream_tell(s, LOG_WARNING, &s->config->listens[listener].address, "connection_not_accepted reason=\"%s\"",
		    strerror(error));
}

void stream_accepted(struct streams *s, unsigned listener, int fd)
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
	const enum connection_kind kind = stranger ? CONNECTION_OF_STRANGER : CONNECTION_OF_GATEWAY;
	const enum connection_leave leave = connection_count_in(s->settings.count, &limits, &peer, kind);
	if (leave != CONNECTION_GRANTED) {
		refuse(s, fd, &peer, connection_leave_text(leave));
		return;
	}
	struct stream *stream = stream_take(s, fd, &peer, listener);
	if (!stream) {
		connection_count_out(s->settings.count, &peer, kind);
		refuse(s, fd, &peer, "this worker's share of max_connections is used up");
		return;
	}
	stream->stranger = stream->strange = stranger;
	stream->judged = s->config->generation;
	stream->state = STREAM_OPEN;
	stat_add(&s->settings.stats->connections_accepted, 1);
	stream_receive(s, stream);
}

/* ---- whom we call upon ---- */

/* NULL: none is to be had, which the log tells. */
static struct stream *open_to(struct streams *s, const struct address *peer, unsigned listener)
{
	const struct listen_config *listen = &s->config->listens[listener];
	const struct connection_limits limits = limits_of(s);
	struct sockaddr_storage sa;
	int fd = -1;

	const enum connection_leave leave = connection_count_in(s->settings.count, &limits, peer, CONNECTION_OURS);
	if (leave != CONNECTION_GRANTED) {
		stream_tell(s, LOG_WARNING, peer, "connection_failed reason=\"%s\"", connection_leave_text(leave));
		return NULL;
	}
	int r = socket_open_stream(listen, s->config->parameters.SS_QOS_SIGNAL, &fd);
	struct stream *stream = r == 0 ? stream_take(s, fd, peer, listener) : NULL;
	if (!stream) {
		stream_tell(s, LOG_WARNING, peer, "connection_failed reason=\"%s\"", strerror(r < 0 ? -r : ENOBUFS));
		if (fd >= 0)
			close(fd);
		connection_count_out(s->settings.count, peer, CONNECTION_OURS);
		return NULL;
	}
	const unsigned size = address_to_sockaddr(peer, &sa);
	assert(size <= sizeof stream->to);
	memcpy(&stream->to, &sa, size);
	stream->outgoing = true;
	stream->state = STREAM_CONNECTING;
	stream_remember_peer(s, stream);
	stat_add(&s->settings.stats->connections_opened, 1);
	if (uring_connect(s->settings.uring, fd, stream_index(s, stream), stream->slot.generation, &stream->to.any,
			  size))
		stream->operations++;
	else
		stream_end(s, stream, END_FAILED, EBUSY);
	return stream;
}

void stream_connected(struct streams *s, struct stream *stream, int result)
{
	stream->operations--;
	stream_touch(s, stream);
	if (stream->state != STREAM_CONNECTING)
		return;
	if (result < 0) {
		stream_end(s, stream, END_FAILED, -result);
		return;
	}
	stream->state = STREAM_OPEN;
	stream->active_ns = s->now_ns;
	if (stream_has_refused(s, &stream->peer, stream->listener))
		stream_remember_refusal(s, stream, 0);
	stream_receive(s, stream);
}

/* ---- which one it is to be ---- */

static struct stream *find(struct streams *s, const struct flow *to, bool answer)
{
	struct stream *stream = stream_named(s, to);

	if (stream && stream_takes(stream) && (answer || !stream->ended) &&
	    (to->pinned || address_same_host(&stream->peer, &to->peer)))
		return stream;
	return to->pinned ? NULL : stream_opened_to(s, &to->peer, to->listener);
}

struct stream *stream_find_or_open(struct streams *s, const struct flow *to, bool answer, bool patient)
{
	struct stream *stream = find(s, to, answer);

	if (stream || to->pinned)
		return stream;
	if (s->config->listens[to->listener].address.family != to->peer.family || to->peer.port == 0)
		return NULL;
	if (patient && stream_has_refused(s, &to->peer, to->listener))
		return NULL;
	return open_to(s, &to->peer, to->listener);
}
