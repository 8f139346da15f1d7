/* Strangers: datagrams from addresses that are no gateway's.  What they get is one answer a request (spec 4), to no
 * more requests than their source has a right to, and of no more bytes than they have sent and STRANGER_EXTRA_BYTES;
 * the rest is dropped before it is read.  None of them makes a call or a transaction.
 *
 * How many: RW_UNAUTHORIZED_RATE a second from one source (IPv4 address, IPv6 /64) and RW_UNAUTHORIZED_RATE_ALL from
 * all of them, each with a second's worth at once; every shard allows its share, as Call-IDs choose the shard.
 *
 * The table knows no sources: a source is two cells, chosen by a keyed hash, and is over its rate when both are.  A
 * cell is one moment, when it will be empty again (the leaky bucket as GCRA has it).  So there is nothing to fill:
 * whoever sends from many addresses silences strangers, who have no right to an answer, and whom it cannot choose.
 *
 * A message of a call may come from any address (the peer behind a proxy, a carrier with several): it holds a token of
 * ours (core/ident.h), where a search finds it, and is read whatever the source.  If it is of nothing that there is,
 * its answer is paid for like any other. */
#ifndef RW_CORE_CALL_STRANGER_H
#define RW_CORE_CALL_STRANGER_H

#include "core/call/state.h"

#define STRANGER_CELLS       4096u
#define STRANGER_KNOWN       64u
#define STRANGER_SEARCHED    4096u /* bytes of a datagram, for a token: request line, Vias, To and Call-ID stand first */
#define STRANGER_EXTRA_BYTES 300u  /* of an answer, beyond its request */

/* A share of what one second allows: gap_ns 0 is no limit. */
struct stranger_rate {
	uint64_t gap_ns;   /* between two at the rate */
	uint64_t burst_ns; /* how far ahead of the rate they may be */
};

struct strangers {
	uint64_t k0, k1;
	struct stranger_rate one, all, records;
	uint64_t all_empty_ns, records_empty_ns;
	uint64_t dropped;                     /* since the log was told */
	uint64_t tell_ns;                     /* not again before that */
	struct address known[STRANGER_KNOWN]; /* gateways' sources seen lately: a trunk sends a call's every message */
	uint64_t empty_ns[STRANGER_CELLS];    /* when each cell is empty */
};

enum stranger_verdict { STRANGER_TAKEN, STRANGER_OVER, STRANGER_OVER_ALL };

/* No limits yet. */
void strangers_init(struct strangers *t, uint64_t k0, uint64_t k1);
/* Another configuration.  Rates a second of the node, of which this shard has one part in `shards`; 0 is no limit. */
void strangers_configure(struct strangers *t, uint32_t rate, uint32_t rate_all, uint32_t shards);
/* One request; only one that is taken counts. */
enum stranger_verdict strangers_take(struct strangers *t, const struct address *source, uint64_t now_ns);
/* One CDR of a refused INVITE (SERVER_BILLING_RECORD_ILLEGAL_CALL): 100 a second of the node, 10 s of these at once. */
bool strangers_record(struct strangers *t, uint64_t now_ns);

/* Whether in the first STRANGER_SEARCHED bytes there is a token that we minted; looks at the first few that could be
 * one.
 */
bool stranger_holds_token(const struct ident_key *key, struct bytes datagram);

/* ---- the message under way ---- */

/* Before it is read: whether it is to be.  What another shard has handed over has been let in there. */
bool stranger_let_in(struct shard *s, const struct flow *from, struct bytes datagram, bool handed_over);
/* Whether its sender may have an answer of no call: a gateway always; others unless SS_REPLY_UNAUTHORIZED is off or the
 * rate is over. */
bool stranger_is_answered(struct shard *s, const struct flow *from);
/* Whether an answer of this size may go to its sender; one that may not is counted. */
bool stranger_may_hear(struct shard *s, size_t answer_bytes);
/* Counts a request of a stranger by its method. */
void stranger_count(struct shard *s, enum sip_method method);

#endif
