/* Per-shard statistics: one thread writes, others read.  Spec 3 names them; the list here is their only home. */
#ifndef RW_CORE_STATS_H
#define RW_CORE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* name, "counter" or "gauge", what it counts */
#define SHARD_STATS(X)                                                                                                 \
	X(calls_active, gauge, "Calls answered and not ended")                                                         \
	X(calls_setup, gauge, "Calls being set up")                                                                    \
	X(calls_attempted, counter, "INVITEs that became a call")                                                      \
	X(calls_answered, counter, "Calls answered")                                                                   \
	X(calls_failed, counter, "Calls that ended unanswered")                                                        \
	X(invites_rejected_overload, counter, "INVITEs refused with 503 and Retry-After for want of room or time")     \
	X(invites_dropped_overload, counter, "INVITEs left unanswered: too old when they were read, or too many")      \
	X(invites_dropped_kernel, counter, "INVITEs dropped before they were read: too many even to be refused")       \
	X(overloaded, gauge, "Shards that refuse calls because they do not keep pace")                                 \
	X(queue_age_us, gauge, "The longest that anything read in the last tenth of a second had waited")              \
	X(queue_permille, gauge, "How full the fullest receive queue was in that time, in thousandths")                \
	X(queue_drops, counter, "Datagrams that the kernel dropped because a receive queue was full")                  \
	X(refused_capacity, counter, "Calls refused: no line of their mapping gateway was free")                       \
	X(refused_rate, counter, "Calls refused: over the rate limit of their mapping gateway")                        \
	X(refused_account, counter, "Calls refused: account locked, no rate, or not enough credit")                    \
	X(skipped_capacity, counter, "Routing gateways skipped by a call: no line was free")                           \
	X(skipped_rate, counter, "Routing gateways skipped by a call: over their rate limit")                          \
	X(limit_asks, counter, "Questions to another shard about a gateway's limits")                                  \
	X(limit_recalls, counter, "Lines and starts called back from another shard that had lent them")                \
	X(credit_asks, counter, "Questions to another shard for credit of an account")                                 \
	X(credit_recalls, counter, "Credit called back from another shard that had been lent it")                      \
	X(room_asks, counter, "Questions to other shards for a part of their share of max_calls")                      \
	X(limit_silences, counter, "Calls that another shard did not answer in time")                                  \
	X(invites_unauthorized, counter, "INVITEs from no known gateway")                                              \
	X(registers_unauthorized, counter, "REGISTERs from no known gateway")                                          \
	X(options_unauthorized, counter, "OPTIONS from no known gateway")                                              \
	X(others_unauthorized, counter, "Other requests outside a dialog from no known gateway")                       \
	X(strangers_dropped, counter, "Datagrams dropped unread, or not answered: over RW_UNAUTHORIZED_RATE")          \
	X(strangers_dropped_all, counter, "Datagrams dropped unread, or not answered: over RW_UNAUTHORIZED_RATE_ALL")  \
	X(strangers_unanswered, counter, "Requests from no known gateway whose answer would have been too large")      \
	X(cdr_illegal_skipped, counter, "Refused INVITEs without the CDR asked for: there were too many")              \
	X(rewrites_given_up, counter, "Patterns of number rules that took too long and counted as not fitting")        \
	X(datagrams_in, counter, "Datagrams received, and messages on connections")                                    \
	X(datagrams_out, counter, "Datagrams sent, and messages on connections")                                       \
	X(datagrams_bad, counter, "Datagrams that could not be read as SIP")                                           \
	X(datagrams_unmatched, counter, "Messages that belong to no dialog or transaction of ours")                    \
	X(datagrams_handed_over, counter, "Datagrams that arrived at another shard than their call's")                 \
	X(datagrams_lost, counter,                                                                                     \
	  "Datagrams dropped for want of a send buffer, mailbox room or connection, or refused by the kernel")         \
	X(sends_refused, counter, "Datagrams lost: refused for good (no route, not permitted, too large)")             \
	X(sends_busy, counter, "Datagrams lost: the kernel had no room for them at that moment")                       \
	X(receives_paused, counter, "Times that receiving paused because all buffers were in use")                     \
	X(connections, gauge, "Connections (TCP), those that the node has opened included")                            \
	X(connections_accepted, counter, "Connections that peers have opened")                                         \
	X(connections_opened, counter, "Connections that the node has opened, or tried to")                            \
	X(connections_failed, counter, "Connections that the node could not open")                                     \
	X(connections_refused, counter, "Connections refused: over a limit, or for want of memory or descriptors")     \
	X(connections_idle, counter, "Connections closed: nothing came or went for connection_idle")                   \
	X(connections_unreadable, counter, "Connections closed: what came could not be told apart")                    \
	X(connections_unread, counter, "Connections closed: the peer does not read")                                   \
	X(bad_start_line, counter, "Bad datagrams: start line")                                                        \
	X(bad_version, counter, "Bad datagrams: SIP version")                                                          \
	X(bad_header, counter, "Bad datagrams: syntax of a header")                                                    \
	X(bad_missing, counter, "Bad datagrams: mandatory header missing")                                             \
	X(bad_twice, counter, "Bad datagrams: header that may stand once stands twice")                                \
	X(bad_cseq, counter, "Bad datagrams: CSeq")                                                                    \
	X(bad_content_length, counter, "Bad datagrams: Content-Length")                                                \
	X(bad_too_many, counter, "Bad datagrams: too many header lines or list elements")                              \
	X(bad_too_large, counter, "Bad datagrams: over 16 KiB or truncated")                                           \
	X(keepalives, counter, "Datagrams that only keep a NAT binding open")                                          \
	X(parsed_by_library, counter, "Messages that the in-place reader declined")                                    \
	X(retransmits_in, counter, "Retransmissions received")                                                         \
	X(retransmits_out, counter, "Retransmissions sent")                                                            \
	X(refresh_sent, counter, "Session refreshes sent")                                                             \
	X(refresh_confirmed, counter, "Session refreshes answered with 2xx")                                           \
	X(refresh_failed, counter, "Session refreshes that failed")                                                    \
	X(hangup_session_timeout, counter, "Calls ended by a session timer")                                           \
	X(hangup_no_timer_cap, counter, "Calls ended by the no-timer cap")                                             \
	X(hangup_max_duration, counter, "Calls ended by a maximum duration")                                           \
	X(hangup_balance_exhausted, counter, "Calls ended because the credit of their account was used up")            \
	X(timers_armed, gauge, "Timers armed on the wheel")                                                            \
	X(timers_fired, counter, "Timers that came due")                                                               \
	X(cdr_queued, counter, "CDRs given to the billing thread")                                                     \
	X(cdr_written, counter, "CDRs committed to the store")                                                         \
	X(cdr_waiting, gauge, "CDRs of ended calls that are not in the store yet")                                     \
	X(pool_call_used, gauge, "Call slots in use")                                                                  \
	X(pool_call_size, gauge, "Call slots")                                                                         \
	X(pool_leg_used, gauge, "Leg slots in use")                                                                    \
	X(pool_leg_size, gauge, "Leg slots")                                                                           \
	X(pool_attempt_used, gauge, "Attempt slots in use")                                                            \
	X(pool_attempt_size, gauge, "Attempt slots")                                                                   \
	X(pool_transaction_used, gauge, "Transactions in use")                                                         \
	X(pool_transaction_size, gauge, "Transaction slots")                                                           \
	X(pool_charge_used, gauge, "Calls with an account")                                                            \
	X(pool_charge_size, gauge, "Room for calls with an account")                                                   \
	X(pool_body_used, gauge, "Bodies (SDP) kept")                                                                  \
	X(pool_body_size, gauge, "Body slots")                                                                         \
	X(pool_tombstone_used, gauge, "Tombstones of ended transactions")                                              \
	X(pool_tombstone_size, gauge, "Tombstone slots")                                                               \
	X(pool_text_used, gauge, "Bytes of texts and bodies in use")                                                   \
	X(pool_text_size, gauge, "Bytes of texts and bodies")                                                          \
	X(loop_busy_ratio, gauge, "Share of the last second spent working, 0 to 1")

#define SHARD_HISTOGRAMS(X)                                                                                            \
	X(timer_lateness_us, "How late timers fired")                                                                  \
	X(loop_us, "One turn of the worker's loop")                                                                    \
	X(pdd_us, "INVITE in to the first 18x or final response from the callee's side")                               \
	X(relay_us, "INVITE in to INVITE out")

/* Log-linear: 16 steps for each power of two, so a value is known within 6.25 %. */
#define HISTOGRAM_BUCKETS 512

struct histogram {
	uint64_t count, sum, max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

struct shard_stats {
#define X(name, type, text) uint64_t name;
	SHARD_STATS(X)
#undef X
#define X(name, text) struct histogram name;
	SHARD_HISTOGRAMS(X)
#undef X
};

/* The writer's side: plain loads, relaxed stores, so a reader never sees half a value. */
static inline void stat_set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline void stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void stat_sub(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter - n, __ATOMIC_RELAXED);
}

/* The readers' side. */
static inline uint64_t stat_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void histogram_add(struct histogram *h, uint64_t value);
/* Adds what `from` counts at this moment; for node totals. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value below which `permille` thousandths lie (upper edge of its step); 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, unsigned permille);

#endif
