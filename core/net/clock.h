/* Time as a shard sees it.  Both clocks are read once a turn of the loop; a datagram's receive stamp (CLOCK_REALTIME)
 * is carried over to CLOCK_MONOTONIC by its age.  What the shard is told never runs backwards and is never ahead of the
 * turn; a stamp whose age is not believable (the wall clock was set) counts as just arrived.
 *
 * When a worker begins, datagrams wait in its sockets that came while calls of a former process were taken up.  Until
 * they are read the clock is behind: deadlines and notes wait for them, and a BYE among them ends its call at the
 * moment in which it came. */
#ifndef RW_CORE_NET_CLOCK_H
#define RW_CORE_NET_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/flow.h"

#define CLOCK_STAMP_AGE_MAX_NS INT64_C(5000000000)

struct clock {
	uint64_t now_ns;  /* CLOCK_MONOTONIC of this turn */
	int64_t real_ns;  /* CLOCK_REALTIME of this turn, since 1970 */
	uint64_t told_ns; /* the latest time the shard was told */
	bool behind;      /* time goes on with the datagrams only */
};

static inline uint64_t clock_read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline void clock_turn(struct clock *c, uint64_t monotonic_ns, int64_t real_ns)
{
	c->now_ns = monotonic_ns;
	c->real_ns = real_ns;
}

/* For deadlines, notes and commands. */
static inline uint64_t clock_tell(struct clock *c)
{
	if (!c->behind)
		c->told_ns = c->now_ns;
	return c->told_ns;
}

/* For a datagram received at stamp_ns by the wall clock; 0: it has no stamp. */
static inline void clock_arrival(struct clock *c, int64_t stamp_ns, struct arrival *ret_arrival)
{
	int64_t age_ns = stamp_ns != 0 ? c->real_ns - stamp_ns : 0;
	uint64_t at_ns = c->now_ns;

	if (age_ns > 0 && age_ns <= CLOCK_STAMP_AGE_MAX_NS && (uint64_t)age_ns < c->now_ns)
		at_ns -= (uint64_t)age_ns;
	if (at_ns < c->told_ns)
		at_ns = c->told_ns;
	c->told_ns = at_ns;
	ret_arrival->now_ns = at_ns;
	ret_arrival->real_us = (stamp_ns != 0 ? stamp_ns : c->real_ns) / 1000;
}

/* The same for an arrival that another shard's clock translated. */
static inline void clock_handed_over(struct clock *c, struct arrival *arrival)
{
	if (arrival->now_ns > c->now_ns)
		arrival->now_ns = c->now_ns;
	if (arrival->now_ns < c->told_ns)
		arrival->now_ns = c->told_ns;
	c->told_ns = arrival->now_ns;
}

#endif
