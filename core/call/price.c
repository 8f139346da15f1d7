#include "core/call/price.h"

#include <assert.h>
#include <string.h>

#include "billing/tariff.h"

static_assert(GATEWAY_IDS_MAX - 1 <= ACCOUNT_ID_MAX, "every account that the configuration names can be in the tariff");

struct price price_of(const struct shard *s, uint32_t account_id, struct bytes number)
{
	const struct tariff *tariff = s->config->tariff;
	const struct account *account = tariff_account(tariff, account_id);
	struct rate rate;
	if (!account || !tariff_rate(tariff, account->table, number.at, number.size, s->now.real_us, &rate))
		return (struct price){ PRICE_NONE, "" };
	return (struct price){ rate.terms.rate_e8, account->currency };
}

/* (customer - vendor) / customer >= percent / 100. */
static bool earns(struct price vendor, struct price customer, uint32_t percent)
{
	__int128 profit = (__int128)customer.rate_e8 - vendor.rate_e8;
	return strcmp(vendor.currency, customer.currency) == 0 && profit * 100 >= (__int128)customer.rate_e8 * percent;
}

bool price_allows(const struct routing_gateway *rg, struct price vendor, struct price customer)
{
	if (!price_matters(rg))
		return true;
	if (vendor.rate_e8 == PRICE_NONE || (rg->max_price_e8 && vendor.rate_e8 > rg->max_price_e8))
		return false;
	return !rg->min_profit_percent ||
	       (customer.rate_e8 != PRICE_NONE && earns(vendor, customer, rg->min_profit_percent));
}
