#include "tests/sim/session.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/switches.h"

#define TICK_NS        SIM_MS
#define MAILBOX_NS     (200 * SIM_US)
#define NEVER          UINT64_MAX
#define PROBE_BEFORE_S 64
#define DISTURBED_NS   (SIM_64T1 + 5 * SIM_S) /* an offer without answer, or a 200 without ACK, is in the way so long */

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t hash(struct bytes text)
{
	uint32_t h = 2166136261u;
	for (uint32_t i = 0; i < text.size; i++)
		h = (h ^ (unsigned char)text.at[i]) * 16777619u;
	return text.size ? h | 1 : 0;
}

static const struct parameters *rules(const struct sim *sim)
{
	return &sim->config->parameters;
}

static uint64_t slack_ns(const struct sim *sim)
{
	return TICK_NS + (sim->settings.mailbox ? MAILBOX_NS : 0);
}

/* A datagram that the node could not send was not seen here; what was damaged may have been anything. */
static bool is_blurred(const struct sim *sim, const struct sim_call *call)
{
	return sim_is_blurred(sim) || !call || call->damaged || sim->stopping;
}

static bool is_exact(const struct sim *sim, const struct sim_call *call, const struct session_leg *leg)
{
	return !is_blurred(sim, call) && call->truth && !call->truth->over_ns && !leg->loose;
}

static bool has_number(const struct wire *w)
{
	return w->has_interval && w->interval_s > 0;
}

/* ---- beginning ---- */

struct session_leg *session_leg_new(struct sim *sim, const struct host *host, bool callee_side)
{
	struct session_leg *leg = sim_alloc(sim, sizeof *leg);
	leg->callee_side = callee_side;
	leg->on = true;
	leg->we_refresh = true;
	leg->segments = rules(sim)->SS_SIP_SESSION_UPDATE_SEGMENT;
	leg->min_se_s = rules(sim)->RW_SIP_MIN_SE;
	for (uint32_t i = 0; callee_side && i < sim->config->routing_count; i++)
		if (address_equal(&sim->config->routings[i].addresses[0], &host->address))
			leg->on = sim->config->routings[i].timer;
	if (!callee_side && host->is_caller) {
		const struct mapping_gateway *mapping =
			config_source_find(sim->config, &host->address, 0, BYTES("880"));
		leg->on = mapping && mapping->timer;
	}
	return leg;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return !a || (b && b < a) ? b : a;
}

void session_begin(struct sim *sim, struct sim_call *call, struct session_leg *a, struct session_leg *b,
		   const struct host *callee)
{
	struct session_truth *truth = sim_alloc(sim, sizeof *truth);
	call->truth = truth;
	truth->legs[0] = a;
	truth->legs[1] = b;
	truth->connect_ns = b->window_ns;
	truth->life_ns = b->window_ns;
	truth->life_us = sim_real_us(sim, b->window_ns);
	truth->max_duration_s = least_of(rules(sim)->RW_MAX_CALL_DURATION, sim->config->mappings[0].max_duration_s);
	const struct routing_gateway *routing = switches_routing(sim, callee);
	if (routing)
		truth->max_duration_s = least_of(truth->max_duration_s, routing->max_duration_s);
}

/* ---- the window ---- */

static void set_window(struct session_leg *leg, uint32_t interval_s, uint32_t refresh_s, uint32_t segments)
{
	leg->interval_s = interval_s;
	leg->refresh_s = refresh_s;
	leg->segments = segments;
}

static void confirm(struct sim *sim, struct sim_call *call, struct session_leg *leg, uint64_t at_ns)
{
	leg->window_ns = at_ns;
	leg->sent = leg->boundary = 0;
	leg->last_sent = leg->may_retry = false;
	if (!leg->interval_s)
		leg->we_refresh = true;
	if (leg->interval_s) {
		leg->probed_ns = 0;
		leg->silent = 0;
		leg->probe_open = false;
	}
	leg->untimed_ns = leg->interval_s ? 0 : leg->untimed_ns ? leg->untimed_ns : at_ns;
	if (!call || !call->truth || call->truth->over_ns)
		return;
	if (at_ns >= call->truth->life_ns) {
		call->truth->life_ns = at_ns;
		call->truth->life_us = sim_real_us(sim, at_ns);
	}
}

static uint64_t expires_ns(const struct session_leg *leg)
{
	return leg->interval_s ? leg->window_ns + leg->interval_s * SIM_S : NEVER;
}

/* ---- 2xx of the peer (the node is UAC) ---- */

static void adopt(const struct sim *sim, struct session_leg *leg, const struct wire *w, uint32_t asked_s)
{
	uint32_t min_s = rules(sim)->RW_SIP_MIN_SE;
	uint32_t interval_s = has_number(w) ? min_u32(w->interval_s, asked_s) : 0;
	if (interval_s && interval_s < min_s)
		set_window(leg, min_s, max_u32(interval_s, min_u32(30, min_s)), 2);
	else
		set_window(leg, interval_s, interval_s, rules(sim)->SS_SIP_SESSION_UPDATE_SEGMENT);
	leg->we_refresh = w->refresher != 's';
}

static void count_confirmation(struct sim *sim, struct sim_call *call, struct session_leg *leg,
			       const struct session_note *note)
{
	bool rescued = leg->last_sent;
	if (note->kind != SESSION_REFRESH_OUT || !call->truth || call->truth->over_ns)
		return;
	call->truth->refreshes_confirmed++;
	leg->confirmed++;
	sim->counts.grace_rescues += rescued;
	leg->disturbed &= sim->now_ns < leg->disturbed_ns + DISTURBED_NS;
}

static void response_2xx_in(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			    bool initial, struct session_note *note)
{
	uint32_t body = hash(w->body);
	bool late = sim->now_ns >= note->at_ns + SIM_64T1;
	if (late && !initial && note->has_provisional) {
		leg->loose = true;
	} else if (late && !initial) {
		return; /* its transaction is over */
	}
	if (note->kind == SESSION_RELAY_OUT && note->asked && note->asked->answered)
		return; /* nobody waits for it any more */
	if (initial && leg->began)
		return; /* of a fork */
	/* Of two messages at once, a mailbox may let either be first. */
	if (sim->settings.mailbox && leg->asked && sim->now_ns <= leg->asked->at_ns + MAILBOX_NS)
		leg->loose = true;
	leg->began = true;
	if (initial) {
		leg->tag = hash(w->to_tag);
		set_window(leg, 0, 0, rules(sim)->SS_SIP_SESSION_UPDATE_SEGMENT);
	}
	if (body && body != leg->body_in) {
		leg->changed_ns = sim->now_ns;
		leg->changed_body = body;
		sim->counts.refresh_session_changes += note->kind == SESSION_REFRESH_OUT;
	}
	leg->body_in = body ? body : leg->body_in;
	leg->body_out = note->body ? note->body : leg->body_out;
	retry_over(sim, call, leg, sim->now_ns, is_exact(sim, call, leg));
	if (note->kind == SESSION_REFRESH_OUT)
		leg->retry.current = NULL;
	count_confirmation(sim, call, leg, note);
	bool was_ours = leg->we_refresh;
	if (w->has_interval && leg->on)
		adopt(sim, leg, w, note->asked_s);
	if (note->claim)
		leg->we_refresh = true;
	sim->counts.role_swaps += !initial && leg->interval_s && leg->we_refresh != was_ours;
	confirm(sim, call, leg, sim->now_ns);
}

/* UPDATE with an offer before the answer: no matter of timers. */
static bool is_early(const struct session_leg *leg, const struct wire *w, bool initial)
{
	return !initial && !leg->began && wire_method_is(w, "UPDATE");
}

void session_response_in(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			 bool initial, struct session_note *note)
{
	if (w->status < 200) {
		note->has_provisional = true;
		leg->loose |=
			w->rseq > 0; /* the session may be agreed upon before the 2xx, which may wait for a PRACK */
		return;
	}
	if (is_early(leg, w, initial))
		return;
	if (note->answered) { /* of two 200s at once, a mailbox may let either be first */
		leg->loose |= initial && sim->settings.mailbox && leg->tag && leg->tag != hash(w->to_tag);
		return;
	}
	note->answered = true;
	if (call && call->truth && call->truth->over_ns) {
		call->truth->close_call |= sim->now_ns <= call->truth->over_ns + MAILBOX_NS;
		return;
	}
	if (call && call->truth && leg != call->truth->legs[0] && leg != call->truth->legs[1])
		return; /* a late 200 of an attempt that was given up proves nothing */
	if (note->kind != SESSION_PROBE_OUT && !wire_method_is(w, "INVITE") && !wire_method_is(w, "UPDATE"))
		return;
	if (note->kind == SESSION_PROBE_OUT) {
		leg->probe_open = false;
		leg->probe_answered = true;
		leg->silent = 0;
		return;
	}
	if (note->kind == SESSION_REFRESH_OUT)
		leg->open_refreshes--;
	sim->counts.refused_491 += w->status == 491;
	if (w->status < 300) {
		response_2xx_in(sim, call, leg, w, initial, note);
		return;
	}
	if (!initial && sim->now_ns >= note->at_ns + SIM_64T1) { /* its transaction is over, or lived on after a 1xx */
		leg->loose |= note->has_provisional;
		return;
	}
	bool grows = w->status == 422 && w->has_min_se && w->min_se_s > leg->min_se_s && w->min_se_s <= 86400;
	if (grows)
		leg->min_se_s = w->min_se_s;
	if (w->status == 422)
		*(initial ? &sim->counts.small_attempts : &sim->counts.small_refreshes) += 1;
	if (w->status == 422 && note->kind == SESSION_RELAY_OUT && note->asked) /* it may be passed on again */
		note->asked->passed = false;
	if (note->kind != SESSION_REFRESH_OUT)
		return;
	leg->may_retry = true;
	leg->failed_ns = sim->now_ns;
	retry_failed(sim, leg, note, w, grows);
}

/* ---- requests of the peer (the node is UAS) ---- */

static void disturb(const struct sim *sim, struct session_leg *leg)
{
	leg->disturbed = true;
	leg->disturbed_ns = sim->now_ns;
}

/* What the 2xx has to say (RFC 4028 9, table 2, and spec 5). */
static void expect(const struct sim *sim, const struct session_leg *leg, const struct wire *w, bool initial,
		   struct session_note *note)
{
	const struct parameters *p = rules(sim);
	uint32_t least_s = max_u32(p->RW_SIP_MIN_SE, w->min_se_s);
	bool timed = w->timer_tag || w->has_interval || (!initial && leg->interval_s);
	note->tag = w->timer_tag;
	note->min_se_s = w->min_se_s;
	note->we_refresh = true;
	note->interval_s = 0;
	if (!leg->on || !timed)
		return;
	if (w->has_interval) {
		note->interval_s = max_u32(min_u32(w->interval_s, p->SS_SIP_SESSION_TTL), least_s);
	} else {
		least_s = initial ? least_s : max_u32(least_s, leg->min_se_s);
		note->interval_s = max_u32(w->timer_tag ? p->SS_SIP_SESSION_TTL : leg->interval_s, least_s);
	}
	if (!w->timer_tag)
		note->we_refresh = true;
	else if (w->refresher)
		note->we_refresh = w->refresher == 's';
	else
		note->we_refresh = initial || leg->we_refresh;
}

void session_request_in(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			bool initial, struct session_note *note)
{
	note->at_ns = sim->now_ns;
	note->named_s = w->interval_s;
	note->asked_s = w->has_interval ? w->interval_s : 0;
	note->body = hash(w->body);
	if (leg->tag && leg->tag != hash(w->from_tag))
		return; /* of a fork */
	if (wire_method_is(w, "BYE") && call && call->truth) {
		call->truth->over_ns = call->truth->over_ns ? call->truth->over_ns : sim->now_ns;
		call->truth->close_call |= call->truth->life_ns + MAILBOX_NS >= sim->now_ns;
		sim->counts.crossings += leg->open_refreshes > 0;
		return;
	}
	if (wire_method_is(w, "ACK") && w->body.size)
		leg->body_in = note->body;
	if (wire_method_is(w, "ACK") && sim->now_ns > leg->window_ns + SIM_S) /* refreshes waited for it */
		disturb(sim, leg);
	if (!wire_method_is(w, "INVITE") && !wire_method_is(w, "UPDATE"))
		return;
	if (call && call->truth && call->truth->over_ns && sim->settings.mailbox) /* it may overtake the BYE */
		call->truth->close_call |= sim->now_ns <= call->truth->over_ns + MAILBOX_NS;
	if (sim->settings.mailbox && leg->began && sim->now_ns <= leg->window_ns + MAILBOX_NS)
		leg->loose = true;
	expect(sim, leg, w, initial, note);
	if (initial) {
		leg->body_in = note->body;
		return;
	}
	sim->counts.crossings += leg->open_refreshes > 0;
	if (note->body || wire_method_is(w, "INVITE")) {
		disturb(sim, leg);
		note->asked_before = leg->asked;
		leg->asked = note;
	}
	if (call && call->truth && wire_method_is(w, "INVITE"))
		disturb(sim, call->truth->legs[leg == call->truth->legs[0]]);
}

static void check_2xx(struct sim *sim, struct sim_call *call, const struct session_leg *leg, const struct wire *w,
		      const struct session_note *note)
{
	char should = note->we_refresh ? 's' : 'c';
	bool timed = note->interval_s > 0;
	if (leg->on && note->tag && note->named_s && note->named_s < rules(sim)->RW_SIP_MIN_SE)
		sim_fail(sim, call, "rfc4028-6-too-small", "%u s were accepted", note->named_s);
	if (w->has_interval != timed || (timed && w->interval_s != note->interval_s))
		sim_fail(sim, call, "rfc4028-9-interval", "2xx to %.*s %u says Session-Expires %u, it should be %u",
			 TEXT(w->method), w->cseq, w->interval_s, note->interval_s);
	else if (timed && w->refresher != should)
		sim_fail(sim, call, "rfc4028-9-refresher", "2xx to %.*s %u names ua%c, it should be ua%c",
			 TEXT(w->method), w->cseq, w->refresher, should);
	else if (w->timer_required != (timed && note->tag))
		sim_fail(sim, call, "rfc4028-9-require", "Require: timer in a 2xx to %.*s %u is wrong", TEXT(w->method),
			 w->cseq);
}

void session_response_out(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			  bool initial, struct session_note *note)
{
	bool session = wire_method_is(w, "INVITE") || wire_method_is(w, "UPDATE");
	leg->loose |= w->rseq > 0;
	if (w->status < 200 || note->answered || !session)
		return;
	note->answered = true;
	sim->counts.refused_491 += w->status == 491;
	if (w->status == 422) {
		uint32_t min_s = rules(sim)->RW_SIP_MIN_SE;
		*(initial ? &sim->counts.small_callers : &sim->counts.small_refreshes) += 1;
		if (!is_blurred(sim, call) && (!note->tag || note->named_s >= min_s || w->min_se_s != min_s))
			sim_fail(sim, call, "rfc4028-6-422", "422 with Min-SE %u to an interval of %u", w->min_se_s,
				 note->named_s);
	}
	if (w->status >= 300)
		return;
	if (call && call->truth && call->truth->over_ns)
		return;
	if (!is_blurred(sim, call) && !leg->loose)
		check_2xx(sim, call, leg, w, note);
	if (!initial && !leg->began)
		return; /* an UPDATE in the early dialog starts nothing */
	bool was_ours = leg->we_refresh;
	retry_over(sim, call, leg, sim->now_ns, is_exact(sim, call, leg));
	leg->retry.current = NULL;
	leg->began = true;
	set_window(leg, note->interval_s, note->interval_s, rules(sim)->SS_SIP_SESSION_UPDATE_SEGMENT);
	leg->we_refresh = note->we_refresh;
	leg->min_se_s = max_u32(leg->min_se_s, note->min_se_s);
	sim->counts.role_swaps += !initial && leg->interval_s && leg->we_refresh != was_ours;
	leg->body_out = w->body.size ? hash(w->body) : leg->body_out;
	leg->body_in = note->body ? note->body : leg->body_in;
	/* The window of the caller's leg starts with the 200 of the callee, which is passed on at once. */
	confirm(sim, call, leg, sim->now_ns);
}

/* ---- requests of the node ---- */

static uint32_t asks_s(const struct sim *sim, const struct session_leg *leg)
{
	return max_u32(leg->interval_s ? leg->interval_s : rules(sim)->SS_SIP_SESSION_TTL, leg->min_se_s);
}

/* A refresh falls into the last tenth of a segment, each segment has one, and a probe comes at its moment. */
static void check_moment(struct sim *sim, struct sim_call *call, struct session_leg *leg)
{
	uint64_t since_ns = sim->now_ns - leg->window_ns, interval_ns = leg->interval_s * SIM_S;
	uint64_t segment_ns = leg->refresh_s * SIM_S / leg->segments, slack = slack_ns(sim);
	unsigned boundary =
		(unsigned)((since_ns - (since_ns < slack ? since_ns : slack) + segment_ns - 1) / segment_ns);
	uint64_t before_ns = boundary * segment_ns > since_ns ? boundary * segment_ns - since_ns : 0;
	bool free = leg->may_retry || leg->disturbed || sim->now_ns >= leg->sent_ns + SIM_64T1 - SIM_S;
	if (since_ns >= interval_ns) {
		leg->last_sent = true;
		if (!rules(sim)->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP ||
		    (since_ns > interval_ns + slack && !leg->may_retry && !leg->disturbed))
			sim_fail(sim, call, "grace-begins-at-expiry", "a refresh %llu ms after the interval's end",
				 (unsigned long long)((since_ns - interval_ns) / SIM_MS));
		return;
	}
	if (!leg->sent && !leg->may_retry)
		free = leg->disturbed;
	if (before_ns > segment_ns / 10 + slack && !free)
		sim_fail(sim, call, "last-tenth-of-the-segment", "refresh %llu ms before boundary %u of %llu ms",
			 (unsigned long long)(before_ns / SIM_MS), boundary, (unsigned long long)(segment_ns / SIM_MS));
	if (boundary > leg->boundary + 1 && leg->boundary + 1 < leg->segments && !leg->disturbed && !leg->may_retry)
		sim_fail(sim, call, "each-segment-has-its-refresh", "none between boundaries %u and %u", leg->boundary,
			 boundary);
	leg->boundary = boundary;
}

static uint64_t probe_ns(const struct session_leg *leg)
{
	uint32_t third_s = leg->interval_s * 1000 / 3, before_ms = min_u32(third_s, PROBE_BEFORE_S * 1000);
	return expires_ns(leg) - before_ms * SIM_MS;
}

static void check_probe_moment(struct sim *sim, struct sim_call *call, struct session_leg *leg)
{
	uint64_t due_ns = probe_ns(leg);
	uint64_t segment_ns = leg->refresh_s * SIM_S / leg->segments;
	leg->boundary = (unsigned)((sim->now_ns - leg->window_ns + segment_ns / 10) / segment_ns);
	sim->counts.probes++;
	if (sim->now_ns + SIM_MS < due_ns)
		sim_fail(sim, call, "compliant-refresher-is-not-overtaken", "a probe %llu ms before it is due",
			 (unsigned long long)((due_ns - sim->now_ns) / SIM_MS));
	else if (sim->now_ns > due_ns + SIM_MS + slack_ns(sim) && !leg->disturbed)
		sim_fail(sim, call, "probe-in-time", "a probe %llu ms late",
			 (unsigned long long)((sim->now_ns - due_ns) / SIM_MS));
}

static void refresh_out(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			struct session_note *note)
{
	bool at_end = leg->interval_s && sim->now_ns >= expires_ns(leg);
	note->kind = SESSION_REFRESH_OUT;
	bool at_once = leg->latest && leg->failed_ns && sim->now_ns <= leg->failed_ns + MAILBOX_NS;
	note->claim = at_end || (!leg->we_refresh && leg->interval_s) || (at_once && leg->latest->claim);
	sim->counts.refreshes_sent++;
	leg->refreshes++;
	leg->claims += note->claim;
	sim->counts.retries += leg->sent > 0;
	sim->counts.update_fallbacks += at_once && wire_method_is(w, "INVITE") && !leg->latest->body;
	if (call->truth)
		call->truth->refreshes_sent++;
	if (is_exact(sim, call, leg)) {
		if (!leg->interval_s)
			sim_fail(sim, call, "no-refresh-without-timer", "%.*s on a leg without a timer",
				 TEXT(w->method));
		else if (!leg->we_refresh && !at_end)
			check_probe_moment(sim, call, leg);
		else
			check_moment(sim, call, leg);
		if (note->body && leg->body_out && note->body != leg->body_out && !leg->disturbed)
			sim_fail(sim, call, "refresh-with-the-last-session", "re-INVITE %u has another SDP", w->cseq);
	}
	retry_sent(sim, call, leg, note, is_exact(sim, call, leg));
	if (note->claim)
		leg->we_refresh = true;
	leg->sent++;
	leg->sent_ns = sim->now_ns;
	leg->latest = note;
	leg->may_retry = false;
	leg->open_refreshes++;
}

/* Whose doing it is: the other peer's request passed on, a new session of the other peer told, or the node's own. */
static enum session_kind kind_of(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
				 struct session_note *note)
{
	struct session_leg *other = call->truth ? call->truth->legs[leg == call->truth->legs[0]] : NULL;
	if (wire_method_is(w, "UPDATE") && !w->body.size)
		return SESSION_REFRESH_OUT;
	if (!other)
		return SESSION_OTHER;
	for (struct session_note *asked = other->asked; asked; asked = asked->asked_before) {
		if (asked->answered || asked->passed || asked->body != note->body)
			continue;
		sim->counts.held_requests += sim->now_ns > asked->at_ns + MAILBOX_NS;
		asked->passed = true;
		note->asked = asked;
		return SESSION_RELAY_OUT;
	}
	if (other->changed_ns && other->changed_body == note->body && leg->body_out != note->body)
		return SESSION_OFFER_OUT;
	return SESSION_REFRESH_OUT;
}

static void check_lines(struct sim *sim, struct sim_call *call, const struct session_leg *leg, const struct wire *w,
			bool claim)
{
	if (!leg->on) {
		if (w->has_interval || w->has_min_se || w->timer_tag)
			sim_fail(sim, call, "timer-off", "%.*s %u speaks of session timers", TEXT(w->method), w->cseq);
		return;
	}
	char refresher = claim || leg->we_refresh ? 'c' : 's';
	/* A probe that is due waits for offers that are open: the next of them may take the role as well. */
	bool either = leg->interval_s && leg->disturbed && sim->now_ns + slack_ns(sim) >= probe_ns(leg);
	if (!w->timer_tag || w->interval_s != asks_s(sim, leg) || w->min_se_s != leg->min_se_s)
		sim_fail(sim, call, "rfc4028-7.1-request",
			 "%.*s %u has Session-Expires %u and Min-SE %u, it should be %u and %u", TEXT(w->method),
			 w->cseq, w->interval_s, w->min_se_s, asks_s(sim, leg), leg->min_se_s);
	else if (w->refresher != refresher && !(either && w->refresher == 'c'))
		sim_fail(sim, call, "rfc4028-7.1-refresher", "%.*s %u names ua%c, it should be ua%c", TEXT(w->method),
			 w->cseq, w->refresher, refresher);
}

static void options_out(struct sim *sim, struct sim_call *call, struct session_leg *leg, struct session_note *note)
{
	uint64_t interval_ns = rules(sim)->RW_NO_TIMER_PROBE_INTERVAL * SIM_S;
	uint64_t from_ns = leg->probed_ns ? leg->probed_ns : leg->untimed_ns;
	note->kind = SESSION_PROBE_OUT;
	sim->counts.options_probes++;
	if (leg->probe_open)
		leg->silent++;
	if (is_exact(sim, call, leg) &&
	    (!interval_ns || leg->interval_s || sim->now_ns + slack_ns(sim) < from_ns + interval_ns + TICK_NS ||
	     sim->now_ns > from_ns + interval_ns + 2 * TICK_NS + slack_ns(sim) || leg->silent > 1))
		sim_fail(sim, call, "probe-interval", "OPTIONS %llu ms after the one before",
			 (unsigned long long)((sim->now_ns - from_ns) / SIM_MS));
	leg->probe_open = true;
	leg->probed_ns = sim->now_ns;
}

void session_request_out(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct wire *w,
			 bool initial, struct session_note *note)
{
	note->at_ns = sim->now_ns;
	note->body = hash(w->body);
	note->asked_s = w->interval_s;
	if (leg->tag && leg->tag != hash(w->to_tag))
		return; /* of a fork */
	if (wire_method_is(w, "BYE") && call->truth && !call->truth->over_ns &&
	    (leg == call->truth->legs[0] || leg == call->truth->legs[1]) && leg->began) {
		call->truth->over_ns = sim->now_ns;
		return;
	}
	if (wire_method_is(w, "ACK") && w->body.size)
		leg->body_out = note->body;
	if (wire_method_is(w, "OPTIONS"))
		options_out(sim, call, leg, note);
	if ((!wire_method_is(w, "INVITE") && !wire_method_is(w, "UPDATE")) || is_early(leg, w, initial))
		return;
	bool claim = initial;
	if (!initial)
		note->kind = kind_of(sim, call, leg, w, note);
	if (note->kind == SESSION_REFRESH_OUT) {
		if (leg->sent && leg->latest && !leg->latest->answered)
			leg->open_refreshes--; /* replaced */
		refresh_out(sim, call, leg, w, note);
		claim = note->claim;
	} else if (!initial) {
		/* In the grace it is ours to prove the leg, by whatever goes out first. */
		leg->we_refresh |= leg->interval_s && sim->now_ns >= expires_ns(leg);
		disturb(sim, leg);
	}
	if (!is_blurred(sim, call) && !leg->loose && (initial || is_exact(sim, call, leg)))
		check_lines(sim, call, leg, w, claim);
}

/* ---- the record ---- */

struct deadline {
	uint64_t at_ns;
	enum cdr_end_reason reason;
};

static void earlier(struct deadline *d, enum cdr_end_reason only, uint64_t at_ns, enum cdr_end_reason reason)
{
	if (at_ns < d->at_ns && (only == CDR_END_normal || only == reason))
		*d = (struct deadline){ at_ns, reason };
}

/* What ends the call if nobody does; of one reason, or (normal) whatever comes first. */
static struct deadline deadline_of(const struct sim *sim, const struct session_truth *truth, enum cdr_end_reason only)
{
	const struct parameters *p = rules(sim);
	struct deadline d = { NEVER, only };
	const struct session_leg *caller = truth->legs[0];
	for (unsigned i = 0; i < 2; i++)
		if (truth->legs[i]->interval_s)
			earlier(&d, only, expires_ns(truth->legs[i]) + p->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP * SIM_S,
				CDR_END_session_timeout);
	if (!caller->interval_s && p->SS_SIP_NO_TIMER_REINVITE_INTERVAL) {
		uint64_t at_ns = truth->connect_ns + p->SS_SIP_NO_TIMER_REINVITE_INTERVAL * SIM_S;
		earlier(&d, only, at_ns > caller->untimed_ns ? at_ns : caller->untimed_ns, CDR_END_no_timer_cap);
	}
	if (truth->max_duration_s)
		earlier(&d, only, truth->connect_ns + truth->max_duration_s * SIM_S, CDR_END_max_duration);
	return d;
}

static bool by_deadline(enum cdr_end_reason reason)
{
	return reason == CDR_END_session_timeout || reason == CDR_END_no_timer_cap || reason == CDR_END_max_duration;
}

static void check_end(struct sim *sim, const struct sim_cdr *record, const struct session_truth *truth)
{
	const struct cdr *cdr = &record->cdr;
	struct deadline d = deadline_of(sim, truth, CDR_END_normal);
	uint64_t end_ns = truth->connect_ns + (uint64_t)(cdr->end_us - cdr->connect_us) * SIM_US;
	uint64_t slack = slack_ns(sim);
	enum cdr_end_reason reason = (enum cdr_end_reason)cdr->end_reason;
	if (d.at_ns != NEVER && end_ns > d.at_ns + slack)
		sim_fail(sim, record->call, "no-call-outlives-its-deadline", "%s at %llu ms, it was due at %llu ms",
			 cdr_end_reason_name(d.reason), (unsigned long long)((end_ns - truth->connect_ns) / SIM_MS),
			 (unsigned long long)((d.at_ns - truth->connect_ns) / SIM_MS));
	else if (by_deadline(reason) && (d.at_ns == NEVER || end_ns + slack < d.at_ns))
		sim_fail(sim, record->call, "no-live-call-is-cut", "%s at %llu ms, the deadline is %s at %llu ms",
			 cdr_end_reason_name(reason), (unsigned long long)((end_ns - truth->connect_ns) / SIM_MS),
			 cdr_end_reason_name(d.reason), (unsigned long long)((d.at_ns - truth->connect_ns) / SIM_MS));
	else if (by_deadline(reason) && reason != d.reason && deadline_of(sim, truth, reason).at_ns > d.at_ns + slack)
		sim_fail(sim, record->call, "cdr-reason", "%s, but the deadline was %s", cdr_end_reason_name(reason),
			 cdr_end_reason_name(d.reason));
	else if (by_deadline(reason) && !sim->counts.cdrs_refused && sim->now_ns > d.at_ns + slack)
		sim_fail(sim, record->call, "no-call-outlives-its-deadline", "the end came %llu us late",
			 (unsigned long long)(sim->now_ns - d.at_ns) / 1000);
}

/* One that ran out was refreshed in each segment before. */
static void check_tries(struct sim *sim, const struct sim_cdr *record, const struct session_truth *truth)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct session_leg *leg = truth->legs[i];
		unsigned due = leg->we_refresh ? leg->segments - 1 : 1;
		uint32_t grace_s = rules(sim)->SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP;
		/* Whatever was in the way has had its end, and half a second later there was time for it. */
		bool hindered = leg->disturbed && (peer_somebody_died(record->call) ||
						   expires_ns(leg) < leg->disturbed_ns + DISTURBED_NS + SIM_S);
		if (!leg->interval_s || sim->now_ns < expires_ns(leg) + grace_s * SIM_S || hindered || leg->may_retry)
			continue;
		if (leg->sent < (due < 1 ? 1 : leg->sent ? 1 : due) || (grace_s && !leg->last_sent))
			sim_fail(sim, record->call, "each-segment-has-its-refresh", "%u refreshes before the end",
				 leg->sent);
	}
}

void session_cdr(struct sim *sim, const struct sim_cdr *record)
{
	const struct cdr *cdr = &record->cdr;
	const struct session_truth *truth = record->call->truth;
	sim->counts.session_timeouts += cdr->end_reason == CDR_END_session_timeout;
	sim->counts.caps += cdr->end_reason == CDR_END_no_timer_cap;
	sim->counts.max_durations += cdr->end_reason == CDR_END_max_duration;
	if (!cdr->connect_us || !truth || is_blurred(sim, record->call) || truth->legs[0]->loose ||
	    truth->legs[1]->loose || truth->close_call)
		return;
	if (sim->settings.mailbox && truth->life_ns + MAILBOX_NS >= sim->now_ns)
		return; /* what ended it may have overtaken a proof of life in a mailbox */
	unsigned timers =
		(truth->legs[0]->interval_s ? CDR_TIMER_A : 0u) | (truth->legs[1]->interval_s ? CDR_TIMER_B : 0u);
	int64_t slack_us = sim->settings.mailbox ? 200 : 0;
	uint64_t end_ns = truth->connect_ns + (uint64_t)(cdr->end_us - cdr->connect_us) * SIM_US;
	for (unsigned i = 0; i < 2; i++)
		retry_over(sim, record->call, truth->legs[i], end_ns, true);
	check_end(sim, record, truth);
	if (cdr->end_reason == CDR_END_session_timeout)
		check_tries(sim, record, truth);
	if (cdr->session_timer != timers)
		sim_fail(sim, record->call, "cdr-session-timer", "session_timer %u, it should be %u",
			 cdr->session_timer, timers);
	if (cdr->refreshes_sent != truth->refreshes_sent || cdr->refreshes_confirmed != truth->refreshes_confirmed)
		sim_fail(sim, record->call, "cdr-refreshes", "%u sent and %u confirmed, it should be %u and %u",
			 cdr->refreshes_sent, cdr->refreshes_confirmed, truth->refreshes_sent,
			 truth->refreshes_confirmed);
	if (cdr->last_confirmed_us < truth->life_us - slack_us || cdr->last_confirmed_us > truth->life_us + slack_us)
		sim_fail(sim, record->call, "cdr-last-confirmed", "last_confirmed_us %lld, it should be %lld",
			 (long long)cdr->last_confirmed_us, (long long)truth->life_us);
}
