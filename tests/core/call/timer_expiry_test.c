/* The end: windows that run out, the last refresh, caps, probes of legs without timers, durations.  RFC 4028 10; spec 5
 * "Expiry", "Non-timer callers", "Every call", "Parameters change for calls that start after the change". */
#include "script.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/call/state.h"

#define NO_CAP         "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0\n"
#define OURS(interval) .ok = CALLEE_TIMED("Session-Expires: " interval ";refresher=uac")
#define GATEWAYS(mapping, routing)                                                                                     \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " mapping " }\n"                                         \
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} " routing " }\n"

/* RFC 4028 10; SS_SIP_SESSION_TTL 600, 2 segments.  The caller's host dies after its ACK: we refresh at 300 s at the
 * latest, hear nothing, and end both legs at 600 s, not earlier, with one CDR (known bugs 3, 22, 29). */
Test(rfc4028_10, bug_3_22_29_dead_caller_is_refreshed_then_hung_up)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 600"));
	d->a.gone = true;
	run_until(d, d->up_ns + 301 * SIM_S);
	assert_segment(refresh(&d->a, 0), d->up_ns, 600, 2, 1);
	assert_expires(d, d->up_ns + 600 * SIM_S);
	assert_last_confirmed(d, d->up_ns);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A);
	over(d);
}

/* The callee dies later, after windows that were confirmed; the caller's leg is well. */
Test(rfc4028_10, dead_callee_takes_both_legs_down_a_window_after_its_last_answer)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 600"), OURS("600"));
	run_until(d, d->up_ns + 2000 * SIM_S);
	d->b.gone = true;
	unsigned n = refreshes(&d->b);
	uint64_t confirmed_ns = refresh(&d->b, n - 1)->replied_ns;
	assert_expires(d, confirmed_ns + 600 * SIM_S);
	uint64_t caller_ns = refresh(&d->a, refreshes(&d->a) - 1)->replied_ns;
	assert_last_confirmed(d, caller_ns > confirmed_ns ? caller_ns : confirmed_ns);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A | CDR_TIMER_B);
	over(d);
}

/* ---- SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP ---- */

static const char *grace(unsigned seconds)
{
	static char text[160];
	snprintf(text, sizeof text, NO_CAP "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = %u", seconds);
	return text;
}

Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, zero_hangs_up_at_once)
{
	struct duel *d = duel_up(.parameters = grace(0), OURS("300"));
	d->b.gone = true;
	assert_expires(d, d->up_ns + 300 * SIM_S);
	over(d);
}

Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, one_last_refresh_and_bye_so_many_seconds_later)
{
	static const unsigned seconds[] = { 1, 5, 60 };
	for (unsigned i = 0; i < 3; i++) {
		struct duel *d = duel_up(.parameters = grace(seconds[i]), OURS("300"));
		d->b.gone = true;
		run_until(d, d->up_ns + 300 * SIM_S - 1);
		unsigned before = refreshes(&d->b);
		run(d, 3 * SIM_MS);
		cr_assert_eq(refreshes(&d->b), before + 1);
		assert_after(refresh(&d->b, before)->at_ns, d->up_ns, 300 * SIM_S);
		assert_header(refresh(&d->b, before), "Session-Expires", "300;refresher=uac");
		assert_expires(d, d->up_ns + (300 + seconds[i]) * SIM_S);
		cr_assert_eq(refreshes(&d->b), before + 1, "one last refresh");
		cr_assert_eq(cdr_of(d->call)->refreshes_sent, before + 1);
		over(d);
	}
}

Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, one_last_refresh_rescues)
{
	struct duel *d = duel_up(.parameters = grace(5), OURS("300"));
	answers(&d->b.update, "-");
	run_until(d, d->up_ns + 300 * SIM_S - SIM_MS);
	unsigned before = refreshes(&d->b);
	answers(&d->b.update, "200");
	d->b.answer_ns = 4900 * SIM_MS;
	run_until(d, d->up_ns + 306 * SIM_S);
	cr_assert_eq(refreshes(&d->b), before + 1);
	uint64_t confirmed_ns = refresh(&d->b, before)->replied_ns;
	d->b.answer_ns = 0;
	run_until(d, confirmed_ns + 151 * SIM_S);
	assert_segment(refresh(&d->b, before + 1), confirmed_ns, 300, 2, 1);
	over(d);
}

/* RFC 3261 14.1: an INVITE that is passed on is open at that moment.  It is refused in the grace; then the last refresh
 * goes out, and rescues. */
Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, one_last_refresh_waits_for_another_offer)
{
	struct duel *d = duel_up(.parameters = grace(20), OURS("300"));
	answers(&d->b.update, "-");
	answers(&d->b.invite, "488");
	run_until(d, d->up_ns + 299 * SIM_S);
	unsigned before = count(&d->b, "UPDATE");
	d->b.answer_ns = 5 * SIM_S;
	const struct said *invite = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run_until(d, d->up_ns + 303 * SIM_S);
	cr_assert_eq(count(&d->b, "UPDATE"), before);
	answers(&d->b.update, "200");
	run_until(d, d->up_ns + 330 * SIM_S);
	cr_assert_eq(status_of(invite), 488);
	cr_assert_eq(count(&d->b, "UPDATE"), before + 1);
	cr_assert_eq(nth(&d->b, "UPDATE", before)->at_ns, invite->last->at_ns);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	over(d);
}

/* It replaces a pending one, here the retry of about 85 s, whose late 2xx rescues as well. */
Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, a_late_answer_to_the_refresh_before_rescues_too)
{
	struct duel *d = duel_up(.parameters = grace(60), OURS("90"));
	answers(&d->b.update, "-", "200", "-");
	d->b.answer_ns = 20 * SIM_S;
	run_until(d, d->up_ns + 92 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 3);
	uint64_t confirmed_ns = refresh(&d->b, 1)->at_ns + 20 * SIM_S + 2 * WAY_NS;
	d->b.answer_ns = 0;
	run_until(d, confirmed_ns + SIM_S);
	cr_assert_eq(refresh(&d->b, 1)->replied_ns, confirmed_ns);
	d->b.gone = true;
	assert_expires(d, confirmed_ns + 150 * SIM_S);
	assert_last_confirmed(d, confirmed_ns);
	over(d);
}

/* An answer that is no 2xx does not. */
Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, a_refusal_of_the_last_refresh_is_no_rescue)
{
	struct duel *d = duel_up(.parameters = grace(10), OURS("300"));
	answers(&d->b.update, "500");
	assert_expires(d, d->up_ns + 310 * SIM_S);
	over(d);
}

/* The peer that should refresh comes late, but within the grace. */
Test(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, a_refresh_of_the_peer_rescues)
{
	struct duel *d = duel_up(.parameters = grace(10), .ok = CALLEE_TIMED("Session-Expires: 300;refresher=uas"));
	answers(&d->b.update, "-");
	run_until(d, d->up_ns + 305 * SIM_S);
	say(&d->b, "UPDATE", "Supported: timer\nSession-Expires: 300;refresher=uac\n", BYTES_NONE);
	run(d, 60 * SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	over(d);
}

/* ---- callers without timers ---- */

static const char *cap(unsigned seconds, const char *more)
{
	static char text[200];
	snprintf(text, sizeof text, "SS_SIP_NO_TIMER_REINVITE_INTERVAL = %u\n%s", seconds, more);
	return text;
}

/* From connect, whatever the callee proves; the caller is not refreshed. */
Test(SS_SIP_NO_TIMER_REINVITE_INTERVAL, ends_the_call_of_a_caller_without_timers)
{
	static const unsigned seconds[] = { 1, 1000, 7200, 604800 };
	for (unsigned i = 0; i < 4; i++) {
		struct duel *d = duel_up(.parameters = cap(seconds[i], "SS_SIP_SESSION_TTL = 86400"), OURS("86400"));
		assert_ends(d, d->up_ns + seconds[i] * SIM_S, CDR_END_no_timer_cap);
		cr_assert_eq(refreshes(&d->a), 0);
		over(d);
	}
}

/* Beyond the largest value there is. */
Test(SS_SIP_NO_TIMER_REINVITE_INTERVAL, zero_is_no_cap)
{
	struct duel *d = duel_up(.parameters = cap(0, "RW_MAX_CALL_DURATION = 0"));
	run_until(d, d->up_ns + 700000 * SIM_S);
	cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 0);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->end_reason, CDR_END_normal);
	over(d);
}

/* "A non-timer callee is unproven, and nothing is done about it." */
Test(SS_SIP_NO_TIMER_REINVITE_INTERVAL, does_not_concern_a_callee_without_timers)
{
	struct duel *d = duel_up(.parameters = cap(500, ""), .invite = CALLER_TIMED("Session-Expires: 600"));
	run_until(d, d->up_ns + 20000 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 0);
	cr_assert_eq(count(&d->b, "OPTIONS"), 0);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->session_timer, CDR_TIMER_A);
	over(d);
}

/* ---- probes ---- */

static const char *probes(unsigned seconds)
{
	static char text[200];
	snprintf(text, sizeof text, NO_CAP "RW_NO_TIMER_PROBE_INTERVAL = %u", seconds);
	return text;
}

Test(RW_NO_TIMER_PROBE_INTERVAL, each_leg_without_a_timer_is_asked_that_often)
{
	static const unsigned seconds[] = { 1, 60, 86400 };
	for (unsigned i = 0; i < 3; i++) {
		struct duel *d = duel_up(.parameters = probes(seconds[i]));
		run_until(d, d->up_ns + (10 * seconds[i]) * SIM_S + SIM_S / 2);
		cr_assert_eq(count(&d->a, "OPTIONS"), 10);
		cr_assert_eq(count(&d->b, "OPTIONS"), 10);
		assert_after(nth(&d->a, "OPTIONS", 0)->at_ns, d->up_ns, seconds[i] * SIM_S);
		assert_after(nth(&d->b, "OPTIONS", 0)->at_ns, d->up_ns, seconds[i] * SIM_S);
		cr_assert_gt(nth(&d->b, "OPTIONS", 0)->w.to_tag.size, 0);
		hang_up(d);
		cr_assert_eq(cdr_of(d->call)->refreshes_sent, 0);
		over(d);
	}
}

Test(RW_NO_TIMER_PROBE_INTERVAL, zero_asks_nobody_and_timed_legs_are_not_asked)
{
	struct duel *d = duel_up(.parameters = probes(0));
	run(d, 7000 * SIM_S);
	cr_assert_eq(count(&d->a, "OPTIONS") + count(&d->b, "OPTIONS"), 0);
	over(d);
	d = duel_up(.parameters = probes(60), OURS("600"));
	run(d, 1000 * SIM_S);
	cr_assert_eq(count(&d->a, "OPTIONS"), 16);
	cr_assert_eq(count(&d->b, "OPTIONS"), 0);
	over(d);
}

Test(RW_NO_TIMER_PROBE_INTERVAL, any_other_answer_is_one)
{
	struct duel *d = duel_up(.parameters = probes(60));
	answers(&d->b.options, "405", "501", "200", "488", "500");
	run(d, 1000 * SIM_S);
	cr_assert_eq(count(&d->b, "OPTIONS"), 16);
	over(d);
}

Test(RW_NO_TIMER_PROBE_INTERVAL, a_408_or_481_ends_the_call)
{
	static const char *const codes[] = { "408", "481" };
	for (unsigned i = 0; i < 4; i++) {
		struct duel *d = duel_up(.parameters = probes(60));
		struct party *peer = i & 1 ? &d->a : &d->b;
		answers(&peer->options, "200", codes[i / 2]);
		run_until(d, d->up_ns + 121 * SIM_S);
		uint64_t lost_ns = nth(peer, "OPTIONS", 1)->replied_ns;
		assert_after(nth(&d->a, "BYE", 0)->at_ns, lost_ns, 0);
		assert_after(nth(&d->b, "BYE", 0)->at_ns, lost_ns, 0);
		assert_reason(d->call, dialog_lost);
		cr_assert_eq(cdr_of(d->call)->end_side, i & 1 ? CDR_SIDE_CALLER : CDR_SIDE_CALLEE);
		over(d);
	}
}

/* Asked at 60 s, answered; at 120 s and 180 s silent: at 240 s the second silence is known. */
Test(RW_NO_TIMER_PROBE_INTERVAL, two_silences_end_a_leg_that_has_answered_before)
{
	struct duel *d = duel_up(.parameters = probes(60));
	answers(&d->b.options, "200", "-");
	run_until(d, d->up_ns + 200 * SIM_S);
	uint64_t first_ns = nth(&d->b, "OPTIONS", 0)->at_ns;
	cr_assert_eq(count(&d->b, "OPTIONS"), 3);
	run_until(d, first_ns + 180 * SIM_S - SIM_MS);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	run(d, 10 * SIM_MS);
	cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 2);
	assert_reason(d->call, dialog_lost);
	over(d);
}

Test(RW_NO_TIMER_PROBE_INTERVAL, one_silence_between_answers_is_forgiven)
{
	struct duel *d = duel_up(.parameters = probes(60));
	answers(&d->b.options, "200", "-", "200", "-", "200", "-", "200");
	run(d, 1000 * SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	over(d);
}

Test(RW_NO_TIMER_PROBE_INTERVAL, a_leg_that_never_answers_is_left_alone)
{
	struct duel *d = duel_up(.parameters = probes(60));
	answers(&d->b.options, "-");
	run(d, 2000 * SIM_S);
	cr_assert_eq(count(&d->b, "OPTIONS"), 2);
	cr_assert_eq(count(&d->a, "OPTIONS"), 33); /* the other leg is asked on */
	cr_assert_eq(count(&d->b, "BYE"), 0);
	cr_assert_eq(d->sim->log_lines, 1);
	cr_assert(strstr(d->sim->last_log, "event=probing_stopped") && strstr(d->sim->last_log, "leg=b"), "%s",
		  d->sim->last_log);
	over(d);
}

/* It would overtake our 200, which the caller has not heard yet. */
Test(RW_NO_TIMER_PROBE_INTERVAL, a_caller_is_not_asked_before_its_ack)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY, .parameters = probes(1));
	struct duel *d = script_call_in(sim, &(struct plan){ .seed = SEED });
	d->a.no_ack = true;
	run(d, 10 * SIM_S);
	cr_assert_eq(count(&d->a, "OPTIONS"), 0);
	cr_assert_geq(count(&d->b, "OPTIONS"), 8);
	say_numbered(&d->a, "ACK", (uint32_t)atoi(header(nth(&d->a, "200 INVITE", 0), "CSeq")), "", BYTES_NONE);
	run(d, 10 * SIM_S);
	cr_assert_geq(count(&d->a, "OPTIONS"), 4);
	over(d);
}

/* Silent once; then there is no transaction for the next OPTIONS, which is no second silence. */
Test(RW_NO_TIMER_PROBE_INTERVAL, a_probe_that_is_not_sent_is_no_silence)
{
	struct duel *d = duel_up(.parameters = probes(60));
	struct shard *s = d->sim->shards[0].shard;
	answers(&d->b.options, "200", "-", "200");
	run_until(d, d->up_ns + 150 * SIM_S);
	cr_assert_eq(count(&d->b, "OPTIONS"), 2);
	uint32_t reserve = s->transaction_reserve;
	s->transaction_reserve = s->transactions.size;
	run_until(d, d->up_ns + 210 * SIM_S);
	s->transaction_reserve = reserve;
	cr_assert_eq(count(&d->b, "OPTIONS"), 2);
	run_until(d, d->up_ns + 310 * SIM_S);
	cr_assert_eq(count(&d->b, "OPTIONS"), 4);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	over(d);
}

/* ---- durations ---- */

/* The smallest ends the call, beside timers that are well. */
Test(RW_MAX_CALL_DURATION, the_smallest_of_all_ends_a_call_with_timers_too)
{
	static const struct {
		const char *parameters, *gateways;
		unsigned seconds;
	} rows[] = {
		{ "RW_MAX_CALL_DURATION = 1", GATEWAYS("", ""), 1 },
		{ "RW_MAX_CALL_DURATION = 604800", GATEWAYS("", ""), 604800 },
		{ "RW_MAX_CALL_DURATION = 1000", GATEWAYS("max_duration = 900", "max_duration = 950"), 900 },
		{ "RW_MAX_CALL_DURATION = 1000", GATEWAYS("max_duration = 1200", "max_duration = 950"), 950 },
		{ "", GATEWAYS("", "max_duration = 950"), 950 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct duel *d = duel_up(.parameters = rows[i].parameters, .gateways = rows[i].gateways,
					 .invite = CALLER_TIMED("Session-Expires: 600"), OURS("600"));
		assert_ends(d, d->up_ns + rows[i].seconds * SIM_S, CDR_END_max_duration);
		over(d);
	}
}

/* A window that ends before the cap is the end, and a cap that ends before the window. */
Test(RW_MAX_CALL_DURATION, the_earlier_of_window_and_cap_is_the_end)
{
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_up(.parameters = i ? "RW_MAX_CALL_DURATION = 299" : "RW_MAX_CALL_DURATION = 301",
					 OURS("300"));
		d->b.gone = true;
		if (i)
			assert_ends(d, d->up_ns + 299 * SIM_S, CDR_END_max_duration);
		else
			assert_expires(d, d->up_ns + 300 * SIM_S);
		over(d);
	}
}

/* ---- parameters change ---- */

static struct config *another_config(const char *parameters)
{
	char path[] = "/tmp/ringwheel-timer-XXXXXX", error[512];
	struct config *config = NULL;
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	dprintf(fd, "node = \"sim\"\nlisten \"main\" { address = \"10.0.0.1\" port = 5060 }\nparameters {\n%s\n}\n%s",
		parameters, ONE_GATEWAY);
	close(fd);
	int result = config_load(path, &config, error);
	unlink(path);
	cr_assert_eq(result, 0, "%s", error);
	return config;
}

Test(spec_5, parameters_change_for_calls_that_start_after_the_change)
{
	struct plan plan = { .invite = CALLER_TIMED("Session-Expires: 1800"), OURS("600") };
	struct duel *old = script_call_up(&plan);
	struct config *config = another_config(
		"SS_SIP_SESSION_TTL = 200\nSS_SIP_SESSION_UPDATE_SEGMENT = 4\nRW_MAX_CALL_DURATION = 800\n"
		"SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = 10");
	struct shard *shard = old->sim->shards[0].shard;
	const struct config *before = shard->config;
	shard->config = config;
	struct duel *new = script_call_in(old->sim, &plan);
	run(old, 2 * SIM_S);
	assert_header(nth(&new->a, "200 INVITE", 0), "Session-Expires", "200;refresher=uas");
	assert_header(nth(&new->b, "INVITE", 0), "Session-Expires", "200;refresher=uac");
	answers(&new->a.update, "200");
	answers(&new->b.update, "200");
	run_until(old, old->up_ns + 301 * SIM_S);
	assert_segment(refresh(&old->a, 0), old->up_ns, 600, 2, 1);
	assert_segment(refresh(&new->a, 0), new->up_ns, 200, 4, 1);
	assert_ends(new, new->up_ns + 800 * SIM_S, CDR_END_max_duration);
	run(old, SIM_S);
	uint64_t confirmed_ns = refresh(&old->b, refreshes(&old->b) - 1)->replied_ns;
	old->b.gone = true;
	assert_expires(old, confirmed_ns + 600 * SIM_S); /* no grace of 10 s */
	shard->config = before;
	over(old);
	config_free(config);
}
