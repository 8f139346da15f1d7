#include "core/call/ending.h"

#include <assert.h>
#include <endian.h>

#include "core/call/admission.h"
#include "core/call/attempt.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/connect.h"
#include "core/call/exchange.h"
#include "core/call/facts.h"
#include "core/call/leg.h"
#include "core/call/number.h"
#include "core/call/refresh.h"
#include "core/call/reliable.h"
#include "core/call/stranger.h"

/* ---- causes ---- */

struct bytes ending_reason(const struct sip_message *m, char room[static REASON_MAX])
{
	const struct sip_header *h = sip_header_first(m, SIP_H_REASON);
	struct builder b;
	if (!h || !sip_header_next(m, h))
		return sip_header(m, SIP_H_REASON);
	build_begin(&b, room, REASON_MAX);
	for (; h; h = sip_header_next(m, h)) {
		struct bytes value = sip_header_value(m, h);
		if (!value.size || build_size(&b) + 2 + value.size > REASON_MAX)
			continue;
		if (build_size(&b))
			build_text(&b, ", ");
		build_bytes(&b, value);
	}
	return (struct bytes){ room, (uint32_t)build_size(&b) };
}

/* Whether a value is of this protocol: a token, then its parameters. */
static bool is_protocol(struct bytes value, struct bytes protocol)
{
	if (value.size < protocol.size || !bytes_equal_nocase((struct bytes){ value.at, protocol.size }, protocol))
		return false;
	return value.size == protocol.size || memchr("; \t", value.at[protocol.size], 3);
}

uint16_t ending_q850(struct bytes reason)
{
	struct bytes element, value;
	uint32_t cause;
	while (sip_list_next(&reason, &element)) {
		if (is_protocol(element, BYTES("Q.850")) &&
		    sip_parameter(sip_parameters_of(element), BYTES("cause"), &value) &&
		    sip_read_number(value, &cause) && cause <= 127)
			return (uint16_t)cause;
	}
	return 0;
}

/* SIP response to Q.850 cause, for a failure that brought none (RFC 3398 8.2.6.1; RFC 4497 has the same for QSIG). */
static uint16_t q850_of(unsigned status)
{
	static const struct {
		uint16_t status, cause;
	} map[] = {
		{ 200, 16 },  { 400, 41 },  { 401, 21 },  { 402, 21 },  { 403, 21 },  { 404, 1 },   { 405, 63 },
		{ 406, 79 },  { 407, 21 },  { 408, 102 }, { 410, 22 },  { 413, 127 }, { 414, 127 }, { 415, 79 },
		{ 416, 127 }, { 420, 127 }, { 421, 127 }, { 423, 127 }, { 480, 18 },  { 481, 41 },  { 482, 25 },
		{ 483, 25 },  { 484, 28 },  { 485, 1 },   { 486, 17 },  { 487, 16 },  { 488, 127 }, { 500, 41 },
		{ 501, 79 },  { 502, 38 },  { 503, 41 },  { 504, 102 }, { 505, 127 }, { 513, 127 }, { 600, 17 },
		{ 603, 21 },  { 604, 1 },   { 606, 31 },
	};
	for (unsigned i = 0; i < sizeof map / sizeof *map; i++)
		if (map[i].status == status)
			return map[i].cause;
	return status >= 400 ? 31 : 0; /* normal, unspecified */
}

/* ---- the record ---- */

/* Eight hex digits, lower case: a byte for each of the nibbles, the most significant first, all at once. */
static void write_hex8(uint32_t value, char out[static 8])
{
	uint64_t x = (uint64_t)(value & 0xffff) << 32 | value >> 16;
	x = (x >> 8 & UINT64_C(0x000000ff000000ff)) | (x & UINT64_C(0x000000ff000000ff)) << 16;
	x = (x >> 4 & UINT64_C(0x000f000f000f000f)) | (x & UINT64_C(0x000f000f000f000f)) << 8;
	uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
	x = htole64(x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
	memcpy(out, &x, sizeof x);
}

/* Each part writes eight digits, of which what follows leaves as many as it has. */
void ending_write_id(int64_t start_us, unsigned boot, unsigned shard, uint32_t sequence, char id[static CDR_ID_SIZE])
{
	static_assert(CDR_ID_START_DIGITS == 14 && CDR_ID_SIZE == 14 + 1 + 4 + 1 + 3 + 1 + 8, "parts");
	write_hex8((uint32_t)((uint64_t)start_us >> 24), id);
	write_hex8((uint32_t)start_us << 8, id + 8);
	id[14] = '-';
	write_hex8((uint32_t)boot << 16, id + 15);
	id[19] = '-';
	write_hex8((uint32_t)shard << 20, id + 20);
	id[23] = '-';
	write_hex8(sequence, id + 24);
}

void call_cdr_id(const struct shard *s, const struct call *call, char id[static CDR_ID_SIZE])
{
	ending_write_id(call->start_us, carry_boot(s, call), carry_shard(s, call), call->sequence, id);
}

static struct cdr_text text_of(struct bytes bytes)
{
	return (struct cdr_text){ bytes.at, bytes.size };
}

bool ending_submit_now(struct shard *s, const struct cdr *cdr)
{
	if (s->backlog_count || !s->edge.cdr(s->edge.context, cdr))
		return false;
	stat_add(&s->stats->cdr_queued, 1);
	s->carry->serial++;
	return true;
}

/* Into the queue, or, when that has no room, into the backlog, which has room for the record of every call. */
static void submit(struct shard *s, const struct cdr *cdr)
{
	if (ending_submit_now(s, cdr))
		return;
	stat_add(&s->stats->cdr_queued, 1);
	struct cdr record = *cdr;
	uint32_t size = (uint32_t)cdr_encode(&record, (uint8_t *)s->work, DATAGRAM_MAX);
	/* Tens of attempts, of long names: which they were is the least that it tells. */
	if (size > BACKLOG_RECORD_MAX - 16) {
		record.attempts_count = 0;
		size = (uint32_t)cdr_encode(&record, (uint8_t *)s->work, DATAGRAM_MAX);
	}
	assert(size);
	uint64_t at = s->backlog_last % s->backlog_size;
	if (s->backlog_size - at < size + 8) { /* a record does not wrap: a zero size sends the reader to the start */
		if (s->backlog_size - at >= 4)
			memset(s->backlog + at, 0, 4);
		s->backlog_last += s->backlog_size - at;
		at = 0;
	}
	assert(s->backlog_last + size + 8 - s->backlog_first <= s->backlog_size);
	memcpy(s->backlog + at, &size, 4);
	memcpy(s->backlog + at + 4, s->work, size);
	s->backlog_last += (4 + size + 7) & ~UINT64_C(7);
	s->backlog_count++;
}

void ending_flush_backlog(struct shard *s)
{
	while (s->backlog_count) {
		struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
		struct cdr cdr;
		uint64_t at = s->backlog_first % s->backlog_size;
		uint32_t size = 0;
		if (s->backlog_size - at >= 4)
			memcpy(&size, s->backlog + at, 4);
		if (!size) {
			s->backlog_first += s->backlog_size - at;
			continue;
		}
		bool read = cdr_decode(s->backlog + at + 4, size, &cdr, attempts);
		assert(read);
		if (!s->edge.cdr(s->edge.context, &cdr))
			return;
		s->carry->serial++;
		s->backlog_first += (4 + size + 7) & ~UINT64_C(7);
		s->backlog_count--;
	}
}

static void list_attempts(const struct facts *facts, struct cdr_attempt *attempts)
{
	for (uint32_t i = 0; i < facts->note_count; i++) {
		const struct attempt_note *note = &facts->notes[i];
		const char *name = gateway_name(note->routing_id);
		attempts[i] = (struct cdr_attempt){ .gateway = text_of(bytes_of(name ? name : "")),
						    .code = (uint16_t)note->code,
						    .ms = note->ms };
	}
}

static void write_record(struct shard *s, struct call *call, const struct facts *facts, const struct ending *ending,
			 uint64_t end_ns)
{
	struct charge_bill bill;
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	char token_a[IDENT_SIZE], token_b[IDENT_SIZE], source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	const char *routing = gateway_name(call->routing_id), *mapping = gateway_name(call->mapping_id);
	bool answered = call->connect_ns != 0 && !ending->not_connected;
	bool told = leg_at(s, call->caller_leg)->state != LEG_EARLY; /* its 200 went out, if ever so shortly */
	uint64_t hold_ns = answered && is_before(call->connect_ns, end_ns) ? end_ns - call->connect_ns : 0;

	charge_bill(s, call, facts, ending->reason, hold_ns / 1000000, &bill);
	list_attempts(facts, attempts);
	struct cdr cdr = {
		.node = text_of(bytes_of(s->config->node)),
		.shard = s->shard,
		.mapping_gateway = text_of(bytes_of(mapping ? mapping : "")),
		.routing_gateway = text_of(bytes_of(routing ? routing : "")),
		.account = text_of(bytes_of(gateway_name(facts->account_id))),
		.vendor_account = text_of(bytes_of(gateway_name(facts->vendor_account_id))),
		.caller_in = text_of(facts->numbers[CALL_CALLER_IN]),
		.callee_in = text_of(facts->numbers[CALL_CALLEE_IN]),
		.source_address = { source, address_write(&facts->source, source) },
		.call_id_a = text_of(leg_call_id(s, leg_at(s, call->caller_leg), token_a)),
		.start_us = call->start_us,
		.ringing_us = facts->ringing_us,
		.connect_us = answered ? facts->connect_us : 0,
		.pdd_ms = facts->pdd_ms,
		.hold_ms = (int64_t)(hold_ns / 1000000),
		.end_us = answered ? facts->connect_us + (int64_t)(hold_ns / 1000) : facts_wall_us(call, end_ns),
		.end_side = (uint8_t)ending->side,
		.end_reason = (uint8_t)ending->reason,
		.sip_code = told ? 200 : ending->sip_code,
		.q850 = ending->q850 ? ending->q850 : q850_of(answered ? 200 : ending->sip_code),
		.session_timer = answered ? refresh_timers(s, call) : 0,
		.refreshes_sent = call->refreshes_sent,
		.refreshes_confirmed = call->refreshes_confirmed,
		.last_confirmed_us = answered ? call->last_confirmed_us : 0,
		.recovered = call->recovered,
		.attempts = attempts,
		.attempts_count = facts->note_count,
		.billed_s = bill.billed_s,
		.rate_prefix = text_of(bill.rate_prefix),
		.rate = text_of(bill.rate),
		.fee = text_of(bill.fee),
		.cost = text_of(bill.cost),
	};
	if (facts->tried) { /* what was sent, and where to */
		ident_write(&s->key, &facts->callee, token_b);
		cdr.call_id_b = (struct cdr_text){ token_b, IDENT_SIZE };
		cdr.caller_out = text_of(facts->numbers[CALL_CALLER_OUT]);
		cdr.callee_out = text_of(facts->numbers[CALL_CALLEE_OUT]);
		cdr.destination_address =
			(struct cdr_text){ destination, address_write(&facts->destination, destination) };
	}
	call_cdr_id(s, call, cdr.cdr_id);
	/* One that was answered for a moment, and is in the journal as a live call, has to end there. */
	if (answered || call->journaled || s->config->parameters.SERVER_BILLING_RECORD_ZERO_HOLD_TIME)
		submit(s, &cdr);
}

void ending_record_refused(struct shard *s, const struct sip_message *m, const struct flow *from,
			   enum cdr_end_reason reason, uint16_t sip_code)
{
	char source[ADDRESS_TEXT_MAX], caller[NUMBER_MAX], callee[NUMBER_MAX];
	if (!s->config->parameters.SERVER_BILLING_RECORD_ILLEGAL_CALL || !s->edge.cdr_room(s->edge.context))
		return;
	if (!strangers_record(s->strangers, s->now.now_ns)) {
		stat_add(&s->stats->cdr_illegal_skipped, 1);
		return;
	}
	struct cdr cdr = {
		.node = text_of(bytes_of(s->config->node)),
		.shard = s->shard,
		.caller_in = text_of(number_of_uri(m->from.uri, caller)),
		.callee_in = text_of(number_of_uri(m->request_uri, callee)),
		.source_address = { source, address_write(&from->peer, source) },
		.call_id_a = text_of(m->call_id),
		.start_us = s->now.real_us,
		.end_us = s->now.real_us,
		.end_side = CDR_SIDE_SWITCH,
		.end_reason = (uint8_t)reason,
		.sip_code = sip_code,
		.q850 = q850_of(sip_code),
	};
	ending_write_id(cdr.start_us, s->boot, s->shard, s->sequence++, cdr.cdr_id);
	submit(s, &cdr);
}

/* ---- winding up ---- */

/* Requests of the peer that wait for the other leg's answer: RFC 3261 15.1.2. */
static void answer_open_requests(struct shard *s, struct leg *leg, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		struct transaction *tx = transaction_at(s, i);
		tx->peer = POOL_NONE;
		if (!tx->over && (tx->role == ROLE_REFRESH || tx->role == ROLE_PROBE))
			exchange_stop_resending(s, tx); /* nobody is asked whether a call lives that is over */
		if (tx->kind == INVITE_CLIENT && exchange_is_open(tx))
			exchange_end_after_64t1(s, tx); /* the BYE ends it on the other side (RFC 3261 15.1.2) */
		if ((tx->kind == SERVER || tx->kind == INVITE_SERVER) && exchange_is_open(tx) &&
		    !(setup && i == setup->invite) && tx->method != SIP_BYE)
			exchange_reply(s, tx, 487, BYTES_NONE);
	}
}

static struct bytes final_lines(struct shard *s, const struct ending *ending)
{
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	if (ending->reason_header.size)
		build_header(&b, "Reason: ", ending->reason_header);
	if (ending->retry_after)
		build_text(&b, "Retry-After: 1\r\n");
	return b.overflow ? BYTES_NONE : (struct bytes){ s->work, (uint32_t)build_size(&b) };
}

static void finish_caller(struct shard *s, struct call *call, const struct ending *ending)
{
	struct leg *leg = leg_at(s, call->caller_leg);
	const struct setup *setup = setup_of(s, call);
	struct transaction *invite = setup ? transaction_at(s, setup->invite) : NULL;
	answer_open_requests(s, leg, call);
	leg_ack_without_answer(s, leg);
	if (leg->state == LEG_EARLY) {
		leg->state = LEG_ENDED;
		invite->rseq = reliable_waits(setup) ? setup->rseq : 0;
		exchange_reply(s, invite, ending->sip_code, final_lines(s, ending));
	} else if (leg->state == LEG_UP && invite && !invite->over && !s->stopping) {
		leg->bye_after_ack = true; /* no BYE before its ACK or 64*T1 (RFC 3261 15) */
		exchange_give_reason(s, invite, ending->reason_header);
	} else if (leg->state == LEG_UP) {
		leg_bye(s, leg, ending->reason_header);
	}
	carry_leg_ends(call, leg);
	leg_release(s, leg);
}

static void finish_callee(struct shard *s, struct call *call, const struct ending *ending)
{
	struct leg *leg = leg_at(s, call->callee_leg);
	if (!leg)
		return;
	answer_open_requests(s, leg, call);
	leg_ack_without_answer(s, leg);
	if (leg->state == LEG_UP) {
		leg_bye(s, leg, ending->reason_header);
	}
	carry_leg_ends(call, leg);
	leg_release(s, leg);
}

static void count(struct shard *s, const struct call *call, const struct ending *ending)
{
	if (call->connect_ns) {
		stat_sub(&s->stats->calls_active, 1);
	} else {
		stat_sub(&s->stats->calls_setup, 1);
		stat_add(&s->stats->calls_failed, 1);
	}
	if (ending->reason == CDR_END_no_timer_cap)
		stat_add(&s->stats->hangup_no_timer_cap, 1);
	else if (ending->reason == CDR_END_max_duration)
		stat_add(&s->stats->hangup_max_duration, 1);
	else if (ending->reason == CDR_END_balance_exhausted)
		stat_add(&s->stats->hangup_balance_exhausted, 1);
	else if (ending->reason == CDR_END_session_timeout)
		stat_add(&s->stats->hangup_session_timeout, 1);
}

/* The callee has answered, and the caller was never told: to it the call has failed, and so it has to the record. */
static void end_held(struct shard *s, struct call *call, const struct ending *ending)
{
	struct ending untold = *ending;
	setup_of(s, call)->answer_waits = false;
	if (call->held)
		carry_unhold(s, call);
	untold.not_connected = true;
	if (!untold.sip_code)
		untold.sip_code = 480;
	call_end(s, call, &untold);
}

/* What is paid was over before whatever ends the call: the wheel's tick, or a timer that is late, has let that come
 * first. */
static struct ending credit_ending(const struct shard *s, const struct charge *charge)
{
	return (struct ending){ .reason = CDR_END_balance_exhausted,
				.side = CDR_SIDE_SWITCH,
				.at_ns = charge_end_ns(s, charge),
				.reason_header = BYTES(CHARGE_EXHAUSTED_LINE) };
}

void call_end(struct shard *s, struct call *call, const struct ending *ending)
{
	if (connect_is_held(s, call)) {
		end_held(s, call, ending);
		return;
	}
	uint64_t follows_ns = call->connect_ns ? call->connect_ns : call->start_ns;
	uint64_t end_ns = ending->at_ns ? ending->at_ns : shard_came_ns(s, follows_ns);
	const struct ending *recorded = ending;
	struct ending passed, exhausted;
	struct facts facts;
	if (call->over)
		return;
	if (call->closing) { /* it was over before; whoever is faster than its BYEs changes nothing in the record */
		passed = carry_passed(s, call);
		recorded = &passed;
		end_ns = passed.at_ns;
	}
	carry_call_ends(s, call);
	call->over = true;
	struct setup *setup = setup_of(s, call);
	if (setup && !setup->first_reply_ns && ending->side != CDR_SIDE_CALLER)
		setup->first_reply_ns = end_ns; /* the final response is the first that the caller hears */
	attempt_abandon(s, call, 0);
	admission_forget(s, call);
	facts_read(s, call, &facts);
	struct charge *charge = charge_at(s, facts.charge);
	if (charge && !ending->not_connected)
		charge_catch_up(s, charge, end_ns);
	if (charge)
		charge_forget(s, call, charge);
	if (charge && !ending->not_connected && charge_is_over(s, charge, end_ns)) {
		exhausted = credit_ending(s, charge);
		recorded = ending = &exhausted;
		end_ns = exhausted.at_ns;
	}
	write_record(s, call, &facts, recorded, end_ns); /* the record of its end precedes the answer to the BYE */
	count(s, call, recorded);
	if (call->connect_ns && !ending->not_connected && is_before(call->connect_ns, end_ns))
		quality_end(s->quality, s->now.now_ns, call->routing_id, end_ns - call->connect_ns);
	finish_caller(s, call, ending);
	finish_callee(s, call, ending);
	wheel_cancel(&s->wheel, &call->timer);
	call->slot.next_free = s->over_calls;
	s->over_calls = call_index(s, call);
	if (charge)
		charge_settle(s, charge, facts.vendor_account_id);
	if (call->mapping_line)
		admission_free(s, call->mapping_id);
	if (call->routing_line)
		admission_free(s, call->routing_id);
}
