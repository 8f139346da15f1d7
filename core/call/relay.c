#include "core/call/relay.h"

#include <stdio.h>

#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/connect.h"
#include "core/call/early.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "core/call/offer.h"
#include "core/call/refresh.h"
#include "core/call/reliable.h"
#include "core/call/reply.h"
#include "core/call/setup.h"

#define TIMER_C_S     181 /* of a relayed re-INVITE: more than three minutes (RFC 3261 16.6 point 11) */
#define RETRY_422_MAX 3   /* of one request */

struct leg *relay_other_leg(const struct shard *s, const struct call *call, const struct leg *leg)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	if (leg->side == LEG_CALLEE)
		return leg_at(s, call->caller_leg);
	return leg_at(s, attempt ? attempt->leg : call->callee_leg);
}

/* Before the answer. */
static bool is_early(const struct shard *s, const struct leg *leg)
{
	return call_at(s, leg->call)->callee_leg == POOL_NONE;
}

static enum cdr_side side_of(const struct leg *leg)
{
	return leg->side == LEG_CALLER ? CDR_SIDE_CALLER : CDR_SIDE_CALLEE;
}

/* ---- BYE ---- */

/* What a BYE does to the call; its answer follows. */
static void end_by_bye(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	char room[REASON_MAX];
	struct bytes reason = ending_reason(m, room);
	leg_ack_without_answer(s, leg);
	if (call && leg->state == LEG_EARLY) { /* the caller gives up: BYE in place of CANCEL (15) */
		setup_cancelled(s, call, reason);
	} else if (call) {
		struct ending ending = { .reason = CDR_END_normal,
					 .side = side_of(leg),
					 .q850 = ending_q850(reason),
					 .reason_header = reason };
		leg->state = LEG_ENDED; /* a 200 without ACK goes on being sent: the BYE may have crossed the first */
		call_end(s, call, &ending);
	}
	leg->state = LEG_ENDED;
	leg->bye_after_ack = false;
}

static void bye(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	if (leg->side == LEG_CALLEE && leg->state == LEG_EARLY) { /* only the caller may end an early dialog so (15) */
		exchange_reply(s, tx, 481, BYTES_NONE);
		return;
	}
	end_by_bye(s, leg, m);
	exchange_reply(s, tx, 200, BYTES_NONE);
}

/* ---- passing a request on ---- */

/* What of a request's content the other side sees, beside the body and the headers that describe it. */
static void build_passed_headers(struct builder *b, const struct sip_message *m)
{
	static const struct {
		enum sip_header_id id;
		const char *name;
	} passed[] = {
		{ SIP_H_REFER_TO, "Refer-To: " },
		{ SIP_H_REFERRED_BY, "Referred-By: " },
		{ SIP_H_EVENT, "Event: " },
		{ SIP_H_SUBSCRIPTION_STATE, "Subscription-State: " },
		{ SIP_H_INFO_PACKAGE, "Info-Package: " },
		{ SIP_H_REASON, "Reason: " },
	};
	for (unsigned i = 0; i < sizeof passed / sizeof *passed; i++) {
		for (const struct sip_header *h = sip_header_first(m, passed[i].id); h; h = sip_header_next(m, h)) {
			if (!h->value_size)
				continue;
			build_bytes(b, bytes_of(passed[i].name));
			build_bytes(b, sip_header_value(m, h));
			build_text(b, "\r\n");
		}
	}
}

static bool makes_target(enum sip_method method)
{
	return method == SIP_INVITE || method == SIP_UPDATE; /* RFC 3261 12.2, RFC 3311 5.1: target refresh requests */
}

/* Those of no session are target refresh requests, too: they have a Contact, and so has a 2xx (RFC 3515 2.2, RFC 6665
 * 4.4.1, RFC 5057 5.4). */
static bool has_contact(enum sip_method method)
{
	return makes_target(method) || method == SIP_REFER || method == SIP_NOTIFY;
}

/* The sender of what is no INVITE hears of a silent peer before its own Timer F (RFC 4320 4.2 has no 408). */
static void bound_wait(struct shard *s, struct transaction *out, uint64_t received_ns)
{
	if (out->kind == CLIENT)
		exchange_end_at(s, out, received_ns + exchange_64t1_ns(s) / 64 * 60);
}

static void build_offer(struct shard *s, struct builder *b, const struct leg *leg, struct transaction *tx)
{
	leg_build_contact(s, b, leg);
	build_text(b, ALLOW_LINE);
	if (!is_early(s, leg)) /* there the session's interval is agreed upon with the 2xx of the INVITE */
		refresh_build_request(s, b, leg, tx);
}

static void reply_full(struct shard *s, struct transaction *tx)
{
	exchange_reply(s, tx, 503, BYTES("Retry-After: 1\r\n"));
}

/* Before the answer a request is of one early dialog, on whichever side it is asked. */
static uint8_t early_in_use(const struct shard *s, const struct leg *leg)
{
	const struct attempt *attempt = attempt_under_way(s, call_at(s, leg->call));
	return attempt ? attempt->early_used : EARLY_NONE;
}

/* What comes of it is of that dialog, too, although another one may be in use by now. */
static void use_early_of(struct shard *s, const struct leg *leg, const struct transaction *out)
{
	struct attempt *attempt = attempt_under_way(s, call_at(s, leg->call));
	if (attempt && out->early != EARLY_NONE)
		early_use(s, attempt, leg_at(s, attempt->leg), out->early);
}

/* The request to the other leg, up to what is passed on of its content.  NULL: no transaction left, and tx is answered.
 */
static struct transaction *begin_passing(struct shard *s, struct leg *leg, struct transaction *tx, struct builder *b)
{
	struct leg *other = relay_other_leg(s, call_at(s, leg->call), leg);
	/* The PRACK to the other side went out long ago. */
	enum sip_method method = tx->method == SIP_PRACK ? SIP_UPDATE : (enum sip_method)tx->method;
	struct transaction *out = leg_request(s, other, method, ROLE_RELAY, tx->max_forwards, b);
	if (!out) {
		reply_full(s, tx);
		return NULL;
	}
	exchange_pair(s, tx, out);
	out->early = early_in_use(s, leg);
	if (makes_target(method))
		build_offer(s, b, other, out);
	else if (has_contact(method))
		leg_build_contact(s, b, other);
	return out;
}

static void pass_on(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct builder b;
	struct transaction *out = begin_passing(s, leg, tx, &b);
	if (!out)
		return;
	build_passed_headers(&b, m);
	body_build_from(&b, m);
	exchange_send(s, out, &b);
	bound_wait(s, out, s->now.now_ns);
}

/* The same for an offer, which is kept with its lines as long as it may have to go out again. */
static void pass_offer(struct shard *s, struct leg *leg, struct transaction *tx, uint64_t received_ns)
{
	struct builder b;
	struct transaction *out = begin_passing(s, leg, tx, &b);
	if (!out)
		return;
	build_bytes(&b, text_get(&s->texts, tx->passed_lines));
	body_build(s, &b, tx->offer);
	exchange_send(s, out, &b);
	bound_wait(s, out, received_ns);
}

/* false: no room. */
static bool keep_offer(struct shard *s, struct transaction *tx, const struct sip_message *m)
{
	struct builder b;
	tx->offer = body_keep(s, m);
	if (m->body.size && tx->offer == POOL_NONE) /* else its 2xx would pass for the offer */
		return false;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_passed_headers(&b, m);
	struct bytes lines = { s->work, (uint32_t)build_size(&b) };
	tx->passed_lines = lines.size && !b.overflow ? text_put(&s->texts, lines) : TEXT_NONE;
	return !lines.size || tx->passed_lines != TEXT_NONE;
}

/* The early dialog of the other side, which the caller has heard of last, is to be the one in use. */
static void use_heard(struct shard *s, struct call *call)
{
	struct attempt *attempt = attempt_under_way(s, call);
	early_use(s, attempt, leg_at(s, attempt->leg), attempt->early_heard);
}

void relay_pass_held(struct shard *s, struct leg *leg, struct transaction *tx)
{
	uint64_t received_ns = offer_held_since_ns(s, tx);
	tx->held = false;
	exchange_end_at(s, tx, 0);
	if (is_early(s, leg) && !early_is_settled(s, leg)) { /* it waited for another gateway, or another branch */
		relay_reply_busy(s, tx);
		return;
	}
	if (is_early(s, leg) && leg->side == LEG_CALLER)
		use_heard(s, call_at(s, leg->call));
	pass_offer(s, leg, tx, received_ns);
}

/* No offer goes out into one that is open on the other leg (RFC 3261 14.1, RFC 3311 5.1). */
static void pass_offer_on(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	unsigned open = offer_open(s, relay_other_leg(s, call_at(s, leg->call), leg), NULL);
	if (!keep_offer(s, tx, m))
		reply_full(s, tx);
	else if (open & OPEN_PEERS)
		exchange_reply(s, tx, 491, BYTES_NONE);
	else if (!(open & OPEN_OFFERS))
		pass_offer(s, leg, tx, s->now.now_ns);
	else
		offer_hold(s, leg, tx);
}

void relay_reply_busy(struct shard *s, struct transaction *tx)
{
	char line[32];
	int size = snprintf(line, sizeof line, "Retry-After: %u\r\n", (unsigned)(shard_random(s) % 11));
	exchange_reply(s, tx, 500, (struct bytes){ line, (uint32_t)size });
}

static void answer_here(struct shard *s, struct leg *leg, struct transaction *tx, uint32_t body)
{
	struct builder b;
	exchange_response(s, tx, 200, BYTES_NONE, &b);
	leg_build_contact(s, &b, leg);
	build_text(&b, ALLOW_LINE);
	refresh_build_answer(&b, leg, tx);
	body_build(s, &b, body);
	refresh_answered(s, leg, tx);
	if (tx->contact != TEXT_NONE)
		leg_set_target(s, leg, text_get(&s->texts, tx->contact));
	exchange_respond(s, tx, 200, &b, body != POOL_NONE);
}

/* RFC 3261 14.2, RFC 3311 5.2: of offers on one leg the later one is refused. */
static bool refuse_offer(struct shard *s, const struct leg *leg, struct transaction *tx)
{
	unsigned open = offer_open(s, leg, tx);
	if (open & (OPEN_PEERS | OPEN_UNACKED))
		relay_reply_busy(s, tx);
	else if (open & OPEN_GLARE)
		exchange_reply(s, tx, 491, BYTES_NONE);
	return (open & (OPEN_PEERS | OPEN_UNACKED | OPEN_GLARE)) != 0;
}

/* An INVITE where the one that makes the dialog has no answer yet. */
static void refuse_second(struct shard *s, const struct leg *leg, struct transaction *tx)
{
	if (leg->side == LEG_CALLER)
		relay_reply_busy(s, tx);
	else
		exchange_reply(s, tx, 491, BYTES_NONE);
}

static void reinvite(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	tx->no_provisional = sip_list_has(m, SIP_H_REQUIRE, BYTES("100rel")); /* rather none than reliable ones */
	if (is_early(s, leg)) { /* the first is open, whatever has become of its offer (14.1, 14.2) */
		refuse_second(s, leg, tx);
		return;
	}
	if (connect_is_held(s, call_at(s, leg->call))) {
		relay_reply_busy(s, tx);
		return;
	}
	if (refuse_offer(s, leg, tx))
		return;
	if (body_equals(s, leg->body_in, m) && leg->body_out != POOL_NONE) {
		answer_here(s, leg, tx, leg->body_out);
	} else {
		exchange_trying(s, tx, m);
		pass_offer_on(s, leg, tx, m);
	}
}

/* ---- offers before the answer ---- */

/* An offer in the early dialog passes when the one in the INVITE, or in a reliable response, has its answer on both
 * legs (RFC 3311 5.1). */
static void pass_early_offer(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	if (leg->side == LEG_CALLER)
		use_heard(s, call_at(s, leg->call));
	pass_offer_on(s, leg, tx, m);
}

/* Of which offer there is no answer yet: one of the peer's 500, one of ours 491 (RFC 3311 5.2). */
static void refuse_early_offer(struct shard *s, const struct leg *leg, struct transaction *tx)
{
	bool ours = setup_of(s, call_at(s, leg->call))->offer_in_invite == (leg->side == LEG_CALLEE);
	if (ours)
		exchange_reply(s, tx, 491, BYTES_NONE);
	else
		relay_reply_busy(s, tx);
}

void relay_prack_offer(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	if (early_is_settled(s, leg) && !(offer_open(s, leg, tx) & (OPEN_OTHERS | OPEN_REFRESH_UPDATE)))
		pass_early_offer(s, leg, tx, m);
	else
		exchange_reply(s, tx, 488, BYTES_NONE);
}

/* Nobody waits for its answer any more, and its silence must not end a call that goes on. */
static void forget_request(struct shard *s, struct transaction *out)
{
	if (out && out->kind == CLIENT)
		exchange_end(s, out);
}

void relay_early_over(struct shard *s, struct leg *leg)
{
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		struct transaction *tx = transaction_at(s, i), *peer = exchange_peer(s, tx);
		if (tx->over || tx->role != ROLE_RELAY || !exchange_is_open(tx))
			continue;
		bool asked_here = tx->kind == SERVER;
		if (asked_here && leg->side == LEG_CALLEE)
			exchange_reply(s, tx, 487, BYTES_NONE);
		else if (asked_here)
			relay_reply_busy(s, tx);
		else if (peer && exchange_is_open(peer))
			relay_reply_busy(s, peer);
		forget_request(s, asked_here ? peer : tx);
	}
}

/* ---- offers and other requests of the peer ---- */

static void update(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	if (!m->body.size)
		answer_here(s, leg, tx, POOL_NONE);
	else if (connect_is_held(s, call_at(s, leg->call)))
		relay_reply_busy(s, tx);
	else if (is_early(s, leg) && !early_is_settled(s, leg))
		refuse_early_offer(s, leg, tx);
	else if (refuse_offer(s, leg, tx))
		return;
	else if (is_early(s, leg))
		pass_early_offer(s, leg, tx, m);
	else
		pass_offer_on(s, leg, tx, m);
}

static void keep_contact(struct shard *s, struct transaction *tx, const struct sip_message *m)
{
	if (has_contact(m->method) && m->contact.uri.size)
		tx->contact = text_put(&s->texts, m->contact.uri);
}

/* In-dialog requests negotiate by the same rules as the first (spec 5). */
static bool refuse_interval(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct session_timer_headers headers;
	char room[64];
	struct bytes lines;
	session_timer_read(m, &headers);
	unsigned status = refresh_judge(&leg->session, &call_at(s, leg->call)->rules, &headers, room, &lines);
	if (status)
		exchange_reply(s, tx, status, lines);
	else
		refresh_note_request(s, leg, tx, m, &headers, true);
	return status != 0;
}

static void dispatch(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	switch (m->method) {
	case SIP_BYE:
		bye(s, leg, tx, m);
		return;
	case SIP_PRACK:
		reliable_prack(s, leg, tx, m);
		return;
	case SIP_OPTIONS:
		exchange_reply(s, tx, 200, BYTES(ALLOW_LINE ACCEPT_LINE SUPPORTED_LINE));
		return;
	case SIP_INVITE:
	case SIP_UPDATE:
	case SIP_INFO:
	case SIP_REFER:
	case SIP_NOTIFY:
	case SIP_MESSAGE:
		break;
	default:
		exchange_reply(s, tx, 405, BYTES(ALLOW_LINE));
		return;
	}
	if (!call || leg->state == LEG_ENDED) { /* its BYE is under way */
		exchange_reply(s, tx, 481, BYTES_NONE);
	} else if (m->max_forwards == 0) {
		exchange_reply(s, tx, 483, BYTES_NONE);
	} else if (makes_target(m->method) && refuse_interval(s, leg, tx, m)) {
		return;
	} else if (m->method == SIP_INVITE) {
		reinvite(s, leg, tx, m);
	} else if (m->method == SIP_UPDATE) {
		update(s, leg, tx, m);
	} else if (is_early(s, leg) || connect_is_held(s, call)) { /* the other side has no one dialog yet */
		exchange_reply(s, tx, 480, BYTES_NONE);
	} else {
		pass_on(s, leg, tx, m);
	}
}

/* One leg may not hold so many transactions that finding one among them costs: real peers have one or two. */
#define LEG_TRANSACTIONS_MAX 32

static bool refuse_here(struct shard *s, const struct leg *leg, const struct sip_message *m, const struct flow *from)
{
	if (reply_unsupported(s, m, from, !leg->session.off, true))
		return true;
	if (!exchange_has_many(s, leg, LEG_TRANSACTIONS_MAX))
		return false;
	reply(s, m, from, 500, BYTES_NONE, BYTES("Retry-After: 10\r\n"));
	return true;
}

/* A BYE is served even when nothing is left to serve it with: a call that cannot be ended is billed on. */
static void bye_without_transaction(struct shard *s, struct leg *leg, const struct sip_message *m,
				    const struct flow *from)
{
	end_by_bye(s, leg, m);
	exchange_bury_request(s, leg, m, 200);
	reply(s, m, from, 200, BYTES_NONE, BYTES_NONE);
}

/* Not of a dialog that was left, in which another count runs: only a PRACK may be (core/call/shard.c). */
static bool is_of_dialog(const struct shard *s, const struct leg *leg, const struct sip_message *m)
{
	char room[IDENT_SIZE];
	return m->method != SIP_PRACK || bytes_equal(m->to.tag, leg_tag(s, leg, room));
}

void relay_request(struct shard *s, struct leg *leg, const struct sip_message *m, const struct flow *from)
{
	bool counts = is_of_dialog(s, leg, m);
	bool stale = counts ? leg->has_remote_cseq && m->cseq <= leg->remote_cseq
			    : table_is_crowded(&s->table, message_key(s));
	if (stale) { /* out of order (12.2.2), or on one more branch of many */
		reply(s, m, from, 500, BYTES_NONE, BYTES_NONE);
		return;
	}
	if (m->method != SIP_BYE && refuse_here(s, leg, m, from))
		return; /* stateless: the same answer every time, because its CSeq does not count */
	struct transaction *tx = exchange_accept(s, leg, m, from, ROLE_RELAY);
	if (!tx && m->method == SIP_BYE) {
		bye_without_transaction(s, leg, m, from);
		return;
	}
	if (!tx) {
		reply(s, m, from, 503, BYTES_NONE, BYTES("Retry-After: 1\r\n"));
		return;
	}
	uint32_t max_forwards = m->max_forwards < 0 ? 70 : m->max_forwards ? (uint32_t)m->max_forwards - 1 : 0;
	tx->max_forwards = (uint8_t)(max_forwards > 255 ? 255 : max_forwards);
	if (counts) {
		leg->remote_cseq = m->cseq;
		leg->has_remote_cseq = true;
	}
	leg->flow = *from;
	keep_contact(s, tx, m);
	dispatch(s, leg, tx, m);
}

/* ---- the answer ---- */

/* The peer says that the dialog is no more (RFC 3261 12.2.1.2). */
void relay_dialog_lost(struct shard *s, struct leg *leg)
{
	struct call *call = call_at(s, leg->call);
	struct ending ending = { .reason = CDR_END_dialog_lost,
				 .side = side_of(leg),
				 .reason_header = BYTES("SIP;cause=481;text=\"dialog lost\"") };
	if (call)
		call_end(s, call, &ending);
}

/* The Contacts of a target refresh request and of its 2xx. */
static void take_targets(struct shard *s, struct leg *leg, struct leg *asker, const struct transaction *asked,
			 const struct sip_message *m)
{
	leg_move(s, leg, m);
	if (asked->contact != TEXT_NONE)
		leg_set_target(s, asker, text_get(&s->texts, asked->contact));
}

/* A 2xx to an INVITE or UPDATE: both sides now have what was offered and answered. */
static void session_changed(struct shard *s, struct leg *leg, struct transaction *tx, struct leg *asker,
			    struct transaction *asked, const struct sip_message *m)
{
	if (tx->session.interval_s) /* else it is of the early dialog, and asked for none: that of the INVITE's 2xx
				       stays */
		refresh_confirmed(s, leg, tx, m);
	take_targets(s, leg, asker, asked, m);
	if (asked->offer != POOL_NONE) {
		body_replace(s, &asker->body_in, body_share(s, asked->offer));
		body_replace(s, &leg->body_out, body_share(s, asked->offer));
	}
	if (m->body.size) { /* without room for it: better none than one that is no more, for refreshes and comparison
			     */
		uint32_t body = body_keep(s, m);
		body_replace(s, &asker->body_out, body_share(s, body));
		body_replace(s, &leg->body_in, body);
	}
	carry_note(s, call_at(s, leg->call), CARRY_WHOLE);
	if (tx->method != SIP_INVITE)
		return;
	if (asked->offer != POOL_NONE)
		leg_ack(s, leg, tx->cseq, POOL_NONE);
	else { /* the 2xx had the offer: the asker's ACK has the answer */
		leg->ack_wanted = true;
		asked->ack_has_answer = true;
	}
}

static void pass_back(struct shard *s, struct leg *asker, struct transaction *asked, const struct sip_message *m)
{
	struct builder b;
	uint16_t status = m->status;
	bool ours = status < 400 || status == 401 || status == 407 || status == 422;
	if (status >= 300 && (ours || asked->method == SIP_PRACK))
		status = 488; /* redirections, challenges and intervals are between us and that peer */
	exchange_response(s, asked, status, BYTES_NONE, &b);
	if (status < 300 && makes_target((enum sip_method)asked->method)) {
		leg_build_contact(s, &b, asker);
		build_text(&b, ALLOW_LINE);
		if (status >= 200) { /* a provisional response proves and agrees to nothing (RFC 4028 9) */
			refresh_build_answer(&b, asker, asked);
			if (asked->session.interval_s || !asker->session.interval_s)
				refresh_answered(s, asker, asked);
			/* Else the timer was agreed upon after the request: it was of the early dialog. */
		}
	} else if (status < 300 && has_contact((enum sip_method)asked->method)) {
		leg_build_contact(s, &b, asker);
	}
	if (status == 405)
		build_text(&b, ALLOW_LINE);
	struct bytes retry = sip_header(m, SIP_H_RETRY_AFTER), reason = sip_header(m, SIP_H_REASON);
	if (retry.size && status >= 300)
		build_header(&b, "Retry-After: ", retry);
	if (reason.size && status >= 300)
		build_header(&b, "Reason: ", reason);
	body_build_from(&b, m);
	exchange_respond(s, asked, status, &b, m->body.size > 0);
}

/* RFC 4028 7.3: the same request with the Min-SE that the 422 names, which grows each time.  The asker's Timer F is
 * that of the first (an INVITE has none: it got its 100). */
static bool ask_again(struct shard *s, struct leg *leg, struct transaction *tx, struct transaction *asked,
		      const struct sip_message *m)
{
	struct session_timer_headers headers;
	struct builder b;
	session_timer_read(m, &headers);
	if (!makes_target((enum sip_method)tx->method) || tx->cancelled || tx->cancel_wanted ||
	    tx->tries_422 >= RETRY_422_MAX || !exchange_has_room(s) ||
	    !session_timer_too_small(&leg->session, &headers))
		return false;
	struct transaction *out = leg_request(s, leg, (enum sip_method)tx->method, ROLE_RELAY, asked->max_forwards, &b);
	if (!out)
		return false;
	tx->peer = POOL_NONE;
	exchange_pair(s, asked, out);
	out->tries_422 = (uint8_t)(tx->tries_422 + 1);
	out->early = tx->early;
	build_offer(s, &b, leg, out);
	build_bytes(&b, text_get(&s->texts, asked->passed_lines));
	body_build(s, &b, asked->offer);
	exchange_send(s, out, &b);
	if (out->kind == CLIENT)
		exchange_end_at(s, out, tx->ends_at_ns);
	return true;
}

/* 16.7 point 2: a provisional response, though not 100, sets Timer C anew.  After a CANCEL the time is that of 9.1, and
 * where nobody waits any more, 64*T1 from the end of the call or from the first response behind it. */
static void set_timer_c(struct shard *s, struct transaction *tx, unsigned status, bool is_awaited)
{
	if (tx->kind != INVITE_CLIENT || tx->cancelled)
		return;
	if (is_awaited && (status > 100 || !tx->ends_at_ns))
		exchange_end_at(s, tx, s->now.now_ns + seconds_ns(TIMER_C_S));
	else if (!tx->ends_at_ns)
		exchange_end_after_64t1(s, tx);
}

bool relay_overdue(struct shard *s, struct leg *leg, struct transaction *tx)
{
	if (tx->role != ROLE_RELAY || leg->call == POOL_NONE || !exchange_is_overdue(s, tx))
		return false;
	leg_cancel(s, leg, tx);
	return true;
}

void relay_response(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct transaction *asked = exchange_peer(s, tx);
	if (m->status < 200) {
		if (m->status > 100 && asked && !asked->no_provisional)
			pass_back(s, leg_at(s, asked->leg), asked, m);
		set_timer_c(s, tx, m->status, asked && leg->call != POOL_NONE);
		return;
	}
	if (!asked || leg->call == POOL_NONE) { /* nobody waits any more: the call has ended */
		if (m->status < 300 && tx->kind == INVITE_CLIENT)
			leg_ack_ended(s, leg, m);
		return;
	}
	use_early_of(s, leg, tx);
	if (m->status == 422 && ask_again(s, leg, tx, asked, m))
		return;
	struct leg *asker = leg_at(s, asked->leg);
	bool lost = m->status == 481 || m->status == 408;
	/* It overtook our 200: there is no dialog yet, rather than no more.  Before the answer, one of many was lost.
	 */
	if (lost && (is_early(s, leg) || (leg->side == LEG_CALLER && call_at(s, leg->call)->state == CALL_ANSWERED))) {
		relay_reply_busy(s, asked);
		return;
	}
	if (m->status < 300 && makes_target((enum sip_method)tx->method))
		session_changed(s, leg, tx, asker, asked, m);
	else if (m->status < 300 && has_contact((enum sip_method)tx->method))
		take_targets(s, leg, asker, asked, m);
	pass_back(s, asker, asked, m);
	if (lost)
		relay_dialog_lost(s, leg);
}

void relay_timeout(struct shard *s, struct leg *leg, struct transaction *tx)
{
	struct transaction *asked = exchange_peer(s, tx);
	if (!asked) /* it had its answer when the dialog in which it asked was left */
		return;
	bool cancelled = asked->cancelled; /* it was not asked for its whole time, as one is that Timer C has ended */
	exchange_reply(s, asked, cancelled ? 487 : tx->kind == INVITE_CLIENT ? 408 : 500, BYTES_NONE);
	/* A peer that does not know INFO or MESSAGE may well stay silent; one that is silent to an INVITE or UPDATE is
	 * gone. */
	if (makes_target((enum sip_method)tx->method) && !cancelled && leg->call != POOL_NONE && !is_early(s, leg))
		relay_dialog_lost(s, leg);
}

void relay_acked(struct shard *s, struct leg *leg, struct transaction *invite, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	if (!call || !invite->ack_has_answer)
		return;
	struct leg *other = relay_other_leg(s, call, leg);
	uint32_t answer = body_keep(s, m);
	if (m->body.size) { /* as in session_changed() */
		body_replace(s, &other->body_out, body_share(s, answer));
		body_replace(s, &leg->body_in, answer);
	}
	carry_note(s, call, CARRY_WHOLE);
	if (other->ack_wanted)
		leg_ack_with(s, other, answer, m);
	other->ack_wanted = false;
}

void relay_ack_missing(struct shard *s, struct leg *leg)
{
	struct call *call = call_at(s, leg->call);
	struct ending ending = { .reason = CDR_END_ack_missing,
				 .side = CDR_SIDE_SWITCH,
				 .reason_header = BYTES("SIP;cause=408;text=\"no ACK\"") };
	if (call)
		call_end(s, call, &ending);
}

void relay_cancelled(struct shard *s, struct transaction *invite, struct bytes reason)
{
	struct transaction *out = exchange_peer(s, invite);
	invite->cancelled = true;
	if (!out) {
		exchange_reply(s, invite, 487, BYTES_NONE);
		return;
	}
	exchange_give_reason(s, out, reason);
	leg_cancel(s, leg_at(s, out->leg), out); /* its final answer, 487 or a 2xx that was faster, is passed back */
}
