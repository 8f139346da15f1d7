/* A configuration as text and in remarks.  Paths are written absolute, since the text may be read from anywhere.  */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/money.h"
#include "billing/postgresql_link.h"
#include "billing/tariff.h"
#include "core/config/codes.h"
#include "core/config/config.h"
#include "core/config/endpoint.h"
#include "core/config/keys.h"
#include "core/config/rewrite.h"

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

static void write_money(FILE *out, const char *key, int64_t e8)
{
	char text[MONEY_TEXT_MAX];

	money_write_short(e8, 0, text);
	fprintf(out, "\t%s = %s\n", key, text);
}

static void write_listen(FILE *out, const struct listen_config *listen)
{
	char address[ADDRESS_TEXT_MAX];

	address_write_host(&listen->address, false, address);
	fprintf(out, "\nlisten \"%s\" {\n", listen->name);
	write_string(out, "\t", "transport", transport_name(listen->transport));
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

static void write_switch(FILE *out, const char *key, bool on)
{
	fprintf(out, "\t%s = %s\n", key, on ? "on" : "off");
}

/* A list is written between list_begin() and list_end(), an empty one too. */
static void list_begin(FILE *out, const char *key)
{
	fprintf(out, "\t%s = {", key);
}

static void list_add(FILE *out, uint32_t index, const char *text)
{
	fputs(index ? ", " : "", out);
	write_quoted(out, text);
}

static void list_end(FILE *out)
{
	fputs("}\n", out);
}

static void write_rules(FILE *out, const char *key, const struct rewrite_rules *rules)
{
	list_begin(out, key);
	for (uint32_t i = 0; i < rewrite_count(rules); i++)
		list_add(out, i, rewrite_text(rules, i));
	list_end(out);
}

static void write_gateways(FILE *out, const char *key, const uint32_t *ids, uint32_t count)
{
	list_begin(out, key);
	for (uint32_t i = 0; i < count; i++)
		list_add(out, i, gateway_name(ids[i]));
	list_end(out);
}

/* What both kinds of gateways have. */
static void write_common(FILE *out, const struct config *c, uint32_t capacity, uint32_t rate_limit, const char *account,
			 uint16_t listener, bool timer, bool reliable, uint32_t max_duration_s)
{
	write_number(out, "capacity", capacity);
	write_number(out, "rate_limit", rate_limit);
	write_string(out, "\t", "account", account);
	if (listener != LISTENER_ANY)
		write_string(out, "\t", "listen", c->listens[listener].name);
	write_switch(out, "timer", timer);
	write_switch(out, "reliable", reliable);
	write_number(out, "max_duration", max_duration_s);
}

static void write_reasons(FILE *out, const struct mapping_gateway *g)
{
	list_begin(out, "failed_reason_map");
	for (uint32_t i = 0; i < g->reason_count; i++) {
		char text[CODES_TEXT_MAX];

		reason_rule_write(&g->reasons[i], text);
		list_add(out, i, text);
	}
	list_end(out);
}

static void write_mapping(FILE *out, const struct config *c, const struct mapping_gateway *g)
{
	fprintf(out, "\nmapping_gateway \"%s\" {\n", g->name);
	list_begin(out, "address");
	for (uint32_t i = 0; i < g->source_count; i++) {
		char text[ENDPOINT_TEXT_MAX];

		source_write(&g->sources[i], text);
		list_add(out, i, text);
	}
	list_end(out);
	write_string(out, "\t", "callee_prefix", g->callee_prefix);
	write_common(out, c, g->capacity, g->rate_limit, g->account, g->listener, g->timer, g->reliable,
		     g->max_duration_s);
	write_string(out, "\t", "caller_from", key_word(SECTION_MAPPING, "caller_from", g->caller_from));
	write_string(out, "\t", "callee_from", key_word(SECTION_MAPPING, "callee_from", g->callee_from));
	write_rules(out, "rewrite_caller", g->rewrite_caller);
	write_rules(out, "rewrite_callee", g->rewrite_callee);
	write_gateways(out, "allow", g->allow, g->allow_count);
	write_gateways(out, "deny", g->deny, g->deny_count);
	write_string(out, "\t", "prefix_mode", key_word(SECTION_MAPPING, "prefix_mode", g->prefix_mode));
	list_begin(out, "sort");
	for (uint8_t i = 0; i < g->sort_count; i++)
		list_add(out, i, key_word(SECTION_MAPPING, "sort", g->sort[i]));
	list_end(out);
	write_reasons(out, g);
	fputs("}\n", out);
}

static void write_prefixes(FILE *out, const struct routing_gateway *g)
{
	list_begin(out, "prefix");
	for (uint32_t i = 0; i < g->prefix_listed; i++)
		list_add(out, i, g->prefixes[i]);
	list_end(out);
	if (g->prefix_file)
		write_path(out, "\t", "prefix_file", g->prefix_file);
}

static void write_stop_codes(FILE *out, const struct routing_gateway *g)
{
	list_begin(out, "stop_codes");
	for (uint32_t i = 0; i < g->stop_code_count; i++) {
		char text[CODES_TEXT_MAX];

		codes_write(g->stop_codes[i].first, g->stop_codes[i].last, text);
		list_add(out, i, text);
	}
	list_end(out);
}

static void write_routing(FILE *out, const struct config *c, const struct routing_gateway *g)
{
	fprintf(out, "\nrouting_gateway \"%s\" {\n", g->name);
	list_begin(out, "address");
	for (uint32_t i = 0; i < g->address_count; i++) {
		char address[ADDRESS_TEXT_MAX];

		address_write(&g->addresses[i], address);
		list_add(out, i, address);
	}
	list_end(out);
	write_prefixes(out, g);
	write_string(out, "\t", "prefix_mode", key_word(SECTION_ROUTING, "prefix_mode", g->prefix_mode));
	write_number(out, "priority", g->priority);
	write_common(out, c, g->capacity, g->rate_limit, g->vendor_account, g->listener, g->timer, g->reliable,
		     g->max_duration_s);
	write_string(out, "\t", "transport", transport_name(c->listens[g->listener].transport));
	write_string(out, "\t", "tech_prefix", g->tech_prefix);
	write_rules(out, "rewrite_caller", g->rewrite_caller);
	write_rules(out, "rewrite_callee", g->rewrite_callee);
	write_string(out, "\t", "p_asserted_identity", key_word(SECTION_ROUTING, "p_asserted_identity", g->asserted));
	write_string(out, "\t", "privacy", key_word(SECTION_ROUTING, "privacy", g->privacy));
	write_stop_codes(out, g);
	write_switch(out, "ignore_6xx", g->ignore_6xx);
	write_switch(out, "options_check", g->options_check);
	write_switch(out, "least_cost", g->least_cost);
	write_number(out, "min_profit_percent", g->min_profit_percent);
	write_money(out, "max_price", g->max_price_e8);
	write_number(out, "timeout_invite", g->timeout_invite_s);
	write_number(out, "timeout_trying", g->timeout_trying_s);
	write_number(out, "timeout_session_progress", g->timeout_session_progress_s);
	write_number(out, "timeout_session_progress_sdp", g->timeout_session_progress_sdp_s);
	write_number(out, "timeout_ringing", g->timeout_ringing_s);
	fputs("}\n", out);
}

static void write_books(FILE *out, const struct config *c)
{
	char store[sizeof c->cdr_store + 16];

	fprintf(out, "journal_sync_ms = %u\njournal_segment_mb = %u\nanswer_after_sync = %s\ncdr_files = %s\n",
		c->journal_sync_ms, c->journal_segment_mb, c->answer_after_sync ? "on" : "off",
		c->cdr_files ? "on" : "off");
	write_string(out, "", "on_restart", key_word(SECTION_NODE, "on_restart", c->on_restart));
	postgresql_uri_mask(c->cdr_store, store, sizeof store);
	write_string(out, "", "cdr_store", store);
	write_string(out, "", "unknown_account", key_word(SECTION_NODE, "unknown_account", c->refuse_unknown_account));
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
	fprintf(out, "max_connections = %u\nmax_connections_per_source = %u\nconnection_idle = %u\nmax_message = %u\n",
		c->connections_max, c->connections_per_source, c->connection_idle_s, c->message_bytes_max);
	write_string(out, "", "steering", steering_name(c->steering));
	write_path(out, "", "control", c->control);
	write_string(out, "", "prefix_mode", c->prefix_mode == PREFIX_CONTINUE ? "continue" : "terminate");
	write_books(out, c);
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

/* Who is told of what is odd. */
struct remark {
	void (*say)(void *context, const char *sentence);
	void *context;
};

__attribute__((format(printf, 2, 3))) static void remark(const struct remark *r, const char *format, ...)
{
	char sentence[320];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	r->say(r->context, sentence);
}

static void remark_own_address(const struct remark *r, const struct config *c, const struct routing_gateway *g)
{
	for (uint32_t a = 0; a < g->address_count; a++)
		for (uint32_t i = 0; i < c->listen_count; i++)
			if (address_equal(&g->addresses[a], &c->listens[i].address))
				remark(r,
				       "routing_gateway \"%s\" is this node's own listen \"%s\": its calls come back",
				       g->name, c->listens[i].name);
}

/* Only where the accounts have been read. */
static void remark_accounts(const struct remark *r, const struct config *c)
{
	for (uint32_t i = 0; c->tariff && i < c->mapping_count; i++)
		if (c->mappings[i].account_id && !tariff_account(c->tariff, c->mappings[i].account_id))
			remark(r, "mapping_gateway \"%s\": there is no account \"%s\": its calls are %s",
			       c->mappings[i].name, c->mappings[i].account,
			       c->refuse_unknown_account ? "refused" : "not rated");
	for (uint32_t i = 0; c->tariff && i < c->routing_count; i++)
		if (c->routings[i].vendor_account_id && !tariff_account(c->tariff, c->routings[i].vendor_account_id))
			remark(r,
			       "routing_gateway \"%s\": there is no account \"%s\": what its calls cost is not known",
			       c->routings[i].name, c->routings[i].vendor_account);
}

static bool has_vendor_account(const struct config *c)
{
	for (uint32_t i = 0; i < c->routing_count; i++)
		if (c->routings[i].vendor_account[0])
			return true;
	return false;
}

static void remark_sort_by_price(const struct remark *r, const struct config *c)
{
	for (uint32_t m = 0; m < c->mapping_count && !has_vendor_account(c); m++)
		if (memchr(c->mappings[m].sort, SORT_PRICE, c->mappings[m].sort_count))
			remark(r,
			       "mapping_gateway \"%s\" sorts by price, but no routing_gateway has an account: prices "
			       "count as equal",
			       c->mappings[m].name);
}

static void remark_price(const struct remark *r, const struct routing_gateway *g)
{
	if (!g->vendor_account[0] && (g->max_price_e8 || g->min_profit_percent))
		remark(r, "routing_gateway \"%s\" has %s but no account, so no price is known: it gets no calls",
		       g->name, g->max_price_e8 ? "max_price" : "min_profit_percent");
	else if (!g->vendor_account[0] && g->least_cost)
		remark(r, "routing_gateway \"%s\" has least_cost but no account: it counts as the dearest", g->name);
}

void config_parameter_warnings(const struct config *c, void (*say)(void *context, const char *sentence), void *context)
{
	const struct remark r = { say, context };

	if (c->parameters.RW_SIP_MIN_SE < 90)
		remark(&r, "RW_SIP_MIN_SE is %u: session intervals below 90 s are for laboratories (RFC 4028)",
		       c->parameters.RW_SIP_MIN_SE);
}

void config_warnings(const struct config *c, void (*say)(void *context, const char *sentence), void *context)
{
	const struct remark r = { say, context };

	config_parameter_warnings(c, say, context);
	if (c->mapping_count == 0)
		remark(&r, "there is no mapping_gateway: no call will be taken");
	if (c->routing_count == 0)
		remark(&r, "there is no routing_gateway: no call can be routed");
	remark_accounts(&r, c);
	remark_sort_by_price(&r, c);
	for (uint32_t i = 0; i < c->routing_count; i++) {
		remark_own_address(&r, c, &c->routings[i]);
		remark_price(&r, &c->routings[i]);
		if (c->routings[i].prefix_count == 0) /* an export that failed, more likely than not */
			remark(&r,
			       "routing_gateway \"%s\" has no prefix, as its prefix_file is empty: it gets no calls",
			       c->routings[i].name);
	}
}
