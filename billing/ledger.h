/* data_dir/ringwheel.db: accounts, everything that ever moved their balances, and rates.  Spec 10.
 *
 *   accounts     one row an account, with its balance
 *   ledger       append-only: each movement of a balance.  An account's balance is the sum of its rows.
 *   corrections  the fee of a call as it was corrected last, and as it was charged first
 *   rate_tables  names of the tables
 *   rates        their rows
 *   applied      how far the journal has been charged
 *
 * A balance is what the node's operator owes the account's holder: a customer's payment raises it and the fee of a call
 * lowers it; the cost of a call raises the vendor's and a payment to the vendor (a top-up below zero) lowers it.  So an
 * account that is both nets what goes either way.
 *
 * Here: the sink that charges calls, and what the configuration reads.  What operators do is in accounts.h and
 * rates.h.  */
#ifndef RW_BILLING_LEDGER_H
#define RW_BILLING_LEDGER_H

#include <stdint.h>

#include "billing/database.h"
#include "billing/sink.h"
#include "billing/tariff.h"

#define LEDGER_FILE "ringwheel.db" /* in data_dir */

extern const struct database_schema ledger_schema;

/* ---- charging ---- */

/* The sink "ledger".  Of each CDR with a fee it charges the account, of each with a cost it credits the vendor account:
 * one row each, once by cdr_id, account and kind, in one transaction with the balances and the position.  A call that
 * was not answered and costs nothing has no row, nor has one whose account is not there.  Commits return when they
 * would outlast a power failure.  0 or -ENOMEM.  A database that was there once is waited for, not made
 * anew, when it is not there any more. */
int ledger_sink_create(const char *path, struct sink *ret_sink);
void ledger_sink_free(struct sink *sink); /* after close() */

/* ---- the configuration's part ---- */

/* Reads accounts and rates as they stand.  `account_id` gives the id of an account's name, 0: there is none left.
 * A database that is not there has no accounts.  0 or a negative errno and a sentence. */
int ledger_load(const char *path, uint32_t (*account_id)(const char *name), struct tariff **ret_tariff,
		char error[static DATABASE_ERROR_BYTES]);

/* The same where only accounts have changed since a tariff was loaded whose tariff_rates_stamp() is given: a builder
 * with the accounts, which wants that tariff's rates (tariff_share_rates()).  -ESTALE, without a sentence: the rates
 * are other ones.  (They are known by their tables' names, sizes and times of import; what is written into them by hand
 * is seen by ledger_load() alone.) */
int ledger_load_accounts(const char *path, uint32_t (*account_id)(const char *name), uint64_t rates_stamp,
			 struct tariff_builder **ret_builder, char error[static DATABASE_ERROR_BYTES]);

#endif
