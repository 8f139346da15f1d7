/* Mapping and routing gateways: what both kinds have, what spans sections, and the tables made of them.  */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/load.h"
#include "core/config/rewrite.h"
#include "core/config/routes.h"
#include "core/config/sources.h"

int first_listener(const struct config *c, uint8_t family, int transport)
{
	int first = -1;

	for (uint32_t i = 0; i < c->listen_count; i++) {
		const struct listen_config *listen = &c->listens[i];

		if (listen->address.family != family)
			continue;
		if ((int)listen->transport == (transport >= 0 ? transport : TRANSPORT_UDP))
			return (int)i;
		if (first < 0 && transport < 0)
			first = (int)i;
	}
	return first;
}

const char *family_name(uint8_t family)
{
	return family == 6 ? "IPv6" : "IPv4";
}

int load_listener(struct loading *l, const struct section *section, int *ret_listener)
{
	const struct config *c = l->config;
	const struct setting *setting = reader_setting(section, "listen", 0);

	*ret_listener = -1;
	if (!setting)
		return 0;
	for (uint32_t i = 0; i < c->listen_count; i++)
		if (strcmp(c->listens[i].name, setting->text) == 0) {
			*ret_listener = (int)i;
			return 0;
		}
	return reader_refuse(&l->reader, setting->line, "listen: there is no listen \"%.64s\"", setting->text);
}

int load_account(struct loading *l, const struct section *section, char *account)
{
	const struct setting *setting = reader_setting(section, "account", 0);

	if (!setting || !setting->text[0])
		return 0;
	return reader_name(&l->reader, setting->line, "account", setting->text, account);
}

int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static_assert(PREFIX_INHERIT == 0 && PREFIX_TERMINATE == 1 && PREFIX_CONTINUE == 2, "the order of the words in keys.c");

int load_prefix_mode(struct loading *l, const struct section *section, enum prefix_mode *mode)
{
	unsigned word = PREFIX_INHERIT;
	int result = reader_word(&l->reader, section, "prefix_mode", &word);

	*mode = (enum prefix_mode)word;
	return result;
}

int load_rewrite(struct loading *l, const struct section *section, const char *key, struct rewrite_rules **ret_rules)
{
	const struct settings *entries = reader_settings(section, key);
	const char *texts[REWRITE_RULES_MAX];
	char error[160] = "";
	uint32_t bad = 0;

	if (entries->count == 0)
		return 0;
	if (entries->count > REWRITE_RULES_MAX)
		return reader_refuse(&l->reader, entries->at[REWRITE_RULES_MAX]->line, "%s: more than %d rules", key,
				     REWRITE_RULES_MAX);
	for (uint32_t i = 0; i < entries->count; i++)
		texts[i] = entries->at[i]->text;
	int result = rewrite_build(texts, entries->count, ret_rules, &bad, error);
	if (result == -EINVAL)
		return reader_refuse(&l->reader, entries->at[bad]->line, "%s: '%.100s': %s", key, texts[bad], error);
	return result;
}

static int load_sections(struct loading *l)
{
	struct config *c = l->config;
	uint32_t mappings = reader_count(&l->reader, SECTION_MAPPING);
	uint32_t routings = reader_count(&l->reader, SECTION_ROUTING);
	int result = 0;

	c->mappings = calloc((size_t)mappings + 1, sizeof *c->mappings);
	c->routings = calloc((size_t)routings + 1, sizeof *c->routings);
	if (!c->mappings || !c->routings)
		return -ENOMEM;
	for (uint32_t i = 0; result == 0 && i < mappings; i++)
		result = load_mapping(l, reader_section(&l->reader, SECTION_MAPPING, i),
				      &c->mappings[c->mapping_count++]);
	for (uint32_t i = 0; result == 0 && i < routings; i++)
		result = load_routing(l, reader_section(&l->reader, SECTION_ROUTING, i),
				      &c->routings[c->routing_count++]);
	for (uint32_t i = 0; result == 0 && i < mappings; i++)
		result = load_choice(l, reader_section(&l->reader, SECTION_MAPPING, i), &c->mappings[i]);
	return result;
}

static int refuse_clash(struct loading *l, const struct source_clash *clash)
{
	const struct section *section = reader_section(&l->reader, SECTION_MAPPING, clash->mapping);
	const struct setting *setting = reader_setting(section, "address", clash->source);

	if (clash->mapping == clash->other)
		return reader_refuse(&l->reader, setting->line, "address: '%s' stands here a second time",
				     setting->text);
	return reader_refuse(&l->reader, setting->line,
			     "address: '%s' is also an address of mapping_gateway \"%s\" with the same callee_prefix",
			     setting->text, l->config->mappings[clash->other].name);
}

/* Of a gateway and its account, if it has one. */
static bool give_id(enum gateway_kind kind, const char *name, uint32_t *id, const char *account, uint32_t *account_id)
{
	*id = gateway_id(kind, name);
	*account_id = *account ? gateway_id(GATEWAY_ACCOUNT, account) : 0;
	return *id && (!*account || *account_id);
}

/* load_choice() could only say which one of the routings. */
static void turn_into_ids(const struct config *c, uint32_t *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		list[i] = c->routings[list[i]].id;
	if (count > 1)
		qsort(list, count, sizeof *list, compare_numbers);
}

static int give_ids(struct config *c)
{
	for (uint32_t i = 0; i < c->mapping_count; i++) {
		struct mapping_gateway *g = &c->mappings[i];

		if (!give_id(GATEWAY_MAPPING, g->name, &g->id, g->account, &g->account_id))
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->routing_count; i++) {
		struct routing_gateway *g = &c->routings[i];

		if (!give_id(GATEWAY_ROUTING, g->name, &g->id, g->vendor_account, &g->vendor_account_id))
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->mapping_count; i++) {
		turn_into_ids(c, c->mappings[i].allow, c->mappings[i].allow_count);
		turn_into_ids(c, c->mappings[i].deny, c->mappings[i].deny_count);
	}
	return 0;
}

static void index_gateway(struct config *c, uint32_t id, const void *gateway, uint32_t capacity, uint32_t rate_limit)
{
	c->gateways[id] = gateway;
	c->limits[id] = (struct gateway_limits){ capacity, rate_limit };
}

/* The way from an id to its gateway. */
static int index_gateways(struct config *c)
{
	c->gateway_end = gateway_id_end();
	c->gateways = calloc(c->gateway_end, sizeof *c->gateways);
	c->limits = calloc(c->gateway_end, sizeof *c->limits);
	if (!c->gateways || !c->limits)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->mapping_count; i++) {
		const struct mapping_gateway *g = &c->mappings[i];

		index_gateway(c, g->id, g, g->capacity, g->rate_limit);
	}
	for (uint32_t i = 0; i < c->routing_count; i++) {
		const struct routing_gateway *g = &c->routings[i];

		index_gateway(c, g->id, g, g->capacity, g->rate_limit);
	}
	return 0;
}

int load_gateways(struct loading *l)
{
	struct config *c = l->config;
	struct source_clash clash;
	int result = load_sections(l);

	if (result < 0)
		return result;
	result = sources_build(c, &c->sources, &clash);
	if (result == -EEXIST)
		return refuse_clash(l, &clash);
	if (result < 0 || (result = routes_build(c->routings, c->routing_count, &c->routes)) < 0)
		return result;
	result = give_ids(c);
	return result < 0 ? result : index_gateways(c);
}

static void free_mapping(struct mapping_gateway *gateway)
{
	free(gateway->sources);
	free(gateway->allow);
	free(gateway->deny);
	free(gateway->reasons);
	rewrite_free(gateway->rewrite_caller);
	rewrite_free(gateway->rewrite_callee);
}

static void free_routing(struct routing_gateway *gateway)
{
	free(gateway->prefixes);
	free(gateway->prefix_text);
	free(gateway->prefix_file);
	free(gateway->stop_codes);
	rewrite_free(gateway->rewrite_caller);
	rewrite_free(gateway->rewrite_callee);
}

void free_gateways(struct config *c)
{
	sources_free(c->sources);
	routes_free(c->routes);
	for (uint32_t i = 0; i < c->mapping_count; i++)
		free_mapping(&c->mappings[i]);
	for (uint32_t i = 0; i < c->routing_count; i++)
		free_routing(&c->routings[i]);
	free(c->gateways);
	free(c->limits);
	free(c->mappings);
	free(c->routings);
}
