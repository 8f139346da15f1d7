/* The thread around a feeding: when to try, what to tell, and the end.
 *
 * It looks every FEEDER_BATCH_MS, so ten times a second when idle, and again at once while batches are full.  */
#include "billing/feeder.h"

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

#include "billing/feeding.h"

#define NS_PER_MS     UINT64_C(1000000)
#define PAUSE_MS_MIN  10
#define PAUSE_MS_MAX  1000
#define STOP_PAUSE_MS 100                     /* the longest pause when time is short */
#define IDLE_LOOKS    10                      /* one in so many of an idle thread is at the sink itself */
#define TELL_NS       (60 * 1000 * NS_PER_MS) /* a sink that fails, or comes and goes, is told so often */

struct feeder {
	pthread_t thread;
	struct feeding *feeding; /* the thread's */
	const char *name;
	billing_log_fn *log; /* may be NULL */

	/* The thread's own. */
	journal_position counted; /* what stands before it has been counted */
	uint64_t unreadable_told;
	unsigned tries_failed; /* since the last recovery that was told */
	uint64_t told_ns;      /* when that was, 0: never */
	bool told_failing;     /* what it said */
	unsigned idle_looks;   /* in a row with nothing to give */

	/* Shared with who asks for the status or the end. */
	pthread_mutex_t lock;
	pthread_cond_t stop_asked;
	bool stopping;
	uint64_t stop_by_ns; /* valid when stopping */
	struct feeder_status status;
	_Atomic journal_position applied;
	_Atomic uint64_t written[FEEDER_LANES]; /* this thread writes, anyone reads */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

__attribute__((format(printf, 3, 4))) static void say(const struct feeder *f, int level, const char *format, ...)
{
	char line[512];
	va_list arguments;

	if (f->log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	f->log(level, line);
}

/* ---- what is told ---- */

static void note_failure(struct feeder *f)
{
	const char *why = feeding_error(f->feeding);

	pthread_mutex_lock(&f->lock);
	f->status.failures++;
	f->status.failing = true;
	snprintf(f->status.error, sizeof(f->status.error), "%s", why);
	pthread_mutex_unlock(&f->lock);
	f->tries_failed++;
	if (f->told_ns != 0 && now_ns() - f->told_ns < TELL_NS)
		return;
	say(f, LOG_ERR, "event=cdr_store_failed store=%s tries=%u reason=\"%s\"", f->name, f->tries_failed, why);
	f->told_ns = now_ns();
	f->told_failing = true;
}

static void tell_unreadable(const struct feeder *f, uint64_t count)
{
	if (count > 0)
		say(f, LOG_CRIT, "event=cdr_unreadable store=%s count=%" PRIu64, f->name, count);
}

static void note_success(struct feeder *f, unsigned count)
{
	const uint64_t unreadable = feeding_unreadable(f->feeding);

	tell_unreadable(f, unreadable - f->unreadable_told);
	f->unreadable_told = unreadable;
	if (f->told_failing) {
		say(f, LOG_NOTICE, "event=cdr_store_recovered store=%s tries=%u", f->name, f->tries_failed);
		f->told_failing = false;
		f->tries_failed = 0;
	}
	pthread_mutex_lock(&f->lock);
	f->status.written += count;
	f->status.unreadable = unreadable;
	f->status.failing = false;
	f->status.error[0] = '\0';
	pthread_mutex_unlock(&f->lock);
}

/* A sink that was opened anew may be given what it had before: that counts once. */
static void count_by_lane(struct feeder *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct fed_record record = feeding_record(f->feeding, i);

		if (record.lane >= FEEDER_LANES || record.position < f->counted)
			continue;
		const uint64_t written = atomic_load_explicit(&f->written[record.lane], memory_order_relaxed);
		atomic_store_explicit(&f->written[record.lane], written + 1, memory_order_release);
	}
	if (feeding_applied(f->feeding) > f->counted)
		f->counted = feeding_applied(f->feeding);
}

/* ---- the thread ---- */

/* What was written before a file was deleted is saved while this process lives, also when no call ends for hours. */
static void look_after_sink(struct feeder *f)
{
	if (++f->idle_looks % IDLE_LOOKS != 0 || !feeding_is_stale(f->feeding))
		return;
	say(f, LOG_ERR, "event=cdr_store_stale store=%s reason=\"it was moved or deleted while in use\"", f->name);
	feeding_close(f->feeding);
}

/* Opens the sink if need be, gives it a batch.  0 and how many CDRs were committed, or a negative errno. */
static int work(struct feeder *f, unsigned *ret_count)
{
	int result = 0;

	*ret_count = 0;
	if (!feeding_is_open(f->feeding) && (result = feeding_open(f->feeding)) == 0)
		atomic_store_explicit(&f->applied, feeding_applied(f->feeding), memory_order_release); /* maybe less */
	if (result == 0)
		result = feeding_step(f->feeding, ret_count);
	if (result < 0) {
		note_failure(f);
		return result;
	}
	count_by_lane(f, *ret_count);
	atomic_store_explicit(&f->applied, feeding_applied(f->feeding), memory_order_release);
	note_success(f, *ret_count);
	if (*ret_count == 0)
		look_after_sink(f);
	else
		f->idle_looks = 0;
	return 0;
}

/* Sleeps; being asked to stop ends it early, unless that was known. */
static void sleep_ms(struct feeder *f, uint64_t ms, bool stop_known)
{
	const uint64_t until_ns = now_ns() + ms * NS_PER_MS;
	const struct timespec until = { .tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
					.tv_nsec = (long)(until_ns % (1000 * NS_PER_MS)) };
	int result = 0;

	pthread_mutex_lock(&f->lock);
	while (result == 0 && (stop_known || !f->stopping))
		result = pthread_cond_timedwait(&f->stop_asked, &f->lock, &until);
	pthread_mutex_unlock(&f->lock);
}

static bool is_stopping(struct feeder *f, uint64_t *ret_by_ns)
{
	pthread_mutex_lock(&f->lock);
	const bool stopping = f->stopping;
	*ret_by_ns = f->stop_by_ns;
	pthread_mutex_unlock(&f->lock);
	return stopping;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void *feeder_thread(void *argument)
{
	struct feeder *f = argument;
	uint64_t pause_ms = PAUSE_MS_MIN, stop_by_ns;
	char name[16];

	snprintf(name, sizeof(name), "feed-%s", f->name);
	pthread_setname_np(pthread_self(), name);
	for (;;) {
		/* Asked before the batch: what was synced before the stop is then in a batch that comes after it. */
		const bool stopping = is_stopping(f, &stop_by_ns);
		unsigned count;

		if (work(f, &count) < 0) {
			const uint64_t now = now_ns();
			if (stopping && now >= stop_by_ns)
				break;
			const uint64_t left_ms = stopping ? (stop_by_ns - now + NS_PER_MS - 1) / NS_PER_MS : pause_ms;
			if (stopping)
				pause_ms = min_u64(pause_ms, STOP_PAUSE_MS);
			sleep_ms(f, min_u64(pause_ms, left_ms), stopping);
			pause_ms = min_u64(pause_ms * 2, PAUSE_MS_MAX);
			continue;
		}
		pause_ms = PAUSE_MS_MIN;
		if (stopping && count == 0)
			break;
		if (!stopping && !feeding_was_full(f->feeding))
			sleep_ms(f, FEEDER_BATCH_MS, false);
	}
	return NULL;
}

/* Signals belong to the process's main thread; SIGXFSZ too, so that a file-size limit is an error like a full disk. */
static int start_thread(struct feeder *f)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int result = pthread_create(&f->thread, NULL, feeder_thread, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -result;
}

/* ---- for the others ---- */

static void init_shared(struct feeder *f)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&f->stop_asked, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void free_feeder(struct feeder *f)
{
	feeding_free(f->feeding);
	pthread_cond_destroy(&f->stop_asked);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static int fail(struct feeder *f, int result, const char *why, char error[static SINK_ERROR_BYTES])
{
	snprintf(error, SINK_ERROR_BYTES, "%s", why);
	free_feeder(f);
	return result;
}

int feeder_start(struct journal *journal, const struct sink *sink, bool must_open, billing_log_fn *log,
		 struct feeder **ret_feeder, char error[static SINK_ERROR_BYTES])
{
	struct feeder *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		snprintf(error, SINK_ERROR_BYTES, "out of memory");
		return -ENOMEM;
	}
	init_shared(f);
	f->name = sink->name;
	f->log = log;
	f->counted = journal_synced(journal);
	int result = feeding_create(journal, sink, &f->feeding);
	if (result < 0)
		return fail(f, result, "out of memory", error);
	if (must_open)
		result = feeding_open(f->feeding);
	if (result < 0)
		return fail(f, result, feeding_error(f->feeding), error);
	if (feeding_is_open(f->feeding))
		atomic_store(&f->applied, feeding_applied(f->feeding));
	result = start_thread(f);
	if (result < 0)
		return fail(f, result, "the thread of a store could not be started", error);
	*ret_feeder = f;
	return 0;
}

void feeder_status(const struct feeder *f, struct feeder_status *ret_status)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&f->lock; /* taking it is no change that a reader can see */

	pthread_mutex_lock(lock);
	*ret_status = f->status;
	pthread_mutex_unlock(lock);
	ret_status->applied = feeder_applied(f);
}

uint64_t feeder_written(const struct feeder *f, unsigned lane)
{
	return lane < FEEDER_LANES ? atomic_load_explicit(&f->written[lane], memory_order_acquire) : 0;
}

journal_position feeder_applied(const struct feeder *f)
{
	return atomic_load_explicit(&f->applied, memory_order_acquire);
}

uint64_t feeder_stop(struct feeder *f, unsigned wait_ms)
{
	pthread_mutex_lock(&f->lock);
	assert(!f->stopping);
	f->stopping = true;
	f->stop_by_ns = now_ns() + wait_ms * NS_PER_MS;
	pthread_cond_signal(&f->stop_asked);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);

	const uint64_t left = feeding_left(f->feeding);
	if (left != 0)
		say(f, LOG_ERR, "event=cdrs_left store=%s count=%" PRIu64 " reason=\"%s\" next_start=stores_them",
		    f->name, left, f->status.error);
	free_feeder(f);
	return left;
}

int feeder_catch_up(struct journal *journal, const struct sink *sink, billing_log_fn *log,
		    char error[static SINK_ERROR_BYTES])
{
	const struct feeder told = { .name = sink->name, .log = log };
	struct feeding *feeding;
	unsigned count = 1;
	int result = feeding_create(journal, sink, &feeding);

	if (result < 0) {
		snprintf(error, SINK_ERROR_BYTES, "out of memory");
		return result;
	}
	result = feeding_open(feeding);
	while (result == 0 && count > 0)
		result = feeding_step(feeding, &count);
	if (result < 0)
		snprintf(error, SINK_ERROR_BYTES, "%s", feeding_error(feeding));
	tell_unreadable(&told, feeding_unreadable(feeding));
	feeding_free(feeding);
	return result;
}
