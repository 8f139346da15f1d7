/* Records of live calls that were damaged: cut off at every byte, and every byte changed in some ways.
 *
 *   carry_mutate [SEED]
 *
 * The calls are those of a simulated node in all the states that are written down.  A shard takes up what it likes of
 * the result, lives through the deadlines that came with it, stops, and must be empty then.  A crash, an assert or a
 * leak is the failure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/recovery.h"
#include "core/call/carry.h"
#include "core/call/state.h"
#include "tests/sim/keep.h"
#include "tests/sim/peer.h"

#define STEPS_MAX 400 /* deadlines of a shard that are lived through */

static struct {
	struct sim *sim;
	struct tally *tally;
	struct quality_book *quality;
	struct shard_stats stats;
	char room[65536];
	uint8_t record[RECORD_BYTES_MAX];
	uint64_t restored, refused;
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

static struct shard *take_shard(uint64_t now_ns)
{
	struct shard *shard;
	memset(&fuzz.stats, 0, sizeof fuzz.stats);
	memset(fuzz.tally, 0, 64 * sizeof *fuzz.tally);
	struct shard_settings settings = {
		.config = fuzz.sim->config,
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
		.secret = fuzz.sim->secret,
		.shard_count = 1,
		.boot = 2,
		.calls_max = 4,
		.seed = 1,
		.now_ns = now_ns,
		.now_us = sim_real_us(fuzz.sim, fuzz.sim->now_ns),
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

static void take(const struct recovered_call *call)
{
	uint64_t now_ns = fuzz.sim->now_ns + SIM_S;
	struct shard *shard = take_shard(now_ns);
	bool taken = shard_restore(shard, call, false) == RESTORE_TAKEN;
	*(taken ? &fuzz.restored : &fuzz.refused) += 1;
	shard_restored(shard);
	shard_check(shard);
	if (taken) {
		shard_checkpoint(shard, 1);
		live(shard, &now_ns);
	}
	stop(shard, now_ns);
	shard_destroy(shard);
}

/* In memory of its exact size, so that a byte too far is found out. */
static void take_changed(const struct recovered_call *call, struct recovered_bytes *part, size_t at, int change)
{
	const struct recovered_bytes whole = *part;
	size_t size = change < 0 ? at : whole.size;
	uint8_t *bytes = malloc(size ? size : 1);
	if (!bytes)
		abort();
	memcpy(bytes, whole.at, size);
	if (change > 0)
		bytes[at] = (uint8_t)(bytes[at] + change);
	part->at = bytes;
	part->size = size;
	take(call);
	*part = whole;
	free(bytes);
}

static void take_all(const struct recovered_call *call, struct recovered_bytes *part)
{
	static const int changes[] = { -1, 1, 0xff };
	for (size_t at = 0; part->at && at < part->size; at++)
		for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++)
			take_changed(call, part, at, changes[i]);
}

static void visit(struct sim *sim, const struct recovered_call *kept, void *context)
{
	struct recovered_call call = *kept;
	(void)sim, (void)context;
	take(&call);
	take_all(&call, &call.live);
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++)
		take_all(&call, &call.changes[i]);
	call.ended = true;
	call.byes = 3;
	take(&call);
}

int main(int argc, char **argv)
{
	struct sim *sim = fuzz.sim = sim_new(.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
					     .parameters = "RW_NO_TIMER_PROBE_INTERVAL = 30\n");
	fuzz.tally = tally_reserve();
	fuzz.quality = quality_reserve();
	struct answer good = { .ring_ns = SIM_MS, .final_ns = 10 * SIM_MS };
	struct timer_script timed = { .on = true, .updates = true, .interval_s = 90 };
	sim_call_now(sim, .answers = { { .ring_ns = SIM_MS, .code = 500, .final_ns = 5 * SIM_MS }, good },
		     .timers = { timed, timed });
	sim_run(sim, 100 * SIM_S);
	sim_call_now(sim, .delayed_offer = true, .ack_delay_ns = 100 * SIM_S, .answers = { good });
	sim_call_now(sim, .ack_delay_ns = 100 * SIM_S, .answers = { good }, .timers = { timed });
	sim_run(sim, SIM_S);
	keep_each(sim, visit, NULL);
	printf("%llu records taken, %llu refused\n", (unsigned long long)fuzz.restored,
	       (unsigned long long)fuzz.refused);
	tally_release(fuzz.tally);
	quality_release(fuzz.quality);
	sim_destroy(sim);
	return fuzz.restored > 100 && fuzz.refused > 100 ? 0 : 1;
}
