/* Loading: the reader finds the values, the functions here take one section each and check it, in the order of the
 * structure; what spans sections is checked last.  The embedded defaults are a file like any other.  Spec 2.  */
#include "core/config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "billing/postgresql_link.h"
#include "core/config/endpoint.h"
#include "core/config/load.h"
#include "core/config/routes.h"
#include "core/config/sources.h"

static const char embedded_defaults[] = "listen \"main\" { address = \"127.0.0.1\" port = 5060 }\n"
					"mapping_gateway \"local\" { address = \"127.0.0.0/8\" }\n"
					"routing_gateway \"local\" { address = \"127.0.0.1:5080\" prefix = \"\" }\n";

#define SOCKET_NAME "ringwheel.sock"

static_assert(RESTART_RESUME == 0 && RESTART_CLOSE == 1, "the order of the words in keys.c");
static_assert(TRANSPORT_UDP == 0 && TRANSPORT_TCP == 1, "the order of the words in keys.c");
static_assert(STEERING_AUTO == 0 && STEERING_BPF == 1 && STEERING_MAILBOX == 2, "the order of the words in keys.c");

const char *steering_name(enum steering steering)
{
	return key_word(SECTION_NODE, "steering", steering);
}

int load_path(struct loading *l, unsigned line, const char *key, const char *text, char path[static 4096])
{
	const char *slash = strrchr(l->config->path, '/');
	size_t directory = slash && text[0] != '/' ? (size_t)(slash - l->config->path) + 1 : 0;

	if (text[0] == '\0')
		return reader_refuse(&l->reader, line, "%s: a path is missing", key);
	if (directory + strlen(text) >= 4096)
		return reader_refuse(&l->reader, line, "%s: longer than 4095 characters", key);
	memcpy(path, l->config->path, directory);
	strcpy(path + directory, text);
	return 0;
}

/* The control socket stands in the data directory unless said otherwise, and its path fits a socket address. */
static int load_paths(struct loading *l)
{
	struct config *c = l->config;
	const struct section *node = reader_section(&l->reader, SECTION_NODE, 0);
	const struct setting *data_dir = reader_setting(node, "data_dir", 0);
	const struct setting *control = reader_setting(node, "control", 0);
	unsigned line = control ? control->line : data_dir ? data_dir->line : 1;
	size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
	int result = load_path(l, data_dir ? data_dir->line : 0, "data_dir", data_dir ? data_dir->text : "data",
			       c->data_dir);

	if (result < 0)
		return result;
	if (control) {
		result = load_path(l, line, "control", control->text, c->control);
		if (result < 0)
			return result;
	} else if (strlen(c->data_dir) <= max) {
		snprintf(c->control, sizeof c->control, "%.200s/" SOCKET_NAME, c->data_dir);
	}
	if (!control && (strlen(c->data_dir) > max || strlen(c->control) > max))
		return reader_refuse(&l->reader, line,
				     "data_dir: longer than %zu characters with /" SOCKET_NAME
				     " behind it: give a shorter path as control",
				     max);
	if (strlen(c->control) > max)
		return reader_refuse(&l->reader, line, "control: a socket's path has at most %zu characters, not %zu",
				     max, strlen(c->control));
	return 0;
}

static int load_cdr_store(struct loading *l, const struct section *node)
{
	struct reader *r = &l->reader;
	struct config *c = l->config;
	const int result = reader_text(r, node, "cdr_store", c->cdr_store, sizeof c->cdr_store);
	char reason[LINK_ERROR_BYTES];

	if (result < 0 || c->cdr_store[0] == '\0')
		return result;
	if (strncmp(c->cdr_store, "postgresql://", 13) != 0)
		return reader_refuse(r, reader_line(node, "cdr_store"),
				     "cdr_store: is empty, for data_dir/cdr.db, or begins with postgresql://");
	if (postgresql_uri_check(c->cdr_store, reason) == 0)
		return 0;
	return reader_refuse(r, reader_line(node, "cdr_store"), "cdr_store: %s", reason);
}

/* How calls are kept and billed. */
static int load_books(struct loading *l, const struct section *node)
{
	struct reader *r = &l->reader;
	struct config *c = l->config;
	unsigned restart = RESTART_RESUME, unknown = 0;
	int result;

	if ((result = reader_number(r, node, "journal_sync_ms", &c->journal_sync_ms)) < 0 ||
	    (result = reader_number(r, node, "journal_segment_mb", &c->journal_segment_mb)) < 0 ||
	    (result = reader_switch(r, node, "answer_after_sync", &c->answer_after_sync)) < 0 ||
	    (result = reader_word(r, node, "on_restart", &restart)) < 0 || (result = load_cdr_store(l, node)) < 0 ||
	    (result = reader_switch(r, node, "cdr_files", &c->cdr_files)) < 0 ||
	    (result = reader_word(r, node, "unknown_account", &unknown)) < 0)
		return result;
	c->on_restart = (enum on_restart)restart;
	c->refuse_unknown_account = unknown == 1; /* the order of the words in keys.c */
	return 0;
}

static int load_connections(struct loading *l, const struct section *node)
{
	struct reader *r = &l->reader;
	struct config *c = l->config;
	int result;

	if ((result = reader_number(r, node, "max_connections", &c->connections_max)) < 0 ||
	    (result = reader_number(r, node, "max_connections_per_source", &c->connections_per_source)) < 0 ||
	    (result = reader_number(r, node, "connection_idle", &c->connection_idle_s)) < 0)
		return result;
	return reader_number(r, node, "max_message", &c->message_bytes_max);
}

static int load_node(struct loading *l)
{
	struct reader *r = &l->reader;
	struct config *c = l->config;
	const struct section *node = reader_section(r, SECTION_NODE, 0);
	const struct setting *name = reader_setting(node, "node", 0);
	unsigned steering = STEERING_AUTO, mode = 0;
	int result;

	strcpy(c->node, "node1");
	if ((name && (result = reader_name(r, name->line, "node", name->text, c->node)) < 0) ||
	    (result = reader_number(r, node, "workers", &c->workers)) < 0 ||
	    (result = reader_number(r, node, "max_calls", &c->calls_max)) < 0 ||
	    (result = reader_switch(r, node, "prefault", &c->prefault)) < 0 ||
	    (result = reader_word(r, node, "steering", &steering)) < 0 ||
	    (result = reader_word(r, node, "prefix_mode", &mode)) < 0)
		return result;
	c->steering = (enum steering)steering;
	c->prefix_mode = mode == 0 ? PREFIX_TERMINATE : PREFIX_CONTINUE; /* the order of the words in keys.c */
	result = load_connections(l, node);
	return result < 0 ? result : load_books(l, node);
}

static int load_parameters(struct loading *l)
{
	struct parameters *p = &l->config->parameters;
	unsigned ttl_line = 0, min_line = 0;
	char error[256];

	parameters_defaults(p);
	for (uint32_t s = 0; s < reader_count(&l->reader, SECTION_PARAMETERS); s++) {
		const struct section *section = reader_section(&l->reader, SECTION_PARAMETERS, s);

		for (unsigned i = 0; i < parameter_count; i++) {
			const char *name = parameter_infos[i].name;
			const struct setting *setting = reader_setting(section, name, 0);

			if (!setting)
				continue;
			if (parameter_set(p, name, setting->text, error) < 0)
				return reader_refuse(&l->reader, setting->line, "%s", error);
			if (strcmp(name, "SS_SIP_SESSION_TTL") == 0)
				ttl_line = setting->line;
			if (strcmp(name, "RW_SIP_MIN_SE") == 0)
				min_line = setting->line;
		}
	}
	if (parameters_check(p, error) < 0)
		return reader_refuse(&l->reader, ttl_line ? ttl_line : min_line, "%s", error);
	return 0;
}

/* What Via and Contact say. */
static int render_listen(struct loading *l, const struct section *section, struct listen_config *listen)
{
	const struct address *shown = &listen->address;
	char host[ADDRESS_TEXT_MAX];
	struct address advertised;
	bool named = false;

	if (listen->advertise[0] && address_read_host(bytes_of(listen->advertise), &advertised) &&
	    !address_is_wildcard(&advertised))
		shown = &advertised;
	else if (host_name_is_good(bytes_of(listen->advertise)) && !strchr(listen->advertise, '_'))
		named = true; /* peers read it by the grammar of RFC 3261 25.1, which has no underscore */
	else if (listen->advertise[0])
		return reader_refuse(&l->reader, reader_line(section, "advertise"),
				     "advertise: '%.60s' is neither an address nor a host name", listen->advertise);
	address_write_host(shown, true, host);
	snprintf(listen->host, sizeof listen->host, "%s", named ? listen->advertise : host);
	snprintf(listen->host_port, sizeof listen->host_port, "%s:%u", listen->host, listen->address.port);
	return 0;
}

static int load_listen_address(struct loading *l, const struct section *section, struct listen_config *listen)
{
	const struct setting *setting = reader_setting(section, "address", 0);
	const char *text = setting ? setting->text : "127.0.0.1";
	unsigned line = reader_line(section, "address");
	uint32_t port = 0;

	if (!address_read_host(bytes_of(text), &listen->address))
		return reader_refuse(&l->reader, line,
				     "address: '%.60s' is not an IP address (a port goes into 'port')", text);
	if (address_is_wildcard(&listen->address))
		return reader_refuse(&l->reader, line,
				     "address: '%.60s' is a wildcard, but Via and Contact need an address that peers "
				     "can answer to: write a listen section for each address",
				     text);
	if (address_is_multicast(&listen->address))
		return reader_refuse(&l->reader, line, "address: '%.60s' is a multicast address", text);
	int result = reader_number(&l->reader, section, "port", &port);
	listen->address.port = (uint16_t)port;
	return result;
}

static int load_transport(struct loading *l, const struct section *section, struct listen_config *listen)
{
	const struct setting *setting = reader_setting(section, "transport", 0);

	unsigned word = TRANSPORT_UDP;

	if (setting && strcmp(setting->text, "tls") == 0)
		return reader_refuse(&l->reader, setting->line, "transport: 'tls' is not supported yet");
	int result = reader_word(&l->reader, section, "transport", &word);
	listen->transport = (enum transport)word;
	return result;
}

static int load_listen(struct loading *l, const struct section *section, struct listen_config *listen)
{
	const struct config *c = l->config;
	int result = reader_name(&l->reader, section->line, "listen", section->title, listen->name);

	if (result < 0 || (result = load_transport(l, section, listen)) < 0 ||
	    (result = load_listen_address(l, section, listen)) < 0 ||
	    (result = reader_text(&l->reader, section, "advertise", listen->advertise, sizeof listen->advertise)) < 0 ||
	    (result = render_listen(l, section, listen)) < 0)
		return result;
	for (const struct listen_config *other = c->listens; other < listen; other++)
		if (other->transport == listen->transport && address_equal(&other->address, &listen->address))
			return reader_refuse(&l->reader, reader_line(section, "address"),
					     "address: listen \"%s\" has the same address and port", other->name);
	return 0;
}

static int load_listens(struct loading *l)
{
	struct config *c = l->config;
	uint32_t count = reader_count(&l->reader, SECTION_LISTEN);

	if (count == 0)
		return reader_refuse(
			&l->reader, l->reader.end_line,
			"there is no listen section: at least one is needed, as in listen \"main\" { address "
			"= \"192.0.2.1\" }");
	if (count > CONFIG_LISTENS_MAX)
		return reader_refuse(&l->reader, reader_section(&l->reader, SECTION_LISTEN, CONFIG_LISTENS_MAX)->line,
				     "listen: more than %d listen sections", CONFIG_LISTENS_MAX);
	c->listens = calloc(count, sizeof *c->listens);
	if (!c->listens)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		int result = load_listen(l, reader_section(&l->reader, SECTION_LISTEN, i), &c->listens[i]);

		if (result < 0)
			return result;
		c->listen_count++;
	}
	return 0;
}

static int load_all(struct loading *l)
{
	int result;

	if ((result = load_node(l)) < 0 || (result = load_paths(l)) < 0 || (result = load_parameters(l)) < 0 ||
	    (result = load_listens(l)) < 0)
		return result;
	return load_gateways(l);
}

uint32_t load_generation(void)
{
	static uint32_t generation;

	return ++generation;
}

int config_load(const char *path, struct config **ret_config, char error[static 512])
{
	struct loading l = { .config = calloc(1, sizeof(struct config)) };
	const char *file = path ? path : "embedded defaults";

	static_assert(READER_ERROR_MAX == 512, "the caller's buffer");
	error[0] = '\0';
	if (l.config && path && strlen(path) >= sizeof l.config->path) {
		snprintf(error, 512, "%.300s...: cannot open: %s", path, strerror(ENAMETOOLONG));
		free(l.config);
		return -ENAMETOOLONG;
	}
	int result = -ENOMEM;
	if (l.config && (l.config->shares = malloc(sizeof *l.config->shares))) {
		*l.config->shares = 1;
		strcpy(l.config->path, path ? path : "");
		result = reader_open(&l.reader, file, path ? NULL : embedded_defaults, error);
	}
	if (result == 0) {
		l.config->generation = load_generation();
		result = load_all(&l);
		reader_close(&l.reader);
	}
	if (result < 0) {
		config_free(l.config);
		if (!error[0])
			snprintf(error, 512, "%.300s: %s", file, strerror(-result));
		return result;
	}
	*ret_config = l.config;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	if (!c->shares || --*c->shares == 0) {
		free_gateways(c);
		free(c->listens);
		free(c->shares);
	}
	drop_tariff(c);
	free(c);
}

const struct mapping_gateway *config_source_find(const struct config *c, const struct address *from, uint16_t listener,
						 struct bytes callee)
{
	const struct mapping_gateway *gateway = sources_find(c->sources, from, callee);

	return gateway && (gateway->listener == LISTENER_ANY || gateway->listener == listener) ? gateway : NULL;
}

static const void *gateway_of(const struct config *c, uint32_t id)
{
	return id < c->gateway_end ? c->gateways[id] : NULL;
}

const struct mapping_gateway *config_mapping(const struct config *c, uint32_t id)
{
	return gateway_of(c, id);
}

const struct routing_gateway *config_routing(const struct config *c, uint32_t id)
{
	return gateway_of(c, id);
}

struct gateway_limits config_limits(const struct config *c, uint32_t id)
{
	return id < c->gateway_end ? c->limits[id] : (struct gateway_limits){ 0 };
}

bool config_source_known(const struct config *c, const struct address *from)
{
	return sources_known(c->sources, from);
}

uint32_t config_route_find(const struct config *c, struct bytes number, uint32_t below,
			   const struct routing_gateway *const **ret_list, uint32_t *ret_length)
{
	return routes_find(c->routes, number, below, ret_list, ret_length);
}
