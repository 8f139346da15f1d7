/* rwbench overload: see the header. */
#include "bench/overload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/burden.h"
#include "bench/control.h"

static const char text[] =
	"Offers a SIP switch more calls than it carries, both ends here, beside calls that are kept up with session "
	"timers.\n"
	"Finds the highest rate without failure first; reports what of it is still completed at several times that.";

enum { KEEP_RATE = 500, BYES_PER_TURN = 64, UP_TIMES_T1 = 20, POLL_MS = 250, BRING_UP_ROUNDS = 4 };

/* ---- refreshes of the calls kept up ---- */

static void refreshed(void *context, struct load_call *c, bool callee, uint64_t at_ns, const struct load_message *m)
{
	struct overload *o = context;
	struct load *l = &o->session->load;
	uint32_t tick = load_tick(l, at_ns);
	uint64_t segment_ns = (uint64_t)l->settings.session_expires_s * BENCH_SECOND_NS / o->session->options.segments;
	uint64_t gap_ns = tick > c->confirmed[callee] ? (tick - c->confirmed[callee]) * LOAD_TICK_NS : 0;

	(void)m;
	if (!o->now || c->plan != PLAN_KEEP || c->caller != CALLER_ANSWERED)
		return;
	if (gap_ns < segment_ns / 2) {
		o->now->refreshes_again++;
		return;
	}
	o->now->refreshes[callee]++;
	c->confirmed[callee] = load_tick(l, l->now_ns);
}

/* ---- the calls kept up ---- */

static void turn_until(struct overload *o, uint64_t until_ns)
{
	while (bench_wall_ns() < until_ns)
		load_turn(&o->session->load, until_ns);
}

static uint64_t count_kept(const struct load *l)
{
	uint64_t kept = 0;

	for (uint32_t slot = 0; slot < l->used; slot++)
		kept += l->call[slot].plan == PLAN_KEEP && l->call[slot].caller == CALLER_ANSWERED;
	return kept;
}

/* So many more attempts, until each has its answer. */
static void place(struct overload *o, uint64_t count)
{
	const struct load_options *options = &o->session->options;
	struct load *l = &o->session->load;
	uint64_t wait_ns = UP_TIMES_T1 * options->load.t1_ns + options->load.ring_ns + options->load.answer_ns;

	l->starts_max = l->counts.attempted + count;
	load_set_rate(l, o->capacity / 2 < KEEP_RATE ? o->capacity / 2 : KEEP_RATE);
	while (l->counts.attempted < l->starts_max)
		load_turn(l, bench_wall_ns() + BENCH_SECOND_NS / 10);
	for (uint64_t end_ns = bench_wall_ns() + wait_ns; bench_wall_ns() < end_ns;) {
		if (l->counts.confirmed + l->counts.failed >= l->counts.attempted)
			break;
		load_turn(l, end_ns);
	}
	load_set_rate(l, 0);
	o->kept = count_kept(l);
}

/* On a busy machine a worker may stand for half a second, and shed what has waited for it: that is placed again. */
static bool bring_up(struct overload *o)
{
	const struct load_options *options = &o->session->options;
	struct load *l = &o->session->load;

	load_reset_counts(l);
	l->keep = true;
	o->kept = 0;
	for (unsigned i = 0; i < BRING_UP_ROUNDS && o->kept < options->calls; i++)
		place(o, options->calls - o->kept);
	l->keep = false;
	l->starts_max = UINT64_MAX;
	if (o->kept == options->calls)
		return true;
	fprintf(stderr, "rwbench: only %llu of %llu calls came up to be kept\n", (unsigned long long)o->kept,
		(unsigned long long)options->calls);
	return false;
}

/* ---- the switch's own word ---- */

static uint64_t figure(const json_t *stats, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(stats, name));
}

static json_t *ask(const struct overload *o)
{
	return o->has_stats ? control_ask(o->session->options.stats, "stats") : NULL;
}

static bool no_other_calls(const json_t *stats, uint64_t kept)
{
	return figure(stats, "calls_setup") == 0 && figure(stats, "calls_active") <= kept;
}

static bool ends_with(const char *name, const char *end)
{
	size_t size = strlen(name), end_size = strlen(end);

	return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

static bool nothing_left(const json_t *stats, uint64_t kept)
{
	const char *name;
	json_t *value;

	(void)kept;
	json_object_foreach((json_t *)stats, name, value)
	{
		bool gauge = strcmp(name, "timers_armed") == 0 || strcmp(name, "calls_active") == 0 ||
			     strcmp(name, "calls_setup") == 0 ||
			     (strncmp(name, "pool_", 5) == 0 && ends_with(name, "_used"));

		if (gauge && json_integer_value(value) > 0)
			return false;
	}
	return true;
}

/* Turns on until the switch says so; how long after from_ns that was, < 0: not within `most_ns`, or it is not asked. */
static double wait_for(struct overload *o, bool (*is)(const json_t *stats, uint64_t kept), uint64_t kept,
		       uint64_t from_ns, uint64_t most_ns)
{
	while (o->has_stats && bench_wall_ns() < from_ns + most_ns) {
		turn_until(o, bench_wall_ns() + POLL_MS * BENCH_SECOND_NS / 1000);
		json_t *stats = ask(o);
		bool reached = stats && is(stats, kept);
		json_decref(stats);
		if (reached)
			return (double)(bench_wall_ns() - from_ns) / 1e9;
	}
	return -1;
}

/* ---- a rate ---- */

struct mark {
	uint64_t at_ns, own_cpu_ns, own_wait_ns, stolen_ns;
	struct process_usage usage;
};

static void mark(const struct overload *o, struct mark *ret_mark)
{
	struct process_usage own;

	ret_mark->at_ns = bench_wall_ns();
	ret_mark->own_cpu_ns = bench_cpu_ns();
	ret_mark->own_wait_ns = process_read(getpid(), &own) && own.threads > 0 ? own.thread[0].wait_ns : 0;
	ret_mark->stolen_ns = machine_stolen_ns();
	memset(&ret_mark->usage, 0, sizeof ret_mark->usage);
	if (o->session->pid > 0)
		process_read(o->session->pid, &ret_mark->usage);
}

static void take_result(const struct overload *o, struct overload_step *p, const struct mark *begin)
{
	const struct load *l = &o->session->load;
	struct load_result *r = &p->result;
	struct mark *end = malloc(sizeof *end);

	if (!end)
		return;
	mark(o, end);
	r->run_ns = end->at_ns - begin->at_ns;
	r->counts = l->counts;
	r->late = l->late;
	r->ringing_delay = l->ringing_delay;
	r->own_cpu_ns = end->own_cpu_ns - begin->own_cpu_ns;
	r->own_wait_ns = end->own_wait_ns - begin->own_wait_ns;
	r->stolen_ns = end->stolen_ns - begin->stolen_ns;
	r->has_switch = o->session->pid > 0;
	if (r->has_switch)
		process_difference(&begin->usage, &end->usage, &r->running);
	free(end);
}

/* A second of it. */
static void run_second(struct overload *o, struct overload_step *p, uint64_t until_ns)
{
	struct load *l = &o->session->load;
	uint64_t completed = l->counts.completed, failed = l->counts.failed, begin_ns = bench_wall_ns();

	turn_until(o, until_ns);
	double rate = (double)(l->counts.completed - completed) * 1e9 / (double)(bench_wall_ns() - begin_ns);
	if (rate < p->worst)
		p->worst = rate;
	json_t *stats = ask(o);
	double age_ms = (double)figure(stats, "queue_age_us") / 1000;
	json_decref(stats);
	if (age_ms > p->queue_age_ms)
		p->queue_age_ms = age_ms;
	bench_progress("%.1f times: %.0f calls/s completed, %.0f failed, %u up, queue %.0f ms", p->times, rate,
		       (double)(l->counts.failed - failed) * 1e9 / (double)(bench_wall_ns() - begin_ns), l->active,
		       age_ms);
}

static void run_step(struct overload *o, struct overload_step *p)
{
	struct load *l = &o->session->load;
	struct mark *begin = malloc(sizeof *begin);
	json_t *before = ask(o);

	if (!begin)
		return;
	o->now = p;
	p->worst = 1e9;
	p->result.rate = p->times * o->capacity;
	load_reset_counts(l);
	mark(o, begin);
	load_set_rate(l, p->result.rate);
	for (uint64_t at_ns = begin->at_ns, end_ns = at_ns + o->session->options.run_ns; at_ns < end_ns;) {
		at_ns = at_ns + BENCH_SECOND_NS < end_ns ? at_ns + BENCH_SECOND_NS : end_ns;
		run_second(o, p, at_ns);
	}
	load_set_rate(l, 0);
	p->completed = l->counts.completed;
	take_result(o, p, begin);
	uint64_t end_ns = bench_wall_ns();
	p->calm_s = wait_for(o, no_other_calls, o->kept, end_ns, OVERLOAD_CALM_NS);
	turn_until(o, end_ns + 3 * BENCH_SECOND_NS);
	p->lost = o->kept - count_kept(l);
	p->bye_delay = l->bye_delay;
	p->byes_prompt = l->counts.byes_prompt;
	json_t *after = ask(o);
	p->refused = figure(after, "invites_rejected_overload") - figure(before, "invites_rejected_overload");
	p->dropped = figure(after, "invites_dropped_overload") - figure(before, "invites_dropped_overload");
	p->kernel = figure(after, "invites_dropped_kernel") - figure(before, "invites_dropped_kernel");
	p->overflowed = figure(after, "queue_drops") - figure(before, "queue_drops");
	json_decref(before);
	json_decref(after);
	o->now = NULL;
	free(begin);
}

/* ---- the end ---- */

static void hang_up(struct overload *o)
{
	struct load *l = &o->session->load;

	for (uint32_t slot = 0; slot < l->used; slot++) {
		if (l->call[slot].plan != PLAN_KEEP || l->call[slot].caller != CALLER_ANSWERED)
			continue;
		load_caller_bye(l, slot);
		if (++o->kept_ended % BYES_PER_TURN == 0)
			load_turn(l, bench_wall_ns() + BENCH_SECOND_NS / 100);
	}
}

static void end(struct overload *o, uint64_t load_end_ns)
{
	hang_up(o);
	uint64_t ended_ns = bench_wall_ns();
	o->gone_s = wait_for(o, no_other_calls, 0, ended_ns, OVERLOAD_CALM_NS);
	if (!o->session->options.smoke) /* tombstones last for 64*T1 */
		o->empty_s = wait_for(o, nothing_left, 0, load_end_ns, OVERLOAD_EMPTY_NS);
}

/* ---- judging ---- */

double overload_goodput(const struct overload *o, const struct overload_step *p)
{
	return o->capacity > 0 ? (double)p->completed * 1e9 / (double)p->result.run_ns / o->capacity : 0;
}

/* Spec 11: 90 % at 1.3 times the capacity, 60 % at 3 times; in a line between them and no further. */
double overload_wanted(double times)
{
	return times <= 1.3 ? 0.9 : times >= 3 ? 0.6 : 0.9 - (times - 1.3) / (3 - 1.3) * 0.3;
}

bool overload_step_good(const struct overload *o, const struct overload_step *p)
{
	return overload_goodput(o, p) >= overload_wanted(p->times) && p->lost == 0 && (!o->has_stats || p->calm_s >= 0);
}

static bool is_good(const struct overload *o)
{
	bool good = o->kept == o->session->options.calls && (!o->has_stats || (o->gone_s >= 0 && o->empty_s >= 0));

	for (unsigned i = 0; i < o->steps; i++)
		good = good && (o->session->options.smoke || overload_step_good(o, &o->step[i]));
	return good;
}

/* ---- all of it ---- */

static bool find_capacity(struct overload *o)
{
	struct load_options *options = &o->session->options;
	uint64_t run_ns = options->run_ns;

	options->run_ns = options->find_ns;
	o->capacity = session_find(o->session, options->rate, &o->found);
	options->run_ns = run_ns;
	if (o->capacity > 0)
		return true;
	fprintf(stderr, "rwbench: no rate without failure: not even %.0f calls a second\n", options->rate);
	return false;
}

static int measure(struct overload *o)
{
	const struct load_options *options = &o->session->options;
	uint64_t end_ns = 0;

	o->has_stats = options->stats != NULL;
	if (!find_capacity(o))
		return BENCH_FAILED;
	o->session->load.refresh = refreshed;
	o->session->load.refresh_context = o;
	bool up = bring_up(o);
	for (unsigned i = 0; up && i < options->rates_count; i++) {
		o->step[i].times = options->rates[i];
		o->steps++;
		run_step(o, &o->step[i]);
		end_ns = bench_wall_ns();
	}
	if (up)
		end(o, end_ns);
	bench_progress_end();
	options->json ? session_print_json(overload_json(o)) : overload_print(o);
	return up && is_good(o) ? BENCH_DONE : BENCH_FAILED;
}

static void make_small(struct load_options *o)
{
	o->calls = 20;
	o->rate = 100;
	o->find_max = 200;
	o->find_step = 50;
	o->find_ns = BENCH_SECOND_NS / 2;
	o->run_ns = BENCH_SECOND_NS;
	o->load.calls_max = 10000;
	o->load.session_expires_s = 2;
}

static void take_defaults(struct load_options *o)
{
	load_options_init(o);
	o->calls = 1000;
	o->run_ns = 30 * BENCH_SECOND_NS;
	o->find_ns = 10 * BENCH_SECOND_NS;
	o->find_step = 5;
	o->load.timer = true;
	o->load.session_expires_s = 20;
	o->load.calls_max = 200000;
}

static int run(struct load_options *options)
{
	struct overload *o = calloc(1, sizeof *o);
	int status = BENCH_FAILED;

	if (!o)
		return status;
	if (options->burden > 0)
		o->burden = burden_start(options->switch_cpu, (unsigned)options->burden);
	o->session = session_open(options);
	if (o->session) {
		status = measure(o);
		session_close(o->session);
	}
	burden_stop(o->burden);
	free(o);
	return status;
}

int bench_overload(int argc, char **argv)
{
	struct load_options options;

	take_defaults(&options);
	int status = load_options_read(argc, argv, FOR_OVERLOAD, text, &options);
	if (status >= 0)
		return status;
	if (options.smoke && !options.switch_path) {
		fputs("rwbench: overload --smoke needs --switch: a forwarder refuses nothing\n", stderr);
		return BENCH_USAGE;
	}
	if (options.smoke)
		make_small(&options);
	if (options.rates_count == 0) {
		options.rates[0] = 1.3;
		options.rates[1] = 3;
		options.rates_count = 2;
	}
	return run(&options);
}
