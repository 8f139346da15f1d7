/* The prefixes that stand in no line of core/config/route_lines.h, sorted as texts.
 *
 * All entries from a prefix of a number up to the number itself, and those that begin with the number, begin with that
 * prefix.  So the last one of them is the number's longest prefix, or begins with it; and from each entry a link leads
 * to the longest one that it begins with.  One binary search, and at most one step a character. */
#ifndef RW_CORE_CONFIG_ROUTE_REST_H
#define RW_CORE_CONFIG_ROUTE_REST_H

#include <stdint.h>

#include "core/config/route_lines.h"
#include "sip/bytes.h"

#define ROUTE_REST_NONE UINT32_MAX

struct route_rest_entry {
	const char *prefix;
	uint32_t length;
	uint32_t shorter; /* index of the longest other entry that this one begins with, or NONE */
	struct route_list list;
};

/* All zero: empty. */
struct route_rest {
	struct route_rest_entry *entries;
	uint32_t count, size;
};

void route_rest_destroy(struct route_rest *r);

/* Adds a prefix that is not there yet; borrows it.  0 or -ENOMEM. */
int route_rest_put(struct route_rest *r, const char *prefix, struct route_list list);

/* After the last put: sorts and links. */
void route_rest_finish(struct route_rest *r);

/* The longest prefix of the number that has fewer than `below` characters.  NULL: none. */
const struct route_rest_entry *route_rest_find(const struct route_rest *r, struct bytes number, uint32_t below);

#endif
