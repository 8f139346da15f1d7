#include "core/call/setup.h"

#include <stdio.h>

#include "core/call/admission.h"
#include "core/call/attempt.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/choice.h"
#include "core/call/ending.h"
#include "core/call/exchange.h"
#include "core/call/reliable.h"
#include "core/call/rest.h"

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

void setup_begin(struct shard *s, struct call *call)
{
	enum line_answer answer = admission_ask(s, call, LINE_MAPPING, call->mapping_id);
	if (answer != LINE_PENDING)
		mapping_line_answered(s, call, answer);
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
