/* What the loading thread is asked for a request: a job has the change, which stays where it is until it comes back,
 * whatever becomes of the connection; if that goes, the job is forgotten by its request, not freed.
 *
 * A change that has moved an account's balance is told to the account's home shard before the request ends: what runs
 * on that account goes by the new balance when the answer comes. */
#ifndef RW_CORE_CONTROL_CHANGES_H
#define RW_CORE_CONTROL_CHANGES_H

#include "core/change.h"
#include "core/command.h"
#include "core/control/rpc.h"

/* The caller fills in what is asked and calls change_submit(); `finish` ends the request.  NULL: there are too many,
 * the request has been ended with an error. */
struct change *change_create(struct request *r, enum change_kind kind,
			     void (*finish)(struct request *r, const struct change *change));
void change_submit(struct request *r, struct change *change);

/* A COMMAND_CREDIT has come back. */
void change_credit_done(struct command *command);

#endif
