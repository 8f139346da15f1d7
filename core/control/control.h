/* The control socket: JSON-RPC 2.0, one object a line each way, on a UNIX stream socket.  Spec 3.
 *
 * Runs in the main thread and never blocks it: requests are answered at once or when the shards have answered; replies
 * are queued per connection, and one that does not read is closed past a limit. */
#ifndef RW_CORE_CONTROL_CONTROL_H
#define RW_CORE_CONTROL_CONTROL_H

#include <stdbool.h>

#include "core/node.h"

struct control;

/* Could it be opened there?  Changes nothing: for a start, before it touches what another node may be using. */
int control_check(const char *path, char error[static 256]);
/* Listens on config.control (mode 0660; a stale socket of a dead process is replaced, a live one is an error).  0 or a
 * negative errno and a sentence in `error`. */
int control_open(struct node *node, struct control **ret_control, char error[static 256]);
/* Readable when control_handle() has work (an epoll instance). */
int control_fd(const struct control *c);
void control_handle(struct control *c);
/* Takes a command that node_completed() returned and whose owner is this control socket (command->owner
 * is `c`; other users of node_submit() put something else there). */
void control_command_done(struct control *c, struct command *command);
/* The same for a change that the loading thread has carried out. */
void control_change_done(struct control *c, struct change *change);
/* Closes all connections and removes the socket.  Call it when neither a worker nor the loading thread runs any more:
 * commands and changes that have not come back are freed, so nobody may touch them afterwards. */
void control_close(struct control *c);

#endif
