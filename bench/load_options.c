/* The options of the measurements that make calls: see the header. */
#include "bench/load_options.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { FLAG, UNSET, TEXT, NUMBER, NUMBER32, REAL, REALS, MILLISECONDS, SECONDS, ADDRESS, ADDRESSES, CORE, PREFIX };

struct row {
	const char *name;
	enum kind kind;
	size_t at; /* in struct load_options */
	double min, max;
	unsigned benches;
	const char *argument, *text;
};

#define AT(field)       offsetof(struct load_options, field)
#define BIG             1e15
#define PERCENT         0, 100
#define FOR_CALLS       (FOR_CPS | FOR_HOLD | FOR_PDD | FOR_OVERLOAD | FOR_FLOOD)
#define FOR_MOST        (FOR_CPS | FOR_PDD | FOR_LIMIT)
#define NANOSECONDS_MAX 1e6 /* seconds */

static const struct row rows[] = {
	{ "target", ADDRESS, AT(load.target), 0, 0, FOR_ALL, "HOST:PORT",
	  "the switch, or where the forwarder listens" },
	{ "local", ADDRESSES, AT(load.caller), 0, 0, FOR_ALL, "HOST:PORT,...", "the caller's end" },
	{ "callee", ADDRESSES, AT(load.callee), 0, 0, FOR_ALL, "HOST:PORT,...",
	  "the callee's end: what the switch "
	  "routes to" },
	{ "prefix", PREFIX, AT(load.prefix), 0, 0, FOR_ALL, "DIGITS",
	  "of the number dialled, before the twelve digits "
	  "that name the call" },
	{ "pid", NUMBER, AT(pid), 1, BIG, FOR_CALLS, "PID", "of the switch: its CPU time and memory are shown" },
	{ "switch", TEXT, AT(switch_path), 0, 0, FOR_CALLS, "PATH",
	  "start this ringwheel at the target, with a "
	  "configuration of our own" },
	{ "workers", NUMBER32, AT(workers), 1, 64, FOR_CALLS, "N", "of the switch that is started, on as many cores" },
	{ "floor", FLAG, AT(floor), 0, 0, FOR_CPS | FOR_PDD, NULL, "a forwarder in place of a switch" },
	{ "cpu", CORE, AT(cpu), 0, 0, FOR_ALL, "N", "core of this program (the last one)" },
	{ "switch-cpu", CORE, AT(switch_cpu), 0, 0, FOR_ALL, "N",
	  "core of the forwarder, or of the switch that is "
	  "started (the first one)" },
	{ "rate", REAL, AT(rate), 0.1, 1e6, FOR_CALLS, "N", "calls started a second" },
	{ "rates", REALS, AT(rates), 0.1, 1e6, FOR_LIMIT, "N,...", "calls a second to measure at" },
	{ "ramp", REAL, AT(ramp_to), 0.1, 1e6, FOR_CPS, "N", "from --rate up to this rate, step by step each second" },
	{ "find", FLAG, AT(find), 0, 0, FOR_CPS, NULL, "the highest rate without failure, from --rate up" },
	{ "times", REALS, AT(rates), 0.1, 100, FOR_OVERLOAD, "N,...", "of the capacity to offer (1.3,3)" },
	{ "live", NUMBER, AT(calls), 1, 1000000, FOR_OVERLOAD, "N", "calls kept up meanwhile, with session timers" },
	{ "burden", NUMBER, AT(burden), 0, 90, FOR_OVERLOAD, "PERCENT",
	  "of the switch's core that another process takes: "
	  "for a generator that has not three times its capacity" },
	{ "find-time", SECONDS, AT(find_ns), 0.1, NANOSECONDS_MAX, FOR_OVERLOAD, "SECONDS",
	  "of one step of finding the "
	  "capacity" },
	{ "find-max", REAL, AT(find_max), 1, 1e6, FOR_CPS | FOR_LIMIT | FOR_OVERLOAD, "N", "no higher than this" },
	{ "find-step", REAL, AT(find_step), 0.1, 50, FOR_CPS | FOR_LIMIT | FOR_OVERLOAD, "PERCENT",
	  "how near to find it" },
	{ "resent-max", REAL, AT(resent_max), PERCENT, FOR_CPS | FOR_LIMIT | FOR_OVERLOAD, "PERCENT",
	  "calls that may need a "
	  "retransmission when finding" },
	{ "time", SECONDS, AT(run_ns), 0.1, NANOSECONDS_MAX, FOR_ALL, "SECONDS", "of starting calls; of one step" },
	{ "calls", NUMBER, AT(calls), 1, LOAD_SLOTS_MAX / 2, FOR_CPS | FOR_HOLD, "N", "to start at all" },
	{ "calls-max", NUMBER32, AT(load.calls_max), 1, LOAD_SLOTS_MAX / 2,
	  FOR_CPS | FOR_PDD | FOR_OVERLOAD | FOR_FLOOD, "N", "up at a time" },
	{ "ring", MILLISECONDS, AT(load.ring_ns), 0, NANOSECONDS_MAX, FOR_CALLS, "MS", "INVITE to 180" },
	{ "answer", MILLISECONDS, AT(load.answer_ns), 0, NANOSECONDS_MAX, FOR_CALLS, "MS", "180 to 200, or to CANCEL" },
	{ "hold", MILLISECONDS, AT(load.hold_ns), 0, NANOSECONDS_MAX, FOR_CPS | FOR_PDD | FOR_OVERLOAD | FOR_FLOOD,
	  "MS", "200 to BYE" },
	{ "ring-out", MILLISECONDS, AT(load.ring_out_ns), 0, NANOSECONDS_MAX, FOR_CPS, "MS",
	  "180 to 480, when nobody "
	  "answers" },
	{ "failed", REAL, AT(load.failed), PERCENT, FOR_CPS, "PERCENT", "calls that the callee refuses (486)" },
	{ "cancelled", REAL, AT(load.cancelled), PERCENT, FOR_CPS, "PERCENT", "calls that the caller cancels" },
	{ "unanswered", REAL, AT(load.unanswered), PERCENT, FOR_CPS, "PERCENT", "calls that ring out" },
	{ "timer", FLAG, AT(load.timer), 0, 0, FOR_CPS | FOR_PDD | FOR_FLOOD, NULL,
	  "both ends support session timers" },
	{ "session-expires", NUMBER32, AT(load.session_expires_s), 1, 86400, FOR_CALLS, "SECONDS", "asked for" },
	{ "no-sdp", FLAG, AT(load.no_sdp), 0, 0, FOR_CALLS, NULL, "no session descriptions" },
	{ "reinvite", FLAG, AT(load.no_update), 0, 0, FOR_CALLS, NULL, "ends do not take UPDATE: re-INVITE refreshes" },
	{ "rounds", NUMBER, AT(rounds), 1, 100, FOR_PDD, "N", "each of the forwarder and of the switch" },
	{ "segments", NUMBER32, AT(segments), 2, 10, FOR_HOLD, "N",
	  "of the session interval: refreshes are due at their ends" },
	{ "flood", REAL, AT(flood), 1, 1e6, FOR_FLOOD, "N", "datagrams of strangers a second" },
	{ "garbage", FLAG, AT(garbage), 0, 0, FOR_FLOOD, NULL,
	  "only what is no SIP: with --strangers it may come from a gateway's address" },
	{ "strangers", ADDRESSES, AT(stranger), 0, 0, FOR_FLOOD, "HOST:PORT,...",
	  "where they come from (16 addresses of 127.90.0.0/24)" },
	{ "end", REAL, AT(end_rate), 0.1, 1e6, FOR_HOLD, "RATE", "end the calls with BYE, so many a second" },
	{ "stats", TEXT, AT(stats), 0, 0, FOR_HOLD | FOR_OVERLOAD | FOR_FLOOD, "SOCKET",
	  "Ringwheel's control socket: its own lateness is shown" },
	{ "t1", MILLISECONDS, AT(load.t1_ns), 0.01, 10, FOR_CALLS, "MS", "first retransmission" },
	{ "seed", NUMBER, AT(load.seed), 0, BIG, FOR_ALL, "N", "of all random numbers" },
	{ "plot", TEXT, AT(plot), 0, 0, FOR_CPS | FOR_HOLD, "FILE.svg", "draw it, with gnuplot" },
	{ "json", FLAG, AT(json), 0, 0, FOR_ALL, NULL, "one object, for programs" },
	{ "smoke", FLAG, AT(smoke), 0, 0, FOR_ALL, NULL,
	  "everything small, in a second or two, with a forwarder if "
	  "there is no --switch" },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static void help(FILE *out, const char *name, enum load_bench bench, const char *text)
{
	fprintf(out, "usage: rwbench %s [OPTIONS]\n\n%s\n\n", name, text);
	for (unsigned i = 0; i < ROWS; i++) {
		char option[64];

		if (!(rows[i].benches & bench))
			continue;
		snprintf(option, sizeof option, "--%s %s", rows[i].name, rows[i].argument ? rows[i].argument : "");
		fprintf(out, "  %-28s %s\n", option, rows[i].text);
	}
	fputs("\nExit status: 0; 1 if calls failed, or it could not be measured; 2 wrong usage.\n", out);
}

static bool refuse(const struct row *row, const char *text, const char *wanted)
{
	fprintf(stderr, "rwbench: --%s: %s, not \"%s\"\n", row->name, wanted, text);
	return false;
}

static bool read_real(const struct row *row, const char *text, double *ret_value)
{
	char *end, wanted[80];

	errno = 0;
	*ret_value = strtod(text, &end);
	if (end != text && *end == '\0' && errno == 0 && *ret_value >= row->min && *ret_value <= row->max)
		return true;
	snprintf(wanted, sizeof wanted, "a number from %g to %g", row->min, row->max);
	return refuse(row, text, wanted);
}

/* MILLISECONDS has its limits in seconds, as SECONDS. */
static bool read_time(const struct row *row, const char *text, double unit_ns, uint64_t *ret_ns)
{
	struct row limits = *row;
	double value;

	limits.min = row->min * 1e9 / unit_ns;
	limits.max = row->max * 1e9 / unit_ns;
	if (!read_real(&limits, text, &value))
		return false;
	*ret_ns = (uint64_t)(value * unit_ns);
	return true;
}

static bool read_reals(const struct row *row, const char *text, struct load_options *o)
{
	char copy[256], *rest = copy, *one;

	snprintf(copy, sizeof copy, "%s", text);
	o->rates_count = 0;
	while ((one = strsep(&rest, ",")))
		if (o->rates_count == LOAD_RATES_MAX || !read_real(row, one, &o->rates[o->rates_count++]))
			return false;
	return true;
}

static bool read_address(const struct row *row, const char *text, struct address *ret_address)
{
	return bench_address(bytes_of(text), 5060, ret_address) || refuse(row, text, "an IP address with port");
}

static bool read_addresses(const struct row *row, const char *text, struct address *ret_list, unsigned *ret_count)
{
	char copy[512], *rest = copy, *one;

	snprintf(copy, sizeof copy, "%s", text);
	*ret_count = 0;
	while ((one = strsep(&rest, ","))) {
		if (*ret_count == LOAD_LOCAL_MAX)
			return refuse(row, text, "no more than 16 addresses");
		if (!read_address(row, one, &ret_list[(*ret_count)++]))
			return false;
	}
	return true;
}

static bool read_core(const struct row *row, const char *text, int *ret_cpu)
{
	uint64_t cpu;
	cpu_set_t allowed;

	if (!bench_number(row->name, text, 0, CPU_SETSIZE - 1, &cpu))
		return false;
	*ret_cpu = (int)cpu;
	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_ISSET(cpu, &allowed))
		return true;
	return refuse(row, text, "a core that this process may use");
}

static bool read_prefix(const struct row *row, const char *text, char prefix[static 16])
{
	size_t size = strlen(text);

	if (size > 15 || strspn(text, "0123456789+") != size)
		return refuse(row, text, "at most 15 digits");
	memcpy(prefix, text, size + 1);
	return true;
}

static unsigned *count_of(struct load_options *o, const void *list)
{
	return list == o->load.caller   ? &o->load.caller_count
	       : list == o->load.callee ? &o->load.callee_count
					: &o->stranger_count;
}

static bool read_row(const struct row *row, const char *text, struct load_options *o)
{
	void *at = (char *)o + row->at;
	uint64_t number;

	switch (row->kind) {
	case FLAG:
		*(bool *)at = true;
		return true;
	case UNSET:
		*(bool *)at = false;
		return true;
	case TEXT:
		*(const char **)at = text;
		return true;
	case NUMBER:
		return bench_number(row->name, text, (uint64_t)row->min, (uint64_t)row->max, at);
	case NUMBER32:
		if (!bench_number(row->name, text, (uint64_t)row->min, (uint64_t)row->max, &number))
			return false;
		*(uint32_t *)at = (uint32_t)number;
		return true;
	case REAL:
		return read_real(row, text, at);
	case REALS:
		return read_reals(row, text, o);
	case MILLISECONDS:
		return read_time(row, text, 1e6, at);
	case SECONDS:
		return read_time(row, text, 1e9, at);
	case ADDRESS:
		return read_address(row, text, at);
	case ADDRESSES:
		return read_addresses(row, text, at, count_of(o, at));
	case CORE:
		return read_core(row, text, at);
	case PREFIX:
		return read_prefix(row, text, at);
	}
	return false;
}

static const struct row *find(const char *argument, enum load_bench bench)
{
	for (unsigned i = 0; i < ROWS; i++)
		if ((rows[i].benches & bench) && strcmp(argument, rows[i].name) == 0)
			return &rows[i];
	return NULL;
}

static bool refuse_argument(const char *name, const char *argument)
{
	fprintf(stderr, "rwbench %s: \"%s\" is no option; --help lists them\n", name, argument);
	return false;
}

static bool read_all(int argc, char **argv, enum load_bench bench, struct load_options *o)
{
	for (int i = 1; i < argc; i++) {
		const struct row *row = strncmp(argv[i], "--", 2) == 0 ? find(argv[i] + 2, bench) : NULL;
		const char *text = NULL;

		if (!row)
			return refuse_argument(argv[0], argv[i]);
		if (row->argument && !(text = argv[++i])) {
			fprintf(stderr, "rwbench %s: --%s %s\n", argv[0], row->name, row->argument);
			return false;
		}
		if (!read_row(row, text, o))
			return false;
	}
	return true;
}

/* Smoke tests of several builds at a time must not meet: each process has a loopback address of its own. */
static void keep_apart(struct load_settings *s)
{
	unsigned pid = (unsigned)getpid();
	struct address *all[] = { &s->target, &s->caller[0], &s->callee[0] };

	for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
		memcpy(all[i]->ip, (uint8_t[]){ 127, (uint8_t)(1 + (pid >> 16)), (uint8_t)(pid >> 8), (uint8_t)pid },
		       4);
}

int load_options_read(int argc, char **argv, enum load_bench bench, const char *text, struct load_options *options)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0)
			continue;
		help(stdout, argv[0], bench, text);
		return BENCH_DONE;
	}
	if (!read_all(argc, argv, bench, options))
		return BENCH_USAGE;
	const struct load_settings *s = &options->load;
	if (options->smoke)
		keep_apart(&options->load);
	if (s->failed + s->cancelled + s->unanswered > 100) {
		fputs("rwbench: --failed, --cancelled and --unanswered are together more than all calls\n", stderr);
		return BENCH_USAGE;
	}
	return -1;
}

static struct address local(uint16_t port)
{
	struct address a;

	bench_address(BYTES("127.0.0.1"), port, &a);
	return a;
}

void load_options_init(struct load_options *o)
{
	cpu_set_t allowed;

	*o = (struct load_options){
		.load = {
			.target = local(5060),
			.caller = { local(5070) },
			.callee = { local(5080) },
			.caller_count = 1,
			.callee_count = 1,
			.prefix = "880",
			.ring_out_ns = 2 * BENCH_SECOND_NS,
			.t1_ns = BENCH_SECOND_NS / 2,
			.session_expires_s = 600,
			.calls_max = 1000000,
			.seed = 1,
		},
		.cpu = -1,
		.switch_cpu = -1,
		.rate = 1000,
		.run_ns = 10 * BENCH_SECOND_NS,
		.find_max = 200000,
		.find_step = 2,
		.resent_max = 0.01,
		.rounds = 1,
		.segments = 2,
		.workers = 1,
		.flood = 50000,
		.stranger_count = LOAD_LOCAL_MAX,
	};
	for (unsigned i = 0; i < LOAD_LOCAL_MAX; i++)
		o->stranger[i] = (struct address){ .family = 4, .ip = { 127, 90, 0, (uint8_t)(1 + i) } };
	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) < 2)
		return;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET((unsigned)i, &allowed))
			continue;
		if (o->switch_cpu < 0)
			o->switch_cpu = i;
		o->cpu = i;
	}
}
