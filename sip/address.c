/* Addresses to and from text and socket addresses.  RFC 3261 25.1, RFC 5118 4.5, RFC 5952. */
#include "sip/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

/* "192.0.2.1": four numbers of at most 255 without leading zeros.  By hand, because every message has some and the
 * library's way costs more than reading the rest of a URI. */
static bool read_ipv4(struct bytes host, struct address *ret_address)
{
	const char *at = host.at, *end = host.at + host.size;
	struct address address = { .family = 4 };

	for (unsigned i = 0; i < 4; i++) {
		const char *start = at;
		unsigned number = 0;

		for (; at < end && *at >= '0' && *at <= '9' && at - start < 3; at++)
			number = number * 10 + (unsigned)(*at - '0');
		if (at == start || number > UINT8_MAX || (*start == '0' && at - start > 1))
			return false;
		address.ip[i] = (uint8_t)number;
		if (i < 3 && (at == end || *at++ != '.'))
			return false;
	}
	if (at != end)
		return false;
	*ret_address = address;
	return true;
}

static bool read_ipv6(struct bytes host, struct address *ret_address)
{
	struct address address = { .family = 6 };
	char text[INET6_ADDRSTRLEN];

	if (host.size == 0 || host.size >= sizeof text || memchr(host.at, '\0', host.size))
		return false;
	memcpy(text, host.at, host.size);
	text[host.size] = '\0';
	if (inet_pton(AF_INET6, text, address.ip) != 1)
		return false;
	*ret_address = address;
	return true;
}

bool address_read_host(struct bytes host, struct address *ret_address)
{
	if (host.size && host.at[0] != '[' && !memchr(host.at, ':', host.size))
		return read_ipv4(host, ret_address);
	if (host.size >= 2 && host.at[0] == '[' && host.at[host.size - 1] == ']')
		host = (struct bytes){ host.at + 1, host.size - 2 };
	return read_ipv6(host, ret_address);
}

/* Returns the number of digits; no NUL. */
static uint32_t write_number(uint32_t number, char *text)
{
	char digits[10];
	unsigned n = sizeof digits;

	do
		digits[--n] = (char)('0' + number % 10);
	while (number /= 10);
	memcpy(text, digits + n, sizeof digits - n);
	return (uint32_t)sizeof digits - n;
}

uint32_t address_write_host(const struct address *a, bool brackets, char text[static ADDRESS_TEXT_MAX])
{
	uint32_t size = 0;

	assert(a->family == 4 || a->family == 6);
	if (a->family == 4) {
		for (unsigned i = 0; i < 4; i++) {
			size += write_number(a->ip[i], text + size);
			text[size++] = i < 3 ? '.' : '\0';
		}
		return size - 1;
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

	text[size++] = ':';
	size += write_number(a->port, text + size);
	assert(size < ADDRESS_TEXT_MAX);
	text[size] = '\0';
	return size;
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
