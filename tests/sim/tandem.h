/* Two nodes in a row: caller - near node - far node - callee.  Each is a simulation of its own, with its own watch,
 * session timers, clock of the wall, parameters and random numbers; the one that is earlier is always stepped, and at
 * the place of the other node each has a host with a gate, through which datagrams pass from one to the other.
 *
 * Beside what each watch checks of its node, this holds the leg between them, which both know: RFC 4028 7.4, 8.2, 10;
 * spec 5; known bug 17. */
#ifndef RW_TESTS_SIM_TANDEM_H
#define RW_TESTS_SIM_TANDEM_H

#include <stdio.h>

#include "tests/sim/peer.h"

enum tandem_side { NEAR, FAR };

struct tandem_settings {
	uint64_t seed;
	const char *parameters[2]; /* of the near and the far node */
	unsigned shards[2];        /* 0: 1 */
	bool mailbox[2];
	struct link outer, inner; /* between peers and nodes; between the nodes, each way.  Nothing is damaged */
	bool no_update; /* what stands between the nodes lets nobody know of UPDATE: refreshes are re-INVITEs */
};

/* A call through both. */
struct tandem_call {
	struct sim_call *calls[2];
	bool idle; /* its peers do nothing but keep their timers */
	/* the leg between */
	unsigned refreshes[2], claims[2], confirmed[2]; /* by node; see struct session_leg */
	unsigned reinvites;                             /* of the refreshes */
	unsigned passed_on;                             /* INVITEs and UPDATEs in the dialog that are no refreshes */
	uint32_t latest_cseq[2];
	unsigned changes; /* of who had a refresh confirmed */
	unsigned refused_491, too_small;
	uint32_t small_cseq;
	int refresher; /* enum tandem_side; -1: nobody had a refresh confirmed yet */
};

struct tandem;

struct tandem_gate {
	struct gate gate; /* first: what the network knows of it */
	struct tandem *tandem;
	enum tandem_side from; /* whose network it stands in */
	struct host *host;
};

struct tandem {
	struct tandem_settings settings;
	struct sim *sims[2];
	struct tandem_gate gates[2];
	struct tandem_call *calls; /* by serial */
	unsigned call_count, call_room;
	uint64_t parted_ns; /* since when the nodes do not reach each other any more; 0: they do */
	bool far_dead;
	unsigned outages;
};

struct tandem *tandem_create(const struct tandem_settings *settings);
/* tandem_new(.seed = 7, .parameters = { "...", "..." }) */
#define tandem_new(...) tandem_create(&(struct tandem_settings){ __VA_ARGS__ })
void tandem_destroy(struct tandem *t);

static inline uint64_t tandem_now_ns(const struct tandem *t)
{
	return t->sims[NEAR]->now_ns;
}
void tandem_run(struct tandem *t, uint64_t for_ns);
/* Until all is over on both sides, and all has been checked. */
void tandem_finish(struct tandem *t);

/* Begins a call now.  The script's caller is in the near node's network, its callees in the far one's.  Valid until the
 * next is placed. */
struct tandem_call *tandem_place(struct tandem *t, const struct script *script);

/* The nodes do not reach each other; or do again.  Calls must be kept: not for longer than three tenths of an interval,
 * nor than a transaction or a 200 is repeated. */
void tandem_cut(struct tandem *t, bool down);
/* The same for ever: each finds out by itself. */
void tandem_part(struct tandem *t);
/* The far node's machine is gone: nothing that it sends leaves it, nothing reaches it, its callees give up. */
void tandem_far_dies(struct tandem *t);

/* The leg between, as the node on that side sees it; NULL before the call is answered there. */
const struct session_leg *tandem_leg(const struct tandem_call *call, enum tandem_side side);

/* A check failed, on either side or between. */
bool tandem_failed(const struct tandem *t);
/* The messages of both sides in one order; those between the nodes stand there twice, as they were sent and as they
 * came. */
void tandem_print_call(const struct tandem_call *call, FILE *file);
void tandem_print_failure(const struct tandem *t, FILE *file);
void tandem_add_counts(const struct tandem *t, struct sim_counts *sum);

/* ---- tandem_check.c: inside ---- */

void tandem_check_call(const struct tandem *t, const struct tandem_call *call);

/* ---- tandem_traffic.c ---- */

/* One random run of so many calls from a seed, to its end and all its checks. */
struct tandem *tandem_random(uint64_t seed, unsigned calls);

#endif
