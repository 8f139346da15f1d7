/* Lines and starts of gateways, seen from outside and over all shards:
 *
 * - lines in use, lent, and on their way are what the home has given out, at any moment;
 * - no call is admitted beyond a capacity or a rate limit;
 * - no call of another shard is refused while something is lent out that no call uses;
 * - at the end all are back;
 * - the room of all shards is the node's max_calls.
 *
 * While shards have different configurations the more generous one counts; when all have come to the same, what was
 * granted before may still be on its way for a moment. */
#ifndef RW_TESTS_SIM_LIMITS_H
#define RW_TESTS_SIM_LIMITS_H

#include "tests/sim/sim.h"

struct limits *limits_create(struct sim *sim);

/* A note is sent to another shard, or has arrived and is about to be read. */
void limits_note(struct sim *sim, const struct note *note, bool sent);
/* A shard has come to another configuration. */
void limits_configured(struct sim *sim);
/* Calls of a former process are up, and however many there may be now, they stay. */
void limits_carried(struct sim *sim);

void limits_step(struct sim *sim);  /* after each */
void limits_check(struct sim *sim); /* now and then */
void limits_check_empty(struct sim *sim);

#endif
