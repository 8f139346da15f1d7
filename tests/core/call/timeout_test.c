/* Waiting on a routing gateway, and the caps of a call that is up.  Spec 5 and 6. */
#include "calls.h"

struct wait {
	const char *parameters, *gateway; /* keys of the routing gateway */
	struct answer answer;
	uint64_t after_ns; /* from the INVITE to its end */
	unsigned code;     /* for the caller */
	enum cdr_end_reason reason;
};

static void check_wait(const struct wait *wait, unsigned row)
{
	char gateways[512];
	snprintf(gateways, sizeof gateways,
		 "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
		 "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} %s }\n",
		 wait->gateway);
	struct sim *sim = sim_new(.seed = SEED, .parameters = wait->parameters, .gateways = gateways);
	struct sim_call *call = sim_call_now(sim, .answers = { wait->answer });
	char final[32];
	snprintf(final, sizeof final, "%u INVITE", wait->code);
	sim_run(sim, 400 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, final), 1, "row %u: no %s", row, final);
	cr_assert_eq(cdr_of(call)->end_reason, wait->reason, "row %u: %s", row,
		     cdr_end_reason_name(cdr_of(call)->end_reason));
	cr_assert_eq(cdr_of(call)->sip_code, wait->code);
	cr_assert_eq(cdr_of(call)->attempts_count, 1);
	cr_assert_eq(cdr_of(call)->attempts[0].code, 0);
	/* What counts from a response is a way there and back later. */
	uint64_t waited_ns = sim_seen_ns(call, OUT_A, final, 0) - sim_seen_ns(call, OUT_B, "INVITE", 0);
	cr_assert(waited_ns >= wait->after_ns && waited_ns <= wait->after_ns + 2 * WAY_NS + SIM_MS, "row %u: %llu ms",
		  row, (unsigned long long)(waited_ns / SIM_MS));
	finish(sim);
}

#define TRYING                                                                                                         \
	{                                                                                                              \
		.never = true                                                                                          \
	}
#define RINGING                                                                                                        \
	{                                                                                                              \
		.ring_ns = SIM_S, .never = true                                                                        \
	}
#define PROGRESS                                                                                                       \
	{                                                                                                              \
		.progress_ns = SIM_S, .progress_bare = true, .never = true                                             \
	}
#define MEDIA                                                                                                          \
	{                                                                                                              \
		.progress_ns = SIM_S, .never = true                                                                    \
	}

Test(spec_6, each_state_of_an_attempt_has_its_time)
{
	static const struct wait rows[] = {
		{ "", "", { .silent = true }, 10 * SIM_S, 408, CDR_END_timeout_invite },
		{ "SS_SIP_TIMEOUT_INVITE = 3", "", { .silent = true }, 3 * SIM_S, 408, CDR_END_timeout_invite },
		{ "", "timeout_invite = 4", { .silent = true }, 4 * SIM_S, 408, CDR_END_timeout_invite },
		{ "", "", TRYING, 20 * SIM_S, 408, CDR_END_timeout_trying },
		{ "SS_SIP_TIMEOUT_TRYING = 5", "", TRYING, 5 * SIM_S, 408, CDR_END_timeout_trying },
		{ "", "timeout_trying = 6", TRYING, 6 * SIM_S, 408, CDR_END_timeout_trying },
		{ "", "", PROGRESS, 21 * SIM_S, 408, CDR_END_timeout_progress },
		{ "SS_SIP_TIMEOUT_SESSION_PROGRESS = 7", "", PROGRESS, 8 * SIM_S, 408, CDR_END_timeout_progress },
		{ "", "timeout_session_progress = 8", PROGRESS, 9 * SIM_S, 408, CDR_END_timeout_progress },
		{ "", "", MEDIA, 121 * SIM_S, 408, CDR_END_timeout_progress },
		{ "SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP = 9", "", MEDIA, 10 * SIM_S, 408, CDR_END_timeout_progress },
		{ "", "timeout_session_progress_sdp = 10", MEDIA, 11 * SIM_S, 408, CDR_END_timeout_progress },
		{ "", "", RINGING, 121 * SIM_S, 480, CDR_END_timeout_ringing },
		{ "SS_SIP_TIMEOUT_RINGING = 11", "", RINGING, 12 * SIM_S, 480, CDR_END_timeout_ringing },
		{ "", "timeout_ringing = 12", RINGING, 13 * SIM_S, 480, CDR_END_timeout_ringing },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_wait(&rows[i], i);
}

/* Ringing, and then a 183 with SDP: the newest state's timer runs its full time. */
Test(spec_6, the_newest_state_has_its_full_time)
{
	static const struct wait wait = { "SS_SIP_TIMEOUT_RINGING = 10\nSS_SIP_TIMEOUT_SESSION_PROGRESS_SDP = 15",
					  "",
					  { .ring_ns = 2 * SIM_S, .progress_ns = 6 * SIM_S, .never = true },
					  21 * SIM_S,
					  408,
					  CDR_END_timeout_progress };
	check_wait(&wait, 0);
}

/* A callee that repeats its 180 again and again is not waited for any longer. */
Test(spec_6, a_repeated_provisional_response_does_not_restart_the_time)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY, .parameters = "SS_SIP_TIMEOUT_RINGING = 10");
	struct sim_call *call = sim_call_now(sim, .answers = { { .ring_ns = SIM_S, .never = true } });
	for (unsigned i = 0; i < 8; i++) {
		sim_run(sim, SIM_S);
		peer_send_raw(sim, call->callees->host, call->callees->taken->response);
	}
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(call, IN_B, "180 INVITE"), 8);
	assert_after(sim_seen_ns(call, OUT_B, "CANCEL", 0), sim_seen_ns(call, IN_B, "180 INVITE", 0), 10 * SIM_S);
	finish(sim);
}

/* A hunt group: 183 without SDP, 180, and when that phone was not taken, 181 and the next one.  It rings on. */
Test(spec_6, going_back_to_a_state_takes_no_time_from_the_newer_one)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY,
				  .parameters = "SS_SIP_TIMEOUT_RINGING = 30 SS_SIP_TIMEOUT_SESSION_PROGRESS = 8");
	struct sim_call *call = sim_call_now(
		sim,
		.answers = { { .progress_ns = SIM_S, .progress_bare = true, .ring_ns = 3 * SIM_S, .never = true } });
	char forwarded[2048];
	sim_run(sim, 5 * SIM_S);
	cr_assert_eq(sim_seen(call, IN_B, "180 INVITE"), 1);
	struct bytes ringing = call->callees->taken->response;
	cr_assert(ringing.size < sizeof forwarded && memcmp(ringing.at, "SIP/2.0 180", 11) == 0);
	memcpy(forwarded, ringing.at, ringing.size);
	forwarded[10] = '1';
	for (unsigned i = 0; i < 3; i++) {
		peer_send_raw(sim, call->callees->host, (struct bytes){ forwarded, ringing.size });
		sim_run(sim, 5 * SIM_S);
	}
	cr_assert_eq(sim_seen(call, OUT_A, "181 INVITE"), 3);
	sim_run(sim, 60 * SIM_S);
	assert_after(sim_seen_ns(call, OUT_B, "CANCEL", 0), sim_seen_ns(call, IN_B, "180 INVITE", 0), 30 * SIM_S);
	cr_assert_eq(cdr_of(call)->end_reason, CDR_END_timeout_ringing);
	finish(sim);
}

/* Set-up as a whole, however many gateways: 408, or 480 when it rang. */
Test(spec_6, set_up_as_a_whole_has_an_end)
{
	static const struct {
		struct answer answers[SIM_CALLEES];
		unsigned code;
	} rows[] = {
		{ { { .silent = true }, { .silent = true }, { .silent = true } }, 408 },
		{ { { .silent = true }, { .ring_ns = SIM_S, .never = true } }, 480 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sim *sim = sim_new(.seed = SEED, .parameters = "RW_SETUP_MAX = 25");
		struct sim_call *call =
			sim_call_now(sim, .answers = { rows[i].answers[0], rows[i].answers[1], rows[i].answers[2] });
		sim_run(sim, 100 * SIM_S);
		char final[32];
		snprintf(final, sizeof final, "%u INVITE", rows[i].code);
		assert_after(sim_seen_ns(call, OUT_A, final, 0), sim_seen_ns(call, IN_A, "INVITE", 0), 25 * SIM_S);
		assert_reason(call, setup_timeout);
		finish(sim);
	}
}

/* ---- caps ---- */

static void check_cap(const char *parameters, const char *mapping, const char *routing, uint64_t cap_s,
		      enum cdr_end_reason reason)
{
	char gateways[512];
	snprintf(gateways, sizeof gateways,
		 "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} %s }\n"
		 "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} %s }\n",
		 mapping, routing);
	struct sim *sim = sim_new(.seed = SEED, .parameters = parameters, .gateways = gateways);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, (cap_s + 10) * SIM_S);
	uint64_t connected_ns = sim_seen_ns(call, IN_B, "200 INVITE", 0);
	assert_after(sim_seen_ns(call, OUT_A, "BYE", 0), connected_ns, cap_s * SIM_S);
	assert_after(sim_seen_ns(call, OUT_B, "BYE", 0), connected_ns, cap_s * SIM_S);
	cr_assert_eq(cdr_of(call)->end_reason, reason, "%s", cdr_end_reason_name(cdr_of(call)->end_reason));
	cr_assert_eq(cdr_of(call)->hold_ms, (int64_t)cap_s * 1000);
	cr_assert_eq(cdr_of(call)->end_side, CDR_SIDE_SWITCH);
	finish(sim);
}

Test(SS_SIP_NO_TIMER_REINVITE_INTERVAL, caps_a_call_without_session_timers)
{
	check_cap("", "", "", 7200, CDR_END_no_timer_cap);
	check_cap("SS_SIP_NO_TIMER_REINVITE_INTERVAL = 1800", "", "", 1800, CDR_END_no_timer_cap);
}

Test(RW_MAX_CALL_DURATION, the_smallest_cap_ends_the_call)
{
	check_cap("RW_MAX_CALL_DURATION = 100", "", "", 100, CDR_END_max_duration);
	check_cap("RW_MAX_CALL_DURATION = 100", "max_duration = 90", "max_duration = 95", 90, CDR_END_max_duration);
	check_cap("RW_MAX_CALL_DURATION = 100", "max_duration = 95", "max_duration = 80", 80, CDR_END_max_duration);
	check_cap("SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0", "max_duration = 9000", "", 9000, CDR_END_max_duration);
	check_cap("SS_SIP_NO_TIMER_REINVITE_INTERVAL = 60\nRW_MAX_CALL_DURATION = 100", "", "", 60,
		  CDR_END_no_timer_cap);
}

/* 0 is no cap: the call is up a day later. */
Test(SS_SIP_NO_TIMER_REINVITE_INTERVAL, zero_is_no_cap)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 0");
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(86400) });
	sim_run(sim, 86000 * SIM_S);
	cr_assert_eq(call->cdr_count, 0);
	sim_run(sim, 1000 * SIM_S);
	cr_assert_eq(cdr_of(call)->hold_ms, 86400002);
	finish(sim);
}
