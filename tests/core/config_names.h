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
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "sip/address.h"

struct fake_answer {
	struct addrinfo info;
	struct sockaddr_storage address;
};

static inline void fake_add(struct addrinfo ***end, int family, const char *host)
{
	struct fake_answer *answer = calloc(1, sizeof *answer);
	struct address address;

	if (!answer || !address_read_host(bytes_of(host), &address))
		abort();
	if (family != AF_UNSPEC && family != (address.family == 4 ? AF_INET : AF_INET6)) {
		free(answer);
		return;
	}
	answer->info.ai_addr = (struct sockaddr *)&answer->address;
	answer->info.ai_addrlen = address_to_sockaddr(&address, &answer->address);
	answer->info.ai_family = answer->address.ss_family;
	**end = &answer->info;
	*end = &answer->info.ai_next;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
	struct addrinfo *list = NULL, **end = &list;

	(void)service;
	if (strcasecmp(name, "four.example") == 0)
		fake_add(&end, hints->ai_family, "192.0.2.8");
	if (strcasecmp(name, "both.example") == 0 || strcasecmp(name, "both.example.") == 0) {
		fake_add(&end, hints->ai_family, "2001:db8::8");
		fake_add(&end, hints->ai_family, "192.0.2.8");
		fake_add(&end, hints->ai_family, "192.0.2.9");
	}
	if (strcasecmp(name, "six.example") == 0)
		fake_add(&end, hints->ai_family, "2001:db8::9");
	if (strcasecmp(name, "nothing.example") == 0)
		fake_add(&end, hints->ai_family, "0.0.0.0");
	for (unsigned i = 100; strcasecmp(name, "many.example") == 0 && i < 112; i++) {
		char host[16];

		snprintf(host, sizeof host, "192.0.2.%u", i);
		fake_add(&end, hints->ai_family, host);
	}
	if (!list)
		return EAI_NONAME;
	*ret_list = list;
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

#endif
