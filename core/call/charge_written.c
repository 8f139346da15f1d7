/* A charge in the journal: little-endian, in this order.  What later versions have added stands behind the account's
 * name; a record of a former one ends before it, and a reader skips what it does not know. */
#include <assert.h>

#include "core/call/charge.h"
#include "core/call/charge_parts.h"
#include "core/call/purse.h"

#define CHARGE_VERSION 1

enum { WRITTEN_CUSTOMER = 1, WRITTEN_VENDOR = 2 };

static char *put(char *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		*at++ = (char)(value >> (8 * i));
	return at;
}

static uint64_t take(const char **at, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)(uint8_t) * (*at)++ << (8 * i);
	return value;
}

static char *put_terms(char *at, const struct rate_terms *terms)
{
	at = put(at, (uint64_t)terms->rate_e8, 8);
	at = put(at, (uint64_t)terms->connect_fee_e8, 8);
	at = put(at, terms->first_s, 4);
	at = put(at, terms->next_s, 4);
	return put(at, terms->grace_s, 4);
}

static bool take_terms(const char **at, struct rate_terms *terms)
{
	terms->rate_e8 = (int64_t)take(at, 8);
	terms->connect_fee_e8 = (int64_t)take(at, 8);
	terms->first_s = (uint32_t)take(at, 4);
	terms->next_s = (uint32_t)take(at, 4);
	terms->grace_s = (uint32_t)take(at, 4);
	return terms->rate_e8 >= 0 && terms->connect_fee_e8 >= 0;
}

#define FIXED_BYTES (4 + sizeof((struct charge *)0)->prefix + 5 + 2 * 28 + 1) /* up to the account's name */
#define ADDED_BYTES 1
static_assert(FIXED_BYTES + ACCOUNT_NAME_MAX + ADDED_BYTES <= CHARGE_BYTES_MAX, "the longest");

size_t charge_write(const struct shard *s, const struct call *call, char *out)
{
	const struct charge *charge = charge_of(s, call);
	if (!charge)
		return 0;
	struct bytes name = bytes_of(gateway_name(charge->account_id));
	char *at = put(out, CHARGE_VERSION, 1);
	at = put(at, (charge->has_customer ? WRITTEN_CUSTOMER : 0) | (charge->has_vendor ? WRITTEN_VENDOR : 0), 1);
	at = put(at, charge->bill_until, 1);
	at = put(at, charge->prefix_size, 1);
	memcpy(at, charge->prefix, sizeof charge->prefix);
	at = put(at + sizeof charge->prefix, charge->rules.hold_precision_ms, 2);
	at = put(at, charge->rules.free_s, 2);
	at = put(at, charge->rules.fee_decimals, 1);
	at = put_terms(at, &charge->customer);
	at = put_terms(at, &charge->vendor);
	at = put(at, name.size, 1);
	memcpy(at, name.at, name.size);
	at = put(at + name.size, charge->vendor_bill_until, ADDED_BYTES);
	return (size_t)(at - out);
}

/* Where there was no such byte the customer's account decided for both. */
static bool take_added(const char *at, const char *end, struct charge *c)
{
	uint64_t vendor_bill_until = at < end ? take(&at, ADDED_BYTES) : c->bill_until;
	c->vendor_bill_until = vendor_bill_until & 15;
	return vendor_bill_until <= BILL_UNTIL_LAST_CONFIRMED;
}

bool charge_read(struct bytes in, struct charge *c, struct bytes *ret_account)
{
	const char *at = in.at;
	if (in.size < FIXED_BYTES || take(&at, 1) != CHARGE_VERSION)
		return false;
	uint64_t what = take(&at, 1);
	c->has_customer = what & WRITTEN_CUSTOMER;
	c->has_vendor = (what & WRITTEN_VENDOR) != 0;
	uint64_t bill_until = take(&at, 1);
	c->bill_until = bill_until & 15;
	c->prefix_size = (uint8_t)take(&at, 1);
	memcpy(c->prefix, at, sizeof c->prefix);
	at += sizeof c->prefix;
	c->rules.hold_precision_ms = (uint16_t)take(&at, 2);
	c->rules.free_s = (uint16_t)take(&at, 2);
	c->rules.fee_decimals = (uint8_t)take(&at, 1);
	bool terms = take_terms(&at, &c->customer);
	terms = take_terms(&at, &c->vendor) && terms;
	ret_account->size = (uint32_t)take(&at, 1);
	ret_account->at = at;
	for (unsigned i = 0; i < c->prefix_size && i < RATE_PREFIX_MAX; i++)
		terms = terms && (c->prefix[i / 2] >> (i % 2 ? 0 : 4) & 15) <= 9;
	return terms && c->prefix_size <= RATE_PREFIX_MAX && bill_until <= BILL_UNTIL_LAST_CONFIRMED &&
	       c->rules.hold_precision_ms < 1000 && c->rules.fee_decimals <= MONEY_DECIMALS &&
	       in.size >= FIXED_BYTES + ret_account->size && take_added(at + ret_account->size, in.at + in.size, c);
}

/* They are in order of their names. */
const struct account *charge_account(const struct tariff *t, struct bytes name)
{
	uint32_t low = 0, high = t ? tariff_account_count(t) : 0;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct account *account = tariff_account_at(t, middle);
		struct bytes its = bytes_of(account->name);
		uint32_t common = name.size < its.size ? name.size : its.size;
		int order = common ? memcmp(name.at, its.at, common) : 0;
		if (order == 0 && name.size == its.size)
			return account;
		if (order < 0 || (order == 0 && name.size < its.size))
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void charge_spend_written(struct shard *s, struct bytes written, const struct charge_bill *bill)
{
	struct charge read = { .has_customer = false };
	struct bytes name;
	if (!written.size || !charge_read(written, &read, &name) || !read.has_customer)
		return;
	const struct account *account = charge_account(s->config->tariff, name);
	if (account)
		purse_settle(s, account->id, 0, bill->fee_e8);
}
