/* Calls through a switch that may die at any moment: callers and callees, their scripts, and what they know of each
 * call afterwards.  RFC 3261 13 to 17, RFC 4028.
 *
 * A call's number is in everything that the peers put on the wire: the number dialled and their tags, so no table is
 * needed to find it.  Both peers live as long as the generator does, whatever becomes of the switch: they send again
 * what is not answered, and note what they hear.
 *
 * No clock and no socket in here: tests/sim plays the same peers on a virtual network. */
#ifndef RW_TESTS_CRASH_CALLS_H
#define RW_TESTS_CRASH_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/crash/agenda.h"
#include "tests/crash/message.h"

#define CALLS_MS UINT64_C(1000000)
#define CALLS_S  UINT64_C(1000000000)

/* Transmissions of a BYE that are noted: one of them was the one that the switch heard. */
#define BYES_MAX 16

enum side { CALLER, CALLEE, SIDES };

/* When something was sent: the time by which it had not gone yet, and that by which it had. */
struct sending {
	uint64_t before_ns, after_ns;
};

/* What a peer knows of its side of a call. */
struct side_truth {
	struct sending byes[BYES_MAX]; /* its BYE was sent, and sent again */
	unsigned bye_count;
	unsigned bye_status;                  /* final response to it; 408: none came */
	uint64_t bye_in_ns;                   /* first BYE of the switch; 0: none */
	unsigned refreshes_in, refreshes_out; /* answered with 2xx */
	unsigned lost;   /* final response to a refresh that ends the dialog: 481, 408 (also: none came) */
	bool orphan;     /* the other side was over long ago and no BYE came */
	bool expired;    /* no refresh came within the interval */
	bool no_ack;     /* the callee's 200 was not acknowledged in time */
	bool stale_cseq; /* a request of the switch came with a CSeq that was used up (RFC 3261 12.2.2) */
};

struct call_truth {
	uint64_t placed_ns;
	uint64_t seen_ns;  /* the caller saw the 200; 0: never */
	struct sending ok; /* the callee's 200: from the first to the last before its ACK came */
	bool cancelled;    /* the caller sent CANCEL: where that crosses the 200 the call was never up */
	unsigned refusal;  /* final response to the INVITE other than 2xx; 0: none */
	struct side_truth sides[SIDES];
};

struct calls_settings {
	const char *node, *peers[SIDES]; /* host:port */
	/* Sends a datagram of a side to the node; what does not fit is lost, as on a wire. */
	struct sending (*send)(void *context, enum side side, const char *at, size_t size);
	void *context;
	uint64_t t1_ns;
	uint64_t hold_min_ns, hold_max_ns;
	uint64_t patience_ns; /* until a side takes it that no BYE will come any more */
	uint32_t expires_s;   /* Session-Expires that callers ask for */
	bool plain;           /* no cancelled or refused calls, no late ACKs: for many calls at once */
	uint64_t seed;
};

struct calls;

struct calls_counts {
	uint32_t placed, settled, up; /* up: answered at both ends, and nobody has hung up */
};

struct calls *calls_create(const struct calls_settings *settings);
void calls_free(struct calls *c);

void calls_place(struct calls *c, uint64_t now_ns);
void calls_datagram(struct calls *c, uint64_t now_ns, enum side side, const char *at, size_t size);
void calls_advance(struct calls *c, uint64_t now_ns);
uint64_t calls_next_ns(const struct calls *c);
struct calls_counts calls_count(const struct calls *c);

/* Everyone who would hang up later does so within `over_ns` from now. */
void calls_hang_up(struct calls *c, uint64_t now_ns, uint64_t over_ns);

/* Asks after `count` random calls that are up: first one, again every 5 ms until it is answered; then all others at
 * once, every second one with an UPDATE (RFC 3311), the others with BYE. */
void calls_probe(struct calls *c, uint64_t now_ns, unsigned count);
struct probe_result {
	uint64_t first_ns, last_ns;        /* answers; 0: none yet */
	unsigned asked, answered, refused; /* refused: not with 2xx */
};
struct probe_result calls_probed(const struct calls *c);

const struct call_truth *calls_truth(const struct calls *c, uint32_t call);
/* One line a call, tab-separated, under a line of names. */
void calls_write_truth(const struct calls *c, FILE *out);

#endif
