/* Which routing gateway comes next, and whether one does: spec 7.  Each criterion decides in turn while those before it
 * are equal. */
#include <stdarg.h>
#include <string.h>

#include "reconfigure.h"

/* Three callees on three hosts; what differs is put in. */
#define MG(more)    "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " more " }\n"
#define RG(n, more) "routing_gateway \"rg" #n "\" { address = \"10.2.0." #n ":5060\" " more " }\n"
#define ALL_880(more)                                                                                                  \
	RG(1, "prefix = {\"880\"} " more) RG(2, "prefix = {\"880\"} " more) RG(3, "prefix = {\"880\"} " more)

#define REFUSES                                                                                                        \
	{                                                                                                              \
		.code = 503                                                                                            \
	}

/* Rings, is answered, and hangs up `seconds` after that; by then the next call may have been placed. */
static struct sim_call *place(struct sim *sim, unsigned seconds)
{
	struct sim_call *call =
		sim_call_now(sim, .answers = { ANSWERS, ANSWERS, ANSWERS }, .steps = { HANGS_UP(seconds) });
	sim_run(sim, 3 * SIM_S);
	return call;
}

/* No gateway takes it. */
static struct sim_call *place_refused(struct sim *sim)
{
	struct sim_call *call = sim_call_now(sim, .answers = { REFUSES, REFUSES, REFUSES });
	sim_run(sim, 3 * SIM_S);
	return call;
}

/* The gateways that a call has tried, in order: "rg2 rg1". */
static void assert_tried(const struct sim_call *call, const char *names)
{
	char text[256] = "";
	const struct cdr *cdr = cdr_of(call);
	for (unsigned i = 0; i < cdr->attempts_count; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? " " : "",
			 (int)cdr->attempts[i].gateway.size, cdr->attempts[i].gateway.at);
	cr_assert_str_eq(text, names, "tried %s, not %s", text, names);
}

/* The first gateway of each of some calls, by the last digit of its name: "1223". */
static void assert_sequence(struct sim_call *const *calls, unsigned count, const char *digits)
{
	char text[64] = "";
	cr_assert_eq(strlen(digits), count);
	for (unsigned i = 0; i < count; i++) {
		const struct cdr_text *name = &cdr_of(calls[i])->attempts[0].gateway;
		text[i] = name->at[name->size - 1];
	}
	cr_assert_str_eq(text, digits, "%s, not %s", text, digits);
}

/* ---- order ---- */

Test(spec_7_order, smaller_priority_first)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"880\"} priority = 3")
							RG(2, "prefix = {\"880\"} priority = 2")
								RG(3, "prefix = {\"880\"} priority = 1"));
	assert_tried(place_refused(sim), "rg3 rg2 rg1");
	finish(sim);
}

/* The longer prefix counts more than the smaller priority. */
Test(spec_7_order, longer_prefix_before_smaller_priority)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = "prefix_mode = \"continue\"\n" MG("")
							RG(1, "prefix = {\"880\"} priority = 1")
								RG(2, "prefix = {\"8800\"} priority = 2")
									RG(3, "prefix = {\"\"} priority = 0"));
	assert_tried(place_refused(sim), "rg2 rg1 rg3");
	finish(sim);
}

/* calls/capacity: 1/10 is more than 2/30, and the same as 3/30; then the one with fewer calls so far. */
Test(spec_7_order, smaller_share_of_the_capacity_in_use_first)
{
	struct sim_call *calls[9];
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"880\"} capacity = 10")
							RG(2, "prefix = {\"880\"} capacity = 30"));
	for (unsigned i = 0; i < 9; i++)
		calls[i] = place(sim, 100);
	sim_run(sim, 200 * SIM_S);
	assert_sequence(calls, 9, "122212221");
	finish(sim);
}

/* Many that are full are passed over in one go: two gateways of each priority, behind each other on two prefixes. */
Test(spec_7_order, holds_over_many_full_gateways)
{
	enum { GATEWAYS = 60 };
	static char gateways[GATEWAYS * 128];
	struct sim_call *calls[GATEWAYS + 1];
	size_t used = (size_t)snprintf(gateways, sizeof gateways, "prefix_mode = \"continue\"\n" MG(""));
	for (unsigned i = GATEWAYS; i-- > 0;)
		used += (size_t)snprintf(gateways + used, sizeof gateways - used,
					 "routing_gateway \"g%02u\" { address = \"10.2.0.1:5060\" prefix = {\"%s\"} "
					 "priority = %u capacity = 1 }\n",
					 i, i < GATEWAYS / 2 ? "8800" : "880", i < GATEWAYS / 2 ? 50 + i / 2 : i / 2);
	struct sim *sim = sim_new(.seed = SEED, .gateways = gateways);
	sim->attempts_unseen = true; /* all have the same address */
	for (unsigned i = 0; i <= GATEWAYS; i++)
		calls[i] = place(sim, 1000);
	sim_run(sim, 1200 * SIM_S);
	for (unsigned i = 0; i < GATEWAYS; i++) {
		char name[8];
		snprintf(name, sizeof name, "g%02u", i);
		assert_tried(calls[i], name);
	}
	assert_tried(calls[GATEWAYS], "");
	assert_reason(calls[GATEWAYS], capacity);
	finish(sim);
}

/* A share that no decimals tell from another: 1 of 3 and 33 of 100. */
Test(spec_7_order, shares_are_compared_exactly)
{
	struct sim_call *calls[37];
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"880\"} capacity = 3")
							RG(2, "prefix = {\"880\"} capacity = 100"));
	for (unsigned i = 0; i < 37; i++)
		calls[i] = place(sim, 300);
	sim_run(sim, 500 * SIM_S);
	/* The second one of rg1 is due when 34/100 of rg2 are in use, which is more than 1/3. */
	assert_sequence(calls, 37, "1222222222222222222222222222222222212");
	finish(sim);
}

/* A gateway without capacity has an endless one: whatever its calls, it is less busy than another that has one. */
Test(spec_7_order, no_capacity_is_an_endless_one)
{
	struct sim_call *calls[6];
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"880\"} capacity = 1000000")
							RG(2, "prefix = {\"880\"}"));
	for (unsigned i = 0; i < 5; i++)
		calls[i] = place(sim, i == 0 ? 30 : 100);
	sim_run(sim, 40 * SIM_S);
	calls[5] = place(sim, 10); /* the other has no call now */
	sim_run(sim, 200 * SIM_S);
	assert_sequence(calls, 6, "122221");
	finish(sim);
}

/* The same the other way round: the one with a capacity is the second by name. */
Test(spec_7_order, no_capacity_before_a_capacity_with_calls)
{
	struct sim_call *calls[5];
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"880\"}")
							RG(2, "prefix = {\"880\"} capacity = 1000000"));
	for (unsigned i = 0; i < 5; i++)
		calls[i] = place(sim, 100);
	sim_run(sim, 200 * SIM_S);
	assert_sequence(calls, 5, "12111");
	finish(sim);
}

/* Two of them go by their calls: one that is new to the configuration gets its part, and not all. */
Test(spec_7_order, two_without_capacity_compare_by_their_calls)
{
	struct sim_call *calls[9];
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"880\"}"));
	for (unsigned i = 0; i < 5; i++)
		calls[i] = place(sim, 1);
	sim_run(sim, 5 * SIM_S);
	reconfigure(sim, NULL, MG("") RG(1, "prefix = {\"880\"}") RG(2, "prefix = {\"880\"}"));
	for (unsigned i = 5; i < 9; i++)
		calls[i] = place(sim, 100);
	sim_run(sim, 200 * SIM_S);
	assert_sequence(calls, 9, "111112121");
	finish(sim);
}

/* Calls that are over count as well: equal gateways take turns, on any number of shards. */
Test(spec_7_order, fewest_calls_so_far_is_strict_alternation)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim_call *calls[12];
		struct sim *sim = sim_new(.seed = SEED + shards, .shards = shards, .mailbox = shards & 1,
					  .gateways = MG("") ALL_880(""));
		for (unsigned i = 0; i < 12; i++) {
			calls[i] = place(sim, 1);
			sim_run(sim, 5 * SIM_S);
		}
		assert_sequence(calls, 12, "123123123123");
		finish(sim);
	}
}

/* Nothing else tells them apart: not the order in the file. */
Test(spec_7_order, name_at_last)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(3, "prefix = {\"880\"}")
							RG(2, "prefix = {\"880\"}") RG(1, "prefix = {\"880\"}"));
	assert_tried(place_refused(sim), "rg1 rg2 rg3");
	finish(sim);
}

/* ---- prefix_mode ---- */

#define MODE(mode) (mode) ? "prefix_mode = \"" : "", (mode) ? (mode) : "", (mode) ? "\"" : ""

/* rg1 and rg2 have the longest prefix; rg1's mode is given, rg2 says nothing. */
static void check_mode(const char *node, const char *mapping, const char *routing, bool goes_on)
{
	char gateways[2048];
	snprintf(gateways, sizeof gateways,
		 "%s%s%s\nmapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} %s%s%s }\n"
		 "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"88000\"} %s%s%s }\n"
		 "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"88000\"} }\n"
		 "routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"\"} }\n",
		 MODE(node), MODE(mapping), MODE(routing));
	struct sim *sim = sim_new(.seed = SEED, .gateways = gateways);
	assert_tried(place_refused(sim), goes_on ? "rg1 rg2 rg3" : "rg1 rg2");
	finish(sim);
}

Test(spec_7_prefix_mode, who_decides)
{
	static const char go_on[] = "continue", stop[] = "terminate";
	check_mode(NULL, NULL, NULL, false); /* the default */
	check_mode(stop, NULL, NULL, false);
	check_mode(go_on, NULL, NULL, true);
	check_mode(NULL, NULL, go_on, true); /* a gateway's own word is enough */
	check_mode(stop, NULL, go_on, true);
	check_mode(go_on, NULL, stop, true);   /* the other one still has the node's */
	check_mode(go_on, stop, go_on, false); /* and the mapping gateway overrules them */
	check_mode(stop, go_on, stop, true);
}

/* One that has a shorter prefix as well is not tried again for that. */
Test(spec_7_prefix_mode, continue_each_gateway_once)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("prefix_mode = \"continue\"")
							RG(1, "prefix = {\"8800\", \"880\", \"\"}")
								RG(2, "prefix = {\"88\"}") RG(3, "prefix = {\"\"}"));
	assert_tried(place_refused(sim), "rg1 rg2 rg3");
	finish(sim);
}

/* With terminate the gateways of a shorter prefix do not stand in for those that are skipped. */
Test(spec_7_prefix_mode, terminate_skipped_gateways_open_no_shorter_prefix)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("") RG(1, "prefix = {\"8800\"} capacity = 1")
							RG(2, "prefix = {\"880\"}"));
	struct sim_call *first = place(sim, 10), *second = place(sim, 10);
	sim_run(sim, 20 * SIM_S);
	assert_tried(first, "rg1");
	assert_tried(second, "");
	assert_reason(second, capacity);
	cr_assert_eq(cdr_of(second)->sip_code, 503);
	cr_assert_eq(cdr_of(second)->q850, 34);
	finish(sim);
}

Test(spec_7_prefix_mode, continue_full_gateways_are_passed_over)
{
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = "prefix_mode = \"continue\"\n" MG("")
					      RG(1, "prefix = {\"8800\"} capacity = 1") RG(2, "prefix = {\"880\"}"));
	struct sim_call *first = place(sim, 10), *second = place(sim, 10);
	sim_run(sim, 20 * SIM_S);
	assert_tried(first, "rg1");
	assert_tried(second, "rg2");
	finish(sim);
}

/* ---- allow, deny ---- */

Test(spec_7_allow, only_the_named_gateways)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("allow = {\"rg3\", \"rg2\"}") ALL_880(""));
	assert_tried(place_refused(sim), "rg2 rg3");
	finish(sim);
}

Test(spec_7_deny, all_but_the_named_gateways)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("deny = {\"rg3\", \"rg1\"}") ALL_880(""));
	assert_tried(place_refused(sim), "rg2");
	finish(sim);
}

/* Every subset of nine gateways, as a list to search: the ids found are exactly those. */
Test(spec_7_allow, every_list_of_names)
{
	for (unsigned subset = 0; subset < 512; subset += 7) {
		char gateways[4096], want[256] = "";
		size_t size = (size_t)snprintf(gateways, sizeof gateways,
					       "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} deny = {\"none\"");
		for (unsigned i = 0; i < 9; i++)
			if (!(subset >> i & 1))
				size += (size_t)snprintf(gateways + size, sizeof gateways - size, ", \"g%u\"", i);
		size += (size_t)snprintf(gateways + size, sizeof gateways - size, "} }\n");
		for (unsigned i = 0; i < 9; i++) {
			size += (size_t)snprintf(gateways + size, sizeof gateways - size,
						 "routing_gateway \"g%u\" { address = \"10.2.0.1:5060\" }\n", i);
			if (subset >> i & 1)
				snprintf(want + strlen(want), sizeof want - strlen(want), "%sg%u", *want ? " " : "", i);
		}
		snprintf(gateways + size, sizeof gateways - size,
			 "routing_gateway \"none\" { address = \"10.2.0.1:5060\" }\n");
		struct sim *sim = sim_new(.seed = SEED, .gateways = gateways);
		assert_tried(place_refused(sim), want);
		sim_destroy(sim);
	}
}

/* That none may be used is no route at all; that none is free is another matter. */
Test(spec_7_deny, nothing_allowed_is_no_route)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("deny = {\"rg1\", \"rg2\", \"rg3\"}") ALL_880(""));
	struct sim_call *call = place(sim, 10);
	assert_reason(call, no_route);
	cr_assert_eq(cdr_of(call)->sip_code, 404);
	finish(sim);
}

/* The gateways of the longest prefix are denied, and it ends the search; or it does not. */
Test(spec_7_deny, a_denied_prefix_and_shorter_ones)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("deny = {\"rg1\"}") RG(1, "prefix = {\"8800\"}")
							RG(2, "prefix = {\"880\"}"));
	assert_reason(place(sim, 10), no_route);
	finish(sim);
	sim = sim_new(.seed = SEED, .gateways = MG("deny = {\"rg1\"} prefix_mode = \"continue\"")
					    RG(1, "prefix = {\"8800\"}") RG(2, "prefix = {\"880\"}"));
	struct sim_call *call = place(sim, 10);
	sim_run(sim, 20 * SIM_S);
	assert_tried(call, "rg2");
	finish(sim);
}

/* A reload takes the mapping gateway away while its call waits for an answer: nothing says any more what it may use. */
Test(spec_7_allow, a_mapping_gateway_that_has_gone_may_use_none)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG("deny = {\"rg2\"}") ALL_880(""));
	struct sim_call *call = sim_call_now(sim, .answers = { { .silent = true }, ANSWERS, ANSWERS });
	sim_run(sim, 5 * SIM_S);
	reconfigure(sim, NULL, "mapping_gateway \"other\" { address = {\"10.1.0.0/16\"} }\n" ALL_880(""));
	sim_run(sim, 10 * SIM_S);
	assert_tried(call, "rg1");
	assert_reason(call, timeout_invite);
	finish(sim);
}

/* ---- sort ---- */

/* rg1 refuses all calls, the other two answer all. */
static struct sim_call *place_where_rg1_refuses(struct sim *sim)
{
	struct sim_call *call = sim_call_now(sim, .answers = { REFUSES, ANSWERS, ANSWERS }, .steps = { HANGS_UP(1) });
	sim_run(sim, 10 * SIM_S);
	return call;
}

/* The calls that rg1 was tried with. */
static void check_asr(const char *parameters, const char *mapping, const char *sequence)
{
	char gateways[1024];
	struct sim_call *calls[9];
	snprintf(gateways, sizeof gateways, "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} %s }\n%s", mapping,
		 ALL_880(""));
	struct sim *sim = sim_new(.seed = SEED, .shards = 3, .parameters = parameters, .gateways = gateways);
	for (unsigned i = 0; i < 9; i++)
		calls[i] = place_where_rg1_refuses(sim);
	assert_sequence(calls, 9, sequence);
	finish(sim);
}

/* Each gateway is tried once, since nothing is known of it; then those that answer take turns. */
Test(spec_7_sort, asr_the_larger_share_of_answers_first)
{
	check_asr(NULL, "sort = {\"asr\"}", "132323232");
	check_asr(NULL, "sort = {\"price\", \"asr\"}", "132323232");
}

/* Without it calls so far decide: rg1 is tried again and again. */
Test(spec_7_sort, no_policy_asr_does_not_matter)
{
	check_asr(NULL, "", "131313131");
	check_asr(NULL, "sort = {\"price\"}", "131313131");
}

Test(spec_7_sort, asr_without_SS_GATEWAY_QUALITY_CALCULATE_is_none)
{
	check_asr("SS_GATEWAY_QUALITY_CALCULATE = off", "sort = {\"asr\"}", "131313131");
}

/* Priority stands before it. */
Test(spec_7_sort, asr_comes_after_priority)
{
	struct sim_call *calls[4];
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = MG("sort = {\"asr\"}") RG(1, "prefix = {\"880\"} priority = 1")
					      RG(2, "prefix = {\"880\"} priority = 2"));
	for (unsigned i = 0; i < 4; i++)
		calls[i] = place_where_rg1_refuses(sim);
	assert_sequence(calls, 4, "1111");
	finish(sim);
}

/* And before load: the gateway that answers gets all calls, however busy it is. */
Test(spec_7_sort, asr_comes_before_load)
{
	struct sim_call *calls[5];
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = MG("sort = {\"asr\"}") RG(1, "prefix = {\"880\"} capacity = 1000")
					      RG(2, "prefix = {\"880\"} capacity = 10"));
	for (unsigned i = 0; i < 5; i++) {
		calls[i] = sim_call_now(sim, .answers = { REFUSES, ANSWERS }, .steps = { HANGS_UP(100) });
		sim_run(sim, 10 * SIM_S);
	}
	sim_run(sim, 200 * SIM_S);
	assert_sequence(calls, 5, "12222");
	finish(sim);
}

/* Of one gateway nothing is known, as its call still rings: it counts as one that answers all, although by load it
 * would be the second. */
static void check_unknown(bool rings_first, const char *sequence)
{
	static const struct answer rings = { .ring_ns = 100 * SIM_MS, .never = true }, busy = { .code = 486 };
	struct sim_call *calls[3];
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = MG("sort = {\"asr\"}") RG(1, "prefix = {\"880\"} capacity = 10")
					      RG(2, "prefix = {\"880\"} capacity = 10"));
	for (unsigned i = 0; i < 3; i++) {
		calls[i] = sim_call_now(sim, .cancel_ns = 60 * SIM_S,
					.answers = { rings_first ? rings : busy, rings_first ? busy : rings });
		sim_run(sim, 5 * SIM_S);
	}
	sim_run(sim, 100 * SIM_S);
	assert_sequence(calls, 3, sequence);
	finish(sim);
}

Test(spec_7_sort, asr_unknown_counts_as_the_best)
{
	check_unknown(false, "122");
	check_unknown(true, "121");
}

/* SS_GATEWAY_QUALITY_RESERVE_TIME: when its failures have dropped out, it is tried again. */
Test(spec_7_sort, asr_is_forgotten_with_the_window)
{
	struct sim_call *calls[5];
	struct sim *sim =
		sim_new(.seed = SEED,
			.parameters = "SS_GATEWAY_QUALITY_RESERVE_TIME = 60\n"
				      "SS_GATEWAY_QUALITY_RESERVE_SEPARATE = 2",
			.gateways = MG("sort = {\"asr\"}") RG(1, "prefix = {\"880\"}") RG(2, "prefix = {\"880\"}"));
	for (unsigned i = 0; i < 3; i++)
		calls[i] = place_where_rg1_refuses(sim);
	sim_run(sim, 60 * SIM_S);
	for (unsigned i = 3; i < 5; i++)
		calls[i] = place_where_rg1_refuses(sim);
	assert_sequence(calls, 5, "12212");
	finish(sim);
}

/* ---- what is counted of an attempt ---- */

static struct quality quality_of(const struct sim *sim, const char *gateway)
{
	struct quality q;
	const struct quality_books books = { sim->qualities, sim->shard_count };
	quality_read(&books, sim->now_ns, gateway_id(GATEWAY_ROUTING, gateway), &q);
	return q;
}

/* One is answered after 2 s and holds 30 s, one is refused at once, but for a 422 and a second INVITE, one rings in
 * vain until the caller has enough, one gets no answer at all: that has no delay. */
Test(spec_7_sort, asr_acd_and_pdd_are_of_the_gateway)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2, .gateways = MG("") RG(1, "prefix = {\"880\"}"));
	sim_call_now(sim, .answers = { { .ring_ns = 500 * SIM_MS, .final_ns = 2 * SIM_S } }, .steps = { HANGS_UP(30) });
	sim_call_now(sim, .timers = { [1] = { .on = true, .min_se_s = 1200 } },
		     .answers = { { .final_ns = 100 * SIM_MS, .code = 404 } });
	sim_call_now(sim, .cancel_ns = 20 * SIM_S, .answers = { { .ring_ns = 900 * SIM_MS, .never = true } });
	sim_call_now(sim, .answers = { { .silent = true } });
	sim_run(sim, 10 * SIM_S);
	struct quality q = quality_of(sim, "rg1");
	cr_assert_eq(q.attempts, 2); /* decided by now: the others are under way */
	sim_run(sim, 50 * SIM_S);
	q = quality_of(sim, "rg1");
	cr_assert_eq(q.attempts, 4);
	cr_assert_eq(q.answered, 1);
	cr_assert_eq(q.replied, 3);
	cr_assert_eq(q.pdd_ms, 500 + 100 + 900 + 4 * 2 * (WAY_NS / SIM_MS));
	cr_assert_eq(q.ended, 1);
	cr_assert(q.hold_ms >= 30000 && q.hold_ms <= 30010, "%llu", (unsigned long long)q.hold_ms);
	finish(sim);
}
