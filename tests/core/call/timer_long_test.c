/* Session timers over long calls, losses and the peers of others (known
 * bugs 8, 17) and what a retransmission may not do.  RFC 4028 10; spec 5. */
#include "script.h"

/* known bug 8: no refresher named: one is, and a short call leaves nothing armed. */
Test(rfc4028_9, bug_8_short_calls_leave_no_timer)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 1800"));
	assert_header(nth(&d->a, "200 INVITE", 0), "Session-Expires", "600;refresher=uas");
	hang_up(d);
	unsigned messages = d->call->log_count;
	run(d, 100 * SIM_S);
	cr_assert_eq(node_stat(d->sim, timers_armed), 0);
	run(d, 4000 * SIM_S);
	cr_assert_eq(d->call->log_count, messages);
	over(d);
}

/* known bug 17: the next switch is as we are: each leg has one refresher over ten intervals, and no glare. */
Test(rfc4028_10, bug_17_a_switch_like_us_on_both_sides_keeps_one_refresher_a_leg)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 600;refresher=uac\nMin-SE: 90"),
				 .ok = CALLEE_TIMED("Session-Expires: 600;refresher=uac"));
	answers(&d->b.update, TIMED_200);
	for (unsigned i = 0; i < 20; i++) {
		run(d, (i & 1 ? 271 : 299) * SIM_S);
		const struct said *update =
			say(&d->a, "UPDATE", "Supported: timer\nSession-Expires: 600;refresher=uac\nMin-SE: 90\n",
			    BYTES_NONE);
		run(d, SIM_S);
		cr_assert_eq(status_of(update), 200);
		assert_header(update->last, "Session-Expires", "600;refresher=uac");
	}
	cr_assert_eq(refreshes(&d->a), 0);
	cr_assert_geq(refreshes(&d->b), 19);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->refreshes_sent, cdr_of(d->call)->refreshes_confirmed);
	over(d);
}

/* A refresh whose first datagrams are lost is sent again as it was; it is one try, and its 2xx confirms. */
Test(rfc3261_17_1_2, a_lost_refresh_is_sent_again_and_counted_once)
{
	struct duel *d = duel_up(.ok = CALLEE_TIMED("Session-Expires: 300;refresher=uac"),
				 .parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0");
	run_until(d, d->up_ns + 134 * SIM_S);
	d->b.host->from_node.down = true;
	run_until(d, d->up_ns + 152 * SIM_S);
	d->b.host->from_node.down = false;
	run(d, 10 * SIM_S);
	cr_assert_eq(refreshes(&d->b), 1);
	uint64_t confirmed_ns = refresh(&d->b, 0)->replied_ns;
	d->b.gone = true;
	assert_expires(d, confirmed_ns + 300 * SIM_S);
	assert_last_confirmed(d, confirmed_ns);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 1);
	over(d);
}

/* A peer that can send and not hear: its refreshes are answered into the void, but they prove it alive. */
Test(rfc4028_9, a_peer_that_hears_nothing_is_alive_while_it_refreshes)
{
	struct duel *d = duel_up(.ok = CALLEE_TIMED("Session-Expires: 300;refresher=uas"),
				 .parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0");
	d->b.host->from_node.down = true;
	for (unsigned i = 0; i < 10; i++) {
		run(d, 150 * SIM_S);
		say(&d->b, "UPDATE", "Supported: timer\nSession-Expires: 300;refresher=uac\n", BYTES_NONE);
	}
	run(d, SIM_S);
	cr_assert_eq(d->call->cdr_count, 0);
	d->b.host->from_node.down = false;
	over(d);
}

/* A wall clock that jumps moves no deadline. */
Test(spec_5, a_step_of_the_clock_moves_no_window)
{
	struct duel *d = duel_up(.ok = CALLEE_TIMED("Session-Expires: 300;refresher=uac"),
				 .parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0");
	d->b.gone = true;
	run(d, 100 * SIM_S);
	sim_step_clock(d->sim, INT64_C(3600) * 1000000);
	assert_expires(d, d->up_ns + 300 * SIM_S);
	over(d);
}

/* Hundreds of windows of the shortest kind on both legs: to the tick each time, and every one confirmed. */
Test(spec_5, hours_of_refreshes_are_exact)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 90"),
				 .ok = CALLEE_TIMED("Session-Expires: 90;refresher=uac"));
	uint64_t a_ns = d->up_ns, b_ns = d->up_ns;
	run_until(d, d->up_ns + 8000 * SIM_S);
	for (unsigned i = 0; i < 170; i++) {
		assert_segment(refresh(&d->a, i), a_ns, 90, 2, 1);
		assert_segment(refresh(&d->b, i), b_ns, 90, 2, 1);
		a_ns = refresh(&d->a, i)->replied_ns;
		b_ns = refresh(&d->b, i)->replied_ns;
	}
	unsigned sent = refreshes(&d->a) + refreshes(&d->b);
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, sent);
	over(d);
}
