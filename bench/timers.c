/* rwbench timers: options, and what it prints.  See timers.h for what is measured. */
#include "bench/timers.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/machine.h"

enum { SIZES = 3 };

struct settings {
	uint64_t seed, record_bytes, rounds;
	size_t armed[SIZES]; /* of the cost */
	size_t armed_advance, armed_late;
	uint64_t advance_ns, late_ns, stall_ns, gaps_ns;
	int cpu;
	bool huge, json;
};

struct results {
	struct machine machine;
	struct machine_gaps gaps;
	struct cost_result cost[SIZES];
	struct loop_result advance, late;
};

static const struct settings settings_default = {
	.seed = 1,
	.record_bytes = CACHE_LINE,
	.rounds = 3,
	.armed = { 1000, 1000000, 10000000 },
	.armed_advance = 10000000,
	.armed_late = 1000000,
	.advance_ns = 20 * BENCH_SECOND_NS,
	.late_ns = 60 * BENCH_SECOND_NS,
	.stall_ns = 5 * BENCH_SECOND_NS,
	.gaps_ns = 10 * BENCH_SECOND_NS,
	.cpu = -1,
	.huge = true,
};

/* Everything once, in a second or two. */
static void make_small(struct settings *s)
{
	s->rounds = 1;
	s->armed[1] = 10000;
	s->armed[2] = 20000;
	s->armed_advance = s->armed_late = 200000;
	s->advance_ns = s->late_ns = BENCH_SECOND_NS * 3 / 4;
	s->gaps_ns = BENCH_SECOND_NS / 10;
}

/* ---- options ---- */

static void help(FILE *out)
{
	fprintf(out,
		"usage: rwbench timers [OPTIONS]\n\n"
		"Cost of arm, cancel, re-arm and fire, the wheel beside a binary heap; the longest advance; lateness.\n"
		"Deadlines: %s.\n\n"
		"  --seed N        of all random numbers (1)\n"
		"  --seconds N     of real time to see how late deadlines fire (60); a third of it for the advances\n"
		"  --rounds N      of which the cost is the median (3)\n"
		"  --record BYTES  size of the record that an entry is embedded in, a multiple of 64 (64)\n"
		"  --pages KIND    huge or small: pages of the records (huge, as in the switch)\n"
		"  --cpu N         pin the real-time loop to this core, as a worker is (not pinned)\n"
		"  --json          print one object, for programs\n"
		"  --smoke         everything small, in a second or two: does it work at all?\n"
		"  --help          this text\n\n"
		"Exit status: 0; 1 if a deadline fired early or never, or something was refused; 2 wrong usage.\n",
		mix_text);
}

static bool pages_option(const char *text, bool *ret_huge)
{
	*ret_huge = strcmp(text, "huge") == 0;
	if (*ret_huge || strcmp(text, "small") == 0)
		return true;
	fprintf(stderr, "rwbench: --pages: huge or small, not \"%s\"\n", text);
	return false;
}

static bool record_option(const char *text, uint64_t *ret_bytes)
{
	if (!bench_number("record", text, CACHE_LINE, 4096, ret_bytes))
		return false;
	if (*ret_bytes % CACHE_LINE == 0)
		return true;
	fprintf(stderr, "rwbench: --record: a multiple of %d\n", CACHE_LINE);
	return false;
}

static bool seconds_option(const char *text, struct settings *s)
{
	uint64_t seconds;

	if (!bench_number("seconds", text, 1, 86400, &seconds))
		return false;
	s->late_ns = seconds * BENCH_SECOND_NS;
	s->advance_ns = s->late_ns / 3;
	return true;
}

static bool cpu_option(const char *text, int *ret_cpu)
{
	uint64_t cpu;
	cpu_set_t allowed;

	if (!bench_number("cpu", text, 0, CPU_SETSIZE - 1, &cpu))
		return false;
	*ret_cpu = (int)cpu;
	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_ISSET(cpu, &allowed))
		return true;
	fprintf(stderr, "rwbench: --cpu: this process may not use core %d\n", *ret_cpu);
	return false;
}

/* -1: go on; otherwise the exit status. */
static int read_options(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },   { "seconds", required_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'n' }, { "record", required_argument, NULL, 'b' },
		{ "pages", required_argument, NULL, 'p' },  { "cpu", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },         { "smoke", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	bool good = true;
	int option;

	while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 's')
			good = bench_number("seed", optarg, 0, INT64_MAX, &s->seed);
		else if (option == 't')
			good = seconds_option(optarg, s);
		else if (option == 'n')
			good = bench_number("rounds", optarg, 1, 1000, &s->rounds);
		else if (option == 'b')
			good = record_option(optarg, &s->record_bytes);
		else if (option == 'p')
			good = pages_option(optarg, &s->huge);
		else if (option == 'c')
			good = cpu_option(optarg, &s->cpu);
		else if (option == 'j')
			s->json = true;
		else if (option == 'm')
			make_small(s);
		else if (option == 'h') {
			help(stdout);
			return BENCH_DONE;
		} else
			good = false;
	}
	if (good && optind == argc)
		return -1;
	fprintf(stderr, "rwbench timers --help lists the options\n");
	return BENCH_USAGE;
}

/* ---- measuring ---- */

static int measure_cost(const struct settings *s, struct results *results)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SIZES; i++) {
		struct cost_settings cost = { .armed = s->armed[i],
					      .rounds = (unsigned)s->rounds,
					      .seed = s->seed,
					      .record_bytes = s->record_bytes,
					      .huge = s->huge };
		r = cost_measure(&cost, &results->cost[i]);
	}
	return r;
}

static int measure_loops(const struct settings *s, struct results *results)
{
	struct loop_settings loop = { .armed = s->armed_advance,
				      .run_ns = s->advance_ns,
				      .stall_ns = s->stall_ns,
				      .seed = s->seed,
				      .record_bytes = s->record_bytes,
				      .huge = s->huge,
				      .cpu = s->cpu };
	bench_progress("the machine alone");
	machine_gaps(s->gaps_ns, &results->gaps);
	int r = loop_measure(&loop, &results->advance);

	if (r < 0)
		return r;
	loop.armed = s->armed_late;
	loop.run_ns = s->late_ns;
	return loop_measure(&loop, &results->late);
}

/* ---- for people ---- */

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static void print_cost(const struct settings *s, const struct results *results)
{
	printf("\nCost of an operation, ns of CPU time, median of %u rounds\n\n", (unsigned)s->rounds);
	printf("%10s  %15s  %15s  %15s  %15s\n", "", "arm", "cancel", "re-arm", "fire");
	printf("%10s", "armed");
	for (int i = 0; i < 4; i++)
		printf("  %7s %7s", rivals[WHEEL].name, rivals[HEAP].name);
	putchar('\n');
	for (unsigned i = 0; i < SIZES; i++) {
		const struct cost *w = &results->cost[i].cost[WHEEL], *h = &results->cost[i].cost[HEAP];

		printf("%10zu  %7.1f %7.1f  %7.1f %7.1f  %7.1f %7.1f  %7.1f %7.1f\n", s->armed[i], w->arm, h->arm,
		       w->cancel, h->cancel, w->rearm, h->rearm, w->fire, h->fire);
	}
}

static void print_spread(const char *name, const struct spread *s)
{
	printf("  %-26s %9llu %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, (unsigned long long)s->count,
	       us(spread_quantile(s, 0.5)), us(spread_quantile(s, 0.9)), us(spread_quantile(s, 0.99)),
	       us(spread_quantile(s, 0.999)), us(s->max_ns));
}

static void print_loop(const char *title, size_t armed, const struct loop_result *r)
{
	double seconds = (double)r->run_ns / 1e9;

	printf("\n%s: %zu armed, %.1f s of real time, %.1f %% of a core, preempted %ld times, "
	       "%.0f ms stolen by the hypervisor\n"
	       "%.0f fired and %.0f moved down a level each second\n\n",
	       title, armed, seconds, 100 * (double)r->busy_ns / (double)r->run_ns, r->preempted,
	       (double)r->stolen_ns / 1e6, (double)r->late.count / seconds, (double)r->moved / seconds);
	printf("  %-26s %9s %9s %9s %9s %9s %9s\n", "microseconds", "count", "p50", "p90", "p99", "p99.9", "longest");
	print_spread("advance, wall clock", &r->on_time.wall);
	print_spread("advance, CPU time", &r->on_time.cpu);
	print_spread("behind, wall clock", &r->behind.wall);
	print_spread("behind, CPU time", &r->behind.cpu);
	print_spread("late, wall clock", &r->late);
	printf("  fired within 10 ms of the deadline: %.4f %%; early: %llu\n",
	       100 * (1 - (double)r->too_late / (double)(r->late.count > 0 ? r->late.count : 1)),
	       (unsigned long long)r->early);
	printf("  entries moved by the longest advance: %llu, behind %llu\n",
	       (unsigned long long)r->on_time.longest_moved, (unsigned long long)r->behind.longest_moved);
	printf("  advances of 1 ms and more: %llu by wall clock, %llu by CPU time\n",
	       (unsigned long long)(r->on_time.wall_long + r->behind.wall_long),
	       (unsigned long long)(r->on_time.cpu_long + r->behind.cpu_long));
}

static void print(const struct settings *s, const struct results *results)
{
	char cpu[32] = "not pinned";

	if (s->cpu >= 0)
		snprintf(cpu, sizeof cpu, "pinned to core %d", s->cpu);
	printf("rwbench timers: seed %llu; records of %llu bytes in %s pages; loop %s\n", (unsigned long long)s->seed,
	       (unsigned long long)s->record_bytes, s->huge ? "huge" : "small", cpu);
	machine_print(&results->machine, stdout);
	printf("deadlines: %s\n", mix_text);
	print_cost(s, results);
	print_loop("Longest advance", s->armed_advance, &results->advance);
	print_loop("Lateness", s->armed_late, &results->late);
	printf("\nThe machine alone: a thread that only read the clocks for %.1f s was held up by at most %.1f us by "
	       "wall clock,\n"
	       "of which it was charged with at most %.1f us of CPU time.\n",
	       (double)s->gaps_ns / 1e9, us(results->gaps.wall_ns), us(results->gaps.cpu_ns));
	printf("\"behind\": advances after the wheel was told that %.0f s had passed at once, until it caught up.\n",
	       (double)s->stall_ns / 1e9);
}

/* ---- for programs ---- */

static json_t *cost_json(const struct settings *s, const struct results *results)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < SIZES; i++) {
		json_t *row = json_pack("{s:I}", "armed", (json_int_t)s->armed[i]);

		for (unsigned j = 0; j < RIVALS; j++) {
			const struct cost *c = &results->cost[i].cost[j];

			json_object_set_new(row, rivals[j].name,
					    json_pack("{s:f, s:f, s:f, s:f}", "arm_ns", c->arm, "cancel_ns", c->cancel,
						      "rearm_ns", c->rearm, "fire_ns", c->fire));
		}
		json_array_append_new(list, row);
	}
	return list;
}

static json_t *advances_json(const struct advances *a)
{
	return json_pack("{s:o, s:o, s:I, s:I, s:I}", "wall", spread_json(&a->wall), "cpu", spread_json(&a->cpu),
			 "longest_moved", (json_int_t)a->longest_moved, "wall_1ms", (json_int_t)a->wall_long, "cpu_1ms",
			 (json_int_t)a->cpu_long);
}

static json_t *loop_json(size_t armed, const struct loop_result *r)
{
	return json_pack("{s:I, s:f, s:f, s:I, s:f, s:I, s:o, s:o, s:o, s:I, s:I}", "armed", (json_int_t)armed,
			 "seconds", (double)r->run_ns / 1e9, "cpu_share", (double)r->busy_ns / (double)r->run_ns,
			 "preempted", (json_int_t)r->preempted, "stolen_ms", (double)r->stolen_ns / 1e6, "moved",
			 (json_int_t)r->moved, "advance", advances_json(&r->on_time), "behind",
			 advances_json(&r->behind), "late", spread_json(&r->late), "late_10ms", (json_int_t)r->too_late,
			 "early", (json_int_t)r->early);
}

static void print_json(const struct settings *s, const struct results *results)
{
	json_t *all = json_pack(
		"{s:s, s:I, s:o, s:I, s:s, s:i, s:s, s:I, s:o, s:o, s:o, s:{s:f, s:f}}", "bench", "timers", "seed",
		(json_int_t)s->seed, "machine", machine_json(&results->machine), "record_bytes",
		(json_int_t)s->record_bytes, "pages", s->huge ? "huge" : "small", "cpu", s->cpu, "deadlines", mix_text,
		"rounds", (json_int_t)s->rounds, "cost", cost_json(s, results), "longest_advance",
		loop_json(s->armed_advance, &results->advance), "lateness", loop_json(s->armed_late, &results->late),
		"machine_alone", "wall_max_us", us(results->gaps.wall_ns), "cpu_max_us", us(results->gaps.cpu_ns));

	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

/* ---- all of it ---- */

static int judge(const struct results *results)
{
	uint64_t early = results->advance.early + results->late.early, lost = 0;

	for (unsigned i = 0; i < SIZES; i++) {
		early += results->cost[i].early;
		lost += results->cost[i].lost;
	}
	if (early == 0 && lost == 0)
		return BENCH_DONE;
	fprintf(stderr, "rwbench: %llu deadlines fired early, %llu never\n", (unsigned long long)early,
		(unsigned long long)lost);
	return BENCH_FAILED;
}

int bench_timers(int argc, char **argv)
{
	struct settings settings = settings_default;
	int r = read_options(argc, argv, &settings);

	if (r >= 0)
		return r;
	struct results *results = calloc(1, sizeof *results);
	if (!results)
		return BENCH_FAILED;
	machine_read(&results->machine);
	r = measure_cost(&settings, results);
	if (r == 0)
		r = measure_loops(&settings, results);
	bench_progress_end();
	if (r == 0) {
		settings.json ? print_json(&settings, results) : print(&settings, results);
		r = judge(results);
	} else {
		fprintf(stderr, "rwbench: timers: %s\n", strerror(-r));
		r = BENCH_FAILED;
	}
	free(results);
	return r;
}
