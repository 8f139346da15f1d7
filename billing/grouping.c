#include "billing/grouping.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S INT64_C(1000000)

int64_t grouping_span_us(const struct cdr_grouping *grouping)
{
	switch (grouping->by) {
	case CDR_GROUP_day:
		return 86400 * US_PER_S;
	case CDR_GROUP_hour:
		return 3600 * US_PER_S;
	default:
		return 0;
	}
}

int64_t grouping_span_of(const struct cdr_grouping *grouping, int64_t start_us)
{
	const int64_t local_us = start_us + grouping->utc_offset_s * US_PER_S, span_us = grouping_span_us(grouping);

	return local_us / span_us - (local_us % span_us < 0);
}

size_t grouping_write(const struct cdr_grouping *grouping, int64_t span, char out[static GROUPING_KEY_MAX])
{
	const time_t seconds = (time_t)(span * (grouping_span_us(grouping) / US_PER_S));
	struct tm local;

	if (gmtime_r(&seconds, &local) == NULL || local.tm_year > 9999 - 1900 || local.tm_year < -1900)
		return (size_t)snprintf(out, GROUPING_KEY_MAX, "?");
	return strftime(out, GROUPING_KEY_MAX, grouping->by == CDR_GROUP_day ? "%Y-%m-%d" : "%Y-%m-%d %H:00", &local);
}

const char *grouping_column(const struct cdr_grouping *grouping)
{
	switch (grouping->by) {
	case CDR_GROUP_account:
		return "account";
	case CDR_GROUP_gateway:
		return "mapping_gateway";
	case CDR_GROUP_vendor:
		return "routing_gateway";
	case CDR_GROUP_prefix:
		return "rate_prefix";
	case CDR_GROUP_reason:
		return "end_reason";
	case CDR_GROUP_day:
	case CDR_GROUP_hour:
		return "start_us";
	default:
		return "'all'";
	}
}
