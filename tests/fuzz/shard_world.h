/* The world around the shards of the fuzz target: their edge, their clock, and what must hold whatever comes in.
 *
 *   - the tables, pools and wheels stay whole (shard_check())
 *   - each call that was attempted leaves exactly one CDR, and only one that was answered one with a connect time
 *   - in the end, when all peers are silent or the node was stopped, nothing is left: no call, no leg, no timer
 *   - what is sent can be read in place, but an answer to what could not be read
 *   - a datagram draws no two final responses to one request; a request that is not in a dialog of a stranger, or that
 *     cannot be read, draws one answer at most, of no more than WORLD_MORE_BYTES bytes more
 *   - no credit of an account is lost between bank and purses
 *   - an INVITE that was answered with a 2xx gets no failure later
 *   - time does not stand still */
#ifndef RW_TESTS_FUZZ_SHARD_WORLD_H
#define RW_TESTS_FUZZ_SHARD_WORLD_H

#include "core/command.h"
#include "core/shard.h"

#define WORLD_SHARDS     2
#define WORLD_CALLS      6 /* of each shard */
#define WORLD_KEPT       32
#define WORLD_TEXT_MAX   8192
#define WORLD_MAIL_MAX   1024
#define WORLD_CDRS_MAX   2048
#define WORLD_MORE_BYTES 300

#define WORLD_MS UINT64_C(1000000)
#define WORLD_S  UINT64_C(1000000000)

/* A message that was sent or received. */
struct world_text {
	size_t size;
	char bytes[WORLD_TEXT_MAX];
};

struct world_texts {
	struct world_text at[WORLD_KEPT];
	unsigned count; /* of all, the last WORLD_KEPT are there */
};

/* What comes in, as long as it is looked at. */
struct world_arrival {
	const struct flow *from;
	size_t size;
	bool bounded; /* one answer at most, and a short one */
	unsigned answers;
	uint64_t finals[8]; /* transactions that were answered */
	unsigned final_count;
};

struct world_mail;

struct world {
	unsigned shard_count;
	struct shard *shards[WORLD_SHARDS];
	struct shard_stats stats[WORLD_SHARDS];
	struct tally *tallies[WORLD_SHARDS];
	struct quality_book *qualities[WORLD_SHARDS];
	uint64_t now_ns;

	struct world_texts sent, received;
	struct world_mail *mail[WORLD_MAIL_MAX]; /* on its way between shards, in order */
	unsigned mail_count;
	bool mail_held;
	unsigned lends_refused, cdrs_refused; /* as many are from now on */
	bool no_cdr_room;

	struct world_arrival *arrival; /* NULL: nothing comes in at the moment */
	struct world_accepted {
		uint64_t transaction, tag, until_ns; /* tag: of the dialog */
	} accepted[64];                              /* INVITEs that got a 2xx */
	unsigned accepted_count;

	char cdr_ids[WORLD_CDRS_MAX][CDR_ID_SIZE];
	unsigned cdr_count, answered_count;
	struct call_row rows[4]; /* of the last list */
	uint32_t row_count;
};

enum {
	WORLD_TWO_SHARDS = 1 << 0,
	WORLD_SECOND_CONFIG = 1 << 1,
	WORLD_STOPPED = 1 << 2, /* it ends by COMMAND_STOP, else its peers fall silent */
	WORLD_RECORDS = 1 << 3, /* somebody keeps the records of live calls */
};

void world_begin(struct world *w, unsigned settings, uint64_t seed);
void world_end(struct world *w, unsigned settings);

void world_datagram(struct world *w, unsigned shard, const struct address *from, const char *bytes, size_t size,
		    bool truncated);
/* Time passes, and with it deadlines. */
void world_pass(struct world *w, uint64_t for_ns);
/* What is on its way between the shards arrives, unless it is held. */
void world_deliver(struct world *w);
void world_configure(struct world *w, unsigned which);
/* Carries a command out on one shard. */
void world_command(struct world *w, unsigned shard, struct command *command);

/* Somebody pays into the customer's account. */
void world_top_up(struct world *w);
/* Every live call is written down again. */
void world_checkpoint(struct world *w);

/* The newest, the one before it, and so on; NULL: there is none. */
const struct world_text *world_text(const struct world_texts *texts, unsigned age);
void world_keep(struct world_texts *texts, const char *bytes, size_t size);

#endif
