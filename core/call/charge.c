#include "core/call/charge.h"

#include <assert.h>

#include "core/call/bank.h"
#include "core/call/charge_parts.h"
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
	wheel_entry_init(&charge->timer, WHEEL_CHARGE);
	charge->call = call_index(s, call);
	charge->rules = charge_rules(s);
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

/* The most billed seconds that an amount is enough for; UINT64_MAX: any. */
static uint64_t paid_for(const struct charge *charge, int64_t amount_e8)
{
	int64_t unit = charge_fee_unit_e8(&charge->rules);
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

static void debit(struct shard *s, struct charge *charge, uint64_t hold_ms)
{
	int64_t need = need_e8(charge, rating_billed_s(&charge->customer, &charge->rules, hold_ms)),
		more = need - charge->reserved_e8;
	if (need < MONEY_MAX && more > 0) {
		purse_force(s, charge->account_id, more);
		charge->reserved_e8 = need;
	}
}

/* Takes what the time until now, and a second more, costs; it is talked already. */
static void debit_elapsed(struct shard *s, struct charge *charge)
{
	debit(s, charge, elapsed_ms(s, charge) + 1000);
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
	charge->bill_until = account->bill_until & 15;
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
	charge->vendor_bill_until = account->bill_until & 15;
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
		charge->bill_until = account->bill_until & 15;
	if (is_unlimited(account))
		set_unlimited(s, charge);
	else
		begin(s, charge);
}

/* ---- the end ---- */

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

/* ---- over a restart ---- */

bool charge_restore(struct shard *s, struct call *call, struct bytes in, uint64_t ended_ns)
{
	struct charge read = { .has_customer = false };
	struct bytes name;
	if (!in.size)
		return true;
	if (!charge_read(in, &read, &name))
		return false;
	const struct account *account = read.has_customer ? charge_account(s->config->tariff, name) : NULL;
	struct charge *charge = take_charge(s, call);
	if (!charge)
		return false;
	charge->customer = read.customer;
	charge->vendor = read.vendor;
	charge->rules = read.rules;
	charge->bill_until = read.bill_until;
	charge->vendor_bill_until = read.vendor_bill_until;
	charge->prefix_size = read.prefix_size;
	memcpy(charge->prefix, read.prefix, sizeof charge->prefix);
	charge->has_customer = read.has_customer;
	charge->has_vendor = read.has_vendor;
	charge->account_id = account ? account->id : 0;
	charge->ends_ns = NEVER;
	if (is_unlimited(account)) {
		if (!ended_ns)
			set_unlimited(s, charge);
	} else if (account && ended_ns) {
		debit(s, charge, (ended_ns - call->connect_ns) / 1000000);
	} else if (account) {
		debit_elapsed(s, charge);
	}
	return true;
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
