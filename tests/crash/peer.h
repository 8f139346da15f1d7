/* Inside the peers: what calls.c, calls_in.c and peer.c share.
 *
 *   calls.c     what a call is to be, what comes due, the truth
 *   calls_in.c  what the switch sends
 *   peer.c      what a side of a call has at hand: sending, sending again, being over */
#ifndef RW_TESTS_CRASH_PEER_H
#define RW_TESTS_CRASH_PEER_H

#include "tests/crash/calls.h"

#define T2_NS          (4 * CALLS_S)
#define SETUP_NS       (15 * CALLS_S) /* then the caller cancels */
#define ACK_PATIENCE   20             /* times T1: then the callee, whose 200 nobody acknowledges, sends BYE */
#define PROBE_EVERY_NS (5 * CALLS_MS)
#define NAME_BYTES     128

/* What a side has armed. */
enum what {
	SEND_REQUEST_AGAIN,
	SEND_BYE_AGAIN,
	SEND_ANSWER_AGAIN,
	GIVE_UP,
	CANCEL_IT,
	ANSWER,
	ACKNOWLEDGE,
	HANG_UP,
	REFRESH,
	EXPIRE,
	MISS_BYE,
	WHATS
};

enum leg_state { LEG_NONE, LEG_EARLY, LEG_UP, LEG_OVER };

/* What is sent again until it is answered: a client transaction (RFC 3261 17.1), or the 2xx of an INVITE (13.3.1.4). */
struct repeat {
	char *text; /* NULL: nothing */
	size_t size;
	enum method method;
	uint32_t cseq;
	uint64_t wait_ns, ends_ns;
	bool probe;
};

struct leg {
	enum leg_state state;
	char call_id[NAME_BYTES], remote_tag[NAME_BYTES], target[NAME_BYTES];
	uint32_t cseq, remote_cseq;
	enum method remote_method;
	struct repeat request, bye, answer; /* bye: also CANCEL */
	bool cancelled;                     /* CANCEL was sent */
	uint32_t interval_s;                /* 0: no session timer */
	bool mine;                          /* we refresh */
	uint32_t stamps[WHATS];
};

enum timer_script { NO_TIMER, TIMER_OURS, TIMER_THEIRS };

struct script {
	enum timer_script timers[SIDES];
	bool by_update; /* refreshes of ours; else re-INVITE */
	bool lists_update;
	bool enders[SIDES];
	unsigned refusal; /* of the callee; 0: it answers */
	bool cancels;
	uint64_t answer_ns, ack_ns, hold_ns;
};

struct call {
	uint32_t serial;
	struct script script;
	struct call_truth truth;
	struct leg *legs[SIDES]; /* NULL: settled */
	bool is_up;              /* counted as up */
};

struct calls {
	struct calls_settings settings;
	struct agenda agenda;
	struct call **calls;
	uint32_t count, room, settled, up;
	uint64_t random;
	struct {
		unsigned count;
		uint32_t beacon; /* call asked first */
		struct probe_result result;
	} probe;
};

extern const char peer_letters[SIDES]; /* what tags and users begin with */

uint64_t peer_below(struct calls *c, uint64_t limit); /* 0 .. limit - 1; 0 for 0 */
bool peer_percent(struct calls *c, unsigned chance);
void *peer_need(void *memory); /* which malloc(3) gave, or the program ends */

/* One moment of each kind for a side: arming it again takes the former back. */
void peer_arm(struct calls *c, struct call *call, enum side side, enum what what, uint64_t at_ns);
void peer_disarm(struct call *call, enum side side, enum what what);

/* ---- sending ---- */

struct sending peer_transmit(const struct calls *c, enum side side, const char *at, size_t size);
/* Sends it, and goes on doing so until peer_end_repeat(). */
struct sending peer_begin_repeat(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r,
				 const struct page *p, enum method method, uint32_t cseq);
void peer_end_repeat(struct call *call, enum side side, struct repeat *r);
void peer_forget(struct repeat *r);
enum what peer_again_of(const struct leg *leg, const struct repeat *r); /* the moment that sends it again */

/* Parts of messages; add_own: Contact and Allow. */
void peer_begin_request(const struct calls *c, const struct call *call, enum side side, struct page *p,
			enum method method, uint32_t cseq);
void peer_begin_response(const struct message *m, enum side side, const struct call *call, struct page *p,
			 unsigned status, const char *reason);
void peer_add_own(const struct calls *c, const struct call *call, enum side side, struct page *p);
void peer_add_timer(struct page *p, uint32_t interval_s, bool mine);
void peer_add_sdp(const struct call *call, enum side side, struct page *p);

/* Whole ones. */
void peer_respond(const struct calls *c, const struct message *m, enum side side, const struct call *call,
		  unsigned status, const char *reason);
void peer_acknowledge(const struct calls *c, const struct call *call, enum side side, uint32_t cseq);
void peer_acknowledge_refusal(const struct calls *c, const struct call *call, enum side side, const struct message *m);
void peer_send_refresh(struct calls *c, struct call *call, enum side side, uint64_t now_ns, enum method method);
void peer_send_cancel(struct calls *c, struct call *call, uint64_t now_ns);
void peer_send_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns); /* the leg is over then */

/* ---- what becomes of a side ---- */

/* The callee's time to answer has come (calls_in.c). */
void peer_callee_answers(struct calls *c, struct call *call, uint64_t now_ns);
/* The session was confirmed, by a 2xx to a refresh of either side of the dialog (RFC 4028 10). */
void peer_confirm(struct calls *c, struct call *call, enum side side, uint64_t now_ns);
/* A side takes the call to be over. */
void peer_leg_over(struct calls *c, struct call *call, enum side side, uint64_t now_ns);
void peer_note_up(struct calls *c, struct call *call);
/* If neither side has anything left to do its state is given back: only the truth stays. */
void peer_settle(struct calls *c, struct call *call);
/* A request of the probe has its final response (calls.c). */
void peer_probe_answered(struct calls *c, struct call *call, uint64_t now_ns, unsigned status);

#endif
