/* What a node asks for is not there (starve.h): at each single point of the scenarios, from each point on, for a while
 * from each point on, by chance; and random traffic in pools of a few slots.
 *
 *   sim_starve [--mode M] [--scenario S] [--from K] [--runs N] [--seconds T] [--workers W] [--trace]
 *
 * Modes: one (the K-th ask is refused), burst (50 asks from there on), rest (all from there on, until the end of the
 * scenario), some (by chance, K is the seed), tiny (random traffic, K is the seed).  Without a mode all of them,
 * without a scenario each; as many runs as there are, or the first N in an order that goes all over them, or as many as
 * fit into T seconds.
 *
 * Held are the checks of the simulation: never a crash, no leak, each call that was begun has its one CDR; afterwards
 * the node works as before.  Where one ask is refused, calls that were answered end as they would have, and the others
 * with a proper failure.  The first failing run of a worker ends it, with the command that replays it: exit status 1.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/call/state.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/starve.h"
#include "tests/sim/traffic.h"
#include "tests/sim/workers.h"

#define CALLS_MAX  64  /* of a scenario */
#define BURST      50  /* asks */
#define SOME_SEEDS 200 /* of each scenario */
#define TINY_SEEDS 2000
#define TINY_CALLS 60
#define STRIDE     7919         /* prime: from one run to the next */
#define AFTER_NS   (70 * SIM_S) /* no gateway rests so long */

/* ---- pools of a few slots: the linker puts these before the shard's own (--wrap) ---- */

int __real_shard_create(const struct shard_settings *settings, struct shard **ret_shard);
int __wrap_shard_create(const struct shard_settings *settings, struct shard **ret_shard);
void __real_shard_destroy(struct shard *s);
void __wrap_shard_destroy(struct shard *s);

struct sizes {
	uint32_t legs, attempts, transactions, bodies, pages;
};

static struct sizes tiny; /* zeroes: as they are */
static struct sizes full[SIM_SHARDS_MAX];

static struct sizes swap_sizes(struct shard *s, const struct sizes *sizes)
{
	struct sizes before = { s->legs.size, s->attempts.size, s->transactions.size, s->bodies_max,
				s->texts.page_count };
	s->legs.size = sizes->legs;
	s->attempts.size = sizes->attempts;
	s->transactions.size = sizes->transactions;
	s->transaction_reserve = sizes->transactions / 16;
	s->bodies_max = sizes->bodies;
	s->texts.page_count = sizes->pages;
	return before;
}

int __wrap_shard_create(const struct shard_settings *settings, struct shard **ret_shard)
{
	int error = __real_shard_create(settings, ret_shard);
	if (!error && tiny.legs)
		full[settings->shard] = swap_sizes(*ret_shard, &tiny);
	return error;
}

void __wrap_shard_destroy(struct shard *s)
{
	if (tiny.legs)
		swap_sizes(s, &full[s->shard]);
	__real_shard_destroy(s);
}

/* ---- runs ---- */

enum mode { MODE_one, MODE_burst, MODE_rest, MODE_some, MODE_tiny, MODES };
static const char *const mode_names[MODES] = { "one", "burst", "rest", "some", "tiny" };

struct run {
	enum mode mode;
	enum scenario scenario;
	uint64_t k;
};

/* How a call has ended. */
struct end {
	bool recorded, connected;
	uint8_t reason;
	uint16_t code;
};

struct ends {
	unsigned count;
	struct end calls[CALLS_MAX];
	uint64_t asked;
};

static struct ends undisturbed[SCENARIO_COUNT];

static void feast(struct sim *sim, void *context)
{
	(void)sim;
	(void)context;
	starve.on = false;
}

static const struct script plain_call = { .answers = { { .final_ns = SIM_S } },
					  .steps = { { STEP_BYE, false, 5 * SIM_S } } };

static void place_plain(struct sim *sim, void *context)
{
	struct sim_call **call = context;
	sim->planned--;
	*call = sim_place(sim, &plain_call);
}

static struct end end_of(const struct sim_call *call)
{
	const struct cdr *cdr = call->cdr ? &call->cdr->cdr : NULL;
	struct end end = { 0 };
	if (cdr)
		end = (struct end){ true, cdr->connect_us != 0, cdr->end_reason, cdr->sip_code };
	return end;
}

static void begin_starving(const struct run *run)
{
	static const uint32_t chances_ppm[] = { 1000, 10000, 50000, 300000 };
	starve = (struct starve){ .on = true };
	switch (run->mode) {
	case MODE_one:
		starve.from = run->k;
		starve.until = run->k + (run->k > 0);
		break;
	case MODE_burst:
		starve.from = run->k;
		starve.until = run->k + BURST;
		break;
	case MODE_rest:
		starve.from = run->k;
		starve.until = UINT64_MAX;
		break;
	case MODE_some:
		starve.ppm = chances_ppm[run->k % 4];
		starve.random = run->k;
		break;
	case MODE_tiny:
	case MODES:
		starve.on = false;
		break;
	}
}

static bool same_end(const struct end *a, const struct end *b)
{
	return a->recorded == b->recorded && a->connected == b->connected && a->reason == b->reason &&
	       a->code == b->code;
}

/* Answered, it ends as it would have; not answered, it has failed as calls fail. */
static void compare(struct sim *sim, struct sim_call *call, const struct end *should, const struct end *is)
{
	const char *name = is->recorded ? cdr_end_reason_name((enum cdr_end_reason)is->reason) : "without a record";
	if (same_end(should, is))
		return;
	if (!is->recorded && call->caller->invite->status != 503)
		sim_fail(sim, call, "starved-refusal", "no call, and the caller was told %u",
			 call->caller->invite->status);
	if (is->connected && !should->connected && is->reason != CDR_END_normal) /* another left its credit to it */
		sim_fail(sim, call, "starved-answer", "answered, %s, which it would not have been", name);
	if (is->connected && should->connected)
		sim_fail(sim, call, "starved-unharmed", "answered, and ended as %s, not %s", name,
			 cdr_end_reason_name((enum cdr_end_reason)should->reason));
	if (is->recorded && !is->connected && (is->code < 400 || is->code > 699))
		sim_fail(sim, call, "starved-failure", "%s, code %u", name, is->code);
}

static void hold_against(struct sim *sim, const struct ends *should)
{
	for (unsigned i = 0; i < should->count; i++) {
		struct end end = end_of(sim->by_serial[i]);
		compare(sim, sim->by_serial[i], &should->calls[i], &end);
	}
}

static void check_after(struct sim *sim, struct sim_call *after)
{
	if (!after || !after->cdr || after->cdr->cdr.end_reason != CDR_END_normal)
		sim_fail(sim, after, "starved-recovers", "afterwards a call ends as %s",
			 after && after->cdr ? cdr_end_reason_name(after->cdr->cdr.end_reason) : "nothing");
}

/* The sum of all runs. */
struct counts {
	uint64_t runs[MODES];
	uint64_t refused[STARVE_KIND_COUNT];
	uint64_t calls, answered, refused_calls;
};

/* For want of room. */
static uint64_t invites_refused(const struct sim *sim)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < sim->shard_count; i++)
		sum += sim->shards[i].stats.invites_rejected_overload;
	return sum;
}

static void count_run(struct counts *counts, const struct run *run, const struct sim *sim)
{
	counts->runs[run->mode]++;
	for (unsigned i = 0; i < STARVE_KIND_COUNT; i++)
		counts->refused[i] += starve.refused_kinds[i];
	counts->calls += sim->call_count;
	counts->refused_calls += sim->down ? 0 : invites_refused(sim);
	for (const struct sim_cdr *record = sim->cdrs; record; record = record->next)
		counts->answered += record->cdr.connect_us != 0;
}

static bool finish_run(struct sim *sim, const struct run *run, bool trace, struct counts *counts)
{
	bool good = !sim->failed;
	if (!good) {
		printf("%s", workers_replay);
		sim_print_failure(sim, stdout);
	}
	for (unsigned i = 0; trace && i < sim->call_count; i++)
		sim_print_call(sim, sim->by_serial[i], stdout);
	count_run(counts, run, sim);
	sim_destroy(sim);
	return good;
}

static struct sim *play(const struct run *run)
{
	struct sim_call *after = NULL;
	struct sim *sim = scenario_create(run->scenario, run->mode != MODE_one);
	begin_starving(run);
	sim_at(sim, scenario_end_ns(sim), feast, NULL);
	if (scenario_goes_on(run->scenario)) {
		sim->planned++;
		sim_at(sim, scenario_end_ns(sim) + AFTER_NS, place_plain, &after);
	}
	sim_finish(sim);
	if (scenario_goes_on(run->scenario))
		check_after(sim, after);
	if (run->mode == MODE_one && run->k && scenario_is_exact(run->scenario))
		hold_against(sim, &undisturbed[run->scenario]);
	return sim;
}

/* Without anything refused: how many asks there are, and how the calls end. */
static bool play_undisturbed(enum scenario scenario, bool trace)
{
	struct run run = { .mode = MODE_one, .scenario = scenario };
	struct counts counts = { 0 };
	struct sim *sim = play(&run);
	struct ends *ends = &undisturbed[scenario];
	ends->count = sim->call_count < CALLS_MAX ? sim->call_count : CALLS_MAX;
	for (unsigned i = 0; i < ends->count; i++)
		ends->calls[i] = end_of(sim->by_serial[i]);
	ends->asked = starve.asked;
	return finish_run(sim, &run, trace, &counts);
}

static bool play_tiny(const struct run *run, bool trace, struct counts *counts)
{
	struct sim_settings settings;
	uint64_t k = run->k;
	starve = (struct starve){ 0 };
	tiny = (struct sizes){ .legs = 8 + (uint32_t)(k % 13) * 3,
			       .attempts = 2 + (uint32_t)(k / 3 % 7),
			       .transactions = 16 + (uint32_t)(k / 7 % 11) * 8,
			       .bodies = 4 + (uint32_t)(k / 11 % 5) * 6,
			       .pages = 6 + (uint32_t)(k / 13 % 9) * 4 };
	traffic_settings(k, &settings);
	settings.starved = true;
	settings.calls_max = 4 + (uint32_t)(k % 20);
	struct sim *sim = sim_create(&settings);
	traffic_schedule(sim, TINY_CALLS);
	sim_finish(sim);
	bool good = finish_run(sim, run, trace, counts);
	tiny = (struct sizes){ 0 };
	return good;
}

static bool play_run(const struct run *run, bool trace, struct counts *counts)
{
	snprintf(workers_replay, sizeof workers_replay,
		 "replay: sim_starve --mode %s --scenario %s --from %llu --runs 1 --trace\n", mode_names[run->mode],
		 scenario_name(run->scenario), (unsigned long long)run->k);
	if (run->mode == MODE_tiny)
		return play_tiny(run, trace, counts);
	return finish_run(play(run), run, trace, counts);
}

/* ---- all of them ---- */

struct plan {
	int mode, scenario; /* -1: each */
	uint64_t from, runs;
	double seconds, begun;
	unsigned workers;
	bool trace;
};

/* So many runs of a mode and a scenario. */
static uint64_t runs_of(const struct plan *plan, enum mode mode, enum scenario scenario)
{
	if ((plan->mode >= 0 && plan->mode != (int)mode) || (plan->scenario >= 0 && plan->scenario != (int)scenario))
		return 0;
	if (mode == MODE_tiny)
		return scenario == SCENARIO_calls ? TINY_SEEDS : 0;
	return mode == MODE_some ? SOME_SEEDS : undisturbed[scenario].asked;
}

static uint64_t runs_of_all(const struct plan *plan)
{
	uint64_t sum = 0;
	for (enum mode mode = MODE_one; mode < MODES; mode++)
		for (unsigned scenario = 0; scenario < SCENARIO_COUNT; scenario++)
			sum += runs_of(plan, mode, (enum scenario)scenario);
	return sum;
}

static struct run run_at(const struct plan *plan, uint64_t index)
{
	for (enum mode mode = MODE_one; mode < MODES; mode++)
		for (unsigned scenario = 0; scenario < SCENARIO_COUNT; scenario++) {
			uint64_t runs = runs_of(plan, mode, (enum scenario)scenario);
			if (index < runs)
				return (struct run){ mode, (enum scenario)scenario, index + 1 };
			index -= runs;
		}
	abort();
}

static bool work(void *context, unsigned first, void *ret_counts)
{
	const struct plan *plan = context;
	uint64_t all = runs_of_all(plan), runs = plan->runs && plan->runs < all ? plan->runs : all;
	bool good = true;
	for (uint64_t i = first; i < runs && good; i += plan->workers) {
		uint64_t index = plan->from ? (plan->from - 1 + i) % all : i * STRIDE % all;
		struct run run = run_at(plan, index);
		if (plan->seconds > 0 && workers_seconds() > plan->begun + plan->seconds)
			break;
		good = play_run(&run, plan->trace, ret_counts);
	}
	return good;
}

static void add_counts(void *to, const void *from)
{
	uint64_t *sum = to;
	const uint64_t *counts = from;
	for (size_t i = 0; i < sizeof(struct counts) / sizeof *sum; i++)
		sum[i] += counts[i];
}

static void print_counts(const struct counts *counts)
{
	for (unsigned i = 0; i < MODES; i++)
		printf("%s %llu  ", mode_names[i], (unsigned long long)counts->runs[i]);
	printf("runs\n");
	for (unsigned i = 0; i < STARVE_KIND_COUNT; i++)
		printf("%s %llu  ", starve_name((enum starve_kind)i), (unsigned long long)counts->refused[i]);
	printf("refused\n%llu calls, %llu answered, %llu refused\n", (unsigned long long)counts->calls,
	       (unsigned long long)counts->answered, (unsigned long long)counts->refused_calls);
}

static int index_of(const char *name, const char *(*name_of)(unsigned), unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(name, name_of(i)) == 0)
			return (int)i;
	fprintf(stderr, "sim_starve: there is no %s\n", name);
	exit(2);
}

static const char *name_of_mode(unsigned i)
{
	return mode_names[i];
}

static const char *name_of_scenario(unsigned i)
{
	return scenario_name((enum scenario)i);
}

static bool read_options(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },    { "scenario", required_argument, NULL, 's' },
		{ "from", required_argument, NULL, 'f' },    { "runs", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 'x' }, { "workers", required_argument, NULL, 'w' },
		{ "trace", no_argument, NULL, 't' },         { NULL, 0, NULL, 0 },
	};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned long long value = optarg ? strtoull(optarg, NULL, 10) : 0;
		if (option == 'm')
			plan->mode = index_of(optarg, name_of_mode, MODES);
		else if (option == 's')
			plan->scenario = index_of(optarg, name_of_scenario, SCENARIO_COUNT);
		else if (option == 'f')
			plan->from = value;
		else if (option == 'n')
			plan->runs = value;
		else if (option == 'x')
			plan->seconds = (double)value;
		else if (option == 'w')
			plan->workers = (unsigned)value;
		else if (option == 't')
			plan->trace = true;
		else
			return false;
	}
	return plan->workers >= 1 && plan->workers <= WORKERS_MAX;
}

int main(int argc, char **argv)
{
	struct plan plan = { .mode = -1, .scenario = -1, .workers = 1, .begun = workers_seconds() };
	struct counts sum;
	if (!read_options(argc, argv, &plan))
		return 2;
	workers_tell_of_crashes();
	for (unsigned i = 0; i < SCENARIO_COUNT; i++)
		if (!play_undisturbed((enum scenario)i, false))
			return 1;
	struct workers workers = { "sim_starve", plan.workers, sizeof sum, &plan, work, add_counts };
	if (!workers_run(&workers, &sum))
		return 1;
	printf("of %llu, %.0f s\n", (unsigned long long)runs_of_all(&plan), workers_seconds() - plan.begun);
	print_counts(&sum);
	return 0;
}
