#include "tests/sim/scenarios.h"

#include <stdio.h>
#include <stdlib.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/call/carry.h"
#include "core/call/state.h"
#include "core/command.h"

#define END_NS (100 * SIM_S) /* after the beginning */

struct placed {
	uint64_t at_ms;
	struct script script;
};

#define RINGS_THEN(seconds)                                                                                            \
	{                                                                                                              \
		.ring_ns = 100 * SIM_MS, .final_ns = (seconds)*SIM_S                                                   \
	}
#define REFUSES(status)                                                                                                \
	{                                                                                                              \
		.final_ns = 200 * SIM_MS, .code = (status)                                                             \
	}
#define CALLER_ENDS(seconds)                                                                                           \
	{                                                                                                              \
		STEP_BYE, false, (seconds)*SIM_S                                                                       \
	}
#define CALLEE_ENDS(seconds)                                                                                           \
	{                                                                                                              \
		STEP_BYE, true, (seconds)*SIM_S                                                                        \
	}

/* ---- set-up and ends ---- */

/* Host 2 of the callers is the customer with little credit; hosts 0 and 1 of the callees are addresses of one
 * gateway. */
static const struct placed set_ups[] = {
	/* up all the time */
	{ 0, { .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(95) } } },
	{ 10, { .caller = 1, .answers = { RINGS_THEN(1) }, .steps = { CALLEE_ENDS(90) } } },
	/* one gateway after another, one address after another */
	{ 2000, { .answers = { REFUSES(500), REFUSES(500), RINGS_THEN(1) }, .steps = { CALLER_ENDS(5) } } },
	{ 2100, { .answers = { REFUSES(503), RINGS_THEN(1) }, .steps = { CALLER_ENDS(5) } } },
	{ 2200, { .answers = { { .silent = true }, RINGS_THEN(1) }, .steps = { CALLEE_ENDS(5) } } },
	{ 2300, { .answers = { REFUSES(486) } } },
	{ 2400,
	  { .answers = { { .progress_ns = 50 * SIM_MS, .final_ns = SIM_S, .code = 480 },
			 REFUSES(480),
			 { .progress_ns = 50 * SIM_MS, .ring_ns = 90 * SIM_MS, .final_ns = SIM_S } },
	    .steps = { CALLER_ENDS(4) } } },
	{ 2500, { .answers = { { .ring_ns = 50 * SIM_MS, .never = true }, RINGS_THEN(1), REFUSES(404) } } },
	{ 2600, { .answers = { REFUSES(404), REFUSES(404), REFUSES(404) } } },
	{ 2700,
	  { .answers = { { .ring_ns = 20 * SIM_MS, .final_ns = 90 * SIM_MS, .code = 422, .headers = "Min-SE: 700\r\n" },
			 RINGS_THEN(1),
			 RINGS_THEN(1) },
	    .steps = { CALLER_ENDS(4) } } },
	{ 2800,
	  { .answers = { { .final_ns = SIM_S, .code = 503, .headers = "Retry-After: 3\r\n" }, RINGS_THEN(1) },
	    .steps = { CALLER_ENDS(4) } } },
	/* ends of a set-up */
	{ 12000, { .cancel_ns = 700 * SIM_MS, .answers = { RINGS_THEN(5) } } },
	{ 12100, { .cancel_ns = 1001 * SIM_MS, .answers = { RINGS_THEN(1) } } },
	{ 12200, { .cancel_ns = 700 * SIM_MS, .early_bye = true, .answers = { RINGS_THEN(5) } } },
	{ 12300, { .cancel_ns = 700 * SIM_MS, .answers = { { .final_ns = 702 * SIM_MS, .deaf = true } } } },
	{ 12400, { .number = "999", .answers = { RINGS_THEN(1) } } },
	/* answers */
	{ 20000,
	  { .answers = { { .ring_ns = 50 * SIM_MS, .final_ns = SIM_S, .forks = 2 } }, .steps = { CALLER_ENDS(5) } } },
	{ 20100, { .delayed_offer = true, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(5) } } },
	{ 20200,
	  { .delayed_offer = true,
	    .ack_delay_ns = 2 * SIM_S,
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLEE_ENDS(5) } } },
	{ 20300, { .no_ack = true, .answers = { RINGS_THEN(1) } } },
	{ 20400, { .ack_delay_ns = 3 * SIM_S, .answers = { RINGS_THEN(1) }, .steps = { CALLEE_ENDS(1) } } },
	/* credit: what is there for one call, and not for another */
	{ 30000, { .caller = 2, .answers = { RINGS_THEN(1) } } },
	{ 32000, { .caller = 2, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(5) } } },
};

/* ---- inside a dialog ---- */

#define TIMER_A                                                                                                        \
	{                                                                                                              \
		.on = true, .updates = true, .interval_s = 90                                                          \
	}
#define TIMER_B                                                                                                        \
	{                                                                                                              \
		.on = true                                                                                             \
	}

static const struct placed dialogs[] = {
	/* refreshed by UPDATE and by re-INVITE, by the node and by peers; probed; silent at last */
	{ 0, { .timers = { TIMER_A, TIMER_B }, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(95) } } },
	{ 5,
	  { .timers = { { .on = true, .interval_s = 90, .refresher = 'c' }, { .on = true, .moves = true } },
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLEE_ENDS(95) } } },
	{ 10, { .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(95) } } },
	{ 15,
	  { .timers = { { .on = true, .updates = true, .interval_s = 90, .update_code = 405 },
			{ .on = true, .failure = 500, .failure_percent = 50 } },
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLER_ENDS(95) } } },
	{ 20,
	  { .timers = { TIMER_A, { .on = true, .raised_s = 200 } },
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLER_ENDS(95) } } },
	{ 25,
	  { .timers = { TIMER_A, TIMER_B },
	    .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_DIE, true, 30 * SIM_S } } } },
	{ 30,
	  { .timers = { { .on = true, .interval_s = 30, .small_s = 0 }, TIMER_B },
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLER_ENDS(5) } } },
	/* offers, and what else is passed on */
	{ 2000,
	  { .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_REINVITE, false, SIM_S },
		       { STEP_UPDATE, true, 2 * SIM_S },
		       { STEP_INFO, false, 3 * SIM_S },
		       { STEP_MESSAGE, true, 4 * SIM_S },
		       { STEP_OPTIONS, false, 5 * SIM_S },
		       CALLER_ENDS(7) } } },
	{ 2100,
	  { .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_REINVITE_EMPTY, false, SIM_S },
		       { STEP_REINVITE_EMPTY, true, 2 * SIM_S },
		       { STEP_REINVITE_SAME, true, 3 * SIM_S },
		       { STEP_UPDATE_EMPTY, false, 4 * SIM_S },
		       CALLEE_ENDS(7) } } },
	{ 2200,
	  { .reinvite_ns = SIM_S,
	    .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_REINVITE, false, SIM_S },
		       { STEP_REINVITE, true, SIM_S + 5 * SIM_MS },
		       { STEP_REINVITE_TWICE, false, 8 * SIM_S },
		       { STEP_REINVITE_CANCEL, true, 12 * SIM_S },
		       CALLER_ENDS(20) } } },
	{ 2300,
	  { .reinvite_ns = SIM_S,
	    .reinvite_code = 488,
	    .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_REINVITE, true, SIM_S }, { STEP_UPDATE, true, 5 * SIM_S }, CALLEE_ENDS(8) } } },
	/* a request is held while the other side's ACK is awaited; BYE meanwhile */
	{ 2400,
	  { .reinvite_ns = 2 * SIM_S,
	    .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_REINVITE, false, SIM_S },
		       { STEP_UPDATE, true, SIM_S + 30 * SIM_MS },
		       CALLER_ENDS(2) } } },
	{ 2500,
	  { .timers = { TIMER_A, { .on = true, .cross_at_refresh = 1 } },
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLEE_ENDS(94) } } },
	{ 2600, { .answers = { RINGS_THEN(1) }, .steps = { { STEP_FLOOD, false, SIM_S }, CALLER_ENDS(9) } } },
	{ 2700,
	  { .answers = { RINGS_THEN(1) },
	    .steps = { { STEP_REBOOT, true, SIM_S }, { STEP_INFO, false, 2 * SIM_S } } } },
};

/* ---- calls that are up when something happens to the node at 20 s, 40 s and 60 s ---- */

static const struct placed lasting[] = {
	{ 0, { .timers = { TIMER_A, TIMER_B }, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(95) } } },
	{ 100, { .caller = 1, .answers = { RINGS_THEN(1) }, .steps = { CALLEE_ENDS(90) } } },
	{ 200, { .delayed_offer = true, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(50) } } },
	{ 300, { .answers = { RINGS_THEN(1) }, .steps = { { STEP_REINVITE, true, 5 * SIM_S }, CALLER_ENDS(10) } } },
	{ 400, { .answers = { REFUSES(500), REFUSES(500), RINGS_THEN(1) }, .steps = { CALLEE_ENDS(70) } } },
	{ 17500, { .ack_delay_ns = 4 * SIM_S, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(30) } } },
	{ 17600,
	  { .delayed_offer = true,
	    .ack_delay_ns = 4 * SIM_S,
	    .answers = { RINGS_THEN(1) },
	    .steps = { CALLER_ENDS(30) } } },
	{ 17700, { .no_ack = true, .answers = { RINGS_THEN(1) } } },
	{ 18500, { .ack_delay_ns = 4 * SIM_S, .answers = { { .final_ns = SIM_S } }, .steps = { CALLEE_ENDS(1) } } },
	{ 19000, { .answers = { { .ring_ns = 100 * SIM_MS, .never = true } } } },
	{ 19500, { .cancel_ns = SIM_S, .answers = { RINGS_THEN(9) } } },
	{ 19900, { .answers = { { .silent = true } } } },
	{ 30000, { .timers = { TIMER_A, TIMER_B }, .answers = { RINGS_THEN(1) }, .steps = { CALLER_ENDS(60) } } },
	{ 30100, { .caller = 2, .answers = { RINGS_THEN(1) } } },
};

/* ---- the node ---- */

static const char gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.1\", \"10.1.0.2\"} capacity = 40 account = \"starve-rich\" }\n"
	"mapping_gateway \"poor\" { address = \"10.1.0.3\" account = \"starve-poor\" rate_limit = 5 }\n"
	"routing_gateway \"rg1\" { address = {\"10.2.0.1:5060\", \"10.2.0.2:5060\"} prefix = {\"880\"} priority = 1\n"
	"  capacity = 20 timeout_invite = 2 account = \"starve-vendor\" }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 rewrite_callee = "
	"\"880 -> 880\" }\n";

static const char checked_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
	"routing_gateway \"rg1\" { address = {\"10.2.0.1:5060\", \"10.2.0.2:5060\"} prefix = {\"880\"} priority = 1\n"
	"  timeout_invite = 2 options_check = on }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 options_check = on }\n";

static const char parameters[] =
	"SS_SIP_SESSION_TTL = 90\nSS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = 5\nRW_NO_TIMER_PROBE_INTERVAL = 20\n"
	"SS_GATEWAY_SWITCH_UNTIL_CONNECT = on\nSS_SIP_STOP_SWITCH_AFTER_SDP = off\nSS_SIP_TIMEOUT_RINGING = 6\n"
	"RW_MAX_CALL_DURATION = 150\n";

static const struct {
	const char *name;
	const struct placed *calls;
	unsigned count;
	const char *gateways;
	bool exact, goes_on;
} scenarios[SCENARIO_COUNT] = {
#define CALLS(list) list, sizeof(list) / sizeof *(list)
	[SCENARIO_calls] = { "calls", CALLS(set_ups), gateways, true, true },
	[SCENARIO_offers] = { "offers", CALLS(dialogs), gateways, true, true },
	[SCENARIO_carried] = { "carried", CALLS(lasting), gateways, false, true },
	[SCENARIO_closed] = { "closed", CALLS(lasting), gateways, false, true },
	[SCENARIO_synced] = { "synced", CALLS(set_ups), gateways, true, true },
	[SCENARIO_stopped] = { "stopped", CALLS(lasting), checked_gateways, true, false },
	[SCENARIO_kept] = { "kept", CALLS(lasting), gateways, false, true },
#undef CALLS
};

const char *scenario_name(enum scenario scenario)
{
	return scenarios[scenario].name;
}

bool scenario_goes_on(enum scenario scenario)
{
	return scenarios[scenario].goes_on;
}

bool scenario_is_exact(enum scenario scenario)
{
	return scenarios[scenario].exact;
}

static void add_account(struct tariff_builder *b, const char *name, uint32_t table, int64_t overdraft_e8)
{
	struct account account = {
		.currency = "EUR", .id = gateway_id(GATEWAY_ACCOUNT, name), .table = table, .overdraft_e8 = overdraft_e8
	};
	snprintf(account.name, sizeof account.name, "%s", name);
	if (tariff_add_account(b, &account))
		abort();
}

static struct tariff *make_tariff(struct sim *sim)
{
	struct tariff_builder *b;
	struct tariff *t;
	uint32_t table;
	struct rate rate = { .prefix = "880", .prefix_size = 3, .from_us = INT64_MIN, .to_us = INT64_MAX };
	rate.terms = (struct rate_terms){ .rate_e8 = MONEY_ONE, .first_s = 6, .next_s = 6 };
	(void)sim;
	if (tariff_begin(&b) || tariff_add_table(b, "prices", &table) || tariff_add_rate(b, table, &rate))
		abort();
	add_account(b, "starve-rich", table, 1000 * MONEY_ONE);
	add_account(b, "starve-poor", table, MONEY_ONE * 11 / 10);
	add_account(b, "starve-vendor", table, OVERDRAFT_UNLIMITED);
	if (tariff_finish(b, &t))
		abort();
	return t;
}

/* ---- what happens beside the calls ---- */

static void place(struct sim *sim, void *context)
{
	const struct placed *placed = context;
	sim->planned--;
	if (!sim->down)
		sim_place(sim, &placed->script);
}

static void reload(struct sim *sim, void *context)
{
	(void)context;
	node_reload(sim, gateways, 500 * SIM_MS);
}

static void list_calls(struct sim *sim, void *context)
{
	struct call_row rows[4];
	struct command command = { .kind = COMMAND_CALLS_LIST, .rows = rows, .row_max = 4 };
	(void)context;
	if (!sim->down)
		node_command(sim, &command);
}

static void is_killed(struct sim *sim, void *context)
{
	(void)context;
	node_kill(sim);
	sim->stopping = false;
}

static void comes_back(struct sim *sim, void *context)
{
	struct sim_restart how = { .shards = 3, .close = context != NULL };
	(void)node_restart(sim, &how); /* what a shard refuses is left to the next start */
}

static void stops(struct sim *sim, void *context)
{
	struct command stop = { .kind = COMMAND_STOP, .keep_calls = context != NULL };
	node_command(sim, &stop);
}

/* What is said of the disk every now and then: it has everything. */
static void sync(struct sim *sim, void *context)
{
	(void)context;
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++) {
		struct shard *s = sim->shards[i].shard;
		shard_synced(s, node_clock_ns(sim), s->carry->serial);
	}
	if (sim->now_ns < scenario_end_ns(sim) + 100 * SIM_S)
		sim_at(sim, sim->now_ns + 100 * SIM_MS, sync, NULL);
}

static void at(struct sim *sim, uint64_t seconds, void (*fn)(struct sim *sim, void *context), bool context)
{
	sim_at(sim, sim->now_ns + seconds * SIM_S, fn, context ? sim : NULL);
}

static void schedule(struct sim *sim, enum scenario scenario)
{
	static const unsigned deaths_s[] = { 20, 40, 60, END_NS / SIM_S + 1 };
	switch (scenario) {
	case SCENARIO_calls:
		at(sim, 10, reload, false);
		at(sim, 21, list_calls, false);
		break;
	case SCENARIO_carried:
	case SCENARIO_closed:
		for (unsigned i = 0; i < sizeof deaths_s / sizeof *deaths_s; i++) {
			at(sim, deaths_s[i], is_killed, false);
			at(sim, deaths_s[i] + 1, comes_back, scenario == SCENARIO_closed);
		}
		break;
	case SCENARIO_synced:
		sim->config->answer_after_sync = true;
		at(sim, 0, sync, false);
		break;
	case SCENARIO_stopped:
		at(sim, 20, stops, false);
		break;
	case SCENARIO_kept:
		at(sim, 20, stops, true);
		at(sim, 22, is_killed, false);
		at(sim, 23, comes_back, false);
		at(sim, END_NS / SIM_S + 1, is_killed, false); /* with what that start had no memory for */
		at(sim, END_NS / SIM_S + 2, comes_back, false);
		break;
	case SCENARIO_offers:
	case SCENARIO_COUNT:
		break;
	}
}

struct sim *scenario_create(enum scenario scenario, bool starved)
{
	const char *its = scenarios[scenario].gateways;
	struct sim *sim = sim_new(.seed = 5, .shards = 2, .mailbox = true, .calls_max = 32, .parameters = parameters,
				  .gateways = its, .tariff = its == gateways ? make_tariff : NULL, .starved = starved);
	for (unsigned i = 0; i < scenarios[scenario].count; i++) {
		const struct placed *placed = &scenarios[scenario].calls[i];
		if (scenario == SCENARIO_synced && placed->script.no_ack)
			continue; /* its wait begins with an answer that is held back: watch.c has no such time */
		sim->planned++;
		sim_at(sim, sim->now_ns + placed->at_ms * SIM_MS, place, (void *)(uintptr_t)placed);
	}
	sim->traffic_ns = sim->now_ns + END_NS;
	schedule(sim, scenario);
	return sim;
}

uint64_t scenario_end_ns(const struct sim *sim)
{
	return sim->traffic_ns;
}
