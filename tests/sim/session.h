/* Session timers as spec 5 has them, kept a second time beside the node: from what goes in and out of it alone, this
 * says for each leg who refreshes, when the window ends and what a request or answer must say of it.  What the node
 * does is held against it, message by message, and at the end the CDR. */
#ifndef RW_TESTS_SIM_SESSION_H
#define RW_TESTS_SIM_SESSION_H

#include "tests/sim/peer.h"
#include "tests/sim/retry.h"

/* What is known of one leg.  Lives as long as the simulation. */
struct session_leg {
	bool callee_side, on; /* on: its gateway has timers */
	bool began;           /* answered */
	uint32_t tag;         /* callee's: hash of the tag of its 2xx, which forks have others than */
	uint32_t interval_s;  /* 0: no timer */
	uint32_t refresh_s, segments;
	uint32_t min_se_s; /* largest seen */
	bool we_refresh;
	uint64_t window_ns; /* latest confirmation */
	/* the node's own refreshes, ever; those of them that made it the refresher; those with a 2xx */
	unsigned refreshes, claims, confirmed;
	/* of this window */
	unsigned sent, boundary;     /* refreshes of the node; segment of the latest */
	bool last_sent;              /* the one at the end of the interval, before the grace */
	bool may_retry;              /* one failed: the next may come at any time */
	bool disturbed;              /* other offers were about: a refresh may have waited for them */
	uint64_t disturbed_ns;       /* latest */
	bool loose;                  /* the node may or may not have taken something as proof: nothing exact is known */
	uint64_t sent_ns, failed_ns; /* latest refresh of the node, latest refusal of one */
	const struct session_note *latest; /* refresh of the node */
	unsigned open_refreshes;
	struct retry retry;
	const struct offers *offers; /* of the same leg; NULL: not known */
	/* session descriptions, as hashes */
	uint32_t body_in, body_out, changed_body;
	uint64_t changed_ns;
	struct session_note *asked; /* the peer's INVITEs and UPDATEs that may be passed on, newest first */
	/* OPTIONS */
	uint64_t probed_ns;
	unsigned silent;
	bool probe_open, probe_answered, gone_silent;
	uint64_t untimed_ns; /* since when there is no timer; 0: there is */
};

/* What is known of an answered call. */
struct session_truth {
	struct session_leg *legs[2]; /* caller's, callee's */
	uint64_t connect_ns;
	uint32_t refreshes_sent, refreshes_confirmed;
	uint64_t life_ns;
	int64_t life_us;
	uint64_t over_ns;        /* a BYE was seen; 0: none yet */
	uint32_t max_duration_s; /* 0: none */
	bool close_call;         /* something came in the moment of the end */
};

enum session_kind { SESSION_OTHER, SESSION_REFRESH_OUT, SESSION_OFFER_OUT, SESSION_RELAY_OUT, SESSION_PROBE_OUT };

/* Of one INVITE, UPDATE or OPTIONS, in or out. */
struct session_note {
	enum session_kind kind;
	bool claim, answered, has_provisional;
	uint64_t at_ns;
	uint32_t interval_s, min_se_s; /* in: what a 2xx must say, and what was named */
	bool we_refresh, tag;
	uint32_t asked_s, named_s; /* Session-Expires as it stands; out: what was asked */
	uint32_t body;
	struct session_note *asked;        /* relayed for this one */
	struct session_note *asked_before; /* in: on the same leg */
	bool passed;                       /* in: an INVITE or UPDATE of the node was relayed for it */
};

struct session_leg *session_leg_new(struct sim *sim, const struct host *host, bool callee_side);
/* The call is answered: the 200 goes to the caller now. */
void session_begin(struct sim *sim, struct sim_call *call, struct session_leg *a, struct session_leg *b,
		   const struct host *callee);

/* First copies only; `initial`: the INVITE that makes the dialog. */
void session_request_in(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			bool initial, struct session_note *note);
void session_request_out(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			 bool initial, struct session_note *note);
/* First final response, or a provisional one, of a request out; final response to a request in. */
void session_response_in(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			 bool initial, struct session_note *note);
void session_response_out(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			  bool initial, struct session_note *note);
void session_cdr(struct sim *sim, const struct sim_cdr *record);

#endif
