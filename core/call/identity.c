#include "core/call/identity.h"

#include "core/call/number.h"
#include "sip/pack.h"

enum { ASSERTED, PRIVACY, IDENTITY_TEXTS };

/* All values of a header, `between` them; views into the builder. */
static struct bytes join(struct builder *b, const struct sip_message *m, enum sip_header_id id, const char *between)
{
	const char *start = b->at;
	for (const struct sip_header *h = sip_header_first(m, id); h; h = sip_header_next(m, h)) {
		if (b->at > start && h->value_size)
			build_bytes(b, bytes_of(between));
		build_bytes(b, sip_header_value(m, h));
	}
	return (struct bytes){ start, (uint32_t)(b->at - start) };
}

bool identity_keep(struct shard *s, const struct sip_message *invite, uint32_t *ret_text)
{
	struct builder b;
	struct bytes texts[IDENTITY_TEXTS];
	*ret_text = TEXT_NONE;
	if (!sip_header_first(invite, SIP_H_P_ASSERTED_IDENTITY) && !sip_header_first(invite, SIP_H_PRIVACY))
		return true;
	build_begin(&b, s->work, DATAGRAM_MAX);
	texts[ASSERTED] = join(&b, invite, SIP_H_P_ASSERTED_IDENTITY, ", ");
	texts[PRIVACY] = join(&b, invite, SIP_H_PRIVACY, ";");
	uint32_t size = b.overflow ? 0 : pack_size(texts, IDENTITY_TEXTS);
	*ret_text = size ? text_take(&s->texts, size) : TEXT_NONE;
	if (*ret_text == TEXT_NONE)
		return false;
	pack_write(texts, IDENTITY_TEXTS, text_at(&s->texts, *ret_text));
	return true;
}

static void read_kept(const struct shard *s, const struct setup *setup, struct bytes texts[static IDENTITY_TEXTS])
{
	texts[ASSERTED] = texts[PRIVACY] = BYTES_NONE;
	if (setup->identity != TEXT_NONE)
		pack_read(text_get(&s->texts, setup->identity), texts, IDENTITY_TEXTS);
}

/* Whether a Privacy value asks for more than what every call has (RFC 3323 4.2: priv-values between semicolons). */
static bool asks_for_privacy(struct bytes value)
{
	static const struct bytes words[] = { BYTES("id"), BYTES("user"), BYTES("header"), BYTES("session") };
	struct bytes unused;
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (sip_parameter(value, words[i], &unused))
			return true;
	return false;
}

/* The Privacy that this gateway is sent. */
static struct bytes privacy_to_send(const struct routing_gateway *routing, struct bytes asked)
{
	return routing->privacy == PRIVACY_ID ? BYTES("id") : routing->privacy == PRIVACY_PASS ? asked : BYTES_NONE;
}

/* What it is told of the caller: what the caller's gateway asserts, or the number as sent; written into `room`. */
static struct bytes asserted_to_send(const struct shard *s, const struct leg *callee, const struct setup *setup,
				     const struct routing_gateway *routing, struct bytes asserted, char *room,
				     size_t size)
{
	struct numbers numbers;
	struct builder b;
	if (routing->asserted == ASSERTED_PASS)
		return asserted;
	if (routing->asserted != ASSERTED_CALLER)
		return BYTES_NONE;
	numbers_read(s, setup->numbers, &numbers);
	if (!numbers.at[CALL_CALLER_OUT].size)
		return BYTES_NONE;
	build_begin(&b, room, size);
	build_text(&b, "<sip:");
	build_user(&b, numbers.at[CALL_CALLER_OUT]);
	build_text(&b, "@");
	build_bytes(&b, bytes_of(listen_of(s, &callee->flow)->host));
	build_text(&b, ">");
	return b.overflow ? BYTES_NONE : (struct bytes){ room, (uint32_t)build_size(&b) };
}

bool identity_is_hidden(const struct shard *s, const struct setup *setup, const struct routing_gateway *routing)
{
	struct bytes kept[IDENTITY_TEXTS];
	if (routing->asserted == ASSERTED_NONE)
		return false;
	read_kept(s, setup, kept);
	return asks_for_privacy(privacy_to_send(routing, kept[PRIVACY])) &&
	       (routing->asserted == ASSERTED_CALLER || kept[ASSERTED].size);
}

void identity_build(const struct shard *s, struct builder *b, const struct leg *callee, const struct setup *setup,
		    const struct routing_gateway *routing)
{
	struct bytes kept[IDENTITY_TEXTS], privacy, asserted;
	char room[1024]; /* three times the longest number, and the longest host */
	if (routing->asserted == ASSERTED_NONE && routing->privacy == PRIVACY_NONE)
		return;
	read_kept(s, setup, kept);
	privacy = privacy_to_send(routing, kept[PRIVACY]);
	asserted = asserted_to_send(s, callee, setup, routing, kept[ASSERTED], room, sizeof room);
	if (asserted.size && (!asks_for_privacy(kept[PRIVACY]) || asks_for_privacy(privacy)))
		build_header(b, "P-Asserted-Identity: ", asserted);
	if (privacy.size)
		build_header(b, "Privacy: ", privacy);
}
