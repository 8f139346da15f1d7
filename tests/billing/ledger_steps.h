/* Steps of the tests of ringwheel.db: accounts, charges, and what is in its tables. */
#ifndef RW_TESTS_BILLING_LEDGER_STEPS_H
#define RW_TESTS_BILLING_LEDGER_STEPS_H

#include <stdint.h>

#include "billing/accounts.h"
#include "billing/ledger.h"

/* The database of this test, in a directory of its own. */
const char *ledger_path(void);

/* Adds an account that has nothing. */
void add_account(const char *name);
void topup(const char *name, int64_t amount_e8);
int64_t balance_of(const char *name);
/* The sum of the account's rows: what the balance must be. */
int64_t ledger_sum_of(const char *name);
/* The first column of the first row. */
int64_t number_of(const char *sql);
void raw(const char *sql);

/* A CDR of an answered call with what it is charged ("" for nothing). */
struct cdr charged_cdr(uint64_t number, const char *account, const char *fee, const char *vendor, const char *cost);

struct opened_sink {
	struct sink sink;
	struct sink_position position;
};
struct opened_sink open_sink(void);
void close_sink(struct opened_sink *s);
/* begin, add, commit. */
void apply(struct opened_sink *s, const struct cdr *cdrs, unsigned count, uint64_t position);

#endif
