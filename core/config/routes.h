/* Dialled prefixes to routing gateways.  Built once per configuration, then only read.
 *
 * All distinct prefixes stand in one hash table; a look-up takes the hash of each length that occurs from one pass over
 * the number, asks for all those slots at once and then looks at them longest first.  So its cost does not grow with
 * the number of prefixes, and prefixes may hold any character.  The gateways of a prefix are a ready-made list.  */
#ifndef RW_CORE_CONFIG_ROUTES_H
#define RW_CORE_CONFIG_ROUTES_H

#include <stdint.h>

#include "core/config/config.h"

/* Borrows the gateways and their prefixes for the life of the table.  0 or -ENOMEM. */
int routes_build(const struct routing_gateway *gateways, uint32_t gateway_count, struct route_table **ret_table);
void routes_free(struct route_table *t);

/* The gateways that have the longest prefix of the number, smallest priority first, then by name.  Lends the list until
 * routes_free().  Returns how many. */
uint32_t routes_find(const struct route_table *t, struct bytes number, const struct routing_gateway *const **ret_list);

/* How many distinct prefixes there are. */
uint32_t routes_prefix_count(const struct route_table *t);

#endif
