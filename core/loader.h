/* The loading thread: reads configurations and puts them in force, and carries out what operators want done to accounts
 * and rates; one change at a time, first in first out.
 *
 * A thread of its own, because a million prefixes take seconds and the control socket goes on answering meanwhile; of
 * the scheduler's class SCHED_IDLE, so that a worker that has something to do takes its core back at once.  The price:
 * on a machine whose cores are all busy a load takes as long as the workers leave it.
 *
 * Reloads that wait next to each other become one: what it reads was written before all of them were asked for. */
#ifndef RW_CORE_LOADER_H
#define RW_CORE_LOADER_H

#include "core/change.h"
#include "core/net/listener.h"
#include "core/snapshot.h"

struct loader;

/* Reads accounts and rates of the data directory into a configuration that nobody else looks at yet: at the start, when
 * the ledger has caught up with the journal.  0, or a negative errno and a sentence. */
int loader_read_tariff(struct config *config, char error[static 256]);

/* From now on this thread alone replaces the snapshot's configuration.  The listeners get the TOS byte of a new
 * SS_QOS_SIGNAL; NULL: there are none.  Both are borrowed until loader_stop().  0, or a negative errno and a sentence.
 */
int loader_start(struct snapshot *snapshot, const struct listeners *listeners, struct loader **ret_loader,
		 char error[static 256]);

/* Never fails.  The change stays where it is until it comes back, or until loader_stop(). */
void loader_give(struct loader *l, struct change *change);
/* Readable (an eventfd) when changes have come back. */
int loader_fd(const struct loader *l);
/* The next one that has come back, NULL: none. */
struct change *loader_done(struct loader *l);

/* Ends the thread; changes that have not come back are not touched any more.  From a thread that is no reader of the
 * snapshot, or outside.  Waits for a configuration that is being adopted, which takes moments; a load under way that
 * does not end within a second (a name server that is silent) is left to the end of the process and never adopted. */
void loader_stop(struct loader *l);

#endif
