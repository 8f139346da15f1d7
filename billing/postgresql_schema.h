/* The tables in PostgreSQL: made, migrated, and a partition for each day.  See postgresql.h.  Nodes may do all of it at
 * the same time: an advisory lock puts them in order. */
#ifndef RW_BILLING_POSTGRESQL_SCHEMA_H
#define RW_BILLING_POSTGRESQL_SCHEMA_H

#include "billing/postgresql_link.h"

#define POSTGRESQL_SCHEMA_VERSION 2

/* Makes and migrates.  -EPROTONOSUPPORT: of a newer program. */
int postgresql_schema_open(struct postgresql_link *link);
/* For reading.  -ENOENT: no node has been here yet. */
int postgresql_schema_look(struct postgresql_link *link);

/* The day that a time belongs to, since 1970; all before are -1, all after the year 9999 the first day after it. */
int64_t postgresql_day(int64_t start_us);
/* Makes the partition of a day if it is not there.  Outside of a transaction. */
int postgresql_schema_add_day(struct postgresql_link *link, int64_t day);

#endif
