#include "core/call/refresh.h"

#include <stdio.h>

#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "core/call/offer.h"
#include "core/call/relay.h"
#include "core/call/reply.h"
#include "core/call/setup.h"

#define RETRY_422_MAX    3
#define COLLISION_NS     UINT64_C(500000000) /* another INVITE or UPDATE is open on the leg: look again then */
#define PROBE_SILENT_MAX 2

/* ---- rules and negotiation ---- */

void refresh_take_rules(const struct shard *s, struct call *call)
{
	const struct parameters *p = &s->config->parameters;
	call->rules = session_timer_rules(p->SS_SIP_SESSION_TTL, p->RW_SIP_MIN_SE,
					  p->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, p->SS_SIP_SESSION_UPDATE_SEGMENT);
	call->probe_interval_s = DURATION(p->RW_NO_TIMER_PROBE_INTERVAL);
}

unsigned refresh_judge(const struct session_timer *session, const struct session_timer_rules *rules,
		       const struct session_timer_headers *request, char lines[static 64], struct bytes *ret_lines)
{
	*ret_lines = BYTES_NONE;
	switch (session_timer_judge(session, rules, request)) {
	case SESSION_MALFORMED:
		return 400;
	case SESSION_TOO_SMALL:
		*ret_lines = (struct bytes){ lines, (uint32_t)snprintf(lines, 64, "Min-SE: %u\r\n", rules->min_se_s) };
		return 422;
	case SESSION_ACCEPT:
		break;
	}
	return 0;
}

void refresh_note_request(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m,
			  const struct session_timer_headers *request, bool in_dialog)
{
	const struct call *call = call_at(s, leg->call);
	session_timer_answer(&leg->session, &call->rules, request, in_dialog, &tx->session);
	refresh_note_allow(leg, m);
}

void refresh_build_answer(struct builder *b, const struct leg *leg, const struct transaction *tx)
{
	session_timer_build_answer(b, &leg->session, &tx->session);
}

/* Proof of life, at this moment. */
static void note_life(struct shard *s, struct call *call)
{
	call->last_confirmed_us = s->now.real_us;
}

/* A timer was agreed upon or given up in mid call: probes take turns with it, and so does the cap of the caller. */
static void note_change(struct shard *s, struct leg *leg, bool was_timed)
{
	bool timed = leg->session.interval_s != 0;
	if (timed == was_timed)
		return;
	leg->probe_due_ns = 0;
	leg->probe_open = false;
	if (leg->probes_silent < PROBE_SILENT_MAX)
		leg->probes_silent = 0;
	refresh_begin_probes(s, leg);
	if (leg->side == LEG_CALLER)
		setup_arm_caps(s, call_at(s, leg->call));
}

/* What was sent before goes on waiting for a late 2xx, but is not sent again. */
static void replace_pending(struct shard *s, struct leg *leg)
{
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		struct transaction *tx = transaction_at(s, i);
		if (tx->role == ROLE_REFRESH && !tx->over)
			exchange_stop_resending(s, tx);
	}
	leg->refresh = POOL_NONE;
}

void refresh_answered(struct shard *s, struct leg *leg, const struct transaction *tx)
{
	struct call *call = call_at(s, leg->call);
	bool was_timed = leg->session.interval_s != 0;
	if (!call->connect_ns)
		return; /* an UPDATE in the early dialog: the timer starts with the 2xx of the INVITE */
	session_timer_answered(&leg->session, &call->rules, &tx->session, s->now.now_ns, shard_random(s));
	replace_pending(s, leg); /* the peer was faster: whatever else comes of ours than a 2xx, it lives */
	note_life(s, call);
	note_change(s, leg, was_timed);
	carry_note_leg(s, call, leg);
	refresh_arm(s, leg);
}

void refresh_build_request(struct shard *s, struct builder *b, const struct leg *leg, struct transaction *tx)
{
	const struct call *call = call_at(s, leg->call);
	bool claim = tx->claim || tx->role == ROLE_SETUP;
	tx->session.interval_s = session_timer_asks_s(&leg->session, &call->rules);
	session_timer_build_request(b, &leg->session, &call->rules, claim);
}

void refresh_confirmed(struct shard *s, struct leg *leg, const struct transaction *tx, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	struct session_timer_headers headers;
	bool was_timed = leg->session.interval_s != 0;
	if (!call->connect_ns)
		return; /* an UPDATE in the early dialog: nothing runs yet */
	session_timer_read(m, &headers);
	session_timer_confirmed(&leg->session, &call->rules, &headers, tx->session.interval_s, tx->role == ROLE_SETUP,
				tx->claim, s->now.now_ns, shard_random(s));
	note_life(s, call);
	note_change(s, leg, was_timed);
	carry_note_leg(s, call, leg);
	refresh_note_allow(leg, m);
	refresh_arm(s, leg);
}

void refresh_note_allow(struct leg *leg, const struct sip_message *m)
{
	if (sip_header_first(m, SIP_H_ALLOW))
		leg->peer_updates = sip_list_has(m, SIP_H_ALLOW, BYTES("UPDATE"));
}

uint8_t refresh_timers(const struct shard *s, const struct call *call)
{
	const struct leg *caller = leg_at(s, call->caller_leg), *callee = leg_at(s, call->callee_leg);
	return (uint8_t)((caller->session.interval_s ? CDR_TIMER_A : 0) |
			 (callee && callee->session.interval_s ? CDR_TIMER_B : 0));
}

/* ---- the wheel ---- */

void refresh_arm(struct shard *s, struct leg *leg)
{
	uint64_t at = leg->session.due_ns;
	if (leg->probe_due_ns && leg->probe_due_ns < at)
		at = leg->probe_due_ns;
	if (leg->offer_due_ns && leg->offer_due_ns < at)
		at = leg->offer_due_ns;
	if (at == UINT64_MAX)
		wheel_cancel(&s->wheel, &leg->timer);
	else
		wheel_arm(&s->wheel, &leg->timer, at);
}

/* ---- sending ---- */

/* A question that a person answers may be open for longer than the window is. */
static bool is_late(const struct shard *s, const struct leg *leg)
{
	return is_before(session_timer_expires_ns(&leg->session),
			 s->now.now_ns + seconds_ns(leg->session.interval_s) / 4);
}

static void send_refresh(struct shard *s, struct leg *leg, bool claim)
{
	struct call *call = call_at(s, leg->call);
	bool by_update = (leg->peer_updates && !leg->no_update) || leg->body_out == POOL_NONE;
	struct builder b;
	/* Another offer is open on the leg: its 2xx confirms as well.  A refresh of ours is replaced.  An UPDATE has no
	 * offer, and may go out beside the other one (RFC 3311 5.1). */
	leg->last_waits = false;
	if (offer_open(s, leg, NULL) & OPEN_OTHERS && !(by_update && !claim && is_late(s, leg))) {
		leg->last_waits = leg->session.wait == SESSION_GRACE;
		if (claim)
			session_timer_postpone_probe(&leg->session, COLLISION_NS, s->now.now_ns);
		else
			session_timer_retry_in(&leg->session, COLLISION_NS, s->now.now_ns);
		return;
	}
	replace_pending(s, leg);
	struct transaction *tx = leg_request(s, leg, by_update ? SIP_UPDATE : SIP_INVITE, ROLE_REFRESH, 70, &b);
	if (!tx) {
		session_timer_refresh_failed(&leg->session, 0, s->now.now_ns);
		return;
	}
	tx->claim = claim;
	leg->refresh = transaction_index(s, tx);
	leg_build_contact(s, &b, leg);
	build_text(&b, ALLOW_LINE);
	refresh_build_request(s, &b, leg, tx);
	body_build(s, &b, by_update ? POOL_NONE : leg->body_out);
	exchange_send(s, tx, &b);
	call->refreshes_sent++;
	stat_add(&s->stats->refresh_sent, 1);
}

void refresh_settle(struct shard *s, struct leg *leg)
{
	if (leg->last_waits && leg->session.wait == SESSION_GRACE)
		send_refresh(s, leg, true);
	else
		leg->last_waits = false;
}

static void expire(struct shard *s, struct call *call, uint64_t at_ns)
{
	struct ending ending = { .reason = CDR_END_session_timeout,
				 .side = CDR_SIDE_SWITCH,
				 .at_ns = at_ns,
				 .reason_header = BYTES("SIP;cause=408;text=\"session timer expired\"") };
	call_end(s, call, &ending);
}

static void session_due(struct shard *s, struct leg *leg)
{
	struct call *call = call_at(s, leg->call);
	/* After a standstill it may have been due for something else, and the window is over since. */
	uint64_t due_ns = leg->session.due_ns, expires_ns = session_timer_expires_ns(&leg->session);
	switch (session_timer_due(&leg->session, &call->rules, s->now.now_ns, shard_random(s))) {
	case SESSION_ACT_NONE:
		break;
	case SESSION_ACT_REFRESH:
		leg->tries_422 = 0;
		send_refresh(s, leg, false);
		break;
	case SESSION_ACT_CLAIM:
	case SESSION_ACT_LAST_REFRESH:
		leg->tries_422 = 0;
		send_refresh(s, leg, true);
		break;
	case SESSION_ACT_HANG_UP:
		expire(s, call, due_ns > expires_ns ? due_ns : expires_ns);
		break;
	}
}

/* ---- probes of legs without a timer (RW_NO_TIMER_PROBE_INTERVAL) ---- */

static uint64_t probe_interval_ns(const struct call *call)
{
	return seconds_ns(call->probe_interval_s);
}

void refresh_begin_probes(struct shard *s, struct leg *leg)
{
	const struct call *call = call_at(s, leg->call);
	if (call->probe_interval_s && !leg->session.interval_s && leg->probes_silent < PROBE_SILENT_MAX)
		leg->probe_due_ns = s->now.now_ns + probe_interval_ns(call);
	refresh_arm(s, leg);
}

static void send_probe(struct shard *s, struct leg *leg)
{
	struct builder b;
	leg->probe_open = false; /* one that is not sent is not a silence */
	struct transaction *tx = leg_request(s, leg, SIP_OPTIONS, ROLE_PROBE, 70, &b);
	if (!tx)
		return;
	leg->probe_open = true;
	leg_build_contact(s, &b, leg);
	body_build(s, &b, POOL_NONE);
	exchange_send(s, tx, &b);
	if (leg->probe_due_ns < tx->ends_at_ns)
		exchange_end_at(s, tx, leg->probe_due_ns);
}

static void probe_due(struct shard *s, struct leg *leg)
{
	struct call *call = call_at(s, leg->call);
	uint64_t due_ns = leg->probe_due_ns;
	leg->probe_due_ns = 0;
	if (leg->probe_open && ++leg->probes_silent >= PROBE_SILENT_MAX) {
		if (leg->probe_answered) {
			struct ending ending = { .reason = CDR_END_dialog_lost,
						 .side = CDR_SIDE_SWITCH,
						 .at_ns = due_ns,
						 .reason_header = BYTES("SIP;cause=408;text=\"no answer to probes\"") };
			call_end(s, call, &ending);
		} else {
			char id[CDR_ID_SIZE];
			call_cdr_id(s, call, id);
			shard_log(s, 6, "event=probing_stopped cdr_id=%.*s leg=%s reason=\"never answered OPTIONS\"",
				  CDR_ID_SIZE, id, leg->side == LEG_CALLER ? "a" : "b");
		}
		return;
	}
	leg->probe_due_ns = s->now.now_ns + probe_interval_ns(call);
	if (leg->side == LEG_CALLEE || call->state != CALL_ANSWERED) /* it would overtake our 200 */
		send_probe(s, leg);
}

void refresh_due(struct shard *s, struct leg *leg)
{
	if (leg->call == POOL_NONE)
		return;
	if (leg->session.due_ns <= s->now.now_ns)
		session_due(s, leg);
	if (leg->call != POOL_NONE && leg->probe_due_ns && leg->probe_due_ns <= s->now.now_ns)
		probe_due(s, leg);
	if (leg->call != POOL_NONE)
		offer_tell_due(s, leg);
	if (leg->call != POOL_NONE)
		refresh_arm(s, leg);
}

/* ---- answers ---- */

static void take_session(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	if (!m->body.size || body_equals(s, leg->body_in, m))
		return;
	uint32_t body = body_keep(s, m);
	if (body == POOL_NONE)
		return;
	body_replace(s, &leg->body_in, body);
	carry_note(s, call_at(s, leg->call), CARRY_WHOLE);
	offer_tell_other(s, leg);
}

static void succeeded(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	leg_move(s, leg, m);
	if (tx->method == SIP_INVITE)
		leg_ack(s, leg, tx->cseq, POOL_NONE);
	refresh_confirmed(s, leg, tx, m);
	if (tx->role == ROLE_OFFER) {
		body_replace(s, &leg->body_out, body_share(s, tx->offer));
		if (m->body.size)
			body_replace(s, &leg->body_in, body_keep(s, m));
		carry_note(s, call, CARRY_WHOLE);
		return;
	}
	replace_pending(s, leg);
	call->refreshes_confirmed++;
	stat_add(&s->stats->refresh_confirmed, 1);
	if (tx->method == SIP_INVITE)
		take_session(s, leg, m);
}

/* At once, in another way; unless the answer to another request has made the peer the refresher meanwhile, or ended the
 * timer. */
static void send_again(struct shard *s, struct leg *leg, const struct transaction *tx)
{
	if (leg->session.interval_s && leg->session.we_refresh)
		send_refresh(s, leg, tx->claim);
}

static void failed(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct session_timer_headers headers;
	uint32_t retry_after_s = 0;
	bool update = tx->method == SIP_UPDATE;
	leg->refresh = POOL_NONE;
	stat_add(&s->stats->refresh_failed, 1);
	if (update && (m->status == 405 || m->status == 501 || m->status == 488) && leg->body_out != POOL_NONE) {
		leg->no_update = true;
		send_again(s, leg, tx);
	} else if (m->status == 422 && leg->tries_422 < RETRY_422_MAX) {
		session_timer_read(m, &headers);
		leg->tries_422++;
		if (session_timer_too_small(&leg->session, &headers))
			send_again(s, leg, tx);
		else
			session_timer_refresh_failed(&leg->session, 0, s->now.now_ns);
	} else if (m->status == 491) {
		session_timer_retry_in(&leg->session, offer_glare_wait_ns(s, leg), s->now.now_ns);
	} else {
		struct bytes retry = sip_header(m, SIP_H_RETRY_AFTER);
		for (uint32_t i = 0; i < retry.size; i++) /* "18 (comment);duration=3" */
			if (retry.at[i] < '0' || retry.at[i] > '9')
				retry.size = i;
		sip_read_number(retry, &retry_after_s);
		session_timer_refresh_failed(&leg->session, retry_after_s, s->now.now_ns);
	}
	refresh_arm(s, leg);
}

void refresh_response(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	bool current = leg->refresh == transaction_index(s, tx);
	if (m->status < 200) {
		if (tx->kind == INVITE_CLIENT && !tx->ends_at_ns)
			exchange_end_after_64t1(s, tx);
		return;
	}
	if (leg->call == POOL_NONE) { /* its BYE is under way: only the ACK is still owed */
		if (m->status < 300 && tx->kind == INVITE_CLIENT)
			leg_ack_ended(s, leg, m);
		return;
	}
	if (m->status == 408 || m->status == 481) {
		relay_dialog_lost(s, leg);
	} else if (tx->role == ROLE_PROBE) {
		leg->probe_open = false;
		leg->probe_answered = true;
		leg->probes_silent = 0;
	} else if (m->status < 300) {
		succeeded(s, leg, tx, m);
	} else if (tx->role == ROLE_OFFER) {
		offer_refused(s, leg, tx, m);
	} else if (tx->role == ROLE_REFRESH && current) {
		failed(s, leg, tx, m);
	}
}

bool refresh_overdue(struct shard *s, struct leg *leg, struct transaction *tx)
{
	bool ours = tx->role == ROLE_REFRESH || tx->role == ROLE_OFFER;
	if (!ours || leg->call == POOL_NONE || !exchange_is_overdue(s, tx))
		return false;
	leg_cancel(s, leg, tx);
	refresh_timeout(s, leg, tx);
	return true;
}

void refresh_timeout(struct shard *s, struct leg *leg, struct transaction *tx)
{
	struct call *call = call_at(s, leg->call);
	if (!call || tx->role != ROLE_REFRESH || leg->refresh != transaction_index(s, tx))
		return;
	leg->refresh = POOL_NONE;
	stat_add(&s->stats->refresh_failed, 1);
	session_timer_refresh_failed(&leg->session, 0, s->now.now_ns);
	refresh_arm(s, leg);
}
