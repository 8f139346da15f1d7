#include "tests/sim/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/command.h"

#define PERCENT 10000u /* in millionths */

static uint64_t below(struct sim *sim, uint64_t n)
{
	return sim_below(sim, SIM_TRAFFIC, n);
}

static bool chance(struct sim *sim, unsigned percent)
{
	return sim_chance(sim, SIM_TRAFFIC, percent * PERCENT);
}

/* ---- a run ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static bool has_timers(uint64_t seed)
{
	return seed % 4 != 0;
}

/* Fewer lines than calls, so that shards ask each other. */
static const char small_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} capacity = 20 }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 capacity = 6 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 capacity = 8 }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 }\n";

/* Two addresses of one gateway, and one whose word counts differently. */
static const char address_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} failed_reason_map = {\"486 -> 480\", \"500-599 -> 500\"} "
	"}\n"
	"routing_gateway \"rg1\" { address = {\"10.2.0.1:5060\", \"10.2.0.2:5060\"} prefix = {\"880\"} priority = 1\n"
	"  capacity = 30 ignore_6xx = on stop_codes = {\"404\", \"487-488\"} timeout_invite = 3 }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 }\n";

/* Lines that are lent, and rates that are exceeded. */
static const char lent_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} capacity = 45 rate_limit = 3 }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 capacity = 24 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 rate_limit = 1 }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 capacity = 40 }\n";
static const char free_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} rate_limit = 20 }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 capacity = 30 }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 }\n";
static const char *const limited[] = { small_gateways, lent_gateways, free_gateways };

/* A customer that pays, and a vendor. */
static const char paid_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} account = \"traffic\" }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 account = "
	"\"traffic-vendor\" }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 capacity = 30 }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 2 }\n";

static void add_account(struct tariff_builder *b, const char *name, uint32_t table, int64_t overdraft_e8)
{
	struct account account = {
		.currency = "EUR", .id = gateway_id(GATEWAY_ACCOUNT, name), .table = table, .overdraft_e8 = overdraft_e8
	};
	snprintf(account.name, sizeof account.name, "%s", name);
	if (tariff_add_account(b, &account))
		abort();
}

static struct tariff *paid_tariff(struct sim *sim)
{
	struct tariff_builder *b;
	struct tariff *t;
	uint32_t table;
	struct rate rate = { .prefix = "880", .prefix_size = 3, .from_us = INT64_MIN, .to_us = INT64_MAX };
	rate.terms = (struct rate_terms){ .rate_e8 = MONEY_ONE,
					  .first_s = 1 + (uint32_t)(sim->settings.seed % 7),
					  .next_s = 1 + (uint32_t)(sim->settings.seed % 5) };
	if (tariff_begin(&b) || tariff_add_table(b, "prices", &table) || tariff_add_rate(b, table, &rate))
		abort();
	add_account(b, "traffic", table, (int64_t)(20 + sim->settings.seed * 7919 % 400) * MONEY_ONE);
	add_account(b, "traffic-vendor", table, OVERDRAFT_UNLIMITED);
	if (tariff_finish(b, &t))
		abort();
	return t;
}

static const char *draw_gateways(uint64_t dice)
{
	return dice & 1         ? limited[(dice >> 38) % 3]
	       : dice >> 40 & 1 ? address_gateways
	       : dice >> 41 & 3 ? paid_gateways
				: NULL;
}

/* Short enough that a run meets them. */
static const char *draw_parameters(uint64_t dice)
{
	static const char *const parameters[] = {
		"SS_SIP_NO_TIMER_REINVITE_INTERVAL = 900\nRW_MAX_CALL_DURATION = 800\n",
		"SS_SIP_NO_TIMER_REINVITE_INTERVAL = 300\nSS_GATEWAY_SWITCH_UNTIL_CONNECT = on\n"
		"SS_SIP_STOP_SWITCH_AFTER_SDP = off\nSS_SIP_TIMEOUT_RINGING = 15\n",
		"SS_SIP_NO_TIMER_REINVITE_INTERVAL = 600\nSS_GATEWAY_SWITCH_UNTIL_CONNECT = on\n"
		"SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY = off\nSS_GATEWAY_SWITCH_LIMIT = 1\n"
		"SS_SIP_TIMEOUT_INVITE = 4\nSS_SIP_TIMEOUT_RINGING = 5\nRW_RETRY_AFTER_MAX = 20\n",
		"SS_SIP_STOP_SWITCH_AFTER_SDP = off\nSS_SIP_TIMEOUT_INVITE = 3\nSS_SIP_TIMEOUT_TRYING = 4\n"
		"SS_SIP_TIMEOUT_SESSION_PROGRESS = 3\nSS_SIP_TIMEOUT_SESSION_PROGRESS_SDP = 5\nRW_SETUP_MAX = 30\n",
	};
	return parameters[(dice & 1) | (dice >> 40 & 2)];
}

void traffic_settings(uint64_t seed, struct sim_settings *ret_settings)
{
	uint64_t dice = mix(seed + 1);
	*ret_settings = (struct sim_settings){
		.seed = seed,
		.sessions = true,
		.shards = 1 + (unsigned)(dice % 4),
		.mailbox = dice >> 8 & 1,
		.calls_max = (dice >> 9 & 15) == 0 ? 12 : 512,
		.gateways = draw_gateways(dice >> 14),
		.note_jitter_ns = (dice >> 15 & 1) ? 400 * SIM_MS : 0,
		.parameters = draw_parameters(dice >> 13),
	};
	if (ret_settings->gateways == paid_gateways)
		ret_settings->tariff = paid_tariff;
	ret_settings->six[0] = mix(seed + 3) % 6 == 0;
	ret_settings->six[1] = mix(seed + 4) % 6 == 0;
	struct link *link = &ret_settings->link;
	link->delay_ns = (1 + (dice >> 16) % 60) * SIM_MS;
	switch (dice >> 24 & 3) {
	case 0:
		break; /* a good network */
	case 1:
		link->jitter_ns = (dice >> 26) % 300 * SIM_MS; /* reorders */
		break;
	case 2:
		link->loss_ppm = (uint32_t)((dice >> 26) % 12) * PERCENT;
		link->jitter_ns = (dice >> 32) % 20 * SIM_MS;
		break;
	case 3:
		link->loss_ppm = (uint32_t)((dice >> 26) % 6) * PERCENT;
		link->duplicate_ppm = (uint32_t)((dice >> 32) % 10) * PERCENT;
		link->jitter_ns = (dice >> 40) % 150 * SIM_MS;
		link->damage_ppm = (dice >> 48 & 3) == 0 ? PERCENT / 4 : 0;
		break;
	}
	if (has_timers(seed))
		traffic_timer_settings(mix(seed + 2), ret_settings);
}

/* ---- connections ---- */

void traffic_reliable(struct sim_settings *settings)
{
	settings->reliable = true;
	settings->six[0] = settings->six[1] = false;
	settings->link = (struct link){ .delay_ns = settings->link.delay_ns };
}

static void cut(struct sim *sim, void *context)
{
	(void)context;
	node_cut(sim, &sim->hosts[below(sim, sim->host_count)]);
}

void traffic_cut(struct sim *sim, unsigned cuts)
{
	sim->attempts_unseen = true; /* one that ended with its connection has no answer */
	while (cuts--)
		sim_at(sim, below(sim, sim->traffic_ns), cut, NULL);
}

/* ---- a call ---- */

static void draw_answer(struct sim *sim, struct answer *answer)
{
	static const uint16_t codes[] = { 404, 408, 480, 486, 487, 488, 500, 503, 302, 401, 407, 422, 600, 603 };
	answer->no_trying = chance(sim, 15);
	if (chance(sim, 60))
		answer->ring_ns = 10 * SIM_MS + below(sim, 3000) * SIM_MS;
	if (chance(sim, 30))
		answer->progress_ns = 10 * SIM_MS + below(sim, 3000) * SIM_MS;
	answer->progress_bare = chance(sim, 20);
	answer->final_ns = chance(sim, 20) ? below(sim, 20 * SIM_MS) : below(sim, 8000) * SIM_MS;
	if (chance(sim, 25))
		answer->code = codes[below(sim, sizeof codes / sizeof *codes)];
	else if (chance(sim, 10))
		answer->forks = 1 + (unsigned)below(sim, 2);
	if (answer->code == 503 && chance(sim, 50))
		answer->headers = chance(sim, 50) ? "Retry-After: 5\r\n" : "Retry-After: 40 (full);duration=9\r\n";
	answer->reliable = chance(sim, 60);
	answer->bare = chance(sim, 50);
	answer->early_fork = chance(sim, 15);
	answer->deaf = chance(sim, 20);
	answer->never = chance(sim, 4);
	answer->silent = chance(sim, 2);
	if (chance(sim, 5)) { /* a word at last, when it may be too late */
		answer->no_trying = true;
		answer->ring_ns = answer->progress_ns = 0;
		answer->final_ns += 2000 * SIM_MS;
	}
}

static void draw_steps(struct sim *sim, struct script *script)
{
	static const uint8_t kinds[] = { STEP_REINVITE,       STEP_REINVITE,       STEP_REINVITE_SAME,
					 STEP_REINVITE_EMPTY, STEP_REINVITE_TWICE, STEP_REINVITE_CANCEL,
					 STEP_UPDATE,         STEP_UPDATE_EMPTY,   STEP_INFO,
					 STEP_MESSAGE,        STEP_OPTIONS };
	unsigned n = 0;
	uint64_t at_ns = 100 * SIM_MS;
	if (chance(sim, 50))
		for (uint64_t count = below(sim, 4); count; count--) {
			at_ns += below(sim, 6000) * SIM_MS;
			struct step step = { .kind = kinds[below(sim, sizeof kinds)],
					     .by_callee = chance(sim, 50),
					     .at_ns = at_ns };
			script->steps[n++] = step;
			if (chance(sim, 30)) { /* both sides at once */
				step.by_callee = !step.by_callee;
				step.at_ns += below(sim, 30) * SIM_MS;
				script->steps[n++] = step;
			}
		}
	uint64_t end_ns = chance(sim, 10) ? below(sim, at_ns) : at_ns + below(sim, 60000) * SIM_MS;
	struct step bye = { .kind = STEP_BYE, .by_callee = chance(sim, 50), .at_ns = end_ns };
	if (chance(sim, 3))
		return; /* a cap ends it */
	if (n < SCRIPT_STEPS)
		script->steps[n++] = bye;
	if (n < SCRIPT_STEPS && chance(sim, 15)) {
		bye.by_callee = !bye.by_callee;
		bye.at_ns += below(sim, 40) * SIM_MS;
		script->steps[n++] = bye;
	}
	if (n < SCRIPT_STEPS && chance(sim, 2))
		script->steps[n++] = (struct step){ STEP_DIE, chance(sim, 50), below(sim, end_ns + 1) };
}

static void place_timed(struct sim *sim, void *context)
{
	struct script script;
	(void)context;
	sim->planned--;
	traffic_draw_timer_script(sim, &script);
	proxy_draw(sim, &script);
	sim_place(sim, &script);
}

static void place(struct sim *sim, void *context)
{
	struct script script = { .caller = (unsigned)below(sim, SIM_CALLERS) };
	(void)context;
	sim->planned--;
	script.delayed_offer = chance(sim, 12);
	if (chance(sim, 20))
		script.cancel_ns = chance(sim, 30) ? 1 + below(sim, 200 * SIM_MS) : 1 + below(sim, 9000) * SIM_MS;
	script.early_bye = chance(sim, 15);
	script.no_ack = chance(sim, 2);
	if (chance(sim, 10))
		script.ack_delay_ns = below(sim, 5000) * SIM_MS;
	if (chance(sim, 30))
		script.reinvite_ns = below(sim, 3000) * SIM_MS;
	if (chance(sim, 10))
		script.reinvite_code = chance(sim, 50) ? 488 : 415;
	if (chance(sim, 50))
		script.reliable = chance(sim, 25) ? 'r' : 's';
	script.no_prack = chance(sim, 3);
	for (unsigned i = 0; i < 2; i++)
		script.early_update_ns[i] = chance(sim, 40) ? 1 + below(sim, 1500) * SIM_MS : 0;
	for (unsigned i = 0; i < SIM_CALLEES; i++)
		draw_answer(sim, &script.answers[i]);
	if (script.cancel_ns && chance(sim, 40)) { /* the answer crosses it */
		script.answers[0] =
			(struct answer){ .ring_ns = 1, .final_ns = script.cancel_ns + below(sim, 100 * SIM_MS) };
	}
	draw_steps(sim, &script);
	proxy_draw(sim, &script);
	sim_place(sim, &script);
}

void traffic_place_at(struct sim *sim, uint64_t at_ns)
{
	sim->planned++;
	sim_at(sim, at_ns, place, NULL);
}

/* ---- noise and faults ---- */

static void garbage(struct sim *sim, void *context)
{
	static const char *const texts[] = {
		"\r\n\r\n",
		"",
		"OPTIONS sip:10.0.0.1 SIP/2.0\r\n\r\n",
		"INVITE sip:8801@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKnothing\r\nFrom: <sip:a@b>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\nCall-ID: nothing\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
		"BYE sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKnoise;rport\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: noise\r\nCSeq: 1 BYE\r\n"
		"Content-Length: 0\r\n\r\n",
	};
	char noise[200];
	uint64_t which = below(sim, sizeof texts / sizeof *texts + 1);
	struct host *host = &sim->hosts[below(sim, SIM_CALLERS)];
	(void)context;
	sim->counts.garbage++;
	if (which < sizeof texts / sizeof *texts) {
		peer_send_raw(sim, host, bytes_of(texts[which]));
		return;
	}
	for (unsigned i = 0; i < sizeof noise; i++)
		noise[i] = (char)sim_random(sim, SIM_TRAFFIC);
	peer_send_raw(sim, host, (struct bytes){ noise, (uint32_t)below(sim, sizeof noise) });
}

/* A flood of scanners and noise, all in one moment.  By dice of its own, so that the calls stay what they are. */
static void strangers(struct sim *sim, void *context)
{
	static const char *const methods[] = { "INVITE", "REGISTER", "OPTIONS", "CANCEL", "BYE", "ACK" };
	uint64_t dice = mix(sim->settings.seed + 5);
	(void)context;
	for (unsigned i = 0, count = 1 + (unsigned)(dice % 1500); i < count; i++) {
		const char *method = methods[(dice >> 11 ^ i / 3) % (sizeof methods / sizeof *methods)];
		struct page page = { .size = 0 };
		page_add(&page,
			 "%s sip:8801@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.1:5060;branch=z9hG4bK-s-%u;rport\r\n"
			 "From: <sip:a@b>;tag=s%u\r\nTo: <sip:a@b>%s\r\nCall-ID: stranger-%u\r\nCSeq: 1 %s\r\n"
			 "User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n",
			 method, i, i, i % 5 ? "" : ";tag=x", i, method);
		struct bytes text = page_bytes(&page);
		if (i % 7 == 0)
			text.size = (uint32_t)(mix(dice + i) % text.size);
		node_stranger(sim, (unsigned)(dice >> 20 ^ i) % 5, text);
	}
}

static void clock_jumps(struct sim *sim, void *context)
{
	(void)context;
	sim_step_clock(sim, (int64_t)below(sim, 7200000000) - INT64_C(3600000000));
}

static void faults_end(struct sim *sim, void *context)
{
	(void)context;
	sim->refuse_cdrs = sim->no_cdr_room = false;
}

static void cdr_queue_fills(struct sim *sim, void *context)
{
	(void)context;
	sim->refuse_cdrs = true;
	sim->no_cdr_room = chance(sim, 50);
	sim_at(sim, sim->now_ns + below(sim, 20000) * SIM_MS, faults_end, NULL);
}

static void lends_end(struct sim *sim, void *context)
{
	(void)context;
	sim->lend_refusal_ppm = 0;
}

static void no_send_room(struct sim *sim, void *context)
{
	(void)context;
	sim->lend_refusal_ppm = 20 * PERCENT;
	sim_at(sim, sim->now_ns + below(sim, 3000) * SIM_MS, lends_end, NULL);
}

static void reload(struct sim *sim, void *context)
{
	(void)context;
	node_reload(sim, limited[below(sim, 3)], 1 + below(sim, 2000) * SIM_MS);
}

static bool is_limited(const struct sim *sim)
{
	for (unsigned i = 0; i < sizeof limited / sizeof *limited; i++)
		if (sim->settings.gateways == limited[i])
			return true;
	return false;
}

/* The same once more: nothing of the former one may still be looked at, and no call may notice. */
static void reload_same(struct sim *sim, void *context)
{
	(void)context;
	node_configure(sim, NULL, NULL);
}

static void tops_up(struct sim *sim, void *context)
{
	struct command command = { .kind = COMMAND_CREDIT,
				   .account_id = gateway_id(GATEWAY_ACCOUNT, "traffic"),
				   .amount_e8 = (int64_t)below(sim, 60) * MONEY_ONE };
	(void)context;
	if (!sim->down)
		node_command(sim, &command);
}

static void comes_back(struct sim *sim, void *context)
{
	static const unsigned shards[] = { 0, 1, 2, 3, 4 };
	struct sim_restart how = { .shards = shards[below(sim, sizeof shards / sizeof *shards)],
				   .close = chance(sim, 10),
				   .machine = chance(sim, 20) };
	(void)context;
	if (node_restart(sim, &how))
		sim_fail(sim, NULL, "carried", "a shard refused a record");
}

static void is_killed(struct sim *sim, void *context)
{
	(void)context;
	if (sim->down)
		return;
	node_kill(sim);
	sim_at(sim, sim->now_ns + (chance(sim, 25) ? below(sim, 400 * SIM_S) : below(sim, 5 * SIM_S)), comes_back,
	       NULL);
}

void traffic_kill(struct sim *sim, unsigned times)
{
	for (; times; times--)
		sim_at(sim, sim->now_ns + below(sim, sim->traffic_ns), is_killed, NULL);
}

void traffic_schedule(struct sim *sim, unsigned calls)
{
	bool timed = has_timers(sim->settings.seed);
	uint64_t most_ms = timed ? 150000 : 1500, span_ns = (1 + below(sim, most_ms) * calls) * SIM_MS;
	sim->traffic_ns = span_ns;
	uint64_t begin_ns = sim->now_ns;
	sim->planned += calls;
	for (unsigned i = 0; i < calls; i++)
		sim_at(sim, begin_ns + below(sim, span_ns), timed ? place_timed : place, NULL);
	for (uint64_t i = below(sim, 10); i; i--)
		sim_at(sim, begin_ns + below(sim, span_ns), garbage, NULL);
	if (chance(sim, 20))
		sim_at(sim, begin_ns + below(sim, span_ns), clock_jumps, NULL);
	if (mix(sim->settings.seed + 3) % 4 == 0)
		sim_at(sim, begin_ns + mix(sim->settings.seed + 4) % span_ns, strangers, NULL);
	if (chance(sim, 15))
		sim_at(sim, begin_ns + below(sim, span_ns), cdr_queue_fills, NULL);
	if (chance(sim, 15))
		sim_at(sim, begin_ns + below(sim, span_ns), no_send_room, NULL);
	for (uint64_t i = sim->settings.tariff ? below(sim, 8) : 0; i; i--)
		sim_at(sim, begin_ns + below(sim, span_ns), tops_up, NULL);
	for (uint64_t i = below(sim, is_limited(sim) ? 8 : 4); i; i--)
		sim_at(sim, begin_ns + below(sim, span_ns), is_limited(sim) ? reload : reload_same, NULL);
}
