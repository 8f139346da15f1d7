/* Runs a node from start to stop, in the main thread.  What others may ask of it meanwhile is in core/node.h. */
#ifndef RW_CORE_NODE_RUN_H
#define RW_CORE_NODE_RUN_H

#include "core/config/config.h"

/* Takes over SIGTERM, SIGINT, SIGHUP and SIGUSR1.  Takes the configuration.  0: stopped as asked; 1: the same, but
 * not every CDR is in every store, which the log has told: the journal keeps it for the next start; a negative errno:
 * could not start, and `error` says why in one line. */
int node_run(struct config *config, char error[static 512]);

#endif
