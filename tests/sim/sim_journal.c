/* A node that dies, on a disk that fails, from many seeds (mortal.h):
 *
 *   sim_journal [--seeds N] [--from S] [--calls K] [--workers W] [--least L] [--trace]
 *
 * Prints what the runs met; with --least, fails if a kind of death or failure was met less often.  The first failing
 * seed of a worker ends it, with the check that failed and the command that replays it: exit status 1. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/mortal.h"
#include "tests/sim/workers.h"

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

static void add_counts(void *to, const void *from)
{
	struct mortal_counts *sum = to;
	const struct mortal_counts *counts = from;
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
static bool run(void *context, unsigned first, void *ret_counts)
{
	const struct plan *plan = context;
	bool good = true;
	for (unsigned long long i = first; i < plan->seeds && good; i += plan->workers)
		good = run_seed(plan->from + i, plan, ret_counts);
	return good;
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

int main(int argc, char **argv)
{
	struct plan plan = { .seeds = 100, .from = 1, .calls = 200, .workers = 1 };
	struct mortal_counts sum;
	unsigned long long least = 0;
	double begun = workers_seconds();
	if (!read_options(argc, argv, &plan, &least))
		return 2;
	struct workers workers = { "sim_journal", plan.workers, sizeof sum, &plan, run, add_counts };
	if (!workers_run(&workers, &sum))
		return 1;
	printf("%llu seeds from %llu, %.0f s\n", plan.seeds, plan.from, workers_seconds() - begun);
	print_counts(&sum);
	return all_met(&sum, least) ? 0 : 1;
}
