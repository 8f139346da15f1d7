/* The shard's entrances: what comes in, to whom it goes.  See core/shard.h, and core/call/state.h for the map. */
#include "core/shard.h"

#include <strings.h>

#include "core/call/admission.h"
#include "core/call/attempt.h"
#include "core/call/bank.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/check.h"
#include "core/call/connect.h"
#include "core/call/early.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/home.h"
#include "core/call/invite.h"
#include "core/call/late.h"
#include "core/call/leg.h"
#include "core/call/lost.h"
#include "core/call/offer.h"
#include "core/call/overload.h"
#include "core/call/purse.h"
#include "core/call/refresh.h"
#include "core/call/relay.h"
#include "core/call/reply.h"
#include "core/call/rest.h"
#include "core/call/setup.h"
#include "core/call/stranger.h"

/* ---- responses ---- */

static enum transaction_event event_of(unsigned status)
{
	return status < 200 ? EVENT_1XX : status < 300 ? EVENT_2XX : EVENT_300_699;
}

/* The branch is ours, and holds the token of a leg; From and Call-ID must be ours, too.  NULL: the leg has gone, and
 * whether the Call-ID was its own nobody knows any more. */
static bool is_of_leg(const struct shard *s, const struct leg *leg, const struct sip_message *m)
{
	struct bytes own = ident_of_branch(m->via.branch);
	char room[IDENT_SIZE];
	if (!leg)
		return ident_is_tag_of(m->from.tag, own);
	return (leg->fork || bytes_equal(m->from.tag, leg->tagged ? leg_tag(s, leg, room) : own)) &&
	       leg->texts != TEXT_NONE && leg_call_id_is(s, leg, own, m->call_id);
}

static void take_response(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	struct ident id;
	uint16_t sequence;
	if (!ident_read_branch(&s->key, m->via.branch, &id, &sequence)) {
		stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	struct leg *leg = leg_find(s, &id);
	struct transaction *tx = leg ? exchange_client(s, leg, sequence, m->method) : NULL;
	if (!is_of_leg(s, leg, m) || (tx && tx->cseq != m->cseq)) {
		stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	if (!tx) {
		if (m->method == SIP_INVITE)
			late_invite_response(s, leg, &id, m, from);
		else
			stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	unsigned acts = exchange_event(s, tx, event_of(m->status));
	if (tx->role != ROLE_LOCAL && from->listener == leg->flow.listener) /* which may not reach it otherwise */
		leg_heard_from(leg, from);
	if (acts & ACT_ACK)
		late_ack_failure(s, leg, tx, m, from);
	if (tx->cancel_wanted && !tx->over)
		leg_cancel(s, leg, tx);
	if (!(acts & ACT_TELL) || tx->role == ROLE_LOCAL)
		return;
	if (tx->role == ROLE_SETUP)
		attempt_response(s, leg, tx, m);
	else if (tx->role == ROLE_RELAY)
		relay_response(s, leg, tx, m);
	else if (tx->role == ROLE_CHECK)
		check_answered(s, tx);
	else
		refresh_response(s, leg, tx, m);
	/* One that there was no room for comes again, and is then ended (core/call/late.h). */
	if (m->method == SIP_INVITE && m->status >= 200 && m->status < 300 && leg_remote_tag_is(s, leg, m->to.tag))
		late_remember(s, m);
}

/* ---- refusals ---- */

static void count_bad(struct shard *s, enum sip_bad why)
{
	uint64_t *const counters[SIP_BAD_KINDS] = {
		[SIP_BAD_NONE] = NULL,
		[SIP_BAD_START_LINE] = &s->stats->bad_start_line,
		[SIP_BAD_VERSION] = &s->stats->bad_version,
		[SIP_BAD_HEADER] = &s->stats->bad_header,
		[SIP_BAD_MISSING] = &s->stats->bad_missing,
		[SIP_BAD_TWICE] = &s->stats->bad_twice,
		[SIP_BAD_CSEQ] = &s->stats->bad_cseq,
		[SIP_BAD_CONTENT_LENGTH] = &s->stats->bad_content_length,
		[SIP_BAD_TOO_MANY] = &s->stats->bad_too_many,
		[SIP_BAD_TOO_LARGE] = &s->stats->bad_too_large,
	};
	stat_add(&s->stats->datagrams_bad, 1);
	if (counters[why])
		stat_add(counters[why], 1);
}

static void refuse(struct shard *s, const struct sip_message *m, const struct flow *from,
		   const struct sip_refusal *refusal)
{
	count_bad(s, refusal->why);
	if (stranger_is_answered(s, from))
		reply(s, m, from, refusal->status, bytes_of(refusal->reason), BYTES_NONE);
}

/* ---- requests inside a dialog ---- */

/* The BYE that had to wait for the caller's ACK. */
static void send_waiting_bye(struct shard *s, struct leg *leg, const struct transaction *invite)
{
	leg->bye_after_ack = false;
	leg_bye(s, leg, text_get(&s->texts, invite->reason));
}

static void take_ack(struct shard *s, struct leg *leg, const struct sip_message *m, const struct flow *from)
{
	struct transaction *invite = exchange_server(s, leg, m->cseq, SIP_INVITE);
	if (!invite)
		return; /* once more for the same 2xx */
	if (!(exchange_event(s, invite, EVENT_ACK) & ACT_TELL))
		return; /* of a failure: nothing more to do */
	leg->flow = *from;
	struct call *call = call_at(s, leg->call);
	if (call && invite->role == ROLE_SETUP)
		connect_acked(s, call, m);
	else if (call)
		relay_acked(s, leg, invite, m);
	if (leg->bye_after_ack)
		send_waiting_bye(s, leg, invite);
}

/* Before the final response; or so soon after our 200 that the two must have crossed.  A later one has no effect (9.2),
 * else a caller that holds its ACK back could talk for nothing. */
static bool may_cancel(const struct shard *s, const struct call *call)
{
	return !call->connect_ns || connect_is_held(s, call) ||
	       s->now.now_ns - call->connect_ns <= 2 * milliseconds_ns(s->config->parameters.RW_SIP_T1);
}

/* RFC 3261 9.1: a CANCEL has the topmost Via of its INVITE. */
static bool is_cancel_of(const struct shard *s, const struct sip_message *m, uint32_t branch_hash)
{
	return table_hash32(&s->table, m->via.branch) == branch_hash;
}

static void take_cancel(struct shard *s, struct transaction *invite, const struct sip_message *m,
			const struct flow *from)
{
	struct leg *leg = leg_at(s, invite->leg);
	char room[IDENT_SIZE], reasons[REASON_MAX];
	reply_tagged(s, m, from, 200, leg_tag(s, leg, room));
	struct call *call = call_at(s, leg->call);
	if (invite->role == ROLE_SETUP && call && may_cancel(s, call)) {
		setup_cancelled(s, call, ending_reason(m, reasons));
		return;
	}
	if (!exchange_is_open(invite))
		return; /* too late: no effect (RFC 3261 9.2) */
	if (invite->role == ROLE_RELAY)
		relay_cancelled(s, invite, ending_reason(m, reasons));
}

/* 481; silence for strangers where they get none. */
static void reply_nothing_known(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	if (stranger_is_answered(s, from))
		reply(s, m, from, 481, BYTES_NONE, BYTES_NONE);
}

/* Another INVITE of the same key may have followed it (take_invite()). */
static bool find_cancelled(const struct shard *s, const struct sip_message *m, struct table_hit *ret_hit)
{
	return table_find_branch(&s->table, table_key(&s->table, m, SIP_INVITE), table_hash32(&s->table, m->via.branch),
				 ret_hit);
}

/* The INVITE is over, or there never was one. */
static void take_late_cancel(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	struct table_hit hit;
	if (find_cancelled(s, m, &hit) && hit.tombstone)
		reply_late_cancel(s, m, from, hit.tombstone);
	else
		reply_nothing_known(s, m, from);
}

/* The leg a request belongs to: our tag names it, Call-ID and the peer's tag must fit.  An early dialog that was given
 * up for that of another gateway is no more; but a CANCEL is of the INVITE, whatever its tag says (RFC 3261 9.2), and
 * what a PRACK is for its RAck says. */
static struct leg *leg_of_request(struct shard *s, const struct sip_message *m)
{
	struct ident id;
	unsigned edition;
	struct leg *leg = ident_read_tag(&s->key, m->to.tag, &id, &edition) ? leg_find(s, &id) : NULL;
	if (!leg || leg->fork || leg->texts == TEXT_NONE ||
	    !leg_call_id_is(s, leg, ident_of_tag(m->to.tag), m->call_id) ||
	    !(leg_remote_tag_is(s, leg, m->from.tag) || early_find(s, leg, m->from.tag)))
		return NULL;
	bool any_edition = m->method == SIP_CANCEL || m->method == SIP_PRACK;
	return any_edition || edition == leg_edition(s, leg) ? leg : NULL;
}

/* What tells transactions of the same CSeq apart, which are of different early dialogs: each counts from the CSeq of
 * the INVITE (RFC 3261 12.1.2, 17.2.3).  0: a peer of RFC 2543, whose branches tell nothing. */
static uint32_t branch_hash_of(const struct shard *s, const struct sip_message *m)
{
	static const char cookie[] = "z9hG4bK";
	bool unique = m->via.branch.size >= sizeof cookie - 1 &&
		      strncasecmp(m->via.branch.at, cookie, sizeof cookie - 1) == 0;
	return unique ? table_hash32(&s->table, m->via.branch) : 0;
}

static bool is_repeated(struct shard *s, struct leg *leg, const struct sip_message *m, const struct flow *from)
{
	struct table_hit hit;
	uint32_t branch_hash = branch_hash_of(s, m);
	struct transaction *tx = leg ? exchange_server_of(s, leg, m->cseq, m->method, branch_hash) : NULL;
	if (tx) {
		exchange_event(s, tx, EVENT_REQUEST);
		return true;
	}
	if (!table_find_branch(&s->table, message_key(s), branch_hash, &hit))
		return false;
	if (hit.transaction) /* of a dialog that its leg has left */
		exchange_event(s, hit.transaction, EVENT_REQUEST);
	else
		reply_from_tombstone(s, m, from, hit.tombstone);
	return true;
}

static void take_dialog_request(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	struct leg *leg = leg_of_request(s, m);
	if (m->method == SIP_ACK) {
		if (leg)
			take_ack(s, leg, m, from);
		else
			stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	if (m->method == SIP_CANCEL) {
		struct transaction *invite = leg ? exchange_server(s, leg, m->cseq, SIP_INVITE) : NULL;
		if (invite && is_cancel_of(s, m, invite->branch_hash))
			take_cancel(s, invite, m, from);
		else
			take_late_cancel(s, m, from);
		return;
	}
	/* A PRACK may be of a dialog that was left, whose numbers are not those of the leg any more. */
	bool fresh = leg && m->method != SIP_PRACK && (!leg->has_remote_cseq || m->cseq > leg->remote_cseq);
	if (!fresh && is_repeated(s, leg, m, from))
		return;
	if (leg)
		relay_request(s, leg, m, from);
	else
		reply_nothing_known(s, m, from);
}

/* ---- requests outside a dialog ---- */

/* RFC 3261 8.2.2.2, "ongoing transactions": an INVITE that came by another way is under way, or has made a dialog.  One
 * that has failed is over: whoever tries one route after the other sends the next here, with another branch.  That goes
 * well for some routes, not for ever: TABLE_KEY_MAX of those that are still remembered. */
static bool is_merged(const struct shard *s)
{
	struct table_hit hit;
	return table_find(&s->table, message_key(s), &hit) &&
	       (hit.transaction || hit.tombstone->status < 300 || table_is_crowded(&s->table, message_key(s)));
}

/* An INVITE that may be known already. */
static void take_invite(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	struct table_hit hit;
	if (!table_find_branch(&s->table, message_key(s), table_hash32(&s->table, m->via.branch), &hit)) {
		if (is_merged(s))
			reply(s, m, from, 482, BYTES_NONE, BYTES_NONE);
		else if (!overload_sheds(s, m, from))
			invite_received(s, m, from);
	} else if (hit.transaction) {
		exchange_event(s, hit.transaction, EVENT_REQUEST);
	} else {
		reply_from_tombstone(s, m, from, hit.tombstone);
	}
}

static void take_initial_cancel(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	struct table_hit hit;
	if (find_cancelled(s, m, &hit) && hit.transaction)
		take_cancel(s, hit.transaction, m, from);
	else
		take_late_cancel(s, m, from);
}

static void take_other(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	if (s->memo->stranger) {
		stranger_count(s, m->method);
		if (stranger_is_answered(s, from))
			reply(s, m, from, 403, BYTES_NONE, BYTES_NONE);
		return;
	}
	switch (m->method) {
	case SIP_OPTIONS:
		if (!reply_unsupported(s, m, from, true, true))
			reply(s, m, from, 200, BYTES_NONE, BYTES(ALLOW_LINE ACCEPT_LINE SUPPORTED_LINE));
		return;
	case SIP_BYE:
	case SIP_UPDATE:
	case SIP_INFO:
	case SIP_PRACK:
		reply(s, m, from, 481, BYTES_NONE, BYTES_NONE); /* only inside a dialog */
		return;
	default:
		reply(s, m, from, 405, BYTES_NONE, BYTES(ALLOW_LINE));
		return;
	}
}

/* What is kept of a request and repeated in its answers is bounded, so that both always fit. */
static bool is_too_long(const struct sip_message *m)
{
	return m->text.size - m->body.size > HEADERS_MAX;
}

static void take_request(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	if (is_too_long(m)) {
		struct sip_refusal refusal = { .why = SIP_BAD_TOO_LARGE, .status = 513, .reason = "Message Too Large" };
		refuse(s, m, from, &refusal);
		return;
	}
	if (m->to.tag.size)
		take_dialog_request(s, m, from);
	else if (m->method == SIP_INVITE)
		take_invite(s, m, from);
	else if (m->method == SIP_CANCEL)
		take_initial_cancel(s, m, from);
	else if (m->method == SIP_ACK)
		stat_add(&s->stats->datagrams_unmatched, 1);
	else
		take_other(s, m, from);
}

/* ---- datagrams ---- */

/* On a stream only Content-Length says where a message ends (RFC 3261 18.3): without it, or when it says more than is
 * taken, what follows is lost, and the edge ends the connection after the answer. */
static enum sip_read_result judge_on_stream(const struct sip_message *m, enum sip_read_result result, bool cut,
					    struct sip_refusal *refusal)
{
	if (result != SIP_READ_OK && !(result == SIP_READ_BAD && cut))
		return result;
	if (cut)
		*refusal = (struct sip_refusal){ SIP_BAD_TOO_LARGE, 513, "Message Too Large" };
	else if (!sip_header_first(m, SIP_H_CONTENT_LENGTH))
		*refusal = (struct sip_refusal){ SIP_BAD_CONTENT_LENGTH, 400, "Missing Content-Length" };
	else
		return result;
	return m->is_request ? SIP_READ_BAD : SIP_READ_GARBAGE;
}

static void read_datagram(struct shard *s, const struct arrival *arrival, const struct flow *from,
			  struct bytes datagram, bool cut, bool handed_over)
{
	struct sip_message *m = &s->message;
	struct sip_refusal refusal = { 0 };
	enum sip_read_result result = sip_message_read(datagram, s->scratch, m, &refusal);
	if (flow_is_reliable(from))
		result = judge_on_stream(m, result, cut, &refusal);
	s->memo->has_key = false;
	if (result == SIP_READ_OK) {
		s->memo->bucket = (uint16_t)steer_bucket(&s->key.steer, m->call_id);
		unsigned owner = steer_worker(s->memo->bucket, s->shard_count);
		if (owner != s->shard && !handed_over) {
			s->edge.hand_over(s->edge.context, owner, arrival, from, datagram);
			return;
		}
	}
	if (result != SIP_READ_KEEPALIVE && m->by_library)
		stat_add(&s->stats->parsed_by_library, 1);
	switch (result) {
	case SIP_READ_OK:
		if (m->is_request)
			take_request(s, m, from);
		else
			take_response(s, m, from);
		break;
	case SIP_READ_BAD:
		refuse(s, m, from, &refusal);
		break;
	case SIP_READ_KEEPALIVE:
		stat_add(&s->stats->keepalives, 1);
		break;
	case SIP_READ_GARBAGE:
	case SIP_READ_DECLINED:
		count_bad(s, refusal.why);
		break;
	}
	shard_settle(s);
}

static void take_datagram(struct shard *s, const struct arrival *arrival, const struct flow *from,
			  struct bytes datagram, bool cut, bool handed_over)
{
	if (arrival->now_ns > s->now.now_ns)
		s->now.now_ns = arrival->now_ns;
	s->came_ns = arrival->now_ns;
	s->now.real_us = arrival->real_us;
	s->clock_ns = arrival->now_ns;
	shed_read(&s->shed, arrival->now_ns);
	if (stranger_let_in(s, from, datagram, handed_over))
		read_datagram(s, arrival, from, datagram, cut, handed_over);
	s->came_ns = 0;
}

void shard_datagram(struct shard *s, const struct arrival *arrival, const struct flow *from, struct bytes datagram,
		    bool truncated)
{
	if (truncated && !flow_is_reliable(from))
		count_bad(s, SIP_BAD_TOO_LARGE);
	else
		take_datagram(s, arrival, from, datagram, truncated, false);
}

void shard_datagram_handed_over(struct shard *s, const struct arrival *arrival, const struct flow *from,
				struct bytes datagram)
{
	take_datagram(s, arrival, from, datagram, false, true);
}

void shard_undeliverable(struct shard *s, uint64_t now_ns, struct bytes datagram)
{
	struct sip_message *m = &s->message;
	struct sip_refusal refusal;
	struct ident id;
	uint16_t sequence;
	if (now_ns > s->now.now_ns)
		s->now.now_ns = now_ns;
	s->memo->has_key = false;
	if (sip_message_read(datagram, s->scratch, m, &refusal) != SIP_READ_OK || !m->is_request ||
	    m->method == SIP_ACK || !ident_read_branch(&s->key, m->via.branch, &id, &sequence))
		return; /* retransmission, or the deadline of whoever waits, takes care of the rest */
	struct leg *leg = leg_find(s, &id);
	struct transaction *tx = leg ? exchange_client(s, leg, sequence, m->method) : NULL;
	if (tx && tx->state == TRANSACTION_CALLING && tx->role == ROLE_SETUP && m->method == SIP_INVITE)
		attempt_undeliverable(s, leg, tx);
	else if (tx && tx->state == TRANSACTION_CALLING)
		exchange_undelivered(s, tx);
	shard_settle(s);
}

void shard_connection_lost(struct shard *s, uint64_t now_ns, uint32_t connection, uint32_t generation)
{
	if (now_ns > s->now.now_ns)
		s->now.now_ns = now_ns;
	s->memo->has_key = false;
	lost_connection(s, connection, generation);
	shard_settle(s);
}

/* ---- deadlines ---- */

static void transaction_due(struct shard *s, struct transaction *tx)
{
	struct leg *leg = leg_at(s, tx->leg);
	struct call *call = call_at(s, leg->call);
	if (offer_is_held(tx)) {
		offer_hold_due(s, tx);
		return;
	}
	if (refresh_overdue(s, leg, tx) || relay_overdue(s, leg, tx) || !(exchange_due(s, tx) & ACT_TELL_TIMEOUT))
		return;
	if (tx->kind == INVITE_SERVER) {
		if (leg->bye_after_ack)
			send_waiting_bye(s, leg, tx);
		else if (call && tx->role == ROLE_SETUP)
			connect_ack_missing(s, call);
		else if (call)
			relay_ack_missing(s, leg);
	} else if (tx->role == ROLE_SETUP) {
		attempt_timeout(s, leg);
	} else if (tx->role == ROLE_RELAY) {
		relay_timeout(s, leg, tx);
	} else {
		refresh_timeout(s, leg, tx);
	}
}

static void entry_due(struct shard *s, struct wheel_entry *entry)
{
	switch ((enum wheel_kind)entry->kind) {
	case WHEEL_CALL:
		setup_due(s, (struct call *)(void *)((char *)entry - offsetof(struct call, timer)));
		break;
	case WHEEL_TRANSACTION:
		transaction_due(s, (struct transaction *)(void *)((char *)entry - offsetof(struct transaction, timer)));
		break;
	case WHEEL_LEG:
		refresh_due(s, (struct leg *)(void *)((char *)entry - offsetof(struct leg, timer)));
		break;
	case WHEEL_CHARGE:
		charge_due(s, (struct charge *)(void *)((char *)entry - offsetof(struct charge, timer)));
		break;
	case WHEEL_CHECK:
		check_due(s, (struct check *)(void *)((char *)entry - offsetof(struct check, timer)));
		break;
	case WHEEL_ATTEMPT:
		attempt_due(s, (struct attempt *)(void *)((char *)entry - offsetof(struct attempt, timer)));
		break;
	}
}

/* An orderly stop ends so many calls a millisecond: 100,000 take 5 s, and the peers' receive buffers keep up. */
#define STOP_PORTION 20
#define STOP_STEP_NS UINT64_C(1000000)
#define STOP_SLOTS   5000 /* looked at meanwhile */

/* Calls that are up, and whose callers know it, may be left to the next process. */
static bool is_left(const struct shard *s, const struct call *call)
{
	return s->keeping && call->journaled && !connect_is_held(s, call);
}

static void stop_some(struct shard *s)
{
	if (!s->stopping || s->now.now_ns < s->stop_next_ns)
		return;
	struct ending ending = { .reason = CDR_END_node_shutdown,
				 .side = CDR_SIDE_SWITCH,
				 .sip_code = 503,
				 .reason_header = BYTES("SIP;cause=503;text=\"node shutdown\"") };
	s->stop_next_ns = s->now.now_ns + STOP_STEP_NS;
	for (unsigned ended = 0, looked = 0; ended < STOP_PORTION && looked < STOP_SLOTS; looked++) {
		s->stop_cursor = pool_next_used(&s->calls, s->stop_cursor);
		if (s->stop_cursor == POOL_NONE) {
			s->stop_next_ns = UINT64_MAX;
			break;
		}
		struct call *call = call_at(s, s->stop_cursor++);
		if (is_left(s, call)) {
			if (call->whole_waits)
				carry_turn_over(s, call);
			continue;
		}
		call_end(s, call, &ending);
		ended++;
	}
	shard_settle(s);
}

bool shard_advance(struct shard *s, uint64_t now_ns, unsigned limit)
{
	if (now_ns > s->now.now_ns)
		s->now.now_ns = now_ns;
	wheel_advance(&s->wheel, s->now.now_ns);
	struct wheel_entry *entry;
	limit = shed_deadlines(&s->shed, limit);
	while (limit-- && (entry = wheel_pop(&s->wheel))) {
		histogram_add(&s->stats->timer_lateness_us, (s->now.now_ns - wheel_deadline_ns(entry)) / 1000);
		stat_add(&s->stats->timers_fired, 1);
		entry_due(s, entry);
		shard_settle(s);
	}
	home_refuse_due(s);
	shard_settle(s);
	table_expire(&s->table, s->now.now_ns);
	stop_some(s);
	ending_flush_backlog(s);
	carry_advance(s);
	return wheel_next_ns(&s->wheel) <= s->now.now_ns;
}

#define BACKLOG_RETRY_NS UINT64_C(10000000)

void shard_configure(struct shard *s, const struct config *config)
{
	s->config = config;
	shard_take_config(s);
	admission_configured(s);
	bank_configured(s);
	shard_settle(s);
}

uint64_t shard_next_ns(const struct shard *s)
{
	if (s->refusals)
		return s->now.now_ns;
	uint64_t next = wheel_next_ns(&s->wheel), other = table_next_ns(&s->table, s->now.now_ns);
	if (other < next)
		next = other;
	other = carry_next_ns(s);
	if (other < next)
		next = other;
	if (s->stopping && s->stop_next_ns < next)
		next = s->stop_next_ns;
	if (s->backlog_count && s->now.now_ns + BACKLOG_RETRY_NS < next)
		next = s->now.now_ns + BACKLOG_RETRY_NS;
	return next;
}

void shard_note(struct shard *s, uint64_t now_ns, const struct note *note)
{
	if (now_ns > s->now.now_ns)
		s->now.now_ns = now_ns;
	if (note->kind == NOTE_REST)
		rest_note(s, note);
	else if (note->kind == NOTE_CONNECTION_LOST)
		lost_connection(s, (uint32_t)note->a, (uint32_t)note->b);
	else if (credit_note_is(note))
		purse_note(s, note);
	else
		admission_note(s, note);
	shard_settle(s);
}

bool shard_drained(const struct shard *s)
{
	return s->draining && s->calls.used == 0;
}

bool shard_stopped(const struct shard *s)
{
	bool ended = s->keeping ? s->stop_cursor == POOL_NONE && !carry_owes(s) : s->calls.used == 0;
	return s->stopping && ended && s->backlog_count == 0;
}
