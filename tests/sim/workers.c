#include "tests/sim/workers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char workers_replay[WORKERS_REPLAY_SIZE];

/* An assert of the shard failed, or worse: say how to see it again.  Nothing here but what a signal handler may do. */
#define SIGNALS 5
static const int crash_signals[SIGNALS] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
static struct sigaction before[SIGNALS]; /* a sanitizer's, which has more to say */

static void crashed(int signal_number, siginfo_t *info, void *context)
{
	ssize_t written = write(STDERR_FILENO, workers_replay, strlen(workers_replay));
	(void)written;
	(void)context;
	for (unsigned i = 0; i < SIGNALS; i++)
		sigaction(crash_signals[i], &before[i], NULL);
	if (info->si_code <= 0) /* sent by somebody: else the instruction does it again */
		raise(signal_number);
}

/* On a stack of its own, as a stack may be what has run out. */
void workers_tell_of_crashes(void)
{
	static char room[65536];
	stack_t stack = { .ss_sp = room, .ss_size = sizeof room };
	struct sigaction action = { .sa_sigaction = crashed, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	sigaltstack(&stack, NULL);
	for (unsigned i = 0; i < SIGNALS; i++)
		sigaction(crash_signals[i], &action, &before[i]);
}

double workers_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *take_outcome(const struct workers *w)
{
	void *outcome = calloc(1, w->outcome_size);
	if (!outcome) {
		perror(w->name);
		exit(2);
	}
	return outcome;
}

/* The outcome goes to the parent in whole; the exit status is that of the runs. */
static void be_worker(const struct workers *w, unsigned first, int to)
{
	char *outcome = take_outcome(w);
	bool good = w->run(w->context, first, outcome);
	fflush(stdout);
	for (size_t done = 0; done < w->outcome_size;) {
		ssize_t n = write(to, outcome + done, w->outcome_size - done);
		if (n <= 0)
			_exit(2);
		done += (size_t)n;
	}
	_exit(good ? 0 : 1);
}

static bool read_outcome(int from, char *outcome, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(from, outcome + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool run_all(const struct workers *w, void *ret_sum)
{
	int pipes[WORKERS_MAX][2];
	pid_t children[WORKERS_MAX];
	bool good = true;
	char *outcome = take_outcome(w);
	for (unsigned i = 0; i < w->count; i++) {
		fflush(stdout);
		children[i] = pipe(pipes[i]) ? -1 : fork();
		if (children[i] < 0) {
			perror(w->name);
			exit(2);
		}
		if (children[i] == 0)
			be_worker(w, i, pipes[i][1]);
		close(pipes[i][1]);
	}
	for (unsigned i = 0; i < w->count; i++) {
		int status = -1;
		if (read_outcome(pipes[i][0], outcome, w->outcome_size))
			w->add(ret_sum, outcome);
		close(pipes[i][0]);
		waitpid(children[i], &status, 0);
		good = status == 0 && good;
	}
	free(outcome);
	return good;
}

bool workers_run(const struct workers *w, void *ret_sum)
{
	memset(ret_sum, 0, w->outcome_size);
	return w->count == 1 ? w->run(w->context, 0, ret_sum) : run_all(w, ret_sum);
}
