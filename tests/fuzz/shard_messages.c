/* Datagrams made from the fuzzer's bytes: see shard_messages.h. */
#include "tests/fuzz/shard_messages.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What of a message is a choice, eight bits at a time. */
enum {
	WITH_BODY = 1 << 0,
	OTHER_BODY = 1 << 1,
	WITH_ROUTES = 1 << 2,
	WITH_TIMER = 1 << 3,
	WITH_INTERVAL = 1 << 4,
	WITH_100REL = 1 << 5,
	WITHOUT_CONTACT = 1 << 6,
	WITH_LINE = 1 << 7, /* one of those below */
};

static const char *const lines[] = {
	"Require: 100rel\r\n",
	"Require: timer, foo\r\n",
	"Min-SE: 60\r\n",
	"Min-SE: 90000\r\n",
	"Session-Expires: 5\r\n",
	"Session-Expires: 0;refresher=uas\r\n",
	"Session-Expires: x\r\n",
	"Retry-After: 1\r\n",
	"Retry-After: 4000000000\r\n",
	"Allow: INVITE, UPDATE\r\n",
	"Allow: INVITE\r\n",
	"Reason: Q.850;cause=17\r\n",
	"RSeq: 1\r\nRequire: 100rel\r\n",
	"RSeq: 4294967295\r\nRequire: 100rel\r\n",
	"RAck: 1 1 INVITE\r\n",
	"P-Asserted-Identity: <sip:123@192.0.2.1>, <tel:+456>\r\n",
	"Privacy: id\r\n",
	"Refer-To: <sip:x@192.0.2.7?Replaces=a>\r\n",
	"Event: refer\r\nSubscription-State: active\r\n",
	"Content-Disposition: session;handling=optional\r\n",
	"Contact: *\r\n",
	"Contact: <sip:elsewhere.example>\r\n",
	"Contact: <sip:[2001:db8::1]:5060>\r\n",
	"Record-Route: <sip:192.0.2.3;lr>,\r\n <sip:h.example>\r\n",
	"Route: <sip:192.0.2.9;lr>\r\n",
	"Timestamp: 1.5 0.2\r\n",
	"Subject: folded\r\n twice\r\n\tover\r\n",
	"Proxy-Require: foo\r\n",
	"Remote-Party-ID: \"x\" <sip:9@h>;party=calling\r\n",
	"Diversion: <sip:8@h>;reason=no-answer\r\n",
	"Expires: 1\r\n",
	"Max-Forwards: 0\r\n",
	"RSeq: 2\r\nRequire: 100rel\r\n",
};

static const char *const bodies[] = { "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 0\r\n",
				      "v=0\r\no=b 2 2 IN IP4 192.0.2.2\r\nm=audio 2 RTP/AVP 8\r\na=sendonly\r\n" };

static void finish(struct builder *b, struct fuzz_input *in, unsigned with)
{
	static const char *const types[] = { "application/sdp", "application/sdp ;x=y", "multipart/mixed;boundary=b",
					     "text/plain" };
	if (with & WITH_ROUTES)
		build_text(b, "Record-Route: <sip:192.0.2.3;lr>, <sip:192.0.2.4>\r\n");
	if (with & WITH_TIMER)
		build_text(b, "Supported: timer\r\n");
	if (with & WITH_100REL)
		build_text(b, "k: 100rel\r\n");
	if (with & WITH_INTERVAL)
		build_text(b, "Session-Expires: 90;refresher=uac\r\n");
	if (with & WITH_LINE)
		build_bytes(b, bytes_of(lines[fuzz_byte(in) % COUNT(lines)]));
	if (!(with & WITHOUT_CONTACT))
		build_text(b, "Contact: <sip:a@192.0.2.5:5062>\r\n");
	if (!(with & WITH_BODY)) {
		build_body(b, BYTES_NONE);
		return;
	}
	build_text(b, "Content-Type: ");
	build_bytes(b, bytes_of(types[with & OTHER_BODY ? fuzz_byte(in) % COUNT(types) : 0]));
	build_text(b, "\r\n");
	build_body(b, bytes_of(bodies[with & OTHER_BODY ? 1 : 0]));
}

static const enum sip_method methods[] = { SIP_INVITE, SIP_BYE,   SIP_UPDATE,  SIP_INFO,     SIP_PRACK,  SIP_MESSAGE,
					   SIP_NOTIFY, SIP_REFER, SIP_OPTIONS, SIP_ACK,      SIP_CANCEL, SIP_REGISTER,
					   SIP_INVITE, SIP_BYE,   SIP_ACK,     SIP_SUBSCRIBE };

/* number, branch | method, callee, with */
void messages_initial(struct builder *b, struct fuzz_input *in)
{
	static const char *const callees[] = { "sip:+881@192.0.2.9",      "sip:88%32@192.0.2.9;user=phone",
					       "sip:77@192.0.2.9",        "tel:+88-3;phone-context=x",
					       "sip:192.0.2.9",           "sips:884@192.0.2.9:5061",
					       "sip:88(5)@h.example?a=b", "urn:service:sos" };
	unsigned number = fuzz_byte(in) % 12, kind = fuzz_byte(in);
	struct bytes callee = bytes_of(callees[fuzz_byte(in) % COUNT(callees)]);
	struct bytes method = sip_method_name(methods[kind >> 4 & 1 ? kind % 16 : 0]);
	unsigned with = fuzz_byte(in);
	build_bytes(b, method);
	build_text(b, " ");
	build_bytes(b, callee);
	build_text(b, " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bKi");
	build_number(b, number * 4 + (kind >> 5 & 3)); /* others than 0: merged requests */
	build_text(b, "\r\nMax-Forwards: 20\r\nFrom: <sip:12@192.0.2.1>;tag=f");
	build_number(b, number);
	build_text(b, "\r\nTo: <sip:88@192.0.2.9>\r\nCall-ID: c");
	build_number(b, number);
	build_text(b, "@192.0.2.1\r\nCSeq: ");
	build_number(b, 1 + (kind >> 7));
	build_text(b, " ");
	build_bytes(b, method);
	build_text(b, "\r\n");
	finish(b, in, with);
}

static const struct sip_message *message_of_node(const struct world *w, unsigned age, bool request)
{
	static char scratch[SIP_SCRATCH_BYTES];
	static struct sip_message m;
	struct sip_refusal refusal;
	for (unsigned tries = 0; tries < WORLD_KEPT; tries++, age++) {
		const struct world_text *text = world_text(&w->sent, age);
		if (!text || sip_message_read((struct bytes){ text->bytes, (uint32_t)text->size }, scratch, &m,
					      &refusal) != SIP_READ_OK)
			continue;
		if (!request || (m.is_request && m.method != SIP_ACK))
			return &m;
	}
	return NULL;
}

/* age, status, tag, with */
void messages_answer(struct builder *b, struct fuzz_input *in, const struct world *w)
{
	static const uint16_t statuses[] = { 200, 180, 183, 100, 200, 202, 302, 401, 404, 408, 422, 481,
					     486, 487, 491, 500, 503, 603, 407, 420, 405, 501, 199, 299 };
	static const char *const tags[] = { "r1", "r1", "r2", "r3", "", "f1" };
	const struct address source = { .family = 4, .port = 5060, .ip = { 192, 0, 2, 9 } };
	const struct sip_message *m = message_of_node(w, fuzz_byte(in), true);
	unsigned status = statuses[fuzz_byte(in) % COUNT(statuses)];
	struct bytes tag = bytes_of(tags[fuzz_byte(in) % COUNT(tags)]);
	unsigned with = fuzz_byte(in);
	if (!m)
		return;
	build_status_line(b, status, BYTES_NONE);
	build_response_head(b, m, &source, tag, with & WITH_ROUTES);
	finish(b, in, with & ~(unsigned)WITH_ROUTES);
}

/* Of the reliable response that the node sent; how & 0x40: of the one after it. */
static void build_rack(struct builder *b, const struct sip_message *m, unsigned how)
{
	struct bytes rseq = sip_header(m, SIP_H_RSEQ);
	uint32_t number = 0;
	if (!rseq.size || !sip_read_number(rseq, &number))
		return;
	build_text(b, "RAck: ");
	build_number(b, number + (how >> 6 & 1));
	build_text(b, " ");
	build_number(b, m->cseq);
	build_text(b, " INVITE\r\n");
}

/* age, method, how, with.  The node's request gives the dialog seen from its receiver, a response that from its
 * receiver, too. */
void messages_in_dialog(struct builder *b, struct fuzz_input *in, const struct world *w)
{
	const struct sip_message *m = message_of_node(w, fuzz_byte(in), false);
	enum sip_method method = methods[fuzz_byte(in) % COUNT(methods)];
	unsigned how = fuzz_byte(in), with = fuzz_byte(in);
	if (!m)
		return;
	bool turned = m->is_request, same = method == SIP_ACK || method == SIP_CANCEL;
	build_bytes(b, sip_method_name(method));
	build_text(b, " sip:x@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=");
	if (same && m->via.branch.size && how & 1) {
		build_bytes(b, m->via.branch);
	} else {
		build_text(b, "z9hG4bKd");
		build_number(b, how);
	}
	build_text(b, "\r\nMax-Forwards: 70\r\n");
	build_header(b, "From: ", sip_header(m, turned ? SIP_H_TO : SIP_H_FROM));
	if (turned && !m->to.tag.size && how & 2 && !b->overflow && build_size(b) > 2)
		b->at -= 2, build_text(b, ";tag=r1\r\n");
	build_header(b, "To: ", sip_header(m, turned ? SIP_H_FROM : SIP_H_TO));
	build_header(b, "Call-ID: ", m->call_id);
	build_text(b, "CSeq: ");
	build_number(b, same ? m->cseq : m->cseq + (how >> 2 & 7) - 1);
	build_text(b, " ");
	build_bytes(b, sip_method_name(method));
	build_text(b, "\r\n");
	if (method == SIP_PRACK && how & 0x20)
		build_rack(b, m, how);
	finish(b, in, with);
}

static struct bytes value_of(const struct sip_message *m, char name)
{
	switch (name) {
	case 'B':
		return m->via.branch;
	case 'C':
		return m->call_id;
	case 'F':
		return m->from.whole;
	case 'T':
		return m->to.whole;
	case 'f':
		return m->from.tag;
	case 't':
		return m->to.tag;
	case 'V':
		return m->via.whole;
	case 'U':
		return m->contact.uri;
	default:
		return BYTES_NONE;
	}
}

/* age, size in two bytes, text */
void messages_text(struct builder *b, struct fuzz_input *in, const struct world *w)
{
	const struct sip_message *m = message_of_node(w, fuzz_byte(in), false);
	const uint8_t *text;
	size_t size = fuzz_bytes(in, fuzz_word(in), &text);
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '$' || i + 1 == size || !m) {
			build_bytes(b, (struct bytes){ (const char *)text + i, 1 });
			continue;
		}
		i++;
		if (text[i] == 'Q')
			build_number(b, m->cseq);
		else
			build_bytes(b, value_of(m, (char)text[i]));
	}
}

/* count, then of each: where (two bytes), how much is cut, how much put in, and that */
size_t messages_mutate(char *bytes, size_t size, size_t room, struct fuzz_input *in)
{
	for (unsigned count = 1 + fuzz_byte(in) % 4; count; count--) {
		size_t at = fuzz_word(in) % (size + 1), cut = fuzz_byte(in) % 24;
		const uint8_t *put;
		size_t put_size = fuzz_bytes(in, fuzz_byte(in) % 40, &put);
		cut = cut < size - at ? cut : size - at;
		if (size - cut + put_size > room)
			continue;
		memmove(bytes + at + put_size, bytes + at + cut, size - at - cut);
		if (put_size)
			memcpy(bytes + at, put, put_size);
		size = size - cut + put_size;
	}
	return size;
}
