/* rwbench limit: what no switch can beat. */
#include "bench/session.h"

#include <stdio.h>
#include <stdlib.h>

static const char text[] =
	"The floor: a process of its own that receives datagrams and sends each one on, with the same calls from the "
	"same\n"
	"generator as cps.  At a low rate each message is a wake-up and costs more: compare at the same rate only.";

enum { RESULTS_MAX = LOAD_RATES_MAX + 1 };

static void make_small(struct load_options *o)
{
	o->run_ns = BENCH_SECOND_NS / 4;
	o->rates[0] = 200;
	o->rates_count = 1;
	o->find_max = 1000;
	o->find_step = 40;
}

static void set_defaults(struct load_options *o)
{
	static const double rates[] = { 1500, 5000, 10000, 20000 };

	load_options_init(o);
	o->floor = true;
	o->run_ns = 4 * BENCH_SECOND_NS;
	o->find_max = 200000;
	for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++)
		o->rates[o->rates_count++] = rates[i];
}

static void print_row(const struct load_result *r)
{
	double seconds = (double)r->run_ns / 1e9;

	printf("  %9.0f  %9.0f  %9.2f  %10.1f  %10.1f  %9.1f  %7llu  %8.1f  %s\n", r->rate,
	       (double)r->counts.attempted / seconds, result_us_per_call(r),
	       100 * (double)r->running.cpu_ns / (double)r->run_ns, 100 * (double)r->own_cpu_ns / (double)r->run_ns,
	       (double)spread_quantile(&r->ringing_delay, 0.5) / 1000, (unsigned long long)r->counts.failed,
	       100 * result_disturbed(r), bottleneck_text(result_bottleneck(r)));
}

static void print(const struct session *s, const struct load_result *results, unsigned count)
{
	session_print(s, "limit");
	printf("forwarder on core %d: 14 messages a call, 7 in and 7 out; CPU time is user and system, from the first "
	       "INVITE to the last BYE\n\n",
	       s->options.switch_cpu);
	printf("  %9s  %9s  %9s  %10s  %10s  %9s  %7s  %8s\n", "calls/s", "reached", "us a call", "its core %",
	       "our core %", "180 us", "failed", "others %");
	for (unsigned i = 0; i < count; i++)
		print_row(&results[i]);
	printf("\nthe floor: %.2f us a call at %.0f calls a second, the highest rate without failure\n",
	       result_us_per_call(&results[count - 1]), results[count - 1].rate);
}

static void print_json(const struct session *s, const struct load_result *results, unsigned count)
{
	json_t *all = session_json(s, "limit"), *list = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, result_json(s, &results[i]));
	json_object_set_new(all, "results", list);
	json_object_set_new(all, "floor_us_per_call", json_real(result_us_per_call(&results[count - 1])));
	json_object_set_new(all, "highest_rate", json_real(results[count - 1].rate));
	session_print_json(all);
}

static int measure(struct session *s, struct load_result *results)
{
	const struct load_options *o = &s->options;
	unsigned count = 0;

	for (; count < o->rates_count; count++)
		session_run(s, o->rates[count], o->rates[count], o->run_ns, &results[count]);
	double from = count > 0 ? o->rates[count - 1] : 1000;
	double found = session_find(s, from, &results[count++]);
	bench_progress_end();
	if (found == 0) {
		fprintf(stderr, "rwbench: limit: not even %.0f calls a second without failure\n", from);
		return BENCH_FAILED;
	}
	o->json ? print_json(s, results, count) : print(s, results, count);
	return BENCH_DONE;
}

int bench_limit(int argc, char **argv)
{
	struct load_options options;

	set_defaults(&options);
	int status = load_options_read(argc, argv, FOR_LIMIT, text, &options);
	if (status >= 0)
		return status;
	if (options.smoke)
		make_small(&options);
	struct load_result *results = calloc(RESULTS_MAX, sizeof *results);
	struct session *s = results ? session_open(&options) : NULL;
	status = s ? measure(s, results) : BENCH_FAILED;
	if (s)
		session_close(s);
	free(results);
	return status;
}
