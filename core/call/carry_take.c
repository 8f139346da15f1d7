/* What a shard makes of the calls that a former process has left. */
#include <stdlib.h>

#include "core/call/admission.h"
#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/carry_image.h"
#include "core/call/charge.h"
#include "core/call/connect.h"
#include "core/call/exchange.h"
#include "core/call/late.h"
#include "core/call/leg.h"
#include "core/call/refresh.h"
#include "core/call/room.h"
#include "core/call/setup.h"
#include "core/siphash.h"
#include "sip/pack.h"

#define PAST_MAX_NS   (seconds_ns(86400) * 3650)
#define RESEND_NS     milliseconds_ns(500) /* 200s without ACK go out again within it */
#define TELL_NS       seconds_ns(2)        /* one side hears of the other's session within it */
#define SPREAD_MIN_NS seconds_ns(5)        /* the first refreshes of carried calls: over so long at least, */
#define SPREAD_NS     milliseconds_ns(1)   /* and so long for each of them */

/* ---- time ---- */

/* A moment of another clock by this one's; modulo 2^64 where this one had not begun then. */
static uint64_t by_our_clock(const struct shard *s, const struct carry_clock *clock, uint64_t at_ns)
{
	if (clock->machine == s->machine)
		return at_ns;
	int64_t away_us = s->now.real_us - clock->now_us;
	uint64_t then_ns = s->now.now_ns - (away_us > 0 ? (uint64_t)away_us * 1000 : 0);
	return then_ns + (at_ns - clock->now_ns);
}

/* One that has passed, and not longer ago than can be. */
static uint64_t past_ns(const struct shard *s, const struct carry_clock *clock, uint64_t at_ns)
{
	uint64_t now_ns = s->now.now_ns, ours_ns = by_our_clock(s, clock, at_ns);
	if (is_before(now_ns, ours_ns))
		ours_ns = now_ns;
	if (now_ns - ours_ns > PAST_MAX_NS)
		ours_ns = now_ns - PAST_MAX_NS;
	return ours_ns ? ours_ns : 1;
}

/* The earliest of what has ended the call meanwhile. */
struct passed {
	bool any;
	uint64_t at_ns;
	enum cdr_end_reason reason;
};

static void look_at(const struct shard *s, struct passed *passed, uint64_t at_ns, enum cdr_end_reason reason)
{
	if (is_before(s->now.now_ns, at_ns) || (passed->any && !is_before(at_ns, passed->at_ns)))
		return;
	*passed = (struct passed){ true, at_ns ? at_ns : 1, reason };
}

/* ---- names ---- */

/* A journal that is full of names leaves room for those that configurations will bring. */
#define NAMES_MAX (GATEWAY_IDS_MAX / 2)

/* 0: no memory, or too many names. */
static uint32_t id_of(struct shard *s, enum gateway_kind kind, struct bytes name)
{
	char text[CONFIG_NAME_MAX + 1];
	if (!name.size)
		return 0;
	memcpy(text, name.at, name.size);
	text[name.size] = '\0';
	uint64_t hash = siphash13(s->key.k0, kind, name.at, name.size);
	uint32_t *known = &s->carry->known[hash % CARRY_KNOWN];
	if (*known / GATEWAY_IDS_MAX == kind && strcmp(gateway_name(*known % GATEWAY_IDS_MAX), text) == 0)
		return *known % GATEWAY_IDS_MAX;
	uint32_t id = gateway_id_end() < NAMES_MAX ? gateway_id(kind, text) : gateway_known(kind, text);
	if (id)
		*known = kind * GATEWAY_IDS_MAX + id;
	return id;
}

/* The listener of that name, or else of that address, or else any that reaches the peer. */
static bool find_listener(const struct shard *s, const struct leg_image *image, uint16_t *ret_listener)
{
	const struct listen_config *listens = s->config->listens;
	unsigned family = image->state.peer.family, best = 0;
	for (uint32_t i = 0; i < s->config->listen_count; i++) {
		unsigned fits = 1u + (address_equal(&listens[i].address, &image->listener_address) ? 1 : 0) +
				(bytes_equal(bytes_of(listens[i].name), image->listener) ? 2 : 0);
		if (listens[i].address.family != family || fits <= best)
			continue;
		best = fits;
		*ret_listener = (uint16_t)i;
	}
	return best > 0;
}

/* ---- legs ---- */

static uint32_t keep_body(struct shard *s, const struct call_image *c, uint8_t body)
{
	if (body == CARRY_NO_BODY)
		return POOL_NONE;
	const struct body_image *image = &c->bodies[body];
	struct body_parts parts = { .plain = image->plain, .head = image->head, .content = image->content };
	return body_put(s, &parts);
}

/* A tag that was given to a later edition of the leg ends its From and To. */
static bool take_tag(const struct shard *s, struct leg *leg)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	leg->tagged = dialog.text[DIALOG_LOCAL].size > TAG_SIZE_MAX + sizeof ";tag=" - 1;
	leg->tagged = leg->tagged && leg_edition(s, leg) > 0;
	return leg->tagged;
}

static bool fill_leg(struct shard *s, const struct call_image *c, const struct leg_image *image, struct leg *leg)
{
	const struct confirmed_image *state = &image->state;
	uint32_t jump = carry_cseq_jump(s, image->clock.boot);
	leg->remote_tag_hash = image->remote_tag_hash;
	/* Requests since that record, of each process since then, have numbers up to this. */
	leg->local_cseq = state->local_cseq + jump;
	leg->branch_sequence = (uint16_t)(state->branch_sequence + jump);
	leg->invite_cseq = state->invite_cseq;
	leg->ack_cseq = state->ack_cseq;
	/* The last request may come once more, if its answer was lost with the process. */
	leg->remote_cseq = state->remote_cseq ? state->remote_cseq - 1 : 0;
	leg->has_remote_cseq = (state->flags & LEG_IMAGE_HAS_REMOTE_CSEQ) && state->remote_cseq;
	leg->peer_updates = (state->flags & LEG_IMAGE_PEER_UPDATES) != 0;
	leg->no_update = (state->flags & LEG_IMAGE_NO_UPDATE) != 0;
	leg->probe_answered = (state->flags & LEG_IMAGE_PROBE_ANSWERED) != 0;
	leg->probes_silent = state->probes_silent & 3u;
	leg->flow = (struct flow){ .peer = state->peer };
	leg->state = LEG_UP;
	leg->texts = text_put(&s->texts, image->dialog);
	if (leg->texts == TEXT_NONE || !find_listener(s, image, &leg->flow.listener))
		return false;
	leg->flow.transport =
		(uint8_t)listen_of(s, &leg->flow)->transport; /* connections did not outlive the process */
	leg->body_in = keep_body(s, c, image->body_in);
	leg->body_out = keep_body(s, c, image->body_out);
	leg->ack_body = keep_body(s, c, image->ack_body);
	if (!(state->flags & LEG_IMAGE_TAGGED))
		return true;
	return leg->side == LEG_CALLER && take_tag(s, leg);
}

/* Nothing of it was ever used. */
static void drop_leg(struct shard *s, struct leg *leg)
{
	leg->call = POOL_NONE;
	leg->closes = false;
	leg_give(s, leg);
}

static struct leg *take_leg(struct shard *s, const struct call_image *c, enum leg_side side, uint32_t call)
{
	const struct leg_image *image = &c->legs[side];
	struct ident id = image->ident;
	struct leg *leg = leg_take(s, call, side, c->bucket);
	if (!leg)
		return NULL;
	id.bucket = c->bucket;
	if (carry_name_leg(s, leg, &id, c->shard) && fill_leg(s, c, image, leg))
		return leg;
	drop_leg(s, leg);
	return NULL;
}

/* ---- the caller's INVITE ---- */

static void keep_answer(struct shard *s, const struct leg *caller, struct transaction *tx)
{
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_status_line(&b, 200, BYTES_NONE);
	build_bytes(&b, text_get(&s->texts, tx->head));
	connect_build_answer(s, &b, caller, tx);
	body_build(s, &b, connect_answer_is_bare(s, caller) ? POOL_NONE : caller->body_out);
	if (!b.overflow)
		tx->message = text_put(&s->texts, (struct bytes){ s->work, (uint32_t)build_size(&b) });
}

/* Its 200 is sent again until the ACK comes, or 64*T1 after the first.  NULL: no room. */
static struct transaction *take_invite(struct shard *s, const struct invite_image *image, struct leg *caller,
				       uint64_t ends_ns)
{
	uint32_t head = text_put(&s->texts, image->head);
	struct transaction *tx =
		head == TEXT_NONE ? NULL : exchange_take(s, caller, INVITE_SERVER, SIP_INVITE, ROLE_SETUP);
	if (!tx) {
		text_give(&s->texts, head);
		return NULL;
	}
	tx->head = head;
	tx->state = TRANSACTION_ACCEPTED;
	tx->status = 200;
	tx->cseq = image->cseq;
	tx->key = image->key;
	tx->branch_hash = image->branch_hash;
	tx->session = image->session;
	tx->flow = caller->flow;
	tx->flow.peer = image->peer;
	table_add(&s->table, tx);
	keep_answer(s, caller, tx);
	tx->resend_at_ns = s->now.now_ns + shard_random(s) % RESEND_NS;
	exchange_end_at(s, tx, ends_ns);
	return tx;
}

/* An INVITE that was ACKed: another copy of it makes no other call. */
static void bury_invite(struct shard *s, const struct invite_image *image, const struct leg *caller)
{
	struct ident id = leg_ident(s, caller);
	struct tombstone tombstone = {
		.key = image->key,
		.branch_hash = image->branch_hash,
		.leg_slot = id.slot,
		.leg_generation = id.generation & POOL_GENERATION_MAX,
		.method = SIP_INVITE,
		.boot = id.boot,
		.status = 200,
		.edition = leg_edition(s, caller) & EDITION_MAX,
	};
	table_bury(&s->table, &tombstone, s->now.now_ns + exchange_64t1_ns(s));
}

/* The callee's 200 may still come again, perhaps when the leg has gone. */
static void remember_answer(struct shard *s, const struct call_image *c, const struct leg *callee)
{
	uint64_t ago_ns = s->now.now_ns - past_ns(s, &c->clock, c->connect_ns);
	if (ago_ns < 2 * exchange_64t1_ns(s))
		late_remember_leg(s, callee);
}

/* ---- timers ---- */

static void rest(struct leg *leg)
{
	leg->session.wait = SESSION_IDLE;
	leg->session.we_refresh = true;
	leg->session.due_ns = UINT64_MAX;
	leg->probe_due_ns = leg->offer_due_ns = 0;
}

/* The window goes on as it was; what fell due while nobody was there falls due now, and shard_restored() spreads it. */
static void take_session(struct shard *s, const struct call *call, const struct leg_image *image, struct leg *leg,
			 struct passed *passed)
{
	struct session_timer *t = &leg->session;
	uint64_t now_ns = s->now.now_ns, due_ns = by_our_clock(s, &image->clock, image->state.session.due_ns);
	*t = image->state.session;
	t->confirmed_at_ns = past_ns(s, &image->clock, t->confirmed_at_ns);
	if (t->wait == SESSION_IDLE) {
		t->due_ns = UINT64_MAX;
		return;
	}
	uint64_t expires_ns = session_timer_expires_ns(t), over_ns = expires_ns + seconds_ns(call->rules.grace_s);
	look_at(s, passed, over_ns, CDR_END_session_timeout);
	if ((int64_t)expires_ns <= 0) /* before the machine's start: nobody could answer for the grace */
		look_at(s, passed, is_before(over_ns, now_ns) ? over_ns : now_ns, CDR_END_session_timeout);
	if (passed->any)
		return;
	bool ahead =
		is_before(t->confirmed_at_ns, due_ns) && is_before(now_ns, due_ns) && is_before(due_ns, expires_ns);
	t->due_ns = ahead ? due_ns : expires_ns - 1;
	if (t->wait != SESSION_PROBE || !is_before(now_ns, expires_ns)) { /* whatever was sent last has gone */
		t->wait = SESSION_REFRESH;
		t->we_refresh = true;
	}
}

static void take_probe(struct shard *s, const struct call *call, const struct leg_image *image, struct leg *leg)
{
	uint64_t now_ns = s->now.now_ns, due_ns = by_our_clock(s, &image->clock, image->state.probe_due_ns);
	if (!image->state.probe_due_ns || !call->probe_interval_s || leg->session.interval_s)
		return;
	bool ahead = is_before(now_ns, due_ns) && is_before(due_ns, now_ns + seconds_ns(call->probe_interval_s));
	leg->probe_due_ns = ahead ? due_ns : now_ns + 1 + shard_random(s) % seconds_ns(call->probe_interval_s);
}

/* ---- calls ---- */

static void count_in(struct shard *s, const struct call *call)
{
	stat_add(&s->stats->calls_active, 1);
	stat_add(&s->tally[call->mapping_id].calls, 1);
	stat_add(&s->tally[call->routing_id].calls, 1);
}

static bool take_names(struct shard *s, const struct call_image *c, struct call *call, struct setup *setup)
{
	call->mapping_id = id_of(s, GATEWAY_MAPPING, c->mapping);
	call->routing_id = id_of(s, GATEWAY_ROUTING, c->routing);
	setup->account_id = id_of(s, GATEWAY_ACCOUNT, c->account);
	setup->vendor_account_id = id_of(s, GATEWAY_ACCOUNT, c->vendor_account);
	return call->mapping_id && call->routing_id;
}

static bool take_attempts(struct shard *s, const struct call_image *c, struct setup *setup)
{
	struct attempt_note notes[CDR_ATTEMPTS_MAX];
	uint32_t count = c->facts.note_count;
	for (uint32_t i = 0; i < count; i++) {
		notes[i] = c->facts.notes[i];
		notes[i].routing_id = id_of(s, GATEWAY_ROUTING, c->note_names[i]);
	}
	struct bytes log = { (const char *)notes, count * (uint32_t)sizeof *notes };
	setup->attempt_log = count ? text_put(&s->texts, log) : TEXT_NONE;
	return !count || setup->attempt_log != TEXT_NONE;
}

static bool take_numbers(struct shard *s, const struct call_image *c, struct setup *setup)
{
	uint32_t size = pack_size(c->facts.numbers, CALL_NUMBERS);
	setup->numbers = text_take(&s->texts, size);
	if (setup->numbers == TEXT_NONE)
		return false;
	pack_write(c->facts.numbers, CALL_NUMBERS, text_at(&s->texts, setup->numbers));
	return true;
}

/* As it was between its answer and the caller's ACK. */
static bool take_setup(struct shard *s, const struct call_image *c, struct call *call, struct setup *setup)
{
	const struct facts *f = &c->facts;
	setup->attempt = setup->invite = POOL_NONE;
	setup->attempts_count = f->attempts_count;
	setup->switches = 0;
	setup->source = f->source;
	setup->destination = f->destination;
	setup->connect_us = f->connect_us;
	setup->offer_in_invite = !(c->legs[LEG_CALLEE].state.flags & LEG_IMAGE_ACK_WANTED);
	setup->offer = POOL_NONE; /* there are no more INVITEs */
	setup->bare_answer = (c->legs[LEG_CALLER].state.flags & LEG_IMAGE_BARE) != 0;
	if (f->ringing_us)
		setup->ringing_ns = call->start_ns + (uint64_t)(f->ringing_us - c->start_us) * 1000;
	setup->first_reply_ns = call->start_ns + milliseconds_ns(f->pdd_ms);
	return take_names(s, c, call, setup) && take_attempts(s, c, setup) && take_numbers(s, c, setup);
}

static void fill_call(struct shard *s, const struct call_image *c, struct call *call)
{
	wheel_entry_init(&call->timer, WHEEL_CALL);
	call->start_us = c->start_us;
	call->sequence = c->sequence;
	call->start_ns = past_ns(s, &c->clock, c->start_ns);
	call->connect_ns = past_ns(s, &c->clock, c->connect_ns);
	if (is_before(call->connect_ns, call->start_ns))
		call->connect_ns = call->start_ns;
	call->last_confirmed_us = c->last_confirmed_us;
	call->refreshes_sent = c->refreshes_sent;
	call->refreshes_confirmed = c->refreshes_confirmed;
	call->no_timer_cap_s = DURATION(c->no_timer_cap_s);
	call->max_duration_s = DURATION(c->max_duration_s);
	call->probe_interval_s = DURATION(c->probe_interval_s);
	call->rules = c->rules;
	call->recovered = 1;
	call->journaled = carry_is_kept(s);
	call->state = CALL_ANSWERED;
}

static void drop_call(struct shard *s, struct call *call)
{
	struct leg *legs[2] = { leg_at(s, call->caller_leg), leg_at(s, call->callee_leg) };
	struct charge *charge = call->setup != POOL_NONE ? charge_of(s, call) : NULL;
	if (charge)
		charge_settle(s, charge, 0);
	for (unsigned i = 0; i < 2; i++)
		if (legs[i])
			drop_leg(s, legs[i]);
	if (call->setup != POOL_NONE) {
		struct setup *setup = setup_of(s, call);
		text_give(&s->texts, setup->numbers);
		text_give(&s->texts, setup->attempt_log);
		pool_give(&s->setups, call->setup);
	}
	pool_give(&s->calls, call_index(s, call));
}

/* The records of a call, and what they hold but transactions and timers.  NULL: no room, nothing was kept. */
static struct call *take_call(struct shard *s, const struct call_image *c)
{
	uint32_t index = pool_take(&s->calls);
	if (index == POOL_NONE)
		return NULL;
	struct call *call = call_at(s, index);
	call->caller_leg = call->callee_leg = POOL_NONE;
	call->setup = pool_take(&s->setups);
	fill_call(s, c, call);
	struct leg *caller = take_leg(s, c, LEG_CALLER, index), *callee = take_leg(s, c, LEG_CALLEE, index);
	call->caller_leg = caller ? leg_index(s, caller) : POOL_NONE;
	call->callee_leg = callee ? leg_index(s, callee) : POOL_NONE;
	if (caller && callee && setup_of(s, call) && take_setup(s, c, call, setup_of(s, call)))
		return call;
	drop_call(s, call);
	return NULL;
}

/* Both sides have what the other one said last; where the process ended before one had heard, it hears it now. */
static void take_offers(struct shard *s, const struct call *call)
{
	struct leg *legs[2] = { leg_at(s, call->caller_leg), leg_at(s, call->callee_leg) };
	for (unsigned i = 0; i < 2; i++)
		if (legs[!i]->body_in != POOL_NONE && legs[!i]->body_in != legs[i]->body_out)
			legs[i]->offer_due_ns = s->now.now_ns + 1 + shard_random(s) % TELL_NS;
}

/* The last proof of life of either leg. */
static uint64_t last_life_ns(const struct shard *s, const struct call *call)
{
	uint64_t at_ns = call->connect_ns;
	const uint32_t legs[2] = { call->caller_leg, call->callee_leg };
	for (unsigned i = 0; i < 2; i++)
		if (is_before(at_ns, leg_at(s, legs[i])->session.confirmed_at_ns))
			at_ns = leg_at(s, legs[i])->session.confirmed_at_ns;
	return at_ns;
}

/* It is not carried on, and waits for its turn to be ended. */
static void close_later(struct shard *s, struct call *call, const struct passed *passed)
{
	rest(leg_at(s, call->caller_leg));
	rest(leg_at(s, call->callee_leg));
	call->ends_ns = 0;
	call->closing = true;
	setup_arm(s, call);
	carry_close_later(s, &(struct carry_closing){ .call = call_index(s, call),
						      .generation = call->slot.generation,
						      .leg = POOL_NONE,
						      .reason = (uint8_t)passed->reason,
						      .at_ns = passed->at_ns });
}

/* When its ACK is waited for no longer.  A process that found that out, and ended before it could write the CDR, may
 * have written a record (at a checkpoint) that has no INVITE any more. */
static uint64_t ack_ends_ns(const struct shard *s, const struct call_image *c, uint64_t connect_ns)
{
	uint64_t ends_ns = connect_ns + exchange_64t1_ns(s);
	return !c->has_invite && is_before(s->now.now_ns, ends_ns) ? s->now.now_ns : ends_ns;
}

/* What its timers say: whether the call has ended meanwhile. */
static void take_timers(struct shard *s, const struct call_image *c, struct call *call, struct passed *passed)
{
	struct leg *legs[2] = { leg_at(s, call->caller_leg), leg_at(s, call->callee_leg) };
	for (unsigned i = 0; i < 2; i++)
		take_session(s, call, &c->legs[i], legs[i], passed);
	for (unsigned i = 0; i < 2; i++)
		take_probe(s, call, &c->legs[i], legs[i]);
	setup_take_caps(s, call);
	if (call->ends_ns)
		look_at(s, passed, call->ends_ns, (enum cdr_end_reason)call->ends_reason);
	if (!c->acked)
		look_at(s, passed, ack_ends_ns(s, c, call->connect_ns), CDR_END_ack_missing);
}

static void go_on(struct shard *s, const struct call_image *c, struct call *call)
{
	struct leg *caller = leg_at(s, call->caller_leg), *callee = leg_at(s, call->callee_leg);
	if (c->acked)
		take_offers(s, call);
	refresh_arm(s, caller);
	refresh_arm(s, callee);
	setup_arm(s, call);
}

/* Its INVITE is still to be ACKed.  false: no room. */
static bool wait_for_ack(struct shard *s, const struct call_image *c, struct call *call)
{
	struct leg *caller = leg_at(s, call->caller_leg);
	if (c->legs[LEG_CALLER].body_out != CARRY_NO_BODY && caller->body_out == POOL_NONE)
		return false; /* its 200 would not be the one that was sent */
	struct transaction *tx = take_invite(s, &c->invite, caller, call->connect_ns + exchange_64t1_ns(s));
	if (tx)
		setup_of(s, call)->invite = transaction_index(s, tx);
	return tx != NULL;
}

static bool has_moved(const struct shard *s, const struct call_image *c)
{
	return c->clock.key != s->carry->key;
}

static bool restore_live(struct shard *s, const struct call_image *c, bool close)
{
	struct call *call = take_call(s, c);
	struct passed passed = { 0 };
	if (!call)
		return false;
	take_timers(s, c, call, &passed);
	if (close || has_moved(s, c)) /* with another name or secret nobody can say anything in its dialogs */
		passed = (struct passed){ true, last_life_ns(s, call), CDR_END_node_crash };
	bool waits = !c->acked && is_before(s->now.now_ns, ack_ends_ns(s, c, call->connect_ns));
	if (!charge_restore(s, call, c->charge, passed.any ? passed.at_ns : 0) ||
	    (waits && !wait_for_ack(s, c, call))) {
		drop_call(s, call);
		return false;
	}
	remember_answer(s, c, leg_at(s, call->callee_leg));
	if (c->acked) {
		call->state = CALL_UP;
		facts_pack(s, call);
		if (c->has_invite)
			bury_invite(s, &c->invite, leg_at(s, call->caller_leg));
	}
	leg_at(s, call->callee_leg)->ack_wanted = !c->acked && (c->legs[LEG_CALLEE].state.flags & LEG_IMAGE_ACK_WANTED);
	call->mapping_line = call->routing_line = 1;
	count_in(s, call);
	s->carry->taken = true;
	if (passed.any)
		close_later(s, call, &passed);
	else
		go_on(s, c, call);
	return true;
}

/* ---- calls that have ended ---- */

static bool bye_later(struct shard *s, const struct call_image *c, enum leg_side side)
{
	struct leg *leg = take_leg(s, c, side, POOL_NONE);
	if (!leg)
		return false;
	leg->closes = carry_is_kept(s);
	leg->ended_start_us = c->start_us;
	leg->ended_sequence = c->sequence;
	if (side == LEG_CALLEE)
		remember_answer(s, c, leg);
	uint64_t ends_ns = past_ns(s, &c->clock, c->connect_ns) + exchange_64t1_ns(s);
	if (side == LEG_CALLER && !c->acked && c->has_invite &&
	    is_before(s->now.now_ns, ends_ns)) { /* no BYE before (RFC 3261 15) */
		leg->bye_after_ack = true;
		if (take_invite(s, &c->invite, leg, ends_ns))
			return true;
		leg->bye_after_ack = false;
	}
	carry_close_later(s, &(struct carry_closing){ .leg = leg_index(s, leg), .generation = leg->slot.generation });
	return true;
}

static bool restore_ended(struct shard *s, const struct call_image *c, unsigned byes)
{
	bool taken = true;
	for (enum leg_side side = LEG_CALLER; side <= LEG_CALLEE; side++)
		if (byes & 1u << side && !has_moved(s, c))
			taken = bye_later(s, c, side) && taken;
	return taken;
}

/* ---- entrances ---- */

static bool restore(struct shard *s, const struct recovered_call *call, const struct call_image *c, bool close)
{
	if (c->boot == s->boot)
		return false;
	return call->ended ? restore_ended(s, c, call->byes) : restore_live(s, c, close);
}

enum restore_result shard_restore(struct shard *s, const struct recovered_call *call, bool close)
{
	struct call_image *image = malloc(sizeof *image);
	enum restore_result result = RESTORE_LEFT;
	if (image && carry_read(call, image) && carry_can_close(s) && restore(s, call, image, close))
		result = RESTORE_TAKEN;
	else if (call->ended || (image && image->start_us && !carry_is_foreign(call) && carry_end_lost(s, image)))
		result = RESTORE_ENDED;
	free(image);
	shard_settle(s);
	return result;
}

static uint64_t spread_ns(const struct shard *s)
{
	uint64_t spread = s->calls.used * SPREAD_NS;
	return spread > SPREAD_MIN_NS ? spread : SPREAD_MIN_NS;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Peers that we refresh are asked soon; one that refreshes by itself is only asked if it is late already. */
static void refresh_soon(struct shard *s, struct leg *leg, uint64_t spread)
{
	struct session_timer *t = &leg->session;
	uint64_t now_ns = s->now.now_ns, expires_ns = session_timer_expires_ns(t);
	if (t->wait == SESSION_IDLE || now_ns >= expires_ns)
		return; /* in its grace: at once */
	uint64_t wait_ns = shard_random(s) % (least(spread, (expires_ns - now_ns) / 2) + 1);
	if (t->wait == SESSION_REFRESH)
		session_timer_retry_in(t, t->due_ns > now_ns ? least(wait_ns, t->due_ns - now_ns) : wait_ns, now_ns);
	else if (t->due_ns == expires_ns - 1)
		t->due_ns = now_ns + wait_ns;
	refresh_arm(s, leg);
}

void shard_restored(struct shard *s)
{
	uint64_t spread = spread_ns(s);
	for (uint32_t i = pool_next_used(&s->legs, 0); i != POOL_NONE; i = pool_next_used(&s->legs, i + 1))
		if (leg_at(s, i)->call != POOL_NONE && carry_is_carried(s, leg_at(s, i)))
			refresh_soon(s, leg_at(s, i), spread);
	admission_restored(s);
	room_look(s);
}
