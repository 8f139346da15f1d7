/* What the parts of charge.h share: charge.c (credit, call by call), charge_bill.c (the fee), charge_written.c (the
 * form in the journal). */
#ifndef RW_CORE_CALL_CHARGE_PARTS_H
#define RW_CORE_CALL_CHARGE_PARTS_H

#include "core/call/charge.h"

/* Of the last decimal of a fee. */
int64_t charge_fee_unit_e8(const struct rating_rules *rules);
/* The SERVER_BILLING_ parameters as they are now. */
struct rating_rules charge_rules(const struct shard *s);
/* What it costs the customer for so long, and what the vendor asks for so long; its fee and cost are noted in it. */
void charge_write_bill(struct charge *charge, uint64_t hold_ms, uint64_t vendor_hold_ms, struct charge_bill *bill);

/* What charge_write() wrote: terms, rules and prefix, and the name of the account (lent).  false: damaged or of an
 * unknown version. */
bool charge_read(struct bytes in, struct charge *ret_charge, struct bytes *ret_account);
/* By name; NULL: there is none (any more). */
const struct account *charge_account(const struct tariff *t, struct bytes name);

#endif
