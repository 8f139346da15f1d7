/* The prefixes that stand in no line of billing/prefix_lines.h, sorted as texts.
 *
 * All entries from a prefix of a number up to the number itself, and those that begin with the number, begin with that
 * prefix.  So the last one of them is the number's longest prefix, or begins with it; and from each entry a link leads
 * to the longest one that it begins with.  One binary search, and at most one step a character. */
#ifndef RW_BILLING_PREFIX_REST_H
#define RW_BILLING_PREFIX_REST_H

#include <stddef.h>
#include <stdint.h>

#include "billing/prefix_lines.h"

#define PREFIX_REST_NONE UINT32_MAX

struct prefix_rest_entry {
	const char *prefix;
	uint32_t length;
	uint32_t shorter; /* index of the longest other entry that this one begins with, or NONE */
	struct prefix_list list;
};

/* All zero: empty. */
struct prefix_rest {
	struct prefix_rest_entry *entries;
	uint32_t count, size;
};

void prefix_rest_destroy(struct prefix_rest *r);

/* Adds a prefix that is not there yet; borrows it.  0 or -ENOMEM. */
int prefix_rest_put(struct prefix_rest *r, const char *prefix, struct prefix_list list);

/* After the last put: sorts and links. */
void prefix_rest_finish(struct prefix_rest *r);

/* The longest prefix of the number that has fewer than `below` characters.  NULL: none. */
const struct prefix_rest_entry *prefix_rest_find(const struct prefix_rest *r, const char *number, uint32_t size,
						 uint32_t below);

/* The longest one that this one begins with.  NULL: none. */
static inline const struct prefix_rest_entry *prefix_rest_shorter(const struct prefix_rest *r,
								  const struct prefix_rest_entry *e)
{
	return e->shorter == PREFIX_REST_NONE ? NULL : &r->entries[e->shorter];
}

#endif
