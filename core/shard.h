/* One shard: a share of all calls with their timers and memory; a state machine fed with (time, datagram | deadline |
 * note | command) that emits datagrams, CDRs and log events through its edge.  Reads no clock, opens no socket, draws
 * no random number but from the seed it was given (design, rules 1 and 2). */
#ifndef RW_CORE_SHARD_H
#define RW_CORE_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/command.h"
#include "core/config/config.h"
#include "core/edge.h"
#include "core/flow.h"
#include "core/quality.h"
#include "core/stats.h"
#include "core/tally.h"
#include "sip/bytes.h"

struct shard;

struct shard_settings {
	const struct config *config; /* the first one; borrowed until shard_configure() brings another */
	struct edge edge;
	struct shard_stats *stats;      /* written by the shard; outlives it */
	struct tallies tallies;         /* this shard writes its own book; all outlive it */
	struct quality_books qualities; /* likewise */
	const uint8_t *secret;          /* 32 bytes: data_dir/secret */
	uint16_t shard;                 /* index of this shard */
	uint16_t shard_count;
	uint16_t boot;      /* this start's number, counted in data_dir */
	uint32_t calls_max; /* live calls of this shard */
	uint64_t seed;      /* of the shard's own random numbers */
	uint64_t now_ns;    /* CLOCK_MONOTONIC at creation */
	int64_t now_us;     /* and the wall clock, microseconds since 1970 UTC */
	uint64_t machine;   /* this start of the machine: monotonic times of another one mean nothing */
};

/* Reserves all memory the shard will ever use.  0, or a negative errno (-ENOMEM). */
int shard_create(const struct shard_settings *settings, struct shard **ret_shard);
void shard_destroy(struct shard *s);

/* ---- calls that a former process has left (core/call/carry.h) ---- */

struct recovered_call;

/* Takes up a call, or, of one that has ended, the legs that are still to hear BYE.  close: it is not carried on but
 * ended, with BYE on both legs and a CDR up to its last proof of life.  Before the first datagram. */
enum restore_result {
	RESTORE_TAKEN,
	RESTORE_ENDED, /* there is no room, or the records make no sense: its CDR is written, nobody hears a BYE */
	RESTORE_LEFT,  /* the records are of another version, or there is no room for the CDR: the journal keeps them */
};
enum restore_result shard_restore(struct shard *s, const struct recovered_call *call, bool close);
/* All have come: their refreshes are spread from now on. */
void shard_restored(struct shard *s);

/* Writes a RECORD_LIVE of every live call again, between RECORD_CHECKPOINT_BEGIN and _END, some at each
 * shard_advance(). */
void shard_checkpoint(struct shard *s, uint64_t number);
/* The shard's records up to this serial are on the disk (answer_after_sync). */
void shard_synced(struct shard *s, uint64_t now_ns, uint64_t serial_end);

/* A turn of the worker's loop begins: what time it is, how full the fullest of its receive queues is, whether it has
 * slept since the turn before, so that nothing waited.  The shard sheds new calls by that (core/call/shed.h); who never
 * calls it never has any shed. */
void shard_turn(struct shard *s, uint64_t now_ns, unsigned queue_permille, bool slept);

/* INVITEs that it has decided on one by one so far, which it does only while it sheds, and those of them that it took.
 */
void shard_demand(const struct shard *s, uint64_t *ret_asked, uint64_t *ret_taken);

/* One datagram, or one message of a connection.  `datagram` is borrowed until the function returns.  truncated: the
 * kernel cut it; of a connection: it is the beginning of one that is too large. */
void shard_datagram(struct shard *s, const struct arrival *arrival, const struct flow *from, struct bytes datagram,
		    bool truncated);

/* The same for a datagram that another shard handed over (it is not handed over again). */
void shard_datagram_handed_over(struct shard *s, const struct arrival *arrival, const struct flow *from,
				struct bytes datagram);

/* A datagram that the edge had taken could not be sent at all (no route, not permitted): an INVITE to a gateway fails
 * at once instead of by its deadline; any other request that is not answered yet goes out again. */
void shard_undeliverable(struct shard *s, uint64_t now_ns, struct bytes datagram);

/* A connection has ended, by the name that the edge gave it: an INVITE to a gateway that went by it and has no answer
 * fails at once, other requests are sent again by another connection, once.  From another worker it comes as a note of
 * this kind: a, its name; b, its generation. */
#define NOTE_CONNECTION_LOST 96u
void shard_connection_lost(struct shard *s, uint64_t now_ns, uint32_t connection, uint32_t generation);

/* Deadlines that came due, at most `limit` of them; true: more are due, call again soon. */
bool shard_advance(struct shard *s, uint64_t now_ns, unsigned limit);

/* From now on this configuration is in force; the former one is not looked at again, not here either: it may be gone.
 * Listeners, workers and max_calls are the same in both (core/config refuses a reload that would change them).  Calls
 * that are up are not touched. */
void shard_configure(struct shard *s, const struct config *config);

/* When shard_advance() has work next, UINT64_MAX: nothing armed. */
uint64_t shard_next_ns(const struct shard *s);

/* A note from another shard. */
void shard_note(struct shard *s, uint64_t now_ns, const struct note *note);

/* Carries a command on; true: done, give it back.  false: call again next turn. */
bool shard_command(struct shard *s, uint64_t now_ns, struct command *command);

/* After COMMAND_DRAIN: no call is left. */
bool shard_drained(const struct shard *s);

/* After COMMAND_STOP: no call is left and every CDR is queued. */
bool shard_stopped(const struct shard *s);

/* Copies gauges that are cheap to read but not kept up to date on each event (pools, wheel) into the statistics. */
void shard_publish_stats(struct shard *s);

/* Asserts every invariant of the tables, pools and the wheel.  For tests and the simulation. */
void shard_check(const struct shard *s);

#endif
