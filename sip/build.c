#include "sip/build.h"

void build_number(struct builder *b, uint32_t number)
{
	char digits[10];
	unsigned n = sizeof digits;
	do
		digits[--n] = (char)('0' + number % 10);
	while (number /= 10);
	build_bytes(b, (struct bytes){ digits + n, (uint32_t)sizeof digits - n });
}

void build_status_line(struct builder *b, unsigned status, struct bytes reason)
{
	build_text(b, "SIP/2.0 ");
	build_number(b, status);
	build_text(b, " ");
	build_bytes(b, reason.size ? reason : bytes_of(sip_reason_phrase(status)));
	build_text(b, "\r\n");
}

/* A Via value without the parameter that `value` is the value of; `whole` is what is left to be written, from its
 * start. */
static void skip_parameter(struct builder *b, struct bytes *whole, struct bytes value)
{
	const char *at = value.at;
	if (!value.size || at < whole->at || at >= whole->at + whole->size)
		return;
	while (at > whole->at && *at != ';')
		at--;
	const char *end = value.at + value.size;
	build_bytes(b, (struct bytes){ whole->at, (uint32_t)(at - whole->at) });
	*whole = (struct bytes){ end, (uint32_t)(whole->at + whole->size - end) };
}

/* RFC 3581 4: the port goes into rport, and the address into received as soon as it differs from the sent-by host or
 * rport is asked for (RFC 3261 18.2.1).  Values that the sender put there itself are replaced. */
static void build_top_via(struct builder *b, const struct sip_message *request, const struct address *source)
{
	const struct sip_via *via = &request->via;
	char text[ADDRESS_TEXT_MAX];
	struct address sent_by;
	bool same_host = address_read_host(via->host, &sent_by) && address_same_host(&sent_by, source);
	bool rport_first = via->rport.at < via->received.at;
	struct bytes left = via->whole;

	skip_parameter(b, &left, rport_first ? via->rport : via->received);
	skip_parameter(b, &left, rport_first ? via->received : via->rport);
	build_bytes(b, left);
	if (via->has_rport) {
		build_text(b, ";rport=");
		build_number(b, source->port);
	}
	if (!same_host || via->has_rport) {
		build_text(b, ";received=");
		build_bytes(b, (struct bytes){ text, address_write_host(source, false, text) });
	}
}

static void build_vias(struct builder *b, const struct sip_message *request, const struct address *source)
{
	for (const struct sip_header *h = sip_header_first(request, SIP_H_VIA); h; h = sip_header_next(request, h)) {
		struct bytes value = sip_header_value(request, h);
		build_text(b, "Via: ");
		if (request->via.whole.at >= value.at && request->via.whole.at < value.at + value.size) {
			build_top_via(b, request, source);
			value.size -= (uint32_t)(request->via.whole.at + request->via.whole.size - value.at);
			value.at = request->via.whole.at + request->via.whole.size; /* the other values of the line */
		}
		build_bytes(b, value);
		build_text(b, "\r\n");
	}
}

/* A malformed request may lack what its answer should repeat. */
static void repeat(struct builder *b, const struct sip_message *request, enum sip_header_id id, const char *name)
{
	struct bytes value = sip_header(request, id);
	if (!value.size)
		return;
	build_bytes(b, bytes_of(name));
	build_bytes(b, value);
	build_text(b, "\r\n");
}

void build_response_head(struct builder *b, const struct sip_message *request, const struct address *source,
			 struct bytes to_tag, bool with_record_route)
{
	build_vias(b, request, source);
	if (with_record_route)
		for (const struct sip_header *h = sip_header_first(request, SIP_H_RECORD_ROUTE); h;
		     h = sip_header_next(request, h))
			build_header(b, "Record-Route: ", sip_header_value(request, h));
	repeat(b, request, SIP_H_FROM, "From: ");
	if (sip_header(request, SIP_H_TO).size) {
		build_text(b, "To: ");
		build_bytes(b, sip_header(request, SIP_H_TO));
		if (!request->to.tag.size && to_tag.size) {
			build_text(b, ";tag=");
			build_bytes(b, to_tag);
		}
		build_text(b, "\r\n");
	}
	repeat(b, request, SIP_H_CALL_ID, "Call-ID: ");
	repeat(b, request, SIP_H_CSEQ, "CSeq: ");
}

void build_timestamp(struct builder *b, struct bytes stamp, uint64_t waited_ns)
{
	uint32_t waited_ms = (uint32_t)(waited_ns / 1000000);
	uint32_t size = 0;
	char fraction[4] = { '.', (char)('0' + waited_ms / 100 % 10), (char)('0' + waited_ms / 10 % 10),
			     (char)('0' + waited_ms % 10) };
	if (!stamp.size)
		return;
	while (size < stamp.size && stamp.at[size] != ' ' && stamp.at[size] != '\t')
		size++; /* a delay that stands there already is of a hop before */
	build_text(b, "Timestamp: ");
	build_bytes(b, waited_ms ? (struct bytes){ stamp.at, size } : stamp);
	if (waited_ms) {
		build_text(b, " ");
		build_number(b, waited_ms / 1000);
		build_bytes(b, (struct bytes){ fraction, sizeof fraction });
	}
	build_text(b, "\r\n");
}

void build_content_headers(struct builder *b, const struct sip_message *m)
{
	if (!m->body.size)
		return;
	if (m->content_type.size)
		build_header(b, "Content-Type: ", m->content_type);
	struct bytes value;
	if ((value = sip_header(m, SIP_H_CONTENT_DISPOSITION)).size)
		build_header(b, "Content-Disposition: ", value);
	if ((value = sip_header(m, SIP_H_CONTENT_ENCODING)).size)
		build_header(b, "Content-Encoding: ", value);
	if ((value = sip_header(m, SIP_H_CONTENT_LANGUAGE)).size)
		build_header(b, "Content-Language: ", value);
	if ((value = sip_header(m, SIP_H_MIME_VERSION)).size)
		build_header(b, "MIME-Version: ", value);
}

void build_body(struct builder *b, struct bytes body)
{
	build_text(b, "Content-Length: ");
	build_number(b, body.size);
	build_text(b, "\r\n\r\n");
	build_bytes(b, body);
}

/* unreserved / user-unreserved */
static bool plain_in_user(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("-_.!~*'()&=+$,;?/", c));
}

void build_user(struct builder *b, struct bytes user)
{
	static const char hex[] = "0123456789ABCDEF";
	for (uint32_t i = 0; i < user.size; i++) {
		char c = user.at[i];
		if (plain_in_user(c)) {
			build_bytes(b, (struct bytes){ &c, 1 });
		} else {
			char escape[3] = { '%', hex[(unsigned char)c >> 4], hex[(unsigned char)c & 15] };
			build_bytes(b, (struct bytes){ escape, 3 });
		}
	}
}
