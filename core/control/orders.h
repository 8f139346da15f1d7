/* What accounts.c and rates.c share: where the database is, orders to the loading thread, amounts as JSON. */
#ifndef RW_CORE_CONTROL_ORDERS_H
#define RW_CORE_CONTROL_ORDERS_H

#include "billing/ledger.h"
#include "core/control/changes.h"

#define LEDGER_PATH_BYTES (4096 + sizeof "/" LEDGER_FILE)

void write_ledger_path(const struct request *r, char path[static LEDGER_PATH_BYTES]);

/* The order, to be filled in and given to change_submit(); NULL: the request has been ended. */
struct change *order_create(struct request *r, enum order_kind kind,
			    void (*finish)(struct request *r, const struct change *change));

/* Ends the request if the order was not carried out, or not put in force; true: it has. */
bool order_failed(struct request *r, const struct change *change);
/* Ends the request with what a reading function has said. */
void read_failed(struct request *r, int result, const char *error);

/* "12.50": at least two decimals, as many as it has. */
json_t *amount_json(int64_t e8);
/* A parameter that is an amount.  false: it is none, and the request has been ended. */
bool amount_read(struct request *r, const char *name, int64_t *ret_e8);

/* Who asks and why: the parameters `who`, else the user of the process at the other end, and `reason`. */
void order_sign(struct request *r, struct order *order);

#endif
