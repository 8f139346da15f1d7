#include "core/call/invite.h"

#include "core/call/body.h"
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
#include "core/call/room.h"
#include "core/call/setup.h"
#include "core/call/stranger.h"

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
	setup_bound_duration(call, p->RW_MAX_CALL_DURATION);
	setup_bound_duration(call, mapping->max_duration_s);
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
	setup_begin(s, call);
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

void invite_received(struct shard *s, const struct sip_message *m, const struct flow *from)
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
