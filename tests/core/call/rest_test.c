/* Retry-After of a routing gateway, and gateways with several addresses.  Spec 6; RFC 3261 21.5.4, RFC 3263 4.3. */
#include "core/call/rest.h"

#include "calls.h"

#define BUSY(retry_after)                                                                                              \
	{                                                                                                              \
		.code = 503, .headers = "Retry-After: " retry_after "\r\n"                                             \
	}

static const struct answer takes = { .final_ns = 10 * SIM_MS };

static bool went_to(const struct sim_call *call, unsigned attempt, const char *gateway)
{
	const struct cdr *cdr = cdr_of(call);
	return cdr->attempts_count > attempt &&
	       wire_is((struct bytes){ cdr->attempts[attempt].gateway.at, cdr->attempts[attempt].gateway.size },
		       gateway);
}

/* A call that the first two gateways would take; at a time of its own. */
static struct sim_call *call_at_second(struct sim *sim, uint64_t begun_ns, uint64_t after_ms)
{
	sim_run_until(sim, begun_ns + after_ms * SIM_MS);
	struct sim_call *call = sim_call_now(sim, .answers = { takes, takes, takes }, .steps = { HANGS_UP(1) });
	return call;
}

struct rest_row {
	const char *parameters;
	struct answer answer;
	uint64_t rests_ms; /* 0: not at all */
};

/* The 503 reaches the node two ways after the INVITE: a call before the end goes to the second gateway, one after it to
 * the first again. */
static void check_rest(const struct rest_row *row, unsigned i)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = row->parameters);
	struct sim_call *first = sim_call_now(sim, .answers = { row->answer, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 50 * SIM_MS);
	uint64_t begun_ns = sim_seen_ns(first, OUT_B, "INVITE", 0) + 2 * WAY_NS;
	struct sim_call *soon = call_at_second(sim, begun_ns, 100), *late = NULL, *after = NULL;
	if (row->rests_ms) {
		late = call_at_second(sim, begun_ns, row->rests_ms - 5);
		after = call_at_second(sim, begun_ns, row->rests_ms + 101);
	}
	sim_run(sim, 10 * SIM_S);
	cr_assert(went_to(first, 1, "rg2"));
	cr_assert(went_to(soon, 0, row->rests_ms ? "rg2" : "rg1"), "row %u", i);
	cr_assert(!late || went_to(late, 0, "rg2"), "row %u: it does not rest long enough", i);
	cr_assert(!after || went_to(after, 0, "rg1"), "row %u: it rests too long", i);
	cr_assert_eq(cdr_of(soon)->attempts_count, 1);
	finish(sim);
}

Test(RW_RETRY_AFTER_MAX, bounds_the_rest_that_a_503_asks_for)
{
	static const struct rest_row rows[] = {
		{ "", BUSY("5"), 5000 },
		{ "", BUSY("18 (in maintenance);duration=3600"), 18000 },
		{ "", BUSY("60"), 60000 },
		{ "", BUSY("61"), 60000 },
		{ "", BUSY("99999999999999999999"), 60000 },
		{ "RW_RETRY_AFTER_MAX = 7", BUSY("60"), 7000 },
		{ "RW_RETRY_AFTER_MAX = 0", BUSY("60"), 0 },
		{ "", BUSY("0"), 0 },
		{ "", BUSY("soon"), 0 },
		{ "", { .code = 503 }, 0 },
		{ "", { .code = 500, .headers = "Retry-After: 60\r\n" }, 0 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_rest(&rows[i], i);
}

/* By its address, as the online check names one that is down. */
Test(RFC_3261_21_5_4, the_log_says_which_address_rests)
{
	struct sim *sim = sim_new(.seed = SEED);
	sim_call_now(sim, .answers = { BUSY("30"), takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 100 * SIM_MS);
	cr_assert_str_eq(sim->last_log, "event=gateway_rests gateway=rg1 address=10.2.0.1:5060 seconds=30");
	sim_run(sim, 10 * SIM_S);
	finish(sim);
}

/* A gateway that rests is skipped: that is no switch. */
Test(SS_GATEWAY_SWITCH_LIMIT, does_not_count_a_gateway_that_rests)
{
	struct sim *sim = sim_new(.seed = SEED, .parameters = "SS_GATEWAY_SWITCH_LIMIT = 1");
	struct answer refuses = { .code = 500 };
	sim_call_now(sim, .answers = { BUSY("30"), takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, SIM_S);
	struct sim_call *call = sim_call_now(sim, .answers = { takes, refuses, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 10 * SIM_S);
	cr_assert(went_to(call, 0, "rg2") && went_to(call, 1, "rg3"));
	cr_assert_eq(cdr_of(call)->sip_code, 200);
	finish(sim);
}

/* No gateway is free: as when all are full. */
Test(spec_4, when_all_rest_the_caller_gets_503_with_cause_34)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY);
	struct sim_call *first = sim_call_now(sim, .answers = { BUSY("30") });
	sim_run(sim, SIM_S);
	cr_assert_eq(cdr_of(first)->sip_code, 503);
	assert_reason(first, rejected);
	struct sim_call *second = sim_call_now(sim, .answers = { takes });
	sim_run(sim, SIM_S);
	cr_assert_eq(cdr_of(second)->sip_code, 503);
	cr_assert_eq(cdr_of(second)->q850, 34);
	cr_assert_eq(cdr_of(second)->attempts_count, 0);
	assert_reason(second, capacity);
	finish(sim);
}

/* The one shard that was told tells the others, in nanoseconds of the clock that they share. */
Test(spec_6, every_shard_lets_it_rest)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 4);
	uint32_t id = gateway_id(GATEWAY_ROUTING, "rg1");
	struct sim_call *first = sim_call_now(sim, .answers = { BUSY("20"), takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, SIM_S);
	uint64_t until_ns = sim_seen_ns(first, IN_B, "503 INVITE", 0) + 20 * SIM_S;
	for (unsigned i = 0; i < 4; i++) {
		struct shard *s = sim->shards[i].shard;
		uint64_t at_ns = rest_until_ns(s, id, 0);
		cr_assert(at_ns >= until_ns && at_ns < until_ns + 100 * SIM_MS, "shard %u: %llu us", i,
			  (unsigned long long)at_ns / 1000);
		cr_assert(rest_is_resting(s, id));
		cr_assert_not(rest_is_resting(s, gateway_id(GATEWAY_ROUTING, "rg2")));
	}
	struct sim_call *calls[20];
	for (unsigned i = 0; i < 20; i++)
		calls[i] = sim_call_now(sim, .answers = { takes, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 30 * SIM_S);
	for (unsigned i = 0; i < 20; i++)
		cr_assert(went_to(calls[i], 0, "rg2"));
	finish(sim);
}

/* A shorter rest that is asked for later does not end the longer one, whoever hears of which first. */
Test(spec_6, the_longest_rest_stands)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct shard *s = sim->shards[0].shard;
	uint32_t id = gateway_id(GATEWAY_ROUTING, "rg1");
	static const uint64_t asked_s[] = { 3, 9, 5 }, stands_s[] = { 3, 9, 9 };
	for (unsigned i = 0; i < 3; i++) {
		struct note note = { .kind = NOTE_REST, .a = id, .b = sim->now_ns + asked_s[i] * SIM_S };
		shard_note(s, sim->now_ns, &note);
		cr_assert(rest_until_ns(s, id, 0) >= sim->now_ns + stands_s[i] * SIM_S &&
			  rest_until_ns(s, id, 0) < sim->now_ns + (stands_s[i] + 1) * SIM_S);
	}
	finish(sim);
}

/* ---- several addresses ---- */

#define TWO_ADDRESSES                                                                                                  \
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"                                                     \
	"routing_gateway \"pair\" { address = {\"10.2.0.1:5060\", \"10.2.0.2:5060\"} priority = 1 capacity = 3 }\n"    \
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" priority = 2 }\n"

/* Which failures of the first address the second one is tried after. */
Test(rfc3263_4_3, the_next_address_follows_on_silence_and_503)
{
	static const struct {
		const char *parameters;
		struct answer first;
		const char *second; /* where the second attempt goes; NULL: there is none */
	} rows[] = {
		{ "", { .silent = true }, "pair" },
		{ "", { .code = 503 }, "pair" },
		{ "SS_GATEWAY_SWITCH_LIMIT = 1", { .code = 503 }, "pair" },
		{ "", { .code = 500 }, "rg3" },
		{ "", { .code = 404 }, "rg3" },
		{ "", { .never = true }, "rg3" }, /* 100, and then nothing */
		{ "", { .code = 486 }, NULL },
		{ "", { .code = 603 }, NULL },
		/* What the caller has heard counts as for any other attempt. */
		{ "", { .ring_ns = SIM_MS, .final_ns = SIM_S, .code = 503 }, NULL },
		{ "", { .progress_ns = SIM_MS, .final_ns = SIM_S, .code = 503 }, NULL },
		{ "SS_GATEWAY_SWITCH_UNTIL_CONNECT = on",
		  { .ring_ns = SIM_MS, .final_ns = SIM_S, .code = 503 },
		  "pair" },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sim *sim = sim_new(.seed = SEED, .gateways = TWO_ADDRESSES, .parameters = rows[i].parameters);
		struct sim_call *call =
			sim_call_now(sim, .answers = { rows[i].first, takes, takes }, .steps = { HANGS_UP(1) });
		sim_run(sim, 60 * SIM_S);
		cr_assert_eq(cdr_of(call)->attempts_count, rows[i].second ? 2 : 1, "row %u: %u attempts", i,
			     cdr_of(call)->attempts_count);
		cr_assert(went_to(call, 0, "pair"));
		cr_assert(!rows[i].second || went_to(call, 1, rows[i].second), "row %u", i);
		finish(sim);
	}
}

/* Both addresses fail, then the next gateway: one switch.  The record names the last address. */
Test(SS_GATEWAY_SWITCH_LIMIT, does_not_count_another_address)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = TWO_ADDRESSES, .parameters = "SS_GATEWAY_SWITCH_LIMIT = 1");
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .code = 503 }, { .silent = true }, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 60 * SIM_S);
	const struct cdr *cdr = cdr_of(call);
	cr_assert_eq(cdr->attempts_count, 3);
	cr_assert(went_to(call, 0, "pair") && went_to(call, 1, "pair") && went_to(call, 2, "rg3"));
	cr_assert(cdr->attempts[0].code == 503 && cdr->attempts[1].code == 0 && cdr->attempts[2].code == 200);
	cr_assert(
		wire_is((struct bytes){ cdr->destination_address.at, cdr->destination_address.size }, "10.2.0.3:5060"));
	finish(sim);
}

/* One line, whichever address it is used for; given back with the last one. */
Test(capacity, the_line_is_kept_from_one_address_to_the_next)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = TWO_ADDRESSES, .shards = 3);
	struct sim_call *up = sim_call_now(sim, .answers = { { .code = 503 }, takes }, .steps = { HANGS_UP(10) });
	struct sim_call *cancelled = sim_call_now(sim, .cancel_ns = 5 * SIM_S,
						  .answers = { { .code = 503 }, { .ring_ns = SIM_MS, .never = true } });
	struct sim_call *moved_on =
		sim_call_now(sim, .answers = { { .code = 503 }, { .code = 503 }, takes }, .steps = { HANGS_UP(10) });
	sim_run(sim, 2 * SIM_S);
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "pair"), 2);
	sim_run(sim, 5 * SIM_S);
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "pair"), 1);
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(node_lines(sim, GATEWAY_ROUTING, "pair"), 0);
	cr_assert(went_to(up, 1, "pair") && went_to(cancelled, 1, "pair") && went_to(moved_on, 2, "rg3"));
	finish(sim);
}

/* The address that asked for a rest is left out, its neighbour is used; both rest: the gateway is skipped. */
Test(spec_6, it_is_the_address_that_rests)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = TWO_ADDRESSES);
	struct sim_call *first = sim_call_now(sim, .answers = { BUSY("30"), takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 3 * SIM_S);
	cr_assert(went_to(first, 1, "pair"));
	struct sim_call *second = sim_call_now(sim, .answers = { takes, BUSY("10"), takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 3 * SIM_S);
	cr_assert_eq(sim_seen(second, OUT_B, "INVITE"), 2);
	cr_assert(went_to(second, 0, "pair") && went_to(second, 1, "rg3"));
	struct sim_call *third = sim_call_now(sim, .answers = { takes, takes, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 10 * SIM_S);
	cr_assert(went_to(third, 0, "rg3"));
	struct sim_call *fourth = sim_call_now(sim, .answers = { takes, takes, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 3 * SIM_S);
	const struct cdr *cdr = cdr_of(fourth);
	cr_assert(
		went_to(fourth, 0, "pair") &&
		wire_is((struct bytes){ cdr->destination_address.at, cdr->destination_address.size }, "10.2.0.2:5060"));
	finish(sim);
}

/* The machine has no way to the first address: the second is tried at once. */
Test(rfc3261_18_4, the_next_address_follows_on_an_error_of_the_transport)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = TWO_ADDRESSES, .parameters = "SS_GATEWAY_SWITCH_LIMIT = 1");
	struct sim_call *call =
		sim_call_now(sim, .answers = { { .silent = true }, takes, takes }, .steps = { HANGS_UP(1) });
	sim_run(sim, 100 * SIM_MS);
	call->excused = true; /* its code is not a response's */
	shard_undeliverable(sim->shards[0].shard, sim->now_ns, call->callees->taken->request);
	sim_run(sim, 10 * SIM_S);
	cr_assert(went_to(call, 0, "pair") && went_to(call, 1, "pair"));
	cr_assert_eq(cdr_of(call)->attempts[0].code, 503);
	cr_assert_eq(cdr_of(call)->attempts[0].ms, 99);
	cr_assert_eq(cdr_of(call)->sip_code, 200);
	finish(sim);
}
