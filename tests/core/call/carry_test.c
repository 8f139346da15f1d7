/* Calls that outlive the process that took them: design, rule 7; spec 2 (on_restart, stop --keep-calls), 5 (windows and
 * caps), 9 (one CDR a call), 11 (what cannot be kept is not begun). */
#include "early.h"

#include <stdlib.h>

#include "billing/recovery.h"
#include "core/call/carry.h"
#include "core/call/carry_image.h"
#include "core/call/state.h"
#include "sip/pack.h"
#include "tests/sim/keep.h"

#define TIMED      CALLER_TIMED("Session-Expires: 600;refresher=uas")
#define TIMED_OK   CALLEE_TIMED("Session-Expires: 600;refresher=uac")
#define SOON_NS    (5 * SIM_S) /* carried legs are refreshed within it */
#define CRASH_LINE "SIP;cause=503;text=\"node restarted\""

/* Killed, down for that long, and back. */
static void comes_back(struct duel *d, uint64_t down_ns, const struct sim_restart *how)
{
	node_kill(d->sim);
	run(d, down_ns);
	cr_assert_eq(node_restart(d->sim, how), 0, "a record was refused");
}
#define restart(d, down_ns, ...) comes_back((d), (down_ns), &(struct sim_restart){ __VA_ARGS__ })

static void assert_recovered(const struct duel *d, const char *id)
{
	const struct cdr *cdr = cdr_of(d->call);
	cr_assert_eq(cdr->recovered, 1);
	if (id)
		cr_assert(memcmp(cdr->cdr_id, id, CDR_ID_SIZE) == 0, "%.*s", CDR_ID_SIZE, cdr->cdr_id);
}

/* ---- dialogs ---- */

/* Whatever the number of shards was and is. */
Test(rule7, a_carried_call_is_ended_by_its_peers)
{
	for (unsigned shards = 1; shards <= 4; shards++)
		for (unsigned by_callee = 0; by_callee < 2; by_callee++) {
			struct duel *d = duel_up(.seed = SEED + shards);
			run(d, 20 * SIM_S);
			restart(d, 2 * SIM_S, .shards = shards);
			run(d, 30 * SIM_S);
			struct said *bye = say(by_callee ? &d->b : &d->a, "BYE", NULL, BYTES_NONE);
			run(d, SIM_S);
			cr_assert_eq(status_of(bye), 200);
			cr_assert_eq(count(by_callee ? &d->a : &d->b, "BYE"), 1);
			assert_recovered(d, NULL);
			cr_assert_eq(cdr_of(d->call)->hold_ms, (int64_t)((bye->at_ns - d->up_ns) / SIM_MS));
			over(d);
		}
}

Test(rule7, a_call_may_be_carried_over_any_number_of_starts)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	char id[CDR_ID_SIZE] = "";
	for (unsigned i = 0; i < 10; i++) {
		restart(d, SIM_S, .shards = 1 + i % 4, .machine = i % 3 == 2);
		run(d, 20 * SIM_S + i * 30 * SIM_S);
	}
	cr_assert_geq(refreshes(&d->a), 10);
	hang_up(d);
	assert_recovered(d, NULL);
	memcpy(id, cdr_of(d->call)->cdr_id, sizeof id);
	cr_assert(memcmp(id + CDR_ID_START_DIGITS, "-0001-", 6) == 0, "the first start's: %.*s", CDR_ID_SIZE, id);
	over(d);
}

Test(rfc3261_12, requests_inside_a_carried_dialog_go_on)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	restart(d, SIM_S, .shards = 2);
	struct said *invite = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	cr_assert_eq(count(&d->b, "INVITE"), 2, "relayed");
	struct said *update = say(&d->b, "UPDATE", NULL, new_sdp(&d->b));
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	struct said *same = say(&d->a, "INVITE", NULL, sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(same), 200);
	cr_assert_eq(count(&d->b, "INVITE"), 2, "a session that is known as it is, is answered here");
	struct said *info = say(&d->a, "INFO", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(info), 200);
	over(d);
}

/* A session that was changed before is the one that is carried. */
Test(rfc3261_14, a_changed_session_and_target_are_carried)
{
	struct duel *d = duel_up();
	d->b.contact++;
	struct said *invite = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	restart(d, SIM_S);
	say_again(&d->a, invite); /* its answer was lost with the process */
	struct said *same = say(&d->b, "INVITE", NULL, sdp(&d->b));
	run(d, SIM_S);
	cr_assert_eq(status_of(same), 200);
	cr_assert_eq(count(&d->a, "INVITE"), 0, "the callee's session is known");
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	over(d); /* the simulation holds the request-URI against the Contact */
}

Test(rfc3261_17_2_1, a_repeated_invite_makes_no_second_call)
{
	struct duel *d = duel_up();
	run(d, SIM_S);
	restart(d, 100 * SIM_MS, .shards = 3);
	run(d, SIM_S);
	peer_send_raw(d->sim, d->a.host, d->call->caller->invite->text);
	run(d, 10 * SIM_S);
	cr_assert_eq(node_stat(d->sim, calls_attempted), 0);
	cr_assert_eq(count(&d->b, "INVITE"), 1);
	over(d);
}

Test(rfc3261_13_2_2_4, a_repeated_200_of_the_callee_is_acked)
{
	struct duel *d = duel_up();
	restart(d, 100 * SIM_MS, .shards = 2);
	struct heard *invite = nth(&d->b, "INVITE", 0);
	unsigned before = nth(&d->b, "ACK", 0)->again;
	char text[1024];
	int size = snprintf(text, sizeof text,
			    "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: %s\r\n"
			    "Content-Length: 0\r\n\r\n",
			    header(invite, "Via"), header(invite, "From"), header(invite, "To"), d->b.ua->local_tag,
			    d->b.ua->call_id, header(invite, "CSeq"));
	peer_send_raw(d->sim, d->b.host, (struct bytes){ text, (uint32_t)size });
	run(d, SIM_S);
	cr_assert_eq(nth(&d->b, "ACK", 0)->again, before + 1);
	cr_assert_eq(count(&d->b, "BYE"), 0);
	over(d);
}

/* ---- a dialog that changes all the time ---- */

/* UPDATEs of the caller without session, each from another Contact, a millisecond apart. */
static void moves(struct duel *d, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		d->a.contact++;
		say(&d->a, "UPDATE", NULL, BYTES_NONE);
		run(d, SIM_MS);
	}
	run(d, 2 * WAY_NS);
	cr_assert_eq(status_of(d->a.said), 200);
}

static void read_caller_target(struct sim *sim, const struct recovered_call *call, void *context)
{
	struct call_image image;
	struct bytes texts[DIALOG_TEXTS];
	(void)sim;
	cr_assert(carry_read(call, &image));
	pack_read(image.legs[LEG_CALLER].dialog, texts, DIALOG_TEXTS);
	snprintf(context, 80, "%.*s", TEXT(texts[DIALOG_TARGET]));
}

/* That the records have: what a process would go on with that begins now. */
static void assert_carried_target(struct duel *d, unsigned contact)
{
	char carried[80] = "", wanted[80];
	keep_each(d->sim, read_caller_target, carried);
	snprintf(wanted, sizeof wanted, "sip:%s-%u@%s", d->a.ua->local_tag, contact, d->a.host->name);
	cr_assert_str_eq(carried, wanted, "%s, not %s", carried, wanted);
}

Test(rule7, a_target_that_changes_all_the_time_is_not_written_each_time)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, SIM_S);
	uint64_t before = d->sim->counts.whole_records;
	moves(d, 1000);
	cr_assert_leq(d->sim->counts.whole_records - before, 12, "%llu whole records",
		      (unsigned long long)(d->sim->counts.whole_records - before));
	cr_assert_geq(d->sim->counts.whole_records - before, 9);
	run(d, 250 * SIM_MS);
	assert_carried_target(d, d->a.contact);
	before = d->sim->counts.whole_records;
	run(d, 10 * SIM_S);
	cr_assert_eq(d->sim->counts.whole_records, before, "nothing more has changed");
	restart(d, SIM_S);
	struct said *info = say(&d->b, "INFO", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(info), 200);
	char target[80];
	snprintf(target, sizeof target, "sip:%s-%u@%s", d->a.ua->local_tag, d->a.contact, d->a.host->name);
	cr_assert(wire_is(nth(&d->a, "INFO", 0)->w.uri, target));
	over(d);
}

/* Killed in the midst of it: the dialog goes on, its CSeq numbers too. */
Test(rule7, a_call_goes_on_whose_target_was_changing)
{
	for (unsigned times = 1; times <= 300; times += 37) {
		struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
		run(d, SIM_S);
		unsigned before = d->a.contact;
		moves(d, times);
		if (times == 1)
			assert_carried_target(d, before + 1);
		restart(d, SIM_S, .shards = 2);
		struct said *invite = say(&d->b, "INVITE", NULL, new_sdp(&d->b));
		run(d, SIM_S);
		cr_assert_eq(status_of(invite), 200);
		struct said *update = say(&d->a, "UPDATE", NULL, BYTES_NONE);
		run(d, SIM_S);
		cr_assert_eq(status_of(update), 200);
		over(d);
	}
}

/* A session that follows another one at once is carried when the turn is over, too. */
Test(rule7, the_last_of_many_sessions_is_carried)
{
	struct duel *d = duel_up();
	run(d, SIM_S);
	uint64_t before = d->sim->counts.whole_records;
	for (unsigned i = 0; i < 25; i++) {
		struct said *update = say(&d->a, "UPDATE", NULL, new_sdp(&d->a));
		run(d, 10 * SIM_MS);
		cr_assert_eq(status_of(update), 200);
	}
	cr_assert_leq(d->sim->counts.whole_records - before, 4);
	run(d, 250 * SIM_MS);
	unsigned updates = count(&d->b, "UPDATE");
	restart(d, SIM_S);
	struct said *same = say(&d->a, "INVITE", NULL, sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(same), 200);
	cr_assert_eq(count(&d->b, "INVITE"), 1, "it is known, and answered here");
	cr_assert_eq(count(&d->b, "UPDATE"), updates);
	over(d);
}

/* Neither of those that end meanwhile, whose other leg is still to hear BYE, nor of those that are left on purpose. */
Test(rule7, the_last_target_is_written_before_its_turn_when_there_is_none)
{
	struct duel *d = duel_up();
	run(d, SIM_S);
	d->b.gone = true; /* its BYE will not be answered */
	moves(d, 5);
	struct said *bye = say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, 2 * WAY_NS + SIM_MS);
	cr_assert_eq(status_of(bye), 200);
	assert_carried_target(d, d->a.contact);
	finish(d->sim);
	d = duel_up();
	run(d, SIM_S);
	moves(d, 5);
	struct command stop = { .kind = COMMAND_STOP, .keep_calls = true };
	node_command(d->sim, &stop);
	run(d, 5 * SIM_MS);
	cr_assert(node_stopped(d->sim));
	assert_carried_target(d, d->a.contact);
	node_kill(d->sim);
	d->sim->stopping = false;
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ 0 }), 0);
	run(d, SIM_S);
	over(d);
}

/* The INVITE is in no record yet, and its answer finds another process. */
Test(rfc3261_13_2_2_4, the_200_to_a_reinvite_of_the_former_process_is_acked)
{
	struct duel *d = duel_up();
	d->b.answer_ns = 2 * SIM_S;
	say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, 100 * SIM_MS);
	cr_assert_eq(count(&d->b, "INVITE"), 2);
	restart(d, 100 * SIM_MS);
	run(d, 3 * SIM_S);
	assert_header(nth(&d->b, "ACK", 1), "CSeq", "2 ACK");
	d->b.answer_ns = 0;
	over(d);
}

/* ---- the caller's ACK ---- */

Test(rfc3261_13_3_1_4, a_200_without_ack_is_sent_again_after_the_start)
{
	struct duel *d = script_call_in(sim_new(.seed = SEED, .gateways = ONE_GATEWAY), &(struct plan){ .seed = SEED });
	d->a.no_ack = true;
	run(d, 2 * SIM_S);
	node_kill(d->sim);
	run(d, 3 * SIM_S);
	unsigned before = nth(&d->a, "200 INVITE", 0)->again;
	d->a.no_ack = false;
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ .shards = 2 }), 0);
	run(d, SIM_S);
	cr_assert_gt(nth(&d->a, "200 INVITE", 0)->again, before, "byte for byte the same");
	over(d);
}

/* RFC 3262 5: nor has it the session that the caller had by a reliable response. */
Test(rfc3261_13_3_1_4, a_bare_200_without_ack_is_bare_after_the_start)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY);
	struct duel *d = script_call_in(sim, &(struct plan){ .seed = SEED, .invite = SUPPORTS, .first = { "-" } });
	d->a.no_ack = true;
	run(d, 100 * SIM_MS);
	callee_says(d, "183 " RELIABLE "1", NULL, "answer");
	prack(d, nth(&d->a, "183 INVITE", 0), NULL);
	callee_says(d, "200", NULL, NULL);
	struct heard *ok = nth(&d->a, "200 INVITE", 0);
	cr_assert_eq(ok->w.body.size, 0);
	run(d, SIM_S);
	node_kill(d->sim);
	run(d, 3 * SIM_S);
	unsigned before = ok->again;
	d->a.no_ack = false;
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ .shards = 2 }), 0);
	run(d, SIM_S);
	cr_assert_gt(ok->again, before, "byte for byte the same");
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	over(d);
}

Test(spec4, an_ack_that_never_comes_ends_a_carried_call)
{
	struct duel *d = script_call_in(sim_new(.seed = SEED, .gateways = ONE_GATEWAY), &(struct plan){ .seed = SEED });
	d->a.no_ack = true;
	run(d, 2 * SIM_S);
	cr_assert(d->up_ns);
	restart(d, 5 * SIM_S);
	run_until(d, d->up_ns + SIM_64T1 - SIM_MS);
	cr_assert_eq(count(&d->a, "BYE"), 0);
	run(d, 2 * SIM_S);
	cr_assert_eq(count(&d->a, "BYE"), 1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	assert_reason(d->call, ack_missing);
	assert_recovered(d, NULL);
	finish(d->sim);
}

Test(spec4, an_ack_that_did_not_come_while_nobody_was_there)
{
	struct duel *d = script_call_in(sim_new(.seed = SEED, .gateways = ONE_GATEWAY), &(struct plan){ .seed = SEED });
	d->a.no_ack = true;
	run(d, 2 * SIM_S);
	restart(d, 100 * SIM_S);
	run(d, SIM_S);
	cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 2);
	assert_reason(d->call, ack_missing);
	cr_assert_eq(cdr_of(d->call)->hold_ms, (int64_t)(SIM_64T1 / SIM_MS));
	finish(d->sim);
}

/* A checkpoint writes them when their INVITEs have gone and their CDRs have not been written, and that is what the next
 * process finds. */
Test(spec4, an_ack_that_never_came_is_found_out_twice)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY);
	struct duel *duels[24]; /* more than are ended at once */
	const unsigned count_of = sizeof duels / sizeof *duels;
	for (unsigned i = 0; i < count_of; i++) {
		duels[i] = script_call_in(sim, &(struct plan){ .seed = SEED });
		duels[i]->a.no_ack = true;
	}
	sim_run(sim, 2 * SIM_S);
	node_kill(sim);
	sim_run(sim, 100 * SIM_S);
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ 0 }), 0);
	uint64_t written = sim->counts.records;
	shard_advance(sim->shards[0].shard, sim->now_ns, 1);
	cr_assert_gt(sim->counts.records, written + 2, "some were written once more");
	unsigned waiting = 0;
	for (unsigned i = 0; i < count_of; i++)
		waiting += duels[i]->call->cdr_count == 0;
	cr_assert_gt(waiting, 0);
	node_kill(sim);
	sim_run(sim, SIM_S);
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ 0 }), 0, "a record was refused");
	sim_run(sim, SIM_S);
	for (unsigned i = 0; i < count_of; i++) {
		assert_reason(duels[i]->call, ack_missing);
		cr_assert_eq(cdr_of(duels[i]->call)->hold_ms, (int64_t)(SIM_64T1 / SIM_MS));
	}
	finish(sim);
}

/* ---- calls that cannot be taken up ---- */

static void forget_section(struct recovered_call *call, unsigned tag)
{
	uint8_t *at = (uint8_t *)call->live.at; /* the test's own memory */
	for (const uint8_t *end = at + call->live.size; at < end;) {
		uint32_t size = (uint32_t)at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16;
		if (*at == tag)
			*at = 200; /* a section of a later version, to be skipped */
		at += 5 + size;
	}
}

struct broken {
	unsigned tag;
	struct recovered_call call;
};

static void break_record(struct sim *sim, const struct recovered_call *call, void *context)
{
	struct broken *broken = context;
	(void)sim;
	broken->call = *call;
	forget_section(&broken->call, broken->tag);
}

/* Both sides were refreshed once; then a section of the record was lost. */
static struct duel *restart_broken(unsigned tag, struct broken *broken)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 350 * SIM_S);
	node_kill(d->sim);
	broken->tag = tag;
	keep_each(d->sim, break_record, broken);
	run(d, SIM_S);
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ 0 }), 1);
	cr_assert(d->sim->cdrs && !d->sim->cdrs->next);
	const struct cdr *cdr = &d->sim->cdrs->cdr;
	cr_assert(cdr->end_reason == CDR_END_node_crash && cdr->recovered);
	cr_assert(memcmp(cdr->cdr_id, broken->call.cdr_id, CDR_ID_SIZE) == 0);
	return d;
}

/* What came out well is told, up to the last proof of life. */
Test(spec9, records_that_make_no_sense_end_in_a_cdr)
{
	struct broken broken;
	struct duel *d = restart_broken(CARRY_LEG_A, &broken);
	const struct cdr *cdr = &d->sim->cdrs->cdr;
	cr_assert_eq(cdr->hold_ms, (int64_t)((refresh(&d->b, 0)->replied_ns - d->up_ns) / SIM_MS));
	cr_assert_eq(cdr->connect_us, sim_real_us(d->sim, d->up_ns));
	cr_assert_eq(cdr->end_us / 1000, cdr->connect_us / 1000 + cdr->hold_ms);
	cr_assert_eq(cdr->session_timer, CDR_TIMER_B);
	cr_assert_eq(cdr->refreshes_confirmed, 2);
	cr_assert(cdr->mapping_gateway.size && cdr->routing_gateway.size && cdr->callee_out.size);
	cr_assert(!cdr->call_id_a.size && cdr->call_id_b.size);
	sim_destroy(d->sim);
	d = restart_broken(CARRY_FACTS, &broken);
	cdr = &d->sim->cdrs->cdr;
	cr_assert(!cdr->connect_us && !cdr->hold_ms && cdr->end_us == cdr->start_us);
	sim_destroy(d->sim);
}

static void rename_gateway(struct sim *sim, const struct recovered_call *call, void *context)
{
	uint8_t *at = (uint8_t *)call->live.at;
	(void)sim, (void)context;
	for (const uint8_t *end = at + call->live.size; at < end;) {
		uint32_t size = (uint32_t)at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16;
		if (*at == CARRY_FACTS)
			at[5 + 1] = '!'; /* the first that it names */
		at += 5 + size;
	}
}

Test(rule7, names_of_former_gateways_leave_room_for_new_ones)
{
	struct duel *d = duel_up();
	char name[16];
	for (unsigned i = 0; gateway_id_end() < GATEWAY_IDS_MAX / 2; i++) {
		snprintf(name, sizeof name, "former %u", i);
		cr_assert(gateway_id(GATEWAY_ROUTING, name));
	}
	restart(d, SIM_S, .shards = 1); /* those that are known are found */
	node_kill(d->sim);
	keep_each(d->sim, rename_gateway, NULL);
	uint32_t end = gateway_id_end();
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ 0 }), 1);
	cr_assert_eq(gateway_id_end(), end);
	const struct cdr *cdr = &d->sim->cdrs->cdr;
	cr_assert(cdr->end_reason == CDR_END_node_crash && cdr->mapping_gateway.size &&
		  *cdr->mapping_gateway.at == '!');
	sim_destroy(d->sim);
}

/* Sessions that did not fit into the record. */
static void leave_bodies_out(struct sim *sim, const struct recovered_call *call, void *context)
{
	uint8_t *at = (uint8_t *)call->live.at;
	(void)sim, (void)context;
	for (const uint8_t *end = at + call->live.size; at < end;) {
		uint32_t size = (uint32_t)at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16;
		if (*at == CARRY_LEG_A || *at == CARRY_LEG_B)
			memset(at + 5 + 14, CARRY_NO_BODY, 3);
		at += 5 + size;
	}
}

Test(rule7, a_call_goes_on_without_its_sessions)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	node_kill(d->sim);
	keep_each(d->sim, leave_bodies_out, NULL);
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ 0 }), 0);
	run(d, SOON_NS);
	cr_assert_eq(count(&d->a, "UPDATE") + count(&d->b, "UPDATE"), 2, "nobody is asked for a session");
	cr_assert_eq(count(&d->a, "INVITE"), 0);
	run(d, 2000 * SIM_S);
	cr_assert_eq(d->call->cdr_count, 0);
	struct said *invite = say(&d->a, "INVITE", NULL, sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	cr_assert_eq(count(&d->b, "INVITE"), 2, "relayed: what is not known is not answered here");
	over(d);
}

/* Once more it is nothing to end, and nothing to keep the journal for. */
Test(spec9, a_lost_call_has_one_cdr)
{
	struct broken broken;
	struct duel *d = restart_broken(CARRY_LEG_B, &broken);
	broken.call.ended = true;
	broken.call.byes = 3;
	cr_assert_eq(shard_restore(d->sim->shards[0].shard, &broken.call, false), RESTORE_ENDED);
	cr_assert_eq(d->call->cdr_count, 1);
	sim_destroy(d->sim);
}

Test(rule7, records_of_another_version_are_left_to_it)
{
	struct broken broken;
	struct duel *d = restart_broken(CARRY_LEG_B, &broken);
	struct shard *shard = d->sim->shards[0].shard;
	broken.call.live.version++;
	cr_assert_eq(shard_restore(shard, &broken.call, false), RESTORE_LEFT);
	broken.call.live.version--;
	d->sim->refuse_cdrs = true; /* and those for whose CDR there is no room, to the next start */
	cr_assert_eq(shard_restore(shard, &broken.call, false), RESTORE_LEFT);
	cr_assert_eq(d->call->cdr_count, 1);
	sim_destroy(d->sim);
}

/* The configuration has become smaller. */
Test(spec9, calls_without_room_end_in_a_cdr)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned i = 0; i < 100; i++)
		sim_call_now(sim, .caller = i % 3, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 10 * SIM_S);
	node_kill(sim);
	sim->settings.calls_max = 10;
	unsigned lost = node_restart(sim, &(struct sim_restart){ 0 }), cdrs = 0;
	cr_assert_geq(lost, 50);
	for (const struct sim_call *call = sim->calls; call; call = call->next) {
		cdrs += call->cdr_count;
		if (call->cdr_count)
			assert_reason(call, node_crash);
	}
	cr_assert_eq(cdrs, lost);
	node_check(sim);
	sim_destroy(sim);
}

/* ---- timers ---- */

Test(rfc4028_10, carried_legs_are_refreshed_soon)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 20 * SIM_S);
	restart(d, SIM_S, .shards = 2);
	uint64_t back_ns = d->sim->now_ns;
	run(d, SOON_NS + SIM_S);
	for (unsigned i = 0; i < 2; i++) {
		struct party *party = i ? &d->b : &d->a;
		cr_assert_eq(refreshes(party), 1);
		cr_assert_leq(refresh(party, 0)->at_ns, back_ns + SOON_NS + SIM_MS);
	}
	hang_up(d);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 2);
	over(d);
}

Test(rfc4028_10, a_dead_peer_is_found_at_the_end_of_its_window_not_of_a_new_one)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 100 * SIM_S);
	d->a.gone = true;
	restart(d, 30 * SIM_S, .shards = 4);
	assert_expires(d, d->up_ns + 600 * SIM_S);
	assert_recovered(d, NULL);
	over(d);
}

Test(rfc4028_10, a_window_that_ended_meanwhile_ended_then)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 100 * SIM_S);
	restart(d, 700 * SIM_S);
	run(d, SIM_S);
	assert_reason(d->call, session_timeout);
	cr_assert_eq(cdr_of(d->call)->hold_ms, 600000);
	assert_header(nth(&d->a, "BYE", 0), "Reason", SESSION_EXPIRED);
	assert_header(nth(&d->b, "BYE", 0), "Reason", SESSION_EXPIRED);
	assert_last_confirmed(d, d->up_ns);
	over(d);
}

/* Many are ended a few at a time; one that its peer, or the operator, ends before its turn has ended when it had. */
Test(rfc4028_10, a_window_that_ended_meanwhile_ended_then_whatever_comes_first)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY);
	struct duel *duels[24];
	const unsigned count_of = sizeof duels / sizeof *duels;
	for (unsigned i = 0; i < count_of; i++)
		duels[i] = script_call_in(sim, &(struct plan){ .seed = SEED, .invite = TIMED, .first = { TIMED_OK } });
	sim_run(sim, 100 * SIM_S);
	node_kill(sim);
	sim_run(sim, 700 * SIM_S);
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ 0 }), 0);
	struct shard *s = sim->shards[0].shard;
	shard_advance(s, sim->now_ns, 1);
	unsigned ended = 0;
	for (uint32_t i = pool_next_used(&s->calls, 0); i != POOL_NONE; i = pool_next_used(&s->calls, i + 1)) {
		struct ending hang_up = { .reason = CDR_END_normal, .side = CDR_SIDE_CALLER };
		call_end(s, call_at(s, i), &hang_up);
		ended++;
	}
	cr_assert_gt(ended, 0);
	sim_run(sim, 40 * SIM_S);
	for (unsigned i = 0; i < count_of; i++) {
		assert_reason(duels[i]->call, session_timeout);
		cr_assert_eq(cdr_of(duels[i]->call)->hold_ms, 600000);
	}
	sim_destroy(sim);
}

/* The window counts from the latest confirmation, which is a record of its own. */
Test(rfc4028_10, a_confirmation_is_carried)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 350 * SIM_S);
	cr_assert_eq(refreshes(&d->a), 1);
	cr_assert_eq(refreshes(&d->b), 1);
	uint64_t a_ns = refresh(&d->a, 0)->replied_ns, b_ns = refresh(&d->b, 0)->replied_ns;
	uint64_t first_ns = a_ns < b_ns ? a_ns : b_ns;
	d->a.gone = d->b.gone = true;
	restart(d, SIM_S, .shards = 3);
	assert_expires(d, first_ns + 600 * SIM_S);
	cr_assert_eq(cdr_of(d->call)->refreshes_confirmed, 2);
	over(d);
}

Test(spec5, the_grace_of_a_carried_call)
{
	struct duel *d =
		duel_up(.parameters = "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP = 20\n", .invite = TIMED, .ok = TIMED_OK);
	d->a.gone = d->b.gone = true;
	run_until(d, d->up_ns + 590 * SIM_S);
	restart(d, 15 * SIM_S);
	unsigned before = refreshes(&d->a);
	run(d, SIM_S);
	cr_assert_gt(refreshes(&d->a), before, "the last refresh");
	assert_expires(d, d->up_ns + 620 * SIM_S);
	over(d);
}

Test(rfc4028_10, a_dialog_that_the_peer_has_lost_ends_the_call)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 20 * SIM_S);
	answers(&d->b.update, "481");
	restart(d, SIM_S);
	run(d, SOON_NS + SIM_S);
	assert_reason(d->call, dialog_lost);
	assert_recovered(d, NULL);
	over(d);
}

/* A peer that refreshes is left to do so. */
Test(rfc4028_10, a_peer_that_refreshes_goes_on)
{
	struct duel *d = duel_up(.invite = CALLER_TIMED("Session-Expires: 600;refresher=uac"), .ok = TIMED_OK);
	run(d, 20 * SIM_S);
	restart(d, SIM_S);
	run(d, 250 * SIM_S);
	cr_assert_eq(refreshes(&d->a), 0);
	struct said *update = say(&d->a, "UPDATE", TIMED, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(update), 200);
	over(d);
}

Test(spec5, caps_count_from_the_connect)
{
	struct duel *d = duel_up(.parameters = "RW_MAX_CALL_DURATION = 300\n");
	run(d, 100 * SIM_S);
	restart(d, 50 * SIM_S, .shards = 2);
	assert_ends(d, d->up_ns + 300 * SIM_S, CDR_END_max_duration);
	over(d);
	d = duel_up(.parameters = "SS_SIP_NO_TIMER_REINVITE_INTERVAL = 300\n");
	run(d, 100 * SIM_S);
	restart(d, 500 * SIM_S);
	run(d, SIM_S);
	assert_reason(d->call, no_timer_cap);
	cr_assert_eq(cdr_of(d->call)->hold_ms, 300000);
	cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 2);
	over(d);
}

/* The clock of the new start of the machine begins at next to nothing: windows and calls begin before it. */
Test(rule7, over_a_restart_of_the_machine_the_wall_clock_counts)
{
	struct duel *d = duel_up(.parameters = "RW_MAX_CALL_DURATION = 900\n", .invite = TIMED, .ok = TIMED_OK);
	run(d, 100 * SIM_S);
	restart(d, 60 * SIM_S, .machine = true, .shards = 2);
	run(d, 400 * SIM_S);
	cr_assert_geq(refreshes(&d->a), 1);
	hang_up(d);
	const struct cdr *cdr = cdr_of(d->call);
	int64_t true_ms = (int64_t)((d->sim->now_ns - SIM_S - d->up_ns) / SIM_MS);
	cr_assert(cdr->hold_ms >= true_ms && cdr->hold_ms <= true_ms + 3, "%lld ms, not %lld", (long long)cdr->hold_ms,
		  (long long)true_ms);
	over(d);
	d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 100 * SIM_S);
	d->a.gone = d->b.gone = true;
	restart(d, 60 * SIM_S, .machine = true);
	run_until(d, d->up_ns + 599 * SIM_S);
	cr_assert_eq(d->call->cdr_count, 0);
	run(d, 2 * SIM_S);
	assert_reason(d->call, session_timeout);
	cr_assert(abs((int)(cdr_of(d->call)->hold_ms - 600000)) <= 1);
	over(d);
	d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	restart(d, 3000 * SIM_S, .machine = true);
	run(d, SIM_S);
	assert_reason(d->call, session_timeout);
	cr_assert(abs((int)(cdr_of(d->call)->hold_ms - 600000)) <= 1);
	over(d);
}

/* A clock that was set while the call was up, after its answer: what a later record says of it counts. */
Test(rule7, over_a_restart_of_the_machine_a_step_of_the_wall_clock_before_it_is_no_time)
{
	static const int64_t steps_s[] = { 3600, -3600 };
	for (unsigned i = 0; i < 2; i++) {
		struct duel *d =
			duel_up(.parameters = "RW_MAX_CALL_DURATION = 1800\n", .invite = TIMED, .ok = TIMED_OK);
		run(d, 10 * SIM_S);
		sim_step_clock(d->sim, steps_s[i] * 1000000);
		run(d, 390 * SIM_S);
		cr_assert_geq(refreshes(&d->a), 1);
		restart(d, 60 * SIM_S, .machine = true, .shards = 2);
		run(d, 10 * SIM_S);
		hang_up(d);
		int64_t true_ms = (int64_t)((d->sim->now_ns - SIM_S - d->up_ns) / SIM_MS);
		cr_assert(labs(cdr_of(d->call)->hold_ms - true_ms) <= 1000, "%lld ms, not %lld",
			  (long long)cdr_of(d->call)->hold_ms, (long long)true_ms);
		assert_reason(d->call, normal);
		over(d);
	}
}

/* ---- ends ---- */

Test(on_restart, close_ends_calls_at_their_last_proof_of_life)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	run(d, 350 * SIM_S);
	uint64_t a_ns = refresh(&d->a, 0)->replied_ns, b_ns = refresh(&d->b, 0)->replied_ns;
	uint64_t last_ns = a_ns > b_ns ? a_ns : b_ns;
	restart(d, 30 * SIM_S, .close = true, .shards = 2);
	run(d, SIM_S);
	assert_reason(d->call, node_crash);
	assert_recovered(d, NULL);
	cr_assert_eq(cdr_of(d->call)->hold_ms, (int64_t)((last_ns - d->up_ns) / SIM_MS));
	assert_last_confirmed(d, last_ns);
	assert_header(nth(&d->a, "BYE", 0), "Reason", CRASH_LINE);
	assert_header(nth(&d->b, "BYE", 0), "Reason", CRASH_LINE);
	over(d);
}

/* Its 2xx still waited for the ACK with the answer: it gets one without, and then BYE. */
Test(on_restart, close_acks_an_offer_that_has_no_answer)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct sim_call *call = sim_call_now(sim, .delayed_offer = true, .ack_delay_ns = 20 * SIM_S,
					     .answers = { { .ring_ns = SIM_MS, .final_ns = SIM_S } });
	sim_run(sim, 3 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK"), 0);
	node_kill(sim);
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ .close = true }), 0);
	sim_run(sim, SIM_S);
	assert_reason(call, node_crash);
	cr_assert_eq(sim_seen(call, OUT_B, "ACK"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_A, "BYE"), 0, "not before its ACK");
	sim_run(sim, 30 * SIM_S);
	cr_assert_eq(sim_seen(call, OUT_A, "BYE"), 1);
	finish(sim);
}

Test(rule7, a_leg_that_has_not_answered_its_bye_gets_it_again)
{
	struct duel *d = duel_up();
	d->b.gone = true;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(d->call->cdr_count, 1);
	unsigned before = count(&d->b, "BYE");
	restart(d, SIM_S, .shards = 2);
	d->b.gone = false;
	run(d, SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), before + 1);
	cr_assert_eq(count(&d->a, "BYE"), 0, "who hung up hears nothing");
	cr_assert_eq(d->call->cdr_count, 1);
	restart(d, SIM_S);
	run(d, SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), before + 1, "it has answered");
	over(d);
}

Test(rule7, calls_go_on_without_their_gateways)
{
	struct duel *d = duel_up();
	node_kill(d->sim);
	node_configure(d->sim, NULL,
		       "mapping_gateway \"other-mg\" { address = {\"10.1.0.0/16\"} }\n"
		       "routing_gateway \"other-rg\" { address = \"10.2.0.3:5060\" prefix = {\"99\"} }\n");
	cr_assert_eq(node_restart(d->sim, &(struct sim_restart){ .shards = 2 }), 0);
	run(d, SIM_S);
	hang_up(d);
	const struct cdr *cdr = cdr_of(d->call);
	cr_assert(cdr->routing_gateway.size == 3 && memcmp(cdr->routing_gateway.at, "rg1", 3) == 0);
	cr_assert(cdr->mapping_gateway.size == 2 && memcmp(cdr->mapping_gateway.at, "mg", 2) == 0);
	over(d);
}

Test(spec4, carried_calls_take_their_lines)
{
	struct sim *sim =
		sim_new(.seed = SEED, .shards = 3,
			.gateways = "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
				    "routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} "
				    "capacity = 4 }\n");
	for (unsigned i = 0; i < 3; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 10 * SIM_S);
	node_kill(sim);
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ .shards = 2 }), 0);
	struct sim_call *more[3];
	for (unsigned i = 0; i < 3; i++)
		more[i] = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(20) });
	sim_run(sim, 10 * SIM_S);
	unsigned refused = 0;
	for (unsigned i = 0; i < 3; i++)
		refused += more[i]->cdr_count && cdr_of(more[i])->end_reason == CDR_END_capacity;
	cr_assert_eq(refused, 2);
	finish(sim);
}

/* ---- what was under way ---- */

Test(rfc3261_13_2_2_4, a_200_to_an_invite_of_a_former_process_gets_ack_and_bye)
{
	struct duel *d = script_call_in(sim_new(.seed = SEED, .gateways = ONE_GATEWAY),
					&(struct plan){ .rings_ns = 10 * SIM_S });
	run(d, 5 * SIM_S);
	restart(d, SIM_S, .shards = 2);
	run(d, 20 * SIM_S);
	cr_assert_eq(count(&d->b, "ACK"), 1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	cr_assert_eq(d->call->cdr_count, 0, "it was not answered");
	finish(d->sim);
}

/* ---- the answer ---- */

Test(spec11, a_call_that_cannot_be_written_down_is_not_begun)
{
	struct duel *d = script_call_in(sim_new(.seed = SEED, .gateways = ONE_GATEWAY), &(struct plan){ .seed = SEED });
	run(d, 500 * SIM_MS);
	d->sim->refuse_cdrs = true;
	run(d, 2 * SIM_S);
	cr_assert(d->up_ns);
	cr_assert(nth(&d->a, "503 INVITE", 0));
	cr_assert_eq(count(&d->a, "200 INVITE"), 0);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	d->sim->refuse_cdrs = false;
	run(d, SIM_S);
	const struct cdr *cdr = cdr_of(d->call);
	cr_assert_eq(cdr->end_reason, CDR_END_overload);
	cr_assert_eq(cdr->sip_code, 503);
	cr_assert_eq(cdr->hold_ms, 0);
	finish(d->sim);
}

/* A change that finds no room is written when there is some. */
Test(spec11, a_change_without_room_is_written_later)
{
	struct duel *d = duel_up(.invite = TIMED, .ok = TIMED_OK);
	d->sim->refuse_cdrs = true;
	struct said *invite = say(&d->a, "INVITE", NULL, new_sdp(&d->a));
	run(d, SIM_S);
	cr_assert_eq(status_of(invite), 200);
	uint64_t written = d->sim->counts.records;
	d->sim->refuse_cdrs = false;
	run(d, SIM_S);
	cr_assert_eq(d->sim->counts.records, written + 1);
	restart(d, SIM_S);
	struct said *same = say(&d->b, "INVITE", NULL, sdp(&d->b));
	run(d, SIM_S);
	cr_assert_eq(status_of(same), 200);
	cr_assert_eq(count(&d->a, "INVITE"), 0);
	over(d);
}

static struct duel *held(void)
{
	struct duel *d = script_call_in(sim_new(.seed = SEED, .gateways = ONE_GATEWAY), &(struct plan){ .seed = SEED });
	d->sim->config->answer_after_sync = true;
	run(d, 1500 * SIM_MS);
	cr_assert(d->up_ns);
	cr_assert_eq(count(&d->b, "ACK"), 1);
	cr_assert_eq(count(&d->a, "200 INVITE"), 0, "it waits for the disk");
	return d;
}

static void synced(struct duel *d, uint64_t serial_end)
{
	shard_synced(d->sim->shards[0].shard, node_clock_ns(d->sim), serial_end);
	run(d, 100 * SIM_MS);
}

Test(answer_after_sync, the_200_waits_until_its_record_is_on_the_disk)
{
	struct duel *d = held();
	synced(d, 0);
	cr_assert_eq(count(&d->a, "200 INVITE"), 0);
	synced(d, 1);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	run(d, SIM_S);
	over(d);
}

Test(answer_after_sync, a_cancel_meanwhile_ends_it)
{
	struct duel *d = held();
	say_cancel(&d->a, d->a.said);
	run(d, SIM_S);
	cr_assert_eq(count(&d->a, "487 INVITE"), 1);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	synced(d, 10);
	cr_assert_eq(count(&d->a, "200 INVITE"), 0);
	assert_reason(d->call, cancelled);
	cr_assert_eq(cdr_of(d->call)->sip_code, 487);
	finish(d->sim);
}

Test(answer_after_sync, a_bye_of_the_callee_meanwhile_ends_it_unanswered)
{
	struct duel *d = held();
	struct said *bye = say(&d->b, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	cr_assert_eq(status_of(bye), 200);
	cr_assert_eq(count(&d->a, "480 INVITE"), 1);
	cr_assert_eq(cdr_of(d->call)->connect_us, 0);
	cr_assert_eq(cdr_of(d->call)->sip_code, 480);
	finish(d->sim);
}

Test(answer_after_sync, a_disk_that_never_answers_ends_it)
{
	struct duel *d = held();
	run(d, SIM_64T1 + SIM_S);
	cr_assert_eq(count(&d->b, "BYE"), 1);
	cr_assert_eq(cdr_of(d->call)->connect_us, 0);
	finish(d->sim);
}

/* It is in the queue, if not on the disk: to the next process it is an answered call whose ACK is missing. */
Test(answer_after_sync, a_held_call_is_carried)
{
	struct duel *d = held();
	restart(d, SIM_S);
	run(d, SIM_S);
	cr_assert_eq(count(&d->a, "200 INVITE"), 1);
	over(d);
}

/* RFC 3262 5: the answer to the offer of a reliable response comes when the record has been written: it goes with the
 * ACK to the callee, and is what a 200 that comes again is acknowledged with after the start. */
Test(answer_after_sync, the_answer_in_a_prack_is_carried)
{
	struct sim *sim = sim_new(.seed = SEED, .gateways = ONE_GATEWAY);
	struct duel *d = script_call_in(
		sim, &(struct plan){ .seed = SEED, .invite = SUPPORTS, .first = { "-" }, .delayed_offer = true });
	d->sim->config->answer_after_sync = true;
	run(d, 100 * SIM_MS);
	callee_says(d, "183 " RELIABLE "1", NULL, "offer");
	callee_says(d, "200", NULL, NULL);
	prack(d, nth(&d->a, "183 INVITE", 0), "answer");
	struct heard *ack = nth(&d->b, "ACK", 0);
	assert_body(ack, "answer");
	run(d, 100 * SIM_MS);
	restart(d, SIM_S);
	unsigned before = ack->again;
	callee_says(d, "200", NULL, NULL);
	cr_assert_gt(ack->again, before, "the same ACK");
	over(d);
}

/* ---- checkpoints, the stop ---- */

Test(rule7, a_checkpoint_writes_every_live_call)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2);
	for (unsigned i = 0; i < 300; i++)
		sim_call_now(sim, .caller = i % 3, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 10 * SIM_S);
	uint64_t before = sim->counts.records;
	for (unsigned i = 0; i < 2; i++)
		shard_checkpoint(sim->shards[i].shard, 7);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.records, before + 300 + 4);
	cr_assert_eq(sim->counts.checkpoints, 2);
	sim->refuse_cdrs = true; /* one that has to wait for room */
	shard_checkpoint(sim->shards[0].shard, 8);
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.checkpoints, 2);
	sim->refuse_cdrs = false;
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.checkpoints, 3);
	finish(sim);
}

/* A walk as fast as the queue takes it would fill that, and new calls would be refused: it takes its time, and stands
 * still while something else waits there. */
Test(rule7, a_checkpoint_leaves_the_queue_to_the_calls_of_now)
{
	struct sim *sim = sim_new(.seed = SEED);
	for (unsigned i = 0; i < 300; i++)
		sim_call_now(sim, .caller = i % 3, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 10 * SIM_S);
	uint64_t before = sim->counts.records;
	shard_checkpoint(sim->shards[0].shard, 7);
	sim_run(sim, 5 * SIM_MS);
	cr_assert_gt(sim->counts.records, before + 50);
	cr_assert_lt(sim->counts.records, before + 150, "at most 20 a millisecond");
	sim->records_wait = true;
	sim_run(sim, SIM_MS);
	before = sim->counts.records;
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.records, before);
	sim->records_wait = false;
	sim_run(sim, SIM_S);
	cr_assert_eq(sim->counts.checkpoints, 1);
	finish(sim);
}

Test(keep_calls, the_stop_leaves_calls_that_are_up_to_the_next_process)
{
	struct sim *sim = sim_new(.seed = SEED, .shards = 2);
	struct sim_call *up = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 10 * SIM_S);
	struct sim_call *ringing = sim_call_now(sim, .answers = { { .ring_ns = 1, .final_ns = 60 * SIM_S } });
	sim_run(sim, 2 * SIM_S);
	struct command stop = { .kind = COMMAND_STOP, .keep_calls = true };
	node_command(sim, &stop);
	sim_run(sim, SIM_S);
	cr_assert(node_stopped(sim));
	assert_reason(ringing, node_shutdown);
	cr_assert_eq(sim_seen(ringing, OUT_B, "CANCEL"), 1);
	cr_assert_eq(sim_seen(ringing, OUT_A, "503 INVITE"), 1);
	cr_assert_eq(up->cdr_count, 0);
	cr_assert_eq(sim_seen(up, OUT_A, "BYE") + sim_seen(up, OUT_B, "BYE"), 0);
	node_kill(sim);
	sim->stopping = false;
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ .shards = 3 }), 0);
	sim_run(sim, 100 * SIM_S);
	assert_reason(up, normal);
	cr_assert_eq(cdr_of(up)->recovered, 1);
	finish(sim);
}

/* Changes that found no room are written a few at a time; the node is not stopped before the last of them. */
Test(keep_calls, the_stop_waits_for_changes_that_found_no_room)
{
	struct sim *sim = sim_new(.seed = SEED);
	struct shard *s = sim->shards[0].shard;
	unsigned steps = 0;
	for (unsigned i = 0; i < 90; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 10 * SIM_S);
	sim->refuse_cdrs = true;
	for (uint32_t i = pool_next_used(&s->calls, 0); i != POOL_NONE; i = pool_next_used(&s->calls, i + 1))
		carry_note(s, call_at(s, i), CARRY_ACKED);
	carry_settle(s);
	cr_assert(carry_owes(s));
	sim->refuse_cdrs = false;
	uint64_t before = sim->counts.records;
	node_command(sim, &(struct command){ .kind = COMMAND_STOP, .keep_calls = true });
	for (; !node_stopped(sim) && steps < 1000; steps++)
		sim_run(sim, SIM_MS / 4);
	cr_assert_eq(sim->counts.records - before, 90, "%u", (unsigned)(sim->counts.records - before));
	node_kill(sim);
	sim->stopping = false;
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ .shards = 1 }), 0);
	sim_run(sim, 100 * SIM_S);
	finish(sim);
}
