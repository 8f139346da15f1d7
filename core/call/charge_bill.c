/* What the record of a call says of money. */
#include <assert.h>

#include "core/call/charge.h"
#include "core/call/charge_parts.h"
#include "core/call/leg.h"

static struct bytes read_prefix(const struct charge *charge, char room[static RATE_PREFIX_MAX + 1])
{
	for (unsigned i = 0; i < charge->prefix_size; i++)
		room[i] = (char)('0' + (charge->prefix[i / 2] >> (i % 2 ? 0 : 4) & 15));
	return (struct bytes){ room, charge->prefix_size };
}

int64_t charge_fee_unit_e8(const struct rating_rules *rules)
{
	int64_t unit = 1;
	for (unsigned i = rules->fee_decimals; i < MONEY_DECIMALS; i++)
		unit *= 10;
	return unit;
}

struct rating_rules charge_rules(const struct shard *s)
{
	const struct parameters *p = &s->config->parameters;
	return (struct rating_rules){ .hold_precision_ms = (uint16_t)p->SERVER_BILLING_HOLD_TIME_PRECISION,
				      .free_s = (uint16_t)p->SERVER_BILLING_FREE_TIME,
				      .fee_decimals = (uint8_t)p->SERVER_BILLING_FEE_PRECISION };
}

/* The seconds of a call that nobody pays for, in increments of one. */
static int64_t plain_billed_s(const struct rating_rules *rules, uint64_t hold_ms)
{
	return (int64_t)rating_billed_s(&(struct rate_terms){ 0 }, rules, hold_ms);
}

/* Up to the latest answer of either side, by the monotonic clock. */
static uint64_t confirmed_ms(const struct shard *s, const struct call *call, uint64_t hold_ms)
{
	const struct leg *legs[] = { leg_at(s, call->caller_leg), leg_at(s, call->callee_leg) };
	uint64_t latest_ns = 0;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at_ns = legs[i] ? legs[i]->session.confirmed_at_ns : 0;
		if (is_before(call->connect_ns + latest_ns, at_ns) && at_ns)
			latest_ns = at_ns - call->connect_ns;
	}
	return latest_ns / 1000000 < hold_ms ? latest_ns / 1000000 : hold_ms;
}

static bool is_unproven(enum cdr_end_reason reason)
{
	return reason == CDR_END_session_timeout || reason == CDR_END_ack_missing || reason == CDR_END_dialog_lost ||
	       reason == CDR_END_node_crash;
}

static struct bytes write_amount(int64_t e8, unsigned decimals, char room[static MONEY_TEXT_MAX])
{
	size_t size = money_write(e8, decimals, room);
	return (struct bytes){ room, (uint32_t)size };
}

/* A call that had no rates, because it was refused or nobody answered: it costs the accounts that exist nothing. */
static void bill_nothing(const struct shard *s, const struct facts *facts, unsigned decimals, struct charge_bill *bill)
{
	if (!bill->fee.size && tariff_account(s->config->tariff, facts->account_id))
		bill->fee = write_amount(0, decimals, bill->fee_room);
	if (!bill->cost.size && tariff_account(s->config->tariff, facts->vendor_account_id))
		bill->cost = write_amount(0, decimals, bill->cost_room);
}

/* Rounded, and no more than what can be read again from the record (money.h). */
static int64_t fee_of(const struct rate_terms *terms, const struct rating_rules *rules, uint64_t billed_s)
{
	int64_t fee = rating_fee_e8(terms, rules, billed_s);
	return fee <= MONEY_MAX ? fee : MONEY_MAX - MONEY_MAX % charge_fee_unit_e8(rules);
}

void charge_write_bill(struct charge *charge, uint64_t hold_ms, uint64_t vendor_hold_ms, struct charge_bill *bill)
{
	unsigned decimals = charge->rules.fee_decimals;
	if (charge->has_customer) {
		uint64_t billed_s = rating_billed_s(&charge->customer, &charge->rules, hold_ms);
		size_t size = money_write_short(charge->customer.rate_e8, 0, bill->rate_room);
		charge->fee_e8 = fee_of(&charge->customer, &charge->rules, billed_s);
		bill->billed_s = (int64_t)billed_s;
		bill->fee_e8 = charge->fee_e8;
		bill->rate_prefix = read_prefix(charge, bill->prefix_room);
		bill->rate = (struct bytes){ bill->rate_room, (uint32_t)size };
		bill->fee = write_amount(charge->fee_e8, decimals, bill->fee_room);
	}
	charge->cost_e8 = 0;
	if (charge->has_vendor) {
		uint64_t billed_s = rating_billed_s(&charge->vendor, &charge->rules, vendor_hold_ms);
		charge->cost_e8 = fee_of(&charge->vendor, &charge->rules, billed_s);
		bill->cost = write_amount(charge->cost_e8, decimals, bill->cost_room);
	}
}

/* What an account pays for, or asks for, of a call that may have ended before anybody knew. */
static uint64_t billed_ms(unsigned bill_until, uint64_t hold_ms, uint64_t proven_ms)
{
	return bill_until == BILL_UNTIL_LAST_CONFIRMED ? proven_ms : hold_ms;
}

void charge_bill(struct shard *s, const struct call *call, const struct facts *facts, enum cdr_end_reason reason,
		 uint64_t hold_ms, struct charge_bill *ret_bill)
{
	struct charge *charge = charge_at(s, facts->charge);
	const struct rating_rules rules = charge ? charge->rules : charge_rules(s);
	ret_bill->billed_s = plain_billed_s(&rules, hold_ms);
	ret_bill->fee_e8 = 0;
	ret_bill->rate_prefix = ret_bill->rate = ret_bill->fee = ret_bill->cost = BYTES_NONE;
	if (!(facts->account_id | facts->vendor_account_id))
		return;
	if (charge) {
		uint64_t proven_ms = is_unproven(reason) ? confirmed_ms(s, call, hold_ms) : hold_ms;
		charge_write_bill(charge, billed_ms(charge->bill_until, hold_ms, proven_ms),
				  billed_ms(charge->vendor_bill_until, hold_ms, proven_ms), ret_bill);
	}
	if (!call->connect_ns || !hold_ms)
		bill_nothing(s, facts, rules.fee_decimals, ret_bill);
}

void charge_bill_written(const struct shard *s, struct bytes written, uint64_t hold_ms, struct charge_bill *ret_bill)
{
	struct charge read = { .has_customer = false };
	struct bytes name;
	bool is_read = written.size && charge_read(written, &read, &name);
	const struct rating_rules rules = is_read ? read.rules : charge_rules(s);
	ret_bill->billed_s = plain_billed_s(&rules, hold_ms);
	if (is_read)
		charge_write_bill(&read, hold_ms, hold_ms, ret_bill);
}
