#include "core/call/charge.h"

#include <assert.h>

#include "core/call/bank.h"
#include "core/call/ending.h"
#include "core/call/leg.h"
#include "core/call/purse.h"
#include "core/call/setup.h"
#include "sip/pack.h"

#define NEVER UINT64_MAX

/* A shard answers within a turn or two of its loop: whoever has said nothing for so long is stuck. */
#define ASK_MAX_NS UINT64_C(5000000000)

struct charge *charge_of(const struct shard *s, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	struct facts facts;
	if (setup)
		return charge_at(s, setup->charge);
	facts_read(s, call, &facts);
	return charge_at(s, facts.charge);
}

static struct charge *take_charge(struct shard *s, struct call *call)
{
	uint32_t index = pool_take(&s->charges); /* there is one for each call */
	struct charge *charge = pool_at(&s->charges, index);
	const struct parameters *p = &s->config->parameters;
	wheel_entry_init(&charge->timer, WHEEL_CHARGE);
	charge->call = call_index(s, call);
	charge->rules = (struct rating_rules){ .hold_precision_ms = (uint16_t)p->SERVER_BILLING_HOLD_TIME_PRECISION,
					       .free_s = (uint16_t)p->SERVER_BILLING_FREE_TIME,
					       .fee_decimals = (uint8_t)p->SERVER_BILLING_FEE_PRECISION };
	if (facts_set_charge(s, call, index + 1))
		return charge;
	pool_give(&s->charges, index); /* only of a call that was carried over */
	return NULL;
}

/* ---- rates ---- */

static struct bytes rated_number(const struct shard *s, const struct setup *setup)
{
	struct bytes numbers[CALL_NUMBERS];
	pack_read(text_get(&s->texts, setup->numbers), numbers, CALL_NUMBERS);
	return numbers[CALL_CALLEE];
}

static void keep_prefix(struct charge *charge, const struct rate *rate)
{
	static_assert(sizeof charge->prefix >= (RATE_PREFIX_MAX + 1) / 2, "two digits a byte");
	assert(rate->prefix_size <= RATE_PREFIX_MAX);
	charge->prefix_size = (uint8_t)rate->prefix_size;
	memset(charge->prefix, 0, sizeof charge->prefix);
	for (uint32_t i = 0; i < rate->prefix_size; i++)
		charge->prefix[i / 2] |= (uint8_t)((rate->prefix[i] - '0') << (i % 2 ? 0 : 4));
}

static struct bytes read_prefix(const struct charge *charge, char room[static RATE_PREFIX_MAX + 1])
{
	for (unsigned i = 0; i < charge->prefix_size; i++)
		room[i] = (char)('0' + (charge->prefix[i / 2] >> (i % 2 ? 0 : 4) & 15));
	return (struct bytes){ room, charge->prefix_size };
}

static bool find_rate(const struct shard *s, const struct account *account, struct bytes number, int64_t at_us,
		      struct rate *ret_rate)
{
	return account && account->table != TARIFF_NO_TABLE &&
	       tariff_rate(s->config->tariff, account->table, number.at, number.size, at_us, ret_rate);
}

static bool is_unlimited(const struct account *account)
{
	return account && account->overdraft_e8 == OVERDRAFT_UNLIMITED;
}

/* ---- what seconds cost, and what an amount pays for ---- */

/* What must be reserved for them. */
static int64_t need_e8(const struct charge *charge, uint64_t billed_s)
{
	int64_t exact = rating_charge_e8(&charge->customer, billed_s);
	int64_t fee = rating_fee_e8(&charge->customer, &charge->rules, billed_s);
	return exact > fee ? exact : fee;
}

/* Of the last decimal of a fee. */
static int64_t fee_unit_e8(const struct rating_rules *rules)
{
	int64_t unit = 1;
	for (unsigned i = rules->fee_decimals; i < MONEY_DECIMALS; i++)
		unit *= 10;
	return unit;
}

/* The most billed seconds that an amount is enough for; UINT64_MAX: any. */
static uint64_t paid_for(const struct charge *charge, int64_t amount_e8)
{
	int64_t unit = fee_unit_e8(&charge->rules);
	int64_t rounds_up_e8 =
		amount_e8 - amount_e8 % unit + unit / 2; /* what costs so much has a fee above the amount */
	uint64_t billed_s = rating_billed_s_for(&charge->customer, rounds_up_e8 < amount_e8 ? rounds_up_e8 : amount_e8);
	while (billed_s && need_e8(charge, billed_s) > amount_e8) /* its fee is rounded up: one increment less */
		billed_s = rating_billed_s_for(&charge->customer, rating_charge_e8(&charge->customer, billed_s) - 1);
	return billed_s;
}

/* How long it may last, of what is paid; UINT64_MAX: for ever. */
static uint64_t covers_ms(const struct charge *charge)
{
	return charge->paid_s == UINT64_MAX ? UINT64_MAX
					    : rating_covers_ms(&charge->customer, &charge->rules, charge->paid_s);
}

#define COVERS_MAX_MS UINT64_C(1000000000000) /* 31 years */

static uint64_t elapsed_ms(const struct shard *s, const struct charge *charge)
{
	return (s->now.now_ns - call_at(s, charge->call)->connect_ns) / 1000000;
}

/* It never ends later than what is paid, or a call would cost more; so a time that would be 0 is as good as one. */
static uint64_t paid_end_ns(const struct shard *s, const struct charge *charge)
{
	uint64_t ms = covers_ms(charge);
	return ms > COVERS_MAX_MS ? NEVER : call_at(s, charge->call)->connect_ns + milliseconds_ns(ms);
}

uint64_t charge_end_ns(const struct shard *s, const struct charge *charge)
{
	return charge->asks_late ? paid_end_ns(s, charge) : charge->ends_ns;
}

/* ---- more credit for a call that is up ---- */

static void arm(struct shard *s, struct charge *charge, uint64_t due_ns)
{
	if (due_ns == NEVER)
		wheel_cancel(&s->wheel, &charge->timer);
	else
		wheel_arm(&s->wheel, &charge->timer, due_ns);
}

static void arm_for_credit(struct shard *s, struct charge *charge)
{
	if (charge->ends_ns == NEVER)
		arm(s, charge, NEVER);
	else
		arm(s, charge, charge->waits ? charge->ends_ns : charge->ends_ns - CHARGE_AHEAD_NS);
}

/* What the next increment costs, and what a portion does; from now on, if what is paid is over. */
static bool work_out_wants(const struct shard *s, struct charge *charge)
{
	uint64_t paid_ms = covers_ms(charge), now_ms = elapsed_ms(s, charge),
		 until_ms = paid_ms > now_ms ? paid_ms : now_ms;
	uint64_t next_s = rating_billed_s(&charge->customer, &charge->rules, until_ms + 1000);
	uint64_t portion_s = rating_billed_s(&charge->customer, &charge->rules, until_ms + CHARGE_PORTION_MS);
	charge->least_e8 = need_e8(charge, next_s) - charge->reserved_e8;
	charge->most_e8 = need_e8(charge, portion_s) - charge->reserved_e8;
	if (charge->least_e8 >= MONEY_MAX)
		return false; /* nobody has so much */
	if (charge->most_e8 >= MONEY_MAX || !purse_has_plenty(s, charge->account_id, charge->most_e8))
		charge->most_e8 = charge->least_e8;
	return true;
}

int64_t charge_take(struct shard *s, struct charge *charge, int64_t amount_e8)
{
	int64_t most = charge->reserved_e8 + charge->most_e8, before = charge->reserved_e8;
	(void)s;
	if (amount_e8 >= charge->most_e8) {
		charge->reserved_e8 = most;
		return most - before;
	}
	uint64_t paid_s = paid_for(charge, before + amount_e8); /* whole increments */
	charge->reserved_e8 = need_e8(charge, paid_s);
	assert(charge->reserved_e8 - before >= charge->least_e8 && charge->reserved_e8 - before <= amount_e8);
	return charge->reserved_e8 - before;
}

static void lengthen(struct shard *s, struct charge *charge)
{
	charge->asks_late = false;
	charge->paid_s = paid_for(charge, charge->reserved_e8);
	charge->ends_ns = paid_end_ns(s, charge);
	arm_for_credit(s, charge);
}

static void exhausted(struct shard *s, struct charge *charge)
{
	struct ending ending = { .reason = CDR_END_balance_exhausted,
				 .side = CDR_SIDE_SWITCH,
				 .at_ns = charge_end_ns(s, charge),
				 .reason_header = BYTES(CHARGE_EXHAUSTED_LINE) };
	call_end(s, call_at(s, charge->call), &ending);
}

/* After the paid time, if this shard did not run when it should have asked: then the call goes on until the bank has
 * answered, and if there is nothing it has ended when its paid time did. */
static void ask_more(struct shard *s, struct charge *charge)
{
	bool late = !is_before(s->now.now_ns, charge->ends_ns);
	if (!work_out_wants(s, charge)) {
		if (late)
			exhausted(s, charge);
		else
			arm(s, charge, charge->ends_ns);
		return;
	}
	if (charge->least_e8 <= 0) { /* the rounding of a fee has paid for it already */
		lengthen(s, charge);
		return;
	}
	int64_t taken = purse_take(s, charge->account_id, charge->least_e8, charge->most_e8);
	if (taken) {
		charge->reserved_e8 += taken;
		lengthen(s, charge);
		return;
	}
	if (late) {
		charge->asks_late = true;
		charge->ends_ns = s->now.now_ns + CHARGE_AHEAD_NS;
	}
	arm(s, charge, charge->ends_ns);
	purse_wait(s, charge);
}

/* What was reserved for set-up is more than a call that is up may hold (spec 10: running calls share the credit). */
static int64_t too_much_e8(const struct shard *s, const struct charge *charge)
{
	uint64_t portion_s =
		rating_billed_s(&charge->customer, &charge->rules, elapsed_ms(s, charge) + CHARGE_PORTION_MS);
	int64_t keep = need_e8(charge, portion_s);
	return charge->reserved_e8 > keep ? charge->reserved_e8 - keep : 0;
}

static void give_too_much_back(struct shard *s, struct charge *charge)
{
	int64_t more = too_much_e8(s, charge);
	charge->reserved_e8 -= more;
	lengthen(s, charge);
	if (more)
		purse_settle(s, charge->account_id, more, 0);
}

bool charge_is_over(const struct shard *s, const struct charge *charge, uint64_t at_ns)
{
	uint64_t end_ns = charge_end_ns(s, charge);
	return !charge_is_new(charge) && end_ns != NEVER && is_before(end_ns, at_ns);
}

void charge_catch_up(struct shard *s, struct charge *charge, uint64_t at_ns)
{
	if (charge->unlimited || !charge_is_over(s, charge, at_ns) || (charge->waits && !charge->asks_late))
		return;
	if (charge->waits)
		purse_forget(s, charge);
	uint64_t hold_ms = (at_ns - call_at(s, charge->call)->connect_ns) / 1000000;
	int64_t need = need_e8(charge, rating_billed_s(&charge->customer, &charge->rules, hold_ms + 1000));
	int64_t more = need - charge->reserved_e8;
	if (need >= MONEY_MAX)
		return;
	if (more > 0 && !purse_take(s, charge->account_id, more, more)) {
		if (!purse_has_plenty(s, charge->account_id, more))
			return;
		purse_force(s, charge->account_id, more);
	}
	charge->reserved_e8 += more > 0 ? more : 0;
	lengthen(s, charge);
}

/* Takes what the time until now, and a second more, costs; it is talked already. */
static void debit_elapsed(struct shard *s, struct charge *charge)
{
	uint64_t billed_s = rating_billed_s(&charge->customer, &charge->rules, elapsed_ms(s, charge) + 1000);
	int64_t need = need_e8(charge, billed_s), more = need - charge->reserved_e8;
	if (need < MONEY_MAX && more > 0) {
		purse_force(s, charge->account_id, more);
		charge->reserved_e8 = need;
	}
	lengthen(s, charge);
	if (charge_is_over(s, charge, s->now.now_ns)) { /* it costs more than anybody has */
		charge->ends_ns = s->now.now_ns;
		arm(s, charge, charge->ends_ns);
	}
}

static void set_unlimited(struct shard *s, struct charge *charge)
{
	if (charge->waits)
		purse_forget(s, charge);
	charge->unlimited = true;
	charge->asks_late = false;
	charge->ends_ns = NEVER;
	arm(s, charge, s->now.now_ns + CHARGE_RECHECK_NS);
}

void charge_due(struct shard *s, struct charge *charge)
{
	const struct account *account = tariff_account(s->config->tariff, charge->account_id);
	if (is_unlimited(account)) {
		set_unlimited(s, charge);
	} else if (charge->unlimited) {
		charge->unlimited = false;
		debit_elapsed(s, charge);
	} else if (charge->waits) {
		if (!is_before(s->now.now_ns, charge->ends_ns))
			exhausted(s, charge);
	} else if (is_before(s->now.now_ns + CHARGE_AHEAD_NS, charge->ends_ns)) {
		give_too_much_back(s, charge);
	} else {
		ask_more(s, charge);
	}
}

/* ---- from the purse ---- */

void charge_granted(struct shard *s, struct charge *charge)
{
	if (charge_is_new(charge))
		setup_credit_answered(s, call_at(s, charge->call), true);
	else
		lengthen(s, charge);
}

void charge_refused(struct shard *s, struct charge *charge)
{
	setup_credit_answered(s, call_at(s, charge->call), false);
}

/* ---- admission ---- */

static enum charge_answer reserve(struct shard *s, struct call *call, struct charge *charge)
{
	struct setup *setup = setup_of(s, call);
	uint32_t minutes = s->config->parameters.SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME;
	int64_t need = need_e8(charge, rating_billed_s(&charge->customer, &charge->rules, minutes * UINT64_C(60000)));
	if (need >= MONEY_MAX)
		return CHARGE_NO_CREDIT;
	if (!need)
		return CHARGE_GRANTED;
	charge->reserved_e8 = purse_take(s, charge->account_id, need, need);
	if (charge->reserved_e8)
		return CHARGE_GRANTED;
	charge->least_e8 = charge->most_e8 = need;
	setup->asked = LINE_CREDIT;
	setup->asked_id = charge->account_id;
	setup->ask_ends_ns = s->now.now_ns + ASK_MAX_NS;
	setup_arm(s, call);
	purse_wait(s, charge);
	return CHARGE_PENDING;
}

enum charge_answer charge_admit(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	const struct account *account = tariff_account(s->config->tariff, setup->account_id);
	struct rate rate;
	if (!account)
		return setup->account_id && s->config->refuse_unknown_account ? CHARGE_NO_RATE : CHARGE_GRANTED;
	if (account->locked)
		return CHARGE_LOCKED;
	if (!find_rate(s, account, rated_number(s, setup), s->now.real_us, &rate))
		return CHARGE_NO_RATE;
	struct charge *charge = take_charge(s, call);
	charge->account_id = account->id;
	charge->has_customer = true;
	charge->customer = rate.terms;
	charge->bill_until = (uint8_t)account->bill_until;
	keep_prefix(charge, &rate);
	return is_unlimited(account) ? CHARGE_GRANTED : reserve(s, call, charge);
}

void charge_forget(struct shard *s, struct call *call, struct charge *charge)
{
	struct setup *setup = setup_of(s, call);
	if (charge->waits)
		purse_forget(s, charge);
	if (!setup || setup->asked != LINE_CREDIT)
		return;
	setup->asked = LINE_NONE;
	setup->ask_ends_ns = 0;
	setup_arm(s, call);
}

/* ---- connect ---- */

static void connect_vendor(struct shard *s, struct call *call, struct bytes number)
{
	const struct setup *setup = setup_of(s, call);
	const struct account *account = tariff_account(s->config->tariff, setup->vendor_account_id);
	struct charge *charge = charge_at(s, setup->charge);
	struct rate rate;
	if (!find_rate(s, account, number, setup->connect_us, &rate))
		return;
	if (!charge)
		charge = take_charge(s, call);
	charge->vendor = rate.terms;
	charge->has_vendor = true;
}

/* What was reserved may not be enough for the first increment of the rate in effect now: then the call lives until that
 * has been asked for, and may cost an increment that is not there. */
static void begin(struct shard *s, struct charge *charge)
{
	uint64_t least_ns = s->now.now_ns + CHARGE_AHEAD_NS;
	charge->paid_s = paid_for(charge, charge->reserved_e8);
	charge->ends_ns = paid_end_ns(s, charge);
	if (charge->ends_ns > least_ns) {
		if (charge->ends_ns != NEVER && too_much_e8(s, charge)) /* not now: others may go on with it at once */
			arm(s, charge, s->now.now_ns);
		else
			arm_for_credit(s, charge);
		return;
	}
	charge->ends_ns = least_ns;
	ask_more(s, charge);
}

void charge_connect(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	if (!setup->charge && !setup->vendor_account_id)
		return;
	struct bytes number = rated_number(s, setup);
	connect_vendor(s, call, number);
	struct charge *charge = charge_at(s, setup->charge);
	if (!charge)
		return;
	charge->ends_ns = NEVER;
	if (!charge->has_customer)
		return;
	const struct account *account = tariff_account(s->config->tariff, charge->account_id);
	struct rate rate;
	if (find_rate(s, account, number, setup->connect_us, &rate)) {
		charge->customer = rate.terms;
		keep_prefix(charge, &rate);
	}
	if (account)
		charge->bill_until = (uint8_t)account->bill_until;
	if (is_unlimited(account))
		set_unlimited(s, charge);
	else
		begin(s, charge);
}

/* ---- the end ---- */

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
	return fee <= MONEY_MAX ? fee : MONEY_MAX - MONEY_MAX % fee_unit_e8(rules);
}

static void bill_charge(struct charge *charge, uint64_t hold_ms, struct charge_bill *bill)
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
		uint64_t billed_s = rating_billed_s(&charge->vendor, &charge->rules, hold_ms);
		charge->cost_e8 = fee_of(&charge->vendor, &charge->rules, billed_s);
		bill->cost = write_amount(charge->cost_e8, decimals, bill->cost_room);
	}
}

void charge_bill(struct shard *s, const struct call *call, const struct facts *facts, enum cdr_end_reason reason,
		 uint64_t hold_ms, struct charge_bill *ret_bill)
{
	struct charge *charge = charge_at(s, facts->charge);
	unsigned decimals = charge ? charge->rules.fee_decimals : s->config->parameters.SERVER_BILLING_FEE_PRECISION;
	ret_bill->billed_s = ret_bill->fee_e8 = 0;
	ret_bill->rate_prefix = ret_bill->rate = ret_bill->fee = ret_bill->cost = BYTES_NONE;
	if (!(facts->account_id | facts->vendor_account_id))
		return;
	if (charge && charge->bill_until == BILL_UNTIL_LAST_CONFIRMED && hold_ms && is_unproven(reason))
		hold_ms = confirmed_ms(s, call, hold_ms);
	if (charge)
		bill_charge(charge, hold_ms, ret_bill);
	if (!call->connect_ns || !hold_ms)
		bill_nothing(s, facts, decimals, ret_bill);
}

void charge_settle(struct shard *s, struct charge *charge, uint32_t vendor_account_id)
{
	uint32_t account_id = charge->account_id;
	int64_t reserved = charge->reserved_e8, fee = charge->fee_e8, cost = charge->cost_e8;
	assert(!charge->waits);
	wheel_cancel(&s->wheel, &charge->timer);
	pool_give(&s->charges, pool_index(&s->charges, charge));
	if (account_id)
		purse_settle(s, account_id, reserved, fee);
	if (vendor_account_id && cost)
		purse_settle(s, vendor_account_id, 0, -cost);
}

/* ---- over a restart: little-endian, in this order ---- */

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

#define FIXED_BYTES (4 + sizeof((struct charge *)0)->prefix + 5 + 2 * 28 + 1) /* all but the account's name */
static_assert(FIXED_BYTES + ACCOUNT_NAME_MAX <= CHARGE_BYTES_MAX, "the longest");

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
	return (size_t)(at + name.size - out);
}

static bool read_written(struct bytes in, struct charge *c, struct bytes *ret_account)
{
	const char *at = in.at;
	if (in.size < FIXED_BYTES || take(&at, 1) != CHARGE_VERSION)
		return false;
	uint64_t what = take(&at, 1);
	c->has_customer = what & WRITTEN_CUSTOMER;
	c->has_vendor = (what & WRITTEN_VENDOR) != 0;
	c->bill_until = (uint8_t)take(&at, 1);
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
	return terms && c->prefix_size <= RATE_PREFIX_MAX && c->bill_until <= BILL_UNTIL_LAST_CONFIRMED &&
	       c->rules.hold_precision_ms < 1000 && c->rules.fee_decimals <= MONEY_DECIMALS &&
	       in.size == FIXED_BYTES + ret_account->size;
}

/* They are in order of their names. */
static const struct account *account_of_name(const struct tariff *t, struct bytes name)
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

bool charge_restore(struct shard *s, struct call *call, struct bytes in)
{
	struct charge read = { .has_customer = false };
	struct bytes name;
	if (!in.size)
		return true;
	if (!read_written(in, &read, &name))
		return false;
	const struct account *account = read.has_customer ? account_of_name(s->config->tariff, name) : NULL;
	struct charge *charge = take_charge(s, call);
	if (!charge)
		return false;
	charge->customer = read.customer;
	charge->vendor = read.vendor;
	charge->rules = read.rules;
	charge->bill_until = read.bill_until;
	charge->prefix_size = read.prefix_size;
	memcpy(charge->prefix, read.prefix, sizeof charge->prefix);
	charge->has_customer = read.has_customer;
	charge->has_vendor = read.has_vendor;
	charge->account_id = account ? account->id : 0;
	charge->ends_ns = NEVER;
	if (is_unlimited(account))
		set_unlimited(s, charge);
	else if (account)
		debit_elapsed(s, charge);
	return true;
}

void charge_bill_written(struct bytes written, uint64_t hold_ms, struct charge_bill *ret_bill)
{
	struct charge read = { .has_customer = false };
	struct bytes name;
	if (written.size && read_written(written, &read, &name))
		bill_charge(&read, hold_ms, ret_bill);
}

void charge_spend_written(struct shard *s, struct bytes written, const struct charge_bill *bill)
{
	struct charge read = { .has_customer = false };
	struct bytes name;
	if (!written.size || !read_written(written, &read, &name) || !read.has_customer)
		return;
	const struct account *account = account_of_name(s->config->tariff, name);
	if (account)
		purse_settle(s, account->id, 0, bill->fee_e8);
}

/* ---- the checker ---- */

static void check_charge(const struct shard *s, uint32_t index, struct charge *charge)
{
	const struct call *call = call_at(s, charge->call);
	assert(call->slot.used && charge_of(s, call) == charge);
	assert(charge_is_new(charge) == !call->connect_ns);
	assert(charge->reserved_e8 >= 0 && charge->prefix_size <= RATE_PREFIX_MAX);
	assert(charge->account_id || (!charge->reserved_e8 && !charge->waits));
	bool watched = !charge_is_new(charge) && (charge->unlimited || charge->ends_ns != NEVER);
	assert(wheel_armed(&charge->timer) == watched);
	assert(!watched || charge->unlimited || wheel_deadline_ns(&charge->timer) < charge->ends_ns + WHEEL_TICK_NS);
	const struct setup *setup = setup_of(s, call);
	assert(!charge_is_new(charge) || charge->waits == (setup->asked == LINE_CREDIT));
	if (charge->waits && !charge->previous)
		assert(purse_of(s, charge->account_id)->first == index + 1);
}

uint64_t charge_check(const struct shard *s)
{
	uint64_t armed = 0;
	pool_check(&s->charges);
	for (uint32_t i = pool_next_used(&s->charges, 0); i != POOL_NONE; i = pool_next_used(&s->charges, i + 1)) {
		struct charge *charge = pool_at(&s->charges, i);
		check_charge(s, i, charge);
		armed += wheel_armed(&charge->timer);
	}
	purse_check(s);
	bank_check(s);
	return armed;
}
