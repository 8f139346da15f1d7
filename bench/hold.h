/* rwbench hold: calls are brought up and kept while both ends answer refreshes (RFC 4028).
 *
 * A refresh is due in the last tenth of its segment, the interval's N-th part, counted from the latest 2xx: when in it
 * is the switch's own choice, so what is measured here is the time after the earliest moment, and whether the segment
 * had ended.  How late the switch was against its own choice it must say itself (--stats). */
#ifndef RW_BENCH_HOLD_H
#define RW_BENCH_HOLD_H

#include <jansson.h>
#include <stdint.h>

#include "bench/session.h"
#include "bench/spread.h"

enum { HOLD_CALLER, HOLD_CALLEE, HOLD_LEGS, HOLD_WINDOWS_MAX = 16 };

#define HOLD_TOLERANCE_NS UINT64_C(10000000)

/* Refreshes that came on the legs of one kind. */
struct hold_leg {
	uint64_t refreshes, updates; /* and of them, how many were UPDATE */
	uint64_t repeated;           /* before half of the segment: the one before, sent again */
	uint64_t early;              /* more than HOLD_TOLERANCE_NS before the last tenth of the segment */
	uint64_t late;               /* more than HOLD_TOLERANCE_NS after its end */
	uint64_t outside;            /* after the whole interval */
	struct spread after_earliest;
	struct spread after_end; /* only those after the end of the segment */
};

/* Coming up, or being kept. */
struct hold_phase {
	uint64_t ns;
	struct hold_leg leg[HOLD_LEGS];
	bool has_switch;
	struct process_usage usage; /* of the switch */
	uint64_t own_cpu_ns, own_wait_ns, stolen_ns, turn_max_ns;
	uint64_t unsent; /* sends that the kernel refused */
};

enum hold_phase_kind { HOLD_COMING_UP, HOLD_KEPT, HOLD_PHASES };

struct hold {
	struct session *session;
	uint32_t interval_s[HOLD_LEGS]; /* as the latest refresh says */
	enum hold_phase_kind now;
	struct hold_phase phase[HOLD_PHASES];
	struct load_counts counts[HOLD_PHASES]; /* at the end of each */
	uint64_t up_at_start, up;               /* calls, at the ends of the second phase */
	uint64_t overdue[HOLD_LEGS]; /* legs up at the end whose segment had ended without a refresh: late ones too */
	uint64_t silent[HOLD_LEGS];  /* and of them, whose whole interval had: lost, though nobody says so */
	uint64_t windows[HOLD_LEGS][HOLD_WINDOWS_MAX];         /* calls by refreshes, the last: that many or more */
	uint64_t pss_empty_bytes, pss_up_bytes, pss_end_bytes; /* of the switch; 0: not known */
	uint64_t own_pss_bytes;
	json_t *stats_before, *stats_after; /* of the switch around the second phase, NULL: not asked */
	struct process_usage seen[2];       /* for the samples of --plot: when the latest was taken, and now */
	uint64_t seen_failed, seen_own_cpu_ns;
	uint64_t ended; /* with BYE, 0: they were left */
	bool ended_all;
};

void hold_print(const struct hold *h);
json_t *hold_json(const struct hold *h);

/* Refreshes that `share` (0 to 1) of the calls have at least not more than: the smallest such number. */
unsigned hold_windows(const struct hold *h, unsigned leg, double share);

#endif
