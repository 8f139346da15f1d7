#include "core/call/connect.h"

#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/facts.h"
#include "core/call/leg.h"
#include "core/call/refresh.h"
#include "core/call/reliable.h"
#include "core/call/reply.h"
#include "core/call/setup.h"

/* ---- from the callee's side ---- */

static void note_first_reply(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	if (setup->first_reply_ns)
		return;
	setup->first_reply_ns = shard_came_ns(s, call->start_ns);
	histogram_add(&s->stats->pdd_us, (setup->first_reply_ns - call->start_ns) / 1000);
}

void connect_provisional(struct shard *s, struct call *call, const struct sip_message *m, const struct early *early,
			 bool asked)
{
	struct setup *setup = setup_of(s, call);
	note_first_reply(s, call);
	if (!setup->ringing_ns)
		setup->ringing_ns = shard_came_ns(s, call->start_ns);
	call->state = CALL_RINGING;
	reliable_pass(s, call, m, early, asked);
}

void connect_build_answer(const struct shard *s, struct builder *b, const struct leg *caller,
			  const struct transaction *invite)
{
	leg_build_contact(s, b, caller);
	build_text(b, ALLOW_LINE);
	refresh_build_answer(b, caller, invite);
}

bool connect_answer_is_bare(const struct shard *s, const struct leg *leg)
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
	connect_build_answer(s, &b, caller, invite);
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

void connect_release(struct shard *s, struct call *call)
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

void connect_answered(struct shard *s, struct call *call, struct leg *callee, const struct transaction *asked,
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
	setup_bound_duration(call, setup->callee_max_duration_s);
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

/* ---- from the caller ---- */

void connect_acked(struct shard *s, struct call *call, const struct sip_message *m)
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

void connect_ack_missing(struct shard *s, struct call *call)
{
	setup_of(s, call)->invite = POOL_NONE; /* the wait is over: BYE may go out */
	struct ending ending = { .reason = CDR_END_ack_missing,
				 .side = CDR_SIDE_SWITCH,
				 .reason_header = BYTES("SIP;cause=408;text=\"no ACK\"") };
	call_end(s, call, &ending);
}
