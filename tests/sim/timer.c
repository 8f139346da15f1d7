/* RFC 4028 in the peers: what they say of session timers, their own refreshes, and what they make of the node's.  Every
 * sort of misbehaviour is a field of struct timer_script. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/peer.h"

#define AGAIN_NS   (5 * SIM_S) /* a refresh that had no success is sent again after this */
#define GUARD_S    32          /* RFC 4028 10: BYE this long before the end, or a third */
#define MIN_SE_S   90
#define ODD_LOW_S  20
#define ODD_HIGH_S 86000

static const struct timer_script *script_of(const struct ua *ua)
{
	return &ua->call->script.timers[!ua->is_caller];
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static bool is_up(const struct ua *ua)
{
	return ua->state == UA_UP && !ua->bye_sent && !ua->bye_taken && !ua->dead && !ua->rebooted;
}

/* ---- the window ---- */

struct window {
	struct ua *ua;
	unsigned generation;
};

static void refresh(struct sim *sim, void *context);
static void guard(struct sim *sim, void *context);

static struct window *window_of(struct ua *ua)
{
	struct window *window = sim_alloc(ua->sim, sizeof *window);
	*window = (struct window){ ua, ua->timer.generation };
	return window;
}

/* Confirmed: at half of the interval or somewhat before it is refreshed, near its end it is given up (7.4, 10). */
static void restart(struct ua *ua)
{
	const struct timer_script *script = script_of(ua);
	struct ua_timer *timer = &ua->timer;
	uint64_t now_ns = ua->sim->now_ns, interval_ns = timer->interval_s * SIM_S;
	timer->generation++;
	timer->confirmed_ns = now_ns;
	if (!timer->interval_s || !script->on)
		return;
	if (timer->we_refresh && !script->idle)
		sim_at(ua->sim, now_ns + interval_ns * (35 + sim_below(ua->sim, SIM_TRAFFIC, 16)) / 100, refresh,
		       window_of(ua));
	if (script->guards) {
		uint32_t before_s = timer->interval_s / 3 < GUARD_S ? timer->interval_s / 3 : GUARD_S;
		sim_at(ua->sim, now_ns + interval_ns - before_s * SIM_S, guard, window_of(ua));
	}
}

static void refresh(struct sim *sim, void *context)
{
	struct window *window = context;
	struct ua *ua = window->ua;
	if (!is_up(ua) || window->generation != ua->timer.generation)
		return;
	sim->counts.refreshes_by_peers++;
	dialog_step(ua, script_of(ua)->updates ? STEP_UPDATE_EMPTY : STEP_REINVITE_SAME);
	sim_at(sim, sim->now_ns + ua->timer.interval_s * SIM_S / 8 + AGAIN_NS, refresh, window);
}

static void guard(struct sim *sim, void *context)
{
	struct window *window = context;
	(void)sim;
	if (is_up(window->ua) && window->generation == window->ua->timer.generation) {
		sim->counts.guards++;
		dialog_hang_up(window->ua);
	}
}

/* ---- as UAC ---- */

static const char *role(char refresher)
{
	return refresher == 'c' ? ";refresher=uac" : refresher == 's' ? ";refresher=uas" : "";
}

static void add_allow(struct page *p, const struct timer_script *script)
{
	if (script->on || script->bare || script->updates)
		page_add(p, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE%s\r\n",
			 script->updates || script->update_code ? ", UPDATE" : "");
}

void timer_add_request(struct ua *ua, struct page *p, const char *method, bool initial)
{
	const struct timer_script *script = script_of(ua);
	struct ua_timer *timer = &ua->timer;
	uint32_t interval_s = initial ? script->interval_s : timer->interval_s;
	char refresher = initial ? script->refresher : timer->we_refresh ? 'c' : 's';
	(void)method;
	add_allow(p, script);
	if (script->on)
		page_add(p, "%s: timer\r\n", ua->call->serial % 2 ? "Supported" : "k");
	if (!script->on && !(script->bare && initial))
		return;
	if (!initial && script->swaps && sim_chance(ua->sim, SIM_TRAFFIC, 500000)) {
		refresher = refresher == 'c' ? 's' : 'c';
		ua->sim->counts.role_swaps += interval_s > 0;
	}
	if (!initial && script->small_s && !timer->small_tried && interval_s) {
		timer->small_tried = true;
		interval_s = script->small_s;
	}
	if (interval_s)
		page_add(p, "%s: %u%s\r\n", ua->call->serial % 3 ? "Session-Expires" : "x",
			 larger(interval_s, timer->min_se_s), role(refresher));
	if (script->min_se_s || timer->min_se_s)
		page_add(p, "Min-SE: %u\r\n", larger(script->min_se_s, timer->min_se_s));
}

void timer_confirmed(struct ua *ua, const struct sent *sent, const struct wire *w)
{
	(void)sent;
	ua->timer.interval_s = w->has_interval ? w->interval_s : 0; /* 7.2 */
	ua->timer.we_refresh = w->refresher == 'c';
	restart(ua);
}

/* A 422 of the node: whether there is something to try again with. */
bool timer_raised(struct ua *ua, const struct wire *w)
{
	if (!w->has_min_se || w->min_se_s <= ua->timer.min_se_s)
		return false;
	ua->timer.min_se_s = w->min_se_s;
	return true;
}

/* ---- as UAS ---- */

static enum odd_answer odd_of(const struct ua *ua, const struct taken *taken)
{
	const struct timer_script *script = script_of(ua);
	return taken->refresh ? script->later : script->odd;
}

void timer_add_answer(struct ua *ua, const struct taken *taken, const struct wire *w, struct page *p)
{
	const struct timer_script *script = ua->call ? script_of(ua) : NULL;
	if (!script || script->yes)
		return;
	add_allow(p, script);
	if (!script->on)
		return;
	enum odd_answer odd = odd_of(ua, taken);
	uint32_t interval_s = w->interval_s;
	char refresher = w->refresher;
	page_add(p, "Supported: timer\r\n");
	if (!w->has_interval || !w->timer_tag || odd == ODD_NOTHING) {
		if (!w->has_interval || odd == ODD_NOTHING)
			ua->timer.interval_s = 0;
		restart(ua);
		return;
	}
	if (script->interval_s && script->interval_s < interval_s)
		interval_s = larger(script->interval_s, larger(w->min_se_s, MIN_SE_S));
	if (interval_s > w->interval_s)
		interval_s = w->interval_s;
	if (!refresher || script->stubborn)
		refresher = script->refresher ? script->refresher : 'c';
	if (odd == ODD_NO_REFRESHER)
		refresher = 0;
	ua->timer.interval_s = odd == ODD_LOW ? ODD_LOW_S : odd == ODD_HIGH ? interval_s : odd ? 0 : interval_s;
	ua->timer.we_refresh = refresher == 's';
	if (odd == ODD_TEXT)
		page_add(p, "Session-Expires: soon\r\n");
	else
		page_add(p, "%sSession-Expires: %u%s\r\n", refresher ? "Require: timer\r\n" : "",
			 odd == ODD_LOW    ? ODD_LOW_S
			 : odd == ODD_ZERO ? 0
			 : odd == ODD_HIGH ? ODD_HIGH_S
					   : interval_s,
			 role(refresher));
	if (odd == ODD_LOW || odd == ODD_HIGH || odd == ODD_NO_REFRESHER) /* it goes by something else than it says */
		ua->timer.interval_s = 0;
	restart(ua);
}

static void answer_small(struct taken *taken, uint32_t min_se_s)
{
	char line[40];
	snprintf(line, sizeof line, "Min-SE: %u\r\n", min_se_s);
	peer_respond(taken, 422, line, BYTES_NONE);
}

bool timer_refuses_invite(struct ua *ua, struct taken *taken, const struct wire *w)
{
	const struct timer_script *script = ua->call ? script_of(ua) : NULL;
	if (!script || !script->min_se_s || !w->has_interval || w->interval_s >= script->min_se_s)
		return false;
	ua->too_small = true;
	ua->state = UA_ENDED;
	answer_small(taken, script->min_se_s);
	return true;
}

static void doze(struct sim *sim, void *context)
{
	struct ua *ua = context;
	uint32_t grace_s = sim->config->parameters.SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP;
	if (is_up(ua))
		dialog_sleep(ua, ua->timer.interval_s * SIM_S + grace_s * SIM_S / 2);
}

static const char *headers_of(unsigned status, struct ua *ua)
{
	return status == 503 || status == 500
		       ? sim_chance(ua->sim, SIM_TRAFFIC, 500000) ? "Retry-After: 3\r\n" : "Retry-After: 20 (busy)\r\n"
		       : NULL;
}

bool timer_refuses(struct ua *ua, struct taken *taken, const struct wire *w)
{
	const struct timer_script *script = script_of(ua);
	bool update = wire_method_is(w, "UPDATE");
	if (wire_method_is(w, "OPTIONS"))
		return script->no_options;
	if (!update && !wire_method_is(w, "INVITE"))
		return false;
	taken->refresh = update ? !w->body.size : bytes_equal(w->body, ua->offered);
	if (update && script->update_code) {
		peer_respond(taken, script->update_code, NULL, BYTES_NONE);
		return true;
	}
	if (!taken->refresh)
		return false;
	if (++ua->timer.refreshes == script->cross_at_refresh && is_up(ua))
		dialog_cross(ua);
	if (ua->timer.refreshes == script->bye_at_refresh && is_up(ua)) {
		ua->sim->counts.byes_at_refresh++;
		dialog_hang_up(ua);
	} else if (script->raised_s && w->has_interval && w->interval_s < script->raised_s) {
		answer_small(taken, script->raised_s);
		return true;
	} else if (script->failure && sim_chance(ua->sim, SIM_TRAFFIC, script->failure_percent * 10000)) {
		peer_respond(taken, script->failure, headers_of(script->failure, ua), BYTES_NONE);
		return true;
	}
	if (script->sleep_at_refresh && ua->timer.refreshes == script->sleep_at_refresh)
		sim_at(ua->sim, ua->sim->now_ns + SIM_MS, doze, ua);
	if (script->moves) {
		ua->contact++;
		ua->session += !update;
	}
	return false;
}
