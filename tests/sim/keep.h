/* What outlives the node when it is killed: the records that its shards gave their edge, call by call, as the journal
 * would have them (billing/recovery.h).  Each is read as soon as it is written, and a checkpoint is held to have
 * written every call that was live at its begin. */
#ifndef RW_TESTS_SIM_KEEP_H
#define RW_TESTS_SIM_KEEP_H

#include "billing/record.h"
#include "tests/sim/sim.h"

struct keep;

struct keep *keep_create(struct sim *sim);
void keep_destroy(struct keep *keep);

void keep_record(struct sim *sim, unsigned shard, enum record_kind kind, const uint8_t *payload, size_t size);
void keep_cdr(struct sim *sim, const struct cdr *cdr);

/* Calls that are live, or have ended within 64*T1 with a leg that is not closed. */
unsigned keep_count(const struct sim *sim);
/* What the journal has of a call that is live; false: it has none of that Call-ID. */
struct recovered_call;
bool keep_find(const struct sim *sim, const char *cdr_id, struct recovered_call *ret_call);
/* What the peers still may ask of calls that the process knew, and the next one does not: by their callers' Call-IDs.
 */
void keep_killed(struct sim *sim);
/* To the shards, each its own: how many were refused. */
unsigned keep_restore(struct sim *sim, bool close);

#endif
