/* The caller's end: INVITE, ACK, BYE, CANCEL (RFC 3261 13, 15, 9). */
#include "bench/load.h"

#include <string.h>

/* Steps that make the branches of one call's requests different. */
enum { STEP_INVITE = 'i', STEP_ACK = 'a', STEP_BYE = 'b' };

static void send_to(struct load *l, uint32_t slot, const struct load_address *to, const char *at, const char *end)
{
	load_ring_send(&l->ring, load_caller_of(l, slot), to, at, (size_t)(end - at));
}

static void send_template(struct load *l, uint32_t slot, const struct load_template *t)
{
	struct load_name name = { .step = STEP_INVITE };
	char *at = load_ring_room(&l->ring);

	load_name_set(&name, slot, l->call[slot].generation);
	send_to(l, slot, &l->target, at, load_template_write(t, &name, at));
}

void load_caller_start(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	c->caller = CALLER_CALLING;
	c->invite_ns = l->now_ns;
	send_template(l, slot, &l->invite[load_caller_of(l, slot)]);
	if (l->measure_invites && l->sent_count < sizeof l->sent_slot / sizeof l->sent_slot[0])
		l->sent_slot[l->sent_count++] = slot;
	load_put_resend(l, slot, NOTE_INVITE, 0);
}

static void finish(struct load *l, uint32_t slot)
{
	l->call[slot].caller = CALLER_OVER;
	load_side_over(l, slot);
}

/* ---- requests inside the dialog ---- */

/* Hosts are read once: they are nearly always the same. */
static const struct load_address *next_hop(struct load *l, const struct load_peer *peer)
{
	struct bytes user, host, first = peer->routes.size > 0 ? peer->routes : peer->target;
	struct address address;

	if (l->settings.outbound)
		return &l->target;
	if (peer->routes.size > 0) {
		const char *open = memchr(first.at, '<', first.size);

		if (!open)
			return &l->target;
		first = (struct bytes){ open + 1, (uint32_t)(first.at + first.size - open - 1) };
	}
	load_read_uri(first, &user, &host);
	if (host.size == l->latest_host_size && memcmp(host.at, l->latest_host, host.size) == 0)
		return &l->latest_address;
	if (host.size >= sizeof l->latest_host || !bench_address(host, 5060, &address))
		return &l->target; /* a name: RFC 3263 is not for a load generator */
	memcpy(l->latest_host, host.at, host.size);
	l->latest_host_size = host.size;
	load_address_set(&l->latest_address, &address);
	return &l->latest_address;
}

static void send_in_dialog(struct load *l, uint32_t slot, struct bytes method, char step, uint32_t cseq)
{
	const struct load_call *c = &l->call[slot];
	struct load_name name = { .step = step };
	struct load_peer peer;
	char *begin = load_ring_room(&l->ring), *at = begin;

	load_peers_get(&l->peers, c->peer, &peer);
	const struct load_template *t = &l->in_dialog[load_caller_of(l, slot)];
	if (peer.target.size + peer.tag.size + peer.routes.size + t->size + 100 > LOAD_DATAGRAM_MAX)
		return;
	load_name_set(&name, slot, c->generation);
	at = load_write(at, method);
	*at++ = ' ';
	at = load_write(at, peer.target);
	at = load_write(at, BYTES(" SIP/2.0\r\n"));
	at = load_template_write(t, &name, at);
	at = load_write(at, peer.tag);
	at = load_write(at, BYTES("\r\n"));
	at = load_write(at, peer.routes);
	at = load_write(at, BYTES("CSeq: "));
	at = load_write_number(at, cseq);
	*at++ = ' ';
	at = load_write(at, method);
	at = load_write(at, BYTES("\r\nContent-Length: 0\r\n\r\n"));
	send_to(l, slot, next_hop(l, &peer), begin, at);
}

static void send_ack(struct load *l, uint32_t slot)
{
	send_in_dialog(l, slot, BYTES("ACK"), STEP_ACK, 1);
}

static void send_bye(struct load *l, uint32_t slot)
{
	send_in_dialog(l, slot, BYTES("BYE"), STEP_BYE, 2);
}

void load_caller_bye(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	c->caller = CALLER_ENDING;
	c->caller_tries = 0;
	c->confirmed[0] = load_tick(l, l->now_ns);
	send_bye(l, slot);
	load_put_resend(l, slot, NOTE_BYE, 0);
}

/* To a failure response, in the transaction of the INVITE (17.1.1.3). */
static void send_refused_ack(struct load *l, uint32_t slot, const struct load_message *m)
{
	struct load_name name = { .step = STEP_INVITE };
	char *begin = load_ring_room(&l->ring), *at = begin;
	const struct load_template *t = &l->refused_ack[load_caller_of(l, slot)];

	if (t->size + m->to.size + 100 > LOAD_DATAGRAM_MAX)
		return;
	load_name_set(&name, slot, l->call[slot].generation);
	at = load_template_write(t, &name, at);
	at = load_write(at, m->to);
	at = load_write(at, BYTES("Content-Length: 0\r\n\r\n"));
	send_to(l, slot, &l->target, begin, at);
}

static void cancel(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	c->caller = CALLER_CANCELLING;
	c->caller_tries = 0;
	send_template(l, slot, &l->cancel[load_caller_of(l, slot)]);
	load_put_resend(l, slot, NOTE_CANCEL, 0);
}

/* ---- responses ---- */

static void provisional(struct load *l, uint32_t slot, const struct load_message *m)
{
	struct load_call *c = &l->call[slot];

	if (c->caller == CALLER_CALLING)
		c->caller = CALLER_PROCEEDING;
	if (m->status == 100 || c->caller != CALLER_PROCEEDING)
		return;
	if (!c->measured) {
		uint64_t took_ns = l->now_ns - c->invite_ns;

		spread_add(&l->ringing_delay, took_ns > l->settings.ring_ns ? took_ns - l->settings.ring_ns : 0);
		c->measured = true;
	}
	if (c->plan == PLAN_CANCEL && l->settings.answer_ns > 0)
		load_put(l, LINE_ANSWER, slot, NOTE_CANCEL);
	else if (c->plan == PLAN_CANCEL)
		cancel(l, slot);
}

static void answered(struct load *l, uint32_t slot, const struct load_message *m)
{
	struct load_call *c = &l->call[slot];

	if (c->caller >= CALLER_ANSWERED) { /* our ACK was lost, or late */
		l->counts.repeated++;
		if (c->peer != LOAD_PEER_NONE)
			send_ack(l, slot);
		return;
	}
	c->peer = load_peers_keep(&l->peers, m);
	if (c->peer == LOAD_PEER_NONE) {
		load_failed(l, c, &l->counts.refused[200]);
		finish(l, slot);
		return;
	}
	bool crossed = c->caller >= CALLER_CANCELLING;
	uint64_t answer_ns = c->answer_ns;
	l->counts.answered++;
	l->counts.crossed += crossed;
	c->caller = CALLER_ANSWERED;
	if (answer_ns > 0)
		spread_add(&l->answer_delay, l->now_ns - answer_ns);
	c->confirmed[0] = load_tick(l, l->now_ns);
	c->confirmed[1] = load_tick(l, answer_ns > 0 ? answer_ns : l->now_ns);
	c->refreshes[0] = c->refreshes[1] = 0;
	send_ack(l, slot);
	if (c->plan == PLAN_KEEP)
		return;
	if (l->settings.hold_ns == 0 || crossed)
		load_caller_bye(l, slot);
	else if (l->settings.hold_ns != UINT64_MAX)
		load_put(l, LINE_HOLD, slot, NOTE_BYE);
}

static bool as_planned(const struct load_call *c, unsigned status)
{
	switch (c->plan) {
	case PLAN_BUSY:
		return status == 486;
	case PLAN_CANCEL:
		return status == 487;
	case PLAN_NO_ANSWER:
		return status == 480 || status == 408;
	default:
		return false;
	}
}

static void refused(struct load *l, uint32_t slot, const struct load_message *m)
{
	struct load_call *c = &l->call[slot];

	send_refused_ack(l, slot, m);
	if (c->caller == CALLER_OVER) {
		l->counts.repeated++;
		return;
	}
	if (c->caller >= CALLER_ANSWERED)
		return;
	if (!as_planned(c, m->status))
		load_failed(l, c, &l->counts.refused[m->status]);
	finish(l, slot);
}

static void bye_answered(struct load *l, uint32_t slot, unsigned status)
{
	struct load_call *c = &l->call[slot];

	if (c->caller != CALLER_ENDING)
		return;
	uint64_t took_ns = (load_tick(l, l->now_ns) - c->confirmed[0]) * LOAD_TICK_NS;
	spread_add(&l->bye_delay, took_ns);
	l->counts.byes_prompt += took_ns <= LOAD_PROMPT_NS;
	if (status >= 300)
		load_failed(l, c, &l->counts.refused[status]);
	finish(l, slot);
}

/* The Call-ID is ours: id, '-' and the run. */
static bool read_call_id(const struct load *l, struct bytes call_id, uint32_t *ret_slot, uint32_t *ret_generation)
{
	return call_id.size >= LOAD_ID_SIZE + 9 && memcmp(call_id.at + LOAD_ID_SIZE + 1, l->run, 8) == 0 &&
	       load_name_read_id(call_id.at, call_id.size, ret_slot, ret_generation);
}

void load_caller_response(struct load *l, const struct load_message *m)
{
	uint32_t slot, generation;

	if (!read_call_id(l, m->call_id_value, &slot, &generation)) {
		l->counts.strays++;
		return;
	}
	struct load_call *c = load_find(l, slot, generation);
	if (!c || c->caller == CALLER_IDLE) {
		l->counts.repeated++;
		return;
	}
	if (m->method == LOAD_INVITE && m->status < 200)
		provisional(l, slot, m);
	else if (m->method == LOAD_INVITE && m->status < 300)
		answered(l, slot, m);
	else if (m->method == LOAD_INVITE)
		refused(l, slot, m);
	else if (m->method == LOAD_BYE && m->status >= 200)
		bye_answered(l, slot, m->status);
	else if (m->method == LOAD_CANCEL && m->status >= 200 && c->caller == CALLER_CANCELLING)
		c->caller = CALLER_CANCELLED;
}

/* ---- nothing came ---- */

static void timed_out(struct load *l, uint32_t slot)
{
	load_failed(l, &l->call[slot], &l->counts.timeouts);
	finish(l, slot);
}

/* Only what is still waited for is sent again: a provisional response ends the retransmissions of an INVITE. */
static void resend(struct load *l, uint32_t slot, enum load_note note)
{
	struct load_call *c = &l->call[slot];

	if (!load_put_resend(l, slot, note, ++c->caller_tries)) {
		timed_out(l, slot);
	} else if (note == NOTE_INVITE) {
		load_resent(l, c, &l->counts.invites_resent);
		send_template(l, slot, &l->invite[load_caller_of(l, slot)]);
	} else if (note == NOTE_CANCEL) {
		load_resent(l, c, &l->counts.cancels_resent);
		send_template(l, slot, &l->cancel[load_caller_of(l, slot)]);
	} else {
		load_resent(l, c, &l->counts.byes_resent);
		send_bye(l, slot);
	}
}

void load_caller_due(struct load *l, uint32_t slot, enum load_line_kind line, enum load_note note)
{
	static const uint8_t waiting[] = {
		[NOTE_INVITE] = CALLER_CALLING, [NOTE_CANCEL] = CALLER_CANCELLING, [NOTE_BYE] = CALLER_ENDING
	};
	enum caller_state state = l->call[slot].caller;

	if (line == LINE_HOLD && state == CALLER_ANSWERED)
		load_caller_bye(l, slot);
	else if (line == LINE_ANSWER && state == CALLER_PROCEEDING)
		cancel(l, slot);
	else if (line >= LINE_RESEND_1 && state == waiting[note])
		resend(l, slot, note);
}
