#include "billing/postgresql_schema.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US_PER_DAY INT64_C(86400000000)
#define DAY_AFTER  INT64_C(2932897) /* 10000-01-01 */

/* A step may look at every row of every day. */
#define STEP_WAIT_NS INT64_C(7200000000000)
#define STEP_WAIT    "SET LOCAL statement_timeout = '2h'"

/* "ringwhee" in ASCII: held while tables are made. */
#define LOCK "SELECT pg_advisory_xact_lock(8244241983542420837)"

/* Step n takes version n to n + 1.  A step that was released never changes. */
static const char *const steps[POSTGRESQL_SCHEMA_VERSION] = {
	"CREATE TABLE cdr ("
	"  cdr_id text NOT NULL, node text NOT NULL, shard bigint NOT NULL,"
	"  mapping_gateway text NOT NULL, routing_gateway text NOT NULL,"
	"  account text NOT NULL, vendor_account text NOT NULL,"
	"  caller_in text NOT NULL, callee_in text NOT NULL, caller_out text NOT NULL, callee_out text NOT NULL,"
	"  source_address text NOT NULL, destination_address text NOT NULL,"
	"  call_id_a text NOT NULL, call_id_b text NOT NULL,"
	"  start_us bigint NOT NULL, ringing_us bigint NOT NULL, connect_us bigint NOT NULL, end_us bigint NOT NULL,"
	"  pdd_ms bigint NOT NULL, hold_ms bigint NOT NULL, billed_s bigint NOT NULL,"
	"  end_side text NOT NULL, end_reason text NOT NULL, sip_code bigint NOT NULL, q850 bigint NOT NULL,"
	"  attempts json NOT NULL, session_timer text NOT NULL,"
	"  refreshes_sent bigint NOT NULL, refreshes_confirmed bigint NOT NULL, last_confirmed_us bigint NOT NULL,"
	"  rate_prefix text NOT NULL, rate text NOT NULL, fee text NOT NULL, cost text NOT NULL,"
	"  recovered bigint NOT NULL,"
	"  PRIMARY KEY (start_us, cdr_id)"
	") PARTITION BY RANGE (start_us);"
	"CREATE TABLE cdr_position ("
	"  node text PRIMARY KEY, journal numeric(20) NOT NULL, position numeric(20) NOT NULL,"
	"  committed timestamptz NOT NULL);",

	/* Nodes that began to count their starts together may have a cdr_id in common. */
	"ALTER TABLE cdr DROP CONSTRAINT cdr_pkey, ADD PRIMARY KEY (start_us, cdr_id, node);",
};

/* ---- versions ---- */

static int64_t first_number(const PGresult *rows)
{
	return PQntuples(rows) > 0 ? strtoll(PQgetvalue(rows, 0, 0), NULL, 10) : 0;
}

static int check_version(struct postgresql_link *link, int64_t version)
{
	if (version >= 0 && version <= POSTGRESQL_SCHEMA_VERSION)
		return 0;
	snprintf(link->error, sizeof(link->error),
		 "PostgreSQL: table cdr has schema version %" PRId64
		 ", this program knows up to %d: a newer ringwheel has made it; run that one",
		 version, POSTGRESQL_SCHEMA_VERSION);
	return -EPROTONOSUPPORT;
}

static int ask_number(struct postgresql_link *link, const char *sql, int64_t *ret_number)
{
	PGresult *rows;
	const int result = link_ask(link, sql, 0, NULL, &rows);

	if (result < 0)
		return result;
	*ret_number = first_number(rows);
	PQclear(rows);
	return 0;
}

static int run_steps(struct postgresql_link *link, int64_t version)
{
	const int64_t wait_ns = link->wait_ns;
	int result = link_run(link, STEP_WAIT);

	link->wait_ns = STEP_WAIT_NS;
	for (; result == 0 && version < POSTGRESQL_SCHEMA_VERSION; version++)
		result = link_run(link, steps[version]);
	link->wait_ns = wait_ns;
	return result;
}

/* In the transaction that has the lock. */
static int migrate(struct postgresql_link *link)
{
	int64_t version = 0;
	int result = link_run(link, "CREATE TABLE IF NOT EXISTS cdr_schema (version integer NOT NULL)");

	if (result == 0)
		result = ask_number(link, "SELECT coalesce(max(version), 0) FROM cdr_schema", &version);
	if (result == 0)
		result = check_version(link, version);
	if (result < 0 || version == POSTGRESQL_SCHEMA_VERSION)
		return result;
	result = run_steps(link, version);
	char sql[128];
	snprintf(sql, sizeof(sql), "DELETE FROM cdr_schema; INSERT INTO cdr_schema VALUES (%d)",
		 POSTGRESQL_SCHEMA_VERSION);
	return result == 0 ? link_run(link, sql) : result;
}

static int end(struct postgresql_link *link, int result)
{
	char error[LINK_ERROR_BYTES];

	if (result == 0)
		return link_run(link, "COMMIT");
	memcpy(error, link->error,
	       sizeof(error)); /* the reason is what is to be said, not what became of the rollback */
	if (link->connection != NULL)
		link_run(link, "ROLLBACK");
	memcpy(link->error, error, sizeof(error));
	return result;
}

/* Who may not make tables can still use those that are there. */
static int look(struct postgresql_link *link, int64_t *ret_version)
{
	int64_t there;
	int result = ask_number(link, "SELECT count(to_regclass('cdr_schema'))", &there);

	*ret_version = 0;
	if (result == 0 && there > 0)
		result = ask_number(link, "SELECT coalesce(max(version), 0) FROM cdr_schema", ret_version);
	return result == 0 ? check_version(link, *ret_version) : result;
}

int postgresql_schema_open(struct postgresql_link *link)
{
	int64_t version;
	const int result = look(link, &version);

	if (result < 0 || version == POSTGRESQL_SCHEMA_VERSION)
		return result;
	const int begun = link_run(link, "BEGIN; " LOCK);
	return end(link, begun < 0 ? begun : migrate(link));
}

int postgresql_schema_look(struct postgresql_link *link)
{
	int64_t version;
	const int result = look(link, &version);

	if (result < 0 || version > 0)
		return result;
	snprintf(link->error, sizeof(link->error), "PostgreSQL: there is no table cdr yet");
	return -ENOENT;
}

/* ---- days ---- */

int64_t postgresql_day(int64_t start_us)
{
	if (start_us < 0)
		return -1;
	return start_us / US_PER_DAY < DAY_AFTER ? start_us / US_PER_DAY : DAY_AFTER;
}

static void name_day(int64_t day, char name[static 32])
{
	const time_t seconds = (time_t)(day * 86400);
	struct tm utc;

	if (day < 0)
		strcpy(name, "cdr_before_1970");
	else if (day >= DAY_AFTER || gmtime_r(&seconds, &utc) == NULL)
		strcpy(name, "cdr_after_9999");
	else
		strftime(name, 32, "cdr_%Y%m%d", &utc);
}

static void write_bounds(int64_t day, char from[static 24], char to[static 24])
{
	strcpy(from, "MINVALUE");
	strcpy(to, "MAXVALUE");
	if (day >= 0)
		snprintf(from, 24, "%" PRId64, day * US_PER_DAY);
	if (day < DAY_AFTER)
		snprintf(to, 24, "%" PRId64, (day + 1) * US_PER_DAY);
}

/* A day that was detached before version 2 has the key of version 1, which `cdr` would not take beside its own. */
static int drop_old_key(struct postgresql_link *link, const char *name)
{
	const char *parameters[] = { name };
	char sql[256];
	PGresult *rows;
	int result = link_ask(link,
			      "SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = to_regclass($1)"
			      " AND contype = 'p' AND cardinality(conkey) = 2",
			      1, parameters, &rows);

	if (result < 0)
		return result;
	if (PQntuples(rows) > 0) {
		snprintf(sql, sizeof(sql), "ALTER TABLE %s DROP CONSTRAINT %s", name, PQgetvalue(rows, 0, 0));
		result = link_run(link, sql);
	}
	PQclear(rows);
	return result;
}

/* CREATE ... PARTITION OF would lock out whoever reads `cdr` at the moment, and wait for him; ATTACH does not.  A table
 * that was detached is attached again: what it has is not stored twice. */
static int attach(struct postgresql_link *link, int64_t day)
{
	char name[32], from[24], to[24], sql[512];
	PGresult *rows;

	name_day(day, name);
	write_bounds(day, from, to);
	const char *parameters[] = { name };
	int result = link_ask(link,
			      "SELECT 1 FROM pg_inherits WHERE inhparent = to_regclass('cdr')"
			      " AND inhrelid = to_regclass($1)",
			      1, parameters, &rows);
	if (result < 0)
		return result;
	const bool there = PQntuples(rows) > 0;
	PQclear(rows);
	if (there)
		return 0;
	result = drop_old_key(link, name);
	if (result < 0)
		return result;
	snprintf(sql, sizeof(sql),
		 "CREATE TABLE IF NOT EXISTS %s (LIKE cdr INCLUDING ALL);"
		 "ALTER TABLE cdr ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
		 name, name, from, to);
	return link_run(link, sql);
}

int postgresql_schema_add_day(struct postgresql_link *link, int64_t day)
{
	assert(day >= -1 && day <= DAY_AFTER);
	const int begun = link_run(link, "BEGIN; " LOCK);
	return end(link, begun < 0 ? begun : attach(link, day));
}
