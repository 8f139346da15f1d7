/* Prepaid credit over several shards, in random schedules of parallel calls, top-ups, rate changes and overdraft
 * changes on one account and several:
 *
 *   credit_schedules [--schedules N] [--from S] [--show]
 *
 * What must hold in each, worked out here without the switch's own rating:
 *
 * - fees, billed seconds and costs are what spec 10 says, by the rate in effect at connect;
 * - no account is overdrawn: by nothing, but where a rate rose between admission and connect, by one increment of that
 *   call; and where an overdraft was lowered, by what calls had then;
 * - a call is cut within 20 ms of the end of an increment, and only when what is left, and nobody has, does not pay for
 *   the next one;
 * - a new call is refused only when there is less than the advance time costs;
 * - at the end a bank has what it had, plus top-ups, less fees; and nothing is lent, reserved, or lost.
 *
 * The first schedule that fails ends the run: exit status 1. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/money.h"
#include "billing/tariff.h"
#include "core/command.h"
#include "tests/sim/credit.h"
#include "tests/sim/peer.h"

#define ACCOUNTS     3
#define ROWS_MAX     24
#define CUT_LATE_US  20000
#define UNIT         INT64_C(1000000) /* a hundredth */
#define TABLE_VENDOR ACCOUNTS

typedef __int128 wide;

/* A row of a rate table as the schedule has made it, and from when on a shard may go by it. */
struct row {
	unsigned table;
	struct rate_terms terms;
	int64_t from_us;
	uint64_t known_ns, settled_ns; /* first shard, all shards */
};

struct ledger {
	uint32_t id;
	char name[32];
	int64_t start_e8, topped_e8, fees_e8;
	int64_t overdraft_e8;
	bool unlimited, lowered, locked;
	int64_t allowed_e8; /* it may be overdrawn by so much */
	int64_t lowest_e8;  /* balance and overdraft together */
};

struct schedule {
	struct ledger ledgers[ACCOUNTS];
	struct row rows[ROWS_MAX];
	unsigned row_count;
	uint32_t vendor_id;
	unsigned precision_ms, free_s, decimals, advance_min;
	unsigned cheaper; /* rates are divided by this: then there is plenty, and it is lent */
	unsigned accounts;
	char gateways[1024], parameters[512];
	uint64_t settles_ns;
};

/* The one that runs. */
static struct schedule schedule;

struct totals {
	uint64_t schedules, calls, answered, cut, cut_still, refused, topups, reloads, rises, asks, recalls;
	int64_t overdrawn_e8; /* worst, of those that may not be at all */
	uint64_t cut_late_us;
};
static struct totals totals;

static uint64_t below(struct sim *sim, uint64_t n)
{
	return sim_below(sim, SIM_TRAFFIC, n);
}

static bool chance(struct sim *sim, unsigned percent)
{
	return below(sim, 100) < percent;
}

/* ---- rating, as spec 10 has it ---- */

static int64_t billed_s_of(const struct rate_terms *t, int64_t hold_ms)
{
	int64_t s = hold_ms / 1000, rest = hold_ms % 1000;
	if (rest > 0 && rest >= (int64_t)schedule.precision_ms)
		s++;
	if (s <= (int64_t)t->grace_s)
		return 0;
	s -= schedule.free_s;
	if (s <= 0)
		return 0;
	int64_t first = t->first_s ? t->first_s : 1, next = t->next_s ? t->next_s : 1;
	return s <= first ? first : first + (s - first + next - 1) / next * next;
}

static int64_t fee_of(const struct rate_terms *t, int64_t billed_s)
{
	wide unit = 1, exact;
	if (!billed_s)
		return 0;
	for (unsigned i = schedule.decimals; i < 8; i++)
		unit *= 10;
	exact = (wide)t->connect_fee_e8 * 60 + (wide)t->rate_e8 * billed_s; /* sixtieths */
	return (int64_t)((2 * exact + 60 * unit) / (120 * unit) * unit);
}

static int64_t price_of(const struct rate_terms *t, int64_t billed_s)
{
	int64_t fee = fee_of(t, billed_s);
	wide exact = billed_s ? (wide)t->connect_fee_e8 * 60 + (wide)t->rate_e8 * billed_s : 0;
	int64_t up = (int64_t)((exact + 59) / 60);
	return fee > up ? fee : up;
}

/* ---- the tariff of each configuration ---- */

static const struct rate_terms *row_at(unsigned table, int64_t at_us, unsigned count)
{
	const struct row *best = NULL;
	for (unsigned i = 0; i < count; i++) {
		const struct row *row = &schedule.rows[i];
		if (row->table == table && row->from_us <= at_us && (!best || row->from_us > best->from_us))
			best = row;
	}
	return best ? &best->terms : NULL;
}

static void check_made(int result)
{
	if (result)
		abort();
}

static struct tariff *make_tariff(struct sim *sim)
{
	struct tariff_builder *b;
	struct tariff *t;
	uint32_t tables[ACCOUNTS + 1];
	(void)sim;
	check_made(tariff_begin(&b));
	for (unsigned i = 0; i <= ACCOUNTS; i++) {
		char name[16];
		snprintf(name, sizeof name, "t%u", i);
		check_made(tariff_add_table(b, name, &tables[i]));
	}
	for (unsigned i = 0; i < schedule.row_count; i++) {
		const struct row *row = &schedule.rows[i];
		struct rate rate = { .prefix = "880",
				     .prefix_size = 3,
				     .terms = row->terms,
				     .from_us = row->from_us,
				     .to_us = INT64_MAX };
		check_made(tariff_add_rate(b, tables[row->table], &rate));
	}
	for (unsigned i = 0; i <= schedule.accounts; i++) {
		bool vendor = i == schedule.accounts;
		const struct ledger *l = &schedule.ledgers[vendor ? 0 : i];
		struct account account = { .id = vendor ? schedule.vendor_id : l->id,
					   .currency = "EUR",
					   .table = tables[vendor ? TABLE_VENDOR : i] };
		snprintf(account.name, sizeof account.name, "%s", vendor ? "vendor" : l->name);
		account.overdraft_e8 = vendor || l->unlimited ? OVERDRAFT_UNLIMITED : l->overdraft_e8;
		account.balance_e8 = vendor ? 0 : l->start_e8; /* only what is seen first counts */
		check_made(tariff_add_account(b, &account));
	}
	check_made(tariff_finish(b, &t));
	return t;
}

/* ---- what a record must say ---- */

static struct ledger *ledger_of(struct cdr_text name)
{
	for (unsigned i = 0; i < schedule.accounts; i++)
		if (strlen(schedule.ledgers[i].name) == name.size &&
		    memcmp(schedule.ledgers[i].name, name.at, name.size) == 0)
			return &schedule.ledgers[i];
	return NULL;
}

static bool amount_of(struct cdr_text text, int64_t *ret_e8)
{
	return money_parse(text.at, text.size, ret_e8);
}

/* Whether a record fits the rows as far as a shard knew them; until a reload has come to all, either may count. */
#define ANY_RATE (-1)

static const struct rate_terms *terms_that_fit(const struct cdr *cdr, unsigned table, uint64_t connect_ns,
					       int64_t rate_e8, int64_t fee)
{
	for (unsigned count = schedule.row_count; count; count--) {
		const struct row *newest = &schedule.rows[count - 1];
		if (newest->known_ns > connect_ns)
			continue;
		const struct rate_terms *t = row_at(table, cdr->connect_us, count);
		if (t && fee == fee_of(t, billed_s_of(t, cdr->hold_ms)) &&
		    (rate_e8 == ANY_RATE || rate_e8 == t->rate_e8))
			return t;
		if (newest->settled_ns < connect_ns)
			break;
	}
	return NULL;
}

static void check_overdraft(struct sim *sim, struct sim_cdr *record, struct ledger *l)
{
	int64_t credit = l->start_e8 + l->topped_e8 - l->fees_e8 + l->overdraft_e8;
	if (l->unlimited)
		return;
	if (credit < l->lowest_e8)
		l->lowest_e8 = credit;
	if (credit < 0 && !l->lowered && -credit > totals.overdrawn_e8)
		totals.overdrawn_e8 = -credit;
	if (credit < -l->allowed_e8 && !l->lowered)
		sim_fail(sim, record->call, "overdraft", "account %s is overdrawn by %lld", l->name,
			 (long long)-credit);
}

/* The call was cut: at the end of an increment, and for want of the next one. */
static void check_cut(struct sim *sim, struct sim_cdr *record, const struct ledger *l, const struct rate_terms *t)
{
	const struct cdr *cdr = &record->cdr;
	int64_t late_us = sim_real_us(sim, sim->now_ns) - cdr->end_us;
	int64_t next_s = billed_s_of(t, cdr->hold_ms + 1000);
	bool short_start = cdr->hold_ms == 200; /* the rate rose before it was connected: no increment was paid */
	int64_t more = price_of(t, next_s) - (short_start ? 0 : price_of(t, cdr->billed_s));
	int64_t left = credit_left_e8(sim, l->id);
	totals.cut++;
	if ((uint64_t)late_us > totals.cut_late_us)
		totals.cut_late_us = (uint64_t)late_us;
	if (late_us < 0 || late_us > CUT_LATE_US)
		sim_fail(sim, record->call, "cut-late", "%lld us after its credit ended", (long long)late_us);
	if (!short_start && (cdr->hold_ms % 1000 || next_s <= cdr->billed_s))
		sim_fail(sim, record->call, "cut-early", "after %lld ms, with %lld s paid", (long long)cdr->hold_ms,
			 (long long)cdr->billed_s);
	totals.cut_still += !credit_is_moving(sim, l->id); /* else it may just have come free, elsewhere */
	if (!l->unlimited && left >= more && more > 0 && !credit_is_moving(sim, l->id))
		sim_fail(sim, record->call, "cut-with-credit", "%lld are left, the next increment costs %lld",
			 (long long)left, (long long)more);
	bool known = sim->now_ns > schedule.settles_ns; /* to all shards */
	if ((l->unlimited && known) || more <= 0)
		sim_fail(sim, record->call, "cut-for-nothing",
			 "the next increment, %lld s after %lld, costs %lld; rate %lld, connect fee %lld, increments "
			 "%u and %u, grace %u, fee %.*s",
			 (long long)next_s, (long long)cdr->billed_s, (long long)more, (long long)t->rate_e8,
			 (long long)t->connect_fee_e8, t->first_s, t->next_s, t->grace_s, (int)cdr->fee.size,
			 cdr->fee.at);
}

static void check_refused(struct sim *sim, struct sim_cdr *record, const struct ledger *l, unsigned table)
{
	int64_t most = 0; /* of what the shard may know */
	for (unsigned count = schedule.row_count; count; count--) {
		const struct rate_terms *t = row_at(table, record->cdr.start_us, count);
		if (schedule.rows[count - 1].known_ns > sim->now_ns)
			continue;
		int64_t need = t ? price_of(t, billed_s_of(t, schedule.advance_min * INT64_C(60000))) : INT64_MAX;
		most = need > most ? need : most;
		if (schedule.rows[count - 1].settled_ns + SIM_S < sim->now_ns)
			break;
	}
	totals.refused++;
	if (credit_left_e8(sim, l->id) >= most && sim->settings.shards == 1)
		sim_fail(sim, record->call, "refused-with-credit", "%lld are left, it needs %lld",
			 (long long)credit_left_e8(sim, l->id), (long long)most);
}

static void cdr_seen(struct sim *sim, struct sim_cdr *record)
{
	const struct cdr *cdr = &record->cdr;
	struct ledger *l = ledger_of(cdr->account);
	int64_t fee, cost, rate = 0;
	if (!l) {
		sim_fail(sim, record->call, "account", "a record of no account");
		return;
	}
	unsigned table = (unsigned)(l - schedule.ledgers);
	if (!amount_of(cdr->fee, &fee) || (cdr->connect_us && !amount_of(cdr->cost, &cost)) ||
	    (cdr->rate.size && !amount_of(cdr->rate, &rate))) {
		sim_fail(sim, record->call, "amounts", "fee \"%.*s\", cost \"%.*s\"", (int)cdr->fee.size, cdr->fee.at,
			 (int)cdr->cost.size, cdr->cost.at);
		return;
	}
	l->fees_e8 += fee;
	if (cdr->end_reason == CDR_END_no_balance)
		check_refused(sim, record, l, table);
	if (!cdr->connect_us) {
		if (fee || cdr->billed_s)
			sim_fail(sim, record->call, "fee", "not connected, but a fee of %lld", (long long)fee);
		return;
	}
	uint64_t connect_ns = (uint64_t)(cdr->connect_us - sim->wall_us) * 1000;
	const struct rate_terms *t = terms_that_fit(cdr, table, connect_ns, rate, fee);
	totals.answered++;
	if (!t) {
		sim_fail(sim, record->call, "fee", "%lld for %lld ms", (long long)fee, (long long)cdr->hold_ms);
		return;
	}
	if (cdr->billed_s != billed_s_of(t, cdr->hold_ms) || cdr->rate_prefix.size != 3)
		sim_fail(sim, record->call, "billed", "%lld s for %lld ms", (long long)cdr->billed_s,
			 (long long)cdr->hold_ms);
	if (!terms_that_fit(cdr, TABLE_VENDOR, connect_ns, ANY_RATE, cost))
		sim_fail(sim, record->call, "cost", "%lld for %lld ms", (long long)cost, (long long)cdr->hold_ms);
	if (cdr->end_reason == CDR_END_balance_exhausted) {
		if (cdr->hold_ms == 200) { /* may cost one increment that was not there */
			l->allowed_e8 += price_of(t, cdr->billed_s);
			totals.rises++;
		}
		check_cut(sim, record, l, t);
	}
	check_overdraft(sim, record, l);
}

/* ---- what happens ---- */

static struct rate_terms draw_terms(struct sim *sim)
{
	static const uint32_t increments[][2] = { { 1, 1 },  { 6, 6 },  { 60, 60 }, { 30, 6 },
						  { 60, 1 }, { 1, 10 }, { 0, 0 } };
	uint64_t which = below(sim, sizeof increments / sizeof *increments);
	struct rate_terms t = { .rate_e8 = (int64_t)(1 + below(sim, 200)) * UNIT,
				.first_s = increments[which][0],
				.next_s = increments[which][1] };
	if (chance(sim, 30))
		t.rate_e8 += (int64_t)below(sim, UNIT);
	t.rate_e8 /= schedule.cheaper;
	if (chance(sim, 20))
		t.connect_fee_e8 = (int64_t)below(sim, 50 * UNIT);
	if (chance(sim, 10))
		t.grace_s = (uint32_t)below(sim, 20);
	if (chance(sim, 3))
		t.rate_e8 = 0;
	return t;
}

static void add_row(struct sim *sim, unsigned table, int64_t from_us, uint64_t known_ns, uint64_t settled_ns)
{
	if (schedule.row_count == ROWS_MAX)
		return;
	for (unsigned i = 0; i < schedule.row_count; i++)
		if (schedule.rows[i].table == table && schedule.rows[i].from_us == from_us)
			return;
	schedule.rows[schedule.row_count++] = (struct row){ table, draw_terms(sim), from_us, known_ns, settled_ns };
}

static void reload(struct sim *sim)
{
	uint64_t within_ns = 1 + below(sim, 300) * SIM_MS;
	totals.reloads++;
	schedule.settles_ns =
		sim->now_ns + within_ns > schedule.settles_ns ? sim->now_ns + within_ns : schedule.settles_ns;
	for (unsigned i = 0; i < schedule.row_count; i++)
		if (schedule.rows[i].settled_ns == UINT64_MAX)
			schedule.rows[i].settled_ns = schedule.settles_ns;
	node_reload(sim, schedule.gateways, within_ns);
}

static void rates_change(struct sim *sim, void *context)
{
	int64_t now_us = sim_real_us(sim, sim->now_ns);
	(void)context;
	for (uint64_t i = 1 + below(sim, 2); i; i--)
		add_row(sim, (unsigned)below(sim, schedule.accounts + 1),
			now_us + (int64_t)below(sim, 60000000) - 5000000, sim->now_ns, UINT64_MAX);
	reload(sim);
}

static void overdraft_changes(struct sim *sim, void *context)
{
	struct ledger *l = &schedule.ledgers[below(sim, schedule.accounts)];
	int64_t to = (int64_t)below(sim, 300) * UNIT;
	(void)context;
	l->lowered |= to < l->overdraft_e8 || l->unlimited;
	l->overdraft_e8 = to;
	l->unlimited = chance(sim, 10);
	l->lowered |= l->unlimited;
	reload(sim);
}

static void top_up(struct sim *sim, void *context)
{
	struct ledger *l = &schedule.ledgers[below(sim, schedule.accounts)];
	struct command command = { .kind = COMMAND_CREDIT,
				   .account_id = l->id,
				   .amount_e8 = (int64_t)below(sim, 300) * UNIT + (int64_t)below(sim, 7) };
	(void)context;
	totals.topups++;
	l->topped_e8 += command.amount_e8;
	node_command(sim, &command);
}

static void place(struct sim *sim, void *context)
{
	struct script script = { .caller = (unsigned)below(sim, schedule.accounts) };
	struct answer *answer = &script.answers[0];
	(void)context;
	sim->planned--;
	totals.calls++;
	answer->ring_ns = (1 + below(sim, 500)) * SIM_MS;
	answer->final_ns = answer->ring_ns + below(sim, 20000) * SIM_MS;
	if (chance(sim, 8))
		answer->code = chance(sim, 50) ? 503 : 486;
	script.answers[1] = script.answers[2] = (struct answer){ .ring_ns = SIM_MS, .final_ns = 2 * SIM_S };
	if (chance(sim, 8))
		script.cancel_ns = 1 + below(sim, 10000) * SIM_MS;
	script.steps[0] = (struct step){ STEP_BYE, chance(sim, 50),
					 chance(sim, 50) ? 1 + below(sim, 60000) * SIM_MS : below(sim, 600) * SIM_S };
	if (chance(sim, 10))
		script.steps[1] = (struct step){ STEP_REINVITE, chance(sim, 50), below(sim, 30000) * SIM_MS };
	sim_place(sim, &script);
}

/* ---- a schedule ---- */

static void draw_ledger(struct sim_settings *settings, struct ledger *l, unsigned index, uint64_t dice)
{
	snprintf(l->name, sizeof l->name, "credit-%u", index);
	l->id = gateway_id(GATEWAY_ACCOUNT, l->name);
	l->start_e8 = (int64_t)(dice % 500) * UNIT;
	l->overdraft_e8 = dice >> 32 & 1 ? (int64_t)(dice >> 40 & 255) * UNIT : 0;
	l->lowest_e8 = INT64_MAX;
	(void)settings;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static void draw_settings(uint64_t seed, struct sim_settings *settings)
{
	static const unsigned shards[] = { 2, 2, 2, 1, 4 };
	static const unsigned precisions[] = { 50, 50, 0, 1, 500, 999 };
	uint64_t dice = mix(seed * 2 + 1);
	memset(&schedule, 0, sizeof schedule);
	schedule.accounts = dice % 3 ? 1 : ACCOUNTS;
	schedule.precision_ms = precisions[(dice >> 8) % 6];
	schedule.free_s = dice >> 12 & 7 ? 0 : (unsigned)(dice >> 16 & 15);
	schedule.decimals = dice >> 20 & 1 ? 2 : (unsigned)((dice >> 21) % 9);
	schedule.cheaper = dice >> 53 & 1 ? 1 : 1u << (dice >> 54 & 7);
	schedule.advance_min = 1 + (dice >> 28 & 7 ? 0 : 1);
	schedule.vendor_id = gateway_id(GATEWAY_ACCOUNT, "vendor");
	for (unsigned i = 0; i < ACCOUNTS; i++)
		draw_ledger(settings, &schedule.ledgers[i], i, mix(dice + i));
	char *at = schedule.gateways;
	for (unsigned i = 0; i < schedule.accounts; i++)
		at += sprintf(at, "mapping_gateway \"mg%u\" { address = {\"10.1.0.%u\"} account = \"%s\" }\n", i, i + 1,
			      schedule.ledgers[i].name);
	for (unsigned i = 1; i <= SIM_CALLEES; i++)
		at += sprintf(at,
			      "routing_gateway \"rg%u\" { address = \"10.2.0.%u:5060\" prefix = {\"880\"} priority = "
			      "%u account = \"vendor\" }\n",
			      i, i, i);
	snprintf(schedule.parameters, sizeof schedule.parameters,
		 "SERVER_BILLING_HOLD_TIME_PRECISION = %u\nSERVER_BILLING_FREE_TIME = %u\n"
		 "SERVER_BILLING_FEE_PRECISION = %u\nSERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME = %u\n",
		 schedule.precision_ms, schedule.free_s, schedule.decimals, schedule.advance_min);
	*settings = (struct sim_settings){ .seed = seed,
					   .shards = shards[(dice >> 44) % 5],
					   .mailbox = dice >> 50 & 1,
					   .parameters = schedule.parameters,
					   .gateways = schedule.gateways,
					   .tariff = make_tariff,
					   .cdr_seen = cdr_seen,
					   .note_jitter_ns = dice >> 51 & 3 ? 0 : 5 * SIM_MS };
}

/* Rows of the beginning are drawn with a generator of their own: the simulation does not stand yet. */
static void draw_rows(uint64_t seed)
{
	struct sim *dice = calloc(1, sizeof *dice);
	if (!dice)
		abort();
	dice->random[SIM_TRAFFIC] = mix(seed + 99);
	for (unsigned table = 0; table <= ACCOUNTS; table++)
		add_row(dice, table, INT64_MIN, 0, 0);
	free(dice);
}

static void schedule_all(struct sim *sim)
{
	unsigned calls = 4 + (unsigned)below(sim, 40);
	uint64_t span_ns = (30 + below(sim, 400)) * SIM_S, begin_ns = sim->now_ns;
	sim->planned += calls;
	for (unsigned i = 0; i < calls; i++)
		sim_at(sim, begin_ns + below(sim, span_ns), place, NULL);
	for (uint64_t i = below(sim, 12); i; i--)
		sim_at(sim, begin_ns + below(sim, span_ns), top_up, NULL);
	for (uint64_t i = below(sim, 5); i; i--)
		sim_at(sim, begin_ns + below(sim, span_ns), rates_change, NULL);
	for (uint64_t i = chance(sim, 40) ? below(sim, 4) : 0; i; i--)
		sim_at(sim, begin_ns + below(sim, span_ns), overdraft_changes, NULL);
}

static void check_books(struct sim *sim)
{
	for (unsigned i = 0; i < schedule.accounts; i++) {
		const struct ledger *l = &schedule.ledgers[i];
		int64_t should = l->start_e8 + l->topped_e8 - l->fees_e8, is = credit_balance_e8(sim, l->id);
		if (is != should)
			sim_fail(sim, NULL, "books", "the bank of %s has %lld, not %lld", l->name, (long long)is,
				 (long long)should);
	}
}

static bool run(uint64_t seed, bool show)
{
	struct sim_settings settings;
	draw_settings(seed, &settings);
	draw_rows(seed);
	struct sim *sim = sim_create(&settings);
	schedule_all(sim);
	sim_finish(sim);
	check_books(sim);
	totals.asks += node_stat(sim, credit_asks);
	totals.recalls += node_stat(sim, credit_recalls);
	bool good = !sim->failed;
	if (!good) {
		printf("schedule %" PRIu64 " failed, %u shards, %u accounts: ", seed, sim->shard_count,
		       schedule.accounts);
		sim_print_failure(sim, stdout);
	}
	for (unsigned i = 0; show && i < sim->call_count; i++)
		sim_print_call(sim, sim->by_serial[i], stdout);
	sim_destroy(sim);
	totals.schedules++;
	return good;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "schedules", required_argument, NULL, 'n' },
						 { "from", required_argument, NULL, 'f' },
						 { "show", no_argument, NULL, 's' },
						 { NULL, 0, NULL, 0 } };
	uint64_t count = 1000, from = 1;
	bool show = false, good = true;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			count = strtoull(optarg, NULL, 10);
		else if (option == 'f')
			from = strtoull(optarg, NULL, 10);
		else if (option == 's')
			show = true;
		else
			return 2;
	}
	for (uint64_t seed = from; good && seed < from + count; seed++)
		good = run(seed, show);
	printf("%" PRIu64 " schedules: %" PRIu64 " calls, %" PRIu64 " answered, %" PRIu64 " cut (at most %" PRIu64
	       " us late; %" PRIu64 " with no note under way), %" PRIu64 " refused, %" PRIu64 " top-ups, %" PRIu64
	       " reloads, %" PRIu64 " connected to a rate they could not pay, %" PRIu64 " asks, %" PRIu64
	       " recalls; worst overdraft %lld\n",
	       totals.schedules, totals.calls, totals.answered, totals.cut, totals.cut_late_us, totals.cut_still,
	       totals.refused, totals.topups, totals.reloads, totals.rises, totals.asks, totals.recalls,
	       (long long)totals.overdrawn_e8);
	return good ? 0 : 1;
}
