/* What an operator wants done to ringwheel.db (accounts.h, rates.h), as one value that a thread can be handed: the
 * control socket fills it in, the loading thread carries it out, and knows from the outcome what the running node must
 * be told. */
#ifndef RW_BILLING_ORDER_H
#define RW_BILLING_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/accounts.h"
#include "billing/rates.h"

#define ORDER_PATH_MAX 4095

enum order_kind {
	ORDER_ACCOUNT_ADD,
	ORDER_ACCOUNT_SET,   /* also lock and unlock */
	ORDER_ACCOUNT_TOPUP, /* account.name, amount_e8, who, reason */
	ORDER_CDR_ADJUST,    /* cdr_id, cdr_path, amount_e8: the new fee, who, reason */
	ORDER_RATES_IMPORT,  /* table, file */
	ORDER_RATES_EXPORT,  /* table, file; file "": as a text */
	ORDER_RATES_DELETE,  /* table */
};

struct order {
	enum order_kind kind;
	struct account_order account;
	int64_t amount_e8;
	char who[LEDGER_WHO_MAX + 1], reason[LEDGER_REASON_MAX + 1];
	char cdr_id[CDR_ID_SIZE + 1];
	char table[RATE_TABLE_MAX + 1];
	char file[ORDER_PATH_MAX + 1];     /* absolute */
	char cdr_path[ORDER_PATH_MAX + 8]; /* cdr.db, for what the ledger has not charged */
};

struct order_outcome {
	int result; /* 0 or a negative errno, as accounts.h has it */
	char error[DATABASE_ERROR_BYTES];
	char *text; /* bad rows of an import, a line each; an exported table; NULL: none.  The owner frees it */
	bool tariff_changed;                /* what ledger_load() reads is another one than before */
	char account[ACCOUNT_NAME_MAX + 1]; /* whose balance has moved */
	int64_t moved_e8, balance_e8;       /* by how much, and what it is now */
	uint64_t rows, rows_before;         /* of rates; before: of an import or deletion */
	uint64_t faults;                    /* bad rows of an import */
	struct fee_correction correction;   /* of ORDER_CDR_ADJUST */
};

/* Carries it out; `path` is ringwheel.db. */
void order_carry_out(const struct order *order, const char *path, int64_t now_us, struct order_outcome *ret_outcome);

#endif
