/* Source addresses to mapping gateways.  Built once per configuration, then only read.
 *
 * A *place* is one source of the configuration: an address prefix with or without a port.  A look-up tries the prefix
 * lengths that occur, longest first, with the sender's port and then without; a place knows how long the
 * callee_prefixes of its gateways are, and a second table finds the gateway by place and callee_prefix.  So the cost
 * grows with the number of different lengths and not with that of gateways.  */
#ifndef RW_CORE_CONFIG_SOURCES_H
#define RW_CORE_CONFIG_SOURCES_H

#include <stdint.h>

#include "core/config/config.h"

/* Two gateways that nothing tells apart, or one that names a source twice (then both are the same). */
struct source_clash {
	uint32_t mapping; /* the later one */
	uint32_t source;  /* index of its source */
	uint32_t other;   /* the earlier one */
};

/* Borrows the gateways of the configuration for the life of the table.  0, -ENOMEM, or -EEXIST and the clash. */
int sources_build(const struct config *c, struct source_table **ret_table, struct source_clash *ret_clash);
void sources_free(struct source_table *t);

/* As config_source_find(), by whatever listener, and config_source_known(). */
const struct mapping_gateway *sources_find(const struct source_table *t, const struct address *from,
					   struct bytes callee);
bool sources_known(const struct source_table *t, const struct address *from);

/* The address with all but its first bits cleared. */
struct address address_masked(const struct address *a, unsigned bits);

#endif
