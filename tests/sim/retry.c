#include "tests/sim/retry.h"

#include "tests/sim/offers.h"
#include "tests/sim/session.h"

#define SLACK_NS     SIM_MS /* a tick */
#define MAIL_NS      (200 * SIM_US)
#define TRIES_422    3
#define COLLISION_NS (510 * SIM_MS) /* half a second, and what the ticks of a minute of tries add */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t slack_ns(const struct sim *sim)
{
	return SLACK_NS + (sim->settings.mailbox ? MAIL_NS : 0);
}

static uint64_t end_ns(const struct session_leg *leg)
{
	return leg->window_ns + leg->interval_s * SIM_S;
}

static void expect(struct session_leg *leg, uint64_t earliest_ns, uint64_t latest_ns, bool regular)
{
	struct retry *retry = &leg->retry;
	retry->earliest_ns = earliest_ns;
	retry->latest_ns = latest_ns < end_ns(leg) ? latest_ns : 0;
	retry->regular = regular;
}

/* "Its Retry-After, or clamp(interval/10, 1 s, 30 s)." */
static void expect_by_rule(struct session_leg *leg, uint64_t failed_ns, uint64_t retry_after_s)
{
	uint64_t wait_ns = min_u64(leg->interval_s * SIM_S / 10, 30 * SIM_S);
	if (wait_ns < SIM_S)
		wait_ns = SIM_S;
	if (retry_after_s)
		wait_ns = min_u64(wait_ns, retry_after_s * SIM_S);
	expect(leg, failed_ns + wait_ns, failed_ns + wait_ns, true);
}

static uint64_t seconds_of(struct bytes text)
{
	uint64_t seconds = 0;
	for (uint32_t i = 0; i < text.size && text.at[i] >= '0' && text.at[i] <= '9' && seconds < UINT32_MAX; i++)
		seconds = seconds * 10 + (unsigned)(text.at[i] - '0');
	return seconds;
}

void retry_failed(struct sim *sim, struct session_leg *leg, const struct session_note *note, const struct wire *w,
		  bool grows)
{
	struct retry *retry = &leg->retry;
	bool update = wire_method_is(w, "UPDATE");
	if (retry->current != note)
		return; /* replaced, or overtaken by a refresh of the peer */
	retry->current = NULL;
	if (!leg->interval_s)
		return;
	if (!leg->we_refresh) {
		retry->latest_ns = 0;
	} else if ((update && (w->status == 405 || w->status == 501 || w->status == 488)) ||
		   (w->status == 422 && retry->tries_422 < TRIES_422 && grows)) {
		expect(leg, sim->now_ns, sim->now_ns, false);
		retry->tries_422 += w->status == 422;
	} else if (sim->now_ns >= end_ns(leg)) {
		retry->latest_ns = 0;
	} else if (w->status == 491) {
		expect(leg, sim->now_ns + (leg->callee_side ? 2100 * SIM_MS : 0),
		       sim->now_ns + (leg->callee_side ? 4 : 2) * SIM_S, false);
	} else {
		expect_by_rule(leg, sim->now_ns, seconds_of(w->retry_after));
	}
}

/* No answer for 64*T1 is a failure at that moment. */
static void note_silence(const struct sim *sim, struct session_leg *leg, uint64_t now_ns)
{
	const struct session_note *current = leg->retry.current;
	uint64_t silent_ns = current ? current->at_ns + sim->config->parameters.RW_SIP_T1 * 64 * SIM_MS : 0;
	if (!current || current->answered || current->has_provisional || now_ns <= silent_ns || !leg->interval_s ||
	    !leg->we_refresh || silent_ns >= end_ns(leg))
		return;
	leg->retry.current = NULL;
	expect_by_rule(leg, silent_ns, 0);
}

/* In the last tenth of a segment, the first excepted that has had its own. */
static bool is_regular(const struct session_leg *leg, uint64_t at_ns, uint64_t slack)
{
	uint64_t segment_ns = leg->refresh_s * SIM_S / leg->segments, since_ns = at_ns - leg->window_ns;
	uint64_t rest_ns = segment_ns - (since_ns - min_u64(since_ns, slack)) % segment_ns;
	return at_ns >= end_ns(leg) || rest_ns <= segment_ns / 10 + 2 * slack;
}

static void check(struct sim *sim, struct sim_call *call, const struct session_leg *leg, uint64_t at_ns, bool sent)
{
	const struct retry *retry = &leg->retry;
	uint64_t slack = slack_ns(sim);
	if (!retry->latest_ns || leg->disturbed)
		return;
	/* What a mailbox handed over counts from when it came to the node. */
	if (sent && at_ns + (sim->settings.mailbox ? MAIL_NS : 0) < retry->earliest_ns &&
	    !(retry->regular && is_regular(leg, at_ns, slack)))
		sim_fail(sim, call, "failed-refresh-is-tried-again", "%llu ms too early",
			 (unsigned long long)((retry->earliest_ns - at_ns) / SIM_MS));
	else if (at_ns > retry->latest_ns + slack)
		sim_fail(sim, call, "failed-refresh-is-tried-again", "not in time, %llu ms ago",
			 (unsigned long long)((at_ns - retry->latest_ns) / SIM_MS));
}

/* The first refresh of a window may have had to wait for another offer: no longer than that. */
static void check_postponed(struct sim *sim, struct sim_call *call, const struct session_leg *leg, uint64_t at_ns,
			    bool sent)
{
	if (!leg->interval_s || !leg->we_refresh || leg->sent || leg->may_retry || !leg->offers)
		return;
	uint64_t due_ns = leg->window_ns + leg->refresh_s * SIM_S / leg->segments,
		 free_ns = offers_free_ns(leg->offers, sent);
	if (free_ns == UINT64_MAX)
		return;
	uint64_t latest_ns = free_ns + COLLISION_NS > due_ns ? free_ns + COLLISION_NS : due_ns;
	if (latest_ns < end_ns(leg) && at_ns > latest_ns + slack_ns(sim))
		sim_fail(sim, call, "a-refresh-waits-no-longer-than-it-must", "%llu ms too late",
			 (unsigned long long)((at_ns - latest_ns) / SIM_MS));
}

void retry_sent(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct session_note *note,
		bool exact)
{
	struct retry *retry = &leg->retry;
	note_silence(sim, leg, sim->now_ns);
	if (exact) {
		check_postponed(sim, call, leg, sim->now_ns, true);
		check(sim, call, leg, sim->now_ns, true);
	}
	if (!retry->latest_ns || sim->now_ns > retry->earliest_ns + MAIL_NS)
		retry->tries_422 = 0;
	retry->latest_ns = 0;
	retry->current = note;
}

void retry_over(struct sim *sim, struct sim_call *call, struct session_leg *leg, uint64_t at_ns, bool exact)
{
	note_silence(sim, leg, at_ns);
	if (exact) {
		check_postponed(sim, call, leg, at_ns, false);
		check(sim, call, leg, at_ns, false);
	}
	leg->retry.latest_ns = 0;
}
