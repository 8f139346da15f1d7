/* The billing thread.  Producers never wake it: it looks into the queues every BILLING_BATCH_MS, so a push costs a
 * worker no system call, and an idle switch costs ten looks a second.
 *
 * A batch is: begin, add what the queues lend, commit, and only then give the bytes back.  Whatever fails in between
 * leaves the queues as they were, and the next try adds the same records again; those that were stored after all are
 * recognised by their cdr_id. */
#include "billing/writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "billing/store.h"

#define PAUSE_MS_MIN  10
#define PAUSE_MS_MAX  1000
#define IDLE_LOOKS    10                      /* one in so many of an idle thread is at the store itself */
#define STOP_PAUSE_MS 100                     /* the longest pause when time is short */
#define TELL_NS       (60 * 1000 * NS_PER_MS) /* a store that fails, or comes and goes, is told so often */
#define NS_PER_MS     UINT64_C(1000000)

struct lane {
	struct record_queue *queue;     /* borrowed */
	struct queue_position position; /* end of what the batch under way has taken */
	uint64_t taken;                 /* records of that batch that were stored */
	_Atomic uint64_t written;       /* records committed; this thread writes, anyone reads */
};

struct billing_writer {
	pthread_t thread;
	billing_log_fn *log; /* may be NULL */
	char *path;

	/* The thread's own. */
	struct cdr_store *store; /* NULL: to be opened again */
	unsigned first_lane;     /* which queue the next batch begins with: none waits behind the others for ever */
	unsigned tries_failed;   /* since the last recovery that was told */
	uint64_t told_ns;        /* when that was, 0: never */
	bool told_failing;       /* what it said */
	uint64_t batch_unreadable;
	unsigned idle_looks; /* in a row with nothing to write */

	/* Shared with who asks for the status or the end. */
	pthread_mutex_t lock;
	pthread_cond_t stop_asked;
	bool stopping;
	uint64_t stop_by_ns; /* valid when stopping */
	struct billing_status status;

	unsigned lane_count;
	struct lane lanes[];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

__attribute__((format(printf, 3, 4))) static void say(const struct billing_writer *w, int level, const char *format,
						      ...)
{
	char line[512];
	va_list arguments;

	if (w->log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	w->log(level, line);
}

static uint64_t records_waiting(const struct billing_writer *w)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < w->lane_count; i++)
		count += record_queue_depth(w->lanes[i].queue);
	return count;
}

/* ---- a batch ---- */

/* Adds records of one queue until it is empty or the batch has `*room` no more. */
static int add_lane(struct billing_writer *w, struct lane *lane, unsigned *room)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;
	struct queued_record record;

	while (*room > 0 && record_queue_next(lane->queue, &lane->position, &record)) {
		if (record.kind != RECORD_CDR)
			continue;
		const int result =
			cdr_decode(record.at, record.size, &cdr, attempts) ? cdr_store_add(w->store, &cdr) : -EINVAL;
		if (result == -EINVAL)
			w->batch_unreadable++;
		else if (result < 0)
			return result;
		else
			lane->taken++;
		(*room)--;
	}
	return 0;
}

static int store_batch(struct billing_writer *w, unsigned *room)
{
	int result = cdr_store_begin(w->store);

	if (result < 0)
		return result;
	for (unsigned i = 0; result == 0 && i < w->lane_count; i++)
		result = add_lane(w, &w->lanes[(w->first_lane + i) % w->lane_count], room);
	if (result == 0)
		result = cdr_store_commit(w->store);
	if (result < 0)
		cdr_store_rollback(w->store);
	return result;
}

static void release_batch(struct billing_writer *w)
{
	for (unsigned i = 0; i < w->lane_count; i++) {
		struct lane *lane = &w->lanes[i];
		const uint64_t written = atomic_load_explicit(&lane->written, memory_order_relaxed);
		atomic_store_explicit(&lane->written, written + lane->taken, memory_order_release);
		record_queue_release(lane->queue, lane->position);
	}
	w->first_lane = (w->first_lane + 1) % w->lane_count;
}

/* A connection that failed in this way may go on failing though its file is well again: open a new one. */
static bool wants_new_store(int result)
{
	return result != -EBUSY && result != -ENOSPC && result != -ENOMEM;
}

static void note_failure(struct billing_writer *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	w->status.failures++;
	w->status.failing = true;
	snprintf(w->status.error, sizeof(w->status.error), "%s", why);
	pthread_mutex_unlock(&w->lock);
	w->tries_failed++;
	if (w->told_ns != 0 && now_ns() - w->told_ns < TELL_NS)
		return;
	say(w, LOG_ERR, "event=cdr_store_failed tries=%u waiting=%" PRIu64 " reason=\"%s\"", w->tries_failed,
	    records_waiting(w), why);
	w->told_ns = now_ns();
	w->told_failing = true;
}

static void note_success(struct billing_writer *w)
{
	if (w->batch_unreadable != 0)
		say(w, LOG_CRIT, "event=cdr_unreadable count=%" PRIu64, w->batch_unreadable);
	if (w->told_failing) {
		say(w, LOG_NOTICE, "event=cdr_store_recovered tries=%u", w->tries_failed);
		w->told_failing = false;
		w->tries_failed = 0;
	}
	pthread_mutex_lock(&w->lock);
	w->status.unreadable += w->batch_unreadable;
	w->status.failing = false;
	w->status.error[0] = '\0';
	pthread_mutex_unlock(&w->lock);
}

/* What was written before the log was deleted is saved while this process lives, also when no call ends for hours. */
static void look_after_store(struct billing_writer *w)
{
	if (w->store == NULL || ++w->idle_looks % IDLE_LOOKS != 0 || !cdr_store_is_stale(w->store))
		return;
	say(w, LOG_ERR, "event=cdr_store_stale reason=\"the database or its log was moved or deleted while in use\"");
	cdr_store_close(w->store);
	w->store = NULL;
}

/* 0 and how many records left their queues, or a negative errno and none did. */
static int write_batch(struct billing_writer *w, unsigned *ret_count)
{
	const char *why = "";
	unsigned room = BILLING_BATCH_MAX;
	int result = 0;

	*ret_count = 0;
	if (records_waiting(w) == 0) {
		look_after_store(w);
		return 0;
	}
	w->idle_looks = 0;
	for (unsigned i = 0; i < w->lane_count; i++) {
		w->lanes[i].position = record_queue_begin(w->lanes[i].queue);
		w->lanes[i].taken = 0;
	}
	w->batch_unreadable = 0;
	if (w->store == NULL)
		result = cdr_store_open(w->path, &w->store, &why);
	if (result == 0) {
		result = store_batch(w, &room);
		why = cdr_store_error(w->store);
	}
	if (result < 0) {
		note_failure(w, why);
		if (w->store != NULL && wants_new_store(result)) {
			cdr_store_close(w->store);
			w->store = NULL;
		}
		return result;
	}
	release_batch(w);
	note_success(w);
	*ret_count = BILLING_BATCH_MAX - room;
	return 0;
}

/* ---- the thread ---- */

/* Sleeps; being asked to stop ends it early, unless that was known. */
static void sleep_ms(struct billing_writer *w, uint64_t ms, bool stop_known)
{
	const uint64_t until_ns = now_ns() + ms * NS_PER_MS;
	const struct timespec until = { .tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
					.tv_nsec = (long)(until_ns % (1000 * NS_PER_MS)) };
	int result = 0;

	pthread_mutex_lock(&w->lock);
	while (result == 0 && (stop_known || !w->stopping))
		result = pthread_cond_timedwait(&w->stop_asked, &w->lock, &until);
	pthread_mutex_unlock(&w->lock);
}

static bool is_stopping(struct billing_writer *w, uint64_t *ret_by_ns)
{
	pthread_mutex_lock(&w->lock);
	const bool stopping = w->stopping;
	*ret_by_ns = w->stop_by_ns;
	pthread_mutex_unlock(&w->lock);
	return stopping;
}

static void *writer_thread(void *argument)
{
	struct billing_writer *w = argument;
	uint64_t pause_ms = PAUSE_MS_MIN;
	uint64_t stop_by_ns;

	pthread_setname_np(pthread_self(), "billing");
	for (;;) {
		/* Asked before the batch: what was pushed before the stop is then in a batch that comes after it. */
		const bool stopping = is_stopping(w, &stop_by_ns);
		unsigned count;

		if (write_batch(w, &count) < 0) {
			const uint64_t now = now_ns();
			if (stopping && now >= stop_by_ns)
				break;
			const uint64_t left_ms = stopping ? (stop_by_ns - now + NS_PER_MS - 1) / NS_PER_MS : pause_ms;
			if (stopping && pause_ms > STOP_PAUSE_MS)
				pause_ms = STOP_PAUSE_MS;
			sleep_ms(w, pause_ms < left_ms ? pause_ms : left_ms, stopping);
			pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
			continue;
		}
		pause_ms = PAUSE_MS_MIN;
		if (stopping && count == 0)
			break;
		if (!stopping && count < BILLING_BATCH_MAX)
			sleep_ms(w, BILLING_BATCH_MS, false);
	}
	return NULL;
}

/* Signals belong to the process's main thread; SIGXFSZ too, so that a file-size limit is an error like a full disk. */
static int start_thread(struct billing_writer *w)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int result = pthread_create(&w->thread, NULL, writer_thread, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -result;
}

/* ---- for the others ---- */

static void init_shared(struct billing_writer *w)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->stop_asked, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void free_writer(struct billing_writer *w)
{
	cdr_store_close(w->store);
	pthread_cond_destroy(&w->stop_asked);
	pthread_mutex_destroy(&w->lock);
	free(w->path);
	free(w);
}

int billing_writer_start(const char *database_path, struct record_queue *const *queues, unsigned queue_count,
			 billing_log_fn *log, struct billing_writer **ret_writer, char error[static 256])
{
	const char *why = "out of memory";

	assert(queue_count > 0);
	struct billing_writer *w = calloc(1, sizeof(*w) + queue_count * sizeof(w->lanes[0]));
	if (w == NULL) {
		snprintf(error, 256, "%s", why);
		return -ENOMEM;
	}
	init_shared(w);
	w->log = log;
	w->lane_count = queue_count;
	for (unsigned i = 0; i < queue_count; i++)
		w->lanes[i].queue = queues[i];
	w->path = strdup(database_path);

	int result = w->path != NULL ? cdr_store_open(database_path, &w->store, &why) : -ENOMEM;
	if (result == 0) {
		result = start_thread(w);
		why = "the billing thread could not be started";
	}
	if (result < 0) {
		snprintf(error, 256, "%s", why);
		free_writer(w);
		return result;
	}
	*ret_writer = w;
	return 0;
}

uint64_t billing_writer_written(const struct billing_writer *w, unsigned shard)
{
	assert(shard < w->lane_count);
	return atomic_load_explicit(&w->lanes[shard].written, memory_order_acquire);
}

void billing_writer_status(const struct billing_writer *w, struct billing_status *ret_status)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&w->lock; /* taking it is no change that a reader can see */

	pthread_mutex_lock(lock);
	*ret_status = w->status;
	pthread_mutex_unlock(lock);
}

uint64_t billing_writer_stop(struct billing_writer *w, unsigned wait_ms)
{
	pthread_mutex_lock(&w->lock);
	assert(!w->stopping);
	w->stopping = true;
	w->stop_by_ns = now_ns() + wait_ms * NS_PER_MS;
	pthread_cond_signal(&w->stop_asked);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);

	const uint64_t left = records_waiting(w);
	if (left != 0)
		say(w, LOG_CRIT, "event=cdr_not_written count=%" PRIu64 " reason=\"%s\"", left, w->status.error);
	free_writer(w);
	return left;
}
