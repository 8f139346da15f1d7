/* A plain program for the sanitizer set-ups: a tariff is made again and again, each time with one more allocation
 * granted before the first that fails, until it is there.  Every failure is -ENOMEM and leaves nothing allocated; what
 * comes out at last is whole.  The linker puts the functions here before the allocator's (--wrap). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/tariff.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

static unsigned granted = UINT32_MAX;

static bool grant(void)
{
	if (granted == 0)
		return false;
	granted--;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return grant() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return grant() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return grant() ? __real_realloc(old, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return grant() ? __real_aligned_alloc(alignment, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return grant() ? __real_strdup(text) : NULL;
}

enum { PREFIXES = 40, PREFIX_SIZE = 27 };
#define TABLES 3u

/* Of every length up to 27 digits, so that some fit no word. */
static const char digits[] = "4912345678901234567890123456789";

static int add_rates(struct tariff_builder *b, uint32_t table)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < PREFIXES; i++)
		r = tariff_add_rate(b, table,
				    &(struct rate){ .prefix = digits,
						    .prefix_size = i % (PREFIX_SIZE + 1),
						    .terms = { .rate_e8 = i },
						    .from_us = i,
						    .to_us = INT64_MAX });
	return r;
}

static int add_accounts(struct tariff_builder *b)
{
	int r = 0;

	for (uint32_t i = 1; r == 0 && i < 20; i++) {
		struct account account = { .id = i, .table = i % TABLES };

		snprintf(account.name, sizeof account.name, "%u", i);
		r = tariff_add_account(b, &account);
	}
	return r;
}

static int make(struct tariff **ret_tariff)
{
	struct tariff_builder *b;
	int r = tariff_begin(&b);

	if (r < 0)
		return r;
	for (uint32_t table = 0; r == 0 && table < TABLES; table++) {
		char name[16];

		snprintf(name, sizeof name, "%u", table);
		r = tariff_add_table(b, name, &table);
		if (r == 0)
			r = add_rates(b, table);
	}
	if (r == 0)
		r = add_accounts(b);
	if (r == 0)
		return tariff_finish(b, ret_tariff);
	tariff_abandon(b);
	return r;
}

static bool is_whole(const struct tariff *t)
{
	struct rate rate;

	for (uint32_t table = 0; table < TABLES; table++)
		for (uint32_t size = 0; size <= PREFIX_SIZE; size++)
			if (!tariff_rate(t, table, digits, size, 1000, &rate) || rate.prefix_size != size ||
			    rate.terms.rate_e8 % (PREFIX_SIZE + 1) != size)
				return false;
	return tariff_account_count(t) == 19;
}

int main(void)
{
	struct tariff *t = NULL;
	unsigned allocations = 0;
	int r = -ENOMEM;

	for (; r < 0; allocations++) {
		granted = allocations;
		r = make(&t);
		granted = UINT32_MAX;
		if (r < 0 && (r != -ENOMEM || t)) {
			fprintf(stderr, "not refused as it should be after %u allocations: %d\n", allocations, r);
			return 1;
		}
	}
	if (allocations < 20 || !is_whole(t)) {
		fprintf(stderr, "something is missing after %u allocations\n", allocations);
		return 1;
	}
	tariff_free(t);
	return 0;
}
