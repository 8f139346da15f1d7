#include "core/call/exchange.h"

#include <assert.h>

#include "core/call/body.h"
#include "core/call/connect.h"
#include "core/call/leg.h"
#include "core/call/offer.h"
#include "core/call/reply.h"

uint64_t exchange_64t1_ns(const struct shard *s)
{
	return 64 * milliseconds_ns(s->config->parameters.RW_SIP_T1);
}

/* SS_SIP_RESEND_INTERVAL: the n-th wait, the last one repeating. */
static uint64_t wait_ns(const struct shard *s, unsigned n)
{
	const struct parameter_waits *waits = &s->config->parameters.SS_SIP_RESEND_INTERVAL;
	return milliseconds_ns(waits->ms[n < waits->count ? n : waits->count - 1]);
}

static void arm(struct shard *s, struct transaction *tx)
{
	uint64_t at = tx->ends_at_ns;
	if (tx->resend_at_ns && (!at || tx->resend_at_ns < at))
		at = tx->resend_at_ns;
	if (at)
		wheel_arm(&s->wheel, &tx->timer, at);
	else
		wheel_cancel(&s->wheel, &tx->timer);
}

struct transaction *exchange_take(struct shard *s, struct leg *leg, enum transaction_kind kind, enum sip_method method,
				  enum transaction_role role)
{
	bool ends_calls = method == SIP_BYE || method == SIP_CANCEL;
	if (!ends_calls && !exchange_has_room(s))
		return NULL;
	uint32_t index = pool_take(&s->transactions);
	if (index == POOL_NONE)
		return NULL;
	struct transaction *tx = transaction_at(s, index);
	wheel_entry_init(&tx->timer, WHEEL_TRANSACTION);
	tx->kind = (uint8_t)kind;
	tx->method = (uint8_t)method;
	tx->role = (uint8_t)role;
	tx->peer = POOL_NONE;
	tx->offer = POOL_NONE;
	if (kind == CLIENT || kind == INVITE_CLIENT)
		tx->stream_next = tx->stream_previous = POOL_NONE;
	tx->leg = leg_index(s, leg);
	tx->next = leg->transactions;
	leg->transactions = index;
	return tx;
}

static void put_on_stream(struct shard *s, struct transaction *tx)
{
	tx->stream_next = s->streamed;
	s->streamed = transaction_index(s, tx);
	if (tx->stream_next != POOL_NONE)
		transaction_at(s, tx->stream_next)->stream_previous = s->streamed;
}

/* It keeps its successor, where a walk through them goes on. */
static void take_off_stream(struct shard *s, struct transaction *tx)
{
	if (s->streamed == transaction_index(s, tx))
		s->streamed = tx->stream_next;
	else if (tx->stream_previous != POOL_NONE)
		transaction_at(s, tx->stream_previous)->stream_next = tx->stream_next;
	else
		return;
	if (tx->stream_next != POOL_NONE)
		transaction_at(s, tx->stream_next)->stream_previous = tx->stream_previous;
	tx->stream_previous = POOL_NONE;
}

void exchange_end(struct shard *s, struct transaction *tx)
{
	if (tx->over)
		return;
	if (tx->kind == CLIENT || tx->kind == INVITE_CLIENT)
		take_off_stream(s, tx);
	tx->state = TRANSACTION_NONE;
	wheel_cancel(&s->wheel, &tx->timer);
	if (tx->in_table)
		table_remove(&s->table, tx);
	tx->over = true;
	tx->chain = s->over_transactions;
	s->over_transactions = transaction_index(s, tx);
}

void exchange_give_reason(struct shard *s, struct transaction *tx, struct bytes reason)
{
	if (tx->over || tx->reason != TEXT_NONE || !reason.size)
		return;
	tx->reason = text_put(&s->texts, reason);
}

void exchange_give(struct shard *s, struct transaction *tx)
{
	struct leg *leg = leg_at(s, tx->leg);
	uint32_t index = transaction_index(s, tx), *link = &leg->transactions;
	while (*link != index)
		link = &transaction_at(s, *link)->next;
	*link = tx->next;
	text_give(&s->texts, tx->head);
	text_give(&s->texts, tx->message);
	text_give(&s->texts, tx->contact);
	text_give(&s->texts, tx->reason);
	text_give(&s->texts, tx->passed_lines);
	body_drop(s, tx->offer);
	pool_give(&s->transactions, index);
	if (leg->call == POOL_NONE)
		leg_release(s, leg);
	else
		offer_settle(s, call_at(s, leg->call));
}

static void bury_as(struct shard *s, const struct leg *leg, uint64_t key, uint32_t branch_hash, uint8_t method,
		    unsigned status)
{
	struct ident id = leg_ident(s, leg);
	struct tombstone tombstone = {
		.key = key,
		.branch_hash = branch_hash,
		.leg_slot = id.slot,
		.leg_generation = id.generation & POOL_GENERATION_MAX,
		.method = method,
		.boot = id.boot,
		.status = status & 0x3ff,
		.edition = leg_edition(s, leg) & EDITION_MAX,
	};
	table_bury(&s->table, &tombstone, s->now.now_ns + exchange_64t1_ns(s));
}

void exchange_bury_request(struct shard *s, const struct leg *leg, const struct sip_message *m, unsigned status)
{
	bury_as(s, leg, message_key(s), table_hash32(&s->table, m->via.branch), (uint8_t)m->method, status);
}

/* What is left of a server transaction that is over: retransmissions are answered, or absorbed, without it. */
static void bury(struct shard *s, const struct transaction *tx)
{
	bury_as(s, leg_at(s, tx->leg), tx->key, tx->branch_hash, tx->method, tx->status);
}

static void keep(struct shard *s, struct transaction *tx, const struct builder *b)
{
	text_give(&s->texts, tx->message);
	tx->message =
		b->overflow ? TEXT_NONE : text_put(&s->texts, (struct bytes){ b->start, (uint32_t)build_size(b) });
}

/* There was no room to keep a message.  A response is made anew of its head and, a 2xx that has a session, of the leg;
 * a provisional one becomes a plain 100.  false: it had more to say than is known. */
static bool build_again(struct shard *s, const struct transaction *tx, struct builder *b)
{
	const struct leg *leg = leg_at(s, tx->leg);
	bool accepted = tx->status >= 200 && tx->status < 300;
	bool offers = tx->kind == INVITE_SERVER || (tx->kind == SERVER && tx->method == SIP_UPDATE);
	bool bare = tx->role == ROLE_SETUP && connect_answer_is_bare(s, leg);
	if (!offers || tx->head == TEXT_NONE || (accepted && !bare && leg->body_out == POOL_NONE))
		return false;
	build_status_line(b, tx->status < 200 ? 100 : tx->status, BYTES_NONE);
	build_bytes(b, text_get(&s->texts, tx->head));
	if (accepted)
		connect_build_answer(s, b, leg, tx);
	body_build(s, b, accepted && !bare ? leg->body_out : POOL_NONE);
	return true;
}

void exchange_resend(struct shard *s, struct transaction *tx)
{
	struct builder b;
	bool whole = true;
	datagram_begin(s, &b);
	if (tx->message != TEXT_NONE)
		build_bytes(&b, text_get(&s->texts, tx->message));
	else
		whole = build_again(s, tx, &b);
	b.overflow = b.overflow || !whole; /* the peer's own retransmission is what is left */
	struct flow to = tx->flow;
	to.repeated = tx->state == TRANSACTION_ACCEPTED; /* or a connection that stands still would fill with them */
	if (datagram_send(s, &b, &to))
		stat_add(&s->stats->retransmits_out, 1);
}

/* RFC 3261 17.1.1.2, 17.1.2.2, 17.2.1: on a reliable transport nothing is sent again, but the 2xx to an INVITE, which
 * only its ACK stops (13.3.1.4), and what was not sent for want of room. */
static bool sends_again(const struct shard *s, const struct transaction *tx)
{
	return !flow_is_reliable(&tx->flow) || tx->state == TRANSACTION_ACCEPTED || s->unsent;
}

unsigned exchange_event(struct shard *s, struct transaction *tx, enum transaction_event event)
{
	const struct transaction_step *step = transaction_step(tx->kind, tx->state, event);
	if (!step->expected || tx->over)
		return 0;
	unsigned acts = step->acts;
	bool acked = event == EVENT_ACK && tx->kind == INVITE_SERVER;
	bool answered = false;
	tx->state = step->next;
	if (acts & ACT_COUNT_RETRANSMIT)
		stat_add(&s->stats->retransmits_in, 1);
	if (acts & ACT_RESEND) {
		exchange_resend(s, tx);
		answered = tx->kind == SERVER && event == EVENT_RESEND && !s->unsent;
	}
	if (acts & ACT_STOP_SPACE)
		tx->resend_at_ns = 0;
	if ((acts & ACT_STOP_END) && !tx->cancelled) /* one whose CANCEL overtook the first response ends after that */
		tx->ends_at_ns = 0;
	if (acts & ACT_SPACE && sends_again(s, tx)) {
		tx->resends = event == EVENT_RESEND ? (uint8_t)(tx->resends + (tx->resends < UINT8_MAX)) : 0;
		tx->resend_at_ns = s->now.now_ns + wait_ns(s, tx->resends);
	}
	if (acts & ACT_END_64T1)
		tx->ends_at_ns = s->now.now_ns + exchange_64t1_ns(s);
	if (acts & ACT_DROP) {
		text_give(&s->texts, tx->message);
		tx->message = TEXT_NONE;
	}
	if (tx->state == TRANSACTION_NONE || answered) {
		if (acked || answered)
			bury(s, tx);
		exchange_end(s, tx);
	} else {
		arm(s, tx);
	}
	return acts;
}

bool exchange_is_overdue(const struct shard *s, const struct transaction *tx)
{
	bool due = tx->ends_at_ns && s->now.now_ns >= tx->ends_at_ns;
	return due && tx->kind == INVITE_CLIENT && tx->state == TRANSACTION_PROCEEDING && !tx->cancelled;
}

unsigned exchange_due(struct shard *s, struct transaction *tx)
{
	if (tx->ends_at_ns && s->now.now_ns >= tx->ends_at_ns) {
		tx->ends_at_ns = 0;
		return exchange_event(s, tx, EVENT_END);
	}
	tx->resend_at_ns = 0;
	return exchange_event(s, tx, EVENT_RESEND);
}

void exchange_end_at(struct shard *s, struct transaction *tx, uint64_t end_ns)
{
	if (tx->over)
		return;
	tx->ends_at_ns = end_ns;
	arm(s, tx);
}

void exchange_end_after_64t1(struct shard *s, struct transaction *tx)
{
	exchange_end_at(s, tx, s->now.now_ns + exchange_64t1_ns(s));
}

void exchange_stop_resending(struct shard *s, struct transaction *tx)
{
	tx->resend_at_ns = 0;
	arm(s, tx);
}

/* On a stream the message is kept for the case that its connection ends before the answer comes.  Only the INVITE that
 * makes a call can go elsewhere instead. */
void exchange_send(struct shard *s, struct transaction *tx, struct builder *b)
{
	keep(s, tx, b);
	if (flow_is_reliable(&tx->flow)) {
		put_on_stream(s, tx);
		if (s->edge.connect)
			s->edge.connect(s->edge.context, &tx->flow, tx->role == ROLE_SETUP);
	}
	datagram_send(s, b, &tx->flow);
	exchange_event(s, tx, EVENT_BEGIN);
}

void exchange_send_elsewhere(struct shard *s, struct transaction *tx)
{
	if (tx->resends || tx->message == TEXT_NONE || !s->edge.connect)
		return; /* the end of the transaction is near enough */
	tx->resends = 1;
	s->edge.connect(s->edge.context, &tx->flow, false);
	exchange_resend(s, tx);
}

void exchange_undelivered(struct shard *s, struct transaction *tx)
{
	if (tx->over || tx->message == TEXT_NONE || tx->resend_at_ns)
		return;
	tx->resend_at_ns = s->now.now_ns + wait_ns(s, 0);
	arm(s, tx);
}

/* On a stream the port is that of another connection, should the one that the request came by have ended; to a client
 * behind a NAT there is no other. */
void exchange_reply_flow(const struct sip_message *m, const struct flow *from, struct flow *ret_flow)
{
	*ret_flow = *from;
	if (!m->via.has_rport || flow_is_reliable(from))
		ret_flow->peer.port = m->via.port ? m->via.port : 5060;
}

struct transaction *exchange_accept(struct shard *s, struct leg *leg, const struct sip_message *m,
				    const struct flow *from, enum transaction_role role)
{
	struct transaction *tx =
		exchange_take(s, leg, m->method == SIP_INVITE ? INVITE_SERVER : SERVER, m->method, role);
	if (!tx)
		return NULL;
	char token[IDENT_SIZE];
	struct builder b;
	leg_token(s, leg, token);
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_response_head(&b, m, &from->peer, (struct bytes){ token, IDENT_SIZE },
			    role == ROLE_SETUP && m->method == SIP_INVITE);
	if (!b.overflow)
		tx->head = text_put(&s->texts, (struct bytes){ s->work, (uint32_t)build_size(&b) });
	if (tx->head == TEXT_NONE) {
		exchange_end(s, tx);
		return NULL;
	}
	tx->cseq = m->cseq;
	tx->key = message_key(s);
	tx->branch_hash = table_hash32(&s->table, m->via.branch);
	exchange_reply_flow(m, from, &tx->flow);
	exchange_event(s, tx, EVENT_BEGIN);
	return tx;
}

void exchange_response(struct shard *s, struct transaction *tx, unsigned status, struct bytes reason, struct builder *b)
{
	datagram_begin(s, b);
	build_status_line(b, status, reason);
	build_bytes(b, text_get(&s->texts, tx->head));
}

/* On a stream the request does not come again: what answers it and found no room to be sent is sent later. */
static void respond_later(struct shard *s, struct transaction *tx, const struct builder *b)
{
	keep(s, tx, b);
	tx->resends = 0;
	tx->resend_at_ns = s->now.now_ns + wait_ns(s, 0);
	arm(s, tx);
}

/* Whether a tombstone would say the same: what is repeated of the request, and what reply_lines() knows. */
static bool is_plain(const struct shard *s, const struct transaction *tx, unsigned status, const struct builder *b)
{
	static const char last[] = "Content-Length: 0\r\n\r\n";
	const char *line_end = memchr(b->start, '\n', build_size(b));
	struct bytes lines = reply_lines((enum sip_method)tx->method, status);
	return line_end &&
	       (size_t)(b->at - (line_end + 1)) == text_get(&s->texts, tx->head).size + lines.size + sizeof last - 1;
}

bool exchange_has_many(const struct shard *s, const struct leg *leg, unsigned many)
{
	unsigned count = 0;
	for (uint32_t i = leg->transactions; i != POOL_NONE && count < many; count++)
		i = transaction_at(s, i)->next;
	return count == many;
}

#define LEG_ANSWERS_MAX 16 /* of a peer that asks more often within 64*T1 the others are tombstones: it may go on */

/* A whole answer may be kept for the case that its request comes again: new calls, and the leg's own requests, find
 * room beside it. */
static bool has_room_for_answers(const struct shard *s, const struct leg *leg)
{
	return pool_free(&s->transactions) > 4 * s->transaction_reserve && !text_is_low(&s->texts) &&
	       !(leg && exchange_has_many(s, leg, LEG_ANSWERS_MAX));
}

/* The final answer to a request other than INVITE: whether the transaction stays for 64*T1 to repeat it.  Timer J is
 * zero on a reliable transport (17.2.2). */
static bool keep_answer(struct shard *s, struct transaction *tx, unsigned status, const struct builder *b,
			bool has_body)
{
	if (flow_is_reliable(&tx->flow))
		return false;
	if (!has_body && (is_plain(s, tx, status, b) || !has_room_for_answers(s, leg_at(s, tx->leg))))
		return false;
	keep(s, tx, b);
	if (!has_body && tx->message == TEXT_NONE)
		return false;
	if (!tx->in_table) /* its leg may leave the dialog that it was in */
		table_add(&s->table, tx);
	return true;
}

void exchange_respond(struct shard *s, struct transaction *tx, unsigned status, struct builder *b, bool has_body)
{
	if (tx->over) {
		b->overflow = true;
		datagram_send(s, b, &tx->flow);
		return;
	}
	tx->status = (uint16_t)status;
	bool final = tx->kind == SERVER && status >= 200;
	bool last = final && !keep_answer(s, tx, status, b, has_body);
	if (!final && status > 100)
		keep(s, tx, b);
	datagram_send(s, b, &tx->flow);
	bool later = last && s->unsent && flow_is_reliable(&tx->flow);
	exchange_event(s, tx, status < 200 ? EVENT_1XX : status < 300 ? EVENT_2XX : EVENT_300_699);
	if (later) {
		respond_later(s, tx, b);
	} else if (last) {
		bury(s, tx);
		exchange_end(s, tx);
	} else if (status >= 200 && (tx->role != ROLE_SETUP || status >= 300) && tx->message != TEXT_NONE) {
		/* No more responses will be built; that of an answered call until its ACK by another process, perhaps.
		 */
		text_give(&s->texts, tx->head);
		tx->head = TEXT_NONE;
	}
}

void exchange_reply(struct shard *s, struct transaction *tx, unsigned status, struct bytes headers)
{
	struct builder b;
	exchange_response(s, tx, status, BYTES_NONE, &b);
	build_bytes(&b, headers);
	build_body(&b, BYTES_NONE);
	exchange_respond(s, tx, status, &b, false);
}

void exchange_trying(struct shard *s, struct transaction *tx, const struct sip_message *m)
{
	struct bytes stamp = sip_header(m, SIP_H_TIMESTAMP);
	struct builder b;
	exchange_response(s, tx, 100, BYTES_NONE, &b);
	build_timestamp(&b, stamp, s->now.now_ns - s->came_ns);
	build_body(&b, BYTES_NONE);
	if (stamp.size && !tx->over)
		keep(s, tx, &b); /* its head alone would not be the same response again */
	exchange_respond(s, tx, 100, &b, false);
}

struct transaction *exchange_client(const struct shard *s, const struct leg *leg, uint16_t branch_sequence,
				    enum sip_method method)
{
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		struct transaction *tx = transaction_at(s, i);
		if ((tx->kind == CLIENT || tx->kind == INVITE_CLIENT) && tx->branch_sequence == branch_sequence &&
		    tx->method == method && !tx->over)
			return tx;
	}
	return NULL;
}

struct transaction *exchange_server_of(const struct shard *s, const struct leg *leg, uint32_t cseq,
				       enum sip_method method, uint32_t branch_hash)
{
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		struct transaction *tx = transaction_at(s, i);
		if ((tx->kind == SERVER || tx->kind == INVITE_SERVER) && tx->cseq == cseq && tx->method == method &&
		    (!branch_hash || tx->branch_hash == branch_hash) && !tx->over)
			return tx;
	}
	return NULL;
}

struct transaction *exchange_server(const struct shard *s, const struct leg *leg, uint32_t cseq, enum sip_method method)
{
	return exchange_server_of(s, leg, cseq, method, 0);
}

struct transaction *exchange_open(const struct shard *s, const struct leg *leg, enum transaction_kind kind,
				  enum sip_method method, const struct transaction *except)
{
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		struct transaction *tx = transaction_at(s, i);
		if (tx != except && tx->kind == kind && tx->method == method && exchange_is_open(tx))
			return tx;
	}
	return NULL;
}

struct transaction *exchange_peer(const struct shard *s, const struct transaction *tx)
{
	if (tx->peer == POOL_NONE)
		return NULL;
	struct transaction *peer = pool_find(&s->transactions, tx->peer, tx->peer_generation);
	return peer && !peer->over ? peer : NULL;
}

void exchange_pair(struct shard *s, struct transaction *a, struct transaction *b)
{
	a->peer = transaction_index(s, b);
	a->peer_generation = b->slot.generation;
	b->peer = transaction_index(s, a);
	b->peer_generation = a->slot.generation;
}
