/* A node that dies, on a disk that fails, from many seeds (mortal.h):
 *
 *   sim_journal [--seeds N] [--from S] [--calls K] [--workers W] [--least L] [--trace]
 *
 * Prints what the runs met; with --least, fails if a kind of death or failure was met less often.  The first failing
 * seed of a worker ends it, with the check that failed and the command that replays it: exit status 1. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/mortal.h"

#define WORKERS_MAX 64

/* What a run without deaths and failures would not show. */
#define REQUIRED(X)                                                                                                    \
	X(process_deaths)                                                                                              \
	X(machine_deaths)                                                                                              \
	X(deaths_in_sync)                                                                                              \
	X(deaths_in_input)                                                                                             \
	X(carried)                                                                                                     \
	X(closing)                                                                                                     \
	X(from_queues)                                                                                                 \
	X(lost_with_machine)                                                                                           \
	X(failed_writes)                                                                                               \
	X(refused_space)                                                                                               \
	X(calls_refused)

struct plan {
	unsigned long long seeds, from;
	unsigned calls, workers;
	bool trace;
};

struct outcome {
	struct mortal_counts counts;
	bool failed;
};

static void add_counts(struct mortal_counts *sum, const struct mortal_counts *counts)
{
#define X(name) sum->name += counts->name;
	MORTAL_COUNTS(X)
#undef X
}

static void print_counts(const struct mortal_counts *counts)
{
	unsigned n = 0;
#define X(name) printf("%-20s%12llu%s", #name, (unsigned long long)counts->name, ++n % 3 ? "   " : "\n");
	MORTAL_COUNTS(X)
#undef X
	if (n % 3)
		printf("\n");
}

static bool all_met(const struct mortal_counts *counts, unsigned long long least)
{
	bool met = true;
#define X(name)                                                                                                        \
	if (counts->name < least) {                                                                                    \
		printf("%s was met %llu times, not %llu\n", #name, (unsigned long long)counts->name, least);           \
		met = false;                                                                                           \
	}
	REQUIRED(X)
#undef X
	return met;
}

static bool run_seed(unsigned long long seed, const struct plan *plan, struct mortal_counts *sum)
{
	struct world *w = world_create(&(struct world_settings){ seed, plan->calls, plan->trace });
	world_run(w);
	add_counts(sum, &w->counts);
	bool good = !w->failed;
	if (!good)
		printf("seed %llu failed: %s\nreplay: sim_journal --seeds 1 --from %llu --calls %u --trace\n", seed,
		       w->failure, seed, plan->calls);
	world_destroy(w);
	return good;
}

/* Every `workers`-th seed, beginning with the `first`. */
static void run(const struct plan *plan, unsigned first, struct outcome *ret_outcome)
{
	*ret_outcome = (struct outcome){ .failed = false };
	for (unsigned long long i = first; i < plan->seeds && !ret_outcome->failed; i += plan->workers)
		ret_outcome->failed = !run_seed(plan->from + i, plan, &ret_outcome->counts);
	fflush(stdout);
}

/* One process a worker: a run shares nothing. */
static void run_all(const struct plan *plan, struct outcome *ret_sum)
{
	int pipes[WORKERS_MAX][2];
	pid_t children[WORKERS_MAX];
	struct outcome sum = { .failed = false }, outcome;
	for (unsigned i = 0; i < plan->workers; i++) {
		fflush(stdout);
		children[i] = pipe(pipes[i]) ? -1 : fork();
		if (children[i] < 0) {
			perror("sim_journal");
			exit(2);
		}
		if (children[i] == 0) {
			run(plan, i, &outcome);
			_exit(write(pipes[i][1], &outcome, sizeof outcome) == (ssize_t)sizeof outcome ? 0 : 2);
		}
		close(pipes[i][1]);
	}
	for (unsigned i = 0; i < plan->workers; i++) {
		int status;
		bool whole = read(pipes[i][0], &outcome, sizeof outcome) == (ssize_t)sizeof outcome;
		if (whole)
			add_counts(&sum.counts, &outcome.counts);
		close(pipes[i][0]);
		waitpid(children[i], &status, 0);
		sum.failed |= !whole || outcome.failed || status != 0;
	}
	*ret_sum = sum;
}

static bool read_options(int argc, char **argv, struct plan *plan, unsigned long long *least)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "calls", required_argument, NULL, 'c' },
		{ "workers", required_argument, NULL, 'w' },
		{ "least", required_argument, NULL, 'l' },
		{ "trace", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned long long value = optarg ? strtoull(optarg, NULL, 10) : 0;
		if (option == 'n')
			plan->seeds = value;
		else if (option == 'f')
			plan->from = value;
		else if (option == 'c')
			plan->calls = (unsigned)value;
		else if (option == 'w')
			plan->workers = (unsigned)value;
		else if (option == 'l')
			*least = value;
		else if (option == 't')
			plan->trace = true;
		else
			return false;
	}
	return plan->workers >= 1 && plan->workers <= WORKERS_MAX && plan->calls <= MORTAL_CALLS_MAX;
}

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct plan plan = { .seeds = 100, .from = 1, .calls = 200, .workers = 1 };
	struct outcome sum;
	unsigned long long least = 0;
	double begun = seconds_now();
	if (!read_options(argc, argv, &plan, &least))
		return 2;
	if (plan.workers == 1)
		run(&plan, 0, &sum);
	else
		run_all(&plan, &sum);
	if (sum.failed)
		return 1;
	printf("%llu seeds from %llu, %.0f s\n", plan.seeds, plan.from, seconds_now() - begun);
	print_counts(&sum.counts);
	return all_met(&sum.counts, least) ? 0 : 1;
}
