/* The sink: records are kept until the commit, which makes the days that are missing, and then does everything in one
 * transaction.  After any failure it is closed and opened: then it is known again what the server has and has not. */
#include "billing/postgresql.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/columns.h"
#include "billing/postgresql_link.h"
#include "billing/postgresql_rows.h"
#include "billing/postgresql_schema.h"

#define ANSWER_WAIT_NS INT64_C(60000000000) /* of a batch: a server busy with something else may take long */
#define DAYS_KNOWN     64

struct postgresql_sink {
	struct postgresql_link link;
	_Atomic int64_t give_up_ns;
	char *uri, *node;
	struct postgresql_rows rows;
	int64_t days[DAYS_KNOWN]; /* whose partitions are there, and behind them the other ones of this batch */
	size_t days_known, days_used;
	char error[SINK_ERROR_BYTES];
};

static_assert(SINK_ERROR_BYTES >= LINK_ERROR_BYTES, "");

/* ---- opening ---- */

/* A server that works on for a client that is gone, or waits for one in the middle of a transaction, holds locks that
 * the next connection needs. */
#define SETTINGS_SQL                                                                                                   \
	"SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s';"                              \
	"SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3;"                 \
	"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
#define WATCH_SQL "SET client_connection_check_interval = '5s'" /* from version 14 on, and not on every system */

static int set_up(struct postgresql_link *link)
{
	const char *encoding = PQparameterStatus(link->connection, "server_encoding");

	if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
		snprintf(link->error, sizeof(link->error),
			 "PostgreSQL: the database has encoding %.20s; create it with ENCODING 'UTF8'",
			 encoding != NULL ? encoding : "unknown");
		return -EINVAL;
	}
	if (PQserverVersion(link->connection) < 110000) {
		snprintf(link->error, sizeof(link->error),
			 "PostgreSQL: the server has version %d, 11 or later is needed",
			 PQserverVersion(link->connection) / 10000);
		return -EPROTONOSUPPORT;
	}
	if (PQserverVersion(link->connection) >= 140000 && link_run(link, WATCH_SQL) < 0 && link_is_dead(link))
		return -ENOTCONN;
	return link_run(link, SETTINGS_SQL);
}

static int read_position(struct postgresql_sink *s, struct sink_position *ret_position)
{
	const char *parameters[] = { s->node };
	PGresult *rows;
	const int result =
		link_ask(&s->link, "SELECT journal, position FROM cdr_position WHERE node = $1", 1, parameters, &rows);

	if (result < 0)
		return result;
	*ret_position = (struct sink_position){ 0 };
	if (PQntuples(rows) > 0) {
		ret_position->journal = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
		ret_position->position = strtoull(PQgetvalue(rows, 0, 1), NULL, 10);
	}
	PQclear(rows);
	return 0;
}

/* A connection of this node that was given up while the server was busy with it may still commit: its position must not
 * come after one of ours, so there is one at a time. */
#define ALONE_SQL "SELECT pg_try_advisory_lock(hashtextextended('ringwheel ' || $1, 0))"

static int stand_alone(struct postgresql_sink *s)
{
	const char *parameters[] = { s->node };
	PGresult *rows;
	const int result = link_ask(&s->link, ALONE_SQL, 1, parameters, &rows);

	if (result < 0)
		return result;
	const bool alone = PQntuples(rows) == 1 && PQgetvalue(rows, 0, 0)[0] == 't';
	PQclear(rows);
	if (alone)
		return 0;
	snprintf(s->link.error, sizeof(s->link.error),
		 "PostgreSQL: a connection of node %.64s is there already: its last one, for a moment yet, or a second "
		 "node of the same name",
		 s->node);
	return -EBUSY;
}

static void sink_close(void *context)
{
	struct postgresql_sink *s = context;

	link_close(&s->link);
	s->days_known = s->days_used = 0;
}

static int sink_open(void *context, struct sink_position *ret_position, char error[static SINK_ERROR_BYTES])
{
	struct postgresql_sink *s = context;
	int result = link_open(&s->link, s->uri, true);

	if (result == 0)
		result = set_up(&s->link);
	if (result == 0)
		result = postgresql_schema_open(&s->link);
	if (result == 0)
		result = link_run(&s->link, "CREATE TEMPORARY TABLE cdr_batch (LIKE cdr) ON COMMIT DELETE ROWS");
	if (result == 0)
		result = stand_alone(s);
	if (result == 0)
		result = read_position(s, ret_position);
	if (result < 0) {
		memcpy(error, s->link.error, LINK_ERROR_BYTES);
		sink_close(s);
	}
	return result;
}

static bool sink_reopen(void *context, int failure)
{
	(void)context;
	(void)failure;
	return true;
}

static bool sink_stale(void *context)
{
	struct postgresql_sink *s = context;

	return link_is_dead(&s->link);
}

static const char *sink_error(void *context)
{
	struct postgresql_sink *s = context;

	return s->error;
}

/* ---- a batch ---- */

static int fail(struct postgresql_sink *s, int result, const char *sentence)
{
	snprintf(s->error, sizeof(s->error), "%s", sentence);
	return result;
}

static int sink_begin(void *context)
{
	struct postgresql_sink *s = context;

	s->days_used = s->days_known;
	return postgresql_rows_begin(&s->rows) < 0 ? fail(s, -ENOMEM, "no memory for a batch of records") : 0;
}

static bool knows_day(const struct postgresql_sink *s, int64_t day)
{
	for (size_t i = s->days_used; i > 0; i--)
		if (s->days[i - 1] == day)
			return true;
	return false;
}

/* A batch of more days than fit makes room by making those it has. */
static int make_days(struct postgresql_sink *s)
{
	for (; s->days_known < s->days_used; s->days_known++) {
		const int result = postgresql_schema_add_day(&s->link, s->days[s->days_known]);
		if (result < 0)
			return fail(s, result, s->link.error);
	}
	return 0;
}

static int note_day(struct postgresql_sink *s, int64_t day)
{
	if (knows_day(s, day))
		return 0;
	if (s->days_used == DAYS_KNOWN) {
		const int result = make_days(s);
		if (result < 0)
			return result;
		s->days_known = s->days_used = 0;
	}
	s->days[s->days_used++] = day;
	return 0;
}

static int sink_add(void *context, const struct cdr *cdr)
{
	struct postgresql_sink *s = context;
	const int result = postgresql_rows_add(&s->rows, cdr);

	if (result == -EINVAL)
		return fail(s, result, "a record holds values that have no name");
	if (result < 0)
		return fail(s, result, "no memory for a batch of records");
	return note_day(s, postgresql_day(cdr->start_us));
}

#define COMMIT_SQL                                                                                                     \
	"INSERT INTO cdr SELECT * FROM cdr_batch ON CONFLICT DO NOTHING;"                                              \
	"INSERT INTO cdr_position VALUES (%s, %" PRIu64 ", %" PRIu64 ", now()) ON CONFLICT (node) DO UPDATE"           \
	" SET journal = excluded.journal, position = excluded.position, committed = excluded.committed;"               \
	"COMMIT"

static int commit(struct postgresql_sink *s, const struct sink_position *position)
{
	char *sql;
	int result = link_run(&s->link, "BEGIN");

	if (result == 0 && s->rows.count > 0)
		result = link_copy(&s->link, "COPY cdr_batch FROM STDIN (FORMAT binary)", s->rows.at, s->rows.used);
	if (result < 0)
		return fail(s, result, s->link.error);
	char *node = PQescapeLiteral(s->link.connection, s->node, strlen(s->node));
	if (node == NULL || asprintf(&sql, COMMIT_SQL, node, position->journal, position->position) < 0)
		result = fail(s, -ENOMEM, "no memory for a statement");
	PQfreemem(node);
	if (result < 0)
		return result;
	result = link_run(&s->link, sql);
	free(sql);
	return result < 0 ? fail(s, result, s->link.error) : 0;
}

static int sink_commit(void *context, const struct sink_position *position)
{
	struct postgresql_sink *s = context;

	if (postgresql_rows_end(&s->rows) < 0)
		return fail(s, -ENOMEM, "no memory for a batch of records");
	const int result = make_days(s);
	return result < 0 ? result : commit(s, position);
}

/* What the server has begun ends with the connection. */
static void sink_rollback(void *context)
{
	sink_close(context);
}

/* ---- making ---- */

int postgresql_sink_create(const char *uri, const char *node, struct sink *ret_sink,
			   char error[static SINK_ERROR_BYTES])
{
	if (postgresql_uri_check(uri, error) < 0)
		return -EINVAL;
	struct postgresql_sink *s = calloc(1, sizeof(*s));
	if (s != NULL) {
		s->uri = strdup(uri);
		s->node = strdup(node);
	}
	if (s == NULL || s->uri == NULL || s->node == NULL) {
		postgresql_sink_free(&(struct sink){ .context = s });
		snprintf(error, SINK_ERROR_BYTES, "no memory");
		return -ENOMEM;
	}
	atomic_init(&s->give_up_ns, INT64_MAX);
	s->link = (struct postgresql_link){ .give_up_ns = &s->give_up_ns, .wait_ns = ANSWER_WAIT_NS };
	*ret_sink = (struct sink){
		.name = "postgresql",
		.context = s,
		.open = sink_open,
		.begin = sink_begin,
		.add = sink_add,
		.commit = sink_commit,
		.rollback = sink_rollback,
		.reopen = sink_reopen,
		.error = sink_error,
		.stale = sink_stale,
		.close = sink_close,
	};
	return 0;
}

void postgresql_sink_free(struct sink *sink)
{
	struct postgresql_sink *s = sink->context;

	if (s == NULL)
		return;
	link_close(&s->link);
	postgresql_rows_free(&s->rows);
	if (s->uri != NULL)
		explicit_bzero(s->uri, strlen(s->uri));
	free(s->uri);
	free(s->node);
	free(s);
	sink->context = NULL;
}

void postgresql_sink_hurry(const struct sink *sink, unsigned wait_ms)
{
	struct postgresql_sink *s = sink->context;

	atomic_store(&s->give_up_ns, link_now_ns() + wait_ms * INT64_C(1000000));
}
