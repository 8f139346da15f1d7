/* Dialled prefixes to routing gateways.  Built once per configuration, then only read.
 *
 * Nearly all prefixes are of at most 16 characters out of digits, * and #.  Such a prefix is one word of 64 bits, four
 * bits a character, and stands with its list of gateways in a hash table whose lines are lines of the processor's
 * cache.  A look-up reads the number once, asks memory for the line of every length that occurs in the table, all at
 * the same time, and then looks at them longest first: the word says for certain whether it is that prefix, so whatever
 * the number of prefixes, it waits for memory about once.  What a word or a line has no room for (longer prefixes,
 * letters, and what somebody made up to fall into the same few lines) stands in a sorted array that only numbers visit
 * that may find something there.  The gateways of a prefix are a ready-made list.
 *
 * No input makes it slow beyond bounds: building sorts, so n prefixes of all gateways together take n log n, and a
 * look-up visits at most PREFIX_LINES_FAR lines for each of 16 lengths and makes log n comparisons.  A prefix takes
 * some 40 bytes, and each further gateway of it 8.  */
#ifndef RW_CORE_CONFIG_ROUTES_H
#define RW_CORE_CONFIG_ROUTES_H

#include <stdint.h>

#include "core/config/config.h"

/* Borrows the gateways and their prefixes for the life of the table.  0 or -ENOMEM. */
int routes_build(const struct routing_gateway *gateways, uint32_t gateway_count, struct route_table **ret_table);
void routes_free(struct route_table *t);

/* The gateways that have the number's longest prefix of fewer than `below` characters, smallest priority first, then by
 * name.  Returns how many, lends the list until routes_free() and gives the prefix's length; 0, NULL and 0: no prefix.
 * Below CONFIG_PREFIX_MAX + 1 is the longest of all; below the length of that is the next shorter one, and so on until
 * 0 comes back, at the latest after the empty prefix. */
uint32_t routes_find(const struct route_table *t, struct bytes number, uint32_t below,
		     const struct routing_gateway *const **ret_list, uint32_t *ret_length);

/* How many distinct prefixes there are. */
uint32_t routes_prefix_count(const struct route_table *t);

#endif
