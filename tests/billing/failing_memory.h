/* An allocator that refuses what a test tells it to, and a disk in memory whose own memory is always granted.  Linked
 * with -Wl,--wrap for malloc, calloc, realloc, strdup and free. */
#ifndef RW_TESTS_BILLING_FAILING_MEMORY_H
#define RW_TESTS_BILLING_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/billing/memory_disk.h"

struct failing_memory {
	unsigned failing; /* the allocation that fails, from 1 on; 0: none does */
	unsigned asked;   /* so far; the test sets it to 0 */
	unsigned outside; /* above 0: in the disk, or in the test itself, nothing is counted or refused */
	uint64_t live;    /* blocks that were taken inside and not given back */
};

extern struct failing_memory memory;

/* Counts an allocation of somebody else's allocator; false: it is to fail. */
bool memory_grants(void);

/* One at a time. */
struct journal_disk quiet_disk(struct memory_disk *d);

#endif
