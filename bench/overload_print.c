/* What came of an overload, for people and for programs. */
#include "bench/overload.h"

#include <stdio.h>

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static unsigned long long count(uint64_t n)
{
	return (unsigned long long)n;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? 100 * (double)part / (double)whole : 100;
}

static double offered(const struct overload_step *p)
{
	return (double)(p->result.counts.attempted + p->result.counts.full) * 1e9 / (double)p->result.run_ns;
}

static uint64_t refreshes(const struct overload_step *p)
{
	return p->refreshes[0] + p->refreshes[1];
}

static void print_wait(const char *what, double seconds, const char *limit)
{
	if (seconds < 0)
		printf("  %-36s NOT WITHIN %s\n", what, limit);
	else
		printf("  %-36s after %.1f s\n", what, seconds);
}

static void print_step(const struct overload *o, const struct overload_step *p)
{
	const struct load_result *r = &p->result;

	printf("\n%.1f times the capacity: %.0f calls a second wanted, %.0f offered, %.1f s\n", p->times, r->rate,
	       offered(p), (double)r->run_ns / 1e9);
	printf("  %-36s %.0f a second, %.1f %% of the capacity (%.0f %% wanted); %.0f in the worst second\n",
	       "completed", (double)p->completed * 1e9 / (double)r->run_ns, 100 * overload_goodput(o, p),
	       100 * overload_wanted(p->times), p->worst);
	printf("  %-36s %llu with 503, %llu by silence; %llu INVITEs sent again\n", "failed",
	       count(r->counts.refused[503]), count(r->counts.timeouts), count(r->counts.invites_resent));
	printf("  %-36s %llu with 503, %llu unanswered, %llu unread; queue at most %.0f ms, %llu datagrams "
	       "overflowed\n",
	       "INVITEs that the switch shed", count(p->refused), count(p->dropped), count(p->kernel), p->queue_age_ms,
	       count(p->overflowed));
	printf("  %-36s %llu of %llu lost\n", "calls kept up", count(p->lost), count(o->kept));
	printf("  %-36s %llu, of them answered before T1 %.3f %%\n", "refreshes", count(refreshes(p)),
	       100 - percent(p->refreshes_again, refreshes(p) ? refreshes(p) : 1));
	printf("  %-36s %llu, within 500 ms %.3f %%; ms: p50 %.1f, p99 %.1f, longest %.1f\n", "BYEs answered",
	       count(p->bye_delay.count), percent(p->byes_prompt, p->bye_delay.count),
	       ms(spread_quantile(&p->bye_delay, 0.5)), ms(spread_quantile(&p->bye_delay, 0.99)),
	       ms(p->bye_delay.max_ns));
	if (o->has_stats)
		print_wait("all its calls gone", p->calm_s, "10 s");
	printf("  %-36s switch busy %.1f %%, generator %.1f %% of a core; %s\n", "",
	       100 * (double)r->running.cpu_ns / (double)r->run_ns, 100 * (double)r->own_cpu_ns / (double)r->run_ns,
	       bottleneck_text(result_bottleneck(r)));
	if (offered(p) < 0.97 * r->rate)
		printf("  THE GENERATOR OFFERED ONLY %.1f TIMES THE CAPACITY (--burden)\n", offered(p) / o->capacity);
}

void overload_print(const struct overload *o)
{
	session_print(o->session, "overload");
	printf("\ncapacity: %.0f calls a second without failure; %s\n", o->capacity,
	       bottleneck_text(result_bottleneck(&o->found)));
	if (o->session->options.burden > 0)
		printf("another process takes %llu %% of the switch's core\n", count(o->session->options.burden));
	for (unsigned i = 0; i < o->steps; i++)
		print_step(o, &o->step[i]);
	if (!o->has_stats)
		return;
	printf("\n%llu calls kept up were ended\n", count(o->kept_ended));
	print_wait("no call left", o->gone_s, "10 s");
	if (!o->session->options.smoke)
		print_wait("nothing left, since the load ended,", o->empty_s, "40 s");
}

static json_t *step_json(const struct overload *o, const struct overload_step *p)
{
	const struct load_result *r = &p->result;

	return json_pack(
		"{s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:f, s:o, s:f, "
		"s:f, s:f, s:b}",
		"times", p->times, "wanted", r->rate, "offered", offered(p), "completed_a_second",
		(double)p->completed * 1e9 / (double)r->run_ns, "goodput", overload_goodput(o, p), "worst_second",
		p->worst, "failed_503", (json_int_t)r->counts.refused[503], "timeouts", (json_int_t)r->counts.timeouts,
		"invites_resent", (json_int_t)r->counts.invites_resent, "shed_503", (json_int_t)p->refused,
		"shed_dropped", (json_int_t)p->dropped, "shed_kernel", (json_int_t)p->kernel, "overflowed",
		(json_int_t)p->overflowed, "kept_lost", (json_int_t)p->lost, "refreshes", (json_int_t)refreshes(p),
		"refreshes_prompt", 1 - percent(p->refreshes_again, refreshes(p) ? refreshes(p) : 1) / 100, "byes",
		(json_int_t)p->bye_delay.count, "byes_prompt", percent(p->byes_prompt, p->bye_delay.count) / 100, "bye",
		spread_json(&p->bye_delay), "calm_s", p->calm_s, "switch_busy",
		(double)r->running.cpu_ns / (double)r->run_ns, "generator_busy",
		(double)r->own_cpu_ns / (double)r->run_ns, "good", overload_step_good(o, p));
}

json_t *overload_json(const struct overload *o)
{
	json_t *all = session_json(o->session, "overload"), *steps = json_array();

	for (unsigned i = 0; i < o->steps; i++)
		json_array_append_new(steps, step_json(o, &o->step[i]));
	json_object_update_new(all, json_pack("{s:f, s:o, s:I, s:I, s:o, s:I, s:f, s:f}", "capacity", o->capacity,
					      "found", result_json(o->session, &o->found), "burden_percent",
					      (json_int_t)o->session->options.burden, "kept", (json_int_t)o->kept,
					      "steps", steps, "kept_ended", (json_int_t)o->kept_ended, "gone_s",
					      o->gone_s, "empty_s", o->empty_s));
	return all;
}
