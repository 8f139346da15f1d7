#include "core/call/reliable.h"

#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/connect.h"
#include "core/call/early.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "core/call/prack.h"
#include "core/call/relay.h"
#include "core/call/reply.h"
#include "core/call/setup.h"

void reliable_read(struct setup *setup, const struct sip_message *m, bool on)
{
	setup->next_early = setup->rseq_early = EARLY_NONE;
	if (on && sip_list_has(m, SIP_H_REQUIRE, BYTES("100rel")))
		setup->reliable = RELIABLE_REQUIRED;
	else if (on && sip_list_has(m, SIP_H_SUPPORTED, BYTES("100rel")))
		setup->reliable = RELIABLE_SUPPORTED;
}

/* ---- in which dialog the caller hears of it ---- */

/* What is open in the dialog that is left gets an answer: it is of no use to the other.  caller_cseq: of the caller's
 * latest request in that which is in force now. */
static void set_edition(struct shard *s, struct call *call, unsigned edition, uint32_t caller_cseq)
{
	struct leg *caller = leg_at(s, call->caller_leg);
	unsigned before = leg_edition(s, caller);
	relay_early_over(s, caller);
	leg_set_edition(s, caller, transaction_at(s, setup_of(s, call)->invite), edition);
	if (leg_edition(s, caller) != before)
		caller->remote_cseq = caller_cseq;
}

static void next_edition(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	setup->edition = (uint8_t)(setup->edition + (setup->edition <= EDITION_MAX));
	/* The caller counts on from its INVITE in each (RFC 3261 12.1.2). */
	set_edition(s, call, setup->edition, transaction_at(s, setup->invite)->cseq);
}

/* The caller has that session in another dialog than the one it heard of last.  It is not repeated: the reliable
 * responses of one dialog are numbered without gaps, so none goes out in a dialog that was left. */
static bool was_told_before(const struct shard *s, const struct call *call, uint8_t index)
{
	struct attempt *attempt = attempt_under_way(s, call);
	const struct early *early = attempt ? early_at(s, attempt, index) : NULL;
	return early && early->told && index != attempt->early_heard;
}

/* The caller is about to hear of that early dialog's session, or of its answer. */
static void choose_dialog(struct shard *s, struct call *call, uint8_t index)
{
	struct attempt *attempt = attempt_under_way(s, call);
	if (!attempt || index == EARLY_NONE || index == attempt->early_heard)
		return;
	struct early *before = early_at(s, attempt, attempt->early_heard);
	const struct early *early = early_at(s, attempt, index);
	attempt->early_heard = index;
	if (!before || !before->told)
		return;
	before->caller_cseq = leg_at(s, call->caller_leg)->remote_cseq;
	if (early->told)
		set_edition(s, call, early->edition, early->caller_cseq);
	else
		next_edition(s, call);
}

/* What waits is of an attempt that is over. */
static void forget(struct shard *s, struct setup *setup)
{
	if (setup->has_next)
		body_drop(s, setup->next_body);
	setup->has_next = false;
	setup->next_early = setup->rseq_early = EARLY_NONE;
}

void reliable_attempt_over(struct shard *s, struct call *call)
{
	forget(s, setup_of(s, call));
}

void reliable_begin_edition(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	if (setup->early_dialog)
		next_edition(s, call);
	setup->early_dialog = false;
}

/* ---- sending ---- */

/* What goes to the caller: straight from the callee's response, or as it was kept (m is NULL). */
struct response {
	uint16_t status;
	bool asked;
	uint8_t early;
	const struct sip_message *m;
	uint32_t body;
};

/* Any number of 31 bits but 0, with room above it (7.1). */
static uint32_t next_rseq(struct shard *s, const struct setup *setup)
{
	return setup->rseq ? setup->rseq + 1 : 1 + (uint32_t)(shard_random(s) % 0x7fff0000u);
}

static uint64_t t1_ns(const struct shard *s)
{
	return milliseconds_ns(s->config->parameters.RW_SIP_T1);
}

static void await_prack(struct shard *s, struct call *call, const struct response *r, bool has_body)
{
	struct setup *setup = setup_of(s, call);
	struct attempt *attempt = attempt_under_way(s, call);
	struct early *early = attempt && has_body ? early_at(s, attempt, r->early) : NULL;
	if (early) {
		early->told = true;
		early->edition = (uint8_t)leg_edition(s, leg_at(s, call->caller_leg));
	}
	setup->rseq_early = early ? r->early : EARLY_NONE;
	setup->rseq_offers = early && early->owed_rseq;
	setup->rseq_resends = 0;
	setup->rseq_resend_ns = s->now.now_ns + t1_ns(s);
	setup->rseq_ends_ns = s->now.now_ns + exchange_64t1_ns(s);
	setup_arm(s, call);
}

static void send(struct shard *s, struct call *call, const struct response *r)
{
	struct setup *setup = setup_of(s, call);
	struct transaction *invite = transaction_at(s, setup->invite);
	bool reliably = setup->reliable == RELIABLE_REQUIRED || (setup->reliable == RELIABLE_SUPPORTED && r->asked);
	bool has_body = r->m ? r->m->body.size > 0 : r->body != POOL_NONE;
	struct builder b;
	/* A preview of the offer that is to come in the 200: sent reliably it would be that offer, and answered. */
	if (reliably && !setup->offer_in_invite && !r->asked)
		has_body = false;
	has_body = has_body && !was_told_before(s, call, r->early);
	if (has_body)
		choose_dialog(s, call, r->early);
	setup->rang = setup->rang || r->status == 180;
	setup->early_sdp = setup->early_sdp || has_body;
	setup->early_dialog = true;
	exchange_response(s, invite, r->status, BYTES_NONE, &b);
	if (reliably) {
		setup->rseq = next_rseq(s, setup);
		build_text(&b, "Require: 100rel\r\nRSeq: ");
		build_number(&b, setup->rseq);
		build_text(&b, "\r\n" ALLOW_LINE); /* whether UPDATE may follow (RFC 3311 5.1) */
	}
	leg_build_contact(s, &b, leg_at(s, call->caller_leg));
	struct bytes reason = r->m ? sip_header(r->m, SIP_H_REASON) : BYTES_NONE;
	if (reason.size)
		build_header(&b, "Reason: ", reason);
	if (has_body && r->m)
		body_build_from(&b, r->m);
	else
		body_build(s, &b, has_body ? r->body : POOL_NONE);
	exchange_respond(s, invite, r->status, &b, has_body);
	if (reliably)
		await_prack(s, call, r, has_body);
}

/* One response waits, however many there were: the newest status, the newest session. */
static void wait_for_prack(struct shard *s, struct setup *setup, const struct response *r)
{
	uint32_t body = body_keep(s, r->m);
	if (!setup->has_next) {
		setup->next_body = POOL_NONE;
		setup->next_early = r->early;
		setup->next_asked = false;
	}
	if (body != POOL_NONE) {
		body_replace(s, &setup->next_body, body);
		setup->next_early = r->early;
	}
	setup->has_next = true;
	setup->next_asked = setup->next_asked || r->asked;
	setup->next_status = r->status;
}

static void send_next(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	const struct response r = { .status = setup->next_status,
				    .asked = setup->next_asked,
				    .early = setup->next_early,
				    .body = setup->next_body };
	setup->has_next = false;
	send(s, call, &r);
	body_drop(s, r.body);
	setup->next_early = EARLY_NONE;
}

void reliable_pass(struct shard *s, struct call *call, const struct sip_message *m, const struct early *early,
		   bool asked)
{
	struct setup *setup = setup_of(s, call);
	const struct response r = {
		.status = m->status, .asked = asked, .early = early_index(s, attempt_under_way(s, call), early), .m = m
	};
	if (reliable_waits(setup))
		wait_for_prack(s, setup, &r);
	else
		send(s, call, &r);
}

void reliable_answered(struct shard *s, struct call *call, const struct sip_message *m, struct early *early)
{
	struct setup *setup = setup_of(s, call);
	choose_dialog(s, call, early_index(s, attempt_under_way(s, call), early));
	setup->answered_by_prack = !setup->offer_in_invite && early && early->settled;
	setup->bare_answer = early && early->told && (setup->answered_by_prack || early->owed_rseq || !m->body.size);
	forget(s, setup);
}

/* ---- its PRACK ---- */

uint64_t reliable_next_ns(const struct setup *setup)
{
	if (!reliable_waits(setup))
		return UINT64_MAX;
	return setup->rseq_resend_ns < setup->rseq_ends_ns ? setup->rseq_resend_ns : setup->rseq_ends_ns;
}

void reliable_due(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	struct ending ending = { .reason = CDR_END_ack_missing,
				 .side = CDR_SIDE_SWITCH,
				 .sip_code = 504,
				 .reason_header = BYTES("SIP;cause=504;text=\"no PRACK\"") };
	if (s->now.now_ns >= setup->rseq_ends_ns) {
		call_end(s, call, &ending);
		return;
	}
	exchange_resend(s, transaction_at(s, setup->invite));
	setup->rseq_resends++;
	setup->rseq_resend_ns = s->now.now_ns + (t1_ns(s) << setup->rseq_resends);
	setup_arm(s, call);
}

static bool is_awaited(const struct shard *s, const struct leg *leg, const struct prack_rack *rack)
{
	const struct call *call = call_at(s, leg->call);
	const struct setup *setup = call ? setup_of(s, call) : NULL;
	return setup && leg->side == LEG_CALLER && leg->state == LEG_EARLY && reliable_waits(setup) &&
	       rack->rseq == setup->rseq && rack->cseq == transaction_at(s, setup->invite)->cseq &&
	       bytes_equal(rack->method, BYTES("INVITE"));
}

/* The INVITE was refused meanwhile: "MUST be prepared to process PRACK requests for those outstanding responses" (3).
 */
static bool is_late(const struct shard *s, const struct leg *leg, const struct prack_rack *rack)
{
	const struct transaction *invite = exchange_server(s, leg, rack->cseq, SIP_INVITE);
	return invite && invite->role == ROLE_SETUP && invite->status >= 300 && invite->rseq == rack->rseq &&
	       bytes_equal(rack->method, BYTES("INVITE"));
}

static void keep_answer(struct shard *s, struct leg *caller, struct leg *callee, const struct sip_message *m)
{
	body_replace(s, &caller->body_in, body_keep(s, m));
	body_replace(s, &callee->body_out, body_share(s, caller->body_in));
}

/* The callee's offer has its answer: it goes into the PRACK to it, or, if it did not wait for that, into the ACK.
 * false: there is no room for it now. */
static bool take_answer(struct shard *s, struct call *call, const struct sip_message *m)
{
	struct setup *setup = setup_of(s, call);
	struct attempt *attempt = attempt_under_way(s, call);
	struct early *early = attempt ? early_at(s, attempt, setup->rseq_early) : NULL;
	struct leg *caller = leg_at(s, call->caller_leg), *callee = leg_at(s, call->callee_leg);
	if (early && early->owed_rseq) {
		callee = leg_at(s, attempt->leg);
		early_use(s, attempt, callee, setup->rseq_early);
		if (!prack_answer(s, callee, early, m))
			return false;
		keep_answer(s, caller, callee, m);
		early->settled = true;
	} else if (setup->bare_answer && callee && callee->ack_wanted) { /* another branch's 200 has its own offer */
		keep_answer(s, caller, callee, m);
		callee->ack_wanted = false;
		leg_ack_with(s, callee, callee->body_out, m);
		carry_note(s, call, CARRY_WHOLE);
	}
	setup->rseq_offers = false;
	return true;
}

/* The answer to its offer was in the response. */
static void note_answered(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	struct attempt *attempt = attempt_under_way(s, call);
	struct early *early = attempt ? early_at(s, attempt, setup->rseq_early) : NULL;
	if (early && setup->offer_in_invite)
		early->settled = early->told && early->answered;
}

static void go_on(struct shard *s, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	if (setup->answer_waits) {
		setup->answer_waits = false;
		connect_release(s, call);
	} else if (setup->has_next) {
		send_next(s, call);
	}
	setup_arm(s, call);
}

void reliable_prack(struct shard *s, struct leg *leg, struct transaction *tx, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	struct prack_rack rack;
	if (!prack_read_rack(m, &rack)) {
		exchange_reply(s, tx, 400, BYTES_NONE);
		return;
	}
	if (!is_awaited(s, leg, &rack)) {
		exchange_reply(s, tx, is_late(s, leg, &rack) ? 200 : 481, BYTES_NONE);
		return;
	}
	struct setup *setup = setup_of(s, call);
	bool answers = setup->rseq_offers;
	if (answers && !take_answer(s, call, m)) { /* the response goes out again, and may have another PRACK */
		exchange_reply(s, tx, 503, BYTES("Retry-After: 1\r\n"));
		return;
	}
	setup->rseq_resend_ns = setup->rseq_ends_ns = 0;
	if (!answers)
		note_answered(s, call);
	if (m->body.size && !answers)
		relay_prack_offer(s, leg, tx, m);
	else
		exchange_reply(s, tx, 200, BYTES_NONE);
	go_on(s, call);
}
