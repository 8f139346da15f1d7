/* Time as a shard sees it.  Both clocks are read once a turn of the loop; a datagram's receive stamp (CLOCK_REALTIME)
 * is carried over to CLOCK_MONOTONIC by its age.  What the shard is told of deadlines never runs backwards and nothing
 * is ahead of the turn; a stamp whose age is not believable counts as just arrived.  Arrivals keep their own times: of
 * two sockets, or of two workers, the later datagram may be read first.
 *
 * That the wall clock was set is seen by its distance from the other one, which a reading finds to be another than the
 * reading before.  Stamps of before that are carried over by the former distance; which those are the stamp itself
 * tells: by the new one they would have come before the wall clock can have been set, or are yet to come.  Where both
 * distances make sense the later time counts.
 *
 * The two clocks cannot be read at once, and a thread that loses its core in between would put its datagrams into the
 * past or the future by all that time.  So the wall clock is read between two readings of the other one, which bound
 * how far apart the clocks are.  Of a few readings the closest counts; where even that was torn apart, what was known
 * before goes on as long as the bounds allow it, which they do not when the wall clock was set.
 *
 * When a worker begins, datagrams wait in its sockets that came while calls of a former process were taken up.  Until
 * they are read the clock is behind: deadlines and notes wait for them, and a BYE among them ends its call at the
 * moment in which it came.  But not for ever: whoever floods one worker from its start on must not stop the time of
 * all. */
#ifndef RW_CORE_NET_CLOCK_H
#define RW_CORE_NET_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/flow.h"

#define CLOCK_STAMP_AGE_MAX_NS INT64_C(5000000000)
#define CLOCK_BEHIND_MAX_NS    UINT64_C(2000000000) /* from the first turn on */
#define CLOCK_GAP_NS           1000                 /* between two readings that follow each other, at most */
#define CLOCK_READINGS         3
/* The wall clock is said to be set when it has gone by so much more or less than the other one, and a thousandth of the
 * time between the readings: twice what the kernel slews it by for NTP. */
#define CLOCK_SLEW_NS INT64_C(5000000)

struct clock {
	uint64_t now_ns;          /* CLOCK_MONOTONIC of this turn */
	int64_t real_ns;          /* CLOCK_REALTIME of this turn, since 1970 */
	uint64_t told_ns;         /* the latest time the shard was told */
	bool behind;              /* time goes on with the datagrams only */
	uint64_t behind_until_ns; /* at the latest; 0: no turn yet */

	/* the wall clock was last set between these readings; 0: not that anybody knew */
	uint64_t set_after_ns, set_before_ns;
	int64_t former_ns; /* realtime minus monotonic until then */
};

static inline uint64_t clock_read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Realtime minus monotonic is from `least_ns` to `most_ns`. */
struct clock_reading {
	uint64_t now_ns; /* CLOCK_MONOTONIC, last */
	int64_t least_ns, most_ns;
};

static inline struct clock_reading clock_bounds(uint64_t before_ns, int64_t real_ns, uint64_t after_ns)
{
	return (struct clock_reading){ .now_ns = after_ns,
				       .least_ns = real_ns - (int64_t)after_ns,
				       .most_ns = real_ns - (int64_t)before_ns };
}

static inline bool clock_is_close(const struct clock_reading *r)
{
	return r->most_ns - r->least_ns <= CLOCK_GAP_NS;
}

/* One more reading: the closer one counts, unless the wall clock was set between them. */
static inline void clock_add_reading(struct clock_reading *r, const struct clock_reading *other)
{
	bool closer = other->most_ns - other->least_ns < r->most_ns - r->least_ns;
	bool set = other->most_ns < r->least_ns || other->least_ns > r->most_ns;

	if (closer || set)
		*r = *other;
	r->now_ns = other->now_ns;
}

static inline struct clock_reading clock_read_once(void)
{
	uint64_t before_ns = clock_read_ns(CLOCK_MONOTONIC);
	int64_t real_ns = (int64_t)clock_read_ns(CLOCK_REALTIME);

	return clock_bounds(before_ns, real_ns, clock_read_ns(CLOCK_MONOTONIC));
}

static inline struct clock_reading clock_read(void)
{
	struct clock_reading r = clock_read_once();

	for (unsigned i = 1; i < CLOCK_READINGS && !clock_is_close(&r); i++) {
		struct clock_reading other = clock_read_once();
		clock_add_reading(&r, &other);
	}
	return r;
}

/* The wall clock at r->now_ns, if realtime minus monotonic was known_ns before. */
static inline int64_t clock_real_ns(const struct clock_reading *r, int64_t known_ns)
{
	bool keeps = !clock_is_close(r) && known_ns >= r->least_ns && known_ns <= r->most_ns;

	return (int64_t)r->now_ns + (keeps ? known_ns : r->least_ns + (r->most_ns - r->least_ns) / 2);
}

/* Realtime minus monotonic, as far as is known. */
static inline int64_t clock_known_ns(const struct clock *c)
{
	return c->real_ns - (int64_t)c->now_ns;
}

static inline void clock_turn(struct clock *c, uint64_t monotonic_ns, int64_t real_ns)
{
	const int64_t former_ns = clock_known_ns(c), set_by_ns = real_ns - (int64_t)monotonic_ns - former_ns;
	const int64_t slewed_ns = CLOCK_SLEW_NS + (int64_t)((monotonic_ns - c->now_ns) / 1000);

	if (c->now_ns != 0 && (set_by_ns > slewed_ns || set_by_ns < -slewed_ns)) {
		c->set_after_ns = c->now_ns;
		c->set_before_ns = monotonic_ns;
		c->former_ns = former_ns;
	}
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

/* At the end of a turn behind: whether there is something to wait for still. */
static inline void clock_wait(struct clock *c, bool waits)
{
	if (!c->behind_until_ns)
		c->behind_until_ns = c->now_ns + CLOCK_BEHIND_MAX_NS;
	c->behind = waits && c->now_ns < c->behind_until_ns;
}

static inline void clock_tell_arrival(struct clock *c, uint64_t at_ns)
{
	if (at_ns > c->told_ns)
		c->told_ns = at_ns;
}

/* Stamps of before the wall clock was set may still come. */
static inline bool clock_was_set_lately(const struct clock *c)
{
	return c->set_before_ns != 0 && c->now_ns - c->set_before_ns <= CLOCK_STAMP_AGE_MAX_NS;
}

/* What by the wall clock was stamp_ns, by the other one. */
static inline int64_t clock_carry_over(const struct clock *c, int64_t stamp_ns)
{
	const int64_t at_ns = stamp_ns - clock_known_ns(c), former_at_ns = stamp_ns - c->former_ns;

	if (!clock_was_set_lately(c))
		return at_ns;
	const bool since = at_ns > (int64_t)c->set_after_ns && at_ns <= (int64_t)c->now_ns;
	const bool before = former_at_ns <= (int64_t)c->set_before_ns;
	if (before && (!since || former_at_ns > at_ns))
		return former_at_ns;
	return since ? at_ns : (int64_t)c->now_ns;
}

/* For a datagram received at stamp_ns by the wall clock; 0: it has no stamp. */
static inline void clock_arrival(struct clock *c, int64_t stamp_ns, struct arrival *ret_arrival)
{
	int64_t age_ns = stamp_ns != 0 ? (int64_t)c->now_ns - clock_carry_over(c, stamp_ns) : 0;
	uint64_t at_ns = c->now_ns;

	if (age_ns > 0 && age_ns <= CLOCK_STAMP_AGE_MAX_NS && (uint64_t)age_ns < c->now_ns)
		at_ns -= (uint64_t)age_ns;
	if (age_ns > CLOCK_STAMP_AGE_MAX_NS) /* both times are this turn's */
		stamp_ns = 0;
	clock_tell_arrival(c, at_ns);
	ret_arrival->now_ns = at_ns;
	ret_arrival->real_us = (stamp_ns != 0 ? stamp_ns : c->real_ns) / 1000;
}

/* A datagram that came behind this turn's readings, because the thread has lost its core since or was long busy: they
 * are to be taken anew, or it would count as having come with them, and a call would end before its BYE came. */
static inline bool clock_is_outrun(const struct clock *c, int64_t stamp_ns)
{
	return stamp_ns > c->real_ns;
}
static inline bool clock_is_outrun_by(const struct clock *c, const struct arrival *arrival)
{
	return arrival->now_ns > c->now_ns;
}

/* The same for an arrival that another shard's clock translated. */
static inline void clock_handed_over(struct clock *c, struct arrival *arrival)
{
	if (arrival->now_ns > c->now_ns)
		arrival->now_ns = c->now_ns;
	clock_tell_arrival(c, arrival->now_ns);
}

#endif
