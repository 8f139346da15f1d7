/* A measurement with calls: see the header. */
#include "bench/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/forwarder.h"

enum {
	DRAIN_TIMES_T1 = 70,
	LOOKING_TIMES_T1 = 5,
	FIND_TRIES = 2, /* a machine that stood still for a moment is no limit of a switch */
};

#define SETTLE_NS     (BENCH_SECOND_NS / 3) /* records of the last calls are still being written */
#define SETTLE_BAD_NS (3 * BENCH_SECOND_NS)

/* ---- open and close ---- */

static bool start_forwarder(struct session *s)
{
	struct forwarder_settings settings = {
		.listen = s->options.load.target,
		.caller = s->options.load.caller[0],
		.callee = s->options.load.callee[0],
		.cpu = s->options.switch_cpu,
	};
	pid_t pid = forwarder_start(&settings);

	if (pid < 0) {
		fprintf(stderr, "rwbench: the forwarder does not start: %s\n", strerror(-pid));
		return false;
	}
	s->pid = pid;
	s->forwarder = s->ours = true;
	s->switch_name = "forwarder";
	s->options.load.outbound = true;
	return true;
}

static bool start_own(struct session *s)
{
	const struct load_settings *l = &s->options.load;
	struct launch_settings settings = {
		.path = s->options.switch_path,
		.listen = l->target,
		.caller = l->caller,
		.callee = l->callee,
		.caller_count = l->caller_count,
		.callee_count = l->callee_count,
		.workers = s->options.workers,
		.calls_max = l->calls_max,
		.session_ttl_s = l->session_expires_s,
		.cpu = s->options.switch_cpu,
	};
	char error[256] = "";

	if (launch_start(&settings, &s->launch, error) < 0) {
		fprintf(stderr, "rwbench: %s\n", error);
		return false;
	}
	s->pid = s->launch.pid;
	s->ours = true;
	s->switch_name = "ringwheel";
	snprintf(s->stats, sizeof s->stats, "%s/data/ringwheel.sock", s->launch.directory);
	if (!s->options.stats)
		s->options.stats = s->stats;
	return true;
}

static bool start_switch(struct session *s)
{
	if (s->options.floor)
		return start_forwarder(s);
	if (s->options.switch_path)
		return start_own(s);
	s->pid = (pid_t)s->options.pid;
	s->switch_name = "switch";
	return true;
}

struct session *session_open(const struct load_options *options)
{
	struct session *s = calloc(1, sizeof *s);
	char error[256];

	if (!s)
		return NULL;
	s->options = *options;
	machine_read(&s->machine);
	if (options->plot && !plot_possible()) {
		free(s);
		return NULL;
	}
	if (!start_switch(s)) {
		free(s);
		return NULL;
	}
	if (s->options.cpu >= 0 && !process_pin(0, s->options.cpu))
		fprintf(stderr, "rwbench: cannot be pinned to core %d\n", s->options.cpu);
	if (load_open(&s->load, &s->options.load, error) < 0) {
		fprintf(stderr, "rwbench: %s\n", error);
		session_close(s);
		return NULL;
	}
	return s;
}

void session_close(struct session *s)
{
	if (s->load.call)
		load_close(&s->load);
	if (s->forwarder)
		forwarder_stop(s->pid);
	launch_stop(&s->launch);
	free(s->sample);
	free(s);
}

/* ---- a run ---- */

struct second {
	uint64_t at_ns, own_cpu_ns;
	struct load_counts counts;
	struct spread ringing;
	struct process_usage usage;
};

static void look(struct session *s, struct second *ret_second)
{
	ret_second->at_ns = bench_wall_ns();
	ret_second->own_cpu_ns = bench_cpu_ns();
	ret_second->counts = s->load.counts;
	ret_second->ringing = s->load.ringing_delay;
	if (s->pid > 0)
		process_read(s->pid, &ret_second->usage);
}

struct sample *session_add_sample(struct session *s, double at_s)
{
	struct sample *one;

	if (s->samples == s->samples_room) {
		size_t room = s->samples_room > 0 ? 2 * s->samples_room : 64;
		struct sample *more = realloc(s->sample, room * sizeof *more);

		if (!more)
			return NULL;
		s->sample = more;
		s->samples_room = room;
	}
	one = &s->sample[s->samples++];
	*one = (struct sample){ .at_s = at_s };
	return one;
}

static void show(const struct session *s, const struct sample *now, const struct load *l)
{
	bench_progress(
		"%s: %5.1f s  %.0f calls/s (%.0f wanted)  %llu up  failed %llu  sent again %llu  started %.1f ms "
		"late  busy: we %.0f %%, %s %.0f %%",
		s->looking ? "finding" : "running", now->at_s, now->reached, now->rate, (unsigned long long)now->active,
		(unsigned long long)now->failed, (unsigned long long)now->resent, (double)l->late.max_ns / 1e6,
		100 * now->own_busy, s->switch_name, 100 * now->switch_busy);
}

static void take_sample(struct session *s, const struct second *before, const struct second *after, double at_s)
{
	double seconds = (double)(after->at_ns - before->at_ns) / 1e9;
	struct sample *now = session_add_sample(s, at_s);
	struct spread ringing = after->ringing;
	struct process_usage used;

	if (!now)
		return;
	spread_subtract(&ringing, &before->ringing);
	*now = (struct sample){
		.at_s = at_s,
		.rate = s->load.rate,
		.reached = (double)(after->counts.attempted - before->counts.attempted) / seconds,
		.active = s->load.active,
		.failed = after->counts.failed - before->counts.failed,
		.resent = after->counts.calls_resent - before->counts.calls_resent,
		.p50_us = (double)spread_quantile(&ringing, 0.5) / 1000,
		.p99_us = (double)spread_quantile(&ringing, 0.99) / 1000,
		.own_busy = (double)(after->own_cpu_ns - before->own_cpu_ns) / 1e9 / seconds,
	};
	if (s->pid > 0) {
		process_difference(&before->usage, &after->usage, &used);
		now->switch_busy = (double)used.cpu_ns / 1e9 / seconds;
		now->pss_bytes = s->options.plot ? process_pss_bytes(s->pid) : 0;
	}
	show(s, now, &s->load);
}

static void run_seconds(struct session *s, double rate, double rate_end, uint64_t begin_ns, uint64_t end_ns)
{
	struct second *second = calloc(2, sizeof *second);
	unsigned latest = 0;

	if (!second)
		return;
	look(s, &second[0]);
	for (uint64_t now_ns = begin_ns; now_ns < end_ns;) {
		uint64_t until_ns = now_ns + BENCH_SECOND_NS < end_ns ? now_ns + BENCH_SECOND_NS : end_ns;

		if (rate != rate_end || s->load.rate != rate)
			load_set_rate(&s->load, rate + (rate_end - rate) * (double)(now_ns - begin_ns) /
								(double)(end_ns - begin_ns));
		while (bench_wall_ns() < until_ns)
			load_turn(&s->load, until_ns);
		look(s, &second[!latest]);
		take_sample(s, &second[latest], &second[!latest], (double)(until_ns - begin_ns) / 1e9);
		latest = !latest;
		now_ns = until_ns;
	}
	free(second);
}

static void settle(struct session *s, uint64_t ns)
{
	uint64_t until_ns = bench_wall_ns() + ns;

	while (bench_wall_ns() < until_ns)
		load_turn(&s->load, until_ns);
}

static uint64_t own_wait_ns(void)
{
	struct process_usage usage;

	return process_read(getpid(), &usage) && usage.threads > 0 ? usage.thread[0].wait_ns : 0;
}

static uint64_t longest_call_ns(const struct load_settings *s)
{
	uint64_t hold_ns = s->hold_ns == UINT64_MAX ? 0 : s->hold_ns;

	return s->ring_ns + s->answer_ns + hold_ns + (s->unanswered > 0 ? s->ring_out_ns : 0);
}

/* When the question is only whether a rate is good, what is not over soon is a no. */
static void drain(struct session *s, struct load_result *r)
{
	uint64_t wait_ns = longest_call_ns(&s->options.load) +
			   (s->looking ? LOOKING_TIMES_T1 : DRAIN_TIMES_T1) * s->options.load.t1_ns;

	r->drained = load_drain(&s->load, bench_wall_ns() + wait_ns);
	if (!r->drained)
		load_abandon(&s->load);
	settle(s, r->drained ? SETTLE_NS : SETTLE_BAD_NS);
}

void session_run(struct session *s, double rate, double rate_end, uint64_t run_ns, struct load_result *ret_result)
{
	struct load_result *r = ret_result;
	struct process_usage *usage = calloc(3, sizeof *usage);
	struct load *l = &s->load;

	memset(r, 0, sizeof *r);
	load_reset_counts(l);
	if (!usage)
		return;
	uint64_t in = l->ring.received, out = l->ring.sent, lost = l->ring.lost;
	uint64_t own_ns = bench_cpu_ns(), wait_ns = own_wait_ns(), stolen_ns = machine_stolen_ns();
	r->pss_before_bytes = s->pid > 0 ? process_pss_bytes(s->pid) : 0;
	r->has_switch = s->pid > 0 && process_read(s->pid, &usage[0]);
	uint64_t begin_ns = bench_wall_ns();
	run_seconds(s, rate, rate_end, begin_ns, begin_ns + run_ns);
	r->rate = (rate + rate_end) / 2;
	r->run_ns = bench_wall_ns() - begin_ns;
	r->own_cpu_ns = bench_cpu_ns() - own_ns;
	r->own_wait_ns = own_wait_ns() - wait_ns;
	r->stolen_ns = machine_stolen_ns() - stolen_ns;
	if (r->has_switch && process_read(s->pid, &usage[1]))
		process_difference(&usage[0], &usage[1], &r->running);
	r->pss_after_bytes = r->has_switch ? process_pss_bytes(s->pid) : 0;
	drain(s, r);
	if (r->has_switch && process_read(s->pid, &usage[2]))
		process_difference(&usage[0], &usage[2], &r->all);
	free(usage);
	r->counts = l->counts;
	r->ringing_delay = l->ringing_delay;
	r->answer_delay = l->answer_delay;
	r->late = l->late;
	r->invite_delay = l->invite_delay;
	r->datagrams_in = l->ring.received - in;
	r->datagrams_out = l->ring.sent - out;
	r->unsent = l->ring.lost - lost;
}

/* ---- judging ---- */

#define NEAR_LIMIT 0.95
#define LATE_NS    20000000 /* 1 % of all calls started later than this: the schedule was not kept */

static double started_share(const struct load_result *r)
{
	double wanted = r->rate * (double)r->run_ns / 1e9;

	return wanted > 0 ? (double)(r->counts.attempted + r->counts.full) / wanted : 1;
}

bool result_good(const struct session *s, const struct load_result *r)
{
	double resent =
		r->counts.attempted > 0 ? 100 * (double)r->counts.calls_resent / (double)r->counts.attempted : 0;

	return r->drained && r->counts.failed == 0 && r->counts.full == 0 && resent <= s->options.resent_max &&
	       started_share(r) > 0.99;
}

/* Of the time that it could have had a core: what others took is not its own doing. */
static double busy_share(uint64_t cpu_ns, uint64_t wait_ns, uint64_t run_ns)
{
	return wait_ns < run_ns ? (double)cpu_ns / (double)(run_ns - wait_ns) : 1;
}

enum bottleneck result_bottleneck(const struct load_result *r)
{
	const struct process_thread *t = process_busiest(&r->running);
	double own = busy_share(r->own_cpu_ns, r->own_wait_ns, r->run_ns);
	double other = t ? busy_share(t->cpu_ns, t->wait_ns, r->run_ns) : 0;
	bool late = started_share(r) < 0.99 || spread_quantile(&r->late, 0.99) > LATE_NS;

	if (own > NEAR_LIMIT || late)
		return other > NEAR_LIMIT ? BOTTLENECK_BOTH : BOTTLENECK_GENERATOR;
	return other > NEAR_LIMIT ? BOTTLENECK_SWITCH : BOTTLENECK_NONE;
}

double result_disturbed(const struct load_result *r)
{
	const struct process_thread *t = process_busiest(&r->running);
	uint64_t wait_ns = r->own_wait_ns;

	if (t && t->wait_ns > wait_ns)
		wait_ns = t->wait_ns;
	return (double)wait_ns / (double)r->run_ns;
}

/* ---- finding ---- */

static bool try_rate(struct session *s, double rate, struct load_result *scratch, struct load_result *ret_best)
{
	for (unsigned i = 0; i < FIND_TRIES; i++) {
		session_run(s, rate, rate, s->options.run_ns, scratch);
		if (result_good(s, scratch)) {
			*ret_best = *scratch;
			return true;
		}
	}
	return false;
}

double session_find(struct session *s, double from, struct load_result *ret_result)
{
	struct load_result *scratch = malloc(sizeof *scratch);
	double good = 0, bad = 0, rate = from;

	if (!scratch)
		return 0;
	s->looking = true;
	while (good < s->options.find_max && (bad == 0 || (bad - good) / bad > s->options.find_step / 100)) {
		if (try_rate(s, rate, scratch, ret_result))
			good = rate;
		else if (rate <= 1)
			break;
		else
			bad = rate;
		rate = bad > 0 ? (good + bad) / 2 : rate * 2;
		if (rate > s->options.find_max)
			rate = s->options.find_max;
	}
	if (good == 0)
		*ret_result = *scratch;
	s->looking = false;
	free(scratch);
	return good;
}
