/* The thread around an intake: when to look, what to tell, and the end. */
#include "billing/writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define NS_PER_MS     UINT64_C(1000000)
#define TEND_NS       (100 * NS_PER_MS) /* how often the journal's room is looked after */
#define PAUSE_NS_MIN  (10 * NS_PER_MS)  /* between tries against a disk that refuses */
#define PAUSE_NS_MAX  (1000 * NS_PER_MS)
#define STOP_PAUSE_NS (100 * NS_PER_MS) /* the longest when time is short */

struct billing_writer {
	pthread_t thread;
	struct billing_writer_settings settings;
	struct intake *intake;

	/* The thread's own. */
	uint64_t tend_ns;
	bool told_failed, told_full;

	/* Shared with who asks for the end. */
	pthread_mutex_t lock;
	pthread_cond_t stop_asked;
	bool stopping;
	uint64_t stop_by_ns; /* valid when stopping */
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

	if (w->settings.log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	w->settings.log(level, line);
}

/* ---- a turn ---- */

static void tell_state(struct billing_writer *w, int failure)
{
	const bool failed = intake_figures(w->intake).failed, full = !failed && !intake_is_taking(w->intake);

	if (failed && !w->told_failed)
		say(w, LOG_CRIT,
		    "event=journal_failed reason=\"%s\" new_calls=refused until=\"the next start\" waiting=%" PRIu64,
		    failure < 0 ? strerror(-failure) : "the disk did not confirm", intake_waiting(w->intake));
	w->told_failed |= failed;
	if (full != w->told_full && !failed) {
		if (full)
			say(w, LOG_ERR, "event=journal_full new_calls=refused reason=\"no room for another segment\"");
		else
			say(w, LOG_NOTICE, "event=journal_has_room new_calls=taken");
		w->told_full = full;
	}
}

static void sync_now(struct billing_writer *w, int *result)
{
	const unsigned lanes = w->settings.intake.queue_count;
	const uint64_t began_ns = now_ns();

	*result = intake_sync(w->intake);
	if (*result < 0)
		return;
	if (w->settings.took != NULL)
		w->settings.took(w->settings.context, (now_ns() - began_ns) / 1000);
	for (unsigned lane = 0; w->settings.synced != NULL && lane < lanes; lane++)
		if (intake_has_moved(w->intake, lane))
			w->settings.synced(w->settings.context, lane);
}

static void tend(struct billing_writer *w)
{
	const uint64_t now = now_ns();

	if (w->tend_ns != 0 && now - w->tend_ns < TEND_NS)
		return;
	w->tend_ns = now;
	intake_tend(w->intake, now,
		    w->settings.applied != NULL ? w->settings.applied(w->settings.context) : JOURNAL_START);
}

/* 0, or a negative errno: some records wait for a disk that refuses. */
static int turn(struct billing_writer *w)
{
	const int gathered = intake_gather(w->intake);
	int synced = 0;

	if (intake_wants_sync(w->intake))
		sync_now(w, &synced);
	tend(w);
	tell_state(w, synced);
	return synced < 0 ? synced : gathered;
}

/* ---- the thread ---- */

/* Sleeps; being asked to stop ends it early, unless that was known. */
static void sleep_until(struct billing_writer *w, uint64_t until_ns, bool stop_known)
{
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

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void *writer_thread(void *argument)
{
	struct billing_writer *w = argument;
	const uint64_t period_ns = w->settings.sync_ms * NS_PER_MS / 2;
	uint64_t pause_ns = PAUSE_NS_MIN, stop_by_ns;

	pthread_setname_np(pthread_self(), "billing");
	for (;;) {
		/* Asked before the turn: what was pushed before the stop is then in a turn that comes after it. */
		const bool stopping = is_stopping(w, &stop_by_ns);
		const uint64_t began_ns = now_ns();

		if (turn(w) < 0) {
			const uint64_t now = now_ns();
			if (stopping && now >= stop_by_ns)
				break;
			if (stopping)
				pause_ns = min_u64(pause_ns, STOP_PAUSE_NS);
			sleep_until(w, min_u64(now + pause_ns, stopping ? stop_by_ns : UINT64_MAX), stopping);
			pause_ns = min_u64(pause_ns * 2, PAUSE_NS_MAX);
			continue;
		}
		pause_ns = PAUSE_NS_MIN;
		if (stopping && intake_waiting(w->intake) == 0) {
			tell_state(w, intake_settle(w->intake));
			break;
		}
		if (stopping || intake_was_full(w->intake))
			continue;
		sleep_until(w, began_ns + period_ns, false);
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
	intake_free(w->intake);
	pthread_cond_destroy(&w->stop_asked);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int billing_writer_start(const struct billing_writer_settings *settings, struct billing_writer **ret_writer)
{
	struct billing_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	w->settings = *settings;
	init_shared(w);
	int result = intake_create(&settings->intake, &w->intake);
	if (result == 0)
		result = start_thread(w);
	if (result < 0) {
		free_writer(w);
		return result;
	}
	*ret_writer = w;
	return 0;
}

const struct intake *billing_writer_intake(const struct billing_writer *w)
{
	return w->intake;
}

void billing_writer_hold(struct billing_writer *w)
{
	intake_hold(w->intake);
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

	const uint64_t left = intake_waiting(w->intake);
	if (left != 0)
		say(w, LOG_CRIT, "event=records_left_in_queues count=%" PRIu64 " next_start=journals_them", left);
	free_writer(w);
	return left;
}
