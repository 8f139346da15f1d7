/* rwbench hold: see the header. */
#include "bench/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/control.h"

static const char text[] =
	"Brings up calls through a SIP switch and keeps them, both ends here, while it refreshes their sessions (RFC "
	"4028).\n"
	"Reports calls lost, refreshes and when they came, and CPU time and memory of the switch.";

enum { UP_TIMES_T1 = 64, BYES_PER_TURN = 64, PROGRESS_EVERY = 4096 };

/* ---- refreshes ---- */

static uint32_t interval_of(const struct load_message *m, uint32_t otherwise)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < m->session_expires.size && i < 6; i++) {
		char c = m->session_expires.at[i];

		if (c < '0' || c > '9')
			break;
		value = value * 10 + (uint32_t)(c - '0');
	}
	return value > 0 ? value : otherwise;
}

static void measure(struct hold_leg *leg, uint64_t gap_ns, uint64_t interval_ns, uint64_t segment_ns)
{
	uint64_t earliest_ns = segment_ns - segment_ns / 10;

	leg->early += gap_ns + HOLD_TOLERANCE_NS < earliest_ns;
	spread_add(&leg->after_earliest, gap_ns > earliest_ns ? gap_ns - earliest_ns : 0);
	if (gap_ns > segment_ns)
		spread_add(&leg->after_end, gap_ns - segment_ns);
	leg->late += gap_ns > segment_ns + HOLD_TOLERANCE_NS;
	leg->outside += gap_ns > interval_ns + HOLD_TOLERANCE_NS;
}

static void refreshed(void *context, struct load_call *c, bool callee, uint64_t at_ns, const struct load_message *m)
{
	struct hold *h = context;
	struct load *l = &h->session->load;
	struct hold_leg *leg = &h->phase[h->now].leg[callee];

	if (c->caller != CALLER_ANSWERED)
		return;
	h->interval_s[callee] = interval_of(m, h->interval_s[callee]);
	uint64_t interval_ns = h->interval_s[callee] * BENCH_SECOND_NS;
	uint64_t segment_ns = interval_ns / h->session->options.segments;
	uint32_t tick = load_tick(l, at_ns);
	uint64_t gap_ns = tick > c->confirmed[callee] ? (tick - c->confirmed[callee]) * LOAD_TICK_NS : 0;

	if (gap_ns < segment_ns / 2) {
		leg->repeated++;
		return;
	}
	leg->refreshes++;
	leg->updates += m->method == LOAD_UPDATE;
	measure(leg, gap_ns, interval_ns, segment_ns);
	c->confirmed[callee] = load_tick(l, l->now_ns);
	if (c->refreshes[callee] < UINT16_MAX)
		c->refreshes[callee]++;
}

/* ---- what is used ---- */

struct mark {
	uint64_t at_ns, own_cpu_ns, own_wait_ns, stolen_ns, unsent;
	bool has_switch;
	struct process_usage usage;
};

static void mark(const struct hold *h, struct mark *ret_mark)
{
	struct process_usage own;
	pid_t pid = h->session->pid;

	ret_mark->at_ns = bench_wall_ns();
	ret_mark->own_cpu_ns = bench_cpu_ns();
	ret_mark->own_wait_ns = process_read(getpid(), &own) && own.threads > 0 ? own.thread[0].wait_ns : 0;
	ret_mark->stolen_ns = machine_stolen_ns();
	ret_mark->unsent = h->session->load.ring.lost;
	ret_mark->has_switch = pid > 0 && process_read(pid, &ret_mark->usage);
}

static void begin_phase(struct hold *h, enum hold_phase_kind kind, struct mark *ret_mark)
{
	h->now = kind;
	h->session->load.turn_max_ns = 0;
	mark(h, ret_mark);
}

static void end_phase(struct hold *h, const struct mark *begin)
{
	struct hold_phase *p = &h->phase[h->now];
	struct mark *end = malloc(sizeof *end);

	if (!end)
		return;
	mark(h, end);
	p->ns = end->at_ns - begin->at_ns;
	p->own_cpu_ns = end->own_cpu_ns - begin->own_cpu_ns;
	p->own_wait_ns = end->own_wait_ns - begin->own_wait_ns;
	p->stolen_ns = end->stolen_ns - begin->stolen_ns;
	p->unsent = end->unsent - begin->unsent;
	p->turn_max_ns = h->session->load.turn_max_ns;
	p->has_switch = begin->has_switch && end->has_switch;
	if (p->has_switch)
		process_difference(&begin->usage, &end->usage, &p->usage);
	h->counts[h->now] = h->session->load.counts;
	free(end);
}

/* ---- the phases ---- */

static uint64_t refreshes(const struct hold *h)
{
	return h->phase[h->now].leg[0].refreshes + h->phase[h->now].leg[1].refreshes;
}

/* What a second has used; the first call only notes where it begins. */
static void take_sample(struct hold *h, double at_s, uint64_t news)
{
	struct session *s = h->session;
	struct process_usage *now = &h->seen[1], used;
	uint64_t own_cpu_ns = bench_cpu_ns();

	if (!s->options.plot)
		return;
	if (s->pid > 0)
		process_read(s->pid, now);
	now->at_ns = bench_wall_ns();
	process_difference(&h->seen[0], now, &used);
	struct sample *one = h->seen[0].at_ns > 0 ? session_add_sample(s, at_s) : NULL;
	if (one) {
		one->rate = s->load.rate;
		one->reached = (double)news * 1e9 / (double)used.at_ns;
		one->active = s->load.active;
		one->failed = s->load.counts.failed - h->seen_failed;
		one->switch_busy = (double)used.cpu_ns / (double)used.at_ns;
		one->own_busy = (double)(own_cpu_ns - h->seen_own_cpu_ns) / (double)used.at_ns;
		one->pss_bytes = s->pid > 0 ? process_pss_bytes(s->pid) : 0;
	}
	h->seen[0] = *now;
	h->seen_failed = s->load.counts.failed;
	h->seen_own_cpu_ns = own_cpu_ns;
}

static void show(const struct hold *h, const char *what, double at_s, uint64_t news)
{
	const struct load *l = &h->session->load;
	const struct hold_phase *p = &h->phase[h->now];

	bench_progress("%s: %5.1f s  %u up  failed or lost %llu  %llu refreshes/s  late %llu  longest turn %.1f ms",
		       what, at_s, l->active, (unsigned long long)l->counts.failed, (unsigned long long)news,
		       (unsigned long long)(p->leg[0].late + p->leg[1].late), (double)l->turn_max_ns / 1e6);
}

/* Turns until then, or until it is `over`; says each second how it is. */
static void turn(struct hold *h, const char *what, uint64_t until_ns, bool (*over)(const struct hold *h))
{
	uint64_t begin_ns = bench_wall_ns(), shown_ns = begin_ns, before = refreshes(h), now_ns;

	while ((now_ns = bench_wall_ns()) < until_ns && !over(h)) {
		uint64_t next_ns = shown_ns + BENCH_SECOND_NS;

		load_turn(&h->session->load, next_ns < until_ns ? next_ns : until_ns);
		if (now_ns < next_ns)
			continue;
		show(h, what, (double)(now_ns - begin_ns) / 1e9, refreshes(h) - before);
		take_sample(h, (double)(now_ns - h->session->load.opened_ns) / 1e9, refreshes(h) - before);
		before = refreshes(h);
		shown_ns = now_ns;
	}
}

static bool never(const struct hold *h)
{
	(void)h;
	return false;
}

static bool all_started(const struct hold *h)
{
	const struct load *l = &h->session->load;

	return l->counts.attempted >= l->starts_max;
}

static bool all_up(const struct hold *h)
{
	const struct load_counts *c = &h->session->load.counts;

	return c->confirmed + c->failed >= c->attempted;
}

static uint64_t pss(const struct hold *h)
{
	return h->session->pid > 0 ? process_pss_bytes(h->session->pid) : 0;
}

static json_t *stats(const struct hold *h)
{
	return h->session->options.stats ? control_ask(h->session->options.stats, "stats") : NULL;
}

static void bring_up(struct hold *h)
{
	const struct load_options *o = &h->session->options;
	struct load *l = &h->session->load;
	struct mark *begin = malloc(sizeof *begin);

	if (!begin)
		return;
	h->pss_empty_bytes = pss(h);
	begin_phase(h, HOLD_COMING_UP, begin);
	l->starts_max = o->calls;
	load_set_rate(l, o->rate);
	turn(h, "coming up", UINT64_MAX, all_started);
	turn(h, "coming up", bench_wall_ns() + o->load.ring_ns + o->load.answer_ns + UP_TIMES_T1 * o->load.t1_ns,
	     all_up);
	end_phase(h, begin);
	free(begin);
}

static void keep(struct hold *h)
{
	struct mark *begin = malloc(sizeof *begin);

	if (!begin)
		return;
	h->pss_up_bytes = pss(h);
	h->up_at_start = h->session->load.active;
	h->stats_before = stats(h);
	begin_phase(h, HOLD_KEPT, begin);
	turn(h, "keeping", bench_wall_ns() + h->session->options.run_ns, never);
	end_phase(h, begin);
	h->stats_after = stats(h);
	h->pss_end_bytes = pss(h);
	h->own_pss_bytes = process_pss_bytes(getpid());
	h->up = h->session->load.active;
	free(begin);
}

static void count_gap(struct hold *h, const struct load_call *c, unsigned leg, uint32_t now)
{
	uint64_t interval_ns = h->interval_s[leg] * BENCH_SECOND_NS;
	uint64_t gap_ns = now > c->confirmed[leg] ? (now - c->confirmed[leg]) * LOAD_TICK_NS : 0;

	h->overdue[leg] += gap_ns > interval_ns / h->session->options.segments + HOLD_TOLERANCE_NS;
	h->silent[leg] += gap_ns > interval_ns + HOLD_TOLERANCE_NS;
}

/* Each call that is up: what it has seen. */
static void count_calls(struct hold *h)
{
	const struct load *l = &h->session->load;
	uint32_t now = load_tick(l, bench_wall_ns());

	for (uint32_t slot = 0; slot < l->used; slot++) {
		const struct load_call *c = &l->call[slot];

		if (c->caller != CALLER_ANSWERED)
			continue;
		for (unsigned leg = 0; leg < HOLD_LEGS; leg++) {
			unsigned seen = c->refreshes[leg] < HOLD_WINDOWS_MAX ? c->refreshes[leg] : HOLD_WINDOWS_MAX - 1;

			h->windows[leg][seen]++;
			count_gap(h, c, leg, now);
		}
	}
}

/* One by one at the rate; what comes meanwhile is answered. */
static void end_calls(struct hold *h)
{
	const struct load_options *o = &h->session->options;
	struct load *l = &h->session->load;
	uint64_t begin_ns = bench_wall_ns(), completed = l->counts.completed;

	load_set_rate(l, 0);
	for (uint32_t slot = 0; slot < l->used; slot++) {
		uint64_t due_ns = begin_ns + (uint64_t)((double)h->ended / o->end_rate * 1e9);
		bool turn_first = h->ended % BYES_PER_TURN == 0;

		while (l->call[slot].caller == CALLER_ANSWERED && (turn_first || bench_wall_ns() < due_ns)) {
			load_turn(l, due_ns);
			turn_first = false;
		}
		if (l->call[slot].caller != CALLER_ANSWERED)
			continue;
		load_caller_bye(l, slot);
		if (h->ended++ % PROGRESS_EVERY == 0)
			bench_progress("ending: %u up", l->active);
	}
	h->ended_all = load_drain(l, bench_wall_ns() + UP_TIMES_T1 * o->load.t1_ns) &&
		       l->counts.completed - completed == h->ended;
}

/* ---- all of it ---- */

unsigned hold_windows(const struct hold *h, unsigned leg, double share)
{
	uint64_t all = 0, seen = 0;

	for (unsigned i = 0; i < HOLD_WINDOWS_MAX; i++)
		all += h->windows[leg][i];
	for (unsigned i = 0; i < HOLD_WINDOWS_MAX; i++) {
		seen += h->windows[leg][i];
		if (seen > 0 && (double)seen >= share * (double)all)
			return i;
	}
	return 0;
}

static int measure_hold(struct hold *h)
{
	const struct load_options *o = &h->session->options;
	struct load *l = &h->session->load;

	h->interval_s[HOLD_CALLER] = h->interval_s[HOLD_CALLEE] = o->load.session_expires_s;
	l->refresh = refreshed;
	l->refresh_context = h;
	bring_up(h);
	keep(h);
	count_calls(h);
	if (o->end_rate > 0)
		end_calls(h);
	bench_progress_end();
	o->json ? session_print_json(hold_json(h)) : hold_print(h);
	bool drawn = session_plot(h->session, "hold", false);
	bool good = drawn && h->counts[HOLD_KEPT].failed == 0 && h->up == o->calls &&
		    h->silent[HOLD_CALLER] + h->silent[HOLD_CALLEE] == 0 && (o->end_rate <= 0 || h->ended_all);
	json_decref(h->stats_before);
	json_decref(h->stats_after);
	return good ? BENCH_DONE : BENCH_FAILED;
}

static void make_small(struct load_options *o)
{
	o->calls = 50;
	o->rate = 200;
	o->end_rate = 500;
	o->load.session_expires_s = 2;
	o->run_ns = 5 * BENCH_SECOND_NS / 2;
}

int bench_hold(int argc, char **argv)
{
	struct load_options options;

	load_options_init(&options);
	options.calls = 10000;
	options.run_ns = 600 * BENCH_SECOND_NS;
	options.load.timer = true;
	options.load.hold_ns = UINT64_MAX;
	int status = load_options_read(argc, argv, FOR_HOLD, text, &options);
	if (status >= 0)
		return status;
	if (options.smoke && !options.switch_path) {
		fputs("rwbench: hold --smoke needs --switch: a forwarder refreshes nothing\n", stderr);
		return BENCH_USAGE;
	}
	if (options.smoke)
		make_small(&options);
	options.load.calls_max = (uint32_t)options.calls;
	struct hold *h = calloc(1, sizeof *h);
	if (h)
		h->session = session_open(&options);
	status = h && h->session ? measure_hold(h) : BENCH_FAILED;
	if (h && h->session)
		session_close(h->session);
	free(h);
	return status;
}
