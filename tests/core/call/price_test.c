/* Routing gateways by the price of the number: sort = {"price"}, least_cost, max_price and min_profit_percent (spec 7
 * and 10).  Each account has a rate table of its own, which stands in for data_dir/ringwheel.db. */
#include <string.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "calls.h"

#define MG(more)    "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " more " }\n"
#define RG(n, more) "routing_gateway \"rg" #n "\" { address = \"10.2.0." #n ":5060\" account = \"v" #n "\" " more " }\n"
#define PAYS        "account = \"customer\" "
#define ALL(more)   RG(1, more) RG(2, more) RG(3, more)

#define REFUSES                                                                                                        \
	{                                                                                                              \
		.code = 503                                                                                            \
	}

/* The rate a minute of all numbers that begin so; for euros unless it says so. */
struct priced {
	const char *account, *prefix, *rate, *currency;
	int64_t from_us, to_us; /* 0: no bound */
};

static uint32_t table_of(struct tariff_builder *b, const char *name, const char *currency)
{
	struct account account = { .id = gateway_id(GATEWAY_ACCOUNT, name), .overdraft_e8 = OVERDRAFT_UNLIMITED };

	cr_assert_eq(tariff_add_table(b, name, &account.table), 0);
	strcpy(account.name, name);
	strcpy(account.currency, currency ? currency : "EUR");
	cr_assert_eq(tariff_add_account(b, &account), 0);
	return account.table;
}

static struct tariff *make_tariff(const struct priced *rows)
{
	struct tariff_builder *b;
	struct tariff *tariff;
	uint32_t table = 0;

	cr_assert_eq(tariff_begin(&b), 0);
	for (const struct priced *row = rows; row->account; row++) {
		struct rate rate = { .prefix = row->prefix,
				     .prefix_size = (uint32_t)strlen(row->prefix),
				     .from_us = row->from_us ? row->from_us : INT64_MIN,
				     .to_us = row->to_us ? row->to_us : INT64_MAX };

		cr_assert(money_parse(row->rate, strlen(row->rate), &rate.terms.rate_e8));
		if (row == rows || strcmp(row->account, row[-1].account) != 0)
			table = table_of(b, row->account, row->currency);
		cr_assert_eq(tariff_add_rate(b, table, &rate), 0);
	}
	cr_assert_eq(tariff_finish(b, &tariff), 0);
	return tariff;
}

static struct sim *new_sim(const char *gateways, const struct priced *rows)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 3, .gateways = gateways);

	sim->config->tariff = make_tariff(rows);
	return sim;
}

#define PRICES(...)                                                                                                    \
	((const struct priced[]){ __VA_ARGS__, { "customer", "", "1", NULL, 0, 0 }, { NULL, NULL, NULL, NULL, 0, 0 } })

/* No gateway takes it: it tries all that it may. */
static struct sim_call *place(struct sim *sim)
{
	struct sim_call *call = sim_call_now(sim, .answers = { REFUSES, REFUSES, REFUSES });

	sim_run(sim, 5 * SIM_S);
	return call;
}

static void assert_tried(const struct sim_call *call, const char *names)
{
	char text[256] = "";
	const struct cdr *cdr = cdr_of(call);

	for (unsigned i = 0; i < cdr->attempts_count; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? " " : "",
			 (int)cdr->attempts[i].gateway.size, cdr->attempts[i].gateway.at);
	cr_assert_str_eq(text, names, "tried '%s', not '%s'", text, names);
}

static void end(struct sim *sim)
{
	tariff_free(sim->config->tariff);
	sim->config->tariff = NULL;
	finish(sim);
}

static void check(const char *gateways, const struct priced *rows, const char *names)
{
	struct sim *sim = new_sim(gateways, rows);

	assert_tried(place(sim), names);
	end(sim);
}

/* ---- sort = {"price"} ---- */

Test(spec_7_sort, price_the_lower_rate_first)
{
	const struct priced *prices = PRICES({ "v1", "", "0.03", NULL, 0, 0 }, { "v2", "", "0.01", NULL, 0, 0 },
					     { "v3", "", "0.02", NULL, 0, 0 });

	check(MG("sort = {\"price\"}") ALL(""), prices, "rg2 rg3 rg1");
	check(MG("") ALL(""), prices, "rg1 rg2 rg3");
}

/* The rate of the number that was dialled: by longest prefix, and the one in effect now. */
Test(spec_7_sort, price_is_of_the_number_and_of_the_moment)
{
	struct sim *sim = new_sim(MG("sort = {\"price\"}") RG(1, "") RG(2, ""),
				  PRICES({ "v1", "", "0.01", NULL, 0, 0 }, { "v1", "880", "0.03", NULL, 0, 0 },
					 { "v2", "88", "0.02", NULL, 0, 0 }, { "v2", "8809999", "0.9", NULL, 0, 0 }));

	assert_tried(place(sim), "rg2 rg1");
	int64_t now_us = sim_real_us(sim, sim->now_ns), later_us = now_us + 60 * 1000000;
	tariff_free(sim->config->tariff);
	sim->config->tariff =
		make_tariff(PRICES({ "v1", "880", "0.03", NULL, 0, later_us },
				   { "v1", "880", "0.01", NULL, later_us, 0 }, { "v2", "88", "0.02", NULL, 0, 0 }));
	assert_tried(place(sim), "rg2 rg1");
	sim_run(sim, 60 * SIM_S);
	assert_tried(place(sim), "rg1 rg2");
	end(sim);
}

/* No account, an account that is unknown, one that has no rate for the number: the dearest, and equal to each other. */
Test(spec_7_sort, price_unknown_comes_last)
{
	const struct priced *prices = PRICES({ "v2", "881", "0.01", NULL, 0, 0 }, { "v3", "", "100", NULL, 0, 0 });

	check(MG("sort = {\"price\"}") "routing_gateway \"a\" { address = \"10.2.0.1:5060\" }\n" RG(2, "") RG(3, ""),
	      prices, "rg3 a rg2");
	check(MG("sort = {\"price\"}") "routing_gateway \"a\" { address = \"10.2.0.1:5060\" account = \"x\" }\n" RG(
		      2, "") RG(3, ""),
	      prices, "rg3 a rg2");
}

Test(spec_7_sort, price_comes_after_priority_and_before_load)
{
	const struct priced *prices = PRICES({ "v1", "", "0.02", NULL, 0, 0 }, { "v2", "", "0.01", NULL, 0, 0 });
	struct sim *sim = new_sim(MG("sort = {\"price\"}") RG(1, "capacity = 1000") RG(2, "capacity = 10"), prices);

	for (int i = 0; i < 5; i++)
		assert_tried(place(sim), "rg2 rg1");
	end(sim);
	check(MG("sort = {\"price\"}") RG(1, "priority = 1") RG(2, "priority = 2"), prices, "rg1 rg2");
}

Test(spec_7_sort, price_that_is_equal_leaves_it_to_load)
{
	struct sim *sim = new_sim(MG("sort = {\"price\"}") RG(1, "") RG(2, "") RG(3, ""),
				  PRICES({ "v1", "", "0.01", NULL, 0, 0 }, { "v2", "", "0.01", NULL, 0, 0 },
					 { "v3", "", "0.01", NULL, 0, 0 }));

	for (int i = 0; i < 3; i++) {
		struct sim_call *call =
			sim_call_now(sim, .answers = { { .code = 486 }, { .code = 486 }, { .code = 486 } });
		sim_run(sim, 5 * SIM_S);
		assert_tried(call, (const char *const[]){ "rg1", "rg2", "rg3" }[i]);
	}
	end(sim);
}

/* So many are passed over at once that they are put in order once. */
Test(spec_7_sort, price_decides_among_many_full_gateways)
{
	enum { GATEWAYS = 40 };
	static char gateways[GATEWAYS * 160], accounts[GATEWAYS][8], rates[GATEWAYS][8];
	static struct priced rows[GATEWAYS + 2];
	size_t used = (size_t)snprintf(gateways, sizeof gateways, MG("sort = {\"price\"}"));

	for (unsigned i = 0; i < GATEWAYS; i++) {
		snprintf(accounts[i], sizeof accounts[i], "v%02u", i);
		snprintf(rates[i], sizeof rates[i], "0.%02u", (i * 7 + 3) % GATEWAYS);
		rows[i] = (struct priced){ accounts[i], "", rates[i], NULL, 0, 0 };
		used += (size_t)snprintf(gateways + used, sizeof gateways - used,
					 "routing_gateway \"g%02u\" { address = \"10.2.0.1:5060\" account = \"v%02u\" "
					 "capacity = 1 }\n",
					 (i * 7 + 3) % GATEWAYS, i);
	}
	struct sim *sim = new_sim(gateways, rows);
	struct sim_call *calls[GATEWAYS];
	sim->attempts_unseen = true; /* all have the same address */
	for (unsigned i = 0; i < GATEWAYS; i++) {
		calls[i] = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(1000) });
		sim_run(sim, 3 * SIM_S);
	}
	sim_run(sim, 1200 * SIM_S);
	for (unsigned i = 0; i < GATEWAYS; i++) {
		char name[8];
		snprintf(name, sizeof name, "g%02u", i);
		assert_tried(calls[i], name);
	}
	end(sim);
}

/* ---- least_cost ---- */

/* Those without it come behind, however cheap, and so does one whose price is unknown. */
Test(spec_10_least_cost, orders_those_that_have_it_before_the_others)
{
	check(MG("") RG(1, "") RG(2, "least_cost = on") RG(3, "least_cost = on"),
	      PRICES({ "v1", "", "0.01", NULL, 0, 0 }, { "v2", "", "0.03", NULL, 0, 0 },
		     { "v3", "", "0.02", NULL, 0, 0 }),
	      "rg3 rg2 rg1");
	check(MG("") RG(1, "least_cost = on") RG(2, "") RG(3, "least_cost = on"),
	      PRICES({ "v2", "", "0.01", NULL, 0, 0 }, { "v3", "", "0.02", NULL, 0, 0 }), "rg3 rg1 rg2");
}

Test(spec_10_least_cost, comes_after_what_the_mapping_gateway_sorts_by)
{
	struct sim *sim = new_sim(MG("sort = {\"asr\"}") ALL("least_cost = on"),
				  PRICES({ "v1", "", "0.01", NULL, 0, 0 }, { "v2", "", "0.03", NULL, 0, 0 },
					 { "v3", "", "0.02", NULL, 0, 0 }));
	struct sim_call *first = sim_call_now(sim, .answers = { REFUSES, ANSWERS, ANSWERS }, .steps = { HANGS_UP(5) });

	sim_run(sim, 10 * SIM_S);
	assert_tried(first, "rg1 rg3");
	assert_tried(place(sim), "rg3 rg2 rg1");
	end(sim);
}

Test(spec_10_least_cost, comes_after_priority)
{
	check(MG("") RG(1, "least_cost = on priority = 1") RG(2, "least_cost = on priority = 2"),
	      PRICES({ "v1", "", "0.02", NULL, 0, 0 }, { "v2", "", "0.01", NULL, 0, 0 }), "rg1 rg2");
}

/* ---- max_price ---- */

Test(spec_10_max_price, passes_over_what_is_dearer_or_unknown)
{
	check(MG("") ALL("max_price = 0.02"),
	      PRICES({ "v1", "", "0.02", NULL, 0, 0 }, { "v2", "", "0.02000001", NULL, 0, 0 }), "rg1");
	check(MG("") ALL("max_price = 0.00000001"),
	      PRICES({ "v1", "", "0.00000002", NULL, 0, 0 }, { "v2", "", "0.00000001", NULL, 0, 0 },
		     { "v3", "", "0", NULL, 0, 0 }),
	      "rg2 rg3");
}

/* What is left over is a route that nobody may take now: as if all were full. */
Test(spec_10_max_price, none_left_is_no_circuit)
{
	struct sim *sim = new_sim(MG("") ALL("max_price = 0.02"), PRICES({ "v1", "", "0.03", NULL, 0, 0 }));
	struct sim_call *call = place(sim);

	assert_tried(call, "");
	assert_reason(call, capacity);
	cr_assert_eq(cdr_of(call)->sip_code, 503);
	cr_assert_eq(cdr_of(call)->q850, 34);
	end(sim);
}

/* prefix_mode = "continue": those of a shorter prefix follow, as behind full ones. */
Test(spec_10_max_price, shorter_prefixes_follow)
{
	check("prefix_mode = \"continue\"\n" MG("") RG(1, "prefix = \"880\" max_price = 0.02") RG(2, "prefix = \"88\""),
	      PRICES({ "v1", "", "0.03", NULL, 0, 0 }, { "v2", "", "0.04", NULL, 0, 0 }), "rg2");
}

/* A node without accounts: nothing is known to be cheap enough. */
Test(spec_10_max_price, without_any_tariff)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG(PAYS "sort = {\"price\"}") RG(1, "max_price = 1")
							RG(2, "min_profit_percent = 1") RG(3, "least_cost = on"));

	assert_tried(place(sim), "rg3");
	finish(sim);
}

/* ---- min_profit_percent ---- */

/* Of the customer's rate, which is 1: 20 percent are left up to 0.80. */
Test(spec_10_min_profit_percent, is_a_share_of_what_the_customer_pays)
{
	check(MG(PAYS) RG(1, "min_profit_percent = 20") RG(2, "min_profit_percent = 20")
		      RG(3, "min_profit_percent = 19"),
	      PRICES({ "v1", "", "0.8", NULL, 0, 0 }, { "v2", "", "0.80000001", NULL, 0, 0 },
		     { "v3", "", "0.81", NULL, 0, 0 }),
	      "rg1 rg3");
	check(MG(PAYS) ALL("min_profit_percent = 1"),
	      PRICES({ "v1", "", "2", NULL, 0, 0 }, { "v2", "", "1", NULL, 0, 0 }, { "v3", "", "0.99", NULL, 0, 0 }),
	      "rg3");
}

Test(spec_10_min_profit_percent, of_everything_is_for_vendors_that_take_nothing)
{
	check(MG(PAYS) ALL("min_profit_percent = 100"),
	      PRICES({ "v1", "", "0.00000001", NULL, 0, 0 }, { "v2", "", "0", NULL, 0, 0 }), "rg2");
}

/* Nothing proves a profit: a customer without account or without rate, a vendor without rate, another currency. */
Test(spec_10_min_profit_percent, has_to_be_known)
{
	const struct priced *prices = PRICES({ "v1", "", "0.1", NULL, 0, 0 }, { "v2", "", "0.1", "USD", 0, 0 });

	const char *const asks = RG(1, "min_profit_percent = 1") RG(2, "min_profit_percent = 1") RG(3, "");
	char gateways[1024];

	snprintf(gateways, sizeof gateways, "%s%s", MG(PAYS), asks);
	check(gateways, prices, "rg1 rg3");
	snprintf(gateways, sizeof gateways, "%s%s", MG(""), asks);
	check(gateways, prices, "rg3");
	snprintf(gateways, sizeof gateways, "%s%s", MG("account = \"nobody\""), asks);
	check(gateways, prices, "rg3");
	check(MG(PAYS) ALL("min_profit_percent = 1"), prices, "rg1");
}
