/* Calls whose every message the test writes: a caller and a callee of the simulated node that say and answer what they
 * are told to, header by header, and keep all that they hear.
 *
 * The node, the clock, the network and the checks of tests/sim are the real ones; only the two user agents of the call
 * are replaced: link with -Wl,--wrap=peer_receive. */
#ifndef RW_TESTS_CORE_CALL_SCRIPT_H
#define RW_TESTS_CORE_CALL_SCRIPT_H

#include "calls.h"

#define ANSWERS_MAX 10

/* Something that a party heard. */
struct heard {
	struct heard *next;
	uint64_t at_ns; /* when the node sent it */
	char name[24];  /* "UPDATE", "200 INVITE" */
	struct wire w;
	unsigned again;      /* retransmissions */
	unsigned status;     /* of a request: what it was answered with; 0: nothing */
	uint64_t replied_ns; /* when that answer reached the node */
};

/* Something that a party asked. */
struct said {
	struct said *next;
	struct bytes text;
	char method[12], branch[48];
	uint32_t cseq;
	uint64_t at_ns;     /* when it reached the node */
	struct heard *last; /* latest answer */
};

/* How requests of one method are answered: the first like list[0], and so on; the last stays.  "200", "422 Min-SE:
 * 600", "200 Allow: INVITE\nSession-Expires: 90;refresher=uac"; "-": not at all. */
struct manner {
	const char *list[ANSWERS_MAX];
	unsigned next;
};

struct party {
	struct duel *duel;
	struct host *host;
	struct ua *ua; /* of the simulation: names and sessions; it does nothing by itself */
	struct manner invite, update, options, other;
	bool gone;             /* hears, and says nothing more */
	bool no_ack;           /* of 2xx */
	uint64_t answer_ns;    /* requests inside the dialog are answered so much later */
	bool trying;           /* re-INVITEs get 100 at once */
	unsigned contact;      /* version of its Contact */
	unsigned max_forwards; /* of its requests; 0: 70 */
	const char *other_sdp; /* in place of the session that it has */
	struct heard *heard;
	struct said *said;
};

struct duel {
	struct sim *sim;
	struct sim_call *call;
	struct party a, b;
	const char *first[6]; /* how INVITEs without To tag are answered; "-": by the test, say_response() */
	unsigned firsts;
	const char *progress; /* before that: "183 Session-Expires: 120;refresher=uac" */
	uint64_t rings_ns;    /* the final answer comes after this */
	uint64_t up_ns;       /* the callee's 200 reached the node; 0: not yet */
};

struct plan {
	const char *parameters, *gateways;
	const char *invite;             /* lines of the caller's INVITE, each ended by \n */
	const char *number, *to, *from; /* as in struct script */
	const char *ok;                 /* the callee's answer; NULL: 200 without session timers */
	const char *first[6], *progress;
	uint64_t rings_ns;
	bool delayed_offer;
	unsigned seed;
	bool reliable; /* as struct sim_settings has it */
};

/* Headers of peers with session timers. */
#define CALLER_TIMED(lines) "Allow: INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS\nSupported: timer\n" lines "\n"
#define CALLEE_TIMED(lines) "200 Allow: INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS\nRequire: timer\n" lines

/* The call, until its set-up is over. */
struct duel *script_call(const struct plan *plan);
#define duel(...) script_call(&(struct plan){ __VA_ARGS__ })
/* The same, and it is up. */
struct duel *script_call_up(const struct plan *plan);
#define duel_up(...) script_call_up(&(struct plan){ __VA_ARGS__ })
/* Another call in the same simulation. */
struct duel *script_call_in(struct sim *sim, const struct plan *plan);

/* answers(&d->a.update, "405", "200"); */
void script_answers(struct manner *manner, const char *const *list);
#define answers(manner, ...) script_answers((manner), (const char *const[]){ __VA_ARGS__, NULL })
#define TIMED_200            "200 Require: timer\nSession-Expires: 600;refresher=uac"

/* A request inside the dialog; lines end with \n. */
struct said *say(struct party *party, const char *method, const char *lines, struct bytes body);
/* The same with a CSeq of the test's. */
struct said *say_numbered(struct party *party, const char *method, uint32_t cseq, const char *lines, struct bytes body);
struct said *say_cancel(struct party *party, const struct said *invite);
/* The callee answers its first INVITE: "183 Require: 100rel\nRSeq: 7", with its own To tag (NULL) or that of another
 * branch of a fork. */
void say_response(struct duel *d, const char *answer, const char *tag, struct bytes body);
/* The party answers what it heard, by the test. */
void say_answer(struct party *party, struct heard *request, const char *answer);
/* Once more, as it was. */
void say_again(struct party *party, const struct said *said);
struct bytes sdp(struct party *party);     /* as it is */
struct bytes new_sdp(struct party *party); /* another version */
static inline unsigned status_of(const struct said *said)
{
	return said->last ? said->last->w.status : 0;
}

/* The n-th that was heard, from 0; NULL: not that many. */
struct heard *nth(const struct party *party, const char *name, unsigned n);
unsigned count(const struct party *party, const char *name);
/* UPDATEs without body and re-INVITEs of the node. */
unsigned refreshes(const struct party *party);
struct heard *refresh(const struct party *party, unsigned n);
/* A header's value, first line of that name; "": none. */
const char *header(const struct heard *heard, const char *name);

void run_until(struct duel *d, uint64_t at_ns);
static inline void run(struct duel *d, uint64_t for_ns)
{
	run_until(d, d->sim->now_ns + for_ns);
}

/* ---- what tests hold ---- */

#define assert_header(heard, name, value)                                                                              \
	cr_assert_str_eq(header((heard), name), value, "%s: \"%s\", not \"%s\"", name, header((heard), name), value)

/* The k-th refresh of a window: in the last tenth of its segment, a tick late at most. */
void assert_segment(const struct heard *heard, uint64_t confirmed_ns, uint64_t interval_s, unsigned segments,
		    unsigned k);
/* No BYE before, one on each leg at that time, and one CDR that says so. */
void assert_ends(struct duel *d, uint64_t at_ns, enum cdr_end_reason reason);
#define SESSION_EXPIRED "SIP;cause=408;text=\"session timer expired\""
void assert_expires(struct duel *d, uint64_t at_ns);
/* The latest proof of life in the CDR. */
void assert_last_confirmed(struct duel *d, uint64_t at_ns);

/* The caller hangs up: then there is a CDR. */
void hang_up(struct duel *d);
/* The same if the call is up still, and all checks of the simulation; the duel is no more. */
void over(struct duel *d);

#endif
