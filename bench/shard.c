/* rwbench shard: options, and what it prints.  See shard.h for what is measured. */
#include "bench/shard.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/machine.h"

enum { ROWS = 3 };

struct settings {
	struct shard_run_settings run; /* but for `live` */
	uint64_t live[ROWS];
	unsigned rows;
	bool json;
};

static const struct settings settings_default = {
	.run = { .peer = { .timer = true, .sdp = true, .seed = 1 },
		 .calls = 200000,
		 .warm = 500000,
		 .rounds = 5,
		 .batch = 64,
		 .records = true,
		 .rate = 40000 },
	.live = { 1, 100000, 1000000 },
	.rows = ROWS,
};

/* Everything once, in a second or two. */
static void make_small(struct settings *s)
{
	s->run.calls = 2000;
	s->run.warm = 1000;
	s->run.rounds = 1;
	s->live[1] = 1000;
	s->live[2] = 5000;
}

/* ---- options ---- */

static void help(FILE *out)
{
	fputs("usage: rwbench shard [OPTIONS]\n\n"
	      "CPU time of the call logic alone: a shard of the switch between a caller and a callee that send "
	      "templates,\n"
	      "14 messages a call, without a network and in virtual time.  One row for each number of live calls.\n\n"
	      "  --live N         only this number of live calls (1, 100000 and 1000000)\n"
	      "  --calls N        measured calls of a round (200000)\n"
	      "  --rounds N       of which the figures are the medians (5)\n"
	      "  --warm N         calls that come and go before (500000)\n"
	      "  --batch N        calls whose messages of one kind go in one after another, at most 4096 (64)\n"
	      "  --rate N         calls a second of virtual time: how long a call lives, and how many tombstones are\n"
	      "                   left of ended ones (40000)\n"
	      "  --timer on|off   both ends know RFC 4028 (on)\n"
	      "  --sdp on|off     a session description of its own for each leg (on)\n"
	      "  --records on|off live calls are written down, so that they outlive the process (on)\n"
	      "  --perf-loop      for a profiler: one row, one round, nothing before it but bringing the calls up\n"
	      "  --show           print the messages of the first call as well\n"
	      "  --seed N         of all random numbers (1)\n"
	      "  --json           print one object, for programs\n"
	      "  --smoke          everything small, in a second or two: does it work at all?\n"
	      "  --help           this text\n\n"
	      "For callgrind, the shard alone:\n"
	      "  valgrind --tool=callgrind --collect-atstart=no --toggle-collect=shard_datagram \\\n"
	      "    --toggle-collect=shard_advance rwbench shard --perf-loop --live 1000 --calls 20000\n\n"
	      "Exit status: 0; 1 if a message or a CDR came out other than it should, or something was refused;\n"
	      "2 wrong usage.\n",
	      out);
}

static bool switch_option(const char *option, const char *text, bool *ret_on)
{
	*ret_on = strcmp(text, "on") == 0;
	if (*ret_on || strcmp(text, "off") == 0)
		return true;
	fprintf(stderr, "rwbench: --%s: on or off, not \"%s\"\n", option, text);
	return false;
}

static bool number32_option(const char *option, const char *text, uint64_t max, uint32_t *ret_value)
{
	uint64_t value;

	if (!bench_number(option, text, 1, max, &value))
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

static bool live_option(const char *text, struct settings *s)
{
	s->rows = 1;
	return bench_number("live", text, 1, 20000000, &s->live[0]);
}

static void make_loop(struct settings *s)
{
	if (s->rows > 1)
		s->live[0] = 1000;
	s->rows = 1;
	s->run.rounds = 1;
	s->run.warm = 0;
}

static bool take_option(int option, struct settings *s)
{
	switch (option) {
	case 'l':
		return live_option(optarg, s);
	case 'c':
		return bench_number("calls", optarg, 1, INT64_MAX, &s->run.calls);
	case 'n':
		return number32_option("rounds", optarg, 1000, &s->run.rounds);
	case 'w':
		return bench_number("warm", optarg, 0, INT64_MAX, &s->run.warm);
	case 'b':
		return number32_option("batch", optarg, SHARD_BATCH_MAX, &s->run.batch);
	case 'r':
		return number32_option("rate", optarg, 1000000000, &s->run.rate);
	case 't':
		return switch_option("timer", optarg, &s->run.peer.timer);
	case 'd':
		return switch_option("sdp", optarg, &s->run.peer.sdp);
	case 'k':
		return switch_option("records", optarg, &s->run.records);
	case 's':
		return bench_number("seed", optarg, 0, INT64_MAX, &s->run.peer.seed);
	case 'p':
		make_loop(s);
		return true;
	case 'v':
		s->run.show = true;
		return true;
	case 'j':
		s->json = true;
		return true;
	case 'm':
		make_small(s);
		return true;
	default:
		return false;
	}
}

/* -1: go on; otherwise the exit status. */
static int read_options(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {
		{ "live", required_argument, NULL, 'l' },    { "calls", required_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'n' },  { "warm", required_argument, NULL, 'w' },
		{ "records", required_argument, NULL, 'k' }, { "batch", required_argument, NULL, 'b' },
		{ "rate", required_argument, NULL, 'r' },    { "timer", required_argument, NULL, 't' },
		{ "sdp", required_argument, NULL, 'd' },     { "seed", required_argument, NULL, 's' },
		{ "perf-loop", no_argument, NULL, 'p' },     { "show", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },          { "smoke", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
	};
	bool good = true;
	int option;

	while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			help(stdout);
			return BENCH_DONE;
		}
		good = take_option(option, s);
	}
	if (good && optind == argc)
		return -1;
	fprintf(stderr, "rwbench shard --help lists the options\n");
	return BENCH_USAGE;
}

/* ---- for people ---- */

static const char *on(bool value)
{
	return value ? "on" : "off";
}

static void print(const struct settings *s, const struct machine *machine, const struct shard_result *results)
{
	const struct shard_run_settings *r = &s->run;

	printf("rwbench shard: seed %llu; timers %s, SDP %s, records %s; batches of %u; %u calls a second of virtual "
	       "time\n",
	       (unsigned long long)r->peer.seed, on(r->peer.timer), on(r->peer.sdp), on(r->records), r->batch, r->rate);
	machine_print(machine, stdout);
	printf("\nCPU time of the shard, ns a call, median of %u rounds of %llu calls\n\n%9s", r->rounds,
	       (unsigned long long)r->calls, "live");
	for (unsigned i = 0; i < STEPS; i++)
		printf(" %*s", i == STEP_REFRESH ? 11 : 7, shard_step_names[i]);
	printf(" %9s %9s\n", "all", "calls/s");
	for (unsigned row = 0; row < s->rows; row++) {
		printf("%9llu", (unsigned long long)s->live[row]);
		for (unsigned i = 0; i < STEPS; i++)
			printf(" %*.0f", i == STEP_REFRESH ? 11 : 7, results[row].step_ns[i]);
		printf(" %9.0f %9.0f\n", results[row].call_ns, 1e9 / results[row].call_ns);
	}
	printf("\n%9s %12s %14s %10s %11s %12s %13s %14s %10s %10s\n", "live", "peers, ns", "edge, ns/sent", "bytes in",
	       "bytes out", "bytes a CDR", "records, bytes", "bytes a live", "refreshes", "tombstones");
	for (unsigned row = 0; row < s->rows; row++) {
		const struct shard_result *x = &results[row];

		printf("%9llu %12.0f %14.1f %10.0f %11.0f %12.0f %14.0f %14.0f %10.3f %10llu\n",
		       (unsigned long long)s->live[row], x->peers_ns, x->edge_ns, x->bytes_in, x->bytes_out,
		       x->cdr_bytes, x->record_bytes, x->live_bytes, x->refreshes, (unsigned long long)x->tombstones);
	}
	puts("\nPeers: what the bench's two ends took for a call, not part of the sum; edge: what it took to keep one\n"
	     "datagram that was sent, part of it.  Bytes a live: growth of the process while they came up.");
}

/* ---- for programs ---- */

static json_t *result_json(uint64_t live, const struct shard_result *x)
{
	json_t *steps = json_object();

	for (unsigned i = 0; i < STEPS; i++)
		json_object_set_new(steps, shard_step_names[i], json_real(x->step_ns[i]));
	return json_pack("{s:I, s:f, s:f, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "live",
			 (json_int_t)live, "record_bytes", x->record_bytes, "call_ns", x->call_ns, "step_ns", steps,
			 "peers_ns", x->peers_ns, "edge_ns", x->edge_ns, "bytes_in", x->bytes_in, "bytes_out",
			 x->bytes_out, "cdr_bytes", x->cdr_bytes, "live_bytes", x->live_bytes, "refreshes",
			 x->refreshes, "tombstones", (json_int_t)x->tombstones, "calls", (json_int_t)x->calls, "cdrs",
			 (json_int_t)x->cdrs);
}

static void print_json(const struct settings *s, const struct machine *machine, const struct shard_result *results)
{
	const struct shard_run_settings *r = &s->run;
	json_t *rows = json_array();

	for (unsigned i = 0; i < s->rows; i++)
		json_array_append_new(rows, result_json(s->live[i], &results[i]));
	json_t *all = json_pack("{s:s, s:I, s:o, s:b, s:b, s:i, s:i, s:i, s:I, s:o}", "bench", "shard", "seed",
				(json_int_t)r->peer.seed, "machine", machine_json(machine), "timer", r->peer.timer,
				"sdp", r->peer.sdp, "batch", (int)r->batch, "rate", (int)r->rate, "rounds",
				(int)r->rounds, "calls", (json_int_t)r->calls, "rows", rows);

	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

/* ---- all of it ---- */

static int judge(const struct settings *s, const struct shard_result *results)
{
	uint64_t unexpected = 0, missing = 0;

	for (unsigned i = 0; i < s->rows; i++) {
		unexpected += results[i].unexpected;
		missing += results[i].calls != results[i].cdrs;
	}
	if (unexpected == 0 && missing == 0)
		return BENCH_DONE;
	fprintf(stderr, "rwbench: shard: %llu messages or CDRs were not as expected%s\n",
		(unsigned long long)unexpected, missing ? ", and the CDRs are not as many as the calls" : "");
	return BENCH_FAILED;
}

int bench_shard(int argc, char **argv)
{
	struct settings settings = settings_default;
	struct shard_result results[ROWS] = { 0 };
	struct machine machine;
	int r = read_options(argc, argv, &settings);

	if (r >= 0)
		return r;
	machine_read(&machine);
	r = 0;
	for (unsigned i = 0; r == 0 && i < settings.rows; i++) {
		settings.run.live = (uint32_t)settings.live[i];
		r = shard_measure(&settings.run, &results[i]);
		settings.run.show = false;
	}
	bench_progress_end();
	if (r < 0) {
		fprintf(stderr, "rwbench: shard: %s\n", strerror(-r));
		return BENCH_FAILED;
	}
	settings.json ? print_json(&settings, &machine, results) : print(&settings, &machine, results);
	return judge(&settings, results);
}
