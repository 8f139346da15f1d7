/* One mapping_gateway section.  */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/codes.h"
#include "core/config/endpoint.h"
#include "core/config/load.h"

static int load_sources(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	const struct settings *entries = reader_settings(section, "address");

	if (entries->count == 0)
		return reader_refuse(&l->reader, section->line,
				     "mapping_gateway \"%s\" has no address: nobody could call through it",
				     gateway->name);
	gateway->sources = calloc(entries->count, sizeof *gateway->sources);
	if (!gateway->sources)
		return -ENOMEM;
	for (; gateway->source_count < entries->count; gateway->source_count++) {
		const struct setting *setting = entries->at[gateway->source_count];
		const char *wrong = source_read(setting->text, &gateway->sources[gateway->source_count]);

		if (wrong)
			return reader_refuse(&l->reader, setting->line, "address: '%.70s': %s", setting->text, wrong);
	}
	return 0;
}

/* The listener that the section names, else any; one must fit an address. */
static int choose_listener(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	const struct config *c = l->config;
	int listener, result = load_listener(l, section, &listener);

	if (result < 0)
		return result;
	if (listener >= 0) {
		const struct listen_config *listen = &c->listens[listener];

		gateway->listener = (uint16_t)listener;
		for (uint32_t i = 0; i < gateway->source_count; i++)
			if (gateway->sources[i].address.family == listen->address.family)
				return 0;
		return reader_refuse(&l->reader, reader_line(section, "listen"),
				     "listen: \"%s\" is %s, but the gateway's address is %s", listen->name,
				     family_name(listen->address.family),
				     family_name(gateway->sources[0].address.family));
	}
	for (uint32_t i = 0; i < gateway->source_count && listener < 0; i++)
		listener = first_listener(c, gateway->sources[i].address.family, -1);
	if (listener < 0)
		return reader_refuse(&l->reader, reader_line(section, "address"),
				     "address: there is no listen section with an %s address",
				     family_name(gateway->sources[0].address.family));
	gateway->listener = LISTENER_ANY;
	return 0;
}

static_assert(CALLER_FROM == 0 && CALLER_P_ASSERTED_IDENTITY == 1 && CALLER_REMOTE_PARTY_ID == 2 &&
		      CALLER_P_PREFERRED_IDENTITY == 3 && CALLEE_REQUEST_URI == 0 && CALLEE_TO == 1,
	      "the order of the words in keys.c");

/* Which headers say who calls whom. */
static int load_headers(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	unsigned caller = CALLER_FROM, callee = CALLEE_REQUEST_URI;
	int result;

	if ((result = reader_word(&l->reader, section, "caller_from", &caller)) < 0 ||
	    (result = reader_word(&l->reader, section, "callee_from", &callee)) < 0)
		return result;
	gateway->caller_from = (enum caller_source)caller;
	gateway->callee_from = (enum callee_source)callee;
	return 0;
}

static_assert(SORT_ASR == 0 && SORT_PRICE == 1, "the order of the words in keys.c");

static int load_sort(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	const struct key *key = &section_forms[SECTION_MAPPING].keys[key_find(SECTION_MAPPING, "sort")];
	const struct settings *entries = reader_settings(section, "sort");
	char range[KEY_RANGE_MAX];

	for (uint32_t i = 0; i < entries->count; i++) {
		const struct setting *setting = entries->at[i];
		int policy = key_word_find(key, setting->text);

		if (policy < 0)
			return reader_refuse(&l->reader, setting->line, "sort: '%.60s' is not allowed: %s",
					     setting->text, key_range(key, range));
		if (memchr(gateway->sort, policy, gateway->sort_count))
			return reader_refuse(&l->reader, setting->line, "sort: '%s' stands here a second time",
					     setting->text);
		assert(gateway->sort_count < SORT_MAX); /* each once, and there are fewer */
		gateway->sort[gateway->sort_count++] = (uint8_t)policy;
	}
	return 0;
}

static int load_reasons(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	const struct settings *entries = reader_settings(section, "failed_reason_map");

	if (entries->count == 0)
		return 0;
	gateway->reasons = calloc(entries->count, sizeof *gateway->reasons);
	if (!gateway->reasons)
		return -ENOMEM;
	for (; gateway->reason_count < entries->count; gateway->reason_count++) {
		const struct setting *setting = entries->at[gateway->reason_count];
		const char *wrong = reason_rule_read(setting->text, &gateway->reasons[gateway->reason_count]);

		if (wrong)
			return reader_refuse(&l->reader, setting->line, "failed_reason_map: '%.70s': %s", setting->text,
					     wrong);
	}
	return 0;
}

static int load_callee_prefix(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	int result = reader_text(&l->reader, section, "callee_prefix", gateway->callee_prefix,
				 sizeof gateway->callee_prefix);

	if (result < 0)
		return result;
	const char *wrong = check_prefix(gateway->callee_prefix, strlen(gateway->callee_prefix));
	if (!wrong)
		return 0;
	return reader_refuse(&l->reader, reader_line(section, "callee_prefix"), "callee_prefix: '%s' %s",
			     gateway->callee_prefix, wrong);
}

int load_mapping(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	struct reader *r = &l->reader;
	int result;

	if ((result = reader_name(r, section->line, "mapping_gateway", section->title, gateway->name)) < 0 ||
	    (result = load_sources(l, section, gateway)) < 0 ||
	    (result = load_callee_prefix(l, section, gateway)) < 0 ||
	    (result = reader_number(r, section, "capacity", &gateway->capacity)) < 0 ||
	    (result = reader_number(r, section, "rate_limit", &gateway->rate_limit)) < 0 ||
	    (result = load_account(l, section, gateway->account)) < 0 ||
	    (result = reader_switch(r, section, "timer", &gateway->timer)) < 0 ||
	    (result = reader_switch(r, section, "reliable", &gateway->reliable)) < 0 ||
	    (result = reader_number(r, section, "max_duration", &gateway->max_duration_s)) < 0 ||
	    (result = load_headers(l, section, gateway)) < 0 ||
	    (result = load_rewrite(l, section, "rewrite_caller", &gateway->rewrite_caller)) < 0 ||
	    (result = load_rewrite(l, section, "rewrite_callee", &gateway->rewrite_callee)) < 0 ||
	    (result = load_prefix_mode(l, section, &gateway->prefix_mode)) < 0 ||
	    (result = load_sort(l, section, gateway)) < 0 || (result = load_reasons(l, section, gateway)) < 0)
		return result;
	return choose_listener(l, section, gateway);
}

/* One list of names; none: NULL. */
static int load_gateway_names(struct loading *l, const struct section *section, const char *key, uint32_t **ret_list,
			      uint32_t *ret_count)
{
	const struct settings *entries = reader_settings(section, key);

	if (entries->count == 0)
		return 0;
	uint32_t *list = *ret_list = calloc(entries->count, sizeof *list);
	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < entries->count; i++) {
		const struct setting *setting = entries->at[i];
		const struct section *named = reader_find(&l->reader, SECTION_ROUTING, setting->text);

		if (!named)
			return reader_refuse(&l->reader, setting->line, "%s: there is no routing_gateway \"%.64s\"",
					     key, setting->text);
		list[i] = named->ordinal;
	}
	*ret_count = entries->count;
	qsort(list, entries->count, sizeof *list, compare_numbers);
	return 0;
}

/* The line on which a list names a gateway for the last time. */
static unsigned line_of(const struct settings *entries, const char *name)
{
	uint32_t i = entries->count;

	while (i > 1 && strcmp(entries->at[i - 1]->text, name) != 0)
		i--;
	return entries->at[i - 1]->line;
}

static int refuse_repeated(struct loading *l, const struct section *section, const char *key, const uint32_t *list,
			   uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		if (list[i - 1] == list[i]) {
			const char *name = l->config->routings[list[i]].name;

			return reader_refuse(&l->reader, line_of(reader_settings(section, key), name),
					     "%s: \"%s\" stands here a second time", key, name);
		}
	return 0;
}

int load_choice(struct loading *l, const struct section *section, struct mapping_gateway *gateway)
{
	int result;

	if ((result = load_gateway_names(l, section, "allow", &gateway->allow, &gateway->allow_count)) < 0 ||
	    (result = load_gateway_names(l, section, "deny", &gateway->deny, &gateway->deny_count)) < 0 ||
	    (result = refuse_repeated(l, section, "allow", gateway->allow, gateway->allow_count)) < 0 ||
	    (result = refuse_repeated(l, section, "deny", gateway->deny, gateway->deny_count)) < 0)
		return result;
	for (uint32_t i = 0; i < gateway->deny_count; i++) {
		const char *name = l->config->routings[gateway->deny[i]].name;

		if (gateway->allow && bsearch(&gateway->deny[i], gateway->allow, gateway->allow_count,
					      sizeof *gateway->allow, compare_numbers))
			return reader_refuse(&l->reader, line_of(reader_settings(section, "deny"), name),
					     "deny: \"%s\" is among those of allow, on line %u", name,
					     line_of(reader_settings(section, "allow"), name));
	}
	return 0;
}
