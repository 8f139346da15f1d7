/* The columns of table `cdr` in the order of spec 9: what is written, what is listed, and of which type. */
#ifndef RW_BILLING_COLUMNS_H
#define RW_BILLING_COLUMNS_H

#include "billing/database.h"

/* FIRST for the first and NEXT for each other, so that lists with commas can be made of it. */
#define CDR_COLUMNS(FIRST, NEXT)                                                                                       \
	FIRST(cdr_id, TEXT)                                                                                            \
	NEXT(node, TEXT)                                                                                               \
	NEXT(shard, INTEGER)                                                                                           \
	NEXT(mapping_gateway, TEXT)                                                                                    \
	NEXT(routing_gateway, TEXT)                                                                                    \
	NEXT(account, TEXT)                                                                                            \
	NEXT(vendor_account, TEXT)                                                                                     \
	NEXT(caller_in, TEXT)                                                                                          \
	NEXT(callee_in, TEXT)                                                                                          \
	NEXT(caller_out, TEXT)                                                                                         \
	NEXT(callee_out, TEXT)                                                                                         \
	NEXT(source_address, TEXT)                                                                                     \
	NEXT(destination_address, TEXT)                                                                                \
	NEXT(call_id_a, TEXT)                                                                                          \
	NEXT(call_id_b, TEXT)                                                                                          \
	NEXT(start_us, INTEGER)                                                                                        \
	NEXT(ringing_us, INTEGER)                                                                                      \
	NEXT(connect_us, INTEGER)                                                                                      \
	NEXT(end_us, INTEGER)                                                                                          \
	NEXT(pdd_ms, INTEGER)                                                                                          \
	NEXT(hold_ms, INTEGER)                                                                                         \
	NEXT(billed_s, INTEGER)                                                                                        \
	NEXT(end_side, TEXT)                                                                                           \
	NEXT(end_reason, TEXT)                                                                                         \
	NEXT(sip_code, INTEGER)                                                                                        \
	NEXT(q850, INTEGER)                                                                                            \
	NEXT(attempts, JSON)                                                                                           \
	NEXT(session_timer, TEXT)                                                                                      \
	NEXT(refreshes_sent, INTEGER)                                                                                  \
	NEXT(refreshes_confirmed, INTEGER)                                                                             \
	NEXT(last_confirmed_us, INTEGER)                                                                               \
	NEXT(rate_prefix, TEXT)                                                                                        \
	NEXT(rate, TEXT)                                                                                               \
	NEXT(fee, TEXT)                                                                                                \
	NEXT(cost, TEXT)                                                                                               \
	NEXT(recovered, INTEGER)

#define CDR_COLUMN_NAME_FIRST(name, type) #name
#define CDR_COLUMN_NAME_NEXT(name, type)  ", " #name
#define CDR_COLUMN_NAMES                  CDR_COLUMNS(CDR_COLUMN_NAME_FIRST, CDR_COLUMN_NAME_NEXT)

#define CDR_COLUMN_ENUM(name, type) COLUMN_##name,
enum cdr_column { CDR_COLUMNS(CDR_COLUMN_ENUM, CDR_COLUMN_ENUM) CDR_COLUMN_COUNT };

extern const struct database_schema cdr_schema; /* store.c */

#endif
