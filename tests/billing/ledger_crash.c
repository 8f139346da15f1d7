/* The ledger's process is killed at any moment, and begins again where its position says, or before that: each call is
 * charged exactly once, and the balances are the sums of their rows.  A plain program, so that it runs under the
 * sanitizers. */
#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "billing/accounts.h"
#include "billing/ledger.h"
#include "billing/money.h"
#include "tests/billing/sample.h"

enum { ROUNDS = 25, CALLS = 20000, BATCH = 50 };

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* Call n costs n units of 10^-8. */
static struct cdr call(uint64_t number)
{
	static char fee[MONEY_TEXT_MAX];
	struct cdr cdr = sample_cdr(number);

	money_write((int64_t)number, 8, fee);
	cdr.connect_us = 1;
	cdr.account = sample_text("a");
	cdr.fee = sample_text(fee);
	cdr.vendor_account = sample_text("v");
	cdr.cost = sample_text(fee);
	return cdr;
}

/* Charges what its position says is left, batch by batch; `again` calls before that once more. */
static void charge(const char *path, uint64_t again)
{
	struct sink_position position;
	struct sink sink;
	char error[SINK_ERROR_BYTES] = "";

	need(ledger_sink_create(path, &sink) == 0, "no memory");
	need(sink.open(sink.context, &position, error) == 0, error);
	uint64_t next = position.position > again ? position.position - again : 0;
	while (next < CALLS) {
		need(sink.begin(sink.context) == 0, sink.error(sink.context));
		for (unsigned i = 0; i < BATCH && next < CALLS; i++) {
			const struct cdr cdr = call(next++);

			need(sink.add(sink.context, &cdr) == 0, sink.error(sink.context));
		}
		const struct sink_position to = { .journal = 1, .position = next };
		need(sink.commit(sink.context, &to) == 0, sink.error(sink.context));
	}
	sink.close(sink.context);
	ledger_sink_free(&sink);
}

static void kill_one(const char *path, unsigned round)
{
	const struct timespec pause = { .tv_nsec = (long)(1000000 + rand() % 40000000) };
	int status;
	const pid_t child = fork();

	need(child >= 0, "fork");
	if (child == 0) {
		charge(path, round % 3 == 0 ? 500 : 0);
		_exit(0);
	}
	nanosleep(&pause, NULL);
	kill(child, SIGKILL);
	need(waitpid(child, &status, 0) == child, "waitpid");
	need(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "the charging process failed");
}

static int64_t balance_e8;

static void take_balance(void *context, const struct account_row *row)
{
	(void)context;
	balance_e8 = row->balance_e8;
}

static uint64_t entries;
static int64_t sum_e8;

static void take_entry(void *context, const struct ledger_row *row)
{
	(void)context;
	entries++;
	sum_e8 += row->amount_e8;
}

static void check(const char *path, const char *name, int64_t sign)
{
	const int64_t total = (int64_t)CALLS * (CALLS - 1) / 2;
	char error[DATABASE_ERROR_BYTES];

	entries = 0;
	sum_e8 = 0;
	need(accounts_list(path, name, take_balance, NULL, error) == 0, error);
	need(account_ledger(path, name, UINT32_MAX, take_entry, NULL, error) == 0, error);
	printf("%s: %" PRIu64 " rows, balance %" PRId64 "\n", name, entries, balance_e8);
	need(entries == CALLS, "a call is missing, or there twice");
	need(balance_e8 == sign * total && sum_e8 == balance_e8, "the balance is not the sum of the fees");
}

int main(void)
{
	const char *path = sample_path("ringwheel.db");
	struct account_order order = { .name = "a" };
	char error[DATABASE_ERROR_BYTES];

	srand(1);
	need(account_add(path, &order, 1, error) == 0, error);
	strcpy(order.name, "v");
	need(account_add(path, &order, 1, error) == 0, error);
	for (unsigned round = 0; round < ROUNDS; round++)
		kill_one(path, round);
	charge(path, CALLS);
	check(path, "a", -1);
	check(path, "v", 1);
	return 0;
}
