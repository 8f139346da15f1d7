/* Calls as they stand on the wire, header by header: what of RFC 3261 and its kin the user agents of tests/sim never
 * say.  Spec 4. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/call/state.h"
#include "lone.h"

#define A  "192.0.2.1:5060"
#define A6 "[2001:db8::1]:5060"
#define B  "192.0.2.2:5060"
#define B6 "[2001:db8::2]:5060"

#define CALLEE_ON_IPV6                                                                                                 \
	"mapping_gateway \"m\" { address = {\"192.0.2.1\", \"[2001:db8::1]\"} }\n"                                     \
	"routing_gateway \"r\" { address = \"[2001:db8::2]:5060\" prefix = {\"880\"} listen = \"six\" }\n"

/* ---- what is said ---- */

static void feed(struct lone *l, const char *from, const char *text)
{
	struct flow flow = lone_flow(from);
	lone_feed(l, &flow, bytes_of(text));
}

__attribute__((format(printf, 3, 4))) static void say(struct lone *l, const char *from, const char *format, ...)
{
	static char text[16384];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	cr_assert(size > 0 && size < (int)sizeof text);
	feed(l, from, text);
}

/* A header's value: the first line of that name, behind the n-th; "": none.  Lent until four more were. */
static const char *nth_header(const char *text, const char *name, unsigned n)
{
	static char values[8][2048];
	static unsigned turn;
	char line[64], *value = values[turn++ % 8];
	const char *at = text, *end = strstr(text, "\r\n\r\n");
	snprintf(line, sizeof line, "\r\n%s: ", name);
	do {
		at = strstr(at + 1, line);
		if (!at || at > end)
			return "";
	} while (n--);
	at += strlen(line);
	snprintf(value, sizeof values[0], "%.*s", (int)strcspn(at, "\r"), at);
	return value;
}

static const char *header(const char *text, const char *name)
{
	return nth_header(text, name, 0);
}

/* Where an answer goes on: From the first Via to CSeq, as the request had them. */
static void answer(struct lone *l, const char *from, const char *request, const char *status, const char *lines,
		   const char *body)
{
	char vias[2048] = "", head[4096], copy[8192];
	snprintf(copy, sizeof copy, "%s", request); /* the shard sends while it is being answered */
	for (unsigned n = 0; *nth_header(copy, "Via", n); n++)
		snprintf(vias + strlen(vias), sizeof vias - strlen(vias), "Via: %s\r\n", nth_header(copy, "Via", n));
	snprintf(head, sizeof head, "%sFrom: %s\r\nTo: %s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n", vias, header(copy, "From"),
		 header(copy, "To"), strstr(header(copy, "To"), ";tag=") || *status == '1' ? "" : ";tag=b1",
		 header(copy, "Call-ID"), header(copy, "CSeq"));
	say(l, from, "SIP/2.0 %s\r\n%s%sContent-Length: %zu\r\n\r\n%s", status, head, lines, strlen(body), body);
}

/* ---- what is heard ---- */

/* The latest message whose start line begins so, and where it went; NULL: none since the mark. */
static const struct lone_sent *heard(const struct lone *l, unsigned mark, const char *start)
{
	for (unsigned n = l->sent_count; n-- > mark;)
		if (strncmp(lone_sent(l, n)->text, start, strlen(start)) == 0)
			return lone_sent(l, n);
	return NULL;
}

static const char *text_of(const struct lone *l, unsigned mark, const char *start)
{
	const struct lone_sent *sent = heard(l, mark, start);
	cr_assert(sent, "no %s", start);
	return sent->text;
}

static void assert_went(const struct lone_sent *sent, const char *where)
{
	char address[ADDRESS_TEXT_MAX];
	cr_assert(sent);
	address_write(&sent->to.peer, address);
	cr_assert_str_eq(address, where);
}

#define assert_header(text, name, value)                                                                               \
	cr_assert_str_eq(header((text), name), value, "%s: \"%s\", not \"%s\" in\n%s", name, header((text), name),     \
			 value, (text))

static const char *body_of(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	cr_assert(end);
	return end + 4;
}

/* ---- calls ---- */

#define SDP "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\n"

static void invite_to(struct lone *l, const char *from, const char *uri, const char *via, const char *lines,
		      const char *body)
{
	static unsigned calls;
	say(l, from,
	    "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-i%u\r\nMax-Forwards: 70\r\n"
	    "From: \"A\" <sip:+4930@%s>;tag=a%u\r\nTo: <sip:880171@node>\r\nCall-ID: call-%u\r\nCSeq: 7 INVITE\r\n"
	    "%sContent-Length: %zu\r\n\r\n%s",
	    uri, via, calls, from, calls, calls, lines, strlen(body), body);
	calls++;
}

#define CONTACT_A "Contact: <sip:a@192.0.2.1:5070>\r\n"
#define TYPE_SDP  "Content-Type: application/sdp\r\n"

/* A call whose dialogs are known to both sides. */
struct dialogs {
	struct lone *l;
	const char *a, *b;                       /* addresses */
	char call_a[64], from_a[256], to_a[256]; /* as A says them */
	char call_b[64], from_b[256], to_b[256]; /* as B says them: from_b is itself */
	char target_a[256], target_b[256];       /* our Contacts, as A and B know them */
	unsigned cseq_a, cseq_b;
};

static void copy_uri(char out[static 256], const char *contact)
{
	sscanf(contact, "<%255[^>]", out);
}

static void answer_call(struct dialogs *d, const char *invite, const char *lines)
{
	struct lone *l = d->l;
	unsigned mark = l->sent_count;
	char request[8192];
	snprintf(request, sizeof request, "%s", invite);
	answer(l, d->b, request, "200 OK", lines, SDP);
	snprintf(d->call_b, sizeof d->call_b, "%s", header(request, "Call-ID"));
	snprintf(d->from_b, sizeof d->from_b, "%s;tag=b1", header(request, "To"));
	snprintf(d->to_b, sizeof d->to_b, "%s", header(request, "From"));
	copy_uri(d->target_b, header(request, "Contact"));
	const char *ok = text_of(l, mark, "SIP/2.0 200");
	snprintf(d->call_a, sizeof d->call_a, "%s", header(ok, "Call-ID"));
	snprintf(d->from_a, sizeof d->from_a, "%s", header(ok, "From"));
	snprintf(d->to_a, sizeof d->to_a, "%s", header(ok, "To"));
	copy_uri(d->target_a, header(ok, "Contact"));
	d->cseq_a = 7;
	d->cseq_b = 100;
	say(l, d->a,
	    "ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-ack\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\n"
	    "Call-ID: %s\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n",
	    d->target_a, d->a, d->from_a, d->to_a, d->call_a);
}

static struct dialogs call_up(struct lone *l, const char *a, const char *b, const char *lines_a, const char *lines_b)
{
	struct dialogs d = { .l = l, .a = a, .b = b };
	char lines[4096];
	unsigned mark = l->sent_count;
	snprintf(lines, sizeof lines, "%s%s", lines_a, TYPE_SDP);
	invite_to(l, a, "sip:880171@node", a, lines, SDP);
	snprintf(lines, sizeof lines, "%s%s", lines_b, TYPE_SDP);
	answer_call(&d, text_of(l, mark, "INVITE"), lines);
	return d;
}

#define CONTACT_B "Contact: <sip:b@192.0.2.2:5080>\r\n"

static struct dialogs usual_call(struct lone *l)
{
	return call_up(l, A, B, CONTACT_A, CONTACT_B);
}

static void request_of(struct dialogs *d, bool by_b, const char *method, const char *lines, const char *body)
{
	static unsigned branches;
	say(d->l, by_b ? d->b : d->a,
	    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-r%u;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\n"
	    "To: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n%sContent-Length: %zu\r\n\r\n%s",
	    method, by_b ? d->target_b : d->target_a, by_b ? d->b : d->a, branches++, by_b ? d->from_b : d->from_a,
	    by_b ? d->to_b : d->to_a, by_b ? d->call_b : d->call_a, by_b ? ++d->cseq_b : ++d->cseq_a, method, lines,
	    strlen(body), body);
}

/* A hangs up, B answers; nothing is left. */
static void over(struct dialogs *d)
{
	struct lone *l = d->l;
	unsigned mark = l->sent_count;
	request_of(d, false, "BYE", "", "");
	answer(l, d->b, text_of(l, mark, "BYE"), "200 OK", "", "");
	cr_assert(heard(l, mark, "SIP/2.0 200"));
	lone_settle(l);
	lone_destroy(l);
}

/* ---- 8.2: what is refused, and what the answers say ---- */

static void options(struct lone *l, const char *uri, const char *lines)
{
	static unsigned count;
	say(l, A,
	    "OPTIONS %s SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-o%u\r\nMax-Forwards: 70\r\n"
	    "From: <sip:a@h>;tag=o%u\r\nTo: <sip:b@h>\r\nCall-ID: o%u\r\nCSeq: 1 OPTIONS\r\n%sContent-Length: "
	    "0\r\n\r\n",
	    uri, count, count, count, lines);
	count++;
}

Test(rfc3261_11_2, options_are_answered_with_what_we_take)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	options(l, "sip:node", "");
	const char *ok = text_of(l, 0, "SIP/2.0 200");
	cr_assert(strstr(header(ok, "Allow"), "UPDATE") && strstr(header(ok, "Allow"), "REFER"));
	cr_assert(strstr(header(ok, "Supported"), "timer"));
	cr_assert(strstr(header(ok, "Accept"), "application/sdp"));
	lone_destroy(l);
}

Test(rfc3261_8_2_2_1, another_scheme_gets_416_and_tel_is_known)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	options(l, "soap.beep://192.0.2.9:3002", "");
	cr_assert(heard(l, 0, "SIP/2.0 416"));
	invite_to(l, A, "nobodyKnowsThisScheme:totallyopaquecontent", A, CONTACT_A, "");
	cr_assert(heard(l, 1, "SIP/2.0 416"));
	options(l, "tel:+88017", "");
	cr_assert(heard(l, 2, "SIP/2.0 200"));
	lone_destroy(l);
}

/* 8.2.2.3: Require is for us, Proxy-Require is not; ACK and CANCEL are never refused for it. */
Test(rfc3261_8_2_2_3, require_gets_420_but_not_in_cancel)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	options(l, "sip:node", "Require: nothing, timer, more\r\nProxy-Require: other\r\n");
	assert_header(text_of(l, 0, "SIP/2.0 420"), "Unsupported", "nothing, more");
	options(l, "sip:node", "Proxy-Require: other\r\n");
	cr_assert(heard(l, 1, "SIP/2.0 200"));
	unsigned mark = l->sent_count;
	invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
	const char *trying = text_of(l, mark, "SIP/2.0 100");
	char call_id[64], from[128], branch[256];
	snprintf(call_id, sizeof call_id, "%s", header(trying, "Call-ID"));
	snprintf(from, sizeof from, "%s", header(trying, "From"));
	snprintf(branch, sizeof branch, "%s", strstr(header(trying, "Via"), "branch="));
	branch[strcspn(branch, ";")] = '\0';
	say(l, A,
	    "CANCEL sip:880171@node SIP/2.0\r\nVia: SIP/2.0/UDP " A ";%s\r\nMax-Forwards: 70\r\nFrom: %s\r\n"
	    "To: <sip:880171@node>\r\nCall-ID: %s\r\nCSeq: 7 CANCEL\r\nRequire: nothing\r\nContent-Length: 0\r\n\r\n",
	    branch, from, call_id);
	cr_assert(heard(l, mark, "SIP/2.0 200"));
	cr_assert(heard(l, mark, "SIP/2.0 487"));
	lone_settle(l);
	lone_destroy(l);
}

Test(rfc3261_8_2_1, another_method_gets_405_with_allow)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	static const char *const methods[] = { "REGISTER", "SUBSCRIBE", "PUBLISH", "invite", "NEWMETHOD" };
	for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++) {
		unsigned mark = l->sent_count;
		say(l, A,
		    "%s sip:node SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bKm%u\r\nFrom: <sip:a@h>;tag=m\r\n"
		    "To: <sip:b@h>\r\nCall-ID: m%u\r\nCSeq: 1 %s\r\n\r\n",
		    methods[i], i, i, methods[i]);
		cr_assert(strstr(header(text_of(l, mark, "SIP/2.0 405"), "Allow"), "INVITE"), "%s", methods[i]);
	}
	struct dialogs d = usual_call(l);
	unsigned mark = l->sent_count;
	request_of(&d, false, "PUBLISH", "", "");
	cr_assert(strstr(header(text_of(l, mark, "SIP/2.0 405"), "Allow"), "INVITE"));
	over(&d);
}

/* 8.2.3, 20.11: what is neither SDP nor multipart is refused unless it may be left aside. */
Test(rfc3261_8_2_3, a_body_that_must_be_understood_gets_415)
{
	static const struct {
		const char *lines;
		bool refused;
	} forms[] = {
		{ "Content-Type: application/x-unknown\r\n", true },
		{ "Content-Type: application/x-unknown\r\nContent-Disposition: render\r\n", true },
		{ "Content-Type: application/x-unknown\r\nContent-Disposition: render;handling=required\r\n", true },
		{ "Content-Type: application/x-unknown\r\nContent-Disposition: render ; Handling = OPTIONAL\r\n",
		  false },
		{ "c: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling=optional\r\n", false },
		{ "Content-Type: Application/SDP ;charset=x\r\nContent-Disposition: session;handling=required\r\n",
		  false },
		{ "Content-Type: multipart/mixed;boundary=x\r\n", false },
		{ "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", false },
	};
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
		char lines[512];
		unsigned mark = l->sent_count;
		snprintf(lines, sizeof lines, CONTACT_A "%s", forms[i].lines);
		invite_to(l, A, "sip:880171@node", A, lines, "what?");
		if (forms[i].refused) {
			cr_assert(strstr(header(text_of(l, mark, "SIP/2.0 415"), "Accept"), "application/sdp"));
			cr_assert_not(heard(l, mark, "INVITE"), "%s", forms[i].lines);
		} else {
			cr_assert_str_eq(body_of(text_of(l, mark, "INVITE")), "what?");
		}
	}
	lone_settle(l);
	lone_destroy(l);
}

/* 8.2.2.2: the same request by two ways; and one that has been here before, however deep our Via lies (16.3). */
Test(rfc3261_8_2_2_2, merged_requests_and_loops_get_482)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	static const char merged[] =
		"INVITE sip:880171@node SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-%s\r\n"
		"From: <sip:1@h>;tag=1\r\nTo: <sip:2@h>\r\nCall-ID: merged\r\nCSeq: 1 INVITE\r\n" CONTACT_A "\r\n";
	char text[1024];
	for (unsigned i = 0; i < 2; i++) {
		snprintf(text, sizeof text, merged, i ? "two" : "one");
		feed(l, A, text);
	}
	const char *refusal = text_of(l, 0, "SIP/2.0 482");
	cr_assert(strstr(header(refusal, "Via"), "z9hG4bK-two"));
	const char *invite = text_of(l, 0, "INVITE");
	char ours[256];
	snprintf(ours, sizeof ours, "%s", header(invite, "Via"));
	unsigned mark = l->sent_count;
	char lines[1024];
	snprintf(lines, sizeof lines, CONTACT_A "Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx, %s\r\n", ours);
	invite_to(l, A, "sip:880171@node", A, lines, "");
	cr_assert(heard(l, mark, "SIP/2.0 482"));
	cr_assert_not(heard(l, mark, "INVITE"));
	lone_settle(l);
	cr_assert_eq(l->cdr_count, 1);
	lone_destroy(l);
}

/* What an upstream switch or proxy that searches its routes one after the other says on one of them. */
static void fork_says(struct lone *l, const char *method, const char *branch, const char *to)
{
	say(l, A,
	    "%s sip:880171@node SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-%s\r\nMax-Forwards: 70\r\n"
	    "From: <sip:1@h>;tag=1\r\nTo: %s\r\nCall-ID: fork\r\nCSeq: 1 %s\r\n" CONTACT_A "Content-Length: 0\r\n\r\n",
	    method, branch, to, method);
}

#define FORK_TO "<sip:2@h>"

/* Its INVITE on a route, which B refuses, and its ACK. */
static void fork_fails(struct lone *l, const char *branch, char to[static 256])
{
	unsigned mark = l->sent_count;
	fork_says(l, "INVITE", branch, FORK_TO);
	answer(l, B, text_of(l, mark, "INVITE"), "486 Busy Here", "", "");
	snprintf(to, 256, "%s", header(text_of(l, mark, "SIP/2.0 486"), "To"));
	fork_says(l, "ACK", branch, to);
}

/* What it says is answered at once, so, with this To (NULL: whatever), and in no other way. */
static void assert_fork(struct lone *l, const char *method, const char *branch, const char *status, const char *to)
{
	unsigned mark = l->sent_count;
	fork_says(l, method, branch, FORK_TO);
	cr_assert_eq(l->sent_count, mark + 1, "%s %s", method, branch);
	const char *text = text_of(l, mark, status);
	if (to)
		assert_header(text, "To", to);
}

/* 8.2.2.2 is about ongoing transactions: one that has failed has made room for the next route, which may lead here,
 * too.  Each goes on being answered as it was. */
Test(rfc3261_8_2_2_2, the_next_route_of_a_sequential_fork_is_no_merged_request)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	char one[256], two[256], four[256];
	fork_fails(l, "one", one);
	fork_fails(l, "two", two);
	cr_assert_str_neq(one, two);
	assert_fork(l, "INVITE", "one", "SIP/2.0 486", one);
	assert_fork(l, "INVITE", "two", "SIP/2.0 486", two);
	unsigned mark = l->sent_count;
	fork_says(l, "INVITE", "three", FORK_TO);
	cr_assert(heard(l, mark, "INVITE"));
	assert_fork(l, "INVITE", "one", "SIP/2.0 486", one);
	assert_fork(l, "CANCEL", "two", "SIP/2.0 200", two); /* too late, and not of the call that goes on */
	assert_fork(l, "CANCEL", "other", "SIP/2.0 481", NULL);
	assert_fork(l, "INVITE", "three", "SIP/2.0 100", NULL);
	assert_fork(l, "INVITE", "four", "SIP/2.0 482", NULL);
	mark = l->sent_count;
	fork_says(l, "CANCEL", "three", FORK_TO);
	cr_assert(heard(l, mark, "SIP/2.0 200"));
	fork_says(l, "ACK", "three", header(text_of(l, mark, "SIP/2.0 487"), "To"));
	fork_fails(l, "four", four);
	assert_fork(l, "INVITE", "two", "SIP/2.0 486", two);
	assert_fork(l, "INVITE", "four", "SIP/2.0 486", four);
	lone_settle(l);
	cr_assert_eq(l->cdr_count, 4);
	lone_destroy(l);
}

/* A gateway that tries for ever makes no chain of what is remembered: after some failures each new branch is a merged
 * request, until the first ones are forgotten.  Other calls of it go on, and each branch is answered as it was. */
Test(rfc3261_8_2_2_2, a_request_that_failed_on_many_branches_is_a_loop)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	char to[TABLE_KEY_MAX][256], branch[16];
	for (unsigned i = 0; i < TABLE_KEY_MAX; i++) {
		snprintf(branch, sizeof branch, "%u", i);
		fork_fails(l, branch, to[i]);
	}
	for (unsigned i = TABLE_KEY_MAX; i < 100; i++) {
		snprintf(branch, sizeof branch, "%u", i);
		assert_fork(l, "INVITE", branch, "SIP/2.0 482 Loop Detected", NULL);
	}
	cr_assert_eq(table_buried(&l->shard->table), TABLE_KEY_MAX, "nothing is remembered of them");
	for (unsigned i = 0; i < TABLE_KEY_MAX; i++) {
		snprintf(branch, sizeof branch, "%u", i);
		assert_fork(l, "INVITE", branch, "SIP/2.0 486", to[i]);
	}
	unsigned mark = l->sent_count;
	invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
	answer(l, B, text_of(l, mark, "INVITE"), "486 Busy Here", "", "");
	cr_assert(heard(l, mark, "SIP/2.0 486"));
	lone_run(l, 33 * LONE_S);
	fork_fails(l, "late", to[0]);
	lone_settle(l);
	cr_assert_eq(l->cdr_count, TABLE_KEY_MAX + 2);
	lone_destroy(l);
}

Test(rfc3261_8_2_2_2, another_route_to_a_call_that_is_up_is_a_merged_request)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	char one[256], to[256];
	fork_fails(l, "one", one);
	fork_says(l, "INVITE", "two", FORK_TO);
	answer(l, B, text_of(l, 0, "INVITE"), "200 OK", CONTACT_B TYPE_SDP, SDP);
	assert_fork(l, "INVITE", "three", "SIP/2.0 482", NULL);
	snprintf(to, sizeof to, "%s", header(text_of(l, 0, "SIP/2.0 200"), "To"));
	fork_says(l, "ACK", "ack", to);
	assert_fork(l, "INVITE", "three", "SIP/2.0 482", NULL);
	assert_fork(l, "INVITE", "one", "SIP/2.0 486", one);
	unsigned mark = l->sent_count;
	say(l, A,
	    "BYE sip:n SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-b\r\nFrom: <sip:1@h>;tag=1\r\nTo: %s\r\n"
	    "Call-ID: fork\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
	    to);
	answer(l, B, text_of(l, mark, "BYE"), "200 OK", "", "");
	assert_fork(l, "INVITE", "three", "SIP/2.0 482", NULL);
	lone_settle(l);
	lone_destroy(l);
}

/* ---- 8.2.6.1: Timestamp ---- */

Test(rfc3261_8_2_6_1, a_100_has_the_timestamp_of_its_request)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	static const char again[] =
		"INVITE sip:880171@node SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-t\r\n"
		"From: <sip:1@h>;tag=1\r\nTo: <sip:2@h>\r\nCall-ID: stamp\r\nCSeq: 1 INVITE\r\n" CONTACT_A
		"Timestamp: 54.21\r\nContent-Length: 0\r\n\r\n";
	feed(l, A, again);
	assert_header(text_of(l, 0, "SIP/2.0 100"), "Timestamp", "54.21");
	const char *invite = text_of(l, 0, "INVITE");
	assert_header(invite, "Timestamp", ""); /* each leg's own */
	unsigned mark = l->sent_count;
	feed(l, A, again);
	assert_header(text_of(l, mark, "SIP/2.0 100"), "Timestamp", "54.21");
	answer(l, B, text_of(l, 0, "INVITE"), "486 Busy Here", "", "");
	assert_header(text_of(l, mark, "SIP/2.0 486"), "Timestamp", "");
	lone_settle(l);
	lone_destroy(l);
}

/* One that waited before it was read: the delay stands behind it; that of a hop before goes. */
Test(rfc3261_8_2_6_1, the_delay_is_added)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	lone_run(l, 10 * LONE_S);
	options(l, "sip:node", ""); /* the shard has seen this moment */
	l->waited_ns = 434 * LONE_MS;
	invite_to(l, A, "sip:880171@node", A, CONTACT_A "Timestamp: 54.21 7.5\r\n", "");
	assert_header(text_of(l, 0, "SIP/2.0 100"), "Timestamp", "54.21 0.434");
	l->waited_ns = 0;
	lone_settle(l);
	lone_destroy(l);
}

Test(rfc3261_8_2_6_1, a_reinvite_gets_its_timestamp_too)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	unsigned mark = l->sent_count;
	request_of(&d, false, "INVITE", CONTACT_A TYPE_SDP "Timestamp: 9\r\n", SDP "s=other\r\n");
	assert_header(text_of(l, mark, "SIP/2.0 100"), "Timestamp", "9");
	answer(l, B, text_of(l, mark, "INVITE"), "488 No", "", "");
	say(l, A, "ACK x SIP/2.0\r\n\r\n"); /* garbage in between changes nothing */
	over(&d);
}

/* ---- spec 9: times are those at which the kernel received ---- */

/* Each message of the call waited for another time until it was read; meanwhile the shard has looked at later ones. */
Test(spec_9, a_call_counts_from_when_its_200_came_to_when_its_bye_came)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = { .l = l, .a = A, .b = B };
	uint64_t base_us = l->now_ns / 1000;
	unsigned mark = l->sent_count;
	l->now_ns += 40 * LONE_MS;
	options(l, "sip:ringwheel", "");
	l->waited_ns = 30 * LONE_MS;
	invite_to(l, A, "sip:880171@node", A, CONTACT_A TYPE_SDP, SDP);
	l->waited_ns = 0;
	lone_run(l, LONE_S);
	options(l, "sip:ringwheel", "");
	l->waited_ns = 20 * LONE_MS;
	answer(l, B, text_of(l, mark, "INVITE"), "180 Ringing", "", "");
	l->waited_ns = 0;
	lone_run(l, LONE_S);
	options(l, "sip:ringwheel", "");
	l->waited_ns = 35 * LONE_MS;
	answer_call(&d, text_of(l, mark, "INVITE"), CONTACT_B TYPE_SDP);
	l->waited_ns = 0;
	lone_run(l, 10 * LONE_S);
	options(l, "sip:ringwheel", "");
	l->waited_ns = 5 * LONE_MS;
	mark = l->sent_count;
	request_of(&d, false, "BYE", "", "");
	cr_assert_eq(l->cdr_count, 1);
	cr_assert_eq(l->cdr.start_us - (int64_t)base_us, 10 * 1000);
	cr_assert_eq(l->cdr.pdd_ms, 1010);
	cr_assert_eq(l->cdr.connect_us - (int64_t)base_us, 2005 * 1000);
	cr_assert_eq(l->cdr.hold_ms, 10030);
	cr_assert_eq(l->cdr.end_us - (int64_t)base_us, 12035 * 1000);
	l->waited_ns = 0;
	answer(l, B, text_of(l, mark, "BYE"), "200 OK", "", "");
	lone_settle(l);
	lone_destroy(l);
}

/* Each has failed at 64 gateways of long names, and the queue takes nothing: a record is never lost for its length. */
Test(spec_11, the_records_of_all_calls_find_room_beside_a_full_queue)
{
	enum { CALLS = 64, GATEWAYS = 64 };
	char gateways[GATEWAYS * 160] = "mapping_gateway \"m\" { address = \"192.0.2.1\" }\n";
	for (unsigned i = 0; i < GATEWAYS; i++)
		sprintf(gateways + strlen(gateways),
			"routing_gateway \"%063u\" { address = \"192.0.2.2:5060\" prefix = \"880\" }\n", i);
	struct lone *l = lone_create_for(gateways, NULL, CALLS);
	l->queue_full = true;
	for (unsigned call = 0; call < CALLS; call++) {
		unsigned mark = l->sent_count;
		invite_to(l, A, "sip:880171@node", A, CONTACT_A TYPE_SDP, SDP);
		for (unsigned i = 0; i < GATEWAYS; i++) {
			const struct lone_sent *invite = heard(l, mark, "INVITE");
			cr_assert(invite, "%u gateways", i);
			mark = l->sent_count;
			answer(l, B, invite->text, "503 Service Unavailable", "", "");
		}
		cr_assert(heard(l, mark, "SIP/2.0 503"));
	}
	lone_run(l, 200 * LONE_S);
	cr_assert_eq(l->cdr_count, 0);
	l->queue_full = false;
	lone_run(l, LONE_S);
	cr_assert_eq(l->cdr_count, CALLS);
	lone_destroy(l);
}

/* A machine that was suspended for longer than the window: the call is over when the window was, not when the refresh
 * was due. */
Test(rfc4028_10, a_window_that_ends_while_nothing_runs_ends_the_call_at_its_end)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	call_up(l, A, B, CONTACT_A "Supported: timer\r\nSession-Expires: 600\r\n", CONTACT_B);
	lone_run(l, 100 * LONE_S);
	l->now_ns += 700 * LONE_S;
	lone_run(l, LONE_S);
	cr_assert_eq(l->cdr_count, 1);
	cr_assert_eq(l->cdr.reason, CDR_END_session_timeout);
	cr_assert_eq(l->cdr.hold_ms, 600000);
	lone_settle(l);
	lone_destroy(l);
}

/* ---- RFC 3326: Reason ---- */

Test(rfc3326_2, all_reasons_of_a_bye_pass_and_the_cause_is_recorded)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	unsigned mark = l->sent_count;
	request_of(&d, true, "BYE",
		   "Reason: SIP;cause=200;text=\"a, b;cause=1\"\r\nReason: q.850 ;Cause=31;text=\"Normal\"\r\n", "");
	const char *bye = text_of(l, mark, "BYE");
	assert_header(bye, "Reason", "SIP;cause=200;text=\"a, b;cause=1\", q.850 ;Cause=31;text=\"Normal\"");
	cr_assert_eq(l->cdr.q850, 31);
	answer(l, A, bye, "200 OK", "", "");
	lone_settle(l);
	lone_destroy(l);
}

/* A protocol that only begins like it is another one, and a cause that is none is none. */
Test(rfc3326_2, what_is_no_cause_is_not_recorded)
{
	static const struct {
		const char *reason;
		unsigned q850;
	} forms[] = { { "Q.8501;cause=31", 17 },
		      { "Q.850;cause=128", 17 },
		      { "Q.850;cause=-1", 17 },
		      { "Q.850", 17 },
		      { "SIP;cause=31", 17 },
		      { "Q.850;cause=31", 31 },
		      { "X;a=1,Q.850;text=\"x\";cause=0", 17 },
		      { ",,Q.850;cause=21", 21 } };
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
		unsigned mark = l->sent_count;
		char lines[256];
		invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
		snprintf(lines, sizeof lines, "Reason: %s\r\n", forms[i].reason);
		answer(l, B, text_of(l, mark, "INVITE"), "486 Busy Here", lines, "");
		assert_header(text_of(l, mark, "SIP/2.0 486"), "Reason", forms[i].reason);
		cr_assert_eq(l->cdr.q850, forms[i].q850, "%s: %u", forms[i].reason, l->cdr.q850);
	}
	lone_settle(l);
	lone_destroy(l);
}

Test(rfc3326_2, both_reasons_of_a_failure_reach_the_caller)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	unsigned mark = l->sent_count;
	invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
	answer(l, B, text_of(l, mark, "INVITE"), "480 No", "Reason: SIP;cause=480\r\nReason: Q.850;cause=18\r\n", "");
	assert_header(text_of(l, mark, "SIP/2.0 480"), "Reason", "SIP;cause=480, Q.850;cause=18");
	cr_assert_eq(l->cdr.q850, 18);
	lone_settle(l);
	lone_destroy(l);
}

/* Announcements that precede a failure name its cause, and so does a refused request of a call that is up. */
Test(rfc3326_2, reasons_of_provisional_responses_and_relayed_failures_pass)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	unsigned mark = l->sent_count;
	invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
	answer(l, B, text_of(l, mark, "INVITE"), "183 Session Progress", CONTACT_B "Reason: Q.850;cause=17\r\n", "");
	assert_header(text_of(l, mark, "SIP/2.0 183"), "Reason", "Q.850;cause=17");
	answer(l, B, text_of(l, mark, "INVITE"), "486 Busy Here", "", "");
	struct dialogs d = usual_call(l);
	mark = l->sent_count;
	request_of(&d, false, "INFO", "", "");
	answer(l, B, text_of(l, mark, "INFO"), "415 No", "Reason: Q.850;cause=79\r\n", "");
	assert_header(text_of(l, mark, "SIP/2.0 415"), "Reason", "Q.850;cause=79");
	over(&d);
}

/* 180 alone is ringing: a call that is forwarded or queued and then refused goes on to the next gateway. */
Test(spec_6, a_call_that_waits_in_a_queue_has_not_rung)
{
	static const char *const provisional[] = { "180 Ringing", "181 Forwarded", "182 Queued" };
	for (unsigned i = 0; i < 3; i++) {
		struct lone *l = lone_create(LONE_GATEWAYS "routing_gateway \"s\" { address = \"192.0.2.3:5060\" "
							   "prefix = \"880\" priority = 2 }\n",
					     "SS_GATEWAY_SWITCH_UNTIL_CONNECT = off\n");
		unsigned mark = l->sent_count;
		invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
		answer(l, B, text_of(l, mark, "INVITE"), provisional[i], CONTACT_B, "");
		answer(l, B, text_of(l, mark, "INVITE"), "503 No", "", "");
		cr_assert_eq(heard(l, mark, "SIP/2.0 503") != NULL, i == 0, "%s", provisional[i]);
		if (i > 0) {
			assert_went(heard(l, mark, "INVITE"), "192.0.2.3:5060");
			answer(l, "192.0.2.3:5060", text_of(l, mark, "INVITE"), "486 Busy Here", "", "");
		}
		lone_settle(l);
		lone_destroy(l);
	}
}

/* Longer than what is joined: what fits, in order. */
Test(rfc3326_2, many_long_reasons_are_bounded)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	char lines[2048] = "";
	for (unsigned i = 0; i < 10; i++)
		snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "Reason: X%u;text=\"%0*d\"\r\n", i, 120,
			 0);
	snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "Reason: Q.850;cause=29\r\n");
	unsigned mark = l->sent_count;
	request_of(&d, true, "BYE", lines, "");
	const char *bye = text_of(l, mark, "BYE");
	cr_assert(strlen(header(bye, "Reason")) < 512 && strstr(header(bye, "Reason"), "X0;"));
	cr_assert_eq(l->cdr.q850, 29);
	answer(l, A, bye, "200 OK", "", "");
	lone_settle(l);
	lone_destroy(l);
}

static void cancel_with(struct lone *l, const char *trying, const char *lines)
{
	char via[256], call_id[64], from[128];
	snprintf(via, sizeof via, "%s", header(trying, "Via"));
	snprintf(call_id, sizeof call_id, "%s", header(trying, "Call-ID"));
	snprintf(from, sizeof from, "%s", header(trying, "From"));
	via[strcspn(via, ";")] = '\0';
	const char *branch = strstr(header(trying, "Via"), ";branch=");
	say(l, A,
	    "CANCEL sip:880171@node SIP/2.0\r\nVia: %s%.*s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: <sip:880171@node>\r\n"
	    "Call-ID: %s\r\nCSeq: 7 CANCEL\r\n%sContent-Length: 0\r\n\r\n",
	    via, (int)(1 + strcspn(branch + 1, ";")), branch, from, call_id, lines);
}

#define ELSEWHERE "SIP;cause=200;text=\"Call completed elsewhere\""

/* The callee's telephone shows no missed call. */
Test(rfc3326_2, the_reason_of_a_cancel_passes)
{
	for (unsigned rings = 0; rings < 2; rings++) { /* 9.1: without a provisional response the CANCEL waits */
		struct lone *l = lone_create(LONE_GATEWAYS, NULL);
		invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
		char invite[4096];
		snprintf(invite, sizeof invite, "%s", text_of(l, 0, "INVITE"));
		if (rings)
			answer(l, B, invite, "180 Ringing", CONTACT_B, "");
		cancel_with(l, text_of(l, 0, "SIP/2.0 100"), "Reason: " ELSEWHERE "\r\nReason: Q.850;cause=26\r\n");
		cr_assert(heard(l, 0, "SIP/2.0 487"));
		if (!rings)
			answer(l, B, invite, "100 Trying", "", "");
		assert_header(text_of(l, 0, "CANCEL"), "Reason", ELSEWHERE ", Q.850;cause=26");
		cr_assert_eq(l->cdr.q850, 26);
		cr_assert_eq(l->cdr.reason, CDR_END_cancelled);
		answer(l, B, invite, "487 Request Terminated", "", "");
		lone_settle(l);
		lone_destroy(l);
	}
}

/* A BYE in place of CANCEL (15) says why as well; and the CANCEL of a re-INVITE. */
Test(rfc3326_2, the_reason_of_an_early_bye_passes)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = { .l = l, .a = A, .b = B, .cseq_a = 7, .target_a = "sip:node" };
	invite_to(l, A, "sip:880171@node", A, CONTACT_A, "");
	char invite[4096];
	snprintf(invite, sizeof invite, "%s", text_of(l, 0, "INVITE"));
	answer(l, B, invite, "180 Ringing", CONTACT_B, "");
	const char *ringing = text_of(l, 0, "SIP/2.0 180");
	snprintf(d.call_a, sizeof d.call_a, "%s", header(ringing, "Call-ID"));
	snprintf(d.from_a, sizeof d.from_a, "%s", header(ringing, "From"));
	snprintf(d.to_a, sizeof d.to_a, "%s", header(ringing, "To"));
	request_of(&d, false, "BYE", "Reason: " ELSEWHERE "\r\n", "");
	assert_header(text_of(l, 0, "CANCEL"), "Reason", ELSEWHERE);
	answer(l, B, invite, "487 Request Terminated", "", "");
	lone_settle(l);
	lone_destroy(l);
}

/* ---- requests inside the dialog that are passed on ---- */

/* RFC 3515 2.2, RFC 5057 5.4: REFER has a Contact, a target refresh request it is. */
Test(rfc3515_2_2, a_refer_passes_with_its_headers_and_moves_the_target)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	unsigned mark = l->sent_count;
	request_of(&d, false, "REFER",
		   "r: <sip:880999@h?Replaces=x%40h%3Bto-tag%3D1>\r\nReferred-By: <sip:a@h>\r\n"
		   "Contact: <sip:a-moved@192.0.2.1:5072>\r\n",
		   "");
	const struct lone_sent *refer = heard(l, mark, "REFER");
	assert_went(refer, "192.0.2.2:5080"); /* the Contact of B's 200 */
	cr_assert(strncmp(refer->text, "REFER sip:b@192.0.2.2:5080 ", 27) == 0);
	assert_header(refer->text, "Refer-To", "<sip:880999@h?Replaces=x%40h%3Bto-tag%3D1>");
	assert_header(refer->text, "Referred-By", "<sip:a@h>");
	cr_assert(strstr(header(refer->text, "Contact"), LONE_NODE), "%s", refer->text);
	answer(l, B, refer->text, "202 Accepted", "Contact: <sip:b-moved@192.0.2.2:5082>\r\n", "");
	const char *accepted = text_of(l, mark, "SIP/2.0 202");
	cr_assert(strstr(header(accepted, "Contact"), LONE_NODE), "%s", accepted);

	mark = l->sent_count; /* and its subscription */
	request_of(&d, true, "NOTIFY",
		   "o: refer\r\nSubscription-State: active;expires=60\r\nContent-Type: "
		   "message/sipfrag;version=2.0\r\n" CONTACT_B,
		   "SIP/2.0 100 Trying\r\n");
	const struct lone_sent *notify = heard(l, mark, "NOTIFY");
	assert_went(notify, "192.0.2.1:5072");
	cr_assert(strncmp(notify->text, "NOTIFY sip:a-moved@192.0.2.1:5072 ", 34) == 0);
	assert_header(notify->text, "Event", "refer");
	assert_header(notify->text, "Subscription-State", "active;expires=60");
	assert_header(notify->text, "Content-Type", "message/sipfrag;version=2.0");
	cr_assert_str_eq(body_of(notify->text), "SIP/2.0 100 Trying\r\n");
	cr_assert(strstr(header(notify->text, "Contact"), LONE_NODE));
	answer(l, A, notify->text, "200 OK", "", "");

	mark = l->sent_count; /* NOTIFY moved B's back */
	request_of(&d, false, "BYE", "", "");
	assert_went(heard(l, mark, "BYE"), "192.0.2.2:5080");
	answer(l, B, text_of(l, mark, "BYE"), "200 OK", "", "");
	lone_settle(l);
	lone_destroy(l);
}

/* A REFER that is refused moves nothing, and the call goes on. */
Test(rfc3515_2_2, a_refused_refer_moves_no_target)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	unsigned mark = l->sent_count;
	request_of(&d, false, "REFER", "Refer-To: <sip:1@h>\r\nContact: <sip:a-moved@192.0.2.1:5072>\r\n", "");
	answer(l, B, text_of(l, mark, "REFER"), "603 Decline", "", "");
	cr_assert(heard(l, mark, "SIP/2.0 603"));
	request_of(&d, true, "INFO", "", "");
	assert_went(heard(l, mark, "INFO"), "192.0.2.1:5070");
	answer(l, A, text_of(l, mark, "INFO"), "200 OK", "", "");
	over(&d);
}

Test(spec_4, info_and_message_pass_with_their_content)
{
	static const struct {
		const char *method, *lines, *body, *name, *value;
	} requests[] = {
		{ "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\nDuration=160\r\n", "Content-Type",
		  "application/dtmf-relay" },
		{ "INFO", "Info-Package: g.3gpp\r\nc: text/plain\r\nContent-Disposition: Info-Package\r\n", "x",
		  "Info-Package", "g.3gpp" },
		{ "INFO", "Content-Disposition: render;handling=required\r\nContent-Type: x/y\r\n", "x",
		  "Content-Disposition", "render;handling=required" },
		{ "MESSAGE", "Content-Type: text/plain;charset=UTF-8\r\nContent-Language: bn\r\n", "\xe0\xa6\x95",
		  "Content-Language", "bn" },
		{ "MESSAGE", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nMIME-Version: 1.0\r\n", "?",
		  "Content-Encoding", "gzip" },
	};
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	for (unsigned i = 0; i < 2 * sizeof requests / sizeof *requests; i++) {
		unsigned n = i / 2, mark = l->sent_count;
		bool by_b = i % 2;
		request_of(&d, by_b, requests[n].method, requests[n].lines, requests[n].body);
		const char *passed = text_of(l, mark, requests[n].method);
		assert_header(passed, requests[n].name, requests[n].value);
		assert_header(passed, "Contact", "");
		cr_assert_str_eq(body_of(passed), requests[n].body);
		answer(l, by_b ? A : B, passed, "200 OK", "", "");
		cr_assert(heard(l, mark, "SIP/2.0 200"));
	}
	over(&d);
}

/* ---- bodies ---- */

/* RFC 5621: the boundary, the parts, a NUL among them; and what describes it all. */
Test(rfc5621_3, a_multipart_body_passes_whole)
{
	static const char parts[] =
		"--b1\r\nContent-Type: application/sdp\r\n\r\n" SDP "\r\n--b1\r\n"
		"Content-Type: application/isup;version=itu-t92+\r\n"
		"Content-Disposition: signal;handling=optional\r\n\r\n\x01\x00\xff\n\r\x00\r\n--b1--\r\n";
	static const char lines[] =
		CONTACT_A "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;boundary=\"b1\"\r\n"
			  "Content-Disposition: session;handling=required\r\nContent-Language: en\r\n";
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct flow a = lone_flow(A);
	char text[4096];
	int head = snprintf(text, sizeof text,
			    "INVITE sip:880171@node SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bKp\r\n"
			    "From: <sip:1@h>;tag=1\r\nTo: <sip:2@h>\r\nCall-ID: parts\r\nCSeq: 1 INVITE\r\n%s"
			    "Content-Length: %zu\r\n\r\n",
			    lines, sizeof parts - 1);
	memcpy(text + head, parts, sizeof parts - 1);
	lone_feed(l, &a, (struct bytes){ text, (uint32_t)head + (uint32_t)sizeof parts - 1 });
	const struct lone_sent *invite = heard(l, 0, "INVITE");
	cr_assert(invite);
	assert_header(invite->text, "Content-Type", "multipart/mixed;boundary=\"b1\"");
	assert_header(invite->text, "MIME-Version", "1.0");
	assert_header(invite->text, "Content-Disposition", "session;handling=required");
	assert_header(invite->text, "Content-Language", "en");
	cr_assert_gt(invite->size, sizeof parts - 1);
	cr_assert_arr_eq(invite->text + invite->size - (sizeof parts - 1), parts, sizeof parts - 1);
	answer(l, B, invite->text, "486 Busy Here", "", "");
	lone_settle(l);
	lone_destroy(l);
}

/* ---- numbers ---- */

static void assert_dialled(const char *uri, const char *callee_in, const char *sent)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	char line[256];
	invite_to(l, A, uri, A, CONTACT_A, "");
	const char *invite = text_of(l, 0, "INVITE");
	snprintf(line, sizeof line, "INVITE sip:%s@" B " SIP/2.0\r\n", sent);
	cr_assert(strncmp(invite, line, strlen(line)) == 0, "%s: %.60s", uri, invite);
	answer(l, B, invite, "486 Busy Here", "", "");
	cr_assert_str_eq(l->cdr.callee_in, callee_in);
	lone_settle(l);
	lone_destroy(l);
}

/* RFC 3966, RFC 3261 19.1.2, 19.1.6: the forms that a number has in a request line. */
Test(rfc3966_3, numbers_of_tel_uris_and_escapes)
{
	assert_dialled("tel:+880-1711-000;phone-context=+880", "+880-1711-000", "8801711000");
	assert_dialled("tel:8801711;isub=1411;phone-context=example.com", "8801711", "8801711");
	assert_dialled("TEL:+8801711", "+8801711", "8801711");
	assert_dialled("sip:%2B8801711@node", "+8801711", "8801711");
	assert_dialled("sip:+880%31711@node;user=phone", "+8801711", "8801711");
	assert_dialled("sip:8801711;phone-context=+49@node;user=phone", "8801711", "8801711");
	assert_dialled("sip:8801711;npdi;rn=+8801800@node;user=phone", "8801711", "8801711");
	assert_dialled("sips:8801711:secret@node", "8801711", "8801711");
	assert_dialled("sip:8801711%23*9@node", "8801711#*9", "8801711%23*9");
	assert_dialled("sip:880%2541@node", "880%41", "880%2541"); /* unescaped once, not twice */
}

/* ---- addresses: 18.2, RFC 3581, RFC 5118 ---- */

Test(rfc3581_4, answers_go_to_the_source_or_to_the_port_of_the_via)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	static const struct {
		const char *host, *parameters, *via, *where;
	} forms[] = {
		{ "192.0.2.1:5062", "", "192.0.2.1:5062;branch=z9hG4bKv", "192.0.2.1:5062" },
		{ "gw.example.com", "", "gw.example.com;branch=z9hG4bKv;received=192.0.2.1", "192.0.2.1:5060" },
		{ "gw.example.com:7000", ";rport", "gw.example.com:7000;branch=z9hG4bKv;rport=40000;received=192.0.2.1",
		  "192.0.2.1:40000" },
		{ "10.0.0.1", ";received=203.0.113.9;rport=1",
		  "10.0.0.1;branch=z9hG4bKv;rport=40000;received=192.0.2.1", "192.0.2.1:40000" },
		{ "10.0.0.1", ";maddr=224.0.0.1;ttl=1",
		  "10.0.0.1;maddr=224.0.0.1;ttl=1;branch=z9hG4bKv;received=192.0.2.1",
		  "192.0.2.1:5060" }, /* 18.2.2 has maddr, which would let anybody aim our answers */
	};
	for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
		unsigned mark = l->sent_count;
		char via[256];
		say(l, "192.0.2.1:40000",
		    "OPTIONS sip:n SIP/2.0\r\nVia: SIP/2.0/UDP %s%s;branch=z9hG4bKv\r\nFrom: <sip:a@h>;tag=1\r\n"
		    "To: <sip:b@h>\r\nCall-ID: v%u\r\nCSeq: 1 OPTIONS\r\n\r\n",
		    forms[i].host, forms[i].parameters, i);
		const struct lone_sent *ok = heard(l, mark, "SIP/2.0 200");
		assert_went(ok, forms[i].where);
		snprintf(via, sizeof via, "SIP/2.0/UDP %s", forms[i].via);
		assert_header(ok->text, "Via", via);
	}
	lone_destroy(l);
}

/* An IPv6 caller: nothing of its family on the other leg, brackets where there must be some. */
Test(rfc5118_4, a_caller_on_ipv6)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = call_up(l, A6, B, "Contact: <sip:a@[2001:db8::1]:5070>\r\n", CONTACT_B);
	const struct lone_sent *invite = heard(l, 0, "INVITE");
	const char *end = strstr(invite->text, "\r\n\r\n");
	assert_went(invite, B);
	cr_assert(!memmem(invite->text, (size_t)(end - invite->text), "db8", 3), "%s", invite->text);
	const struct lone_sent *ok = heard(l, 0, "SIP/2.0 200");
	assert_went(ok, A6);
	cr_assert(strstr(header(ok->text, "Contact"), "@" LONE_NODE6 ">"), "%s", ok->text);
	unsigned mark = l->sent_count;
	request_of(&d, true, "INFO", "", ""); /* goes to the Contact, with our address of its family */
	const struct lone_sent *info = heard(l, mark, "INFO");
	assert_went(info, "[2001:db8::1]:5070");
	cr_assert(strncmp(info->text, "INFO sip:a@[2001:db8::1]:5070 SIP/2.0\r\n", 39) == 0);
	cr_assert(strstr(header(info->text, "Via"), LONE_NODE6 ";"), "%s", info->text);
	answer(l, A6, info->text, "200 OK", "", "");
	over(&d);
}

Test(rfc5118_4, a_callee_on_ipv6)
{
	struct lone *l = lone_create(CALLEE_ON_IPV6, NULL);
	struct dialogs d = call_up(l, A, B6, CONTACT_A, "Contact: <sip:b@[2001:db8::2]:5080;transport=udp>\r\n");
	const struct lone_sent *invite = heard(l, 0, "INVITE");
	assert_went(invite, B6);
	cr_assert(strncmp(invite->text, "INVITE sip:880171@[2001:db8::2]:5060 SIP/2.0\r\n", 46) == 0, "%s",
		  invite->text);
	cr_assert(strstr(header(invite->text, "Via"), " " LONE_NODE6 ";"));
	cr_assert(strstr(header(invite->text, "From"), "@[2001:db8::9]>"));
	cr_assert(strstr(header(invite->text, "Contact"), "@" LONE_NODE6 ">"));
	assert_went(heard(l, 0, "ACK"), "[2001:db8::2]:5080");
	unsigned mark = l->sent_count;
	request_of(&d, true, "INFO", "", "");
	const struct lone_sent *info = heard(l, mark, "INFO");
	assert_went(info, "192.0.2.1:5070");
	answer(l, A, info->text, "200 OK", "", "");
	over(&d);
}

/* RFC 5118 4.5: received has no brackets; a sender's own, with or without them, is replaced. */
Test(rfc5118_4_5, received_is_written_without_brackets)
{
	static const char *const own[] = { "", ";received=[2001:db8::9:255]", ";received=2001:db8::9:255" };
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	for (unsigned i = 0; i < 3; i++) {
		unsigned mark = l->sent_count;
		say(l, A6,
		    "OPTIONS sip:n SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::77]%s;branch=z9hG4bK6\r\nFrom: "
		    "<sip:a@h>;tag=1\r\n"
		    "To: <sip:b@h>\r\nCall-ID: r%u\r\nCSeq: 1 OPTIONS\r\n\r\n",
		    own[i], i);
		const struct lone_sent *ok = heard(l, mark, "SIP/2.0 200");
		assert_went(ok, A6);
		const char *via = header(ok->text, "Via");
		cr_assert(strstr(via, ";received=2001:db8::1") && !strstr(via, "255") && !strstr(via, "=["), "%s", via);
	}
	lone_destroy(l);
}

/* A Contact of the other family leads nowhere from this listener: where the last message came from does. */
Test(rfc3261_12_2_1_1, a_contact_of_the_other_family_is_not_used)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = call_up(l, A, B, "Contact: <sip:a@[2001:db8::1]:5070>\r\n", CONTACT_B);
	unsigned mark = l->sent_count;
	request_of(&d, true, "INFO", "", "");
	assert_went(heard(l, mark, "INFO"), A);
	answer(l, A, text_of(l, mark, "INFO"), "200 OK", "", "");
	over(&d);
}

/* ---- routes ---- */

/* The caller behind a strict router (12.2.1.1): its Record-Route is our route set as it stands. */
Test(rfc3261_12_2_1_1, a_caller_behind_a_strict_router)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = call_up(
		l, A, B,
		CONTACT_A "Record-Route: <sip:192.0.2.77:5061;method=INVITE?x=y>,\r\n <sip:p2.example.com;lr>\r\n",
		CONTACT_B);
	cr_assert_str_eq(header(text_of(l, 0, "INVITE"), "Record-Route"), ""); /* each leg's own */
	cr_assert(strstr(header(text_of(l, 0, "SIP/2.0 200"), "Record-Route"), "192.0.2.77:5061"));
	unsigned mark = l->sent_count;
	request_of(&d, true, "INFO", "", "");
	const struct lone_sent *info = heard(l, mark, "INFO");
	assert_went(info, "192.0.2.77:5061");
	cr_assert(strncmp(info->text, "INFO sip:192.0.2.77:5061 SIP/2.0\r\n", 34) == 0, "%s", info->text);
	assert_header(info->text, "Route", "<sip:p2.example.com;lr>, <sip:a@192.0.2.1:5070>");
	answer(l, A, info->text, "200 OK", "", "");
	over(&d);
}

/* The callee behind a loose router: reversed (12.1.2), and the target stays in the request line. */
Test(rfc3261_12_1_2, a_callee_behind_two_proxies)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = call_up(
		l, A, B, CONTACT_A,
		CONTACT_B "Record-Route: <sip:far.example.com;lr>\r\nRecord-Route: <sip:192.0.2.2:5066;lr>\r\n");
	const struct lone_sent *ack = heard(l, 0, "ACK");
	assert_went(ack, "192.0.2.2:5066");
	cr_assert(strncmp(ack->text, "ACK sip:b@192.0.2.2:5080 SIP/2.0\r\n", 34) == 0);
	assert_header(ack->text, "Route", "<sip:192.0.2.2:5066;lr>, <sip:far.example.com;lr>");
	over(&d);
}

/* Request-URI and Route are the INVITE's, whatever early dialog there was; and so they are the second time, when the
 * leg only waits for the answer to its PRACK. */
Test(rfc3261_17_1_1_3, the_ack_to_a_failure_repeats_the_invite_and_not_the_early_dialog)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	char invite[4096], uri[256];
	invite_to(l, A, "sip:880171@node", A, CONTACT_A TYPE_SDP, SDP);
	snprintf(invite, sizeof invite, "%s", text_of(l, 0, "INVITE"));
	cr_assert_eq(sscanf(invite, "INVITE %255s", uri), 1);
	say(l, B,
	    "SIP/2.0 180 Ringing\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=b1\r\nCall-ID: %s\r\nCSeq: %s\r\n" CONTACT_B
	    "Record-Route: <sip:192.0.2.2:5066;lr>\r\nRequire: 100rel\r\nRSeq: 1\r\nContent-Length: 0\r\n\r\n",
	    header(invite, "Via"), header(invite, "From"), header(invite, "To"), header(invite, "Call-ID"),
	    header(invite, "CSeq"));
	assert_header(text_of(l, 0, "PRACK"), "Route", "<sip:192.0.2.2:5066;lr>");
	for (unsigned i = 0; i < 2; i++) {
		unsigned mark = l->sent_count;
		char start[300];
		answer(l, B, invite, "486 Busy Here", "", "");
		snprintf(start, sizeof start, "ACK %s SIP/2.0\r\n", uri);
		const char *ack = text_of(l, mark, "ACK");
		cr_assert(strncmp(ack, start, strlen(start)) == 0, "%s", ack);
		assert_header(ack, "Route", "");
	}
	lone_settle(l);
	lone_destroy(l);
}

/* A 2xx of an INVITE that was never sent has no ACK, and says nothing of those that are: one of ours that is open is
 * still in the way of the peer's (14.2). */
Test(rfc3261_13_2_2_4, a_2xx_with_the_cseq_of_no_invite_is_none)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	char invite[4096];
	snprintf(invite, sizeof invite, "%s", text_of(l, 0, "INVITE"));
	for (unsigned i = 0; i < 2; i++) {
		unsigned mark = l->sent_count;
		say(l, B,
		    "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\n"
		    "CSeq: 2147483647 INVITE\r\n" CONTACT_B "Content-Length: 0\r\n\r\n",
		    header(invite, "Via"), header(invite, "From"), header(invite, "To"), i ? "b2" : "b1",
		    header(invite, "Call-ID"));
		cr_assert_eq(l->sent_count, mark);
	}
	unsigned mark = l->sent_count;
	answer(l, B, invite, "200 OK", CONTACT_B TYPE_SDP, SDP);
	assert_header(text_of(l, mark, "ACK"), "CSeq", "1 ACK");
	mark = l->sent_count;
	request_of(&d, false, "INVITE", CONTACT_A TYPE_SDP, "v=0\r\no=a 1 2 IN IP4 192.0.2.1\r\n");
	cr_assert(heard(l, mark, "INVITE"));
	request_of(&d, true, "INVITE", CONTACT_B TYPE_SDP, "v=0\r\no=b 1 2 IN IP4 192.0.2.2\r\n");
	cr_assert(heard(l, mark, "SIP/2.0 491"));
	answer(l, B, text_of(l, mark, "INVITE"), "488 Not Acceptable Here", "", "");
	over(&d);
}

/* A request line that a strict router has rewritten: the dialog is known by its tags (12.2.2). */
Test(rfc3261_12_2_2, a_request_is_known_by_its_tags_whatever_its_request_uri)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	snprintf(d.target_a, sizeof d.target_a, "sip:strict.example.com;x=y");
	unsigned mark = l->sent_count;
	request_of(&d, false, "INFO", "Route: <sip:node>\r\n", "");
	assert_went(heard(l, mark, "INFO"), "192.0.2.2:5080");
	answer(l, B, text_of(l, mark, "INFO"), "200 OK", "", "");
	over(&d);
}

/* 19.1.1, table 1: a Contact may have what a request line may not. */
Test(rfc3261_19_1_1, a_contact_with_headers_makes_a_request_uri_without)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = call_up(
		l, A, B, "Contact: <sip:a@192.0.2.1:5070;Method=BYE;transport=udp;ob?Replaces=1%40h&Subject=x>\r\n",
		CONTACT_B);
	unsigned mark = l->sent_count;
	request_of(&d, true, "INFO", "", "");
	const char *info = text_of(l, mark, "INFO");
	cr_assert(strncmp(info, "INFO sip:a@192.0.2.1:5070;transport=udp;ob SIP/2.0\r\n", 52) == 0, "%s", info);
	answer(l, A, info, "200 OK", "", "");
	over(&d);
}

/* ---- forms of headers ---- */

/* 7.3.1, 7.3.3: compact names, any case, folded lines, lists and repeated lines. */
Test(rfc3261_7_3, a_call_in_compact_and_folded_form)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	feed(l, A,
	     "INVITE sip:880171@node SIP/2.0\r\nv: SIP / 2.0 / UDP 192.0.2.1:5060;BRANCH=z9hG4bKc,\r\n SIP/2.0/UDP "
	     "far;branch=z9hG4bKd\r\n"
	     "F:\r\n  \"A\r\n B\" <sip:+4930@h>\r\n\t;TAG=1\r\nt :<sip:2@h>\r\nI: compact\r\ncseq: 0007\tINVITE\r\n"
	     "MAX-forwards: 0020\r\nm: <sip:a@192.0.2.1:5070>\r\nK: x, TIMER\r\nx: 1800 ; refresher = UAC\r\n"
	     "C: application/sdp\r\nL: 00005\r\n\r\nv=0\r\n");
	const char *trying = text_of(l, 0, "SIP/2.0 100");
	cr_assert(strstr(trying, "SIP/2.0/UDP far;branch=z9hG4bKd"));
	const char *invite = text_of(l, 0, "INVITE");
	assert_header(invite, "Max-Forwards", "19");
	assert_header(invite, "Content-Length", "5");
	answer(l, B, invite, "200 OK", CONTACT_B TYPE_SDP, SDP);
	assert_header(text_of(l, 0, "SIP/2.0 200"), "Session-Expires", "600;refresher=uac");
	lone_run(l, 70 * LONE_S); /* no ACK comes */
	lone_settle(l);
	cr_assert_eq(l->cdr.reason, CDR_END_ack_missing);
	lone_destroy(l);
}

/* RFC 2543: no Contact, no branch, no tag, no Max-Forwards. */
Test(rfc3261_17_2_3, an_invite_in_the_old_form)
{
	static const char old[] =
		"INVITE sip:880171@node SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060\r\n"
		"From: <sip:+4930@192.0.2.1:5071>\r\nTo: <sip:2@h>\r\nCall-ID: old\r\nCSeq: 1 INVITE\r\n\r\n";
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	feed(l, A, old);
	unsigned mark = l->sent_count;
	feed(l, A, old); /* a retransmission, not a merged request */
	cr_assert_not(heard(l, mark, "SIP/2.0 482"));
	cr_assert_not(heard(l, mark, "INVITE"));
	answer(l, B, text_of(l, 0, "INVITE"), "486 Busy Here", "", "");
	cr_assert(heard(l, 0, "SIP/2.0 486"));
	assert_header(text_of(l, 0, "SIP/2.0 486"), "From", "<sip:+4930@192.0.2.1:5071>");
	lone_settle(l);
	cr_assert_eq(l->cdr_count, 1);
	lone_destroy(l);
}

/* Its CSeq is no new one: a retransmission has the branch of its request, and an old peer's is known without. */
static void assert_last_again(struct dialogs *d, const char *method, const char *via, const char *status)
{
	unsigned mark = d->l->sent_count;
	say(d->l, d->a,
	    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\n"
	    "Call-ID: %s\r\nCSeq: %u %s\r\nContent-Length: 0\r\n\r\n",
	    method, d->target_a, via, d->from_a, d->to_a, d->call_a, d->cseq_a, method);
	cr_assert_eq(d->l->sent_count, mark + 1, "%s: \"%s\"", method, via);
	cr_assert(heard(d->l, mark, status), "%s: \"%s\"", method, via);
}

Test(rfc3261_17_2_3, a_repeated_request_in_a_dialog_has_the_branch_of_its_transaction)
{
	static const char *const methods[] = { "OPTIONS", "BYE" };
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = usual_call(l);
	for (unsigned i = 0; i < 2; i++) {
		unsigned mark = l->sent_count;
		d.cseq_a++;
		say(l, A,
		    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-once\r\nMax-Forwards: 70\r\nFrom: %s\r\n"
		    "To: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nContent-Length: 0\r\n\r\n",
		    methods[i], d.target_a, d.from_a, d.to_a, d.call_a, d.cseq_a, methods[i]);
		cr_assert(heard(l, mark, "SIP/2.0 200"));
		if (i)
			answer(l, B, text_of(l, mark, "BYE"), "200 OK", "", "");
		assert_last_again(&d, methods[i], A ";branch=z9hG4bK-once", "SIP/2.0 200");
		assert_last_again(&d, methods[i], A, "SIP/2.0 200");
		assert_last_again(&d, methods[i], A ";branch=1", "SIP/2.0 200");
		assert_last_again(&d, methods[i], A ";branch=z9hG4bK-other", i ? "SIP/2.0 481" : "SIP/2.0 500");
	}
	lone_settle(l);
	lone_destroy(l);
}

/* A asks in the dialog, B answers what is passed on (NULL: nothing is); the same again gets the same, byte for byte. */
static void assert_same_twice(struct dialogs *d, const char *method, const char *lines, const char *body,
			      const char *status, const char *callee_says)
{
	static unsigned branches;
	struct lone *l = d->l;
	unsigned mark = l->sent_count;
	char request[2048], first[4096];
	snprintf(request, sizeof request,
		 "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-s%u\r\nMax-Forwards: 70\r\nFrom: %s\r\n"
		 "To: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n%sContent-Length: %zu\r\n\r\n%s",
		 method, d->target_a, d->a, branches++, d->from_a, d->to_a, d->call_a, ++d->cseq_a, method, lines,
		 strlen(body), body);
	feed(l, A, request);
	if (callee_says)
		answer(l, B, text_of(l, mark, method), callee_says, CONTACT_B, "");
	snprintf(first, sizeof first, "%s", text_of(l, mark, status));
	for (unsigned i = 0; i < 2; i++) {
		mark = l->sent_count;
		feed(l, A, request);
		cr_assert_eq(l->sent_count, mark + 1, "%s", method);
		cr_assert_str_eq(lone_sent(l, mark)->text, first);
		lone_run(l, 5 * LONE_S);
	}
}

/* Spec 4: "always answered the same", whatever the answer had beside what it repeats of its request.  RFC 4028 7.2: an
 * UPDATE whose 200 has lost its Session-Expires has ended its sender's timer. */
Test(rfc3261_17_2_2, a_repeated_request_in_a_dialog_has_the_answer_that_it_had)
{
	static const char more[] = "v=0\r\no=a 1 2 IN IP4 192.0.2.1\r\n";
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d =
		call_up(l, A, B, CONTACT_A "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\n", CONTACT_B);
	unsigned mark = l->sent_count;
	assert_same_twice(&d, "UPDATE", CONTACT_A "Supported: timer\r\nSession-Expires: 200;refresher=uac\r\n", "",
			  "SIP/2.0 200", NULL);
	assert_header(text_of(l, mark, "SIP/2.0 200"), "Session-Expires", "200;refresher=uac");
	mark = l->sent_count;
	assert_same_twice(&d, "UPDATE", CONTACT_A "Supported: timer\r\nSession-Expires: 20\r\n", "", "SIP/2.0 422",
			  NULL);
	assert_header(text_of(l, mark, "SIP/2.0 422"), "Min-SE", "90");
	assert_same_twice(&d, "UPDATE", CONTACT_A TYPE_SDP, more, "SIP/2.0 200", "200 OK");
	assert_same_twice(&d, "REFER", CONTACT_A "Refer-To: <sip:c@h>\r\n", "", "SIP/2.0 202", "202 Accepted");
	assert_same_twice(&d, "NOTIFY", CONTACT_A "Event: refer\r\n", "", "SIP/2.0 200", "200 OK");
	assert_same_twice(&d, "INFO", "", "", "SIP/2.0 200", "200 OK");
	assert_same_twice(&d, "INFO", "", "", "SIP/2.0 405", "405 Method Not Allowed");
	assert_same_twice(&d, "OPTIONS", "", "", "SIP/2.0 200", NULL);
	mark = l->sent_count;
	assert_same_twice(&d, "PUBLISH", "", "", "SIP/2.0 405", NULL);
	cr_assert(strstr(header(text_of(l, mark, "SIP/2.0 405"), "Allow"), "INVITE"));
	request_of(&d, false, "UPDATE", CONTACT_A TYPE_SDP, SDP);
	mark = l->sent_count;
	assert_same_twice(&d, "UPDATE", CONTACT_A TYPE_SDP, more, "SIP/2.0 500", NULL);
	cr_assert_str_neq(header(text_of(l, mark, "SIP/2.0 500"), "Retry-After"), "");
	over(&d);
}

Test(rfc3261_17_2_2, and_when_its_call_has_ended_too)
{
	struct lone *l = lone_create(LONE_GATEWAYS, NULL);
	struct dialogs d = call_up(l, A, B, CONTACT_A, CONTACT_B);
	char request[2048], first[4096];
	unsigned mark = l->sent_count;
	snprintf(request, sizeof request,
		 "UPDATE %s SIP/2.0\r\nVia: SIP/2.0/UDP " A ";branch=z9hG4bK-last\r\nMax-Forwards: 70\r\nFrom: %s\r\n"
		 "To: %s\r\nCall-ID: %s\r\nCSeq: %u UPDATE\r\n" CONTACT_A "Supported: timer\r\n"
		 "Session-Expires: 200\r\nContent-Length: 0\r\n\r\n",
		 d.target_a, d.from_a, d.to_a, d.call_a, ++d.cseq_a);
	feed(l, A, request);
	snprintf(first, sizeof first, "%s", text_of(l, mark, "SIP/2.0 200"));
	request_of(&d, false, "BYE", "", "");
	answer(l, B, text_of(l, mark, "BYE"), "200 OK", "", "");
	lone_run(l, 10 * LONE_S);
	mark = l->sent_count;
	feed(l, A, request);
	cr_assert_eq(l->sent_count, mark + 1);
	cr_assert_str_eq(lone_sent(l, mark)->text, first);
	lone_settle(l);
	lone_destroy(l);
}

/* ---- RFC 3323, RFC 3325: who calls ---- */

#define CARRIER_WITH(lines)                                                                                            \
	"mapping_gateway \"m\" { address = \"192.0.2.1\" caller_from = \"p-asserted-identity\" }\n"                    \
	"routing_gateway \"r\" { address = \"192.0.2.2:5060\" prefix = {\"880\"} " lines " }\n"
#define ASSERTED "P-Asserted-Identity: \"A, B\" <sip:+4931@gw>\r\n"
#define HIDDEN   "\"Anonymous\" <sip:anonymous@anonymous.invalid>"

/* What the carrier's keys make of the caller's lines. */
Test(rfc3325_9, identity_goes_where_the_gateway_says)
{
	static const struct {
		const char *gateways, *lines, *asserted, *privacy, *from;
	} forms[] = {
		{ CARRIER_WITH(""), ASSERTED "Privacy: id\r\n", "", "", "<sip:+4931@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = pass"), ASSERTED "P-Asserted-Identity: <tel:+4931>\r\n",
		  "\"A, B\" <sip:+4931@gw>, <tel:+4931>", "", "<sip:+4931@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = pass"), ASSERTED "Privacy: id\r\n", "", "",
		  "<sip:+4931@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = pass"), ASSERTED "Privacy: none\r\n", "\"A, B\" <sip:+4931@gw>",
		  "", "<sip:+4931@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = pass privacy = pass"), ASSERTED "Privacy: critical ; ID\r\n",
		  "\"A, B\" <sip:+4931@gw>", "critical ; ID", HIDDEN },
		{ CARRIER_WITH("p_asserted_identity = pass privacy = pass"), ASSERTED, "\"A, B\" <sip:+4931@gw>", "",
		  "<sip:+4931@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = pass privacy = id"), ASSERTED, "\"A, B\" <sip:+4931@gw>", "id",
		  HIDDEN },
		{ CARRIER_WITH("p_asserted_identity = pass privacy = id"), "", "", "id", "<sip:+4930@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = caller privacy = pass"), ASSERTED, "<sip:+4931@192.0.2.9>", "",
		  "<sip:+4931@192.0.2.9>" },
		{ CARRIER_WITH("p_asserted_identity = caller privacy = pass"), ASSERTED "Privacy: user;id\r\n",
		  "<sip:+4931@192.0.2.9>", "user;id", HIDDEN },
		{ CARRIER_WITH("privacy = pass"), "Privacy: id\r\n", "", "id", "<sip:+4930@192.0.2.9>" },
	};
	for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct lone *l = lone_create(forms[i].gateways, NULL);
		char lines[512], from[256];
		snprintf(lines, sizeof lines, CONTACT_A "%s", forms[i].lines);
		invite_to(l, A, "sip:880171@node", A, lines, "");
		const char *invite = text_of(l, 0, "INVITE");
		assert_header(invite, "P-Asserted-Identity", forms[i].asserted);
		assert_header(invite, "Privacy", forms[i].privacy);
		snprintf(from, sizeof from, "%s;tag=", forms[i].from);
		cr_assert(strncmp(header(invite, "From"), from, strlen(from)) == 0, "%u: %s", i,
			  header(invite, "From"));
		answer(l, B, invite, "486 Busy Here", "", "");
		lone_settle(l);
		lone_destroy(l);
	}
}
