/* One connection to PostgreSQL on which nothing waits without an end: a server that vanished, a lock that is never let
 * go or a statement that never ends are failures with a sentence, and another thread can cut every wait short.
 *
 * Only libpq's name look-up and its connecting are outside of that: the latter lasts at most connect_timeout seconds
 * (3 where the URI does not say) a host.  Sentences never hold a password. */
#ifndef RW_BILLING_POSTGRESQL_LINK_H
#define RW_BILLING_POSTGRESQL_LINK_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_ERROR_BYTES 256

struct postgresql_link {
	PGconn *connection;                /* NULL: closed */
	const _Atomic int64_t *give_up_ns; /* CLOCK_MONOTONIC: from then on nothing is waited for; NULL: never */
	int64_t wait_ns;                   /* the longest that one answer may take */
	char error[LINK_ERROR_BYTES];      /* of the last failure */
};

/* Is it a URI that libpq understands, with nothing in it that would make a password appear in a sentence?  0, or
 * -EINVAL and a sentence (without the URI). */
int postgresql_uri_check(const char *uri, char error[static LINK_ERROR_BYTES]);
/* The URI with *** in place of passwords: for whoever is shown the configuration.  Cut to `size` with its NUL. */
void postgresql_uri_mask(const char *uri, char *out, size_t size);

/* Connects, unless it is to be given up within 2 s; the link's give_up_ns and wait_ns are set by the caller before.
 * `write`: of several hosts, one that can be written to.  0, or a negative errno (-EACCES: refused, -ENOTCONN: nobody
 * there) and link->error. */
int link_open(struct postgresql_link *link, const char *uri, bool write);
void link_close(struct postgresql_link *link);
/* The server has closed, or said something unasked that ends it.  Reads what has come, waits for nothing. */
bool link_is_dead(struct postgresql_link *link);

/* Any number of statements, their rows thrown away. */
int link_run(struct postgresql_link *link, const char *sql);
/* One statement with text parameters $1...; its rows are the caller's (PQclear). */
int link_ask(struct postgresql_link *link, const char *sql, int count, const char *const *parameters,
	     PGresult **ret_rows);
/* COPY ... FROM STDIN with these bytes. */
int link_copy(struct postgresql_link *link, const char *sql, const char *bytes, size_t size);

int64_t link_now_ns(void);

#endif
