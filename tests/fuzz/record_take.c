/* Taking up one record of a call: see record_take.h. */
#include "tests/fuzz/record_take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/call/carry.h"
#include "core/call/state.h"
#include "tests/sim/keep.h"
#include "tests/sim/peer.h"

#define STEPS_MAX 400 /* deadlines of a shard that are lived through */

static struct {
	struct tally *tally;
	struct quality_book *quality;
	struct shard_stats stats;
	char room[65536];
	uint8_t record[RECORD_BYTES_MAX];
} fuzz;

static char *lend(void *context, size_t size)
{
	(void)context;
	return size <= sizeof fuzz.room ? fuzz.room : NULL;
}

static void send(void *context, const struct flow *to, char *at, size_t size)
{
	(void)context, (void)to, (void)at, (void)size;
}

static void unlend(void *context, char *at)
{
	(void)context, (void)at;
}

static bool cdr(void *context, const struct cdr *record)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	(void)context;
	if (!cdr_encode(record, bytes, sizeof bytes))
		abort();
	return true;
}

static uint8_t *record_lend(void *context, size_t size)
{
	(void)context;
	return size <= sizeof fuzz.record ? fuzz.record : NULL;
}

static void record(void *context, enum record_kind kind, size_t size)
{
	(void)context, (void)kind, (void)size;
}

static bool cdr_room(void *context)
{
	(void)context;
	return true;
}

static void say(void *context, int level, const char *line)
{
	(void)context, (void)level, (void)line;
}

static struct shard *take_shard(struct sim *sim, uint64_t now_ns)
{
	struct shard *shard;
	memset(&fuzz.stats, 0, sizeof fuzz.stats);
	memset(fuzz.tally, 0, 64 * sizeof *fuzz.tally);
	struct shard_settings settings = {
		.config = sim->config,
		.edge = { .lend = lend,
			  .send = send,
			  .unlend = unlend,
			  .cdr = cdr,
			  .record_lend = record_lend,
			  .record = record,
			  .cdr_room = cdr_room,
			  .log = say },
		.stats = &fuzz.stats,
		.tallies = { &fuzz.tally, 1 },
		.qualities = { &fuzz.quality, 1 },
		.secret = sim->secret,
		.shard_count = 1,
		.boot = 2,
		.calls_max = 4,
		.seed = 1,
		.now_ns = now_ns,
		.now_us = sim_real_us(sim, sim->now_ns),
		.machine = 1,
	};
	if (shard_create(&settings, &shard))
		abort();
	return shard;
}

static void live(struct shard *shard, uint64_t *now_ns)
{
	for (unsigned steps = 0; steps < STEPS_MAX && shard_next_ns(shard) != UINT64_MAX; steps++) {
		*now_ns = shard_next_ns(shard) > *now_ns ? shard_next_ns(shard) : *now_ns;
		shard_advance(shard, *now_ns, 100);
	}
	shard_check(shard);
}

static void stop(struct shard *shard, uint64_t now_ns)
{
	struct command command = { .kind = COMMAND_STOP };
	shard_command(shard, now_ns, &command);
	for (uint64_t until_ns = now_ns + 100 * SIM_S; now_ns < until_ns; now_ns += 100 * SIM_MS)
		shard_advance(shard, now_ns, 1000);
	shard_check(shard);
	shard_publish_stats(shard);
	if (!shard_stopped(shard) || fuzz.stats.pool_leg_used || fuzz.stats.pool_text_used ||
	    fuzz.stats.pool_transaction_used || fuzz.stats.pool_body_used || fuzz.stats.timers_armed)
		abort();
}

struct sim *record_node(uint64_t seed)
{
	struct sim *sim = sim_new(.seed = seed, .parameters = "RW_NO_TIMER_PROBE_INTERVAL = 30\n");
	struct answer good = { .ring_ns = SIM_MS, .final_ns = 10 * SIM_MS };
	struct timer_script timed = { .on = true, .updates = true, .interval_s = 90 };
	sim_call_now(sim, .answers = { { .ring_ns = SIM_MS, .code = 500, .final_ns = 5 * SIM_MS }, good },
		     .timers = { timed, timed });
	sim_run(sim, 100 * SIM_S);
	sim_call_now(sim, .delayed_offer = true, .ack_delay_ns = 100 * SIM_S, .answers = { good });
	sim_call_now(sim, .ack_delay_ns = 100 * SIM_S, .answers = { good }, .timers = { timed });
	sim_run(sim, SIM_S);
	return sim;
}

bool record_take(struct sim *sim, const struct recovered_call *call)
{
	if (!fuzz.tally) {
		fuzz.tally = tally_reserve();
		fuzz.quality = quality_reserve();
	}
	uint64_t now_ns = sim->now_ns + SIM_S;
	struct shard *shard = take_shard(sim, now_ns);
	bool taken = shard_restore(shard, call, false) == RESTORE_TAKEN;
	shard_restored(shard);
	shard_check(shard);
	if (taken) {
		shard_checkpoint(shard, 1);
		live(shard, &now_ns);
	}
	stop(shard, now_ns);
	shard_destroy(shard);
	return taken;
}
