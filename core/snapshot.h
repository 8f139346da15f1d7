/* The configuration in force: one immutable configuration, published by pointer, read by every thread without lock or
 * reference count, and freed when each reader has passed a quiescent point (RCU, the QSBR flavour of liburcu).
 *
 * One thread at a time replaces it.  A reader is a thread that has joined; it is *inside* or *outside*.  Inside, what
 * snapshot_config() lends is good until the thread's next snapshot_pass() or snapshot_leave(), so a reader looks it up
 * anew after either.  Outside (asleep, waiting, working on something else) a reader holds nothing and delays nobody.
 *
 *   reader                              writer (no reader, or one that is outside)
 *     join                                replace: publish the next one
 *     loop: pass, or leave; enter               wait until every reader inside has passed or left
 *           config: the one of now            free the former one
 *     quit
 *
 * A pass costs a comparison while nobody replaces; entering and leaving, a memory barrier each.
 *
 * The pointer itself is a C11 atomic, stored with release and loaded with acquire: what rcu_assign_pointer() and
 * rcu_dereference() do, in a form that the thread sanitizer knows. */
#ifndef RW_CORE_SNAPSHOT_H
#define RW_CORE_SNAPSHOT_H

#include <stdatomic.h>

#include "core/config/config.h"

struct snapshot {
	_Atomic(struct config *) config;
};

/* Takes the first configuration.  Before any reader has joined. */
void snapshot_init(struct snapshot *s, struct config *first);
/* Frees the configuration in force.  No reader is left, and nobody replaces it. */
void snapshot_free(struct snapshot *s);

/* The one in force; lent as said above. */
static inline const struct config *snapshot_config(const struct snapshot *s)
{
	return atomic_load_explicit(&s->config, memory_order_acquire);
}

/* The calling thread becomes a reader, outside; or is none any more. */
void snapshot_join(void);
void snapshot_quit(void);

void snapshot_enter(void);
void snapshot_leave(void);
/* Inside: nothing that was lent before is looked at again. */
void snapshot_pass(void);

/* Takes the next configuration and puts it in force.  Returns the former one for the caller to free: no reader holds it
 * any more, since each of those inside has passed, and those outside find the next one when they enter. */
struct config *snapshot_replace(struct snapshot *s, struct config *next);

#endif
