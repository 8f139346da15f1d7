/* Lists for which no limit was given: the switch gives its default, and who asks is to know that there is more. */
#ifndef RW_TOOLS_RWCTL_LIMIT_H
#define RW_TOOLS_RWCTL_LIMIT_H

#include <jansson.h>

/* Asks for one row more than by default, so that it shows whether there are any. */
void limit_ask_for_one_more(json_t *params);
/* Takes that row away from the answer and says on stderr that there are more. */
void limit_cut(json_t *rows);

#endif
