/* RFC 3262 and RFC 3311 in the peers: reliable provisional responses, PRACK, forks of early dialogs, and offers in
 * UPDATE before the answer. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/peer.h"

#define POSTPONE_NS (300 * SIM_MS) /* one more reliable response, while one has no PRACK */
#define FORK_NS     (150 * SIM_MS) /* another branch speaks so much later */

struct later_response {
	struct ua *ua;
	struct taken *invite;
	unsigned status;
	struct bytes body;
};

static bool is_excused(const struct ua *ua)
{
	return !ua->call || ua->call->excused || ua->call->damaged;
}

/* ---- the caller ---- */

static struct ua_told *told_of(struct ua *ua, struct bytes tag)
{
	for (unsigned i = 0; i < ua->reliable.told_count; i++)
		if (wire_is(tag, ua->reliable.told[i].tag))
			return &ua->reliable.told[i];
	return NULL;
}

bool early_has_session(struct ua *ua, struct bytes tag, bool *ret_answered)
{
	const struct ua_told *told = told_of(ua, tag);
	*ret_answered = told && told->answered;
	return told != NULL;
}

/* A request in an early dialog: the INVITE's own addresses are wanted again for its CANCEL. */
static struct sent *request_early(struct ua *ua, const char *remote, const char *target, const char *method,
				  struct bytes body, const char *headers)
{
	char kept_remote[sizeof ua->remote], kept_target[sizeof ua->target];
	memcpy(kept_remote, ua->remote, sizeof kept_remote);
	memcpy(kept_target, ua->target, sizeof kept_target);
	snprintf(ua->remote, sizeof ua->remote, "%s", remote);
	snprintf(ua->target, sizeof ua->target, "%s", target);
	struct sent *sent = peer_request(ua, method, body, headers, STEP_NONE);
	sent->early = true;
	memcpy(ua->remote, kept_remote, sizeof kept_remote);
	memcpy(ua->target, kept_target, sizeof kept_target);
	return sent;
}

static void note_told(struct ua *ua, const struct sent *invite, const struct wire *w)
{
	struct ua_reliable *r = &ua->reliable;
	if (!w->body.size || told_of(ua, w->to_tag) || r->told_count == UA_TOLD_MAX)
		return;
	struct ua_told *told = &r->told[r->told_count++];
	snprintf(told->tag, sizeof told->tag, "%.*s", TEXT(w->to_tag));
	told->answered = !invite->offered;
}

void early_provisional(struct ua *ua, struct sent *invite, const struct wire *w)
{
	const struct script *script = &ua->call->script;
	struct ua_reliable *r = &ua->reliable;
	char remote[sizeof ua->remote], target[sizeof ua->target], rack[64];
	if (w->status == 100)
		return;
	if (!w->reliable || !w->rseq) {
		if (script->reliable == 'r' && !is_excused(ua))
			sim_fail(ua->sim, ua->call, "rfc3262-3-required", "%u is not reliable", w->status);
		return;
	}
	if (!script->reliable && !is_excused(ua))
		sim_fail(ua->sim, ua->call, "rfc3262-3-unknown", "a reliable %u to a caller without 100rel", w->status);
	if (r->rseq_in && w->rseq <= r->rseq_in)
		return; /* again */
	if (r->rseq_in && w->rseq != r->rseq_in + 1 && !is_excused(ua))
		sim_fail(ua->sim, ua->call, "rfc3262-4-order", "RSeq %u after %u", w->rseq, r->rseq_in);
	r->rseq_in = w->rseq;
	if (script->no_prack) {
		ua->sim->counts.pracks_withheld++;
		return;
	}
	bool answers = w->body.size && !invite->offered && !told_of(ua, w->to_tag);
	note_told(ua, invite, w);
	snprintf(remote, sizeof remote, "%.*s", TEXT(w->to));
	snprintf(target, sizeof target, "%.*s", TEXT(w->contact));
	snprintf(rack, sizeof rack, "RAck: %u %u INVITE\r\n", w->rseq, invite->cseq);
	struct sent *sent = request_early(ua, remote, target, "PRACK", answers ? session_of(ua) : BYTES_NONE, rack);
	sent->may_update = told_of(ua, w->to_tag) != NULL;
	snprintf(r->remote, sizeof r->remote, "%s", remote);
	snprintf(r->target, sizeof r->target, "%s", target);
	ua->sim->counts.pracks++;
}

static bool is_open(const struct ua *ua, const char *method)
{
	for (const struct sent *sent = ua->sent; sent; sent = sent->next)
		if (!sent->over && strcmp(sent->method, method) == 0)
			return true;
	return false;
}

static void offer_early(struct sim *sim, void *context)
{
	struct ua *ua = context;
	bool over = ua->is_caller && (ua->invite->over || ua->invite->cancelled);
	if (peer_is_broken(ua) || ua->state != UA_EARLY || over || ua->bye_sent || is_open(ua, "UPDATE"))
		return;
	if (is_open(ua, "PRACK")) { /* it would be refused, if this overtook it (RFC 3261 12.2.2) */
		sim_at(sim, sim->now_ns + POSTPONE_NS, offer_early, ua);
		return;
	}
	sim->counts.early_updates++;
	ua->session++;
	if (ua->is_caller)
		request_early(ua, ua->reliable.remote, ua->reliable.target, "UPDATE", session_of(ua), NULL);
	else
		peer_request(ua, "UPDATE", session_of(ua), NULL, STEP_NONE)->early = true;
}

static void plan_update(struct ua *ua)
{
	uint64_t wait_ns = ua->call->script.early_update_ns[!ua->is_caller];
	if (!wait_ns || ua->reliable.update_planned)
		return;
	ua->reliable.update_planned = true;
	sim_at(ua->sim, ua->sim->now_ns + wait_ns, offer_early, ua);
}

void early_answered(struct ua *ua, const struct sent *sent, const struct wire *w)
{
	bool prack = strcmp(sent->method, "PRACK") == 0;
	bool over =
		ua->state != UA_EARLY || ua->bye_sent || (ua->invite && (ua->invite->over || ua->invite->cancelled));
	if (prack && w->status >= 300 && w->status != 503 && !over && !is_excused(ua))
		sim_fail(ua->sim, ua->call, "rfc3262-3-prack", "%u to PRACK %u", w->status, sent->cseq);
	if (prack && w->status < 300 && sent->may_update)
		plan_update(ua);
	if (!prack && w->status >= 200 && w->status < 300)
		ua->sim->counts.early_updates_answered++;
}

/* ---- the callee ---- */

static const struct taken *invite_of(const struct ua *ua)
{
	const struct taken *taken = ua->taken;
	while (strcmp(taken->method, "INVITE") != 0)
		taken = taken->next;
	return taken;
}

static bool has_offer(const struct taken *invite)
{
	struct wire w;
	bool read = wire_read(invite->request, &w);
	assert(read);
	return w.body.size > 0;
}

static void give_up(struct ua *ua, struct taken *invite)
{
	ua->reliable.waits = false;
	if (ua->fork || invite->status >= 200)
		return;
	ua->state = UA_ENDED;
	early_end_forks(ua);
	peer_respond(invite, 504, NULL, BYTES_NONE);
}

static void resend(struct sim *sim, void *context)
{
	struct later_response *what = context;
	struct ua *ua = what->ua;
	struct ua_reliable *r = &ua->reliable;
	if (!r->waits || ua->state != UA_EARLY || peer_is_broken(ua) || what->status != r->rseq)
		return;
	if (sim->now_ns >= r->started_ns + SIM_64T1) {
		give_up(ua, what->invite);
		return;
	}
	network_to_node(sim, ua->host, r->text);
	sim->counts.retransmissions++;
	r->wait_ns *= 2;
	uint64_t at_ns = sim->now_ns + r->wait_ns, end_ns = r->started_ns + SIM_64T1;
	sim_at(sim, at_ns < end_ns ? at_ns : end_ns, resend, what);
}

static void respond_again(struct sim *sim, void *context)
{
	struct later_response *what = context;
	(void)sim;
	if (what->ua->state == UA_EARLY && what->invite->status < 200 && !peer_is_broken(what->ua))
		early_respond(what->ua, what->invite, what->status, what->body);
}

void early_respond(struct ua *ua, struct taken *invite, unsigned status, struct bytes body)
{
	struct ua_reliable *r = &ua->reliable;
	struct sim *sim = ua->sim;
	struct wire w;
	char headers[64];
	bool read = wire_read(invite->request, &w);
	assert(read);
	if (!ua->answer->reliable || !w.reliable_tag) {
		peer_respond(invite, status, NULL, body);
		return;
	}
	struct later_response *what = sim_alloc(sim, sizeof *what);
	*what = (struct later_response){ ua, invite, status, body };
	if (r->waits) {
		sim_at(sim, sim->now_ns + POSTPONE_NS, respond_again, what);
		return;
	}
	r->rseq = r->rseq ? r->rseq + 1 : 1 + (uint32_t)sim_below(sim, SIM_TRAFFIC, 1000000);
	snprintf(headers, sizeof headers, "Require: 100rel\r\nRSeq: %u\r\n", r->rseq);
	peer_respond(invite, status, headers, body);
	r->text = invite->response;
	r->waits = true;
	r->sent_session |= body.size > 0;
	r->wait_ns = SIM_T1;
	r->started_ns = sim->now_ns;
	what->status = r->rseq;
	sim->counts.reliable_responses++;
	sim_at(sim, sim->now_ns + SIM_T1, resend, what);
}

bool early_holds_answer(const struct ua *ua)
{
	return ua->reliable.waits && ua->reliable.sent_session;
}

bool early_stands(const struct ua *ua)
{
	return ua->reliable.settled;
}

void early_take_prack(struct ua *ua, struct taken *prack, const struct wire *w)
{
	struct ua_reliable *r = &ua->reliable;
	const struct taken *invite = ua->is_caller ? NULL : invite_of(ua);
	char rack[64];
	snprintf(rack, sizeof rack, "%u %u INVITE", r->rseq, invite ? invite->cseq : 0);
	if (ua->state != UA_EARLY || !r->waits || !wire_is(w->rack, rack)) {
		if (ua->state == UA_EARLY && !is_excused(ua))
			sim_fail(ua->sim, ua->call, "rfc3262-4-prack", "PRACK %.*s, RSeq is %u", TEXT(w->rack),
				 r->rseq);
		peer_respond(prack, 481, NULL, BYTES_NONE);
		return;
	}
	bool answers = r->sent_session && !r->settled && !has_offer(invite);
	if (answers != (w->body.size > 0) && !is_excused(ua))
		sim_fail(ua->sim, ua->call, "rfc3262-5-answer", "PRACK %.*s with%s a session", TEXT(w->rack),
			 answers ? "out" : "");
	r->waits = false;
	r->settled |= r->sent_session;
	peer_respond(prack, 200, NULL, BYTES_NONE);
	if (r->settled)
		plan_update(ua);
}

void early_take_update(struct ua *ua, struct taken *update)
{
	bool may = ua->is_caller ? ua->reliable.told_count > 0 : ua->reliable.settled;
	if (!may && !is_excused(ua))
		sim_fail(ua->sim, ua->call, "rfc3311-5.1-early", "an offer in UPDATE before the first has its answer");
	if (is_open(ua, "UPDATE"))
		peer_respond(update, 491, NULL, BYTES_NONE);
	else
		peer_respond(update, 200, NULL, session_of(ua));
}

/* ---- branches of a fork ---- */

static void fork_speaks(struct sim *sim, void *context)
{
	struct ua *fork = context;
	(void)sim;
	if (fork->state == UA_EARLY && !peer_is_broken(fork))
		early_respond(fork, fork->taken, 183, session_of(fork));
}

/* Another branch of a forking proxy behind this gateway rings as well, and loses. */
void early_fork(struct ua *ua, const struct taken *invite)
{
	struct ua *fork = peer_fork(ua, invite);
	fork->reliable = (struct ua_reliable){ .update_planned = true };
	fork->session += 3;
	fork->taken->branch[0] = '\0'; /* CANCEL and retransmissions go to the first */
	fork->taken->resending = false;
	fork->state = UA_EARLY;
	ua->sim->counts.early_forks++;
	sim_at(ua->sim, ua->sim->now_ns + FORK_NS, fork_speaks, fork);
}

void early_end_forks(struct ua *ua)
{
	for (struct ua *fork = ua->call ? ua->call->callees : NULL; fork; fork = fork->next_of_call)
		if (fork->fork && fork->state == UA_EARLY && strcmp(fork->call_id, ua->call_id) == 0)
			fork->state = UA_ENDED;
}
