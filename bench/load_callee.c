/* The callee's end: rings, answers or refuses, and answers what comes inside the dialog. */
#include "bench/load.h"

#include <string.h>

/* ---- responses made of the request ---- */

static char *write_status(char *at, const char *status)
{
	at = load_write(at, BYTES("SIP/2.0 "));
	at = load_write(at, bytes_of(status));
	return load_write(at, BYTES("\r\n"));
}

static uint32_t repeated_size(const struct load_message *m)
{
	uint32_t size = m->from.size + m->to.size + m->call_id.size + m->cseq_line.size;

	for (unsigned i = 0; i < m->via_count; i++)
		size += m->via[i].size;
	for (unsigned i = 0; i < m->record_route_count; i++)
		size += m->record_route[i].size;
	return size;
}

/* Via, From, Call-ID, CSeq and To as they came (8.2.6.2), To last and without its line end; a tag may follow. */
static char *write_repeated(char *at, const struct load_message *m, bool routes)
{
	struct bytes to = m->to;

	for (unsigned i = 0; i < m->via_count; i++)
		at = load_write(at, m->via[i]);
	for (unsigned i = 0; routes && i < m->record_route_count; i++)
		at = load_write(at, m->record_route[i]);
	at = load_write(at, m->from);
	at = load_write(at, m->call_id);
	at = load_write(at, m->cseq_line);
	while (to.size > 0 && (to.at[to.size - 1] == '\n' || to.at[to.size - 1] == '\r'))
		to.size--;
	return load_write(at, to);
}

static char *write_session(char *at, struct bytes asked)
{
	at = load_write(at, BYTES("Require: timer\r\nSession-Expires: "));
	at = load_write(at, asked);
	if (!memmem(asked.at, asked.size, "refresher", 9)) /* it must be said in a 2xx (RFC 4028 9) */
		at = load_write(at, BYTES(";refresher=uac"));
	return load_write(at, BYTES("\r\n"));
}

void load_answer(struct load *l, const struct load_datagram *d, const struct load_message *m, const char *status)
{
	char *begin = load_ring_room(&l->ring), *at = begin;

	if (repeated_size(m) + 128 > LOAD_DATAGRAM_MAX)
		return;
	at = write_status(at, status);
	at = write_repeated(at, m, false);
	if (m->to_tag.size == 0)
		at = load_write(at, BYTES(";tag=none"));
	at = load_write(at, BYTES("\r\nContent-Length: 0\r\n\r\n"));
	load_ring_send(&l->ring, d->socket, &d->from, begin, (size_t)(at - begin));
}

void load_answer_refresh(struct load *l, const struct load_datagram *d, const struct load_message *m, uint32_t slot,
			 uint32_t generation, bool callee)
{
	const struct load_template *session = &l->session[callee];
	bool body = m->method == LOAD_INVITE || m->body.size > 0;
	char *begin = load_ring_room(&l->ring), *at = begin;
	struct load_name name = { .step = '0' };

	if (repeated_size(m) + m->session_expires.size + session->size + 512 > LOAD_DATAGRAM_MAX)
		return;
	load_name_set(&name, slot, generation);
	at = write_status(at, "200 OK");
	at = write_repeated(at, m, false);
	at = load_write(at, BYTES("\r\n"));
	at = load_write(at, bytes_of(l->contact[d->socket]));
	if (l->settings.timer && m->session_expires.size > 0)
		at = write_session(load_write(at, BYTES("Supported: timer\r\n")), m->session_expires);
	if (body && session->size > 0)
		at = load_write(at, BYTES("Content-Type: application/sdp\r\n"));
	at = load_write(at, BYTES("Content-Length: "));
	at = load_write_number(at, body ? session->size : 0);
	at = load_write(at, BYTES("\r\n\r\n"));
	if (body)
		at = load_template_write(session, &name, at);
	load_ring_send(&l->ring, d->socket, &d->from, begin, (size_t)(at - begin));
}

/* ---- responses to the INVITE ---- */

static bool take_kept(struct load *l, uint32_t *ret_index)
{
	if (l->kept_free_count > 0)
		*ret_index = l->kept_free[--l->kept_free_count];
	else if (l->kept_used < l->kept_max)
		*ret_index = l->kept_used++;
	else
		return false;
	return true;
}

static void drop_kept(struct load *l, struct load_call *c)
{
	if (c->kept != LOAD_PEER_NONE)
		l->kept_free[l->kept_free_count++] = c->kept;
	c->kept = LOAD_PEER_NONE;
}

/* What all responses to it begin with, and where to they go. */
static bool keep(struct load *l, struct load_call *c, const struct load_datagram *d, const struct load_message *m)
{
	uint32_t index;

	if (repeated_size(m) + m->session_expires.size + 64 > LOAD_KEPT_MAX || !take_kept(l, &index))
		return false;
	struct load_kept *k = &l->kept[index];
	k->to = d->from;
	k->socket = (uint16_t)d->socket;
	k->size = (uint16_t)(write_repeated(k->text, m, true) - k->text);
	k->session_size = l->settings.timer ? (uint16_t)m->session_expires.size : 0;
	load_write(k->text + k->size, (struct bytes){ m->session_expires.at, k->session_size });
	c->kept = index;
	return true;
}

/* The responses' first part; the rest is a template, and in an answer the session timer and one more. */
static void respond(struct load *l, uint32_t slot, const char *status, const struct load_template *rest,
		    const struct load_template *body)
{
	const struct load_call *c = &l->call[slot];
	const struct load_kept *k = &l->kept[c->kept];
	struct load_name name = { .step = '0' };
	char *begin = load_ring_room(&l->ring), *at = begin;

	if (0u + k->size + k->session_size + rest->size + (body ? body->size : 0u) + 128u > LOAD_DATAGRAM_MAX)
		return;
	load_name_set(&name, slot, c->generation);
	at = write_status(at, status);
	at = load_write(at, (struct bytes){ k->text, k->size });
	at = load_template_write(rest, &name, at);
	if (body && k->session_size > 0)
		at = write_session(at, (struct bytes){ k->text + k->size, k->session_size });
	if (body)
		at = load_template_write(body, &name, at);
	load_ring_send(&l->ring, k->socket, &k->to, begin, (size_t)(at - begin));
}

static unsigned callee_of(const struct load *l, uint32_t slot)
{
	return l->kept[l->call[slot].kept].socket - l->settings.caller_count;
}

static void send_trying(struct load *l, uint32_t slot)
{
	respond(l, slot, "100 Trying", &l->trying, NULL);
}

static void send_ringing(struct load *l, uint32_t slot)
{
	respond(l, slot, "180 Ringing", &l->ringing[callee_of(l, slot)], NULL);
}

static void send_answer(struct load *l, uint32_t slot)
{
	respond(l, slot, "200 OK", &l->answer[callee_of(l, slot)], &l->answer_body);
}

static void send_refusal(struct load *l, uint32_t slot)
{
	unsigned code = l->call[slot].refused;

	respond(l, slot,
		code == 486   ? "486 Busy Here"
		: code == 487 ? "487 Request Terminated"
			      : "480 Temporarily Unavailable",
		&l->refusal, NULL);
}

static void answer(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	c->callee = CALLEE_ANSWERED;
	c->callee_tries = 0;
	c->answer_ns = l->now_ns;
	send_answer(l, slot);
	load_put_resend(l, slot, NOTE_CALLEE, 0);
}

static void refuse(struct load *l, uint32_t slot, uint16_t code)
{
	struct load_call *c = &l->call[slot];

	c->callee = CALLEE_REFUSED;
	c->callee_tries = 0;
	c->refused = code;
	send_refusal(l, slot);
	load_put_resend(l, slot, NOTE_CALLEE, 0);
}

static void after_ringing(struct load *l, uint32_t slot)
{
	switch (l->call[slot].plan) {
	case PLAN_BUSY:
		refuse(l, slot, 486);
		break;
	case PLAN_CANCEL: /* the caller's turn */
		break;
	case PLAN_NO_ANSWER:
		load_put(l, LINE_RING_OUT, slot, NOTE_CALLEE);
		break;
	default:
		if (l->settings.answer_ns == 0)
			answer(l, slot);
		else
			load_put(l, LINE_ANSWER, slot, NOTE_CALLEE);
		break;
	}
}

static void ring(struct load *l, uint32_t slot)
{
	l->call[slot].callee = CALLEE_RINGING;
	send_ringing(l, slot);
	after_ringing(l, slot);
}

static void finish(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	drop_kept(l, c);
	if (c->callee == CALLEE_OVER)
		return;
	c->callee = CALLEE_OVER;
	load_side_over(l, slot);
}

/* ---- what comes ---- */

/* By the digits at the end of the number dialled: prefixes may come and go. */
static struct load_call *find_dialled(struct load *l, const struct load_message *m, uint32_t *ret_slot)
{
	struct bytes user, host;
	uint32_t rest;

	load_read_uri(m->uri, &user, &host);
	for (uint32_t i = 0; i < user.size; i++)
		if (user.at[i] == ';')
			user.size = i;
	if (user.size < LOAD_NUMBER_SIZE ||
	    !load_name_read_number(user.at + user.size - LOAD_NUMBER_SIZE, LOAD_NUMBER_SIZE, ret_slot, &rest) ||
	    *ret_slot >= l->used)
		return NULL;
	struct load_call *c = &l->call[*ret_slot];
	return c->generation % LOAD_GENERATION_REST == rest ? c : NULL;
}

/* The switch has not heard our last response. */
static void invite_again(struct load *l, uint32_t slot)
{
	const struct load_call *c = &l->call[slot];

	l->counts.repeated++;
	if (c->callee == CALLEE_TRYING)
		send_trying(l, slot);
	else if (c->callee == CALLEE_RINGING)
		send_ringing(l, slot);
	else if (c->callee == CALLEE_ANSWERED)
		send_answer(l, slot);
	else if (c->callee == CALLEE_REFUSED)
		send_refusal(l, slot);
}

static void measure(struct load *l, const struct load_call *c, int64_t stamp_ns)
{
	uint64_t sent_ns = c->invite_ns + l->real_ahead_ns;

	if (stamp_ns > 0 && (uint64_t)stamp_ns > sent_ns)
		spread_add(&l->invite_delay, (uint64_t)stamp_ns - sent_ns);
}

void load_callee_invite(struct load *l, const struct load_datagram *d, const struct load_message *m)
{
	uint32_t slot;
	struct load_call *c = find_dialled(l, m, &slot);

	if (!c || c->callee == CALLEE_OVER || c->caller == CALLER_IDLE) {
		l->counts.strays++;
		load_answer(l, d, m, "480 Temporarily Unavailable");
		return;
	}
	if (c->callee != CALLEE_IDLE) {
		invite_again(l, slot);
		return;
	}
	if (!keep(l, c, d, m)) {
		load_answer(l, d, m, "503 Service Unavailable");
		return;
	}
	if (l->measure_invites)
		measure(l, c, d->stamp_ns);
	c->callee = CALLEE_TRYING;
	send_trying(l, slot);
	if (l->settings.ring_ns == 0)
		ring(l, slot);
	else
		load_put(l, LINE_RING, slot, NOTE_CALLEE);
}

void load_callee_ack(struct load *l, const struct load_message *m)
{
	uint32_t slot, generation;
	bool callee;

	if (!load_read_tag(l, m->to_tag, &slot, &generation, &callee) || !callee)
		return;
	struct load_call *c = load_find(l, slot, generation);
	if (!c)
		return;
	if (c->callee == CALLEE_ANSWERED) {
		c->callee = CALLEE_CONFIRMED;
		l->counts.confirmed++;
		drop_kept(l, c);
	} else if (c->callee == CALLEE_REFUSED) {
		finish(l, slot);
	}
}

void load_callee_cancel(struct load *l, const struct load_datagram *d, const struct load_message *m)
{
	uint32_t slot;
	struct load_call *c = find_dialled(l, m, &slot);

	load_answer(l, d, m, "200 OK");
	if (c && (c->callee == CALLEE_TRYING || c->callee == CALLEE_RINGING))
		refuse(l, slot, 487);
}

void load_callee_ended(struct load *l, uint32_t slot)
{
	finish(l, slot);
}

static void resend(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	if (c->callee != CALLEE_ANSWERED && c->callee != CALLEE_REFUSED)
		return;
	if (!load_put_resend(l, slot, NOTE_CALLEE, ++c->callee_tries)) {
		load_failed(l, c, &l->counts.timeouts);
		finish(l, slot);
		return;
	}
	load_resent(l, c, &l->counts.answers_resent);
	c->callee == CALLEE_ANSWERED ? send_answer(l, slot) : send_refusal(l, slot);
}

void load_callee_due(struct load *l, uint32_t slot, enum load_line_kind line)
{
	enum callee_state state = l->call[slot].callee;

	if (line == LINE_RING && state == CALLEE_TRYING)
		ring(l, slot);
	else if (line == LINE_ANSWER && state == CALLEE_RINGING)
		answer(l, slot);
	else if (line == LINE_RING_OUT && state == CALLEE_RINGING)
		refuse(l, slot, 480);
	else if (line >= LINE_RESEND_1)
		resend(l, slot);
}
