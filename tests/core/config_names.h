/* What the names of tests resolve to: the resolver of the C library is replaced, so that no test asks a name server.
 *
 *   four.example     192.0.2.8
 *   both.example     2001:db8::8, 192.0.2.8, 192.0.2.9
 *   six.example      2001:db8::9
 *   many.example     192.0.2.100 to 192.0.2.111
 *   nothing.example  0.0.0.0
 */
#ifndef RW_TESTS_CORE_CONFIG_NAMES_H
#define RW_TESTS_CORE_CONFIG_NAMES_H

#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "sip/address.h"

struct fake_answer {
	struct addrinfo info;
	struct sockaddr_storage address;
};

static const struct fake_name {
	const char *name, *host;
	unsigned more; /* addresses that follow it */
} fake_names[] = {
	{ "four.example", "192.0.2.8", 0 },  { "both.example", "2001:db8::8", 0 },  { "both.example", "192.0.2.8", 1 },
	{ "six.example", "2001:db8::9", 0 }, { "many.example", "192.0.2.100", 11 }, { "nothing.example", "0.0.0.0", 0 },
};

/* false: no memory. */
static inline bool fake_add(struct addrinfo ***end, const struct address *address)
{
	struct fake_answer *answer = calloc(1, sizeof *answer);

	if (!answer)
		return false;
	answer->info.ai_addr = (struct sockaddr *)&answer->address;
	answer->info.ai_addrlen = address_to_sockaddr(address, &answer->address);
	answer->info.ai_family = answer->address.ss_family;
	**end = &answer->info;
	*end = &answer->info.ai_next;
	return true;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
	struct addrinfo *list = NULL, **end = &list;
	size_t length = strlen(name);

	(void)service;
	length -= length > 0 && name[length - 1] == '.';
	for (unsigned i = 0; i < sizeof fake_names / sizeof fake_names[0]; i++) {
		const struct fake_name *fake = &fake_names[i];
		struct address address;

		if (strlen(fake->name) != length || strncasecmp(fake->name, name, length) != 0)
			continue;
		if (!address_read_host(bytes_of(fake->host), &address))
			abort();
		if (hints->ai_family != AF_UNSPEC && hints->ai_family != (address.family == 4 ? AF_INET : AF_INET6))
			continue;
		for (unsigned more = 0; more <= fake->more; more++, address.ip[3]++)
			if (!fake_add(&end, &address)) {
				freeaddrinfo(list);
				return EAI_MEMORY;
			}
	}
	*ret_list = list;
	return list ? 0 : EAI_NONAME;
}

#endif
