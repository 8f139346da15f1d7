/* Adding up CDRs of SQLite: one pass over the columns that are needed, added up here, because SQLite's own sum() of
 * decimal texts is floating point. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "billing/fees.h"
#include "billing/grouping.h"
#include "billing/query.h"
#include "billing/sums.h"

/* In the order of the statement. */
enum { KEY, CONNECT_US, RINGING_US, PDD_MS, HOLD_MS, BILLED_S, FEE, COST, CDR_ID, ATTEMPTS };

struct adding {
	struct query query;
	const struct cdr_grouping *grouping;
	struct sums *sums;
	int64_t span; /* whose name is in `key` */
	size_t key_size;
	char key[GROUPING_KEY_MAX];
};

static int fail(const struct adding *a, int result)
{
	if (result == -E2BIG)
		snprintf(a->query.error, CDR_READ_ERROR_BYTES, "there are more than %d groups; ask for less time",
			 SUMS_GROUPS_MAX);
	else
		snprintf(a->query.error, CDR_READ_ERROR_BYTES, "no memory for so many groups");
	return result;
}

static uint64_t positive(const struct query *q, int column)
{
	const int64_t value = query_integer(q, column);

	return value > 0 ? (uint64_t)value : 0;
}

static int read_money(const struct query *q, int column, const char *name, money_sum *ret_e8)
{
	const char *text = query_text(q, column);

	if (money_sum_read(text, ret_e8))
		return 0;
	snprintf(q->error, CDR_READ_ERROR_BYTES, "%s: a record has the %s '%.32s', which is no amount", q->path, name,
		 text);
	return -EBADMSG;
}

/* Only where there are corrected ones is the record looked for among them. */
static int read_fee(const struct query *q, const struct fees *fees, money_sum *ret_e8)
{
	int64_t fee_e8;

	if (fees_count(fees) == 0 || !fees_find(fees, query_text(q, CDR_ID), &fee_e8))
		return read_money(q, FEE, "fee", ret_e8);
	*ret_e8 = fee_e8;
	return 0;
}

static int read_row(const struct query *q, const struct fees *fees, struct sum *ret_sum)
{
	const bool answered = query_integer(q, CONNECT_US) > 0;
	const bool rang = answered || query_integer(q, RINGING_US) > 0;
	struct sum sum = {
		.attempts = 1,
		.answered = answered,
		.rang = rang,
		.pdd_ms = rang ? positive(q, PDD_MS) : 0,
		.hold_ms = positive(q, HOLD_MS),
		.billed_s = positive(q, BILLED_S),
	};
	int result = read_fee(q, fees, &sum.fee_e8);

	if (result == 0)
		result = read_money(q, COST, "cost", &sum.cost_e8);
	if (result == 0)
		*ret_sum = sum;
	return result;
}

static int add(struct adding *a, const char *key, size_t size, const struct sum *sum)
{
	const int result = sums_add(a->sums, key, size, sum);

	return result < 0 ? fail(a, result) : 0;
}

/* Each attempt counts where it was made, all else where the call went in the end.  A call that was offered to nobody is
 * nobody's. */
static int add_attempts(struct adding *a, struct sum *sum)
{
	static const struct sum attempt = { .attempts = 1 };
	const char *gateway = query_text(&a->query, KEY);
	json_t *attempts = json_loads(query_text(&a->query, ATTEMPTS), 0, NULL);
	size_t index;
	json_t *one;
	int result = 0;

	json_array_foreach(attempts, index, one)
	{
		const char *name = json_string_value(json_object_get(one, "gateway"));
		if (result == 0 && name != NULL)
			result = add(a, name, strlen(name), &attempt);
	}
	sum->attempts = 0;
	if (result == 0 && gateway[0] != '\0')
		result = add(a, gateway, strlen(gateway), sum);
	json_decref(attempts);
	return result;
}

static int add_in_span(struct adding *a, const struct sum *sum)
{
	const int64_t span = grouping_span_of(a->grouping, query_integer(&a->query, KEY));

	if (a->key_size == 0 || span != a->span) {
		a->span = span;
		a->key_size = grouping_write(a->grouping, span, a->key);
	}
	return add(a, a->key, a->key_size, sum);
}

static int add_row(struct adding *a)
{
	struct sum sum;
	const int result = read_row(&a->query, a->grouping->fees, &sum);

	if (result < 0)
		return result;
	if (a->grouping->by == CDR_GROUP_vendor)
		return add_attempts(a, &sum);
	if (grouping_span_us(a->grouping) > 0)
		return add_in_span(a, &sum);
	const char *key = query_text(&a->query, KEY);
	return add(a, key, strlen(key), &sum);
}

int cdr_store_sums(const char *path, const struct cdr_filter *filter, const struct cdr_grouping *grouping,
		   const struct cdr_limits *limits, struct sums *sums, char error[static CDR_READ_ERROR_BYTES])
{
	struct adding a = {
		.query = { .path = path, .limits = limits, .error = error },
		.grouping = grouping,
		.sums = sums,
	};
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT %s, connect_us, ringing_us, pdd_ms, hold_ms, billed_s, fee, cost, cdr_id%s FROM cdr",
		 grouping_column(grouping), grouping->by == CDR_GROUP_vendor ? ", attempts" : "");
	int result = query_open(&a.query, sql, filter, "");
	while (result == 0) {
		result = query_step(&a.query);
		if (result <= 0)
			break;
		result = add_row(&a);
	}
	query_close(&a.query);
	return result;
}
