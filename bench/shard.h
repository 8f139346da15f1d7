/* rwbench shard: what its parts share.  Private to bench/shard*.c.
 *
 * A whole shard without a network: every call of a synthetic caller goes through core/shard.h to a synthetic callee, 14
 * messages each, with as many others up at the same time as asked for.  Time is virtual, so deadlines fire as at the
 * rate asked for however fast the machine is.  Calls go through in batches, one kind of message after another, as
 * datagrams come to a worker in batches; so the clock is read twice a batch and not twice a message, and what the peers
 * do lies outside. */
#ifndef RW_BENCH_SHARD_H
#define RW_BENCH_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ident.h"
#include "sip/bytes.h"

#define SHARD_BATCH_MAX 4096

/* What goes into the shard, in the order of a call; then what is not a message of the call itself. */
enum shard_step {
	STEP_INVITE,
	STEP_TRYING,  /* 100 */
	STEP_RINGING, /* 180 */
	STEP_ANSWER,  /* 200 */
	STEP_ACK,
	STEP_BYE,
	STEP_BYE_ANSWER, /* 200 */
	STEP_CALL_END,
	STEP_REFRESH = STEP_CALL_END, /* 200 to an UPDATE of the shard's */
	STEP_DEADLINES,               /* shard_advance(), UPDATEs that it sends included */
	STEPS
};
extern const char *const shard_step_names[STEPS];

/* ---- the peers ---- */

/* What a caller remembers of a call that is up. */
struct peer_call {
	uint64_t number;        /* of the call: Call-ID and tag are made of it */
	char token[IDENT_SIZE]; /* the switch's tag and Contact user on this leg */
};

struct peer_settings {
	bool timer; /* RFC 4028 at both ends */
	bool sdp;   /* a session description of its own for each leg */
	uint64_t seed;
};

void peer_init(const struct peer_settings *settings);

/* The caller's requests; `out` has room for PEER_MESSAGE_MAX.  They return the size. */
#define PEER_MESSAGE_MAX 2048
uint32_t peer_invite(const struct peer_call *call, char *out);
uint32_t peer_ack(const struct peer_call *call, char *out);
uint32_t peer_bye(const struct peer_call *call, char *out);

/* Takes the switch's tag out of its response to the INVITE.  false: there is none. */
bool peer_learn(struct peer_call *call, struct bytes response);

/* The answer of the caller or the callee to a request of the switch's: `step` STEP_TRYING, STEP_RINGING, STEP_ANSWER,
 * STEP_BYE_ANSWER or STEP_REFRESH.  Returns the size. */
uint32_t peer_answer(struct bytes request, enum shard_step step, bool caller, char *out);

/* ---- the measurement ---- */

struct shard_run_settings {
	struct peer_settings peer;
	uint32_t live;   /* calls that are up between two batches */
	uint64_t calls;  /* a round */
	uint64_t warm;   /* calls that come and go before, when `live` are up */
	unsigned rounds; /* the result is the median of them */
	uint32_t batch;
	uint32_t rate; /* calls a second of virtual time */
	bool records;  /* live calls are written down as well as their CDRs */
	bool show;     /* print the messages of the first call */
};

struct shard_result {
	double step_ns[STEPS]; /* CPU time in the shard a call, not a message: what fires for others counts as well */
	double call_ns;        /* their sum */
	double peers_ns;       /* a call; outside the shard */
	double edge_ns;        /* a datagram sent; of it part of the above: the counting edge alone */
	double refreshes;      /* a call */
	double bytes_in, bytes_out; /* a call */
	double live_bytes;    /* memory a live call: growth of the process while `live` came up; 0: too few to tell */
	double cdr_bytes;     /* one record in the queue */
	double record_bytes;  /* a call, of all its other records */
	uint64_t calls, cdrs; /* ended in all rounds, and records of them */
	uint64_t tombstones;  /* at the end */
	uint64_t unexpected;  /* messages that were not to come, or did not; records that do not say "normal" */
};

/* 0 or a negative errno. */
int shard_measure(const struct shard_run_settings *settings, struct shard_result *ret_result);

#endif
