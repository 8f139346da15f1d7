/* rwbench overload: what a switch still does when more calls are offered than it carries.
 *
 * In one run: the highest rate without failure, as `rwbench cps --find` finds it; calls that are kept up with session
 * timers from then on; for each of --times so many times that rate for a while; then all is ended.  What must hold (the
 * issue that this was built for, and spec 11): calls completed a second stay near the capacity, no call that is up is
 * lost, refreshes and BYEs are answered within half a second, and nothing is left a little later.
 *
 * A refresh of the switch was answered in time, for the switch, if it was not sent again: its first repetition comes
 * after T1, half a second. */
#ifndef RW_BENCH_OVERLOAD_H
#define RW_BENCH_OVERLOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/session.h"

enum { OVERLOAD_SECONDS_MAX = 3600 };

#define OVERLOAD_CALM_NS  (10 * BENCH_SECOND_NS) /* calls are gone so long after the load at the latest */
#define OVERLOAD_EMPTY_NS (40 * BENCH_SECOND_NS) /* and everything else */

/* One rate. */
struct overload_step {
	double times; /* of the capacity */
	struct load_result result;
	uint64_t completed;       /* in run_ns */
	double worst;             /* of its seconds: calls completed in that one */
	struct spread bye_delay;  /* of BYEs answered in run_ns and until all was calm */
	uint64_t byes_prompt;     /* of them, within half a second */
	uint64_t refreshes[2];    /* of the calls kept up: of the caller's leg and of the callee's */
	uint64_t refreshes_again; /* sent again by the switch */
	uint64_t lost;            /* of the calls kept up */
	double calm_s;            /* from the end of the load until the switch had no other calls; < 0: never */
	uint64_t refused, dropped, kernel; /* INVITEs that it refused, left unanswered, never read: by its own count */
	uint64_t overflowed;               /* datagrams that found its receive queue full */
	double queue_age_ms;               /* the largest that was seen once a second */
};

struct overload {
	struct session *session;
	pid_t burden;
	double capacity;
	struct load_result found; /* at that rate */
	uint64_t kept;            /* calls kept up at the beginning */
	struct overload_step *now, step[LOAD_RATES_MAX];
	unsigned steps;
	bool has_stats;
	uint64_t kept_ended; /* with BYE, at the end */
	double gone_s;       /* from their end until the switch had no call; < 0: never */
	double empty_s;      /* from the end of the last load until no gauge showed anything; < 0: never */
};

/* Share of the capacity that was completed. */
double overload_goodput(const struct overload *o, const struct overload_step *p);
double overload_wanted(double times);
bool overload_step_good(const struct overload *o, const struct overload_step *p);

void overload_print(const struct overload *o);
json_t *overload_json(const struct overload *o);

#endif
