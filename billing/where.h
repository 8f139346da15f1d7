/* A filter of CDRs as the WHERE of a statement, for either store. */
#ifndef RW_BILLING_WHERE_H
#define RW_BILLING_WHERE_H

#include "billing/list.h"

#define WHERE_SQL_BYTES 1024
#define WHERE_TEXTS_MAX 6

enum where_dialect { WHERE_SQLITE, WHERE_POSTGRESQL };

struct where {
	char sql[WHERE_SQL_BYTES];          /* " WHERE ...", or nothing */
	const char *texts[WHERE_TEXTS_MAX]; /* values of its parameters, ?1... or $1..., lent by the filter */
	int count;
};

void where_make(const struct cdr_filter *filter, enum where_dialect dialect, struct where *ret_where);

/* The rows that a list may have. */
uint32_t where_limit(const struct cdr_filter *filter);

#endif
