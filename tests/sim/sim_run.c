/* Random mixed traffic under simulation:  sim_run [--seeds N] [--from S] [--calls K] [--trace]
 *
 * Prints what the runs met.  The first failing seed ends it, with the check that failed, the messages of the call
 * concerned and the command that replays it: exit status 1. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/peer.h"
#include "tests/sim/traffic.h"

static char replay[160];

/* An assert of the shard failed: say how to see it again. */
static void aborted(int signal_number)
{
	ssize_t written = write(STDERR_FILENO, replay, strlen(replay));
	(void)written;
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void add_counts(struct sim_counts *sum, const struct sim_counts *counts)
{
#define X(name) sum->name += counts->name;
	SIM_COUNTS(X)
#undef X
}

static void print_counts(const struct sim_counts *counts)
{
	unsigned n = 0;
#define X(name) printf("%-20s%12llu%s", #name, (unsigned long long)counts->name, ++n % 3 ? "   " : "\n");
	SIM_COUNTS(X)
#undef X
	if (n % 3)
		printf("\n");
}

static bool run_seed(uint64_t seed, unsigned calls, bool trace, struct sim_counts *sum)
{
	struct sim_settings settings;
	traffic_settings(seed, &settings);
	struct sim *sim = sim_create(&settings);
	traffic_schedule(sim, calls);
	sim_finish(sim);
	add_counts(sum, &sim->counts);
	bool good = !sim->failed;
	if (!good) {
		printf("seed %llu failed: ", (unsigned long long)seed);
		sim_print_failure(sim, stdout);
	}
	if (trace)
		for (unsigned i = 0; i < sim->call_count; i++)
			sim_print_call(sim, sim->by_serial[i], stdout);
	sim_destroy(sim);
	return good;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seeds", required_argument, NULL, 'n' },
						 { "from", required_argument, NULL, 'f' },
						 { "calls", required_argument, NULL, 'c' },
						 { "trace", no_argument, NULL, 't' },
						 { NULL, 0, NULL, 0 } };
	struct sim_counts sum = { 0 };
	unsigned long long seeds = 100, from = 1;
	unsigned calls = 100;
	bool trace = false;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			seeds = strtoull(optarg, NULL, 10);
		else if (option == 'f')
			from = strtoull(optarg, NULL, 10);
		else if (option == 'c')
			calls = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 't')
			trace = true;
		else
			return 2;
	}
	signal(SIGABRT, aborted);
	for (unsigned long long seed = from; seed < from + seeds; seed++) {
		snprintf(replay, sizeof replay, "replay: sim_run --seeds 1 --from %llu --calls %u --trace\n", seed,
			 calls);
		if (!run_seed(seed, calls, trace, &sum)) {
			printf("%s", replay);
			return 1;
		}
	}
	printf("%llu seeds from %llu\n", seeds, from);
	print_counts(&sum);
	return 0;
}
