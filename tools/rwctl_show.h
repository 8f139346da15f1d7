/* Results of the control socket as people want to read them: one function a command, all of the same shape. */
#ifndef RW_TOOLS_RWCTL_SHOW_H
#define RW_TOOLS_RWCTL_SHOW_H

#include <jansson.h>
#include <stdio.h>

typedef void show_fn(const json_t *result, FILE *out);

show_fn show_info, show_stats, show_shards, show_calls, show_call, show_hangup, show_parameters, show_gateways,
	show_cdrs, show_stop, show_reload, show_parameter_set, show_drain, show_log, show_sums;

/* RFC 4180: a heading, CRLF, quotes where a field needs them; texts exactly as they are. */
show_fn show_cdrs_csv, show_calls_csv, show_sums_csv; /* of sums the groups, not the total */

#endif
