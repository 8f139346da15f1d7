/* CDRs in PostgreSQL, for operators with several nodes: one database, a table `cdr` with the columns of spec 9,
 * partitioned by the day (UTC) of start_us, that any number of nodes write to at the same time.
 *
 *   cdr            times bigint microseconds, numbers bigint, texts text, attempts json; key (start_us, cdr_id, node)
 *   cdr_YYYYMMDD   its partitions, made when the first record of a day comes, however old; may be detached or dropped
 *   cdr_position   how far each node has come: committed with the rows
 *   cdr_schema     the version of all this
 *
 * A batch goes by COPY into a temporary table and from there into `cdr`, ON CONFLICT DO NOTHING (a cdr_id begins with
 * its start_us, so the key is one cdr_id of one node: two nodes may have the same).  The database must be UTF8; the
 * user needs CREATE in its first schema and TEMP. What is written is on the server's disk when a commit returns, also
 * if its configuration says synchronous_commit = off. */
#ifndef RW_BILLING_POSTGRESQL_H
#define RW_BILLING_POSTGRESQL_H

#include "billing/list.h"
#include "billing/sink.h"

/* `node`: the node's name, under which its position is kept.  Connects to nothing yet.  0, or -EINVAL (the URI) or
 * -ENOMEM and a sentence without the password. */
int postgresql_sink_create(const char *uri, const char *node, struct sink *ret_sink,
			   char error[static SINK_ERROR_BYTES]);
void postgresql_sink_free(struct sink *sink);
/* From any thread: `wait_ms` from now on everything that waits for the server gives up (-ETIMEDOUT), for good; but a
 * name server, and a connection being made, which take up to 3 s a host.  For an orderly stop. */
void postgresql_sink_hurry(const struct sink *sink, unsigned wait_ms);

/* Reading (list.h), over a connection of its own. */
int postgresql_list(const char *uri, const struct cdr_filter *filter, const struct cdr_limits *limits, cdr_row_fn *row,
		    void *context, char error[static CDR_READ_ERROR_BYTES]);
int postgresql_sums(const char *uri, const struct cdr_filter *filter, const struct cdr_grouping *grouping,
		    const struct cdr_limits *limits, struct sums *sums, char error[static CDR_READ_ERROR_BYTES]);

#endif
