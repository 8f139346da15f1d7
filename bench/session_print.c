/* What came of a run with calls, for people and for programs. */
#include "bench/session.h"

#include <stdio.h>

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static double seconds_of(const struct load_result *r)
{
	return (double)r->run_ns / 1e9;
}

static unsigned long long count(uint64_t n)
{
	return (unsigned long long)n;
}

double result_us_per_call(const struct load_result *r)
{
	return r->counts.attempted > 0 ? us(r->all.cpu_ns) / (double)r->counts.attempted : 0;
}

const char *bottleneck_text(enum bottleneck b)
{
	switch (b) {
	case BOTTLENECK_SWITCH:
		return "the switch is the bottleneck";
	case BOTTLENECK_GENERATOR:
		return "THE GENERATOR IS THE BOTTLENECK, NOT THE SWITCH: the switch can do more than this shows";
	case BOTTLENECK_BOTH:
		return "both the generator and the switch are at their limit";
	default:
		return "neither the generator nor the switch is at its limit";
	}
}

/* ---- for people ---- */

void session_print(const struct session *s, const char *bench)
{
	const struct load_settings *l = &s->options.load;
	char target[ADDRESS_TEXT_MAX], caller[ADDRESS_TEXT_MAX], callee[ADDRESS_TEXT_MAX], held[32];

	address_write(&l->target, target);
	address_write(&l->caller[0], caller);
	address_write(&l->callee[0], callee);
	if (l->hold_ns == UINT64_MAX)
		snprintf(held, sizeof held, "ever");
	else
		snprintf(held, sizeof held, "%.0f ms", (double)l->hold_ns / 1e6);
	printf("rwbench %s: seed %llu; %s at %s, caller %s, callee %s; generator on core %d\n", bench, count(l->seed),
	       s->switch_name, target, caller, callee, s->options.cpu);
	machine_print(&s->machine, stdout);
	printf("calls: INVITE of %u bytes, 180 after %.0f ms, answered after %.0f ms, held for %s; %g %% refused, "
	       "%g %% cancelled, %g %% unanswered; session timers %s\n",
	       s->load.invite[0].size, (double)l->ring_ns / 1e6, (double)l->answer_ns / 1e6, held, l->failed,
	       l->cancelled, l->unanswered, l->timer ? "on" : "off");
}

static void print_spread(const char *name, const struct spread *s)
{
	printf("  %-36s %9llu %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, count(s->count), us(spread_quantile(s, 0.5)),
	       us(spread_quantile(s, 0.9)), us(spread_quantile(s, 0.99)), us(spread_quantile(s, 0.999)), us(s->max_ns));
}

static void print_counts(const struct load_counts *c)
{
	printf("  %-36s %llu attempted, %llu answered, %llu ended as planned\n", "calls", count(c->attempted),
	       count(c->answered), count(c->completed));
	printf("  %-36s %llu", "failed", count(c->failed));
	for (unsigned code = 0; code < LOAD_CODES; code++)
		if (c->refused[code] > 0)
			printf("; %llu with %u", count(c->refused[code]), code);
	if (c->failed > 0)
		printf("; %llu timed out, %llu ended by the switch, %llu never ended", count(c->timeouts),
		       count(c->lost), count(c->left));
	putchar('\n');
	if (c->full > 0)
		printf("  %-36s %llu: all calls that may be up were up\n", "not started", count(c->full));
	printf("  %-36s %llu INVITE, %llu 200 and failures, %llu BYE, %llu CANCEL, of %llu calls\n", "sent again",
	       count(c->invites_resent), count(c->answers_resent), count(c->byes_resent), count(c->cancels_resent),
	       count(c->calls_resent));
	printf("  %-36s %llu repeated, %llu of no known call\n", "received", count(c->repeated), count(c->strays));
	if (c->crossed > 0)
		printf("  %-36s %llu\n", "CANCEL crossed 200", count(c->crossed));
	if (c->refreshes_caller + c->refreshes_callee > 0)
		printf("  %-36s %llu of the caller, %llu of the callee\n", "refreshes", count(c->refreshes_caller),
		       count(c->refreshes_callee));
}

static void print_switch(const struct session *s, const struct load_result *r)
{
	double calls = (double)(r->counts.attempted > 0 ? r->counts.attempted : 1);
	uint64_t sum_ns = r->all.user_ns + r->all.system_ns;
	double user = sum_ns > 0 ? (double)r->all.user_ns / (double)sum_ns : 0;

	printf("\n  %-36s %.2f us a call (user %.2f, system %.2f), busy %.1f %% of a core\n", s->switch_name,
	       result_us_per_call(r), result_us_per_call(r) * user, result_us_per_call(r) * (1 - user),
	       100 * (double)r->running.cpu_ns / (double)r->run_ns);
	for (unsigned i = 0; i < r->all.threads; i++) {
		const struct process_thread *t = &r->all.thread[i];

		if (t->cpu_ns > 0)
			printf("    %-34s %.2f us a call; waited for its core %.1f %% of the time\n", t->name,
			       us(t->cpu_ns) / calls, 100 * (double)t->wait_ns / (double)r->all.at_ns);
	}
	printf("    %-34s %.1f MiB, before %.1f MiB\n", "memory (PSS)", (double)r->pss_after_bytes / (1 << 20),
	       (double)r->pss_before_bytes / (1 << 20));
}

void result_print(const struct session *s, const struct load_result *r)
{
	printf("\n%.0f calls a second wanted, %.0f reached, %.1f s%s\n\n", r->rate,
	       (double)r->counts.attempted / seconds_of(r), seconds_of(r),
	       r->drained ? "" : "; some calls never ended");
	print_counts(&r->counts);
	printf("\n  %-36s %9s %9s %9s %9s %9s %9s\n", "microseconds", "count", "p50", "p90", "p99", "p99.9", "longest");
	print_spread("INVITE to 180, less the ring delay", &r->ringing_delay);
	print_spread("200 in to 200 out", &r->answer_delay);
	if (r->invite_delay.count > 0)
		print_spread("INVITE in to INVITE out", &r->invite_delay);
	print_spread("calls started late by", &r->late);
	if (r->has_switch)
		print_switch(s, r);
	printf("  %-36s busy %.1f %% of a core, waited for it %.1f %%; %.2f us a call; %llu sends refused\n",
	       "generator", 100 * (double)r->own_cpu_ns / (double)r->run_ns,
	       100 * (double)r->own_wait_ns / (double)r->run_ns,
	       us(r->own_cpu_ns) / (double)(r->counts.attempted > 0 ? r->counts.attempted : 1), count(r->unsent));
	printf("  %-36s %.0f ms, all cores\n", "stolen by the hypervisor", (double)r->stolen_ns / 1e6);
	if (r->has_switch)
		printf("  %s\n", bottleneck_text(result_bottleneck(r)));
	if (result_disturbed(r) > 0.05)
		printf("  OTHER PROGRAMS RAN ON THESE CORES for %.0f %% of the time: the figures say little\n",
		       100 * result_disturbed(r));
}

/* ---- for programs ---- */

json_t *session_json(const struct session *s, const char *bench)
{
	const struct load_settings *l = &s->options.load;
	char target[ADDRESS_TEXT_MAX];

	address_write(&l->target, target);
	return json_pack("{s:s, s:I, s:o, s:s, s:s, s:i, s:i, s:{s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:b, s:i}}",
			 "bench", bench, "seed", (json_int_t)l->seed, "machine", machine_json(&s->machine), "switch",
			 s->switch_name, "target", target, "cpu", s->options.cpu, "switch_cpu",
			 s->forwarder || s->ours ? s->options.switch_cpu : -1, "calls", "ring_ms",
			 (double)l->ring_ns / 1e6, "answer_ms", (double)l->answer_ns / 1e6, "hold_ms",
			 l->hold_ns == UINT64_MAX ? -1 : (double)l->hold_ns / 1e6, "failed_percent", l->failed,
			 "cancelled_percent", l->cancelled, "unanswered_percent", l->unanswered, "timer", l->timer,
			 "sdp", !l->no_sdp, "invite_bytes", (int)s->load.invite[0].size);
}

static json_t *counts_json(const struct load_counts *c)
{
	json_t *codes = json_object();

	for (unsigned code = 0; code < LOAD_CODES; code++) {
		char name[16];

		if (c->refused[code] == 0)
			continue;
		snprintf(name, sizeof name, "%u", code);
		json_object_set_new(codes, name, json_integer((json_int_t)c->refused[code]));
	}
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I, s:I, s:I}",
		"attempted", (json_int_t)c->attempted, "answered", (json_int_t)c->answered, "completed",
		(json_int_t)c->completed, "failed", (json_int_t)c->failed, "failed_by_code", codes, "timeouts",
		(json_int_t)c->timeouts, "ended_by_switch", (json_int_t)c->lost, "never_ended", (json_int_t)c->left,
		"not_started", (json_int_t)c->full, "resent", "invite", (json_int_t)c->invites_resent, "answer",
		(json_int_t)c->answers_resent, "bye", (json_int_t)c->byes_resent, "cancel",
		(json_int_t)c->cancels_resent, "calls_resent", (json_int_t)c->calls_resent, "repeated",
		(json_int_t)c->repeated, "strays", (json_int_t)c->strays, "refreshes_caller",
		(json_int_t)c->refreshes_caller, "refreshes_callee", (json_int_t)c->refreshes_callee);
}

static const char *bottleneck_word(enum bottleneck b)
{
	return b == BOTTLENECK_SWITCH      ? "switch"
	       : b == BOTTLENECK_GENERATOR ? "generator"
	       : b == BOTTLENECK_BOTH      ? "both"
					   : "none";
}

json_t *result_json(const struct session *s, const struct load_result *r)
{
	json_t *all = json_pack(
		"{s:f, s:f, s:f, s:b, s:b, s:o, s:o, s:o, s:o, s:{s:f, s:f, s:f}, s:f}", "rate", r->rate, "reached",
		(double)r->counts.attempted / seconds_of(r), "seconds", seconds_of(r), "drained", r->drained, "good",
		result_good(s, r), "counts", counts_json(&r->counts), "ringing", spread_json(&r->ringing_delay),
		"answer", spread_json(&r->answer_delay), "late", spread_json(&r->late), "generator", "busy",
		(double)r->own_cpu_ns / (double)r->run_ns, "waiting", (double)r->own_wait_ns / (double)r->run_ns,
		"us_per_call", us(r->own_cpu_ns) / (double)(r->counts.attempted > 0 ? r->counts.attempted : 1),
		"stolen_ms", (double)r->stolen_ns / 1e6);

	if (r->invite_delay.count > 0)
		json_object_set_new(all, "invite", spread_json(&r->invite_delay));
	if (!r->has_switch)
		return all;
	json_object_set_new(all, "switch", process_json(&r->all, "us_per_call", r->counts.attempted));
	json_object_set_new(all, "switch_busy", json_real((double)r->running.cpu_ns / (double)r->run_ns));
	json_object_set_new(all, "pss_before_bytes", json_integer((json_int_t)r->pss_before_bytes));
	json_object_set_new(all, "pss_after_bytes", json_integer((json_int_t)r->pss_after_bytes));
	json_object_set_new(all, "disturbed", json_real(result_disturbed(r)));
	json_object_set_new(all, "bottleneck", json_string(bottleneck_word(result_bottleneck(r))));
	return all;
}

bool session_plot(const struct session *s, const char *bench, bool by_rate)
{
	bool hold = s->options.load.hold_ns == UINT64_MAX;
	char title[160];

	if (!s->options.plot)
		return true;
	snprintf(title, sizeof title, "rwbench %s: %s; %s, %u cores, load %.2f", bench, s->switch_name, s->machine.cpu,
		 s->machine.cores, s->machine.load[0]);
	return plot_write(&(struct plot){
		.path = s->options.plot,
		.title = title,
		.reached = hold ? "refreshes" : "calls started",
		.failed = hold ? "failed or lost" : "failed",
		.by_rate = by_rate,
		.times = !hold,
		.sample = s->sample,
		.samples = s->samples,
	});
}

void session_print_json(json_t *all)
{
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}
