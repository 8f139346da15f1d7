/* The edge of a worker's shard: its ring, its mailboxes, the record queue, the log. */
#include "core/net/worker_edge.h"

#include <assert.h>

enum { LOG_LINES_PER_SECOND = 1000 };

static char *edge_lend(void *context, size_t size)
{
	struct worker *w = context;
	char *at = uring_lend(&w->uring, size);

	if (!at)
		w->uring.lost++;
	return at;
}

/* By the worker whose connection it is; one that names none goes by a connection of this one.  A request that no
 * connection takes is told of in the next turn. */
static void send_on_stream(struct worker *w, const struct flow *to, struct bytes message)
{
	const unsigned owner = to->connection != 0 ? connection_worker(to->connection) : w->index;

	if (owner != w->index && owner < w->settings->workers) {
		if (!mailbox_push_outgoing(w->out[owner], to, message)) {
			w->uring.lost++;
			uring_refuse(&w->uring, message);
		}
		w->crowded |= mailbox_is_crowded(w->out[owner]);
	} else if (w->has_streams && !streams_send(&w->streams, w->index, to, message)) {
		uring_refuse(&w->uring, message);
	}
}

static void edge_send(void *context, const struct flow *to, char *at, size_t size)
{
	struct worker *w = context;

	if (!flow_is_reliable(to)) {
		uring_send(&w->uring, to->listener, &to->peer, at, size);
		return;
	}
	send_on_stream(w, to, (struct bytes){ at, (uint32_t)size });
	uring_unlend(&w->uring);
}

static void edge_connect(void *context, struct flow *to, bool patient)
{
	struct worker *w = context;

	if (w->has_streams)
		streams_connect(&w->streams, to, patient);
}

static void edge_unlend(void *context, char *at)
{
	struct worker *w = context;

	(void)at;
	uring_unlend(&w->uring);
}

static bool edge_hand_over(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
			   struct bytes datagram)
{
	struct worker *w = context;

	assert(shard < w->settings->workers && shard != w->index);
	const bool pushed = mailbox_push_datagram(w->out[shard], arrival, from, datagram);
	w->crowded |= w->has_streams && (!pushed || mailbox_is_crowded(w->out[shard]));
	if (!pushed) {
		w->uring.lost++;
		return false;
	}
	stat_add(&w->stats->datagrams_handed_over, 1);
	return true;
}

static void edge_post(void *context, unsigned shard, const struct note *note)
{
	struct worker *w = context;

	assert(shard < w->settings->workers && shard != w->index);
	mailbox_post(w->out[shard], note);
}

static bool edge_cdr(void *context, const struct cdr *cdr)
{
	struct worker *w = context;

	return record_queue_push(w->settings->cdr_queues[w->index], cdr);
}

static uint8_t *edge_record_lend(void *context, size_t size)
{
	struct worker *w = context;

	return record_queue_lend(w->settings->cdr_queues[w->index], size);
}

static void edge_record(void *context, enum record_kind kind, size_t size)
{
	struct worker *w = context;

	record_queue_publish(w->settings->cdr_queues[w->index], kind, size);
}

static bool journal_takes(const struct worker *w)
{
	return !w->settings->intake || intake_is_taking(w->settings->intake);
}

static bool edge_record_calm(void *context)
{
	struct worker *w = context;

	return record_queue_free(w->settings->cdr_queues[w->index]) >= w->settings->cdr_queue_bytes / 8 * 7;
}

/* Ended calls keep their records until there is room, so the queue need not hold all that are up: half of it free means
 * that the billing thread keeps pace. */
static bool edge_cdr_room(void *context)
{
	struct worker *w = context;
	const struct record_queue *queue = w->settings->cdr_queues[w->index];
	const bool taking = journal_takes(w);

	if (taking && record_queue_free(queue) >= w->settings->cdr_queue_bytes / 2)
		return true;
	if (!w->no_cdr_room)
		log_printf(LOG_ERROR, "event=new_calls_refused shard=%u records_waiting=%llu reason=\"%s\"", w->index,
			   (unsigned long long)record_queue_depth(queue),
			   taking ? "the journal does not keep pace" : "the journal takes no more");
	w->no_cdr_room = true;
	return false;
}

static void edge_relayed(void *context, uint64_t in_ns)
{
	struct worker *w = context;

	if (w->relayed_count < WORKER_RELAYED_MAX)
		w->relayed_ns[w->relayed_count++] = in_ns;
}

static void edge_log(void *context, int level, const char *line)
{
	struct worker *w = context;
	uint32_t suppressed;

	if (!log_wanted(level))
		return; /* nor counted against the limit */
	if (!log_limited(&w->log_site, LOG_LINES_PER_SECOND, w->clock.now_ns, &suppressed))
		return;
	if (suppressed > 0)
		log_printf(LOG_WARNING, "event=log_lines_suppressed shard=%u lines=%u", w->index, suppressed);
	log_line(level, line);
}

struct edge worker_edge(struct worker *w)
{
	return (struct edge){
		.context = w,
		.lend = edge_lend,
		.send = edge_send,
		.unlend = edge_unlend,
		.connect = edge_connect,
		.hand_over = edge_hand_over,
		.post = edge_post,
		.cdr = edge_cdr,
		.record_lend = edge_record_lend,
		.record = edge_record,
		.record_calm = edge_record_calm,
		.cdr_room = edge_cdr_room,
		.relayed = edge_relayed,
		.log = edge_log,
	};
}

void worker_edge_look(struct worker *w)
{
	/* With some room to spare, or a queue that stays half full would be told of over and over. */
	if (!w->no_cdr_room || !journal_takes(w) ||
	    record_queue_free(w->settings->cdr_queues[w->index]) < w->settings->cdr_queue_bytes / 4 * 3)
		return;
	w->no_cdr_room = false;
	log_printf(LOG_NOTICE, "event=new_calls_taken_again shard=%u", w->index);
}
