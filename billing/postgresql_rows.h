/* Records as PostgreSQL's binary COPY wants them (manual, COPY, "Binary Format"): big-endian, each field with its size.
 */
#ifndef RW_BILLING_POSTGRESQL_ROWS_H
#define RW_BILLING_POSTGRESQL_ROWS_H

#include <stddef.h>

#include "billing/cdr.h"

struct postgresql_rows {
	char *at;
	size_t used, size; /* bytes */
	size_t count;      /* records */
};

/* Forgets the records, keeps the memory.  -ENOMEM. */
int postgresql_rows_begin(struct postgresql_rows *rows);
/* Adds one, its texts cut to CDR_TEXT_MAX and cleaned (utf8.h).  -ENOMEM; -EINVAL: it holds values without a name. */
int postgresql_rows_add(struct postgresql_rows *rows, const struct cdr *cdr);
/* Nothing is added after it until the next begin. */
int postgresql_rows_end(struct postgresql_rows *rows);
void postgresql_rows_free(struct postgresql_rows *rows);

#endif
