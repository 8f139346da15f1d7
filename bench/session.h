/* A measurement with calls: the switch or the forwarder between the two ends, a run at a rate, and what came of it. */
#ifndef RW_BENCH_SESSION_H
#define RW_BENCH_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/launch.h"
#include "bench/load.h"
#include "bench/load_options.h"
#include "bench/machine.h"
#include "bench/plot.h"
#include "bench/process.h"

struct load_result {
	double rate;     /* offered */
	uint64_t run_ns; /* while calls were started */
	bool drained;    /* all of them ended */
	struct load_counts counts;
	struct spread ringing_delay, answer_delay, late, invite_delay;
	uint64_t datagrams_in, datagrams_out, unsent;
	uint64_t own_cpu_ns, own_wait_ns; /* of our thread in run_ns: on a core, and waiting for one */
	uint64_t stolen_ns;               /* by the hypervisor from all cores in run_ns */
	bool has_switch;
	struct process_usage running;               /* of the switch in run_ns */
	struct process_usage all;                   /* until the last call had ended and a little more */
	uint64_t pss_before_bytes, pss_after_bytes; /* at the ends of run_ns */
};

struct session {
	struct load_options options;
	struct load load;
	struct machine machine;
	pid_t pid;            /* of the switch, 0: not known */
	struct launch launch; /* of a switch that is ours */
	char stats[96];       /* its control socket */
	bool forwarder, ours;
	bool looking; /* for the highest rate */
	const char *switch_name;
	struct sample *sample;
	size_t samples, samples_room;
};

/* NULL: the reason is on stderr. */
struct session *session_open(const struct load_options *options);
void session_close(struct session *s);

/* Calls at a rate, changing evenly to another, for a time; then until all have ended. */
void session_run(struct session *s, double rate, double rate_end, uint64_t run_ns, struct load_result *ret_result);

/* The highest rate without failure, by doubling and then halving the interval.  0: not even the first.  The result is
 * of that rate. */
double session_find(struct session *s, double from, struct load_result *ret_result);

/* A sample of the second that ends now, zero but for its time.  NULL: no memory. */
struct sample *session_add_sample(struct session *s, double at_s);
/* With --plot, what the samples show.  false: the reason is on stderr. */
bool session_plot(const struct session *s, const char *bench, bool by_rate);

/* Whether a switch could be blamed for it. */
bool result_good(const struct session *s, const struct load_result *r);

/* Who was at the end of its strength. */
enum bottleneck { BOTTLENECK_NONE, BOTTLENECK_SWITCH, BOTTLENECK_GENERATOR, BOTTLENECK_BOTH };
enum bottleneck result_bottleneck(const struct load_result *r);
/* Share of the time that others kept either of them off its core: such a figure says little. */
double result_disturbed(const struct load_result *r);
const char *bottleneck_text(enum bottleneck b);

/* ---- printing ---- */

double result_us_per_call(const struct load_result *r);
void result_print(const struct session *s, const struct load_result *r);
json_t *result_json(const struct session *s, const struct load_result *r);
/* Machine, ends and switch: what every output begins with. */
void session_print(const struct session *s, const char *bench);
json_t *session_json(const struct session *s, const char *bench);
void session_print_json(json_t *all);

#endif
