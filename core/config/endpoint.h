/* Addresses as an operator writes them: "192.0.2.1:5060", "[2001:db8::1]:5060", "192.0.2.0/24".  */
#ifndef RW_CORE_CONFIG_ENDPOINT_H
#define RW_CORE_CONFIG_ENDPOINT_H

#include "core/config/config.h"

#define ENDPOINT_TEXT_MAX (ADDRESS_TEXT_MAX + 8)

/* An address with an optional port (0: none given).  NULL, or what is wrong with it. */
const char *endpoint_read(const char *text, struct address *ret_address);

/* An address or HOST/BITS, with an optional port behind it.  NULL, or what is wrong with it. */
const char *source_read(const char *text, struct source *ret_source);
void source_write(const struct source *source, char text[static ENDPOINT_TEXT_MAX]);

bool address_is_wildcard(const struct address *a);
bool address_is_multicast(const struct address *a); /* the IPv4 broadcast address counts as one */

#endif
