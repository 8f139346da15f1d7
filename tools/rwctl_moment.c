#include "tools/rwctl_moment.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US_PER_S 1000000

bool read_integer(const char *text, json_int_t *ret_value, const char **ret_end)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	*ret_value = value;
	*ret_end = end;
	return text[0] >= '0' && text[0] <= '9' && errno == 0;
}

bool read_span_s(const char *text, json_int_t *ret_s)
{
	static const struct {
		char unit;
		json_int_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	json_int_t value;
	const char *end;
	if (!read_integer(text, &value, &end) || value > INT32_MAX)
		return false;
	json_int_t factor = end[0] == '\0' ? 1 : 0;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (end[0] == units[i].unit && end[1] == '\0')
			factor = units[i].s;
	*ret_s = value * factor;
	return factor != 0;
}

/* The beginning of a day, so many days ago; days are not all of the same length. */
static json_int_t midnight_us(int days_ago)
{
	time_t now = time(NULL);
	struct tm local;
	localtime_r(&now, &local);
	struct tm midnight = {
		.tm_year = local.tm_year, .tm_mon = local.tm_mon, .tm_mday = local.tm_mday - days_ago, .tm_isdst = -1
	};
	return (json_int_t)mktime(&midnight) * US_PER_S;
}

static bool read_word_us(const char *text, json_int_t *ret_us)
{
	if (strcmp(text, "today") == 0)
		*ret_us = midnight_us(0);
	else if (strcmp(text, "yesterday") == 0)
		*ret_us = midnight_us(1);
	else if (strcmp(text, "now") == 0)
		*ret_us = (json_int_t)time(NULL) * US_PER_S;
	else
		return false;
	return true;
}

static bool read_date_us(const char *text, json_int_t *ret_us)
{
	static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
					     "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct tm local = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &local);
		if (end == NULL || *end != '\0')
			continue;
		*ret_us = (json_int_t)mktime(&local) * US_PER_S;
		return true;
	}
	return false;
}

bool read_moment_us(const char *text, json_int_t *ret_us)
{
	const char *end;
	if (read_word_us(text, ret_us) || read_date_us(text, ret_us))
		return true;
	if (strlen(text) >= 14)
		return read_integer(text, ret_us, &end) && *end == '\0';
	json_int_t ago_s;
	if (!read_span_s(text + (text[0] == '-'), &ago_s))
		return false;
	*ret_us = ((json_int_t)time(NULL) - ago_s) * US_PER_S;
	return *ret_us >= 0;
}

json_int_t utc_offset_s(json_int_t at_us)
{
	time_t at = at_us > 0 ? (time_t)(at_us / US_PER_S) : time(NULL);
	struct tm local;
	return localtime_r(&at, &local) != NULL ? local.tm_gmtoff : 0;
}
