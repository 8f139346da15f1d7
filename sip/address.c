/* Addresses to and from text and socket addresses.  RFC 3261 25.1, RFC 5118 4.5, RFC 5952. */
#include "sip/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IPV4_TEXT_MAX 15 /* "255.255.255.255" */

bool address_read_host(struct bytes host, struct address *ret_address)
{
	struct address address = { 0 };
	char text[INET6_ADDRSTRLEN];
	int family = AF_INET;

	if (host.size >= 2 && host.at[0] == '[' && host.at[host.size - 1] == ']') {
		host = (struct bytes){ host.at + 1, host.size - 2 };
		family = AF_INET6;
	}
	if (host.size == 0 || host.size >= sizeof text || memchr(host.at, '\0', host.size))
		return false;
	if (memchr(host.at, ':', host.size))
		family = AF_INET6;
	else if (family == AF_INET6 || host.size > IPV4_TEXT_MAX)
		return false;
	memcpy(text, host.at, host.size);
	text[host.size] = '\0';
	if (inet_pton(family, text, address.ip) != 1)
		return false;
	address.family = family == AF_INET ? 4 : 6;
	*ret_address = address;
	return true;
}

uint32_t address_write_host(const struct address *a, bool brackets, char text[static ADDRESS_TEXT_MAX])
{
	uint32_t size = 0;

	assert(a->family == 4 || a->family == 6);
	if (a->family == 4) {
		const char *done = inet_ntop(AF_INET, a->ip, text, ADDRESS_TEXT_MAX);

		assert(done == text);
		(void)done;
		return (uint32_t)strlen(text);
	}
	if (brackets)
		text[size++] = '[';
	if (!inet_ntop(AF_INET6, a->ip, text + size, (socklen_t)(ADDRESS_TEXT_MAX - size)))
		abort(); /* an IPv6 address always fits */
	size = (uint32_t)strlen(text);
	if (brackets)
		text[size++] = ']';
	text[size] = '\0';
	return size;
}

uint32_t address_write(const struct address *a, char text[static ADDRESS_TEXT_MAX])
{
	uint32_t size = address_write_host(a, true, text);
	int port_size = snprintf(text + size, ADDRESS_TEXT_MAX - size, ":%u", a->port);

	assert(port_size > 0 && size + (uint32_t)port_size < ADDRESS_TEXT_MAX);
	return size + (uint32_t)port_size;
}

void address_from_sockaddr(const struct sockaddr *sa, struct address *ret_address)
{
	*ret_address = (struct address){ 0 };
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof in);
		ret_address->family = 4;
		ret_address->port = ntohs(in.sin_port);
		memcpy(ret_address->ip, &in.sin_addr, sizeof in.sin_addr);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof in6);
		ret_address->family = 6;
		ret_address->port = ntohs(in6.sin6_port);
		memcpy(ret_address->ip, &in6.sin6_addr, sizeof in6.sin6_addr);
	}
}

unsigned address_to_sockaddr(const struct address *a, struct sockaddr_storage *ret_sa)
{
	assert(a->family == 4 || a->family == 6);
	memset(ret_sa, 0, sizeof *ret_sa);
	if (a->family == 4) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };

		memcpy(&in.sin_addr, a->ip, sizeof in.sin_addr);
		memcpy(ret_sa, &in, sizeof in);
		return sizeof in;
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };

	memcpy(&in6.sin6_addr, a->ip, sizeof in6.sin6_addr);
	memcpy(ret_sa, &in6, sizeof in6);
	return sizeof in6;
}
