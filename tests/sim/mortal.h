/* A node that dies, on a disk that fails (design, rule 7; spec 11): real shards, real queues, a real journal and its
 * recovery, between the peers of tests/crash on a virtual network, driven by a virtual clock from one seed.
 *
 *   disk.c          the disk
 *   mortal.c        the node: its edge, its billing turns, its deaths and what it takes up afterwards
 *   mortal_world.c  time, network, peers, and what befalls them
 *   mortal_sink.c   a store that applies the journal's CDRs, and what was promised
 *   sim_journal.c   many seeds
 *
 * Death comes between two inputs of a shard or in the middle of one, between two records or datagrams, and in the
 * middle of a sync.  Of a process the queues are left, of a machine what the disk has. */
#ifndef RW_TESTS_SIM_MORTAL_H
#define RW_TESTS_SIM_MORTAL_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/intake.h"
#include "billing/journal.h"
#include "billing/queue.h"
#include "billing/recovery.h"
#include "core/shard.h"
#include "tests/crash/calls.h"
#include "tests/sim/disk.h"

#define MORTAL_SHARDS_MAX 3
#define MORTAL_CALLS_MAX  4096
#define MORTAL_CDRS_MAX   (2 * MORTAL_CALLS_MAX)
#define MORTAL_SEGMENT    (256u << 10) /* the least that a journal takes */

#define MORTAL_MS UINT64_C(1000000)
#define MORTAL_S  UINT64_C(1000000000)

/* clang-format off */
#define MORTAL_COUNTS(X) \
	X(calls) \
	X(answered) \
	X(cdrs) \
	X(cdrs_again) \
	X(process_deaths) \
	X(machine_deaths) \
	X(deaths_in_sync) \
	X(deaths_in_input) \
	X(deaths_at_start) \
	X(starts_refused) \
	X(carried) \
	X(not_taken_up) \
	X(closing) \
	X(from_queues) \
	X(recovered_cdrs) \
	X(lost_with_machine) \
	X(torn_bytes) \
	X(syncs) \
	X(failed_writes) \
	X(refused_space) \
	X(calls_refused) \
	X(checkpoints) \
	X(held_answers) \
	X(virtual_seconds)
/* clang-format on */

struct mortal_counts {
#define X(name) uint64_t name;
	MORTAL_COUNTS(X)
#undef X
};

enum death { ALIVE, PROCESS_DEATH, MACHINE_DEATH };

/* What a former process has left of a queue. */
struct left_queue {
	void *memory;
	size_t size;
};

struct mortal_shard {
	struct world *world;
	unsigned index;
	struct shard *shard;
	struct shard_stats stats;
	struct record_queue *queue;
	void *queue_memory;
	char *lent;
	uint64_t checkpoint; /* the latest that it was told of */
};

struct node {
	uint16_t boot;
	struct config *config;
	struct journal *journal;
	struct intake *intake;
	struct tally *tallies[MORTAL_SHARDS_MAX];
	struct quality_book *qualities[MORTAL_SHARDS_MAX];
	struct mortal_shard shards[MORTAL_SHARDS_MAX];
	unsigned shard_count;
	struct journal_reader *watcher; /* tells what has reached the disk */
	struct journal_reader *reader;  /* the sink's */
	unsigned not_taken_up;          /* calls that the disk would not let it read: the next start has them */
	enum death dying;
	bool in_input, in_sync, starting;
	uint64_t die_at_action; /* counts down with each record and datagram; 0: not */
};

/* What is known of a call beside its peers' truth. */
struct mortal_call {
	bool sent_200;    /* to the caller */
	bool live_synced; /* its RECORD_LIVE has reached the disk */
	bool cdr_synced;
	bool may_be_lost; /* the machine died before its record had reached the disk */
	bool end_lost;    /* it died when a peer had hung up, and the record of that had not */
	unsigned cdrs;    /* in the sink */
	bool cdr_unread;  /* the disk has it, and never gave it to the sink */
	int64_t hold_ms;  /* of its CDR */
	int64_t connect_us;
	uint8_t end_reason, recovered;
};

/* A store with transactions. */
struct mortal_sink {
	uint64_t journal, position; /* committed with the rows */
	uint64_t open_position;     /* of the transaction under way */
	struct mortal_row {
		char cdr_id[CDR_ID_SIZE];
		uint32_t call;
		int64_t hold_ms, connect_us;
		uint8_t end_reason, recovered;
	} rows[MORTAL_CDRS_MAX];
	unsigned count, open_count; /* committed, and with those of the transaction */
};

struct mortal_event;

struct world_settings {
	uint64_t seed;
	unsigned calls;
	bool trace;
};

struct world {
	struct world_settings settings;
	uint64_t random;
	uint64_t now_ns;
	uint64_t machine, machine_ns; /* this start of the machine, and when it was */
	uint16_t boots;
	struct mortal_counts counts;

	struct mortal_event *events;
	uint32_t event_count, event_room;
	uint64_t event_sequence, steps;

	struct disk disk;
	struct left_queue left[MORTAL_SHARDS_MAX * 8];
	unsigned left_count;
	uint8_t secret[32];
	struct node *node; /* NULL: down */
	struct mortal_sink sink;

	struct calls *calls;
	struct mortal_call known[MORTAL_CALLS_MAX];
	struct outage {
		uint64_t from_ns, to_ns; /* to_ns 0: not over */
		uint64_t kept_ns;        /* what was told to the node from then on went with the machine */
	} outages[64];
	uint64_t kept_ns; /* what was told until then is on the disk */
	unsigned outage_count;

	/* Drawn from the seed. */
	unsigned shards;
	uint32_t loss_ppm;
	size_t queue_bytes;
	bool answer_after_sync, close_calls, varies_shards;
	bool neglected; /* calls were not taken up by a start: their peers heard nothing for long */
	bool quiet;     /* the time of troubles is over */

	bool failed;
	char failure[512];
};

struct world *world_create(const struct world_settings *settings);
/* Places all calls, lets come what may, waits for the last end, checks. */
void world_run(struct world *w);
void world_destroy(struct world *w);
void world_fail(struct world *w, const char *check, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- inside: mortal_world.c ---- */

uint64_t world_below(struct world *w, uint64_t below);
bool world_chance(struct world *w, uint32_t ppm);
void world_at(struct world *w, uint64_t at_ns, void (*fn)(struct world *w, void *context), void *context);
/* Everything that happens until then.  false: the node has died meanwhile. */
bool world_pass(struct world *w, uint64_t for_ns);
void world_from_node(struct world *w, const struct address *to, struct bytes datagram);
/* Clocks of the node: monotonic ones begin with the machine. */
uint64_t world_clock_ns(const struct world *w);
int64_t world_real_us(const struct world *w);

/* ---- inside: mortal.c ---- */

void node_start(struct world *w);
void node_die(struct world *w, enum death death);
/* After node_die(), once nobody is inside it any more. */
void node_bury(struct world *w);
void node_datagram(struct world *w, const struct address *from, struct bytes datagram);
void node_advance(struct world *w);
uint64_t node_next_ns(const struct world *w); /* of the world's clock */
void node_turn(struct world *w);
/* An event that will not come any more: gives back what it carries, if it is the node's. */
void node_forget_event(void (*fn)(struct world *w, void *context), void *context);
void node_check(const struct world *w);
void node_check_empty(struct world *w);
uint64_t node_stat_at(const struct world *w, size_t offset);

/* ---- inside: mortal_sink.c ---- */

void sink_open(struct world *w);
void sink_close(struct world *w, bool died);
/* Applies what has come, and commits now and then. */
void sink_turn(struct world *w);
/* Looks at what has reached the disk since the last time. */
void sink_watch(struct world *w);
/* A datagram of the node: is it a promise? */
void sink_see_sent(struct world *w, struct bytes datagram);
void sink_machine_died(struct world *w);
void sink_check_end(struct world *w);

#endif
