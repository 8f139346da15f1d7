/* Bounds of time are said in the terms of the key by which the store finds its rows: cdr_id in SQLite (whose first
 * digits are start_us), start_us and cdr_id in PostgreSQL. */
#include "billing/where.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/cdr.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     100000
#define START_MAX     (INT64_C(1) << (4 * CDR_ID_START_DIGITS)) /* no row holds a later time */

uint32_t where_limit(const struct cdr_filter *filter)
{
	const uint32_t limit = filter->limit != 0 ? filter->limit : LIMIT_DEFAULT;

	return limit < LIMIT_MAX ? limit : LIMIT_MAX;
}

struct maker {
	struct where *where;
	enum where_dialect dialect;
	size_t used;
};

/* One more condition. */
__attribute__((format(printf, 2, 3))) static void add(struct maker *m, const char *format, ...)
{
	char *at = m->where->sql + m->used;
	const size_t left = sizeof(m->where->sql) - m->used;
	int size = snprintf(at, left, m->used == 0 ? " WHERE " : " AND ");
	va_list arguments;

	va_start(arguments, format);
	size += vsnprintf(at + size, left - (size_t)size, format, arguments);
	va_end(arguments);
	assert((size_t)size < left);
	m->used += (size_t)size;
}

static bool is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

#define PARAMETER_NAME 16

/* The name of the parameter with this value. */
static const char *parameter(struct maker *m, const char *text, char name[static PARAMETER_NAME])
{
	assert(m->where->count < WHERE_TEXTS_MAX);
	m->where->texts[m->where->count++] = text;
	snprintf(name, PARAMETER_NAME, "%c%d", m->dialect == WHERE_SQLITE ? '?' : '$', m->where->count);
	return name;
}

/* The time that a cdr_id begins with.  false: it is none of ours. */
static bool start_of(const char *cdr_id, int64_t *ret_us)
{
	char digits[CDR_ID_START_DIGITS + 1];

	if (strspn(cdr_id, "0123456789abcdef") < CDR_ID_START_DIGITS)
		return false;
	snprintf(digits, sizeof(digits), "%s", cdr_id);
	*ret_us = strtoll(digits, NULL, 16);
	return true;
}

static void add_times(struct maker *m, const struct cdr_filter *filter)
{
	if (filter->since_us != 0)
		add(m, "start_us >= %" PRId64, filter->since_us);
	if (m->dialect == WHERE_SQLITE && filter->since_us > 0)
		add(m, "cdr_id >= '%0*" PRIx64 "'", CDR_ID_START_DIGITS, (uint64_t)filter->since_us);
	if (filter->until_us != 0)
		add(m, "start_us < %" PRId64, filter->until_us);
	if (m->dialect == WHERE_SQLITE && filter->until_us > 0 && filter->until_us < START_MAX)
		add(m, "cdr_id < '%0*" PRIx64 "'", CDR_ID_START_DIGITS, (uint64_t)filter->until_us);
}

static void add_ids(struct maker *m, const struct cdr_filter *filter)
{
	char name[PARAMETER_NAME];
	int64_t start_us;

	if (is_set(filter->cdr_id)) {
		add(m, "cdr_id = %s", parameter(m, filter->cdr_id, name));
		if (m->dialect == WHERE_POSTGRESQL && start_of(filter->cdr_id, &start_us))
			add(m, "start_us = %" PRId64, start_us);
	}
	if (!is_set(filter->before))
		return;
	parameter(m, filter->before, name);
	if (m->dialect == WHERE_POSTGRESQL && start_of(filter->before, &start_us))
		add(m, "start_us <= %" PRId64 " AND (start_us, cdr_id) < (%" PRId64 ", %s)", start_us, start_us, name);
	else
		add(m, "cdr_id < %s", name);
}

static void add_number(struct maker *m, const char *number)
{
	const char *start = m->dialect == WHERE_SQLITE ? "substr" : "left";
	const char *from = m->dialect == WHERE_SQLITE ? "1, " : "";
	char name[PARAMETER_NAME];

	number += strspn(number, "+");
	if (number[0] == '\0')
		return;
	parameter(m, number, name);
	add(m, "(%s(ltrim(caller_in, '+'), %slength(%s)) = %s OR %s(ltrim(callee_in, '+'), %slength(%s)) = %s)", start,
	    from, name, name, start, from, name, name);
}

void where_make(const struct cdr_filter *filter, enum where_dialect dialect, struct where *ret_where)
{
	struct maker m = { .where = ret_where, .dialect = dialect };
	char name[PARAMETER_NAME];

	*ret_where = (struct where){ .sql = "" };
	add_times(&m, filter);
	add_ids(&m, filter);
	if (is_set(filter->account))
		add(&m, "account = %s", parameter(&m, filter->account, name));
	if (is_set(filter->gateway)) {
		parameter(&m, filter->gateway, name);
		add(&m, "(mapping_gateway = %s OR routing_gateway = %s)", name, name);
	}
	if (is_set(filter->number))
		add_number(&m, filter->number);
	if (is_set(filter->end_reason))
		add(&m, "end_reason = %s", parameter(&m, filter->end_reason, name));
	if (filter->answered != CDR_ANSWERED_ANY)
		add(&m, filter->answered == CDR_ANSWERED_ONLY ? "connect_us > 0" : "connect_us <= 0");
	if (filter->min_hold_ms > 0)
		add(&m, "hold_ms >= %" PRId64, filter->min_hold_ms);
}
