/* What came of keeping calls, for people and for programs. */
#include "bench/hold.h"

#include <stdio.h>

static unsigned long long count(uint64_t n)
{
	return (unsigned long long)n;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static double share(uint64_t part_ns, uint64_t whole_ns)
{
	return whole_ns > 0 ? (double)part_ns / (double)whole_ns : 0;
}

static uint64_t refreshes(const struct hold_phase *p)
{
	return p->leg[HOLD_CALLER].refreshes + p->leg[HOLD_CALLEE].refreshes;
}

/* What CPU time is shared among: the calls that come up, then the refreshes. */
static uint64_t things(const struct hold *h, enum hold_phase_kind kind)
{
	return kind == HOLD_COMING_UP ? h->counts[kind].attempted : refreshes(&h->phase[kind]);
}

static const char *const thing_names[] = { [HOLD_COMING_UP] = "call", [HOLD_KEPT] = "refresh" };

static double us_each(uint64_t cpu_ns, uint64_t things)
{
	return things > 0 ? (double)cpu_ns / 1000 / (double)things : 0;
}

static double bytes_per_call(uint64_t bytes, uint64_t empty_bytes, uint64_t calls)
{
	return calls > 0 ? ((double)bytes - (double)empty_bytes) / (double)calls : 0;
}

static uint64_t lost(const struct hold *h)
{
	return h->counts[HOLD_KEPT].lost;
}

/* ---- for people ---- */

static void print_leg(const char *name, const struct hold_leg *leg)
{
	const struct spread *s = &leg->after_earliest, *e = &leg->after_end;

	printf("    %-8s %10llu %10llu %8llu %8llu %8llu %8llu  %9.3f %9.3f %9.3f  %9llu %8.1f %8.1f\n", name,
	       count(leg->refreshes), count(leg->updates), count(leg->repeated), count(leg->early), count(leg->late),
	       count(leg->outside), seconds(spread_quantile(s, 0.5)), seconds(spread_quantile(s, 0.999)),
	       seconds(s->max_ns), count(e->count), ms(spread_quantile(e, 0.999)), ms(e->max_ns));
}

/* Of a thread, or of all that a process has. */
static void print_cpu(const char *name, uint64_t cpu_ns, const struct hold *h, enum hold_phase_kind kind)
{
	printf("%s %.2f us a %s, %.2f %% of a core", name, us_each(cpu_ns, things(h, kind)), thing_names[kind],
	       100 * share(cpu_ns, h->phase[kind].ns));
}

static void print_switch(const struct hold *h, enum hold_phase_kind kind)
{
	const struct hold_phase *p = &h->phase[kind];
	char name[64];

	snprintf(name, sizeof name, "    %-36s", h->session->switch_name);
	print_cpu(name, p->usage.cpu_ns, h, kind);
	putchar('\n');
	for (unsigned i = 0; i < p->usage.threads; i++) {
		const struct process_thread *t = &p->usage.thread[i];

		if (t->cpu_ns == 0)
			continue;
		snprintf(name, sizeof name, "      %-34s", t->name);
		print_cpu(name, t->cpu_ns, h, kind);
		printf("; waited for it %.2f %%\n", 100 * share(t->wait_ns, p->ns));
	}
}

static void print_phase(const struct hold *h, const char *what, enum hold_phase_kind kind)
{
	const struct hold_phase *p = &h->phase[kind];
	char name[64];

	printf("\n  %s, %.1f s: %llu refreshes, %.0f a second\n", what, seconds(p->ns), count(refreshes(p)),
	       (double)refreshes(p) / seconds(p->ns));
	if (refreshes(p) > 0) {
		printf("    %-8s %10s %10s %8s %8s %8s %8s  %9s %9s %9s  %9s %8s %8s\n", "leg", "refreshes",
		       "by UPDATE", "repeated", "early", "late", "outside", "p50 s", "p99.9 s", "longest", "after end",
		       "p99.9 ms", "longest");
		print_leg("caller", &p->leg[HOLD_CALLER]);
		print_leg("callee", &p->leg[HOLD_CALLEE]);
	}
	if (p->has_switch)
		print_switch(h, kind);
	snprintf(name, sizeof name, "    %-36s", "generator");
	print_cpu(name, p->own_cpu_ns, h, kind);
	printf("; waited for it %.2f %%; longest turn %.1f ms; %llu sends refused\n",
	       100 * share(p->own_wait_ns, p->ns), ms(p->turn_max_ns), count(p->unsent));
	printf("    %-36s %.0f ms, all cores\n", "stolen by the hypervisor", ms(p->stolen_ns));
}

static void print_memory(const struct hold *h)
{
	const struct load *l = &h->session->load;

	if (h->pss_empty_bytes > 0) {
		printf("  %-36s %.1f MiB empty, %.1f MiB with all calls, %.1f MiB at the end\n",
		       "memory of the switch (PSS)", (double)h->pss_empty_bytes / (1 << 20),
		       (double)h->pss_up_bytes / (1 << 20), (double)h->pss_end_bytes / (1 << 20));
		printf("  %-36s %.0f bytes with all calls, %.0f at the end\n", "  a live call, less empty",
		       bytes_per_call(h->pss_up_bytes, h->pss_empty_bytes, h->up_at_start),
		       bytes_per_call(h->pss_end_bytes, h->pss_empty_bytes, h->up));
	}
	printf("  %-36s %.1f MiB; %zu bytes a call and %.0f of its peer\n", "memory of the generator",
	       (double)h->own_pss_bytes / (1 << 20), sizeof(struct load_call),
	       (double)load_peers_bytes(&l->peers) / (double)(l->counts.answered > 0 ? l->counts.answered : 1));
}

static json_int_t figure(const json_t *stats, const char *histogram, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(stats, histogram), name));
}

static void print_stats(const struct hold *h)
{
	const json_t *before = h->stats_before, *after = h->stats_after;

	if (!before || !after)
		return;
	json_int_t fired = figure(after, "timer_lateness_us", "count") - figure(before, "timer_lateness_us", "count");
	json_int_t sum = figure(after, "timer_lateness_us", "sum") - figure(before, "timer_lateness_us", "sum");

	printf("\n  the switch's own timers while kept: %lld fired, %.0f us late in the mean\n", (long long)fired,
	       fired > 0 ? (double)sum / (double)fired : 0.0);
	printf("  since it started, microseconds: p50 %lld, p99 %lld, p99.9 %lld, longest %lld (before: %lld)\n",
	       (long long)figure(after, "timer_lateness_us", "p50"),
	       (long long)figure(after, "timer_lateness_us", "p99"),
	       (long long)figure(after, "timer_lateness_us", "p999"),
	       (long long)figure(after, "timer_lateness_us", "max"),
	       (long long)figure(before, "timer_lateness_us", "max"));
}

void hold_print(const struct hold *h)
{
	const struct load_options *o = &h->session->options;
	const struct load_counts *up = &h->counts[HOLD_COMING_UP], *c = &h->counts[HOLD_KEPT];
	double up_s = seconds(h->phase[HOLD_COMING_UP].ns);

	session_print(h->session, "hold");
	printf("\n  %-36s %llu of %llu, in %.1f s (%.0f a second); %llu failed, %llu of them needed a retransmission\n",
	       "calls up", count(h->up_at_start), count(o->calls), up_s, (double)up->attempted / up_s,
	       count(up->failed), count(up->calls_resent));
	printf("  %-36s %llu ended by the switch; %llu legs of callers and %llu of callees without a refresh for a "
	       "whole "
	       "window\n",
	       "lost", count(lost(h)), count(h->silent[HOLD_CALLER]), count(h->silent[HOLD_CALLEE]));
	printf("  %-36s %llu, after %.1f s\n", "up at the end", count(h->up), seconds(h->phase[HOLD_KEPT].ns));
	printf("  %-36s caller: at least %u, median %u; callee: at least %u, median %u\n", "windows completed a call",
	       hold_windows(h, HOLD_CALLER, 0), hold_windows(h, HOLD_CALLER, 0.5), hold_windows(h, HOLD_CALLEE, 0),
	       hold_windows(h, HOLD_CALLEE, 0.5));
	if (h->overdue[HOLD_CALLER] + h->overdue[HOLD_CALLEE] > 0)
		printf("  %-36s %llu of callers, %llu of callees: late as well\n", "legs overdue at the end",
		       count(h->overdue[HOLD_CALLER]), count(h->overdue[HOLD_CALLEE]));
	print_memory(h);
	printf("\n  session interval %u s (caller), %u s (callee), %u segments: refreshes are due from %.1f to %.1f s "
	       "after "
	       "the one before\n",
	       h->interval_s[HOLD_CALLER], h->interval_s[HOLD_CALLEE], o->segments,
	       0.9 * h->interval_s[HOLD_CALLER] / o->segments, 1.0 * h->interval_s[HOLD_CALLER] / o->segments);
	printf("  late: more than %.0f ms after the segment's end; p50, p99.9, longest: after the earliest moment\n",
	       ms(HOLD_TOLERANCE_NS));
	print_phase(h, "coming up", HOLD_COMING_UP);
	print_phase(h, "kept", HOLD_KEPT);
	print_stats(h);
	if (o->end_rate > 0)
		printf("\n  %-36s %llu; %s\n", "ended with BYE", count(h->ended),
		       h->ended_all ? "all BYEs were answered" : "NOT ALL ENDED AS THEY SHOULD");
	else
		printf("\n  The calls were left as they are: without --end this program just stops.\n");
	if (c->strays > 0)
		printf("  %-36s %llu\n", "messages of no known call", count(c->strays));
}

/* ---- for programs ---- */

static json_t *leg_json(const struct hold *h, unsigned leg, enum hold_phase_kind phase)
{
	const struct hold_leg *l = &h->phase[phase].leg[leg];

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "refreshes", (json_int_t)l->refreshes, "by_update",
			 (json_int_t)l->updates, "repeated", (json_int_t)l->repeated, "early", (json_int_t)l->early,
			 "late", (json_int_t)l->late, "outside", (json_int_t)l->outside, "after_earliest",
			 spread_json(&l->after_earliest), "after_end", spread_json(&l->after_end));
}

static json_t *phase_json(const struct hold *h, enum hold_phase_kind kind)
{
	const struct hold_phase *p = &h->phase[kind];
	const char *each = kind == HOLD_COMING_UP ? "us_per_call" : "us_per_refresh";
	json_t *all = json_pack("{s:f, s:I, s:o, s:o, s:{s:f, s:f, s:f}, s:f, s:f, s:I}", "seconds", seconds(p->ns),
				"refreshes", (json_int_t)refreshes(p), "caller", leg_json(h, HOLD_CALLER, kind),
				"callee", leg_json(h, HOLD_CALLEE, kind), "generator", each,
				us_each(p->own_cpu_ns, things(h, kind)), "busy", share(p->own_cpu_ns, p->ns), "waiting",
				share(p->own_wait_ns, p->ns), "longest_turn_ms", ms(p->turn_max_ns), "stolen_ms",
				ms(p->stolen_ns), "unsent", (json_int_t)p->unsent);

	if (p->has_switch)
		json_object_set_new(all, "switch", process_json(&p->usage, each, things(h, kind)));
	return all;
}

static json_t *windows_json(const struct hold *h, unsigned leg)
{
	json_t *calls = json_array();

	for (unsigned i = 0; i < HOLD_WINDOWS_MAX; i++)
		json_array_append_new(calls, json_integer((json_int_t)h->windows[leg][i]));
	return json_pack("{s:i, s:i, s:o}", "least", (int)hold_windows(h, leg, 0), "median",
			 (int)hold_windows(h, leg, 0.5), "calls", calls);
}

static json_t *memory_json(const struct hold *h)
{
	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:I}", "empty_bytes", (json_int_t)h->pss_empty_bytes, "up_bytes",
			 (json_int_t)h->pss_up_bytes, "end_bytes", (json_int_t)h->pss_end_bytes, "bytes_per_call_up",
			 bytes_per_call(h->pss_up_bytes, h->pss_empty_bytes, h->up_at_start), "bytes_per_call_end",
			 bytes_per_call(h->pss_end_bytes, h->pss_empty_bytes, h->up), "generator_bytes",
			 (json_int_t)h->own_pss_bytes);
}

json_t *hold_json(const struct hold *h)
{
	const struct load_options *o = &h->session->options;
	const struct load_counts *c = &h->counts[HOLD_KEPT];
	json_t *all = session_json(h->session, "hold");

	json_object_update_new(
		all,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:o, s:o}, s:{s:i, s:i, s:i}, "
			  "s:o, s:o, "
			  "s:o, s:I, s:b}",
			  "calls_wanted", (json_int_t)o->calls, "up", (json_int_t)h->up_at_start, "failed",
			  (json_int_t)c->failed, "lost", (json_int_t)lost(h), "up_at_end", (json_int_t)h->up, "rate",
			  (double)h->counts[HOLD_COMING_UP].attempted / seconds(h->phase[HOLD_COMING_UP].ns), "overdue",
			  "caller", (json_int_t)h->overdue[HOLD_CALLER], "callee", (json_int_t)h->overdue[HOLD_CALLEE],
			  "silent", "caller", (json_int_t)h->silent[HOLD_CALLER], "callee",
			  (json_int_t)h->silent[HOLD_CALLEE], "windows", "caller", windows_json(h, HOLD_CALLER),
			  "callee", windows_json(h, HOLD_CALLEE), "session", "caller_interval_s",
			  (int)h->interval_s[HOLD_CALLER], "callee_interval_s", (int)h->interval_s[HOLD_CALLEE],
			  "segments", (int)o->segments, "memory", memory_json(h), "coming_up",
			  phase_json(h, HOLD_COMING_UP), "kept", phase_json(h, HOLD_KEPT), "ended",
			  (json_int_t)h->ended, "ended_all", h->ended_all));
	if (h->stats_before && h->stats_after)
		json_object_set_new(all, "timer_lateness_us",
				    json_pack("{s:O, s:O}", "before",
					      json_object_get(h->stats_before, "timer_lateness_us"), "after",
					      json_object_get(h->stats_after, "timer_lateness_us")));
	return all;
}
