/* libpq's non-blocking calls, and a poll with a deadline between them. */
#include "billing/postgresql_link.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "billing/utf8.h"

#define LOOK_MS     50                  /* how soon a wait sees that it is to be cut short */
#define COPY_BYTES  (256 * 1024)        /* given to libpq at a time, so that its buffer stays small */
#define CONNECT_NS  INT64_C(2000000000) /* the shortest time that libpq gives a connection */
#define HURRY_NS    INT64_C(3000000000)
#define NS_PER_MS   INT64_C(1000000)
#define OPTIONS_MAX 64 /* of libpq there are some forty */

int64_t link_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- failures ---- */

/* The first line of what libpq says: the others are guesses and hints. */
static void set_error(struct postgresql_link *link, const char *message)
{
	const size_t size = strcspn(message, "\n");
	char clean[LINK_ERROR_BYTES];
	const size_t kept = size < sizeof(clean) - 1 ? size : sizeof(clean) - 1;

	utf8_copy(clean, message, kept);
	clean[kept] = '\0';
	snprintf(link->error, sizeof(link->error), "PostgreSQL: %.240s", kept > 0 ? clean : "the connection failed");
}

/* By the class of the SQLSTATE (PostgreSQL's manual, appendix A). */
static int errno_of(const char *state)
{
	static const struct {
		const char *start;
		int result;
	} classes[] = {
		{ "08", -ENOTCONN },  { "28", -EACCES },       { "40", -EAGAIN },
		{ "42501", -EACCES }, { "25006", -EROFS },     { "53100", -ENOSPC },
		{ "55P03", -EBUSY },  { "57014", -ETIMEDOUT }, { "57P", -ENOTCONN },
	};

	for (size_t i = 0; state != NULL && i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strncmp(state, classes[i].start, strlen(classes[i].start)) == 0)
			return classes[i].result;
	return -EIO;
}

static int fail_result(struct postgresql_link *link, const PGresult *result)
{
	const char *sentence = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	set_error(link, sentence != NULL ? sentence : PQresultErrorMessage(result));
	return errno_of(PQresultErrorField(result, PG_DIAG_SQLSTATE));
}

static int fail_connection(struct postgresql_link *link)
{
	set_error(link, PQerrorMessage(link->connection));
	return -ENOTCONN;
}

/* What the server is still doing is its own affair from now on: a connection in the middle of something is of no use.
 */
static int fail_time(struct postgresql_link *link)
{
	link_close(link);
	snprintf(link->error, sizeof(link->error), "PostgreSQL: the server did not answer in time");
	return -ETIMEDOUT;
}

static int fail_closed(struct postgresql_link *link)
{
	snprintf(link->error, sizeof(link->error), "PostgreSQL: there is no connection");
	return -ENOTCONN;
}

/* ---- the URI ---- */

static bool is_uri(const char *uri, size_t *ret_authority)
{
	static const char *const schemes[] = { "postgresql://", "postgres://" };

	for (size_t i = 0; i < 2; i++) {
		if (strncmp(uri, schemes[i], strlen(schemes[i])) != 0)
			continue;
		*ret_authority = strlen(schemes[i]);
		return true;
	}
	return false;
}

int postgresql_uri_check(const char *uri, char error[static LINK_ERROR_BYTES])
{
	size_t start;

	if (!is_uri(uri, &start)) {
		snprintf(error, LINK_ERROR_BYTES, "it must begin with postgresql://");
		return -EINVAL;
	}
	/* What libpq takes for the user ends at the first @, if that comes before a /; all behind it is host, port and
	 * path, which its sentences name. */
	const char *at = memchr(uri + start, '@', strcspn(uri + start, "/"));
	const char *rest = at != NULL ? at + 1 : uri + start;
	if (memchr(rest, '@', strcspn(rest, "?")) != NULL ||
	    (at != NULL && memchr(uri + start, '?', (size_t)(at - uri) - start) != NULL)) {
		snprintf(error, LINK_ERROR_BYTES,
			 "in a name or password a '@' is written %%40, a '/' %%2F and a '?' %%3F");
		return -EINVAL;
	}
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(uri, &message);
	PQfreemem(message); /* may quote the password */
	if (options == NULL) {
		snprintf(error, LINK_ERROR_BYTES,
			 "it cannot be read; its form is postgresql://user:password@host:port/database?option=value, "
			 "with %%XX for special characters");
		return -EINVAL;
	}
	PQconninfoFree(options);
	return 0;
}

struct text {
	char *at;
	size_t size, used; /* `used` may pass `size`: what does not fit is counted and dropped */
};

static void put(struct text *out, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++, out->used++)
		if (out->used + 1 < out->size)
			out->at[out->used] = bytes[i];
}

void postgresql_uri_mask(const char *uri, char *out, size_t size)
{
	static const char *const secrets[] = { "password=", "sslpassword=" };
	struct text text = { .at = out, .size = size };
	size_t start = 0;

	assert(size > 0);
	if (is_uri(uri, &start)) {
		const size_t authority = strcspn(uri + start, "/");
		const char *at = memrchr(uri + start, '@', authority);
		const char *colon = at != NULL ? memchr(uri + start, ':', (size_t)(at - (uri + start))) : NULL;
		if (colon != NULL) {
			put(&text, uri, (size_t)(colon + 1 - uri));
			put(&text, "***", 3);
			start = (size_t)(at - uri);
		} else {
			start = 0;
		}
	}
	for (const char *from = uri + start; *from != '\0';) {
		size_t secret = 0;
		for (size_t i = 0; i < 2 && (from > uri && (from[-1] == '?' || from[-1] == '&')); i++)
			if (strncmp(from, secrets[i], strlen(secrets[i])) == 0)
				secret = strlen(secrets[i]);
		put(&text, from, secret > 0 ? secret : 1);
		from += secret > 0 ? secret : 1;
		if (secret == 0)
			continue;
		put(&text, "***", 3);
		from += strcspn(from, "&");
	}
	out[text.used < size ? text.used : size - 1] = '\0';
}

/* ---- connecting ---- */

struct settings {
	const char *names[OPTIONS_MAX], *values[OPTIONS_MAX];
	size_t count;
};

static void set(struct settings *settings, const char *name, const char *value)
{
	assert(settings->count + 1 < OPTIONS_MAX);
	settings->names[settings->count] = name;
	settings->values[settings->count++] = value;
	settings->names[settings->count] = NULL;
	settings->values[settings->count] = NULL;
}

/* Where the URI says nothing; later ones would stand in place of earlier ones.  A server that is gone is found out in
 * about 20 s without traffic, in 10 s with. */
static void set_defaults(struct settings *settings, bool write, bool hurry)
{
	set(settings, "application_name", "ringwheel");
	set(settings, "connect_timeout", hurry ? "2" : "3");
	set(settings, "keepalives_idle", "10");
	set(settings, "keepalives_interval", "3");
	set(settings, "keepalives_count", "3");
	set(settings, "tcp_user_timeout", "10000");
	set(settings, "target_session_attrs", write ? "read-write" : "any");
}

static PGconn *connect_to(const char *uri, bool write, bool hurry)
{
	struct settings settings = { .count = 0 };
	PQconninfoOption *options = PQconninfoParse(uri, NULL);

	if (options == NULL)
		return NULL;
	set_defaults(&settings, write, hurry);
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (o->val != NULL)
			set(&settings, o->keyword, o->val);
	set(&settings, "client_encoding", "UTF8");
	PGconn *connection = PQconnectdbParams(settings.names, settings.values, 0);
	PQconninfoFree(options);
	return connection;
}

/* Notices are for a person at a terminal. */
static void ignore_notice(void *context, const PGresult *result)
{
	(void)context;
	(void)result;
}

int link_open(struct postgresql_link *link, const char *uri, bool write)
{
	assert(link->connection == NULL && link->wait_ns > 0);
	if (postgresql_uri_check(uri, link->error) < 0)
		return -EINVAL;
	const int64_t left_ns = link->give_up_ns != NULL ? atomic_load(link->give_up_ns) - link_now_ns() : INT64_MAX;
	if (left_ns < CONNECT_NS) /* it might take longer, and nothing can stop it */
		return fail_time(link);
	link->connection = connect_to(uri, write, left_ns < HURRY_NS);
	if (link->connection == NULL) {
		snprintf(link->error, sizeof(link->error), "PostgreSQL: no memory for a connection");
		return -ENOMEM;
	}
	if (PQstatus(link->connection) != CONNECTION_OK) {
		fail_connection(link);
		link_close(link);
		return -ENOTCONN;
	}
	PQsetNoticeReceiver(link->connection, ignore_notice, NULL);
	if (PQsetnonblocking(link->connection, 1) == 0)
		return 0;
	fail_connection(link);
	link_close(link);
	return -ENOTCONN;
}

void link_close(struct postgresql_link *link)
{
	PQfinish(link->connection);
	link->connection = NULL;
}

bool link_is_dead(struct postgresql_link *link)
{
	return link->connection == NULL || PQconsumeInput(link->connection) == 0 ||
	       PQstatus(link->connection) != CONNECTION_OK;
}

/* ---- waiting ---- */

/* Until the socket is ready.  -ETIMEDOUT: the link is closed. */
static int wait_for(struct postgresql_link *link, short events, int64_t by_ns)
{
	for (;;) {
		const int64_t now_ns = link_now_ns();
		if (now_ns >= by_ns || (link->give_up_ns != NULL && now_ns >= atomic_load(link->give_up_ns)))
			return fail_time(link);
		const int64_t left_ms = (by_ns - now_ns) / NS_PER_MS + 1;
		struct pollfd poll_fd = { .fd = PQsocket(link->connection), .events = events };
		if (poll(&poll_fd, 1, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS) > 0)
			return 0;
	}
}

/* Sends what is buffered, reading meanwhile: a server that cannot send does not read. */
static int flush(struct postgresql_link *link, int64_t by_ns)
{
	int left;

	while ((left = PQflush(link->connection)) > 0) {
		const int result = wait_for(link, POLLIN | POLLOUT, by_ns);
		if (result < 0)
			return result;
		if (PQconsumeInput(link->connection) == 0)
			return fail_connection(link);
	}
	return left == 0 ? 0 : fail_connection(link);
}

/* The next result, NULL: there is none left. */
static int next_result(struct postgresql_link *link, int64_t by_ns, PGresult **ret_result)
{
	while (PQisBusy(link->connection)) {
		const int result = wait_for(link, POLLIN, by_ns);
		if (result < 0)
			return result;
		if (PQconsumeInput(link->connection) == 0)
			return fail_connection(link);
	}
	*ret_result = PQgetResult(link->connection);
	return 0;
}

/* Takes all results of what was sent.  The last one with rows is kept where they are wanted; the first failure counts.
 */
static int take_results(struct postgresql_link *link, int64_t by_ns, PGresult **ret_rows)
{
	PGresult *result, *rows = NULL;
	int failure = 0;

	for (;;) {
		const int waited = next_result(link, by_ns, &result);
		if (waited < 0)
			failure = failure < 0 ? failure : waited;
		if (waited < 0 || result == NULL)
			break;
		const ExecStatusType status = PQresultStatus(result);
		if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && failure == 0)
			failure = fail_result(link, result);
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
			PQclear(result);
			break; /* it would not end by itself */
		}
		if (status == PGRES_TUPLES_OK && ret_rows != NULL && rows == NULL)
			rows = result;
		else
			PQclear(result);
	}
	if (failure < 0)
		PQclear(rows);
	else if (ret_rows != NULL)
		*ret_rows = rows;
	return failure;
}

/* ---- asking ---- */

static int begin(struct postgresql_link *link, int sent, int64_t *ret_by_ns)
{
	*ret_by_ns = link_now_ns() + link->wait_ns;
	return sent ? flush(link, *ret_by_ns) : fail_connection(link);
}

int link_run(struct postgresql_link *link, const char *sql)
{
	int64_t by_ns;

	if (link->connection == NULL)
		return fail_closed(link);
	const int result = begin(link, PQsendQuery(link->connection, sql), &by_ns);
	return result < 0 ? result : take_results(link, by_ns, NULL);
}

int link_ask(struct postgresql_link *link, const char *sql, int count, const char *const *parameters,
	     PGresult **ret_rows)
{
	int64_t by_ns;

	if (link->connection == NULL)
		return fail_closed(link);
	PGresult *rows = NULL;
	int result =
		begin(link, PQsendQueryParams(link->connection, sql, count, NULL, parameters, NULL, NULL, 0), &by_ns);
	if (result == 0)
		result = take_results(link, by_ns, &rows);
	if (result == 0 && rows == NULL) {
		snprintf(link->error, sizeof(link->error), "PostgreSQL: the server gave no rows");
		result = -EIO;
	}
	if (result == 0)
		*ret_rows = rows;
	return result;
}

static int put_bytes(struct postgresql_link *link, const char *bytes, size_t size, int64_t by_ns)
{
	int result = 0;

	while (result == 0 && size > 0) {
		const size_t part = size < COPY_BYTES ? size : COPY_BYTES;
		const int put_result = PQputCopyData(link->connection, bytes, (int)part);
		if (put_result < 0)
			return fail_connection(link);
		if (put_result > 0) {
			bytes += part;
			size -= part;
		}
		result = flush(link, by_ns);
	}
	return result;
}

int link_copy(struct postgresql_link *link, const char *sql, const char *bytes, size_t size)
{
	PGresult *started = NULL;
	int64_t by_ns;

	if (link->connection == NULL)
		return fail_closed(link);
	int result = begin(link, PQsendQuery(link->connection, sql), &by_ns);
	if (result == 0)
		result = next_result(link, by_ns, &started);
	if (result < 0)
		return result;
	const bool ready = PQresultStatus(started) == PGRES_COPY_IN;
	if (!ready)
		result = fail_result(link, started);
	PQclear(started);
	if (!ready) {
		const int rest = take_results(link, by_ns, NULL);
		return rest == -ETIMEDOUT ? rest : result;
	}
	result = put_bytes(link, bytes, size, by_ns);
	if (result < 0)
		return result;
	int ended;
	while ((ended = PQputCopyEnd(link->connection, NULL)) == 0)
		if ((result = wait_for(link, POLLOUT, by_ns)) < 0)
			return result;
	if (ended < 0)
		return fail_connection(link);
	result = flush(link, by_ns);
	return result < 0 ? result : take_results(link, by_ns, NULL);
}
