/* One routing_gateway section.  */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "billing/money.h"
#include "core/config/codes.h"
#include "core/config/load.h"

static int load_stop_codes(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	const struct settings *entries = reader_settings(section, "stop_codes");

	if (entries->count == 0)
		return 0;
	gateway->stop_codes = calloc(entries->count, sizeof *gateway->stop_codes);
	if (!gateway->stop_codes)
		return -ENOMEM;
	for (; gateway->stop_code_count < entries->count; gateway->stop_code_count++) {
		const struct setting *setting = entries->at[gateway->stop_code_count];
		const char *wrong = codes_read(setting->text, &gateway->stop_codes[gateway->stop_code_count]);

		if (wrong)
			return reader_refuse(&l->reader, setting->line, "stop_codes: '%.70s': %s", setting->text,
					     wrong);
	}
	return 0;
}

/* Numbers that are sent may begin with +, unlike those that are looked up. */
static int load_tech_prefix(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	char *prefix = gateway->tech_prefix;
	int result = reader_text(&l->reader, section, "tech_prefix", prefix, sizeof gateway->tech_prefix);

	if (result < 0)
		return result;
	const char *digits = prefix[0] == '+' ? prefix + 1 : prefix;
	const char *wrong = check_prefix(digits, strlen(digits));
	if (!wrong)
		return 0;
	return reader_refuse(&l->reader, reader_line(section, "tech_prefix"), "tech_prefix: '%s' %s", prefix,
			     digits[0] == '+' ? "begins with two +" : wrong);
}

static int load_waits(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	struct reader *r = &l->reader;
	int result;

	if ((result = reader_number(r, section, "timeout_invite", &gateway->timeout_invite_s)) < 0 ||
	    (result = reader_number(r, section, "timeout_trying", &gateway->timeout_trying_s)) < 0 ||
	    (result = reader_number(r, section, "timeout_session_progress", &gateway->timeout_session_progress_s)) <
		    0 ||
	    (result = reader_number(r, section, "timeout_session_progress_sdp",
				    &gateway->timeout_session_progress_sdp_s)) < 0)
		return result;
	return reader_number(r, section, "timeout_ringing", &gateway->timeout_ringing_s);
}

static int load_max_price(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	const struct setting *setting = reader_setting(section, "max_price", 0);

	if (!setting)
		return 0;
	if (money_parse(setting->text, strlen(setting->text), &gateway->max_price_e8) && gateway->max_price_e8 >= 0)
		return 0;
	return reader_refuse(&l->reader, setting->line, "max_price: '%.60s' is no amount of up to %u decimals",
			     setting->text, MONEY_DECIMALS);
}

/* What its price has to do with its calls. */
static int load_costs(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	struct reader *r = &l->reader;
	int result;

	if ((result = reader_switch(r, section, "least_cost", &gateway->least_cost)) < 0 ||
	    (result = reader_number(r, section, "min_profit_percent", &gateway->min_profit_percent)) < 0)
		return result;
	return load_max_price(l, section, gateway);
}

static_assert(ASSERTED_NONE == 0 && ASSERTED_PASS == 1 && ASSERTED_CALLER == 2 && PRIVACY_NONE == 0 &&
		      PRIVACY_PASS == 1 && PRIVACY_ID == 2,
	      "the order of the words in keys.c");

/* What it is told of who calls. */
static int load_identity(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	unsigned asserted = ASSERTED_NONE, privacy = PRIVACY_NONE;
	int result;

	if ((result = reader_word(&l->reader, section, "p_asserted_identity", &asserted)) < 0 ||
	    (result = reader_word(&l->reader, section, "privacy", &privacy)) < 0)
		return result;
	gateway->asserted = (enum asserted_policy)asserted;
	gateway->privacy = (enum privacy_policy)privacy;
	return 0;
}

int load_routing(struct loading *l, const struct section *section, struct routing_gateway *gateway)
{
	struct reader *r = &l->reader;
	int result;

	if ((result = reader_name(r, section->line, "routing_gateway", section->title, gateway->name)) < 0 ||
	    (result = load_destinations(l, section, gateway)) < 0 ||
	    (result = load_prefixes(l, section, gateway)) < 0 ||
	    (result = load_prefix_mode(l, section, &gateway->prefix_mode)) < 0 ||
	    (result = reader_number(r, section, "priority", &gateway->priority)) < 0 ||
	    (result = reader_number(r, section, "capacity", &gateway->capacity)) < 0 ||
	    (result = reader_number(r, section, "rate_limit", &gateway->rate_limit)) < 0 ||
	    (result = load_account(l, section, gateway->vendor_account)) < 0 ||
	    (result = reader_switch(r, section, "timer", &gateway->timer)) < 0 ||
	    (result = reader_switch(r, section, "reliable", &gateway->reliable)) < 0 ||
	    (result = reader_number(r, section, "max_duration", &gateway->max_duration_s)) < 0 ||
	    (result = load_tech_prefix(l, section, gateway)) < 0 ||
	    (result = load_rewrite(l, section, "rewrite_caller", &gateway->rewrite_caller)) < 0 ||
	    (result = load_rewrite(l, section, "rewrite_callee", &gateway->rewrite_callee)) < 0 ||
	    (result = load_identity(l, section, gateway)) < 0 || (result = load_stop_codes(l, section, gateway)) < 0 ||
	    (result = reader_switch(r, section, "ignore_6xx", &gateway->ignore_6xx)) < 0 ||
	    (result = reader_switch(r, section, "options_check", &gateway->options_check)) < 0 ||
	    (result = load_costs(l, section, gateway)) < 0)
		return result;
	return load_waits(l, section, gateway);
}
