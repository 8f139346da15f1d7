/* See endpoint.h.  A host is cut out of the text first, so that only sip/address decides what an address is.  */
#include "core/config/endpoint.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/config/sources.h"

/* A number without sign up to max, at most five digits.  NULL, or behind it. */
static const char *read_number(const char *at, unsigned max, unsigned *ret_number)
{
	unsigned number = 0, digits = 0;

	for (; *at >= '0' && *at <= '9' && digits < 5; at++, digits++)
		number = number * 10 + (unsigned)(*at - '0');
	if (digits == 0 || (*at >= '0' && *at <= '9') || number > max)
		return NULL;
	*ret_number = number;
	return at;
}

/* How many characters the host has: up to the bracket, the slash, or the only colon. */
static size_t host_length(const char *text)
{
	const char *colon = strchr(text, ':');

	if (text[0] == '[' && strchr(text, ']'))
		return (size_t)(strchr(text, ']') - text) + 1;
	if (strchr(text, '/'))
		return strcspn(text, "/");
	if (colon && !strchr(colon + 1, ':'))
		return (size_t)(colon - text);
	return strlen(text);
}

bool host_name_is_good(struct bytes name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	uint32_t label = 0; /* where the last one starts */

	if (name.size > 1 && name.at[name.size - 1] == '.')
		name.size--;
	if (name.size == 0 || name.size > HOST_NAME_LENGTH_MAX)
		return false;
	for (uint32_t i = 0; i < name.size; i++) {
		if (!memchr(allowed, name.at[i], sizeof allowed - 1))
			return false;
		if (name.at[i] != '.')
			continue;
		if (i == label || i - label > 63 || i + 1 == name.size)
			return false;
		label = i + 1;
	}
	char c = name.at[label];
	return name.size - label <= 63 && name.at[0] != '-' && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
}

static const char *read_host(const char *text, struct address *ret_address, const char **ret_rest)
{
	size_t length = host_length(text);

	*ret_rest = text + length;
	if (length == 0)
		return "an address is missing";
	return address_read_host((struct bytes){ text, (uint32_t)length }, ret_address) ? NULL : "not an IP address";
}

/* ":PORT" or nothing up to the end of the text. */
static const char *read_port(const char *rest, struct address *address)
{
	unsigned port = 0;

	if (*rest == '\0')
		return NULL;
	if (*rest != ':')
		return "not an address with an optional :port";
	rest = read_number(rest + 1, 65535, &port);
	if (!rest || *rest || port == 0)
		return "the port is not within 1..65535";
	address->port = (uint16_t)port;
	return NULL;
}

const char *endpoint_read(const char *text, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = { 0 };
	const char *rest;
	const char *wrong = read_host(text, &endpoint.address, &rest);
	struct bytes host = { text, (uint32_t)(rest - text) };

	if (wrong && host_name_is_good(host)) {
		memcpy(endpoint.name, host.at, host.size);
		wrong = NULL;
	} else if (wrong && host.size > 0) {
		wrong = "neither an IP address nor a host name";
	}
	if (!wrong)
		wrong = read_port(rest, &endpoint.address);
	if (!wrong)
		*ret_endpoint = endpoint;
	return wrong;
}

const char *source_read(const char *text, struct source *ret_source)
{
	struct source source = { 0 };
	const char *rest;
	const char *wrong = read_host(text, &source.address, &rest);

	if (wrong && host_name_is_good((struct bytes){ text, (uint32_t)(rest - text) }))
		return "not an IP address (who calls is known by address: a host name cannot stand here)";
	if (wrong)
		return wrong;
	bool v4 = source.address.family == 4;
	const unsigned all = v4 ? 32 : 128;
	unsigned bits = all;

	if (*rest == '/') {
		rest = read_number(rest + 1, all, &bits);
		if (!rest)
			return v4 ? "the prefix length is not within 0..32" : "the prefix length is not within 0..128";
	}
	if (bits == all && address_is_wildcard(&source.address)) {
		return v4 ? "a wildcard is no source (0.0.0.0/0 is every IPv4 address)"
			  : "a wildcard is no source (::/0 is every IPv6 address)";
	}
	struct address network = address_masked(&source.address, bits);
	if (!address_same_host(&network, &source.address))
		return "bits are set behind the prefix length";
	source.prefix_length = (uint8_t)bits;
	wrong = read_port(rest, &source.address);
	if (!wrong)
		*ret_source = source;
	return wrong;
}

void source_write(const struct source *source, char text[static ENDPOINT_TEXT_MAX])
{
	bool single = source->prefix_length == (source->address.family == 4 ? 32 : 128);
	char host[ADDRESS_TEXT_MAX], bits[8] = "", port[8] = "";

	address_write_host(&source->address, source->address.port != 0, host);
	if (!single)
		snprintf(bits, sizeof bits, "/%u", source->prefix_length);
	if (source->address.port)
		snprintf(port, sizeof port, ":%u", source->address.port);
	int length = snprintf(text, ENDPOINT_TEXT_MAX, "%s%s%s", host, bits, port);
	assert(length < ENDPOINT_TEXT_MAX);
	(void)length;
}

bool address_is_wildcard(const struct address *a)
{
	static const uint8_t nothing[sizeof a->ip];

	return memcmp(a->ip, nothing, sizeof nothing) == 0;
}

bool address_is_multicast(const struct address *a)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

	if (a->family == 4)
		return (a->ip[0] & 0xf0) == 0xe0 || memcmp(a->ip, broadcast, 4) == 0;
	return a->ip[0] == 0xff;
}
