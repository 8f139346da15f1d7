/* Both ends of the calls of rwbench shard.  Requests are templates with holes, answers repeat the lines of the request:
 * as little work as there can be, so that a profile of the program shows the shard. */
#include <assert.h>
#include <stdio.h>

#include "bench/bench.h"
#include "bench/shard.h"

/* In a template: runs of one of these characters are filled in. */
#define NUMBER_HOLE  '\1' /* 16 hexadecimal digits of the call's number */
#define TOKEN_HOLE   '\2' /* IDENT_SIZE */
#define DIALLED_HOLE '\3' /* 9 random decimal digits, the same in all messages of a call */

#define NUMBER  "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define DIALLED "\3\3\3\3\3\3\3\3\3"
#define TOKEN   "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2"

static_assert(sizeof TOKEN - 1 == IDENT_SIZE, "one character a hole");

#define HOLES_MAX 16

struct template
{
	char text[PEER_MESSAGE_MAX];
	uint32_t size;
	unsigned holes;
	struct hole {
		char kind;
		uint32_t at;
	} hole[HOLES_MAX];
};

static struct {
	struct peer_settings settings;
	struct template invite, ack, bye, sdp;
} peer;

#define SWITCH "10.0.0.1:5060"

#define SDP_LINES(user, host)                                                                                          \
	"v=0\r\n"                                                                                                      \
	"o=" user " " NUMBER " 1 IN IP4 " host "\r\n"                                                                  \
	"s=-\r\nc=IN IP4 " host "\r\nt=0 0\r\n"                                                                        \
	"m=audio 40000 RTP/AVP 8 0 18 101\r\n"                                                                         \
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n"                                    \
	"a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"                              \
	"a=ptime:20\r\na=sendrecv\r\n"

#define ALLOW "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"

static const char invite_text[] = "INVITE sip:+880" DIALLED "@" SWITCH " SIP/2.0\r\n"
				  "Via: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKi" NUMBER ";rport\r\n"
				  "Max-Forwards: 70\r\n"
				  "From: <sip:+4930123456@10.1.0.1>;tag=c" NUMBER "\r\n"
				  "To: <sip:+880" DIALLED "@" SWITCH ">\r\n"
				  "Call-ID: " NUMBER "@10.1.0.1\r\n"
				  "CSeq: 1 INVITE\r\n"
				  "Contact: <sip:caller@10.1.0.1:5060>\r\n" ALLOW;
static const char timer_text[] = "Supported: timer\r\nSession-Expires: 1800\r\nMin-SE: 90\r\n";

#define IN_DIALOG(method, cseq, branch)                                                                                \
	method " sip:" TOKEN "@" SWITCH " SIP/2.0\r\n"                                                                 \
	       "Via: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bK" branch NUMBER ";rport\r\n"                              \
	       "Max-Forwards: 70\r\n"                                                                                  \
	       "From: <sip:+4930123456@10.1.0.1>;tag=c" NUMBER "\r\n"                                                  \
	       "To: <sip:+880" DIALLED "@" SWITCH ">;tag=" TOKEN "\r\n"                                                \
	       "Call-ID: " NUMBER "@10.1.0.1\r\n"                                                                      \
	       "CSeq: " cseq " " method "\r\nContent-Length: 0\r\n\r\n"

static const char ack_text[] = IN_DIALOG("ACK", "1", "a");
static const char bye_text[] = IN_DIALOG("BYE", "2", "b");
static const char caller_sdp[] = SDP_LINES("caller", "10.1.0.9");
static const char callee_sdp[] = SDP_LINES("callee", "10.2.0.9");

/* ---- templates ---- */

static void add(struct template *t, const char *text)
{
	size_t size = strlen(text);

	assert(t->size + size <= sizeof t->text);
	memcpy(t->text + t->size, text, size);
	t->size += (uint32_t)size;
}

static void find_holes(struct template *t)
{
	for (uint32_t i = 0; i < t->size; i++) {
		char c = t->text[i];

		if (c > DIALLED_HOLE || (i > 0 && c == t->text[i - 1]))
			continue;
		assert(t->holes < HOLES_MAX);
		t->hole[t->holes++] = (struct hole){ c, i };
	}
}

static void add_sdp(struct template *t, const char *sdp)
{
	char line[80];

	snprintf(line, sizeof line, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n", strlen(sdp));
	add(t, line);
	add(t, sdp);
}

void peer_init(const struct peer_settings *settings)
{
	memset(&peer, 0, sizeof peer);
	peer.settings = *settings;
	add(&peer.invite, invite_text);
	if (settings->timer)
		add(&peer.invite, timer_text);
	if (settings->sdp)
		add_sdp(&peer.invite, caller_sdp);
	else
		add(&peer.invite, "Content-Length: 0\r\n\r\n");
	add(&peer.ack, ack_text);
	add(&peer.bye, bye_text);
	add_sdp(&peer.sdp, callee_sdp);
	find_holes(&peer.invite);
	find_holes(&peer.ack);
	find_holes(&peer.bye);
	find_holes(&peer.sdp);
}

static void write_number(char *at, uint64_t number)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++, number <<= 4)
		at[i] = digits[number >> 60];
}

static void write_dialled(char *at, uint64_t number)
{
	struct bench_random random = { peer.settings.seed ^ number };
	uint64_t value = bench_random(&random);

	for (int i = 0; i < 9; i++, value /= 10)
		at[i] = (char)('0' + value % 10);
}

static uint32_t fill(const struct template *t, const struct peer_call *call, char *out)
{
	memcpy(out, t->text, t->size);
	for (unsigned i = 0; i < t->holes; i++) {
		char *at = out + t->hole[i].at;

		if (t->hole[i].kind == NUMBER_HOLE)
			write_number(at, call->number);
		else if (t->hole[i].kind == TOKEN_HOLE)
			memcpy(at, call->token, IDENT_SIZE);
		else
			write_dialled(at, call->number);
	}
	return t->size;
}

/* ---- the caller ---- */

uint32_t peer_invite(const struct peer_call *call, char *out)
{
	return fill(&peer.invite, call, out);
}

uint32_t peer_ack(const struct peer_call *call, char *out)
{
	return fill(&peer.ack, call, out);
}

uint32_t peer_bye(const struct peer_call *call, char *out)
{
	return fill(&peer.bye, call, out);
}

/* The next line, without its CRLF, of what is left of a header part; false at its end. */
static bool next_line(struct bytes *left, struct bytes *ret_line)
{
	const char *end = left->size > 2 ? memchr(left->at, '\n', left->size) : NULL;

	if (!end || end - left->at < 2)
		return false;
	*ret_line = (struct bytes){ left->at, (uint32_t)(end - left->at) - 1 };
	left->size -= ret_line->size + 2;
	left->at = end + 1;
	return true;
}

static const char *tag_of(struct bytes line)
{
	const char *tag = memmem(line.at, line.size, ";tag=", 5);

	return tag ? tag + 5 : NULL;
}

bool peer_learn(struct peer_call *call, struct bytes response)
{
	struct bytes line;

	while (next_line(&response, &line)) {
		if (memcmp(line.at, "To:", 3) != 0)
			continue;
		const char *tag = tag_of(line);
		if (!tag || line.at + line.size - tag < IDENT_SIZE)
			return false;
		memcpy(call->token, tag, IDENT_SIZE);
		return true;
	}
	return false;
}

/* ---- answers ---- */

static void put(char **at, const char *text, size_t size)
{
	memcpy(*at, text, size);
	*at += size;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static void put_status_line(char **at, enum shard_step step)
{
	if (step == STEP_TRYING)
		PUT(at, "SIP/2.0 100 Trying\r\n");
	else if (step == STEP_RINGING)
		PUT(at, "SIP/2.0 180 Ringing\r\n");
	else
		PUT(at, "SIP/2.0 200 OK\r\n");
}

/* What is repeated of the request.  The tag of this end is made of the Call-ID, so that it need not be remembered. */
static void put_head(char **at, struct bytes request, bool tag)
{
	struct bytes line, to = BYTES_NONE;

	while (next_line(&request, &line)) {
		const char *name = line.at;

		if (memcmp(name, "Via:", 4) != 0 && memcmp(name, "From:", 5) != 0 && memcmp(name, "CSeq:", 5) != 0 &&
		    memcmp(name, "Call-ID:", 8) != 0) {
			if (memcmp(name, "To:", 3) == 0)
				to = line;
			continue;
		}
		put(at, line.at, line.size + 2);
		if (memcmp(name, "Call-ID:", 8) != 0)
			continue;
		put(at, to.at, to.size);
		if (tag && !tag_of(to)) {
			PUT(at, ";tag=b");
			put(at, line.at + 9, line.size - 9);
		}
		PUT(at, "\r\n");
	}
}

static void put_callee_sdp(char **at, struct bytes request)
{
	struct peer_call call = { .number = 0 };
	const char *id = memmem(request.at, request.size, "Call-ID: ", 9);

	memcpy(&call.number, id + 9 + 8, sizeof call.number); /* behind the marker: differs from call to call */
	*at += fill(&peer.sdp, &call, *at);
}

uint32_t peer_answer(struct bytes request, enum shard_step step, bool caller, char *out)
{
	char *at = out;
	bool target = step == STEP_RINGING || step == STEP_ANSWER || step == STEP_REFRESH;
	bool timed = peer.settings.timer && (step == STEP_ANSWER || step == STEP_REFRESH);

	put_status_line(&at, step);
	put_head(&at, request, step != STEP_TRYING);
	if (target && caller)
		PUT(&at, "Contact: <sip:caller@10.1.0.1:5060>\r\n" ALLOW);
	else if (target)
		PUT(&at, "Contact: <sip:callee@10.2.0.1:5060>\r\n" ALLOW);
	if (timed)
		PUT(&at, "Require: timer\r\nSession-Expires: 600;refresher=uac\r\n");
	if (step == STEP_ANSWER && peer.settings.sdp)
		put_callee_sdp(&at, request);
	else
		PUT(&at, "Content-Length: 0\r\n\r\n");
	return (uint32_t)(at - out);
}
