/* rwbench pdd: what a switch adds from INVITE in to INVITE out.
 *
 * An INVITE's time is from the submission that sends it to the kernel's receive stamp at the callee's socket, by one
 * clock; the forwarder's is the part that no switch can avoid.  Both are measured in turns, so that what else happens
 * on the machine hits both alike, and compared round by round. */
#include "bench/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
	"Delay from INVITE in to INVITE out, of a switch and of a process that only forwards, in turns at the same "
	"rate.\n"
	"The forwarder listens on the port after the caller's and the callee's; with --floor it is measured alone.";

enum kind { FLOOR, SWITCH, KINDS };

enum { ROUNDS_MAX = 100 };

static const char *const kind_names[] = { [FLOOR] = "forwarder", [SWITCH] = "switch" };

struct pdd {
	struct load_options options;
	unsigned rounds;
	struct load_result result[KINDS]; /* of the latest round */
	struct spread delay[KINDS];       /* of all rounds */
	double p50_us[KINDS][ROUNDS_MAX], p99_us[KINDS][ROUNDS_MAX];
	uint64_t failed[KINDS], calls[KINDS];
	double us_per_call[KINDS][ROUNDS_MAX];
	json_t *about; /* the machine and the calls, from the latest session */
};

/* The one after the caller's and the callee's: at the target there may be a switch. */
static struct address forwarder_address(const struct load_options *o)
{
	const struct address *caller = &o->load.caller[0];
	struct address a = o->load.callee[0];

	a.port = (uint16_t)((caller->port > a.port ? caller->port : a.port) + 1);
	return a;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static enum kind last_kind(const struct pdd *p)
{
	return p->options.floor ? FLOOR : SWITCH;
}

/* What every output begins with: of the session that is at hand. */
static void tell(struct pdd *p, const struct session *s)
{
	bench_progress_end();
	if (p->options.json)
		p->about = session_json(s, "pdd");
	else
		session_print(s, "pdd");
}

static bool run_round(struct pdd *p, enum kind kind, unsigned round)
{
	struct load_options o = p->options;
	struct load_result *r = &p->result[kind];

	o.floor = kind == FLOOR;
	if (kind == FLOOR)
		o.load.target = forwarder_address(&o);
	struct session *s = session_open(&o);
	if (!s)
		return false;
	s->load.measure_invites = true;
	session_run(s, o.rate, o.rate, o.run_ns, r);
	if (kind == last_kind(p) && round + 1 == p->rounds)
		tell(p, s);
	session_close(s);
	spread_merge(&p->delay[kind], &r->invite_delay);
	p->p50_us[kind][round] = us(spread_quantile(&r->invite_delay, 0.5));
	p->p99_us[kind][round] = us(spread_quantile(&r->invite_delay, 0.99));
	p->us_per_call[kind][round] = result_us_per_call(r);
	p->failed[kind] += r->counts.failed;
	p->calls[kind] += r->counts.attempted;
	return true;
}

static bool run_rounds(struct pdd *p)
{
	for (unsigned round = 0; round < p->rounds; round++)
		for (unsigned turn = 0; turn < KINDS; turn++) {
			enum kind kind = (round + turn) % KINDS;

			if (!(kind == SWITCH && p->options.floor) && !run_round(p, kind, round))
				return false;
		}
	return true;
}

/* Of what the rounds' switch had more than their forwarder. */
static double added(const struct pdd *p, const double figure[KINDS][ROUNDS_MAX])
{
	double difference[ROUNDS_MAX];

	for (unsigned i = 0; i < p->rounds; i++)
		difference[i] = figure[SWITCH][i] - figure[FLOOR][i];
	return bench_median(difference, p->rounds);
}

static double median(const struct pdd *p, const double *figure)
{
	double copy[ROUNDS_MAX];

	memcpy(copy, figure, p->rounds * sizeof copy[0]);
	return bench_median(copy, p->rounds);
}

static void print(const struct pdd *p)
{
	printf("\nINVITE in to INVITE out at %g calls a second, %u round%s of %.1f s each, in turns; microseconds\n\n",
	       p->options.rate, p->rounds, p->rounds == 1 ? "" : "s", (double)p->options.run_ns / 1e9);
	printf("  %-12s %9s %9s %9s %9s %9s %9s %8s %10s\n", "", "count", "p50", "p90", "p99", "p99.9", "longest",
	       "failed", "us a call");
	for (enum kind k = FLOOR; k <= last_kind(p); k++) {
		const struct spread *s = &p->delay[k];

		printf("  %-12s %9llu %9.1f %9.1f %9.1f %9.1f %9.1f %8llu %10.2f\n", kind_names[k],
		       (unsigned long long)s->count, us(spread_quantile(s, 0.5)), us(spread_quantile(s, 0.9)),
		       us(spread_quantile(s, 0.99)), us(spread_quantile(s, 0.999)), us(s->max_ns),
		       (unsigned long long)p->failed[k], median(p, p->us_per_call[k]));
	}
	if (p->options.floor)
		return;
	printf("\n  the switch adds %.1f us in the median, %.1f us at 99 %% (medians of the rounds' differences)\n",
	       added(p, p->p50_us), added(p, p->p99_us));
	if (result_disturbed(&p->result[SWITCH]) > 0.05)
		printf("  OTHER PROGRAMS RAN ON THESE CORES for %.0f %% of the time: the figures say little\n",
		       100 * result_disturbed(&p->result[SWITCH]));
}

static json_t *rounds_json(const struct pdd *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->rounds; i++)
		json_array_append_new(list, json_pack("{s:f, s:f, s:f, s:f}", "floor_p50_us", p->p50_us[FLOOR][i],
						      "switch_p50_us", p->p50_us[SWITCH][i], "floor_p99_us",
						      p->p99_us[FLOOR][i], "switch_p99_us", p->p99_us[SWITCH][i]));
	return list;
}

static json_t *kind_json(const struct pdd *p, enum kind kind)
{
	return json_pack("{s:o, s:I, s:I, s:f, s:f}", "delay", spread_json(&p->delay[kind]), "calls",
			 (json_int_t)p->calls[kind], "failed", (json_int_t)p->failed[kind], "us_per_call",
			 median(p, p->us_per_call[kind]), "disturbed", result_disturbed(&p->result[kind]));
}

static void print_json(const struct pdd *p)
{
	json_t *all = p->about;

	json_object_update_new(all,
			       json_pack("{s:f, s:i, s:f, s:o}", "rate", p->options.rate, "rounds", (int)p->rounds,
					 "seconds", (double)p->options.run_ns / 1e9, "floor", kind_json(p, FLOOR)));
	if (!p->options.floor)
		json_object_update_new(all, json_pack("{s:o, s:f, s:f, s:o}", "switch_result", kind_json(p, SWITCH),
						      "added_p50_us", added(p, p->p50_us), "added_p99_us",
						      added(p, p->p99_us), "by_round", rounds_json(p)));
	session_print_json(all);
}

static int measure(struct pdd *p)
{
	bool done = run_rounds(p);

	bench_progress_end();
	if (!done)
		return BENCH_FAILED;
	p->options.json ? print_json(p) : print(p);
	return p->failed[FLOOR] + p->failed[SWITCH] == 0 ? BENCH_DONE : BENCH_FAILED;
}

static void make_small(struct load_options *o)
{
	o->run_ns = BENCH_SECOND_NS / 2;
	o->rounds = 2;
	o->load.calls_max = 1000;
}

int bench_pdd(int argc, char **argv)
{
	struct pdd *p = calloc(1, sizeof *p);

	if (!p)
		return BENCH_FAILED;
	load_options_init(&p->options);
	p->options.rate = 50;
	p->options.rounds = 5;
	int status = load_options_read(argc, argv, FOR_PDD, text, &p->options);
	if (status < 0) {
		if (p->options.smoke)
			make_small(&p->options);
		p->rounds = (unsigned)p->options.rounds;
		status = measure(p);
	}
	free(p);
	return status;
}
