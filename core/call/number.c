#include "core/call/number.h"

#include <assert.h>

#include "core/config/rewrite.h"
#include "sip/pack.h"

static_assert(NUMBER_MAX == REWRITE_NUMBER_MAX, "what a rule makes is a number");

/* ---- a number by itself ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = bytes_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes number_of_uri(struct bytes uri, char room[static NUMBER_MAX])
{
	struct sip_uri parts;
	uint32_t size = 0;
	if (!sip_read_uri(uri, &parts))
		return BYTES_NONE;
	for (uint32_t i = 0; i < parts.user.size && size < NUMBER_MAX; i++) {
		char c = parts.user.at[i];
		if (c == ';' || c == ':')
			break; /* parameters of a telephone number (RFC 3261 19.1.6), a password */
		if (c == '%' && i + 2 < parts.user.size) {
			int high = hex_digit(parts.user.at[i + 1]), low = hex_digit(parts.user.at[i + 2]);
			/* What would be a control character stays escaped: it ends up in records and logs. */
			if (high >= 2 && low >= 0 && (high << 4 | low) != 0x7f) {
				c = (char)(high << 4 | low);
				i += 2;
			}
		}
		room[size++] = c;
	}
	return (struct bytes){ room, size };
}

static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '(' || c == ')';
}

static bool is_telephone(struct bytes number)
{
	uint32_t digits = 0;
	for (uint32_t i = 0; i < number.size; i++) {
		char c = number.at[i];
		if (c >= '0' && c <= '9')
			digits++;
		else if (!is_separator(c) && c != '*' && c != '#' && !(c == '+' && i == 0))
			return false;
	}
	return digits > 0;
}

struct bytes number_plain(struct bytes number, char room[static NUMBER_MAX])
{
	uint32_t size = 0;
	bool telephone = is_telephone(number);
	for (uint32_t i = 0; i < number.size && size < NUMBER_MAX; i++)
		if (!(telephone && is_separator(number.at[i])) && !(i == 0 && number.at[i] == '+'))
			room[size++] = number.at[i];
	return (struct bytes){ room, size };
}

/* ---- as received ---- */

/* Who calls, as one element of From or its like has it.  Only the URI is wanted: a display name that lacks its quotes
 * does no harm. */
static struct bytes number_of_address(struct bytes element, char room[static NUMBER_MAX])
{
	struct sip_name_address address;
	const char *bracket = element.size && element.at[0] != '"' ? memchr(element.at, '<', element.size) : NULL;
	if (bracket) {
		element.size -= (uint32_t)(bracket - element.at);
		element.at = bracket;
	}
	return sip_read_name_address(element, &address) ? number_of_uri(address.uri, room) : BYTES_NONE;
}

static struct bytes caller_of(const struct sip_message *m, enum caller_source source, char room[static NUMBER_MAX])
{
	static const uint8_t headers[] = {
		[CALLER_P_ASSERTED_IDENTITY] = SIP_H_P_ASSERTED_IDENTITY,
		[CALLER_REMOTE_PARTY_ID] = SIP_H_REMOTE_PARTY_ID,
		[CALLER_P_PREFERRED_IDENTITY] = SIP_H_P_PREFERRED_IDENTITY,
	};
	struct bytes number = BYTES_NONE, values, first;
	if (source != CALLER_FROM) {
		values = sip_header(m, (enum sip_header_id)headers[source]);
		if (sip_list_next(&values, &first))
			number = number_of_address(first, room);
	}
	return number.size ? number : number_of_uri(m->from.uri, room);
}

void numbers_dialled(struct numbers *n, const struct sip_message *invite)
{
	n->at[CALL_CALLEE_IN] = number_of_uri(invite->request_uri, n->room[CALL_CALLEE_IN]);
	n->at[CALL_CALLEE] = number_plain(n->at[CALL_CALLEE_IN], n->room[CALL_CALLEE]);
}

void numbers_received(struct numbers *n, const struct sip_message *invite, const struct mapping_gateway *mapping)
{
	n->at[CALL_CALLER_IN] = caller_of(invite, mapping->caller_from, n->room[CALL_CALLER_IN]);
	if (mapping->callee_from != CALLEE_TO)
		return;
	struct bytes callee = number_of_uri(invite->to.uri, n->room[CALL_CALLEE_OUT]); /* a room that is free yet */
	if (callee.size) {
		n->at[CALL_CALLEE_IN] = callee;
		n->at[CALL_CALLEE] = number_plain(callee, n->room[CALL_CALLEE]);
	}
}

/* ---- rules ---- */

static void note_given_up(struct shard *s, uint64_t times, const char *gateway)
{
	stat_add(&s->stats->rewrites_given_up, times);
	if (s->rewrites_noted == s->config->generation)
		return; /* said once of a configuration: any caller's number may be the cause */
	s->rewrites_noted = s->config->generation;
	shard_log(s, 4, "event=rewrite_given_up gateway=%s", gateway);
}

static struct bytes rewritten(struct shard *s, const struct rewrite_rules *rules, const char *gateway,
			      struct bytes number, char out[static NUMBER_MAX])
{
	if (!rules)
		return number;
	uint64_t before = rewrite_given_up(s->rewrites);
	struct bytes result = rewrite_apply(rules, s->rewrites, number, out);
	uint64_t times = rewrite_given_up(s->rewrites) - before;
	if (times)
		note_given_up(s, times, gateway);
	return result;
}

static bool begins_with(struct bytes number, struct bytes prefix)
{
	return number.size >= prefix.size && (!prefix.size || memcmp(number.at, prefix.at, prefix.size) == 0);
}

void numbers_map(struct shard *s, struct numbers *n, const struct mapping_gateway *mapping)
{
	struct bytes prefix = bytes_of(mapping->callee_prefix), *callee = &n->at[CALL_CALLEE];
	if (prefix.size && begins_with(*callee, prefix)) {
		callee->at += prefix.size;
		callee->size -= prefix.size;
	}
	n->at[CALL_CALLER] =
		rewritten(s, mapping->rewrite_caller, mapping->name, n->at[CALL_CALLER_IN], n->room[CALL_CALLER]);
	if (mapping->rewrite_callee) { /* whatever the rules say, it is looked up without + */
		char room[NUMBER_MAX];
		*callee = number_plain(rewritten(s, mapping->rewrite_callee, mapping->name, *callee, room),
				       n->room[CALL_CALLEE]);
	}
	n->at[CALL_CALLER_OUT] = n->at[CALL_CALLER];
	n->at[CALL_CALLEE_OUT] = *callee;
}

/* The callee with the tech prefix in front. */
static struct bytes callee_to_send(struct shard *s, const struct routing_gateway *routing, struct bytes callee,
				   char room[static NUMBER_ROOM])
{
	uint32_t prefix = (uint32_t)strlen(routing->tech_prefix);
	struct bytes number = rewritten(s, routing->rewrite_callee, routing->name, callee, room + prefix);
	if (!prefix)
		return number;
	memcpy(room, routing->tech_prefix, prefix);
	if (number.size && number.at != room + prefix)
		memcpy(room + prefix, number.at, number.size);
	return (struct bytes){ room, prefix + number.size };
}

bool numbers_send(struct shard *s, struct numbers *n, const struct routing_gateway *routing)
{
	struct bytes caller =
		rewritten(s, routing->rewrite_caller, routing->name, n->at[CALL_CALLER], n->room[CALL_CALLER_OUT]);
	struct bytes callee = callee_to_send(s, routing, n->at[CALL_CALLEE], n->room[CALL_CALLEE_OUT]);
	bool changed = !bytes_equal(caller, n->at[CALL_CALLER_OUT]) || !bytes_equal(callee, n->at[CALL_CALLEE_OUT]);
	n->at[CALL_CALLER_OUT] = caller;
	n->at[CALL_CALLEE_OUT] = callee;
	return changed;
}

/* ---- kept ---- */

uint32_t numbers_keep(struct shard *s, const struct numbers *n)
{
	uint32_t text = text_take(&s->texts, pack_size(n->at, CALL_NUMBERS));
	if (text != TEXT_NONE)
		pack_write(n->at, CALL_NUMBERS, text_at(&s->texts, text));
	return text;
}

void numbers_read(const struct shard *s, uint32_t text, struct numbers *ret_numbers)
{
	pack_read(text_get(&s->texts, text), ret_numbers->at, CALL_NUMBERS);
}
