/* gateways.list: what the configuration says of each gateway, and what is known of it now.  The figures are sums over
 * the books of all shards (core/tally.h, core/quality.h): no shard is asked. */
#include <stdio.h>

#include "billing/money.h"
#include "core/config/codes.h"
#include "core/config/endpoint.h"
#include "core/config/keys.h"
#include "core/config/rewrite.h"
#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/text.h"

#define PREFIXES_SHOWN_MAX 100 /* a gateway may have a million; prefix_count says how many */

/* ---- members of a row ---- */

static void set_number(json_t *row, const char *name, uint64_t value)
{
	json_object_set_new(row, name, json_integer((json_int_t)value));
}

static void set_text(json_t *row, const char *name, const char *text)
{
	json_object_set_new(row, name, json_text_terminated(text));
}

static void set_switch(json_t *row, const char *name, bool on)
{
	json_object_set_new(row, name, json_boolean(on));
}

/* One decimal of the mean of `count`; null of none. */
static void set_mean(json_t *row, const char *name, uint64_t sum, uint64_t count)
{
	uint64_t tenths = count ? (10 * sum + count / 2) / count : 0;
	json_object_set_new(row, name, count ? json_real((double)tenths / 10) : json_null());
}

static void set_names(json_t *row, const char *name, const uint32_t *ids, uint32_t count)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_text_terminated(gateway_name(ids[i])));
	json_object_set_new(row, name, list);
}

/* As the file has it. */
static void set_word(json_t *row, const char *name, enum section_kind kind, unsigned value)
{
	set_text(row, name, key_word(kind, name, value));
}

static void set_rules(json_t *row, const char *name, const struct rewrite_rules *rules)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < rewrite_count(rules); i++)
		json_array_append_new(list, json_text_terminated(rewrite_text(rules, i)));
	json_object_set_new(row, name, list);
}

/* ---- what both kinds have ---- */

static void add_figures(json_t *row, const struct node *node, uint32_t id, uint32_t capacity)
{
	const struct tallies tallies = node_tallies(node);
	uint64_t calls = tally_calls(&tallies, id);
	set_number(row, "calls", calls);
	set_number(row, "capacity", capacity);
	if (capacity > 0)
		set_number(row, "free_lines", calls < capacity ? capacity - calls : 0);
	else
		json_object_set_new(row, "free_lines", json_null()); /* no limit */
	set_number(row, "attempts", tally_attempts(&tallies, id));
	set_number(row, "answered", tally_answered(&tallies, id));
}

static void add_common(json_t *row, const struct config *config, uint32_t rate_limit, const char *account,
		       enum prefix_mode prefix_mode, uint16_t listener, bool timer, uint32_t max_duration_s)
{
	set_number(row, "rate_limit", rate_limit);
	set_text(row, "account", account);
	set_word(row, "prefix_mode", SECTION_ROUTING, prefix_mode); /* a mapping gateway's words are the same */
	set_text(row, "listen", listener == LISTENER_ANY ? "" : config->listens[listener].name);
	set_switch(row, "timer", timer);
	set_number(row, "max_duration_s", max_duration_s);
}

/* ---- mapping gateways ---- */

static json_t *source_list(const struct mapping_gateway *g)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < g->source_count; i++) {
		char text[ENDPOINT_TEXT_MAX];
		source_write(&g->sources[i], text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *sort_list(const struct mapping_gateway *g)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < g->sort_count; i++)
		json_array_append_new(list, json_string(key_word(SECTION_MAPPING, "sort", g->sort[i])));
	return list;
}

static json_t *reason_list(const struct mapping_gateway *g)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < g->reason_count; i++) {
		char text[CODES_TEXT_MAX];
		reason_rule_write(&g->reasons[i], text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *mapping_row(const struct node *node, const struct mapping_gateway *g)
{
	json_t *row = json_object();
	set_text(row, "name", g->name);
	set_text(row, "kind", "mapping");
	set_text(row, "state", "up");
	json_object_set_new(row, "addresses", source_list(g));
	add_figures(row, node, g->id, g->capacity);
	add_common(row, node_config(node), g->rate_limit, g->account, g->prefix_mode, g->listener, g->timer,
		   g->max_duration_s);
	set_text(row, "callee_prefix", g->callee_prefix);
	set_word(row, "caller_from", SECTION_MAPPING, g->caller_from);
	set_word(row, "callee_from", SECTION_MAPPING, g->callee_from);
	set_rules(row, "rewrite_caller", g->rewrite_caller);
	set_rules(row, "rewrite_callee", g->rewrite_callee);
	json_object_set_new(row, "sort", sort_list(g));
	if (g->allow != NULL)
		set_names(row, "allow", g->allow, g->allow_count);
	else
		json_object_set_new(row, "allow", json_null()); /* all */
	set_names(row, "deny", g->deny, g->deny_count);
	json_object_set_new(row, "failed_reason_map", reason_list(g));
	return row;
}

/* ---- routing gateways ---- */

/* The addresses whose bits are set. */
static json_t *address_list(const struct routing_gateway *g, uint32_t bits)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < g->address_count; i++) {
		char address[ADDRESS_TEXT_MAX];
		if (!(bits >> i & 1))
			continue;
		address_write(&g->addresses[i], address);
		json_array_append_new(list, json_string(address));
	}
	return list;
}

static json_t *code_list(const struct routing_gateway *g)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < g->stop_code_count; i++) {
		char text[CODES_TEXT_MAX];
		codes_write(g->stop_codes[i].first, g->stop_codes[i].last, text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

/* The window of SS_GATEWAY_QUALITY_RESERVE_TIME. */
static void add_quality(json_t *row, const struct node *node, uint32_t id)
{
	const struct quality_books books = node_qualities(node);
	struct quality q;
	quality_read(&books, node_now_ns(node), id, &q);
	set_number(row, "window_attempts", q.attempts);
	set_number(row, "window_answered", q.answered);
	set_mean(row, "asr", 100 * q.answered, q.attempts); /* percent */
	set_mean(row, "acd_s", q.hold_ms, 1000 * q.ended);
	set_mean(row, "pdd_ms", q.pdd_ms, q.replied);
}

static void add_prefixes(json_t *row, const struct routing_gateway *g)
{
	json_t *prefixes = json_array();
	for (uint32_t i = 0; i < g->prefix_count && i < PREFIXES_SHOWN_MAX; i++)
		json_array_append_new(prefixes, json_text_terminated(g->prefixes[i]));
	json_object_set_new(row, "prefixes", prefixes);
	set_number(row, "prefix_count", g->prefix_count);
}

/* Resting is said in the book of every shard alike. */
static const char *state_of(const struct node *node, const struct routing_gateway *g, uint32_t online)
{
	const struct tallies tallies = node_tallies(node);
	if (online & QUALITY_DOWN)
		return "down";
	return stat_get(&tallies.books[0][g->id].rests_until_ns) > node_now_ns(node) ? "resting" : "up";
}

static json_t *routing_row(const struct node *node, const struct routing_gateway *g)
{
	const struct quality_books books = node_qualities(node);
	uint32_t online = quality_online(&books, g->id, node_config(node)->generation);
	json_t *row = json_object();
	char max_price[MONEY_TEXT_MAX];
	set_text(row, "name", g->name);
	set_text(row, "kind", "routing");
	set_text(row, "state", state_of(node, g, online));
	json_object_set_new(row, "addresses", address_list(g, UINT32_MAX));
	json_object_set_new(row, "addresses_down", address_list(g, online & QUALITY_ADDRESSES));
	add_figures(row, node, g->id, g->capacity);
	add_quality(row, node, g->id);
	add_common(row, node_config(node), g->rate_limit, g->vendor_account, g->prefix_mode, g->listener, g->timer,
		   g->max_duration_s);
	add_prefixes(row, g);
	set_number(row, "priority", g->priority);
	set_text(row, "tech_prefix", g->tech_prefix);
	set_rules(row, "rewrite_caller", g->rewrite_caller);
	set_rules(row, "rewrite_callee", g->rewrite_callee);
	set_switch(row, "options_check", g->options_check);
	set_word(row, "p_asserted_identity", SECTION_ROUTING, g->asserted);
	set_word(row, "privacy", SECTION_ROUTING, g->privacy);
	set_switch(row, "ignore_6xx", g->ignore_6xx);
	json_object_set_new(row, "stop_codes", code_list(g));
	set_switch(row, "least_cost", g->least_cost);
	set_number(row, "min_profit_percent", g->min_profit_percent);
	money_write_short(g->max_price_e8, 0, max_price);
	set_text(row, "max_price", max_price);
	set_number(row, "timeout_invite_s", g->timeout_invite_s);
	set_number(row, "timeout_trying_s", g->timeout_trying_s);
	set_number(row, "timeout_session_progress_s", g->timeout_session_progress_s);
	set_number(row, "timeout_session_progress_sdp_s", g->timeout_session_progress_sdp_s);
	set_number(row, "timeout_ringing_s", g->timeout_ringing_s);
	return row;
}

void method_gateways_list(struct request *r)
{
	const struct node *node = r->control->node;
	const struct config *config = node_config(node);
	json_t *rows = json_array();
	for (uint32_t i = 0; i < config->mapping_count; i++)
		json_array_append_new(rows, mapping_row(node, &config->mappings[i]));
	for (uint32_t i = 0; i < config->routing_count; i++)
		json_array_append_new(rows, routing_row(node, &config->routings[i]));
	request_result(r, rows);
}
