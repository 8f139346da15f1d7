/* Addresses as an operator writes them: "192.0.2.1:5060", "[2001:db8::1]:5060", "192.0.2.0/24".  */
#ifndef RW_CORE_CONFIG_ENDPOINT_H
#define RW_CORE_CONFIG_ENDPOINT_H

#include "core/config/config.h"

#define ENDPOINT_TEXT_MAX (ADDRESS_TEXT_MAX + 8)

#define HOST_NAME_LENGTH_MAX 253 /* without the last dot */

/* Where calls are sent to. */
struct endpoint {
	struct address address;              /* of a host name the port alone, family 0; port 0: none given */
	char name[HOST_NAME_LENGTH_MAX + 2]; /* "": an address */
};

/* An address or host name with an optional port.  NULL, or what is wrong with it. */
const char *endpoint_read(const char *text, struct endpoint *ret_endpoint);

/* A host name as RFC 3261 25.1 has it: its last label begins with a letter, so that no number passes for one.  An
 * underscore passes, since name servers know names with it. */
bool host_name_is_good(struct bytes name);

/* An address or HOST/BITS, with an optional port behind it.  NULL, or what is wrong with it. */
const char *source_read(const char *text, struct source *ret_source);
void source_write(const struct source *source, char text[static ENDPOINT_TEXT_MAX]);

bool address_is_wildcard(const struct address *a);
bool address_is_multicast(const struct address *a); /* the IPv4 broadcast address counts as one */

#endif
