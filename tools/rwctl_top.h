/* `rwctl top`: the node at a glance, once a second, until q or Ctrl-C. */
#ifndef RW_TOOLS_RWCTL_TOP_H
#define RW_TOOLS_RWCTL_TOP_H

#include <stdbool.h>

#include "tools/rwctl_client.h"

/* false: the switch went away; the reason is in `error`.  as_json: one line of statistics a second instead. */
bool top_run(struct client *c, bool as_json, char error[static CLIENT_ERROR_SIZE]);

#endif
