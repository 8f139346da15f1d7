/* Accounts: their commands, and what comes back as people want to read it. */
#include <string.h>

#include "tools/rwctl_table.h"
#include "tools/rwctl_words.h"

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value != NULL ? value : "";
}

static json_int_t integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void show_accounts(const json_t *result, FILE *out)
{
	struct table *t = table_create("NAME|CURRENCY|>BALANCE|>OVERDRAFT|RATE TABLE|LOCKED|BILL UNTIL");
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		table_text(t, text(row, "name"));
		table_text(t, text(row, "currency"));
		table_text(t, text(row, "balance"));
		table_text(t, text(row, "overdraft"));
		table_text(t, text(row, "rate_table"));
		table_text(t, json_is_true(json_object_get(row, "locked")) ? "yes" : "no");
		table_text(t, text(row, "bill_until"));
	}
	table_print(t, out);
}

static void show_ledger(const json_t *result, FILE *out)
{
	struct table *t = table_create("WHEN|KIND|>AMOUNT|>BALANCE|CDR ID|WHO|REASON");
	size_t index;
	json_t *row;
	json_array_foreach((json_t *)(uintptr_t)result, index, row)
	{
		table_time(t, integer(row, "when_us"));
		table_text(t, text(row, "kind"));
		table_text(t, text(row, "amount"));
		table_text(t, text(row, "balance"));
		table_text(t, text(row, "cdr_id"));
		table_text(t, text(row, "who"));
		table_text(t, text(row, "reason"));
	}
	table_print(t, out);
}

static void show_done(const json_t *result, FILE *out)
{
	fputs("account ", out);
	print_safely(text(result, "name"), out);
	fputs(" is as asked for, from the next call on\n", out);
}

static void show_topup(const json_t *result, FILE *out)
{
	print_safely(text(result, "name"), out);
	fprintf(out, ": %s, the balance is %s\n", text(result, "amount"), text(result, "balance"));
}

static void show_adjust(const json_t *result, FILE *out)
{
	fprintf(out, "the fee is %s (was %s, charged %s); the balance of ", text(result, "fee"), text(result, "was"),
		text(result, "original_fee"));
	print_safely(text(result, "account"), out);
	fprintf(out, " has moved by %s to %s\n", text(result, "moved"), text(result, "balance"));
}

#define ACCOUNT_OPTIONS (WORDS_CURRENCY | WORDS_OVERDRAFT | WORDS_RATE_TABLE | WORDS_BILL_UNTIL)
#define ACCOUNT_USAGE                                                                                                  \
	" NAME [--currency CUR] [--overdraft AMOUNT|unlimited] [--rate-table TABLE]"                                   \
	" [--bill-until teardown|last_confirmed]"

const struct words account_words[] = {
	{ "account",
	  "list",
	  "accounts.list",
	  show_accounts,
	  0,
	  { "name" },
	  0,
	  false,
	  "account list [NAME]",
	  "accounts and their balances" },
	{ "account",
	  "add",
	  "accounts.add",
	  show_done,
	  ACCOUNT_OPTIONS,
	  { "name" },
	  1,
	  false,
	  "account add" ACCOUNT_USAGE,
	  "a new account with a balance of 0" },
	{ "account",
	  "set",
	  "accounts.set",
	  show_done,
	  ACCOUNT_OPTIONS,
	  { "name" },
	  1,
	  false,
	  "account set" ACCOUNT_USAGE,
	  "change what is named" },
	{ "account",
	  "topup",
	  "accounts.topup",
	  show_topup,
	  WORDS_REASON,
	  { "name", "amount" },
	  2,
	  true,
	  "account topup NAME AMOUNT [--reason TEXT]",
	  "a payment of the account's holder; one to the holder is below 0: -- NAME -AMOUNT" },
	{ "account",
	  "lock",
	  "accounts.lock",
	  show_done,
	  0,
	  { "name" },
	  1,
	  false,
	  "account lock NAME",
	  "refuse its calls from now on" },
	{ "account",
	  "unlock",
	  "accounts.unlock",
	  show_done,
	  0,
	  { "name" },
	  1,
	  false,
	  "account unlock NAME",
	  "take its calls again" },
	{ "account",
	  "ledger",
	  "accounts.ledger",
	  show_ledger,
	  WORDS_LIMIT,
	  { "name" },
	  1,
	  false,
	  "account ledger NAME [--limit N]",
	  "what has moved its balance, newest first" },
	{ "cdr",
	  "adjust",
	  "cdr.adjust",
	  show_adjust,
	  WORDS_FEE | WORDS_REASON,
	  { "cdr_id" },
	  1,
	  true,
	  "cdr adjust CDR_ID --fee AMOUNT [--reason TEXT]",
	  "correct what a call was charged" },
	{ .first = NULL },
};
