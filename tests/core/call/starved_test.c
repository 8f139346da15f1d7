/* What a shard asks for is not there - a slot, room for a text, for a datagram, for a record - at each single point of
 * a few calls.  Spec 11; design, rule 6: calls that are up are not harmed, new ones are refused, and nobody is left
 * behind in a call.  sim_starve does the same with many more calls. */
#include "calls.h"

#include "core/call/body.h"
#include "core/call/state.h"
#include "tests/sim/starve.h"

struct shape {
	const char *name;
	struct script script;
	enum cdr_end_reason reason;
};

static const struct shape shapes[] = {
	{ "plain", { .answers = { ANSWERS }, .steps = { HANGS_UP(3) } }, CDR_END_normal },
	{ "callee hangs up", { .answers = { ANSWERS }, .steps = { CALLEE_HANGS_UP(3) } }, CDR_END_normal },
	{ "forked",
	  { .answers = { { .ring_ns = SIM_MS, .final_ns = SIM_S, .forks = 1 } }, .steps = { HANGS_UP(3) } },
	  CDR_END_normal },
	{ "delayed offer",
	  { .delayed_offer = true, .answers = { ANSWERS }, .steps = { HANGS_UP(40) } },
	  CDR_END_normal },
	{ "offers inside",
	  { .answers = { ANSWERS },
	    .steps = { { STEP_REINVITE, false, SIM_S },
		       { STEP_UPDATE, true, 2 * SIM_S },
		       { STEP_REINVITE_EMPTY, false, 3 * SIM_S },
		       { STEP_REINVITE, true, 4 * SIM_S },
		       HANGS_UP(45) } },
	  CDR_END_normal },
	{ "held",
	  { .reinvite_ns = SIM_S,
	    .answers = { ANSWERS },
	    .steps = { { STEP_REINVITE, false, SIM_S }, { STEP_UPDATE, true, SIM_S + 2 * SIM_MS }, HANGS_UP(6) } },
	  CDR_END_normal },
	{ "refreshed by re-INVITE",
	  { .timers = { { .on = true, .interval_s = 90, .refresher = 's', .update_code = 405 },
			{ .on = true, .update_code = 405 } },
	    .answers = { ANSWERS },
	    .steps = { HANGS_UP(100) } },
	  CDR_END_normal },
	{ "cancelled", { .cancel_ns = SIM_S, .answers = { ANSWERS } }, CDR_END_cancelled },
	{ "answered all the same",
	  { .cancel_ns = SIM_S, .answers = { { .ring_ns = SIM_MS, .final_ns = SIM_S + SIM_MS, .deaf = true } } },
	  CDR_END_cancelled },
	{ "rings, and wants a larger interval",
	  { .answers = { { .ring_ns = SIM_MS, .final_ns = 2 * SIM_S, .code = 422, .headers = "Min-SE: 700\r\n" } } },
	  CDR_END_rejected },
	{ "refused", { .answers = { { .final_ns = SIM_S, .code = 486 } } }, CDR_END_rejected },
};

/* As it would have ended; or, where it was not answered, refused before it was a call, or failed as calls fail. */
static void check_end(struct sim_call *call, const struct shape *shape, uint64_t k)
{
	const struct cdr *cdr = call->cdr ? &call->cdr->cdr : NULL;
	if (!cdr)
		cr_assert_eq(call->caller->invite->status, 503, "%s, ask %llu: no record, and %u", shape->name,
			     (unsigned long long)k, call->caller->invite->status);
	else if (cdr->connect_us || cdr->end_reason == shape->reason)
		cr_assert_eq(cdr->end_reason, shape->reason, "%s, ask %llu: answered, and ended as %s", shape->name,
			     (unsigned long long)k, cdr_end_reason_name(cdr->end_reason));
	else
		cr_assert(cdr->sip_code >= 400 && cdr->sip_code < 700, "%s, ask %llu: %u", shape->name,
			  (unsigned long long)k, cdr->sip_code);
}

static void caller_hears_nothing(struct sim *sim, void *context)
{
	sim->hosts[0].from_node.down = context != NULL;
}

/* Nothing that the node sends to the caller arrives for 600 ms from deaf_ns on (0: never).  Returns how many asks there
 * are. */
static uint64_t run_without(const struct shape *shape, uint64_t k, unsigned count, uint64_t deaf_ns)
{
	starve = (struct starve){ 0 };
	struct sim *sim = sim_new(.seed = SEED);
	if (deaf_ns) {
		sim_at(sim, sim->now_ns + deaf_ns, caller_hears_nothing, sim);
		sim_at(sim, sim->now_ns + deaf_ns + 600 * SIM_MS, caller_hears_nothing, NULL);
	}
	starve = (struct starve){ .on = true, .from = k, .until = k + count };
	struct sim_call *call = sim_place(sim, &shape->script);
	sim_run(sim, 60 * SIM_S);
	starve.on = false;
	sim_finish(sim);
	if (sim->failed)
		sim_print_failure(sim, stderr);
	cr_assert_not(sim->failed, "%s, ask %llu: %s", shape->name, (unsigned long long)k, sim->failure);
	check_end(call, shape, k);
	uint64_t asked = starve.asked;
	sim_destroy(sim);
	return asked;
}

Test(starved, any_one_thing_may_be_missing)
{
	for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		uint64_t asks = run_without(&shapes[i], 0, 0, 0);
		cr_assert_gt(asks, 10);
		for (uint64_t k = 1; k <= asks; k++)
			run_without(&shapes[i], k, 1, 0);
	}
	starve = (struct starve){ 0 };
}

/* RFC 3261 13.3.1.4, 17.2.1: the answer to the INVITE, that to an INVITE inside the dialog, and that to an UPDATE are
 * lost, and may not have been kept for the second time. */
Test(starved, an_answer_that_could_not_be_kept_is_made_anew)
{
	static const struct shape shape = {
		"answers are lost",
		{ .answers = { ANSWERS },
		  .steps = { { STEP_REINVITE, false, SIM_S }, { STEP_UPDATE, false, 3 * SIM_S }, HANGS_UP(6) } },
		CDR_END_normal
	};
	for (uint64_t deaf_s = 2; deaf_s <= 5; deaf_s++) {
		uint64_t asks = run_without(&shape, 0, 0, deaf_s * SIM_S);
		for (uint64_t k = 1; k <= asks; k++)
			run_without(&shape, k, 1, deaf_s * SIM_S);
	}
	starve = (struct starve){ 0 };
}

/* Of the caller's session: its first, or that of its re-INVITE if that was accepted. */
static struct bytes agreed_session(struct sim_call *call)
{
	struct ua *ua = call->caller;
	unsigned version = ua->session, status = 0;
	for (const struct sent *sent = ua->sent; sent; sent = sent->next)
		if (sent->step == STEP_REINVITE)
			status = sent->status;
	ua->session = version - (version > 0 && status != 200);
	struct bytes session = session_of(ua);
	ua->session = version;
	return session;
}

/* RFC 3264 8: what a later refresh would say again, and a later re-INVITE is compared with. */
Test(starved, a_session_that_is_kept_is_the_one_that_was_agreed)
{
	static const struct script script = { .answers = { ANSWERS },
					      .steps = { { STEP_REINVITE, false, SIM_S }, HANGS_UP(6) } };
	for (uint64_t k = 1, asked = 1; k <= asked; k++) {
		starve = (struct starve){ 0 };
		struct sim *sim = sim_new(.seed = SEED);
		const struct shard *s = sim->shards[0].shard;
		starve = (struct starve){ .on = true, .from = k, .until = k + 1 };
		struct sim_call *call = sim_place(sim, &script);
		sim_run(sim, 6 * SIM_S);
		asked = starve.asked;
		starve.on = false;
		const struct call *up = s->calls.used ? call_at(s, pool_next_used(&s->calls, 0)) : NULL;
		uint32_t body = up && up->connect_ns ? leg_at(s, up->caller_leg)->body_in : POOL_NONE;
		if (body != POOL_NONE)
			cr_assert(bytes_equal(body_parts(s, body).content, agreed_session(call)), "ask %llu",
				  (unsigned long long)k);
		sim_destroy(sim);
	}
	starve = (struct starve){ 0 };
}
