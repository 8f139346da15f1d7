/* What a call costs its customer's account, and what its vendor asks for it.  Spec 10.
 *
 * Only a call with an account that exists has a struct charge; another pays nothing.  The number that is rated is the
 * one that routing looks up, for customer and vendor alike.
 *
 *   admission   an account, a rate for the number, and credit for SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME, which
 *               is reserved: on top of what the account's other calls have used or reserved
 *   connect     the rates in effect now are those of the call (a rate that has run out since admission stays); what was
 *               reserved pays for the first time; what of it is more than a portion is given back
 *   while up    a little before that is over, as much again for some time, or for one increment where credit is scarce
 *               (bank.h).  What cannot be had is waited for until the paid time ends, and then the call does: exactly
 *               then, so that it never costs more than was reserved
 *   end         the fee, rounded, moves the balance; the rest of what was reserved goes back
 *
 * What is reserved for so many billed seconds is what they cost, rounded up, or the fee as it will be rounded if that
 * is more: so no rounding overdraws an account.
 *
 * A call that costs nothing more is never looked at again.  One whose account has an unlimited overdraft reserves
 * nothing, and looks from time to time whether it still has. */
#ifndef RW_CORE_CALL_CHARGE_H
#define RW_CORE_CALL_CHARGE_H

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/call/facts.h"
#include "core/call/state.h"

/* More credit is asked for so long before the paid time ends: no answer comes that late. */
#define CHARGE_AHEAD_NS UINT64_C(200000000)
/* While there is plenty, for so long at a time, or for one increment if that is longer. */
#define CHARGE_PORTION_MS 10000u
/* Whether an unlimited overdraft still is. */
#define CHARGE_RECHECK_NS UINT64_C(60000000000)

/* By index + 1; NULL: none. */
static inline struct charge *charge_at(const struct shard *s, uint32_t link)
{
	return link ? pool_at(&s->charges, link - 1) : NULL;
}

/* NULL: the call has none. */
struct charge *charge_of(const struct shard *s, const struct call *call);

static inline bool charge_is_new(const struct charge *charge)
{
	return charge->ends_ns == 0; /* its call is in set-up */
}

/* ---- a call's way ---- */

enum charge_answer {
	CHARGE_GRANTED,   /* or nobody pays */
	CHARGE_LOCKED,    /* the account is */
	CHARGE_NO_RATE,   /* for this number; or, with refuse_unknown_account, no such account */
	CHARGE_NO_CREDIT, /* not even if it were all there was */
	CHARGE_PENDING    /* setup_credit_answered() brings the answer, maybe before this returns */
};

/* May the account afford it?  Once, before routing. */
enum charge_answer charge_admit(struct shard *s, struct call *call);
/* The call waits no longer for that, or for more. */
void charge_forget(struct shard *s, struct call *call, struct charge *charge);

/* It is answered: call.connect_ns, setup.connect_us and setup.vendor_account_id stand. */
void charge_connect(struct shard *s, struct call *call);
/* What is paid is over at that time: then the call has ended when it was, whatever else comes to end it. */
bool charge_is_over(const struct shard *s, const struct charge *charge, uint64_t at_ns);
uint64_t charge_end_ns(const struct shard *s, const struct charge *charge);
/* Before that is asked, of a call that something ends at that time: if this shard did not run when more should have
 * been asked for, it is taken now where the account has it. */
void charge_catch_up(struct shard *s, struct charge *charge, uint64_t at_ns);
#define CHARGE_EXHAUSTED_LINE "SIP;cause=402;text=\"balance exhausted\""
void charge_due(struct shard *s, struct charge *charge);

/* What the CDR says. */
struct charge_bill {
	int64_t billed_s, fee_e8;
	struct bytes rate_prefix, rate, fee, cost; /* "": no rate; no account */
	char prefix_room[RATE_PREFIX_MAX + 1];
	char rate_room[MONEY_TEXT_MAX], fee_room[MONEY_TEXT_MAX], cost_room[MONEY_TEXT_MAX];
};

/* Of a call that ends.  hold_ms: up to its end, 0 if it was not connected; where the account says so, a call that ended
 * because nobody heard of it any more is billed up to its last proof of life: the fee as the customer's account says,
 * the cost as the vendor's does. */
void charge_bill(struct shard *s, const struct call *call, const struct facts *facts, enum cdr_end_reason reason,
		 uint64_t hold_ms, struct charge_bill *ret_bill);
/* Afterwards, when nothing more is done with the call: the fee is spent, the rest is given back, and the vendor's
 * account (0: none) has the cost.  Other calls may go on with it. */
void charge_settle(struct shard *s, struct charge *charge, uint32_t vendor_account_id);

/* From purse.c.  Reserves what it can use of an amount, at least least_e8; how much that was. */
int64_t charge_take(struct shard *s, struct charge *charge, int64_t amount_e8);
void charge_granted(struct shard *s, struct charge *charge);
void charge_refused(struct shard *s, struct charge *charge);

/* ---- carried over a restart (core/call/carry.h) ---- */

#define CHARGE_BYTES_MAX 192

/* The charge of an answered call, for its RECORD_LIVE; 0 bytes: it has none. */
size_t charge_write(const struct shard *s, const struct call *call, char *out);
/* Likewise back, once the call stands (connect_ns, facts or set-up).  It is debited for all its time since connect,
 * whether the credit is there or not, and goes on from there; or, where it has ended meanwhile (ended_ns; 0: it has
 * not), for its time until then, and no credit ends it.  An account that is no more pays nothing, but the record will
 * say what the call cost.  Empty: the call has none.  false: damaged or of an unknown version. */
bool charge_restore(struct shard *s, struct call *call, struct bytes in, uint64_t ended_ns);

/* Of a call that is not carried on: what it costs up to its end (`ret_bill` is all zero before), and, once the CDR is
 * written, that the customer has paid it. */
void charge_bill_written(const struct shard *s, struct bytes written, uint64_t hold_ms, struct charge_bill *ret_bill);
void charge_spend_written(struct shard *s, struct bytes written, const struct charge_bill *bill);

/* Asserts that charges, purses and banks agree; how many charges are armed. */
uint64_t charge_check(const struct shard *s);

#endif
