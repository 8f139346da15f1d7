/* The gateways on both sides of the node: user agents of RFC 3261 that follow a script, and that hold the node to what
 * RFC 3261 promises them.  Written without sip/, with their own reading and writing (wire.h). */
#ifndef RW_TESTS_SIM_PEER_H
#define RW_TESTS_SIM_PEER_H

#include "tests/sim/proxy.h"
#include "tests/sim/sim.h"
#include "tests/sim/wire.h"

#define SCRIPT_STEPS 8

/* How a callee's gateway takes its INVITE; all times count from its arrival. */
struct answer {
	bool silent; /* not a word, not to CANCEL either */
	bool no_trying;
	uint64_t ring_ns;     /* 180; 0: none */
	uint64_t progress_ns; /* 183 with SDP; 0: none */
	bool progress_bare;   /* without SDP */
	bool never;           /* no final response but 487, or a 480 after minutes */
	uint64_t final_ns;
	unsigned code;       /* 0: 200 */
	unsigned forks;      /* further 200s with other tags, as from a forking proxy */
	bool deaf;           /* the 200 comes although CANCEL was answered */
	bool reliable;       /* its provisional responses are, if the INVITE allows it */
	bool bare;           /* and what session they had is not in the 200 again */
	bool early_fork;     /* another branch rings as well */
	const char *headers; /* lines of the final response */
};

/* What a 2xx of a peer says of the interval that does not go by RFC 4028. */
enum odd_answer { ODD_NONE, ODD_NOTHING, ODD_LOW, ODD_ZERO, ODD_TEXT, ODD_HIGH, ODD_NO_REFRESHER };

/* What a peer makes of session timers (RFC 4028); all zeroes: nothing. */
struct timer_script {
	bool on;      /* lists the tag, and keeps a timer once one is agreed */
	bool bare;    /* names an interval without listing the tag */
	bool updates; /* its Allow has UPDATE, and its own refreshes are UPDATEs */
	uint32_t
		interval_s; /* its INVITE asks for it, 0: names none; its 2xx agrees to no more, 0: to what was asked */
	uint32_t min_se_s;  /* named in its INVITE, 0: none; a callee answers less with 422 */
	uint32_t raised_s;  /* its least for refreshes: less gets 422; 0: none */
	uint32_t small_s;   /* its own refreshes ask for this at first; 0: what was agreed */
	char refresher;     /* 'c' uac, 's' uas, 0 none: in its INVITE; in its 2xx where the request names none */
	bool stubborn;      /* in its 2xx whatever the request names */
	enum odd_answer odd;   /* 2xx to the INVITE */
	enum odd_answer later; /* and to refreshes */
	bool idle;             /* is to refresh, and does not */
	bool guards;           /* hangs up itself before the end of the interval (10) */
	bool swaps;            /* its refreshes hand the role over, or take it */
	bool yes;              /* 200 to everything, and nothing in it */
	bool moves;            /* a new Contact and session in its 2xx to a refresh */
	bool no_options;       /* silent to OPTIONS */
	unsigned update_code;  /* refuses UPDATE so; 0: takes it */
	unsigned failure;      /* final response to a refresh, so often: */
	unsigned failure_percent;
	unsigned cross_at_refresh; /* sends an INVITE of its own when the n-th comes, before its answer */
	unsigned bye_at_refresh;   /* hangs up when the n-th comes, before its answer */
	unsigned sleep_at_refresh; /* answers the n-th, and then sleeps until the node's grace has begun */
};

enum step_kind {
	STEP_NONE,
	STEP_REINVITE,        /* with a new session */
	STEP_REINVITE_SAME,   /* with the session as it is */
	STEP_REINVITE_EMPTY,  /* without SDP: the other side offers */
	STEP_REINVITE_TWICE,  /* and one more before that has its answer */
	STEP_REINVITE_CANCEL, /* and CANCEL as soon as a provisional response allows it */
	STEP_UPDATE,
	STEP_UPDATE_EMPTY,
	STEP_INFO,
	STEP_MESSAGE,
	STEP_OPTIONS,
	STEP_BYE,
	STEP_DIE,    /* the host of this dialog falls silent for ever */
	STEP_DEAF,   /* hears nothing any more, but goes on talking */
	STEP_MUTE,   /* hears, but is not heard */
	STEP_SLEEP,  /* neither, for `sleep_ns` of the script */
	STEP_REBOOT, /* knows nothing of the dialog any more: 481 */
	STEP_FLOOD,  /* UPDATEs in one burst */
};

/* Counted from its ACK (sent by the caller, received by the callee). */
struct step {
	enum step_kind kind;
	bool by_callee;
	uint64_t at_ns;
};

struct script {
	unsigned caller; /* which host calls */
	/* The user parts of the request-URI, To and From; an N stands for 880 and digits that name the call.  NULL:
	 * "N", as the request-URI, and a number of the caller's. */
	const char *number, *to, *from;
	const char *headers; /* lines of the INVITE */
	bool delayed_offer;
	char reliable; /* 100rel: 's' supports it, 'r' requires it */
	bool no_prack; /* but never sends one */
	uint64_t
		early_update_ns[2]; /* of the caller, of the callees: an offer so long after the first PRACK; 0: none */
	uint64_t cancel_ns;         /* after the INVITE; 0: never */
	bool early_bye;             /* BYE in place of that CANCEL */
	bool no_ack;                /* the caller never sends one for a 200 */
	uint64_t ack_delay_ns;
	uint64_t reinvite_ns;   /* how long an INVITE inside the dialog waits for its final response, after a 180 */
	unsigned reinvite_code; /* and what that is; 0: 200 */
	struct timer_script timers[2]; /* of the caller, of the callees */
	uint64_t sleep_ns;
	struct proxies proxies[2]; /* of the caller, of the callees */
	struct answer answers[SIM_CALLEES];
	struct step steps[SCRIPT_STEPS];
};

struct switches;

/* A line of what went in and out of the node. */
struct message_note {
	uint64_t at_ns;
	bool out, callee_side, repeated, lost;
	unsigned status; /* 0: request */
	char method[12];
	uint32_t cseq;
	uint32_t interval_s; /* Session-Expires; 0: none */
	uint32_t min_se_s;
	char refresher;
};

struct sim_call {
	struct sim_call *next;
	unsigned serial;
	struct script script;
	struct ua *caller;
	struct ua *callees; /* in order of their making, newest first; forks too */
	char number[40];
	char call_id[80];
	struct sim_cdr *cdr; /* NULL: none yet */
	unsigned cdr_count;
	bool excused; /* something of it was damaged or silenced: only what must hold even so is checked */
	bool damaged;
	bool promised;               /* it was answered, and written down: whatever kills the node, it has one CDR */
	bool carried;                /* it was up when the node was killed */
	struct session_truth *truth; /* session.h; NULL: not answered */
	struct switches *switches;   /* switches.h; NULL: nobody has asked */
	struct message_note log[SIM_LOG_MAX];
	unsigned log_count;
};

/* Begins a call now. */
struct sim_call *sim_place(struct sim *sim, const struct script *script);
/* sim_call(sim, .answers = { ANSWER_AFTER(2) }, .steps = { { STEP_BYE, .at_ns = 10 * SIM_S } }) */
#define sim_call_now(sim, ...) sim_place((sim), &(struct script){ __VA_ARGS__ })
/* Writes what of the call went over the wire. */
void sim_print_call(const struct sim *sim, const struct sim_call *call, void *file);
void sim_print_failure(const struct sim *sim, void *file);
/* Its parts: one line, and that of the CDR. */
void sim_print_message(const struct message_note *n, uint64_t start_ns, const char *before, void *file);
void sim_print_record(const struct sim_call *call, void *file);

/* A call that somebody else is about to begin: its number names it, and its Call-ID is to be filled in. */
struct sim_call *peer_expect(struct sim *sim, const struct script *script);

/* Any bytes from a caller's host to the node. */
void peer_send_raw(struct sim *sim, struct host *host, struct bytes datagram);

/* ---- inside: peer.c and dialog.c ---- */

enum ua_state { UA_EARLY, UA_UP, UA_ENDED };

/* A request of ours until its final response. */
struct sent {
	struct sent *next;
	struct ua *ua;
	char method[12], branch[48];
	uint32_t cseq;
	struct bytes text;
	struct bytes ack; /* INVITE: what its final response got */
	uint64_t wait_ns, started_ns;
	unsigned status;  /* latest, 0: none */
	unsigned contact; /* version it carried */
	bool resending, over, cancelled, offered, retried;
	bool early;      /* PRACK, or UPDATE before the answer */
	bool may_update; /* PRACK: then the session stands */
	enum step_kind step;
};

/* A request of the node's until long after its final response. */
struct taken {
	struct taken *next;
	struct ua *ua;
	struct host *host;
	struct bytes request; /* kept */
	char method[12], branch[64];
	uint32_t cseq;
	unsigned status;
	struct bytes response;
	uint64_t wait_ns, started_ns;
	unsigned contact; /* version of the Contact in its 2xx */
	bool acked, resending;
	bool refresh; /* an INVITE or UPDATE that changes nothing */
};

/* The session timer of a dialog, as its peer sees it. */
struct ua_timer {
	uint32_t interval_s; /* 0: none */
	uint32_t min_se_s;   /* largest that a 422 named */
	bool we_refresh, small_tried;
	unsigned generation; /* of the window */
	unsigned refreshes;  /* that came */
	uint64_t confirmed_ns;
};

/* Reliable provisional responses. */
#define UA_TOLD_MAX 8

struct ua_reliable {
	/* callee */
	uint32_t rseq;
	bool waits;                 /* for the PRACK of the latest */
	bool sent_session, settled; /* one had a session; and its PRACK has come */
	struct bytes text;
	uint64_t wait_ns, started_ns;
	/* caller */
	uint32_t rseq_in;
	struct ua_told {
		char tag[80];
		bool answered; /* the session was an offer, and the PRACK had the answer */
	} told[UA_TOLD_MAX];   /* dialogs in which one had a session */
	unsigned told_count;
	bool ack_bare;                 /* the 200 is of such a dialog */
	char remote[256], target[256]; /* of the latest that was acknowledged */
	bool update_planned;
};

struct ua {
	struct ua *next, *next_of_call;
	struct sim *sim;
	struct host *host;
	struct sim_call *call; /* NULL: nobody's */
	bool is_caller, dead, fork;
	bool deaf, mute, rebooted, slept;
	uint64_t asleep_until_ns;
	bool too_small; /* refused its INVITE with 422: it may come again */
	struct ua_timer timer;
	struct bytes offered; /* session of the node's latest INVITE or 2xx */
	enum ua_state state;
	const struct answer *answer;
	char call_id[80], local_tag[24], remote_tag[80];
	char local[256], remote[256]; /* From/To values without our, with the node's tag */
	char target[256];
	char early_remote[256], early_target[256]; /* of a provisional response */
	uint32_t cseq_out, cseq_in;
	bool has_cseq_in;
	unsigned session, contact; /* versions */
	unsigned agreed;           /* version of the Contact that a 2xx made the node's target */
	uint64_t agreed_ns;
	bool cancel_wanted, bye_sent, bye_answered, bye_taken, steps_begun;
	struct ua_reliable reliable;
	struct sent *sent, *invite;
	struct taken *taken;
};

void peer_create_hosts(struct sim *sim);
void peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged);
bool peer_all_quiet(const struct sim *sim);
void peer_check_end(struct sim *sim);
/* It does not hear, or is not heard, or forgot: it may not be held to anything. */
static inline bool peer_is_broken(const struct ua *ua)
{
	return ua->dead || ua->deaf || ua->mute || ua->rebooted || ua->slept;
}
bool peer_somebody_died(const struct sim_call *call);
/* The call that a dialled number names, NULL: none. */
struct sim_call *peer_call_of_number(struct sim *sim, struct bytes user);
struct sim_call *peer_call_of_id(struct sim *sim, struct bytes call_id);

/* Sending; the body may be empty.  `step` says what to do with the answer. */
struct sent *peer_request(struct ua *ua, const char *method, struct bytes body, const char *headers,
			  enum step_kind step);
void peer_cancel(struct ua *ua, struct sent *invite);
void peer_ack(struct sent *invite, struct bytes body);
void peer_respond(struct taken *taken, unsigned status, const char *headers, struct bytes body);
struct ua *peer_ua(struct sim *sim, struct host *host, struct sim_call *call, struct bytes call_id);
/* Another branch of a forking proxy at the callee's: the same, with a tag of its own, and its INVITE as `taken`. */
struct ua *peer_fork(struct ua *ua, const struct taken *invite);

/* The session description of a side of a call, in a version. */
struct bytes session_of(struct ua *ua);
bool session_is_good(const struct ua *ua, struct bytes body);

/* timer.c: RFC 4028.  Lines for a request of ours, for a 2xx of ours; what a 2xx of the node says, or a 422. */
void timer_add_request(struct ua *ua, struct page *p, const char *method, bool initial);
void timer_add_answer(struct ua *ua, const struct taken *taken, const struct wire *w, struct page *p);
void timer_confirmed(struct ua *ua, const struct sent *sent, const struct wire *w);
bool timer_raised(struct ua *ua, const struct wire *w);
/* Whether a request was dealt with: refused, or left alone. */
bool timer_refuses_invite(struct ua *ua, struct taken *taken, const struct wire *w);
bool timer_refuses(struct ua *ua, struct taken *taken, const struct wire *w);

/* early.c: RFC 3262, RFC 3311.  A provisional response of the node; whether one had the session already, and its
 * PRACK the answer; the answer to a PRACK or an early UPDATE. */
void early_provisional(struct ua *ua, struct sent *invite, const struct wire *w);
bool early_has_session(struct ua *ua, struct bytes tag, bool *ret_answered);
void early_answered(struct ua *ua, const struct sent *sent, const struct wire *w);
/* A provisional response of ours, reliable if the INVITE and the script say so; and what comes of it. */
void early_respond(struct ua *ua, struct taken *invite, unsigned status, struct bytes body);
bool early_holds_answer(const struct ua *ua);
bool early_stands(const struct ua *ua);
void early_take_prack(struct ua *ua, struct taken *prack, const struct wire *w);
void early_take_update(struct ua *ua, struct taken *update);
void early_fork(struct ua *ua, const struct taken *invite);
void early_end_forks(struct ua *ua);

/* dialog.c: what the script says. */
void dialog_step(struct ua *ua, enum step_kind step);
void dialog_cross(struct ua *ua);
void dialog_hang_up(struct ua *ua);
void dialog_sleep(struct ua *ua, uint64_t for_ns);
void dialog_begin_caller(struct ua *ua);
void dialog_begin_callee(struct ua *ua, struct taken *invite);
void dialog_request(struct ua *ua, struct taken *taken, const struct wire *w);
void dialog_cancelled(struct ua *ua, struct taken *invite);
void dialog_acked(struct ua *ua, struct taken *invite, const struct wire *w);
void dialog_no_ack(struct ua *ua, struct taken *invite);
void dialog_response(struct ua *ua, struct sent *sent, const struct wire *w, bool repeated);
void dialog_timeout(struct ua *ua, struct sent *sent);

#endif
