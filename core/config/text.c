/* A configuration as text and in remarks.  Paths are written absolute, since the text may be read from anywhere.  */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config/config.h"
#include "core/config/endpoint.h"

/* Between double quotes, where \, " and $ mean something to the reader. */
static void write_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		if (strchr("\\\"$", *text))
			putc('\\', out);
		putc(*text, out);
	}
	putc('"', out);
}

static void write_string(FILE *out, const char *indent, const char *key, const char *value)
{
	fprintf(out, "%s%s = ", indent, key);
	write_quoted(out, value);
	putc('\n', out);
}

static void write_path(FILE *out, const char *indent, const char *key, const char *path)
{
	char directory[4096], absolute[8200];

	if (path[0] != '/' && getcwd(directory, sizeof directory))
		snprintf(absolute, sizeof absolute, "%s/%s", directory, path);
	else
		snprintf(absolute, sizeof absolute, "%s", path);
	write_string(out, indent, key, absolute);
}

static void write_number(FILE *out, const char *key, uint32_t value)
{
	fprintf(out, "\t%s = %u\n", key, value);
}

static void write_listen(FILE *out, const struct listen_config *listen)
{
	char address[ADDRESS_TEXT_MAX];

	address_write_host(&listen->address, false, address);
	fprintf(out, "\nlisten \"%s\" {\n", listen->name);
	write_string(out, "\t", "transport", "udp");
	write_string(out, "\t", "address", address);
	write_number(out, "port", listen->address.port);
	write_string(out, "\t", "advertise", listen->advertise);
	fputs("}\n", out);
}

static void write_parameters(FILE *out, const struct parameters *p)
{
	char text[PARAMETER_TEXT_MAX];

	fputs("\nparameters {\n", out);
	for (unsigned i = 0; i < parameter_count; i++) {
		const struct parameter_info *info = &parameter_infos[i];

		parameter_text(p, (int)i, text, sizeof text);
		if (info->kind == PARAMETER_WAITS)
			write_string(out, "\t", info->name, text);
		else
			fprintf(out, "\t%s = %s\n", info->name, text);
	}
	fputs("}\n", out);
}

/* What both kinds of gateways have. */
static void write_common(FILE *out, const struct config *c, uint32_t capacity, const char *account, uint16_t listener,
			 bool timer, uint32_t max_duration_s)
{
	write_number(out, "capacity", capacity);
	write_string(out, "\t", "account", account);
	write_string(out, "\t", "listen", c->listens[listener].name);
	fprintf(out, "\ttimer = %s\n", timer ? "on" : "off");
	write_number(out, "max_duration", max_duration_s);
}

static void write_mapping(FILE *out, const struct config *c, const struct mapping_gateway *g)
{
	fprintf(out, "\nmapping_gateway \"%s\" {\n\taddress = {", g->name);
	for (uint32_t i = 0; i < g->source_count; i++) {
		char text[ENDPOINT_TEXT_MAX];

		source_write(&g->sources[i], text);
		fprintf(out, "%s\"%s\"", i ? ", " : "", text);
	}
	fputs("}\n", out);
	write_common(out, c, g->capacity, g->account, g->listener, g->timer, g->max_duration_s);
	write_string(out, "\t", "callee_prefix", g->callee_prefix);
	fputs("}\n", out);
}

static void write_routing(FILE *out, const struct config *c, const struct routing_gateway *g)
{
	char address[ADDRESS_TEXT_MAX];

	address_write(&g->addresses[0], address);
	fprintf(out, "\nrouting_gateway \"%s\" {\n\taddress = \"%s\"\n\tprefix = {", g->name, address);
	for (uint32_t i = 0; i < g->prefix_listed; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "", g->prefixes[i]);
	fputs("}\n", out);
	if (g->prefix_file)
		write_path(out, "\t", "prefix_file", g->prefix_file);
	write_number(out, "priority", g->priority);
	write_common(out, c, g->capacity, g->vendor_account, g->listener, g->timer, g->max_duration_s);
	write_number(out, "timeout_invite", g->timeout_invite_s);
	write_number(out, "timeout_trying", g->timeout_trying_s);
	write_number(out, "timeout_session_progress", g->timeout_session_progress_s);
	write_number(out, "timeout_session_progress_sdp", g->timeout_session_progress_sdp_s);
	write_number(out, "timeout_ringing", g->timeout_ringing_s);
	fputs("}\n", out);
}

char *config_text(const struct config *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	write_string(out, "", "node", c->node);
	write_path(out, "", "data_dir", c->data_dir);
	fprintf(out, "workers = %u\nmax_calls = %u\nprefault = %s\n", c->workers, c->calls_max,
		c->prefault ? "on" : "off");
	write_string(out, "", "steering", steering_name(c->steering));
	write_path(out, "", "control", c->control);
	for (uint32_t i = 0; i < c->listen_count; i++)
		write_listen(out, &c->listens[i]);
	write_parameters(out, &c->parameters);
	for (uint32_t i = 0; i < c->mapping_count; i++)
		write_mapping(out, c, &c->mappings[i]);
	for (uint32_t i = 0; i < c->routing_count; i++)
		write_routing(out, c, &c->routings[i]);
	bool failed = ferror(out);
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

void config_warnings(const struct config *c, void (*say)(void *context, const char *sentence), void *context)
{
	char sentence[256];

	if (c->parameters.RW_SIP_MIN_SE < 90) {
		snprintf(sentence, sizeof sentence,
			 "RW_SIP_MIN_SE is %u: session intervals below 90 s are for laboratories (RFC 4028)",
			 c->parameters.RW_SIP_MIN_SE);
		say(context, sentence);
	}
	if (c->mapping_count == 0)
		say(context, "there is no mapping_gateway: no call will be taken");
	if (c->routing_count == 0)
		say(context, "there is no routing_gateway: no call can be routed");
	for (uint32_t r = 0; r < c->routing_count; r++)
		for (uint32_t i = 0; i < c->listen_count; i++)
			if (address_equal(&c->routings[r].addresses[0], &c->listens[i].address)) {
				snprintf(sentence, sizeof sentence,
					 "routing_gateway \"%s\" is this node's own listen \"%s\": its calls come back",
					 c->routings[r].name, c->listens[i].name);
				say(context, sentence);
			}
}
