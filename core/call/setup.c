#include "core/call/setup.h"

#include <assert.h>
#include <stdio.h>

#include "core/call/admission.h"
#include "core/call/attempt.h"
#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/choice.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/facts.h"
#include "core/call/identity.h"
#include "core/call/leg.h"
#include "core/call/number.h"
#include "core/call/overload.h"
#include "core/call/refresh.h"
#include "core/call/reliable.h"
#include "core/call/reply.h"
#include "core/call/rest.h"
#include "core/call/room.h"
#include "core/call/stranger.h"

#define CIRCUIT_LINE    "Q.850;cause=34;text=\"No circuit available\""
#define CONGESTION_LINE "Q.850;cause=42;text=\"Switching equipment congestion\""

/* ---- refusals that make no call ---- */

static void refuse_stranger(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	stranger_count(s, SIP_INVITE);
	bool answered = s->config->parameters.SS_REPLY_UNAUTHORIZED && stranger_is_answered(s, from);
	ending_record_refused(s, m, from, CDR_END_unauthorized, answered ? 403 : 0);
	if (answered)
		reply(s, m, from, 403, BYTES_NONE, BYTES_NONE);
}

/* A request of ours that has come back: it carries a tag or a branch that we minted (RFC 3261 16.3 item 4). */
static bool is_own_request(const struct shard *s, const struct sip_message *m)
{
	struct ident id;
	uint16_t sequence;
	unsigned edition;
	if (ident_read_tag(&s->key, m->from.tag, &id, &edition) || steer_is_minted(&s->key.steer, m->call_id) ||
	    ident_read_branch(&s->key, m->via.branch, &id, &sequence))
		return true;
	for (const struct sip_header *h = sip_header_first(m, SIP_H_VIA); h; h = sip_header_next(m, h)) {
		struct bytes rest = sip_header_value(m, h), element;
		struct sip_via via;
		while (sip_list_next(&rest, &element))
			if (element.at != m->via.whole.at && sip_read_via(element, &via) &&
			    ident_read_branch(&s->key, via.branch, &id, &sequence))
				return true;
	}
	return false;
}

/* ---- the call's deadlines ---- */

void setup_arm(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	uint64_t at = call->ends_ns ? call->ends_ns : UINT64_MAX;
	if (setup && setup->ends_ns && setup->ends_ns < at)
		at = setup->ends_ns;
	if (setup && setup->ask_ends_ns && setup->ask_ends_ns < at)
		at = setup->ask_ends_ns;
	if (setup && reliable_next_ns(setup) < at)
		at = reliable_next_ns(setup);
	if (call->whole_waits && carry_turn_ends_ns(s, call) < at)
		at = carry_turn_ends_ns(s, call);
	if (at == UINT64_MAX)
		wheel_cancel(&s->wheel, &call->timer);
	else
		wheel_arm(&s->wheel, &call->timer, at);
}

static void fail(struct shard *s, struct call *call, enum cdr_end_reason reason, enum cdr_side side, uint16_t code,
		 uint16_t q850, struct bytes reason_header)
{
	struct ending ending = {
		.reason = reason, .side = side, .sip_code = code, .q850 = q850, .reason_header = reason_header
	};
	call_end(s, call, &ending);
}

/* Of a failure on the carriers' side. */
static uint16_t code_for_caller(const struct shard *s, const struct call *call, uint16_t code)
{
	return switching_code_for_caller(config_mapping(s->config, call->mapping_id), code);
}

/* The smallest cap ends the call (spec 5). */
void setup_take_caps(const struct shard *s, struct call *call)
{
	bool timed = leg_at(s, call->caller_leg)->session.interval_s != 0;
	const struct {
		uint32_t seconds;
		enum cdr_end_reason reason;
	} caps[] = {
		{ timed ? 0 : call->no_timer_cap_s, CDR_END_no_timer_cap },
		{ call->max_duration_s, CDR_END_max_duration },
	};
	uint32_t least = 0;
	for (unsigned i = 0; i < sizeof caps / sizeof *caps; i++) {
		if (!caps[i].seconds || (least && caps[i].seconds >= least))
			continue;
		least = caps[i].seconds;
		call->ends_reason = caps[i].reason & 0xff;
	}
	call->ends_ns = least ? call->connect_ns + seconds_ns(least) : 0;
}

void setup_arm_caps(struct shard *s, struct call *call)
{
	setup_take_caps(s, call);
	if (call->ends_ns && is_before(call->ends_ns, s->now.now_ns))
		call->ends_ns = s->now.now_ns; /* the caller's timer went when its cap was already over */
	setup_arm(s, call);
}

/* A shard is stuck.  Another routing gateway may have another home. */
static void ask_silent(struct shard *s, struct call *call)
{
	enum line_kind asked = setup_of(s, call)->asked;
	shard_log(s, 4, "event=admission_silent gateway=%s", gateway_name(setup_of(s, call)->asked_id));
	stat_add(&s->stats->limit_silences, 1);
	if (asked == LINE_CREDIT) {
		charge_forget(s, call, charge_of(s, call));
		fail(s, call, CDR_END_overload, CDR_SIDE_SWITCH, 503, 42, BYTES(CONGESTION_LINE));
		return;
	}
	admission_forget(s, call);
	setup_line_answered(s, call, asked, LINE_FULL);
}

void setup_due(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	uint64_t now_ns = s->now.now_ns;
	if (call->ends_ns && now_ns >= call->ends_ns) {
		struct ending ending = { .reason = call->ends_reason,
					 .side = CDR_SIDE_SWITCH,
					 .at_ns = call->ends_ns,
					 .reason_header = BYTES("SIP;cause=408;text=\"maximum duration reached\"") };
		call_end(s, call, &ending);
	} else if (setup && setup->ask_ends_ns && now_ns >= setup->ask_ends_ns) {
		ask_silent(s, call);
	} else if (setup && setup->ends_ns && now_ns >= setup->ends_ns) {
		fail(s, call, CDR_END_setup_timeout, CDR_SIDE_SWITCH, code_for_caller(s, call, setup->rang ? 480 : 408),
		     0, BYTES_NONE);
	} else if (setup && now_ns >= reliable_next_ns(setup)) {
		reliable_due(s, call);
	} else if (call->whole_waits && now_ns >= carry_turn_ends_ns(s, call)) {
		carry_turn_over(s, call);
	} else {
		setup_arm(s, call);
	}
}

/* ---- choosing where to ---- */

/* A Reason header of the cause alone, where the response that brought it has gone; `room` as long as the result. */
static struct bytes write_cause(uint16_t q850, char room[static 24])
{
	int size = q850 ? snprintf(room, 24, "Q.850;cause=%u", q850) : 0;
	return (struct bytes){ room, (uint32_t)size };
}

/* Of the latest attempt that failed. */
static uint16_t last_code(const struct shard *s, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	bool rang_out = setup->last_reason == CDR_END_timeout_ringing;
	return code_for_caller(s, call, switching_code(setup->last_code, rang_out));
}

static void no_candidate_left(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	char room[24];
	if (!setup->attempts_count) {
		fail(s, call, CDR_END_capacity, CDR_SIDE_SWITCH, 503, 34, BYTES(CIRCUIT_LINE));
		return;
	}
	fail(s, call, (enum cdr_end_reason)setup->last_reason, setup->last_code ? CDR_SIDE_CALLEE : CDR_SIDE_SWITCH,
	     last_code(s, call), setup->last_q850, write_cause(setup->last_q850, room));
}

static void begin(struct shard *s, struct call *call, const struct routing_gateway *routing, uint32_t address)
{
	if (call->state == CALL_ASKING)
		call->state = CALL_TRYING;
	if (attempt_begin(s, call, routing, address)) {
		reliable_begin_edition(s, call); /* what the caller has heard so far was of another one */
		return;
	}
	admission_free(s, routing->id);
	struct ending ending = {
		.reason = CDR_END_overload, .side = CDR_SIDE_SWITCH, .sip_code = 503, .retry_after = true
	};
	call_end(s, call, &ending);
}

/* The RG was chosen, and has given leave.  false: all its addresses rest, since a moment ago; the line is given back.
 */
static bool begin_gateway(struct shard *s, struct call *call, const struct routing_gateway *routing)
{
	struct setup *setup = setup_of(s, call);
	uint32_t address = rest_next_awake(s, routing, 0);
	if (address == routing->address_count) {
		admission_free(s, routing->id);
		return false;
	}
	setup->switches = (uint8_t)(setup->switches + (setup->attempts_count && setup->switches < UINT8_MAX));
	begin(s, call, routing, address);
	return true;
}

/* A gateway that is full, over its rate limit, or at rest.  false: there is no room to remember it. */
static bool skip(struct shard *s, struct call *call, uint32_t routing_id, enum line_answer why)
{
	if (why != LINE_GRANTED)
		stat_add(why == LINE_FULL ? &s->stats->skipped_capacity : &s->stats->skipped_rate, 1);
	return choice_strike(s, call, routing_id);
}

/* The next candidate that has a line free; asking may take until a note comes back. */
static void try_next(struct shard *s, struct call *call)
{
	const struct routing_gateway *routing;
	while ((routing = choice_next(s, call)) != NULL) {
		enum line_answer answer = admission_ask(s, call, LINE_ROUTING, routing->id);
		if (answer == LINE_PENDING)
			return;
		if (answer == LINE_GRANTED && begin_gateway(s, call, routing))
			return;
		if (!skip(s, call, routing->id, answer))
			break;
	}
	no_candidate_left(s, call);
}

static void route(struct shard *s, struct call *call)
{
	if (choice_exists(s, call))
		try_next(s, call);
	else
		fail(s, call, CDR_END_no_route, CDR_SIDE_SWITCH, 404, 0, BYTES_NONE);
}

/* Over the rate limit of its MG: only that is worth another try soon (spec 4). */
static void refuse_rate(struct shard *s, struct call *call)
{
	struct ending ending = { .reason = CDR_END_capacity,
				 .side = CDR_SIDE_SWITCH,
				 .sip_code = 503,
				 .q850 = 42,
				 .reason_header = BYTES(CONGESTION_LINE),
				 .retry_after = true };
	stat_add(&s->stats->refused_rate, 1);
	call_end(s, call, &ending);
}

/* The account does not pay for the call (spec 10). */
static void refuse_account(struct shard *s, struct call *call, enum charge_answer answer)
{
	static const struct {
		uint16_t code;
		enum cdr_end_reason reason;
	} refusals[] = {
		[CHARGE_LOCKED] = { 403, CDR_END_account_locked },
		[CHARGE_NO_RATE] = { 403, CDR_END_no_rate },
		[CHARGE_NO_CREDIT] = { 402, CDR_END_no_balance },
	};
	stat_add(&s->stats->refused_account, 1);
	fail(s, call, refusals[answer].reason, CDR_SIDE_SWITCH, refusals[answer].code, 0, BYTES_NONE);
}

static void account_answered(struct shard *s, struct call *call, enum charge_answer answer)
{
	if (answer == CHARGE_GRANTED)
		route(s, call);
	else if (answer != CHARGE_PENDING)
		refuse_account(s, call, answer);
}

void setup_credit_answered(struct shard *s, struct call *call, bool granted)
{
	charge_forget(s, call, charge_of(s, call));
	account_answered(s, call, granted ? CHARGE_GRANTED : CHARGE_NO_CREDIT);
}

static void mapping_line_answered(struct shard *s, struct call *call, enum line_answer answer)
{
	call->mapping_line = answer == LINE_GRANTED;
	if (answer == LINE_GRANTED) {
		account_answered(s, call, charge_admit(s, call));
	} else if (answer == LINE_TOO_FAST) {
		refuse_rate(s, call);
	} else {
		stat_add(&s->stats->refused_capacity, 1);
		fail(s, call, CDR_END_capacity, CDR_SIDE_SWITCH, 503, 34, BYTES(CIRCUIT_LINE));
	}
}

static void routing_line_answered(struct shard *s, struct call *call, enum line_answer answer)
{
	uint32_t routing_id = setup_of(s, call)->asked_id;
	const struct routing_gateway *routing = config_routing(s->config, routing_id);
	bool granted = answer == LINE_GRANTED;
	if (granted && routing && begin_gateway(s, call, routing))
		return;
	if (granted && !routing) /* a reload took it away meanwhile */
		admission_free(s, routing_id);
	if (granted ? choice_strike(s, call, routing_id) : skip(s, call, routing_id, answer))
		try_next(s, call);
	else
		no_candidate_left(s, call);
}

void setup_line_answered(struct shard *s, struct call *call, enum line_kind asked, enum line_answer answer)
{
	if (asked == LINE_MAPPING)
		mapping_line_answered(s, call, answer);
	else
		routing_line_answered(s, call, answer);
}

static void admit(struct shard *s, struct call *call)
{
	enum line_answer answer = admission_ask(s, call, LINE_MAPPING, call->mapping_id);
	if (answer != LINE_PENDING)
		mapping_line_answered(s, call, answer);
}

/* ---- the INVITE ---- */

/* Whether the caller's session interval is too small or unreadable: 422 or 400, no call. */
static bool refuse_interval(struct shard *s, const struct sip_message *m, const struct flow *from,
			    const struct mapping_gateway *mapping, const struct session_timer_headers *headers)
{
	struct call rules_of = { 0 };
	struct session_timer session;
	struct bytes lines;
	char room[64];
	refresh_take_rules(s, &rules_of);
	session_timer_init(&session, mapping->timer, &rules_of.rules);
	unsigned status = refresh_judge(&session, &rules_of.rules, headers, room, &lines);
	if (status)
		reply(s, m, from, status, BYTES_NONE, lines);
	return status != 0;
}

static bool write_caller_dialog(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	struct dialog dialog = { .text = {
					 [DIALOG_CALL_ID] = m->call_id,
					 [DIALOG_LOCAL] = sip_header(m, SIP_H_TO),
					 [DIALOG_REMOTE] = sip_header(m, SIP_H_FROM),
					 [DIALOG_TARGET] = m->contact.uri.size ? m->contact.uri
									       : m->from.uri, /* RFC 2543: no Contact */
				 } };
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	dialog_build_routes(&b, m, false);
	dialog.text[DIALOG_ROUTES] = (struct bytes){ s->work, (uint32_t)build_size(&b) };
	return !b.overflow && leg_set_dialog(s, leg, &dialog);
}

/* false: no room.  Without its offer the call would be another one: the callee would make the offer. */
static bool keep_offer(struct shard *s, struct leg *caller, const struct sip_message *m)
{
	caller->body_in = body_keep(s, m);
	return caller->body_in != POOL_NONE || !m->body.size;
}

/* Takes all records of a new call; NULL: one of the pools is at its limit, nothing was kept. */
static struct call *take_call(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	uint32_t index = room_is_left(s) ? pool_take(&s->calls) : POOL_NONE;
	room_look(s);
	if (index == POOL_NONE)
		return NULL;
	struct call *call = call_at(s, index);
	call->setup = pool_take(&s->setups); /* there is one for each call */
	setup_of(s, call)->offer = POOL_NONE;
	unsigned bucket = s->memo->bucket;
	struct leg *leg = leg_take(s, index, LEG_CALLER, bucket);
	struct transaction *invite = NULL;
	if (leg && write_caller_dialog(s, leg, m) && keep_offer(s, leg, m))
		invite = exchange_accept(s, leg, m, from, ROLE_SETUP);
	if (!invite) {
		if (leg)
			leg_release(s, leg);
		facts_give(s, call);
		pool_give(&s->calls, index);
		return NULL;
	}
	table_add(&s->table, invite);
	leg->flow = *from;
	leg->remote_cseq = m->cseq;
	leg->has_remote_cseq = true;
	leg->remote_tag_hash = table_hash32(&s->table, m->from.tag);
	wheel_entry_init(&call->timer, WHEEL_CALL);
	call->caller_leg = leg_index(s, leg);
	call->callee_leg = POOL_NONE;
	struct setup *setup = setup_of(s, call);
	setup->attempt = POOL_NONE;
	setup->invite = transaction_index(s, invite);
	setup->source = from->peer;
	setup->offer = body_share(s, leg->body_in);
	setup->offer_in_invite = setup->offer != POOL_NONE;
	return call;
}

/* The smallest of those that there are. */
static void bound_duration(struct call *call, uint32_t seconds)
{
	if (seconds && (!call->max_duration_s || seconds < call->max_duration_s))
		call->max_duration_s = DURATION(seconds);
}

/* Parameters change for calls that start after the change (spec 5). */
static void take_switching(struct setup *setup, const struct parameters *p)
{
	setup->rules = switching_rules_of(p);
	setup->wait_s[WAIT_INVITE] = (uint16_t)p->SS_SIP_TIMEOUT_INVITE;
	setup->wait_s[WAIT_TRYING] = (uint16_t)p->SS_SIP_TIMEOUT_TRYING;
	setup->wait_s[WAIT_PROGRESS] = (uint16_t)p->SS_SIP_TIMEOUT_SESSION_PROGRESS;
	setup->wait_s[WAIT_PROGRESS_SDP] = (uint16_t)p->SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP;
	setup->wait_s[WAIT_RINGING] = (uint16_t)p->SS_SIP_TIMEOUT_RINGING;
}

static void begin_call(struct shard *s, const struct sip_message *m, const struct flow *from,
		       const struct mapping_gateway *mapping, const struct session_timer_headers *headers,
		       const struct numbers *numbers)
{
	const struct parameters *p = &s->config->parameters;
	uint32_t text = numbers_keep(s, numbers), identity = TEXT_NONE;
	bool kept = text != TEXT_NONE && identity_keep(s, m, &identity);
	struct call *call = kept ? take_call(s, m, from) : NULL;
	if (!call) {
		text_give(&s->texts, text);
		text_give(&s->texts, identity);
		overload_refuse(s, m, from);
		return;
	}
	call->sequence = s->sequence++;
	call->start_us = s->now.real_us;
	call->start_ns = s->came_ns;
	call->mapping_id = mapping->id;
	call->no_timer_cap_s = DURATION(p->SS_SIP_NO_TIMER_REINVITE_INTERVAL);
	bound_duration(call, p->RW_MAX_CALL_DURATION);
	bound_duration(call, mapping->max_duration_s);
	refresh_take_rules(s, call);
	struct leg *caller = leg_at(s, call->caller_leg);
	struct setup *setup = setup_of(s, call);
	struct transaction *invite = transaction_at(s, setup->invite);
	setup->account_id = mapping->account_id;
	setup->numbers = text;
	setup->identity = identity;
	session_timer_init(&caller->session, mapping->timer, &call->rules);
	refresh_note_request(s, caller, invite, m, headers, false);
	reliable_read(setup, m, mapping->reliable);
	setup->max_forwards = (uint8_t)(m->max_forwards < 0 ? 70 : m->max_forwards > 255 ? 254 : m->max_forwards - 1);
	take_switching(setup, p);
	setup->ends_ns = p->RW_SETUP_MAX ? call->start_ns + seconds_ns(p->RW_SETUP_MAX) : 0;
	setup_arm(s, call);
	stat_add(&s->stats->calls_attempted, 1);
	stat_add(&s->stats->calls_setup, 1);
	exchange_trying(s, invite, m);
	admit(s, call);
}

static bool has_too_many_routes(struct shard *s, const struct sip_message *m)
{
	struct builder routes;
	build_begin(&routes, s->work, DATAGRAM_MAX);
	dialog_build_routes(&routes, m, false);
	return routes.overflow;
}

/* What is left is for the calls that are up, to be refreshed and ended with. */
static bool is_full(const struct shard *s)
{
	return text_is_low(&s->texts) || pool_free(&s->transactions) <= 2 * s->transaction_reserve;
}

void setup_invite(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	struct numbers numbers;
	numbers_dialled(&numbers, m);
	const struct mapping_gateway *mapping =
		config_source_find(s->config, &from->peer, from->listener, numbers.at[CALL_CALLEE]);
	struct session_timer_headers headers;
	if (!mapping) {
		refuse_stranger(s, m, from);
		return;
	}
	if (is_own_request(s, m)) {
		reply(s, m, from, 482, BYTES_NONE, BYTES_NONE);
		return;
	}
	numbers_received(&numbers, m, mapping);
	if (numbers.at[CALL_CALLEE_IN].size > NUMBER_MAX - 1) {
		reply(s, m, from, 484, BYTES_NONE, BYTES_NONE);
		return;
	}
	if (has_too_many_routes(s, m)) {
		reply(s, m, from, 400, BYTES("Too Many Record-Routes"), BYTES_NONE);
		return;
	}
	if (m->max_forwards == 0) {
		reply(s, m, from, 483, BYTES_NONE, BYTES_NONE);
		return;
	}
	session_timer_read(m, &headers);
	if (reply_unsupported(s, m, from, mapping->timer, mapping->reliable) ||
	    refuse_interval(s, m, from, mapping, &headers))
		return;
	if (s->draining || s->stopping || is_full(s) || !s->edge.cdr_room(s->edge.context)) {
		overload_refuse(s, m, from);
		return;
	}
	numbers_map(s, &numbers, mapping);
	begin_call(s, m, from, mapping, &headers, &numbers);
}

/* ---- from the callee's side ---- */

static void note_first_reply(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	if (setup->first_reply_ns)
		return;
	setup->first_reply_ns = shard_came_ns(s, call->start_ns);
	histogram_add(&s->stats->pdd_us, (setup->first_reply_ns - call->start_ns) / 1000);
}

void setup_provisional(struct shard *s, struct call *call, const struct sip_message *m, const struct early *early,
		       bool asked)
{
	struct setup *setup = setup_of(s, call);
	note_first_reply(s, call);
	if (!setup->ringing_ns)
		setup->ringing_ns = shard_came_ns(s, call->start_ns);
	call->state = CALL_RINGING;
	reliable_pass(s, call, m, early, asked);
}

void setup_build_answer(const struct shard *s, struct builder *b, const struct leg *caller,
			const struct transaction *invite)
{
	leg_build_contact(s, b, caller);
	build_text(b, ALLOW_LINE);
	refresh_build_answer(b, caller, invite);
}

bool setup_answer_is_bare(const struct shard *s, const struct leg *leg)
{
	const struct call *call = leg->side == LEG_CALLER ? call_at(s, leg->call) : NULL;
	const struct setup *setup = call ? setup_of(s, call) : NULL;
	return setup && setup->bare_answer;
}

/* The 200 to the caller, with the session of the callee's, or the same as it was kept: it came early, or with a 200
 * that had to wait (NULL). */
static void answer_caller(struct shard *s, struct call *call, const struct sip_message *m)
{
	struct leg *caller = leg_at(s, call->caller_leg);
	const struct setup *setup = setup_of(s, call);
	struct transaction *invite = transaction_at(s, setup->invite);
	bool from_message = m && m->body.size && !setup->bare_answer;
	uint32_t kept = setup->bare_answer ? POOL_NONE : caller->body_out;
	struct builder b;
	caller->state = LEG_UP;
	exchange_response(s, invite, 200, BYTES_NONE, &b);
	setup_build_answer(s, &b, caller, invite);
	if (from_message)
		body_build_from(&b, m);
	else
		body_build(s, &b, kept);
	exchange_respond(s, invite, 200, &b, from_message || kept != POOL_NONE);
}

/* A PRACK that is still to come is waited for. */
static void answer_in_order(struct shard *s, struct call *call, const struct sip_message *m)
{
	struct setup *setup = setup_of(s, call);
	if (reliable_waits(setup))
		setup->answer_waits = true;
	else
		answer_caller(s, call, m);
}

void setup_release(struct shard *s, struct call *call)
{
	setup_of(s, call)->ends_ns = 0;
	setup_arm(s, call);
	answer_in_order(s, call, NULL);
}

/* There is no room to write down that it is up: what cannot be promised a record is not begun. */
static void refuse_unrecorded(struct shard *s, struct call *call)
{
	struct ending ending = { .reason = CDR_END_overload,
				 .side = CDR_SIDE_SWITCH,
				 .sip_code = 503,
				 .reason_header = BYTES(CONGESTION_LINE),
				 .retry_after = true,
				 .not_connected = true };
	stat_add(&s->stats->invites_rejected_overload, 1);
	call_end(s, call, &ending);
}

void setup_answered(struct shard *s, struct call *call, struct leg *callee, const struct transaction *asked,
		    const struct sip_message *m)
{
	struct setup *setup = setup_of(s, call);
	struct transaction *invite = transaction_at(s, setup->invite);
	struct leg *caller = leg_at(s, call->caller_leg);
	note_first_reply(s, call);
	call->callee_leg = leg_index(s, callee);
	call->connect_ns = shard_came_ns(s, call->start_ns);
	setup->connect_us = s->now.real_us;
	setup->ends_ns = 0;
	bound_duration(call, setup->callee_max_duration_s);
	call->state = CALL_ANSWERED;
	stat_sub(&s->stats->calls_setup, 1);
	stat_add(&s->stats->calls_active, 1);
	stat_add(&s->stats->calls_answered, 1);
	stat_add(&s->tally[call->mapping_id].answered, 1);
	stat_add(&s->tally[call->routing_id].answered, 1);
	refresh_confirmed(s, callee, asked, m);
	refresh_answered(s, caller, invite);
	refresh_begin_probes(s, callee);
	refresh_begin_probes(s, caller);
	setup_arm_caps(s, call);
	charge_connect(s, call);

	callee->ack_wanted = !setup->offer_in_invite && !setup->answered_by_prack;
	if (!callee->ack_wanted)
		leg_ack(s, callee, m->cseq, POOL_NONE);
	/* The caller's, too, are those of the dialog that has answered: an UPDATE may have been of another one. */
	body_replace(s, &caller->body_in, body_share(s, callee->body_out));
	body_replace(s, &caller->body_out, body_share(s, callee->body_in));
	if (!carry_answered(s, call)) {
		refuse_unrecorded(s, call);
	} else if (carry_holds(s, call)) {
		setup->ends_ns = s->now.now_ns + exchange_64t1_ns(s); /* no disk is to be waited for longer */
		setup_arm(s, call);
	} else {
		answer_in_order(s, call, m);
	}
}

/* The next address of the gateway that has failed, which keeps its line.  false: there is none. */
static bool try_next_address(struct shard *s, struct call *call, const struct routing_gateway *routing,
			     const struct attempt_failure *failure)
{
	uint32_t next = routing ? rest_next_awake(s, routing, failure->address + 1) : 0;
	if (!routing || next >= routing->address_count)
		return false;
	begin(s, call, routing, next);
	return true;
}

void setup_attempt_failed(struct shard *s, struct call *call, const struct attempt_failure *failure)
{
	struct setup *setup = setup_of(s, call);
	const struct switching_case what = {
		.rules = setup->rules,
		.routing = config_routing(s->config, failure->routing_id),
		.switches = setup->switches,
		.rang = setup->rang,
		.early_sdp = setup->early_sdp,
		.address_failed = failure->address_failed,
		.code = failure->code,
	};
	reliable_attempt_over(s, call);
	setup->last_code = failure->code;
	setup->last_reason = (uint8_t)failure->reason;
	setup->last_q850 = failure->q850;
	if (switching_decide(&what, SWITCH_ADDRESS) == SWITCH_ON && try_next_address(s, call, what.routing, failure))
		return;
	admission_free(s, failure->routing_id);
	if (switching_decide(&what, SWITCH_GATEWAY) == SWITCH_ON && choice_strike(s, call, failure->routing_id) &&
	    choice_next(s, call)) {
		try_next(s, call);
		return;
	}
	fail(s, call, failure->reason, failure->code ? CDR_SIDE_CALLEE : CDR_SIDE_SWITCH, last_code(s, call),
	     failure->q850, failure->reason_header);
}

/* ---- from the caller ---- */

void setup_cancelled(struct shard *s, struct call *call, struct bytes reason)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	struct ending ending = { .reason = CDR_END_cancelled,
				 .side = CDR_SIDE_CALLER,
				 .sip_code = 487,
				 .q850 = ending_q850(reason),
				 .not_connected = true };
	if (attempt)
		exchange_give_reason(s, transaction_at(s, attempt->invite), reason);
	call_end(s, call, &ending);
}

void setup_acked(struct shard *s, struct call *call, const struct sip_message *m)
{
	struct leg *caller = leg_at(s, call->caller_leg), *callee = leg_at(s, call->callee_leg);
	call->state = CALL_UP;
	if (callee->ack_wanted) { /* delayed offer: this ACK has the answer */
		callee->ack_wanted = false;
		body_replace(s, &caller->body_in, body_keep(s, m));
		body_replace(s, &callee->body_out, body_share(s, caller->body_in));
		leg_ack_with(s, callee, callee->body_out, m);
		carry_note(s, call, CARRY_WHOLE);
	}
	carry_note(s, call, CARRY_ACKED);
	setup_of(s, call)->invite = POOL_NONE;
	facts_pack(s, call);
}

void setup_ack_missing(struct shard *s, struct call *call)
{
	setup_of(s, call)->invite = POOL_NONE; /* the wait is over: BYE may go out */
	struct ending ending = { .reason = CDR_END_ack_missing,
				 .side = CDR_SIDE_SWITCH,
				 .reason_header = BYTES("SIP;cause=408;text=\"no ACK\"") };
	call_end(s, call, &ending);
}
