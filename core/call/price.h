/* What a number costs a minute, as far as it decides where a call goes: the rates of a vendor's account, and of the
 * customer's, in effect at the moment.  Both are asked for the number that routing looks up (CALL_CALLEE), which is the
 * one that is billed.
 *
 * Nothing is kept between two inputs: accounts are found by their ids in the tariff of the configuration of the
 * moment.  */
#ifndef RW_CORE_CALL_PRICE_H
#define RW_CORE_CALL_PRICE_H

#include "core/call/state.h"

#define PRICE_NONE INT64_MAX /* more than any */

struct price {
	int64_t rate_e8;      /* a minute; PRICE_NONE: there is no such account, or no rate for the number */
	const char *currency; /* of the account; lent until the configuration changes */
};

struct price price_of(const struct shard *s, uint32_t account_id, struct bytes number);

/* Whether a gateway has to be asked price_allows(). */
static inline bool price_matters(const struct routing_gateway *rg)
{
	return rg->max_price_e8 || rg->min_profit_percent;
}

/* max_price: what is known to cost no more.  min_profit_percent: what the customer is known to pay so much more for, in
 * percent of the customer's rate; rates of different currencies say nothing about that. */
bool price_allows(const struct routing_gateway *rg, struct price vendor, struct price customer);

#endif
