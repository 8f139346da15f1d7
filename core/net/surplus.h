/* How many INVITEs a worker's sockets let in while it is offered more than it can even refuse.
 *
 * A 503 costs an eighth of what a call does, so at eight times what a worker carries all its time would go into
 * refusals.  Once in a while the worker looks how many INVITEs it had to decide on and how many of them it took
 * (core/call/shed.h): SURPLUS_TIMES as many as it takes are let in, so whoever is let in and refused hears of it at
 * once, and what is more is dropped in the kernel; its sender tries again after T1. */
#ifndef RW_CORE_NET_SURPLUS_H
#define RW_CORE_NET_SURPLUS_H

#include <stdint.h>

#include "core/net/surplus_bpf.h"

#define SURPLUS_TIMES  8
#define SURPLUS_LEAST  16 /* INVITEs in a period, where next to none is taken */
#define SURPLUS_FEWEST (SURPLUS_ALL / 1024)

/* The share of the next period, after one with this share; never more than twice or less than half of that. */
static inline uint32_t surplus_share(uint32_t share, uint64_t asked, uint64_t taken)
{
	uint64_t wanted = SURPLUS_TIMES * taken + SURPLUS_LEAST, next = (uint64_t)share * 2;

	if (asked > 0 && (uint64_t)share * wanted / asked < next)
		next = (uint64_t)share * wanted / asked;
	if (next < share / 2)
		next = share / 2;
	if (next < SURPLUS_FEWEST)
		next = SURPLUS_FEWEST;
	return next < SURPLUS_ALL ? (uint32_t)next : SURPLUS_ALL;
}

#endif
