#include "core/call/switching.h"

struct switching_rules switching_rules_of(const struct parameters *p)
{
	return (struct switching_rules){
		.switch_limit = (uint8_t)p->SS_GATEWAY_SWITCH_LIMIT,
		.until_connect = p->SS_GATEWAY_SWITCH_UNTIL_CONNECT,
		.stop_after_user_busy = p->SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY,
		.stop_after_sdp = p->SS_SIP_STOP_SWITCH_AFTER_SDP,
	};
}

/* ---- the rules ---- */

static bool address_answered(const struct switching_case *c)
{
	return !c->address_failed;
}

static bool has_session(const struct switching_case *c)
{
	return c->early_sdp && c->rules.stop_after_sdp;
}

static bool has_rung(const struct switching_case *c)
{
	return c->rang && !c->rules.until_connect;
}

static bool is_at_limit(const struct switching_case *c)
{
	return c->rules.switch_limit && c->switches >= c->rules.switch_limit;
}

static bool is_stop_code(const struct switching_case *c)
{
	uint32_t count = c->routing ? c->routing->stop_code_count : 0;
	for (uint32_t i = 0; i < count; i++)
		if (c->code >= c->routing->stop_codes[i].first && c->code <= c->routing->stop_codes[i].last)
			return true;
	return false;
}

static bool is_busy(const struct switching_case *c)
{
	return (c->code == 486 || c->code == 600) && c->rules.stop_after_user_busy;
}

static bool is_declined(const struct switching_case *c)
{
	return (c->code == 603 || c->code == 604 || c->code == 606) && !(c->routing && c->routing->ignore_6xx);
}

#define TO_ADDRESS (1u << SWITCH_ADDRESS)
#define TO_GATEWAY (1u << SWITCH_GATEWAY)

static const struct rule {
	bool (*forbids)(const struct switching_case *c);
	unsigned steps; /* which ones it is asked about */
	enum switching_verdict verdict;
} rules[] = {
	{ address_answered, TO_ADDRESS, SWITCH_STOP_ADDRESS },
	{ has_session, TO_ADDRESS | TO_GATEWAY, SWITCH_STOP_SDP },
	{ has_rung, TO_ADDRESS | TO_GATEWAY, SWITCH_STOP_RANG },
	{ is_at_limit, TO_GATEWAY, SWITCH_STOP_LIMIT },
	{ is_stop_code, TO_GATEWAY, SWITCH_STOP_CODE },
	{ is_busy, TO_GATEWAY, SWITCH_STOP_BUSY },
	{ is_declined, TO_GATEWAY, SWITCH_STOP_DECLINED },
};

enum switching_verdict switching_decide(const struct switching_case *c, enum switching_step step)
{
	for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].steps & 1u << step && rules[i].forbids(c))
			return rules[i].verdict;
	return SWITCH_ON;
}

/* ---- what the caller gets ---- */

uint16_t switching_code(uint16_t code, bool rang_out)
{
	return code ? code : rang_out ? 480 : 408;
}

/* 0: the map has nothing for it. */
static uint16_t mapped(const struct mapping_gateway *mapping, uint16_t code)
{
	uint32_t count = mapping ? mapping->reason_count : 0;
	for (uint32_t i = 0; i < count; i++)
		if (code >= mapping->reasons[i].from_first && code <= mapping->reasons[i].from_last)
			return mapping->reasons[i].to;
	return 0;
}

/* Redirections and challenges are between us and the carrier. */
static uint16_t unveiled(uint16_t code)
{
	if (code < 400 || code == 401 || code == 407 || code == 421 || code == 422 || code == 494)
		return 503;
	return code;
}

uint16_t switching_code_for_caller(const struct mapping_gateway *mapping, uint16_t code)
{
	uint16_t shown = unveiled(code), other = mapped(mapping, code);
	if (!other && shown != code)
		other = mapped(mapping, shown);
	return other ? other : shown;
}
