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

/* ---- all of them together ---- */

#define MANY 40

/* Of one random gateway: what is drawn, and how it is to be ordered. */
struct drawn {
	char name[8], account[8], rate[16];
	unsigned priority, price; /* price 0: none is known */
	bool least_cost, dear;    /* dear: above its max_price */
};

static bool sorts; /* the mapping gateway, by price */

static unsigned price_of_drawn(const struct drawn *d, bool counts)
{
	return counts && d->price ? d->price : UINT32_MAX;
}

static int compare_numbers(unsigned a, unsigned b)
{
	return (a > b) - (a < b);
}

static int compare_drawn(const void *x, const void *y)
{
	const struct drawn *a = x, *b = y;
	int order = compare_numbers(a->priority, b->priority);

	if (order == 0 && sorts)
		order = compare_numbers(price_of_drawn(a, true), price_of_drawn(b, true));
	if (order == 0)
		order = compare_numbers(price_of_drawn(a, a->least_cost), price_of_drawn(b, b->least_cost));
	return order ? order : strcmp(a->name, b->name);
}

static size_t write_drawn(const struct drawn *d, char *at, size_t size)
{
	char max_price[48] = "";

	if (d->dear || d->price % 3 == 1)
		snprintf(max_price, sizeof max_price, "max_price = 0.%04u", d->dear ? d->price - 1 : d->price);
	return (size_t)snprintf(at, size,
				"routing_gateway \"%s\" { address = \"10.2.0.1:5060\" account = \"%s\" capacity = 1 "
				"priority = %u least_cost = %s %s }\n",
				d->name, d->account, d->priority, d->least_cost ? "on" : "off", max_price);
}

/* Each call takes the best that is free and keeps it: so they come in their order.  The first few are found by one look
 * after another, the others in the order into which all are put once. */
static void check_random_order(uint64_t seed)
{
	static char gateways[MANY * 200];
	static struct drawn drawn[MANY];
	static struct priced rows[MANY + 2];
	struct sim_call *calls[MANY + 1];
	uint64_t random = seed;
	unsigned priced = 0, usable = 0;
	size_t used = (size_t)snprintf(gateways, sizeof gateways, MG("%s"), sorts ? "sort = {\"price\"}" : "");

	memset(rows, 0, sizeof rows);
	for (unsigned i = 0; i < MANY; i++) {
		struct drawn *d = &drawn[i];

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		*d = (struct drawn){ .priority = 1 + (random >> 60) % 2,
				     .price = (random >> 56) % 4 ? 2 + (unsigned)(random >> 33) % 12 : 0,
				     .least_cost = random >> 40 & 1 };
		d->dear = d->price && (random >> 44) % 8 == 0;
		snprintf(d->name, sizeof d->name, "g%02u", i);
		snprintf(d->account, sizeof d->account, "v%02u", i);
		snprintf(d->rate, sizeof d->rate, "0.%04u", d->price);
		if (d->price)
			rows[priced++] = (struct priced){ d->account, "88", d->rate, NULL, 0, 0 };
		used += write_drawn(d, gateways + used, sizeof gateways - used);
	}
	struct sim *sim = new_sim(gateways, rows);
	sim->attempts_unseen = true; /* all have the same address */
	for (unsigned i = 0; i <= MANY; i++) {
		calls[i] = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(1000) });
		sim_run(sim, 3 * SIM_S);
	}
	sim_run(sim, 1200 * SIM_S);
	qsort(drawn, MANY, sizeof *drawn, compare_drawn);
	for (unsigned i = 0; i < MANY; i++)
		if (!drawn[i].dear)
			assert_tried(calls[usable++], drawn[i].name);
	for (; usable <= MANY; usable++)
		assert_tried(calls[usable], "");
	end(sim);
}

Test(spec_7_sort, price_and_least_cost_among_many_full_gateways)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		sorts = seed % 2;
		check_random_order(seed);
	}
}
