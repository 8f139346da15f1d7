/* What groups of calls are called: days and hours as people write them. */
#ifndef RW_BILLING_GROUPING_H
#define RW_BILLING_GROUPING_H

#include <stddef.h>

#include "billing/list.h"

#define GROUPING_KEY_MAX 32

/* The length of a group in time; 0: it is no span of time. */
int64_t grouping_span_us(const struct cdr_grouping *grouping);
/* Which span a time is in, counted from 1970. */
int64_t grouping_span_of(const struct cdr_grouping *grouping, int64_t start_us);
/* "2030-01-31" or "2030-01-31 18:00"; returns the size. */
size_t grouping_write(const struct cdr_grouping *grouping, int64_t span, char out[static GROUPING_KEY_MAX]);

/* The column whose values are the groups'; of a span of time start_us. */
const char *grouping_column(const struct cdr_grouping *grouping);

#endif
