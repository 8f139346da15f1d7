/* How many INVITEs a worker's sockets let in while it is offered more than it can even refuse.
 *
 * A 503 costs an eighth of what a call does, so at eight times what a worker carries all its time would go into
 * refusals.  The worker looks, once a period of a tenth of a second, how many INVITEs it had to decide on and how many
 * of them it took (core/call/shed.h).  SURPLUS_TIMES as many as it takes are let in, so whoever is let in and refused
 * hears of it at once, and what is more is dropped in the kernel; its sender tries again after T1.
 *
 * INVITEs that are dropped come again, so it is not begun for a moment's sake: not before SURPLUS_PERIODS in a row had
 * too many.  Letting in more waits for nothing. */
#ifndef RW_CORE_NET_SURPLUS_H
#define RW_CORE_NET_SURPLUS_H

#include <stdint.h>

#include "core/net/surplus_bpf.h"

#define SURPLUS_TIMES   8
#define SURPLUS_PERIODS 10
#define SURPLUS_LEAST   16 /* INVITEs in a period, where next to none is taken */
#define SURPLUS_FEWEST  (SURPLUS_ALL / 1024)

struct surplus {
	uint32_t share;    /* of INVITEs that are let in, of SURPLUS_ALL */
	unsigned too_many; /* periods in a row */
};

static inline void surplus_init(struct surplus *s)
{
	*s = (struct surplus){ .share = SURPLUS_ALL };
}

/* After a period; the share never becomes more than twice or less than half of what it was. */
static inline void surplus_period(struct surplus *s, uint64_t asked, uint64_t taken)
{
	uint64_t wanted = SURPLUS_TIMES * taken + SURPLUS_LEAST, next = (uint64_t)s->share * 2;

	s->too_many = asked > wanted ? s->too_many + 1 : 0;
	if (asked > wanted && s->share == SURPLUS_ALL && s->too_many < SURPLUS_PERIODS)
		return;
	if (asked > 0 && (uint64_t)s->share * wanted / asked < next)
		next = (uint64_t)s->share * wanted / asked;
	if (next < s->share / 2)
		next = s->share / 2;
	if (next < SURPLUS_FEWEST)
		next = SURPLUS_FEWEST;
	s->share = next < SURPLUS_ALL ? (uint32_t)next : SURPLUS_ALL;
}

#endif
