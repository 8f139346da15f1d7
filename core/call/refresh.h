/* Session timers and probes of the legs of a call: RFC 4028, spec 5.  What is negotiated and when something falls due
 * is sip/session_timer; here it is sent, answered and acted upon. */
#ifndef RW_CORE_CALL_REFRESH_H
#define RW_CORE_CALL_REFRESH_H

#include "core/call/state.h"

/* The parameters of a call that starts now. */
void refresh_take_rules(const struct shard *s, struct call *call);

/* What a request says of session timers, judged for this leg: 0 go on, else the status to refuse it with, and the
 * header lines that go with it (written into `lines`, whole lines). */
unsigned refresh_judge(const struct session_timer *session, const struct session_timer_rules *rules,
		       const struct session_timer_headers *request, char lines[static 64], struct bytes *ret_lines);

/* The peer's INVITE or UPDATE, to be answered later: what its 2xx will say is kept with the transaction. */
void refresh_note_request(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m,
			  const struct session_timer_headers *request, bool in_dialog);
/* That 2xx: its lines, and, when it goes out, the window starts. */
void refresh_build_answer(struct builder *b, const struct leg *leg, const struct transaction *tx);
void refresh_answered(struct shard *s, struct leg *leg, const struct transaction *tx);

/* Our INVITE or UPDATE, of whatever purpose: its lines; and the 2xx to it, which confirms. */
void refresh_build_request(struct shard *s, struct builder *b, const struct leg *leg, struct transaction *tx);
void refresh_confirmed(struct shard *s, struct leg *leg, const struct transaction *tx, const struct sip_message *m);

/* The peer's Allow, wherever it stands. */
void refresh_note_allow(struct leg *leg, const struct sip_message *m);

/* The call is answered: probes of legs without a timer begin. */
void refresh_begin_probes(struct shard *s, struct leg *leg);

/* The leg's entry on the wheel came due. */
void refresh_due(struct shard *s, struct leg *leg);
void refresh_arm(struct shard *s, struct leg *leg);

/* An offer on the leg has ended, and what waited for it went out: the last refresh, if it is still to be sent. */
void refresh_settle(struct shard *s, struct leg *leg);

/* Responses, or none, to a refresh (ROLE_REFRESH), an offer of ours (ROLE_OFFER) or a probe (ROLE_PROBE). */
void refresh_response(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m);
void refresh_timeout(struct shard *s, struct leg *leg, struct transaction *tx);
/* The end of its time has come.  A re-INVITE that had a provisional response is cancelled, and its transaction lives on
 * for the final one, which wants an ACK with what the INVITE said (RFC 3261 17.1.1.3): true.  false: it is over. */
bool refresh_overdue(struct shard *s, struct leg *leg, struct transaction *tx);

/* CDR_TIMER_A | CDR_TIMER_B: which legs have a session timer. */
uint8_t refresh_timers(const struct shard *s, const struct call *call);

#endif
