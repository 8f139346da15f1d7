/* Commands that threads pass on: any number of givers, one taker, first in first out. */
#ifndef RW_CORE_NET_COMMAND_LIST_H
#define RW_CORE_NET_COMMAND_LIST_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/command.h"

struct command_list {
	_Atomic(struct command *) newest;
};

/* true: the list was empty before. */
bool command_list_give(struct command_list *list, struct command *command);
/* All of them, oldest first; NULL: none. */
struct command *command_list_take(struct command_list *list);

#endif
