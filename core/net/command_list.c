/* Commands that threads pass on: see the header. */
#include "core/net/command_list.h"

#include <stddef.h>

bool command_list_give(struct command_list *list, struct command *command)
{
	struct command *newest = atomic_load_explicit(&list->newest, memory_order_relaxed);

	do
		command->next = newest;
	while (!atomic_compare_exchange_weak_explicit(&list->newest, &newest, command, memory_order_release,
						      memory_order_relaxed));
	return newest == NULL;
}

struct command *command_list_take(struct command_list *list)
{
	if (!atomic_load_explicit(&list->newest, memory_order_relaxed))
		return NULL;
	struct command *newest = atomic_exchange_explicit(&list->newest, NULL, memory_order_acquire);
	struct command *oldest = NULL;

	while (newest) {
		struct command *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}
