/* A sink: where CDRs of the journal end up, each exactly once: SQLite (store.h), PostgreSQL (postgresql.h), the ledger
 * of accounts (ledger.h), files by the hour (files.h).
 *
 * Each sink commits its own position in the journal together with its rows, so that whatever happened, it says itself
 * where to go on; and all but the files know each cdr_id that they have, so that a position that is lost or belongs to
 * another journal, or a call that ends a second time after damage, costs time and no money.  All functions of a sink
 * are called by one thread, its feeder's (feeder.h).  */
#ifndef RW_BILLING_SINK_H
#define RW_BILLING_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/cdr.h"

#define SINK_ERROR_BYTES 256

/* How far a sink has come. */
struct sink_position {
	uint64_t journal;  /* journal_id(); 0: it has nothing yet */
	uint64_t position; /* every record before it is in the sink */
};

struct sink {
	const char *name; /* in logs and statistics: "sqlite", "postgresql", "ledger", "files" */
	void *context;

	/* Connects, makes or migrates what is needed, says how far it has come.  May be called again after close(). */
	int (*open)(void *context, struct sink_position *ret_position, char error[static SINK_ERROR_BYTES]);
	/* begin, add..., commit.  A record's texts stay until commit or rollback, its list of attempts only until add
	 * returns.  -EINVAL from add: this record can not be stored (it is counted and skipped; the batch goes on). Any
	 * other failure: rollback, and the batch is given again later; after one for which reopen() is true by way of
	 * close() and open().  A commit outlasts a power failure when it returns: the journal forgets what was
	 * committed. */
	int (*begin)(void *context);
	int (*add)(void *context, const struct cdr *cdr);
	int (*commit)(void *context, const struct sink_position *position);
	void (*rollback)(void *context);
	bool (*reopen)(void *context, int failure);
	const char *(*error)(void *context); /* of the last failure, a sentence */
	/* Looked at now and then while there is nothing to do: true: close and open again (a database that was moved
	 * away).  NULL: never. */
	bool (*stale)(void *context);
	void (*close)(void *context);
};

#endif
