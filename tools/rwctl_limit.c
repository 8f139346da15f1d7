#include "tools/rwctl_limit.h"

#include <stdio.h>

#define ROWS_DEFAULT 100 /* the switch's own */

void limit_ask_for_one_more(json_t *params)
{
	json_object_set_new(params, "limit", json_integer(ROWS_DEFAULT + 1));
}

void limit_cut(json_t *rows)
{
	if (json_array_size(rows) <= ROWS_DEFAULT)
		return;
	json_array_remove(rows, ROWS_DEFAULT);
	fflush(stdout);
	fprintf(stderr, "rwctl: first %d shown; --limit for more\n", ROWS_DEFAULT);
}
