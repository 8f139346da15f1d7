/* Spec 2: a source is known by its most specific address, then by the longest callee_prefix.  */
#include "config_files.h"

#define LISTENS "listen \"v4\" { address = \"127.0.0.1\" }\nlisten \"v6\" { address = \"::1\" }\n"

TestSuite(spec_2_sources, .init = scratch_open, .fini = scratch_close);

static const char *found(const struct config *c, const char *host, uint16_t port, const char *callee)
{
	struct address from = address_of(host, port);
	const struct mapping_gateway *gateway = config_source_find(c, &from, 0, bytes_of(callee));

	return gateway ? gateway->name : "none";
}

static bool known(const struct config *c, const char *host, uint16_t port)
{
	struct address from = address_of(host, port);

	return config_source_known(c, &from);
}

Test(spec_2_sources, longest_prefix_wins_then_the_port)
{
	struct config *c = load_text(LISTENS "mapping_gateway \"ten\"    { address = \"10.0.0.0/8\" }\n"
					     "mapping_gateway \"net\"    { address = \"10.1.2.0/24\" }\n"
					     "mapping_gateway \"host\"   { address = \"10.1.2.3\" }\n"
					     "mapping_gateway \"port\"   { address = \"10.1.2.3:5070\" }\n"
					     "mapping_gateway \"tenport\" { address = \"10.0.0.0/8:5090\" }\n");

	cr_assert_str_eq(found(c, "10.9.9.9", 5060, "1"), "ten");
	cr_assert_str_eq(found(c, "10.1.2.4", 5060, "1"), "net");
	cr_assert_str_eq(found(c, "10.1.2.3", 5060, "1"), "host");
	cr_assert_str_eq(found(c, "10.1.2.3", 5070, "1"), "port");
	cr_assert_str_eq(found(c, "10.9.9.9", 5090, "1"), "tenport");
	cr_assert_str_eq(found(c, "10.1.2.4", 5090, "1"), "net", "a longer prefix is more specific than a port");
	cr_assert_str_eq(found(c, "11.0.0.1", 5060, "1"), "none");
	cr_assert_str_eq(found(c, "9.255.255.255", 5060, "1"), "none");
	config_free(c);
}

/* `listen` of a mapping gateway: by another socket it is a stranger, whatever else its address would fit. */
Test(spec_2_sources, a_gateway_of_one_listener_comes_in_by_no_other)
{
	struct config *c = load_text(
		"listen \"inside\" { address = \"127.0.0.1\" }\nlisten \"outside\" { address = \"127.0.0.2\" }\n"
		"mapping_gateway \"any\" { address = \"10.0.0.1\" }\n"
		"mapping_gateway \"one\" { address = \"10.0.0.2\" listen = outside }\n"
		"mapping_gateway \"net\" { address = \"10.0.0.0/24\" }\n");
	struct address any = address_of("10.0.0.1", 5060), one = address_of("10.0.0.2", 5060);

	for (uint16_t listener = 0; listener < 2; listener++)
		cr_assert_str_eq(config_source_find(c, &any, listener, BYTES("1"))->name, "any");
	cr_assert_null(config_source_find(c, &one, 0, BYTES("1")));
	cr_assert_str_eq(config_source_find(c, &one, 1, BYTES("1"))->name, "one");
	char *text = config_text(c);
	cr_assert_not_null(strstr(text, "listen = \"outside\""));
	cr_assert_null(strstr(text, "listen = \"inside\""), "what is said of no listener stays so");
	free(text);
	config_free(c);
}

Test(spec_2_sources, prefixes_need_not_end_at_a_byte)
{
	struct config *c = load_text(LISTENS "mapping_gateway \"a\" { address = \"192.0.2.64/27\" }\n"
					     "mapping_gateway \"all\" { address = \"0.0.0.0/0\" }\n"
					     "mapping_gateway \"six\" { address = \"2001:db8:8000::/33\" }\n");

	cr_assert_str_eq(found(c, "192.0.2.64", 1, ""), "a");
	cr_assert_str_eq(found(c, "192.0.2.95", 1, ""), "a");
	cr_assert_str_eq(found(c, "192.0.2.96", 1, ""), "all");
	cr_assert_str_eq(found(c, "192.0.2.63", 1, ""), "all");
	cr_assert_str_eq(found(c, "2001:db8:8000::1", 1, ""), "six");
	cr_assert_str_eq(found(c, "2001:db8:ffff::1", 1, ""), "six");
	cr_assert_str_eq(found(c, "2001:db8:7fff::1", 1, ""), "none", "0.0.0.0/0 is no IPv6 address");
	config_free(c);
}

Test(spec_2_sources, ipv6_most_specific)
{
	struct config *c = load_text(LISTENS "mapping_gateway \"net\" { address = \"2001:db8::/32\" }\n"
					     "mapping_gateway \"host\" { address = \"2001:db8::1\" }\n"
					     "mapping_gateway \"port\" { address = \"[2001:db8::1]:5060\" }\n");

	cr_assert_str_eq(found(c, "2001:db8::2", 5060, ""), "net");
	cr_assert_str_eq(found(c, "2001:db8::1", 5061, ""), "host");
	cr_assert_str_eq(found(c, "2001:db8::1", 5060, ""), "port");
	config_free(c);
}

Test(spec_2_sources, longest_callee_prefix_of_one_address)
{
	struct config *c =
		load_text(LISTENS "mapping_gateway \"any\" { address = \"10.0.0.1\" }\n"
				  "mapping_gateway \"t99\" { address = \"10.0.0.1\" callee_prefix = \"99\" }\n"
				  "mapping_gateway \"t991\" { address = \"10.0.0.1\" callee_prefix = \"991\" }\n"
				  "mapping_gateway \"hash\" { address = \"10.0.0.1\" callee_prefix = \"#7\" }\n");

	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "880171"), "any");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "9"), "any");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "99"), "t99");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "990880"), "t99");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "9910880"), "t991");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "#7880"), "hash");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, ""), "any");
	config_free(c);
}

Test(spec_2_sources, address_without_fitting_callee_prefix_gives_way_to_the_next)
{
	struct config *c =
		load_text(LISTENS "mapping_gateway \"net\" { address = \"10.0.0.0/8\" }\n"
				  "mapping_gateway \"t99\" { address = \"10.0.0.1\" callee_prefix = \"99\" }\n"
				  "mapping_gateway \"t88\" { address = \"172.16.0.1\" callee_prefix = \"88\" }\n");

	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "991"), "t99");
	cr_assert_str_eq(found(c, "10.0.0.1", 5060, "881"), "net");
	cr_assert_str_eq(found(c, "172.16.0.1", 5060, "77"), "none");
	cr_assert(known(c, "172.16.0.1", 5060));
	config_free(c);
}

Test(spec_2_sources, routing_gateways_are_known_but_no_sources)
{
	struct config *c = load_text(LISTENS "mapping_gateway \"m\" { address = \"10.0.0.0/8\" }\n"
					     "routing_gateway \"r\" { address = \"192.0.2.9:5080\" }\n"
					     "routing_gateway \"r6\" { address = \"2001:db8::9\" }\n"
					     "routing_gateway \"both\" { address = \"10.0.0.5\" }\n");

	cr_assert(known(c, "192.0.2.9", 5080));
	cr_assert(known(c, "192.0.2.9", 33333), "it may send from another port");
	cr_assert(known(c, "2001:db8::9", 5060));
	cr_assert(known(c, "10.1.1.1", 5060));
	cr_assert_not(known(c, "192.0.2.8", 5080));
	cr_assert_not(known(c, "2001:db8::8", 5080));
	cr_assert_str_eq(found(c, "192.0.2.9", 5080, "1"), "none");
	cr_assert_str_eq(found(c, "10.0.0.5", 5060, "1"), "m", "a routing gateway's place does not hide the prefix");
	config_free(c);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* The definition, without any table. */
static const struct mapping_gateway *search(const struct config *c, const struct address *from, const char *callee)
{
	const struct mapping_gateway *best = NULL;
	unsigned best_rank = 0;

	for (uint32_t m = 0; m < c->mapping_count; m++) {
		const struct mapping_gateway *g = &c->mappings[m];
		size_t length = strlen(g->callee_prefix);

		for (uint32_t i = 0; i < g->source_count && strncmp(callee, g->callee_prefix, length) == 0; i++) {
			const struct source *s = &g->sources[i];
			uint32_t mask = s->prefix_length ? ~0u << (32 - s->prefix_length) : 0, a, b;

			memcpy(&a, from->ip, 4);
			memcpy(&b, s->address.ip, 4);
			if ((__builtin_bswap32(a) & mask) != __builtin_bswap32(b) ||
			    (s->address.port && s->address.port != from->port))
				continue;
			unsigned rank = 1 + s->prefix_length * 1000u + (s->address.port ? 500u : 0) + (unsigned)length;
			if (rank > best_rank) {
				best_rank = rank;
				best = g;
			}
		}
	}
	return best;
}

/* 2,000 gateways of every prefix length inside 10.0.0.0/8, with and without ports and callee_prefixes. */
Test(spec_2_sources, agrees_with_a_naive_search)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	uint32_t random = 1;

	fputs(LISTENS, out);
	for (unsigned i = 0; i < 2000; i++) {
		unsigned bits = 8 + i % 25;
		uint32_t ip = (10u << 24 | (next_random(&random) & 0x030303)) & (~0u << (32 - bits));

		fprintf(out, "mapping_gateway \"g%u\" { address = \"%u.%u.%u.%u/%u", i, ip >> 24, ip >> 16 & 255,
			ip >> 8 & 255, ip & 255, bits);
		if (i % 3 == 0)
			fprintf(out, ":%u", 5060 + next_random(&random) % 3);
		/* the gateway's own number behind a digit keeps their callee_prefixes apart */
		fprintf(out, "\" callee_prefix = \"%u%u\" }\n", next_random(&random) % 3, i);
	}
	fputs("mapping_gateway \"ten\" { address = \"10.0.0.0/8\" }\n", out);
	fclose(out);
	struct config *c = load_text(text);

	unsigned specific = 0;
	for (unsigned i = 0; i < 4000; i++) {
		struct address from = address_of("10.0.0.0", (uint16_t)(5060 + next_random(&random) % 3));
		char callee[CONFIG_PREFIX_MAX + 2];

		from.ip[1] = next_random(&random) & 3;
		from.ip[2] = next_random(&random) & 3;
		from.ip[3] = next_random(&random) & 3;
		const struct mapping_gateway *near = &c->mappings[next_random(&random) % 2000];
		if (i % 2)
			memcpy(from.ip, near->sources[0].address.ip, 4);
		snprintf(callee, sizeof callee, "%s0", near->callee_prefix);
		const struct mapping_gateway *expected = search(c, &from, callee);
		cr_assert_eq(config_source_find(c, &from, 0, bytes_of(callee)), expected, "look-up %u", i);
		specific += expected != NULL && expected->callee_prefix[0] != '\0';
	}
	cr_assert_gt(specific, 500);
	config_free(c);
	free(text);
}
