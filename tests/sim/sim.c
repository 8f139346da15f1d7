#include "tests/sim/sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/keep.h"
#include "tests/sim/limits.h"
#include "tests/sim/peer.h"
#include "tests/sim/watch.h"

#define CHECK_EVERY 256 /* steps between two full checks of the shards */

struct event {
	uint64_t at_ns, sequence;
	void (*fn)(struct sim *sim, void *context);
	void *context;
};

struct piece {
	struct piece *next;
	_Alignas(16) char room[];
};

void *sim_alloc(struct sim *sim, size_t size)
{
	struct piece *piece = calloc(1, sizeof *piece + size);
	assert(piece);
	piece->next = sim->memory;
	sim->memory = piece;
	return piece->room;
}

/* ---- chance ---- */

uint64_t sim_random(struct sim *sim, enum sim_stream stream)
{
	uint64_t z = sim->random[stream] += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t sim_below(struct sim *sim, enum sim_stream stream, uint64_t below)
{
	return below ? sim_random(sim, stream) % below : 0;
}

bool sim_chance(struct sim *sim, enum sim_stream stream, uint32_t ppm)
{
	return ppm && sim_below(sim, stream, 1000000) < ppm;
}

/* ---- events: a binary heap by time, then by order of arming ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *context), void *context)
{
	struct event *event = malloc(sizeof *event);
	assert(event);
	if (sim->event_count == sim->event_room) {
		sim->event_room = sim->event_room ? 2 * sim->event_room : 256;
		sim->heap = realloc(sim->heap, sim->event_room * sizeof(struct event *));
		assert(sim->heap);
	}
	*event = (struct event){ at_ns < sim->now_ns ? sim->now_ns : at_ns, sim->event_sequence++, fn, context };
	uint32_t i = sim->event_count++;
	for (; i && before(event, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = event;
}

static struct event *take_event(struct sim *sim)
{
	struct event *first = sim->heap[0], *last = sim->heap[--sim->event_count];
	uint32_t i = 0, child;
	while ((child = 2 * i + 1) < sim->event_count) {
		if (child + 1 < sim->event_count && before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!before(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return first;
}

/* ---- time ---- */

uint64_t sim_next_ns(const struct sim *sim)
{
	uint64_t event_ns = sim->event_count ? sim->heap[0]->at_ns : UINT64_MAX, node_ns = node_next_ns(sim);
	return event_ns < node_ns ? event_ns : node_ns;
}

bool sim_step(struct sim *sim, uint64_t until_ns)
{
	uint64_t next = sim_next_ns(sim);
	if (next > until_ns) {
		if (until_ns > sim->now_ns)
			sim->now_ns = until_ns;
		return false;
	}
	if (next > sim->now_ns)
		sim->now_ns = next;
	if (sim->event_count && sim->heap[0]->at_ns == next) {
		struct event *event = take_event(sim);
		event->fn(sim, event->context);
		free(event);
	}
	node_advance(sim);
	limits_step(sim);
	if (++sim->steps % CHECK_EVERY == 0)
		node_check(sim);
	return true;
}

void sim_run_until(struct sim *sim, uint64_t until_ns)
{
	while (sim_step(sim, until_ns))
		;
	node_check(sim);
}

void sim_run(struct sim *sim, uint64_t for_ns)
{
	sim_run_until(sim, sim->now_ns + for_ns);
}

/* What peers and shards still do by themselves ends within three times 64*T1 after the last call has: a BYE that waited
 * for its ACK and was then never answered, and the tombstone of what came last. */
static_assert(SIM_SETTLE_NS > 3 * SIM_64T1, "one more, to be sure");

bool sim_is_quiet(struct sim *sim)
{
	return !sim->planned && !sim->down && !node_stat(sim, calls_active) && !node_stat(sim, calls_setup) &&
	       peer_all_quiet(sim);
}

void sim_check_end(struct sim *sim)
{
	node_check(sim);
	node_check_empty(sim);
	peer_check_end(sim);
	watch_check_end(sim);
	sim->counts.virtual_seconds = sim->now_ns / SIM_S;
}

void sim_finish(struct sim *sim)
{
	uint64_t begun_ns = sim->now_ns, quiet_ns = sim->now_ns;
	while (sim->now_ns < quiet_ns + SIM_SETTLE_NS && sim->now_ns < begun_ns + SIM_ENOUGH_NS) {
		for (uint64_t until_ns = sim->now_ns + SIM_S; sim_step(sim, until_ns);)
			;
		if (!sim_is_quiet(sim))
			quiet_ns = sim->now_ns;
	}
	sim_check_end(sim);
}

void sim_step_clock(struct sim *sim, int64_t by_us)
{
	sim->wall_us += by_us;
	sim->counts.clock_steps++;
}

void sim_fail(struct sim *sim, struct sim_call *call, const char *check, const char *format, ...)
{
	va_list arguments;
	if (sim->failed)
		return;
	sim->failed = true;
	sim->failure_ns = sim->now_ns;
	sim->failure_call = call;
	snprintf(sim->failure_check, sizeof sim->failure_check, "%s", check);
	va_start(arguments, format);
	vsnprintf(sim->failure, sizeof sim->failure, format, arguments);
	va_end(arguments);
}

/* ---- beginning and end ---- */

struct sim *sim_create(const struct sim_settings *settings)
{
	struct sim *sim = calloc(1, sizeof *sim);
	assert(sim);
	sim->settings = *settings;
	sim->shard_count = settings->shards ? settings->shards : 1;
	assert(sim->shard_count <= SIM_SHARDS_MAX);
	sim->random[SIM_NETWORK] = (settings->seed * 2 + 1) ^ settings->salt;
	sim->random[SIM_TRAFFIC] = (settings->seed + 77) * UINT64_C(0x2545f4914f6cdd1d) ^ settings->salt;
	sim->now_ns = UINT64_C(1000) * SIM_S + sim_below(sim, SIM_NETWORK, SIM_S);
	sim->wall_us = INT64_C(1700000000000000);
	if (!sim->settings.link.delay_ns)
		sim->settings.link.delay_ns = SIM_MS;
	sim->watch = watch_create(sim);
	sim->limits = limits_create(sim);
	sim->keep = keep_create(sim);
	peer_create_hosts(sim);
	node_create(sim);
	return sim;
}

void sim_destroy(struct sim *sim)
{
	node_destroy(sim);
	keep_destroy(sim->keep);
	while (sim->event_count)
		free(take_event(sim));
	free(sim->heap);
	free(sim->by_serial);
	for (struct piece *piece = sim->memory, *next; piece; piece = next) {
		next = piece->next;
		free(piece);
	}
	free(sim);
}
