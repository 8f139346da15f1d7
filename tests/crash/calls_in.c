#include "tests/crash/peer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the caller ---- */

static void keep(char out[static NAME_BYTES], struct text text)
{
	snprintf(out, NAME_BYTES, "%.*s", SHOW(text));
}

static void caller_answered(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[CALLER];
	bool gave_up = leg->state == LEG_OVER || leg->cancelled;
	call->truth.seen_ns = now_ns;
	keep(leg->remote_tag, m->to_tag);
	keep(leg->target, m->contact);
	peer_disarm(call, CALLER, GIVE_UP);
	peer_disarm(call, CALLER, CANCEL_IT);
	if (leg->request.text)
		peer_end_repeat(call, CALLER, &leg->request);
	if (gave_up) { /* it was cancelled, and yet: RFC 3261 15 */
		peer_acknowledge(c, call, CALLER, m->cseq);
		leg->state = LEG_UP;
		peer_send_bye(c, call, CALLER, now_ns);
		return;
	}
	leg->state = LEG_UP;
	peer_note_up(c, call);
	leg->interval_s = m->expires_s;
	leg->mine = m->refresher == 'c';
	if (call->script.ack_ns)
		peer_arm(c, call, CALLER, ACKNOWLEDGE, now_ns + call->script.ack_ns);
	else
		peer_acknowledge(c, call, CALLER, m->cseq);
	peer_confirm(c, call, CALLER, now_ns);
	if (call->script.enders[CALLER])
		peer_arm(c, call, CALLER, HANG_UP, now_ns + call->script.hold_ns);
}

static void caller_refused(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[CALLER];
	peer_acknowledge_refusal(c, call, CALLER, m);
	if (leg->state != LEG_EARLY)
		return;
	call->truth.refusal = m->status;
	if (leg->request.text)
		peer_end_repeat(call, CALLER, &leg->request);
	peer_leg_over(c, call, CALLER, now_ns);
}

/* ---- the callee ---- */

static struct sending answer_invite(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
				    const struct message *m)
{
	struct leg *leg = call->legs[side];
	struct page p = { .size = 0 };
	peer_begin_response(m, side, call, &p, 200, "OK");
	peer_add_own(c, call, side, &p);
	if (leg->interval_s)
		page_add(&p, "Supported: timer\r\nRequire: timer\r\nSession-Expires: %u;refresher=%s\r\n",
			 leg->interval_s, leg->mine ? "uas" : "uac");
	peer_add_sdp(call, side, &p);
	return peer_begin_repeat(c, call, side, now_ns, &leg->answer, &p, INVITE, m->cseq);
}

/* The INVITE is kept as the text of a request, until it is answered. */
void peer_callee_answers(struct calls *c, struct call *call, uint64_t now_ns)
{
	struct leg *leg = call->legs[CALLEE];
	struct message m;
	if (leg->state != LEG_EARLY || !message_read(leg->request.text, leg->request.size, &m))
		return;
	if (call->script.refusal) {
		peer_respond(c, &m, CALLEE, call, call->script.refusal, "Busy Here");
		peer_leg_over(c, call, CALLEE, now_ns);
		return;
	}
	leg->state = LEG_UP;
	if (call->script.timers[CALLEE] && m.expires_s) {
		leg->interval_s = m.expires_s < c->settings.expires_s ? m.expires_s : c->settings.expires_s;
		leg->mine = m.refresher == 's';
	}
	call->truth.ok = answer_invite(c, call, CALLEE, now_ns, &m);
	peer_forget(&leg->request);
	leg->answer.ends_ns = now_ns + ACK_PATIENCE * c->settings.t1_ns;
	peer_note_up(c, call);
	peer_confirm(c, call, CALLEE, now_ns);
	if (leg->interval_s && call->script.timers[CALLEE] == TIMER_OURS) /* it takes the refreshing over */
		peer_arm(c, call, CALLEE, REFRESH, now_ns + leg->interval_s * CALLS_S / 3);
	if (call->script.enders[CALLEE])
		peer_arm(c, call, CALLEE, HANG_UP, now_ns + call->script.hold_ns);
}

static void callee_invited(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m,
			   struct text datagram)
{
	struct leg *leg = call->legs[CALLEE];
	if (leg->state != LEG_NONE) { /* sent again */
		if (leg->state == LEG_EARLY)
			peer_respond(c, m, CALLEE, call, 180, "Ringing");
		else if (leg->answer.text)
			call->truth.ok.after_ns = peer_transmit(c, CALLEE, leg->answer.text, leg->answer.size).after_ns;
		return;
	}
	leg->state = LEG_EARLY;
	keep(leg->call_id, m->call_id_value);
	keep(leg->remote_tag, m->from_tag);
	keep(leg->target, m->contact);
	leg->remote_cseq = m->cseq;
	leg->remote_method = INVITE;
	leg->request.text = peer_need(malloc(datagram.size));
	memcpy(leg->request.text, datagram.at, datagram.size);
	leg->request.size = datagram.size;
	peer_respond(c, m, CALLEE, call, 180, "Ringing");
	peer_arm(c, call, CALLEE, ANSWER, now_ns + call->script.answer_ns);
	/* The caller may be gone, and the switch not know the call any more. */
	peer_arm(c, call, CALLEE, GIVE_UP, now_ns + SETUP_NS + c->settings.patience_ns);
}

static void callee_cancelled(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[CALLEE];
	struct message invite;
	peer_respond(c, m, CALLEE, call, 200, "OK");
	if (leg->state != LEG_EARLY || !message_read(leg->request.text, leg->request.size, &invite))
		return;
	peer_respond(c, &invite, CALLEE, call, 487, "Request Terminated");
	peer_leg_over(c, call, CALLEE, now_ns);
}

/* ---- requests in a dialog ---- */

/* RFC 4028 9: what the switch's refresh says of the session. */
static void take_timer(struct leg *leg, const struct message *m)
{
	if (!m->expires_s)
		return;
	leg->interval_s = m->expires_s;
	leg->mine = m->refresher == 's';
}

static void refreshed_in(struct calls *c, struct call *call, enum side side, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[side];
	call->truth.sides[side].refreshes_in++;
	take_timer(leg, m);
	if (m->method == INVITE) {
		answer_invite(c, call, side, now_ns, m);
	} else {
		struct page p = { .size = 0 };
		peer_begin_response(m, side, call, &p, 200, "OK");
		peer_add_own(c, call, side, &p);
		if (leg->interval_s)
			page_add(&p, "Require: timer\r\nSession-Expires: %u;refresher=%s\r\n", leg->interval_s,
				 leg->mine ? "uas" : "uac");
		page_end(&p, "");
		peer_transmit(c, side, p.text, p.size);
	}
	peer_confirm(c, call, side, now_ns);
}

static void bye_in(struct calls *c, struct call *call, enum side side, uint64_t now_ns, const struct message *m)
{
	struct side_truth *truth = &call->truth.sides[side];
	peer_respond(c, m, side, call, 200, "OK");
	if (!truth->bye_in_ns)
		truth->bye_in_ns = now_ns;
	if (call->legs[side]->state != LEG_NONE)
		peer_leg_over(c, call, side, now_ns);
}

static void acked(struct calls *c, struct call *call, enum side side, const struct message *m)
{
	struct leg *leg = call->legs[side];
	(void)c;
	if (leg->answer.text && leg->answer.cseq == m->cseq)
		peer_end_repeat(call, side, &leg->answer);
}

static void request_in_dialog(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
			      const struct message *m)
{
	struct leg *leg = call->legs[side];
	if (m->method == ACK) {
		acked(c, call, side, m);
		return;
	}
	bool again = m->cseq == leg->remote_cseq && m->method == leg->remote_method;
	if (m->cseq < leg->remote_cseq || (m->cseq == leg->remote_cseq && !again)) {
		if (leg->state == LEG_UP) /* else the BYE may have overtaken it */
			call->truth.sides[side].stale_cseq = true;
		peer_respond(c, m, side, call, 500, "CSeq Used Up");
		return;
	}
	leg->remote_cseq = m->cseq;
	leg->remote_method = m->method;
	if (m->method == BYE)
		bye_in(c, call, side, now_ns, m);
	else if (leg->state != LEG_UP)
		peer_respond(c, m, side, call, 481, "Call Does Not Exist");
	else if (again && m->method == INVITE && leg->answer.text)
		peer_transmit(c, side, leg->answer.text, leg->answer.size);
	else if (m->method == INVITE && leg->request.text && leg->request.method == INVITE)
		peer_respond(c, m, side, call, 491, "Request Pending");
	else if (m->method == INVITE || m->method == UPDATE)
		refreshed_in(c, call, side, now_ns, m);
	else
		peer_respond(c, m, side, call, 200, "OK");
}

/* A call that neither peer has any state of: a BYE is answered as it was the first time. */
static void request_after(struct calls *c, struct call *call, enum side side, uint64_t now_ns, const struct message *m)
{
	if (m->method == ACK)
		return;
	if (m->method != BYE) {
		peer_respond(c, m, side, call, 481, "Call Does Not Exist");
		return;
	}
	peer_respond(c, m, side, call, 200, "OK");
	if (!call->truth.sides[side].bye_in_ns)
		call->truth.sides[side].bye_in_ns = now_ns;
}

/* ---- responses ---- */

static void refresh_answered(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
			     const struct message *m)
{
	struct leg *leg = call->legs[side];
	struct side_truth *truth = &call->truth.sides[side];
	if (leg->request.probe)
		peer_probe_answered(c, call, now_ns, m->status);
	if (m->method == INVITE && m->status >= 300)
		peer_acknowledge_refusal(c, call, side, m);
	peer_end_repeat(call, side, &leg->request);
	if (m->status < 300) {
		truth->refreshes_out++;
		leg->interval_s = m->expires_s;
		leg->mine = m->refresher == 'c';
		peer_confirm(c, call, side, now_ns);
	} else if (m->status == 481 || m->status == 408) {
		truth->lost = m->status;
		peer_leg_over(c, call, side, now_ns);
	} else {
		peer_arm(c, call, side, REFRESH, now_ns + CALLS_S / 2 + peer_below(c, CALLS_S));
	}
}

static void response_to_request(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
				const struct message *m)
{
	struct leg *leg = call->legs[side];
	bool first = side == CALLER && m->method == INVITE && m->cseq == 1;
	if (first && m->status < 200) {
		peer_disarm(call, side, SEND_REQUEST_AGAIN); /* RFC 3261 17.1.1.2, Proceeding */
	} else if (first && m->status >= 300) {
		caller_refused(c, call, now_ns, m);
	} else if (first && !call->truth.seen_ns) {
		caller_answered(c, call, now_ns, m);
	} else if (m->status < 200) {
		return;
	} else if (leg->request.text && leg->request.method == m->method && leg->request.cseq == m->cseq) {
		if (m->method == INVITE && m->status < 300)
			peer_acknowledge(c, call, side, m->cseq);
		refresh_answered(c, call, side, now_ns, m);
	} else if (m->method == INVITE && m->status < 300) { /* sent again: the ACK was lost, or is late on purpose */
		if (leg->stamps[ACKNOWLEDGE] == 0 || leg->state == LEG_OVER || !first)
			peer_acknowledge(c, call, side, m->cseq);
	} else if (m->method == INVITE) {
		peer_acknowledge_refusal(c, call, side, m);
	}
}

static void response_to_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
			    const struct message *m)
{
	struct leg *leg = call->legs[side];
	if (!leg->bye.text || leg->bye.method != m->method || leg->bye.cseq != m->cseq || m->status < 200)
		return;
	if (leg->bye.probe)
		peer_probe_answered(c, call, now_ns, m->status);
	if (m->method == BYE)
		call->truth.sides[side].bye_status = m->status;
	peer_end_repeat(call, side, &leg->bye);
	if (m->method == CANCEL && m->status >= 300) /* the switch knows of no such INVITE (any more) */
		peer_leg_over(c, call, side, now_ns);
}

/* ---- what comes in ---- */

/* "a123": a tag of ours. */
static struct call *find(const struct calls *c, enum side side, struct text tag)
{
	char digits[12];
	if (tag.size < 2 || tag.size > 11 || tag.at[0] != peer_letters[side])
		return NULL;
	snprintf(digits, sizeof digits, "%.*s", (int)tag.size - 1, tag.at + 1);
	uint32_t serial = (uint32_t)strtoul(digits, NULL, 10);
	return serial < c->count ? c->calls[serial] : NULL;
}

/* "sip:880000123@...": a number that was dialled. */
static struct call *find_dialled(const struct calls *c, struct text uri)
{
	char digits[12];
	if (uri.size < 14)
		return NULL;
	snprintf(digits, sizeof digits, "%.*s", 9, uri.at + 4);
	uint32_t serial = (uint32_t)strtoul(digits, NULL, 10) - 880000000u;
	return serial < c->count ? c->calls[serial] : NULL;
}

static void request_in(struct calls *c, enum side side, uint64_t now_ns, const struct message *m, struct text datagram)
{
	struct call *call = m->to_tag.size ? find(c, side, m->to_tag) : find_dialled(c, m->uri);
	if (!call)
		return;
	if (!call->legs[side])
		request_after(c, call, side, now_ns, m);
	else if (m->to_tag.size)
		request_in_dialog(c, call, side, now_ns, m);
	else if (side == CALLEE && m->method == INVITE)
		callee_invited(c, call, now_ns, m, datagram);
	else if (side == CALLEE && m->method == CANCEL)
		callee_cancelled(c, call, now_ns, m);
	if (call->legs[side])
		peer_settle(c, call);
}

static void response_in(struct calls *c, enum side side, uint64_t now_ns, const struct message *m)
{
	struct call *call = find(c, side, m->from_tag);
	if (!call || !call->legs[side])
		return;
	if (m->method == BYE || m->method == CANCEL)
		response_to_bye(c, call, side, now_ns, m);
	else
		response_to_request(c, call, side, now_ns, m);
	peer_settle(c, call);
}

void calls_datagram(struct calls *c, uint64_t now_ns, enum side side, const char *at, size_t size)
{
	struct message m;
	if (!message_read(at, size, &m))
		return;
	if (m.is_request)
		request_in(c, side, now_ns, &m, (struct text){ at, size });
	else
		response_in(c, side, now_ns, &m);
}
