#include "core/call/reply.h"

#include "core/call/exchange.h"
#include "core/call/stranger.h"
#include "core/siphash.h"

static void build_tag(const struct shard *s, const struct sip_message *m, char tag[static 16])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t hash = message_key(s) ^ siphash13(s->key.k0, s->key.k1, m->via.branch.at, m->via.branch.size);
	for (unsigned i = 0; i < 16; i++, hash >>= 4)
		tag[i] = hex[hash & 15];
}

void reply_with_tag(struct shard *s, const struct sip_message *m, const struct flow *from, unsigned status,
		    struct bytes reason, struct bytes tag, struct bytes headers)
{
	struct builder b;
	struct flow to;
	datagram_begin(s, &b);
	build_status_line(&b, status, reason);
	build_response_head(&b, m, &from->peer, tag, false);
	build_bytes(&b, headers);
	build_body(&b, BYTES_NONE);
	if (!stranger_may_hear(s, build_size(&b))) {
		datagram_drop(s, &b);
		return;
	}
	exchange_reply_flow(m, from, &to);
	to.pinned = true; /* nobody has us open connections by asking and going away */
	datagram_send(s, &b, &to);
}

void reply(struct shard *s, const struct sip_message *m, const struct flow *from, unsigned status, struct bytes reason,
	   struct bytes headers)
{
	char tag[16];
	if (m->method == SIP_ACK)
		return; /* never answered (17.1.1.3) */
	build_tag(s, m, tag);
	reply_with_tag(s, m, from, status, reason, (struct bytes){ tag, sizeof tag }, headers);
}

void reply_tagged(struct shard *s, const struct sip_message *m, const struct flow *from, unsigned status,
		  struct bytes tag)
{
	reply_with_tag(s, m, from, status, BYTES_NONE, tag, BYTES_NONE);
}

struct bytes reply_lines(enum sip_method method, unsigned status)
{
	if (method == SIP_OPTIONS && status == 200)
		return BYTES(ALLOW_LINE ACCEPT_LINE SUPPORTED_LINE);
	if (method != SIP_INVITE && status == 405)
		return BYTES(ALLOW_LINE);
	return BYTES_NONE;
}

/* With the tag that the leg of an ended transaction gave. */
static void reply_buried(struct shard *s, const struct sip_message *m, const struct flow *from,
			 const struct tombstone *tombstone, unsigned status)
{
	char token[IDENT_SIZE], tag[TAG_SIZE_MAX];
	struct ident id = { .slot = tombstone->leg_slot,
			    .generation = tombstone->leg_generation,
			    .boot = tombstone->boot,
			    .bucket = s->memo->bucket };
	ident_write(&s->key, &id, token);
	uint32_t size = ident_make_tag((struct bytes){ token, IDENT_SIZE }, tombstone->edition, tag);
	reply_with_tag(s, m, from, status, BYTES_NONE, (struct bytes){ tag, size }, reply_lines(m->method, status));
}

void reply_late_cancel(struct shard *s, const struct sip_message *m, const struct flow *from,
		       const struct tombstone *invite)
{
	reply_buried(s, m, from, invite, 200);
}

void reply_from_tombstone(struct shard *s, const struct sip_message *m, const struct flow *from,
			  const struct tombstone *tombstone)
{
	stat_add(&s->stats->retransmits_in, 1);
	if (m->method == SIP_ACK || (m->method == SIP_INVITE && tombstone->status < 300))
		return;
	reply_buried(s, m, from, tombstone, tombstone->status);
	stat_add(&s->stats->retransmits_out, 1);
}

/* The option tags of Require that are not supported: all but timer and 100rel. */
static bool refuse_require(struct shard *s, const struct sip_message *m, const struct flow *from, bool timer,
			   bool reliable)
{
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_text(&b, "Unsupported: ");
	unsigned count = 0;
	for (const struct sip_header *h = sip_header_first(m, SIP_H_REQUIRE); h; h = sip_header_next(m, h)) {
		struct bytes rest = sip_header_value(m, h), tag;
		while (sip_list_next(&rest, &tag)) {
			if ((timer && bytes_equal_nocase(tag, BYTES("timer"))) ||
			    (reliable && bytes_equal_nocase(tag, BYTES("100rel"))))
				continue;
			if (count++)
				build_text(&b, ", ");
			build_bytes(&b, tag);
		}
	}
	if (!count)
		return false;
	build_text(&b, "\r\n");
	reply(s, m, from, 420, BYTES_NONE, (struct bytes){ s->work, (uint32_t)build_size(&b) });
	return true;
}

/* Bodies: SDP and multipart pass, anything else only when it may be ignored (20.11: without a handling parameter it is
 * required); inside a dialog every body passes, the other side decides. */
static bool refuse_body(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	if (m->method != SIP_INVITE || !m->body.size || m->to.tag.size)
		return false;
	struct bytes type = m->content_type, handling;
	for (uint32_t i = 0; i < type.size; i++)
		if (type.at[i] == ';' || type.at[i] == ' ' || type.at[i] == '\t')
			type.size = i;
	if (bytes_equal_nocase(type, BYTES("application/sdp")) || !type.size ||
	    (type.size > 10 && bytes_equal_nocase((struct bytes){ type.at, 10 }, BYTES("multipart/"))))
		return false;
	struct bytes disposition = sip_header(m, SIP_H_CONTENT_DISPOSITION);
	if (disposition.size && sip_parameter(sip_parameters_of(disposition), BYTES("handling"), &handling) &&
	    bytes_equal_nocase(handling, BYTES("optional")))
		return false;
	reply(s, m, from, 415, BYTES_NONE, BYTES(ACCEPT_LINE));
	return true;
}

bool reply_unsupported(struct shard *s, const struct sip_message *m, const struct flow *from, bool timer, bool reliable)
{
	struct sip_uri uri;
	if (!sip_read_uri(m->request_uri, &uri) || !(uri.is_sip || bytes_equal_nocase(uri.scheme, BYTES("tel")))) {
		reply(s, m, from, 416, BYTES_NONE, BYTES_NONE);
		return true;
	}
	return refuse_require(s, m, from, timer, reliable) || refuse_body(s, m, from);
}
