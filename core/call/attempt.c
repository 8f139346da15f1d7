#include "core/call/attempt.h"

#include <assert.h>

#include "core/call/admission.h"
#include "core/call/body.h"
#include "core/call/connect.h"
#include "core/call/early.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/facts.h"
#include "core/call/identity.h"
#include "core/call/late.h"
#include "core/call/leg.h"
#include "core/call/number.h"
#include "core/call/prack.h"
#include "core/call/refresh.h"
#include "core/call/relay.h"
#include "core/call/reliable.h"
#include "core/call/reply.h"
#include "core/call/rest.h"
#include "core/call/setup.h"
#include "sip/pack.h"

/* ---- waiting on the RG: the newest state's timer runs its full time ---- */

/* The RG's own as they are when the attempt begins, else the parameters as they were when the call started. */
static void take_waits(const struct setup *setup, struct attempt *attempt, const struct routing_gateway *rg)
{
	const uint32_t own[WAIT_STATES] = {
		[WAIT_INVITE] = rg->timeout_invite_s,
		[WAIT_TRYING] = rg->timeout_trying_s,
		[WAIT_PROGRESS] = rg->timeout_session_progress_s,
		[WAIT_PROGRESS_SDP] = rg->timeout_session_progress_sdp_s,
		[WAIT_RINGING] = rg->timeout_ringing_s,
	};
	for (unsigned i = 0; i < WAIT_STATES; i++)
		attempt->wait_s[i] = own[i] ? (uint16_t)own[i] : setup->wait_s[i];
}

/* A gateway that goes back and forth gains no time by it, and loses none: one that rings on after a 181 without SDP has
 * its time for ringing. */
static void wait_for(struct shard *s, struct attempt *attempt, enum attempt_waiting waiting)
{
	uint64_t *ends_ns = &attempt->wait_ends_ns[waiting];
	if (!*ends_ns)
		*ends_ns = s->now.now_ns + seconds_ns(attempt->wait_s[waiting]);
	else if (*ends_ns < attempt->wait_ends_ns[attempt->waiting])
		return;
	attempt->waiting = (uint8_t)waiting;
	wheel_arm(&s->wheel, &attempt->timer, attempt->wait_ends_ns[waiting]);
}

/* ---- beginning ---- */

#define TRIES_422_MAX 3

static struct bytes written(const struct builder *b, const char *from)
{
	return (struct bytes){ from, (uint32_t)(b->at - from) };
}

/* The numbers that this gateway is sent are now those of the call: the CDR has them. */
static bool keep_numbers(struct shard *s, struct setup *setup, const struct numbers *numbers)
{
	uint32_t text = numbers_keep(s, numbers);
	if (text == TEXT_NONE)
		return false;
	text_give(&s->texts, setup->numbers); /* only now: the views may have pointed into it */
	setup->numbers = text;
	return true;
}

static void build_caller(const struct shard *s, struct builder *b, const struct leg *leg, struct bytes number)
{
	build_text(b, "<sip:");
	if (number.size) {
		build_user(b, number);
		build_text(b, "@");
	}
	build_bytes(b, bytes_of(listen_of(s, &leg->flow)->host));
	build_text(b, ">");
}

/* The texts of the callee leg, and of To and request-URI which the INVITE's CANCEL and ACK repeat. */
static bool write_dialog(struct shard *s, const struct call *call, struct leg *leg,
			 const struct routing_gateway *routing, uint32_t address, uint32_t *ret_sent)
{
	struct setup *setup = setup_of(s, call);
	struct numbers numbers;
	struct dialog dialog = { 0 };
	struct builder b;
	char host[ADDRESS_TEXT_MAX];
	numbers_read(s, setup->numbers, &numbers);
	bool changed = numbers_send(s, &numbers, routing);

	build_begin(&b, s->work, DATAGRAM_MAX);
	if (identity_is_hidden(s, setup, routing))
		build_text(&b, "\"Anonymous\" <sip:anonymous@anonymous.invalid>"); /* RFC 3323 4.1.1.3 */
	else
		build_caller(s, &b, leg, numbers.at[CALL_CALLER_OUT]);
	dialog.text[DIALOG_LOCAL] = written(&b, b.start);

	const char *remote = b.at;
	build_text(&b, "<sip:");
	if (numbers.at[CALL_CALLEE_OUT].size) {
		build_user(&b, numbers.at[CALL_CALLEE_OUT]);
		build_text(&b, "@");
	}
	build_bytes(&b, (struct bytes){ host, address_write(&routing->addresses[address], host) });
	build_text(&b, ">");
	dialog.text[DIALOG_REMOTE] = written(&b, remote);
	dialog.text[DIALOG_TARGET] = (struct bytes){ remote + 1, dialog.text[DIALOG_REMOTE].size - 2 };
	if (b.overflow || !leg_set_dialog(s, leg, &dialog))
		return false;

	uint32_t size = pack_size(&dialog.text[DIALOG_REMOTE], 2);
	*ret_sent = text_take(&s->texts, size);
	if (*ret_sent == TEXT_NONE)
		return false;
	pack_write(&dialog.text[DIALOG_REMOTE], 2, text_at(&s->texts, *ret_sent));
	if (!changed || keep_numbers(s, setup, &numbers))
		return true;
	text_give(&s->texts, *ret_sent);
	return false;
}

static void send_invite(struct shard *s, struct call *call, struct attempt *attempt, struct leg *leg)
{
	struct builder b;
	struct transaction *tx = leg_request(s, leg, SIP_INVITE, ROLE_SETUP, setup_of(s, call)->max_forwards, &b);
	assert(tx); /* the caller has looked */
	leg_build_contact(s, &b, leg);
	build_text(&b, ALLOW_LINE);
	refresh_build_request(s, &b, leg, tx);
	const struct routing_gateway *routing = config_routing(s->config, attempt->routing_id);
	if (routing) /* a reload may have taken it away before a second try */
		identity_build(s, &b, leg, setup_of(s, call), routing);
	if (attempt->reliable)
		build_text(&b, "Supported: 100rel\r\n");
	body_build(s, &b, leg->body_out);
	attempt->invite = transaction_index(s, tx);
	exchange_send(s, tx, &b);
	if (s->edge.relayed)
		s->edge.relayed(s->edge.context, call->start_ns);
}

bool attempt_begin(struct shard *s, struct call *call, const struct routing_gateway *routing, uint32_t address)
{
	struct setup *setup = setup_of(s, call);
	const struct leg *caller = leg_at(s, call->caller_leg);
	uint32_t sent = TEXT_NONE, index;
	struct leg *leg = NULL;
	if (!exchange_has_room(s) || (index = pool_take(&s->attempts)) == POOL_NONE)
		return false;
	leg = leg_take(s, call_index(s, call), LEG_CALLEE, caller->bucket);
	if (leg) {
		leg->flow = flow_to(s, &routing->addresses[address], routing->listener);
		leg->body_out = body_share(s, setup->offer);
		session_timer_init(&leg->session, routing->timer, &call->rules);
	}
	if (!leg || !write_dialog(s, call, leg, routing, address, &sent)) {
		if (leg)
			leg_release(s, leg);
		pool_give(&s->attempts, index);
		return false;
	}
	struct attempt *attempt = attempt_at(s, index);
	wheel_entry_init(&attempt->timer, WHEEL_ATTEMPT);
	attempt->call = call_index(s, call);
	attempt->leg = leg_index(s, leg);
	attempt->routing_id = routing->id;
	attempt->address = (uint8_t)address;
	attempt->early_used = attempt->early_heard = EARLY_NONE;
	attempt->reliable = routing->reliable && setup->reliable != RELIABLE_NOT;
	take_waits(setup, attempt, routing);
	attempt->started_ns = s->now.now_ns;
	stat_add(&s->tally[routing->id].attempts, 1);
	call->routing_id = routing->id;
	setup->attempt = index;
	setup->attempts_count = (uint8_t)(setup->attempts_count + (setup->attempts_count < UINT8_MAX));
	setup->destination = routing->addresses[address];
	setup->vendor_account_id = routing->vendor_account_id;
	setup->callee_slot = leg_index(s, leg);
	setup->callee_generation = leg->slot.generation;
	setup->callee_max_duration_s = routing->max_duration_s;
	send_invite(s, call, attempt, leg);
	transaction_at(s, attempt->invite)->head = sent;
	wait_for(s, attempt, WAIT_INVITE);
	return true;
}

/* ---- ending ---- */

/* The attempt is decided, and goes into the list of the CDR.  Its line of the RG is the caller's now, to keep or to
 * give back. */
static void attempt_over(struct shard *s, struct call *call, uint16_t code)
{
	struct setup *setup = setup_of(s, call);
	struct attempt *attempt = attempt_at(s, setup->attempt);
	struct attempt_note note = {
		.routing_id = attempt->routing_id,
		.code = code,
		.ms = (uint32_t)((s->now.now_ns - attempt->started_ns) / 1000000),
	};
	facts_note_attempt(s, setup, &note);
	quality_attempt(s->quality, s->now.now_ns, attempt->routing_id, code == 200);
	early_forget(s, attempt);
	wheel_cancel(&s->wheel, &attempt->timer);
	pool_give(&s->attempts, setup->attempt);
	setup->attempt = POOL_NONE;
}

/* CANCEL as RFC 3261 9.1 allows.  The line is the caller's, as above. */
static void let_go(struct shard *s, struct call *call, uint16_t code)
{
	struct attempt *attempt = attempt_under_way(s, call);
	struct leg *leg = leg_at(s, attempt->leg);
	struct transaction *invite = transaction_at(s, attempt->invite);
	if (!invite->over)
		leg_cancel(s, leg, invite);
	relay_early_over(s, leg);
	attempt_over(s, call, code);
	leg_release(s, leg);
}

void attempt_abandon(struct shard *s, struct call *call, uint16_t code)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	if (!attempt)
		return;
	uint32_t routing_id = attempt->routing_id;
	let_go(s, call, code);
	admission_free(s, routing_id);
}

static enum cdr_end_reason wait_reason(enum attempt_waiting waiting)
{
	static const uint8_t reasons[] = {
		[WAIT_INVITE] = CDR_END_timeout_invite,     [WAIT_TRYING] = CDR_END_timeout_trying,
		[WAIT_PROGRESS] = CDR_END_timeout_progress, [WAIT_PROGRESS_SDP] = CDR_END_timeout_progress,
		[WAIT_RINGING] = CDR_END_timeout_ringing,
	};
	return (enum cdr_end_reason)reasons[waiting];
}

static void attempt_silent(struct shard *s, struct call *call, enum attempt_waiting waiting)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	struct attempt_failure failure = {
		.routing_id = attempt->routing_id,
		.address = attempt->address,
		.address_failed = waiting == WAIT_INVITE,
		.reason = wait_reason(waiting),
	};
	let_go(s, call, 0);
	setup_attempt_failed(s, call, &failure);
}

void attempt_due(struct shard *s, struct attempt *attempt)
{
	attempt_silent(s, call_at(s, attempt->call), attempt->waiting);
}

void attempt_timeout(struct shard *s, struct leg *leg)
{
	struct call *call = call_at(s, leg->call);
	if (call)
		attempt_silent(s, call, WAIT_INVITE);
}

/* ---- responses ---- */

/* The gateway's post-dial delay ends with the first response that is neither 100 nor the beginning of another INVITE.
 */
static void note_reply(struct shard *s, struct attempt *attempt, unsigned status)
{
	if (status == 100 || status == 422)
		return;
	if (!attempt->replied)
		quality_reply(s->quality, s->now.now_ns, attempt->routing_id, s->now.now_ns - attempt->started_ns);
	attempt->replied = true;
}

static bool is_sdp(const struct sip_message *m)
{
	return m->body.size > 0;
}

/* What the early dialog has of the response: it may be the session that the 2xx does not repeat. */
static void note_session(struct shard *s, const struct setup *setup, struct leg *leg, struct early *early,
			 const struct sip_message *m, bool reliable)
{
	if (!m->body.size || !(reliable || setup->offer_in_invite))
		return;
	body_replace(s, &leg->body_in, body_keep(s, m));
	early->answered = early->answered || reliable;
}

static void provisional(struct shard *s, struct call *call, struct leg *leg, const struct sip_message *m)
{
	struct attempt *attempt = attempt_under_way(s, call);
	struct early *early = NULL;
	uint32_t rseq;
	if (m->status > 100 && m->to.tag.size)
		early = early_take(s, attempt, leg, m); /* without room the 2xx brings it again */
	bool reliable = early && prack_is_wanted(m, &rseq);
	if (reliable && !prack_take(s, setup_of(s, call), leg, early, m, rseq))
		return;
	enum attempt_waiting waiting = m->status == 100   ? WAIT_TRYING
				       : m->status == 180 ? WAIT_RINGING
				       : is_sdp(m)        ? WAIT_PROGRESS_SDP
							  : WAIT_PROGRESS;
	if (waiting != attempt->waiting && !(waiting == WAIT_TRYING && attempt->waiting != WAIT_INVITE))
		wait_for(s, attempt, waiting);
	if (m->status == 100)
		return;
	attempt->rang = attempt->rang || m->status == 180;
	if (early)
		note_session(s, setup_of(s, call), leg, early, m, reliable);
	connect_provisional(s, call, m, early, reliable);
}

static void failed(struct shard *s, struct call *call, struct leg *leg, uint16_t code, struct bytes reason)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	bool unanswered = attempt->rang && (code == 408 || code == 480);
	struct attempt_failure failure = {
		.routing_id = attempt->routing_id,
		.address = attempt->address,
		.address_failed = code == 503,
		.code = code,
		.q850 = ending_q850(reason),
		.reason = unanswered ? CDR_END_no_answer : CDR_END_rejected,
		.reason_header = reason,
	};
	relay_early_over(s, leg);
	attempt_over(s, call, code);
	leg->state = LEG_ENDED;
	leg_release(s, leg);
	setup_attempt_failed(s, call, &failure);
}

void attempt_undeliverable(struct shard *s, struct leg *leg, struct transaction *invite)
{
	struct call *call = call_at(s, leg->call);
	exchange_end(s, invite);
	if (call)
		failed(s, call, leg, 503, BYTES_NONE);
}

/* false: no room.  Without the callee's session its leg could only be refreshed by a peer that takes UPDATE. */
static bool keep_session(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	if (!m->body.size)
		return true; /* an early one may be there */
	body_replace(s, &leg->body_in, body_keep(s, m));
	return leg->body_in != POOL_NONE;
}

static void answered(struct shard *s, struct call *call, struct leg *leg, const struct transaction *invite,
		     const struct sip_message *m)
{
	struct early *early = early_take(s, attempt_under_way(s, call), leg, m);
	/* End it at once rather than carry a call that cannot be hung up or kept alive. */
	if (!early || !keep_session(s, leg, m)) {
		struct ident id = leg_ident(s, leg);
		leg->remote_tag_hash = 0; /* its 2xx is nobody's: if there is no room for its BYE, it comes again */
		late_end_fork(s, leg, &id, m, &leg->flow);
		failed(s, call, leg, 503, BYTES_NONE);
		return;
	}
	leg->state = LEG_UP;
	reliable_answered(s, call, m, early);
	attempt_over(s, call, 200);
	call->routing_line = true;
	connect_answered(s, call, leg, invite, m);
}

/* The call went on without this attempt (CANCEL, time-out): what still comes is only wound up. */
static void abandoned(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	if (m->status < 200 || m->status >= 300)
		return;
	if (!leg_learn(s, leg, m)) {
		leg->remote_tag_hash = 0; /* as in answered() */
		return;
	}
	leg_ack(s, leg, m->cseq, POOL_NONE);
	leg_bye(s, leg, BYTES_NONE);
}

/* RFC 4028 7.3: the same INVITE with the next CSeq and the Min-SE that the 422 names, within bounds (spec 5). */
static bool ask_again(struct shard *s, struct call *call, struct leg *leg, struct transaction *invite,
		      const struct sip_message *m)
{
	struct attempt *attempt = attempt_under_way(s, call);
	struct session_timer_headers headers;
	session_timer_read(m, &headers);
	if (attempt->tries_422 >= TRIES_422_MAX || !exchange_has_room(s) ||
	    !session_timer_too_small(&leg->session, &headers) ||
	    !leg_forget_early(s, leg, text_get(&s->texts, invite->head)))
		return false;
	attempt->tries_422++;
	relay_early_over(s, leg);
	uint32_t sent = invite->head;
	invite->head = TEXT_NONE;
	bool told = early_was_told(s, attempt);
	early_forget(s, attempt);
	reliable_attempt_over(s, call);
	const struct setup *setup = setup_of(s, call);
	body_replace(s, &leg->body_in, POOL_NONE);
	body_replace(s, &leg->body_out, body_share(s, setup->offer)); /* it may be an early dialog's answer */
	leg->flow.peer = setup->destination;                          /* wherever the 422 came from */
	send_invite(s, call, attempt, leg);
	transaction_at(s, attempt->invite)->head = sent;
	if (told) /* to what was answered reliably there is no other answer */
		reliable_begin_edition(s, call);
	return true;
}

static void refused(struct shard *s, struct call *call, struct leg *leg, struct transaction *invite,
		    const struct sip_message *m)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	char room[REASON_MAX];
	if (m->status == 422 && ask_again(s, call, leg, invite, m))
		return;
	if (m->status == 503)
		rest_begin(s, attempt->routing_id, attempt->address, m);
	failed(s, call, leg, m->status, ending_reason(m, room));
}

void attempt_response(struct shard *s, struct leg *leg, struct transaction *invite, const struct sip_message *m)
{
	struct call *call = call_at(s, leg->call);
	if (call)
		note_reply(s, attempt_under_way(s, call), m->status);
	if (!call)
		abandoned(s, leg, m);
	else if (m->status < 200)
		provisional(s, call, leg, m);
	else if (m->status < 300)
		answered(s, call, leg, invite, m);
	else
		refused(s, call, leg, invite, m);
}
