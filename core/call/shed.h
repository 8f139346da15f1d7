/* Overload control (spec 11): which INVITEs that ask for a new call a worker still takes.
 *
 * What comes in is read in the order in which it came, so how long an INVITE has waited in the kernel's receive queue
 * says how far the worker is behind; where the queue is short, because the kernel allows no more, how full it is says
 * so earlier.  Either is a pressure: 0 nothing waits, SHED_BEGIN the most that a worker which keeps pace ever has,
 * SHED_FULL so much that no new call is taken.  In between the share that is taken falls evenly, so shedding settles
 * where what is taken just fits into the time that is left: INVITEs pay for the queue, and everything inside a dialog,
 * responses, ACK, BYE and CANCEL, which are never shed, wait no longer than that.
 *
 * A worker that lost its core for a moment has a long queue, too, and catches up by itself.  So shedding begins when
 * every turn of the loop for SHED_STANDS_NS found one, and is over when none has for SHED_CALM_NS.
 *
 * Of what is shed the sender hears 503 with Retry-After, which ends its retransmissions: an INVITE without an answer
 * comes ten times.  Only where for a second or more hardly any could be taken (a twentieth), since all the time goes
 * into such answers, fewer and fewer are given, and the rest is dropped.  An INVITE that has waited for SHED_STALE_NS
 * is dropped at any time, as its sender has sent it again by then (T1) and the repetition stands behind it in the
 * queue.
 *
 * Which INVITE is taken is drawn by a keyed hash of it: a repetition of one that was refused is not taken a moment
 * later, when its sender has given up.
 *
 * Pure: the time comes with the turns, no memory of its own. */
#ifndef RW_CORE_CALL_SHED_H
#define RW_CORE_CALL_SHED_H

#include <stdbool.h>
#include <stdint.h>

#define SHED_BEGIN_NS  UINT64_C(30000000)  /* waited so long: SHED_BEGIN */
#define SHED_FULL_NS   UINT64_C(130000000) /* SHED_FULL */
#define SHED_STALE_NS  UINT64_C(500000000)
#define SHED_STANDS_NS UINT64_C(200000000)
#define SHED_SHARE_NS  UINT64_C(100000000)
#define SHED_CALM_NS   UINT64_C(1000000000)

enum {
	SHED_BEGIN = 1000,
	SHED_FULL = 2000,
	SHED_BEGIN_PERMILLE = 500, /* of the receive queue: SHED_BEGIN */
	SHED_FULL_PERMILLE = 900,
	SHED_ANSWERED_PERMILLE = 50, /* all that is shed is answered while at least so much is taken */
	SHED_DEADLINES_LEAST = 16,
};

struct shed {
	uint64_t now_ns;       /* of the turn under way */
	uint32_t queue;        /* pressure of the receive queue, as the turn was told */
	uint32_t pressure;     /* the highest of the turn so far */
	uint32_t read;         /* datagrams in the turn so far */
	uint64_t standing_ns;  /* since when every turn had SHED_BEGIN or more; 0: the latest had not */
	uint64_t calm_ns;      /* since when no turn had half of SHED_BEGIN */
	uint64_t begun_ns;     /* when the overload began */
	uint64_t longest_ns;   /* the longest that something has waited, since somebody asked */
	uint64_t shed;         /* INVITEs since it began */
	uint64_t asked, taken; /* INVITEs that were decided on one by one, and those of them that were taken */
	uint64_t share_ns;     /* when `share` was last brought up to date, and what `asked` and `taken` were then */
	uint64_t asked_then, taken_then;
	uint32_t share; /* permille that were taken, smoothed over some SHED_SHARE_NS */
	bool on;
};

/* What a turn brought: both for the log. */
enum shed_news { SHED_NOTHING, SHED_HAS_BEGUN, SHED_HAS_ENDED };

/* A turn of the loop begins at that time; the fullest receive queue is `queue_permille` full.  slept: nothing waited
 * before it. */
enum shed_news shed_turn(struct shed *d, uint64_t now_ns, unsigned queue_permille, bool slept);

/* A datagram is read that came at that time. */
void shed_read(struct shed *d, uint64_t came_ns);

enum shed_verdict { SHED_TAKE, SHED_ANSWER, SHED_DROP };

/* Whether every INVITE is taken that came at that time: nothing else needs to be asked. */
static inline bool shed_takes_all(const struct shed *d, uint64_t came_ns)
{
	return !d->on && d->now_ns < came_ns + SHED_STALE_NS;
}

/* An INVITE for a new call that came at that time; `key` is its hash.  reliable: it came over a transport that repeats
 * nothing, so it is never dropped. */
enum shed_verdict shed_invite(struct shed *d, uint64_t came_ns, uint64_t key, bool reliable);

/* Deadlines that the turn may look at, of `limit`: while much waits to be read, fewer than were read.  The answers to
 * what the shard asks by itself (session refreshes) lie in that queue: it must not ask faster than it hears. */
unsigned shed_deadlines(const struct shed *d, unsigned limit);

#endif
