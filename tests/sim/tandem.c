#include "tests/sim/tandem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/session.h"

#define FAR_SALT UINT64_C(0x6a09e667f3bcc908)

static const char *const addresses[] = { "10.0.0.1", "10.0.0.2" };
static const char *const gateways[] = {
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
	"routing_gateway \"far\" { address = \"10.0.0.2:5060\" prefix = {\"880\"} }\n",
	"mapping_gateway \"near\" { address = {\"10.0.0.1\"} }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 }\n",
};

static enum tandem_side other(enum tandem_side side)
{
	return side == NEAR ? FAR : NEAR;
}

const struct session_leg *tandem_leg(const struct tandem_call *call, enum tandem_side side)
{
	const struct session_truth *truth = call->calls[side]->truth;
	return truth ? truth->legs[side == NEAR] : NULL;
}

/* ---- what passes between the nodes ---- */

static struct tandem_call *call_of(struct tandem *t, const struct wire *w)
{
	const struct sim_call *call = peer_call_of_id(t->sims[FAR], w->call_id);
	return call ? &t->calls[call->serial] : NULL;
}

/* The near node begins its second leg: what the far node will know the call by, and a dialog for the watch to find. */
static void meet(struct tandem *t, const struct wire *w)
{
	struct sim *near = t->sims[NEAR];
	const char *at = memchr(w->uri.at, '@', w->uri.size);
	uint32_t size = at ? (uint32_t)(at - w->uri.at) : 0;
	struct sim_call *call = size > 4 ? peer_call_of_number(near, (struct bytes){ w->uri.at + 4, size - 4 }) : NULL;
	if (!call)
		return;
	struct sim_call *beyond = t->calls[call->serial].calls[FAR];
	if (*beyond->call_id)
		return;
	assert(w->call_id.size < sizeof beyond->call_id);
	memcpy(beyond->call_id, w->call_id.at, w->call_id.size);
	call->callees = peer_ua(near, t->gates[NEAR].host, call, w->call_id);
	call->callees->state = UA_ENDED;
	beyond->caller = peer_ua(t->sims[FAR], t->gates[FAR].host, beyond, w->call_id);
	beyond->caller->is_caller = true;
	beyond->caller->state = UA_ENDED;
	call->callees->dead = beyond->caller->dead = t->parted_ns > 0;
}

/* What the watch of that side has just made of a message. */
static void follow(struct tandem *t, struct tandem_call *call, enum tandem_side side)
{
	const struct session_leg *leg = tandem_leg(call, side);
	struct sim_counts *counts = &t->sims[side]->counts;
	if (!leg)
		return;
	counts->inner_refreshes += leg->refreshes - call->refreshes[side];
	counts->inner_claims += leg->claims - call->claims[side];
	call->refreshes[side] = leg->refreshes;
	call->claims[side] = leg->claims;
	if (call->confirmed[side] == leg->confirmed)
		return;
	call->confirmed[side] = leg->confirmed;
	call->changes += call->refresher >= 0 && call->refresher != (int)side;
	call->refresher = (int)side;
}

static void note_sent(struct tandem *t, struct tandem_call *call, enum tandem_side from, const struct wire *w)
{
	bool offers = wire_method_is(w, "INVITE") || wire_method_is(w, "UPDATE");
	unsigned before = call->refreshes[from];
	follow(t, call, from);
	if (call->refreshes[from] != before && wire_method_is(w, "INVITE")) {
		call->reinvites++;
		t->sims[from]->counts.inner_reinvites++;
	} else if (call->refreshes[from] == before && offers && w->is_request && w->to_tag.size &&
		   w->cseq > call->latest_cseq[from]) {
		call->passed_on++;
	}
	if (w->is_request && w->cseq > call->latest_cseq[from])
		call->latest_cseq[from] = w->cseq;
	call->refused_491 += w->status == 491;
	if (w->status == 422 && w->cseq != call->small_cseq) {
		call->too_small++;
		call->small_cseq = w->cseq;
		t->sims[from]->counts.inner_small++;
	}
}

static void sent(struct gate *gate, struct bytes datagram)
{
	struct tandem_gate *g = (struct tandem_gate *)gate;
	struct wire w;
	if (!wire_read(datagram, &w))
		return;
	if (g->from == NEAR && wire_method_is(&w, "INVITE") && w.is_request && !w.to_tag.size)
		meet(g->tandem, &w);
	struct tandem_call *call = call_of(g->tandem, &w);
	if (call)
		note_sent(g->tandem, call, g->from, &w);
}

struct passing {
	struct tandem_gate *from;
	struct bytes datagram;
};

static void pass(struct sim *sim, void *context)
{
	struct passing *passing = context;
	struct tandem *t = passing->from->tandem;
	enum tandem_side to = other(passing->from->from);
	struct wire w;
	node_datagram(sim, t->gates[to].host, &t->gates[to].host->address, passing->datagram, false);
	struct tandem_call *call = wire_read(passing->datagram, &w) ? call_of(t, &w) : NULL;
	if (call)
		follow(t, call, to);
}

/* A box between the nodes that takes UPDATE out of Allow. */
static struct bytes without_update(struct sim *sim, struct bytes datagram)
{
	static const char word[] = ", UPDATE";
	const size_t size = sizeof word - 1;
	const char *at = memmem(datagram.at, datagram.size, word, size);
	char *copy = sim_alloc(sim, datagram.size);
	size_t before = at ? (size_t)(at - datagram.at) : datagram.size;
	memcpy(copy, datagram.at, before);
	if (!at)
		return (struct bytes){ copy, datagram.size };
	memcpy(copy + before, at + size, datagram.size - before - size);
	return (struct bytes){ copy, datagram.size - (uint32_t)size };
}

static void arrived(struct gate *gate, struct bytes datagram)
{
	struct tandem_gate *g = (struct tandem_gate *)gate;
	struct tandem *t = g->tandem;
	struct sim *to = t->sims[other(g->from)];
	struct passing *passing = sim_alloc(to, sizeof *passing);
	char *copy = sim_alloc(to, datagram.size);
	memcpy(copy, datagram.at, datagram.size);
	*passing = (struct passing){ g, { copy, datagram.size } };
	if (t->settings.no_update)
		passing->datagram = without_update(to, datagram);
	assert(to->now_ns <= t->sims[g->from]->now_ns);
	sim_at(to, t->sims[g->from]->now_ns, pass, passing);
}

/* ---- time ---- */

/* Whichever is earlier; both are at until_ns when nothing is before it. */
static bool step(struct tandem *t, uint64_t until_ns)
{
	enum tandem_side side = sim_next_ns(t->sims[NEAR]) <= sim_next_ns(t->sims[FAR]) ? NEAR : FAR;
	if (sim_step(t->sims[side], until_ns))
		return true;
	sim_step(t->sims[other(side)], until_ns);
	return false;
}

void tandem_run(struct tandem *t, uint64_t for_ns)
{
	uint64_t until_ns = tandem_now_ns(t) + for_ns;
	while (step(t, until_ns))
		;
	node_check(t->sims[NEAR]);
	node_check(t->sims[FAR]);
}

void tandem_finish(struct tandem *t)
{
	uint64_t begun_ns = tandem_now_ns(t), quiet_ns = begun_ns;
	while (tandem_now_ns(t) < quiet_ns + SIM_SETTLE_NS && tandem_now_ns(t) < begun_ns + SIM_ENOUGH_NS) {
		for (uint64_t until_ns = tandem_now_ns(t) + SIM_S; step(t, until_ns);)
			;
		if (!sim_is_quiet(t->sims[NEAR]) || !sim_is_quiet(t->sims[FAR]))
			quiet_ns = tandem_now_ns(t);
	}
	sim_check_end(t->sims[NEAR]);
	sim_check_end(t->sims[FAR]);
	for (unsigned i = 0; i < t->call_count; i++)
		tandem_check_call(t, &t->calls[i]);
}

/* ---- beginning and end ---- */

/* The other node, in the network of this one. */
static void open_gate(struct tandem *t, enum tandem_side side)
{
	struct sim *sim = t->sims[side];
	struct tandem_gate *gate = &t->gates[side];
	struct host *host = &sim->hosts[sim->host_count++];
	assert(sim->host_count <= SIM_HOSTS_MAX);
	*gate = (struct tandem_gate){ { sent, arrived }, t, side, host };
	*host = (struct host){
		.gate = &gate->gate,
		.address = { .family = 4, .port = 5060, .ip = { 10, 0, 0, side == NEAR ? 2 : 1 } },
		.from_node = t->settings.inner,
		.is_caller = side == FAR,
	};
	if (!host->from_node.delay_ns)
		host->from_node.delay_ns = SIM_MS;
	snprintf(host->name, sizeof host->name, "%s:5060", addresses[other(side)]);
}

struct tandem *tandem_create(const struct tandem_settings *settings)
{
	struct tandem *t = calloc(1, sizeof *t);
	assert(t);
	t->settings = *settings;
	for (enum tandem_side side = NEAR; side <= FAR; side++) {
		t->sims[side] =
			sim_new(.seed = settings->seed, .salt = side == NEAR ? 0 : FAR_SALT, .address = addresses[side],
				.hops = side == FAR, .sessions = true, .shards = settings->shards[side],
				.mailbox = settings->mailbox[side], .parameters = settings->parameters[side],
				.gateways = gateways[side], .link = settings->outer);
		open_gate(t, side);
	}
	uint64_t a_ns = t->sims[NEAR]->now_ns, b_ns = t->sims[FAR]->now_ns, begin_ns = a_ns > b_ns ? a_ns : b_ns;
	sim_run_until(t->sims[NEAR], begin_ns);
	sim_run_until(t->sims[FAR], begin_ns);
	return t;
}

void tandem_destroy(struct tandem *t)
{
	sim_destroy(t->sims[NEAR]);
	sim_destroy(t->sims[FAR]);
	free(t->calls);
	free(t);
}

struct tandem_call *tandem_place(struct tandem *t, const struct script *script)
{
	if (t->call_count == t->call_room) {
		t->call_room = t->call_room ? 2 * t->call_room : 16;
		t->calls = realloc(t->calls, t->call_room * sizeof *t->calls);
		assert(t->calls);
	}
	struct tandem_call *call = &t->calls[t->call_count++];
	*call = (struct tandem_call){ .refresher = -1, .idle = !script->timers[0].moves && !script->timers[1].moves };
	for (unsigned i = 0; i < SCRIPT_STEPS; i++)
		call->idle &= script->steps[i].kind == STEP_NONE || script->steps[i].kind == STEP_BYE ||
			      script->steps[i].kind == STEP_DIE;
	call->calls[FAR] = peer_expect(t->sims[FAR], script);
	call->calls[NEAR] = sim_place(t->sims[NEAR], script);
	assert(call->calls[NEAR]->serial == call->calls[FAR]->serial);
	t->sims[NEAR]->counts.tandem_calls++;
	return call;
}

/* ---- faults ---- */

void tandem_cut(struct tandem *t, bool down)
{
	t->gates[NEAR].host->from_node.down = t->gates[FAR].host->from_node.down = down;
	t->outages += down;
	t->sims[NEAR]->counts.inner_outages += down;
}

void tandem_part(struct tandem *t)
{
	t->parted_ns = tandem_now_ns(t);
	t->gates[NEAR].host->from_node.down = t->gates[FAR].host->from_node.down = true;
	t->sims[NEAR]->counts.tandem_partings++;
	for (enum tandem_side side = NEAR; side <= FAR; side++) /* each is a peer that has died, for the other */
		for (struct ua *ua = t->gates[side].host->uas; ua; ua = ua->next)
			ua->dead = true;
}

void tandem_far_dies(struct tandem *t)
{
	struct sim *far = t->sims[FAR];
	tandem_part(t);
	t->far_dead = true;
	for (unsigned i = 0; i < far->host_count; i++) {
		struct host *host = &far->hosts[i];
		host->to_node.down = host->from_node.down = true;
		for (struct ua *ua = host->uas; ua; ua = ua->next)
			ua->dead = true;
	}
}

/* ---- printing ---- */

bool tandem_failed(const struct tandem *t)
{
	return t->sims[NEAR]->failed || t->sims[FAR]->failed;
}

void tandem_print_call(const struct tandem_call *call, FILE *file)
{
	const struct sim_call *near = call->calls[NEAR], *far = call->calls[FAR];
	uint64_t start_ns = near->log_count ? near->log[0].at_ns : 0;
	fprintf(file, "call %u, %s, then %s\n", near->serial, near->call_id, *far->call_id ? far->call_id : "no more");
	for (unsigned i = 0, j = 0; i < near->log_count || j < far->log_count;) {
		if (j == far->log_count || (i < near->log_count && near->log[i].at_ns <= far->log[j].at_ns))
			sim_print_message(&near->log[i++], start_ns, "near ", file);
		else
			sim_print_message(&far->log[j++], start_ns, "          far  ", file);
	}
	sim_print_record(near, file);
	sim_print_record(far, file);
	fprintf(file, "  between the nodes: refreshes %u and %u, claims %u and %u, %u changes\n", call->refreshes[NEAR],
		call->refreshes[FAR], call->claims[NEAR], call->claims[FAR], call->changes);
}

void tandem_print_failure(const struct tandem *t, FILE *file)
{
	const struct sim *sim = t->sims[t->sims[NEAR]->failed ? NEAR : FAR];
	const struct sim_call *call = sim->failure_call;
	const struct message_note *first = call ? &t->calls[call->serial].calls[NEAR]->log[0] : NULL;
	fprintf(file, "%s at %.6f, %s node: %s\n", sim->failure_check,
		(double)(sim->failure_ns - (first ? first->at_ns : 0)) / 1e9, sim == t->sims[NEAR] ? "near" : "far",
		sim->failure);
	if (call)
		tandem_print_call(&t->calls[call->serial], file);
}

void tandem_add_counts(const struct tandem *t, struct sim_counts *sum)
{
	for (enum tandem_side side = NEAR; side <= FAR; side++) {
		const struct sim_counts *counts = &t->sims[side]->counts;
#define X(name) sum->name += counts->name;
		SIM_COUNTS(X)
#undef X
	}
	sum->virtual_seconds -= t->sims[FAR]->counts.virtual_seconds; /* the same hours */
}
