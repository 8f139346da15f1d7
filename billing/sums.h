/* Sums of calls in groups: attempts, answers, times, money.  Money is added exactly, in 128 bits of 10^-8 units. */
#ifndef RW_BILLING_SUMS_H
#define RW_BILLING_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUMS_GROUPS_MAX    100000
#define SUMS_KEY_MAX       192
#define MONEY_SUM_TEXT_MAX 48

typedef __int128 money_sum; /* e8 */

struct sum {
	uint64_t attempts, answered;
	uint64_t rang;   /* calls that rang or were answered: those pdd_ms is of */
	uint64_t pdd_ms; /* all of them together, as are the following */
	uint64_t hold_ms;
	uint64_t billed_s;
	money_sum fee_e8, cost_e8;
};

struct sums;

/* NULL: no memory. */
struct sums *sums_create(void);
void sums_free(struct sums *s);

/* Adds to the group of this key, cut to SUMS_KEY_MAX.  -E2BIG: there are SUMS_GROUPS_MAX already; -ENOMEM. */
int sums_add(struct sums *s, const char *key, size_t key_size, const struct sum *sum);

/* Puts the groups in the order of their keys; none is added after. */
void sums_sort(struct sums *s);
size_t sums_count(const struct sums *s);
const struct sum *sums_at(const struct sums *s, size_t index, const char **ret_key); /* terminated */
struct sum sums_total(const struct sums *s);

/* Decimal text as CDRs have it, "" is 0.  false: something else. */
bool money_sum_read(const char *text, money_sum *ret_e8);
/* With as few decimals as say it all, at least 2; returns the size without NUL. */
size_t money_sum_write(money_sum e8, char out[static MONEY_SUM_TEXT_MAX]);

#endif
