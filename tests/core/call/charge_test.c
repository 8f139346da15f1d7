/* What calls cost, and for how long their credit lasts: refusals, parameters, portions, and all the ways back.  That
 * nothing is lost or held twice at any moment is checked by tests/sim/credit.c in every run.  Spec 10. */
#include "calls.h"

#include "billing/money.h"
#include "billing/recovery.h"
#include "billing/tariff.h"
#include "core/call/bank.h"
#include "core/call/carry_image.h"
#include "core/call/charge.h"
#include "core/call/ending.h"
#include "core/call/purse.h"
#include "tests/sim/credit.h"
#include "tests/sim/keep.h"

#define CENT (MONEY_ONE / 100)

#define MG "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} account = \"alice\" }\n"
#define RG(n, more)                                                                                                    \
	"routing_gateway \"rg" #n "\" { address = \"10.2.0." #n ":5060\" prefix = {\"880\"} priority = " #n " " more   \
	" }\n"
#define GATEWAYS          MG RG(1, "account = \"vendor\"") RG(2, "")
#define TWO_RGS_OF_VENDOR MG RG(1, "account = \"vendor\"") RG(2, "account = \"vendor\"")

/* The tariff of the test under way; a reload brings it in force anew. */
static struct {
	struct account alice;
	bool unknown, no_rate, no_table, no_vendor;
	struct rate_terms terms, later; /* later: from later_us on; 0: there is none */
	int64_t later_us;
	struct rate_terms vendor;
	enum bill_until vendor_bill_until;
} tariff;

static void add_rate(struct tariff_builder *b, uint32_t table, const char *prefix, const struct rate_terms *terms,
		     int64_t from_us)
{
	struct rate rate = { .prefix = prefix,
			     .prefix_size = (uint32_t)strlen(prefix),
			     .terms = *terms,
			     .from_us = from_us,
			     .to_us = INT64_MAX };
	cr_assert_eq(tariff_add_rate(b, table, &rate), 0);
}

static struct tariff *make_tariff(struct sim *sim)
{
	struct tariff_builder *b;
	struct tariff *made;
	uint32_t prices, costs;
	(void)sim;
	cr_assert_eq(tariff_begin(&b), 0);
	cr_assert_eq(tariff_add_table(b, "prices", &prices), 0);
	cr_assert_eq(tariff_add_table(b, "costs", &costs), 0);
	if (!tariff.no_rate) {
		add_rate(b, prices, "88", &(struct rate_terms){ .rate_e8 = MONEY_ONE }, INT64_MIN); /* shorter */
		add_rate(b, prices, "880", &tariff.terms, INT64_MIN);
	}
	if (tariff.later_us)
		add_rate(b, prices, "880", &tariff.later, tariff.later_us);
	add_rate(b, costs, "8", &tariff.vendor, INT64_MIN);
	struct account alice = tariff.alice, vendor = { .name = "vendor", .currency = "EUR", .table = costs };
	snprintf(alice.name, sizeof alice.name, "alice");
	snprintf(alice.currency, sizeof alice.currency, "EUR");
	alice.id = gateway_id(GATEWAY_ACCOUNT, "alice");
	alice.table = tariff.no_table ? TARIFF_NO_TABLE : prices;
	vendor.id = gateway_id(GATEWAY_ACCOUNT, "vendor");
	vendor.overdraft_e8 = OVERDRAFT_UNLIMITED;
	vendor.bill_until = tariff.vendor_bill_until;
	if (!tariff.unknown)
		cr_assert_eq(tariff_add_account(b, &alice), 0);
	if (!tariff.no_vendor)
		cr_assert_eq(tariff_add_account(b, &vendor), 0);
	cr_assert_eq(tariff_finish(b, &made), 0);
	return made;
}

/* 0.60 a minute, by the second; 0.30 for the vendor, by the minute. */
static void usual(int64_t balance_e8)
{
	memset(&tariff, 0, sizeof tariff);
	tariff.terms = (struct rate_terms){ .rate_e8 = 60 * CENT, .first_s = 1, .next_s = 1 };
	tariff.vendor = (struct rate_terms){ .rate_e8 = 30 * CENT, .first_s = 60, .next_s = 60 };
	tariff.alice.balance_e8 = balance_e8;
}

#define sim_rated_by(lines, ...)                                                                                       \
	sim_create(&(struct sim_settings){ .seed = SEED, .gateways = (lines), .tariff = make_tariff, __VA_ARGS__ })
#define sim_rated(...) sim_rated_by(GATEWAYS, __VA_ARGS__)

static uint32_t alice_id(void)
{
	return gateway_id(GATEWAY_ACCOUNT, "alice");
}

static void top_up(struct sim *sim, int64_t amount_e8)
{
	struct command command = { .kind = COMMAND_CREDIT, .account_id = alice_id(), .amount_e8 = amount_e8 };
	node_command(sim, &command);
}

/* Told to a shard now, after it moved under the configuration of that generation. */
static void top_up_of(struct sim *sim, int64_t amount_e8, uint32_t generation)
{
	struct command command = {
		.kind = COMMAND_CREDIT, .account_id = alice_id(), .amount_e8 = amount_e8, .generation = generation
	};
	node_command(sim, &command);
}

/* Everything is over, and the bank has what there was, plus top-ups, less what the records say. */
static void finish_with(struct sim *sim, int64_t balance_e8)
{
	sim_finish(sim);
	cr_assert_eq(credit_balance_e8(sim, alice_id()), balance_e8, "the balance is %lld, not %lld",
		     (long long)credit_balance_e8(sim, alice_id()), (long long)balance_e8);
	cr_assert_eq(credit_left_e8(sim, alice_id()), tariff.alice.overdraft_e8 == OVERDRAFT_UNLIMITED
							      ? MONEY_MAX
							      : balance_e8 + tariff.alice.overdraft_e8);
	assert_good(sim);
	sim_destroy(sim);
}

#define assert_text(is, should)                                                                                        \
	cr_assert((is).size == strlen(should) && memcmp((is).at, should, (is).size) == 0, "\"%.*s\", not \"%s\"",      \
		  (int)(is).size, (is).at, should)

static void assert_bill(const struct sim_call *call, int64_t billed_s, const char *fee, const char *cost)
{
	const struct cdr *cdr = cdr_of(call);
	cr_assert_eq(cdr->billed_s, billed_s, "%lld s billed", (long long)cdr->billed_s);
	assert_text(cdr->fee, fee);
	assert_text(cdr->cost, cost);
}

static void assert_refused(const struct sim_call *call, const char *response)
{
	cr_assert_eq(sim_seen(call, OUT_A, response), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "INVITE"), 0);
}

/* ---- what a record says ---- */

Test(billing, rate_fee_and_cost_are_in_the_record)
{
	usual(10 * MONEY_ONE);
	tariff.terms.connect_fee_e8 = 5 * CENT;
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(90) });
	sim_run(sim, 200 * SIM_S);
	assert_reason(call, normal);
	assert_bill(call, 90, "0.95", "0.60");
	assert_text(cdr_of(call)->rate_prefix, "880");
	assert_text(cdr_of(call)->rate, "0.6");
	assert_text(cdr_of(call)->account, "alice");
	assert_text(cdr_of(call)->vendor_account, "vendor");
	finish_with(sim, 10 * MONEY_ONE - 95 * CENT);
}

Test(billing, an_unanswered_call_costs_nothing)
{
	usual(10 * MONEY_ONE);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { { .final_ns = SIM_S, .code = 486 } });
	sim_run(sim, 10 * SIM_S);
	assert_bill(call, 0, "0.00", "0.00");
	assert_text(cdr_of(call)->rate, "0.6");
	finish_with(sim, 10 * MONEY_ONE);
}

Test(billing, without_an_account_there_are_seconds_and_no_amount)
{
	usual(0);
	struct sim *sim = sim_new(.seed = SEED, .tariff = make_tariff);
	sim->config->parameters.SERVER_BILLING_FREE_TIME = 2;
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 20 * SIM_S);
	assert_bill(call, 3, "", "");
	cr_assert_eq(cdr_of(call)->rate.size, 0);
	finish(sim);
}

Test(billing, the_vendor_is_paid_for_a_customer_without_account)
{
	usual(0);
	struct sim *sim = sim_rated_by(
		"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n" RG(1, "account = \"vendor\""), .shards = 1);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(61) });
	sim_run(sim, 100 * SIM_S);
	assert_bill(call, 61, "", "0.60");
	finish(sim);
}

/* The RG that answered, not the one that was tried first. */
Test(billing, the_cost_is_that_of_the_gateway_that_answered)
{
	usual(10 * MONEY_ONE);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { { .final_ns = SIM_S, .code = 503 }, ANSWERS },
					     .steps = { HANGS_UP(61) });
	sim_run(sim, 100 * SIM_S);
	assert_bill(call, 61, "0.61", "");
	finish_with(sim, 10 * MONEY_ONE - 61 * CENT);
}

/* ---- refusals ---- */

/* What a record says the ledger can read, whatever a rate comes to. */
Test(billing, an_amount_beyond_all_others_can_be_read_again)
{
	usual(100 * MONEY_ONE);
	tariff.vendor.rate_e8 = MONEY_MAX / 2;
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(400) });
	sim_run(sim, 500 * SIM_S);
	int64_t cost;
	assert_reason(call, normal);
	cr_assert(money_parse(cdr_of(call)->cost.at, cdr_of(call)->cost.size, &cost), "\"%.*s\"",
		  (int)cdr_of(call)->cost.size, cdr_of(call)->cost.at);
	cr_assert_gt(cost, MONEY_MAX - MONEY_ONE);
	finish_with(sim, 100 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
}

Test(admission, a_locked_account_makes_no_call)
{
	usual(10 * MONEY_ONE);
	tariff.alice.locked = true;
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 10 * SIM_S);
	assert_refused(call, "403 INVITE");
	assert_reason(call, account_locked);
	assert_bill(call, 0, "0.00", "");
	cr_assert_eq(node_stat(sim, refused_account), 1);
	finish_with(sim, 10 * MONEY_ONE);
}

/* Only new calls. */
Test(admission, locking_leaves_calls_alone_that_are_up)
{
	usual(10 * MONEY_ONE);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(200) });
	sim_run(sim, 10 * SIM_S);
	tariff.alice.locked = true;
	node_reload(sim, GATEWAYS, 1);
	sim_run(sim, SIM_S);
	struct sim_call *other = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 300 * SIM_S);
	assert_reason(call, normal);
	assert_reason(other, account_locked);
	assert_bill(call, 200, "2.00", "1.20");
	finish_with(sim, 8 * MONEY_ONE);
}

Test(admission, a_number_without_rate_is_refused)
{
	for (unsigned i = 0; i < 2; i++) {
		usual(10 * MONEY_ONE);
		tariff.no_rate = i == 0;
		tariff.no_table = i == 1;
		struct sim *sim = sim_rated();
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 10 * SIM_S);
		assert_refused(call, "403 INVITE");
		assert_reason(call, no_rate);
		finish_with(sim, 10 * MONEY_ONE);
	}
}

Test(admission, an_unknown_account_passes_unrated_unless_that_is_refused)
{
	for (unsigned refuse = 0; refuse < 2; refuse++) {
		usual(0);
		tariff.unknown = true;
		struct sim *sim = sim_rated();
		sim->config->refuse_unknown_account = refuse;
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
		sim_run(sim, 20 * SIM_S);
		if (refuse) {
			assert_refused(call, "403 INVITE");
			assert_reason(call, no_rate);
		} else {
			assert_reason(call, normal);
			assert_bill(call, 5, "", "0.30");
		}
		finish(sim);
	}
}

/* SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME: exactly what so many minutes cost is enough. */
Test(admission, less_credit_than_the_advance_time_needs_is_402)
{
	for (unsigned minutes = 1; minutes <= 15; minutes += 7) {
		char parameters[80];
		snprintf(parameters, sizeof parameters, "SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME = %u\n",
			 minutes);
		for (unsigned enough = 0; enough < 2; enough++) {
			usual(minutes * 60 * CENT - !enough);
			struct sim *sim = sim_rated(.parameters = parameters);
			struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
			sim_run(sim, 20 * SIM_S);
			if (enough) {
				assert_reason(call, normal);
			} else {
				assert_refused(call, "402 INVITE");
				assert_reason(call, no_balance);
			}
			finish_with(sim, tariff.alice.balance_e8 - enough * 5 * CENT);
		}
	}
}

Test(admission, the_overdraft_is_credit)
{
	usual(-30 * CENT);
	tariff.alice.overdraft_e8 = 90 * CENT;
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 200 * SIM_S);
	assert_reason(call, balance_exhausted);
	assert_bill(call, 60, "0.60", "0.30");
	finish_with(sim, -90 * CENT);
}

Test(admission, an_unlimited_overdraft_is_not_looked_at)
{
	usual(-1000 * MONEY_ONE);
	tariff.alice.overdraft_e8 = OVERDRAFT_UNLIMITED;
	struct sim *sim = sim_rated(.shards = 2);
	struct sim_call *calls[4];
	for (unsigned i = 0; i < 4; i++)
		calls[i] = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(1000) });
	sim_run(sim, 1100 * SIM_S);
	for (unsigned i = 0; i < 4; i++)
		assert_bill(calls[i], 1000, "10.00", "5.10");
	cr_assert_eq(node_stat(sim, credit_asks), 0);
	finish_with(sim, -1040 * MONEY_ONE);
}

/* What running calls have reserved is not there for another. */
Test(admission, counts_what_other_calls_have_reserved)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(60 * CENT * 3);
		struct sim *sim = sim_rated(.shards = shards, .mailbox = shards & 1);
		unsigned refused = 0;
		for (unsigned i = 0; i < 10; i++)
			sim_call_now(sim, .answers = { { .ring_ns = SIM_S, .final_ns = 20 * SIM_S } },
				     .steps = { HANGS_UP(10) });
		sim_run(sim, 5 * SIM_S);
		for (const struct sim_cdr *r = sim->cdrs; r; r = r->next)
			refused += r->cdr.end_reason == CDR_END_no_balance;
		cr_assert_eq(refused, 7, "%u refused", refused);
		sim_run(sim, 60 * SIM_S);
		finish_with(sim, 180 * CENT - 3 * 10 * CENT);
	}
}

/* Another shard's bank that does not answer: 503 after 5 s, and what it says later is given back. */
Test(admission, a_silent_bank_is_not_waited_for_for_ever)
{
	usual(100 * MONEY_ONE);
	struct sim *sim = sim_rated(.shards = 2, .note_jitter_ns = 60 * SIM_S);
	struct sim_call *calls[8];
	unsigned silent = 0, up = 0;
	for (unsigned i = 0; i < 8; i++)
		calls[i] = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(5) });
	sim_run(sim, 300 * SIM_S);
	for (unsigned i = 0; i < 8; i++) {
		silent += cdr_of(calls[i])->end_reason == CDR_END_overload;
		up += cdr_of(calls[i])->end_reason == CDR_END_normal;
	}
	cr_assert_eq(silent + up, 8);
	cr_assert_gt(silent, 0);
	cr_assert_gt(up, 0);
	finish_with(sim, 100 * MONEY_ONE - up * 5 * CENT);
}

static void place_answered(struct sim *sim, void *context)
{
	struct sim_call **call = context;
	sim->planned--;
	*call = sim_call_now(sim, .answers = { { .ring_ns = SIM_S, .final_ns = 20 * SIM_S } },
			     .steps = { HANGS_UP(5) });
}

/* An answer on its way is of those who had asked: a cheaper call that came later has yet to get its own. */
Test(admission, a_refusal_is_of_those_who_were_asked_for)
{
	usual(30 * CENT);
	tariff.later = (struct rate_terms){ .rate_e8 = 6 * CENT, .first_s = 1, .next_s = 1 };
	struct sim *sim = sim_rated(.shards = 4, .note_jitter_ns = 500 * SIM_MS);
	struct sim_call *dear[8], *cheap[5];
	tariff.later_us = sim_real_us(sim, sim->now_ns) + 20000;
	node_reload(sim, GATEWAYS, 1);
	sim->planned += 13;
	for (unsigned i = 0; i < 8; i++)
		sim_at(sim, sim->now_ns + 10 * SIM_MS, place_answered, &dear[i]);
	for (unsigned i = 0; i < 5; i++)
		sim_at(sim, sim->now_ns + 30 * SIM_MS, place_answered, &cheap[i]);
	sim_run(sim, 100 * SIM_S);
	for (unsigned i = 0; i < 8; i++)
		assert_reason(dear[i], no_balance);
	for (unsigned i = 0; i < 5; i++)
		assert_bill(cheap[i], 5, "0.01", "0.30");
	finish_with(sim, 25 * CENT);
}

/* ---- all ways back ---- */

Test(reserve, comes_back_when_the_call_fails)
{
	static const struct {
		struct answer answers[2];
		uint64_t cancel_ns;
	} ways[] = {
		{ { { .final_ns = SIM_S, .code = 503 }, { .final_ns = SIM_S, .code = 404 } }, 0 }, /* failover */
		{ { { .final_ns = SIM_S, .code = 422, .headers = "Min-SE: 1800\r\n" },
		    { .final_ns = SIM_S, .code = 404 } },
		  0 },
		{ { { .ring_ns = SIM_MS, .never = true } }, 3 * SIM_S },                  /* CANCEL */
		{ { { .silent = true }, { .silent = true } }, 0 },                        /* nobody there */
		{ { { .ring_ns = SIM_MS, .final_ns = 3 * SIM_S } }, 3 * SIM_S + SIM_MS }, /* CANCEL crosses the 200 */
	};
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
		for (unsigned shards = 1; shards <= 2; shards++) {
			usual(60 * CENT);
			struct sim *sim = sim_rated_by(TWO_RGS_OF_VENDOR, .shards = shards);
			struct script script = { .cancel_ns = ways[i].cancel_ns };
			memcpy(script.answers, ways[i].answers, sizeof ways[i].answers);
			struct sim_call *call = sim_place(sim, &script);
			sim_run(sim, 100 * SIM_S);
			assert_bill(call, 0, "0.00", "0.00");
			finish_with(sim, 60 * CENT);
		}
	}
}

/* While an answer is awaited of another shard, too. */
Test(reserve, comes_back_when_the_caller_gives_up_first)
{
	usual(60 * CENT);
	struct sim *sim = sim_rated(.shards = 2, .note_jitter_ns = 3 * SIM_S);
	for (unsigned i = 0; i < 6; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .cancel_ns = (10 + i) * SIM_MS);
	sim_run(sim, 100 * SIM_S);
	for (const struct sim_cdr *r = sim->cdrs; r; r = r->next)
		cr_assert(r->cdr.end_reason == CDR_END_cancelled || r->cdr.end_reason == CDR_END_no_balance);
	finish_with(sim, 60 * CENT);
}

/* A re-INVITE is no new call (kamailio/kamailio#2383): one reservation, one fee. */
Test(reserve, is_not_made_again_by_a_reinvite)
{
	usual(60 * CENT);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(
		sim, .answers = { ANSWERS },
		.steps = { { STEP_REINVITE, false, 5 * SIM_S }, { STEP_REINVITE, true, 8 * SIM_S }, HANGS_UP(30) });
	sim_run(sim, 100 * SIM_S);
	assert_reason(call, normal);
	assert_bill(call, 30, "0.30", "0.30");
	finish_with(sim, 30 * CENT);
}

/* ---- the time that is paid ---- */

static struct shard *shard_of(struct sim *sim, struct call **ret_call)
{
	for (unsigned i = 0; i < sim->shard_count; i++) {
		struct shard *s = sim->shards[i].shard;
		uint32_t index = pool_next_used(&s->calls, 0);
		if (index == POOL_NONE)
			continue;
		*ret_call = call_at(s, index);
		return s;
	}
	return NULL;
}

/* The switch was late itself: so is its BYE, but not the record. */
static void assert_cut_late(const struct sim_call *call, int64_t seconds)
{
	assert_reason(call, balance_exhausted);
	cr_assert_eq(cdr_of(call)->hold_ms, seconds * 1000, "after %lld ms", (long long)cdr_of(call)->hold_ms);
}

static void assert_cut(const struct sim_call *call, int64_t seconds)
{
	assert_reason(call, balance_exhausted);
	cr_assert_eq(cdr_of(call)->hold_ms, seconds * 1000, "after %lld ms", (long long)cdr_of(call)->hold_ms);
	cr_assert_eq(cdr_of(call)->end_side, CDR_SIDE_SWITCH);
	cr_assert_eq(sim_seen(call, OUT_A, "BYE"), 1);
	cr_assert_eq(sim_seen(call, OUT_B, "BYE"), 1);
	uint64_t up_ns = sim_seen_ns(call, IN_B, "200 INVITE", 0), bye_ns = sim_seen_ns(call, OUT_A, "BYE", 0);
	cr_assert(bye_ns - up_ns < (uint64_t)seconds * SIM_S + 20 * SIM_MS);
}

Test(deadline, the_call_ends_exactly_with_its_credit)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(100 * CENT + 999999);
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 200 * SIM_S);
		assert_cut(call, 100);
		assert_bill(call, 100, "1.00", "0.60");
		cr_assert_eq(node_stat(sim, hangup_balance_exhausted), 1);
		finish_with(sim, 999999);
	}
}

/* A portion at a time; then what is left is shared in increments, to the last of them. */
Test(deadline, parallel_calls_share_the_credit)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(5 * 60 * CENT + 100 * CENT);
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *calls[5];
		int64_t talked = 0;
		for (unsigned i = 0; i < 5; i++)
			calls[i] = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 400 * SIM_S);
		for (unsigned i = 0; i < 5; i++) {
			assert_reason(calls[i], balance_exhausted);
			talked += cdr_of(calls[i])->billed_s;
		}
		cr_assert_eq(talked, 400);
		finish_with(sim, 0);
	}
}

/* What a call that has ended did not need is there for one that would be cut. */
Test(deadline, what_another_call_gives_back_extends_it)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(120 * CENT);
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *first = sim_call_now(sim, .answers = { ANSWERS });
		struct sim_call *second = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(45) });
		sim_run(sim, 300 * SIM_S);
		assert_reason(second, normal);
		assert_cut(first, 120 - cdr_of(second)->billed_s);
		finish_with(sim, 0);
	}
}

/* Asked for in vain at first, 200 ms before its end. */
Test(deadline, a_top_up_extends_a_call_at_the_last_moment)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(60 * CENT);
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 2 * SIM_S + 59 * SIM_S + 950 * SIM_MS);
		cr_assert_eq(call->cdr_count, 0);
		top_up(sim, 40 * CENT);
		sim_run(sim, 100 * SIM_S);
		assert_cut(call, 100);
		finish_with(sim, 0);
	}
}

Test(deadline, a_lowered_balance_ends_calls_sooner)
{
	usual(10 * MONEY_ONE);
	struct sim *sim = sim_rated(.shards = 2);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 12 * SIM_S);
	top_up(sim, -935 * CENT);
	sim_run(sim, 100 * SIM_S);
	assert_cut(call, 65);
	finish_with(sim, 0);
}

/* SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME is asked for before the call, and not kept: a call that is up holds a
 * portion, so a debit of more than there is ends it when that is over. */
Test(deadline, what_was_reserved_for_set_up_is_not_kept)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(10 * MONEY_ONE);
		struct sim *sim = sim_rated(.shards = shards,
					    .parameters = "SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME = 15\n");
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 12 * SIM_S);
		top_up(sim, -20 * MONEY_ONE);
		sim_run(sim, 60 * SIM_S);
		assert_reason(call, balance_exhausted);
		cr_assert_leq(cdr_of(call)->hold_ms, 21000, "after %lld ms", (long long)cdr_of(call)->hold_ms);
		finish_with(sim, -10 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
	}
}

/* What is given back after the answer another call can use at once. */
Test(deadline, what_was_reserved_for_set_up_serves_other_calls)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(75 * CENT);
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *first = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
		sim_run(sim, 3 * SIM_S);
		struct sim_call *second = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(10) });
		sim_run(sim, 60 * SIM_S);
		assert_reason(first, normal);
		assert_reason(second, normal);
		finish_with(sim, 75 * CENT - (cdr_of(first)->billed_s + cdr_of(second)->billed_s) * CENT);
	}
}

/* The machine stands still when more should be asked for, and goes on when what was paid is over. */
static struct sim *stand_still(unsigned shards, int64_t balance_e8, struct sim_call **ret_call)
{
	usual(balance_e8);
	struct sim *sim = sim_rated(.shards = shards);
	*ret_call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
	sim_run(sim, 11 * SIM_S);
	sim->now_ns += 5 * SIM_S;
	node_advance(sim);
	return sim;
}

Test(deadline, a_machine_that_stood_still_cuts_nobody_who_has_credit)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim_call *call;
		struct sim *sim = stand_still(shards, 100 * MONEY_ONE, &call);
		sim_run(sim, 200 * SIM_S);
		assert_reason(call, normal);
		finish_with(sim, 100 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
	}
}

/* Others have taken the rest meanwhile: nothing is overdrawn. */
Test(deadline, a_machine_that_stood_still_overdraws_nobody)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		struct sim_call *call;
		usual(61 * CENT);
		struct sim *sim = sim_rated(.shards = shards);
		call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(100) });
		sim_run(sim, 5 * SIM_S);
		top_up(sim, -51 * CENT);
		sim_run(sim, 6 * SIM_S);
		sim->now_ns += 5 * SIM_S;
		node_advance(sim);
		sim_run(sim, 200 * SIM_S);
		assert_cut_late(call, 10);
		finish_with(sim, 0);
	}
}

/* A BYE that had been waiting is read before the wheel goes on. */
Test(deadline, a_bye_after_the_machine_stood_still_is_a_normal_end)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(100 * MONEY_ONE);
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		struct command hang_up = { .kind = COMMAND_CALLS_HANGUP };
		struct call *up = NULL;
		sim_run(sim, 11 * SIM_S);
		sim->now_ns += 5 * SIM_S;
		struct shard *s = shard_of(sim, &up);
		call_cdr_id(s, up, hang_up.id);
		cr_assert(shard_command(s, node_clock_ns(sim), &hang_up));
		sim_run(sim, 100 * SIM_S);
		assert_reason(call, operator_hangup);
		cr_assert_gt(cdr_of(call)->billed_s, 13);
		finish_with(sim, 100 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
	}
}

Test(deadline, a_call_that_costs_nothing_is_never_cut)
{
	usual(-5 * MONEY_ONE);
	tariff.terms.rate_e8 = 0;
	struct sim *sim = sim_rated(.shards = 2);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(3000) });
	sim_run(sim, 3100 * SIM_S);
	assert_reason(call, normal);
	assert_bill(call, 3000, "0.00", "15.00");
	finish_with(sim, -5 * MONEY_ONE);
}

/* SERVER_BILLING_FREE_TIME, grace and increments: nothing is taken for what costs nothing, and the end is that of an
 * increment. */
Test(deadline, free_time_and_increments_count)
{
	usual(60 * CENT);
	tariff.terms.first_s = 30;
	tariff.terms.next_s = 6;
	struct sim *sim = sim_rated(.parameters = "SERVER_BILLING_FREE_TIME = 10\n");
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 200 * SIM_S);
	assert_cut(call, 70);
	assert_bill(call, 60, "0.60", "0.30");
	finish_with(sim, 0);
}

Test(deadline, a_call_within_its_grace_costs_nothing)
{
	usual(60 * CENT);
	tariff.terms.grace_s = 20;
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(20) });
	sim_run(sim, 100 * SIM_S);
	assert_bill(call, 0, "0.00", "0.30");
	finish_with(sim, 60 * CENT);
}

/* SERVER_BILLING_HOLD_TIME_PRECISION 0: every millisecond over counts, so the end must not be a tick late. */
Test(deadline, is_exact_whatever_the_precision)
{
	static const unsigned precisions[] = { 0, 1, 50, 999 };
	for (unsigned i = 0; i < 4; i++) {
		char parameters[80];
		snprintf(parameters, sizeof parameters, "SERVER_BILLING_HOLD_TIME_PRECISION = %u\n", precisions[i]);
		usual(77 * CENT);
		struct sim *sim = sim_rated(.parameters = parameters);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 200 * SIM_S);
		assert_cut(call, 77);
		finish_with(sim, 0);
	}
}

/* SERVER_BILLING_FEE_PRECISION: a fee that is rounded up overdraws nobody. */
Test(deadline, a_fee_that_is_rounded_up_is_paid_for)
{
	usual(3 * MONEY_ONE);
	tariff.terms = (struct rate_terms){ .rate_e8 = 90 * CENT, .first_s = 60, .next_s = 60 };
	struct sim *sim = sim_rated(.parameters = "SERVER_BILLING_FEE_PRECISION = 0\n");
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 400 * SIM_S);
	assert_cut(call, 180);
	assert_bill(call, 180, "3", "1"); /* 2.70 and 0.90; for 240 s it would be 4 */
	finish_with(sim, 0);
}

/* A BYE between the end of the credit and the tick of the wheel: the call has ended when its credit did. */
Test(deadline, a_bye_after_it_is_too_late)
{
	usual(60 * CENT);
	struct sim *sim = sim_rated(.parameters = "SERVER_BILLING_HOLD_TIME_PRECISION = 0\n");
	struct sim_call *call = sim_call_now(sim, .answers = { { .ring_ns = SIM_MS, .final_ns = 2 * SIM_S } },
					     .steps = { { STEP_BYE, true, 60 * SIM_S - 2 * SIM_MS + SIM_US } });
	sim_run(sim, 100 * SIM_S);
	cr_assert_eq(sim_seen(call, IN_B, "BYE"), 1);
	assert_reason(call, balance_exhausted);
	cr_assert_eq(cdr_of(call)->end_us - cdr_of(call)->connect_us, 60000000);
	cr_assert_eq(cdr_of(call)->billed_s, 60);
	finish_with(sim, 0);
}

/* Notes that take longer than calls ask ahead: the call is cut, and what comes too late goes back. */
Test(deadline, an_answer_that_comes_too_late_goes_back)
{
	usual(100 * MONEY_ONE);
	struct sim *sim = sim_rated(.shards = 2, .note_jitter_ns = 3 * SIM_S);
	for (unsigned i = 0; i < 8; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(300) });
	sim_run(sim, 400 * SIM_S);
	int64_t fees = 0, fee;
	unsigned cut = 0;
	for (const struct sim_cdr *r = sim->cdrs; r; r = r->next) {
		cr_assert(money_parse(r->cdr.fee.at, r->cdr.fee.size, &fee));
		fees += fee;
		cut += r->cdr.end_reason == CDR_END_balance_exhausted;
	}
	cr_assert_gt(cut, 0);
	finish_with(sim, 100 * MONEY_ONE - fees);
}

/* ---- rates and accounts that change ---- */

static void at_a_rate_boundary(int64_t boundary_after_ms, unsigned rate_cents, const char *rate, const char *fee)
{
	usual(10 * MONEY_ONE);
	tariff.later = (struct rate_terms){ .rate_e8 = rate_cents * CENT, .first_s = 1, .next_s = 1 };
	struct sim *sim = sim_rated();
	tariff.later_us = sim_real_us(sim, sim->now_ns) + boundary_after_ms * 1000;
	node_reload(sim, GATEWAYS, 1);
	sim_run(sim, SIM_US);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(60) });
	sim_run(sim, 200 * SIM_S);
	assert_text(cdr_of(call)->rate, rate);
	assert_text(cdr_of(call)->fee, fee);
	finish(sim);
}

/* Not the one when it was dialled, nor when it ended. */
Test(rates, the_one_in_effect_at_connect_counts)
{
	at_a_rate_boundary(1000, 120, "1.2", "1.20");  /* it rings */
	at_a_rate_boundary(30000, 120, "0.6", "0.60"); /* it is up */
	at_a_rate_boundary(1000, 30, "0.3", "0.30");
}

/* Dearer than what was reserved: the rest is asked for at connect. */
Test(rates, one_that_has_risen_while_it_rang_asks_for_more)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		for (unsigned enough = 0; enough < 2; enough++) {
			usual(enough ? 300 * CENT : 60 * CENT);
			tariff.later = (struct rate_terms){ .rate_e8 = 120 * CENT, .first_s = 60, .next_s = 60 };
			struct sim *sim = sim_rated(.shards = shards);
			tariff.later_us = sim_real_us(sim, sim->now_ns) + 1000000;
			node_reload(sim, GATEWAYS, 1);
			sim_run(sim, SIM_US);
			struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
			sim_run(sim, 300 * SIM_S);
			assert_reason(call, balance_exhausted);
			cr_assert_eq(cdr_of(call)->billed_s, enough ? 120 : 60);
			finish_with(sim, enough ? 60 * CENT : -60 * CENT); /* by one increment */
		}
	}
}

Test(rates, one_that_ends_while_it_rings_stays)
{
	usual(10 * MONEY_ONE);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(60) });
	sim_run(sim, SIM_S);
	tariff.no_rate = true;
	node_reload(sim, GATEWAYS, 1);
	sim_run(sim, 200 * SIM_S);
	assert_bill(call, 60, "0.60", "0.30");
	finish_with(sim, 940 * CENT);
}

Test(accounts, an_overdraft_that_is_raised_extends_a_call)
{
	usual(60 * CENT);
	struct sim *sim = sim_rated(.shards = 2);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 10 * SIM_S);
	tariff.alice.overdraft_e8 = 20 * CENT;
	tariff.alice.balance_e8 = 12345 * CENT; /* does not count: the bank knows better */
	node_reload(sim, GATEWAYS, SIM_S);
	sim_run(sim, 100 * SIM_S);
	assert_cut(call, 80);
	finish_with(sim, -20 * CENT);
}

Test(accounts, one_that_loses_its_unlimited_overdraft_pays_for_what_was_talked)
{
	for (unsigned shards = 1; shards <= 2; shards++) {
		usual(0);
		tariff.alice.overdraft_e8 = OVERDRAFT_UNLIMITED;
		struct sim *sim = sim_rated(.shards = shards);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 10 * SIM_S);
		tariff.alice.overdraft_e8 = 100 * CENT;
		node_reload(sim, GATEWAYS, SIM_S);
		sim_run(sim, 300 * SIM_S);
		assert_cut(call, 100);
		finish_with(sim, -100 * CENT);
	}
}

Test(accounts, one_that_gets_an_unlimited_overdraft_is_not_cut)
{
	usual(60 * CENT);
	struct sim *sim = sim_rated(.shards = 2);
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(500) });
	sim_run(sim, 61 * SIM_S + 900 * SIM_MS); /* it waits for credit already */
	tariff.alice.overdraft_e8 = OVERDRAFT_UNLIMITED;
	node_reload(sim, GATEWAYS, 1);
	sim_run(sim, 600 * SIM_S);
	assert_reason(call, normal);
	assert_bill(call, 500, "5.00", "2.70");
	finish_with(sim, -440 * CENT);
}

/* The home of an account slept while it was added and topped up and another tariff was read: the balance that it begins
 * with has what it is told of then. */
Test(accounts, a_balance_that_moved_before_the_account_was_seen_counts_once)
{
	for (unsigned shards = 1; shards <= 2; shards++) {
		usual(0);
		tariff.unknown = true;
		struct sim *sim = sim_rated(.shards = shards);
		uint32_t before = sim->config->generation;
		tariff.unknown = false;
		tariff.alice.balance_e8 = 10 * MONEY_ONE;
		node_configure(sim, NULL, NULL);
		top_up_of(sim, 10 * MONEY_ONE, before);
		cr_assert_eq(credit_balance_e8(sim, alice_id()), 10 * MONEY_ONE);
		node_configure(sim, NULL, NULL);
		top_up_of(sim, 5 * MONEY_ONE, sim->config->generation);
		finish_with(sim, 15 * MONEY_ONE);
	}
}

/* bill_until = "last_confirmed": the callee's host dies, the session timer ends the call, and what was not proven is
 * not billed; a step of the wall clock changes nothing. */
Test(accounts, bill_until_last_confirmed)
{
	for (unsigned last = 0; last < 2; last++) {
		usual(100 * MONEY_ONE);
		tariff.alice.bill_until = last ? BILL_UNTIL_LAST_CONFIRMED : BILL_UNTIL_TEARDOWN;
		struct sim *sim = sim_rated();
		struct sim_call *call =
			sim_call_now(sim,
				     .timers = { { .on = true, .updates = true, .interval_s = 600 },
						 { .on = true, .updates = true, .interval_s = 600 } },
				     .answers = { ANSWERS },
				     .steps = { { STEP_DIE, true, 400 * SIM_S }, { STEP_DIE, false, 400 * SIM_S } });
		sim_run(sim, 100 * SIM_S);
		sim_step_clock(sim, -3600 * INT64_C(1000000));
		sim_run(sim, 2000 * SIM_S);
		assert_reason(call, session_timeout);
		const struct cdr *cdr = cdr_of(call);
		cr_assert_gt(cdr->hold_ms, 600000);
		cr_assert_gt(cdr->billed_s, 200);
		if (last)
			cr_assert_lt(cdr->billed_s, cdr->hold_ms / 1000 - 100);
		else
			cr_assert_eq(cdr->billed_s, (cdr->hold_ms + 950) / 1000);
		sim_finish(sim);
		cr_assert_eq(credit_balance_e8(sim, alice_id()), 100 * MONEY_ONE - cdr->billed_s * CENT);
		assert_good(sim);
		sim_destroy(sim);
	}
}

static struct sim_call *call_of_dying_hosts(struct sim *sim)
{
	struct timer_script timed = { .on = true, .updates = true, .interval_s = 600 };
	return sim_call_now(sim, .timers = { timed, timed }, .answers = { ANSWERS },
			    .steps = { { STEP_DIE, true, 400 * SIM_S }, { STEP_DIE, false, 400 * SIM_S } });
}

/* Billed by the second, for each of the two accounts. */
static void assert_billed_until(const struct cdr *cdr, enum bill_until customer, enum bill_until vendor)
{
	int64_t whole_s = (cdr->hold_ms + 950) / 1000, fee, cost;
	cr_assert(money_parse(cdr->fee.at, cdr->fee.size, &fee));
	cr_assert(money_parse(cdr->cost.at, cdr->cost.size, &cost));
	cr_assert_eq(cdr->end_reason, CDR_END_session_timeout);
	cr_assert_eq(fee, cdr->billed_s * CENT);
	cr_assert_gt(cost, 200 * CENT);
	if (customer == BILL_UNTIL_TEARDOWN)
		cr_assert_eq(fee, whole_s * CENT);
	else
		cr_assert_lt(fee, (whole_s - 100) * CENT);
	if (vendor == BILL_UNTIL_TEARDOWN)
		cr_assert_eq(cost, whole_s * CENT, "the customer's account says %u, and the cost is %lld", customer,
			     (long long)cost);
	else
		cr_assert_lt(cost, (whole_s - 100) * CENT, "the customer's account says %u, and the cost is %lld",
			     customer, (long long)cost);
}

/* The fee as the customer's account says, the cost as the vendor's does. */
Test(accounts, bill_until_is_each_accounts_own)
{
	for (unsigned i = 0; i < 4; i++) {
		usual(100 * MONEY_ONE);
		tariff.vendor = tariff.terms;
		tariff.alice.bill_until = i & 1 ? BILL_UNTIL_LAST_CONFIRMED : BILL_UNTIL_TEARDOWN;
		tariff.vendor_bill_until = i & 2 ? BILL_UNTIL_LAST_CONFIRMED : BILL_UNTIL_TEARDOWN;
		struct sim *sim = sim_rated();
		const struct sim_call *call = call_of_dying_hosts(sim);
		sim_run(sim, 2000 * SIM_S);
		assert_billed_until(cdr_of(call), tariff.alice.bill_until, tariff.vendor_bill_until);
		finish_with(sim, 100 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
	}
}

/* ---- shards ---- */

/* While there is plenty most calls ask nobody. */
Test(shards, plenty_is_lent)
{
	usual(100000 * MONEY_ONE);
	struct sim *sim = sim_rated(.shards = 4);
	for (unsigned i = 0; i < 200; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(300) });
	sim_run(sim, 400 * SIM_S);
	cr_assert_lt(node_stat(sim, credit_asks), 200 * 24 / 4, "%llu asks",
		     (unsigned long long)node_stat(sim, credit_asks));
	finish_with(sim, 99400 * MONEY_ONE);
}

/* What is lent is called back before a call is refused or cut. */
Test(shards, what_is_idle_elsewhere_is_recalled)
{
	usual(1000 * MONEY_ONE);
	struct sim *sim = sim_rated(.shards = 4);
	for (unsigned i = 0; i < 100; i++)
		sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(20) });
	sim_run(sim, 60 * SIM_S);
	int64_t left = credit_left_e8(sim, alice_id());
	cr_assert_eq(left, 980 * MONEY_ONE);
	top_up(sim, -979 * MONEY_ONE); /* now most of what there is may be idle where nobody calls */
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 200 * SIM_S);
	assert_cut(call, 100);
	cr_assert_gt(node_stat(sim, credit_recalls), 0);
	finish_with(sim, 0);
}

/* Shards that once had plenty ask for portions; of what is scarce none gets more than it needs next, so all calls end
 * when the credit does. */
Test(shards, what_is_scarce_is_shared_by_all_calls)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(1000 * MONEY_ONE);
		struct sim *sim = sim_rated(.shards = shards);
		for (unsigned i = 0; i < 16; i++)
			sim_call_now(sim, .answers = { ANSWERS });
		sim_run(sim, 30 * SIM_S);
		top_up(sim, -(1000 * MONEY_ONE - 16 * 100 * CENT));
		sim_run(sim, 200 * SIM_S);
		int64_t shortest = INT64_MAX, longest = 0;
		for (const struct sim_cdr *r = sim->cdrs; r; r = r->next) {
			cr_assert_eq(r->cdr.end_reason, CDR_END_balance_exhausted);
			shortest = r->cdr.billed_s < shortest ? r->cdr.billed_s : shortest;
			longest = r->cdr.billed_s > longest ? r->cdr.billed_s : longest;
		}
		cr_assert_leq(longest - shortest, 2, "%lld to %lld s in %u shards", (long long)shortest,
			      (long long)longest, shards);
		finish_with(sim, 0);
	}
}

/* An account that is customer and vendor nets what goes either way, here as in the ledger. */
Test(accounts, a_vendor_that_is_a_customer_may_spend_what_it_is_owed)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		usual(60 * CENT);
		struct sim *sim = sim_rated_by(MG RG(1, "account = \"alice\""), .shards = shards);
		struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(30) });
		sim_run(sim, 50 * SIM_S);
		const struct cdr *cdr = cdr_of(call);
		int64_t fee, cost;
		cr_assert(money_parse(cdr->fee.at, cdr->fee.size, &fee));
		cr_assert(money_parse(cdr->cost.at, cdr->cost.size, &cost));
		cr_assert(fee > 0 && cost > 0);
		finish_with(sim, 60 * CENT - fee + cost);
	}
}

/* Shards take a configuration one after the other. */
Test(shards, what_a_bank_hears_before_it_knows_the_account_counts)
{
	usual(10 * MONEY_ONE);
	tariff.unknown = true;
	struct sim *sim = sim_rated();
	bank_returned(sim->shards[0].shard, 0, &(struct credit_return){ .account_id = alice_id(), .spent_e8 = CENT });
	tariff.unknown = false;
	node_reload(sim, GATEWAYS, 1);
	sim_run(sim, SIM_S);
	finish_with(sim, 10 * MONEY_ONE - CENT);
}

/* ---- carried over a restart ---- */

#define CHARGE_ADDED 1 /* bytes that a record of the first version does not have */

/* As if the process had ended and another one had taken the call up: the bank knows nothing of it. */
static void carry_over_bytes(struct sim *sim, size_t added)
{
	struct call *call = NULL;
	struct shard *s = shard_of(sim, &call);
	char written[CHARGE_BYTES_MAX + 1] = "";
	size_t size = charge_write(s, call, written);
	struct charge *charge = charge_of(s, call);
	cr_assert(size > 0 && size <= CHARGE_BYTES_MAX);
	if (charge->waits)
		charge_forget(s, call, charge);
	charge_settle(s, charge, 0);
	facts_set_charge(s, call, 0);
	for (uint32_t cut = 1; cut < size - CHARGE_ADDED; cut++)
		cr_assert_not(charge_restore(s, call, (struct bytes){ written, cut }, 0));
	written[0]++;
	cr_assert_not(charge_restore(s, call, (struct bytes){ written, (uint32_t)size }, 0));
	written[0]--;
	written[size - 1] += 2;
	cr_assert_not(charge_restore(s, call, (struct bytes){ written, (uint32_t)size }, 0));
	written[size - 1] -= 2;
	cr_assert(charge_restore(s, call, (struct bytes){ written, (uint32_t)(size - CHARGE_ADDED + added) }, 0));
}

static void carry_over(struct sim *sim)
{
	carry_over_bytes(sim, CHARGE_ADDED);
}

Test(restart, a_call_is_debited_for_its_time_and_goes_on)
{
	for (unsigned shards = 1; shards <= 4; shards++) {
		for (uint64_t at_s = 3; at_s <= 62; at_s += 59) { /* in set-up's record still; or packed; or waiting */
			usual(90 * CENT);
			struct sim *sim = sim_rated(.shards = shards);
			struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
			sim_run(sim, at_s * SIM_S);
			carry_over(sim);
			node_check(sim);
			sim_run(sim, 300 * SIM_S);
			assert_cut(call, 90);
			assert_bill(call, 90, "0.90", "0.60");
			assert_text(cdr_of(call)->rate_prefix, "880");
			finish_with(sim, 0);
		}
	}
}

/* In a record of the first version the customer's account decides for both; one of a later version may have more. */
Test(restart, bill_until_of_each_account_is_carried)
{
	for (unsigned added = 0; added <= CHARGE_ADDED + 1; added++)
		for (unsigned last = 0; last < 2; last++) {
			usual(100 * MONEY_ONE);
			tariff.vendor = tariff.terms;
			tariff.alice.bill_until = last ? BILL_UNTIL_LAST_CONFIRMED : BILL_UNTIL_TEARDOWN;
			tariff.vendor_bill_until = last ? BILL_UNTIL_TEARDOWN : BILL_UNTIL_LAST_CONFIRMED;
			struct sim *sim = sim_rated();
			const struct sim_call *call = call_of_dying_hosts(sim);
			sim_run(sim, 100 * SIM_S);
			carry_over_bytes(sim, added);
			sim_run(sim, 2000 * SIM_S);
			assert_billed_until(cdr_of(call), tariff.alice.bill_until,
					    added ? tariff.vendor_bill_until : tariff.alice.bill_until);
			finish_with(sim, 100 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
		}
}

/* More than there is: the next increment is not to be had. */
Test(restart, the_debit_may_go_below_zero)
{
	usual(90 * CENT);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS });
	sim_run(sim, 52 * SIM_S);
	top_up(sim, -70 * CENT);
	carry_over(sim);
	sim_run(sim, 300 * SIM_S);
	assert_cut(call, 51);
	finish_with(sim, -31 * CENT);
}

/* Its window was over long before the start: it owes what it had cost by then, and no credit ends it meanwhile. */
Test(restart, a_call_that_has_ended_meanwhile_costs_nothing_since)
{
	struct timer_script timed = { .on = true, .updates = true, .interval_s = 90 };
	usual(10 * MONEY_ONE);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .timers = { timed, timed });
	sim_run(sim, 20 * SIM_S);
	node_kill(sim);
	sim_run(sim, 2000 * SIM_S);
	cr_assert_eq(node_restart(sim, &(struct sim_restart){ 0 }), 0);
	int64_t held = 10 * MONEY_ONE - credit_left_e8(sim, alice_id());
	sim_run(sim, SIM_S);
	assert_reason(call, session_timeout);
	cr_assert_eq(cdr_of(call)->hold_ms / 1000, 90);
	cr_assert_eq(held, cdr_of(call)->billed_s * CENT, "%lld", (long long)held);
	finish_with(sim, 10 * MONEY_ONE - cdr_of(call)->billed_s * CENT);
}

static void note_record(struct sim *sim, const struct recovered_call *call, void *context)
{
	(void)sim;
	*(struct recovered_call *)context = *call;
}

/* The caller's leg comes to be a second call, which is none. */
static void spoil_leg(struct recovered_call *call)
{
	uint8_t *at = (uint8_t *)call->live.at; /* the test's own memory */
	for (const uint8_t *end = at + call->live.size; at < end;) {
		uint32_t size = (uint32_t)at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16;
		if (*at == CARRY_LEG_A)
			*at = CARRY_CALL;
		at += 5 + size;
	}
}

/* It cannot be taken up, and has cost what it had cost at its last proof of life. */
static void lost_call_is_paid(bool spoiled)
{
	struct recovered_call lost = { 0 };
	struct timer_script timed = { .on = true, .updates = true, .interval_s = 90 };
	usual(90 * CENT);
	struct sim *sim = sim_rated();
	sim_call_now(sim, .answers = { ANSWERS }, .timers = { timed, timed });
	sim_run(sim, 60 * SIM_S);
	keep_each(sim, note_record, &lost);
	if (spoiled)
		spoil_leg(&lost);
	cr_assert_eq(shard_restore(sim->shards[0].shard, &lost, false), RESTORE_ENDED);
	cr_assert(sim->cdrs && !sim->cdrs->next);
	const struct cdr *cdr = &sim->cdrs->cdr;
	cr_assert_eq(cdr->end_reason, CDR_END_node_crash);
	cr_assert(cdr->hold_ms > 25000 && cdr->hold_ms < 60000, "a refresh was answered: %lld",
		  (long long)cdr->hold_ms);
	char fee[MONEY_TEXT_MAX] = "";
	money_write(cdr->billed_s * CENT, 2, fee);
	assert_text(cdr->fee, fee);
	cr_assert_eq(cdr->billed_s, (cdr->hold_ms + 950) / 1000);
	assert_text(cdr->account, "alice");
	sim_destroy(sim);
}

Test(restart, a_lost_call_is_paid)
{
	lost_call_is_paid(false); /* there is one of its name */
	lost_call_is_paid(true);
}

Test(restart, an_account_that_is_no_more_pays_nothing)
{
	usual(90 * CENT);
	struct sim *sim = sim_rated();
	struct sim_call *call = sim_call_now(sim, .answers = { ANSWERS }, .steps = { HANGS_UP(120) });
	sim_run(sim, 30 * SIM_S);
	tariff.unknown = true;
	node_reload(sim, GATEWAYS, 1);
	sim_run(sim, SIM_S);
	carry_over(sim);
	sim_run(sim, 200 * SIM_S);
	assert_reason(call, normal);
	assert_bill(call, 120, "1.20", "0.60"); /* the record says what it was */
	tariff.alice.overdraft_e8 = 0;
	finish_with(sim, 90 * CENT);
}
