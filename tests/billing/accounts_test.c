/* What operators do with accounts (spec 10): each change as a whole or not at all, each movement in the ledger. */
#include "billing/accounts.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "billing/money.h"
#include "billing/store.h"
#include "tests/billing/ledger_steps.h"
#include "tests/billing/sample.h"

static char error[256];

static struct account_order order_of(const char *name)
{
	struct account_order order = { .given = 0 };

	snprintf(order.name, sizeof(order.name), "%s", name);
	return order;
}

static int add(const struct account_order *order)
{
	return account_add(ledger_path(), order, 1700000000000000, error);
}

static int set(const struct account_order *order)
{
	return account_set(ledger_path(), order, error);
}

static struct account_row seen;
static char seen_names[256], seen_currency[16], seen_table[80];
static unsigned seen_count;

static void see(void *context, const struct account_row *row)
{
	(void)context;
	seen = *row;
	snprintf(seen_names + strlen(seen_names), sizeof(seen_names) - strlen(seen_names), "%s ", row->name);
	snprintf(seen_currency, sizeof(seen_currency), "%s", row->currency);
	snprintf(seen_table, sizeof(seen_table), "%s", row->table);
	seen_count++;
}

static void list(const char *name)
{
	seen_names[0] = '\0';
	seen_count = 0;
	cr_assert_eq(accounts_list(ledger_path(), name, see, NULL, error), 0, "%s", error);
}

Test(accounts, a_new_account_has_nothing_and_may_spend_nothing)
{
	struct account_order order = order_of("customer-a");

	list("");
	cr_assert_eq(seen_count, 0);
	cr_assert_eq(add(&order), 0, "%s", error);
	list("customer-a");
	cr_assert_eq(seen_count, 1);
	cr_assert_eq(seen.balance_e8, 0);
	cr_assert_eq(seen.overdraft_e8, 0);
	cr_assert_not(seen.locked);
	cr_assert_eq(seen.bill_until, BILL_UNTIL_TEARDOWN);
	cr_assert_str_eq(seen_currency, "");
	cr_assert_str_eq(seen_table, "");
}

Test(accounts, names_are_those_that_gateways_can_have)
{
	const char *const bad[] = { "", "a b", "a\"b", "a/b", "\xc3\xa4" };
	struct account_order order;
	char longest[ACCOUNT_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		order = order_of(bad[i]);
		cr_assert_eq(add(&order), -EINVAL, "'%s'", bad[i]);
	}
	memset(longest, 'x', ACCOUNT_NAME_MAX);
	longest[ACCOUNT_NAME_MAX] = '\0';
	order = order_of(longest);
	cr_assert_eq(add(&order), 0, "%s", error);
	cr_assert_eq(add(&order), -EEXIST);
	cr_assert_not_null(strstr(error, "already"));
	order = order_of("Vendor_b.2-x");
	cr_assert_eq(add(&order), 0, "%s", error);
	list("");
	cr_assert_eq(seen_count, 2);
}

Test(accounts, values_that_are_not_allowed_change_nothing)
{
	struct account_order order = order_of("a");

	strcpy(order.currency, "E R");
	cr_assert_eq(add(&order), -EINVAL);
	order = order_of("a");
	order.overdraft_e8 = -1;
	cr_assert_eq(add(&order), -ERANGE);
	order = order_of("a");
	strcpy(order.table, "nowhere");
	cr_assert_eq(add(&order), -ENOENT);
	cr_assert_str_eq(error, "there is no rate table 'nowhere'; import it first");
	list("");
	cr_assert_eq(seen_count, 0);
	order = order_of("a");
	cr_assert_eq(add(&order), 0);
	order.given = ACCOUNT_CURRENCY | ACCOUNT_TABLE;
	strcpy(order.currency, "EUR");
	strcpy(order.table, "nowhere");
	cr_assert_eq(set(&order), -ENOENT);
	list("a");
	cr_assert_str_eq(seen_currency, "", "half of it was done");
	order = order_of("b");
	order.given = ACCOUNT_LOCKED;
	cr_assert_eq(set(&order), -ENOENT);
	cr_assert_str_eq(error, "there is no account 'b'");
}

Test(accounts, set_changes_what_is_given_and_nothing_else)
{
	struct account_order order = order_of("a");

	strcpy(order.currency, "EUR");
	order.overdraft_e8 = 5 * MONEY_ONE;
	order.bill_until = BILL_UNTIL_LAST_CONFIRMED;
	cr_assert_eq(add(&order), 0, "%s", error);
	raw("INSERT INTO rate_tables VALUES (1, 't', 0, 0)");
	order = order_of("a");
	order.given = ACCOUNT_LOCKED | ACCOUNT_TABLE;
	order.locked = true;
	strcpy(order.table, "t");
	cr_assert_eq(set(&order), 0, "%s", error);
	list("");
	cr_assert_str_eq(seen_currency, "EUR");
	cr_assert_str_eq(seen_table, "t");
	cr_assert_eq(seen.overdraft_e8, 5 * MONEY_ONE);
	cr_assert_eq(seen.bill_until, BILL_UNTIL_LAST_CONFIRMED);
	cr_assert(seen.locked);
	order = order_of("a");
	order.given = ACCOUNT_LOCKED | ACCOUNT_OVERDRAFT | ACCOUNT_TABLE | ACCOUNT_BILL_UNTIL;
	order.overdraft_e8 = OVERDRAFT_UNLIMITED;
	cr_assert_eq(set(&order), 0, "%s", error);
	list("");
	cr_assert_eq(seen.overdraft_e8, OVERDRAFT_UNLIMITED);
	cr_assert_eq(seen.bill_until, BILL_UNTIL_TEARDOWN);
	cr_assert_not(seen.locked);
	cr_assert_str_eq(seen_table, "");
}

/* ---- top-ups ---- */

static struct ledger_row entries[16];
static char texts[16][3][80];
static unsigned entry_count;

static void take(void *context, const struct ledger_row *row)
{
	(void)context;
	entries[entry_count] = *row;
	snprintf(texts[entry_count][0], 80, "%s", row->kind);
	snprintf(texts[entry_count][1], 80, "%s", row->who);
	snprintf(texts[entry_count][2], 80, "%s", row->reason);
	entry_count++;
}

static void read_ledger(const char *name, uint32_t limit)
{
	entry_count = 0;
	cr_assert_eq(account_ledger(ledger_path(), name, limit, take, NULL, error), 0, "%s", error);
}

Test(accounts, topups_move_the_balance_and_stand_in_the_ledger)
{
	const struct ledger_note note = { .when_us = 42, .who = "alice", .reason = "bank \xff transfer" };
	int64_t balance_e8;

	add_account("a");
	cr_assert_eq(account_topup(ledger_path(), "a", 10 * MONEY_ONE, &note, &balance_e8, error), 0, "%s", error);
	cr_assert_eq(balance_e8, 10 * MONEY_ONE);
	cr_assert_eq(account_topup(ledger_path(), "a", -3 * MONEY_ONE, &note, &balance_e8, error), 0, "%s", error);
	cr_assert_eq(balance_e8, 7 * MONEY_ONE);
	read_ledger("a", 10);
	cr_assert_eq(entry_count, 2);
	cr_assert_eq(entries[0].amount_e8, -3 * MONEY_ONE);
	cr_assert_eq(entries[0].balance_e8, 7 * MONEY_ONE);
	cr_assert_eq(entries[1].balance_e8, 10 * MONEY_ONE);
	cr_assert_eq(entries[1].when_us, 42);
	cr_assert_str_eq(texts[1][0], "topup");
	cr_assert_str_eq(texts[1][1], "alice");
	cr_assert_str_eq(texts[1][2], "bank ? transfer");
	read_ledger("a", 1);
	cr_assert_eq(entry_count, 1);
	cr_assert_eq(account_topup(ledger_path(), "b", 1, &note, &balance_e8, error), -ENOENT);
	cr_assert_eq(account_topup(ledger_path(), "a", 0, &note, &balance_e8, error), -ERANGE);
	cr_assert_eq(account_ledger(ledger_path(), "b", 1, take, NULL, error), -ENOENT);
}

Test(accounts, a_balance_does_not_grow_past_what_money_can_say)
{
	const struct ledger_note note = { .who = "", .reason = "" };
	int64_t balance_e8;

	add_account("a");
	cr_assert_eq(account_topup(ledger_path(), "a", MONEY_MAX, &note, &balance_e8, error), 0, "%s", error);
	cr_assert_eq(account_topup(ledger_path(), "a", 1, &note, &balance_e8, error), -ERANGE);
	cr_assert_eq(account_topup(ledger_path(), "a", INT64_MIN, &note, &balance_e8, error), -ERANGE);
	cr_assert_eq(balance_of("a"), MONEY_MAX);
	cr_assert_eq(ledger_sum_of("a"), MONEY_MAX);
}

/* ---- corrections ---- */

static int adjust(const char *cdr_id, int64_t fee_e8, struct fee_correction *c)
{
	const struct ledger_note note = { .when_us = 9, .who = "bob", .reason = "wrong rate" };

	return account_adjust(ledger_path(), sample_path("cdr.db"), cdr_id, fee_e8, &note, c, error);
}

static void id_of(const struct cdr *cdr, char id[static CDR_ID_SIZE + 1])
{
	memcpy(id, cdr->cdr_id, CDR_ID_SIZE);
	id[CDR_ID_SIZE] = '\0';
}

/* The original stays, the balance moves by the difference; so it is with the second correction. */
Test(accounts, a_corrected_fee_moves_the_balance_by_the_difference_as_often_as_it_is_corrected)
{
	const struct cdr cdr = charged_cdr(1, "a", "5", "", "");
	struct fee_correction c;
	char id[CDR_ID_SIZE + 1];

	add_account("a");
	id_of(&cdr, id);
	struct opened_sink s = open_sink();
	apply(&s, &cdr, 1, 100);
	cr_assert_eq(adjust(id, 2 * MONEY_ONE, &c), 0, "%s", error);
	cr_assert_eq(c.original_e8, 5 * MONEY_ONE);
	cr_assert_eq(c.before_e8, 5 * MONEY_ONE);
	cr_assert_eq(c.moved_e8, 3 * MONEY_ONE);
	cr_assert_eq(c.balance_e8, -2 * MONEY_ONE);
	cr_assert_str_eq(c.account, "a");
	cr_assert_eq(adjust(id, 6 * MONEY_ONE, &c), 0, "%s", error);
	cr_assert_eq(c.original_e8, 5 * MONEY_ONE);
	cr_assert_eq(c.before_e8, 2 * MONEY_ONE);
	cr_assert_eq(c.moved_e8, -4 * MONEY_ONE);
	cr_assert_eq(balance_of("a"), -6 * MONEY_ONE);
	cr_assert_eq(ledger_sum_of("a"), balance_of("a"));
	read_ledger("a", 10);
	cr_assert_eq(entry_count, 3);
	cr_assert_eq(entries[2].amount_e8, -5 * MONEY_ONE, "the original is gone");
	cr_assert_str_eq(texts[1][0], "adjust");
	cr_assert_str_eq(texts[1][1], "bob");
	cr_assert_str_eq(texts[1][2], "wrong rate");
	apply(&s, &cdr, 1, 50); /* given again: neither the charge nor the corrections are undone */
	cr_assert_eq(balance_of("a"), -6 * MONEY_ONE);
	close_sink(&s);
}

static void store(const struct cdr *cdr)
{
	struct cdr_store *cdrs;
	const char *why;

	cr_assert_eq(cdr_store_open(sample_path("cdr.db"), &cdrs, &why), 0, "%s", why);
	cr_assert_eq(cdr_store_begin(cdrs), 0);
	cr_assert_eq(cdr_store_add(cdrs, cdr), 0);
	cr_assert_eq(cdr_store_commit(cdrs), 0);
	cdr_store_close(cdrs);
}

/* The ledger has not come to it yet: when it does, the sum is the corrected fee all the same. */
Test(accounts, a_call_that_is_not_charged_yet_is_corrected_by_its_record)
{
	const struct cdr cdr = charged_cdr(1, "a", "5.00", "", ""), nobody = charged_cdr(2, "", "", "", "");
	struct fee_correction c;
	char id[CDR_ID_SIZE + 1];

	add_account("a");
	id_of(&cdr, id);
	cr_assert_eq(adjust(id, MONEY_ONE, &c), -ENOENT);
	store(&cdr);
	cr_assert_eq(adjust(id, MONEY_ONE, &c), 0, "%s", error);
	cr_assert_eq(c.original_e8, 5 * MONEY_ONE);
	cr_assert_eq(balance_of("a"), 4 * MONEY_ONE);
	struct opened_sink s = open_sink();
	apply(&s, &cdr, 1, 100);
	close_sink(&s);
	cr_assert_eq(balance_of("a"), -MONEY_ONE);
	store(&nobody);
	id_of(&nobody, id);
	cr_assert_eq(adjust(id, MONEY_ONE, &c), -ENOENT);
	cr_assert_str_eq(error, "the call has no account");
}

Test(accounts, a_correction_that_is_not_allowed_changes_nothing)
{
	struct fee_correction c;

	add_account("a");
	cr_assert_eq(adjust("0123", MONEY_ONE, &c), -EINVAL);
	cr_assert_eq(adjust("00000000000000000000000000000000", -1, &c), -ERANGE);
	cr_assert_eq(adjust("00000000000000000000000000000000", 1, &c), -ENOENT);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger"), 0);
	cr_assert_eq(number_of("SELECT count(*) FROM corrections"), 0);
}
