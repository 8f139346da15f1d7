/* Accounts and their rates as one immutable snapshot, read from data_dir/ringwheel.db (ledger.h) and shared by all
 * shards like the configuration, whose part it is.  Balances are not here: they change with every call
 * (core/call/bank.h).
 *
 * A rate table is prefixes with rates; of a number's rates the longest prefix that has one in effect counts, and of
 * several of the same prefix the one with the newest effective date.
 *
 * A look-up waits for memory about twice, whatever the number of rates (billing/prefix_lines.h).  A prefix takes 32
 * bytes, and 48 more for each rate unless another prefix of any table has the same ones.  */
#ifndef RW_BILLING_TARIFF_H
#define RW_BILLING_TARIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/rating.h"

#define ACCOUNT_NAME_MAX    63
#define CURRENCY_MAX        7
#define ACCOUNT_ID_MAX      ((UINT32_C(1) << 20) - 1) /* ids are small numbers from 1 */
#define RATE_PREFIX_MAX     31
#define OVERDRAFT_UNLIMITED INT64_MAX
#define TARIFF_NO_TABLE     UINT32_MAX

enum bill_until { BILL_UNTIL_TEARDOWN, BILL_UNTIL_LAST_CONFIRMED };

struct account {
	char name[ACCOUNT_NAME_MAX + 1];
	char currency[CURRENCY_MAX + 1];
	uint32_t id;          /* gateway_id(GATEWAY_ACCOUNT, name): the same in every later snapshot */
	uint32_t table;       /* of its rates; TARIFF_NO_TABLE */
	int64_t overdraft_e8; /* how far below zero the balance may go; OVERDRAFT_UNLIMITED: credit is not looked at */
	int64_t balance_e8; /* when this snapshot was read, all CDRs of the journal applied: what a bank begins with */
	bool locked;
	enum bill_until bill_until;
};

/* One row of a rate table. */
struct rate {
	const char *prefix; /* digits, not terminated; of a look-up: the beginning of the number itself */
	uint32_t prefix_size;
	struct rate_terms terms;
	int64_t from_us, to_us; /* in effect from <= t < to; INT64_MIN and INT64_MAX: no bound */
};

struct tariff;

/* ---- reading: any thread, no allocation ---- */

/* NULL: no such account (also for a NULL tariff). */
const struct account *tariff_account(const struct tariff *t, uint32_t account_id);
/* The rate of a number (digits, no +) at a time.  false: none. */
bool tariff_rate(const struct tariff *t, uint32_t table, const char *number, size_t size, int64_t at_us,
		 struct rate *ret_rate);
uint32_t tariff_account_count(const struct tariff *t);
const struct account *tariff_account_at(const struct tariff *t, uint32_t index); /* in order of their names */

/* ---- making: one thread ---- */

struct tariff_builder;

int tariff_begin(struct tariff_builder **ret_builder);
/* Tables are numbered in the order of tariff_add_table(), from 0; rows may come in any order.  -EINVAL: no such table,
 * a prefix with something else than digits or too long ("" is one, of any number), an amount below 0, an id above
 * ACCOUNT_ID_MAX or 0; -EEXIST: a table of that name; -ENOMEM.  Everything given is copied.  After an error the builder
 * is as before. */
int tariff_add_table(struct tariff_builder *b, const char *name, uint32_t *ret_table);
int tariff_add_rate(struct tariff_builder *b, uint32_t table, const struct rate *rate);
int tariff_add_account(struct tariff_builder *b, const struct account *account);

/* Accounts change more often than rates: the tariff will have all tables of another one, under their numbers, and none
 * is added.  Either may be freed first, by the thread that makes them; `of` is borrowed until tariff_finish(). */
void tariff_share_rates(struct tariff_builder *b, const struct tariff *of);
/* A number by which whoever makes tariffs knows their rates again; shared rates bring theirs along. */
void tariff_stamp_rates(struct tariff_builder *b, uint64_t stamp);
uint64_t tariff_rates_stamp(const struct tariff *t); /* 0: none, also for NULL */

/* Takes the builder, also on failure.  -EEXIST: the same prefix and from_us twice in a table, or two accounts of one id
 * or name; -EINVAL: an account of a table that there is not; -ENOMEM. */
int tariff_finish(struct tariff_builder *b, struct tariff **ret_tariff);
void tariff_abandon(struct tariff_builder *b); /* NULL: nothing */
void tariff_free(struct tariff *t);            /* NULL: nothing */

#endif
