/* Session timers of one leg: see session_timer.h.
 *
 * One function, plan(), places the next act after whatever happened: it takes the first segment whose last tenth is
 * still ahead.  So a refresh that a retry or a late loop brought into a later segment's tenth stands for that segment
 * too. */
#include "sip/session_timer.h"

#include <assert.h>

#include "sip/syntax.h"

#define SECOND_NS       UINT64_C(1000000000)
#define NEVER           UINT64_MAX
#define TIME_MAX_NS     (UINT64_MAX / 2) /* of the clock: an interval and a grace of 32 bits fit behind it */
#define LOW_INTERVAL_S  30               /* what a 2xx below the minimum is raised to, to time the refreshes by */
#define PROBE_BEFORE_NS (64 * SECOND_NS)
#define RETRY_MIN_NS    SECOND_NS
#define RETRY_MAX_NS    (30 * SECOND_NS)
#define INTERVAL_NS(s)  ((s)*SECOND_NS)

static_assert(TIME_MAX_NS + 2 * INTERVAL_NS(UINT32_MAX) < NEVER, "every deadline is a time");

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The window of a call that was carried over a start of the machine may have begun before the clock's zero: it counts
 * modulo 2^64 then.  Its end, and whatever falls due, is ahead of that. */
static bool is_before(uint64_t a_ns, uint64_t b_ns)
{
	return (int64_t)(a_ns - b_ns) < 0;
}

/* ---- what a message says ---- */

/* delta-seconds (RFC 3261 20.19: a number of any length): digits alone, and what 32 bits cannot hold is their largest.
 */
static bool read_seconds(struct bytes digits, uint32_t *ret_seconds)
{
	if (digits.size == 0 || sip_skip(digits.at, sip_end(digits), SIP_C_DIGIT) != sip_end(digits))
		return false;
	if (!sip_read_number(digits, ret_seconds))
		*ret_seconds = UINT32_MAX;
	return true;
}

/* The first readable line of a kind: its seconds, and what follows them.  *ret_bad is set, never cleared. */
static bool read_header(const struct sip_message *m, enum sip_header_id id, uint32_t *ret_seconds,
			struct bytes *ret_parameters, bool *ret_bad)
{
	const struct sip_header *h = sip_header_first(m, id);
	bool found = false;

	*ret_bad |= h && sip_header_next(m, h);
	for (; h; h = sip_header_next(m, h)) {
		struct bytes value = sip_header_value(m, h), parameters = sip_parameters_of(value);
		const char *semicolon = memchr(value.at, ';', value.size);
		uint32_t seconds;

		if (!read_seconds(sip_trim(sip_between(value.at, semicolon ? semicolon : sip_end(value))), &seconds)) {
			*ret_bad = true;
		} else if (!found) {
			*ret_seconds = seconds;
			*ret_parameters = parameters;
			found = true;
		}
	}
	return found;
}

void session_timer_read(const struct sip_message *m, struct session_timer_headers *ret_headers)
{
	struct session_timer_headers h = { .refresher = REFRESHER_NONE };
	struct bytes parameters, refresher;

	h.required = sip_list_has(m, SIP_H_REQUIRE, BYTES("timer"));
	h.supported = h.required || sip_list_has(m, SIP_H_SUPPORTED, BYTES("timer"));
	h.has_min_se = read_header(m, SIP_H_MIN_SE, &h.min_se_s, &parameters, &h.unreadable);
	h.has_interval = sip_header_first(m, SIP_H_SESSION_EXPIRES) != NULL;
	if (read_header(m, SIP_H_SESSION_EXPIRES, &h.interval_s, &parameters, &h.unreadable) &&
	    sip_parameter(parameters, BYTES("refresher"), &refresher)) {
		if (bytes_equal_nocase(refresher, BYTES("uac")))
			h.refresher = REFRESHER_UAC;
		else if (bytes_equal_nocase(refresher, BYTES("uas")))
			h.refresher = REFRESHER_UAS;
	}
	*ret_headers = h;
}

/* ---- the schedule ---- */

static bool has_timer(const struct session_timer *t)
{
	return t->interval_s != 0;
}

uint64_t session_timer_expires_ns(const struct session_timer *t)
{
	return has_timer(t) ? t->confirmed_at_ns + INTERVAL_NS(t->interval_s) : NEVER;
}

uint64_t session_timer_spread_ns(uint64_t segment_ns, uint64_t random)
{
	return random % (segment_ns / 10 + 1);
}

static uint64_t segment_ns(const struct session_timer *t)
{
	return INTERVAL_NS(t->refresh_s) / t->segments;
}

/* The end of a segment; up to 9 ns early, as the parts are whole nanoseconds.  (The window's own end is exact.) */
static uint64_t boundary_ns(const struct session_timer *t, unsigned segment)
{
	return t->confirmed_at_ns + segment * segment_ns(t);
}

static void wait_for(struct session_timer *t, enum session_timer_wait wait, uint64_t due_ns)
{
	t->wait = (uint8_t)wait;
	t->due_ns = due_ns;
}

static void plan(struct session_timer *t, uint64_t now_ns, uint64_t random)
{
	uint64_t interval_ns = INTERVAL_NS(t->interval_s);

	assert(has_timer(t) && t->segments >= 2);
	if (!t->we_refresh) {
		wait_for(t, SESSION_PROBE,
			 t->confirmed_at_ns + interval_ns - min_u64(PROBE_BEFORE_NS, interval_ns / 3));
		return;
	}
	while (t->segment < t->segments && !is_before(now_ns, boundary_ns(t, t->segment) - segment_ns(t) / 10))
		t->segment++;
	if (t->segment == t->segments)
		wait_for(t, SESSION_EXPIRY, session_timer_expires_ns(t));
	else
		wait_for(t, SESSION_REFRESH,
			 boundary_ns(t, t->segment) - session_timer_spread_ns(segment_ns(t), random));
}

/* A proof of life.  One that arrived before the latest but is told later does not move the window back. */
static void confirm(struct session_timer *t, uint64_t now_ns, uint64_t random)
{
	assert(now_ns <= TIME_MAX_NS);
	if (is_before(t->confirmed_at_ns, now_ns))
		t->confirmed_at_ns = now_ns;
	t->segment = 1;
	if (has_timer(t)) {
		plan(t, t->confirmed_at_ns, random);
	} else {
		t->we_refresh = true;
		wait_for(t, SESSION_IDLE, NEVER);
	}
	assert(session_timer_check(t));
}

/* The end of the window: by now we refresh, as a silent peer was probed before. */
static enum session_timer_act expire(struct session_timer *t, const struct session_timer_rules *rules)
{
	t->we_refresh = true;
	if (rules->grace_s == 0) {
		wait_for(t, SESSION_IDLE, NEVER);
		return SESSION_ACT_HANG_UP;
	}
	wait_for(t, SESSION_GRACE, session_timer_expires_ns(t) + INTERVAL_NS(rules->grace_s));
	return SESSION_ACT_LAST_REFRESH;
}

enum session_timer_act session_timer_due(struct session_timer *t, const struct session_timer_rules *rules,
					 uint64_t now_ns, uint64_t random)
{
	bool claim = t->wait == SESSION_PROBE;

	assert(session_timer_check(t));
	if (t->wait == SESSION_IDLE || now_ns < t->due_ns)
		return SESSION_ACT_NONE;
	if (t->wait == SESSION_GRACE) {
		wait_for(t, SESSION_IDLE, NEVER);
		return SESSION_ACT_HANG_UP;
	}
	if (now_ns >= session_timer_expires_ns(t))
		return expire(t, rules);
	assert(t->wait != SESSION_EXPIRY);
	t->we_refresh = true;
	plan(t, now_ns, random);
	return claim ? SESSION_ACT_CLAIM : SESSION_ACT_REFRESH;
}

/* Whether there is a next try to be placed: we refresh, and the last one was not sent yet. */
static bool may_retry(const struct session_timer *t)
{
	return t->wait == SESSION_REFRESH || t->wait == SESSION_EXPIRY;
}

void session_timer_refresh_failed(struct session_timer *t, uint32_t retry_after_s, uint64_t now_ns)
{
	uint64_t wait_ns = INTERVAL_NS(t->interval_s) / 10;

	if (!may_retry(t))
		return;
	if (wait_ns < RETRY_MIN_NS)
		wait_ns = RETRY_MIN_NS;
	wait_ns = min_u64(wait_ns, RETRY_MAX_NS);
	if (retry_after_s)
		wait_ns = min_u64(wait_ns, INTERVAL_NS(retry_after_s));
	if (now_ns + wait_ns < t->due_ns)
		wait_for(t, SESSION_REFRESH, now_ns + wait_ns);
}

void session_timer_retry_in(struct session_timer *t, uint64_t wait_ns, uint64_t now_ns)
{
	uint64_t expires_ns = session_timer_expires_ns(t);

	if (!may_retry(t))
		return;
	if (now_ns >= expires_ns || wait_ns >= expires_ns - now_ns)
		wait_for(t, SESSION_EXPIRY, expires_ns);
	else
		wait_for(t, SESSION_REFRESH, now_ns + wait_ns);
}

void session_timer_postpone_probe(struct session_timer *t, uint64_t wait_ns, uint64_t now_ns)
{
	if (!may_retry(t) || !has_timer(t))
		return;
	t->we_refresh = false;
	wait_for(t, SESSION_PROBE, min_u64(now_ns + wait_ns, session_timer_expires_ns(t) - 1));
}

bool session_timer_check(const struct session_timer *t)
{
	uint64_t expires_ns = session_timer_expires_ns(t);

	if (t->off && has_timer(t))
		return false;
	if (t->wait == SESSION_IDLE)
		return t->due_ns == NEVER && t->we_refresh;
	if (!has_timer(t) || t->refresh_s == 0 || t->refresh_s > t->interval_s || t->segments < 2 || t->segment < 1 ||
	    t->segment > t->segments || t->we_refresh != (t->wait != SESSION_PROBE))
		return false;
	switch (t->wait) {
	case SESSION_REFRESH:
		return t->due_ns < expires_ns;
	case SESSION_PROBE:
		return is_before(t->confirmed_at_ns, t->due_ns) && t->due_ns < expires_ns;
	case SESSION_EXPIRY:
		return t->due_ns == expires_ns;
	case SESSION_GRACE:
		return t->due_ns > expires_ns && t->due_ns != NEVER;
	default:
		return false;
	}
}

/* ---- negotiation ---- */

void session_timer_init(struct session_timer *t, bool on, const struct session_timer_rules *rules)
{
	assert(rules->min_se_s >= 1 && rules->segments >= 2);
	*t = (struct session_timer){
		.due_ns = NEVER,
		.min_se_s = rules->min_se_s,
		.wait = SESSION_IDLE,
		.segments = rules->segments,
		.segment = 1,
		.we_refresh = true,
		.off = !on,
	};
}

static void set_window(struct session_timer *t, uint32_t interval_s, uint32_t refresh_s, unsigned segments)
{
	t->interval_s = interval_s;
	t->refresh_s = refresh_s;
	t->segments = (uint8_t)segments;
}

/* RFC 4028 9: only who knows the tag can make anything of a 422; the value of others is raised (8.1, erratum 1687). */
enum session_timer_verdict session_timer_judge(const struct session_timer *t, const struct session_timer_rules *rules,
					       const struct session_timer_headers *request)
{
	if (t->off)
		return SESSION_ACCEPT;
	if (request->unreadable)
		return SESSION_MALFORMED;
	if (request->supported && request->has_interval && request->interval_s < rules->min_se_s)
		return SESSION_TOO_SMALL;
	return SESSION_ACCEPT;
}

/* `request` is from a peer that has timers, or in a dialog that has one. */
static uint32_t answer_interval_s(const struct session_timer *t, const struct session_timer_rules *rules,
				  const struct session_timer_headers *request, bool in_dialog)
{
	uint32_t least_s = max_u32(rules->min_se_s, request->min_se_s);

	if (request->has_interval)
		return max_u32(min_u32(request->interval_s, rules->ttl_s), least_s);
	if (in_dialog) /* it may have named its minimum before */
		least_s = max_u32(least_s, t->min_se_s);
	if (!request->supported) /* it said nothing at all, and goes by what was agreed */
		return max_u32(t->interval_s, least_s);
	return max_u32(rules->ttl_s, least_s);
}

/* RFC 4028 9, table 2.  Who does not list the tag cannot be made the refresher. */
static bool answer_we_refresh(const struct session_timer *t, const struct session_timer_headers *request,
			      bool in_dialog)
{
	if (!request->supported)
		return true;
	if (request->refresher != REFRESHER_NONE)
		return request->refresher == REFRESHER_UAS;
	return !in_dialog || t->we_refresh;
}

void session_timer_answer(const struct session_timer *t, const struct session_timer_rules *rules,
			  const struct session_timer_headers *request, bool in_dialog,
			  struct session_timer_offer *ret_offer)
{
	static const struct session_timer_headers nothing;

	if (request->min_se_s > SESSION_INTERVAL_MAX_S)
		request = &nothing;
	bool timed = request->supported || request->has_interval || (in_dialog && has_timer(t));

	*ret_offer = (struct session_timer_offer){
		.min_se_s = request->min_se_s,
		.we_refresh = true,
		.peer_has_tag = request->supported,
	};
	if (t->off || !timed)
		return;
	ret_offer->interval_s = answer_interval_s(t, rules, request, in_dialog);
	ret_offer->we_refresh = answer_we_refresh(t, request, in_dialog);
}

static void build_session_expires(struct builder *b, uint32_t interval_s, struct bytes refresher)
{
	build_text(b, "Session-Expires: ");
	build_number(b, interval_s);
	build_header(b, ";refresher=", refresher);
}

void session_timer_build_answer(struct builder *b, const struct session_timer *t,
				const struct session_timer_offer *offer)
{
	if (t->off)
		return;
	build_text(b, "Supported: timer\r\n");
	if (offer->interval_s == 0)
		return;
	if (offer->peer_has_tag)
		build_text(b, "Require: timer\r\n");
	build_session_expires(b, offer->interval_s, offer->we_refresh ? BYTES("uas") : BYTES("uac"));
}

void session_timer_answered(struct session_timer *t, const struct session_timer_rules *rules,
			    const struct session_timer_offer *offer, uint64_t now_ns, uint64_t random)
{
	assert(offer->interval_s == 0 || (!t->off && offer->interval_s >= rules->min_se_s));
	set_window(t, offer->interval_s, offer->interval_s, rules->segments);
	t->we_refresh = offer->we_refresh;
	t->peer_has_tag = offer->peer_has_tag;
	t->min_se_s = max_u32(t->min_se_s, offer->min_se_s);
	confirm(t, now_ns, random);
}

/* RFC 4028 7.1, 7.4: the interval stays as it is unless a larger Min-SE was seen since. */
uint32_t session_timer_asks_s(const struct session_timer *t, const struct session_timer_rules *rules)
{
	return max_u32(has_timer(t) ? t->interval_s : rules->ttl_s, t->min_se_s);
}

void session_timer_build_request(struct builder *b, const struct session_timer *t,
				 const struct session_timer_rules *rules, bool claim)
{
	if (t->off)
		return;
	build_text(b, "Supported: timer\r\n");
	build_session_expires(b, session_timer_asks_s(t, rules), claim || t->we_refresh ? BYTES("uac") : BYTES("uas"));
	build_text(b, "Min-SE: ");
	build_number(b, t->min_se_s);
	build_text(b, "\r\n");
}

/* What a 2xx names may break 7.1 and 9; the call is kept, and nothing is too quick or too slow. */
static void adopt(struct session_timer *t, const struct session_timer_rules *rules,
		  const struct session_timer_headers *response, uint32_t asked_s)
{
	uint32_t interval_s = min_u32(response->interval_s, asked_s);

	if (interval_s && interval_s < rules->min_se_s)
		set_window(t, rules->min_se_s, max_u32(interval_s, min_u32(LOW_INTERVAL_S, rules->min_se_s)), 2);
	else
		set_window(t, interval_s, interval_s, rules->segments);
	t->we_refresh = response->refresher != REFRESHER_UAS;
}

void session_timer_confirmed(struct session_timer *t, const struct session_timer_rules *rules,
			     const struct session_timer_headers *response, uint32_t asked_s, bool initial, bool claimed,
			     uint64_t now_ns, uint64_t random)
{
	t->peer_has_tag = response->supported;
	if (initial)
		set_window(t, 0, 0, rules->segments);
	if (response->has_interval && !t->off)
		adopt(t, rules, response, asked_s);
	if (claimed)
		t->we_refresh = true;
	confirm(t, now_ns, random);
}

bool session_timer_too_small(struct session_timer *t, const struct session_timer_headers *response)
{
	if (t->off || !response->has_min_se || response->min_se_s <= t->min_se_s ||
	    response->min_se_s > SESSION_INTERVAL_MAX_S)
		return false;
	t->min_se_s = response->min_se_s;
	return true;
}
