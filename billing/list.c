/* Which store is asked, and listing CDRs of SQLite. */
#include "billing/list.h"

#include <stdio.h>
#include <string.h>

#include "billing/columns.h"
#include "billing/postgresql.h"
#include "billing/query.h"

static const struct {
	const char *name;
	enum cdr_column_type type;
} columns[] = {
#define COLUMN(name, type) { #name, CDR_COLUMN_##type },
	CDR_COLUMNS(COLUMN, COLUMN)
#undef COLUMN
};

const char *cdr_group_name(enum cdr_group group)
{
	static const char *const names[] = {
#define X(name) #name,
		CDR_GROUPS(X)
#undef X
	};

	return names[group];
}

int cdr_group_find(const char *name)
{
	for (int i = 0; i < CDR_GROUP_COUNT; i++)
		if (strcmp(cdr_group_name((enum cdr_group)i), name) == 0)
			return i;
	return -1;
}

/* ---- which store ---- */

static bool is_sqlite(const struct cdr_place *place)
{
	return place->store == NULL || place->store[0] == '\0';
}

int cdr_list(const struct cdr_place *place, const struct cdr_filter *filter, const struct cdr_limits *limits,
	     cdr_row_fn *row, void *context, char error[static CDR_READ_ERROR_BYTES])
{
	if (is_sqlite(place))
		return cdr_store_list(place->path, filter, limits, row, context, error);
	return postgresql_list(place->store, filter, limits, row, context, error);
}

int cdr_sums(const struct cdr_place *place, const struct cdr_filter *filter, const struct cdr_grouping *grouping,
	     const struct cdr_limits *limits, struct sums *sums, char error[static CDR_READ_ERROR_BYTES])
{
	if (is_sqlite(place))
		return cdr_store_sums(place->path, filter, grouping, limits, sums, error);
	return postgresql_sums(place->store, filter, grouping, limits, sums, error);
}

/* ---- SQLite ---- */

static void hand_out(const struct query *q, cdr_row_fn *row, void *context)
{
	struct cdr_value values[CDR_COLUMN_COUNT];

	for (int i = 0; i < CDR_COLUMN_COUNT; i++) {
		values[i] = (struct cdr_value){ .name = columns[i].name, .type = columns[i].type, .text = "" };
		if (columns[i].type == CDR_COLUMN_INTEGER)
			values[i].integer = query_integer(q, i);
		else
			values[i].text = query_text(q, i);
	}
	row(context, values, CDR_COLUMN_COUNT);
}

/* Walks the index of cdr_id backwards, which is by time, so the newest rows cost what they are worth, however many
 * there are. */
int cdr_store_list(const char *path, const struct cdr_filter *filter, const struct cdr_limits *limits, cdr_row_fn *row,
		   void *context, char error[static CDR_READ_ERROR_BYTES])
{
	struct query q = { .path = path, .limits = limits, .error = error };
	char rest[64];

	snprintf(rest, sizeof(rest), " ORDER BY cdr_id DESC LIMIT %u", where_limit(filter));
	int result = query_open(&q, "SELECT " CDR_COLUMN_NAMES " FROM cdr", filter, rest);
	if (result == 0)
		while ((result = query_step(&q)) > 0)
			hand_out(&q, row, context);
	query_close(&q);
	return result;
}
