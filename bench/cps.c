/* rwbench cps: calls a second through a switch. */
#include "bench/session.h"

#include <stdio.h>
#include <stdlib.h>

static const char text[] = "Calls through a SIP switch, both ends here: seven messages on each side (INVITE, 100, 180, "
			   "200, ACK, BYE, 200).\n"
			   "At a rate, on a ramp, or looking for the highest rate without a failed call.";

static void make_small(struct load_options *o)
{
	o->run_ns = BENCH_SECOND_NS;
	o->rate = 200;
	o->find_max = 800;
	o->load.calls_max = 10000;
	o->find_step = 30;
	o->floor = !o->switch_path && o->pid == 0;
}

static void print(struct session *s, const struct load_result *r, double found)
{
	if (s->options.json) {
		json_t *all = session_json(s, "cps");

		if (s->options.find)
			json_object_set_new(all, "highest_rate", json_real(found));
		json_object_set_new(all, "result", result_json(s, r));
		session_print_json(all);
		return;
	}
	session_print(s, "cps");
	if (s->options.find && found > 0)
		printf("\nhighest rate without failure: %.0f calls a second\n", found);
	else if (s->options.find)
		printf("\nno rate without failure: not even %.0f calls a second\n", s->options.rate);
	result_print(s, r);
}

static int measure(struct session *s, struct load_result *r)
{
	const struct load_options *o = &s->options;
	double found = 0;

	if (o->calls > 0)
		s->load.starts_max = o->calls;
	if (o->find)
		found = session_find(s, o->rate, r);
	else
		session_run(s, o->rate, o->ramp_to > 0 ? o->ramp_to : o->rate, o->run_ns, r);
	bench_progress_end();
	print(s, r, found);
	if (!session_plot(s, "cps", o->find || o->ramp_to > 0))
		return BENCH_FAILED;
	return (o->find ? found > 0 : r->counts.failed == 0) ? BENCH_DONE : BENCH_FAILED;
}

int bench_cps(int argc, char **argv)
{
	struct load_options options;

	load_options_init(&options);
	int status = load_options_read(argc, argv, FOR_CPS, text, &options);
	if (status >= 0)
		return status;
	if (options.smoke)
		make_small(&options);
	struct load_result *r = calloc(1, sizeof *r);
	struct session *s = r ? session_open(&options) : NULL;
	status = s ? measure(s, r) : BENCH_FAILED;
	if (s)
		session_close(s);
	free(r);
	return status;
}
