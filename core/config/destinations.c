/* Where a routing gateway is: addresses as they are listed and as the resolver knows the names among them.  All are of
 * the family of the one listener that sends to them.  */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/config/endpoint.h"
#include "core/config/load.h"

#define SIP_PORT 5060

/* 0 and the list for freeaddrinfo(), or a negative errno.  Family 0: any. */
static int resolve(struct loading *l, const struct setting *setting, const char *name, uint8_t family,
		   struct addrinfo **ret_list)
{
	const struct addrinfo hints = {
		.ai_family = family == 0   ? AF_UNSPEC
			     : family == 4 ? AF_INET
					   : AF_INET6,
		.ai_socktype = SOCK_DGRAM,
	};
	int failure = getaddrinfo(name, NULL, &hints, ret_list);

	if (failure == 0)
		return 0;
	if (failure == EAI_MEMORY)
		return -ENOMEM;
	return reader_refuse(&l->reader, setting->line, "address: '%.70s' does not resolve to an %s address: %s", name,
			     family == 0 ? "IP" : family_name(family),
			     failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
}

static int read_entry(struct loading *l, const struct setting *setting, struct endpoint *ret_endpoint)
{
	const char *wrong = endpoint_read(setting->text, ret_endpoint);

	if (wrong)
		return reader_refuse(&l->reader, setting->line, "address: '%.70s': %s", setting->text, wrong);
	if (ret_endpoint->address.port == 0)
		ret_endpoint->address.port = SIP_PORT;
	return 0;
}

/* The transport that the section names; -1: none. */
static int read_transport(struct loading *l, const struct section *section, int *ret_transport)
{
	unsigned word = TRANSPORT_UDP; /* the order of the words in keys.c */
	int result = reader_word(&l->reader, section, "transport", &word);

	*ret_transport = reader_setting(section, "transport", 0) ? (int)word : -1;
	return result;
}

/* A listener that is named as well has to be of it. */
static int check_transport(struct loading *l, const struct section *section, int listener, int transport)
{
	const struct listen_config *listen = &l->config->listens[listener];

	if (transport < 0 || (int)listen->transport == transport)
		return 0;
	return reader_refuse(&l->reader, reader_line(section, "transport"), "transport: listen \"%s\" is %s",
			     listen->name, transport_name(listen->transport));
}

/* A name's first address that some listener can send to decides. */
static int family_of_name(struct loading *l, const struct setting *setting, const char *name, int transport,
			  uint8_t *ret_family)
{
	struct addrinfo *list;
	struct address address = { 0 };
	int result = resolve(l, setting, name, 0, &list);

	if (result < 0)
		return result;
	for (const struct addrinfo *at = list; at; at = at->ai_next) {
		address_from_sockaddr(at->ai_addr, &address);
		if (first_listener(l->config, address.family, transport) >= 0)
			break;
	}
	freeaddrinfo(list);
	*ret_family = address.family;
	return 0;
}

/* Of the addresses, where no listener is named: the first that is listed, else what the first name has. */
static int choose_family(struct loading *l, const struct settings *entries, int transport, uint8_t *ret_family)
{
	struct endpoint endpoint, first;
	int result;

	for (uint32_t i = 0; i < entries->count; i++) {
		if ((result = read_entry(l, entries->at[i], &endpoint)) < 0)
			return result;
		if (!endpoint.name[0]) {
			*ret_family = endpoint.address.family;
			return 0;
		}
		if (i == 0)
			first = endpoint;
	}
	return family_of_name(l, entries->at[0], first.name, transport, ret_family);
}

static bool has_address(const struct routing_gateway *gateway, const struct address *address)
{
	for (uint32_t i = 0; i < gateway->address_count; i++)
		if (address_equal(&gateway->addresses[i], address))
			return true;
	return false;
}

static int add_address(struct loading *l, const struct setting *setting, const struct address *address,
		       struct routing_gateway *gateway)
{
	const char *wrong = address_is_wildcard(address)    ? "a wildcard is no destination"
			    : address_is_multicast(address) ? "a multicast address is no destination"
							    : NULL;

	if (wrong)
		return reader_refuse(&l->reader, setting->line, "address: '%.70s': %s", setting->text, wrong);
	gateway->addresses[gateway->address_count++] = *address;
	return 0;
}

/* An address that an earlier name has as well is taken once: what a name stands for is not in the operator's hand. */
static int add_name(struct loading *l, const struct setting *setting, const struct endpoint *endpoint, uint8_t family,
		    struct routing_gateway *gateway)
{
	struct addrinfo *list;
	int result = resolve(l, setting, endpoint->name, family, &list);

	if (result < 0)
		return result;
	for (const struct addrinfo *at = list; at && result == 0; at = at->ai_next) {
		struct address address;

		address_from_sockaddr(at->ai_addr, &address);
		address.port = endpoint->address.port;
		if (!has_address(gateway, &address) && gateway->address_count < ROUTING_ADDRESSES_MAX)
			result = add_address(l, setting, &address, gateway);
	}
	freeaddrinfo(list);
	return result;
}

static bool stands_before(struct loading *l, const struct settings *entries, uint32_t index,
			  const struct endpoint *endpoint)
{
	struct endpoint other;

	for (uint32_t i = 0; i < index; i++)
		if (read_entry(l, entries->at[i], &other) == 0 && strcasecmp(other.name, endpoint->name) == 0 &&
		    address_equal(&other.address, &endpoint->address))
			return true;
	return false;
}

static int add_entry(struct loading *l, const struct settings *entries, uint32_t index, uint8_t family,
		     struct routing_gateway *gateway)
{
	const struct setting *setting = entries->at[index];
	struct endpoint endpoint;
	int result = read_entry(l, setting, &endpoint);

	if (result < 0)
		return result;
	if (stands_before(l, entries, index, &endpoint))
		return reader_refuse(&l->reader, setting->line, "address: '%.70s' stands here a second time",
				     setting->text);
	if (index >= ROUTING_ADDRESSES_MAX || gateway->address_count == ROUTING_ADDRESSES_MAX)
		return reader_refuse(&l->reader, setting->line,
				     "address: no room for '%.70s': a gateway has at most %d addresses, those of its "
				     "names included",
				     setting->text, ROUTING_ADDRESSES_MAX);
	if (endpoint.name[0])
		return add_name(l, setting, &endpoint, family, gateway);
	if (endpoint.address.family != family)
		return reader_refuse(&l->reader, setting->line,
				     "address: '%.70s' is %s, but listen \"%s\", which sends to this gateway, is %s",
				     setting->text, family_name(endpoint.address.family),
				     l->config->listens[gateway->listener].name, family_name(family));
	if (has_address(gateway, &endpoint.address))
		return reader_refuse(&l->reader, setting->line, "address: '%.70s' is also what a name before it has",
				     setting->text);
	return add_address(l, setting, &endpoint.address, gateway);
}

/* The one that is named, else the first that fits. */
static int choose_listener(struct loading *l, const struct section *section, const struct settings *entries,
			   int *ret_listener)
{
	uint8_t family = 0;
	int transport, result = load_listener(l, section, ret_listener);

	if (result < 0 || (result = read_transport(l, section, &transport)) < 0)
		return result;
	if (*ret_listener >= 0)
		return check_transport(l, section, *ret_listener, transport);
	if ((result = choose_family(l, entries, transport, &family)) < 0)
		return result;
	*ret_listener = first_listener(l->config, family, transport);
	if (*ret_listener >= 0)
		return 0;
	if (transport >= 0 && first_listener(l->config, family, -1) >= 0)
		return reader_refuse(&l->reader, reader_line(section, "transport"),
				     "transport: there is no listen section with transport %s and an %s address",
				     transport_name((enum transport)transport), family_name(family));
	return reader_refuse(&l->reader, entries->at[0]->line, "address: there is no listen section with an %s address",
			     family_name(family));
}

int load_destinations(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	const struct settings *entries = reader_settings(section, "address");
	int listener, result;

	if (entries->count == 0)
		return reader_refuse(&l->reader, section->line, "routing_gateway \"%s\" has no address", gateway->name);
	if ((result = choose_listener(l, section, entries, &listener)) < 0)
		return result;
	gateway->listener = (uint16_t)listener;
	const uint8_t family = l->config->listens[listener].address.family;
	for (uint32_t i = 0; i < entries->count && result == 0; i++)
		result = add_entry(l, entries, i, family, gateway);
	return result;
}
