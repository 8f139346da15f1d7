/* Listing and adding up CDRs of PostgreSQL, in a read-only connection that its own thread opens and closes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/columns.h"
#include "billing/fees.h"
#include "billing/grouping.h"
#include "billing/postgresql.h"
#include "billing/postgresql_link.h"
#include "billing/postgresql_schema.h"
#include "billing/sums.h"
#include "billing/where.h"

#define SQL_BYTES 4096

/* A reader has its own limit; this one ends what the server does for one that is gone. */
#define READ_WAIT_NS INT64_C(600000000000)
#define READ_SQL                                                                                                       \
	"SET default_transaction_read_only = on; SET statement_timeout = '600s';"                                      \
	"SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3"
#define WATCH_SQL "SET client_connection_check_interval = '1s'" /* from version 14 on, and not on every system */

static int open_link(struct postgresql_link *link, const char *uri, const struct cdr_limits *limits)
{
	*link = (struct postgresql_link){ .wait_ns = READ_WAIT_NS,
					  .give_up_ns = limits != NULL ? limits->give_up_ns : NULL };
	int result = link_open(link, uri, false);
	if (result == 0)
		result = link_run(link, READ_SQL);
	if (result == 0 && PQserverVersion(link->connection) >= 140000 && link_run(link, WATCH_SQL) < 0 &&
	    link_is_dead(link))
		result = -ENOTCONN;
	return result == 0 ? postgresql_schema_look(link) : result;
}

static int close_link(struct postgresql_link *link, int result, char error[static CDR_READ_ERROR_BYTES])
{
	if (result == -ETIMEDOUT)
		snprintf(error, CDR_READ_ERROR_BYTES, "it takes too long");
	else if (result < 0 && link->error[0] != '\0')
		memcpy(error, link->error, LINK_ERROR_BYTES);
	link_close(link);
	return result;
}

static int64_t integer(const PGresult *rows, int row, int column)
{
	return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

/* ---- rows ---- */

static void hand_out(const PGresult *rows, int at, cdr_row_fn *row, void *context)
{
	static const struct {
		const char *name;
		enum cdr_column_type type;
	} columns[] = {
#define COLUMN(name, type) { #name, CDR_COLUMN_##type },
		CDR_COLUMNS(COLUMN, COLUMN)
#undef COLUMN
	};
	struct cdr_value values[CDR_COLUMN_COUNT];

	for (int i = 0; i < CDR_COLUMN_COUNT; i++) {
		values[i] = (struct cdr_value){ .name = columns[i].name,
						.type = columns[i].type,
						.text = PQgetvalue(rows, at, i) };
		if (columns[i].type == CDR_COLUMN_INTEGER)
			values[i].integer = integer(rows, at, i);
	}
	row(context, values, CDR_COLUMN_COUNT);
}

/* In the order of the partitions and of the key in them: the newest rows cost what they are worth. */
int postgresql_list(const char *uri, const struct cdr_filter *filter, const struct cdr_limits *limits, cdr_row_fn *row,
		    void *context, char error[static CDR_READ_ERROR_BYTES])
{
	struct postgresql_link link;
	struct where where;
	char sql[SQL_BYTES];
	PGresult *rows;

	where_make(filter, WHERE_POSTGRESQL, &where);
	snprintf(sql, sizeof(sql),
		 "SELECT " CDR_COLUMN_NAMES " FROM cdr%s ORDER BY start_us DESC, cdr_id DESC, node DESC LIMIT %u",
		 where.sql, where_limit(filter));
	int result = open_link(&link, uri, limits);
	if (result == 0)
		result = link_ask(&link, sql, where.count, where.texts, &rows);
	if (result == 0) {
		for (int i = 0; i < PQntuples(rows); i++)
			hand_out(rows, i, row, context);
		PQclear(rows);
	}
	return close_link(&link, result, error);
}

/* ---- sums ---- */

enum { KEY, ATTEMPTS, ANSWERED, RANG, PDD_MS, HOLD_MS, BILLED_S, FEE_E8, COST_E8 };

/* What one record adds, and the sums of that.  numeric is exact; amounts have at most eight decimals. */
#define ADDENDS                                                                                                        \
	"connect_us > 0 AS answered, (connect_us > 0 OR ringing_us > 0) AS rang, pdd_ms, hold_ms, billed_s,"           \
	" coalesce(%s, nullif(fee, '')::numeric, 0) AS fee, coalesce(nullif(cost, '')::numeric, 0) AS cost"
#define NO_ADDENDS "false, false, 0, 0, 0, 0, 0"
#define SUMS                                                                                                           \
	"sum(attempts), count(*) FILTER (WHERE answered), count(*) FILTER (WHERE rang),"                               \
	" coalesce(sum(greatest(pdd_ms, 0)) FILTER (WHERE rang), 0), sum(greatest(hold_ms, 0)),"                       \
	" sum(greatest(billed_s, 0)), (sum(fee) * 100000000)::numeric(38), (sum(cost) * 100000000)::numeric(38)"

/* Corrected fees are two arrays, the parameters behind those of the filter. */
#define CORRECTED " LEFT JOIN unnest($%d::text[], $%d::bigint[]) AS corrected (id, e8) ON corrected.id = cdr_id"

static void write_sql(const struct cdr_grouping *grouping, const struct where *where, char sql[static SQL_BYTES])
{
	const int64_t span_us = grouping_span_us(grouping);
	const bool corrected = fees_count(grouping->fees) > 0;
	char key[128], join[sizeof(CORRECTED) + 32] = "";

	if (corrected)
		snprintf(join, sizeof(join), CORRECTED, where->count + 1, where->count + 2);

	snprintf(key, sizeof(key), "%s", grouping_column(grouping));
	if (span_us > 0)
		snprintf(key, sizeof(key), "(start_us + %" PRId64 ") / %" PRId64,
			 grouping->utc_offset_s * INT64_C(1000000), span_us);
	int used = snprintf(
		sql, SQL_BYTES, "SELECT key, " SUMS " FROM (SELECT %s AS key, %d AS attempts, " ADDENDS " FROM cdr%s%s",
		key, grouping->by != CDR_GROUP_vendor, corrected ? "e8 * 0.00000001" : "NULL", join, where->sql);
	if (grouping->by == CDR_GROUP_vendor)
		used += snprintf(sql + used, SQL_BYTES - (size_t)used,
				 "%s routing_gateway <> '' UNION ALL SELECT a ->> 'gateway', 1, " NO_ADDENDS
				 " FROM cdr CROSS JOIN LATERAL json_array_elements(attempts) AS a%s",
				 where->sql[0] != '\0' ? " AND" : " WHERE", where->sql);
	snprintf(sql + used, SQL_BYTES - (size_t)used, ") AS one GROUP BY key LIMIT %d", SUMS_GROUPS_MAX + 1);
}

static int write_fees(const struct fees *fees, char **ret_ids, char **ret_e8)
{
	size_t size;
	FILE *ids = open_memstream(ret_ids, &size), *e8 = open_memstream(ret_e8, &size);
	int result = ids != NULL && e8 != NULL ? 0 : -ENOMEM;
	char separator = '{';

	for (size_t i = 0; result == 0 && i < fees_count(fees); i++) {
		int64_t fee_e8;
		const char *cdr_id = fees_at(fees, i, &fee_e8);
		if (cdr_id[strspn(cdr_id, "0123456789abcdef-")] != '\0')
			continue; /* no record has it */
		fprintf(ids, "%c%s", separator, cdr_id);
		fprintf(e8, "%c%" PRId64, separator, fee_e8);
		separator = ',';
	}
	if (result == 0) {
		fputs(separator == ',' ? "}" : "{}", ids);
		fputs(separator == ',' ? "}" : "{}", e8);
	}
	if (ids != NULL && fclose(ids) != 0)
		result = -ENOMEM;
	if (e8 != NULL && fclose(e8) != 0)
		result = -ENOMEM;
	return result;
}

static int ask(struct postgresql_link *link, const struct cdr_grouping *grouping, const struct where *where,
	       PGresult **ret_rows)
{
	const char *parameters[WHERE_TEXTS_MAX + 2];
	char sql[SQL_BYTES], *ids = NULL, *e8 = NULL;
	int result = 0, count = where->count;

	write_sql(grouping, where, sql);
	memcpy(parameters, where->texts, sizeof(where->texts));
	if (fees_count(grouping->fees) > 0) {
		result = write_fees(grouping->fees, &ids, &e8);
		parameters[count++] = ids;
		parameters[count++] = e8;
	}
	if (result == 0)
		result = link_ask(link, sql, count, parameters, ret_rows);
	else
		snprintf(link->error, sizeof(link->error), "no memory for corrected fees");
	free(ids);
	free(e8);
	return result;
}

/* A whole number of any size. */
static money_sum big(const char *text)
{
	const bool negative = text[0] == '-';
	money_sum value = 0;

	for (text += negative; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (*text - '0');
	return negative ? -value : value;
}

static uint64_t count(const PGresult *rows, int row, int column)
{
	return strtoull(PQgetvalue(rows, row, column), NULL, 10);
}

static int add_group(const PGresult *rows, int row, const struct cdr_grouping *grouping, struct sums *sums)
{
	const struct sum sum = {
		.attempts = count(rows, row, ATTEMPTS),
		.answered = count(rows, row, ANSWERED),
		.rang = count(rows, row, RANG),
		.pdd_ms = count(rows, row, PDD_MS),
		.hold_ms = count(rows, row, HOLD_MS),
		.billed_s = count(rows, row, BILLED_S),
		.fee_e8 = big(PQgetvalue(rows, row, FEE_E8)),
		.cost_e8 = big(PQgetvalue(rows, row, COST_E8)),
	};
	char span[GROUPING_KEY_MAX];
	const char *key = PQgetvalue(rows, row, KEY);

	if (grouping_span_us(grouping) > 0) {
		grouping_write(grouping, integer(rows, row, KEY), span);
		key = span;
	}
	return sums_add(sums, key, strlen(key), &sum);
}

static int add_groups(const PGresult *rows, const struct cdr_grouping *grouping, struct sums *sums,
		      char error[static CDR_READ_ERROR_BYTES])
{
	int result = 0;

	for (int i = 0; result == 0 && i < PQntuples(rows); i++)
		result = add_group(rows, i, grouping, sums);
	if (result == -E2BIG)
		snprintf(error, CDR_READ_ERROR_BYTES, "there are more than %d groups; ask for less time",
			 SUMS_GROUPS_MAX);
	else if (result < 0)
		snprintf(error, CDR_READ_ERROR_BYTES, "no memory for so many groups");
	return result;
}

int postgresql_sums(const char *uri, const struct cdr_filter *filter, const struct cdr_grouping *grouping,
		    const struct cdr_limits *limits, struct sums *sums, char error[static CDR_READ_ERROR_BYTES])
{
	struct postgresql_link link;
	struct where where;
	PGresult *rows;

	where_make(filter, WHERE_POSTGRESQL, &where);
	int result = open_link(&link, uri, limits);
	if (result == 0)
		result = ask(&link, grouping, &where, &rows);
	if (result < 0)
		return close_link(&link, result, error);
	result = add_groups(rows, grouping, sums, error);
	PQclear(rows);
	link_close(&link);
	return result;
}
