/* Commands of two words: account ..., rates ..., cdr adjust.  Each has a row, with options of its own. */
#ifndef RW_TOOLS_RWCTL_WORDS_H
#define RW_TOOLS_RWCTL_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "tools/rwctl_show.h"

/* Options that belong to some commands only: bits. */
enum words_option {
	WORDS_LIMIT = 1,
	WORDS_CURRENCY = 2,
	WORDS_OVERDRAFT = 4,
	WORDS_RATE_TABLE = 8,
	WORDS_BILL_UNTIL = 16,
	WORDS_REASON = 32,
	WORDS_FEE = 64,
	WORDS_PREFIX = 128,
	WORDS_ACCOUNT = 256,
	WORDS_AT = 512,
};

#define WORDS_OPERANDS 2

struct words {
	const char *first, *second; /* "account", "add" */
	const char *method;
	show_fn *show;
	unsigned options;
	const char *operands[WORDS_OPERANDS]; /* the parameters they become */
	int operands_min;
	bool signs; /* tells who asks */
	const char *usage, *text;
};

/* Ended by a row without words: rwctl_account.c, rwctl_rates.c. */
extern const struct words account_words[], rates_words[];

/* Whether these arguments are such a command. */
bool words_are_meant(int argc, char **argv);
/* Carries it out; returns the exit status. */
int words_run(int argc, char **argv, const char *socket_default);
void words_help(FILE *out);

#endif
