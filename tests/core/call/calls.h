/* For the tests of calls: a simulated node with its gateways, and what is asked of every run at its end. */
#ifndef RW_TESTS_CORE_CALL_CALLS_H
#define RW_TESTS_CORE_CALL_CALLS_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/sim/peer.h"
#include "tests/sim/watch.h"

#define SEED 42

/* One way takes this long, unless a test says otherwise. */
#define WAY_NS SIM_MS

/* A callee that rings at once and answers after two seconds. */
#define ANSWERS                                                                                                        \
	{                                                                                                              \
		.ring_ns = 100 * SIM_MS, .final_ns = 2 * SIM_S                                                         \
	}
#define HANGS_UP(seconds)                                                                                              \
	{                                                                                                              \
		STEP_BYE, false, (seconds)*SIM_S                                                                       \
	}
#define CALLEE_HANGS_UP(seconds)                                                                                       \
	{                                                                                                              \
		STEP_BYE, true, (seconds)*SIM_S                                                                        \
	}

#define ONE_GATEWAY                                                                                                    \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"                                                     \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n"

static inline void assert_good(const struct sim *sim)
{
	if (sim->failed)
		sim_print_failure(sim, stderr);
	cr_assert_not(sim->failed, "%s: %s", sim->failure_check, sim->failure);
}

/* Everything ends, nothing is left, and all checks of the simulation have held. */
static inline void finish(struct sim *sim)
{
	sim_finish(sim);
	assert_good(sim);
	sim_destroy(sim);
}

static inline const struct cdr *cdr_of(const struct sim_call *call)
{
	cr_assert_eq(call->cdr_count, 1, "%u CDRs", call->cdr_count);
	return &call->cdr->cdr;
}

#define assert_reason(call, reason)                                                                                    \
	cr_assert_eq(cdr_of(call)->end_reason, CDR_END_##reason, "ended as %s",                                        \
		     cdr_end_reason_name(cdr_of(call)->end_reason))

/* A deadline: not early, at most a tick late. */
static inline void assert_after(uint64_t later_ns, uint64_t earlier_ns, uint64_t wait_ns)
{
	uint64_t waited_ns = later_ns - earlier_ns;
	cr_assert(later_ns && earlier_ns && waited_ns >= wait_ns && waited_ns <= wait_ns + SIM_MS,
		  "%llu us, not %llu us", (unsigned long long)waited_ns / 1000, (unsigned long long)wait_ns / 1000);
}

#endif
