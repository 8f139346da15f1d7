/* The workers as one: see the header. */
#include "core/net/crew.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/net/worker.h"

enum {
	STACK_BYTES = 2 * 1024 * 1024,     /* sofia-sip parses lists recursively */
	MAILBOX_BYTES_MAX = 1024 * 1024,   /* of one mailbox */
	MAILBOXES_BYTES = 8 * 1024 * 1024, /* of all mailboxes into one worker, where that gives them enough */
};

struct crew {
	struct crew_settings settings;
	struct worker *workers;
	unsigned made, started;     /* workers with descriptors, with a thread */
	struct mailbox **mailboxes; /* from * workers + to */
	struct mailbox **into;      /* to * workers + from: the same ones */
	struct connection_count *connection_count;
	struct command_list completed;
	struct command *taken; /* done commands the control thread has not asked for yet */
	int completion_fd;

	/* start-up: each worker says how it went, then all go or all end */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned ready;
	bool decided;
	int failure;
	char error[256];
};

static struct crew *crew_of(struct worker *w)
{
	return (struct crew *)((char *)w->completed - offsetof(struct crew, completed));
}

/* Of several the first one counts.  Under the lock: workers that have a thread may fail meanwhile. */
static void fail(struct crew *c, int r, const char *error)
{
	if (c->failure < 0)
		return;
	c->failure = r;
	snprintf(c->error, sizeof c->error, "%s", error);
}

/* In the worker's thread. */
static void worker_ready(struct worker *w, int r, const char *error)
{
	struct crew *c = crew_of(w);

	pthread_mutex_lock(&c->mutex);
	c->ready++;
	if (r < 0)
		fail(c, r, error);
	pthread_cond_broadcast(&c->changed);
	while (!c->decided)
		pthread_cond_wait(&c->changed, &c->mutex);
	pthread_mutex_unlock(&c->mutex);
}

static int wait_ready(struct crew *c)
{
	pthread_mutex_lock(&c->mutex);
	while (c->ready < c->started)
		pthread_cond_wait(&c->changed, &c->mutex);
	int r = c->failure;
	for (unsigned i = 0; r < 0 && i < c->started; i++)
		atomic_store(&c->workers[i].end, true);
	c->decided = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
	return r;
}

static size_t mailbox_bytes(unsigned workers)
{
	size_t size = MAILBOX_BYTES_MAX;

	while (size > MAILBOX_SIZE_MIN && size * workers > MAILBOXES_BYTES)
		size /= 2;
	return size;
}

static int make_mailboxes(struct crew *c)
{
	unsigned n = c->settings.workers;

	c->mailboxes = calloc((size_t)n * n, sizeof *c->mailboxes);
	c->into = calloc((size_t)n * n, sizeof *c->into);
	if (!c->mailboxes || !c->into)
		return -ENOMEM;
	for (unsigned from = 0; from < n; from++) {
		for (unsigned to = 0; to < n; to++) {
			if (from == to)
				continue;
			struct mailbox *m = mailbox_create(mailbox_bytes(n));
			if (!m)
				return -ENOMEM;
			c->mailboxes[from * n + to] = m;
			c->into[to * n + from] = m;
		}
	}
	return 0;
}

unsigned crew_usable_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) == 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* The i-th of the cores this process may use, over and over. */
static int usable_core(unsigned i)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) == 0)
		return 0;
	unsigned skip = i % (unsigned)CPU_COUNT(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((unsigned)cpu, &set) && skip-- == 0)
			return cpu;
	return 0;
}

static int make_worker(struct crew *c, unsigned index)
{
	unsigned n = c->settings.workers;
	struct worker *w = &c->workers[index];

	w->settings = &c->settings;
	w->index = index;
	w->cpu = usable_core(index);
	w->workers = c->workers;
	w->out = &c->mailboxes[index * n];
	w->in = &c->into[index * n];
	w->completed = &c->completed;
	w->completion_fd = c->completion_fd;
	w->connection_count = c->connection_count;
	w->ready = worker_ready;
	if (getrandom(&w->seed, sizeof w->seed, 0) != (ssize_t)sizeof w->seed)
		return -EIO;
	w->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (w->wake_fd < 0)
		return -errno;
	c->made++;
	return 0;
}

/* A new thread inherits the mask: signals are the control thread's. */
static int start_threads(struct crew *c)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (unsigned i = 0; r == 0 && i < c->settings.workers; i++) {
		r = -pthread_create(&c->workers[i].thread, &attr, worker_main, &c->workers[i]);
		if (r == 0)
			c->started++;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0) {
		char error[128];

		snprintf(error, sizeof error, "cannot start a worker thread: %s", strerror(-r));
		pthread_mutex_lock(&c->mutex);
		fail(c, r, error);
		pthread_mutex_unlock(&c->mutex);
	}
	return wait_ready(c);
}

static int make_connection_count(struct crew *c)
{
	uint64_t keys[2];

	c->connection_count = calloc(1, sizeof *c->connection_count);
	if (!c->connection_count)
		return -ENOMEM;
	if (getrandom(keys, sizeof keys, 0) != (ssize_t)sizeof keys)
		return -EIO;
	c->connection_count->k0 = keys[0];
	c->connection_count->k1 = keys[1];
	return 0;
}

static int make(struct crew *c)
{
	c->workers = aligned_alloc(64, c->settings.workers * sizeof *c->workers);
	if (!c->workers)
		return -ENOMEM;
	memset(c->workers, 0, c->settings.workers * sizeof *c->workers);
	c->completion_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->completion_fd < 0)
		return -errno;
	int r = make_connection_count(c);
	if (r == 0)
		r = make_mailboxes(c);
	for (unsigned i = 0; r == 0 && i < c->settings.workers; i++)
		r = make_worker(c, i);
	return r;
}

int crew_start(const struct crew_settings *settings, struct crew **ret_crew, char error[static 256])
{
	struct crew *c = calloc(1, sizeof *c);

	if (!c) {
		snprintf(error, 256, "no memory for the workers");
		return -ENOMEM;
	}
	c->settings = *settings;
	c->completion_fd = -1;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->changed, NULL);
	int r = make(c);
	if (r < 0)
		snprintf(c->error, sizeof c->error, "cannot make the workers: %s", strerror(-r));
	else
		r = start_threads(c);
	if (r < 0) {
		memcpy(error, c->error, sizeof c->error);
		crew_stop(c);
		return r;
	}
	*ret_crew = c;
	return 0;
}

void crew_not_taken_up(const struct crew *c, uint64_t *ret_left, uint64_t *ret_ended)
{
	*ret_left = *ret_ended = 0;
	for (unsigned i = 0; i < c->settings.workers; i++) { /* it was done with before crew_start() returned */
		*ret_left += c->workers[i].calls_left;
		*ret_ended += c->workers[i].calls_ended;
	}
}

void crew_wake(struct crew *c, unsigned shard)
{
	eventfd_write(c->workers[shard].wake_fd, 1);
}

void crew_stop(struct crew *c)
{
	unsigned n = c->settings.workers;

	for (unsigned i = 0; i < c->started; i++) {
		atomic_store(&c->workers[i].end, true);
		eventfd_write(c->workers[i].wake_fd, 1);
	}
	for (unsigned i = 0; i < c->started; i++)
		pthread_join(c->workers[i].thread, NULL);
	for (unsigned i = 0; i < c->made; i++)
		close(c->workers[i].wake_fd);
	for (unsigned i = 0; c->mailboxes && i < n * n; i++)
		mailbox_destroy(c->mailboxes[i]);
	if (c->completion_fd >= 0)
		close(c->completion_fd);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->mutex);
	free(c->mailboxes);
	free(c->into);
	free(c->connection_count);
	free(c->workers);
	free(c);
}

void crew_submit(struct crew *c, unsigned shard, struct command *command)
{
	struct worker *w = &c->workers[shard];

	command->shard = shard;
	if (command_list_give(&w->submitted, command))
		eventfd_write(w->wake_fd, 1);
}

int crew_completion_fd(const struct crew *c)
{
	return c->completion_fd;
}

struct command *crew_completed(struct crew *c)
{
	if (!c->taken) {
		eventfd_t count;

		/* Read before taking: what is given in between makes it readable again. */
		eventfd_read(c->completion_fd, &count);
		c->taken = command_list_take(&c->completed);
	}
	struct command *command = c->taken;
	if (command)
		c->taken = command->next;
	return command;
}

bool crew_drained(const struct crew *c)
{
	for (unsigned i = 0; i < c->settings.workers; i++)
		if (!atomic_load_explicit(&c->workers[i].drained, memory_order_acquire))
			return false;
	return true;
}

bool crew_stopped(const struct crew *c)
{
	for (unsigned i = 0; i < c->settings.workers; i++)
		if (!atomic_load_explicit(&c->workers[i].stopped, memory_order_acquire))
			return false;
	return true;
}

bool crew_silent(const struct crew *c)
{
	for (unsigned i = 0; i < c->settings.workers; i++)
		if (!atomic_load_explicit(&c->workers[i].silent, memory_order_acquire))
			return false;
	return true;
}
