/* Online check of routing gateways by OPTIONS: SS_SIP_OPTIONS_CHECK_PERIOD, options_check.  RFC 3261 11.
 *
 * The hosts of the simulation are its own; what they do with an OPTIONS outside a dialog is the test's: link with
 * -Wl,--wrap=peer_receive. */
#include <string.h>

#include "core/call/check.h"
#include "reconfigure.h"

#define PERIOD (30 * SIM_S)

#define MG  "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
#define RG1 "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} options_check = on }\n"
#define RG2 "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 }\n"

/* ---- hosts ---- */

#define HEARD_MAX 64

/* By host, from 0: 10.2.0.1 and on. */
static struct {
	unsigned status;  /* of the answer; 0: none */
	unsigned skip;    /* so many are left without an answer */
	uint64_t wait_ns; /* before the answer */
	unsigned asked;   /* retransmissions not counted */
	unsigned again;
	uint64_t asked_ns[HEARD_MAX];
	char branch[64], call_id[HEARD_MAX][64];
	char text[2048]; /* the latest */
} hosts[SIM_CALLEES];

static void answers(unsigned host, unsigned status)
{
	hosts[host].status = status;
}

void __real_peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged);
void __wrap_peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged);

struct late_answer {
	struct host *host;
	struct bytes text;
};

static void send_answer(struct sim *sim, void *context)
{
	const struct late_answer *answer = context;
	network_to_node(sim, answer->host, answer->text);
}

static void answer(struct sim *sim, struct host *host, const struct wire *w, unsigned status)
{
	struct page page = { .size = 0 };
	struct late_answer *late = sim_alloc(sim, sizeof *late);
	page_add(&page,
		 "SIP/2.0 %u Whatever\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s;tag=o\r\nCall-ID: %.*s\r\nCSeq: %.*s\r\n",
		 status, TEXT(w->via), TEXT(w->from), TEXT(w->to), TEXT(w->call_id), TEXT(w->cseq_line));
	page_end(&page, "", BYTES_NONE);
	char *copy = sim_alloc(sim, page.size);
	memcpy(copy, page.text, page.size);
	*late = (struct late_answer){ host, { copy, (uint32_t)page.size } };
	sim_at(sim, sim->now_ns + hosts[host->index].wait_ns, send_answer, late);
}

void __wrap_peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged)
{
	struct wire w;
	if (!wire_read(datagram, &w) || !w.is_request || !wire_method_is(&w, "OPTIONS") || w.to_tag.size) {
		__real_peer_receive(sim, host, datagram, damaged);
		return;
	}
	cr_assert(!host->is_caller);
	if (wire_is(w.branch, hosts[host->index].branch)) {
		hosts[host->index].again++;
	} else {
		unsigned n = hosts[host->index].asked++ % HEARD_MAX;
		hosts[host->index].asked_ns[n] = sim->now_ns - WAY_NS;
		snprintf(hosts[host->index].call_id[n], sizeof hosts->call_id[n], "%.*s", TEXT(w.call_id));
		snprintf(hosts[host->index].branch, sizeof hosts->branch, "%.*s", TEXT(w.branch));
		snprintf(hosts[host->index].text, sizeof hosts->text, "%.*s", TEXT(datagram));
	}
	if (hosts[host->index].skip)
		hosts[host->index].skip--;
	else if (hosts[host->index].status)
		answer(sim, host, &w, hosts[host->index].status);
}

/* ---- what tests ask ---- */

static void setup(void)
{
	memset(hosts, 0, sizeof hosts);
}

TestSuite(options_check, .init = setup);

static uint32_t online(const struct sim *sim, const char *gateway)
{
	const struct quality_books books = { sim->qualities, sim->shard_count };
	return quality_online(&books, gateway_id(GATEWAY_ROUTING, gateway), sim->config->generation);
}

static bool is_down(const struct sim *sim, const char *gateway)
{
	bool down = online(sim, gateway) & QUALITY_DOWN;
	for (unsigned i = 0; i < sim->shard_count; i++) /* and every shard knows */
		cr_assert_eq(check_all_down(sim->shards[i].shard, gateway_id(GATEWAY_ROUTING, gateway)), down);
	return down;
}

/* Until the host has been asked so often. */
static void run_until_asked(struct sim *sim, unsigned host, unsigned times)
{
	uint64_t end_ns = sim->now_ns + 3600 * SIM_S;
	while (hosts[host].asked < times && sim_step(sim, end_ns))
		;
	cr_assert_eq(hosts[host].asked, times);
}

static void begin_periods(struct sim *sim, unsigned host)
{
	run_until_asked(sim, host, 1);
	sim_run_until(sim, hosts[host].asked_ns[0] + SIM_S); /* a second into each */
}

/* No check is left to be done, and nothing else either. */
static void end(struct sim *sim)
{
	reconfigure(sim, NULL, MG);
	finish(sim);
}

static struct sim_call *place(struct sim *sim)
{
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS, ANSWERS, ANSWERS }, .steps = { HANGS_UP(1) });
	sim_run(sim, 6 * SIM_S);
	return call;
}

static void assert_tried(const struct sim_call *call, const char *gateway)
{
	const struct cdr *cdr = cdr_of(call);
	cr_assert_eq(cdr->attempts_count, *gateway != '\0');
	if (*gateway)
		cr_assert(
			wire_is((struct bytes){ cdr->attempts[0].gateway.at, cdr->attempts[0].gateway.size }, gateway));
}

/* ---- the period ---- */

Test(options_check, an_options_each_period_and_none_without_the_key)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1 RG2);
	answers(0, 200);
	begin_periods(sim, 0);
	sim_run(sim, 10 * PERIOD);
	cr_assert_eq(hosts[0].asked, 11);
	cr_assert_eq(hosts[0].again, 0);
	cr_assert_eq(hosts[1].asked, 0);
	for (unsigned i = 1; i < 11; i++) {
		assert_after(hosts[0].asked_ns[i], hosts[0].asked_ns[i - 1], PERIOD);
		cr_assert_str_neq(hosts[0].call_id[i], hosts[0].call_id[i - 1]);
	}
	cr_assert_not(is_down(sim, "rg1"));
	cr_assert_eq(sim->log_lines, 0);
	end(sim);
}

/* RFC 3261 8.1.1: a whole request of a user agent, to the address itself. */
Test(options_check, rfc3261_11_1_the_request)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	begin_periods(sim, 0);
	static const char *const lines[] = {
		"OPTIONS sip:10.2.0.1:5060 SIP/2.0\r\n",
		"\r\nTo: <sip:10.2.0.1:5060>\r\n",
		"\r\nFrom: <sip:10.0.0.1>;tag=",
		"\r\nMax-Forwards: 70\r\n",
		"\r\nContact: <sip:",
		"@10.0.0.1:5060>\r\n",
		"\r\nAccept: application/sdp",
		"\r\nContent-Length: 0\r\n\r\n",
	};
	for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
		cr_assert_not_null(strstr(hosts[0].text, lines[i]), "%s in\n%s", lines[i], hosts[0].text);
	end(sim);
}

/* A silent gateway hears it again at the waits of a non-INVITE client transaction, until the period is over. */
Test(options_check, rfc3261_17_1_2_retransmissions)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1, .parameters = "SS_SIP_OPTIONS_CHECK_PERIOD = 10");
	begin_periods(sim, 0);
	sim_run_until(sim, hosts[0].asked_ns[0] + 9990 * SIM_MS);
	cr_assert_eq(hosts[0].asked, 1);
	cr_assert_eq(hosts[0].again, 4); /* 0.5, 1.5, 3.5, 7.5 */
	cr_assert_eq(node_stat(sim, pool_transaction_used), 1);
	sim_run(sim, 100 * SIM_MS);
	cr_assert_eq(hosts[0].asked, 2);
	cr_assert_eq(node_stat(sim, pool_transaction_used), 1);
	end(sim);
}

/* One lost datagram is no silence. */
Test(options_check, a_retransmission_that_is_answered_counts)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	answers(0, 200);
	for (unsigned period = 0; period < 5; period++) {
		hosts[0].skip = 3;
		run_until_asked(sim, 0, period + 1);
		sim_run(sim, 20 * SIM_S);
		cr_assert_not(is_down(sim, "rg1"));
	}
	end(sim);
}

/* Two hundred gateways: no second of the period has more than a few of them, and each shard asks its own. */
Test(options_check, spread_over_the_period)
{
	static char gateways[40000];
	size_t size = (size_t)snprintf(gateways, sizeof gateways, MG);
	for (unsigned i = 0; i < 200; i++)
		size += (size_t)snprintf(gateways + size, sizeof gateways - size,
					 "routing_gateway \"g%u\" { address = \"10.2.0.1:5060\" options_check = on }\n",
					 i);
	for (unsigned shards = 1; shards <= 4; shards++) {
		unsigned seconds[30] = { 0 }, before = 0, most = 0;
		setup();
		answers(0, 200);
		struct sim *sim =
			sim_new(.seed = SEED + shards, .shards = shards, .mailbox = shards & 1, .gateways = gateways);
		for (unsigned i = 0; i < 30; i++) {
			sim_run(sim, SIM_S);
			seconds[i] = hosts[0].asked - before;
			most = seconds[i] > most ? seconds[i] : most;
			before = hosts[0].asked;
		}
		cr_assert(hosts[0].asked >= 199, "%u", hosts[0].asked); /* the last one may just be on its way */
		cr_assert(most <= 20, "%u in a second", most);          /* 6.7 on average */
		for (unsigned i = 0; i < shards; i++)
			cr_assert_geq(sim->shards[i].shard->checks.used, 200 / shards - 1);
		end(sim);
	}
}

/* A shard that was idle for hours is told of a new configuration: the first checks are no burst either. */
Test(options_check, spread_after_a_reload)
{
	static char gateways[40000];
	size_t size = (size_t)snprintf(gateways, sizeof gateways, MG);
	for (unsigned i = 0; i < 200; i++)
		size += (size_t)snprintf(gateways + size, sizeof gateways - size,
					 "routing_gateway \"g%u\" { address = \"10.2.0.1:5060\" options_check = on }\n",
					 i);
	answers(0, 200);
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG2);
	sim_run(sim, 5 * 3600 * SIM_S);
	reconfigure(sim, NULL, gateways);
	sim_run(sim, SIM_S);
	cr_assert_leq(hosts[0].asked, 20);
	sim_run(sim, PERIOD);
	cr_assert_geq(hosts[0].asked, 200);
	end(sim);
}

/* ---- down and up ---- */

Test(options_check, down_after_two_silent_periods_running)
{
	for (unsigned shards = 1; shards <= 3; shards++) {
		setup();
		struct sim *sim = sim_new(.seed = SEED + shards, .shards = shards, .gateways = MG RG1 RG2);
		begin_periods(sim, 0);
		sim_run(sim, 2 * PERIOD - SIM_S - SIM_MS);
		cr_assert_not(is_down(sim, "rg1"));
		assert_tried(place(sim), "rg1");
		cr_assert(is_down(sim, "rg1"));
		cr_assert_eq(sim->log_lines, 1);
		cr_assert_str_eq(sim->last_log, "event=gateway_down gateway=rg1");
		sim_run(sim, 5 * PERIOD); /* it is said once */
		cr_assert_eq(sim->log_lines, 1);
		end(sim);
	}
}

Test(options_check, one_silent_period_is_none)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	begin_periods(sim, 0);
	for (unsigned period = 2; period < 12; period++) {
		answers(0, period % 2 ? 0 : 200); /* every other one is silent */
		run_until_asked(sim, 0, period);
		sim_run(sim, SIM_S);
		cr_assert_not(is_down(sim, "rg1"));
	}
	cr_assert_eq(sim->log_lines, 0);
	end(sim);
}

Test(options_check, back_at_the_first_answer)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2, .gateways = MG RG1 RG2);
	begin_periods(sim, 0);
	sim_run(sim, 3 * PERIOD);
	cr_assert(is_down(sim, "rg1"));
	assert_tried(place(sim), "rg2");
	answers(0, 200);
	run_until_asked(sim, 0, hosts[0].asked + 1);
	sim_run(sim, 10 * SIM_MS);
	cr_assert_not(is_down(sim, "rg1"));
	cr_assert_eq(sim->log_lines, 2);
	cr_assert_str_eq(sim->last_log, "event=gateway_up gateway=rg1");
	assert_tried(place(sim), "rg1");
	/* And it takes two silent periods again. */
	answers(0, 0);
	run_until_asked(sim, 0, hosts[0].asked + 2);
	cr_assert_not(is_down(sim, "rg1"));
	run_until_asked(sim, 0, hosts[0].asked + 1);
	cr_assert(is_down(sim, "rg1"));
	end(sim);
}

/* Whoever says 503 or 408 speaks SIP; 100 is no final response. */
Test(options_check, any_final_response_is_an_answer)
{
	static const unsigned codes[] = { 200, 302, 401, 403, 404, 405, 408, 481, 500, 501, 503, 603 };
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
		answers(0, 100);
		run_until_asked(sim, 0, hosts[0].asked + 3);
		sim_run(sim, 10 * SIM_MS);
		cr_assert(is_down(sim, "rg1"), "%u", codes[i]);
		answers(0, codes[i]);
		run_until_asked(sim, 0, hosts[0].asked + 1);
		sim_run(sim, 10 * SIM_MS);
		cr_assert_not(is_down(sim, "rg1"), "%u", codes[i]);
	}
	end(sim);
}

/* An answer after five seconds is one. */
Test(options_check, a_late_answer_is_an_answer)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	answers(0, 200);
	hosts[0].wait_ns = 5 * SIM_S;
	begin_periods(sim, 0);
	sim_run(sim, 5 * PERIOD);
	cr_assert_not(is_down(sim, "rg1"));
	end(sim);
}

/* ---- what calls see ---- */

/* A gateway that is down is skipped, and that is no switch. */
Test(options_check, a_gateway_that_is_down_is_skipped)
{
	struct sim *sim =
		sim_new(.seed = SEED, .parameters = "SS_GATEWAY_SWITCH_LIMIT = 1",
			.gateways = MG RG1 RG2
			"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 3 }\n");
	begin_periods(sim, 0);
	sim_run(sim, 3 * PERIOD);
	struct sim_call *call =
		sim_call_now(sim, .answers = { ANSWERS, { .code = 500 }, ANSWERS }, .steps = { HANGS_UP(1) });
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(cdr_of(call)->attempts_count, 2); /* one switch, from rg2 to rg3 */
	assert_reason(call, normal);
	end(sim);
}

/* None is left: as if all were full. */
Test(options_check, all_down_is_no_gateway_free)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	begin_periods(sim, 0);
	sim_run(sim, 3 * PERIOD);
	struct sim_call *call = place(sim);
	assert_tried(call, "");
	assert_reason(call, capacity);
	cr_assert_eq(cdr_of(call)->sip_code, 503);
	cr_assert_eq(cdr_of(call)->q850, 34);
	end(sim);
}

/* With terminate a shorter prefix does not stand in for it either. */
Test(options_check, a_prefix_that_is_down_opens_no_shorter_one)
{
	struct sim *sim =
		sim_new(.seed = SEED, .gateways = MG RG1
				      "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"88\"} }\n");
	begin_periods(sim, 0);
	sim_run(sim, 3 * PERIOD);
	assert_reason(place(sim), capacity);
	reconfigure(sim, NULL,
		    "prefix_mode = \"continue\"\n" MG RG1
		    "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"88\"} }\n");
	assert_tried(place(sim), "rg2");
	end(sim);
}

/* ---- several addresses ---- */

#define TWO "routing_gateway \"rg1\" { address = {\"10.2.0.1:5060\", \"10.2.0.2:5060\"} options_check = on }\n"

Test(options_check, several_addresses_each_is_checked)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2, .gateways = MG TWO);
	const struct shard *s = sim->shards[1].shard;
	uint32_t id = gateway_id(GATEWAY_ROUTING, "rg1");
	answers(1, 200);
	begin_periods(sim, 0);
	cr_assert_eq(hosts[1].asked, 1);
	sim_run(sim, 3 * PERIOD);
	cr_assert_not(is_down(sim, "rg1")); /* the other one is not */
	cr_assert(check_is_down(s, id, 0));
	cr_assert_not(check_is_down(s, id, 1));
	cr_assert_str_eq(sim->last_log, "event=gateway_address_down gateway=rg1 address=10.2.0.1:5060");
	answers(1, 0);
	sim_run(sim, 3 * PERIOD);
	cr_assert(is_down(sim, "rg1"));
	cr_assert_str_eq(sim->last_log, "event=gateway_down gateway=rg1");
	answers(0, 404);
	sim_run(sim, PERIOD);
	cr_assert_not(is_down(sim, "rg1"));
	cr_assert_not(check_is_down(s, id, 0));
	cr_assert(check_is_down(s, id, 1));
	end(sim);
}

/* ---- reloads ---- */

Test(options_check, reload_what_is_known_of_a_gateway_that_stays_is_kept)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2, .gateways = MG RG1 RG2);
	begin_periods(sim, 0);
	sim_run(sim, PERIOD);
	reconfigure(sim, NULL, MG RG1 RG2);
	sim_run(sim, PERIOD); /* the second silent one, although there was a reload between them */
	cr_assert(is_down(sim, "rg1"));
	cr_assert_eq(hosts[0].asked, 3);
	reconfigure(sim, NULL, MG RG1 RG2);
	cr_assert(is_down(sim, "rg1"));
	assert_tried(place(sim), "rg2");
	cr_assert_eq(sim->log_lines, 1);
	sim_run(sim, PERIOD);
	cr_assert_eq(hosts[0].asked, 4); /* its moment in the period is the same */
	end(sim);
}

Test(options_check, reload_starts_and_stops_checks)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG2);
	sim_run(sim, 3 * PERIOD);
	cr_assert_eq(hosts[0].asked, 0);
	reconfigure(sim, NULL, MG RG1 RG2);
	sim_run(sim, 4 * PERIOD);
	cr_assert(is_down(sim, "rg1"));
	/* Without the key it takes calls whatever was known. */
	reconfigure(sim, NULL, MG "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} }\n");
	cr_assert_not(is_down(sim, "rg1"));
	assert_tried(place(sim), "rg1");
	unsigned asked = hosts[0].asked;
	sim_run(sim, 3 * PERIOD);
	cr_assert_eq(hosts[0].asked, asked);
	/* And with it again nothing is known of it. */
	reconfigure(sim, NULL, MG RG1 RG2);
	cr_assert_not(is_down(sim, "rg1"));
	end(sim);
}

/* A gateway that has gone while its OPTIONS is out: the answer is nobody's. */
Test(options_check, reload_an_answer_after_the_check_has_ended)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	answers(0, 200);
	hosts[0].wait_ns = 5 * SIM_S;
	begin_periods(sim, 0);
	reconfigure(sim, NULL, MG RG2);
	sim_run(sim, PERIOD);
	reconfigure(sim, NULL, MG RG1);
	end(sim);
}

/* The addresses change places, one goes and one is new: each keeps what is its own. */
Test(options_check, reload_addresses_that_stay_keep_their_state)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG TWO);
	const struct shard *s = sim->shards[0].shard;
	uint32_t id = gateway_id(GATEWAY_ROUTING, "rg1");
	answers(1, 200);
	begin_periods(sim, 0);
	sim_run(sim, 3 * PERIOD);
	cr_assert(check_is_down(s, id, 0) && !check_is_down(s, id, 1));
	reconfigure(sim, NULL,
		    MG "routing_gateway \"rg1\" { address = {\"10.2.0.3:5060\", \"10.2.0.2:5060\", "
		       "\"10.2.0.1:5060\"} options_check = on }\n");
	cr_assert(!check_is_down(s, id, 0) && !check_is_down(s, id, 1) && check_is_down(s, id, 2));
	reconfigure(sim, NULL, MG "routing_gateway \"rg1\" { address = {\"10.2.0.1:5060\"} options_check = on }\n");
	cr_assert(is_down(sim, "rg1"));
	reconfigure(sim, NULL, MG "routing_gateway \"rg1\" { address = {\"10.2.0.3:5060\"} options_check = on }\n");
	cr_assert_not(is_down(sim, "rg1"));
	end(sim);
}

/* SS_SIP_OPTIONS_CHECK_PERIOD becomes shorter: not only after the rest of the long one, and not sooner than the short
 * one after the last. */
Test(options_check, reload_a_shorter_period)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1, .parameters = "SS_SIP_OPTIONS_CHECK_PERIOD = 3600");
	answers(0, 200);
	begin_periods(sim, 0);
	reconfigure(sim, "SS_SIP_OPTIONS_CHECK_PERIOD = 5", MG RG1);
	sim_run(sim, 21 * SIM_S);
	cr_assert_eq(hosts[0].asked, 5);
	for (unsigned i = 1; i < 5; i++)
		assert_after(hosts[0].asked_ns[i], hosts[0].asked_ns[i - 1], 5 * SIM_S);
	reconfigure(sim, "SS_SIP_OPTIONS_CHECK_PERIOD = 60", MG RG1);
	sim_run(sim, 200 * SIM_S);
	assert_after(hosts[0].asked_ns[6], hosts[0].asked_ns[5], 60 * SIM_S);
	end(sim);
}

/* ---- limits ---- */

/* Without room for a datagram it is sent again; without a transaction nothing was asked, and that is no silence. */
Test(options_check, what_was_not_asked_is_no_silence)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	begin_periods(sim, 0); /* one that has no answer, though */
	struct shard *s = sim->shards[0].shard;
	uint32_t reserve = s->transaction_reserve;
	s->transaction_reserve = s->transactions.size;
	sim_run(sim, 5 * PERIOD);
	cr_assert_eq(hosts[0].asked, 1);
	cr_assert_not(is_down(sim, "rg1"));
	s->transaction_reserve = reserve;
	sim_run(sim, PERIOD);
	cr_assert_eq(hosts[0].asked, 2);
	cr_assert_not(is_down(sim, "rg1"));
	end(sim);
}

/* An orderly stop waits for no check. */
Test(options_check, a_node_that_stops_asks_nobody)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = MG RG1);
	struct command stop = { .kind = COMMAND_STOP };
	begin_periods(sim, 0);
	node_command(sim, &stop);
	sim_run(sim, 5 * PERIOD);
	cr_assert_eq(hosts[0].asked, 1);
	cr_assert(node_stopped(sim));
	finish(sim);
}
