/* A call detail record: what is known of one call, answered or not, when it has ended.  Spec 9.
 *
 * Texts are views borrowed from whoever fills the record; cdr_encode() copies them into a self-contained, versioned,
 * little-endian form (what crosses the queue, and what a journal keeps), cdr_decode() gives views into that form. */
#ifndef RW_BILLING_CDR_H
#define RW_BILLING_CDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CDR_ID_SIZE      32   /* characters of a cdr_id; no NUL counted */
#define CDR_ATTEMPTS_MAX 64   /* attempts listed; of more, the last is listed last, its ms holding those left out too */
#define CDR_TEXT_MAX     1024 /* a longer text is cut on encoding */
#define CDR_GATEWAY_MAX  192  /* the same for an attempt's gateway */
#define CDR_BYTES_MAX    32768 /* an encoded record is never larger */

/* A cdr_id begins with start_us in so many hex digits, lower case: what sorts by cdr_id sorts by time. */
#define CDR_ID_START_DIGITS 14

#define CDR_END_REASONS(X)                                                                                             \
	X(normal)                                                                                                      \
	X(cancelled)                                                                                                   \
	X(no_route)                                                                                                    \
	X(rejected)                                                                                                    \
	X(no_answer)                                                                                                   \
	X(timeout_invite)                                                                                              \
	X(timeout_trying)                                                                                              \
	X(timeout_progress)                                                                                            \
	X(timeout_ringing)                                                                                             \
	X(setup_timeout)                                                                                               \
	X(session_timeout)                                                                                             \
	X(no_timer_cap)                                                                                                \
	X(max_duration)                                                                                                \
	X(balance_exhausted)                                                                                           \
	X(dialog_lost)                                                                                                 \
	X(ack_missing)                                                                                                 \
	X(operator_hangup)                                                                                             \
	X(node_shutdown)                                                                                               \
	X(node_crash)                                                                                                  \
	X(overload)                                                                                                    \
	X(capacity)                                                                                                    \
	X(no_rate)                                                                                                     \
	X(no_balance)                                                                                                  \
	X(account_locked)                                                                                              \
	X(unauthorized)

/* Stored in encoded records: only ever append. */
enum cdr_end_reason {
#define X(name) CDR_END_##name,
	CDR_END_REASONS(X)
#undef X
		CDR_END_REASON_COUNT
};

enum cdr_side { CDR_SIDE_CALLER, CDR_SIDE_CALLEE, CDR_SIDE_SWITCH, CDR_SIDE_COUNT };

/* Which legs had a session timer: bits. */
enum { CDR_TIMER_A = 1, CDR_TIMER_B = 2 };

struct cdr_text {
	const char *at;
	uint32_t size;
};

struct cdr_attempt {
	struct cdr_text gateway;
	uint16_t code; /* final code, 0: ended by a timer of ours or cancelled before one */
	uint32_t ms;   /* INVITE sent to the end of the attempt */
};

struct cdr {
	char cdr_id[CDR_ID_SIZE]; /* not terminated */
	struct cdr_text node;
	uint16_t shard;
	struct cdr_text mapping_gateway, routing_gateway, account, vendor_account;
	struct cdr_text caller_in, callee_in;                /* as received, with a leading + */
	struct cdr_text caller_out, callee_out;              /* as sent */
	struct cdr_text source_address, destination_address; /* ip:port, [v6]:port */
	struct cdr_text call_id_a, call_id_b;
	int64_t start_us;   /* INVITE in; all absolute times are microseconds since 1970 UTC, 0: did not happen */
	int64_t ringing_us; /* first 18x from the callee's side */
	int64_t connect_us; /* kernel receive time of the winning 200 */
	int64_t end_us;
	int64_t pdd_ms;  /* INVITE in to first 18x or final */
	int64_t hold_ms; /* end - connect by the monotonic clock, 0 if unanswered */
	int64_t billed_s;
	uint8_t end_side;      /* enum cdr_side */
	uint8_t end_reason;    /* enum cdr_end_reason */
	uint16_t sip_code;     /* final code sent to the caller, 200 if answered, 0 if none */
	uint16_t q850;         /* from Reason, else mapped, RFC 4497 7.2.4.1; 0 if neither */
	uint8_t session_timer; /* CDR_TIMER_A | CDR_TIMER_B */
	uint8_t recovered;
	uint32_t refreshes_sent, refreshes_confirmed;
	int64_t last_confirmed_us;
	struct cdr_text rate_prefix, rate, fee, cost; /* decimal text */
	const struct cdr_attempt *attempts;           /* in order; borrowed */
	uint32_t attempts_count;
};

const char *cdr_end_reason_name(enum cdr_end_reason reason);
const char *cdr_side_name(enum cdr_side side);

/* The size that cdr_encode() needs, at most CDR_BYTES_MAX. */
size_t cdr_encoded_size(const struct cdr *cdr);

/* Encodes into `out`; returns the size, 0 if `size` is too small (CDR_BYTES_MAX is always enough). */
size_t cdr_encode(const struct cdr *cdr, uint8_t *out, size_t size);

/* Decodes: texts become views into `in`; attempts are written to `attempts` (room for CDR_ATTEMPTS_MAX).  false: not a
 * record of a known version, or damaged (any bytes may be given). */
bool cdr_decode(const uint8_t *in, size_t size, struct cdr *ret_cdr, struct cdr_attempt *attempts);

#endif
