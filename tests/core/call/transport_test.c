/* Transactions on a reliable transport.  RFC 3261 17.1.1.2, 17.1.2.2, 17.2.1, 17.2.2, 13.3.1.4, 18. */
#include "calls.h"

#include <string.h>

#include "script.h"

#define TCP .reliable = true

static struct sim *sim_of(const char *gateways)
{
	return sim_new(.seed = SEED, .reliable = true, .gateways = gateways);
}

/* A callee that takes seven seconds to say anything, and a caller that takes as long to its ACK. */
Test(rfc3261_17_1_1_2, an_invite_is_not_sent_again)
{
	struct sim *sim = sim_of(ONE_GATEWAY);
	struct sim_call *call = sim_call_now(sim, .answers = { { .no_trying = true, .final_ns = 7 * SIM_S } },
					     .steps = { HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 1);
	cr_assert_eq(sim_seen_again(call, OUT_B, "INVITE"), 0);
	assert_reason(call, normal);
	finish(sim);
}

/* Timer B: 64*T1 all the same, unless the gateway's own time is over before. */
Test(rfc3261_17_1_1_2, timer_b_holds_on_a_reliable_transport)
{
	struct sim *sim =
		sim_new(.seed = SEED, TCP, .gateways = ONE_GATEWAY, .parameters = "SS_SIP_TIMEOUT_INVITE = 100");
	struct sim_call *call = sim_call_now(sim, .answers = { { .silent = true } });
	sim_run(sim, 40 * SIM_S);
	assert_after(sim_seen_ns(call, OUT_A, "408 INVITE", 0), sim_seen_ns(call, OUT_B, "INVITE", 0), SIM_64T1);
	cr_assert_eq(sim_seen_again(call, OUT_B, "INVITE"), 0);
	finish(sim);
}

/* Timer E is off, Timer F is not. */
Test(rfc3261_17_1_2_2, a_bye_is_not_sent_again)
{
	struct duel *d = duel_up(.reliable = true);
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, 2 * SIM_64T1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	cr_assert_eq(nth(&d->b, "BYE", 0)->again, 0);
	over(d);
}

/* 13.3.1.4: the user agent core repeats its 2xx over any transport, since the ACK comes from end to end. */
Test(rfc3261_13_3_1_4, a_2xx_is_sent_again_on_a_reliable_transport)
{
	struct sim *sim = sim_of(ONE_GATEWAY);
	struct sim_call *call =
		sim_call_now(sim, .ack_delay_ns = 4 * SIM_S, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	cr_assert_eq(sim_seen_again(call, OUT_A, "200 INVITE"), 3); /* after 0.5, 1.5 and 3.5 s */
	finish(sim);
}

/* Timer G is off; without an ACK Timer H ends the transaction. */
Test(rfc3261_17_2_1, a_failure_is_not_sent_again)
{
	struct duel *d = duel(.reliable = true, .first = { "486" });
	struct heard *refusal = nth(&d->a, "486 INVITE", 0);
	cr_assert(refusal);
	run(d, 2 * SIM_64T1);
	cr_assert_eq(refusal->again, 0);
	over(d);
}

/* Timer J is zero: what an answer with a session is kept in goes with it, and the transaction as well. */
Test(rfc3261_17_2_2, a_server_transaction_ends_with_its_answer)
{
	struct duel *d = duel_up(.reliable = true, .ok = CALLEE_TIMED(""));
	uint64_t used = node_stat(d->sim, pool_transaction_used);
	struct said *update = say(&d->a, "UPDATE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	for (unsigned i = 0; i < d->sim->shard_count; i++)
		shard_publish_stats(d->sim->shards[i].shard);
	cr_assert_eq(node_stat(d->sim, pool_transaction_used), used);
	over(d);
}

/* Neither side sends again what a stream has brought: an answer that found no room to be sent goes out later. */
Test(rfc3261_17_2_2, an_answer_that_found_no_room_is_sent_later)
{
	struct duel *d = duel_up(.reliable = true, .ok = CALLEE_TIMED(""));
	struct said *update = say(&d->a, "UPDATE", NULL, new_sdp(&d->a));
	while (!count(&d->b, "UPDATE"))
		sim_step(d->sim, d->sim->now_ns + SIM_S);
	d->sim->refuse_lends = true;
	run(d, 800 * SIM_MS); /* the second try finds none as well */
	cr_assert_eq(status_of(update), 0);
	d->sim->refuse_lends = false;
	run(d, 2 * SIM_S);
	cr_assert_eq(status_of(update), 200);
	cr_assert(update->last->w.body.size);
	struct said *bye = say(&d->a, "BYE", NULL, BYTES_NONE);
	d->sim->refuse_lends = true;
	run(d, 100 * SIM_MS);
	d->sim->refuse_lends = false;
	run(d, 2 * SIM_S);
	cr_assert_eq(status_of(bye), 200);
	run(d, SIM_S);
	for (unsigned i = 0; i < d->sim->shard_count; i++)
		shard_publish_stats(d->sim->shards[i].shard);
	cr_assert_eq(node_stat(d->sim, pool_transaction_used), 0);
	over(d);
}

Test(rfc3261_18_1_1, via_and_contact_name_the_transport)
{
	struct duel *d = duel_up(.reliable = true);
	struct heard *invite = nth(&d->b, "INVITE", 0), *ok = nth(&d->a, "200 INVITE", 0);
	cr_assert(strncmp(header(invite, "Via"), "SIP/2.0/TCP ", 12) == 0, "%s", header(invite, "Via"));
	cr_assert(strstr(header(invite, "Contact"), ";transport=tcp>"), "%s", header(invite, "Contact"));
	cr_assert(strstr(header(ok, "Contact"), ";transport=tcp>"), "%s", header(ok, "Contact"));
	hang_up(d);
	cr_assert(strncmp(header(nth(&d->b, "BYE", 0), "Via"), "SIP/2.0/TCP ", 12) == 0);
	over(d);
}

#define TWO_GATEWAYS                                                                                                   \
	ONE_GATEWAY "routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 }\n"

static struct host *host_of(struct sim *sim, const char *name)
{
	for (unsigned i = 0; i < sim->host_count; i++)
		if (strcmp(sim->hosts[i].name, name) == 0)
			return &sim->hosts[i];
	cr_assert(false, "no host %s", name);
	return NULL;
}

/* 8.1.3.1: as with a port that is unreachable, the next gateway is tried at once. */
Test(rfc3261_18_4, a_connection_that_ends_before_any_answer_fails_the_attempt)
{
	struct sim *sim = sim_of(TWO_GATEWAYS);
	sim->attempts_unseen = true; /* the first one's failure is no message */
	struct sim_call *call = sim_call_now(sim, .answers = { { .silent = true }, ANSWERS }, .steps = { HANGS_UP(3) });
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 1);
	node_cut(sim, host_of(sim, "10.2.0.1:5060"));
	uint64_t cut_ns = sim->now_ns;
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 2);
	cr_assert_eq(sim_seen_ns(call, OUT_B, "INVITE", 1), cut_ns);
	assert_reason(call, normal);
	cr_assert_eq(cdr_of(call)->attempts_count, 2);
	cr_assert_eq(call->cdr->attempts[0].code, 503);
	finish(sim);
}

/* A telephone that rings goes on ringing: its answer may come by another connection (18.2.2). */
Test(rfc3261_18_2_2, a_connection_that_ends_after_a_provisional_answer_is_no_failure)
{
	struct sim *sim = sim_of(TWO_GATEWAYS);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(3) });
	sim_run(sim, SIM_S);
	node_cut(sim, host_of(sim, "10.2.0.1:5060"));
	sim_run(sim, 10 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 1);
	assert_reason(call, normal);
	finish(sim);
}

/* The request of a dialog goes out once more by another connection; when that ends as well, its deadline remains. */
Test(rfc3261_18_4, a_request_whose_connection_ends_is_sent_again_once)
{
	struct duel *d = duel_up(.reliable = true);
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, 100 * SIM_MS);
	struct heard *bye = nth(&d->b, "BYE", 0);
	cr_assert(bye);
	node_cut(d->sim, d->b.host);
	run(d, 100 * SIM_MS);
	cr_assert_eq(bye->again, 1);
	node_cut(d->sim, d->b.host);
	run(d, 2 * SIM_64T1);
	cr_assert_eq(bye->again, 1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	over(d);
}

/* Only a call has somewhere else to go when a peer has refused a connection a moment ago: what belongs to a dialog is
 * sent by one that it knows, a re-INVITE as well as a BYE, and so it goes out once more when that does not come about.
 */
Test(rfc3261_18_4, a_request_to_a_peer_that_has_refused_is_sent_again_once)
{
	static const char *const methods[] = { "INVITE", "BYE" };
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d = duel_up(.reliable = true);
		d->b.gone = true;
		d->b.host->has_refused = true;
		say(&d->a, methods[i], NULL, i == 0 ? new_sdp(&d->a) : BYTES_NONE);
		run(d, 100 * SIM_MS);
		struct heard *request = nth(&d->b, methods[i], 1 - i);
		cr_assert(request);
		node_cut(d->sim, d->b.host);
		run(d, 100 * SIM_MS);
		cr_assert_eq(request->again, 1, "%s", methods[i]);
		run(d, 2 * SIM_64T1);
		over(d);
	}
}

/* No connection was to be had, or no room on it: nothing on a stream would repeat it. */
Test(rfc3261_18_4, a_request_that_found_no_way_is_sent_again)
{
	for (unsigned reliable = 0; reliable < 2; reliable++) {
		struct duel *d = duel_up(.reliable = reliable);
		d->b.gone = true;
		say(&d->a, "BYE", NULL, BYTES_NONE);
		run(d, 100 * SIM_MS);
		struct heard *bye = nth(&d->b, "BYE", 0);
		cr_assert(bye);
		shard_undeliverable(d->sim->shards[0].shard, d->sim->now_ns, bye->w.text);
		run(d, 700 * SIM_MS);
		cr_assert_eq(bye->again, 1);
		if (reliable)
			run(d, 2 * SIM_S);
		cr_assert_eq(bye->again, 1);
		over(d);
	}
}

Test(rfc3261_18_4, a_call_to_a_peer_that_has_refused_names_no_connection)
{
	struct sim *sim = sim_of(TWO_GATEWAYS);
	sim->attempts_unseen = true;
	struct sim_call *call = sim_call_now(sim, .answers = { { .silent = true }, ANSWERS });
	host_of(sim, "10.2.0.1:5060")->has_refused = true;
	sim_run(sim, SIM_S);
	node_cut(sim, host_of(sim, "10.2.0.1:5060"));
	sim_run(sim, SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 1, "it was opened for it");
	finish(sim);
}

/* A connection that has ended is no end of the calls on it, and no reason to look at those of others. */
Test(rfc3261_18_4, calls_that_are_up_outlive_their_connections)
{
	struct duel *d = duel_up(.reliable = true);
	node_cut(d->sim, d->a.host);
	node_cut(d->sim, d->b.host);
	run(d, 60 * SIM_S);
	cr_assert_eq(d->call->cdr_count, 0);
	hang_up(d);
	over(d);
}

/* 18.3: only Content-Length says where a message ends. */
Test(rfc3261_18_3, a_request_without_content_length_is_refused)
{
	struct duel *d = duel_up(.reliable = true);
	static const char text[] =
		"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 10.1.0.1:5060;branch=z9hG4bK-18-3;rport\r\n"
		"From: <sip:a@10.1.0.1>;tag=1\r\nTo: <sip:10.0.0.1>\r\nCall-ID: rfc3261-18-3\r\n"
		"CSeq: 1 OPTIONS\r\n\r\n";
	uint64_t bad = node_stat(d->sim, bad_content_length);
	peer_send_raw(d->sim, d->a.host, BYTES(text));
	run(d, SIM_S);
	cr_assert_eq(node_stat(d->sim, bad_content_length), bad + 1);
	over(d);
}

/* Random calls of both sides, shards that hand messages on, and connections that end at any moment. */
Test(rfc3261_18, calls_of_every_kind_end_well_on_connections)
{
	struct sim *sim = sim_new(.seed = SEED, TCP, .shards = 3, .mailbox = true);
	for (unsigned i = 0; i < 60; i++) {
		sim_call_now(sim, .caller = i % SIM_CALLERS, .cancel_ns = i % 5 == 0 ? SIM_S : 0,
			     .delayed_offer = i % 7 == 0, .answers = { ANSWERS, ANSWERS },
			     .steps = { { STEP_REINVITE, i % 2 == 0, SIM_S }, HANGS_UP(3 + i % 4) });
		sim_run(sim, 130 * SIM_MS);
	}
	finish(sim);
}
