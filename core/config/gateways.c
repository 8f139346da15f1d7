/* Mapping and routing gateways: their sections, prefix files, listeners, and the tables made of them.  */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/endpoint.h"
#include "core/config/load.h"
#include "core/config/routes.h"
#include "core/config/sources.h"

#define MAX_DURATION_MAX_S 604800u
#define PRIORITY_MAX       1000000u
#define SIP_PORT           5060

/* Prefixes while they are gathered: the text grows, so offsets stand for pointers until the end. */
struct prefix_list {
	char *text;
	size_t used, size;
	size_t *offsets;
	uint32_t count, room;
};

/* NULL, or what is wrong with a dialled prefix. */
static const char *check_prefix(const char *prefix, size_t length)
{
	static const char allowed[] = "0123456789*#_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (length > CONFIG_PREFIX_MAX)
		return "is longer than 63 characters";
	if (length > 0 && prefix[0] == '+')
		return "begins with +, but numbers are looked up without it";
	for (size_t i = 0; i < length; i++)
		if (!memchr(allowed, prefix[i], sizeof allowed - 1))
			return "is no prefix (digits, letters, '*', '#' and '_')";
	return NULL;
}

static int add_prefix(struct prefix_list *list, const char *prefix, size_t length)
{
	if (list->used + length + 1 > list->size) {
		size_t size = list->size ? 2 * list->size : 256;
		char *text = realloc(list->text, size);

		if (!text)
			return -ENOMEM;
		list->text = text;
		list->size = size;
	}
	if (list->count == list->room) {
		uint32_t room = list->room ? 2 * list->room : 16;
		size_t *offsets = room > list->room ? realloc(list->offsets, room * sizeof *offsets) : NULL;

		if (!offsets)
			return -ENOMEM;
		list->offsets = offsets;
		list->room = room;
	}
	list->offsets[list->count++] = list->used;
	memcpy(list->text + list->used, prefix, length);
	list->used += length;
	list->text[list->used++] = '\0';
	return 0;
}
static_assert(CONFIG_PREFIX_MAX < 256, "a doubled text has room for one more prefix");

/* Hands the gathered prefixes to the gateway. */
static int give_prefixes(struct prefix_list *list, struct routing_gateway *gateway)
{
	gateway->prefixes = calloc((size_t)list->count + 1, sizeof *gateway->prefixes);
	if (!gateway->prefixes)
		return -ENOMEM;
	for (uint32_t i = 0; i < list->count; i++)
		gateway->prefixes[i] = list->text + list->offsets[i];
	gateway->prefix_count = list->count;
	gateway->prefix_text = list->text;
	list->text = NULL;
	return 0;
}

/* One line of a prefix file: a prefix, "" for any, nothing; # behind a blank or at the start begins a comment. */
static int add_prefix_line(struct loading *l, struct prefix_list *list, const char *file, unsigned number,
			   const char *line)
{
	struct reader in_file = { .file = file, .error = l->reader.error };
	line += strspn(line, " \t");
	size_t length = strcspn(line, " \t\r\n");
	const char *rest = line + length + strspn(line + length, " \t\r\n");

	if (length == 0 || line[0] == '#')
		return 0;
	if (*rest && *rest != '#')
		return reader_refuse(&in_file, number, "one prefix a line, not '%.60s'", rest);
	if (length == 2 && memcmp(line, "\"\"", 2) == 0)
		length = 0;
	const char *wrong = check_prefix(line, length);
	if (wrong)
		return reader_refuse(&in_file, number, "'%.*s' %s", length > 70 ? 70 : (int)length, line, wrong);
	return add_prefix(list, line, length);
}

static int read_prefix_file(struct loading *l, const struct setting *setting, struct prefix_list *list,
			    const char *file)
{
	FILE *stream = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;
	int result = 0;
	ssize_t length;

	if (!stream)
		return reader_refuse(&l->reader, setting->line, "prefix_file: cannot open %.200s: %s", file,
				     strerror(errno));
	errno = 0;
	for (unsigned number = 1; result == 0 && (length = getline(&line, &size, stream)) >= 0; number++)
		if (strlen(line) != (size_t)length) {
			struct reader in_file = { .file = file, .error = l->reader.error };
			result = reader_refuse(&in_file, number, "a NUL byte");
		} else {
			result = add_prefix_line(l, list, file, number, line);
		}
	if (result == 0 && ferror(stream))
		result = reader_refuse(&l->reader, setting->line, "prefix_file: cannot read %.200s: %s", file,
				       strerror(errno));
	free(line);
	fclose(stream);
	return result;
}

static int gather_prefixes(struct loading *l, cfg_t *section, struct routing_gateway *gateway, struct prefix_list *list)
{
	const struct setting *setting, *file = reader_setting(section, "prefix_file", 0);
	char path[4096];
	int result = 0;

	for (unsigned i = 0; result == 0 && (setting = reader_setting(section, "prefix", i)); i++) {
		const char *wrong = check_prefix(setting->text, strlen(setting->text));

		if (wrong)
			return reader_refuse(&l->reader, setting->line, "prefix: '%.70s' %s", setting->text, wrong);
		result = add_prefix(list, setting->text, strlen(setting->text));
	}
	bool from_file = file && file->text[0];
	if (result == 0 && list->count == 0 && !from_file)
		result = add_prefix(list, "", 0);
	gateway->prefix_listed = list->count;
	if (result < 0 || !from_file)
		return result;
	if ((result = load_path(l, file->line, "prefix_file", file->text, path)) < 0)
		return result;
	gateway->prefix_file = strdup(path);
	return gateway->prefix_file ? read_prefix_file(l, file, list, path) : -ENOMEM;
}

static int load_prefixes(struct loading *l, cfg_t *section, struct routing_gateway *gateway)
{
	struct prefix_list list = { 0 };
	int result = gather_prefixes(l, section, gateway, &list);

	if (result == 0)
		result = give_prefixes(&list, gateway);
	free(list.offsets);
	free(list.text);
	return result;
}

static int first_listener(const struct config *c, uint8_t family)
{
	for (uint32_t i = 0; i < c->listen_count; i++)
		if (c->listens[i].address.family == family)
			return (int)i;
	return -1;
}

static const char *family_name(uint8_t family)
{
	return family == 6 ? "IPv6" : "IPv4";
}

/* The listener that the section names, else the first that fits one of the addresses. */
static int choose_listener(struct loading *l, cfg_t *section, const struct source *sources, uint32_t count,
			   uint16_t *ret_listener)
{
	const struct config *c = l->config;
	const struct setting *setting = reader_setting(section, "listen", 0);
	int listener = -1;

	if (setting) {
		for (uint32_t i = 0; i < c->listen_count && listener < 0; i++)
			if (strcmp(c->listens[i].name, setting->text) == 0)
				listener = (int)i;
		if (listener < 0)
			return reader_refuse(&l->reader, setting->line, "listen: there is no listen \"%.64s\"",
					     setting->text);
		*ret_listener = (uint16_t)listener;
		for (uint32_t i = 0; i < count; i++)
			if (sources[i].address.family == c->listens[listener].address.family)
				return 0;
		return reader_refuse(&l->reader, setting->line, "listen: \"%s\" is %s, but the gateway's address is %s",
				     setting->text, family_name(c->listens[listener].address.family),
				     family_name(sources[0].address.family));
	}
	for (uint32_t i = 0; i < count && listener < 0; i++)
		listener = first_listener(c, sources[i].address.family);
	if (listener < 0)
		return reader_refuse(&l->reader, reader_line(section, "address"),
				     "address: there is no listen section with an %s address",
				     family_name(sources[0].address.family));
	*ret_listener = (uint16_t)listener;
	return 0;
}

static int load_sources(struct loading *l, cfg_t *section, struct mapping_gateway *gateway)
{
	const struct setting *setting;
	uint32_t count = cfg_size(section, "address");

	if (count == 0)
		return reader_refuse(&l->reader, reader_section_line(section),
				     "mapping_gateway \"%s\" has no address: nobody could call through it",
				     gateway->name);
	gateway->sources = calloc(count, sizeof *gateway->sources);
	if (!gateway->sources)
		return -ENOMEM;
	for (; (setting = reader_setting(section, "address", gateway->source_count)); gateway->source_count++) {
		const char *wrong = source_read(setting->text, &gateway->sources[gateway->source_count]);

		if (wrong)
			return reader_refuse(&l->reader, setting->line, "address: '%.70s': %s", setting->text, wrong);
	}
	return 0;
}

static int load_account(struct loading *l, cfg_t *section, char *account)
{
	const struct setting *setting = reader_setting(section, "account", 0);

	if (!setting || !setting->text[0])
		return 0;
	return reader_name(&l->reader, setting->line, "account", setting->text, account);
}

static int load_mapping(struct loading *l, cfg_t *section, struct mapping_gateway *gateway)
{
	struct reader *r = &l->reader;
	const char *wrong;
	int result;

	gateway->timer = true;
	if ((result = reader_name(r, reader_section_line(section), "mapping_gateway", cfg_title(section),
				  gateway->name)) < 0 ||
	    (result = load_sources(l, section, gateway)) < 0 ||
	    (result = reader_number(r, section, "capacity", 0, CONFIG_CALLS_MAX_MAX, &gateway->capacity)) < 0 ||
	    (result = load_account(l, section, gateway->account)) < 0 ||
	    (result = reader_switch(r, section, "timer", &gateway->timer)) < 0 ||
	    (result = reader_number(r, section, "max_duration", 0, MAX_DURATION_MAX_S, &gateway->max_duration_s)) < 0 ||
	    (result = reader_text(r, section, "callee_prefix", gateway->callee_prefix, sizeof gateway->callee_prefix)) <
		    0)
		return result;
	if ((wrong = check_prefix(gateway->callee_prefix, strlen(gateway->callee_prefix))))
		return reader_refuse(r, reader_line(section, "callee_prefix"), "callee_prefix: '%s' %s",
				     gateway->callee_prefix, wrong);
	return choose_listener(l, section, gateway->sources, gateway->source_count, &gateway->listener);
}

static int load_destination(struct loading *l, cfg_t *section, struct routing_gateway *gateway)
{
	const struct setting *setting = reader_setting(section, "address", 0);

	if (!setting)
		return reader_refuse(&l->reader, reader_section_line(section), "routing_gateway \"%s\" has no address",
				     gateway->name);
	struct address *address = &gateway->addresses[0];
	const char *wrong = endpoint_read(setting->text, address);
	if (!wrong && address_is_wildcard(address))
		wrong = "a wildcard is no destination";
	if (!wrong && address_is_multicast(address))
		wrong = "a multicast address is no destination";
	if (wrong)
		return reader_refuse(&l->reader, setting->line, "address: '%.70s': %s", setting->text, wrong);
	if (address->port == 0)
		address->port = SIP_PORT;
	gateway->address_count = 1;
	return 0;
}

/* The gateway's own waits have the range of the global ones, and 0 for those. */
static int load_timeouts(struct loading *l, cfg_t *section, struct routing_gateway *gateway)
{
	const struct {
		const char *key, *parameter;
		uint32_t *value;
	} waits[] = {
		{ "timeout_invite", "SS_SIP_TIMEOUT_INVITE", &gateway->timeout_invite_s },
		{ "timeout_trying", "SS_SIP_TIMEOUT_TRYING", &gateway->timeout_trying_s },
		{ "timeout_session_progress", "SS_SIP_TIMEOUT_SESSION_PROGRESS", &gateway->timeout_session_progress_s },
		{ "timeout_session_progress_sdp", "SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP",
		  &gateway->timeout_session_progress_sdp_s },
		{ "timeout_ringing", "SS_SIP_TIMEOUT_RINGING", &gateway->timeout_ringing_s },
	};

	for (unsigned i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		uint32_t max = parameter_infos[parameter_find(waits[i].parameter)].max;
		int result = reader_number(&l->reader, section, waits[i].key, 0, max, waits[i].value);

		if (result < 0)
			return result;
	}
	return 0;
}

static int load_routing(struct loading *l, cfg_t *section, struct routing_gateway *gateway)
{
	struct reader *r = &l->reader;
	int result;

	gateway->timer = true;
	gateway->priority = 1;
	if ((result = reader_name(r, reader_section_line(section), "routing_gateway", cfg_title(section),
				  gateway->name)) < 0 ||
	    (result = load_destination(l, section, gateway)) < 0 || (result = load_prefixes(l, section, gateway)) < 0 ||
	    (result = reader_number(r, section, "priority", 0, PRIORITY_MAX, &gateway->priority)) < 0 ||
	    (result = reader_number(r, section, "capacity", 0, CONFIG_CALLS_MAX_MAX, &gateway->capacity)) < 0 ||
	    (result = reader_switch(r, section, "timer", &gateway->timer)) < 0 ||
	    (result = reader_number(r, section, "max_duration", 0, MAX_DURATION_MAX_S, &gateway->max_duration_s)) < 0 ||
	    (result = load_account(l, section, gateway->vendor_account)) < 0 ||
	    (result = load_timeouts(l, section, gateway)) < 0)
		return result;
	struct source destination = { .address = gateway->addresses[0] };
	return choose_listener(l, section, &destination, 1, &gateway->listener);
}

static int load_sections(struct loading *l)
{
	struct config *c = l->config;
	unsigned mappings = cfg_size(l->reader.root, "mapping_gateway");
	unsigned routings = cfg_size(l->reader.root, "routing_gateway");
	int result = 0;

	c->mappings = calloc((size_t)mappings + 1, sizeof *c->mappings);
	c->routings = calloc((size_t)routings + 1, sizeof *c->routings);
	if (!c->mappings || !c->routings)
		return -ENOMEM;
	for (unsigned i = 0; result == 0 && i < mappings; i++)
		result = load_mapping(l, cfg_getnsec(l->reader.root, "mapping_gateway", i),
				      &c->mappings[c->mapping_count++]);
	for (unsigned i = 0; result == 0 && i < routings; i++)
		result = load_routing(l, cfg_getnsec(l->reader.root, "routing_gateway", i),
				      &c->routings[c->routing_count++]);
	return result;
}

static int refuse_clash(struct loading *l, const struct source_clash *clash)
{
	cfg_t *section = cfg_getnsec(l->reader.root, "mapping_gateway", clash->mapping);
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
	return 0;
}

/* The way from an id to its gateway. */
static int index_gateways(struct config *c)
{
	c->gateway_end = gateway_id_end();
	c->gateways = calloc(c->gateway_end, sizeof *c->gateways);
	if (!c->gateways)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->mapping_count; i++)
		c->gateways[c->mappings[i].id] = &c->mappings[i];
	for (uint32_t i = 0; i < c->routing_count; i++)
		c->gateways[c->routings[i].id] = &c->routings[i];
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

void free_gateways(struct config *c)
{
	sources_free(c->sources);
	routes_free(c->routes);
	for (uint32_t i = 0; i < c->mapping_count; i++)
		free(c->mappings[i].sources);
	for (uint32_t i = 0; i < c->routing_count; i++) {
		free(c->routings[i].prefixes);
		free(c->routings[i].prefix_text);
		free(c->routings[i].prefix_file);
	}
	free(c->gateways);
	free(c->mappings);
	free(c->routings);
}
