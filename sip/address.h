/* An IP address and port, compact and comparable; and its text forms in SIP (RFC 3261 25.1 host, RFC 5118). */
#ifndef RW_SIP_ADDRESS_H
#define RW_SIP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sip/bytes.h"

struct address {
	uint8_t family; /* 0 none, 4, 6 */
	uint8_t unused;
	uint16_t port;  /* host order, 0: none given */
	uint8_t ip[16]; /* network order; IPv4 in the first four, the rest zero */
};

#define ADDRESS_TEXT_MAX 56 /* "[v6%...]:port" and a NUL */

static inline bool address_equal(const struct address *a, const struct address *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static inline bool address_same_host(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* Reads "192.0.2.1", "2001:db8::1" or "[2001:db8::1]" (no port, no name).  false: it is none of these. */
bool address_read_host(struct bytes host, struct address *ret_address);

/* Writes "192.0.2.1" or, for a SIP header, "[2001:db8::1]" (brackets = true).  Returns the length; text is terminated.
 */
uint32_t address_write_host(const struct address *a, bool brackets, char text[static ADDRESS_TEXT_MAX]);

/* Writes "192.0.2.1:5060" or "[2001:db8::1]:5060". */
uint32_t address_write(const struct address *a, char text[static ADDRESS_TEXT_MAX]);

struct sockaddr;
struct sockaddr_storage;
void address_from_sockaddr(const struct sockaddr *sa, struct address *ret_address);
/* Returns the length of the socket address. */
unsigned address_to_sockaddr(const struct address *a, struct sockaddr_storage *ret_sa);

#endif
