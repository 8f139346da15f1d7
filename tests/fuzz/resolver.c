/* A resolver of host names that asks nobody: the programs that load configurations are linked with -Wl,--wrap. */
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list);
void __wrap_freeaddrinfo(struct addrinfo *list);

struct entry {
	struct addrinfo info;
	struct sockaddr_in6 address; /* room for either */
};

static struct addrinfo *make(int family, const char *name, struct addrinfo *next)
{
	struct entry *entry = calloc(1, sizeof *entry);

	if (!entry)
		abort();
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)(void *)&entry->address;

		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(0xc6336400u | (uint8_t)name[0]);
	} else {
		entry->address.sin6_family = AF_INET6;
		entry->address.sin6_addr.s6_addr[0] = 0x20;
		entry->address.sin6_addr.s6_addr[15] = (uint8_t)name[0];
	}
	entry->info.ai_family = family;
	entry->info.ai_addr = (struct sockaddr *)(void *)&entry->address;
	entry->info.ai_next = next;
	return &entry->info;
}

/* A name has both families, one or none by its length. */
int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
	size_t kind = strlen(name) % 4;
	struct addrinfo *list = NULL;

	(void)service;
	if (kind != 1 && hints->ai_family != AF_INET && kind != 3)
		list = make(AF_INET6, name, list);
	if (kind != 2 && hints->ai_family != AF_INET6 && kind != 3)
		list = make(AF_INET, name, list);
	*ret_list = list;
	return list ? 0 : EAI_NONAME;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}
