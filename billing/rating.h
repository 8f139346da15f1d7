/* What a call costs: the one integer function that prepaid, postpaid, vendor cost and any later re-rating use. Spec 10.
 *
 *   s        = hold_ms / 1000, plus 1 if the rest is above 0 and reaches hold_precision_ms
 *   billed_s = 0 if s <= grace_s; else s less free_s; 0 if nothing is left;
 *              else first + ceil(max(0, s - first) / next) * next
 *   fee      = connect_fee + billed_s * rate / 60 if billed_s > 0, rounded half up to fee_decimals at the end
 *
 * Pure; 128-bit intermediates; what does not fit is INT64_MAX.  */
#ifndef RW_BILLING_RATING_H
#define RW_BILLING_RATING_H

#include <stdint.h>

struct rate_terms {
	int64_t rate_e8;        /* a minute */
	int64_t connect_fee_e8; /* once, of a call that is billed at all */
	uint32_t first_s;       /* first increment, 0 counts as 1 */
	uint32_t next_s;        /* each one after it, 0 counts as 1 */
	uint32_t grace_s;       /* calls up to here cost nothing */
};

/* The SERVER_BILLING_ parameters, as they were when the call was answered. */
struct rating_rules {
	uint16_t hold_precision_ms; /* 0..999 */
	uint16_t free_s;            /* 0..3600 */
	uint8_t fee_decimals;       /* 0..8 */
};

uint64_t rating_billed_s(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t hold_ms);
/* Of seconds as rating_billed_s() gives them; rounded. */
int64_t rating_fee_e8(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t billed_s);
/* The same before rounding to fee_decimals, but up to a whole 10^-8: what credit must be there for.  The fee is above
 * it by at most half of its own last decimal. */
int64_t rating_charge_e8(const struct rate_terms *terms, uint64_t billed_s);

/* The longest hold that is billed no more than `billed_s`; UINT64_MAX: any.  In whole seconds, so that a call cut off
 * then, if a little late, is not billed one more. */
uint64_t rating_covers_ms(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t billed_s);
/* The smallest value of rating_billed_s() above `billed_s`: one increment more (the first: from 0). */
uint64_t rating_next_billed_s(const struct rate_terms *terms, uint64_t billed_s);
/* The largest value of rating_billed_s() for which the charge is at most `credit_e8`; 0: not even the first increment.
 * UINT64_MAX: any (it costs nothing more). */
uint64_t rating_billed_s_for(const struct rate_terms *terms, int64_t credit_e8);

#endif
