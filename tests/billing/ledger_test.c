/* The ledger (spec 10): every call is charged once, whatever is given twice, and balances are the sums of their rows.
 */
#include "billing/ledger.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "billing/money.h"
#include "tests/billing/ledger_steps.h"
#include "tests/billing/sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(ledger, a_fee_lowers_the_accounts_balance_and_a_cost_raises_the_vendors)
{
	add_account("a");
	add_account("v");
	topup("a", 10 * MONEY_ONE);
	struct opened_sink s = open_sink();
	const struct cdr cdr = charged_cdr(1, "a", "1.25", "v", "0.75");

	apply(&s, &cdr, 1, 100);
	cr_assert_eq(balance_of("a"), 875000000);
	cr_assert_eq(balance_of("v"), 75000000);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger WHERE kind = 'charge' AND amount_e8 = -125000000"), 1);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger WHERE kind = 'cost' AND amount_e8 = 75000000"), 1);
	close_sink(&s);
}

/* A partner on both sides: what they owe us and what we owe them is one figure. */
Test(ledger, an_account_that_is_customer_and_vendor_nets)
{
	add_account("p");
	struct opened_sink s = open_sink();
	const struct cdr cdr = charged_cdr(1, "p", "2", "p", "3");

	apply(&s, &cdr, 1, 100);
	cr_assert_eq(balance_of("p"), MONEY_ONE);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger"), 2);
	close_sink(&s);
}

Test(ledger, a_call_given_again_is_charged_once)
{
	add_account("a");
	struct opened_sink s = open_sink();
	struct cdr cdrs[20];

	for (unsigned i = 0; i < COUNT(cdrs); i++)
		cdrs[i] = charged_cdr(i, "a", "1", "", "");
	apply(&s, cdrs, 10, 100);
	apply(&s, cdrs, COUNT(cdrs), 50); /* the position of another journal, say */
	cr_assert_eq(balance_of("a"), -20 * MONEY_ONE);
	const struct cdr twice[] = { cdrs[3], cdrs[3] };
	apply(&s, twice, 2, 60);
	cr_assert_eq(balance_of("a"), -20 * MONEY_ONE);
	close_sink(&s);
	s = open_sink();
	apply(&s, cdrs, COUNT(cdrs), 100);
	cr_assert_eq(balance_of("a"), -20 * MONEY_ONE);
	cr_assert_eq(ledger_sum_of("a"), balance_of("a"));
	close_sink(&s);
}

Test(ledger, the_position_is_that_of_the_last_commit)
{
	add_account("a");
	struct opened_sink s = open_sink();
	const struct cdr cdr = charged_cdr(1, "a", "1", "", "");

	cr_assert_eq(s.position.journal, 0);
	apply(&s, &cdr, 1, UINT64_MAX - 5);
	cr_assert_eq(s.sink.begin(s.sink.context), 0);
	s.sink.rollback(s.sink.context);
	close_sink(&s);
	s = open_sink();
	cr_assert_eq(s.position.journal, 77);
	cr_assert_eq(s.position.position, UINT64_MAX - 5);
	close_sink(&s);
}

Test(ledger, what_is_rolled_back_was_never_charged)
{
	add_account("a");
	struct opened_sink s = open_sink();
	const struct cdr cdr = charged_cdr(1, "a", "1", "", "");

	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(s.sink.begin(s.sink.context), 0);
		cr_assert_eq(s.sink.add(s.sink.context, &cdr), 0);
		s.sink.rollback(s.sink.context);
	}
	cr_assert_eq(balance_of("a"), 0);
	apply(&s, &cdr, 1, 100);
	cr_assert_eq(balance_of("a"), -MONEY_ONE);
	close_sink(&s);
}

Test(ledger, an_account_that_is_not_there_has_no_row_and_is_no_failure)
{
	add_account("b");
	struct opened_sink s = open_sink();
	const struct cdr cdrs[] = { charged_cdr(1, "a", "1", "zz", "1"), charged_cdr(2, "bb", "1", "", ""),
				    charged_cdr(3, "b", "1", "", "") };

	apply(&s, cdrs, COUNT(cdrs), 100);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger"), 1);
	cr_assert_eq(balance_of("b"), -MONEY_ONE);
	close_sink(&s);
}

/* Four attempts of five fail: they would fill the ledger with nothing. */
Test(ledger, a_call_that_was_not_answered_has_no_row_and_one_that_cost_nothing_has)
{
	add_account("a");
	struct opened_sink s = open_sink();
	struct cdr cdrs[] = { charged_cdr(1, "a", "0.00", "", ""), charged_cdr(2, "a", "0.00", "", ""),
			      charged_cdr(3, "a", "", "", "") };

	cdrs[0].connect_us = 0;
	apply(&s, cdrs, COUNT(cdrs), 100);
	cr_assert_eq(number_of("SELECT count(*) FROM ledger"), 1);
	cr_assert_eq(number_of("SELECT amount_e8 FROM ledger"), 0);
	close_sink(&s);
}

/* A sink that keeps balances must not write back what it knew before. */
Test(ledger, a_topup_and_a_new_account_between_two_batches_count)
{
	add_account("a");
	struct opened_sink s = open_sink();
	const struct cdr first = charged_cdr(1, "a", "1", "", ""), second = charged_cdr(2, "a", "1", "", ""),
			 other = charged_cdr(3, "aa", "2", "", "");

	apply(&s, &first, 1, 100);
	topup("a", 7 * MONEY_ONE);
	add_account("aa");
	apply(&s, &second, 1, 200);
	apply(&s, &other, 1, 300);
	cr_assert_eq(balance_of("a"), 5 * MONEY_ONE);
	cr_assert_eq(balance_of("aa"), -2 * MONEY_ONE);
	close_sink(&s);
}

Test(ledger, a_fee_that_is_no_amount_is_refused_and_the_batch_goes_on)
{
	add_account("a");
	struct opened_sink s = open_sink();
	const struct cdr bad[] = { charged_cdr(1, "a", "1.234567891", "", ""), charged_cdr(2, "a", "x", "", ""),
				   charged_cdr(3, "a", "1", "v", "1e3"),
				   charged_cdr(4, "a", "99999999999999999999", "", "") };
	const struct cdr good = charged_cdr(5, "a", "1.5", "", "");
	const struct sink_position position = { .journal = 77, .position = 1 };

	cr_assert_eq(s.sink.begin(s.sink.context), 0);
	for (unsigned i = 0; i < COUNT(bad); i++)
		cr_assert_eq(s.sink.add(s.sink.context, &bad[i]), -EINVAL);
	cr_assert_not_null(strstr(s.sink.error(s.sink.context), "no amount"));
	cr_assert_eq(s.sink.add(s.sink.context, &good), 0);
	cr_assert_eq(s.sink.commit(s.sink.context, &position), 0);
	cr_assert_eq(balance_of("a"), -150000000);
	close_sink(&s);
}

/* The feeder tries again; nothing of the batch is left behind. */
Test(ledger, another_process_that_holds_the_database_is_waited_for)
{
	add_account("a");
	struct opened_sink s = open_sink();
	const struct cdr cdr = charged_cdr(1, "a", "1", "", "");
	sqlite3 *other;

	cr_assert_eq(sqlite3_open(ledger_path(), &other), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(s.sink.begin(s.sink.context), -EBUSY);
	cr_assert_not(s.sink.reopen(s.sink.context, -EBUSY));
	cr_assert_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	apply(&s, &cdr, 1, 100);
	cr_assert_eq(balance_of("a"), -MONEY_ONE);
	close_sink(&s);
}

/* A new database in place of one that was moved away would have no accounts and charge nobody. */
Test(ledger, a_database_that_was_moved_away_is_waited_for_and_not_made_anew)
{
	add_account("a");
	struct opened_sink s = open_sink();
	const struct cdr cdrs[] = { charged_cdr(1, "a", "1", "", ""), charged_cdr(2, "a", "1", "", "") };
	char error[SINK_ERROR_BYTES] = "", away[512];

	apply(&s, cdrs, 1, 100);
	snprintf(away, sizeof(away), "%s.away", ledger_path());
	cr_assert_eq(rename(ledger_path(), away), 0);
	cr_assert(s.sink.stale(s.sink.context));
	cr_assert_eq(s.sink.begin(s.sink.context), -ESTALE);
	cr_assert(s.sink.reopen(s.sink.context, -ESTALE));
	s.sink.close(s.sink.context);
	cr_assert_eq(s.sink.open(s.sink.context, &s.position, error), -ENOENT);
	cr_assert_not_null(strstr(error, "put it back"), "%s", error);
	cr_assert_neq(access(ledger_path(), F_OK), 0);
	cr_assert_eq(rename(away, ledger_path()), 0);
	cr_assert_eq(s.sink.open(s.sink.context, &s.position, error), 0, "%s", error);
	cr_assert_eq(s.position.position, 100);
	apply(&s, cdrs, 2, 200);
	cr_assert_eq(balance_of("a"), -2 * MONEY_ONE);
	close_sink(&s);
}

Test(ledger, a_database_of_a_newer_program_is_refused)
{
	struct sink_position position;
	struct sink sink;
	char error[SINK_ERROR_BYTES] = "";

	raw("PRAGMA user_version = 99");
	cr_assert_eq(ledger_sink_create(ledger_path(), &sink), 0);
	cr_assert_eq(sink.open(sink.context, &position, error), -EPROTONOSUPPORT);
	cr_assert_not_null(strstr(error, "newer ringwheel"));
	ledger_sink_free(&sink);
}

/* What a database has keeps its meaning: a step that was released never changes. */
Test(ledger, the_first_schema_is_what_it_was)
{
	add_account("a");
	cr_assert_eq(number_of("PRAGMA user_version"), 1);
	cr_assert_eq(
		number_of("SELECT count(*) FROM pragma_table_info('accounts') WHERE name IN ('id', 'name', 'currency',"
			  " 'balance_e8', 'overdraft_e8', 'rate_table', 'locked', 'bill_until', 'created_us')"),
		9);
	cr_assert_eq(
		number_of("SELECT count(*) FROM pragma_table_info('ledger') WHERE name IN ('id', 'when_us', 'account',"
			  " 'kind', 'amount_e8', 'cdr_id', 'who', 'reason')"),
		8);
	cr_assert_eq(number_of("SELECT count(*) FROM pragma_table_info('rates')"), 10);
}

Test(ledger, sums_that_do_not_fit_stay_at_the_end_of_the_scale)
{
	add_account("a");
	raw("UPDATE accounts SET balance_e8 = -9223372036854775000");
	struct opened_sink s = open_sink();
	const struct cdr cdrs[] = { charged_cdr(1, "a", "9", "", ""), charged_cdr(2, "", "", "a", "9") };

	apply(&s, &cdrs[0], 1, 100);
	cr_assert_eq(balance_of("a"), INT64_MIN);
	apply(&s, &cdrs[1], 1, 200);
	cr_assert_eq(balance_of("a"), INT64_MIN + 9 * MONEY_ONE);
	close_sink(&s);
}

/* ---- what the configuration reads ---- */

static uint32_t id_of(const char *name)
{
	return (uint32_t)name[0];
}

Test(ledger, a_database_that_is_not_there_has_no_accounts)
{
	struct tariff *tariff;
	char error[256] = "";

	cr_assert_eq(ledger_load(ledger_path(), id_of, &tariff, error), 0, "%s", error);
	cr_assert_eq(tariff_account_count(tariff), 0);
	cr_assert_neq(access(ledger_path(), F_OK), 0);
	tariff_free(tariff);
}

Test(ledger, the_tariff_has_the_accounts_with_their_tables_and_balances)
{
	struct tariff *tariff;
	struct rate rate;
	char error[256] = "";

	add_account("a");
	add_account("b");
	topup("a", 3 * MONEY_ONE);
	raw("INSERT INTO rate_tables VALUES (7, 'gone', 0, 0), (9, 't', 2, 0); DELETE FROM rate_tables WHERE id = 7;"
	    "INSERT INTO rates VALUES (9, '44', 'UK', 100, 5, 60, 6, 2, 0, 9223372036854775807),"
	    " (9, '447', 'UK mobile', 200, 0, 1, 1, 0, 1000, 2000), (7, '1', 'nobody''s', 1, 0, 1, 1, 0, 0, 9);"
	    "UPDATE accounts SET rate_table = 9, overdraft_e8 = 9223372036854775807, locked = 1,"
	    " bill_until = 'last_confirmed', currency = 'EUR' WHERE name = 'a'");
	cr_assert_eq(ledger_load(ledger_path(), id_of, &tariff, error), 0, "%s", error);
	const struct account *a = tariff_account(tariff, 'a'), *b = tariff_account(tariff, 'b');
	cr_assert_str_eq(a->name, "a");
	cr_assert_str_eq(a->currency, "EUR");
	cr_assert_eq(a->balance_e8, 3 * MONEY_ONE);
	cr_assert_eq(a->overdraft_e8, OVERDRAFT_UNLIMITED);
	cr_assert(a->locked);
	cr_assert_eq(a->bill_until, BILL_UNTIL_LAST_CONFIRMED);
	cr_assert_eq(b->table, TARIFF_NO_TABLE);
	cr_assert_eq(b->overdraft_e8, 0);
	cr_assert_not(b->locked);
	cr_assert(tariff_rate(tariff, a->table, "4479", 4, 1500, &rate));
	cr_assert_eq(rate.terms.rate_e8, 200);
	cr_assert(tariff_rate(tariff, a->table, "4479", 4, 2000, &rate));
	cr_assert_eq(rate.terms.rate_e8, 100);
	cr_assert_eq(rate.terms.connect_fee_e8, 5);
	cr_assert_eq(rate.terms.first_s, 60);
	cr_assert_eq(rate.terms.next_s, 6);
	cr_assert_eq(rate.terms.grace_s, 2);
	cr_assert_not(tariff_rate(tariff, a->table, "1", 1, 5, &rate));
	tariff_free(tariff);
}

/* Accounts change more often than rates, of which there may be a million. */
Test(ledger, accounts_that_have_changed_come_with_the_rates_that_have_not)
{
	struct tariff_builder *builder;
	struct tariff *first, *second;
	struct rate rate;
	char error[256] = "";

	raw("PRAGMA user_version"); /* makes the file */
	add_account("a");
	raw("INSERT INTO rate_tables VALUES (3, 's', 0, 0), (9, 't', 1, 5);"
	    "INSERT INTO rates VALUES (9, '44', 'UK', 100, 5, 60, 6, 2, 0, 9223372036854775807);"
	    "UPDATE accounts SET rate_table = 9");
	cr_assert_eq(ledger_load(ledger_path(), id_of, &first, error), 0, "%s", error);
	add_account("b");
	raw("UPDATE accounts SET rate_table = 9, locked = 1");
	cr_assert_eq(ledger_load_accounts(ledger_path(), id_of, tariff_rates_stamp(first), &builder, error), 0, "%s",
		     error);
	tariff_share_rates(builder, first);
	cr_assert_eq(tariff_finish(builder, &second), 0);
	cr_assert_eq(tariff_rates_stamp(second), tariff_rates_stamp(first));
	cr_assert_eq(tariff_account_count(first), 1);
	cr_assert_eq(tariff_account_count(second), 2);
	tariff_free(first);
	cr_assert(tariff_rate(second, tariff_account(second, 'b')->table, "441", 3, 7, &rate));
	cr_assert_eq(rate.terms.rate_e8, 100);
	raw("UPDATE rate_tables SET imported_us = 6 WHERE id = 9");
	cr_assert_eq(ledger_load_accounts(ledger_path(), id_of, tariff_rates_stamp(second), &builder, error), -ESTALE);
	cr_assert_eq(ledger_load_accounts(ledger_path(), id_of, 0, &builder, error), -ESTALE);
	tariff_free(second);
}

/* A number of a table means the same as before, or the rates are loaded anew. */
Test(ledger, a_table_that_came_or_went_is_another_stamp)
{
	const char *const changes[] = { "INSERT INTO rate_tables VALUES (5, 'u', 0, 0)",
					"DELETE FROM rate_tables WHERE id = 5",
					"UPDATE rate_tables SET name = 'x' WHERE id = 9",
					"UPDATE rate_tables SET rows = 2 WHERE id = 9", "DELETE FROM rate_tables" };
	struct tariff *tariff;
	char error[256] = "";
	uint64_t stamp = 0;

	add_account("a");
	raw("INSERT INTO rate_tables VALUES (9, 't', 0, 0)");
	for (unsigned i = 0; i <= COUNT(changes); i++) {
		struct tariff_builder *builder;

		cr_assert_eq(ledger_load(ledger_path(), id_of, &tariff, error), 0, "%s", error);
		cr_assert_neq(tariff_rates_stamp(tariff), stamp);
		cr_assert_neq(tariff_rates_stamp(tariff), 0);
		stamp = tariff_rates_stamp(tariff);
		tariff_free(tariff);
		if (i == COUNT(changes))
			break;
		raw(changes[i]);
		cr_assert_eq(ledger_load_accounts(ledger_path(), id_of, stamp, &builder, error), -ESTALE, "%s",
			     changes[i]);
	}
}
