/* A hierarchical timing wheel: arm, re-arm and cancel in constant time, never early, told the time and never asking.
 *
 * level  slot        reaches      holds
 *   0     1 ms        64 ms       work for the next ticks
 *   1    64 ms         4.1 s      T1 = 500 ms: the first steps of Timers A, E, G
 *   2     4.1 s      262 s        T4 = 5 s; 64*T1 = 32 s: Timers B, F, H, J; waiting on a routing gateway
 *   3   262 s        4 h 39 m     refresh boundaries and interval (600 s), the no-timer cap (7200 s)
 *   4   4 h 39 m     12 d 10 h    the longest caps, 604800 s
 *   5  12 d 10 h     2 y 65 d     nothing yet
 *
 * Each level has 128 slots, twice the 64 that make one slot of the level above.  So while the time is inside upper
 * slot U, the whole of upper slot U+1 already fits into the level below, and is moved down during U, a bounded number
 * of entries an advance: a full slot never stalls the loop.  The wheel's own tick does not enter U+1 before that slot
 * is empty; if it cannot keep up it stays behind the real time for a few advances (late, never early).
 *
 * Entries are intrusive: the owner embeds a struct wheel_entry and moves neither it nor the wheel while it is armed.
 * A deadline in nanoseconds is rounded up to a tick of 1 ms.  Not thread-safe: one shard owns one wheel. */
#ifndef RW_TIMERS_WHEEL_H
#define RW_TIMERS_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK_NS       UINT64_C(1000000)
#define WHEEL_LEVELS        6
#define WHEEL_SLOTS         128 /* a level */
#define WHEEL_DEADLINE_NONE UINT64_MAX
#define WHEEL_AHEAD_MAX     UINT64_C(2592000000) /* ticks: 30 days; later deadlines are brought forward to this */
#define WHEEL_MOVES_AHEAD   256                  /* entries an advance moves down ahead of time, when it is on time */
#define WHEEL_MOVES_MAX     512                  /* entries an advance ever moves down, when it has fallen behind */

struct wheel_link {
	struct wheel_link *next; /* in an entry: NULL when not armed */
	struct wheel_link *prev;
};

struct wheel_entry {
	struct wheel_link link; /* first, so that a link is its entry */
	uint64_t tick : 48;     /* deadline, ticks of the shard's monotonic clock, rounded up */
	uint64_t kind : 16;     /* the owner's: what kind of record it is embedded in; survives arming */
};

struct wheel {
	uint64_t tick;                                     /* all before and at this tick has been moved to `due` */
	uint64_t armed;                                    /* entries linked anywhere, also in `due` */
	uint64_t moved;                                    /* entries moved down a level since wheel_init() */
	uint64_t occupied[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* a bit a slot that holds an entry */
	struct wheel_link slot[WHEEL_LEVELS][WHEEL_SLOTS]; /* heads of circular lists, oldest entry first */
	struct wheel_link due; /* expired, waiting for wheel_pop() in the order in which they came due */
};

/* Any now_ns.  An entry may also be all zero bytes instead of wheel_entry_init(): not armed, kind 0. */
void wheel_init(struct wheel *w, uint64_t now_ns);
void wheel_entry_init(struct wheel_entry *e, uint16_t kind);

static inline bool wheel_armed(const struct wheel_entry *e)
{
	return e->link.next != NULL;
}

/* Arms or re-arms.  A deadline that has passed is due at the next wheel_pop(), so a loop that pops until there is
 * nothing and arms for "now" does not end.  WHEEL_DEADLINE_NONE is one more deadline that is too far away: to have
 * none, cancel.  WHEEL_AHEAD_MAX counts from the last wheel_advance(). */
void wheel_arm(struct wheel *w, struct wheel_entry *e, uint64_t deadline_ns);

/* Cancels; nothing happens if it is not armed. */
void wheel_cancel(struct wheel *w, struct wheel_entry *e);

/* Moves what came due until now_ns to the due list, and moves entries of the slots that come up next down: at most
 * WHEEL_MOVES_AHEAD of them, or WHEEL_MOVES_MAX when the way to now_ns leads through full slots; if that is not enough
 * wheel_next_ns() is in the past and the caller comes again at once.  A second call within a tick does nothing.  Time
 * never goes backwards: an earlier now_ns than before is ignored. */
void wheel_advance(struct wheel *w, uint64_t now_ns);

/* Takes the next due entry off the wheel (it is not armed any more), NULL if there is none.  Between wheel_pop()s the
 * caller may arm and cancel anything, due entries too. */
struct wheel_entry *wheel_pop(struct wheel *w);

/* When wheel_advance() or wheel_pop() has work next: in the past if entries are due or the wheel is behind,
 * WHEEL_DEADLINE_NONE if nothing is armed.  May be earlier than the first deadline (to move entries down in time),
 * never later; after an advance that kept up and with nothing left to pop it is later than that advance's now_ns.
 * Constant time. */
uint64_t wheel_next_ns(const struct wheel *w);

/* The deadline an entry was armed for, rounded up to the tick. */
static inline uint64_t wheel_deadline_ns(const struct wheel_entry *e)
{
	return (uint64_t)e->tick * WHEEL_TICK_NS;
}

/* Walks everything and asserts the structure: links, bitmaps, each entry in a slot that its deadline allows, none left
 * in a slot that is due, the count.  For tests and the simulation. */
void wheel_check(const struct wheel *w);

#endif
