/* Session timers of one leg: what is negotiated, when the next act falls due.  RFC 4028 4, 5, 7, 8, 9, 10; spec 5.
 *
 * Pure: told the time, allocates nothing, arms nothing, sends nothing; the call puts session_timer.due_ns on its wheel
 * and does what session_timer_due() says.  Times are nanoseconds of the shard's clock, intervals seconds as on the
 * wire.
 *
 *        confirmed                                                            expires
 *            |-------- segment 1 --------|-------- segment 2 --------| ... |-- N --|
 *                                    ^^^ refresh 1               ^^^ refresh 2     ^ BYE, or a last refresh, and BYE
 *                        each somewhere in the last tenth of its segment             after the grace
 *
 * A leg whose peer refreshes has one act in between: a probe, min(64 s, a third) before the end, that makes us the
 * refresher.  A leg without a timer (interval_s 0) has none.
 *
 * A wheel may fire early only where a deadline is too far ahead for it: then session_timer_due() says NONE, and due_ns,
 * unchanged, is armed again. */
#ifndef RW_SIP_SESSION_TIMER_H
#define RW_SIP_SESSION_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/build.h"
#include "sip/message.h"

/* No interval of ours is longer, nor any Min-SE: a 422 that names more is not followed, a request's timer not taken. */
#define SESSION_INTERVAL_MAX_S 86400u

/* The parameters of a leg, those in force when its call started. */
struct session_timer_rules {
	uint32_t ttl_s : 20;    /* SS_SIP_SESSION_TTL: at most 86400 */
	uint32_t grace_s : 12;  /* SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP: at most 60 */
	uint32_t min_se_s : 20; /* RW_SIP_MIN_SE: at most 86400 */
	uint32_t segments : 8;  /* SS_SIP_SESSION_UPDATE_SEGMENT: at most 10 */
};

static inline struct session_timer_rules session_timer_rules(uint32_t ttl_s, uint32_t min_se_s, uint32_t grace_s,
							     uint32_t segments)
{
	return (struct session_timer_rules){
		.ttl_s = ttl_s & 0xfffff,
		.grace_s = grace_s & 0xfff,
		.min_se_s = min_se_s & 0xfffff,
		.segments = segments & 0xff,
	};
}

enum session_timer_wait {
	SESSION_IDLE,    /* no timer on this leg */
	SESSION_REFRESH, /* the next refresh, or the next try of one */
	SESSION_PROBE,   /* the peer refreshes: the moment from which we no longer rely on it */
	SESSION_EXPIRY,  /* the end of the window */
	SESSION_GRACE,   /* the last refresh was sent; then BYE */
};

struct session_timer {
	uint64_t confirmed_at_ns; /* arrival of the latest 2xx or refresh: proof of life */
	uint64_t due_ns;          /* when session_timer_due() has something to do; UINT64_MAX: nothing */
	uint32_t interval_s;      /* the window: 0 no timer */
	uint32_t refresh_s;       /* what refreshes are spread over: interval_s, less after a 2xx below the minimum */
	uint32_t min_se_s;        /* largest Min-SE seen on this leg or of ours: what our requests carry */
	uint8_t wait;             /* enum session_timer_wait */
	uint8_t segments;         /* of this window: those of the rules, 2 after a 2xx below the minimum */
	uint8_t segment;          /* the boundary that `due_ns` belongs to, or a try before it: 1..segments */
	bool we_refresh : 1;      /* true while there is no timer: who refreshes when nobody is named */
	bool peer_has_tag : 1;    /* the peer lists timer in Supported or Require */
	bool off : 1;             /* timer = off on the gateway: never a timer on this leg */
};

/* Session-Expires and Min-SE as a message has them.  Of a header that stands more than once the first readable line is
 * taken: a request is refused all the same, a 2xx is not lost. */
struct session_timer_headers {
	bool supported;      /* timer in Supported or Require */
	bool required;       /* timer in Require */
	bool has_interval;   /* there is a Session-Expires */
	bool has_min_se;     /* there is a readable Min-SE */
	bool unreadable;     /* one of the two is not a number (empty, sign, text, list), or stands more than once */
	uint32_t interval_s; /* above 32 bits: UINT32_MAX; unreadable: 0 */
	uint32_t min_se_s;   /* above 32 bits: UINT32_MAX; none: 0 */
	enum { REFRESHER_NONE, REFRESHER_UAC, REFRESHER_UAS } refresher; /* an unknown value counts as none */
};

void session_timer_read(const struct sip_message *m, struct session_timer_headers *ret_headers);

enum session_timer_verdict {
	SESSION_ACCEPT,
	SESSION_TOO_SMALL, /* 422 with Min-SE: rules.min_se_s */
	SESSION_MALFORMED, /* 400 */
};

void session_timer_init(struct session_timer *t, bool on, const struct session_timer_rules *rules);

/* ---- as UAS: an INVITE, re-INVITE or UPDATE of the peer ---- */

/* Whether the request is to be answered at all: asked before anything else is done with it.  Changes nothing.  A leg
 * that is off accepts whatever it says. */
enum session_timer_verdict session_timer_judge(const struct session_timer *t, const struct session_timer_rules *rules,
					       const struct session_timer_headers *request);

/* What a 2xx to it says: interval, refresher, Require.  `in_dialog`: a request without a refresher keeps the party that
 * refreshed so far, and one that says nothing of timers does not end the timer of its leg: we refresh from then on.
 * Never below the request's Min-SE, even where that is above its own Session-Expires; but one above 86400 would be a
 * timer that proves nothing, and its request counts as one that says nothing of timers.  Nothing is started: the timer
 * starts with the 2xx. */
struct session_timer_offer {
	uint32_t interval_s; /* 0: no timer, and the 2xx names none */
	uint32_t min_se_s;   /* of the request; 0: none */
	bool we_refresh;
	bool peer_has_tag; /* then Require: timer */
};
void session_timer_answer(const struct session_timer *t, const struct session_timer_rules *rules,
			  const struct session_timer_headers *request, bool in_dialog,
			  struct session_timer_offer *ret_offer);
/* The lines of the 2xx: Supported: timer (a line of its own), Require: timer, Session-Expires with the refresher seen
 * from the request's sender.  Nothing when the timer is off. */
void session_timer_build_answer(struct builder *b, const struct session_timer *t,
				const struct session_timer_offer *offer);
/* The 2xx goes out: the window starts.  Not with a 2xx to an UPDATE before the call is answered. */
void session_timer_answered(struct session_timer *t, const struct session_timer_rules *rules,
			    const struct session_timer_offer *offer, uint64_t now_ns, uint64_t random);

/* ---- as UAC: an INVITE, re-INVITE or UPDATE of ours ---- */

/* The lines of a request: Supported: timer, Session-Expires with the refresher in force (ours to begin with, and in a
 * probe or last refresh: `claim`), Min-SE.  Nothing when the timer is off. */
void session_timer_build_request(struct builder *b, const struct session_timer *t,
				 const struct session_timer_rules *rules, bool claim);
/* What such a request asks for: the interval in force, or of the rules, not below Min-SE. */
uint32_t session_timer_asks_s(const struct session_timer *t, const struct session_timer_rules *rules);

/* A 2xx to it came: it confirms, and the window starts anew at now_ns, its arrival, with what it says, but no more than
 * the request asked for (`asked_s`: another exchange may have changed the interval since).  One without
 * Session-Expires means no timer if it is the `initial` one, and in a dialog that the timer goes on as it was (RFC 4028
 * 7.2 would end it; but a peer that answers is alive, and one that no longer does is to be found out).  An interval of
 * 0 or an unreadable one ends the timer: interval_s is 0 then, and the caller's cap applies.  After a request that
 * `claimed`, we refresh, whatever the answer names. */
void session_timer_confirmed(struct session_timer *t, const struct session_timer_rules *rules,
			     const struct session_timer_headers *response, uint32_t asked_s, bool initial, bool claimed,
			     uint64_t now_ns, uint64_t random);

/* A 422 to it came: the Min-SE to try again with is taken; false: give up (no Min-SE, not above the largest seen, above
 * 86400). The caller bounds the number of tries. */
bool session_timer_too_small(struct session_timer *t, const struct session_timer_headers *response);

/* ---- the schedule ---- */

enum session_timer_act {
	SESSION_ACT_NONE,
	SESSION_ACT_REFRESH,      /* send a refresh; a pending one is replaced */
	SESSION_ACT_CLAIM,        /* the same as a probe: it names us the refresher */
	SESSION_ACT_LAST_REFRESH, /* the same, and the end is near: SESSION_GRACE */
	SESSION_ACT_HANG_UP,      /* the window, or its grace, is over */
};

/* due_ns has come: says what to do and sets the next due_ns. */
enum session_timer_act session_timer_due(struct session_timer *t, const struct session_timer_rules *rules,
					 uint64_t now_ns, uint64_t random);

/* A refresh failed (no answer, or a final response other than 2xx, 408, 481): the next try is moved forward to the
 * earliest of its Retry-After (0: none given) and a tenth of the interval, 1 s at least and 30 s at most, if that is
 * before what is due anyway.  Nothing while the peer refreshes or after the last refresh. */
void session_timer_refresh_failed(struct session_timer *t, uint32_t retry_after_s, uint64_t now_ns);
/* The next try is to come after this long, neither before nor later (491, RFC 3261 14.1); none if the window ends
 * first. */
void session_timer_retry_in(struct session_timer *t, uint64_t wait_ns, uint64_t now_ns);

/* The probe could not be sent: it is to come after this long, at the end of the window at the latest, and until then
 * the peer is the refresher as before. */
void session_timer_postpone_probe(struct session_timer *t, uint64_t wait_ns, uint64_t now_ns);

/* The end of the window in force, without grace; UINT64_MAX: none. */
uint64_t session_timer_expires_ns(const struct session_timer *t);

/* How long before its boundary a refresh is due: 0 to a tenth of the segment, evenly, by `random` alone. */
uint64_t session_timer_spread_ns(uint64_t segment_ns, uint64_t random);

/* For tests: whether the state is one that these functions leave behind. */
bool session_timer_check(const struct session_timer *t);

#endif
