/* Random mixed traffic under simulation:
 *
 *   sim_run [--seeds N] [--from S] [--calls K] [--workers W] [--least L] [--tandem] [--kills] [--reliable] [--trace]
 *
 * In every eighth seed the node is killed up to three times and comes back; with --kills in each.
 * With --reliable the calls are on connections, which bring all there is in order and end now and then.
 * Every tenth seed is followed by a run of a tenth as many calls through two nodes in a row (tandem.h); with --tandem
 * every seed is one such run, and nothing else.
 *
 * Prints what the runs met; with --least, fails if any of the kinds that matter was met less often.  The first failing
 * seed of a worker ends it, with the check that failed, the messages of the call concerned and the command that replays
 * it: exit status 1. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/peer.h"
#include "tests/sim/tandem.h"
#include "tests/sim/traffic.h"
#include "tests/sim/workers.h"

#define TANDEM_EVERY 10
#define KILLS_EVERY  8
#define CUTS         20 /* of connections, in a run */

/* Of runs through two nodes. */
#define TANDEM_REQUIRED(X)                                                                                             \
	X(tandem_calls)                                                                                                \
	X(inner_refreshes)                                                                                             \
	X(inner_reinvites)                                                                                             \
	X(inner_small)

/* What hours of idle calls would not show: each must have been met so often. */
#define REQUIRED(X)                                                                                                    \
	X(failovers)                                                                                                   \
	X(routed)                                                                                                      \
	X(next_addresses)                                                                                              \
	X(rests)                                                                                                       \
	X(editions)                                                                                                    \
	X(refreshes_sent)                                                                                              \
	X(refreshes_by_peers)                                                                                          \
	X(retries)                                                                                                     \
	X(lost)                                                                                                        \
	X(refused_491)                                                                                                 \
	X(second_invites)                                                                                              \
	X(crossed_invites)                                                                                             \
	X(held_requests)                                                                                               \
	X(small_callers)                                                                                               \
	X(small_attempts)                                                                                              \
	X(small_refreshes)                                                                                             \
	X(probes)                                                                                                      \
	X(grace_rescues)                                                                                               \
	X(caps)                                                                                                        \
	X(max_durations)                                                                                               \
	X(session_timeouts)                                                                                            \
	X(reboots)                                                                                                     \
	X(crossings)                                                                                                   \
	X(role_swaps)                                                                                                  \
	X(update_fallbacks)                                                                                            \
	X(refresh_session_changes)                                                                                     \
	X(options_probes)                                                                                              \
	TANDEM_REQUIRED(X)

struct plan {
	unsigned long long seeds, from;
	unsigned calls, workers;
	bool tandem, trace, kills, reliable;
};

static void add_counts(void *to, const void *from)
{
	struct sim_counts *sum = to;
	const struct sim_counts *counts = from;
#define X(name) sum->name += counts->name;
	SIM_COUNTS(X)
#undef X
}

static void print_counts(const struct sim_counts *counts)
{
	unsigned n = 0;
#define X(name) printf("%-24s%12llu%s", #name, (unsigned long long)counts->name, ++n % 3 ? "   " : "\n");
	SIM_COUNTS(X)
#undef X
	if (n % 3)
		printf("\n");
}

static bool all_met(const struct sim_counts *counts, bool tandem, unsigned long long least)
{
	bool met = true;
#define X(name)                                                                                                        \
	if (counts->name < least) {                                                                                    \
		printf("%s was met %llu times, not %llu\n", #name, (unsigned long long)counts->name, least);           \
		met = false;                                                                                           \
	}
	if (tandem) {
		TANDEM_REQUIRED(X)
	} else {
		REQUIRED(X)
	}
#undef X
	return met;
}

static bool run_seed(uint64_t seed, const struct plan *plan, struct sim_counts *sum)
{
	struct sim_settings settings;
	traffic_settings(seed, &settings);
	if (plan->reliable)
		traffic_reliable(&settings);
	struct sim *sim = sim_create(&settings);
	traffic_schedule(sim, plan->calls);
	if (plan->reliable)
		traffic_cut(sim, CUTS);
	if (plan->kills || seed % KILLS_EVERY == 0)
		traffic_kill(sim, 1 + (unsigned)(seed % 3));
	sim_finish(sim);
	add_counts(sum, &sim->counts);
	bool good = !sim->failed;
	if (!good) {
		printf("seed %llu failed: ", (unsigned long long)seed);
		sim_print_failure(sim, stdout);
	}
	if (plan->trace)
		for (unsigned i = 0; i < sim->call_count; i++)
			sim_print_call(sim, sim->by_serial[i], stdout);
	sim_destroy(sim);
	return good;
}

static bool run_tandem(uint64_t seed, unsigned calls, bool trace, struct sim_counts *sum)
{
	struct tandem *t = tandem_random(seed, calls);
	bool good = !tandem_failed(t);
	tandem_add_counts(t, sum);
	if (!good) {
		printf("seed %llu failed: ", (unsigned long long)seed);
		tandem_print_failure(t, stdout);
	}
	for (unsigned i = 0; trace && i < t->call_count; i++)
		tandem_print_call(&t->calls[i], stdout);
	tandem_destroy(t);
	return good;
}

/* What a failure or an assert is followed by. */
static void say_how(const struct plan *plan, unsigned long long seed, unsigned calls, bool tandem)
{
	snprintf(workers_replay, sizeof workers_replay,
		 "replay: sim_run %s%s%s--seeds 1 --from %llu --calls %u --trace\n", tandem ? "--tandem " : "",
		 plan->kills ? "--kills " : "", plan->reliable ? "--reliable " : "", seed, calls);
}

/* Every `workers`-th seed, beginning with the `first`. */
static bool run(void *context, unsigned first, void *ret_counts)
{
	const struct plan *plan = context;
	struct sim_counts *counts = ret_counts;
	bool good = true;
	for (unsigned long long i = first; i < plan->seeds && good; i += plan->workers) {
		unsigned long long seed = plan->from + i;
		unsigned tandem_calls = plan->tandem ? plan->calls : (plan->calls + TANDEM_EVERY - 1) / TANDEM_EVERY;
		say_how(plan, seed, plan->calls, false);
		if (!plan->tandem)
			good = run_seed(seed, plan, counts);
		if (!good || plan->reliable || (!plan->tandem && seed % TANDEM_EVERY != 0))
			continue;
		say_how(plan, seed, tandem_calls, true);
		good = run_tandem(seed, tandem_calls, plan->trace, counts);
	}
	if (!good)
		printf("%s", workers_replay);
	return good;
}

static bool read_options(int argc, char **argv, struct plan *plan, unsigned long long *least)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 'n' }, { "from", required_argument, NULL, 'f' },
		{ "calls", required_argument, NULL, 'c' }, { "workers", required_argument, NULL, 'w' },
		{ "least", required_argument, NULL, 'l' }, { "tandem", no_argument, NULL, '2' },
		{ "trace", no_argument, NULL, 't' },       { "kills", no_argument, NULL, 'k' },
		{ "reliable", no_argument, NULL, 'r' },    { NULL, 0, NULL, 0 }
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
		else if (option == '2')
			plan->tandem = true;
		else if (option == 'k')
			plan->kills = true;
		else if (option == 'r')
			plan->reliable = true;
		else if (option == 't')
			plan->trace = true;
		else
			return false;
	}
	return plan->workers >= 1 && plan->workers <= WORKERS_MAX;
}

int main(int argc, char **argv)
{
	struct plan plan = { .seeds = 100, .from = 1, .calls = 100, .workers = 1 };
	struct sim_counts sum;
	unsigned long long least = 0;
	double begun = workers_seconds();
	if (!read_options(argc, argv, &plan, &least))
		return 2;
	workers_tell_of_crashes();
	struct workers workers = { "sim_run", plan.workers, sizeof sum, &plan, run, add_counts };
	if (!workers_run(&workers, &sum))
		return 1;
	printf("%llu seeds from %llu: %llu calls, %llu virtual hours, %.0f s\n", plan.seeds, plan.from,
	       (unsigned long long)sum.calls, (unsigned long long)sum.virtual_seconds / 3600,
	       workers_seconds() - begun);
	print_counts(&sum);
	return all_met(&sum, plan.tandem, least) ? 0 : 1;
}
