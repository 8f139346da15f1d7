#include "tests/sim/limits.h"

#include <assert.h>

#include "core/call/admission.h"
#include "core/call/home.h"

#define GATEWAYS_MAX 4096 /* ids of a process */

/* Longer than what was granted before a configuration can be on its way, its answer to a recall included. */
#define SETTLES_NS (6 * SIM_S)

struct watched {
	int64_t on_way; /* lines in notes; calls that the home has yet to hear of count negative */
	uint64_t lent_on_way, granted;
	uint64_t calls;                 /* that counted on it after the last step */
	uint64_t begun, granted_on_way; /* calls admitted or attempts made; grants in notes; after the last step */
	uint64_t allowed;               /* the most of them in this second */
	uint64_t second_ns;             /* its second, as last seen */
	bool second_ended;
};

struct limits {
	struct watched gateways[GATEWAYS_MAX];
	uint64_t room_on_way;
	uint64_t configured_ns; /* when a shard last came to another configuration; 0: never */
};

struct limits *limits_create(struct sim *sim)
{
	return sim_alloc(sim, sizeof(struct limits));
}

static const struct shard *home_shard_of(const struct sim *sim, uint32_t id)
{
	return sim->shards[id % sim->shard_count].shard;
}

/* ---- notes ---- */

/* At the moment of a refusal nothing that is lent is unused. */
static void check_refusal(struct sim *sim, const struct limit_answer *answer)
{
	uint32_t id = answer->gateway_id;
	const struct home *h = home_of(home_shard_of(sim, id), id);
	uint64_t idle = 0, starts = 0;
	for (unsigned i = 0; i < sim->shard_count; i++) {
		const struct lease *lease = admission_lease(sim->shards[i].shard, id);
		idle += lease->idle;
		if (lease->second_ends_ns > node_clock_ns(sim))
			starts += lease->starts;
	}
	if (sim->limits->gateways[id].lent_on_way || (answer->by_rate ? starts : idle))
		sim_fail(sim, NULL, "refused-while-free", "gateway %s: %llu lines idle, %llu starts unused",
			 gateway_name(id), (unsigned long long)idle, (unsigned long long)starts);
	if (!answer->by_rate && h->out < config_limits(home_shard_of(sim, id)->config, id).capacity)
		sim_fail(sim, NULL, "refused-while-free", "gateway %s: %u lines are out", gateway_name(id), h->out);
}

void limits_note(struct sim *sim, const struct note *note, bool sent)
{
	if (note->kind == NOTE_ROOM_GIVEN)
		sim->limits->room_on_way += sent ? note->a : -note->a;
	if (note->kind >= NOTE_ROOM_ASK)
		return;
	uint32_t id = (uint32_t)note->a;
	assert(id < GATEWAYS_MAX);
	struct watched *w = &sim->limits->gateways[id];
	int64_t lines = limit_note_lines(note);
	w->on_way += sent ? lines : -lines;
	if (note->kind != NOTE_ANSWER)
		return;
	struct limit_answer answer = limit_answer_of(note);
	w->lent_on_way += sent ? answer.lent : -(uint64_t)answer.lent;
	w->granted += sent ? answer.granted : -(uint64_t)answer.granted;
	if (sent && answer.refused)
		check_refusal(sim, &answer);
}

/* ---- configurations ---- */

void limits_configured(struct sim *sim)
{
	sim->limits->configured_ns = sim->now_ns;
}

static bool is_settled(const struct sim *sim)
{
	uint64_t at_ns = sim->limits->configured_ns;
	for (unsigned i = 0; i < sim->shard_count; i++)
		if (sim->shards[i].shard->config != sim->config)
			return false;
	return !at_ns || sim->now_ns > at_ns + SETTLES_NS;
}

void limits_carried(struct sim *sim)
{
	const struct tallies tallies = { sim->tallies, sim->shard_count };
	for (uint32_t id = 1; id < sim->config->gateway_end && id < GATEWAYS_MAX; id++)
		sim->limits->gateways[id].calls = tally_calls(&tallies, id);
}

/* ---- each step ---- */

static void check_capacity(struct sim *sim, uint32_t id, struct watched *w, bool settled)
{
	const struct tallies tallies = { sim->tallies, sim->shard_count };
	uint64_t calls = tally_calls(&tallies, id), before = w->calls;
	uint32_t capacity = config_limits(sim->config, id).capacity;
	w->calls = calls;
	if (settled && capacity && calls > before && calls > capacity)
		sim_fail(sim, NULL, "capacity", "%llu calls on gateway %s, whose capacity is %u",
			 (unsigned long long)calls, gateway_name(id), capacity);
}

/* Of each second, from its begin to its end: its starts, and those granted before that were on their way.  When it has
 * ended, and until another begins, only the latter. */
static void check_rate(struct sim *sim, uint32_t id, struct watched *w, bool settled)
{
	const struct tallies tallies = { sim->tallies, sim->shard_count };
	uint32_t rate = config_limits(sim->config, id).rate_limit;
	uint64_t before = w->begun, granted = w->granted_on_way;
	uint64_t second_ns = home_of(home_shard_of(sim, id), id)->second_ends_ns;
	bool ended = node_clock_ns(sim) >= second_ns;
	w->begun = tally_attempts(&tallies, id);
	w->granted_on_way = w->granted;
	if (!rate || !settled) {
		w->second_ns = 0;
		w->second_ended = true;
		w->allowed = w->begun + rate; /* of a second under way */
		return;
	}
	if (w->second_ns != second_ns || w->second_ended != ended)
		w->allowed = before + granted + (ended ? 0 : rate);
	w->second_ns = second_ns;
	w->second_ended = ended;
	if (w->begun > w->allowed)
		sim_fail(sim, NULL, "rate-limit", "%llu calls on gateway %s more than in this second",
			 (unsigned long long)(w->begun - w->allowed), gateway_name(id));
}

void limits_step(struct sim *sim)
{
	if (sim->down)
		return;
	bool settled = is_settled(sim);
	for (uint32_t id = 1; id < sim->config->gateway_end && id < GATEWAYS_MAX; id++) {
		struct watched *w = &sim->limits->gateways[id];
		struct gateway_limits limits = config_limits(sim->config, id);
		if (!limits.capacity && !limits.rate_limit && settled)
			continue;
		check_capacity(sim, id, w, settled);
		check_rate(sim, id, w, settled);
	}
}

/* ---- now and then, and at the end ---- */

static void check_room(struct sim *sim)
{
	uint64_t room = sim->limits->room_on_way, shares = 0;
	for (unsigned i = 0; i < sim->shard_count; i++) {
		room += sim->shards[i].shard->room;
		shares += sim->shards[i].shard->calls_max;
	}
	if (room != shares)
		sim_fail(sim, NULL, "room-lost", "there is room for %llu calls, not %llu", (unsigned long long)room,
			 (unsigned long long)shares);
}

void limits_check(struct sim *sim)
{
	if (sim->down)
		return;
	check_room(sim);
	for (uint32_t id = 1; id < sim->config->gateway_end && id < GATEWAYS_MAX; id++) {
		int64_t held = sim->limits->gateways[id].on_way;
		const struct home *h = home_of(home_shard_of(sim, id), id);
		for (unsigned i = 0; i < sim->shard_count; i++) {
			const struct shard *s = sim->shards[i].shard;
			if (config_limits(s->config, id).capacity)
				held += admission_lease(s, id)->idle + (int64_t)s->tally[id].calls;
		}
		if (held != h->out)
			sim_fail(sim, NULL, "lines-lost", "gateway %s: %lld lines are held, the home gave out %u",
				 gateway_name(id), (long long)held, h->out);
	}
}

void limits_check_empty(struct sim *sim)
{
	limits_check(sim);
	for (uint32_t id = 1; id < sim->config->gateway_end && id < GATEWAYS_MAX; id++) {
		uint64_t idle = 0;
		for (unsigned i = 0; i < sim->shard_count; i++) {
			const struct shard *s = sim->shards[i].shard;
			idle += admission_lease(s, id)->idle;
			if (s->tally[id].calls || admission_lease(s, id)->waiting)
				sim_fail(sim, NULL, "leak", "%llu calls count on gateway %s at the end",
					 (unsigned long long)s->tally[id].calls, gateway_name(id));
		}
		if (home_of(home_shard_of(sim, id), id)->out != idle)
			sim_fail(sim, NULL, "leak", "%u lines of gateway %s are out at the end, %llu are idle",
				 home_of(home_shard_of(sim, id), id)->out, gateway_name(id), (unsigned long long)idle);
	}
}
