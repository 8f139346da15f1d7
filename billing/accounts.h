/* What operators do with accounts in ringwheel.db (ledger.h).  Each function has a connection of its own and one
 * transaction, which outlasts a power failure when the function returns 0.
 *
 * Errors are negative errnos with a sentence: -ENOENT: no such account, rate table or call; -EEXIST: there is one of
 * that name; -EINVAL, -ERANGE: a value that is not allowed; others: the database. */
#ifndef RW_BILLING_ACCOUNTS_H
#define RW_BILLING_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/database.h"
#include "billing/tariff.h"

#define LEDGER_WHO_MAX     63  /* bytes: who asked for it */
#define LEDGER_REASON_MAX  255 /* bytes */
#define RATE_TABLE_MAX     63  /* characters of a table's name */
#define ACCOUNT_NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* What can be said of an account; `given` tells which of it was. */
enum account_field {
	ACCOUNT_CURRENCY = 1,
	ACCOUNT_OVERDRAFT = 2,
	ACCOUNT_TABLE = 4,
	ACCOUNT_LOCKED = 8,
	ACCOUNT_BILL_UNTIL = 16,
};

struct account_order {
	char name[ACCOUNT_NAME_MAX + 1];
	unsigned given;                  /* enum account_field */
	char currency[CURRENCY_MAX + 1]; /* letters and digits; "" none is named */
	int64_t overdraft_e8;            /* 0 or more; OVERDRAFT_UNLIMITED */
	char table[RATE_TABLE_MAX + 1];  /* "": none, calls are refused for want of a rate */
	bool locked;
	enum bill_until bill_until;
};

/* Whether gateways and commands could name it. */
bool account_name_is_good(const char *name);

/* What is not given: no currency, no overdraft, no table, not locked, billed until teardown; the balance is 0. */
int account_add(const char *path, const struct account_order *order, int64_t now_us,
		char error[static DATABASE_ERROR_BYTES]);
/* Changes what is given. */
int account_set(const char *path, const struct account_order *order, char error[static DATABASE_ERROR_BYTES]);

/* Who does something, and why; for the ledger.  Any bytes; what is no UTF-8 is stored as '?'. */
struct ledger_note {
	int64_t when_us;
	const char *who, *reason; /* "" for none */
};

/* Moves a balance by an amount other than 0: above it is a payment of the holder, below it one to the holder. */
int account_topup(const char *path, const char *name, int64_t amount_e8, const struct ledger_note *note,
		  int64_t *ret_balance_e8, char error[static DATABASE_ERROR_BYTES]);

struct fee_correction {
	char account[ACCOUNT_NAME_MAX + 1];
	int64_t original_e8; /* as the call was charged */
	int64_t before_e8;   /* as it stood until now: another correction, or the original */
	int64_t fee_e8;      /* from now on */
	int64_t moved_e8;    /* the balance: before - fee */
	int64_t balance_e8;
};

/* Corrects the fee (0 or more) of a call that the ledger has charged, or else whose CDR cdr_path (cdr.db) has: the
 * balance moves by the difference to the fee so far, the rows of the original charge and of earlier corrections stay.
 * cdr_id: CDR_ID_SIZE characters, terminated. */
int account_adjust(const char *path, const char *cdr_path, const char *cdr_id, int64_t fee_e8,
		   const struct ledger_note *note, struct fee_correction *ret_correction,
		   char error[static DATABASE_ERROR_BYTES]);

/* ---- reading; a database that is not there has no rows ---- */

struct account_row {
	const char *name, *currency, *table; /* lent until the function returns */
	int64_t balance_e8, overdraft_e8;
	bool locked;
	enum bill_until bill_until;
};
/* In order of their names; name "": all. */
int accounts_list(const char *path, const char *name, void (*row)(void *context, const struct account_row *row),
		  void *context, char error[static DATABASE_ERROR_BYTES]);

struct ledger_row {
	int64_t id, when_us, amount_e8, balance_e8; /* the balance after it */
	const char *kind;                           /* charge, cost, topup, adjust */
	const char *cdr_id, *who, *reason;          /* "" for none; lent */
};
/* What moved an account's balance, newest first. */
int account_ledger(const char *path, const char *name, uint32_t limit,
		   void (*row)(void *context, const struct ledger_row *row), void *context,
		   char error[static DATABASE_ERROR_BYTES]);

#endif
