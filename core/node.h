/* The running node as the control thread (the main thread) sees it: configuration, workers, billing.  Workers know
 * nothing of it. */
#ifndef RW_CORE_NODE_H
#define RW_CORE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/books.h"
#include "core/change.h"
#include "core/command.h"
#include "core/config/config.h"
#include "core/quality.h"
#include "core/stats.h"
#include "core/tally.h"

#define RW_VERSION_TEXT "ringwheel " RW_VERSION /* RW_VERSION comes from the build */

struct node;

/* The configuration in force, for the request under way: another may be in force at the next one, and this one gone. */
const struct config *node_config(const struct node *n);
unsigned node_shard_count(const struct node *n);
uint16_t node_boot(const struct node *n);
int64_t node_started_us(const struct node *n); /* since 1970 */
uint64_t node_uptime_s(const struct node *n);
bool node_steering_by_bpf(const struct node *n);
bool node_stopping(const struct node *n);
uint64_t node_now_ns(const struct node *n);           /* the clock of the shards, CLOCK_MONOTONIC */
const char *node_database_path(const struct node *n); /* cdr.db */

/* A copy of one shard's statistics at this moment (relaxed reads), with cdr_written and with cdr_waiting: what is not
 * in the store yet, be it in the shard, in its queue or in the journal. */
void node_shard_stats(const struct node *n, unsigned shard, struct shard_stats *ret_stats);

/* The books of all shards. */
struct tallies node_tallies(const struct node *n);
struct quality_books node_qualities(const struct node *n);

/* The journal and the stores, as they are at this moment. */
void node_books(const struct node *n, struct books_figures *ret_figures);

/* Gives a command to a shard; it comes back through node_completed().  The command must stay where it is until then.
 * Never fails: what the mailbox cannot take now is kept. */
void node_submit(struct node *n, unsigned shard, struct command *command);
/* Readable (an eventfd) when commands have come back. */
int node_completion_fd(const struct node *n);
/* The next command that has come back, NULL: none. */
struct command *node_completed(struct node *n);

/* Gives a change of the configuration to the loading thread; it comes back through control_change_done().  The change
 * must stay where it is until then.  Never fails. */
void node_change(struct node *n, struct change *change);

/* Starts the orderly stop, as SIGTERM does; keep_calls: calls that are up are not ended but left to the next start, and
 * the node stops at once. */
void node_stop(struct node *n, bool keep_calls);

/* Stops when the last call has ended, or when `timeout_s` have passed (0: however long it takes); asked again, the time
 * counts anew.  That no new ones are taken is for the caller to ask of every shard (COMMAND_DRAIN). */
void node_drain(struct node *n, uint32_t timeout_s);
bool node_draining(const struct node *n);
/* Until a draining node stops at the latest, in seconds; 0: it waits for its calls. */
uint32_t node_drain_left_s(const struct node *n);

#endif
